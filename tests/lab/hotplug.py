"""Runs in a guest: one sampler is asked without pause while cpus, memory, whole nodes and huge pages come and go.

``hotplug_changes`` changes the machine in a process of its own and writes down how it was whenever it stood still; this
one samples from three threads and keeps what it got. Both use CLOCK_MONOTONIC, by which the two are laid side by side
at the end. The report on standard output is JSON: see ``judged``.
"""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import threading
import time
from array import array
from itertools import pairwise
from typing import Any

import numaprobe
from numaprobe.sample import Sample, Shape

from .hotplug_changes import COUNTER, HUGE_PAGES, LOG, MIB, State, write_pages

# MiB that each node can have, whatever comes and goes: as with huge pages, no two overlap.
TOTALS = {0: (800, 1024), 1: (300, 640), 2: (0, 256)}


class Watch:
    """Three threads on one sampler, and what they got."""

    def __init__(self) -> None:
        COUNTER.write_bytes(bytes(8))
        with COUNTER.open("r+b") as file:
            self._counter = mmap.mmap(file.fileno(), 8)
        # Begin, end and number of shape of each sample; begin, end and cells (a bit for each id) of each free().
        self.seen = array("q")
        self.free = array("q")
        self.shapes: dict[int, Shape] = {}
        self.probes = self.details = 0
        self.errors: list[str] = []
        self.wrong: list[str] = []
        self._stop = False

    def run(self, command: list[str]) -> int:
        with numaprobe.Sampler(source="linux") as self._sampler:
            threads = [
                threading.Thread(target=self._guarded, args=(one,)) for one in (self._sample, self._free, self._rest)
            ]
            for thread in threads:
                thread.start()
            status = subprocess.run(command, check=False).returncode
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
        self.seen.extend((sample.monotonic, end, sample.shape.number))
        self._counter[:8] = (len(self.seen) // 3).to_bytes(8, "little")
        self._check(sample)

    def _free(self) -> None:
        begin = time.monotonic_ns()
        found = self._sampler.free()
        self.free.extend((begin, time.monotonic_ns(), sum(1 << cell for cell in found)))
        for cell, free in found.items():
            if cell not in TOTALS or free is None or not 0 <= free <= TOTALS[cell][1] * MIB:
                self.wrong.append(f"free: cell {cell} has {free}")

    def _rest(self) -> None:
        host = numaprobe.probe(source="linux")
        self.probes += 1
        for cell in host.cells:
            self._check_total("probe", cell.id, cell.memory.total)
        self._check(self._sampler.sample(huge_pages=True, available=True, counters=True, vmstat=("nr_free_pages",)))
        self.details += 1
        time.sleep(0.2)

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


class Moments:
    """Begin, end and a number, three by three and in order, handed out by the states that they lie within."""

    def __init__(self, words: array[int]) -> None:
        self._words = words
        self._at = 0

    def within(self, state: State) -> list[tuple[int, int]]:
        """Begin and number of each."""
        found = []
        while self._at < len(self._words) and self._words[self._at + 1] <= state.end:
            begin, _, number = self._words[self._at : self._at + 3]
            if begin >= state.begin:
                found.append((begin, number))
            self._at += 3
        return found


def judged(watch: Watch, states: list[State]) -> dict[str, Any]:
    """What was sampled beside what was: texts of what is ``wrong``, what was not seen, and how long seeing it took."""
    wrong, unseen, lags = list(watch.wrong), [], []
    since: dict[int, set[int]] = {}
    samples, frees = Moments(watch.seen), Moments(watch.free)
    for state in states:
        cells = sum(1 << cell for cell in state.cells)
        given = [bits == cells for _, bits in frees.within(state)]
        if given and not given[-1]:
            unseen.append(f"free() of other cells in {state}")
        inside = samples.within(state)
        right = [fits(watch.shapes[shape], state) for _, shape in inside]
        if True not in right:
            unseen.append(f"{len(inside)} samples in {state}: {[watch.shapes[shape] for _, shape in inside[-1:]]}")
            continue
        first = right.index(True)
        lags.append((inside[first][0] - state.begin) / 1e6 if first else 0.0)
        if not all(right[first:]):
            wrong.append(f"a shape that was not there any more in {state}")
        for shape in {shape for _, shape in inside[first:] if 2 in watch.shapes[shape].cells}:
            since.setdefault(state.plugged, set()).add(watch.shapes[shape].since[watch.shapes[shape].cells.index(2)])
    births = [first for found in since.values() for first in found]
    if len(set(births)) != len(births) or any(len(found) != 1 for found in since.values()):
        wrong.append(f"a node that came back is taken for the one that went: {since}")
    return {
        "wrong": wrong,
        "unseen": unseen,
        "errors": watch.errors,
        "states": len(states),
        "changes": sum(one[2:] != other[2:] for one, other in pairwise(states)),
        "samples": len(watch.seen) // 3,
        "frees": len(watch.free) // 3,
        "probes": watch.probes,
        "details": watch.details,
        "shapes": len(watch.shapes),
        "births": len(births),
        "slowest_ms": max(lags, default=None),
    }


def fits(shape: Shape, state: State) -> bool:
    return [list(shape.cells), list(shape.totals), list(shape.cpus or ())] == [state.cells, state.totals, state.cpus]


def main() -> int:
    write_pages(0, 5)
    write_pages(1, 25)
    watch = Watch()
    status = watch.run([sys.executable, "-m", "tests.lab.hotplug_changes", sys.argv[1]])
    lines = [json.loads(line) for line in LOG.read_text().splitlines()]
    states = [State(*line) for line in lines if isinstance(line, list)]
    done = [line["done"] for line in lines if isinstance(line, dict)]
    json.dump({**judged(watch, states), "status": status, "done": done[0] if done else {}}, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
