"""Hosts and streams of guests, each a function of its name and seed."""

from __future__ import annotations

import random

from .world import GIB, Guest, World

Table = tuple[tuple[int, ...], ...]


def uniform(nodes: int) -> Table:
    return tuple(tuple(10 if a == b else 20 for b in range(nodes)) for a in range(nodes))


def ring(nodes: int) -> Table:
    """Links to two neighbours each, as on older four- and eight-socket machines."""
    return tuple(
        tuple(10 if a == b else 12 + 6 * min((a - b) % nodes, (b - a) % nodes) for b in range(nodes))
        for a in range(nodes)
    )


def two_packages(nodes: int) -> Table:
    """Half of the nodes in each of two packages, as with sub-NUMA clusters."""
    half = nodes // 2
    return tuple(
        tuple(10 if a == b else 12 if a // half == b // half else 32 for b in range(nodes)) for a in range(nodes)
    )


def asymmetric(nodes: int) -> Table:
    """No two alike, and the way back costs another."""
    source = random.Random(nodes)
    return tuple(tuple(10 if a == b else source.randrange(14, 40) for b in range(nodes)) for a in range(nodes))


HOSTS: dict[str, Table] = {
    "2 uniform": uniform(2),
    "4 uniform": uniform(4),
    "4 ring": ring(4),
    "4 asymmetric": asymmetric(4),
    "8 two packages": two_packages(8),
    "8 ring": ring(8),
    "8 asymmetric": asymmetric(8),
    "16 ring": ring(16),
    "16 asymmetric": asymmetric(16),
}

# vcpus, memory in GiB and weight; "own" cells are the guest's.
MIXES: dict[str, tuple[tuple[tuple[int, int], tuple[float, float], float, int], ...]] = {
    "small": (((1, 4), (2, 8), 1.0, 1),),
    "mixed": (((1, 4), (2, 8), 0.6, 1), ((4, 8), (8, 24), 0.3, 1), ((8, 16), (24, 60), 0.1, 1)),
    "large": (((4, 12), (20, 45), 0.8, 1), ((8, 24), (40, 90), 0.2, 1)),
    "cpu-heavy": (((4, 16), (2, 10), 0.8, 1), ((16, 40), (8, 24), 0.2, 1)),
    # Most are larger than a node, so that they have to be divided.
    "wide": (((8, 24), (50, 120), 0.7, 1), ((16, 60), (80, 160), 0.3, 1)),
    "guest cells": (((2, 8), (4, 24), 0.7, 1), ((8, 16), (16, 64), 0.3, 2)),
}


def stream(mix: str, world: World, seed: int, count: int, pressure: float = 1.05) -> list[Guest]:
    """Arrivals at random, with lifetimes such that all of them together would ask for ``pressure`` of the memory."""
    source = random.Random(f"{mix} {world.nodes} {seed}")
    kinds = MIXES[mix]
    sizes = []
    for _ in range(count):
        few_many, least_most, _, cells = source.choices(kinds, weights=[kind[2] for kind in kinds])[0]
        size = source.uniform(*least_most)
        sizes.append((max(cells, source.randint(*few_many)), int(size * 4) * GIB // 4 // 2 * 2, cells))
    mean = sum(memory for _, memory, _ in sizes) / count
    life = pressure * world.memory * world.nodes / mean
    now = 0.0
    out = []
    for number, (vcpus, memory, cells) in enumerate(sizes):
        now += source.expovariate(1.0)
        out.append(Guest(number, vcpus, memory, now, now + source.expovariate(1 / life), cells))
    return out
