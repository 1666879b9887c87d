"""Several guests placed together: nobody takes another's room, and the whole is as good as can be."""

from __future__ import annotations

import random
import time

import pytest
from hosts import GIB, host

from numaprobe import DoesNotFit, Request, place, place_all


def test_guests_do_not_race_for_the_same_cell() -> None:
    """Two that fit in either cell, and in neither together."""
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
    """By its name, or by its place in the batch."""
    with pytest.raises(DoesNotFit, match="guest 2 of 2: "):
        place_all(host([8 * GIB]), [Request(1, 5 * GIB), Request(1, 5 * GIB)])
    with pytest.raises(DoesNotFit, match="big: cell 0 lacks"):
        place_all(host([8 * GIB]), [Request(1, GIB), Request(1, 9 * GIB, name="big")])


def test_a_part_of_a_batch_is_placed_if_that_will_do() -> None:
    """As many guests as possible."""
    batch = place_all(host([8 * GIB]), [Request(1, 9 * GIB), Request(1, 3 * GIB), Request(1, 3 * GIB)], partial=True)
    assert [plan is not None for plan in batch.plans] == [False, True, True]
    assert [position for position, _ in batch.missed] == [0]


def test_guests_of_a_batch_keep_away_from_each_other() -> None:
    """Whichever of them says so."""
    requests = [Request(1, GIB, name="a"), Request(1, GIB, name="b", away_from="a")]
    batch = place_all(host([8 * GIB, 8 * GIB]), requests)
    cells = [plan.cells for plan in batch.plans if plan]
    assert set(cells[0]).isdisjoint(cells[1])
    with pytest.raises(DoesNotFit):
        place_all(host([8 * GIB]), requests)


def test_guests_of_a_batch_are_put_together() -> None:
    """On the same cell, though another is emptier."""
    requests = [
        Request(1, GIB, name="a", policy="spread"),
        Request(1, GIB, together_with="a", policy="spread", name="b"),
    ]
    batch = place_all(host([8 * GIB, 8 * GIB]), requests)
    assert len({plan.cells for plan in batch.plans if plan}) == 1


def test_names_are_of_one_guest_only() -> None:
    """Or nobody knows whom to keep away from."""
    with pytest.raises(ValueError, match="two guests"):
        place_all(host([8 * GIB]), [Request(1, GIB, name="a"), Request(1, GIB, name="a")])


def test_an_empty_batch_is_done() -> None:
    """Nothing asked, nothing placed."""
    assert place_all(host([GIB]), []).plans == ()


def test_pinned_guests_share_no_cpu() -> None:
    """Three of them on eight cpus."""
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
    """One sentence."""
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
    """The same as place gives."""
    machine = host([8 * GIB, 16 * GIB])
    assert place_all(machine, [Request(2, 10 * GIB)]).plans == (place(machine, vcpus=2, memory=10 * GIB),)
