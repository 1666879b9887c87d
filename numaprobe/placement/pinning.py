"""Which CPUs of a cell a guest gets for itself: in one cache where one has room, on cores that nobody else is on."""

from __future__ import annotations

from .candidates import siblings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .request import Request
    from .rooms import CellCapacity, Core


def dedicate(room: CellCapacity, request: Request, vcpus: int, *, by_core: bool = False) -> tuple[tuple[int, ...], ...]:
    """The CPUs of each of so many vcpus: a core each, or a thread each.

    All of them share a cache, then a die, if one has room for them, whole cores first, and cores without running
    guests before others. A guest fills its own cores, so that the next guest finds whole ones; with policy ``spread``,
    ``by_core`` or thread policy ``avoid`` it takes a thread of each.
    """
    if not vcpus:
        return ()
    weigh = _weight(room, request, vcpus, by_core=by_core)
    whole = [core for core in room.cores if core.whole]
    quiet = [core for core in whole if not core.load]
    kinds: list[Sequence[Core]] = [quiet, whole] if len(quiet) < len(whole) else [whole]
    if request.smt not in ("isolate", "avoid") and not by_core:
        kinds.append(room.cores)
    for cores in kinds:
        if (group := _group(room, cores, weigh, vcpus, request)) is not None:
            return _threads(group, request, vcpus, weigh, by_core=by_core)
    for cores in kinds:
        if sum([weigh(core) for core in cores]) >= vcpus:
            return _threads(_fewest_groups(cores, weigh, vcpus), request, vcpus, weigh, by_core=by_core)
    return _threads(_fewest_groups(room.cores, len_of, vcpus), request, vcpus, len_of, by_core=False)


def spare(room: CellCapacity, number: int, taken: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """CPUs for an emulator beyond those of its vcpus: in the same cache, and from cores that are broken already."""
    gone = {cpu for cpus in taken for cpu in cpus}
    mine = {core.groups for core in room.cores if not gone.isdisjoint(core.threads)}

    def key(core: Core) -> tuple[bool, bool]:
        return bool(mine) and core.groups not in mine, core.whole and gone.isdisjoint(core.threads)

    order = [cpu for core in sorted(room.cores, key=key) for cpu in core.threads if cpu not in gone]
    return tuple(sorted(order[:number]))


def _one(_: Core) -> int:
    return 1


def len_of(core: Core) -> int:
    """The free threads of a core."""
    return len(core.threads)


def _weight(room: CellCapacity, request: Request, vcpus: int, *, by_core: bool) -> Callable[[Core], int]:
    """How many vcpus of a request a core holds."""
    if request.smt in ("isolate", "avoid") or by_core:
        return _one
    if request.smt == "require":
        # As nova does: the same number of threads of each core, the largest with which there are enough.
        each = next(each for each, number in siblings(room) if each * number >= vcpus)
        return lambda core: each if len(core.threads) >= each else 0
    return len_of


def _group(
    room: CellCapacity, cores: Sequence[Core], weigh: Callable[[Core], int], vcpus: int, request: Request
) -> Sequence[Core] | None:
    """The cores of the cache, or die, that has room for all and has least left then (most, to spread)."""
    for level in range(len(cores[0].groups) if cores else 0):
        if len({core.groups[level] for core in room.cores}) < 2:
            continue
        members: dict[object, list[Core]] = {}
        for core in cores:
            members.setdefault(core.groups[level], []).append(core)
        able = [group for group in members.values() if sum([weigh(core) for core in group]) >= vcpus]
        if able and None not in members:
            sign = -1 if request.policy == "spread" else 1
            return min(able, key=lambda group: (sign * sum([weigh(core) for core in group]), group[0].threads))
    return None


def _fewest_groups(cores: Sequence[Core], weigh: Callable[[Core], int], vcpus: int) -> Sequence[Core]:
    """Cores of the caches with the most room, until there is enough."""
    if not cores or len({core.groups[-1] for core in cores}) < 2:
        return cores
    members: dict[object, list[Core]] = {}
    for core in cores:
        members.setdefault(core.groups[-1], []).append(core)
    out: list[Core] = []
    left = vcpus
    groups = sorted(members.values(), key=lambda group: (-sum([weigh(core) for core in group]), group[0].threads))
    while left > 0 and groups:
        # The last one need only hold the rest.
        fitting = [group for group in groups if sum([weigh(core) for core in group]) >= left]
        group = min(fitting, key=lambda one: sum([weigh(core) for core in one])) if fitting else groups[0]
        groups.remove(group)
        out += group
        left -= sum([weigh(core) for core in group])
    return out


def _threads(
    cores: Sequence[Core], request: Request, vcpus: int, weigh: Callable[[Core], int], *, by_core: bool
) -> tuple[tuple[int, ...], ...]:
    whole = [core.threads for core in cores if core.whole]
    broken = [core.threads for core in cores if not core.whole]
    if request.smt == "isolate":
        return tuple(whole[:vcpus])
    if request.smt == "require":
        # sorted() is stable: cores without other guests are first.
        usable = sorted([core for core in cores if weigh(core)], key=lambda core: not core.whole)
        own = [cpu for core in usable for cpu in core.threads[: weigh(core)]]
        return tuple([(cpu,) for cpu in sorted(own[:vcpus])])
    if request.policy == "spread" or by_core or request.smt == "avoid":
        deepest = max(map(len, whole), default=0)
        own = [threads[depth] for depth in range(deepest) for threads in whole if depth < len(threads)]
    else:
        own = [cpu for threads in _filled(whole, vcpus) for cpu in threads]
    shared = [cpu for threads in broken for cpu in threads]
    return tuple([(cpu,) for cpu in sorted([*own, *shared][:vcpus])])


def _filled(whole: list[tuple[int, ...]], vcpus: int) -> list[tuple[int, ...]]:
    """Whole cores with one that exactly ends the request, if there is one, before one that it would break."""
    left = vcpus
    for number, threads in enumerate(whole):
        if left < len(threads):
            exact = next((i for i in range(number, len(whole)) if len(whole[i]) == left), number)
            return [*whole[:number], whole[exact], *whole[number:exact], *whole[exact + 1 :]]
        left -= len(threads)
    return whole
