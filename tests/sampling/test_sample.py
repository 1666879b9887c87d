"""Sampling: figures, change of shape, rates, threads, forks, and what it must not cost."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trees
from fake_xen import GIB, MIB, FakeNode, two_node_pc, two_node_srat
from hypothesis import given
from hypothesis import strategies as st
from trees import CPU, NODE, Shelf
from waiting import until

import numaprobe
from numaprobe import Sampler, SourceDenied, _fast
from numaprobe.errors import NumaprobeError, SourceError
from numaprobe.model.host import HugePages, Note
from numaprobe.sampling.details import Details
from numaprobe.sampling.linux import LinuxSampler
from numaprobe.sampling.sample import Origin, Sample, made
from numaprobe.sampling.values import CellSample, Collected, Counters, Shape
from numaprobe.sampling.xen import XenSampler
from numaprobe.sources.transcript import RecordingHypercalls, Transcript

Plant = Callable[[Mapping[str, trees.Content]], Path]

KB = 1024


def meminfo(node: int, total_kb: int, free_kb: int, *, pages: tuple[int, int, int] = (0, 0, 0), **more_kb: int) -> str:
    text = trees.meminfo(node, total_kb, free_kb, **more_kb).partition(f"Node {node} HugePages_Total")[0]
    names = ("HugePages_Total", "HugePages_Free", "HugePages_Surp")
    return text + "".join(f"Node {node} {name}: {value:5}\n" for name, value in zip(names, pages, strict=True))


def two_cells() -> trees.Machine:
    """Cells 0 and 5, with everything that a sampler reads."""
    tree = trees.machine({0: [0, 1], 5: [2, 3]})
    for node, (total, free, pages) in {0: (8000, 1000, (8, 3, 1)), 5: (4000, 500, (2, 2, 0))}.items():
        tree[f"{NODE}/node{node}/meminfo"] = meminfo(node, total, free, pages=pages)
        tree[f"{NODE}/node{node}/numastat"] = (
            f"numa_hit {node + 1}\nnuma_miss 2\nnuma_foreign 3\ninterleave_hit 4\nlocal_node 5\nother_node 6\n"
        )
        tree[f"{NODE}/node{node}/vmstat"] = f"nr_free_pages {free // 4}\nnr_dirty 7\npgdemote_kswapd {node}\n"
        for size, count in ((2048, pages), (1048576, (1, 0, 0))):
            for name, value in zip(("nr", "free", "surplus"), count, strict=True):
                tree[f"{NODE}/node{node}/hugepages/hugepages-{size}kB/{name}_hugepages"] = f"{value}\n"
    for size in (2048, 1048576):
        tree[f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages"] = "0\n"
    tree["proc/meminfo"] = "MemTotal: 12000 kB\nMemFree: 1500 kB\nHugepagesize:    2048 kB\n"
    # 250 pages of 4 kB, and 126, in two zones each.
    tree["proc/buddyinfo"] = (
        "Node 0, zone    DMA32      2      0     12 \nNode 0, zone   Normal      0    100      0 \n"
        "Node 5, zone   Normal      1      0      1 \nNode 5, zone  Movable    121      0      0 \n"
    )
    tree["proc/zoneinfo"] = "".join(
        f"Node {node}, zone   Normal\n  pages free {free}\n        low      1\n        high     2\n"
        f"        managed  {managed}\n        protection: (0, 0)\n"
        for node, free, managed in ((0, 250, 2000), (5, 125, 1000))
    )
    return tree


# --- figures -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["tree", "archive"])
def sampler(request: pytest.FixtureRequest, plant: Plant, tmp_path: Path) -> Sampler:
    if request.param == "tree":
        return Sampler(plant(two_cells()))
    (tmp_path / "host.tar").write_bytes(trees.pack(two_cells()))
    return Sampler(recording=tmp_path / "host.tar")


def test_a_sample_has_what_meminfo_tells_of_each_cell(sampler: Sampler) -> None:
    """The basic contract where ids have a gap: figures in bytes, used, shape, KeyError for an id that is no cell."""
    sample = sampler.sample()
    assert sample.source == "linux"
    assert sample.cells == (
        CellSample(0, 8000 * KB, 1000 * KB, (HugePages(2 * MIB, 8, 3, 1),), None, None, None),
        CellSample(5, 4000 * KB, 500 * KB, (HugePages(2 * MIB, 2, 2, 0),), None, None, None),
    )
    assert [cell.used for cell in sample.cells] == [7000 * KB, 3500 * KB]
    assert sample.cell(5).total == 4000 * KB
    assert sample.free(5) == 500 * KB
    assert sample.shape == sampler.shape == Shape(1, (0, 5), (1, 1), (0, 1, 2, 3), (8000 * KB, 4000 * KB))
    with pytest.raises(KeyError, match="no cell 1"):
        sample.free(1)


def test_free_adds_up_the_blocks_of_buddyinfo(sampler: Sampler) -> None:
    """The fast path reads one file for all nodes; its figure may differ a little from the exact one of meminfo."""
    assert sampler._engine.snapshot.has_free
    assert sampler.free() == {0: 1000 * KB, 5: 504 * KB}
    assert sampler.free(exact=True) == {0: 1000 * KB, 5: 500 * KB}


def test_all_that_costs_more_stands_beside_the_rest(sampler: Sampler) -> None:
    """Each optional part is read on request only, and a vmstat name that the kernel does not have is None."""
    sample = sampler.sample(huge_pages=True, counters=True, vmstat=("nr_dirty", "no_such", "pgdemote_kswapd"))
    first, second = sample.cells
    assert first.huge_pages == (HugePages(2 * MIB, 8, 3, 1), HugePages(GIB, 1, 0, 0))
    assert first.counters == Counters(1, 2, 3, 4, 5, 6)
    assert second.counters == Counters(6, 2, 3, 4, 5, 6)
    assert second.vmstat == (("nr_dirty", 7), ("no_such", None), ("pgdemote_kswapd", 5))
    assert (first.total, first.free, first.available) == (8000 * KB, 1000 * KB, None)


def test_every_field_of_vmstat_that_the_kernel_has(plant: Plant) -> None:
    """A kernel adds fields with each release; a broken or wrapped one costs only itself and is noted."""
    tree = two_cells()
    tree[f"{NODE}/node0/vmstat"] = "nr_free_pages 250\nnr_dirty x\nnr_wrapped 18446744073709551615\npgdemote_kswapd 3\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample(vmstat=True)
    first, second = sample.cells
    assert first.vmstat == (("nr_free_pages", 250), ("pgdemote_kswapd", 3))
    assert second.vmstat == (("nr_free_pages", 125), ("nr_dirty", 7), ("pgdemote_kswapd", 5))
    assert [note.where for note in sample.notes] == ["node0/vmstat", "node0/vmstat nr_wrapped"]
    assert "'nr_dirty x'" in sample.notes[0].text


def test_every_field_of_meminfo_is_of_the_read_that_the_figures_are_of(plant: Plant) -> None:
    """Fields read a moment later would not add up with free memory; a broken field costs only itself."""
    tree = two_cells()
    text = meminfo(0, 8000, 1000)
    tree[f"{NODE}/node0/meminfo"] = f"{text}Node 0 Active(anon):   77 kB\nNode 0 AnonPages:   x kB\nNode 0 Slab: 5 kB\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample(meminfo=True)
        assert sampler.sample().cells[0].meminfo is None
        whole = sampler.sample(meminfo=True, huge_pages=True, available=True, counters=True)
    first, second = sample.cells
    assert (first.total, first.free) == (8000 * KB, 1000 * KB)
    fields = dict(first.meminfo or ())
    assert (fields["MemTotal"], fields["Active(anon)"], fields["Slab"]) == (8000 * KB, 77 * KB, 5 * KB)
    assert not [name for name in fields if name.startswith("HugePages") or name == "AnonPages"]
    assert second.meminfo is not None
    (note,) = sample.notes
    assert (note.where, "AnonPages:   x kB" in note.text) == ("node0/meminfo", True)
    assert whole.cells[0].meminfo == first.meminfo
    assert whole.cells[0].counters is not None


def test_a_field_of_meminfo_that_is_more_than_the_nodes_memory_is_left_out(plant: Plant) -> None:
    """A counter that wrapped would be a fact of terabytes in every dashboard."""
    tree = two_cells()
    tree[f"{NODE}/node0/meminfo"] = f"{meminfo(0, 8000, 1000)}Node 0 Slab: 99999999999999 kB\nNode 0 Dirty: 4 kB\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample(meminfo=True)
    fields = dict(sample.cells[0].meminfo or ())
    assert "Slab" not in fields
    assert fields["Dirty"] == 4 * KB
    (note,) = sample.notes
    assert (note.where, note.text.startswith("impossible: ")) == ("node0/meminfo Slab", True)


def test_available_is_what_a_probe_computes(plant: Plant) -> None:
    """One formula serves both calls; the expectation is worked out by hand from the watermarks' fallback."""
    tree = two_cells()
    more = {"Active_file": 800, "Inactive_file": 200, "KReclaimable": 100}
    tree[f"{NODE}/node0/meminfo"] = meminfo(0, 8000, 1000, **more)
    root = plant(tree)
    with Sampler(root) as sampler:
        cells = sampler.sample(available=True).cells
    host = numaprobe.probe(root)
    assert [cell.available for cell in cells] == [cell.memory.available for cell in host.cells]
    assert cells[0].available == (1000 - 2 * 4 + 1000 - 4 + 100 - 4) * KB
    assert cells[1].available is None, "its counters are not there"


def test_memory_that_is_added_between_the_two_reads_of_a_machine_is_not_given_to_the_old_shape(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is available takes ``/proc/meminfo`` a second time there; its total has to be that of the sample's shape."""
    text = "MemTotal: {} kB\nMemFree: 100 kB\nMemAvailable: 300 kB\n"
    root = plant({f"{CPU}/online": "0\n", f"{CPU}/present": "0\n", "proc/meminfo": text.format(8000)})
    added = Details.added

    def grow(self: Details, *args: Any, **options: Any) -> Any:
        (Path(root) / "proc/meminfo").write_text(text.format(9000))
        return added(self, *args, **options)

    monkeypatch.setattr(Details, "added", grow)
    with Sampler(root) as sampler:
        sample = sampler.sample(available=True)
    assert [cell.total for cell in sample.cells] == list(sample.shape.totals)
    assert (sample.cells[0].total, sample.shape.number) == (9000 * KB, 2)


def test_names_in_one_string_are_a_mistake(sampler: Sampler) -> None:
    """A str is a sequence of letters too, and would silently query one-letter counters."""
    with pytest.raises(TypeError, match="sequence of names"):
        sampler.sample(vmstat="nr_dirty")


def test_a_recording_has_no_time_and_so_no_rates(tmp_path: Path) -> None:
    """A difference of two samples of one archive would divide by the time between two reads of a file."""
    (tmp_path / "host.tar").write_bytes(trees.pack(two_cells()))
    with Sampler(recording=tmp_path / "host.tar") as sampler:
        sample = sampler.sample()
        assert sample.time is None
        with pytest.raises(ValueError, match="no time"):
            sampler.sample() - sample


def test_a_sample_says_when_it_was_taken(plant: Plant) -> None:
    """Wall-clock time is for display, the monotonic clock for rates; both are bracketed by the test's own clocks."""
    before, started = time.time(), time.monotonic_ns()
    with Sampler(plant(two_cells())) as sampler:
        sample = sampler.sample()
    assert sample.time is not None
    assert before - 0.01 <= sample.time <= time.time() + 0.01
    assert started <= sample.monotonic <= time.monotonic_ns()


def test_cells_without_memory_or_without_meminfo(plant: Plant) -> None:
    """A cell that has_memory leaves out has 0 bytes, one whose file is missing has unknown ones."""
    tree = trees.machine({0: [0], 1: [1], 2: [2]})
    tree[f"{NODE}/has_memory"] = "0,2\n"
    del tree[f"{NODE}/node1/meminfo"], tree[f"{NODE}/node2/meminfo"]
    with Sampler(plant(tree)) as sampler:
        cells = sampler.sample().cells
        assert [(cell.total, cell.free, cell.used) for cell in cells[1:]] == [(0, 0, 0), (None, None, None)]
        assert sampler.free() == {0: cells[0].free, 1: 0, 2: None}


@pytest.mark.parametrize("recorded", [False, True])
def test_a_file_that_is_another_nodes_is_unknown_and_noted(plant: Plant, tmp_path: Path, recorded: bool) -> None:
    """Somebody may have put a recording together by hand; the other cells keep their figures."""
    tree = two_cells()
    tree[f"{NODE}/node5/meminfo"] = tree[f"{NODE}/node0/meminfo"]
    root = plant(tree)
    source: dict[str, Any] = {"root": root}
    if recorded:
        numaprobe.record(tmp_path / "host.tar.gz", root=root)
        source = {"recording": tmp_path / "host.tar.gz"}
    with Sampler(**source) as sampler:
        for _ in range(2):
            sample = sampler.sample()
            assert sample.cells[0].free is not None
            assert (sample.cells[1].total, sample.cells[1].free) == (None, None)
            assert [note.where for note in sample.notes] == ["node5/meminfo"]
            assert "is of another node: 'Node 0 MemTotal" in sample.notes[0].text
        assert sampler.free()[5] is None


def test_a_node_without_memory_is_not_in_buddyinfo_and_has_nothing_free(plant: Plant) -> None:
    """As with a CPU-only node: the kernel lists populated zones alone, and that absence is a true 0."""
    tree = two_cells()
    tree[f"{NODE}/node7/meminfo"] = meminfo(7, 0, 0)
    with Sampler(plant(tree)) as sampler:
        assert sampler._engine.snapshot.has_free
        assert sampler.free() == {0: 1000 * KB, 5: 504 * KB, 7: 0}


@pytest.mark.parametrize(
    "buddyinfo",
    [None, "", "Node 0, zone Normal 250\n", "Node 0, zone Normal 250\nNode 5, zone Normal x\n", "Node 0, zone Normal 250\n"
     "Node 5, zone Normal 125\nNode 6, zone Normal 1\n", "Node 0, zone Normal 250\nNode 5, zone Normal 20000000\n"],
    ids=["none", "empty", "a node missing", "not understood", "a node too many", "far from meminfo"],
)  # fmt: skip
def test_buddyinfo_that_cannot_be_right_is_not_used(plant: Plant, buddyinfo: str | None) -> None:
    """Every damaged form falls back to meminfo, which gives the same figures at a higher cost."""
    tree = two_cells()
    if buddyinfo is None:
        del tree["proc/buddyinfo"]
    else:
        tree["proc/buddyinfo"] = buddyinfo
    with Sampler(plant(tree)) as sampler:
        assert sampler.free() == {0: 1000 * KB, 5: 500 * KB}


def test_a_machine_without_nodes_is_one_cell(plant: Plant) -> None:
    """A kernel built without CONFIG_NUMA has /proc/meminfo only, which even gives MemAvailable."""
    text = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 300 kB\nHugePages_Total: 1\nHugePages_Free: 1\n"
    tree = {f"{CPU}/online": "0-1\n", f"{CPU}/present": "0-1\n", "proc/meminfo": text + "Hugepagesize: 2048 kB\n"}
    with Sampler(plant(tree)) as sampler:
        (cell,) = sampler.sample(available=True).cells
        assert cell == CellSample(0, 9000 * KB, 100 * KB, (HugePages(2 * MIB, 1, 1, None),), 300 * KB, None, None)
        assert sampler.free() == {0: 100 * KB}


def test_counts_of_huge_pages_without_their_size_are_unknown() -> None:
    """A node's meminfo counts pages, and only /proc/meminfo says how large one is; free memory does not suffer."""
    tree = two_cells()
    del tree["proc/meminfo"]
    engine = LinuxSampler(Shelf(tree), None, live=False, timed=False)
    assert engine.exact_free() == {0: 1000 * KB, 5: 500 * KB}
    snapshot = engine.snapshot
    assert engine.retried(snapshot, snapshot.ask()).cells[0].huge_pages is None


def test_memory_of_a_node_that_may_not_be_read_is_unknown_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other nodes are sampled; the file is tried again later."""
    monkeypatch.setattr("numaprobe.sampling.linux.REOPEN_IN", 20_000_000)
    path = f"{NODE}/node5/meminfo"
    shelf = Shelf(two_cells(), {path: 13})
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert (sample.cell(5).total, sample.cell(5).free, sample.cell(0).free) == (None, None, 1000 * KB)
    assert sample.errors == ((path, 13),)
    assert [note.where for note in sample.notes] == ["node5/meminfo"]
    assert engine.exact_free() == {0: 1000 * KB, 5: None}
    shelf.errors.clear()
    again = until(lambda: engine.retried(engine.snapshot, engine.snapshot.ask()), lambda found: not found.errors)
    assert (again.cell(5).free, again.errors) == (500 * KB, ())


def test_a_host_of_which_no_node_may_be_read_is_an_error_with_its_name() -> None:
    """Unlike with a single unreadable node, nothing is left to sample."""
    denied = {f"{NODE}/node{node}/meminfo": 13 for node in (0, 5)}
    with pytest.raises(SourceDenied, match="node0/meminfo"):
        LinuxSampler(Shelf(two_cells(), denied), None, live=False, timed=True)


@pytest.mark.parametrize(
    ("content", "figures", "note"),
    [
        ("Node 5 MemFree: 1 kB\n", (None, KB), "has no MemTotal: 'Node 5 MemFree: 1 kB'"),
        ("Node 5 MemTotal: 9 kB\nNode 5 MemFree: ? kB\n", (9 * KB, None), "has a line without a number: 'Node 5 MemFree: ? kB'"),
        ("", (None, None), "has no MemTotal: ''"),
        ("Node 5 MemTotal: 9 kB\nNode 5 MemFree: 10 kB\n", (9 * KB, None), "MemFree 10 kB is more than MemTotal 9 kB"),
        (
            "Node 5 MemTotal: 9 kB\nNode 5 MemFree: 18446744073709551612 kB\n",
            (9 * KB, None),
            "MemFree 18446744073709551612 kB is more than MemTotal 9 kB",
        ),
        (
            "Node 5 MemTotal: 18446744073709551612 kB\nNode 5 MemFree: 1 kB\n",
            (None, None),
            "MemTotal 18446744073709551612 kB is not a possible size of memory",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reader", ["files", "any"])
def test_a_figure_that_is_broken_or_impossible_is_unknown_and_noted(
    plant: Plant, reader: str, content: str, figures: tuple[int | None, int | None], note: str
) -> None:
    """The other cell keeps its figures, and a fault is never reported as another one."""
    tree = two_cells()
    tree[f"{NODE}/node5/meminfo"] = content
    engine = LinuxSampler(*(
        (Shelf(tree), None) if reader == "any" else (files := _fast.Files(plant(tree)), files)
    ), live=False, timed=True)  # fmt: skip
    for _ in range(2):
        snapshot = engine.snapshot
        sample = engine.retried(snapshot, snapshot.ask())
        assert (sample.cell(5).total, sample.cell(5).free) == figures
        assert [(found.where, found.text) for found in sample.notes] == [("node5/meminfo", note)]
        assert sample.cell(0).free == 1000 * KB
        assert engine.exact_free() == {0: 1000 * KB, 5: figures[1]}
        assert engine.snapshot is snapshot, "nothing is opened again for it"


def test_a_file_that_is_whole_again_gives_its_figures(plant: Plant) -> None:
    """A bad read must not mark the node for good, since the next sample may find it whole."""
    root = plant(two_cells())
    path = root / NODE / "node5/meminfo"
    whole = path.read_text()
    with Sampler(root) as sampler:
        path.write_text("")
        assert sampler.sample().cell(5).free is None
        path.write_text(whole)
        sample = sampler.sample()
        assert (sample.cell(5).free, sample.notes) == (500 * KB, ())


def test_huge_pages_that_contradict_their_total_are_unknown_and_noted(plant: Plant) -> None:
    """Only the impossible part becomes None: more free than all in meminfo, or a negative surplus in its own file."""
    tree = two_cells()
    tree[f"{NODE}/node5/meminfo"] = meminfo(5, 4000, 500, pages=(2, 7, 0))
    tree[f"{NODE}/node0/hugepages/hugepages-1048576kB/surplus_hugepages"] = "-1\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample()
        assert sample.cell(5).huge_pages == (HugePages(2 * MIB, 2, None, 0),)
        assert sample.notes[0].text == "7 free huge pages of 2097152 bytes are more than all 2"
        sample = sampler.sample(huge_pages=True)
        assert sample.cell(0).huge_pages == (HugePages(2 * MIB, 8, 3, 1), HugePages(GIB, 1, 0, None))
        assert "node0/hugepages" in [found.where for found in sample.notes]


def test_a_count_of_huge_pages_that_is_no_number_is_unknown_and_quoted(plant: Plant) -> None:
    """The other counts of the same size are kept, and the note names the file."""
    tree = two_cells()
    tree[f"{NODE}/node0/hugepages/hugepages-1048576kB/free_hugepages"] = "x\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample(huge_pages=True)
        assert sample.cell(0).huge_pages == (HugePages(2 * MIB, 8, 3, 1), HugePages(GIB, 1, None, 0))
        (note,) = sample.notes
        assert note.where == "node0/hugepages/hugepages-1048576kB/free_hugepages"
        assert "'x'" in note.text


@pytest.mark.parametrize("errno", [5, 12, 24])
def test_a_counter_that_cannot_be_read_is_in_the_errors_of_its_sample(errno: int) -> None:
    """A scrape can count it there; a file that the kernel does not have is no error."""
    path = f"{NODE}/node5/numastat"
    tree = two_cells()
    del tree[f"{NODE}/node0/numastat"]
    sample = LinuxSampler(Shelf(tree, {path: errno}), None, live=False, timed=True).detailed(
        huge_pages=False, available=False, counters=True, vmstat=()
    )
    assert [cell.counters for cell in sample.cells] == [None, None]
    assert sample.errors == ((path, errno),)
    assert sample.notes == (Note("node5/numastat", f"cannot be read: {os.strerror(errno)}"),)


def test_a_counter_that_makes_no_sense_is_noted_and_the_others_stay(plant: Plant) -> None:
    """One node's broken numastat does not cost the other node its counters."""
    tree = two_cells()
    tree[f"{NODE}/node0/numastat"] = "numa_hit x\n"
    with Sampler(plant(tree)) as sampler:
        sample = sampler.sample(counters=True)
    assert sample.cell(0).counters is None
    assert sample.cell(5).counters == Counters(6, 2, 3, 4, 5, 6)
    assert sample.notes == (Note("node0/numastat", "numa_hit without a number: 'numa_hit x'"),)


@pytest.mark.parametrize("path", [f"{CPU}/online", "proc/meminfo", "sys/kernel/mm/hugepages", f"{NODE}/node5/meminfo"])
@pytest.mark.parametrize("live", [True, False])
def test_a_sampler_that_is_opened_in_a_bad_moment_tries_again(path: str, live: bool) -> None:
    """One open that fails for want of descriptors does not make cpus or huge pages unknown for good."""

    class Moment(Shelf):
        left = 1

        def _fails(self, name: str) -> bool:
            self.left -= name == path
            return name == path and self.left >= 0

        def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
            contents = super().read(paths, base)
            return [
                24 if self._fails(f"{base}/{p}" if base else p) else c for p, c in zip(paths, contents, strict=True)
            ]

        def listdir(self, name: str, prefix: str = "") -> list[str] | int:
            return 24 if self._fails(name) else super().listdir(name, prefix)

    engine = LinuxSampler(Moment(two_cells()), None, live=live, timed=True)
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert sample.shape.cpus == (0, 1, 2, 3)
    assert sample.cell(5).huge_pages == (HugePages(2 * MIB, 2, 2, 0),)
    assert (sample.notes, sample.errors) == ((), ())


def test_what_stays_unreadable_is_said_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE (24) while the CPU list is opened: the sample works without it until a later attempt succeeds."""
    monkeypatch.setattr("numaprobe.sampling.linux.REOPEN_IN", 20_000_000)
    shelf = Shelf(two_cells(), {f"{CPU}/online": 24})
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert sample.shape.cpus is None
    assert sample.errors == ((f"{CPU}/online", 24),)
    shelf.errors.clear()
    again = until(lambda: engine.retried(engine.snapshot, engine.snapshot.ask()), lambda found: not found.errors)
    assert again.shape.cpus == (0, 1, 2, 3)


def test_available_memory_of_a_tree_that_is_being_rewritten_is_a_sample_or_an_error_of_its_own(plant: Plant) -> None:
    """Half-written files must not raise anything untyped."""
    root = plant(two_cells())
    path = root / NODE / "node5/meminfo"
    whole = path.read_text()
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for text in ("", "Node 5 MemTotal: ", "Node 5 MemTotal: 4000 kB\nNode 5 MemFree: x\n", whole):
                path.write_text(text)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        with Sampler(root) as sampler:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    sampler.sample(available=True, counters=True)
                except NumaprobeError:
                    continue
    finally:
        stop.set()
        thread.join()


def test_neither_nodes_nor_cpus_is_no_machine(plant: Plant) -> None:
    """A wrong --root is refused when the sampler is opened and does not give empty samples."""
    with pytest.raises(SourceError, match="no node and no cpu"):
        Sampler(plant({"proc/version": "Linux\n"}))


def test_samples_are_values(plant: Plant) -> None:
    """They can be pickled, hashed and compared, so they fit into queues between processes and sets."""
    with Sampler(plant(two_cells())) as sampler:
        one, other = sampler.sample(counters=True), sampler.sample(counters=True)
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert hash(again) == hash(one)
    assert one != other, "they are of two moments"
    assert "shape 1" in repr(one)


def test_no_link_in_a_tree_leads_out_of_it(plant: Plant, tmp_path: Path) -> None:
    """A tree may come from anyone, so an absolute link resolves below its root and never reads the host's file."""
    (tmp_path / "secret").write_text(meminfo(5, 77, 7))
    tree = two_cells()
    tree[f"{NODE}/node5/meminfo"] = trees.Link(tmp_path / "secret")
    tree["elsewhere"] = meminfo(7, 8000, 1000)
    tree[f"{NODE}/node7/meminfo"] = trees.Link("/elsewhere")
    with Sampler(plant(tree)) as sampler:
        assert {cell.id: cell.total for cell in sampler.sample().cells} == {0: 8000 * KB, 5: None, 7: 8000 * KB}


# --- change of shape -------------------------------------------------------------------------------------------


def add(root: Path, node: int, total_kb: int = 100, free_kb: int = 10) -> None:
    directory = root / NODE / f"node{node}"
    directory.mkdir()
    (directory / "meminfo").write_text(meminfo(node, total_kb, free_kb))


def remove(root: Path, node: int) -> None:
    directory = root / NODE / f"node{node}"
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()


def touched(root: Path) -> None:
    """A file system's clock is coarse: make sure that its directory shows a change at once."""
    os.utime(root / NODE, (time.time() + 5, time.time() + 5))


def test_a_node_that_comes_is_seen(plant: Plant) -> None:
    """As when memory of a CXL device is onlined: a new shape, in which the other cells keep their history."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        sampler.sample()
        add(root, 3)
        sample = until(sampler.sample, lambda sample: sample.shape.number > 1)
        assert sample.shape.number == 2
        assert sample.shape.cells == (0, 3, 5)
        assert sample.shape.since == (1, 2, 1)
        assert [sample.free(cell) for cell in (0, 3, 5)] == [1000 * KB, 10 * KB, 500 * KB]
        assert sampler.free() == {0: 1000 * KB, 3: 10 * KB, 5: 500 * KB}, "buddyinfo does not know it"


def test_a_node_whose_file_comes_later_than_its_directory_is_waited_for(plant: Plant) -> None:
    """Sysfs makes the directory before its attributes, so the first read finds meminfo empty for a few milliseconds."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        (root / NODE / "node3").mkdir()
        (root / NODE / "node3" / "meminfo").touch()
        later = threading.Timer(0.003, (root / NODE / "node3" / "meminfo").write_text, [meminfo(3, 100, 10)])
        later.start()
        sample = until(sampler.sample, lambda sample: 3 in sample.shape.cells)
        assert sample.free(3) == 10 * KB
        later.join()


def test_a_node_that_goes_is_seen(plant: Plant) -> None:
    """The descriptors kept open for it must not go on giving its last figures."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        first = sampler.sample()
        remove(root, 0)
        assert until(sampler.sample, lambda sample: sample.shape.number > 1).shape.cells == (5,)
        assert sampler.free() == {5: 500 * KB}
        assert first.cell(0).free == 1000 * KB, "a sample stays what it was"


def test_a_node_that_gets_another_number_takes_its_figures_along(plant: Plant) -> None:
    """A kept descriptor still reads the old directory, so figures would be given to the wrong id."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        sampler.sample()
        (root / NODE / "node5" / "meminfo").write_text(meminfo(6, 4000, 500))
        (root / NODE / "node5").rename(root / NODE / "node6")
        touched(root)
        sample = until(sampler.sample, lambda sample: sample.shape.number > 1)
        assert {cell.id: cell.free for cell in sample.cells} == {0: 1000 * KB, 6: 500 * KB}


def test_cpus_that_come_or_go_change_the_shape(plant: Plant) -> None:
    """One CPU is taken offline; the cells' memory is continuous, so their since stays 1."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        (root / CPU / "online").write_text("0-2\n")
        sample = until(sampler.sample, lambda sample: sample.shape.number > 1)
        assert (sample.shape.number, sample.shape.cpus) == (2, (0, 1, 2))
        assert sample.shape.since == (1, 1)


def test_memory_that_grows_changes_the_shape_at_once(plant: Plant) -> None:
    """MemTotal is in the text that is read anyway, so hotplug of memory shows in the very same sample."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        first = sampler.sample()
        (root / NODE / "node5" / "meminfo").write_text(meminfo(5, 4096, 600))
        sample = sampler.sample()
        assert sample.cell(5).total == 4096 * KB
        assert sample.shape == Shape(2, (0, 5), (1, 1), (0, 1, 2, 3), (8000 * KB, 4096 * KB))
        assert first.shape.number == 1
        assert sampler.sample().shape.number == 2


def test_a_change_that_changes_nothing_keeps_the_shape(plant: Plant) -> None:
    """A new modification time alone makes the sampler look again, and an equal answer is not a new shape."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        touched(root)
        assert {sampler.sample().shape.number for _ in range(20)} == {1}


def test_a_reader_of_any_kind_follows_change_too() -> None:
    """A reader in Python, without the extension's kept descriptors, gets the same detection by comparing listings."""
    tree = two_cells()
    shelf = Shelf(tree)
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    grown = Shelf({**tree, f"{NODE}/node3/meminfo": meminfo(3, 100, 10)})
    shelf.files, shelf.directories = grown.files, grown.directories
    snapshot = engine.snapshot
    sample = engine.retried(snapshot, snapshot.ask())
    assert (sample.shape.number, sample.shape.cells, sample.free(3)) == (2, (0, 3, 5), 10 * KB)


def test_change_without_end_is_a_clear_error() -> None:
    """A node list that differs at every look ends after a bounded number of attempts and not in an endless loop."""

    class Restless(Shelf):
        turn = 0

        def listdir(self, path: str, prefix: str = "") -> list[str] | int:
            self.turn += path == NODE
            names = super().listdir(path, prefix)
            return names if isinstance(names, int) else names[: 1 + self.turn % 2]

    with pytest.raises(SourceError, match="kept being added or removed"):
        LinuxSampler(Restless(two_cells()), None, live=False, timed=True)


def test_no_figure_is_ever_given_to_another_cell(plant: Plant) -> None:
    """While nodes are removed and added without pause, every cell shows the figures of its own number."""
    tree = trees.machine({0: [0]})
    tree[f"{NODE}/node0/meminfo"] = meminfo(0, 1000, 100)
    root = plant(tree)
    stop = threading.Event()
    numbers = set()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            node = 1 + turn % 3
            hidden = root / f"node{node}"
            hidden.mkdir()
            (hidden / "meminfo").write_text(meminfo(node, 1000 + node, 100 + node))
            hidden.rename(root / NODE / f"node{node}")
            time.sleep(0.004)
            gone = root / NODE / f"node{node}"
            gone.rename(hidden)
            (hidden / "meminfo").unlink()
            hidden.rmdir()
            turn += 1

    with Sampler(root) as sampler:
        thread = threading.Thread(target=change)
        thread.start()
        try:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                sample = sampler.sample()
                numbers.add(sample.shape.number)
                for cell in sample.cells:
                    assert (cell.total, cell.free) == ((1000 + cell.id) * KB, (100 + cell.id) * KB)
                for cell_id, free in sampler.free().items():
                    assert free == (100 + cell_id) * KB
        finally:
            stop.set()
            thread.join()
    assert len(numbers) > 10


# --- rates -------------------------------------------------------------------------------------------------------


def at(seconds: float, *cells: CellSample, since: tuple[int, ...] = ()) -> Sample:
    ids = tuple(cell.id for cell in cells)
    shape = Shape(max(since, default=1), ids, since or (1,) * len(ids), None, tuple(cell.total for cell in cells))
    return made(Origin("linux", shape), int(seconds * 1e9), int(seconds * 1e9), Collected(cells=cells))


def cell(
    number: int, free: int = 0, *, hit: int | None = None, vmstat: dict[str, int | None] | None = None
) -> CellSample:
    counters = None if hit is None else Counters(hit, 0, 0, 0, hit, None)
    return CellSample(number, 1000, free, (), None, counters, None if vmstat is None else tuple(vmstat.items()))


def test_a_difference_has_rates_for_counters_and_bytes_for_memory() -> None:
    """Counters are divided by the seconds between, memory is a signed difference, and what was not sampled is None."""
    rates = at(14, cell(0, 300, hit=150)) - at(12, cell(0, 400, hit=50))
    assert rates.seconds == 2
    (only,) = rates.cells
    assert (only.id, only.total, only.free, only.used) == (0, 0, -100, 100)
    assert only.counters == Counters(50, 0, 0, 0, 50, None)
    assert (only.vmstat, rates.notes) == (None, ())


def test_a_counter_that_passed_its_end_goes_on() -> None:
    """The kernel's 64-bit counters wrap, and a small value after one near the end is 10 more and not a reset."""
    rates = at(2, cell(0, hit=4)) - at(1, cell(0, hit=(1 << 64) - 6))
    assert rates.cell(0).counters == Counters(10, 0, 0, 0, 10, None)


def test_a_counter_that_began_anew_has_no_rate() -> None:
    """A node that was removed and added starts at 0; None and a note stand for it, never a negative rate."""
    rates = at(2, cell(0, hit=4)) - at(1, cell(0, hit=1000))
    assert rates.cell(0).counters == Counters(None, 0, 0, 0, None, None)
    assert rates.notes[0] == Note("cell 0", "hit restarted: 4 after 1000")


def test_a_level_may_fall_and_a_count_may_not() -> None:
    """In vmstat both look alike; names like nr_dirty are levels, whose fall is a fact and not a reset."""
    before = {"nr_dirty": 10, "nr_dirtied": 10, "workingset_nodes": 5, "pgscan": 8, "gone": 1, "none": None}
    after = {"nr_dirty": 4, "nr_dirtied": 4, "workingset_nodes": 3, "pgscan": 10, "new": 1, "none": 1}
    rates = at(3, cell(0, vmstat=after)) - at(1, cell(0, vmstat=before))
    found = rates.cell(0).vmstat
    assert found == (("nr_dirty", -3), ("nr_dirtied", None), ("workingset_nodes", -1), ("pgscan", 1), ("none", None))


def test_only_cells_that_were_there_all_the_while_have_rates() -> None:
    """Cell 2 has the same id in both samples and yet is another node, which only its since shows."""
    rates = at(2, cell(0), cell(2), cell(3), since=(1, 4, 5)) - at(1, cell(0), cell(1), cell(2), since=(1, 1, 1))
    assert [found.id for found in rates.cells] == [0]
    assert {(note.where, note.text) for note in rates.notes} == {
        ("cell 2", "removed and added again in between"), ("cell 3", "added in between"), ("cell 1", "removed in between"),
    }  # fmt: skip
    with pytest.raises(KeyError):
        rates.cell(2)


def test_the_wrong_order_and_two_sources_are_refused() -> None:
    """Such a subtraction gives plausible nonsense, so it raises instead."""
    with pytest.raises(ValueError, match="earlier"):
        at(1) - at(2)
    other = made(Origin("xen", at(3).shape), 3, int(3e9), Collected())
    with pytest.raises(ValueError, match="two sources"):
        other - at(1)
    with pytest.raises(TypeError):
        at(1) - 1  # type: ignore[operator]


# --- scanners ----------------------------------------------------------------------------------------------------

NAMES = ("MemTotal", "MemFree", "HugePages_Total", "HugePages_Free", "HugePages_Surp")
other_lines = st.lists(
    st.sampled_from(
        ["Node 3 MemUsed:   12 kB", "Active(file): 3 kB", "", "HugePages_Rsvd: 4", "Hugepagesize: 2048 kB", "x"]
    ),
    max_size=6,
)
value = st.integers(0, 2**60)


@given(st.lists(value, min_size=5, max_size=5), st.lists(other_lines, min_size=6, max_size=6), st.booleans(), st.booleans(),
       st.sets(st.integers(1, 4)))  # fmt: skip
def test_figures_are_found_between_lines_of_any_kind(
    values: list[int], between: list[list[str]], labelled: bool, ended: bool, absent: set[int]
) -> None:
    """Other kernels may add lines of any form, between which the C scanner has to find the same five values."""
    lines = list(between[0])
    for i, name in enumerate(NAMES):
        if i not in absent:
            lines.append(f"{'Node 3 ' if labelled else ''}{name}:  {values[i]}{' kB' if i < 2 else ''}")
        lines += between[i + 1]
    content = ("\n".join(lines) + ("\n" if ended else "")).encode()
    (row,) = _fast.meminfo_figures([content], Sample).rows()
    assert row == tuple(None if i in absent else value for i, value in enumerate(values))


@given(st.lists(st.tuples(st.integers(0, 70), st.lists(st.integers(0, 1 << 20), min_size=1, max_size=14)), max_size=40))
def test_blocks_of_every_order_add_up(zones: list[tuple[int, list[int]]]) -> None:
    """The oracle is the sum in Python over zones, nodes and orders, compared with the C scanner's."""
    text = "".join(f"Node {node}, zone {'Normal':>8} {''.join(f'{n:6} ' for n in blocks)}\n" for node, blocks in zones)
    wanted: dict[int, int] = {}
    for node, blocks in zones:
        wanted[node] = wanted.get(node, 0) + sum(n << order for order, n in enumerate(blocks))
    assert _fast.buddy_pages(text.encode()) == wanted


@given(st.binary(max_size=300) | st.text("Node 01,zone\n MTHx:", max_size=200).map(str.encode))
def test_bytes_of_any_kind_are_figures_or_an_error(content: bytes) -> None:
    """The three C scanners raise nothing but ValueError, and never read past the end, whatever the bytes."""
    for scan in (
        lambda: _fast.meminfo_figures([content], Sample),
        lambda: _fast.buddy_pages(content),
        lambda: _fast.words(content, (b"Node", b"x")),
    ):
        try:
            scan()
        except ValueError:
            continue


def test_a_number_beyond_belief_is_an_error() -> None:
    """Values past 64 bits, and more orders than any kernel has, must not wrap round to small ones."""
    table = _fast.meminfo_figures([b"MemTotal: 99999999999999999999999 kB\n"], Sample)
    assert (table.rows()[0][0], table.faults and table.faults[0].reason) == (None, _fast.NO_NUMBER)
    for blocks in ("1 " * 41, "9999999999999999", "99999999999999999999999"):
        with pytest.raises(ValueError):
            _fast.buddy_pages(f"Node 0, zone Normal {blocks}\n".encode())


@pytest.mark.parametrize("nodes", [1, 4, 5, 64, 300])
def test_one_and_many_nodes_are_read_alike(plant: Plant, nodes: int) -> None:
    """Node ids have gaps, and files are longer than one read."""
    tree = trees.machine({2 * node: [node] for node in range(nodes)})
    for node in range(nodes):
        tree[f"{NODE}/node{2 * node}/meminfo"] = meminfo(2 * node, 4000, 400 + 4 * node)
    tree["proc/buddyinfo"] = "".join(f"Node {2 * node}, zone   Normal {100 + node:6} {0:6} \n" for node in range(nodes))
    tree["proc/zoneinfo"] = "".join(
        f"Node {2 * node}, zone   Normal\n  pages free 1\n        managed  1000\n" for node in range(nodes)
    )
    with Sampler(plant(tree)) as sampler:
        wanted = {2 * node: (400 + 4 * node) * KB for node in range(nodes)}
        assert sampler._engine.snapshot.has_free
        assert sampler.free() == wanted
        assert {cell.id: cell.free for cell in sampler.sample().cells} == wanted


# --- threads, forks, descriptors -----------------------------------------------------------------------------------


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_threads_share_one_sampler(plant: Plant) -> None:
    """Every thread gets whole samples, while nodes are added and removed and another thread closes it at the end."""
    root = plant(two_cells())
    sampler = Sampler(root)
    failures: list[BaseException] = []
    closed = threading.Event()

    def work() -> None:
        try:
            while True:
                sample = sampler.sample()
                assert (sample.free(0), sample.free(5)) == (1000 * KB, 500 * KB)
                sample = sampler.sample(counters=True, huge_pages=True)
                assert sample.cell(0).counters == Counters(1, 2, 3, 4, 5, 6)
                assert sampler.free()[0] == 1000 * KB
        except ValueError as error:
            if not closed.is_set() or "closed" not in str(error):
                failures.append(error)
        except BaseException as error:
            failures.append(error)

    before = descriptors()
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        add(root, 10 + turn)
        time.sleep(0.005)
        remove(root, 10 + turn)
    closed.set()
    sampler.close()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    assert descriptors() < before


def test_a_closed_sampler_refuses_and_holds_nothing(plant: Plant) -> None:
    """Closing twice is harmless, and /proc/self/fd shows that every kept descriptor is closed."""
    gc.collect()
    before = descriptors()
    sampler = Sampler(plant(two_cells()))
    sampler.sample(counters=True, huge_pages=True)
    assert descriptors() > before
    sampler.close()
    sampler.close()
    for ask in (sampler.sample, sampler.free, lambda: sampler.sample(counters=True), lambda: sampler.free(exact=True)):
        with pytest.raises(ValueError, match="closed"):
            ask()
    gc.collect()
    assert descriptors() == before


def test_files_of_former_shapes_are_not_kept_open(plant: Plant) -> None:
    """A monitoring agent lives through many hotplugs, and old samples still in use must not hold their files."""
    root = plant(two_cells())
    with Sampler(root) as sampler:
        kept = [sampler.sample()]
        before = descriptors()
        for _ in range(5):
            add(root, 9)
            kept.append(until(sampler.sample, lambda sample: 9 in sample.shape.cells))
            remove(root, 9)
            kept.append(until(sampler.sample, lambda sample: 9 not in sample.shape.cells))
        assert kept[-1].shape.number == 11
        assert descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_forked_child_samples_by_itself(plant: Plant) -> None:
    """It opens files of its own, whatever the parent's threads were doing."""
    with Sampler(plant(two_cells())) as sampler:
        sampler.sample(counters=True)
        with sampler._engine._lock():  # type: ignore[attr-defined]
            child = os.fork()
            if child == 0:
                try:
                    good = sampler.sample().free(5) == 500 * KB and sampler.free()[5] == 504 * KB
                    good = good and sampler.sample(counters=True).cell(0).counters is not None
                    sampler.close()
                    os._exit(0 if good else 1)
                except BaseException:
                    os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert sampler.sample().free(5) == 500 * KB


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // KB


def test_many_samples_leave_nothing_behind(plant: Plant) -> None:
    """A leak of a few bytes for each sample would show in the resident size after tens of thousands of them."""
    with Sampler(plant(two_cells())) as sampler:
        sampler.sample(counters=True)

        def some() -> None:
            for _ in range(20_000):
                sampler.sample()
                sampler.free()
            for _ in range(200):
                sampler.sample(counters=True, available=True, huge_pages=True, vmstat=("nr_dirty",)).cells  # noqa: B018

        some()
        before, files = resident_kb(), descriptors()
        some()
        some()
        assert descriptors() == files
        assert resident_kb() - before < 2000


# --- Xen ---------------------------------------------------------------------------------------------------------

FILES = Shelf({"sys/firmware/acpi/tables/SRAT": two_node_srat()})
NUMAINFO = (35, 17)


def xen_sample(engine: XenSampler) -> Sample:
    snapshot = engine.snapshot
    return engine.retried(snapshot, snapshot.ask())


@pytest.mark.parametrize("release", ["4.1", "4.5", "4.6", "4.17", "4.23"])
def test_xen_tells_free_memory_in_one_hypercall(release: str) -> None:
    """Speed is the point of it: a sample of all nodes issues numainfo once, in each ABI since Xen 4.1."""
    xen = two_node_pc(release)
    engine = XenSampler(xen, FILES, timed=True)
    xen.made.clear()
    sample = xen_sample(engine)
    assert xen.made == [NUMAINFO]
    assert sample.source == "xen"
    assert [(cell.id, cell.total, cell.free) for cell in sample.cells] == [
        (0, 655263 * 4096, GIB), (1, 393184 * 4096, GIB + MIB),
    ]  # fmt: skip
    assert sample.shape.cpus == tuple(range(8))
    assert engine.exact_free() == engine.snapshot.free() == {0: GIB, 1: GIB + MIB}
    assert pickle.loads(pickle.dumps(sample)) == sample


def test_available_memory_under_xen_is_less_by_the_claims_where_that_is_known() -> None:
    """Memory claimed for a domain being built is free and yet promised; without that count available is unknown."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    ask = {"huge_pages": True, "counters": True, "vmstat": ()}
    assert [cell.available for cell in engine.detailed(available=True, **ask).cells] == [None, None]  # type: ignore[arg-type]
    xen.outstanding_pages = 0
    assert [cell.available for cell in engine.detailed(available=True, **ask).cells] == [GIB, GIB + MIB]  # type: ignore[arg-type]


def test_a_node_of_xens_that_comes_is_seen() -> None:
    """The hypervisor has no modification times, so the answer to numainfo itself shows the new node."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    xen.nodes[5] = FakeNode(GIB, MIB)
    sample = xen_sample(engine)
    assert sample.shape.number == 2
    assert {found.id: found.free for found in sample.cells} == {0: GIB, 1: GIB + MIB, 5: MIB}
    assert sample.shape.since == (1, 1, 2)


def test_a_span_that_changes_makes_totals_be_asked_for_anew() -> None:
    """Totals come from a dearer call, made again only when numainfo reports another size for the node."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    xen.nodes[1] = FakeNode(4 * GIB, GIB)
    sample = xen_sample(engine)
    assert sample.cells[1].total is None, "the old total is not known to be true any more"
    assert sample.shape.number == 2


def test_a_cpu_of_xens_that_goes_is_seen_after_a_moment() -> None:
    """CPUs are not part of numainfo; they are queried at intervals, so the change may show some samples later."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    xen.cpus[7].online = False
    seen = until(lambda: xen_sample(engine), lambda sample: sample.shape.cpus == tuple(range(7)))
    assert seen.shape.cpus == tuple(range(7))


def test_a_node_number_that_is_absent_is_no_cell() -> None:
    """Xen answers for every number up to the highest, with a marker for those that do not exist."""
    xen = two_node_pc()
    xen.nodes = {0: xen.nodes[0], 3: xen.nodes[1]}
    assert XenSampler(xen, FILES, timed=True).exact_free() == {0: GIB, 3: GIB + MIB}


def test_a_refused_hypercall_is_an_error_with_its_name() -> None:
    """EPERM, as from XSM or outside the control domain, is SourceDenied and not a cell without memory."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    xen.deny[NUMAINFO] = 1
    with pytest.raises(SourceDenied, match="sysctl numainfo"):
        xen_sample(engine)


@pytest.mark.parametrize("sampled", [True, False])
def test_a_transcript_answers_a_sampler_even_if_it_was_made_for_a_probe(sampled: bool) -> None:
    """Older recordings have only the probe's query, whose answer includes the sampler's."""
    from numaprobe.xen.collect import collect

    recorder = RecordingHypercalls(two_node_pc())
    facts = collect(recorder, FILES)
    if sampled:
        XenSampler(recorder, FILES, timed=False, facts=facts)
    engine = XenSampler(Transcript(recorder.text()), FILES, timed=False)
    sample = xen_sample(engine)
    assert sample.time is None
    assert engine.exact_free() == {0: GIB, 1: GIB + MIB}


# --- recordings and the running host -------------------------------------------------------------------------------


def test_a_recording_holds_what_a_sampler_reads(plant: Plant, tmp_path: Path) -> None:
    """A sampler of an archive has the same figures as one of the tree it was made from, on the fast path too."""
    root = plant(two_cells())
    numaprobe.record(tmp_path / "host.tar.gz", root=root)
    everything = {"huge_pages": True, "available": True, "counters": True, "vmstat": ("nr_dirty",)}
    with Sampler(root) as live, Sampler(recording=tmp_path / "host.tar.gz") as recorded:
        assert recorded.sample(**everything).cells == live.sample(**everything).cells  # type: ignore[arg-type]
        assert recorded.sample().cells == live.sample().cells
        assert recorded.free() == live.free()
        assert recorded._engine.snapshot.has_free


def test_a_recorded_machine_samples_as_it_probes(recorded_machine: tuple[Path, str] | None) -> None:
    """On every recorded machine the sampler and the probe report the same memory, or both refuse it."""
    assert recorded_machine is not None
    folder, name = recorded_machine
    recording = folder / f"{name}.tar.gz"
    try:
        host = numaprobe.probe(recording=recording)
    except NumaprobeError as error:
        with pytest.raises(type(error)):
            Sampler(recording=recording)
        return
    with Sampler(recording=recording) as sampler:
        cells = sampler.sample(huge_pages=True, available=True).cells
    assert [(c.id, c.total, c.free, c.available, c.huge_pages) for c in cells] == [
        (c.id, c.memory.total, c.memory.free, c.memory.available, c.huge_pages) for c in host.cells
    ]


def test_the_running_host_is_sampled() -> None:
    """No fixture here: this machine's own kernel is the oracle, with a probe in between and an eighth of tolerance."""
    with Sampler(source="linux") as sampler:
        first = sampler.sample(counters=True)
        free, exact = sampler.free(), sampler.free(exact=True)
        second = sampler.sample(counters=True)
        host = numaprobe.probe(source="linux")
        assert [cell.id for cell in first.cells] == [cell.id for cell in host.cells] == list(free) == list(exact)
        assert first.shape.cpus == tuple(cpu.id for cpu in host.cpus if cpu.online)
        for cell in second.cells:
            known = host.cell(cell.id).memory
            assert cell.total is not None
            assert known.total is not None
            assert abs(cell.total - known.total) <= known.total // 8
        assert (second - first).seconds > 0
