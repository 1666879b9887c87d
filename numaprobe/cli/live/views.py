"""The three views as rows that fit a width, without a terminal."""

from __future__ import annotations

from ...model.host import total as sum_of
from ...named import namedtuple
from ..domains import how_words, remarks, short
from ..layout import UNKNOWN, page_count, page_size, size
from .bars import LARGEST, LEAST, bar, legend
from .spans import GAP, Column, Span, elided, fitted, length, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ... import Cell, CellUse, Domain
    from ...sampling.rates import CellRates
    from ..domains import Observed
    from .readings import Reading
    from .state import State

NAME = 20


class Page(namedtuple("Page", "heading rows sums remarks legend", defaults=((), (), (), (), ()))):
    """A view: lines of spans. ``sums`` stay below the rows, which scroll; ``remarks`` are words to wrap."""

    __slots__ = ()
    heading: Sequence[Span]
    rows: Sequence[Sequence[Span]]
    sums: Sequence[Sequence[Span]]
    remarks: Sequence[str]
    legend: Sequence[Span]


def view(reading: Reading, state: State, width: int, only: int | None = None) -> Page:
    """The view that is chosen; ``only`` leaves out all cells but one."""
    if state.view == "guests":
        return guests(reading, state, width)
    if state.view == "rates":
        return rates(reading, state, width, only)
    return cells(reading, state, width, only)


def cells(reading: Reading, state: State, width: int, only: int | None) -> Page:
    """A bar and the figures of ``free`` for each cell, and their sum."""
    figures: dict[str, Callable[[Cell], Any]] = {
        "cell": lambda cell: cell.id,
        "free": lambda cell: cell.memory.free,
        "available": lambda cell: cell.memory.available,
        "allocated": lambda cell: cell.memory.allocated,
    }
    chosen = [cell for cell in reading.host.cells if only in (None, cell.id)]
    shown = _sorted(chosen, figures[state.sort], descending=state.descending)
    changes = {} if reading.rates is None else {cell.id: cell.used for cell in reading.rates.cells}
    seconds = 1.0 if reading.rates is None else reading.rates.seconds
    columns = [
        Column("cell", [*(str(cell.id) for cell in shown), "all"], 0, style="head"),
        _sizes("free", [cell.memory.free for cell in shown], 1),
        _sizes("total", [cell.memory.total for cell in shown], 2),
    ]
    if any(cell.memory.available is not None for cell in shown):
        columns.append(_sizes("available", [cell.memory.available for cell in shown], 3))
    columns.append(_sizes("allocated", [cell.memory.allocated for cell in shown], 4))
    if reading.rates is not None:
        per_second = [None if (change := changes.get(cell.id)) is None else round(change / seconds) for cell in shown]
        columns.append(Column("change/s", [*map(signed, per_second), signed(sum_of(per_second))], 6))
    for page in sorted({pages.size for cell in shown for pages in cell.huge_pages if pages.total}):
        counts = [page_count(cell, page) for cell in shown]
        columns.append(Column(f"{page_size(page)} pages free", [*counts, ""], 5))
    kept = fitted(columns, width - LEAST - GAP)
    heading, rows = table(kept)
    room = min(width - length(heading) - GAP, LARGEST)
    if room >= LEAST and len(kept) > 1:
        scale = max((cell.memory.total or 0 for cell in shown), default=0)
        gap = Span(" " * GAP)
        heading[1:1] = [gap, Span("memory".ljust(room), "heading")]
        for row, cell in zip(rows, shown):
            row[1:1] = [gap, *bar(cell, scale, room)]
        rows[-1][1:1] = [gap, Span(" " * room)]
        marks = legend(tuple(shown))
    else:
        heading, rows = table(fitted(columns, width))
        marks = []
    return Page(heading=heading, rows=rows[:-1], sums=rows[-1:] if len(shown) > 1 else (), legend=marks)


def rates(reading: Reading, state: State, width: int, only: int | None) -> Page:
    """What changed per second since the reading before: memory, and pages allocated as numastat counts them."""
    if reading.rates is None:
        return Page(remarks=(reading.without_rates,))
    figures: dict[str, Callable[[CellRates], Any]] = {
        "cell": lambda cell: cell.id,
        "other": lambda cell: _counter(cell, "other"),
        "miss": lambda cell: _counter(cell, "miss"),
        "remote": remote_share,
    }
    found = [cell for cell in reading.rates.cells if only in (None, cell.id)]
    shown = _sorted(found, figures[state.sort], descending=state.descending)
    shares = [remote_share(cell) for cell in shown]
    columns = [
        Column("cell", [str(cell.id) for cell in shown], 0, style="head"),
        Column("remote", [UNKNOWN if share is None else f"{share:.0%}" for share in shares], 1),
    ]
    for rank, name in ((2, "local"), (3, "other"), (7, "hit"), (4, "miss"), (5, "foreign"), (8, "interleave")):
        columns.append(Column(f"{name}/s", [per_second(_counter(cell, name)) for cell in shown], rank))
    seconds = reading.rates.seconds
    used = [None if cell.used is None else cell.used / seconds for cell in shown]
    columns.append(Column("memory/s", [signed(change) for change in used], 6))
    heading, rows = table(fitted(columns, width))
    words = ["pages allocated (numastat); remote: by processes that run on another cell"]
    if all(cell.counters is None for cell in shown):
        words = [f"{reading.host.source} reports no numastat"]
    words += [f"{note.where}: {note.text}" for note in reading.rates.notes[:3]]
    return Page(heading=heading, rows=rows, remarks=words)


def guests(reading: Reading, state: State, width: int) -> Page:
    """A row per guest and a column per cell, from the one that is scrolled to."""
    found = reading.guests
    if found is None:
        return Page(remarks=() if reading.error else ("reading the guests ...",))
    keys: dict[str, Callable[[Domain], Any]] = {
        "memory": lambda domain: domain.memory,
        "id": lambda domain: (isinstance(domain.id, str), domain.id),
        "name": lambda domain: domain.name,
    }
    shown = _sorted(list(found.domains), keys[state.sort], descending=state.descending)
    labels = _rest(found)
    blank = [""] * len(labels)
    sums = [short(sum_of(kind)) for _, kind in labels]
    base = [
        Column("id", [*(str(domain.id) for domain in shown), *blank], 0, style="head"),
        Column("name", [*(_name(domain) for domain in shown), *(label for label, _ in labels)], 1, left=True),
        Column("state", [*(domain.state or UNKNOWN for domain in shown), *blank], 5, left=True),
        Column("vcpus", [*(_number(domain.vcpus) for domain in shown), *blank], 4),
        Column("memory", [*(short(domain.memory) for domain in shown), *sums], 2),
    ]
    if any(domain.remote is not None for domain in shown):
        base.append(Column("remote", [*(_remote(domain) for domain in shown), *blank], 6, left=True))
    places = [_place(found, shown, labels, cell.id) for cell in found.host.cells]
    state.left = min(state.left, max(len(places) - 1, 0))
    base = fitted(base, width - max((GAP + len(column.name) for column in places), default=0))
    kept = base
    for last in range(state.left + 1, len(places) + 1):
        more = [*base, *places[state.left : last]]
        if len(fitted(more, width)) < len(more):
            break
        kept = more
    how = Column("how", [*(how_words(domain) for domain in shown), *blank], 9, left=True)
    heading, rows = table(fitted([*kept, how], width))
    words = remarks(found.host, found.domains, found.uses)
    drawn = len(kept) - len(base)
    if drawn < len(places):
        ids = [column.name for column in places]
        first, last_ = ids[state.left], ids[max(state.left + drawn - 1, state.left)]
        words = [f"{first} to {last_} of {len(places)} (Left, Right)" if drawn else "no room for cells", *words]
    count = len(shown)
    return Page(heading=heading, rows=rows[:count], sums=rows[count:], remarks=words)


def _rest(found: Observed) -> list[tuple[str, list[int | None]]]:
    """What is in a cell apart from guests, by cell; kinds that nothing has are left out."""
    uses: Sequence[CellUse] = found.uses
    kinds: list[tuple[str, list[int | None]]] = [
        ("free", [use.free for use in uses]),
        ("free huge pages", [use.pooled for use in uses]),
    ]
    own = "xen itself" if found.host.source == "xen" else "host itself"
    kinds += [(own, [use.host for use in uses]), ("unattributed", [use.unattributed for use in uses])]
    kept = [kind for kind in kinds if kind[0] == "free" or any(kind[1])]
    return [*kept, ("total", [use.total for use in uses])]


def _place(
    found: Observed, shown: Sequence[Domain], labels: Sequence[tuple[str, Sequence[int | None]]], cell: int
) -> Column:
    values = [None if domain.cells is None else dict(domain.cells).get(cell, 0) for domain in shown]
    position = [use.id for use in found.uses].index(cell)
    return Column(f"cell {cell}", [short(value) for value in [*values, *(kind[position] for _, kind in labels)]], 3)


def _remote(domain: Domain) -> str:
    """By the first source that says something."""
    known = [share for share in domain.remote or () if share.share is not None]
    return f"{known[0].share:.0%} by {known[0].source}" if known else UNKNOWN


def _name(domain: Domain) -> str:
    return UNKNOWN if domain.name is None else elided(domain.name, NAME)


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _sizes(name: str, values: list[int | None], rank: int) -> Column:
    return Column(name, [*map(size, values), size(sum_of(values))], rank)


def _sorted(values: Sequence[Any], key: Callable[[Any], Any], *, descending: bool) -> list[Any]:
    """Sorted, with those whose figure is unknown at the end in either direction."""
    known = [value for value in values if key(value) is not None]
    return [*sorted(known, key=key, reverse=descending), *(value for value in values if key(value) is None)]


def _counter(cell: CellRates, name: str) -> float | None:
    return None if cell.counters is None else getattr(cell.counters, name)


def remote_share(cell: CellRates) -> float | None:
    """The part of the pages allocated on this cell that processes running elsewhere requested; None without any."""
    local, other = _counter(cell, "local"), _counter(cell, "other")
    if local is None or other is None or not local + other:
        return None
    return other / (local + other)


def per_second(value: float | None) -> str:
    """A rate in at most six characters."""
    if value is None:
        return UNKNOWN
    for limit, by, unit in ((1e4, 1, ""), (1e7, 1e3, "k"), (1e10, 1e6, "M")):
        if abs(value) < limit:
            return f"{value / by:.0f}{unit}"
    return f"{value / 1e9:.0f}G"


def signed(value: float | None) -> str:
    """Bytes per second with their sign; 0 without one."""
    if value is None:
        return UNKNOWN
    number = round(value)
    return size(0) if number == 0 else f"{'+' if number > 0 else '-'}{size(abs(number))}"
