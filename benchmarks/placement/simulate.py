"""One algorithm through one stream of guests."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numaprobe

from .peers import Place, Xapi, first_fit, incus, kubelet, libxl, nova, nova_packing
from .world import Guest, World


@dataclass
class Outcome:
    """What came of a stream: the cost of each accepted guest, means over time, and seconds per decision."""

    asked: int = 0
    costs: dict[int, float] = field(default_factory=dict)
    memory: float = 0.0
    sharing: float = 0.0
    fragmentation: float = 0.0
    split: int = 0
    seconds: float = 0.0

    @property
    def acceptance(self) -> float:
        return len(self.costs) / self.asked


# What is compared: the name of a peer, or numaprobe with its options.
OURS: dict[str, dict[str, int]] = {
    "numaprobe": {},
    "numaprobe fewest": {"fewest": True},
    "numaprobe whole": {"max_cells": 1},
}


def run(world: World, guests: Sequence[Guest], name: str) -> Outcome:
    """Every guest is placed when it comes, and leaves when its time is over."""
    out = Outcome(len(guests))
    place: Place | None = None if name in OURS else _peer(name, world)
    leaving: list[tuple[float, int]] = []
    asked = sum(guest.memory for guest in guests)
    for guest in guests:
        while leaving and leaving[0][0] <= guest.arrives:
            world.leave(heapq.heappop(leaving)[1])
        start = perf_counter()
        memory, own_cells = None, False
        if place is None:
            # Surveying the host is part of it; gathering its facts is not.
            host, domains = world.host(), world.domains()
            start = perf_counter()
            nodes, memory, own_cells = _numaprobe(host, domains, guest, OURS[name])
        else:
            nodes = place(world, guest)
            # libxl's own placement and xapi deal out the guest's memory and tell it nothing of where it is.
            own_cells = name.startswith("nova") and guest.cells > 1
        out.seconds += (perf_counter() - start) / len(guests)
        if nodes is not None:
            one = world.accept(guest, nodes, memory, own_cells=own_cells)
            out.costs[guest.number] = world.cost(one)
            out.memory += guest.memory / asked
            out.split += len(nodes) > guest.cells
            heapq.heappush(leaving, (guest.leaves, guest.number))
        out.sharing += world.sharing() / len(guests)
        out.fragmentation += world.fragmentation() / len(guests)
    return out


PEERS: dict[str, Place] = {
    "first-fit": first_fit,
    "libxl": libxl,
    "incus": incus,
    "nova": nova,
    "nova packing": nova_packing,
    "kubelet": kubelet,
}


def _peer(name: str, world: World) -> Place:
    return Xapi(world, several=name == "xapi 2025") if name.startswith("xapi") else PEERS[name]


def _numaprobe(
    host: numaprobe.Host, domains: Sequence[numaprobe.Domain], guest: Guest, options: dict[str, Any]
) -> tuple[tuple[int, ...] | None, dict[int, int] | None, bool]:
    """Guest cells where the guest wants them; otherwise, or failing that and unless it must be whole, as it comes."""
    wishes: list[dict[str, Any]] = [{"guest_cells": guest.cells}] if guest.cells > 1 else []
    if guest.cells == 1 or "max_cells" not in options:
        wishes.append(options)
    for wish in wishes:
        try:
            plan = numaprobe.place(
                host, vcpus=guest.vcpus, memory=guest.memory, domains=domains, reserve=0, most_rejected=0, **wish
            )
        except numaprobe.DoesNotFit:
            continue
        return plan.cells, plan.memory, "guest_cells" in wish
    return None, None, False
