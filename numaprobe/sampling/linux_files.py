"""``meminfo`` and ``buddyinfo`` read through any reader, as from a recording; and the sizes they count in."""

from __future__ import annotations

import time
from errno import ENOENT

from .. import _fast
from ..errors import FactError
from ..linux import text
from ..linux.nodes import HUGE_PAGES, huge_page_sizes
from ..normalise.available import page_kb
from .sample import MAX_KB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._fast import Files, Missed
    from ..linux.source import Source
    from ..ports import Reader
    from .sample import Sample
    from .values import Shape

MEMINFO = "proc/meminfo"
ZONEINFO = "proc/zoneinfo"


def default_huge_page_size(source: Source) -> int | None:
    """Bytes; ``Hugepagesize`` of ``/proc/meminfo``, else the only size that there is."""
    content = source.one(MEMINFO)
    if content is not None:
        (size_kb,) = text.fields(MEMINFO, content, (b"Hugepagesize",))
        if size_kb is not None:
            return size_kb << 10
    sizes = huge_page_sizes(source, HUGE_PAGES)
    return sizes[0] << 10 if len(sizes) == 1 else None


def is_whole_machine(source: Source, shape: Shape) -> bool:
    """Whether the only cell has all of the machine's memory, so that ``/proc/meminfo`` is about it alone."""
    content = source.one(MEMINFO) if len(shape.cells) == 1 else None
    found = source.parsed(_whole, MEMINFO, content)
    if found is None:
        return False
    total_kb, available_kb = found
    return total_kb is not None and available_kb is not None and (total_kb << 10,) == shape.totals


def _whole(where: str, content: bytes) -> tuple[int | None, ...]:
    return text.fields(where, content, (b"MemTotal", b"MemAvailable"))


def deduced_page_size(reader: Reader, shape: Shape) -> int | None:
    """Bytes in a base page of a machine that may not be this one: all totals over all managed pages."""
    (content,) = reader.read((ZONEINFO,))
    if isinstance(content, int):
        return None
    try:
        managed = sum([zone[4] or 0 for zone in text.zones(ZONEINFO, content)])
    except FactError:
        # Noted where available memory is computed; what is free is read without it.
        return None
    size_kb = page_kb(sum(total or 0 for total in shape.totals) >> 10, managed)
    return None if size_kb is None else size_kb << 10


class MeminfoOfReader:
    """Does for any reader what ``_fast.MeminfoFiles`` does for files: rereads them all, and compares the lists."""

    def __init__(
        self,
        reader: Reader,
        ids: tuple[int, ...],
        paths: tuple[str, ...],
        directory: str | None,
        cpus: str,
        *,
        timed: bool,
    ) -> None:
        self._reader = reader
        self._ids = ids
        self._paths = paths
        self._directory = directory
        self._cpu_path = cpus
        self._timed = timed
        self._buddyinfo: str | None = None
        self._page_size = 0
        self._sizes: dict[int, int] = {}
        self._reopen_at: int | None = None
        self._names = self._looked()
        (online,) = reader.read((cpus,))
        self.cpus = online if isinstance(online, bytes) else None
        self.cpus_error = online if isinstance(online, int) else 0
        self.errors = tuple([content if isinstance(content, int) else 0 for content in reader.read(paths)])

    def __len__(self) -> int:
        return len(self._ids)

    def _looked(self) -> list[str] | int:
        return ENOENT if self._directory is None else self._reader.listdir(self._directory, "node")

    def reopen_in(self, nanoseconds: int) -> None:
        self._reopen_at = time.monotonic_ns() + nanoseconds

    def _changed(self) -> bool:
        if self._reopen_at is not None and time.monotonic_ns() >= self._reopen_at:
            return True
        (online,) = self._reader.read((self._cpu_path,))
        return self._looked() != self._names or (online if isinstance(online, bytes) else None) != self.cpus

    def read(
        self,
        kind: type[Sample],
        origin: object,
        base: Sample | None,
        lenient: bool = False,
        with_caches: bool = False,
    ) -> Sample | Missed:
        wall, monotonic = (time.time_ns(), time.monotonic_ns()) if self._timed else (-1, -1)
        if self._changed():
            return _fast.Missed(_fast.CHANGED)
        contents = self._reader.read(self._paths)
        for position, (content, error) in enumerate(zip(contents, self.errors, strict=True)):
            if isinstance(content, int) and content != error:
                return _fast.Missed(_fast.UNREADABLE, position, content)
        found = _fast.meminfo_figures(contents, kind, origin, wall, monotonic, with_caches)
        if found.faults is not None and not lenient:
            return found.faults[0]
        if base is not None and _totals(base) != _totals(found):
            return _fast.Missed(_fast.RESIZED, table=found)
        return found

    def alive(self) -> tuple[bool, ...]:
        contents = self._reader.read(self._paths)
        return tuple([not isinstance(c, int) or c == error for c, error in zip(contents, self.errors, strict=True)])

    def keep_free(self, _files: Files | None, path: str | None, page_size: int, figures: Sample) -> int:
        self._buddyinfo = path
        self._page_size = page_size
        totals = [min(total or 0, MAX_KB) << 10 for total in _totals(figures)]
        self._sizes = dict(zip(self._ids, totals, strict=True))
        return 0

    def free(self) -> dict[int, int | None] | Missed:
        if self._buddyinfo is None:
            return _fast.Missed(_fast.NOT_KEPT)
        (content,) = self._reader.read((self._buddyinfo,))
        if isinstance(content, int):
            return _fast.Missed(_fast.UNREADABLE, -1, content)
        try:
            pages = _fast.buddy_pages(content)
        except ValueError:
            return _fast.Missed(_fast.NOT_LISTED)
        found = {node: pages.get(node, 0) * self._page_size for node in self._ids}
        if pages.keys() != {node for node, size in self._sizes.items() if size}:
            return _fast.Missed(_fast.CHANGED)
        if any(free > self._sizes[node] for node, free in found.items()):
            return _fast.Missed(_fast.CHANGED)
        return dict(found)


def _totals(table: Sample) -> list[int | None]:
    return [total for total, *_ in table.rows()]
