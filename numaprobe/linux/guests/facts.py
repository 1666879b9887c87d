"""What Linux reports about a process that runs a guest, in its own words and units."""

from __future__ import annotations

from ...named import namedtuple


class GuestNode(namedtuple("GuestNode", "id memory vcpus nodes", defaults=(None, None, None))):
    """A node that the guest is shown: bytes, vcpus, and the nodes of the host that its memory is bound to."""

    __slots__ = ()
    id: int
    memory: int | None
    vcpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None


class CommandLine(
    namedtuple(
        "CommandLine",
        "program name uuid memory vcpus vcpus_maximum starts_paused guest_nodes nodes memory_paths",
        defaults=(None, None, None, None, None, False, None, None, ()),
    )
):
    """A guest as its command line describes it; None where the command line does not specify it.

    ``program`` is the family: ``qemu``, ``cloud-hypervisor``, ``firecracker``, ``crosvm``, ``stratovirt``, or ``vmm``
    for a program that is none of these and has a KVM machine. ``memory`` is in bytes with every memory device, None
    where memory may have been added that the command line does not name. ``nodes`` are those of the host that all of
    the memory is bound to. ``memory_paths`` are files and directories that back memory. ``starts_paused``: QEMU's
    ``-S``.
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


class LibvirtRecord(
    namedtuple("LibvirtRecord", "state name uuid memory vcpus vcpus_maximum", defaults=(None, None, None, None, None))
):
    """libvirtd's own record of a running guest, ``/run/libvirt/qemu/NAME.xml``; ``memory`` in bytes, as it is now."""

    __slots__ = ()
    state: str
    name: str | None
    uuid: str | None
    memory: int | None
    vcpus: int | None
    vcpus_maximum: int | None


class ThreadFacts(
    namedtuple(
        "ThreadFacts",
        "id vcpu accelerated state cpu cpus run_time guest_time switches asleep_in faults",
        defaults=(None, None, 0, None, None, None, None),
    )
):
    """A thread that runs a vcpu, from ``/proc/PID/task/TID``: its stat, status and wchan (proc(5)).

    ``accelerated`` is False for QEMU's own emulation (TCG). ``state`` is the kernel's letter, ``cpu`` the one it ran on
    last, ``cpus`` those it may run on, ``run_time`` its time in clock ticks, ``guest_time`` the part of it that the
    vcpu ran, ``switches`` how often it has gone to sleep, ``asleep_in`` a function of the kernel.
    ``faults`` are NUMA hint faults by the node of the memory, None where they were not requested or there are none.
    """

    __slots__ = ()
    id: int
    vcpu: int
    accelerated: bool
    state: str
    cpu: int | None
    cpus: tuple[int, ...] | None
    run_time: int
    guest_time: int | None
    switches: int | None
    asleep_in: str | None
    faults: dict[int, int] | None


class SampledPart(namedtuple("SampledPart", "size pages drawn")):
    """What an estimate by sampling rests on: bytes of one kind of memory, the pages of it that were found present, by
    node, and how many were drawn for them, those that were not present among them.
    """

    __slots__ = ()
    size: int
    pages: dict[int, int]
    drawn: int


class GuestFacts(
    namedtuple(
        "GuestFacts",
        "id line state threads rested cpus nodes held unplaced resident shared held_from record sampled",
        defaults=(None, None, None, False, None, None, None, None, None, 0, None, None, ()),
    )
):
    """A process that runs a guest, or any other process or control group that was requested.

    ``id`` is the process id or the group's path. ``line`` is None for one that runs no guest. ``state`` is the
    kernel's letter for the process. ``rested`` says that no vcpu thread has woken up between two looks at it. ``cpus``
    and ``nodes`` are what it may use. ``held`` is bytes by node, None where the kernel does not report it;
    ``unplaced`` bytes whose node it does not report, None where even the amount is unknown; ``resident`` the bytes
    that ``/proc/PID/status`` has; ``shared`` bytes that are counted for another process.
    ``sampled`` is what ``held`` was estimated from; empty where it was counted.
    """

    __slots__ = ()
    id: int | str
    line: CommandLine | None
    state: str | None
    threads: tuple[ThreadFacts, ...] | None
    rested: bool
    cpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None
    held: dict[int, int] | None
    unplaced: int | None
    resident: int | None
    shared: int
    held_from: str | None
    record: LibvirtRecord | None
    sampled: tuple[SampledPart, ...]


class Found(namedtuple("Found", "guests complete notes balancing", defaults=(True, (), None))):
    """All guests that could be seen; ``complete`` is False if there may be others, or figures are missing.

    ``notes`` are pairs of a path and what was wrong with it. ``balancing`` is ``kernel.numa_balancing``, read with the
    hint faults; None where the kernel has none.
    """

    __slots__ = ()
    guests: tuple[GuestFacts, ...]
    complete: bool
    notes: tuple[tuple[str, str], ...]
    balancing: int | None
