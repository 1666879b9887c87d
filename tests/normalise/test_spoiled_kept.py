"""What one spoiled file changes, to the letter: the notes, and every figure that is other than before.

``tests/normalise/spoiled.txt`` has them. ``pytest tests/normalise/test_spoiled_kept.py --rewrite`` writes them anew; read
the difference before you commit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kept import agrees, differences
from rich import kinds_of_files, rich
from trees import Machine, Shelf

from numaprobe import Host
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux

KEPT = Path(__file__).parent / "spoiled.txt"
TEXTS = ("#!?\n", "", "18446744073709551615\n", "1\n", "0-2\n")
EVERYTHING = {"devices": True, "allowed": True, "caches": True, "usable": True, "memory_state": True}


def read(tree: Machine) -> Host:
    return from_linux(linux.collect(Shelf(tree), **EVERYTHING))


def told(whole: Host, path: str, text: str) -> Iterator[str]:
    yield f"{path.removeprefix('sys/devices/system/')} {text!r}"
    for change in differences(whole.to_dict(), read({**rich(), path: text}).to_dict(), 5):
        yield f"  {change}"


def test_a_spoiled_file_changes_what_it_did(pytestconfig: pytest.Config) -> None:
    """A figure that another file spoils, a note that falls silent or says something else: each is a difference."""
    whole = read(rich())
    agrees(
        KEPT, (line for path in kinds_of_files() for text in TEXTS for line in told(whole, path, text)), pytestconfig
    )
