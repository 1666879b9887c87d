"""What cells have left, as values: for what is decided between them."""

from __future__ import annotations

from collections.abc import Sequence

from numaprobe.placement.rooms import CellCapacity, Core, HostCapacity

UNIT = 1 << 20


def room(
    number: int,
    memory: int,
    cores: Sequence[Sequence[int]],
    *,
    groups: Sequence[tuple[object, ...]] | None = None,
    broken: Sequence[int] = (),
    loads: Sequence[float] | None = None,
) -> CellCapacity:
    """A cell with so many MiB, and cores with these threads; those whose number is ``broken`` are not whole."""
    out = CellCapacity(number)
    out.memory = out.full_memory = memory * UNIT
    out.settle(
        [
            Core(
                tuple(threads),
                i not in broken,
                groups[i] if groups is not None else (None, None),
                loads[i] if loads is not None else 0.0,
            )
            for i, threads in enumerate(cores)
        ]
    )
    out.online = out.cpus
    return out


def stock(
    cells: Sequence[tuple[int, int]], costs: Sequence[Sequence[int]] | None = None, *, xen: bool = False
) -> HostCapacity:
    """Cells of so many MiB and CPUs each, cores of one thread; 10 to itself and 20 to others unless ``costs`` says."""
    rooms, first = {}, 0
    for number, (memory, cpus) in enumerate(cells):
        rooms[number] = room(number, memory, [(cpu,) for cpu in range(first, first + cpus)])
        first += cpus
    n = len(rooms)
    table = {i: {j: costs[i][j] if costs is not None else 10 if i == j else 20 for j in range(n)} for i in range(n)}
    out = HostCapacity(rooms, table)
    out.striped = xen
    out.ordinary = all(one.cpus for one in rooms.values())
    return out
