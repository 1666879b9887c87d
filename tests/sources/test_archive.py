"""Recordings: what ``record`` writes answers like the host it was made of, and other tools' archives answer too."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from errno import EACCES, EINVAL, EIO, EISDIR, ELOOP, ENOENT, ENOTDIR
from pathlib import Path

import pytest
from archives import COMPRESSIONS, Plant, archive, entry, small, two_cells
from trees import NODE, Link, Machine, Shelf, meminfo, pack

import numaprobe
from numaprobe.cli import main
from numaprobe.linux import collect as linux
from numaprobe.sources import opening
from numaprobe.sources.archive import MANIFEST, Archive
from numaprobe.sources.recorder import RecordingReader

pytestmark = pytest.mark.usefixtures("nothing_written")


# --- numaprobe's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_a_recording_answers_like_the_tree_it_was_made_of(plant: Plant, tmp_path: Path, ending: str) -> None:
    """The promise of recordings, for each ending; the file is built under another name, which must not stay behind."""
    root = plant(two_cells())
    path = tmp_path / f"host.{ending}"
    numaprobe.record(path, root=root)
    assert numaprobe.probe(recording=path, devices=True) == numaprobe.probe(root, devices=True)
    assert sorted(os.listdir(tmp_path)) == ["empty", path.name, "root"], "nothing is left beside it"


@pytest.mark.parametrize(("module", "ending"), [("lzma", "tar.xz"), ("bz2", "tar.bz2")])
def test_a_python_without_a_compression_says_so_and_reads_the_others(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, ending: str
) -> None:
    """Pythons built by hand are often without; nothing but that format may need it."""
    root = plant(two_cells())
    packed, plain = tmp_path / f"host.{ending}", tmp_path / "host.tar.gz"
    numaprobe.record(packed, root=root)
    monkeypatch.setitem(sys.modules, module, None)
    numaprobe.record(plain, root=root)
    assert numaprobe.probe(recording=plain) == numaprobe.probe(root)
    with pytest.raises(numaprobe.RecordingError, match=f"{packed.name}: this Python was built without {module}; pack"):
        numaprobe.probe(recording=packed)
    with pytest.raises(numaprobe.RecordingError, match=r"write a \.tar\.gz"):
        numaprobe.record(tmp_path / f"again.{ending}", root=root)


def test_a_directory_that_could_not_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    """The one above was listed, so that the recording has its name; the error is in the manifest."""
    path = f"{NODE}/node0/memory_side_cache"
    tree: Machine = {**small(), path: None}
    manifest = {"schema": "numaprobe-recording/1", "files": len(small()), "errors": {path: EACCES}}
    found = Archive(archive(tmp_path, pack({MANIFEST: json.dumps(manifest), **tree})))
    assert found.listdir(path) == EACCES
    assert "memory_side_cache" in found.listdir(f"{NODE}/node0")  # type: ignore[operator]
    host = numaprobe.probe(recording=found.name)
    assert [note.where for note in host.notes if "Permission denied" in note.text] == ["node0/memory_side_cache"]


def test_a_recording_of_the_running_host_has_its_cells_and_cpus(tmp_path: Path) -> None:
    """The running kernel is the oracle; free memory is not compared, because it moves between the two reads."""
    path = tmp_path / "host.tar.gz"
    numaprobe.record(path)
    live, recorded = numaprobe.probe(source="linux"), numaprobe.probe(recording=path, source="linux")
    assert recorded.cpus == live.cpus
    assert [(cell.id, cell.cpus, cell.memory.total) for cell in recorded.cells] == [
        (cell.id, cell.cpus, cell.memory.total) for cell in live.cells
    ]


def test_a_recording_holds_only_what_was_read_and_no_names_of_the_host(tmp_path: Path) -> None:
    """People attach recordings to public reports, so serial numbers, MAC addresses and host names must be absent."""
    path = tmp_path / "host.tar"
    numaprobe.record(path)
    with tarfile.open(path) as tar:
        names = tar.getnames()
        text = b"".join(tar.extractfile(member).read() for member in tar if member.isreg())  # type: ignore[union-attr]
    assert names[0] == MANIFEST
    assert all(name == MANIFEST or name.split("/")[0] in ("sys", "proc", "xen") for name in names)
    assert not [name for name in names if name.endswith(("/serial", "/address", "uuid", "hostname", "cmdline"))]
    assert not [name for name in names if "cgroup" in name or "proc/self" in name], "only on request"
    node_name = os.uname().nodename.encode()
    assert len(node_name) < 6 or node_name not in text


def test_the_manifest_says_where_a_recording_is_from(tmp_path: Path) -> None:
    """The kernel's release and the tool's version are what a maintainer needs first to interpret the files."""
    path = tmp_path / "host.tar"
    numaprobe.record(path)
    manifest = Archive(path).manifest
    assert manifest is not None
    assert manifest["kernel"] == os.uname().release
    assert manifest["tool"] == f"numaprobe {numaprobe.__version__}"
    assert manifest["time"] > 1_600_000_000


@pytest.mark.parametrize("errno", [EACCES, EIO, EINVAL, ELOOP])
def test_what_could_not_be_read_is_recorded_with_its_errno(tmp_path: Path, errno: int) -> None:
    """EACCES and EIO are facts about a host too: replayed, they give the same notes as on the spot."""
    from numaprobe.normalise.linux import from_linux
    from numaprobe.recording.writing import _manifest, _write

    shelf = Shelf(two_cells(), {f"{NODE}/node2/meminfo": errno, "sys/bus/pci/devices": EACCES})
    recorder = RecordingReader(shelf)
    facts = linux.collect(recorder, devices=True)
    path = tmp_path / "host.tar"
    _write(str(path), "", recorder, _manifest(recorder, None, live=False))
    host = numaprobe.probe(recording=path, devices=True)
    assert host == from_linux(facts)
    assert host.cell(2).memory.total is None
    assert host.cell(0).memory.total == 4 << 30
    assert any(os.strerror(errno) in note.text for note in host.notes)


def test_a_recording_can_be_recorded_again(plant: Plant, tmp_path: Path) -> None:
    """Unpacked and recorded from the tree, as when somebody trims it by hand, it gives the same host."""
    numaprobe.record(tmp_path / "a.tar", root=plant(two_cells()))
    with tarfile.open(tmp_path / "a.tar") as tar:
        tar.extractall(tmp_path / "again", filter="data")
    numaprobe.record(tmp_path / "b.tar", root=tmp_path / "again")
    wanted = numaprobe.probe(recording=tmp_path / "a.tar", devices=True)
    assert numaprobe.probe(recording=tmp_path / "b.tar", devices=True) == wanted


def test_recording_replaces_a_file_whole_or_leaves_it(plant: Plant, tmp_path: Path) -> None:
    """A failed recording must not destroy the previous one of the same name."""
    root, path = plant(two_cells()), tmp_path / "host.tar"
    path.write_bytes(b"old")
    with pytest.raises(numaprobe.SourceUnavailable):
        numaprobe.record(path, root=tmp_path / "none")
    assert path.read_bytes() == b"old"
    numaprobe.record(path, root=root)
    assert len(numaprobe.probe(recording=path).cells) == 2


@pytest.mark.parametrize("name", ["host", "host.zip", "host.gz", "host.tar.gz.txt", "tar"])
def test_recording_to_another_ending_is_a_value_error(tmp_path: Path, name: str) -> None:
    """The ending selects the compression, so a typing error is refused before anything is read or created."""
    with pytest.raises(ValueError, match=r"\.tar\.gz"):
        numaprobe.record(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_recording_where_nothing_can_be_written_is_an_os_error(plant: Plant, tmp_path: Path) -> None:
    """A fault of the destination is not a SourceError, which would blame the host."""
    with pytest.raises(OSError, match="No such file"):
        numaprobe.record(tmp_path / "none" / "host.tar", root=plant(small()))


# --- other tools' ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("prefix", ["", "./", "host/", "./host/", "a/b/c/", "/"])
def test_an_archive_with_any_top_directory_and_compression_is_read(
    plant: Plant, tmp_path: Path, compression: str, prefix: str
) -> None:
    """People pack trees with tar by hand; content and not the file's name decides how it is decompressed."""
    content = COMPRESSIONS[compression](pack(two_cells(), prefix=prefix))
    path = archive(tmp_path, content, f"named-otherwise.{prefix.count('/')}")
    assert numaprobe.probe(recording=path, devices=True) == numaprobe.probe(plant(two_cells()), devices=True)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read_with_long_names(tmp_path: Path, kind: int) -> None:
    """GNU, ustar and pax each store a path of more than 100 characters in a way of their own."""
    prefix = ("x" * 60 + "/") * 2
    path = archive(tmp_path, pack(small(), prefix=prefix, kind=kind))
    assert len(numaprobe.probe(recording=path).cells) == 2


def test_links_of_every_kind_are_followed_inside(tmp_path: Path) -> None:
    """Relative, absolute and hard links, as in a copied sysfs; absolute ones start at the machine's top directory."""
    tree: Machine = {f"host/{path}": content for path, content in small().items()}
    tree["host/elsewhere/list"] = "0\n"
    tree[f"host/{NODE}/node0/cpulist"] = Link("../../../../../elsewhere/list")
    tree[f"host/{NODE}/node1/cpulist"] = Link("/elsewhere/one")
    tree["host/elsewhere/one"] = "1\n"
    tree["host/elsewhere/nodes/node7/cpulist"] = "\n"
    hard = entry(f"host/{NODE}/node1/meminfo", tarfile.LNKTYPE, "host/elsewhere/meminfo")
    tree["host/elsewhere/meminfo"] = tree.pop(f"host/{NODE}/node1/meminfo")
    host = numaprobe.probe(recording=archive(tmp_path, pack(tree, members=[(hard, b"")])))
    assert [(cell.cpus, cell.memory.total) for cell in host.cells] == [((0,), 4 << 30), ((1,), 4 << 30)]


def test_a_directory_reached_through_a_link_is_listed_and_read(tmp_path: Path) -> None:
    """In the kernel every entry of sys/bus/pci/devices is a link into sys/devices."""
    tree = two_cells()
    for path in [path for path in tree if path.startswith("sys/bus/pci/devices/0000:00:01.0")]:
        tree[path.replace("sys/bus/pci/devices", "sys/devices/pci0000:00")] = tree.pop(path)
    tree["sys/bus/pci/devices/0000:00:01.0"] = Link("../../../devices/pci0000:00/0000:00:01.0")
    found = numaprobe.probe(recording=archive(tmp_path, pack(tree)), devices=True).devices
    assert found is not None
    assert [(device.address, device.cell) for device in found] == [("0000:00:01.0", 2), ("0000:00:02.0", None)]


def test_hard_links_with_a_leading_dot_are_found(tmp_path: Path) -> None:
    """Archives made inside the directory have ./ in front of names and of link targets alike."""
    tree = small()
    tree["elsewhere/meminfo"] = tree.pop(f"{NODE}/node1/meminfo")
    hard = entry(f"./{NODE}/node1/meminfo", tarfile.LNKTYPE, "./elsewhere/meminfo")
    host = numaprobe.probe(recording=archive(tmp_path, pack(tree, prefix="./", members=[(hard, b"")])))
    assert host.cell(1).memory.total == 4 << 30


def test_the_reader_tells_absent_from_directory_from_not_a_directory(tmp_path: Path) -> None:
    """An archive has to give the errno that the kernel would, because only an absent file is silent."""
    tree = small()
    tree["loop"] = Link("loop")
    tree["ping"], tree["pong"] = Link("pong/x"), Link("ping/x")
    reader = Archive(archive(tmp_path, pack(tree)))
    assert reader.read(["none", NODE, f"{NODE}/online/x", "loop", "ping", f"{NODE}/possible"]) == [
        ENOENT,
        EISDIR,
        ENOTDIR,
        ELOOP,
        ELOOP,
        b"0-1\n",
    ]
    assert reader.read(["online", "none"], NODE) == [b"0-1\n", ENOENT]
    assert reader.listdir(NODE, "node") == ["node0", "node1"]
    assert reader.listdir("none") == ENOENT
    assert reader.listdir(f"{NODE}/online") == ENOTDIR
    assert reader.listdir("loop") == ELOOP


def test_the_last_of_two_equal_members_counts(tmp_path: Path) -> None:
    """An append with tar -r updates a file this way, and tar's own extraction ends with the last one too."""
    again = entry(f"{NODE}/node1/meminfo", size=len(text := meminfo(1, 8, 4).encode()))
    path = archive(tmp_path, pack(small(), members=[(again, text)]))
    assert numaprobe.probe(recording=path).cell(1).memory.total == 8192


def test_a_recording_is_unpacked_once_for_all_that_is_read_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpacking is what takes the time of a large one; afterwards nothing of it is kept."""
    path = archive(tmp_path, pack(two_cells()))
    made: list[object] = []
    load = Archive._load

    def counted(self: Archive) -> None:
        made.append(self)
        load(self)

    monkeypatch.setattr(Archive, "_load", counted)
    for words in (["domains"], ["draw"], ["doctor"], ["place", "--vcpus", "1", "--memory", "1M"]):
        made.clear()
        assert main([*words, "--recording", str(path)]) == 0
        assert len(made) == 1, words
    assert opening._kept == {}
    with pytest.raises(numaprobe.RecordingError), opening.kept_open(tmp_path / "absent"):
        pass
