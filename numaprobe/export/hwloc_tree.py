"""Sets of cpus that nest, as hwloc's tree of objects wants them: none may cross another.

A set of cpus is a whole number, bit N for cpu N.
"""

from __future__ import annotations

from .cores import cores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.host import Cache, Cell, Cpu, Host


class Thing:
    """An object of hwloc's tree: what it is, its online cpus, all its cpus, and the cells that hang on it."""

    __slots__ = ("all_cpus", "cache", "cells", "children", "cpus", "index", "kind", "subtype")

    def __init__(
        self,
        kind: str,
        index: int | None,
        cpus: int,
        all_cpus: int = 0,
        subtype: str | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.kind = kind
        self.index = index
        self.cpus = cpus
        self.all_cpus = all_cpus | cpus
        self.subtype = subtype
        self.cache = cache
        self.children: list[Thing] = []
        self.cells: list[Cell] = []

    def insert(self, new: Thing) -> Thing | None:
        """Put a thing where its cpus belong; of equal ones the later is inside.

        None, and nothing is done, if its cpus cross another's, or it is a core around something else.
        """
        inside = []
        for child in self.children:
            common = child.cpus & new.cpus
            if common == new.cpus:
                return child.insert(new)
            if common == child.cpus:
                inside.append(child)
            elif common:
                return None
        # Hypervisors have been seen to give each thread of a core an L1 of its own.
        if new.kind == "Core" and any(child.cache is None for child in inside):
            return None
        self.children = [child for child in self.children if child not in inside]
        new.children = inside
        self.children.append(new)
        return new

    def around(self, cpus: int) -> Thing:
        """The outermost thing with exactly these cpus, or else the innermost that has them all."""
        if self.cpus != cpus:
            for child in self.children:
                if child.cpus & cpus == cpus:
                    return child.around(cpus)
        return self


def bits(ids: Iterable[int]) -> int:
    """A set of ids."""
    found = 0
    for number in ids:
        found |= 1 << number
    return found


def tree(host: Host, cpus: tuple[Cpu, ...]) -> Thing:
    """The machine with its cells, packages, dies, clusters, caches, cores and online ``cpus``.

    Cells take precedence; a package, die, cache or core that crosses one, or another, is left out, because a tree
    cannot show it.
    """
    root = Thing("Machine", None, bits(cpu.id for cpu in cpus), bits(cpu.id for cpu in host.cpus))
    members: dict[int, int] = {}
    for cell in host.cells:
        members[cell.id] = _members(host, cell, root.cpus)
    localities = _apart(members.values())
    found_cores = _cores(cpus)
    found_caches = _caches(host, root.cpus, found_cores)
    # From the outermost: of two with the same cpus the later is the inner one.
    levels = [
        _level("Group", "Drawer", host, cpus, lambda cpu: (cpu.drawer,)),
        _level("Group", "Book", host, cpus, lambda cpu: (cpu.drawer, cpu.book)),
        _level("Package", None, host, cpus, lambda cpu: (cpu.drawer, cpu.book, cpu.package)),
        _level("Die", None, host, cpus, lambda cpu: (cpu.drawer, cpu.book, cpu.package, cpu.die)),
        found_caches,
        _level("Group", "Cluster", host, cpus, lambda cpu: (cpu.package, cpu.die, cpu.cluster)),
        found_cores,
    ]
    core_sets = {core.cpus for core in found_cores}
    cache_sets = {cache.cpus for cache in found_caches}
    named = {thing.cpus for level in levels for thing in level}
    groups = [
        Thing(
            "Group",
            None,
            cpus,
            bits(cpu.id for cpu in host.cpus if members.get(-1 if cpu.cell is None else cpu.cell, 0) & cpus),
        )
        for cpus in localities
        if cpus not in named and cpus != root.cpus
    ]
    for thing in sorted(groups, key=lambda thing: -thing.cpus.bit_count()):
        root.insert(thing)
    for level in levels:
        for thing in level:
            if not any(_cross(thing.cpus, locality) for locality in localities) and not _idle(
                root, thing, core_sets, cache_sets
            ):
                root.insert(thing)
    for cpu in cpus:
        root.insert(Thing("PU", cpu.id, 1 << cpu.id))
    for cell in host.cells:
        local = members[cell.id]
        whole = next((locality for locality in localities if local and local & locality), 0)
        (root.around(whole) if whole else root).cells.append(cell)
    _order(root, _widen(root) & ~root.cpus)
    return root


def _widen(thing: Thing) -> int:
    """Offline cpus of what is inside are also those of what is around it."""
    for child in thing.children:
        thing.all_cpus |= _widen(child)
    return thing.all_cpus


def _order(thing: Thing, offline: int) -> None:
    """Children by their lowest cpu, offline ones too, as hwloc wants them; an offline cpu is of one child at most."""
    thing.all_cpus = thing.cpus | thing.all_cpus & offline
    seen = twice = 0
    for child in thing.children:
        twice |= seen & child.all_cpus
        seen |= child.all_cpus
    for child in thing.children:
        _order(child, offline & thing.all_cpus & ~twice)
    thing.children.sort(key=lambda child: child.all_cpus & -child.all_cpus)


def _members(host: Host, cell: Cell, online: int) -> int:
    """A cell's online cpus; of a cell that does not say, those of the machine that are in no other."""
    if cell.cpus is not None:
        return bits(cell.cpus) & online
    others = bits(cpu for other in host.cells for cpu in other.cpus or ()) | bits(
        cpu.id for cpu in host.cpus if cpu.cell not in (None, cell.id)
    )
    return online & ~others


def _apart(sets: Iterable[int]) -> list[int]:
    """Sets with nothing in common: those that overlap, by an error of the firmware's, are put together."""
    found: list[int] = []
    for one in sets:
        joined = one
        rest = []
        for other in found:
            if other & joined:
                joined |= other
            else:
                rest.append(other)
        found = [*rest, joined] if joined else rest
    # A set joined late may touch one passed over before.
    return found if all(not a & b for i, a in enumerate(found) for b in found[:i]) else _apart(found)


def _cross(one: int, other: int) -> bool:
    common = one & other
    return common not in (0, one, other)


def _idle(root: Thing, thing: Thing, cores: set[int], caches: set[int]) -> bool:
    """Whether a die or a group would only repeat what is there with the same cpus: hwloc drops such a group."""
    if thing.kind not in ("Die", "Group"):
        return False
    if thing.kind == "Group" and thing.cpus in caches:
        return True
    return root.around(thing.cpus).cpus == thing.cpus or thing.cpus in cores


def _level(kind: str, subtype: str | None, host: Host, cpus: tuple[Cpu, ...], key: _Key) -> list[Thing]:
    """Things of one level: the cpus whose ids are the same, the last of which says that they are known."""
    online: dict[tuple[int | None, ...], int] = {}
    everyone: dict[tuple[int | None, ...], int] = {}
    for cpu in cpus:
        online[key(cpu)] = online.get(key(cpu), 0) | 1 << cpu.id
    for cpu in host.cpus:
        everyone[key(cpu)] = everyone.get(key(cpu), 0) | 1 << cpu.id
    return [
        Thing(kind, place[-1], members, everyone.get(place, 0), subtype)
        for place, members in online.items()
        if place[-1] is not None
    ]


def _caches(host: Host, online: int, cores: list[Thing]) -> list[Thing]:
    """Caches from the last level inwards; those of instructions, of which hwloc has three levels, are innermost.

    One that crosses a core is left out and not the core, by which Slurm and MPI place.
    """
    found = []
    for cache in sorted(host.caches or (), key=lambda cache: (cache.type == "instruction", -cache.level, cache.cpus)):
        members = bits(cache.cpus) & online
        letter, last = ("i", 3) if cache.type == "instruction" else ("", 5)
        if members and 1 <= cache.level <= last and not any(_cross(members, core.cpus) for core in cores):
            found.append(Thing(f"L{cache.level}{letter}Cache", None, members, cache=cache))
    return found


def _cores(cpus: tuple[Cpu, ...]) -> list[Thing]:
    return [Thing("Core", members[0].core, bits(cpu.id for cpu in members)) for members in cores(cpus)]


if TYPE_CHECKING:
    from collections.abc import Callable

    _Key = Callable[[Cpu], tuple[int | None, ...]]
