"""``numaprobe diff A [B]``: what changed from one host to another."""

from __future__ import annotations

import os

from .. import diff, probe
from ..errors import printable
from ..wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, TextIO

    from ..model.difference import Change
    from ..model.host import Host


def run(options: argparse.Namespace, out: TextIO) -> None:
    changes = diff(_host(options.a, options.source), _host(options.b, options.source))
    if options.json:
        import json

        document = {"schema": "numaprobe/1", "changes": [change._asdict() for change in changes]}
        out.write(json.dumps(document) + "\n")
    else:
        out.write("\n".join(lines(changes)) + "\n")


def _host(name: str | None, source: str) -> Host:
    """A recorded tree, a recording, or without a name this host."""
    if name is None:
        return probe(source=source, devices=True, caches=True)
    if os.path.isdir(name):
        return probe(name, source=source, devices=True, caches=True)
    return probe(recording=name, source=source, devices=True, caches=True)


def lines(changes: tuple[Change, ...]) -> list[str]:
    """A line for each change; cells and CPUs with the same change share one."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for change in changes:
        word, _, number = change.what.partition(" ")
        if word in ("cell", "cpu") and number.isdigit():
            key = (word, change.kind, change.field, _shown(change.before), _shown(change.after))
            together.setdefault(key, []).append(int(number))
        else:
            key = (change.what, change.kind, change.field, _shown(change.before), _shown(change.after))
            together.setdefault(key, [])
    out = []
    for (what, kind, field, before, after), numbers in together.items():
        name = f"{what}{'s' if len(numbers) > 1 else ''} {id_list(numbers)}" if numbers else what
        out.append(f"{name} {field}: {before} -> {after}" if kind == "changed" else f"{kind}: {name}")
    return [printable(line) for line in out] or ["no difference"]


def _shown(value: Any) -> str:
    """A value as people write it: ids folded, unknown as ``-``."""
    if value is None:
        return "-"
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return id_list(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not value:
        return "none"
    return str(value)
