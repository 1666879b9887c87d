"""``cpuN/cache/indexM``: the caches between the cpus and memory.

A cache's list of cpus answers for all of them, so its files are read for the first cpu only: the number of files read
grows with caches, not with cpus. Sources: Documentation/ABI/testing/sysfs-devices-system-cpu and
drivers/base/cacheinfo.c of Linux; ``id`` exists since Linux 4.11, only where firmware or the processor numbers caches.
"""

from __future__ import annotations

from ..errors import FactError
from . import text
from .facts import CacheFacts
from .source import CPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

LIST, MASK = "shared_cpu_list", "shared_cpu_map"
ATTRIBUTES = ("level", "type", "size", "id")
# cache_type_string of Linux's drivers/base/cacheinfo.c.
TYPES = ("Data", "Instruction", "Unified")
# Processors have four at most; the fields that number them, such as arm64's CLIDR_EL1, have room for seven.
MAX_LEVEL = 8
GEOMETRY = ("coherency_line_size", "ways_of_associativity", "number_of_sets")
# In kilobytes.
UNITS = {b"K": 1, b"M": 1 << 10, b"G": 1 << 20}
# How many caches are read in one batch.
AHEAD = 64


def collect(
    source: Source, online: tuple[int, ...], cores: dict[int, tuple[int, ...]]
) -> tuple[CacheFacts, ...] | None:
    """Every cache of the online cpus, in the order of index and first cpu; None where the kernel knows none.

    ``cores`` has the threads of each cpu's core, where they are known.
    """
    indexes = _indexes(source, online)
    if not indexes:
        return None
    walk = _Walk(source, online, cores)
    found = {index: walk.index(index) for index in indexes}
    # Some kinds of cpus have more caches than the first cpu. Those that share their first cache share the others too.
    leaders = [cache.cpus[0] for cache in found[indexes[0]]] or online
    index = indexes[-1] + 1
    while any(
        level is not None for level in source.read([f"cpu{cpu}/cache/index{index}/level" for cpu in leaders], CPU)
    ):
        found[index] = walk.index(index)
        index += 1
    return tuple(_distinct(source, found))


def _distinct(source: Source, found: dict[int, list[CacheFacts]]) -> Iterator[CacheFacts]:
    """A cpu has one cache of a level and type: some hypervisors describe the caches of their guests' cpus twice."""
    seen = set()
    for index, caches in found.items():
        for cache in caches:
            key = cache.level, cache.type, cache.id, cache.cpus
            if cache.type is None or key not in seen:
                seen.add(key)
                yield cache
            else:
                where = f"{CPU}/cpu{cache.cpus[0]}/cache/index{index}"
                text = (
                    f"a second cache of level {cache.level} and type '{cache.type}' for the same CPUs; it is left out"
                )
                source.note(where, text)


def _indexes(source: Source, online: tuple[int, ...]) -> list[int]:
    """Numbers of the caches of the first cpu that has any: a recording may be without those of some cpus."""
    for cpu in online:
        names = source.names(f"{CPU}/cpu{cpu}/cache", "index") or ()
        found = text.suffix_numbers(names, "index")
        if found:
            return found
    return []


class _Walk:
    """Reads the caches of one index after the other."""

    def __init__(self, source: Source, online: tuple[int, ...], cores: dict[int, tuple[int, ...]]) -> None:
        self.source = source
        self.online = online
        self.cores = cores
        self.is_online = frozenset(online)
        # Linux before 2.6.26 has the masks only.
        self.members_name = LIST

    def index(self, index: int) -> list[CacheFacts]:
        """The caches of one index. A cpu that an earlier cache names is not read.

        One batch reads many: the next caches are expected to be shaped as the latest one. Where they are not, a cache
        too many is read, or another batch.
        """
        found: list[CacheFacts] = []
        known: set[int] = set()
        ahead: dict[int, list[bytes | None]] = {}
        shape = [0]
        for position, cpu in enumerate(self.online):
            if cpu in known:
                continue
            if cpu not in ahead:
                # The first cache is read alone: its shape is that of the others.
                ahead = self._read(index, self._expected(position, known, shape) if found else [cpu])
            known.add(cpu)
            cache = self._cache(cpu, index, ahead[cpu])
            if cache is None:
                continue
            others = [member for member in cache.cpus if member != cpu]
            if len(others) == len(cache.cpus) or not known.isdisjoint(others):
                self.source.note(
                    f"{CPU}/cpu{cpu}/cache/index{index}/{self.members_name}",
                    "the lists of the caches contradict each other; each cpu's own list is used",
                )
                return self._one_by_one(index)
            found.append(cache)
            known.update(others)
            shape = [member - cpu for member in cache.cpus]
        return found

    def _expected(self, position: int, known: set[int], shape: list[int]) -> list[int]:
        leaders: list[int] = []
        followers = set(known)
        for cpu in self.online[position:]:
            if cpu not in followers:
                leaders.append(cpu)
                if len(leaders) == AHEAD:
                    break
                followers.update([cpu + step for step in shape])
        return leaders

    def _one_by_one(self, index: int) -> list[CacheFacts]:
        """Each cpu's own cache, by the masks where there are masks: of trees made by hand those are the better kept."""
        if self.source.one(f"{CPU}/cpu{self.online[0]}/cache/index{index}/{MASK}") is not None:
            self.members_name = MASK
        found: dict[tuple[int, ...], CacheFacts] = {}
        for cpu, contents in self._read(index, list(self.online)).items():
            cache = self._cache(cpu, index, contents)
            if cache is not None and cpu in cache.cpus:
                found.setdefault(cache.cpus, cache)
        return list(found.values())

    def _read(self, index: int, cpus: list[int]) -> dict[int, list[bytes | None]]:
        names = (self.members_name, *ATTRIBUTES, *GEOMETRY)
        found = self.source.read([f"cpu{cpu}/cache/index{index}/{name}" for cpu in cpus for name in names], CPU)
        return {cpu: found[i * len(names) : (i + 1) * len(names)] for i, cpu in enumerate(cpus)}

    def _cache(self, cpu: int, index: int, contents: list[bytes | None]) -> CacheFacts | None:
        """One cache; None for a cpu that has none of this index, and for one whose level or cpus nothing says."""
        members_text, level, kind, size, number, *geometry = contents
        where = f"{CPU}/cpu{cpu}/cache/index{index}"
        if members_text is None and level is None and kind is None:
            return None
        members = self._members(where, cpu, members_text)
        number_of_level = self.source.parsed(_level, f"{where}/level", level)
        if members is None or number_of_level is None:
            self.source.note(where, "does not report its level or its CPUs; it is left out")
            return None
        line_size, ways, sets = (
            # Zero where neither processor nor firmware says, before such files were left out (4.16).
            self.source.parsed(_count, f"{where}/{name}", content) or None
            for name, content in zip(GEOMETRY, geometry, strict=True)
        )
        return CacheFacts(
            level=number_of_level,
            type=self.source.parsed(_type, f"{where}/type", kind),
            size_kb=self.source.parsed(_kilobytes, f"{where}/size", size) or None,
            id=self.source.parsed(text.identity, f"{where}/id", number),
            cpus=members,
            line_size=line_size,
            ways=ways,
            sets=sets,
        )

    def _members(self, where: str, cpu: int, content: bytes | None) -> tuple[int, ...] | None:
        """Online cpus that share a cache; None if it has neither list nor mask, or only broken ones."""
        path, parse = f"{where}/{self.members_name}", text.mask if self.members_name == MASK else text.id_list
        members = self.source.parsed(parse, path, content)
        if not members and self.members_name == LIST:
            # Some recordings have the list's file empty and the mask's whole.
            mask = self.source.one(f"{where}/{MASK}")
            if mask is not None:
                if content is None and path not in self.source.failed:
                    self.members_name = MASK
                path, content = f"{where}/{MASK}", mask
                members = self.source.parsed(text.mask, path, mask) if mask.strip() else ()
        if content is None or path in self.source.broken:
            return None
        if not members:
            # Itanium's kernels and some hypervisors' guests have the mask zero. The threads of a core share its caches.
            self.source.note(path, "names no CPU; the cache is assumed to be that of this CPU's core")
            return self.cores.get(cpu, (cpu,))
        if not self.is_online.issuperset(members):
            return tuple([member for member in members if member in self.is_online])
        return members


def _type(where: str, content: bytes) -> str:
    return text.word(where, content, known=TYPES, what="a type of caches")


def _level(where: str, content: bytes) -> int:
    value = text.number(where, content)
    if not 1 <= value <= MAX_LEVEL:
        raise FactError(where, content, "not a level of caches")
    return value


def _kilobytes(where: str, content: bytes) -> int:
    """A size such as ``32K``. The kernel prints no other unit (size_show of drivers/base/cacheinfo.c); trees made by
    hand have others.

    Zero stands for a size that neither processor nor firmware gives, before such files were left out (4.16).
    """
    words = content.strip(b"\0 \n")
    digits, unit = words[:-1], UNITS.get(words[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 12:
        raise FactError(where, words, "not a size")
    return int(digits) * unit


def _count(where: str, content: bytes) -> int:
    value = text.number(where, content)
    # Each is an unsigned int of struct cacheinfo (include/linux/cacheinfo.h).
    if not 0 <= value <= text.MAX_INT:
        raise FactError(where, content, "below zero" if value < 0 else "larger than the kernel's 32 bits")
    return value
