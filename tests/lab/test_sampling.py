"""A sampler in a Linux guest whose cpus, memory, nodes and huge pages change, as often as NUMAPROBE_LAB_HOTPLUG says.

Twelve rounds make every kind of change once; 0 leaves it all out. Cpus are plugged and then go offline and online, and
are not unplugged: QEMU 7.2 was seen to end over it, with all cpus emulated in one thread (qemu_thread_join: Resource
deadlock avoided) and with a thread for each (double free or corruption).
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import FOLDER, THREE_ASYMMETRIC, Machine
from .watermarks import NEAR

ROUNDS = int(os.environ.get("NUMAPROBE_LAB_HOTPLUG", "12"))

pytestmark = pytest.mark.skipif(not ROUNDS, reason="NUMAPROBE_LAB_HOTPLUG is 0")


# A third node that has nothing until memory is plugged in, and QEMU's monitor on the second serial port.
HOST = Machine(
    "hotplug",
    "cpus, memory and a node come and go; the guest does it itself",
    Layout(
        (Node(1024, ("0-1", "4-5")), Node(512, ("2-3", "6-7")), Node()),
        THREE_ASYMMETRIC,
        4,
        2,
        present=4,
        more=(
            "-m",
            "1536M,slots=4,maxmem=4G",
            "-chardev",
            f"socket,id=monitor,path={FOLDER}/monitor,server=on,wait=off",
            "-mon",
            "chardev=monitor,mode=control",
            "-chardev",
            f"socket,id=wire,path={FOLDER}/monitor,reconnect=1",
            "-device",
            "isa-serial,chardev=wire,index=1",
        ),
    ),
    seconds=240 + 6 * ROUNDS,
    more_work=4,
)


def script(rounds: int) -> str:
    """What to run as root, with ``OUT`` set."""
    root = Path(__file__).parents[2]
    # What these processes use of memory that is to go would have to be moved away, and 9p's pages cannot be.
    run = f"keep hotplug {packages.tool('numactl')} --membind=0 {quote(sys.executable)} -m tests.lab.hotplug {rounds}"
    return "\n".join([f"cd {quote(str(root))}", collect._KEEP, collect._numaprobe(), run])


BOOTS = [Boot(HOST, partial(script, ROUNDS))] if ROUNDS else []


@pytest.fixture(scope="module")
def result(request: pytest.FixtureRequest, boots: dict[str, Future[Result]]) -> dict[str, Any]:
    """The report of ``hotplug.py``; the name is the one by which lab tests are known."""
    report: dict[str, Any] = boots[HOST.name].result().json("hotplug")
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        shown = {name: value for name, value in report.items() if name != "watermarks"}
        terminal.write_line("\n" + ", ".join(f"{name} {value}" for name, value in shown.items()))
    return report


def test_every_change_was_made(result: dict[str, Any]) -> None:
    """CPUs, memory and a node were removed and added, and hardware was plugged and unplugged, or all below is void."""
    assert result["status"] == 0
    # What the kernel or QEMU did not do in its time is no fault of a sampler's, unless it is the rule.
    given_up = len(result["given_up"])
    assert given_up <= ROUNDS // 20, result["given_up"]
    assert result["disturbed"] <= given_up
    assert result["states"] + result["disturbed"] == ROUNDS + 1
    assert {
        "cpu offline",
        "memory block offline",
        "huge pages",
        "DIMM of node 2 plugged",
        "DIMM of node 2 unplugged",
        "DIMM of node 1 plugged",
        "DIMM of node 1 unplugged",
        "cpu plugged",
    } <= set(result["done"])
    assert ROUNDS < 24 or {"cpu online", "memory block online"} <= set(result["done"])


def test_nothing_failed_while_the_machine_changed(result: dict[str, Any]) -> None:
    """Samples of every kind were taken without pause from three threads."""
    assert result["errors"] == []
    assert result["samples"] > 10 * ROUNDS
    assert min(result["frees"], result["details"]) > 0


def test_no_probe_failed_while_the_machine_changed(result: dict[str, Any]) -> None:
    """A probe reads many files in turn, and nodes may be added or removed between any two."""
    assert result["probe_errors"] == []
    assert result["probes"] > 0


def test_no_figure_was_given_to_another_cell(result: dict[str, Any]) -> None:
    """Totals, huge pages and free memory were that cell's alone, and one that was added again was a new one."""
    assert result["wrong"] == []
    assert result["births"] >= max(1, ROUNDS // 16)


def test_every_change_of_shape_was_seen(result: dict[str, Any]) -> None:
    """Within a second of standing still, the samples described the machine exactly."""
    assert result["unseen"] == []
    assert result["changes"] > ROUNDS * 3 // 4
    assert result["slowest_ms"] < 1000


def test_available_memory_follows_the_kernels_settings_at_once(result: dict[str, Any]) -> None:
    """What a sampler keeps of the watermarks is dropped with the first sample after a setting has changed."""
    assert [row["setting"] for row in result["watermarks"]] == ["min_free_kbytes", "watermark_scale_factor"]
    for row in result["watermarks"]:
        before, after, probed, again = (row[name] for name in ("before", "after", "probed", "again"))
        assert sum(after.values()) < sum(before.values()) - 2 * NEAR, row
        assert all(abs(after[cell] - probed[cell]) <= NEAR for cell in probed), row
        assert all(abs(again[cell] - before[cell]) <= NEAR for cell in before), row
