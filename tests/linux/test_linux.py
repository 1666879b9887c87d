"""What is made of a Linux tree: every oddity that real kernels, firmware and recorders have been seen with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import EACCES, EINVAL, EIO, EMFILE, ESTALE

import pytest
from collected import column, host, texts, without
from hypothesis import given
from hypothesis import strategies as st
from rich import rich
from trees import CPU, NODE, Machine, Shelf, fold, machine, mask, meminfo

from numaprobe import SourceError, SourceUnavailable
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux

# --- a plain machine -------------------------------------------------------------------------------------------


def test_two_cells_with_threads() -> None:
    """The plain case: a two-socket host with asymmetric distances, all fields compared, and no note made."""
    found = host(machine({0: [0, 1, 4, 5], 1: [2, 3, 6, 7]}, threads=2, distances={0: [10, 21], 1: [31, 10]}))
    assert [(cell.id, cell.cpus) for cell in found.cells] == [(0, (0, 1, 4, 5)), (1, (2, 3, 6, 7))]
    assert found.distance(0, 1) == 21
    assert found.distance(1, 0) == 31
    assert column(found, "cell") == {0: 0, 1: 0, 4: 0, 5: 0, 2: 1, 3: 1, 6: 1, 7: 1}
    assert column(found, "siblings")[5] == (4, 5)
    assert column(found, "core") == {0: 0, 1: 0, 4: 1, 5: 1, 2: 0, 3: 0, 6: 1, 7: 1}, "ids repeat in each package"
    assert column(found, "package") == {0: 0, 1: 0, 4: 0, 5: 0, 2: 1, 3: 1, 6: 1, 7: 1}
    assert {cpu.isolated for cpu in found.cpus} == {False}
    assert {cpu.nohz_full for cpu in found.cpus} == {None}, "the kernel has no such file"
    assert found.notes == ()


def test_nothing_at_all_is_unavailable() -> None:
    """An empty tree, or the bare directories, is a mistaken --root and not a host with nothing in it."""
    for tree in ({}, {"sys/devices/system/cpu": None}, {NODE: None}, {f"{CPU}/kernel_max": "63\n"}):
        with pytest.raises(SourceUnavailable, match="no node and no cpu"):
            host(tree)


def test_files_are_opened_per_core_and_package_not_per_cpu() -> None:
    """With 8 threads a core a 256-CPU host needs less than a quarter of the opens, counted by the reader."""
    cells = {i: list(range(i * 64, i * 64 + 64)) for i in range(4)}
    shelves = []
    for threads in (1, 8):
        shelf = Shelf(machine(cells, threads=threads))
        linux.collect(shelf)
        shelves.append(len([path for path in shelf.opened if "/topology/" in path]))
    assert shelves[1] < shelves[0] / 4
    assert shelves[1] < 2 * 32 + 2 * 4 + 60


# --- ids -------------------------------------------------------------------------------------------------------


def test_ids_are_labels_sparse_and_large() -> None:
    """POWER numbers its nodes 0, 8, 250 and so on, so an id must never serve as an index."""
    found = host(machine({0: [0, 5], 8: [1024, 4095], 250: [], 1023: [2047]}))
    assert [cell.id for cell in found.cells] == [0, 8, 250, 1023]
    assert found.cell(8).cpus == (1024, 4095)
    assert found.cpu(4095).cell == 8
    assert found.distance(1023, 8) == 20
    assert found.cell(250).cpus == ()


def test_cell_0_and_cpu_0_may_be_missing() -> None:
    """As in partitions whose first node or CPU belongs to another; the first column of distances is cell 1's."""
    found = host(machine({1: [2, 3], 2: [4]}))
    assert [cell.id for cell in found.cells] == [1, 2]
    assert [cpu.id for cpu in found.cpus] == [2, 3, 4]
    assert found.cells[0].distances == ((1, 10), (2, 20))


def test_an_offline_cpu_is_present_and_in_no_core() -> None:
    """The kernel removes its topology files, so all six fields are None; CPUs that are only possible are left out."""
    tree = machine({0: [1, 2, 3]}, threads=1)
    tree[f"{CPU}/present"] = "0-4\n"
    tree[f"{CPU}/possible"] = "0-15\n"
    found = host(tree)
    assert column(found, "online") == {0: False, 1: True, 2: True, 3: True, 4: False}
    assert found.cpu(0)[2:8] == (None,) * 6
    assert found.cell(0).cpus == (1, 2, 3)


def test_masks_with_offline_cpus_are_cut_with_what_is_online() -> None:
    """Old kernels and ppc64 name every cpu that the node could have."""
    tree = machine({0: [0, 1], 1: [4, 5]}, threads=2)
    for node, cpus in ((0, range(4)), (1, range(4, 8))):
        del tree[f"{NODE}/node{node}/cpulist"]
        tree[f"{NODE}/node{node}/cpumap"] = mask(list(cpus))
    tree[f"{CPU}/present"] = "0-7\n"
    tree[f"{CPU}/cpu0/topology/core_cpus_list"] = "0-3\n"
    found = host(tree)
    assert [cell.cpus for cell in found.cells] == [(0, 1), (4, 5)]
    assert found.cpu(0).siblings == (0, 1)
    assert found.cpu(2).cell == 0, "offline, but the mask says where it would be"


@given(
    st.dictionaries(st.integers(0, 200), st.sets(st.integers(0, 2000), max_size=6), min_size=1, max_size=6).filter(
        lambda cells: any(cells.values())
    ),
    st.sets(st.integers(0, 2000), max_size=5),
)
def test_any_ids_come_out_as_they_are(cells: dict[int, set[int]], more: set[int]) -> None:
    """Hypothesis makes up hosts with gaps, empty cells and offline CPUs; what it planted is the oracle."""
    taken: set[int] = set()
    for cpus in cells.values():
        cpus.difference_update(taken)
        taken.update(cpus)
    tree = machine({cell: sorted(cpus) for cell, cpus in cells.items()})
    tree[f"{CPU}/online"] = fold(sorted(taken)) if taken else "\n"
    tree[f"{CPU}/present"] = fold(sorted(taken | more)) if taken | more else "\n"
    found = host(tree)
    assert [cell.id for cell in found.cells] == sorted(cells)
    assert {cell.id: cell.cpus for cell in found.cells} == {cell: tuple(sorted(cpus)) for cell, cpus in cells.items()}
    assert [cpu.id for cpu in found.cpus] == sorted(taken | more)
    assert {cpu.id for cpu in found.cpus if cpu.online} == taken
    assert all(cpu.cell is not None and cpu.id in cells[cpu.cell] for cpu in found.cpus if cpu.online)


# --- nodes -----------------------------------------------------------------------------------------------------


def test_no_node_directory_is_one_cell_with_everything() -> None:
    """A kernel without CONFIG_NUMA still gets an answer: a cell marked as a stand-in, with /proc/meminfo's figures."""
    tree = {path: content for path, content in machine({0: [0, 1]}).items() if not path.startswith(NODE)}
    tree["proc/meminfo"] = meminfo(None, 1000, 400, MemAvailable=700)
    tree["sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages"] = "5\n"
    tree[f"{CPU}/present"] = "0-2\n"
    found = host(tree)
    assert [(cell.id, cell.cpus, cell.distances) for cell in found.cells] == [(0, (0, 1), None)]
    assert found.cells[0].memory[:3] == (1000 << 10, 400 << 10, 700 << 10)
    assert [(p.size, p.total, p.free) for p in found.cells[0].huge_pages] == [(64 << 10, 5, None)]
    assert {cpu.cell for cpu in found.cpus} == {0}
    assert "one cell represents the whole machine" in texts(found)
    assert found.cell(0).stand_in, "no program accepts it as a node"
    assert not host(machine({0: [0, 1]})).cell(0).stand_in, "a kernel with one node has a node"
    assert host({path: text for path, text in tree.items() if path != "proc/meminfo"}).cells[0].memory.total is None


def test_weights_of_interleaving_are_those_of_the_kernel() -> None:
    """Each node has its weight under its own name; kernels before 6.9 have none."""
    weights = "sys/kernel/mm/mempolicy/weighted_interleave"
    tree = machine({0: [0], 2: [1]})
    assert [cell.interleave_weight for cell in host(tree).cells] == [None, None]
    tree.update({f"{weights}/node0": "9\n", f"{weights}/node2": "2\n", f"{weights}/auto": "true\n"})
    assert [cell.interleave_weight for cell in host(tree).cells] == [9, 2]


def test_a_line_that_names_two_nodes_costs_the_file_and_not_the_host() -> None:
    """Its own label is among them, so that no line is of another node alone."""
    tree = machine({0: [0], 2: [1]})
    tree[f"{NODE}/node2/meminfo"] = "Node 2 MemTotal: 4096 kB Node 0 MemFree: 1 kB\n"
    found = host(tree)
    assert found.cell(2).memory.total is None
    assert "is of another node" in texts(found)


def test_node_directories_win_over_a_contradicting_list() -> None:
    """The list says what should be there and the directories hold the figures; a note shows the disagreement."""
    tree = machine({0: [0], 2: [1]})
    tree[f"{NODE}/online"] = "0-3\n"
    found = host(tree)
    assert [cell.id for cell in found.cells] == [0, 2]
    assert "says 0-3, the node directories are 0,2" in texts(found)


def test_columns_of_distance_follow_the_online_nodes_where_a_directory_is_gone() -> None:
    """A row has three columns for two directories, so cell 2's is the third and not the second."""
    tree = machine({0: [0], 2: [1]})
    tree[f"{NODE}/online"] = "0-2\n"
    tree[f"{NODE}/node0/distance"] = "10 15 21\n"
    tree[f"{NODE}/node2/distance"] = "31 16 10\n"
    found = host(tree)
    assert found.distance(0, 2) == 21
    assert found.distance(2, 0) == 31


def test_a_list_without_directories_still_names_cells() -> None:
    """As in a recording that kept too few files: the ids are known, and everything else is None."""
    found = host({f"{NODE}/online": "0,3\n", f"{CPU}/online": "0-1\n"})
    assert [(cell.id, cell.cpus, cell.memory.total) for cell in found.cells] == [(0, None, None), (3, None, None)]


def test_names_that_only_look_like_nodes_and_cpus_are_no_such() -> None:
    """Sysfs has cpufreq and cpuidle next to cpu0, and a prefix alone, or a leading zero, makes no id."""
    tree: Machine = {
        **machine({0: [0]}),
        f"{NODE}/node": "x",
        f"{NODE}/node00/cpulist": "0\n",
        f"{NODE}/nodes": "",
        f"{NODE}/node1x": "",
    }
    tree.update({f"{CPU}/cpufreq": None, f"{CPU}/cpuidle": None, f"{CPU}/cpu00": None, f"{CPU}/cpu1_": None})
    del tree[f"{CPU}/online"], tree[f"{CPU}/present"]
    found = host(tree)
    assert [cell.id for cell in found.cells] == [0]
    assert [cpu.id for cpu in found.cpus] == [0]


def test_a_node_without_memory_and_one_without_cpus() -> None:
    """A total of 0 that was read and one that was not read are different answers."""
    tree = machine({0: [0], 1: [], 2: [1]})
    tree[f"{NODE}/node2/meminfo"] = meminfo(2, 0, 0)
    del tree[f"{NODE}/node1/meminfo"]
    found = host(tree)
    assert found.cell(1).cpus == ()
    assert found.cell(1).memory.total is None, "unknown is not 0"
    assert found.cell(2).memory[:2] == (0, 0)


def test_has_cpu_and_has_memory_speak_for_a_node_that_says_nothing() -> None:
    """These lists prove an absence, which is 0 or (); that a node is among them gives no figures."""
    tree = without(machine({0: [0], 1: []}), "node1/cpulist", "node1/meminfo")
    tree[f"{NODE}/has_cpu"], tree[f"{NODE}/has_memory"] = "0\n", "0\n"
    found = host(tree)
    assert (found.cell(1).cpus, found.cell(1).memory.total) == ((), 0)
    tree[f"{NODE}/has_cpu"] = tree[f"{NODE}/has_memory"] = "0-1\n"
    found = host(tree)
    assert (found.cell(1).cpus, found.cell(1).memory.total) == (None, None)


def test_links_to_cpus_are_the_last_word_for_a_node_without_lists() -> None:
    """Some recordings kept only the links to cpus; a node without even these has unknown CPUs and a note."""
    tree = without(machine({0: [0, 1], 1: [2]}), "/cpulist")
    tree[f"{NODE}/node0/cpu0"] = tree[f"{NODE}/node0/cpu1"] = None
    found = host(tree)
    assert [cell.cpus for cell in found.cells] == [(0, 1), None]
    assert "node1/cpulist: is missing: the cell's cpus are unknown" in texts(found)


def test_nodes_that_claim_the_same_cpus_keep_them_and_the_cpus_are_in_none() -> None:
    """Some emulated NUMA does this; giving each CPU to one of them would be a guess, so cpu.cell is None."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree[f"{NODE}/node0/cpulist"] = tree[f"{NODE}/node1/cpulist"] = "0-3\n"
    found = host(tree)
    assert [cell.cpus for cell in found.cells] == [(0, 1, 2, 3)] * 2
    assert {cpu.cell for cpu in found.cpus} == {None}
    assert "4 cpus are claimed by more than one node" in texts(found)


def test_a_cpu_in_no_node_is_in_no_cell() -> None:
    """An online CPU that firmware assigned to no node must not be counted in cell 0."""
    tree = machine({0: [0, 1]})
    tree[f"{NODE}/node0/cpulist"] = "0\n"
    assert column(host(tree), "cell") == {0: 0, 1: None}


@pytest.mark.parametrize("row", [[10, 10], [10, 5], [20, 10], [255, 254], [0, 0]])
def test_a_row_of_any_costs_is_taken_as_it_is(row: list[int]) -> None:
    """Firmware may give a remote cost of 10, a local one of 20, or zeros; the kernel's numbers are reported as such."""
    found = host(machine({0: [0], 1: [1]}, distances={0: row, 1: row}))
    assert found.cells[0].distances == ((0, row[0]), (1, row[1]))


def test_a_missing_or_empty_row_is_unknown() -> None:
    """A row that is missing is no oddity, an empty one is."""
    tree = machine({0: [0], 1: [1]})
    tree[f"{NODE}/node0/distance"] = "\n"
    del tree[f"{NODE}/node1/distance"]
    found = host(tree)
    assert [cell.distances for cell in found.cells] == [None, None]
    assert found.distance(0, 1) is None
    assert [note.where for note in found.notes] == ["node0/distance"]


@pytest.mark.parametrize("row", ["10", "10 20 30", "10 20 30 40 50 60 70"])
def test_a_row_of_another_length_is_unknown_and_costs_nothing_else(row: str) -> None:
    """The row is quoted in a note; the other row, the cpus and the memory stand."""
    tree = machine({0: [0], 1: [1]})
    whole = host(tree)
    tree[f"{NODE}/node1/distance"] = f"{row}\n"
    found = host(tree)
    assert found.cells == (whole.cells[0], whole.cells[1]._replace(distances=None))
    assert [note.where for note in found.notes] == ["node1/distance"]
    assert f"columns for 2 nodes: '{row}'" in texts(found)


# --- memory ----------------------------------------------------------------------------------------------------


def test_memory_of_hundreds_of_terabytes() -> None:
    """400 TiB in kB passes 32 bits, so an int of C anywhere on the way would cut it."""
    found = host(machine({0: [0]}, memory_kb=400 << 30))
    assert found.cells[0].memory.total == 400 << 40


def test_huge_pages_of_several_sizes_on_one_node_only() -> None:
    """The sizes of arm64 and POWER, where a cell without memory has no directory of them."""
    tree = machine({0: [0], 1: [1]}, memory_kb=32 << 20)
    tree[f"{NODE}/node0/meminfo"] = meminfo(0, 0, 0)
    for size, total, free in ((64, 7, 6), (2048, 5, 0), (16 << 20, 1, 1)):
        tree[f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages"] = f"{total}\n"
        tree[f"{NODE}/node1/hugepages/hugepages-{size}kB/nr_hugepages"] = f"{total}\n"
        tree[f"{NODE}/node1/hugepages/hugepages-{size}kB/free_hugepages"] = f"{free}\n"
        tree[f"{NODE}/node1/hugepages/hugepages-{size}kB/surplus_hugepages"] = "0\n"
    found = host(tree)
    assert found.cell(0).huge_pages == ()
    assert found.cell(1).huge_pages == ((64 << 10, 7, 6, 0), (2 << 20, 5, 0, 0), (16 << 30, 1, 1, 0))


def test_huge_pages_where_only_the_node_has_the_sizes() -> None:
    """The machine-wide directory may be missing from a recording; counts that have no file are None."""
    tree = machine({0: [0]})
    tree[f"{NODE}/node0/hugepages/hugepages-1048576kB/nr_hugepages"] = "2\n"
    tree[f"{NODE}/node0/hugepages/hugepages-x"] = None
    assert host(tree).cell(0).huge_pages == ((1 << 30, 2, None, None),)


# --- how recorders lose things ---------------------------------------------------------------------------------


def test_files_that_end_in_nul_bytes_are_read_and_files_of_nothing_else_are_unknown() -> None:
    """Copies of sysfs made by size are padded to a page of 4096 bytes, and some hold nothing but the padding."""
    tree = machine({0: [0, 1], 1: [2]})
    padded: Machine = {path: str(text).encode().ljust(4096, b"\0") for path, text in tree.items()}
    assert host(padded) == host(tree)
    padded[f"{NODE}/node1/meminfo"] = b"\0" * 4096
    padded[f"{CPU}/cpu0/topology/core_id"] = b"\0" * 4096
    found = host(padded)
    assert found.cell(1).memory.total is None
    assert found.cpu(0).core is None
    assert texts(found).count("holds only NUL bytes") == 2


@pytest.mark.parametrize("errno", [EACCES, EIO, EMFILE, EINVAL])
@pytest.mark.parametrize("name", ["cpulist", "meminfo", "distance", "access0/initiators", "memory_side_cache"])
def test_one_unreadable_attribute_gives_the_rest_and_one_note(name: str, errno: int) -> None:
    """Any errno but ENOENT: exactly one note quotes it, and the other node is equal to that of an intact host."""
    path = f"{NODE}/node1/{name}"
    found = host(machine({0: [0], 1: [1]}), {path: errno})
    assert found.cell(0) == host(machine({0: [0], 1: [1]})).cell(0)
    assert found.cell(1).id == 1
    assert [note.where for note in found.notes if os.strerror(errno) in note.text] == [f"node1/{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "online",
        "present",
        "possible",
        "isolated",
        "smt/active",
        "cpu0/topology/core_id",
        "cpu0/topology/package_cpus_list",
    ],
)
def test_an_unreadable_file_of_the_cpus_gives_the_rest_and_a_note(name: str) -> None:
    """Each file of the CPUs in turn is denied, and the cells keep their CPUs by the other files."""
    tree = machine({0: [0, 1], 1: [2]})
    tree.update({f"{CPU}/cpu{cpu}/online": "1\n" for cpu in (1, 2)})
    found = host(tree, {f"{CPU}/{name}": EACCES})
    assert [cell.cpus for cell in found.cells] == [(0, 1), (2,)]
    assert any(note.where == name for note in found.notes)


def test_unlistable_directories_are_noted() -> None:
    """The list is None then, since one without entries would mean that there are no devices."""
    found = host(machine({0: [0]}), {"sys/bus/pci/devices": EACCES, "sys/kernel/mm/hugepages": EACCES}, devices=True)
    assert found.devices is None
    assert {note.where for note in found.notes} == {"sys/bus/pci/devices", "sys/kernel/mm/hugepages"}


def test_without_cpu_lists_the_directories_say_who_is_there() -> None:
    """As before Linux 2.6.26: cpu0 often has no online file because it cannot be taken offline."""
    tree = without(machine({0: [0, 1, 2]}), "cpu/online", "cpu/present", "cpu/possible")
    tree[f"{CPU}/cpu1/online"] = "0\n"
    tree[f"{CPU}/cpu2/online"] = "1\n"
    tree[f"{CPU}/cpu7/online"] = "0\n"
    found = host(tree)
    assert column(found, "online") == {0: True, 1: False, 2: True, 7: False}
    assert found.cell(0).cpus == (0, 2)


def test_without_a_cpu_directory_the_cells_keep_what_their_nodes_say() -> None:
    """A partial recording: the nodes' own lists are facts even where no CPU is described."""
    found = host({path: text for path, text in machine({0: [0, 1]}).items() if path.startswith(NODE)})
    assert found.cells[0].cpus == (0, 1)
    assert found.cpus == ()


# --- machines that do not stand still --------------------------------------------------------------------------


class Changing(Shelf):
    """Another machine from the first time that a file is read on, the next one from the second time on, and so on."""

    def __init__(self, path: str, *trees: Machine) -> None:
        super().__init__(trees[0])
        self.path = path
        self.next = [Shelf(tree) for tree in trees[1:]]

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        if self.next and any(f"{base}/{path}" == self.path for path in paths):
            shelf = self.next.pop(0)
            self.files, self.directories = shelf.files, shelf.directories
        return super().read(paths, base)


TWO = machine({0: [0, 1], 1: [2, 3]}, distances={0: [10, 21], 1: [21, 10]})
THREE = machine({0: [0, 1], 1: [2, 3], 2: []}, distances={0: [10, 21, 17], 1: [21, 10, 28], 2: [17, 28, 10]})


@pytest.mark.parametrize(("before", "after"), [(TWO, THREE), (THREE, TWO)], ids=["comes", "goes"])
def test_a_node_that_comes_or_goes_while_the_host_is_read_is_no_error(before: Machine, after: Machine) -> None:
    """Its neighbours' rows of distances change their width with it; the host is read again."""
    found = from_linux(linux.collect(Changing(f"{NODE}/node0/distance", before, after)))
    assert found == host(after)


def test_a_cpu_that_goes_while_the_host_is_read_is_in_no_cell() -> None:
    """The reader swaps the tree in the middle; the answer has to equal one of the state after it."""
    after = TWO | {f"{CPU}/online": "0-2\n", f"{NODE}/node1/cpulist": "2\n"}
    found = from_linux(linux.collect(Changing(f"{NODE}/node0/cpulist", TWO, after)))
    assert found == host(after)
    assert found.cpu(3).online is False


def test_a_host_is_read_eight_times_until_it_stands_still() -> None:
    """The seventh change is the last that is waited for."""
    changes = [TWO, THREE] * 4
    assert from_linux(linux.collect(Changing(f"{NODE}/node0/distance", *changes))) == host(THREE)
    with pytest.raises(SourceError):
        linux.collect(Changing(f"{NODE}/node0/distance", *changes, TWO))


def test_what_takes_longer_is_read_only_on_request() -> None:
    """Each of the four optional groups of facts is None, on a machine that has them all."""
    facts = linux.collect(Shelf(rich()))
    assert facts.usable is None
    assert facts.devices is None
    assert facts.allowed is None
    assert facts.caches is None
    assert facts.zones is not None


def test_a_host_that_never_stands_still_is_an_error_that_says_so() -> None:
    """A mixture of two of its states would look like a host."""
    with pytest.raises(SourceError, match="kept being added or removed") as caught:
        linux.collect(Changing(f"{NODE}/node0/distance", *[TWO, THREE] * 10))
    assert (caught.value.errno, caught.value.where) == (ESTALE, f"{NODE}/online")
