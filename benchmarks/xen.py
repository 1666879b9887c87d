"""``python -m benchmarks.xen``: the cost of sampling and probing under Xen, next to the bare hypercalls.

Boots a guest of the lab (``tests/lab/install``), a Xen with two nodes, and measures in its control domain. The floor is
plain C that makes the same hypercalls from a list, which is written down while numaprobe makes them. The emulated
clock is coarse, so a round is many calls.
"""

from __future__ import annotations

import argparse
import cProfile
import ctypes
import fcntl
import io
import mmap
import os
import pstats
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from shlex import quote
from statistics import median
from time import monotonic_ns, perf_counter_ns
from typing import TYPE_CHECKING

import numaprobe
from numaprobe.sampling import xen as sample_xen
from numaprobe.sources.opening import hypercalls, open_source
from numaprobe.xen.collect import collect
from numaprobe.xen.kept import forget
from tests.lab import collect as lab_script
from tests.lab import packages
from tests.lab.guest import Lab
from tests.lab.machines import EVERY

from . import report
from .discovery import Contender, Rounds, by_turns
from .peers import Peer
from .static import build

if TYPE_CHECKING:
    from numaprobe.ports import Hypercalls, Reader

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "xen.md"
MACHINE = EVERY["xen-4.17-two-nodes-hole"]
SAMPLES, PROBES = 50, 4  # in a round
PROFILED = 30
IOCTL_HYPERCALL = 0x305000  # IOCTL_PRIVCMD_HYPERCALL of Linux's include/uapi/xen/privcmd.h
SLOWEST = 22

# For a reader who wonders why a probe is not nearer to its hypercalls; measured in November 2026.
LIMITS = """\
## What the time goes to

A call in Python takes some 9 µs here, half as long as a bare hypercall, and the facts make 300 the first time. Where
the hypervisor answers as it did the last time in this process, which is found by making the same hypercalls in one call
of the extension, only memory is decoded: 90. `tests/xen/test_xen_steps.py` counts the calls on recorded transcripts.
A probe also opens the device and its pages, finds out that it is in a control domain, and reads the SRAT.
"""

Buffers = tuple[tuple[int, bytes], ...]


class Asked:
    """Passes hypercalls on and lists them as ``xen_floor`` reads them."""

    def __init__(self, port: Hypercalls) -> None:
        self._port = port
        self.lines: list[str] = []

    def call(self, number: int, command: int, op: bytes, buffers: Buffers = ()) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Make one hypercall through the other port."""
        handles = [f"{offset}:{given.hex()}" for offset, given in buffers]
        self.lines.append(" ".join([str(number), str(command), op.hex() or "-", *handles]))
        return self._port.call(number, command, op, buffers)


def asked() -> tuple[list[str], list[str]]:
    """The hypercalls of a sample and those of a probe."""
    with open_source(None, None) as reader, hypercalls(reader, live=True) as port:
        return calls_of(port, reader)


def calls_of(port: Hypercalls, reader: Reader) -> tuple[list[str], list[str]]:
    """The same of any port."""
    # What the hypervisor refuses is requested once by a process, and not in every probe.
    refused: dict[tuple[int, int], int] = {}
    collect(port, reader, refused=refused)
    probing = Asked(port)
    facts = collect(probing, reader, refused=refused)
    sampling = Asked(port)
    snapshot = sample_xen.XenSampler(sampling, reader, timed=True, facts=facts).snapshot
    sampling.lines.clear()
    snapshot.free()
    return sampling.lines, probing.lines


def batches(call: Callable[[], object], times: int) -> Rounds:
    """Nanoseconds of one call, the mean of each batch."""

    def rounds(count: int) -> list[int]:
        taken = []
        for _ in range(count):
            start = perf_counter_ns()
            for _ in range(times):
                call()
            taken.append((perf_counter_ns() - start) // times)
        return taken

    return rounds


def each(peer: Peer, times: int) -> Rounds:
    """The same of a peer that makes its calls so many times in a round."""
    return lambda count: [taken // times for taken in peer.rounds(count)]


def floor(program: Path, scratch: Path, name: str, lines: list[str], times: int) -> Peer:
    listing = scratch / name
    listing.write_text("".join(f"{line}\n" for line in lines))
    peer = Peer(program, listing, str(times))
    if peer.greeting[0] != str(len(lines)):
        raise RuntimeError(f"{name}: {peer.greeting[0]} calls of {len(lines)}")
    return peer


def python_ioctl(kept: ExitStack, line: str) -> Callable[[], object]:
    """The call of a line from this interpreter, and nothing made of the answer."""
    number, _, op, *buffers = line.split()
    device = os.open("/dev/xen/privcmd", os.O_RDWR | os.O_CLOEXEC)
    kept.callback(os.close, device)
    file = os.open("/dev/xen/hypercall", os.O_RDWR | os.O_CLOEXEC)
    pages = mmap.mmap(file, mmap.PAGESIZE)
    os.close(file)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    operation, at = bytearray.fromhex(op), 1024
    for buffer in buffers:
        offset, _, given = buffer.partition(":")
        content = bytes.fromhex(given)
        pages[at : at + len(content)] = content
        operation[int(offset) : int(offset) + 8] = (address + at).to_bytes(8, "little")
        at += len(content)
    request, size = struct.pack("<6Q", int(number), address, 0, 0, 0, 0), len(operation)

    def once() -> None:
        pages[:size] = operation
        fcntl.ioctl(device, IOCTL_HYPERCALL, request)

    return once


def looking_always(kept: ExitStack) -> numaprobe.Sampler:
    """A sampler that looks at physinfo for every sample, as one does that is asked now and then."""
    usual, sample_xen.LOOK_EVERY = sample_xen.LOOK_EVERY, 0
    try:
        return kept.enter_context(numaprobe.Sampler(source="xen"))
    finally:
        sample_xen.LOOK_EVERY = usual


def process(command: list[str]) -> Contender:
    def once() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)

    name = "`xl info -n`" if command[-2:] == ["info", "-n"] else "`numaprobe show`"
    return Contender(f"{name}, as a process", batches(once, 1))


def anew(port: Hypercalls, reader: Reader) -> None:
    """The facts with nothing kept of earlier ones."""
    forget()
    collect(port, reader)


def inside(arguments: argparse.Namespace) -> None:
    """In the control domain: writes the tables, and a profile of probes."""
    sampling, probing = asked()
    out, turns = arguments.output, arguments.turns
    sections = []
    with tempfile.TemporaryDirectory() as folder, numaprobe.Sampler(source="xen") as sampler:
        scratch = Path(folder)
        with (
            floor(arguments.floor, scratch, "sample", sampling, SAMPLES) as of_sample,
            floor(arguments.floor, scratch, "probe", probing, PROBES) as of_probe,
            ExitStack() as kept,
        ):
            bare = python_ioctl(kept, sampling[-1])
            rare = looking_always(kept)
            found = [
                Contender("C floor: the bare numainfo", each(of_sample, SAMPLES)),
                Contender("Python: the same by `fcntl.ioctl`, not decoded", batches(bare, SAMPLES)),
                Contender("Python: `time.monotonic_ns()`, of which a sample has one", batches(monotonic_ns, SAMPLES)),
                Contender("`sampler.free()`", batches(sampler.free, SAMPLES)),
                Contender("`sampler.sample()`", batches(sampler.sample, SAMPLES)),
                Contender("`sampler.sample()` with a look at physinfo each time", batches(rare.sample, SAMPLES)),
                Contender("`sampler.sample().cells`", batches(lambda: sampler.sample().cells, SAMPLES)),
                Contender("`sampler.sample(available=True)`", batches(lambda: sampler.sample(available=True), SAMPLES)),
            ]
            sections.append(report.section("A sample", by_turns(found, turns, 5)))
            with open_source(None, None) as reader, hypercalls(reader, live=True) as port:
                found = [
                    Contender(f"C floor: the {len(probing)} hypercalls of a probe, bare", each(of_probe, PROBES)),
                    Contender(
                        "the facts alone, over a port that is open", batches(lambda: collect(port, reader), PROBES)
                    ),
                    Contender("the same as the first of a process", batches(lambda: anew(port, reader), PROBES)),
                    Contender("`probe()`", batches(numaprobe.probe, PROBES)),
                ]
                sections.append(report.section("A probe", by_turns(found, turns, 3)))
    whole = [Contender("`probe()`", batches(numaprobe.probe, PROBES))]
    whole += [process([sys.executable, "-m", "numaprobe", "show"]), process(arguments.xl.split())]
    sections.append(report.section("Compared with whole processes", by_turns(whole, max(2, turns // 4), 1)))
    (out / "tables.md").write_text("\n".join(sections))
    (out / "machine").write_text(report.machine())
    (out / "calls").write_text("".join(f"{' '.join(line.split()[:2])}\n" for line in probing))
    (out / "profile").write_text(profile())


def profile() -> str:
    """Where the time of a probe goes, by function and, without a profiler, as a whole."""
    taken = []
    for _ in range(PROFILED):
        start = perf_counter_ns()
        numaprobe.probe()
        taken.append(perf_counter_ns() - start)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(PROFILED):
        numaprobe.probe()
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(SLOWEST)
    return f"{PROFILED} probes, the median {median(taken) / 1e3:.0f} µs without the profiler\n{text.getvalue()}"


def script(program: Path, turns: int) -> str:
    """What to run as root, with ``OUT`` set."""
    xen = packages.xen(MACHINE.suite)
    libraries = xen.root / "usr/lib/x86_64-linux-gnu"
    xl = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, xen.programs / "xl", "info", "-n"]
    command = [sys.executable, "-m", "benchmarks.xen", "--inside", str(program), "--turns", str(turns)]
    command += ["--xl", " ".join(map(str, xl))]
    return "\n".join(
        [
            "cd /",
            lab_script._KEEP,
            lab_script._numaprobe(),
            lab_script._toolstack(xen),
            lab_script._DAEMONS,
            # The clocks of two virtual cpus differ here, and Linux holds the one back until the other has caught up.
            "echo 0 >/sys/devices/system/cpu/cpu1/online",
            f"cd {quote(str(ROOT))}",
            f'keep measured {" ".join(map(quote, command))} --output "$OUT"',
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xen", description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=20, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page (default: %(default)s)")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="also write where the time of a probe goes")
    parser.add_argument("--inside", dest="floor", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--xl", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.floor is not None:
        inside(arguments)
        return 0
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        program = build("xen_floor", Path(folder))
        result = Lab(Path(folder)).boot(MACHINE, script(program, arguments.turns))
        result.printed("measured")
        if arguments.profile is not None:
            shutil.copyfile(result.out / "profile", arguments.profile)
        layout = MACHINE.layout
        head = [
            "# What the hypervisor's answers cost",
            "",
            f"Made by `python -m benchmarks.xen` on {date.today().isoformat()}, in a control domain of Xen "
            f"{packages.xen(MACHINE.suite).version}",
            f"with {len(layout.nodes)} nodes and {layout.cpus} cpus, emulated by QEMU:",
            f"{result.text('machine')}.",
            "One run, by turns; ratios are to the first row of each table.",
            "",
            result.text("tables.md"),
            LIMITS,
        ]
    text = "\n".join(head)
    arguments.output.write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
