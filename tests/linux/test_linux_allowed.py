"""What a process may use by its affinity, cpuset and control groups; and any tree at all, damaged."""

from __future__ import annotations

import pytest
from collected import host
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import CPU, NODE, Machine, machine, meminfo

from numaprobe import Allowed, FactError, SourceUnavailable

# --- what this process may use ---------------------------------------------------------------------------------


def controlled(*groups: str, mountinfo: str = "", **files: str) -> Machine:
    tree: Machine = {**machine({0: [0, 1, 2, 3], 1: [4, 5, 6, 7]})}
    tree["proc/self/cgroup"] = "".join(f"{line}\n" for line in groups)
    if mountinfo:
        tree["proc/self/mountinfo"] = mountinfo
    tree.update({path: f"{text}\n" for path, text in files.items()})
    return tree


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 24 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


def test_nothing_is_said_of_the_process_unless_asked_for() -> None:
    """None means not requested, and an empty Allowed means requested and found without a limit."""
    assert host(machine({0: [0]})).allowed is None
    found = host(machine({0: [0]}), allowed=True).allowed
    assert found == Allowed()


def test_allowed_by_the_status_of_the_process_cut_with_what_there_is() -> None:
    """The kernel's masks cover every id that it could ever have, far past the host's own."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree["proc/self/status"] = "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t1-239\nMems_allowed_list:\t1-1023\n"
    assert host(tree, allowed=True).allowed[:4] == ((1, 2, 3), (1,), None, ("proc/self/status",))


def test_allowed_by_cgroup_v2_from_the_nearest_group_that_says_so() -> None:
    """An empty effective file passes the question to the parent; CPUs and cells may be answered by different groups."""
    tree = controlled("0::/a/b", mountinfo=V2)
    tree["proc/self/cpuset"] = "/a/b\n"
    tree["sys/fs/cgroup/a/b/cpuset.cpus.effective"] = "\n"
    tree["sys/fs/cgroup/a/cpuset.cpus.effective"] = "2-5\n"
    tree["sys/fs/cgroup/cpuset.mems.effective"] = "1\n"
    assert host(tree, allowed=True).allowed[:4] == (
        (2, 3, 4, 5),
        (1,),
        None,
        ("sys/fs/cgroup/a/cpuset.cpus.effective", "sys/fs/cgroup/cpuset.mems.effective"),
    )


def test_allowed_by_cgroup_v1() -> None:
    """On a hybrid host the cpuset controller is in version 1's hierarchy although version 2 is mounted too."""
    tree = controlled("4:cpuset:/box", "3:cpu,cpuacct:/box", "0::/", mountinfo=V1 + V2)
    tree["sys/fs/cgroup/cpuset/box/cpuset.cpus"] = "0,4\n"
    tree["sys/fs/cgroup/cpuset/box/cpuset.mems"] = "0\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert (found.cpus, found.cells) == ((0, 4), (0,))


@pytest.mark.parametrize(
    ("point", "kind", "options", "names"),
    [
        ("/dev/cpuset", "cpuset", "rw", ("cpus", "mems")),
        ("/cgroup", "cgroup", "rw,cpuset,noprefix", ("cpus", "mems")),
        ("/mnt/c groups", "cgroup", "rw,cpuset", ("cpuset.cpus", "cpuset.mems")),
    ],
)
def test_allowed_by_a_cpuset_at_an_odd_mount(point: str, kind: str, options: str, names: tuple[str, str]) -> None:
    r"""The cpuset file system, noprefix names, and a mount point whose space the kernel writes as \040."""
    tree: Machine = machine({0: [0, 1], 1: [2, 3]})
    tree["proc/self/cpuset"] = "/set\n"
    if kind == "cgroup":
        tree["proc/self/cgroup"] = "2:cpuset:/set\n"
    escaped = point.replace(" ", "\\040")
    tree["proc/mounts"] = f"none / ext3 rw 0 0\nnone {escaped} {kind} {options} 0 0\n"
    tree[f"{point[1:]}/set/{names[0]}"] = "1-2\n"
    tree[f"{point[1:]}/set/{names[1]}"] = "0-1\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert (found.cpus, found.cells) == ((1, 2), (0, 1))


def test_a_container_sees_its_own_group_as_the_root_of_the_mount() -> None:
    """As in Docker without a cgroup namespace: the mount's root is cut off the front of the group's path."""
    mount = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    tree = controlled("0::/docker/abc", mountinfo=mount)
    tree["sys/fs/cgroup/cpuset.cpus.effective"] = "3\n"
    tree["sys/fs/cgroup/cpu.max"] = "50000 100000\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert (found.cpus, found.quota) == ((3,), 0.5)


def test_the_quota_is_the_tightest_on_the_way_to_the_root() -> None:
    """A parent's cpu.max binds its children, so the group's own max does not mean unlimited."""
    tree = controlled("0::/a/b/c", mountinfo=V2)
    tree["sys/fs/cgroup/a/b/c/cpu.max"] = "max 100000\n"
    tree["sys/fs/cgroup/a/b/cpu.max"] = "400000 100000\n"
    tree["sys/fs/cgroup/a/cpu.max"] = "150000 100000\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert (found.quota, found.where) == (1.5, ("sys/fs/cgroup/a/cpu.max",))


def test_the_quota_of_cgroup_v1_and_none() -> None:
    """There -1 stands for unlimited, and quota and period are two files instead of one."""
    tree = controlled("3:cpu,cpuacct:/a/b", mountinfo=V1)
    tree["sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us"] = "-1\n"
    tree["sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us"] = "100000\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert found.quota is None
    tree["sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us"] = "250000\n"
    tree["sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us"] = "100000\n"
    found = host(tree, allowed=True).allowed
    assert found is not None
    assert found.quota == 2.5


@given(st.binary(max_size=80), st.binary(max_size=120))
def test_control_groups_of_any_bytes_end_in_an_answer_or_a_fact_error(groups: bytes, mounts: bytes) -> None:
    """Container runtimes write odd paths; no byte of them may raise anything else or leave the tree."""
    tree: Machine = {
        **machine({0: [0]}),
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": mounts + b"\n" + V2.encode(),
    }
    tree["sys/fs/cgroup/cpu.max"] = groups
    try:
        host(tree, allowed=True)
    except FactError:
        return


def test_the_host_is_the_same_whatever_the_process_may_use() -> None:
    """In a small container the host is the machine, and the container's limits are a field of their own."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree["proc/self/status"] = "Cpus_allowed_list:\t1\nMems_allowed_list:\t1\n"
    assert host(tree, allowed=True)._replace(allowed=None) == host(tree)


# --- any tree --------------------------------------------------------------------------------------------------

FULL = machine({0: [0, 1], 1: [2, 3], 2: []}, threads=2)
FULL.update(
    {
        "proc/zoneinfo": "Node 0, zone Normal\n  low 5\n  high 6\n  managed 1048576\n  protection: (0, 1)\n",
        "proc/meminfo": meminfo(None, 100, 50, MemAvailable=70),
        f"{CPU}/smt/active": "1\n",
        f"{CPU}/cpu0/cpu_capacity": "1024\n",
        f"{NODE}/has_cpu": "0-1\n",
        f"{NODE}/has_memory": "0-2\n",
        f"{NODE}/node2/access0/initiators/read_latency": "70\n",
        f"{NODE}/node2/memory_side_cache/index1/size": "70\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "1\n",
        f"{NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages": "1\n",
        "sys/devices/cpu_core/cpus": "0-1\n",
        "sys/devices/virtual/memory_tiering/memory_tier4/nodelist": "0-1\n",
        "sys/bus/dax/devices/dax0.0/target_node": "2\n",
        "sys/bus/pci/devices/0000:00:00.0/numa_node": "0\n",
        "sys/bus/pci/devices/0000:00:00.0/class": "0x010000\n",
        "proc/self/status": "Cpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n",
        "proc/self/cgroup": "0::/a\n",
        "proc/self/mountinfo": V2,
        "sys/fs/cgroup/a/cpu.max": "100 1000\n",
    }
)
rubbish = st.binary(max_size=12) | st.sampled_from(
    [b"", b"\n", b"\0" * 8, b"-1\n", b"0-\n", b"7-3\n", b"99999\n", b"18446744073709551616\n", b"0-3\n", b"(null)"]
)


@settings(max_examples=400)
@given(
    st.dictionaries(st.sampled_from(sorted(FULL)), st.none() | rubbish, max_size=5),
    st.sets(st.sampled_from(sorted(FULL)), max_size=4),
)
def test_any_files_lost_or_damaged_end_in_a_host_or_in_one_of_our_errors(
    damage: dict[str, bytes | None], lost: set[str]
) -> None:
    """Any five files of a full tree are damaged and four removed; the host found must still be consistent in itself."""
    tree: Machine = {path: damage.get(path, text) for path, text in FULL.items() if path not in lost}
    said, found = "", None
    try:
        found = host(tree, devices=True, allowed=True)
    except (FactError, SourceUnavailable) as error:
        said = str(error)
    assert said.isprintable()
    if found is None:
        return
    assert [cell.id for cell in found.cells] == sorted({cell.id for cell in found.cells})
    assert [cpu.id for cpu in found.cpus] == sorted({cpu.id for cpu in found.cpus})
    for cpu in found.cpus:
        assert cpu.siblings is None or (cpu.online and cpu.id in cpu.siblings)
        assert cpu.cell is None or cpu.cell in {cell.id for cell in found.cells}
    hash(found)
    found.to_dict()


@pytest.mark.parametrize(
    ("mountinfo", "noted"), [("", False), (V2, False), ("21 1 0:20 / /proc rw - proc proc rw\n", True)]
)
def test_a_list_of_mounts_without_control_groups_is_noted(mountinfo: str, noted: bool) -> None:
    """Though not a list that is absent, as in most recordings."""
    found = host(controlled("0::/box", mountinfo=mountinfo), allowed=True)
    assert any("names no mounted control groups" in note.text for note in found.notes) == noted


ROOT_GROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpuset.cpus.effective": "0-1\n"}, (2, 3)),
        ({"cpuset.cpus.effective": "0-3\n"}, ()),
        # A container's own group, whose limits are not partitions.
        ({"cpuset.cpus.effective": "0-1\n", "cpuset.cpus": "0-1\n"}, None),
        ({"cpuset.cpus.effective": "0-1\n", "cpuset.cpus": "\n"}, None),
        ({"cpuset.cpus.effective": "x\n"}, None),
        ({}, None),
    ],
)
def test_cpus_of_partitions_are_those_that_the_root_group_lacks(
    files: dict[str, str], expected: tuple[int, ...] | None
) -> None:
    """Version 2 shows the root's effective CPUs; nothing else can take CPUs from it, as offline ones are left out."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    tree["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0-1\n"
    tree |= {f"{ROOT_GROUP}/{name}": content for name, content in files.items()}
    found = host(tree, allowed=True)
    assert found.allowed is not None
    assert found.allowed.partitioned == expected
    assert [note.where for note in found.notes] == (
        [f"{ROOT_GROUP}/cpuset.cpus.effective"] if "x" in "".join(files.values()) else []
    )


# --- the kernel's own word against a file that something replaced -------------------------------------------------


def contained(online: str, own: str, **files: str) -> Machine:
    """A container's view: lxcfs renumbers ``cpu/online``, the affinity is the kernel's."""
    tree = machine({0: [0, 1], 1: [2, 3]}, threads=2)
    tree[f"{CPU}/online"] = f"{online}\n"
    tree["proc/self/status"] = f"Name:\tx\nCpus_allowed_list:\t{own}\nMems_allowed_list:\t0-1\n"
    return tree | {path: f"{text}\n" for path, text in files.items()}


def test_a_renumbered_list_that_meets_the_affinity_by_chance_is_not_believed() -> None:
    """Lxcfs lists two CPUs as 0-1 where the process has 1 and 2: CPU 2 is online, since it has a topology."""
    found = host(contained("0-1", "1-2"), allowed=True)
    assert found.allowed is not None
    assert found.allowed.cpus == (1, 2)
    assert [cell.cpus for cell in found.cells] == [(0, 1), (2, 3)]
    assert found.cpu(2).siblings == (2, 3)
    assert ("online", "lists 0-1, and cpus 2 are online: not the kernel's list") in found.notes


def test_a_cpu_that_is_offline_is_no_contradiction() -> None:
    """Affinities include CPUs that may be added; one that says 0 in its own file is offline."""
    states = {f"{CPU}/cpu{cpu}/online": "0" for cpu in (2, 3)}
    found = host(contained("0-1", "0-3", **states), allowed=True)
    assert [cpu.id for cpu in found.cpus if cpu.online] == [0, 1]
    assert not any(note.where == "online" for note in found.notes)


def test_an_affinity_outside_of_every_list_takes_no_cpu_from_its_cell() -> None:
    """The nodes' lists and the affinity are both the kernel's, so neither is dropped for the other."""
    found = host(contained("0-1", "64"), allowed=True)
    assert [cell.cpus for cell in found.cells] == [(0, 1), (2, 3)]
    assert found.allowed is not None
    assert found.allowed.cpus == (64,)
    assert found.cpu(64).cell is None


def test_memory_on_nodes_that_do_not_exist_is_a_contradiction() -> None:
    """Every process has a node for its memory: none of those that there are is unknown, and noted."""
    tree = contained("0-3", "0-3")
    tree["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t5\n"
    found = host(tree, allowed=True)
    assert found.allowed is not None
    assert found.allowed.cells is None
    assert any("nodes 5, of which none exists" in note.text for note in found.notes)


@pytest.mark.parametrize("text", ["0 100000", "-1 100000", "1000 0", "max 0"])
def test_a_quota_that_cannot_be_is_unknown(text: str) -> None:
    """The kernel gives at least a millisecond in a period, and only version 1 has -1 for no limit."""
    tree = controlled("0::/a", mountinfo=V2, **{"sys/fs/cgroup/a/cpu.max": text})
    found = host(tree, allowed=True)
    assert found.allowed is not None
    assert found.allowed.quota is None
    assert any(text in note.text for note in found.notes)


def test_a_broken_list_of_the_own_group_is_not_that_of_the_group_above() -> None:
    """What the group above has is more than its child may use."""
    tree = controlled("0::/a", mountinfo=V2, **{"sys/fs/cgroup/cpuset.cpus.effective": "0-7"})
    tree["sys/fs/cgroup/a/cpuset.cpus.effective"] = "2-"
    found = host(tree, allowed=True)
    assert found.allowed is not None
    assert found.allowed.cpus is None
    assert found.notes
