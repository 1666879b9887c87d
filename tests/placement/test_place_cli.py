"""``numaprobe place``: what it prints, and its exit statuses."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import schemas
import trees

from numaprobe import Request
from numaprobe.cli import main, progress
from numaprobe.cli.place import _left_out, summary
from numaprobe.cli.sizes import parse
from numaprobe.placement.batch import Batch
from numaprobe.placement.formats import FORMATS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``numaprobe place`` on a machine of two cells with 4 cpus and 4 GiB available each."""
    tree = trees.machine({0: range(4), 1: range(4, 8)}, threads=2, memory_kb=8 << 20)
    root = trees.plant(tmp_path / "root", tree)

    def _run(*words: str) -> tuple[int, str, str]:
        status = main(["place", "--root", str(root), "--reserve", "0", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _run


def test_text_is_the_default(run: Run) -> None:
    """The default is for a person, who reads the cells first."""
    status, out, err = run("--vcpus", "2", "--memory", "3G")
    assert (status, err) == (0, "")
    assert out.startswith("cell 0 for 2 vcpus and 3 GiB\n")


def test_json_is_of_its_schema(run: Run) -> None:
    """The keys that other programs rely on are written out by hand."""
    _, out, _ = run("--vcpus", "2", "--memory", "3G", "--pinned", "--format", "json")
    document = json.loads(out)
    schemas.check("place", document)
    assert document["cells"] == [0]
    assert document["memory"] == {"0": 3 << 30}
    assert document["vcpus"] == [{"vcpu": 0, "cpus": [0]}, {"vcpu": 1, "cpus": [1]}]


def test_no_fit_is_status_3_and_one_line(run: Run) -> None:
    """The line has the nearest miss, as does the JSON."""
    status, out, err = run("--vcpus", "2", "--memory", "4608M", "--max-cells", "1")
    assert (status, out) == (3, "")
    assert err == "numaprobe: cell 0 is missing 512 MiB\n"
    status, out, err = run("--vcpus", "2", "--memory", "4608M", "--max-cells", "1", "--format", "json")
    assert status == 3
    document = json.loads(out)
    schemas.check("place", document)
    assert (document["fits"], document["reasons"]) == (False, ["cell 0 is missing 512 MiB"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--vcpus", "2", "--memory", "lots"], "'lots'"),
        (["--vcpus", "2", "--memory", "8X"], "'8X'"),
        (["--vcpus", "0", "--memory", "1G"], "vcpus"),
        (["--vcpus", "two", "--memory", "1G"], "'two'"),
        (["--vcpus", "2"], "--memory"),
        ([], "--vcpus"),
        (["--vcpus", "2", "--memory=-1G"], "-1G"),
        (["--vcpus", "2", "--memory", "1G", "--format", "yaml"], "yaml"),
        (["--vcpus", "2", "--memory", "1G", "--policy", "luck"], "luck"),
        (["--vcpus", "2", "--memory", "1G", "--away-from", "db"], "db"),
        (["--vcpus", "2", "--memory", "3M", "--huge-page", "2M"], "huge pages"),
        (["--vcpus", "2", "--memory", "1G", "--batch", "x"], "--batch"),
        (["--vcpus", "2", "--memory", "1G", "--pool", "1"], "cpupool 1"),
    ],
)
def test_nonsense_is_status_2_and_one_line(run: Run, words: list[str], complaint: str) -> None:
    """The line quotes the offending text."""
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("numaprobe: ")
    assert err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("512M", 512 << 20),
        ("8G", 8 << 30),
        ("8GiB", 8 << 30),
        ("8gib", 8 << 30),
        ("8Gi", 8 << 30),
        ("512Mi", 512 << 20),
        ("8GB", 8 << 30),
        ("8 G", 8 << 30),
        ("64K", 65536),
        ("1.5G", 3 << 29),
        ("1T", 1 << 40),
        ("10B", 10),
    ],
)
def test_sizes_are_binary(text: str, size: int) -> None:
    """M and G as 2 to the power of 20 and 30; a bare number is bytes."""
    assert parse(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "G", "8X", "8GG", "-1", "1e9", "0x10", "1.2.3G", ".5G", "8iB", "8i", "8BI", "1.G", "٣G", "0.3", "9" * 40],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """The message quotes the text."""
    with pytest.raises(ValueError, match="not a"):
        parse(text)


def test_a_batch_of_a_file(run: Run, tmp_path: Path) -> None:
    """Requests are a list with sizes as on the command line, and plans come as a list of documents."""
    file = tmp_path / "batch.json"
    file.write_text(json.dumps([{"vcpus": 1, "memory": "3G", "name": "a"}, {"vcpus": 1, "memory": "3G", "name": "b"}]))
    status, out, _ = run("--batch", str(file), "--format", "json")
    assert status == 0
    assert [document["cells"] for document in json.loads(out)] == [[0], [1]]
    for document in json.loads(out):
        schemas.check("place", document)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[1]",
        '[{"vcpus": 1}]',
        '[{"vcpus": 1, "memory": 4096, "colour": 1}]',
        '[{"vcpus": "a", "memory": 4096}]',
    ],
)
def test_a_batch_that_is_none_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    """The message has the name of the file."""
    file = tmp_path / "batch.json"
    file.write_text(content)
    status, _, err = run("--batch", str(file))
    assert status == 2
    assert "batch.json" in err


@pytest.mark.parametrize("name", [*FORMATS])
def test_every_format_prints(run: Run, name: str) -> None:
    """Each is tried on one plan, with nothing on standard error."""
    status, out, err = run("--vcpus", "2", "--memory", "1G", "--name", "g", "--format", name)
    assert (status, err) == (0, "")
    assert out.endswith("\n")


def batch_file(tmp_path: Path, *guests: dict[str, object]) -> str:
    file = tmp_path / "batch.json"
    file.write_text(json.dumps(guests))
    return str(file)


def test_options_of_the_command_line_hold_for_every_guest_of_a_batch(run: Run, tmp_path: Path) -> None:
    """A guest's own entry overrides them."""
    file = batch_file(tmp_path, {"vcpus": 2, "memory": "1G"}, {"vcpus": 2, "memory": "1G", "pinned": False})
    _, out, _ = run("--batch", file, "--pinned", "--json")
    assert [document["pinned"] for document in json.loads(out)] == [True, False]
    status, _, err = run("--batch", file, "--cells", "3")
    assert status == 2
    assert "request 1: 3 cells need at least 3 vcpus, not 2" in err


def test_json_is_short_for_the_format(run: Run) -> None:
    """Together with another format it is a usage error."""
    assert run("--vcpus", "1", "--memory", "1Gi", "--json") == run("--vcpus", "1", "--memory", "1G", "--format", "json")
    assert run("--vcpus", "1", "--memory", "1G", "--json", "--format", "xl")[0] == 2


def test_a_part_of_a_batch_comes_with_its_bound(run: Run, tmp_path: Path) -> None:
    """Text and each document have it, and guests that were left out are named."""
    file = batch_file(tmp_path, *({"vcpus": 1, "memory": "3G", "name": name} for name in "abc"))
    assert run("--batch", file)[0] == 3
    status, out, err = run("--batch", file, "--partial")
    assert (status, err) == (0, "numaprobe: 1 guest left out: c\n")
    assert out.endswith(
        "\n\n2 of 3 guests placed\nproven: no plan places more of them, or as many at a lower cost of an access\n"
    )
    status, out, err = run("--batch", file, "--partial", "--json")
    assert (status, err) == (0, "")
    documents = json.loads(out)
    assert [document["fits"] for document in documents] == [True, True, False]
    assert documents[2]["name"] == "c"
    assert documents[2]["reasons"]
    for document in documents:
        schemas.check("place", document)
        assert document["batch"]["guests"] == 3
        assert document["batch"]["placed"] == document["batch"]["bound"] == 2
    status, out, err = run("--batch", batch_file(tmp_path, {"vcpus": 1, "memory": "9G"}), "--partial")
    assert status == 3
    assert err.startswith("numaprobe: no guest of the batch fits; ")


def test_options_of_a_batch_are_of_a_batch(run: Run) -> None:
    """Without a batch they are usage errors, as is a time limit without --optimal."""
    for words in (["--partial"], ["--optimal"], ["--seconds", "3"], ["--seconds", "never"]):
        status, out, err = run("--vcpus", "1", "--memory", "1G", *words)
        assert (status, out) == (2, "")
        assert words[0] in err


def test_several_things_to_be_near_to(run: Run) -> None:
    """The option may be repeated, for devices and for cells by id, and each counts."""
    for where in ("0", "1"):
        _, out, _ = run("--vcpus", "1", "--memory", "1G", "--near", f"cell:{where}", "--json")
        assert json.loads(out)["cells"] == [int(where)]
    _, out, _ = run("--vcpus", "1", "--memory", "1G", "--near", "cell:1", "--near", "cell:1", "--json")
    assert json.loads(out)["cells"] == [1]
    status, _, err = run("--vcpus", "1", "--memory", "1G", "--near", "cell:1", "--near", "cell:7")
    assert status == 2
    assert "no cell 7" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--smt", "share"],
        ["--smt", "isolate"],
        ["--pinned-vcpus", "0"],
        ["--emulator-cpus", "0-1"],
        ["--fewest"],
        ["--nearest"],
        ["--kind", "cxl", "--memory-only"],
    ],
)
def test_every_wish_of_a_request_is_an_option(run: Run, words: list[str]) -> None:
    """Each is tried with a value that it takes."""
    assert run("--vcpus", "2", "--memory", "1G", *words)[0] == 0


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "0-70000", "1,,2", "-1", "٣"])
def test_what_is_no_list_of_ids_is_refused(run: Run, text: str) -> None:
    """The message names the option."""
    status, _, err = run("--vcpus", "2", "--memory", "1G", f"--pinned-vcpus={text}")
    assert status == 2
    assert "--pinned-vcpus" in err


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is erased afterwards; a pipe gets none, nor does what is done at once."""

    class Screen(io.StringIO):
        def __init__(self, terminal: bool) -> None:
            super().__init__()
            self.terminal = terminal

        def isatty(self) -> bool:
            return self.terminal

    def shown(terminal: bool, wait: float) -> str:
        screen = Screen(terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(progress, "DELAY", 0.01)
        with progress.progress("placing"):
            time.sleep(wait)
        return screen.getvalue()

    assert shown(terminal=False, wait=0.05) == ""
    text = shown(terminal=True, wait=0.2)
    assert text.startswith(f"{progress.CLEAR}placing: 0 s")
    assert text.endswith(progress.CLEAR)


def test_soft_affinity_is_an_option_of_xl(run: Run) -> None:
    """With any other format it is a usage error."""
    _, out, _ = run("--vcpus", "1", "--memory", "1G", "--format", "xl", "--soft")
    assert 'cpus_soft = ["' in out
    assert run("--vcpus", "1", "--memory", "1G", "--soft")[0] == 2


def test_what_a_format_cannot_say_is_status_2(run: Run) -> None:
    """The message names the wish and a format that can express it."""
    status, out, err = run("--vcpus", "1", "--memory", "1G", "--pinned", "--format", "qemu")
    assert (status, out) == (2, "")
    assert err.startswith("numaprobe: the format qemu cannot express pinned vcpus; ")


def test_a_wrong_format_lists_those_that_there_are(run: Run) -> None:
    """The list is the same as in the help."""
    _, _, err = run("--vcpus", "1", "--memory", "1G", "--format", "yaml")
    assert all(name in err for name in FORMATS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vcpus", "0", "--memory", "1M"], "vcpus must be from 1"),
        (["--vcpus", "1", "--memory", "0"], "memory must be from 4096"),
        (["--vcpus", "1", "--memory", "1M", "--cells", "0"], "cells must be from 1"),
        (["--vcpus", "1", "--memory", "1M", "--huge-page", "2M"], "1 MiB is not a whole number of huge pages of 2 MiB"),
        (["--vcpus", "1", "--memory", "1M", "--moves", "0"], "--moves must be at least 1, not 0"),
        (["--vcpus", "1", "--memory", "1M", "--claim-pid", "1"], "--claim-pid and --claim-domain require --claim"),
        (["--claims", "--root", "/"], "for a live host"),
    ],
)
def test_what_cannot_be_meant_is_an_error_in_words(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A usage error names the option and the value."""
    assert main(["place", *words]) == 2
    assert said in capsys.readouterr().err


def batch(placed: int, missed: int, **known: object) -> Batch:
    return Batch(
        plans=(None,) * (placed + missed),
        missed=tuple((placed + i, ("no room",)) for i in range(missed)),
        **{"optimal": False, "bound": placed, "cost": 10.0 * placed, "least_cost": 10.0 * placed, **known},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("one", "lines"),
    [
        (batch(2, 0), ["2 of 2 guests placed"]),
        (batch(1, 0, optimal=True), ["1 of 1 guest placed", "proven: no plan places more of them, or as many at a"]),
        (batch(2, 1), ["2 of 3 guests placed", "proven: no plan places more of them"]),
        (batch(2, 1, bound=3), ["2 of 3 guests placed", "no plan places more than 3"]),
        (batch(2, 1, bound=None), ["2 of 3 guests placed"]),
        (
            batch(2, 0, cost=25.0),
            [
                "2 of 2 guests placed",
                "an access costs these guests 12.5 on average (10: local); no plan reaches less than 10 (20.0%",
            ],
        ),
        (batch(2, 0, cost=20.0000001), ["2 of 2 guests placed"]),
    ],
)
def test_the_end_of_a_batch_says_how_good_it_is(one: Batch, lines: list[str]) -> None:
    """From proven to unknown bounds, each case has its own words, and a gap of rounding has none."""
    found = summary(one).splitlines()
    assert len(found) == len(lines)
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(wanted)


@pytest.mark.parametrize(("missed", "end"), [(1, "guest 3"), (10, "guest 12"), (11, "guest 12 and 1 more")])
def test_ten_guests_that_were_left_out_are_named(missed: int, end: str) -> None:
    """Ten fit in a line, the eleventh is counted, and those without a name have their place in the batch."""
    requests = [Request(1, 4096, name="web" if i == 3 else None) for i in range(2 + missed)]
    words = _left_out(batch(2, missed), requests)
    assert words.startswith("guest 3" if missed == 1 else "guest 3, web, guest 5")
    assert words.endswith(end)
