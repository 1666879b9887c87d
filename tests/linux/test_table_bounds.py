"""Tables far larger than any kernel's cost a note or one error, and are not built first."""

from __future__ import annotations

import pytest
from trees import Shelf

from numaprobe.errors import FactError
from numaprobe.linux import cgroups, meminfo, text, usable
from numaprobe.linux.guests.visibility import obstacles
from numaprobe.linux.source import Source


def test_the_bad_line_of_a_table_of_millions_is_quoted() -> None:
    """It is looked for by halves: line by line it took seconds."""
    good = b"Node 0, zone Normal\n  pages free 1\n  managed 2\n"
    content = good * 4_000 + b"Node x, zone Normal\n" + good * 4_000
    with pytest.raises(FactError) as caught:
        text.zones("proc/zoneinfo", content[: content.index(b"Node x") + 20] + b"  pages free 1\n" * 100_000)
    assert caught.value.text == "Node x, zone Normal"


@pytest.mark.parametrize("parser", [text.zones, usable.zones])
def test_more_zones_than_any_kernel_has_are_one_error(parser: object) -> None:
    """Linux has at most 1,024 nodes, and fewer than eight zones on each."""
    content = b"\nNode 0, zone Normal\n  pages free 1\n" * (text.MAX_ZONES + 1)
    with pytest.raises(FactError, match="more zones than any kernel has"):
        parser("proc/zoneinfo", content)  # type: ignore[operator]


def test_a_meminfo_of_more_than_a_page_is_noted_and_unknown() -> None:
    """The kernel's has a few kilobytes."""
    source = Source(Shelf({"proc/meminfo": "MemTotal: 1 kB\n" * 10_000}))
    assert meminfo.machine_memory(source) is None
    assert ["a table of 150000 bytes" in note for _, note in source.notes] == [True]


def test_mounts_of_other_kinds_are_passed_over_and_too_many_of_one_are_noted() -> None:
    """A host of many containers has tens of thousands of overlays."""
    overlay = "1 0 0:1 / /o rw - overlay o rw\n"
    group = "2 0 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    (found,) = cgroups.mounts_in((overlay * 50_000 + group).encode(), ("cgroup2",))
    assert (found.kind, found.point) == ("cgroup2", "/sys/fs/cgroup")
    source = Source(Shelf({cgroups.MOUNTINFO: group * (cgroups.MAX_MOUNTS + 2)}))
    assert cgroups.mounts(source, ("cgroup2",)) == []
    assert [where for where, _ in source.notes] == [cgroups.MOUNTINFO]


def test_a_path_of_a_group_that_no_call_would_take_is_left_out() -> None:
    """PATH_MAX is 4,096."""
    content = b"0::/" + b"a" * 5000 + b"\n1:memory:/vm\n"
    assert cgroups.paths(content) == {"memory": "/vm"}
    assert cgroups.paths(b"0::/vm\n" * 300_000) == {}


def test_a_group_of_this_process_that_is_left_out_makes_the_room_unknown() -> None:
    """The group may have the smallest limit, so that without it no limit is known."""
    tree = {cgroups.OWN: f"0::/{'a' * 5000}\n1:cpu:/x\n", cgroups.MOUNTINFO: "1 1 0:1 / / rw - rootfs rootfs rw\n"}
    source = Source(Shelf(tree))
    room = usable._Room(source, None)
    room.look()
    assert not room.known
    assert [where for where, _ in source.notes] == [cgroups.OWN]


def test_a_table_of_mounts_that_is_too_long_is_not_cut() -> None:
    """What hides processes may be in its last line."""
    source = Source(Shelf({"proc/mounts": "proc /proc proc rw 0 0\n" * 50_000}))
    assert cgroups.mounts(source, ("proc",)) == []
    assert list(source.broken) == ["proc/mounts"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (cgroups.MOUNTINFO, "2 0 0:2 / /proc rw - proc proc rw\n" * (cgroups.MAX_MOUNTS + 2)),
        ("proc/mounts", "proc /proc proc rw 0 0\n" * 50_000),
        ("proc/self/status", "Name: x\n" * 10_000),
    ],
)
def test_guests_are_not_all_seen_where_what_hides_them_cannot_be_read_whole(path: str, content: str) -> None:
    """A list is called complete only if nothing that decides it was left out."""
    found = [where for where, _ in obstacles(Source(Shelf({path: content})), [1])]
    assert path in found
