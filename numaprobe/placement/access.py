"""What an access costs a guest on a set of cells, with vcpus and memory where they will really be.

Linux fills the cell that the vcpus are on and then the nearest; Xen deals memory out evenly until a cell is empty.
"""

from __future__ import annotations

from itertools import chain, combinations
from math import comb

from ..named import namedtuple
from .candidates import Candidates, assign_shares
from .ranking import ranker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

# Where some cell cannot run all vcpus, every way to divide them is tried up to so many cells; beyond, from so many
# centres.
MAX_DIVIDED = 8
CENTRES = 32
# Sets of equally near cells that are compared before the emptiest cells are simply taken.
MAX_TIES = 300
# Beyond that, cells are no sub-NUMA clusters or neighbours in one package.
NEARBY = 1.2


class Arrangement(namedtuple("Arrangement", "total amounts")):
    """Vcpus and bytes per position as triples, and the sum of vcpus × bytes × cost over all pairs of cells."""

    __slots__ = ()
    total: float
    amounts: list[tuple[int, int, int]]

    @property
    def cells(self) -> tuple[int, ...]:
        """The positions that take part, ascending."""
        return tuple(sorted([i for i, _, _ in self.amounts]))

    @property
    def mean(self) -> float:
        """The mean cost of an access, every vcpu reaching every byte alike: 10 where all are local."""
        vcpus = sum([number for _, number, _ in self.amounts])
        return self.total / (vcpus * sum([size for _, _, size in self.amounts]))


def arrangement(field: Candidates, chosen: Sequence[int]) -> Arrangement | None:
    """The way that a request is divided among these positions; None if they cannot hold it."""
    if field.shares is not None:
        order = assign_shares(field, chosen)
        if order is None:
            return None
        return _priced(field, [(i, vcpus, size) for i, (vcpus, size) in zip(order, field.shares, strict=True)])
    if not field.fits(chosen):
        return None
    if len(chosen) == 1:
        i = chosen[0]
        cost = field.stock.costs[field.ids[i]][field.ids[i]]
        return Arrangement(field.request.vcpus * field.need * cost, [(i, field.request.vcpus, field.need)])
    view = field.counting_cores() if for_cores(field, chosen) else field
    return even(view, chosen) if field.stock.striped else cheapest(view, chosen)


def expected_cost(field: Candidates, chosen: Sequence[int]) -> float:
    """The mean cost of an access on a set that fits: 10 where all are local."""
    found = arrangement(field, chosen)
    assert found is not None, "the set was found to fit"
    return found.mean


def for_cores(field: Candidates, chosen: Sequence[int]) -> bool:
    """Whether one of these cells would do, and they are several for the sake of whole cores."""
    vcpus = field.request.vcpus
    if field.request.smt is not None or field.shares is not None or len(chosen) < 2:
        return False
    able = [i for i in chosen if field.memory[i] >= field.need and field.hosting[i] >= vcpus]
    if not able:
        return False
    costs = field.costs
    limit = NEARBY * min([costs[i][i] for i in chosen])
    if any(costs[i][j] > limit for i in chosen for j in chosen):
        return False
    view = field.counting_cores()
    return view.runs(chosen) >= vcpus and all(view.hosting[i] < vcpus for i in able)


def _priced(field: Candidates, amounts: list[tuple[int, int, int]]) -> Arrangement:
    if len(amounts) == 1:
        i, vcpus, size = amounts[0]
        return Arrangement(vcpus * size * field.stock.costs[field.ids[i]][field.ids[i]], amounts)
    costs = field.costs
    total = 0
    for i, vcpus, _ in amounts:
        if vcpus:
            row = costs[i]
            total += vcpus * sum([size * row[j] for j, _, size in amounts])
    return Arrangement(total, amounts)


def even(field: Candidates, chosen: Sequence[int]) -> Arrangement:
    """As even as the cells allow: how Xen's allocator deals memory out over a domain's node affinity.

    The affinity follows the vcpus, so a cell without CPUs gives only what the others do not have. Vcpus that
    float are on each cell as often as it has CPUs for them.
    """
    granule = field.request.granule
    gives, need = [size // granule for size in field.memory], field.need // granule
    reached = [i for i in chosen if field.rooms[i].cpus]
    inside = min(need, sum([gives[i] for i in reached]))
    memory = _level(reached, gives, inside)
    if len(reached) < len(chosen):
        memory |= _level([i for i in chosen if i not in memory], gives, need - inside)
    vcpus, place = _dealt_vcpus(field, chosen, memory)
    # Vcpus keep off cells that give nothing and that are not needed to run them.
    amounts = [(i, vcpus[i], memory[i] * granule) for i in chosen if vcpus[i] or memory[i] or i == place]
    if field.request.exclusive:
        return _priced(field, amounts)
    costs, number = field.costs, field.request.vcpus
    threads = [(i, field.rooms[i].cpus) for i, _, _ in amounts]
    total = sum([count * sum([size * costs[i][j] for j, _, size in amounts]) for i, count in threads])
    # Rounded, so that sets which cost the same do: they may have different numbers of CPUs.
    mean = round(total / (field.need * sum([count for _, count in threads])), 9)
    return Arrangement(mean * number * field.need, amounts)


def _dealt_vcpus(field: Candidates, chosen: Sequence[int], memory: dict[int, int]) -> tuple[dict[int, int], int | None]:
    """Vcpus as evenly as the cells allow, and the cell with the emulator: one that is used anyway, if that works."""
    number = field.request.vcpus
    if field.hosting is field.cpus:
        return _level(chosen, field.cpus, number), None
    ways = []
    for place in sorted([i for i in chosen if field.hosting[i]], key=lambda i: (field.cpus[i] - field.hosting[i], i)):
        limits = _limits(field, chosen, place)
        if sum([limits[i] for i in chosen]) >= number:
            vcpus = _level(chosen, limits, number)
            ways.append((vcpus, place))
            if vcpus[place]:
                return vcpus, place
    return min(ways, key=lambda way: not memory[way[1]])


def _level(chosen: Sequence[int], gives: list[int], need: int) -> dict[int, int]:
    out = {}
    order = sorted(chosen, key=lambda i: (gives[i], i))
    for number, i in enumerate(order):
        out[i] = min(gives[i], -(-need // (len(order) - number)) if number else need // len(order))
        need -= out[i]
    return out


def _limits(field: Candidates, chosen: Collection[int], place: int | None = None) -> list[int]:
    """How many vcpus each cell runs, with the emulator on ``place``, or where it takes least away."""
    if field.hosting is field.cpus:
        return field.cpus
    out = list(field.cpus)
    if place is None:
        place = min([i for i in chosen if field.hosting[i]], key=lambda i: (field.cpus[i] - field.hosting[i], i))
    out[place] = field.hosting[place]
    return out


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
    for one in found:
        key = (nearness(field, one), one.total, len(one.amounts))
        if best is None or key < best or (key == best and chosen is not None and rank(one.cells) < rank(chosen.cells)):
            best, chosen = key, one
    return chosen


def nearness(field: Candidates, one: Arrangement) -> tuple[int, int]:
    """How far the cells with vcpus are from what the guest is to be near to: worst, and sum."""
    if field.near is None:
        return 0, 0
    places = [field.near[i] for i, vcpus, _ in one.amounts if vcpus]
    return max(place[0] for place in places), sum(place[1] for place in places)


def _centred(field: Candidates, centres: Sequence[int], members: frozenset[int]) -> Iterator[Arrangement]:
    """All vcpus on one cell, and memory there and then on the nearest: one arrangement per centre."""
    vcpus, need, memory, costs = field.request.vcpus, field.need, field.memory, field.costs
    lowest: int | None = None
    for centre in sorted(centres, key=lambda i: (-memory[i], i)):
        row = costs[centre]
        inside = min(memory[centre], need)
        bound = vcpus * (inside * row[centre] + (need - inside) * field.table.nearest)
        if lowest is not None and field.near is None and bound > lowest:
            continue
        found = _fill(field, chain([(row[centre], [centre])], field.table.around(centre)), members, (centre,))
        if found is None:
            continue
        total, sizes = found
        total *= vcpus
        if lowest is None or total < lowest:
            lowest = total
        if centre not in sizes:
            sizes[centre] = 0
        yield Arrangement(total, [(i, vcpus if i == centre else 0, size) for i, size in sizes.items()])


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
    others = sorted([i for i in able if i not in own], key=lambda i: (-memory[i], i))
    number, got = 0, 0
    while got < rest:
        got += memory[others[number]]
        number += 1
    least = field.request.policy == "pack"
    if number == 1 or comb(len(others), number) <= MAX_TIES:

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
        limits = _limits(field, pool, place)
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
        limits = _limits(field, pool, centre)
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
