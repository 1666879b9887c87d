"""What Xen reports of its domains, in its own words and units."""

from __future__ import annotations

from ...named import namedtuple


class VcpuFacts(namedtuple("VcpuFacts", "id online blocked running cpu hard soft")):
    """``domctl getvcpuinfo`` and ``getvcpuaffinity`` of one vcpu.

    ``cpu`` is where it runs, or ran last. ``hard`` and ``soft`` are cpus; ``soft`` is None before 4.5, and both are
    None where Xen withholds them.
    """

    __slots__ = ()
    id: int
    online: bool
    blocked: bool
    running: bool
    cpu: int
    hard: tuple[int, ...] | None
    soft: tuple[int, ...] | None


class VnodeFacts(namedtuple("VnodeFacts", "id size vcpus")):
    """One virtual node of ``memory_op get_vnumainfo`` (4.5 and later): bytes of its ranges, and its vcpus."""

    __slots__ = ()
    id: int
    size: int
    vcpus: tuple[int, ...]


class DomainFacts(
    namedtuple(
        "DomainFacts",
        "id flags tot_pages max_pages outstanding_pages shr_pages paged_pages online_vcpus max_vcpu_id handle cpupool"
        " node_affinity vcpus vnodes node_pages",
        defaults=(None, None, None, None),
    )
):
    """One row of ``sysctl getdomaininfolist``, and what was requested for the domain as well.

    ``outstanding_pages`` is None before 4.3, ``paged_pages`` before 4.2. ``max_vcpu_id`` is None for a domain without
    vcpus. ``node_affinity`` (4.3 and later) does not distinguish a mask that was set from Xen's own. ``vcpus`` is None
    where it was not requested or is withheld, ``vnodes`` for a domain without virtual NUMA, ``node_pages`` wherever no
    hypercall reports it.
    """

    __slots__ = ()
    id: int
    flags: int
    tot_pages: int
    max_pages: int
    outstanding_pages: int | None
    shr_pages: int
    paged_pages: int | None
    online_vcpus: int
    max_vcpu_id: int | None
    handle: bytes
    cpupool: int
    node_affinity: tuple[int, ...] | None
    vcpus: tuple[VcpuFacts, ...] | None
    vnodes: tuple[VnodeFacts, ...] | None
    node_pages: dict[int, int] | None
