"""What a Linux kernel reports about its machine, read through a ``Reader`` port into ``LinuxFacts``.

This module and its neighbours decide which files are read, not what they mean (see ``normalise``).
"""

from __future__ import annotations

from errno import ESTALE

from ..errors import FactError, SourceError, SourceUnavailable
from ..named import namedtuple
from . import cpus, nodes, text
from .facts import LinuxFacts, ZoneFacts
from .kept import agree, agreed, kept
from .meminfo import machine_memory
from .source import CPU, NODE, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader
    from .facts import CpuFacts

# A host that is still changing after this many reads is an error.
TRIES = 8


class _Nodes(namedtuple("_Nodes", "online possible ids nodes")):
    __slots__ = ()
    online: tuple[int, ...] | None
    possible: tuple[int, ...] | None
    ids: tuple[int, ...] | None
    nodes: nodes.Nodes


def collect(
    reader: Reader,
    *,
    available: bool = True,
    devices: bool = False,
    allowed: bool = False,
    caches: bool = False,
    usable: bool = False,
    memory_state: bool = False,
) -> LinuxFacts:
    """Read a host.

    ``available`` reads ``/proc/zoneinfo`` too, whose cost grows with nodes times cpus; ``devices`` the node of every
    PCI device; ``allowed`` what this process may use; ``caches`` five files of every cache; ``usable`` what free memory
    can be used for, which needs the other facts of ``available`` and ``allowed``; ``memory_state`` failed pages and
    memory blocks. If nodes or cpus are added
    or removed during the read, the host is read again. What is unreadable or broken is None and noted.

    Raises ``SourceUnavailable`` if there is neither a node nor a cpu, ``SourceDenied`` or ``SourceError`` where the
    list of nodes, or of online cpus, cannot be read, ``FactError`` where nothing can replace a broken list of online
    cpus, and ``SourceError`` with ``ESTALE`` for a host that keeps changing.
    """
    for _ in range(TRIES):
        source = Source(reader)
        facts = _collected(
            source,
            available=available,
            devices=devices,
            allowed=allowed or usable,
            caches=caches,
            usable=usable,
            memory_state=memory_state,
        )
        whole = not (devices or caches or usable or memory_state) and all(node.meminfo for node in facts.nodes)
        if (whole and agreed(source)) or _same(source, facts):
            agree(source)
            return facts
    raise SourceError(f"{NODE}/online", ESTALE, "nodes or CPUs kept being added or removed while the host was read")


def _same(source: Source, facts: LinuxFacts) -> bool:
    """Whether the nodes and cpus that are online are still those of the facts.

    Each file is true at its own moment only: ``distance`` has a column for every node that is online just then
    (node_read_distance of drivers/base/node.c), so that rows read before and after a change do not fit together.
    """
    for directory, ids in ((NODE, facts.nodes_online), (CPU, facts.cpus.online)):
        path = f"{directory}/online"
        if ids is None or path in source.broken or path in source.failed:
            continue
        (content,) = source.reader.read(("online",), directory)
        if isinstance(content, bytes):
            try:
                if text.id_list(path, content) != ids:
                    return False
            except FactError:
                return False
    return True


def _collected(
    source: Source, *, available: bool, devices: bool, allowed: bool, caches: bool, usable: bool, memory_state: bool
) -> LinuxFacts:
    found_devices = found_allowed = found_caches = found_usable = None
    if allowed:
        from .allowed import collect as collect_allowed

        found_allowed = collect_allowed(source)
    own = (found_allowed and found_allowed.cpus) or ()
    cpu_facts = kept(source, "cpus of a process" if own else "cpus", own, lambda: cpus.collect(source, own))
    fresh = False

    def of_nodes() -> _Nodes:
        nonlocal fresh
        fresh = True
        online, possible = _lists(source, "online", "possible")
        ids = nodes.node_ids(source, online)
        _check(source, cpu_facts, ids)
        return _Nodes(online=online, possible=possible, ids=ids, nodes=nodes.collect(source, ids or ()))

    known = kept(source, "nodes", (), of_nodes, nodes.MOVING)
    online, possible, ids, known_nodes = known
    if fresh:
        node_facts = known_nodes.facts
    else:
        _check(source, cpu_facts, ids)
        node_facts = nodes.collect_again(source, known_nodes)
    memory_only = any(node.cpus == () for node in node_facts)
    # Two lists that say in short what each node says itself, where it does.
    has_cpu = _lists(source, "has_cpu")[0] if any(node.cpus is None for node in node_facts) else None
    has_memory = _lists(source, "has_memory")[0] if any(node.meminfo is None for node in node_facts) else None
    zones = None
    if available and node_facts:
        path = "proc/zoneinfo"
        rows = source.zones_in_pieces(path)
        zones = tuple(map(ZoneFacts._make, rows)) if rows else source.parsed(_zones, path, source.one(path))
    meminfo = machine_memory(source) if available or not ids else None
    if devices:
        from .devices import collect as collect_devices

        found_devices = collect_devices(source, several=len(ids or ()) > 1)
    if caches:
        from .caches import collect as collect_caches

        found_caches = collect_caches(source, cpu_facts.online, cpu_facts.siblings)
    if usable:
        from .usable import collect as collect_usable

        found_usable = collect_usable(source, total_kb=None if meminfo is None else meminfo.total_kb)
    found_failures = found_blocks = None
    if memory_state:
        from .memory_state import blocks, failures

        found_failures, found_blocks = failures(source, ids or ()), blocks(source, ids or ())
    # Initiators without cpus matter only where access is reported by initiator (ACPI HMAT).
    generic = _lists(source, "has_generic_initiator")[0] if any(node.accesses for node in node_facts) else None
    sizes = () if ids else nodes.huge_page_sizes(source, nodes.HUGE_PAGES)
    return LinuxFacts(
        numa=bool(ids),
        nodes=node_facts,
        cpus=cpu_facts,
        nodes_online=online,
        nodes_possible=possible,
        has_cpu=has_cpu,
        has_memory=has_memory,
        meminfo=meminfo,
        huge_pages=nodes.huge_pages(source, nodes.HUGE_PAGES, sizes),
        zones=zones,
        tiers=kept(source, "tiers", (), lambda: nodes.tiers(source)),
        kinds=nodes.kinds(source) if memory_only else {},
        devices=found_devices,
        allowed=found_allowed,
        notes=tuple(source.notes),
        caches=found_caches,
        usable=found_usable,
        generic_initiators=generic,
        failures=found_failures,
        blocks=found_blocks,
    )


def _check(source: Source, cpu_facts: CpuFacts, ids: tuple[int, ...] | None) -> None:
    """Raise if there is neither a node nor a cpu to report."""
    if not cpu_facts.online and (failure := source.failure(f"{CPU}/online") or source.failure(CPU)):
        raise failure
    if not ids and not cpu_facts.present:
        if failure := source.failure(NODE):
            raise failure
        raise SourceUnavailable(f"{NODE} and {CPU}", None, "no node and no cpu was found")


def _zones(where: str, content: bytes) -> tuple[ZoneFacts, ...]:
    found = text.zones(where, content)
    if not found:
        raise FactError(where, content, "contains no zone")
    return tuple(map(ZoneFacts._make, found))


def _lists(source: Source, *names: str) -> list[tuple[int, ...] | None]:
    return [
        source.ids(f"{NODE}/{name}", content) for name, content in zip(names, source.read(names, NODE), strict=True)
    ]
