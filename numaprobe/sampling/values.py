"""Values that a sample is made of."""

from __future__ import annotations

from collections import namedtuple

from ..model.host import HugePages

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


class Shape(namedtuple("Shape", "number cells since cpus totals")):
    """Which cells and cpus there were, and how much memory.

    ``number`` rises with every change that a sampler sees. ``cells`` are ids, ascending; ``since`` has for each the
    number of the shape that it came with: a cell that went and came back under its old id has a new one. ``cpus`` are
    the ids of the online cpus, None where the source does not say. ``totals`` is the usable memory of each cell.
    """

    __slots__ = ()
    number: int
    cells: tuple[int, ...]
    since: tuple[int, ...]
    cpus: tuple[int, ...] | None
    totals: tuple[int | None, ...]


class Counters(namedtuple("Counters", "hit miss foreign interleave local other")):
    """``nodeN/numastat``: pages allocated since boot (Linux's Documentation/admin-guide/numastat.rst).

    On this node as intended; on this node though another was wanted; on another though this was wanted; on this node
    by interleaving as intended; on this node by a process running on it; on this node by one running elsewhere. None
    for what the kernel does not print.
    """

    __slots__ = ()
    hit: int | None
    miss: int | None
    foreign: int | None
    interleave: int | None
    local: int | None
    other: int | None


class CellSample(namedtuple("CellSample", "id total free huge_pages available counters vmstat")):
    """Memory of one cell at one moment.

    ``total`` and ``free`` are those of ``numaprobe.Memory``. ``huge_pages`` has the default size only, or all sizes
    if they were asked for; it is None where the source has counts and not the size that they are of. ``available``,
    ``counters`` and ``vmstat`` (pairs of name and value, in the order asked for) are None unless asked for, and where
    the source lacks them.
    """

    __slots__ = ()
    id: int
    total: int | None
    free: int | None
    huge_pages: tuple[HugePages, ...] | None
    available: int | None
    counters: Counters | None
    vmstat: tuple[tuple[str, int | None], ...] | None

    @property
    def used(self) -> int | None:
        """Bytes in use: total less free; None if either is unknown."""
        return None if self.total is None or self.free is None else self.total - self.free
