"""Packages, cores and kinds of cpu of a Linux tree, and what firmware tells of its memory and devices."""

from __future__ import annotations

from errno import EIO

import pytest
from collected import column, host, ids_of, renamed, texts, without
from trees import CPU, NODE, Machine, Shelf, fold, machine, mask

from numaprobe.errors import FactError
from numaprobe.linux.collect import collect
from numaprobe.linux.cpus import ISOLATED as RUN_TIME
from numaprobe.normalise.linux import from_linux

# --- topology --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["2.6.26", "masks", "masks of old", "both", "empty list"])
def test_old_names_and_forms_give_the_same_topology(form: str) -> None:
    """Lists and masks, and the names before core_cpus_list; the modern tree's answer is the oracle for all."""
    cells = {0: [0, 1, 2, 3], 1: [36, 37, 38, 39]}
    modern = machine(cells, threads=2)
    old = renamed(renamed(modern, "package_cpus_list", "core_siblings_list"), "core_cpus_list", "thread_siblings_list")
    if form == "masks":
        changed = {p.replace("_cpus_list", "_cpus"): c for p, c in modern.items()}
        tree: Machine = {p: mask(ids_of(c)) if p.endswith("_cpus") else c for p, c in changed.items()}
        # A package's mask has been called core_siblings since ever, and package_cpus beside it since Linux 5.2.
        tree = {p.replace("package_cpus", "core_siblings"): c for p, c in tree.items()}
    elif form == "masks of old":
        changed = {p.replace("_siblings_list", "_siblings"): c for p, c in old.items()}
        tree = {p: mask(ids_of(c)) if p.endswith("_siblings") else c for p, c in changed.items()}
    elif form == "both":
        tree = {**old, **modern}
    elif form == "empty list":
        tree = {p: "" if p.endswith("_siblings_list") else c for p, c in old.items()}
        tree.update({p.removesuffix("_list"): mask(ids_of(c)) for p, c in old.items() if p.endswith("_siblings_list")})
    else:
        tree = old
    assert host(tree).cpus == host(modern).cpus


@pytest.mark.parametrize("level", ["package", "die", "cluster", "core"])
@pytest.mark.parametrize(
    ("raw", "told"), [("-1", None), ("65535", 65535), ("0", 0), ("4294967295", 4294967295), ("36", 36)]
)
def test_ids_are_raw_and_minus_one_is_unknown(level: str, raw: str, told: int | None) -> None:
    """Ids up to 32 bits stay as firmware chose them; x86's 65535 is unknown for a cluster and a number elsewhere."""
    tree = machine({0: [0, 1]}, threads=2)
    name = "physical_package_id" if level == "package" else f"{level}_id"
    for cpu in (0, 1):
        tree[f"{CPU}/cpu{cpu}/topology/{name}"] = f"{raw}\n"
        tree[f"{CPU}/cpu{cpu}/topology/{level}_cpus_list"] = "0-1\n"
    # x86 has 65535 for a cluster that it does not know, and only there.
    told = None if (level, raw) == ("cluster", "65535") else told
    assert column(host(tree), level) == {0: told, 1: told}


def test_books_and_drawers_of_s390() -> None:
    """The two levels above a package, which only mainframes have."""
    tree = machine({0: [0, 1, 2, 3]})
    for cpu in range(4):
        tree[f"{CPU}/cpu{cpu}/topology/book_id"] = f"{cpu // 2 + 1}\n"
        tree[f"{CPU}/cpu{cpu}/topology/book_siblings_list"] = f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n"
        tree[f"{CPU}/cpu{cpu}/topology/drawer_id"] = "4\n"
        tree[f"{CPU}/cpu{cpu}/topology/drawer_siblings_list"] = "0-3\n"
    found = host(tree)
    assert column(found, "book") == {0: 1, 1: 1, 2: 2, 3: 2}
    assert column(found, "drawer") == dict.fromkeys(range(4), 4)


def test_a_package_with_two_dies_and_four_clusters() -> None:
    """Every level of arm64 and recent x86 at once, each with ids that are its own."""
    tree = machine({0: list(range(8))}, threads=1)
    for cpu in range(8):
        topology = f"{CPU}/cpu{cpu}/topology"
        tree[f"{topology}/die_id"] = f"{cpu // 4}\n"
        tree[f"{topology}/die_cpus_list"] = fold(range(cpu // 4 * 4, cpu // 4 * 4 + 4))
        tree[f"{topology}/cluster_id"] = f"{cpu // 2 * 10}\n"
        tree[f"{topology}/cluster_cpus_list"] = fold(range(cpu // 2 * 2, cpu // 2 * 2 + 2))
    found = host(tree)
    assert column(found, "die") == {cpu: cpu // 4 for cpu in range(8)}
    assert column(found, "cluster") == {cpu: cpu // 2 * 10 for cpu in range(8)}


def test_threads_of_one_core_with_different_ids_keep_their_own() -> None:
    """Some firmware numbers threads and not cores; the lists decide who shares a core, and a note says so."""
    tree = machine({0: [0, 1, 2, 3]}, threads=2)
    for cpu in range(4):
        tree[f"{CPU}/cpu{cpu}/topology/core_id"] = f"{cpu}\n"
    found = host(tree)
    assert column(found, "core") == {0: 0, 1: 1, 2: 2, 3: 3}
    assert column(found, "siblings") == {0: (0, 1), 1: (0, 1), 2: (2, 3), 3: (2, 3)}
    assert "different ids" in texts(found)


CONTRADICTIONS = {
    "a list without its own cpu": {0: "1", 1: "0"},
    "overlapping lists": {0: "0-1", 2: "1-2"},
    "a cpu in another's list only": {1: "0-1", 0: "0"},
    "everything, then less": {1: "0-3", 0: "0"},
}


@pytest.mark.parametrize("lists", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_sibling_lists_that_contradict_each_other_are_taken_each_at_its_word(lists: dict[int, str]) -> None:
    """There is no telling which list is wrong, so each CPU reports its own and a note warns."""
    tree = machine({0: [0, 1, 2, 3]}, threads=1)
    for cpu, text in lists.items():
        tree[f"{CPU}/cpu{cpu}/topology/core_cpus_list"] = f"{text}\n"
    found = host(tree)
    assert "contradict each other" in texts(found)
    for cpu in range(4):
        own = {cpu, *ids_of(lists.get(cpu, str(cpu)))}
        assert found.cpu(cpu).siblings == tuple(sorted(own))
    assert column(found, "core") == {0: 0, 1: 1, 2: 2, 3: 3}


def test_package_lists_that_contradict_each_other_leave_each_its_id() -> None:
    """Ids read once per package must not be copied to a CPU whose list was not agreed on."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree[f"{CPU}/cpu0/topology/package_cpus_list"] = "0-2\n"
    tree[f"{CPU}/cpu3/topology/package_cpus_list"] = "2-3\n"
    found = host(tree)
    assert column(found, "package") == {0: 0, 1: 0, 2: 1, 3: 1}
    assert "the package lists of the cpus contradict" in texts(found)


def test_the_first_cpu_may_be_without_topology() -> None:
    """Files that are missing for CPU 0 must not be taken as missing for all CPUs."""
    tree = machine({0: [0, 1, 2, 3]}, threads=2)
    tree = {path: text for path, text in tree.items() if not path.startswith((f"{CPU}/cpu0/", f"{CPU}/cpu1/"))}
    found = host(tree)
    assert column(found, "siblings") == {0: None, 1: None, 2: (2, 3), 3: (2, 3)}
    assert column(found, "core") == {0: None, 1: None, 2: 1, 3: 1}


def test_ids_without_lists_are_read_for_every_cpu() -> None:
    """Without lists nobody knows who shares a package, so siblings stay None rather than derived from ids."""
    tree = without(machine({0: [0, 1], 1: [2, 3]}), "_cpus_list")
    found = host(tree)
    assert column(found, "package") == {0: 0, 1: 0, 2: 1, 3: 1}
    assert column(found, "siblings") == dict.fromkeys(range(4))


def test_without_any_topology_everything_is_unknown() -> None:
    """As on uniprocessor builds and in poor recordings: five fields of None and no invented core per CPU."""
    found = host({path: text for path, text in machine({0: [0, 1]}).items() if "topology" not in path})
    assert {cpu[3:8] for cpu in found.cpus} == {(None,) * 5}


def test_simultaneous_multithreading_switched_off_leaves_each_cpu_alone() -> None:
    """With nosmt a core has one online thread, and siblings name only those that compete."""
    tree = machine({0: [0, 1, 2, 3]})
    tree[f"{CPU}/smt/active"] = "0\n"
    assert column(host(tree), "siblings") == {cpu: (cpu,) for cpu in range(4)}


def test_a_kernel_that_says_no_threads_is_not_believed_against_its_lists() -> None:
    """Without CONFIG_SCHED_SMT it always says so."""
    tree = machine({0: [0, 1, 2, 3]}, threads=2)
    tree[f"{CPU}/smt/active"] = "0\n"
    assert column(host(tree), "siblings") == {0: (0, 1), 1: (0, 1), 2: (2, 3), 3: (2, 3)}


# --- kinds of cpu ----------------------------------------------------------------------------------------------


def test_hybrid_cpus_of_intel() -> None:
    """Performance, efficient and low-power cores are event sources of perf, each with its list of CPUs."""
    tree = machine({0: [0, 1, 2, 3]}, threads=1)
    tree["sys/devices/cpu_core/cpus"], tree["sys/devices/cpu_atom/cpus"] = "0-1\n", "2\n"
    tree["sys/devices/cpu_lowpower/cpus"] = "3\n"
    assert column(host(tree), "kind") == {0: "core", 1: "core", 2: "atom", 3: "lowpower"}


@pytest.mark.parametrize("has_lists", [True, False])
def test_big_and_little_by_their_capacity(has_lists: bool) -> None:
    """On arm64 the capacity is read once per core if lists tell the cores apart, and per CPU if not."""
    tree = machine({0: [0, 1, 2]}, threads=1)
    for cpu, capacity in enumerate((250, 250, 1024)):
        tree[f"{CPU}/cpu{cpu}/cpu_capacity"] = f"{capacity}\n"
    if not has_lists:
        tree = without(tree, "core_cpus_list")
    found = host(tree)
    assert column(found, "capacity") == {0: 250, 1: 250, 2: 1024}
    assert column(found, "kind") == {0: "capacity-250", 1: "capacity-250", 2: "capacity-1024"}


def test_capacities_that_are_all_alike_are_no_kind() -> None:
    """A symmetric arm64 server has the file too, which must not make it look like big.LITTLE."""
    tree = machine({0: [0, 1]})
    tree.update({f"{CPU}/cpu{cpu}/cpu_capacity": "1024\n" for cpu in (0, 1)})
    assert column(host(tree), "kind") == {0: None, 1: None}


def test_isolated_and_nohz_full() -> None:
    """The kernel prints (null) for no CPU at all; without the file the answer is unknown instead of False."""
    tree = machine({0: [0, 1, 2, 3]})
    tree[f"{CPU}/isolated"], tree[f"{CPU}/nohz_full"] = "2-3\n", "  (null)\n"
    found = host(tree)
    assert [cpu.isolated for cpu in found.cpus] == [False, False, True, True]
    assert {cpu.nohz_full for cpu in found.cpus} == {False}
    del tree[f"{CPU}/isolated"]
    assert {cpu.isolated for cpu in host(tree).cpus} == {None}


@pytest.mark.parametrize("broken", [f"{CPU}/isolated", RUN_TIME])
@pytest.mark.parametrize("text", ["junk\n", ""])
def test_a_broken_list_of_isolated_cpus_leaves_the_others_unknown(broken: str, text: str) -> None:
    """Two files list them (boot time and run time), and a cpu that the readable one leaves out may be in the other."""
    tree = machine({0: (0, 1), 1: (2, 3)})
    tree[f"{CPU}/isolated"] = tree[RUN_TIME] = "3\n"
    tree[broken] = text
    found = host(tree)
    assert [cpu.isolated for cpu in found.cpus] == [None, None, None, True]
    assert [note.where for note in found.notes] == [broken.removeprefix(f"{CPU}/")]


def test_a_broken_list_of_a_node_is_not_a_node_without_cpus() -> None:
    """Where nothing but the nodes lists cpus, one of their lists that is broken leaves out cpus of the machine."""
    tree = {path: text for path, text in machine({0: (0, 1), 1: (2, 3)}).items() if not path.startswith(f"{CPU}/")}
    tree[f"{CPU}/online"] = "junk\n"
    assert [cpu.id for cpu in host(tree).cpus] == [0, 1, 2, 3]
    with pytest.raises(FactError, match="node1/cpulist"):
        host(tree | {f"{NODE}/node1/cpulist": "junk\n"})


def test_an_empty_list_of_isolated_cpus_says_nothing_while_the_other_fails() -> None:
    """EIO on one of the two files is not "no cpu is isolated"."""
    tree = machine({0: (0, 1)}) | {RUN_TIME: "\n"}
    found = from_linux(collect(Shelf(tree, {f"{CPU}/isolated": EIO})))
    assert {cpu.isolated for cpu in found.cpus} == {None}
    found = from_linux(collect(Shelf(tree, {RUN_TIME: EIO})))
    assert {cpu.isolated for cpu in found.cpus} == {None}


# --- what firmware tells of memory -----------------------------------------------------------------------------


def test_latency_and_bandwidth_of_the_nearest_initiators() -> None:
    """From ACPI's HMAT: MB/s become bytes, 0 means that firmware gave no figure, each access class has its row."""
    tree = machine({0: [0], 1: [1], 2: []})
    for level, initiators in ((0, (0, 1)), (1, (0,))):
        for node in initiators:
            tree[f"{NODE}/node2/access{level}/initiators/node{node}"] = None
        tree[f"{NODE}/node2/access{level}/initiators/read_latency"] = f"{100 + level}\n"
        tree[f"{NODE}/node2/access{level}/initiators/write_bandwidth"] = "3000\n"
        tree[f"{NODE}/node2/access{level}/initiators/read_bandwidth"] = "0\n"
    found = host(tree)
    assert found.cell(0).accesses == ()
    assert found.cell(2).accesses == (
        (0, (0, 1), 100, None, None, 3000 << 20),
        (1, (0,), 101, None, None, 3000 << 20),
    )


def test_an_access_class_may_be_there_alone() -> None:
    """Class 1 without class 0, or without initiators, is no reason to drop its latency."""
    tree = machine({0: [0]})
    tree[f"{NODE}/node0/access1/initiators/read_latency"] = "5\n"
    assert host(tree).cell(0).accesses == ((1, (), 5, None, None, None),)


def test_memory_side_caches() -> None:
    """As with DRAM in front of persistent memory: the kernel's codes become words, and unknown codes None."""
    tree = machine({0: [0]})
    for level, policy in ((1, 0), (2, 1), (10, 9)):
        directory = f"{NODE}/node0/memory_side_cache/index{level}"
        tree.update(
            {
                f"{directory}/size": "103079215104\n",
                f"{directory}/line_size": "64\n",
                f"{directory}/indexing": f"{policy}\n",
            }
        )
    tree[f"{NODE}/node0/memory_side_cache/index1/write_policy"] = "1\n"
    assert tuple(cache[:5] for cache in host(tree).cell(0).side_caches) == (
        (1, 96 << 30, 64, "direct", "write-through"),
        (2, 96 << 30, 64, "indexed", None),
        (10, 96 << 30, 64, None, None),
    )


def test_memory_tiers() -> None:
    """Since Linux 6.1 tiers are virtual devices whose nodelist says which nodes they rank; power is no tier."""
    tree = machine({0: [0], 1: [], 2: []})
    tree["sys/devices/virtual/memory_tiering/memory_tier4/nodelist"] = "0\n"
    tree["sys/devices/virtual/memory_tiering/memory_tier22/nodelist"] = "1\n"
    tree["sys/devices/virtual/memory_tiering/power"] = None
    assert [cell.tier for cell in host(tree).cells] == [4, 22, None]


def test_memory_of_devices_is_marked() -> None:
    """A guest should not be put on a GPU's or an accelerator's memory by accident; cxl is more specific than dax."""
    tree = machine({0: [0], 1: [], 2: [], 3: [], 255: [], 4: []})
    tree["sys/bus/dax/devices/dax0.0/target_node"] = "1\n"
    tree["sys/bus/dax/devices/dax1.0/target_node"] = "2\n"
    tree["sys/bus/dax/devices/dax9.0/target_node"] = "-1\n"
    tree["sys/bus/cxl/devices/region0/dax_region0/dax1.0/target_node"] = "2\n"
    tree["sys/bus/cxl/devices/root0/x"] = ""
    tree["proc/driver/nvidia/gpus/0000:01:00.0/numa_status"] = "Node:                   255\nStatus:  online\n"
    tree["proc/driver/nvidia/gpus/0000:02:00.0/numa_status"] = "Node:                   -1\nStatus:  offline\n"
    found = {cell.id: cell.kind for cell in host(tree).cells}
    assert found == {0: None, 1: "dax", 2: "cxl", 3: None, 255: "gpu", 4: None}


def test_devices_and_the_cells_they_are_near() -> None:
    """PCI domains may have five digits, -1 is unknown, and None is for a host without a PCI bus."""
    tree = machine({0: [0], 3: [1]})
    tree["sys/bus/pci/devices/0000:00:00.0/numa_node"] = "-1\n"
    tree["sys/bus/pci/devices/0001:3a:1f.7/numa_node"] = "3\n"
    tree["sys/bus/pci/devices/0001:3a:1f.7/class"] = "0x020000\n"
    tree["sys/bus/pci/devices/0001:3a:1f.7/vendor"] = "0x8086\n"
    tree["sys/bus/pci/devices/0001:3a:1f.7/device"] = "0x1592\n"
    tree["sys/bus/pci/devices/10000:e1:00.0"] = None
    found = host(tree, devices=True).devices or ()
    assert tuple((d.address, d.cell, d.class_code, d.vendor, d.device) for d in found) == (
        ("0000:00:00.0", None, None, None, None),
        ("0001:3a:1f.7", 3, 0x020000, 0x8086, 0x1592),
        ("10000:e1:00.0", None, None, None, None),
    )
    assert host(tree).devices is None
    assert host(machine({0: [0]}), devices=True).devices is None, "there is no PCI bus"


@pytest.mark.parametrize("code", ["0x06_00", "-0x6", "+6", "", "0xzz", "0x", "six"])
def test_a_device_code_of_another_form_is_unknown_and_noted(code: str) -> None:
    """A device whose class is not understood is still a device."""
    tree: Machine = {**machine({0: [0]}), "sys/bus/pci/devices/0000:00:00.0/class": f"{code}\n"}
    found = host(tree, devices=True)
    (device,) = found.devices or ()
    assert (device.address, device.class_code, device.vendor, device.device) == ("0000:00:00.0", None, None, None)
    assert "class: not a hexadecimal number" in texts(found)
