"""Runs in a guest: one sampler is asked without pause while cpus, memory, whole nodes and huge pages come and go.

``hotplug_changes`` changes the machine in a process of its own and writes down how it was whenever it stood still; this
one samples from three threads and keeps what it got. Both use CLOCK_MONOTONIC, by which the two are laid side by side
at the end. The report on standard output is JSON: see ``judged``.
"""

from __future__ import annotations

import json
import mmap
import signal
import subprocess
import sys
import threading
import time
from array import array
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numaprobe
from numaprobe.sampling.sample import Sample
from numaprobe.sampling.values import Shape

from .hotplug_changes import COUNTER, HUGE_PAGES, LOG, MIB, State, interrupted, say, write_pages
from .watermarks import compared

# MiB that each node can have, whatever comes and goes: as with huge pages, no two overlap.
TOTALS = {0: (800, 1024), 1: (300, 640), 2: (0, 256)}
# Bytes by which free memory may differ while the machine stands still: everything that runs allocates from node 0.
NEAR = {0: 96 * MIB, 1: 16 * MIB, 2: 16 * MIB}
# Seconds without a word from the changer, until it is told where it is, and until it is left alone.
SLOW, STUCK = 5.0, 150.0


class Seen(NamedTuple):
    """What a sample said that must be so, beside free memory: few are different."""

    shape: Shape
    pages: tuple[int | None, ...]


class Watch:
    """Three threads on one sampler, and what they got."""

    def __init__(self) -> None:
        COUNTER.write_bytes(bytes(8))
        with COUNTER.open("r+b") as file:
            self._counter = mmap.mmap(file.fileno(), 8)
        # Of each sample begin, end, which of ``kinds`` it is, and free bytes of each node, -1 for none;
        # of each free() begin, end and cells, a bit for each id.
        self.seen = array("q")
        self.free = array("q")
        self.kinds: list[Seen] = []
        self._numbers: dict[tuple[int, tuple[int | None, ...]], int] = {}
        self.shapes: dict[int, Shape] = {}
        self.samples = self.probes = self.details = 0
        self.errors: list[str] = []
        self.probe_errors: list[str] = []
        self.wrong: list[str] = []
        self._stop = False

    def run(self, command: list[str]) -> int | None:
        with numaprobe.Sampler(source="linux") as self._sampler:
            threads = [
                threading.Thread(target=self._guarded, args=(one,)) for one in (self._sample, self._free, self._rest)
            ]
            for thread in threads:
                thread.start()
            status = attended(command)
            self._stop = True
            for thread in threads:
                thread.join()
        return status

    def _guarded(self, one: Any) -> None:
        while not self._stop:
            try:
                one()
            except Exception as error:  # every kind is a finding
                self.errors.append(f"{time.monotonic_ns()} {one.__name__}: {error!r}")

    def _sample(self) -> None:
        sample = self._sampler.sample()
        end = time.monotonic_ns()
        cells = {cell.id: cell for cell in sample.cells}
        free = [-1 if (cell := cells.get(node)) is None or cell.free is None else cell.free for node in TOTALS]
        self.seen.extend((sample.monotonic, end, self._kind(sample), *free))
        self.samples += 1
        self._counter[:8] = self.samples.to_bytes(8, "little")
        self._check(sample)

    def _kind(self, sample: Sample) -> int:
        pages = tuple([cell.huge_pages[0].total if cell.huge_pages else None for cell in sample.cells])
        number = self._numbers.setdefault((sample.shape.number, pages), len(self.kinds))
        if number == len(self.kinds):
            self.kinds.append(Seen(sample.shape, pages))
        return number

    def _free(self) -> None:
        begin = time.monotonic_ns()
        found = self._sampler.free()
        self.free.extend((begin, time.monotonic_ns(), sum(1 << cell for cell in found)))
        for cell, free in found.items():
            if cell not in TOTALS or free is None or not 0 <= free <= TOTALS[cell][1] * MIB:
                self.wrong.append(f"free: cell {cell} has {free}")

    def _rest(self) -> None:
        self._probe()
        self._check(self._sampler.sample(huge_pages=True, available=True, counters=True, vmstat=("nr_free_pages",)))
        self.details += 1
        time.sleep(0.2)

    def _probe(self) -> None:
        self.probes += 1
        try:
            host = numaprobe.probe(source="linux")
        except Exception as error:  # kept apart from what a sampler does
            self.probe_errors.append(f"{time.monotonic_ns()}: {error!r}")
            return
        for cell in host.cells:
            self._check_total("probe", cell.id, cell.memory.total)

    def _check(self, sample: Sample) -> None:
        shape = self.shapes.setdefault(sample.shape.number, sample.shape)
        if sample.shape != shape or tuple([cell.id for cell in sample.cells]) != shape.cells:
            self.wrong.append(f"two shapes of one number: {sample.shape} and {shape}")
        if tuple([cell.total for cell in sample.cells]) != shape.totals:
            self.wrong.append(f"totals of another shape: {sample}")
        for cell in sample.cells:
            self._check_total("sample", cell.id, cell.total)
            if cell.free is None or cell.total is None or not 0 <= cell.free <= cell.total:
                self.wrong.append(f"sample: {cell}")
            least, most = HUGE_PAGES.get(cell.id, (0, 0))
            for pages in cell.huge_pages or ():
                if pages.size == 2 * MIB and not least <= (pages.total or 0) <= most:
                    self.wrong.append(f"huge pages of another cell: {cell}")

    def _check_total(self, what: str, cell: int, found: int | None) -> None:
        least, most = TOTALS.get(cell, (1, 0))
        if found is None or not least * MIB <= found <= most * MIB:
            self.wrong.append(f"{what}: cell {cell} has {found}")


def attended(command: list[str]) -> int | None:
    """The exit status of the changer; None if it came to a stop in the kernel, whose tasks are then on the console."""
    changer = subprocess.Popen(command)
    heard, size, told = time.monotonic(), 0, False
    while changer.poll() is None:
        time.sleep(0.25)
        now = time.monotonic()
        if LOG.exists() and LOG.stat().st_size != size:
            heard, size, told = now, LOG.stat().st_size, False
        elif now - heard > STUCK:
            Path("/proc/sysrq-trigger").write_text("w")
            changer.kill()
            return None
        elif now - heard > SLOW and not told:
            told = True
            say("slow: " + " < ".join(line.split()[-1] for line in where(changer.pid).splitlines()))
    return changer.returncode


def where(pid: int) -> str:
    """The functions of the kernel that a process is in."""
    try:
        return Path(f"/proc/{pid}/stack").read_text()
    except OSError as error:
        return repr(error)


class Moments:
    """Rows of so many words that start with begin and end, in order, handed out by the states that they lie within."""

    def __init__(self, words: array[int], width: int) -> None:
        self._words = words
        self._width = width
        self._at = 0

    def within(self, state: State) -> list[array[int]]:
        found = []
        while self._at < len(self._words) and self._words[self._at + 1] <= state.end:
            if self._words[self._at] >= state.begin:
                found.append(self._words[self._at : self._at + self._width])
            self._at += self._width
        return found


def judged(watch: Watch, states: list[State]) -> dict[str, Any]:
    """What was sampled beside what was: texts of what is ``wrong``, what was not seen, and how long seeing it took."""
    wrong, unseen, lags = list(watch.wrong), [], []
    since: dict[int, set[int]] = {}
    samples, frees = Moments(watch.seen, 3 + len(TOTALS)), Moments(watch.free, 3)
    for state in states:
        cells = sum(1 << cell for cell in state.cells)
        given = [bits == cells for _, _, bits in frees.within(state)]
        if given and not given[-1]:
            unseen.append(f"free() of other cells in {state}")
        inside = samples.within(state)
        right = [fits(watch.kinds[row[2]], state) for row in inside]
        if True not in right:
            unseen.append(f"{len(inside)} samples in {state}: {[watch.kinds[row[2]] for row in inside[-1:]]}")
            continue
        first = right.index(True)
        lags.append((inside[first][0] - state.begin) / 1e6 if first else 0.0)
        if not all(right[first:]):
            wrong.append(f"a shape that was not there any more in {state}")
        wrong += [f"free memory {row[3:]} in {state}" for row in inside[first:] if not near(row[3:], state)][:1]
        for kind in {row[2] for row in inside[first:]}:
            shape = watch.kinds[kind].shape
            if 2 in shape.cells:
                since.setdefault(state.plugged, set()).add(shape.since[shape.cells.index(2)])
    births = [first for found in since.values() for first in found]
    if len(set(births)) != len(births) or any(len(found) != 1 for found in since.values()):
        wrong.append(f"a node that came back is taken for the one that went: {since}")
    return {
        "wrong": wrong,
        "unseen": unseen,
        "errors": watch.errors,
        "probe_errors": watch.probe_errors,
        "states": len(states),
        "changes": sum(one[2:6] != other[2:6] for one, other in pairwise(states)),
        "samples": watch.samples,
        "frees": len(watch.free) // 3,
        "probes": watch.probes,
        "details": watch.details,
        "shapes": len(watch.shapes),
        "births": len(births),
        "slowest_ms": max(lags, default=None),
        "late": sum(lag > 0 for lag in lags),
    }


def fits(seen: Seen, state: State) -> bool:
    shape = seen.shape
    found = [list(shape.cells), list(shape.totals), list(shape.cpus or ()), list(seen.pages)]
    return found == [state.cells, state.totals, state.cpus, state.pages]


def near(free: array[int], state: State) -> bool:
    """Whether free memory by node is what the kernel's own files said at the beginning of the state."""
    there = dict(zip(state.cells, state.free, strict=True))
    return all(
        abs(found - there[node]) <= NEAR[node] if node in there else found < 0 for node, found in enumerate(free)
    )


def main() -> int:
    signal.signal(signal.SIGALRM, interrupted)
    begin = time.monotonic()
    write_pages(0, 5)
    write_pages(1, 25)
    watch = Watch()
    status = watch.run([sys.executable, "-m", "tests.lab.hotplug_changes", sys.argv[1]])
    lines = [json.loads(line) for line in LOG.read_text().splitlines()]
    states = [State(*line) for line in lines if isinstance(line, list)]
    (told,) = [line for line in lines if isinstance(line, dict)] or [{}]
    seconds = round(time.monotonic() - begin, 1)
    report = {**judged(watch, states), "status": status, "seconds": seconds, "watermarks": compared(), **told}
    json.dump(report, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
