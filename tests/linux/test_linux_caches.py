"""Caches of a Linux tree: which there are, who shares them, and how few files that takes."""

from __future__ import annotations

from errno import EACCES

import pytest
from cache_files import cache_files, usual_caches
from collected import host, texts
from hypothesis import given
from hypothesis import strategies as st
from trees import CPU, Machine, Shelf, machine, mask

from numaprobe import Cache
from numaprobe.linux import collect as linux

CORES = [(0, 4), (1, 5), (2, 6), (3, 7)]
HALVES = [(0, 1, 4, 5), (2, 3, 6, 7)]
CHIPLETS: Machine = machine({0: range(8)}) | usual_caches(CORES, HALVES)


def last_levels(tree: Machine) -> list[tuple[int, ...]]:
    return [cache.cpus for cache in host(tree, caches=True).caches or () if cache.level == 3]


def test_caches_are_in_the_order_of_level_type_and_first_cpu() -> None:
    """Sizes are bytes, types are words of the model, ids are the kernel's."""
    caches = host(CHIPLETS, caches=True).caches
    assert caches is not None
    assert caches[0] == Cache(level=1, type="data", size=32768, id=0, cpus=(0, 4))
    assert caches[-1] == Cache(level=3, type="unified", size=16 << 20, id=1, cpus=(2, 3, 6, 7))
    assert [(c.level, c.type, c.cpus[0]) for c in caches] == [
        *((1, "data", i) for i in range(4)),
        *((1, "instruction", i) for i in range(4)),
        *((2, "unified", i) for i in range(4)),
        (3, "unified", 0),
        (3, "unified", 2),
    ]


def test_caches_are_read_only_on_request() -> None:
    """A probe without them opens none of their files."""
    shelf = Shelf(CHIPLETS)
    linux.collect(shelf)
    assert [path for path in shelf.opened if "/cache/" in path] == []
    assert host(CHIPLETS).caches is None


def test_a_cache_is_read_once_and_not_once_for_each_cpu() -> None:
    """Eight files for each of 14 caches, and one look for a further index at each core."""
    shelf = Shelf(CHIPLETS)
    linux.collect(shelf, caches=True)
    opened = [path for path in shelf.opened if "/cache/" in path]
    assert len(opened) == 14 * 8 + 4
    assert len(set(opened)) == len(opened)


def test_the_geometry_of_a_cache_is_known_where_the_kernel_gives_it() -> None:
    """A line of 0 and ways below zero are no geometry; the second is noted."""
    directory = f"{CPU}/cpu0/cache/index3"
    tree = dict(CHIPLETS)
    tree |= {f"{directory}/coherency_line_size": "128\n", f"{directory}/ways_of_associativity": "15\n"}
    tree |= {f"{directory}/number_of_sets": "2048\n"}
    (cache,) = [c for c in host(tree, caches=True).caches or () if c.level == 3 and 0 in c.cpus]
    assert (cache.line_size, cache.ways, cache.sets) == (128, 15, 2048)
    tree |= {f"{directory}/coherency_line_size": "0\n", f"{directory}/ways_of_associativity": "-1\n"}
    odd = host(tree, caches=True)
    (cache,) = [c for c in odd.caches or () if c.level == 3 and 0 in c.cpus]
    assert (cache.line_size, cache.ways, cache.sets) == (None, None, 2048)
    (note,) = odd.notes
    assert ("ways_of_associativity" in note.where, "-1" in note.text) == (True, True)


@pytest.mark.parametrize(
    ("text", "size"), [("48K", 48 << 10), ("33M", 33 << 20), ("1G", 1 << 30), ("0K", None), ("7", None)]
)
def test_sizes_have_a_unit(text: str, size: int | None) -> None:
    """The kernel writes K; a bare number may be of any unit, so it is unknown."""
    tree = dict(CHIPLETS)
    tree[f"{CPU}/cpu0/cache/index3/size"] = f"{text}\n"
    (cache,) = [c for c in host(tree, caches=True).caches or () if c.level == 3 and 0 in c.cpus]
    assert cache.size == size


def test_a_host_without_cache_files_does_not_know_its_caches() -> None:
    """None, and not an empty list: every processor has some."""
    assert host(machine({0: range(2)}), caches=True).caches is None


def test_the_last_level_cache_of_a_cpu_is_a_lookup() -> None:
    """Placement keeps a guest within one L3 by it; None unless caches were requested, KeyError for an unknown CPU."""
    known = host(CHIPLETS, caches=True)
    cache = known.last_level_cache(6)
    assert cache is not None
    assert cache.cpus == (2, 3, 6, 7)
    assert host(CHIPLETS).last_level_cache(6) is None
    with pytest.raises(KeyError):
        known.last_level_cache(8)


def test_cpus_without_a_last_level_have_the_level_before_it() -> None:
    """As the low-power cores of some hybrid processors, which are outside of the L3."""
    tree = machine({0: range(4)}) | usual_caches([(0,), (1,), (2, 3)], [(0, 1)])
    known = host(tree, caches=True)
    assert [getattr(known.last_level_cache(cpu), "level", None) for cpu in range(4)] == [3, 3, 2, 2]


def test_caches_that_only_later_cpus_have_are_found() -> None:
    """The first cpu's directory is not the measure of all."""
    tree = machine({0: range(4)}) | cache_files(0, 1, "Unified", "32K", [(0,), (1,), (2,), (3,)], ids=True)
    tree |= cache_files(1, 2, "Unified", "1024K", [(2, 3)], ids=True)
    assert [(c.level, c.cpus) for c in host(tree, caches=True).caches or () if c.level == 2] == [(2, (2, 3))]


def test_kinds_of_cores_have_caches_of_their_own_size() -> None:
    """As in hybrid processors, where four efficient cores share a larger L2 than each performance core has."""
    tree = machine({0: range(6)}) | cache_files(0, 2, "Unified", "1280K", [(0,), (1,)], ids=True)
    tree |= cache_files(0, 2, "Unified", "2048K", [(2, 3, 4, 5)], ids=True)
    assert [(c.size, c.cpus) for c in host(tree, caches=True).caches or ()] == [
        (1280 << 10, (0,)),
        (1280 << 10, (1,)),
        (2048 << 10, (2, 3, 4, 5)),
    ]


@pytest.mark.parametrize("form", ["mask alone", "list empty"])
def test_masks_say_what_lists_do_not(form: str) -> None:
    """Before Linux 2.6.26 there are no lists; some recordings have them empty."""
    tree: Machine = {}
    for path, content in CHIPLETS.items():
        if path.endswith("shared_cpu_list"):
            cpu = int(path.split("/cpu")[2].split("/")[0])
            groups = HALVES if "index3" in path else CORES
            ids = list(next(group for group in groups if cpu in group))
            tree[path.replace("_list", "_map")] = mask(ids)
            if form == "list empty":
                tree[path] = "\n"
        else:
            tree[path] = content
    assert host(tree, caches=True).caches == host(CHIPLETS, caches=True).caches


def test_a_mask_of_zero_means_the_core_and_is_noted() -> None:
    """Itanium's kernels give it for some caches; hwloc, whose testers had such a machine, assumes the core too."""
    tree = machine({0: range(4)}, threads=2) | cache_files(0, 2, "Instruction", "1024K", [(0, 1), (2, 3)], ids=False)
    for cpu in range(4):
        tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_list"] = "\n"
        tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_map"] = "00000000\n"
    found = host(tree, caches=True)
    assert [cache.cpus for cache in found.caches or ()] == [(0, 1), (2, 3)]
    assert "names no CPU" in texts(found)


def test_lists_that_contradict_each_other_give_way_to_the_masks() -> None:
    """A tree of hwloc's had its masks edited and the list of cpu 0 copied to all: there were no caches of other CPUs."""
    groups = [(0, 2), (1, 3)]
    tree = machine({0: range(4)}) | cache_files(0, 1, "Data", "32K", groups, ids=False)
    for group in groups:
        for cpu in group:
            tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_list"] = "0,2\n"
            tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_map"] = mask(group)
    found = host(tree, caches=True)
    assert [cache.cpus for cache in found.caches or ()] == groups
    assert "contradict" in texts(found)


def test_a_cache_that_is_described_twice_is_one() -> None:
    """VirtualBox calls the first level's instruction cache a second data cache."""
    tree = machine({0: range(2)})
    for index in range(2):
        tree |= cache_files(index, 1, "Data", "32K", [(0,), (1,)], ids=False)
    found = host(tree, caches=True)
    assert [(cache.level, cache.type, cache.cpus) for cache in found.caches or ()] == [
        (1, "data", (0,)),
        (1, "data", (1,)),
    ]
    assert "a second cache of level 1 and type 'Data'" in texts(found)


def test_a_mask_of_zero_without_topology_means_the_cpu_itself() -> None:
    """Nothing says which threads there are."""
    tree = machine({0: range(2)}) | cache_files(0, 1, "Data", "16K", [(0,), (1,)], ids=False)
    for cpu in range(2):
        tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_list"] = "\n"
        tree[f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_map"] = "00000000\n"
    found = host(tree, caches=True)
    assert [cache.cpus for cache in found.caches or ()] == [(0,), (1,)]
    assert "names no CPU" in texts(found)


def test_offline_cpus_share_nothing() -> None:
    """Kernels for ppc64 list them, but the field is about who competes for the cache now."""
    tree = CHIPLETS | {f"{CPU}/online": "0-3,5-7\n"}
    assert last_levels(tree) == [(0, 1, 5), (2, 3, 6, 7)]


def test_lists_that_contradict_each_other_are_noted_and_each_cpu_is_believed() -> None:
    """Caches that overlap are reported as the kernel has them, since either list may be the wrong one."""
    tree = CHIPLETS | {f"{CPU}/cpu1/cache/index3/shared_cpu_list": "1-2\n"}
    tree |= {f"{CPU}/cpu2/cache/index3/shared_cpu_list": "1-2\n"}
    tree |= {f"{CPU}/cpu0/cache/index3/shared_cpu_list": "0,4\n"}
    found = host(tree, caches=True)
    assert "contradict" in texts(found)
    assert {(0, 4), (1, 2)} <= set(last_levels(tree))


@pytest.mark.parametrize(
    ("name", "text", "field", "told", "note"),
    [
        ("size", "many\n", "size", None, "not a size: 'many'"),
        ("size", "32\n", "size", None, "not a size: '32'"),
        ("size", "0K\n", "size", None, None),
        ("type", "Trace\n", "type", None, "not a type of caches: 'Trace'"),
    ],
)
def test_what_is_not_understood_costs_the_field(
    name: str, text: str, field: str, told: object, note: str | None
) -> None:
    """The cache itself and its other fields stay."""
    tree = CHIPLETS | {f"{CPU}/cpu2/cache/index3/{name}": text}
    found = host(tree, caches=True)
    cache = found.last_level_cache(2)
    assert cache is not None
    assert getattr(cache, field) == told
    assert (note or "") in texts(found)
    assert bool(note) == bool(found.notes)


def test_an_unreadable_file_is_noted() -> None:
    """One that does not exist is silent."""
    path = f"{CPU}/cpu0/cache/index3/size"
    found = host(CHIPLETS, {path: EACCES}, caches=True)
    assert "cpu0/cache/index3/size: cannot be read: Permission denied" in texts(found)
    cache = found.last_level_cache(0)
    assert cache is not None
    assert cache.size is None
    assert cache.id == 0


@given(st.data())
def test_any_partition_of_the_cpus_comes_back(data: st.DataObject) -> None:
    """However the caches are shaped, each is found once with all of its cpus."""
    owners = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=24))
    groups: dict[int, list[int]] = {}
    for cpu, owner in enumerate(owners):
        groups.setdefault(owner, []).append(cpu)
    parts = sorted(groups.values())
    tree = machine({0: range(len(owners))}) | cache_files(0, 3, "Unified", "8192K", parts, ids=False)
    assert [list(cache.cpus) for cache in host(tree, caches=True).caches or ()] == parts
    assert not host(tree, caches=True).notes
