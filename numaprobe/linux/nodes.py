"""``/sys/devices/system/node``: the nodes, and what each reports.

Sources: Documentation/ABI/stable/sysfs-devices-node and Documentation/admin-guide/mm/numaperf.rst of Linux.
"""

from __future__ import annotations

from ..errors import FactError
from ..named import namedtuple
from ..wording import id_list
from . import text
from .facts import AccessFacts, HugePageFacts, NodeFacts, SideCacheFacts
from .meminfo import node_meminfo
from .source import ABSENT, NODE, source_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .source import Source

HUGE_PAGES = "sys/kernel/mm/hugepages"
WEIGHTS = "sys/kernel/mm/mempolicy/weighted_interleave"
# NODES_SHIFT is 10 at most in the Kconfig of every architecture of Linux.
MAX_NODES = 1 << 10
COUNTS = ("nr_hugepages", "free_hugepages", "surplus_hugepages")
# Files whose contents change all the time.
MOVING = ("meminfo", *COUNTS)
PERFORMANCE = ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
ACCESSES = ("access0/initiators", "access1/initiators")
SIDE_CACHES = "memory_side_cache"
SIDE_CACHE = ("size", "line_size", "indexing", "write_policy", "address_mode")


def node_ids(source: Source, online: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Ids of the node directories, ascending; None where the kernel has no nodes.

    A directory that cannot be listed is not a missing one: it raises ``SourceDenied`` or ``SourceError``. The
    directories take precedence over ``online``: the kernel creates and removes them as nodes are added and removed, and
    some recordings have the ``online`` of another machine.
    """
    names = source.reader.listdir(NODE, "node")
    if isinstance(names, int):
        if names not in ABSENT:
            raise source_error(NODE, names)
        return None
    found = text.suffix_numbers(names, "node")
    if found and online is not None and tuple(found) != online:
        source.note(
            f"{NODE}/online",
            f"says {id_list(online, none='none')}, the node directories are {id_list(found, none='none')}",
        )
    ids = tuple(found) or online
    if ids is not None and len(ids) > MAX_NODES:
        raise FactError(NODE, f"{len(ids)} nodes", "more than any kernel has")
    return ids


def huge_page_sizes(source: Source, directory: str) -> list[int]:
    """Sizes in kB for which the directory has a ``hugepages-NkB``."""
    names = source.names(directory, "hugepages-") or []
    sizes = text.suffix_numbers(names, "hugepages-", "kB")
    if odd := [size for size in sizes if size < 1 or size & (size - 1)]:
        source.note(directory, f"pages of {odd[0]} kB, an impossible size")
    return [size for size in sizes if size not in odd]


def huge_pages(source: Source, directory: str, sizes: Sequence[int]) -> tuple[HugePageFacts, ...]:
    """Counts per size below one directory; a size of which it has no file is left out."""
    if not sizes:
        return ()
    totals = source.read([f"hugepages-{size}kB/{COUNTS[0]}" for size in sizes], directory)
    return huge_page_facts(directory, sizes, _with_parts(source, directory, sizes, totals), source)


def _with_parts(source: Source, directory: str, sizes: Sequence[int], totals: list[bytes | None]) -> list[bytes | None]:
    """All contents, given those with the totals: of no pages none are free and none surplus, on most machines."""
    contents: list[bytes | None] = []
    for size, total in zip(sizes, totals, strict=True):
        if total is not None and total.strip() == b"0":
            contents += [total, total, total]
        else:
            contents.append(total)
            contents += source.read([f"{directory}/hugepages-{size}kB/{name}" for name in COUNTS[1:]])
    return contents


def huge_page_facts(
    directory: str, sizes: Sequence[int], contents: list[bytes | None], source: Source | None = None
) -> tuple[HugePageFacts, ...]:
    """Facts of contents that were read already, three for each size, in the order of ``COUNTS``.

    With ``source`` a count that is not understood is None and noted there; else it raises ``FactError``.
    """
    found = []
    number = text.number if source is None else (lambda where, content: source.parsed(text.number, where, content))
    for i, size in enumerate(sizes):
        counts = [
            None if content is None else number(f"{directory}/hugepages-{size}kB/{name}", content)
            for name, content in zip(COUNTS, contents[i * 3 : i * 3 + 3], strict=True)
        ]
        total, free, surplus = counts
        if counts != [None, None, None] or (source and source.failure(f"{directory}/hugepages-{size}kB")):
            found.append(HugePageFacts(size_kb=size, total=total, free=free, surplus=surplus))
    return tuple(found)


class Nodes(namedtuple("Nodes", "facts sizes")):
    """Facts of every node, and the sizes of huge pages in kB that the machine has."""

    __slots__ = ()
    facts: tuple[NodeFacts, ...]
    sizes: list[int]


def collect(source: Source, node_ids: tuple[int, ...]) -> Nodes:
    """Facts of every node, its files read in one batch."""
    sizes = huge_page_sizes(source, HUGE_PAGES)
    per_node = ("cpulist", "meminfo", "distance", *_totals(sizes))
    width = len(per_node)
    weights = interleave_weights(source, node_ids)
    maybe = source.perhaps([f"node{node}/{name}" for node in node_ids for name in (*ACCESSES, SIDE_CACHES)], NODE)
    contents = source.read([f"node{node}/{name}" for node in node_ids for name in per_node], NODE)
    facts = []
    for i, node in enumerate(node_ids):
        where = f"{NODE}/node{node}"
        cpulist, memory, distance, *totals = contents[i * width : (i + 1) * width]
        huge = _huge_pages(source, where, sizes, totals)
        facts.append(
            NodeFacts(
                id=node,
                cpus=_cpus(source, where, cpulist),
                meminfo=node_meminfo(source, node, memory),
                distance=source.parsed(text.numbers, f"{where}/distance", distance),
                huge_pages=huge,
                accesses=_accesses(source, node, maybe) if maybe else (),
                side_caches=_side_caches(source, where) if f"node{node}/{SIDE_CACHES}" in maybe else (),
                interleave_weight=weights.get(node),
            )
        )
    return Nodes(facts=tuple(facts), sizes=sizes)


def collect_again(source: Source, known: Nodes) -> tuple[NodeFacts, ...]:
    """The same of nodes of which nothing has changed but what changes all the time."""
    names = ("meminfo", *_totals(known.sizes))
    contents = source.read([f"node{node.id}/{name}" for node in known.facts for name in names], NODE)
    facts = []
    for i, node in enumerate(known.facts):
        memory, *totals = contents[i * len(names) : (i + 1) * len(names)]
        huge = _huge_pages(source, f"{NODE}/node{node.id}", known.sizes, totals)
        facts.append(node._replace(huge_pages=huge, meminfo=node_meminfo(source, node.id, memory)))
    return tuple(facts)


def _totals(sizes: list[int]) -> list[str]:
    return [f"hugepages/hugepages-{size}kB/{COUNTS[0]}" for size in sizes]


def _huge_pages(source: Source, where: str, sizes: list[int], totals: list[bytes | None]) -> tuple[HugePageFacts, ...]:
    directory = f"{where}/hugepages"
    if not sizes:
        # In snapshots the machine's own directory of sizes may be missing although the nodes' are there.
        return huge_pages(source, directory, huge_page_sizes(source, directory))
    if totals.count(b"0\n") == len(totals):
        return tuple([HugePageFacts(size_kb=size, total=0, free=0, surplus=0) for size in sizes])
    return huge_page_facts(directory, sizes, _with_parts(source, directory, sizes, totals), source)


def _cpus(source: Source, where: str, cpulist: bytes | None) -> tuple[int, ...] | None:
    """A node's cpus: its list, or what else says them where that is missing or broken.

    Linux before 2.6.26 has only the mask, some recordings only the links.
    """
    found = source.ids(f"{where}/cpulist", cpulist)
    if found is None:
        found = source.parsed(text.mask, f"{where}/cpumap", source.one(f"{where}/cpumap"))
    if found is not None:
        return found
    names = source.names(where, "cpu") or []
    linked = text.suffix_numbers(names, "cpu")
    return tuple(linked) or None


def _accesses(source: Source, node: int, maybe: set[str]) -> tuple[AccessFacts, ...]:
    """Access classes: 0 from the nearest initiators of any kind, 1 (Linux 5.11) from the nearest that have cpus."""
    found = []
    for level, name in enumerate(ACCESSES):
        directory = f"{NODE}/node{node}/{name}"
        names = source.names(directory) if f"node{node}/{name}" in maybe else None
        if names is None:
            continue
        initiators = text.suffix_numbers(names, "node")
        present = [name for name in PERFORMANCE if name in names]
        contents = source.read([f"{directory}/{name}" for name in present])
        values = {
            name: source.parsed(text.number, f"{directory}/{name}", content)
            for name, content in zip(present, contents, strict=True)
        }
        found.append(AccessFacts(level=level, initiators=tuple(initiators), **values))
    return tuple(found)


def _side_caches(source: Source, where: str) -> tuple[SideCacheFacts, ...]:
    directory = f"{where}/{SIDE_CACHES}"
    names = source.names(directory, "index")
    found = []
    for level in text.suffix_numbers(names or (), "index"):
        index = f"{directory}/index{level}"
        values = {
            name: source.parsed(text.number, f"{index}/{name}", content)
            for name, content in zip(SIDE_CACHE, source.read(SIDE_CACHE, index), strict=True)
        }
        found.append(SideCacheFacts(level=level, **values))
    return tuple(found)


def interleave_weights(source: Source, node_ids: tuple[int, ...]) -> dict[int, int]:
    """Weight by node for MPOL_WEIGHTED_INTERLEAVE; empty where the kernel has none.

    Linux 6.9, dce41f5ae253 ("mm/mempolicy: implement the sysfs-based weighted_interleave interface").
    """
    # The directory is opened for many nodes only: for one or two that would be one more file.
    base = WEIGHTS if len(node_ids) > 2 else ""
    names = [f"node{node}" if base else f"{WEIGHTS}/node{node}" for node in node_ids]
    return {
        node: weight
        for node, content in zip(node_ids, source.read(names, base), strict=True)
        if (weight := source.parsed(_weight, f"{WEIGHTS}/node{node}", content)) is not None
    }


def _weight(where: str, content: bytes) -> int:
    value = text.number(where, content)
    if not 1 <= value <= 255:
        raise FactError(where, content, "a weight that the kernel does not accept")
    return value


def tiers(source: Source) -> dict[int, int]:
    """Memory tier by node; empty where the kernel has none.

    ``/sys/devices/virtual/memory_tiering/memory_tierN/nodelist`` (Linux 6.1,
    Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers); a lower number is faster memory.
    """
    directory = "sys/devices/virtual/memory_tiering"
    names = source.names(directory, "memory_tier") or []
    found: dict[int, set[int]] = {}
    for name in names:
        tier = text.suffix_number(name, "memory_tier")
        content = None if tier is None else source.one(f"{directory}/{name}/nodelist")
        if tier is not None:
            for node in source.ids(f"{directory}/{name}/nodelist", content) or ():
                found.setdefault(node, set()).add(tier)
    for node, several in found.items():
        if len(several) > 1:
            source.note(directory, f"node {node} is in the tiers {id_list(several)}; its tier is unknown")
    return {node: min(those) for node, those in found.items() if len(those) == 1}


def kinds(source: Source) -> dict[int, str]:
    """Kind of memory by node, for nodes made of device memory: ``gpu``, ``cxl`` or ``dax``.

    ``target_node`` of a DAX device is the node its memory becomes (drivers/dax/bus.c); one below a CXL region is CXL
    memory (Documentation/ABI/testing/sysfs-bus-cxl). NVIDIA's driver names the nodes of its GPUs' memory itself.
    """
    found: dict[int, str] = {}
    for device in source.names("sys/bus/dax/devices", "dax") or []:
        _target(source, f"sys/bus/dax/devices/{device}/target_node", "dax", found)
    for region in source.names("sys/bus/cxl/devices", "region") or []:
        number = text.suffix_number(region, "region")
        if number is None:
            continue
        directory = f"sys/bus/cxl/devices/{region}/dax_region{number}"
        for device in source.names(directory, "dax") or []:
            _target(source, f"{directory}/{device}/target_node", "cxl", found)
    for gpu in source.names("proc/driver/nvidia/gpus") or []:
        path = f"proc/driver/nvidia/gpus/{gpu}/numa_status"
        content = source.one(path)
        if content is not None and b"Node" not in content:
            source.misread(FactError(path, content, "names no node"))
        for line in (content or b"").splitlines():
            name, _, value = line.partition(b":")
            # -1 until the driver has brought the memory online.
            if name.strip() == b"Node" and (node := source.parsed(text.identity, path, value)) is not None:
                found[node] = "gpu"
    return found


def _target(source: Source, path: str, kind: str, found: dict[int, str]) -> None:
    node = source.parsed(text.identity, path, source.one(path))
    if node is not None:
        found[node] = kind
