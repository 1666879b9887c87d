"""What is planned for many guests on many hosts, to the letter: whoever changes a plan sees which, and says why.

``tests/placement/plans/<kind>.txt`` has them. ``pytest tests/placement/test_plans_kept.py --rewrite`` writes them anew;
read the difference before you commit it. The other tests say what a plan must be; this one that it stays as it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import GIB, domain
from kept import agrees
from random_hosts import guest, machine

from numaprobe import DoesNotFit, Plan, Request, make_room, place, place_all
from numaprobe.wording import id_list as fold

PLANS = Path(__file__).parent / "plans"


def told(plan: Plan) -> str:
    """A plan in a line, its numbers only."""
    words = [f"cells {fold(plan.cells)}"]
    words += [f"{cell}:{size / GIB:g}G" for cell, size in plan.memory.items()]
    words.append("vcpus " + " ".join(f"{fold(one.cpus)}{'!' * one.pinned}" for one in plan.vcpus))
    words += [f"emulator {fold(plan.emulator)}"] if plan.emulator else []
    words += [f"guest cell {one.cell}: {fold(one.vcpus)} {one.memory / GIB:g}G" for one in plan.guest_cells]
    words += [f"cost {plan.distance:.4f}"] if plan.distance is not None else []
    return "; ".join(words)


def wanted(request: Request) -> str:
    """What differs from the defaults."""
    plain = Request(1, 4096)._asdict()
    return " ".join(f"{name}={value}" for name, value in request._asdict().items() if value != plain.get(name))


def single(dice: random.Random) -> Iterator[str]:
    on = machine(dice)
    request = guest(dice, on, "guest", [])
    yield wanted(request)
    try:
        plan = place(on, **request._asdict(), reserve=dice.choice((0, None)))
    except DoesNotFit as error:
        yield from (f"  {reason}" for reason in error.reasons)
    else:
        yield f"  {told(plan)}"
        yield from (f"  {reason}" for reason in plan.reasons)
        yield from (f"  not {fold(one.cells)}: {one.reason}" for one in plan.rejected[:2])


def batch(dice: random.Random) -> Iterator[str]:
    on = machine(dice)
    names = [f"g{number}" for number in range(dice.randrange(2, 7))]
    guests = [guest(dice, on, name, names[:number]) for number, name in enumerate(names)]
    found = place_all(on, guests, reserve=0, partial=True, most_rejected=0)
    cost = "-" if found.cost is None else f"{found.cost:.4f}"
    least = "-" if found.least_cost is None else f"{found.least_cost:.4f}"
    yield f"bound {found.bound}, cost {cost} of at least {least}"
    for request, plan in zip(guests, found.plans):
        yield f"  {wanted(request)} -> {'-' if plan is None else told(plan)}"


def moves(dice: random.Random) -> Iterator[str]:
    on = machine(dice)
    running = []
    for number in range(dice.randrange(1, 5)):
        cell = dice.choice([one for one in on.cells if one.cpus])
        vcpus = dice.randrange(1, len(cell.cpus) + 1)
        size = dice.randrange(1, 8) * GIB // 2
        cpus = dice.sample(list(cell.cpus), vcpus) if dice.random() < 0.4 else None
        running.append(
            domain(
                f"r{number}",
                vcpus,
                id=number + 1,
                memory=size,
                cells=tuple((one.id, size if one.id == cell.id else 0) for one in on.cells),
                how="exact",
                unplaced=0,
                cpus=cell.cpus,
                pinned=[(cpu,) for cpu in cpus] if cpus else None,
            )
        )
    request = guest(dice, on, "new", [])
    yield f"{[one.name for one in running]}: {wanted(request)}"
    try:
        found = make_room(on, request, domains=running, reserve=0)
    except DoesNotFit as error:
        yield from (f"  {reason}" for reason in error.reasons)
        return
    for move in found.moves:
        yield f"  move {move.domain}, {move.size / GIB:g}G: {told(move.plan)}"
    yield f"  {told(found.plan)}; complete {found.complete}; fixed {found.fixed}"


KINDS: dict[str, tuple[Callable[[random.Random], Iterator[str]], int]] = {
    "single": (single, 160),
    "batch": (batch, 30),
    "moves": (moves, 60),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_what_it_was(kind: str, pytestconfig: pytest.Config) -> None:
    """Hosts of one to five cells, whole and damaged, and each wish alone and with others."""
    make, count = KINDS[kind]
    lines = []
    for seed in range(count):
        first, *rest = make(random.Random(1000 + seed))
        lines += [f"{seed}: {first}", *rest]
    agrees(PLANS / f"{kind}.txt", lines, pytestconfig)
