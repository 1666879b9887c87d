"""What an access costs a guest on a set of cells, with vcpus and memory where they will really be.

Linux fills the cell that the vcpus are on and then the nearest; Xen deals memory out evenly until a cell is empty.
"""

from __future__ import annotations

from .arrangements import Arrangement, priced
from .candidates import Candidates, assign_shares
from .dealing import even
from .filling import cheapest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Beyond that, cells are no sub-NUMA clusters or neighbours in one package.
NEARBY = 1.2


def arrangement(field: Candidates, chosen: Sequence[int]) -> Arrangement | None:
    """The way that a request is divided among these positions; None if they cannot hold it."""
    if field.shares is not None:
        order = assign_shares(field, chosen)
        if order is None:
            return None
        return priced(field, [(i, vcpus, size) for i, (vcpus, size) in zip(order, field.shares, strict=True)])
    if not field.fits(chosen):
        return None
    if len(chosen) == 1:
        i = chosen[0]
        cost = field.stock.costs[field.ids[i]][field.ids[i]]
        return Arrangement(field.request.vcpus * field.need * cost, [(i, field.request.vcpus, field.need)])
    view = field.counting_cores() if for_cores(field, chosen) else field
    return even(view, chosen) if field.stock.striped else cheapest(view, chosen)


def expected_cost(field: Candidates, chosen: Sequence[int]) -> float:
    """The mean cost of an access on a set that fits: 10 where all are local."""
    found = arrangement(field, chosen)
    assert found is not None, "the set was found to fit"
    return found.mean


def for_cores(field: Candidates, chosen: Sequence[int]) -> bool:
    """Whether one cell would do, and these are several for the sake of whole cores."""
    vcpus = field.request.vcpus
    if field.request.smt is not None or field.shares is not None or len(chosen) < 2:
        return False
    able = [i for i, size in enumerate(field.memory) if size >= field.need and field.hosting[i] >= vcpus]
    if not able:
        return False
    costs = field.costs
    limit = NEARBY * min([costs[i][i] for i in chosen])
    if any(costs[i][j] > limit for i in chosen for j in chosen):
        return False
    view = field.counting_cores()
    return view.runs(chosen) >= vcpus and all(view.hosting[i] < vcpus for i in able)
