"""Which releases of hwloc there are to compare with: the installed one, and those that the lab has unpacked.

Each of the lab's runs on the loader and the C library of its own suite (``tests/lab/install benchmarks``). A
program built with the headers of one release 2.x runs on the library of any later one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.lab import packages

# The argument of the peer, what it means, and which of a probe's facts are then not reported.
HWLOC_MODES = (
    ("filtered", "nodes packages cores PUs", "free memory, huge pages in use, available memory"),
    (
        "lean",
        "the same without distances, memory attributes, cpu kinds",
        "distances, HMAT, free memory, huge pages in use, available memory",
    ),
    ("default", "its defaults", "free memory, huge pages in use, available memory"),
)
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


class Hwloc(NamedTuple):
    """How one release is started, and its number."""

    version: str
    program: Path
    words: tuple[Path | str, ...]


def hwloc_versions(program: Path) -> list[Hwloc]:
    """The releases that ``program``, a compiled peer, can be run on."""
    found = [Hwloc(_installed(), program, ())]
    for suite in ("trixie", "sid"):
        folder = packages.cache() / suite / "benchmarks"
        if not folder.is_dir():
            continue
        libraries = folder / _LIBRARIES
        words = ("--library-path", libraries, program)
        version = _release((folder / "version").read_text())
        found.append(Hwloc(version, libraries / "ld-linux-x86-64.so.2", words))
    return found


def _installed() -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}", "libhwloc15"]
    try:
        return _release(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return "as installed"


def _release(version: str) -> str:
    """``2.12`` of ``2.12.0-4``."""
    return ".".join(version.strip().partition("-")[0].split(".")[:2])
