"""Sampling Xen: one numainfo, requested with the same words every time.

Free memory is numainfo's own. Its sizes are spans with holes in them, so that totals are those of the first probe,
for as long as the spans, and physinfo's count of all pages, stay what they were.
"""

from __future__ import annotations

import time
from errno import ESTALE
from functools import partial

from .. import _fast
from ..errors import FactError, RecordingError, SourceError
from ..model.host import Note
from ..normalise.xen import available_memory, claims_of, from_xen
from ..xen import abi, claims
from ..xen.calls import issue, source_error
from ..xen.collect import collect
from ..xen.refused import LIVE
from ..xen.sysctl import Sysctl
from .engine import Engine, Snapshot, next_shape
from .sample import Origin, Sample, made
from .values import CellSample, Collected, FiguresFrom, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._fast import Missed, NodeRows, Numainfo
    from ..normalise.xen import Claims
    from ..ports import Hypercalls, Reader
    from ..xen.facts import PhysInfo, XenFacts

NUMAINFO, PHYSINFO = "sysctl numainfo", "sysctl physinfo"
# Nanoseconds between two looks at physinfo, which costs as much as numainfo: it alone shows that a cpu was added.
LOOK_EVERY = 10_000_000


class XenOrigin(Origin):
    """What samples of one shape have in common; their figures are a span and free bytes for each cell."""

    __slots__ = ()

    def collected(self, sample: Sample) -> Collected:
        # CellSample's own constructor is a function of Python's, and three times as dear as _make.
        shape, make = self.shape, CellSample._make
        rows = sample.rows()
        cells = tuple(
            [
                make((cell, total, free, (), None, None, None, None))
                for cell, total, (_, free, *_) in zip(shape.cells, shape.totals, rows, strict=True)
            ]
        )
        notes = []
        for cell, (span, *_) in zip(cells, rows, strict=True):
            whole = span if cell.total is None else cell.total
            if cell.free is not None and whole is not None and cell.free > whole:
                notes.append(Note(f"{NUMAINFO} node {cell.id}", f"{cell.free} bytes free are more than all {whole}"))
        if notes:
            wrong = {note.where for note in notes}
            cells = tuple(
                [cell._replace(free=None) if f"{NUMAINFO} node {cell.id}" in wrong else cell for cell in cells]
            )
        return Collected(cells=cells, notes=self.notes + tuple(notes), errors=self.errors)


class NumainfoOfPort:
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

    def read(self, kind: type[Sample], origin: XenOrigin) -> Sample | Missed:
        now = time.monotonic_ns()
        wall = time.time_ns()
        if now - self._looked >= LOOK_EVERY:
            if shape_of(self._sysctl.physinfo()) != self._machine:
                return _fast.Missed(_fast.CHANGED)
            self._looked = now
        if not self._timed:
            now = wall = -1
        content = self._ask()
        found = None if content is None else self._rows.figures(content, kind, origin, wall, now)
        return _fast.Missed(_fast.CHANGED) if found is None else found

    def free(self) -> dict[int, int | None] | Missed:
        content = self._ask()
        found = None if content is None else self._rows.free(content)
        return _fast.Missed(_fast.CHANGED) if found is None else found


class XenSnapshot(Snapshot):
    """One shape of the host, and its ``facts``; ``sysctl`` queries what a sample does not include."""

    __slots__ = ("facts", "sysctl")

    def __init__(self, origin: XenOrigin, source: Numainfo | NumainfoOfPort, sysctl: Sysctl, facts: XenFacts) -> None:
        super().__init__(origin, partial(source.read, Sample, origin), source.free)
        self.sysctl = sysctl
        self.facts = facts


class XenSampler(Engine):
    """Samples the hypervisor.

    ``timed`` says that hypercalls are made now and were not recorded; ``facts`` are those of a caller that has just
    collected them.
    """

    def __init__(self, port: Hypercalls, reader: Reader, *, timed: bool, facts: XenFacts | None = None) -> None:
        self._port = port
        self._reader = reader
        self._timed = timed
        self._facts = facts
        self._refused = LIVE if timed else {}
        super().__init__()

    def _opened(self, before: XenSnapshot | None) -> XenSnapshot:
        facts, self._facts = self._facts or collect(self._port, self._reader, refused=self._refused), None
        host = from_xen(facts)
        ids = tuple([cell.id for cell in host.cells])
        unsure = any(cpu.online is None for cpu in host.cpus)
        new = Shape(
            number=1,
            cells=ids,
            since=(),
            cpus=None if unsure else tuple([cpu.id for cpu in host.cpus if cpu.online]),
            totals=tuple([cell.memory.total for cell in host.cells]),
        )
        figures_from = FiguresFrom(
            total=host.cells[0].memory.total_from if host.cells else None,
            free="numainfo memfree",
            available="numainfo memfree less claims",
        )
        origin = XenOrigin(
            "xen", next_shape(None if before is None else before.origin.shape, new), figures_from=figures_from
        )
        sysctl = Sysctl(self._port, facts.sysctl_version)
        spans = tuple([abi.ALL_ONES_32 if node is None else node.memsize for node in facts.nodes])
        # A cell's id is its node's number, and that is its row's.
        return XenSnapshot(origin, self._source(sysctl, facts, _fast.NodeRows(ids, ids, spans)), sysctl, facts)

    def _source(self, sysctl: Sysctl, facts: XenFacts, rows: NodeRows) -> Numainfo | NumainfoOfPort:
        """What takes samples: in C for the running hypervisor, and the equivalent in Python for any other port."""
        capacity = len(facts.nodes) + 4
        header = abi.OPERATION_HEADER.pack(abi.SYSCTL_NUMAINFO, sysctl.version) + abi.WORD.pack(capacity)
        op = header.ljust(abi.SYSCTL_BYTES, b"\0")
        if isinstance(self._port, _fast.Privcmd) and sysctl.version >= abi.ROWS_SINCE:
            look = abi.OPERATION_HEADER.pack(abi.SYSCTL_PHYSINFO, sysctl.version).ljust(abi.SYSCTL_BYTES, b"\0")
            wanted, mask = words_of_shape(facts.physinfo, sysctl.version)
            return _fast.Numainfo(self._port, rows, op, look, wanted, mask, LOOK_EVERY)
        ask = self._way_to_ask(sysctl, facts, op, capacity)
        return NumainfoOfPort(rows, ask, facts.physinfo, sysctl, timed=self._timed)

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

        # Before 4.6 there were other arrays, and only the distances show that a node is absent.
        if sysctl.version < abi.ROWS_SINCE:
            return ask_whole
        try:
            ask()
        except RecordingError:
            return ask_whole
        return ask

    def _worth_another_try(self, missed: Missed) -> bool:
        """What Xen refuses once it refuses again."""
        return missed.reason != _fast.UNREADABLE

    def _failure(self, snapshot: XenSnapshot, missed: Missed) -> Exception:  # noqa: ARG002
        if missed.reason == _fast.UNREADABLE:
            return source_error((NUMAINFO, PHYSINFO)[missed.position], missed.error)
        return SourceError(NUMAINFO, ESTALE, "nodes, CPUs or memory kept being added or removed while they were read")

    def detailed(
        self,
        *,
        huge_pages: bool,  # noqa: ARG002
        available: bool,
        counters: bool,  # noqa: ARG002
        vmstat: Sequence[str] | bool,  # noqa: ARG002
        meminfo: bool = False,  # noqa: ARG002
    ) -> Sample:
        """Of what may be requested Xen has only available memory: free, less what is claimed."""
        snapshot = self.snapshot
        sample = self.retried(snapshot, snapshot.ask())
        if not available:
            return sample
        found, notes = self._claims(self.snapshot.sysctl, self.snapshot.facts)
        cells = tuple(
            [
                cell if cell.free is None else cell._replace(available=available_memory(cell.free, found, cell.id)[0])
                for cell in sample.cells
            ]
        )
        collected = Collected(cells=cells, notes=sample.notes + notes, errors=sample.errors)
        return made(sample.origin, sample.wall, sample.monotonic, collected)

    def _claims(self, sysctl: Sysctl, facts: XenFacts) -> tuple[Claims, tuple[Note, ...]]:
        """Claims of the whole host and, where the first probe had them, of each node; and what was wrong with them."""
        rows = None
        notes: tuple[Note, ...] = ()
        info = sysctl.physinfo()
        if facts.claims is not None:
            nodes, _ = sysctl.numainfo(facts.physinfo.nr_nodes)
            try:
                rows = claims.collect(sysctl, info, nodes, self._refused)
            except FactError as error:
                notes = (Note(error.where, f"{error.reason}: {error.text}"),)
        ids = [node for node, row in enumerate(facts.nodes) if row is not None]
        return claims_of(rows, info.outstanding_pages, ids), notes


def shape_of(info: PhysInfo) -> tuple[int, ...]:
    """What of physinfo shows that something was added or removed."""
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
