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


def document(sections: list[str], notes: list[str]) -> str:
    head = [
        "# What discovery costs",
        "",
        f"Made by `python -m benchmarks.discovery` on {date.today().isoformat()}: {machine()}.",
        "One run, by turns, in process; ratios are to the first row of each table.",
        *notes,
    ]
    return "\n".join(head) + "\n\n" + "\n".join(sections)
