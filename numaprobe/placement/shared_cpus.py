"""CPUs that several cells list, as with ``numa=fake``: each counts once, for the lowest of those cells."""

from __future__ import annotations

from ..wording import cells, id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.host import Host


def counted_once(host: Host) -> tuple[Host, frozenset[int], list[str]]:
    """The host with every CPU in one cell, the cells that are left without any, and sentences about them.

    numa_add_cpu of Linux's mm/numa_emulation.c adds a CPU to every emulated node of its physical one, so that it is
    local to all of them: the memory of a cell that is left without CPUs is as near to them as ever.
    """
    lowest: dict[int, int] = {}
    several: dict[int, list[int]] = {}
    homeless = {cpu.id for cpu in host.cpus if cpu.cell is None and cpu.online}
    if not homeless:
        return host, frozenset(), []
    for cell in host.cells:
        for cpu in cell.cpus or ():
            if cpu in homeless:
                lowest.setdefault(cpu, cell.id)
                several.setdefault(cpu, []).append(cell.id)
    if not lowest:
        return host, frozenset(), []
    by_cells: dict[tuple[int, ...], list[int]] = {}
    for cpu, listing in several.items():
        by_cells.setdefault(tuple(listing), []).append(cpu)
    cpus = tuple([cpu._replace(cell=lowest[cpu.id]) if cpu.id in lowest else cpu for cpu in host.cpus])
    with_cpus = {cpu.cell for cpu in cpus if cpu.online}
    without = frozenset([cell.id for cell in host.cells if cell.cpus and cell.id not in with_cpus])
    notes = [
        f"CPUs {id_list(own)} are in {cells(ids)} alike; they are counted in the first" for ids, own in by_cells.items()
    ]
    return host._replace(cpus=cpus), without, notes
