"""Xen's facts to ``Host``: the machine itself, with Xen's own numbers for nodes and cpus."""

from __future__ import annotations

from functools import lru_cache

from .._fast import rows as columns_to_rows
from ..model.host import Cell, Cpu, Host, Hypervisor, Memory, Note
from ..named import namedtuple
from ..wording import id_list
from .devices import devices_of
from .possible import MAX_BYTES, MAX_COST, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..linux.facts import DeviceFacts
    from ..xen.facts import CpuInfo, CpuPool, CpuTopology, NodeClaims, NodeMemory, XenFacts

# Xen counts pages of this size on every architecture that it runs on (XEN_PAGE_SIZE of its public headers).
PAGE = 4096
BELOW_4G = 1 << 32
SRAT = "sys/firmware/acpi/tables/SRAT"


def from_xen(facts: XenFacts, devices: tuple[DeviceFacts, ...] | None = None) -> Host:
    """Normalise a Xen host. ``devices`` are those of the control domain's Linux; their node is taken from Xen."""
    notes = [Note(where, text) for where, text in facts.notes]
    present = frozenset([node for node, memory in enumerate(facts.nodes) if memory is not None])
    cpus, members, about_cpus = _cpus(facts.cpus, facts.cpuinfo, facts.online_cpus, present, facts.cpupools)
    notes += about_cpus
    nodes = [(node, memory) for node, memory in enumerate(facts.nodes) if memory is not None]
    claims = claims_of(facts.claims, facts.physinfo.outstanding_pages, [node for node, _ in nodes])
    cells = tuple(
        Cell(
            id=node,
            cpus=None if facts.online_cpus is None else members.get(node, ()),
            memory=_memory(facts, node, memory, claims, notes),
            distances=_distances(facts, node, [other for other, _ in nodes], notes),
        )
        for node, memory in nodes
    )
    hypervisor = Hypervisor(
        name="xen",
        version=str(facts.version),
        scheduler=facts.scheduler,
        commandline=facts.version.commandline,
        claimed=claims.host,
    )
    placed = None if devices is None else devices_of(devices, cells, notes, _device_nodes(facts))
    return Host(
        source="xen",
        hypervisor=hypervisor,
        cells=cells,
        cpus=cpus,
        notes=tuple(notes),
        devices=placed,
        machine=_machine(facts.version.capabilities),
    )


def _machine(capabilities: str | None) -> str | None:
    """The architecture in the kinds of guests that Xen runs, ``xen-3.0-x86_64 hvm-3.0-x86_32``: the widest of them."""
    kinds = (capabilities or "").split()
    widest = {"x86_64": "x86_64", "aarch64": "aarch64", "ia64": "ia64", "armv7l": "armv7l", "x86_32p": "i686"}
    return next((machine for word, machine in widest.items() if any(kind.endswith(f"-{word}") for kind in kinds)), None)


def _memory(facts: XenFacts, node: int, memory: NodeMemory, claims: Claims, notes: list[Note]) -> Memory:
    where = f"sysctl numainfo node {node}"
    span = within(memory.memsize, MAX_BYTES, f"{where} memsize", notes)
    total, total_from = _total(facts, node, span, notes)
    most = MAX_BYTES if span is None else span
    free = within(memory.memfree, most if total is None else min(most, total), f"{where} memfree", notes)
    heap = None if facts.heap is None else facts.heap[node]
    below = None
    if heap is not None:
        # Both parts are read anew, and what was freed in between may be in one of them.
        limit = min(BELOW_4G, max(heap.free, memory.memfree))
        below = within(heap.free_below_4g, limit, f"sysctl availheap node {node} below 4 GiB", notes)
    claimed = claims.by_node.get(node)
    if claimed and free is not None:
        claimed = within(claimed, free, f"sysctl numa_meminfo node {node} claimed", notes)
    available, how = (None, None) if free is None else available_memory(free, claims, node)
    return Memory(
        total=total,
        free=free,
        available=available,
        span=span,
        free_below_4g=below,
        total_from=None if total is None else total_from,
        free_from=None if free is None else "numainfo memfree",
        available_from=how,
        claimed=claimed,
    )


def _total(facts: XenFacts, node: int, span: int | None, notes: list[Note]) -> tuple[int | None, str]:
    """Usable bytes, which are no more than the node's addresses span, and where they are from."""
    present = None if facts.present_pages is None else facts.present_pages[node]
    row = None if facts.claims is None else facts.claims[node]
    most = MAX_BYTES if span is None else span
    if present is not None:
        only = present == facts.physinfo.total_pages
        where, how = ("sysctl physinfo", "physinfo total_pages") if only else (SRAT, "ACPI SRAT and machine memory map")
        return within(present * PAGE, most, f"{where} memory of node {node}", notes), how
    if row is None:
        return None, ""
    return within(row.size, most, f"sysctl numa_meminfo node {node} size", notes), "numa_meminfo size"


class Claims(namedtuple("Claims", "host by_node loose")):
    """Bytes that are promised to domains: in the whole host, on each node, and on no node in particular.

    ``host`` is None where Xen does not report claims, ``by_node`` is empty where it does not say on which node.
    """

    __slots__ = ()
    host: int | None
    by_node: dict[int, int]
    loose: int


def claims_of(rows: Sequence[NodeClaims | None] | None, pages: int | None, nodes: Sequence[int]) -> Claims:
    """Claims from numa_meminfo's rows, None from a Xen without it, and physinfo's pages."""
    host = None if pages is None else pages * PAGE
    if rows is not None:
        known = {node: row.claimed for node, row in enumerate(rows) if row is not None}
        return Claims(host=host, by_node=known, loose=max(0, (host or 0) - sum(known.values())))
    if host == 0 or (host is not None and len(nodes) == 1):
        return Claims(host=host, by_node=dict.fromkeys(nodes, host), loose=0)
    return Claims(host=host, by_node={}, loose=host or 0)


def available_memory(free: int, claims: Claims, node: int) -> tuple[int | None, str | None]:
    """Xen has nothing to reclaim, so everything free is available, less the claims.

    Where claims are known for the whole host only, or some are on no node in particular, the figure is unknown.
    """
    if not claims.host:
        return free, "numainfo memfree"
    if claims.loose or node not in claims.by_node:
        return None, None
    source = "physinfo outstanding_pages" if claims.by_node == {node: claims.host} else "numa_meminfo claimed"
    return max(0, free - claims.by_node[node]), f"numainfo memfree less {source}"


def _distances(
    facts: XenFacts, node: int, nodes: list[int], notes: list[Note]
) -> tuple[tuple[int, int | None], ...] | None:
    if node >= len(facts.distances):
        return None
    row = facts.distances[node]
    where = f"sysctl numainfo distances of node {node}"
    return tuple([(other, within(row[other], MAX_COST, where, notes) if other < len(row) else None) for other in nodes])


@lru_cache(maxsize=2)
def _cpus(
    topology: tuple[CpuTopology, ...],
    cpuinfo: tuple[CpuInfo | None, ...] | None,
    online: frozenset[int] | None,
    nodes: frozenset[int],
    pools: tuple[CpuPool, ...] | None,
) -> tuple[tuple[Cpu, ...], dict[int, tuple[int, ...]], list[Note]]:
    """The CPUs, those that are online by node, and notes; most probes of a machine find the same ones."""
    notes: list[Note] = []
    rows = {cpu: row for cpu, row in enumerate(topology) if row.socket is not None}
    # Before 4.12 an offline cpu has no row, and only get_cpuinfo reports that it exists (Xen commit 780e2d3098).
    present = {*rows, *(cpu for cpu, info in enumerate(cpuinfo or ()) if info is not None)}
    siblings = {}
    numbered = _numbered(rows, cpuinfo)
    if numbered and online is not None:
        siblings = _siblings(rows, online, cpuinfo, notes)
    elsewhere: dict[int, list[int]] = {}
    for cpu, row in rows.items():
        if row.node is not None and row.node not in nodes:
            elsewhere.setdefault(row.node, []).append(cpu)
    for node, there in elsewhere.items():
        text = f"on node {node}, which numainfo does not have: cpu {id_list(there)}"
        notes.append(Note("sysctl cputopoinfo", text))
    pool_of = {cpu: pool.id for pool in pools or () for cpu in pool.cpus}
    known = {cpu: row for cpu, row in rows.items() if numbered}
    ids = tuple(sorted(present))
    columns = {
        "id": ids,
        "online": None if online is None else tuple([cpu in online for cpu in ids]),
        "cell": {cpu: row.node for cpu, row in rows.items() if row.node in nodes},
        "package": {cpu: row.socket for cpu, row in known.items()},
        "core": {cpu: row.core for cpu, row in known.items()},
        "siblings": siblings,
        "pool": pool_of,
    }
    cpus = tuple(columns_to_rows(Cpu, ids, tuple(map(columns.get, Cpu._fields))))
    members: dict[int, list[int]] = {}
    for one in cpus:
        if one.online and one.cell is not None:
            members.setdefault(one.cell, []).append(one.id)
    return cpus, {cell: tuple(those) for cell, those in members.items()}, notes


def _numbered(rows: dict[int, CpuTopology], cpuinfo: tuple[CpuInfo | None, ...] | None) -> bool:
    """Whether cores and sockets have numbers: Xen on Arm, which also has no APIC ids, reports 0 and 0 for every cpu."""
    checked = any(info is not None and info.apic_id is not None for info in cpuinfo or ())
    return checked or len(rows) < 2 or any((row.core, row.socket) != (0, 0) for row in rows.values())


def _siblings(
    rows: dict[int, CpuTopology],
    online: frozenset[int],
    cpuinfo: tuple[CpuInfo | None, ...] | None,
    notes: list[Note],
) -> dict[int, tuple[int, ...]]:
    """The online threads of each online cpu's core: those with the same socket and core.

    Threads of one core differ in the low bits of their APIC ids and in nothing else (Intel SDM volume 3, 9.9), so a
    core whose members do not fill such a block is not one, and its cpus' siblings are left out.
    """
    cores: dict[tuple[int | None, int | None], list[int]] = {}
    for cpu, row in rows.items():
        cores.setdefault((row.socket, row.core), []).append(cpu)
    found: dict[int, tuple[int, ...]] = {}
    torn: dict[int | None, list[int]] = {}
    for (socket, core), members in cores.items():
        apic_ids = [info.apic_id for cpu in members if cpuinfo and (info := cpuinfo[cpu]) and info.apic_id is not None]
        threads = len(members)
        if len(apic_ids) == threads:
            block = _power_of_two(threads)
            if len({apic_id // block for apic_id in apic_ids}) > 1:
                torn.setdefault(socket, []).extend([] if core is None else [core])
                continue
        group = tuple([cpu for cpu in members if cpu in online])
        found.update(dict.fromkeys(group, group))
    for socket, numbers in torn.items():
        cores_of = id_list(numbers, none="unknown")
        text = f"cpus of different APIC cores are given as one core in socket {socket}: core {cores_of}"
        notes.append(Note("sysctl cputopoinfo", text))
    return found


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _device_nodes(facts: XenFacts) -> dict[str, int | None]:
    return {device.address: device.node for device in facts.pci_devices or ()}
