"""What the asking process may use: its affinity, cpuset and cpu quota. Another view than the host's.

``/proc/self/status`` has the outcome of affinity and cpuset together (proc(5)); recordings seldom hold it, and then
the cpuset is looked up where it is mounted. The quota is the tightest on the way from the process's group to the root:
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
# The effective set first (v2, then v1), then the one asked for, then as a cpuset file system without a prefix has it.
CPUSET_CPUS = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus", "cpus")
CPUSET_NODES = ("cpuset.mems.effective", "cpuset.effective_mems", "cpuset.mems", "mems")


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
    return AllowedFacts(cpus=cpus, nodes=nodes, quota=quota, where=tuple(where))


def _from_status(source: Source) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    cpus = nodes = None
    for line in (source.one(STATUS) or b"").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"Cpus_allowed_list":
            cpus = text.ids(f"{STATUS} Cpus_allowed_list", value)
        elif name == b"Mems_allowed_list":
            nodes = text.ids(f"{STATUS} Mems_allowed_list", value)
    return cpus, nodes


class _Groups:
    """The process's control groups: for each controller the directories from its own group up to the mount."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.paths = self._own_paths()
        self.mounts = groups.mounts(source, ("cgroup", "cgroup2", "cpuset"))

    def _own_paths(self) -> dict[str, str]:
        found = groups.paths(self.source.one("proc/self/cgroup"))
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
                    found = text.ids(f"{directory}/{name}", content)
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
                words = latest.split()
                if len(words) != 2:
                    raise FactError(path, latest, "not a quota and a period")
                if words[0] == b"max":
                    continue
                limit, length = (text.number(path, word) for word in words)
            elif quota is not None and period is not None:
                path = f"{directory}/cpu.cfs_quota_us"
                limit = text.number(path, quota)
                length = text.number(f"{directory}/cpu.cfs_period_us", period)
            else:
                continue
            if limit < 0 or length <= 0:
                continue
            if best[0] is None or limit / length < best[0]:
                best = limit / length, path
        return best
