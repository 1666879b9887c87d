"""Each file of a rich machine is spoiled in turn: the host is never lost, the oddity is noted, nothing impossible is told.

Only the list of online cpus is worth an error, and only if nothing else says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EACCES

import pytest
from rich import kinds_of_files, rich
from trees import CPU, NODE, Shelf, machine

from numaprobe import Host
from numaprobe.linux import collect as linux
from numaprobe.model.host import HugePages
from numaprobe.normalise.linux import from_linux

FILES = sorted(path for path, content in rich().items() if content)
JUNK = {"junk": "#!?\n", "empty": "", "minus one": "-1\n", "all ones": "18446744073709551615\n"}
# -1 is how the kernel says that there is no such id, and a limit that is none.
MINUS_ONE = ("_id", "numa_node", "target_node", "physical_package_id", "numa_status", "/id")
EVERYTHING = {"devices": True, "allowed": True, "caches": True, "usable": True, "memory_state": True}
BYTES = 1 << 56


def figures(value: object) -> Iterator[int]:
    """Every number in a host."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from figures(item)


def is_possible(found: Host) -> bool:
    """No figure is negative or larger than its whole."""
    for cell in found.cells:
        memory = cell.memory
        for part in (memory.free, memory.available):
            if part is not None and memory.total is not None and part > memory.total:
                return False
        for pages in cell.huge_pages:
            for part in (pages.free, pages.surplus):
                if part is not None and pages.total is not None and part > pages.total:
                    return False
    return all(0 <= figure < BYTES for figure in figures(tuple(found)))


@pytest.fixture(scope="module")
def whole() -> Host:
    """The machine before anything is spoiled."""
    return from_linux(linux.collect(Shelf(rich()), **EVERYTHING))


@pytest.mark.parametrize("path", kinds_of_files())
def test_one_spoiled_file_costs_its_figure_and_leaves_a_note(path: str, whole: Host) -> None:
    """Every kind of file of the machine that is read, with junk, nothing, -1 and 2^64-1 in it."""
    for kind, text in JUNK.items():
        shelf = Shelf({**rich(), path: text})
        found = from_linux(linux.collect(shelf, **EVERYTHING))
        assert [cell.id for cell in found.cells] == [cell.id for cell in whole.cells], kind
        assert [cell.cpus for cell in found.cells] == [cell.cpus for cell in whole.cells], kind
        assert [(cpu.id, cpu.online) for cpu in found.cpus] == [(cpu.id, cpu.online) for cpu in whole.cpus], kind
        assert is_possible(found), kind
        if path not in shelf.opened:
            assert found == whole, kind
        elif not (kind == "minus one" and path.endswith(MINUS_ONE)):
            assert found.notes, kind


LISTS = ("cpu_atom/cpus", "memory_tier4/nodelist", "cpu/possible", "node/possible", "cpu0/topology/core_cpus_list")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_contradicts_the_others_is_noted(name: str) -> None:
    """Cpus of two kinds, a node in two tiers, ids that are there and never possible, a core without its own cpu."""
    (path,) = (path for path in FILES if path.endswith(name))
    text = "5-6\n" if "possible" in name else "\n" if "topology" in name else "0-5\n"
    found = from_linux(linux.collect(Shelf({**rich(), path: text}), **EVERYTHING))
    assert found.notes
    assert is_possible(found)


def test_cores_whose_lists_contradict_each_other_keep_their_clusters() -> None:
    """The first thread of a core, as its list has it, may be the second of another."""
    tree = rich()
    tree[f"{CPU}/cpu2/topology/core_cpus_list"] = "0-2,99\n"
    found = from_linux(linux.collect(Shelf(tree), **EVERYTHING))
    assert [cpu.cluster for cpu in found.cpus[4:]] == [4, 4, 6, 6]
    assert any("contradict" in note.text for note in found.notes)


LIMITS = ("proc/self/cgroup", "proc/self/mountinfo", "a/memory.max", "a/memory.current", "a/memory.stat")


@pytest.mark.parametrize("kind", ["junk", "empty", "EACCES"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_cannot_be_read_is_not_the_lack_of_one(name: str, kind: str) -> None:
    """Taken as unlimited, it would promise memory that the kernel then refuses."""
    (path,) = (path for path in FILES if path.endswith(name))
    broken = {} if kind == "EACCES" else {path: JUNK[kind]}
    shelf = Shelf({**rich(), **broken}, {path: EACCES} if kind == "EACCES" else {})
    found = from_linux(linux.collect(shelf, **EVERYTHING))
    assert found.notes
    assert [cell.usable and cell.usable.me for cell in found.cells] == [None, None, 0]


@pytest.mark.parametrize("text", ["MemTotal: 4194304 kB\nMemFree: 20", "MemTotal: 4194304 kB\n"])
def test_a_meminfo_that_is_cut_has_no_figure_from_its_last_line(text: str) -> None:
    """The kernel ends each size with its unit, and has the free memory of every node."""
    where = f"{NODE}/node0/meminfo"
    found = from_linux(
        linux.collect(Shelf(rich() | {where: "".join(f"Node 0 {line}\n" for line in text.split("\n"))[:-1]}))
    )
    memory = found.cell(0).memory
    assert (memory.total, memory.free, memory.available) == (4 << 30, None, None)
    assert [note.where for note in found.notes] == ["node0/meminfo"]


def test_zones_that_are_not_the_nodes_are_noted() -> None:
    """Available memory was unknown without a word where the table had each zone twice."""
    tree = rich()
    found = from_linux(linux.collect(Shelf(tree | {"proc/zoneinfo": f"{tree['proc/zoneinfo']}" * 2})))
    assert {cell.memory.available for cell in found.cells} == {None}
    assert [note.where for note in found.notes] == ["proc/zoneinfo"] * 3


@pytest.mark.parametrize("text", ["junk\n", ""])
def test_a_pool_whose_counts_are_all_broken_is_unknown(text: str) -> None:
    """Taken for none, its pages would be the host's own memory; one that has no files at all is none."""
    where = f"{NODE}/node0/hugepages/hugepages-2048kB"
    tree = rich() | {f"{where}/{name}_hugepages": text for name in ("nr", "free", "surplus")}
    found = from_linux(linux.collect(Shelf(tree)))
    assert found.cell(0).huge_pages == (HugePages(size=2 << 20),)
    denied = from_linux(linux.collect(Shelf(rich(), {f"{where}/nr_hugepages": EACCES})))
    assert denied.cell(0).huge_pages == (HugePages(size=2 << 20, free=5, surplus=1),)
    for one in (found, denied):
        assert {note.where.partition("/hugepages/")[0] for note in one.notes} == {"node0"}


def test_the_machine_is_rich() -> None:
    """At least 50 kinds of files are read, each of which is spoiled."""
    kinds = {"".join("N" if c.isdigit() else c for c in path) for path in FILES}
    assert len(kinds) >= 50
    assert f"{NODE}/node0/meminfo" in FILES


@pytest.mark.parametrize("size", ["0", "3", "99999999999999999999"])
def test_a_size_of_pages_that_cannot_be_is_left_out(size: str) -> None:
    """Sizes are directory names, and each divides the memory of its cell."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree[f"{NODE}/node1/hugepages/hugepages-{size}kB/nr_hugepages"] = "10\n"
    for node in (0, 1):
        tree[f"{NODE}/node{node}/hugepages/hugepages-2048kB/nr_hugepages"] = "10\n"
    found = from_linux(linux.collect(Shelf(tree)))
    assert [pages.size for pages in found.cells[1].huge_pages] == [2 << 20]
    assert bool(found.notes) == (len(size) == 1), "a number of more than 64 bits is no size of pages"


def test_figures_of_firmware_that_are_minus_one_are_unknown() -> None:
    """hmat.c keeps 32 bits, and a node that does not exist cannot access anything."""
    tree = machine({0: [0, 1], 1: []})
    access = f"{NODE}/node1/access0/initiators"
    tree |= {f"{access}/read_bandwidth": "4294967295\n", f"{access}/read_latency": "90\n", f"{access}/node9": None}
    found = from_linux(linux.collect(Shelf(tree)))
    (one,) = found.cells[1].accesses
    assert (one.read_bandwidth, one.read_latency, one.initiators) == (None, 90, ())
    assert len(found.notes) == 2


def test_a_capacity_of_nothing_is_no_kind() -> None:
    """The kernel scales capacities to 1024, and none is 0."""
    tree = machine({0: [0, 1, 2, 3]})
    tree |= {f"{CPU}/cpu{cpu}/cpu_capacity": f"{value}\n" for cpu, value in enumerate((1024, 1024, 0, 512))}
    found = from_linux(linux.collect(Shelf(tree)))
    assert [cpu.kind for cpu in found.cpus] == ["capacity-1024", "capacity-1024", None, "capacity-512"]
    assert found.notes
