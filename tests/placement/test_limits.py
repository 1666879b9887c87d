"""What no plan can beat: the most guests, and the least that an access costs each of them."""

from __future__ import annotations

import pytest
from capacities import UNIT, stock

from numaprobe import Request
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.filling import MAX_DIVIDED
from numaprobe.placement.limits import least_costs


def least(cells: list[tuple[int, int]], own: list[int], cost: float | None, /, **asked: object) -> float | None:
    """Of a guest of 4 vcpus and 4 MiB that would cost so much alone, on cells with these costs to themselves."""
    n = len(cells)
    costs = [[own[i] if i == j else 20 for j in range(n)] for i in range(n)]
    field = Candidates(stock(cells, costs, xen=bool(asked.pop("xen", False))), Request(4, 4 * UNIT, **asked))  # type: ignore[arg-type]
    (found,) = least_costs([field], [cost])
    return found


def test_a_guest_that_fits_nowhere_has_no_least_cost() -> None:
    """A cost of 0 would lower the bound of the whole batch."""
    assert least([(1, 1)], [10], None) is None


def test_what_a_guest_costs_alone_is_the_least_where_every_way_to_divide_it_was_tried() -> None:
    """No cell holds it alone, and no rule is ranked before the cost."""
    assert least([(3, 4), (3, 4)], [12, 10], 14.5) == 14.5
    assert least([(4, 3), (4, 3)], [12, 10], 14.5) == 14.5
    n = MAX_DIVIDED
    assert least([(3, 3)] * n, [10] * n, 14.5) == 14.5
    assert least([(3, 4)] * (n + 1), [10] * (n + 1), 14.5) == 14.5, "all vcpus fit on each"


@pytest.mark.parametrize(
    ("cells", "asked"),
    [
        ([(4, 4), (3, 4)], {}),
        ([(4, 5), (3, 4)], {}),
        ([(3, 4), (3, 4)], {"cells": 2}),
        ([(3, 4), (3, 4)], {"near": 0}),
        ([(3, 4), (3, 4)], {"fewest": True}),
        ([(3, 4), (3, 4)], {"max_cells": 2}),
        ([(3, 4), (3, 4)], {"xen": True}),
        ([(3, 3)] * (MAX_DIVIDED + 1), {}),
    ],
)
def test_otherwise_it_is_the_lowest_cost_of_a_cell_to_itself(
    cells: list[tuple[int, int]], asked: dict[str, object]
) -> None:
    """As where one cell holds it all, which is then taken whatever it costs."""
    assert least(cells, [12, 10, *[12] * (len(cells) - 2)], 14.5, **asked) == 10
    assert least(cells, [12, 15, *[12] * (len(cells) - 2)], 11.0, **asked) == 11.0


def test_another_kind_of_memory_is_ranked_before_the_cost() -> None:
    """Where cells differ in kind a plan may cost more than the nearest pair, so the bound is that of local access."""
    capacity = stock([(3, 4), (3, 4)])
    field = Candidates(capacity, Request(4, 4 * UNIT))
    assert least_costs([field], [14.5]) == [14.5]
    capacity.rooms[1].group = 1
    assert least_costs([Candidates(capacity, Request(4, 4 * UNIT))], [14.5]) == [10]
