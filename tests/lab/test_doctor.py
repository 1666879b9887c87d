"""The doctor on booted machines: each fault is made on a real kernel, found, cured, and found no more."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from . import collect
from .guest import Boot, Result
from .layout import Layout, Node
from .layout import Path as Way
from .machines import TWO_ASYMMETRIC, Machine

# Three nodes, the last of memory only and in a slower tier; a network card of no node.
_NEAR, _FAR, _SLOW = (10, 20000), (25, 9000), (400, 1000)
_WAYS = ((0, 0, _NEAR), (0, 1, _FAR), (0, 2, _SLOW), (1, 0, _FAR), (1, 1, _NEAR), (1, 2, _SLOW))
SICK = Machine(
    "doctor-sick",
    "settings, guests and memory of which each hurts, and then are cured",
    Layout(
        (Node(2048, ("0-1",), 0), Node(640, ("2-3",), 1), Node(256, (), 0)),
        (*((*row, 28) for row in TWO_ASYMMETRIC), (28, 28, 10)),
        2,
        2,
        paths=tuple(Way(one, other, *cost) for one, other, cost in _WAYS),
        more=("-device", "virtio-net-pci,bus=pcie.0"),
    ),
    suite="trixie",
    options="isolcpus=3",
    seconds=600,
    more_work=3,
)
# Four nodes in two packages.
_FOUR = tuple(Node(160, (str(cpu),)) for cpu in range(4))


def _packages(inside: int) -> tuple[tuple[int, ...], ...]:
    cost = {True: inside, False: 20}
    return tuple(tuple(10 if a == b else cost[a // 2 == b // 2] for b in range(4)) for a in range(4))


FLAT = Machine("doctor-flat", "distances that ignore packages", Layout(_FOUR, _packages(20), 2, 2))
TOLD = Machine("doctor-told", "the same machine, with distances that do not", Layout(_FOUR, _packages(12), 2, 2))

HIDDEN = Machine(
    "doctor-hidden",
    "cells that the firmware has and numa=off hides",
    Layout((Node(320, ("0-1",)), Node(256, ("2-3",))), TWO_ASYMMETRIC, 2, 2),
    options="numa=off",
)

# What is done, by the finding that it makes.
SETTINGS = {
    "zone-reclaim": ("/proc/sys/vm/zone_reclaim_mode", 1, 0),
    "ksm-across-cells": ("/sys/kernel/mm/ksm/run", 1, 2),
    "huge-pages-without-cpus": ("/sys/devices/system/node/node2/hugepages/hugepages-2048kB/nr_hugepages", 4, 0),
    "balancing-of-pinned-guests": ("/proc/sys/kernel/numa_balancing", 1, 0),
    "demotion-of-bound-guests": ("/sys/kernel/mm/numa/demotion_enabled", "true", "false"),
}
# Policy, MiB and cpus.
GUESTS = {
    "large": ("--membind=0", 1100, "0,1"),
    "guest-remote-memory": ("--membind=0", 48, "2"),
    "guest-across-cells": ("--interleave=0,1", 48, "0,1,2"),
    "guest-floats-on-isolated-cpus": ("--membind=1", 48, "2,3"),
}
# Cured by nothing that a program could do.
STAYS = {"memory-failed", "device-without-cell"}
CURED = {*SETTINGS, *GUESTS, "memory-offline"} - {"large"}


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set."""
    if machine is not SICK:
        look = ["keep doctor numaprobe doctor --json", "keep user unprivileged doctor --json"]
        look.append('keep recorded numaprobe record "$OUT/host.tar.gz"')
        return "\n".join(["cd /", collect._KEEP, collect._numaprobe(), *look])
    program = f"{quote(sys.executable)} {quote(str(Path(__file__).with_name('inside_doctor.py')))}"
    blocks = "/sys/devices/system/node/node2/memory* /sys/devices/system/node/node0/memory*"
    lines = [
        "cd /",
        collect._KEEP,
        collect._numaprobe(),
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        "echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control",
        "mkdir /sys/fs/cgroup/vm",
        "echo 0-1 >/sys/fs/cgroup/vm/cpuset.mems",
        "keep before numaprobe doctor --json",
        "ready() { # FILE",
        '    local left=200; while [ ! -s "$1" ] && [ $left -gt 0 ]; do sleep 0.3; left=$((left - 1)); done',
        "}",
        "mkfifo /run/stays /run/filled",
    ]
    for name, (policy, mib, cpus) in GUESTS.items():
        join = "echo $$ >/sys/fs/cgroup/vm/cgroup.procs;" if name == "large" else ""
        run = f"{join} exec numactl {policy} {program} guest {mib} {cpus}"
        lines.append(f"sh -c {quote(run)} </run/stays >$OUT/{name}.ready 2>$OUT/{name}.log &")
    lines += ["exec 7>/run/stays", *(f"ready $OUT/{name}.ready" for name in GUESTS)]
    lines += [f"echo {sick} >{path}" for path, sick, _ in SETTINGS.values()]
    lines += [
        f"keep poison {program} poison 0",
        f"for block in {blocks}; do",
        '    if echo offline >"$block/state"; then echo "$block" >/run/block; break; fi',
        "done",
        "keep sick numaprobe doctor --json",
        "keep screen numaprobe doctor",
        'keep recorded numaprobe record --domains "$OUT/host.tar.gz"',
        *(f"echo {well} >{path}" for path, _, well in SETTINGS.values()),
        'echo online >"$(cat /run/block)/state"',
        "exec 7>&-",
        "sleep 3",
        "keep cured numaprobe doctor --json",
        f"{program} fill 1 </run/filled >$OUT/fill.ready 2>$OUT/fill.log &",
        "exec 7>/run/filled",
        "ready $OUT/fill.ready",
        "keep full numaprobe doctor --json",
        "exec 7>&-",
    ]
    return "\n".join(lines)


BOOTS = [Boot(machine, partial(script, machine)) for machine in (SICK, FLAT, TOLD, HIDDEN)]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    """The machine with most of the faults."""
    return boots[SICK.name].result()


def findings(result: Result, name: str) -> dict[str, dict[str, Any]]:
    """What was found, by id."""
    document = result.json(name)
    assert document["skipped"] == []
    return {finding["id"]: finding for finding in document["findings"]}


def test_a_machine_as_booted_has_only_what_its_hardware_has(result: Result) -> None:
    """The card is on no node, and nothing else is wrong yet."""
    assert set(findings(result, "before")) == {"device-without-cell"}


@pytest.mark.parametrize("fault", sorted(CURED | STAYS))
def test_each_fault_is_found(result: Result, fault: str) -> None:
    """All are there at once, each with its evidence."""
    assert findings(result, "sick")[fault]["evidence"]


def test_nothing_else_is_found(result: Result) -> None:
    """A fault that shows as another one would be looked for in the wrong place."""
    assert set(findings(result, "sick")) == CURED | STAYS


def test_what_is_cured_is_found_no_more(result: Result) -> None:
    """The page that failed stays counted until the next boot."""
    assert set(findings(result, "cured")) == STAYS


def test_a_full_cell_is_found(result: Result) -> None:
    """All but a hundredth of a node is taken by a process that is bound to it."""
    assert set(findings(result, "full")) == STAYS | {"cell-full"}


def test_a_recording_of_it_has_the_same_findings(result: Result) -> None:
    """Support staff see what the owner of the machine saw."""
    import numaprobe

    result.printed("recorded")
    found = numaprobe.diagnose(recording=result.out / "host.tar.gz")
    assert {finding.id for finding in found.findings} == set(findings(result, "sick"))


def test_flat_distances_of_two_packages_are_found(boots: dict[str, Future[Result]]) -> None:
    """Booted twice: with the same distance everywhere, and with nearer nodes in the same package."""
    assert set(findings(boots[FLAT.name].result(), "doctor")) == {"distances-ignore-packages"}
    assert findings(boots[TOLD.name].result(), "doctor") == {}


def test_cells_that_the_command_line_hides_are_found(boots: dict[str, Future[Result]]) -> None:
    """By the firmware's table, which is in the recording too; a user may not read it, and is told."""
    import numaprobe

    result = boots[HIDDEN.name].result()
    assert set(findings(result, "doctor")) == {"firmware-cells-not-used"}
    result.printed("recorded")
    recorded = numaprobe.diagnose(recording=result.out / "host.tar.gz").findings
    assert [finding.id for finding in recorded] == ["firmware-cells-not-used"]
    user = result.json("user")
    assert user["findings"] == []
    assert "sys/firmware/acpi/tables/SRAT" in [one["what"] for one in user["skipped"]]
