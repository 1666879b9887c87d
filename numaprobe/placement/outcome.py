"""Placing a batch in one order, and the outcome."""

from __future__ import annotations

from .allocate import split, take
from .candidates import Candidates
from .ranking import mean_cost
from .relations import groups, place_group
from .search import best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .request import Request
    from .rooms import HostCapacity


class Outcome:
    """One way to place a batch: ids of cells by position of the guest, None for one that is left out.

    ``order`` has the positions in the order in which they were placed; ``cost`` is the sum of mean distances.
    """

    __slots__ = ("cost", "left_out", "order", "sets")

    def __init__(self, order: list[int], sets: dict[int, tuple[int, ...] | None], cost: float) -> None:
        self.order = order
        self.sets = sets
        self.cost = cost
        self.left_out = sum([chosen is None for chosen in sets.values()])

    @property
    def rank(self) -> tuple[int, float]:
        """Smaller is better: guests left out, then the sum of mean distances, as for every set of cells."""
        return self.left_out, self.cost


def run(stock: HostCapacity, requests: Sequence[Request], order: Sequence[int], policy: str | None) -> Outcome:
    """Place one after another; ``policy`` replaces ``pack``, the default."""
    left = stock.copy()
    together = groups(requests)
    sets: dict[int, tuple[int, ...] | None] = {}
    done: list[int] = []
    cost = 0.0
    asked_for = [
        asked._replace(policy=policy) if policy is not None and asked.policy == "pack" else asked for asked in requests
    ]
    for position in order:
        if position in sets:
            continue
        members = together.get(position)
        if members is not None and not any(one in sets for one in members):
            grouped = place_group(left, asked_for, members)
            if grouped is not None:
                left, placed = grouped
                for one, cells, distance in placed:
                    sets[one] = cells
                    done.append(one)
                    cost += distance
                continue
        field = Candidates(left, asked_for[position])
        chosen = best(field)
        done.append(position)
        if chosen is None:
            sets[position] = None
            continue
        cost += mean_cost(field, chosen)
        take(left, asked_for[position], split(field, chosen))
        sets[position] = tuple([field.ids[i] for i in chosen])
    return Outcome(done, sets, cost)
