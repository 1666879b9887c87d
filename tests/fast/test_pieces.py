"""What files answer with less moved: zones in pieces, the head of a file, groups of cpus; each against the long way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trees
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trees import CPU, Link, Shelf

import numaprobe
from numaprobe import _fast
from numaprobe.linux import cpus
from numaprobe.linux.collect import collect
from numaprobe.linux.source import Source
from numaprobe.sources.architecture import machine
from numaprobe.sources.tree import Tree

Plant = Callable[[Mapping[str, trees.Content]], Path]
PIECE = 256 << 10


def zone(node: int, name: str, low: int, cpu_lines: int) -> str:
    text = f"Node {node}, zone {name:>8}\n  pages free     {low}\n        low      {low}\n        high     {low * 2}\n"
    text += f"        managed  {low * 9}\n        protection: (0, {low}, 7)\n  pagesets\n"
    return text + "".join(f"    cpu: {i}\n              count: 1\n              high:  2\n" for i in range(cpu_lines))


@pytest.mark.parametrize("padding", [0, 1, 5, 6, 7, 30, 31, 32, 57, 100])
@pytest.mark.parametrize("contained", [True, False])
def test_zones_are_found_wherever_a_piece_ends(plant: Plant, padding: int, contained: bool) -> None:
    """A line, a word or the end of a paragraph may lie across two reads."""
    text = "x" * padding + "\n" + "".join(zone(node, "Normal", 10 + node, 900) for node in range(40))
    assert len(text) > 5 * PIECE
    content = (text + "Node 40, zone Movable\n  pages free 0").encode()
    root = plant({"proc/zoneinfo": content})
    found = _fast.Files(root, contained=contained).zones("proc/zoneinfo")
    assert found == _fast.zones(content)
    assert isinstance(found, list)
    assert found[3] == (3, "Normal", 13, 26, 117, (0, 13, 7))
    assert found[-1] == (40, "Movable", None, None, None, ())


def test_zoneinfo_of_any_other_kind_is_an_error_or_an_errno(plant: Plant) -> None:
    """A line longer than a piece is a ValueError; links, missing files and FIFOs are the errno of any read."""
    root = plant({"a": "Node x\n", "b": "x" * (PIECE + 10), "c": "\0" * 5000, "d": Link("/etc/passwd")})
    os.mkfifo(root / "f")
    with _fast.Files(root, contained=True) as files:
        for name in ("a", "b"):
            with pytest.raises(ValueError):
                files.zones(name)
        assert files.zones("c") == []
        assert files.zones("d") == files.zones("nothing") == 2
        assert files.zones("f") == 22


def test_a_probe_quotes_zoneinfo_that_makes_no_sense(plant: Plant) -> None:
    """The file is then read whole, so that notes are those of any reader."""
    tree = trees.machine({0: [0, 1]})
    for content in ("Node x, zone Normal\n", "\0" * 4096, ""):
        tree["proc/zoneinfo"] = content
        answers = [collect(reader) for reader in (Tree(plant(tree)), Shelf(tree))]
        assert answers[0] == answers[1]
        assert answers[0].notes


def test_the_head_of_a_file_is_its_first_bytes(plant: Plant) -> None:
    """An ELF header or the first CPU is enough, where cpuinfo of a large host has megabytes."""
    root = plant({"a": "0123456789", "l": Link("/etc/passwd")})
    files = _fast.Files(root, contained=True)
    assert files.head("a", 4) == b"0123"
    assert files.head("a", 40) == b"0123456789"
    assert files.head("l", 4) == files.head("nothing", 4) == 2
    assert files.head(".", 4) in (21, 22)


@pytest.mark.parametrize(
    ("cpuinfo", "word"),
    [
        ("vendor_id : GenuineIntel\nflags : fpu lm\n\n" * 3, "x86_64"),
        ("vendor_id : GenuineIntel\nflags : fpu " + "x " * 3000 + "lm\n\n", "x86_64"),
        ("processor : 0\n\nprocessor : 1\n\nCPU implementer : 0x41\nFeatures : asimd\n", "aarch64"),
        ("vendor_id : IBM/S390\nfacilities : 1\n\ncpu0\n", "s390x"),
        ("nothing\n", None),
    ],
)
def test_the_architecture_is_that_of_the_whole_cpuinfo(plant: Plant, cpuinfo: str, word: str | None) -> None:
    """The head of the file gives the same answer as all of it, whether or not the first CPU suffices."""
    root = plant({"proc/cpuinfo": cpuinfo})
    assert machine(Tree(root), live=False) == machine(Shelf({"proc/cpuinfo": cpuinfo}), live=False) == word


# --- groups of cpus ------------------------------------------------------------------------------------------------

LIST = "core_cpus_list"


def test_groups_are_read_for_the_first_cpu_of_each_only(plant: Plant) -> None:
    """One thread's files answer for its core, so CPUs that share one are not opened at all."""
    tree = {f"{CPU}/cpu0/topology/{LIST}": "0,4\n", f"{CPU}/cpu0/topology/core_id": "7\n", f"{CPU}/cpu0/cpu_capacity": "5\n",
            f"{CPU}/cpu1/topology/{LIST}": "1-3,9\n", f"{CPU}/cpu1/topology/core_id": "-1\n"}  # fmt: skip
    files = _fast.Files(plant(tree), contained=True)
    found = files.cpu_groups(CPU, (0, 1, 2, 3, 4), f"topology/{LIST}", ("topology/core_id",))
    assert found == (
        {0: (0, 4), 4: (0, 4), 1: (1, 2, 3), 2: (1, 2, 3), 3: (1, 2, 3)},
        [{0: 7, 4: 7, 1: None, 2: None, 3: None}],
    )
    assert files.cpu_groups(CPU, (0, 1, 4), f"topology/{LIST}", ()) == ({0: (0, 4), 4: (0, 4), 1: (1,)}, [])
    assert files.cpu_groups(CPU, (0, 4), f"topology/{LIST}", ("cpu_capacity",)) == (
        {0: (0, 4), 4: (0, 4)},
        [{0: 5, 4: 5}],
    )
    assert files.cpu_groups(CPU, (0, 1), None, ("topology/core_id",)) == ({0: (0,), 1: (1,)}, [{0: 7, 1: None}])
    assert files.cpu_groups(CPU, (0, 1), None, ("cpu_capacity",)) is None
    assert files.cpu_groups(CPU, (0, 1), None, ("cpu_capacity",) * 9) is None
    assert files.cpu_groups(CPU, (0, 1), None, ("x" * 5000,)) is None


@pytest.mark.parametrize(
    "files",
    [
        {LIST: None}, {LIST: ""}, {LIST: "0-1"}, {LIST: "1\n"}, {LIST: "0,x\n"}, {LIST: "1,0\n"}, {LIST: "0-\n"},
        {LIST: "0-1\n\n"}, {LIST: "0-99999\n"}, {"core_id": None}, {LIST: "0\n" + " " * 5000}, {"core_id": "x\n"}, {"core_id": ""},
        {"core_id": "99999999999\n"}, {"core_id": "1"}, {LIST: Link("/etc/passwd")},
    ],
    ids=str,
)  # fmt: skip
def test_anything_unusual_is_left_to_the_walk(plant: Plant, files: dict[str, trees.Content]) -> None:
    """C takes the common form alone and returns None for the rest, so that only Python writes notes."""
    tree: dict[str, trees.Content] = {f"{CPU}/cpu0/topology/{LIST}": "0-1\n", f"{CPU}/cpu0/topology/core_id": "1\n"}
    for name, content in files.items():
        tree.pop(f"{CPU}/cpu0/topology/{name}")
        if content is not None:
            tree[f"{CPU}/cpu0/topology/{name}"] = content
    assert (
        _fast.Files(plant(tree), contained=True).cpu_groups(CPU, (0, 1), f"topology/{LIST}", ("topology/core_id",))
        is None
    )


def test_groups_that_overlap_are_left_to_the_walk(plant: Plant) -> None:
    """CPU 2 would be in two cores; the slow path describes the contradiction."""
    tree = {f"{CPU}/cpu0/topology/{LIST}": "0,2\n", f"{CPU}/cpu1/topology/{LIST}": "1-2\n"}
    assert _fast.Files(plant(tree)).cpu_groups(CPU, (0, 1, 2), f"topology/{LIST}", ()) is None


ids = st.integers(0, 11)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(ids, min_size=1),
    st.dictionaries(ids, st.tuples(st.sets(ids, min_size=1), st.integers(-1, 3), st.sampled_from(["ok", "ok", "ok", "cut", "gone"]))),
    st.dictionaries(ids, st.tuples(st.sets(ids, min_size=1), st.integers(-1, 3))),
    st.booleans(),
    st.sampled_from(["", "0", "1"]),
    st.dictionaries(ids, st.sampled_from(["0", "1", "-1", "65535", "x"])),
    st.dictionaries(ids, st.sampled_from(["512", "1024", "-1"])),
)  # fmt: skip
@example(online={0, 1}, cores={}, packages={1: ({0, 1}, 0)}, true=False, smt="", clusters={}, capacities={})
def test_cpus_are_the_same_with_and_without_reading_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    online: set[int],
    cores: dict[int, tuple[set[int], int, str]],
    packages: dict[int, tuple[set[int], int]],
    true: bool,
    smt: str,
    clusters: dict[int, str],
    capacities: dict[int, str],
) -> None:
    """Any topology, consistent or not, gives the same facts and the same notes."""
    tree: dict[str, trees.Content] = {f"{CPU}/online": trees.fold(sorted(online)), f"{CPU}/present": "0-11\n"}
    if smt:
        tree[f"{CPU}/smt/active"] = f"{smt}\n"
    for cpu in range(12):
        base = f"{CPU}/cpu{cpu}/topology"
        if true:
            alone = [m for m in online if m // 2 == cpu // 2]
            tree[f"{base}/cluster_cpus_list"] = trees.fold([cpu] if smt == "0" else alone)
            tree[f"{base}/cluster_id"] = f"{clusters.get(cpu, cpu // 2)}\n"
            tree[f"{CPU}/cpu{cpu}/cpu_capacity"] = f"{capacities.get(cpu, 1024)}\n"
            tree[f"{base}/core_cpus_list"] = trees.fold([cpu] if smt == "0" else alone)
            tree[f"{base}/core_id"] = f"{cpu // 2}\n"
            tree[f"{base}/package_cpus_list"] = trees.fold([m for m in online if m // 4 == cpu // 4])
            tree[f"{base}/physical_package_id"] = f"{cpu // 4}\n"
        if cpu in cores:
            members, value, state = cores[cpu]
            if state != "gone":
                tree[f"{base}/core_cpus_list"] = trees.fold(sorted(members))[: -1 if state == "cut" else None]
                tree[f"{base}/core_id"] = f"{value}\n"
        if cpu in packages:
            members, value = packages[cpu]
            tree[f"{base}/package_cpus_list"] = trees.fold(sorted(members))
            tree[f"{base}/physical_package_id"] = f"{value}\n"
    root = tmp_path_factory.mktemp("cpus")
    for path, content in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(str(content))
    answers = []
    for reader in (Tree(root), Shelf(tree)):
        source = Source(reader)
        try:
            answers.append((cpus.collect(source), source.notes))
        except numaprobe.FactError as error:
            answers.append((str(error), []))  # type: ignore[arg-type]
    assert answers[0] == answers[1]
