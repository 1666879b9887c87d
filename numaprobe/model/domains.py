"""Domains as values: who holds memory, where, and how that is known. Sizes in bytes, None is unknown.

A *domain* is a guest: a Xen domain, or on Linux the process that runs a guest; any other process or control group that
was requested has the same form. See ``docs/domains.md`` for the source of each field.
"""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .host import Note


class Affinity(namedtuple("Affinity", "cpus cells", defaults=(None, None))):
    """Where a domain may run, and where its memory should be or must be allocated; None where unknown.

    ``cpus`` are ids of the host's CPUs, for a domain those of all its vcpus together. ``cells`` are an intent, not
    where the memory is.
    """

    __slots__ = ()
    cpus: tuple[int, ...] | None
    cells: tuple[int, ...] | None


class Vcpu(namedtuple("Vcpu", "id online cpu cpus soft_cpus thread", defaults=(None, None, None, None, None))):
    """One vcpu of a domain.

    ``cpu`` is the host's CPU that it runs on, or ran on last. ``cpus`` are those that it may run on, ``soft_cpus``
    those of them that Xen's scheduler prefers (4.5 and later). ``thread`` is its thread id on Linux. None is unknown.
    """

    __slots__ = ()
    id: int
    online: bool | None
    cpu: int | None
    cpus: tuple[int, ...] | None
    soft_cpus: tuple[int, ...] | None
    thread: int | None


class GuestCell(namedtuple("GuestCell", "id memory vcpus cells", defaults=(None, None, None))):
    """A virtual NUMA node of the guest: its memory in bytes, its vcpus, and the host's cells that back it.

    ``cells`` is None where unknown, and always under Xen, which does not report it.
    """

    __slots__ = ()
    id: int
    memory: int | None
    vcpus: tuple[int, ...] | None
    cells: tuple[int, ...] | None


class RemoteShare(namedtuple("RemoteShare", "source share how how_from", defaults=(None, "unknown", None))):
    """The part of a domain's memory accesses that leave the cell of the vcpu, from 0 to 1, by one source.

    ``source`` is ``hint faults`` (Linux's NUMA balancing), ``run time`` (Linux: where vcpus ran, by their run time, and
    where the memory is) or ``vcpu samples`` (Xen: where vcpus are now, and where the memory is). ``how`` is ``sampled``
    for faults; ``estimated`` for the other two, which take every vcpu to reach all of the memory alike; ``unknown``
    with a ``share`` of None, and then ``how_from`` says why, for example because a source is switched off.
    """

    __slots__ = ()
    source: str
    share: float | None
    how: str
    how_from: str | None


class PlacementSample(namedtuple("PlacementSample", "pages confidence margins")):
    """What an estimated placement rests on, and how far it may be off.

    ``pages`` of the domain were drawn at random and found present. ``margins`` are pairs (cell id, bytes): with a
    probability of ``confidence`` what the domain holds on that cell is no further than this from the figure in
    ``cells``. Each cell has this probability on its own.
    """

    __slots__ = ()
    pages: int
    confidence: float
    margins: tuple[tuple[int, int], ...]


# A value for each field from name to unplaced.
_UNKNOWN: tuple[None, ...] = (None,) * 13


class Domain(
    namedtuple(
        "Domain",
        "id kind name uuid state vcpus vcpus_maximum each_vcpu memory maximum claimed shared paged cells unplaced"
        " how how_from affinity pool guest_cells remote sample",
        # From name to unplaced, then how and the rest.
        defaults=(*_UNKNOWN, "unknown", None, Affinity(), None, None, None, None),
    )
):
    """A domain at one moment.

    ``id`` is Xen's number, or the process id; for a control group that was requested, its path. ``kind`` is ``pv`` or
    ``hvm`` (PVH included) under Xen, else the family of the program (``qemu``, ``cloud-hypervisor``, ``firecracker``,
    ``crosvm``, ``stratovirt``, or ``vmm`` for any other that runs a KVM guest), ``process`` or ``group``. ``state`` is
    ``running``, ``paused``, ``stopped`` (by a signal), ``shutdown``, ``suspended``, ``crashed`` or ``dying``; None
    where it is not known, as for an emulated guest at rest.

    ``vcpus`` counts the online vcpus, ``vcpus_maximum`` those that the domain may have; ``each_vcpu`` lists them.
    ``memory`` is what the domain holds now, ``maximum`` what it may hold (on Linux: what it is configured with, every
    memory device included), ``claimed`` what Xen has promised it in addition; all in bytes. ``shared`` is memory that
    it shares with other domains: Xen's shared pages or, on Linux, what is counted for another domain that also maps it.
    ``paged`` is what Xen has paged out.

    ``cells`` are pairs (cell id, bytes) in id order with every cell of the host, or None. ``unplaced`` is the part of
    ``memory`` whose cell is unknown, so memory is always the sum of both. Both are None if part of the memory is known
    to exist but its size is not. ``how`` is ``exact`` (counted by the kernel or hypervisor), ``deduced`` (no other
    placement is possible), ``debug-key``, ``sampled`` (on request: an estimate, and ``sample`` says how good) or
    ``unknown``; ``how_from`` is the file, system call or hypercall. ``sample`` is None unless sampled. ``pool`` is
    Xen's cpupool. ``guest_cells`` is None for a domain without virtual NUMA. ``remote`` is how much of its accesses
    leave the cell of the vcpu, by each source; None unless requested.
    """

    __slots__ = ()
    id: int | str
    kind: str
    name: str | None
    uuid: str | None
    state: str | None
    vcpus: int | None
    vcpus_maximum: int | None
    each_vcpu: tuple[Vcpu, ...] | None
    memory: int | None
    maximum: int | None
    claimed: int | None
    shared: int | None
    paged: int | None
    cells: tuple[tuple[int, int], ...] | None
    unplaced: int | None
    how: str
    how_from: str | None
    affinity: Affinity
    pool: int | None
    guest_cells: tuple[GuestCell, ...] | None
    remote: tuple[RemoteShare, ...] | None
    sample: PlacementSample | None

    def on(self, cell_id: int) -> int | None:
        """Bytes on one cell; None where the placement is unknown. Raises ``KeyError`` for no such cell."""
        if self.cells is None:
            return None
        held = dict(self.cells)
        if cell_id not in held:
            raise KeyError(f"no cell {cell_id}")
        return held[cell_id]


class Domains(tuple[Domain, ...]):
    """All domains of a host that could be seen, a tuple of ``Domain``.

    ``complete`` is False if there may be others, or if a figure could not be read or does not add up; ``notes`` say
    which, with the path and the offending text. Copies and pickles keep both; slices do not.
    """

    complete: bool
    notes: tuple[Note, ...]

    def __new__(cls, domains: Iterable[Domain] = (), *, complete: bool = True, notes: Iterable[Note] = ()) -> Domains:
        made = super().__new__(cls, domains)
        made.complete = complete
        made.notes = tuple(notes)
        return made


class CellUse(
    namedtuple("CellUse", "id total free pooled domains host unattributed", defaults=(None, None, 0, (), None, None))
):
    """Who holds the memory of one cell, in bytes.

    ``free``, ``pooled``, the sum of ``domains``, ``host`` and ``unattributed`` add up to ``total``. ``pooled`` is
    memory in huge pages that are reserved and unused (Linux). ``domains`` are pairs (domain id, bytes) of the domains
    that hold memory here. ``host`` is known to be the host's own: the kernel's, other processes' and caches', or the
    hypervisor's; under Xen the control domain is a domain. It is None if the domains are not complete, because the rest
    may belong to one that was not seen, or if the placement of one is an estimate (``sampled``). ``unattributed``
    belongs either to the host or to a domain. Both are None if the figures contradict each other, for example because
    they changed while they were read.
    """

    __slots__ = ()
    id: int
    total: int | None
    free: int | None
    pooled: int
    domains: tuple[tuple[int | str, int], ...]
    host: int | None
    unattributed: int | None

    @property
    def allocated(self) -> int | None:
        """Total less free; None if either is unknown."""
        return None if self.total is None or self.free is None else self.total - self.free
