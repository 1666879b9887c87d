"""``python -m benchmarks.instructions``: user-space instructions of a probe, counted by callgrind.

Times drift from day to day and from machine to machine; this figure does not, so two commits can be compared by it.
It leaves out what the kernel executes: that part is the files that are read, and the C floor has it too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tests.lab import packages

from . import report, trees
from .discovery import HWLOC, PathLog
from .hwloc import HWLOC_MODES, hwloc_versions
from .peers import Missing, build

RESULTS = Path(__file__).parent / "instructions.md"
SHAPES = (trees.Shape(1, 2), trees.Shape(2, 64), trees.Shape(16, 1024), trees.Shape(64, 4096))
# The start of the process and the first rounds, in which constructors are compiled, are in both counts, and leave with
# the difference.
FEW, MANY = 10, 13

FIRST = """
import sys, numaprobe
from numaprobe.linux.kept import forget
for _ in range(int(sys.argv[1])):
    forget()
    numaprobe.probe(sys.argv[2])
"""
PROGRAM = "import sys, numaprobe\nfor _ in range(int(sys.argv[1])): numaprobe.probe(sys.argv[2]{more})"


class Count(NamedTuple):
    """Instructions of one round."""

    name: str
    instructions: float


def counted(command: Sequence[str | Path], *, typed: str = "", **environment: str) -> int:
    """User-space instructions of a whole process; ``typed`` is its standard input."""
    # One that does not know openat2 (Debian's 3.19) refuses it, and numaprobe resolves every path in Python instead.
    folder = packages.cache() / "trixie/benchmarks/usr"
    if not folder.is_dir():
        raise Missing("instructions: run tests/lab/install benchmarks")
    done = subprocess.run(
        [folder / "bin/valgrind.bin", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        input=typed,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0", "VALGRIND_LIB": str(folder / "libexec/valgrind"), **environment},
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind counted nothing: {done.stderr[-300:]}")
    return int(found[1])


def difference(count: Callable[[int], int]) -> float:
    """Instructions of one round, from two runs of a different number of them."""
    return (count(MANY) - count(FEW)) / (MANY - FEW)


def probes(root: Path, program: str) -> float:
    return difference(lambda rounds: counted([sys.executable, "-c", program, str(rounds), str(root)]))


def tree(root: Path, built: Path, shape: trees.Shape, notes: list[str]) -> list[Count]:
    """Counts of one machine: ours, the bare files in C, and hwloc's."""
    rows = [
        Count("`probe()`", probes(root, PROGRAM.format(more=""))),
        Count("the same as the first of a process, with nothing kept", probes(root, FIRST)),
        Count("`probe(available=False)`", probes(root, PROGRAM.format(more=", available=False"))),
    ]
    try:
        listing = built / f"files-{shape.nodes}"
        listing.write_text("".join(f"{line}\n" for line in PathLog(root).collect(available=True)))
        floor = build("floor", built)
        rows.append(
            Count(
                "C floor: what `probe()` reads, not understood",
                difference(lambda rounds: counted([floor, root, listing, "root"], typed=f"{rounds}\n")),
            )
        )
        environment = {**HWLOC, "HWLOC_FSROOT": str(root), "HWLOC_THISSYSTEM": "0"}
        # On a loader of its own a program is started by that one, which valgrind follows as well.
        for hwloc in hwloc_versions(build("hwloc", built, "hwloc")):
            for mode, what, _ in HWLOC_MODES[:2]:
                command = [hwloc.program, *hwloc.words, mode]
                rows.append(
                    Count(
                        f"hwloc {hwloc.version}, {what}",
                        difference(
                            lambda rounds, command=command: counted(command, typed=f"{rounds}\n", **environment)  # type: ignore[misc]
                        ),
                    )
                )
    except Missing as missing:
        note = f"Left out: {missing}."
        if note not in notes:
            notes.append(note)
    return rows


def section(shape: trees.Shape, rows: list[Count]) -> str:
    first = rows[0].instructions
    lines = [
        f"## A tree of {shape.nodes} nodes, {shape.cpus} cpus",
        "",
        "| | million instructions | × |",
        "|---|--:|--:|",
    ]
    lines += [f"| {row.name} | {row.instructions / 1e6:.3f} | {row.instructions / first:.2f} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("--largest", type=int, default=4096, help="leave out trees of more cpus (default: %(default)s)")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"), help="where trees go (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    notes: list[str] = []
    sections = []
    with tempfile.TemporaryDirectory() as built, tempfile.TemporaryDirectory(dir=arguments.tmpfs) as scratch:
        for shape in SHAPES:
            if shape.cpus <= arguments.largest:
                root = Path(scratch) / f"{shape.nodes}x{shape.cpus}"
                trees.build(root, shape)
                sections.append(section(shape, tree(root, Path(built), shape, notes)))
                shutil.rmtree(root)
    head = [
        "# Instructions of a probe",
        "",
        f"Made by `python -m benchmarks.instructions` on {date.today().isoformat()}: {report.machine()}.",
        "User-space instructions of one round by callgrind, without the start of the process; ratios are to the first",
        "row. What the kernel executes is not in them.",
        *notes,
    ]
    text = "\n".join(head) + "\n\n" + "\n".join(sections)
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
