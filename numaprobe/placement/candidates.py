"""Which cells a request may use, and what each of them can give."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .capacity import CellCapacity, HostCapacity
    from .request import Request


class Candidates:
    """The cells that may take part, with what each has to give, as parallel lists in id order."""

    __slots__ = (
        "costs",
        "cpus",
        "first_part",
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
        self.shares = shares(request) if request.parts else None
        self.out: dict[int, str] = {}
        allowed = _allowed(stock, request, self.out)
        self.ids: list[int] = []
        self.rooms: list[CellCapacity] = []
        self.cpus: list[int] = []
        self.memory: list[int] = []
        granule, page = request.granule, request.huge_page
        for cell, room in stock.rooms.items():
            if cell not in allowed:
                continue
            cpus = room.idle if request.cores else room.cpus
            if not room.full_cpus and not request.memory_only:
                self.out[cell] = "has no cpus that may be used"
                continue
            self.ids.append(cell)
            self.rooms.append(room)
            self.cpus.append(cpus)
            self.memory.append((room.memory if page is None else room.bytes(page)) // granule * granule)
        self.costs = [[stock.costs[a][b] for b in self.ids] for a in self.ids]
        self.near = _near(stock, request, self.ids)
        parts = self.shares or []
        self.first_part = [
            next((at for at, (v, m) in enumerate(parts) if v <= cpus and m <= memory), len(parts))
            for cpus, memory in zip(self.cpus, self.memory, strict=True)
        ]

    def fits(self, chosen: Sequence[int]) -> bool:
        """Whether a set of positions can hold the request."""
        if self.shares is not None:
            return assign_shares(self, chosen) is not None
        memory, cpus = self.memory, self.cpus
        return sum([memory[i] for i in chosen]) >= self.need and sum([cpus[i] for i in chosen]) >= self.request.vcpus


def shares(request: Request) -> list[tuple[int, int]]:
    """Equal parts as (vcpus, bytes), the largest first: vcpus differ by one at most, memory goes with them."""
    parts = request.parts or 1
    granule = request.granule
    grains = -(-request.memory // granule)
    if grains < parts:
        granule = request.huge_page or 4096
        grains = -(-request.memory // granule)
    few, more = divmod(request.vcpus, parts)
    small = max(1, grains * few // request.vcpus) if more else 0
    groups = [(few + 1, more, grains - small * (parts - more)), (few, parts - more, small * (parts - more))]
    if not more:
        groups = [(few, parts, grains)]
    out = []
    for vcpus, number, total in groups:
        base, extra = divmod(total, number)
        out += [(vcpus, (base + (i < extra)) * granule) for i in range(number)]
    return out


def assign_shares(field: Candidates, chosen: Sequence[int]) -> list[int] | None:
    """For each part, largest first, the position that takes it; None where they cannot all be dealt out.

    Parts shrink in both measures together, so a cell that can hold one can hold all that come after it.
    """
    first = field.first_part
    order = sorted(chosen, key=lambda i: (first[i], i))
    if len(order) != len(field.shares or ()) or any(first[i] > place for place, i in enumerate(order)):
        return None
    return order


def _allowed(stock: HostCapacity, request: Request, out: dict[int, str]) -> set[int]:
    cells = set(stock.rooms)
    for name in request.away_from:
        homes = _cells_of_domain(stock, name)
        for cell in cells & (set(stock.rooms) if homes is None else set(homes)):
            out[cell] = f"{name} is there" if homes is not None else f"{name} may be there, as anywhere"
            cells.discard(cell)
    for name in request.together_with:
        homes = _cells_of_domain(stock, name)
        # Empty: of the same batch, and placed later; it will come here then.
        for cell in cells - set(homes) if homes else ():
            out[cell] = f"{name} is not there"
            cells.discard(cell)
    return cells


def _cells_of_domain(stock: HostCapacity, name: str) -> tuple[int, ...] | None:
    if name not in stock.homes:
        raise ValueError(f"there is no domain {name!r}")
    return stock.homes[name]


def _near(stock: HostCapacity, request: Request, ids: list[int]) -> list[tuple[int, int]] | None:
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
