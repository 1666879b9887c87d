"""``numaprobe free``: memory per cell."""

from __future__ import annotations

from time import time

from .. import probe
from ..model.documents import free_document
from .memory_table import lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.watch:
        from .watch import run as watch

        options.domains = False
        watch(options, out)
        return
    host = probe(options.root, recording=options.recording, source=options.source)
    if options.cell is not None and options.cell not in {cell.id for cell in host.cells}:
        raise ValueError(f"there is no cell {options.cell}; there are {', '.join(str(cell.id) for cell in host.cells)}")
    if options.json:
        import json

        out.write(json.dumps(free_document(host, _moment(options), options.cell)) + "\n")
    else:
        out.write("\n".join(lines(host, options.cell)) + "\n")


def _moment(options: argparse.Namespace) -> float | None:
    """When the host was read, in seconds since 1970; None for a recorded one."""
    return time() if options.root is None and options.recording is None else None
