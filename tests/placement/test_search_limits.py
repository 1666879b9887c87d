"""The search for a set of cells, step by step: each shortcut at its limit, and what follows beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from capacities import UNIT, room, stock

from numaprobe import Request
from numaprobe.placement import batch, filling, search, sets
from numaprobe.placement.access import arrangement, expected_cost, for_cores
from numaprobe.placement.arrangements import Arrangement, nearness, priced, vcpu_limits
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.dealing import even
from numaprobe.placement.outcome import Outcome
from numaprobe.placement.ranking import ranker, siblings_share, smaller_sets
from numaprobe.placement.rooms import HostCapacity

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7)]


def field(
    cells: Sequence[tuple[int, int]],
    vcpus: int,
    memory: int,
    costs: Sequence[Sequence[int]] | None = None,
    /,
    *,
    xen: bool = False,
    **asked: Any,
) -> Candidates:
    """Of a request of so many MiB on cells of so many MiB and CPUs each."""
    return Candidates(stock(cells, costs, xen=xen), Request(vcpus, memory * UNIT, **asked))


def threaded(
    *cells: tuple[int, Sequence[Sequence[int]]], costs: Sequence[Sequence[int]] | None = None, **asked: Any
) -> Candidates:
    """On cells of so many MiB with these cores, 12 apart."""
    rooms, first = {}, 0
    for number, (memory, cores) in enumerate(cells):
        rooms[number] = room(number, memory, [tuple(cpu + first for cpu in core) for core in cores])
        first += sum(map(len, cores))
    n = range(len(cells))
    table = {i: {j: costs[i][j] if costs else 10 if i == j else 12 for j in n} for i in n}
    capacity = HostCapacity(rooms, table)
    capacity.ordinary = True
    return Candidates(capacity, Request(**{"memory": UNIT, **asked}))


# --- dividing -----------------------------------------------------------------------------------------------------


def test_up_to_eight_cells_every_division_with_full_cells_is_tried() -> None:
    """Full cells, and one with the rest that it can run."""
    one = field([(4, 2), (4, 2), (4, 3)], 4, 4)
    assert list(filling.divisions(one, range(3))) == [
        {0: 2, 1: 2}, {0: 2, 2: 2}, {1: 2, 0: 2}, {1: 2, 2: 2}, {2: 3, 0: 1}, {2: 3, 1: 1},
    ]  # fmt: skip
    assert list(filling.divisions(one, [0, 2])) == [{0: 2, 2: 2}, {2: 3, 0: 1}]
    assert list(filling.divisions(field([(4, 1), (4, 2), (4, 1)], 4, 4), range(3))) == [
        {0: 1, 1: 2, 2: 1}, {0: 1, 2: 1, 1: 2}, {1: 2, 2: 1, 0: 1},
    ]  # fmt: skip


def test_an_emulator_is_on_one_of_the_cells_with_vcpus() -> None:
    """Each cell that can run it in turn, with what it leaves there."""
    one = field([(4, 2), (4, 2)], 3, 4, emulator=1)
    assert list(filling.divisions(one, range(2))) == [{0: 1, 1: 2}, {1: 2, 0: 1}, {0: 2, 1: 1}, {1: 1, 0: 2}]
    assert vcpu_limits(one, (0, 1), 1) == [2, 1]
    assert vcpu_limits(one, (0, 1)) == [1, 2], "where it takes least away, then the lowest"
    assert vcpu_limits(field([(4, 4), (4, 1)], 3, 4, emulator=3), (0, 1)) == [1, 1]
    plain = field([(4, 2), (4, 2)], 3, 4)
    assert vcpu_limits(plain, (0, 1)) is plain.cpus


@pytest.mark.parametrize(
    ("limits", "need", "order", "found"),
    [
        ([2, 0, 3], 4, [1, 2, 0], {2: 3, 0: 1}),
        ([2, 0, 3], 3, [2, 0], {2: 3}),
        ([2, 0, 3], 9, [0, 1, 2], {0: 2, 2: 3}),
        ([2, 0, 3], 1, [0, 2], {0: 1}),
    ],
)
def test_vcpus_are_dealt_out_in_order(limits: list[int], need: int, order: list[int], found: dict[int, int]) -> None:
    """A cell without room has none, and the last one has the rest."""
    assert filling._greedy(limits, need, order) == found


@pytest.mark.parametrize(("cells", "number"), [(8, 56), (9, 16)])
def test_beyond_eight_cells_divisions_are_grown_from_centres(cells: int, number: int) -> None:
    """Two cells of two vcpus each: all ordered pairs, or one or two for each of nine centres."""
    one = field([(4, 2)] * cells, 4, 4)
    found = list(filling.divisions(one, range(cells)))
    assert all(sum(spread.values()) == 4 and len(spread) == 2 for spread in found)
    assert len(found) == number
    assert found[0] == {0: 2, 1: 2}


@pytest.mark.parametrize(
    ("able", "need", "own", "policy", "found"),
    [
        ([0, 1, 2], 3, (), "pack", [1]),
        ([0, 1, 2], 3, (), "spread", [0]),
        ([0, 1, 2], 6, (), "pack", [0, 2]),
        ([0, 1, 2], 7, (), "pack", [0, 2]),
        ([0, 1, 2], 8, (), "pack", [0, 1]),
        ([0, 1, 2], 10, (), "pack", [0, 1, 2]),
        ([0, 1, 2], 1, (2,), "pack", [2]),
        ([0, 1, 2], 3, (2,), "pack", [2, 1]),
        ([0, 1, 2], 2, (2,), "pack", [2]),
        ([0, 1, 2], 3, (1, 2), "pack", [1, 2]),
        ([2], 2, (), "pack", [2]),
    ],
)
def test_the_rest_of_the_memory_is_on_the_fewest_of_equally_near_cells(
    able: list[int], need: int, own: tuple[int, ...], policy: str, found: list[int]
) -> None:
    """Of 5, 3 and 2 MiB: those with vcpus first, then what is left least full, or fullest to spread."""
    one = field([(5, 4), (3, 4), (2, 4)], 1, 1, policy=policy)
    assert sorted(filling._last(one, able, need * UNIT, own)) == sorted(found)


def test_faster_memory_is_taken_before_that_which_fits_better() -> None:
    """By the slowest of the cells."""
    one = field([(5, 4), (3, 4), (2, 4)], 1, 1)
    one.rooms[0].bandwidth = 7
    assert filling._last(one, [0, 1, 2], 3 * UNIT, ()) == [0]
    assert filling._last(one, [0, 1, 2], 7 * UNIT, ()) == [0, 2], "with either of the others the slowest is as slow"
    one.rooms[1].bandwidth = 5
    assert filling._last(one, [0, 1, 2], 7 * UNIT, ()) == [0, 1]


def test_beyond_so_many_ways_the_emptiest_cells_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three ways to take two cells the first with most room counts, and not the one that fits best."""
    one = field([(4, 4), (3, 4), (2, 4)], 1, 1)
    monkeypatch.setattr(filling, "MAX_TIES", 3)
    assert filling._last(one, [0, 1, 2], 5 * UNIT, ()) == [1, 2]
    monkeypatch.setattr(filling, "MAX_TIES", 2)
    assert filling._last(one, [0, 1, 2], 5 * UNIT, ()) == [0, 1]


@pytest.mark.parametrize(
    ("cells", "vcpus", "memory", "pool", "total", "amounts"),
    [
        ([(4, 4), (4, 4)], 2, 4, (0, 1), 2 * 4 * 10, [(0, 2, 4)]),
        ([(3, 4), (4, 4)], 2, 5, (0, 1), 2 * (4 * 10 + 20), [(0, 0, 1), (1, 2, 4)]),
        ([(3, 4), (4, 4)], 2, 5, (0,), None, []),
        ([(3, 1), (4, 1)], 3, 5, (0, 1), None, []),
        ([(0, 4), (4, 0)], 2, 3, (0, 1), 2 * 3 * 20, [(0, 2, 0), (1, 0, 3)]),
        ([(2, 1), (2, 1)], 2, 4, (0, 1), 2 * (2 * 10 + 2 * 20), [(0, 1, 2), (1, 1, 2)]),
    ],
)
def test_the_cheapest_way_to_divide_a_guest(
    cells: list[tuple[int, int]],
    vcpus: int,
    memory: int,
    pool: tuple[int, ...],
    total: int | None,
    amounts: list[tuple[int, int, int]],
) -> None:
    """Vcpus × bytes × cost, and what each cell has; None where the pool does not hold it."""
    found = filling.cheapest(field(cells, vcpus, memory, memory_only=True), pool)
    if total is None:
        assert found is None
        return
    assert found is not None
    assert (found.total, sorted(found.amounts)) == (total * UNIT, [(i, v, size * UNIT) for i, v, size in amounts])
    assert found.cells == tuple(i for i, _, _ in amounts)
    assert found.mean == total / (vcpus * memory)


def test_an_arrangement_is_priced_by_where_its_vcpus_are() -> None:
    """The worst and the sum of what its cells with vcpus are apart from what was named."""
    one = field([(4, 4), (4, 4)], 3, 6, [[10, 20], [30, 12]], near=(0, 1))
    found = priced(one, [(0, 1, 4), (1, 2, 2)])
    assert found.total == 1 * (4 * 10 + 2 * 20) + 2 * (4 * 30 + 2 * 12)
    assert priced(one, [(1, 3, 6)]).total == 3 * 6 * 12
    assert priced(one, [(0, 3, 4), (1, 0, 2)]).total == 3 * (4 * 10 + 2 * 20)
    assert one.near == [(20, 30), (30, 42)]
    assert nearness(one, Arrangement(0, [(0, 1, 1), (1, 0, 1)])) == (20, 30)
    assert nearness(one, found) == (30, 72)
    assert nearness(field([(4, 4)], 1, 1), Arrangement(0, [(0, 1, 1)])) == (0, 0)


# --- under Xen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "vcpus", "memory", "asked", "amounts"),
    [
        ([(9, 4), (9, 4)], 4, 6, {}, [(0, 2, 3), (1, 2, 3)]),
        ([(2, 4), (9, 4)], 4, 6, {}, [(0, 2, 2), (1, 2, 4)]),
        ([(9, 1), (9, 4)], 4, 6, {}, [(0, 1, 3), (1, 3, 3)]),
        ([(9, 4), (2, 4), (9, 4)], 6, 10, {}, [(0, 2, 4), (1, 2, 2), (2, 2, 4)]),
        # A cell without CPUs gives only what the others do not have.
        ([(4, 4), (9, 0)], 4, 6, {}, [(0, 4, 4), (1, 0, 2)]),
        ([(6, 4), (9, 0)], 4, 6, {}, [(0, 4, 6)]),
        # The emulator is on a cell that is used anyway.
        ([(9, 3), (9, 3)], 5, 6, {"emulator": 1, "pinned": True}, [(0, 2, 3), (1, 3, 3)]),
    ],
)
def test_xen_deals_out_evenly_until_a_cell_is_empty(
    cells: list[tuple[int, int]], vcpus: int, memory: int, asked: dict[str, Any], amounts: list[tuple[int, int, int]]
) -> None:
    """Memory in granules, and vcpus as evenly as the cells can run them."""
    one = field(cells, vcpus, memory, xen=True, memory_only=True, **asked)
    found = even(one, range(len(cells)))
    assert found.amounts == [(i, number, size * UNIT) for i, number, size in amounts]


def test_floating_vcpus_under_xen_pay_for_all_cpus_of_their_cells() -> None:
    """Two CPUs here and six there: three quarters of the time there."""
    one = field([(9, 2), (9, 6)], 4, 6, [[10, 20], [30, 12]], xen=True)
    found = even(one, (0, 1))
    assert found.mean == (2 * (3 * 10 + 3 * 20) + 6 * (3 * 30 + 3 * 12)) / (8 * 6)
    pinned = even(field([(9, 2), (9, 6)], 4, 6, [[10, 20], [30, 12]], xen=True, pinned=True), (0, 1))
    assert pinned.mean == (2 * (3 * 10 + 3 * 20) + 2 * (3 * 30 + 3 * 12)) / (4 * 6)


# --- cores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "costs", "asked", "expected"),
    [
        ((0, 1), None, {}, True),
        ((0,), None, {}, False),
        ((0, 1), [[10, 13, 12], [12, 10, 12], [12, 12, 10]], {}, False),
        ((0, 1), [[10, 12, 12], [13, 10, 12], [12, 12, 10]], {}, False),
        ((0, 1), None, {"smt": "share"}, False),
        ((0, 1), None, {"vcpus": 9}, False),
        ((0, 1), None, {"vcpus": 4}, False),
        ((0, 1), None, {"vcpus": 8}, True),
        ((0, 1), None, {"memory": 9 * UNIT}, True),
        ((0, 1), None, {"memory": 10 * UNIT}, False),
    ],
)
def test_several_cells_are_for_cores_where_one_would_do(
    chosen: tuple[int, ...], costs: Sequence[Sequence[int]] | None, asked: dict[str, Any], expected: bool
) -> None:
    """One cell has eight threads of four cores; those of the others count up to a fifth dearer."""
    one = threaded((9, PAIRS), (9, PAIRS), (9, PAIRS), costs=costs, **{"vcpus": 6, **asked})
    assert for_cores(one, chosen) is expected


@pytest.mark.parametrize(
    ("vcpus", "load", "asked", "found"),
    [
        (4, 0.0, {}, (0,)),
        (5, 0.0, {}, (0, 1)),
        (8, 0.0, {}, (0, 1)),
        (4, 1.0, {}, (1,)),
        (5, 1.0, {}, (0, 1)),
        (8, 1.0, {}, (1, 2)),
        (6, 0.0, {"fewest": True}, (0,)),
        (6, 0.0, {"max_cells": 1}, (0,)),
        (6, 0.0, {"smt": "share"}, (0,)),
    ],
)
def test_a_guest_has_a_core_for_each_vcpu_where_nearby_cells_have_them(
    vcpus: int, load: float, asked: dict[str, Any], found: tuple[int, ...]
) -> None:
    """One cell with them before several, and threads of one where none have them."""
    one = threaded((9, PAIRS), (9, PAIRS), (9, PAIRS), vcpus=vcpus, **asked)
    one.rooms[0].load = load
    assert search.best(one) == found


def test_cores_that_are_too_far_are_not_taken() -> None:
    """More than a fifth dearer than a cell to itself."""
    apart = [[10, 13, 13], [13, 10, 13], [13, 13, 10]]
    assert search.best(threaded((9, PAIRS), (9, PAIRS), (9, PAIRS), costs=apart, vcpus=6)) == (0,)
    near = [[10, 13, 13], [13, 10, 12], [13, 12, 10]]
    assert search.best(threaded((9, PAIRS), (9, PAIRS), (9, PAIRS), costs=near, vcpus=6)) == (1, 2)
    single = [(0,), (1,), (2,), (3,)]
    assert search.best(threaded((9, single), (9, single), vcpus=4)) == (0,)


def test_of_too_many_sets_of_cells_with_cores_those_around_each_cell_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the most cores; the same answer where cells are alike."""
    one = threaded(*[(9, PAIRS)] * 5, vcpus=6)
    assert search.best(one) == (0, 1)
    monkeypatch.setattr(search, "MAX_SETS", 9)
    one = threaded(*[(9, PAIRS)] * 5, vcpus=6)
    assert search.best(one) == (0, 1)


def test_cells_beside_each_other_are_near_there_and_back() -> None:
    """And have cores to give."""
    costs = [[10, 11, 12, 12], [12, 10, 11, 11], [13, 11, 10, 12], [12, 12, 12, 10]]
    one = field([(4, 2), (4, 0), (4, 2), (4, 1)], 1, 1, costs, memory_only=True)
    assert search._beside(one, 12) == {0: {3}, 2: {3}, 3: {0, 2}}
    assert search._beside(one, 13) == {0: {2, 3}, 2: {0, 3}, 3: {0, 2}}
    beside = {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: {0}}
    assert list(search._cliques(beside, 2)) == [(0, 1), (0, 2), (1, 2)]
    assert list(search._cliques(beside, 3)) == [(0, 1, 2)]
    assert search._all_near(beside, (0, 1, 2)) is True
    assert search._all_near(beside, (0, 1, 3)) is False


# --- one cell and several -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "costs", "asked", "found"),
    [
        ([(4, 4), (3, 4)], None, {}, (1,)),
        ([(4, 4), (3, 4)], [[10, 20], [20, 11]], {}, (0,)),
        ([(4, 4), (3, 4)], None, {"near": 0}, (0,)),
        ([(4, 4), (3, 4)], None, {"policy": "spread"}, (0,)),
        ([(4, 4), (4, 4)], None, {}, (0,)),
        ([(2, 4), (4, 4)], None, {}, (1,)),
        ([(4, 1), (4, 4)], None, {}, (1,)),
        ([(2, 4), (2, 4)], None, {}, (0, 1)),
        ([(2, 4), (2, 4)], None, {"max_cells": 1}, None),
        ([(2, 1), (1, 1)], None, {}, (0, 1)),
        ([(1, 1), (1, 1)], None, {}, None),
        ([(2, 1), (2, 0)], None, {}, None),
        ([(3, 1), (3, 1), (3, 1)], None, {"fewest": True}, (0, 1)),
        ([(4, 4), (4, 4)], None, {"cells": 2}, (0, 1)),
        ([(4, 4)], None, {"cells": 2}, None),
    ],
)
def test_the_best_set_of_cells(
    cells: list[tuple[int, int]],
    costs: Sequence[Sequence[int]] | None,
    asked: dict[str, Any],
    found: tuple[int, ...] | None,
) -> None:
    """Of 2 vcpus and 3 MiB: one cell before several, the cheapest before the fullest."""
    one = field(cells, 2, 3, costs, **asked)
    assert search.best(one) == found
    if found is not None:
        assert one.fits(found)


def test_slower_memory_is_used_only_where_the_other_does_not_suffice() -> None:
    """Though it is nearer."""
    costs = [[10, 12, 30], [12, 10, 30], [30, 30, 10]]
    one = field([(2, 2), (2, 2), (2, 2)], 2, 4, costs)
    one.rooms[1].group = 1
    assert search.best(one) == (0, 2)
    one.rooms[2].group = 1
    assert search.best(one) == (0, 1)


@pytest.mark.parametrize(("most", "found"), [(2, (0, 1)), (3, (0, 1)), (4, (0, 1))])
def test_the_number_of_cells_is_limited(most: int, found: tuple[int, ...]) -> None:
    """The cheapest set of at most so many: two are enough, though four nearer ones would cost less."""
    costs = [[10, 12, 50, 50], [12, 10, 50, 50], [50, 50, 10, 11], [50, 50, 11, 10]]
    assert search.best(field([(3, 2), (3, 2), (2, 2), (2, 2)], 2, 6, costs, max_cells=most)) == found


# --- near to each other -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "most", "sums"),
    [([3, 1, 2], 2, [0, 3, 5]), ([1], 3, [0, 1, 1, 1]), ([], 2, [0, 0, 0]), ([5, 7], 0, [0])],
)
def test_sums_of_the_largest(values: list[int], most: int, sums: list[int]) -> None:
    """A short list stays at its whole sum."""
    assert sets._largest_sums(values, most) == sums


@pytest.mark.parametrize(
    ("k", "need", "found"),
    [
        (1, 4, [(0,), (3,)]),
        (1, 5, []),
        (2, 6, [(0, 1)]),
        (2, 7, [(0, 3)]),
        (3, 8, [(0, 1, 2)]),
        (3, 10, [(0, 1, 3)]),
        (4, 11, [(0, 1, 2, 3)]),
        (4, 13, []),
    ],
)
def test_the_nearest_sets_of_each_size_that_hold_a_request(k: int, need: int, found: list[tuple[int, ...]]) -> None:
    """Cells of 4, 2, 2 and 4 MiB, the last one far from all."""
    costs = [[10, 11, 12, 40], [11, 10, 13, 40], [12, 13, 10, 40], [40, 40, 40, 10]]
    assert sets.nearest_sets(field([(4, 2), (2, 2), (2, 2), (4, 2)], 1, need, costs), k) == found


def test_sets_that_tie_are_all_given_and_the_nearest_to_what_was_named_comes_first() -> None:
    """The sum of the distances among themselves decides only after that."""
    assert sets.nearest_sets(field([(2, 2)] * 3, 1, 3), 2) == [(0, 1), (0, 2), (1, 2)]
    costs = [[10, 40, 11], [40, 10, 12], [11, 12, 10]]
    assert sets.nearest_sets(field([(2, 2)] * 3, 1, 3, costs), 2) == [(0, 2)]
    assert sets.nearest_sets(field([(2, 2)] * 3, 1, 3, costs, near=1), 2) == [(1, 2)]
    assert sets.nearest_sets(field([(2, 2)] * 3, 1, 2, costs, near=1), 1) == [(1,)]
    assert sets.nearest_sets(field([(2, 2)] * 3, 1, 2, costs), 1) == [(0,), (1,), (2,)]


def test_sets_up_to_a_size_are_listed_in_order() -> None:
    """From the number of shares on, where those are requested."""
    assert list(smaller_sets(field([(1, 1)] * 3, 1, 1), 2)) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    assert list(smaller_sets(field([(1, 1)] * 3, 2, 2, cells=2), 2)) == [(0, 1), (0, 2), (1, 2)]


# --- rank ---------------------------------------------------------------------------------------------------------


def rank(
    cells: Sequence[tuple[int, int]], chosen: tuple[int, ...], vcpus: int = 2, memory: int = 2, **asked: Any
) -> tuple[object, ...]:
    return ranker(field(cells, vcpus, memory, **asked))(chosen)


@pytest.mark.parametrize(
    ("asked", "chosen", "expected"),
    [
        ({}, (0,), (False, False, False, 0.0, 6 * UNIT, (0,))),
        ({}, (0, 1), (False, False, False, 0.0, 10 * UNIT, (0, 1))),
        ({"vcpus": 5}, (0,), (False, False, True, 0.0, 6 * UNIT, (0,))),
        ({"vcpus": 4}, (0,), (False, False, False, 0.0, 6 * UNIT, (0,))),
        ({"policy": "spread"}, (0,), (False, False, 0.0, 0.0, 0.25 + 0.5, (0,))),
        ({"policy": "balance"}, (0,), (False, False, 0.0, 0.0, 0.5, (0,))),
        ({"policy": "spread"}, (0, 1), (False, False, 0.0, 0.0, 1 - 10 / 12 + 2 / 6, (0, 1))),
        ({"pinned": True}, (0,), (False, False, False, 0.0, -0.5, (0,))),
        ({"pinned": True}, (0, 1), (False, False, False, 0.0, -max(1 - 10 / 12, 2 / 6), (0, 1))),
        ({"policy": "spread", "vcpus": 6}, (0,), (False, False, 2.0, 0.0, 0.25 + 1.5, (0,))),
    ],
)
def test_what_decides_between_sets_that_cost_the_same(
    asked: dict[str, Any], chosen: tuple[int, ...], expected: tuple[object, ...]
) -> None:
    """Cells of 8 and 4 MiB with four and two CPUs: what is left, or how much of it is in demand."""
    found = rank([(8, 4), (4, 2)], chosen, **asked)
    assert (found[:4], found[5]) == (expected[:4], expected[5])
    assert found[4] == pytest.approx(expected[4])


def test_running_guests_count_where_somebody_has_to_give_way() -> None:
    """Their weight on cores, and whether enough quiet ones remain."""
    one = threaded((8, PAIRS), vcpus=3, pinned=True)
    one.stock.floaters = [object()]  # type: ignore[list-item]
    one.rooms[0].cores[0].load = one.rooms[0].cores[1].load = 1.0
    one.rooms[0].load = 2.0
    place = ranker(one)((0,))
    assert place[:4] == (False, False, False, 0.0), "two quiet cores have four threads"
    for vcpus, displaces in ((4, False), (5, True)):
        wide = Candidates(one.stock, Request(vcpus, UNIT, pinned=True))
        assert ranker(wide)((0,))[1] is displaces
        assert ranker(wide)((0,))[3] == (2.0 if displaces else 0.0)
    cores = Candidates(one.stock, Request(3, UNIT, cores=True))
    assert ranker(cores)((0,))[1] is True, "two quiet cores are two"
    crowded = Candidates(one.stock, Request(7, UNIT, pinned=True))
    assert ranker(crowded)((0,))[2] is True, "eight threads less a load of two are six"
    assert ranker(Candidates(one.stock, Request(6, UNIT, pinned=True)))((0,))[2] is False


@pytest.mark.parametrize(
    ("vcpus", "groups", "shared"),
    [
        (2, [("x",), ("x",), ("y",), ("y",)], True),
        (4, [("x",), ("x",), ("y",), ("y",)], True),
        (5, [("x",), ("x",), ("y",), ("y",)], False),
        (8, [("x",), ("x",), ("x",), ("x",)], True),
        (3, [("x",), ("y",), ("z",), ("z",)], True),
        (5, [("x", 1), ("x", 1), ("y", 1), ("z", 2)], True),
    ],
)
def test_siblings_share_a_cache_that_has_room_for_all(
    vcpus: int, groups: list[tuple[object, ...]], shared: bool
) -> None:
    """Or the cell has one cache only."""
    one = room(0, 1, PAIRS, groups=groups)
    assert siblings_share(one, vcpus) is shared
    capacity = HostCapacity({0: one}, {0: {0: 10}})
    straddles = ranker(Candidates(capacity, Request(vcpus, 4096, smt="require")))((0,))[0]
    assert straddles is not shared
    threads = ranker(Candidates(capacity, Request(vcpus, 4096, pinned=True)))((0,))[0]
    assert threads is (vcpus > one.widest()[0])


# --- batches ------------------------------------------------------------------------------------------------------


def test_the_smallest_guests_are_placed_first_the_large_ones_of_them_before_the_small() -> None:
    """Then the others, the small ones of those first, and at last what fits nowhere."""
    assert batch._first([2, 0, 1], 2, [0, 1, 2, 3]) == [0, 2, 1, 3]
    assert batch._first([2, 0, 1], 0, [0, 1, 2]) == [2, 0, 1]
    assert batch._first([2, 0, 1], 3, [0, 1, 2]) == [0, 1, 2]


def test_guests_that_were_placed_badly_move_up() -> None:
    """Those left out to the front, those with farther memory by half the way and before who was there."""
    last = Outcome([0, 1, 2, 3, 4], {0: (0,), 1: (0,), 2: None, 3: (0,), 4: (0,)}, {0: 10.0, 1: 10.0, 3: 10.0, 4: 12.0})
    assert batch._urgent_first(last, [10.0, 10.0, 10.0, 10.0, 10.0]) == [2, 0, 1, 4, 3]
    assert batch._urgent_first(last, [10.0, 10.0, None, 10.0, 12.0]) == [0, 1, 2, 3, 4]
    far = Outcome([0, 1, 2], {0: (0,), 1: (0,), 2: (0,)}, {0: 10.0, 1: 10.0, 2: 12.0})
    assert batch._urgent_first(far, [10.0, 10.0, 10.0]) == [0, 2, 1]
    assert batch._urgent_first(last, [10.0, 10.0, None, 10.0, 12.0 - 1e-10]) == [0, 1, 2, 3, 4]


def test_every_other_round_tries_one_guest_more_than_was_placed() -> None:
    """Of the smallest, as long as there are more."""
    best = Outcome([0, 1, 2], {0: (0,), 1: None, 2: None}, {0: 10.0})
    alone = [10.0, 10.0, 10.0]
    assert batch._next(best, best, alone, [2, 1, 0], [0, 1, 2], 4) == [1, 2, 0]
    assert batch._next(best, best, alone, [2, 1, 0], [0, 1, 2], 5) == [1, 2, 0]
    full = Outcome([0, 1], {0: (0,), 1: (0,)}, {0: 10.0, 1: 11.0})
    assert batch._next(full, full, [10.0, 10.0], [1, 0], [0, 1], 4) == [0, 1]


def test_an_order_is_mixed_the_same_way_for_the_same_seed() -> None:
    """By the generator of Numerical Recipes, which any reader can compute."""

    def mixed(order: list[int], seed: int) -> list[int]:
        state, out = seed, list(order)
        for end in range(len(out), 1, -1):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            at = (state >> 16) % end
            out[end - 1], out[at] = out[at], out[end - 1]
        return out

    for seed in (0, 3, 77):
        order = list(range(7))
        assert batch._mixed(order, seed) == mixed(order, seed)
        assert order == list(range(7))


def test_the_size_of_a_guest_is_the_larger_of_its_parts() -> None:
    """Of the largest cell, for each of its shares; guest cells come first, and all of the host counts for what it takes."""
    capacity = stock([(8, 4), (4, 8)])
    requests = [
        Request(2, 4 * UNIT),
        Request(4, 4 * UNIT, cells=2),
        Request(4, 4 * UNIT, guest_cells=2),
        Request(6, 3 * UNIT, pinned=True),
    ]
    assert batch._sizes(capacity, requests) == [
        (0.5, 0.5, 0.25),
        (0.25, 0.25, 0.25),
        (2.25, 0.25, 0.25),
        (0.75, 0.375, 0.75),
    ]
    assert batch._takes(capacity, requests) == [4 / 12, 4 / 12, 4 / 12, 6 / 12]
    empty = stock([(0, 0)])
    assert batch._sizes(empty, requests[:1]) == [(4.0 * UNIT, 4.0 * UNIT, 2.0)]
    assert batch._takes(empty, requests[:1]) == [4.0 * UNIT]


def test_what_guests_cost_alone_is_found_once_for_those_that_differ_by_name_only() -> None:
    """None for one that fits nowhere even then."""
    capacity = stock([(3, 4), (3, 4)])
    asked = [Request(1, 4 * UNIT, name="a"), Request(1, 4 * UNIT, name="b"), Request(1, 9 * UNIT), Request(1, UNIT)]
    assert batch._alone([Candidates(capacity, one) for one in asked]) == [12.5, 12.5, None, 10.0]


def test_an_arrangement_of_one_cell_costs_what_the_cell_costs_itself() -> None:
    """None where the set does not hold the request."""
    one = field([(4, 4), (4, 4)], 2, 3, [[12, 20], [20, 10]])
    assert arrangement(one, (0,)) == Arrangement(2 * 3 * UNIT * 12, [(0, 2, 3 * UNIT)])
    assert expected_cost(one, (0,)) == 12.0
    assert arrangement(field([(2, 4)], 2, 3), (0,)) is None
    shares = field([(4, 4), (4, 4)], 3, 3, [[12, 20], [20, 10]], cells=2)
    assert arrangement(shares, (0, 1)) == priced(shares, [(0, 2, 2 * UNIT), (1, 1, UNIT)])
    assert arrangement(shares, (0,)) is None


def test_nobody_gives_way_where_nobody_floats() -> None:
    """However few whole cores are left."""
    one = threaded((8, PAIRS), vcpus=7, pinned=True)
    for core in one.rooms[0].cores[:3]:
        core.whole = False
    assert ranker(one)((0,))[1] is False
    one.stock.floaters = [object()]  # type: ignore[list-item]
    assert ranker(Candidates(one.stock, one.request))((0,))[1] is True


def test_pages_of_the_pool_are_what_is_left_of_them() -> None:
    """Of four pages of 1 MiB half are left, whatever the cell has otherwise."""
    capacity = stock([(64, 4), (64, 4)])
    for one in capacity.rooms.values():
        one.pages = {UNIT: 4}
    rank_of = ranker(Candidates(capacity, Request(1, 2 * UNIT, huge_page=UNIT, policy="spread")))
    assert rank_of((0,))[4] == 0.5 + 0.25
    assert rank_of((0, 1))[4] == 0.25 + 1 / 8


def test_several_cells_are_ranked_by_what_they_have_together() -> None:
    """Quiet cores or their threads, loads, and whether vcpus with CPUs of their own have enough of them."""
    one = threaded((8, PAIRS), (8, PAIRS), vcpus=12, pinned=True)
    one.stock.floaters = [object()]  # type: ignore[list-item]
    one.rooms[0].cores[0].load = one.rooms[0].cores[1].load = 1.0
    one.rooms[0].load = 2.0
    place = ranker(one)((0, 1))
    assert place[:4] == (False, False, False, 0.0), "six quiet cores have twelve threads"
    more = ranker(Candidates(one.stock, Request(13, UNIT, pinned=True)))((0, 1))
    assert more[:4] == (False, True, False, 2.0)
    crowded = ranker(Candidates(one.stock, Request(15, UNIT, pinned=True)))((0, 1))
    assert crowded[2] is True, "sixteen threads less a load of two are fourteen"
    cores = ranker(Candidates(one.stock, Request(7, UNIT, cores=True)))((0, 1))
    assert cores[:4] == (False, True, True, 2.0), "eight cores less a load of two are six"
    floating = Candidates(one.stock, Request(7, UNIT))
    assert ranker(floating)((0, 1))[2] is True
    assert ranker(Candidates(one.stock, Request(6, UNIT)))((0, 1))[2] is False
    assert ranker(Candidates(one.stock, Request(6, UNIT, policy="balance")))((0, 1))[4] == (0 + 2.0 + 6) / 16


def test_siblings_are_counted_in_the_largest_number_that_is_enough() -> None:
    """Six vcpus in threes need two cores of three, and a cache that has one of them has no room."""
    cores = [(0, 1, 2), (3, 4, 5), (6, 7), (8, 9)]
    apart = room(0, 1, cores, groups=[("x",), ("y",), ("x",), ("y",)])
    assert siblings_share(apart, 3) is True
    assert siblings_share(apart, 6) is False
    assert siblings_share(room(0, 1, cores, groups=[("x",), ("x",), ("y",), ("y",)]), 6) is True
    assert siblings_share(room(0, 1, []), 1) is True
    assert siblings_share(room(0, 1, [(0, 1)]), 2) is True
    assert siblings_share(room(0, 1, [(0,), (1,)], groups=[("x",), ("y",)]), 1) is False, "no core has siblings"


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([(2, 2), (1, 1), (1, 1)], [(0, 1), (0, 2)]),
        ([(2, 1), (1, 2), (1, 1)], []),
        ([(2, 2), (1, 0), (0, 1)], []),
        ([(2, 2), (2, 2), (2, 2)], [(0, 1), (0, 2), (1, 2)]),
    ],
)
def test_equal_shares_take_cells_that_hold_just_the_smallest(
    cells: list[tuple[int, int]], found: list[tuple[int, ...]]
) -> None:
    """Two vcpus with 2 MiB, and one with 1."""
    one = Candidates(stock(cells), Request(3, 3 * UNIT, cells=2))
    assert sets.nearest_sets(one, 2) == found


@pytest.mark.parametrize(("policy", "found"), [("pack", (2, 3)), ("spread", (0, 1)), ("balance", (0, 1))])
def test_of_sets_that_cost_the_same_the_policy_chooses(policy: str, found: tuple[int, ...]) -> None:
    """Under Xen each of two cells gives half, whatever it has."""
    assert search.best(field([(4, 4), (4, 4), (3, 4), (3, 4)], 2, 6, xen=True, policy=policy)) == found


@pytest.mark.parametrize(
    ("loads", "vcpus", "most", "found"),
    [
        ((0.0, 1.0), 4, 2, (0,)),
        ((1.0, 0.0), 4, 2, (1,)),
        ((1.0, 0.0), 3, 2, (0,)),
        ((0.0, 0.0), 5, 2, (0, 1)),
        ((0.0, 0.0), 5, 1, (0,)),
    ],
)
def test_a_cell_has_enough_cores_at_exactly_as_many_as_vcpus(
    loads: tuple[float, float], vcpus: int, most: int, found: tuple[int, ...]
) -> None:
    """Of two cells of four cores each, less what floats there; two cells may be used or one."""
    one = threaded((9, PAIRS), (9, PAIRS), vcpus=vcpus, max_cells=most)
    for capacity, load in zip(one.rooms, loads, strict=True):
        capacity.load = load
    assert search.best(one) == found


@pytest.mark.parametrize("most", [9, 10])
def test_cells_with_the_most_cores_are_found_among_too_many_pairs_too(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Two of five cells have four quiet cores, the others two: only those have eight."""
    monkeypatch.setattr(search, "MAX_SETS", most)
    one = threaded(*[(9, PAIRS)] * 5, vcpus=8)
    for number in (0, 1, 4):
        one.rooms[number].load = 2.0
    assert search.best(one) == (2, 3)


def test_memory_fills_ring_after_ring_of_the_cells_that_may_be_used() -> None:
    """The nearest is emptied before the next; a cell that is as near and may not be used has none of it."""
    one = field([(2, 4), (2, 0), (4, 0), (9, 0)], 2, 5, [[10, 12, 20, 20], *[[20] * 4] * 3], memory_only=True)
    found = filling.cheapest(one, (0, 1, 2))
    assert found is not None
    assert found.total == 2 * (2 * 10 + 2 * 12 + 1 * 20) * UNIT
    assert sorted(found.amounts) == [(0, 2, 2 * UNIT), (1, 0, 2 * UNIT), (2, 0, UNIT)]
    divided = field([(2, 1), (2, 1), (0, 0), (4, 0)], 2, 5, memory_only=True)
    found = filling.cheapest(divided, (0, 1, 2, 3))
    assert found is not None
    assert sorted(found.amounts) == [(0, 1, 2 * UNIT), (1, 1, 2 * UNIT), (3, 0, UNIT)]


@pytest.mark.parametrize(
    ("rigid", "orders"),
    [
        ({}, [[2, 1, 0], [1, 2, 0]]),
        ({1: {"max_cells": 1}}, [[2, 1, 0], [1, 2, 0], [1, 2, 0]]),
        ({1: {"cells": 1}}, [[2, 1, 0], [1, 2, 0], [1, 2, 0]]),
        ({0: {"cells": 1}, 1: {"max_cells": 2}, 2: {"max_cells": 2}}, [[2, 1, 0], [1, 2, 0]]),
    ],
)
def test_a_batch_that_is_too_large_is_tried_in_these_orders_first(
    monkeypatch: pytest.MonkeyPatch, rigid: dict[int, dict[str, int]], orders: list[list[int]]
) -> None:
    """Of as many as can fit the large ones first, then those that cannot be divided; each order by both policies."""
    tried: list[tuple[list[int], str | None]] = []
    placed = batch.run

    def run(stock_: Any, requests: Any, order: Any, policy: Any, *more: Any) -> Outcome:
        tried.append((list(order), policy))
        return placed(stock_, requests, order, policy, *more)

    monkeypatch.setattr(batch, "run", run)
    monkeypatch.setattr(batch, "WORK", 18)
    monkeypatch.setattr(batch.Limits, "reached", lambda *_: False)
    monkeypatch.setattr(batch, "refined", lambda _stock, _requests, _fields, found, _more: found)
    requests = [Request(1, memory * UNIT, **rigid.get(i, {})) for i, memory in enumerate((4, 2, 3))]
    batch.heuristic(stock([(4, 4), (3, 4)]), requests)
    n = len(orders)
    assert tried[: 2 * n] == [(order, policy) for policy in (None, "balance") for order in orders][:6]
    assert len(tried) == 6
