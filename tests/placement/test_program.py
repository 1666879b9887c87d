"""The mixed integer program of a batch, column by column and row by row, and what its solutions mean."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from capacities import room, stock

from numaprobe import Request
from numaprobe.placement import program
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.outcome import Outcome
from numaprobe.placement.program import Program, Way
from numaprobe.placement.rooms import HostCapacity

MIB = 1 << 20


def capacity(cells: Sequence[tuple[int, int]], **known: Any) -> HostCapacity:
    """Cells of so many units of 2 MiB and CPUs each."""
    out = stock([(2 * memory, cpus) for memory, cpus in cells], xen=known.get("xen", False))
    if threads := known.get("threads"):
        for number, (memory, cpus) in enumerate(cells):
            first = sum(count for _, count in cells[:number])
            cores = [tuple(range(first + at, first + at + threads)) for at in range(0, cpus, threads)]
            out.rooms[number] = room(number, 2 * memory, cores)
    if "pinnable" in known:
        out.rooms[0].pinnable = known["pinnable"] * 2 * MIB
    for number, pages in enumerate(known.get("pages", ())):
        out.rooms[number].pages = {2 * MIB: pages} if pages else {}
    out.quota = known.get("quota")
    out.homes = {"a": (), "b": ()}
    return out


def made(cells: Sequence[tuple[int, int]], guests: Sequence[tuple[int, float, Any]], **known: Any) -> Program:
    """Of guests of so many vcpus and units; ``known`` are the cells that the first was given before."""
    requests = [Request(vcpus, int(memory * 2 * MIB), **asked) for vcpus, memory, asked in guests]
    before = Outcome([], {i: known.get("known") for i in range(len(requests))}, {})
    return Program(capacity(cells, **known), requests, before)


def columns(found: Program) -> list[str]:
    """Cost and upper bound of each; ``!`` is a whole number."""
    rows = zip(found.cost, found.upper, found.whole, strict=True)
    return [f"{cost:.6g} to {upper:g}{'!' * whole}" for cost, upper, whole in rows]


def rows(found: Program) -> list[str]:
    """The terms of each by number of the column, from its low to its high."""
    return [
        f"{low:g} <= {' '.join(f'{value:+g}*{column}' for column, value in terms.items())} <= {high:g}"
        for low, terms, high in zip(found.low, found.rows, found.high, strict=True)
    ]


# What it shows, the cells, the guests, what else is known; then columns, rows, and whether every plan is a solution.
CASES: list[tuple[str, Any, Any, dict[str, Any], list[str], list[str], bool]] = [
    ("one guest that floats may run on either cell and have its memory on both", [(2, 4), (3, 2)], [(2, 2, {})], {},
     ['-510 to 1!', '5 to 2', '10 to 2', '-510 to 1!', '10 to 2', '5 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3'], True),
    ("pinned vcpus are divided in every way, and their CPUs are taken", [(2, 4), (3, 2)], [(2, 2, {"pinned": True}), (1, 3, {})], {},
     ['-765 to 1!', '10 to 2', '5 to 2', '-765 to 1!', '7.5 to 2', '7.5 to 2', '-765 to 1!', '5 to 2', '10 to 2', '-765 to 1!', '3.33333 to 2', '6.66667 to 3', '-765 to 1!', '6.66667 to 2', '3.33333 to 3'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*7 +1*8 -2*6 <= 0', '0 <= +1*0 +1*3 +1*6 <= 1', '0 <= +1*10 +1*11 -3*9 <= 0', '0 <= +1*13 +1*14 -3*12 <= 0', '0 <= +1*9 +1*12 <= 1', '0 <= +1*1 +1*4 +1*7 +1*10 +1*13 <= 2', '0 <= +1*2 +1*5 +1*8 +1*11 +1*14 <= 3', '0 <= +2*0 +1*3 <= 2', '0 <= +1*3 +2*6 <= 4'], True),
    ("memory that may be pinned is a limit of its own", [(2, 4), (3, 2)], [(2, 2, {"vfio": True}), (1, 1, {})], {"pinnable": 1},
     ['-765 to 1!', '5 to 1', '10 to 2', '-765 to 1!', '10 to 1', '5 to 2', '-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*7 +1*8 -1*6 <= 0', '0 <= +1*10 +1*11 -1*9 <= 0', '0 <= +1*6 +1*9 <= 1', '0 <= +1*1 +1*4 <= 1', '0 <= +1*2 +1*5 <= 3', '0 <= +1*1 +1*4 +1*7 +1*10 <= 2', '0 <= +1*2 +1*5 +1*8 +1*11 <= 3'], True),
    ("a maximum of cells counts those with vcpus or memory", [(2, 2), (3, 2), (3, 2)], [(2, 2, {"max_cells": 2})], {},
     ['-510 to 1!', '5 to 2', '10 to 2', '10 to 2', '-510 to 1!', '10 to 2', '5 to 2', '10 to 2', '-510 to 1!', '10 to 2', '10 to 2', '5 to 2', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 +1*3 -2*0 <= 0', '0 <= +1*5 +1*6 +1*7 -2*4 <= 0', '0 <= +1*9 +1*10 +1*11 -2*8 <= 0', '0 <= +1*0 +1*4 +1*8 <= 1', '0 <= +2*12 -1*5 <= inf', '0 <= +2*12 -1*9 <= inf', '0 <= +1*12 -1*0 <= inf', '0 <= -1*12 +1*0 +1*5 +1*9 <= inf', '0 <= +2*13 -1*2 <= inf', '0 <= +2*13 -1*10 <= inf', '0 <= +1*13 -1*4 <= inf', '0 <= -1*13 +1*2 +1*4 +1*10 <= inf', '0 <= +2*14 -1*3 <= inf', '0 <= +2*14 -1*7 <= inf', '0 <= +1*14 -1*8 <= inf', '0 <= -1*14 +1*3 +1*7 +1*8 <= inf', '0 <= +1*12 +1*13 +1*14 <= 2', '0 <= +1*1 +1*5 +1*9 <= 2', '0 <= +1*2 +1*6 +1*10 <= 3', '0 <= +1*3 +1*7 +1*11 <= 3'], True),
    ("a guest of less than a unit uses a cell by any part of it", [(2, 1), (2, 1)], [(1, 0.5, {"max_cells": 1})], {},
     ['-510 to 1!', '20 to 0.5', '40 to 0.5', '-510 to 1!', '40 to 0.5', '20 to 0.5', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -0.5*0 <= 0', '0 <= +1*4 +1*5 -0.5*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +0.5*6 -1*4 <= inf', '0 <= +1*6 -1*0 <= inf', '0 <= -1*6 +1*0 +2*4 <= inf', '0 <= +0.5*7 -1*2 <= inf', '0 <= +1*7 -1*3 <= inf', '0 <= -1*7 +2*2 +1*3 <= inf', '0 <= +1*6 +1*7 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 2'], True),
    ("the fewest cells are those that were found before", [(2, 2), (3, 2)], [(2, 3, {"fewest": True})], {"known": (1,)},
     ['-510 to 1!', '3.33333 to 2', '6.66667 to 3', '-510 to 1!', '6.66667 to 2', '3.33333 to 3', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -3*0 <= 0', '0 <= +1*4 +1*5 -3*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +2*6 -1*4 <= inf', '0 <= +1*6 -1*0 <= inf', '0 <= -1*6 +1*0 +1*4 <= inf', '0 <= +3*7 -1*2 <= inf', '0 <= +1*7 -1*3 <= inf', '0 <= -1*7 +1*2 +1*3 <= inf', '0 <= +1*6 +1*7 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3'], False),
    ("of the fewest cells no more than the maximum", [(2, 2), (3, 2), (3, 2)], [(2, 3, {"fewest": True, "max_cells": 1})], {"known": (0, 1)},
     ['-510 to 1!', '3.33333 to 2', '6.66667 to 3', '6.66667 to 3', '-510 to 1!', '6.66667 to 2', '3.33333 to 3', '6.66667 to 3', '-510 to 1!', '6.66667 to 2', '6.66667 to 3', '3.33333 to 3', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 +1*3 -3*0 <= 0', '0 <= +1*5 +1*6 +1*7 -3*4 <= 0', '0 <= +1*9 +1*10 +1*11 -3*8 <= 0', '0 <= +1*0 +1*4 +1*8 <= 1', '0 <= +2*12 -1*5 <= inf', '0 <= +2*12 -1*9 <= inf', '0 <= +1*12 -1*0 <= inf', '0 <= -1*12 +1*0 +1*5 +1*9 <= inf', '0 <= +3*13 -1*2 <= inf', '0 <= +3*13 -1*10 <= inf', '0 <= +1*13 -1*4 <= inf', '0 <= -1*13 +1*2 +1*4 +1*10 <= inf', '0 <= +3*14 -1*3 <= inf', '0 <= +3*14 -1*7 <= inf', '0 <= +1*14 -1*8 <= inf', '0 <= -1*14 +1*3 +1*7 +1*8 <= inf', '0 <= +1*12 +1*13 +1*14 <= 1', '0 <= +1*1 +1*5 +1*9 <= 2', '0 <= +1*2 +1*6 +1*10 <= 3', '0 <= +1*3 +1*7 +1*11 <= 3'], False),
    ("a guest is no farther from what it is near to than before", [(2, 2), (3, 2)], [(2, 2, {"near": 1})], {"known": (1,)},
     ['-510 to 1!', '10 to 2', '5 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*1 <= 2', '0 <= +1*2 <= 3'], False),
    ("every way is kept that is no farther", [(2, 2), (3, 2)], [(2, 2, {"near": 1})], {"known": (0, 1)},
     ['-510 to 1!', '5 to 2', '10 to 2', '-510 to 1!', '10 to 2', '5 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3'], True),
    ("equal shares are fixed", [(2, 2), (3, 2)], [(2, 3, {"cells": 2})], {},
     ['-495 to 1!'],
     ['0 <= +1*0 <= 1', '0 <= +1.5*0 <= 2', '0 <= +1.5*0 <= 3'], True),
    ("which of unequal shares is where is not proven", [(3, 2), (3, 1)], [(3, 3, {"cells": 2})], {},
     ['-495.556 to 1!'],
     ['0 <= +1*0 <= 1', '0 <= +2*0 <= 3', '0 <= +1*0 <= 3'], False),
    ("vcpus that float under Xen are where its CPUs are", [(2, 2), (3, 4)], [(3, 4, {})], {"xen": True},
     ['-510 to 1!', '4.16667 to 2', '3.33333 to 3'],
     ['0 <= +1*1 +1*2 -4*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*1 <= 2', '0 <= +1*2 <= 3'], True),
    ("pinned vcpus under Xen are divided evenly", [(2, 2), (2, 4)], [(3, 3, {"pinned": True})], {"xen": True},
     ['-510 to 1!', '5.55556 to 2', '4.44444 to 2'],
     ['0 <= +1*1 +1*2 -3*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*1 <= 2', '0 <= +1*2 <= 2', '0 <= +1*0 <= 2', '0 <= +2*0 <= 4'], False),
    ("guests that keep away use no cell twice", [(2, 1), (3, 1)], [(1, 1, {"name": "a"}), (1, 1, {"name": "b", "away_from": "a"})], {},
     ['-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1', '-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1', '0 to 1!', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -1*0 <= 0', '0 <= +1*4 +1*5 -1*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*7 +1*8 -1*6 <= 0', '0 <= +1*10 +1*11 -1*9 <= 0', '0 <= +1*6 +1*9 <= 1', '0 <= +1*1 +1*4 +1*7 +1*10 <= 2', '0 <= +1*2 +1*5 +1*8 +1*11 <= 3', '0 <= +1*12 -1*4 <= inf', '0 <= +1*12 -1*0 <= inf', '0 <= -1*12 +1*0 +1*4 <= inf', '0 <= +1*13 -1*2 <= inf', '0 <= +1*13 -1*3 <= inf', '0 <= -1*13 +1*2 +1*3 <= inf', '0 <= +1*14 -1*10 <= inf', '0 <= +1*14 -1*6 <= inf', '0 <= -1*14 +1*6 +1*10 <= inf', '0 <= +1*15 -1*8 <= inf', '0 <= +1*15 -1*9 <= inf', '0 <= -1*15 +1*8 +1*9 <= inf', '0 <= +1*12 +1*14 <= 1', '0 <= +1*13 +1*15 <= 1'], True),
    ("of guests that belong together one is inside of the other", [(2, 1), (3, 1)], [(1, 1, {"name": "a"}), (1, 2, {"name": "b", "together_with": "a"})], {},
     ['-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1', '-765 to 1!', '5 to 2', '10 to 2', '-765 to 1!', '10 to 2', '5 to 2', '0 to 1!', '0 to 1!', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -1*0 <= 0', '0 <= +1*4 +1*5 -1*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*7 +1*8 -2*6 <= 0', '0 <= +1*10 +1*11 -2*9 <= 0', '0 <= +1*6 +1*9 <= 1', '0 <= +1*1 +1*4 +1*7 +1*10 <= 2', '0 <= +1*2 +1*5 +1*8 +1*11 <= 3', '0 <= +1*12 -1*4 <= inf', '0 <= +1*12 -1*0 <= inf', '0 <= -1*12 +1*0 +1*4 <= inf', '0 <= +1*13 -1*2 <= inf', '0 <= +1*13 -1*3 <= inf', '0 <= -1*13 +1*2 +1*3 <= inf', '0 <= +2*14 -1*10 <= inf', '0 <= +1*14 -1*6 <= inf', '0 <= -1*14 +1*6 +1*10 <= inf', '0 <= +2*15 -1*8 <= inf', '0 <= +1*15 -1*9 <= inf', '0 <= -1*15 +1*8 +1*9 <= inf', '-inf <= +1*0 +1*3 +1*6 +1*9 -1*16 +1*12 -1*14 <= 2', '-inf <= +1*0 +1*3 +1*6 +1*9 +1*16 +1*14 -1*12 <= 3', '-inf <= +1*0 +1*3 +1*6 +1*9 -1*16 +1*13 -1*15 <= 2', '-inf <= +1*0 +1*3 +1*6 +1*9 +1*16 +1*15 -1*13 <= 3'], True),
    ("vcpus that no cell can run alone are divided", [(2, 1), (3, 1)], [(2, 2, {})], {},
     ['-510 to 1!', '7.5 to 2', '7.5 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*1 <= 2', '0 <= +1*2 <= 3'], True),
    ("a blocked guest has no way", [(2, 4)], [(2, 1, {})], {"quota": 1.0},
     [],
     [], True),
    ("a cell without memory gives none", [(0, 1), (3, 1)], [(1, 1, {"max_cells": 1})], {},
     ['-510 to 1!', '20 to 1', '-510 to 1!', '10 to 1', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 -1*0 <= 0', '0 <= +1*3 -1*2 <= 0', '0 <= +1*0 +1*2 <= 1', '0 <= +1*4 -1*0 <= inf', '0 <= -1*4 +1*0 <= inf', '0 <= +1*5 -1*1 <= inf', '0 <= +1*5 -1*2 <= inf', '0 <= -1*5 +1*1 +1*2 <= inf', '0 <= +1*4 +1*5 <= 1', '0 <= +1*1 +1*3 <= 3'], True),
    ("each size of pages is a limit of its own", [(2, 2), (3, 2)], [(1, 2, {"huge_page": 2 * MIB}), (1, 1, {})], {"pages": [3, 0]},
     ['-765 to 1!', '5 to 2', '-765 to 1!', '10 to 2', '-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1'],
     ['0 <= +1*1 -2*0 <= 0', '0 <= +1*3 -2*2 <= 0', '0 <= +1*0 +1*2 <= 1', '0 <= +1*5 +1*6 -1*4 <= 0', '0 <= +1*8 +1*9 -1*7 <= 0', '0 <= +1*4 +1*7 <= 1', '0 <= +1*1 +1*3 <= 3', '0 <= +1*5 +1*8 <= 2', '0 <= +1*6 +1*9 <= 3'], True),
    ("a vcpu with a core takes its threads", [(2, 4), (3, 2)], [(1, 2, {"cores": True})], {"threads": 2},
     ['-510 to 1!', '10 to 2', '5 to 2', '-510 to 1!', '5 to 2', '10 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3', '0 <= +2*0 <= 2', '0 <= +2*3 <= 4'], True),
    ("an emulator's CPUs are left where they may be", [(2, 3), (3, 1)], [(2, 2, {"emulator": 1})], {},
     ['-510 to 1!', '7.5 to 2', '7.5 to 2', '-510 to 1!', '5 to 2', '10 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3'], True),
    ("a maximum of as many cells as there are needs no row", [(2, 2), (3, 2)], [(2, 2, {"max_cells": 2})], {},
     ['-510 to 1!', '5 to 2', '10 to 2', '-510 to 1!', '10 to 2', '5 to 2'],
     ['0 <= +1*1 +1*2 -2*0 <= 0', '0 <= +1*4 +1*5 -2*3 <= 0', '0 <= +1*0 +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 +1*5 <= 3'], True),
    ("floating vcpus under Xen count by the CPUs and not by their number", [(2, 2), (3, 4)], [(2, 4, {})], {"xen": True},
     ['-510 to 1!', '4.16667 to 2', '3.33333 to 3'],
     ['0 <= +1*1 +1*2 -4*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*1 <= 2', '0 <= +1*2 <= 3'], True),
    ("a negative rest is none", [(-1, 2), (3, 2)], [(2, 2, {"vfio": True})], {"pinnable": -1},
     ['-510 to 1!', '10 to 2', '-510 to 1!', '5 to 2'],
     ['0 <= +1*1 -2*0 <= 0', '0 <= +1*3 -2*2 <= 0', '0 <= +1*0 +1*2 <= 1', '0 <= +1*1 +1*3 <= 3', '0 <= +1*1 +1*3 <= 3'], True),
    ("guests that keep away meet only on cells that both may use", [(2, 1), (3, 0)], [(1, 1, {"name": "a", "memory_only": True}), (1, 1, {"name": "b", "away_from": "a"})], {},
     ['-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '10 to 1', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -1*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*4 -1*3 <= 0', '0 <= +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 <= 3', '0 <= +1*5 -1*0 <= inf', '0 <= -1*5 +1*0 <= inf', '0 <= +1*6 -1*2 <= inf', '0 <= -1*6 +1*2 <= inf', '0 <= +1*7 -1*3 <= inf', '0 <= -1*7 +1*3 <= inf', '0 <= +1*5 +1*7 <= 1'], True),
    ("guests that belong together are kept off the cells that only one may use", [(2, 1), (3, 0)], [(1, 1, {"name": "a", "memory_only": True}), (1, 1, {"name": "b", "together_with": "a"})], {},
     ['-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '10 to 1', '0 to 1!', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*1 +1*2 -1*0 <= 0', '0 <= +1*0 <= 1', '0 <= +1*4 -1*3 <= 0', '0 <= +1*3 <= 1', '0 <= +1*1 +1*4 <= 2', '0 <= +1*2 <= 3', '0 <= +1*5 -1*0 <= inf', '0 <= -1*5 +1*0 <= inf', '0 <= +1*6 -1*2 <= inf', '0 <= -1*6 +1*2 <= inf', '0 <= +1*7 -1*3 <= inf', '0 <= -1*7 +1*3 <= inf', '-inf <= +1*0 +1*3 -1*8 +1*5 -1*7 <= 2', '-inf <= +1*0 +1*3 +1*8 +1*7 -1*5 <= 3', '-inf <= +1*0 +1*3 -1*8 +1*6 <= 2', '-inf <= +1*0 +1*3 +1*8 -1*6 <= 3'], True),
    ("equal shares that keep away use the cells of their way", [(2, 2), (3, 2)], [(2, 2, {"name": "a", "cells": 2}), (1, 1, {"name": "b", "away_from": "a"})], {},
     ['-750 to 1!', '-765 to 1!', '10 to 1', '20 to 1', '-765 to 1!', '20 to 1', '10 to 1', '0 to 1!', '0 to 1!', '0 to 1!', '0 to 1!'],
     ['0 <= +1*0 <= 1', '0 <= +1*2 +1*3 -1*1 <= 0', '0 <= +1*5 +1*6 -1*4 <= 0', '0 <= +1*1 +1*4 <= 1', '0 <= +1*0 +1*2 +1*5 <= 2', '0 <= +1*0 +1*3 +1*6 <= 3', '0 <= +1*7 -1*0 <= inf', '0 <= -1*7 +1*0 <= inf', '0 <= +1*8 -1*0 <= inf', '0 <= -1*8 +1*0 <= inf', '0 <= +1*9 -1*5 <= inf', '0 <= +1*9 -1*1 <= inf', '0 <= -1*9 +1*1 +1*5 <= inf', '0 <= +1*10 -1*3 <= inf', '0 <= +1*10 -1*4 <= inf', '0 <= -1*10 +1*3 +1*4 <= inf', '0 <= +1*7 +1*9 <= 1', '0 <= +1*8 +1*10 <= 1'], True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "guests", "known", "expected", "limits", "proven"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_batch_is_this_program(
    cells: Any, guests: Any, known: dict[str, Any], expected: list[str], limits: list[str], proven: bool
) -> None:
    """A way costs less than leaving a guest out costs, and a unit of memory what its vcpus pay on average."""
    found = made(cells, guests, **known)
    assert (columns(found), rows(found), found.proven) == (expected, limits, proven)


def field(cells: Sequence[tuple[int, int]], vcpus: int, memory: float, /, **asked: Any) -> Candidates:
    xen = asked.pop("xen", False)
    return Candidates(capacity(cells, xen=xen), Request(vcpus, int(memory * 2 * MIB), **asked))


def test_of_too_many_columns_only_ways_on_one_cell_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has fewer than so many when a guest is added keeps all of its ways, and nothing more is proven otherwise."""
    pinned = (2, 2, {"pinned": True})
    monkeypatch.setattr(program, "MAX_COLUMNS", 9)
    found = made([(2, 4), (3, 2)], [pinned, pinned])
    assert ([len(mine) for mine in found.yes], found.proven) == ([3, 3], True)
    monkeypatch.setattr(program, "MAX_COLUMNS", 8)
    found = made([(2, 4), (3, 2)], [pinned, pinned])
    assert ([len(mine) for mine in found.yes], found.proven) == ([3, 2], False)
    assert [way.vcpus for _, way in found.yes[1]] == [{1: 2}, {0: 2}]


@pytest.mark.parametrize(
    ("asked", "number"), [({"xen": True, "vcpus": 1}, 3), ({"cells": 1, "vcpus": 1}, 2), ({"cells": 2, "vcpus": 2}, 1)]
)
def test_of_too_many_sets_the_smallest_are_offered_and_nothing_is_proven(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], number: int
) -> None:
    """Under Xen and for equal shares a way is a set of cells."""
    one = field([(2, 2), (3, 2)], asked.pop("vcpus"), 2, **asked)
    for most in range(1, number + 2):
        monkeypatch.setattr(program, "MAX_WAYS", most)
        ways, proven = program._ways(one, exclusive=False)
        assert (len(ways), proven) == (min(most, number), most >= number)
        assert program._ways(one, exclusive=True)[1] is (proven and one.shares is not None)


@pytest.mark.parametrize(("asked", "number"), [({"pinned": True}, 3), ({}, 2)])
def test_of_too_many_ways_to_divide_vcpus_nothing_is_proven(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], number: int
) -> None:
    """With more than so many only those with full cells are offered; floating vcpus need no division here."""
    one = field([(2, 2), (3, 2)], 2, 2, **asked)
    monkeypatch.setattr(program, "MAX_SPREADS", 3)
    ways, proven = program._ways(one, exclusive=True)
    assert (len(ways), proven) == (number, True)
    monkeypatch.setattr(program, "MAX_SPREADS", 2)
    ways, proven = program._ways(one, exclusive=True)
    assert (len(ways), proven) == (2, not asked)


@pytest.mark.parametrize(("most", "proven"), [(1, False), (2, True)])
def test_divisions_with_full_cells_are_limited_too(monkeypatch: pytest.MonkeyPatch, most: int, proven: bool) -> None:
    """Of three vcpus on two cells of two either cell is full."""
    monkeypatch.setattr(program, "MAX_SPREADS", most)
    ways, known = program._ways(field([(2, 2), (3, 2)], 3, 2), exclusive=False)
    assert [way.vcpus for way in ways] == [{0: 2, 1: 1}, {1: 2, 0: 1}][:most]
    assert known is proven


@pytest.mark.parametrize(("cells", "proven"), [(8, True), (9, False)])
def test_where_vcpus_have_to_be_divided_up_to_eight_cells_are_proven(cells: int, proven: bool) -> None:
    """Beyond that not all divisions are tried."""
    assert program._ways(field([(2, 1)] * cells, 2, 2), exclusive=False)[1] is proven
    assert program._ways(field([(2, 2)] * cells, 2, 2), exclusive=False)[1] is True


def test_where_cells_differ_in_kind_a_plan_may_cost_more_than_the_program() -> None:
    """Slower memory is used only if the other does not suffice, whatever it costs."""
    one = field([(2, 2), (2, 2)], 2, 2)
    one.rooms[1].group = 1
    assert program._ways(one, exclusive=False)[1] is False


@pytest.mark.parametrize(
    ("limits", "total", "ways"),
    [
        ([], 0, [()]),
        ([], 1, []),
        ([3], 2, [(2,)]),
        ([1], 2, []),
        ([2, 2], 2, [(0, 2), (1, 1), (2, 0)]),
        ([1, 3], 3, [(0, 3), (1, 2)]),
        ([2, 1], 3, [(2, 1)]),
        ([2, 1], 4, []),
    ],
)
def test_every_way_to_deal_out_a_number(limits: list[int], total: int, ways: list[tuple[int, ...]]) -> None:
    """Each within its limit."""
    assert list(program._compositions(limits, total)) == ways


def test_a_fixed_way_costs_the_mean_over_its_bytes() -> None:
    """One byte at 10 and three at 20."""
    assert program._fixed_cost(Way(vcpus={0: 1}, memory={0: 10.0, 1: 20.0}, fixed={0: 1, 1: 3})) == 17.5


def test_a_core_takes_as_many_threads_as_the_smallest_whole_one() -> None:
    """None that is broken; 1 where there is none."""
    one = field([(2, 2)], 1, 1)
    one.rooms[0] = room(0, 2, [(0,), (1, 2, 3), (4, 5)], broken=[0])
    assert program._threads(one) == 2
    one.rooms[0] = room(0, 2, [(0,), (1, 2, 3)], broken=[0, 1])
    assert program._threads(one) == 1


@pytest.mark.parametrize(
    ("part", "yes", "cells"),
    [
        (0.0, 1.0, (1,)),
        (1e-4, 1.0, (1,)),
        (2e-4, 1.0, (0, 1)),
        (1.0, 0.51, (0, 1)),
        (1.0, 0.5, None),
        (1.0, 0.0, None),
    ],
)
def test_a_solution_is_the_cells_of_the_way_that_is_chosen(
    part: float, yes: float, cells: tuple[int, ...] | None
) -> None:
    """With vcpus, or with more memory than the solver rounds."""
    found = made([(2, 1), (3, 1)], [(1, 2, {})])
    solution = [0.0] * len(found.cost)
    (_, _), (second, way) = found.yes[0]
    assert way.vcpus == {1: 1}
    solution[second] = yes
    solution[found.bytes[second][0]] = part
    assert found._sets(solution) == {0: cells}
    shares = made([(2, 2), (3, 2)], [(2, 3, {"cells": 2})])
    assert shares._sets([1.0]) == {0: (0, 1)}


def test_the_best_solution_is_found_and_its_bound_is_known() -> None:
    """Two guests that fit on one cell each; the bound is the cost of all of it less what leaving them out costs."""
    pytest.importorskip("scipy", reason="needs numaprobe[optimal]")
    found = made([(2, 2), (2, 2)], [(2, 2, {"pinned": True}), (2, 2, {"pinned": True})])
    sets, bound = found.solve(10.0)
    assert sets in ({0: (0,), 1: (1,)}, {0: (1,), 1: (0,)})
    assert bound == pytest.approx(20 - 2 * 765)
    found.proven = False
    assert found.solve(10.0)[1] is None
    assert made([(2, 2)], [(3, 3, {"pinned": True})]).solve(10.0) == (None, None)
    only = made([(2, 2), (2, 2)], [(1, 2, {"near": 1}), (1, 3, {})])
    sets, bound = only.solve(10.0)
    assert sets is not None
    assert sorted(cells is None for cells in sets.values()) == [False, True], "four units do not hold five"


@pytest.mark.parametrize(("status", "bound"), [(0, 5.0), (1, 3.0)])
def test_the_bound_of_a_search_that_ended_early_is_what_the_solver_proved(
    monkeypatch: pytest.MonkeyPatch, status: int, bound: float
) -> None:
    """Nothing below the best solution where it is the best, and nothing that is no number."""
    optimize = pytest.importorskip("scipy.optimize", reason="needs numaprobe[optimal]")
    asked: list[Any] = []
    found = SimpleNamespace(status=status, fun=5.0, mip_dual_bound=3.0, x=None)
    monkeypatch.setattr(optimize, "milp", lambda *_, options, **__: asked.append(options) or found)
    one = made([(2, 2)], [(1, 1, {})])
    assert one.solve(7.5) == (None, bound)
    assert asked == [{"time_limit": 7.5, "mip_rel_gap": 0.0}]
    for number in (None, float("inf"), float("-inf")):
        found.fun = found.mip_dual_bound = number
        assert one.solve(7.5) == (None, None)
