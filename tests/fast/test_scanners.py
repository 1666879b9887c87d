"""The scanners of ``numaprobe._fast`` and the parsers of ``numaprobe.linux.text`` against slow and simple ones."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from time import perf_counter

import pytest
import trees
from hypothesis import example, given
from hypothesis import strategies as st

from numaprobe import FactError
from numaprobe.linux import text

WHERE = "sys/some/file"

ids_of_any_kind = st.sets(st.integers(0, 9000), max_size=60) | st.sets(st.integers(0, 40), max_size=40)
padding = st.text(" \t\n\0", max_size=4).map(str.encode)


def simple_ids(content: bytes) -> set[int]:
    found: set[int] = set()
    for part in content.decode().split(","):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def simple_mask(content: bytes) -> set[int]:
    value = 0
    for word in content.decode().strip().split(","):
        value = value << 32 | int(word, 16)
    return {i for i in range(value.bit_length()) if value >> i & 1}


# --- ids -------------------------------------------------------------------------------------------------------


@given(ids_of_any_kind, padding, padding)
def test_a_list_gives_back_the_ids_it_was_made_of(wanted: set[int], before: bytes, after: bytes) -> None:
    """Round trip: sets written as the kernel writes them, with the white space and NULs of copies around."""
    content = trees.fold(sorted(wanted)).encode() if wanted else b""
    assert text.ids(WHERE, before + content + after) == tuple(sorted(wanted))


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9)), min_size=1, max_size=12))
@example([(5, 0), (3, 0)])
@example([(0, 3), (2, 5)])
@example([(7, 0), (7, 0)])
def test_ranges_in_any_order_and_overlapping_give_each_id_once(ranges: list[tuple[int, int]]) -> None:
    """Kernels sort their lists, people who write trees do not; a simple parser in Python is the oracle."""
    content = ",".join(f"{a}-{a + n}" if n else str(a) for a, n in ranges).encode()
    found = text.ids(WHERE, content)
    assert found == tuple(sorted(simple_ids(content)))


def test_the_lists_of_real_kernels() -> None:
    """Forms seen in the field, among them nohz_full's (null) and lists padded to a page."""
    assert text.ids(WHERE, b"0-3,8,10-11\n") == (0, 1, 2, 3, 8, 10, 11)
    assert text.ids(WHERE, b"\n") == ()
    assert text.ids(WHERE, b"") == ()
    assert text.ids(WHERE, b"  (null)\n") == (), "nohz_full before Linux 4.17"
    assert text.ids(WHERE, b"0-3\n\0\0\0") == (0, 1, 2, 3), "copied by the size of a page"
    assert text.ids(WHERE, b"0, 2, 4-5") == (0, 2, 4, 5)
    assert text.ids(WHERE, b"1024-1279,4095") == (*range(1024, 1280), 4095)


@pytest.mark.parametrize(
    "content",
    [
        b"0-",
        b"-",
        b"-1",
        b"-1-3",
        b",",
        b"0,",
        b",0",
        b"0,,1",
        b"3-1",
        b"0--3",
        b"0-3-5",
        b"0 1",
        b"a",
        b"0x3",
        b"1a",
        b"0-3,x",
        b"0-3\n5",
        b"0\0001",
        b"+1",
        b"1.5",
        b"\xff\xfe",
        b"0-3 trailing",
        b"99999999999999999999999",
        b"(nul)",
        b"18446744073709551615",
        b"18446744073709551616",
        b"0-18446744073709551615",
        b"4294967296",
        b"0-4294967295",
    ],
)
def test_what_is_no_list_is_refused_with_the_name_of_the_file(content: bytes) -> None:
    """Near misses such as 3-1 or 0-3-5 must not become a shorter list of CPUs."""
    with pytest.raises(FactError, match=re.escape(WHERE)) as caught:
        text.ids(WHERE, content)
    assert caught.value.where == WHERE


def test_a_list_cannot_ask_for_much_memory_or_time() -> None:
    """Eleven bytes could expand to a billion ids; the limit applies before anything is allocated."""
    tracemalloc.start()
    start = perf_counter()
    for content in (b"0-999999999", b"0-18446744073709551614", b",".join([b"0-65535"] * 2000)):
        with pytest.raises(FactError):
            text.ids(WHERE, content)
    assert perf_counter() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


# --- mask ------------------------------------------------------------------------------------------------------


@given(ids_of_any_kind, padding, padding, st.booleans())
def test_a_mask_gives_back_the_ids_it_was_made_of(wanted: set[int], before: bytes, after: bytes, upper: bool) -> None:
    """Round trip of hexadecimal words, in both cases of letters."""
    content = trees.mask(sorted(wanted))
    content = content.upper() if upper else content
    assert text.mask(WHERE, before + content.encode() + after) == tuple(sorted(wanted))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20), st.integers(1, 8))
def test_words_count_32_bits_however_many_digits_they_have(words: list[int], digits: int) -> None:
    """Leading zeros may be left out, and 1,1 still means bits 0 and 32."""
    content = ",".join(f"{word:0{digits}x}" for word in words).encode()
    assert set(text.mask(WHERE, content)) == simple_mask(content)


def test_the_masks_of_real_kernels() -> None:
    """As Linux 2.6 to today print them, also where the mask is far wider than the machine."""
    assert text.mask(WHERE, b"00000000,0000000f\n") == (0, 1, 2, 3)
    assert text.mask(WHERE, b"ff\n") == tuple(range(8))
    assert text.mask(WHERE, b"1,00000000\n") == (32,)
    assert text.mask(WHERE, b"0\n") == ()
    assert text.mask(WHERE, b"0x3") == (0, 1)
    assert text.mask(WHERE, b"ffffffffffffffff") == tuple(range(64)), "without commas, as Linux 2.6 had them"
    assert text.mask(WHERE, b"00000000," * 255 + b"00000001\n") == (0,), "wider than any machine"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"g", b"0x", b",", b"1,", b",1", b"1,,1", b"000000001,00000001", b"1 1", b"-1", b"1-3", b"\0\0"],
)
def test_what_is_no_mask_is_refused_with_the_name_of_the_file(content: bytes) -> None:
    """An empty file is no mask of zero CPUs, and a word of nine digits has lost a comma."""
    with pytest.raises(FactError) as caught:
        text.mask(WHERE, content)
    assert caught.value.where == WHERE


def test_a_long_mask_is_read_in_time_and_a_set_bit_far_out_is_refused() -> None:
    """Megabytes of zeros are harmless; one bit among them would be CPU 16 million."""
    start = perf_counter()
    assert text.mask(WHERE, b"00000000," * 500_000 + b"80000001") == (0, 31)
    with pytest.raises(FactError):
        text.mask(WHERE, b"80000000," + b"00000000," * 500_000 + b"00000000")
    with pytest.raises(FactError):
        text.mask(WHERE, b",".join([b"ffffffff"] * 200_000))
    assert perf_counter() - start < 5


# --- numbers ---------------------------------------------------------------------------------------------------


@given(st.integers(-(2**64) + 1, 2**64 - 1), padding, padding)
def test_a_number_is_read_to_its_last_bit(value: int, before: bytes, after: bytes) -> None:
    """The counters of the kernel use all of 64 bits, which doubles or signed integers would not hold."""
    assert text.number(WHERE, before + str(value).encode() + after) == value


@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=40), st.sampled_from([b" ", b"\t", b"  ", b"\n", b" \n"]))
def test_a_row_of_numbers_gives_each(values: list[int], between: bytes) -> None:
    """Distances and zone protections stand in rows, parted by any white space."""
    assert text.numbers(WHERE, between.join(str(v).encode() for v in values) + b"\n") == tuple(values)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"-",
        b"--1",
        b"+1",
        b"1 2",
        b"1kB",
        b"0x10",
        b"1.0",
        b"1e3",
        b"\xb2",
        b"\xd9\xa1",
        b"18446744073709551616",
        b"-18446744073709551616",
        b"1" * 5000,
        b"1\0002",
        b"- 1",
    ],
)
def test_what_is_no_number_is_refused_with_the_name_of_the_file(content: bytes) -> None:
    """Python's int() accepts superscripts, Arabic digits and signs that no kernel writes."""
    with pytest.raises(FactError) as caught:
        text.number(WHERE, content)
    assert caught.value.where == WHERE


@pytest.mark.parametrize("content", [b"10 x", b"10,20", b"10 -", b"10 20x", b"18446744073709551616 1", b"- 1"])
def test_what_is_no_row_of_numbers_is_refused(content: bytes) -> None:
    """One wrong entry costs the row, since what follows could be in the wrong column."""
    with pytest.raises(FactError) as caught:
        text.numbers(WHERE, content)
    assert caught.value.where == WHERE


# --- fields ----------------------------------------------------------------------------------------------------

field_names = st.text("ABCabc()_0123456789", min_size=1, max_size=12)


@given(
    st.dictionaries(field_names, st.integers(0, 2**64 - 1), max_size=12),
    st.data(),
    st.sampled_from(["", "Node 0 ", "Node 1023 ", "  "]),
    st.sampled_from([" kB", "", "   kB  ", "\t"]),
)
def test_fields_are_found_in_any_order_and_absent_ones_are_none(
    values: dict[str, int], data: st.DataObject, start: str, unit: str
) -> None:
    """Meminfo's order and set of lines differ by release, node files have a prefix, and 0 is not absence."""
    content = "".join(f"{start}{name}:  {value}{unit}\n" for name, value in values.items()).encode()
    asked = data.draw(st.lists(st.sampled_from(sorted({*values, "absent", "A"})), max_size=8, unique=True))
    found = text.fields(WHERE, content, tuple(name.encode() for name in asked))
    assert found == tuple(values.get(name) for name in asked)


def test_a_field_is_not_found_inside_a_longer_name() -> None:
    """Active and Active(anon) stand next to each other, and letter case counts."""
    content = b"Node 0 Active(anon): 1 kB\nNode 0 Active: 2 kB\nNode 0 Inactive(file): 3 kB\nNode 0 MemTotalX: 9 kB\n"
    assert text.fields(WHERE, content, (b"Active", b"Inactive(file)", b"MemTotal", b"active")) == (2, 3, None, None)


def test_the_first_of_two_equal_fields_counts() -> None:
    """No kernel prints a name twice; of a damaged copy at least the answer is always the same."""
    assert text.fields(WHERE, b"A: 1\nA: 2\n", (b"A",)) == (1,)


def test_a_field_that_was_asked_for_without_a_number_is_refused() -> None:
    """MemTotal present without a value is broken, which is another thing than absent."""
    for content in (
        b"MemTotal:\n",
        b"MemTotal: none kB",
        b"MemTotal: -5 kB",
        b"MemTotal: 12kB",
        b"MemTotal: 99999999999999999999 kB",
    ):
        with pytest.raises(FactError) as caught:
            text.fields(WHERE, content, (b"MemTotal",))
        assert caught.value.where == WHERE


@pytest.mark.parametrize(
    ("scan", "content", "line"),
    [
        (
            lambda w, c: text.fields(w, c, (b"MemTotal", b"MemFree")),
            b"MemTotal: 4 kB\nMemFree: ? kB\n",
            "MemFree: ? kB",
        ),
        (text.zones, b"Node 0, zone DMA\n  low 3\nNode x, zone DMA\n", "Node x, zone DMA"),
        (text.numa_maps, b"1000 default anon=1 N0=1 kernelpagesize_kB=4\nzz default\n", "zz default"),
    ],
)
def test_the_error_of_a_table_quotes_the_line_that_is_wrong(
    scan: Callable[[str, bytes], object], content: bytes, line: str
) -> None:
    """``FactError.text`` holds the offending line, for tables as for single values."""
    with pytest.raises(FactError) as caught:
        scan(WHERE, content)
    assert caught.value.text == line


def test_lines_that_are_no_fields_are_passed_over() -> None:
    """New kernels add lines of any form, and none of them may hide the ones that are needed."""
    content = b"\n\0\n:\nNode\nNode x A: 1\nNode 0\nNode 0 \n: 5\nA: 7\nrubbish without a colon\n\xff\xfe: 4\n"
    assert text.fields(WHERE, content, (b"A", b"B")) == (7, None)
    assert text.fields(WHERE, b"A:1", ()) == ()


# --- zones -----------------------------------------------------------------------------------------------------

ZONEINFO = b"""Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 1201
  pages free     2816
        boost    0
        min      68
        low      85
        high     102
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 1947, 3870, 3870)
      nr_free_pages 2816
  pagesets
    cpu: 0
              count:    0
              high:     13
              batch:    1
              high_min: 5
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone  Movable
  pages free     0
        min      32
        low      32
        high     32
        spanned  0
        present  0
        managed  0
        protection: (0, 0, 0, 0)
Node 130, zone   Normal
  pages free     1
        low      5
        high     6
        managed  7
        protection: ()
Node 131, zone   Device
  pages free     0
"""


def test_zones_of_a_real_kernel() -> None:
    """An excerpt of a real zoneinfo, with an empty zone, and per-CPU lines that repeat the word high."""
    assert text.zones(WHERE, ZONEINFO) == [
        (0, "DMA", 85, 102, 3840, (0, 1947, 3870, 3870)),
        (0, "Movable", 32, 32, 0, (0, 0, 0, 0)),
        (130, "Normal", 5, 6, 7, ()),
        (131, "Device", None, None, None, ()),
    ]


zone = st.tuples(
    st.integers(0, 1023),
    st.sampled_from(["DMA", "DMA32", "Normal", "HighMem", "Movable", "Device"]),
    st.none() | st.integers(0, 2**40),
    st.none() | st.integers(0, 2**40),
    st.none() | st.integers(0, 2**40),
    st.lists(st.integers(0, 2**40), max_size=6).map(tuple),
)


@given(st.lists(zone, max_size=8))
def test_zones_give_back_what_they_were_made_of(wanted: list[tuple[int, str, int, int, int, tuple[int, ...]]]) -> None:
    """Round trip of random zones, in which any watermark may be missing."""
    lines = []
    for node, name, low, high, managed, protection in wanted:
        lines.append(f"Node {node}, zone {name:>8}\n  pages free     77\n        min      3\n")
        for word, value in (("low", low), ("high", high), ("managed", managed)):
            if value is not None:
                lines.append(f"        {word:8} {value}\n")
        lines.append(f"        protection: ({', '.join(map(str, protection))})\n    cpu: 0\n              high:  9\n")
    assert text.zones(WHERE, "".join(lines).encode()) == wanted


@pytest.mark.parametrize(
    "content",
    [b"Node x, zone DMA\n", b"Node 0\nNode 0, zone DMA\nNode 0, zone\n", b"Node 99999999999999999999, zone A\n"],
)
def test_a_zone_without_node_or_name_is_refused(content: bytes) -> None:
    """Watermarks that belong to no known zone cannot be attributed to a cell."""
    with pytest.raises(FactError) as caught:
        text.zones(WHERE, content)
    assert caught.value.where == WHERE


# --- names -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 999_999_999))
def test_a_number_in_a_name_is_found(value: int) -> None:
    """Ids of nodes and sizes of huge pages are parts of directory names."""
    assert text.suffix_number(f"node{value}", "node") == value
    assert text.suffix_number(f"hugepages-{value}kB", "hugepages-", "kB") == value


@pytest.mark.parametrize(
    "name",
    [
        "node",
        "nodes",
        "node-1",
        "node1x",
        "xnode1",
        "node 1",
        "node01",
        "node\u0661",
        "node1_0",
        "node\xb2",
        "node" + "1" * 5000,
    ],
)
def test_a_name_of_another_form_has_no_number(name: str) -> None:
    """Leading zeros, other scripts' digits and underscores would pass int() and name a second node 1."""
    assert text.suffix_number(name, "node") is None
