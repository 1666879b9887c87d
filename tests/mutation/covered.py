"""Which tests run which lines of numaprobe: a plugin of pytest that notes it, and what was noted.

``MUTATION_NOTES=DIR pytest -p tests.mutation.covered`` notes it, in processes that a test starts as well;
``MUTATION_CHOSEN=FILE pytest -p tests.mutation.covered`` runs the tests that the file names, in its order.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest

NOTES = os.environ.get("MUTATION_NOTES", "")
CHOSEN = os.environ.get("MUTATION_CHOSEN", "")

# What a process started by a test runs before anything else: a folder with this is on its path.
IN_CHILDREN = """
import os
test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
if test:
    import coverage
    coverage.Coverage(
        data_file=os.environ["MUTATION_NOTES"] + "/child", data_suffix=True, source=["numaprobe"], config_file=False,
        auto_data=True, context=test,
    ).start()
"""


class Seen(NamedTuple):
    """What one run noted."""

    lines: dict[tuple[str, int], set[str]]  # (path below the checkout, line) -> tests
    seconds: dict[str, float]
    unheard: set[str]  # tests that started a process of which nothing was noted
    failed: set[str]


class _Noting:
    def __init__(self) -> None:
        self.measured = coverage.Coverage(
            data_file=f"{NOTES}/own", data_suffix=True, source=["numaprobe"], config_file=False
        )
        self.measured.start()
        self.started = False
        self.bad = False
        self.rows = Path(NOTES, f"tests-{os.getpid()}")
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _: Any) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
            self.started = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        self.started = self.bad = False
        self.measured.switch_context(item.nodeid)
        begin = time.monotonic()
        result = yield
        row = [item.nodeid, round(time.monotonic() - begin, 3), self.started, self.bad]
        self.measured.switch_context("")
        with self.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.bad = self.bad or report.failed

    def pytest_unconfigure(self) -> None:
        self.measured.stop()
        self.measured.save()


class _Choosing:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {name: number for number, name in enumerate(Path(CHOSEN).read_text("utf-8").split("\n"))}
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])


def read(notes: Path) -> Seen:
    """What a run noted there."""
    lines: dict[tuple[str, int], set[str]] = defaultdict(set)
    heard = set()
    for file in notes.glob("*.*"):
        if file.name.startswith(("own.", "child.")):
            data = coverage.CoverageData(str(file))
            data.read()
            heard |= data.measured_contexts() if file.name.startswith("child.") else set()
            for measured in data.measured_files():
                path = "numaprobe/" + measured.rpartition("/numaprobe/")[2]
                for line, tests in data.contexts_by_lineno(measured).items():
                    lines[path, line] |= set(tests) - {""}
    rows = [json.loads(row) for file in notes.glob("tests-*") for row in file.read_text("utf-8").splitlines()]
    return Seen(
        lines=dict(lines),
        seconds={name: seconds for name, seconds, _, _ in rows},
        unheard={name for name, _, started, _ in rows if started and name not in heard},
        failed={name for name, _, _, bad in rows if bad},
    )


if NOTES:
    _noting = _Noting()


def pytest_configure(config: pytest.Config) -> None:
    """Registers what this run is for."""
    if NOTES:
        config.pluginmanager.register(_noting)
    if CHOSEN:
        config.pluginmanager.register(_Choosing())
