"""What free memory can be used for: zones, free blocks, reserved huge pages, and the limits of this process.

Sources: ``/proc/zoneinfo`` (zoneinfo_show_print of Linux's mm/vmstat.c), ``/proc/buddyinfo`` (proc(5)),
Documentation/admin-guide/mm/hugetlbpage.rst, cgroup-v2.rst (memory.max, memory.current, memory.stat) and
cgroup-v1/memory.rst, and the policy that ``numa_maps`` shows for a mapping without one of its own (numa(7)).
"""

from __future__ import annotations

from functools import partial

from ..errors import FactError
from ..named import namedtuple
from . import cgroups, text
from .nodes import HUGE_PAGES, huge_page_sizes
from .source import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

ZONEINFO = "proc/zoneinfo"
BUDDYINFO = "proc/buddyinfo"
NUMA_MAPS = "proc/thread-self/numa_maps"
# Enough for the longest policy, with a list of nodes, of the first mapping.
FIRST_LINE = 512
# Lines of a zone, before the lists of each cpu.
FIELDS = (b"min", b"managed", b"nr_zone_active_file", b"nr_zone_inactive_file", b"nr_free_cma")
# PAGE_COUNTER_MAX of Linux's include/linux/page_counter.h, in bytes, and what is near to it: no limit. Version 1 shows
# that, and nothing above it.
NO_LIMIT = 1 << 62
MAX_COUNTER = (1 << 63) - 1
# Modes of mpol_to_str of Linux's mm/mempolicy.c.
MODES = frozenset(("default", "prefer", "prefer (many)", "bind", "interleave", "weighted interleave", "local"))
# What a control group gives back of itself before it refuses; the names of v2, and of v1, whose totals include groups
# below.
LIMITS = (
    ("memory.max", "memory.current", (b"active_file", b"inactive_file", b"slab_reclaimable")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", (b"total_active_file", b"total_inactive_file")),
)


class ZoneRoom(
    namedtuple(
        "ZoneRoom",
        "node name free_pages min_pages managed_pages protection_pages active_file_pages inactive_file_pages cma_pages"
        " listed_pages",
        defaults=(None, None, None, (), None, None, None, 0),
    )
):
    """One zone of ``/proc/zoneinfo``, as far as its use is concerned; counts in pages.

    The counts of file pages are there since Linux 4.8, ``cma_pages`` are those free in contiguous-memory areas.
    ``listed_pages`` are on the lists that each cpu keeps for itself: free, and not counted as such; the kernel takes
    them back when memory is short (drain_all_pages of mm/page_alloc.c).
    """

    __slots__ = ()
    node: int
    name: str
    free_pages: int | None
    min_pages: int | None
    managed_pages: int | None
    protection_pages: tuple[int, ...]
    active_file_pages: int | None
    inactive_file_pages: int | None
    cma_pages: int | None
    listed_pages: int


class UsableFacts(
    namedtuple(
        "UsableFacts",
        "zones blocks reserved policy policy_nodes room room_from room_known",
        defaults=(None, None, None, None, None, None, None, True),
    )
):
    """``zones``; ``blocks``, free blocks by (node, zone) and order; ``reserved``, huge pages promised, by size in kB.

    ``policy`` is the kernel's word for the memory policy of this process, ``policy_nodes`` its nodes. ``room`` are the
    bytes that it may still charge to its control groups, None without a limit, and ``room_from`` the file of the limit.
    ``room_known`` is False where a limit, or what counts towards it, could not be read: there may be less room then.
    """

    __slots__ = ()
    zones: tuple[ZoneRoom, ...] | None
    blocks: dict[tuple[int, str], tuple[int, ...]] | None
    reserved: dict[int, int] | None
    policy: str | None
    policy_nodes: tuple[int, ...] | None
    room: int | None
    room_from: str | None
    room_known: bool


def collect(source: Source, *, process: bool = True, total_kb: int | None = None) -> UsableFacts:
    """Two files of the kernel, one for each size of huge pages, and three for each control group above the process.

    Without ``process`` nothing of the process and its groups is read. ``total_kb`` is the machine's memory, of which no
    group uses more.
    """
    policy, policy_nodes = source.parsed(_policy, NUMA_MAPS, _head(source) if process else None) or (None, None)
    room = _Room(source, total_kb)
    if process:
        room.look()
    sizes = huge_page_sizes(source, HUGE_PAGES)
    paths = [f"hugepages-{size}kB/resv_hugepages" for size in sizes]
    contents = source.read(paths, HUGE_PAGES) if sizes else []
    reserved = {
        size: source.parsed(text.number, f"{HUGE_PAGES}/{path}", content)
        for size, path, content in zip(sizes, paths, contents, strict=True)
    }
    return UsableFacts(
        zones=source.parsed(zones, ZONEINFO, source.one(ZONEINFO)),
        blocks=source.parsed(blocks, BUDDYINFO, source.one(BUDDYINFO)),
        reserved={size: count for size, count in reserved.items() if count is not None},
        policy=policy,
        policy_nodes=policy_nodes,
        room=room.least,
        room_from=room.limited_by,
        room_known=room.known,
    )


def zones(where: str, content: bytes) -> tuple[ZoneRoom, ...]:
    """The zones of all nodes. Of the lists of each cpu, nearly all of the file on a large machine, only the length."""
    found = []
    start = 0 if content.startswith(b"Node ") else content.find(b"\nNode ") + 1
    if not start and not content.startswith(b"Node "):
        raise FactError(where, content, "contains no zone")
    while start < len(content):
        end = content.find(b"\nNode ", start)
        end = len(content) if end < 0 else end
        cpus = content.find(b"pagesets", start, end)
        zone = _zone(where, content[start : end if cpus < 0 else cpus])
        found.append(zone if cpus < 0 else zone._replace(listed_pages=_listed(where, content[cpus:end])))
        start = end + 1
        if len(found) > text.MAX_ZONES:
            raise FactError(where, content[:60], "more zones than any kernel has")
    return tuple(found)


def _listed(where: str, pagesets: bytes) -> int:
    """Pages on the lists of all cpus."""
    counts = [rest.split(None, 1)[:1] for rest in pagesets.split(b"count:")[1:]]
    return sum([text.number(where, count[0] if count else b"") for count in counts])


def _zone(where: str, paragraph: bytes) -> ZoneRoom:
    first, _, rest = paragraph.partition(b"\n")
    words = first.split()
    node = words[1].rstrip(b",") if len(words) == 4 and words[2] == b"zone" else b""
    if not node.isdigit():
        raise FactError(where, first, "not a node and a zone")
    free = protection = None
    values: dict[bytes, int] = {}
    for line in rest.split(b"\n"):
        words = line.split()
        if len(words) == 2 and words[0] in FIELDS:
            values.setdefault(words[0], text.number(where, words[1]))
        elif len(words) == 3 and words[:2] == [b"pages", b"free"]:
            free = text.number(where, words[2])
        elif words[:1] == [b"protection:"]:
            protection = text.numbers(where, line.partition(b"(")[2].partition(b")")[0].replace(b",", b" "))
    managed = values.get(b"managed")
    # The two are counted at different moments.
    if free is not None and managed is not None and free > managed + (managed >> 6):
        raise FactError(where, f"pages free {free}, managed {managed}", "more free pages than the zone has")
    return ZoneRoom(
        node=int(node),
        name=first.split()[3].decode("ascii", "replace"),
        free_pages=free,
        min_pages=values.get(b"min"),
        managed_pages=managed,
        protection_pages=protection or (),
        active_file_pages=values.get(b"nr_zone_active_file"),
        inactive_file_pages=values.get(b"nr_zone_inactive_file"),
        cma_pages=values.get(b"nr_free_cma"),
    )


def blocks(where: str, content: bytes) -> dict[tuple[int, str], tuple[int, ...]]:
    """``/proc/buddyinfo``: free blocks of each order, by node and zone."""
    found: dict[tuple[int, str], tuple[int, ...]] = {}
    if content.count(b"\n") > text.MAX_ZONES:
        raise FactError(where, content[:60], "more zones than any kernel has")
    for line in content.splitlines():
        head, comma, tail = line.partition(b", zone")
        words = tail.split()
        node = head.removeprefix(b"Node ").strip()
        if not comma or len(words) < 2 or not node.isdigit():
            raise FactError(where, line, "not a node, a zone and counts")
        counts = text.numbers(where, b" ".join(words[1:]))
        # As many for each zone: a count that is missing is not 0.
        if found and len(counts) != len(next(iter(found.values()))):
            raise FactError(where, line, "another number of counts than in other lines")
        found[int(node), words[0].decode("ascii", "replace")] = counts
    if not found:
        raise FactError(where, content, "contains no zone")
    return found


def _head(source: Source) -> bytes | None:
    """The first line of the process's mappings: walking all of them would cost milliseconds."""
    head = getattr(source.reader, "head", None)
    content = source.one(NUMA_MAPS) if head is None else head(NUMA_MAPS, FIRST_LINE)
    if isinstance(content, int) and content not in ABSENT:
        source.unreadable("", NUMA_MAPS, content)
    return content if isinstance(content, bytes) else None


def _policy(where: str, content: bytes) -> tuple[str, tuple[int, ...] | None]:
    """Mode and nodes of ``55d1c2a0 bind=static:0-1 file=...`` (mpol_to_str of Linux's mm/mempolicy.c)."""
    line = content.partition(b"\n")[0]
    words = line.split()
    if len(words) < 2:
        raise FactError(where, line, "not an address and a policy")
    policy = words[1]
    # "prefer (many)" and "weighted interleave"
    if policy in (b"prefer", b"weighted") and words[2:] and words[2].startswith((b"(many)", b"interleave")):
        policy += b" " + words[2]
    mode, colon, listed = policy.partition(b":")
    nodes = text.ids(where, listed) if colon else None
    name = mode.partition(b"=")[0].decode("ascii", "replace")
    if name not in MODES:
        raise FactError(where, line, "an unknown memory policy")
    if name == "bind" and not nodes:
        raise FactError(where, line, "a memory policy without its nodes")
    return name, nodes


class _Room:
    """How much the groups of this process have left, from its own up to the root of the hierarchy."""

    def __init__(self, source: Source, total_kb: int | None) -> None:
        self.source = source
        self.most = MAX_COUNTER if total_kb is None else total_kb << 10
        self.least: int | None = None
        self.limited_by: str | None = None
        self.known = True
        self.limited: set[str] = set()  # groups that have a limit, were it none

    def look(self) -> None:
        """Find the least."""
        source = self.source
        own = cgroups.own_paths(source)
        mounted = cgroups.mounts(source, ("cgroup", "cgroup2"))
        if any(path in source.failed or path in source.broken for path in cgroups.OWN_TABLES):
            self.known = False
        found = cgroups.directories(mounted, own, "memory")
        if not found and ("memory" in own or "" in own):
            # It is below no mounted hierarchy, or outside of the namespace: there may be a limit.
            self.known = False
        for directory in found:
            for limit_name, usage_name, kinds in LIMITS:
                self._group(directory, limit_name, usage_name, kinds)
        # Of a group that is not there, and is not the root, no limit is absent.
        if len(found) > 1 and found[0] not in self.limited:
            names = source.reader.listdir(found[0])
            if isinstance(names, int):
                source.misread(FactError(cgroups.OWN, f"/{found[0]}", "names a control group that cannot be seen"))
                self.known = False

    def _group(self, directory: str, limit_name: str, usage_name: str, kinds: tuple[bytes, ...]) -> None:
        source, path = self.source, f"{directory}/{limit_name}"
        limit_text, usage_text, stat = source.read((limit_name, usage_name, "memory.stat"), directory)
        if limit_text is None:
            # The root has no such file; one that is there and cannot be read may be any limit.
            self.known = self.known and path not in source.failed
            return
        self.limited.add(directory)
        if limit_text.strip() == b"max":
            return
        limit = source.parsed(partial(_amount, MAX_COUNTER), path, limit_text)
        if limit is not None and limit >= NO_LIMIT:
            return
        usage = source.parsed(partial(_amount, self.most), f"{directory}/{usage_name}", usage_text)
        given = source.parsed(partial(_given, kinds, self.most), f"{directory}/memory.stat", stat)
        if limit is None or usage is None or given is None:
            self.known = False
            return
        room = max(0, limit - usage + min(given, usage))
        if self.least is None or room < self.least:
            self.least, self.limited_by = room, path


def _amount(most: int, where: str, content: bytes) -> int:
    value = text.number(where, content)
    if not 0 <= value <= most:
        raise FactError(where, content, "not a possible number of bytes")
    return value


def _given(kinds: tuple[bytes, ...], most: int, where: str, stat: bytes) -> int:
    sizes = text.words(where, stat, kinds)
    # Slab is not in every version's file; the lists of file pages are.
    if None in sizes[:2]:
        raise FactError(where, stat[:60], f"has no {kinds[0].decode()}")
    given = sum([size or 0 for size in sizes])
    if min([size or 0 for size in sizes]) < 0 or given > most:
        raise FactError(where, str(given), "not a possible number of bytes")
    return given
