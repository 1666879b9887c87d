"""Placing a batch in one order, and the outcome."""

from __future__ import annotations

from .access import arrangement
from .allocate import split, take
from .candidates import Candidates
from .relations import groups, place_group
from .search import best
from .shared_cpus import settle_cpus, settle_cpus_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .request import Request
    from .rooms import HostCapacity


class Outcome:
    """One way to place a batch: ids of cells by position of the guest, None for one that is left out.

    ``order`` has the positions in the order in which they were placed; ``costs`` are the mean costs of an access by
    position of the guests that are placed, and ``cost`` is their sum.
    """

    __slots__ = ("cost", "costs", "left_out", "order", "sets")

    def __init__(self, order: list[int], sets: dict[int, tuple[int, ...] | None], costs: dict[int, float]) -> None:
        self.order = order
        self.sets = sets
        self.costs = costs
        self.cost = sum(costs.values())
        self.left_out = sum([chosen is None for chosen in sets.values()])

    @property
    def rank(self) -> tuple[int, float]:
        """Smaller is better: guests left out, then the sum of the mean costs of an access."""
        return self.left_out, self.cost


def run(
    stock: HostCapacity,
    requests: Sequence[Request],
    order: Sequence[int],
    policy: str | None,
    given: Mapping[int, tuple[int, ...]] | None = None,
) -> Outcome:
    """Place one after another; ``policy`` replaces ``pack``, the default.

    ``given`` are the ids of cells that some of them get, if they hold them.
    """
    left = stock.copy()
    together = groups(requests)
    sets: dict[int, tuple[int, ...] | None] = {}
    done: list[int] = []
    costs: dict[int, float] = {}
    asked_for = [
        request._replace(policy=policy) if policy is not None and request.policy == "pack" else request
        for request in requests
    ]
    for position in order:
        if position in sets:
            continue
        members = together.get(position)
        if members is not None and not any(one in sets for one in members):
            grouped = place_group(left, asked_for, members)
            if grouped is not None:
                left, placed = grouped
                for one, cells, cost in placed:
                    sets[one] = cells
                    done.append(one)
                    costs[one] = cost
                continue
        wanted = None if given is None else given.get(position)
        if wanted is None:
            settle_cpus(left, asked_for[position])
        else:
            settle_cpus_at(left, wanted)
        field = Candidates(left, asked_for[position])
        chosen = best(field) if wanted is None else positions(field, wanted)
        done.append(position)
        if chosen is None:
            sets[position] = None
            continue
        found = arrangement(field, chosen)
        assert found is not None, "the set was found to fit"
        costs[position] = found.mean
        take(left, asked_for[position], split(field, chosen, found))
        # As a plan is explained: cells of a given set that have nothing of it are not named.
        sets[position] = tuple([field.ids[i] for i in (chosen if wanted is None else found.cells)])
    return Outcome(done, sets, costs)


def positions(field: Candidates, cells: Sequence[int]) -> tuple[int, ...] | None:
    """The positions of these cells; None if they do not hold the request."""
    chosen = tuple([i for i, cell in enumerate(field.ids) if cell in cells])
    return chosen if len(chosen) == len(cells) and field.fits(chosen) else None
