"""Guests that are refused although enough memory is free in all: as many fit after one move as brute force says."""

from __future__ import annotations

import random
from typing import NamedTuple

from hosts import GIB, domain, host

from numaprobe import DoesNotFit, Domain, Host, Request, make_room

HOSTS = 250


class Running(NamedTuple):
    """A guest on one cell; memory in GiB, CPUs of its own or None."""

    cell: int
    vcpus: int
    size: int
    cpus: list[int] | None


class Case(NamedTuple):
    """What is free by cell, in GiB and CPUs, who runs, and who is to come."""

    machine: Host
    free: dict[int, int]
    left: dict[int, int]
    guests: list[Running]
    vcpus: int
    size: int


def fits(case: Case, free: dict[int, int], left: dict[int, int]) -> bool:
    return any(free[cell] >= case.size and left[cell] >= case.vcpus for cell in free)


def one(dice: random.Random) -> Case:
    """Sparse cells on Linux or Xen, with guests of which all or none are pinned."""
    ids = sorted(dice.sample(range(12), dice.choice((2, 3, 4, 5))))
    pinned = dice.random() < 0.4
    each = 8 if pinned else 32
    cpus = {cell: list(range(at * each, (at + 1) * each)) for at, cell in enumerate(ids)}
    free = {cell: dice.randrange(0, 7) for cell in ids}
    left = {cell: list(own) for cell, own in cpus.items()}
    guests = []
    for _ in range(dice.randrange(1, 7)):
        cell, vcpus, size = dice.choice(ids), dice.randrange(1, 4), dice.randrange(1, 6)
        if pinned and len(left[cell]) < vcpus:
            continue
        own = [left[cell].pop(dice.randrange(len(left[cell]))) for _ in range(vcpus)] if pinned else None
        guests.append(Running(cell, vcpus, size, own))
    total = {cell: free[cell] + sum(guest.size for guest in guests if guest.cell == cell) for cell in ids}
    machine = host(
        {cell: size * GIB for cell, size in free.items()},
        cpus=each,
        threads=1,
        source=dice.choice(("linux", "xen")),
        distances={a: [10 if a == b else dice.choice((12, 20, 32)) for b in ids] for a in ids},
    )
    cells = [cell._replace(memory=cell.memory._replace(total=total[cell.id] * GIB)) for cell in machine.cells]
    numbers = {cell: len(own) for cell, own in left.items()}
    return Case(
        machine._replace(cells=tuple(cells)), free, numbers, guests, dice.randrange(1, 5), dice.randrange(1, 10)
    )


def running(case: Case) -> list[Domain]:
    kind = "hvm" if case.machine.source == "xen" else "qemu"
    own = {cell.id: tuple(cell.cpus or ()) for cell in case.machine.cells}
    return [
        domain(
            f"g{number}",
            guest.vcpus,
            id=1 + number,  # 0 is the control domain
            kind=kind,
            how="exact",
            memory=guest.size * GIB,
            cells=((guest.cell, guest.size * GIB),),
            pinned=[own[guest.cell]] * guest.vcpus if guest.cpus is None else [(cpu,) for cpu in guest.cpus],
        )
        for number, guest in enumerate(case.guests)
    ]


def least_move(case: Case) -> int | None:
    """The fewest GiB that one guest takes along so that the new one fits; None if no move helps."""
    best = None
    for guest in case.guests:
        own = guest.vcpus if guest.cpus is not None else 0
        for target in case.free:
            if target == guest.cell or case.free[target] < guest.size or case.left[target] < guest.vcpus:
                continue
            free, left = dict(case.free), dict(case.left)
            free[target] -= guest.size
            free[guest.cell] += guest.size
            left[target] -= own
            left[guest.cell] += own
            if fits(case, free, left):
                best = guest.size if best is None else min(best, guest.size)
    return best


def check(case: Case) -> bool:
    """Whether one move makes room; it is one that brute force finds, with room for every step."""
    pinned = any(guest.cpus is not None for guest in case.guests)
    wanted = Request(case.vcpus, case.size * GIB, max_cells=1, pinned=pinned, smt="share")
    expected = least_move(case)
    try:
        found = make_room(case.machine, wanted, domains=running(case), moves=1, reserve=0)
    except DoesNotFit:
        assert expected is None
        return False
    (move,) = found.moves
    assert move.size // GIB == expected
    guest = case.guests[int(move.domain) - 1]
    (target,) = move.plan.cells
    assert case.free[target] >= guest.size
    (place,) = found.plan.cells
    assert case.free[place] + guest.size * ((place == guest.cell) - (place == target)) >= case.size
    others = {cpu for one in case.guests if one is not guest for cpu in one.cpus or ()}
    assert others.isdisjoint(move.plan.exclusive_cpus)
    assert (others | set(move.plan.exclusive_cpus)).isdisjoint(found.plan.exclusive_cpus)
    return True


def test_one_move_makes_room_wherever_brute_force_finds_one() -> None:
    """It moves the fewest bytes that will do, and more than half of the refused guests fit afterwards."""
    dice = random.Random(1)
    refused = helped = 0
    while refused < HOSTS:
        case = one(dice)
        pinned = any(guest.cpus is not None for guest in case.guests)
        enough = sum(case.free.values()) >= case.size and (not pinned or sum(case.left.values()) >= case.vcpus)
        if enough and not fits(case, case.free, case.left):
            refused += 1
            helped += check(case)
    assert helped > HOSTS / 2
