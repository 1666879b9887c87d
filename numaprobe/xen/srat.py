"""How much memory each of Xen's nodes really has, from ACPI's SRAT cut with the machine's memory map.

What Xen calls a node's size is the span of its addresses, holes and all (``memsize`` of sysctl numainfo, in every
release). The table that Xen itself took the nodes from is readable in a PV control domain, so the ranges are at
hand; what is not is any word from Xen on which range became which node. Nodes are therefore numbered here as Xen
numbers them, by first appearance of their proximity domain among the x2APIC, then the APIC, then the memory entries
(``acpi_numa_init`` in Xen's xen/drivers/acpi/numa.c, ``setup_node`` in xen/arch/x86/srat.c), and nothing is believed
that the hypervisor's other answers do not bear out: see :func:`present_pages`.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from ..errors import FactError
from ..named import namedtuple
from .abi import E820_RAM, PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facts import CpuInfo, CpuTopology, MapEntry, NodeMemory

PATH = "sys/firmware/acpi/tables/SRAT"

# ACPI 6.5, sections 5.2.6 and 5.2.16: the header, and after it 12 reserved bytes before the first entry.
_HEADER = Struct("<4sIB")
_HEADER_BYTES = 48
_APIC, _MEMORY, _X2APIC = 0, 1, 2
_ENTRY_BYTES = {_APIC: 16, _MEMORY: 40, _X2APIC: 24}
_APIC_ENTRY = Struct("<2xBBI")  # domain bits 0 to 7, APIC id, flags; domain bits 8 to 31 follow at 9
_MEMORY_ENTRY = Struct("<2xI2xQQ4xI")  # domain, base, length, flags
_X2APIC_ENTRY = Struct("<4xIII")  # domain, APIC id, flags
_ENABLED, _HOT_PLUGGABLE = 1, 2
# From this table revision on a proximity domain has 32 bits; before it 8 (acpi_numa_*_affinity_init in Xen).
_WIDE_DOMAINS_SINCE = 2


class MemoryRange(namedtuple("MemoryRange", "start end node hot_pluggable")):
    """An enabled memory entry, under Xen's node number; bytes, the end excluded."""

    __slots__ = ()
    start: int
    end: int
    node: int
    hot_pluggable: bool


class Srat(namedtuple("Srat", "domains ranges apic_nodes")):
    """The enabled entries: proximity domains by Xen's node number, memory, and the node of each APIC id."""

    __slots__ = ()
    domains: tuple[int, ...]
    ranges: tuple[MemoryRange, ...]
    apic_nodes: dict[int, int]


@lru_cache(maxsize=2)
def parse(table: bytes) -> Srat:
    """The table as firmware gives it; ``FactError`` where it is cut, spoiled, or not such a table.

    Firmware writes it before the boot, so that it is parsed once.
    """
    where = PATH
    if len(table) < _HEADER_BYTES:
        raise FactError(where, reason=f"only {len(table)} bytes")
    signature, length, revision = _HEADER.unpack_from(table)
    if signature != b"SRAT":
        raise FactError(where, signature, "not the table")
    if not _HEADER_BYTES <= length <= len(table):
        raise FactError(where, str(length), f"a wrong length for {len(table)} bytes")
    if sum(table[:length]) & 0xFF:
        raise FactError(where, reason="wrong checksum")
    entries: dict[int, list[bytes]] = {_APIC: [], _MEMORY: [], _X2APIC: []}
    at = _HEADER_BYTES
    while at < length:
        # Shorter than its own two first bytes, an entry would never end.
        size = table[at + 1] if at + 2 <= length else 0
        if size < 2 or at + size > length:
            raise FactError(where, table[at : at + 2].hex(), f"an entry at {at} with a wrong length")
        kind = table[at]
        if kind in entries:
            if size < _ENTRY_BYTES[kind]:
                raise FactError(where, str(size), f"an entry of type {kind} at {at} with a wrong length")
            entries[kind].append(table[at : at + size])
        at += size
    return _numbered(entries, wide=revision >= _WIDE_DOMAINS_SINCE)


def _numbered(entries: dict[int, list[bytes]], *, wide: bool) -> Srat:
    nodes: dict[int, int] = {}
    apic_nodes: dict[int, int] = {}
    ranges: list[MemoryRange] = []
    for entry in entries[_X2APIC]:
        domain, apic_id, flags = _X2APIC_ENTRY.unpack_from(entry)
        if flags & _ENABLED:
            apic_nodes[apic_id] = nodes.setdefault(domain, len(nodes))
    for entry in entries[_APIC]:
        domain, apic_id, flags = _APIC_ENTRY.unpack_from(entry)
        if wide:
            domain |= int.from_bytes(entry[9:12], "little") << 8
        if flags & _ENABLED:
            apic_nodes[apic_id] = nodes.setdefault(domain, len(nodes))
    for entry in entries[_MEMORY]:
        domain, base, size, flags = _MEMORY_ENTRY.unpack_from(entry)
        if not wide:
            domain &= 0xFF
        if flags & _ENABLED:
            node = nodes.setdefault(domain, len(nodes))
            if size:
                ranges.append(
                    MemoryRange(start=base, end=base + size, node=node, hot_pluggable=bool(flags & _HOT_PLUGGABLE))
                )
    return Srat(tuple(nodes), tuple(ranges), apic_nodes)


def present_pages(
    srat: Srat,
    memory_map: Sequence[MapEntry],
    total_pages: int,
    nodes: Sequence[NodeMemory | None],
    cpus: Sequence[CpuTopology],
    cpuinfo: Sequence[CpuInfo | None] | None,
) -> tuple[int | None, ...]:
    """Pages of RAM of each node, by Xen's node number; None for an absent node.

    ``FactError`` names the check that failed: the nodes are those of the table; each node's span, which Xen cuts at
    the end of RAM, is its memsize; no RAM is in two nodes or in none; all nodes together have exactly
    ``total_pages``; no node has more free than it has; and cpus are where the table puts their APIC ids.

    Nothing is let through but rounding: Xen counts each RAM entry of the map in whole pages (``total_pages`` in
    xen/arch/x86/setup.c), which is done here to each entry's part in a node, and a span that does not end on a page
    may be rounded either way.
    """
    ram = tuple([(address, address + size) for address, size, kind in memory_map if kind == E820_RAM and size])
    if not ram:
        raise FactError("memory_op machine_memory_map", reason="contains no RAM")
    ranges = _without_overlap(srat.ranges)
    _check_spans(srat, nodes, max([end for _, end in ram]) // PAGE * PAGE)
    pages = _cut(ram, ranges, max(len(nodes), len(srat.domains)))
    if sum(pages) != total_pages:
        raise FactError(PATH, f"{sum(pages)} pages", f"its ranges do not add up to the machine's {total_pages} pages")
    for node, found in enumerate(pages):
        memory = nodes[node] if node < len(nodes) else None
        if found and memory is None:
            raise FactError(PATH, f"{found} pages", f"node {node}, which Xen does not have, would have")
        if memory is not None and memory.memfree > found * PAGE:
            raise FactError(PATH, f"{found} pages", f"node {node} has more free memory than the table gives it")
    for cpu, (row, info) in enumerate(zip(cpus, cpuinfo or (), strict=False)):
        if info is not None and info.online and info.apic_id is not None:
            listed = srat.apic_nodes.get(info.apic_id, row.node)
            if listed != row.node:
                raise FactError(PATH, f"node {listed}", f"cpu {cpu} is on node {row.node} for Xen, not as in the table")
    return tuple([None if memory is None else pages[node] for node, memory in enumerate(nodes)])


@lru_cache(maxsize=2)
def _without_overlap(ranges: tuple[MemoryRange, ...]) -> tuple[tuple[int, int, int], ...]:
    """Start, end and node by address, overlaps within a node merged; Xen allows those and gives up NUMA over others."""
    merged: list[tuple[int, int, int]] = []
    last_end = 0
    for start, end, node, _ in sorted(ranges):
        if start < last_end:
            before, _, owner = merged.pop()
            if node != owner:
                raise FactError(PATH, f"{start:#x}", "ranges of two nodes overlap at")
            start, end = before, max(last_end, end)  # noqa: PLW2901 - the merged range
        merged.append((start, end, node))
        last_end = end
    return tuple(merged)


def _check_spans(srat: Srat, nodes: Sequence[NodeMemory | None], top: int) -> None:
    # Hot-pluggable ranges count towards a node's number and not its span (numa_update_node_memblks in Xen).
    spans = dict.fromkeys(srat.apic_nodes.values(), (0, 0))
    for first, last, node, hot_pluggable in srat.ranges:
        if not hot_pluggable:
            start, end = spans.get(node, (0, 0))
            spans[node] = (min(start, first), max(end, last)) if end else (first, last)
    online = {node for node, memory in enumerate(nodes) if memory is not None}
    if online != set(spans):
        raise FactError(PATH, f"{len(spans)} nodes", f"Xen has nodes {sorted(online)} and the table {sorted(spans)}")
    for node, (start, end) in spans.items():
        span = max(0, min(end, top) - min(start, top))
        memory = nodes[node]
        if memory is not None and abs(memory.memsize - span) >= PAGE:
            raise FactError(PATH, f"{span} bytes", f"Xen's node {node} spans {memory.memsize} bytes, in the table")


@lru_cache(maxsize=2)
def _cut(ram: tuple[tuple[int, int], ...], ranges: tuple[tuple[int, int, int], ...], count: int) -> tuple[int, ...]:
    """Pages of RAM by node; both tables are of the boot, so that they are cut once."""
    pages = [0] * count
    for start, end in ram:
        covered = 0
        for first, last, node in ranges:
            if first < end and last > start:
                size = min(end, last) - max(start, first)
                covered += size
                pages[node] += size // PAGE
        if covered != end - start:
            raise FactError(PATH, f"{start:#x}", "RAM that is in no node begins at")
    return tuple(pages)
