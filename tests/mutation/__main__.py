"""Plants random faults in numaprobe's Python, one at a time, and counts those that the tests catch.

    python -m tests.mutation [--count 200] [--seed 1] [--room placement] [--near]

Everything happens in a copy of the checkout. For each fault the tests of the module's own folder run first, then those
of its neighbours and, without ``--near``, all others, until one fails. A fault that no test catches is printed as it is found; what changes nothing that
anybody could see is for the reader to say. A place is chosen by its share of all places, so long modules have more.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .plant import faults, planted

ROOT = Path(__file__).parents[2]
PARTS = ("numaprobe", "tests", "docs", "benchmarks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml",
         "conftest.py", "mkdocs.yml", "noxfile.py")  # fmt: skip
# Of no use here: they read or judge the source itself, boot machines, or test the extension alone.
LEFT_OUT = (
    "tests/lab",
    "tests/fast",
    "tests/mutation",
    "tests/cases",
    "tests/fuzz",
    "tests/faults",
    "tests/test_pages.py",
)
# Tests that look at a folder's modules as well.
NEIGHBOURS = {
    "linux": ["tests/normalise", "tests/recording/test_golden.py", "tests/fast/test_scanners.py"],
    "xen": ["tests/recording/test_golden.py", "tests/recording/test_domains_recorded.py"],
    "model": ["tests/linux", "tests/cli/test_cli.py"],
    "normalise": ["tests/linux", "tests/xen", "tests/recording"],
    "probing": ["tests/recording", "tests/linux", "tests/cli/test_cli.py"],
    "sources": ["tests/recording"],
    "recording": ["tests/sources"],
    "contrib": ["tests/metrics", "tests/cli/test_serve.py"],
    "metrics": ["tests/export/test_export.py"],
    "placement": ["tests/cli/test_cli.py"],
    "cli": ["tests/placement/test_place_cli.py", "tests/pin"],
}
SLOW = "not trickles and not crowd and not slow_clients and not many_deep and not given_to_another"


def copy_to(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".*", "_fast.c")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignored, symlinks=True)
        elif source.exists():
            shutil.copyfile(source, folder / part)


def tests_pass(folder: Path, paths: list[str], seconds: float) -> bool:
    """Whether all tests below these paths pass in time: a fault that hangs is caught as well."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", SLOW]
    command += [f"--ignore={path}" for path in LEFT_OUT] + paths
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    # In a session of its own: what a fault leaves running must neither be waited for nor stay.
    run = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return run.wait(seconds) in (0, 5)  # 5: there were none
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def rooms(folder: Path, module: Path, *, every: bool) -> list[list[str]]:
    """The tests to run, nearest first."""
    parts = module.relative_to(folder / "numaprobe").parts
    near = [f"tests/{parts[0]}"] if (folder / "tests" / parts[0]).is_dir() else []
    close = NEIGHBOURS.get(parts[0], ["tests/cli"])
    order = [near, close, ["tests"] if every else []]
    return [[path for path in paths if (folder / path).exists()] for paths in order if paths]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="how many faults (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="another choice of faults (default: 1)")
    parser.add_argument("--room", default="", help="only modules whose path below numaprobe/ begins so")
    parser.add_argument("--near", action="store_true", help="only the tests of the module's folder and its neighbours")
    parser.add_argument("--seconds", type=float, default=600, help="for one run of tests (default: 600)")
    options = parser.parse_args()
    choice = random.Random(options.seed)
    caught, missed = 0, []
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_to(folder)
        modules = [
            path
            for path in sorted((folder / "numaprobe").rglob("*.py"))
            if path.relative_to(folder / "numaprobe").as_posix().startswith(options.room)
        ]
        weights = [len(list(faults(ast.parse(path.read_text("utf-8"))))) for path in modules]
        for number in range(options.count):
            (module,) = choice.choices(modules, weights)
            source = module.read_text("utf-8")
            made = planted(source, choice)
            assert made is not None, "a module without places has no weight"
            fault, changed = made
            where = f"{module.relative_to(folder)}:{fault.line}: {fault.what}"
            module.write_text(changed, "utf-8")
            begin = time.monotonic()
            try:
                passed = all(
                    tests_pass(folder, paths, options.seconds)
                    for paths in rooms(folder, module, every=not options.near)
                )
            finally:
                module.write_text(source, "utf-8")
            if passed:
                missed.append(where)
            else:
                caught += 1
            sys.stdout.write(
                f"{number + 1:4} {'MISSED' if passed else 'caught'} {time.monotonic() - begin:5.0f} s  {where}\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"seed {options.seed}: {caught} of {options.count} caught\n" + "".join(f"  {m}\n" for m in missed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
