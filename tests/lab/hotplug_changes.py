"""Runs in a guest: changes its cpus, memory, nodes and huge pages, and writes down how it is between the changes.

The machine's own QEMU is reached through a serial port that is wired to QEMU's monitor. Every step has its time: what
cannot be done in it is given up, counted and told. What was done when is told on the console, which is kept outside.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import select
import signal
import sys
import termios
import time
import tty
from collections import Counter
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
SLOTS = 4  # for cpus that are not there at first
# How long a state is held at least, in seconds, and how many samples are waited for.
HELD, SAMPLES = 0.1, 5
# Seconds for hardware to come or go, for one write to sysfs, and for an answer of QEMU's, which is asked for so often.
PATIENCE, WRITING = 30.0, 5.0
ANSWERING, TRIES = 3.0, 5


class Interrupted(Exception):
    """The kernel was stopped in the middle of something."""


def interrupted(_number: int, _frame: object) -> None:
    raise Interrupted


class State(NamedTuple):
    """The machine while nothing was changed, between two moments in nanoseconds; by cell in order of ``cells``."""

    begin: int
    end: int
    cells: list[int]
    totals: list[int]
    cpus: list[int]
    pages: list[int]  # huge ones
    free: list[int]  # bytes, at the beginning
    plugged: int  # how often memory was plugged into the last node


def say(text: str) -> None:
    with Path("/dev/console").open("w") as console:
        console.write(f"{time.monotonic():9.3f} {text}\r\n")


def numbers(path: Path) -> list[int]:
    """The numbers of a list of the kernel's, such as ``0-2,5``."""
    found: list[int] = []
    for part in path.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1) if part else []
    return found


def machine() -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Cells, their totals, online cpus, huge pages and free memory by cell, from the kernel's own files."""
    cells = numbers(NODE / "online")
    rows = []
    for cell in cells:
        words = [line.split() for line in (NODE / f"node{cell}/meminfo").read_text().splitlines()]
        rows.append({line[2]: int(line[3]) for line in words})
    totals = [row["MemTotal:"] * 1024 for row in rows]
    free = [row["MemFree:"] * 1024 for row in rows]
    return cells, totals, numbers(CPU / "online"), [row["HugePages_Total:"] for row in rows], free


def write(path: Path, text: str) -> None:
    """Raises ``Interrupted`` after ``WRITING`` seconds.

    Linux moves pages away for as long as it takes, or until a signal comes (offline_pages, mm/memory_hotplug.c).
    """
    signal.setitimer(signal.ITIMER_REAL, WRITING, 0.5)
    try:
        path.write_text(text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def write_pages(node: int, count: int) -> None:
    write(NODE / f"node{node}/hugepages/hugepages-2048kB/nr_hugepages", str(count))


def is_online(path: Path) -> bool:
    """Of a cpu or a block of memory."""
    name = "online" if path.name.startswith("cpu") else "state"
    return path.exists() and (path / name).read_text().strip() in ("1", "online")


def until(what: str, true: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


class Monitor:
    """QEMU's machine protocol (QMP: docs/interop/qmp-spec.txt of QEMU), over a wire that may lose something."""

    def __init__(self) -> None:
        self.repeated = self._asked = 0
        self._descriptor = -1
        self._open()
        # The greeting may have come before anybody listened.
        self.ask("qmp_capabilities")

    def _open(self) -> None:
        """Opened anew, the port begins anew, and so does QEMU's parser."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(MONITOR, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        # Until then the port echoed, and QEMU's greeting went back to it, often not to its end: then whatever follows is
        # taken for more of it. The byte that is in no text makes the parser begin anew (qmp-spec.txt, 2.6).
        tty.setraw(self._descriptor)
        termios.tcflush(self._descriptor, termios.TCIOFLUSH)
        os.write(self._descriptor, b"\xff\n")
        self._received = b""

    def ask(self, command: str, **arguments: object) -> Any:
        """None where it had to be asked again, and QEMU had done it. Raises ``RuntimeError``, ``TimeoutError``."""
        for turn in range(TRIES):
            self._asked += 1
            request = {"execute": command, "arguments": arguments, "id": self._asked}
            reply = self._answer(json.dumps(request).encode() + b"\n")
            if reply is None:
                say(f"no answer to {command}, only {self._received!r}")
                self.repeated += 1
                self._open()
            elif "return" in reply:
                return reply["return"]
            elif turn:
                return None
            else:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
        raise TimeoutError(f"an answer to {command}")

    def _answer(self, request: bytes) -> dict[str, Any] | None:
        deadline = time.monotonic() + ANSWERING
        while (left := deadline - time.monotonic()) > 0:
            readable, writable, _ = select.select([self._descriptor], [self._descriptor] if request else [], [], left)
            if writable:
                request = request[os.write(self._descriptor, request) :]
            if readable:
                self._received += os.read(self._descriptor, 4096)
            *lines, self._received = self._received.split(b"\n")
            for line in lines:
                try:
                    reply = json.loads(line)
                except ValueError:
                    continue
                if reply.get("id") == self._asked:
                    return dict(reply)
        return None


class Changer:
    """Makes one change after another; each kind says what it did."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._random = random.Random(4)
        self._monitor = Monitor()
        self._blocks: dict[str, list[Path]] = {}  # of each DIMM that is plugged
        self._plugged = self._disturbed = 0
        self._done: Counter[str] = Counter()
        self._given_up: list[str] = []
        with COUNTER.open("rb") as file:
            self._counter = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def rounds(self, count: int) -> None:
        """In this order once, so that everything is done in few rounds, then in any order."""
        kinds = [
            *(self._cpus, self._dimm_of_last, self._pages, self._cpu_plug, self._block, self._dimm_of_second),
            *(self._cpus, self._block, self._cpus, self._dimm_of_last, self._pages, self._dimm_of_second),
        ]
        self._hold()
        for turn in range(count):
            if turn and turn % len(kinds) == 0:
                self._random.shuffle(kinds)
            try:
                what = kinds[turn % len(kinds)]()
                self._done[what] += 1
            except (Interrupted, OSError, RuntimeError) as error:
                what = f"{kinds[turn % len(kinds)].__name__} given up: {error!r}"
                self._given_up.append(what)
            say(f"round {turn + 1}: {what}")
            self._hold()
        self._tell(
            {
                "done": self._done,
                "given_up": self._given_up,
                "disturbed": self._disturbed,
                "asked_again": self._monitor.repeated,
            }
        )

    def _tell(self, line: object) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    def _samples(self) -> int:
        return int.from_bytes(self._counter[:8], "little")

    def _hold(self) -> None:
        begin, first = time.monotonic_ns(), self._samples()
        *shape, free = machine()
        time.sleep(HELD)
        until("samples", lambda: self._samples() >= first + SAMPLES)
        end = time.monotonic_ns()
        # What was given up may be done late.
        if list(machine()[:-1]) == shape:
            self._tell([begin, end, *shape, free, self._plugged])
        else:
            self._disturbed += 1

    def _cpus(self) -> str:
        cpu = self._random.choice([path for path in CPU.glob("cpu[0-9]*") if path.name != "cpu0"])
        online = is_online(cpu)
        write(cpu / "online", "0" if online else "1")
        return "cpu offline" if online else "cpu online"

    def _block(self) -> str:
        blocks = [block for found in self._blocks.values() for block in found]
        if not blocks:
            return self._dimm_of_last()
        return self._turn(self._random.choice(blocks))

    def _turn(self, block: Path) -> str:
        online = is_online(block)
        write(block / "state", "offline" if online else "online_movable")
        return "memory block offline" if online else "memory block online"

    def _pages(self) -> str:
        # Those of the second node would be taken from memory that is to go, and go with it.
        node = 0 if "second" in self._blocks else self._random.choice((0, 1))
        write_pages(node, self._random.randint(*HUGE_PAGES[node]))
        return "huge pages"

    def _dimm_of_last(self) -> str:
        return self._dimm("last", 2, 256)

    def _dimm_of_second(self) -> str:
        return self._dimm("second", 1, 128)

    def _dimm(self, name: str, node: int, mib: int) -> str:
        if name in self._blocks:
            self._unplug(name, node)
            return f"DIMM of node {node} unplugged"
        before = set(MEMORY.glob("memory[0-9]*"))
        self._monitor.ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"ram-{name}", "size": mib * MIB})
        self._plugged += name == "last"
        self._blocks[name] = []
        self._monitor.ask("device_add", driver="pc-dimm", id=name, memdev=f"ram-{name}", node=node)
        until(f"{name} to come", lambda: len(set(MEMORY.glob("memory[0-9]*")) - before) == mib // 128)
        self._blocks[name] = sorted(set(MEMORY.glob("memory[0-9]*")) - before)
        for block in self._blocks[name]:
            until(f"{block}", (block / "state").exists)
            self._turn(block)
        return f"DIMM of node {node} plugged"

    def _unplug(self, name: str, node: int) -> None:
        """Goes on from wherever it was given up before."""
        blocks = self._blocks[name]
        # Asked to eject a device Linux would go on for ever, and nothing could stop it.
        for block in blocks:
            if is_online(block):
                self._turn(block)
        if not blocks or any(block.exists() for block in blocks):
            self._monitor.ask("device_del", id=name)
        until(f"{name} to go", lambda: not any(block.exists() for block in blocks))
        until("the node to go", lambda: node != 2 or node not in numbers(NODE / "online"))
        until(f"ram-{name} to be free", lambda: self._freed(f"ram-{name}"))
        del self._blocks[name]

    def _freed(self, memory: str) -> bool:
        """QEMU gives the device up when the guest's firmware says so, a little after Linux has."""
        try:
            self._monitor.ask("object-del", id=memory)
        except RuntimeError:
            return False
        return True

    def _cpu_plug(self) -> str:
        """A cpu that was plugged stays, and goes offline and online only: ``test_sampling`` says why."""
        if self._done["cpu plugged"] == SLOTS:
            return self._cpus()
        slots = [slot for slot in self._monitor.ask("query-hotpluggable-cpus") or () if "qom-path" not in slot]
        if not slots:
            raise RuntimeError("QEMU names no cpu that may be plugged")
        # QEMU looks for the target of an interrupt up to the first APIC id that is not there (7.2:
        # apic_get_delivery_bitmask of hw/intc/apic.c), so a cpu behind a gap hears nothing from the others.
        slot = min(slots, key=lambda slot: (slot["props"]["socket-id"], slot["props"]["core-id"]))
        before = set(CPU.glob("cpu[0-9]*"))
        self._monitor.ask("device_add", driver=slot["type"], id=f"cpu-{len(slots)}", **slot["props"])
        until("the cpu to come", lambda: len(set(CPU.glob("cpu[0-9]*")) - before) == 1)
        (cpu,) = set(CPU.glob("cpu[0-9]*")) - before
        until("the cpu's switch", (cpu / "online").exists)
        if not is_online(cpu):
            write(cpu / "online", "1")
        return "cpu plugged"


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, interrupted)
    with LOG.open("w") as stream:
        Changer(stream).rounds(int(sys.argv[1]))
