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

A probe reads every file each time. Where all of them hold what they held the last time in this process, they are
compared in C and nothing but memory is interpreted; the first row is such a probe, as a service makes them, and the
second the first one of a process, as a command makes it. hwloc and libnuma keep nothing between two calls.

The kernel's part is then four fifths of a probe of this machine: some 26 files, three listings and the look-ups of what
is absent, 3.5 to 8 µs each. On trees the kernel's part contains the check that no path leads out of the tree
(openat2), a tenth of what a file costs, which the C floor does not have. hwloc takes 1.9 times as long as
the C floor on this machine, 4.2 with 2 nodes and 64 CPUs, 5.1 with 16 nodes and 1,024 CPUs and 5.9 with 64 and 4,096:
what reads these files cannot be ahead of it by more.

hwloc 2.12, filtered to the same kinds of objects, reads 24 files of this machine and makes four listings: as much, but
not the same. It leaves out possible and present CPUs, isolated ones, dies, clusters, interleave weights, memory tiers
and, with one node, distances; it reads `/proc/cpuinfo`, the kernel's command line, the cpuset of its control group, the
machine's memory and huge pages as well as the node's, and the topology of every CPU, of which a probe reads only the
first of each core and package. The components as shipped also look at each CPU with cpuid.

hwloc 2.15 of Debian unstable takes the times of 2.12 within 6 %. hwloc 2.14 built from its source (static, -O3, without
libxml2, PCI and plug-ins) was measured once, on a loaded machine, and took as long or longer. The leanest setting of
all three, which reports no distances, takes 1.2 of a repeated probe on this machine, 0.7 on a tree of one node, 1.7
with 2 nodes and 64 CPUs, 2.9 with 16 nodes and 1,024 CPUs, and 4.5 or more with 64 and 4,096.
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
