"""Plans beside a brute force that is written from docs/placement.md alone: what fits is placed, and nothing else is."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import settings
from random_hosts import guest, machine

from numaprobe import Cpu, DoesNotFit, Host, Plan, Request, place, place_all
from numaprobe.placement.candidates import shares

SEEDS = 6
EACH = settings().max_examples
pytestmark = pytest.mark.hypothesis  # `nox -s properties` tries more of them


def usable(on: Host) -> list[Cpu]:
    pools = {cpu.pool for cpu in on.cpus if cpu.pool is not None}
    pool = min(pools) if on.source == "xen" and pools else None
    return [cpu for cpu in on.cpus if cpu.online and not cpu.isolated and pool in (None, cpu.pool)]


def memory(on: Host, huge_page: int | None) -> dict[int, int]:
    if huge_page is not None:
        return {
            cell.id: sum((pages.free or 0) * huge_page for pages in cell.huge_pages if pages.size == huge_page)
            for cell in on.cells
        }
    claimed = (on.hypervisor.claimed or 0) if on.hypervisor else 0
    found = {}
    for cell in on.cells:
        size = cell.memory.available
        found[cell.id] = max(0, (cell.memory.free or 0) - claimed if size is None else size)
    return found


def fits(on: Host, wanted: Request) -> bool | None:
    """Every set of cells, every order of the shares; None for the wishes that are not modelled here."""
    own = wanted.emulator_cpus
    if wanted.smt == "require" or (own and (wanted.parts or wanted.smt not in (None, "share"))):
        return None
    free = usable(on)
    numbers = {cpu.id for cpu in free}
    units = dict.fromkeys([cell.id for cell in on.cells], 0)
    if wanted.smt in ("avoid", "isolate"):
        for core in {cpu.siblings for cpu in free if cpu.siblings and numbers.issuperset(cpu.siblings)}:
            units[on.cpu(core[0]).cell or 0] += 1
    else:
        for cpu in free:
            units[cpu.cell or 0] += 1
    sizes = {cell: size // wanted.granule * wanted.granule for cell, size in memory(on, wanted.huge_page).items()}
    able = [cell for cell in units if wanted.memory_only or any(cpu.cell == cell for cpu in free)]
    # Cells of other pools give memory, and no CPUs.
    lenders = {cpu.cell for cpu in on.cpus if on.source == "xen" and cpu.online and cpu.pool is not None}
    if wanted.parts:
        parts = shares(wanted, wanted.parts)
        return any(
            all(units[cell] >= vcpus and sizes[cell] >= size for cell, (vcpus, size) in zip(cells, parts, strict=True))
            for cells in itertools.permutations(able, len(parts))
        )
    able = [cell for cell in units if cell in able or cell in lenders]
    return any(
        sum(sizes[cell] for cell in cells) >= wanted.memory
        and sum(units[cell] for cell in cells) >= wanted.vcpus + own
        and max(units[cell] for cell in cells) > own
        for size in range(1, min(wanted.max_cells or len(able), len(able)) + 1)
        for cells in itertools.combinations(able, size)
    )


def sound(on: Host, plans: list[Plan]) -> None:
    """All plans together keep every promise of each."""
    alone = [cpu for plan in plans for cpu in plan.exclusive_cpus]
    assert len(alone) == len(set(alone))
    numbers = {cpu.id for cpu in usable(on)}
    taken: dict[tuple[int, int | None], int] = {}
    by_name = {plan.request.name: plan for plan in plans}
    for plan in plans:
        wanted, cells = plan.request, set(plan.cells)
        assert numbers.issuperset(plan.cpus)
        assert {on.cpu(cpu).cell for cpu in plan.cpus} <= cells
        assert sum(plan.memory.values()) >= wanted.memory
        for cell, size in plan.memory.items():
            taken[cell, wanted.huge_page] = taken.get((cell, wanted.huge_page), 0) + size
        pinned = [vcpu.cpus for vcpu in plan.vcpus if vcpu.pinned]
        floating = [vcpu.cpus for vcpu in plan.vcpus if not vcpu.pinned]
        assert (len(pinned), len(plan.vcpus)) == (wanted.exclusive, wanted.vcpus)
        assert len(plan.emulator) == wanted.emulator_cpus
        assert all(set(cpus).isdisjoint(alone) and floating.count(cpus) <= len(cpus) for cpus in floating)
        if wanted.smt == "isolate":
            assert all(cpus == on.cpu(cpus[0]).siblings for cpus in pinned)
        assert wanted.cells in (None, len(cells))
        assert len(cells) <= (wanted.max_cells or len(cells))
        assert len({one.cell for one in plan.guest_cells}) == (wanted.guest_cells or 0)
        for one in plan.guest_cells:
            assert {on.cpu(cpu).cell for vcpu in one.vcpus for cpu in plan.vcpus[vcpu].cpus} == {one.cell}
        assert all(cells.isdisjoint(by_name[other].cells) for other in wanted.away_from if other in by_name)
        for other in wanted.together_with:
            there = set(by_name[other].cells) if other in by_name else cells
            assert cells <= there or there <= cells
    for (cell, huge_page), size in taken.items():
        assert size <= memory(on, huge_page)[cell]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_one_guest_is_placed_where_it_fits_and_refused_where_it_does_not(seed: int) -> None:
    """On small random hosts a search of every division says which."""
    dice = random.Random(seed)
    verdicts = []
    for _ in range(EACH):
        on = machine(dice)
        wanted = guest(dice, on, "guest", [])
        try:
            plan = place(on, **wanted._asdict(), reserve=0)
        except DoesNotFit:
            plan = None
        else:
            sound(on, [plan])
        truth = fits(on, wanted)
        assert truth in (None, plan is not None), (on, wanted)
        verdicts.append(truth)
    assert min(verdicts.count(True), verdicts.count(False)) > EACH // 10, "both verdicts are common"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_batch_keeps_every_promise(seed: int) -> None:
    """No plan may exceed a cell or share an exclusive CPU, and the bound holds."""
    dice = random.Random(seed)
    together = 0
    for _ in range(EACH):
        on = machine(dice)
        names = [f"g{number}" for number in range(dice.randrange(2, 6))]
        guests = [guest(dice, on, name, names[:number]) for number, name in enumerate(names)]
        batch = place_all(on, guests, reserve=0, partial=True, most_rejected=0)
        plans = [plan for plan in batch.plans if plan is not None]
        sound(on, plans)
        assert batch.bound is None or len(plans) <= batch.bound
        together += len(plans) > 1
    assert together > EACH // 10, "some batches have several guests that fit"
