"""Python examples of README.md and docs/ run as tests, in the order of their page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

try:
    import sybil
    from sybil.evaluators.python import PythonEvaluator
    from sybil.parsers.markdown import CodeBlockParser, SkipParser
except ModuleNotFoundError as missing:
    raise pytest.UsageError(f"the tests need {missing.name}: pip install -e '.[dev]'") from None

_ROOT = Path(__file__).parent


def _in_root(namespace: dict[str, Any]) -> None:
    namespace["_before"] = os.getcwd()
    os.chdir(_ROOT)


class _InOrder(PythonEvaluator):
    """Runs an example after those before it on its page, also when it is run alone or by another worker than they."""

    def __call__(self, example: sybil.Example) -> None:
        done: set[int] = example.namespace.setdefault("_done", set())
        for earlier in example.document.examples():
            if earlier.start < example.start and earlier.start not in done:
                earlier.evaluate()
        done.add(example.start)
        super().__call__(example)


def _back(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])


pytest_collect_file = sybil.Sybil(
    parsers=[CodeBlockParser("python", _InOrder()), SkipParser()],
    patterns=["README.md", "docs/recipes.md", "docs/sampling.md", "docs/metrics.md"],
    setup=_in_root,
    teardown=_back,
).pytest()
