"""``numaprobe export FORMAT [-o FILE]``."""

from __future__ import annotations

import json
import os

from .. import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    host = probe(options.root, recording=options.recording, source=options.source, devices=True, allowed=True)
    document = json.dumps(host.to_dict(), indent=1) + "\n"
    if options.output is None:
        out.write(document)
    else:
        write_whole(options.output, document)


def write_whole(name: str, content: str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part. Raises ``OSError``."""
    # A pipe or a device cannot be replaced, only written to.
    if os.path.exists(name) and not os.path.isfile(name):
        with open(name, "w", encoding="utf-8") as file:
            file.write(content)
        return
    beside = f"{name}.{os.getpid()}.part"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(beside, name)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
