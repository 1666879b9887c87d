"""``traffic()``: one reading of the counters of resctrl."""

from __future__ import annotations

from ..errors import FactError, SourceUnavailable
from ..linux.resctrl import EARLIER, ROOT, SECONDS, collect
from ..linux.source import Source
from ..model.host import Note
from ..model.traffic import Traffic, TrafficReading
from ..sources.opening import open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..linux.resctrl import MonitorFacts
    from ..sources.opening import Path

MAX_SECONDS = 366 * 86400
NOT_MOUNTED = "resctrl is not mounted (mount -t resctrl resctrl /sys/fs/resctrl), or this machine has none"


def traffic(root: Path | None = None, *, recording: Path | None = None) -> TrafficReading:
    """Memory traffic and cache occupancy by group and last-level cache, from a mounted resctrl file system.

    Two readings of a live host give rates: ``later.since(earlier)``. ``root`` and ``recording`` are as for ``probe``; a
    recording made with ``traffic`` has two readings.
    Counters of a group cost three files for each cache, or for each cell with sub-NUMA clustering; the kernel may
    interrupt a CPU of each cache to read them. What the hardware has no count for is None and in ``notes``.

    Raises ``SourceUnavailable`` where resctrl is not mounted, ``RecordingError`` for a bad recording. Source:
    ``/sys/fs/resctrl`` (Linux on x86 with RDT or AMD's equivalent, run as root).
    """
    from time import monotonic

    live = root is None and recording is None
    with open_source(root, recording) as reader:
        source = Source(reader)
        facts = collect(source)
        now = monotonic() if live else None
        if facts is None:
            raise source.failure(ROOT) or SourceUnavailable(ROOT, None, NOT_MOUNTED)
        earlier = None
        if not live:
            before = collect(source, EARLIER)
            now = source.parsed(_seconds, SECONDS, source.one(SECONDS)) if before is not None else None
            if before is not None and now is not None:
                earlier = TrafficReading(time=0.0, traffic=_rows(before))
    notes = tuple([Note(where, text) for where, text in source.notes])
    return TrafficReading(time=now, traffic=_rows(facts), notes=notes, earlier=earlier)


def _seconds(where: str, content: bytes) -> float:
    """Between two readings, as a recording has it."""
    try:
        seconds = float(content)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        raise FactError(where, content, "not a number of seconds")
    return seconds


def _rows(facts: Sequence[MonitorFacts]) -> tuple[Traffic, ...]:
    return tuple(
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
