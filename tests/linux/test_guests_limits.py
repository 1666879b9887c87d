"""What is known of guests, at the limits: figures that agree or do not, files that hide something, command lines."""

from __future__ import annotations

from errno import EACCES, EIO, ENOENT, ENOTDIR, EPERM, ESRCH
from typing import Any

import pytest
from hosts import made
from processes import MIB, QEMU, found_on, group, machine, process
from trees import Link, Machine, Shelf

from numaprobe.errors import FactError, SourceDenied, SourceError
from numaprobe.linux.cgroups import Held
from numaprobe.linux.guests import (
    command_line,
    hint_faults,
    holding,
    libvirt,
    long_options,
    numa_maps,
    options,
    qemu,
    recorded,
    sampled,
    threads,
    visibility,
)
from numaprobe.linux.guests.collect import collect
from numaprobe.linux.guests.detect import Detector
from numaprobe.linux.guests.facts import CommandLine, Found, GuestNode, LibvirtRecord
from numaprobe.linux.guests.files import ProcessFiles, note
from numaprobe.linux.guests.guest_memfd import GuestMemory
from numaprobe.linux.guests.immovable import immovable
from numaprobe.linux.guests.numa_maps import Extent, Maps, Shared
from numaprobe.linux.guests.status import Status, parse
from numaprobe.linux.source import Source

LATE = 4 << 20


def held(**known: dict[int, int]) -> Held:
    empty: dict[str, dict[int, int]] = {name: {} for name in Held._fields}
    return Held(**{**empty, **known})


# --- guest_memfd --------------------------------------------------------------------------------------------------


def memory(tree: Machine, errors: dict[str, int] | None = None) -> GuestMemory:
    shelf = Shelf(tree, errors)
    return GuestMemory(ProcessFiles(shelf), Source(shelf))


def table(unevictable_kb: int, locked_kb: int = 0) -> Machine:
    return {"proc/meminfo": f"Unevictable: {unevictable_kb} kB\nMlocked: {locked_kb} kB\n"}


GMEM: Machine = {"proc/5/fd/7": Link("anon_inode:[kvm-gmem]"), "proc/5/fd/x": Link("anon_inode:[kvm-gmem]")}


@pytest.mark.parametrize(
    ("tree", "errors", "told"),
    [
        (GMEM | table(1025), {}, True),
        (GMEM | table(1024), {}, False),
        (GMEM | table(2049, 1025), {}, False),
        (GMEM | table(2050, 1025), {}, True),
        (GMEM, {}, True),
        (GMEM | {"proc/meminfo": "Unevictable: 5 kB\n"}, {}, True),
        (GMEM | {"proc/meminfo": "Mlocked: 5 kB\n"}, {}, True),
        (GMEM | {"proc/meminfo": "Unevictable: x kB\n"}, {}, True),
        ({"proc/5/fd/7": Link("/dev/null")}, {}, False),
        ({"proc/5/fd": None}, {}, False),
        ({}, {}, False),
        ({}, {"proc/5/fd": ESRCH}, False),
        ({}, {"proc/5/fd": EACCES}, None),
    ],
)
def test_guest_memfd_is_seen_in_the_descriptors(tree: Machine, errors: dict[str, int], told: bool | None) -> None:
    """Not looked for where less than a mebibyte can never be swapped that nobody locked."""
    assert memory(tree, errors).seen(5) is told


@pytest.mark.parametrize(
    ("unlisted", "unevictable", "locked", "counted"),
    [
        (64 * MIB, 60 * MIB - MIB, 0, True),
        (64 * MIB, 60 * MIB - MIB - 1, 0, False),
        (64 * MIB, 64 * MIB, 1, False),
        (0, 64 * MIB, 0, False),
        (LATE, 0, 0, True),
        (LATE + 1, 0, 0, True),
        (LATE + 70000, 0, 0, False),
    ],
)
def test_unlisted_pages_are_guest_memfd_where_they_cannot_be_swapped(
    unlisted: int, unevictable: int, locked: int, counted: bool
) -> None:
    """But for 4 MiB and a 64th; pages that were locked look the same."""
    found = memory({}).charged(held(unlisted={1: unlisted}, unevictable={0: unevictable}), locked=locked, slack=LATE)
    assert found == ({1: unlisted} if counted else None)


@pytest.mark.parametrize(
    ("kb", "size", "told"),
    [(100 << 10, 96 * MIB, True), (69 << 10, 64 * MIB, True), ((69 << 10) + 1, 64 * MIB, False), (5136, MIB, True), (5137, MIB, False),
     (4 << 10, 0, True), ((4 << 10) + 1, 0, False)],
)  # fmt: skip
def test_a_group_has_all_of_it_where_the_machine_has_no_more(kb: int, size: int, told: bool) -> None:
    """Within the same limits; unknown where the machine does not say."""
    found = memory(table(kb))
    assert found.is_all(size, slack=LATE) is False
    found.seen(5)
    assert found.is_all(size, slack=LATE) is told
    assert memory({}).is_all(size, slack=LATE) is False


V1 = "sys/fs/cgroup/memory/vm"
STAT = {"cache": 300 * MIB, "shmem": 20 * MIB, "active_file": 16 * MIB, "inactive_file": 8 * MIB}


@pytest.mark.parametrize(
    ("stat", "change", "locked", "counted"),
    [
        (STAT, {}, 0, True),
        ({**STAT, "cache": 305 * MIB}, {}, 0, True),
        ({**STAT, "cache": 305 * MIB + 1}, {}, 0, False),
        ({**STAT, "cache": 295 * MIB}, {}, 0, True),
        ({**STAT, "cache": 295 * MIB - 1}, {}, 0, False),
        ({**STAT, "shmem": 26 * MIB}, {}, 0, False),
        ({**STAT, "active_file": 22 * MIB}, {}, 0, False),
        ({**STAT, "inactive_file": 14 * MIB}, {}, 0, False),
        (STAT, {}, 1, False),
        (STAT, {"cgroup.procs": "5\n6\n"}, 0, False),
        (STAT, {"cgroup.procs": "6\n"}, 0, False),
        (STAT, {"memory.numa_stat": "unevictable=0 N0=0\n"}, 0, False),
        (STAT, {"memory.numa_stat": "total=5 N0=65536\n"}, 0, False),
        (STAT, {"memory.numa_stat": None}, 0, False),
        (STAT, {"cgroup.procs": None}, 0, False),
        (STAT, {"memory.stat": None}, 0, False),
        ({name: value for name, value in STAT.items() if name != "shmem"}, {}, 0, False),
        ({name: value for name, value in STAT.items() if name != "cache"}, {}, 0, False),
    ],
)
def test_a_group_of_version_1_counts_guest_memfd_in_pages(
    stat: dict[str, int], change: dict[str, str | None], locked: int, counted: bool
) -> None:
    """Where it agrees with the page cache that is on no list, within 1 MiB and a 64th."""
    files: dict[str, str | None] = {
        "cgroup.procs": "5\n",
        "memory.numa_stat": "total=9 N0=9\nunevictable=65536 N0=49152 N1=16384\n",
        "memory.stat": "".join(f"{name} {value}\n" for name, value in stat.items()) + "odd\n",
        **change,
    }
    tree: Machine = {f"{V1}/{name}": text for name, text in files.items() if text is not None}
    tree["proc/self/mountinfo"] = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    found = memory(tree).charged_v1(5, {"memory": "/vm"}, locked=locked, page_kb=4)
    assert found == ({0: 192 * MIB, 1: 64 * MIB} if counted else None)
    assert memory(tree).charged_v1(5, {}, locked=0, page_kb=4) is None


# --- what a process holds -----------------------------------------------------------------------------------------


def status(anonymous: int = 0, shared: int = 0, huge: int = 0) -> Status:
    known = {"state": "S", "parent": 1, "locked": 0, "by_kind": True}
    return made(Status, anonymous=anonymous, shared=shared, huge=huge, **known)


@pytest.mark.parametrize("kind", ["anonymous", "shared", "huge"])
@pytest.mark.parametrize(
    ("charged", "own", "told"),
    [
        (69 * MIB, 64 * MIB, True), (69 * MIB + 1, 64 * MIB, False), (59 * MIB, 64 * MIB, True),
        (59 * MIB - 1, 64 * MIB, False), (LATE, 0, True), (LATE + 1, 0, False),
    ],
)  # fmt: skip
def test_a_group_agrees_with_its_process_within_4_mebibytes_and_a_64th(
    kind: str, charged: int, own: int, told: bool
) -> None:
    """In each kind of memory."""
    assert holding._agrees(held(**{kind: {0: charged - 1, 1: 1}}), status(**{kind: own})) is told


@pytest.mark.parametrize(
    ("maps", "own", "missing"),
    [
        ({"private": {0: MIB}}, {"anonymous": 5 * MIB}, 0),
        ({"private": {0: MIB}}, {"anonymous": 5 * MIB + MIB // 8}, 5 * MIB + MIB // 8 - MIB),
        ({"unplaced": 59 * MIB}, {"anonymous": 64 * MIB}, 0),
        ({"unplaced": 59 * MIB - 1}, {"anonymous": 64 * MIB}, 5 * MIB + 1),
        ({"private": {0: 30 * MIB}, "unplaced": 29 * MIB}, {"anonymous": 64 * MIB}, 0),
        ({"shared": (Shared(0, "f", {0: 59 * MIB}, False),)}, {"shared": 64 * MIB}, 0),
        ({"shared": (Shared(0, "f", {0: 59 * MIB - 1}, False),)}, {"shared": 64 * MIB}, 5 * MIB + 1),
        ({"shared": (Shared(0, "f", {0: 64 * MIB}, True),)}, {"shared": 64 * MIB}, 64 * MIB),
        ({"shared": (Shared(0, "f", {0: 64 * MIB}, True),)}, {"huge": 64 * MIB}, 0),
        ({}, {"huge": 32 * MIB, "anonymous": 32 * MIB}, 64 * MIB),
        ({}, {"anonymous": 64 * MIB, "shared": 64 * MIB}, 128 * MIB),
    ],
)
def test_what_the_mappings_do_not_show_is_missing(maps: dict[str, Any], own: dict[str, int], missing: int) -> None:
    """Beyond what the kernel's figures lag by: private and huge memory together, shared memory."""
    known = {"private": {}, "unplaced": 0, "shared": (), "page_kb": 4}
    assert holding._missing(Maps(**{**known, **maps}), status(**own)) == missing


def test_a_note_says_how_much_is_missing() -> None:
    """In kB; it is held, and nobody knows where."""
    whole, more = (
        found_on(machine(process(500, anonymous_kb=kb, cgroup="/"))) for kb in (102_364, 102_364 + (64 << 10))
    )
    assert [tuple(one) for one in more.notes] == [("proc/500/numa_maps", "does not show 65536 kB of what status has")]
    assert whole.notes == ()
    assert more[0].unplaced == (whole[0].unplaced or 0) + 64 * MIB


# --- mappings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "private", "unplaced", "shared", "page_kb"),
    [
        (b"7f00 default anon=3 N0=1 N1=2 kernelpagesize_kB=4\n", {0: 4096, 1: 8192}, 0, 0, 4),
        (b"7f00 default file=/x anon=3 mapped=5 N1=5 kernelpagesize_kB=64\n", {1: 3 * 65536}, 0, 0, 64),
        (b"7f00 default file=/x anon=3 mapped=5 N0=2 N1=3 kernelpagesize_kB=4\n", {}, 12288, 0, 4),
        (b"7f00 default file=/x mapped=5 N1=5 kernelpagesize_kB=4\n", {}, 0, 0, 4),
        (b"7f00 default file=/memfd:a\\040(deleted) mapped=5 N1=5 kernelpagesize_kB=4\n", {}, 0, 20480, 4),
        (b"7f00 default file=/h huge N1=5 kernelpagesize_kB=2048\n", {}, 0, 5 << 21, 4),
        (b"7f00 default file=/x anon=1 N0=1 kernelpagesize_kB=16\n7f01 default file=/y anon=1 N0=1 kernelpagesize_kB=4\n",
         {0: 20480}, 0, 0, 4),
    ],
)  # fmt: skip
def test_mappings_are_private_shared_or_of_files(
    content: bytes, private: dict[int, int], unplaced: int, shared: int, page_kb: int
) -> None:
    """Copies of a file's pages are on its one node, or on nobody knows which."""
    found = numa_maps.parse("w", content)
    assert (found.private, found.unplaced, found.page_kb) == (private, unplaced, page_kb)
    assert sum(one.size for one in found.shared) == shared


def test_an_extent_is_a_part_of_an_object() -> None:
    """By the address where it is mapped; a line with fewer words has none, and a broken one is quoted."""
    content = b"1000-3000 rw-s 00005000 00:01 77   /memfd:a\n4000-5000 rw-p 00000000 00:02 5\nshort line\n"
    assert numa_maps.extents(content) == {
        0x1000: Extent(("00:01", "77"), 0x5000, 0x7000),
        0x4000: Extent(("00:02", "5"), 0, 0x1000),
    }
    for line in ("1000 rw-s 0 00:01 7", "1000-2000 rw-s x 00:01 7", "1000-2000-3000 rw-s 0 00:01 7"):
        with pytest.raises(FactError) as caught:
            numa_maps.extents(line.encode())
        assert str(caught.value) == f"proc/PID/maps: not a mapping: '{line}'"


@pytest.mark.parametrize(
    ("second", "counted", "elsewhere"),
    [
        (Extent(("d", "i"), 0, 10), {5: {0: 8}}, {6: 4}),
        (Extent(("d", "i"), 9, 19), {5: {0: 8}}, {6: 4}),
        (Extent(("d", "i"), 10, 20), {5: {0: 8}, 6: {0: 4}}, {}),
        (Extent(("d", "j"), 0, 10), {5: {0: 8}, 6: {0: 4}}, {}),
        (None, {5: {0: 8}, 6: {0: 4}}, {}),
    ],
)
def test_a_part_of_an_object_is_counted_for_one_process(
    second: Extent | None, counted: dict[int, dict[int, int]], elsewhere: dict[int, int]
) -> None:
    """For the one that has most of it; parts that only meet are two."""
    mappings = [(6, Shared(0x20, "f", {0: 4}, False)), (5, Shared(0x10, "f", {0: 8}, False))]
    known = {5: {0x10: Extent(("d", "i"), 0, 10)}, 6: {} if second is None else {0x20: second}}
    assert numa_maps.counted_once(mappings, known) == (counted, elsewhere)
    alike = [(6, Shared(0x10, "f", {0: 8}, False)), (5, Shared(0x20, "f", {0: 8}, False))]
    same = {5: {0x20: Extent(("d", "i"), 0, 10)}, 6: {0x10: Extent(("d", "i"), 0, 10)}}
    assert numa_maps.counted_once(alike, same) == ({5: {0: 8}}, {6: 8})
    before = {6: {0x20: Extent(("d", "i"), 20, 30)}, 5: {0x10: Extent(("d", "i"), 10, 20)}}
    assert numa_maps.counted_once(mappings, before)[1] == {}


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"1000-2000 rw-p 0 00:00 0", (b"", True)),
        (b"1000-2000 rw-p 0 00:00 0 [heap]", (b"", True)),
        (b"1000-2000 rw-s 0 00:01 0 /dev/zero (deleted)", (b"/dev/zero\\040(deleted)", False)),
        (b"1000-2000 rw-s 0 00:01 9 /a=b\tc", (b"/a\\075b\\011c", False)),
        (b"1000-2000 rw-s 0 00:01 9 anon_inode:x", (b"anon_inode:x", False)),
        (b"1000-2000 rw-s 0 00:01 0 anon_inode:x", (b"", False)),
        (b"1000-2000 ---p 0 00:00 0", None),
        (b"1000-2000 r-xp 0 00:00 0 [vdso]", None),
        (b"1000-2000 rw-p 0 00:00", "w: not a mapping: '1000-2000 rw-p 0 00:00'"),
        (b"2000-2000 rw-p 0 00:00 0", "w: not a mapping: '2000-2000 rw-p 0 00:00 0'"),
        (b"1000-2000 rw- 0 00:00 0", "w: not a mapping: '1000-2000 rw- 0 00:00 0'"),
        (b"1000-2000 rw-p 0 00:00 x", "w: not a mapping: '1000-2000 rw-p 0 00:00 x'"),
    ],
)
def test_a_mapping_has_a_range_a_name_and_whether_it_is_private(line: bytes, kept: Any) -> None:
    """Without those that are only reserved, and the kernel's own."""
    if isinstance(kept, str):
        with pytest.raises(FactError) as caught:
            sampled.mappings("w", line)
        assert str(caught.value) == kept
        return
    found = sampled.mappings("w", line + b"\n\n")
    assert [(one.file, one.private) for one in found] == ([] if kept is None else [kept])
    assert all((one.start, one.end) == (0x1000, 0x2000) for one in found)


@pytest.mark.parametrize(
    ("pages", "size", "total", "share"),
    [(1000, 1, 2, 500), (1000, 1, 3, 334), (1000, 1, 1, 1000), (1000, 0, 5, 0), (1000, -1, 5, 0), (1000, 5, 0, 0)],
)
def test_pages_are_shared_out_by_size(pages: int, size: int, total: int, share: int) -> None:
    """Rounded up, and no fewer than a kind needs."""
    assert sampled._share(pages, size, total) == max(share, sampled.MIN_FOUND * 4 * (share > 0))


# --- who can be seen -----------------------------------------------------------------------------------------------

HIDDEN = "proc proc rw,hidepid=2,gid=50"


@pytest.mark.parametrize(
    ("options_", "own", "hidden"),
    [
        ("rw", "", None),
        ("rw,hidepid=0", "", None),
        ("rw,hidepid=off", "", None),
        ("rw,hidepid=1", "", "hidepid=1"),
        ("rw,hidepid=invisible", "", "hidepid=invisible"),
        ("rw,subset=pid", "", "subset=pid"),
        ("rw,subset=x", "", None),
        ("rw,other=pid", "", None),
        ("rw,subset=pid,hidepid=2", "", "hidepid=2, subset=pid"),
        ("rw,hidepid=2", "CapEff:\t0000000000080000\n", None),
        ("rw,hidepid=2", "CapEff:\t0000000000040000\n", "hidepid=2"),
        ("rw,hidepid=2", "CapEff:\t0000000000100000\n", "hidepid=2"),
        ("rw,hidepid=2", "CapEff:\tx\n", "hidepid=2"),
        ("rw,hidepid=2,gid=50", "CapEff:\tx\nGid:\t50\n", "hidepid=2"),
        ("rw,hidepid=2,gid=50", "Gid:\t50 1 1 1\n", None),
        ("rw,hidepid=2,gid=50", "Groups:\t7 50\n", None),
        ("rw,hidepid=2,gid=50", "Groups:\t5\n", "hidepid=2"),
        ("rw,hidepid=2", "Groups:\t50\n", "hidepid=2"),
    ],
)
def test_processes_are_hidden_by_how_proc_is_mounted(options_: str, own: str, hidden: str | None) -> None:
    """Not from a process with the capability, or in the group."""
    tree: Machine = {"proc/self/mountinfo": f"9 1 0:5 / /proc rw - proc proc {options_}\n",
                     "proc/self/status": f"Name:\tx\n{own}"}  # fmt: skip
    text = f"mounted with {hidden}: other users' processes are hidden"
    assert visibility.obstacles(Source(Shelf(tree)), [1]) == ([] if hidden is None else [("proc", text)])


@pytest.mark.parametrize("path", ["proc/self/mountinfo", "proc/self/status"])
def test_where_that_cannot_be_read_it_is_unknown_what_is_hidden(path: str) -> None:
    """The file is named."""
    text = "cannot be read: whether other users' processes are hidden is unknown"
    assert visibility.obstacles(Source(Shelf({}, {path: EACCES})), [1]) == [(path, text)]


@pytest.mark.parametrize(("size", "taken"), [(65536, True), (65537, False)])
def test_the_status_of_this_process_has_64_kilobytes_at_most(size: int, taken: bool) -> None:
    """A longer one is not cut."""
    content = "#" * 70 + "\nPid:\t5\n"
    source = Source(Shelf({"proc/self/status": content.ljust(size, "\n")}))
    found = visibility.obstacles(source, [1])
    assert (found == []) is taken
    assert source.notes == ([] if taken else [("proc/self/status", f"a table of 65537 bytes: '{'#' * 60}'")])


STAT_2 = "2 ({name}) S 0 0 0 0 -1 {flags} " + "0 " * 40 + "\n"


@pytest.mark.parametrize(
    ("stat", "processes", "hidden"),
    [
        (STAT_2.format(name="kthreadd", flags=0x208040), (1, 2, 7), False),
        (STAT_2.format(name="sh", flags=0x400000), (1, 2, 7), True),
        (None, (1, 7), True),
        (STAT_2.format(name="sh", flags=0x400000), (1, 2), False),
        (None, (1, 2, 7), False),
    ],
)
def test_a_pid_namespace_of_its_own_has_no_kernel_threads(
    stat: str | None, processes: tuple[int, ...], hidden: bool
) -> None:
    """Where this process is among those that are shown."""
    tree: Machine = {"proc/self/status": "Name:\tx\nPid:\t7\n"} | ({} if stat is None else {"proc/2/stat": stat})
    text = "shows a pid namespace that is not the host's: processes outside of it are hidden"
    assert visibility.obstacles(Source(Shelf(tree)), processes) == ([("proc", text)] if hidden else [])
    assert visibility.obstacles(Source(Shelf({})), []) == [("proc", "shows no process")]


@pytest.mark.parametrize(
    ("tree", "errors", "told"),
    [
        ({"proc/5/fd/1": Link("/dev/null")}, {}, None),
        ({"proc/5/fd/1": Link("anon_inode:[vfio-device]")}, {}, "its memory cannot be moved: a device accesses it (VFIO)"),
        ({"proc/5/fd/1": Link("/dev/vfio/7")}, {}, "its memory cannot be moved: a device accesses it (VFIO)"),
        ({"proc/5/fd/1": Link("/dev/vfio")}, {}, None),
        (GMEM, {}, "its memory cannot be moved: it is private to the guest (guest_memfd)"),
        (GMEM | {"proc/5/fd/8": Link("/dev/vfio/7")}, {}, "its memory cannot be moved: a device accesses it (VFIO)"),
        ({}, {}, None),
        ({"proc/5/stat": "5"}, {}, "whether its memory can be moved is not known: /proc/5/fd is not in the recording"),
        ({}, {"proc/5/fd": EACCES},
         "whether its memory can be moved is not known: /proc/5/fd cannot be listed (Permission denied)"),
        ({"proc/5/fd/1": "", "proc/5/fd/2": ""}, {"proc/5/fd/1": EPERM, "proc/5/fd/2": EIO},
         "whether its memory can be moved is not known: /proc/5/fd cannot be read (Operation not permitted)"),
        ({"proc/5/fd/1": ""}, {"proc/5/fd/1": ENOENT}, None),
        ({"proc/5/fd/1": ""}, {}, None),
    ],
)  # fmt: skip
def test_memory_cannot_be_moved_where_a_descriptor_says_so(
    tree: Machine, errors: dict[str, int], told: str | None
) -> None:
    """Or it is not known, and why."""
    assert immovable(Shelf(tree, errors), 5) == told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"complete": true, "notes": [["a", "b"]]}', (True, [("a", "b")])),
        (b'{"complete": false, "notes": []}', (False, [])),
        (b'{"complete": 1, "notes": []}', None),
        (b'{"complete": true, "notes": [["a", 1]]}', None),
        (b'{"complete": true, "notes": [["a"]]}', None),
        (b'{"complete": true}', None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_recorded_look_is_whole_or_damaged(content: bytes, told: Any) -> None:
    """It says whether it was complete, with its notes."""
    if told is None:
        with pytest.raises(FactError, match=r"^w: damaged: "):
            recorded.parse("w", content)
        return
    assert recorded.parse("w", content) == told
    assert recorded.parse("w", recorded.written(Found(guests=(), complete=told[0], notes=tuple(told[1])))) == told
    whole = content.ljust(1 << 20)
    assert recorded.parse("w", whole) == told
    with pytest.raises(FactError) as caught:
        recorded.parse("w", b"#" * 70 + whole[69:])
    assert str(caught.value) == f"w: has 1048577 bytes: '{'#' * 60}'"


# --- accounts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processes", "told"),
    [
        ([5], ("proc/5/n", "r")),
        ([5, 6], ("proc/*/n", "r (processes 5, 6)")),
        ([5, 6, 7, 8], ("proc/*/n", "r (processes 5, 6, 7, 8)")),
        ([5, 6, 7, 8, 9], ("proc/*/n", "r (processes 5, 6, 7, 8 and 1 more)")),
    ],
)
def test_a_note_names_four_processes(processes: list[int], told: tuple[str, str]) -> None:
    """And how many more there are."""
    assert note("n", "r", processes) == told


def test_failures_of_processes_that_ended_are_dropped() -> None:
    """A zombie has ended; one without a stat that still has a command line has not."""
    tree: Machine = {"proc/1/stat": "1 (a) S 0\n", "proc/2/stat": "2 (a) Z 0\n", "proc/3/stat": "3 (a) X 0\n",
                     "proc/4/cmdline": "", "proc/6/stat": "6 (a) x 0\n"}  # fmt: skip
    files = ProcessFiles(Shelf(tree, {"proc/1/x": EACCES}))
    for number in range(1, 7):
        files.broken(number, "task/9/status", "odd")
    files.failed(1, "x", EACCES)
    files.failed(1, "gone", ENOENT)
    files.failed(1, "gone", ESRCH)
    assert files.has_failed(2, "task/9/status")
    files.forget_ended()
    assert files.notes() == (
        ("proc/*/task/*/status", "odd (processes 1, 4)"),
        ("proc/1/x", "cannot be read: Permission denied"),
    )
    assert not files.has_failed(2, "task/9/status")
    assert files.has_failed(4, "task/9/status")


def test_the_maker_of_a_machine_is_the_process_of_its_thread() -> None:
    """By the status of the thread; the thread itself where that does not say."""
    tree: Machine = {
        "sys/kernel/debug/kvm/21-11": None, "sys/kernel/debug/kvm/30-5": None, "sys/kernel/debug/kvm/x-5": None,
        "sys/kernel/debug/kvm/40": None, "sys/kernel/debug/kvm/50-x": None, "proc/21/status": "Name:\tx\nTgid:\t20\n",
        "proc/30/status": "Name:\tx\nTgid:\tx\n",
    }  # fmt: skip
    detector = Detector(ProcessFiles(Shelf(tree)))
    assert detector.unseen([1]) == [20, 30]
    assert detector.unseen([20]) == [30]
    assert Detector(ProcessFiles(Shelf({}))).unseen([1]) == []


@pytest.mark.parametrize(
    ("size", "note_"), [(6 << 20, False), ((6 << 20) + 1, True)]
)  # fmt: skip
def test_a_command_line_has_6_mebibytes_at_most(size: int, note_: bool) -> None:
    """As Linux gives a program no more."""
    tree = machine(process(500, cmdline=QEMU + "x" * (size - len(QEMU))))
    notes = [tuple(one) for one in found_on(tree).notes]
    assert (("proc/500/cmdline", f"has {size} bytes, more than any program gets") in notes) is note_


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"numa_faults node=0 task_private=1 task_shared=2 x=a=b\n", {0: 3}),
        (b"numa_faults node=7 task_private=0 task_shared=0 x\n", {7: 0}),
        (b"numa_faults_x node=7 task_private=1 task_shared=1\n", None),
        (b"", None),
    ],
)
def test_hint_faults_are_those_of_the_task(content: bytes, told: dict[int, int] | None) -> None:
    """Private and shared; other words of the line do not matter."""
    assert hint_faults.parse("w", content) == told


# --- records of libvirt -----------------------------------------------------------------------------------------

RECORD = "<domstatus state='{state}' pid='{pid}'><domain><name>vm</name><uuid>AB</uuid>{more}</domain></domstatus>"


def record(more: str = "", pid: str = "7", state: str = "running") -> bytes:
    return RECORD.format(more=more, pid=pid, state=state).encode()


@pytest.mark.parametrize(
    ("more", "memory_", "vcpus", "maximum"),
    [
        ("", None, None, None),
        ("<memory>1024</memory>", MIB, None, None),
        ("<memory unit='KiB'>1024</memory>", MIB, None, None),
        ("<memory unit='b'>5</memory>", 5, None, None),
        ("<memory unit='bytes'>5</memory>", 5, None, None),
        ("<memory unit='KB'>5</memory>", 5000, None, None),
        ("<memory unit='k'>5</memory>", 5 << 10, None, None),
        ("<memory unit='M'>5</memory>", 5 << 20, None, None),
        ("<memory unit='MB'>5</memory>", 5_000_000, None, None),
        ("<memory unit='GiB'>5</memory>", 5 << 30, None, None),
        ("<memory unit='TiB'>5</memory>", 5 << 40, None, None),
        ("<vcpu>4</vcpu>", None, 4, 4),
        ("<vcpu current='2'>4</vcpu>", None, 2, 4),
    ],
)
def test_a_record_says_what_the_guest_is_now(
    more: str, memory_: int | None, vcpus: int | None, maximum: int | None
) -> None:
    """Sizes are in KiB unless another unit is said; it is written and understood again as it was."""
    found = libvirt.parse(record(more))
    told = LibvirtRecord(state="running", name="vm", uuid="ab", memory=memory_, vcpus=vcpus, vcpus_maximum=maximum)
    assert found == (7, told)
    if memory_ is None or not memory_ % 1024:
        assert libvirt.parse(libvirt.written(7, told)) == found


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (record(pid="1234567890"), None),
        (record(pid="12345678901"), "pid '12345678901' is not that of a process"),
        (record(pid="x" * 30), f"pid '{'x' * 20}' is not that of a process"),
        (record(pid=""), "pid '' is not that of a process"),
        (record(pid="\u0663"), "pid '\u0663' is not that of a process"),
        (record("<vcpu>x</vcpu>"), "'x' is not a number"),
        (record("<vcpu>" + "1" * 19 + "</vcpu>"), None),
        (record("<vcpu>" + "1" * 20 + "</vcpu>"), f"'{'1' * 20}' is not a number"),
        (record(f"<memory unit='{'u' * 30}'>5</memory>"), f"memory in the unit '{'u' * 20}'"),
        (b"<!DOCTYPE x><x/>", "it declares a document type"),
        (b"<x>" * 32 + b"</x>" * 32, None),
        (b"<x>" * 33 + b"</x>" * 33, "elements are nested more than 32 deep"),
        (b"<x/>".ljust(4 << 20), None),
        (b"<x/>".ljust((4 << 20) + 1), "larger than 4 MiB"),
    ],
)
def test_a_record_that_is_broken_says_how(content: bytes, text: str | None) -> None:
    """One of another form is none, and not broken."""
    if text is None:
        libvirt.parse(content)
        return
    with pytest.raises(ValueError) as caught:
        libvirt.parse(content)
    assert str(caught.value) == text
    source = Source(Shelf({"run/libvirt/qemu/a.xml": content, "run/libvirt/qemu/b.txt": "x"}))
    assert libvirt.collect(source) == {}
    assert source.notes == [("run/libvirt/qemu/a.xml", f"not understood: {text}")]


@pytest.mark.parametrize(
    "content", [b"<x state='running' pid='7'/>", b"<domstatus pid='7'/>", b"<domstatus state='running'/>"]
)
def test_a_record_of_another_form_is_none(content: bytes) -> None:
    """Both the process and its state must be there."""
    assert libvirt.parse(content) is None


def test_records_that_may_not_be_listed_are_noted() -> None:
    """Without libvirt there are none, and no word of it."""
    for errno, text in ((EACCES, "cannot be read: Permission denied"), (ENOENT, None)):
        source = Source(Shelf({}, {"run/libvirt/qemu": errno}))
        assert libvirt.collect(source) == {}
        assert source.notes == ([] if text is None else [("run/libvirt/qemu", text)])


# --- command lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "told"),
    [("0", 0), ("1048576", 1 << 20), ("1048577", None), ("-1", None), ("x", None), ("", None), (None, None),
     ("0" * 29 + "5", 5), ("0" * 30 + "5", None), ("\u0663", None)],
)  # fmt: skip
def test_a_count_is_a_whole_number(written: str | None, told: int | None) -> None:
    """Of no more than there can be."""
    assert options.count(written) == told


@pytest.mark.parametrize(
    ("option", "first", "told"),
    [
        ("a=1,b", "", [("a", "1"), ("b", "on")]),
        ("a,b=2", "x", [("x", "a"), ("b", "2")]),
        ("a,,b=2", "", [("a,b", "2")]),
        ("a=1,,2,b=3", "", [("a", "1,2"), ("b", "3")]),
        ("a=[1,2],b=3", "", [("a", "1,2"), ("b", "3")]),
        ("a=[1,2", "", [("a", "[1,2")]),
        ("a=[[1,2],3],b=c]", "", [("a", "[1,2],3"), ("b", "c]")]),
        ("", "x", [("x", "")]),
    ],
)
def test_an_option_is_pairs(option: str, first: str, told: list[tuple[str, str]]) -> None:
    """A comma that is written twice, or within brackets, is a part of the value."""
    assert options.pairs(option, first) == told


@pytest.mark.parametrize(
    ("sizes", "told"),
    [([1, 2], 3), ([1], 1), ([0, 0], None), ([1, None], None), ([None], None), ([], None), ([0, 1], 1)],
)
def test_a_sum_of_sizes_is_known_where_all_are(sizes: list[int | None], told: int | None) -> None:
    """0 stands for a default."""
    assert options.total(sizes) == told


@pytest.mark.parametrize(("written", "told"), [("0-2,5", (0, 1, 2, 5)), ("x", None), ("", ())])
def test_ids_of_an_option_are_a_list(written: str, told: tuple[int, ...] | None) -> None:
    """None for anything else."""
    assert options.ids(written) == told


GIB = 1 << 30


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-m", "96"], {"memory": 96 << 20}),
        (["-m", "size=1G,slots=2,maxmem=4G"], {"memory": None}),
        (["-m", "1G,maxmem=1G"], {"memory": GIB}),
        (["-m", "1G,maxmem=1073741825b"], {"memory": None}),
        (["-m", "1G", "-readconfig", "f"], {"memory": None}),
        (["-m", "1G", "-object", "memory-backend-ram,id=d,size=1G", "-device", "pc-dimm,memdev=d"], {"memory": 2 * GIB}),
        (["-m", "1G", "-device", "pc-dimm,memdev=d"], {"memory": None}),
        (["-m", "1G", "-device", '{"driver": "virtio-mem-pci", "memdev": "d"}', "-object",
          '{"qom-type": "memory-backend-ram", "id": "d", "size": 1073741824}'], {"memory": 2 * GIB}),
        (["-smp", "2"], {"vcpus": 2, "vcpus_maximum": 2}),
        (["-smp", "2,maxcpus=4"], {"vcpus": 2, "vcpus_maximum": 4}),
        (["-smp", "cpus=2", "-smp", "maxcpus=4"], {"vcpus": 2, "vcpus_maximum": 4}),
        (["-smp", "sockets=2,cores=3,threads=2"], {"vcpus": 12, "vcpus_maximum": 12}),
        (["-smp", "sockets=2,cores=0"], {"vcpus": 2, "vcpus_maximum": 2}),
        (["-smp", "sockets=2,cores=x"], {"vcpus": None, "vcpus_maximum": None}),
        (["-smp", "3,sockets=2,cores=2"], {"vcpus": 3, "vcpus_maximum": 3}),
        (["-name", "vm"], {"name": "vm"}),
        (["-name", "guest=vm,debug-threads=on"], {"name": "vm"}),
        (["-name", "vm", "-name", "debug-threads=on"], {"name": "vm"}),
        (["-uuid", "ABC"], {"uuid": "abc"}),
        (["-S"], {"starts_paused": True}),
        (["--S"], {"starts_paused": True}),
        (["-mem-path", "/dev/hugepages"], {"memory_paths": ("/dev/hugepages",)}),
        (["-object", "memory-backend-file,id=a,size=1G,mem-path=/x,host-nodes=0-1,policy=bind", "-machine",
          "pc,memory-backend=a"], {"memory_paths": ("/x",), "nodes": (0, 1)}),
        (["-object", "memory-backend-ram,id=a,size=1G,host-nodes=1,policy=preferred", "-machine", "pc,memory-backend=a"],
         {"nodes": None}),
        (["-object", "memory-backend-ram,id=a,size=1G,host-nodes=1,policy=bind", "-numa", "node,nodeid=3,cpus=0-1,memdev=a"],
         {"nodes": (1,), "guest_nodes": (GuestNode(id=3, memory=GIB, vcpus=(0, 1), nodes=(1,)),)}),
        (["-object", "memory-backend-ram,id=a,size=1G,policy=bind", "-machine", "pc,memory-backend=a"], {"nodes": None}),
        (["-object", "memory-backend-ram,id=a,size=1G,host-nodes=1", "-machine", "pc,memory-backend=a"], {"nodes": None}),
        (["-object", '{"qom-type": "memory-backend-ram", "id": "a", "host-nodes": [2, 0, 2], "policy": "bind"}', "-machine",
          "memory-backend=a"], {"nodes": (0, 2)}),
        (["-object", '{"qom-type": "memory-backend-ram", "id": "a", "host-nodes": [-1], "policy": "bind"}', "-machine",
          "memory-backend=a"], {"nodes": None}),
        (["-object", '{"qom-type": "memory-backend-ram", "id": "a", "host-nodes": [true], "policy": "bind"}', "-machine",
          "memory-backend=a"], {"nodes": None}),
        (["-object", '{"qom-type": "other", "id": "a", "host-nodes": [0], "policy": "bind"}', "-machine",
          "memory-backend=a"], {"nodes": None}),
        (["-object", "[1]", "-object", "{x"], {"memory_paths": ()}),
        (["-numa", "node,cpus=2-3,cpus=0,mem=5"], {"guest_nodes": (GuestNode(id=0, memory=5 << 20, vcpus=(0, 2, 3), nodes=None),)}),
        (["-numa", "node,cpus=x,mem=5"], {"guest_nodes": (GuestNode(id=0, memory=5 << 20, vcpus=None, nodes=None),)}),
        (["-numa", "node", "-numa", "node"],
         {"guest_nodes": tuple(GuestNode(id=n, memory=None, vcpus=None, nodes=None) for n in (0, 1))}),
        (["-numa", "node,nodeid=x"], {"guest_nodes": None}),
        (["-numa", "dist,src=0"], {"guest_nodes": None}),
    ],
)  # fmt: skip
def test_qemus_options_say_what_the_guest_is(words: list[str], told: dict[str, Any]) -> None:
    """Each field is known from its own option alone."""
    line = "\0".join(["qemu-system-x86_64", *words]).encode() + b"\0"
    found = command_line.parse(line, "qemu")
    assert found is not None
    assert found.program == "qemu"
    assert {name: getattr(found, name) for name in told} == told
    blank = {"name": None, "uuid": None, "starts_paused": False, "memory_paths": ()}
    assert {name: getattr(found, name) for name in blank if name not in told} == {
        name: value for name, value in blank.items() if name not in told
    }


HYPERVISORS = [
    CommandLine(program="crosvm", name="vm", memory=5 * MIB, vcpus=2, vcpus_maximum=2),
    CommandLine(program="crosvm", vcpus=2, vcpus_maximum=4),
    CommandLine(program="firecracker", name="vm"),
    CommandLine(program="cloud-hypervisor", name="vm", uuid="ab", memory=GIB, vcpus=1, vcpus_maximum=8),
    CommandLine(program="cloud-hypervisor", memory=GIB, vcpus=1, vcpus_maximum=1, nodes=(1,)),
    CommandLine(program="cloud-hypervisor", memory=GIB, vcpus=1, vcpus_maximum=1, nodes=(0, 2)),
    CommandLine(program="cloud-hypervisor", memory=GIB + 5, vcpus=1, vcpus_maximum=1, guest_nodes=(
        GuestNode(id=0, memory=GIB, vcpus=(0, 1), nodes=(1,)), GuestNode(id=3, memory=None, vcpus=None, nodes=None))),
    CommandLine(program="cloud-hypervisor", memory=2 * GIB, vcpus=1, vcpus_maximum=1, nodes=(0, 1), guest_nodes=(
        GuestNode(id=0, memory=GIB, vcpus=(0,), nodes=(0, 1)), GuestNode(id=1, memory=GIB, vcpus=(1, 2), nodes=(0, 1)))),
]  # fmt: skip


@pytest.mark.parametrize("line", HYPERVISORS[:6])
def test_what_is_written_of_a_guest_is_understood_again(line: CommandLine) -> None:
    """As recordings have it, without what else stood in its command line."""
    assert long_options.parse(line.program, long_options.written(line)) == line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (HYPERVISORS[0], ["--name", "vm", "--cpus", "num-cores=2,max=2", "--mem", "size=5242880b"]),
        (HYPERVISORS[2], ["--id", "vm", "--cpus", ""]),
        (HYPERVISORS[3], ["--name", "vm", "--platform", "uuid=ab", "--cpus", "boot=1,max=8", "--memory", "size=1073741824b"]),
        (HYPERVISORS[5], ["--cpus", "boot=1,max=1", "--memory", "size=0b", "--memory-zone",
                          "id=z0,size=1073741824b,host_numa_node=0", "id=z1,size=0b,host_numa_node=2"]),
        (HYPERVISORS[6], ["--cpus", "boot=1,max=1", "--memory", "size=5b", "--memory-zone",
                          "id=n0-0,size=1073741824b,host_numa_node=1", "id=n3-0", "--numa",
                          "guest_numa_id=0,cpus=[0,1],memory_zones=[n0-0]", "guest_numa_id=3,memory_zones=[n3-0]"]),
        (HYPERVISORS[7], ["--cpus", "boot=1,max=1", "--memory", "size=0b", "--memory-zone",
                          "id=n0-0,size=1073741824b,host_numa_node=0", "id=n0-1,size=0b,host_numa_node=1",
                          "id=n1-0,size=1073741824b,host_numa_node=0", "id=n1-1,size=0b,host_numa_node=1", "--numa",
                          "guest_numa_id=0,cpus=[0],memory_zones=[n0-0,n0-1]",
                          "guest_numa_id=1,cpus=[1,2],memory_zones=[n1-0,n1-1]"]),
    ],
)  # fmt: skip
def test_a_guest_is_written_in_the_words_of_its_program(line: CommandLine, words: list[str]) -> None:
    """A zone for each of the host's nodes, the first with all of the memory."""
    assert long_options.written(line) == words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--memory size=1G", {"memory": GIB, "nodes": None}),
        ("--memory=size=1G", {"memory": GIB}),
        ("--memory size=1G,hotplug_size=1G", {"memory": 2 * GIB}),
        ("--memory size=0 --memory-zone id=a,size=1G,host_numa_node=1", {"memory": GIB, "nodes": (1,)}),
        ("--memory size=0 --memory-zone id=a,size=1G,host_numa_node=1 id=b,size=1G", {"memory": 2 * GIB, "nodes": None}),
        ("--memory size=1G --memory-zone id=a,size=1G,host_numa_node=1", {"memory": 2 * GIB, "nodes": None}),
        ("--memory size=0 --memory-zone id=a,size=1G,hotplug_size=1G,file=/x", {"memory": 2 * GIB, "memory_paths": ("/x",)}),
        ("--memory size=1G,file=/y", {"memory_paths": ("/y",)}),
        ("--cpus 3", {"vcpus": 3, "vcpus_maximum": 3}),
        ("--cpus boot=3,max=5", {"vcpus": 3, "vcpus_maximum": 5}),
        ("--numa guest_numa_id=x", {"guest_nodes": None}),
        ("--numa guest_numa_id=2,cpus=[0-1],memory_zones=a --memory size=0 --memory-zone id=a,size=1G",
         {"guest_nodes": (GuestNode(id=2, memory=GIB, vcpus=(0, 1), nodes=None),)}),
        ("--numa memory_zones=z", {"guest_nodes": (GuestNode(id=0, memory=None, vcpus=None, nodes=None),)}),
        ("--platform uuid=AB", {"uuid": "ab"}),
        ("--name", {"name": None}),
    ],
)  # fmt: skip
def test_cloud_hypervisors_options_say_what_the_guest_is(words: str, told: dict[str, Any]) -> None:
    """Each field from its own option."""
    found = long_options.parse("cloud-hypervisor", words.split())
    assert {name: getattr(found, name) for name in told} == told


QEMUS = [
    (CommandLine(program="qemu", name="a,b", uuid="ab", memory=5, vcpus=1, vcpus_maximum=2),
     ["-name", "guest=a,,b", "-uuid", "ab", "-m", "size=5b", "-smp", "cpus=1,maxcpus=2"]),
    (CommandLine(program="qemu", vcpus=1), ["-smp", "cpus=1"]),
    (CommandLine(program="qemu"), []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), QEMUS)
def test_a_guest_of_qemu_is_written_in_its_words(line: CommandLine, words: list[str]) -> None:
    """And understood again."""
    assert qemu.written(line) == words
    found = qemu.parse("qemu", words)
    assert (found.name, found.uuid, found.memory, found.vcpus) == (line.name, line.uuid, line.memory, line.vcpus)


# --- all processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errno", "kind"),
    [(EACCES, SourceDenied), (EPERM, SourceDenied), (EIO, SourceError), (ENOENT, None), (ENOTDIR, None)],
)
def test_processes_that_cannot_be_listed_are_an_error(errno: int, kind: type[SourceError] | None) -> None:
    """Where there is no ``/proc`` there are none, which is not all."""
    shelf = Shelf({}, {"proc": errno})
    if kind is None:
        found = collect(shelf)
        assert (found.guests, found.complete) == ((), False)
        return
    with pytest.raises(SourceError) as caught:
        collect(shelf)
    assert (type(caught.value), caught.value.where, caught.value.errno) == (kind, "/proc", errno)


def test_what_is_not_asked_for_is_not_read() -> None:
    """Neither threads, nor hint faults, nor whether the kernel looks for them."""
    tree = machine(process(500)) | {"proc/sys/kernel/numa_balancing": "2\n"}
    for options_, threads_, balancing in (
        ({}, True, None),
        ({"each_vcpu": False}, False, None),
        ({"faults": True}, True, 2),
    ):
        shelf = Shelf(tree)
        found = collect(shelf, **options_)  # type: ignore[arg-type]
        assert (found.guests[0].threads is not None) is threads_
        assert found.balancing == balancing
        assert any(path.endswith("/wchan") for path in shelf.opened) is threads_
        assert any(path.endswith("/sched") for path in shelf.opened) is (balancing is not None)


def test_a_group_without_the_memory_controller_is_the_sum_of_its_processes() -> None:
    """Where something of one is unknown the sum is."""
    directory = "sys/fs/cgroup/g"
    tree = machine(process(500, cgroup="/g"), process(600, cgroup="/g"))
    tree |= {f"{directory}/cgroup.procs": "500\n600\n", f"{directory}/cgroup.stat": "nr_descendants 0\n"}
    one, both = collect(Shelf(tree), processes=[500]).guests[0], collect(Shelf(tree), groups=["g"]).guests[0]
    assert one.held is not None
    assert one.unplaced is not None
    assert one.resident is not None
    assert both.held == {node: 2 * size for node, size in one.held.items()}
    assert (both.unplaced, both.resident, both.id) == (2 * one.unplaced, 2 * one.resident, "g")
    assert both.held_from == f"{directory}/cgroup.procs and proc/*/numa_maps"
    found = collect(Shelf(tree, {"proc/600/numa_maps": EACCES}), groups=["g"])
    assert found.guests[0].held is None
    assert not found.complete
    found = collect(Shelf(tree, {"proc/600/status": EACCES}), groups=["g"])
    assert found.guests[0].resident is None


def test_a_group_of_version_1_is_not_supported_and_said_so() -> None:
    """By the directory that it has; a group that is nowhere has no word."""
    tree = machine() | {"sys/fs/cgroup/memory/vm/cgroup.procs": "5\n"}
    tree["proc/self/mountinfo"] = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    text = "is a group of version 1 (sys/fs/cgroup/memory/vm), and only those of version 2 are supported"
    assert collect(Shelf(tree), groups=["vm"]).notes == (("control group vm", text),)
    assert collect(Shelf(tree), groups=["none"]) == Found(guests=(), complete=True, notes=())


# --- status -------------------------------------------------------------------------------------------------------

HEAD = "Name:\tx\nState:\t{state}\nPPid:\t9\n"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("RssAnon:\t5 kB\nRssShmem:\t6 kB\nHugetlbPages:\t7 kB\nVmLck:\t8 kB\n",
         {"anonymous": 5120, "shared": 6144, "huge": 7168, "locked": 8192, "by_kind": True, "resident": 18432}),
        ("RssAnon:\t5 kB\nRssShmem:\t0 kB\n", {"anonymous": 5120, "shared": 0, "huge": 0, "locked": 0, "by_kind": True}),
        ("VmRSS:\t5 kB\nRssShmem:\t6 kB\n", {"anonymous": 5120, "shared": 0, "by_kind": False}),
        ("VmRSS:\t5 kB\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t1\n", {"cpus": (0, 1), "nodes": (1,)}),
        ("VmRSS:\t0 kB\n", {"anonymous": 0, "cpus": None, "nodes": None, "parent": 9, "state": "S"}),
    ],
)  # fmt: skip
def test_the_status_of_a_process_is_its_sizes_in_bytes(more: str, told: dict[str, Any]) -> None:
    """By kind since Linux 4.5."""
    found = parse("w", (HEAD.format(state="S (sleeping)") + more).encode())
    assert found is not None
    assert {name: getattr(found, name) for name in told} == told


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (HEAD.format(state="S") + "RssAnon:\t5 kB\n", "has RssAnon but not RssShmem; the kernel writes both"),
        ("Name:\tx\nRssAnon:\t5 kB\n", "has no state"),
        (HEAD.format(state="") + "VmRSS:\t5 kB\n", "has no state"),
        (HEAD.format(state="S") + "VmRSS:\t5", "is cut in this line"),
        (HEAD.format(state="S") + "HugetlbPages:\t5 k", "is cut in this line"),
        (HEAD.format(state="S") + "RssAnon:\t5 kB\nRssShmem:", "is cut in this line"),
    ],
)
def test_a_status_that_no_kernel_writes_is_broken(content: str, text: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(FactError) as caught:
        parse("w", content.encode())
    assert caught.value.reason == text


def test_a_group_of_its_own_is_what_a_guest_holds() -> None:
    """Where it agrees with the sizes of the process."""
    resident = (7 + 1000 + 24576 + 3 + 5) * 4096
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=f"N0={resident} N1=0"))
    (one,) = found_on(tree)
    assert one.cells == ((0, resident), (1, 0))
    assert one.how_from == "sys/fs/cgroup/machine.slice/vm1.scope/memory.numa_stat"


def test_a_process_that_gave_up_its_memory_has_no_failures() -> None:
    """It has no address space in its stat from then on."""
    tree = machine(process(500, maps="junk\n"))
    (found,) = found_on(tree)
    assert found.id == 500
    tree["proc/500/stat"] = str(tree["proc/500/stat"]).replace(" 1000 1 1 ", " 1000 0 1 ")
    ended = found_on(tree)
    assert (list(ended), ended.complete, ended.notes) == ([], True, ())


def test_a_group_whose_processes_are_placed_has_nothing_unplaced() -> None:
    """Each process by process."""
    maps = "7f0000000000 bind:1 anon=24576 dirty=24576 active=0 N1=24576 kernelpagesize_kB=4\n"
    tree = machine(process(500, cgroup="/g", maps=maps, anonymous_kb=24576 * 4))
    tree |= {"sys/fs/cgroup/g/cgroup.procs": "500\n", "sys/fs/cgroup/g/cgroup.stat": "nr_descendants 0\n"}
    (found,) = collect(Shelf(tree), groups=["g"]).guests
    assert (found.held, found.unplaced) == ({1: 96 * MIB}, 0)


@pytest.mark.parametrize(("misc", "guest"), [("232 kvm\n200 tun\n", True), ("200 tun\n", False), ("", False)])
def test_threads_named_as_vcpus_make_a_guest_where_there_is_kvm(misc: str, guest: bool) -> None:
    """Of a program that is not known."""
    tree = machine(process(500, cmdline="/usr/bin/other\0--x\0", vcpus=(("vcpu0", "S", 0, "0-3"),)))
    tree["proc/500/stat"] = str(tree["proc/500/stat"]).replace("qemu", "other")
    assert bool(list(found_on(tree | {"proc/misc": misc}))) is guest


@pytest.mark.parametrize(("locked", "how"), [("", "exact"), ("VmLck:\t4 kB\n", "unknown")])
def test_pages_that_a_process_locked_look_as_those_of_guest_memfd(locked: str, how: str) -> None:
    """In a group of version 1 both are unevictable."""
    directory = "sys/fs/cgroup/memory/vm1"
    tree = machine(process(500), {"proc/500/fd/7": Link("anon_inode:[kvm-gmem]")})
    tree["proc/self/mountinfo"] = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    tree["proc/500/cgroup"] = "4:memory:/vm1\n0::/\n"
    tree["proc/500/status"] = str(tree["proc/500/status"]).replace("HugetlbPages", f"{locked}HugetlbPages")
    tree |= {
        f"{directory}/cgroup.procs": "500\n",
        f"{directory}/memory.numa_stat": "unevictable=40960 N0=16384 N1=24576\n",
        f"{directory}/memory.stat": f"cache {160 * MIB}\nshmem 0\nactive_file 0\ninactive_file 0\n",
    }
    assert found_on(tree)[0].how == how


def test_a_group_of_several_counts_their_guest_memfd() -> None:
    """As file pages that are on no list, where they can never be swapped."""
    kinds = {
        "file": f"N0={64 * MIB} N1=0",
        "unevictable": f"N0={64 * MIB} N1=0",
        "active_file": "N0=0",
        "inactive_file": "N0=0",
    }
    tree = machine(
        process(500), {"proc/500/fd/7": Link("anon_inode:[kvm-gmem]")}, group("sys/fs/cgroup/g", "500\n", **kinds)
    )
    (found,) = collect(Shelf(tree), groups=["g"]).guests
    assert (found.held, found.unplaced) == ({0: 64 * MIB}, 0)


def test_only_addresses_within_the_mappings_are_looked_at() -> None:
    """The first page, the first of the second mapping, and the last."""
    for wanted, address in ((0, 0x1000), (1, 0x2000), (2, 0x9000), (3, 0xA000)):
        looked: set[int] = set()

        class Calls:
            def nodes(self, process: int, addresses: Any) -> list[int]:
                looked.update(addresses)  # noqa: B023 - of this turn
                return [0] * len(addresses)

            def entries(self, process: int, addresses: Any) -> list[int]:
                return [0] * len(addresses)

        sampling = sampled.Sampling(pages=100, calls=Calls(), page_size=4096, draw=lambda pages: wanted)  # noqa: B023
        maps = [sampled.Mapping(start=0x1000, end=0x3000, file=b"", private=True),
                sampled.Mapping(start=0x9000, end=0xB000, file=b"", private=True)]  # fmt: skip
        sampled.sample(sampling, 5, maps, status(anonymous=12288), places=(), huge_places=(), slack=0)
        assert looked == {address}


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"X" * 60 + b"\n", "w: has no state: '" + "X" * 60 + "'"), (b"X" * 70, "w: has no state: '" + "X" * 60 + "'")],
)
def test_a_status_without_a_state_is_quoted(content: bytes, text: str) -> None:
    """Its first 60 characters."""
    with pytest.raises(FactError) as caught:
        parse("w", content)
    assert str(caught.value) == text
    bare = parse("w", b"Name:x\nState:S\nVmRSS: 5 kB\n")
    assert bare is not None
    assert bare.state == "S"


@pytest.mark.parametrize(
    ("change", "alone"),
    [({}, True), ({17: b"2"}, False), ({40: b"5"}, False), ({0: b"5"}, False), ({6: b"x"}, False)],
)
def test_a_process_with_one_thread_and_no_time_of_a_guest_runs_alone(change: dict[int, bytes], alone: bool) -> None:
    """The rest of its stat is then not looked at."""
    words = [b"S", *[b"1"] * 39, b"0", b"0"]
    for at, word in change.items():
        words[at] = word
    assert threads.runs_alone(b"5 (a) b) " + b" ".join(words) + b"\n") is alone


@pytest.mark.parametrize(
    ("unlisted", "locked_kb", "exact"),
    [(4 * MIB, 0, True), (4 * MIB + 4096, 0, False), (5 * MIB, 1024, True), (5 * MIB + 4096, 1024, False)],
)
def test_file_pages_on_no_list_may_be_those_that_were_locked(unlisted: int, locked_kb: int, exact: bool) -> None:
    """Where descriptors may not be looked at, more of them may be guest_memfd, and the group is not believed."""
    resident = (7 + 1000 + 24576 + 3 + 5) * 4096
    kinds = {"file": f"N0={unlisted} N1=0", "active_file": "N0=0 N1=0", "inactive_file": "N0=0 N1=0"}
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=f"N0={resident} N1=0", **kinds))
    tree["proc/500/status"] = str(tree["proc/500/status"]).replace("Hugetlb", f"VmLck:\t{locked_kb} kB\nHugetlb")
    (one,) = found_on(tree, {"proc/500/fd": EACCES})
    assert (one.how == "exact") is exact
