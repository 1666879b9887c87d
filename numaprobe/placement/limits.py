"""How good any plan for a batch can be at best, so that a plan can be judged by more than other plans."""

from __future__ import annotations

from .filling import MAX_DIVIDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidates import Candidates
    from .outcome import Outcome
    from .request import Request
    from .rooms import HostCapacity

# Weights of memory against cpus, of which each gives a bound; in eighths.
WEIGHTS = range(9)


class Limits:
    """What no plan for a batch can better: how many guests, and the least cost of each."""

    __slots__ = ("bound", "costs", "total")

    def __init__(self, bound: int, costs: list[float | None], total: float = 0.0) -> None:
        self.bound = bound
        self.costs = costs
        self.total = total

    def least(self, outcome: Outcome) -> float:
        """The least cost of the guests that an outcome places."""
        known = [self.costs[i] for i, cells in outcome.sets.items() if cells is not None]
        return max(self.total, sum([cost for cost in known if cost is not None]))

    def reached(self, outcome: Outcome) -> bool:
        """Whether nothing can be better than an outcome."""
        if len(outcome.sets) - outcome.left_out < self.bound:
            return False
        # Other guests of that number may cost less, unless all that fit at all are placed.
        cheapest = sorted([cost for cost in self.costs if cost is not None])[: self.bound]
        return outcome.cost <= max(self.total, sum(cheapest)) + 1e-9


def most_guests(stock: HostCapacity, requests: Sequence[Request], possible: Sequence[bool]) -> int:
    """No plan places more guests than this. ``possible`` says which of them fit if they are alone."""
    wanted = [request for request, alone in zip(requests, possible, strict=True) if alone]
    return min([len(wanted), _by_weight(stock, wanted), *_by_size(stock, wanted)])


def _by_weight(stock: HostCapacity, wanted: Sequence[Request]) -> int:
    """As many of the smallest as all cells together hold, by every mixture of memory and exclusive cpus."""
    rooms = stock.rooms.values()
    pages: dict[int | None, int] = {}
    for request in wanted:
        page = request.huge_page
        if page not in pages:
            pages[page] = sum([max(0, room.bytes(page)) for room in rooms]) or 1
    cpus = sum([room.cpus for room in rooms]) or 1
    rows = [(request.memory / pages[request.huge_page], request.exclusive / cpus) for request in wanted]
    lowest = len(wanted)
    for weight in WEIGHTS:
        # Each kind of pages is a whole of its own, and so are the cpus.
        room = weight / 8 * len(pages) + (1 - weight / 8) + 1e-9
        number = 0
        for cost in sorted([weight / 8 * memory + (1 - weight / 8) * cpu for memory, cpu in rows]):
            room -= cost
            if room < 0:
                break
            number += 1
        lowest = min(lowest, number)
    return lowest


def _by_size(stock: HostCapacity, wanted: Sequence[Request]) -> list[int]:
    """Of guests that stay on one cell and are at least of some size, each cell holds so many and no more."""
    sizes = sorted(
        [request.memory for request in wanted if request.huge_page is None and 1 in (request.parts, request.max_cells)]
    )
    rooms = [max(0, room.memory) for room in stock.rooms.values()]
    out = []
    for number, size in enumerate(sizes):
        if number and size == sizes[number - 1]:
            continue
        large = len(sizes) - number
        out.append(len(wanted) - large + min(large, sum([room // size for room in rooms])))
    return out


def least_costs(fields: Sequence[Candidates], alone: Sequence[float | None]) -> list[float | None]:
    """For each guest the least mean cost of an access that any plan can give it; None if it fits nowhere.

    That is what it costs alone where the search for one guest is exact and nothing is ranked before the cost: with
    less left of the host, no arrangement becomes possible. Otherwise it is the lowest cost of a cell to itself.
    """
    out: list[float | None] = []
    for field, cost in zip(fields, alone, strict=True):
        if cost is None or _exact(field):
            out.append(cost)
        else:
            out.append(min([cost, *[field.stock.costs[cell][cell] for cell in field.ids]]))
    return out


def _exact(field: Candidates) -> bool:
    """Whether no other arrangement of a guest that is alone, on however many cells it needs, costs less."""
    request = field.request
    if field.stock.striped or field.shares is not None or request.near or request.fewest or request.max_cells:
        return False
    if len({room.group for room in field.rooms}) > 1:
        return False
    if any(a >= field.need and b >= request.vcpus for a, b in zip(field.memory, field.hosting, strict=True)):
        return False
    return len(field.ids) <= MAX_DIVIDED or all(number >= request.vcpus for number in field.hosting)
