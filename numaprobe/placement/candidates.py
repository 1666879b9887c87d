"""Which cells a request may use, and what each of them can give."""

from __future__ import annotations

from itertools import combinations
from math import ceil

from .request import PAGE
from .rooms import CellCapacity, HostCapacity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .request import Request
    from .rooms import Table


class Candidates:
    """The cells that may take part, with what each has to give, as parallel lists in id order.

    ``cpus`` counts vcpus of this request that a cell can run, ``hosting`` those that it can run with the emulator
    on it too. ``out`` says why the others were left out, and ``blocked`` why all were.
    """

    __slots__ = (
        "_in_cores",
        "_table",
        "blocked",
        "cpus",
        "first_part",
        "hosting",
        "ids",
        "memory",
        "near",
        "need",
        "out",
        "request",
        "rooms",
        "shares",
        "stock",
    )

    def __init__(self, stock: HostCapacity, request: Request) -> None:
        self.stock = stock
        self.request = request
        self.need = -(-request.memory // request.granule) * request.granule
        self.shares = shares(request, request.parts) if request.parts else None
        self.out: dict[int, str] = {}
        self.blocked = _blocked(stock, request)
        allowed = allowed_cells(stock, request, self.out)
        self._table: Table | None = None
        self._in_cores: Candidates | None = None
        shared = _shared_emulator(stock, request.emulator) if isinstance(request.emulator, tuple) else frozenset()
        if allowed is None and stock.ordinary and not (shared and request.exclusive):
            self.ids = list(stock.rooms)
            self.rooms = list(stock.rooms.values())
        else:
            self.ids, self.rooms = self._able(allowed, shared)
        granule, page, rooms = request.granule, request.huge_page, self.rooms
        if request.smt is not None:
            self.cpus = [units(room, request, 0) for room in rooms]
        elif request.exclusive:
            self.cpus = [max(0, room.cpus - room.kept) for room in rooms]
        else:
            self.cpus = [room.cpus for room in rooms]
        if page is None and request.vfio:
            self.memory = [max(0, room.for_vfio() // granule * granule) for room in rooms]
        elif page is None:
            self.memory = [room.memory - room.memory % granule for room in rooms]
        else:
            self.memory = [room.bytes(page) for room in rooms]
        own = request.emulator_cpus
        self.hosting = [units(room, request, own) for room in self.rooms] if own else self.cpus
        if request.pinned_vcpus:
            for i, room in enumerate(self.rooms):
                if _holds_mixed(room, request):
                    self.hosting[i] = self.cpus[i] = max(self.cpus[i], request.vcpus)
        self.near = nearness_of(stock, request, self.ids)
        parts = self.shares or []
        self.first_part = [
            next((at for at, (v, m) in enumerate(parts) if v <= cpus and m <= memory), len(parts))
            for cpus, memory in zip(self.cpus if parts else (), self.memory, strict=bool(parts))
        ]

    def _able(self, allowed: set[int] | None, shared: frozenset[int]) -> tuple[list[int], list[CellCapacity]]:
        """The cells that may take part; ``out`` gets the others and why."""
        request = self.request
        ids, rooms = [], []
        for cell, room in self.stock.rooms.items():
            if allowed is not None and cell not in allowed:
                continue
            if why := _why_excluded(room, request):
                self.out[cell] = why
                continue
            ids.append(cell)
            if shared and request.exclusive:
                # The emulator shares these with others: they are not for one vcpu alone.
                own = room.copy()
                own.hold(shared)
                rooms.append(own)
            else:
                rooms.append(room)
        return ids, rooms

    @property
    def table(self) -> Table:
        """Costs between the cells that take part, by position."""
        if self._table is None:
            self._table = self.stock.table(self.ids)
        return self._table

    @property
    def costs(self) -> list[tuple[int, ...]]:
        return self.table.costs

    def counting_cores(self) -> Candidates:
        """The same cells with whole cores that nobody runs on counted instead of threads."""
        if self._in_cores is not None:
            return self._in_cores
        other = Candidates.__new__(Candidates)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.cpus = [
            min(cpus, max(0, int(room.idle - room.load))) for cpus, room in zip(self.cpus, self.rooms, strict=True)
        ]
        other.hosting = (
            other.cpus
            if self.hosting is self.cpus
            else [min(a, b) for a, b in zip(self.hosting, other.cpus, strict=True)]
        )
        self._in_cores = other
        return other

    def fits(self, chosen: Sequence[int]) -> bool:
        """Whether a set of positions can hold the request."""
        if self.blocked is not None:
            return False
        if self.shares is not None:
            return assign_shares(self, chosen) is not None
        return sum([self.memory[i] for i in chosen]) >= self.need and self.runs(chosen) >= self.request.vcpus

    def runs(self, chosen: Sequence[int]) -> int:
        """How many vcpus a set of positions can run, the emulator included."""
        cpus = self.cpus
        most = sum([cpus[i] for i in chosen])
        if self.hosting is not cpus:
            lost = [cpus[i] - self.hosting[i] for i in chosen if self.hosting[i]]
            return most - min(lost) if lost else 0
        return most


def units(room: CellCapacity, request: Request, more: int, kept: int = 0) -> int:
    """How many vcpus of a request a cell can run, with ``more`` CPUs taken by its emulator.

    Vcpus with CPUs of their own leave as many as the floating guests that were placed here need.
    """
    threads = room.cpus - more
    if not request.exclusive:
        if more and threads < room.kept:
            return 0
        return max(0, min(room.idle, threads) if request.smt == "avoid" else threads)
    threads = max(0, threads - max(room.kept, kept))
    if request.smt == "isolate":
        return _whole_cores(room, threads)
    if request.smt == "avoid":
        return min(room.idle, threads)
    if request.smt == "require":
        return min(max([each * number for each, number in siblings(room)], default=0), threads)
    return threads


def siblings(room: CellCapacity) -> list[tuple[int, int]]:
    """For each number of threads from 2, the largest first, how many cores have as many available."""
    sizes = [len(core.threads) for core in room.cores]
    return [(each, sum(size >= each for size in sizes)) for each in range(max(sizes, default=1), 1, -1)]


def _whole_cores(room: CellCapacity, threads: int) -> int:
    """How many whole cores, whichever they are, can be given away within so many threads."""
    sizes = sorted([len(core.threads) for core in room.cores if core.whole], reverse=True)
    if not sizes:
        return 0
    if sizes[0] == sizes[-1]:
        return min(len(sizes), threads // sizes[0])
    number = 0
    for size in sizes:
        threads -= size
        if threads < 0:
            break
        number += 1
    return number


def _holds_mixed(room: CellCapacity, request: Request) -> bool:
    """Whether one cell can run all vcpus of a guest of which only some are pinned."""
    floating = request.vcpus - request.exclusive
    return units(room, request, request.emulator_cpus, kept=floating) >= request.exclusive


def _blocked(stock: HostCapacity, request: Request) -> str | None:
    if stock.quota is not None and request.vcpus > ceil(stock.quota):
        return (
            f"{request.vcpus} vcpus are more than this process's CPU quota of {stock.quota:g}"
            " (ignore_allowed disregards it)"
        )
    wanted = request.exclusive
    if stock.floaters and wanted + request.emulator_cpus:
        cores = [core for room in stock.rooms.values() for core in room.cores]
        threads = sum([len(core.threads) for core in cores])
        if request.smt == "isolate":
            wanted = sum(sorted([len(core.threads) for core in cores if core.whole], reverse=True)[:wanted])
        if 0 < threads <= wanted + request.emulator_cpus:
            names = sorted({one.name or str(one.domain) for one in stock.floaters})
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            return f"no CPU would remain for running guests that float ({shown})"
    return None


def _shared_emulator(stock: HostCapacity, named: tuple[int, ...]) -> frozenset[int]:
    """The CPUs that a request names for its emulator; raises ``ValueError`` for those that may not be used."""
    usable = {cpu for room in stock.rooms.values() for core in room.cores for cpu in core.threads}
    for cpu in named:
        if cpu not in usable:
            raise ValueError(f"emulator: CPU {cpu} is not available on this host")
    return frozenset(named)


def _why_excluded(room: CellCapacity, request: Request) -> str | None:
    """Why a cell may not take part, or None."""
    named = room.kind is not None and room.kind in request.kinds
    if not room.full_cpus and not request.memory_only and not named and not room.lends:
        return without_cpus(room)
    if room.kind == "gpu" and room.group and not named:
        return "is memory of a GPU, which is used only if kinds names gpu"
    return None


def without_cpus(room: CellCapacity) -> str:
    """That a cell has no CPUs to give, and why."""
    return f"has no usable CPUs{': ' + '; '.join(room.notes) if room.notes else ''}"


def shares(request: Request, parts: int) -> list[tuple[int, int]]:
    """Equal parts as (vcpus, bytes), the largest first: vcpus differ by one at most, memory is in proportion."""
    granule = request.granule
    grains = -(-request.memory // granule)
    if grains < parts:
        granule = PAGE
        grains = -(-request.memory // granule)
    few, more = divmod(request.vcpus, parts)
    groups = [(few, parts, grains)]
    if more:
        small = max(1, grains * few // request.vcpus)
        groups = [(few + 1, more, grains - small * (parts - more)), (few, parts - more, small * (parts - more))]
    out = []
    for vcpus, number, total in groups:
        base, extra = divmod(total, number)
        out += [(vcpus, (base + (i < extra)) * granule) for i in range(number)]
    return out


def assign_shares(field: Candidates, chosen: Sequence[int]) -> list[int] | None:
    """For each part, largest first, the position that takes it; None where they cannot all be dealt out.

    Parts shrink in both measures together, so a cell that can hold one can hold all those after it.
    """
    first = field.first_part
    order = sorted(chosen, key=lambda i: (first[i], i))
    if len(order) != len(field.shares or ()) or any(first[i] > place for place, i in enumerate(order)):
        return None
    if field.hosting is not field.cpus and emulator_at(field, order) is None:
        return None
    return order


def fitting_sets(field: Candidates, least: int, most: int) -> Iterator[tuple[int, ...]]:
    """Sets of so many cells that hold a request, as positions, the smallest first."""
    if field.shares is not None:
        least = most = len(field.shares)
    most = min(most, field.request.max_cells or most)
    for size in range(least, most + 1):
        for chosen in combinations(range(len(field.ids)), size):
            if field.fits(chosen):
                yield chosen


def emulator_at(field: Candidates, order: Sequence[int]) -> int | None:
    """The place in an assignment of shares whose cell can run the emulator too."""
    for (vcpus, _), i in zip(field.shares or (), order, strict=True):
        if field.hosting[i] >= vcpus:
            return i
    return None


def allowed_cells(stock: HostCapacity, request: Request, out: dict[int, str]) -> set[int] | None:
    """The cells allowed by ``away_from`` and ``together_with``, None for all; ``out`` gets the others and why."""
    if not request.away_from and not request.together_with:
        return None
    cells = set(stock.rooms)
    for name in request.away_from:
        homes = _cells_of_domain(stock, name)
        for cell in cells & (set(stock.rooms) if homes is None else set(homes)):
            out[cell] = f"{name} is there" if homes is not None else f"{name} may be there, as anywhere"
            cells.discard(cell)
    for name in request.together_with:
        homes = _cells_of_domain(stock, name)
        # Empty: of the same batch, and placed later; it will then be placed here.
        for cell in cells - set(homes) if homes else ():
            out[cell] = f"{name} is not there"
            cells.discard(cell)
    return cells


def _cells_of_domain(stock: HostCapacity, name: str) -> tuple[int, ...] | None:
    if name not in stock.homes:
        raise ValueError(f"there is no domain {name!r}")
    return stock.homes[name]


def nearness_of(stock: HostCapacity, request: Request, ids: list[int]) -> list[tuple[int, int]] | None:
    """How far each cell is from what was named, as (worst, sum); None where none of it has a known cell."""
    places = [place for place in _places(stock, request) if place is not None]
    if not places:
        return None
    rows = [[stock.costs[cell][place] for place in places] for cell in ids]
    return [(max(row), sum(row)) for row in rows]


def _places(stock: HostCapacity, request: Request) -> list[int | None]:
    """The cell of each device or cell that a request is to be near to, None where that is not known.

    Raises ``ValueError`` for a device or cell that the host does not have.
    """
    out: list[int | None] = []
    for wanted in request.near:
        if isinstance(wanted, int):
            if wanted not in stock.costs:
                raise ValueError(f"near cell {wanted}: the host has no cell {wanted}")
            out.append(wanted)
            continue
        if stock.devices is None:
            raise ValueError(f"near {wanted}: the host was read without its devices, which probe(devices=True) adds")
        if wanted not in stock.devices:
            raise ValueError(f"near {wanted}: the host has no such device")
        place = stock.devices[wanted]
        out.append(place if place in stock.costs else None)
    return out
