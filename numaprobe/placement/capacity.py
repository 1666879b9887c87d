"""What counts as available: a host, less what is kept back, isolated, offline, outside a pool, or held by guests."""

from __future__ import annotations

from ..wording import count
from ..wording import size as size_of
from .costs import SLOWER, bandwidth, costs, distances, groups
from .guests import cpus_by_guest, weigh
from .rooms import LENT, CellCapacity, Core, HostCapacity
from .shared_cpus import counted_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.domains import Domain
    from ..model.host import Cache, Cell, Cpu, Host
    from .plan import Plan

MAX_RESERVE = 512 << 20
# Of a cell's memory; what page tables, a guest's own emulator and the kernel take as guests start.
RESERVE_PART = 64


def capacity_of(
    host: Host,
    *,
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
    plans: Sequence[Plan] = (),
    ignore_allowed: bool = False,
) -> HostCapacity:
    """What a host has left for guests.

    ``reserve`` bytes are kept back in each cell; None keeps a 64th of the cell's memory, at most 512 MiB. ``domains``
    are the running guests, and ``plans`` those that some of them were started with: the CPUs that a plan pins are held.
    ``pool`` is the only cpupool whose CPUs are used, None for the lowest. ``ignore_allowed`` disregards what this
    process may use, but not that partitions of cpusets keep CPUs. Raises ``ValueError`` for a pool that does not exist.
    """
    table, complete = distances(host)
    stock = HostCapacity({cell.id: CellCapacity(cell.id) for cell in host.cells}, costs(host, table))
    stock.distances = table
    stock.known_distances = complete
    stock.striped = host.source == "xen"
    stock.bind = len(host.cells) > 1 and not any(cell.stand_in for cell in host.cells)
    if host.devices is not None:
        places = [(device, device.cpu_cell if device.cell is None else device.cell) for device in host.devices]
        stock.devices = {name: place for device, place in places for _, name in device.names}
        stock.devices.update((device.address, place) for device, place in places)
    kept: frozenset[int] = frozenset()
    if ignore_allowed:
        # No group but the partition's own can use them, whoever starts the guest.
        kept = frozenset(() if host.allowed is None else host.allowed.partitioned or ())
        host = host._replace(allowed=None)
    if host.allowed is not None and host.allowed.quota is not None:
        stock.quota = host.allowed.quota
    host, stock.sharing, without, notes = counted_once(host)
    stock.notes += notes
    for cell_id in without:
        stock.rooms[cell_id].lends = True
        stock.rooms[cell_id].notes.append(LENT)
    pool = _pool(host, pool)
    held = cpus_by_guest(host, domains) if domains else {}
    for plan in plans:
        held.update(dict.fromkeys(plan.exclusive_cpus, plan.request.name or "a plan"))
    _cpus(stock, host, pool, held, kept)
    _memory(stock, host, reserve)
    stock.ordinary = all(room.full_cpus and room.kind is None for room in stock.rooms.values())
    if not getattr(domains, "complete", True):
        stock.notes.append(_unseen(domains))
    if domains:
        weigh(stock, host, domains, pool, held)
    return stock


def _unseen(domains: Sequence[Domain]) -> str:
    """That there may be guests whose CPUs and configured memory are not taken into account, and the first reason."""
    why = "".join([f" ({note.where}: {note.text})" for note in getattr(domains, "notes", ())[:1]])
    return f"running guests could not all be seen{why}: what they hold beyond their memory in use is unknown"


def _pool(host: Host, wanted: int | None) -> int | None:
    if host.source != "xen" and wanted is None:
        return None
    pools = {cpu.pool for cpu in host.cpus if cpu.pool is not None}
    if wanted is not None and wanted not in pools:
        raise ValueError(f"there is no cpupool {wanted}")
    # None where the hypervisor has no pools or does not report them.
    return wanted if wanted is not None else min(pools, default=None)


def _cpus(stock: HostCapacity, host: Host, pool: int | None, held: Mapping[int, str], kept: frozenset[int]) -> None:
    rooms = stock.rooms
    allowed = None if host.allowed is None or host.allowed.cpus is None else frozenset(host.allowed.cpus)
    cores: dict[int, dict[tuple[int, ...] | int, list[int]]] = {cell: {} for cell in rooms}
    places: dict[int, tuple[object, ...]] = {}
    last_caches = _last_caches(host)
    left_out: dict[tuple[int, str], int] = {}
    outside = f"outside pool {pool}"
    homeless = 0
    for cpu in host.cpus:
        cell = cpu.cell
        if cell not in cores:
            homeless += cpu.online is True
            continue
        number = cpu.id
        if cpu.online is not True:
            why = "offline"
        elif cpu.isolated:
            why = "isolated"
        elif pool is not None and cpu.pool != pool:
            why = outside
        elif allowed is not None and number not in allowed:
            why = "not allowed to this process"
        elif number in kept:
            why = "kept by a partition of cpusets"
        elif number in held:
            why = f"held by {held[number]}"
        else:
            key = cpu.siblings or number
            members = cores[cell].get(key)
            if members is None:
                cores[cell][key] = [number]
                places[number] = _groups(cpu, last_caches)
            else:
                members.append(number)
            continue
        left_out[cell, why] = left_out.get((cell, why), 0) + 1
    for cell, by_core in cores.items():
        rooms[cell].cores_known = all(isinstance(key, tuple) for key in by_core)
        # A core is whole only if all its threads are ours to give; with siblings unknown nobody can say that.
        rooms[cell].settle(
            [
                Core(tuple(members), isinstance(key, tuple) and len(members) == len(key), places[members[0]])
                for key, members in by_core.items()
            ]
        )
    if homeless:
        stock.notes.append(
            f"{homeless} {'CPU is' if homeless == 1 else 'CPUs are'} not in exactly one cell and not used"
        )
    for cell in {cell for cell, why in left_out if why == outside}:
        # Xen serves a guest from its own pool's cells first, and from any other when they are empty.
        reasons = {why for of, why in left_out if of == cell}
        rooms[cell].lends = rooms[cell].lends_last = not cores[cell] and reasons <= {outside, "offline"}
    for (cell, why), number in left_out.items():
        rooms[cell].notes.append(f"{count(number, 'CPU')} {'is' if number == 1 else 'are'} {why}")


def _groups(cpu: Cpu, last_caches: Mapping[int, Cache]) -> tuple[object, ...]:
    """What a CPU shares with others of its cell, from the narrowest to the widest: cluster, last-level cache or die."""
    package, die, cluster = cpu.package, cpu.die, cpu.cluster
    cache = last_caches.get(cpu.id)
    wide = cache.cpus if cache is not None else None if die is None else (package, die)
    return None if cluster is None else (package, die, cluster), wide


def _last_caches(host: Host) -> dict[int, Cache]:
    """The last-level cache of each CPU whose caches are known."""
    out: dict[int, Cache] = {}
    for cache in sorted([one for one in host.caches or () if one.type != "instruction"], key=lambda one: one.level):
        out.update(dict.fromkeys(cache.cpus, cache))
    return out


def _memory(stock: HostCapacity, host: Host, reserve: int | None) -> None:
    claimed = _loose_claims(host)
    allowed = None if host.allowed is None else host.allowed.cells
    ranks = groups(host)
    for cell in host.cells:
        room = stock.rooms[cell.id]
        room.online = len(cell.cpus or ())
        room.group, room.kind, room.bandwidth = ranks[cell.id], cell.kind, bandwidth(cell)
        if room.lends_last:
            room.group = max(room.group, SLOWER)
        if allowed is not None and cell.id not in allowed:
            room.notes.append("its memory is not allowed to this process")
            continue
        size = _usable(cell, claimed)
        if size is None:
            room.notes.append("its free memory is unknown")
            size = 0
        keep = default_reserve(cell) if reserve is None else reserve
        room.reserve = min(size, keep)
        room.memory = max(0, size - keep)
        room.full_memory = max(room.memory, (cell.memory.total or 0) - keep)
        if cell.usable is not None:
            pinned = cell.usable.pinned
            room.pinnable = 0 if pinned is None else max(0, pinned - keep)
            if pinned is None:
                room.notes.append("how much of its memory may be pinned is unknown")
        room.pages = {
            pages.size: min(pages.free or 0, pages.free if pages.total is None else pages.total or 0)
            if pages.free is not None
            else 0
            for pages in cell.huge_pages
        }
        for pages in () if cell.usable is None else cell.usable.pages:
            # Pages that are free and that mappings have reserved.
            if pages.pool is not None and pages.size in room.pages:
                room.pages[pages.size] = min(room.pages[pages.size], pages.pool)
    if claimed and any(cell.memory.available is None for cell in host.cells):
        # Xen does not report which cell will serve a claim, so in the worst case it is this one.
        stock.notes.append(f"{size_of(claimed)} claimed by other domains are kept back in every cell")


def _loose_claims(host: Host) -> int:
    """Bytes that Xen has promised to domains without reporting on which cells."""
    if host.hypervisor is None or not host.hypervisor.claimed:
        return 0
    return max(0, host.hypervisor.claimed - sum([cell.memory.claimed or 0 for cell in host.cells]))


def default_reserve(cell: Cell) -> int:
    """Bytes kept back in a cell unless stated otherwise: a 64th of its memory, at most 512 MiB."""
    known = cell.memory.total or cell.memory.span or cell.memory.free
    return min(MAX_RESERVE, known // RESERVE_PART) if known else 0


def _usable(cell: Cell, claimed: int) -> int | None:
    """Bytes that a cell can give, never more than it has."""
    memory = cell.memory
    size = memory.available
    if size is None:
        if memory.free is None:
            return None
        size = memory.free - claimed - (memory.claimed or 0)
    whole = memory.total if memory.total is not None else memory.span
    return max(0, size if whole is None else min(size, whole))
