"""Threads that run vcpus: ``/proc/PID/task`` (proc(5)).

Programs name them: QEMU ``CPU 3/KVM`` with ``debug-threads=on`` (qemu_thread_set_name in accel/), Firecracker
``fc_vcpu 3``, cloud-hypervisor ``vcpu3``, crosvm ``crosvm_vcpu3``. QEMU without it names none.
"""

from __future__ import annotations

from collections import namedtuple

from ...errors import FactError
from .. import text
from .facts import ThreadFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...ports import Reader

ABOUT = ("stat", "status", "wchan")
PREFIXES = (b"fc_vcpu ", b"crosvm_vcpu", b"vcpu")


class Stat(namedtuple("Stat", "state run_time began resident cpu")):
    """``/proc/PID/stat``: the kernel's letter, clock ticks run and at the start, resident pages, the last cpu."""

    __slots__ = ()
    state: str
    run_time: int
    began: int
    resident: int
    cpu: int | None


def stat(where: str, content: bytes) -> Stat:
    """Take a stat line apart. Raises ``FactError`` for what is none."""
    # The name is in parentheses and may have any character in it, these too.
    words = content.rpartition(b")")[2].split()
    try:
        return Stat(
            words[0].decode("ascii"),
            int(words[11]) + int(words[12]),
            int(words[19]),
            int(words[21]),
            int(words[36]) if len(words) > 36 else None,
        )
    except (IndexError, ValueError):
        raise FactError(where, content, "not the state of a process") from None


def vcpu_of(name: bytes) -> tuple[int, bool] | None:
    """The number of the vcpu that a thread of this name runs, and whether by hardware; None for another thread."""
    if name.startswith(b"CPU "):
        number, _, kind = name[4:].partition(b"/")
        return (int(number), kind != b"TCG") if number.isdigit() and kind else None
    for prefix in PREFIXES:
        if name.startswith(prefix) and name[len(prefix) :].isdigit():
            return int(name[len(prefix) :]), True
    return None


def collect(reader: Reader, pids: Sequence[int]) -> list[tuple[ThreadFacts, ...] | None]:
    """The vcpu threads of processes, by vcpu; None for one that names none. A thread that ends is left out.

    The same file of all of them is read in one go: a host may have thousands of threads.
    """
    threads = []
    for pid in pids:
        names = reader.listdir(f"proc/{pid}/task")
        if not isinstance(names, int):
            threads += [(pid, int(name)) for name in names if name.isdigit()]
    comms = reader.read([f"{pid}/task/{tid}/comm" for pid, tid in threads], "proc")
    vcpus = [
        (pid, tid, named)
        for (pid, tid), comm in zip(threads, comms, strict=True)
        if isinstance(comm, bytes) and (named := vcpu_of(comm.strip())) is not None
    ]
    contents = reader.read([f"{pid}/task/{tid}/{name}" for pid, tid, _ in vcpus for name in ABOUT], "proc")
    found: dict[int, list[ThreadFacts]] = {}
    for position, (pid, tid, (vcpu, accelerated)) in enumerate(vcpus):
        about, status, asleep = contents[position * len(ABOUT) : (position + 1) * len(ABOUT)]
        if not isinstance(about, bytes) or not isinstance(status, bytes):
            continue
        where = f"proc/{pid}/task/{tid}"
        state, run_time, _, _, cpu = stat(f"{where}/stat", about)
        cpus = _allowed(f"{where}/status", status)
        thread = ThreadFacts(tid, vcpu, accelerated, state, cpu, cpus, run_time, _function(asleep))
        found.setdefault(pid, []).append(thread)
    return [
        tuple(sorted(found[pid], key=lambda thread: (thread.vcpu, thread.id))) if pid in found else None for pid in pids
    ]


def _function(content: bytes | int) -> str | None:
    """A function's name; the kernel gives 0 to whom it does not tell, and for a thread that runs."""
    name = content.strip(b"\0\n ") if isinstance(content, bytes) else b""
    return name.decode("ascii", "replace") if name not in (b"", b"0") else None


def _allowed(where: str, content: bytes) -> tuple[int, ...] | None:
    start = content.find(b"\nCpus_allowed_list:")
    if start < 0:
        return None
    line = content[start + 1 :].partition(b"\n")[0]
    return text.ids(where, line.partition(b":")[2])
