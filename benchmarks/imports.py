"""What importing a package costs a fresh interpreter: time, memory, and the modules that come with it."""

from __future__ import annotations

import compileall
import importlib.util
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from statistics import median
from typing import NamedTuple

# Peak memory is the kernel's own figure for the whole process, so a bare interpreter's is taken off afterwards.
PROGRAM = """
import sys
from time import perf_counter_ns
before = set(sys.modules)
start = perf_counter_ns()
{statement}
taken = perf_counter_ns() - start
came = sorted(set(sys.modules) - before)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
import json
print(json.dumps([taken, peak, came]))
"""


class ImportCost(NamedTuple):
    """Of one package, over many fresh interpreters: microseconds, and kB on top of a bare interpreter."""

    name: str
    fastest_us: float
    median_us: float
    memory_kb: float
    modules: list[str]


def clean_interpreter(directory: Path, packages: tuple[str, ...]) -> tuple[Path, list[str]]:
    """A virtual environment that holds copies of these packages and nothing else, and those of them that were found."""
    venv.create(directory, with_pip=False, symlinks=True)
    site = next(directory.glob("lib/python*/site-packages"))
    found = []
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            source = spec.submodule_search_locations[0]
            shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
            found.append(name)
    compileall.compile_dir(site, quiet=1)
    return directory / "bin" / "python", found


def measure(directory: Path, packages: tuple[str, ...], rounds: int) -> list[ImportCost]:
    """Import each package in ``rounds`` fresh interpreters, taking turns."""
    python, found = clean_interpreter(directory, packages)
    statements = {"": "", **{name: f"import {name}" for name in found}}
    answers: dict[str, list[tuple[int, int, list[str]]]] = {name: [] for name in statements}
    for _ in range(rounds):
        for name, statement in statements.items():
            command = [str(python), "-I", "-c", PROGRAM.format(statement=statement)]
            done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=directory)
            answers[name].append(tuple(json.loads(done.stdout)))
    bare = median(peak for _, peak, _ in answers[""])
    return [
        ImportCost(
            name,
            min(taken for taken, _, _ in answers[name]) / 1e3,
            median(taken for taken, _, _ in answers[name]) / 1e3,
            median(peak for _, peak, _ in answers[name]) - bare,
            answers[name][0][2],
        )
        for name in found
    ]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        for cost in measure(Path(scratch), ("numaprobe", "psutil"), int(sys.argv[1]) if len(sys.argv) > 1 else 20):
            print(cost)
