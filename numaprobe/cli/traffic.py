"""``numaprobe traffic``: memory traffic by group and last-level cache."""

from __future__ import annotations

from time import sleep

from .. import traffic
from ..errors import printable
from ..model.traffic import traffic_document
from .layout import UNKNOWN, size, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import TextIO

    from .. import Traffic

MAX_INTERVAL = 3600.0


def run(options: argparse.Namespace, out: TextIO) -> None:
    live = options.root is None and options.recording is None
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"--interval must be above 0 seconds and at most {MAX_INTERVAL:.0f}")
    reading = traffic(options.root, recording=options.recording)
    rows, seconds = reading.traffic, None
    if live:
        sleep(options.interval)
        later = traffic()
        assert later.time is not None, "of a live host"
        rows, seconds = later.since(reading), later.time - (reading.time or 0.0)
        reading = later
    elif reading.earlier is not None:
        rows, seconds = reading.since(reading.earlier), reading.time
    if options.json:
        import json

        out.write(json.dumps(traffic_document(rows, seconds, reading.notes)) + "\n")
        return
    out.write("\n".join([*lines(rows, rates=seconds is not None), *_notes(reading.notes)]) + "\n")


def lines(rows: Sequence[Traffic], *, rates: bool) -> list[str]:
    """A row for each group and cache, or cell of it."""
    per = "/s" if rates else ""
    cells = any(row.cell is not None for row in rows)
    shown = [["group", "L3", *(["cell"] if cells else []), "occupancy", f"total{per}", f"local{per}", "remote"]]
    for row in rows:
        cell = [UNKNOWN if row.cell is None else str(row.cell)] if cells else []
        figures = [size(None if value is None else int(value)) for value in (row.occupancy, row.total, row.local)]
        shown.append([printable(row.group) or "(default)", str(row.cache), *cell, *figures, _remote(row)])
    return table(shown, left=(0,))


def _remote(row: Traffic) -> str:
    """The part that is not local; the two counters are read one after the other."""
    if not row.total or row.local is None or row.local > row.total:
        return UNKNOWN
    return f"{1 - row.local / row.total:.0%}"


def _notes(notes: Sequence[object]) -> list[str]:
    return [] if not notes else ["", f"{len(notes)} figures are unknown: --json has the reasons"]
