"""Memory that is added to a running kernel as movable: what is called usable of it, taken until the kernel refuses."""

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
from .machines import Machine

MIB = 1 << 20
# A node with a DIMM that the kernel adds as movable memory once it runs, and one that has nothing else.
ADDED = Machine(
    "usable-added",
    "memory that was added as movable: next to ordinary memory, and on a node of its own",
    Layout(
        (Node(1024, ("0",)), Node(512, ("1",)), Node(0)),
        ((10, 21, 31), (21, 10, 21), (31, 21, 10)),
        sockets=2,
        more=(
            *("-m", "1536M,slots=4,maxmem=4G"),
            *("-object", "memory-backend-ram,id=more1,size=512M", "-device", "pc-dimm,id=dimm1,memdev=more1,node=1"),
            *("-object", "memory-backend-ram,id=more2,size=512M", "-device", "pc-dimm,id=dimm2,memdev=more2,node=2"),
        ),
    ),
    suite="trixie",
    options="memhp_default_state=online_movable transparent_hugepage=madvise",
    seconds=500,
    more_work=3,
)
ROUNDS = {"pinned": 0.01, "secret": 0.01, "ordinary": 0.01, "ordinary-2": 0.01}


def script(machine: Machine) -> str:
    """The same of memory that was added."""
    program = f"{quote(sys.executable)} {quote(str(Path(__file__).with_name('inside_usable.py')))}"
    return "\n".join(
        [
            "cd /",
            # Short lists of free pages for each CPU: what is on those of others the kernel may not take back in time.
            "echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction",
            collect._KEEP,
            collect._numaprobe(),
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            "echo +memory +cpuset >/sys/fs/cgroup/cgroup.subtree_control",
            "mkdir /sys/fs/cgroup/node1",
            "echo 1 >/sys/fs/cgroup/node1/cpuset.mems",
            "keep show numaprobe show --memory-state --json",
            "keep free numaprobe free --for pinned --json",
            "keep zones cat /proc/zoneinfo",
            f"keep pinned sh -c 'echo $$ >/sys/fs/cgroup/node1/cgroup.procs; exec {program} pinned 1'",
            f"keep secret {program} secret 1",
            f"keep ordinary {program} ordinary 1",
            f"keep ordinary-2 {program} ordinary 2",
        ]
    )


BOOTS = [Boot(ADDED, partial(script, ADDED))]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    return boots[ADDED.name].result()


@pytest.mark.parametrize("what", ROUNDS)
def test_of_added_memory_what_is_called_usable_can_be_taken(result: Result, what: str) -> None:
    """The kernel is the oracle: a process takes the hotplugged memory until it is refused."""
    found = result.json(what)
    assert abs(found["taken"] - found["usable"]) <= ROUNDS[what] * found["usable"], found


def test_added_memory_is_movable_and_none_of_it_can_be_pinned(result: Result) -> None:
    """Cell 2 consists of such memory alone, cell 1 of both kinds, cell 0 of none."""
    blocks = {cell["id"]: cell["blocks"] for cell in result.json("show")["cells"]}
    assert blocks[1]["movable"] * blocks[1]["size"] == blocks[2]["movable"] * blocks[2]["size"] == 512 * MIB
    assert blocks[0]["movable"] == 0
    usable = {cell["id"]: cell["usable"] for cell in result.json("free")["cells"]}
    assert usable[2]["pinned"] == 0 < usable[2]["ordinary"]
    assert 0 < usable[1]["pinned"] <= usable[1]["ordinary"] - 480 * MIB
