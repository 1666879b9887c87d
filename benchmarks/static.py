"""Peers in C linked statically, for guests of the lab, whose C library may be another one or none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .peers import SOURCES, Missing


def build(name: str, directory: Path, *libraries: str) -> Path:
    """Compile ``peers/<name>.c`` so that it runs wherever the processor does. Raises ``Missing``."""
    program = directory / name
    command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-static", str(SOURCES / f"{name}.c")]
    command += ["-o", str(program), *(f"-l{library}" for library in libraries)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{name}: no C compiler ({error.strerror})") from None
    if done.returncode:
        raise Missing(f"{name}: {(done.stderr.strip().splitlines() or ['the compiler failed'])[-1]}")
    return program
