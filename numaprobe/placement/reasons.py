"""Why a set of cells was chosen, why others were not, and what the nearest miss lacks."""

from __future__ import annotations

from itertools import islice

from ..errors import DoesNotFit
from ..wording import cells, count, size
from .plan import Rejected
from .ranking import EXACT, mean_cost, ranker, smaller_sets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .allocate import Share
    from .candidates import Candidates


def shortage(field: Candidates, chosen: Sequence[int]) -> str | None:
    """What a set lacks, ``512 MiB and 2 cpus``; None for one that fits."""
    missing = _missing(field, chosen)
    words = []
    if missing[0] > 0:
        pages = field.request.huge_page
        words.append(size(missing[0]) + (f" in huge pages of {size(pages)}" if pages else ""))
    if missing[1] > 0:
        words.append(count(missing[1], "free core" if field.request.cores else "cpu"))
    if not words and not field.fits(chosen):
        return "the shares to be had of it are too uneven"
    return " and ".join(words) or None


def _missing(field: Candidates, chosen: Sequence[int]) -> tuple[int, int]:
    """Bytes and cpus that a set is short of; for equal shares, what its cells are short of each, summed."""
    if field.shares is None:
        return (
            field.need - sum(field.memory[i] for i in chosen),
            field.request.vcpus - sum(field.cpus[i] for i in chosen),
        )
    by_memory = sorted((field.memory[i] for i in chosen), reverse=True)
    by_cpus = sorted((field.cpus[i] for i in chosen), reverse=True)
    return (
        sum(max(0, part[1] - got) for part, got in zip(field.shares, by_memory, strict=False)),
        sum(max(0, part[0] - got) for part, got in zip(field.shares, by_cpus, strict=False)),
    )


def does_not_fit(field: Candidates) -> DoesNotFit:
    """The error for a request that fits nowhere: the nearest miss first, then what was left out and why."""
    n, request = len(field.ids), field.request
    wanted = len(field.shares) if field.shares is not None else min(n, request.max_cells or n)
    reasons = []
    if not n:
        reasons.append("no cell may be used")
    elif field.shares is not None and wanted > n:
        reasons.append(f"{count(wanted, 'cell')} wanted, and only {n} may be used")
    else:
        near = _nearest(field, wanted)
        short = shortage(field, near)
        if wanted == 1:
            reasons.append(f"cell {field.ids[near[0]]} lacks {short}")
        elif short is not None and field.shares is None:
            one = _nearest(field, 1)
            reasons.append(f"{cells(field.ids[i] for i in near)} together lack {short}")
            reasons.append(f"cell {field.ids[one[0]]} alone lacks {shortage(field, one)}")
        else:
            reasons.append(f"{cells(field.ids[i] for i in near)}: {short or f'no {wanted} of the cells hold it'}")
    for cell, why in sorted(field.out.items()):
        reasons.append(f"cell {cell} {why}")
    for room in field.rooms:
        for note in room.notes:
            reasons.append(f"cell {room.id}: {note}")
    return DoesNotFit(*reasons, *field.stock.notes)


def _nearest(field: Candidates, wanted: int) -> tuple[int, ...]:
    """The set of so many cells that comes nearest, by the larger of both shortages relative to what is asked."""
    n = len(field.ids)

    def short(i: int) -> tuple[float, int]:
        got = min(field.memory[i] / field.need, 1.0) + min(field.cpus[i] / field.request.vcpus, 1.0)
        return -got, i

    if wanted == 1:
        return (min(range(n), key=lambda i: (_relative(field, (i,)), i)),)
    return tuple(sorted(sorted(range(n), key=short)[:wanted]))


def _relative(field: Candidates, chosen: tuple[int, ...]) -> float:
    memory, cpus = _missing(field, chosen)
    return max(0.0, memory / field.need) + max(0.0, cpus / field.request.vcpus)


def rejected(field: Candidates, chosen: tuple[int, ...], most: int) -> tuple[Rejected, ...]:
    """Other sets in the order they were tried, up to ``most``, each with the first thing that spoke against it."""
    out = [Rejected((cell,), why) for cell, why in sorted(field.out.items())][:most]
    rank = ranker(field)
    mine = rank(chosen)
    labels = ("", "more vcpus would share a core", "less of it on one cell")
    for other in islice(smaller_sets(field, len(chosen)), most + 1):
        if len(out) >= most:
            break
        if other == chosen:
            continue
        ids = tuple([field.ids[i] for i in other])
        short = shortage(field, other)
        if short is not None:
            out.append(Rejected(ids, f"lacks {short}"))
            continue
        if _dearer(field, other, chosen):
            out.append(Rejected(ids, f"an access costs {mean_cost(field, other):g}, not {mean_cost(field, chosen):g}"))
            continue
        if near := _farther(field, other, chosen):
            out.append(Rejected(ids, near))
            continue
        theirs = rank(other)
        place = next(i for i, (a, b) in enumerate(zip(theirs, mine, strict=True)) if a != b)
        if place == 0:
            why = f"{theirs[0]} apart at worst, not {mine[0]}"
        elif place < len(labels):
            why = labels[place]
        elif other > chosen and place == len(mine) - 1:
            why = "as good, with higher ids"
        else:
            why = f"policy {field.request.policy}"
        out.append(Rejected(ids, why))
    return tuple(out)


def _dearer(field: Candidates, other: tuple[int, ...], chosen: tuple[int, ...]) -> bool:
    """Whether the mean cost alone, between sets of any size, speaks against a set."""
    return field.request.nearest and len(other) != len(chosen)


def _farther(field: Candidates, other: tuple[int, ...], chosen: tuple[int, ...]) -> str | None:
    if field.near is not None:
        mine, theirs = (sum(field.near[i][1] for i in one) / len(one) for one in (chosen, other))
        if theirs > mine:
            return f"farther from {_listed(field.request.near)}: {theirs:g}, not {mine:g}"
    if len(chosen) > 1:
        mine, theirs = (_apart(field, one) for one in (chosen, other))
        if theirs > mine:
            return f"{theirs:g} apart on average, not {mine:g}"
    return None


def _apart(field: Candidates, chosen: tuple[int, ...]) -> float:
    pairs = [field.costs[i][j] for i in chosen for j in chosen if i != j]
    return sum(pairs) / len(pairs)


def reasons_for(field: Candidates, chosen: tuple[int, ...], parts: Sequence[Share]) -> tuple[str, ...]:
    """Sentences for the set that was chosen."""
    request, stock = field.request, field.stock
    ids = [field.ids[i] for i in chosen]
    got = size(sum(field.memory[i] for i in chosen))
    cpus = count(sum(field.cpus[i] for i in chosen), "whole core" if request.cores else "cpu")
    out = []
    if field.shares is not None and len(chosen) > 1:
        out.append(f"{cells(ids)}: {len(chosen)} wanted, each with an equal share; {got} and {cpus} to be had")
    elif len(chosen) == 1:
        out.append(f"{cells(ids)} alone is enough: {got} and {cpus} to be had")
    else:
        fewest = "the fewest that fit" if len(field.ids) <= EXACT else "the fewest found to fit"
        if request.nearest:
            fewest = "the nearest that fit"
        out.append(f"{cells(ids)}: {len(chosen)} are {fewest}; {got} and {cpus} to be had")
    if len(chosen) > 1 and stock.known_distances:
        worst = max(field.costs[i][j] for i in chosen for j in chosen if i != j)
        out.append(f"they are {_apart(field, chosen):g} apart on average and {worst} at worst")
    if not stock.known_distances and len(stock.rooms) > 1:
        out.append("not all distances are known; those that are not come last")
    if request.near:
        if field.near is None:
            out.append(f"the cell of {_listed(request.near)} is not known, so it was not considered")
        else:
            out.append(f"{_listed(request.near)} is {min(field.near[i] for i in chosen)[0]} away")
    bare = [part.cell for part in parts if not part.vcpus]
    if bare:
        out.append(f"{cells(bare)}: memory alone")
    out += stock.notes
    return tuple(out)


def _listed(near: Sequence[str | int]) -> str:
    return " and ".join([f"cell {one}" if isinstance(one, int) else one for one in near])
