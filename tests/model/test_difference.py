"""What changed between two hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Plant
from hosts import GIB, host
from hypothesis import given
from hypothesis import strategies as st
from rich import rich
from schemas import check as valid
from trees import CPU, NODE, Shelf, machine, meminfo

import numaprobe
from numaprobe import Cache, Change, Device, Note, cli
from numaprobe.cli.diff import lines
from numaprobe.linux.collect import collect
from numaprobe.model.difference import FLEETING, MEMBERS
from numaprobe.normalise.linux import from_linux


def test_the_same_host_has_no_difference() -> None:
    """A change in free memory alone is not one either."""
    known = host([4 * GIB, 4 * GIB])
    emptier = known._replace(
        cells=tuple(c._replace(memory=c.memory._replace(free=1, available=1)) for c in known.cells)
    )
    assert numaprobe.diff(known, emptier) == ()


def test_every_list_of_a_document_can_be_compared() -> None:
    """A list whose members have no title would be an error of ``diff``, and only where they differ."""
    everything = {"devices": True, "allowed": True, "caches": True, "usable": True, "memory_state": True}
    whole = from_linux(collect(Shelf(rich()), **everything))

    def names(value: object) -> Iterator[str]:
        for name, inner in value.items() if isinstance(value, dict) else ():
            items = inner if isinstance(inner, list) else [inner]
            if isinstance(inner, list) and any(isinstance(item, dict) for item in items):
                yield name
            if name not in FLEETING:
                for item in items:
                    yield from names(item)

    found = set(names(whole.to_dict()))
    assert found >= {"cells", "cpus", "devices", "huge_pages"}
    assert found - {"notes", "caches"} <= set(MEMBERS)


def test_what_can_be_allocated_now_is_no_difference() -> None:
    """It depends on what is free, as ``free`` does; other pools of huge pages still are one."""
    everything = {"usable": True}
    whole = from_linux(collect(Shelf(rich()), **everything))
    tree = rich()
    tree["proc/buddyinfo"] = "#\n"
    assert [change.what for change in numaprobe.diff(whole, from_linux(collect(Shelf(tree), **everything)))] == [
        "note proc/buddyinfo: not a node, a zone and counts: '#'"
    ]


def test_a_cpu_that_is_offline_and_a_memory_module_that_is_gone_are_changes() -> None:
    """What an administrator looks for after a reboot: a DIMM or a CPU that firmware has disabled."""
    before, after = host([4 * GIB, 4 * GIB]), host([4 * GIB, 3 * GIB], offline=(9,))
    found = numaprobe.diff(before, after)
    assert Change("cell 1", "changed", "memory total", 4 * GIB, 3 * GIB) in found
    assert Change("cpu 9", "changed", "online", True, False) in found
    assert Change("cell 1", "changed", "cpus", list(range(8, 16)), [8, *range(10, 16)]) in found


def test_cells_that_were_added_and_removed_are_one_change_each() -> None:
    """The whole cell is one line, without one for each of its fields."""
    one, two = host([GIB]), host([GIB, GIB])
    assert [c for c in numaprobe.diff(one, two) if c.what == "cell 1"] == [Change("cell 1", "added", None, None, None)]
    assert [c.kind for c in numaprobe.diff(two, one) if c.what == "cell 1"] == ["removed"]


def test_distances_of_new_firmware_are_told_by_cell() -> None:
    """A BIOS update often edits the SLIT; each cell names the other and both values."""
    before = host([GIB, GIB], distances={0: (10, 20), 1: (20, 10)})
    after = host([GIB, GIB], distances={0: (10, 21), 1: (21, 10)})
    assert numaprobe.diff(before, after) == (
        Change("cell 0", "changed", "distances 1", 20, 21),
        Change("cell 1", "changed", "distances 0", 20, 21),
    )


def test_devices_caches_and_notes_are_told_apart_by_what_they_are() -> None:
    """Position in a list is no identity: a cache is its level and CPUs, a device its address."""
    cache = Cache(level=3, type="unified", size=1 << 20, id=0, cpus=(0, 1))
    before = host([GIB], devices=[Device("0000:00:03.0", 0)])._replace(caches=(cache,))
    after = host([GIB], devices=[Device("0000:00:04.0", 0)])._replace(
        caches=(cache._replace(size=2 << 20),), notes=(Note("x", "odd"),)
    )
    assert [(c.what, c.kind) for c in numaprobe.diff(before, after)] == [
        ("L3 unified cache of cpus 0-1", "changed"),
        ("device 0000:00:03.0", "removed"),
        ("device 0000:00:04.0", "added"),
        ("note x: odd", "added"),
    ]


def test_a_list_that_only_one_has_is_one_change() -> None:
    """Unknown on one side is not an empty list, whose entries would all be changes."""
    before, after = host([GIB]), host([GIB], devices=[Device("0000:00:03.0", 0)])
    assert numaprobe.diff(before, after) == (Change("host", "changed", "devices", None, "1 devices"),)


def test_lines_have_cpus_of_the_same_change_together() -> None:
    """Switching SMT off changes hundreds of CPUs, which should take one line."""
    found = numaprobe.diff(host([GIB, GIB]), host([GIB, GIB], offline=(9, 10, 11)))
    assert "cpus 9-11 online: yes -> no" in lines(found)
    assert lines(()) == ["no difference"]


@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)))
def test_a_difference_read_backwards_is_the_opposite(one: set[int], other: set[int]) -> None:
    """What was added is removed, and before is after."""
    a, b = host([GIB, GIB], offline=tuple(one)), host([GIB, GIB], offline=tuple(other))
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    backwards = {(c.what, opposite[c.kind], c.field, str(c.after), str(c.before)) for c in numaprobe.diff(b, a)}
    assert backwards == {(c.what, c.kind, c.field, str(c.before), str(c.after)) for c in numaprobe.diff(a, b)}
    assert (numaprobe.diff(a, b) == ()) == (one == other)


def test_the_command_compares_a_recording_with_a_tree(
    plant: Plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """End to end, as text and as JSON of the schema, with status 0 whether or not there are changes."""
    tree = machine({0: [0, 1], 1: [2, 3]})
    root = plant(tree)
    numaprobe.record(tmp_path / "a.tar.gz", root=root)
    plant({f"{NODE}/node1/meminfo": meminfo(1, 1 << 20, 1 << 19), f"{CPU}/online": "0-2\n"})
    assert cli.main(["diff", str(tmp_path / "a.tar.gz"), str(root)]) == 0
    text = capsys.readouterr().out
    assert "cpu 3 online: yes -> no" in text
    assert cli.main(["diff", "--json", str(tmp_path / "a.tar.gz"), str(root)]) == 0
    document = json.loads(capsys.readouterr().out)
    valid("diff", document)
    assert {"what": "cell 1", "kind": "changed", "field": "memory total", "before": 4 << 30, "after": 1 << 30} in (
        document["changes"]
    )
    assert cli.main(["diff", str(root), str(root)]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_a_recording_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The path leads the message, because the command takes two."""
    assert cli.main(["diff", "/nowhere.tar.gz"]) == 1
    assert capsys.readouterr().err.startswith("numaprobe: /nowhere.tar.gz")
