"""``numaprobe free --for``: what the free memory of each cell can be used for, and how that is known."""

from __future__ import annotations

from .layout import UNKNOWN, page_size, size, table
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.host import Cell, Host

PURPOSES = ("ordinary", "pinned", "me")
HEADINGS = {"ordinary": "for ordinary memory", "pinned": "for pinned memory", "me": "for this process"}


def checked_purpose(text: str) -> str | int:
    """One of ``PURPOSES``, or the bytes of a huge page. Raises ``ValueError``."""
    if text in PURPOSES:
        return text
    try:
        return parse(text)
    except ValueError:
        raise ValueError(f"--for is {', '.join(PURPOSES)} or the size of a huge page (2M, 1G), not {text!r}") from None


def lines(host: Host, purpose: str | int, only: int | None = None) -> list[str]:
    """A row per cell. Raises ``ValueError`` for a size of huge pages that the host does not have."""
    cells = [cell for cell in host.cells if only is None or cell.id == only]
    return _pages(cells, purpose) if isinstance(purpose, int) else _bytes(cells, purpose)


def _bytes(cells: Sequence[Cell], purpose: str) -> list[str]:
    rows = [["cell", "total", "free", HEADINGS[purpose], "how"]]
    for cell in cells:
        usable = cell.usable
        found, how = (None, None) if usable is None else (getattr(usable, purpose), getattr(usable, f"{purpose}_from"))
        rows.append([str(cell.id), size(cell.memory.total), size(cell.memory.free), size(found), how or UNKNOWN])
    return table(rows, left=(4,))


def _pages(cells: Sequence[Cell], page: int) -> list[str]:
    sizes = sorted({pages.size for cell in cells if cell.usable is not None for pages in cell.usable.pages})
    if page not in sizes:
        there = ", ".join(map(page_size, sizes)) or "none"
        raise ValueError(f"no huge pages of {page_size(page)} on this host (sizes: {there})")
    rows = [["cell", f"{page_size(page)} pages in the pool", "more now", "more at most", "how"]]
    for cell in cells:
        found = next((one for one in (cell.usable.pages if cell.usable else ()) if one.size == page), None)
        counts = (None, None, None) if found is None else (found.pool, found.now, found.at_most)
        words = [UNKNOWN if count is None else str(count) for count in counts]
        rows.append([str(cell.id), *words, (found and found.how) or UNKNOWN])
    return table(rows, left=(4,))
