"""Where a guest should run, before it starts: ``place`` for one, ``place_all`` for several at once.

The rules, in the order in which they decide, are in ``docs/placement.md``.
"""

from __future__ import annotations

from .capacity import capacity_of
from .claims import hold
from .plan import Plan, PlannedCell, PlannedVcpu, Rejected, Repin
from .planning import planned
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model.domains import Domain
    from ..model.host import Host
    from .batch import Batch
    from .claims import Claim

# Sets of cells that were not chosen are reported up to this many; there may be thousands.
MAX_REJECTED = 16


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
    near: str | int | Iterable[str | int] | None = None,
    away_from: str | Iterable[str] = (),
    together_with: str | Iterable[str] = (),
    guest_cells: int | None = None,
    memory_only: bool = False,
    nearest: bool = False,
    policy: str = "pack",
    smt: str | None = None,
    pinned_vcpus: Iterable[int] = (),
    emulator: int | Iterable[int] | None = None,
    fewest: bool = False,
    kinds: str | Iterable[str] = (),
    vfio: bool = False,
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
    plans: Sequence[Plan] = (),
    ignore_allowed: bool = False,
    claims: Sequence[Claim] = (),
    most_rejected: int = MAX_REJECTED,
) -> Plan:
    """Where a guest of ``vcpus`` and ``memory`` bytes should run on this host.

    The other constraints are those of :class:`numaprobe.Request`. ``reserve`` bytes are kept back in each cell (None: a
    64th of the cell's memory, at most 512 MiB). ``domains`` are the running guests: CPUs that their vcpus hold
    exclusively are not used, and their other vcpus count towards the load of the CPUs that they may run on. ``plans``
    are the plans that running guests were started with: the CPUs they pin are not used. ``pool`` is the only cpupool
    whose CPUs are used (None: the lowest). Offline and isolated CPUs are never used. If the host was probed with
    ``allowed``, only those CPUs and cells are used, unless ``ignore_allowed``: a guest that another program starts is
    not bound by what this process may use. ``claims`` are what other guests were promised and have not taken yet, from
    :class:`numaprobe.Ledger`.

    Raises ``DoesNotFit`` with the nearest miss, and ``ValueError`` or ``TypeError`` for an invalid request.
    """
    request = Request(
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
        smt=smt,
        pinned_vcpus=pinned_vcpus,
        emulator=emulator,
        fewest=fewest,
        kinds=kinds,
        vfio=vfio,
    )
    stock = capacity_of(
        host,
        reserve=checked_reserve(reserve),
        domains=domains,
        pool=pool,
        plans=plans,
        ignore_allowed=ignore_allowed,
    )
    hold(stock, claims)
    return planned(stock, request, most_rejected)


def place_all(
    host: Host,
    requests: Sequence[Request],
    *,
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
    plans: Sequence[Plan] = (),
    ignore_allowed: bool = False,
    partial: bool = False,
    optimal: bool = False,
    seconds: float = 30.0,
    claims: Sequence[Claim] = (),
    most_rejected: int = MAX_REJECTED,
) -> Batch:
    """Where several guests should run, solved together; the plans are in the order of ``requests``.

    All of them must fit, unless ``partial`` allows leaving out those that do not. ``optimal`` searches for the exact
    optimum for at most ``seconds``, which requires scipy (``pip install numaprobe[optimal]``).

    Raises ``DoesNotFit`` with the first guest that does not fit and why, ``ModuleNotFoundError`` without scipy, and
    what ``place`` raises.
    """
    from .batch import solve

    stock = capacity_of(
        host,
        reserve=checked_reserve(reserve),
        domains=domains,
        pool=pool,
        plans=plans,
        ignore_allowed=ignore_allowed,
    )
    hold(stock, claims)
    return solve(stock, tuple(requests), partial, optimal, seconds, most_rejected)


def checked_reserve(reserve: int | None) -> int | None:
    """``reserve``, if it is bytes or None; raises ``TypeError`` and ``ValueError``."""
    if reserve is None:
        return None
    if not isinstance(reserve, int) or isinstance(reserve, bool):
        raise TypeError(f"reserve must be an int in bytes, not {reserve!r}")
    if reserve < 0:
        raise ValueError(f"reserve must be at least 0, not {reserve}")
    return reserve


__all__ = ["Plan", "PlannedCell", "PlannedVcpu", "Rejected", "Repin", "Request", "place", "place_all"]
