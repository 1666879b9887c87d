"""Figures to a Markdown page."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path
from typing import NamedTuple

from .imports import ImportCost


class Result(NamedTuple):
    """Microseconds of one contender, and which of the first row's facts it does not report."""

    name: str
    fastest: float
    median: float
    without: str = ""


def figure(microseconds: float) -> str:
    return f"{microseconds:.0f}" if microseconds >= 100 else f"{microseconds:.1f}"


def section(title: str, results: list[Result]) -> str:
    """A table whose ratios are to its first row."""
    first = results[0]
    columns = "" if not any(r.without for r in results) else " does not report |"
    lines = [f"## {title}", "", f"| | minimum µs | median µs | × minimum | × median |{columns}"]
    lines.append("|---|--:|--:|--:|--:|" + ("---|" if columns else ""))
    lines += [
        f"| {r.name} | {figure(r.fastest)} | {figure(r.median)} | {r.fastest / first.fastest:.2f} |"
        f" {r.median / first.median:.2f} |" + (f" {r.without} |" if columns else "")
        for r in results
    ]
    return "\n".join(lines) + "\n"


def import_section(costs: list[ImportCost]) -> str:
    first = costs[0]
    lines = [
        "## Import, in a fresh interpreter of a clean environment",
        "",
        "| | minimum ms | median ms | × median | MB on top of a bare interpreter | modules |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| `import {c.name}` | {c.fastest_us / 1e3:.2f} | {c.median_us / 1e3:.2f} |"
        f" {c.median_us / first.median_us:.2f} | {c.memory_kb / 1024:.1f} | {len(c.modules)} |"
        for c in costs
    ]
    lines += ["", f"`import {first.name}` brings: {', '.join(f'`{name}`' for name in first.modules)}."]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The kind of machine: nothing that identifies it."""
    kind = "virtual machine" if " hypervisor" in Path("/proc/cpuinfo").read_text() else "machine"
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{platform.machine()} {kind}, {os.cpu_count()} cpus, Linux {release}, Python {platform.python_version()}"


# For a reader who wonders why the rows of this package stand where they do; measured in November 2026.
LIMITS = """\
## What the time goes to

On this machine the kernel's part is two thirds of a probe: its reads, three listings and the look-ups of what is
absent, replayed without anything between them. The rest is some 5,500 instructions of CPython's. A probe of a small
host can therefore not be within 1.2 of its files in C, and on a tree of one node, whose files cost a tenth of real
ones, hwloc takes half of its time: a fifth of the instructions are hwloc's. From some ten CPUs on it is the files
that decide, and numaprobe reads fewer of them.

hwloc 2.15 of Debian unstable takes the times of 2.12 within 6 %. hwloc 2.14 built from its source (static, -O3, without
libxml2, PCI and plug-ins) was measured once, on a loaded machine, and took as long or longer. The leanest setting of
all three, which reports no distances, takes 0.9 of a probe on this machine, 0.5 on a tree of one node, 1.3 with 2 nodes
and 64 CPUs, 2.1 or more with 16 nodes and 1,024 CPUs, and 4 or more with 64 and 4,096.
"""


def document(sections: list[str], notes: list[str]) -> str:
    head = [
        "# What discovery costs",
        "",
        f"Made by `python -m benchmarks.discovery` on {date.today().isoformat()}: {machine()}.",
        "One run, by turns, in process; ratios are to the first row of each table.",
        *notes,
    ]
    return "\n".join(head) + "\n\n" + "\n".join([*sections, LIMITS])
