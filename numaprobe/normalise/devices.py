"""Devices and the cells that they are near to."""

from __future__ import annotations

from ..model.host import Device, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..linux.facts import DeviceFacts
    from ..model.host import Cell


def devices_of(
    facts: Iterable[DeviceFacts],
    cells: tuple[Cell, ...],
    notes: list[Note],
    nodes: Mapping[str, int | None] | None = None,
) -> tuple[Device, ...]:
    """Devices with their cells. ``nodes`` are those that Xen gives, by address, instead of the control domain's."""
    rows = tuple(facts)
    if nodes is None:
        known = _cells(rows, cells)
    else:
        known = {a: (node, "sysctl pcitopoinfo") for a, node in nodes.items() if node is not None}
    nearest = _Nearest(cells)
    found = []
    for row in rows:
        cell, cell_from = known.get(row.address, (None, None))
        cpu_cell, cpu_cell_from = nearest.to(cell)
        found.append(
            Device(
                address=row.address,
                cell=cell,
                class_code=row.class_code,
                vendor=row.vendor,
                device=row.device,
                names=row.names,
                cell_from=cell_from,
                cpu_cell=cpu_cell,
                cpu_cell_from=cpu_cell_from,
            )
        )
    _note_missing(found, cells, "sys/bus/*/devices/*/numa_node" if nodes is None else "sysctl pcitopoinfo", notes)
    return tuple(found)


def _note_missing(devices: list[Device], cells: tuple[Cell, ...], where: str, notes: list[Note]) -> None:
    """Note the devices of a node that the host does not have, as after its memory was removed."""
    ids = {cell.id for cell in cells}
    missing: dict[int, list[str]] = {}
    for device in devices:
        if device.cell is not None and device.cell not in ids:
            missing.setdefault(device.cell, []).append(device.address)
    for node, (first, *others) in missing.items():
        more = f" and {len(others)} more" if others else ""
        notes.append(Note(where, f"node {node} of {first}{more} is not online"))


def _cells(rows: tuple[DeviceFacts, ...], cells: tuple[Cell, ...]) -> dict[str, tuple[int, str]]:
    """The cell of each device by address, and how it is known."""
    known = {row.address: (row.node, "numa_node") for row in rows if row.node is not None}
    for row in rows:
        # Where the kernel knows nothing the list has the cpus of all cells.
        if row.address not in known and row.local_cpus:
            local = set(row.local_cpus)
            holders = [cell.id for cell in cells if cell.cpus and not local.isdisjoint(cell.cpus)]
            if len(holders) == 1 and sum(bool(cell.cpus) for cell in cells) > 1:
                known[row.address] = holders[0], "local_cpulist"
    bridge_of = {row.address: row.bridge for row in rows if row.bridge is not None}
    below = {}
    for row in rows:
        above, steps = bridge_of.get(row.address), 0
        # A tree made by hand may have bridges that contain each other.
        while row.address not in known and above is not None and steps < len(rows):
            if above in known:
                below[row.address] = known[above][0], f"bridge {above}"
                break
            above, steps = bridge_of.get(above), steps + 1
    return known | below


class _Nearest:
    """The cell with cpus that is nearest to a cell."""

    def __init__(self, cells: tuple[Cell, ...]) -> None:
        self.cells = {cell.id: cell for cell in cells}
        self.with_cpus = {cell.id for cell in cells if cell.cpus}
        self.complete = all(cell.cpus is not None for cell in cells)

    def to(self, cell_id: int | None) -> tuple[int | None, str | None]:
        """That cell and how it is known; None where nothing says, and where two are equally near."""
        if cell_id in self.with_cpus:
            return cell_id, "own cell"
        if not self.complete:
            return None, None
        if len(self.with_cpus) == 1:
            return next(iter(self.with_cpus)), "only cell with cpus"
        if cell_id is None or cell_id not in self.cells:
            return None, None
        cell = self.cells[cell_id]
        for access in sorted(cell.accesses, key=lambda access: -access.level):
            initiators = [initiator for initiator in access.initiators if initiator in self.with_cpus]
            if len(initiators) == 1:
                return initiators[0], f"access{access.level} initiators"
        # What the cpus of a cell pay to reach the device's cell.
        costs = []
        for other in sorted(self.with_cpus):
            cost = dict(self.cells[other].distances or ()).get(cell_id)
            if cost is None:
                return None, None
            costs.append((cost, other))
        costs.sort()
        if not costs or (len(costs) > 1 and costs[0][0] == costs[1][0]):
            return None, None
        return costs[0][1], "distances"
