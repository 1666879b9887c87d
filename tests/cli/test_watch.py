"""``numaprobe watch`` and ``numaprobe free --watch``: in a pipe and as JSON, and when they are stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trees

Plant = Callable[[Mapping[str, trees.Content]], Path]

COMMAND = [sys.executable, "-m", "numaprobe"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, check=False, text=True, timeout=60)


@pytest.fixture
def root(plant: Plant) -> Path:
    return plant(trees.machine({0: [0], 3: [1]}, memory_kb=2 << 20))


def test_a_pipe_gets_a_line_for_each_cell_and_sample(root: Path) -> None:
    """For logs and grep: a time with zone in front, and no escape sequences."""
    done = run("watch", "--root", root, "--count", "2", "--interval", "0.05")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("  ", 1) for line in done.stdout.splitlines()]
    assert [rest for _, rest in lines] == [
        f"cell {cell}  total 2.0 GiB  free 1.0 GiB  available -  allocated 1.0 GiB" for cell in (0, 3, 0, 3)
    ]
    assert all(time.strptime(moment, "%Y-%m-%dT%H:%M:%S%z") for moment, _ in lines)
    assert "\x1b" not in done.stdout


def test_free_watch_is_watch(root: Path) -> None:
    """Both spellings share one implementation, shown by the line format and --cell."""
    done = run("free", "--watch", "--root", root, "--count", "1", "--cell", "3")
    assert [line.split("  ")[1] for line in done.stdout.splitlines()] == ["cell 3"]


def test_json_is_a_document_on_every_line(root: Path) -> None:
    """JSON lines, each judged by the schema of free, with times that increase."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "numaprobe" / "schemas" / "free.json").read_text())
    done = run("watch", "--root", root, "--json", "--count", "2", "--interval", "0.05")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(documents) == 2
    for document in documents:
        jsonschema.validate(document, schema)
        assert [cell["memory"]["free"] for cell in document["cells"]] == [1 << 30, 1 << 30]
        assert document["cells"][0]["memory"]["total_from"] == "meminfo MemTotal"
    assert documents[0]["time"] < documents[1]["time"]


def test_a_recording_has_no_time_of_its_own(tmp_path: Path) -> None:
    """Printing the present time would date old figures as new."""
    (tmp_path / "host.tar").write_bytes(trees.pack(trees.machine({0: [0]})))
    done = run("watch", "--recording", tmp_path / "host.tar", "--json", "--count", "1")
    assert json.loads(done.stdout)["time"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["--interval", "0"],
        ["--interval", "-1"],
        ["--interval", "nan"],
        ["--interval", "inf"],
        ["--count", "0"],
        ["--cell", "1"],
    ],
)
def test_wrong_use_is_one_line_and_status_2(root: Path, words: list[str]) -> None:
    """An interval of 0 or infinity would spin or sleep for ever."""
    done = run("watch", "--root", root, "--count", "1", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("numaprobe: ")
    assert done.stderr.count("\n") == 1


def test_a_pipe_that_is_closed_ends_it_quietly(root: Path) -> None:
    """As with | head -1: a loop that ignored EPIPE would go on for ever."""
    process = subprocess.Popen(
        [*COMMAND, "watch", "--root", str(root), "--interval", "0.01"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_domains_are_watched_too(root: Path) -> None:
    """One document of ``domains --json`` for each turn, and no cell to choose."""
    done = run("watch", "--domains", "--root", root, "--json", "--count", "2", "--interval", "0.01")
    assert [json.loads(line)["domains"] for line in done.stdout.splitlines()] == [[], []]
    refused = run("watch", "--domains", "--root", root, "--cell", "0")
    assert (refused.returncode, refused.stdout) == (2, "")
