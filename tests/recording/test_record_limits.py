"""What a recording asks for and holds, member by member, and what is kept of each file of a guest."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_xen import two_node_pc
from hosts import GIB, domain, host
from processes import process
from rich import rich
from trees import Shelf, machine, pack, plant

import numaprobe
from numaprobe import Domains, SourceUnavailable
from numaprobe.errors import RecordingError
from numaprobe.linux.guests import guest_memfd
from numaprobe.probing import domains as probing
from numaprobe.probing import host as probing_host
from numaprobe.probing.traffic import _seconds
from numaprobe.recording import domains, traffic, writing
from numaprobe.sources.recorder import RecordingReader
from numaprobe.xen import abi
from numaprobe.xen.domains import abi as domain_abi


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar.getmembers()}


def content(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        found = tar.extractfile(name)
        assert found is not None
        return found.read()


def test_everything_that_a_probe_and_a_sample_read_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a later question about the recording needs; control groups only with ``allowed``."""
    root = plant(tmp_path / "tree", machine({0: [0, 1]}))
    asked: list[Any] = []
    collect, usable = writing.linux.collect, writing.usable.collect
    monkeypatch.setattr(writing.linux, "collect", lambda reader, **what: asked.append(what) or collect(reader, **what))
    monkeypatch.setattr(
        writing.usable, "collect", lambda source, *, process: asked.append(process) or usable(source, process=process)
    )
    sampler = writing.LinuxSampler

    class Sampler(sampler):  # type: ignore[valid-type, misc]
        def __init__(self, reader: Any, files: Any, **what: Any) -> None:
            asked.append((files, what))
            super().__init__(reader, files, **what)

        def take_all(self) -> Any:
            asked.append("taken")
            return super().take_all()

    monkeypatch.setattr(writing, "LinuxSampler", Sampler)
    reads: list[Any] = []
    read = RecordingReader.read
    monkeypatch.setattr(
        RecordingReader, "read", lambda self, paths, base="": reads.append(paths) or read(self, paths, base)
    )
    for allowed in (False, True):
        asked.clear()
        numaprobe.record(tmp_path / "host.tar", root=root, allowed=allowed)
        whole = {"available": True, "devices": True, "allowed": allowed, "caches": True, "memory_state": True}
        assert asked == [whole, allowed, (None, {"live": False, "timed": False}), "taken"]
    assert ("sys/firmware/acpi/tables/SRAT", "sys/hypervisor/type") in reads
    reads.clear()
    numaprobe.record(tmp_path / "host.tar", root=plant(tmp_path / "two", machine({0: [0], 1: [1]})))
    assert ("sys/firmware/acpi/tables/SRAT", "sys/hypervisor/type") not in reads


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar"])
def test_an_archive_is_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    """Of a tree nobody knows the time: members have that of 1970, and the manifest has none."""
    tree = machine({0: [0, 1]}) | {"proc/sys/kernel/osrelease": "6.1.0\n", "proc/empty": None}
    root = plant(tmp_path / "tree", tree)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        numaprobe.record(path, root=root)
    assert first.read_bytes() == second.read_bytes()
    found = members(first)
    assert {member.mtime for member in found.values()} == {0}
    assert next(iter(found)) == writing.MANIFEST
    manifest = json.loads(content(first, writing.MANIFEST))
    assert (manifest["time"], manifest["kernel"]) == (None, "6.1.0")
    assert manifest["files"] == sum(member.isfile() for member in found.values()) - 1
    assert manifest["tool"].startswith("numaprobe ")


def test_links_and_empty_directories_are_members(tmp_path: Path) -> None:
    """With the mode that lets others read them."""
    recorder: Any = SimpleNamespace(
        files={"b": b"2", "a": b"1"}, links={"l": "a"}, errors={"z": 13, "y": 5}, empty_directories=lambda: ["d"]
    )
    manifest = writing._manifest(recorder, "6.1", live=True, architecture="x86_64")
    assert manifest["time"] > 0
    assert (manifest["kernel"], manifest["machine"], manifest["files"], list(manifest["errors"])) == (
        "6.1",
        "x86_64",
        2,
        ["y", "z"],
    )
    writing._write(str(tmp_path / "x.tar"), "", recorder, {**manifest, "time": 77})
    found = members(tmp_path / "x.tar")
    assert list(found) == [writing.MANIFEST, "a", "b", "l", "d"]
    assert {member.mtime for member in found.values()} == {77}
    assert (found["l"].type, found["l"].linkname, found["d"].type, found["d"].mode) == (
        tarfile.SYMTYPE,
        "a",
        tarfile.DIRTYPE,
        0o755,
    )
    assert content(tmp_path / "x.tar", "b") == b"2"


def test_a_python_without_a_compression_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a module's name."""
    import sys

    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(RecordingError, match=r"this Python was built without lzma; write a \.tar\.gz instead"):
        writing._packed(io.BytesIO(), "xz", 0)


@pytest.mark.parametrize(
    ("more", "text"),
    [({"traffic": 0}, "traffic is a number of seconds above 0 and at most 3600, not 0"), ({"traffic": 3601}, "at most 3600, not 3601"),
     ({"allowed": True, "anonymous": True}, "what this process may use names its control groups"), ({"path": "x.zip"}, "not 'x.zip'")],
)  # fmt: skip
def test_what_cannot_be_recorded_is_refused(more: dict[str, Any], text: str) -> None:
    """Before anything is read or written."""
    with pytest.raises(ValueError, match=text):
        numaprobe.record(**{"path": "x.tar", **more})


# --- guests -------------------------------------------------------------------------------------------------------------


def kept(*, anonymous: bool, **more: Any) -> domains.Redactor:
    shelf = RecordingReader(
        Shelf(rich() | process(500) | {name.replace("__", "/"): text for name, text in more.items()})
    )
    found = domains.guests.collect(shelf, faults=True)
    assert [guest.id for guest in found.guests] == [500]
    return domains.Redactor(shelf, found, anonymous=anonymous)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("comm", b"CPU 3/KVM\n", b"CPU 3/KVM\n"), ("comm", b"worker\n", b"thread\n"), ("stat", b"500 (CPU 3/KVM) S 1", b"500 (CPU 3/KVM) S 1"),
        ("stat", b"500 (my (odd) name) S 1", b"500 (thread) S 1"), ("wchan", b"poll", b"poll"), ("wchan", b"futex_wait", b"0"),
        ("status", b"Name:\tqemu\nState:\tS\nUid:\t0\nVmRSS:\t1 kB\nRssAnon:\t1\nHugetlbPages: 0\nVmLck: 1\nCpus_allowed_list:\t0\nMems_allowed_list:\t0\nPPid: 1\n",
         b"Name:\tthread\nState:\tS\nVmRSS:\t1 kB\nRssAnon:\t1\nHugetlbPages: 0\nVmLck: 1\nCpus_allowed_list:\t0\nMems_allowed_list:\t0\nPPid: 1\n"),
        ("maps", b"1-2 rw-p 0 00:00 0   /secret name\n\n3-4 r--p 1 00:01 7\n", b"1-2 rw-p 0 00:00 0\n3-4 r--p 1 00:01 7\n"), ("statm", b"1 2 3\n", b"1 2 3\n"),
    ],
)  # fmt: skip
def test_of_a_file_of_a_guest_only_what_is_understood_is_kept(name: str, content: bytes, found: bytes) -> None:
    """Names of programs, threads and files are nobody's business."""
    keep = kept(anonymous=False)
    keep._rested = set()
    assert keep.file(f"proc/500/{name}", content) == (f"proc/500/{name}", found)
    assert keep.guest_of(f"proc/500/{name}") == 500
    assert keep.guest_of("proc/501/stat") is None
    assert keep.guest_of("proc/500") is None
    assert keep.guest_of("proc/x/stat") is None
    assert keep.guest_of("sys/500/stat") is None
    assert keep.file("proc/501/stat", b"") is None
    assert keep.file("proc/500/mountinfo", b"") is None
    assert keep.file("sys/kernel/mm/hugepages/x", b"1") == ("sys/kernel/mm/hugepages/x", b"1")
    assert keep.guests == [500]


MOUNTS = (
    b"20 1 0:20 / /sys rw - sysfs sysfs rw\n21 1 0:21 /secret /sys/fs/cgroup rw,x - cgroup2 cgroup2 rw,nsdelegate\n"
    b"22 1 0:22 / /memory rw - cgroup cgroup rw,memory\n23 1 0:23 / /cpu rw - cgroup cgroup rw,cpu\n24 1 0:24 /short - cgroup2 x\n"
)


def test_of_the_mounts_only_those_of_control_groups_are_kept() -> None:
    """Of version 1 that of the memory controller; their roots are left out."""
    found = kept(anonymous=False).file("proc/self/mountinfo", MOUNTS)
    assert found == (
        "proc/self/mountinfo",
        b"21 1 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n22 1 0:22 / /memory rw - cgroup cgroup rw,memory\n",
    )


def test_groups_are_those_below_the_mounts_that_count_memory() -> None:
    """A root that is not the hierarchy's is taken off the path of a process's group."""
    keep = kept(
        anonymous=False, proc__self__mountinfo=MOUNTS.decode().partition("24 1")[0].replace("/sys/fs/cgroup", "/groups")
    )
    assert [(mount.kind, mount.point) for mount in keep._groups] == [("cgroup2", "/groups"), ("cgroup", "/memory")]
    assert keep.file("groups/a/memory.stat", b"1") == ("groups/a/memory.stat", b"1")
    assert keep.file("memory/a/memory.stat", b"1") == ("memory/a/memory.stat", b"1")
    assert keep.file("cpu/a/cpu.stat", b"1") is None
    for path, found in (
        ("/secret/a", "/a"),
        ("/secret", "/"),
        ("/secretx", "/secretx"),
        ("/other/secret", "/other/secret"),
    ):
        assert keep._own_group(f"0::{path}\n".encode()) == f"0::{found}\n".encode()
    assert keep._own_group(b"4:memory:/secret/a\n") == b"4:memory:/secret/a\n"


def test_groups_have_other_names_in_an_anonymous_recording() -> None:
    """The same one the same, and ``..`` stays."""
    keep = kept(anonymous=True)
    assert (
        keep._own_group(b"0::/a/b/../a\n4:memory,cpu:/x\n5:cpu:/y\nnonsense\n")
        == b"0::/group-1/group-2/../group-1\n4:memory:/group-3\n"
    )
    assert kept(anonymous=False)._own_group(b"0::/a\n") == b"0::/a\n"
    assert domains._anonymous_uuid(77) == "00000000-0000-0000-0000-000000000077"
    assert [domains._is_number(one) for one in ("1", "x", "", "²")] == [True, False, False, False]


def test_mapped_files_are_only_memory_or_not() -> None:
    """Lines of plain files without pages of their own are left out."""
    keep = kept(anonymous=False)
    text = b"1 default file=/dev/shm/x mapped=1\n2 default file=/lib/c mapped=3\n3 default file=/lib/c anon=1\n4 default anon=2\n5 default file=/huge huge\n"
    assert keep._maps(text, ("/dev/shm",)) == (
        b"1 default file=/memfd:memory-1 mapped=1\n3 default file=/file anon=1\n4 default anon=2\n5 default file=/memfd:memory-3 huge\n"
    )


def test_what_could_not_be_read_of_a_guest_is_recorded_as_such() -> None:
    """Links to its memory and to devices are kept without saying which."""
    tree = rich() | process(500)
    shelf = Shelf(tree, {"proc/500/numa_maps": 13, "proc/1/stat": 13})
    shelf.links |= {
        "proc/500/fd/7": guest_memfd.LINK,
        "proc/500/fd/8": "anon_inode:kvm-vm",
        "proc/500/fd/9": "/dev/vfio/12",
    }
    shelf.directories["proc/500/fd"] = {"7", "8", "9"}
    into, seen = RecordingReader(Shelf({})), RecordingReader(shelf)
    domains.add_guests(into, seen, anonymous=False)
    assert into.errors.get("proc/500/numa_maps") == 13
    assert "proc/1/stat" not in into.errors
    assert {path: target for path, target in into.links.items() if path.startswith("proc/500/fd/")} == {
        "proc/500/fd/7": guest_memfd.LINK, "proc/500/fd/9": domains.DEVICE,
    }  # fmt: skip
    assert "proc/500/fd" in into.directories


@pytest.mark.parametrize("version", [0x0B, 0x16, None])
def test_uuids_are_taken_out_of_the_list_of_domains(version: int | None) -> None:
    """A handle that is not zero becomes the domain's number; without a known layout nothing is left."""
    layout = domain_abi.row_layout(version or 0x16)
    size = layout.size
    handle = layout.row.size - domain_abi.HANDLE_FROM_END
    rows = bytearray(b"\x05" * size * 3)
    rows[:2] = b"\x07\x00"
    rows[size + handle : size + handle + 16] = bytes(16)
    port = domains.WithoutHandles(SimpleNamespace(call=None))  # type: ignore[arg-type]
    if version is not None:
        port._layout = layout
    found = port._without_handles(bytes(rows), 2)
    if version is None:
        assert found == bytes(len(rows))
        return
    assert found[handle : handle + 16] == b"\x07\x00".rjust(16, b"\0")
    assert found[size + handle : size + handle + 16] == bytes(16)
    assert found[2 * size :] == rows[2 * size :]
    assert found[:handle] == rows[:handle]


def test_the_layout_of_rows_is_that_of_the_version_that_was_answered() -> None:
    """And of the architecture that Xen says it is."""
    for text, arm in ((b"xen-3.0-x86_64", False), (b"xen-3.0-aarch64", True)):
        answers: Any = SimpleNamespace(call=lambda *_, text=text: (0, text, (b"",)))
        port = domains.WithoutHandles(answers)
        port.call(abi.XEN_VERSION, abi.VERSION_CAPABILITIES, b"")
        assert port._arm is arm
        port.call(abi.DOMCTL, abi.DOMCTL_GETDOMAININFO, abi.OPERATION_HEADER.pack(abi.DOMCTL_GETDOMAININFO, 0x16))
        assert port._layout == domain_abi.row_layout(0x16)


# --- resctrl ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "moved", "found"),
    [
        ("sys/fs/resctrl/web/mon_data/mon_L3_00/llc_occupancy", {}, "sys/fs/resctrl/group-1/mon_data/mon_L3_00/llc_occupancy"),
        ("sys/fs/resctrl", {}, "sys/fs/resctrl"), ("sys/fs/resctrlx/web", {}, "sys/fs/resctrlx/web"), ("proc/x", {}, "proc/x"),
        ("sys/fs/resctrl/mon_groups/web/mon_data", {"sys/fs/resctrl": "elsewhere"}, "elsewhere/mon_groups/group-1/mon_data"),
        ("sys/fs/resctrl/info/L3_MON", {}, "sys/fs/resctrl/info/group-1"),
    ],
)  # fmt: skip
def test_groups_of_resctrl_have_numbers(path: str, moved: dict[str, str], found: str) -> None:
    """The kernel's own names stay."""
    names = traffic._Names(anonymous=True)
    assert names.path(path, moved) == found
    assert traffic._Names(anonymous=False).path(path, {}) == path


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (b"0.5\n", True),
        (b"31622400\n", True),
        (b"31622401", False),
        (b"0", False),
        (b"-1", False),
        (b"x", False),
        (b"nan", False),
    ],
)
def test_seconds_between_two_readings_are_above_0_and_at_most_a_year(text: bytes, good: bool) -> None:
    """Of a leap year."""
    if good:
        assert _seconds("w", text) == float(text)
    else:
        with pytest.raises(ValueError, match="not a number of seconds"):
            _seconds("w", text)


# --- probing ------------------------------------------------------------------------------------------------------------

ASKED: dict[str, Any] = {
    "root": None,
    "recording": None,
    "processes": (),
    "groups": (),
    "each_vcpu": True,
    "debug_key": False,
    "debug_key_limit": 1 << 30,
}


@pytest.mark.parametrize(
    ("source", "more", "text"),
    [
        ("linux", {"debug_key": True}, "the debug key is Xen's"), ("xen", {"processes": (1,)}, "processes and control groups are Linux's"),
        ("xen", {"groups": ("/a",)}, "processes and control groups are Linux's"), ("xen", {"sampled": 64}, "only running processes of Linux can be sampled"),
        ("linux", {"sampled": 64, "root": "r"}, "only running processes"), ("linux", {"sampled": 64, "recording": "r"}, "only running processes"),
        ("linux", {"sampled": 63}, "a sample takes at least 64 pages of each guest, not 63"),
    ],
)  # fmt: skip
def test_questions_about_guests_that_a_host_cannot_answer(source: str, more: dict[str, Any], text: str) -> None:
    """Each is refused before anything is read."""
    with pytest.raises(ValueError, match=text):
        probing.collect(host([GIB], source=source), **{**ASKED, **more})


@pytest.mark.parametrize(
    ("more", "found"),
    [({}, (None, (), True, False)), ({"processes": [3], "groups": ["/a"]}, ((3,), ["/a"], True, False)), ({"groups": ["/a"]}, ((), ["/a"], True, False)),
     ({"each_vcpu": False, "remote": True}, (None, (), False, True))],
)  # fmt: skip
def test_guests_of_linux_are_asked_for_as_they_were_chosen(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], found: Any
) -> None:
    """Without a choice all of them are."""
    from numaprobe.linux.guests import collect

    asked: list[Any] = []

    def guests(reader: Any, *, processes: Any, groups: Any, each_vcpu: bool, faults: bool, sampling: Any) -> str:
        asked.append((processes, groups, each_vcpu, faults))
        assert sampling is None
        return "facts"

    monkeypatch.setattr(collect, "collect", guests)
    monkeypatch.setattr(probing.normalise, "from_guests", lambda facts, host, *, remote: (facts, remote))
    assert probing.collect(host([GIB]), **{**ASKED, **more}) == ("facts", more.get("remote", False))
    assert asked == [found]


def test_sampling_needs_the_proc_of_this_process() -> None:
    """Of another pid namespace the numbers would be those of others."""
    import os

    own: Any = SimpleNamespace(readlink=lambda path: str(os.getpid()) if path == "proc/self" else None)
    found = probing._sampling(own, 77)
    assert (found.pages, found.page_size) == (77, os.sysconf("SC_PAGE_SIZE"))
    assert 0 <= found.draw(5) < 5
    with pytest.raises(SourceUnavailable, match="/proc is of another pid namespace than this process"):
        probing._sampling(SimpleNamespace(readlink=lambda path: "1"), 77)  # type: ignore[arg-type]


def test_of_guests_of_xen_nothing_shows_that_they_cannot_be_moved() -> None:
    """They have no descriptors; nobody is asked."""
    assert probing.immovable([domain("a", 1, id=4, kind="hvm")]) == {}
    assert probing.immovable([]) == {}
    assert probing.DEBUG_KEY_LIMIT == 34_359_738_368, "a walk of that much takes under a second"


def test_remote_accesses_are_added_to_each_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list stays as complete as it was, with its notes."""
    from numaprobe.normalise import remote

    monkeypatch.setattr(remote, "of_domain", lambda one, of: (one.id, of.source))
    found = probing._with_remote(
        Domains([domain("a", 1, id=4)], complete=False, notes=[numaprobe.Note("w", "t")]), host([GIB], source="xen")
    )
    assert list(found.notes) == [numaprobe.Note("w", "t")]
    assert not found.complete
    assert [one.remote for one in found] == [(4, "xen")]


@pytest.mark.parametrize("live", [True, False])
def test_a_probe_asks_for_what_was_requested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, live: bool) -> None:
    """And the machine is that of the running kernel or of the recording."""
    asked: list[Any] = []
    monkeypatch.setattr(
        probing_host, "choose_source", lambda reader, source, *, live: asked.append((source, live)) or "linux"
    )
    monkeypatch.setattr(probing_host.linux, "collect", lambda reader, **what: asked.append(what) or "facts")
    monkeypatch.setattr(probing_host, "from_linux", lambda facts, *, machine: (facts, machine))
    monkeypatch.setattr(probing_host, "_machine", lambda reader: "recorded")
    root = None if live else plant(tmp_path / "t", {"proc/version": "x"})
    facts, machine_name = probing_host.probe(root)  # type: ignore[misc]
    assert facts == "facts"
    assert (machine_name == "recorded") is not live
    flags = {
        "available": True,
        "devices": False,
        "allowed": False,
        "caches": False,
        "usable": False,
        "memory_state": False,
    }
    assert asked == [("auto", live), flags]
    asked.clear()
    probing_host.probe(
        root, source="linux", available=False, devices=True, allowed=True, caches=True, usable=True, memory_state=True
    )
    assert asked == [("linux", live), {name: not value for name, value in flags.items()}]


def test_a_tree_in_an_archive_is_found_below_a_folder(tmp_path: Path) -> None:
    """As other programs pack it."""
    (tmp_path / "x.tar").write_bytes(pack(machine({0: [0]}), prefix="somebody/"))
    assert [one.id for one in numaprobe.probe(recording=tmp_path / "x.tar").cells] == [0]
    assert two_node_pc().release == "4.17"
