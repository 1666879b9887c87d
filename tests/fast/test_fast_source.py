"""The extension's source: one module of several parts, each pulled in once, short, and part of what is distributed."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "numaprobe"
PARTS = sorted(path.name for path in (PACKAGE / "fast").glob("*.pxi"))


def test_every_part_is_pulled_in_once() -> None:
    """A part that nothing includes would be compiled into nothing."""
    included = re.findall(r'^include "fast/(.*)"$', (PACKAGE / "_fast.pyx").read_text("utf-8"), re.MULTILINE)
    assert sorted(included) == PARTS
    assert PARTS


def test_every_part_is_short_and_says_what_it_is() -> None:
    """At most 400 lines, as modules have; the first line is its heading."""
    for name in PARTS:
        lines = (PACKAGE / "fast" / name).read_text("utf-8").splitlines()
        assert len(lines) <= 400, name
        assert re.fullmatch(r"# ---- .+ ----", lines[0]), name
        assert max(map(len, lines)) <= 120, name


def test_the_parts_are_distributed_and_watched_by_the_build() -> None:
    """The sdist builds with them, and a change of one builds the extension anew."""
    root = PACKAGE.parent
    manifest = (root / "MANIFEST.in").read_text("utf-8")
    assert re.search(r"^recursive-include numaprobe .*\*\.pxi", manifest, re.MULTILINE)
    assert 'depends=sorted(glob("numaprobe/fast/*.pxi"))' in (root / "setup.py").read_text("utf-8")
