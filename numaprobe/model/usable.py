"""What the free memory of a cell can be used for, which pages failed, and the blocks that it is made of."""

from __future__ import annotations

from ..named import namedtuple


class UsablePages(namedtuple("UsablePages", "size pool now at_most how", defaults=(None, None, None, None))):
    """Huge pages of one size that a program can get in one cell; ``size`` in bytes, the others count pages.

    ``pool`` are free pages of the kernel's pool that no mapping has reserved. ``now`` are further pages that the
    allocator has as free blocks and can give without moving other memory, None where it does not report blocks of that
    size: of pages of 1 GiB only that there is none is known. ``at_most`` bounds those that it could give after
    compaction and after giving up page cache. ``how`` names the files. ``now`` and ``at_most`` are estimates: other
    programs allocate at the same time.
    """

    __slots__ = ()
    size: int
    pool: int | None
    now: int | None
    at_most: int | None
    how: str | None


class Usable(
    namedtuple(
        "Usable",
        "ordinary pinned me pages ordinary_from pinned_from me_from",
        defaults=(None, None, None, (), None, None, None),
    )
):
    """What a cell's memory can be used for at this moment, in bytes; None is unknown.

    ``ordinary`` is what programs can allocate without swapping, down to the level at which the kernel refuses: more
    than ``Memory.available``, which leaves a margin. ``pinned`` is the part of it that may stay pinned for long, as
    for devices that are passed through (VFIO) or RDMA: the kernel moves such pages out of ZONE_MOVABLE and of
    contiguous-memory areas. ``me`` is the part that the calling process can get, by its memory policy, its cpuset and
    the limits of its control groups. A limit is of all cells together, so that ``me`` of several cells cannot be added
    up. ``pages`` are the huge pages, by size.
    """

    __slots__ = ()
    ordinary: int | None
    pinned: int | None
    me: int | None
    pages: tuple[UsablePages, ...]
    ordinary_from: str | None
    pinned_from: str | None
    me_from: str | None


class MemoryFailures(
    namedtuple("MemoryFailures", "total recovered ignored failed delayed", defaults=(None, None, None, None, None))
):
    """Pages of a cell with an uncorrected error since boot, and what became of them; None where not reported.

    ``recovered`` were taken out of use, ``delayed`` will be when they are used next, ``ignored`` are of a kind that the
    kernel does not handle, and ``failed`` could not be handled. Source: ``nodeN/memory_failure`` (Linux 6.3).
    """

    __slots__ = ()
    total: int | None
    recovered: int | None
    ignored: int | None
    failed: int | None
    delayed: int | None


class MemoryBlocks(namedtuple("MemoryBlocks", "size total online movable", defaults=(None, None, None, None))):
    """The blocks in which a cell's memory is added and removed.

    ``size`` is the bytes of one. ``total`` counts them, ``online`` those in use, ``movable`` those of them in
    ZONE_MOVABLE, whose memory cannot be pinned and can be removed again. None where not reported.
    """

    __slots__ = ()
    size: int | None
    total: int | None
    online: int | None
    movable: int | None
