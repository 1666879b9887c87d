"""The remote share of a Xen guest: memory on one node, its running vcpus on the other, and then back beside it."""

from __future__ import annotations

from concurrent.futures import Future
from shlex import quote
from typing import Any

import pytest

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine

HOST = Machine(
    "remote-share-xen",
    "a guest that runs away from its memory, and then beside it",
    Layout((Node(2560, ("0-3",)), Node(1536, ("4-7",))), TWO_ASYMMETRIC, 2, 4),
    xen="numa=on",
    dom0_mib=768,
    seconds=600,
    more_work=2,
)
HOME, AWAY = "0-3", "4-7"
NODE_OF = {str(cpu): cpu // 4 for cpu in range(8)}
# By step, the hard and soft affinity of each vcpu, or of all. "floating" leaves the choice to Xen's scheduler.
STEPS = {
    "home": {"all": (HOME, HOME)},
    "away": {"all": (AWAY, AWAY)},
    "back": {"all": (HOME, HOME)},
    "divided": {"0": (HOME, HOME), "1": (AWAY, AWAY)},
    "floating": {"all": ("all", AWAY)},
}
MEMORY, VCPUS = 200, 2
# A kernel without a root file system would end the guest. Its init runs now and then, on either vcpu: one host thread
# emulates all cpus, and vcpus that never sleep would take most of it.
_LOOP = "while :; do /bin/busybox sleep 0.1; done"
_INIT = f"#!/bin/busybox sh\n({_LOOP}) &\n{_LOOP}"


def script() -> str:
    """What to run as root, with ``OUT`` set."""
    configuration = (
        'name="busy"',
        f'kernel="{packages.kernel(HOST.suite).image}"',
        'ramdisk="/run/busy.gz"',
        'extra="quiet console=hvc0"',
        f"memory={MEMORY}",
        f"vcpus={VCPUS}",
        f'cpus="{HOME}"',
    )
    busybox = quote(packages.tool("busybox"))
    lines = [
        "cd /",
        collect._KEEP,
        collect._numaprobe(),
        collect._toolstack(packages.xen(HOST.suite)),
        collect._DAEMONS,
        "keep xenconsoled toolstack xenconsoled",
        "mkdir -p /run/busy/bin /run/busy/dev",
        f"cp {busybox} /run/busy/bin/busybox",
        f"printf '%s\\n' {quote(_INIT)} >/run/busy/init",
        "chmod 755 /run/busy/init",
        f"(cd /run/busy && find . | {busybox} cpio -o -H newc | gzip -1) >/run/busy.gz",
        f"cat >/run/busy.cfg <<'END'\n{chr(10).join(configuration)}\nEND",
        "keep create toolstack xl create /run/busy.cfg",
        "for _ in $(seq 90); do",
        f'    [ "$(toolstack xl vcpu-list busy | grep -c " [r-]b*- ")" -lt {VCPUS} ] || break',
        "    sleep 1",
        "done",
        "sleep 5",
        "keep without-the-key numaprobe domains --remote --json",
    ]
    for name, affinities in STEPS.items():
        for vcpu, (hard, soft) in affinities.items():
            lines.append(f"keep {name}.pin toolstack xl vcpu-pin busy {vcpu} {hard} {soft}")
        lines += [
            "sleep 3",
            f"keep {name}.before toolstack xl vcpu-list busy",
            f"keep {name} numaprobe domains --remote --debug-key --json",
            f"keep {name}.after toolstack xl vcpu-list busy",
        ]
    return "\n".join(lines)


BOOTS = [Boot(HOST, script)]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    """One machine with one guest."""
    return boots[HOST.name].result()


def guest(result: Result, step: str) -> dict[str, Any]:
    """The guest among the domains of a step."""
    (found,) = [one for one in result.json(step)["domains"] if one["name"] == "busy"]
    return dict(found)


def share(result: Result, step: str) -> dict[str, Any]:
    """The one source that there is under Xen."""
    (found,) = guest(result, step)["remote"]
    assert found["source"] == "vcpu samples"
    return dict(found)


def seen(result: Result, name: str) -> set[int]:
    """The nodes of the cpus on which xl has the guest's vcpus."""
    rows = [line.split() for line in result.printed(name).splitlines()[1:]]
    assert len(rows) == VCPUS
    return {NODE_OF[row[3]] for row in rows}


def test_the_guest_runs_with_all_its_memory_on_one_node(result: Result) -> None:
    """Debug key u has its pages, and run time that grows shows that its vcpus are no idle ones."""
    result.printed("create")
    cells = guest(result, "home")["cells"]
    assert cells["0"] >= 0.99 * sum(cells.values())
    times = [
        sum(float(line.split()[5]) for line in result.printed(name).splitlines()[1:])
        for name in ("home.before", "floating.after")
    ]
    assert times[1] > times[0]


def test_vcpus_on_the_other_node_than_the_memory_are_remote(result: Result) -> None:
    """By xl both vcpus are on cpus of the other node before and after."""
    assert seen(result, "away.before") == seen(result, "away.after") == {1}
    found = share(result, "away")
    assert found["how"] == "estimated"
    assert 0.99 <= found["share"] <= 1


@pytest.mark.parametrize("step", ["home", "back"])
def test_they_are_local_once_they_are_moved_back(result: Result, step: str) -> None:
    """The memory stays where it is, so a source that looked at anything but the vcpus would not notice."""
    assert seen(result, f"{step}.before") == seen(result, f"{step}.after") == {0}
    assert 0 <= share(result, step)["share"] <= 0.01


def test_one_vcpu_of_two_away_is_half_of_the_accesses(result: Result) -> None:
    """Each vcpu counts alike, as Xen reports no accesses."""
    assert seen(result, "divided.before") == {0, 1}
    assert share(result, "divided")["share"] == pytest.approx(0.5, abs=0.01)


def test_vcpus_that_may_run_anywhere_count_where_they_are(result: Result) -> None:
    """A sample of the scheduler's choice at this moment, by the cpu that Xen has for each vcpu."""
    found = guest(result, "floating")
    nodes = [NODE_OF[str(vcpu["cpu"])] for vcpu in found["each_vcpu"]]
    assert [len(vcpu["cpus"]) for vcpu in found["each_vcpu"]] == [8, 8]
    assert share(result, "floating")["share"] == pytest.approx(nodes.count(1) / VCPUS, abs=0.01)


def test_without_the_debug_key_the_share_is_unknown(result: Result) -> None:
    """On two nodes Xen says by no other call where a guest's memory is, and the reason says so."""
    found = share(result, "without-the-key")
    assert (found["share"], found["how"]) == (None, "unknown")
    assert "memory" in found["how_from"]
