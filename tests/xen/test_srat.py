"""True memory of Xen's nodes: parsing ACPI's SRAT, and every reason for not believing it."""

from __future__ import annotations

from contextlib import suppress
from struct import pack_into

import pytest
from fake_xen import GIB, MIB, PC_E820, PC_MEMORY, PC_TOTAL_PAGES, fake_srat, two_node_srat
from hypothesis import given
from hypothesis import strategies as st

from numaprobe.errors import FactError
from numaprobe.xen.facts import CpuInfo, CpuTopology, MapEntry, NodeMemory
from numaprobe.xen.srat import MemoryRange, Srat, parse, present_pages

MAP = tuple(MapEntry(*entry) for entry in PC_E820)
NODES = (NodeMemory(2560 * MIB, GIB), NodeMemory(2560 * MIB, GIB))
CPUS = tuple(CpuTopology(cpu % 4, cpu // 4, cpu // 4) for cpu in range(8))
CPUINFO = tuple(CpuInfo(True, cpu, cpu) for cpu in range(8))


def pages_of(table: bytes, **changes: object) -> tuple[int | None, ...]:
    """``present_pages`` of the PC with two nodes, with some of its arguments changed."""
    arguments = {
        "memory_map": MAP, "total_pages": PC_TOTAL_PAGES, "nodes": NODES, "cpus": CPUS, "cpuinfo": CPUINFO, **changes
    }  # fmt: skip
    return present_pages(parse(table), **arguments)  # type: ignore[arg-type]


def test_a_span_with_a_hole_is_cut_to_its_ram() -> None:
    """Both nodes span 2560 MiB; the second has the hole below 4 GiB in it."""
    assert pages_of(two_node_srat()) == (655263, 393184)
    assert sum((655263, 393184)) == PC_TOTAL_PAGES


def test_nodes_are_numbered_by_first_appearance() -> None:
    """Domains of CPUs precede those of memory, and x2APIC entries precede APIC ones, wherever they stand."""
    apic = fake_srat([(7, 1)], [(9, 0, GIB), (7, GIB, GIB)])
    assert parse(apic).domains == (7, 9)
    both = apic[:48] + apic[48:] + fake_srat([(5, 300)], [], x2apic=True)[48:]
    fixed = bytearray(both)
    pack_into("<I", fixed, 4, len(fixed))
    fixed[9] = (fixed[9] - sum(fixed)) & 0xFF
    found = parse(bytes(fixed))
    assert found.domains == (5, 7, 9)
    assert found.apic_nodes == {300: 0, 1: 1}
    assert found.ranges == (MemoryRange(0, GIB, 2, False), MemoryRange(GIB, 2 * GIB, 1, False))


def test_a_memory_only_node_comes_after_all_nodes_with_cpus() -> None:
    """Domains 0 with cpus, 1 without, 2 with cpus are Xen's nodes 0, 2 and 1."""
    table = fake_srat([(0, 0), (2, 1)], [(0, 0, GIB), (1, GIB, GIB), (2, 2 * GIB, GIB)])
    assert [piece.node for piece in parse(table).ranges] == [0, 2, 1]
    found = present_pages(parse(table), (MapEntry(0, 3 * GIB, 1),), 3 * GIB >> 12, (NodeMemory(GIB, 0),) * 3, (), None)
    assert found == (GIB >> 12,) * 3


def test_disabled_entries_do_not_count() -> None:
    """Firmware fills the table with entries for what is not plugged in."""
    table = fake_srat([(0, 0)], [(3, 5 * GIB, GIB), (0, 0, GIB)], disabled=(0,))
    assert parse(table) == Srat((0,), (MemoryRange(0, GIB, 0, False),), {0: 0})


@pytest.mark.parametrize(("revision", "domain"), [(1, 0x34), (2, 0x1234), (3, 0x1234)])
def test_domains_have_eight_bits_before_revision_two(revision: int, domain: int) -> None:
    """The upper bits of an old table are not its domain's."""
    table = fake_srat([(0x1234, 0)], [(0x1234, 0, GIB)], revision=revision)
    assert parse(table).domains == (domain,)


def test_a_node_of_cpus_alone_has_no_pages() -> None:
    """Its 0 is a fact and not an unknown."""
    table = fake_srat([(0, 0), (1, 1)], [(0, 0, GIB)])
    nodes = (NodeMemory(GIB, 0), NodeMemory(0, 0))
    assert present_pages(parse(table), (MapEntry(0, GIB, 1),), GIB >> 12, nodes, (), None) == (GIB >> 12, 0)


def test_a_hot_pluggable_range_has_no_part_in_the_span() -> None:
    """Xen leaves it out of the node's span and gives the node what is plugged in there at boot."""
    memory = [*PC_MEMORY, (1, 5 * GIB, 64 * GIB)]
    assert pages_of(fake_srat([(0, 0), (1, 4)], memory, hot_pluggable=(4,))) == (655263, 393184)


def test_a_node_that_is_only_hot_pluggable_is_not_there() -> None:
    """It takes a number, and Xen has no such node; RAM in it would be nobody's."""
    memory = [*PC_MEMORY, (7, 64 * GIB, GIB)]
    assert pages_of(fake_srat([(0, 0), (1, 4)], memory, hot_pluggable=(4,))) == (655263, 393184)
    with pytest.raises(FactError, match="node 1, which Xen does not have"):
        present_pages(
            parse(fake_srat([(0, 0)], [(0, 0, GIB), (1, GIB, GIB)], hot_pluggable=(1,))),
            (MapEntry(0, 2 * GIB, 1),), 2 * GIB >> 12, (NodeMemory(GIB, 0),), (), None,
        )  # fmt: skip


def test_a_span_is_cut_where_ram_ends() -> None:
    """Firmware may promise addresses beyond the last RAM."""
    memory = [*PC_MEMORY[:3], (1, 4 * GIB, 60 * GIB)]
    assert pages_of(fake_srat([(0, 0), (1, 4)], memory)) == (655263, 393184)


def test_ranges_of_one_node_may_overlap() -> None:
    """The RAM in the overlap counts once."""
    memory = [*PC_MEMORY, (1, 4 * GIB + MIB, MIB)]
    assert pages_of(fake_srat([(0, 0), (1, 4)], memory)) == (655263, 393184)


@pytest.mark.parametrize(
    ("memory", "changes", "said"),
    [
        (PC_MEMORY[:3], {}, "node 1 spans"),
        ([(0, 0, 2560 * MIB), *PC_MEMORY[2:3]], {"nodes": (NODES[0], NodeMemory(512 * MIB, 0))}, "in no node"),
        ([*PC_MEMORY, (0, 3 * GIB - MIB, 2 * MIB)], {}, "two nodes overlap"),
        (PC_MEMORY, {"total_pages": PC_TOTAL_PAGES + 1}, "do not add up"),
        (PC_MEMORY, {"nodes": NODES[:1]}, r"Xen has nodes \[0\] and the table \[0, 1\]"),
        (PC_MEMORY, {"nodes": (*NODES, NodeMemory(0, 0))}, r"Xen has nodes \[0, 1, 2\]"),
        (PC_MEMORY, {"nodes": (NODES[0], NodeMemory(2561 * MIB, 0))}, "node 1 spans"),
        (PC_MEMORY, {"nodes": (NODES[0], NodeMemory(2560 * MIB, 1537 * MIB))}, "more free memory"),
        (PC_MEMORY, {"memory_map": ()}, "no RAM"),
        (PC_MEMORY, {"cpus": tuple(CpuTopology(0, 0, 1 - cpu // 4) for cpu in range(8))}, "cpu 0 is on node 1"),
    ],
)
def test_what_the_hypervisor_does_not_bear_out_is_refused(
    memory: list[tuple[int, int, int]], changes: dict[str, object], said: str
) -> None:
    """The table is compared with Xen's answers, and the error says which check failed."""
    with pytest.raises(FactError, match=said):
        pages_of(fake_srat([(cpu // 4, cpu) for cpu in range(8)], memory), **changes)


def test_numa_off_and_numa_fake_are_refused() -> None:
    """Xen's one node, or four made up, are not those of the table."""
    fake = tuple(NodeMemory(1280 * MIB, 0) for _ in range(4))
    with pytest.raises(FactError, match="Xen has nodes"):
        pages_of(two_node_srat(), nodes=fake)
    with pytest.raises(FactError, match="spans"):
        pages_of(two_node_srat(), nodes=(NodeMemory(2 * GIB, 0), NodeMemory(3 * GIB, 0)))
    with pytest.raises(FactError, match="Xen has nodes"):
        pages_of(two_node_srat(), nodes=(NodeMemory(5 * GIB, 0),))


def test_an_offline_cpu_is_no_witness() -> None:
    """Its row may be of no node."""
    cpus = (CpuTopology(None, None, None), *CPUS[1:])
    assert pages_of(two_node_srat(), cpus=cpus, cpuinfo=(CpuInfo(False, 0, 0), *CPUINFO[1:])) == (655263, 393184)


def damaged(table: bytes, at: int, byte: int) -> bytes:
    """The table with one byte changed and the checksum made right again."""
    changed = bytearray(table)
    changed[at] = byte
    if at != 9:
        changed[9] = (changed[9] - sum(changed)) & 0xFF
    return bytes(changed)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "only 0 bytes"),
        (two_node_srat()[:47], "only 47 bytes"),
        (two_node_srat()[:-1], "wrong length"),
        (damaged(two_node_srat(), 0, ord("X")), "not the table"),
        (damaged(two_node_srat(), 9, 0x55), "checksum"),
        (damaged(two_node_srat(), 49, 0), "an entry at 48 with a wrong length"),
        (damaged(two_node_srat(), 49, 1), "an entry at 48 with a wrong length"),
        (damaged(two_node_srat(), 49, 15), "an entry of type 0 at 48 with a wrong length"),
        (damaged(two_node_srat(), 49, 255), "wrong length"),
    ],
)
def test_a_damaged_table_is_refused(table: bytes, said: str) -> None:
    """It is cut, spoiled, or has an entry that does not end."""
    with pytest.raises(FactError, match=said):
        parse(table)


def test_unknown_entries_are_passed_over() -> None:
    """Generic initiators are such entries, as are those that later ACPI revisions add."""
    table = two_node_srat()
    longer = bytearray(table + bytes([5, 4, 0, 0]))
    pack_into("<I", longer, 4, len(longer))
    longer[9] = (longer[9] - sum(longer)) & 0xFF
    assert parse(bytes(longer)) == parse(table)


@given(st.binary(max_size=300), st.integers(0, 255))
def test_any_bytes_are_a_table_or_an_error(body: bytes, revision: int) -> None:
    """Behind a sound header nothing crashes the parser, and entries are consistent."""
    table = bytearray(two_node_srat()[:48] + body)
    pack_into("<IB", table, 4, len(table), revision)
    table[9] = (table[9] - sum(table)) & 0xFF
    try:
        found = parse(bytes(table))
    except FactError:
        return
    assert all(piece.node < len(found.domains) and piece.start < piece.end for piece in found.ranges)
    with suppress(FactError):
        present_pages(found, MAP, PC_TOTAL_PAGES, NODES, CPUS, CPUINFO)


@given(st.binary(max_size=200))
def test_raw_bytes_are_an_error(table: bytes) -> None:
    """Without a header there is nothing to go by."""
    with pytest.raises(FactError):
        parse(table)
