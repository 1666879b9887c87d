"""Control groups: where they are mounted, which one a process is in, and how much memory a group has on each node.

Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cgroups.rst of Linux; cgroups(7), proc(5).
"""

from __future__ import annotations

from errno import EOPNOTSUPP

from ..errors import FactError
from ..named import namedtuple
from . import nodes
from .source import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .source import Source

# Lines of memory.numa_stat. What only swapping or killing gives back is anon and shmem; page cache is not, nor is slab.
# Of the file pages, those of guest_memfd are on no list of the page cache: the rest after all that is on one.
KINDS = (b"anon", b"shmem", b"file", b"swapcached", b"active_file", b"inactive_file", b"unevictable")
MOUNTINFO = "proc/self/mountinfo"
OLDER_MOUNTS = ("proc/self/mounts", "proc/mounts")
OWN = "proc/self/cgroup"
# Without one of these it is not known which groups limit this process.
OWN_TABLES = (OWN, MOUNTINFO, *OLDER_MOUNTS)
MAX_MOUNTS = 1 << 14
MAX_DIGITS = 10  # of a process's number
MAX_TABLE = 1 << 20
MAX_LINE = 4096 + 256  # PATH_MAX of Linux, and the names of controllers
MAX_DEPTH = 16  # deeper than any hierarchy that somebody made on purpose
MEMBERS = ("cgroup.procs", "cgroup.stat")


class Mount(namedtuple("Mount", "root point kind options")):
    """A mounted file system: which part of it, where, its type, and the options of the file system itself."""

    __slots__ = ()
    root: str
    point: str
    kind: str
    options: frozenset[str]


def unescaped(field: str) -> str:
    """A path of mountinfo, in which blanks are written as octal numbers (proc(5))."""
    field = field.replace("\0", "")
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def mounts(source: Source, kinds: Sequence[str]) -> list[Mount]:
    """Mounted file systems of some types, as this process sees them.

    None of them, and the table is broken (see ``Source``), if there are more than can be read.
    """
    content = source.one(MOUNTINFO)
    if content is not None:
        try:
            found = mounts_in(content, kinds)
        except FactError as error:
            source.misread(error)
            return []
        if len(found) > MAX_MOUNTS:
            text = "more mounts of a kind than can be looked at"
            source.misread(FactError(MOUNTINFO, f"{len(found)} and more", text))
            return []
        return found
    # Linux before 2.6.26, and trees made by hand.
    where, content = next(((path, table) for path in OLDER_MOUNTS if (table := source.one(path))), ("", b""))
    if len(content) > MAX_TABLE:
        source.misread(FactError(where, content[:60], f"a table of {len(content)} bytes"))
        return []
    found = []
    for line in content.decode("utf-8", "replace").split("\n"):
        parts = line.split()
        if len(parts) >= 4 and parts[2] in kinds:
            options = frozenset(parts[3].split(","))
            found.append(Mount(root="/", point=unescaped(parts[1]), kind=parts[2], options=options))
    return found


def mounts_in(mountinfo: bytes, kinds: Sequence[str], where: str = MOUNTINFO) -> list[Mount]:
    """Mounted file systems of some types in a mountinfo (proc(5)).

    A host of many containers has tens of thousands of lines, so that only those of these types are looked at, and no
    more than one above ``MAX_MOUNTS``. Raises ``FactError`` for a line of them that is none, and for a file without
    any: a process can read it only where proc is mounted.
    """
    found = []
    if b" - " not in mountinfo:
        raise FactError(where, mountinfo, "names no mount")
    last = mountinfo[mountinfo.rfind(b"\n") + 1 :].rstrip(b"\0")
    if last and last.partition(b" - ")[2].count(b" ") < 2:
        raise FactError(where, last, "is cut in this line")
    for start, end in sorted(_lines_with(mountinfo, [f" - {kind} ".encode() for kind in kinds])):
        before, _, after = mountinfo[start:end].decode("utf-8", "replace").partition(" - ")
        # The source of a mount may be empty.
        left, right = before.split(), after.split(" ")
        if len(left) < 6 or len(right) < 3 or right[0] not in kinds or not left[4].startswith("/"):
            raise FactError(where, mountinfo[start:end], "not a mount")
        options = frozenset(right[2].split(","))
        found.append(Mount(root=unescaped(left[3]), point=unescaped(left[4]), kind=right[0], options=options))
    return found


def _lines_with(content: bytes, words: Sequence[bytes]) -> set[tuple[int, int]]:
    """Where the lines with one of these words begin and end."""
    found: set[tuple[int, int]] = set()
    for word in words:
        at = content.find(word)
        while at >= 0 and len(found) <= MAX_MOUNTS:
            end = content.find(b"\n", at)
            end = len(content) if end < 0 else end
            found.add((content.rfind(b"\n", 0, at) + 1, end))
            at = content.find(word, end)
    return found


def table(where: str, content: bytes) -> dict[str, str]:
    """The same as :func:`paths` of a table without an odd line. Raises ``FactError`` for any other, and for none."""
    if len(content) > MAX_TABLE:
        raise FactError(where, content[:60], f"a table of {len(content)} bytes")
    for line in content.split(b"\n"):
        number, _, rest = line.partition(b":")
        if line and not (number.isdigit() and rest.partition(b":")[2].startswith(b"/") and len(line) <= MAX_LINE):
            raise FactError(where, line, "not a control group")
    if not (found := paths(content)):
        raise FactError(where, content, "names no control group")
    return found


def paths(content: bytes | None) -> dict[str, str]:
    """Path by controller, from ``/proc/PID/cgroup``; the unified hierarchy (v2) has the empty name.

    A line longer than any is left out, and all of a table that is; see :func:`table`.
    """
    found: dict[str, str] = {}
    if content is None or len(content) > MAX_TABLE:
        return found
    for line in content.decode("utf-8", "replace").split("\n"):
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and len(line) <= MAX_LINE:
            for controller in controllers.split(","):
                found[controller] = path.replace("\0", "")
    return found


def own_paths(source: Source) -> dict[str, str]:
    """The same of this process. What is left out, or nothing at all, makes the table broken: it may have a limit."""
    content = source.one(OWN)
    found = paths(content)
    if content is not None and OWN not in source.broken:
        source.parsed(table, OWN, content)
    return found


def directories(mounted: Sequence[Mount], own: Mapping[str, str], controller: str) -> list[str]:
    """Directories from a process's group up to the mount point, relative to the root of the tree."""
    unified = own.get("")
    for mount in mounted:
        root, kind = mount.root, mount.kind
        if kind == "cgroup2":
            path = unified if unified is not None and controller not in own else None
        elif controller in mount.options or kind == controller:
            path = own.get(controller)
        else:
            path = None
        # A mount, or a group, from outside of this process's control group namespace (cgroup_namespaces(7)): the one
        # cannot be named by way of the other.
        if path is None or root.startswith("/..") or path.startswith("/.."):
            continue
        # A container sees its own group as the mount's root.
        if root != "/" and (path == root or path.startswith(root + "/")):
            path = path[len(root) :]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        base = mount.point.strip("/")
        return ["/".join([base, *parts[:depth]]) for depth in range(len(parts), -1, -1)]
    return []


class Held(namedtuple("Held", "anonymous shared huge unlisted unevictable")):
    """Bytes by node that a group is charged for: anonymous memory, shared memory (shmem), huge pages.

    ``unlisted`` are file pages on no list of the page cache, as those of guest_memfd are; ``unevictable`` is what can
    never be swapped, these among it.
    """

    __slots__ = ()
    anonymous: dict[int, int]
    shared: dict[int, int]
    huge: dict[int, int]
    unlisted: dict[int, int]
    unevictable: dict[int, int]

    def by_node(self) -> dict[int, int]:
        """Anonymous, shared and huge pages together, by node."""
        found = dict(self.anonymous)
        for part in (self.shared, self.huge):
            for node, size in part.items():
                found[node] = found.get(node, 0) + size
        return found


class Groups:
    """The unified hierarchy (v2), the only one whose groups report nodes in bytes and huge pages."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # Both are read when a process or a group is looked up, which most hosts have none of.
        self._known_mounts: list[Mount] | None = None
        self._known_stats: tuple[str, ...] | None = None

    @property
    def mounted(self) -> list[Mount]:
        """Where the hierarchy is mounted."""
        if self._known_mounts is None:
            self._known_mounts = [mount for mount in mounts(self._source, ("cgroup2",)) if mount.point]
        return self._known_mounts

    @property
    def _stats(self) -> tuple[str, ...]:
        if self._known_stats is None:
            sizes = nodes.huge_page_sizes(self._source, nodes.HUGE_PAGES)
            # hugetlb_cgroup_file_init of Linux's mm/hugetlb_cgroup.c
            self._known_stats = ("memory.numa_stat", *(f"hugetlb.{_size_name(size)}.numa_stat" for size in sizes))
        return self._known_stats

    def of_process(self, own: Mapping[str, str]) -> list[str]:
        """Directories from a process's group (see :func:`table`) up to the mount point; none without a group."""
        return directories(self.mounted, {"": own[""]}, "memory") if "" in own else []

    def named(self, name: str) -> str | None:
        """The directory of a group that is named by its path below the mount point, or by its whole path."""
        for mount in self.mounted:
            point = mount.point.strip("/")
            path = name.strip("/")
            if path == point or path.startswith(point + "/"):
                return path
            if not any(part in ("", ".", "..") for part in path.split("/")):
                return f"{point}/{path}"
        return None

    def of_version_1(self, name: str) -> str | None:
        """The directory of a group with this path in a hierarchy of version 1, the memory controller's first."""
        older = [mount for mount in mounts(self._source, ("cgroup",)) if mount.point]
        older.sort(key=lambda mount: "memory" not in mount.options)
        for mount in older:
            directory = "/".join(part.strip("/") for part in (mount.point, name))
            is_path = {"", ".", ".."}.isdisjoint(directory.split("/"))
            if is_path and self._source.one(f"{directory}/cgroup.procs") is not None:
                return directory
        return None

    def held(self, directory: str, *, huge: bool) -> Held | None:
        """What a group and those below it are charged for; None where the kernel does not report it.

        ``memory.numa_stat`` (Linux 5.11 for v2), ``hugetlb.*.numa_stat`` (Linux 5.17). With ``huge`` the second has
        to be there: it is the only one that has them.
        """
        return self._held(directory, self._source.read([f"{directory}/{name}" for name in self._stats]), huge=huge)

    def held_alone(self, directory: str, pid: int, *, huge: bool) -> tuple[Held | None, bool]:
        """The same, and whether this process is the only one in the group and the groups below it."""
        stats = self._source.read([f"{directory}/{name}" for name in self._stats])
        held = self._held(directory, stats, huge=huge)
        if held is None:
            return None, False
        # Not through the source: a threaded group, as libvirt makes for vcpus, refuses its list, which is no failure.
        found, groups = self._scan_group(directory, 0)
        return held, found == {pid} and groups is not None

    def _held(self, directory: str, contents: Sequence[bytes | None], *, huge: bool) -> Held | None:
        try:
            return self._understood(directory, contents, huge=huge)
        except FactError as error:
            # What the group holds can be counted process by process.
            self._source.misread(error)
            return None

    def _understood(self, directory: str, contents: Sequence[bytes | None], *, huge: bool) -> Held | None:
        content, *hugetlb = contents
        if content is None:
            return None
        where = f"{directory}/memory.numa_stat"
        lines = {words[0]: words[1] for line in content.split(b"\n") if len(words := line.split(b" ", 1)) == 2}
        anon, shmem, file, swapcached, active, inactive, unevictable = [
            by_node(where, lines.get(kind, b"")) for kind in KINDS
        ]
        # The kernel writes every kind for every node (memory_numa_stat_show of mm/memcontrol.c).
        if missing := next((kind for kind in KINDS[:3] if b"=" not in lines.get(kind, b"")), None):
            raise FactError(where, content, f"has no {missing.decode()}")
        unlisted = {
            node: left
            for node, size in file.items()
            if (left := size - sum(part.get(node, 0) for part in (shmem, swapcached, active, inactive))) > 0
        }
        pages: dict[int, int] = {}
        for name, stat in zip(self._stats[1:], hugetlb, strict=True):
            if stat is None:
                if huge:
                    return None
                continue
            for node, size in by_node(f"{directory}/{name}", stat).items():
                pages[node] = pages.get(node, 0) + size
        return Held(anonymous=anon, shared=shmem, huge=pages, unlisted=unlisted, unevictable=unevictable)

    def processes(self, directory: str) -> set[int] | None:
        """Processes in a group and those below it; None where that cannot be determined."""
        found, groups = self._scan_group(directory, 0)
        return None if groups is None else found

    def _scan_group(self, directory: str, depth: int) -> tuple[set[int], int | None]:
        procs, stat = self._source.reader.read([f"{directory}/{name}" for name in MEMBERS])
        for name, content in zip(MEMBERS, (procs, stat), strict=True):
            if isinstance(content, int) and content not in (*ABSENT, EOPNOTSUPP):
                self._source.unreadable(directory, name, content)
        return self._members(
            directory, depth, procs if isinstance(procs, bytes) else None, stat if isinstance(stat, bytes) else None
        )

    def _members(
        self, directory: str, depth: int, procs: bytes | None, stat: bytes | None
    ) -> tuple[set[int], int | None]:
        """Processes of a group and below, and how many groups are below it, None if not all could be looked into."""
        # The processes of a threaded group are listed in the nearest one above that is not (EOPNOTSUPP).
        words = [] if procs is None else procs.split()
        if odd := next((word for word in words if not word.isdigit() or len(word) > MAX_DIGITS), None):
            self._source.misread(FactError(f"{directory}/cgroup.procs", odd, "not a process"))
            return set(), None
        found = {int(word) for word in words}
        if stat is None:
            return found, None
        below = _count_below(stat)
        if below is None:
            self._source.misread(FactError(f"{directory}/cgroup.stat", stat, "has no nr_descendants"))
        if not below:
            return found, below
        if depth >= MAX_DEPTH:
            return found, None
        seen = 0
        for name in self._source.names(directory) or ():
            # Names do not distinguish directories from files, but most files begin with their controller's name.
            if name.startswith(("cgroup.", "memory.", "cpu.", "cpuset.", "io.", "hugetlb.", "pids.", "misc.", "rdma.")):
                continue
            more, groups = self._scan_group(f"{directory}/{name}", depth + 1)
            if groups is None:
                continue
            found |= more
            seen += 1 + groups
        return found, below if seen == below else None


def _count_below(stat: bytes) -> int | None:
    for line in stat.split(b"\n"):
        name, _, number = line.partition(b" ")
        if name == b"nr_descendants" and number.isdigit():
            return int(number)
    return None


def _size_name(size_kb: int) -> str:
    for unit, name in ((1 << 20, "GB"), (1 << 10, "MB")):
        if size_kb >= unit:
            return f"{size_kb // unit}{name}"
    return f"{size_kb}KB"


def by_node(where: str, words: bytes) -> dict[int, int]:
    """``N0=4096 N1=0``: bytes by node."""
    found = {}
    for word in words.split():
        name, equal, value = word.partition(b"=")
        if name[:1] != b"N" or not equal:
            continue
        if not (name[1:].isdigit() and value.isdigit()):
            raise FactError(where, word, "not a node and bytes")
        if size := int(value):
            found[int(name[1:])] = size
    return found
