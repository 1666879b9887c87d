"""Which of the hosts where a guest fits is best: cheap accesses, weighed against what remains useful to others."""

from __future__ import annotations

from functools import lru_cache

from ...named import namedtuple
from .tree import MEMORY, PCPU, VCPU, huge_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numaprobe import Plan, Request

    from .room import CellRoom, Known, Room

    # By cell and resource class.
    Amounts = Mapping[int, Mapping[str, int]]
    # CPUs, and memory in CPUs' worth of it, for each cell.
    Left = tuple[tuple[int, float], ...]

LOCAL = 10.0
# The guests that may come next: vcpus, and memory for each of them in parts of what the fleet has for each CPU.
NEXT = tuple((vcpus, vcpus * part) for vcpus in (1, 2, 4, 8, 16) for part in (0.5, 1.0, 2.0))
# How much each counts: guests of twice as many vcpus are a quarter as frequent.
WEIGHTS = tuple(vcpus**-2 for vcpus, _ in NEXT)
WEIGHT = sum(WEIGHTS)
# A shape that fewer hosts can take counts as if one of them in so many could.
RARE = 20
# Prices in hosts: of an access twice as expensive as a local one; of as many CPUs without their memory, or of as much
# memory without its CPUs, as a host has on average. How much counts that a guest fits on one cell; the rest is that it
# fits on the host. All three were tried on replayed weeks (benchmarks/fleet_week.py), other ones than are published.
ACCESS = 0.4
UNEVEN = 0.09
ON_ONE_CELL = 0.85


class Typical(namedtuple("Typical", "per_cpu cpus fits")):
    """A fleet's hosts on average, when empty: MiB for each CPU, CPUs, and how many guests of each shape fit."""

    __slots__ = ()
    per_cpu: int
    cpus: float
    fits: tuple[float, ...]


def typical(room: Room, request: Request) -> Typical:
    """The average host of a fleet, of its memory in the pages that a request asks for."""
    pages = pages_of(request)
    hosts = [
        [(one.capacity.get(VCPU, 0) + one.capacity.get(PCPU, 0), one.capacity.get(pages, 0)) for one in cells.values()]
        for cells in room.values()
    ]
    cpus = sum([count for cells in hosts for count, _ in cells])
    # Memory beside no CPU is nobody's share.
    memory = sum([size for cells in hosts for count, size in cells if count])
    per_cpu = _round(memory // cpus) if cpus else 1
    number = max(1, len(hosts))
    fits = [_fits(tuple([(count, size / per_cpu) for count, size in cells])) for cells in hosts]
    return Typical(
        per_cpu, max(1.0, cpus / number), tuple([max(1 / RARE, sum(one) / number) for one in zip(*fits, strict=True)])
    )


def pages_of(request: Request) -> str:
    """The resource class of the memory that a request asks for."""
    return MEMORY if request.huge_page is None else huge_class(request.huge_page)


def rank(
    one: Known, cells: Mapping[str, CellRoom], plan: Plan, amounts: Amounts, fleet: Typical
) -> tuple[float | int, ...]:
    """What to compare hosts by, the least first.

    The cost of an access if the request says ``nearest``. Then the price, in hosts: the cost of an access above a local
    one; the guests of several shapes that the host could take before and not after, each shape in parts of what an
    average host takes when it is empty, so that room for what few hosts can take is expensive, and small shapes more
    than large ones, so that no memory is left without a CPU; and how much further apart its CPUs and its memory are, on
    the whole host and on the guest's cells. Then the cost of an access, the
    number of cells, and what is left, so that the fullest is filled.
    """
    pages = pages_of(plan.request)
    taken = {one.cells[cell]: _taken(resources, pages) for cell, resources in amounts.items()}
    before, after = [], []
    uneven = 0.0
    for name, room in cells.items():
        cpus, memory = room.left(VCPU) + room.left(PCPU), room.left(pages)
        before.append((cpus, memory / fleet.per_cpu))
        if (gone := taken.get(name)) is not None:
            cpus, memory = cpus - gone[0], memory - gone[1]
            uneven += _apart(((cpus, memory / fleet.per_cpu),)) - _apart(before[-1:])
        after.append((cpus, memory / fleet.per_cpu))
    uneven += _apart(after) - _apart(before)
    lost = [
        (had - has) / usual * weight
        for had, has, usual, weight in zip(_fits(tuple(before)), _fits(tuple(after)), fleet.fits, WEIGHTS, strict=True)
    ]
    # On one cell every access is local, whether or not the host says what that costs.
    distance = LOCAL if len(plan.cells) == 1 and not plan.memory_only else plan.distance or float("inf")
    price = ACCESS * (distance / LOCAL - 1) + sum(lost) / WEIGHT + UNEVEN * uneven / fleet.cpus
    left = min(sum([cpus for cpus, _ in after]), sum([memory for _, memory in after]))
    first = round(distance, 6) if plan.request.nearest else 0
    return first, round(price, 6), round(distance, 6), len(plan.cells), round(left, 6)


def _round(size: int) -> int:
    """Guests have round sizes, and what a cell offers is a little less than that: its reserve is not offered."""
    step = 1 << max(0, size.bit_length() - 3)
    return max(1, -(-size // step) * step)


def _taken(resources: Mapping[str, int], pages: str) -> tuple[int, int]:
    return resources.get(VCPU, 0) + resources.get(PCPU, 0), resources.get(pages, 0)


def _apart(cells: Iterable[tuple[int, float]]) -> float:
    """How many CPUs are without their memory, or how much memory, in CPUs' worth, without its CPUs."""
    return abs(sum([cpus - memory for cpus, memory in cells]))


@lru_cache(4096)
def _fits(cells: Left) -> tuple[float, ...]:
    """How many guests of each shape fit: those that fit on one cell weighed with those that fit on the host."""
    cpus, memory = sum([one for one, _ in cells]), sum([one for _, one in cells])
    return tuple(
        [
            ON_ONE_CELL * sum([int(min(count // vcpus, size // need)) for count, size in cells])
            + (1 - ON_ONE_CELL) * int(min(cpus // vcpus, memory // need))
            for vcpus, need in NEXT
        ]
    )
