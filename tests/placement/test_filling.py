"""How memory fills cells on Linux, compared with the rule written down simply."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest
from capacities import UNIT, stock
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Request
from numaprobe.placement.arrangements import Arrangement, priced
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.filling import MAX_DIVIDED, cheapest
from numaprobe.placement.ranking import ranker


def last(field: Candidates, able: Sequence[int], left: int) -> tuple[int, ...]:
    """Of equally near cells the fewest that hold the rest: the fastest, then with the least or most left."""
    sign = 1 if field.request.policy == "pack" else -1
    able = sorted(able, key=lambda i: (-field.memory[i], i))
    for number in range(1, len(able) + 1):
        ways = [one for one in combinations(able, number) if sum(field.memory[i] for i in one) >= left]
        if ways:
            return min(
                ways,
                key=lambda one: (
                    -min(field.rooms[i].bandwidth for i in one),
                    sign * sum(field.memory[i] for i in one),
                    one,
                ),
            )
    raise AssertionError("they hold it")


def filled(field: Candidates, centre: int) -> dict[int, int] | None:
    """Bytes by cell: the centre's own memory, then ring by ring, each emptied before the next."""
    left = field.need
    out = {centre: min(left, field.memory[centre])}
    left -= out[centre]
    row = field.costs[centre]
    for cost in sorted({row[j] for j in range(len(row)) if j != centre}):
        able = [j for j in range(len(row)) if j != centre and row[j] == cost and field.memory[j]]
        chosen = able if sum(field.memory[j] for j in able) < left else last(field, able, left) if left else ()
        for j in chosen:
            out[j] = min(left, field.memory[j])
            left -= out[j]
    return None if left else out


def nearness(field: Candidates, one: Arrangement) -> tuple[int, int]:
    """The worst distance of a cell with vcpus from what was named, and the sum."""
    near = [field.near[i] for i, vcpus, _ in one.amounts if vcpus] if field.near is not None else []
    return max((worst for worst, _ in near), default=0), sum(total for _, total in near)


def costs_of(bits: int, n: int) -> list[list[int]]:
    return [[10 if i == j else (12, 15, 20)[bits // 3 ** (i * n + j) % 3] for j in range(n)] for i in range(n)]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from((0, 4))), min_size=3, max_size=6),
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
    st.integers(0, 3**36 - 1),
    st.integers(1, 16),
    st.fixed_dictionaries({"policy": st.sampled_from(("pack", "spread")), "near": st.sampled_from((None, None, 0))}),
)
def test_vcpus_that_fit_on_one_cell_have_memory_from_there_outwards(
    cells: list[tuple[int, int]], bandwidths: list[int], bits: int, size: int, asked: dict[str, Any]
) -> None:
    """The cell with the lowest cost, then the fewest cells, then by the policy; cells without CPUs only give memory."""
    capacity = stock(cells, costs_of(bits, len(cells)))
    for room, bandwidth in zip(capacity.rooms.values(), bandwidths, strict=False):
        room.bandwidth = bandwidth
    field = Candidates(capacity, Request(4, size * UNIT, memory_only=True, **asked))
    rank = ranker(field)
    ways = []
    for centre, (_, cpus) in enumerate(cells):
        sizes = filled(field, centre)
        if cpus and sizes is not None:
            one = priced(field, [(i, 4 if i == centre else 0, amount) for i, amount in sizes.items()])
            ways.append(((nearness(field, one), one.total, len(sizes), rank(one.cells)), sizes, centre))
    found = cheapest(field, range(len(cells)))
    if not ways:
        assert found is None
        return
    assert found is not None
    key, sizes, centre = min(ways, key=lambda way: way[0])
    assert (nearness(field, found), found.total, len(found.amounts), rank(found.cells)) == key
    assert {i: amount for i, _, amount in found.amounts} == sizes
    assert {i: vcpus for i, vcpus, _ in found.amounts if vcpus} == {centre: 4}


def spreads(limits: Sequence[int], vcpus: int) -> list[dict[int, int]]:
    """All ways to divide vcpus."""
    ways = product(*(range(min(limit, vcpus) + 1) for limit in limits))
    return [{i: count for i, count in enumerate(way) if count} for way in ways if sum(way) == vcpus]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=2, max_size=4),
    st.integers(0, 3**16 - 1),
    st.integers(2, 7),
    st.integers(1, 10),
    st.sampled_from((None, 1)),
)
def test_vcpus_that_fit_on_no_cell_are_divided_so_that_no_other_way_costs_less(
    cells: list[tuple[int, int]], bits: int, vcpus: int, size: int, emulator: int | None
) -> None:
    """Every way to divide vcpus, each with its memory where it costs least; an emulator needs a CPU on one of them."""
    field = Candidates(stock(cells, costs_of(bits, len(cells))), Request(vcpus, size * UNIT, emulator=emulator))
    found = cheapest(field, range(len(cells)))
    totals = []
    for spread in spreads(field.cpus, vcpus):
        if (
            emulator
            and not any(field.hosting[i] >= count for i, count in spread.items())
            and not any(field.hosting[i] and i not in spread for i in range(len(cells)))
        ):
            continue
        left, total = field.need, 0
        prices = [sum(count * field.costs[i][j] for i, count in spread.items()) for j in range(len(cells))]
        for price, j in sorted((price, j) for j, price in enumerate(prices)):
            got = min(left, field.memory[j])
            total += got * price
            left -= got
        if not left:
            totals.append(total)
    if found is None:
        assert not totals or emulator
        return
    assert sum(amount for _, _, amount in found.amounts) >= field.need
    assert sum(count for _, count, _ in found.amounts) == vcpus
    assert found.total == priced(field, found.amounts).total
    assert found.total >= min(totals)
    if not emulator:
        assert found.total == min(totals)


def test_beyond_the_cells_for_which_every_division_is_tried_the_nearest_are_filled() -> None:
    """Pairs of cells 12 apart, of which one pair has the CPUs and the memory just so."""
    n = MAX_DIVIDED + 4
    costs = [[10 if i == j else 12 if i // 2 == j // 2 else 30 for j in range(n)] for i in range(n)]
    for pair in (0, 4, n - 2):
        cells = [(6, 3) if i in (pair, pair + 1) else (2, 3) for i in range(n)]
        field = Candidates(stock(cells, costs), Request(6, 12 * UNIT))
        found = cheapest(field, range(n))
        assert found is not None
        assert sorted(found.amounts) == [(pair, 3, 6 * UNIT), (pair + 1, 3, 6 * UNIT)]
        assert found.mean == pytest.approx(11)


@pytest.mark.parametrize("policy", ["pack", "spread"])
def test_of_too_many_equally_near_cells_the_emptiest_are_taken(policy: str) -> None:
    """Fourteen cells of which three are needed are more sets than are compared."""
    cells = [(0, 4)] + [(4 + i % 3, 0) for i in range(14)]
    field = Candidates(stock(cells), Request(4, 16 * UNIT, memory_only=True, policy=policy))
    found = cheapest(field, range(15))
    assert found is not None
    assert sorted(found.amounts) == [(0, 4, 0), (3, 0, 6 * UNIT), (6, 0, 6 * UNIT), (9, 0, 4 * UNIT)]
    # Of twelve cells two are needed, which are few enough to be compared.
    field = Candidates(stock(cells[:13]), Request(4, 9 * UNIT, memory_only=True, policy=policy))
    found = cheapest(field, range(13))
    assert found is not None
    wanted = {1: 4, 2: 5} if policy == "pack" else {3: 6, 6: 3}
    assert {i: amount // UNIT for i, _, amount in found.amounts if amount} == wanted
