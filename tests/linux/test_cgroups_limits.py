"""Tables of mounts and of control groups at their limits, each note to the letter."""

from __future__ import annotations

import pytest
from trees import Machine, Shelf

from numaprobe.errors import FactError
from numaprobe.linux import cgroups
from numaprobe.linux.cgroups import Mount
from numaprobe.linux.source import Source

V2 = "30 23 0:26 {root} {point} rw shared:4 - cgroup2 cgroup2 {options}\n"


def mounted(content: str, *kinds: str) -> list[Mount]:
    return cgroups.mounts(Source(Shelf({"proc/self/mountinfo": content})), kinds or ("cgroup2",))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("30 23 0:26 /r /p rw - cgroup2 cgroup2 rw,nsdelegate\n", ("/r", "/p", {"rw", "nsdelegate"})),
        ("30 23 0:26 /r /p rw shared:4 master:5 - cgroup2 c rw\n", ("/r", "/p", {"rw"})),
        ("30 23 0:26 /r /p rw - cgroup2  rw\n", ("/r", "/p", {"rw"})),
        ("30 23 0:26 /r /p\\040q rw - cgroup2 c rw\n", ("/r", "/p q", {"rw"})),
        ("30 23 0:26 /a\\011b /p\\134q rw - cgroup2 c rw\n", ("/a\tb", "/p\\q", {"rw"})),
        ("30 23 0:26 /r /p rw - cgroup c rw\n", None),
    ],
)
def test_a_mount_has_a_root_a_point_and_options(content: str, found: tuple[str, str, set[str]] | None) -> None:
    """Behind any number of optional fields, in any line of the table, the last one without its newline too."""
    wanted = (
        [] if found is None else [Mount(root=found[0], point=found[1], kind="cgroup2", options=frozenset(found[2]))]
    )
    other = "1 0 0:1 / / rw - ext4 a rw\n"
    assert mounted(content) == wanted
    assert mounted(other + content + other) == wanted
    assert mounted(other + content.strip()) == wanted
    assert mounted(content + other + content.replace("/p", "/q")) == wanted + [
        one._replace(point=one.point.replace("/p", "/q")) for one in wanted
    ]


@pytest.mark.parametrize(
    ("content", "text_"),
    [
        ("", "names no mount"),
        ("odd\n", "names no mount: 'odd'"),
        (" - cgroup2 c rw\n", "not a mount: '- cgroup2 c rw'"),
        ("30 23 0:26 /r rw - cgroup2 c rw\n", "not a mount: '30 23 0:26 /r rw - cgroup2 c rw'"),
        ("30 23 0:26  /p rw - cgroup2 c rw\n", "not a mount: '30 23 0:26  /p rw - cgroup2 c rw'"),
        ("30 23 0:26 /r  rw - cgroup2 c rw\n", "not a mount: '30 23 0:26 /r  rw - cgroup2 c rw'"),
        ("30 23 0:26 /r /p rw - cgroup2 c\nx - y z w\n", "not a mount: '30 23 0:26 /r /p rw - cgroup2 c'"),
        ("30 23 0:26 /r /p - cgroup2 c rw\n", "not a mount: '30 23 0:26 /r /p - cgroup2 c rw'"),
        ("30 23 0:26 /r /p rw - x - cgroup2 c rw\n", "not a mount: '30 23 0:26 /r /p rw - x - cgroup2 c rw'"),
        ("30 23 0:26 /r /p rw - cgroup2 c", "is cut in this line: '30 23 0:26 /r /p rw - cgroup2 c'"),
        ("1 0 0:1 / / rw - ext4 a rw\n30 23", "is cut in this line: '30 23'"),
    ],
)
def test_a_table_of_mounts_that_is_broken_is_noted(content: str, text_: str) -> None:
    """A mount that is left out may be the one that matters."""
    source = Source(Shelf({"proc/self/mountinfo": content}))
    assert cgroups.mounts(source, ("cgroup2",)) == []
    assert source.notes == [("proc/self/mountinfo", text_)]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("none /p cgroup2 rw,a 0 0\n", ("/p", {"rw", "a"})),
        ("none /p cgroup2 rw\n", ("/p", {"rw"})),
        ("none /p cgroup2\n", None),
        ("none /p other rw 0 0\n", None),
    ],
)
def test_an_older_table_has_no_root(content: str, found: tuple[str, set[str]] | None) -> None:
    """``/proc/self/mounts`` and ``/proc/mounts``, of a kernel or a recording without mountinfo."""
    for path in ("proc/self/mounts", "proc/mounts"):
        source = Source(Shelf({path: content}))
        wanted = [] if found is None else [Mount(root="/", point=found[0], kind="cgroup2", options=frozenset(found[1]))]
        assert cgroups.mounts(source, ("cgroup2",)) == wanted


@pytest.mark.parametrize(("count", "taken"), [(1 << 14, True), ((1 << 14) + 1, False)])
def test_16384_mounts_of_one_kind_are_the_most(count: int, taken: bool) -> None:
    """One more is a table that cannot be read, and is noted as such."""
    source = Source(Shelf({"proc/self/mountinfo": "1 0 0:1 / /p rw - cgroup2 c rw\n" * count}))
    assert len(cgroups.mounts(source, ("cgroup2",))) == (count if taken else 0)
    assert bool(source.notes) is not taken


@pytest.mark.parametrize(("size", "taken"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_an_older_table_of_a_mebibyte_is_the_longest(size: int, taken: bool) -> None:
    """The note has its first 60 characters and its size."""
    line = "\nnone /p cgroup2 rw 0 0\n"
    content = "#" * (size - len(line)) + line
    source = Source(Shelf({"proc/mounts": content}))
    assert bool(cgroups.mounts(source, ("cgroup2",))) is taken
    text_of = f"a table of {size} bytes: '{'#' * 60}'"
    assert source.notes == ([] if taken else [("proc/mounts", text_of)])


@pytest.mark.parametrize(
    ("content", "found", "note"),
    [
        ("0::/a\n", {"": "/a"}, None),
        ("2:cpu,cpuacct:/x\n1:name=systemd:/s:t\n0::/a", {"cpu": "/x", "cpuacct": "/x", "name=systemd": "/s:t", "": "/a"},
         None),
        ("0::/" + "a" * 4348 + "\n", {"": "/" + "a" * 4348}, None),
        ("0::/" + "a" * 4349 + "\n", {}, f"not a control group: '0::/{'a' * 53}...'"),
        ("0::/a\nodd\n", {"": "/a"}, "not a control group: 'odd'"),
        ("x::/a\n", {"": "/a"}, "not a control group: 'x::/a'"),
        ("0::a\n", {"": "a"}, "not a control group: '0::a'"),
        ("", {}, "names no control group"),
        ("\n", {}, "names no control group"),
    ],
)  # fmt: skip
def test_the_groups_of_this_process_are_those_of_its_table(
    content: str, found: dict[str, str], note: str | None
) -> None:
    """A line of 4,352 bytes is the longest: a path that calls take, and the names of controllers."""
    source = Source(Shelf({"proc/self/cgroup": content}))
    assert cgroups.own_paths(source) == found
    assert source.notes == ([] if note is None else [("proc/self/cgroup", note)])


@pytest.mark.parametrize(("size", "taken"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_a_table_of_groups_of_a_mebibyte_is_the_longest(size: int, taken: bool) -> None:
    """In lines each of which is short enough."""
    source = Source(Shelf({"proc/self/cgroup": "0::/a\n".ljust(size, "\n")}))
    assert cgroups.own_paths(source) == ({"": "/a"} if taken else {})
    assert source.notes == ([] if taken else [("proc/self/cgroup", "a table of 1048577 bytes: '0::/a'")])


def test_without_a_table_of_groups_there_is_no_note() -> None:
    """A kernel without control groups has none."""
    source = Source(Shelf({}))
    assert (cgroups.own_paths(source), source.notes) == ({}, [])


@pytest.mark.parametrize(
    ("size", "name"),
    [(4, "4KB"), (64, "64KB"), (512, "512KB"), (1024, "1MB"), (2048, "2MB"), (512 << 10, "512MB"), (1 << 20, "1GB"),
     (16 << 20, "16GB")],
)  # fmt: skip
def test_the_file_of_a_size_of_huge_pages_is_named_in_the_largest_unit(size: int, name: str) -> None:
    """As mm/hugetlb_cgroup.c of Linux does; s390 has pages of 1 MB, others of 64 KB."""
    tree: Machine = {
        "proc/self/mountinfo": V2.format(root="/", point="/sys/fs/cgroup", options="rw"),
        f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages": "0\n",
        "g/memory.numa_stat": "anon N0=4096\nshmem N0=0\nfile N0=0\n",
        f"g/hugetlb.{name}.numa_stat": "total=8192 N0=8192\n",
    }
    held = cgroups.Groups(Source(Shelf(tree))).held("g", huge=True)
    assert held is not None
    assert held.huge == {0: 8192}


STAT = "anon N0=4096 N1=8192\nshmem N0=1 N1=0\nfile N0=100 N1=50\n"


@pytest.mark.parametrize(
    ("more", "unlisted"),
    [
        ("", {0: 99, 1: 50}),
        ("active_file N0=40 N1=20\ninactive_file N0=30 N1=30\n", {0: 29}),
        ("active_file N0=40 N1=20\ninactive_file N0=30 N1=29\n", {0: 29, 1: 1}),
        ("swapcached N0=99 N1=51\n", {}),
        ("swapcached N0=98 N1=49\n", {0: 1, 1: 1}),
        ("unevictable N0=7 N1=3\n", {0: 99, 1: 50}),
    ],
)
def test_file_pages_on_no_list_are_what_the_lists_leave(more: str, unlisted: dict[int, int]) -> None:
    """By node; a node with none has no part in it."""
    source = Source(Shelf({"g/memory.numa_stat": STAT + more}))
    held = cgroups.Groups(source).held("g", huge=False)
    assert held is not None
    assert (held.anonymous, held.shared, held.huge) == ({0: 4096, 1: 8192}, {0: 1}, {})
    assert held.unlisted == unlisted
    assert held.unevictable == ({0: 7, 1: 3} if "unev" in more else {})
    assert held.by_node() == {0: 4097, 1: 8192}


@pytest.mark.parametrize("kind", ["anon", "shmem", "file"])
def test_a_group_without_a_kind_of_memory_is_broken(kind: str) -> None:
    """The kernel writes every kind for every node."""
    content = "".join(f"{line}\n" for line in STAT.splitlines() if not line.startswith(kind))
    source = Source(Shelf({"g/memory.numa_stat": content}))
    assert cgroups.Groups(source).held("g", huge=False) is None
    assert [(where, text.partition(":")[0]) for where, text in source.notes] == [
        ("g/memory.numa_stat", f"has no {kind}")
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"N0=1 N1=0 N22=333", {0: 1, 22: 333}),
        (b"total=5 N0=4", {0: 4}),
        (b"N0", {}),
        (b"M0=1", {}),
        (b"Nx=1", "w: not a node and bytes: 'Nx=1'"),
        (b"N0=-1", "w: not a node and bytes: 'N0=-1'"),
        (b"N=1", "w: not a node and bytes: 'N=1'"),
    ],
)
def test_bytes_by_node_are_numbers(content: bytes, found: dict[int, int] | str) -> None:
    """A node of none is left out, as is any other word."""
    if isinstance(found, dict):
        assert cgroups.by_node("w", content) == found
        return
    with pytest.raises(FactError) as caught:
        cgroups.by_node("w", content)
    assert str(caught.value) == found


@pytest.mark.parametrize(
    ("procs", "found"),
    [("1\n22\n", {1, 22}), ("1234567890\n", {1234567890}), ("12345678901\n", None), ("1\nx\n", None), ("", set())],
)
def test_the_processes_of_a_group_have_ten_digits_at_most(procs: str, found: set[int] | None) -> None:
    """A broken list costs the group, and is noted with the word."""
    source = Source(Shelf({"g/cgroup.procs": procs, "g/cgroup.stat": "nr_descendants 0\n"}))
    assert cgroups.Groups(source).processes("g") == found
    odd = procs.strip().rpartition("\n")[2]
    assert source.notes == ([("g/cgroup.procs", f"not a process: '{odd}'")] if found is None else [])


@pytest.mark.parametrize(
    ("stat", "known"),
    [
        ("nr_descendants 0\n", True),
        ("nr_dying_descendants 1\nnr_descendants 0\n", True),
        ("nr_descendants x\n", False),
        ("nr_dying_descendants 0\n", False),
        ("", False),
    ],
)
def test_a_group_says_how_many_are_below_it(stat: str, known: bool) -> None:
    """Otherwise it is unknown which processes are in them."""
    source = Source(Shelf({"g/cgroup.procs": "5\n", "g/cgroup.stat": stat}))
    assert cgroups.Groups(source).processes("g") == ({5} if known else None)
    assert [text.partition(":")[0] for _, text in source.notes] == ([] if known else ["has no nr_descendants"])


def test_a_process_alone_in_its_group_holds_what_the_group_does() -> None:
    """Not where another is in it, or where it is unknown who else is."""
    tree: Machine = {"g/memory.numa_stat": STAT, "g/cgroup.procs": "5\n", "g/cgroup.stat": "nr_descendants 0\n"}
    for procs, stat, alone in (
        ("5\n", "nr_descendants 0\n", True),
        ("5\n6\n", "nr_descendants 0\n", False),
        ("6\n", "nr_descendants 0\n", False),
        ("5\n", "", False),
    ):
        tree |= {"g/cgroup.procs": procs, "g/cgroup.stat": stat}
        held, found = cgroups.Groups(Source(Shelf(tree))).held_alone("g", 5, huge=False)
        assert held is not None
        assert found is alone
    del tree["g/memory.numa_stat"]
    assert cgroups.Groups(Source(Shelf(tree))).held_alone("g", 5, huge=False) == (None, False)
