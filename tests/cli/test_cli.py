"""The command line as a program sees it: exit statuses, JSON, and what people read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import schemas
from commands import PYTHON, Plant, run, two_cells, unprivileged
from trees import CPU, NODE, Machine, machine, meminfo

import numaprobe
from numaprobe.cli import main

# --- the running host ------------------------------------------------------------------------------------------

COMMANDS = [
    (),
    ("show",),
    ("--json",),
    ("show", "--json"),
    ("free",),
    ("free", "--json"),
    ("export", "json"),
    ("show", "--source", "linux"),
    ("--source=linux",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_answers_for_the_running_host(words: tuple[str, ...]) -> None:
    """Whatever machine runs the tests, each command has something to say about it and nothing on stderr."""
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")


def test_numaprobe_alone_is_numaprobe_show() -> None:
    """Only words are compared, because the two runs see different free memory."""

    def shape(text: str) -> list[str]:
        return [word for word in text.split() if word.isalpha()]

    assert shape(run().stdout) == shape(run("show").stdout)


def test_an_unprivileged_user_gets_the_same_cells_and_cpus(
    open_place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oracle is root's own answer; no file that show needs is readable by root alone."""
    assert main(["show", "--json", "--source", "linux"]) == 0
    ours = json.loads(capsys.readouterr().out)
    status, out, err = unprivileged(open_place, "show", "--json", "--source", "linux")
    assert (status, err) == (0, "")
    theirs = json.loads(out)
    assert theirs["cpus"] == ours["cpus"]
    assert [cell["memory"]["total"] for cell in theirs["cells"]] == [cell["memory"]["total"] for cell in ours["cells"]]


def test_an_unprivileged_user_can_record(open_place: Path) -> None:
    """Bug reports come from people without root, so their recording must probe to the same CPUs."""
    ours, theirs = open_place / "ours.tar.gz", open_place / "theirs.tar.gz"
    assert main(["record", str(ours), "--source", "linux"]) == 0
    assert unprivileged(open_place, "record", theirs, "--source", "linux") == (0, "", "")
    assert (
        numaprobe.probe(recording=theirs, source="linux").cpus == numaprobe.probe(recording=ours, source="linux").cpus
    )


def test_the_installed_program_and_the_module_are_the_same(plant: Plant) -> None:
    """The console script is made by pip and not by this tree, so it is compared with python -m."""
    program = shutil.which("numaprobe", path=os.path.dirname(PYTHON))
    if program is None:
        pytest.skip("numaprobe is not installed beside this interpreter")
    root = plant(two_cells())
    done = subprocess.run([program, "--root", str(root)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, run("--root", root).stdout)


@pytest.mark.parametrize(
    "words",
    [("--help",), ("-h",), ("show", "--help"), ("free", "-h"), ("record", "-h"), ("export", "-h"), ("--version",)],
)
def test_help_and_version_go_to_standard_output(words: tuple[str, ...]) -> None:
    """What was requested is output, for pagers and grep; only complaints go to stderr."""
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "numaprobe" in done.stdout


# --- JSON ------------------------------------------------------------------------------------------------------

ODD: dict[str, Machine] = {
    "two cells": two_cells(),
    "no node directory": {path: content for path, content in machine({0: [0, 1]}).items() if not path.startswith(NODE)},
    "sparse ids and no memory": {**machine({0: [0, 2], 8: [64], 255: []}), f"{NODE}/node8/meminfo": meminfo(8, 0, 0)},
    "nothing but names": {f"{NODE}/node3/x": "", f"{CPU}/cpu5/online": "0\n"},
    "no cpus": {f"{NODE}/online": "0\n", f"{NODE}/node0/meminfo": meminfo(0, 10, 5)},
    "one of each": {
        **machine({0: [0, 1], 1: []}),
        f"{CPU}/present": "0-2\n",
        f"{CPU}/nohz_full": "1\n",
        f"{CPU}/isolated": "1\n",
        "sys/devices/cpu_core/cpus": "0\n",
        "sys/devices/cpu_atom/cpus": "1\n",
        f"{CPU}/cpu0/cpu_capacity": "1024\n",
        f"{CPU}/cpu1/cpu_capacity": "512\n",
        f"{NODE}/node1/access0/initiators/read_latency": "77\n",
        f"{NODE}/node1/access0/initiators/node0": None,
        f"{NODE}/node1/memory_side_cache/index1/size": "1048576\n",
        f"{NODE}/node1/memory_side_cache/index1/indexing": "0\n",
        "sys/devices/virtual/memory_tiering/memory_tier4/nodelist": "0\n",
        "sys/devices/virtual/memory_tiering/memory_tier22/nodelist": "1\n",
        "sys/bus/dax/devices/dax0.0/target_node": "1\n",
        "sys/bus/pci/devices/0000:00:01.0/numa_node": "-1\n",
        "proc/self/status": "Cpus_allowed_list:\t1\nMems_allowed_list:\t0-1\n",
        "proc/zoneinfo": "Node 0, zone Normal\n        low 1\n        high 2\n        managed 1048576\n        protection: (0)\n",
    },
}


@pytest.mark.parametrize("tree", ODD.values(), ids=ODD)
def test_json_is_of_the_schema_and_what_python_says(
    plant: Plant, tree: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """On odd trees, three commands are judged by the schemas and by to_dict, and no table shows the word None."""
    root = plant(tree)
    assert main(["show", "--json", "--root", str(root)]) == 0
    document = json.loads(capsys.readouterr().out)
    schemas.check("show", document)
    assert document == json.loads(json.dumps(numaprobe.probe(root, devices=True, allowed=True).to_dict()))
    assert main(["free", "--json", "--root", str(root)]) == 0
    free = json.loads(capsys.readouterr().out)
    schemas.check("free", free)
    assert free["time"] is None
    assert [cell["id"] for cell in free["cells"]] == [cell["id"] for cell in document["cells"]]
    assert main(["export", "json", "--root", str(root)]) == 0
    exported = json.loads(capsys.readouterr().out)
    schemas.check("show", exported)
    assert {**exported, "allowed": None} == {**document, "allowed": None}
    assert main(["show", "--root", str(root)]) == 0
    assert main(["free", "--root", str(root)]) == 0
    assert "None" not in capsys.readouterr().out


def test_json_has_the_shape_that_is_promised(plant: Plant) -> None:
    """Other people's scripts depend on these keys and nulls, so they are written out here by hand."""
    found = json.loads(run("show", "--json", "--root", plant(two_cells())).stdout)
    assert found["schema"] == "numaprobe/1"
    assert (found["source"], found["hypervisor"]) == ("linux", None)
    cell = found["cells"][0]
    assert (cell["id"], cell["cpus"], cell["distances"]) == (0, [0, 1, 2, 3], {"0": 10, "1": 21})
    assert found["cells"][1]["distances"] == {"0": 31, "1": 10}
    assert {name: cell["memory"][name] for name in ("total", "free", "available")} == {
        "total": 4 << 30,
        "free": 2 << 30,
        "available": None,
    }
    assert "span" not in cell["memory"]
    assert cell["huge_pages"] == [{"size": 2 << 20, "total": 3, "free": None, "surplus": None}]
    cpu = {
        "id": 1,
        "online": True,
        "cell": 0,
        "package": 0,
        "die": None,
        "cluster": None,
        "core": 0,
        "siblings": [0, 1],
        "kind": None,
        "isolated": False,
    }
    assert found["cpus"][1] | cpu == found["cpus"][1]
    assert found["notes"] == []


def test_free_adds_up_and_can_be_of_one_cell(plant: Plant) -> None:
    """The total is that of the cells; with --cell the table has just a heading and a row."""
    root = plant(two_cells())
    whole = json.loads(run("free", "--json", "--root", root).stdout)
    assert whole["total"]["memory"] == {"total": 8 << 30, "free": 4 << 30, "available": None, "allocated": 4 << 30}
    one = json.loads(run("free", "--json", "--cell", 1, "--root", root).stdout)
    assert [cell["id"] for cell in one["cells"]] == [1]
    assert one["cells"][0]["memory"]["allocated"] == 2 << 30
    text = run("free", "--cell", "1", "--root", root).stdout
    assert "2.0 GiB" in text
    assert len(text.splitlines()) == 2


def test_free_of_the_running_host_says_when() -> None:
    """A figure that changes all the time is worth little without the moment it was read."""
    assert json.loads(run("free", "--json").stdout)["time"] > 1_600_000_000


# --- what people read ------------------------------------------------------------------------------------------


def test_two_cells_fit_a_screen(plant: Plant) -> None:
    """The usual two-socket host on the usual terminal of 80 by 24, with everything that matters in the first line."""
    lines = run("--root", plant(two_cells())).stdout.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "linux · 2 cells · 8 cpus · 8.0 GiB (4.0 GiB free)"


@pytest.mark.parametrize("kind", ["alike", "all different"])
def test_64_cells_stay_readable(plant: Plant, kind: str) -> None:
    """Tables of 64 columns are folded; equal distances and all different ones are the two extremes."""
    cells = {i: list(range(i * 4, i * 4 + 4)) for i in range(64)}
    rows = {
        i: [10 if i == j else 21 if kind == "alike" else 11 + (i * 37 + j * 11) % 200 for j in range(64)] for i in cells
    }
    lines = run("--root", plant(machine(cells, distances=rows))).stdout.splitlines()
    assert len(lines) <= 150
    assert all(len(line) <= 100 for line in lines)
    assert not [line for line in lines if line.endswith(" ,...")], "nothing is cut down to nothing"
    assert any(line.split()[:2] == ["63", "252-255"] for line in lines)


def test_a_host_without_its_cpus_has_an_unknown_number_of_them(plant: Plant) -> None:
    """Some archives hold nodes and no CPU; that is not a host of 0 CPUs, on the screen or in a picture."""
    tree = {path: content for path, content in two_cells().items() if not path.startswith(CPU)}
    tree = {path: content for path, content in tree.items() if not path.endswith("/cpulist")}
    root = plant(tree)
    assert "linux · 2 cells · cpus unknown · " in run("show", "--root", root).stdout
    assert "2 cells · cpus unknown · " in run("draw", "--format", "svg", "--root", root).stdout


def test_oddities_come_last(plant: Plant) -> None:
    """Figures first: notes must not push the table off the screen."""
    tree: Machine = {**two_cells(), f"{NODE}/online": "0-3\n"}
    text = run("--root", plant(tree)).stdout
    assert text.index("distances") < text.index("notes") < text.index("the node directories are 0-1")


def test_a_name_from_a_recording_cannot_move_the_cursor(plant: Plant) -> None:
    """A recording is somebody else's text, and an escape sequence could forge what the terminal shows."""
    tree = two_cells()
    tree["sys/bus/pci/devices/\x1b[31mred\n\x07/numa_node"] = None
    done = run("--root", plant(tree))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "red" in done.stdout, "noted all the same"
    tree = {**two_cells(), "sys/bus/pci/devices/\x1b[31mred\n/numa_node": "x\n"}
    done = run("--root", plant(tree))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_a_name_that_is_no_utf8_is_shown_somehow(plant: Plant) -> None:
    """File names are any bytes, and an encoding error must not cost the rest of the output."""
    root = plant({**two_cells(), os.fsdecode(b"sys/bus/pci/devices/\xff\xfe/numa_node"): None})
    for words in ((), ("--json",)):
        done = run(*words, "--root", root)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp437"])
def test_a_terminal_without_the_dot_gets_an_answer(plant: Plant, encoding: str) -> None:
    """The middle dot of the headline is not in ASCII, and serial consoles often have nothing else."""
    command = [PYTHON, "-m", "numaprobe", "--root", str(plant(two_cells()))]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"2 cells" in done.stdout
