"""Costs between cells, from SLIT and HMAT, and which memory is taken before which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hosts import cell, host, made

from numaprobe import Access, Cell, Host
from numaprobe.placement.costs import bandwidth, costs, distances, groups


def machine(*cells: Cell) -> Host:
    return host([1])._replace(cells=cells)


@pytest.mark.parametrize(
    ("rows", "table", "complete"),
    [
        ([{0: 10, 1: 21}, {0: 31, 1: 12}], {0: {0: 10, 1: 21}, 1: {0: 31, 1: 12}}, True),
        ([{0: 10, 1: None}, {0: 31, 1: 10}], {0: {0: 10, 1: 255}, 1: {0: 31, 1: 10}}, False),
        ([{0: 10}, {0: 31, 1: 10}], {0: {0: 10, 1: 255}, 1: {0: 31, 1: 10}}, False),
        ([{0: 10, 1: 21}, None], {0: {0: 10, 1: 21}, 1: {0: 255, 1: 10}}, False),
        ([None, {0: 10, 1: 21}], {0: {0: 10, 1: 255}, 1: {0: 10, 1: 21}}, False),
        ([{0: None, 1: 21}, {0: 31, 1: 10}], {0: {0: 255, 1: 21}, 1: {0: 31, 1: 10}}, False),
        ([{0: 10, 1: 21, 7: 99}, {0: 31, 1: 10}], {0: {0: 10, 1: 21}, 1: {0: 31, 1: 10}}, True),
        ([{0: 10, 1: 21, 7: None}, {0: 31, 1: 10}], {0: {0: 10, 1: 21}, 1: {0: 31, 1: 10}}, True),
    ],
)
def test_unknown_distances_are_farther_than_all_known_ones(
    rows: list[Mapping[int, int | None] | None], table: dict[int, dict[int, int]], complete: bool
) -> None:
    """A cell whose row is missing is 10 to itself, and cells that are not there do not count."""
    assert distances(machine(*[cell(i, 1, (), row) for i, row in enumerate(rows)])) == (table, complete)


def access(level: int, initiators: tuple[int, ...], read: int | None = None, **known: Any) -> Access:
    return made(Access, level=level, initiators=initiators, read_latency=read, **known)


TABLE = {0: {0: 10, 1: 20, 2: 30}, 1: {0: 20, 1: 10, 2: 25}, 2: {0: 30, 1: 25, 2: 10}}


def found(*accesses: list[Access] | None) -> dict[int, dict[int, int]]:
    cells = [cell(i, 1, ())._replace(accesses=tuple(one or ())) for i, one in enumerate(accesses)]
    return costs(machine(*cells), TABLE)


def test_latencies_are_relative_to_the_lowest_of_a_cell_to_itself() -> None:
    """Cells 0 and 1 have 80 and 100 ns; cell 2 is memory alone that cell 1 reaches in 250."""
    local = [[access(1, (0,), 80)], [access(1, (1,), 100)], [access(1, (1,), 250)]]
    assert found(*local) == {
        # To cell 1: 10 × 100 / 80 = 12.5, rounded to even; to cell 2: 31, and 5 more than the nearest initiator.
        0: {0: 10, 1: 12 + 10, 2: 31 + 5},
        1: {0: 10 + 10, 1: 12, 2: 31},
        # From cell 2 to itself 10 is less than the 25 of the initiator, and nothing is paid back.
        2: {0: 10 + 20, 1: 12 + 15, 2: 31},
    }


@pytest.mark.parametrize(
    "accesses",
    [
        [[], [], []],
        [None, None, None],
        # Only of one that is not the cell itself, without a value, or without initiators.
        [[], [access(1, (0,), 80)], []],
        [[access(1, (0,))], [], []],
        [[access(1, (), 80)], [], []],
        [[access(1, (0,), 0)], [], []],
    ],
)
def test_without_a_latency_of_a_cell_to_itself_the_distances_are_the_costs(accesses: list[list[Access] | None]) -> None:
    """There is nothing that 10 could stand for."""
    assert found(*accesses) is TABLE


@pytest.mark.parametrize(
    ("accesses", "cost"),
    [
        # Initiators with CPUs come before those of any kind, reads before writes.
        ([access(0, (1,), 500), access(1, (1,), 160)], 20),
        ([access(1, (1,), 160), access(0, (1,), 500)], 20),
        ([access(1, (1,), None, write_latency=240)], 30),
        ([access(1, (1,), 0, write_latency=240)], 30),
        ([access(1, (1,), 160, write_latency=240)], 20),
        # One without a value or without initiators is passed over.
        ([access(1, (1,)), access(0, (1,), 400)], 50),
        ([access(1, (), 160), access(0, (1,), 400)], 50),
        # Initiators that are no cells of this host say nothing.
        ([access(1, (9,), 160)], 10),
        ([access(1, (9, 1), 160)], 20),
    ],
)
def test_which_latency_of_a_cell_counts(accesses: list[Access], cost: int) -> None:
    """Of cell 1 as it is reached from itself, where cell 0 takes 80 ns."""
    assert found([access(1, (0,), 80)], accesses, [])[1][1] == cost


def test_an_unreachable_cell_remains_unreachable() -> None:
    """255 is no distance that a latency could replace."""
    cells = [cell(0, 1, ())._replace(accesses=(access(1, (0,), 80),)), cell(1, 1, ())]
    table = {0: {0: 10, 1: 20}, 1: {0: 255, 1: 10}}
    assert costs(machine(*cells), table) == {0: {0: 10, 1: 20}, 1: {0: 255, 1: 10}}
    table = {0: {0: 10, 1: 20}, 1: {0: 254, 1: 10}}
    assert costs(machine(*cells), table)[1][0] == 254


@pytest.mark.parametrize(
    ("values", "most"), [([], 0), ([None], 0), ([None, 5], 5), ([5, 7, 6], 7), ([0], 0), (None, 0)]
)
def test_bandwidth_is_the_greatest_that_is_reported(values: list[int | None] | None, most: int) -> None:
    """0 where firmware reports none."""
    known = None if values is None else tuple(made(Access, initiators=(0,), read_bandwidth=one) for one in values)
    assert bandwidth(cell(0, 1, ())._replace(accesses=known)) == most


@pytest.mark.parametrize(
    ("cpus", "kind", "tier", "group"),
    [
        ((), None, None, 0),
        ((), None, 4, 0),
        ((), None, 5, 1),
        ((), None, 3, 0),
        ((), "cxl", 4, 1),
        ((), "dax", None, 1),
        ((), "gpu", 4, 2),
        ((), "gpu", 9, 2),
        ((7,), "gpu", 9, 0),
        ((7,), "cxl", 9, 0),
        (None, "cxl", 4, 1),
    ],
)
def test_memory_without_cpus_is_taken_by_its_kind_and_tier(
    cpus: tuple[int, ...] | None, kind: str | None, tier: int | None, group: int
) -> None:
    """Ordinary memory before slower, and that of a GPU last; the fastest tier with CPUs is 4."""
    others = [cell(1, 1, (1,))._replace(tier=4), cell(2, 1, (2,))._replace(tier=6), cell(3, 1, (3,))]
    one = cell(0, 1, ())._replace(cpus=cpus, kind=kind, tier=tier)
    assert groups(machine(one, *others))[0] == group
    assert groups(machine(cell(0, 1, ())._replace(tier=9), cell(1, 1, (1,)))) == {0: 0, 1: 0}
