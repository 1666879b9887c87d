"""Sampling Xen: one numainfo, asked for with the same request every time.

Free memory is numainfo's own. Its sizes are spans with holes in them, so that totals are those of the first probe,
for as long as the spans, and physinfo's count of all pages, stay what they were.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from errno import ESTALE
from struct import Struct

from . import _fast
from .build_xen import available_memory, from_xen
from .errors import RecordingError, SourceError
from .sample import CellSample, Closed, Origin, Sample, Shape, made
from .xen import abi
from .xen.calls import source_error
from .xen.collect import collect
from .xen.sysctl import Sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .ports import Reader
    from .xen.calls import Hypercalls
    from .xen.facts import PhysInfo, XenFacts

NUMAINFO = "sysctl numainfo"
TRIES = 8
# Nanoseconds between two looks at physinfo, which costs as much as numainfo: it alone tells that a cpu came or went.
LOOK_EVERY = 10_000_000


class XenOrigin(Origin):
    """What samples of one shape have in common, and where in numainfo's words each cell is."""

    __slots__ = ("rows",)

    def __init__(self, shape: Shape, rows: tuple[int, ...], total_from: str | None) -> None:
        super().__init__("xen", shape, (total_from, "numainfo memfree", "numainfo memfree less claims"))
        self.rows = rows

    def cells(self, sample: Sample) -> tuple[CellSample, ...]:
        (words,) = sample.derived
        return tuple(
            [
                CellSample(cell, total, words[2 * row + 1], (), None, None, None)
                for cell, total, row in zip(self.shape.cells, self.shape.totals, self.rows, strict=True)
            ]
        )


class View:
    """One shape of the host. ``ask`` gives size and free bytes of every node in a row, or None."""

    def __init__(
        self,
        origin: XenOrigin,
        facts: XenFacts,
        sysctl: Sysctl,
        ask: Callable[[], tuple[int, ...] | None],
        *,
        timed: bool,
    ) -> None:
        self.origin = origin
        self.sysctl = sysctl
        self._ask = ask
        self._timed = timed
        self._machine = shape_of(facts.physinfo)
        self._sizes = tuple([abi.ALL_ONES_32 if node is None else node.memsize for node in facts.nodes])
        self._looked = time.monotonic_ns()

    def _words(self, now: int) -> tuple[int, ...] | None:
        """None where nodes, cpus or memory came or went."""
        if now - self._looked >= LOOK_EVERY:
            if shape_of(self.sysctl.physinfo()) != self._machine:
                return None
            self._looked = now
        words = self._ask()
        return words if words is not None and words[::2] == self._sizes else None

    def ask(self) -> Any:
        now = time.monotonic_ns()
        wall = time.time_ns()
        words = self._words(now)
        if words is None:
            return -1, ESTALE, None
        # The cells are made of the words when they are first looked at.
        return made(self.origin, wall, now, [words]) if self._timed else made(self.origin, -1, -1, [words])

    def free(self) -> dict[int, int] | tuple[int, int, None]:
        words = self._words(time.monotonic_ns())
        if words is None:
            return -1, ESTALE, None
        origin = self.origin
        return {cell: words[2 * row + 1] for cell, row in zip(origin.shape.cells, origin.rows, strict=True)}


class XenCells:
    """The engine of a ``Sampler`` over hypercalls.

    ``timed`` says that they are made now and were not recorded; ``facts`` are for a caller that has just asked.
    """

    def __init__(self, port: Hypercalls, reader: Reader, *, timed: bool, facts: XenFacts | None = None) -> None:
        self._port = port
        self._reader = reader
        self._timed = timed
        self._locks: dict[int, Any] = {}
        self.view: Any = self._opened(None, facts or collect(port, reader))

    def _lock(self) -> Any:
        return self._locks.setdefault(_fast.fork_count(), allocate_lock())

    def close(self, close: Callable[[], None]) -> None:
        with self._lock():
            self.view = Closed(self.view.origin)
            close()

    def _opened(self, before: View | None, facts: XenFacts) -> View:
        host = from_xen(facts)
        ids = tuple([cell.id for cell in host.cells])
        unsure = any(cpu.online is None for cpu in host.cpus)
        cpus = None if unsure else tuple([cpu.id for cpu in host.cpus if cpu.online])
        shape = _shape(before, ids, cpus, tuple([cell.memory.total for cell in host.cells]))
        total_from = host.cells[0].memory.total_from if host.cells else None
        sysctl = Sysctl(self._port, facts.sysctl_version)
        ask = self._way_to_ask(sysctl, facts)
        return View(XenOrigin(shape, ids, total_from), facts, sysctl, ask, timed=self._timed)

    def _way_to_ask(self, sysctl: Sysctl, facts: XenFacts) -> Callable[[], tuple[int, ...] | None]:
        """Without the distances, which cost Xen more than the rest; a recording may have only the answer with them."""
        count = len(facts.nodes)
        capacity = count + 4
        port, number, command = self._port, abi.SYSCTL, abi.SYSCTL_NUMAINFO
        header = abi.OPERATION_HEADER.pack(command, sysctl.version) + abi.WORD.pack(capacity)
        op = header.ljust(abi.SYSCTL_BYTES, b"\0")
        buffers = ((abi.ROWS_HANDLE_AT, b"\xff" * (capacity * abi.MEMINFO_ROW.size)),)
        answered, words_of, word_at = abi.WORD.unpack_from, Struct(f"<{2 * count}Q").unpack_from, abi.WORD_AT

        def ask() -> tuple[int, ...] | None:
            try:
                _, reply, (rows,) = port.call(number, command, op, buffers)
            except SourceError:
                raise
            except OSError as error:
                raise source_error(NUMAINFO, error.errno) from error
            return words_of(rows) if answered(reply, word_at)[0] == count else None

        def ask_whole() -> tuple[int, ...] | None:
            nodes, _ = sysctl.numainfo(facts.physinfo.nr_nodes)
            if len(nodes) != count:
                return None
            return tuple([word for node in nodes for word in node or (abi.ALL_ONES_32, 0)])

        # Before 4.6 there were other arrays, and only the distances tell a node that is absent.
        if sysctl.version < abi.ROWS_SINCE:
            return ask_whole
        try:
            ask()
        except RecordingError:
            return ask_whole
        return ask

    def _renewed(self, view: Any) -> Any:
        with self._lock():
            if self.view is view:
                self.view = self._opened(view, collect(self._port, self._reader))
            return self.view

    def settled(self, view: View, found: Any) -> Sample:
        """A sample in place of an answer that no longer fits the view."""
        for _ in range(TRIES):
            if type(found) is Sample:
                return found
            view = self._renewed(view)
            found = view.ask()
        raise SourceError(NUMAINFO, ESTALE, "nodes, cpus or memory came or went all the while they were asked for")

    def settled_free(self, view: View, _found: Any) -> dict[int, int | None]:
        sample = self.settled(view, _found)
        return {cell.id: cell.free for cell in sample.cells}

    def exact_free(self) -> dict[int, int | None]:
        """There is no other figure than numainfo's."""
        view = self.view
        found = view.free()
        if isinstance(found, dict):
            return dict(found)
        return self.settled_free(view, found)

    def detailed(self, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str]) -> Sample:  # noqa: ARG002
        """Of what may be asked for beside, Xen has only available memory: free, less what is claimed."""
        view = self.view
        sample = self.settled(view, view.ask())
        if not available:
            return sample
        claimed = view.sysctl.physinfo().outstanding_pages
        only = len(sample.cells) == 1
        cells = tuple(
            [cell._replace(available=available_memory(cell.free or 0, claimed, only=only)[0]) for cell in sample.cells]
        )
        return made(sample.origin, sample.wall, sample.monotonic, cells)


def shape_of(info: PhysInfo) -> tuple[int, ...]:
    """What of physinfo says that something came or went."""
    return info.nr_cpus, info.max_cpu_id, info.nr_nodes, info.max_node_id, info.total_pages


def _shape(
    before: View | None, ids: tuple[int, ...], cpus: tuple[int, ...] | None, totals: tuple[int | None, ...]
) -> Shape:
    """The next shape, or the one before if nothing changed after all."""
    if before is None:
        return Shape(1, ids, (1,) * len(ids), cpus, totals)
    old = before.origin.shape
    since = dict(zip(old.cells, old.since, strict=True))
    new = Shape(old.number + 1, ids, tuple([since.get(node, old.number + 1) for node in ids]), cpus, totals)
    return old if new[1:] == old[1:] else new
