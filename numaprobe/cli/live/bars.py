"""A cell's memory as a bar. The marks differ as well as the colours, so that the bar can be read without any."""

from __future__ import annotations

from .spans import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Cell

# What a bar shows, from left to right, with its mark.
MARKS = {"used": "#", "pooled": "=", "reclaimable": "+", "free": "."}
WORDS = {
    "used": "in use",
    "pooled": "huge pages, unused",
    "reclaimable": "in use, can be reclaimed",
    "free": "free",
}
# Columns of a bar: with fewer it says nothing, with more the figures are far from their cell.
LEAST, LARGEST = 10, 100


def parts(cell: Cell) -> dict[str, int] | None:
    """Bytes of each kind, which add up to the cell's total; None where total or free is unknown."""
    memory = cell.memory
    if memory.total is None or memory.free is None:
        return None
    allocated = memory.total - memory.free
    pooled = min(sum((pages.free or 0) * pages.size for pages in cell.huge_pages), allocated)
    available = memory.free if memory.available is None else memory.available
    reclaimable = min(max(available - memory.free, 0), allocated - pooled)
    return {
        "used": allocated - pooled - reclaimable,
        "pooled": pooled,
        "reclaimable": reclaimable,
        "free": memory.free,
    }


def bar(cell: Cell, scale: int, room: int) -> list[Span]:
    """The bar in exactly so many columns; ``scale`` is the largest total of all cells, in bytes."""
    found = parts(cell)
    inner = room - 2
    if found is None or not scale:
        return [Span("["), Span("?", "quiet"), Span(" " * (inner - 1) + "]")]
    spans = [Span("[")]
    taken = done = 0
    for kind, size in found.items():
        taken += size
        # Edges are rounded, not widths, so that the bar is as long as its total.
        end = round(taken * inner / scale)
        if end > done:
            spans.append(Span(MARKS[kind] * (end - done), kind))
        done = end
    return [*spans, Span("]" + " " * (inner - done))]


def legend(cells: tuple[Cell, ...]) -> list[Span]:
    """The marks that the bars of these cells have, with their meaning."""
    found = [parts(cell) for cell in cells]
    shown = [kind for kind in MARKS if any(one is not None and one[kind] for one in found)]
    spans = [Span(f"{MARKS[kind]} {WORDS[kind]}", kind) for kind in shown]
    return [*spans, Span("? unknown", "quiet")] if None in found else spans
