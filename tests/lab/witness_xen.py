"""Parsers of what Xen's own toolstack prints, and of the hypervisor's console."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .machines import Machine

PAGE = 4096
MIB = 1 << 20
_FOUR_GIB = 1 << 32
Range = tuple[int, int]  # first byte, first byte after


@dataclass(frozen=True)
class XlNode:
    """A node of ``xl info -n``; ``memsize`` is the span of its addresses. Both in whole MiB."""

    memsize: int
    memfree: int
    distances: list[int]  # to the nodes from 0 on


@dataclass(frozen=True)
class XlInfo:
    words: dict[str, str]
    cpus: dict[int, tuple[int, int, int]]  # core, socket, node
    nodes: dict[int, XlNode]
    devices: dict[str, int]  # PCI address: node


def xl_info(text: str) -> XlInfo:
    """``xl info -n``, of every release from 4.14 to 4.20."""
    words, cpus, nodes, devices = {}, {}, {}, {}
    section = ""
    for line in text.splitlines():
        if found := re.fullmatch(r"(cpu_topology|device topology|numa_info) *:", line):
            section = found[1]
        elif found := re.fullmatch(r"([a-z_]+) *: (.*)", line):
            words[found[1]] = found[2]
        elif section == "device topology" and (found := re.fullmatch(r"([\da-f:]+\.\d) +(\d+)", line)):
            devices[found[1]] = int(found[2])
        elif found := re.fullmatch(r" *(\d+): +(\d+) +(\d+) +([\d,]+)", line):
            number, first, second = (int(word) for word in found.groups()[:3])
            last = [int(word) for word in found[4].split(",")]
            if section == "numa_info":
                nodes[number] = XlNode(first, second, last)
            else:
                cpus[number] = (first, second, last[0])
    return XlInfo(words, cpus, nodes, devices)


@dataclass(frozen=True)
class KeyNode:
    """What debug key ``u`` says of a node, in pages."""

    start: int
    size: int
    free: int


def debug_key(text: str) -> dict[int, KeyNode]:
    """The nodes of the last answer to debug key ``u`` in ``xl dmesg``."""
    last = text.rpartition("'u' pressed")[2]
    rows = re.findall(r"NODE(\d+) start->(\d+) size->(\d+) free->(\d+)", last)
    return {int(node): KeyNode(int(start), int(size), int(free)) for node, start, size, free in rows}


def memory_map(text: str) -> list[Range]:
    """The usable ranges of the machine's memory map, cut to whole pages, from the hypervisor's boot messages."""
    rows = re.findall(r"\[([\da-f]{16}), ([\da-f]{16})\] \(usable\)", text)
    ranges = [(-(-int(first, 16) // PAGE) * PAGE, (int(last, 16) + 1) // PAGE * PAGE) for first, last in rows]
    assert ranges, "no memory map in the hypervisor's messages"
    return ranges


def ranges(machine: Machine) -> dict[int, list[Range]]:
    """Where QEMU puts each node's memory, by Xen's number of the node.

    Nodes follow each other from address 0; a ``pc`` machine of 3.5 GiB or more goes on at 4 GiB after its third.
    Xen numbers nodes as the SRAT names them: first those with cpus, then those of memory only.
    """
    layout = machine.layout
    low = 3 << 30 if layout.mib * MIB >= 0xE0000000 else 0xE0000000
    order = sorted(range(len(layout.nodes)), key=lambda number: not layout.nodes[number].cpus)
    found: dict[int, list[Range]] = {}
    address = 0
    for number, node in enumerate(layout.nodes):
        end = address + node.mib * MIB
        below = (address, min(end, low))
        above = (max(address, low) - low + _FOUR_GIB, end - low + _FOUR_GIB)
        found[order.index(number)] = [part for part in (below, above) if part[0] < part[1]]
        address = end
    return found


def usable(parts: list[Range], memory: list[Range]) -> int:
    """Bytes of the memory map within the parts."""
    cuts = ((max(a, c), min(b, d)) for a, b in parts for c, d in memory)
    return sum(last - first for first, last in cuts if first < last)
