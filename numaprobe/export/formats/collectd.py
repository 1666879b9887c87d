"""What collectd's exec plugin reads: a ``PUTVAL`` line for each figure of a host.

The value list is ``HOST/numaprobe-nodeN/TYPE-INSTANCE``. The instance is the metric's name without its prefix, and
what else its labels say. collectd hands its own name and interval to the program in two variables (collectd-exec(5)).
"""

from __future__ import annotations

import os
import re
import socket

from ...metrics import BY_NAME
from ...metrics.rows import host_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host

INTERVAL = "10"
# Kinds of metrics as types of collectd's types.db; what only names things has no value there.
TYPES = {"gauge": "gauge", "counter": "derive"}


def render(host: Host) -> str:
    """Raises ``ValueError`` for a ``COLLECTD_INTERVAL`` that is not above 0."""
    # Slashes part the fields, and the whole is quoted.
    where = re.sub(r'[/"\\\s]', "_", os.environ.get("COLLECTD_HOSTNAME") or socket.gethostname())
    interval = _interval(os.environ.get("COLLECTD_INTERVAL") or INTERVAL)
    return "".join(
        f'PUTVAL "{where}/{identifier}" interval={interval} N:{value}\n' for identifier, value in _values(host)
    )


def _interval(text: str) -> str:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"COLLECTD_INTERVAL is a number of seconds above 0, not {text!r}")
    return f"{seconds:.3f}"


def _values(host: Host) -> list[tuple[str, float]]:
    found = []
    for metric_name, rows in host_rows(host).items():
        metric = BY_NAME[metric_name]
        if metric.kind not in TYPES:
            continue
        for values, value in rows:
            labels = dict(zip(metric.labels, values, strict=True))
            node = labels.pop("node", None)
            plugin = "numaprobe" if node is None else f"numaprobe-node{node}"
            instance = "-".join([metric.short, *labels.values()])
            found.append((f"{plugin}/{TYPES[metric.kind]}-{instance}", value))
    return found
