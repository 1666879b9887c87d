"""Sets of cells that are near to each other, compared with every set there is."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from capacities import UNIT, stock
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Request
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.sets import nearest_sets


def apart(field: Candidates, chosen: tuple[int, ...]) -> tuple[int, int]:
    """How far a set is from what was named, and how far its cells are from each other, both ways."""
    near = sum(field.near[i][1] for i in chosen) if field.near is not None else 0
    return near, sum(field.costs[i][j] for i in chosen for j in chosen if i != j)


def nearest(field: Candidates, k: int) -> list[tuple[int, ...]]:
    """Of all sets that fit the nearest, in the order of their positions."""
    able = [one for one in combinations(range(len(field.ids)), k) if field.fits(one)]
    least = min((apart(field, one) for one in able), default=None)
    return [one for one in able if apart(field, one) == least]


requests = st.fixed_dictionaries(
    {"vcpus": st.integers(2, 10), "memory": st.integers(2, 20).map(lambda n: n * UNIT)},
    optional={
        "cells": st.integers(2, 4),
        "near": st.sampled_from((0, 1, (0, 1))),
        "emulator": st.just(1),
        "pinned": st.just(value=True),
    },
)


def drawn(bits: int, n: int) -> list[list[int]]:
    """Costs of 12 or 20, by the bits of a number: many sets tie, and what is near one way may be far the other."""
    return [[10 if i == j else (12, 20)[bits >> (i * n + j) & 1] for j in range(n)] for i in range(n)]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4)), min_size=4, max_size=7),
    requests,
    st.integers(0, (1 << 49) - 1),
)
def test_up_to_sixteen_cells_every_set_is_considered(
    cells: list[tuple[int, int]], asked: dict[str, Any], bits: int
) -> None:
    """All sets that tie are found, whatever is near and whatever each cell has."""
    n = len(cells)
    costs = drawn(bits, n)
    try:
        field = Candidates(stock(cells, costs), Request(**asked))
    except ValueError:
        return
    for k in (len(field.shares),) if field.shares is not None else range(2, n + 1):
        assert nearest_sets(field, k) == nearest(field, k)


def test_one_cell_is_the_nearest_by_its_worst_distance_and_then_by_the_sum() -> None:
    """Cells 0 and 1 are named: 2 is 15 from both, and so is 3 from one; 0 and 1 themselves are 40 apart."""
    costs = [[10, 40, 20, 20], [40, 10, 20, 20], [15, 15, 10, 20], [15, 11, 20, 10]]
    field = Candidates(stock([(8, 4)] * 4, costs), Request(2, 4 * UNIT, near=(0, 1)))
    assert nearest_sets(field, 1) == [(3,)]
    field = Candidates(stock([(8, 4), (3, 4), (8, 1), (4, 2)]), Request(2, 4 * UNIT))
    assert nearest_sets(field, 1) == [(0,), (3,)], "all that hold it, just so"


def clusters(size: int, number: int) -> list[list[int]]:
    n = size * number
    return [[10 if i == j else 12 if i // size == j // size else 32 for j in range(n)] for i in range(n)]


@pytest.mark.parametrize(("size", "number"), [(3, 6), (4, 5), (5, 4)])
def test_beyond_sixteen_cells_whole_clusters_are_found(size: int, number: int) -> None:
    """Those that have room; the one in the middle is missing a byte, or a CPU."""
    n = size * number
    for cells in ([(4, 4 - (i == n // 2)) for i in range(n)], [(4 - (i == n // 2), 4) for i in range(n)]):
        field = Candidates(stock(cells, clusters(size, number)), Request(4 * size, 4 * size * UNIT))
        whole = [tuple(range(first, first + size)) for first in range(0, n, size)]
        assert nearest_sets(field, size) == [one for one in whole if n // 2 not in one] == nearest(field, size)


def test_pairs_are_exact_whatever_the_number_of_cells() -> None:
    """Twenty cells: two are 11 apart in one direction and 20 in the other, and two are 15 apart in both."""
    costs = [[10 if i == j else 20 for j in range(20)] for i in range(20)]
    costs[17][4], costs[3][9], costs[9][3] = 11, 15, 15
    field = Candidates(stock([(4, 4)] * 20, costs), Request(6, 6 * UNIT))
    assert nearest_sets(field, 2) == [(3, 9)]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4)), min_size=17, max_size=19),
    st.integers(3, 6),
    st.data(),
)
def test_what_is_grown_holds_the_request(cells: list[tuple[int, int]], k: int, data: st.DataObject) -> None:
    """Each set has the number of cells requested, once and in order, and all sets are equally near."""
    costs = drawn(data.draw(st.integers(0, (1 << 361) - 1)), len(cells))
    tops = [sum(sorted((one[at] for one in cells), reverse=True)[:k]) for at in (0, 1)]
    asked = Request(
        data.draw(st.integers(max(1, tops[1] - 2), tops[1])),
        data.draw(st.integers(max(1, tops[0] - 2), tops[0])) * UNIT,
        near=data.draw(st.sampled_from((None, 0, (1, 2)))),
    )
    field = Candidates(stock(cells, costs), asked)
    found = nearest_sets(field, k)
    assert found == sorted(set(found))
    assert len({apart(field, one) for one in found}) <= 1
    for one in found:
        assert len(set(one)) == k
        assert list(one) == sorted(one)
        assert field.fits(one)


@pytest.mark.parametrize("short", ["memory", "cpus"])
def test_cells_that_can_only_just_hold_it_together_are_found(short: str) -> None:
    """Three of twenty have more than the others, far apart, and all of it is needed."""
    large = (2, 9, 17)
    cells = [(8, 8) if i in large else (7, 8) if short == "memory" else (8, 7) for i in range(20)]
    field = Candidates(stock(cells, clusters(4, 5)), Request(24, 24 * UNIT))
    assert nearest_sets(field, 3) == [large]


def test_beyond_sixteen_cells_what_is_near_to_what_was_named_comes_first() -> None:
    """Cell 16 is named; all clusters are as near to each other as its own."""
    field = Candidates(stock([(4, 4)] * 21, clusters(3, 7)), Request(12, 12 * UNIT, near=16))
    assert nearest_sets(field, 3) == [(15, 16, 17)] == nearest(field, 3)


def test_equal_shares_are_dealt_to_the_nearest_cells_that_hold_them() -> None:
    """Nineteen cells hold a third each; but for the cell of each cluster that holds less, they are 12 apart."""
    cells = [(4 if i % 4 != 1 else 3, 4) for i in range(20)]
    field = Candidates(stock(cells, clusters(4, 5)), Request(6, 12 * UNIT, cells=3))
    assert nearest_sets(field, 3) == [(first, first + 2, first + 3) for first in range(0, 20, 4)]
    # The shares are 6, 3 and 3 MiB: only cell 7 holds the largest.
    cells = [(6 if i == 7 else 3, 4) for i in range(20)]
    field = Candidates(stock(cells, clusters(4, 5)), Request(4, 12 * UNIT, cells=3))
    found = nearest_sets(field, 3)
    assert found
    assert all(7 in one and apart(field, one) == (0, 6 * 12) for one in found)
