"""From a set of cells to vcpus, cpus and bytes on each of them."""

from __future__ import annotations

from collections import namedtuple

from .candidates import assign_shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidates import Candidates
    from .capacity import CellCapacity, Core, HostCapacity
    from .request import Request


class Share(namedtuple("Part", "cell vcpus memory cpus")):
    """What one cell gives: its share of vcpus, bytes of the guest's memory, and per vcpu its cpus if dedicated."""

    __slots__ = ()
    cell: int
    vcpus: int
    memory: int
    cpus: tuple[tuple[int, ...], ...]


def split(field: Candidates, chosen: Sequence[int]) -> list[Share]:
    """Divide a request among positions that fit it; cells that get nothing are left out."""
    request = field.request
    if field.shares is not None:
        order = assign_shares(field, chosen)
        assert order is not None, "the set was found to fit"
        amounts = [(i, vcpus, size) for i, (vcpus, size) in zip(order, field.shares, strict=True)]
    elif len(chosen) == 1:
        amounts = [(chosen[0], request.vcpus, field.need)]
    elif field.stock.striped:
        amounts = _even(field, chosen)
    else:
        amounts = _centred(field, chosen)
    # The memory asked for may end within a granule: the last cell to get memory gets that much less.
    surplus = field.need - request.memory
    if field.shares is not None:
        surplus = sum(size for _, _, size in amounts) - request.memory
    parts = []
    for i, vcpus, size in reversed(amounts):
        exact = size - surplus if size else 0
        surplus = 0 if size else surplus
        if vcpus or exact:
            cpus = dedicate(field.rooms[i], request, vcpus) if request.dedicated else ()
            parts.append(Share(field.ids[i], vcpus, exact, cpus))
    return sorted(parts)


def _centred(field: Candidates, chosen: Sequence[int]) -> list[tuple[int, int, int]]:
    """Fill one cell, then those nearest to it: the centre from which the expected access is cheapest."""
    request, costs = field.request, field.costs
    best: tuple[int, list[tuple[int, int, int]]] | None = None
    for centre in chosen:
        if not field.cpus[centre]:
            continue
        order = sorted(chosen, key=lambda i: (i != centre, costs[centre][i], i))
        vcpus = _fill(order, field.cpus, request.vcpus)
        memory = _fill(order, field.memory, field.need)
        cost = sum(v * m * costs[i][j] for i, v in vcpus.items() for j, m in memory.items())
        if best is None or cost < best[0]:
            best = cost, [(i, vcpus.get(i, 0), memory.get(i, 0)) for i in order]
    assert best is not None, "a set that fits has cpus"
    return best[1]


def _fill(order: Sequence[int], gives: list[int], need: int) -> dict[int, int]:
    out = {}
    for i in order:
        got = min(need, gives[i])
        if got:
            out[i] = got
            need -= got
    return out


def _even(field: Candidates, chosen: Sequence[int]) -> list[tuple[int, int, int]]:
    """As even as the cells allow: how Xen's allocator deals memory out over a domain's node affinity."""
    granule = field.request.granule
    memory = _level(chosen, [size // granule for size in field.memory], field.need // granule)
    vcpus = _level(chosen, field.cpus, field.request.vcpus)
    return [(i, vcpus[i], memory[i] * granule) for i in chosen]


def _level(chosen: Sequence[int], gives: list[int], need: int) -> dict[int, int]:
    out = {}
    order = sorted(chosen, key=lambda i: (gives[i], i))
    for number, i in enumerate(order):
        out[i] = min(gives[i], -(-need // (len(order) - number)) if number else need // len(order))
        need -= out[i]
    return out


def dedicate(room: CellCapacity, request: Request, vcpus: int) -> tuple[tuple[int, ...], ...]:
    """The cpus of each vcpu: a core each, or a thread each.

    Threads come from cores that nobody else is on as long as there are any. A guest fills its own cores first, so that
    the next guest finds whole ones; with policy ``spread`` it takes a thread of each.
    """
    whole = [core.threads for core in room.cores if core.whole]
    if request.cores:
        return tuple(whole[:vcpus])
    if request.policy == "spread":
        deepest = max(map(len, whole), default=0)
        own = [core[depth] for depth in range(deepest) for core in whole if depth < len(core)]
    else:
        own = [cpu for core in _filled(whole, vcpus) for cpu in core]
    shared = [cpu for core in room.cores if not core.whole for cpu in core.threads]
    return tuple((cpu,) for cpu in sorted([*own, *shared][:vcpus]))


def _filled(whole: list[tuple[int, ...]], vcpus: int) -> list[tuple[int, ...]]:
    """Whole cores with one that exactly ends the request, if there is one, before one that it would break."""
    left = vcpus
    for number, core in enumerate(whole):
        if left < len(core):
            exact = next((i for i in range(number, len(whole)) if len(whole[i]) == left), number)
            return [*whole[:number], whole[exact], *whole[number:exact], *whole[exact + 1 :]]
        left -= len(core)
    return whole


def cpus_of(stock: HostCapacity, cell: int) -> tuple[int, ...]:
    """All cpus of a cell that nobody holds, ascending: where floating vcpus may run."""
    cores: list[Core] = stock.rooms[cell].cores
    return tuple(sorted([cpu for core in cores for cpu in core.threads]))


def take(stock: HostCapacity, request: Request, parts: Sequence[Share]) -> None:
    """Take a plan's parts away from what is left, and remember where it is under its name."""
    granule = request.granule
    for part in parts:
        room = stock.rooms[part.cell]
        room.take(-(-part.memory // granule) * granule, request.huge_page)
        if request.dedicated:
            room.hold(cpu for cpus in part.cpus for cpu in cpus)
        else:
            room.load += part.vcpus
    if request.name is not None:
        stock.homes[request.name] = tuple(part.cell for part in parts)
