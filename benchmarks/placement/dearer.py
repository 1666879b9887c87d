"""Why a peer's accesses are cheaper in a row: ``python -m benchmarks.placement.dearer [--peer NAME ...]``.

Three questions of each row in which the guests that both accept are dearer with numaprobe. Where did the two part: did
the peer refuse a guest, divide one otherwise, or choose another cell of the same cost? In the peer's own states, guest
after guest, what would numaprobe have paid for the same guest? And when only the guests come that the peer accepts?
"""

from __future__ import annotations

import argparse
import copy
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .mixes import HOSTS, MIXES, stream
from .simulate import OURS, _numaprobe, _peer, run
from .world import Guest, Held, World

COLUMNS = ("host", "mix", "peer", "its access", "ours", "of its guests alone", "it refuses", "first difference")
# Of numaprobe's choice in the peer's own states.
STATES = ("cheaper in its state", "equal", "dearer for whole cores", "dearer")
# numaprobe gives memory in whole granules, Xen's dealing in this model does not.
SAME = 1e-3


@dataclass
class Walk:
    """The peer's stream: what each guest cost there, and by how much numaprobe's choice in the same state is dearer."""

    held: dict[int, Held] = field(default_factory=dict)
    costs: dict[int, float] = field(default_factory=dict)
    dearer: dict[int, float] = field(default_factory=dict)
    # Of these, guests that got near cells with a whole core for each vcpu, and are no dearer with --smt share.
    for_cores: set[int] = field(default_factory=set)


def ours(world: World, guest: Guest, **options: str) -> Held | None:
    """What numaprobe would do now, done in a copy."""
    nodes, memory, own = _numaprobe(world.host(), world.domains(), guest, options)
    return None if nodes is None else copy.deepcopy(world).accept(guest, nodes, memory, own_cells=own)


def peers(world: World, peer: str) -> Callable[[Guest], Held | None]:
    place = _peer(peer, world)

    def take(guest: Guest) -> Held | None:
        nodes = place(world, guest)
        return None if nodes is None else world.accept(guest, nodes)

    return take


def numaprobes(world: World) -> Callable[[Guest], Held | None]:
    def take(guest: Guest) -> Held | None:
        nodes, memory, own = _numaprobe(world.host(), world.domains(), guest, OURS["numaprobe"])
        return None if nodes is None else world.accept(guest, nodes, memory, own_cells=own)

    return take


def walked(world: World, guests: Sequence[Guest], take: Callable[[Guest], Held | None], *, asking: bool) -> Walk:
    out = Walk()
    leaving: list[tuple[float, int]] = []
    for guest in guests:
        while leaving and leaving[0][0] <= guest.arrives:
            world.leave(heapq.heappop(leaving)[1])
        other = ours(world, guest) if asking else None
        sharing = ours(world, guest, smt="share") if asking else None
        one = take(guest)
        if one is None:
            continue
        out.held[guest.number] = one
        out.costs[guest.number] = world.cost(one)
        if other is not None:
            out.dearer[guest.number] = world.cost(other) - world.cost(one)
            if sharing is not None and world.cost(sharing) <= world.cost(one) + SAME:
                out.for_cores.add(guest.number)
        heapq.heappush(leaving, (guest.leaves, guest.number))
    return out


def first_difference(guests: Sequence[Guest], mine: Walk, theirs: Walk) -> str:
    for guest in guests:
        a, b = mine.held.get(guest.number), theirs.held.get(guest.number)
        if a is None and b is None:
            continue
        if b is None:
            return "the peer refused a guest"
        if a is None:
            return "numaprobe refused a guest"
        if a.own_cells != b.own_cells:
            return "the guest got its own cells"
        if len(a.nodes) != len(b.nodes):
            return f"divided over {len(b.nodes)}, not {len(a.nodes)}"
        if abs(mine.costs[guest.number] - theirs.costs[guest.number]) > SAME:
            return f"another set of {len(a.nodes)}"
        if set(a.nodes) != set(b.nodes) or a.memory != b.memory:
            return "another cell of the same cost" if len(a.nodes) == 1 else "another set of the same cost"
    return "none"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.placement.dearer", description=__doc__)
    parser.add_argument("--arrivals", type=int, default=200, help="guests per stream (default: 200)")
    parser.add_argument("--seeds", type=int, default=2, help="streams per mix (default: 2)")
    parser.add_argument("--peer", action="append", help="only these (default: incus, kubelet, xapi 2025)")
    parser.add_argument("--host", action="append", choices=sorted(HOSTS), help="only these hosts")
    options = parser.parse_args()
    print("| " + " | ".join((*COLUMNS, *STATES)) + " |")
    print("|" + "---|" * (len(COLUMNS) + len(STATES)))
    for peer in options.peer or ("incus", "kubelet", "xapi 2025"):
        for host in options.host or HOSTS:
            for mix in MIXES:
                row(peer, host, mix, options.arrivals, options.seeds)


def row(peer: str, host: str, mix: str, arrivals: int, seeds: int) -> None:
    its = own = alone = 0.0
    both = refused = 0
    states = [0, 0, 0, 0]
    parted = []
    for seed in range(seeds):
        guests = stream(mix, World(HOSTS[host]), seed, arrivals)
        world = World(HOSTS[host])
        theirs = walked(world, guests, peers(world, peer), asking=True)
        world = World(HOSTS[host])
        mine = walked(world, guests, numaprobes(world), asking=False)
        shared = mine.costs.keys() & theirs.costs.keys()
        its += sum(theirs.costs[number] for number in shared)
        own += sum(mine.costs[number] for number in shared)
        same = [guest for guest in guests if guest.number in shared]
        alone += sum(run(World(HOSTS[host]), same, "numaprobe").costs.values())
        both += len(shared)
        refused += len(mine.costs.keys() - theirs.costs.keys())
        for number, more in theirs.dearer.items():
            cores = number in theirs.for_cores
            states[0 if more < -SAME else 1 if more <= SAME else 2 if cores else 3] += 1
        parted.append(first_difference(guests, mine, theirs))
    if own > its + SAME:
        figures = " | ".join(f"{total / both:.3f}" for total in (its, own, alone))
        words = "; ".join(dict.fromkeys(parted))
        print(
            f"| {host} | {mix} | {peer} | {figures} | {refused} | {words} | {' | '.join(map(str, states))} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
