"""``python -m benchmarks.start``: what the command line costs as a process, next to an interpreter that does nothing.

The package is copied into a clean environment, so that nothing else of this one is started with it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from . import report
from .discovery import Contender, by_turns, timed
from .imports import clean_interpreter

RESULTS = Path(__file__).parent / "start.md"
RUN = "import sys; sys.argv = ['numaprobe'{words}]; from numaprobe.cli import start; sys.exit(start())"


def process(python: Path, code: str, folder: Path) -> Callable[[], object]:
    command = [str(python), "-I", "-c", code]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, cwd=folder)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=40, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python, _ = clean_interpreter(folder / "venv", ("numaprobe", "psutil"))
        contenders = [
            Contender("`python3 -I -c pass`", timed(process(python, "pass", folder))),
            *[
                Contender(f"`numaprobe{words}`", timed(process(python, RUN.format(words=quoted), folder)))
                for words, quoted in (
                    (" free", ", 'free'"),
                    ("", ""),
                    (" show --json", ", 'show', '--json'"),
                    (" domains", ", 'domains'"),
                    (" place --vcpus 1 --memory 1M", ", 'place', '--vcpus', '1', '--memory', '1M'"),
                    (" --help", ", '--help'"),
                )
            ],
            Contender("`python3 -I -c 'import psutil'`", timed(process(python, "import psutil", folder))),
        ]
        if shutil.which("numactl"):
            command = ["numactl", "-H"]
            contenders.append(
                Contender("`numactl -H`", timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)))
            )
        results = by_turns(contenders, arguments.turns, 1)
    head = [
        "# What the command line costs",
        "",
        f"Made by `python -m benchmarks.start` on {date.today().isoformat()}: {report.machine()}.",
        "Whole processes in one run, by turns; ratios are to an interpreter that does nothing.",
    ]
    text = "\n".join(head) + "\n\n" + report.section("As processes", results)
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
