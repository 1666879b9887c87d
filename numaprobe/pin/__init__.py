"""Applies a plan: to a command before it starts, to a running process, to a paused Xen domain.

Every way is first a list of ``Step`` values, which say what would be done and do nothing; ``apply`` does it. Memory
that a process or domain has already stays where it is: on Linux the plan's cells bind only what a command that is run
takes later, under Xen only what is still to be populated.
"""

from __future__ import annotations

import os

from ..errors import SourceDenied, SourceError, SourceUnavailable
from ..named import namedtuple
from . import changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from .. import Domain, Host, Plan

# Threads may start while others are pinned; a program that never stops starting them is given up on.
MAX_ROUNDS = 8


class Step(namedtuple("Step", "what target cpus cells", defaults=(None, None, None))):
    """One change. ``what`` is ``cpus``, ``memory`` or ``domain``; ``target`` a thread id, a vcpu, or None.

    Without a target it is done to the calling process, or to the whole domain.
    ``cpus`` are those that it may run on, ``cells`` those that its memory is taken from; None for what is kept.
    """

    __slots__ = ()
    what: str
    target: int | None
    cpus: tuple[int, ...] | None
    cells: tuple[int, ...] | None


def command_steps(plan: Plan) -> tuple[Step, ...]:
    """What is done to this process before it becomes the command: affinity, then the memory policy.

    On a host of one cell there is no memory to bind.
    """
    steps = (Step(what="cpus", cpus=plan.cpus),)
    return (*steps, Step(what="memory", cells=tuple(plan.memory))) if plan.bind else steps


def run(plan: Plan, command: Sequence[str]) -> NoReturn:
    """Become a command that runs on the plan's cpus with its memory bound to the plan's cells.

    The calling process is replaced. Raises ``SourceError`` where the kernel refuses cpus or cells or leaves some out,
    and ``OSError`` where there is no such command; the affinity and the policy may then have changed already. Raises
    ``ValueError`` for an empty command.
    """
    if not command:
        raise ValueError("no command to run")
    apply(command_steps(plan))
    os.execvp(command[0], list(command))  # noqa: S606 (running what the caller names is the purpose)


def process_steps(plan: Plan, pid: int, *, force: bool = False) -> tuple[Step, ...]:
    """What is done to the threads of a process: the vcpus of a QEMU guest to theirs, all others to the emulator's.

    A plan without CPUs for the emulator gives its threads all of the plan's.

    Needs psutil. Raises ``ProcessLookupError`` where there is no such process, ``SourceDenied`` where it may not be
    read, and ``ValueError`` for a guest with other vcpus than planned, for one that does not name its threads
    (QEMU does with ``-name NAME,debug-threads=on``) while the plan gives each vcpu cpus of its own, and for a thread of
    the kernel unless ``force``.
    """
    if not force and _is_kernel_thread(pid):
        raise ValueError(f"process {pid} is a kernel thread, which is not pinned unless forced")
    by_vcpu = {one.vcpu: one.cpus for one in plan.vcpus}
    others = plan.emulator or plan.cpus
    found: set[int] = set()
    steps = []
    for thread in _threads(pid):
        vcpu = _vcpu_of(pid, thread)
        if vcpu is not None and vcpu not in by_vcpu:
            raise ValueError(f"process {pid} has a vcpu {vcpu}, which is not in the plan of {len(by_vcpu)}")
        if vcpu is not None:
            found.add(vcpu)
        steps.append(Step(what="cpus", target=thread, cpus=others if vcpu is None else by_vcpu[vcpu]))
    if (plan.request.exclusive or plan.emulator) and found != set(by_vcpu):
        raise ValueError(
            f"process {pid} has no threads named for its vcpus (QEMU: -name NAME,debug-threads=on), "
            "so they cannot be pinned one by one"
            if not found
            else f"process {pid} has {len(found)} vcpus, and the plan {len(by_vcpu)}"
        )
    return tuple(steps)


def process(plan: Plan, pid: int, *, force: bool = False) -> tuple[Step, ...]:
    """Pin a process as :func:`process_steps` says, including threads that start during the call; what was done.

    Raises what that raises, and ``SourceError`` for cpus that the kernel refuses or leaves out.
    """
    done: dict[int | None, Step] = {}
    for _ in range(MAX_ROUNDS):
        new = [step for step in process_steps(plan, pid, force=force) if done.get(step.target) != step]
        if not new:
            break
        for step in new:
            # A thread that has ended needs no cpus.
            try:
                apply((step,))
            except ProcessLookupError:
                continue
            done[step.target] = step
    return tuple(done.values())


def _threads(pid: int) -> list[int]:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    try:
        return [thread.id for thread in psutil.Process(pid).threads()]
    except psutil.NoSuchProcess:
        raise ProcessLookupError(f"there is no process {pid}") from None
    except psutil.AccessDenied:
        raise SourceDenied(f"process {pid}", None, "may not be read") from None


def _read(path: str) -> bytes | None:
    """A file of a process; None if the process has ended, and an error for any other failure: it is no answer."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        kind = SourceDenied if isinstance(error, PermissionError) else SourceError
        raise kind(path, error.errno) from None


def _is_kernel_thread(pid: int) -> bool:
    """Whether the kernel's flag for its own threads is set (PF_KTHREAD, the ninth field of /proc/PID/stat)."""
    content = _read(f"/proc/{pid}/stat")
    fields = (content or b"").rpartition(b")")[2].split()
    return len(fields) > 6 and fields[6].isdigit() and bool(int(fields[6]) & 0x00200000)


def _vcpu_of(pid: int, thread: int) -> int | None:
    """The vcpu that a thread runs, by the name that QEMU gives it: ``CPU 0/KVM``, ``CPU 0/TCG``."""
    name = _read(f"/proc/{pid}/task/{thread}/comm")
    if name is None:
        return None
    number, slash, _ = name.removeprefix(b"CPU ").partition(b"/")
    return int(number) if name.startswith(b"CPU ") and slash and number.isdigit() else None


def domain_steps(plan: Plan, domain: Domain, *, force: bool = False) -> tuple[Step, ...]:
    """What is done to a Xen domain: hard affinity of each vcpu, then the nodes that memory is taken from.

    Raises ``ValueError`` for domain 0 and for a domain that is not paused, unless ``force``; for one of Linux; and for
    one with another number of vcpus than planned.
    """
    if domain.kind not in ("pv", "hvm") or not isinstance(domain.id, int):
        raise ValueError(f"{domain.id} is not a Xen domain")
    if domain.id == 0 and not force:
        raise ValueError("domain 0 is the control domain, which is not pinned unless forced")
    if domain.state != "paused" and not force:
        raise ValueError(f"domain {domain.id} is {domain.state or 'in an unknown state'}, not paused")
    vcpus = domain.vcpus_maximum if domain.vcpus_maximum is not None else domain.vcpus
    if vcpus is not None and vcpus != len(plan.vcpus):
        raise ValueError(f"domain {domain.id} has {vcpus} vcpus, and the plan {len(plan.vcpus)}")
    steps = [Step(what="domain", target=one.vcpu, cpus=one.cpus) for one in plan.vcpus]
    return (*steps, Step(what="domain", cells=tuple(plan.memory)))


def domain(plan: Plan, host: Host, which: int | str, *, force: bool = False) -> tuple[Step, ...]:
    """Pin a paused domain of this Xen host, by its number or name; what was done.

    Raises what :func:`domain_steps` raises, ``SourceUnavailable`` where there is no such domain, and ``SourceError``
    where Xen refuses.
    """
    found = find(host, which)
    steps = domain_steps(plan, found, force=force)
    changes.xen_domain(int(found.id), [(one.vcpu, one.cpus) for one in plan.vcpus], tuple(plan.memory))
    return steps


def find(host: Host, which: int | str) -> Domain:
    """A domain of a host by number or name. Raises ``SourceUnavailable`` if there is none."""
    from .. import domains

    for one in domains(host):
        if which in (one.id, str(one.id), one.name):
            return one
    raise SourceUnavailable(f"domain {which}", None, "there is none")


def apply(steps: Sequence[Step]) -> None:
    """Carry out the steps of a command or process.

    Raises ``SourceError`` where the kernel refuses or leaves something out, ``ProcessLookupError`` for a thread that
    has ended.
    """
    for step in steps:
        if step.what == "memory":
            changes.own_memory(step.cells or ())
        elif step.what == "cpus":
            changes.thread_cpus(step.target or 0, step.cpus or ())
        else:
            raise ValueError("a domain is pinned by numaprobe.pin.domain")


__all__ = [
    "Step",
    "apply",
    "command_steps",
    "domain",
    "domain_steps",
    "find",
    "process",
    "process_steps",
    "run",
]
