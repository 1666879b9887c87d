"""``numaprobe free``: memory per cell."""

from __future__ import annotations

from time import time

from .. import probe
from .memory_table import check_cell, lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.watch and options.purpose is not None:
        raise ValueError("--for cannot be combined with --watch")
    if options.watch:
        from .watch import run as watch

        options.domains = False
        watch(options, out)
        return
    if options.interval is not None or options.count is not None:
        raise ValueError("--interval and --count require --watch")
    usable = options.purpose is not None
    if usable:
        from .usable_table import checked_purpose
        from .usable_table import lines as usable_lines

        purpose = checked_purpose(options.purpose)
    host = probe(options.root, recording=options.recording, source=options.source, usable=usable)
    check_cell(options.cell, (cell.id for cell in host.cells))
    if options.json:
        import json

        from ..model.documents import free_document

        out.write(json.dumps(free_document(host, _read_at(options), options.cell)) + "\n")
    elif usable:
        out.write("\n".join(usable_lines(host, purpose, options.cell)) + "\n")
    else:
        out.write("\n".join(lines(host, options.cell)) + "\n")


def _read_at(options: argparse.Namespace) -> float | None:
    """When the host was read, in seconds since 1970; None for a recorded one."""
    return time() if options.root is None and options.recording is None else None
