"""``/proc/PID/numa_maps``: a process's memory on each node (numa(7); show_numa_map in Linux's fs/proc/task_mmu.c).

Counted as held: anonymous pages, and the pages of shared memory and of hugetlb that the process has mapped. The page
cache of ordinary files, such as the program itself, is left out: it belongs to the files, is reclaimed when memory is
short, and is one for all processes.
"""

from __future__ import annotations

from functools import lru_cache

from ...errors import FactError
from ...named import namedtuple
from .. import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Shared memory that is on no mounted file system: memfd_create(2), shmget(2), and mmap(2) with MAP_SHARED of nothing.
UNMOUNTED = (b"/memfd:", b"/SYSV", b"/dev/zero", b"/anon_hugepage", b"/dev/dax")


class Shared(namedtuple("Shared", "address file nodes huge")):
    """A mapping of shared memory: where, of what, bytes by node, and whether its pages are of hugetlb."""

    __slots__ = ()
    address: int
    file: str
    nodes: dict[int, int]
    huge: bool

    @property
    def size(self) -> int:
        """Bytes on all nodes."""
        return sum(self.nodes.values())


class Maps(namedtuple("Maps", "private unplaced shared page_kb")):
    """What a process holds: bytes by node that are its own, bytes whose node is not shown, shared mappings.

    ``page_kb`` is the smallest page among the mappings of files, which is the kernel's own.
    """

    __slots__ = ()
    private: dict[int, int]
    unplaced: int
    shared: tuple[Shared, ...]
    page_kb: int


def parse(where: str, content: bytes, memory_places: tuple[str, ...] = ()) -> Maps:
    """What the file says. ``memory_places`` are paths below which files are shared memory: tmpfs, guests' own.

    Raises ``FactError`` for broken text.
    """
    plain, files = text.numa_maps(where, content)
    private = {node: size << 10 for node, size in plain}
    unplaced = 0
    shared = []
    known: dict[bytes, bool] = {}
    smallest = min((page_kb for _, _, huge, page_kb, _, _ in files if not huge), default=4)
    for address, file, huge, page_kb, anonymous, nodes in files:
        memory = huge or known.get(file)
        if memory is None:
            memory = known[file] = is_memory(file, memory_places)
        if memory:
            bytes_of = {node: count * page_kb << 10 for node, count in nodes}
            name = file.decode("utf-8", "surrogateescape")
            shared.append(Shared(address=address, file=name, nodes=bytes_of, huge=huge))
        # A file's own pages and copies that the process has written to, in one count for each node.
        elif anonymous and len(nodes) > 1:
            unplaced += anonymous * page_kb << 10
        elif anonymous:
            node = nodes[0][0]
            private[node] = private.get(node, 0) + (anonymous * page_kb << 10)
    return Maps(private=private, unplaced=unplaced, shared=tuple(shared), page_kb=smallest)


@lru_cache(maxsize=512)
def written(places: tuple[str, ...]) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    """What the names of files in memory begin with, and the places themselves, as the kernel writes them."""
    found, names = [*UNMOUNTED], set()
    for place in places:
        name = place.encode("utf-8", "surrogateescape").rstrip(b"/")
        for character in b"\n\t= ":
            name = name.replace(bytes([character]), b"\\%03o" % character)
        if name:
            names.add(name)
            # A file, one below a directory, and one that was removed from its directory since.
            found += [name + b"/", name + b"\\040(deleted)"]
    return tuple(found), frozenset(names)


def is_memory(file: bytes, places: tuple[str, ...]) -> bool:
    """Whether a mapped file is memory and nothing else."""
    starts, names = written(places)
    return file.startswith(starts) or file in names


class Extent(namedtuple("Extent", "object start end")):
    """Which part of which object a mapping shows."""

    __slots__ = ()
    object: tuple[str, str]
    start: int
    end: int


def extents(content: bytes) -> dict[int, Extent]:
    """By address, from ``/proc/PID/maps``: numa_maps has no device and inode, and every memfd may have one name."""
    found = {}
    for line in content.split(b"\n"):
        words = line.split(None, 5)
        if len(words) >= 5:
            try:
                first, last = (int(word, 16) for word in words[0].split(b"-"))
                start = int(words[2], 16)
            except ValueError:
                raise FactError("proc/PID/maps", line, "not a mapping") from None
            found[first] = Extent((words[3].decode(), words[4].decode()), start, start + last - first)
    return found


def counted_once(
    mappings: Sequence[tuple[int, Shared]], known: dict[int, dict[int, Extent]]
) -> tuple[dict[int, dict[int, int]], dict[int, int]]:
    """Shared memory by process and node, each part of an object for one process only; and what others see of it.

    ``mappings`` are pairs of process and mapping, ``known`` the extents of those processes for which it matters. Of
    mappings that show the same part of an object the one with most of it present is counted, the first process's if
    they are alike, so that nothing is counted twice.
    """
    taken: dict[tuple[str, str], list[tuple[int, int]]] = {}
    counted: dict[int, dict[int, int]] = {}
    elsewhere: dict[int, int] = {}
    for pid, mapping in sorted(mappings, key=lambda one: (-one[1].size, one[0], one[1].address)):
        extent = known.get(pid, {}).get(mapping.address)
        if extent is not None:
            parts = taken.setdefault(extent.object, [])
            if any(start < extent.end and extent.start < end for start, end in parts):
                elsewhere[pid] = elsewhere.get(pid, 0) + mapping.size
                continue
            parts.append((extent.start, extent.end))
        total = counted.setdefault(pid, {})
        for node, size in mapping.nodes.items():
            total[node] = total.get(node, 0) + size
    return counted, elsewhere
