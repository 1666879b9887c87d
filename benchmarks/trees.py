"""Synthetic machines: a tree of files named and written as an x86 kernel of the 6.1 series does.

Both forms are there of everything that has two, the lists that numaprobe reads and the masks that hwloc reads; so are
caches and ``/proc/cpuinfo``, as on any real machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

THREADS = 2
PAGES = 1 << 20
HUGE_KB = (2048, 1048576)
PAGE_KB = 4
FLAGS = " ".join(["fpu", "lm", *(f"flag_{i:02d}" for i in range(118))])
CACHES = ((1, "Data", 32), (1, "Instruction", 32), (2, "Unified", 1024), (3, "Unified", 32768))


class Shape(NamedTuple):
    """A machine of equal nodes, one package each, two threads to a core."""

    nodes: int
    cpus: int

    def __str__(self) -> str:
        return f"{self.nodes} × {self.cpus}"


def ids_text(ids: Iterable[int]) -> str:
    """The kernel's list format: ``0-3,8``."""
    spans: list[list[int]] = []
    for i in sorted(ids):
        if spans and spans[-1][1] == i - 1:
            spans[-1][1] = i
        else:
            spans.append([i, i])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans) + "\n"


def mask_text(ids: Iterable[int], width: int) -> str:
    """The kernel's mask format for ``width`` possible ids: ``00000000,0000000f``."""
    number = 0
    for i in ids:
        number |= 1 << i
    words = max(1, (width + 31) // 32)
    return ",".join(f"{number >> 32 * word & 0xFFFFFFFF:08x}" for word in reversed(range(words))) + "\n"


class Writer:
    """Writes text files below a directory, making each directory once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: set[str] = set()

    def __call__(self, directory: str, **files: str) -> None:
        if directory not in self._made:
            (self._root / directory).mkdir(parents=True, exist_ok=True)
            self._made.add(directory)
        for name, content in files.items():
            (self._root / directory / name).write_text(content)


def build(root: Path, shape: Shape) -> None:
    """Write the machine; ``root`` should be on a tmpfs, so that no disk is measured."""
    write = Writer(root)
    cores = shape.cpus // THREADS
    cores_per_node = max(1, cores // shape.nodes)
    everyone = ids_text(range(shape.cpus))
    write("sys/devices/system/cpu", online=everyone, present=everyone, possible=everyone, offline="\n", isolated="\n")
    write("sys/devices/system/cpu/smt", active="1\n", control="on\n")
    all_nodes = ids_text(range(shape.nodes))
    write("sys/devices/system/node", online=all_nodes, possible=all_nodes, has_cpu=all_nodes, has_memory=all_nodes)
    for size in HUGE_KB:
        _huge_pages(write, "sys/kernel/mm/hugepages", size)
    for node in range(shape.nodes):
        first = node * cores_per_node
        threads = [core + thread * cores for thread in range(THREADS) for core in range(first, first + cores_per_node)]
        _node(write, shape, node, threads)
        _cpus(write, shape, node, range(first, first + cores_per_node), threads)
    zoneinfo = "".join(_zones(node, shape.cpus) for node in range(shape.nodes))
    cpuinfo = "".join(_processor(cpu, cores, cores_per_node) for cpu in range(shape.cpus))
    write("proc", zoneinfo=zoneinfo, meminfo=_meminfo(shape.nodes * PAGES * PAGE_KB), cpuinfo=cpuinfo)


def _huge_pages(write: Writer, directory: str, size: int) -> None:
    write(f"{directory}/hugepages-{size}kB", nr_hugepages="0\n", free_hugepages="0\n", surplus_hugepages="0\n")


def _node(write: Writer, shape: Shape, node: int, cpus: list[int]) -> None:
    directory = f"sys/devices/system/node/node{node}"
    write(
        directory,
        cpulist=ids_text(cpus),
        cpumap=mask_text(cpus, shape.cpus),
        distance=" ".join("10" if other == node else "21" for other in range(shape.nodes)) + "\n",
        meminfo=_meminfo(PAGES * PAGE_KB, f"Node {node} "),
    )
    for size in HUGE_KB:
        _huge_pages(write, f"{directory}/hugepages", size)


def _cpus(write: Writer, shape: Shape, package: int, cores: range, threads: list[int]) -> None:
    cores_in_all = shape.cpus // THREADS
    package_list, package_mask = ids_text(threads), mask_text(threads, shape.cpus)
    for core in cores:
        siblings = [core + thread * cores_in_all for thread in range(THREADS)]
        core_list, core_mask = ids_text(siblings), mask_text(siblings, shape.cpus)
        for cpu in siblings:
            write(f"sys/devices/system/cpu/cpu{cpu}", online="1\n")
            write(
                f"sys/devices/system/cpu/cpu{cpu}/topology",
                physical_package_id=f"{package}\n",
                die_id="0\n",
                cluster_id=f"{core * 2}\n",
                core_id=f"{core - cores[0]}\n",
                package_cpus_list=package_list,
                package_cpus=package_mask,
                core_siblings_list=package_list,
                core_siblings=package_mask,
                die_cpus_list=package_list,
                die_cpus=package_mask,
                cluster_cpus_list=core_list,
                cluster_cpus=core_mask,
                core_cpus_list=core_list,
                core_cpus=core_mask,
                thread_siblings_list=core_list,
                thread_siblings=core_mask,
            )
            for index, (level, kind, size) in enumerate(CACHES):
                write(
                    f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}",
                    level=f"{level}\n",
                    type=f"{kind}\n",
                    size=f"{size}K\n",
                    id=f"{package if level == 3 else core}\n",
                    coherency_line_size="64\n",
                    number_of_sets=f"{size * 2}\n",
                    ways_of_associativity="8\n",
                    physical_line_partition="1\n",
                    shared_cpu_list=package_list if level == 3 else core_list,
                    shared_cpu_map=package_mask if level == 3 else core_mask,
                )


def _processor(cpu: int, cores: int, cores_per_node: int) -> str:
    """One cpu's paragraph of ``/proc/cpuinfo``, with as many flags as processors have now."""
    package, core = divmod(cpu % cores, cores_per_node)
    fields = {
        "processor": cpu, "vendor_id": "GenuineIntel", "cpu family": 6, "model": 143, "model name": "synthetic",
        "stepping": 8, "microcode": "0x2b000571", "cpu MHz": "2000.000", "cache size": "32768 KB",
        "physical id": package, "siblings": cores_per_node * THREADS, "core id": core, "cpu cores": cores_per_node,
        "apicid": cpu, "initial apicid": cpu, "fpu": "yes", "fpu_exception": "yes", "cpuid level": 31, "wp": "yes",
        "flags": FLAGS, "bugs": "spectre_v1 spectre_v2", "bogomips": "4000.00",
        "clflush size": 64, "cache_alignment": 64, "address sizes": "46 bits physical, 57 bits virtual",
        "power management": "",
    }  # fmt: skip
    return "".join(f"{name:<15}\t: {value}\n" for name, value in fields.items()) + "\n"


def _meminfo(total_kb: int, prefix: str = "") -> str:
    fields = {
        "MemTotal": total_kb, "MemFree": total_kb // 2, "MemUsed": total_kb // 2, "SwapCached": 0,
        "Active": total_kb // 4, "Inactive": total_kb // 8, "Active(anon)": total_kb // 8, "Inactive(anon)": 0,
        "Active(file)": total_kb // 8, "Inactive(file)": total_kb // 8, "Unevictable": 0, "Mlocked": 0, "Dirty": 12,
        "Writeback": 0, "FilePages": total_kb // 4, "Mapped": 81920, "AnonPages": total_kb // 8, "Shmem": 4096,
        "KernelStack": 8192, "PageTables": 16384, "SecPageTables": 0, "NFS_Unstable": 0, "Bounce": 0,
        "WritebackTmp": 0, "KReclaimable": total_kb // 32, "Slab": total_kb // 16, "SReclaimable": total_kb // 32,
        "SUnreclaim": total_kb // 32, "AnonHugePages": 0, "ShmemHugePages": 0, "ShmemPmdMapped": 0,
        "FileHugePages": 0, "FilePmdMapped": 0, "Unaccepted": 0,
    }  # fmt: skip
    lines = [f"{prefix}{name + ':':<15} {value:8d} kB\n" for name, value in fields.items()]
    return "".join(lines) + "".join(f"{prefix}HugePages_{name}:     0\n" for name in ("Total", "Free", "Surp"))


def _zones(node: int, cpus: int) -> str:
    """One node's part of ``/proc/zoneinfo``: with what makes it long, a paragraph for each cpu."""
    counters = "".join(f"      nr_{name:<12} {i * 1000}\n" for i, name in enumerate(("zone_active", "mlock", "bounce")))
    pagesets = "".join(
        f"    cpu: {cpu}\n              count:    212\n              high:     1742\n              batch:    63\n"
        f"              high_min: 1742\n              high_max: 14432\n  vm stats threshold: 125\n"
        for cpu in range(cpus)
    )
    normal = (
        f"Node {node}, zone   Normal\n  pages free     {PAGES // 2}\n        boost    0\n"
        f"        min      {PAGES // 256}\n"
        f"        low      {PAGES // 205}\n        high     {PAGES // 171}\n        promo    {PAGES // 146}\n"
        f"        spanned  {PAGES}\n        present  {PAGES}\n        managed  {PAGES}\n        cma      0\n"
        f"        protection: (0, 0, 0, 0, 0)\n{counters}  pagesets\n{pagesets}"
        f"  node_unreclaimable:  0\n  start_pfn:           {node * PAGES}\n  reserved_highatomic: 0\n"
    )
    empty = "".join(
        f"Node {node}, zone {name:>8}\n  pages free     0\n        boost    0\n        min      0\n        low      0\n"
        f"        high     0\n        promo    0\n        spanned  0\n        present  0\n        managed  0\n"
        f"        cma      0\n        protection: (0, 0, 0, 0, 0)\n"
        for name in ("Movable", "Device")
    )
    return normal + empty
