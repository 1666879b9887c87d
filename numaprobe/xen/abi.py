"""Numbers and layouts of the hypercalls that numaprobe makes, as Xen's public headers give them; nothing here acts.

Xen checks the interface version of sysctl and domctl for equality, so a layout belongs to a version and not to a
release. Three eras matter: 4.1 to 4.5 (topology as separate arrays), 4.6 to 4.9 (rows), and the two moves of physinfo
in 4.10 and 4.17. Offsets named ``..._AT`` count from the first byte of the whole operation, header included.
All words are little endian, on every architecture that Xen runs on.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from ..named import namedtuple

# Hypercalls. sysctl, domctl and platform_op take a pointer to their operation, which begins with the command;
# xen_version and memory_op take the command as the first argument and a pointer, or NULL, as the second.
PLATFORM_OP = 7
MEMORY_OP = 12
XEN_VERSION = 17
SYSCTL = 35
DOMCTL = 36

SYSCTL_BYTES = 136
DOMCTL_BYTES = 144
PLATFORM_BYTES = 136

SYSCTL_READCONSOLE = 1
SYSCTL_PHYSINFO = 3
SYSCTL_SCHED_ID = 4
SYSCTL_GETDOMAININFOLIST = 6
SYSCTL_DEBUG_KEYS = 7
SYSCTL_AVAILHEAP = 9
SYSCTL_CPUTOPOINFO = 16
SYSCTL_NUMAINFO = 17
SYSCTL_CPUPOOL = 18
SYSCTL_PCITOPOINFO = 22
# Only in XenServer and XCP-ng since 9: vendors number their own from 1000 on.
SYSCTL_NUMA_MEMINFO = 1117

CPUPOOL_INFO = 3
CPUPOOL_FREEINFO = 7

DOMCTL_GETDOMAININFO = 5
DOMCTL_GETVCPUINFO = 14
DOMCTL_GETVCPUAFFINITY = 25
DOMCTL_GETNODEAFFINITY = 69
# Theirs too.
DOMCTL_NUMA_OP = 1101

PLATFORM_VERSION = 0x03000001
PLATFORM_GET_CPUINFO = 55

MEMORY_MACHINE_MEMORY_MAP = 10
MEMORY_GET_VNUMAINFO = 26

VERSION_NUMBER = 0
VERSION_EXTRA = 1
VERSION_CAPABILITIES = 3
VERSION_CHANGESET = 4
VERSION_COMMANDLINE = 9
VERSION_BYTES = {VERSION_EXTRA: 16, VERSION_CAPABILITIES: 1024, VERSION_CHANGESET: 64, VERSION_COMMANDLINE: 1024}

HYPERCALL_NAMES = {
    PLATFORM_OP: "platform_op",
    MEMORY_OP: "memory_op",
    XEN_VERSION: "xen_version",
    SYSCTL: "sysctl",
    DOMCTL: "domctl",
}

COMMAND_NAMES = {
    (SYSCTL, SYSCTL_READCONSOLE): "readconsole",
    (SYSCTL, SYSCTL_PHYSINFO): "physinfo",
    (SYSCTL, SYSCTL_SCHED_ID): "sched_id",
    (SYSCTL, SYSCTL_GETDOMAININFOLIST): "getdomaininfolist",
    (SYSCTL, SYSCTL_DEBUG_KEYS): "debug_keys",
    (SYSCTL, SYSCTL_AVAILHEAP): "availheap",
    (SYSCTL, SYSCTL_CPUTOPOINFO): "cputopoinfo",
    (SYSCTL, SYSCTL_NUMAINFO): "numainfo",
    (SYSCTL, SYSCTL_CPUPOOL): "cpupool_op",
    (SYSCTL, SYSCTL_PCITOPOINFO): "pcitopoinfo",
    (SYSCTL, SYSCTL_NUMA_MEMINFO): "numa_meminfo",
    (DOMCTL, DOMCTL_GETDOMAININFO): "getdomaininfo",
    (DOMCTL, DOMCTL_GETVCPUINFO): "getvcpuinfo",
    (DOMCTL, DOMCTL_GETVCPUAFFINITY): "getvcpuaffinity",
    (DOMCTL, DOMCTL_GETNODEAFFINITY): "getnodeaffinity",
    (DOMCTL, DOMCTL_NUMA_OP): "numa_op",
    (PLATFORM_OP, PLATFORM_GET_CPUINFO): "get_cpuinfo",
    (MEMORY_OP, MEMORY_MACHINE_MEMORY_MAP): "machine_memory_map",
    (MEMORY_OP, MEMORY_GET_VNUMAINFO): "get_vnumainfo",
    (XEN_VERSION, VERSION_NUMBER): "version",
    (XEN_VERSION, VERSION_EXTRA): "extraversion",
    (XEN_VERSION, VERSION_CAPABILITIES): "capabilities",
    (XEN_VERSION, VERSION_CHANGESET): "changeset",
    (XEN_VERSION, VERSION_COMMANDLINE): "commandline",
}


def call_name(number: int, command: int) -> str:
    """What a hypercall is called in errors, notes and transcripts: ``sysctl numainfo``."""
    hypercall = HYPERCALL_NAMES.get(number, f"hypercall {number}")
    return f"{hypercall} {COMMAND_NAMES.get((number, command), f'command {command}')}"


class Interfaces(namedtuple("Interfaces", "sysctl domctl")):
    """The interface versions of a release; of domctl the release's own first."""

    __slots__ = ()
    sysctl: int
    domctl: tuple[int, ...]


# 4.10.1 changed domctl and not sysctl.
RELEASES: dict[tuple[int, int], Interfaces] = {
    (4, 1): Interfaces(0x08, (0x07,)),
    (4, 2): Interfaces(0x09, (0x08,)),
    (4, 3): Interfaces(0x0A, (0x09,)),
    (4, 4): Interfaces(0x0A, (0x09,)),
    (4, 5): Interfaces(0x0B, (0x0A,)),
    (4, 6): Interfaces(0x0C, (0x0B,)),
    (4, 7): Interfaces(0x0D, (0x0B,)),
    (4, 8): Interfaces(0x0E, (0x0C,)),
    (4, 9): Interfaces(0x0F, (0x0D,)),
    (4, 10): Interfaces(0x10, (0x0F, 0x0E)),
    (4, 11): Interfaces(0x11, (0x10,)),
    (4, 12): Interfaces(0x12, (0x11,)),
    (4, 13): Interfaces(0x12, (0x12,)),
    (4, 14): Interfaces(0x13, (0x12,)),
    (4, 15): Interfaces(0x13, (0x13,)),
    (4, 16): Interfaces(0x14, (0x14,)),
    (4, 17): Interfaces(0x15, (0x15,)),
    (4, 18): Interfaces(0x15, (0x16,)),
    (4, 19): Interfaces(0x15, (0x17,)),
    (4, 20): Interfaces(0x15, (0x17,)),
    (4, 21): Interfaces(0x16, (0x17,)),
    (4, 22): Interfaces(0x16, (0x18,)),
    (4, 23): Interfaces(0x16, (0x18,)),
}

# 4.0 and older keep the topology inside physinfo and have no numainfo; their versions are not tried.
OLDEST_RELEASE = (4, 1)
OLDEST_SYSCTL, NEWEST_SYSCTL = 0x08, 0x16
OLDEST_DOMCTL, NEWEST_DOMCTL = 0x07, 0x18
# How far beyond the newest known version to search.
SEARCH_BEYOND = 8

# The first sysctl version with topology as rows (4.6; changed by Xen commits 05970d10bd and e196ac7ab3).
ROWS_SINCE = 0x0C
# The sysctl version of the first release that any vendor gave numa_meminfo to (4.17 to 4.20 have the same).
CLAIMS_SINCE = 0x15
# The first sysctl version whose physinfo capabilities are numbered hvm, pv, directio (4.12).
CAPABILITIES_RENUMBERED = 0x12

ALL_ONES_32 = 0xFFFFFFFF
ALL_ONES_64 = 0xFFFFFFFFFFFFFFFF
PCI_DEVICE_UNKNOWN = 0xFFFFFFFE

PHYSCAPS_OLD = ("hvm", "hvm_directio")
PHYSCAPS = (
    "hvm",
    "pv",
    "directio",
    "hap",
    "shadow",
    "iommu_hap_pt_share",
    "vmtrace",
    "vpmu",
    "gnttab_v1",
    "gnttab_v2",
)

SCHEDULERS = {4: "sedf", 5: "credit", 6: "credit2", 7: "arinc653", 8: "rtds", 9: "null"}


def _whole(layout: str) -> Struct:
    """A sysctl reply: the 8 bytes of its header are skipped."""
    return Struct("<8x" + layout)


class PhysinfoLayout(namedtuple("PhysinfoLayout", "layout capabilities pad pages outstanding max_mfn")):
    """The layout of physinfo: positions among the words that ``layout`` unpacks, None for a missing field.

    The first seven are threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, max_node_id and cpu_khz;
    ``pages`` is the first of total_pages, free_pages and scrub_pages.
    """

    __slots__ = ()
    layout: Struct
    capabilities: int
    pad: int | None
    pages: int
    outstanding: int | None
    max_mfn: int | None


_PHYSINFO_SINCE = (
    # 4.17: arch_capabilities before the padding
    (
        0x15,
        PhysinfoLayout(layout=_whole("7I I II QQQ QQ"), capabilities=7, pad=9, pages=10, outstanding=13, max_mfn=14),
    ),
    # 4.10
    (0x10, PhysinfoLayout(layout=_whole("7I I QQQ QQ"), capabilities=7, pad=None, pages=8, outstanding=11, max_mfn=12)),
    # 4.3
    (
        0x0A,
        PhysinfoLayout(
            layout=_whole("7I I QQQ Q 32x I"), capabilities=12, pad=7, pages=8, outstanding=11, max_mfn=None
        ),
    ),
    # 4.1
    (
        OLDEST_SYSCTL,
        PhysinfoLayout(
            layout=_whole("7I I QQQ 32x I"), capabilities=11, pad=7, pages=8, outstanding=None, max_mfn=None
        ),
    ),
)


@lru_cache(maxsize=8)
def physinfo_layout(sysctl_version: int) -> PhysinfoLayout:
    """The layout of physinfo in an interface version; that of the newest known one for a newer one."""
    return next(layout for since, layout in _PHYSINFO_SINCE if sysctl_version >= since)


OPERATION_HEADER = Struct("<II")
WORD = Struct("<I")
WORD_AT = 8  # the first word of a sysctl's or platform_op's payload

# cputopoinfo and numainfo, rows: a count, then one handle, or two.
ROWS_HANDLE_AT = 16
DISTANCE_HANDLE_AT = 24
CPUTOPO_ROW = Struct("<III")
MEMINFO_ROW = Struct("<QQ")
# numa_meminfo: a count, a handle; size, free and claimed of each node.
CLAIMS_ROW = Struct("<QQQ")
# The same before 4.6: the last index, then three handles.
ARRAYS_AT = (16, 24, 32)

PCI_DEVS_AT = 16
PCI_NODES_AT = 24
PCI_DEV = Struct("<HBB")

AVAILHEAP = Struct("<IIi4xQ")
AVAILHEAP_AT = 8

# op, pool id, scheduler id, domain, cpu, number of domains, then the handle of the bitmap, and its width in bits.
CPUPOOL = Struct("<IIIIIIQI")
CPUPOOL_AT = 8
CPUPOOL_BITMAP_AT = 32

# xen_cpuid, max_present, flags, apic_id, acpi_id
PCPUINFO = Struct("<IIIII")
PCPUINFO_AT = 8
PCPU_ONLINE = 1
PCPU_NOT_PRESENT = 2

# nr_entries, handle; each entry is packed: address, bytes, type.
MEMORY_MAP = Struct("<I4xQ")
MEMORY_MAP_HANDLE_AT = 8
E820_ENTRY = Struct("<QQI")
E820_RAM = 1

# What a size beyond belief is: well above Xen's own limits (16383 cpus, 64 nodes), so that a reply that was not
# understood cannot make its reader allocate without end.
MAX_CPUS = 1 << 16
MAX_NODES = 1 << 8
MAX_MAP_ENTRIES = 1 << 13
PAGE = 4096
