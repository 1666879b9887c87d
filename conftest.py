"""Python examples of README.md and docs/ run as tests, in the order of their page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

try:
    import sybil
    from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
except ModuleNotFoundError as missing:
    raise pytest.UsageError(f"the tests need {missing.name}: pip install -e '.[dev]'") from None

_ROOT = Path(__file__).parent


def _in_root(namespace: dict[str, Any]) -> None:
    namespace["_before"] = os.getcwd()
    os.chdir(_ROOT)


def _back(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])


pytest_collect_file = sybil.Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/recipes.md", "docs/sampling.md", "docs/metrics.md"],
    setup=_in_root,
    teardown=_back,
).pytest()
