"""What Linux says of a process that runs a guest, in its own words and units."""

from __future__ import annotations

from collections import namedtuple


class GuestNode(namedtuple("GuestNode", "id memory vcpus nodes")):
    """A node that the guest is shown: bytes, vcpus, and the nodes of the host that its memory is bound to."""

    __slots__ = ()
    id: int
    memory: int | None
    vcpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None


class CommandLine(
    namedtuple(
        "CommandLine", "program name uuid memory vcpus vcpus_maximum starts_paused guest_nodes nodes memory_paths"
    )
):
    """A guest as it was asked for; None where the command line does not say.

    ``memory`` in bytes. ``nodes`` are those of the host that all of its memory is bound to. ``memory_paths`` are files
    and directories that back memory. ``starts_paused``: QEMU's ``-S``.
    """

    __slots__ = ()
    program: str
    name: str | None
    uuid: str | None
    memory: int | None
    vcpus: int | None
    vcpus_maximum: int | None
    starts_paused: bool
    guest_nodes: tuple[GuestNode, ...] | None
    nodes: tuple[int, ...] | None
    memory_paths: tuple[str, ...]


class ThreadFacts(namedtuple("ThreadFacts", "id vcpu accelerated state cpu cpus run_time asleep_in")):
    """A thread that runs a vcpu, from ``/proc/PID/task/TID``: its name, stat, status and wchan (proc(5)).

    ``accelerated`` is False for QEMU's own emulation (TCG). ``state`` is the kernel's letter, ``cpu`` the one it ran on
    last, ``cpus`` those it may run on, ``run_time`` its time in clock ticks, ``asleep_in`` a function of the kernel.
    """

    __slots__ = ()
    id: int
    vcpu: int
    accelerated: bool
    state: str
    cpu: int | None
    cpus: tuple[int, ...] | None
    run_time: int
    asleep_in: str | None


class GuestFacts(namedtuple("GuestFacts", "id line state threads cpus nodes held unplaced resident shared held_from")):
    """A process that runs a guest, or any other process or control group that was asked for.

    ``id`` is the process id or the group's path. ``line`` is None for one that runs no guest. ``state`` is the
    kernel's letter for the process. ``cpus`` and ``nodes`` are what it may use. ``held`` is bytes by node, None where
    the kernel does not tell; ``unplaced`` bytes of which it does not tell the node, ``resident`` the bytes that
    ``/proc/PID/status`` has, ``shared`` bytes that are counted for another process.
    """

    __slots__ = ()
    id: int | str
    line: CommandLine | None
    state: str | None
    threads: tuple[ThreadFacts, ...] | None
    cpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None
    held: dict[int, int] | None
    unplaced: int
    resident: int | None
    shared: int
    held_from: str
