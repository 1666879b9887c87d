"""Memory of confidential guests: guest_memfd (Linux 6.8), which KVM backs private memory with.

It is in no numa_maps and in no resident size until it is mapped (Linux 6.18). The one place that reports it by node is
the control group that it is charged to: in version 2 it is the file pages that are on no list of the page cache, in
version 1 ``unevictable``. That there is any is known from the descriptors of the process.
"""

from __future__ import annotations

from ...errors import FactError
from .. import text
from ..cgroups import by_node, directories, mounts
from .files import GONE, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cgroups import Held, Mount
    from ..source import Source
    from .files import ProcessFiles

LINK = "anon_inode:[kvm-gmem]"
MEMINFO = "proc/meminfo"
# Counters of each cpu's own are added to those of the machine in batches.
SLACK = 1 << 20


class GuestMemory:
    """Looks for guest_memfd, and for where it is."""

    def __init__(self, files: ProcessFiles, source: Source) -> None:
        self._files = files
        self._source = source
        self._unevictable: int | None = None
        self._possible: bool | None = None
        self._mounted: list[Mount] | None = None

    def seen(self, process: int) -> bool | None:
        """Whether a process has any; None if its descriptors may not be looked at."""
        if not self._on_this_machine():
            return False
        names = self._files.reader.listdir(f"proc/{process}/fd")
        if isinstance(names, int):
            # Not recorded, or the process has ended; all else is a refusal.
            return False if names in GONE else None
        return any(self._files.reader.readlink(f"proc/{process}/fd/{number}") == LINK for number in numbers(names))

    def _on_this_machine(self) -> bool:
        """Whether there may be any: it is unevictable, and not because somebody locked it."""
        if self._possible is None:
            content = self._source.reader.read((MEMINFO,))[0]
            self._possible = True
            if isinstance(content, bytes):
                try:
                    unevictable, locked = text.fields(MEMINFO, content, (b"Unevictable", b"Mlocked"))
                except FactError:
                    unevictable = locked = None
                if unevictable is not None and locked is not None:
                    self._unevictable = (unevictable - locked) << 10
                    self._possible = self._unevictable > SLACK
        return self._possible

    def charged(self, held: Held, *, locked: int, slack: int) -> dict[int, int] | None:
        """Bytes by node of a group (v2) that is one process's own; None where the figures do not agree.

        Pages of files that the process has locked (``locked`` bytes) look the same.
        """
        total = sum(held.unlisted.values())
        if locked or not total or total > sum(held.unevictable.values()) + slack + total // 64:
            return None
        return dict(held.unlisted)

    def is_all(self, size: int, *, slack: int) -> bool:
        """Whether there is no more of it on this machine, charged to any group, than so many bytes."""
        return self._unevictable is not None and self._unevictable <= size + slack + size // 64

    def charged_v1(self, process: int, own: Mapping[str, str], *, locked: int, page_kb: int) -> dict[int, int] | None:
        """Bytes by node of the process's group of version 1, if it is alone there; None where that is not known."""
        if self._mounted is None:
            self._mounted = mounts(self._source, ("cgroup",))
        directory = next(iter(directories(self._mounted, own, "memory")), None)
        if directory is None or locked:
            return None
        members, numa_stat, stat = self._source.read(
            [f"{directory}/{name}" for name in ("cgroup.procs", "memory.numa_stat", "memory.stat")]
        )
        if members is None or numa_stat is None or stat is None or members.split() != [str(process).encode()]:
            return None
        line = next((line for line in numa_stat.split(b"\n") if line.startswith(b"unevictable=")), b"")
        by_nodes = self._source.parsed(by_node, f"{directory}/memory.numa_stat", line) or {}
        found = {node: pages * page_kb << 10 for node, pages in by_nodes.items()}
        figures = _figures(stat)
        if not found or not figures.keys() >= {b"cache", b"shmem", b"active_file", b"inactive_file"}:
            return None
        other = figures[b"shmem"] + figures[b"active_file"] + figures[b"inactive_file"]
        unlisted, total = figures[b"cache"] - other, sum(found.values())
        return found if abs(unlisted - total) <= SLACK + total // 64 else None


def _figures(stat: bytes) -> Mapping[bytes, int]:
    """``name number`` lines."""
    rows = (line.split() for line in stat.split(b"\n"))
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
