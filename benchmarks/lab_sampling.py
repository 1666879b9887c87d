"""``python -m benchmarks.lab_sampling``: ``benchmarks.sampling`` in guests of the lab, 16 nodes x 64 cpus and 64 x 8.

The C peers are linked statically here, so that the guest needs no compiler. Needs what ``tests/lab/install`` installs.
An emulated processor is slow at everything alike, so quote ratios only. The tables go into ``sampling.md``, in place of
those of an earlier run; ``benchmarks.sampling`` writes that file anew without them, so this is run after it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from shlex import quote

from tests.lab import collect
from tests.lab.guest import Lab, Result
from tests.lab.layout import Layout, Node
from tests.lab.machines import EVERY, Machine

from .sampling import RESULTS
from .static import build

ROOT = Path(__file__).parents[1]
HEAD = "## In a guest of the lab: "
# Memory for the measuring process itself has to be found on nodes this small.
MACHINES = (
    replace(EVERY["sixteen-nodes-64-cpus"], seconds=900),
    Machine(
        "sixty-four-nodes-8-cpus",
        "the most nodes that Debian's kernel has, most of them without cpus",
        Layout(tuple(Node(64, (str(node),) if node < 8 else ()) for node in range(64)), sockets=8),
        seconds=900,
    ),
)


def peers(into: Path) -> None:
    """The C peers of ``benchmarks.sampling``, which run wherever the processor does. Raises ``Missing``."""
    build("sampling", into)
    build("libnuma_memory", into, "numa")


def script(built: Path, turns: int) -> str:
    """What to run as root, with ``OUT`` set."""
    command = [sys.executable, "-m", "benchmarks.sampling", "--live-only", "--peers", str(built)]
    command += ["--turns", str(turns)]
    return "\n".join(
        [
            "set -e",
            collect._numaprobe(),
            f"cd {quote(str(ROOT))}",
            f'{" ".join(map(quote, command))} --output "$OUT/sampling.md"',
        ]
    )


def section(result: Result) -> str:
    """The guest's table of what runs in a process; the other one, of whole programs, is left out."""
    page = result.text("sampling.md")
    found = re.search(r"^## This machine, (\d+) nodes?\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    made = re.search(r"^Made by .*?: (.*)$", page, re.MULTILINE)
    if found is None or made is None:
        raise RuntimeError(f"{result.machine.name}: no table of nodes in what it wrote")
    layout = result.machine.layout
    if int(found[1]) != len(layout.nodes):
        raise RuntimeError(f"{result.machine.name}: {found[1]} nodes of {len(layout.nodes)}")
    head = [
        f"{HEAD}{len(layout.nodes)} nodes, {layout.cpus} cpus",
        "",
        f"Made by `python -m benchmarks.lab_sampling` on {date.today().isoformat()}, emulated by QEMU: {made[1]}",
    ]
    return "\n".join(head) + "\n" + found[2].rstrip() + "\n"


def merged(page: str, sections: list[str]) -> str:
    """The page with these sections at its end, in place of those of another run."""
    parts = re.split(r"(?m)^(?=## )", page)
    kept = "".join(part for part in parts if not part.startswith(HEAD)).rstrip()
    return "\n\n".join([kept, *(section.strip() for section in sections)]).lstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab_sampling", description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=10, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    sections = []
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        built = Path(folder) / "peers"
        built.mkdir()
        peers(built)
        lab = Lab(Path(folder))
        # One at a time, so that two emulated machines do not slow each other down in the middle of a turn.
        for machine in MACHINES:
            result = lab.boot(machine, script(built, arguments.turns))
            if result.status:
                sys.exit(f"{machine.name}: status {result.status}\n{result.stderr}")
            sections.append(section(result))
            print(sections[-1])
    page = arguments.output.read_text() if arguments.output.exists() else ""
    arguments.output.write_text(merged(page, sections))
    return 0


if __name__ == "__main__":
    sys.exit(main())
