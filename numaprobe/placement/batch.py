"""Several guests at once: placed one by one in several orders, moving up those that were placed badly."""

from __future__ import annotations

from ..errors import DoesNotFit
from ..named import namedtuple
from .access import expected_cost
from .candidates import Candidates
from .limits import Limits, least_costs, most_guests
from .outcome import Outcome, run
from .plan import Plan
from .reasons import does_not_fit
from .refining import refined
from .relations import related
from .search import best
from .shared_cpus import settle_cpus, settle_cpus_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .request import Request
    from .rooms import HostCapacity

# How many placements of single guests a batch may try; a few dozen microseconds each.
WORK = 900
MAX_ROUNDS = 200
LEAST_ROUNDS = 4
# Guests of a batch that are also given cells that they would not choose.
MAX_REFINED = 8


class Batch(namedtuple("Batch", "plans missed optimal bound cost least_cost", defaults=(None, None, None))):
    """Plans for several guests, in the order of the requests; None for one that was left out.

    ``missed`` are pairs (position, reasons) of those. ``optimal`` is whether this is proven to be the best outcome:
    fewest left out, then least ``cost``, the sum over the placed guests of the mean cost of an access (10: local).
    ``bound`` is the greatest number of guests that any plan can place, and ``least_cost`` the lowest cost of the placed
    guests; both are proven.
    """

    __slots__ = ()
    plans: tuple[Plan | None, ...]
    missed: tuple[tuple[int, tuple[str, ...]], ...]
    optimal: bool
    bound: int | None
    cost: float | None
    least_cost: float | None


def solve(
    stock: HostCapacity, requests: tuple[Request, ...], partial: bool, optimal: bool, seconds: float, most_rejected: int
) -> Batch:
    """Place a batch out of a stock; errors as for :func:`numaprobe.placement.place_all`."""
    mutual = related(stock, requests)
    if len(mutual) == 1:
        settle_cpus(stock, mutual[0])
    outcome, limits = heuristic(stock, mutual)
    if optimal:
        from .optimal import improve

        outcome, limits = improve(stock, mutual, outcome, limits, seconds)
    return _explained(stock, mutual, outcome, limits, partial, most_rejected)


def heuristic(stock: HostCapacity, requests: Sequence[Request]) -> tuple[Outcome, Limits]:
    """The best of several orders, each improved by moving up the guests that were placed badly.

    Of a batch that is too large, the smallest guests that may fit are placed first, large ones among them before small
    ones, and then whatever is left over.
    """
    if not requests:
        return Outcome([], {}, {}), Limits(0, [])
    fields = [Candidates(stock, request) for request in requests]
    alone = _alone(fields)
    limits = Limits(most_guests(stock, requests, [cost is not None for cost in alone]), least_costs(fields, alone))
    sizes = _sizes(stock, requests)
    numbers = range(len(requests))
    by_size = sorted(numbers, key=lambda i: (-sizes[i][0], i))
    by_memory = sorted(numbers, key=lambda i: (-sizes[i][1], -sizes[i][2], i))
    takes = _takes(stock, requests)
    smallest = sorted([i for i in numbers if alone[i] is not None], key=lambda i: (takes[i], *sizes[i], i))
    orders = [by_size, by_memory]
    if limits.bound < len(smallest):
        orders = [_first(smallest, limits.bound, by_size), [*smallest, *[i for i in numbers if alone[i] is None]]]
        rigid = [request.parts is not None or request.max_cells is not None for request in requests]
        if any(rigid) and not all(rigid):
            # Guests that may be divided among as many cells as it takes fill what the others leave.
            orders.append(_first(smallest, limits.bound, sorted(by_size, key=lambda i: not rigid[i])))
    rounds = max(LEAST_ROUNDS, min(MAX_ROUNDS, WORK // len(requests)))
    best_found: Outcome | None = None
    last: Outcome | None = None
    seen: set[tuple[int, ...]] = set()
    for number in range(rounds):
        policy = (None, "balance")[number // len(orders) % 2]
        if number < 2 * len(orders):
            order = orders[number % len(orders)]
        else:
            assert last is not None
            assert best_found is not None
            order = _next(best_found, last, alone, smallest, by_size, number)
            if tuple(order) in seen:
                order = _mixed(order, number)
        seen.add(tuple(order))
        last = run(stock, requests, order, policy)
        if best_found is None or last.rank < best_found.rank:
            best_found = last
        if limits.reached(best_found):
            break
    assert best_found is not None
    if len(requests) <= MAX_REFINED and not limits.reached(best_found):
        tries = iter(range(WORK // len(requests)))
        best_found = refined(stock, requests, fields, best_found, lambda: next(tries, None) is not None)
    return best_found, limits


def _first(smallest: list[int], number: int, by_size: list[int]) -> list[int]:
    """So many of the smallest before the others: those large ones first, the others small ones first."""
    chosen, small = set(smallest[:number]), set(smallest)
    return [i for i in by_size if i in chosen] + smallest[number:] + [i for i in by_size if i not in small]


def _next(
    best_found: Outcome,
    last: Outcome,
    alone: list[float | None],
    smallest: list[int],
    by_size: list[int],
    number: int,
) -> list[int]:
    """The order of the next round: for every other one, one guest more than have been placed, of the smallest."""
    placed = len(best_found.sets) - best_found.left_out
    if number % 2 == 0 and placed < len(smallest):
        return _first(smallest, placed + 1, by_size)
    return _urgent_first(last, alone)


def _urgent_first(last: Outcome, alone: list[float | None]) -> list[int]:
    """The previous order, with those moved up that were left out, and by half the way those with farther memory."""
    at: list[tuple[float, int]] = []
    for place, position in enumerate(last.order):
        lowest, cost = alone[position], last.costs.get(position)
        worse = lowest is not None and (cost is None or cost > lowest + 1e-9)
        at.append((place / 2 - 0.5 if worse and cost is not None else -1.0 if worse else place, position))
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


def _alone(fields: Sequence[Candidates]) -> list[float | None]:
    """What an access would cost each guest if it were the only one; None if it fits nowhere even then."""
    known: dict[Request, float | None] = {}
    out = []
    for field in fields:
        # Most batches have many guests of few sizes.
        request = field.request._replace(name=None)
        if request not in known:
            chosen = best(field)
            known[request] = None if chosen is None else expected_cost(field, chosen)
        out.append(known[request])
    return out


def _sizes(stock: HostCapacity, requests: Sequence[Request]) -> list[tuple[float, float, float]]:
    """Per guest the larger of its parts of the largest cell, its part of the memory, and of the cpus."""
    memory = max([room.full_memory for room in stock.rooms.values()]) or 1
    cpus = max([room.full_cpus for room in stock.rooms.values()]) or 1
    out = []
    for request in requests:
        parts = request.parts or 1
        by_memory, by_cpus = request.memory / parts / memory, request.vcpus / parts / cpus
        out.append((max(by_memory, by_cpus) + (request.guest_cells or 0), by_memory, by_cpus))
    return out


def _takes(stock: HostCapacity, requests: Sequence[Request]) -> list[float]:
    """Per guest the larger of its parts of all memory, and of all CPUs that it takes for itself."""
    rooms = stock.rooms.values()
    memory, cpus = sum([room.full_memory for room in rooms]) or 1, sum([room.full_cpus for room in rooms]) or 1
    return [max(request.memory / memory, request.exclusive / cpus) for request in requests]


def _explained(
    stock: HostCapacity,
    requests: Sequence[Request],
    outcome: Outcome,
    limits: Limits,
    partial: bool,
    most_rejected: int,
) -> Batch:
    from .planning import explained, without

    plans: list[Plan | None] = [None] * len(requests)
    missed = []
    left = stock.copy()
    for position in outcome.order:
        request = requests[position]
        cells = outcome.sets[position]
        settle_cpus_at(left, cells or ())
        field = Candidates(left, request)
        if cells is None:
            error = does_not_fit(field)
            missed.append((position, error.reasons))
            continue
        where = {cell: i for i, cell in enumerate(field.ids)}
        plans[position] = explained(field, tuple([where[cell] for cell in cells]), most_rejected, taking=True)
    taken = {cpu for plan in plans if plan is not None for cpu in plan.exclusive_cpus}
    plans = [plan and without(plan, taken) for plan in plans]
    if missed and not partial:
        position, reasons = min(missed)
        label = requests[position].name or (f"guest {position + 1} of {len(requests)}" if len(requests) > 1 else "")
        more = (f"{len(missed) - 1} more of the batch do not fit either",) if len(missed) > 1 else ()
        raise DoesNotFit(f"{label}: {reasons[0]}" if label else reasons[0], *reasons[1:], *more)
    return Batch(
        plans=tuple(plans),
        missed=tuple(sorted(missed)),
        optimal=limits.reached(outcome),
        bound=limits.bound,
        cost=outcome.cost,
        least_cost=limits.least(outcome),
    )
