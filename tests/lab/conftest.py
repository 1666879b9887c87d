"""Boots each machine that the selected tests name, once, two at a time, and hands out what it left.

Runs only when asked to, with ``pytest tests/lab --lab`` or NUMAPROBE_LAB_RUN=1; then a missing part is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from . import collect, packages
from .guest import Lab, Result
from .machines import Machine

_HERE = Path(__file__).parent
_HOW = "the lab runs with --lab (pytest tests/lab --lab) or NUMAPROBE_LAB_RUN=1, after tests/lab/install"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots machines under QEMU; only with --lab or NUMAPROBE_LAB_RUN=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    enabled = config.getoption("lab") or os.environ.get("NUMAPROBE_LAB_RUN", "") not in ("", "0")
    for item in items:
        if _HERE in item.path.parents and "result" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.lab)
            if not enabled:
                item.add_marker(pytest.mark.skip(reason=_HOW))


def _machine(item: pytest.Item) -> Machine | None:
    call = getattr(item, "callspec", None)
    machine = call.params.get("machine") if call else None
    return machine if isinstance(machine, Machine) else None


@pytest.fixture(scope="session")
def booted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Result]]]:
    """The machines of the selected tests, in their order, each a result to come."""
    # Other modules boot machines of their own, with other scripts.
    items = [item for item in request.session.items if "booted" in getattr(item, "fixturenames", ())]
    machines = {found.name: found for item in items if (found := _machine(item))}
    suites = {machine.suite for machine in machines.values()}
    lines = packages.missing(suites, {machine.suite for machine in machines.values() if machine.xen is not None})
    if lines:
        pytest.fail("the lab is not whole:\n" + "\n".join(lines), pytrace=False)
    lab = Lab(tmp_path_factory.mktemp("lab"))
    # One host thread emulates all of a guest's cpus, so one guest to a cpu; memory bounds them too.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield {name: pool.submit(lab.boot, machine, collect.script(machine)) for name, machine in machines.items()}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def result(machine: Machine, booted: dict[str, Future[Result]]) -> Result:
    """What the machine left; the first test of a machine waits for it."""
    return booted[machine.name].result()
