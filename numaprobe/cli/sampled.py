"""A sample as the model that ``free`` shows, and its time."""

from __future__ import annotations

import time

from .. import Cell, Host, Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .. import Sample
    from ..sampling.values import CellSample, FiguresFrom


def host_of(sample: Sample) -> Host:
    """The sample as a host; what a sample does not contain is None or empty."""
    cells = tuple(
        Cell(id=cell.id, memory=_memory(cell, sample.figures_from), huge_pages=cell.huge_pages or ())
        for cell in sample.cells
    )
    return Host(source=sample.source, hypervisor=None, cells=cells, cpus=(), notes=())


def _memory(cell: CellSample, how: FiguresFrom) -> Memory:
    figures = {"total": cell.total, "free": cell.free, "available": cell.available}
    known = {
        f"{name}_from": word for (name, figure), word in zip(figures.items(), how, strict=True) if figure is not None
    }
    return Memory(**figures, **known)


def time_of(sample: Sample, form: str = "%Y-%m-%dT%H:%M:%S%z") -> str:
    """Local time of a sample, ``-`` for a recording."""
    return "-" if sample.time is None else time.strftime(form, time.localtime(sample.time))
