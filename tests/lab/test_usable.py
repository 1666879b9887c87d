"""What is called usable can be allocated, and no more: real kernels, memory taken until they refuse.

A node half of which is ZONE_MOVABLE, memory that is added and made movable, huge pages, a memory policy, a group's limit.
"""

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

MIB = 1 << 20
HOST = Machine(
    "usable",
    "memory taken until the kernel refuses: a movable part, huge pages, a policy, a control group",
    Layout((Node(1024, ("0",)), Node(1024, ("1",))), TWO_ASYMMETRIC, sockets=2),
    suite="trixie",
    options="movablecore=768M transparent_hugepage=madvise",
    seconds=500,
    more_work=4,
)
LIMIT = 160 * MIB
# What was looked at, and the part of it that may be missing or more.
ROUNDS = {"ordinary": 0.01, "secret": 0.01, "pinned": 0.01, "me": 0.01, "limited": 0.01, "2M": 0.01, "pool": 0.0}
# Refused while other CPUs still have free pages on lists of their own, which the kernel takes back only once reclaim has
# found something (__alloc_pages_direct_reclaim of Linux's mm/page_alloc.c): what is on them may be missing, too.
ON_LISTS = ("secret", "pinned")


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set."""
    program = f"{quote(sys.executable)} {quote(str(Path(__file__).with_name('inside_usable.py')))}"
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            "echo +memory +cpuset >/sys/fs/cgroup/cgroup.subtree_control",
            "mkdir /sys/fs/cgroup/small",
            f"echo {LIMIT} >/sys/fs/cgroup/small/memory.max",
            "echo never >/sys/kernel/mm/transparent_hugepage/defrag",
            "mkdir /sys/fs/cgroup/node1",
            "echo 1 >/sys/fs/cgroup/node1/cpuset.mems",
            # In a cpuset, as guests of libvirt are: without one the kernel would pin pages on the other node.
            f"keep pinned sh -c 'echo $$ >/sys/fs/cgroup/node1/cgroup.procs; exec {program} pinned 1'",
            f"keep secret {program} secret 1",
            f"keep 2M {program} 2M 1",
            f"keep ordinary {program} ordinary 1",
            f"keep me {program} me 1",
            f"keep limited sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; exec {program} me 1'",
            "echo 20 >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages",
            f"keep pool {program} pool 1",
            "keep free numaprobe free --for pinned",
            "keep zones cat /proc/zoneinfo",
        ]
    )


BOOTS = [Boot(HOST, partial(script, HOST))]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    return boots[HOST.name].result()


@pytest.mark.parametrize("what", ROUNDS)
def test_what_is_called_usable_can_be_taken_and_a_page_more_cannot(result: Result, what: str) -> None:
    """The kernel is the oracle: a process takes memory until it is refused."""
    found = result.json(what)
    assert found["usable"] > 8 * MIB
    # Pages of 2 MiB are few: the first faults of the process that takes them split one or two.
    slack = 2 * 2 * MIB if what == "2M" else 0
    slack += ROUNDS[what] * found["usable"]
    assert found["taken"] <= found["usable"] + slack, found
    assert found["taken"] >= found["usable"] - slack - (found["listed"] if what in ON_LISTS else 0), found


def test_pinned_memory_is_less_than_ordinary_by_what_is_movable(result: Result) -> None:
    """The machine was booted with half of a node movable."""
    ordinary, pinned = result.json("ordinary"), result.json("pinned")
    assert pinned["usable"] < ordinary["usable"] - 256 * MIB


def test_a_group_is_the_limit_of_what_it_holds(result: Result) -> None:
    """The same process inside a group and outside of it."""
    assert result.json("limited")["usable"] < LIMIT < result.json("me")["usable"]
