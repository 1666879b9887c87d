"""Sampling a Linux host: ``meminfo`` of every node is kept open, and all are reopened when nodes or cpus change.

An open file of a removed node gives ENODEV, even if a node with the same number is added again (kernfs_get_active of
Linux's fs/kernfs/dir.c), so a figure cannot be taken for another node's.
"""

from __future__ import annotations

import os
import time
from errno import ENOENT, ENOTDIR, ESTALE
from functools import partial

from .. import _fast
from ..errors import FactError, SourceError, SourceUnavailable
from ..linux import text
from ..linux.meminfo import is_of_another
from ..linux.nodes import HUGE_PAGES, huge_page_sizes, node_ids
from ..linux.source import CPU, NODE, Source
from ..model.host import Note
from ..named import namedtuple
from .details import Details
from .engine import TRIES, Engine, Snapshot, next_shape, unreadable
from .linux_files import MeminfoOfReader, deduced_page_size, default_huge_page_size, is_whole_machine
from .sample import Closed, Origin, Sample
from .values import FiguresFrom, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._fast import Files, MeminfoFiles, Missed
    from ..ports import Reader

ONLINE = f"{CPU}/online"
BUDDYINFO = "proc/buddyinfo"
# Seconds between two tries to open what was just added, and nanoseconds until what could not be opened is tried again.
SETTLING = 0.001
REOPEN_IN = 1_000_000_000
# So often is something tried that may not be read: one moment without descriptors or memory is no reason.
TRIES_OF_UNREADABLE = 2

OF_NODES = FiguresFrom(total="meminfo MemTotal", free="meminfo MemFree", available="meminfo and zoneinfo")
OF_MACHINE = FiguresFrom(
    total="/proc/meminfo MemTotal", free="/proc/meminfo MemFree", available="/proc/meminfo MemAvailable"
)

# MemFree is a counter that every cpu updates in batches (calculate_normal_threshold of Linux's mm/vmstat.c), and it
# counts memory that is not accepted yet. Up to this it may differ from what buddyinfo adds up to.
NEAR_BYTES = 32 << 20
NEAR_PART = 16


class Nodes(namedtuple("Nodes", "ids paths directory without_memory")):
    """Node ids, the path of each one's meminfo, the directory of the nodes, and which are known to have no memory.

    Where the kernel has no nodes, one cell stands for the machine and there is no directory.
    """

    __slots__ = ()
    ids: tuple[int, ...]
    paths: tuple[str, ...]
    directory: str | None
    without_memory: frozenset[int]


class LinuxSnapshot(Snapshot):
    """One shape of the host: its open files, and what its samples have in common."""

    __slots__ = ("ask_with_caches", "details", "files", "lenient")

    def __init__(
        self,
        files: MeminfoFiles | MeminfoOfReader,
        origin: Origin,
        base: Sample,
        details: Details,
        *,
        has_free: bool,
        lenient: bool,
    ) -> None:
        super().__init__(origin, partial(files.read, Sample, origin, base, lenient), files.free if has_free else None)
        # One read gives what is free and what could be reclaimed, of one moment.
        self.ask_with_caches = partial(files.read, Sample, origin, base, lenient, True)
        self.files = files
        self.details = details
        self.lenient = lenient

    def resized(self, origin: Origin, base: Sample) -> LinuxSnapshot:
        """The same files, whose totals are those of ``base`` now."""
        self.details.forget()
        return LinuxSnapshot(self.files, origin, base, self.details, has_free=self.has_free, lenient=self.lenient)


class OpeningSource(Source):
    """A ``Source`` that keeps the errno of each file that exists but cannot be read."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self.errors: dict[str, int] = {}

    def unreadable(self, base: str, path: str, errno: int) -> None:
        self.errors[f"{base}/{path}" if base else path] = errno
        super().unreadable(base, path, errno)


class LinuxSampler(Engine):
    """Samples Linux's files.

    ``files`` are what ``reader`` reads from, None where it is of another kind; ``live`` says that they are those of
    the running kernel, and ``timed`` that they are read now and were not recorded.
    """

    def __init__(self, reader: Reader, files: Files | None, *, live: bool, timed: bool) -> None:
        self._reader = reader
        self._files = files
        self._live = live
        self._timed = timed
        super().__init__()

    # --- opening ---

    def _opened(self, before: LinuxSnapshot | None) -> LinuxSnapshot:
        """Everything reopened. Raises what ``Sampler`` raises."""
        paths: tuple[str, ...] = ()
        failure: Missed | None = None
        for turn in range(TRIES):
            if turn:
                time.sleep(SETTLING)
            last = turn == TRIES - 1
            # If nothing has changed in between, as in a recording, a second look finds nothing new.
            may_settle = (before is not None or self._live) and not last
            source = OpeningSource(self._reader)
            nodes = _nodes(source)
            # The kernel labels each with its own number; a recording may have been put together otherwise.
            if not self._live and nodes.directory is not None:
                nodes = _own_files(source, nodes)
            paths = nodes.paths
            try:
                files = self._meminfo_files(nodes)
            except OSError:
                # The directory of nodes was removed between two looks at it.
                continue
            denied = [(path, e) for path, e in zip(paths, files.errors, strict=True) if e not in (0, ENOENT, ENOTDIR)]
            if files.cpus_error not in (0, ENOENT, ENOTDIR):
                source.unreadable("", ONLINE, files.cpus_error)
            default_size = default_huge_page_size(source)
            sizes = huge_page_sizes(source, HUGE_PAGES)
            if (denied or source.errors) and turn < TRIES_OF_UNREADABLE - 1:
                continue
            if len(denied) == len(paths) and denied:
                raise unreadable(*denied[0])
            for path, error in denied:
                source.unreadable("", path, error)
            # A directory is there before its files are (device_add of Linux's drivers/base/core.c).
            if any(files.errors) and may_settle:
                continue
            base = files.read(Sample, None, None)
            is_broken = not isinstance(base, Sample) and base.reason in (_fast.NO_TOTAL, _fast.NO_NUMBER)
            if is_broken and not may_settle:
                base = files.read(Sample, None, None, True)
            if not isinstance(base, Sample):
                failure = base
                continue
            # Listed again, because a node may have been added before its directory was watched.
            if _nodes(Source(self._reader)).ids != nodes.ids:
                continue
            return self._snapshot(before, source, nodes, files, base, default_size, sizes, lenient=is_broken)
        raise _failed(paths, failure)

    def _meminfo_files(self, nodes: Nodes) -> MeminfoFiles | MeminfoOfReader:
        if self._files is None:
            return MeminfoOfReader(self._reader, nodes.ids, nodes.paths, nodes.directory, ONLINE, timed=self._timed)
        return _fast.MeminfoFiles(self._files, nodes.ids, nodes.paths, nodes.directory, ONLINE)

    def _snapshot(
        self,
        before: LinuxSnapshot | None,
        source: OpeningSource,
        nodes: Nodes,
        files: MeminfoFiles | MeminfoOfReader,
        base: Sample,
        default_size: int | None,
        sizes: list[int],
        *,
        lenient: bool,
    ) -> LinuxSnapshot:
        new = Shape(
            number=1,
            cells=nodes.ids,
            since=(),
            cpus=source.parsed(_online, ONLINE, files.cpus),
            totals=_totals(nodes.ids, base, nodes.without_memory),
        )
        shape = next_shape(None, new) if before is None else next_shape(before.origin.shape, new, before.files.alive())
        numa = nodes.directory is not None
        is_machine = numa and self._live and is_whole_machine(source, shape)
        origin = Origin(
            "linux",
            shape,
            figures_from=OF_NODES._replace(available=OF_MACHINE.available)
            if is_machine
            else OF_NODES
            if numa
            else OF_MACHINE,
            paths=nodes.paths,
            default_size=default_size,
            without_memory=nodes.without_memory,
            notes=tuple([Note(where, problem) for where, problem in source.notes]),
            errors=tuple(source.errors.items()),
        )
        details = Details(self._reader, self._files, origin, sizes, numa=numa, live=self._live, is_machine=is_machine)
        base.origin = origin
        has_free = self._prepare_free(files, base, shape)
        if source.errors:
            files.reopen_in(REOPEN_IN)
        return LinuxSnapshot(files, origin, base, details, has_free=has_free, lenient=lenient)

    def _prepare_free(self, files: MeminfoFiles | MeminfoOfReader, base: Sample, shape: Shape) -> bool:
        """Whether something cheaper than meminfo gives what is free, and agrees with it now."""
        if None in shape.totals or None in [cell.free for cell in base.cells]:
            return False
        opened: Any = self._files
        if not (self._live and len(files) == 1 and files.keep_free(opened, None, 0, base) == 0):
            page_size = os.sysconf("SC_PAGE_SIZE") if self._live else deduced_page_size(self._reader, shape)
            if page_size is None or files.keep_free(opened, BUDDYINFO, page_size, base):
                return False
        found = files.free()
        if not isinstance(found, dict):
            return False
        for cell in base.cells:
            total, free, cheaper = cell.total or 0, cell.free or 0, found[cell.id]
            if cheaper is None or cheaper > total or abs(cheaper - free) > max(NEAR_BYTES, total // NEAR_PART):
                return False
        return True

    # --- change ---

    def _resized(self, snapshot: LinuxSnapshot, found: Sample) -> bool:
        """Give a sample with new totals a shape of its own; False if its files were replaced during that."""
        with self._lock():
            current = self.snapshot
            if isinstance(current, Closed) or current.files is not snapshot.files:
                return False
            old = current.origin
            totals = _totals(old.shape.cells, found, old.without_memory)
            if totals != old.shape.totals:
                origin = old.with_shape(old.shape._replace(number=old.shape.number + 1, totals=totals))
                self.snapshot = current = current.resized(origin, found)
            found.origin = current.origin
            return True

    def _failure(self, snapshot: LinuxSnapshot, missed: Missed) -> Exception:
        return _failed(snapshot.origin.paths, missed)

    # --- requests ---

    def take_all(self) -> Sample:
        """Everything that can be requested, so that a recorder of files has seen all that a sampler reads."""
        self.retried_free(self.snapshot, self.snapshot.free())
        return self.detailed(huge_pages=True, available=True, counters=True, vmstat=("nr_free_pages",))

    def detailed(
        self, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str] | bool, meminfo: bool = False
    ) -> Sample:
        for _ in range(TRIES):
            snapshot = self.snapshot
            ask = snapshot.ask_with_caches if available else snapshot.ask
            sample = self.retried(snapshot, ask())
            snapshot = self.snapshot
            with self._lock():
                if isinstance(self.snapshot, Closed):
                    self.snapshot.free()
                if self.snapshot is not snapshot or sample.origin is not snapshot.origin:
                    continue
                # Taken again after a change, and then without.
                if available and sample.cache_rows() is None:
                    continue
                details: Details = snapshot.details
                whole, complete = details.added(
                    sample,
                    huge_pages=huge_pages,
                    available=available,
                    counters=counters,
                    vmstat=vmstat,
                    meminfo=meminfo,
                )
            # The file is missing either because this kernel does not have it or because its node was removed.
            if not complete and not all(snapshot.files.alive()):
                self._renewed(snapshot)
            # If one cell is the machine its figures were read again, and memory may have been added in between.
            elif whole is sample or tuple([cell.total for cell in whole.cells]) == whole.shape.totals:
                return whole
        raise _failed((), None)


def _failed(paths: tuple[str, ...], missed: Missed | None) -> Exception:
    if missed is None or missed.position < 0 or missed.reason != _fast.UNREADABLE:
        return SourceError(NODE, ESTALE, "nodes or CPUs kept being added or removed while they were read")
    return unreadable(paths[missed.position], missed.error)


def _online(where: str, content: bytes) -> tuple[int, ...]:
    found = text.id_list(where, content)
    if not found:
        raise FactError(where, content, "names no CPU, although at least one is running")
    return found


def _nodes(source: Source) -> Nodes:
    """The nodes, or the machine. Raises ``SourceUnavailable`` if there is neither."""
    online, has_memory = (
        source.parsed(text.id_list, f"{NODE}/{name}", content)
        for name, content in zip(("online", "has_memory"), source.read(("online", "has_memory"), NODE), strict=True)
    )
    ids = node_ids(source, online)
    if ids:
        without = frozenset() if has_memory is None else frozenset(ids).difference(has_memory)
        paths = tuple([f"{NODE}/node{node}/meminfo" for node in ids])
        return Nodes(ids=ids, paths=paths, directory=NODE, without_memory=without)
    if source.one("proc/meminfo") is None and source.one(ONLINE) is None and source.names(CPU) is None:
        raise SourceUnavailable(f"{NODE} and {CPU}", None, "no node and no cpu was found")
    return Nodes(ids=(0,), paths=("proc/meminfo",), directory=None, without_memory=frozenset())


def _own_files(source: Source, nodes: Nodes) -> Nodes:
    """The same without the files that name another node: theirs are paths where nothing is."""
    contents = source.read(nodes.paths)
    paths = [
        f"{path} of node {node}" if content is not None and is_of_another(source, node, content) else path
        for node, path, content in zip(nodes.ids, nodes.paths, contents, strict=True)
    ]
    return nodes._replace(paths=tuple(paths))


def _totals(ids: tuple[int, ...], base: Sample, without_memory: frozenset[int]) -> tuple[int | None, ...]:
    return tuple(
        [
            total_kb << 10 if total_kb is not None else 0 if node in without_memory else None
            for node, (total_kb, *_) in zip(ids, base.rows(), strict=True)
        ]
    )
