"""What a Linux kernel says of its machine, read through a ``Reader`` port into ``LinuxFacts``.

Which files are read is decided here and in the modules beside this one; what they mean is not (see ``build``).
"""

from __future__ import annotations

from .. import text
from ..errors import SourceUnavailable
from . import cpus, nodes
from .facts import LinuxFacts, ZoneFacts
from .source import CPU, NODE, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader


def collect(reader: Reader, *, available: bool = True, devices: bool = False, allowed: bool = False) -> LinuxFacts:
    """Read a host.

    ``available`` reads ``/proc/zoneinfo`` too, whose cost grows with nodes times cpus; ``devices`` the node of every
    PCI device; ``allowed`` what this process may use. Raises ``SourceUnavailable`` if there is neither a node nor a
    cpu to be found, and ``FactError`` for a file that makes no sense.
    """
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
    found_devices = found_allowed = None
    if devices:
        from .devices import collect as collect_devices

        found_devices = collect_devices(source)
    if allowed:
        from .allowed import collect as collect_allowed

        found_allowed = collect_allowed(source)
    return LinuxFacts(
        bool(ids),
        node_facts,
        online,
        possible,
        has_cpu,
        has_memory,
        cpu_facts,
        None if ids else nodes.machine_memory(source),
        () if ids else nodes.huge_pages(source, nodes.HUGE_PAGES, nodes.huge_page_sizes(source, nodes.HUGE_PAGES)),
        zones,
        nodes.tiers(source),
        nodes.kinds(source) if memory_only else {},
        found_devices,
        found_allowed,
        tuple(source.notes),
    )


def _lists(source: Source, *names: str) -> list[tuple[int, ...] | None]:
    return [
        None if content is None else text.ids(f"{NODE}/{name}", content)
        for name, content in zip(names, source.read(names, NODE), strict=True)
    ]
