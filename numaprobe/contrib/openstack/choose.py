"""Which host, and which cells of it: ``numaprobe.place`` over every host, with what the ledger has left of each."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from numaprobe import DoesNotFit, place

from ...named import namedtuple
from .ranking import pages_of, rank, typical
from .room import Known, cpus_left
from .tree import MIB, PCPU, VCPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numaprobe import Plan, Request

    from .members import Member
    from .ranking import Typical
    from .room import CellRoom, Room

    Rank = tuple[float | int | str, ...]
    # By shape of hosts and what is left of them: what a plan takes, and its rank but for the name; or why it fits not.
    Alike = dict[object, tuple[Plan, dict[int, dict[str, int]], Rank] | str]


class Choice(namedtuple("Choice", "known plan amounts cells")):
    """A host for a guest, and where on it: ``amounts`` are what it takes of the ledger, by cell and resource class.

    ``cells`` are the host's cells in the ledger as they were when it was chosen, by uuid.

    The ledger counts CPUs and does not name them: the plan's cells and memory are what is claimed, its CPUs are a
    proposal that ``numaprobe place`` makes anew on the host.
    """

    __slots__ = ()
    known: Known
    plan: Plan
    amounts: dict[int, dict[str, int]]
    cells: Mapping[str, CellRoom]

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
        raise ValueError(f"two hosts are named {next(name for name in names if names.count(name) > 1)}")
    shapes: dict[object, object] = {}
    for one in out:
        # What a document has of parts that nobody here reads may be no value, and then the host is like no other.
        with suppress(TypeError):
            one.shape = shapes.setdefault(one.alike(), one)
    return out


def choose(members: Iterable[Known], room: Room, request: Request) -> Chosen:
    """Where a guest fits, the best host first: by ``ranking.rank``.

    What was found out of a host is kept in its ``Known`` until something is taken or given back there, so that the same
    request again looks only at those that changed. Of hosts that are alike and have the same left, one is planned.
    """
    alike: Alike = {}
    found: list[tuple[Rank, Choice]] = []
    refusals: dict[str, str] = {}
    fleet = typical(room, request)
    for one in members:
        cells = room.get(one.root)
        if cells is None:
            refusals[one.member.name] = "has nothing left, is set aside as stale, or was not published"
            continue
        answer = one.answer(request, cells, fleet, partial(_answer, alike))
        if isinstance(answer, str):
            refusals[one.member.name] = answer
        else:
            found.append(answer)
    found.sort(key=lambda pair: pair[0])
    return Chosen(tuple(choice for _, choice in found), refusals)


def _answer(
    alike: Alike, one: Known, cells: Mapping[str, CellRoom], request: Request, fleet: Typical
) -> tuple[Rank, Choice] | str:
    """A choice and what to compare it by, or why the guest does not fit."""
    reason = _too_small(cells, request)
    if reason is not None:
        return reason
    key = one.shape, one.state(cells)
    found = alike.get(key)
    if found is None:
        found = alike[key] = _planned(one, cells, request, fleet)
    if isinstance(found, str):
        return found
    plan, amounts, order = found
    return (*order, one.member.name), Choice(known=one, plan=plan, amounts=amounts, cells=cells)


def _planned(
    one: Known, cells: Mapping[str, CellRoom], request: Request, fleet: Typical
) -> tuple[Plan, dict[int, dict[str, int]], Rank] | str:
    try:
        plan = place(one.cut(cells, request), **request._asdict(), reserve=0, ignore_allowed=True, most_rejected=0)
        amounts = _amounts(one, cells, plan)
    except (DoesNotFit, ValueError) as error:
        # A device that one host has is unknown to another.
        return str(error)
    return plan, amounts, rank(one, cells, plan, amounts, fleet)


def _too_small(cells: Mapping[str, CellRoom], request: Request) -> str | None:
    pages = pages_of(request)
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
    pages = pages_of(request)
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
