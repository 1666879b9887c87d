"""Values that a sample is made of."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.host import HugePages, Note


class FiguresFrom(namedtuple("FiguresFrom", "total free available", defaults=(None, None, None))):
    """The sources of a cell's figures, as in ``Memory.total_from`` and the others; None for a figure without one."""

    __slots__ = ()
    total: str | None
    free: str | None
    available: str | None


class Collected(namedtuple("Collected", "cells notes errors", defaults=((), (), ()))):
    """What the figures of a sample mean: its cells, its notes, and the files that could not be read."""

    __slots__ = ()
    cells: tuple[CellSample, ...]
    notes: tuple[Note, ...]
    errors: tuple[tuple[str, int], ...]


class Shape(namedtuple("Shape", "number cells since cpus totals", defaults=(None, ()))):
    """The cells, online CPUs and memory of a host at one time.

    ``number`` rises with every change that a sampler sees. ``cells`` are ids, ascending. ``since`` gives, for each, the
    number of the shape in which it was added: a cell that was removed and added again has a new one. ``cpus`` are the
    ids of the online CPUs, None where the source does not report them. ``totals`` is the usable memory of each cell in
    bytes, None where unknown.
    """

    __slots__ = ()
    number: int
    cells: tuple[int, ...]
    since: tuple[int, ...]
    cpus: tuple[int, ...] | None
    totals: tuple[int | None, ...]


class Counters(
    namedtuple("Counters", "hit miss foreign interleave local other", defaults=(None, None, None, None, None, None))
):
    """``nodeN/numastat``: pages allocated since boot (Linux's Documentation/admin-guide/numastat.rst).

    In the order of the fields: on this node as intended; on this node although another was preferred; on another
    although this one was preferred; on this node by interleaving, as intended; on this node by a process running on it;
    on this node by a process running elsewhere. None where the kernel does not print the counter.
    """

    __slots__ = ()
    hit: int | None
    miss: int | None
    foreign: int | None
    interleave: int | None
    local: int | None
    other: int | None


class CellSample(
    namedtuple(
        "CellSample",
        "id total free huge_pages available counters vmstat meminfo",
        defaults=(None, None, None, None, None, None, None),
    )
):
    """Memory of one cell at one moment.

    ``total`` and ``free`` are in bytes, as in ``numaprobe.Memory``. ``huge_pages`` has only the default size, or all
    sizes if requested; it is None if the source reports counts but not their size. ``available`` (bytes),
    ``counters``, ``vmstat`` (pairs of name and value, in the order requested, or all in the kernel's) and ``meminfo``
    (pairs of the kernel's name and bytes, in its order) are None unless requested, and where the source does not have
    them.
    """

    __slots__ = ()
    id: int
    total: int | None
    free: int | None
    huge_pages: tuple[HugePages, ...] | None
    available: int | None
    counters: Counters | None
    vmstat: tuple[tuple[str, int | None], ...] | None
    meminfo: tuple[tuple[str, int], ...] | None

    @property
    def used(self) -> int | None:
        """Bytes in use: total less free; None if either is unknown."""
        return None if self.total is None or self.free is None else self.total - self.free
