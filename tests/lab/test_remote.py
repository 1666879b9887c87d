"""The remote share of a guest on a real kernel: memory on one node, its vcpu on the other, and then beside it."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from shlex import quote

import pytest

from . import collect
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine

HOST = Machine(
    "remote-share",
    "a vcpu away from its memory, which NUMA balancing samples and may not move, and then back",
    Layout((Node(896, ("0",)), Node(640, ("1",))), TWO_ASYMMETRIC, sockets=2),
    suite="trixie",
    seconds=400,
    more_work=2,
)
SOURCES = ("hint faults", "run time")
NEAR = 0.15  # what the process has beside the memory that its vcpu reaches


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set."""
    program = f"{quote(sys.executable)} {quote(str(Path(__file__).with_name('inside_remote.py')))}"
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            "mount -t debugfs debugfs /sys/kernel/debug",
            "for each in scan_delay_ms:100 scan_period_min_ms:200 scan_period_max_ms:1000; do",
            "    echo ${each#*:} >/sys/kernel/debug/sched/numa_balancing/${each%:*} || true",
            "done",
            "echo 1 >/proc/sys/kernel/numa_balancing",
            "echo 1 >/run/cpu",
            "mkfifo /run/stays",
            f"numactl --cpunodebind=0 --membind=0 {program} 96 0 /run/cpu </run/stays >$OUT/guest.log 2>&1 &",
            "exec 7>/run/stays",
            "sleep 25",
            "keep away numaprobe domains --remote --json",
            "cat /proc/[0-9]*/task/*/sched 2>/dev/null | grep -E 'fc_vcpu|numa' >$OUT/sched",
            "keep screen numaprobe domains --remote",
            "echo 0 >/run/cpu",
            "sleep 10",
            "keep home numaprobe domains --remote --json",
            "echo 0 >/proc/sys/kernel/numa_balancing",
            "keep off numaprobe domains --remote --json",
            "exec 7>&-",
        ]
    )


BOOTS = [Boot(HOST, partial(script, HOST))]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    return boots[HOST.name].result()


def shares(result: Result, name: str) -> dict[str, dict[str, object]]:
    (guest,) = result.json(name)["domains"]
    assert (guest["kind"], guest["how"]) == ("firecracker", "exact")
    return {share["source"]: share for share in guest["remote"]}


@pytest.mark.parametrize("source", SOURCES)
def test_memory_on_another_node_than_the_vcpu_is_remote(result: Result, source: str) -> None:
    """The guest was started with memory and vcpu apart, so the true share is known to be near 1."""
    found = shares(result, "away")[source]
    assert found["share"] is not None, found
    assert 1 - NEAR <= float(str(found["share"])) <= 1
    assert found["how"] in ("sampled", "estimated")


@pytest.mark.parametrize("source", SOURCES)
def test_it_is_local_once_the_vcpu_is_beside_it(result: Result, source: str) -> None:
    """The same guest after its vcpu was moved: a source that counted the past would still say 1."""
    found = shares(result, "home")[source]
    assert found["share"] is not None, found
    assert 0 <= float(str(found["share"])) <= NEAR


def test_a_source_that_is_off_says_so(result: Result) -> None:
    """On a real kernel with balancing off run time still has an answer."""
    found = shares(result, "off")
    assert found["hint faults"] == {
        "source": "hint faults",
        "share": None,
        "how": "unknown",
        "how_from": "off: proc/sys/kernel/numa_balancing is 0",
    }
    assert found["run time"]["share"] is not None
