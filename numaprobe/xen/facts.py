"""What Xen reports, in its own words and units; nothing here is interpreted but the sentinels, which become None.

Cpu numbers are Xen's physical cpus, which have nothing to do with the virtual cpus that the control domain's Linux
calls cpus; node numbers are Xen's own, neither ACPI's proximity domains nor Linux's nodes. Pages are of 4096 bytes.
"""

from __future__ import annotations

from ..named import namedtuple


class XenVersion(
    namedtuple("XenVersion", "major minor extra capabilities changeset commandline", defaults=(None, None, None, None))
):
    """``xen_version``: who answers. The strings are None where the security policy or the age of Xen withholds them.

    ``extra`` begins with what follows the minor number, as in ``.5`` or ``-rc``. ``commandline`` is cut by Xen
    after 1023 bytes.
    """

    __slots__ = ()
    major: int
    minor: int
    extra: str | None
    capabilities: str | None
    changeset: str | None
    commandline: str | None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{self.extra or ''}"


class PhysInfo(
    namedtuple(
        "PhysInfo",
        "threads_per_core cores_per_socket nr_cpus max_cpu_id nr_nodes max_node_id cpu_khz capabilities"
        " total_pages free_pages scrub_pages outstanding_pages max_mfn",
        defaults=(None, None),
    )
):
    """``sysctl physinfo``: the whole machine.

    ``threads_per_core`` and ``cores_per_socket`` are those of cpu 0 and count online siblings only. ``nr_cpus`` is how
    many are online, ``max_cpu_id`` the last that this Xen could ever number (on 4.1 its compiled limit).
    ``free_pages`` includes what is claimed; ``outstanding_pages`` (4.3 and later, else None) is what is promised to
    domains and not yet taken. ``max_mfn`` was added in 4.10.
    """

    __slots__ = ()
    threads_per_core: int
    cores_per_socket: int
    nr_cpus: int
    max_cpu_id: int
    nr_nodes: int
    max_node_id: int
    cpu_khz: int
    capabilities: tuple[str, ...]
    total_pages: int
    free_pages: int
    scrub_pages: int
    outstanding_pages: int | None
    max_mfn: int | None


class CpuTopology(namedtuple("CpuTopology", "core socket node")):
    """One row of ``sysctl cputopoinfo`` (``topologyinfo`` before 4.6); all three are None for a cpu that is absent.

    From 4.12 on an offline cpu has a full row like any other; before that its row is empty or beyond the end.
    A core number is unique within its socket only.
    """

    __slots__ = ()
    core: int | None
    socket: int | None
    node: int | None


class NodeMemory(namedtuple("NodeMemory", "memsize memfree")):
    """One node of ``sysctl numainfo``, in bytes. ``memsize`` is the span of its addresses, holes included."""

    __slots__ = ()
    memsize: int
    memfree: int


class NodeClaims(namedtuple("NodeClaims", "size free claimed")):
    """One node of ``sysctl numa_meminfo`` (XenServer and XCP-ng since 9), in bytes: ``size`` without holes."""

    __slots__ = ()
    size: int
    free: int
    claimed: int


class HeapFree(namedtuple("HeapFree", "free free_below_4g")):
    """``sysctl availheap`` in bytes: all that is free, and the part with addresses below 4 GiB."""

    __slots__ = ()
    free: int
    free_below_4g: int


class PciDevice(namedtuple("PciDevice", "address node known")):
    """``sysctl pcitopoinfo`` (4.6 and later) of one device, under the address that was requested.

    ``node`` is None where Xen knows the device and not its node, and where ``known`` is False: no such device in Xen.
    """

    __slots__ = ()
    address: str
    node: int | None
    known: bool


class CpuPool(namedtuple("CpuPool", "id scheduler domains cpus")):
    """``sysctl cpupool_op`` INFO: a pool, the number of its scheduler, its domains, and its (online) cpus."""

    __slots__ = ()
    id: int
    scheduler: int
    domains: int
    cpus: tuple[int, ...]


class CpuInfo(namedtuple("CpuInfo", "online apic_id acpi_id")):
    """``platform_op get_cpuinfo`` (x86): whether a present cpu is online, and its ids; None: firmware gave none."""

    __slots__ = ()
    online: bool
    apic_id: int | None
    acpi_id: int | None


class MapEntry(namedtuple("MapEntry", "address size type")):
    """One entry of ``memory_op machine_memory_map``, in bytes. Type 1 is RAM; Xen adds reserved entries of its own."""

    __slots__ = ()
    address: int
    size: int
    type: int


class XenFacts(
    namedtuple(
        "XenFacts",
        "version sysctl_version physinfo cpus cpuinfo online_cpus nodes distances heap heap_total present_pages"
        " memory_map pci_devices cpupools free_cpus scheduler claims notes",
        defaults=(None, None, None, None, None, None, None, None, None, ()),
    )
):
    """Everything that the hypervisor reported.

    ``cpus`` is indexed by Xen's cpu number, ``nodes``, ``heap`` and ``distances`` by Xen's node number; an absent
    node is None. A distance is None where there is no path; rows are the accessing node. ``online_cpus`` is None where
    no hypercall could report it, ``cpuinfo``, ``cpupools`` and others where Xen does not have or withholds them.
    ``cpuinfo`` is never shorter than ``cpus`` and may be longer: before 4.12 only it has the last cpus if offline.
    ``present_pages`` is the true memory of each node, found as in :mod:`numaprobe.xen.srat`, or None; ``claims`` has it
    too, from a Xen that reports claims by node.
    ``notes`` are pairs of the hypercall or file, and what was wrong with it.
    """

    __slots__ = ()
    version: XenVersion
    sysctl_version: int
    physinfo: PhysInfo
    cpus: tuple[CpuTopology, ...]
    cpuinfo: tuple[CpuInfo | None, ...] | None
    online_cpus: frozenset[int] | None
    nodes: tuple[NodeMemory | None, ...]
    distances: tuple[tuple[int | None, ...], ...]
    heap: tuple[HeapFree | None, ...] | None
    heap_total: HeapFree | None
    present_pages: tuple[int | None, ...] | None
    memory_map: tuple[MapEntry, ...] | None
    pci_devices: tuple[PciDevice, ...] | None
    cpupools: tuple[CpuPool, ...] | None
    free_cpus: tuple[int, ...] | None
    scheduler: str | None
    claims: tuple[NodeClaims | None, ...] | None
    notes: tuple[tuple[str, str], ...]
