"""One model of a host for both sources: cells, cpus, memory. Values only: compare, hash, pickle, diff them.

A *cell* is a NUMA node: processors and the memory next to them. Sizes are in bytes; None is unknown, 0 is a fact. Ids
are the source's own and only labels: they may be sparse, and what is offline may have none. The types are named tuples;
use the field names, because fields may be added.
"""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .usable import MemoryBlocks, MemoryFailures, Usable


class Note(namedtuple("Note", "where text")):
    """A file or call that was unreadable, broken or contradictory, without making the whole answer wrong.

    ``where`` is the file (without a leading ``sys/devices/system/node/`` or ``.../cpu/``) or the hypercall; ``text``
    quotes what was read.
    """

    __slots__ = ()
    where: str
    text: str


class Memory(
    namedtuple(
        "Memory",
        "total free available span free_below_4g total_from free_from available_from claimed",
        defaults=(None, None, None, None, None, None, None, None, None),
    )
):
    """Memory of one cell, in bytes.

    ``total`` is usable memory: what the kernel or hypervisor manages, without holes and firmware. ``free`` is what its
    allocator has now. ``available`` is what could be allocated without swapping: free plus what can be reclaimed, less
    the kernel's reserves and what is claimed. Only Xen reports ``span``, the extent of the cell's addresses, holes
    included, ``free_below_4g``, the part of ``free`` that PV guests and old devices need, and ``claimed``, the part
    that is promised to domains and not yet taken. The three ``_from`` fields say how each figure is known, and are None
    where the figure is None.
    """

    __slots__ = ()
    total: int | None
    free: int | None
    available: int | None
    span: int | None
    free_below_4g: int | None
    total_from: str | None
    free_from: str | None
    available_from: str | None
    claimed: int | None

    @property
    def allocated(self) -> int | None:
        """Bytes in use: total less free; None if either is unknown."""
        return None if self.total is None or self.free is None else self.total - self.free


def total(values: Iterable[int | None]) -> int | None:
    """Sum of figures, None if one of them is unknown or there are none."""
    figures = list(values)
    known = [value for value in figures if value is not None]
    return sum(known) if known and len(known) == len(figures) else None


class HugePages(namedtuple("HugePages", "size total free surplus", defaults=(None, None, None))):
    """Huge pages of one size in one cell. ``size`` is in bytes; the others count pages, None where not reported."""

    __slots__ = ()
    size: int
    total: int | None
    free: int | None
    surplus: int | None


class Access(
    namedtuple(
        "Access",
        "level initiators read_latency write_latency read_bandwidth write_bandwidth",
        defaults=(None, None, None, None),
    )
):
    """How the nearest initiators reach a cell's memory, as firmware (ACPI HMAT) reports it.

    ``level`` 0 counts initiators of any kind, 1 only cells with CPUs. ``initiators`` are cell ids. Latencies are in
    nanoseconds, bandwidths in bytes per second, None where firmware does not report them.
    """

    __slots__ = ()
    level: int
    initiators: tuple[int, ...]
    read_latency: int | None
    write_latency: int | None
    read_bandwidth: int | None
    write_bandwidth: int | None


class SideCache(
    namedtuple(
        "SideCache", "level size line_size indexing write_policy address_mode", defaults=(None, None, None, None, None)
    )
):
    """A memory-side cache in front of a cell's memory; sizes in bytes.

    ``indexing`` is ``direct``, ``indexed`` or ``custom``; ``write_policy`` is ``write-back``, ``write-through`` or
    ``other``; ``address_mode`` is ``extended-linear`` where the cache is part of the cell's addresses (CXL), None
    otherwise; None where not reported.
    """

    __slots__ = ()
    level: int
    size: int | None
    line_size: int | None
    indexing: str | None
    write_policy: str | None
    address_mode: str | None


class Cache(namedtuple("Cache", "level type size id cpus line_size ways sets", defaults=(None, None, None))):
    """A cache between CPUs and memory.

    ``level`` is 1 for the nearest to the CPU. ``type`` is ``data``, ``instruction`` or ``unified``, None if the source
    reports another type or none. ``size`` is in bytes, None where unknown. ``id`` is unique among the caches of a level
    and type, and is the number that resctrl uses; None where the source does not number them. ``cpus`` are the ids of
    the online CPUs that share it, ascending. ``line_size`` is in bytes, ``ways`` counts the lines of a set
    (associativity) and ``sets`` the sets, None where unknown; some firmware reports a ``size`` that is not their
    product. Source: ``cpuN/cache/indexM`` of Linux.
    """

    __slots__ = ()
    level: int
    type: str | None
    size: int | None
    id: int | None
    cpus: tuple[int, ...]
    line_size: int | None
    ways: int | None
    sets: int | None


class Device(
    namedtuple(
        "Device",
        "address cell class_code vendor device names cell_from cpu_cell cpu_cell_from",
        defaults=(None, None, None, None, (), None, None, None),
    )
):
    """A PCI device, or a DAX or CXL device that is on no PCI bus.

    ``address`` is ``dddd:bb:dd.f``, or the name on the other bus (``dax0.0``, ``mem0``). ``cell`` is the one that it is
    near to, None where that is unknown; ``cell_from`` says how it is known: ``numa_node``; where the kernel has -1
    there ``local_cpulist`` or ``bridge ADDRESS``; on Xen ``sysctl pcitopoinfo``. PCI codes are None where there is no
    file. ``names`` are pairs of class (``net``, ``infiniband``, ``nvme``, ``block``, ``drm``, ``accel``, ``dax``,
    ``cxl``) and name.

    ``cpu_cell`` is the nearest cell with cpus, for a device whose own cell is memory only or unknown;
    ``cpu_cell_from`` says how it is known: ``own cell``, ``only cell with cpus``, ``access1 initiators`` (or
    ``access0``) of the cell's memory, or ``distances``. None where nothing says and where two are equally near.
    """

    __slots__ = ()
    address: str
    cell: int | None
    class_code: int | None
    vendor: int | None
    device: int | None
    names: tuple[tuple[str, str], ...]
    cell_from: str | None
    cpu_cell: int | None
    cpu_cell_from: str | None


class Cell(
    namedtuple(
        "Cell",
        "id cpus memory huge_pages distances accesses side_caches tier kind stand_in interleave_weight usable"
        " generic_initiator failures blocks",
        defaults=(None, Memory(), (), None, (), (), None, None, False, None, None, None, None, None),
    )
):
    """A NUMA node: processors and the memory next to them.

    ``cpus`` are the ids of its online CPUs, ascending: ``()`` if it has none, None if the source does not report them.
    ``huge_pages`` has one entry per size, smallest first. ``distances`` are pairs (cell id, cost) in id order, or None.
    Costs are SLIT values without a unit: 10 is local, and the opposite direction may differ. ``tier`` is the kernel's
    memory tier (lower is faster). ``kind`` of memory is ``gpu``, ``cxl``, ``dax``, or None if nothing marks it.
    ``stand_in`` is True for the one cell of a kernel without NUMA nodes: it represents the whole machine, and no
    program accepts its id as a node. ``interleave_weight`` is how many consecutive pages the cell gets under Linux's
    weighted interleaving (1 to 255). ``usable`` says what its free memory can be used for; None unless requested.
    ``generic_initiator`` says whether the cell has an initiator other than CPUs, None where the kernel does not report
    it. ``failures`` are its pages with an uncorrected error, ``blocks`` its memory blocks; None unless requested.
    """

    __slots__ = ()
    id: int
    cpus: tuple[int, ...] | None
    memory: Memory
    huge_pages: tuple[HugePages, ...]
    distances: tuple[tuple[int, int | None], ...] | None
    accesses: tuple[Access, ...]
    side_caches: tuple[SideCache, ...]
    tier: int | None
    kind: str | None
    stand_in: bool
    interleave_weight: int | None
    usable: Usable | None
    generic_initiator: bool | None
    failures: MemoryFailures | None
    blocks: MemoryBlocks | None

    def distance_to(self, cell_id: int) -> int | None:
        """Cost for this cell's CPUs to reach another cell's memory; None if the source reports none.

        Raises ``KeyError`` for a cell that is not in ``distances``, whose positions are not ids.
        """
        if self.distances is None:
            return None
        row = dict(self.distances)
        if cell_id not in row:
            raise KeyError(f"no distance to cell {cell_id}")
        return row[cell_id]


class Cpu(
    namedtuple(
        "Cpu",
        "id online cell package die cluster core siblings kind isolated nohz_full book drawer capacity pool",
        defaults=(None, None, None, None, None, None, None, None, None, None, None, None, None, None),
    )
):
    """One hardware thread.

    ``online`` is None if a hypervisor's answers contradict each other, as while CPUs are being added or removed.
    ``cell`` is None for a CPU that is in no cell, or in several because of a firmware error. ``package``, ``die``,
    ``cluster``, ``core``, ``book`` and ``drawer`` (s390) are the source's own ids, None where it reports none or -1. A
    core's id is unique only within its package and die, so distinguish cores by ``siblings``: the online threads of the
    core, this one included, None where unknown. ``kind`` distinguishes the CPUs of a hybrid machine: ``core``,
    ``atom``, ``lowpower`` or ``capacity-N``; None where all are alike. ``capacity`` is the kernel's relative capacity
    (at most 1024). ``isolated`` and ``nohz_full`` are None where the kernel does not report them. ``pool`` is the
    CPU's cpupool in Xen, None for a CPU in no pool, and on Linux.
    """

    __slots__ = ()
    id: int
    online: bool | None
    cell: int | None
    package: int | None
    die: int | None
    cluster: int | None
    core: int | None
    siblings: tuple[int, ...] | None
    kind: str | None
    isolated: bool | None
    nohz_full: bool | None
    book: int | None
    drawer: int | None
    capacity: int | None
    pool: int | None


class Hypervisor(namedtuple("Hypervisor", "name version scheduler commandline claimed", defaults=(None, None, None))):
    """The hypervisor that was queried.

    ``name`` is ``xen``, ``version`` as in ``4.17.7``. ``scheduler`` is that of the default pool, ``commandline`` the
    one Xen was booted with; None where Xen does not report them. ``claimed`` is memory promised to domains and not yet
    taken, in bytes for the whole host, because Xen does not report it by cell; None before Xen 4.3.
    """

    __slots__ = ()
    name: str
    version: str
    scheduler: str | None
    commandline: str | None
    claimed: int | None


class Allowed(
    namedtuple(
        "Allowed",
        "cpus cells quota where memory policy policy_cells partitioned",
        defaults=(None, None, None, (), None, None, None, None),
    )
):
    """What the calling process may use, by affinity, cpuset and control group; not what the host has.

    ``cpus`` and ``cells`` are ids, None where nothing reports them. ``quota`` is CPU time in CPUs (1.5 is one and a
    half), None without a limit. ``where`` names the files that these are from. ``memory`` is what the process may still
    allocate before a control group's limit is reached, in bytes, with the page cache that its group can give back; None
    without a limit. ``policy`` is the memory policy of the process in the kernel's words (``default``, ``bind``,
    ``prefer``, ``interleave``), ``policy_cells`` its cells; None where unknown. These three need ``usable=True``.
    ``partitioned`` are the online CPUs that partitions of cpusets keep for their own processes, whether this one is in
    such a partition or not; None where the root of the control groups (version 2) is not visible.
    """

    __slots__ = ()
    cpus: tuple[int, ...] | None
    cells: tuple[int, ...] | None
    quota: float | None
    where: tuple[str, ...]
    memory: int | None
    policy: str | None
    policy_cells: tuple[int, ...] | None
    partitioned: tuple[int, ...] | None


class Host(
    namedtuple(
        "Host",
        "source hypervisor cells cpus notes possible_cells possible_cpus devices allowed machine caches",
        defaults=((), None, None, None, None, None, None),
    )
):
    """A host at one moment.

    ``source`` is ``linux`` or ``xen``. ``cells`` and ``cpus`` are in id order; ``cpus`` has all present CPUs, online or
    not. ``possible_cells`` and ``possible_cpus`` are the ids that hotplug may add, None where the source does not
    report them. ``devices`` and ``allowed`` are None unless requested, and where the source has none. ``machine`` is
    the architecture as in ``uname -m``, None for a recording that does not contain it. ``caches`` are ordered by level,
    type (data, instruction, unified) and first CPU; None unless requested, where the kernel reports none, and on Xen,
    whose control domain sees only the caches of its virtual CPUs.
    """

    __slots__ = ()
    source: str
    hypervisor: Hypervisor | None
    cells: tuple[Cell, ...]
    cpus: tuple[Cpu, ...]
    notes: tuple[Note, ...]
    possible_cells: tuple[int, ...] | None
    possible_cpus: tuple[int, ...] | None
    devices: tuple[Device, ...] | None
    allowed: Allowed | None
    machine: str | None
    caches: tuple[Cache, ...] | None

    def cell(self, cell_id: int) -> Cell:
        """The cell with this id. Raises ``KeyError`` if there is none."""
        return self.cells[_position(self.cells, cell_id, "cell")]

    def cpu(self, cpu_id: int) -> Cpu:
        """The cpu with this id. Raises ``KeyError`` if there is none."""
        return self.cpus[_position(self.cpus, cpu_id, "cpu")]

    def distance(self, start: int, end: int) -> int | None:
        """Cost for the CPUs of cell ``start`` to reach the memory of cell ``end``; None if the source reports none.

        Raises ``KeyError`` if there is no such cell.
        """
        row = self.cell(start).distances
        self.cell(end)
        return None if row is None else dict(row).get(end)

    def device(self, name: str) -> Device:
        """The device with this PCI address, in any usual form, or name: ``eth0``, ``3b:00.0``, ``00000000:3B:00.0``.

        Raises ``KeyError`` if there is none, and for a host that was probed without ``devices=True``.
        """
        from .devices import find

        return find(self.devices, name)

    def last_level_cache(self, cpu_id: int) -> Cache | None:
        """The cache of the highest level that the CPU has; None where caches are unknown.

        Raises ``KeyError`` if there is no such CPU.
        """
        self.cpu(cpu_id)
        # In the order of their levels.
        cache: Cache
        for cache in reversed(self.caches or ()):
            if cache.type != "instruction" and cpu_id in cache.cpus:
                return cache
        return None

    def to_dict(self) -> dict[str, Any]:
        """The host as the JSON document ``numaprobe/1``: built-in types only."""
        from .host_document import host_document

        return host_document(self)


def _position(values: tuple[Cell, ...] | tuple[Cpu, ...], wanted: int, what: str) -> int:
    from bisect import bisect_left

    position = bisect_left(values, wanted, key=lambda value: value.id)
    if position == len(values) or values[position].id != wanted:
        raise KeyError(f"no {what} {wanted}")
    return position
