"""Sampling a Linux host: ``meminfo`` of every node held open, and all opened anew when nodes or cpus come or go.

A file of a node that is removed gives ENODEV to whoever still holds it open, even if a node of the same number is made
again (kernfs_get_active of Linux's fs/kernfs/dir.c), so a figure cannot be taken for another node's.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from errno import EACCES, EBADF, EBADMSG, ENOENT, ENOTDIR, EPERM, ESTALE
from functools import partial

from .. import _fast
from ..errors import FactError, SourceDenied, SourceError, SourceUnavailable
from ..linux import text
from ..linux.nodes import HUGE_PAGES, huge_page_sizes, node_ids
from ..linux.source import CPU, NODE, Source
from .linux_files import Contents, Details, deduced_page_size, default_huge_page_size
from .sample import Closed, Origin, Sample
from .values import Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .._fast import Files, MeminfoFiles
    from ..ports import Reader

ONLINE = f"{CPU}/online"
BUDDYINFO = "proc/buddyinfo"
TRIES = 8
# Seconds between two tries to open what has just come.
SETTLING = 0.001

HOW = ("meminfo MemTotal", "meminfo MemFree", "meminfo and zoneinfo")
HOW_WHOLE = ("/proc/meminfo MemTotal", "/proc/meminfo MemFree", "/proc/meminfo MemAvailable")

# MemFree is a counter that every cpu updates in batches (calculate_normal_threshold of Linux's mm/vmstat.c), and it
# counts memory that is not accepted yet. Up to this it may differ from what buddyinfo adds up to.
NEAR_BYTES = 32 << 20
NEAR_PART = 16


class Snapshot:
    """One shape of the host: its open files, and what its samples have in common."""

    __slots__ = ("ask", "details", "free", "has_free", "origin", "paths", "sweep")

    def __init__(
        self,
        sweep: MeminfoFiles | Contents,
        origin: Origin,
        base: Sample,
        paths: tuple[str, ...],
        details: Details,
        *,
        has_free: bool,
    ) -> None:
        self.sweep = sweep
        self.ask = partial(sweep.read, Sample, origin, base)
        self.free = sweep.free if has_free else _nothing_cheaper
        self.origin = origin
        self.paths = paths
        self.details = details
        self.has_free = has_free


def _nothing_cheaper() -> tuple[int, int, None]:
    return -1, EBADF, None


class LinuxSampler:
    """The engine of a ``Sampler`` over Linux's files.

    ``files`` are what ``reader`` reads from, None where it is of another kind; ``live`` says that they are those of
    the running kernel, and ``timed`` that they are read now and were not recorded.
    """

    def __init__(self, reader: Reader, files: Files | None, *, live: bool, timed: bool) -> None:
        self._reader = reader
        self._files = files
        self._live = live
        self._timed = timed
        self._locks: dict[int, Any] = {}
        self.view: Any = self._opened(None)

    def _lock(self) -> Any:
        """Held around the reader, which must not be closed beside a read; a child that was forked has its own."""
        return self._locks.setdefault(_fast.fork_count(), allocate_lock())

    def close(self, close: Callable[[], None]) -> None:
        with self._lock():
            self.view = Closed(self.view.origin)
            close()

    # --- what is there ---

    def _opened(self, before: Snapshot | None) -> Snapshot:
        """Everything opened anew. Raises as ``Sampler`` says."""
        failure = (-1, ESTALE, None)
        paths: tuple[str, ...] = ()
        for turn in range(TRIES):
            if turn:
                time.sleep(SETTLING)
            source = Source(self._reader)
            ids, paths, directory, without_memory = _nodes(source)
            try:
                sweep = self._sweep(ids, paths, directory)
            except OSError:
                # The directory of nodes went between two looks at it.
                continue
            for path, errno in zip(paths, sweep.errors, strict=True):
                if errno in (EACCES, EPERM):
                    raise SourceDenied(path, errno)
                if errno not in (0, ENOENT, ENOTDIR):
                    raise SourceError(path, errno)
            # A directory is there before its files are (device_add of Linux's drivers/base/core.c).
            if any(sweep.errors) and (before is not None or self._live) and turn < TRIES - 1:
                continue
            base = sweep.read(Sample, None, None)
            # Looked at again, because a node may have come before its directory was watched.
            if isinstance(base, tuple):
                failure = base
                continue
            if _nodes(Source(self._reader))[0] != ids:
                continue
            return self._view(before, source, ids, paths, directory, without_memory, sweep, base)
        raise self._error(paths, failure)

    def _sweep(self, ids: tuple[int, ...], paths: tuple[str, ...], directory: str | None) -> MeminfoFiles | Contents:
        if self._files is None:
            return Contents(self._reader, ids, paths, directory, ONLINE, timed=self._timed)
        return _fast.MeminfoFiles(self._files, ids, paths, directory, ONLINE)

    def _view(
        self,
        before: Snapshot | None,
        source: Source,
        ids: tuple[int, ...],
        paths: tuple[str, ...],
        directory: str | None,
        without_memory: frozenset[int],
        sweep: MeminfoFiles | Contents,
        base: Sample,
    ) -> Snapshot:
        totals = _totals(ids, base, without_memory)
        cpus = None if sweep.cpus is None else text.ids(ONLINE, sweep.cpus)
        shape = _shape(before, ids, cpus, totals)
        how = HOW if directory is not None else HOW_WHOLE
        origin = Origin("linux", shape, how, default_huge_page_size(source), without_memory)
        sizes = huge_page_sizes(source, HUGE_PAGES)
        details = Details(self._reader, self._files, ids, paths, sizes, numa=directory is not None)
        base.origin = origin
        has_free = self._prepare_free(sweep, base, shape)
        return Snapshot(sweep, origin, base, paths, details, has_free=has_free)

    def _prepare_free(self, sweep: MeminfoFiles | Contents, base: Sample, shape: Shape) -> bool:
        """Whether something cheaper than meminfo tells what is free, and agrees with it now."""
        if None in shape.totals or None in [cell.free for cell in base.cells]:
            return False
        files: Any = self._files
        if not (self._live and len(sweep) == 1 and sweep.keep_free(files, None, 0, base) == 0):
            page_size = os.sysconf("SC_PAGE_SIZE") if self._live else deduced_page_size(self._reader, shape)
            if page_size is None or sweep.keep_free(files, BUDDYINFO, page_size, base):
                return False
        found = sweep.free()
        return isinstance(found, dict) and all(
            abs(found[cell.id] - (cell.free or 0)) <= max(NEAR_BYTES, (cell.total or 0) // NEAR_PART)
            for cell in base.cells
        )

    def _renewed(self, view: Any) -> Any:
        """The view that replaces this one, unless another thread has replaced it already."""
        with self._lock():
            if self.view is view:
                self.view = self._opened(view)
            return self.view

    def _with_totals(self, view: Snapshot, found: Sample) -> bool:
        """Give a sample whose totals are new a shape of its own; False if its files were replaced meanwhile."""
        with self._lock():
            current = self.view
            if isinstance(current, Closed) or current.sweep is not view.sweep:
                return False
            old = current.origin
            totals = _totals(old.shape.cells, found, old.without_memory)
            if totals != old.shape.totals:
                shape = old.shape._replace(number=old.shape.number + 1, totals=totals)
                origin = Origin(old.source, shape, old.how, old.default_size, old.without_memory)
                self.view = current = Snapshot(
                    current.sweep, origin, found, current.paths, current.details, has_free=current.has_free
                )
            found.origin = current.origin
            return True

    def _error(self, paths: tuple[str, ...], failure: tuple[int, int, Any]) -> Exception:
        position, errno, _ = failure
        if position < 0:
            return SourceError(NODE, errno, "nodes or cpus came or went all the while they were read")
        if errno == EBADMSG:
            return FactError(paths[position], reason="has no MemTotal")
        return SourceError(paths[position], errno)

    # --- what is asked ---

    def retried(self, view: Snapshot, found: Sample | tuple[int, int, Sample | None]) -> Sample:
        """A sample in place of what the view's files gave: after a change, with what there is now."""
        for _ in range(TRIES):
            if not isinstance(found, tuple):
                return found
            if found[2] is not None:
                if self._with_totals(view, found[2]):
                    return found[2]
                view = self.view
            else:
                view = self._renewed(view)
            found = view.ask()
        if not isinstance(found, tuple):
            return found
        raise self._error(view.paths, found)

    def retried_free(self, view: Snapshot, found: dict[int, int] | tuple[int, int, None]) -> dict[int, int | None]:
        """Free bytes by cell, from meminfo where nothing cheaper tells."""
        for _ in range(TRIES):
            if isinstance(found, dict):
                return dict(found)
            if not view.has_free:
                break
            view = self._renewed(view)
            if view.has_free:
                found = view.free()
        return self.exact_free()

    def exact_free(self) -> dict[int, int | None]:
        view = self.view
        return self.retried(view, view.ask()).free_by_cell()

    def take_all(self) -> Sample:
        """Everything that can be asked, so that a recorder of files has seen all that a sampler reads."""
        self.retried_free(self.view, self.view.free())
        return self.detailed(huge_pages=True, available=True, counters=True, vmstat=("nr_free_pages",))

    def detailed(self, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str]) -> Sample:
        for _ in range(TRIES):
            view = self.view
            sample = self.retried(view, view.ask())
            view = self.view
            with self._lock():
                if isinstance(self.view, Closed):
                    self.view.free()
                if self.view is not view or sample.origin is not view.origin:
                    continue
                details: Details = view.details
                whole, complete = details.added(
                    sample, huge_pages=huge_pages, available=available, counters=counters, vmstat=vmstat
                )
            # A file that this kernel lacks is one thing; that its node has gone meanwhile is another.
            if not complete and not all(view.sweep.alive()):
                self._renewed(view)
            # For what is available meminfo was read again, and memory may have come or gone since the first time.
            elif tuple([cell.total for cell in whole.cells]) == whole.shape.totals:
                return whole
        raise self._error((), (-1, ESTALE, None))


def _nodes(source: Source) -> tuple[tuple[int, ...], tuple[str, ...], str | None, frozenset[int]]:
    """Node ids, the path of each one's meminfo, the directory that they come and go in, and those without memory.

    Where the kernel has no nodes, one cell stands for the machine. Raises ``SourceUnavailable`` if there is neither.
    """
    online, has_memory = (
        None if content is None else text.ids(f"{NODE}/{name}", content)
        for name, content in zip(("online", "has_memory"), source.read(("online", "has_memory"), NODE), strict=True)
    )
    ids = node_ids(source, online)
    if ids:
        without = frozenset() if has_memory is None else frozenset(ids).difference(has_memory)
        return ids, tuple([f"{NODE}/node{node}/meminfo" for node in ids]), NODE, without
    if source.one("proc/meminfo") is None and source.one(ONLINE) is None and source.names(CPU) is None:
        raise SourceUnavailable(f"{NODE} and {CPU}", None, "neither a node nor a cpu is there")
    return (0,), ("proc/meminfo",), None, frozenset()


def _totals(ids: tuple[int, ...], base: Sample, without_memory: frozenset[int]) -> tuple[int | None, ...]:
    return tuple(
        [
            row[0] << 10 if row[0] is not None else 0 if node in without_memory else None
            for node, row in zip(ids, base.rows(), strict=True)
        ]
    )


def _shape(
    before: Snapshot | None, ids: tuple[int, ...], cpus: tuple[int, ...] | None, totals: tuple[int | None, ...]
) -> Shape:
    """The next shape, or the one before if nothing changed after all."""
    if before is None:
        return Shape(1, ids, (1,) * len(ids), cpus, totals)
    old = before.origin.shape
    number = old.number + 1
    # A node that went and came back under its number is another one; its old file is dead.
    since = {
        node: first for node, first, alive in zip(old.cells, old.since, before.sweep.alive(), strict=True) if alive
    }
    new = Shape(number, ids, tuple([since.get(node, number) for node in ids]), cpus, totals)
    return old if new[1:] == old[1:] else new
