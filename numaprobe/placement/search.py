"""The best set of cells for a request.

One cell wherever one is enough; else the set with the lowest expected cost of an access, then the fewest cells, then
what :mod:`.ranking` says.
"""

from __future__ import annotations

from itertools import combinations, islice, takewhile
from math import comb

from .access import NEARBY, arrangement
from .arrangements import Arrangement, nearness
from .candidates import Candidates
from .dealing import even
from .filling import cheapest
from .ranking import ranker
from .sets import nearest_sets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Sets of one size that are all considered; of more, only those that are nearest to each other.
MAX_SETS = 1500
# As many, with all the ways in which vcpus can be divided in each.
MAX_SPREADS = 4000


def best(field: Candidates) -> tuple[int, ...] | None:
    """Positions of the best set, None if none fits."""
    n, request = len(field.ids), field.request
    if field.blocked is not None or not n:
        return None
    if field.shares is not None:
        return _least(field, _sets(field, len(field.shares), range(n)), []) if len(field.shares) <= n else None
    most = min(n, request.max_cells or n)
    single = best_single(field)
    if single is not None:
        if not has_cores(field, single):
            roomy = best_single(field, with_cores=True)
            if roomy is not None:
                return (roomy,)
        return with_cores(field, single, most) or (single,)
    if most < 2:
        return None
    if request.fewest:
        return _fewest_cells(field, most)
    for group in sorted({room.group for room in field.rooms}):
        pool = [i for i in range(n) if field.rooms[i].group <= group]
        if sum([field.memory[i] for i in pool]) < field.need or field.runs(pool) < request.vcpus:
            continue
        if chosen := (_even_set if field.stock.striped else _filled_set)(field, pool, min(most, len(pool))):
            return chosen
    return None


def has_cores(field: Candidates, cell: int) -> bool:
    """Whether a cell has a core for each vcpu on which nobody runs, or the request does not ask for that."""
    room = field.rooms[cell]
    return field.request.smt is not None or room.idle - room.load >= field.request.vcpus


def best_single(field: Candidates, *, with_cores: bool = False) -> int | None:
    """The best cell of those that can hold the request alone; ``with_cores`` also with a core for each vcpu.

    Those with cores are as near to what the guest is to be near to as the best, and their memory costs as much.
    """
    vcpus, need, memory, hosting = field.request.vcpus, field.need, field.memory, field.hosting
    able = [i for i in range(len(field.ids)) if memory[i] >= need and hosting[i] >= vcpus]
    if with_cores:
        least = min([_first(field, i) for i in able])
        able = [i for i in able if _first(field, i) == least and has_cores(field, i)]
    if len(able) < 2:
        return able[0] if able else None
    costs, ids, near = field.stock.costs, field.ids, field.near
    if near is None and field.request.policy == "pack" and not field.request.exclusive:
        # What ranker() says of one cell, without a tuple of it for each: most guests are placed here.
        rooms = field.rooms
        return min([(costs[ids[i]][ids[i]], rooms[i].idle - rooms[i].load < vcpus, memory[i], i) for i in able])[3]
    rank = ranker(field)
    return min(able, key=lambda i: (*_first(field, i), rank((i,))))


def _first(field: Candidates, cell: int) -> tuple[object, ...]:
    """What is ranked before everything else of a cell: how near it is, and what its own memory costs."""
    number = field.ids[cell]
    return field.near[cell] if field.near is not None else (), field.stock.costs[number][number]


def with_cores(field: Candidates, single: int, most: int) -> tuple[int, ...] | None:
    """Nearby cells with a whole core for each vcpu, where one cell could only give threads; None without any."""
    request, room = field.request, field.rooms[single]
    if request.fewest or most < 2 or has_cores(field, single):
        return None
    if all(core.whole and len(core.threads) < 2 for core in room.cores):
        return None
    limit = NEARBY * field.costs[single][single]
    if field.table.nearest > limit:
        return None
    view = field.counting_cores()
    beside = _beside(view, limit)
    for size in range(2, min(most, len(beside)) + 1):
        sets = list(islice(_cliques(beside, size), MAX_SETS + 1))
        if len(sets) > MAX_SETS:
            # Too many to compare: those around each cell with the most cores.
            groups = {
                tuple(sorted((i, *sorted(near, key=lambda j: (-view.cpus[j], j))[: size - 1])))
                for i, near in beside.items()
            }
            sets = [one for one in sorted(groups) if len(one) == size and _all_near(beside, one)]
        if chosen := _least(view, [one for one in sets if view.fits(one)], []):
            return chosen
    return None


def _beside(view: Candidates, limit: float) -> dict[int, set[int]]:
    """For each cell with cores to give the others that are near to it, there and back."""
    costs, cpus = view.costs, view.cpus
    out = {}
    for i, number in enumerate(cpus):
        if number:
            row = costs[i]
            near = takewhile(lambda j, row=row: row[j] <= limit, view.table.order(i))  # type: ignore[misc]
            out[i] = {j for j in near if cpus[j] and costs[j][i] <= limit}
    return out


def _all_near(beside: dict[int, set[int]], cells: Sequence[int]) -> bool:
    return all(j in beside[i] for i in cells for j in cells if i != j)


def _cliques(beside: dict[int, set[int]], size: int) -> Iterator[tuple[int, ...]]:
    """Sets of so many cells that are all near to each other, in order of their positions."""

    def grown(chosen: tuple[int, ...], able: set[int]) -> Iterator[tuple[int, ...]]:
        if len(chosen) == size:
            yield chosen
            return
        for i in sorted(able):
            if not chosen or i > chosen[-1]:
                yield from grown((*chosen, i), able & beside[i])

    yield from grown((), set(beside))


def _least(field: Candidates, sets: Iterable[tuple[int, ...]], more: Iterable[Arrangement]) -> tuple[int, ...] | None:
    """The set nearest to the device, with the least cost, the fewest cells, and by rank; None of none.

    Cells are often alike: what one set costs is what all sets that differ only in their ids cost.
    """
    rank = ranker(field)
    best_key: tuple[object, ...] | None = None
    chosen: tuple[int, ...] | None = None
    lowest: object = None
    known: dict[object, tuple[tuple[object, ...], tuple[int, ...]] | None] = {}

    def compare(key: tuple[object, ...], cells: tuple[int, ...]) -> None:
        nonlocal best_key, chosen, lowest
        if best_key is None or chosen is None or key < best_key:
            best_key, chosen, lowest = key, cells, None
        elif key == best_key:
            if lowest is None:
                lowest = rank(chosen)
            place = rank(cells)
            if place < lowest:  # type: ignore[operator]
                chosen, lowest = cells, place

    for one in more:
        compare(_key(field, one), one.cells)
    for members in sets:
        alike = _alike(field, members)
        if alike not in known:
            found = _arranged(field, members)
            known[alike] = None if found is None else (_key(field, found), tuple(map(members.index, found.cells)))
        if (answer := known[alike]) is not None:
            key, places = answer
            compare(key, tuple([members[place] for place in places]))
    return chosen


def _key(field: Candidates, one: Arrangement) -> tuple[object, ...]:
    return nearness(field, one), one.total, len(one.amounts), _uneven(field, one)


def _alike(field: Candidates, members: Sequence[int]) -> object:
    """Equal for sets of cells that are the same to a request but for their ids."""
    costs, memory, rooms = field.costs, field.memory, field.rooms
    sizes: tuple[int, ...] = tuple([memory[i] for i in members])
    if not field.stock.striped and min(sizes) >= field.need:
        # Each has enough: which of them has more decides, and not how much more.
        order = sorted(set(sizes))
        sizes = tuple(map(order.index, sizes))
    cpus, hosting, near = field.cpus, field.hosting, field.near
    return (
        sizes,
        *[costs[i][j] for i in members for j in members],
        *[(cpus[i], hosting[i], rooms[i].cpus, rooms[i].bandwidth) for i in members],
        *([] if near is None else [near[i] for i in members]),
    )


def _uneven(field: Candidates, one: Arrangement) -> bool:
    """Whether Xen would deal memory out otherwise: it empties a cell that a plan leaves its reserve."""
    if not field.stock.striped or field.shares is not None:
        return False
    sizes = [size for _, _, size in one.amounts]
    return max(sizes) - min(sizes) > field.request.granule


def _arranged(field: Candidates, members: tuple[int, ...]) -> Arrangement | None:
    if field.shares is not None:
        return arrangement(field, members)
    return even(field, members) if field.stock.striped else cheapest(field, members)


def _sets(field: Candidates, k: int, pool: Sequence[int]) -> Iterable[tuple[int, ...]]:
    """Sets of ``k`` that fit: all of them where they are few, else those nearest to each other."""
    if comb(len(pool), k) <= MAX_SETS:
        return (one for one in combinations(pool, k) if field.fits(one))
    inside = set(pool)
    return [one for one in nearest_sets(field, k) if inside.issuperset(one)]


def _fewest_cells(field: Candidates, most: int) -> tuple[int, ...] | None:
    """The nearest of the smallest sets that fit."""
    for k in range(2, most + 1):
        if sets := nearest_sets(field, k):
            rank = ranker(field)
            return min(sets, key=lambda one: (max([field.costs[i][j] for i in one for j in one if i != j]), rank(one)))
    return None


def _filled_set(field: Candidates, pool: Sequence[int], most: int) -> tuple[int, ...] | None:
    """The cheapest set on Linux, of at most so many cells."""
    found = cheapest(field, pool)
    if found is None:
        return None
    if len(found.amounts) <= most:
        return found.cells
    divided = any(field.hosting[i] < field.request.vcpus for i in pool)
    if comb(len(pool), most) * (2**most if divided else 1) <= MAX_SPREADS:
        return _least(field, (one for one in combinations(pool, most) if field.fits(one)), [])
    for k in range(2, most + 1):
        if chosen := _least(field, _sets(field, k, pool), []):
            return chosen
    return None


def _even_set(field: Candidates, pool: Sequence[int], most: int) -> tuple[int, ...] | None:
    """The cheapest set under Xen, where every cell of it gives as much of the memory as the others."""
    costs = field.costs
    own = min([costs[i][i] for i in pool])
    least = min([costs[i][j] for i in pool for j in pool if i != j])
    vcpus = field.request.vcpus
    fewest = min([field.cpus[i] for i in pool if field.cpus[i]], default=0)
    threads = [field.rooms[i].cpus for i in pool]
    chosen: tuple[int, ...] | None = None
    lowest: float | None = None
    for k in range(2, most + 1):
        # No set of so many cells has a lower cost: this part of the vcpus runs on one cell at most.
        part = max(threads) / (max(threads) + (k - 1) * min(threads))
        if field.request.exclusive:
            part = 1 / k if fewest * k >= vcpus else 1.0
        if lowest is not None and part * own + (1 - part) * least >= lowest:
            break
        every = comb(len(pool), k) <= MAX_SETS
        more = [] if chosen is None else [even(field, chosen)]
        chosen = _least(field, _sets(field, k, pool), more)
        if chosen is None:
            continue
        cost = even(field, chosen).total / (vcpus * field.need)
        # Larger sets are farther apart: where they are too many to compare, the first that gains nothing ends it.
        if not every and lowest is not None and cost >= lowest:
            break
        lowest = cost if field.near is None else None
        if not every and field.near is not None:
            break
    return chosen
