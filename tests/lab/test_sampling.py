"""A sampler in a Linux guest whose cpus, memory, nodes and huge pages change, as often as NUMAPROBE_LAB_HOTPLUG says.

Not part of every run of the lab: taking memory offline may take an emulated kernel minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from . import collect, packages
from .guest import Lab
from .layout import Layout, Node
from .machines import THREE_ASYMMETRIC, Machine

ROUNDS = int(os.environ.get("NUMAPROBE_LAB_HOTPLUG", "0"))

pytestmark = pytest.mark.skipif(not ROUNDS, reason="asked for with NUMAPROBE_LAB_HOTPLUG=ROUNDS")


def machine(socket: Path) -> Machine:
    """A third node that has nothing until memory is plugged in, and QEMU's monitor on the second serial port."""
    return Machine(
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
                f"socket,id=monitor,path={socket},server=on,wait=off",
                "-mon",
                "chardev=monitor,mode=control",
                "-chardev",
                f"socket,id=wire,path={socket},reconnect=1",
                "-device",
                "isa-serial,chardev=wire,index=1",
            ),
        ),
        seconds=1200,
    )


def script(rounds: int) -> str:
    """What to run as root, with ``OUT`` set."""
    root = Path(__file__).parents[2]
    # What these processes use of memory that is to go would have to be moved away, and 9p's pages cannot be.
    run = f"keep hotplug {packages.tool('numactl')} --membind=0 {quote(sys.executable)} -m tests.lab.hotplug {rounds}"
    return "\n".join([f"cd {quote(str(root))}", collect._KEEP, collect._numaprobe(), run])


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of ``hotplug.py``; the name is the one by which lab tests are known."""
    lines = packages.missing({"bookworm"}, set())
    if lines:
        pytest.fail("the lab is not whole:\n" + "\n".join(lines), pytrace=False)
    folder = tmp_path_factory.mktemp("hotplug")
    report: dict[str, Any] = Lab(folder).boot(machine(folder / "monitor"), script(ROUNDS)).json("hotplug")
    return report


def test_every_change_was_made(result: dict[str, Any]) -> None:
    """Cpus and memory went and came, the node did, and hardware was plugged and unplugged."""
    assert (result["status"], result["states"]) == (0, ROUNDS + 1)
    assert {
        "cpu offline",
        "cpu online",
        "memory block offline",
        "memory block online",
        "huge pages",
        "DIMM of node 2 plugged",
        "DIMM of node 2 unplugged",
        "DIMM of node 1 plugged",
        "DIMM of node 1 unplugged",
        "cpu plugged",
        "cpu unplugged",
    } <= set(result["done"])


def test_nothing_failed_while_the_machine_changed(result: dict[str, Any]) -> None:
    """Neither samples of every kind nor probes, taken without pause from three threads."""
    assert result["errors"] == []
    assert result["samples"] > 10 * ROUNDS
    assert min(result["frees"], result["probes"], result["details"]) > 0


def test_no_figure_was_given_to_another_cell(result: dict[str, Any]) -> None:
    """Totals and huge pages stayed within what only that cell can have; one that came back was a new one."""
    assert result["wrong"] == []
    assert result["births"] > 1


def test_every_change_of_shape_was_seen(result: dict[str, Any]) -> None:
    """Whenever the machine stood still the samples came to say exactly what it was, within a second."""
    assert result["unseen"] == []
    assert result["changes"] > ROUNDS // 2
    assert result["slowest_ms"] < 1000
