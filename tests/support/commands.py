"""Ways to run the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from trees import NODE, Machine, machine

from numaprobe.cli import main

Plant = Callable[[Machine], Path]
PYTHON = sys.executable


def run(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    """``numaprobe`` in a process of its own."""
    command = [PYTHON, "-m", "numaprobe", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload,no-any-return]


def complaint(status: int, *words: object) -> str:
    """The one line of a command that fails with that status, in this process."""
    out, err = io.StringIO(), io.StringIO()
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        found = main([str(word) for word in words])
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    assert out.getvalue() == "", "data only where there is some"
    line = err.getvalue()
    assert line.startswith("numaprobe: ")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert line.strip().isprintable()
    assert len(line) < 500
    assert found == status, line
    return line


def two_cells() -> Machine:
    tree = machine({0: [0, 1, 2, 3], 1: [4, 5, 6, 7]}, threads=2, distances={0: [10, 21], 1: [31, 10]})
    tree[f"{NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages"] = "3\n"
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"] = "3\n"
    return tree


def unprivileged(place: Path, *words: object) -> tuple[int, str, str]:
    """Status, output and errors of a command that runs as nobody, in a child that has imported everything before."""
    out, err = place / "out", place / "err"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            for fd, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), fd)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            sys.stdout, sys.stderr = io.TextIOWrapper(io.FileIO(1, "w")), io.TextIOWrapper(io.FileIO(2, "w"))
            status = main([str(word) for word in words])
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, out.read_text(), err.read_text()
