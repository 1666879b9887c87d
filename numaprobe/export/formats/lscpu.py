"""A host as the columns of ``lscpu -p=CPU,CORE,SOCKET,NODE``: online cpus, and numbers instead of ids.

lscpu counts cores and sockets in the order in which their first cpu comes; nodes keep their ids. What it does not know
it leaves empty.
"""

from __future__ import annotations

from ..cores import online

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from ...model.host import Host


def render(host: Host) -> str:
    """A comment that names the columns, then a line for each cpu that is not known to be offline."""
    cores: dict[Hashable, int] = {}
    sockets: dict[Hashable, int] = {}
    lines = [
        "# Online cpus; cores and sockets are counted from 0, nodes are ids, empty is unknown.",
        "# CPU,Core,Socket,Node",
    ]
    for cpu in online(host):
        core = "" if cpu.siblings is None else str(cores.setdefault(cpu.siblings, len(cores)))
        # Books of s390 number their sockets anew.
        place = (cpu.drawer, cpu.book, cpu.package)
        socket = "" if cpu.package is None else str(sockets.setdefault(place, len(sockets)))
        lines.append(f"{cpu.id},{core},{socket},{'' if cpu.cell is None else cpu.cell}")
    return "\n".join(lines) + "\n"
