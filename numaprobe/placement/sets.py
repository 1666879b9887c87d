"""Sets of a given number of cells that hold a request and are near to each other: exact up to 16 cells, else grown."""

from __future__ import annotations

from .candidates import Candidates
from .ranking import EXACT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Beyond that many cells, sets of more than two are grown, from so many cells.
SEEDS = 32
NEAR_WEIGHT = 1 << 40


def nearest_sets(field: Candidates, k: int) -> list[tuple[int, ...]]:
    """The nearest sets of ``k`` that fit, all that tie."""
    n = len(field.ids)
    if k == 1:
        sets: list[tuple[int, ...]] = [(i,) for i in range(n) if field.fits((i,))]
        if field.near is not None and sets:
            near = field.near
            closest = min(near[i] for (i,) in sets)
            sets = [(i,) for (i,) in sets if near[i] == closest]
        return sets
    if n <= EXACT or k == 2:
        return _exact(field, k)
    return list(_grown(field, k))


def _exact(field: Candidates, k: int) -> list[tuple[int, ...]]:
    """Every set that fits with the least sum of distances, by depth first with bounds."""
    n, near = len(field.ids), field.near
    costs, memory, cpus = field.costs, field.memory, field.cpus
    both = [[costs[i][j] + costs[j][i] for j in range(n)] for i in range(n)]
    least_pair = min((both[i][j] for i in range(n) for j in range(i)), default=0)
    vcpus, need = field.request.vcpus, field.need
    parts = field.shares
    # Sums say enough unless shares, or an emulator, have to be on one cell of the set.
    checked = parts is not None or field.hosting is not field.cpus
    if parts is not None:
        # Each must at least hold the smallest part.
        order = [i for i in range(n) if cpus[i] >= parts[-1][0] and memory[i] >= parts[-1][1]]
    else:
        order = list(range(n))
    width = len(order)
    top_memory = [_largest_sums([memory[i] for i in order[at:]], k) for at in range(width + 1)]
    top_cpus = [_largest_sums([cpus[i] for i in order[at:]], k) for at in range(width + 1)]
    least = None
    found: list[tuple[int, ...]] = []
    chosen: list[int] = []
    pairs_left = [(k * (k - 1) - depth * (depth - 1)) // 2 for depth in range(k + 1)]

    def descend(at: int, got_memory: int, got_cpus: int, apart: int) -> None:
        nonlocal least, found
        depth = len(chosen)
        if depth == k:
            if got_memory < need or got_cpus < vcpus or (checked and not field.fits(chosen)):
                return
            if least is None or apart < least:
                least = apart
                found = [tuple(chosen)]
            elif apart == least:
                found.append(tuple(chosen))
            return
        left = k - depth
        for position in range(at, width - left + 1):
            # Later ones only get smaller sums, so the first failure ends the row.
            if got_memory + top_memory[position][left] < need or got_cpus + top_cpus[position][left] < vcpus:
                return
            i = order[position]
            row = both[i]
            added = apart + sum([row[j] for j in chosen])
            if near is not None:
                added += near[i][1] * NEAR_WEIGHT
            if least is not None and added + pairs_left[depth + 1] * least_pair > least:
                continue
            chosen.append(i)
            descend(position + 1, got_memory + memory[i], got_cpus + cpus[i], added)
            chosen.pop()

    descend(0, 0, 0, 0)
    return found


def _largest_sums(values: list[int], most: int) -> list[int]:
    """Sums of the 0, 1, 2 ... largest, as far as ``most``; short lists stay at their whole sum."""
    out = [0]
    for value in sorted(values, reverse=True)[:most]:
        out.append(out[-1] + value)
    return out + [out[-1]] * (most + 1 - len(out))


def _grown(field: Candidates, k: int) -> Iterator[tuple[int, ...]]:
    """One set from each cell: its nearest neighbours, passing over those with which the need gets out of reach."""
    n, near = len(field.ids), field.near
    costs, memory = field.costs, field.memory
    least = None
    found: list[tuple[int, ...]] = []
    for seed in sorted(range(n), key=lambda i: (near[i] if near else (0, 0), -memory[i], i))[:SEEDS]:
        row = costs[seed]
        order = sorted(range(n), key=lambda j: (j != seed, row[j] + costs[j][seed], -memory[j], j))
        chosen = _equal(field, order, k) if field.shares is not None else _summed(field, order, k)
        if len(chosen) < k or not field.fits(chosen):
            continue
        apart = sum(costs[i][j] for i in chosen for j in chosen if i != j)
        if near is not None:
            apart += NEAR_WEIGHT * sum(near[i][1] for i in chosen)
        if least is None or apart < least:
            least, found = apart, []
        if apart == least:
            found.append(tuple(sorted(chosen)))
    yield from sorted(set(found))


def _summed(field: Candidates, order: Sequence[int], k: int) -> list[int]:
    """The first of an order whose sums can still reach the need."""
    memory, cpus = field.memory, field.cpus
    tops = (_largest_sums(memory, k), _largest_sums(cpus, k))
    chosen: list[int] = []
    got_memory = got_cpus = 0
    for i in order:
        left = k - len(chosen) - 1
        if got_memory + memory[i] + tops[0][left] < field.need:
            continue
        if got_cpus + cpus[i] + tops[1][left] < field.request.vcpus:
            continue
        chosen.append(i)
        got_memory += memory[i]
        got_cpus += cpus[i]
        if left == 0:
            break
    return chosen


def _equal(field: Candidates, order: Sequence[int], k: int) -> list[int]:
    """The first of an order with which equal shares, the largest first, can still be dealt out to all.

    A cell that holds a share holds all smaller ones, so cells sorted by the first share that they hold must have the
    one at each place: with those already chosen, the ablest of the others must suffice.
    """
    first = field.first_part
    ablest = sorted(order, key=lambda i: first[i])
    chosen: list[int] = []
    inside: set[int] = set()
    for i in order:
        if first[i] >= k:
            continue
        trial = [*chosen, i]
        rest = [first[j] for j in ablest if j not in inside and j != i][: k - len(trial)]
        places = sorted([*[first[j] for j in trial], *rest])
        if len(places) < k or any(place > at for at, place in enumerate(places)):
            continue
        chosen.append(i)
        inside.add(i)
        if len(chosen) == k:
            break
    return chosen
