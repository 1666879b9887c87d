"""Guests on Linux: the processes that run them, and what each holds on every node.

Processes come and go while they are looked at. One that is gone, or another one under the same number, by the end of
the look is left out: every process is read between two looks at when it began.

Everything is read through the ``Reader`` port and not through psutil, so that a recording can be asked the same.
"""

from __future__ import annotations

from collections import namedtuple

from ...errors import FactError
from .. import text
from ..cgroups import Groups, mounts
from ..source import Source
from . import command_line, numa_maps, threads
from .facts import GuestFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...ports import Reader
    from ..cgroups import Held
    from .facts import CommandLine

# Where a mapped file is memory: everything below such a mount.
MEMORY_FILE_SYSTEMS = ("tmpfs", "hugetlbfs", "devtmpfs")
ABOUT = ("stat", "status", "cgroup")
RESIDENT = (b"RssAnon", b"RssShmem", b"HugetlbPages", b"PPid")
# The kernel keeps resident sizes by cpu and adds them up now and then, in batches of at most this (percpu_counter and
# TASK_RSS_EVENTS_THRESH), and /proc/PID/status may be behind by as much for each of them.
SLACK = 4 << 20


class Status(namedtuple("Status", "state parent anonymous shared huge cpus nodes")):
    """``/proc/PID/status``: the kernel's letter, the parent, resident bytes by kind, and what the process may use."""

    __slots__ = ()
    state: str
    parent: int
    anonymous: int
    shared: int
    huge: int
    cpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None

    @property
    def resident(self) -> int:
        """Bytes of all three kinds."""
        return self.anonymous + self.shared + self.huge


class _Process(namedtuple("_Process", "id line began status held maps where")):
    __slots__ = ()
    id: int
    line: CommandLine | None
    began: int
    status: Status
    held: dict[int, int] | None
    maps: numa_maps.Maps | None
    where: str


def collect(
    reader: Reader, *, processes: Sequence[int] | None = None, groups: Sequence[str] = (), each_vcpu: bool = True
) -> tuple[GuestFacts, ...]:
    """Every guest by process id, then the control groups that were named.

    With ``processes`` these and no others, guests or not; a process or group that is not there is left out.
    ``each_vcpu`` reads the threads too. Raises ``FactError`` for a file that makes no sense.
    """
    look = _Look(reader)
    if processes is None and not groups:
        found = look.guests()
    else:
        found = [process for pid in sorted(set(processes or ())) if (process := look.process(pid)) is not None]
    facts = look.finished(found, each_vcpu=each_vcpu)
    return (*facts, *(group for name in groups if (group := look.group(name)) is not None))


class _Look:
    """One look at the processes of a machine."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.source = Source(reader)
        self.groups = Groups(self.source)
        self._places: tuple[str, ...] | None = None

    @property
    def memory_places(self) -> tuple[str, ...]:
        if self._places is None:
            found = {mount.point.rstrip("/") for mount in mounts(self.source, MEMORY_FILE_SYSTEMS)}
            self._places = tuple(sorted(place for place in found if place))
        return self._places

    def read(self, pid: int, *names: str) -> list[bytes | None]:
        """Files of a process; None for one that is not there or that may not be read."""
        contents = self.reader.read([f"{pid}/{name}" for name in names], "proc")
        return [content if isinstance(content, bytes) else None for content in contents]

    def each(self, pids: Sequence[int], names: Sequence[str]) -> list[list[bytes | None]]:
        """The same files of many processes, read in one go."""
        contents = self.reader.read([f"{pid}/{name}" for pid in pids for name in names], "proc")
        known = [content if isinstance(content, bytes) else None for content in contents]
        return [known[at : at + len(names)] for at in range(0, len(known), len(names))]

    def guests(self) -> list[_Process]:
        names = self.reader.listdir("proc")
        pids = sorted(int(name) for name in names if name.isdigit()) if not isinstance(names, int) else []
        lines = self.reader.read([f"{pid}/cmdline" for pid in pids], "proc")
        candidates = [
            (pid, line)
            for pid, line in zip(pids, lines, strict=True)
            if isinstance(line, bytes) and line and command_line.program_of(line) is not None
        ]
        abouts = self.each([pid for pid, _ in candidates], ABOUT)
        found = [
            process
            for (pid, line), about in zip(candidates, abouts, strict=True)
            if (process := self._process(pid, line, *about)) is not None
        ]
        # crosvm runs its devices in children that share its memory and its command line.
        return [p for p in found if (p.status.parent, p.line) not in {(other.id, other.line) for other in found}]

    def process(self, pid: int) -> _Process | None:
        """What a process holds; None if it is not there, or has no memory of its own, as while it ends."""
        return self._process(pid, *self.read(pid, "cmdline", *ABOUT))

    def _process(
        self, pid: int, cmdline: bytes | None, stat: bytes | None, status_text: bytes | None, cgroup: bytes | None
    ) -> _Process | None:
        began = None if stat is None else threads.stat(f"proc/{pid}/stat", stat)
        status = None if status_text is None else _status(pid, status_text)
        if began is None or status is None:
            return None
        guest = None if cmdline is None else command_line.parse(cmdline)
        held = self._charged(pid, cgroup, status)
        if held is not None:
            directory, figures = held
            return _Process(pid, guest, began.began, status, figures.by_node(), None, directory)
        content = self.read(pid, "numa_maps")[0]
        places = self.memory_places if guest is None else (*self.memory_places, *guest.memory_paths)
        maps = None if content is None else numa_maps.parse(f"proc/{pid}/numa_maps", content, places)
        return _Process(pid, guest, began.began, status, None, maps, f"proc/{pid}/numa_maps")

    def _charged(self, pid: int, cgroup: bytes | None, status: Status) -> tuple[str, Held] | None:
        """The memory of the process's own group, if it is all that is charged to the group and all of it is."""
        if not self.groups.mounted:
            return None
        for directory in self.groups.of_process(cgroup)[:-1]:  # never the root: it is everybody's
            held, alone = self.groups.held_alone(directory, pid, huge=status.huge > 0)
            if held is None:
                continue
            if not alone:
                return None
            # A process that was moved in has left charges behind, and one that ended may have; what the process
            # itself has mapped must be it.
            pairs = (
                (held.anonymous, status.anonymous),
                (held.shared, status.shared),
                (held.huge, status.huge),
            )
            alike = all(abs(sum(part.values()) - own) <= SLACK + own // 64 for part, own in pairs)
            return (f"{directory}/memory.numa_stat", held) if alike else None
        return None

    def finished(self, found: list[_Process], *, each_vcpu: bool) -> Iterable[GuestFacts]:
        """Facts of the processes that are still there, their shared memory counted once."""
        counted, elsewhere = self._shared(found)
        guests = [process.id for process in found if each_vcpu and process.line is not None]
        vcpus = dict(zip(guests, threads.collect(self.reader, guests), strict=True))
        stats = self.each([process.id for process in found], ABOUT[:1])
        for process, (stat,) in zip(found, stats, strict=True):
            if stat is None or not _still(process, stat):
                continue
            held, unplaced = process.held, 0
            if process.maps is not None:
                held, unplaced = dict(process.maps.private), process.maps.unplaced
                for node, size in counted.get(process.id, {}).items():
                    held[node] = held.get(node, 0) + size
            yield GuestFacts(
                process.id,
                process.line,
                process.status.state,
                vcpus.get(process.id),
                process.status.cpus,
                process.status.nodes,
                held,
                unplaced,
                process.status.resident,
                elsewhere.get(process.id, 0),
                process.where if held is not None else f"proc/{process.id}/status",
            )

    def _shared(self, found: list[_Process]) -> tuple[dict[int, dict[int, int]], dict[int, int]]:
        mappings = [(p.id, mapping) for p in found if p.maps is not None for mapping in p.maps.shared]
        names: dict[str, int] = {}
        for _, mapping in mappings:
            names[mapping.file] = names.get(mapping.file, 0) + 1
        # Only an object that is mapped twice has to be told from others of its name.
        known = {}
        for pid in sorted({pid for pid, mapping in mappings if names[mapping.file] > 1}):
            content = self.read(pid, "maps")[0]
            known[pid] = {} if content is None else numa_maps.extents(content)
        return numa_maps.counted_once(mappings, known)

    def group(self, name: str) -> GuestFacts | None:
        """A control group by its path; None if there is none, or no member of it can be read."""
        directory = self.groups.named(name)
        members = None if directory is None else self.groups.processes(directory)
        if directory is None or members is None:
            return None
        held = self.groups.held(directory, huge=False)
        if held is not None:
            where = f"{directory}/memory.numa_stat"
            return GuestFacts(name, None, None, None, None, None, held.by_node(), 0, None, 0, where)
        # Without the memory controller: its processes, one by one.
        parts = list(self.finished([p for pid in members if (p := self.process(pid)) is not None], each_vcpu=False))
        total: dict[int, int] = {}
        for part in parts:
            for node, size in (part.held or {}).items():
                total[node] = total.get(node, 0) + size
        return GuestFacts(
            name,
            None,
            None,
            None,
            None,
            None,
            None if any(part.held is None for part in parts) else total,
            sum(part.unplaced for part in parts),
            sum(part.resident or 0 for part in parts),
            0,
            f"{directory}/cgroup.procs and proc/*/numa_maps",
        )


def _still(process: _Process, stat: bytes) -> bool:
    """Whether it is the same process, and still had its memory after that was read.

    A process gives up its memory before it becomes a zombie, and has no resident pages in its stat from then on
    (do_task_stat in Linux's fs/proc/array.c).
    """
    now = threads.stat(f"proc/{process.id}/stat", stat)
    return now.began == process.began and now.resident > 0


def _status(pid: int, content: bytes) -> Status | None:
    """None for a process that has no memory of its own: a kernel thread, or one that is ending."""
    where = f"proc/{pid}/status"
    anonymous, shared, huge, parent = text.fields(where, content, RESIDENT)
    if anonymous is None:
        # Before Linux 4.5 there is one figure for all kinds, files included; without it there is no memory.
        return _old_status(where, content, huge or 0, parent or 0)
    state, cpus, nodes = _words(where, content)
    return Status(state, parent or 0, anonymous << 10, (shared or 0) << 10, (huge or 0) << 10, cpus, nodes)


def _old_status(where: str, content: bytes, huge: int, parent: int) -> Status | None:
    (resident,) = text.fields(where, content, (b"VmRSS",))
    if resident is None:
        return None
    state, cpus, nodes = _words(where, content)
    return Status(state, parent, resident << 10, 0, huge << 10, cpus, nodes)


def _words(where: str, content: bytes) -> tuple[str, tuple[int, ...] | None, tuple[int, ...] | None]:
    state = ""
    lists: list[tuple[int, ...] | None] = [None, None]
    for position, name in enumerate((b"\nState:", b"\nCpus_allowed_list:", b"\nMems_allowed_list:")):
        start = content.find(name)
        if start < 0:
            continue
        start += len(name)
        end = content.find(b"\n", start)
        value = content[start : end if end >= 0 else len(content)].strip()
        if position == 0:
            state = value[:1].decode("ascii", "replace")
        else:
            lists[position - 1] = text.ids(where, value)
    if not state:
        raise FactError(where, content[:60], "has no state")
    return state, lists[0], lists[1]
