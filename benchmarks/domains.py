"""``python -m benchmarks.domains``: what a list of guests costs, next to ``numastat -p`` on the same processes.

The guests are stand-ins: processes with threads and memory, under QEMU's name. ``numastat -p`` reads the same
``numa_maps``; it reports no vcpus, no states, no configured memory and no control groups.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import numaprobe

from . import report
from .discovery import Contender, by_turns, timed
from .peers import Missing, build

RESULTS = Path(__file__).parent / "domains.md"
NAME = "qemu-system-x86_64"


# Measured in November 2026, each file on its own; of the same stand-ins.
LIMITS = """\
## What the time goes to

Nearly all of `numastat -p`, and more than half of `domains()`, is the kernel's formatting of `numa_maps`: 250 µs a
guest. Each guest costs nine more files and lists (`stat` twice, `cmdline`, `status`, `cgroup`, `fd`, `task` twice
and `comm` of each thread), 60 µs together, and each vcpu a `stat`, a `status` and a `wchan`, 24 µs. A vcpu that
waits in a futex, as all of these do, is looked at once more, 12 µs; one of a guest under KVM that is idle is not.
These reads alone are 1.4 times `numastat -p`, so that a list with each vcpu cannot take 1.3 times as long. The stat
of threads is not kept from when a process was recognised: on a host of large guests it would be seconds older than
the rest.
"""


def guests(running: ExitStack, program: Path, count: int, mebibytes: int, vcpus: int) -> list[int]:
    """Process ids of stand-ins that have written their memory and started their threads."""
    started = [
        subprocess.Popen(
            [NAME, str(mebibytes), str(vcpus), "-name", f"guest=bench{number},debug-threads=on", "-m", str(mebibytes)],
            executable=program,
            stdout=subprocess.PIPE,
        )
        for number in range(count)
    ]
    for process in started:
        running.callback(process.wait)
        running.callback(process.kill)
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    return [process.pid for process in started]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.domains", description=__doc__.partition("\n")[0])
    parser.add_argument("--guests", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=16, metavar="MIB", help="of each (default: %(default)s)")
    parser.add_argument("--vcpus", type=int, default=2, help="of each (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=15, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        built = build("guest", Path(scratch), "pthread")
        program = built.rename(built.with_name(NAME))
        pids = guests(running, program, arguments.guests, arguments.memory, arguments.vcpus)
        host = numaprobe.probe(source="linux")
        found = {domain.id for domain in numaprobe.domains(host)}
        if not found.issuperset(pids):
            raise RuntimeError(f"{len(found & set(pids))} of {len(pids)} stand-ins were taken for guests")
        contenders = []
        if shutil.which("numastat"):
            command = ["numastat", "-p", *map(str, pids)]
            subprocess.run(command, check=True, capture_output=True)
            contenders.append(
                Contender(
                    "`numastat -p` as a process",
                    timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)),
                    "each vcpu, state, configured memory, shared memory, completeness",
                )
            )
        contenders += [
            Contender(
                "`domains(each_vcpu=False)`", timed(lambda: numaprobe.domains(host, each_vcpu=False)), "each vcpu"
            ),
            Contender("`domains()`", timed(lambda: numaprobe.domains(host))),
        ]
        if len(contenders) < 3:
            raise Missing("numastat: not installed")
        results = by_turns(contenders, arguments.turns, 2)
    head = [
        "# What a list of guests costs",
        "",
        f"Made by `python -m benchmarks.domains` on {date.today().isoformat()}: {report.machine()}.",
        f"{arguments.guests} stand-ins of {arguments.memory} MiB and {arguments.vcpus} vcpus; one run, by turns.",
    ]
    text = "\n".join([*head, "", report.section(f"{arguments.guests} guests", results), LIMITS])
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
