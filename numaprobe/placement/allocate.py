"""From a set of cells to vcpus, CPUs and bytes on each of them."""

from __future__ import annotations

from ..named import namedtuple
from .access import arrangement, for_cores
from .pinning import dedicate, spare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arrangements import Arrangement
    from .candidates import Candidates
    from .request import Request
    from .rooms import Core, HostCapacity


class Share(namedtuple("Share", "cell vcpus memory cpus emulator", defaults=((), ()))):
    """What one cell gives: a number of vcpus and bytes of the guest's memory.

    ``cpus`` has the CPUs of each of these vcpus, ``()`` for one that floats; it is empty where all float. ``emulator``
    are CPUs for the emulator alone.
    """

    __slots__ = ()
    cell: int
    vcpus: int
    memory: int
    cpus: tuple[tuple[int, ...], ...]
    emulator: tuple[int, ...]


def split(field: Candidates, chosen: Sequence[int], found: Arrangement | None = None) -> list[Share]:
    """Divide a request among positions that fit it; cells that get nothing are left out.

    ``found`` is how, if that is known already.
    """
    request = field.request
    found = found or arrangement(field, chosen)
    assert found is not None, "the set was found to fit"
    # The requested memory may end within a granule: the last cell to get memory gets that much less.
    surplus = sum([size for _, _, size in found.amounts]) - request.memory
    sizes = {}
    for i, _, size in reversed(found.amounts):
        sizes[i] = size - surplus if size else 0
        surplus = 0 if size else surplus
    own = request.emulator_cpus
    amounts = sorted([(i, vcpus, sizes[i]) for i, vcpus, _ in found.amounts if vcpus or sizes[i] or own])
    place = _emulator_place(field, amounts) if own else None
    by_core = bool(request.exclusive) and for_cores(field, chosen)
    pinned = frozenset(range(request.vcpus)) if request.dedicated else frozenset(request.pinned_vcpus)
    parts = []
    first = 0
    for i, vcpus, size in amounts:
        mine = [vcpu in pinned for vcpu in range(first, first + vcpus)] if pinned else []
        first += vcpus
        given = iter(dedicate(field.rooms[i], request, sum(mine), by_core=by_core))
        cpus = tuple([next(given) if alone else () for alone in mine]) if any(mine) else ()
        emulator = spare(field.rooms[i], own, cpus) if i == place else ()
        parts.append(Share(cell=field.ids[i], vcpus=vcpus, memory=size, cpus=cpus, emulator=emulator))
    return parts


def _emulator_place(field: Candidates, amounts: Sequence[tuple[int, int, int]]) -> int:
    """The position with the most vcpus of those that have CPUs left for the emulator."""
    able = [(-vcpus, i) for i, vcpus, _ in amounts if vcpus and field.hosting[i] >= vcpus]
    able = able or [(-vcpus, i) for i, vcpus, _ in amounts if field.hosting[i] >= vcpus and field.rooms[i].cpus]
    return min(able)[1]


def cpus_of(stock: HostCapacity, cell: int) -> tuple[int, ...]:
    """All CPUs of a cell that nobody holds, ascending: where floating vcpus may run."""
    cores: list[Core] = stock.rooms[cell].cores
    return tuple(sorted([cpu for core in cores for cpu in core.threads]))


def take(stock: HostCapacity, request: Request, parts: Sequence[Share]) -> None:
    """Take a plan's parts away from what is left, and remember where it is under its name."""
    granule = request.granule
    for part in parts:
        room = stock.rooms[part.cell]
        room.take(-(-part.memory // granule) * granule, request.huge_page, vfio=request.vfio)
        alone = [cpu for cpus in (*part.cpus, part.emulator) for cpu in cpus]
        if alone:
            room.hold(alone)
        floating = part.vcpus - sum(1 for cpus in part.cpus if cpus)
        if floating:
            room.load += floating
            room.kept = max(room.kept, floating)
    if request.name is not None:
        stock.homes[request.name] = tuple(part.cell for part in parts)
