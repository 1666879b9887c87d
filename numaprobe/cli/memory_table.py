"""Memory per cell as a table."""

from __future__ import annotations

from ..model.host import total
from .layout import page_count, page_size, size, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.host import Host


FIGURES = ("total", "free", "available", "allocated")


def lines(host: Host, only: int | None = None) -> list[str]:
    """A row per cell, and their sum if there are several."""
    cells = [cell for cell in host.cells if only is None or cell.id == only]
    figures = [f for f in FIGURES if f != "available" or any(cell.memory.available is not None for cell in cells)]
    pages = sorted({p.size for cell in cells for p in cell.huge_pages if p.total})
    rows = [["cell", *figures, *(f"{page_size(page)} pages free" for page in pages)]]
    for cell in cells:
        sizes = [size(getattr(cell.memory, figure)) for figure in figures]
        rows.append([str(cell.id), *sizes, *(page_count(cell, page) for page in pages)])
    if len(cells) > 1:
        sums = [size(total(getattr(cell.memory, f) for cell in cells)) for f in figures]
        rows.append(["all", *sums, *("" for _ in pages)])
    return table(rows)


def check_cell(wanted: int | None, existing: Iterable[int]) -> None:
    """Raise ``ValueError`` for a cell that the host does not have."""
    ids = tuple(existing)
    if wanted is not None and wanted not in ids:
        raise ValueError(f"there is no cell {wanted}; the cells of this host are {', '.join(map(str, ids))}")
