"""Which running guests to move, and where to, so that another one fits.

A move takes a guest from its cells to others that can hold it, on no more cells than before; memory that stays on a
cell is not moved. Fewest guests first, then fewest bytes; each move has room when it is made.
"""

from __future__ import annotations

from itertools import combinations

from ..named import namedtuple
from .allocate import split, take
from .candidates import Candidates
from .capacity import capacity_of
from .claims import hold
from .planning import explained
from .reasons import does_not_fit
from .request import PAGE, Request
from .search import best
from .shared_cpus import settle_cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ..model.domains import Domain
    from ..model.host import Host
    from .claims import Claim
    from .plan import Plan
    from .rooms import HostCapacity

# Guests and places that are tried before the search gives up, a tenth of a millisecond each.
MAX_TRIES = 50_000


class Move(namedtuple("Move", "domain name before plan size")):
    """One guest to move: ``before`` is its memory by cell id, ``plan`` its new place, ``size`` the bytes that move."""

    __slots__ = ()
    domain: int | str
    name: str | None
    before: dict[int, int]
    plan: Plan
    size: int

    def to_dict(self) -> dict[str, Any]:
        """The move as an item of ``moves`` in ``schemas/place.json``."""
        return {
            "domain": self.domain,
            "name": self.name,
            "before": {str(cell): size for cell, size in self.before.items()},
            "bytes": self.size,
            "plan": self.plan.to_dict(),
        }


class Rearrangement(namedtuple("Rearrangement", "plan moves fixed complete")):
    """A plan for the new guest, and the ``moves`` to make first, in this order.

    ``fixed`` are pairs (domain id, reason) of guests that cannot be moved. ``complete`` is True if every combination
    was tried, so that no fewer guests or bytes are enough.
    """

    __slots__ = ()
    plan: Plan
    moves: tuple[Move, ...]
    fixed: tuple[tuple[int | str, str], ...]
    complete: bool

    @property
    def size(self) -> int:
        """Total of the bytes that are moved."""
        return sum([move.size for move in self.moves])


def make_room(
    host: Host,
    request: Request,
    *,
    domains: Sequence[Domain],
    moves: int = 1,
    without: str | Iterable[str] = (),
    reserve: int | None = None,
    pool: int | None = None,
    claims: Sequence[Claim] = (),
    fixed: Mapping[int | str, str] | None = None,
    most_rejected: int = 0,
) -> Rearrangement:
    """A plan for a guest, with at most ``moves`` running guests moved, and as if those named ``without`` did not exist.

    ``fixed`` has the reasons why guests cannot be moved, by domain id, as :func:`numaprobe.immovable` gives them. The
    other arguments are those of :func:`numaprobe.place`. If moves do not help, raises ``DoesNotFit`` with what is
    missing without them; raises ``ValueError`` for a name that no domain has.
    """
    names = (without,) if isinstance(without, str) else tuple(without)
    known = {str(domain.id) for domain in domains} | {domain.name for domain in domains}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no domain {name!r}")
    gone = [domain for domain in domains if domain.name in names or str(domain.id) in names]
    search = _Search(host, request, domains, gone, reserve, pool, claims, fixed or {}, most_rejected)
    return search.run(moves)


def obstacle(domain: Domain) -> str | None:
    """Why a guest cannot be moved; None if nothing is known that speaks against it."""
    if domain.id == 0 and domain.kind in ("pv", "hvm"):
        return "the control domain"
    if domain.cells is None or domain.unplaced:
        return "the location of its memory is unknown"
    if not domain.vcpus or not domain.memory or domain.memory < PAGE:
        return "its vcpus or its memory are not known"
    return None


def request_of(domain: Domain) -> Request:
    """The guest as it runs, as a request: its size, and whether its vcpus are pinned."""
    xen = domain.kind in ("pv", "hvm", "process", "group")
    memory = domain.memory or 0
    if not xen and domain.maximum is not None:
        memory = max(memory, domain.maximum)
    each = domain.each_vcpu or ()
    return Request(
        vcpus=domain.vcpus or 1,
        memory=memory // PAGE * PAGE,
        name=domain.name,
        pinned=bool(each) and all(vcpu.cpus is not None and len(vcpu.cpus) == 1 for vcpu in each),
        smt="share",
    )


class _Search:
    """Depth first over guests and cells, the smallest number of moves first."""

    def __init__(
        self,
        host: Host,
        request: Request,
        domains: Sequence[Domain],
        gone: Sequence[Domain],
        reserve: int | None,
        pool: int | None,
        claims: Sequence[Claim],
        fixed: Mapping[int | str, str],
        most_rejected: int,
    ) -> None:
        self.host, self.request = host, request
        self.domains, self.gone = tuple(domains), frozenset(domain.id for domain in gone)
        self.reserve, self.pool, self.claims, self.most_rejected = reserve, pool, claims, most_rejected
        staying = [domain for domain in domains if domain.id not in self.gone]
        self.fixed = tuple(
            [(one.id, why) for one in staying if (why := obstacle(one) or fixed.get(one.id)) is not None]
        )
        stuck = {number for number, _ in self.fixed}
        # The smallest first: the first that is found is then soon the cheapest.
        self.movable = sorted(
            [one for one in staying if one.id not in stuck], key=lambda one: (one.memory, str(one.id))
        )
        self.wanted = {one.id: request_of(one) for one in self.movable}
        self.emptied: dict[frozenset[int | str], HostCapacity] = {}
        self.tries = 0
        self.best: tuple[int, tuple[Move, ...], Plan] | None = None

    def run(self, most: int) -> Rearrangement:
        stock = self._without(frozenset())
        settle_cpus(stock, self.request)
        field = Candidates(stock, self.request)
        chosen = best(field)
        if chosen is not None:
            plan = explained(field, chosen, self.most_rejected)
            return Rearrangement(plan=plan, moves=(), fixed=self.fixed, complete=True)
        for depth in range(1, min(most, len(self.movable)) + 1):
            self._descend(depth, (), ())
            if self.best is not None:
                _, moves, plan = self.best
                return Rearrangement(plan=plan, moves=moves, fixed=self.fixed, complete=self.tries <= MAX_TRIES)
        error = does_not_fit(field)
        if most:
            tried = "no" if self.tries <= MAX_TRIES else "none of those tried of the"
            error.reasons = (*error.reasons, f"{tried} {most} move{'s' if most > 1 else ''} of other guests would help")
            error.args = error.reasons
        raise error

    def _without(self, moved: frozenset[int | str]) -> HostCapacity:
        """What is left when the guests of a set are nowhere, and their memory is free."""
        found = self.emptied.get(moved)
        if found is None:
            away = [one for one in self.domains if one.id in moved or one.id in self.gone]
            rest = [one for one in self.domains if one not in away]
            found = capacity_of(memory_back(self.host, away), reserve=self.reserve, domains=rest, pool=self.pool)
            hold(found, self.claims)
            for one in away:
                # Nowhere for now, so nobody is away from it or together with it.
                found.homes.update({str(one.id): (), **({} if one.name is None else {one.name: ()})})
            self.emptied[moved] = found
        return found.copy()

    def _descend(self, depth: int, moves: tuple[Move, ...], done: tuple[Domain, ...]) -> None:
        """Try every further move; at the last one, see whether the new guest fits."""
        spent = sum([move.size for move in moves])
        seen: set[tuple[object, ...]] = set()
        for domain in self.movable:
            if domain in done or self.tries > MAX_TRIES:
                continue
            self.tries += 1
            moved = frozenset([one.id for one in (*done, domain)])
            stock = self._without(moved)
            for move in moves:
                settle(stock, move.plan)
            if depth == 1 and best(Candidates(stock, self.request)) is None:
                continue
            # Of guests that are alike one is enough.
            shape = (domain.cells, self.wanted[domain.id]._replace(name=None), domain.affinity, domain.each_vcpu)
            if shape in seen:
                continue
            seen.add(shape)
            for plan in self._places(stock, domain):
                self.tries += 1
                size = moved_bytes(domain, plan)
                if self.best is not None and spent + size >= self.best[0]:
                    continue
                move = Move(domain=domain.id, name=domain.name, before=dict(domain.cells or ()), plan=plan, size=size)
                after = (*moves, move)
                if depth > 1:
                    self._descend(depth - 1, after, (*done, domain))
                    continue
                left = stock.copy()
                settle(left, plan)
                field = Candidates(left, self.request)
                chosen = best(field)
                if chosen is not None:
                    self.best = spent + size, after, explained(field, chosen, self.most_rejected)

    def _places(self, stock: HostCapacity, domain: Domain) -> Iterator[Plan]:
        """Where a guest could move: every other set of as many cells as it has, or fewer."""
        field = Candidates(stock, self.wanted[domain.id])
        here = {cell for cell, size in domain.cells or () if size}
        for number in range(1, max(1, len(here)) + 1):
            for chosen in combinations(range(len(field.ids)), number):
                if {field.ids[i] for i in chosen} != here and field.fits(chosen):
                    yield explained(field, chosen, 0)


def moved_bytes(domain: Domain, plan: Plan) -> int:
    """Bytes that leave their cell."""
    return sum([max(0, size - plan.memory.get(cell, 0)) for cell, size in domain.cells or ()])


def settle(stock: HostCapacity, plan: Plan) -> None:
    """Take a plan away from what is left, on the cells that it names."""
    field = Candidates(stock, plan.request)
    chosen = [i for i, cell in enumerate(field.ids) if cell in plan.cells]
    take(stock, plan.request, split(field, chosen))


def memory_back(host: Host, away: Sequence[Domain]) -> Host:
    """A host with the memory of some guests free."""
    back: dict[int, int] = {}
    for one in away:
        for cell_id, size in one.cells or ():
            back[cell_id] = back.get(cell_id, 0) + size
    cells = []
    for cell in host.cells:
        more, memory = back.get(cell.id, 0), cell.memory
        free = None if memory.free is None else memory.free + more
        available = None if memory.available is None else memory.available + more
        cells.append(cell._replace(memory=memory._replace(free=free, available=available)) if more else cell)
    return host._replace(cells=tuple(cells))
