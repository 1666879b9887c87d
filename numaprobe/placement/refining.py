"""Making an outcome better: cells for single guests that they would not choose themselves."""

from __future__ import annotations

from itertools import islice

from .candidates import fitting_sets
from .outcome import Outcome, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .candidates import Candidates
    from .request import Request
    from .rooms import HostCapacity

# Sets that one guest may be given instead of the one it would choose.
MAX_OFFERED = 200


def refined(
    stock: HostCapacity,
    requests: Sequence[Request],
    fields: Sequence[Candidates],
    known: Outcome,
    more: Callable[[], bool],
) -> Outcome:
    """Give one guest after another cells that it would not choose, as long as that makes the whole better.

    ``more`` says before each try whether to go on.
    """
    offered = [_offered(field) for field in fields]
    given: dict[int, tuple[int, ...]] = {}
    while True:
        improved: tuple[Outcome, int, tuple[int, ...]] | None = None
        for guest, sets in enumerate(offered):
            if guest in given:
                continue
            order = [*given, guest, *[one for one in known.order if one != guest and one not in given]]
            for cells in sets:
                if not more():
                    return known
                other = run(stock, requests, order, None, {**given, guest: cells})
                if other.rank < (known if improved is None else improved[0]).rank:
                    improved = other, guest, cells
        if improved is None:
            return known
        known, guest, cells = improved
        given[guest] = cells


def _offered(field: Candidates) -> list[tuple[int, ...]]:
    """The ids of the smallest sets of cells that a guest fits on alone, none farther from a device than need be."""
    sets = list(islice(fitting_sets(field, 1, len(field.ids)), MAX_OFFERED))
    if field.near is not None and sets:
        near = field.near
        nearest = min([max([near[i] for i in chosen]) for chosen in sets])
        sets = [chosen for chosen in sets if max([near[i] for i in chosen]) == nearest]
    return [tuple([field.ids[i] for i in chosen]) for chosen in sets]
