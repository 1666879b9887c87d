"""Words and columns for people: sizes, id lists, tables."""

from __future__ import annotations

import os
import sys

from ..wording import amount, id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model.host import Cell

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
UNKNOWN = "-"


size = amount


def page_size(value: int) -> str:
    """A huge page's size without blanks: ``2M``, ``1G``, ``64K``."""
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)


def page_count(cell: Cell, page: int) -> str:
    """Free and all huge pages of one size, ``3 of 8``; ``-`` for a cell without them, and for an unknown count."""
    for pages in cell.huge_pages:
        if pages.size == page:
            return f"{'-' if pages.free is None else pages.free} of {'-' if pages.total is None else pages.total}"
    return "-"


def id_words(numbers: Iterable[int] | None) -> str:
    """Ids in list format; ``none`` for no ids and ``-`` for unknown."""
    return id_list(numbers, none="none", unknown=UNKNOWN)


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (), gap: str = "  ") -> list[str]:
    """Rows as lines with aligned columns, to the right but for those listed in ``left``."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        gap.join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def columns(default: int = 100) -> int:
    """Width to fit in: the terminal's, or a readable one if the output is not a terminal."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return default
