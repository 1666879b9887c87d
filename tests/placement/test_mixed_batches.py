"""Batches of pinned, partly pinned, floating and emulator CPUs: whoever was promised a CPU alone has it alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hosts import GIB, host
from hypothesis import settings

from numaprobe import DoesNotFit, Host, Plan, Request, place_all

EACH = settings().max_examples
pytestmark = pytest.mark.hypothesis  # `nox -s properties` tries more of them


def mixed(dice: random.Random) -> tuple[Host, list[Request]]:
    """A host with sparse cells, some without CPUs, and guests with every kind of wish for CPUs."""
    ids = sorted(dice.sample(range(12), dice.choice((1, 2, 2, 3, 4))))
    cpus = dice.choice((2, 4, 6, 8, 12))
    numbers = range(cpus * len(ids))
    machine = host(
        {i: dice.randrange(4, 17) * GIB for i in ids},
        cpus=cpus,
        threads=dice.choice((1, 2, 2)),
        source=dice.choice(("linux", "xen")),
        cpuless=[i for i in ids[1:] if dice.random() < 0.15],
        distances={i: [10 if i == j else dice.choice((11, 12, 21, 32)) for j in ids] for i in ids},
        offline=[cpu for cpu in numbers if dice.random() < 0.1],
        isolated=[cpu for cpu in numbers if dice.random() < 0.05],
    )
    return machine, [guest(dice, f"g{number}") for number in range(dice.randrange(2, 7))]


def guest(dice: random.Random, name: str) -> Request:
    vcpus = dice.randrange(1, 8)
    some = sorted(dice.sample(range(vcpus), dice.randrange(1, vcpus))) if vcpus > 1 else [0]
    kinds: list[dict[str, Any]] = [
        {},
        {},
        {"pinned": True},
        {"pinned_vcpus": some},
        {"cores": True},
        {"smt": "require"},
        {"smt": "avoid"},
    ]
    wishes: dict[str, Any] = dict(dice.choice(kinds))
    if dice.random() < 0.2:
        wishes["emulator"] = dice.randrange(1, 3)
    if vcpus > 1 and dice.random() < 0.1:
        wishes["guest_cells"] = 2
    wishes["policy"] = dice.choice(("pack", "pack", "balance", "spread"))
    return Request(vcpus, dice.randrange(1, 9) * GIB // 2, name=name, **wishes)


def sound(machine: Host, plans: list[Plan]) -> None:
    alone = [cpu for plan in plans for cpu in plan.exclusive_cpus]
    assert len(alone) == len(set(alone))
    usable = {cpu.id for cpu in machine.cpus if cpu.online and not cpu.isolated}
    siblings = {cpu.id: cpu.siblings for cpu in machine.cpus}
    taken: dict[int, int] = {}
    for plan in plans:
        asked = plan.request
        assert set(plan.cpus) <= usable
        assert sum(plan.memory.values()) == asked.memory
        for cell, size in plan.memory.items():
            taken[cell] = taken.get(cell, 0) + size
        pinned = [vcpu for vcpu in plan.vcpus if vcpu.pinned]
        assert len(pinned) == asked.exclusive
        assert len(plan.emulator) == asked.emulator_cpus
        if asked.smt == "isolate":
            assert all(vcpu.cpus == siblings[vcpu.cpus[0]] for vcpu in pinned)
        floating = [vcpu.cpus for vcpu in plan.vcpus if not vcpu.pinned]
        for cpus in floating:
            assert set(cpus).isdisjoint(alone)
            assert floating.count(cpus) <= len(cpus), "as many CPUs as vcpus that float on them"
    for cell, size in taken.items():
        assert size <= (machine.cell(cell).memory.free or 0)


@pytest.mark.parametrize("seed", range(4))
def test_no_cpu_of_a_mixed_batch_is_promised_twice(seed: int) -> None:
    """No cell is exceeded, nobody floats on CPUs of another, and the bound holds."""
    dice = random.Random(seed)
    together = 0
    for _ in range(EACH):
        machine, guests = mixed(dice)
        try:
            batch = place_all(machine, guests, reserve=0, partial=dice.random() < 0.7, most_rejected=0)
        except DoesNotFit:
            continue
        plans = [plan for plan in batch.plans if plan is not None]
        sound(machine, plans)
        assert batch.bound is not None
        assert len(plans) <= batch.bound
        together += len(plans) > 1
    assert together > EACH // 3, "most batches have several guests that fit"
