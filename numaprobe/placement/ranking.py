"""Which of several sets of cells is better."""

from __future__ import annotations

from itertools import combinations

from .candidates import Candidates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


EXACT = 16

Rank = tuple[object, ...]


def mean_cost(field: Candidates, chosen: Sequence[int]) -> float:
    """Mean distance between the cells of a set, each with itself included: 10 for one cell."""
    return sum([field.costs[i][j] for i in chosen for j in chosen]) / len(chosen) ** 2


def ranker(field: Candidates) -> Callable[[tuple[int, ...]], Rank]:
    """What decides between sets that are as many and as near: smaller is better."""
    request, rooms, memory, costs = field.request, field.rooms, field.memory, field.costs
    policy, need, vcpus, page = request.policy, field.need, request.vcpus, request.huge_page
    cpus = field.cpus
    load = [room.load for room in rooms]
    if request.pinned and not request.cores:
        clean = [sum([len(core.threads) for core in room.cores if core.whole]) for room in rooms]
        sharing = [0.0] * len(rooms)
    else:
        clean = [room.idle for room in rooms]
        sharing = load
    full_memory = memory if page is not None else [room.full_memory for room in rooms]
    full_cpus = [room.full_cpus for room in rooms]

    def rank(chosen: tuple[int, ...]) -> Rank:
        left = sum([memory[i] for i in chosen]) - need
        shared = max(0.0, vcpus - sum([clean[i] - sharing[i] for i in chosen]))
        worst = largest = 0
        if len(chosen) > 1:
            worst = max([costs[i][j] for i in chosen for j in chosen if i != j])
            # Where memory is dealt out evenly, a large part on one cell is no nearer.
            largest = 0 if field.stock.striped else -max([memory[i] for i in chosen])
        if policy == "pack" and not request.dedicated:
            return (worst, shared > 0, largest, left, chosen)
        by_memory = 1 - left / (sum([full_memory[i] for i in chosen]) or 1)
        busy = sum([full_cpus[i] - cpus[i] + load[i] for i in chosen]) + vcpus
        by_cpus = busy / (sum([full_cpus[i] for i in chosen]) or 1)
        if policy == "pack":
            return (worst, shared > 0, largest, -max(by_memory, by_cpus), chosen)
        if policy == "spread":
            return (worst, shared, largest, by_memory + by_cpus, chosen)
        return (worst, shared, largest, max(by_memory, by_cpus), chosen)

    return rank


def smaller_sets(field: Candidates, size: int) -> Iterator[tuple[int, ...]]:
    """Sets of up to ``size`` cells in the order that they are tried."""
    first = len(field.shares) if field.shares is not None else 1
    for k in range(first, size + 1):
        yield from combinations(range(len(field.ids)), k)
