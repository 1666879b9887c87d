"""What a cell's memory can be used for: ordinary, pinned, huge pages, and for this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import NODE, Machine, Shelf, machine, meminfo

import numaprobe
from numaprobe import Usable
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux

FIXTURES = Path(__file__).parents[1] / "fixtures"
KB = 1024
MIB = 1 << 20
# 1 GiB a node: half in Normal and half in Movable.
HALF = 131072


def zone(node: int, name: str, *, free: int, managed: int, low: int = 100, protection: str, **more: int) -> str:
    lines = [f"Node {node}, zone {name:>8}", f"  pages free     {free}", f"        min      {low}"]
    lines += [f"        low      {low * 5 // 4}", f"        high     {low * 3 // 2}", f"        managed  {managed}"]
    lines += [f"        protection: ({protection})", *(f"      {key} {value}" for key, value in more.items())]
    return "\n".join([*lines, "  pagesets", "    cpu: 0", "              high:  1", ""])


def tree(**more: str) -> Machine:
    """Node 0 with a Movable zone of half its memory, node 1 without one."""
    made = machine({0: [0, 1], 1: [2, 3]}, memory_kb=2 * HALF * 4)
    caches = {"nr_zone_active_file": 0, "nr_zone_inactive_file": 0, "nr_free_cma": 0}
    for node in (0, 1):
        made[f"{NODE}/node{node}/meminfo"] = meminfo(
            node, 2 * HALF * 4, 4 * 80000, Active_file=0, Inactive_file=0, KReclaimable=0
        )
    made["proc/zoneinfo"] = (
        zone(0, "DMA32", free=0, managed=0, low=0, protection="0, 0, 0, 0")
        + zone(0, "Normal", free=30000, managed=HALF, protection="0, 0, 0, 4096", **caches)
        + zone(0, "Movable", free=50000, managed=HALF, protection="0, 0, 0, 0", **caches)
        + zone(0, "Device", free=0, managed=0, low=0, protection="0, 0, 0, 0")
        + zone(1, "Normal", free=80000, managed=2 * HALF, protection="0, 0, 0, 0", **{**caches, "nr_free_cma": 500})
    )
    counts = " ".join(["0"] * 9)
    made["proc/buddyinfo"] = (
        f"Node 0, zone Normal {counts} 10 20\nNode 0, zone Movable {counts} 1 40\nNode 1, zone Normal {counts} 0 3\n"
    )
    made["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0-1\n"
    made["proc/thread-self/numa_maps"] = "5581 default file=/x\n"
    for node in (0, 1):
        for name, count in (("nr", 8), ("free", 5), ("surplus", 0)):
            made[f"{NODE}/node{node}/hugepages/hugepages-2048kB/{name}_hugepages"] = f"{count}\n"
    made["sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"] = "2\n"
    return {**made, **more}


def usable(made: Machine) -> list[Usable]:
    host = from_linux(linux.collect(Shelf(made), usable=True))
    assert host.notes == ()
    return [cell.usable for cell in host.cells if cell.usable is not None]


def test_ordinary_memory_is_what_every_zone_has_above_its_minimum_and_its_protection() -> None:
    """The expectation is worked out by hand from the planted zones."""
    first, second = usable(tree())
    assert first.ordinary == (30000 - 100 - 4096 + 50000 - 100) * 4 * KB
    assert second.ordinary == (80000 - 100) * 4 * KB
    assert first.ordinary_from == "zoneinfo and meminfo"


def test_pinned_memory_is_not_in_the_movable_zone_nor_in_contiguous_areas() -> None:
    """What is kept from movable allocations is not kept from those that cannot be in ZONE_MOVABLE."""
    first, second = usable(tree())
    assert first.pinned == (30000 - 100) * 4 * KB
    assert second.pinned == (80000 - 100 - 500) * 4 * KB


def test_pages_in_the_pool_are_those_that_nobody_has_reserved() -> None:
    """Reservations are of the whole machine, so each cell may have to meet all of them."""
    assert [one.pages[0].pool for one in usable(tree())] == [3, 3]


def test_pages_now_are_free_blocks_of_the_order_and_above() -> None:
    """A block twice the size gives two pages; at_most is what compaction could reach."""
    first, second = usable(tree())
    assert (first.pages[0].size, first.pages[0].now) == (2 * MIB, 10 + 40 + 1 + 80)
    assert second.pages[0].now == 6
    assert second.pages[0].at_most == second.ordinary // (2 * MIB)


def test_blocks_that_the_zone_may_not_give_are_not_counted() -> None:
    """A zone at its minimum gives nothing, however it is cut."""
    made = tree()
    made["proc/zoneinfo"] = str(made["proc/zoneinfo"]).replace("free     80000", "free     700")
    assert usable(made)[1].pages[0].now == 1


def test_a_page_larger_than_any_block_is_unknown_unless_memory_is_too_short() -> None:
    """1 GiB exceeds the buddy allocator's largest block, so buddyinfo cannot show whether one is free."""
    made = tree()
    for node in (0, 1):
        made[f"{NODE}/node{node}/hugepages/hugepages-1048576kB/nr_hugepages"] = "0\n"
    made["sys/kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages"] = "0\n"
    pages = usable(made)[0].pages[1]
    assert (pages.size, pages.pool, pages.now, pages.at_most) == (1 << 30, 0, 0, 0)
    large = {
        key: str(text).replace(" 80000", " 900000") if key == "proc/zoneinfo" else text for key, text in made.items()
    }
    large["proc/zoneinfo"] = str(large["proc/zoneinfo"]).replace(f"managed  {2 * HALF}", f"managed  {HALF * 8}")
    large[f"{NODE}/node1/meminfo"] = meminfo(1, HALF * 8 * 4, 3600000, Active_file=0, Inactive_file=0, KReclaimable=0)
    pages = usable(large)[1].pages[1]
    assert (pages.now, pages.at_most) == (0, 3), "3 free blocks of 4 MiB are no 1 GiB"
    for blocks, now in ((255, 0), (256, None)):
        large["proc/buddyinfo"] = str(made["proc/buddyinfo"]).replace(" 0 3\n", f" 0 {blocks}\n")
        pages = usable(large)[1].pages[1]
        assert (pages.now, pages.at_most) == (now, 3), "which of 256 are neighbours nothing says"


def test_for_me_a_cell_outside_of_the_cpuset_or_the_bound_nodes_has_nothing() -> None:
    """Free memory there fails all the same with ENOMEM or is never used."""
    made = tree()
    made["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t1\n"
    first, second = usable(made)
    assert (first.me, first.me_from) == (0, "not in the cpuset")
    assert second.me == second.ordinary
    made = tree()
    made["proc/thread-self/numa_maps"] = "5581 bind:0 file=/x\n"
    assert [one.me for one in usable(made)] == [usable(tree())[0].ordinary, 0]


@pytest.mark.parametrize("policy", ["default", "prefer:0", "interleave:0", "local"])
def test_a_policy_that_falls_back_to_other_cells_forbids_none(policy: str) -> None:
    """Only bind is strict; these four take memory elsewhere when their node is full."""
    made = tree()
    made["proc/thread-self/numa_maps"] = f"5581 {policy} file=/x\n"
    assert [one.me for one in usable(made)] == [one.ordinary for one in usable(made)]


def test_for_me_a_control_group_is_the_limit() -> None:
    """100 MiB less 30 in use: both cells show the same 70, which can be taken only once."""
    made = tree()
    made["proc/self/cgroup"] = "0::/a\n"
    made["proc/self/mountinfo"] = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    made["sys/fs/cgroup/a/memory.max"] = f"{100 * MIB}\n"
    made["sys/fs/cgroup/a/memory.current"] = f"{30 * MIB}\n"
    made["sys/fs/cgroup/a/memory.stat"] = "active_file 0\ninactive_file 0\nslab_reclaimable 0\n"
    assert [(one.me, one.me_from) for one in usable(made)] == [(70 * MIB, "limit of sys/fs/cgroup/a/memory.max")] * 2


def test_what_is_missing_is_unknown_and_not_zero() -> None:
    """Without any of the files a 0 would say that the cell is full."""
    made = tree()
    del made["proc/zoneinfo"], made["proc/buddyinfo"], made["proc/thread-self/numa_maps"]
    del made["sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"]
    (first, _) = usable(made)
    assert first == Usable(pages=first.pages)
    assert first.pages[0][1:] == (None, None, None, None)


def test_it_is_read_only_on_request() -> None:
    """Reading buddyinfo takes the kernel's zone locks, which a plain probe must not do."""
    shelf = Shelf(tree())
    host = from_linux(linux.collect(shelf))
    assert host.cells[0].usable is None
    assert not {"proc/buddyinfo", "proc/thread-self/numa_maps"} & set(shelf.opened)
    assert "usable" not in host.to_dict()["cells"][0]


def test_under_xen_all_that_is_available_may_be_pinned() -> None:
    """Xen has no zone whose pages must stay movable, and a process's own view does not apply."""
    recording = FIXTURES / "xen-4.17-two-nodes-hole" / "host.tar.gz"
    host = numaprobe.probe(recording=recording, source="xen", usable=True)
    for cell in host.cells:
        assert cell.usable is not None
        assert cell.usable.pinned == cell.usable.ordinary == cell.memory.available
        assert (cell.usable.me, cell.usable.pages) == (None, ())
