"""The files of a sample that are more than ``meminfo`` held open: details that cost more, and recorded files."""

from __future__ import annotations

import time
from errno import EBADF, EBADMSG, ENOENT, ESTALE

from .. import _fast
from ..errors import FactError
from ..linux import text
from ..linux.facts import ZoneFacts
from ..linux.nodes import COUNTS, HUGE_PAGES, huge_page_facts, huge_page_sizes, meminfo
from ..linux.source import NODE, Source
from ..model.host import HugePages
from ..normalise.available import available_memory, page_kb
from .sample import Sample, made
from .values import Counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._fast import Files, OpenFiles
    from ..ports import Reader
    from .values import Shape

ZONEINFO = "proc/zoneinfo"
NUMASTAT = (b"numa_hit", b"numa_miss", b"numa_foreign", b"interleave_hit", b"local_node", b"other_node")


def default_huge_page_size(source: Source) -> int | None:
    """Bytes; ``Hugepagesize`` of ``/proc/meminfo``, else the only size that there is."""
    content = source.one("proc/meminfo")
    if content is not None:
        (size_kb,) = text.fields("proc/meminfo", content, (b"Hugepagesize",))
        if size_kb is not None:
            return size_kb << 10
    sizes = huge_page_sizes(source, HUGE_PAGES)
    return sizes[0] << 10 if len(sizes) == 1 else None


def deduced_page_size(reader: Reader, shape: Shape) -> int | None:
    """Bytes in a base page of a machine that may not be this one: all totals over all managed pages."""
    (content,) = reader.read((ZONEINFO,))
    if isinstance(content, int):
        return None
    managed = sum(zone[4] or 0 for zone in text.zones(ZONEINFO, content))
    size_kb = page_kb(sum(total or 0 for total in shape.totals) >> 10, managed)
    return None if size_kb is None else size_kb << 10


class Contents:
    """Does for any reader what ``_fast.Sweep`` does for files: reads them all anew, and compares the lists of names."""

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
        self._empty: frozenset[int] = frozenset()
        self._names = self._looked()
        self.cpus = self._cpus()
        self.errors = tuple([content if isinstance(content, int) else 0 for content in reader.read(paths)])

    def __len__(self) -> int:
        return len(self._ids)

    def _looked(self) -> list[str] | int:
        return ENOENT if self._directory is None else self._reader.listdir(self._directory, "node")

    def _cpus(self) -> bytes | None:
        (content,) = self._reader.read((self._cpu_path,))
        return content if isinstance(content, bytes) else None

    def read(self, kind: type[Sample], origin: object, base: Sample | None) -> Any:
        wall, monotonic = (time.time_ns(), time.monotonic_ns()) if self._timed else (-1, -1)
        if self._looked() != self._names or self._cpus() != self.cpus:
            return -1, ESTALE, None
        contents = self._reader.read(self._paths)
        for position, (content, error) in enumerate(zip(contents, self.errors, strict=True)):
            if isinstance(content, int) and content != error:
                return position, content, None
        try:
            found = _fast.meminfo_figures(contents, kind, origin, wall, monotonic)
        except ValueError as error:
            return error.args[0], EBADMSG, None
        if base is not None and [row[0] for row in base.rows()] != [row[0] for row in found.rows()]:
            return -1, 0, found
        return found

    def alive(self) -> tuple[bool, ...]:
        contents = self._reader.read(self._paths)
        return tuple([not isinstance(c, int) or c == error for c, error in zip(contents, self.errors, strict=True)])

    def keep_free(self, _files: Files | None, path: str | None, page_size: int, figures: Sample) -> int:
        self._buddyinfo = path
        self._page_size = page_size
        self._empty = frozenset([node for node, row in zip(self._ids, figures.rows(), strict=True) if row[0] == 0])
        return 0

    def free(self) -> dict[int, int] | tuple[int, int, None]:
        if not self._page_size or self._buddyinfo is None:
            return -1, EBADF, None
        (content,) = self._reader.read((self._buddyinfo,))
        if isinstance(content, int):
            return -1, content, None
        try:
            pages = _fast.buddy_pages(content)
        except ValueError:
            return -1, EBADMSG, None
        if pages.keys() != set(self._ids) - self._empty:
            return -1, ESTALE, None
        return {node: pages.get(node, 0) * self._page_size for node in self._ids}


class Details:
    """What costs more: the files of one shape, opened when first asked for and then kept, but for those of procfs.

    Two that read one descriptor of procfs at once would get in each other's way; those are opened every time.
    """

    def __init__(
        self,
        reader: Reader,
        files: Files | None,
        ids: tuple[int, ...],
        paths: tuple[str, ...],
        sizes: list[int],
        *,
        numa: bool,
    ) -> None:
        self._reader = reader
        self._files = files
        self._ids = ids
        self._paths = paths
        self._numa = numa
        self._sizes = sizes
        self._kept: dict[str, OpenFiles] = {}

    def _read(self, what: str, paths: Sequence[str]) -> list[bytes | int]:
        if self._files is None or not self._numa:
            return self._reader.read(paths)
        kept = self._kept.get(what)
        if kept is None:
            kept = self._kept.setdefault(what, self._files.keep(paths))
        contents = kept.read()
        if any(isinstance(content, int) for content in contents):
            # What this kernel lacks, or what is yet to come: directories are there before their files are.
            self._kept.pop(what, None)
        return contents

    def added(
        self, sample: Sample, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str]
    ) -> tuple[Sample, bool]:
        """The sample with what was asked for beside, and whether every file was there."""
        cells = list(sample.cells)
        complete = True
        if available:
            # Read again, so that free and available are of one moment.
            contents = self._read("meminfo", self._paths)
            complete = not any(isinstance(content, int) for content in contents)
            figures = _fast.meminfo_figures(contents, Sample, sample.origin)
            known = self._available(contents)
            cells = [cell._replace(available=value) for cell, value in zip(figures.cells, known, strict=True)]
        if huge_pages:
            pages, whole = self._huge_pages()
            complete = complete and whole
            cells = [cell._replace(huge_pages=found) for cell, found in zip(cells, pages, strict=True)]
        if counters:
            rows, whole = self._words("numastat", NUMASTAT)
            complete = complete and whole
            cells = [
                cell._replace(counters=None if row is None else Counters._make(row))
                for cell, row in zip(cells, rows, strict=True)
            ]
        if vmstat:
            rows, whole = self._words("vmstat", tuple([name.encode() for name in vmstat]))
            complete = complete and whole
            cells = [
                cell._replace(vmstat=None if row is None else tuple(zip(vmstat, row, strict=True)))
                for cell, row in zip(cells, rows, strict=True)
            ]
        return made(sample.origin, sample.wall, sample.monotonic, tuple(cells)), complete

    def _available(self, contents: list[bytes | int]) -> list[int | None]:
        facts = [
            None if isinstance(content, int) else meminfo(path, content)
            for path, content in zip(self._paths, contents, strict=True)
        ]
        if not self._numa:
            kilobytes = [None if info is None else info.available_kb for info in facts]
            return [None if value is None else value << 10 for value in kilobytes]
        (content,) = self._reader.read((ZONEINFO,))
        if isinstance(content, int):
            return [None] * len(facts)
        zones: dict[int, list[ZoneFacts]] = {}
        for zone in map(ZoneFacts._make, text.zones(ZONEINFO, content)):
            zones.setdefault(zone.node, []).append(zone)
        return [
            None if info is None else available_memory(info, zones.get(node, []))
            for node, info in zip(self._ids, facts, strict=True)
        ]

    def _huge_pages(self) -> tuple[list[tuple[HugePages, ...]], bool]:
        directories = [f"{NODE}/node{node}/hugepages" for node in self._ids] if self._numa else [HUGE_PAGES]
        # Recorded trees may have only the nodes' own directories of sizes.
        sizes = [self._sizes or huge_page_sizes(Source(self._reader), directory) for directory in directories]
        contents = self._read(
            "huge pages",
            [
                f"{directory}/hugepages-{size}kB/{name}"
                for directory, there in zip(directories, sizes, strict=True)
                for size in there
                for name in COUNTS
            ],
        )
        complete = not any(isinstance(content, int) for content in contents)
        rest = iter([None if isinstance(content, int) else content for content in contents])
        found = []
        for directory, there in zip(directories, sizes, strict=True):
            facts = huge_page_facts(directory, there, [next(rest) for _ in range(len(there) * len(COUNTS))])
            found.append(tuple([HugePages(fact.size_kb << 10, fact.total, fact.free, fact.surplus) for fact in facts]))
        return found, complete

    def _words(self, name: str, names: tuple[bytes, ...]) -> tuple[list[tuple[int | None, ...] | None], bool]:
        """Values of ``nodeN/name``, by node; where the kernel has no nodes, of ``/proc/name``."""
        paths = [f"{NODE}/node{node}/{name}" for node in self._ids] if self._numa else [f"proc/{name}"]
        contents = self._read(name, paths)
        rows: list[tuple[int | None, ...] | None] = []
        for path, content in zip(paths, contents, strict=True):
            try:
                rows.append(None if isinstance(content, int) else _fast.words(content, names))
            except ValueError as error:
                raise FactError(path, reason=str(error)) from None
        return rows, not any(isinstance(content, int) for content in contents)
