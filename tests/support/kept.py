"""Answers that are kept to the letter in a file beside their test: ``--rewrite`` writes them anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from numaprobe import Domain


def agrees(kept: Path, lines: Iterable[str], config: pytest.Config) -> None:
    """Assert that the file has these lines."""
    found = "\n".join(lines) + "\n"
    if config.getoption("rewrite"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(found, "utf-8")
    assert found.splitlines() == kept.read_text("utf-8").splitlines()


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


def guests_of(domains: Iterable[Domain]) -> list[dict[str, object]]:
    """Every field of each."""
    return [{**one._asdict(), "cells": None if one.cells is None else dict(one.cells)} for one in domains]


def differences(whole: Mapping[str, object], found: Mapping[str, object], most: int) -> Iterator[str]:
    """The first differences of two documents, a line for each; notes are those that only the second has."""
    known = whole.get("notes") or []
    notes = found.get("notes") or []
    assert isinstance(known, list)
    assert isinstance(notes, list)
    changes = [f"note {note['where']}: {note['text']}" for note in notes if note not in known]
    before, after = (
        dict(figures({name: value for name, value in one.items() if name != "notes"})) for one in (whole, found)
    )
    for where in {**before, **after}:
        if before.get(where, "-") != after.get(where, "-"):
            changes.append(f"{where}: {before.get(where, '-')} -> {after.get(where, '-')}")
    yield from changes[:most]
    if len(changes) > most:
        yield f"and {len(changes) - most} more"
