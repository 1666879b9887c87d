"""Numbers and layouts of the hypercalls about domains, as Xen's public/domctl.h, sysctl.h and memory.h give them.

Rows of getdomaininfolist follow the version of domctl, though sysctl gives them: 4.10.0 and 4.10.1 have one sysctl
version and rows of 96 and 104 bytes. Offsets named ``..._AT`` count from the first byte of the whole operation.
"""

from __future__ import annotations

from struct import Struct

from ...named import namedtuple

# command, interface version, domain; the operation's own words begin at 16.
HEADER = Struct("<IIH6x")
PAYLOAD_AT = 16

# first_domain, max_domains, handle, num_domains
LIST = Struct("<H2xIQI")
LIST_AT = 8
LIST_HANDLE_AT = 16

FIRST_RESERVED = 0x7FF0


class RowLayout(namedtuple("RowLayout", "row names size size_arm")):
    """How getdomaininfo is laid out: what ``row`` unpacks, the names of these fields, and bytes from row to row.

    Arm has more fields behind them since 4.10.1.
    """

    __slots__ = ()
    row: Struct
    names: tuple[str, ...]
    size: int
    size_arm: int


# shared_info_frame and cpu_time, then ssidref, are passed over.
_TAIL = "16x II 4x 16s I"
HANDLE_FROM_END = 20
_HEAD = ("id", "flags", "tot_pages", "max_pages")
_REST = ("online_vcpus", "max_vcpu_id", "handle", "cpupool")
_MIDDLES = (("shr_pages",), ("shr_pages", "paged_pages"), ("outstanding_pages", "shr_pages", "paged_pages"))


def _layout(counts: int, size: int, size_arm: int) -> RowLayout:
    """A row with so many 64-bit counts between the limit and the vcpus."""
    return RowLayout(
        row=Struct(f"<H2xI QQ {counts}Q" + _TAIL),
        names=(*_HEAD, *_MIDDLES[counts - 1], *_REST),
        size=size,
        size_arm=size_arm,
    )


_ROWS_SINCE = (
    (0x14, _layout(3, 112, 120)),  # 4.16: gpaddr_bits
    (0x0F, _layout(3, 104, 112)),  # 4.10.1: arch_config
    (0x09, _layout(3, 96, 96)),  # 4.3: outstanding_pages
    (0x08, _layout(2, 88, 88)),  # 4.2: paged_pages
    (0x07, _layout(1, 80, 80)),  # 4.1
)


def row_layout(domctl_version: int) -> RowLayout:
    """The layout of getdomaininfo in a version of domctl; that of the newest known one for a newer one."""
    return next(layout for since, layout in _ROWS_SINCE if domctl_version >= since)


# A bitmap is a handle and a width in bits.
BITMAP = Struct("<QI4x")
NODE_AFFINITY_HANDLE_AT = 16
# 4.5 put flags behind the vcpu and a second map behind the first.
SOFT_AFFINITY_SINCE = 0x0A
VCPU_AND_FLAGS = Struct("<II")
HARD_AND_SOFT = 3
HARD_HANDLE_AT = 24
SOFT_HANDLE_AT = 40
# vcpu, online, blocked, running, cpu_time, cpu
VCPU_INFO = Struct("<I???xQI")
NODE_AFFINITY_SINCE = 0x09

# op, nr_nodes, handle of 64-bit counts of pages
NUMA_OP = Struct("<I4xI4xQ")
NUMA_OP_GET_NODE_PAGES = 0
NUMA_OP_HANDLE_AT = 32

# domid, nr_vnodes, nr_vcpus, nr_vmemranges, then the three handles
VNUMA = Struct("<H2xIIIQQQ")
VNUMA_HANDLES_AT = (16, 24, 32)
# start, end, flags, nid
VMEMRANGE = Struct("<QQII")
MAX_VNODES = 64
MAX_VMEMRANGES = 128

# clear, incremental, index, handle, count
READCONSOLE = Struct("<BB2xIQI")
READCONSOLE_AT = 8
READCONSOLE_HANDLE_AT = 16
# handle, nr_keys
DEBUG_KEYS = Struct("<QI")
DEBUG_KEYS_HANDLE_AT = 8
