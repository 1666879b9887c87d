"""``numaprobe free``: memory per cell."""

from __future__ import annotations

from time import time

from .. import probe
from ..model.documents import free_document, total
from .layout import page_count, page_size, size, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from ..model.host import Host

FIGURES = ("total", "free", "available", "allocated")


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.watch:
        from .watch import run as watch

        options.domains = False
        watch(options, out)
        return
    host = probe(options.root, recording=options.recording, source=options.source)
    if options.cell is not None and options.cell not in {cell.id for cell in host.cells}:
        raise ValueError(f"there is no cell {options.cell}; there are {', '.join(str(cell.id) for cell in host.cells)}")
    if options.json:
        import json

        out.write(json.dumps(free_document(host, _moment(options), options.cell)) + "\n")
    else:
        out.write("\n".join(lines(host, options.cell)) + "\n")


def _moment(options: argparse.Namespace) -> float | None:
    """When the host was read, in seconds since 1970; None for a recorded one."""
    return time() if options.root is None and options.recording is None else None


def lines(host: Host, only: int | None = None) -> list[str]:
    """A row per cell and, for more than one, their sum."""
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
