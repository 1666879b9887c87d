"""Runs in a guest: one host as numaprobe reads it, between two readings of the kernel's counters in the same process.

A process of its own would move more memory than the comparison allows.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numaprobe


def counters() -> dict[str, int]:
    """Bytes: ``available`` of the machine, and what is free on each node by its number."""
    kernel = re.search(r"^MemAvailable: *(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    found = {"available": int(kernel[1]) * 1024} if kernel else {}
    for path in Path("/sys/devices/system/node").glob("node[0-9]*/meminfo"):
        node = re.search(r"Node (\d+) MemFree: *(\d+) kB", path.read_text())
        if node:
            found[node[1]] = int(node[2]) * 1024
    return found


if __name__ == "__main__":
    numaprobe.probe(source="linux")  # what is loaded once is loaded now
    before = counters()
    host = numaprobe.probe(source="linux").to_dict()
    json.dump({"before": before, "host": host, "after": counters()}, sys.stdout)
