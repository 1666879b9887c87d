"""InfluxDB's line protocol, for telegraf's exec input: a line of measurement ``numaprobe`` for each set of labels.

Telegraf adds the host and the time. Fields are the metrics' names without their prefix, as integers.
"""

from __future__ import annotations

import re

from ...metrics import BY_NAME
from ...metrics.rows import host_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host


def render(host: Host) -> str:
    """A line for the host, for each cell, for each size of its huge pages and for each pair of cells."""
    lines: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, rows in host_rows(host).items():
        metric = BY_NAME[name]
        for values, value in rows:
            tags = tuple((key, word) for key, word in zip(metric.labels, values, strict=True) if word)
            lines.setdefault(tags, []).append(f"{metric.short}={value}i")
    return "".join(
        ",".join(["numaprobe", *(f"{key}={_tag(word)}" for key, word in tags)]) + " " + ",".join(fields) + "\n"
        for tags, fields in lines.items()
    )


def _tag(word: str) -> str:
    """Commas, equals signs and spaces are escaped; a backslash at the end would escape what follows."""
    escaped = re.sub(r"[,= ]", r"\\\g<0>", " ".join(word.split()))
    return escaped.rstrip("\\") if escaped.endswith("\\") else escaped
