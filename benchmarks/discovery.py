"""``python -m benchmarks.discovery``: what discovering a machine costs, compared with hwloc, libnuma, psutil and C.

Everything is measured in one run and by turns, because a machine's speed drifts: each contender does a few rounds,
then the next one does. C peers time themselves. Quote ratios; figures in microseconds are of one machine on one day.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import NamedTuple

import numaprobe
from numaprobe.linux import collect as linux
from numaprobe.linux.kept import forget
from numaprobe.sources.opening import open_source

from . import imports, memory, report, trees
from .hwloc import HWLOC_MODES, hwloc_versions
from .peers import Missing, Peer, build

SHAPES = (trees.Shape(1, 2), trees.Shape(2, 64), trees.Shape(16, 1024), trees.Shape(64, 4096))
RESULTS = Path(__file__).parent / "results.md"
HWLOC = {"HWLOC_COMPONENTS": "-x86"}

Rounds = Callable[[int], list[int]]


class Contender(NamedTuple):
    """Something to measure: given a number of rounds, it says the nanoseconds of each.

    ``without`` names the facts of the table's first row that it does not report.
    """

    name: str
    rounds: Rounds
    without: str = ""


class Programs(NamedTuple):
    """The compiled peers; None for one that is missing here."""

    hwloc: Path | None
    floor: Path | None
    libnuma: Path | None


class PathLog:
    """``Reader`` that passes on to another one and lists the files that were there: directory and path."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.lines: list[str] = []

    def collect(self, *, available: bool) -> list[str]:
        """The files of a probe of a host that has not changed, which looks once at what the first one reads twice."""
        with open_source(self._root, None) as self._reader:
            linux.collect(self, available=available)
        return list(dict.fromkeys(self.lines))

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        contents = self._reader.read(paths, base)
        for path, content in zip(paths, contents, strict=True):
            if isinstance(content, bytes):
                directory, _, name = (base, "", path) if base else path.rpartition("/")
                self.lines.append(f"{directory}\t{name}")
        return contents

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        return self._reader.listdir(path, prefix)

    def readlink(self, path: str) -> str | int:
        return self._reader.readlink(path)


def timed(call: Callable[[], object]) -> Rounds:
    """A contender that runs in this process."""

    def rounds(count: int) -> list[int]:
        taken = []
        for _ in range(count):
            start = perf_counter_ns()
            call()
            taken.append(perf_counter_ns() - start)
        return taken

    return rounds


def probes(root: Path | None) -> list[Contender]:
    """Probes of a host that is as it was the last time, and as the first one in a process."""

    def first() -> None:
        forget()
        numaprobe.probe(root, available=False)

    without = "available memory"
    return [
        Contender("`probe(available=False)`", timed(lambda: numaprobe.probe(root, available=False)), without),
        Contender("the same as the first of a process, with nothing kept", timed(first), without),
        Contender("`probe()`", timed(lambda: numaprobe.probe(root))),
    ]


def by_turns(contenders: list[Contender], turns: int, rounds: int) -> list[report.Result]:
    """Nanoseconds of each contender over all turns; one round before the first turn does not count."""
    taken: dict[str, list[int]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.rounds(1)
    for _ in range(turns):
        for contender in contenders:
            taken[contender.name] += contender.rounds(rounds)
    without = {contender.name: contender.without for contender in contenders}
    return [
        report.Result(name, min(values) / 1e3, median(values) / 1e3, without[name]) for name, values in taken.items()
    ]


def compiled(directory: Path, notes: list[str]) -> Programs:
    def program(name: str, *libraries: str) -> Path | None:
        try:
            return build(name, directory, *libraries)
        except Missing as missing:
            notes.append(f"Left out: {missing}.")
            return None

    return Programs(program("hwloc", "hwloc"), program("floor"), program("libnuma", "numa"))


def floors(running: ExitStack, program: Path, root: Path | None, scratch: Path, *, available: bool) -> list[Contender]:
    """The C floor for a probe: the same files from the root's descriptor, and from their directories' descriptors."""
    lines = PathLog(root).collect(available=available)
    suffix = "-available" if available else ""
    listing = scratch / f"files{suffix}"
    listing.write_text("".join(f"{line}\n" for line in lines))
    what = "what `probe()` reads" if available else "what `probe(available=False)` reads"
    return [
        Contender(name, running.enter_context(Peer(program, root or "/", listing, start)).rounds, "anything")
        for name, start in (
            (f"C floor: {what}, {len(lines)} files", "root"),
            ("C floor: the same from the directories' descriptors", "held"),
        )
    ]


def hwlocs(running: ExitStack, program: Path, cells: int, cpus: int, **environment: str) -> list[Contender]:
    """Four settings of each hwloc, the last with the components that it starts by default.

    Raises ``RuntimeError`` if one sees another machine than numaprobe does.
    """
    found = []
    for hwloc in hwloc_versions(program):
        for mode, what, without in HWLOC_MODES:
            peer = running.enter_context(Peer(hwloc.program, *hwloc.words, mode, **HWLOC, **environment))
            if peer.greeting[:2] != [str(cells), str(cpus)]:
                raise RuntimeError(f"hwloc sees {peer.greeting}, numaprobe {cells} cells and {cpus} cpus")
            found.append(Contender(f"hwloc {hwloc.version}, {what}", peer.rounds, without))
        mode, what, without = HWLOC_MODES[0]
        peer = running.enter_context(Peer(hwloc.program, *hwloc.words, mode, **environment))
        found.append(Contender(f"hwloc {hwloc.version}, {what}, components as shipped", peer.rounds, without))
    return found


def live_host(
    running: ExitStack, programs: Programs, scratch: Path, turns: int, notes: list[str]
) -> list[report.Result]:
    host = numaprobe.probe(source="linux", available=False)
    contenders = [
        *probes(None),
        Contender("`probe(devices=True, allowed=True)`", timed(lambda: numaprobe.probe(devices=True, allowed=True))),
    ]
    if programs.floor:
        contenders += floors(running, programs.floor, None, scratch, available=False)
        contenders += floors(running, programs.floor, None, scratch, available=True)[:1]
    if programs.hwloc:
        contenders += hwlocs(running, programs.hwloc, len(host.cells), sum(cpu.online is True for cpu in host.cpus))
    if programs.libnuma:
        contenders.append(
            Contender(
                "libnuma: cpus, memory, distances",
                running.enter_context(Peer(programs.libnuma)).rounds,
                "cores, packages, huge pages, available memory",
            )
        )
    try:
        import psutil
    except ImportError:
        notes.append("Left out: psutil is not installed.")
    else:
        cores = timed(lambda: psutil.cpu_count(logical=False))
        contenders.append(Contender("psutil: `cpu_count(logical=False)`", cores, "all but the number of cores"))
    return by_turns(contenders, turns, 20)


def tree(running: ExitStack, programs: Programs, scratch: Path, shape: trees.Shape, turns: int) -> list[report.Result]:
    root = scratch / f"{shape.nodes}x{shape.cpus}"
    trees.build(root, shape)
    try:
        host = numaprobe.probe(root)
        if (len(host.cells), len(host.cpus)) != shape:
            raise RuntimeError(f"numaprobe sees {len(host.cells)} cells and {len(host.cpus)} cpus in a tree of {shape}")
        contenders = probes(root)
        if programs.floor:
            contenders += floors(running, programs.floor, root, scratch, available=False)
            contenders += floors(running, programs.floor, root, scratch, available=True)[:1]
        if programs.hwloc:
            environment = {"HWLOC_FSROOT": str(root), "HWLOC_THISSYSTEM": "0"}
            found = hwlocs(running, programs.hwloc, shape.nodes, shape.cpus, **environment)
            contenders += [hwloc for hwloc in found if not hwloc.name.endswith("its defaults")]
        return by_turns(contenders, turns, max(1, 1024 // shape.cpus))
    finally:
        shutil.rmtree(root)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.discovery", description=__doc__)
    parser.add_argument("--turns", type=int, default=15, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--largest", type=int, default=4096, help="leave out trees of more cpus (default: %(default)s)")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"), help="where trees go (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the table (default: %(default)s)")
    arguments = parser.parse_args()
    notes: list[str] = []
    sections = []
    with tempfile.TemporaryDirectory() as built, tempfile.TemporaryDirectory(dir=arguments.tmpfs) as scratch:
        programs = compiled(Path(built), notes)
        with ExitStack() as running:
            results = live_host(running, programs, Path(built), arguments.turns * 2, notes)
        sections.append(report.section("This machine", results))
        peaks = [memory.Peak("This machine", None, memory.peak_kb(None))]
        for shape in SHAPES:
            if shape.cpus <= arguments.largest:
                with ExitStack() as running:
                    results = tree(running, programs, Path(scratch), shape, arguments.turns)
                sections.append(report.section(f"A tree of {shape.nodes} nodes, {shape.cpus} cpus", results))
                peaks.append(memory.of_tree(Path(scratch), shape))
        sections.append(memory.section(peaks))
        costs = imports.measure(Path(built) / "venv", ("numaprobe", "psutil"), arguments.turns * 2)
    sections.append(report.import_section(costs))
    text = report.document(sections, notes)
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
