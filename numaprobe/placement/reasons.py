"""Why a set of cells was chosen, why others were not, and what is missing where nothing fits."""

from __future__ import annotations

from ..errors import DoesNotFit
from ..wording import cells, count, id_list, size
from .access import expected_cost, for_cores
from .candidates import without_cpus
from .plan import Rejected
from .ranking import BURDEN, CROWDS, DISPLACES, STRADDLES, ranker, smaller_sets
from .rooms import LENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .allocate import Share
    from .candidates import Candidates
    from .plan import Repin

# Names of running guests that one sentence gives.
MAX_NAMES = 3


def shortage(field: Candidates, chosen: Sequence[int]) -> str | None:
    """What a set is missing, ``512 MiB and 2 CPUs``; None for one that fits."""
    missing = _missing(field, chosen)
    request = field.request
    words = []
    if missing[0]:
        pages = request.huge_page
        words.append(size(missing[0]) + (f" in huge pages of {size(pages)}" if pages else ""))
    if missing[1]:
        words.append(count(missing[1], "free core" if request.smt in ("isolate", "avoid") else "CPU"))
    if not words and not field.fits(chosen):
        return "equal shares: its free memory and CPUs cannot be split that evenly"
    return " and ".join(words) or None


def _missing(field: Candidates, chosen: Sequence[int]) -> tuple[int, int]:
    """Bytes and CPUs that a set is missing; for equal shares, what its cells are missing of each, summed."""
    if field.shares is None:
        return (
            max(0, field.need - sum(field.memory[i] for i in chosen)),
            max(0, field.request.vcpus - field.runs(chosen)),
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
    if field.blocked is not None:
        reasons.append(field.blocked)
    elif not n:
        reasons.append("no cell may be used")
    elif field.shares is not None and wanted > n:
        reasons.append(f"{count(wanted, 'cell')} are needed, and only {n} may be used")
    else:
        near = _nearest(field, wanted)
        short = shortage(field, near)
        if wanted == 1:
            reasons.append(f"cell {field.ids[near[0]]} is missing {short}{_reserved(field, near)}")
        elif short is not None and field.shares is None:
            one = _nearest(field, 1)
            where = cells(field.ids[i] for i in near)
            reasons.append(f"{where} together are missing {short}{_reserved(field, near)}")
            reasons.append(f"cell {field.ids[one[0]]} alone is missing {shortage(field, one)}")
        elif short is not None:
            where = cells(field.ids[i] for i in near)
            reasons.append(f"{where} are missing {short}{_reserved(field, near)}")
        else:
            reasons.append(f"no {wanted} of the cells hold it together")
    for cell, why in sorted(field.out.items()):
        reasons.append(f"cell {cell} {why}")
    for room in field.rooms:
        if field.request.vfio and room.pinnable is not None and room.pinnable < room.memory:
            held = size(max(0, room.pinnable))
            reasons.append(f"cell {room.id}: {held} of its memory may be pinned (outside ZONE_MOVABLE)")
        if request.smt in ("isolate", "avoid", "require") and not room.cores_known:
            reasons.append(f"cell {room.id}: which of its CPUs share a core is unknown")
        for note in room.notes:
            reasons.append(f"cell {room.id}: {note}")
    return DoesNotFit(*reasons, *field.stock.notes)


def _reserved(field: Candidates, chosen: Sequence[int]) -> str:
    """That the reserve is what is missing, where it is."""
    missing = _missing(field, chosen)[0]
    kept = sum([field.rooms[i].reserve for i in chosen])
    if field.request.huge_page is not None or not missing or missing > kept:
        return ""
    return f"; {size(kept)} there {'is' if len(chosen) == 1 else 'are'} kept back as reserve"


def _nearest(field: Candidates, wanted: int) -> tuple[int, ...]:
    """The set of that many cells with the smallest shortages of memory and CPUs, relative to what is requested."""
    n = len(field.ids)

    def short(i: int) -> tuple[float, int]:
        got = min(field.memory[i] / field.need, 1.0) + min(field.cpus[i] / field.request.vcpus, 1.0)
        return -got, i

    if wanted == 1:
        return (min(range(n), key=lambda i: (_relative(field, (i,)), i)),)
    return tuple(sorted(sorted(range(n), key=short)[:wanted]))


def _relative(field: Candidates, chosen: tuple[int, ...]) -> float:
    memory, cpus = _missing(field, chosen)
    return memory / field.need + cpus / field.request.vcpus


def rejected(field: Candidates, chosen: tuple[int, ...], most: int) -> tuple[Rejected, ...]:
    """Other sets in the order they were tried, up to ``most``, each with the first thing that spoke against it."""
    out = [Rejected(cells=(cell,), reason=why) for cell, why in sorted(field.out.items())][:most]
    rank = ranker(field)
    mine = rank(chosen)
    cost = expected_cost(field, chosen)
    for other in smaller_sets(field, len(chosen)):
        if len(out) >= most:
            break
        if other == chosen:
            continue
        out.append(Rejected(cells=tuple([field.ids[i] for i in other]), reason=_against(field, other, chosen, cost)))
        if out[-1].reason == "":
            out[-1] = out[-1]._replace(reason=_ranked(field, rank(other), mine))
    return tuple(out)


def _against(field: Candidates, other: tuple[int, ...], chosen: tuple[int, ...], cost: float) -> str:
    """What speaks against another set before policies and ids do; empty if nothing does."""
    if len(other) == 1 and not field.rooms[other[0]].full_cpus:
        room, less = field.rooms[other[0]], max(0, field.need - field.memory[other[0]])
        if not room.lends or room.lends_last:
            return without_cpus(room)
        return f"is missing {size(less)}" if less else LENT
    short = shortage(field, other)
    if short is not None:
        return f"is missing {short}" if len(other) == 1 else f"are missing {short}"
    if for_cores(field, chosen) and len(other) < len(chosen):
        return f"has {_idle(field, other)} free cores for {field.request.vcpus} vcpus"
    if field.near is not None:
        mine, theirs = (min(field.near[i] for i in one) for one in (chosen, other))
        if theirs > mine:
            return f"farther from {_listed(field.request.near)}: {theirs[0]}, not {mine[0]}"
    theirs_cost = expected_cost(field, other)
    if theirs_cost > cost * (1 + 1e-12):
        return f"an access costs {theirs_cost:.4g}, not {cost:.4g}"
    if field.request.fewest and len(chosen) > 1:
        mine_apart, theirs_apart = (_apart(field, one) for one in (chosen, other))
        if theirs_apart > mine_apart:
            return f"{theirs_apart:g} apart on average, not {mine_apart:g}"
    return ""


def _ranked(field: Candidates, theirs: tuple[object, ...], mine: tuple[object, ...]) -> str:
    place = next(i for i, (a, b) in enumerate(zip(theirs, mine, strict=True)) if a != b)
    if place == len(mine) - 1:
        return "as good, with higher ids" if theirs > mine else "as good"
    return {
        STRADDLES: "its CPUs would be in several caches",
        DISPLACES: "running guests that float would have to give way",
        CROWDS: "more vcpus would share a core",
        BURDEN: "more vcpus float there",
    }.get(place) or {
        "pack": "more would be left on it: the fullest is filled first, which keeps room for large guests",
        "balance": "its memory or its CPUs would be more in demand",
        "spread": "it is fuller",
    }[field.request.policy]


def _apart(field: Candidates, chosen: tuple[int, ...]) -> float:
    pairs = [field.costs[i][j] for i in chosen for j in chosen if i != j]
    return sum(pairs) / len(pairs)


def _idle(field: Candidates, chosen: Sequence[int]) -> int:
    """Whole cores of a set that nobody runs on."""
    return sum([max(0, int(field.rooms[i].idle - field.rooms[i].load)) for i in chosen])


def reasons_for(
    field: Candidates, chosen: tuple[int, ...], parts: Sequence[Share], repin: Sequence[Repin]
) -> tuple[str, ...]:
    """Sentences for the set that was chosen."""
    request, stock = field.request, field.stock
    ids = [field.ids[i] for i in chosen]
    got = size(sum(field.memory[i] for i in chosen))
    cpus = count(field.runs(chosen), "whole core" if request.smt in ("isolate", "avoid") else "CPU")
    out = []
    if field.shares is not None and len(chosen) > 1:
        out.append(f"{cells(ids)}: {len(chosen)} cells with an equal share each; {got} and {cpus} available")
    elif len(chosen) == 1:
        out.append(f"{cells(ids)} is large enough on its own: {got} and {cpus} available")
    elif not for_cores(field, chosen):
        why = "the fewest that hold it" if request.fewest else "where an access costs least"
        out.append(f"{cells(ids)}: {why}; {got} and {cpus} available")
    out += _cores(field, chosen)
    if len(chosen) > 1 and stock.known_distances:
        worst = max(field.costs[i][j] for i in chosen for j in chosen if i != j)
        out.append(f"they are {_apart(field, chosen):g} apart on average and {worst} at worst")
    if not stock.known_distances and len(stock.rooms) > 1:
        out.append("not all distances are known; those that are not rank last")
    if request.near:
        if field.near is None:
            out.append(f"the cell of {_listed(request.near)} is not known, so it was not considered")
        else:
            out.append(f"{_listed(request.near)} is {min(field.near[i] for i in chosen)[0]} away")
    bare = [part.cell for part in parts if not part.vcpus]
    if bare:
        out.append(f"{cells(bare)}: memory alone")
    out += _uneven(field, parts)
    if repin:
        names = ", ".join([one.name or str(one.domain) for one in repin[:MAX_NAMES]])
        more = f" and {len(repin) - MAX_NAMES} more" if len(repin) > MAX_NAMES else ""
        out.append(
            f"{names}{more} {'floats' if len(repin) == 1 else 'float'} on CPUs that are taken: re-pin to the rest"
        )
    out += stock.notes
    return tuple(out)


def _cores(field: Candidates, chosen: tuple[int, ...]) -> list[str]:
    """What the default does about threads: several cells for their cores, or one with vcpus that share cores."""
    request = field.request
    if request.smt is not None or field.shares is not None:
        return []
    label, idle = count(request.vcpus, "vcpu"), _idle(field, chosen)
    if for_cores(field, chosen):
        most = max([_idle(field, (i,)) for i in chosen])
        where = cells(field.ids[i] for i in chosen)
        return [f"{label} on {count(idle, 'free core')} of {where}; one cell has {most} at most"]
    if idle >= request.vcpus or all(
        core.whole and len(core.threads) < 2 for i in chosen for core in field.rooms[i].cores
    ):
        return []
    if not all(field.rooms[i].cores_known for i in chosen):
        return ["which CPUs share a core is unknown, so some vcpus may share one"] if request.vcpus > 1 else []
    text = f"{label} on {count(idle, 'free core')}, so some share a core"
    if len(chosen) == 1:
        view = field.counting_cores()
        start = chosen[0]
        for cost, ring in field.table.around(start):
            for i in ring:
                if view.fits((start, i)):
                    both = sorted((field.ids[start], field.ids[i]))
                    return [f"{text}; cells {id_list(both)} have {_idle(field, (start, i))}, {cost} apart"]
    return [text]


def _uneven(field: Candidates, parts: Sequence[Share]) -> list[str]:
    """That Xen takes as much of each cell as of the others until it is empty, the reserve included."""
    reached = [part for part in parts if field.stock.rooms[part.cell].cpus]
    if field.stock.striped and len(reached) < len(parts) and field.shares is None and field.request.huge_page is None:
        kept = sum([field.stock.rooms[part.cell].reserve for part in reached])
        where = cells(part.cell for part in reached)
        return [
            f"Xen empties {where} before it takes memory from other cells, which it chooses itself, so it may take"
            f" up to {size(kept)} more of {where}, the reserve"
        ]
    given = [part for part in parts if part.memory]
    if not field.stock.striped or field.shares is not None or len(given) < 2 or field.request.huge_page is not None:
        return []
    least = min(given, key=lambda part: part.memory)
    reserve = field.stock.rooms[least.cell].reserve
    if max(part.memory for part in given) - least.memory <= field.request.granule or not reserve:
        return []
    return [
        f"Xen deals memory out evenly until a cell is empty, so it may take up to {size(reserve)}"
        f" more of cell {least.cell}, its reserve"
    ]


def _listed(near: Sequence[str | int]) -> str:
    return " and ".join([f"cell {one}" if isinstance(one, int) else one for one in near])
