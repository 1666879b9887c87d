"""Where a guest on Linux costs least: memory fills the cell that the vcpus are on and then the nearest."""

from __future__ import annotations

from itertools import chain, combinations
from math import comb

from .arrangements import Arrangement, nearness, vcpu_limits
from .ranking import Rank, ranker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from .candidates import Candidates


# Where some cell cannot run all vcpus, every way to divide them is tried up to so many cells; beyond, from so many
# centres.
MAX_DIVIDED = 8
CENTRES = 32
# Sets of equally near cells that are compared before the emptiest cells are simply taken.
MAX_TIES = 300


def cheapest(field: Candidates, pool: Sequence[int]) -> Arrangement | None:
    """The way to divide a guest among some of these cells with the lowest cost, then the fewest cells.

    Exact where every cell can run all vcpus, and else up to ``MAX_DIVIDED`` cells.
    """
    vcpus, need, memory = field.request.vcpus, field.need, field.memory
    if sum([memory[i] for i in pool]) < need or field.runs(pool) < vcpus:
        return None
    members = frozenset(pool)
    centres = [i for i in pool if field.hosting[i] >= vcpus]
    found = _centred(field, centres, members)
    if len(centres) < sum(1 for i in pool if field.cpus[i]):
        # A cell with too few CPUs may have the memory: some of the vcpus are better off there.
        found = chain(found, _divided(field, pool, members))
    return _best(field, found)


def _best(field: Candidates, found: Iterator[Arrangement]) -> Arrangement | None:
    """The arrangement nearest to the device, then with the least cost, the fewest cells, and by the policy."""
    best: tuple[object, ...] | None = None
    chosen: Arrangement | None = None
    rank = ranker(field)
    lowest: Rank | None = None
    for one in found:
        key = (nearness(field, one), one.total, len(one.amounts))
        if best is None or key < best:
            best, chosen, lowest = key, one, None
        elif key == best and chosen is not None:
            if lowest is None:
                lowest = rank(chosen.cells)
            place = rank(one.cells)
            if place < lowest:
                chosen, lowest = one, place
    return chosen


def _centred(field: Candidates, centres: Sequence[int], members: frozenset[int]) -> Iterator[Arrangement]:
    """All vcpus on one cell, and memory there and then on the nearest: one arrangement per centre."""
    vcpus, need, memory, costs = field.request.vcpus, field.need, field.memory, field.costs
    # What is dearer, or as dear on more cells, need not be compared.
    lowest: tuple[int, int] | None = None
    nearest = field.table.nearest
    for centre in sorted(centres, key=lambda i: (-memory[i], i)):
        row = costs[centre]
        inside = min(memory[centre], need)
        limit = None if lowest is None or field.near is not None else lowest[0]
        if limit is not None and inside * row[centre] + (need - inside) * nearest > limit:
            continue
        found = _around(field, centre, members, limit)
        if found is None:
            continue
        total, sizes = found
        if centre not in sizes:
            sizes[centre] = 0
        if limit is not None and lowest is not None and (total, len(sizes)) > lowest:
            continue
        lowest = (total, len(sizes)) if lowest is None else min(lowest, (total, len(sizes)))
        yield Arrangement(total * vcpus, [(i, vcpus if i == centre else 0, size) for i, size in sizes.items()])


def _around(
    field: Candidates, centre: int, members: frozenset[int], limit: int | None
) -> tuple[int, dict[int, int]] | None:
    """As :func:`_fill` on the centre and the cells around it; None also where it costs more than the limit."""
    memory, row = field.memory, field.costs[centre]
    left = min(memory[centre], field.need)
    total = left * row[centre]
    sizes = {centre: left} if left else {}
    left = field.need - left
    ring: list[int] = []
    before = total, left
    order = field.table.order(centre)
    at = 0
    while left > 0 and at < len(order):
        i = order[at]
        at += 1
        if not memory[i] or i not in members:
            continue
        cost = row[i]
        if not ring or cost != row[ring[0]]:
            if limit is not None and total + left * cost > limit:
                return None
            for j in ring:
                sizes[j] = memory[j]
            ring, before = [], (total, left)
        ring.append(i)
        total += memory[i] * cost
        left -= memory[i]
    if left > 0:
        return None
    if ring:
        cost = row[ring[0]]
        while at < len(order) and row[order[at]] == cost:
            if order[at] in members and memory[order[at]]:
                ring.append(order[at])
            at += 1
        total, left = before
        total += cost * left
        for i in _last(field, ring, left, ()):
            sizes[i] = min(left, memory[i])
            left -= sizes[i]
            if not left:
                break
    return total, sizes


def _fill(
    field: Candidates, rings: Iterable[tuple[int, Sequence[int]]], members: frozenset[int], own: Collection[int]
) -> tuple[int, dict[int, int]] | None:
    """Memory ring by ring, each filled before the next: the sum of bytes × cost, and bytes by position."""
    memory, left = field.memory, field.need
    total = 0
    sizes: dict[int, int] = {}
    for cost, ring in rings:
        able = [i for i in ring if i in members and memory[i]]
        have = sum([memory[i] for i in able])
        if have >= left:
            total += cost * left
            for i in _last(field, able, left, own):
                sizes[i] = min(left, memory[i])
                left -= sizes[i]
                if not left:
                    break
            return total, sizes
        for i in able:
            sizes[i] = memory[i]
        total += cost * have
        left -= have
    return None


def _last(field: Candidates, able: list[int], need: int, own: Collection[int]) -> list[int]:
    """Of equally near cells the fewest that hold the rest, those with vcpus first, then by bandwidth and policy."""
    memory = field.memory
    mine = sorted([i for i in able if i in own], key=lambda i: (-memory[i], i))
    rest = need - sum([memory[i] for i in mine])
    if rest <= 0:
        return mine
    others = sorted([i for i in able if i not in own], key=lambda i: (-memory[i], i)) if len(able) > 1 else able
    number, got = 0, 0
    while got < rest:
        got += memory[others[number]]
        number += 1
    if len(others) == 1:
        return [*mine, *others]
    least = field.request.policy == "pack"
    if number == 1:
        rooms, sign = field.rooms, 1 if least else -1
        fitting = [i for i in others if memory[i] >= rest]
        return [*mine, min(fitting, key=lambda i: (-rooms[i].bandwidth, sign * memory[i], i))]
    if comb(len(others), number) <= MAX_TIES:

        def key(one: tuple[int, ...]) -> tuple[object, ...]:
            size = sum([memory[i] for i in one])
            return -min([field.rooms[i].bandwidth for i in one]), size if least else -size, one

        sets = (one for one in combinations(others, number) if sum([memory[i] for i in one]) >= rest)
        return [*mine, *min(sets, key=key)]
    return [*mine, *others[:number]]


def _divided(field: Candidates, pool: Sequence[int], members: frozenset[int]) -> Iterator[Arrangement]:
    """Vcpus on several cells: some of them full and one with the rest, memory where it costs them least."""
    seen = set()
    for spread in divisions(field, pool):
        key = tuple(sorted(spread.items()))
        if key in seen:
            continue
        seen.add(key)
        if (one := _around_spread(field, spread, members)) is not None:
            yield one


def divisions(field: Candidates, pool: Sequence[int]) -> Iterator[dict[int, int]]:
    """Ways to divide vcpus among cells of which some are full: all of them up to ``MAX_DIVIDED`` cells."""
    if len(pool) <= MAX_DIVIDED:
        return _every_spread(field, pool)
    return _grown_spreads(field, pool, frozenset(pool))


def _around_spread(field: Candidates, spread: dict[int, int], members: frozenset[int]) -> Arrangement | None:
    costs = field.costs
    by_cost: dict[int, list[int]] = {}
    for j in members:
        weight = sum([vcpus * costs[i][j] for i, vcpus in spread.items()])
        by_cost.setdefault(weight, []).append(j)
    found = _fill(field, sorted(by_cost.items()), members, spread)
    if found is None:
        return None
    total, sizes = found
    cells = sorted({*spread, *sizes})
    return Arrangement(total, [(i, spread.get(i, 0), sizes.get(i, 0)) for i in cells])


def _every_spread(field: Candidates, pool: Sequence[int]) -> Iterator[dict[int, int]]:
    vcpus = field.request.vcpus
    own = field.hosting is not field.cpus
    for place in [i for i in pool if field.hosting[i]] if own else [None]:
        limits = vcpu_limits(field, pool, place)
        able = [i for i in pool if limits[i]]
        for number in range(1, len(able)):
            for full in combinations(able, number):
                rest = vcpus - sum([limits[i] for i in full])
                if rest <= 0:
                    continue
                for i in able:
                    if i not in full and limits[i] >= rest and (place is None or place == i or place in full):
                        yield {**{j: limits[j] for j in full}, i: rest}


def _grown_spreads(field: Candidates, pool: Sequence[int], members: frozenset[int]) -> Iterator[dict[int, int]]:
    """From each centre the nearest cells; then where the memory that this leads to would have the vcpus."""
    vcpus, costs = field.request.vcpus, field.costs
    able = [i for i in pool if 0 < field.hosting[i] < vcpus] or [i for i in pool if field.hosting[i]]
    centres = sorted(able, key=lambda i: (-min(field.cpus[i], vcpus), -field.memory[i], i))[:CENTRES]
    for centre in centres:
        limits = vcpu_limits(field, pool, centre)
        row = costs[centre]
        spread = _greedy(limits, vcpus, sorted(pool, key=lambda i: (i != centre, row[i], -limits[i], i)))
        for _ in range(3):
            if all(count > field.hosting[i] for i, count in spread.items()):
                break
            yield spread
            one = _around_spread(field, spread, members)
            if one is None:
                break
            weights = {i: sum([size * costs[i][j] for j, _, size in one.amounts if size]) for i in pool}
            again = _greedy(limits, vcpus, sorted(pool, key=lambda i: (weights[i], -limits[i], i)))
            if again == spread:
                break
            spread = again


def _greedy(limits: list[int], need: int, order: Sequence[int]) -> dict[int, int]:
    out = {}
    for i in order:
        got = min(need, limits[i])
        if got:
            out[i] = got
            need -= got
        if not need:
            break
    return out
