"""NUMA hint faults of vcpu threads: on which node the memory is that each of them reached last.

With ``numa_balancing`` the kernel unmaps pages now and then and counts, by node, the faults that follow: a sample of a
thread's accesses that decays with time (print_numa_stats of Linux's kernel/sched/debug.c). Memory that is bound without
MPOL_F_NUMA_BALANCING has none.
"""

from __future__ import annotations

from ...errors import FactError
from .. import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..source import Source
    from .facts import ThreadFacts
    from .files import ProcessFiles

BALANCING = "proc/sys/kernel/numa_balancing"
PARTS = (b"task_private", b"task_shared")
LINE = b"numa_faults node="


def collect(
    files: ProcessFiles, found: Mapping[int, tuple[ThreadFacts, ...] | None]
) -> dict[int, tuple[ThreadFacts, ...] | None]:
    """The same threads with their faults by node: a file of each, about 35 µs."""
    more: dict[int, tuple[ThreadFacts, ...] | None] = {}
    for process, threads in found.items():
        if threads is None:
            more[process] = None
            continue
        names = [f"task/{thread.id}/sched" for thread in threads]
        (contents,) = files.each((process,), names) if names else ([],)
        more[process] = tuple(
            [
                thread._replace(faults=files.understood(process, name, content, parse))
                for thread, name, content in zip(threads, names, contents, strict=True)
            ]
        )
    return more


def parse(where: str, content: bytes) -> dict[int, int] | None:
    """Faults by node of ``numa_faults node=1 task_private=3 task_shared=0 group_private=...``; None without a line."""
    found: dict[int, int] | None = None
    for line in content.split(b"\n"):
        if not line.startswith(LINE):
            continue
        words = dict([word.split(b"=", 1) for word in line.split()[1:] if b"=" in word])
        node = words.get(b"node", b"")
        counts = [words.get(part, b"") for part in PARTS]
        if not node.isdigit() or not all(count.isdigit() for count in counts):
            raise FactError(where, line, "not a node and its faults")
        found = found or {}
        found[int(node)] = sum(map(int, counts))
    return found


def balancing(source: Source) -> int | None:
    """``kernel.numa_balancing``: 0 for off; None for a kernel that does not have it."""
    return source.parsed(text.number, BALANCING, source.one(BALANCING))
