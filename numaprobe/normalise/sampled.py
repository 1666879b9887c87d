"""How far an estimate by sampling may be off: intervals of Wilson (1927), which hold for shares near 0 and 1 too."""

from __future__ import annotations

from ..model.domains import PlacementSample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..linux.guests.facts import SampledPart
    from ..model.host import Host

CONFIDENCE = 0.95
# Standard errors of a normal distribution on both sides that hold this part of it.
Z = 1.959964


def half_width(pages: int, of: int) -> float:
    """How far the true share may be from ``pages / of``, at 95 %: the farther end of the interval."""
    share, square = pages / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    width: float = Z / (1 + square / of) * (share * (1 - share) / of + square / (4 * of * of)) ** 0.5
    return max(middle + width - share, share - (middle - width))


def margins(parts: Sequence[SampledPart], host: Host) -> PlacementSample:
    """For every cell of the host, and any other with pages; the parts were drawn independently of each other."""
    cells = sorted({*(cell.id for cell in host.cells), *(node for part in parts for node in part.pages)})
    found = []
    for cell in cells:
        square = 0.0
        for part in parts:
            square += (part.size * half_width(part.pages.get(cell, 0), sum(part.pages.values()))) ** 2
        found.append((cell, round(square**0.5)))
    pages = sum(sum(part.pages.values()) for part in parts)
    return PlacementSample(pages=pages, confidence=CONFIDENCE, margins=tuple(found))
