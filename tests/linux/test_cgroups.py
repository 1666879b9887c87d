"""Control groups: where a process's own is, and who is in one."""

from __future__ import annotations

import pytest
from trees import Machine, Shelf

from numaprobe.linux.cgroups import MAX_DEPTH, Groups, Mount, directories, paths
from numaprobe.linux.source import Source

ROOT = "sys/fs/cgroup"
V2 = Mount(root="/", point="/sys/fs/cgroup", kind="cgroup2", options=("rw",))
MEMORY = Mount(root="/", point="/sys/fs/cgroup/memory", kind="cgroup", options=("rw", "memory"))
CPUSET = Mount(root="/", point="/dev/cpuset", kind="cpuset", options=("rw",))


@pytest.mark.parametrize(
    ("own", "controller", "found"),
    [
        ({"": "/a/b"}, "memory", [f"{ROOT}/a/b", f"{ROOT}/a", ROOT]),
        ({"": "/"}, "memory", [ROOT]),
        ({"": "/a", "memory": "/m"}, "memory", [f"{ROOT}/memory/m", f"{ROOT}/memory"]),
        ({"": "/a", "memory": "/m"}, "cpu", [f"{ROOT}/a", ROOT]),
        ({"memory": "/m"}, "cpu", []),
        ({"cpuset": "/c"}, "cpuset", ["dev/cpuset/c", "dev/cpuset"]),
        ({}, "memory", []),
    ],
)
def test_a_controller_is_looked_for_in_its_own_hierarchy_and_else_in_the_unified_one(
    own: dict[str, str], controller: str, found: list[str]
) -> None:
    """Not in the unified one where the process says that it has one of its own."""
    assert directories([V2, MEMORY, CPUSET], own, controller) == found


def test_a_container_sees_its_own_group_as_the_root() -> None:
    """The mount's root is cut off whole names only, and a root outside the namespace leads nowhere."""
    inside = V2._replace(root="/box")
    assert directories([inside], {"": "/box/a"}, "memory") == [f"{ROOT}/a", ROOT]
    assert directories([inside], {"": "/box"}, "memory") == [ROOT]
    assert directories([inside], {"": "/boxes/a"}, "memory") == [f"{ROOT}/boxes/a", f"{ROOT}/boxes", ROOT]
    assert directories([V2._replace(root="/../other")], {"": "/a"}, "memory") == []


def test_each_line_names_the_controllers_of_a_hierarchy() -> None:
    """Version 2 has no name, named hierarchies have no controller, and an odd line is skipped."""
    assert paths(b"4:cpu,cpuacct:/x\n0::/a\0\n1:name=systemd:/s\nodd\n") == {
        "cpu": "/x",
        "cpuacct": "/x",
        "": "/a",
        "name=systemd": "/s",
    }
    assert paths(None) == {}


def nested(depth: int) -> Machine:
    """So many groups below the first one, each with a process."""
    tree: Machine = {}
    path = f"{ROOT}/g"
    for level in range(depth + 1):
        tree[f"{path}/cgroup.procs"] = f"{100 + level}\n"
        tree[f"{path}/cgroup.stat"] = f"nr_descendants {depth - level}\nnr_dying_descendants 0\n"
        tree[f"{path}/memory.numa_stat"] = "anon N0=0\n"
        path = f"{path}/g{level}"
    return tree


def members(tree: Machine) -> set[int] | None:
    return Groups(Source(Shelf(tree))).processes(f"{ROOT}/g")


@pytest.mark.parametrize("depth", [0, 1, 2, MAX_DEPTH])
def test_the_processes_of_a_group_are_those_below_it_too(depth: int) -> None:
    """Libvirt nests groups for vcpus and the emulator; the depth is tried up to its maximum."""
    assert members(nested(depth)) == set(range(100, 101 + depth))


def test_a_group_whose_groups_cannot_all_be_looked_into_has_unknown_processes() -> None:
    """Too deep, of another number than the kernel says, or without its own files."""
    assert members(nested(MAX_DEPTH + 1)) is None
    more = nested(2)
    more[f"{ROOT}/g/cgroup.stat"] = "nr_descendants 3\n"
    assert members(more) is None
    silent = nested(2)
    del silent[f"{ROOT}/g/g0/cgroup.stat"]
    assert members(silent) is None
    threaded = nested(1)
    del threaded[f"{ROOT}/g/cgroup.procs"]
    assert members(threaded) == {101}, "its processes are listed above"
