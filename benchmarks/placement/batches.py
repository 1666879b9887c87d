"""Batches beside the exact optimum, and how long placing takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import perf_counter

import numaprobe
from numaprobe import Plan, Request

from .mixes import asymmetric, ring, uniform
from .world import GIB, World


def small_batches(count: int) -> Iterator[tuple[str, numaprobe.Host, list[Request]]]:
    source = random.Random(11)
    for number in range(count):
        nodes = (2, 3, 4)[number % 3]
        shape: Callable[[int], tuple[tuple[int, ...], ...]] = (uniform, ring, asymmetric)[number // 3 % 3]
        world = World(shape(nodes), memory=16 * GIB, cpus=16)
        world.free = [source.randrange(6, 16) * GIB for _ in range(nodes)]
        left = sum(world.free)
        guests: list[Request] = []
        while left > 0 and len(guests) < 4 * nodes:
            # Every other batch has guests that are larger than any node.
            size = source.randrange(2, 12) * GIB // 2 if number % 2 or source.random() < 0.6 else 18 * GIB
            left -= size
            guests.append(Request(source.choice((1, 2, 4)), size, pinned=source.random() < 0.25))
        yield f"{nodes} {shape.__name__}", world.host(), guests


def against_the_optimum(count: int = 18, seconds: float = 20.0) -> list[tuple[str, int, int, int, float, float, bool]]:
    """Rows: host, guests, placed by the heuristic and the optimum, mean cost of an access of both, whether proven."""
    rows = []
    for name, host, guests in small_batches(count):
        ours = numaprobe.place_all(host, guests, reserve=0, partial=True, most_rejected=0)
        exact = numaprobe.place_all(
            host, guests, reserve=0, partial=True, most_rejected=0, optimal=True, seconds=seconds
        )
        rows.append(
            (
                name,
                len(guests),
                _placed(ours.plans),
                _placed(exact.plans),
                _cost(ours),
                _cost(exact),
                exact.optimal,
            )
        )
    return rows


def _placed(plans: Sequence[Plan | None]) -> int:
    return sum(plan is not None for plan in plans)


def _cost(batch: numaprobe.Batch) -> float:
    placed = _placed(batch.plans)
    return (batch.cost or 0.0) / placed if placed else 0.0


def timings() -> list[tuple[str, float]]:
    """Medians in milliseconds, of whole calls with everything that a plan says."""
    source = random.Random(2)
    eight = World(ring(8), cpus=32).host()
    wide = World(ring(64), memory=8 * GIB, cpus=8).host()
    batch = [Request(source.choice((1, 2, 4, 8)), source.randrange(1, 24) * GIB // 2) for _ in range(60)]
    tight = [Request(source.choice((1, 2, 4, 8)), source.randrange(8, 17) * GIB) for _ in range(60)]
    cases: list[tuple[str, Callable[[], object], int]] = [
        ("one guest, 8 cells x 256 cpus", lambda: numaprobe.place(eight, vcpus=4, memory=8 * GIB), 200),
        ("one pinned guest, 8 x 256", lambda: numaprobe.place(eight, vcpus=4, memory=8 * GIB, pinned=True), 200),
        ("one guest over 2 cells, 8 x 256", lambda: numaprobe.place(eight, vcpus=8, memory=90 * GIB), 200),
        ("one guest of 4 cells, 8 x 256", lambda: numaprobe.place(eight, vcpus=8, memory=GIB, guest_cells=4), 200),
        ("one guest over 8 cells of 64", lambda: numaprobe.place(wide, vcpus=8, memory=60 * GIB), 20),
        ("one guest over 32 cells of 64", lambda: numaprobe.place(wide, vcpus=8, memory=250 * GIB), 20),
        ("60 guests, 8 cells", lambda: numaprobe.place_all(eight, batch, partial=True), 10),
        ("60 guests, 8 cells, too many", lambda: numaprobe.place_all(eight, tight, partial=True), 10),
    ]  # fmt: skip
    rows = []
    for name, call, times in cases:
        taken = []
        for _ in range(times):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
        rows.append((name, median(taken) * 1e3))
    return rows
