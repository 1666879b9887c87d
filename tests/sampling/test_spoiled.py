"""Files of a tree that are broken cost a sampler their own figures, and are noted; a recording of them is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import CPU, NODE, machine, plant

import numaprobe

JUNK = {
    "empty": "",
    "bytes of nothing": "\0" * 64,
    "cut": "0,2-",
    "junk": "#!?\n",
    "minus one": "-1\n",
    "all ones": "18446744073709551615\n",
}
COUNTS = "numa_hit 5\nnuma_miss 1\nnuma_foreign 0\ninterleave_hit 2\nlocal_node 5\nother_node 0\n"


def tree(tmp_path: Path, **spoiled: str) -> Path:
    files = machine({0: [0, 1], 1: [2, 3]})
    files |= {f"{NODE}/node{node}/numastat": COUNTS for node in (0, 1)}
    files |= {"proc/zoneinfo": "Node 0, zone      DMA\n  pages free     1\n        min      1\n"}
    return plant(tmp_path / "tree", files | {name.replace("__", "/"): text for name, text in spoiled.items()})


@pytest.mark.parametrize("kind", JUNK)
@pytest.mark.parametrize("name", [f"{NODE}/online", f"{NODE}/has_memory", f"{CPU}/online"])
def test_a_broken_list_does_not_lose_the_sampler(tmp_path: Path, name: str, kind: str) -> None:
    """The directories of the nodes say what to sample, whatever became of a list."""
    root = tree(tmp_path, **{name: JUNK[kind]})
    with numaprobe.Sampler(root) as sampler:
        sample = sampler.sample()
        assert [cell.free for cell in sample.cells] == [2 << 30, 2 << 30]
        assert len(sample.notes) == 1
        assert sample.notes[0].where == name.rpartition("/")[2]
        assert sample.shape.cpus is None or name != f"{CPU}/online"
    numaprobe.record(tmp_path / "host.tar", root=root)
    assert [cell.id for cell in numaprobe.probe(recording=tmp_path / "host.tar").cells] == [0, 1]


@pytest.mark.parametrize("text", ["", "numa_hit 5\nnuma_mi", "\0" * 64, "numa_hit -1\n"])
def test_counters_that_are_not_all_there_are_noted(tmp_path: Path, text: str) -> None:
    """The kernel writes all six or none: part of them is a broken copy, and not a kernel that lacks some."""
    root = tree(tmp_path, **{f"{NODE}/node1/numastat": text})
    with numaprobe.Sampler(root) as sampler:
        sample = sampler.sample(counters=True)
    assert sample.cells[0].counters is not None
    assert sample.cells[0].counters.hit == 5
    assert sample.cells[1].counters is None or sample.cells[1].counters.miss is None
    assert [note.where for note in sample.notes] == ["node1/numastat"]
    assert [path for path, _ in sample.errors] == [f"{NODE}/node1/numastat"]


@pytest.mark.parametrize("text", ["", "#!?\n", "Node 0, zone\n"])
def test_a_table_of_zones_without_one_leaves_available_memory_unknown(tmp_path: Path, text: str) -> None:
    """What else was requested is sampled all the same."""
    root = tree(tmp_path, proc__zoneinfo=text)
    with numaprobe.Sampler(root) as sampler:
        sample = sampler.sample(available=True, counters=True)
    assert [cell.available for cell in sample.cells] == [None, None]
    assert [cell.free for cell in sample.cells] == [2 << 30, 2 << 30]
    assert sample.cells[0].counters is not None
    assert [note.where for note in sample.notes] == ["proc/zoneinfo"]
