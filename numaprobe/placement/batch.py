"""Several guests at once: orders in which to place them one by one, and guests that came off badly put first."""

from __future__ import annotations

from collections import namedtuple

from ..errors import DoesNotFit
from .allocate import split, take
from .candidates import Candidates
from .outcome import Outcome
from .plan import Plan
from .ranking import mean_cost
from .reasons import does_not_fit
from .search import best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .capacity import HostCapacity
    from .request import Request

# How many placements of single guests a batch may try; a few dozen microseconds each.
WORK = 900
MAX_ROUNDS = 200


class Batch(namedtuple("Batch", "plans missed optimal")):
    """Plans for several guests, in the order asked; None for one that was left out.

    ``missed`` are pairs (position, reasons) of those. ``optimal`` is whether this was proven to be the best there is.
    """

    __slots__ = ()
    plans: tuple[Plan | None, ...]
    missed: tuple[tuple[int, tuple[str, ...]], ...]
    optimal: bool


def solve(
    stock: HostCapacity, requests: tuple[Request, ...], partial: bool, optimal: bool, seconds: float, most_rejected: int
) -> Batch:
    """Place a batch out of a stock; errors as for :func:`numaprobe.placement.place_all`."""
    mutual = related(stock, requests)
    outcome = heuristic(stock, mutual)
    proven = False
    if optimal:
        from .optimal import improve

        outcome, proven = improve(stock, mutual, outcome, seconds)
    return _explained(stock, mutual, outcome, partial, proven, most_rejected)


def related(stock: HostCapacity, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The requests with away and together made mutual within the batch; its names are known from then on.

    Raises ``ValueError`` for a name that two guests have.
    """
    by_name: dict[str, int] = {}
    for position, asked in enumerate(requests):
        if asked.name is None:
            continue
        if asked.name in by_name:
            raise ValueError(f"two guests of the batch have the name {asked.name!r}")
        by_name[asked.name] = position
        # Nowhere yet, so nobody is away from it or together with it.
        stock.homes[asked.name] = ()
    away = [set(asked.away_from) for asked in requests]
    together = [set(asked.together_with) for asked in requests]
    for asked in requests:
        for wishes, others in ((asked.away_from, away), (asked.together_with, together)):
            for name in wishes:
                if name in by_name and asked.name is not None:
                    others[by_name[name]].add(asked.name)
    return tuple(
        [
            asked._replace(away_from=tuple(sorted(away[i])), together_with=tuple(sorted(together[i])))
            for i, asked in enumerate(requests)
        ]
    )


def run(stock: HostCapacity, requests: Sequence[Request], order: list[int], policy: str | None) -> Outcome:
    """Place one after another; ``policy`` takes the place of pack, the one that nobody has to ask for."""
    left = stock.copy()
    sets: dict[int, tuple[int, ...] | None] = {}
    cost = 0.0
    for position in order:
        asked = requests[position]
        if policy is not None and asked.policy == "pack":
            asked = asked._replace(policy=policy)
        field = Candidates(left, asked)
        chosen = best(field)
        if chosen is None:
            sets[position] = None
            continue
        cost += mean_cost(field, chosen)
        take(left, asked, split(field, chosen))
        sets[position] = tuple([field.ids[i] for i in chosen])
    return Outcome(list(order), sets, cost)


def heuristic(stock: HostCapacity, requests: Sequence[Request]) -> Outcome:
    """The best of several orders, each improved by putting those first that came off badly."""
    if not requests:
        return Outcome([], {}, 0.0)
    alone = [_alone(stock, asked) for asked in requests]
    floor = sum([cost for cost in alone if cost is not None])
    hopeless = sum(cost is None for cost in alone)
    sizes = _sizes(stock, requests)
    numbers = range(len(requests))
    orders = [
        sorted(numbers, key=lambda i: (-sizes[i][0], i)),
        sorted(numbers, key=lambda i: (-sizes[i][1], -sizes[i][2], i)),
    ]
    rounds = max(2, min(MAX_ROUNDS, WORK // len(requests)))
    best_found: Outcome | None = None
    last: Outcome | None = None
    seen: set[tuple[int, ...]] = set()
    for number in range(rounds):
        policy = (None, "balance")[number // 2 % 2]
        if number < 4:
            order = orders[number % 2]
        else:
            assert last is not None
            order = _urgent_first(last, alone, stock)
            if tuple(order) in seen:
                order = _mixed(order, number)
        seen.add(tuple(order))
        last = run(stock, requests, order, policy)
        if best_found is None or last.rank < best_found.rank:
            best_found = last
        if best_found.rank[0] == hopeless and best_found.cost <= floor + 1e-9:
            break
    assert best_found is not None
    return best_found


def _urgent_first(last: Outcome, alone: list[float | None], stock: HostCapacity) -> list[int]:
    """The order of before with those moved up by half the way who were left out, or whose cells are farther apart."""
    at: list[tuple[float, int]] = []
    for place, position in enumerate(last.order):
        lowest, chosen = alone[position], last.sets[position]
        worse = lowest is not None and (chosen is None or _cost(stock, chosen) > lowest + 1e-9)
        at.append((place / 2 - 0.5 if worse and chosen is not None else -1.0 if worse else place, position))
    return [position for _, position in sorted(at, key=lambda one: one[0])]


def _mixed(order: list[int], seed: int) -> list[int]:
    """The order shuffled, the same way for the same seed: a plan must not depend on chance."""
    order = list(order)
    state = seed
    for i in range(len(order) - 1, 0, -1):
        # The multiplier and increment of Numerical Recipes; the high bits are the good ones.
        state = (state * 1664525 + 1013904223) % (1 << 32)
        j = (state >> 16) % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def _cost(stock: HostCapacity, cells: Sequence[int]) -> float:
    return sum([stock.costs[a][b] for a in cells for b in cells]) / len(cells) ** 2


def _alone(stock: HostCapacity, asked: Request) -> float | None:
    """What a guest's cells would cost if it were the only one; None if it fits nowhere even then."""
    field = Candidates(stock, asked)
    chosen = best(field)
    return None if chosen is None else mean_cost(field, chosen)


def _sizes(stock: HostCapacity, requests: Sequence[Request]) -> list[tuple[float, float, float]]:
    """Per guest the larger of its parts of the largest cell, its part of the memory, and of the cpus."""
    memory = max([room.full_memory for room in stock.rooms.values()]) or 1
    cpus = max([room.full_cpus for room in stock.rooms.values()]) or 1
    out = []
    for asked in requests:
        parts = asked.parts or 1
        by_memory, by_cpus = asked.memory / parts / memory, asked.vcpus / parts / cpus
        out.append((max(by_memory, by_cpus) + (asked.guest_cells or 0), by_memory, by_cpus))
    return out


def _explained(
    stock: HostCapacity, requests: Sequence[Request], outcome: Outcome, partial: bool, proven: bool, most_rejected: int
) -> Batch:
    from .planning import explained

    plans: list[Plan | None] = [None] * len(requests)
    missed = []
    left = stock.copy()
    for position in outcome.order:
        asked = requests[position]
        field = Candidates(left, asked)
        cells = outcome.sets[position]
        if cells is None:
            error = does_not_fit(field)
            missed.append((position, error.reasons))
            continue
        where = {cell: i for i, cell in enumerate(field.ids)}
        plans[position] = explained(field, tuple([where[cell] for cell in cells]), most_rejected, taking=True)
    if missed and not partial:
        position, reasons = min(missed)
        label = requests[position].name or (f"guest {position + 1} of {len(requests)}" if len(requests) > 1 else "")
        more = (f"{len(missed) - 1} more of the batch do not fit either",) if len(missed) > 1 else ()
        raise DoesNotFit(f"{label}: {reasons[0]}" if label else reasons[0], *reasons[1:], *more)
    return Batch(tuple(plans), tuple(sorted(missed)), proven)
