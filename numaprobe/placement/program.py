"""A batch as a mixed integer program: a yes or no per guest and way to place it, and bytes per cell of each way.

On Linux a way is where the vcpus run: the bytes may then be anywhere, each at what the vcpus pay for it, and filling
cell by cell is one of the solutions. Under Xen, and for equal shares, a way is a set of cells.
"""

from __future__ import annotations

from itertools import islice
from math import isfinite

from ..named import namedtuple
from .candidates import Candidates, assign_shares, fitting_sets
from .dealing import even
from .filling import MAX_DIVIDED, divisions
from .relations import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .outcome import Outcome
    from .request import Request
    from .rooms import HostCapacity

# Ways to place one guest that are offered; of more, those on fewer cells, and nothing is proven.
MAX_WAYS = 4000
# Ways to divide vcpus, each with as many columns as there are cells.
MAX_SPREADS = 300
# Columns that are still solved in seconds.
MAX_COLUMNS = 60_000
UNIT = 2 << 20
# Of a unit: less is a rounding error of the solver.
LEAST = 1e-4
# What leaving a guest out costs, times the guests: more than the whole batch could.
DEAREST = 255.0


class Way(namedtuple("Way", "vcpus memory fixed")):
    """One way to place a guest, by position.

    ``vcpus`` run on each cell; ``memory`` is what an access to each cell costs them on average. Bytes may be on any of
    these cells, unless ``fixed`` says how many there are on each.
    """

    __slots__ = ()
    vcpus: dict[int, int]
    memory: dict[int, float]
    fixed: dict[int, int] | None


class Program:
    """Rows and columns in the form that ``scipy.optimize.milp`` takes, and what its columns mean.

    ``yes`` has the column of each way of each guest, ``bytes`` those of its memory by position. ``proven`` is whether
    every plan is a solution, so that no plan is better than the bound of the program.
    """

    def __init__(self, stock: HostCapacity, requests: Sequence[Request], known: Outcome) -> None:
        self.stock, self.requests = stock, requests
        self.fields = [Candidates(stock, request) for request in requests]
        self.out = DEAREST * (len(requests) + 1)
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.whole: list[int] = []
        self.rows: list[dict[int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self.yes: list[list[tuple[int, Way]]] = []
        self.bytes: dict[int, dict[int, int]] = {}
        self.proven = True
        memory: dict[tuple[int, int | None], dict[int, float]] = {}
        cpus: dict[int, dict[int, float]] = {}
        exclusive = any(request.exclusive or request.emulator_cpus for request in requests)
        pinned: dict[int, dict[int, float]] = {}
        for guest, field in enumerate(self.fields):
            own: dict[tuple[int, int | None], dict[int, float]] = {}
            self._guest(guest, field, known, own, cpus, exclusive=exclusive)
            for (cell, page), terms in own.items():
                memory.setdefault((cell, page), {}).update(terms)
                if field.request.vfio and page is None:
                    pinned.setdefault(cell, {}).update(terms)
        for cell, terms in pinned.items():
            self._row(terms, 0, max(0.0, stock.rooms[cell].for_vfio() / UNIT))
        for (cell, page), terms in memory.items():
            self._row(terms, 0, max(0.0, stock.rooms[cell].bytes(page) / UNIT))
        for cell, terms in cpus.items():
            self._row(terms, 0, stock.rooms[cell].cpus)
        self._wishes()

    def _column(self, cost: float, upper: float, *, whole: bool) -> int:
        self.cost.append(cost)
        self.upper.append(upper)
        self.whole.append(int(whole))
        return len(self.cost) - 1

    def _row(self, terms: dict[int, float], low: float, high: float) -> None:
        self.rows.append(terms)
        self.low.append(low)
        self.high.append(high)

    def _guest(
        self,
        guest: int,
        field: Candidates,
        known: Outcome,
        memory: dict[tuple[int, int | None], dict[int, float]],
        cpus: dict[int, dict[int, float]],
        *,
        exclusive: bool,
    ) -> None:
        """The ways of one guest, and what it takes of each cell in each of them."""
        request = field.request
        ways, proven = _ways(field, exclusive=exclusive)
        cells = known.sets[guest]
        most = request.max_cells
        if request.fewest and cells is not None:
            most = min(len(cells), most or len(cells))
            proven = False
        near = field.near
        if near is not None and cells is not None:
            # Being near comes before the cost: not farther than without the program.
            farthest = max([near[i] for i in range(len(field.ids)) if field.ids[i] in cells])
            kept = [way for way in ways if max([near[i] for i in way.vcpus]) <= farthest]
            proven, ways = proven and len(kept) == len(ways), kept
        if len(self.cost) > MAX_COLUMNS:
            ways, proven = [way for way in ways if len(way.vcpus) == 1], False
        self.proven = self.proven and proven
        mine: list[tuple[int, Way]] = []
        weight = _threads(field) if request.cores else 1
        need = field.need / UNIT
        for way in ways:
            fixed = way.fixed
            price = _fixed_cost(way) if fixed is not None else 0.0
            yes = self._column(price - self.out, 1, whole=True)
            mine.append((yes, way))
            if fixed is not None:
                for i, number in fixed.items():
                    memory.setdefault((field.ids[i], request.huge_page), {})[yes] = number / UNIT
            else:
                self._memory(field, way, yes, need, memory)
            if request.dedicated:
                for i, vcpus in way.vcpus.items():
                    cpus.setdefault(field.ids[i], {})[yes] = float(vcpus * weight)
        self.yes.append(mine)
        if not mine:
            return
        self._row({yes: 1.0 for yes, _ in mine}, 0, 1)
        if most is not None and most < len(field.ids) and field.shares is None and not field.stock.striped:
            used = self._used(guest)
            self._row(dict.fromkeys(used.values(), 1.0), 0, most)

    def _memory(
        self,
        field: Candidates,
        way: Way,
        yes: int,
        need: float,
        memory: dict[tuple[int, int | None], dict[int, float]],
    ) -> None:
        parts: dict[int, float] = {}
        mine: dict[int, int] = {}
        for i, price in way.memory.items():
            if not field.memory[i]:
                continue
            part = self._column(price / need, min(field.memory[i] / UNIT, need), whole=False)
            memory.setdefault((field.ids[i], field.request.huge_page), {})[part] = 1.0
            parts[part] = 1.0
            mine[i] = part
        self.bytes[yes] = mine
        self._row({**parts, yes: -need}, 0, 0)

    def _used(self, guest: int) -> dict[int, int]:
        """For each cell a column that is 1 where the guest has vcpus or memory there, by id."""
        field = self.fields[guest]
        need = field.need / UNIT
        out = {}
        for i, cell in enumerate(field.ids):
            used = out[cell] = self._column(0.0, 1, whole=True)
            terms: dict[int, float] = {}
            for yes, way in self.yes[guest]:
                if way.fixed is None and i not in way.vcpus:
                    part = self.bytes[yes].get(i)
                    if part is not None:
                        self._row({used: self.upper[part], part: -1.0}, 0, float("inf"))
                        terms[part] = 1.0 / min(1.0, need)
                elif i in way.vcpus:
                    terms[yes] = 1.0
            fixed = {column: 1.0 for column, _ in self.yes[guest] if column in terms}
            if fixed:
                self._row({used: 1.0, **dict.fromkeys(fixed, -1.0)}, 0, float("inf"))
            # Not used unless something is there.
            self._row({used: -1.0, **terms}, 0, float("inf"))
        return out

    def _wishes(self) -> None:
        """Guests of the batch that keep away from each other use no cell twice; of two together one is in the other.

        A wish binds only where both are placed.
        """
        away, together = pairs(self.requests, "away_from"), pairs(self.requests, "together_with")
        used = {guest: self._used(guest) for guest in sorted({one for pair in (*away, *together) for one in pair})}
        placed = {guest: {yes: 1.0 for yes, _ in self.yes[guest]} for guest in used}
        for a, b in away:
            for cell in used[a].keys() & used[b].keys():
                self._row({used[a][cell]: 1.0, used[b][cell]: 1.0}, 0, 1)
        for a, b in together:
            outer = self._column(0.0, 1, whole=True)
            both = {**placed[a], **placed[b]}
            for cell in used[a].keys() | used[b].keys():
                for inside, other, turn, free in ((a, b, 1.0, 2.0), (b, a, -1.0, 3.0)):
                    # inside <= other + (outer, or 1 - outer) + (2 - both placed)
                    terms = {**both, outer: -turn}
                    if cell in used[inside]:
                        terms[used[inside][cell]] = 1.0
                    if cell in used[other]:
                        terms[used[other][cell]] = -1.0
                    self._row(terms, -float("inf"), free)

    def solve(self, seconds: float) -> tuple[dict[int, tuple[int, ...] | None] | None, float | None]:
        """The cells of each guest in the best solution that was found in so many seconds, and a bound of the program.

        The cells are None without a solution, and the bound is None unless every plan is a solution.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped,unused-ignore]
        from scipy.sparse import csr_array  # type: ignore[import-untyped,unused-ignore]

        if not self.cost:
            return None, None
        places = [(r, c, value) for r, terms in enumerate(self.rows) for c, value in terms.items()]
        matrix = csr_array(
            ([value for _, _, value in places], ([r for r, _, _ in places], [c for _, c, _ in places])),
            shape=(len(self.rows), len(self.cost)),
        )
        found = milp(
            self.cost,
            integrality=self.whole,
            bounds=Bounds(0, self.upper),
            constraints=LinearConstraint(matrix, self.low, self.high),
            options={"time_limit": seconds, "mip_rel_gap": 0.0},
        )
        bound = found.fun if found.status == 0 else found.mip_dual_bound
        if not self.proven or bound is None or not isfinite(bound):
            bound = None
        return None if found.x is None else self._sets(list(found.x)), bound

    def _sets(self, solution: list[float]) -> dict[int, tuple[int, ...] | None]:
        sets: dict[int, tuple[int, ...] | None] = {}
        for guest, mine in enumerate(self.yes):
            sets[guest] = None
            for yes, way in mine:
                if solution[yes] > 0.5:
                    places = {i for i, vcpus in way.vcpus.items() if vcpus} | set(way.fixed or ())
                    places.update([i for i, part in self.bytes.get(yes, {}).items() if solution[part] > LEAST])
                    sets[guest] = tuple([self.fields[guest].ids[i] for i in sorted(places)])
        return sets


def _ways(field: Candidates, *, exclusive: bool) -> tuple[list[Way], bool]:
    """The ways to place a guest, and whether every plan for it is one of them or no better than one."""
    if field.blocked is not None:
        return [], True
    if field.shares is not None:
        return _shared(field)
    if field.stock.striped:
        sets = list(islice(fitting_sets(field, 1, len(field.ids)), MAX_WAYS + 1))
        ways = [_dealt(field, chosen) for chosen in sets]
        return ways[:MAX_WAYS], len(ways) <= MAX_WAYS and not exclusive
    return _filled(field, exclusive=exclusive)


def _dealt(field: Candidates, chosen: tuple[int, ...]) -> Way:
    """A set of cells under Xen, where vcpus that float are on each cell as often as it has CPUs for them."""
    amounts = even(field, chosen).amounts
    way = _way(field, {i: vcpus for i, vcpus, _ in amounts}, chosen)
    if field.request.exclusive:
        return way
    costs, threads = field.costs, [(i, field.rooms[i].cpus) for i, _, _ in amounts]
    total = sum([number for _, number in threads])
    return way._replace(memory={j: sum([number * costs[i][j] for i, number in threads]) / total for j in chosen})


def _filled(field: Candidates, *, exclusive: bool) -> tuple[list[Way], bool]:
    """Where vcpus run on Linux. If every cell can run all of them, no way to divide them is better than the best one.

    Otherwise some cells are full and one has the rest, unless other guests take CPUs for themselves.
    """
    vcpus, places = field.request.vcpus, range(len(field.ids))
    able = [i for i in places if field.cpus[i]]
    spreads: list[dict[int, int]] = [{i: vcpus} for i in able if field.hosting[i] >= vcpus]
    proven = len({room.group for room in field.rooms}) == 1
    if exclusive and (field.request.dedicated or len(spreads) < len(able)):
        every = list(islice(_compositions([min(field.cpus[i], vcpus) for i in able], vcpus), MAX_SPREADS + 1))
        if len(every) <= MAX_SPREADS:
            spreads = [{i: number for i, number in zip(able, one, strict=True) if number} for one in every]
            return [_way(field, spread, places) for spread in spreads], proven
        proven = False
    if len(spreads) < len(able):
        more = list(divisions(field, places))
        spreads += [one for i, one in enumerate(more) if one not in more[:i]][:MAX_SPREADS]
        proven = proven and len(more) <= MAX_SPREADS and len(places) <= MAX_DIVIDED
    return [_way(field, spread, places) for spread in spreads], proven


def _way(field: Candidates, vcpus: dict[int, int], places: Iterable[int]) -> Way:
    costs, number = field.costs, field.request.vcpus
    prices = {j: sum([count * costs[i][j] for i, count in vcpus.items()]) / number for j in places}
    return Way(vcpus=vcpus, memory=prices, fixed=None)


def _fixed_cost(way: Way) -> float:
    sizes = way.fixed or {}
    return sum([size * way.memory[i] for i, size in sizes.items()]) / sum(sizes.values())


def _compositions(limits: Sequence[int], total: int) -> Iterator[tuple[int, ...]]:
    """Every way to deal out so many, each within its limit."""
    if not limits:
        if not total:
            yield ()
        return
    rest = sum(limits[1:])
    for number in range(max(0, total - rest), min(limits[0], total) + 1):
        for more in _compositions(limits[1:], total - number):
            yield (number, *more)


def _shared(field: Candidates) -> tuple[list[Way], bool]:
    """A way for each set that holds equal shares; which of unequal ones is where is decided by what is free."""
    parts = field.shares or []
    out = []
    for chosen in islice(fitting_sets(field, 1, len(field.ids)), MAX_WAYS + 1):
        order = assign_shares(field, chosen) or ()
        rows = [(i, vcpus, size) for i, (vcpus, size) in zip(order, parts, strict=True)]
        way = _way(field, {i: vcpus for i, vcpus, _ in rows}, order)
        out.append(way._replace(fixed={i: size for i, _, size in rows}))
    return out[:MAX_WAYS], len(out) <= MAX_WAYS and len(set(parts)) == 1


def _threads(field: Candidates) -> int:
    """The fewest threads that a whole core takes."""
    return min([len(core.threads) for room in field.rooms for core in room.cores if core.whole], default=1)
