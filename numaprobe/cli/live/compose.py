"""A whole screen as lines that fit it."""

from __future__ import annotations

from ...model.host import total as sum_of
from ...wording import count
from ..layout import size
from ..sampled import time_of
from .spans import Column, Span, clipped, fitted, joined, length, table, wrapped
from .state import KEYS, VIEWS
from .views import Page, view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .readings import Reading
    from .state import State

LEAST_ROWS = 3
HINTS = ("q quit", "? keys", "Tab view", "s sort", "r reverse", "Space stop")


def compose(
    reading: Reading, state: State, width: int, height: int, *, interval: float, only: int | None = None
) -> list[list[Span]]:
    """At most ``height`` lines of at most ``width`` columns; scrolls ``state`` back into range."""
    page = _help(width) if state.help else view(reading, state, width, only)
    remarks = [[Span(line, "quiet")] for words in page.remarks for line in wrapped(words, width)]
    error = [] if reading.error is None else [[Span(line, "error")] for line in wrapped(reading.error, width)]
    # In the order of the screen, each with the rank in which it gives way on a low one.
    above: list[tuple[int, list[list[Span]]]] = [
        (4, [_title(reading, width)]),
        (3, [_tabs(state, interval, width)]),
        (8, [[]]),
        (2, [list(page.heading)] if page.heading else []),
    ]
    below: list[tuple[int, list[list[Span]]]] = [
        (5, [list(row) for row in page.sums]),
        (9, [[]]),
        (6 if page.rows else 0, remarks),
        (7, [joined(page.legend, width, "   ")] if page.legend else []),
        (1, error),
    ]
    least = min(LEAST_ROWS, len(page.rows))
    for rank in range(9, -1, -1):
        if _high(above) + _high(below) + least + 1 <= height:
            break
        above = [part for part in above if part[0] != rank]
        below = [part for part in below if part[0] != rank]
    room = max(height - _high(above) - _high(below) - 1, 1)
    state.page = max(room - 1, 1)
    state.top = max(min(state.top, len(page.rows) - room), 0)
    rows = [list(row) for row in page.rows[state.top : state.top + room]]
    lines = [line for _, part in above for line in part] + rows + [line for _, part in below for line in part]
    lines = lines[: height - 1]
    lines += [[] for _ in range(height - 1 - len(lines))]
    footer = _footer(state, len(page.rows), room, width)
    lines = [*lines, footer] if height > 1 else (rows or [footer])[:1]
    return [clipped(line, width) for line in lines]


def _high(parts: Sequence[tuple[int, list[list[Span]]]]) -> int:
    return sum(len(part) for _, part in parts)


def _title(reading: Reading, width: int) -> list[Span]:
    host = reading.host
    free = sum_of(cell.memory.free for cell in host.cells)
    whole = sum_of(cell.memory.total for cell in host.cells)
    moment = time_of(reading.sample, "%H:%M:%S")
    words = [host.source, count(len(host.cells), "cell"), f"{size(free)} of {size(whole)} free"]
    words += [moment] if moment != "-" else ["a recording"]
    return joined([Span(word, "head") for word in words], width, " · ")


def _tabs(state: State, interval: float, width: int) -> list[Span]:
    tabs = [
        Span(f" {number} {name} ", "chosen" if name == state.view else "") for number, name in enumerate(VIEWS, start=1)
    ]
    if length(tabs) + 2 > width:
        tabs = [one for one in tabs if one.style == "chosen"]
    order = f"sorted by {state.sort}" + (", largest first" if state.descending else "")
    pace = Span("stopped (Space)", "error") if state.stopped else Span(f"every {interval:g} s", "quiet")
    line = joined(tabs, width, " ")
    rest = joined([Span(order, "quiet"), pace], width - length(line) - 3, " · ")
    return [*line, Span("   "), *rest] if rest else line


def _footer(state: State, rows: int, room: int, width: int) -> list[Span]:
    where = []
    if rows > room:
        where = [Span(f"{state.top + 1}-{state.top + room} of {rows}", "head")]
    return joined([*where, *(Span(hint, "quiet") for hint in HINTS)], width)


def _help(width: int) -> Page:
    columns = [
        Column("key", [key for key, _ in KEYS], 0, left=True, style="head"),
        Column("does", [words for _, words in KEYS], 1, left=True),
    ]
    heading, rows = table(fitted(columns, width))
    return Page(heading=heading, rows=rows)
