"""Nodes, lists of CPUs, caches and devices at their limits: the last value that is taken, each note to the letter."""

from __future__ import annotations

from errno import EACCES, EIO, ENODATA, ENODEV, ENOENT, ENOTDIR, ENXIO
from typing import Any

import pytest
from cache_files import cache_files
from trees import CPU, NODE, Machine, Shelf, machine, meminfo

from numaprobe.errors import FactError, SourceDenied, SourceError, SourceUnavailable
from numaprobe.linux import caches, collect, cpus, devices, nodes, source
from numaprobe.linux import meminfo as tables
from numaprobe.linux.facts import CacheFacts, DeviceFacts, LinuxFacts, MeminfoFacts
from numaprobe.linux.source import Source


def of(tree: Machine, errors: dict[str, int] | None = None) -> Source:
    return Source(Shelf(tree, errors))


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("errno", [ENOENT, ENOTDIR, ENODEV, ENXIO])
def test_what_is_absent_is_silent(errno: int) -> None:
    """A file, a directory, or the attribute of a device that is being removed."""
    found = of({}, {"a": errno})
    assert (found.one("a"), found.names("a"), found.notes, found.failed) == (None, None, [], {})


def test_what_cannot_be_read_is_noted_and_remembered() -> None:
    """By its whole path; a file of NUL bytes cannot be read either."""
    found = of({"d/c": b"\0\0"}, {"d/a": EACCES, "d/b": EIO})
    assert found.read(("a", "b", "c", "e"), "d") == [None, None, None, None]
    assert found.failed == {"d/a": EACCES, "d/b": EIO, "d/c": ENODATA}
    assert found.notes == [
        ("d/a", "cannot be read: Permission denied"),
        ("d/b", "cannot be read: Input/output error"),
        ("d/c", "cannot be read: holds only NUL bytes"),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("d/a", "d/a: Permission denied"),
        ("d", "d/a: Permission denied"),
        ("d/", None),
        ("d/x", "d/x: odd: 'y'"),
        ("e", None),
        ("f", "f: Input/output error"),
        ("d/a/b", None),
    ],
)
def test_the_error_of_a_path_is_its_own_or_the_first_below_it(path: str, text: str | None) -> None:
    """What could not be read comes before what is broken."""
    found = of({}, {"d/a": EACCES, "f": EIO})
    found.read(("d/a", "f"))
    found.misread(FactError("d/x", "y", "odd"))
    error = found.failure(path)
    assert (None if error is None else str(error)) == text
    assert type(error) is (
        {"d/x": FactError, "f": SourceError, "d/a": SourceDenied, "d": SourceDenied}.get(path, type(None))
    )


def test_ids_of_all_lists_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two million, in lists that are alike or not."""
    assert source.MAX_IDS == 2_000_000
    monkeypatch.setattr(source, "MAX_IDS", 10)
    for contents in ((b"0-4", b"0-4"), (b"0-4", b"5-9"), (b"0-9",)):
        found = of({})
        for content in contents:
            assert found.ids("w", content) is not None
        with pytest.raises(FactError) as caught:
            found.ids("w", b"0")
        assert str(caught.value) == "w: names more than any machine has: '0'"
    found = of({})
    assert found.ids("w", b"0-4") == (0, 1, 2, 3, 4)
    assert found.ids("w", b"0-4") == (0, 1, 2, 3, 4)
    with pytest.raises(FactError):
        found.ids("w", b"0-4")


def test_a_directory_with_too_many_names_is_quoted_with_the_first() -> None:
    """1,024 names that begin alike are the most."""
    tree: Machine = {f"d/x{number:04}": None for number in range(1025)}
    found = of(tree)
    assert found.names("d", "x") is None
    assert found.notes == [("d", "more than any kernel has: '1025 names such as x0000'")]
    del tree["d/x0000"]
    assert len(of(tree).names("d", "x") or ()) == 1024


class Scanning(Shelf):
    """A reader that scans zoneinfo piece by piece, and looks before it reads."""

    def __init__(self, tree: Machine, answer: Any = None) -> None:
        super().__init__(tree)
        self.answer = answer

    def zones(self, path: str) -> Any:
        if self.answer is ValueError:
            raise ValueError(path)
        return self.answer

    def absent(self, paths: list[str], base: str = "") -> list[int]:
        codes = {"gone": ENOENT, "denied": EACCES, "there": 0, "removed": ENODEV}
        return [codes[path] for path in paths]


@pytest.mark.parametrize(("answer", "told"), [([1], [1]), ([], []), (ENOENT, None), (ValueError, None)])
def test_zones_are_scanned_in_pieces_where_the_reader_can(answer: Any, told: Any) -> None:
    """Anything but zones is left for the whole file."""
    assert Source(Scanning({}, answer)).zones_in_pieces("p") == told
    assert of({}).zones_in_pieces("p") is None


def test_directories_that_are_absent_are_not_listed_where_the_reader_can_look() -> None:
    """One that may not be seen may be there."""
    paths = ["gone", "denied", "there", "removed"]
    assert Source(Scanning({})).perhaps(paths, "") == {"denied", "there"}
    assert of({}).perhaps(paths, "") == set(paths)


# --- nodes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "online", "ids", "note"),
    [
        ((0, 1), (0, 1), (0, 1), None),
        ((0, 2), (0, 1), (0, 2), "says 0-1, the node directories are 0,2"),
        ((0,), (), (0,), "says none, the node directories are 0"),
        ((0,), None, (0,), None),
        ((), (0, 1), (0, 1), None),
        ((), None, None, None),
    ],
)
def test_nodes_are_the_directories_and_else_the_list(
    names: tuple[int, ...], online: tuple[int, ...] | None, ids: tuple[int, ...] | None, note: str | None
) -> None:
    """Where they differ it is noted."""
    found = of({NODE: None, **{f"{NODE}/node{number}": None for number in names}})
    assert nodes.node_ids(found, online) == ids
    assert found.notes == ([] if note is None else [("online", note)])


def test_nodes_that_cannot_be_listed_are_an_error() -> None:
    """None are there only where the directory is not."""
    assert nodes.node_ids(of({}), None) is None
    assert nodes.node_ids(of({}, {NODE: ENODEV}), None) is None
    for errno, kind in ((EACCES, SourceDenied), (EIO, SourceError)):
        with pytest.raises(kind, match=NODE):
            nodes.node_ids(of({}, {NODE: errno}), None)


def test_4096_nodes_are_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many as any kernel is built for."""
    monkeypatch.setattr(nodes, "MAX_NODES", 2)
    tree: Machine = {f"{NODE}/node{number}": None for number in range(2)}
    assert nodes.node_ids(of(tree), None) == (0, 1)
    with pytest.raises(FactError) as caught:
        nodes.node_ids(of({**tree, f"{NODE}/node2": None}), None)
    assert str(caught.value) == f"{NODE}: more than any kernel has: '3 nodes'"


WHOLE = {"MemTotal": 9, "MemFree": 8, "MemAvailable": 7, "Active(file)": 6, "Inactive(file)": 5, "KReclaimable": 4,
         "SReclaimable": 3}  # fmt: skip
TOLD = MeminfoFacts(total_kb=9, free_kb=8, active_file_kb=6, inactive_file_kb=5, reclaimable_kb=4, available_kb=7)


def table(start: str = "", **changes: str | None) -> str:
    lines = {name: f"{value} kB" for name, value in WHOLE.items()} | changes  # type: ignore[operator]
    return "".join(f"{start}{name}: {value}\n" for name, value in lines.items() if value is not None)


@pytest.mark.parametrize(
    ("changes", "told", "note"),
    [
        ({}, TOLD, None),
        ({"KReclaimable": None}, TOLD._replace(reclaimable_kb=3), None),
        ({"SReclaimable": None}, TOLD, None),
        ({"MemTotal": None}, TOLD._replace(total_kb=None), "has no MemTotal: "),
        ({"MemTotal": "x kB"}, TOLD._replace(total_kb=None), ""),
        ({"MemFree": "x kB"}, TOLD._replace(free_kb=None), ""),
        ({"MemFree": "x kB", "KReclaimable": None}, TOLD._replace(free_kb=None, reclaimable_kb=3), ""),
        ({"KReclaimable": "x kB"}, TOLD._replace(reclaimable_kb=3), ""),
        ({"Active(file)": "x kB"}, TOLD._replace(active_file_kb=None), ""),
        ({"Inactive(file)": "x kB"}, TOLD._replace(inactive_file_kb=None), ""),
        ({"MemAvailable": "x kB"}, TOLD._replace(available_kb=None), ""),
    ],
)
def test_a_line_that_is_broken_costs_its_own_figure(
    changes: dict[str, str | None], told: MeminfoFacts, note: str | None
) -> None:
    """Of a node, and of the machine; the line is quoted once."""
    found = of({"proc/meminfo": table(**changes)})
    assert tables.machine_memory(found) == told
    line = next((f"{name}: {value}" for name, value in changes.items() if value), None)
    assert len(found.notes) == (note is not None)
    assert all(line in text if line else text.startswith(note or "") for _, text in found.notes)
    found = of({})
    assert tables.node_meminfo(found, 3, table("Node 3 ", **changes).encode()) == told
    assert [where for where, _ in found.notes] == ["node3/meminfo"] * (note is not None)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Node 3 MemTotal: 1 kB\n", None),
        ("Node 2 MemTotal: 1 kB\n", "is of another node: 'Node 2 MemTotal: 1 kB'"),
        ("Node 3 MemTotal: 1 kB\nNode 2 MemFree: 1 kB\nNode 1 X: 1 kB\n", "is of another node: 'Node 2 MemFree: 1 kB'"),
        ("Node 30 MemTotal: 1 kB\n", "is of another node: 'Node 30 MemTotal: 1 kB'"),
        ("Node 3 MemTotal: 1 kB Node 2\n", "is of another node: 'Node 3 MemTotal: 1 kB Node 2'"),
    ],
)
def test_a_meminfo_of_another_node_is_not_this_ones(content: str, text: str | None) -> None:
    """The first such line is quoted, or the file where a line names two."""
    found = of({})
    told = tables.node_meminfo(found, 3, content.encode())
    if text is None or "kB Node" in content:
        assert (told is not None) == (text is None or not found.notes)
    else:
        assert told is None
        assert found.notes == [("node3/meminfo", text)]


@pytest.mark.parametrize(("size", "taken"), [(65536, True), (65537, False)])
def test_a_meminfo_has_64_kilobytes_at_most(size: int, taken: bool) -> None:
    """The largest page of any architecture; the first 60 characters are quoted."""
    content = ("MemTotal: 9 kB" + " " * 10 + "\n" * (size > 65536)).ljust(size, "\n")
    if not taken:
        content = ("X" * 70 + "\n").ljust(size, "\n")
    found = of({"proc/meminfo": content})
    assert (tables.machine_memory(found) is not None) is taken
    text = f"a table of 65537 bytes: '{'X' * 60}'"
    if not taken:
        assert found.notes == [("proc/meminfo", text)]


@pytest.mark.parametrize(
    ("size", "taken"), [(1, True), (2, True), (4, True), (2048, True), (3, False), (0, False), (2049, False)]
)
def test_a_size_of_huge_pages_is_a_power_of_two(size: int, taken: bool) -> None:
    """Another one is noted and left out."""
    found = of({f"d/hugepages-{size}kB": None, "d/hugepages-1048576kB": None})
    assert nodes.huge_page_sizes(found, "d") == sorted([size, 1048576] if taken else [1048576])
    text = f"pages of {size} kB, an impossible size"
    assert found.notes == ([] if taken else [("d", text)])


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"nr": "0", "free": "5", "surplus": "6"}, (0, 0, 0)),
        ({"nr": "1", "free": "5", "surplus": "6"}, (1, 5, 6)),
        ({"free": "5"}, (None, 5, None)),
        ({"nr": "x", "free": "5"}, (None, 5, None)),
        ({}, None),
    ],
)
def test_counts_of_huge_pages_are_read_where_there_are_any(
    counts: dict[str, str], told: tuple[int | None, ...] | None
) -> None:
    """Of no pages none are free; a size of which nothing is there is left out."""
    found = of({f"d/hugepages-2048kB/{name}_hugepages": f"{count}\n" for name, count in counts.items()})
    pages = nodes.huge_pages(found, "d", [2048])
    assert [tuple(one) for one in pages] == ([] if told is None else [(2048, *told)])
    assert nodes.huge_pages(found, "d", []) == ()


class Based(Shelf):
    """Remembers the directories that files were read below."""

    def __init__(self, tree: Machine) -> None:
        super().__init__(tree)
        self.bases: list[str] = []

    def read(self, paths: Any, base: str = "") -> list[bytes | int]:
        self.bases.append(base)
        return super().read(paths, base)


@pytest.mark.parametrize(("ids", "directory"), [((0, 1), False), ((0, 1, 2), True)])
def test_weights_are_from_1_to_255(ids: tuple[int, ...], directory: bool) -> None:
    """Read below their directory where there are many nodes, and alike."""
    base = "sys/kernel/mm/mempolicy/weighted_interleave"
    for values, told in ((("1", "255"), {0: 1, 1: 255}), (("0", "256"), {})):
        tree: Machine = {f"{base}/node{number}": f"{value}\n" for number, value in enumerate(values)}
        found = Source(Based(tree))
        assert nodes.interleave_weights(found, ids) == told
        assert set(found.reader.bases) == {base if directory else ""}  # type: ignore[attr-defined]
        text = "a weight that the kernel does not accept"
        assert found.notes == ([] if told else [(f"{base}/node0", f"{text}: '0'"), (f"{base}/node1", f"{text}: '256'")])


def test_a_node_in_two_tiers_has_none() -> None:
    """Which is noted with both."""
    base = "sys/devices/virtual/memory_tiering"
    tree: Machine = {f"{base}/memory_tier{tier}/nodelist": f"{ids}\n" for tier, ids in ((4, "0-1"), (22, "1-2"))}
    tree[f"{base}/memory_tier_x/nodelist"] = "3\n"
    found = of(tree)
    assert nodes.tiers(found) == {0: 4, 2: 22}
    assert found.notes == [(base, "node 1 is in the tiers 4,22; its tier is unknown")]


@pytest.mark.parametrize(
    ("status", "kinds", "note"),
    [
        ("Node: 5\nStatus: online\n", {5: "gpu"}, None),
        ("Node: -1\n", {}, None),
        ("Status: online\n", {}, "names no node: 'Status: online'"),
        ("Nodes: 5\n", {}, None),
        ("Node: x\n", {}, "not"),
    ],
)
def test_a_gpus_memory_is_a_node_that_its_driver_names(status: str, kinds: dict[int, str], note: str | None) -> None:
    """None until it is online."""
    path = "proc/driver/nvidia/gpus/0000:01:00.0/numa_status"
    found = of({path: status})
    assert nodes.kinds(found) == kinds
    assert [where for where, _ in found.notes] == [path] * (note is not None)
    assert all(note in text for _, text in found.notes if note)


def test_memory_of_dax_and_cxl_is_a_node_that_the_kernel_names() -> None:
    """One below a region is CXL's; a region without a number is none."""
    tree: Machine = {f"sys/bus/dax/devices/dax{number}.0/target_node": f"{number}\n" for number in (2, 3)}
    tree["sys/bus/cxl/devices/region3/dax_region3/dax3.0/target_node"] = "3\n"
    tree["sys/bus/cxl/devices/regionx/dax_regionx/dax4.0/target_node"] = "4\n"
    assert nodes.kinds(of(tree)) == {2: "dax", 3: "cxl"}


# --- the whole host -------------------------------------------------------------------------------------------------


def facts(tree: Machine, errors: dict[str, int] | None = None, **asked: bool) -> LinuxFacts:
    return collect.collect(Shelf(tree, errors), **asked)


class Changing(Shelf):
    """A host whose list of online nodes, or CPUs, is another one each time that it is read on its own."""

    def __init__(self, tree: Machine, path: str, *texts: str) -> None:
        super().__init__(tree)
        self.path, self.texts, self.reads = path, list(texts), 0

    def read(self, paths: Any, base: str = "") -> list[bytes | int]:
        found = super().read(paths, base)
        if list(paths) == ["online"] and f"{base}/online" == self.path:
            self.reads += 1
            if self.texts:
                found = [self.texts.pop(0).encode()]
        return found


@pytest.mark.parametrize("path", [f"{NODE}/online", f"{CPU}/online"])
def test_a_host_that_keeps_changing_is_read_eight_times(path: str) -> None:
    """A list that is another one, or none, is a change."""
    tree = machine({0: [0], 1: [1]})
    shelf = Changing(tree, path, "0\n", "junk\n")
    assert collect.collect(shelf).nodes_online == (0, 1)
    assert shelf.reads == 3
    shelf = Changing(tree, path, *["0\n"] * 7)
    collect.collect(shelf)
    assert shelf.reads == 8
    with pytest.raises(SourceError) as caught:
        collect.collect(Changing(tree, path, *["0\n"] * 8))
    text = "nodes or CPUs kept being added or removed while the host was read"
    assert str(caught.value) == f"{NODE}/online: {text}"


@pytest.mark.parametrize(
    ("errors", "kind", "text"),
    [
        ({CPU: EACCES, f"{CPU}/online": EACCES}, SourceDenied, f"{CPU}/online: Permission denied"),
        ({CPU: EIO}, SourceError, f"{CPU}: Input/output error"),
        ({}, SourceUnavailable, f"{NODE} and {CPU}: no node and no cpu was found"),
        ({NODE: EIO}, SourceError, f"{NODE}: Input/output error"),
    ],
)
def test_without_cpus_and_nodes_the_first_failure_is_the_error(
    errors: dict[str, int], kind: type[SourceError], text: str
) -> None:
    """Nothing at all is another thing than nothing that may be read."""
    with pytest.raises(kind) as caught:
        facts({}, errors)
    assert str(caught.value) == text


@pytest.mark.parametrize(("missing", "read"), [("cpulist", "has_cpu"), ("meminfo", "has_memory")])
def test_a_list_in_short_is_read_where_a_node_does_not_say(missing: str, read: str) -> None:
    """Otherwise it says nothing new."""
    tree = machine({0: [0], 1: [1]}) | {f"{NODE}/has_cpu": "0\n", f"{NODE}/has_memory": "0\n"}
    whole = facts(tree)
    assert (whole.has_cpu, whole.has_memory) == (None, None)
    del tree[f"{NODE}/node1/{missing}"]
    assert getattr(facts(tree), read) == (0,)
    assert getattr(facts(tree), "has_memory" if read == "has_cpu" else "has_cpu") is None


def test_zones_and_the_machines_memory_are_read_for_what_is_available() -> None:
    """Or for a machine without nodes, whose only memory it is."""
    tree = machine({0: [0]}) | {"proc/zoneinfo": "Node 0, zone Normal\n  pages free 1\n", "proc/meminfo": table()}
    assert facts(tree).zones is not None
    assert facts(tree).meminfo == TOLD
    without = facts(tree, available=False)
    assert (without.zones, without.meminfo) == (None, None)
    flat = {path: text for path, text in tree.items() if not path.startswith(NODE)}
    assert facts(flat, available=False).meminfo == TOLD
    assert facts(flat).zones is None


def test_the_kind_of_memory_is_read_where_a_node_has_no_cpus() -> None:
    """Another has none of a device's."""
    dax: Machine = {"sys/bus/dax/devices/dax0.0/target_node": "1\n"}
    assert facts(machine({0: [0], 1: []}) | dax).kinds == {1: "dax"}
    assert facts(machine({0: [0], 1: [1]}) | dax).kinds == {}


def test_what_else_says_the_node_of_a_device_is_read_with_several_nodes() -> None:
    """With one it does not matter."""
    device: Machine = {f"sys/bus/pci/devices/0000:00:01.0/{name}": text for name, text in
                       (("numa_node", "-1\n"), ("class", "0x020000\n"), ("local_cpulist", "1\n"))}  # fmt: skip
    for cells, told in (({0: [0, 1]}, None), ({0: [0], 1: [1]}, (1,))):
        (found,) = facts(machine(cells) | device, devices=True).devices or ()
        assert found.local_cpus == told


# --- lists of CPUs ------------------------------------------------------------------------------------------------


def test_a_list_of_online_cpus_without_any_is_broken() -> None:
    """At least one is running; the directories say which there are."""
    tree = machine({0: [0, 1]}) | {f"{CPU}/online": "\n", f"{CPU}/cpu1/online": "0\n"}
    found = of(tree)
    told = cpus.collect(found)
    assert (told.online, told.present) == ((0,), (0, 1))
    assert found.notes == [("online", "names no CPU, although at least one is running")]


def test_16384_cpus_are_the_most() -> None:
    """Twice as many as any kernel is built for."""
    for last, taken in ((16383, True), (16384, False)):
        tree: Machine = {f"{CPU}/online": "0\n", f"{CPU}/present": f"0-{last}\n"}
        if taken:
            assert len(cpus.collect(of(tree)).present) == 16384
            continue
        with pytest.raises(FactError) as caught:
            cpus.collect(of(tree))
        assert str(caught.value) == f"{CPU}/present: more than any kernel has: '16385 cpus'"


def test_online_cpus_that_are_not_present_are_noted_and_counted() -> None:
    """One of the two lists is wrong, and a CPU that runs is there."""
    found = of({f"{CPU}/online": "0-3\n", f"{CPU}/present": "0-1\n"})
    assert cpus.collect(found).present == (0, 1, 2, 3)
    assert found.notes == [("present", "does not list the online cpus 2-3")]


@pytest.mark.parametrize(
    ("isolated", "at_run_time", "told", "all_"),
    [
        ("1\n", None, (1,), True),
        ("1\n", "3\n", (1, 3), True),
        (None, "3\n", (3,), False),
        ("\n", "\n", (), True),
        ("1\n", "junk\n", (1,), False),
        (None, None, None, False),
    ],
)
def test_cpus_are_isolated_at_boot_or_at_run_time(
    isolated: str | None, at_run_time: str | None, told: tuple[int, ...] | None, all_: bool
) -> None:
    """All of them are known where both files are understood."""
    tree = machine({0: [0, 1, 2, 3]})
    del tree[f"{CPU}/isolated"]
    tree |= {f"{CPU}/isolated": isolated} if isolated is not None else {}
    tree |= {"sys/fs/cgroup/cpuset.cpus.isolated": at_run_time} if at_run_time is not None else {}
    found = cpus.collect(of(tree))
    assert (found.isolated, found.isolated_are_all) == (told, all_)


def test_without_any_list_cpus_are_those_of_the_nodes() -> None:
    """Where the directory of CPUs cannot be listed either."""
    tree: Machine = {f"{NODE}/node0/cpulist": "0-1\n", f"{NODE}/node1/cpulist": "4\n", f"{NODE}/node_x/cpulist": "9\n"}
    found = cpus.collect(of(tree, {CPU: EACCES, f"{CPU}/online": EACCES}))
    assert (found.online, found.present) == ((0, 1, 4), (0, 1, 4))
    assert cpus.collect(of(tree)).online == ()


def test_kinds_of_cpus_are_those_that_count_on_them() -> None:
    """A CPU of two kinds is of none, which is noted."""
    tree: Machine = {f"sys/devices/cpu_{kind}/cpus": f"{ids}\n" for kind, ids in
                     (("atom", "0-3"), ("core", "3-5"), ("lowpower", "5-6"))}  # fmt: skip
    found = of({f"{CPU}/online": "0-6\n", f"{CPU}/present": "0-6\n", **tree})
    assert cpus.collect(found).kinds == (("atom", (0, 1, 2)), ("core", (4,)), ("lowpower", (6,)))
    text = "cpus of more than one kind, which is unknown: 3,5"
    assert found.notes == [("sys/devices/cpu_*/cpus", text)]


# --- caches -------------------------------------------------------------------------------------------------------


def cached(tree: Machine, online: tuple[int, ...] = (0, 1, 2, 3), cores: Any = None) -> tuple[Any, Source]:
    found = of(tree)
    return caches.collect(found, online, cores or {}), found


DATA = cache_files(0, 1, "Data", "32K", [(0, 1), (2, 3)], ids=True)
BASE = f"{CPU}/cpu0/cache/index0"


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (("level",), 1), (("type",), 2), (("size",), 2), (("id",), 2), (("shared_cpu_list",), 1),
        (("level", "type", "shared_cpu_list"), 1), (("level", "type"), 1), (("level", "shared_cpu_list"), 1),
        (("type", "shared_cpu_list"), 1),
    ],
)  # fmt: skip
def test_a_cache_without_its_level_or_its_cpus_is_left_out(gone: tuple[str, ...], left: int) -> None:
    """It is noted, unless nothing of it is there; any other file costs its own figure."""
    tree = {
        path: text
        for path, text in DATA.items()
        if not (path.startswith((f"{CPU}/cpu0/", f"{CPU}/cpu1/")) and path.endswith(gone))
    }
    found, of_ = cached(tree)
    assert len(found) == left
    text = "does not report its level or its CPUs; it is left out"
    silent = left == 2 or len(gone) == 3
    cpus_ = ("cpu0", "cpu1")
    assert of_.notes == ([] if silent else [(f"{cpu}/cache/index0", text) for cpu in cpus_])


def test_each_field_of_a_cache_is_the_kernels() -> None:
    """Of the first CPU that shares it."""
    more = {"coherency_line_size": 64, "ways_of_associativity": 8, "number_of_sets": 128}
    tree = cache_files(0, 2, "Unified", "1024K", [(0, 1)], ids=True, **more)
    found, of_ = cached(tree, (0, 1))
    assert found == (
        CacheFacts(level=2, type="Unified", size_kb=1024, id=0, cpus=(0, 1), line_size=64, ways=8, sets=128),
    )
    assert of_.notes == []
    found, _ = cached(tree | {f"{BASE}/{name}": "0\n" for name in more} | {f"{BASE}/size": "0K\n"}, (0, 1))
    assert found == (
        CacheFacts(level=2, type="Unified", size_kb=None, id=0, cpus=(0, 1), line_size=None, ways=None, sets=None),
    )


@pytest.mark.parametrize(
    ("list_", "mask", "errors", "cpus_", "where"),
    [
        ("0-1\n", None, {}, (0, 1), None),
        ("0-9\n", None, {}, (0, 1, 2, 3), None),
        (None, "3\n", {}, (0, 1), None),
        ("\n", "3\n", {}, (0, 1), None),
        ("\n", "0\n", {}, (0, 2), "shared_cpu_map"),
        ("\n", "\n", {}, (0, 2), "shared_cpu_map"),
        ("\n", None, {}, (0, 2), "shared_cpu_list"),
        ("junk\n", "3\n", {}, (0, 1), "shared_cpu_list"),
        ("3-0\n", None, {}, None, "shared_cpu_list"),
        (None, "junk\n", {}, None, "shared_cpu_map"),
        (None, "3\n", {f"{BASE}/shared_cpu_list": EIO}, (0, 1), "shared_cpu_list"),
    ],
)
def test_the_cpus_of_a_cache_are_in_a_list_or_a_mask(
    list_: str | None, mask: str | None, errors: dict[str, int], cpus_: tuple[int, ...] | None, where: str | None
) -> None:
    """None of them are the threads of the core; those that are offline do not count."""
    tree: Machine = {f"{BASE}/level": "1\n", f"{BASE}/type": "Data\n", f"{BASE}/size": "1K\n"}
    tree |= {} if list_ is None else {f"{BASE}/shared_cpu_list": list_}
    tree |= {} if mask is None else {f"{BASE}/shared_cpu_map": mask}
    found = of(tree, errors)
    told = caches.collect(found, (0, 1, 2, 3), {0: (0, 2)})
    assert [cache.cpus for cache in told or ()] == ([] if cpus_ is None else [cpus_])
    assert (f"cpu0/cache/index0/{where}" in [place for place, _ in found.notes]) is (where is not None)
    empty = "names no CPU; the cache is assumed to be that of this CPU's core"
    assert (empty in [text for _, text in found.notes]) is (cpus_ == (0, 2))


def test_a_cache_that_only_some_cpus_have_is_found_by_its_number() -> None:
    """The numbers go on behind those of the first CPU that has any, as long as one of the leaders has it."""
    tree = cache_files(0, 1, "Data", "1K", [(1,), (2,), (3,)], ids=False)
    tree |= cache_files(1, 2, "Unified", "2K", [(2, 3)], ids=False) | cache_files(
        2, 3, "Unified", "4K", [(3,)], ids=False
    )
    tree |= cache_files(4, 4, "Unified", "8K", [(3,)], ids=False)
    found, of_ = cached(tree)
    assert [(cache.level, cache.cpus) for cache in found] == [(1, (1,)), (1, (2,)), (1, (3,)), (2, (2, 3)), (3, (3,))]
    assert of_.notes == []
    assert cached({})[0] is None


def test_lists_that_contradict_each_other_are_taken_each_at_its_word() -> None:
    """By the masks where the first CPU has one; the same cache is listed once, and one without its own CPU is none."""
    tree = {path: "0-1\n" if path.endswith("list") else text for path, text in DATA.items()}
    found, of_ = cached(tree)
    assert [cache.cpus for cache in found] == [(0, 1)]
    assert of_.notes == [
        (
            "cpu2/cache/index0/shared_cpu_list",
            "the lists of the caches contradict each other; each cpu's own list is used",
        )
    ]
    tree |= {f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_map": f"{3 << cpu // 2 * 2:x}\n" for cpu in range(4)}
    assert [cache.cpus for cache in cached(tree)[0]] == [(0, 1), (2, 3)]
    overlapping = DATA | {f"{CPU}/cpu2/cache/index0/shared_cpu_list": "1-2\n"}
    assert [cache.cpus for cache in cached(overlapping)[0]] == [(0, 1), (1, 2), (2, 3)]
    earlier = DATA | {f"{CPU}/cpu0/cache/index0/shared_cpu_list": "0\n"}
    found, of_ = cached(earlier)
    assert [cache.cpus for cache in found] == [(0,), (0, 1), (2, 3)]
    assert of_.notes[0][0] == "cpu1/cache/index0/shared_cpu_list"
    # Masks of other CPUs than the first alone do not count.
    masks = {f"{CPU}/cpu{cpu}/cache/index0/shared_cpu_map": f"{3 << cpu // 2 * 2:x}\n" for cpu in (1, 2, 3)}
    assert [cache.cpus for cache in cached(earlier | masks)[0]] == [(0,), (0, 1), (2, 3)]


def test_a_second_cache_of_one_kind_is_left_out() -> None:
    """Of the same level, type, number and CPUs; of unknown type it is not known to be the same."""
    tree = DATA | cache_files(1, 1, "Data", "64K", [(0, 1), (2, 3)], ids=True)
    found, of_ = cached(tree)
    assert [(cache.cpus, cache.size_kb) for cache in found] == [((0, 1), 32), ((2, 3), 32)]
    text = "a second cache of level 1 and type 'Data' for the same CPUs; it is left out"
    assert of_.notes == [("cpu0/cache/index1", text), ("cpu2/cache/index1", text)]
    for change in ({"type": "Instruction\n"}, {"level": "2\n"}, {"id": "7\n"}):
        other = tree | {
            f"{CPU}/cpu{cpu}/cache/index1/{name}": text for cpu in range(4) for name, text in change.items()
        }
        assert len(cached(other)[0]) == 4
    unknown = {path: text for path, text in tree.items() if not path.endswith("type")}
    assert len(cached(unknown)[0]) == 4


# --- devices ------------------------------------------------------------------------------------------------------

PCI = "sys/bus/pci/devices"


def test_more_devices_than_can_be_read_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """16,384 are the most; those of other buses stay."""
    assert devices.MAX_DEVICES == 16384
    monkeypatch.setattr(devices, "MAX_DEVICES", 2)
    tree: Machine = {f"{PCI}/0000:00:0{slot}.0": None for slot in range(2)}
    assert len(devices.collect(of(tree)) or ()) == 2
    tree[f"{PCI}/0000:00:02.0"] = None
    found = of(tree)
    assert devices.collect(found) is None
    assert found.notes == [(PCI, "more than can be read: '3 devices'")]
    tree["sys/bus/dax/devices/dax0.0/numa_node"] = "1\n"
    told = devices.collect(of(tree))
    assert told == (DeviceFacts(address="dax0.0", node=1, names=(("dax", "dax0.0"),)),)


@pytest.mark.parametrize(
    ("content", "code"),
    [("0x020000\n", 0x020000), ("8086\n", 0x8086), ("0xffffffff\n", 0xFFFFFFFF), ("0x1ffffffff\n", None), ("0x\n", None),
     ("0xg\n", None), ("0xAb\n\0", 0xAB), ("\n", None)],
)  # fmt: skip
def test_a_code_has_up_to_eight_hexadecimal_digits(content: str, code: int | None) -> None:
    """Any other is noted."""
    found = of({f"{PCI}/0000:00:01.0/vendor": content})
    (device,) = devices.collect(found) or ()
    assert device.vendor == code
    assert [where for where, _ in found.notes] == ([] if code is not None else [f"{PCI}/0000:00:01.0/vendor"])
    assert all(text.startswith("not a hexadecimal number") for _, text in found.notes)


def test_cpus_and_bridge_are_read_of_devices_without_a_node_only() -> None:
    """And only where the host has several."""
    tree: Machine = {}
    for slot, node, code in ((1, "0", "0x060400"), (2, "-1", "0x020000"), (3, "1", "0x020000"), (4, "-1", "0x060500")):
        base = f"{PCI}/0000:00:0{slot}.0"
        tree |= {f"{base}/numa_node": f"{node}\n", f"{base}/class": f"{code}\n", f"{base}/local_cpulist": f"{slot}\n"}
    tree |= {f"{PCI}/0000:00:01.0/0000:00:02.0": None, f"{PCI}/0000:00:01.0/0000:00:09.0": None}
    tree |= {f"{PCI}/0000:00:04.0/0000:00:02.0": None}
    found = devices.collect(of(tree), several=True) or ()
    assert [(one.node, one.local_cpus, one.bridge) for one in found] == [
        (0, None, None), (None, (2,), "0000:00:01.0"), (1, None, None), (None, (4,), None),
    ]  # fmt: skip
    assert {(one.local_cpus, one.bridge) for one in devices.collect(of(tree)) or ()} == {(None, None)}
    empty = of(tree | {f"{PCI}/0000:00:02.0/local_cpulist": "\n"})
    devices.collect(empty, several=True)
    assert empty.notes == [(f"{PCI}/0000:00:02.0/local_cpulist", "no CPUs")]


@pytest.mark.parametrize(
    ("code", "vendor", "inside", "names"),
    [
        (0x010000, 0, "nvme/nvme0/nvme0n1", (("nvme", "nvme0"), ("block", "nvme0n1"))),
        (0x020000, 0, "net/eth-0", (("net", "eth-0"),)),
        (0x030000, 0, "drm/card0-DP-1", ()),
        (0x050000, 0, "mem7", (("cxl", "mem7"),)),
        (0x050000, 0, "memory", ()),
        (0x120000, 0, "accel/accel0", (("accel", "accel0"),)),
        (0x0C0600, 0, "infiniband/ib0", (("infiniband", "ib0"),)),
        (0x0C0700, 0, "infiniband/ib0", ()),
        (0x0C0300, 0x1AF4, "virtio5/block/vda", (("block", "vda"),)),
        (0x0C0300, 0x1AF4, "virtio5/net/eth1", (("net", "eth1"),)),
        (0x0C0300, 0x1AF4, "virtiox/net/eth1", ()),
        (0x0C0300, 0x1AF5, "virtio5/net/eth1", ()),
        (0x040000, 0, "net/eth0", ()),
        (None, 0, "net/eth0", ()),
        (None, 0x1AF4, "net/eth0", (("net", "eth0"),)),
    ],
)
def test_names_are_those_of_classes_that_devices_of_this_kind_have(
    code: int | None, vendor: int, inside: str, names: tuple[tuple[str, str], ...]
) -> None:
    """Storage, network, display, memory, accelerators, InfiniBand; and virtio of any kind."""
    tree: Machine = {f"{PCI}/0000:00:01.0/{inside}": None, f"{PCI}/0000:00:01.0/vendor": f"{vendor:#x}\n"}
    tree |= {} if code is None else {f"{PCI}/0000:00:01.0/class": f"{code:#08x}\n"}
    (device,) = devices.collect(of(tree)) or ()
    assert device.names == names


def test_a_host_without_any_of_the_buses_has_no_devices() -> None:
    """None, where one with an empty bus has none of them."""
    assert devices.collect(of({})) is None
    assert devices.collect(of({PCI: None})) == ()


def test_a_meminfo_as_helpers_write_it_is_understood() -> None:
    """The one that other tests plant."""
    found = of({})
    assert tables.node_meminfo(found, 0, meminfo(0, 4, 2).encode()) == MeminfoFacts(total_kb=4, free_kb=2)
    assert found.notes == []
