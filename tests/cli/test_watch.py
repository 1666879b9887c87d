"""``numaprobe watch`` and ``numaprobe free --watch``: on a terminal, in a pipe, and when they are stopped."""

from __future__ import annotations

import json
import os
import pty
import signal
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
    done = run("watch", "--root", root, "--count", "2", "--interval", "0.05")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("  ", 1) for line in done.stdout.splitlines()]
    assert [rest for _, rest in lines] == [
        f"cell {cell}  total 2.0 GiB  free 1.0 GiB  available -  allocated 1.0 GiB" for cell in (0, 3, 0, 3)
    ]
    assert all(time.strptime(moment, "%Y-%m-%dT%H:%M:%S%z") for moment, _ in lines)
    assert "\x1b" not in done.stdout


def test_free_watch_is_watch(root: Path) -> None:
    done = run("free", "--watch", "--root", root, "--count", "1", "--cell", "3")
    assert [line.split("  ")[1] for line in done.stdout.splitlines()] == ["cell 3"]


def test_json_is_a_document_on_every_line(root: Path) -> None:
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
    done = run("watch", "--root", root, "--count", "1", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("numaprobe: ")
    assert done.stderr.count("\n") == 1


def on_a_terminal(words: list[str], *, lines: int = 24, **environment: str) -> tuple[int, str]:
    """Status and screen of a command that is interrupted after a moment."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm", "LINES": str(lines), "COLUMNS": "80", **environment})
        # A shell starts background jobs with the signal ignored, and this may be one of their children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.alarm(60)
        os.execv(sys.executable, [*COMMAND, *words])
    seen = b""
    interrupted = False
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
        if not interrupted and seen.count(b"cell") >= 2:
            os.kill(child, signal.SIGINT)
            interrupted = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode()


def test_a_terminal_is_rewritten_in_place_and_left_sane(root: Path) -> None:
    """Ctrl-C ends it with status 0; nothing was switched on that would have to be switched off."""
    status, screen = on_a_terminal(["watch", "--root", str(root), "--interval", "0.05"])
    assert status == 0
    assert screen.startswith("\x1b[Hlinux · ")
    assert "\x1b[K\r\n\x1b[J" in screen
    assert "Traceback" not in screen
    assert "\x1b[?" not in screen, "no mode of the terminal was changed"
    assert "\x1b[3" not in screen, "no colours"
    assert screen.replace("^C", "").endswith("\n")


def test_a_screen_that_is_too_small_says_how_much_is_missing(plant: Plant) -> None:
    root = plant(trees.machine({cell: [cell] for cell in range(30)}))
    _, screen = on_a_terminal(["watch", "--root", str(root), "--interval", "0.05"], lines=10)
    first = screen.split("\x1b[J")[0]
    assert first.count("\n") == 9
    assert "and 26 more" in first


def test_a_dumb_terminal_gets_lines(root: Path) -> None:
    status, screen = on_a_terminal(["watch", "--root", str(root), "--interval", "0.05"], TERM="dumb")
    assert status == 0
    assert "\x1b" not in screen


def test_a_pipe_that_is_closed_ends_it_quietly(root: Path) -> None:
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
