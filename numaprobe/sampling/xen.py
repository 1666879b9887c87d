"""Sampling Xen: one numainfo, asked for with the same request every time.

Free memory is numainfo's own. Its sizes are spans with holes in them, so that totals are those of the first probe,
for as long as the spans, and physinfo's count of all pages, stay what they were.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from errno import ESTALE
from functools import partial

from .. import _fast
from ..errors import RecordingError, SourceError
from ..normalise.xen import available_memory, from_xen
from ..xen import abi
from ..xen.calls import issue, source_error
from ..xen.collect import collect
from ..xen.sysctl import Sysctl
from .sample import Closed, Origin, Sample, made
from .values import CellSample, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .._fast import NodeRows, Numainfo
    from ..ports import Hypercalls, Reader
    from ..xen.facts import PhysInfo, XenFacts

NUMAINFO, PHYSINFO = "sysctl numainfo", "sysctl physinfo"
TRIES = 8
# Nanoseconds between two looks at physinfo, which costs as much as numainfo: it alone tells that a cpu came or went.
LOOK_EVERY = 10_000_000


class XenOrigin(Origin):
    """What samples of one shape have in common; their figures are a span and free bytes for each cell."""

    __slots__ = ()

    def cells(self, sample: Sample) -> tuple[CellSample, ...]:
        # CellSample's own is a function of Python's, and three times as dear.
        shape, new = self.shape, tuple.__new__
        return tuple(
            [
                new(CellSample, (cell, total, row[1], (), None, None, None))
                for cell, total, row in zip(shape.cells, shape.totals, sample.rows(), strict=True)
            ]
        )


class Answers:
    """Does for any port what ``_fast.Numainfo`` does for the device; ``ask`` gives numainfo's rows, or None.

    None is for a number of rows that is not this shape's.
    """

    def __init__(
        self, rows: NodeRows, ask: Callable[[], bytes | None], info: PhysInfo, sysctl: Sysctl, *, timed: bool
    ) -> None:
        self._rows = rows
        self._ask = ask
        self._sysctl = sysctl
        self._machine = shape_of(info)
        self._timed = timed
        self._looked = time.monotonic_ns()

    def read(self, kind: type[Sample], origin: XenOrigin) -> Sample | tuple[int, int, None]:
        now = time.monotonic_ns()
        wall = time.time_ns()
        if now - self._looked >= LOOK_EVERY:
            if shape_of(self._sysctl.physinfo()) != self._machine:
                return -1, ESTALE, None
            self._looked = now
        if not self._timed:
            now = wall = -1
        content = self._ask()
        found = None if content is None else self._rows.figures(content, kind, origin, wall, now)
        return (-1, ESTALE, None) if found is None else found

    def free(self) -> dict[int, int] | tuple[int, int, None]:
        content = self._ask()
        found = None if content is None else self._rows.free(content)
        return (-1, ESTALE, None) if found is None else found


class Snapshot:
    """One shape of the host, and what asks for its samples."""

    __slots__ = ("ask", "free", "origin", "sysctl")

    def __init__(self, origin: XenOrigin, source: Numainfo | Answers, sysctl: Sysctl) -> None:
        self.origin = origin
        self.sysctl = sysctl
        self.ask = partial(source.read, Sample, origin)
        self.free = source.free


class XenSampler:
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

    def _opened(self, before: Snapshot | None, facts: XenFacts) -> Snapshot:
        host = from_xen(facts)
        ids = tuple([cell.id for cell in host.cells])
        unsure = any(cpu.online is None for cpu in host.cpus)
        cpus = None if unsure else tuple([cpu.id for cpu in host.cpus if cpu.online])
        shape = _shape(before, ids, cpus, tuple([cell.memory.total for cell in host.cells]))
        total_from = host.cells[0].memory.total_from if host.cells else None
        sysctl = Sysctl(self._port, facts.sysctl_version)
        origin = XenOrigin("xen", shape, (total_from, "numainfo memfree", "numainfo memfree less claims"))
        spans = tuple([abi.ALL_ONES_32 if node is None else node.memsize for node in facts.nodes])
        # A cell's id is its node's number, and that is its row's.
        return Snapshot(origin, self._source(sysctl, facts, _fast.NodeRows(ids, ids, spans)), sysctl)

    def _source(self, sysctl: Sysctl, facts: XenFacts, rows: NodeRows) -> Numainfo | Answers:
        """What asks for samples: in C where the hypervisor is running, which is the same over any other port."""
        capacity = len(facts.nodes) + 4
        header = abi.OPERATION_HEADER.pack(abi.SYSCTL_NUMAINFO, sysctl.version) + abi.WORD.pack(capacity)
        op = header.ljust(abi.SYSCTL_BYTES, b"\0")
        if isinstance(self._port, _fast.Privcmd) and sysctl.version >= abi.ROWS_SINCE:
            look = abi.OPERATION_HEADER.pack(abi.SYSCTL_PHYSINFO, sysctl.version).ljust(abi.SYSCTL_BYTES, b"\0")
            wanted, mask = words_of_shape(facts.physinfo, sysctl.version)
            return _fast.Numainfo(self._port, rows, op, look, wanted, mask, LOOK_EVERY)
        ask = self._way_to_ask(sysctl, facts, op, capacity)
        return Answers(rows, ask, facts.physinfo, sysctl, timed=self._timed)

    def _way_to_ask(self, sysctl: Sysctl, facts: XenFacts, op: bytes, capacity: int) -> Callable[[], bytes | None]:
        """Without the distances, which cost Xen more than the rest; a recording may have only the answer with them."""
        count = len(facts.nodes)
        buffers = ((abi.ROWS_HANDLE_AT, b"\xff" * (capacity * abi.MEMINFO_ROW.size)),)

        def ask() -> bytes | None:
            _, reply, (rows,) = issue(self._port, abi.SYSCTL, abi.SYSCTL_NUMAINFO, op, buffers)
            return rows if abi.WORD.unpack_from(reply, abi.WORD_AT)[0] == count else None

        def ask_whole() -> bytes | None:
            nodes, _ = sysctl.numainfo(facts.physinfo.nr_nodes)
            if len(nodes) != count:
                return None
            return b"".join([abi.MEMINFO_ROW.pack(*(node or (abi.ALL_ONES_32, 0))) for node in nodes])

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

    def retried(self, view: Snapshot, found: Any) -> Sample:
        """A sample in place of an answer that no longer fits the view."""
        for _ in range(TRIES):
            if type(found) is Sample:
                return found
            _refused(found)
            view = self._renewed(view)
            found = view.ask()
        if type(found) is Sample:
            return found
        _refused(found)
        raise SourceError(NUMAINFO, ESTALE, "nodes, cpus or memory came or went all the while they were asked for")

    def retried_free(self, view: Snapshot, found: Any) -> dict[int, int | None]:
        return self.retried(view, found).free_by_cell()

    def exact_free(self) -> dict[int, int | None]:
        """There is no other figure than numainfo's."""
        view = self.view
        found = view.free()
        if isinstance(found, dict):
            return dict(found)
        return self.retried_free(view, found)

    def detailed(self, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str]) -> Sample:  # noqa: ARG002
        """Of what may be asked for beside, Xen has only available memory: free, less what is claimed."""
        view = self.view
        sample = self.retried(view, view.ask())
        if not available:
            return sample
        claimed = view.sysctl.physinfo().outstanding_pages
        only = len(sample.cells) == 1
        cells = tuple(
            [cell._replace(available=available_memory(cell.free or 0, claimed, only=only)[0]) for cell in sample.cells]
        )
        return made(sample.origin, sample.wall, sample.monotonic, cells)


def _refused(found: tuple[int, int, None]) -> None:
    """Raises for an answer that Xen refused; one that no longer fits the view is tried again by the caller."""
    position, errno, _ = found
    if position >= 0:
        raise source_error((NUMAINFO, PHYSINFO)[position], errno)


def shape_of(info: PhysInfo) -> tuple[int, ...]:
    """What of physinfo says that something came or went."""
    return info.nr_cpus, info.max_cpu_id, info.nr_nodes, info.max_node_id, info.total_pages


def words_of_shape(info: PhysInfo, sysctl_version: int) -> tuple[bytes, bytes]:
    """A whole answer to physinfo with nothing in it but the same, and a mask of where that is."""
    at = abi.physinfo_layout(sysctl_version)
    wanted = [0] * len(at.layout.unpack(bytes(at.layout.size)))
    mask = wanted.copy()
    for place, word in zip((2, 3, 4, 5, at.pages), shape_of(info), strict=True):
        wanted[place] = word
        mask[place] = abi.ALL_ONES_64 if place == at.pages else abi.ALL_ONES_32
    size = abi.SYSCTL_BYTES
    return at.layout.pack(*wanted).ljust(size, b"\0"), at.layout.pack(*mask).ljust(size, b"\0")


def _shape(
    before: Snapshot | None, ids: tuple[int, ...], cpus: tuple[int, ...] | None, totals: tuple[int | None, ...]
) -> Shape:
    """The next shape, or the one before if nothing changed after all."""
    if before is None:
        return Shape(1, ids, (1,) * len(ids), cpus, totals)
    old = before.origin.shape
    since = dict(zip(old.cells, old.since, strict=True))
    new = Shape(old.number + 1, ids, tuple([since.get(node, old.number + 1) for node in ids]), cpus, totals)
    return old if new[1:] == old[1:] else new
