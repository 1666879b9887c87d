"""``numaprobe doctor``: what costs performance on this host."""

from __future__ import annotations

from ..doctor import diagnose, document
from ..errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    diagnosis = diagnose(options.root, recording=options.recording, source=options.source)
    if options.json:
        import json

        out.write(json.dumps(document(diagnosis)) + "\n")
        return
    lines = []
    for finding in diagnosis.findings:
        lines += [f"{finding.severity}: {finding.what} [{finding.id}]"]
        lines += [f"    {where}: {value}" for where, value in finding.evidence]
        lines += [f"  cost: {finding.cost}", f"  remedy: {finding.remedy}", ""]
    if not diagnosis.findings:
        lines.append("nothing found")
    lines += [f"not examined: {what}: {why}" for what, why in diagnosis.skipped]
    out.write("\n".join(printable(line) for line in lines).rstrip() + "\n")
