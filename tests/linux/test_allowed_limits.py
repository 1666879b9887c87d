"""What this process may use, at the limits: the smallest quota, the longest status, each note to the letter."""

from __future__ import annotations

from errno import EACCES

import pytest
from trees import Machine, Shelf

from numaprobe.linux import allowed
from numaprobe.linux.source import Source

V2 = "30 23 0:26 {root} {point} rw shared:4 - cgroup2 cgroup2 {options}\n"


@pytest.mark.parametrize(
    ("content", "cpus_", "nodes", "note"),
    [
        ("Name:\tx\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n", (0, 1, 2, 3), (0,), None),
        ("Cpus_allowed_list:\t2\n", (2,), None, None),
        ("Name:\tx\n", None, None, None),
        ("junk\n", None, None, ("proc/self/status", "not a process's status: 'junk'")),
        ("Name:\tx\nCpus_allowed_list:\t\nMems_allowed_list:\t1\n", None, (1,),
         ("proc/self/status Cpus_allowed_list", "is empty, although every process has one")),
        ("Name:\tx\nCpus_allowed_list:\t0\nMems_allowed_list:\t\n", (0,), None,
         ("proc/self/status Mems_allowed_list", "is empty, although every process has one")),
        ("Mems_allowed_list:\t1\n" + "#" * 65_515, None, (1,), None),
        ("#" * 65_537, None, None, ("proc/self/status", f"a table of 65537 bytes: '{'#' * 60}'")),
    ],
)  # fmt: skip
def test_a_status_says_which_cpus_and_nodes_are_allowed(
    content: str, cpus_: tuple[int, ...] | None, nodes: tuple[int, ...] | None, note: tuple[str, str] | None
) -> None:
    """One of the two is enough; a status is 64 kB at most, and always has the name of the process."""
    source = Source(Shelf({"proc/self/status": content}))
    found = allowed.collect(source)
    assert (found.cpus, found.nodes) == (cpus_, nodes)
    assert found.where == (("proc/self/status",) if cpus_ or nodes else ())
    assert source.notes == ([] if note is None else [note])


QUOTAS: Machine = {
    "proc/self/cgroup": "0::/a/b\n",
    "proc/self/mountinfo": V2.format(root="/", point="/sys/fs/cgroup", options="rw"),
}


@pytest.mark.parametrize(
    ("quotas", "quota", "where"),
    [
        ({"a/b/cpu.max": "50000 100000\n"}, 0.5, "a/b/cpu.max"),
        ({"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "200000 100000\n"}, 1.0, "a/b/cpu.max"),
        ({"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "100000 100000\n"}, 1.0, "a/cpu.max"),
        ({"a/b/cpu.max": "100000 100000\n", "a/cpu.max": "50000 50000\n"}, 1.0, "a/b/cpu.max"),
        ({"a/b/cpu.max": "max 100000\n"}, None, None),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "1 1000\n"}, 0.001, "a/cpu.max"),
        ({"a/b/cpu.max": "1 1\n"}, 1.0, "a/b/cpu.max"),
        ({"a/cpu.cfs_quota_us": "-1\n", "a/cpu.cfs_period_us": "100000\n"}, None, None),
        ({"a/cpu.cfs_quota_us": "1\n", "a/cpu.cfs_period_us": "4\n"}, 0.25, "a/cpu.cfs_quota_us"),
        ({"a/cpu.cfs_quota_us": "2\n", "a/cpu.cfs_period_us": "4\n"}, 0.5, "a/cpu.cfs_quota_us"),
        ({"a/cpu.cfs_quota_us": "5\n"}, None, None),
        ({"a/cpu.cfs_period_us": "5\n"}, None, None),
    ],
)
def test_the_quota_is_the_smallest_and_of_equal_ones_the_nearest(
    quotas: dict[str, str], quota: float | None, where: str | None
) -> None:
    """In CPUs' worth of time, of either version of control groups."""
    source = Source(Shelf({**QUOTAS, **{f"sys/fs/cgroup/{path}": content for path, content in quotas.items()}}))
    found = allowed.collect(source)
    assert found.quota == quota
    assert found.where == (() if where is None else (f"sys/fs/cgroup/{where}",))
    assert source.notes == []


@pytest.mark.parametrize(
    ("content", "text_"),
    [
        ("100000\n", "not a quota and a period: '100000'"),
        ("1 2 3\n", "not a quota and a period: '1 2 3'"),
        ("0 100000\n", "no time, or no period: '0 100000'"),
        ("-1 100000\n", "no time, or no period: '-1 100000'"),
        ("1 0\n", "no time, or no period: '1 0'"),
        ("max 0\n", "no time, or no period: 'max 0'"),
    ],
)
def test_a_quota_that_is_none_is_noted(content: str, text_: str) -> None:
    """No group has no time at all."""
    source = Source(Shelf({**QUOTAS, "sys/fs/cgroup/a/cpu.max": content}))
    assert allowed.collect(source).quota is None
    assert source.notes == [("sys/fs/cgroup/a/cpu.max", text_)]


def test_groups_that_no_mount_leads_to_are_noted() -> None:
    """The quota is then unknown, and not absent; without a group, or without a table, there is nothing to say."""
    for tree, notes in (
        ({"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": "1 0 0:1 / / rw - ext4 a rw\n"},
         [("proc/self/mountinfo", "names no mounted control groups: the quota is unknown")]),
        ({"proc/self/cgroup": "0::/a\n"}, []),
        ({"proc/self/mountinfo": "1 0 0:1 / / rw - ext4 a rw\n"}, []),
    ):  # fmt: skip
        source = Source(Shelf(tree))
        assert allowed.collect(source).quota is None
        assert source.notes == notes


@pytest.mark.parametrize(
    ("tree", "errors", "found"),
    [
        ({"cpuset.cpus.effective": "0-3\n"}, {}, (0, 1, 2, 3)),
        ({"cpuset.cpus.effective": "0-3\n", "cpuset.cpus": "0\n"}, {}, None),
        ({"cpuset.cpus.effective": "0-3\n"}, {"cpuset.cpus": EACCES}, None),
        ({}, {}, None),
    ],
)
def test_cpus_outside_of_partitions_are_the_root_groups(
    tree: dict[str, str], errors: dict[str, int], found: tuple[int, ...] | None
) -> None:
    """Which has no list that is configured; a group that has one is a container's."""
    root = "sys/fs/cgroup"
    shelf = Shelf(
        {f"{root}/{name}": text for name, text in tree.items()}, {f"{root}/{n}": e for n, e in errors.items()}
    )
    assert allowed.collect(Source(shelf)).unpartitioned == found
