"""Peers written in C: compiled when needed, kept running, and timed by themselves on request."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "peers"


class Missing(Exception):
    """A peer cannot be measured here; the text says why in one line."""


def build(name: str, directory: Path, *libraries: str) -> Path:
    """Compile ``peers/<name>.c``. Raises ``Missing`` without a compiler or the peer's library."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Missing(f"{name}: no C compiler")
    program = directory / name
    command = [compiler, "-O2", "-Wall", "-Wextra", str(SOURCES / f"{name}.c"), "-o", str(program)]
    command += [f"-l{library}" for library in libraries]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), "the compiler failed")
        raise Missing(f"{name}: {complaint.strip()}")
    return program


class Peer:
    """A running peer: asked for a number of rounds, it answers with the nanoseconds of each.

    ``greeting`` is the first line it said, which shows the caller what it saw.
    """

    def __init__(self, program: Path, /, *arguments: str | Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._process.stdout is not None
        self.greeting = self._process.stdout.readline().split()
        if not self.greeting:
            raise Missing(f"{program.name}: {self._complaint()}")

    def rounds(self, count: int) -> list[int]:
        """Nanoseconds of each of ``count`` rounds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer = [int(word) for word in self._process.stdout.readline().split()]
        if len(answer) != count:
            raise RuntimeError(f"{self._process.args!r} ended: {self._complaint()}")
        return answer

    def _complaint(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read().strip() or f"status {self._process.wait()}"

    def close(self) -> None:
        self._process.communicate()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
