"""What may be requested of a sample: every combination, each limit, and each file that is missing or broken."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trees
from fake_xen import GIB, MIB
from trees import CPU, NODE, Shelf

from numaprobe import _fast
from numaprobe.model.host import HugePages, Note
from numaprobe.sampling.linux import LinuxSampler
from numaprobe.sampling.sample import Sample
from numaprobe.sampling.values import CellSample, Counters

Plant = Callable[[Mapping[str, trees.Content]], Path]
KB = 1024
NOTHING: dict[str, Any] = {"huge_pages": False, "available": False, "counters": False, "vmstat": (), "meminfo": False}
SIZES = "sys/kernel/mm/hugepages/hugepages"


def two_nodes(*, large: tuple[int, int, int] = (1, 1, 0)) -> trees.Machine:
    """Nodes 0 and 5 of a kernel with huge pages of three sizes; those of 1 GiB are on node 0 alone."""
    tree = trees.machine({0: [0, 1], 5: [2, 3]})
    more = {"Active_file": 40, "Inactive_file": 0, "KReclaimable": 20}
    for node, (total, free, pages) in {0: (8000, 1000, (8, 3, 1)), 5: (4000, 500, (0, 0, 0))}.items():
        text = trees.meminfo(node, total, free, **more).partition(f"Node {node} HugePages_Total")[0]
        names = ("HugePages_Total", "HugePages_Free", "HugePages_Surp")
        tree[f"{NODE}/node{node}/meminfo"] = text + "".join(
            f"Node {node} {name}: {value:5}\n" for name, value in zip(names, pages, strict=True)
        )
        tree[f"{NODE}/node{node}/numastat"] = (
            f"numa_hit {node + 1}\nnuma_miss 2\nnuma_foreign 3\ninterleave_hit 4\nlocal_node 5\nother_node 6\n"
        )
        tree[f"{NODE}/node{node}/vmstat"] = f"nr_free_pages {free // 4}\nnr_dirty 7\n"
        none = (0, 0, 0)
        for size, counts in ((64, none), (2048, pages), (1048576, large if node == 0 else none)):
            for name, value in zip(("nr", "free", "surplus"), counts, strict=True):
                tree[f"{NODE}/node{node}/hugepages/hugepages-{size}kB/{name}_hugepages"] = f"{value}\n"
            tree[f"{SIZES}-{size}kB/nr_hugepages"] = "0\n"
    tree["proc/meminfo"] = "MemTotal: 12000 kB\nMemFree: 1500 kB\nHugepagesize:    2048 kB\n"
    tree["proc/zoneinfo"] = "".join(
        f"Node {node}, zone   Normal\n  pages free {free}\n        low      1\n        high     2\n"
        f"        managed  {managed}\n        protection: (0, 0)\n"
        for node, free, managed in ((0, 250, 2000), (5, 125, 1000))
    )
    return tree


def sampler_of(plant: Plant, tree: trees.Machine, reader: str, *, live: bool) -> LinuxSampler:
    if reader == "any":
        return LinuxSampler(Shelf(tree), None, live=live, timed=True)
    files = _fast.Files(plant(tree))
    return LinuxSampler(files, files, live=live, timed=True)


def requested(engine: LinuxSampler, **what: Any) -> Sample:
    return engine.detailed(**{**NOTHING, **what})


@pytest.mark.parametrize("large", [(1, 1, 0), (0, 0, 0)], ids=["pages of 1 GiB", "none of 1 GiB"])
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("reader", ["files", "any"])
def test_what_is_requested_together_is_what_is_requested_alone(
    plant: Plant, reader: str, live: bool, large: tuple[int, int, int]
) -> None:
    """Each of the 32 combinations has exactly its own figures, from files of a running kernel and of a tree."""
    engine = sampler_of(plant, two_nodes(large=large), reader, live=live)
    default = {0: (HugePages(2 * MIB, 8, 3, 1),), 5: (HugePages(2 * MIB, 0, 0, 0),)}
    every = {
        0: (HugePages(64 * KB, 0, 0, 0), HugePages(2 * MIB, 8, 3, 1), HugePages(GIB, *large)),
        5: (HugePages(64 * KB, 0, 0, 0), HugePages(2 * MIB, 0, 0, 0), HugePages(GIB, 0, 0, 0)),
    }
    # Free less the high watermark; 40 kB of files and 20 kB of slabs less what the low one keeps of each.
    available = {0: (1000 - 8 + 40 - 4 + 20 - 4) * KB, 5: (500 - 8 + 40 - 4 + 20 - 4) * KB}
    counters = {0: Counters(1, 2, 3, 4, 5, 6), 5: Counters(6, 2, 3, 4, 5, 6)}
    vmstat = {0: (("nr_dirty", 7),), 5: (("nr_dirty", 7),)}
    fields = {
        node: (
            ("MemTotal", total * KB),
            ("MemFree", free * KB),
            ("Active(file)", 40 * KB),
            ("Inactive(file)", 0),
            ("KReclaimable", 20 * KB),
        )
        for node, total, free in ((0, 8000, 1000), (5, 4000, 500))
    }
    for words in itertools.product((False, True), repeat=5):
        pages, free, numastat, names, meminfo = words
        sample = engine.detailed(
            huge_pages=pages,
            available=free,
            counters=numastat,
            vmstat=("nr_dirty",) if names else (),
            meminfo=meminfo,
        )
        assert sample.cells == tuple(
            CellSample(
                id=node,
                total=total * KB,
                free=left * KB,
                huge_pages=(every if pages else default)[node],
                available=available[node] if free else None,
                counters=counters[node] if numastat else None,
                vmstat=vmstat[node] if names else None,
                meminfo=fields[node] if meminfo else None,
            )
            for node, total, left in ((0, 8000, 1000), (5, 4000, 500))
        ), words
        assert (sample.notes, sample.errors) == ((), ())


@pytest.mark.parametrize("live", [True, False])
def test_huge_pages_that_are_added_or_freed_show_in_the_next_sample(plant: Plant, live: bool) -> None:
    """What was read or computed for one sample must not answer for a later one."""
    root = plant(two_nodes(large=(0, 0, 0)))
    files = _fast.Files(root)
    engine = LinuxSampler(files, files, live=live, timed=True)
    base = root / NODE / "node5/hugepages/hugepages-1048576kB"
    for counts in ((0, 0, 0), (2, 1, 1), (0, 0, 0), (3, 3, 0)):
        for name, value in zip(("nr", "free", "surplus"), counts, strict=True):
            (base / f"{name}_hugepages").write_text(f"{value}\n")
        for more in ({}, {"counters": True}):
            found = requested(engine, huge_pages=True, **more).cells[1].huge_pages
            assert found == (HugePages(64 * KB, 0, 0, 0), HugePages(2 * MIB, 0, 0, 0), HugePages(GIB, *counts))


def test_huge_pages_of_a_node_that_grew_are_those_of_the_new_shape(plant: Plant) -> None:
    """The sample without pages of other sizes is remembered for a shape, which memory hotplug replaces."""
    root = plant(two_nodes(large=(0, 0, 0)))
    files = _fast.Files(root)
    engine = LinuxSampler(files, files, live=True, timed=True)
    assert requested(engine, huge_pages=True).shape.number == 1
    path = root / NODE / "node5/meminfo"
    path.write_text(path.read_text().replace("4000 kB", "4096 kB"))
    for _ in range(2):
        sample = requested(engine, huge_pages=True)
        assert (sample.shape.number, sample.cells[1].total) == (2, 4096 * KB)
        assert [pages.size for pages in sample.cells[1].huge_pages or ()] == [64 * KB, 2 * MIB, GIB]


@pytest.mark.parametrize(
    ("value", "kept"),
    [(0, True), ((1 << 63) - 1, True), (1 << 63, False), ((1 << 64) - 1, False)],
)
def test_a_field_of_vmstat_is_at_most_what_a_signed_counter_of_64_bits_holds(value: int, kept: bool) -> None:
    """The kernel's counters are signed; a larger number is a negative one that wrapped."""
    tree = two_nodes() | {f"{NODE}/node5/vmstat": f"nr_dirty {value}\n"}
    sample = requested(LinuxSampler(Shelf(tree), None, live=False, timed=True), vmstat=True)
    assert sample.cells[1].vmstat == ((("nr_dirty", value),) if kept else ())
    assert [note.where for note in sample.notes] == ([] if kept else ["node5/vmstat nr_dirty"])


@pytest.mark.parametrize(("size", "kept"), [(4000, True), (4001, False)])
def test_a_field_of_a_nodes_meminfo_is_at_most_the_nodes_memory(size: int, kept: bool) -> None:
    """Every size there is a part of the node; the last possible one is all of it."""
    tree = two_nodes()
    tree[f"{NODE}/node5/meminfo"] = f"{tree[f'{NODE}/node5/meminfo']}Node 5 Slab: {size} kB\n"
    sample = requested(LinuxSampler(Shelf(tree), None, live=False, timed=True), meminfo=True)
    assert dict(sample.cells[1].meminfo or ()).get("Slab") == (size * KB if kept else None)
    assert [note.where for note in sample.notes] == ([] if kept else ["node5/meminfo Slab"])


def machine(**more: str) -> trees.Machine:
    """A kernel without nodes, of 9000 kB."""
    text = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 300 kB\n"
    return {f"{CPU}/online": "0\n", f"{CPU}/present": "0\n", "proc/meminfo": text} | {
        name.replace("__", "/"): text for name, text in more.items()
    }


@pytest.mark.parametrize(("size_kb", "kept"), [(34359738367, True), (1 << 46, True), ((1 << 46) + 1, False)])
def test_a_field_of_the_machines_meminfo_may_be_of_addresses(size_kb: int, kept: bool) -> None:
    """VmallocTotal is 32 TiB on a laptop; only more than 56 bits of address hold is left out."""
    tree = machine()
    tree["proc/meminfo"] = f"{tree['proc/meminfo']}VmallocTotal: {size_kb} kB\n"
    sample = requested(LinuxSampler(Shelf(tree), None, live=False, timed=True), meminfo=True)
    assert dict(sample.cells[0].meminfo or ()).get("VmallocTotal") == (size_kb * KB if kept else None)
    assert [note.where for note in sample.notes] == ([] if kept else ["proc/meminfo VmallocTotal"])


def test_a_machine_without_nodes_has_counters_of_the_whole(plant: Plant) -> None:
    """There ``/proc/vmstat`` and ``/proc/meminfo`` are about the only cell, and no file has numastat's counters."""
    tree = machine(proc__vmstat="nr_free_pages 25\nnr_dirty 3\n")
    for reader in ("files", "any"):
        engine = sampler_of(plant, tree, reader, live=False)
        sample = requested(engine, vmstat=True, meminfo=True, counters=True, available=True)
        assert sample.cells == (
            CellSample(
                id=0, total=9000 * KB, free=100 * KB, huge_pages=(), available=300 * KB, counters=None,
                vmstat=(("nr_free_pages", 25), ("nr_dirty", 3)),
                meminfo=(("MemTotal", 9000 * KB), ("MemFree", 100 * KB), ("MemAvailable", 300 * KB)),
            ),
        )  # fmt: skip
        assert (sample.notes, sample.errors) == ((), ())


def test_huge_pages_of_a_machine_without_nodes_are_those_of_the_kernel() -> None:
    """The counts of each size are in one place for the whole machine."""
    tree = machine()
    for name, value in (("nr", 4), ("free", 3), ("surplus", 2)):
        tree[f"{SIZES}-2048kB/{name}_hugepages"] = f"{value}\n"
    sample = requested(LinuxSampler(Shelf(tree), None, live=True, timed=True), huge_pages=True)
    assert sample.cells[0].huge_pages == (HugePages(2 * MIB, 4, 3, 2),)


@pytest.mark.parametrize("reader", ["files", "any"])
def test_a_file_that_is_there_later_is_read_then(plant: Plant, reader: str) -> None:
    """A node's directory is there before its files are, so that a missing file may not be remembered."""
    tree = two_nodes()
    numastat = tree.pop(f"{NODE}/node5/numastat")
    if reader == "any":
        shelf = Shelf(tree)
        engine = LinuxSampler(shelf, None, live=False, timed=True)
    else:
        root = plant(tree)
        files = _fast.Files(root)
        engine = LinuxSampler(files, files, live=False, timed=True)
    sample = requested(engine, counters=True)
    assert [cell.counters for cell in sample.cells] == [Counters(1, 2, 3, 4, 5, 6), None]
    assert (sample.notes, sample.errors, sample.shape.number) == ((), (), 1)
    if reader == "any":
        shelf.files[f"{NODE}/node5/numastat"] = str(numastat).encode()
    else:
        (root / NODE / "node5/numastat").write_text(str(numastat))
    sample = requested(engine, counters=True)
    assert sample.cells[1].counters == Counters(6, 2, 3, 4, 5, 6)
    assert sample.shape.number == 1


def test_a_node_whose_meminfo_is_missing_has_no_fields_and_the_others_do() -> None:
    """It is unknown, not empty, and nobody's fault."""
    tree = two_nodes()
    del tree[f"{NODE}/node5/meminfo"]
    sample = requested(LinuxSampler(Shelf(tree), None, live=False, timed=True), meminfo=True)
    assert sample.cells[0].meminfo is not None
    assert sample.cells[1].meminfo is None
    assert sample.cells[1].free is None
    assert (sample.notes, sample.errors) == ((), ())


def only_node() -> trees.Machine:
    tree = trees.machine({0: [0]})
    tree[f"{NODE}/node0/meminfo"] = trees.meminfo(0, 8000, 1000)
    tree["proc/meminfo"] = "MemTotal: 8000 kB\nMemFree: 900 kB\nMemAvailable: 1500 kB\n"
    return tree


def test_meminfo_of_an_only_node_that_cannot_be_read_any_more_is_said() -> None:
    """Of a machine with one node the kernel's own figure is taken; the node's own stay if that is not readable."""
    shelf = Shelf(only_node())
    engine = LinuxSampler(shelf, None, live=True, timed=True)
    cell = requested(engine, available=True).cells[0]
    assert (cell.total, cell.free, cell.available) == (8000 * KB, 900 * KB, 1500 * KB)
    shelf.errors["proc/meminfo"] = 5
    sample = requested(engine, available=True)
    assert (sample.cells[0].free, sample.cells[0].available) == (1000 * KB, None)
    assert sample.errors == (("proc/meminfo", 5),)
    assert sample.notes == (Note("proc/meminfo", f"cannot be read: {os.strerror(5)}"),)
    shelf.errors.clear()
    assert requested(engine, available=True).cells[0].available == 1500 * KB


def test_available_memory_of_an_only_node_that_is_no_number_is_unknown_and_quoted() -> None:
    """The figures of the same read are kept."""
    shelf = Shelf(only_node())
    engine = LinuxSampler(shelf, None, live=True, timed=True)
    shelf.files["proc/meminfo"] = b"MemTotal: 8000 kB\nMemFree: 900 kB\nMemAvailable: x kB\n"
    sample = requested(engine, available=True)
    assert (sample.cells[0].free, sample.cells[0].available) == (900 * KB, None)
    assert sample.notes == (Note("proc/meminfo", "MemAvailable without a number: 'MemAvailable: x kB'"),)
    assert sample.errors == ()


def test_an_only_node_that_grows_is_not_the_machine_any_more_until_it_is_opened_again(plant: Plant) -> None:
    """What is added may be of another node, so that the node's own figures count from then on."""
    tree = only_node() | {"proc/zoneinfo": "Node 0, zone Normal\n  pages free 250\n managed 2000\n"}
    root = plant(tree)
    files = _fast.Files(root)
    engine = LinuxSampler(files, files, live=True, timed=True)
    assert requested(engine, available=True).cells[0].free == 900 * KB
    (root / NODE / "node0/meminfo").write_text(trees.meminfo(0, 8004, 1000))
    sample = requested(engine, available=True)
    assert (sample.shape.number, sample.cells[0].total, sample.cells[0].free) == (2, 8004 * KB, 1000 * KB)


@pytest.mark.parametrize(("errno", "said"), [(2, False), (20, False), (5, True), (13, True)])
def test_a_zoneinfo_that_is_not_there_is_silent_and_one_that_cannot_be_read_is_not(errno: int, said: bool) -> None:
    """Only what is absent gets no note; available memory is unknown in both cases."""
    engine = LinuxSampler(Shelf(two_nodes(), {"proc/zoneinfo": errno}), None, live=True, timed=True)
    sample = requested(engine, available=True)
    assert [cell.available for cell in sample.cells] == [None, None]
    assert sample.errors == ((("proc/zoneinfo", errno),) if said else ())
    assert [note.where for note in sample.notes] == (["proc/zoneinfo"] if said else [])


def test_a_node_with_no_memory_has_none_available() -> None:
    """Its 0 is a fact, also where zoneinfo does not list it."""
    tree = two_nodes()
    tree[f"{NODE}/node5/meminfo"] = trees.meminfo(5, 0, 0, Active_file=0, Inactive_file=0, KReclaimable=0)
    tree["proc/zoneinfo"] = str(tree["proc/zoneinfo"]).partition("Node 5")[0]
    sample = requested(LinuxSampler(Shelf(tree), None, live=True, timed=True), available=True)
    assert [cell.available for cell in sample.cells] == [1044 * KB, 0]


def test_more_free_huge_pages_than_none_at_all_are_unknown_and_noted() -> None:
    """A total of 0 with some free contradicts itself, and the total is kept."""
    tree = two_nodes()
    text = str(tree[f"{NODE}/node5/meminfo"]).replace("Node 5 HugePages_Free:     0", "Node 5 HugePages_Free:     2")
    tree[f"{NODE}/node5/meminfo"] = text
    engine = LinuxSampler(Shelf(tree), None, live=False, timed=True)
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert sample.cells[1].huge_pages == (HugePages(2 * MIB, 0, None, None),)
    assert sample.notes == (Note("node5/meminfo", "HugePages_Free 2 is more than HugePages_Total 0"),)


@pytest.mark.parametrize(
    ("what", "gone_with"),
    [
        ({"counters": True}, "numastat"),
        ({"vmstat": True}, "vmstat"),
        ({"vmstat": ("nr_dirty",)}, "vmstat"),
        ({"huge_pages": True}, "hugepages"),
        ({"huge_pages": True, "counters": True}, "hugepages"),
        ({"counters": True, "vmstat": True}, "numastat"),
        ({"meminfo": True}, "second meminfo"),
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_a_node_that_is_removed_while_its_files_are_read_is_in_no_sample(
    what: dict[str, Any], gone_with: str, live: bool
) -> None:
    """Figures that are missing for that reason make a sample of the new shape, and not one with holes."""

    class Leaving(Shelf):
        leaves = False

        def _read(self, path: str) -> bytes | int:
            if self.leaves and path.startswith(f"{NODE}/node5/{gone_with}"):
                for name in [name for name in self.files if name.startswith(f"{NODE}/node5/")]:
                    del self.files[name]
                self.directories[NODE].discard("node5")
                self.files[f"{NODE}/online"] = b"0\n"
            return super()._read(path)

    shelf = Leaving(two_nodes())
    engine = LinuxSampler(shelf, None, live=live, timed=True)
    if gone_with == "second meminfo":
        snapshot, asked = engine.snapshot, engine.snapshot.ask()
        gone_with = "meminfo"

        def ask() -> Any:
            shelf.leaves = True
            return asked

        snapshot.ask = ask
    shelf.leaves = gone_with != "meminfo"
    sample = requested(engine, **what)
    assert (sample.shape.number, sample.shape.cells, [cell.id for cell in sample.cells]) == (2, (0,), [0])
    assert (sample.notes, sample.errors) == ((), ())
