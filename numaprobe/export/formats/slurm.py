"""A host as a node's line of slurm.conf, the one that ``slurmd -C`` prints there.

Slurm's model is one number each of sockets, cores per socket and threads per core. ``CPUs`` is all that is said where
it is unknown which cpus share a core, and where sockets or cores differ so that the product is not the number of cpus:
slurmd rounds down then, and slurmctld resets ``CPUs`` to the smaller product. slurmd takes hwloc's groups (cells
smaller or larger than a package, books) for boards and divides its sockets by them; here there is one board.
"""

from __future__ import annotations

import re

from ..cores import cores, online

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host

# NodeName=DEFAULT gives what is in the line to every node named after it (slurm.conf(5)).
DEFAULT = "DEFAULT"


def render(host: Host, *, name: str | None = None) -> str:
    """One line; ``RealMemory`` in MiB is left out if a cell's memory is unknown.

    Raises ``ValueError`` for a name that the file cannot hold, and a host whose cpus are unknown.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"a node's name has letters, digits, dots and dashes, not {name!r}")
    cpus = online(host)
    if not cpus:
        raise ValueError("Slurm requires the number of CPUs, and the host's CPUs are unknown")
    words: dict[str, object] = {"NodeName": DEFAULT if name is None else name, "CPUs": len(cpus), "Boards": 1}
    found = cores(cpus)
    if sum(len(members) for members in found) == len(cpus):
        # Where no cpu has a package slurmd counts one, and so does Slurm without the word.
        packages = len({(cpu.drawer, cpu.book, cpu.package) for cpu in cpus if cpu.package is not None}) or 1
        each, threads = max(1, len(found) // packages), len(cpus) // len(found)
        if packages * each * threads == len(cpus):
            words |= {"SocketsPerBoard": packages, "CoresPerSocket": each, "ThreadsPerCore": threads}
    sizes = [cell.memory.total for cell in host.cells]
    if sizes and None not in sizes:
        words["RealMemory"] = sum(size or 0 for size in sizes) >> 20
    return " ".join(f"{word}={value}" for word, value in words.items()) + "\n"
