"""``python -m benchmarks.options [--before DIRECTORY]``: what each option of a probe costs, in probes without it.

Every contender is a process that is asked for rounds by turns, so that a busy machine slows all of them alike. With
``--before`` also the probe of an older checkout whose extension is built in place.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from . import report, trees
from .discovery import Contender, by_turns
from .peers import Peer

RESULTS = Path(__file__).parent / "options.md"
ROOT = Path(__file__).parents[1]
PLAIN = "`probe()`"
OPTIONS = ("devices", "allowed", "caches", "usable", "memory_state")
SHAPES = (trees.Shape(2, 64), trees.Shape(16, 1024))
WORKER = """
import json, sys
from time import perf_counter_ns
import numaprobe
root, options = sys.argv[1] or None, json.loads(sys.argv[2])
numaprobe.probe(root, **options)
print(numaprobe.__file__, flush=True)
for line in sys.stdin:
    taken = []
    for _ in range(int(line)):
        start = perf_counter_ns()
        numaprobe.probe(root, **options)
        taken.append(perf_counter_ns() - start)
    print(*taken, flush=True)
"""


def contender(running: ExitStack, name: str, root: Path | None, options: dict[str, bool], package: Path) -> Contender:
    """A process that probes with these options; ``package`` is the folder that numaprobe is imported from."""
    words = ("-P", "-c", WORKER) if sys.version_info >= (3, 11) else ("-c", WORKER)
    arguments = (*words, "" if root is None else str(root), json.dumps(options))
    peer = running.enter_context(Peer(Path(sys.executable), *arguments, PYTHONPATH=str(package)))
    found = Path(peer.greeting[0]).resolve()
    if package.resolve() not in found.parents:
        raise SystemExit(f"{name}: numaprobe is imported from {found}, not from {package}")
    return Contender(name, peer.rounds)


def measure(root: Path | None, before: Path | None, turns: int, rounds: int) -> list[report.Result]:
    """A probe, the same without available memory, and with each option in turn."""
    with ExitStack() as running:
        contenders = [contender(running, PLAIN, root, {}, ROOT)]
        if before is not None:
            contenders.append(contender(running, "the same of the older checkout", root, {}, before))
        contenders.append(contender(running, "`available=False`", root, {"available": False}, ROOT))
        contenders += [contender(running, f"`{name}=True`", root, {name: True}, ROOT) for name in OPTIONS]
        return by_turns(contenders, turns, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--before", type=Path, help="an older checkout, with its extension built in place")
    parser.add_argument("--turns", type=int, default=40, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"), help="where trees go (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the table (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    sections = [report.section("This machine", measure(None, arguments.before, arguments.turns, 20))]
    with tempfile.TemporaryDirectory(dir=arguments.tmpfs) as scratch:
        for shape in SHAPES:
            root = Path(scratch) / "tree"
            trees.build(root, shape)
            results = measure(root, arguments.before, arguments.turns, 5 if shape.cpus < 512 else 1)
            sections.append(report.section(f"A tree of {shape.nodes} nodes, {shape.cpus} cpus, with caches", results))
            shutil.rmtree(root)
    head = [
        "# What each option of a probe costs",
        "",
        f"Made by `python -m benchmarks.options` on {date.today().isoformat()}: {report.machine()}.",
        "One run, by turns, each row a process of its own; ratios are to the first row of each table.",
        "",
    ]
    text = "\n".join(head) + "\n" + "\n".join(sections)
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
