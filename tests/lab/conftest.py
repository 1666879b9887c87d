"""Boots each machine that the selected tests name, once, as many at a time as there are cpus; hands out what it left.

A test module has ``BOOTS``, its machines and their scripts, and takes results from the fixture ``boots``.

Runs only when asked to, with ``pytest tests/lab --lab`` or NUMAPROBE_LAB_RUN=1; then a missing part is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from . import packages
from .guest import Boot, Lab, Result
from .machines import Machine

Results = dict[str, Future[Result]]
_LAB = pytest.StashKey[Lab]()

_HERE = Path(__file__).parent
# Fixtures that start QEMU.
_STARTS = frozenset(("result", "boots", "plugged"))
_HOW = "the lab runs with --lab (pytest tests/lab --lab) or NUMAPROBE_LAB_RUN=1, after tests/lab/install"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots machines under QEMU; only with --lab or NUMAPROBE_LAB_RUN=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    enabled = config.getoption("lab") or os.environ.get("NUMAPROBE_LAB_RUN", "") not in ("", "0")
    for item in items:
        if _HERE in item.path.parents and not _STARTS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)
            if not enabled:
                item.add_marker(pytest.mark.skip(reason=_HOW))


def _boots(items: list[pytest.Item]) -> dict[str, Boot]:
    """What the selected tests wait for, by name: a test's parameter, or all that its module boots."""
    found: dict[str, Boot] = {}
    for item in items:
        if "boots" not in getattr(item, "fixturenames", ()):
            continue
        call = getattr(item, "callspec", None)
        machine = call.params.get("machine") if call else None
        offered = {boot.machine.name: boot for boot in getattr(item, "module").BOOTS}  # noqa: B009
        found |= {machine.name: offered[machine.name]} if isinstance(machine, Machine) else offered
    return found


@pytest.fixture(scope="session")
def boots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """The machines of the selected tests, the longest first, each a result to come."""
    wanted = sorted(_boots(request.session.items).values(), key=lambda boot: -boot.machine.weight)
    suites = {boot.machine.suite for boot in wanted}
    lines = packages.missing(suites, {boot.machine.suite for boot in wanted if boot.machine.xen is not None})
    if lines:
        pytest.fail("the lab is not whole:\n" + "\n".join(lines), pytrace=False)
    lab = Lab(tmp_path_factory.mktemp("lab"))
    request.config.stash[_LAB] = lab
    # One host thread emulates all of a guest's cpus, so one guest to a cpu; memory bounds them too.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield {boot.machine.name: pool.submit(lab.boot, boot.machine, boot.script()) for boot in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def result(machine: Machine, boots: Results) -> Result:
    """What the machine left; the first test of a machine waits for it."""
    return boots[machine.name].result()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where the time of the lab went: seconds of the clock, and of a cpu, for each boot."""
    lab = config.stash.get(_LAB, None)
    if lab is None or not lab.spent:
        return
    terminalreporter.section("machines of the lab")
    for name, spent in sorted(lab.spent.items(), key=lambda item: -item[1].cpu):
        terminalreporter.write_line(f"{spent.clock:6.1f} s  {spent.cpu:6.1f} s of cpu  {name}")
    clock, cpu = (sum(getattr(spent, field) for spent in lab.spent.values()) for field in ("clock", "cpu"))
    terminalreporter.write_line(f"{clock:6.1f} s  {cpu:6.1f} s of cpu  {len(lab.spent)} machines")
