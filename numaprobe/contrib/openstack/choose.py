"""Which host, and which cells of it: ``numaprobe.place`` over every host, with what the ledger has left of each."""

from __future__ import annotations

from numaprobe import DoesNotFit, place

from ...named import namedtuple
from .room import Known, cpus_left
from .tree import MEMORY, MIB, PCPU, VCPU, huge_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numaprobe import Plan, Request

    from .members import Member
    from .room import CellRoom, Room

LOCAL = 10.0


class Choice(namedtuple("Choice", "known plan amounts capacity")):
    """A host for a guest, and where on it: ``amounts`` are what it takes of the ledger, by cell and resource class.

    ``capacity`` is what the host's cells offer to all guests, by uuid of the provider and resource class.

    The ledger counts CPUs and does not name them: the plan's cells and memory are what is claimed, its CPUs are a
    proposal that ``numaprobe place`` makes anew on the host.
    """

    __slots__ = ()
    known: Known
    plan: Plan
    amounts: dict[int, dict[str, int]]
    capacity: dict[str, dict[str, int]]

    @property
    def name(self) -> str:
        """The host's name."""
        return self.known.member.name

    def allocations(self) -> dict[str, dict[str, dict[str, int]]]:
        """As Placement takes them."""
        return {self.known.cells[cell]: {"resources": taken} for cell, taken in sorted(self.amounts.items())}


class Chosen(namedtuple("Chosen", "choices refusals")):
    """Hosts that have room, the best first, and why the others have none, by name."""

    __slots__ = ()
    choices: tuple[Choice, ...]
    refusals: dict[str, str]


def known(members: Iterable[Member]) -> list[Known]:
    """Members, prepared to be chosen from many times. Raises ``ValueError`` for a name that stands twice."""
    out = [Known(member) for member in members]
    names = [one.member.name for one in out]
    if len(set(names)) < len(names):
        raise ValueError(f"two hosts are called {next(name for name in names if names.count(name) > 1)}")
    return out


def choose(members: Iterable[Known], room: Room, request: Request) -> Chosen:
    """Where a guest fits, the best host first.

    The cheapest access decides, then the fewest cells, then how evenly CPUs and memory would be left on them compared
    with now, so that neither is stranded without the other; then where the least of the scarcer one is left, which
    keeps large cells for large guests; at last the name.
    """
    found: list[tuple[tuple[float | int | str, ...], Choice]] = []
    refusals: dict[str, str] = {}
    for one in members:
        cells = room.get(one.root)
        name = one.member.name
        if cells is None:
            refusals[name] = "has nothing left, is set aside as stale, or was not published"
            continue
        reason = _too_small(cells, request)
        if reason is not None:
            refusals[name] = reason
            continue
        try:
            plan = place(one.cut(cells, request), **request._asdict(), reserve=0, ignore_allowed=True, most_rejected=0)
            amounts = _amounts(one, cells, plan)
        except (DoesNotFit, ValueError) as error:
            # A device that one host has is unknown to another.
            refusals[name] = str(error)
            continue
        capacity = {uuid: cell.capacity for uuid, cell in cells.items()}
        choice = Choice(known=one, plan=plan, amounts=amounts, capacity=capacity)
        found.append((_rank(one, cells, plan, amounts), choice))
    found.sort(key=lambda pair: pair[0])
    return Chosen(tuple(choice for _, choice in found), refusals)


def _too_small(cells: Mapping[str, CellRoom], request: Request) -> str | None:
    pages = MEMORY if request.huge_page is None else huge_class(request.huge_page)
    memory = sum(one.left(pages) for one in cells.values())
    cpus = sum(cpus_left(one, pinned=request.exclusive > 0) for one in cells.values())
    if memory * MIB < request.memory:
        return f"{memory} MiB of {pages} are left"
    if cpus < request.vcpus:
        return f"{cpus} CPUs are left"
    return None


def _amounts(one: Known, cells: Mapping[str, CellRoom], plan: Plan) -> dict[int, dict[str, int]]:
    """What a plan takes of each cell. Raises ``ValueError`` if that is more than is left."""
    request = plan.request
    out: dict[int, dict[str, int]] = {}
    pages = MEMORY if request.huge_page is None else huge_class(request.huge_page)
    for cell, size in plan.memory.items():
        if size:
            out.setdefault(cell, {})[pages] = -(-size // MIB)
    for cell, (whole, part) in _cpus(one, plan).items():
        room = cells[one.cells[cell]]
        dedicated = PCPU in room.capacity
        taken = {PCPU: whole} if dedicated else {VCPU: -(-int(whole * room.cpu_ratio * 100) // 100)}
        taken[VCPU] = taken.get(VCPU, 0) + part
        out.setdefault(cell, {}).update({name: amount for name, amount in taken.items() if amount})
    for cell, resources in out.items():
        room = cells[one.cells[cell]]
        for name, amount in resources.items():
            if amount > room.left(name):
                raise ValueError(f"cell {cell}: {room.left(name)} of {name} are left, and {amount} needed")
    return out


def _cpus(one: Known, plan: Plan) -> dict[int, tuple[int, int]]:
    """By cell: CPUs that the guest has for itself, and vcpus that float there."""
    exclusive = set(plan.exclusive_cpus)
    if plan.request.cores:
        siblings = {cpu.id: cpu.siblings or (cpu.id,) for cpu in one.member.host.cpus}
        exclusive |= {other for cpu in exclusive for other in siblings[cpu] if other in one.cell_of}
    out: dict[int, list[int]] = {}
    for cpu in exclusive:
        cell = one.cell_of[cpu]
        if cell is not None:
            out.setdefault(cell, [0, 0])[0] += 1
    groups: dict[tuple[int, ...], int] = {}
    for vcpu in plan.vcpus:
        if not vcpu.pinned:
            groups[vcpu.cpus] = groups.get(vcpu.cpus, 0) + 1
    for cpus, count in groups.items():
        inside: dict[int, int] = {}
        for cpu in cpus:
            cell = one.cell_of[cpu]
            if cell is not None:
                inside[cell] = inside.get(cell, 0) + 1
        for cell, share in _split(count, inside).items():
            out.setdefault(cell, [0, 0])[1] += share
    return {cell: (whole, part) for cell, (whole, part) in out.items()}


def _split(count: int, weights: Mapping[int, int]) -> dict[int, int]:
    """A whole number in proportion to weights, no part above its weight as long as the number is not above them all."""
    total = sum(weights.values())
    out = {cell: count * weight // total for cell, weight in weights.items()}
    rest = count - sum(out.values())
    for cell in sorted(weights, key=lambda cell: (-(count * weights[cell] % total), cell))[:rest]:
        out[cell] += 1
    return out


def _rank(
    one: Known, cells: Mapping[str, CellRoom], plan: Plan, amounts: Mapping[int, Mapping[str, int]]
) -> tuple[float | int | str, ...]:
    uneven = left = 0.0
    for cell, resources in amounts.items():
        room = cells[one.cells[cell]]
        whole = [(room.left(name), taken, room.capacity[name]) for name, taken in resources.items()]
        after = [(free - taken) / capacity for free, taken, capacity in whole]
        before = [free / capacity for free, _, capacity in whole]
        uneven += max(after) - min(after) - (max(before) - min(before))
        left += min(after)
    # On one cell every access is local, whether or not the host says what that costs.
    distance = LOCAL if len(plan.cells) == 1 and not plan.memory_only else plan.distance or float("inf")
    return round(distance, 6), len(plan.cells), round(uneven, 6), round(left, 6), one.member.name
