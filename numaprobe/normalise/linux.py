"""Facts to ``Host``: the only place that interprets what a source said."""

from __future__ import annotations

from ..errors import FactError
from ..model.host import Access, Allowed, Cell, Cpu, Device, Host, HugePages, Memory, Note, SideCache
from .available import available_memory
from .caches import caches_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..linux.facts import (
        AccessFacts,
        AllowedFacts,
        CpuFacts,
        DeviceFacts,
        HugePageFacts,
        LinuxFacts,
        NodeFacts,
        SideCacheFacts,
    )

# enum cache_indexing and enum cache_write_policy of Linux's include/linux/node.h.
INDEXING = {0: "direct", 1: "indexed", 2: "custom"}
WRITE_POLICY = {0: "write-back", 1: "write-through", 2: "other"}
NODE = "sys/devices/system/node"


def from_linux(facts: LinuxFacts) -> Host:
    """Normalise a Linux host. Raises ``FactError`` for facts that contradict each other beyond a note."""
    notes = [Note(where, text) for where, text in facts.notes]
    online = frozenset(facts.cpus.online)
    if facts.numa:
        cells = tuple(_cell(node, facts, online, notes) for node in facts.nodes)
        cell_of = _cell_of_cpus(facts.nodes, notes)
    else:
        notes.append(Note(NODE, "not there: one cell stands for the whole machine"))
        cells = (_whole_machine(facts),)
        cell_of = dict.fromkeys(facts.cpus.present, 0)
    # Snapshots without a cpu directory still tell of cpus through the nodes; nothing says whether they are online.
    return Host(
        source="linux",
        hypervisor=None,
        cells=cells,
        cpus=tuple(_cpus(facts.cpus, cell_of, online)),
        notes=tuple(notes),
        possible_cells=facts.nodes_possible,
        possible_cpus=facts.cpus.possible,
        devices=None if facts.devices is None else tuple(map(_device, facts.devices)),
        allowed=None if facts.allowed is None else _allowed(facts.allowed, online, cells),
        caches=None if facts.caches is None else caches_of(facts.caches),
    )


def _device(facts: DeviceFacts) -> Device:
    return Device(
        address=facts.address,
        cell=facts.node,
        class_code=facts.class_code,
        vendor=facts.vendor,
        device=facts.device,
    )


def _allowed(facts: AllowedFacts, online: frozenset[int], cells: tuple[Cell, ...]) -> Allowed:
    """Cut with what there is: where nothing limits a process, its masks name every id that may ever come to be."""
    return Allowed(
        cpus=None if facts.cpus is None else tuple(cpu for cpu in facts.cpus if cpu in online),
        cells=None if facts.nodes is None else tuple(cell.id for cell in cells if cell.id in facts.nodes),
        quota=facts.quota,
        where=facts.where,
    )


def _cell(node: NodeFacts, facts: LinuxFacts, online: frozenset[int], notes: list[Note]) -> Cell:
    cpus = node.cpus
    if cpus is not None and facts.cpus.present and not online.issuperset(cpus):
        # The masks of old kernels, and of ppc64, name offline cpus too.
        cpus = tuple([cpu for cpu in cpus if cpu in online])
    if cpus is None and facts.has_cpu is not None and node.id not in facts.has_cpu:
        cpus = ()
    if cpus is None:
        notes.append(Note(f"node{node.id}/cpulist", "not there: the cell's cpus are unknown"))
    return Cell(
        id=node.id,
        cpus=cpus,
        memory=_memory(node, facts, notes),
        huge_pages=_huge_pages(node.huge_pages),
        distances=None if node.distance is None else _distances(node, facts),
        accesses=tuple(map(_access, node.accesses)),
        side_caches=tuple(map(_side_cache, node.side_caches)),
        tier=facts.tiers.get(node.id),
        kind=facts.kinds.get(node.id),
        interleave_weight=node.interleave_weight,
    )


def _access(facts: AccessFacts) -> Access:
    return Access(
        level=facts.level,
        initiators=facts.initiators,
        read_latency=_figure(facts.read_latency),
        write_latency=_figure(facts.write_latency),
        read_bandwidth=_mib(facts.read_bandwidth),
        write_bandwidth=_mib(facts.write_bandwidth),
    )


def _side_cache(facts: SideCacheFacts) -> SideCache:
    return SideCache(
        level=facts.level,
        size=facts.size,
        line_size=facts.line_size,
        indexing=None if facts.indexing is None else INDEXING.get(facts.indexing),
        write_policy=None if facts.write_policy is None else WRITE_POLICY.get(facts.write_policy),
    )


def _figure(value: int | None) -> int | None:
    """An HMAT figure; 0 is what hmat_normalize of Linux's drivers/acpi/numa/hmat.c makes of one that is not valid."""
    return value or None


def _mib(value: int | None) -> int | None:
    return value << 20 if value else None


def _huge_pages(facts: Iterable[HugePageFacts]) -> tuple[HugePages, ...]:
    return tuple(
        HugePages(size=pages.size_kb << 10, total=pages.total, free=pages.free, surplus=pages.surplus)
        for pages in facts
    )


def _distances(node: NodeFacts, facts: LinuxFacts) -> tuple[tuple[int, int], ...]:
    """Pair the columns with ids: there is one per online node, in order (drivers/base/node.c, node_read_distance)."""
    row = node.distance or ()
    columns = tuple(n.id for n in facts.nodes)
    if len(row) != len(columns):
        columns = facts.nodes_online or columns
    if len(row) != len(columns):
        raise FactError(
            f"{NODE}/node{node.id}/distance",
            " ".join(map(str, row)),
            f"has {len(row)} columns for {len(columns)} nodes",
        )
    if min(row) < 0:
        raise FactError(f"{NODE}/node{node.id}/distance", " ".join(map(str, row)), "has a negative cost")
    return tuple(zip(columns, row, strict=True))


def _memory(node: NodeFacts, facts: LinuxFacts, notes: list[Note]) -> Memory:
    info, zones = node.meminfo, facts.zones
    if info is None and facts.has_memory is not None and node.id not in facts.has_memory:
        where = "node/has_memory"
        return Memory(total=0, free=0, available=0, total_from=where, free_from=where, available_from=where)
    if info is None:
        notes.append(Note(f"node{node.id}/meminfo", "not there: the cell's memory is unknown"))
        return Memory()
    total = None if info.total_kb is None else info.total_kb << 10
    free = None if info.free_kb is None else info.free_kb << 10
    available = None if zones is None else available_memory(info, [zone for zone in zones if zone.node == node.id])
    return Memory(
        total=total,
        free=free,
        available=available,
        total_from=None if total is None else "meminfo MemTotal",
        free_from=None if free is None else "meminfo MemFree",
        available_from=None if available is None else "meminfo and zoneinfo",
    )


def _cell_of_cpus(nodes: tuple[NodeFacts, ...], notes: list[Note]) -> dict[int, int | None]:
    """The one cell of each cpu; None for a cpu that more than one node claims."""
    found: dict[int, int | None] = {}
    contested = []
    for node in nodes:
        for cpu in node.cpus or ():
            if cpu in found:
                contested.append(cpu)
            found[cpu] = node.id
    if contested:
        for cpu in contested:
            found[cpu] = None
        text = f"{len(set(contested))} cpus are claimed by more than one node; their cell is unknown"
        notes.append(Note("node*/cpulist", text))
    return found


def _whole_machine(facts: LinuxFacts) -> Cell:
    info = facts.meminfo
    total = None if info is None or info.total_kb is None else info.total_kb << 10
    free = None if info is None or info.free_kb is None else info.free_kb << 10
    available = None if info is None or info.available_kb is None else info.available_kb << 10
    memory = Memory(
        total=total,
        free=free,
        available=available,
        total_from=None if total is None else "/proc/meminfo MemTotal",
        free_from=None if free is None else "/proc/meminfo MemFree",
        available_from=None if available is None else "/proc/meminfo MemAvailable",
    )
    return Cell(id=0, cpus=facts.cpus.online, memory=memory, huge_pages=_huge_pages(facts.huge_pages), stand_in=True)


def _cpus(facts: CpuFacts, cell_of: dict[int, int | None], online: frozenset[int]) -> Iterable[Cpu]:
    kind_of = {cpu: kind for kind, cpus in facts.kinds for cpu in cpus}
    if not kind_of and len(set(facts.capacity.values())) > 1:
        kind_of = {cpu: f"capacity-{capacity}" for cpu, capacity in facts.capacity.items() if capacity is not None}
    isolated = None if facts.isolated is None else frozenset(facts.isolated)
    nohz_full = None if facts.nohz_full is None else frozenset(facts.nohz_full)
    present = facts.present
    unknown = [None] * len(present)
    # One pass per column and one named tuple per cpu: a machine may have thousands.
    return map(
        Cpu._make,
        zip(
            present,
            [cpu in online for cpu in present],
            map(cell_of.get, present),
            map(facts.package.get, present),
            map(facts.die.get, present),
            map(facts.cluster.get, present),
            map(facts.core.get, present),
            map(facts.siblings.get, present),
            map(kind_of.get, present) if kind_of else unknown,
            unknown if isolated is None else [cpu in isolated for cpu in present],
            unknown if nohz_full is None else [cpu in nohz_full for cpu in present],
            map(facts.book.get, present),
            map(facts.drawer.get, present),
            map(facts.capacity.get, present),
            unknown,
            strict=True,
        ),
    )
