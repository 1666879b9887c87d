"""Which processes run guests.

A process is one if it has a KVM machine: its vcpus have run (guest_time of stat), KVM lists it (debugfs), or it has
threads named as vcpus. The name of a known program alone will do only for QEMU, whose emulation (TCG) needs no KVM and
whose threads may be unnamed, and only with several threads: a vcpu always has one of its own.
"""

from __future__ import annotations

from errno import ENOENT
from functools import lru_cache

from ...errors import FactError
from ...named import namedtuple
from . import command_line, threads
from .facts import CommandLine
from .files import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .files import ProcessFiles

# One directory PID-FD for each virtual machine (kvm_create_vm_debugfs of virt/kvm/kvm_main.c), for root.
KVM_MACHINES = "sys/kernel/debug/kvm"
MISC = "proc/misc"
# Linux gives a program 6 MiB of arguments and environment at most (bprm_stack_limits of fs/exec.c).
MAX_LINE = 6 << 20
MACHINE = "anon_inode:kvm-vm"
MAX_DIGITS = 10  # of a process's number


class Candidate(namedtuple("Candidate", "process stat line by_name")):
    """A process that runs a guest; ``by_name`` says that nothing but its name suggests so."""

    __slots__ = ()
    process: int
    stat: threads.Stat
    line: CommandLine
    by_name: bool


class Detector:
    """Distinguishes processes that run guests from others; for most it only reads ``stat``."""

    def __init__(self, files: ProcessFiles) -> None:
        self._files = files
        self._machines: dict[int, int] | None = None
        names = files.reader.listdir(KVM_MACHINES)
        if not isinstance(names, int):
            # The thread that made the machine, which need not be the process's first.
            makers = sorted({int(n.partition("-")[0]) for n in names if _is_machine(n)})
            self._machines = {maker: self._process_of(maker) for maker in makers}
        content = files.reader.read((MISC,))[0]
        self._has_kvm = isinstance(content, int) or any(line.split()[1:] == [b"kvm"] for line in content.split(b"\n"))

    def _process_of(self, thread: int) -> int:
        content = self._files.reader.read((f"{thread}/status",), "proc")[0]
        for line in [] if isinstance(content, int) else content.split(b"\n"):
            if line.startswith(b"Tgid:") and line[5:].strip().isdigit():
                return int(line[5:])
        return thread

    def unseen(self, processes: Sequence[int]) -> list[int]:
        """Processes with a KVM machine that are not among those listed."""
        return sorted(set((self._machines or {}).values()).difference(processes))

    def stat(self, process: int, content: bytes | None) -> threads.Stat | None:
        """What its stat says of a process; None if it has ended, or if the file is on the account of failures."""
        if content is None and not self._files.has_failed(process, "stat"):
            # One that has ended has no other file either.
            if self._files.one(process, "cmdline") is not None:
                self._files.broken(process, "stat", "is missing")
            return None
        return self._files.understood(process, "stat", content, threads.stat)

    def _without_kernel_threads(self, processes: Sequence[int]) -> list[int]:
        """Without the children of kthreadd, which are most processes of many hosts, where the kernel lists them.

        They are the kernel's own threads, and for moments programs that the kernel starts itself, such as modprobe
        (call_usermodehelper of kernel/umh.c). Each number of the list ends with a blank.
        """
        maker = threads.KTHREADD
        names = (f"{maker}/stat", f"{maker}/task/{maker}/children")
        stat, children = self._files.reader.read(names, "proc") if maker in processes else (ENOENT, ENOENT)
        if isinstance(stat, int) or isinstance(children, int) or not children.endswith(b" "):
            return list(processes)
        if not threads.is_kernel_thread(stat):
            return list(processes)
        own = {int(word) for word in children.split() if word.isdigit() and len(word) <= MAX_DIGITS}
        return [process for process in processes if process not in own]

    def guests(self, processes: Sequence[int]) -> list[Candidate]:
        """Those of the processes that run a guest."""
        about = []
        machines = frozenset((self._machines or {}).values())
        processes = self._without_kernel_threads(processes)
        contents = self._files.reader.read([f"{process}/stat" for process in processes], "proc")
        for process, content in zip(processes, contents, strict=True):
            if isinstance(content, int):
                self._files.failed(process, "stat", content)
                stat = self.stat(process, None)
            # Most are this, and the rest of their stat does not matter.
            elif process not in machines and threads.runs_alone(content):
                continue
            else:
                stat = self.stat(process, content)
            if stat is not None and self._may_be(process, stat):
                about.append((process, stat))
        lines = self._files.each([process for process, _ in about], ("cmdline",))
        found = []
        for (process, stat), (line,) in zip(about, lines, strict=True):
            candidate = self.candidate(process, stat, line)
            if candidate is not None:
                found.append(candidate)
        return found

    def _may_be(self, process: int, stat: threads.Stat) -> bool:
        if stat.flags & threads.PF_KTHREAD or stat.state in "ZXx":
            return False
        return stat.threads > 1 or self._runs_vcpus(process, stat)

    def _runs_vcpus(self, process: int, stat: threads.Stat) -> bool:
        return bool(stat.guest_time) or process in (self._machines or {}).values()

    def candidate(self, process: int, stat: threads.Stat, line: bytes | None) -> Candidate | None:
        """What a process of this stat and command line runs; None if that is no guest."""
        if not self._may_be(process, stat):
            return None
        if line is not None and len(line) > MAX_LINE:
            self._files.broken(process, "cmdline", f"has {len(line)} bytes, more than any program gets")
            line = None
        program = _program(line, stat.name)
        if not self._runs_vcpus(process, stat):
            if program is None and (self._machines is not None or not self._has_kvm):
                return None
            try:
                named = threads.first_vcpu(self._files, process)
            except FileNotFoundError:
                # Of a recorded tree without threads, or of a process whose threads may not be read.
                return self._by_name(process, stat, line, program)
            if named is None:
                return self._by_name(process, stat, line, program) if program == "qemu" else None
            program = program or threads.program_of(named)
        return self._candidate(process, stat, line, program or "vmm", by_name=False)

    def _by_name(self, process: int, stat: threads.Stat, line: bytes | None, program: str | None) -> Candidate | None:
        machine = self._has_machine(process)
        if program is None and not machine:
            return None
        return self._candidate(process, stat, line, program or "vmm", by_name=not machine)

    def _candidate(
        self, process: int, stat: threads.Stat, line: bytes | None, program: str, *, by_name: bool
    ) -> Candidate:
        """The candidate; where its command line says nothing, files of memory that it would name are not known."""
        if not line:
            if not self._files.has_failed(process, "cmdline"):
                self._files.broken(process, "cmdline", "is missing" if line is None else "is empty (0 bytes)")
        # A program that runs a guest in itself keeps its own words, each of which ends with a NUL byte.
        elif program != "vmm" and command_line.program_of(line) is None and b"\0-" not in line and line[-1]:
            reason = f"not the command line of a guest of {program}: '{FactError('', line).text}'"
            self._files.broken(process, "cmdline", reason)
        return Candidate(process=process, stat=stat, line=_parsed(line or b"", program), by_name=by_name)

    def _has_machine(self, process: int) -> bool:
        names = self._files.reader.listdir(f"proc/{process}/fd")
        if isinstance(names, int):
            return False
        links = (self._files.reader.readlink(f"proc/{process}/fd/{number}") for number in numbers(names))
        return any(link == MACHINE for link in links)


def _is_machine(name: str) -> bool:
    process, dash, descriptor = name.partition("-")
    return bool(dash) and all(part.isascii() and part.isdigit() for part in (process, descriptor))


def _program(line: bytes | None, name: bytes) -> str | None:
    return (command_line.program_of(line) if line else None) or command_line.family(name)


@lru_cache(maxsize=512)
def _parsed(line: bytes, program: str) -> CommandLine:
    return command_line.parse(line, program) or CommandLine(program=program)
