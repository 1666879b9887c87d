"""``/sys/fs/resctrl``: memory traffic and cache occupancy, by last-level cache or sub-NUMA node, and by group.

Documentation/arch/x86/resctrl.rst of Linux: ``mon_data/mon_L3_XX`` has the id of the cache, and with sub-NUMA
clustering ``mon_sub_L3_YY`` below it the number of the node; ``mon_groups`` are groups that only count, other
directories at the top those that also control.
"""

from __future__ import annotations

from ..errors import FactError
from ..named import namedtuple
from . import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

ROOT = "sys/fs/resctrl"
FILES = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
NOT_GROUPS = frozenset(("info", "mon_data", "mon_groups"))
# Where a recording has the reading before the one at ``ROOT``, and how many seconds lie between them.
EARLIER = "linux/resctrl-earlier"
SECONDS = "linux/resctrl-seconds"
# No processor has a cache of a terabyte.
MAX_OCCUPANCY = 1 << 40
# RMIDs of hardware: a few hundred.
MAX_GROUPS = 4096


class MonitorFacts(namedtuple("MonitorFacts", "group cache node occupancy total local", defaults=(None, None, None))):
    """One ``mon_L3_XX``, or ``mon_sub_L3_YY`` of it with ``node``; bytes, None for a file that is missing or says so.

    ``group`` is the path below the root of the file system, empty for the default group.
    """

    __slots__ = ()
    group: str
    cache: int
    node: int | None
    occupancy: int | None
    total: int | None
    local: int | None


def collect(source: Source, base: str = ROOT) -> tuple[MonitorFacts, ...] | None:
    """Every group's counters: three files for each cache or node of each group. None where it is not mounted.

    ``base`` is where the file system is; recordings have an earlier reading below another name.
    """
    # The kernel makes the directory, which is empty until the file system is mounted there (resctrl_init of Linux).
    if not source.names(base):
        return None
    found: list[MonitorFacts] = []
    for group in _groups(source, base):
        data = f"{base}/{group}/mon_data" if group else f"{base}/mon_data"
        for name in source.names(data, "mon_L3_") or ():
            cache = _number(name, "mon_L3_")
            if cache is None:
                continue
            parts = source.names(f"{data}/{name}", "mon_sub_L3_") or ()
            nodes = sorted([node for part in parts if (node := _number(part, "mon_sub_L3_")) is not None])
            if not nodes:
                found.append(_read(source, f"{data}/{name}", group, cache, None))
            found += [_read(source, f"{data}/{name}/mon_sub_L3_{node:02}", group, cache, node) for node in nodes]
    return tuple(found)


def _groups(source: Source, base: str) -> list[str]:
    """The default group, its monitoring groups, and those that control with theirs."""
    found = [""]
    top = [name for name in source.names(base) or () if name not in NOT_GROUPS]
    # Names do not distinguish directories from files; a group has data.
    control = [name for name in top if source.names(f"{base}/{name}/mon_data") is not None]
    for parent in ("", *control):
        found += [parent] if parent else []
        below = f"{parent}/mon_groups" if parent else "mon_groups"
        found += [f"{below}/{name}" for name in source.names(f"{base}/{below}") or ()]
    if len(found) > MAX_GROUPS:
        source.note(base, f"has {len(found)} groups; the first {MAX_GROUPS} of them are counted")
    return found[:MAX_GROUPS]


def _number(name: str, prefix: str) -> int | None:
    """The number of a name, which the kernel writes with two digits at least."""
    digits = name.removeprefix(prefix)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _read(source: Source, directory: str, group: str, cache: int, node: int | None) -> MonitorFacts:
    parsers = (_occupancy, _bytes, _bytes)
    values = [
        source.parsed(parse, f"{directory}/{name}", content)
        for parse, name, content in zip(parsers, FILES, source.read(FILES, directory), strict=True)
    ]
    return MonitorFacts(group=group, cache=cache, node=node, occupancy=values[0], total=values[1], local=values[2])


def _bytes(where: str, content: bytes) -> int:
    """A count; the kernel writes ``Unavailable`` while hardware has none, and ``Error``."""
    if content.strip() in (b"Unavailable", b"Error"):
        raise FactError(where, content.strip(), "the hardware has no count")
    value = text.number(where, content)
    if not 0 <= value < (1 << 64) - 1:
        raise FactError(where, content, "not a count of bytes")
    return value


def _occupancy(where: str, content: bytes) -> int:
    value = _bytes(where, content)
    if value >= MAX_OCCUPANCY:
        raise FactError(where, content, "more than a cache has")
    return value
