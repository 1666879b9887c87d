"""Which of the hosts where a guest fits is best: the cheapest access, then what remains useful to other guests."""

from __future__ import annotations

from .tree import MEMORY, PCPU, VCPU, huge_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numaprobe import Plan, Request

    from .room import CellRoom, Known, Room

    # By cell and resource class.
    Amounts = Mapping[int, Mapping[str, int]]

LOCAL = 10.0
# The guests that may come next: vcpus, and memory for each of them in parts of what the fleet has for each CPU.
NEXT_VCPUS = (1, 2, 4, 8, 16)
NEXT_MEMORY = (0.5, 1.0, 2.0)
# What a CPU without its memory, or memory without its CPU, costs in guests that do not fit any more. Tried from 0 to 2
# on replayed weeks (benchmarks/fleet_week.py): guests accepted were the same within their spread, memory without CPUs
# least at 2.
UNEVEN = 2.0


def memory_per_cpu(room: Room, request: Request) -> float:
    """MiB for each CPU that the fleet's cells with CPUs offer, of the pages that a request asks for; 1 at least."""
    pages = pages_of(request)
    memory = cpus = 0
    for cells in room.values():
        for one in cells.values():
            here = one.capacity.get(VCPU, 0) + one.capacity.get(PCPU, 0)
            if here:
                memory += one.capacity.get(pages, 0)
                cpus += here
    return max(1.0, memory / cpus) if cpus else 1.0


def pages_of(request: Request) -> str:
    """The resource class of the memory that a request asks for."""
    return MEMORY if request.huge_page is None else huge_class(request.huge_page)


def rank(
    one: Known, cells: Mapping[str, CellRoom], plan: Plan, amounts: Amounts, per_cpu: float
) -> tuple[float | int | str, ...]:
    """What to compare hosts by, the least first.

    The cost of an access, then the number of cells. Then how many guests of several shapes the host could take before
    and not after, and how much further its CPUs and its memory are apart, on the whole host and on the guest's cells.
    Then what is left there, so that the fullest is filled; at last the name.
    """
    pages = pages_of(plan.request)
    cpus, memory = _left(cells.values(), pages, per_cpu)
    taken_cpus, taken_memory = _taken(amounts.values(), pages, per_cpu)
    after = cpus - taken_cpus, memory - taken_memory
    uneven = abs(after[0] - after[1]) - abs(cpus - memory)
    for cell, resources in amounts.items():
        here = _left((cells[one.cells[cell]],), pages, per_cpu)
        taken = _taken((resources,), pages, per_cpu)
        uneven += abs(here[0] - taken[0] - (here[1] - taken[1])) - abs(here[0] - here[1])
    lost = _next_guests(cpus, memory) - _next_guests(*after)
    # On one cell every access is local, whether or not the host says what that costs.
    distance = LOCAL if len(plan.cells) == 1 and not plan.memory_only else plan.distance or float("inf")
    return round(distance, 6), len(plan.cells), round(lost + UNEVEN * uneven, 6), round(min(after), 6), one.member.name


def _left(cells: Iterable[CellRoom], pages: str, per_cpu: float) -> tuple[float, float]:
    """CPUs, and memory in CPUs' worth of it."""
    cpus = memory = 0
    for cell in cells:
        cpus += cell.left(VCPU) + cell.left(PCPU)
        memory += cell.left(pages)
    return cpus, memory / per_cpu


def _taken(amounts: Iterable[Mapping[str, int]], pages: str, per_cpu: float) -> tuple[float, float]:
    cpus = memory = 0
    for resources in amounts:
        cpus += resources.get(VCPU, 0) + resources.get(PCPU, 0)
        memory += resources.get(pages, 0)
    return cpus, memory / per_cpu


def _next_guests(cpus: float, memory: float) -> int:
    """How many guests fit, summed over shapes; memory in CPUs' worth."""
    return sum(int(min(cpus // vcpus, memory // (vcpus * part))) for vcpus in NEXT_VCPUS for part in NEXT_MEMORY)
