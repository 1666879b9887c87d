"""``numaprobe record FILE``."""

from __future__ import annotations

from .. import record
from .progress import progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:  # noqa: ARG001 (every command takes both)
    with progress("recording"):
        record(
            options.file,
            root=options.root,
            recording=options.recording,
            source=options.source,
            allowed=options.allowed,
            domains=options.domains,
            anonymous=options.anonymous,
            traffic=options.traffic,
        )
