"""ACPI's SRAT at its limits: each entry's fields, each comparison at its last value, each refusal to the letter."""

from __future__ import annotations

from struct import pack

import pytest
from fake_xen import GIB, MIB, PC_E820, PC_MEMORY, PC_TOTAL_PAGES, fake_srat, two_node_srat

from numaprobe.errors import FactError
from numaprobe.xen.facts import CpuInfo, CpuTopology, MapEntry, NodeMemory
from numaprobe.xen.srat import MemoryRange, Srat, parse, present_pages

PATH = "sys/firmware/acpi/tables/SRAT"
MAP = tuple(MapEntry(*entry) for entry in PC_E820)
PAGE = 4096


def table(*entries: bytes, revision: int = 3, length: int | None = None, tail: bytes = b"") -> bytes:
    """A table of these entries, which says that it has ``length`` bytes, with ``tail`` behind it."""
    body = b"".join(entries)
    whole = 48 + len(body) if length is None else length
    made = bytearray(pack("<4sIB39x", b"SRAT", whole, revision) + body + tail)
    made[9] = -sum(made[:whole]) & 0xFF
    return bytes(made)


def apic(domain: int, apic_id: int, flags: int = 1) -> bytes:
    return pack("<BBBBIB3s4x", 0, 16, domain & 0xFF, apic_id, flags, 0, (domain >> 8).to_bytes(3, "little"))


def x2apic(domain: int, apic_id: int, flags: int = 1) -> bytes:
    return pack("<BB2xIII8x", 2, 24, domain, apic_id, flags)


def memory(domain: int, base: int, length: int, flags: int = 1) -> bytes:
    return pack("<BBI2xQQ4xI8x", 1, 40, domain, base, length, flags)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (table(), Srat((), (), {})),
        (table(tail=b"any"), Srat((), (), {})),
        (table(apic(5, 1), tail=apic(6, 2)), Srat((5,), (), {1: 0})),
        (table(apic(5, 1, flags=0), apic(6, 2, flags=3)), Srat((6,), (), {2: 0})),
        (table(x2apic(5, 1, flags=0), x2apic(6, 2, flags=3)), Srat((6,), (), {2: 0})),
        (table(apic(5, 1, flags=2), x2apic(6, 2, flags=2), memory(7, 0, PAGE, flags=2)), Srat((), (), {})),
        (table(apic(5, 1), apic(5, 2), apic(4, 3)), Srat((5, 4), (), {1: 0, 2: 0, 3: 1})),
        (table(apic(0x04030201, 1)), Srat((0x04030201,), (), {1: 0})),
        (table(apic(0x04030201, 1), revision=1), Srat((1,), (), {1: 0})),
        (table(x2apic(0x04030201, 1 << 20), revision=1), Srat((0x04030201,), (), {1 << 20: 0})),
        (table(memory(0x04030201, PAGE, PAGE)), Srat((0x04030201,), (MemoryRange(PAGE, 2 * PAGE, 0, False),), {})),
        (table(memory(0x04030201, 0, 1), revision=1), Srat((1,), (MemoryRange(0, 1, 0, False),), {})),
        (table(memory(3, 0, 0), memory(4, 0, 1, flags=3)), Srat((3, 4), (MemoryRange(0, 1, 1, True),), {})),
        (table(bytes([3, 2]), apic(5, 1)), Srat((5,), (), {1: 0})),
        (table(apic(5, 1)[:1] + b"\x12" + apic(5, 1)[2:] + b"xx", apic(6, 2)), Srat((5, 6), (), {1: 0, 2: 1})),
    ],
)
def test_the_enabled_entries_are_what_the_table_says(content: bytes, wanted: Srat) -> None:
    """Up to its own length, with the fields of each kind of entry where ACPI has them."""
    assert parse(content) == wanted


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (table()[:47], "only 47 bytes"),
        (table(length=47), "a wrong length for 48 bytes: '47'"),
        (table(length=49), "a wrong length for 48 bytes: '49'"),
        (b"XRAT" + table()[4:], "not the table: 'XRAT'"),
        (table()[:-1] + b"\1", "wrong checksum"),
        (table(b"\0"), "an entry at 48 with a wrong length: '00'"),
        (table(b"\3\0"), "an entry at 48 with a wrong length: '0300'"),
        (table(b"\3\1"), "an entry at 48 with a wrong length: '0301'"),
        (table(apic(5, 1), b"\3\3"), "an entry at 64 with a wrong length: '0303'"),
        (table(b"\0\x0f" + bytes(13)), "an entry of type 0 at 48 with a wrong length: '15'"),
        (table(b"\1\x27" + bytes(37)), "an entry of type 1 at 48 with a wrong length: '39'"),
        (table(b"\2\x17" + bytes(21)), "an entry of type 2 at 48 with a wrong length: '23'"),
    ],
)
def test_a_broken_table_is_refused_with_what_is_wrong(content: bytes, text: str) -> None:
    """With the place in the table and the bytes there."""
    with pytest.raises(FactError) as caught:
        parse(content)
    assert str(caught.value) == f"{PATH}: {text}"


def pages_of(
    ranges: list[tuple[int, int, int]], ram: list[tuple[int, int]], *, hot_pluggable: tuple[int, ...] = (), **known: int
) -> tuple[int | None, ...]:
    """Pages by node, of one node or two; what is not said of them is as the table has it."""
    found = parse(fake_srat([], ranges, hot_pluggable=hot_pluggable))
    top = max(start + size for start, size in ram) // PAGE * PAGE
    nodes = []
    for node in range(len(found.domains)):
        own = [one for one in found.ranges if one.node == node and not one.hot_pluggable]
        span = min(max(one.end for one in own), top) - min(one.start for one in own)
        nodes.append(NodeMemory(known.get(f"memsize{node}", span), known.get(f"memfree{node}", 0)))
    total = known.get("total", sum(size // PAGE for _, size in ram))
    return present_pages(found, tuple(MapEntry(*row, 1) for row in ram), total, nodes, (), None)


@pytest.mark.parametrize(
    ("ranges", "ram", "known", "pages"),
    [
        # In any order of addresses, and with two ranges that meet.
        ([(0, 8 * PAGE, 8 * PAGE), (0, 0, 8 * PAGE)], [(0, 16 * PAGE)], {}, (16,)),
        ([(0, 0, 8 * PAGE), (1, 8 * PAGE, 8 * PAGE)], [(0, 16 * PAGE)], {}, (8, 8)),
        # Ranges of a node that overlap, the second within the first or beyond it.
        ([(0, 0, 8 * PAGE), (0, 2 * PAGE, 2 * PAGE)], [(0, 8 * PAGE)], {}, (8,)),
        ([(0, 0, 8 * PAGE), (0, 6 * PAGE, 4 * PAGE)], [(0, 10 * PAGE)], {}, (10,)),
        ([(0, 0, 8 * PAGE), (0, 2 * PAGE, PAGE), (0, 7 * PAGE, 2 * PAGE)], [(0, 9 * PAGE)], {}, (9,)),
        # Free memory up to all of it.
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memfree0": 8 * PAGE}, (8,)),
        # A span that is less than a page from Xen's.
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memsize0": 9 * PAGE - 1}, (8,)),
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memsize0": 7 * PAGE + 1}, (8,)),
        # Parts of a page at the end of an entry do not count, and a span ends on the last whole page.
        ([(0, 0, 16 * PAGE)], [(0, 8 * PAGE + 5)], {}, (8,)),
        ([(0, 0, 16 * PAGE)], [(0, 2 * PAGE + 5), (4 * PAGE, PAGE - 1)], {}, (2,)),
        # A range that has no RAM, before it and behind it.
        ([(0, 0, 4 * PAGE), (0, 4 * PAGE, 4 * PAGE)], [(4 * PAGE, 4 * PAGE)], {"memsize0": 8 * PAGE}, (4,)),
        ([(0, 0, 4 * PAGE), (0, 4 * PAGE, 4 * PAGE)], [(0, 4 * PAGE)], {}, (4,)),
    ],
)
def test_ram_is_counted_in_the_node_whose_range_has_it(
    ranges: list[tuple[int, int, int]], ram: list[tuple[int, int]], known: dict[str, int], pages: tuple[int, ...]
) -> None:
    """In whole pages, once, up to the last value of each check that is believed."""
    assert pages_of(ranges, ram, **known) == pages


@pytest.mark.parametrize(
    ("ranges", "ram", "known", "text"),
    [
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memfree0": 8 * PAGE + 1},
         "node 0 has more free memory than the table gives it: '8 pages'"),
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memsize0": 9 * PAGE},
         "Xen's node 0 spans 36864 bytes, in the table: '32768 bytes'"),
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"memsize0": 7 * PAGE},
         "Xen's node 0 spans 28672 bytes, in the table: '32768 bytes'"),
        ([(0, 0, 8 * PAGE), (1, 7 * PAGE, PAGE)], [(0, 8 * PAGE)], {},
         "ranges of two nodes overlap at: '0x7000'"),
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE)], {"total": 9},
         "its ranges do not add up to the machine's 9 pages: '8 pages'"),
        ([(0, 0, 8 * PAGE)], [(0, 8 * PAGE), (9 * PAGE, PAGE)], {},
         "RAM that is in no node begins at: '0x9000'"),
        ([(0, PAGE, 8 * PAGE)], [(0, 9 * PAGE)], {}, "RAM that is in no node begins at: '0x0'"),
    ],
)  # fmt: skip
def test_a_check_that_fails_by_one_is_said(
    ranges: list[tuple[int, int, int]], ram: list[tuple[int, int]], known: dict[str, int], text: str
) -> None:
    """A byte or a page past what is believed, with both figures."""
    with pytest.raises(FactError) as caught:
        pages_of(ranges, ram, **known)
    assert str(caught.value) == f"{PATH}: {text}"


def test_a_map_without_ram_is_refused() -> None:
    """An entry of another kind, or of no bytes, is none."""
    with pytest.raises(FactError) as caught:
        present_pages(parse(fake_srat([], [(0, 0, GIB)])), (MapEntry(0, 0, 1), MapEntry(0, GIB, 2)), 0, (), (), None)
    assert str(caught.value) == "memory_op machine_memory_map: contains no RAM"


def test_ram_in_a_node_that_xen_does_not_have_is_refused() -> None:
    """A node with hot-pluggable memory alone has a number and no span."""
    found = parse(fake_srat([], [(0, 0, GIB), (1, GIB, GIB)], hot_pluggable=(1,)))
    ram = (MapEntry(0, 2 * GIB, 1),)
    with pytest.raises(FactError) as caught:
        present_pages(found, ram, 2 * GIB >> 12, (NodeMemory(GIB, 0), None), (), None)
    assert str(caught.value) == f"{PATH}: node 1, which Xen does not have, would have: '262144 pages'"
    first = (MapEntry(0, GIB, 1),)
    assert present_pages(found, first, GIB >> 12, (NodeMemory(GIB, 0), None), (), None) == (262144, None)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (1, "Xen has nodes [0] and the table [0, 1]: '2 nodes'"),
        (3, "Xen has nodes [0, 1, 2] and the table [0, 1]: '2 nodes'"),
    ],
)
def test_nodes_other_than_those_of_the_table_are_refused(nodes: int, text: str) -> None:
    """Both lists are in the note."""
    with pytest.raises(FactError) as caught:
        present_pages(parse(two_node_srat()), MAP, PC_TOTAL_PAGES, (NodeMemory(2560 * MIB, 0),) * nodes, (), None)
    assert str(caught.value) == f"{PATH}: {text}"


@pytest.mark.parametrize(
    ("info", "node", "refused"),
    [
        (CpuInfo(True, 4, 4), 1, False),
        (CpuInfo(True, 4, 4), 0, True),
        (CpuInfo(False, 4, 4), 0, False),
        (CpuInfo(True, None, 4), 0, False),
        (CpuInfo(True, 99, 4), 0, False),
        (None, 0, False),
    ],
)
def test_a_cpu_is_a_witness_where_it_is_online_and_in_the_table(info: CpuInfo | None, node: int, refused: bool) -> None:
    """Any other says nothing of where its node's memory is."""
    srat = parse(fake_srat([(0, 0), (1, 4)], PC_MEMORY))
    nodes = (NodeMemory(2560 * MIB, 0),) * 2
    rows, infos = (CpuTopology(0, 0, 0), CpuTopology(0, 1, node)), (CpuInfo(True, 0, 0), info)
    if not refused:
        assert present_pages(srat, MAP, PC_TOTAL_PAGES, nodes, rows, infos) == (655263, 393184)
        return
    with pytest.raises(FactError) as caught:
        present_pages(srat, MAP, PC_TOTAL_PAGES, nodes, rows, infos)
    assert str(caught.value) == f"{PATH}: cpu 1 is on node 0 for Xen, not as in the table: 'node 1'"
