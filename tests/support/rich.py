"""A machine that has everything: each file that is read of a Linux host, so that each can be spoiled in turn."""

from __future__ import annotations

import re

from cache_files import usual_caches
from trees import CPU, NODE, Machine, fold, machine, meminfo

MEMORY_KB = 4 << 20
PAGES = 10
ACCESS = {"read_latency": 120, "write_latency": 130, "read_bandwidth": 9000, "write_bandwidth": 8000}
SIDE_CACHE = {"size": 16 << 20, "line_size": 64, "indexing": 0, "write_policy": 1, "address_mode": 1}
PCI = {"numa_node": "1", "class": "0x020000", "vendor": "0x8086", "device": "0x1572"}
ZONE = """Node {node}, zone   Normal
  pages free     524288
        boost    0
        min      16000
        low      20000
        high     24000
        spanned  1048576
        present  1048576
        managed  1048576
        protection: (0, 0, 0, 0)
      nr_zone_inactive_file 100
      nr_zone_active_file 200
      nr_free_cma  50
  pagesets
    cpu: 0
              count: 3
              high:  7
"""


def kinds_of_files() -> list[str]:
    """The files of ``rich`` that have text: the first of each kind, and the last where there are several."""
    kinds: dict[str, list[str]] = {}
    for path, content in sorted(rich().items()):
        if content:
            kinds.setdefault(re.sub(r"(cpu|node|index|memory)\d+", r"\1N", path), []).append(path)
    return sorted({path for paths in kinds.values() for path in (paths[0], paths[-1])})


def rich() -> Machine:
    """Two cells with cpus and huge pages, one of CXL memory, caches, tiers, classes of access, devices, limits."""
    cells: dict[int, list[int]] = {0: [0, 1, 2, 3], 1: [4, 5, 6, 7], 2: []}
    tree = machine(cells, threads=2, memory_kb=MEMORY_KB, distances={0: [10, 21, 31], 1: [21, 10, 32], 2: [31, 32, 10]})
    tree[f"{CPU}/nohz_full"] = "7\n"
    tree[f"{CPU}/isolated"] = "3\n"
    tree[f"{CPU}/smt/active"] = "1\n"
    tree[f"{NODE}/has_cpu"] = "0-1\n"
    tree[f"{NODE}/has_memory"] = "0-2\n"
    for cell, members in cells.items():
        for cpu in members:
            topology = f"{CPU}/cpu{cpu}/topology"
            core = members[(cpu - members[0]) // 2 * 2 :][:2]
            tree[f"{topology}/die_id"] = "0\n"
            tree[f"{topology}/die_cpus_list"] = fold(members)
            tree[f"{topology}/cluster_id"] = f"{core[0]}\n"
            tree[f"{topology}/cluster_cpus_list"] = fold(core)
            tree[f"{topology}/book_id"] = "0\n"
            tree[f"{topology}/book_siblings_list"] = "0-7\n"
            tree[f"{topology}/drawer_id"] = "0\n"
            tree[f"{topology}/drawer_siblings_list"] = "0-7\n"
            tree[f"{CPU}/cpu{cpu}/cpu_capacity"] = "1024\n" if cell else "512\n"
        node = f"{NODE}/node{cell}"
        tree[f"{node}/cpumap"] = f"{sum(1 << cpu for cpu in members):08x}\n"
        tree[f"{node}/meminfo"] = meminfo(
            cell, MEMORY_KB, MEMORY_KB // 2, Active_file=1000, Inactive_file=2000, KReclaimable=300, SReclaimable=200
        )
        tree.update({f"{node}/access0/initiators/{name}": f"{value}\n" for name, value in ACCESS.items()})
        tree[f"{node}/access0/initiators/node0"] = None
        for name, count in (("nr", PAGES), ("free", PAGES // 2), ("surplus", 1)):
            tree[f"{node}/hugepages/hugepages-2048kB/{name}_hugepages"] = f"{count}\n"
    tree.update({f"{NODE}/node2/memory_side_cache/index1/{name}": f"{v}\n" for name, v in SIDE_CACHE.items()})
    tree.update({f"sys/kernel/mm/mempolicy/weighted_interleave/node{cell}": f"{5 - cell}\n" for cell in cells})
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"] = f"{3 * PAGES}\n"
    tree[f"{NODE}/has_generic_initiator"] = "1-2\n"
    for cell in cells:
        failures = {"total": 9, "recovered": 5, "ignored": 1, "failed": 1, "delayed": 2}
        tree.update({f"{NODE}/node{cell}/memory_failure/{name}": f"{count}\n" for name, count in failures.items()})
        for block in (2 * cell, 2 * cell + 1):
            tree[f"{NODE}/node{cell}/memory{block}/state"] = "online\n"
            tree[f"sys/devices/system/memory/memory{block}/state"] = "online\n"
            tree[f"sys/devices/system/memory/memory{block}/valid_zones"] = "Movable\n" if block % 2 else "Normal\n"
    tree["sys/devices/system/memory/block_size_bytes"] = "80000000\n"
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"] = "1\n"
    tree["proc/buddyinfo"] = "".join(f"Node {cell}, zone   Normal {' 1' * 10} 1000\n" for cell in cells)
    tree["proc/thread-self/numa_maps"] = "55e0c0000000 bind:0-1 file=/usr/bin/x mapped=1 N0=1 kernelpagesize_kB=4\n"
    tree["sys/fs/cgroup/a/memory.max"] = "536870912\n"
    tree["sys/fs/cgroup/a/memory.current"] = "268435456\n"
    tree["sys/fs/cgroup/a/memory.stat"] = "anon 260046848\nactive_file 4096\ninactive_file 8192\nslab_reclaimable 512\n"
    tree["sys/devices/cpu_atom/cpus"] = "0-3\n"
    tree["sys/devices/cpu_core/cpus"] = "4-7\n"
    tree["sys/devices/virtual/memory_tiering/memory_tier4/nodelist"] = "0-1\n"
    tree["sys/devices/virtual/memory_tiering/memory_tier22/nodelist"] = "2\n"
    tree["sys/bus/dax/devices/dax0.0/target_node"] = "2\n"
    tree["sys/bus/cxl/devices/region0/dax_region0/dax0.0/target_node"] = "2\n"
    tree["proc/driver/nvidia/gpus/0000:01:00.0/numa_status"] = "Node: -1\nStatus: offline\n"
    tree.update({f"sys/bus/pci/devices/0000:3b:00.0/{name}": f"{value}\n" for name, value in PCI.items()})
    tree["sys/bus/pci/devices/0000:3b:00.0/net/eth0"] = None
    bridge = {**PCI, "class": "0x060400"}
    tree.update({f"sys/bus/pci/devices/0000:3a:00.0/{name}": f"{value}\n" for name, value in bridge.items()})
    tree["sys/bus/pci/devices/0000:3a:00.0/0000:3c:00.0"] = None
    unknown = {**PCI, "numa_node": "-1", "local_cpulist": "4-7"}
    tree.update({f"sys/bus/pci/devices/0000:3c:00.0/{name}": f"{value}\n" for name, value in unknown.items()})
    tree["proc/zoneinfo"] = "".join(ZONE.format(node=cell) for cell in cells)
    tree["proc/meminfo"] = meminfo(None, 3 * MEMORY_KB, 3 * MEMORY_KB // 2, MemAvailable=MEMORY_KB)
    tree["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-6\nMems_allowed_list:\t0-1\n"
    tree["proc/self/cgroup"] = "0::/a\n"
    tree["proc/self/mountinfo"] = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    tree["sys/fs/cgroup/cpuset.cpus.effective"] = "0-5\n"
    tree["sys/fs/cgroup/a/cpu.max"] = "150000 100000\n"
    tree |= usual_caches([(0, 1), (2, 3), (4, 5), (6, 7)], [(0, 1, 2, 3), (4, 5, 6, 7)])
    for name, value in (("coherency_line_size", 64), ("ways_of_associativity", 16), ("number_of_sets", 2048)):
        tree |= {f"{CPU}/cpu{cpu}/cache/index3/{name}": f"{value}\n" for cpu in range(8)}
    return tree
