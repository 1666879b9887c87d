"""What a Linux kernel says of its machine, read through a ``Reader`` port into ``LinuxFacts``.

Which files are read is decided here and in the modules beside this one; what they mean is not (see ``build``).
"""

from __future__ import annotations

from errno import ESTALE

from ..errors import SourceError, SourceUnavailable
from . import cpus, nodes, text
from .facts import LinuxFacts, ZoneFacts
from .source import CPU, NODE, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader

# Changes that come faster than a host is read so many times come for ever.
TRIES = 8


def collect(
    reader: Reader,
    *,
    available: bool = True,
    devices: bool = False,
    allowed: bool = False,
    caches: bool = False,
) -> LinuxFacts:
    """Read a host.

    ``available`` reads ``/proc/zoneinfo`` too, whose cost grows with nodes times cpus; ``devices`` the node of every
    PCI device; ``allowed`` what this process may use; ``caches`` five files of every cache. A host whose nodes or cpus
    are added or removed meanwhile is read again.
    Raises ``SourceUnavailable`` if there is neither a node nor a cpu to be found, ``FactError`` for a file that makes
    no sense, and ``SourceError`` with ``ESTALE`` for a host that does not stand still.
    """
    for _ in range(TRIES):
        facts = _collected(reader, available=available, devices=devices, allowed=allowed, caches=caches)
        if _same(reader, facts):
            return facts
    raise SourceError(f"{NODE}/online", ESTALE, "nodes or cpus came or went each time that the host was read")


def _same(reader: Reader, facts: LinuxFacts) -> bool:
    """Whether the nodes and cpus that are online are still those of the facts.

    Each file is true at its own moment only: ``distance`` has a column for every node that is online just then
    (node_read_distance of drivers/base/node.c), so that rows read before and after a change do not fit together.
    """
    contents = Source(reader).read((f"{NODE}/online", f"{CPU}/online"))
    return all(
        content is None or text.ids(f"{directory}/online", content) == ids
        for directory, content, ids in zip((NODE, CPU), contents, (facts.nodes_online, facts.cpus.online), strict=True)
        if ids is not None
    )


def _collected(reader: Reader, *, available: bool, devices: bool, allowed: bool, caches: bool) -> LinuxFacts:
    source = Source(reader)
    cpu_facts = cpus.collect(source)
    online, possible = _lists(source, "online", "possible")
    ids = nodes.node_ids(source, online)
    if not ids and not cpu_facts.present:
        raise SourceUnavailable(f"{NODE} and {CPU}", None, "neither a node nor a cpu is there")
    node_facts = nodes.collect(source, ids or ())
    memory_only = any(node.cpus == () for node in node_facts)
    # Two lists that say in short what each node says itself, where it does.
    has_cpu = _lists(source, "has_cpu")[0] if any(node.cpus is None for node in node_facts) else None
    has_memory = _lists(source, "has_memory")[0] if any(node.meminfo is None for node in node_facts) else None
    zones = None
    if available and node_facts:
        content = source.one("proc/zoneinfo")
        if content is not None:
            zones = tuple(map(ZoneFacts._make, text.zones("proc/zoneinfo", content)))
    found_devices = found_allowed = found_caches = None
    if devices:
        from .devices import collect as collect_devices

        found_devices = collect_devices(source)
    if allowed:
        from .allowed import collect as collect_allowed

        found_allowed = collect_allowed(source)
    if caches:
        from .caches import collect as collect_caches

        found_caches = collect_caches(source, cpu_facts.online)
    sizes = () if ids else nodes.huge_page_sizes(source, nodes.HUGE_PAGES)
    return LinuxFacts(
        numa=bool(ids),
        nodes=node_facts,
        cpus=cpu_facts,
        nodes_online=online,
        nodes_possible=possible,
        has_cpu=has_cpu,
        has_memory=has_memory,
        meminfo=None if ids else nodes.machine_memory(source),
        huge_pages=nodes.huge_pages(source, nodes.HUGE_PAGES, sizes),
        zones=zones,
        tiers=nodes.tiers(source),
        kinds=nodes.kinds(source) if memory_only else {},
        devices=found_devices,
        allowed=found_allowed,
        notes=tuple(source.notes),
        caches=found_caches,
    )


def _lists(source: Source, *names: str) -> list[tuple[int, ...] | None]:
    return [
        None if content is None else text.ids(f"{NODE}/{name}", content)
        for name, content in zip(names, source.read(names, NODE), strict=True)
    ]
