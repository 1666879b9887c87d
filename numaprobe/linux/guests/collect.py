"""Guests on Linux: the processes that run them, and what each holds on every node.

Processes may end while they are read. The start time of every process is read before and after its files: one that has
ended, or whose number belongs to another process by then, is left out.

Everything is read through the ``Reader`` port, not through psutil, so that a recording can answer the same queries.
"""

from __future__ import annotations

from errno import EACCES, ENOENT, ENOTDIR, EPERM

from ...errors import SourceDenied, SourceError
from ...named import namedtuple
from ..cgroups import Groups, table
from ..source import Source
from . import hint_faults, libvirt, threads
from .detect import Detector
from .facts import Found, GuestFacts
from .files import ProcessFiles, note, numbers
from .holding import Holdings
from .status import parse as parse_status
from .visibility import obstacles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...ports import Reader
    from .detect import Candidate
    from .facts import CommandLine, LibvirtRecord, ThreadFacts
    from .holding import Holding
    from .sampled import Sampling
    from .status import Status

ABOUT = ("status", "cgroup")
# What a recording says of the look that it was made with: JSON with ``complete`` and ``notes``.
LOOK = "linux/domains.json"


class _Process(namedtuple("_Process", "id line began state status holding")):
    __slots__ = ()
    id: int
    line: CommandLine | None
    began: int
    state: str
    status: Status | None
    holding: Holding


def collect(
    reader: Reader,
    *,
    processes: Sequence[int] | None = None,
    groups: Sequence[str] = (),
    each_vcpu: bool = True,
    faults: bool = False,
    sampling: Sampling | None = None,
) -> Found:
    """Every guest by process id, then the control groups that were named; and whether these are all.

    With ``processes`` only these, whether or not they are guests; a process or group that does not exist is left out.
    ``each_vcpu`` reads the threads too, ``faults`` their NUMA hint faults. ``sampling`` estimates what would
    have to be counted page by page. What is unreadable or broken is None and
    noted. Raises ``SourceError`` or
    ``SourceDenied`` if ``/proc`` cannot be listed.
    """
    look = _Look(reader, sampling)
    everything = processes is None and not groups
    found = look.guests() if everything else look.named(sorted(set(processes or ())))
    facts = look.finished(found, each_vcpu=each_vcpu, faults=faults)
    facts += [group for name in groups if (group := look.group(name)) is not None]
    balancing = hint_faults.balancing(look.source) if faults else None
    notes = look.notes()
    return Found(guests=tuple(facts), complete=not look.incomplete, notes=notes, balancing=balancing)


class _Look:
    """One look at the processes of a machine."""

    def __init__(self, reader: Reader, sampling: Sampling | None = None) -> None:
        self.reader = reader
        self.source = Source(reader)
        self.files = ProcessFiles(reader)
        self.groups = Groups(self.source)
        self.holdings = Holdings(self.files, self.source, self.groups, sampling)
        self.incomplete = False
        self._notes: list[tuple[str, str]] = []
        self._by_name: list[int] = []

    def guests(self) -> list[_Process]:
        """Processes that run guests."""
        names = self.reader.listdir("proc")
        if isinstance(names, int):
            if names in (EACCES, EPERM):
                raise SourceDenied("/proc", names)
            if names not in (ENOENT, ENOTDIR):
                raise SourceError("/proc", names)
            names = []
        pids = numbers(names)
        self._look_for_obstacles(pids)
        detector = Detector(self.files)
        for pid in detector.unseen(pids):
            self._hidden(f"proc/{pid}", "runs a guest and cannot be seen")
        found = self._all(detector.guests(pids))
        # crosvm runs its devices in children that share its memory and its command line.
        lines = {(process.id, process.line) for process in found}
        return [p for p in found if p.status is None or (p.status.parent, p.line) not in lines]

    def _look_for_obstacles(self, pids: Sequence[int]) -> None:
        recorded = self.reader.read((LOOK,))[0]
        if isinstance(recorded, bytes):
            from .recorded import parse

            complete, notes = parse(LOOK, recorded)
            self.incomplete = not complete
            self._notes += notes
            return
        for where, text in obstacles(self.source, frozenset(pids)):
            self._hidden(where, text)

    def _hidden(self, where: str, text: str) -> None:
        self.incomplete = True
        self._notes.append((where, text))

    def named(self, pids: Sequence[int]) -> list[_Process]:
        """Processes by their ids, guests or not."""
        detector = Detector(self.files)
        candidates = []
        for pid, (content, line) in zip(pids, self.files.each(pids, ("stat", "cmdline")), strict=True):
            about = detector.stat(pid, content)
            if about is not None:
                candidates.append((pid, about, detector.candidate(pid, about, line)))
        contents = self.files.each([pid for pid, _, _ in candidates], ABOUT)
        found = [
            self._process(pid, about, candidate, *content)
            for (pid, about, candidate), content in zip(candidates, contents, strict=True)
        ]
        return [process for process in found if process is not None]

    def _all(self, candidates: Sequence[Candidate]) -> list[_Process]:
        contents = self.files.each([candidate.process for candidate in candidates], ABOUT)
        found = [
            self._process(candidate.process, candidate.stat, candidate, *content)
            for candidate, content in zip(candidates, contents, strict=True)
        ]
        return [process for process in found if process is not None]

    def _process(
        self, pid: int, about: threads.Stat, candidate: Candidate | None, text: bytes | None, cgroup: bytes | None
    ) -> _Process | None:
        """What a process holds; None if it does not exist, or has no memory of its own, as while it ends."""
        status = self.files.understood(pid, "status", text, parse_status)
        if text is None and not self.files.has_failed(pid, "status"):
            # A process that is still there, under its number, has a status; a recording may lack it.
            again = self.files.understood(pid, "stat", self.files.one(pid, "stat"), threads.stat)
            if again is not None and again.began == about.began:
                self.files.broken(pid, "status", "is missing")
        if status is None and not self.files.has_failed(pid, "status"):
            return None
        line = None if candidate is None else candidate.line
        if candidate is not None and candidate.by_name:
            self._by_name.append(pid)
        holding = self.holdings.of(pid, line, self._groups_of(pid, cgroup), status)
        return _Process(id=pid, line=line, began=about.began, state=about.state, status=status, holding=holding)

    def _groups_of(self, pid: int, cgroup: bytes | None) -> dict[str, str]:
        # Without any hierarchy a kernel with control groups writes nothing.
        if not cgroup and not self.groups.mounted:
            return {}
        return self.files.understood(pid, "cgroup", cgroup, table) or {}

    def finished(self, found: list[_Process], *, each_vcpu: bool, faults: bool = False) -> list[GuestFacts]:
        """Facts of the processes that are still there, their shared memory counted once."""
        counted, elsewhere = self.holdings.shared({process.id: process.holding for process in found})
        guests = [process.id for process in found if process.line is not None]
        vcpus: dict[int, tuple[ThreadFacts, ...] | None] = {}
        records: dict[int, LibvirtRecord] = {}
        rested: set[int] = set()
        if guests and each_vcpu:
            vcpus = threads.collect(self.files, guests)
            if faults:
                vcpus = hint_faults.collect(self.files, vcpus)
        if any(process.line is not None and process.line.program == "qemu" for process in found):
            records = libvirt.collect(self.source)
        if vcpus:
            rested = threads.rested(self.files, vcpus)
        ended = self._ended(found)
        self.files.forget(ended)
        facts = []
        for process in found:
            if process.id in ended:
                continue
            status, holding = process.status, process.holding
            held = holding.held
            if held is not None:
                held = dict(held)
                for node, size in counted.get(process.id, {}).items():
                    held[node] = held.get(node, 0) + size
            facts.append(
                GuestFacts(
                    id=process.id,
                    line=process.line,
                    state=process.state,
                    threads=vcpus.get(process.id),
                    rested=process.id in rested,
                    cpus=None if status is None else status.cpus,
                    nodes=None if status is None else status.nodes,
                    held=held,
                    unplaced=holding.unplaced,
                    resident=None if status is None else status.resident,
                    shared=elsewhere.get(process.id, 0),
                    held_from=holding.where if held is not None else f"proc/{process.id}/status",
                    sampled=holding.sampled,
                    record=_matching(records.get(process.id), process.line),
                )
            )
        return facts

    def _ended(self, found: Sequence[_Process]) -> set[int]:
        """Processes that have ended, or released their memory while it was read.

        A process gives up its memory before it becomes a zombie, and has no address space in its stat from then on
        (do_task_stat in Linux's fs/proc/array.c). Resident pages say nothing: all of them may be swapped out.
        """
        ended = set()
        for process, (content,) in zip(found, self.files.each([p.id for p in found], ("stat",)), strict=True):
            now = self.files.understood(process.id, "stat", content, threads.stat)
            if now is None:
                if not self.files.has_failed(process.id, "stat"):
                    ended.add(process.id)
            elif now.began != process.began or not now.size:
                ended.add(process.id)
        return ended

    def group(self, name: str) -> GuestFacts | None:
        """A control group by its path; None if there is none, or no member of it can be read."""
        directory = self.groups.named(name)
        members = None if directory is None else self.groups.processes(directory)
        if directory is None or members is None:
            if error := self.source.broken.get(f"{directory}/cgroup.procs"):
                raise error
            if older := self.groups.of_version_1(name):
                text = f"is a group of version 1 ({older}), and only those of version 2 are supported"
                self._notes.append((f"control group {name}", text))
            return None
        held = self.groups.held(directory, huge=False)
        if held is not None:
            total = held.by_node()
            private = self.holdings.private_to_group(members, held)
            for node, size in (private or {}).items():
                total[node] = total.get(node, 0) + size
            return GuestFacts(
                id=name,
                held=total,
                unplaced=0 if private is not None else None,
                held_from=f"{directory}/memory.numa_stat",
            )
        # Without the memory controller: its processes, one by one.
        parts = self.finished(self.named(sorted(members)), each_vcpu=False)
        total = {}
        for part in parts:
            for node, size in (part.held or {}).items():
                total[node] = total.get(node, 0) + size
        unplaced = [part.unplaced for part in parts]
        resident = [part.resident for part in parts]
        return GuestFacts(
            id=name,
            held=None if any(part.held is None for part in parts) else total,
            unplaced=None if None in unplaced else sum(size or 0 for size in unplaced),
            resident=None if None in resident else sum(size or 0 for size in resident),
            held_from=f"{directory}/cgroup.procs and proc/*/numa_maps",
            sampled=tuple(one for part in parts for one in part.sampled),
        )

    def notes(self) -> tuple[tuple[str, str], ...]:
        """Everything odd about the look; afterwards ``incomplete`` says whether something was missed."""
        self.files.forget_ended()
        if self.files.failures:
            self.incomplete = True
        if self._by_name:
            text = "counted as a guest by its name alone: no thread is named as a vcpu, and no KVM machine is seen"
            self._notes.append(note("", text, self._by_name))
        return tuple(dict.fromkeys((*self._notes, *self.files.notes(), *self.source.notes)))


def _matching(record: LibvirtRecord | None, line: CommandLine | None) -> LibvirtRecord | None:
    """The record, unless it is of another guest whose process had the same number."""
    if record is None or line is None or line.program != "qemu":
        return None
    return record if line.uuid is None or record.uuid is None or line.uuid == record.uuid else None
