"""``numaprobe watch`` and ``numaprobe free --watch``: memory per cell and who holds it, live."""

from __future__ import annotations

import os
import sys
import time

from .. import Sampler
from ..model.documents import free_document
from . import memory_table
from .layout import size
from .sampled import host_of, time_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import TextIO

    from .. import Sample

INTERVAL = 1.0
MAX_INTERVAL = 366 * 86400


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.interval is None:
        options.interval = INTERVAL
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"--interval must be above 0 seconds and at most {MAX_INTERVAL}")
    if options.count is not None and options.count < 1:
        raise ValueError("--count must be at least 1")
    if options.domains and options.cell is not None:
        raise ValueError("--cell and --domains cannot be combined")
    if getattr(options, "remote", False) and not options.domains:
        raise ValueError("--remote requires --domains")
    if getattr(options, "sampled", None) is not None and not options.domains:
        raise ValueError("--sampled requires --domains")
    try:
        if not options.json and _is_a_screen(out):
            _live(options)
        elif options.domains:
            _domains(options, out)
        else:
            _memory_of_cells(options, out)
    except KeyboardInterrupt:
        # The way to end it.
        return


def _live(options: argparse.Namespace) -> None:
    from .live.terminal import run as show

    with Sampler(options.root, recording=options.recording, source=options.source) as sampler:
        memory_table.check_cell(options.cell, sampler.shape.cells)
        show(
            sampler,
            (options.root, options.recording, options.source),
            interval=options.interval,
            count=options.count,
            view="guests" if options.domains else "cells",
            only=options.cell,
            guests={"remote": getattr(options, "remote", False), "sampled": getattr(options, "sampled", None)},
        )


def _memory_of_cells(options: argparse.Namespace, out: TextIO) -> None:
    with Sampler(options.root, recording=options.recording, source=options.source) as sampler:
        memory_table.check_cell(options.cell, sampler.shape.cells)
        samples = (sampler.sample(huge_pages=True, available=True) for _ in _ticks(options.interval, options.count))
        if options.json:
            _documents(samples, options.cell, out)
        else:
            _lines(samples, options.cell, out)


def _domains(options: argparse.Namespace, out: TextIO) -> None:
    """Who holds memory where; the host is probed again each time, since domains are not sampled."""
    from . import domains

    for _ in _ticks(options.interval, options.count):
        found = domains.observe(
            options.root, options.recording, options.source, remote=options.remote, sampled=options.sampled
        )
        if options.json:
            import json

            out.write(json.dumps(found.document()) + "\n")
        else:
            out.write("\n".join(found.lines(160)) + "\n\n")
        out.flush()


def _ticks(interval: float, count: int | None) -> Iterator[int]:
    """A number per interval, however long the work between two of them takes."""
    due = time.monotonic()
    turn = 0
    while True:
        yield turn
        turn += 1
        if turn == count:
            return
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _is_a_screen(out: TextIO) -> bool:
    """Whether there is a terminal to draw on and to take keys from; others get lines."""
    if not (out.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        return False
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        from .live.terminal import can_draw
    except ModuleNotFoundError:
        # A Python that was built without curses.
        return False
    return can_draw()


def _documents(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    import json

    for sample in samples:
        out.write(json.dumps(free_document(host_of(sample), sample.time, only)) + "\n")
        out.flush()


def _lines(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    """A line per cell: time, cell, and the figures of ``free`` by name, so that each line makes sense on its own."""
    for sample in samples:
        for cell in host_of(sample).cells:
            if only in (None, cell.id):
                figures = "  ".join(f"{name} {size(getattr(cell.memory, name))}" for name in memory_table.FIGURES)
                out.write(f"{time_of(sample)}  cell {cell.id}  {figures}\n")
        out.flush()
