"""``numaprobe free``: memory per cell."""

from __future__ import annotations

from time import time

from .. import probe
from ..document import free_document, total
from .layout import page_size, size, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from ..model import Cell, Host

FIGURES = ("total", "free", "available", "allocated")


def run(options: argparse.Namespace, out: TextIO) -> None:
    host = probe(options.root, recording=options.recording, source=options.source)
    if options.cell is not None and options.cell not in {cell.id for cell in host.cells}:
        raise ValueError(f"there is no cell {options.cell}; there are {', '.join(str(cell.id) for cell in host.cells)}")
    if options.json:
        import json

        live = options.root is None and options.recording is None
        out.write(json.dumps(free_document(host, time() if live else None, options.cell)) + "\n")
    else:
        out.write("\n".join(lines(host, options.cell)) + "\n")


def lines(host: Host, only: int | None = None) -> list[str]:
    """A row per cell and, for more than one, their sum."""
    cells = [cell for cell in host.cells if only is None or cell.id == only]
    figures = [f for f in FIGURES if f != "available" or any(cell.memory.available is not None for cell in cells)]
    pages = sorted({p.size for cell in cells for p in cell.huge_pages if p.total})
    rows = [["cell", *figures, *(f"{page_size(page)} pages free" for page in pages)]]
    for cell in cells:
        sizes = [size(getattr(cell.memory, figure)) for figure in figures]
        rows.append([str(cell.id), *sizes, *(_pages(cell, page) for page in pages)])
    if len(cells) > 1:
        sums = [size(total(getattr(cell.memory, f) for cell in cells)) for f in figures]
        rows.append(["all", *sums, *("" for _ in pages)])
    return table(rows)


def _pages(cell: Cell, page: int) -> str:
    found = [p for p in cell.huge_pages if p.size == page]
    return f"{found[0].free} of {found[0].total}" if found else "-"
