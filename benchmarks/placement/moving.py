"""Guests that are refused whole although the memory for them is free: how many fit after one move of another guest."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from time import perf_counter

import numaprobe

from .mixes import HOSTS, stream
from .world import World


def one_move(host: str, mix: str, seeds: int, arrivals: int) -> tuple[int, int, float]:
    """Refusals with the memory free, those of them that one move turns into a place, and seconds for each of them."""
    refused = helped = 0
    seconds = 0.0
    for seed in range(seeds):
        world = World(HOSTS[host])
        leaving: list[tuple[float, int]] = []
        for guest in stream(mix, world, seed, arrivals):
            while leaving and leaving[0][0] <= guest.arrives:
                world.leave(heapq.heappop(leaving)[1])
            wanted = numaprobe.Request(guest.vcpus, guest.memory, max_cells=1)
            facts, running = world.host(), world.domains()
            start = perf_counter()
            try:
                found = numaprobe.make_room(facts, wanted, domains=running, moves=1, reserve=0)
            except numaprobe.DoesNotFit:
                if guest.memory <= min(sum(world.free), world.memory) and guest.vcpus <= world.cpus:
                    refused += 1
                    seconds += perf_counter() - start
                continue
            if found.moves:
                refused += 1
                helped += 1
                seconds += perf_counter() - start
                # Only counted: the stream goes on as without moves, so that refusals do not depend on them.
                continue
            world.accept(guest, found.plan.cells, found.plan.memory)
            heapq.heappush(leaving, (guest.leaves, guest.number))
    return refused, helped, seconds / refused if refused else 0.0


def moves(seeds: int, arrivals: int) -> Iterator[tuple[str, int, int, float]]:
    """Per mix, over hosts of up to eight cells."""
    for mix in ("small", "mixed", "large", "cpu-heavy"):
        refused = helped = 0
        seconds = 0.0
        for host in ("2 uniform", "4 ring", "4 asymmetric", "8 ring"):
            one = one_move(host, mix, seeds, arrivals)
            refused, helped, seconds = refused + one[0], helped + one[1], seconds + one[0] * one[2]
        yield mix, refused, helped, seconds / refused if refused else 0.0
