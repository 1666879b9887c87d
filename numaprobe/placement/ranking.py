"""Which of several sets of cells is better where an access costs the same on each of them."""

from __future__ import annotations

from itertools import combinations

from .candidates import Candidates, siblings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .rooms import CellCapacity

EXACT = 16

Rank = tuple[object, ...]
# What the first places of a rank mean; the policy and the ids follow.
STRADDLES, DISPLACES, CROWDS, BURDEN = range(4)


def ranker(field: Candidates) -> Callable[[tuple[int, ...]], Rank]:
    """What decides between sets on which an access costs the same: smaller is better.

    First that CPUs of its own share a cache where one has room; that no running guest has to give way; that nobody
    shares a core with others. Then the policy, and the lowest ids.
    """
    request, rooms, memory = field.request, field.rooms, field.memory
    policy, need, vcpus, page = request.policy, field.need, request.vcpus, request.huge_page
    cpus = field.cpus
    alone = request.exclusive
    threads = bool(alone) and request.smt in (None, "share", "require")
    quiet = bool(alone) and bool(field.stock.floaters)

    full = memory if page is not None else None

    def straddles(room: CellCapacity) -> bool:
        if request.smt == "require":
            return not siblings_share(room, alone)
        return bool(alone) and alone > room.widest()[not threads]

    def rank(chosen: tuple[int, ...]) -> Rank:
        if len(chosen) == 1:
            (i,) = chosen
            room = rooms[i]
            return judged(
                chosen,
                left=memory[i] - need,
                load=room.load,
                clean=room.clean if threads else room.idle,
                straddles=straddles(room),
                displaces=quiet and alone > _quiet(room, threads=threads),
                full_memory=full[i] if full is not None else room.full_memory,
                full_cpus=room.full_cpus,
                free_cpus=cpus[i],
            )
        mine = [rooms[i] for i in chosen]
        return judged(
            chosen,
            left=sum([memory[i] for i in chosen]) - need,
            load=sum([room.load for room in mine]),
            clean=sum([room.clean if threads else room.idle for room in mine]),
            straddles=False,
            displaces=quiet and alone > sum([_quiet(room, threads=threads) for room in mine]),
            full_memory=sum([full[i] if full is not None else rooms[i].full_memory for i in chosen]),
            full_cpus=sum([room.full_cpus for room in mine]),
            free_cpus=sum([cpus[i] for i in chosen]),
        )

    def judged(
        chosen: tuple[int, ...],
        *,
        left: int,
        load: float,
        clean: int,
        straddles: bool,
        displaces: bool,
        full_memory: int,
        full_cpus: int,
        free_cpus: int,
    ) -> Rank:
        shared = max(0.0, vcpus - (clean - load))
        # Of those that displace somebody, the least loaded.
        burden = load if displaces else 0.0
        by_memory = 1 - left / (full_memory or 1)
        by_cpus = (full_cpus - free_cpus + load + vcpus) / (full_cpus or 1)
        if policy == "pack":
            return (straddles, displaces, shared > 0, burden, -max(by_memory, by_cpus), chosen)
        if policy == "spread":
            return (straddles, displaces, shared, burden, by_memory + by_cpus, chosen)
        return (straddles, displaces, shared, burden, max(by_memory, by_cpus), chosen)

    def packed(chosen: tuple[int, ...]) -> Rank:
        """The same of floating guests by the default policy, which most are."""
        left, idle, load = -need, 0, 0.0
        for i in chosen:
            room = rooms[i]
            left += memory[i]
            idle += room.idle
            load += room.load
        return (False, False, vcpus - (idle - load) > 0, 0.0, left, chosen)

    return packed if policy == "pack" and not alone else rank


def siblings_share(room: CellCapacity, vcpus: int) -> bool:
    """Whether a cache, or a die where caches are not known, has room for so many vcpus with siblings.

    As many threads of each core as the whole cell can give, since that is what they get.
    """
    each = next((each for each, number in siblings(room) if each * number >= vcpus), 0)
    several = False
    for level in range(len(room.cores[0].groups) if room.cores else 0):
        groups: dict[object, int] = {}
        for core in room.cores:
            key = core.groups[level]
            groups[key] = groups.get(key, 0) + (each if len(core.threads) >= each else 0)
        several = len(groups) > 1
        if several and max(groups.values()) >= vcpus:
            return True
    return not several


def _quiet(room: CellCapacity, *, threads: bool) -> int:
    """Whole cores on which no running guest floats in particular, or their threads."""
    return sum([len(core.threads) if threads else 1 for core in room.cores if core.whole and not core.load])


def smaller_sets(field: Candidates, size: int) -> Iterator[tuple[int, ...]]:
    """Sets of up to ``size`` cells in the order that they are tried."""
    first = len(field.shares) if field.shares is not None else 1
    for k in range(first, size + 1):
        yield from combinations(range(len(field.ids)), k)
