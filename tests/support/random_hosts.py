"""Hosts and guests by a seed: small, odd, and as full of wishes as real ones over a year."""

from __future__ import annotations

import random
from typing import Any

from hosts import GIB, MIB, host

from numaprobe import Host, Request


def machine(dice: random.Random) -> Host:
    """Sparse cells, some of them empty or without CPUs, asymmetric distances, pools, offline and isolated CPUs."""
    ids = sorted(dice.sample(range(20), dice.choice((1, 2, 2, 3, 4, 5))))
    cpus = dice.choice((1, 2, 4, 6, 8, 12))
    cpuless = [i for i in ids[1:] if dice.random() < 0.12]
    numbers = range(cpus * (len(ids) - len(cpuless)))
    near, offline, isolated = dice.choice((11, 12, 15, 21)), dice.choice((0, 0.1, 0.3)), dice.choice((0, 0, 0.15))
    return host(
        {i: 0 if dice.random() < 0.08 else dice.randrange(1, 33) * GIB // 2 + dice.choice((0, 4096)) for i in ids},
        cpus=cpus,
        threads=dice.choice((1, 2, 2, 4)),
        source=dice.choice(("linux", "linux", "xen")),
        distances={i: [10 if i == j else dice.choice((near, near, near + 1, 32)) for j in ids] for i in ids},
        offline=[cpu for cpu in numbers if dice.random() < offline],
        isolated=[cpu for cpu in numbers if dice.random() < isolated],
        pools=None if dice.random() < 0.8 else {cpu: dice.choice((0, 0, 1)) for cpu in numbers},
        cpuless=cpuless,
        pages={i: {2 * MIB: dice.randrange(2000), GIB: dice.randrange(6)} for i in ids}
        if dice.random() < 0.5
        else None,
        available=dice.choice((-1, None)),
        claimed=dice.choice((None, 0, GIB)),
    )


def guest(dice: random.Random, on: Host, name: str, others: list[str]) -> Request:
    """Any kind of wish, now and then near or away from another."""
    vcpus = dice.choice((1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12, 16))
    wishes: dict[str, Any] = {"policy": dice.choice(("pack", "pack", "balance", "spread"))}
    kind = dice.random()
    if kind < 0.2:
        wishes["pinned"] = True
    elif kind < 0.32 and vcpus > 1:
        wishes["pinned_vcpus"] = sorted(dice.sample(range(vcpus), dice.randrange(1, vcpus)))
    elif kind < 0.7:
        wishes["smt"] = dice.choice(("share", "avoid", "isolate", "require"))
    if dice.random() < 0.15:
        wishes["emulator"] = dice.randrange(1, 3)
    if dice.random() < 0.3:
        wishes[dice.choice(("max_cells", "cells", "guest_cells"))] = dice.randrange(1, min(vcpus, 4) + 1)
    if dice.random() < 0.15:
        wishes["near"] = [dice.choice([cell.id for cell in on.cells]) for _ in range(dice.randrange(1, 3))]
    wishes["memory_only"] = dice.random() < 0.15
    wishes["fewest"] = dice.random() < 0.1
    memory = dice.randrange(1, 25) * GIB // 2
    if dice.random() < 0.15 and on.cells[0].huge_pages:
        wishes["huge_page"], memory = dice.choice((2 * MIB, GIB)), max(4, memory // GIB) * GIB
    if others and dice.random() < 0.2:
        wishes[dice.choice(("away_from", "together_with"))] = [dice.choice(others)]
    return Request(vcpus, memory, name=name, **wishes)
