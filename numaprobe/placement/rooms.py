"""What is left of a host while guests are placed: cores, CPUs and memory per cell."""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .guests import Floater

# Requests that leave out other cells each have a table; a batch of many such does not keep them all.
MAX_TABLES = 64
LENT = "its CPUs are counted in another cell"


class Core:
    """The threads of one core that nobody holds, whether that is all of it, and the groups of cores that it is in.

    ``load`` is the weight of running guests that float on it in particular.
    """

    __slots__ = ("groups", "load", "threads", "whole")

    def __init__(self, threads: tuple[int, ...], whole: bool, groups: tuple[object, ...], load: float = 0.0) -> None:
        self.threads = threads
        self.whole = whole
        self.groups = groups
        self.load = load


class CellCapacity:
    """What one cell has left.

    ``online`` counts CPUs, ``cpus`` free threads, ``idle`` whole cores and ``clean`` the threads of those. ``load`` is
    the weight of floating vcpus, and ``kept`` how many CPUs must remain for those that were placed here. ``group``
    orders kinds of memory; ``notes`` says what was not counted. ``pinnable`` is the part of ``memory`` that may be
    pinned, None where nobody looked. ``cores_known`` is whether it is known which CPUs share a core. ``lends``: guests
    on CPUs of other cells may have its memory although it has no CPUs left, with ``lends_last`` only where those do not
    suffice.
    """

    __slots__ = (
        "aligned",
        "bandwidth",
        "clean",
        "cores",
        "cores_known",
        "cpus",
        "full_cpus",
        "full_memory",
        "group",
        "id",
        "idle",
        "kept",
        "kind",
        "lends",
        "lends_last",
        "load",
        "memory",
        "notes",
        "online",
        "pages",
        "pinnable",
        "reserve",
    )

    def __init__(self, cell_id: int) -> None:
        self.id = cell_id
        self.memory = self.full_memory = self.reserve = 0
        self.pinnable: int | None = None
        self.pages: dict[int, int] = {}
        self.cores: list[Core] = []
        self.cpus = self.full_cpus = self.online = self.idle = self.clean = self.kept = 0
        self.load = 0.0
        self.notes: list[str] = []
        self.kind: str | None = None
        self.group = self.bandwidth = 0
        self.aligned: tuple[int, int] | None = None
        self.lends = self.lends_last = False
        self.cores_known = True

    def copy(self) -> CellCapacity:
        """The same room, to take from without changing this one."""
        other = CellCapacity.__new__(CellCapacity)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.pages = dict(self.pages)
        other.cores = list(self.cores)
        other.notes = list(self.notes)
        return other

    def swap_cpus(self, other: CellCapacity) -> None:
        """Exchange CPUs, and who runs on them, with a cell to which they are as local."""
        for name in ("cores", "cores_known", "cpus", "full_cpus", "idle", "clean", "kept", "load", "aligned", "lends"):
            mine = getattr(self, name)
            setattr(self, name, getattr(other, name))
            setattr(other, name, mine)

    def settle(self, cores: list[Core]) -> None:
        """Begin with these cores."""
        self.cores = cores
        self._count()
        self.full_cpus = self.cpus

    def _count(self) -> None:
        self.cpus = sum(len(core.threads) for core in self.cores)
        whole = [len(core.threads) for core in self.cores if core.whole]
        self.idle, self.clean = len(whole), sum(whole)
        self.aligned = None

    def hold(self, taken: Iterable[int]) -> None:
        """Give CPUs to one guest alone."""
        gone = set(taken)
        cores = []
        for core in self.cores:
            if gone.isdisjoint(core.threads):
                cores.append(core)
                continue
            left = tuple(cpu for cpu in core.threads if cpu not in gone)
            if left:
                cores.append(Core(left, False, core.groups, core.load * len(left) / len(core.threads)))
        self.cores = cores
        self._count()

    def widest(self) -> tuple[int, int]:
        """The most free threads, and the most whole cores, that share a cache, or a die where caches are not known."""
        if self.aligned is None:
            self.aligned = self.cpus, self.idle
            for level in range(len(self.cores[0].groups) if self.cores else 0):
                threads: dict[object, int] = {}
                whole: dict[object, int] = {}
                for core in self.cores:
                    key = core.groups[level]
                    threads[key] = threads.get(key, 0) + len(core.threads)
                    whole[key] = whole.get(key, 0) + core.whole
                if len(threads) > 1:
                    self.aligned = max(threads.values()), max(whole.values())
        return self.aligned

    def bytes(self, huge_page: int | None) -> int:
        """Memory left, as pages of one size where that is requested."""
        return self.memory if huge_page is None else self.pages.get(huge_page, 0) * huge_page

    def for_vfio(self) -> int:
        """Memory left for a guest whose memory is pinned. Others take what is movable first."""
        return self.memory if self.pinnable is None else min(self.memory, self.pinnable)

    def take(self, size: int, huge_page: int | None, *, vfio: bool = False) -> None:
        """Give memory to a guest; with ``vfio`` from what may be pinned."""
        if huge_page is None:
            self.memory -= size
            if vfio and self.pinnable is not None:
                self.pinnable -= size
        else:
            self.pages[huge_page] -= size // huge_page


class HostCapacity:
    """All cells of a host, and what else placing needs to know of it.

    ``striped``: the allocator deals a guest's memory out evenly to the cells it may use, as Xen does, where Linux
    fills the nearest first. ``homes`` are the cells of existing domains by name, None for one that may be anywhere.
    ``costs`` are those of accesses, ``distances`` what the host's table says. ``quota`` is what this process may use,
    in CPUs. ``floaters`` are running vcpus that float. ``bind`` is whether there are cells to choose from. ``sharing``
    are groups of cells whose CPUs are the same.
    """

    __slots__ = (
        "bind",
        "costs",
        "devices",
        "distances",
        "floaters",
        "homes",
        "known_distances",
        "notes",
        "ordinary",
        "quota",
        "rooms",
        "sharing",
        "striped",
        "tables",
    )

    def __init__(self, rooms: dict[int, CellCapacity], costs: dict[int, dict[int, int]]) -> None:
        self.rooms = rooms
        self.costs = self.distances = costs
        self.known_distances = True
        self.striped = False
        self.bind = True
        # Whether every cell has CPUs and no special memory, so that none has to be looked at before it may take part.
        self.ordinary = False
        self.quota: float | None = None
        self.homes: dict[str, tuple[int, ...] | None] = {}
        self.devices: Mapping[str, int | None] | None = None
        self.floaters: list[Floater] = []
        self.notes: list[str] = []
        self.sharing: list[tuple[int, ...]] = []
        # Shared by all copies: costs do not change while guests are placed.
        self.tables: dict[tuple[int, ...], Table] = {}

    def copy(self) -> HostCapacity:
        """The same capacity, to take from without changing this one."""
        other = HostCapacity.__new__(HostCapacity)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.rooms = {cell: room.copy() for cell, room in self.rooms.items()}
        other.homes = dict(self.homes)
        return other

    def table(self, ids: Sequence[int]) -> Table:
        """The costs between these cells, by their positions."""
        key = tuple(ids)
        found = self.tables.get(key)
        if found is None:
            if len(self.tables) >= MAX_TABLES:
                self.tables.clear()
            if len(key) > 1:
                pick = itemgetter(*key)
                found = Table([pick(self.costs[cell]) for cell in key])
            else:
                found = Table([(self.costs[cell][cell],) for cell in key])
            self.tables[key] = found
        return found


class Table:
    """The costs between some cells, by their positions, and who is near to whom."""

    __slots__ = ("_nearest", "_orders", "costs")

    def __init__(self, costs: list[tuple[int, ...]]) -> None:
        self.costs = costs
        self._nearest: int | None = None
        self._orders: dict[int, list[int]] = {}

    @property
    def nearest(self) -> int:
        """The lowest cost between two cells."""
        if self._nearest is None:
            rows = [[*row[:i], *row[i + 1 :]] for i, row in enumerate(self.costs)]
            self._nearest = min([min(row) for row in rows if row], default=0)
        return self._nearest

    def order(self, centre: int) -> list[int]:
        """Positions of the other cells by what an access from the centre costs, the cheapest first, then by id."""
        order = self._orders.get(centre)
        if order is None:
            row = self.costs[centre]
            order = self._orders[centre] = sorted(range(len(row)), key=row.__getitem__)
            order.remove(centre)
        return order

    def around(self, centre: int) -> Iterator[tuple[int, list[int]]]:
        """The same in groups that cost the same."""
        row = self.costs[centre]
        ring: list[int] = []
        for i in self.order(centre):
            if ring and row[i] != row[ring[0]]:
                yield row[ring[0]], ring
                ring = []
            ring.append(i)
        if ring:
            yield row[ring[0]], ring
