"""Queries the hypervisor for everything, in the order that leaves least room for change, and gathers the facts."""

from __future__ import annotations

from os import strerror

from ..errors import FactError, SourceError, SourceUnavailable
from . import abi, calls, claims, kept, srat, versions
from .facts import (
    CpuInfo,
    CpuPool,
    CpuTopology,
    HeapFree,
    MapEntry,
    NodeMemory,
    PciDevice,
    PhysInfo,
    XenFacts,
    XenVersion,
)
from .sysctl import Sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ..ports import Hypercalls, Reader

    T = TypeVar("T")
    _Found = tuple[
        kept.Fixed,
        list[tuple[str, str]],
        Sysctl,
        PhysInfo,
        tuple[NodeMemory | None, ...],
        tuple[tuple[int | None, ...], ...],
    ]

# How often everything is queried while cpus or nodes keep being added or removed.
_TRIES = 4


def collect(
    port: Hypercalls,
    reader: Reader,
    pci_addresses: Sequence[str] = (),
    *,
    refused: dict[tuple[int, int], int] | None = None,
) -> XenFacts:
    """Everything that this hypervisor reports; ``pci_addresses`` are names in Linux's ``/sys/bus/pci/devices``.

    ``refused`` holds the operations that the hypervisor has refused before, and is updated.

    Without physinfo, cputopoinfo or numainfo there are no facts: raises ``SourceError`` or one of its subclasses, or
    ``FactError``, which name the hypercall. Anything else that is missing or withheld is None and noted.
    """
    again = _again(port)
    if again is None:
        fixed, notes, sysctl, info, nodes, distances = _anew(port)
    else:
        fixed, notes, sysctl, info, nodes, distances = again
    ask = _Asker(fixed.version, notes)
    cpus, cpuinfo, memory_map = fixed.cpus, fixed.cpuinfo, fixed.memory_map
    ask.counts(info, nodes)
    node_claims = ask.optional(claims.collect, sysctl, info, nodes, {} if refused is None else refused)
    heap, total = ask.optional(_heap, sysctl, nodes) or (None, None)
    return XenFacts(
        version=fixed.version,
        sysctl_version=sysctl.version,
        physinfo=info,
        cpus=cpus,
        cpuinfo=cpuinfo,
        online_cpus=ask.online_cpus(info, cpus, cpuinfo, fixed.pools, fixed.free_cpus),
        nodes=nodes,
        distances=distances,
        heap=heap,
        heap_total=total,
        present_pages=ask.present_pages(reader, info, cpus, cpuinfo, nodes, memory_map, known=node_claims is not None),
        memory_map=memory_map,
        pci_devices=ask.pci_devices(sysctl, pci_addresses),
        cpupools=fixed.pools,
        free_cpus=fixed.free_cpus,
        scheduler=None
        if fixed.scheduler is None
        else abi.SCHEDULERS.get(fixed.scheduler, f"scheduler {fixed.scheduler}"),
        claims=node_claims,
        notes=tuple(ask.notes),
    )


def _anew(port: Hypercalls) -> _Found:
    """Everything but what depends on the nodes that there are, from the first call on."""
    withheld: list[tuple[str, str]] = []
    watched = None if getattr(port, "unchanged", None) is None else kept.Watched(port)  # type: ignore[arg-type]
    queried = port if watched is None else watched
    version = calls.version(queried, withheld)
    sysctl, info, found = versions.negotiate(queried, version)
    ask = _Asker(version, [*withheld, *found])
    mark = 0 if watched is None else len(watched.seen)
    for _ in range(_TRIES):
        if watched is not None:
            del watched.seen[mark:]
        cpus = sysctl.cpu_topology(info.max_cpu_id + 1)
        cpuinfo = ask.optional(calls.cpuinfo, queried, info.max_cpu_id + 1)
        nodes, distances = sysctl.numainfo(info.nr_nodes)
        before, info = info, sysctl.physinfo()
        if _shape(before) == _shape(info):
            break
    else:
        ask.note("sysctl physinfo", "CPUs, nodes or memory kept being added or removed while they were queried")
    if cpuinfo is not None:
        cpuinfo += (None,) * (len(cpus) - len(cpuinfo))
    fixed = kept.Fixed(
        version=version,
        sysctl_version=sysctl.version,
        shape=_shape(info),
        cpus=cpus,
        cpuinfo=cpuinfo,
        pools=ask.optional(sysctl.cpupools, info.max_cpu_id + 1),
        free_cpus=ask.optional(sysctl.free_cpus, info.max_cpu_id + 1),
        scheduler=ask.optional(sysctl.scheduler),
        memory_map=ask.optional(calls.memory_map, queried),
    )
    if watched is not None and not ask.notes:
        kept.keep(watched, fixed)
    return fixed, ask.notes, Sysctl(port, sysctl.version), info, nodes, distances


def _again(port: Hypercalls) -> _Found | None:
    """The previous facts if the hypervisor reports the same as last time; None if it does not, or nothing was kept."""
    if getattr(port, "unchanged", None) is None:
        return None
    fixed = kept.known(port)  # type: ignore[arg-type]
    if fixed is None:
        return None
    sysctl = Sysctl(port, fixed.sysctl_version)
    try:
        nodes, distances = sysctl.numainfo(fixed.shape[2])
        info = sysctl.physinfo()
    except (SourceError, FactError):
        return None
    # Memory and CPUs are added under the same numbers as are in the shape; what was compared is then not of now.
    return None if _shape(info) != fixed.shape else (fixed, [], sysctl, info, nodes, distances)


def _heap(sysctl: Sysctl, nodes: Sequence[NodeMemory | None]) -> tuple[tuple[HeapFree | None, ...], HeapFree]:
    """What is free of each node, and of all."""
    present = [at for at, node in enumerate(nodes) if node is not None]
    total, *free = sysctl.heap_free([None, *present])
    found = dict(zip(present, free, strict=True))
    return tuple([found.get(at) for at in range(len(nodes))]), total


def _shape(info: PhysInfo) -> tuple[int, ...]:
    return info.nr_cpus, info.max_cpu_id, info.nr_nodes, info.max_node_id, info.total_pages


class _Asker:
    """What may be missing, and the notes about what was."""

    def __init__(self, version: XenVersion, notes: list[tuple[str, str]]) -> None:
        self.notes = notes
        # Other architectures have neither these cpus' ids nor a machine memory map, and often no PCI.
        self.x86 = version.capabilities is None or "x86" in version.capabilities

    def note(self, where: str, text: str) -> None:
        if (where, text) not in self.notes:
            self.notes.append((where, text))

    def optional(self, function: Callable[..., T], *arguments: object) -> T | None:
        try:
            return function(*arguments)
        except SourceUnavailable as error:
            if self.x86:
                self.note(error.where, "this Xen does not have it")
        except SourceError as error:
            self.note(error.where, calls.reason_of(error))
        except FactError as error:
            self.note(error.where, f"{error.reason}: {error.text}" if error.text else error.reason)
        return None

    def counts(self, info: PhysInfo, nodes: Sequence[NodeMemory | None]) -> None:
        there = sum([node is not None for node in nodes])
        if there != info.nr_nodes:
            self.note("sysctl numainfo", f"{there} nodes where physinfo has {info.nr_nodes}")

    def online_cpus(
        self,
        info: PhysInfo,
        cpus: Sequence[CpuTopology],
        cpuinfo: Sequence[CpuInfo | None] | None,
        pools: Sequence[CpuPool] | None,
        free_cpus: Sequence[int] | None,
    ) -> frozenset[int] | None:
        """Since 4.12 cputopoinfo lists offline cpus like others; get_cpuinfo knows, or the pools together do."""
        if cpuinfo is not None:
            online = frozenset([cpu for cpu, known in enumerate(cpuinfo) if known is not None and known.online])
        elif pools is not None and free_cpus is not None:
            online = frozenset(free_cpus).union(*[pool.cpus for pool in pools])
        else:
            online = frozenset([cpu for cpu, row in enumerate(cpus) if row.socket is not None])
        if len(online) == info.nr_cpus:
            return online
        self.note(
            "sysctl physinfo",
            f"{info.nr_cpus} CPUs are online, but {len(online)} were found: it is unknown which are online",
        )
        return None

    def present_pages(
        self,
        reader: Reader,
        info: PhysInfo,
        cpus: Sequence[CpuTopology],
        cpuinfo: Sequence[CpuInfo | None] | None,
        nodes: Sequence[NodeMemory | None],
        memory_map: Sequence[MapEntry] | None,
        *,
        known: bool,
    ) -> tuple[int | None, ...] | None:
        """The machine's pages by node; a single node has them all, whatever it spans.

        ``known``: the hypervisor itself reports them, so that a table without them is not noted.
        """
        if sum([node is not None for node in nodes]) == 1:
            return tuple([None if node is None else info.total_pages for node in nodes])
        (table,) = reader.read((srat.PATH,))
        if isinstance(table, int):
            if known:
                return None
            self.note(srat.PATH, f"true memory of the nodes is unknown: {strerror(table)}")
            return None
        if memory_map is None:
            return None
        try:
            parsed, total = srat.parse(table), info.total_pages
            sizes = [None if node is None else node.memsize for node in nodes]
            pages = kept.pages(
                (parsed, memory_map, total, sizes, cpus, cpuinfo),
                lambda: srat.present_pages(parsed, memory_map, total, nodes, cpus, cpuinfo),
            )
            free = [node is None or node.memfree <= (pages[at] or 0) * abi.PAGE for at, node in enumerate(nodes)]
            # What is free changes all the time, and is part of what the table is judged by.
            return pages if all(free) else srat.present_pages(parsed, memory_map, total, nodes, cpus, cpuinfo)
        except FactError as error:
            if known:
                return None
            text = f"{error.reason}: {error.text}" if error.text else error.reason
            self.note(error.where, f"true memory of the nodes is unknown: {text}")
            return None

    def pci_devices(self, sysctl: Sysctl, addresses: Sequence[str]) -> tuple[PciDevice, ...] | None:
        """None before 4.6, whose physinfo era has no such hypercall."""
        if sysctl.version < abi.ROWS_SINCE:
            return None
        queried = {address: device for address in addresses if (device := _pci_device(address)) is not None}
        answers = self.optional(sysctl.pci_nodes, tuple(queried.values())) if queried else []
        if answers is None:
            return None
        nodes = dict(zip(queried, answers, strict=True))
        return tuple([_placed(address, nodes.get(address, abi.PCI_DEVICE_UNKNOWN)) for address in addresses])


def _placed(address: str, node: int) -> PciDevice:
    known = node != abi.PCI_DEVICE_UNKNOWN
    return PciDevice(address, node if known and node != abi.ALL_ONES_32 else None, known)


def _pci_device(address: str) -> tuple[int, int, int] | None:
    """Segment, bus and devfn of ``0000:00:1f.2``; None for a device that Xen cannot be queried for.

    Linux gives devices behind some controllers segments of its own, above the 16 bits that hardware has.
    """
    if len(address) != 12 or (address[4], address[7], address[10]) != (":", ":", "."):
        return None
    digits = address[:4] + address[5:7] + address[8:10] + address[11]
    if not digits.isalnum():
        return None
    try:
        number = int(digits, 16)
    except ValueError:
        return None
    slot, function = number >> 4 & 0xFF, number & 0xF
    if slot > 0x1F or function > 7:  # 5 and 3 bits
        return None
    return number >> 20, number >> 12 & 0xFF, slot << 3 | function
