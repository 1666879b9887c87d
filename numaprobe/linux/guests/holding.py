"""What a process holds on each node, and how that is checked: its own control group, else its numa_maps.

On request a random sample of pages stands in for numa_maps. None of them is believed without the sizes in
``/proc/PID/status``: what these have and no file places is ``unplaced``.
"""

from __future__ import annotations

from functools import partial

from ...named import namedtuple
from ..cgroups import mounts, mounts_in
from . import numa_maps, sampled
from .guest_memfd import GuestMemory
from .status import parse as parse_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..cgroups import Groups, Held, Mount
    from ..source import Source
    from .facts import CommandLine, SampledPart
    from .files import ProcessFiles
    from .status import Status

# Where a mapped file is memory: everything below such a mount.
MEMORY_FILE_SYSTEMS = ("tmpfs", "hugetlbfs", "devtmpfs")
# The kernel keeps resident sizes by cpu and adds them up now and then, in batches of at most this (percpu_counter and
# TASK_RSS_EVENTS_THRESH), and /proc/PID/status may be behind by as much for each of them.
SLACK = 4 << 20


class Holding(namedtuple("Holding", "held unplaced where maps sampled", defaults=(None, None, None, None, ()))):
    """Bytes by node without what is shared with others, bytes whose node is not known, and where that is from.

    ``held`` is None where nothing places any of it, ``unplaced`` where the amount is not known either. ``maps`` are the
    process's mappings, if they were read. ``sampled`` is what an estimate rests on, empty where it was counted.
    """

    __slots__ = ()
    held: dict[int, int] | None
    unplaced: int | None
    where: str | None
    maps: numa_maps.Maps | None
    sampled: tuple[SampledPart, ...]


class Holdings:
    """Finds what processes hold; ``files`` keeps account of what could not be read."""

    def __init__(
        self, files: ProcessFiles, source: Source, groups: Groups, sampling: sampled.Sampling | None = None
    ) -> None:
        self._files = files
        self._source = source
        self._groups = groups
        self._sampling = sampling
        self._memory = GuestMemory(files, source)
        self._places: tuple[str, ...] | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """Where memory file systems are mounted."""
        if self._places is None:
            self._places = _points(mounts(self._source, MEMORY_FILE_SYSTEMS))
        return self._places

    def of(self, pid: int, line: CommandLine | None, own: Mapping[str, str], status: Status | None) -> Holding:
        """What one process holds."""
        if status is not None:
            charged = self._charged(pid, own, status)
            if charged is not None:
                return charged
        parts: tuple[SampledPart, ...] = ()
        if self._sampling is None:
            content = self._files.one(pid, "numa_maps")
            found = None if content is None else self._maps(pid, line, content, status)
        else:
            estimate = self._sample(self._sampling, pid, line, status)
            if estimate is not None and (estimate.parts or not estimate.maps.unplaced):
                found, parts = estimate.maps, estimate.parts
            else:
                found = None
        private = self._memory.seen(pid)
        if private is None:
            self._files.broken(pid, "fd", "cannot be listed: memory of guest_memfd may be missing")
        if found is None:
            return Holding(unplaced=None if private or status is None else status.resident)
        held: dict[int, int] = dict(found.private)
        unplaced: int | None = found.unplaced
        if private is None:
            unplaced = None
        elif private:
            more = self._memory.charged_v1(
                pid, own, locked=0 if status is None else status.locked, page_kb=found.page_kb
            )
            if more is None and status is not None:
                more = self._moved(pid, own, status)
            if more is None:
                self._files.broken(pid, "fd", "has guest_memfd, and no control group of its own to count it")
                unplaced = None
            for node, size in (more or {}).items():
                held[node] = held.get(node, 0) + size
        where = f"proc/{pid}/numa_maps" if self._sampling is None else f"{sampled.CALL} and proc/{pid}/maps"
        return Holding(held=held, unplaced=unplaced, where=where, maps=found, sampled=parts)

    def _charged(self, pid: int, own: Mapping[str, str], status: Status) -> Holding | None:
        """The memory of the process's own group, if it is all that is charged to the group and all of it is."""
        if not self._groups.mounted:
            return None
        for directory in self._groups.of_process(own)[:-1]:  # never the root: it is everybody's
            held, alone = self._groups.held_alone(directory, pid, huge=status.huge > 0)
            if held is None:
                continue
            if not alone or not _agrees(held, status):
                return None
            total = held.by_node()
            private = self._private(pid, held, status)
            if private is None:
                return None
            for node, size in private.items():
                total[node] = total.get(node, 0) + size
            return Holding(held=total, unplaced=0, where=f"{directory}/memory.numa_stat")
        return None

    def _private(self, pid: int, held: Held, status: Status) -> dict[int, int] | None:
        """Memory of guest_memfd by node in a process's own group; None if that is not known."""
        seen = self._memory.seen(pid)
        if seen:
            return self._memory.charged(held, locked=status.locked, slack=SLACK)
        # Pages of files that the process has locked are on no list either.
        unlisted = sum(held.unlisted.values())
        return {} if seen is False or unlisted <= SLACK + status.locked else None

    def _moved(self, pid: int, own: Mapping[str, str], status: Status) -> dict[int, int] | None:
        """The same for a process that is alone in a group it was moved to, with some of its memory charged elsewhere.

        Its guest_memfd may be, too, unless this group has all that there is on the machine.
        """
        for directory in self._groups.of_process(own)[:-1] if self._groups.mounted else ():
            held, alone = self._groups.held_alone(directory, pid, huge=False)
            if held is None:
                continue
            found = self._memory.charged(held, locked=status.locked, slack=SLACK) if alone else None
            return found if found is not None and self._memory.is_all(sum(found.values()), slack=SLACK) else None
        return None

    def private_to_group(self, members: Iterable[int], held: Held) -> dict[int, int] | None:
        """The same for a group of several processes."""
        seen = [self._memory.seen(pid) for pid in members]
        if not any(one is not False for one in seen):
            return {}
        return self._memory.charged(held, locked=0, slack=SLACK)

    def _maps(self, pid: int, line: CommandLine | None, content: bytes, status: Status | None) -> numa_maps.Maps | None:
        """The mappings, with what they do not show of the sizes in status added to ``unplaced``."""
        places = (*self.places, *(line.memory_paths if line is not None else ()))
        found = self._understood(pid, content, places)
        if found is None or status is None or not status.by_kind or not _missing(found, status):
            return found
        # A tmpfs that only the process has: its own mounts name it.
        own = _points(self._own_mounts(pid))
        if not set(own) <= set(places):
            found = self._understood(pid, content, (*places, *own)) or found
        if not (missing := _missing(found, status)):
            return found
        # It may have given memory back between the two files.
        again = self._files.understood(pid, "status", self._files.one(pid, "status"), parse_status)
        if again is not None:
            missing = min(missing, _missing(found, again))
        if missing:
            self._files.broken(pid, "numa_maps", f"does not show {missing >> 10} kB of what status has")
        return found._replace(unplaced=found.unplaced + missing)

    def _own_mounts(self, pid: int) -> list[Mount]:
        content = self._files.one(pid, "mountinfo")
        found = self._files.understood(
            pid, "mountinfo", content, lambda where, table: mounts_in(table, MEMORY_FILE_SYSTEMS, where)
        )
        return found or []

    def _sample(
        self, sampling: sampled.Sampling, pid: int, line: CommandLine | None, status: Status | None
    ) -> sampled.Sampled | None:
        """The estimate from a random sample of pages; None, and the reason is on the account, where there is none."""
        mappings = self._files.understood(pid, "maps", self._files.one(pid, "maps"), sampled.mappings)
        if mappings is None or status is None:
            return None
        if not status.by_kind:
            self._files.broken(pid, "status", "has no RssAnon (Linux 4.5), which a sample needs")
            return None
        mounted = [*mounts(self._source, MEMORY_FILE_SYSTEMS), *self._own_mounts(pid)]
        huge = _points(mount for mount in mounted if mount.kind == "hugetlbfs")
        places = (*_points(mounted), *(line.memory_paths if line is not None else ()))
        try:
            found = sampled.sample(sampling, pid, mappings, status, places=places, huge_places=huge, slack=SLACK)
        except sampled.CallError as error:
            if not sampled.has_ended(error):
                self._files.broken(pid, error.call, str(error))
            return None
        if found.missing:
            self._files.broken(pid, sampled.CALL, f"finds {found.missing >> 10} kB less than status has")
        return found

    def _understood(self, pid: int, content: bytes, places: tuple[str, ...]) -> numa_maps.Maps | None:
        return self._files.understood(pid, "numa_maps", content, partial(numa_maps.parse, memory_places=places))

    def shared(self, found: Mapping[int, Holding]) -> tuple[dict[int, dict[int, int]], dict[int, int]]:
        """Shared memory by process and node, each part of it for one process; and what others see of it."""
        mappings = [(pid, mapping) for pid, one in found.items() if one.maps is not None for mapping in one.maps.shared]
        names: dict[str, int] = {}
        for _, mapping in mappings:
            names[mapping.file] = names.get(mapping.file, 0) + 1
        # Only an object that is mapped twice has to be distinguished from others with its name.
        known = {}
        for pid in sorted({pid for pid, mapping in mappings if names[mapping.file] > 1}):
            content = self._files.one(pid, "maps")
            known[pid] = self._files.understood(pid, "maps", content, lambda _, maps: numa_maps.extents(maps)) or {}
        return numa_maps.counted_once(mappings, known)


def _points(found: Iterable[Mount]) -> tuple[str, ...]:
    return tuple(sorted({point for mount in found if (point := mount.point.rstrip("/"))}))


def _agrees(held: Held, status: Status) -> bool:
    """Whether a group is charged for what the process has mapped.

    A process that was moved in has left charges behind, and one that ended may have.
    """
    pairs = ((held.anonymous, status.anonymous), (held.shared, status.shared), (held.huge, status.huge))
    return all(abs(sum(part.values()) - own) <= SLACK + own // 64 for part, own in pairs)


def _missing(maps: numa_maps.Maps, status: Status) -> int:
    """Bytes that status has and the mappings do not show, beyond what the kernel's figures may differ by."""
    own = sum(maps.private.values()) + maps.unplaced
    shared = sum(mapping.size for mapping in maps.shared if not mapping.huge)
    huge = sum(mapping.size for mapping in maps.shared if mapping.huge)
    missing = 0
    for shown, has in ((own + huge, status.anonymous + status.huge), (shared, status.shared)):
        if has - shown > SLACK + has // 64:
            missing += has - shown
    return missing
