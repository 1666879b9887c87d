"""How Xen deals a guest's memory out: evenly over the nodes of its affinity until one is empty."""

from __future__ import annotations

from .arrangements import Arrangement, priced, vcpu_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .candidates import Candidates


def even(field: Candidates, chosen: Sequence[int]) -> Arrangement:
    """As even as the cells allow: how Xen's allocator deals memory out over a domain's node affinity.

    The affinity follows the vcpus, so a cell without CPUs gives only what the others do not have. Vcpus that
    float are on each cell as often as it has CPUs for them.
    """
    granule = field.request.granule
    gives, need = [size // granule for size in field.memory], field.need // granule
    reached = [i for i in chosen if field.rooms[i].cpus]
    inside = min(need, sum([gives[i] for i in reached]))
    memory = _level(reached, gives, inside)
    if len(reached) < len(chosen):
        memory |= _level([i for i in chosen if i not in memory], gives, need - inside)
    vcpus, place = _dealt_vcpus(field, chosen, memory)
    # Vcpus keep off cells that give nothing and that are not needed to run them.
    amounts = [(i, vcpus[i], memory[i] * granule) for i in chosen if vcpus[i] or memory[i] or i == place]
    if field.request.exclusive:
        return priced(field, amounts)
    costs, number = field.costs, field.request.vcpus
    threads = [(i, field.rooms[i].cpus) for i, _, _ in amounts]
    total = sum([count * sum([size * costs[i][j] for j, _, size in amounts]) for i, count in threads])
    # Rounded, so that sets which cost the same do: they may have different numbers of CPUs.
    mean = round(total / (field.need * sum([count for _, count in threads])), 9)
    return Arrangement(mean * number * field.need, amounts)


def _dealt_vcpus(field: Candidates, chosen: Sequence[int], memory: dict[int, int]) -> tuple[dict[int, int], int | None]:
    """Vcpus as evenly as the cells allow, and the cell with the emulator: one that is used anyway, if that works."""
    number = field.request.vcpus
    if field.hosting is field.cpus:
        return _level(chosen, field.cpus, number), None
    ways = []
    for place in sorted([i for i in chosen if field.hosting[i]], key=lambda i: (field.cpus[i] - field.hosting[i], i)):
        limits = vcpu_limits(field, chosen, place)
        if sum([limits[i] for i in chosen]) >= number:
            vcpus = _level(chosen, limits, number)
            ways.append((vcpus, place))
            if vcpus[place]:
                return vcpus, place
    return min(ways, key=lambda way: not memory[way[1]])


def _level(chosen: Sequence[int], gives: list[int], need: int) -> dict[int, int]:
    out = {}
    order = sorted(chosen, key=lambda i: (gives[i], i))
    for number, i in enumerate(order):
        out[i] = min(gives[i], -(-need // (len(order) - number)) if number else need // len(order))
        need -= out[i]
    return out
