"""What is kept between probes of one process: never anything of a file that holds something else by now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import rich
import trees
from trees import CPU, NODE, machine

import numaprobe
from numaprobe import _fast
from numaprobe.linux import collect, kept
from numaprobe.linux.source import Source
from numaprobe.sources.tree import Tree

Plant = Callable[[Mapping[str, trees.Content]], Path]

CELLS = {0: [0, 1, 2, 3], 1: [4, 5, 6, 7]}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins with nothing kept, and leaves nothing to the others."""
    kept.forget()
    yield
    kept.forget()


def answer(root: Path) -> object:
    """What a probe gives: a host, or the words of its error."""
    try:
        return numaprobe.probe(root)
    except numaprobe.NumaprobeError as error:
        return str(error)


def anew(root: Path) -> object:
    """The same from a process in which nothing was probed before."""
    kept.forget()
    return answer(root)


# --- what changes is seen ------------------------------------------------------------------------------------------


def plain() -> trees.Machine:
    return {**machine(CELLS, threads=2), f"{CPU}/smt/active": "1\n"}


@pytest.mark.parametrize("tree", [plain, rich.rich], ids=["plain", "rich"])
def test_a_change_of_any_file_is_seen_by_the_next_probe(plant: Plant, tree: Callable[[], trees.Machine]) -> None:
    """Each file of a machine in turn holds another word, is emptied and is missing; a fresh process is the oracle."""
    whole = tree()
    root = plant(whole)
    first = answer(root)
    assert answer(root) == first
    some = [path for path in (rich.kinds_of_files() if tree is rich.rich else whole) if whole.get(path)]
    seen = 0
    for path in some:
        file = root / path
        content = file.read_bytes()
        for other in (b"1\n", content.replace(b"4", b"5", 1), b"", None)[tree is rich.rich :: 1 + (tree is rich.rich)]:
            answer(root)
            if other is None:
                file.unlink()
            else:
                file.write_bytes(other)
            found = answer(root)
            assert found == anew(root), (path, other)
            seen += found != first
            file.write_bytes(content)
            assert answer(root) == first, path
    assert seen > 20


def test_a_node_and_a_cpu_that_are_added_are_seen(plant: Plant, tmp_path: Path) -> None:
    """Hotplug shows in listings and in files that were absent, not only in files that hold something else."""
    root = plant(machine({0: [0, 1]}))
    assert [cell.id for cell in numaprobe.probe(root).cells] == [0]
    grown = machine({0: [0, 1], 3: [2]})
    grown[f"{NODE}/node0/access0/initiators/node0"] = None
    grown[f"{NODE}/node0/access0/initiators/read_latency"] = "7\n"
    for path, content in grown.items():
        trees.plant(root, {path: content})
    host = numaprobe.probe(root)
    assert [cell.id for cell in host.cells] == [0, 3]
    assert [cpu.cell for cpu in host.cpus] == [0, 0, 3]
    assert host.cells[0].accesses[0].read_latency == 7
    assert host == anew(root)


def test_memory_is_always_that_of_now(plant: Plant) -> None:
    """What changes all the time is read and understood each time, whatever was kept of the rest."""
    root = plant({**plain(), "sys/kernel/mm/hugepages/hugepages-2048kB": None})
    pages = f"{NODE}/node1/hugepages/hugepages-2048kB"
    for free, total, left in ((5 << 10, 0, 0), (7 << 10, 8, 3), (6 << 10, 8, 8)):
        trees.plant(
            root,
            {
                f"{NODE}/node1/meminfo": trees.meminfo(1, 4 << 20, free),
                f"{pages}/nr_hugepages": f"{total}\n",
                f"{pages}/free_hugepages": f"{left}\n",
                f"{pages}/surplus_hugepages": "0\n",
            },
        )
        cell = numaprobe.probe(root).cell(1)
        assert cell.memory.free == free << 10
        assert [(size.total, size.free) for size in cell.huge_pages] == [(total, left)]


def test_hosts_that_look_alike_do_not_share_what_differs(plant: Plant, tmp_path: Path) -> None:
    """Two machines by turns, of which one has its cells the other way round."""
    one = plant(plain())
    other = trees.plant(tmp_path / "other", machine({0: CELLS[1], 1: CELLS[0]}, threads=2))
    for _ in range(3):
        assert numaprobe.probe(one).cpu(0).cell == 0
        assert numaprobe.probe(other).cpu(0).cell == 1


def test_a_host_with_a_note_is_understood_each_time(plant: Plant) -> None:
    """Broken text is quoted by every probe, not by the first alone."""
    root = plant({**plain(), f"{CPU}/cpu4/topology/core_id": "x\n", f"{NODE}/node1/distance": "20 ?\n"})
    first = numaprobe.probe(root)
    assert [note.where for note in first.notes][::2] == ["cpu4/topology/core_id", "node1/distance"]
    assert numaprobe.probe(root) == first


# --- what is spared ------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_made_again(plant: Plant) -> None:
    """The cpus of the second host are those of the first, which no caller can change."""
    root = plant(plain())
    assert numaprobe.probe(root).cpus is numaprobe.probe(root).cpus
    assert numaprobe.probe(root, allowed=True).cpus == numaprobe.probe(root).cpus


def test_everything_that_was_read_is_read_again(plant: Plant) -> None:
    """A file that cannot be opened any more makes the difference, even if it was one of thousands."""
    root = plant(plain())
    reader = Tree(root)
    collect.collect(reader)
    seen = _fast.Seen()
    reader.watch(seen)
    names = [path for path in plain() if path.startswith(CPU)]
    Source(reader).read([path.removeprefix(f"{CPU}/") for path in names], CPU)
    reader.listdir(NODE, "node")
    reader.absent(("nothing",), NODE)
    reader.watch(None)
    seen.trim()
    assert reader.unchanged(seen)
    for path in names:
        content = (root / path).read_bytes()
        (root / path).unlink()
        assert not reader.unchanged(seen), path
        (root / path).write_bytes(content + b"\n")
        assert not reader.unchanged(seen), path
        (root / path).write_bytes(content)
        assert reader.unchanged(seen)
    (root / NODE / "nothing").write_text("")
    assert not reader.unchanged(seen)
    (root / NODE / "nothing").unlink()
    (root / NODE / "node7").mkdir()
    assert not reader.unchanged(seen)


def test_an_answer_that_cannot_be_compared_is_never_unchanged(plant: Plant) -> None:
    """Links, heads and zones are not kept; a file that is no file any more is not waited for."""
    root = plant({"a/file": "1\n", "a/link": trees.Link("file")})
    reader = _fast.Files(root, contained=True)
    for read in (
        lambda: reader.readlink("a/link"),
        lambda: reader.head("a/file", 1),
        lambda: reader.zones("a/file"),
        lambda: reader.cpu_groups("a", (0,), "list", ()),
    ):
        seen = _fast.Seen()
        reader.watch(seen)
        with suppress(ValueError):
            read()
        reader.watch(None)
        assert seen.odd
        assert not reader.unchanged(seen)
    reader.watch(seen := _fast.Seen())
    reader.read(("file",), "a")
    reader.watch(None)
    assert reader.unchanged(seen)
    (root / "a/file").unlink()
    os.mkfifo(root / "a/file")
    assert not reader.unchanged(seen)
