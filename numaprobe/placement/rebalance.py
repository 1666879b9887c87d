"""Advice for running guests: which to move so that they reach their memory at a lower cost, and at what price.

The gain of a move is the guest's memory times the fraction by which an access gets cheaper. The price is the memory to
copy. Both are bytes, so they can be compared. Where it is enough, only CPUs are moved to the memory: that copies
nothing, and is all that is advised for a guest whose memory cannot be moved. Moves are advised one after another,
greatest surplus first, until none gains more than it costs.
"""

from __future__ import annotations

from ..named import namedtuple
from .candidates import Candidates
from .capacity import capacity_of
from .costs import costs, distances
from .moves import memory_back, moved_bytes, obstacle, request_of, settle
from .planning import explained
from .search import best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..model.domains import Domain
    from ..model.host import Host
    from .plan import Plan

# An access that gets cheaper by less than this is within the noise of a distance table.
LEAST = 0.02


class Advice(namedtuple("Advice", "domain name now after gain price plan")):
    """One move: the mean cost of an access ``now`` and ``after``, ``gain`` and ``price`` in bytes, and the plan."""

    __slots__ = ()
    domain: int | str
    name: str | None
    now: float
    after: float
    gain: int
    price: int
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """The advice in built-in types."""
        return {**self._asdict(), "plan": self.plan.to_dict()}


def rebalance(
    host: Host,
    domains: Sequence[Domain],
    *,
    reserve: int | None = None,
    pool: int | None = None,
    fixed: Mapping[int | str, str] | None = None,
    most: int = 16,
) -> tuple[tuple[Advice, ...], tuple[tuple[int | str, str], ...]]:
    """Moves in the order in which to make them, and pairs (domain id, why it cannot be moved or need not be).

    Changes nothing. ``reserve`` and ``pool`` are those of :func:`numaprobe.place`; ``fixed`` has the
    reasons why guests' memory cannot be moved, by domain id, as :func:`numaprobe.immovable` gives them. ``most`` is the
    maximum number of moves.
    """
    held = {one.id: why for one in domains if (why := obstacle(one)) is not None}
    still = {one.id: why for one in domains if (why := _pinned_memory(one) or (fixed or {}).get(one.id)) is not None}
    table, known = distances(host)
    prices = costs(host, table) if known else None
    able = [one for one in domains if one.id not in held]
    done: list[Advice] = []
    while len(done) < most:
        options = [
            found
            for one in able
            if (found := _best_move(host, prices, domains, one, done, reserve, pool, still=one.id in still)) is not None
        ]
        if not options:
            break
        chosen = max(options, key=lambda found: (found.gain - found.price, -found.price, str(found.domain)))
        done.append(chosen)
        able = [one for one in able if one.id != chosen.domain]
    held.update({one.id: still.get(one.id, "no move gains more than it costs") for one in able})
    return tuple(done), tuple(held.items())


def access_cost(
    prices: Mapping[int, Mapping[int, int]], memory: Mapping[int, int], vcpus: Mapping[int, float]
) -> float | None:
    """Mean cost of an access, every vcpu reaching every byte alike; None for a cell that is not in the table."""
    weight = total = 0.0
    for start, number in vcpus.items():
        for end, size in memory.items():
            cost = prices.get(start, {}).get(end)
            if cost is None:
                return None
            total += number * size * cost
            weight += number * size
    return total / weight if weight else None


def _pinned_memory(domain: Domain) -> str | None:
    """Why a guest's memory stays where it is, as far as is known of it."""
    if domain.kind in ("pv", "hvm"):
        return (
            "its memory cannot be moved: Xen cannot do so while a domain runs. Migrate it to this host, or restart it"
        )
    return None


def _running(host: Host, domain: Domain) -> dict[int, float]:
    """How many vcpus of a guest run on each cell, spread evenly over the CPUs that they may run on."""
    cell_of = {cpu.id: cpu.cell for cpu in host.cpus if cpu.online and cpu.cell is not None}
    out: dict[int, float] = {}
    each = domain.each_vcpu or ()
    sets = [vcpu.cpus for vcpu in each if vcpu.cpus] or [domain.affinity.cpus or tuple(cell_of)]
    for cpus in sets:
        inside = [cell_of[cpu] for cpu in cpus if cpu in cell_of]
        for cell in inside:
            out[cell] = out.get(cell, 0.0) + 1 / len(inside)
    return out


def _best_move(
    host: Host,
    prices: Mapping[int, Mapping[int, int]] | None,
    domains: Sequence[Domain],
    domain: Domain,
    done: Sequence[Advice],
    reserve: int | None,
    pool: int | None,
    *,
    still: bool,
) -> Advice | None:
    memory = {cell: size for cell, size in domain.cells or () if size}
    now = None if prices is None else access_cost(prices, memory, _running(host, domain))
    if now is None or prices is None:
        return None
    before = {move.domain for move in done}
    away = [one for one in domains if one.id == domain.id or one.id in before]
    rest = [one for one in domains if one not in away]
    stock = capacity_of(memory_back(host, away), reserve=reserve, domains=rest, pool=pool)
    for one in away:
        stock.homes.update({str(one.id): (), **({} if one.name is None else {one.name: ()})})
    for move in done:
        settle(stock, move.plan)
    field = Candidates(stock, request_of(domain))
    sets: list[tuple[int, ...]] = [(i,) for i in range(len(field.ids)) if field.fits((i,))]
    if not sets:
        chosen = best(field)
        sets = [] if chosen is None else [chosen]
    found = []
    for chosen in sets:
        plan = explained(field, chosen, 0)
        cell_of = {cpu.id: cpu.cell for cpu in host.cpus}
        running: dict[int, float] = {}
        for vcpu in plan.vcpus:
            for cpu in vcpu.cpus:
                cell = cell_of[cpu]
                if cell is not None:
                    running[cell] = running.get(cell, 0.0) + 1 / len(vcpu.cpus)
        after = access_cost(prices, plan.memory, running)
        if after is None or after > now * (1 - LEAST):
            continue
        gain = int(sum(memory.values()) * (now / after - 1))
        price = moved_bytes(domain, plan)
        if gain > price and not (still and price):
            advice = Advice(domain=domain.id, name=domain.name, now=now, after=after, gain=gain, price=price, plan=plan)
            found.append(advice)
    return max(found, key=lambda one: (one.gain - one.price, -one.plan.cells[0]), default=None)
