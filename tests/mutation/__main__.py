"""Plants random faults in numaprobe's Python, one at a time, and counts those that the tests catch.

    python -m tests.mutation [--count 200] [--seed 1] [--room placement] [--only 3,17]

Everything happens in copies of the checkout, in forks of a process that has imported what tests need. One run of all
tests notes which of them run which line. For each fault the tests that run its line follow, those of the module's own
folder first and the quickest first, until one fails. What fails without the fault as well does not count.
A fault that no test catches is printed as it is found; what changes nothing that anybody could see is for the reader
to say. A place is chosen by its share of all places, so long modules have more. The copies have no lab, and not the
tests that judge the source itself.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import json
import os
import py_compile
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from .covered import IN_CHILDREN, Seen, read
from .plant import Fault, faults, planted

ROOT = Path(__file__).parents[2]
PARTS = ("numaprobe", "tests", "docs", "benchmarks", "packaging", "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
         "pyproject.toml", "setup.py", "conftest.py", "mkdocs.yml", "noxfile.py")  # fmt: skip
# They judge the source itself, boot machines, or plant faults.
LEFT_OUT = ("tests/lab", "tests/mutation", "tests/cases", "tests/test_pages.py", "tests/test_layers.py",
            "tests/test_values.py")  # fmt: skip


class Planted(NamedTuple):
    """A fault, and the module with it."""

    number: int
    path: str  # below the checkout
    fault: Fault
    source: str


def copy_to(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".*", "_fast.c")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=ignored, symlinks=True)
        elif source.exists():
            shutil.copyfile(source, folder / part)


WORDS = ["-q", "-p", "no:cacheprovider", "-p", "tests.mutation.covered", "--assert=plain", "--hypothesis-seed=0",
         "-m", "ledger or not ledger",
         *(f"--ignore={path}" for path in LEFT_OUT)]  # fmt: skip


def noting(folder: Path, notes: Path) -> str:
    """Runs all tests and notes what they run; the last line of the output."""
    (folder / "children").mkdir(exist_ok=True)
    (folder / "children" / "sitecustomize.py").write_text(IN_CHILDREN, "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", f"--basetemp={folder}.tmp", *WORDS],
        cwd=folder,
        env={**_environment(folder, folder / "children"), "MUTATION_NOTES": str(notes)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return f"status {run.returncode}, {''.join(run.stdout.splitlines()[-1:])}"


def _environment(*path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}


class Judge:
    """Runs tests in one copy of the checkout."""

    def __init__(self, folder: Path, seen: Seen, stable: dict[str, bool], limit: float) -> None:
        self._folder, self._seen, self._stable, self._limit = folder, seen, stable, limit
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.server"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._server.communicate()

    def _failing(self, tests: list[str]) -> str | None:
        """The first of these that fails, or None; a status where that is not one test."""
        chosen, output = Path(f"{self._folder}.chosen"), Path(f"{self._folder}.output")
        chosen.write_text("\n".join(tests), "utf-8")
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        run = {
            "words": ["-x", f"--basetemp={self._folder}.tmp", *WORDS, *files],
            "chosen": str(chosen),
            "output": str(output),
            "seconds": 60 + 4 * sum(self._seen.seconds.get(test, 0) for test in tests),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(run) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        if status in (0, 5):
            return None
        lines = output.read_text("utf-8", "replace").splitlines()
        failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))]
        return failed[0].partition(" ")[2] if failed else f"status {status}"

    def _fails_anyway(self, found: str, tests: list[str], original: str, path: str, changed: str) -> bool:
        """Whether what caught a fault fails without it as well; found once for each test."""
        if found in self._stable:
            return not self._stable[found]
        module = self._folder / path
        module.write_text(original, "utf-8")
        try:
            stable = self._failing([found] if "::" in found else tests) is None
        finally:
            module.write_text(changed, "utf-8")
        if "::" in found:
            self._stable[found] = stable
        return not stable

    def caught_by(self, planted: Planted) -> str | None:
        """The test that catches a fault."""
        module = self._folder / planted.path
        original = module.read_text("utf-8")
        module.write_text(planted.source, "utf-8")
        try:
            for tests in self._stages(planted):
                left = tests
                while left:
                    test = self._failing(left)
                    if test is None:
                        break
                    if not self._fails_anyway(test, left, original, planted.path, planted.source):
                        return test
                    left = left[left.index(test) + 1 :] if test in left else []
            return None
        finally:
            module.write_text(original, "utf-8")

    def _stages(self, planted: Planted) -> list[list[str]]:
        seen = self._seen
        running = seen.lines.get((planted.path, planted.fault.line), set())
        # A line of the import is noted for whichever test imported the module first.
        if not running or not in_function(planted.path, planted.fault.line):
            running = {test for (path, _), tests in seen.lines.items() if path == planted.path for test in tests}
        room = f"tests/{planted.path.split('/')[1].removesuffix('.py')}/"
        ordered = sorted(running - seen.failed, key=lambda test: (not test.startswith(room), seen.seconds.get(test, 0)))
        first: list[str] = []
        spent = 0.0
        for test in ordered:
            spent += seen.seconds.get(test, 0)
            if spent > 4 or len(first) == 150:
                break
            first.append(test)
        rest, spent = [], 0.0
        for test in sorted(ordered[len(first) :], key=lambda test: seen.seconds.get(test, 0)):
            spent += seen.seconds.get(test, 0)
            if spent > self._limit:
                break
            rest.append(test)
        return [first, rest]


def in_function(path: str, line: int) -> bool:
    """Whether a line runs when something is called, and not with the import."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(
        node.body[0].lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
        if isinstance(node, functions)
    )


def noted(folder: Path, notes: Path) -> Seen:
    """Runs all tests once and notes what they run."""
    if not list(notes.glob("tests-*")):
        sys.stdout.write(f"all tests: {noting(folder, notes)}\n")
        sys.stdout.flush()
    return read(notes)


def chosen(count: int, seed: int, room: str) -> list[Planted]:
    """So many faults, by their share of all places."""
    choice = random.Random(seed)
    modules = [
        path for path in sorted((ROOT / "numaprobe").rglob("*.py"))
        if path.relative_to(ROOT / "numaprobe").as_posix().startswith(room)
    ]  # fmt: skip
    weights = [len(list(faults(ast.parse(path.read_text("utf-8"))))) for path in modules]
    found = []
    for number in range(1, count + 1):
        (module,) = choice.choices(modules, weights)
        made = planted(module.read_text("utf-8"), choice)
        assert made is not None, "a module without places has no weight"
        found.append(Planted(number, module.relative_to(ROOT).as_posix(), *made))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="how many faults (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="another choice of faults (default: 1)")
    parser.add_argument("--room", default="", help="only modules whose path below numaprobe/ begins so")
    parser.add_argument("--only", default="", metavar="N,N", help="only these faults, by the number that a run printed")
    parser.add_argument(
        "--notes", type=Path, metavar="DIR", help="keep there which tests run which lines, for the next run"
    )
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), metavar="S",
        help="for each fault at most so many seconds of tests outside of its folder, the quickest (default: all)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="how many faults at a time (default: 2)")
    options = parser.parse_args()
    wanted = {int(number) for number in options.only.split(",") if number}
    queue: SimpleQueue[Planted] = SimpleQueue()
    for fault in chosen(options.count, options.seed, options.room):
        if not wanted or fault.number in wanted:
            queue.put(fault)
    total = queue.qsize()
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        copies = [Path(name, f"copy{number}") for number in range(options.workers)]
        for copy in copies:
            copy.mkdir()
            copy_to(copy)
            # By contents: two faults of one second are not mistaken for each other, and the rest is compiled once.
            compileall.compile_dir(copy, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        notes = options.notes or Path(name, "notes")
        notes.mkdir(exist_ok=True)
        seen = noted(copies[0], notes)
        stable: dict[str, bool] = {}

        def work(judge: Judge) -> None:
            with contextlib.suppress(Empty):
                while True:
                    one = queue.get_nowait()
                    begin = time.monotonic()
                    test = judge.caught_by(one)
                    where = f"{one.path}:{one.fault.line}: {one.fault.what}"
                    if test is None:
                        missed.append(where)
                    sys.stdout.write(
                        f"{one.number:4} {'caught' if test else 'MISSED'} {time.monotonic() - begin:5.0f} s  {where}"
                        + (f"  ({test})\n" if test else "\n")
                    )
                    sys.stdout.flush()

        judges = [Judge(copy, seen, stable, options.seconds) for copy in copies]
        workers = [threading.Thread(target=work, args=(judge,)) for judge in judges]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for judge in judges:
            judge.close()
    sys.stdout.write(f"seed {options.seed}: {total - len(missed)} of {total} caught\n")
    sys.stdout.write("".join(f"  {where}\n" for where in missed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
