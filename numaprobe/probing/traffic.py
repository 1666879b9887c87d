"""``traffic()``: one reading of the counters of resctrl."""

from __future__ import annotations

from ..errors import SourceUnavailable
from ..linux.resctrl import ROOT, collect
from ..linux.source import Source
from ..model.host import Note
from ..model.traffic import Traffic, TrafficReading
from ..sources.opening import open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..sources.opening import Path


def traffic(root: Path | None = None, *, recording: Path | None = None) -> TrafficReading:
    """Memory traffic and cache occupancy by group and last-level cache, from a mounted resctrl file system.

    Two readings of a live host give rates: ``later.since(earlier)``. ``root`` and ``recording`` are as for ``probe``.
    Counters of a group cost three files for each cache, or for each cell with sub-NUMA clustering; the kernel may
    interrupt a CPU of each cache to read them. What the hardware has no count for is None and in ``notes``.

    Raises ``SourceUnavailable`` where resctrl is not mounted, ``RecordingError`` for a bad recording. Source:
    ``/sys/fs/resctrl`` (Linux on x86 with RDT or AMD's equivalent, run as root).
    """
    from time import monotonic

    with open_source(root, recording) as reader:
        source = Source(reader)
        facts = collect(source)
        now = monotonic() if root is None and recording is None else None
        if facts is None:
            failure = source.failure(ROOT)
            if failure is not None:
                raise failure
            text = "resctrl is not mounted (mount -t resctrl resctrl /sys/fs/resctrl), or this machine has none"
            raise SourceUnavailable(ROOT, None, text)
    rows = tuple(
        [
            Traffic(
                group=one.group,
                cache=one.cache,
                cell=one.node,
                occupancy=one.occupancy,
                total=one.total,
                local=one.local,
            )
            for one in facts
        ]
    )
    return TrafficReading(time=now, traffic=rows, notes=tuple([Note(where, text) for where, text in source.notes]))
