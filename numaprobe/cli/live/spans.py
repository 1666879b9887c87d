"""Lines of styled text that fit a width: columns are left out whole, and words are never cut in two."""

from __future__ import annotations

import unicodedata

from ...errors import printable
from ...named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = 2


class Span(namedtuple("Span", "text style", defaults=("",))):
    """A piece of a line; ``style`` is a name that ``terminal`` has a look for, empty for plain text."""

    __slots__ = ()
    text: str
    style: str


class Column(namedtuple("Column", "name values rank left style", defaults=(False, ""))):
    """A column of a table: a value per row. Those of the highest ``rank`` are left out first."""

    __slots__ = ()
    name: str
    values: Sequence[str]
    rank: int
    left: bool
    style: str


def width_of(text: str) -> int:
    """Columns of the screen that a text takes: some scripts take two for a character, and accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def length(spans: Iterable[Span]) -> int:
    """Columns that a line takes."""
    return sum(width_of(span.text) for span in spans)


def elided(text: str, room: int) -> str:
    """A name of unknown origin in so many columns, shortened in the middle: names often differ in their ends."""
    shown = printable(text)
    if width_of(shown) <= room:
        return shown
    if room < 5:
        return "…"[:room]
    head, tail = (room - 1 + 1) // 2, (room - 1) // 2
    start, end = "", ""
    for one in shown:
        if width_of(start + one) > head:
            break
        start += one
    for one in reversed(shown):
        if width_of(one + end) > tail:
            break
        end = one + end
    return f"{start}…{end}"


def clipped(line: Iterable[Span], room: int) -> list[Span]:
    """A line in so many columns at most: the last resort of a screen that is too narrow for a single column."""
    kept: list[Span] = []
    for span in line:
        text = elided(span.text, room)
        kept.append(Span(text, span.style))
        room -= width_of(text)
    return kept


def joined(parts: Sequence[Span], room: int, gap: str = "  ") -> list[Span]:
    """As many of the parts, from the first on, as there is room for."""
    line: list[Span] = []
    taken = 0
    for part in parts:
        wide = width_of(part.text) + (len(gap) if line else 0)
        if taken + wide > room:
            break
        if line:
            line.append(Span(gap))
        line.append(part)
        taken += wide
    return line


def wrapped(words: str, room: int) -> list[str]:
    """Words in lines of at most so many columns; a word that is longer is shortened in its middle."""
    lines: list[str] = []
    for word in printable(words).split():
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(elided(word, room))
    return lines


def fitted(columns: Sequence[Column], room: int) -> list[Column]:
    """The columns that fit together: those of the highest ranks are left out, the later of two equal ones first."""
    kept = list(columns)
    while len(kept) > 1 and sum(_width(column) for column in kept) + GAP * (len(kept) - 1) > room:
        worst = max(range(len(kept)), key=lambda i: (kept[i].rank, i))
        del kept[worst]
    return kept


def _width(column: Column) -> int:
    return max(width_of(text) for text in (column.name, *column.values))


def table(columns: Sequence[Column]) -> tuple[list[Span], list[list[Span]]]:
    """The heading and the rows of columns that fit."""
    heading: list[Span] = []
    rows: list[list[Span]] = [[] for _ in (columns[0].values if columns else ())]
    for number, column in enumerate(columns):
        wide = _width(column)
        gap = " " * GAP if number else ""
        heading.append(Span(gap + _padded(column.name, wide, column.left), "heading"))
        for row, value in zip(rows, column.values, strict=True):
            row.append(Span(gap + _padded(value, wide, column.left), column.style))
    return heading, rows


def _padded(text: str, wide: int, left: bool) -> str:
    blanks = " " * (wide - width_of(text))
    return text + blanks if left else blanks + text
