"""From chosen cells to a plan: shares, cpus, guest cells and reasons."""

from __future__ import annotations

from .allocate import cpus_of, split, take
from .candidates import Candidates
from .capacity import HostCapacity
from .plan import Plan, PlannedCell, PlannedVcpu
from .reasons import does_not_fit, reasons_for, rejected
from .request import Request
from .search import best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .allocate import Share


def planned(stock: HostCapacity, asked: Request, most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for one request out of what is left; ``taking`` takes it away from there."""
    field = Candidates(stock, asked)
    chosen = best(field)
    if chosen is None:
        raise does_not_fit(field)
    return explained(field, chosen, most_rejected, taking=taking)


def explained(field: Candidates, chosen: tuple[int, ...], most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for a set of cells that fits."""
    stock, asked = field.stock, field.request
    parts = split(field, chosen)
    vcpus = _vcpus(stock, asked, parts)
    plan = Plan(
        request=asked,
        cells=tuple([part.cell for part in parts]),
        cpus=tuple(sorted({cpu for one in vcpus for cpu in one.cpus})),
        vcpus=vcpus,
        memory={part.cell: part.memory for part in parts if part.memory},
        memory_only=tuple([part.cell for part in parts if not _reached(stock, asked, part)]),
        guest_cells=_guest_cells(stock, parts) if asked.guest_cells else (),
        distance=_distance(stock, parts),
        reasons=reasons_for(field, chosen, parts),
        rejected=rejected(field, chosen, most_rejected) if most_rejected else (),
        bind=len(stock.rooms) > 1,
    )
    if taking:
        take(stock, asked, parts)
    return plan


def _vcpus(stock: HostCapacity, asked: Request, parts: Sequence[Share]) -> tuple[PlannedVcpu, ...]:
    if asked.dedicated:
        each = [cpus for part in parts for cpus in part.cpus]
        return tuple([PlannedVcpu(i, cpus, True) for i, cpus in enumerate(each)])
    if asked.guest_cells:
        cpus = [cpus_of(stock, part.cell) for part in parts for _ in range(part.vcpus)]
        return tuple([PlannedVcpu(i, inside) for i, inside in enumerate(cpus)])
    inside = [part.cell for part in parts if _reached(stock, asked, part)]
    everywhere = tuple(sorted([cpu for cell in inside for cpu in cpus_of(stock, cell)]))
    return tuple([PlannedVcpu(i, everywhere) for i in range(asked.vcpus)])


def _reached(stock: HostCapacity, asked: Request, part: Share) -> bool:
    """Whether vcpus may run on a part's cell.

    Under Xen memory follows the vcpus' affinity, which therefore has to reach every cell that gives some.
    """
    return bool(part.vcpus or (stock.striped and not asked.dedicated and stock.rooms[part.cell].cpus))


def _guest_cells(stock: HostCapacity, parts: Sequence[Share]) -> tuple[PlannedCell, ...]:
    out = []
    first = 0
    for number, part in enumerate(parts):
        row = stock.costs[part.cell]
        distances = tuple([(i, row[other.cell]) for i, other in enumerate(parts)]) if stock.known_distances else None
        out.append(PlannedCell(number, part.cell, tuple(range(first, first + part.vcpus)), part.memory, distances))
        first += part.vcpus
    return tuple(out)


def _distance(stock: HostCapacity, parts: Sequence[Share]) -> float | None:
    """Expected cost of an access, every vcpu reaching every byte alike."""
    if not stock.known_distances:
        return None
    pairs = [(a.vcpus * b.memory, stock.costs[a.cell][b.cell]) for a in parts for b in parts]
    return sum([weight * cost for weight, cost in pairs]) / sum([weight for weight, _ in pairs])
