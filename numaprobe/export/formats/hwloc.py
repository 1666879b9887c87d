"""A host as hwloc's XML, version 2.0: every hwloc 2 reads it (``HWLOC_XMLFILE``, ``lstopo -i``).

hwloc knows offline cpus only by number (``complete_cpuset``), and takes a missing size as 0. A NUMANode has the cpus of
the object it is attached to (``hwloc__attach_memory_object``), a cell without cpus those of the machine. Cells whose
cpus overlap because of a firmware error share one place.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from ..cores import BASE_PAGE, online
from ..hwloc_tree import Thing, bits, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...model.host import Cache, Cell, Cpu, Host, SideCache

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">'
# kind and subkind of groups (hwloc's include/private/private.h); those of cells are memory's.
GROUPS = {"Drawer": (110, 1), "Book": (110, 0), "Cluster": (222, 0), None: (1001, 0)}
# From the operating system, and a latency (hwloc_distances_kind_e).
DISTANCES = 1 | 4
# hwloc_obj_cache_type_e; a size, line or associativity of 0 is one that is not known.
CACHE_TYPES = {"unified": 0, "data": 1, "instruction": 2}
# What Linux's perf calls the kinds, in hwloc's words.
CORE_TYPES = {"core": "IntelCore", "atom": "IntelAtom", "lowpower": "IntelLowPower"}


def render(host: Host, *, arch: str | None = None) -> str:
    """The topology. Raises ``ValueError`` for a host without visible cpus, which hwloc refuses."""
    cpus = online(host)
    if not cpus:
        raise ValueError("hwloc requires at least one CPU, and the host's CPUs are unknown")
    arch = host.machine if arch is None else arch
    writer = _Writer(host, arch)
    lines = [HEAD, '<topology version="2.0">', *writer.object(tree(host, cpus), 0, 1), *_distances(host)]
    return "\n".join([*lines, *_kinds(cpus), "</topology>"]) + "\n"


class _Writer:
    """Objects as lines; each gets the next number."""

    def __init__(self, host: Host, arch: str | None) -> None:
        self.arch = arch
        self.host = host
        self.base_page = None if arch is None else BASE_PAGE.get(arch)
        self.everyone = bits(cell.id for cell in host.cells)
        self.number = 0

    def start(self, kind: str, indent: int, /, **attributes: object) -> str:
        self.number += 1
        values = {"type": kind, **attributes, "gp_index": self.number}
        pairs = [f"{name}={quoteattr(str(value))}" for name, value in values.items() if value is not None]
        return f"{'  ' * indent}<object {' '.join(pairs)}"

    def object(self, thing: Thing, above: int, depth: int) -> Iterator[str]:
        """An object, its attached memory and its children; ``above`` are the cells of its parents."""
        nodes = above | _cells_in(thing)
        sets: dict[str, object] = {"cpuset": _set(thing.cpus), "complete_cpuset": _set(thing.all_cpus)}
        if thing.kind == "Machine":
            sets["allowed_cpuset"] = sets["cpuset"]
        sets |= {"nodeset": _set(nodes), "complete_nodeset": _set(nodes)}
        if thing.kind == "Machine":
            sets["allowed_nodeset"] = sets["nodeset"]
        more: dict[str, object] = {}
        index = 0 if thing.kind == "Machine" else thing.index
        if thing.kind == "Group":
            more["kind"], more["subkind"] = GROUPS[thing.subtype]
            more["subtype"] = thing.subtype
        if thing.cache is not None:
            more |= {"cache_size": thing.cache.size or 0, "depth": thing.cache.level}
            more |= {"cache_linesize": thing.cache.line_size or 0, "cache_associativity": _associativity(thing.cache)}
            more |= {"cache_type": CACHE_TYPES.get(str(thing.cache.type), 0)}
        head = self.start(thing.kind, depth, os_index=index, **sets, **more)
        if thing.kind == "PU":
            yield head + "/>"
            return
        yield head + ">"
        if thing.kind == "Machine":
            yield from self.about()
        for cell in thing.cells:
            yield from self.memory(cell, thing, depth + 1)
        here = above | bits(cell.id for cell in thing.cells)
        for child in thing.children:
            yield from self.object(child, here, depth + 1)
        yield "  " * depth + "</object>"

    def about(self) -> Iterator[str]:
        hypervisor = self.host.hypervisor
        infos = {
            "Backend": "numaprobe",
            "Architecture": self.arch,
            "Hypervisor": None if hypervisor is None else f"{hypervisor.name} {hypervisor.version}",
        }
        for name, value in infos.items():
            if value is not None:
                yield f'    <info name="{name}" value={quoteattr(value)}/>'

    def memory(self, cell: Cell, place: Thing, depth: int) -> Iterator[str]:
        """A cell, inside its memory-side caches; the one of the highest level is the nearest to the cpus."""
        sets = {
            "cpuset": _set(place.cpus),
            "complete_cpuset": _set(place.all_cpus),
            "nodeset": _set(1 << cell.id),
            "complete_nodeset": _set(1 << cell.id),
        }
        caches = sorted(cell.side_caches, key=lambda cache: -cache.level)
        for cache in caches:
            yield self.start("MemCache", depth, **sets, **_cache(cache)) + ">"
            depth += 1
        size = cell.memory.total
        pages = list(self.pages(cell))
        head = self.start("NUMANode", depth, os_index=cell.id, **sets, local_memory=size)
        yield head + (">" if pages or cell.kind else "/>")
        if pages or cell.kind:
            for page, count in pages:
                yield f'{"  " * depth}  <page_type size="{page}" count="{count}"/>'
            if cell.kind:
                yield f'{"  " * depth}  <info name="MemoryKind" value={quoteattr(cell.kind)}/>'
            yield "  " * depth + "</object>"
        for _ in caches:
            depth -= 1
            yield "  " * depth + "</object>"

    def pages(self, cell: Cell) -> Iterator[tuple[int, int]]:
        huge = [(pages.size, pages.total) for pages in cell.huge_pages]
        known = all(count is not None for _, count in huge)
        if self.base_page is not None and cell.memory.total is not None and known:
            rest = cell.memory.total - sum(size * count for size, count in huge if count is not None)
            yield self.base_page, max(0, rest) // self.base_page
        for size, count in huge:
            if count is not None:
                yield size, count


def _cells_in(thing: Thing) -> int:
    return bits(cell.id for cell in thing.cells) | bits(
        number for child in thing.children for number in _ids(_cells_in(child))
    )


def _ids(found: int) -> Iterator[int]:
    while found:
        lowest = found & -found
        yield lowest.bit_length() - 1
        found ^= lowest


def _associativity(cache: Cache) -> int:
    """Ways, -1 for a cache of a single set; 0 where that is not known."""
    return cache.ways or 0


def _cache(cache: SideCache) -> dict[str, object]:
    """Type 0 is unified; associativity -1 is full, 0 unknown."""
    return {
        "cache_size": cache.size or 0,
        "depth": cache.level,
        "cache_linesize": cache.line_size or 0,
        "cache_associativity": {"direct": 1}.get(str(cache.indexing), 0),
        "cache_type": 0,
    }


def _set(found: int) -> str:
    """A bitmap of hwloc's: words of 32 bits, the highest first, of a zero inside nothing but the comma."""
    words: list[str] = []
    while found:
        words.append(f"0x{found & 0xFFFFFFFF:08x}" if found & 0xFFFFFFFF else "" if words else "0x0")
        found >>= 32
    return ",".join(reversed(words)) or "0x0"


def _distances(host: Host) -> list[str]:
    """The matrix, if all of it is known and there is something to compare."""
    ids = [cell.id for cell in host.cells]
    rows = [dict(cell.distances or ()) for cell in host.cells]
    costs = [row.get(other) for row in rows for other in ids]
    if len(ids) < 2 or None in costs:
        return []
    numbers = [str(cost) for cost in costs]
    return [
        f'  <distances2 type="NUMANode" nbobjs="{len(ids)}" kind="{DISTANCES}" name="NUMALatency" indexing="os">',
        *(_chunk("indexes", ids_) for ids_ in _tens([str(number) for number in ids])),
        *(_chunk("u64values", values) for values in _tens(numbers)),
        "  </distances2>",
    ]


def _tens(words: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(words), 10):
        yield words[start : start + 10]


def _chunk(name: str, words: list[str]) -> str:
    """Ten at most, with a space after each and their length, as hwloc writes and reads them."""
    text = "".join(f"{word} " for word in words)
    return f'    <{name} length="{len(text)}">{text}</{name}>'


def _kinds(cpus: tuple[Cpu, ...]) -> list[str]:
    """The kinds of a hybrid machine's cpus."""
    found: dict[str, int] = {}
    for cpu in cpus:
        if cpu.kind is not None:
            found[cpu.kind] = found.get(cpu.kind, 0) | 1 << cpu.id
    lines = []
    for kind, members in found.items():
        name, value = ("CoreType", CORE_TYPES[kind]) if kind in CORE_TYPES else ("CpuKind", kind)
        if kind.startswith("capacity-"):
            name, value = "LinuxCapacity", kind.removeprefix("capacity-")
        lines.append(f'  <cpukind cpuset="{_set(members)}"><info name="{name}" value={quoteattr(value)}/></cpukind>')
    return lines
