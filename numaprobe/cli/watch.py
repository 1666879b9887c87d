"""``numaprobe watch`` and ``numaprobe free --watch``: memory per cell, again and again."""

from __future__ import annotations

import os
import shutil
import time

from .. import Cell, Host, Memory, Sampler
from ..model.documents import free_document
from . import memory_table
from .layout import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import TextIO

    from .. import Sample
    from ..sampling.values import CellSample

# To the first column of the first line; clear to the end of the line, and of the screen (ECMA-48 CUP, EL, ED).
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

MAX_INTERVAL = 366 * 86400


def run(options: argparse.Namespace, out: TextIO) -> None:
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"an interval is more than 0 seconds and at most {MAX_INTERVAL}")
    if options.count is not None and options.count < 1:
        raise ValueError("a count is at least 1")
    try:
        if options.domains:
            _domains(options, out)
        else:
            _memory_of_cells(options, out)
    except KeyboardInterrupt:
        # The way to end it; the shell's prompt begins on a line of its own.
        if _can_be_rewritten(out):
            out.write("\n")


def _memory_of_cells(options: argparse.Namespace, out: TextIO) -> None:
    with Sampler(options.root, recording=options.recording, source=options.source) as sampler:
        if options.cell is not None and options.cell not in sampler.shape.cells:
            raise ValueError(f"there is no cell {options.cell}; there are {', '.join(map(str, sampler.shape.cells))}")
        samples = (sampler.sample(huge_pages=True, available=True) for _ in _turns(options.interval, options.count))
        if options.json:
            _documents(samples, options.cell, out)
        elif _can_be_rewritten(out):
            for sample in samples:
                rows = memory_table.lines(host_of(sample), options.cell)
                _draw([f"{sample.source} · {_moment(sample)}", "", *rows], out)
        else:
            _lines(samples, options.cell, out)


def _domains(options: argparse.Namespace, out: TextIO) -> None:
    """Who holds memory where; the host is probed anew each time, since domains are not sampled."""
    if options.cell is not None:
        raise ValueError("--cell is for the memory of cells, not with --domains")
    from . import domains

    for _ in _turns(options.interval, options.count):
        found = domains.observe(options.root, options.recording, options.source)
        if options.json:
            import json

            out.write(json.dumps(found.document()) + "\n")
            out.flush()
        elif _can_be_rewritten(out):
            _draw(found.lines(shutil.get_terminal_size().columns), out)
        else:
            out.write("\n".join(found.lines(160)) + "\n\n")
            out.flush()


def _turns(interval: float, count: int | None) -> Iterator[int]:
    """A number every so many seconds, whatever is done between two of them costs."""
    due = time.monotonic()
    turn = 0
    while True:
        yield turn
        turn += 1
        if turn == count:
            return
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _can_be_rewritten(out: TextIO) -> bool:
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def host_of(sample: Sample) -> Host:
    """The sample as the model that ``free`` shows: what it does not tell is None or empty."""
    cells = tuple(
        Cell(
            cell.id,
            None,
            _memory(cell, sample.figures_from),
            cell.huge_pages or (),
            None,
            (),
            (),
            None,
            None,
        )
        for cell in sample.cells
    )
    nothing = Host._make([None] * len(Host._fields))
    return nothing._replace(source=sample.source, cells=cells, cpus=(), notes=())


def _memory(cell: CellSample, how: tuple[str | None, str | None, str | None]) -> Memory:
    figures = (cell.total, cell.free, cell.available)
    known = [None if figure is None else word for figure, word in zip(figures, how, strict=True)]
    return Memory(*figures, None, None, *known)


def _documents(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    import json

    for sample in samples:
        out.write(json.dumps(free_document(host_of(sample), sample.time, only)) + "\n")
        out.flush()


def _moment(sample: Sample) -> str:
    return "-" if sample.time is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(sample.time))


def _draw(rows: list[str], out: TextIO) -> None:
    """A screen over the one before; what does not fit is counted, since one that scrolls cannot be rewritten."""
    columns, height = shutil.get_terminal_size()
    if len(rows) > height - 1:
        rows = [*rows[: height - 2], f"and {len(rows) - height + 2} more"]
    out.write(HOME + "".join(f"{row[:columns]}{CLEAR_LINE}\n" for row in rows) + CLEAR_REST)
    out.flush()


def _lines(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    """A line for each cell: time, cell, and the figures of ``free`` by name, so that a line can be taken by itself."""
    for sample in samples:
        for cell in host_of(sample).cells:
            if only in (None, cell.id):
                figures = "  ".join(f"{name} {size(getattr(cell.memory, name))}" for name in memory_table.FIGURES)
                out.write(f"{_moment(sample)}  cell {cell.id}  {figures}\n")
        out.flush()
