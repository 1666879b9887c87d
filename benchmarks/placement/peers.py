"""Other programs' algorithms, written from descriptions of them. Each gives the nodes for a guest, or None.

libxl: ``libxl__get_numa_candidate`` of Xen 4.20. xapi: ``topology.ml`` and ``softaffinity.ml`` of xen-api with the
policy best_effort, as it was until December 2025 and as it is since CA-421847: a guest that needs several nodes then
gets no affinity at all. Its affinity is soft; here the guest keeps to it. nova: ``numa_fit_instance_to_host`` of nova
34, every guest with NUMA cells asked for: its sorts are stable and the last one is by the use of cpus, so that decides
and memory only between equals; with as many guest cells as nodes nothing is sorted. Once to spread, as is its default,
and once with its option to pack. incus: ``balanceNUMANodes`` of its daemon (limits.cpu.nodes=balanced), whose virtual
machines have their memory bound to these nodes: without room there, the guest does not start. kubelet: the topology
manager with the policy best-effort and prefer-closest-numa-nodes. First-fit: the first node that has room, else the
first few together.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations, takewhile

from .world import THREADS, Guest, World

Place = Callable[[World, Guest], tuple[int, ...] | None]


def first_fit(world: World, guest: Guest) -> tuple[int, ...] | None:
    for node in range(world.nodes):
        if world.free[node] >= guest.memory and world.cpus >= guest.vcpus:
            return (node,)
    taken: list[int] = []
    for node in range(world.nodes):
        taken.append(node)
        if sum(world.free[n] for n in taken) >= guest.memory and len(taken) * world.cpus >= guest.vcpus:
            return tuple(taken)
    return None


def libxl(world: World, guest: Guest) -> tuple[int, ...] | None:
    """Fewest nodes, then fewest vcpus that might run there, then most free memory; distances have no say."""
    if world.nodes > 16:
        return None
    runnable = [sum(one.guest.vcpus for one in world.held.values() if n in one.nodes) for n in range(world.nodes)]
    for size in range(-(-guest.vcpus // world.cpus), world.nodes + 1):
        best: tuple[int, int, tuple[int, ...]] | None = None
        for nodes in combinations(range(world.nodes), size):
            free = sum(world.free[node] for node in nodes)
            if free < guest.memory:
                continue
            key = (sum(runnable[node] for node in nodes), -free, nodes)
            if best is None or key < best:
                best = key
        if best is not None:
            return best[2]
    return None


class Xapi:
    """All sets by worst and then mean distance; of the nearest that fit, the one that was chosen least so far.

    ``several``: a guest on several nodes is kept to them, as until December 2025.
    """

    def __init__(self, world: World, *, several: bool) -> None:
        self.several = several
        cost = world.distances
        sets = []
        for size in range(1, world.nodes + 1):
            for nodes in combinations(range(world.nodes), size):
                pairs = [cost[a][b] for a in nodes for b in nodes]
                sets.append((max(pairs), sum(pairs) / len(pairs), nodes))
        self.sets = sorted(sets)
        self.usage = [0] * world.nodes

    def __call__(self, world: World, guest: Guest) -> tuple[int, ...] | None:
        cores = world.cpus // THREADS
        fitting = (
            one
            for one in self.sets
            if len(one[2]) * cores >= guest.vcpus and sum(world.free[node] for node in one[2]) >= guest.memory
        )
        first = next(fitting, None)
        if first is None:
            # Without a candidate the guest is started with no affinity: on every node.
            return tuple(range(world.nodes)) if sum(world.free) >= guest.memory else None
        alike = [first, *takewhile(lambda one: abs(one[1] - first[1]) < 1e-3, fitting)]
        chosen = min(alike, key=lambda one: (sum(self.usage[node] for node in one[2]), one[2]))[2]
        for node in chosen:
            self.usage[node] += 1
        if len(chosen) > 1 and not self.several:
            return tuple(range(world.nodes))
        return chosen


def nova(world: World, guest: Guest, *, pack: bool = False) -> tuple[int, ...] | None:
    """The first nodes that hold one guest cell each, the least used first; a guest cell is never split."""
    load = world.load()
    order = list(range(world.nodes))
    if guest.cells < world.nodes:
        order.sort(key=lambda node: (-load[node], world.free[node]) if pack else (load[node], -world.free[node]))
    memory, vcpus = guest.memory // guest.cells, -(-guest.vcpus // guest.cells)
    able = [node for node in order if world.free[node] >= memory and world.cpus >= vcpus]
    return next(permutations(able, guest.cells), None)


def nova_packing(world: World, guest: Guest) -> tuple[int, ...] | None:
    """Packing: nova with packing_host_numa_cells_allocation_strategy."""
    return nova(world, guest, pack=True)


def incus(world: World, guest: Guest) -> tuple[int, ...] | None:
    """The nodes that the fewest guests are on, as many as the vcpus need; memory is bound there and not looked at."""
    guests = [sum(node in one.nodes for one in world.held.values()) for node in range(world.nodes)]
    number = -(-guest.vcpus // world.cpus)
    chosen = tuple(sorted(sorted(range(world.nodes), key=lambda node: guests[node])[:number]))
    enough = number <= world.nodes and sum(world.free[node] for node in chosen) >= guest.memory
    return chosen if enough else None


def kubelet(world: World, guest: Guest) -> tuple[int, ...] | None:
    """The fewest nodes that fit, the nearest of those, then the lowest bit mask."""
    cost = world.distances
    for size in range(1, world.nodes + 1):
        fitting = [
            nodes
            for nodes in combinations(range(world.nodes), size)
            if sum(world.free[node] for node in nodes) >= guest.memory and size * world.cpus >= guest.vcpus
        ]
        if fitting:
            return min(
                fitting,
                key=lambda nodes: (sum(cost[a][b] for a in nodes for b in nodes), sum(1 << node for node in nodes)),
            )
    return None
