"""Distances for people: a matrix as long as it fits, then a matrix of groups, then the nearest cells of each."""

from __future__ import annotations

from .layout import id_words, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.host import Host

    Costs = dict[int, dict[int, int | None]]


def distances(host: Host, width: int) -> list[str]:
    """The lines, nothing for one cell or where the source gives no distances. Rows reach, columns are reached."""
    costs: Costs = {cell.id: dict(cell.distances or ()) for cell in host.cells}
    if len(costs) < 2 or not any(costs.values()):
        return []
    whole = _matrix(costs, [[cell] for cell in costs])
    if len(whole[0]) <= width:
        return whole
    grouped = _matrix(costs, _groups(costs))
    if len(grouped[0]) <= width:
        return [*grouped, "(cells alike share a row; a column is named by its first cell)"]
    return ["distances", *_nearest(costs)]


def _matrix(costs: Costs, groups: list[list[int]]) -> list[str]:
    rows = [["distances", *(str(group[0]) for group in groups)]]
    for start in groups:
        rows.append([id_words(start), *(_shown(costs[start[0]].get(end[0])) for end in groups)])
    if any(len(group) > 1 for group in groups):
        rows[0].append("to each other")
        for row, group in zip(rows[1:], groups, strict=True):
            row.append(_shown(costs[group[0]].get(group[1])) if len(group) > 1 else "")
    return table(rows)


def _shown(cost: int | None) -> str:
    return "-" if cost is None else str(cost)


def _groups(costs: Costs) -> list[list[int]]:
    """Groups of indistinguishable cells: equally far from each other both ways, and from and to every other cell."""
    groups: list[list[int]] = []
    for cell in costs:
        for group in groups:
            # Of cells alike all pairs are: each is as far from the second as the first is.
            if _alike(costs, group[0], cell):
                group.append(cell)
                break
        else:
            groups.append([cell])
    return groups


def _alike(costs: Costs, one: int, other: int) -> bool:
    there, back = _pair(costs, one, other)
    if there != back or costs[one].get(one) != costs[other].get(other):
        return False
    return all(_pair(costs, one, third) == _pair(costs, other, third) for third in costs if third not in (one, other))


def _pair(costs: Costs, one: int, other: int) -> tuple[int | None, int | None]:
    return costs[one].get(other), costs[other].get(one)


def _nearest(costs: Costs) -> list[str]:
    """For each cell its nearest others, and how far the farthest is."""
    out = []
    for cell, row in costs.items():
        others = {end: cost for end, cost in row.items() if end != cell and cost is not None}
        if not others:
            continue
        least, most = min(others.values()), max(others.values())
        near = id_words(end for end, cost in others.items() if cost == least)
        out.append(f"{cell:>6}  {least} to {near}" + (f", at most {most}" if most > least else ""))
    return out
