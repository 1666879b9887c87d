"""A QEMU without libvirt, given memory and vcpus over QMP: what numaprobe says is what QEMU says, or unknown.

Boots nothing: the guest is paused, and QEMU runs beside the test.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import numaprobe

from . import packages

MIB = 1 << 20
# By name: memory, vcpus, and whether threads have names; whether all of the memory, and of the vcpus, is known then.
GUESTS = {
    "fixed": (("-m", "64", "-smp", "2"), "on", True, True),
    "open": (("-m", "64,slots=2,maxmem=512M", "-smp", "1,maxcpus=3"), "on", False, True),
    "open-unnamed": (("-m", "64,slots=2,maxmem=512M", "-smp", "1,maxcpus=3"), "off", False, False),
}


class Qemu:
    """A paused guest, and its monitor."""

    def __init__(self, folder: Path, words: tuple[str, ...], threads: str) -> None:
        path = folder / "qmp"
        command = [packages.tool("qemu-system-x86_64"), "-name", f"guest=plugged,debug-threads={threads}", "-S"]
        command += ["-accel", "tcg", "-machine", "q35", "-display", "none", "-nodefaults", *words]
        self.process = subprocess.Popen([*command, "-qmp", f"unix:{path},server=on,wait=off"])
        self._socket = socket.socket(socket.AF_UNIX)
        for _ in range(200):
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                time.sleep(0.05)
        self._answers = self._socket.makefile("r")
        self._answers.readline()
        self.ask("qmp_capabilities")

    def ask(self, execute: str, **arguments: Any) -> Any:
        """What QEMU returns; events are passed over."""
        self._socket.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self._answers.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def memory(self) -> int:
        """Bytes, with those that were plugged in."""
        found = self.ask("query-memory-size-summary")
        return int(found["base-memory"]) + int(found.get("plugged-memory", 0))

    def vcpus(self) -> int:
        return len(self.ask("query-cpus-fast"))

    def seen(self) -> numaprobe.Domain:
        """What numaprobe says of the process."""
        (found,) = [one for one in numaprobe.domains(numaprobe.probe()) if one.id == self.process.pid]
        assert (found.kind, found.name) == ("qemu", "plugged")
        return found


@pytest.fixture(params=GUESTS)
def plugged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Qemu]]:
    """One of the guests, which ends with the test."""
    words, threads, _, _ = GUESTS[request.param]
    qemu = Qemu(tmp_path, words, threads)
    try:
        yield request.param, qemu
    finally:
        qemu.process.kill()
        qemu.process.wait()


def agree(name: str, qemu: Qemu) -> None:
    """Both figures are QEMU's, or unknown where something may have been added unseen."""
    _, _, memory_known, vcpus_known = GUESTS[name]
    found = qemu.seen()
    assert found.maximum == (qemu.memory() if memory_known else None)
    assert found.vcpus == (qemu.vcpus() if vcpus_known else None)


def test_figures_are_qemus_as_started_and_as_plugged(plugged: tuple[str, Qemu]) -> None:
    """A smaller number than the guest has would give its memory away twice."""
    name, qemu = plugged
    agree(name, qemu)
    if name == "fixed":
        return
    qemu.ask("object-add", **{"qom-type": "memory-backend-ram", "id": "more", "size": 128 * MIB})
    qemu.ask("device_add", driver="pc-dimm", id="dimm", memdev="more")
    slot = next(one for one in qemu.ask("query-hotpluggable-cpus") if "qom-path" not in one)
    qemu.ask("device_add", driver=slot["type"], id="vcpu", **slot["props"])
    assert (qemu.memory(), qemu.vcpus()) == (192 * MIB, 2)
    agree(name, qemu)
