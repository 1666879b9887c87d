"""Memory traffic by group and last-level cache, as resctrl has it."""

from __future__ import annotations

import json

import pytest
from commands import Plant, complaint, run
from schemas import check
from trees import Machine, Shelf

from numaprobe import SourceUnavailable, Traffic, TrafficReading, traffic
from numaprobe.linux.resctrl import MonitorFacts, collect
from numaprobe.linux.source import Source

ROOT = "sys/fs/resctrl"


def counters(directory: str, occupancy: object, total: object, local: object) -> Machine:
    base = f"{ROOT}/{directory}"
    return {
        f"{base}/llc_occupancy": f"{occupancy}\n",
        f"{base}/mbm_total_bytes": f"{total}\n",
        f"{base}/mbm_local_bytes": f"{local}\n",
    }


def tree() -> Machine:
    """Two caches, a group that only counts, one that also controls, and one within it."""
    made: Machine = {
        f"{ROOT}/info/L3_MON/num_rmids": "256\n",
        f"{ROOT}/schemata": "L3:0=ff;1=ff\n",
        f"{ROOT}/cpus": "ff\n",
    }
    made |= counters("mon_data/mon_L3_00", 4096, 1000, 600)
    made |= counters("mon_data/mon_L3_01", 8192, 2000, 1900)
    made |= counters("mon_groups/vm1/mon_data/mon_L3_00", 64, 10, 5)
    made |= counters("batch/mon_data/mon_L3_01", 1, 2, 1)
    made |= counters("batch/mon_groups/vm2/mon_data/mon_L3_01", 3, 4, 2)
    return made


def facts(machine: Machine) -> tuple[tuple[MonitorFacts, ...] | None, Source]:
    source = Source(Shelf(machine))
    return collect(source), source


def test_every_group_has_a_row_for_each_cache() -> None:
    """The default group, control groups and their monitoring groups are three kinds of directory in one tree."""
    found, source = facts(tree())
    assert found is not None
    assert source.notes == []
    assert [(one.group, one.cache, one.node, one.total) for one in found] == [
        ("", 0, None, 1000),
        ("", 1, None, 2000),
        ("mon_groups/vm1", 0, None, 10),
        ("batch", 1, None, 2),
        ("batch/mon_groups/vm2", 1, None, 4),
    ]


def test_with_sub_numa_clustering_each_cell_has_its_own() -> None:
    """The sums that the kernel gives in the directory above are not rows of their own."""
    machine = counters("mon_data/mon_L3_00", 3, 30, 3)
    machine |= counters("mon_data/mon_L3_00/mon_sub_L3_00", 1, 10, 1)
    machine |= counters("mon_data/mon_L3_00/mon_sub_L3_01", 2, 20, 2)
    found, _ = facts(machine)
    assert found == (MonitorFacts("", 0, 0, 1, 10, 1), MonitorFacts("", 0, 1, 2, 20, 2))


def test_what_hardware_has_no_count_for_is_unknown_and_noted() -> None:
    """The kernel writes the words Unavailable and Error in place of a number when the counter was lost or failed."""
    found, source = facts(counters("mon_data/mon_L3_00", 5, "Unavailable", "Error"))
    assert found == (MonitorFacts("", 0, None, 5, None, None),)
    assert len(source.notes) == 2
    assert "Unavailable" in source.notes[0][1]


def test_hardware_that_counts_no_traffic_is_silent() -> None:
    """Some processors count only occupancy: a file that is absent is None without a note."""
    machine: Machine = {f"{ROOT}/mon_data/mon_L3_00/llc_occupancy": "7\n"}
    found, source = facts(machine)
    assert found == (MonitorFacts("", 0, None, 7, None, None),)
    assert source.notes == []


def test_where_it_is_not_mounted_one_sentence_says_so(plant: Plant) -> None:
    """Few hosts mount resctrl, so the message has the command that mounts it."""
    root = plant({"sys/fs/cgroup/cgroup.procs": "1\n"})
    with pytest.raises(SourceUnavailable, match="resctrl is not mounted"):
        traffic(root)
    assert "mount -t resctrl" in complaint(1, "traffic", "--root", root)


def reading(time: float | None, *rows: Traffic) -> TrafficReading:
    return TrafficReading(time=time, traffic=rows, notes=())


def test_rates_are_by_group_cache_and_cell() -> None:
    """Groups made or removed between the readings have no rate; occupancy is a level and stays as it is."""
    before = reading(10.0, Traffic("a", 0, None, 5, 100, 50), Traffic("b", 0, None, 1, 7, 7))
    after = reading(12.0, Traffic("a", 0, None, 6, 300, 60), Traffic("c", 0, None, 1, 9, 9))
    assert after.since(before) == (Traffic("a", 0, None, 6, 100.0, 5.0),)


def test_a_counter_that_went_back_has_no_rate() -> None:
    """As where a monitoring id was given to a new group of the same name: a negative rate would be wrong."""
    before, after = (reading(t, Traffic("a", 0, None, 1, total, None)) for t, total in ((1.0, 100), (2.0, 3)))
    assert after.since(before) == (Traffic("a", 0, None, 1, None, None),)


@pytest.mark.parametrize("times", [(None, 1.0), (1.0, None), (2.0, 1.0), (1.0, 1.0)])
def test_rates_need_two_moments(times: tuple[float | None, float | None]) -> None:
    """Recordings have no time, and equal or reversed times would divide by zero or worse."""
    before, after = times
    with pytest.raises(ValueError, match="two readings"):
        reading(after).since(reading(before))


def test_of_a_recorded_tree_the_command_has_the_counters(plant: Plant) -> None:
    """A recording gives totals instead of rates, in the table as in the JSON, whose seconds are null."""
    root = plant(tree())
    shown = run("traffic", "--root", root)
    assert shown.returncode == 0, shown.stderr
    heading, *rows = shown.stdout.splitlines()
    assert heading.split() == ["group", "L3", "occupancy", "total", "local", "remote"]
    assert rows[0].split()[0] == "(default)"
    assert rows[0].endswith("40%")
    document = json.loads(run("traffic", "--json", "--root", root).stdout)
    check("traffic", document)
    assert (document["seconds"], len(document["traffic"])) == (None, 5)


@pytest.mark.parametrize(
    ("name", "text"), [("llc_occupancy", 1 << 40), ("mbm_total_bytes", -1), ("mbm_local_bytes", (1 << 64) - 1)]
)
def test_a_count_that_cannot_be_is_noted(name: str, text: int) -> None:
    """An occupancy beyond any cache, a negative count and all ones cost only that counter."""
    path = f"{ROOT}/mon_data/mon_L3_00/{name}"
    found, source = facts({**tree(), path: f"{text}\n"})
    assert found is not None
    assert len([value for value in found[0] if value is None]) == 2  # this one, and the node
    assert [where for where, _ in source.notes] == [path]


def test_groups_beyond_the_bound_are_said_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may make thousands of groups, each with files for every cache, so a note replaces the rest."""
    monkeypatch.setattr("numaprobe.linux.resctrl.MAX_GROUPS", 2)
    found, source = facts(tree())
    assert found is not None
    assert {one.group for one in found} == {"", "mon_groups/vm1"}
    assert source.notes == [(ROOT, "has 4 groups; the first 2 of them are counted")]
