"""Memory that some releases of Xen leave without a node, and the doctor's finding of it."""

from __future__ import annotations

import io
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from fake_xen import GIB, MIB, fake_srat
from hypothesis import given
from hypothesis import strategies as st

import numaprobe
from numaprobe.xen import unaligned
from numaprobe.xen.srat import PATH, MemoryRange, parse
from numaprobe.xen.unaligned import is_affected, without_node

FIXTURES = Path(__file__).parents[1] / "fixtures"
PAGE = 4096


def ranges(*rows: tuple[int, int, int]) -> list[MemoryRange]:
    """Rows of node, first page and the page after the last."""
    return [MemoryRange(start=a * PAGE, end=b * PAGE, node=node, hot_pluggable=False) for node, a, b in rows]


def marked(found: list[MemoryRange], shift: int) -> set[int]:
    """Chunks that Xen's own loop steps on, one after the other."""
    chunks = set()
    for one in found:
        page = one.start // PAGE
        while True:
            chunks.add(page >> shift)
            page += 1 << shift
            if page > one.end // PAGE - 1:
                break
    return chunks


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("4.16.7", False),
        ("4.17.0", True),
        ("4.19.6", True),
        ("4.20.3", True),
        ("4.20.4", False),
        ("4.20.4-pre", False),
        ("4.21.1", True),
        ("4.21.2", False),
        ("4.22.0", False),
        ("5.0.0", False),
        ("4.19", False),
        ("4.19.2.1", True),
        ("4.19.2.x", True),
        ("4.x.2", False),
        ("unstable", False),
    ],
)
def test_releases_with_the_fault(version: str, affected: bool) -> None:
    """Each branch was mended in a release of its own."""
    assert is_affected(version) is affected


def test_the_last_chunk_of_a_range_that_begins_within_one_is_left_out() -> None:
    """Node 1 begins on a multiple of 8 pages, so that chunks have 8; the second range begins on 3 and ends on 18."""
    found = ranges((0, 0, 2), (0, 3, 18), (1, 24, 40))
    assert without_node(found) == ((16 * PAGE, 18 * PAGE, 0),)


@pytest.mark.parametrize(
    "found",
    [
        ranges((0, 0, 16), (1, 16, 32)),
        ranges((0, 0, 8), (0, 8, 18), (1, 24, 40)),
        ranges((0, 1, 7)),
        ranges((0, 0, 2), (0, 3, 18)),
        [],
    ],
)
def test_ranges_on_whole_chunks_and_a_single_node_lose_nothing(found: list[MemoryRange]) -> None:
    """What begins between two chunks is what the loop skips."""
    assert without_node(found) == ()


def test_a_range_ends_on_the_page_that_has_its_last_byte() -> None:
    """A byte more is a page more, which is then within the chunk that is left out, or the first of one."""
    byte = MemoryRange(start=3 * PAGE, end=18 * PAGE + 1, node=0, hot_pluggable=False)
    found = [*ranges((0, 0, 2)), byte, *ranges((1, 24, 40))]
    assert without_node(found) == ((16 * PAGE, 19 * PAGE, 0),)
    found[1] = byte._replace(end=18 * PAGE)
    assert without_node(found) == ((16 * PAGE, 18 * PAGE, 0),)


def test_a_chunk_is_left_out_from_where_its_range_begins() -> None:
    """Memory of another node in the same chunk is that node's."""
    found = ranges((1, 0, 8), (0, 8, 9), (0, 10, 11), (1, 32, 40))
    assert without_node(ranges((0, 0, 8), (0, 13, 18), (1, 24, 32))) == ((16 * PAGE, 18 * PAGE, 0),)
    assert without_node(found) == ()


def test_a_table_with_more_ranges_than_firmware_writes_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is quadratic: 1024 ranges are the last that are looked at."""
    assert unaligned.MAX_RANGES == 1024
    found = ranges((0, 0, 2), (0, 3, 18), (1, 24, 40))
    for most, looked_at in ((3, True), (2, False)):
        monkeypatch.setattr(unaligned, "MAX_RANGES", most)
        assert bool(without_node(found)) is looked_at


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 20), st.integers(0, 5)), min_size=2, max_size=8))
def test_it_is_what_the_loop_of_xen_does_not_step_on(rows: list[tuple[int, int, int]]) -> None:
    """The hypervisor's loop, written down as it is, steps on the same chunks."""
    page = 0
    found = []
    for node, length, gap in rows:
        found += ranges((node, page + gap, page + gap + length))
        page += gap + length
    starts = 0
    for before, one in pairwise(found):
        if before.node != one.node:
            starts |= one.start // PAGE
    if not starts:
        assert without_node(found) == ()
        return
    shift = (starts & -starts).bit_length() - 1
    chunks = marked(found, shift)
    lost = {one.end for one in found if (one.end // PAGE - 1) >> shift not in chunks}
    assert {end for _, end, _ in without_node(found)} == lost


def recorded(fixture: str, table: bytes, path: Path) -> Path:
    """A fixture's recording with another table of the firmware."""
    with tarfile.open(FIXTURES / fixture / "host.tar.gz") as old, tarfile.open(path, "w") as new:
        for member in old:
            content = old.extractfile(member)
            data = b"" if content is None else content.read()
            if member.name == PATH:
                data, member.size = table, len(table)
            new.addfile(member, io.BytesIO(data) if content is not None else None)
    return path


def test_the_doctor_finds_it_on_an_affected_release_and_not_on_another(tmp_path: Path) -> None:
    """The same firmware's table is harmless on a release without the fault."""
    table = fake_srat([(0, 0), (1, 1)], [(0, 0, 640 * 1024), (0, MIB, 2 * GIB - 3 * MIB), (1, 4 * GIB, GIB)])
    odd = fake_srat([(0, 0), (1, 1)], [(0, 0, GIB), (0, GIB + MIB, GIB), (1, 3 * GIB, GIB)])
    assert without_node(parse(table).ranges) == ()
    for fixture, wanted in (("xen-4.17-two-nodes-hole", True), ("xen-4.14-two-nodes-hole", False)):
        ids = {}
        for name, one in (("even", table), ("odd", odd)):
            diagnosis = numaprobe.diagnose(recording=recorded(fixture, one, tmp_path / f"{fixture}-{name}.tar"))
            ids[name] = "xen-memory-without-node" in [finding.id for finding in diagnosis.findings]
        assert ids == {"even": False, "odd": wanted}


def test_no_recorded_machine_has_it() -> None:
    """A finding there would have to be argued for."""
    for path in sorted(FIXTURES.glob("xen-*/host.tar.gz")):
        found = numaprobe.diagnose(recording=path).findings
        assert "xen-memory-without-node" not in [finding.id for finding in found], path
