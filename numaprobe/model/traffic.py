"""Memory traffic by last-level cache or cell, and by group of processes."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Note


class Traffic(namedtuple("Traffic", "group cache cell occupancy total local", defaults=(None, None, None, None))):
    """What one group of processes moves through one last-level cache.

    ``group`` is its path below ``/sys/fs/resctrl``, empty for processes in no other group. ``cache`` is the id of the
    cache, as ``Cache.id``; ``cell`` is the cell of a part of it, with sub-NUMA clustering only. ``occupancy`` is the
    bytes of the cache that the group fills. ``total`` and ``local`` are bytes read and written, to any memory and to
    that of the own cell: since the group was made in a reading, per second in rates. None is unknown.
    """

    __slots__ = ()
    group: str
    cache: int
    cell: int | None
    occupancy: int | None
    total: float | None
    local: float | None


class TrafficReading(namedtuple("TrafficReading", "time traffic notes earlier", defaults=((), (), None))):
    """All groups' traffic at one moment.

    ``time`` is of the monotonic clock, in seconds. Of a recorded host it is None, unless the recording has two
    readings: then ``earlier`` is the first, with a ``time`` of 0, and ``since(earlier)`` gives the rates
    at the time of the recording.
    """

    __slots__ = ()
    time: float | None
    traffic: tuple[Traffic, ...]
    notes: tuple[Note, ...]
    earlier: TrafficReading | None

    def since(self, before: TrafficReading) -> tuple[Traffic, ...]:
        """Rates in bytes per second between two readings of a live host, for what is in both.

        A rate is None if its counter went back, for example because the group was removed and made again. Raises
        ``ValueError`` for readings without a time, or in the wrong order.
        """
        if self.time is None or before.time is None or self.time <= before.time:
            raise ValueError("rates need two readings with a time, the earlier one as the argument")
        seconds = self.time - before.time
        known = {(one.group, one.cache, one.cell): one for one in before.traffic}
        out = []
        for one in self.traffic:
            old = known.get((one.group, one.cache, one.cell))
            if old is not None:
                total, local = _rate(old.total, one.total, seconds), _rate(old.local, one.local, seconds)
                out.append(one._replace(total=total, local=local))
        return tuple(out)


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None or after < before else (after - before) / seconds


def traffic_document(rows: tuple[Traffic, ...], seconds: float | None, notes: tuple[Note, ...]) -> dict[str, Any]:
    """The document of ``numaprobe traffic --json`` (``schemas/traffic.json``)."""
    from ..version import SCHEMA

    return {
        "schema": SCHEMA,
        "seconds": seconds,
        "traffic": [row._asdict() for row in rows],
        "notes": [note._asdict() for note in notes],
    }
