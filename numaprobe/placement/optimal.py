"""The exact optimum for a batch, by mixed integer programming with scipy's HiGHS (the extra ``optimal``).

A yes or no per guest and set of cells; amounts per cell of a set as whole granules. What is minimised is what the
heuristic minimises: guests left out first, then the sum of the mean distances between their cells.
"""

from __future__ import annotations

from collections import namedtuple
from itertools import combinations

from .candidates import Candidates, assign_shares
from .limits import Limits
from .outcome import Outcome
from .ranking import mean_cost
from .relations import groups, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .request import Request
    from .rooms import HostCapacity

# Yes-or-no variables that are still solved in seconds; with more, only smaller sets are offered and nothing is proven.
MAX_SETS = 20000
UNIT = 2 << 20


class Choice(namedtuple("Choice", "guest chosen yes cells")):
    """A set of cells that a guest may get: positions ``chosen``, ids ``cells``, and the column that says yes to it."""

    __slots__ = ()
    guest: int
    chosen: tuple[int, ...]
    yes: int
    cells: tuple[int, ...]


class Model:
    """Rows and columns of the program as they are added, in the form that ``scipy.optimize.milp`` takes."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.rows: list[dict[int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def column(self, cost: float, upper: float) -> int:
        """A whole number from 0 to ``upper``."""
        self.cost.append(cost)
        self.upper.append(upper)
        return len(self.cost) - 1

    def row(self, terms: dict[int, float], low: float, high: float) -> None:
        self.rows.append(terms)
        self.low.append(low)
        self.high.append(high)


def improve(
    stock: HostCapacity, requests: Sequence[Request], known: Outcome, limits: Limits, seconds: float
) -> tuple[Outcome, Limits]:
    """The best outcome, ``known`` where none is better, and the limits that were proven on the way.

    Raises ``ModuleNotFoundError`` that says what to install where scipy is missing.
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped,unused-ignore]
        from scipy.sparse import csr_array  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the exact optimum needs scipy: pip install 'numaprobe[optimal]'") from error
    if limits.reached(known):
        return known, limits
    fields = [Candidates(stock, asked) for asked in requests]
    offered, whole = _offered(fields)
    model = Model()
    choices: list[Choice] = []
    memory: dict[tuple[int, int | None], dict[int, float]] = {}
    cpus: dict[int, dict[int, float]] = {}
    # A guest left out costs more than the whole batch could.
    out = 255.0 * (len(requests) + 1)
    for guest, field in enumerate(fields):
        mine: dict[int, float] = {}
        for chosen in offered[guest]:
            yes = model.column(mean_cost(field, chosen) - out, 1)
            mine[yes] = 1.0
            choices.append(Choice(guest=guest, chosen=chosen, yes=yes, cells=tuple([field.ids[i] for i in chosen])))
            _amounts(model, field, chosen, yes, memory, cpus)
        model.row(mine, 0, 1)
    if not choices:
        return known, limits
    for (cell, page), terms in memory.items():
        model.row(terms, 0, stock.rooms[cell].bytes(page) // (page or UNIT))
    for cell, terms in cpus.items():
        model.row(terms, 0, stock.rooms[cell].cpus)
    _wishes(model, requests, choices)
    places = [(r, c, value) for r, terms in enumerate(model.rows) for c, value in terms.items()]
    matrix = csr_array(
        ([value for _, _, value in places], ([r for r, _, _ in places], [c for _, c, _ in places])),
        shape=(len(model.rows), len(model.cost)),
    )
    found = milp(
        model.cost,
        integrality=[1] * len(model.cost),
        bounds=Bounds(0, model.upper),
        constraints=LinearConstraint(matrix, model.low, model.high),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    if found.x is None:
        return known, limits
    sets: dict[int, tuple[int, ...] | None] = dict.fromkeys(range(len(requests)))
    cost = 0.0
    for choice in choices:
        if found.x[choice.yes] > 0.5:
            sets[choice.guest] = choice.cells
            cost += mean_cost(fields[choice.guest], choice.chosen)
    better = Outcome(_order(requests, sets), sets, cost)
    if better.rank < known.rank and _holds(stock, requests, better):
        known = better
    if whole:
        # No solution of the program is below the dual bound, and every plan is a solution of it.
        dual = found.mip_dual_bound if found.status != 0 else float(found.fun)
        placed = len(known.sets) - known.left_out
        bound = min(limits.bound, int((255.0 * len(requests) - dual) / out + 1e-9))
        limits = Limits(bound, limits.costs, dual + out * placed if placed == bound else 0.0)
    return known, limits


def _wishes(model: Model, requests: Sequence[Request], choices: Sequence[Choice]) -> None:
    """Guests of the batch that keep away from each other use no cell twice; those together use cells of one of them."""
    of: dict[int, list[Choice]] = {}
    for choice in choices:
        of.setdefault(choice.guest, []).append(choice)
    for a, b in pairs(requests, "away_from"):
        cells = {cell for choice in of.get(a, ()) for cell in choice.cells}
        for cell in sorted(cells):
            model.row({c.yes: 1.0 for guest in (a, b) for c in of.get(guest, ()) if cell in c.cells}, 0, 1)
    for a, b in pairs(requests, "together_with"):
        for mine in of.get(b, ()):
            inside = set(mine.cells)
            apart = [c for c in of.get(a, ()) if not (inside <= set(c.cells) or inside >= set(c.cells))]
            model.row({mine.yes: 1.0, **{c.yes: 1.0 for c in apart}}, 0, 1)


def _offered(fields: Sequence[Candidates]) -> tuple[list[list[tuple[int, ...]]], bool]:
    """For each guest the sets that it fits alone, small ones first, and whether that is all of them."""
    largest = max([len(field.ids) for field in fields], default=0)
    out: list[list[tuple[int, ...]]] = [[] for _ in fields]
    total = 0
    for size in range(1, largest + 1):
        level = [list(_fitting(field, size)) for field in fields]
        total += sum(map(len, level))
        if total > MAX_SETS and size > 1:
            return out, False
        out = [sets + more for sets, more in zip(out, level, strict=True)]
    return out, True


def _fitting(field: Candidates, size: int) -> Iterator[tuple[int, ...]]:
    request = field.request
    wanted = len(field.shares) if field.shares is not None else size
    if size != wanted or size > (request.max_cells or size):
        return
    for chosen in combinations(range(len(field.ids)), size):
        if field.fits(chosen):
            yield chosen


def _amounts(
    model: Model,
    field: Candidates,
    chosen: tuple[int, ...],
    yes: int,
    memory: dict[tuple[int, int | None], dict[int, float]],
    cpus: dict[int, dict[int, float]],
) -> None:
    """What a guest takes of each cell if it has this set: fixed for one cell or equal shares, else free to choose."""
    request = field.request
    page = request.huge_page
    unit = page or UNIT
    # A core is counted as all its threads: two, unless the cells say otherwise.
    weight = _threads(field) if request.cores else 1
    if len(chosen) == 1 or field.shares is not None:
        order = assign_shares(field, chosen) if field.shares is not None else list(chosen)
        parts = field.shares or [(request.vcpus, field.need)]
        for i, (vcpus, size) in zip(order or (), parts, strict=True):
            cell = field.ids[i]
            memory.setdefault((cell, page), {})[yes] = float(-(-size // unit))
            if request.dedicated:
                cpus.setdefault(cell, {})[yes] = float(vcpus * weight)
        return
    for gives, need, table in (
        ([-(-size // unit) for size in field.memory], -(-field.need // unit), memory),
        *(((field.cpus, request.vcpus, cpus),) if request.dedicated else ()),
    ):
        parts_of: dict[int, float] = {}
        for i in chosen:
            part = model.column(0.0, min(gives[i], need))
            key = (field.ids[i], page) if table is memory else field.ids[i]
            table.setdefault(key, {})[part] = 1.0 if table is memory else float(weight)
            parts_of[part] = 1.0
        model.row({**parts_of, yes: -float(need)}, 0, 0)


def _threads(field: Candidates) -> int:
    return max([len(core.threads) for room in field.rooms for core in room.cores], default=1)


def _order(requests: Sequence[Request], sets: dict[int, tuple[int, ...] | None]) -> list[int]:
    """Guests on one cell first: those on several then take what is left on each.

    Of those that belong together the one on most cells is first, since the others may use no cell beyond its own.
    """
    together = groups(requests)
    size = {guest: len(cells or ()) for guest, cells in sets.items()}

    def rank(guest: int) -> tuple[int, int, int, int]:
        members = together.get(guest, (guest,))
        return max([size[one] for one in members]), members[0], -size[guest], guest

    return sorted(sets, key=rank)


def _holds(stock: HostCapacity, requests: Sequence[Request], outcome: Outcome) -> bool:
    """Whether the sets can be filled one after another: threads of half-used cores may spoil it."""
    from .allocate import split, take

    left = stock.copy()
    for guest in outcome.order:
        cells = outcome.sets[guest]
        if cells is None:
            continue
        field = Candidates(left, requests[guest])
        chosen = tuple([i for i, cell in enumerate(field.ids) if cell in cells])
        if len(chosen) != len(cells) or not field.fits(chosen):
            return False
        take(left, requests[guest], split(field, chosen))
    return True
