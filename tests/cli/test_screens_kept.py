"""The screens of ``numaprobe watch``, to the letter, at the sizes at which something gives way.

``tests/cli/screens/<view>.txt`` has them. ``pytest tests/cli/test_screens_kept.py --rewrite`` writes them anew; read the
difference before you commit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import GIB, MIB, domain, host
from kept import agrees

import numaprobe
from numaprobe import CellUse, HugePages, Memory
from numaprobe.cli.domains import Observed
from numaprobe.cli.live.compose import compose
from numaprobe.cli.live.readings import Reading
from numaprobe.cli.live.state import VIEWS, State
from numaprobe.model.host import Note
from numaprobe.sampling.rates import CellRates, Rates
from numaprobe.sampling.values import Counters

SCREENS = Path(__file__).parent / "screens"


class Moment:
    """As much of a sample as the screen uses, of a recording."""

    time = None


def reading(cells: int, error: str | None = None) -> Reading:
    """Cells of different sizes, one of them unknown, with huge pages, guests and rates."""
    found = host([(number + 1) * GIB for number in range(cells)], cpus=2, available=-1)
    changed = []
    for one in found.cells:
        pages = (HugePages(size=2 * MIB, total=100 * (one.id % 3), free=40 * (one.id % 3), surplus=0),)
        memory = Memory(total=4 * GIB) if one.id == 2 else one.memory
        changed.append(one._replace(huge_pages=pages, memory=memory))
    found = found._replace(cells=tuple(changed))
    rates = Rates(
        seconds=2.0,
        cells=tuple(
            CellRates(
                id=one.id,
                total=0,
                free=-MIB * one.id,
                used=None if one.id == 2 else MIB * (one.id - 1),
                counters=None if one.id == 1 else Counters(90.0 * one.id, 1, 2, 3, 75.0, 25.0 * one.id),
                vmstat=None,
            )
            for one in found.cells
        ),
        notes=(Note("node0/numastat", "went backwards"),),
    )
    there = [
        domain(
            "web" + "-front" * (number % 4) + str(number),
            number + 1,
            id=10 - number,
            state=("running", None)[number % 2],
            memory=(number * 700 % 900) * MIB,
            cells=tuple((one.id, (number * 700 % 900) * MIB if one.id == number % cells else 0) for one in found.cells),
            unplaced=0,
            how="exact",
        )
        for number in range(5)
    ]
    uses = tuple(CellUse(one.id, one.memory.total, one.memory.free, 0, (), 5 * MIB, 7 * MIB) for one in found.cells)
    guests = Observed(host=found, domains=numaprobe.Domains(there), uses=uses, time=1.0)
    return Reading(sample=Moment(), host=found, rates=rates, guests=guests, error=error)


def shown(now: Reading, state: State, width: int, height: int, **more: int) -> Iterator[str]:
    yield f"--- {width} x {height}"
    for line in compose(now, state, width, height, interval=1.5, **more):
        yield "".join(f"<{span.style}>{span.text}" if span.style else span.text for span in line).rstrip()


def screens(name: str) -> Iterator[str]:
    for width, height in [(80, 24), (40, 24), (24, 12), (120, 10), (200, 8)]:
        yield from shown(reading(4), State(name), width, height)
    for height in range(16, 0, -1):
        yield from shown(reading(3, error="node0/meminfo: cannot be read"), State(name), 72, height)
    yield from shown(reading(4), State(name), 100, 12, only=1)
    state = State(name)
    for key in ("s", "r", "s", "Space", "Down", "j", "End", "PageUp", "k", "Up", "Home", "PageDown", "Right", "?"):
        state.key(key)
        yield f"--- after {key}: {state.top} {state.left} {state.sort} {state.descending} {state.page}"
        yield from shown(reading(12), state, 90, 14)


@pytest.mark.parametrize("name", VIEWS)
def test_a_screen_is_what_it_was(name: str, pytestconfig: pytest.Config) -> None:
    """Every height down to one line, several widths, an error, one cell alone, and what the keys make of it."""
    agrees(SCREENS / f"{name}.txt", screens(name), pytestconfig)
