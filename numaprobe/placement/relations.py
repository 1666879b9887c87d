"""Guests of one batch that keep away from each other, or belong together."""

from __future__ import annotations

from copy import copy

from .access import arrangement
from .allocate import split, take
from .candidates import Candidates
from .request import Request
from .search import best

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rooms import HostCapacity


def related(stock: HostCapacity, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The requests with away and together made mutual within the batch; its names are known from then on.

    Raises ``ValueError`` for a name that two guests have.
    """
    by_name: dict[str, int] = {}
    for position, request in enumerate(requests):
        if request.name is None:
            continue
        if request.name in by_name:
            raise ValueError(f"two guests of the batch have the name {request.name!r}")
        by_name[request.name] = position
        # Nowhere yet, so nobody is away from it or together with it.
        stock.homes[request.name] = ()
    away = [set(request.away_from) for request in requests]
    together = [set(request.together_with) for request in requests]
    for request in requests:
        for wishes, others in ((request.away_from, away), (request.together_with, together)):
            for name in wishes:
                if name in by_name and request.name is not None:
                    others[by_name[name]].add(request.name)
    return tuple(
        [
            request._replace(away_from=tuple(sorted(away[i])), together_with=tuple(sorted(together[i])))
            for i, request in enumerate(requests)
        ]
    )


def pairs(requests: Sequence[Request], wish: str) -> list[tuple[int, int]]:
    """Positions of guests of the batch of which one names the other in ``away_from`` or ``together_with``."""
    by_name = {request.name: i for i, request in enumerate(requests) if request.name is not None}
    found = {
        (min(i, by_name[name]), max(i, by_name[name]))
        for i, request in enumerate(requests)
        for name in getattr(request, wish)
        if name in by_name and by_name[name] != i
    }
    return sorted(found)


def groups(requests: Sequence[Request]) -> dict[int, tuple[int, ...]]:
    """For each guest that belongs together with others of the batch, the positions of all of them, itself included."""
    member_of: dict[int, set[int]] = {}
    for a, b in pairs(requests, "together_with"):
        joined = member_of.get(a, {a}) | member_of.get(b, {b})
        for one in joined:
            member_of[one] = joined
    return {i: tuple(sorted(members)) for i, members in member_of.items()}


def place_group(
    left: HostCapacity, requests: Sequence[Request], members: Sequence[int]
) -> tuple[HostCapacity, list[tuple[int, tuple[int, ...], float]]] | None:
    """Place guests that belong together on cells that hold all of them, the largest first.

    Gives what is left then, and (position, cells, mean cost of an access) for each; None where no cells hold them all.
    """
    wanted = [requests[i] for i in members]
    names = {one.name for one in wanted}
    order = sorted(members, key=lambda i: (-requests[i].memory, -requests[i].vcpus, i))
    for cells in _homes(left, wanted, names):
        trial = left.copy()
        view = copy(trial)
        view.rooms = {cell: room for cell, room in trial.rooms.items() if cell in cells}
        placed = []
        for position in order:
            field = Candidates(view, requests[position])
            chosen = best(field)
            if chosen is None:
                break
            found = arrangement(field, chosen)
            assert found is not None, "the set was found to fit"
            take(view, requests[position], split(field, chosen, found))
            placed.append((position, tuple([field.ids[i] for i in chosen]), found.mean))
        else:
            return trial, placed
    return None


def _homes(left: HostCapacity, wanted: Sequence[Request], names: set[str | None]) -> list[tuple[int, ...]]:
    """Sets of cells that may hold all of a group: the best for a guest of their size, then every single cell."""
    singles = sorted(left.rooms, key=lambda cell: (left.rooms[cell].memory, cell))
    found: list[tuple[int, ...]] = [(cell,) for cell in singles]
    pages = {one.huge_page for one in wanted}
    if len(pages) > 1:
        return found
    floating = max([one.vcpus - one.exclusive for one in wanted])
    first = wanted[0]
    combined = Request(
        vcpus=max(1, floating + sum([one.exclusive for one in wanted])),
        memory=sum([one.memory for one in wanted]),
        huge_page=first.huge_page,
        near=first.near,
        away_from={name for one in wanted for name in one.away_from} - names,
        together_with={name for one in wanted for name in one.together_with} - names,
        memory_only=all(one.memory_only for one in wanted),
        vfio=any(one.vfio for one in wanted),
        max_cells=min([one.max_cells for one in wanted if one.max_cells is not None], default=None),
        policy=first.policy,
        smt="share",
    )
    field = Candidates(left, combined)
    chosen = best(field)
    if chosen is not None:
        found.insert(0, tuple([field.ids[i] for i in chosen]))
    return found
