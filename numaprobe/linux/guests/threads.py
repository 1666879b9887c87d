"""Processes' and threads' stat, and the threads that run vcpus: ``/proc/PID/stat``, ``/proc/PID/task`` (proc(5)).

Programs name their vcpu threads: QEMU ``CPU 3/KVM`` with ``debug-threads=on`` (qemu_thread_set_name in accel/) and
StratoVirt likewise, Firecracker ``fc_vcpu 3``, cloud-hypervisor ``vcpu3``, crosvm ``crosvm_vcpu3``, kvmtool
``kvm-vcpu-3``. QEMU without debug-threads names none.
"""

from __future__ import annotations

from ...errors import FactError
from ...named import namedtuple
from .. import text
from .facts import ThreadFacts
from .files import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .files import ProcessFiles

# Linux's include/linux/sched.h
PF_KTHREAD = 0x00200000
# The initial namespace, and no other, has the kernel's own threads; their ancestor is always process 2 (rest_init of
# init/main.c).
KTHREADD = 2
PREFIXES = {b"fc_vcpu ": "firecracker", b"crosvm_vcpu": "crosvm", b"vcpu": "cloud-hypervisor", b"kvm-vcpu-": "vmm"}
SWITCHES = b"voluntary_ctxt_switches:"
STATE = b"State:"
ALLOWED = b"Cpus_allowed_list:"
# vcpu threads are among the first that a program starts.
MAX_LOOKED_AT = 64


class Stat(
    namedtuple("Stat", "name state parent flags run_time threads began size cpu guest_time", defaults=(None, None))
):
    """``/proc/PID/stat``: the kernel's letter, clock ticks run and at the start, bytes of addresses, the last cpu.

    ``guest_time`` are the clock ticks for which vcpus ran (Linux 2.6.24), with those of every thread in a process's.
    """

    __slots__ = ()
    name: bytes
    state: str
    parent: int
    flags: int
    run_time: int
    threads: int
    began: int
    size: int
    cpu: int | None
    guest_time: int | None


def stat(where: str, content: bytes) -> Stat:
    """Parse a stat line. Raises ``FactError`` for a text that is none."""
    # The name is in parentheses and may contain any character, parentheses too.
    before, _, after = content.rpartition(b")")
    words = after.split()
    try:
        found = Stat(
            name=before.partition(b"(")[2],
            state=words[0].decode("ascii"),
            parent=int(words[1]),
            flags=int(words[6]),
            run_time=int(words[11]) + int(words[12]),
            threads=int(words[17]),
            began=int(words[19]),
            size=int(words[20]),
            cpu=int(words[36]) if len(words) > 36 else None,
            guest_time=int(words[40]) if len(words) > 40 else None,
        )
    except (IndexError, ValueError):
        raise FactError(where, content, "not the state of a process") from None
    least = min(found.flags, found.threads, found.began, found.size, found.guest_time or 0)
    if least < 0 or len(found.state) != 1 or not found.state.isalpha():
        raise FactError(where, content, "not the state of a process")
    return found


def runs_alone(content: bytes) -> bool:
    """Whether a stat line is surely that of a process with one thread, which has run no vcpu."""
    words = content[content.rfind(b")") + 1 :].split(None, 41)
    return len(words) > 40 and words[17] == b"1" and words[40] == b"0" and words[6].isdigit() and words[0].isalpha()


def is_kernel_thread(content: bytes) -> bool:
    """Whether a stat line is that of a thread of the kernel's own."""
    words = content.rpartition(b")")[2].split(None, 8)
    return len(words) > 6 and words[6].isdigit() and bool(int(words[6]) & PF_KTHREAD)


def vcpu_of(name: bytes) -> tuple[int, bool] | None:
    """The number of the vcpu that a thread of this name runs, and whether by hardware; None for another thread."""
    if name.startswith(b"CPU "):
        number, _, kind = name[4:].partition(b"/")
        return (int(number), kind != b"TCG") if number.isdigit() and kind else None
    for prefix in PREFIXES:
        if name.startswith(prefix) and name[len(prefix) :].isdigit():
            return int(name[len(prefix) :]), True
    return None


def program_of(name: bytes) -> str:
    """The family of the program that gives a vcpu's thread this name."""
    return next((program for prefix, program in PREFIXES.items() if name.startswith(prefix)), "qemu")


def first_vcpu(files: ProcessFiles, process: int) -> bytes | None:
    """The name of a thread that runs a vcpu; None if none of the first threads has such a name.

    Raises ``FileNotFoundError`` if there is no list of threads: of a process that has ended, or in a recorded tree.
    """
    names = files.names(process, "task")
    if names is None:
        raise FileNotFoundError
    listed = [thread for thread in numbers(names) if thread != process][:MAX_LOOKED_AT]
    comms = files.each((process,), [f"task/{thread}/comm" for thread in listed])[0] if listed else []
    found = (comm.strip() for comm in comms if comm is not None)
    return next((comm for comm in found if vcpu_of(comm) is not None), None)


class _Thread(namedtuple("_Thread", "process id stat vcpu")):
    __slots__ = ()
    process: int
    id: int
    stat: Stat
    vcpu: tuple[int, bool] | None


def collect(files: ProcessFiles, processes: Sequence[int]) -> dict[int, tuple[ThreadFacts, ...] | None]:
    """The vcpu threads of processes, by vcpu; None for a process that names none, or whose threads cannot be read.

    A thread that ends is left out. The same file of all of them is read in one call: a host may have thousands.
    """
    listed = []
    for process in processes:
        names = files.names(process, "task")
        listed += [(process, thread) for thread in numbers(names or ())]
    threads = _named(files, _read(files, listed))
    vcpus = [thread for thread in threads if thread.vcpu is not None]
    paths = [(thread, [f"task/{thread.id}/{name}" for name in ("status", "wchan")]) for thread in vcpus]
    contents = _contents(files, [(thread.process, names) for thread, names in paths])
    found: dict[int, list[ThreadFacts]] = {}
    for thread, (status, asleep) in zip(vcpus, contents, strict=True):
        if status is None:
            _still_there(files, thread.process, thread.id, "status")
        facts = _facts(files, thread, status, asleep)
        if facts is not None:
            found.setdefault(thread.process, []).append(facts)
    # A thread that has no facts because of a failure may be a vcpu; a failure may also cost no more than a fact.
    kept = {(process, f"task/{thread.id}/status") for process, threads in found.items() for thread in threads}
    failing = {
        failure.process
        for failure in files.failures
        if failure.name.startswith("task")
        and not failure.name.endswith("/wchan")
        and (failure.process, failure.name) not in kept
    }
    return {
        process: tuple(sorted(found[process], key=lambda thread: (thread.vcpu, thread.id)))
        if process in found and process not in failing
        else None
        for process in processes
    }


def _contents(files: ProcessFiles, wanted: Sequence[tuple[int, Sequence[str]]]) -> list[list[bytes | None]]:
    """Some files of each of many threads: one read for all, an account of failures for each."""
    contents = files.reader.read([f"{process}/{name}" for process, names in wanted for name in names], "proc")
    found = []
    position = 0
    for process, names in wanted:
        part: list[bytes | None] = []
        for name in names:
            content = contents[position]
            position += 1
            if isinstance(content, int):
                files.failed(process, name, content)
            part.append(content if isinstance(content, bytes) else None)
        found.append(part)
    return found


def _read(files: ProcessFiles, listed: Sequence[tuple[int, int]]) -> list[_Thread]:
    contents = _contents(files, [(process, (f"task/{thread}/stat",)) for process, thread in listed])
    found = []
    for (process, thread), (content,) in zip(listed, contents, strict=True):
        if content is None:
            _still_there(files, process, thread, "stat")
        about = files.understood(process, f"task/{thread}/stat", content, stat)
        if about is not None:
            found.append(_Thread(process=process, id=thread, stat=about, vcpu=vcpu_of(about.name)))
    return found


def _still_there(files: ProcessFiles, process: int, thread: int, name: str) -> None:
    """Keep account of a file that a thread does not have, unless the thread has ended with all of its files."""
    name = f"task/{thread}/{name}"
    if not files.has_failed(process, name) and files.one(process, f"task/{thread}/comm") is not None:
        files.broken(process, name, "is missing")


def _named(files: ProcessFiles, threads: list[_Thread]) -> list[_Thread]:
    """The same threads, with the names of those processes whose stat names no vcpu taken from comm.

    The kernel writes one name into both; recordings may have another into stat.
    """
    known = {thread.process for thread in threads if thread.vcpu is not None}
    nameless = [thread for thread in threads if thread.process not in known]
    contents = _contents(files, [(thread.process, (f"task/{thread.id}/comm",)) for thread in nameless])
    names = {
        thread.id: vcpu_of(comm.strip()) for thread, (comm,) in zip(nameless, contents, strict=True) if comm is not None
    }
    return [thread._replace(vcpu=names.get(thread.id)) if thread.id in names else thread for thread in threads]


def _facts(files: ProcessFiles, thread: _Thread, status: bytes | None, asleep: bytes | None) -> ThreadFacts | None:
    about = thread.stat
    if status is None or thread.vcpu is None:
        return None
    name = f"task/{thread.id}/status"
    files.understood(thread.process, name, status, _is_status)
    switches = _line(status, SWITCHES).strip()
    return ThreadFacts(
        id=thread.id,
        vcpu=thread.vcpu[0],
        accelerated=thread.vcpu[1],
        state=about.state,
        cpu=about.cpu,
        cpus=files.understood(thread.process, name, _line(status, ALLOWED) or None, text.ids),
        run_time=about.run_time,
        guest_time=about.guest_time,
        switches=int(switches) if switches.isdigit() else None,
        asleep_in=files.understood(thread.process, f"task/{thread.id}/wchan", asleep, _function),
    )


def _is_status(where: str, content: bytes) -> None:
    if not content.startswith(b"Name:") and b"_allowed_list:" not in content:
        raise FactError(where, content, "not the status of a thread" if content else "is empty (0 bytes)")


def rested(files: ProcessFiles, found: dict[int, tuple[ThreadFacts, ...] | None]) -> set[int]:
    """Processes all of whose vcpu threads have waited in one futex since they were read, without waking up.

    A vcpu waits in a futex while its program holds it back, and for moments while another thread has QEMU's lock.
    """
    queried = [
        (process, thread)
        for process, threads in found.items()
        if threads is not None and all((thread.asleep_in or "").startswith("futex") for thread in threads)
        for thread in threads
    ]
    quiet = {process for process, _ in queried}
    unsure = []
    wanted = [(process, (f"task/{thread.id}/status",)) for process, thread in queried]
    for (process, thread), (status,) in zip(queried, _contents(files, wanted), strict=True):
        known = thread.switches is not None
        if known and _line(status or b"", SWITCHES).strip() != str(thread.switches).encode():
            quiet.discard(process)
        # One that sleeps and has not gone to sleep again sleeps where it did.
        elif not known or not _line(status or b"", STATE).strip().startswith(b"S"):
            unsure.append((process, thread))
    wanted = [(process, (f"task/{thread.id}/wchan",)) for process, thread in unsure]
    for (process, thread), (asleep,) in zip(unsure, _contents(files, wanted), strict=True):
        if files.understood(process, f"task/{thread.id}/wchan", asleep, _function) != thread.asleep_in:
            quiet.discard(process)
    return quiet


def _function(where: str, content: bytes) -> str | None:
    """A function's name; the kernel gives 0 to whom it does not report it, and for a thread that runs.

    Without names of functions in the kernel (KALLSYMS), it is a number (proc_pid_wchan of fs/proc/base.c).
    """
    name = content.strip(b"\0\n ")
    if name.isdigit():
        return None
    if not name.replace(b".", b"_").replace(b"_", b"a").isalnum():
        raise FactError(where, content, "not the name of a function")
    return name.decode("ascii")


def _line(content: bytes, name: bytes) -> bytes:
    """What follows a name at the start of a line; empty if there is no such line."""
    start = content.find(b"\n" + name)
    return b"" if start < 0 else content[start + 1 + len(name) :].partition(b"\n")[0]
