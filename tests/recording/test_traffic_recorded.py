"""Recordings of resctrl have two readings, so that their replay has rates; and the hint faults of guests."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from commands import Plant, complaint, run
from processes import machine, process
from trees import Machine, Shelf

import numaprobe
from numaprobe import SourceUnavailable
from numaprobe.linux.resctrl import EARLIER, ROOT, SECONDS
from numaprobe.recording.traffic import add_traffic
from numaprobe.sources.recorder import RecordingReader


def counters(directory: str, total: int, local: int) -> Machine:
    base = f"{ROOT}/{directory}"
    return {
        f"{base}/llc_occupancy": "4096\n",
        f"{base}/mbm_total_bytes": f"{total}\n",
        f"{base}/mbm_local_bytes": f"{local}\n",
    }


class Rising(Shelf):
    """A machine whose counters grow by a thousand with every reading of the default group's total."""

    reads = 0

    def read(self, paths: list[str], base: str = "") -> list[bytes | int]:  # type: ignore[override]
        if base == f"{ROOT}/mon_data/mon_L3_00":
            self.reads += 1
        contents = super().read(paths, base)
        return [
            b"%d\n" % (1000 * self.reads) if path == "mbm_total_bytes" else content
            for path, content in zip(paths, contents, strict=True)
        ]


def resctrl() -> Machine:
    made = counters("mon_data/mon_L3_00", 1000, 600) | counters("mon_groups/vm-of-alice/mon_data/mon_L3_00", 10, 5)
    return made | {f"{ROOT}/info/L3_MON/num_rmids": "256\n"}


def recorded(*, anonymous: bool = False) -> RecordingReader:
    shelf = Rising(machine() | resctrl())
    recorder = RecordingReader(shelf)
    add_traffic(recorder, shelf, seconds=0.05, live=True, anonymous=anonymous)
    return recorder


def tree(recorder: RecordingReader) -> Machine:
    return machine() | {path: content.decode() for path, content in recorder.files.items()}


def test_a_replay_has_the_rates_of_then(plant: Plant) -> None:
    """1000 bytes were planted between the two readings, whose time apart is recorded with them."""
    root = plant(tree(recorded()))
    reading = numaprobe.traffic(root)
    assert reading.earlier is not None
    assert reading.earlier.time == 0.0
    assert reading.time is not None
    assert 0.05 <= reading.time < 5
    first = reading.since(reading.earlier)[0]
    assert first.total == pytest.approx(1000 / reading.time)
    assert (first.group, first.local, first.occupancy) == ("", 0.0, 4096)
    document = json.loads(run("traffic", "--json", "--root", root).stdout)
    assert document["seconds"] == reading.time
    assert document["traffic"][0]["total"] == pytest.approx(first.total)
    assert "total/s" in run("traffic", "--root", root).stdout


def test_recorded_again_it_is_the_same(plant: Plant, tmp_path: Path) -> None:
    """A copy must not lose the earlier reading, without which there are no rates."""
    root = plant(tree(recorded()))
    numaprobe.record(tmp_path / "host.tar", root=root, traffic=1)
    again = numaprobe.traffic(recording=tmp_path / "host.tar")
    assert again == numaprobe.traffic(root)
    with tarfile.open(tmp_path / "host.tar") as tar:
        assert f"{EARLIER}/mon_data/mon_L3_00/mbm_total_bytes" in tar.getnames()


def test_without_the_option_nothing_of_it_is_kept(plant: Plant, tmp_path: Path) -> None:
    """Names of groups are those of tenants, and leave the host only on request."""
    numaprobe.record(tmp_path / "host.tar", root=plant(tree(recorded())))
    with tarfile.open(tmp_path / "host.tar") as tar:
        assert not [name for name in tar.getnames() if "resctrl" in name]


def test_an_anonymous_recording_has_numbers_for_groups() -> None:
    """Both readings use the same number, or no rate could be computed."""
    paths = list(recorded(anonymous=True).files)
    assert not [path for path in paths if "alice" in path]
    assert f"{ROOT}/mon_groups/group-1/mon_data/mon_L3_00/mbm_total_bytes" in paths
    assert f"{EARLIER}/mon_groups/group-1/mon_data/mon_L3_00/mbm_total_bytes" in paths


def test_a_host_without_it_is_an_error_and_no_recording(plant: Plant, tmp_path: Path) -> None:
    """Who requested it should not find out from the file that it is missing."""
    root = plant(machine())
    with pytest.raises(SourceUnavailable, match="not mounted"):
        numaprobe.record(tmp_path / "host.tar", root=root, traffic=1)
    assert "not mounted" in complaint(1, "record", "--traffic", "--root", root, tmp_path / "host.tar")
    assert not list(tmp_path.glob("*.tar"))


@pytest.mark.parametrize("seconds", [0, -1, 3601, float("nan")])
def test_seconds_are_above_0_and_at_most_an_hour(seconds: float, tmp_path: Path) -> None:
    """Zero would divide by nothing, and an endless wait would look like a hang."""
    with pytest.raises(ValueError, match="number of seconds"):
        numaprobe.record(tmp_path / "host.tar", traffic=seconds)


@pytest.mark.parametrize("text", ["0\n", "-1\n", "x\n", "inf\n", "nan\n"])
def test_a_time_that_makes_no_sense_leaves_the_counters_and_a_note(text: str, plant: Plant) -> None:
    """The file may be edited; counters are facts, and rates over no time are not."""
    reading = numaprobe.traffic(plant(tree(recorded()) | {SECONDS: text}))
    assert (reading.time, reading.earlier) == (None, None)
    assert text.strip() in reading.notes[0].text


def test_hint_faults_are_recorded_with_the_guests_and_nothing_else_of_their_file(plant: Plant, tmp_path: Path) -> None:
    """The file starts with the process's name, which may be a secret."""
    made = machine(process(500)) | {"proc/sys/kernel/numa_balancing": "1\n"}
    for thread in (501, 502):
        made[f"proc/500/task/{thread}/sched"] = (
            f"secret ({thread}, #threads: 4)\nnuma_faults node=0 task_private=90 task_shared=0 group_private=0\n"
            "numa_faults node=1 task_private=10 task_shared=0 group_private=0\n"
        )
    root = plant(made)
    numaprobe.record(tmp_path / "host.tar", root=root, domains=True)
    host = numaprobe.probe(root)
    there = numaprobe.domains(host, root=root, remote=True)[0].remote
    assert numaprobe.domains(host, recording=tmp_path / "host.tar", remote=True)[0].remote == there
    assert there is not None
    assert there[0].source == "hint faults"
    with tarfile.open(tmp_path / "host.tar") as tar:
        file = tar.extractfile("proc/500/task/501/sched")
        assert file is not None
        assert b"secret" not in file.read()


def test_failed_pages_and_memory_blocks_are_always_recorded(plant: Plant, tmp_path: Path) -> None:
    """Hardware is often suspected only after the host was recorded."""
    made = machine()
    made["sys/devices/system/memory/block_size_bytes"] = "8000000\n"
    for name in ("total", "recovered", "ignored", "failed", "delayed"):
        made[f"sys/devices/system/node/node0/memory_failure/{name}"] = "3\n"
    made["sys/devices/system/node/node0/memory7/state"] = "online\n"
    made["sys/devices/system/memory/memory7/state"] = "online\n"
    made["sys/devices/system/memory/memory7/valid_zones"] = "Movable\n"
    root = plant(made)
    numaprobe.record(tmp_path / "host.tar", root=root)
    cell = numaprobe.probe(recording=tmp_path / "host.tar", memory_state=True).cell(0)
    assert cell == numaprobe.probe(root, memory_state=True).cell(0)
    assert cell.failures is not None
    assert cell.failures.total == 3
    assert cell.blocks is not None
    assert cell.blocks.movable == 1
