"""``cpuN/topology``: what the cpus share.

A file that lists the members of a package or core answers for all of them, so it is read for the first member only:
what is opened grows with packages, dies, clusters and cores, not with cpus. Sources:
Documentation/admin-guide/cputopology.rst, Documentation/ABI/stable/sysfs-devices-system-cpu of Linux.
"""

from __future__ import annotations

from ..named import namedtuple
from . import text
from .source import CPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source


class Level(namedtuple("Level", "name id_name lists masks")):
    """One level of sharing: the file with its id, and the files with its members, newest name first."""

    __slots__ = ()
    name: str
    id_name: str
    lists: tuple[str, ...]
    masks: tuple[str, ...]


# core_siblings and thread_siblings became package_cpus and core_cpus in Linux 5.2, which kept the old names; the
# lists were added to the masks in 2.6.26.
PACKAGE = Level(
    name="package",
    id_name="physical_package_id",
    lists=("package_cpus_list", "core_siblings_list"),
    masks=("core_siblings",),
)
DIE = Level(name="die", id_name="die_id", lists=("die_cpus_list",), masks=("die_cpus",))
CLUSTER = Level(name="cluster", id_name="cluster_id", lists=("cluster_cpus_list",), masks=("cluster_cpus",))
CORE = Level(
    name="core",
    id_name="core_id",
    lists=("core_cpus_list", "thread_siblings_list"),
    masks=("core_cpus", "thread_siblings"),
)
BOOK = Level(name="book", id_name="book_id", lists=("book_siblings_list",), masks=("book_siblings",))
DRAWER = Level(name="drawer", id_name="drawer_id", lists=("drawer_siblings_list",), masks=("drawer_siblings",))

CAPACITY = "cpu_capacity"
# How many groups of cpus are read at a time.
AHEAD = 64
# What x86 gives for a cluster that it does not know: BAD_APICID of its smp.h, in 16 bits (topology_cluster_id).
NO_CLUSTER = 0xFFFF
# What is tried of the first cpu, and what more where the first of it is missing.
MODERN = (*[name for level in (PACKAGE, DIE, CLUSTER, CORE) for name in (level.id_name, level.lists[0])],
          BOOK.id_name, CAPACITY)  # fmt: skip
OLDER = (*[name for level in (PACKAGE, CORE) for name in (*level.lists[1:], *level.masks)],
         *[name for level in (BOOK, DRAWER) for name in (level.id_name, *level.lists, *level.masks)],
         *DIE.masks, *CLUSTER.masks)  # fmt: skip
CORE_ID = f"topology/{CORE.id_name}"
CLUSTER_ID = f"topology/{CLUSTER.id_name}"


# Paths below a cpu by name.
FILES = {name: name if name == CAPACITY else f"topology/{name}" for name in (*MODERN, *OLDER)}


def _path(cpu: int, name: str) -> str:
    return f"cpu{cpu}/{FILES[name]}"


class Topology:
    """Walks ``cpuN/topology`` level by level."""

    def __init__(self, source: Source, online: tuple[int, ...], one_thread: bool) -> None:
        self.source = source
        self.online = online
        self.is_online = frozenset(online)
        self.siblings: dict[int, tuple[int, ...]] = {}
        self.capacity: dict[int, int | None] = {}
        # Ids of clusters that were read together with those of the cores.
        self.cluster: dict[int, int | None] | None = None
        self.one_thread = one_thread
        self.package: dict[int, int | None] = {}
        self.first: dict[str, bytes | None] = {}
        # Members in the lists of the first cpu that make sense.
        self.of_first: dict[str, tuple[int, ...]] = {}
        self.first_cpu = self._first_with_topology()
        self.has_capacity = self.first.get(CAPACITY) is not None

    def _id(self, level: Level, cpu: int, content: bytes | None) -> int | None:
        """An id, or None for what stands for no id."""
        value = self.source.parsed(text.identity, f"{CPU}/cpu{cpu}/topology/{level.id_name}", content)
        return None if level is CLUSTER and value == NO_CLUSTER else value

    def _members(self, level: Level, cpu: int, name: str, content: bytes | None) -> tuple[int, ...] | None:
        """The cpus in a list or mask of members."""
        where = f"{CPU}/cpu{cpu}/topology/{name}"
        return self.source.parsed(text.mask, where, content) if name in level.masks else self.source.ids(where, content)

    def _capacity(self, cpu: int, content: bytes | None) -> int | None:
        return self.source.parsed(text.capacity, f"{CPU}/cpu{cpu}/{CAPACITY}", content)

    def _first_with_topology(self) -> int | None:
        """The first cpu that has a topology at all; what its kernel calls the files is then known for all."""
        for cpu in self.online:
            self._try(cpu, MODERN)
            if self.first[PACKAGE.lists[0]] is None or self.first[CORE.lists[0]] is None:
                self._try(cpu, OLDER)
            elif self.first[BOOK.id_name] is not None:
                # s390 alone has books, and drawers of them.
                self._try(cpu, (BOOK.lists[0], DRAWER.id_name, DRAWER.lists[0]))
            if any(content is not None for name, content in self.first.items() if name != CAPACITY):
                return cpu
        return None

    def _try(self, cpu: int, names: tuple[str, ...]) -> None:
        contents = self.source.read([f"cpu{cpu}/{FILES[name]}" for name in names], CPU)
        self.first.update(zip(names, contents, strict=True))

    def packages(self) -> dict[int, int | None]:
        """Id of the package by online cpu; the other levels check themselves once in each package."""
        self.package = self.ids(PACKAGE)
        return self.package

    def ids(self, level: Level) -> dict[int, int | None]:
        """Id by online cpu; empty if the kernel does not know the level. -1 is None: the kernel does not know."""
        members_name = self._usable(level)
        has_id = self.first.get(level.id_name) is not None
        if level is CORE:
            if self.one_thread and self._alone(members_name):
                self.siblings = {cpu: (cpu,) for cpu in self.online}
                members_name = None
            if self.has_capacity and not (members_name or has_id):
                self._capacities(self.online)
        if members_name is None:
            return self._ids_one_by_one(level) if has_id else {}
        return self._ids_by_group(level, members_name, has_id)

    def _usable(self, level: Level) -> str | None:
        """The newest file of members that makes sense; some recordings have the list's empty and the mask's whole."""
        if self.first_cpu is None:
            return None
        first = self.first
        for name in level.lists + level.masks:
            content = first.get(name)
            if content is None:
                continue
            members = self._members(level, self.first_cpu, name, content)
            if members:
                self.of_first[name] = members
                return name
            if members == ():
                where = f"{CPU}/cpu{self.first_cpu}/topology/{name}"
                self.source.note(where, "names no CPU, although every CPU is in its own list")
        return None

    def clusters(self) -> dict[int, int | None]:
        """Id of the cluster by online cpu; to be called after the cores are known."""
        if self.cluster is not None:
            return without_none(self.cluster)
        if not self._clusters_are_cores() or not self.siblings:
            return self.ids(CLUSTER)
        first_of = {cpu: self.siblings.get(cpu, (cpu,))[0] for cpu in self.online}
        first_threads = tuple([cpu for cpu, first in first_of.items() if first == cpu])
        if len(first_threads) != len(set(first_of.values())):
            return self.ids(CLUSTER)  # the lists of cores contradict each other
        of_core = self._ids_of(CLUSTER, first_threads)
        return {cpu: of_core[first] for cpu, first in first_of.items()}

    def _clusters_are_cores(self) -> bool:
        """Whether the first cluster is no more than a core, as on most of x86.

        Lists of clusters would then not save a read: one id for each core is enough, because the threads of a core
        share all that a cluster shares.
        """
        members, core = self.first.get(CLUSTER.lists[0]), self.first.get(CORE.lists[0])
        return self.first.get(CLUSTER.id_name) is not None and members is not None and members == core

    def _alone(self, members_name: str | None) -> bool:
        """Whether the first cpu is its core's only online thread.

        A kernel built without CONFIG_SCHED_SMT says in smt/active that there are no threads, whatever there is.
        """
        if members_name is None:
            return True
        return len(self.is_online.intersection(self.of_first[members_name])) == 1

    def _ids_by_group(self, level: Level, members_name: str, has_id: bool) -> dict[int, int | None]:
        """Read the files of each group's first cpu only.

        In each package the first core's id is compared with that of its last thread: hypervisors and old kernels have
        been seen to give the threads of a core different ids.
        """
        at_once = self._ids_at_once(level, members_name, has_id)
        if at_once is not None:
            return at_once
        checked: set[int | None] = set()
        others: list[tuple[str, bytes | None]] = []
        with_capacity = self.has_capacity and level is CORE
        names = [members_name]
        if has_id:
            names.append(level.id_name)
        if with_capacity:
            names.append(CAPACITY)
        ids: dict[int, int | None] = {}
        groups: dict[int, tuple[int, ...]] = {}
        is_online = self.is_online
        for cpu, contents in self._leaders(names, ids, groups):
            directory = f"cpu{cpu}/topology/"
            members_text = contents[0]
            id_text = contents[1] if has_id else None
            value = self._id(level, cpu, id_text)
            members = self._members(level, cpu, members_name, members_text)
            if members is None:
                ids[cpu] = value
                continue
            if not is_online.issuperset(members):
                members = tuple([m for m in members if m in is_online])
            if cpu not in members or not ids.keys().isdisjoint(members):
                self.source.note(
                    f"{CPU}/{directory}{members_name}",
                    f"the {level.name} lists of the cpus contradict each other; each cpu's own list is used",
                )
                return self._contradicting(level, members_name, has_id)
            package = self.package.get(cpu, cpu)
            if level is CORE and has_id and package not in checked:
                checked.add(package)
                if members[-1] != cpu:
                    others.append((f"cpu{members[-1]}/topology/{level.id_name}", id_text))
            for member in members:
                ids[member] = value
                groups[member] = members
            if with_capacity:
                capacity = self._capacity(cpu, contents[-1])
                for member in members:
                    self.capacity[member] = capacity
        if level is CORE:
            self.siblings = groups
        found = self.source.read([path for path, _ in others], CPU)
        if any(content not in (id_text, None) for content, (_, id_text) in zip(found, others, strict=True)):
            self.source.note(
                f"{CPU}/cpu*/topology/{level.id_name}", f"cpus of one {level.name} have different ids; each has its own"
            )
            return self._ids_one_by_one(level)
        return ids

    def _ids_at_once(self, level: Level, members_name: str, has_id: bool) -> dict[int, int | None] | None:
        """The same from a reader that reads a level's files in one call; None where it finds anything unusual."""
        if level is not CORE and (whole := self._one_group(level, members_name)) is not None:
            return whole
        scan = getattr(self.source.reader, "cpu_groups", None)
        if scan is None or members_name in level.masks:
            return None
        paths = self._numbers_of(level, has_id)
        found = scan(CPU, self.online, f"topology/{members_name}", paths)
        if found is None:
            return None
        members, columns = found[0], dict(zip(paths, found[1], strict=True))
        ids: dict[int, int | None] = columns.get(f"topology/{level.id_name}", {}) if has_id else dict.fromkeys(members)
        if level is CLUSTER:
            return without_none(ids)
        if level is not CORE:
            return ids
        capacity = columns.get(CAPACITY, {})
        if not all(capacity.values()) or not (not has_id or self._last_threads_agree(members, ids)):
            return None
        self.siblings, self.capacity = members, capacity
        self.cluster = columns.get(CLUSTER_ID)
        return ids

    def _numbers_of(self, level: Level, has_id: bool) -> tuple[str, ...]:
        """Paths below a cpu of the numbers that are read together with a level's members."""
        paths = [f"topology/{level.id_name}"] if has_id else []
        if level is CORE and self.has_capacity:
            paths.append(CAPACITY)
        if level is CORE and self._clusters_are_cores():
            paths.append(CLUSTER_ID)
        return tuple(paths)

    def _last_threads_agree(self, members: dict[int, tuple[int, ...]], ids: dict[int, int | None]) -> bool:
        """Whether the last thread of each package's first core has the id of the first thread."""
        leaders = list(dict.fromkeys([group[0] for group in members.values()]))
        leaders.reverse()
        firsts = dict(zip(map(self.package.get, leaders, leaders), leaders, strict=True)).values()
        lasts = [group[-1] for group in map(members.__getitem__, firsts) if len(group) > 1]
        contents = self.source.read([f"cpu{last}/{CORE_ID}" for last in lasts], CPU) if lasts else ()
        expected = [b"-1" if ids[last] is None else str(ids[last]).encode() for last in lasts]
        return all(
            content is None or content.strip() == value for content, value in zip(contents, expected, strict=True)
        )

    def _one_group(self, level: Level, members_name: str) -> dict[int, int | None] | None:
        """Ids where the first cpu's files, which have been read, name every online cpu; None for more groups."""
        first = self.first_cpu
        # Where it is not the first, those before it have no topology, whatever its list says.
        if first is None or first != self.online[0] or not hasattr(self.source.reader, "cpu_groups"):
            return None
        if not self.is_online.issubset(self.of_first[members_name]):
            return None
        return dict.fromkeys(self.online, self._id(level, first, self.first.get(level.id_name)))

    def _leaders(
        self, names: list[str], ids: dict[int, int | None], groups: dict[int, tuple[int, ...]]
    ) -> Iterator[tuple[int, list[bytes | None]]]:
        """Each cpu that is still unknown, with the contents of its files; the caller fills ``ids`` in between.

        One call reads many: the next groups are expected to be shaped as the latest one. Where they are not, a file
        too many is read, or another call is made.
        """
        ahead: dict[int, list[bytes | None]] = {}
        if self.first_cpu is not None:
            ahead[self.first_cpu] = [self.first[name] for name in names]
        latest = self.first_cpu
        width = len(names)
        for position, cpu in enumerate(self.online):
            if cpu in ids:
                continue
            if cpu not in ahead:
                steps = [0] if latest is None else [member - latest for member in groups.get(latest, (latest,))]
                next_cpus: list[int] = []
                expected: set[int] = set()
                for later in self.online[position:]:
                    if later not in ids and later not in expected and later not in ahead:
                        next_cpus.append(later)
                        if len(next_cpus) == AHEAD:
                            break
                        expected.update([later + step for step in steps])
                found = self.source.read([_path(c, name) for c in next_cpus for name in names], CPU)
                ahead = {c: found[i * width : (i + 1) * width] for i, c in enumerate(next_cpus)} | ahead
            yield cpu, ahead.pop(cpu)
            latest = cpu

    def _ids_one_by_one(self, level: Level) -> dict[int, int | None]:
        return self._ids_of(level, self.online)

    def _ids_of(self, level: Level, cpus: tuple[int, ...]) -> dict[int, int | None]:
        at_once = self._numbers_at_once(level, cpus)
        if at_once is not None:
            return at_once
        ids: dict[int, int | None] = {}
        contents = self._files(level.id_name, cpus)
        for cpu, content in zip(cpus, contents, strict=True):
            ids[cpu] = self._id(level, cpu, content)
        if level is CORE and self.has_capacity:
            self._capacities(cpus)
        return ids

    def _numbers_at_once(self, level: Level, cpus: tuple[int, ...]) -> dict[int, int | None] | None:
        """The same from a reader that reads them in one call; None where it finds anything unusual."""
        scan = getattr(self.source.reader, "cpu_groups", None)
        if scan is None or not cpus or cpus[0] != self.first_cpu or len(cpus) == 1:
            return None
        first = cpus[0]
        paths = self._numbers_of(level, True)
        found = scan(CPU, cpus[1:], None, paths)
        if found is None:
            return None
        columns = dict(zip(paths, found[1], strict=True))
        if not all(columns.get(CAPACITY, {}).values()):
            return None
        ids = {first: self._id(level, first, self.first[level.id_name]), **columns[f"topology/{level.id_name}"]}
        if CAPACITY in columns:
            self.capacity = {first: self._capacity(first, self.first[CAPACITY]), **columns[CAPACITY]}
        # Only threads that are alone have the cluster of their core's first one.
        if CLUSTER_ID in columns and len(self.siblings) == len(cpus) and max(map(len, self.siblings.values())) == 1:
            self.cluster = {first: self._id(CLUSTER, first, self.first[CLUSTER.id_name]), **columns[CLUSTER_ID]}
        return without_none(ids) if level is CLUSTER else ids

    def _files(self, name: str, cpus: tuple[int, ...]) -> list[bytes | None]:
        """One file of each of these cpus; that of the first cpu is known already."""
        known = [self.first[name]] if cpus and cpus[0] == self.first_cpu else []
        rest = cpus[len(known) :]
        return known + (self.source.read([_path(cpu, name) for cpu in rest], CPU) if rest else [])

    def _contradicting(self, level: Level, members_name: str, has_id: bool) -> dict[int, int | None]:
        if level is CORE:
            paths = [f"cpu{cpu}/topology/{members_name}" for cpu in self.online]
            for cpu, content in zip(self.online, self.source.read(paths, CPU), strict=True):
                members = self._members(level, cpu, members_name, content)
                if members is not None:
                    self.siblings[cpu] = tuple(sorted({cpu, *self.is_online.intersection(members)}))
            if self.has_capacity and not has_id:
                self._capacities(self.online)
        return self._ids_one_by_one(level) if has_id else {}

    def _capacities(self, cpus: tuple[int, ...]) -> None:
        for cpu, content in zip(cpus, self._files(CAPACITY, cpus), strict=True):
            self.capacity[cpu] = self._capacity(cpu, content)


def without_none(ids: dict[int, int | None]) -> dict[int, int | None]:
    """Ids of clusters, without the number that stands for none."""
    if NO_CLUSTER not in ids.values():
        return ids
    return {cpu: None if value == NO_CLUSTER else value for cpu, value in ids.items()}
