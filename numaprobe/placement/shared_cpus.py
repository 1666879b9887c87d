"""CPUs that several cells list, as with ``numa=fake``: each counts once, for one of those cells."""

from __future__ import annotations

from ..wording import cells, id_list
from .candidates import allowed_cells, nearness_of
from .rooms import LENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.host import Host
    from .request import Request
    from .rooms import HostCapacity


def counted_once(host: Host) -> tuple[Host, list[tuple[int, ...]], frozenset[int], list[str]]:
    """The host with every CPU in the lowest of its cells, the groups of cells that list the same CPUs, the cells that
    are left without any, and sentences about them.

    numa_add_cpu of Linux's mm/numa_emulation.c adds a CPU to every emulated node of its physical one, so that it is
    local to all of them: the memory of a cell that is left without CPUs is as near to them as ever.
    """
    lowest: dict[int, int] = {}
    several: dict[int, list[int]] = {}
    homeless = {cpu.id for cpu in host.cpus if cpu.cell is None and cpu.online}
    if not homeless:
        return host, [], frozenset(), []
    for cell in host.cells:
        for cpu in cell.cpus or ():
            if cpu in homeless:
                lowest.setdefault(cpu, cell.id)
                several.setdefault(cpu, []).append(cell.id)
    if not lowest:
        return host, [], frozenset(), []
    by_cells: dict[tuple[int, ...], list[int]] = {}
    for cpu, listing in several.items():
        by_cells.setdefault(tuple(listing), []).append(cpu)
    cpus = tuple([cpu._replace(cell=lowest[cpu.id]) if cpu.id in lowest else cpu for cpu in host.cpus])
    with_cpus = {cpu.cell for cpu in cpus if cpu.online}
    without = frozenset([cell.id for cell in host.cells if cell.cpus and cell.id not in with_cpus])
    groups = [ids for ids in by_cells if len({host.cell(cell_id).cpus for cell_id in ids}) == 1]
    notes = [f"CPUs {id_list(own)} are in {cells(ids)} alike, and counted once" for ids, own in by_cells.items()]
    return host._replace(cpus=cpus), groups, without, notes


def settle_cpus(stock: HostCapacity, request: Request) -> None:
    """Count CPUs that cells share in the one whose memory suits a request: they are local to all of these cells.

    That is one that the request may use, near to what it is to be near to, and large enough on its own; of those the
    one that the policy prefers.
    """
    if not stock.sharing:
        return
    allowed = allowed_cells(stock, request, {})
    for group in stock.sharing:
        able = [cell for cell in group if allowed is None or cell in allowed]
        if not able:
            continue
        near = nearness_of(stock, request, able)
        sizes = [_memory(stock, request, cell) for cell in able]
        fitting = [size >= request.memory for size in sizes]
        sign = 1 if request.policy == "pack" else -1
        at = min(
            range(len(able)),
            key=lambda i: (
                () if near is None else near[i],
                not fitting[i],
                sign * sizes[i] if fitting[i] else -sizes[i],
                able[i],
            ),
        )
        _move_cpus(stock, group, able[at])


def settle_cpus_at(stock: HostCapacity, cells: Sequence[int]) -> None:
    """Count CPUs that cells share in one of these cells, where a plan has some of the cells that share them."""
    for group in stock.sharing:
        inside = [cell for cell in group if cell in cells]
        if inside and all(stock.rooms[cell].lends for cell in inside):
            _move_cpus(stock, group, inside[0])


def _memory(stock: HostCapacity, request: Request, cell: int) -> int:
    room = stock.rooms[cell]
    return room.for_vfio() if request.vfio and request.huge_page is None else room.bytes(request.huge_page)


def _move_cpus(stock: HostCapacity, group: Sequence[int], target: int) -> None:
    home = next((cell for cell in group if not stock.rooms[cell].lends), None)
    if home is not None and home != target:
        stock.rooms[target].swap_cpus(stock.rooms[home])
        stock.rooms[target].notes.remove(LENT)
        stock.rooms[home].notes.append(LENT)
