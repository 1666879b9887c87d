"""Available memory and huge pages of a running kernel: what is kept between samples, and what makes it be read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trees
from fake_xen import GIB, MIB
from trees import NODE

from numaprobe import Sampler, _fast
from numaprobe.model.host import HugePages
from numaprobe.sampling.linux import LinuxSampler
from numaprobe.sampling.sample import Sample

Plant = Callable[[Mapping[str, trees.Content]], Path]
VM = "proc/sys/vm"
KB = 1024


def zoneinfo(low: int, boost: int | None = 0) -> str:
    """Two nodes of 256 MiB in one zone each."""
    boosted = "" if boost is None else f"        boost    {boost}\n"
    return "".join(
        f"Node {node}, zone   Normal\n  pages free     30000\n{boosted}        min      {low}\n        low      {low}\n"
        f"        high     {2 * low}\n        managed  65536\n        protection: (0, 0)\n"
        for node in (0, 1)
    )


def machine(nodes: int = 2) -> trees.Machine:
    tree = trees.machine({node: [node] for node in range(nodes)})
    for node in range(nodes):
        more = {"Active_file": 0, "Inactive_file": 0, "KReclaimable": 0}
        tree[f"{NODE}/node{node}/meminfo"] = trees.meminfo(node, 262144, 120000, **more)
    tree["proc/zoneinfo"] = zoneinfo(100)
    tree[f"{VM}/min_free_kbytes"] = "1000\n"
    tree[f"{VM}/watermark_scale_factor"] = "10\n"
    tree[f"{VM}/lowmem_reserve_ratio"] = "256\t256\t32\t0\n"
    tree[f"{VM}/watermark_boost_factor"] = "15000\n"
    return tree


def sampler_of(root: Path, *, live: bool = True) -> LinuxSampler:
    files = _fast.Files(root)
    return LinuxSampler(files, files, live=live, timed=True)


def sampled(engine: LinuxSampler, *, huge_pages: bool = False) -> Sample:
    return engine.detailed(huge_pages=huge_pages, available=not huge_pages, counters=False, vmstat=())


def available(engine: LinuxSampler) -> list[int | None]:
    return [cell.available for cell in sampled(engine).cells]


def expected(low: int) -> list[int | None]:
    return [(120000 - 4 * 2 * low) * KB] * 2


@pytest.mark.parametrize("changed", ["min_free_kbytes", "watermark_scale_factor", "lowmem_reserve_ratio"])
def test_watermarks_are_kept_until_a_setting_that_makes_them_changes(plant: Plant, changed: str) -> None:
    """Parsing zoneinfo for each sample is dear, and each of three sysctls makes the kernel compute new watermarks."""
    root = plant(machine())
    engine = sampler_of(root)
    assert available(engine) == expected(100)
    (root / "proc/zoneinfo").write_text(zoneinfo(200))
    assert available(engine) == expected(100), "zoneinfo is not read again"
    (root / VM / changed).write_text("7\n")
    assert available(engine) == expected(200)
    (root / "proc/zoneinfo").write_text(zoneinfo(300))
    assert available(engine) == expected(200), "and kept again"


def test_watermarks_are_read_again_when_memory_is_added(plant: Plant) -> None:
    """Memory hotplug changes the watermarks without touching any sysctl."""
    root = plant(machine())
    engine = sampler_of(root)
    available(engine)
    (root / "proc/zoneinfo").write_text(zoneinfo(200))
    more = {"Active_file": 0, "Inactive_file": 0, "KReclaimable": 0}
    (root / NODE / "node1/meminfo").write_text(trees.meminfo(1, 262148, 120000, **more))
    assert available(engine) == expected(200)


def test_watermarks_are_not_kept_while_a_zone_is_boosted(plant: Plant) -> None:
    """Reclaim ends the boost, and no setting shows it."""
    root = plant({**machine(), "proc/zoneinfo": zoneinfo(150, boost=50)})
    engine = sampler_of(root)
    assert available(engine) == expected(150)
    (root / "proc/zoneinfo").write_text(zoneinfo(100))
    assert available(engine) == expected(100)


@pytest.mark.parametrize(("factor", "kept"), [(None, True), ("0\n", True), ("15000\n", False)])
def test_where_zoneinfo_shows_no_boost_the_kernel_must_not_make_any(
    plant: Plant, factor: str | None, kept: bool
) -> None:
    """Linux before 5.0 has no boost; some after it have one and do not print it."""
    tree = {**machine(), "proc/zoneinfo": zoneinfo(100, boost=None), f"{VM}/watermark_boost_factor": factor or ""}
    if factor is None:
        del tree[f"{VM}/watermark_boost_factor"]
    root = plant(tree)
    engine = sampler_of(root)
    assert available(engine) == expected(100)
    (root / "proc/zoneinfo").write_text(zoneinfo(200, boost=None))
    assert available(engine) == expected(100 if kept else 200)


def test_watermarks_are_read_again_after_a_while(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boost that begins after the last read shows in no setting, so their age is limited (here to 0)."""
    monkeypatch.setattr("numaprobe.sampling.watermarks.KEPT_FOR", 0)
    root = plant(machine())
    engine = sampler_of(root)
    available(engine)
    (root / "proc/zoneinfo").write_text(zoneinfo(200))
    assert available(engine) == expected(200)


def test_of_a_tree_nothing_is_kept(plant: Plant) -> None:
    """Its files may be rewritten in place at any time."""
    root = plant(machine())
    engine = sampler_of(root, live=False)
    available(engine)
    (root / "proc/zoneinfo").write_text(zoneinfo(200))
    assert available(engine) == expected(200)


def test_zoneinfo_that_cannot_be_read_is_in_the_errors(plant: Plant) -> None:
    """Without watermarks available is unknown, and the caller has to learn which file is to blame."""
    tree = machine()
    tree["proc/zoneinfo"] = trees.Link("zoneinfo")
    sample = sampled(sampler_of(plant(tree)))
    assert [cell.available for cell in sample.cells] == [None, None]
    assert [path for path, _ in sample.errors] == ["proc/zoneinfo"]


@pytest.mark.parametrize(("total", "of_machine"), [(262144, True), (262140, False)])
def test_of_an_only_node_with_all_memory_the_kernels_own_figure_is_taken(
    plant: Plant, total: int, of_machine: bool
) -> None:
    """si_mem_available is then about this node alone; where the totals differ, it is not."""
    tree = machine(1)
    tree["proc/meminfo"] = f"MemTotal: {total} kB\nMemFree: 110000 kB\nMemAvailable: 111111 kB\n"
    engine = sampler_of(plant(tree))
    sample = sampled(engine)
    assert sample.cells[0].available == (111111 * KB if of_machine else expected(100)[0])
    assert sample.cells[0].free == (110000 if of_machine else 120000) * KB, "both are of one moment"
    assert sample.figures_from.available == ("/proc/meminfo MemAvailable" if of_machine else "meminfo and zoneinfo")


def test_huge_pages_of_a_running_kernel_are_those_that_every_file_gives(plant: Plant) -> None:
    """Of the default size meminfo has the counts; of other sizes free and surplus are read where there are some."""
    tree = machine()
    tree["proc/meminfo"] = "MemTotal: 1 kB\nHugepagesize: 2048 kB\n"
    sizes = {64: ((0, 0, 0), (0, 0, 0)), 2048: ((8, 3, 1), (0, 0, 0)), 1048576: ((4, 2, 0), (0, 0, 0))}
    for size, counts in sizes.items():
        tree[f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages"] = "9\n"
        for node, (total, free, surplus) in enumerate(counts):
            base = f"{NODE}/node{node}/hugepages/hugepages-{size}kB"
            tree |= {
                f"{base}/{name}_hugepages": f"{value}\n"
                for name, value in zip(("nr", "free", "surplus"), (total, free, surplus), strict=True)
            }
    for node, (total, free, surplus) in enumerate(sizes[2048]):
        text = str(tree[f"{NODE}/node{node}/meminfo"]).partition(f"Node {node} HugePages_Total")[0]
        counts_text = (("Total", total), ("Free", free), ("Surp", surplus))
        text += "".join(f"Node {node} HugePages_{name}: {value}\n" for name, value in counts_text)
        tree[f"{NODE}/node{node}/meminfo"] = text
    root = plant(tree)
    fast = sampled(sampler_of(root), huge_pages=True)
    with Sampler(root) as sampler:
        slow = sampler.sample(huge_pages=True)
    assert fast.cells == slow.cells
    assert fast.cells[0].huge_pages == (
        HugePages(64 * KB, 0, 0, 0), HugePages(2 * MIB, 8, 3, 1), HugePages(GIB, 4, 2, 0),
    )  # fmt: skip
