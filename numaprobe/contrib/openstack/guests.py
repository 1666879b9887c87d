"""What the guests that run on a host hold of its cells, in the units of the ledger."""

from __future__ import annotations

import uuid

from ...named import namedtuple
from ...placement.guests import label
from ...wording import size as size_of
from .tree import MEMORY, MIB, PCPU, VCPU, usable_cpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numaprobe import Domain, Host

    from .members import Member
    from .tree import Tree

    # By cell, then by resource class.
    Amounts = dict[int, dict[str, int]]


class Holding(namedtuple("Holding", "consumer name amounts")):
    """What one guest holds: ``amounts`` by cell and resource class, under its ``consumer`` in the ledger."""

    __slots__ = ()
    consumer: str
    name: str
    amounts: Amounts


class Held(namedtuple("Held", "holdings kept notes")):
    """The guests of a host: what is known by cell, and MiB by cell ``kept`` back for what may lie there.

    ``notes`` say for whom.
    """

    __slots__ = ()
    holdings: tuple[Holding, ...]
    kept: dict[int, int]
    notes: tuple[str, ...]


def consumer_of(domain: Domain, root: str, elsewhere: Collection[str] = ()) -> str:
    """The guest's uuid; one derived from the host and its name where it has none, or another host holds it."""
    try:
        own = uuid.UUID(domain.uuid or "")
    except ValueError:
        own = uuid.UUID(int=0)
    if own.int and str(own) not in elsewhere:
        return str(own)
    word = str(own) if own.int else domain.name or domain.id
    return str(uuid.uuid5(uuid.UUID(root), f"guest:{word}"))


def held_by_guests(
    member: Member,
    tree: Tree,
    *,
    known: Mapping[str, Mapping[int, Mapping[str, int]]],
    elsewhere: Collection[str] = (),
) -> Held:
    """What the guests of a host hold.

    ``known`` is what the ledger has of each consumer: a guest that was claimed in huge pages still has those, which no
    source reports. ``elsewhere`` are consumers that another host holds, as while a guest is being moved.
    """
    host, kept, notes = member.host, {cell.id: 0 for cell in member.host.cells}, []
    classes = {name for cell in tree.cells for name in cell.inventories}
    cpu_class = PCPU if PCPU in classes else VCPU
    holdings = []
    for domain in member.guests or ():
        consumer = consumer_of(domain, tree.uuid, elsewhere)
        if domain.uuid in elsewhere:
            notes.append(f"guest {label(domain)}: another host holds its uuid; held here as {consumer}")
        amounts: Amounts = {}
        memory, anywhere, cells = _memory(domain, host)
        if anywhere is None:
            notes.append(
                f"guest {label(domain)}: its memory is unknown, and all memory of {_cells(cells)} is kept back"
            )
        elif anywhere:
            notes.append(
                f"guest {label(domain)}: {size_of(anywhere)} may be on any of {_cells(cells)}; kept back in each"
            )
        for cell in cells:
            size = host.cell(cell).memory.total or 0
            kept[cell] += -(-(size if anywhere is None else anywhere) // MIB)
        claimed = known.get(consumer, {})
        for cell, size in memory.items():
            huge = [name for name in claimed.get(cell, ()) if name not in (MEMORY, VCPU, PCPU)]
            if size:
                amounts.setdefault(cell, {})[huge[0] if huge else MEMORY] = -(-size // MIB)
        vcpus = _vcpus(domain, host)
        if vcpus is None:
            notes.append(f"guest {label(domain)}: how many vcpus it has is unknown, and none is counted")
        for cell, count in (vcpus or {}).items():
            amounts.setdefault(cell, {})[cpu_class] = count
        if amounts:
            holdings.append(Holding(consumer, label(domain), amounts))
    return Held(tuple(holdings), kept, tuple(notes))


def _cells(cells: Collection[int]) -> str:
    from ...wording import cells as words

    return words(cells)


def _memory(domain: Domain, host: Host) -> tuple[dict[int, int], int | None, tuple[int, ...]]:
    """Bytes by cell; bytes that may be on any of some cells, None if nobody knows how many; and those cells."""
    every = tuple(cell.id for cell in host.cells)
    bound = domain.affinity.cells
    may = every if not bound else tuple(cell for cell in bound if cell in every) or every
    if domain.memory is None and domain.maximum is None:
        return {}, None, may
    if domain.memory is None and domain.kind in ("pv", "hvm"):
        return {}, None, may
    held = domain.memory or 0
    # Xen builds a domain with all its memory, and its maximum is a limit to balloon up to.
    whole = held + (domain.claimed or 0) if domain.kind in ("pv", "hvm") else max(held, domain.maximum or 0)
    nodes = domain.guest_cells or ()
    if nodes and all(node.memory and node.cells and len(node.cells) == 1 for node in nodes):
        by_node: dict[int, int] = {}
        for node in nodes:
            assert node.cells is not None
            by_node[node.cells[0]] = by_node.get(node.cells[0], 0) + (node.memory or 0)
        if set(by_node) <= set(every):
            return by_node, max(0, whole - sum(by_node.values())), may
    if len(may) == 1 and domain.cells is None:
        return {may[0]: whole}, 0, ()
    memory = {cell: size for cell, size in domain.cells or () if size and cell in every}
    rest = whole - sum(memory.values())
    if rest > 0 and len(may) == 1:
        memory[may[0]] = memory.get(may[0], 0) + rest
        rest = 0
    return memory, max(0, rest), may if rest > 0 else ()


def _vcpus(domain: Domain, host: Host) -> dict[int, int] | None:
    """Vcpus by cell: those that may run in several cells count in each by its part of the CPUs. None if unknown."""
    usable = {cpu.id: cpu.cell for cpu in host.cpus if usable_cpu(cpu) and cpu.cell is not None}
    affinity = domain.affinity.cpus
    each = [vcpu for vcpu in domain.each_vcpu or () if vcpu.online is not False]
    if not each and domain.vcpus is None:
        return None
    sets = [vcpu.cpus or affinity for vcpu in each] or [affinity] * (domain.vcpus or 0)
    if domain.id == 0 and domain.kind in ("pv", "hvm"):
        # The control domain's vcpus are the host's own work, unless somebody gave them CPUs.
        sets = [cpus for cpus in sets if cpus is not None and set(cpus) < set(usable)]
    shares: dict[int, float] = {}
    for cpus in sets:
        cells = [usable[cpu] for cpu in (usable if cpus is None else cpus) if cpu in usable] or list(usable.values())
        for cell in cells:
            shares[cell] = shares.get(cell, 0.0) + 1 / len(cells)
    out = {cell: int(share + 1e-9) for cell, share in shares.items()}
    rest = round(sum(shares.values())) - sum(out.values())
    for cell in sorted(shares, key=lambda cell: (int(shares[cell] + 1e-9) - shares[cell], cell))[:rest]:
        out[cell] += 1
    return {cell: count for cell, count in out.items() if count}
