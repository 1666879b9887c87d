"""What counts as free: a host, less what is kept back, isolated, offline, outside a pool, or held by other guests."""

from __future__ import annotations

from ..wording import size as size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..model.domains import Domain
    from ..model.host import Cell, Host

MAX_RESERVE = 512 << 20
# Of a cell's memory; what page tables, a guest's own emulator and the kernel take as guests start.
RESERVE_PART = 64
# Distances are one byte and 255 means unreachable (ACPI 6.5, 5.2.17): what is not told comes after all that is.
UNKNOWN_DISTANCE = 255


class Core:
    """The threads of one core that nobody holds, and whether that is all of it."""

    __slots__ = ("threads", "whole")

    def __init__(self, threads: tuple[int, ...], whole: bool) -> None:
        self.threads = threads
        self.whole = whole


class CellCapacity:
    """What one cell has left. ``load`` is the weight of floating vcpus; ``notes`` says what was not counted."""

    __slots__ = ("cores", "cpus", "full_cpus", "full_memory", "id", "idle", "load", "memory", "notes", "pages")

    def __init__(self, cell_id: int) -> None:
        self.id = cell_id
        self.memory = self.full_memory = 0
        self.pages: dict[int, int] = {}
        self.cores: list[Core] = []
        self.cpus = self.full_cpus = self.idle = 0
        self.load = 0.0
        self.notes: list[str] = []

    def copy(self) -> CellCapacity:
        """The same room, to take from without changing this one."""
        other = CellCapacity.__new__(CellCapacity)
        other.id = self.id
        other.memory = self.memory
        other.full_memory = self.full_memory
        other.pages = dict(self.pages)
        other.cores = list(self.cores)
        other.cpus = self.cpus
        other.full_cpus = self.full_cpus
        other.idle = self.idle
        other.load = self.load
        other.notes = self.notes
        return other

    def count(self) -> None:
        """Count cpus and idle cores anew, after ``cores`` has changed."""
        self.cpus = sum(len(core.threads) for core in self.cores)
        self.idle = sum(core.whole for core in self.cores)

    def hold(self, taken: Iterable[int]) -> None:
        """Give cpus to one guest alone."""
        gone = set(taken)
        cores = []
        for core in self.cores:
            if gone.isdisjoint(core.threads):
                cores.append(core)
                continue
            left = tuple(cpu for cpu in core.threads if cpu not in gone)
            if left:
                cores.append(Core(left, False))
        self.cores = cores
        self.count()

    def bytes(self, huge_page: int | None) -> int:
        """Memory left, as pages of one size where that is asked for."""
        return self.memory if huge_page is None else self.pages.get(huge_page, 0) * huge_page

    def take(self, size: int, huge_page: int | None) -> None:
        """Give memory to a guest."""
        if huge_page is None:
            self.memory -= size
        else:
            self.pages[huge_page] -= size // huge_page


class HostCapacity:
    """All rooms of a host, and what else placing needs to know of it.

    ``striped``: the allocator deals a guest's memory out evenly to the cells it may use, as Xen does, where Linux
    fills the nearest first. ``homes`` are the cells of existing domains by name, None for one that may be anywhere.
    """

    __slots__ = ("costs", "devices", "homes", "known_distances", "notes", "rooms", "striped")

    def __init__(self, rooms: dict[int, CellCapacity], costs: dict[int, dict[int, int]]) -> None:
        self.rooms = rooms
        self.costs = costs
        self.known_distances = True
        self.striped = False
        self.homes: dict[str, tuple[int, ...] | None] = {}
        self.devices: Mapping[str, int | None] | None = None
        self.notes: list[str] = []

    def copy(self) -> HostCapacity:
        """The same stock, to take from without changing this one."""
        other = HostCapacity({cell: room.copy() for cell, room in self.rooms.items()}, self.costs)
        other.known_distances = self.known_distances
        other.striped = self.striped
        other.homes = dict(self.homes)
        other.devices = self.devices
        other.notes = self.notes
        return other


def capacity_of(
    host: Host,
    *,
    reserve: int | None = None,
    domains: Sequence[Domain] = (),
    pool: int | None = None,
) -> HostCapacity:
    """What a host has left for guests.

    ``reserve`` bytes are kept back in each cell; None keeps a 64th of the cell's memory, at most 512 MiB. ``domains``
    are those that run there; ``pool`` the only cpupool whose cpus are used, None for the lowest that there is.
    Raises ``ValueError`` for a pool that is not there.
    """
    rooms = {cell.id: CellCapacity(cell.id) for cell in host.cells}
    stock = HostCapacity(rooms, {})
    _distances(stock, host)
    stock.striped = host.source == "xen"
    if host.devices is not None:
        stock.devices = {device.address: device.cell for device in host.devices}
    core_of = {cpu.id: cpu.siblings for cpu in host.cpus} if domains else {}
    pinned = [_holds(domain, core_of) for domain in domains]
    held = {cpu for cpus, _ in pinned for cpu in cpus}
    _cpus(stock, host, _pool(host, pool), held)
    _memory(stock, host, reserve)
    if domains:
        _weigh(stock, host, domains, [number for _, number in pinned])
    return stock


def _distances(stock: HostCapacity, host: Host) -> None:
    costs = {}
    for cell in host.cells:
        row = dict(cell.distances or ())
        known = {other.id: row.get(other.id) for other in host.cells}
        if None in known.values():
            stock.known_distances = False
        costs[cell.id] = {end: UNKNOWN_DISTANCE if cost is None else cost for end, cost in known.items()}
        if cell.distances is None:
            costs[cell.id][cell.id] = 10
    stock.costs = costs


def _pool(host: Host, wanted: int | None) -> int | None:
    if host.source != "xen" and wanted is None:
        return None
    pools = {cpu.pool for cpu in host.cpus if cpu.pool is not None}
    if wanted is not None and wanted not in pools:
        raise ValueError(f"there is no cpupool {wanted}")
    # None where the hypervisor has no pools or does not tell of them.
    return wanted if wanted is not None else min(pools, default=None)


def _cpus(stock: HostCapacity, host: Host, pool: int | None, held: set[int]) -> None:
    rooms = stock.rooms
    allowed = None if host.allowed is None or host.allowed.cpus is None else frozenset(host.allowed.cpus)
    cores: dict[int, dict[tuple[int, ...] | int, list[int]]] = {cell: {} for cell in rooms}
    left_out: dict[tuple[int, str], int] = {}
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
            why = f"outside pool {pool}"
        elif allowed is not None and number not in allowed:
            why = "not allowed"
        elif number in held:
            why = "pinned by others"
        else:
            key = cpu.siblings or number
            members = cores[cell].get(key)
            if members is None:
                cores[cell][key] = [number]
            else:
                members.append(number)
            continue
        left_out[cell, why] = left_out.get((cell, why), 0) + 1
    for cell, by_core in cores.items():
        room = rooms[cell]
        # A core is whole only if all its threads are ours to give; with siblings unknown nobody can say that.
        room.cores = [
            Core(tuple(members), isinstance(key, tuple) and len(members) == len(key))
            for key, members in by_core.items()
        ]
        room.count()
        room.full_cpus = room.cpus
    if homeless:
        stock.notes.append(f"{homeless} {'cpu is' if homeless == 1 else 'cpus are'} in no one cell, and not used")
    for (cell, why), number in left_out.items():
        rooms[cell].notes.append(f"{number} {'cpu is' if number == 1 else 'cpus are'} {why}")


def _memory(stock: HostCapacity, host: Host, reserve: int | None) -> None:
    claimed = host.hypervisor.claimed or 0 if host.hypervisor is not None else 0
    allowed = None if host.allowed is None else host.allowed.cells
    kept = 0
    for cell in host.cells:
        room = stock.rooms[cell.id]
        if allowed is not None and cell.id not in allowed:
            room.notes.append("its memory is not allowed")
            continue
        size = _usable(cell, claimed)
        if size is None:
            room.notes.append("its free memory is unknown")
            size = 0
        keep = default_reserve(cell) if reserve is None else reserve
        kept = max(kept, keep)
        room.memory = max(0, size - keep)
        room.full_memory = max(room.memory, (cell.memory.total or 0) - keep)
        room.pages = {pages.size: pages.free or 0 for pages in cell.huge_pages}
    if claimed and any(cell.memory.available is None for cell in host.cells):
        # Xen does not say of which cell a claim will be served, so in the worst case it is this one, whichever.
        stock.notes.append(f"{size_of(claimed)} claimed by other domains are kept back in every cell")


def default_reserve(cell: Cell) -> int:
    """Bytes kept back in a cell unless said otherwise: a 64th of its memory, at most 512 MiB."""
    return min(MAX_RESERVE, (cell.memory.total or cell.memory.span or cell.memory.free or 0) // RESERVE_PART)


def _usable(cell: Cell, claimed: int) -> int | None:
    memory = cell.memory
    if memory.available is not None:
        return memory.available
    return None if memory.free is None else memory.free - claimed


def _holds(domain: Domain, core_of: Mapping[int, tuple[int, ...] | None]) -> tuple[set[int], int]:
    """Cpus that a domain's vcpus have one by one, and how many vcpus that are: those pinned to a cpu or to a core."""
    held: set[int] = set()
    pinned = 0
    for vcpu in domain.each_vcpu or ():
        cpus = vcpu.cpus
        if cpus and (len(cpus) == 1 or set(cpus) <= set(core_of.get(cpus[0]) or ())):
            held.update(cpus)
            pinned += 1
    return held, pinned


def _weigh(stock: HostCapacity, host: Host, domains: Sequence[Domain], pinned: Sequence[int]) -> None:
    """Deal the weight of floating vcpus out to the cells that they may run in, each vcpu once."""
    usable = {cpu: room for room in stock.rooms.values() for core in room.cores for cpu in core.threads}
    totals = [(room, room.cpus) for room in stock.rooms.values() if room.cpus]
    everything = len(usable)
    for domain, settled in zip(domains, pinned, strict=True):
        homes = home(domain, host)
        if domain.name is not None:
            stock.homes[domain.name] = homes
        stock.homes[str(domain.id)] = homes
        _promise(stock, domain, homes)
        cpus = domain.affinity.cpus
        floating = (domain.vcpus or 0) - settled
        if floating <= 0:
            continue
        if cpus is None:
            shares = totals if homes is None else [(room, number) for room, number in totals if room.id in homes]
            whole = sum(number for _, number in shares) if homes is not None else everything
            for room, number in shares:
                room.load += floating * number / whole
            continue
        inside = [usable[cpu] for cpu in cpus if cpu in usable]
        for room in inside:
            room.load += floating / len(inside)


def home(domain: Domain, host: Host) -> tuple[int, ...] | None:
    """The cells that a domain has memory or cpus on, None if that may be any."""
    if domain.cells is not None and not domain.unplaced:
        found = tuple(cell for cell, size in domain.cells if size)
        if found:
            return found
    if domain.affinity.cells is not None and len(domain.affinity.cells) < len(host.cells):
        return tuple(domain.affinity.cells)
    if domain.affinity.cpus is not None:
        inside = set(domain.affinity.cpus)
        cells = tuple(sorted({cpu.cell for cpu in host.cpus if cpu.id in inside and cpu.cell is not None}))
        if len(cells) < len(host.cells):
            return cells
    return None


def _promise(stock: HostCapacity, domain: Domain, homes: tuple[int, ...] | None) -> None:
    """Keep back what a guest on Linux is configured with and has not touched yet: it may do so at any moment.

    Under Xen a domain has its memory from the start, and ``maximum`` is a limit to balloon up to.
    """
    if domain.kind in ("pv", "hvm", "process", "group") or domain.maximum is None or domain.memory is None:
        return
    rooms = [room for room in stock.rooms.values() if room.full_memory and (homes is None or room.id in homes)]
    missing = domain.maximum - domain.memory
    if missing <= 0 or not rooms:
        return
    for room in rooms:
        room.memory = max(0, room.memory - -(-missing // len(rooms)))
