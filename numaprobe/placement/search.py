"""Which sets of cells fit a request, and the best of them: exact up to 16 cells, bounded beyond."""

from __future__ import annotations

from itertools import combinations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .capacity import Room, Stock
    from .request import Request

EXACT = 16
# Beyond that many cells, sets of more than two are grown, from so many cells.
SEEDS = 32
NEAR_WEIGHT = 1 << 40


class Field:
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

    def __init__(self, stock: Stock, request: Request) -> None:
        self.stock = stock
        self.request = request
        self.need = -(-request.memory // request.granule) * request.granule
        self.shares = shares(request) if request.parts else None
        self.out: dict[int, str] = {}
        allowed = _allowed(stock, request, self.out)
        self.ids: list[int] = []
        self.rooms: list[Room] = []
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
            return deal(self, chosen) is not None
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


def deal(field: Field, chosen: Sequence[int]) -> list[int] | None:
    """For each part, largest first, the position that takes it; None where they cannot all be dealt out.

    Parts shrink in both measures together, so a cell that can hold one can hold all that come after it.
    """
    first = field.first_part
    order = sorted(chosen, key=lambda i: (first[i], i))
    if len(order) != len(field.shares or ()) or any(first[i] > place for place, i in enumerate(order)):
        return None
    return order


def _allowed(stock: Stock, request: Request, out: dict[int, str]) -> set[int]:
    cells = set(stock.rooms)
    for name in request.away_from:
        homes = _homes(stock, name)
        for cell in cells & (set(stock.rooms) if homes is None else set(homes)):
            out[cell] = f"{name} is there" if homes is not None else f"{name} may be there, as anywhere"
            cells.discard(cell)
    for name in request.together_with:
        homes = _homes(stock, name)
        # Empty: of the same batch, and placed later; it will come here then.
        for cell in cells - set(homes) if homes else ():
            out[cell] = f"{name} is not there"
            cells.discard(cell)
    return cells


def _homes(stock: Stock, name: str) -> tuple[int, ...] | None:
    if name not in stock.homes:
        raise ValueError(f"there is no domain {name!r}")
    return stock.homes[name]


def _near(stock: Stock, request: Request, ids: list[int]) -> list[int] | None:
    """How far each cell is from the device, or None without one."""
    if request.near is None:
        return None
    if stock.devices is None:
        raise ValueError("near a device: the host was read without its devices, which probe(devices=True) adds")
    if request.near not in stock.devices:
        raise ValueError(f"there is no PCI device {request.near}")
    place = stock.devices[request.near]
    if place is None or place not in stock.costs:
        return None
    return [stock.costs[cell][place] for cell in ids]


Rank = tuple[object, ...]


def best(field: Field) -> tuple[int, ...] | None:
    """Positions of the best set, None if none fits: fewest cells, nearest, least apart, policy, lowest ids.

    For a guest that asked for the nearest, the cheapest of the best sets of each size.
    """
    n = len(field.ids)
    request = field.request
    if field.shares is not None:
        levels: Sequence[int] = (len(field.shares),)
    else:
        most = min(n, request.max_cells or n)
        least = max(_fewest(field.memory, field.need), _fewest(field.cpus, request.vcpus))
        levels = range(least, most + 1)
    cheapest: tuple[float, tuple[int, ...]] | None = None
    for k in levels:
        if k > n or (cheapest is not None and _bound(field, k) >= cheapest[0]):
            break
        found = _level(field, k)
        if not found:
            continue
        chosen = min(found, key=ranker(field)) if len(found) > 1 else found[0]
        cost = mean_cost(field, chosen)
        if cheapest is None or cost < cheapest[0] - 1e-9:
            cheapest = cost, chosen
        if not request.nearest:
            break
    return None if cheapest is None else cheapest[1]


def mean_cost(field: Field, chosen: Sequence[int]) -> float:
    """Mean distance between the cells of a set, each with itself included: 10 for one cell."""
    return sum([field.costs[i][j] for i in chosen for j in chosen]) / len(chosen) ** 2


def _bound(field: Field, k: int) -> float:
    """No set of ``k`` cells can have a lower mean cost than this."""
    n = len(field.ids)
    own = min([field.costs[i][i] for i in range(n)])
    least = min([field.costs[i][j] for i in range(n) for j in range(n) if i != j], default=own)
    return (own + (k - 1) * least) / k


def _fewest(gives: list[int], need: int) -> int:
    """At least so many cells it takes by one measure alone; more than there are if all are too little."""
    got = 0
    for number, value in enumerate(sorted(gives, reverse=True), 1):
        got += value
        if got >= need:
            return number
    return len(gives) + 1


def _level(field: Field, k: int) -> list[tuple[int, ...]]:
    """The nearest sets of ``k`` that fit, all that tie."""
    n = len(field.ids)
    if k == 1:
        sets: list[tuple[int, ...]] = [(i,) for i in range(n) if field.fits((i,))]
        if field.near is not None and sets:
            near = field.near
            closest = min(near[i] for (i,) in sets)
            sets = [(i,) for (i,) in sets if near[i] == closest]
        return sets
    if n <= EXACT or k == 2:
        return _exact(field, k)
    return list(_grown(field, k))


def _exact(field: Field, k: int) -> list[tuple[int, ...]]:
    """Every set that fits with the least sum of distances, by depth first with bounds."""
    n, near = len(field.ids), field.near
    costs, memory, cpus = field.costs, field.memory, field.cpus
    both = [[costs[i][j] + costs[j][i] for j in range(n)] for i in range(n)]
    least_pair = min((both[i][j] for i in range(n) for j in range(i)), default=0)
    vcpus, need = field.request.vcpus, field.need
    parts = field.shares
    if parts is not None:
        # Each must at least hold the smallest part.
        order = [i for i in range(n) if cpus[i] >= parts[-1][0] and memory[i] >= parts[-1][1]]
    else:
        order = list(range(n))
    width = len(order)
    top_memory = [_tops([memory[i] for i in order[at:]], k) for at in range(width + 1)]
    top_cpus = [_tops([cpus[i] for i in order[at:]], k) for at in range(width + 1)]
    least = None
    found: list[tuple[int, ...]] = []
    chosen: list[int] = []
    pairs_left = [(k * (k - 1) - depth * (depth - 1)) // 2 for depth in range(k + 1)]

    def descend(at: int, got_memory: int, got_cpus: int, apart: int) -> None:
        nonlocal least, found
        depth = len(chosen)
        if depth == k:
            if got_memory < need or got_cpus < vcpus or (parts is not None and not field.fits(chosen)):
                return
            if least is None or apart < least:
                least = apart
                found = [tuple(chosen)]
            elif apart == least:
                found.append(tuple(chosen))
            return
        left = k - depth
        for position in range(at, width - left + 1):
            # What comes later only gets smaller sums, so the first failure ends the row.
            if got_memory + top_memory[position][left] < need or got_cpus + top_cpus[position][left] < vcpus:
                return
            i = order[position]
            row = both[i]
            added = apart + sum([row[j] for j in chosen])
            if near is not None:
                added += near[i] * NEAR_WEIGHT
            if least is not None and added + pairs_left[depth + 1] * least_pair > least:
                continue
            chosen.append(i)
            descend(position + 1, got_memory + memory[i], got_cpus + cpus[i], added)
            chosen.pop()

    descend(0, 0, 0, 0)
    return found


def _tops(values: list[int], most: int) -> list[int]:
    """Sums of the 0, 1, 2 ... largest, as far as ``most``; short lists stay at their whole sum."""
    out = [0]
    for value in sorted(values, reverse=True)[:most]:
        out.append(out[-1] + value)
    return out + [out[-1]] * (most + 1 - len(out))


def _grown(field: Field, k: int) -> Iterator[tuple[int, ...]]:
    """One set from each cell: its nearest neighbours, passing over those with which the need gets out of reach."""
    n, near, parts = len(field.ids), field.near, field.shares
    costs, memory, cpus = field.costs, field.memory, field.cpus
    tops = (_tops(memory, k), _tops(cpus, k))
    able = range(n)
    if parts is not None:
        able_list = [i for i in range(n) if cpus[i] >= parts[0][0] and memory[i] >= parts[0][1]]
        able = able_list if len(able_list) >= k else able  # type: ignore[assignment]
    least = None
    found: list[tuple[int, ...]] = []
    for seed in sorted(able, key=lambda i: (near[i] if near else 0, -memory[i], i))[:SEEDS]:
        row = costs[seed]
        order = sorted(able, key=lambda j: (j != seed, row[j] + costs[j][seed], -memory[j], j))
        chosen: list[int] = []
        got_memory = got_cpus = 0
        for i in order:
            left = k - len(chosen) - 1
            if got_memory + memory[i] + tops[0][left] < field.need:
                continue
            if got_cpus + cpus[i] + tops[1][left] < field.request.vcpus:
                continue
            chosen.append(i)
            got_memory += memory[i]
            got_cpus += cpus[i]
            if left == 0:
                break
        if len(chosen) < k or not field.fits(chosen):
            continue
        apart = sum(costs[i][j] for i in chosen for j in chosen if i != j)
        if near is not None:
            apart += NEAR_WEIGHT * sum(near[i] for i in chosen)
        if least is None or apart < least:
            least, found = apart, []
        if apart == least:
            found.append(tuple(sorted(chosen)))
    yield from sorted(set(found))


def ranker(field: Field) -> Callable[[tuple[int, ...]], Rank]:
    """What decides between sets that are as many and as near: smaller is better."""
    request, rooms, memory, costs = field.request, field.rooms, field.memory, field.costs
    policy, need, vcpus, page = request.policy, field.need, request.vcpus, request.huge_page
    cpus = field.cpus
    load = [room.load for room in rooms]
    if request.pinned and not request.cores:
        clean = [sum([len(core.threads) for core in room.cores if core.whole]) for room in rooms]
        sharing = [0.0] * len(rooms)
    else:
        clean = [room.idle for room in rooms]
        sharing = load
    full_memory = memory if page is not None else [room.full_memory for room in rooms]
    full_cpus = [room.full_cpus for room in rooms]

    def rank(chosen: tuple[int, ...]) -> Rank:
        left = sum([memory[i] for i in chosen]) - need
        shared = max(0.0, vcpus - sum([clean[i] - sharing[i] for i in chosen]))
        worst = largest = 0
        if len(chosen) > 1:
            worst = max([costs[i][j] for i in chosen for j in chosen if i != j])
            # Where memory is dealt out evenly, a large part on one cell is no nearer.
            largest = 0 if field.stock.striped else -max([memory[i] for i in chosen])
        if policy == "pack" and not request.dedicated:
            return (worst, shared > 0, largest, left, chosen)
        by_memory = 1 - left / (sum([full_memory[i] for i in chosen]) or 1)
        busy = sum([full_cpus[i] - cpus[i] + load[i] for i in chosen]) + vcpus
        by_cpus = busy / (sum([full_cpus[i] for i in chosen]) or 1)
        if policy == "pack":
            return (worst, shared > 0, largest, -max(by_memory, by_cpus), chosen)
        if policy == "spread":
            return (worst, shared, largest, by_memory + by_cpus, chosen)
        return (worst, shared, largest, max(by_memory, by_cpus), chosen)

    return rank


def smaller_sets(field: Field, size: int) -> Iterator[tuple[int, ...]]:
    """Sets of up to ``size`` cells in the order that they are tried."""
    first = len(field.shares) if field.shares is not None else 1
    for k in range(first, size + 1):
        yield from combinations(range(len(field.ids)), k)
