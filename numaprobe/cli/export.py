"""``numaprobe export FORMAT [-o FILE]``."""

from __future__ import annotations

import json

from .. import probe
from ..whole_file import replacing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    host = probe(options.root, recording=options.recording, source=options.source, devices=True, allowed=True)
    document = json.dumps(host.to_dict(), indent=1) + "\n"
    if options.output is None:
        out.write(document)
        return
    with replacing(options.output) as path, open(path, "w", encoding="utf-8") as file:
        file.write(document)
