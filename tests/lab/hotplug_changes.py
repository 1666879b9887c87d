"""Runs in a guest: changes its cpus, memory, nodes and huge pages, and writes down how it is between the changes.

The machine's own QEMU is reached through a serial port that is wired to QEMU's monitor.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import termios
import time
import tty
from pathlib import Path
from typing import Any, NamedTuple

MIB = 1 << 20
NODE = Path("/sys/devices/system/node")
CPU = Path("/sys/devices/system/cpu")
MEMORY = Path("/sys/devices/system/memory")
MONITOR = "/dev/ttyS1"
COUNTER = Path("/run/sampled")  # eight bytes: how many samples there were
LOG = Path("/run/changes")
# How many huge pages each node has: no two ranges overlap, so that a figure of another node's shows.
HUGE_PAGES = {0: (2, 9), 1: (20, 29), 2: (0, 0)}
# How long a state is held at least, in seconds, and how many samples are waited for.
HELD, SAMPLES = 0.1, 5
PATIENCE = 30.0
OFFLINING = 5.0


class Interrupted(Exception):
    """The kernel was stopped in the middle of something."""


def interrupted(_number: int, _frame: object) -> None:
    raise Interrupted


class State(NamedTuple):
    """The machine while nothing was changed, between two moments in nanoseconds."""

    begin: int
    end: int
    cells: list[int]
    totals: list[int]
    cpus: list[int]
    plugged: int  # how often memory was plugged into the last node


def numbers(path: Path) -> list[int]:
    """The numbers of a list of the kernel's, such as ``0-2,5``."""
    found: list[int] = []
    for part in path.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1) if part else []
    return found


def total(node: int) -> int:
    """Bytes: MemTotal of the node's own file."""
    line = next(line for line in (NODE / f"node{node}/meminfo").read_text().splitlines() if "MemTotal" in line)
    return int(line.split()[3]) * 1024


def write_pages(node: int, count: int) -> None:
    (NODE / f"node{node}/hugepages/hugepages-2048kB/nr_hugepages").write_text(str(count))


def until(what: str, true: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


class Monitor:
    """QEMU's machine protocol (QMP: docs/interop/qmp-spec.txt of QEMU)."""

    def __init__(self) -> None:
        descriptor = os.open(MONITOR, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(descriptor)
        termios.tcflush(descriptor, termios.TCIFLUSH)
        self._stream = os.fdopen(descriptor, "r+b", buffering=0)
        # The greeting may have come before anybody listened.
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> Any:
        self._stream.write(json.dumps({"execute": command, "arguments": arguments, "id": command}).encode() + b"\n")
        while True:
            line = self._stream.readline()
            try:
                reply = json.loads(line)
            except ValueError:
                continue
            if reply.get("id") != command:
                continue
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
            return reply["return"]


class Changer:
    """Makes one change after another; each kind says what it did."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._random = random.Random(4)
        self._monitor = Monitor()
        self._blocks: dict[str, list[Path]] = {}  # of each DIMM that is plugged
        self._plugged = 0
        self._cpu: dict[str, Any] | None = None
        self._done: dict[str, int] = {}
        with COUNTER.open("rb") as file:
            self._counter = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def rounds(self, count: int) -> None:
        kinds = (self._cpus, self._block, self._cpus, self._pages, self._block, self._cpus, self._block, self._pages)
        self._hold()
        for turn in range(count):
            if turn % 10 == 9:
                what = (self._dimm_of_last, self._cpu_plug, self._dimm_of_last, self._dimm_of_second)[turn // 10 % 4]()
            else:
                what = kinds[turn % len(kinds)]()
            self._done[what] = self._done.get(what, 0) + 1
            self._hold()
        self._log.write(json.dumps({"done": self._done}) + "\n")

    def _samples(self) -> int:
        return int.from_bytes(self._counter[:8], "little")

    def _hold(self) -> None:
        cells = numbers(NODE / "online")
        totals, cpus = [total(node) for node in cells], numbers(CPU / "online")
        begin, first = time.monotonic_ns(), self._samples()
        time.sleep(HELD)
        until("samples", lambda: self._samples() >= first + SAMPLES)
        self._log.write(json.dumps(State(begin, time.monotonic_ns(), cells, totals, cpus, self._plugged)) + "\n")
        self._log.flush()

    def _cpus(self) -> str:
        cpu = self._random.choice([path for path in CPU.glob("cpu[0-9]*") if path.name != "cpu0"])
        online = (cpu / "online").read_text().strip() == "1"
        (cpu / "online").write_text("0" if online else "1")
        return "cpu offline" if online else "cpu online"

    def _block(self) -> str:
        blocks = [block for found in self._blocks.values() for block in found]
        if not blocks:
            return self._dimm_of_last()
        block = self._random.choice(blocks)
        online = (block / "state").read_text().strip() == "online"
        return self._set_block(block, online=not online)

    def _set_block(self, block: Path, *, online: bool) -> str:
        # Linux moves pages away for as long as it takes, or until a signal comes (offline_pages, mm/memory_hotplug.c).
        signal.setitimer(signal.ITIMER_REAL, OFFLINING)
        try:
            (block / "state").write_text("online_movable" if online else "offline")
        except (OSError, Interrupted) as error:
            return f"memory block refused: {error!r}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return "memory block online" if online else "memory block offline"

    def _pages(self) -> str:
        node = self._random.choice((0, 1))
        write_pages(node, self._random.randint(*HUGE_PAGES[node]))
        return "huge pages"

    def _dimm_of_last(self) -> str:
        return self._dimm("last", 2, 256)

    def _dimm_of_second(self) -> str:
        return self._dimm("second", 1, 128)

    def _dimm(self, name: str, node: int, mib: int) -> str:
        if name in self._blocks:
            blocks = self._blocks[name]
            # Asked to eject a device Linux would go on for ever, and nothing could stop it.
            for block in blocks:
                if (block / "state").read_text().strip() == "online":
                    self._set_block(block, online=False)
            if any((block / "state").read_text().strip() == "online" for block in blocks):
                return f"DIMM of node {node} in use"
            del self._blocks[name]
            self._monitor.ask("device_del", id=name)
            until(f"{name} to go", lambda: not any(block.exists() for block in blocks))
            until("the node to go", lambda: node != 2 or node not in numbers(NODE / "online"))
            self._until_gone(f"ram-{name}")
            return f"DIMM of node {node} unplugged"
        before = set(MEMORY.glob("memory[0-9]*"))
        self._monitor.ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"ram-{name}", "size": mib * MIB})
        self._plugged += name == "last"
        self._monitor.ask("device_add", driver="pc-dimm", id=name, memdev=f"ram-{name}", node=node)
        until(f"{name} to come", lambda: len(set(MEMORY.glob("memory[0-9]*")) - before) == mib // 128)
        self._blocks[name] = sorted(set(MEMORY.glob("memory[0-9]*")) - before)
        for block in self._blocks[name]:
            until(f"{block}", (block / "state").exists)
            self._set_block(block, online=True)
        return f"DIMM of node {node} plugged"

    def _until_gone(self, memory: str) -> None:
        """QEMU gives the device up when the guest's firmware says so, a little after Linux has."""

        def gone() -> bool:
            try:
                self._monitor.ask("object-del", id=memory)
            except RuntimeError:
                return False
            return True

        until(f"{memory} to be free", gone)

    def _cpu_plug(self) -> str:
        if self._cpu is not None:
            path = self._cpu["path"]
            self._monitor.ask("device_del", id="cpu")
            until("the cpu to go", lambda: not path.exists())
            self._cpu = None
            until("QEMU to let the cpu go", lambda: len(self._free_cpus()) == 4)
            return "cpu unplugged"
        before = set(CPU.glob("cpu[0-9]*"))
        slot = self._free_cpus()[0]
        self._monitor.ask("device_add", driver=slot["type"], id="cpu", **slot["props"])
        until("the cpu to come", lambda: len(set(CPU.glob("cpu[0-9]*")) - before) == 1)
        (path,) = set(CPU.glob("cpu[0-9]*")) - before
        until("the cpu's switch", (path / "online").exists)
        if (path / "online").read_text().strip() == "0":
            (path / "online").write_text("1")
        self._cpu = {"path": path}
        return "cpu plugged"

    def _free_cpus(self) -> list[Any]:
        return [slot for slot in self._monitor.ask("query-hotpluggable-cpus") if "qom-path" not in slot]


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, interrupted)
    with LOG.open("w") as stream:
        Changer(stream).rounds(int(sys.argv[1]))
