"""The kernel's texts at their limits: each is a value, or an error that quotes it."""

from __future__ import annotations

from errno import EIO

import pytest
from trees import CPU, NODE, Shelf

from numaprobe.errors import FactError
from numaprobe.linux import caches, cpus, text
from numaprobe.linux.source import Source


@pytest.mark.parametrize(
    ("parse", "content", "told"),
    [
        (text.capacity, b"1\n", 1), (text.capacity, b"4294967295", 4294967295),
        (text.capacity, b"0\n", "w: not a capacity: '0'"), (text.capacity, b"4294967296", "w: not a capacity: '4294967296'"),
        (text.identity, b"-1", None), (text.identity, b"-2", "w: not an id: '-2'"),
        (caches._level, b"1", 1), (caches._level, b"8", 8), (caches._level, b"0", "w: not a level of caches: '0'"),
        (caches._level, b"9", "w: not a level of caches: '9'"),
        (caches._kilobytes, b"32K\n", 32), (caches._kilobytes, b"2M", 2048), (caches._kilobytes, b"1G\0", 1 << 20),
        (caches._kilobytes, b"999999999999K", 999999999999),
        (caches._kilobytes, b"1000000000000K", "w: not a size: '1000000000000K'"),
        (caches._kilobytes, b"K", "w: not a size: 'K'"), (caches._kilobytes, b"5T", "w: not a size: '5T'"),
        (caches._count, b"0", 0), (caches._count, b"4294967295", 4294967295),
        (caches._count, b"-1", "w: below zero: '-1'"),
        (caches._count, b"4294967296", "w: larger than the kernel's 32 bits: '4294967296'"),
        (cpus._flag, b"0\n", False), (cpus._flag, b"1\n", True), (cpus._flag, b"2\n", "w: neither 0 nor 1: '2'"),
        (cpus._flag, b"-1\n", "w: neither 0 nor 1: '-1'"),
        (text.numbers, b"1 " * 32768, (1,) * 32768),
        (text.ids, b"(null)\n", ()), (text.ids, b"", ()),
    ],
)  # fmt: skip
def test_a_text_is_a_value_or_an_error_that_quotes_it(parse: object, content: bytes, told: object) -> None:
    """Each at its limits, and one beyond."""
    if not isinstance(told, str):
        assert parse("w", content) == told  # type: ignore[operator]
        return
    with pytest.raises(FactError) as caught:
        parse("w", content)  # type: ignore[operator]
    assert str(caught.value) == told


def test_a_row_of_64_kilobytes_is_the_longest() -> None:
    """A row of distances of 1,024 nodes has 4."""
    with pytest.raises(FactError) as caught:
        text.numbers("w", b"1 " * 32768 + b"1")
    assert str(caught.value).startswith("w: a row of 65537 bytes: '1 1 1 ")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"MemTotal: 5 kB\nHugePages_Total: 3\n", ((("MemTotal", 5120),), None)),
        (b"Node 0 MemTotal: 5 kB\n\n", ((("MemTotal", 5120),), None)),
        (b"A: 999999999999999 kB\n", ((("A", 999999999999999 << 10),), None)),
        (b"A: 1000000000000000 kB\nB: 1 kB\n", ((("B", 1024),), b"A: 1000000000000000 kB")),
        (b"odd\nA: x kB\n", ((), b"odd")),
        (b"A: x\n", ((), b"A: x")),
        (b"A: 1 MB\n", ((), b"A: 1 MB")),
        (b": 1 kB\n", ((), b": 1 kB")),
        (b"A 1\n", ((), b"A 1")),
        (b"A: 1 kB more\n", ((), b"A: 1 kB more")),
    ],
)
def test_every_size_of_meminfo_is_bytes_and_the_first_odd_line_is_quoted(
    content: bytes, found: tuple[tuple[tuple[str, int], ...], bytes | None]
) -> None:
    """Counts of pages, which have no unit, are left out."""
    assert text.meminfo(content) == found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a 1\nb 2\n", ((("a", 1), ("b", 2)), None)),
        (b"a 18446744073709551615\n\n", ((("a", 18446744073709551615),), None)),
        (b"a 100000000000000000000\n", ((), b"a 100000000000000000000")),
        (b"a\nb x\nc 3\n", ((("c", 3),), b"a")),
        (b"a 1 2\n", ((), b"a 1 2")),
    ],
)
def test_every_field_of_vmstat_is_a_number_and_the_first_odd_line_is_quoted(
    content: bytes, found: tuple[tuple[tuple[str, int], ...], bytes | None]
) -> None:
    """Of up to 20 digits."""
    assert text.vmstat(content) == found


@pytest.mark.parametrize(
    ("name", "number"), [("node12", 12), ("node", None), ("node1x", None), ("odd", None), ("node0", 0)]
)
def test_a_name_has_its_number_behind_the_prefix(name: str, number: int | None) -> None:
    """Or none."""
    assert text.suffix_number(name, "node") == number


def test_a_directory_that_cannot_be_listed_is_noted_once() -> None:
    """And a note is not repeated; 256 are kept, and one more that says that there are others."""
    source = Source(Shelf({}, {f"{CPU}/x": EIO}))
    for _ in range(2):
        assert source.names(f"{CPU}/x") is None
    assert source.notes == [("x", "cannot be read: Input/output error")]
    for number in range(1, 300):
        source.note(f"{NODE}/node{number}", "words")
    assert len(source.notes) == 257
    assert source.notes[255:] == [("node255", "words"), ("sys", "further oddities are not listed")]


def test_a_table_of_which_no_line_alone_is_bad_is_quoted_from_its_start() -> None:
    """Up to 64 kB of it, which an error shortens."""

    def scan(content: bytes) -> None:
        if b"\n" in content:
            raise ValueError("odd")

    error = text._in_table("w", b"a\nb", ValueError("odd"), scan)
    assert str(error) == "w: odd: 'a\\nb'"
