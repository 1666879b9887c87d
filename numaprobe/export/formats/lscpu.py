"""A host as the columns of ``lscpu -p``: online cpus, and numbers instead of ids.

They are CPU, CORE, SOCKET and NODE and, where caches are known, an empty column and one for each kind of cache. lscpu
numbers cores and sockets in the order of their first cpu, and so the caches that have no id; nodes keep their ids.
Unknown values are empty.
"""

from __future__ import annotations

from ..cores import online

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from ...model.host import Host

LETTERS = {"data": "d", "instruction": "i"}


def render(host: Host) -> str:
    """A comment that names the columns, then a line for each cpu that is not known to be offline."""
    cores: dict[Hashable, int] = {}
    sockets: dict[Hashable, int] = {}
    caches = _caches(host)
    lines = [
        "# Online cpus; cores and sockets are counted from 0, nodes are ids, empty is unknown.",
        ",".join(["# CPU,Core,Socket,Node", *([""] if caches else []), *caches]),
    ]
    for cpu in online(host):
        core = "" if cpu.siblings is None else str(cores.setdefault(cpu.siblings, len(cores)))
        # Books of s390 number their sockets anew.
        place = (cpu.drawer, cpu.book, cpu.package)
        socket = "" if cpu.package is None else str(sockets.setdefault(place, len(sockets)))
        node = "" if cpu.cell is None else str(cpu.cell)
        numbers = [str(column.get(cpu.id, "")) for column in caches.values()]
        lines.append(",".join([str(cpu.id), core, socket, node, *([""] if caches else []), *numbers]))
    return "\n".join(lines) + "\n"


def _caches(host: Host) -> dict[str, dict[int, int]]:
    """Number of each cpu's cache by the cache's name, ``L1d``."""
    found: dict[str, dict[int, int]] = {}
    counts: dict[str, int] = {}
    for cache in host.caches or ():
        name = f"L{cache.level}{LETTERS.get(str(cache.type), '')}"
        number = counts.get(name, 0) if cache.id is None else cache.id
        counts[name] = counts.get(name, 0) + 1
        for cpu in cache.cpus:
            found.setdefault(name, {})[cpu] = number
    return found
