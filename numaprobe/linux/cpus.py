"""``/sys/devices/system/cpu``: which cpus there are and what they share.

A file that lists the members of a package or core answers for all of them, so it is read for the first member only:
what is opened grows with packages, dies, clusters and cores, not with cpus. Sources:
Documentation/admin-guide/cputopology.rst, Documentation/ABI/stable/sysfs-devices-system-cpu of Linux.
"""

from __future__ import annotations

from collections import namedtuple

from .. import text
from .facts import CpuFacts
from .source import CPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source


class Level(namedtuple("Level", "name id_name lists masks")):
    """One level of sharing: the file with its id, and the files with its members, newest name first."""

    __slots__ = ()
    name: str
    id_name: str
    lists: tuple[str, ...]
    masks: tuple[str, ...]


# core_siblings and thread_siblings became package_cpus and core_cpus in Linux 5.2, which kept the old names; the
# lists beside the masks came with 2.6.26.
PACKAGE = Level("package", "physical_package_id", ("package_cpus_list", "core_siblings_list"), ("core_siblings",))
DIE = Level("die", "die_id", ("die_cpus_list",), ("die_cpus",))
CLUSTER = Level("cluster", "cluster_id", ("cluster_cpus_list",), ("cluster_cpus",))
CORE = Level("core", "core_id", ("core_cpus_list", "thread_siblings_list"), ("core_cpus", "thread_siblings"))
BOOK = Level("book", "book_id", ("book_siblings_list",), ("book_siblings",))
DRAWER = Level("drawer", "drawer_id", ("drawer_siblings_list",), ("drawer_siblings",))

KINDS = (("core", "sys/devices/cpu_core/cpus"), ("atom", "sys/devices/cpu_atom/cpus"),
         ("lowpower", "sys/devices/cpu_lowpower/cpus"))  # fmt: skip


def collect(source: Source) -> CpuFacts:
    """Facts of all present cpus."""
    names = ("online", "present", "possible", "isolated", "nohz_full", "smt/active")
    contents = source.read(names, CPU)
    lists = [
        None if content is None else text.ids(f"{CPU}/{name}", content)
        for name, content in zip(names[:5], contents[:5], strict=True)
    ]
    online, present, possible, isolated, nohz_full = lists
    if online is None or present is None:
        online, present = _from_directories(source, online, present)
    one_thread = contents[5] is not None and contents[5].strip() == b"0"
    topology = _Topology(source, online, one_thread)
    return CpuFacts(
        tuple(sorted({*present, *online})),
        online,
        possible,
        isolated,
        nohz_full,
        topology.packages(),
        topology.ids(DIE),
        topology.ids(CLUSTER),
        topology.ids(CORE),
        topology.ids(BOOK),
        topology.ids(DRAWER),
        topology.siblings,
        topology.capacity,
        _kinds(source),
    )


def _from_directories(
    source: Source, online: tuple[int, ...] | None, present: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Online and present cpus where the kernel (before 2.6.26) or the recording has no such lists."""
    names = source.names(CPU, "cpu") or []
    found = tuple(sorted(n for n in (text.suffix_number(name, "cpu") for name in names) if n is not None))
    if online is None:
        # The boot cpu often has no such file: it cannot be taken offline, so it is online.
        states = source.read([f"cpu{cpu}/online" for cpu in found], CPU)
        online = tuple(cpu for cpu, state in zip(found, states, strict=True) if state is None or state.strip() != b"0")
    return online, found if present is None else present


def _kinds(source: Source) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Cpus by the kind of the PMU that counts on them: Intel's hybrid processors (Linux 5.13)."""
    contents = source.read([path for _, path in KINDS])
    return tuple(
        (kind, text.ids(path, content))
        for (kind, path), content in zip(KINDS, contents, strict=True)
        if content is not None
    )


class _Topology:
    """Walks ``cpuN/topology`` level by level."""

    def __init__(self, source: Source, online: tuple[int, ...], one_thread: bool) -> None:
        self.source = source
        self.online = online
        self.is_online = frozenset(online)
        self.siblings: dict[int, tuple[int, ...]] = {}
        self.capacity: dict[int, int | None] = {}
        self.one_thread = one_thread
        self.package: dict[int, int | None] = {}
        self.first: dict[str, bytes | None] = {}
        self.first_cpu = self._first_with_topology()
        self.has_capacity = (
            self.first_cpu is not None and source.one(f"cpu{self.first_cpu}/cpu_capacity", CPU) is not None
        )

    def _first_with_topology(self) -> int | None:
        """The first cpu that has a topology at all; what its kernel calls the files is then known for all."""
        modern = [name for level in (PACKAGE, DIE, CLUSTER, CORE) for name in (level.id_name, level.lists[0])]
        older = [name for level in (PACKAGE, CORE) for name in (*level.lists[1:], *level.masks)]
        older += [name for level in (BOOK, DRAWER) for name in (level.id_name, *level.lists, *level.masks)]
        for cpu in self.online:
            self._try(cpu, modern)
            if self.first[PACKAGE.lists[0]] is None or self.first[CORE.lists[0]] is None:
                self._try(cpu, [*older, *DIE.masks, *CLUSTER.masks])
            else:
                self._try(cpu, [BOOK.id_name, BOOK.lists[0], DRAWER.id_name, DRAWER.lists[0]])
            if any(content is not None for content in self.first.values()):
                return cpu
        return None

    def _try(self, cpu: int, names: list[str]) -> None:
        contents = self.source.read([f"cpu{cpu}/topology/{name}" for name in names], CPU)
        self.first.update(zip(names, contents, strict=True))

    def packages(self) -> dict[int, int | None]:
        """Id of the package by online cpu; the other levels check themselves once in each package."""
        self.package = self.ids(PACKAGE)
        return self.package

    def ids(self, level: Level) -> dict[int, int | None]:
        """Id by online cpu; empty if the kernel does not know the level. -1 is None: the kernel does not know."""
        # Some recordings have the list's file empty and the mask's whole.
        members_name = next((n for n in (*level.lists, *level.masks) if (self.first.get(n) or b"").strip()), None)
        has_id = self.first.get(level.id_name) is not None
        if level is CORE:
            if self.one_thread and self._alone(members_name, level):
                self.siblings = {cpu: (cpu,) for cpu in self.online}
                members_name = None
            if self.has_capacity and not (members_name or has_id):
                self._capacities(self.online)
        if members_name is None:
            return self._ids_one_by_one(level) if has_id else {}
        return self._ids_by_group(level, members_name, has_id)

    def _alone(self, members_name: str | None, level: Level) -> bool:
        """Whether the first cpu is its core's only online thread.

        A kernel built without CONFIG_SCHED_SMT says in smt/active that there are no threads, whatever there is.
        """
        if members_name is None:
            return True
        parse = text.mask if members_name in level.masks else text.ids
        members = parse(f"{CPU}/cpu{self.first_cpu}/topology/{members_name}", self.first[members_name] or b"")
        return len(self.is_online.intersection(members)) == 1

    def _ids_by_group(self, level: Level, members_name: str, has_id: bool) -> dict[int, int | None]:
        """Read the files of each group's first cpu only.

        In each package the first group's id is compared with that of its last cpu: hypervisors and old kernels have
        been seen to give the threads of a core different ids.
        """
        checked: set[int | None] = set()
        each_its_own_id = False
        parse = text.mask if members_name in level.masks else text.ids
        with_capacity = self.has_capacity and level is CORE
        ids: dict[int, int | None] = {}
        groups: dict[int, tuple[int, ...]] = {}
        is_online = self.is_online
        read = self.source.read
        for cpu in self.online:
            if cpu in ids:
                continue
            directory = f"cpu{cpu}/topology/"
            if cpu == self.first_cpu and not with_capacity:
                members_text, id_text = self.first[members_name], self.first.get(level.id_name)
            else:
                paths = [directory + members_name]
                if has_id:
                    paths.append(directory + level.id_name)
                if with_capacity:
                    paths.append(f"cpu{cpu}/cpu_capacity")
                members_text, *rest = read(paths, CPU)
                id_text = rest[0] if has_id else None
            value = None
            if id_text is not None:
                value = text.number(f"{CPU}/{directory}{level.id_name}", id_text)
                if value < 0:
                    value = None
            if members_text is None:
                ids[cpu] = value
                continue
            members = parse(f"{CPU}/{directory}{members_name}", members_text)
            if not is_online.issuperset(members):
                members = tuple([m for m in members if m in is_online])
            if cpu not in members or not ids.keys().isdisjoint(members):
                self.source.note(
                    f"{CPU}/{directory}{members_name}",
                    f"the {level.name} lists of the cpus contradict each other; each cpu is taken at its own word",
                )
                return self._contradicting(level, members_name, has_id)
            package = self.package.get(cpu, cpu)
            if has_id and package not in checked:
                checked.add(package)
                other = members[-1]
                if other != cpu and read((f"cpu{other}/topology/{level.id_name}",), CPU)[0] not in (id_text, None):
                    each_its_own_id = True
            for member in members:
                ids[member] = value
                groups[member] = members
            if with_capacity:
                capacity = None if rest[-1] is None else text.number(f"{CPU}/cpu{cpu}/cpu_capacity", rest[-1])
                for member in members:
                    self.capacity[member] = capacity
        if level is CORE:
            self.siblings = groups
        if each_its_own_id:
            self.source.note(
                f"{CPU}/cpu*/topology/{level.id_name}", f"cpus of one {level.name} have different ids; each has its own"
            )
            return self._ids_one_by_one(level)
        return ids

    def _ids_one_by_one(self, level: Level) -> dict[int, int | None]:
        paths = [f"cpu{cpu}/topology/{level.id_name}" for cpu in self.online]
        ids: dict[int, int | None] = {}
        for cpu, path, content in zip(self.online, paths, self.source.read(paths, CPU), strict=True):
            value = None if content is None else text.number(f"{CPU}/{path}", content)
            ids[cpu] = None if value is None or value < 0 else value
        if level is CORE and self.has_capacity:
            self._capacities(self.online)
        return ids

    def _contradicting(self, level: Level, members_name: str, has_id: bool) -> dict[int, int | None]:
        if level is CORE:
            parse = text.mask if members_name in level.masks else text.ids
            paths = [f"cpu{cpu}/topology/{members_name}" for cpu in self.online]
            for cpu, path, content in zip(self.online, paths, self.source.read(paths, CPU), strict=True):
                if content is not None:
                    members = [m for m in parse(f"{CPU}/{path}", content) if m in self.is_online]
                    self.siblings[cpu] = tuple(sorted({cpu, *members}))
            if self.has_capacity and not has_id:
                self._capacities(self.online)
        return self._ids_one_by_one(level) if has_id else {}

    def _capacities(self, cpus: tuple[int, ...]) -> None:
        paths = [f"cpu{cpu}/cpu_capacity" for cpu in cpus]
        for cpu, path, content in zip(cpus, paths, self.source.read(paths, CPU), strict=True):
            self.capacity[cpu] = None if content is None else text.number(f"{CPU}/{path}", content)
