"""Several guests placed together: nobody takes another's room, and the whole is as good as can be."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest
from hosts import GIB, MIB, host

from numaprobe import DoesNotFit, Host, Request, place, place_all


def test_guests_do_not_race_for_the_same_cell() -> None:
    """Either of the two fits in one of the cells, and both together in neither."""
    batch = place_all(host([8 * GIB, 8 * GIB]), [Request(1, 5 * GIB), Request(1, 5 * GIB)])
    assert [plan and plan.cells for plan in batch.plans] == [(0,), (1,)]


def test_a_large_guest_gets_its_room_though_it_is_asked_for_last() -> None:
    """One by one, small ones first, it would be split."""
    machine = host([8 * GIB, 8 * GIB])
    requests = [Request(1, 3 * GIB), Request(1, 3 * GIB), Request(1, 7 * GIB)]
    batch = place_all(machine, requests)
    assert [plan and len(plan.cells) for plan in batch.plans] == [1, 1, 1]
    assert batch.plans[2] is not None
    assert batch.plans[2].request == requests[2]


def test_a_batch_that_does_not_fit_names_the_guest() -> None:
    """A guest without a name is given by its place in the batch."""
    with pytest.raises(DoesNotFit, match="guest 2 of 2: "):
        place_all(host([8 * GIB]), [Request(1, 5 * GIB), Request(1, 5 * GIB)])
    with pytest.raises(DoesNotFit, match="big: cell 0 is missing"):
        place_all(host([8 * GIB]), [Request(1, GIB), Request(1, 9 * GIB, name="big")])


def test_a_part_of_a_batch_is_placed_if_that_will_do() -> None:
    """With partial=True as many guests as possible are placed."""
    batch = place_all(host([8 * GIB]), [Request(1, 9 * GIB), Request(1, 3 * GIB), Request(1, 3 * GIB)], partial=True)
    assert [plan is not None for plan in batch.plans] == [False, True, True]
    assert [position for position, _ in batch.missed] == [0]


def test_guests_of_a_batch_keep_away_from_each_other() -> None:
    """It is enough that one of the two says so."""
    requests = [Request(1, GIB, name="a"), Request(1, GIB, name="b", away_from="a")]
    batch = place_all(host([8 * GIB, 8 * GIB]), requests)
    cells = [plan.cells for plan in batch.plans if plan]
    assert set(cells[0]).isdisjoint(cells[1])
    with pytest.raises(DoesNotFit):
        place_all(host([8 * GIB]), requests)


def test_guests_of_a_batch_are_put_together() -> None:
    """They share a cell, although another one is emptier."""
    requests = [
        Request(1, GIB, name="a", policy="spread"),
        Request(1, GIB, together_with="a", policy="spread", name="b"),
    ]
    batch = place_all(host([8 * GIB, 8 * GIB]), requests)
    assert len({plan.cells for plan in batch.plans if plan}) == 1


def test_names_are_of_one_guest_only() -> None:
    """Two guests of one name could not be kept apart from a third."""
    with pytest.raises(ValueError, match="two guests"):
        place_all(host([8 * GIB]), [Request(1, GIB, name="a"), Request(1, GIB, name="a")])


def test_an_empty_batch_is_done() -> None:
    """The outcome has no plan and no error."""
    assert place_all(host([GIB]), []).plans == ()


def test_pinned_guests_share_no_cpu() -> None:
    """Three of them fit exactly on eight CPUs."""
    batch = place_all(
        host([16 * GIB]), [Request(3, GIB, pinned=True), Request(1, GIB, cores=True), Request(2, GIB, pinned=True)]
    )
    cpus = [cpu for plan in batch.plans if plan for cpu in plan.cpus]
    assert len(cpus) == len(set(cpus)) == 7


def small_batches() -> list[tuple[tuple[int, ...], list[Request]]]:
    source = random.Random(5)
    out = []
    for _ in range(6):
        free = tuple(source.randrange(4, 16) * GIB for _ in range(source.choice((2, 3))))
        guests = [
            Request(source.choice((1, 2, 4)), source.randrange(1, 8) * GIB, pinned=source.random() < 0.3)
            for _ in range(source.randrange(3, 7))
        ]
        out.append((free, guests))
    return out


@pytest.mark.parametrize(("free", "guests"), small_batches())
def test_small_batches_are_as_good_as_the_exact_optimum(free: tuple[int, ...], guests: list[Request]) -> None:
    """As many guests, and cells no more than one in a hundred farther apart."""
    pytest.importorskip("scipy", reason="the exact optimum takes scipy")
    machine = host(free, cpus=12)
    ours = place_all(machine, guests, partial=True)
    exact = place_all(machine, guests, partial=True, optimal=True)
    assert exact.optimal
    assert sum(p is not None for p in ours.plans) == sum(p is not None for p in exact.plans)

    def apart(plans: object) -> float:
        sets = [plan.cells for plan in plans if plan]  # type: ignore[attr-defined]
        return sum(sum(machine.distance(a, b) or 0 for a in s for b in s) / len(s) ** 2 for s in sets)

    assert apart(ours.plans) <= 1.01 * apart(exact.plans)


def test_without_scipy_the_optimum_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one sentence that has the pip command."""
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(ModuleNotFoundError, match=r"numaprobe\[optimal\]"):
        place_all(host([8 * GIB]), [Request(1, GIB)], optimal=True)


def test_sixty_guests_on_eight_cells_take_no_time() -> None:
    """The bound is generous because machines differ; benchmarks/placement has the figure."""
    source = random.Random(1)
    guests = [Request(source.choice((1, 2, 4)), source.randrange(1, 12) * GIB // 2) for _ in range(60)]
    machine = host([32 * GIB] * 8, cpus=32)
    start = time.perf_counter()
    place_all(machine, guests, partial=True)
    assert time.perf_counter() - start < 1.5


def test_a_batch_of_one_is_a_plan() -> None:
    """It equals what place gives for the same request."""
    machine = host([8 * GIB, 16 * GIB])
    assert place_all(machine, [Request(2, 10 * GIB)]).plans == (place(machine, vcpus=2, memory=10 * GIB),)


def test_guests_that_belong_together_get_a_cell_that_holds_them_all() -> None:
    """The first alone would take the smaller cell, where the second does not fit."""
    machine = host([10 * GIB, 12 * GIB])
    requests = [Request(1, 6 * GIB, name="x"), Request(1, 5 * GIB, name="y", together_with="x")]
    batch = place_all(machine, requests, reserve=0)
    assert [plan and plan.cells for plan in batch.plans] == [(1,), (1,)]
    three = [Request(1, 3 * GIB, name="x"), *[Request(1, 4 * GIB, together_with="x") for _ in range(2)]]
    assert {plan.cells for plan in place_all(machine, three, reserve=0).plans if plan} == {(1,)}


def over_full(seed: int) -> tuple[Host, list[Request]]:
    """More guests than there is memory for, of sizes from one to thirty-two."""
    source = random.Random(seed)
    cells = source.choice((2, 4, 8))
    free = [source.randrange(32, 128) * GIB for _ in range(cells)]
    weights = [source.choice((1, 1, 2, 2, 4, 8, 16, 32)) for _ in range(cells * source.choice((4, 6, 8)))]
    load = source.choice((1.02, 1.05, 1.1, 1.3)) * sum(free) / sum(weights)
    guests = []
    for weight in weights:
        wishes: dict[str, Any] = {}
        if source.random() < 0.2:
            wishes = source.choice(({"pinned": True}, {"max_cells": 1}, {"guest_cells": 2}))
        size = max(64 * MIB, int(load * weight) // (2 * MIB) * 2 * MIB)
        guests.append(Request(vcpus=source.choice((2, 4)), memory=size, **wishes))
    return host(free, cpus=64), guests


@pytest.mark.parametrize("seed", range(20))
def test_an_over_full_batch_is_within_one_guest_of_its_bound(seed: int) -> None:
    """The smallest that fit together are placed, and the bound says how many can be."""
    machine, guests = over_full(seed)
    batch = place_all(machine, guests, partial=True, most_rejected=0)
    placed = len(guests) - len(batch.missed)
    assert batch.bound is not None
    assert placed <= batch.bound < len(guests)
    assert batch.bound - placed <= 1


def test_without_its_nine_largest_guests_nobody_of_a_batch_is_left_out() -> None:
    """A batch at 102 % leaves out few: one by one, large ones first, it was nineteen of these."""
    source = random.Random(1)
    free = [source.randrange(32, 128) * GIB for _ in range(64)]
    weights = [source.choice((1, 1, 2, 2, 4, 8, 16, 32)) for _ in range(250)]
    unit = 1.02 * (sum(free) - 64 * 512 * MIB) / sum(weights)
    guests = [Request(vcpus=2, memory=int(unit * weight) // (2 * MIB) * 2 * MIB) for weight in weights]
    batch = place_all(host(free, cpus=64), guests, partial=True, most_rejected=0)
    assert batch.bound == len(guests) - len(batch.missed) == 248


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_never_below_what_brute_force_places(seed: int) -> None:
    """Every subset of a few guests, in every order."""
    source = random.Random(seed)
    machine = host([source.randrange(4, 9) * GIB for _ in range(2)], cpus=4)
    guests = [
        Request(
            vcpus=source.choice((1, 2)),
            memory=source.randrange(1, 7) * GIB,
            pinned=source.random() < 0.4,
            max_cells=source.choice((None, 1)),
        )
        for _ in range(4)
    ]
    most = 0
    for order in itertools.permutations(guests):
        batch = place_all(machine, order, partial=True, reserve=0)
        most = max(most, sum(plan is not None for plan in batch.plans))
    batch = place_all(machine, guests, partial=True, reserve=0)
    assert batch.bound is not None
    assert batch.bound >= most
    assert sum(plan is not None for plan in batch.plans) == most
    assert batch.cost is not None
    assert batch.least_cost is not None
    assert batch.least_cost <= batch.cost + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_knows_who_keeps_away_and_who_belongs_together(seed: int) -> None:
    """It is proven or says that more may be possible, is never worse than without it, and keeps to the wishes."""
    pytest.importorskip("scipy", reason="the exact optimum needs scipy")
    source = random.Random(seed)
    machine = host([source.randrange(6, 12) * GIB for _ in range(3)], cpus=8)
    guests = []
    for number in range(5):
        wish = source.choice(({}, {"away_from": "g0"}, {"together_with": "g0"})) if number else {}
        guests.append(Request(vcpus=2, memory=source.randrange(1, 6) * GIB, name=f"g{number}", **wish))
    fast = place_all(machine, guests, partial=True)
    best = place_all(machine, guests, partial=True, optimal=True)
    assert best.optimal or (best.bound or 0) > len(guests) - len(best.missed)
    assert (len(best.missed), best.cost) <= (len(fast.missed), fast.cost)
    where = {plan.request.name: set(plan.cells) for plan in best.plans if plan}
    for asked in guests:
        if asked.name in where and "g0" in where:
            mine, other = where[asked.name], where["g0"]
            assert not asked.away_from or mine.isdisjoint(other)
            assert not asked.together_with or mine <= other or other <= mine
