"""From Linux facts to ``Host``: nodes, cpus, memory and distances, each checked against its whole."""

from __future__ import annotations

from .._fast import rows
from ..errors import FactError
from ..linux.facts import MeminfoFacts
from ..model.host import Cell, Cpu, Host, HugePages, Memory, Note
from ..named import namedtuple
from ..wording import id_list
from .available import available_memory
from .possible import MAX_BYTES, MAX_COST, kb, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..linux.facts import (
        CpuFacts,
        HugePageFacts,
        LinuxFacts,
        NodeFacts,
        ZoneFacts,
    )
    from ..model.host import Access, SideCache

NODE = "sys/devices/system/node"
# Sums that are read at two moments, while a balloon moves, may differ by so many bytes.
MAX_DRIFT = 16 << 20


class _Latest(namedtuple("_Latest", "of fixed online cell_of cells cpus")):
    """Cells and cpus, and what they were made of but for what changes all the time.

    ``of`` is compared by identity, ``fixed`` by value.
    """

    __slots__ = ()
    of: CpuFacts
    fixed: list[object]
    online: frozenset[int]
    cell_of: dict[int, int | None]
    cells: tuple[Cell, ...]
    cpus: tuple[Cpu, ...]


# Those of the latest host: most hosts are read again and again without a change. Threads replace it whole.
_latest: list[_Latest | None] = [None]


def from_linux(facts: LinuxFacts, *, machine: str | None = None) -> Host:
    """Normalise a Linux host. Raises ``FactError`` for facts that contradict each other beyond a note.

    ``machine`` is its architecture.
    """
    notes = [Note(where, text) for where, text in facts.notes]
    fixed = _fixed(facts)
    latest = _latest[0]
    if latest is not None and (latest.of is not facts.cpus or latest.fixed != fixed or facts.allowed is not None):
        latest = None
    online = _online(facts, notes) if latest is None else latest.online
    if facts.numa:
        ids = tuple([node.id for node in facts.nodes])
        zones = _by_node(facts.zones)
        known = [None] * len(ids) if latest is None else latest.cells
        cells = tuple(
            [_cell(node, old, ids, zones, facts, online, notes) for node, old in zip(facts.nodes, known, strict=True)]
        )
        cell_of = _cell_of_cpus(facts.nodes, notes) if latest is None else latest.cell_of
        _check_sums(cells, cell_of, facts, online, notes)
    else:
        notes.append(Note(NODE, "is missing: one cell represents the whole machine"))
        cells = (_whole_machine(facts, online, notes),)
        cell_of = dict.fromkeys(facts.cpus.present, 0)
    if latest is None:
        cpus = tuple(_cpus(facts.cpus, cell_of, online))
        if facts.numa and facts.allowed is None and not notes:
            _latest[0] = _Latest(of=facts.cpus, fixed=fixed, online=online, cell_of=cell_of, cells=cells, cpus=cpus)
    else:
        cpus = latest.cpus
    devices = caches = None
    # Neither is read by default.
    if facts.devices is not None:
        from .devices import devices_of

        devices = devices_of(facts.devices, cells, notes)
    if facts.caches is not None:
        from .caches import caches_of

        caches = caches_of(facts.caches)
    if facts.failures is not None:
        from .memory_state import with_memory_state

        cells = with_memory_state(cells, facts, notes)
    if facts.usable is not None:
        from .usable import with_usable

        cells = with_usable(cells, facts, facts.usable, notes)
    possible_cells = _possible(facts.nodes_possible, [node.id for node in facts.nodes], "node/possible", notes)
    possible_cpus = _possible(facts.cpus.possible, facts.cpus.online, "cpu/possible", notes)
    # Snapshots without a cpu directory still list cpus in the nodes; nothing says whether they are online.
    view = None
    if facts.allowed is not None:
        from .allowed import allowed_of

        view = allowed_of(facts.allowed, facts.usable, online, cells, notes)
    return Host(
        source="linux",
        hypervisor=None,
        cells=cells,
        cpus=cpus,
        notes=tuple(notes),
        possible_cells=possible_cells,
        possible_cpus=possible_cpus,
        devices=devices,
        allowed=view,
        caches=caches,
        machine=machine,
    )


def _fixed(facts: LinuxFacts) -> list[object]:
    """What cells are made of besides cpus, but for memory and pages."""
    whole = (facts.nodes_online, facts.has_cpu, facts.tiers, facts.kinds, facts.generic_initiators)
    return [
        whole,
        *[(n.id, n.cpus, n.distance, n.accesses, n.side_caches, n.interleave_weight) for n in facts.nodes],
    ]


def _check_sums(
    cells: tuple[Cell, ...],
    cell_of: dict[int, int | None],
    facts: LinuxFacts,
    online: frozenset[int],
    notes: list[Note],
) -> None:
    """Note where the cells together are not the machine."""
    lost = sorted(online.difference(cell_of))
    if lost and all(node.cpus is not None for node in facts.nodes):
        notes.append(Note("node*/cpulist", f"no node lists the online cpus {id_list(lost)}; their cell is unknown"))
    whole = None if facts.meminfo is None else facts.meminfo.total_kb
    totals = [cell.memory.total for cell in cells if cell.memory.total is not None]
    if whole is not None and len(totals) == len(cells) and abs(sum(totals) - (whole << 10)) > MAX_DRIFT:
        text = f"MemTotal is {whole} kB, that of the nodes together {sum(totals) >> 10} kB"
        notes.append(Note("proc/meminfo", text))


def _possible(
    ids: tuple[int, ...] | None, present: Sequence[int], where: str, notes: list[Note]
) -> tuple[int, ...] | None:
    """Ids that there may ever be; None where they do not include those that there are, which is noted."""
    if ids is None or not (missing := set(present).difference(ids)):
        return ids
    notes.append(Note(where, f"lists {id_list(ids, none='none')}, but not {id_list(missing)}, which exist"))
    return None


def _online(facts: LinuxFacts, notes: list[Note]) -> frozenset[int]:
    """The cpus that are online, by the kernel's own word where a file system in between (lxcfs) replaces the list.

    A process always has a cpu to run on: where none that it may use is in ``cpu/online``, the list is not the
    kernel's. The nodes' lists then are, or else what the process may use.
    """
    online = frozenset(facts.cpus.online)
    own = None if facts.allowed is None else facts.allowed.cpus
    if not own or not online or not online.isdisjoint(own):
        return online
    of_nodes = frozenset([cpu for node in facts.nodes for cpu in node.cpus or ()])
    listed = id_list(facts.cpus.online)
    notes.append(Note("online", f"lists {listed}, and this process may use only {id_list(own)}: not the kernel's list"))
    return of_nodes.union(own)


def _by_node(zones: tuple[ZoneFacts, ...] | None) -> dict[int, list[ZoneFacts]] | None:
    if zones is None:
        return None
    found: dict[int, list[ZoneFacts]] = {}
    for zone in zones:
        found.setdefault(zone.node, []).append(zone)
    return found


def _cell(
    node: NodeFacts,
    known: Cell | None,
    ids: tuple[int, ...],
    zones: dict[int, list[ZoneFacts]] | None,
    facts: LinuxFacts,
    online: frozenset[int],
    notes: list[Note],
) -> Cell:
    if known is not None:
        memory = _memory(node, zones, facts, notes)
        huge = _huge_pages(node.huge_pages, memory.total, f"node{node.id}/hugepages", notes)
        return known._replace(memory=memory, huge_pages=huge)
    cpus = node.cpus
    if cpus is not None and facts.cpus.present and not online.issuperset(cpus):
        # The masks of older kernels, and those of ppc64, include offline cpus too.
        cpus = tuple([cpu for cpu in cpus if cpu in online])
    if cpus is None and facts.has_cpu is not None and node.id not in facts.has_cpu:
        cpus = ()
    if cpus is None:
        _absent(f"node{node.id}/cpulist", "is missing: the cell's cpus are unknown", notes)
    memory = _memory(node, zones, facts, notes)
    accesses: tuple[Access, ...] = ()
    side_caches: tuple[SideCache, ...] = ()
    # From ACPI's HMAT, which few machines have.
    if node.accesses or node.side_caches:
        from .hmat import access_of, side_cache_of

        accesses = tuple([access_of(access, f"node{node.id}", ids, notes) for access in node.accesses])
        side_caches = tuple([side_cache_of(cache, f"node{node.id}", notes) for cache in node.side_caches])
    return Cell(
        id=node.id,
        cpus=cpus,
        memory=memory,
        huge_pages=_huge_pages(node.huge_pages, memory.total, f"node{node.id}/hugepages", notes),
        distances=None if node.distance is None else _distances(node, ids, facts, notes),
        accesses=accesses,
        side_caches=side_caches,
        tier=facts.tiers.get(node.id),
        # Memory that a device gave to a node with cpus does not make the node the device's.
        kind=None if cpus else facts.kinds.get(node.id),
        interleave_weight=node.interleave_weight,
        generic_initiator=None if facts.generic_initiators is None else node.id in facts.generic_initiators,
    )


def _absent(where: str, text: str, notes: list[Note]) -> None:
    """Note what is missing, unless there is a note already that says why."""
    if not any(note.where == where or note.where.endswith(f"/{where}") for note in notes):
        notes.append(Note(where, text))


def _huge_pages(
    facts: Iterable[HugePageFacts], memory: int | None, where: str, notes: list[Note]
) -> tuple[HugePages, ...]:
    """Counts of pages: none negative, no more than the memory holds, and no part larger than its whole."""
    found = tuple([_pages_of_size(pages, memory, f"{where}/hugepages-{pages.size_kb}kB", notes) for pages in facts])
    pooled = sum([pages.size * (pages.total or 0) for pages in found])
    if memory is None or pooled <= memory:
        return found
    notes.append(Note(where, f"impossible: {pooled >> 10} kB of huge pages in {memory >> 10} kB of memory"))
    return tuple([HugePages(size=pages.size) for pages in found])


def _pages_of_size(facts: HugePageFacts, memory: int | None, where: str, notes: list[Note]) -> HugePages:
    size = facts.size_kb << 10
    # As on most machines.
    if facts.total == facts.free == facts.surplus == 0:
        return HugePages(size=size, total=0, free=0, surplus=0)
    total = within(facts.total, (MAX_BYTES if memory is None else memory) // size, f"{where}/nr_hugepages", notes)
    most = MAX_BYTES // size if total is None else total
    return HugePages(
        size=size,
        total=total,
        free=within(facts.free, most, f"{where}/free_hugepages", notes),
        surplus=within(facts.surplus, most, f"{where}/surplus_hugepages", notes),
    )


def _distances(
    node: NodeFacts, ids: tuple[int, ...], facts: LinuxFacts, notes: list[Note]
) -> tuple[tuple[int, int], ...] | None:
    """Pair the columns with ids: there is one per online node, in order (drivers/base/node.c, node_read_distance)."""
    row = node.distance or ()
    columns = ids if len(row) == len(ids) else facts.nodes_online or ids
    if len(row) != len(columns):
        odd = f"has {len(row)} columns for {len(columns)} nodes"
    elif not 0 <= min(row) <= max(row) <= MAX_COST:
        odd = "has an impossible cost"
    else:
        return tuple(rows(tuple, columns, (columns, row)))
    error = FactError("", " ".join(map(str, row[:64])), odd)
    notes.append(Note(f"node{node.id}/distance", f"{odd}: '{error.text}'" if error.text else odd))
    return None


def _memory(node: NodeFacts, zones: dict[int, list[ZoneFacts]] | None, facts: LinuxFacts, notes: list[Note]) -> Memory:
    info = node.meminfo
    if info is None and facts.has_memory is not None and node.id not in facts.has_memory:
        where = "node/has_memory"
        return Memory(total=0, free=0, available=0, total_from=where, free_from=where, available_from=where)
    if info is None:
        _absent(f"node{node.id}/meminfo", "is missing: the cell's memory is unknown", notes)
        return Memory()
    where = f"node{node.id}/meminfo"
    total = kb(info.total_kb, None, f"{where} MemTotal", notes)
    free = kb(info.free_kb, total, f"{where} MemFree", notes)
    available = None
    if zones is not None and total is not None and free is not None:
        own = zones.get(node.id, [])
        if total and not own:
            notes.append(Note("proc/zoneinfo", f"has no zone of node {node.id}: its available memory is unknown"))
        available = available_memory(info, own)
        if available is None and own and info.active_file_kb is not None and info.inactive_file_kb is not None:
            text = f"the zones of node {node.id} are not those of {total >> 10} kB: its available memory is unknown"
            notes.append(Note("proc/zoneinfo", text))
        available = within(available, total, f"{where} and zoneinfo: available", notes)
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
    claims = 0
    for node in nodes:
        claims += len(node.cpus or ())
        found.update(dict.fromkeys(node.cpus or (), node.id))
    if claims != len(found):
        seen: set[int] = set()
        contested = set()
        for node in nodes:
            contested |= seen.intersection(node.cpus or ())
            seen.update(node.cpus or ())
        found.update(dict.fromkeys(contested))
        text = f"{len(contested)} cpus are claimed by more than one node; their cell is unknown"
        notes.append(Note("node*/cpulist", text))
    return found


def _whole_machine(facts: LinuxFacts, online: frozenset[int], notes: list[Note]) -> Cell:
    info = facts.meminfo
    if info is None:
        _absent("proc/meminfo", "is missing: the cell's memory is unknown", notes)
        info = MeminfoFacts()
    total = kb(info.total_kb, None, "proc/meminfo MemTotal", notes)
    free = kb(info.free_kb, total, "proc/meminfo MemFree", notes)
    available = kb(info.available_kb, total, "proc/meminfo MemAvailable", notes)
    memory = Memory(
        total=total,
        free=free,
        available=available,
        total_from=None if total is None else "/proc/meminfo MemTotal",
        free_from=None if free is None else "/proc/meminfo MemFree",
        available_from=None if available is None else "/proc/meminfo MemAvailable",
    )
    return Cell(
        id=0,
        cpus=tuple(sorted(online)),
        memory=memory,
        huge_pages=_huge_pages(facts.huge_pages, total, "sys/kernel/mm/hugepages", notes),
        stand_in=True,
    )


def _cpus(facts: CpuFacts, cell_of: dict[int, int | None], online: frozenset[int]) -> list[Cpu]:
    kind_of = {cpu: kind for kind, cpus in facts.kinds for cpu in cpus}
    if not kind_of and len(set(facts.capacity.values())) > 1:
        kind_of = {cpu: f"capacity-{capacity}" for cpu, capacity in facts.capacity.items() if capacity is not None}
    present = facts.present if online.issubset(facts.present) else tuple(sorted(online.union(facts.present)))
    columns = (
        present,
        True if len(online) == len(present) else tuple([cpu in online for cpu in present]),
        cell_of,
        facts.package,
        facts.die,
        facts.cluster,
        facts.core,
        facts.siblings,
        kind_of,
        _membership(facts.isolated, present, others=False if facts.isolated_are_all else None),
        _membership(facts.nohz_full, present),
        facts.book,
        facts.drawer,
        facts.capacity,
        None,
    )
    if len(columns) != len(Cpu._fields):
        raise TypeError(f"{len(columns)} columns for a Cpu")
    # Without Python code per cpu: a machine may have thousands.
    return rows(Cpu, present, columns)


def _membership(
    ids: tuple[int, ...] | None, cpus: tuple[int, ...], *, others: bool | None = False
) -> tuple[bool | None, ...] | bool | None:
    """Whether each cpu is one of these, or the same for all; None where nothing says. ``others`` is for the rest."""
    if not ids:
        return None if ids is None else others
    known = frozenset(ids)
    return tuple([True if cpu in known else others for cpu in cpus])
