"""What free memory can be used for, as the kernel's files have it."""

from __future__ import annotations

from errno import EACCES

import pytest
from trees import Machine, Shelf, machine, meminfo

from numaprobe import FactError
from numaprobe.linux import usable
from numaprobe.linux.source import Source

ZONES = b"""Node 0, zone      DMA
  per-node stats
      nr_inactive_file 1000
  pages free     3000
        boost    0
        min      60
        low      75
        high     90
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 900, 900, 1900)
      nr_free_pages 3000
      nr_zone_inactive_file 10
      nr_zone_active_file 20
      nr_free_cma  0
  pagesets
    cpu: 0
              count: 1
              high:  5
              min:   7
Node 1, zone  Movable
  pages free     0
        min      32
        managed  0
        protection: (0, 0, 0, 0)
"""


def facts(tree: Machine, **more: object) -> tuple[usable.UsableFacts, Source]:
    source = Source(Shelf({**machine({0: [0]}), **tree}))
    return usable.collect(source, **more), source  # type: ignore[arg-type]


def test_zones_are_read_with_the_length_of_each_cpus_list() -> None:
    """A min below pagesets is not the zone's own, and an empty zone keeps its place in the list."""
    first, second = usable.zones("proc/zoneinfo", ZONES)
    assert first == usable.ZoneRoom(
        node=0,
        name="DMA",
        free_pages=3000,
        min_pages=60,
        managed_pages=3840,
        protection_pages=(0, 900, 900, 1900),
        active_file_pages=20,
        inactive_file_pages=10,
        cma_pages=0,
        listed_pages=1,
    )
    assert (second.node, second.name, second.managed_pages, second.cma_pages) == (1, "Movable", 0, None)


@pytest.mark.parametrize(
    "content", [b"", b"junk\n", b"Node x, zone DMA\n", b"Node 0 DMA\n", b"Node 0, zone DMA\n min x\n"]
)
def test_what_is_no_list_of_zones_is_an_error_that_quotes_it(content: bytes) -> None:
    """Watermarks from half a file would make too much memory available, so nothing is taken from it."""
    with pytest.raises(FactError, match="proc/zoneinfo"):
        usable.zones("proc/zoneinfo", content)


def test_blocks_are_counted_by_node_zone_and_order() -> None:
    """Fragmentation is judged per zone, and kernels differ in how many orders there are."""
    content = b"Node 0, zone      DMA      1      0      3 \nNode 12, zone   Normal      7      8      9 \n"
    assert usable.blocks("b", content) == {(0, "DMA"): (1, 0, 3), (12, "Normal"): (7, 8, 9)}


@pytest.mark.parametrize("content", [b"", b"Node 0, zone DMA\n", b"Node x, zone DMA 1 2\n", b"zone DMA 1 2\n"])
def test_what_is_no_list_of_blocks_is_an_error(content: bytes) -> None:
    """A zone without counts would pass for one that is completely full."""
    with pytest.raises(FactError):
        usable.blocks("b", content)


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("5581 default file=/usr/bin/python3.11 mapped=5 N0=5 kernelpagesize_kB=4", ("default", None)),
        ("5581 bind:1 file=/x", ("bind", (1,))),
        ("5581 bind=static:0-1,3 anon=1 N0=1", ("bind", (0, 1, 3))),
        ("5581 prefer:2 heap", ("prefer", (2,))),
        ("5581 prefer (many):0-1 file=/x", ("prefer (many)", (0, 1))),
        ("5581 weighted interleave:0-1 file=/x", ("weighted interleave", (0, 1))),
        ("5581 local", ("local", None)),
    ],
)
def test_the_policy_is_the_one_of_a_mapping_that_has_none_of_its_own(
    line: str, policy: tuple[str, tuple[int, ...] | None]
) -> None:
    """The first line shows the process's own policy, in each spelling that kernels use, with flags and many nodes."""
    found, _ = facts({"proc/thread-self/numa_maps": f"{line}\n5582 interleave:0 heap\n"})
    assert (found.policy, found.policy_nodes) == policy


def groups(**files: str) -> Machine:
    return {
        "proc/self/cgroup": "0::/a/b\n",
        "proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }


def test_the_tightest_group_on_the_way_up_is_the_limit_with_the_cache_that_it_can_give_back() -> None:
    """8000 - 5000 used + 300 + 200 file cache + 100 slab are 3600, in the parent whose child has no limit."""
    tree = groups(
        **{
            "a/b/memory.max": "max\n",
            "a/b/memory.current": "1000\n",
            "a/memory.max": "8000\n",
            "a/memory.current": "5000\n",
            "a/memory.stat": "anon 1\nactive_file 300\ninactive_file 200\nslab_reclaimable 100\n",
        }
    )
    found, _ = facts(tree)
    assert (found.room, found.room_from) == (3600, "sys/fs/cgroup/a/memory.max")


def test_without_a_limit_there_is_none() -> None:
    """Neither max nor a process outside any group is a limit of the host's whole memory."""
    assert facts(groups(**{"a/b/memory.max": "max\n"}))[0].room is None
    assert facts({})[0].room is None


def test_a_group_of_version_1_with_the_largest_number_has_no_limit() -> None:
    """Version 1 writes LONG_MAX rounded down to a page for unlimited; its total_ figures include the children."""
    tree: Machine = {
        "proc/self/cgroup": "4:memory:/a\n",
        "proc/self/mountinfo": "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096000\n",
        "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "96000\n",
        "sys/fs/cgroup/memory/a/memory.stat": "cache 1\ntotal_active_file 5\ntotal_inactive_file 6\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
    }
    found, _ = facts(tree)
    assert (found.room, found.room_from) == (4000011, "sys/fs/cgroup/memory/a/memory.limit_in_bytes")


@pytest.mark.parametrize(("limit", "room"), [((1 << 62) - 1, (1 << 62) - 6), (1 << 62, None), ((1 << 63) - 4096, None)])
def test_a_limit_near_the_largest_is_none(limit: int, room: int | None) -> None:
    """From 2^62 bytes on, and what counts towards it does not matter then."""
    files = {"a/b/memory.max": f"{limit}\n"}
    if room is not None:
        files |= {"a/b/memory.current": "5\n", "a/b/memory.stat": "active_file 0\ninactive_file 0\n"}
    found, source = facts(groups(**files))
    assert (found.room, found.room_known, source.notes) == (room, True, [])


def test_a_recording_without_the_process_has_nothing_of_it() -> None:
    """A bug report must not carry the mappings or groups of whoever recorded it, so they are not even opened."""
    tree = groups(**{"a/b/memory.max": "8000\n", "a/b/memory.current": "5000\n"})
    tree["proc/thread-self/numa_maps"] = "5581 bind:1 file=/secret\n"
    source = Source(Shelf({**machine({0: [0]}), **tree}))
    found = usable.collect(source, process=False)
    assert (found.policy, found.room) == (None, None)
    assert not [path for path in source.reader.opened if "cgroup" in path or "numa_maps" in path]  # type: ignore[attr-defined]


def test_a_broken_limit_is_noted_and_not_a_limit() -> None:
    """Neither 0 nor unlimited would be true, and the note quotes the word."""
    found, source = facts(groups(**{"a/b/memory.max": "many\n", "a/b/memory.current": "5000\n"}))
    assert found.room is None
    assert any("memory.max" in where and "many" in text for where, text in source.notes)


def test_a_line_of_blocks_with_fewer_counts_than_others_is_cut() -> None:
    """What the cut left out was taken for orders without a free block."""
    whole = b"Node 0, zone Normal 1 1 1 1\n"
    with pytest.raises(FactError, match="another number of counts"):
        usable.blocks("proc/buddyinfo", whole + b"Node 1, zone Normal 1 1")


def test_a_group_that_does_not_exist_is_not_one_without_a_limit() -> None:
    """A table that names another group than the process's own would lift every limit."""
    tree = groups(**{"a/b/memory.max": "8000\n", "a/b/memory.current": "5000\n"})
    tree["proc/self/cgroup"] = str(tree["proc/self/cgroup"]).replace("/a/b\n", "/a/b x\n")
    found, source = facts({path: text for path, text in tree.items() if "/a/memory" not in path})
    assert (found.room, found.room_known) == (None, False)
    assert [where for where, _ in source.notes] == ["proc/self/cgroup"]


def test_a_zone_with_more_free_pages_than_it_has_is_broken() -> None:
    """All of the cell's memory was offered as free where the counter had wrapped."""
    with pytest.raises(FactError, match="more free pages than the zone has"):
        usable.zones("proc/zoneinfo", b"Node 0, zone Normal\n  pages free 200\n        managed 100\n")


@pytest.mark.parametrize("path", ["/../../a", "/.."])
def test_a_group_outside_of_the_namespace_has_limits_that_cannot_be_seen(path: str) -> None:
    """The group of that name below the mount is another one."""
    tree = groups(**{"a/memory.max": "8000\n", "a/memory.current": "5000\n"})
    found, _ = facts(tree | {"proc/self/cgroup": f"0::{path}\n"})
    assert (found.room, found.room_known) == (None, False)


def test_the_policy_bind_without_nodes_is_broken() -> None:
    """It would leave no cell out, where the kernel leaves out all but some."""
    with pytest.raises(FactError, match="without its nodes"):
        usable._policy(usable.NUMA_MAPS, b"7f00 bind file=/x\n")


def test_mappings_that_cannot_be_read_are_noted() -> None:
    """The policy is in their first line, which is read in a way of its own."""
    shelf = Shelf(machine({0: [0]}))
    shelf.head = lambda path, size: EACCES  # type: ignore[attr-defined]
    source = Source(shelf)
    assert usable.collect(source).policy is None
    assert source.failed == {usable.NUMA_MAPS: EACCES}


def test_meminfo_is_not_read_again() -> None:
    """Its figures are already among the host's facts, and a second read would be of another moment."""
    source = Source(Shelf({**machine({0: [0]}), "proc/meminfo": meminfo(None, 1, 1)}))
    usable.collect(source)
    assert not [path for path in source.reader.opened if path.endswith("meminfo")]  # type: ignore[attr-defined]
