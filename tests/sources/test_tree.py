"""``Tree``: nothing that a recorded tree holds leads out of it, with the kernel's help and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from errno import EINVAL, ELOOP, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import CPU, NODE, Link, Machine, machine
from trees import plant as plant_at

import numaprobe
from numaprobe.sources.symlinks import MAX_LINKS, resolve
from numaprobe.sources.tree import Tree

Plant = Callable[[Machine], Path]

# openat2 is 437 on every architecture; the filter answers it with ENOSYS as a kernel before Linux 5.6 does, or EPERM.
CHILD = r"""
import ctypes, errno, json, os, struct, sys
error = getattr(errno, sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def line(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)
filter = line(0x20, 0, 0, 0) + line(0x15, 0, 1, 437) + line(0x06, 0, 0, 0x50000 | error) + line(0x06, 0, 0, 0x7fff0000)
held = ctypes.create_string_buffer(filter)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(4, ctypes.cast(held, ctypes.c_void_p).value)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    print(json.dumps("no filter"))
    sys.exit()
from numaprobe.sources.tree import Tree
tree = Tree(sys.argv[2])
reads, lists = json.loads(sys.argv[3]), json.loads(sys.argv[4])
def shown(found):
    return found.decode() if isinstance(found, bytes) else found
print(json.dumps([tree._resolves, [shown(f) for f in tree.read(reads)], [tree.listdir(path) for path in lists],
                  [shown(f) for f in tree.read([p.rpartition("/")[2] for p in reads[:3]], reads[0].rpartition("/")[0])]]))
"""


def without_openat2(errno: str, root: Path, reads: list[str], lists: list[str]) -> Any:
    words = [sys.executable, "-c", CHILD, errno, str(root), json.dumps(reads), json.dumps(lists)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    if answer == "no filter":
        pytest.skip("the kernel does not let a process filter its system calls")
    return answer


def linked() -> Machine:
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree.update(
        {
            "links/inside": Link("../proc/version"),
            "links/absolute": Link("/proc/version"),
            "links/passwd": Link("/etc/passwd"),
            "links/up": Link("../../../../../../../../etc/passwd"),
            "links/root": Link("/"),
            "links/parent": Link(".."),
            "links/loop": Link("loop"),
            "links/ping": Link("pong"),
            "links/pong": Link("ping"),
            "links/chain": Link("chain1"),
            "links/chain1": Link("./chain2"),
            "links/chain2": Link("../links/inside"),
            "links/dangling": Link("nowhere/at/all"),
            "links/through": Link("absolute/x"),
            "proc/version": "inside\n",
            "etc/hostname": "recorded\n",
        }
    )
    return tree


READS = [
    "links/inside",
    "links/absolute",
    "links/passwd",
    "links/up",
    "links/root/proc/version",
    "links/parent/proc/version",
    "links/loop",
    "links/ping",
    "links/chain",
    "links/dangling",
    "links/through",
    "links/root/links/root/etc/hostname",
    "links/parent/../../../../etc/hostname",
    "../../../etc/hostname",
    "links/root",
    "none",
    "proc/version/x",
    f"{NODE}/online",
]
CONTENTS = [
    "inside\n",
    "inside\n",
    ENOENT,
    ENOENT,
    "inside\n",
    "inside\n",
    ELOOP,
    ELOOP,
    "inside\n",
    ENOENT,
    ENOTDIR,
    "recorded\n",
    "recorded\n",
    "recorded\n",
    EINVAL,
    ENOENT,
    ENOTDIR,
    "0-1\n",
]
LISTS = ["links/root", "links/parent/proc", "..", "links/loop", "links/passwd", "proc/version"]
LISTED = [["etc", "links", "proc", "sys"], ["version"], ["etc", "links", "proc", "sys"], ELOOP, ENOENT, ENOTDIR]


def test_links_are_followed_inside_and_lead_nowhere_else(plant: Plant) -> None:
    """The table of paths includes loops, dangling and absolute links and .., with the errno of each."""
    tree = Tree(plant(linked()))
    found = [content.decode() if isinstance(content, bytes) else content for content in tree.read(READS)]
    assert dict(zip(READS, found, strict=True)) == dict(zip(READS, CONTENTS, strict=True))
    assert [tree.listdir(path) for path in LISTS] == LISTED
    assert tree.read(["inside", "absolute", "passwd"], "links") == [b"inside\n", b"inside\n", ENOENT]
    tree.close()


@pytest.mark.parametrize("errno", ["ENOSYS", "EPERM"])
def test_without_the_kernels_help_the_answers_are_the_same(plant: Plant, errno: str) -> None:
    """Before Linux 5.6, or under a seccomp filter as in old Docker, openat2 is missing and paths are walked by hand."""
    resolves, contents, listed, based = without_openat2(errno, plant(linked()), READS, LISTS)
    assert resolves is True, "openat2 was to be missing"
    assert dict(zip(READS, contents, strict=True)) == dict(zip(READS, CONTENTS, strict=True))
    assert listed == LISTED
    assert based == ["inside\n", "inside\n", ENOENT]


@pytest.mark.parametrize("errno", [None, "ENOSYS"])
def test_a_fifo_in_place_of_a_file_is_not_waited_for(plant: Plant, errno: str | None) -> None:
    """A planted FIFO would stop a probe for ever; it is EINVAL and the node's other figures stay."""
    tree = machine({0: [0], 1: [1]})
    del tree[f"{NODE}/node1/meminfo"], tree[f"{NODE}/node1/distance"]
    root = plant(tree)
    os.mkfifo(root / NODE / "node1" / "meminfo")
    (root / NODE / "node1" / "distance").symlink_to("meminfo")
    reads = [f"{NODE}/node1/meminfo", f"{NODE}/node1/distance", f"{NODE}/online"]
    if errno is not None:
        assert without_openat2(errno, root, reads, [])[1] == [EINVAL, EINVAL, "0-1\n"]
        return
    assert Tree(root).read(reads) == [EINVAL, EINVAL, b"0-1\n"]
    host = numaprobe.probe(root)
    assert host.cell(0).memory.total == 4 << 30
    assert host.cell(1).memory.total is None
    assert [note.where for note in host.notes if "Invalid argument" in note.text] == ["node1/meminfo", "node1/distance"]


def test_a_tree_of_links_to_the_running_machine_has_no_machine(plant: Plant) -> None:
    """However often a link climbs to its parent, the running host must not answer in the tree's name."""
    live: Machine = {path: Link("../" * 40 + path) for path in (f"{NODE}/online", f"{CPU}/online", f"{CPU}/present")}
    with pytest.raises(numaprobe.SourceError):
        numaprobe.probe(plant({"away/sys": Link("../" * 40 + "sys")}) / "away")
    with pytest.raises(numaprobe.NumaprobeError):
        numaprobe.probe(plant(live))


def test_the_live_root_can_be_read_as_a_tree() -> None:
    """With / as root the confined reader has to agree with the live one."""
    assert numaprobe.probe("/", source="linux").cpus == numaprobe.probe(source="linux").cpus


@pytest.mark.parametrize("wrong", ["none", "file", "fifo", ""])
def test_a_root_that_is_no_directory_is_unavailable_and_named(tmp_path: Path, wrong: str) -> None:
    """The error carries path and errno, so that a program need not parse the message."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    path = str(tmp_path / wrong) if wrong else ""
    with pytest.raises(numaprobe.SourceUnavailable) as caught:
        numaprobe.probe(path)
    assert caught.value.where == path
    assert caught.value.errno in (ENOENT, ENOTDIR)


def test_an_empty_directory_is_no_machine(tmp_path: Path) -> None:
    """A mistaken path must not become a host without cells."""
    with pytest.raises(numaprobe.SourceUnavailable, match="no node and no cpu"):
        numaprobe.probe(tmp_path)


def test_no_descriptor_is_left_behind(plant: Plant) -> None:
    """A service may read many trees; failed probes leave through another path, so both are repeated."""
    root = plant(linked())
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(20):
        numaprobe.probe(root, devices=True, allowed=True)
        with pytest.raises(numaprobe.SourceUnavailable):
            numaprobe.probe(root / "links")
    assert sorted(os.listdir("/proc/self/fd")) == before


# --- resolving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("links", "enough"), [(MAX_LINKS, True), (MAX_LINKS + 1, False)])
def test_as_many_links_are_followed_as_the_kernel_does(plant: Plant, links: int, enough: bool) -> None:
    """Forty, and ELOOP for one more, in the reader of trees and in the resolver of archives."""
    tree: Machine = {"l0": "end\n", **{f"l{i}": Link(f"l{i - 1}") for i in range(1, links + 1)}}
    root = plant(tree)
    assert Tree(root).read([f"l{links}"]) == [b"end\n" if enough else ELOOP]
    targets = {path: str(content) for path, content in tree.items() if isinstance(content, Link)}
    found = resolve(f"l{links}", targets.get, {})
    assert found == ("l0" if enough else ELOOP)


parts = st.sampled_from(["a", "b", "c", "x", "y", "..", ".", ""])
targets = st.lists(parts, min_size=1, max_size=5).map("/".join).filter(bool)
places = st.builds("{}{}".format, st.sampled_from(["", "a/", "a/b/", "a/b/c/", "b/"]), st.sampled_from("xy"))


@given(st.dictionaries(places, targets, max_size=6), st.lists(parts, min_size=1, max_size=6).map("/".join))
def test_resolving_never_leaves_and_finds_what_the_kernel_finds(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], path: str
) -> None:
    """The kernel's RESOLVE_IN_ROOT is the oracle for the resolver that archives use, on any links."""
    root = plant_at(
        tmp_path_factory.mktemp("tree"), {"a/b/c/f": "abc", "a/b/f": "ab", "a/f": "a", "b/f": "b", "f": "root"}
    )
    plant_at(root, {place: Link(target) for place, target in links.items()})

    wanted = Tree(root).read([f"{path}/f"])[0]
    found = resolve(f"{path}/f", links.get, {})
    if isinstance(wanted, bytes):
        assert isinstance(found, str)
        assert (root / found).read_bytes() == wanted
    assert isinstance(found, int) or not {"..", ".", ""} & set(found.split("/"))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"machine":' * 100_000, "9" * 5000, '{"machine": NaN}', "[" + "[]," * 10**6]
)
def test_a_manifest_that_is_none_says_nothing_of_the_machine(tmp_path: Path, text: str) -> None:
    """A tree may have any file of that name: the architecture is then unknown, and the host is read."""
    root = plant_at(tmp_path / "tree", {**machine({0: [0, 1]}), "numaprobe.json": text})
    found = numaprobe.probe(root)
    assert found.machine is None
    assert len(found.cpus) == 2
