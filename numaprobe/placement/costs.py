"""What an access costs from each cell to each other's memory, and which memory is taken before which."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model.host import Cell, Host

# Distances are one byte and 255 means unreachable (ACPI 6.5, 5.2.17): unknown distances rank after all that are known.
UNKNOWN_DISTANCE = 255
LOCAL = 10
# The order in which memory is taken: a cell of a later group only if the groups before it do not suffice.
ORDINARY, SLOWER, DEVICE = range(3)


def distances(host: Host) -> tuple[dict[int, dict[int, int]], bool]:
    """SLIT distances by start and end, and whether all of them are known."""
    table: dict[int, dict[int, int]] = {}
    complete = True
    ids = [cell.id for cell in host.cells]
    for cell in host.cells:
        row: dict[int, Any] = dict(cell.distances or ())
        if list(row) == ids and None not in row.values():
            table[cell.id] = row
            continue
        known = {other.id: row.get(other.id) for other in host.cells}
        complete = complete and None not in known.values()
        table[cell.id] = {end: UNKNOWN_DISTANCE if cost is None else cost for end, cost in known.items()}
        if cell.distances is None:
            table[cell.id][cell.id] = LOCAL
    return table, complete


def costs(host: Host, table: dict[int, dict[int, int]]) -> dict[int, dict[int, int]]:
    """Distances with what firmware (HMAT) reports about memory that is slower or faster than a processor's own.

    The nearest initiators of a cell's memory pay its latency relative to the lowest of a cell to itself, which is 10;
    others pay the difference in distance on top. Rounded, so that cells alike but for measurement remain alike.
    """
    latencies = {cell.id: found for cell in host.cells if (found := _latency(cell)) is not None}
    own = [value for cell, (value, initiators) in latencies.items() if cell in initiators]
    if not own:
        return table
    reference = min(own)
    out = {start: dict(row) for start, row in table.items()}
    for end, (value, initiators) in latencies.items():
        known = [start for start in initiators if start in table]
        if not known:
            continue
        nearest = min(table[start][end] for start in known)
        base = round(LOCAL * value / reference)
        for start in table:
            if table[start][end] != UNKNOWN_DISTANCE:
                beyond = 0 if start in known else max(0, table[start][end] - nearest)
                out[start][end] = base + beyond
    return out


def _latency(cell: Cell) -> tuple[int, tuple[int, ...]] | None:
    """The read latency of the nearest initiators with CPUs, in nanoseconds, and who they are."""
    for access in sorted(cell.accesses or (), key=lambda one: -one.level):
        value = access.read_latency or access.write_latency
        if value and access.initiators:
            return value, access.initiators
    return None


def bandwidth(cell: Cell) -> int:
    """Read bandwidth in bytes per second as firmware reports it; 0 where it does not."""
    return max([access.read_bandwidth or 0 for access in cell.accesses or ()], default=0)


def groups(host: Host) -> dict[int, int]:
    """``ORDINARY``, ``SLOWER`` or ``DEVICE`` by cell: the kind and tier of its memory where it has no CPUs."""
    with_cpus = [cell.tier for cell in host.cells if cell.cpus and cell.tier is not None]
    fastest = min(with_cpus, default=None)
    out = {}
    for cell in host.cells:
        group = ORDINARY
        if not cell.cpus:
            slower = fastest is not None and cell.tier is not None and cell.tier > fastest
            if cell.kind == "gpu":
                group = DEVICE
            elif cell.kind is not None or slower:
                group = SLOWER
        out[cell.id] = group
    return out
