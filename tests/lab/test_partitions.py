"""Partitions of cpusets on a real kernel: who may not use their CPUs, and what is said of them."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from . import collect
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine

HOST = Machine(
    "partitions",
    "CPUs that a partition keeps, and CPUs that an isolated one keeps from the scheduler too",
    Layout((Node(384, ("0-3",)), Node(384, ("4-7",))), TWO_ASYMMETRIC, 2, 4),
    suite="trixie",
)
GROUP = "/sys/fs/cgroup"


def script() -> str:
    """What to run as root, with ``OUT`` set."""

    def partition(name: str, cpus: str, kind: str) -> list[str]:
        return [
            f"mkdir {GROUP}/{name}",
            f"echo {cpus} >{GROUP}/{name}/cpuset.cpus",
            f"echo {kind} >{GROUP}/{name}/cpuset.cpus.partition",
            f"keep {name}.kind cat {GROUP}/{name}/cpuset.cpus.partition",
        ]

    lines = [
        "cd /",
        collect._KEEP,
        collect._numaprobe(),
        f"mount -t cgroup2 cgroup2 {GROUP}",
        f"echo +cpuset >{GROUP}/cgroup.subtree_control",
        "keep before numaprobe show --json",
        *partition("own", "4-5", "root"),
        *partition("alone", "7", "isolated"),
        "keep show numaprobe show --json",
        "keep screen numaprobe",
        "keep status grep Cpus_allowed_list /proc/self/status",
        "keep place numaprobe place --vcpus 4 --memory 32M --pinned --json",
        "keep record numaprobe record --allowed $OUT/host.tar.gz",
    ]
    return "\n".join(lines)


BOOTS = [Boot(HOST, script)]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    """One machine with both kinds of partition."""
    return boots[HOST.name].result()


def test_the_kernel_made_both_partitions(result: Result) -> None:
    """An invalid partition says so in its file, and would take no CPU from anybody."""
    assert (result.printed("own.kind").strip(), result.printed("alone.kind").strip()) == ("root", "isolated")


def test_their_cpus_are_named(result: Result) -> None:
    """Both kinds take CPUs from everybody else, and only the isolated one from the scheduler."""
    before, after = result.json("before"), result.json("show")
    assert before["allowed"]["partitioned"] == []
    assert after["allowed"]["partitioned"] == [4, 5, 7]
    assert [cpu["id"] for cpu in after["cpus"] if cpu["isolated"]] == [7]
    assert "reserved by cpuset partitions: cpus 4-5,7" in result.printed("screen")


def test_the_kernel_lets_nobody_else_use_them(result: Result) -> None:
    """The witness is the process's own affinity, and no plan has such a CPU."""
    allowed = result.printed("status").split()[1]
    assert allowed == "0-3,6"
    assert result.json("show")["allowed"]["cpus"] == [0, 1, 2, 3, 6]
    assert set(result.json("place")["cpus"]) <= {0, 1, 2, 3, 6}
