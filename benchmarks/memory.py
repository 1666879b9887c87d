"""Peak memory of a probe, on top of what the process had before it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from . import trees

# Writing 5 to clear_refs resets the peak (Documentation/filesystems/proc.rst), which then is what the probe adds.
PROGRAM = """
import sys
import numaprobe
root = sys.argv[1] or None
small = sys.argv[2] or None
numaprobe.probe(small)
def kb(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field + ":"))
open("/proc/self/clear_refs", "w").write("5")
before = kb("VmRSS")
host = numaprobe.probe(root)
print(kb("VmHWM") - before)
"""


class Peak(NamedTuple):
    """kB that one probe added at its peak; ``zoneinfo_kb`` is the size of the largest file that it read."""

    name: str
    zoneinfo_kb: int | None
    kb: int


def peak_kb(root: Path | None) -> int:
    """KB at the peak of a probe of ``root`` in a fresh interpreter that has probed its own machine before."""
    command = [sys.executable, "-c", PROGRAM, str(root or ""), ""]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def of_tree(scratch: Path, shape: trees.Shape) -> Peak:
    """The same of a tree, which is made and removed."""
    root = scratch / f"peak-{shape.nodes}"
    trees.build(root, shape)
    try:
        size = (root / "proc/zoneinfo").stat().st_size >> 10
        return Peak(f"a tree of {shape.nodes} nodes, {shape.cpus} cpus", size, peak_kb(root))
    finally:
        shutil.rmtree(root)


def section(peaks: list[Peak]) -> str:
    """A table of the peaks."""
    lines = ["## Peak memory of `probe()`, on top of the process before it", ""]
    lines += ["| | MB | of `/proc/zoneinfo` it read MB |", "|---|--:|--:|"]
    for peak in peaks:
        read = "" if peak.zoneinfo_kb is None else f"{peak.zoneinfo_kb / 1024:.1f}"
        lines.append(f"| {peak.name} | {peak.kb / 1024:.1f} | {read} |")
    return "\n".join(lines) + "\n"
