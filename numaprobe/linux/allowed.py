"""What the calling process may use: its affinity, cpuset and cpu quota, as opposed to what the host has.

``/proc/self/status`` has the result of affinity and cpuset together (proc(5)). Recordings rarely contain it; then the
cpuset is read where it is mounted. The quota is the tightest on the path from the process's group to the root:
Documentation/admin-guide/cgroup-v2.rst (cpu.max, cpuset.*.effective), cgroup-v1/cpusets.rst and
Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from ..errors import FactError
from . import cgroups as groups
from . import text
from .facts import AllowedFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

STATUS = "proc/self/status"
MOUNTS = "proc/self/mountinfo"
# The effective set first (v2, then v1), then the configured one, then the names in a cpuset file system without prefix.
CPUSET_CPUS = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus", "cpus")
CPUSET_NODES = ("cpuset.mems.effective", "cpuset.effective_mems", "cpuset.mems", "mems")


# Of the root group, which has no list that could be configured: a container sees its own group there, which has one
# (cpuset.cpus of cgroup-v2.rst is on groups below the root only).
ROOT = "sys/fs/cgroup"
EFFECTIVE, CONFIGURED = "cpuset.cpus.effective", "cpuset.cpus"


def collect(source: Source) -> AllowedFacts:
    """Cpus and nodes of the process that owns ``/proc/self`` and how many cpus' worth of time it may use."""
    own = _Groups(source)
    where: list[str] = []
    cpus, nodes = _from_status(source)
    if cpus is not None or nodes is not None:
        where.append(STATUS)
    else:
        cpus, path = own.first_ids("cpuset", CPUSET_CPUS)
        where += [path] if path else []
        nodes, path = own.first_ids("cpuset", CPUSET_NODES)
        where += [path] if path else []
    quota, path = own.quota()
    where += [path] if path else []
    return AllowedFacts(cpus=cpus, nodes=nodes, quota=quota, where=tuple(where), unpartitioned=_unpartitioned(source))


def _unpartitioned(source: Source) -> tuple[int, ...] | None:
    effective, configured = source.read((EFFECTIVE, CONFIGURED), ROOT)
    if effective is None or configured is not None or f"{ROOT}/{CONFIGURED}" in source.failed:
        return None
    return source.parsed(text.id_list, f"{ROOT}/{EFFECTIVE}", effective)


def _from_status(source: Source) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    cpus = nodes = None
    content = source.one(STATUS)
    if content is not None and len(content) > text.MAX_ROW:
        source.misread(FactError(STATUS, content[:60], f"a table of {len(content)} bytes"))
        return None, None
    if content is not None and b"Name:" not in content and b"_allowed_list:" not in content:
        source.misread(FactError(STATUS, content, "not a process's status"))
    for line in (content or b"").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"Cpus_allowed_list":
            cpus = source.parsed(_allowed, f"{STATUS} Cpus_allowed_list", value)
        elif name == b"Mems_allowed_list":
            nodes = source.parsed(_allowed, f"{STATUS} Mems_allowed_list", value)
    return cpus, nodes


def _allowed(where: str, value: bytes) -> tuple[int, ...]:
    found = text.ids(where, value)
    if not found:
        raise FactError(where, reason="is empty, although every process has one")
    return found


class _Groups:
    """The process's control groups: for each controller the directories from its own group up to the mount."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.paths = self._own_paths()
        self.mounts = groups.mounts(source, ("cgroup", "cgroup2", "cpuset"))
        if self.paths and not self.mounts and source.one(MOUNTS) is not None:
            source.misread(FactError(MOUNTS, reason="names no mounted control groups: the quota is unknown"))

    def _own_paths(self) -> dict[str, str]:
        found = groups.own_paths(self.source)
        # Linux before 2.6.24 has cpusets without control groups; proc/self/cpuset still answers for them.
        if not found:
            cpuset = self.source.one("proc/self/cpuset")
            if cpuset is not None and cpuset.strip():
                found["cpuset"] = cpuset.decode("utf-8", "replace").replace("\0", "").strip()
        return found

    def directories(self, controller: str) -> list[str]:
        """Directories from the process's group up to the mount point, relative to the root of the tree."""
        return groups.directories(self.mounts, self.paths, controller)

    def first_ids(self, controller: str, names: tuple[str, ...]) -> tuple[tuple[int, ...] | None, str | None]:
        """Ids from the nearest group that states some: an empty list inherits from the group above."""
        for directory in self.directories(controller):
            for name, content in zip(names, self.source.read(names, directory), strict=True):
                if content is not None:
                    found = self.source.parsed(text.ids, f"{directory}/{name}", content)
                    if found is None:
                        # What the groups above have is more than this one may have.
                        return None, None
                    if found:
                        return found, f"{directory}/{name}"
        return None, None

    def quota(self) -> tuple[float | None, str | None]:
        """The smallest number of cpus' worth of time on the way up, or None for no limit."""
        best: tuple[float | None, str | None] = None, None
        for directory in self.directories("cpu"):
            latest, quota, period = self.source.read(("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"), directory)
            path = f"{directory}/cpu.max"
            if latest is not None:
                share = self.source.parsed(_share, path, latest)
            else:
                path = f"{directory}/cpu.cfs_quota_us"
                limit = self.source.parsed(text.number, path, quota)
                length = self.source.parsed(text.number, f"{directory}/cpu.cfs_period_us", period)
                # Version 1 has -1 for no limit.
                if limit is None or length is None or limit == -1:
                    share = None
                else:
                    share = self.source.parsed(_share, path, b"%d %d" % (limit, length))
            if share is not None and (best[0] is None or share < best[0]):
                best = share, path
        return best


def _share(where: str, content: bytes) -> float | None:
    words = content.split()
    if len(words) != 2:
        raise FactError(where, content, "not a quota and a period")
    limit, length = words
    period = text.number(where, length)
    share = (1 if limit == b"max" else text.number(where, limit), period)
    if min(share) <= 0:
        raise FactError(where, content, "no time, or no period")
    return None if limit == b"max" else share[0] / period
