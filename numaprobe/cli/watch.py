"""``numaprobe watch`` and ``numaprobe free --watch``: memory per cell, live."""

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

INTERVAL = 1.0
MAX_INTERVAL = 366 * 86400


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.interval is None:
        options.interval = INTERVAL
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"--interval must be above 0 seconds and at most {MAX_INTERVAL}")
    if options.count is not None and options.count < 1:
        raise ValueError("--count must be at least 1")
    try:
        if options.domains:
            _domains(options, out)
        else:
            _memory_of_cells(options, out)
    except KeyboardInterrupt:
        # The way to end it; the shell's prompt starts on a new line.
        if _can_be_rewritten(out):
            out.write("\n")


def _memory_of_cells(options: argparse.Namespace, out: TextIO) -> None:
    with Sampler(options.root, recording=options.recording, source=options.source) as sampler:
        memory_table.check_cell(options.cell, sampler.shape.cells)
        samples = (sampler.sample(huge_pages=True, available=True) for _ in _turns(options.interval, options.count))
        if options.json:
            _documents(samples, options.cell, out)
        elif _can_be_rewritten(out):
            for sample in samples:
                rows = memory_table.lines(host_of(sample), options.cell)
                _draw([f"{sample.source} · {_time_of(sample)}", "", *rows], out)
        else:
            _lines(samples, options.cell, out)


def _domains(options: argparse.Namespace, out: TextIO) -> None:
    """Who holds memory where; the host is probed again each time, since domains are not sampled."""
    if options.cell is not None:
        raise ValueError("--cell and --domains exclude each other")
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


def _can_be_rewritten(out: TextIO) -> bool:
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def host_of(sample: Sample) -> Host:
    """The sample as the model that ``free`` shows; what a sample does not contain is None or empty."""
    cells = tuple(
        Cell(id=cell.id, memory=_memory(cell, sample.figures_from), huge_pages=cell.huge_pages or ())
        for cell in sample.cells
    )
    return Host(source=sample.source, hypervisor=None, cells=cells, cpus=(), notes=())


def _memory(cell: CellSample, how: tuple[str | None, str | None, str | None]) -> Memory:
    figures = {"total": cell.total, "free": cell.free, "available": cell.available}
    known = {
        f"{name}_from": word for (name, figure), word in zip(figures.items(), how, strict=True) if figure is not None
    }
    return Memory(**figures, **known)


def _documents(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    import json

    for sample in samples:
        out.write(json.dumps(free_document(host_of(sample), sample.time, only)) + "\n")
        out.flush()


def _time_of(sample: Sample) -> str:
    return "-" if sample.time is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(sample.time))


def _draw(rows: list[str], out: TextIO) -> None:
    """Draw over the previous screen. Rows that do not fit are counted: a screen that scrolls cannot be rewritten."""
    columns, height = shutil.get_terminal_size()
    if len(rows) > height - 1:
        rows = [*rows[: height - 2], f"and {len(rows) - height + 2} more"]
    out.write(HOME + "".join(f"{row[:columns]}{CLEAR_LINE}\n" for row in rows) + CLEAR_REST)
    out.flush()


def _lines(samples: Iterator[Sample], only: int | None, out: TextIO) -> None:
    """A line per cell: time, cell, and the figures of ``free`` by name, so that each line makes sense on its own."""
    for sample in samples:
        for cell in host_of(sample).cells:
            if only in (None, cell.id):
                figures = "  ".join(f"{name} {size(getattr(cell.memory, name))}" for name in memory_table.FIGURES)
                out.write(f"{_time_of(sample)}  cell {cell.id}  {figures}\n")
        out.flush()
