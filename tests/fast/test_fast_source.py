"""The extension's source: one module of several parts, each pulled in once, short, and part of what is distributed."""

from __future__ import annotations

import re
from pathlib import Path

from numaprobe.pin import changes
from numaprobe.xen import abi
from numaprobe.xen.domains import abi as domain_abi

PACKAGE = Path(__file__).parents[2] / "numaprobe"
PARTS = sorted(path.name for path in (PACKAGE / "fast").glob("*.pxi"))


def test_every_part_is_pulled_in_once() -> None:
    """A part that nothing includes would be compiled into nothing."""
    included = re.findall(r'^include "fast/(.*)"  # .+$', (PACKAGE / "_fast.pyx").read_text("utf-8"), re.MULTILINE)
    assert sorted(included) == PARTS
    assert PARTS


def test_every_part_is_short_and_says_what_it_is() -> None:
    """At most 400 lines, as modules have; the first line is its heading."""
    for name in PARTS:
        lines = (PACKAGE / "fast" / name).read_text("utf-8").splitlines()
        assert len(lines) <= 400, name
        assert re.fullmatch(r"# ---- .+ ----", lines[0]), name
        assert max(map(len, lines)) <= 120, name


def test_no_c_stands_in_a_string() -> None:
    """C is in headers, where a compiler's and an editor's tools find it; each says what it is and is guarded."""
    for name in PARTS:
        assert 'cdef extern from *:\n    """' not in (PACKAGE / "fast" / name).read_text("utf-8"), name
    used = "".join((PACKAGE / "fast" / name).read_text("utf-8") for name in PARTS)
    for header in sorted((PACKAGE / "fast").glob("*.h")):
        first, guard = header.read_text("utf-8").splitlines()[:2]
        assert re.fullmatch(r"/\* .+ \*/", first), header.name
        assert guard == f"#ifndef NUMAPROBE_{header.stem.upper()}_H", header.name
        assert f'cdef extern from "fast/{header.name}":' in used, header.name


def numbers() -> dict[str, int]:
    """The enumeration of hypercalls.h."""
    text = (PACKAGE / "fast" / "hypercalls.h").read_text("utf-8")
    return {name: int(value) for name, value in re.findall(r"^    NP_(\w+) = (\d+),$", text, re.MULTILINE)}


def test_the_numbers_of_hypercalls_are_those_of_the_layouts() -> None:
    """The extension and Python name every hypercall alike, and give it one number."""
    changing = {"DOMCTL_SETVCPUAFFINITY": changes.SETVCPUAFFINITY, "DOMCTL_SETNODEAFFINITY": changes.SETNODEAFFINITY}
    known = {name: value for module in (domain_abi, abi) for name, value in vars(module).items()} | changing
    assert {name: known.get(name) for name in numbers()} == numbers()


def test_the_tables_hold_only_calls_that_are_made() -> None:
    """Each read has a name in errors and transcripts, because some module makes it; the changes are those of pin."""
    text = (PACKAGE / "fast" / "hypercalls.h").read_text("utf-8")
    reads, changing = text.split("np_changes[] = {")
    found = [
        {
            (numbers()[number], numbers()[command])
            for number, command in re.findall(r"^    \{ NP_(\w+), NP_(\w+),", part, re.M)
        }
        for part in (reads, changing)
    ]
    assert found == [
        set(abi.COMMAND_NAMES),
        {(abi.DOMCTL, changes.SETVCPUAFFINITY), (abi.DOMCTL, changes.SETNODEAFFINITY)},
    ]
    product = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "abi.py")
    for name in numbers():
        if name.startswith(("SYSCTL_", "MEMORY_", "VERSION_", "PLATFORM_GET", "DOMCTL_GET", "DOMCTL_NUMA")):
            assert re.search(rf"\babi\.{name}\b", product), name


def test_the_parts_are_distributed_and_watched_by_the_build() -> None:
    """The sdist builds with them, and a change of one builds the extension anew."""
    root = PACKAGE.parent
    manifest = (root / "MANIFEST.in").read_text("utf-8")
    assert re.search(r"^recursive-include numaprobe .*\*\.pxi \*\.h", manifest, re.MULTILINE)
    assert 'glob("numaprobe/fast/*.pxi") + glob("numaprobe/fast/*.h")' in (root / "setup.py").read_text("utf-8")
