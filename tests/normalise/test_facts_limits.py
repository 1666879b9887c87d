"""Facts to values at each limit: the last figure that is taken, the first that is not, each note to the letter."""

from __future__ import annotations

from typing import Any

import pytest
from hosts import made

from numaprobe import Allowed, Cell, Cpu, Domain, Host, HugePages, Memory, MemoryFailures, Note, Vcpu
from numaprobe.linux.facts import (
    AccessFacts,
    AllowedFacts,
    CpuFacts,
    HugePageFacts,
    LinuxFacts,
    MeminfoFacts,
    NodeFacts,
    SideCacheFacts,
    ZoneFacts,
)
from numaprobe.linux.guests.facts import Found, GuestFacts, ThreadFacts
from numaprobe.linux.memory_state import FailureFacts
from numaprobe.normalise.available import KeptBack, available_above, page_kb
from numaprobe.normalise.domains import account, from_guests
from numaprobe.normalise.hmat import access_of, side_cache_of
from numaprobe.normalise.linux import from_linux
from numaprobe.normalise.possible import kb, within
from numaprobe.normalise.remote import of_domain, of_guest

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def cpu_facts(*online: int, **more: Any) -> CpuFacts:
    empty = ("package", "die", "cluster", "core", "book", "drawer", "siblings", "capacity")
    known = {**{name: {} for name in empty}, "kinds": (), "isolated_are_all": True, "present": online, "online": online}
    return made(CpuFacts, **{**known, **more})


def node(number: int, cpus: tuple[int, ...] | None = (), total_kb: int | None = 1024, **more: Any) -> NodeFacts:
    info = None if total_kb is None else MeminfoFacts(total_kb=total_kb, free_kb=0)
    known = {"id": number, "cpus": cpus, "meminfo": info, "huge_pages": (), "accesses": (), "side_caches": ()}
    return made(NodeFacts, **{**known, **more})


def host(*nodes: NodeFacts, cpus: CpuFacts | None = None, **more: Any) -> Host:
    known = {
        "numa": bool(nodes), "nodes": nodes, "nodes_online": tuple(one.id for one in nodes), "huge_pages": (),
        "tiers": {}, "kinds": {}, "notes": (), "cpus": cpus or cpu_facts(0),
    }  # fmt: skip
    return from_linux(made(LinuxFacts, **{**known, **more}))


def notes(of: Host) -> list[tuple[str, str]]:
    return [tuple(note) for note in of.notes]  # type: ignore[misc]


# --- Linux ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("second", "noted"), [((1,), True), (None, False)])
def test_online_cpus_that_no_node_lists_are_noted(second: tuple[int, ...] | None, noted: bool) -> None:
    """Unless the list of a node is unknown, in which they may be."""
    found = host(node(0, (0,)), node(1, second), cpus=cpu_facts(0, 1, 2, 3))
    text = ("node*/cpulist", "no node lists the online cpus 2-3; their cell is unknown")
    assert (text in notes(found)) is noted


@pytest.mark.parametrize(("drift", "noted"), [(16384, False), (16385, True), (-16384, False), (-16385, True)])
def test_the_nodes_together_are_the_machine(drift: int, noted: bool) -> None:
    """But for 16 MiB in either direction."""
    found = host(node(0, (0,), 1 << 20), node(1, (), 1 << 20), meminfo=MeminfoFacts(total_kb=(2 << 20) + drift))
    text = f"MemTotal is {(2 << 20) + drift} kB, that of the nodes together 2097152 kB"
    assert notes(found) == ([("proc/meminfo", text)] if noted else [])
    unknown = host(node(0, (0,), 1 << 20), node(1, (), None), meminfo=MeminfoFacts(total_kb=1), has_memory=(0, 1))
    assert [where for where, _ in notes(unknown)] == ["node1/meminfo"]


@pytest.mark.parametrize(
    ("own", "online", "noted"),
    [((5, 6), (5, 6, 7), True), ((0, 5), (0, 1), False), (None, (0, 1), False), ((), (0, 1), False)],
)
def test_a_list_of_cpus_without_those_of_the_process_is_not_the_kernels(
    own: tuple[int, ...] | None, online: tuple[int, ...], noted: bool
) -> None:
    """Those of the nodes are then online, and those of the process."""
    allowed = AllowedFacts(cpus=own)
    found = host(node(0, (7,)) if noted else node(0, (0, 1)), cpus=cpu_facts(0, 1), allowed=allowed)
    assert tuple(cpu.id for cpu in found.cpus if cpu.online) == online
    text = ("online", "lists 0-1, and this process may use only 5-6: not the kernel's list")
    assert (text in notes(found)) is noted


@pytest.mark.parametrize(("where", "named"), [(("a", "b"), "a"), (("a",), "a"), ((), "Mems_allowed_list")])
def test_memory_of_a_process_on_nodes_that_do_not_exist_is_noted(where: tuple[str, ...], named: str) -> None:
    """By the first file that says so."""
    found = host(node(0, (0,)), allowed=AllowedFacts(nodes=(3, 4), where=where, unpartitioned=()))
    assert found.allowed == Allowed(where=where, partitioned=(0,))
    assert notes(found) == [(named, "the memory of this process is on nodes 3-4, of which none exists")]


@pytest.mark.parametrize(
    ("has_cpu", "cpus", "noted"), [(None, None, True), ((0,), (), False), ((0, 1), None, True), ((), (), False)]
)
def test_a_node_without_a_list_has_no_cpus_where_another_file_says_so(
    has_cpu: tuple[int, ...] | None, cpus: tuple[int, ...] | None, noted: bool
) -> None:
    """Otherwise they are unknown."""
    found = host(node(0, (0,)), node(1, None), has_cpu=has_cpu)
    assert found.cell(1).cpus == cpus
    assert notes(found) == ([("node1/cpulist", "is missing: the cell's cpus are unknown")] if noted else [])


@pytest.mark.parametrize(
    ("before", "again"),
    [("node1/cpulist", False), ("sys/devices/node1/cpulist", False), ("xnode1/cpulist", True), ("cpulist", True)],
)
def test_what_is_missing_is_not_noted_where_a_note_says_why(before: str, again: bool) -> None:
    """A note on the same file, by its whole path or by its end."""
    found = host(node(0, (0,)), node(1, None), notes=((before, "cannot be read"),))
    assert notes(found)[1:] == ([("node1/cpulist", "is missing: the cell's cpus are unknown")] if again else [])


@pytest.mark.parametrize(
    ("has_memory", "memory", "noted"),
    [
        (None, Memory(), True),
        ((0, 1), Memory(), True),
        ((0,), Memory(total=0, free=0, available=0, total_from="node/has_memory", free_from="node/has_memory",
                      available_from="node/has_memory"), False),
    ],
)  # fmt: skip
def test_a_node_without_meminfo_has_no_memory_where_another_file_says_so(
    has_memory: tuple[int, ...] | None, memory: Memory, noted: bool
) -> None:
    """Otherwise it is unknown."""
    found = host(node(0, (0,)), node(1, (), None), has_memory=has_memory)
    assert found.cell(1).memory == memory
    assert notes(found) == ([("node1/meminfo", "is missing: the cell's memory is unknown")] if noted else [])


@pytest.mark.parametrize(("initiators", "told"), [(None, [None, None]), ((1,), [False, True]), ((), [False, False])])
def test_a_generic_initiator_is_a_node_in_the_list(initiators: tuple[int, ...] | None, told: list[bool | None]) -> None:
    """None where the list is not read, or not there."""
    assert [cell.generic_initiator for cell in host(node(0), node(1), generic_initiators=initiators).cells] == told


def test_a_zone_that_is_missing_is_noted() -> None:
    """Of a node with memory; one without any needs none."""
    zones = (ZoneFacts(0, "Normal", 1, 1, 256, (0,)),)
    found = host(node(0, (0,)), node(1), node(2, total_kb=0), zones=zones)
    assert notes(found) == [("proc/zoneinfo", "has no zone of node 1: its available memory is unknown")]
    assert [cell.memory.available for cell in found.cells][1:] == [None, 0]


def test_a_machine_without_nodes_and_without_meminfo_has_unknown_memory() -> None:
    """Each is noted."""
    found = host()
    assert found.cells == (Cell(id=0, cpus=(0,), memory=Memory(), huge_pages=(), stand_in=True),)
    assert notes(found) == [
        ("sys/devices/system/node", "is missing: one cell represents the whole machine"),
        ("proc/meminfo", "is missing: the cell's memory is unknown"),
    ]


@pytest.mark.parametrize(
    ("pages", "found", "noted"),
    [
        ([(2048, 1, 1, 1)], [(1, 1, 1)], []),
        ([(2048, 0, 0, 0)], [(0, 0, 0)], []),
        ([(2048, 512, 0, 0)], [(512, 0, 0)], []),
        ([(2048, 513, 0, 0)], [(None, 0, 0)],
         [("/hugepages-2048kB/nr_hugepages", "impossible: 513 where at most 512 are possible")]),
        ([(2048, 511, 0, 0), (1024, 2, 2, 0)], [(511, 0, 0), (2, 2, 0)], []),
        ([(2048, 511, 0, 0), (1024, 3, 2, 0)], [(None, None, None)] * 2,
         [("", "impossible: 1049600 kB of huge pages in 1048576 kB of memory")]),
        ([(2048, None, 1 << 35, 0)], [(None, 1 << 35, 0)], []),
        ([(2048, None, (1 << 35) + 1, 0)], [(None, None, 0)],
         [("/hugepages-2048kB/free_hugepages", "impossible: 34359738369 where at most 34359738368 are possible")]),
        ([(2048, 3, 0, 4)], [(3, 0, None)],
         [("/hugepages-2048kB/surplus_hugepages", "impossible: 4 where at most 3 are possible")]),
        ([(2048, -1, 0, 0)], [(None, 0, 0)],
         [("/hugepages-2048kB/nr_hugepages", "impossible: -1 where at most 512 are possible")]),
    ],
)  # fmt: skip
def test_huge_pages_are_within_the_memory_together(
    pages: list[tuple[Any, ...]], found: list[tuple[int | None, ...]], noted: list[tuple[str, str]]
) -> None:
    """Of 1 GiB."""
    facts = tuple(HugePageFacts(*row) for row in pages)
    of = host(node(0, (0,), 1 << 20, huge_pages=facts))
    assert [(one.total, one.free, one.surplus) for one in of.cells[0].huge_pages] == found
    assert [one.size for one in of.cells[0].huge_pages] == [row[0] << 10 for row in pages]
    assert notes(of) == [(f"node0/hugepages{where}", text) for where, text in noted]


def test_huge_pages_of_unknown_memory_are_within_what_addresses_reach() -> None:
    """56 bits of them."""
    for count, told in ((1 << 35, 1 << 35), ((1 << 35) + 1, None)):
        of = host(node(0, (0,), None, huge_pages=(HugePageFacts(2048, count, 0, 0),)))
        assert of.cells[0].huge_pages == (HugePages(size=2 * MIB, total=told, free=0, surplus=0),)


@pytest.mark.parametrize(
    ("row", "told", "text"),
    [
        ((10, 255), ((0, 10), (1, 255)), None),
        ((0, 255), ((0, 0), (1, 255)), None),
        ((10, 256), None, "has an impossible cost: '10 256'"),
        ((-1, 10), None, "has an impossible cost: '-1 10'"),
        ((255, 255), ((0, 255), (1, 255)), None),
        ((0, 0), ((0, 0), (1, 0)), None),
        ((10,), None, "has 1 columns for 2 nodes: '10'"),
        ((), None, "has 0 columns for 2 nodes"),
        ((10, 20, 30), None, "has 3 columns for 2 nodes: '10 20 30'"),
    ],
)
def test_a_distance_is_a_byte(row: tuple[int, ...], told: object, text: str | None) -> None:
    """From 0 to 255, a column for each node; the row is quoted."""
    found = host(node(0, (0,), distance=row), node(1))
    assert found.cell(0).distances == told
    assert notes(found) == ([] if text is None else [("node0/distance", text)])


def test_a_row_has_the_columns_of_the_nodes_that_are_online() -> None:
    """Of a list with more nodes than have a directory."""
    found = host(node(0, (0,), distance=(10, 20, 30)), node(2), nodes_online=(0, 1, 2))
    assert found.cell(0).distances == ((0, 10), (1, 20), (2, 30))


def test_a_cpu_that_two_nodes_list_is_in_none() -> None:
    """How many there are is noted."""
    found = host(node(0, (0, 1)), node(1, (1, 2)), node(2, (2, 3)), cpus=cpu_facts(0, 1, 2, 3))
    assert [cpu.cell for cpu in found.cpus] == [0, None, None, 2]
    assert notes(found) == [("node*/cpulist", "2 cpus are claimed by more than one node; their cell is unknown")]


@pytest.mark.parametrize(
    ("capacities", "kinds"),
    [({0: 512, 1: 1024}, ["capacity-512", "capacity-1024"]), ({0: 512, 1: 512}, [None, None]), ({0: None, 1: 512}, [None, "capacity-512"])],
)  # fmt: skip
def test_cpus_of_two_capacities_are_of_two_kinds(capacities: dict[int, int | None], kinds: list[str | None]) -> None:
    """Unless the kernel has names for the kinds."""
    found = host(node(0, (0, 1)), cpus=cpu_facts(0, 1, capacity=capacities))
    assert [cpu.kind for cpu in found.cpus] == kinds
    found = host(node(0, (0, 1)), cpus=cpu_facts(0, 1, capacity=capacities, kinds=(("core", (1,)),)))
    assert [cpu.kind for cpu in found.cpus] == [None, "core"]


@pytest.mark.parametrize(
    ("isolated", "all_", "told"),
    [(None, True, [None, None]), ((), True, [False, False]), ((), False, [None, None]), ((1,), True, [False, True]),
     ((1,), False, [None, True])],
)  # fmt: skip
def test_a_cpu_is_isolated_or_not_or_it_is_unknown(
    isolated: tuple[int, ...] | None, all_: bool, told: list[bool | None]
) -> None:
    """Of the others nothing is known where more may be isolated at run time."""
    found = host(node(0, (0, 1)), cpus=cpu_facts(0, 1, isolated=isolated, isolated_are_all=all_, nohz_full=(0,)))
    assert [cpu.isolated for cpu in found.cpus] == told
    assert [cpu.nohz_full for cpu in found.cpus] == [True, False]


@pytest.mark.parametrize(
    ("value", "most", "told"), [(0, 0, 0), (5, 5, 5), (6, 5, None), (-1, 5, None), (None, 5, None)]
)
def test_a_figure_is_from_zero_to_its_whole(value: int | None, most: int, told: int | None) -> None:
    """Any other is None, and quoted."""
    found: list[Note] = []
    assert within(value, most, "w", found, " u") == told
    odd = value is not None and told is None
    assert found == ([Note("w", f"impossible: {value} u where at most {most} u are possible")] if odd else [])


@pytest.mark.parametrize(
    ("value", "whole", "told", "most"),
    [(4, 4096, 4096, None), (5, 4096, None, 4), (1 << 46, None, 1 << 56, None), ((1 << 46) + 1, None, None, 1 << 46)],
)
def test_kilobytes_are_bytes(value: int, whole: int | None, told: int | None, most: int | None) -> None:
    """No more than the whole, or than addresses of 56 bits reach."""
    found: list[Note] = []
    assert kb(value, whole, "w", found) == told
    text = f"impossible: {value} kB where at most {most} kB are possible"
    assert found == ([] if most is None else [Note("w", text)])


@pytest.mark.parametrize(
    ("value", "latency", "bandwidth"),
    [(1, 1, MIB), ((1 << 32) - 2, (1 << 32) - 2, ((1 << 32) - 2) << 20), ((1 << 32) - 1, None, None), (0, None, None),
     (None, None, None)],
)  # fmt: skip
def test_figures_of_the_hmat_have_32_bits_and_all_ones_are_none(
    value: int | None, latency: int | None, bandwidth: int | None
) -> None:
    """Latencies in nanoseconds, bandwidths in bytes per second of the kernel's MiB."""
    found: list[Note] = []
    names = ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
    access = access_of(
        made(AccessFacts, level=1, initiators=(0, 3), **dict.fromkeys(names, value)), "node0", (0,), found
    )
    assert (access.level, access.initiators) == (1, (0,))
    assert (access.read_latency, access.write_latency) == (latency, latency)
    assert (access.read_bandwidth, access.write_bandwidth) == (bandwidth, bandwidth)
    where = "node0/access1/initiators"
    odd = [(f"{where}/{name}", f"impossible: {value} where at most 4294967294 are possible") for name in names]
    assert sorted(found) == sorted(
        [Note(*row) for row in (odd if value == (1 << 32) - 1 else [])]
        + [Note(where, "names nodes 3, which do not exist")]
    )


@pytest.mark.parametrize(
    ("size", "line", "kept"),
    [(1 << 56, (1 << 32) - 1, True), ((1 << 56) + 1, 1 << 32, False)],
)
def test_a_side_cache_is_no_larger_than_addresses_reach(size: int, line: int, kept: bool) -> None:
    """And its line no longer than 32 bits."""
    found: list[Note] = []
    cache = side_cache_of(made(SideCacheFacts, level=2, size=size, line_size=line, indexing=9), "node0", found)
    assert (cache.level, cache.size, cache.line_size) == (2, size if kept else None, line if kept else None)
    where = "node0/memory_side_cache/index2"
    assert Note(f"{where}/indexing", "not a meaningful number: '9'") in found
    assert [note.where for note in found][: len(found) - 1] == ([] if kept else [f"{where}/size", f"{where}/line_size"])


@pytest.mark.parametrize(
    ("memory_kb", "total", "failed", "told"),
    [(1024, 256, 256, (256, 256)), (1024, 257, 1, (None, 1)), (1024, 5, 6, (5, None)), (None, 1 << 44, 1, (1 << 44, 1)),
     (None, (1 << 44) + 1, 1, (None, 1)), (None, None, 1 << 44, (None, 1 << 44))],
)  # fmt: skip
def test_no_more_pages_fail_than_there_are(
    memory_kb: int | None, total: int | None, failed: int, told: tuple[int | None, int | None]
) -> None:
    """Pages of 4 kB, each once; a part is no more than its whole."""
    found = host(node(0, (0,), memory_kb), failures={0: FailureFacts(total=total, failed=failed)}, blocks={})
    assert found.cells[0].failures == MemoryFailures(total=told[0], failed=told[1])


@pytest.mark.parametrize(
    ("pages", "total_kb", "told"),
    [(100, 400, 4), (100, 533, 4), (100, 534, None), (100, 320, 4), (100, 319, None), (100, 800, 8), (100, 640, 8),
     (100, 25600, 256), (100, 51200, None), (0, 0, None), (-1, 4, None), (1, 5, 4)],
)  # fmt: skip
def test_the_size_of_a_page_is_a_power_of_two_that_is_near(pages: int, total_kb: int, told: int | None) -> None:
    """Within a quarter of the memory; from 4 to 256 kB."""
    assert page_kb(total_kb, pages) == told


@pytest.mark.parametrize(
    ("kept", "counters", "told"),
    [
        (KeptBack(reserve_kb=0, low_kb=10**9), (0, 100, 50, 30), 90),
        (KeptBack(reserve_kb=0, low_kb=10), (0, 100, 50, 30), 160),
        (KeptBack(reserve_kb=7, low_kb=0), (20, 0, 0, 0), 13),
        (KeptBack(reserve_kb=21, low_kb=0), (20, 0, 0, 0), 0),
        (None, (1, 1, 1, 1), None),
        (KeptBack(reserve_kb=0, low_kb=0), (None, 1, 1, 1), None),
        (KeptBack(reserve_kb=0, low_kb=0), (1, None, 1, 1), None),
        (KeptBack(reserve_kb=0, low_kb=0), (1, 1, None, 1), None),
        (KeptBack(reserve_kb=0, low_kb=0), (1, 1, 1, None), None),
    ],
)
def test_what_is_available_is_the_kernels_estimate(
    kept: KeptBack | None, counters: tuple[int | None, ...], told: int | None
) -> None:
    """Half of the cache and of the slab stays, or the low watermarks; in kB, of free, active, inactive, reclaimable."""
    assert available_above(kept, *counters) == (None if told is None else told * KIB)


# --- guests -----------------------------------------------------------------------------------------------------


def plain(*totals: int | None) -> Host:
    cells = tuple(Cell(id=number, cpus=(), memory=Memory(total=total)) for number, total in enumerate(totals))
    cpus = tuple(made(Cpu, id=number, online=True, cell=number) for number in range(len(totals)))
    return Host(source="linux", hypervisor=None, cells=cells, cpus=cpus, notes=())


def guest(**known: Any) -> GuestFacts:
    return GuestFacts(id=7, state="S", **known)


@pytest.mark.parametrize(
    ("totals", "held", "unplaced", "cells", "rest", "how"),
    [
        ((GIB, GIB), {0: 5}, 3, ((0, 5), (1, 0)), 3, "exact"),
        ((GIB, 0), {0: 5}, 3, ((0, 8), (1, 0)), 0, "exact"),
        ((GIB, 0), {1: 0}, 3, ((0, 3), (1, 0)), 0, "exact"),
        ((GIB, 0), {0: 5}, 0, ((0, 5), (1, 0)), 0, "exact"),
        ((GIB, 0), None, 3, ((0, 3), (1, 0)), 0, "deduced"),
        ((GIB, 1), None, 3, None, 3, "unknown"),
        ((GIB, None), None, 3, None, 3, "unknown"),
        ((GIB, GIB), {0: 5}, None, None, None, "unknown"),
        ((GIB, GIB), {0: GIB}, 0, ((0, GIB), (1, 0)), 0, "exact"),
        ((GIB, GIB), {0: GIB + KIB}, 5, None, GIB + KIB + 5, "unknown"),
        ((GIB, GIB), {0: 5, 4: 6}, 1, ((0, 5), (1, 0)), 7, "exact"),
        ((GIB, GIB), {0: 5, 4: 0}, 1, ((0, 5), (1, 0), (4, 0)), 1, "exact"),
    ],
)
def test_what_a_guest_holds_is_on_cells_that_exist_and_within_them(
    totals: tuple[int | None, ...], held: dict[int, int] | None, unplaced: int | None, cells: object, rest: int | None,
    how: str,
) -> None:  # fmt: skip
    """With one cell that has memory all of it is there."""
    domains = from_guests(Found(guests=(guest(held=held, unplaced=unplaced),)), plain(*totals))
    (domain,) = domains
    assert (domain.cells, domain.unplaced, domain.how) == (cells, rest, how)
    assert domain.memory == (None if unplaced is None else unplaced + sum((held or {}).values()))


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"held": {0: 1}, "unplaced": 0}, "f"),
        ({"unplaced": 5, "resident": 5}, "f"),
        ({"unplaced": 5}, None),
        ({}, None),
    ],
)
def test_where_figures_are_from_is_said_where_there_are_any(known: dict[str, Any], told: str | None) -> None:
    """By node, or of the process."""
    (domain,) = from_guests(Found(guests=(guest(held_from="f", **known),)), plain(GIB, GIB))
    assert domain.how_from == told


@pytest.mark.parametrize(("held_from", "where"), [("f", "f"), (None, "proc/7")])
def test_memory_that_cannot_be_is_noted_by_its_file(held_from: str | None, where: str) -> None:
    """A list with such a guest is not complete."""
    found = from_guests(Found(guests=(guest(held={0: GIB + KIB, 4: 3}, unplaced=0, held_from=held_from),)), plain(GIB))
    assert [tuple(note) for note in found.notes] == [
        (where, "has memory on nodes 4, which do not exist"),
        (where, "1048577 kB on node 0, which has 1048576 kB: merged pages (KSM) count several times"),
    ]
    assert not found.complete


@pytest.mark.parametrize(
    ("total", "free", "pages", "held_", "host_", "loose"),
    [
        (100, 20, (), 30, 50, 0),
        (100, 20, ((2, 5),), 30, 40, 0),
        (100, 20, ((2, None),), 30, None, 50),
        (100, 70, (), 30, 0, 0),
        (100, 71, (), 30, None, None),
        (None, 20, (), 30, None, None),
        (100, None, (), 30, None, None),
        (None, None, (), 30, None, None),
    ],
)
def test_the_rest_of_a_cell_is_the_hosts(
    total: int | None, free: int | None, pages: tuple[tuple[int, int | None], ...], held_: int, host_: int | None,
    loose: int | None,
) -> None:  # fmt: skip
    """What is neither free, nor in the pool of huge pages, nor a domain's; unknown where figures contradict."""
    huge = tuple(HugePages(size=size, total=9, free=count, surplus=0) for size, count in pages)
    of = plain(0)._replace(cells=(Cell(id=0, cpus=(), memory=Memory(total=total, free=free), huge_pages=huge),))
    domains = [made(Domain, id=7, how="exact", unplaced=0, cells=((0, held_),))]
    (use,) = account(of, domains)
    assert (use.total, use.free, use.domains) == (total, free, ((7, held_),))
    assert (use.host, use.unattributed) == (host_, loose)


# --- remote accesses ----------------------------------------------------------------------------------------------


def vcpu(number: int, cpu: int | None, *, cpus: tuple[int, ...] | None = (0, 1), online: bool = True) -> Vcpu:
    return made(Vcpu, id=number, online=online, cpu=cpu, cpus=cpus)


def one(**known: Any) -> Domain:
    base = {"id": 7, "kind": "qemu", "cells": ((0, 95), (1, 0)), "unplaced": 0, "how": "exact"}
    return made(Domain, **{**base, "each_vcpu": (vcpu(0, 0), vcpu(1, 1)), **known})


CELLS = "the cells of its memory are unknown"
PART = "the cells of a part of its memory are unknown"
VCPUS = "the cells of its vcpus are unknown"


@pytest.mark.parametrize(
    ("known", "share", "why"),
    [
        ({}, 0.5, None),
        ({"cells": None}, None, CELLS),
        ({"cells": ((0, 0), (1, 0))}, None, CELLS),
        ({"how": "unknown"}, None, CELLS),
        ({"how": "debug-key"}, 0.5, None),
        ({"how": "deduced"}, 0.5, None),
        ({"how": "sampled"}, 0.5, None),
        ({"unplaced": None}, None, PART),
        ({"unplaced": 5}, 0.5, None),
        ({"unplaced": 6}, None, PART),
        ({"each_vcpu": None}, None, VCPUS),
        ({"each_vcpu": ()}, None, VCPUS),
        ({"each_vcpu": (vcpu(0, 0), vcpu(1, None))}, None, VCPUS),
        ({"each_vcpu": (vcpu(0, 0), vcpu(1, 9))}, None, VCPUS),
        ({"each_vcpu": (vcpu(0, 0), vcpu(1, None, online=False))}, 0.0, None),
        ({"each_vcpu": (vcpu(0, 0, cpus=(1,)),)}, 1.0, None),
        ({"each_vcpu": (vcpu(0, None, cpus=(1,)),)}, 1.0, None),
        ({"each_vcpu": (vcpu(0, 1), vcpu(1, 1)), "cells": ((0, 19), (1, 76))}, 0.2, None),
        ({"each_vcpu": (vcpu(0, 1),), "cells": ((0, 95),)}, 1.0, None),
    ],
)
def test_a_share_needs_the_cells_of_the_memory_and_of_the_vcpus(
    known: dict[str, Any], share: float | None, why: str | None
) -> None:
    """Five percent without a place are the most that do not matter; vcpus count alike where none is weighed."""
    (found,) = of_domain(one(**known), plain(GIB, GIB))
    assert found.share == (None if share is None else pytest.approx(share))
    assert (found.source, found.how) == ("vcpu samples", "unknown" if share is None else "estimated")
    assert found.how_from == (why or "memory by cell and vcpus by cell")


def thread(number: int, run_time: int = 0, guest_time: int | None = None, **more: Any) -> ThreadFacts:
    return made(ThreadFacts, id=number, vcpu=number, run_time=run_time, guest_time=guest_time, **more)


@pytest.mark.parametrize(
    ("times", "share"),
    [
        (((1, None), (3, None)), 0.75),
        (((1, 5), (3, None)), 0.375),
        (((8, 5), (0, 8)), 0.5),
        (((0, None), (0, None)), 0.5),
        (((0, None), (2, None)), 1.0),
        (((1, None),), 0.5),
    ],
)
def test_vcpus_weigh_by_how_long_they_ran(times: tuple[tuple[int, int | None], ...], share: float) -> None:
    """The longer of the two counts; alike where none ran, or where their threads are others."""
    threads = [thread(number, *pair) for number, pair in enumerate(times)]
    found = of_guest(one(), threads, plain(GIB, GIB), None)[1]
    assert (found.source, found.share) == ("run time", pytest.approx(share))


@pytest.mark.parametrize(
    ("known", "threads", "balancing", "share", "why"),
    [
        ({}, 2, 1, 0.25, "proc/7/task/*/sched: 40 faults"),
        ({}, 2, 2, 0.25, "proc/7/task/*/sched: 40 faults"),
        ({}, 2, 0, None, "off: proc/sys/kernel/numa_balancing is 0"),
        ({}, 2, None, None, "no proc/sys/kernel/numa_balancing"),
        ({"each_vcpu": None}, 2, 1, None, VCPUS),
        ({}, 1, 1, None, VCPUS),
        ({}, None, 1, None, VCPUS),
        ({"each_vcpu": (vcpu(0, 0), vcpu(1, None))}, 2, 1, None, VCPUS),
        ({}, -2, 1, None, "no faults in proc/7/task/*/sched: not there, memory that is bound, or not scanned yet"),
    ],
)
def test_faults_are_remote_on_another_node_than_the_vcpus(
    known: dict[str, Any], threads: int | None, balancing: int | None, share: float | None, why: str
) -> None:
    """30 of 40 are local; unknown is said with the reason."""
    faults: list[dict[int, int] | None] = [{0: 30, 1: 9}, {0: 1, 1: 0}]
    if threads is not None and threads < 0:
        faults = [None, {0: 0}]
    rows = None if threads is None else [thread(i, 1, None, faults=faults[i]) for i in range(abs(threads))]
    found = of_guest(one(**known), rows, plain(GIB, GIB), balancing)[0]
    assert (found.source, found.how_from) == ("hint faults", why)
    assert (found.share, found.how) == (share, "unknown" if share is None else "sampled")
