"""Limits of the exports: what a schema can hold, what is unknown, and orders that other programs rely on."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from hosts import GIB, MIB, cell, host, made

import numaprobe
from numaprobe import Access, Cache, Cell, Cpu, Device, Host, HugePages, Hypervisor, SideCache, export
from numaprobe.export.cores import BASE_PAGE
from numaprobe.export.formats import collectd, dra, hwloc, libvirt, nrt, telegraf
from numaprobe.export.hwloc_tree import Thing, _apart, _cross, _members, bits, tree


def with_pages(total: int, *pages: tuple[int, int | None]) -> Cell:
    one = cell(0, 0, (), total=total)
    return one._replace(huge_pages=tuple(HugePages(size, count, 0, 0) for size, count in pages))


@pytest.mark.parametrize(
    ("one", "base", "found"),
    [
        (with_pages(3 * MIB, (2 * MIB, 1)), 4096, [(4096, 256), (2 * MIB, 1)]),
        (with_pages(2 * MIB, (2 * MIB, 1)), 4096, [(4096, 0), (2 * MIB, 1)]),
        (with_pages(2 * MIB - 1, (2 * MIB, 1)), 4096, [(2 * MIB, 1)]),
        (with_pages(3 * MIB, (2 * MIB, 1)), None, [(2 * MIB, 1)]), (with_pages(3 * MIB, (2 * MIB, None)), 4096, []),
        (with_pages(3 * MIB, (2 * MIB, None), (1 << 16, 3)), 4096, [(1 << 16, 3)]),
    ],
)  # fmt: skip
def test_base_pages_are_what_huge_ones_leave(one: Cell, base: int | None, found: list[tuple[int, int]]) -> None:
    """None is known where a count is not; hwloc is told 0 where they contradict each other."""
    assert list(libvirt._pages(one, base)) == found
    writer = hwloc._Writer(host([GIB]), {4096: "x86_64", None: None}[base])
    assert [pair for pair in writer.pages(one) if pair[0] != 4096] == [pair for pair in found if pair[0] != 4096]


def test_libvirts_schema_has_counts_of_32_bits() -> None:
    """More pages are left out and not cut."""
    of = host([GIB])
    for count, there in ((0xFFFFFFFF, True), (1 << 32, False)):
        found = export.libvirt(of._replace(cells=(with_pages(count * 4096),)), arch="x86_64")
        assert (f"<pages unit='KiB' size='4'>{count}</pages>" in found) is there


@pytest.mark.parametrize(
    ("size", "words"),
    [(MIB, "size='1' unit='MiB'"), (48 * MIB, "size='48' unit='MiB'"), (MIB + 1024, "size='1025' unit='KiB'"), (512 << 10, "size='512' unit='KiB'")],
)  # fmt: skip
def test_a_bank_has_whole_mebibytes_or_kibibytes(size: int, words: str) -> None:
    """As libvirt writes them."""
    assert libvirt._bank_size(size) == words


@pytest.mark.parametrize(
    ("cache", "there"),
    [
        (Cache(3, "unified", MIB, 0, (0,)), True), (Cache(2, "unified", MIB, 0, (0,)), False), (Cache(4, "data", MIB, 0, (0,)), True),
        (Cache(3, "unified", MIB, None, (0,)), False), (Cache(3, "unified", None, 0, (0,)), False), (Cache(3, None, MIB, 0, (0,)), False),
    ],
)  # fmt: skip
def test_banks_are_caches_from_level_3_that_are_known_in_full(cache: Cache, there: bool) -> None:
    """The schema wants a number, a size and a type."""
    assert bool(libvirt._banks(host([GIB])._replace(caches=(cache,)))) is there


@pytest.mark.parametrize(("cost", "there"), [(9, False), (10, True), (255, True), (256, False), (None, False)])
def test_libvirts_distances_are_from_10_to_255(cost: int | None, there: bool) -> None:
    """Others are left out."""
    of = host([GIB])
    one = of.cells[0]._replace(distances=((0, cost),))
    assert ("<distances>" in export.libvirt(of._replace(cells=(one,)))) is there


@pytest.mark.parametrize(
    ("known", "there"),
    [
        ({}, True),
        ({"indexing": None}, False),
        ({"write_policy": None}, False),
        ({"size": None}, False),
        ({"line_size": None}, False),
    ],
)
def test_a_side_cache_is_said_in_full_or_not_at_all(known: dict[str, Any], there: bool) -> None:
    """Sizes in KiB, lines in bytes."""
    full = SideCache(level=1, size=2 * MIB, line_size=64, indexing="indexed", write_policy="other")._replace(**known)
    lines = list(libvirt._cache(full))
    assert lines == ([
        "          <cache level='1' associativity='full' policy='none'>", "            <size value='2048' unit='KiB'/>",
        "            <line value='64' unit='B'/>", "          </cache>",
    ] if there else [])  # fmt: skip


@pytest.mark.parametrize("known", [{"package": None}, {"core": None}, {"siblings": None}])
def test_a_cpu_has_all_of_its_place_or_nothing(known: dict[str, Any]) -> None:
    """Dies and clusters are 0 where there are none."""
    one = made(Cpu, id=3, package=1, core=2, siblings=(3,))
    assert libvirt._where(one, 9) == " socket_id='1' die_id='0' core_id='2' siblings='3'"
    assert libvirt._where(one, 11) == " socket_id='1' die_id='0' cluster_id='0' core_id='2' siblings='3'"
    assert libvirt._where(one._replace(**known), 11) == ""
    assert libvirt._where(None, 9) == ""


def test_the_way_to_memory_is_that_of_the_nearest_initiators() -> None:
    """Of two levels the higher one counts, and each way is written once."""
    accesses = (Access(0, (0, 1), 90, 91, 2048, 4096), Access(1, (0,), 70, None, None, 1024))
    of = host([GIB])
    found = libvirt._interconnects(of._replace(cells=(of.cells[0]._replace(accesses=accesses),)))
    assert [line.strip() for line in found[1:-1]] == [
        "<latency initiator='0' target='0' type='read' value='70'/>", "<latency initiator='1' target='0' type='read' value='90'/>",
        "<latency initiator='1' target='0' type='write' value='91'/>",
        "<bandwidth initiator='0' target='0' type='write' value='1' unit='KiB'/>",
        "<bandwidth initiator='1' target='0' type='read' value='2' unit='KiB'/>",
        "<bandwidth initiator='1' target='0' type='write' value='4' unit='KiB'/>",
    ]  # fmt: skip


def test_machines_with_one_size_of_pages_are_these() -> None:
    """Kernels of the others can be built with several."""
    assert {name: size for name, size in BASE_PAGE.items() if size != 4096} == {"alpha": 8192, "sparc64": 8192}
    assert set(BASE_PAGE) - {"alpha", "sparc64"} == {
        "x86_64", "i386", "i486", "i586", "i686", "s390", "s390x", "riscv32", "riscv64",
    }  # fmt: skip


# --- hwloc ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "text"),
    [((), "0x0"), ((0,), "0x00000001"), ((31,), "0x80000000"), ((32,), "0x00000001,0x0"), ((64,), "0x00000001,,0x0"),
     ((0, 64), "0x00000001,,0x00000001"), ((33, 96), "0x00000001,,0x00000002,0x0")],
)  # fmt: skip
def test_a_set_of_hwlocs_has_words_of_32_bits(ids: tuple[int, ...], text: str) -> None:
    """A zero inside is nothing but the comma."""
    assert hwloc._set(bits(ids)) == text


@pytest.mark.parametrize(
    ("kind", "line"),
    [("core", 'name="CoreType" value="IntelCore"'), ("atom", 'name="CoreType" value="IntelAtom"'),
     ("lowpower", 'name="CoreType" value="IntelLowPower"'), ("capacity-446", 'name="LinuxCapacity" value="446"'),
     ("odd<", 'name="CpuKind" value="odd&lt;"')],
)  # fmt: skip
def test_kinds_of_cpus_have_hwlocs_words(kind: str, line: str) -> None:
    """Each kind has the set of its CPUs."""
    cpus = (made(Cpu, id=0, kind=kind), made(Cpu, id=1), made(Cpu, id=4, kind=kind))
    assert hwloc._kinds(cpus) == [f'  <cpukind cpuset="0x00000011"><info {line}/></cpukind>']


def test_groups_have_the_numbers_that_hwloc_gives_them() -> None:
    """Of drawers, books, clusters and memory (include/private/private.h)."""
    cpus = tuple(
        made(
            Cpu,
            id=n,
            online=True,
            cell=n // 8,
            drawer=n // 8,
            book=n // 4,
            package=n // 2,
            die=0,
            cluster=n,
            core=n,
            siblings=(n,),
        )
        for n in range(16)
    )
    of = host([GIB, GIB], cpus=8)
    cells = tuple(one._replace(cpus=tuple(range(8 * n, 8 * n + 8))) for n, one in enumerate(of.cells))
    found = export.hwloc(of._replace(cpus=cpus, cells=cells))
    assert found.count('kind="110" subkind="1" subtype="Drawer"') == 2
    assert found.count('kind="110" subkind="0" subtype="Book"') == 4
    pairs = tuple(one._replace(cluster=one.id // 2, package=one.id // 4) for one in cpus)
    found = export.hwloc(of._replace(cpus=pairs, cells=cells))
    assert found.count('kind="222" subkind="0" subtype="Cluster"') == 8
    plain = tuple(one._replace(drawer=None, book=None, package=0, cluster=None) for one in cpus)
    found = export.hwloc(of._replace(cpus=plain, cells=cells))
    assert found.count('kind="1001" subkind="0"') == 2


def test_a_cache_of_which_little_is_known_has_zeros() -> None:
    """Hwloc takes them for unknown."""
    of = host([GIB], cpus=2)._replace(caches=(Cache(2, None, None, None, (0, 1)),))
    found = export.hwloc(of)
    assert 'cache_size="0" depth="2" cache_linesize="0" cache_associativity="0" cache_type="0"' in found
    full = of._replace(
        caches=(Cache(2, "instruction", MIB, 0, (0, 1), 64, 8, 9), Cache(1, "data", 1, 0, (0, 1), 32, 2, 1))
    )
    found = export.hwloc(full)
    assert 'cache_size="1048576" depth="2" cache_linesize="64" cache_associativity="8" cache_type="2"' in found
    assert 'cache_size="1" depth="1" cache_linesize="32" cache_associativity="2" cache_type="1"' in found


@pytest.mark.parametrize(
    ("cache", "there"),
    [(Cache(1, "unified", 1, 0, (0, 1)), True), (Cache(5, "data", 1, 0, (0, 1)), True), (Cache(6, "data", 1, 0, (0, 1)), False),
     (Cache(3, "instruction", 1, 0, (0, 1)), True), (Cache(4, "instruction", 1, 0, (0, 1)), False), (Cache(0, "data", 1, 0, (0, 1)), False),
     (Cache(2, "unified", 1, 0, (9,)), False)],
)  # fmt: skip
def test_hwloc_has_five_levels_of_caches_and_three_of_instructions(cache: Cache, there: bool) -> None:
    """Of CPUs that are online."""
    assert ("cache_size" in export.hwloc(host([GIB], cpus=2)._replace(caches=(cache,)))) is there


def test_a_cache_in_front_of_memory_is_around_its_node() -> None:
    """The one of the highest level is the nearest to the CPUs."""
    sides = (SideCache(1, 1024, 64, "direct"), SideCache(2, None))
    of = host([GIB], cpus=1, threads=1)
    lines = export.hwloc(of._replace(cells=(of.cells[0]._replace(side_caches=sides, kind="a&b"),))).splitlines()
    memory = [
        line.strip().partition(" cpuset")[0] + line.rpartition('complete_nodeset="0x00000001"')[2]
        for line in lines
        if "MemCache" in line
    ]
    assert memory == [
        '<object type="MemCache" cache_size="0" depth="2" cache_linesize="0" cache_associativity="0" cache_type="0" gp_index="2">',
        '<object type="MemCache" cache_size="1024" depth="1" cache_linesize="64" cache_associativity="1" cache_type="0" gp_index="3">',
    ]  # fmt: skip
    assert any('name="MemoryKind" value="a&amp;b"' in line for line in lines)
    assert sum(line.strip() == "</object>" for line in lines) >= 4


def test_a_matrix_is_written_in_chunks_of_ten() -> None:
    """With the length of each, and not at all where a cost is unknown."""
    rows = {n: [10 if n == m else 20 for m in range(11)] for n in range(11)}
    lines = hwloc._distances(host([GIB] * 11, distances=rows))
    assert lines[0] == '  <distances2 type="NUMANode" nbobjs="11" kind="5" name="NUMALatency" indexing="os">'
    assert lines[1] == '    <indexes length="20">0 1 2 3 4 5 6 7 8 9 </indexes>'
    assert lines[2] == '    <indexes length="3">10 </indexes>'
    assert len(lines) == 1 + 2 + 13 + 1
    assert hwloc._distances(host([GIB])) == []
    assert hwloc._distances(host([GIB, GIB], distances={0: [10, None], 1: [20, 10]})) == []  # type: ignore[list-item]


def test_things_are_inserted_where_their_cpus_belong() -> None:
    """What crosses another is refused, and a core is around caches alone."""
    root = Thing("Machine", None, 0b1111, 0b1111)
    pair = Thing("Package", 0, 0b0011, 0)
    assert root.insert(pair) is pair
    inner = Thing("Core", 0, 0b0001, 0)
    assert root.insert(inner) is inner
    assert pair.children == [inner]
    assert root.insert(Thing("Die", 0, 0b0110, 0)) is None
    assert root.insert(Thing("Core", 9, 0b0011, 0)) is None
    around = Thing("Group", None, 0b0111, 0)
    assert root.insert(around) is around
    assert (root.children, around.children) == ([around], [pair])
    assert root.around(0b0001) is inner
    assert root.around(0b0110) is around
    assert root.around(0b1111) is root
    assert root.around(0b1000) is root
    assert Thing("X", None, 0b01, 0b10).all_cpus == 0b11


@pytest.mark.parametrize(
    ("sets", "found"),
    [([1, 2, 4], [1, 2, 4]), ([3, 6], [7]), ([1, 4, 5], [5]), ([1, 6, 3], [7]), ([0, 1], [1]), ([], [])],
)
def test_cells_that_overlap_are_put_together(sets: list[int], found: list[int]) -> None:
    """By an error of the firmware's; others stay apart."""
    assert sorted(_apart(sets)) == sorted(found)
    assert [_cross(3, other) for other in (0, 1, 3, 4, 6, 7)] == [False, False, False, False, True, False]


def test_offline_cpus_are_those_of_one_child_at_most() -> None:
    """A die with an offline CPU has it in its complete set, and so has all that is around it."""
    cpus = tuple(
        made(Cpu, id=n, online=n != 3, cell=n // 2, package=0, die=n // 2, core=n, siblings=(n,)) for n in range(4)
    )
    of = host([GIB, GIB], cpus=2)._replace(cpus=cpus)
    cells = (of.cells[0]._replace(cpus=(0, 1)), of.cells[1]._replace(cpus=(2,)))
    root = tree(of._replace(cells=cells), tuple(one for one in cpus if one.online))
    assert (root.cpus, root.all_cpus) == (0b0111, 0b1111)
    found = {}

    def look(thing: Thing) -> None:
        found.setdefault((thing.kind, thing.index), (thing.cpus, thing.all_cpus))
        for child in thing.children:
            look(child)

    look(root)
    assert found["Package", 0] == (0b0111, 0b1111)
    assert found["PU", 2] == (0b0100, 0b0100)
    assert [pair for key, pair in found.items() if key[0] in ("Die", "Group") and pair[0] == 0b0100] in (
        [(0b0100, 0b1100)],
        [],
    )
    unknown = (of.cells[0]._replace(cpus=None), cells[1])
    root = tree(of._replace(cells=unknown), tuple(one for one in cpus if one.online))
    assert (
        next(
            thing
            for thing in [root, *root.children, *root.children[0].children]
            if thing.cells and thing.cells[0].id == 0
        ).cpus
        == 0b0011
    )


def test_a_cell_that_does_not_say_has_the_cpus_that_are_in_no_other() -> None:
    """Neither in another's list nor of another cell by their own word; offline ones are not counted."""
    cpus = tuple(made(Cpu, id=n, online=True, cell=of) for n, of in enumerate((None, 0, None, 1, None)))
    of = host([GIB, GIB])
    cells = (of.cells[0]._replace(cpus=None), of.cells[1]._replace(cpus=(2,)))
    of = of._replace(cpus=cpus, cells=cells)
    assert _members(of, cells[0], 0b01111) == 0b0011
    assert _members(of, cells[1], 0b01111) == 0b0100
    assert _members(of, cells[1], 0b01011) == 0


def test_an_offline_cpu_0_is_in_no_other_cpus_set() -> None:
    """What has one CPU has it alone, whatever is offline."""
    cpus = tuple(made(Cpu, id=n, online=n != 0, cell=0, package=0, core=n, siblings=(n,)) for n in range(3))
    of = host([GIB], cpus=3)._replace(cpus=cpus, caches=(Cache(2, "unified", MIB, 0, (1, 2)),))
    of = of._replace(cells=(of.cells[0]._replace(cpus=(1, 2)),))
    found = export.hwloc(of)
    for kind in ("PU", "Core", "L2Cache"):
        lines = [line for line in found.splitlines() if f'type="{kind}"' in line]
        assert lines
        assert not [
            line for line in lines if 'complete_cpuset="0x00000001"' in line or 'complete_cpuset="0x00000003"' in line
        ]
    assert 'type="PU" os_index="1" cpuset="0x00000002" complete_cpuset="0x00000002"' in found


# --- Kubernetes, collectd, telegraf --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (1, "1"), (1023, "1023"), (1024, "1Ki"), (1536, "1536"), (1 << 60, "1Ei"), (1 << 70, "1024Ei"), (3 << 20, "3Mi")]
)  # fmt: skip
def test_kubernetes_has_units_up_to_exa(size: int, text: str) -> None:
    """The largest that leaves a whole number."""
    assert nrt.quantity(size) == text


@pytest.mark.parametrize(
    ("total", "free", "available", "pages", "found"),
    [
        (10, 4, None, (), ("10", "10", "4")), (10, 4, 6, (), ("10", "10", "6")), (10, 4, None, ((2, 4),), ("10", "2", "2")),
        (10, 1, None, ((2, 4),), ("10", "2", "1")), (10, 4, None, ((2, 6),), ("10", "0", "0")), (10, None, 3, (), ("10", "10", "3")),
        (10, 4, None, ((2, None),), None), (None, 4, None, (), None), (10, None, None, (), None),
    ],
)  # fmt: skip
def test_memory_of_a_zone_is_less_by_its_huge_pages(
    total: Any, free: Any, available: Any, pages: Any, found: Any
) -> None:
    """Available is at most allocatable, and nothing is below 0."""
    one = cell(0, free, (), total=total, available=available)
    one = one._replace(
        memory=one.memory._replace(total=total), huge_pages=tuple(HugePages(size, count, 0, 0) for size, count in pages)
    )
    rows = [row for row in nrt._resources(one) if row["name"] == "memory"]
    assert [(row["capacity"], row["allocatable"], row["available"]) for row in rows] == ([found] if found else [])


def test_a_list_of_nodes_has_the_nearest_of_the_same_package() -> None:
    """A CPU without a package joins nothing."""
    rows = {0: [10, 12, 12, 21], 1: [12, 10, 15, 21], 2: [12, 15, 10, 21], 3: [21, 21, 21, 10]}
    of = host([GIB] * 4, cpus=1, threads=1, distances=rows)
    of = of._replace(cpus=tuple(one._replace(package=None if one.id == 3 else 0) for one in of.cpus))
    assert [dra._nodes(of, one, numa_list=True) for one in of.cells] == [
        {"ints": [0, 1, 2]}, {"ints": [1, 0]}, {"ints": [2, 0]}, {"ints": [3]},
    ]  # fmt: skip
    assert dra._nodes(of, of.cells[1], numa_list=False) == {"int": 1}
    loose = of._replace(cpus=tuple(one._replace(package=None) for one in of.cpus))
    assert dra._nodes(loose, loose.cells[0], numa_list=True) == {"ints": [0]}


@pytest.mark.parametrize(
    ("costs", "near"), [((20, 30), 0), ((30, 20), 1), ((20, 20), None), ((None, 20), 1), ((None, None), None)]
)
def test_memory_of_a_gpu_is_near_one_cell_or_none(costs: tuple[Any, Any], near: int | None) -> None:
    """Two that are equally near are none."""
    of = host([GIB, GIB, GIB], cpuless=[2], cpus=1, threads=1)
    gpu = of.cells[2]._replace(kind="gpu", distances=tuple(enumerate((*costs, 10))))
    assert dra._nearest(of, gpu) == near
    document = dra._cell(of, gpu, {0: {"int": 0}, 1: {"int": 1}, 2: {"int": 2}})
    assert document["attributes"].get(dra.NUMA_NODE) == (None if near is None else {"int": near})
    plain = dra._cell(of, of.cells[1], {1: {"int": 1}})
    assert plain == {
        "name": "cell-1", "attributes": {dra.NUMA_NODE: {"int": 1}},
        "capacity": {"cpus": {"value": "1"}, "memory": {"value": str(GIB)}},
    }  # fmt: skip
    assert "capacity" not in dra._cell(of, made(Cell, id=9, memory=made(type(gpu.memory))), {})


@pytest.mark.parametrize(
    ("code", "names", "given"),
    [(0x010000, (), True), (0x020000, (), True), (0x030000, (), True), (0x0B4000, (), True), (0x120000, (), True), (0x060400, (), False),
     (0x060400, (("net", "x"),), True), (None, (), False), (None, (("net", "x"),), True)],
)  # fmt: skip
def test_devices_of_these_classes_are_given_to_pods(code: int | None, names: Any, given: bool) -> None:
    """And all that have a name."""
    assert dra._is_given(Device("0000:01:00.0", class_code=code, names=names)) is given


@pytest.mark.parametrize(("cells", "slices"), [(127, 1), (128, 1), (129, 2), (256, 2), (257, 3)])
def test_a_slice_has_at_most_128_devices(cells: int, slices: int) -> None:
    """More are a list, each with its number and their count."""
    document = json.loads(
        dra.render(
            Host(
                "linux",
                None,
                tuple(made(Cell, id=n, memory=made(type(cell(0, 0, ()).memory))) for n in range(cells)),
                (),
                (),
            ),
            name="n",
        )
    )
    parts = document["items"] if slices > 1 else [document]
    assert [part["metadata"]["name"] for part in parts] == [f"n-numaprobe-{number}" for number in range(slices)]
    assert {part["spec"]["pool"]["resourceSliceCount"] for part in parts} == {slices}
    assert all(part["spec"]["pool"]["generation"] == 1 for part in parts)
    assert sum(len(part["spec"]["devices"]) for part in parts) == cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10", "10.000"),
        ("0.5", "0.500"),
        ("0.001", "0.001"),
        ("0", None),
        ("-1", None),
        ("inf", None),
        ("x", None),
        ("nan", None),
    ],
)
def test_collectds_interval_is_a_number_above_0(text: str, shown: str | None) -> None:
    """As collectd hands it to the program."""
    if shown is None:
        with pytest.raises(ValueError, match=f"COLLECTD_INTERVAL is a number of seconds above 0, not '{text}'"):
            collectd._interval(text)
    else:
        assert collectd._interval(text) == shown


@pytest.mark.parametrize(
    ("word", "tag"), [("a b", r"a\ b"), ("a,b=c", r"a\,b\=c"), ("a\\", "a"), ("a\\b", "a\\b"), (" a \n b ", r"a\ b")]
)
def test_a_tag_of_influxdb_has_escapes(word: str, tag: str) -> None:
    """A backslash at its end would escape what follows."""
    assert telegraf._tag(word) == tag


def test_formats_with_room_for_caches_are_these() -> None:
    """The host is probed with caches for them alone."""
    assert {name for name, form in export.FORMATS.items() if form.caches} == {"json", "libvirt", "hwloc", "lscpu"}
    assert {name: form.options for name, form in export.FORMATS.items() if form.options} == {
        "libvirt": ("version", "arch"), "hwloc": ("arch",), "nrt": ("name",), "dra": ("name", "driver", "numa_list"), "slurm": ("name",),
    }  # fmt: skip
    assert isinstance(made(Hypervisor), Hypervisor)


# --- what a caller does not say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (numaprobe.probe, {"devices": False, "allowed": False, "caches": False, "usable": False, "memory_state": False, "available": True}),
        (numaprobe.domains, {"processes": (), "groups": (), "each_vcpu": True, "debug_key": False, "debug_key_limit": 32 << 30,
                             "remote": False, "sampled": None}),
        (numaprobe.record, {"source": "auto", "allowed": False, "domains": False, "anonymous": False, "traffic": None}),
        (numaprobe.account, {"complete": None}),
    ],
)  # fmt: skip
def test_questions_have_the_defaults_of_the_pages(function: Any, defaults: dict[str, Any]) -> None:
    """What costs more is asked for by name, in the public call and in the one below it."""
    from numaprobe.probing import domains, host
    from numaprobe.recording import writing

    below = {"probe": host.probe, "domains": domains.collect, "record": writing.record}.get(function.__name__)
    for one in (function, *([below] if below else [])):
        known = {
            name: value.default
            for name, value in inspect.signature(one).parameters.items()
            if value.default is not inspect.Parameter.empty
        }
        assert {name: known[name] for name in defaults if name in known} == {
            name: defaults[name] for name in defaults if name in known
        }
