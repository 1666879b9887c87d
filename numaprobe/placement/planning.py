"""From chosen cells to a plan: shares, CPUs, guest cells, advice and reasons."""

from __future__ import annotations

from .allocate import cpus_of, split, take
from .candidates import Candidates
from .plan import Plan, PlannedCell, PlannedVcpu, Repin
from .reasons import does_not_fit, reasons_for, rejected
from .request import Request
from .rooms import HostCapacity
from .search import best
from .shared_cpus import settle_cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .allocate import Share


def planned(stock: HostCapacity, request: Request, most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for one request out of what is left; ``taking`` takes it away from there."""
    settle_cpus(stock, request)
    field = Candidates(stock, request)
    chosen = best(field)
    if chosen is None:
        raise does_not_fit(field)
    return explained(field, chosen, most_rejected, taking=taking)


def explained(field: Candidates, chosen: tuple[int, ...], most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for a set of cells that fits."""
    stock, request = field.stock, field.request
    parts = split(field, chosen)
    taken = {cpu for part in parts for cpus in (*part.cpus, part.emulator) for cpu in cpus}
    vcpus = _vcpus(stock, request, parts, taken)
    emulator = request.emulator if isinstance(request.emulator, tuple) else tuple(c for p in parts for c in p.emulator)
    repin = _repins(stock, taken)
    plan = Plan(
        request=request,
        cells=tuple([part.cell for part in parts]),
        cpus=tuple(sorted({cpu for one in vcpus for cpu in one.cpus}.union(emulator))),
        vcpus=vcpus,
        memory={part.cell: part.memory for part in parts if part.memory},
        memory_only=tuple([part.cell for part in parts if not _reached(stock, request, part)]),
        guest_cells=_guest_cells(stock, parts) if request.guest_cells else (),
        distance=_distance(stock, parts, vcpus),
        reasons=reasons_for(field, chosen, parts, repin),
        rejected=rejected(field, chosen, most_rejected) if most_rejected else (),
        bind=stock.bind,
        emulator=emulator,
        repin=repin,
    )
    if taking:
        take(stock, request, parts)
    return plan


def without(plan: Plan, taken: Iterable[int]) -> Plan:
    """A plan whose floating vcpus keep off CPUs that others got for themselves after it was made."""
    mine = set(plan.exclusive_cpus)
    gone = set(taken) - mine
    if gone.isdisjoint(plan.cpus):
        return plan
    vcpus = tuple(
        [
            one if one.pinned else one._replace(cpus=tuple([cpu for cpu in one.cpus if cpu not in gone]))
            for one in plan.vcpus
        ]
    )
    cpus = {cpu for one in vcpus for cpu in one.cpus}.union(plan.emulator)
    return plan._replace(vcpus=vcpus, cpus=tuple(sorted(cpus)))


def _vcpus(stock: HostCapacity, request: Request, parts: Sequence[Share], taken: set[int]) -> tuple[PlannedVcpu, ...]:
    free = {part.cell: tuple([cpu for cpu in cpus_of(stock, part.cell) if cpu not in taken]) for part in parts}
    inside = [part.cell for part in parts if _reached(stock, request, part)]
    everywhere = tuple(sorted([cpu for cell in inside for cpu in free[cell]]))
    # Under Xen memory follows the affinity of all vcpus; elsewhere each stays where the plan counts it.
    together = stock.striped or any(_core_left(stock, part, free[part.cell]) for part in parts)
    out: list[PlannedVcpu] = []
    for part in parts:
        floating = everywhere if together and not request.guest_cells else free[part.cell]
        for place in range(part.vcpus):
            alone = part.cpus[place] if part.cpus else ()
            out.append(PlannedVcpu(vcpu=len(out), cpus=alone or floating, pinned=bool(alone)))
    return tuple(out)


def _core_left(stock: HostCapacity, part: Share, free: tuple[int, ...]) -> bool:
    """Whether vcpus would float on one core alone, because it is all that is left: that would look like a pin."""
    floating = part.vcpus - sum([1 for cpus in part.cpus if cpus])
    room = stock.rooms[part.cell]
    return bool(floating) and len(free) < room.online and any(set(free) <= set(core.threads) for core in room.cores)


def _reached(stock: HostCapacity, request: Request, part: Share) -> bool:
    """Whether vcpus may run on a part's cell.

    Under Xen memory follows the vcpus' affinity, which therefore has to reach every cell that gives some.
    """
    return bool(part.vcpus or (stock.striped and not request.dedicated and stock.rooms[part.cell].cpus))


def _repins(stock: HostCapacity, taken: set[int]) -> tuple[Repin, ...]:
    """Advice for running guests that float on CPUs which are taken: to the rest of theirs, or of their cells."""
    if not taken or not stock.floaters:
        return ()
    cell_of = {cpu: cell for cell, room in stock.rooms.items() for core in room.cores for cpu in core.threads}
    free = set(cell_of) - taken
    out = []
    for one in stock.floaters:
        if one.cpus is not None and taken.isdisjoint(one.cpus):
            continue
        rest = free if one.cpus is None else free.intersection(one.cpus)
        if not rest and one.cpus is not None:
            cells = {cell_of.get(cpu) for cpu in one.cpus}
            rest = {cpu for cpu in free if cell_of[cpu] in cells} or free
        out.append(Repin(domain=one.domain, name=one.name, vcpus=one.vcpus, cpus=tuple(sorted(rest))))
    return tuple(out)


def _guest_cells(stock: HostCapacity, parts: Sequence[Share]) -> tuple[PlannedCell, ...]:
    out = []
    first = 0
    for number, part in enumerate(parts):
        row = stock.distances[part.cell]
        distances = tuple([(i, row[other.cell]) for i, other in enumerate(parts)]) if stock.known_distances else None
        out.append(
            PlannedCell(
                id=number,
                cell=part.cell,
                vcpus=tuple(range(first, first + part.vcpus)),
                memory=part.memory,
                distances=distances,
            )
        )
        first += part.vcpus
    return tuple(out)


def _running(stock: HostCapacity, parts: Sequence[Share], vcpus: Sequence[PlannedVcpu]) -> dict[int, float]:
    """How many vcpus are on each cell on average, each as often on every CPU that it may run on."""
    out = {part.cell: 0.0 for part in parts}
    cell_of = {cpu: cell for cell in out for core in stock.rooms[cell].cores for cpu in core.threads}
    counts: dict[tuple[int, ...], int] = {}
    for one in vcpus:
        counts[one.cpus] = counts.get(one.cpus, 0) + 1
    for cpus, count in counts.items():
        for cpu in cpus:
            out[cell_of[cpu]] += count / len(cpus)
    return out


def _distance(stock: HostCapacity, parts: Sequence[Share], vcpus: Sequence[PlannedVcpu]) -> float | None:
    """Expected cost of an access, every vcpu reaching every byte alike."""
    if not stock.known_distances:
        return None
    running = {part.cell: float(part.vcpus) for part in parts}
    if len(parts) > 1:
        running = _running(stock, parts, vcpus)
    pairs = [(running[a.cell] * b.memory, stock.costs[a.cell][b.cell]) for a in parts for b in parts]
    return sum([weight * cost for weight, cost in pairs]) / sum([weight for weight, _ in pairs])
