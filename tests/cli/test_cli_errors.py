"""The command line when something is wrong: one line, a status, and never a traceback or half a file."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import PYTHON, Plant, complaint, run, two_cells, unprivileged
from hypothesis import example, given
from hypothesis import strategies as st
from trees import CPU, NODE, Content, machine, pack
from trees import plant as plant_at

from numaprobe.cli import main
from numaprobe.cli.parser import COMMANDS, parsed
from numaprobe.cli.plain_options import plain_options

FIXTURE = Path(__file__).parents[1] / "fixtures" / "two-nodes-threads" / "host.tar.gz"

# --- usage errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("bogus",),
        ("show", "--bogus"),
        ("--bogus",),
        ("show", "extra"),
        ("free", "--cell"),
        ("free", "--cell", "x"),
        ("free", "--cell", "1.5"),
        ("record",),
        ("export",),
        ("export", "bogus"),
        ("record", "x.zip"),
        ("show", "--source", "bogus"),
        ("show", "--root"),
        ("show", "--root", "/", "--recording", "x"),
        ("",),
        ("show", "--source"),
        ("show", "bog\nus\x1b[31m"),
    ],
    ids=repr,
)
def test_wrong_use_is_one_line_and_status_2(words: tuple[str, ...]) -> None:
    """Scripts tell usage errors from faults of the host by the status; line feeds and escapes in words are quoted."""
    complaint(2, *words)


def test_a_cell_that_is_not_there_is_wrong_use(plant: Plant) -> None:
    """The user can mend it, so it is 2 and not 1; -1 must not mean the last cell."""
    assert "there is no cell 7" in complaint(2, "free", "--cell", "7", "--root", plant(two_cells()))
    complaint(2, "free", "--cell", "-1", "--root", plant_at(Path(str(plant({}))) / "again", two_cells()))


# --- bad input -------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Content], str]] = {
    "a cpulist that does not end": (
        {f"{NODE}/node0/cpulist": "0-\n"},
        f"{NODE}/node0/cpulist: a range without an end: '0-'",
    ),
    "a cpulist of words": ({f"{NODE}/node1/cpulist": "none\n"}, f"{NODE}/node1/cpulist"),
    "a distance row one short": (
        {f"{NODE}/node1/distance": "10\n"},
        f"{NODE}/node1/distance: has 1 columns for 2 nodes",
    ),
    "a distance row one long": ({f"{NODE}/node1/distance": "10 20 30\n"}, f"{NODE}/node1/distance"),
    "a distance of a word": ({f"{NODE}/node0/distance": "10 x\n"}, f"{NODE}/node0/distance"),
    "a negative distance": ({f"{NODE}/node0/distance": "10 -20\n"}, f"{NODE}/node0/distance"),
    "a binary meminfo": ({f"{NODE}/node0/meminfo": bytes(range(256)) * 16}, f"{NODE}/node0/meminfo"),
    "an empty meminfo": ({f"{NODE}/node0/meminfo": ""}, f"{NODE}/node0/meminfo"),
    "a meminfo without its total": ({f"{NODE}/node0/meminfo": "Node 0 MemFree: 5 kB\n"}, "has no MemTotal"),
    "a meminfo without a number": ({f"{NODE}/node0/meminfo": "Node 0 MemTotal: lots\n"}, f"{NODE}/node0/meminfo"),
    "a list of online cpus backwards": ({f"{CPU}/online": "7-0\n"}, f"{CPU}/online"),
    "a list of online nodes of bytes": ({f"{NODE}/online": b"\xff\xfe\x1b[31m\n"}, f"{NODE}/online"),
    "an id beyond any machine": ({f"{CPU}/online": "0-99999999\n"}, f"{CPU}/online"),
    "a package that is no number": (
        {f"{CPU}/cpu0/topology/physical_package_id": "zero\n"},
        "cpu0/topology/physical_package_id",
    ),
    "a mask that is none": ({f"{NODE}/node0/cpulist": b"\0" * 4096, f"{NODE}/node0/cpumap": "xyz\n"}, "node0/cpumap"),
    "a zoneinfo without nodes": ({"proc/zoneinfo": "Node , zone DMA\n"}, "proc/zoneinfo"),
    "a huge page count of words": (
        {
            "sys/kernel/mm/hugepages/hugepages-2048kB": None,
            f"{NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages": "x\n",
        },
        "hugepages-2048kB/nr_hugepages",
    ),
    "a device's node of words": ({"sys/bus/pci/devices/0000:00:00.0/numa_node": "near\n"}, "0000:00:00.0/numa_node"),
    "a device's class of words": ({"sys/bus/pci/devices/0000:00:00.0/class": "0xzz\n"}, "0000:00:00.0/class"),
    "a quota of one word": (
        {
            "proc/self/cgroup": "0::/a\n",
            "proc/self/mountinfo": "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n",
            "sys/fs/cgroup/a/cpu.max": "max\n",
        },
        "sys/fs/cgroup/a/cpu.max",
    ),
    "allowed cpus that are none": ({"proc/self/status": "Cpus_allowed_list:\t0-\n"}, "proc/self/status"),
}


@pytest.mark.parametrize(("change", "said"), BAD.values(), ids=BAD)
def test_a_file_that_makes_no_sense_is_a_note_that_names_it(
    plant: Plant, change: dict[str, Content], said: str
) -> None:
    """The host is shown without what the file should have said."""
    done = run("show", "--json", "--root", plant({**two_cells(), **change}))
    assert (done.returncode, done.stderr) == (0, "")
    notes = [f"{note['where']}: {note['text']}" for note in json.loads(done.stdout)["notes"]]
    assert any(said.removeprefix(f"{NODE}/").removeprefix(f"{CPU}/") in note for note in notes)


def test_online_cpus_that_nothing_tells_are_one_line_that_names_the_file(plant: Plant) -> None:
    """The list is missing, and so is everything that could stand in for it."""
    root = plant({f"{CPU}/online": "0,2-", f"{CPU}/present": "0-3\n", f"{NODE}/online": "0\n"})
    assert f"{CPU}/online: a range without an end: '0,2-'" in complaint(1, "show", "--root", root)


@pytest.mark.parametrize("kind", ["none", "file", "empty directory", "empty name", "link loop"])
@pytest.mark.parametrize("command", ["show", "free", "export json"])
def test_a_root_that_is_none_is_one_line(tmp_path: Path, kind: str, command: str) -> None:
    """Five ways of a mistaken path, each with every command that takes one."""
    path = tmp_path / "here"
    if kind == "file":
        path.write_text("x")
    elif kind == "empty directory":
        path.mkdir()
    elif kind == "link loop":
        path.symlink_to(path)
    complaint(1, *command.split(), "--root", "" if kind == "empty name" else path)


@pytest.mark.parametrize("option", ["--root", "--recording"])
def test_a_place_without_permission_is_one_line(open_place: Path, option: str) -> None:
    """Permission denied and not found need different remedies, so the message says which it is."""
    path = open_place / "closed"
    path.mkdir(mode=0)
    status, out, err = unprivileged(open_place, "show", option, path / "x")
    assert (status, out, err.count("\n")) == (1, "", 1)
    where = f"cannot read {path}/x" if option == "--root" else f"{path}/x: cannot be read"
    assert err == f"numaprobe: {where}: Permission denied\n"


def test_a_bad_recording_is_one_line(tmp_path: Path) -> None:
    """Truncated downloads and wrong files are common, and none of them may print a traceback."""
    whole = pack(two_cells())
    for content in (b"", b"text\n", whole[: len(whole) // 2], whole[:700], pack({"x": "y"})):
        path = tmp_path / "x.tar.gz"
        path.write_bytes(content)
        for command in (("show",), ("free",), ("export", "json")):
            complaint(1, *command, "--recording", path)
    for path in (tmp_path / "none", tmp_path):
        complaint(1, "--recording", path)


def test_one_unreadable_attribute_gives_the_rest_and_a_note(plant: Plant) -> None:
    """A directory in place of the file stands for EISDIR; the status stays 0 because the rest is known."""
    tree = two_cells()
    for name in ("distance", "cpulist"):
        tree[f"{NODE}/node1/{name}"] = None
    done = run("show", "--json", "--root", plant(tree))
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert found["cells"][0]["distances"] == {"0": 10, "1": 21}
    assert (found["cells"][1]["distances"], found["cells"][1]["cpus"]) == (None, None)
    assert found["cells"][1]["memory"]["total"] == 4 << 30
    assert {note["where"] for note in found["notes"]} >= {"node1/distance", "node1/cpulist"}


def test_asking_xen_where_there_is_none_is_one_line(plant: Plant) -> None:
    """No fallback to Linux: who requests the hypervisor must not get the control domain's view."""
    complaint(1, "show", "--source", "xen", "--root", plant(two_cells()))


# --- writing ---------------------------------------------------------------------------------------------------


def test_export_writes_a_file_whole_or_leaves_the_old_one(plant: Plant, tmp_path: Path) -> None:
    """A cron job whose host fails once must not leave a scheduler with an empty topology."""
    root, target = plant(two_cells()), tmp_path / "host.json"
    assert run("export", "json", "-o", target, "--root", root).stdout == ""
    before = target.read_text()
    assert len(json.loads(before)["cells"]) == 2
    complaint(1, "export", "json", "-o", target, "--root", tmp_path / "none")
    assert target.read_text() == before
    assert sorted(os.listdir(tmp_path)) == ["host.json", "root"]


def test_export_replaces_the_file_and_never_writes_into_it(plant: Plant, tmp_path: Path) -> None:
    """A reader that has the old file open keeps the old content."""
    root, target = plant(two_cells()), tmp_path / "host.json"
    target.write_text("old")
    with target.open() as reader:
        assert main(["export", "json", "-o", str(target), "--root", str(root)]) == 0
        assert reader.read() == "old"
    assert target.read_text().startswith("{")


@pytest.mark.parametrize("command", ["export json -o", "record"])
def test_a_place_that_cannot_be_written_is_one_line_with_its_name(plant: Plant, tmp_path: Path, command: str) -> None:
    """A missing folder and a directory of that name, without a temporary file left behind."""
    root = plant(two_cells())
    name = "host.tar" if command == "record" else "host.json"
    line = complaint(1, *command.split(), tmp_path / "none" / name, "--root", root)
    assert f"{tmp_path}/none/{name}: No such file or directory" in line
    (tmp_path / name).mkdir()
    complaint(1, *command.split(), tmp_path / name, "--root", root)
    assert sorted(os.listdir(tmp_path)) == sorted([name, "root"])


def test_export_into_a_pipe_or_a_device(plant: Plant) -> None:
    """Replacing /dev/null by a regular file, as root, would break the machine."""
    root = plant(two_cells())
    assert json.loads(run("export", "json", "-o", "/dev/stdout", "--root", root).stdout)["source"] == "linux"
    assert run("export", "json", "-o", "/dev/null", "--root", root).returncode == 0
    assert os.path.exists("/dev/null")


def test_record_then_read_the_recording(plant: Plant, tmp_path: Path) -> None:
    """Byte for byte the same output for the tree and its recording, as text and as JSON."""
    root, target = plant(two_cells()), tmp_path / "host.tar.xz"
    done = run("record", target, "--root", root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run("show", "--recording", target).stdout == run("show", "--root", root).stdout
    assert run("--json", "--recording", target).stdout == run("--json", "--root", root).stdout


def test_a_reader_that_goes_away_is_no_error(plant: Plant) -> None:
    """As with | head: EPIPE ends it silently with status 0, even in the midst of a long document."""
    root = plant(machine({i: list(range(i * 64, i * 64 + 64)) for i in range(16)}))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [PYTHON, "-m", "numaprobe", "--json", "--root", str(root)], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_one_line_and_status_1(plant: Plant) -> None:
    """Output is only flushed at exit, where Python by default prints a traceback and lies about the status."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PYTHON, "-m", "numaprobe", "--root", str(plant(two_cells()))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("numaprobe: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr == "numaprobe: cannot write standard output: No space left on device\n"


def test_closed_standard_streams_give_no_traceback(plant: Plant) -> None:
    """Daemons start programs without them; Python then has None for sys.stdout."""
    root = plant(two_cells())

    def shell(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", f"exec {PYTHON} -m numaprobe {words}"], capture_output=True, text=True, check=False
        )

    done = shell(f"--root {root} >&-")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert shell("bogus 2>&-").returncode == 2
    assert shell(f"--root {root} 2>&- <&-").returncode == 0


def test_an_interrupt_gives_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C is no fault: status 130, as shells expect of SIGINT."""
    code = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom numaprobe import cli\ncli._command = lambda name: lambda options, out: signal.raise_signal(signal.SIGINT)\nsys.exit(cli.main([]))"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_a_terminal_is_filled_and_not_more(plant: Plant) -> None:
    """On a terminal the table takes the width that the terminal has, and no line wraps."""
    import fcntl
    import struct
    import termios

    root = plant(machine({i: [2 * i, 2 * i + 1] for i in range(24)}))
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    process = subprocess.Popen([PYTHON, "-m", "numaprobe", "--root", str(root)], stdout=follower, stderr=follower)
    os.close(follower)
    text = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(leader)
    assert process.wait() == 0
    assert max(len(line) for line in text.decode().splitlines()) <= 80


# --- plain options, without argparse ---

WORDS = ["show", "free", "--json", "--root", "a", "--root=b", "--recording", "--recording=c", "--source", "--source=xen",
         "linux", "nix", "--cell", "1", "--cell=2", "-1", "", "--jso", "--watch", "-h", "x"]  # fmt: skip


@example("show", ["--source", "nix", "--source=xen"])
@given(st.sampled_from(["show", "free", "domains"]), st.lists(st.sampled_from(WORDS), max_size=5))
def test_plain_options_are_what_argparse_makes_of_them(command: str, words: list[str]) -> None:
    """The fast parser agrees with argparse or leaves it to it: errors, abbreviations and help are argparse's own."""
    plain = plain_options([command, *words])
    if plain is None:
        return
    full = vars(parsed([command, *words]))
    assert {name: vars(plain)[name] for name in full} == full


def test_a_plain_command_imports_no_argparse() -> None:
    """Importing it is a large part of a short command's time, so everyday options are parsed without it."""
    program = (
        "import sys\nfrom numaprobe.cli import main\n"
        "status = main(sys.argv[1:])\nassert 'argparse' not in sys.modules\nsys.exit(status)"
    )
    for words in (["free"], ["show"], ["free", "--json"], ["--recording", str(FIXTURE)]):
        found = subprocess.run(
            [sys.executable, "-I", "-c", program, *words], capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_unknown_option_names_the_help_of_its_command(command: str) -> None:
    """Options differ by command, so the general help would not help."""
    words = {"record": ["x.tar"], "export": ["json"], "diff": ["x.tar"], "fleet": ["show"]}.get(command, [])
    line = complaint(2, command, *words, "--no-such-option")
    assert line == f"numaprobe: unknown option: --no-such-option (try numaprobe {command} --help)\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shwo"], "there is no command 'shwo'; did you mean show?"),
        (["xyzzy"], "there is no command 'xyzzy'; commands: show, free, watch,"),
        (["show", "--jsn"], "unknown option: --jsn; did you mean --json?"),
        (["show", "-x", "-y"], "unknown options: -x, -y"),
        (["show", "cell"], "unexpected argument: cell"),
        (["free", "--cell", "x"], "--cell must be a whole number, not 'x'"),
        (["watch", "--interval", "x"], "--interval must be a number, not 'x'"),
        (["free", "--cell"], "--cell needs a value"),
        (["show", "--source", "kvm"], "--source must be one of auto, linux, xen, not 'kvm'"),
        (["show", "--root", "a", "--recording", "b"], "--root and --recording cannot be combined"),
        (["place", "--json", "--format", "xl"], "--json and --format cannot be combined"),
        (["export"], "FORMAT is missing"),
        (["place", "--claim-"], "--claim- is ambiguous: --claim-seconds, --claim-pid, --claim-domain"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_a_sentence_with_what_is_accepted(words: list[str], sentence: str) -> None:
    """Argparse's own words (invalid choice, unrecognized arguments) tell a newcomer nothing to do."""
    line = complaint(2, *words)
    assert line.startswith(f"numaprobe: {sentence}"), line
    assert line.endswith(" --help)\n")


def test_help_is_a_command_too() -> None:
    """Users of git and other tools try it first, and it prints what the option does."""
    assert run("help").stdout == run("--help").stdout
    assert run("help", "free").stdout == run("free", "--help").stdout


def test_every_help_is_that_of_the_whole_parser() -> None:
    """The fast path for plain options must not hide an argument from the help."""
    assert "3 place: does not fit" in " ".join(run("--help").stdout.split())
    for command in COMMANDS:
        found = run(command, "--help").stdout
        assert found.startswith(f"usage: numaprobe {command} [-h]")


def test_memory_that_runs_out_is_one_line() -> None:
    """A huge input or a small cgroup: the handler itself has to work without much memory."""
    program = (
        "import sys, numaprobe.cli.free as free\nfrom numaprobe.cli import main\n"
        "def probe(*_, **__): raise MemoryError\nfree.probe = probe\nsys.exit(main(['free']))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "numaprobe: out of memory\n")


def test_no_name_controls_the_terminal() -> None:
    """Guests choose their names; on a real pty the escape arrives as text and the line breaks stay."""
    program = (
        "import sys, os, numaprobe.cli.domains as domains\nfrom numaprobe.cli import main\n"
        "class Found:\n    def lines(self, _): return ['\\x1b[2Jname', 'second']\n"
        "domains.observe = lambda *_, **__: Found()\nsys.exit(main(['domains']))"
    )
    master, terminal = os.openpty()
    try:
        found = subprocess.run([sys.executable, "-c", program], stdout=terminal, check=False)
        shown = os.read(master, 1000)
    finally:
        os.close(master)
        os.close(terminal)
    assert (found.returncode, shown) == (0, b"\\x1b[2Jname\r\nsecond\r\n")


def test_place_shows_no_raw_name_in_a_pipe_either() -> None:
    """A pipe often ends in a terminal after all, or in a log."""
    found = run("place", "--recording", FIXTURE, "--vcpus", "1", "--memory", "1M", "--name", "a\x1b[2J")
    assert found.returncode == 0
    assert "\x1b" not in found.stdout


def test_the_interval_of_free_is_for_watching() -> None:
    """Ignoring it would let a user believe that it has an effect."""
    assert "require --watch" in complaint(2, "free", "--interval", "2")


@pytest.mark.parametrize(("command", "has"), [("place", True), ("pin", True), ("show", False), ("watch", False)])
def test_the_help_of_a_command_says_its_statuses(command: str, has: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 3 is listed only where there is something that may not fit."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0 done, 1 the host could not be read" in words
    assert ("3 it does not fit" in words) is has


@pytest.mark.parametrize(
    "words",
    [["--root", "/absent"], ["--recording", "/absent.tar"], ["free", "--root", "/absent"], ["diff", "/absent.tar"]],
)
def test_what_cannot_be_read_is_an_error_with_a_verb(words: list[str]) -> None:
    """A bare path and errno do not say what was tried with it."""
    assert re.match("numaprobe: cannot read /absent:|numaprobe: /absent.tar: cannot be read:", complaint(1, *words))
