"""What Linux reports, in its own words and units: node, not cell; kilobytes and pages, not bytes."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .memory_state import BlockFacts, FailureFacts
    from .usable import UsableFacts


class HugePageFacts(namedtuple("HugePageFacts", "size_kb total free surplus", defaults=(None, None, None))):
    """Huge pages of one size on one node, in pages; a count is None where its file is missing."""

    __slots__ = ()
    size_kb: int
    total: int | None
    free: int | None
    surplus: int | None


class AccessFacts(
    namedtuple(
        "AccessFacts",
        "level initiators read_latency write_latency read_bandwidth write_bandwidth",
        defaults=(None, None, None, None),
    )
):
    """``nodeN/accessM/initiators``: nanoseconds and MiB/s, as Documentation/admin-guide/mm/numaperf.rst has it."""

    __slots__ = ()
    level: int
    initiators: tuple[int, ...]
    read_latency: int | None
    write_latency: int | None
    read_bandwidth: int | None
    write_bandwidth: int | None


class SideCacheFacts(
    namedtuple(
        "SideCacheFacts",
        "level size line_size indexing write_policy address_mode",
        defaults=(None, None, None, None, None),
    )
):
    """``nodeN/memory_side_cache/indexM``: bytes; the policies and the mode are the kernel's numbers (numaperf.rst)."""

    __slots__ = ()
    level: int
    size: int | None
    line_size: int | None
    indexing: int | None
    write_policy: int | None
    address_mode: int | None


class MeminfoFacts(
    namedtuple(
        "MeminfoFacts",
        "total_kb free_kb active_file_kb inactive_file_kb reclaimable_kb available_kb",
        defaults=(None, None, None, None, None, None),
    )
):
    """``nodeN/meminfo`` or ``/proc/meminfo``; a field that the kernel does not print is None.

    ``reclaimable_kb`` is KReclaimable (Linux 4.20), or SReclaimable on older kernels; ``available_kb`` is only in
    ``/proc/meminfo`` (Linux 3.14).
    """

    __slots__ = ()
    total_kb: int | None
    free_kb: int | None
    active_file_kb: int | None
    inactive_file_kb: int | None
    reclaimable_kb: int | None
    available_kb: int | None


class NodeFacts(
    namedtuple(
        "NodeFacts",
        "id cpus meminfo distance huge_pages accesses side_caches interleave_weight",
        defaults=(None, None, None, (), (), (), None),
    )
):
    """One ``nodeN`` directory.

    ``cpus`` as the node names them (old kernels and ppc64 name offline ones too), None where nothing says;
    ``distance`` is the raw row, whose columns follow the online nodes. ``interleave_weight`` is the share of the node
    under MPOL_WEIGHTED_INTERLEAVE, None before Linux 6.9.
    """

    __slots__ = ()
    id: int
    cpus: tuple[int, ...] | None
    meminfo: MeminfoFacts | None
    distance: tuple[int, ...] | None
    huge_pages: tuple[HugePageFacts, ...]
    accesses: tuple[AccessFacts, ...]
    side_caches: tuple[SideCacheFacts, ...]
    interleave_weight: int | None


class CpuFacts(
    namedtuple(
        "CpuFacts",
        "present online possible isolated isolated_are_all nohz_full package die cluster core book drawer siblings"
        " capacity kinds",
        defaults=(None, None, True, None, {}, {}, {}, {}, {}, {}, {}, {}, ()),
    )
):
    """``/sys/devices/system/cpu``. The dictionaries are by cpu id and hold online cpus only.

    ``siblings`` are the threads of a cpu's core as the kernel lists them. ``kinds`` are pairs of a hybrid kind's name
    and its cpus. ``isolated``, ``nohz_full`` and ``possible`` are None where the kernel has no such file.
    Two files list isolated cpus: ``isolated_are_all`` is False where one of them is unknown.
    """

    __slots__ = ()
    present: tuple[int, ...]
    online: tuple[int, ...]
    possible: tuple[int, ...] | None
    isolated: tuple[int, ...] | None
    isolated_are_all: bool
    nohz_full: tuple[int, ...] | None
    package: dict[int, int | None]
    die: dict[int, int | None]
    cluster: dict[int, int | None]
    core: dict[int, int | None]
    book: dict[int, int | None]
    drawer: dict[int, int | None]
    siblings: dict[int, tuple[int, ...]]
    capacity: dict[int, int | None]
    kinds: tuple[tuple[str, tuple[int, ...]], ...]


class CacheFacts(
    namedtuple("CacheFacts", "level type size_kb id cpus line_size ways sets", defaults=(None, None, None))
):
    """One ``cpuN/cache/indexM``: ``type`` is the kernel's word, ``cpus`` the online ones that share the cache.

    ``line_size`` is ``coherency_line_size`` in bytes, ``ways`` is ``ways_of_associativity``, ``sets`` is
    ``number_of_sets``; None for a file that is missing, and for 0.
    """

    __slots__ = ()
    level: int
    type: str | None
    size_kb: int | None
    id: int | None
    cpus: tuple[int, ...]
    line_size: int | None
    ways: int | None
    sets: int | None


class ZoneFacts(namedtuple("ZoneFacts", "node name low_pages high_pages managed_pages protection_pages")):
    """One zone of ``/proc/zoneinfo``; None where an unpopulated zone stops early."""

    __slots__ = ()
    node: int
    name: str
    low_pages: int | None
    high_pages: int | None
    managed_pages: int | None
    protection_pages: tuple[int, ...]


class DeviceFacts(
    namedtuple(
        "DeviceFacts",
        "address node class_code vendor device names local_cpus bridge",
        defaults=(None, None, None, None, (), None, None),
    )
):
    """One device of the PCI, DAX or CXL bus; ``node`` is None for the kernel's -1, codes are None without their file.

    ``names`` are pairs of class and name. ``local_cpus`` and ``bridge``, the address of the PCI bridge above, are read
    only for a device without a node on a host with several.
    """

    __slots__ = ()
    address: str
    node: int | None
    class_code: int | None
    vendor: int | None
    device: int | None
    names: tuple[tuple[str, str], ...]
    local_cpus: tuple[int, ...] | None
    bridge: str | None


class AllowedFacts(
    namedtuple("AllowedFacts", "cpus nodes quota where unpartitioned", defaults=(None, None, None, (), None))
):
    """What the calling process may use: cpus and nodes, None where nothing limits or reports them; ``quota`` in cpus.

    ``where`` names the files that these are from. ``unpartitioned`` are the cpus of the root group, which partitions of
    cpusets take theirs from; None where there is no such group to be seen.
    """

    __slots__ = ()
    cpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None
    quota: float | None
    where: tuple[str, ...]
    unpartitioned: tuple[int, ...] | None


class LinuxFacts(
    namedtuple(
        "LinuxFacts",
        "numa nodes cpus nodes_online nodes_possible has_cpu has_memory meminfo huge_pages zones tiers kinds devices"
        " allowed notes caches usable generic_initiators failures blocks",
        defaults=(None, None, None, None, None, (), None, {}, {}, None, None, (), None, None, None, None, None),
    )
):
    """Everything that was read of a Linux host.

    ``numa`` is False where the kernel has no node directory; only then are ``huge_pages``, the whole machine's, filled
    in. ``meminfo`` is the whole machine's too, read with ``available`` or where there are no nodes. ``has_cpu`` and
    ``has_memory`` are read only where a node does not say itself. ``zones``, ``devices``, ``allowed``, ``caches``
    and ``usable`` are None where they were not requested or do not exist. ``tiers`` and ``kinds`` are by node id.
    ``notes`` are pairs of path and text. ``generic_initiators`` are the nodes of ``node/has_generic_initiator``, read
    where a node has classes of access. ``failures`` and ``blocks`` are by node id, None unless requested.
    """

    __slots__ = ()
    numa: bool
    nodes: tuple[NodeFacts, ...]
    cpus: CpuFacts
    nodes_online: tuple[int, ...] | None
    nodes_possible: tuple[int, ...] | None
    has_cpu: tuple[int, ...] | None
    has_memory: tuple[int, ...] | None
    meminfo: MeminfoFacts | None
    huge_pages: tuple[HugePageFacts, ...]
    zones: tuple[ZoneFacts, ...] | None
    tiers: dict[int, int]
    kinds: dict[int, str]
    devices: tuple[DeviceFacts, ...] | None
    allowed: AllowedFacts | None
    notes: tuple[tuple[str, str], ...]
    caches: tuple[CacheFacts, ...] | None
    usable: UsableFacts | None
    generic_initiators: tuple[int, ...] | None
    failures: dict[int, FailureFacts] | None
    blocks: dict[int, BlockFacts] | None
