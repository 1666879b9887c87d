"""Where a guest should run, before it starts: ``place`` for one, ``place_all`` for several at once.

The rules, in the order in which they decide, are in ``docs/placement.md``.
"""

from __future__ import annotations

from .allocate import cpus_of, split, take
from .capacity import Stock, survey
from .plan import Plan, PlannedCell, PlannedVcpu, Rejected
from .reasons import miss, rejected, why
from .request import Request
from .search import Field, best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model.domains import Domain
    from ..model.host import Host
    from .allocate import Part
    from .batch import Batch

# Sets of cells that were not chosen are told of up to this many; there may be thousands.
MOST_REJECTED = 16


def place(
    host: Host,
    *,
    vcpus: int,
    memory: int,
    name: str | None = None,
    huge_page: int | None = None,
    cores: bool = False,
    pinned: bool = False,
    cells: int | None = None,
    max_cells: int | None = None,
    near: str | None = None,
    away_from: str | Iterable[str] = (),
    together_with: str | Iterable[str] = (),
    guest_cells: int | None = None,
    memory_only: bool = False,
    nearest: bool = False,
    policy: str = "pack",
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
    most_rejected: int = MOST_REJECTED,
) -> Plan:
    """Where a guest of ``vcpus`` and ``memory`` bytes should run on this host.

    The wishes are those of :class:`numaprobe.Request`. ``reserve`` bytes are kept back in each cell
    (None: a 64th of the cell's memory, at most 512 MiB). ``domains`` are those that run there, whose vcpus weigh on
    the cells that they may run in. ``pool`` is the only cpupool whose cpus are used (None: the lowest). Offline and
    isolated cpus are never used, nor what ``host.allowed`` leaves out where the host was read with it.

    Raises ``DoesNotFit`` with the nearest miss, ``ValueError`` and ``TypeError`` for a request that makes no sense.
    """
    asked = Request(
        vcpus=vcpus,
        memory=memory,
        name=name,
        huge_page=huge_page,
        cores=cores,
        pinned=pinned,
        cells=cells,
        max_cells=max_cells,
        near=near,
        away_from=away_from,
        together_with=together_with,
        guest_cells=guest_cells,
        memory_only=memory_only,
        nearest=nearest,
        policy=policy,
    )
    return planned(survey(host, reserve=checked_reserve(reserve), domains=domains, pool=pool), asked, most_rejected)


def place_all(
    host: Host,
    requests: Sequence[Request],
    *,
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
    partial: bool = False,
    optimal: bool = False,
    seconds: float = 30.0,
    most_rejected: int = MOST_REJECTED,
) -> Batch:
    """Where several guests should run, solved together; the plans come in the order of ``requests``.

    All of them must fit, unless ``partial`` lets those be left out that do not. ``optimal`` looks for the exact
    optimum for at most so many ``seconds``, which takes scipy (``pip install numaprobe[optimal]``).

    Raises ``DoesNotFit`` with the first guest that is left over and why, ``ModuleNotFoundError`` without scipy, and
    what ``place`` raises.
    """
    from .batch import solve

    stock = survey(host, reserve=checked_reserve(reserve), domains=domains, pool=pool)
    return solve(stock, tuple(requests), partial, optimal, seconds, most_rejected)


def checked_reserve(reserve: int | None) -> int | None:
    """``reserve``, if it is bytes or None; raises ``TypeError`` and ``ValueError``."""
    if reserve is None:
        return None
    if not isinstance(reserve, int) or isinstance(reserve, bool):
        raise TypeError(f"reserve is a whole number of bytes, not {reserve!r}")
    if reserve < 0:
        raise ValueError(f"reserve is at least 0, not {reserve}")
    return reserve


def planned(stock: Stock, asked: Request, most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for one request out of what is left; ``taking`` takes it away from there."""
    field = Field(stock, asked)
    chosen = best(field)
    if chosen is None:
        raise miss(field)
    return explained(field, chosen, most_rejected, taking=taking)


def explained(field: Field, chosen: tuple[int, ...], most_rejected: int, *, taking: bool = False) -> Plan:
    """The plan for a set of cells that fits."""
    stock, asked = field.stock, field.request
    parts = split(field, chosen)
    vcpus = _vcpus(stock, asked, parts)
    plan = Plan(
        asked,
        tuple([part.cell for part in parts]),
        tuple(sorted({cpu for one in vcpus for cpu in one.cpus})),
        vcpus,
        {part.cell: part.memory for part in parts if part.memory},
        tuple([part.cell for part in parts if not _reached(stock, asked, part)]),
        _guest_cells(stock, parts) if asked.guest_cells else (),
        _distance(stock, parts),
        why(field, chosen, parts),
        rejected(field, chosen, most_rejected) if most_rejected else (),
    )
    if taking:
        take(stock, asked, parts)
    return plan


def _vcpus(stock: Stock, asked: Request, parts: Sequence[Part]) -> tuple[PlannedVcpu, ...]:
    if asked.dedicated:
        return tuple([PlannedVcpu(i, cpus) for i, cpus in enumerate(cpus for part in parts for cpus in part.cpus)])
    if asked.guest_cells:
        cpus = [cpus_of(stock, part.cell) for part in parts for _ in range(part.vcpus)]
        return tuple([PlannedVcpu(i, inside) for i, inside in enumerate(cpus)])
    inside = [part.cell for part in parts if _reached(stock, asked, part)]
    everywhere = tuple(sorted([cpu for cell in inside for cpu in cpus_of(stock, cell)]))
    return tuple([PlannedVcpu(i, everywhere) for i in range(asked.vcpus)])


def _reached(stock: Stock, asked: Request, part: Part) -> bool:
    """Whether vcpus may run on a part's cell.

    Under Xen memory follows the vcpus' affinity, which therefore has to reach every cell that gives some.
    """
    return bool(part.vcpus or (stock.striped and not asked.dedicated and stock.rooms[part.cell].cpus))


def _guest_cells(stock: Stock, parts: Sequence[Part]) -> tuple[PlannedCell, ...]:
    out = []
    first = 0
    for number, part in enumerate(parts):
        row = stock.costs[part.cell]
        distances = tuple([(i, row[other.cell]) for i, other in enumerate(parts)]) if stock.known_distances else None
        out.append(PlannedCell(number, part.cell, tuple(range(first, first + part.vcpus)), part.memory, distances))
        first += part.vcpus
    return tuple(out)


def _distance(stock: Stock, parts: Sequence[Part]) -> float | None:
    """Expected cost of an access, every vcpu reaching every byte alike."""
    if not stock.known_distances:
        return None
    pairs = [(a.vcpus * b.memory, stock.costs[a.cell][b.cell]) for a in parts for b in parts]
    return sum([weight * cost for weight, cost in pairs]) / sum([weight for weight, _ in pairs])


__all__ = ["Plan", "PlannedCell", "PlannedVcpu", "Rejected", "Request", "place", "place_all"]
