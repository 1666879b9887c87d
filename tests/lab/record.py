"""Boots machines of the lab and writes their recordings: ``python -m tests.lab.record [--into DIR] [NAME ...]``.

For each machine ``DIR/NAME/`` gets ``host.tar.gz`` (numaprobe's own recording, made inside), ``witness/`` (what other
tools said at the same time) and ``why.txt``. Without names, all of them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import collect, guests_linux, packages
from .guest import BootFailed, Lab, Result
from .machines import EVERY, Machine

_FIXTURES = Path(__file__).parents[1] / "fixtures"
_ALWAYS = {"numactl": "numactl-H", "lscpu-p": "lscpu-p", "lscpu": "lscpu", "free-b": "free-b"}
_GUESTS = {guests_linux.RECORDED.name: guests_linux.RECORDED}
_UNDER_XEN = {"xl-info-n": "xl-info-n", "xl-dmesg": "xl-dmesg-u"}


def write(result: Result, into: Path) -> None:
    """One machine's folder, made anew; what stood there beside these files is left alone."""
    guests = result.machine.name in _GUESTS
    result.printed("recorded" if guests else "record")
    folder = into / result.machine.name
    witnesses = folder / "witness"
    shutil.rmtree(witnesses, ignore_errors=True)
    (folder if guests else witnesses).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(result.out / "host.tar.gz", folder / "host.tar.gz")
    (folder / "why.txt").write_text(result.machine.why + "\n")
    if guests:
        return
    names = _ALWAYS if result.machine.xen is None else _ALWAYS | _UNDER_XEN
    for name, file in names.items():
        (witnesses / f"{file}.txt").write_text(result.printed(name))


def _script(machine: Machine) -> str:
    return guests_linux.script(machine) if machine.name in _GUESTS else collect.script(machine)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record", description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path, default=_FIXTURES, help="where to write (default: tests/fixtures)")
    parser.add_argument("--jobs", type=int, default=2, help="guests at a time (default: 2)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="machines (default: all)")
    options = parser.parse_args()
    every = EVERY | _GUESTS
    unknown = [name for name in options.names if name not in every]
    if unknown:
        parser.error(f"no machine {', '.join(unknown)}; there are {', '.join(every)}")
    machines = [every[name] for name in options.names or every]
    suites = {machine.suite for machine in machines}
    lines = packages.missing(suites, {machine.suite for machine in machines if machine.xen is not None})
    if lines:
        sys.exit("\n".join(lines))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        lab = Lab(Path(folder))
        running = {machine.name: pool.submit(lab.boot, machine, _script(machine)) for machine in machines}
        for name, future in running.items():
            try:
                write(future.result(), options.into)
                sys.stdout.write(f"{name}\n")
            except (BootFailed, AssertionError) as error:
                failed += 1
                sys.stderr.write(f"{name}: {error}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
