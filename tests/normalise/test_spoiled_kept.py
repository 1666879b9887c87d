"""What one spoiled file changes, to the letter: the notes, and every figure that is other than before.

``tests/normalise/spoiled.txt`` has them. ``pytest tests/normalise/test_spoiled_kept.py --rewrite`` writes them anew; read
the difference before you commit it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich import rich
from trees import Machine, Shelf

from numaprobe import Host
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux

KEPT = Path(__file__).parent / "spoiled.txt"
TEXTS = ("#!?\n", "", "18446744073709551615\n", "1\n", "0-2\n")
EVERYTHING = {"devices": True, "allowed": True, "caches": True, "usable": True, "memory_state": True}
MOST = 5


def files() -> Iterator[str]:
    """One of each kind, and the last one too where they are several."""
    kinds: dict[str, list[str]] = {}
    for path, content in sorted(rich().items()):
        if content:
            kinds.setdefault(re.sub(r"(cpu|node|index|memory)\d+", r"\1N", path), []).append(path)
    for paths in kinds.values():
        yield from dict.fromkeys((paths[0], paths[-1]))


def read(tree: Machine) -> Host:
    return from_linux(linux.collect(Shelf(tree), **EVERYTHING))


def figures(value: object, where: str = "") -> Iterator[tuple[str, object]]:
    """Every figure of a document with its path, by the id or address of what it belongs to."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from figures(inner, f"{where} {name}")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, inner in enumerate(value):
            key = next((inner[name] for name in ("id", "address", "size") if name in inner), number)
            yield from figures(inner, f"{where} {key}")
    else:
        yield where.strip(), value


def told(whole: Host, path: str, text: str) -> Iterator[str]:
    found = read({**rich(), path: text})
    changes = [f"note {note.where}: {note.text}" for note in found.notes if note not in whole.notes]
    before, after = (dict(figures(one._replace(notes=()).to_dict())) for one in (whole, found))
    for where in {**before, **after}:
        if before.get(where, "-") != after.get(where, "-"):
            changes.append(f"{where}: {before.get(where, '-')} -> {after.get(where, '-')}")
    yield f"{path.removeprefix('sys/devices/system/')} {text!r}"
    yield from (f"  {change}" for change in changes[:MOST])
    if len(changes) > MOST:
        yield f"  and {len(changes) - MOST} more"


def test_a_spoiled_file_changes_what_it_did(pytestconfig: pytest.Config) -> None:
    """A figure that another file spoils, a note that falls silent or says something else: each is a difference."""
    whole = read(rich())
    found = "\n".join(line for path in files() for text in TEXTS for line in told(whole, path, text)) + "\n"
    if pytestconfig.getoption("rewrite"):
        KEPT.write_text(found, "utf-8")
    assert found.splitlines() == KEPT.read_text("utf-8").splitlines()
