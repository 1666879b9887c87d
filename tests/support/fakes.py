"""Writes the hand-made machines of ``tests/fixtures/fake-*``: ``python tests/fakes.py``.

They stand for what the lab cannot boot: Xen releases without packages, and Linux machines that are too large, too rare
or too broken to be had.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import fake_xen
import trees
from cache_files import usual_caches

import numaprobe
from numaprobe.sources.transcript import RecordingHypercalls
from numaprobe.xen.collect import collect

FIXTURES = Path(__file__).parents[1] / "fixtures"
ADDRESSES = ("0000:00:00.0", "0000:00:1f.2")

XEN = {
    "4.2": "arrays by cpu and node, absent cpus at the end, no claims and no PCI nodes",
    "4.5": "the last release with arrays by cpu and node, and claims",
    "4.6": "the first release with rows by cpu and node, and with the nodes of PCI devices",
    "4.10.0": "physinfo moved, with a domctl version that 4.10.1 changed again",
    "4.10.1": "the sysctl version of 4.10.0 with another domctl version",
    "4.21": "an output bitmap that is too small comes back spoiled",
}


def xen_machine(release: str) -> trees.Machine:
    """A control domain of two virtual cpus on the two-node machine that ``fake_xen`` makes."""
    hypervisor = fake_xen.two_node_pc(release)
    hypervisor.cpus[5].online = False
    hypervisor.cpus[7].online = False
    calls = RecordingHypercalls(hypervisor)
    collect(calls, fake_xen.SRAT, ADDRESSES)
    tree = trees.machine({0: [0, 1]}, memory_kb=768 << 10)
    for address in ADDRESSES:
        directory = f"sys/bus/pci/devices/{address}"
        tree |= {f"{directory}/numa_node": "-1\n", f"{directory}/class": "0x060000\n"}
    return tree | {
        "sys/hypervisor/type": "xen\n",
        "sys/hypervisor/properties/features": "000228f0\n",
        "sys/firmware/acpi/tables/SRAT": fake_xen.two_node_srat(),
        "xen/transcript.jsonl": calls.text(),
    }


def wide() -> trees.Machine:
    """Eight cells of 160 cpus, node ids beyond a word of 64 bits, cpu ids beyond 1024."""
    return trees.machine({cell: range(160 * i, 160 * (i + 1)) for i, cell in enumerate(range(0, 256, 32))}, threads=2)


def contested() -> trees.Machine:
    """Firmware that gives every cpu to every node."""
    tree = trees.machine({0: range(4), 1: range(4, 8)})
    return tree | {f"{trees.NODE}/node{node}/cpulist": "0-7\n" for node in (0, 1)}


def hybrid_arm() -> trees.Machine:
    """Three kinds of cores told apart by their capacity, on a kernel without nodes."""
    tree = {path: text for path, text in trees.machine({0: range(8)}).items() if not path.startswith(trees.NODE)}
    for cpu, capacity in enumerate((446, 446, 446, 871, 871, 871, 871, 1024)):
        tree[f"{trees.CPU}/cpu{cpu}/cpu_capacity"] = f"{capacity}\n"
    return tree | {"proc/meminfo": trees.meminfo(None, 8 << 20, 6 << 20, MemAvailable=7 << 20)}


def first_node_gone() -> trees.Machine:
    """Node 0 and cpu 0 are offline, and so is every odd node; distances are asymmetric."""
    distances = {2: (10, 31, 42), 4: (13, 10, 24), 6: (24, 42, 10)}
    tree = trees.machine({2: (2, 3), 4: (4, 5), 6: ()}, distances=distances)
    return tree | {f"{trees.CPU}/present": "0-5\n", f"{trees.NODE}/possible": "0-7\n"}


def chiplets() -> trees.Machine:
    """Two packages of two cells; in each cell two groups of cores with an L3 of their own, as on EPYC with NPS2."""
    cores = [(core, core + 16) for core in range(16)]
    cells = {cell: [cpu for core in cores[4 * cell : 4 * cell + 4] for cpu in core] for cell in range(4)}
    distances = {cell: [10 if cell == o else 12 if cell // 2 == o // 2 else 32 for o in cells] for cell in cells}
    tree = trees.machine({cell: sorted(cpus) for cell, cpus in cells.items()}, distances=distances)
    for core, threads in enumerate(cores):
        package = core // 8
        for cpu in threads:
            topology = f"{trees.CPU}/cpu{cpu}/topology"
            tree[f"{topology}/physical_package_id"] = f"{package}\n"
            tree[f"{topology}/package_cpus_list"] = trees.fold([c for pair in cores[8 * package :][:8] for c in pair])
            tree[f"{topology}/core_id"] = f"{core % 8}\n"
            tree[f"{topology}/core_cpus_list"] = trees.fold(threads)
    last = [[cpu for core in cores[first : first + 2] for cpu in core] for first in range(0, 16, 2)]
    return tree | usual_caches(cores, [sorted(group) for group in last])


LINUX = {
    "chiplets": (chiplets, "eight last-level caches in four cells of two packages, threads numbered apart"),
    "wide": (wide, "1280 cpus, node ids to 224: more than the masks of old programs hold"),
    "contested": (contested, "every node claims every cpu, so that no cpu's cell is known"),
    "hybrid-arm": (hybrid_arm, "three kinds of cores by capacity, and a kernel without nodes"),
    "first-node-gone": (first_node_gone, "node 0 and cpu 0 are not online, and a node has no cpus"),
}


def write(name: str, why: str, tree: trees.Machine) -> None:
    """One fixture: the tree recorded as numaprobe records."""
    folder = FIXTURES / f"fake-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = trees.plant(Path(scratch) / "root", tree)
        numaprobe.record(folder / "host.tar.gz", root=root)
    (folder / "why.txt").write_text(why + "\n")


def main() -> None:
    for release, why in XEN.items():
        write(f"xen-{release}", f"Xen {release} by hand: {why}", xen_machine(release))
    for name, (make, why) in LINUX.items():
        write(name, why, make())


if __name__ == "__main__":
    main()
