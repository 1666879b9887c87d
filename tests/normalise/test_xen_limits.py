"""Xen's facts to values at each limit: spans, claims, distances, cores, and what domains hold."""

from __future__ import annotations

from typing import Any

import pytest
from fake_xen import GIB, MIB, SRAT, two_node_pc
from hosts import made

from numaprobe import Cell, Cpu, Host, Memory
from numaprobe.normalise.xen import Claims, available_memory, claims_of, from_xen
from numaprobe.normalise.xen_domains import deduce, from_domains
from numaprobe.xen.collect import collect
from numaprobe.xen.domains.facts import DomainFacts, VcpuFacts, VnodeFacts
from numaprobe.xen.facts import CpuInfo, CpuPool, CpuTopology, HeapFree, NodeClaims, NodeMemory, XenFacts

PAGE = 4096
FACTS = collect(two_node_pc("4.17", outstanding_pages=0), SRAT)
NUMA = "sysctl numainfo node 0"


def host(**changes: Any) -> Host:
    return from_xen(FACTS._replace(**changes))


def notes(of: Host) -> list[tuple[str, str]]:
    return [tuple(note) for note in of.notes]  # type: ignore[misc]


def nodes(memsize: int, memfree: int) -> tuple[NodeMemory | None, ...]:
    return NodeMemory(memsize, memfree), FACTS.nodes[1]


@pytest.mark.parametrize(
    ("changes", "memory", "noted"),
    [
        ({"nodes": nodes(1 << 56, 0), "present_pages": None, "heap": None}, {"span": 1 << 56, "free": 0}, None),
        ({"nodes": nodes((1 << 56) + PAGE, 5), "present_pages": None, "heap": None}, {"span": None, "free": 5},
         (f"{NUMA} memsize", f"impossible: {(1 << 56) + PAGE} where at most {1 << 56} are possible")),
        ({"nodes": nodes(GIB, GIB), "present_pages": None, "heap": None}, {"span": GIB, "free": GIB}, None),
        ({"nodes": nodes(GIB, GIB + 1), "present_pages": None, "heap": None}, {"span": GIB, "free": None},
         (f"{NUMA} memfree", f"impossible: {GIB + 1} where at most {GIB} are possible")),
        ({"nodes": nodes(GIB, 8193), "present_pages": (2, 5), "heap": None}, {"total": 8192, "free": None},
         (f"{NUMA} memfree", "impossible: 8193 where at most 8192 are possible")),
        ({"nodes": nodes(8192, 8192), "present_pages": (2, 5), "heap": None}, {"total": 8192, "free": 8192}, None),
        ({"nodes": nodes(8191, 0), "present_pages": (2, 5), "heap": None}, {"total": None, "free": 0},
         ("sys/firmware/acpi/tables/SRAT memory of node 0", "impossible: 8192 where at most 8191 are possible")),
        ({"nodes": nodes(8191, 0), "present_pages": (1048447, None), "heap": None}, {"total": None},
         ("sysctl physinfo memory of node 0", "impossible: 4294438912 where at most 8191 are possible")),
        ({"nodes": nodes(GIB, 5), "heap": (HeapFree(9, 9), None), "present_pages": None}, {"free_below_4g": 9}, None),
        ({"nodes": nodes(GIB, 5), "heap": (HeapFree(4, 6), None), "present_pages": None}, {"free_below_4g": None},
         ("sysctl availheap node 0 below 4 GiB", "impossible: 6 where at most 5 are possible")),
        ({"nodes": nodes(8 * GIB, 6 * GIB), "heap": (HeapFree(6 * GIB, 4 * GIB), None), "present_pages": None},
         {"free_below_4g": 4 * GIB}, None),
        ({"nodes": nodes(8 * GIB, 6 * GIB), "heap": (HeapFree(6 * GIB, 4 * GIB + 1), None), "present_pages": None},
         {"free_below_4g": None},
         ("sysctl availheap node 0 below 4 GiB", f"impossible: {4 * GIB + 1} where at most {4 * GIB} are possible")),
        ({"nodes": nodes(GIB, 0), "present_pages": None, "heap": None, "claims": (NodeClaims(GIB, 0, 0), None)},
         {"total": GIB, "total_from": "numa_meminfo size", "claimed": 0}, None),
        ({"nodes": nodes(GIB, 0), "present_pages": None, "heap": None, "claims": (NodeClaims(GIB + 1, 0, 0), None)},
         {"total": None, "total_from": None},
         ("sysctl numa_meminfo node 0 size", f"impossible: {GIB + 1} where at most {GIB} are possible")),
        ({"nodes": nodes(GIB, 5), "present_pages": None, "heap": None, "claims": (NodeClaims(GIB, 5, 5), None)},
         {"claimed": 5}, None),
        ({"nodes": nodes(GIB, 5), "present_pages": None, "heap": None, "claims": (NodeClaims(GIB, 5, 6), None)},
         {"claimed": None}, ("sysctl numa_meminfo node 0 claimed", "impossible: 6 where at most 5 are possible")),
        ({"nodes": nodes(GIB, GIB + 1), "present_pages": None, "heap": None, "claims": (NodeClaims(GIB, 5, 6), None)},
         {"claimed": 6, "free": None, "available": None},
         (f"{NUMA} memfree", f"impossible: {GIB + 1} where at most {GIB} are possible")),
    ],
)  # fmt: skip
def test_a_figure_of_a_node_is_no_more_than_what_it_is_a_part_of(
    changes: dict[str, Any], memory: dict[str, Any], noted: tuple[str, str] | None
) -> None:
    """The last that is taken, and the first that is not; each is quoted with its limit."""
    found = host(**changes)
    assert {name: getattr(found.cells[0].memory, name) for name in memory} == memory
    assert [note for note in notes(found) if "node 0" in note[0]] == ([] if noted is None else [noted])


@pytest.mark.parametrize(
    ("rows", "pages", "cells", "claims"),
    [
        (None, None, (0, 1), Claims(host=None, by_node={}, loose=0)),
        (None, 0, (0, 1), Claims(host=0, by_node={0: 0, 1: 0}, loose=0)),
        (None, 2, (0, 1), Claims(host=8192, by_node={}, loose=8192)),
        (None, 2, (3,), Claims(host=8192, by_node={3: 8192}, loose=0)),
        (None, None, (3,), Claims(host=None, by_node={}, loose=0)),
        ((NodeClaims(9, 9, 4096), None, NodeClaims(9, 9, 0)), 2, (0, 2), Claims(host=8192, by_node={0: 4096, 2: 0}, loose=4096)),
        ((NodeClaims(9, 9, 8192),), 2, (0,), Claims(host=8192, by_node={0: 8192}, loose=0)),
        ((NodeClaims(9, 9, 9000),), 2, (0,), Claims(host=8192, by_node={0: 9000}, loose=0)),
        ((NodeClaims(9, 9, 0),), None, (0,), Claims(host=None, by_node={0: 0}, loose=0)),
    ],
)  # fmt: skip
def test_claims_are_on_a_node_or_on_none_in_particular(
    rows: tuple[NodeClaims | None, ...] | None, pages: int | None, cells: tuple[int, ...], claims: Claims
) -> None:
    """With a single node all of them are on it."""
    assert claims_of(rows, pages, cells) == claims


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        (Claims(host=None, by_node={}, loose=0), (100, "numainfo memfree")),
        (Claims(host=0, by_node={}, loose=0), (100, "numainfo memfree")),
        (Claims(host=50, by_node={}, loose=50), (None, None)),
        (Claims(host=50, by_node={1: 50}, loose=0), (None, None)),
        (Claims(host=50, by_node={0: 49}, loose=1), (None, None)),
        (Claims(host=50, by_node={0: 50}, loose=0), (50, "numainfo memfree less physinfo outstanding_pages")),
        (Claims(host=50, by_node={0: 20, 1: 30}, loose=0), (80, "numainfo memfree less numa_meminfo claimed")),
        (Claims(host=100, by_node={0: 100}, loose=0), (0, "numainfo memfree less physinfo outstanding_pages")),
        (Claims(host=101, by_node={0: 101}, loose=0), (0, "numainfo memfree less physinfo outstanding_pages")),
    ],
)
def test_what_is_available_is_less_by_the_claims_on_the_node(
    claims: Claims, told: tuple[int | None, str | None]
) -> None:
    """Unknown where some may be on any."""
    assert available_memory(100, claims, 0) == told


@pytest.mark.parametrize(
    ("distances", "first", "second"),
    [
        (((10, 255), (0, 10)), ((0, 10), (1, 255)), ((0, 0), (1, 10))),
        (((10, 256), (20, 10)), ((0, 10), (1, None)), ((0, 20), (1, 10))),
        (((10,), (20, 10)), ((0, 10), (1, None)), ((0, 20), (1, 10))),
        (((10, 20),), ((0, 10), (1, 20)), None),
        ((), None, None),
    ],
)
def test_distances_are_bytes_of_a_square(distances: Any, first: Any, second: Any) -> None:
    """A row or a column that is missing is unknown."""
    found = host(distances=distances)
    assert [cell.distances for cell in found.cells] == [first, second]
    text = "impossible: 256 where at most 255 are possible"
    assert notes(found) == (
        [("sysctl numainfo distances of node 0", text)] if distances and 256 in distances[0] else []
    )


def cpus(rows: list[tuple[int, int, int]], apic_ids: list[int | None] | None, **more: Any) -> tuple[Cpu, ...]:
    """CPUs of (core, socket, node)."""
    infos = None if apic_ids is None else tuple(CpuInfo(True, apic, cpu) for cpu, apic in enumerate(apic_ids))
    known = {"online_cpus": frozenset(range(len(rows))), "cpupools": None, **more}
    found = host(cpus=tuple(CpuTopology(*row) for row in rows), cpuinfo=infos, **known)
    return found.cpus


@pytest.mark.parametrize(
    ("rows", "apic_ids", "siblings"),
    [
        ([(0, 0, 0), (0, 0, 0)], [0, 1], [(0, 1), (0, 1)]),
        ([(0, 0, 0), (0, 0, 0)], [2, 3], [(0, 1), (0, 1)]),
        ([(0, 0, 0), (0, 0, 0)], [1, 2], [None, None]),
        ([(0, 0, 0), (0, 0, 0)], [0, 2], [None, None]),
        ([(0, 0, 0)] * 3, [4, 5, 7], [(0, 1, 2)] * 3),
        ([(0, 0, 0)] * 4, [0, 1, 2, 3], [(0, 1, 2, 3)] * 4),
        ([(0, 0, 0)] * 4, [2, 3, 4, 5], [None] * 4),
        ([(0, 0, 0)] * 5, [8, 9, 10, 11, 15], [(0, 1, 2, 3, 4)] * 5),
        ([(0, 0, 0)] * 5, [4, 5, 6, 7, 8], [None] * 5),
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [7, 9, 12], [(0,), (1,), (2,)]),
        ([(0, 0, 0), (0, 0, 0)], [0, None], [(0, 1), (0, 1)]),
        # Without ids: where all are core 0 of socket 0 there are no numbers, as on Arm.
        ([(0, 0, 0)], None, [(0,)]),
        ([(0, 0, 0), (0, 0, 0)], None, [None, None]),
        ([(0, 0, 0), (0, 0, 0)], [None, None], [None, None]),
        ([(0, 0, 0), (1, 0, 0)], None, [(0,), (1,)]),
        ([(0, 0, 0), (0, 1, 0)], None, [(0,), (1,)]),
    ],
)
def test_threads_of_a_core_are_a_block_of_apic_ids(
    rows: list[tuple[int, int, int]], apic_ids: list[int | None] | None, siblings: list[tuple[int, ...] | None]
) -> None:
    """Of two, four, eight and so on: threads differ in the low bits only."""
    found = cpus(rows, apic_ids)
    assert [cpu.siblings for cpu in found] == siblings
    numbered = siblings != [None, None] or (apic_ids is not None and apic_ids[0] is not None)
    assert [cpu.core for cpu in found] == [row[0] if numbered else None for row in rows]
    assert [cpu.package for cpu in found] == [row[1] if numbered else None for row in rows]


def test_where_it_is_unknown_which_cpus_are_online_no_siblings_are_known() -> None:
    """Nor which CPUs a cell has; the cell of each is."""
    found = host(online_cpus=None)
    assert {cpu.siblings for cpu in found.cpus} == {None}
    assert {cpu.online for cpu in found.cpus} == {None}
    assert [cell.cpus for cell in found.cells] == [None, None]
    assert [cpu.cell for cpu in found.cpus] == [0] * 4 + [1] * 4


def test_offline_cpus_are_no_siblings_and_in_no_cells_list() -> None:
    """Two threads of one core, one of them offline."""
    rows = tuple(CpuTopology(cpu // 2, 0, 0) for cpu in range(4))
    infos = tuple(CpuInfo(cpu != 1, cpu, cpu) for cpu in range(4))
    found = host(cpus=rows, cpuinfo=infos, online_cpus=frozenset((0, 2, 3)), cpupools=(CpuPool(2, 6, 1, (0, 3)),))
    assert [cpu.siblings for cpu in found.cpus] == [(0,), None, (2, 3), (2, 3)]
    assert [cpu.online for cpu in found.cpus] == [True, False, True, True]
    assert [cpu.pool for cpu in found.cpus] == [2, None, None, 2]
    assert [cell.cpus for cell in found.cells] == [(0, 2, 3), ()]


def test_a_cpu_that_only_its_id_shows_is_there() -> None:
    """Before 4.12 an offline CPU has no row."""
    rows = (*FACTS.cpus[:7], CpuTopology(None, None, None))
    infos = (*(FACTS.cpuinfo or ())[:7], CpuInfo(False, 7, 7))
    found = host(cpus=rows, cpuinfo=infos, online_cpus=frozenset(range(7)))
    last = found.cpus[7]
    assert (len(found.cpus), last.online, last.cell, last.package, last.core) == (8, False, None, None, None)
    infos = (*infos[:7], None)
    assert len(host(cpus=rows, cpuinfo=infos, online_cpus=frozenset(range(7))).cpus) == 7


@pytest.mark.parametrize(
    ("capabilities", "machine"),
    [
        ("xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 ", "x86_64"),
        ("xen-3.0-x86_32p hvm-3.0-x86_32 ", "i686"),
        ("xen-3.0-aarch64 xen-3.0-armv7l ", "aarch64"),
        ("xen-3.0-armv7l", "armv7l"),
        ("xen-3.0-ia64", "ia64"),
        ("xen-3.0-riscv64", None),
        ("", None),
        (None, None),
    ],
)
def test_the_architecture_is_the_widest_of_the_guests(capabilities: str | None, machine: str | None) -> None:
    """None for one that is not known."""
    assert host(version=FACTS.version._replace(capabilities=capabilities)).machine == machine


# --- domains ------------------------------------------------------------------------------------------------------

DOMAIN: dict[str, Any] = {
    "id": 3, "flags": 0x20, "tot_pages": 10, "max_pages": 20, "outstanding_pages": 2, "shr_pages": 1, "paged_pages": 4,
    "online_vcpus": 2, "max_vcpu_id": 3, "handle": bytes(range(16)), "cpupool": 0, "node_affinity": (0, 1),
}  # fmt: skip
CELLS = (
    Cell(id=0, cpus=(), memory=Memory(total=8 * PAGE, free=0)),
    Cell(id=1, cpus=(), memory=Memory(total=None, span=8 * PAGE, free=0)),
)


def plain(cells: tuple[Cell, ...] = CELLS, **more: Any) -> Host:
    known = {
        "source": "xen",
        "cells": cells,
        "notes": (),
        "cpus": tuple(made(Cpu, id=i, online=True) for i in range(4)),
    }
    return made(Host, **{**known, **more})


def domain(of: Host | None = None, located: dict[int, int] | None = None, **known: Any) -> Any:
    facts = made(DomainFacts, **{**DOMAIN, **known})
    return from_domains([facts], of or plain(), located=None if located is None else {3: located})


@pytest.mark.parametrize(
    ("known", "located", "memory", "cells", "unplaced", "how"),
    [
        ({"node_pages": {0: 4, 1: 6}}, None, 10, {0: 4, 1: 6}, 0, "exact"),
        ({"node_pages": {0: 4, 1: 5}}, None, 10, {0: 4, 1: 5}, 1, "exact"),
        ({"node_pages": {0: 4, 1: 7}}, None, 11, {0: 4, 1: 7}, 0, "exact"),
        ({"node_pages": {0: 8, 1: 8}}, None, 16, {0: 8, 1: 8}, 0, "exact"),
        ({}, {0: 4, 1: 5}, 10, {0: 4, 1: 5}, 1, "debug-key"),
        ({}, {0: 4, 1: 7}, 11, {0: 4, 1: 7}, 0, "debug-key"),
        ({"tot_pages": 16}, None, 16, {0: 8, 1: 8}, 0, "deduced"),
        ({"tot_pages": 15}, None, 15, None, 15, "unknown"),
        ({"tot_pages": 0}, None, 0, {0: 0, 1: 0}, 0, "deduced"),
        ({"tot_pages": 16}, {0: 7, 1: 7}, 16, {0: 8, 1: 8}, 0, "deduced"),
    ],
)
def test_what_a_domain_holds_is_counted_deduced_or_printed(
    known: dict[str, Any], located: dict[int, int] | None, memory: int, cells: dict[int, int] | None, unplaced: int,
    how: str,
) -> None:  # fmt: skip
    """In pages; one that grew between two counts has what the later one says."""
    found = domain(located=located, **known)
    (one,) = found
    assert one.memory == memory * PAGE
    assert one.cells == (None if cells is None else tuple((cell, size * PAGE) for cell, size in cells.items()))
    assert (one.unplaced, one.how) == (unplaced * PAGE, how)
    sources = {"exact": "domctl numa_op", "debug-key": "sysctl debug_keys u", "unknown": None}
    assert one.how_from == sources.get(how, "numainfo and getdomaininfolist")
    assert found.complete
    assert found.notes == ()


@pytest.mark.parametrize(
    ("known", "located", "where", "text"),
    [
        ({"tot_pages": 17}, None, "domctl getdomaininfo domain 3: memory", "69632 where at most 65536"),
        ({"node_pages": {0: 9}}, None, "domctl numa_op domain 3", "36864 where at most 32768"),
        ({"node_pages": {1: 9}}, None, "domctl numa_op domain 3", "36864 where at most 32768"),
        ({"node_pages": {5: 1}}, None, "domctl numa_op domain 3", "4096 where at most 0"),
        ({}, {0: 9}, "sysctl debug_keys u domain 3", "36864 where at most 32768"),
    ],
)
def test_more_than_a_cell_has_is_no_fact_of_a_domain(
    known: dict[str, Any], located: dict[int, int] | None, where: str, text: str
) -> None:
    """A list with such a figure is not complete."""
    found = domain(located=located, **known)
    assert [tuple(note) for note in found.notes] == [(where, f"impossible: {text} are possible")]
    assert not found.complete
    (one,) = found
    assert one.cells is None
    assert one.memory == (None if "tot_pages" in known else 10 * PAGE)


def test_where_the_size_of_a_cell_is_unknown_addresses_are_the_limit() -> None:
    """Of 56 bits."""
    unknown = plain((CELLS[0], Cell(id=1, cpus=(), memory=Memory(free=0))))
    (one,) = domain(unknown, tot_pages=1 << 44)
    assert one.memory == 1 << 56
    assert domain(unknown, tot_pages=(1 << 44) + 1)[0].memory is None
    (one,) = domain(unknown, tot_pages=1 << 30, node_pages={1: 1 << 30})
    assert dict(one.cells or ())[1] == 1 << 42


@pytest.mark.parametrize(
    ("flags", "kind", "state"),
    [
        (0x00, "pv", "running"), (0x02, "hvm", "running"), (0x01, "pv", "dying"), (0x03, "hvm", "dying"),
        (0x08, "pv", "paused"), (0x0A, "hvm", "paused"), (0x04, "pv", "shutdown"), (0x04 | 2 << 16, "pv", "suspended"),
        (0x04 | 3 << 16, "pv", "crashed"), (0x0C | 4 << 16, "pv", "shutdown"), (0x05, "pv", "dying"),
        (0x04 | 0x102 << 16, "pv", "suspended"), (0x30, "pv", "running"),
    ],
)  # fmt: skip
def test_flags_are_a_kind_and_a_state(flags: int, kind: str, state: str) -> None:
    """The last state that it came to; the reason of a shutdown is in eight bits above."""
    (one,) = domain(flags=flags)
    assert (one.kind, one.state) == (kind, state)


@pytest.mark.parametrize(
    ("known", "field", "told"),
    [
        ({}, "maximum", 20 * PAGE),
        ({"max_pages": 0xFFFFFFFE}, "maximum", 0xFFFFFFFE * PAGE),
        ({"max_pages": 0xFFFFFFFF}, "maximum", None),
        ({"max_pages": 0x7FFFFFFFFFFFFFFF}, "maximum", None),
        ({}, "claimed", 2 * PAGE),
        ({"outstanding_pages": None}, "claimed", None),
        ({}, "shared", PAGE),
        ({}, "paged", 4 * PAGE),
        ({"paged_pages": None}, "paged", None),
        ({}, "vcpus", 2),
        ({}, "vcpus_maximum", 4),
        ({"max_vcpu_id": 0}, "vcpus_maximum", 1),
        ({"max_vcpu_id": None}, "vcpus_maximum", 0),
        ({}, "uuid", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        ({"handle": bytes(16)}, "uuid", None),
        ({}, "pool", 0),
        ({"vnodes": (VnodeFacts(1, MIB, (0,)),)}, "guest_cells", ((1, MIB, (0,), None),)),
        ({}, "guest_cells", None),
        ({"vcpus": ()}, "each_vcpu", ()),
        ({}, "each_vcpu", None),
    ],
)
def test_each_field_of_a_domain_is_xens(known: dict[str, Any], field: str, told: object) -> None:
    """In bytes where Xen counts pages, and None where it has no figure."""
    (one,) = domain(**known)
    found = getattr(one, field)
    assert (tuple(map(tuple, found)) if field == "guest_cells" and found else found) == told


@pytest.mark.parametrize(
    ("nodes_", "cells"), [((0, 1), (0, 1)), ((1, 5), (1,)), ((5,), None), ((), None), (None, None)]
)
def test_an_affinity_is_to_cells_that_exist(nodes_: tuple[int, ...] | None, cells: tuple[int, ...] | None) -> None:
    """None of them is unknown, and not none at all."""
    assert domain(node_affinity=nodes_)[0].affinity.cells == cells


def test_a_vcpu_may_use_the_online_cpus_of_its_pool() -> None:
    """Of those that were requested; an offline vcpu has no part in the domain's affinity."""
    pooled = tuple(made(Cpu, id=i, online=i != 2, pool=i // 4) for i in range(8))
    facts = (
        made(VcpuFacts, id=0, online=True, cpu=1, hard=(0, 1, 2, 5), soft=(3, 6)),
        made(VcpuFacts, id=1, online=True, cpu=3, hard=(3,), soft=None),
        made(VcpuFacts, id=2, online=False, cpu=0, hard=(0,), soft=None),
    )
    (one,) = domain(plain(cpus=pooled), vcpus=facts)
    assert [(vcpu.id, vcpu.online, vcpu.cpu, vcpu.cpus, vcpu.soft_cpus) for vcpu in one.each_vcpu] == [
        (0, True, 1, (0, 1), (3,)),
        (1, True, 3, (3,), None),
        (2, False, 0, (0,), None),
    ]
    assert one.affinity.cpus == (0, 1, 3)


@pytest.mark.parametrize(
    ("memory", "cells", "told"),
    [
        (10, [(10, 0), (10, 10)], {0: 10, 1: 0}),
        (10, [(10, 0), (10, 9)], None),
        (11, [(10, 0), (10, 9)], {0: 10, 1: 1}),
        (12, [(10, 0), (10, 9)], None),
        (5, [(10, 5), (10, 12)], {0: 5, 1: 0}),
        (5, [(None, 5), (10, 10)], {0: 5, 1: 0}),
        (5, [(10, None), (10, 10)], {0: 5, 1: 0}),
        (0, [(10, 5), (10, 5)], {0: 0, 1: 0}),
        (5, [(10, 0)], {0: 5}),
    ],
)
def test_a_domain_is_placed_where_there_is_one_way_only(
    memory: int, cells: list[tuple[int | None, int | None]], told: dict[int, int] | None
) -> None:
    """No more than what is allocated of a cell is on it; a figure that is unknown bounds nothing."""
    known = [Cell(id=i, cpus=(), memory=Memory(total=total, free=free)) for i, (total, free) in enumerate(cells)]
    assert deduce(memory, known) == told
    spans = [Cell(id=i, cpus=(), memory=Memory(span=total, free=free)) for i, (total, free) in enumerate(cells)]
    assert deduce(memory, spans) == told


def test_these_facts_are_whole() -> None:
    """What is changed above is changed from facts without a note."""
    assert isinstance(FACTS, XenFacts)
    assert host().notes == ()
