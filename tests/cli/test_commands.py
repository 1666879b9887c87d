"""How commands end, and what each of them asks of the library, with the library replaced."""

from __future__ import annotations

import argparse
import errno
import io
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, MIB, domain, host, made

import numaprobe
from numaprobe import (
    DoesNotFit,
    Domains,
    FactError,
    Note,
    Plan,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    cli,
    place,
)
from numaprobe.cli import claims, diff, domains, draw, extras, free, moves, pin, placing, traffic
from numaprobe.cli.plain_options import UsageError
from numaprobe.model.traffic import Traffic, TrafficReading
from numaprobe.pin import Step

# --- main ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("bad words"), 2, "bad words"), (ValueError("bad value"), 2, "bad value"),
        (DoesNotFit("too large"), 3, "too large"), (SourceDenied("proc/x", 13), 1, "cannot read proc/x: Permission denied"),
        (SourceError("sysctl", 5, "was odd"), 1, "sysctl: was odd"), (SourceUnavailable("it", None, "is not there"), 1, "it: is not there"),
        (FactError("online", b"x", "not a list"), 1, None), (MemoryError(), 1, "out of memory"),
        (FileNotFoundError(2, "No such file or directory", "there"), 1, "cannot read there: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "cannot write standard output: No space left on device"),
        (OSError(errno.EDQUOT, "Quota"), 1, "cannot write standard output: Quota"),
        (OSError(errno.EFBIG, "Large"), 1, "cannot write standard output: Large"), (OSError(errno.EIO, "Input/output error"), 1, "Input/output error"),
        (OSError("odd"), 1, "odd"), (ValueError("two\nlines\x1b"), 2, "two lines\\x1b"), (ValueError("é"), 2, "\\xe9"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str | None,
) -> None:
    """1 for the host and files, 2 for the command line, 3 for a guest that does not fit."""

    def fails(options: Any, out: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "_command", lambda name: fails)
    assert cli.main(["show"]) == status
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    if line is not None:
        assert found.err == f"numaprobe: {line}\n"


def test_an_interrupt_has_the_status_of_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """128 and SIGINT's number, as shells count it."""

    def interrupted(options: Any, out: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_command", lambda name: interrupted)
    assert cli.main(["show"]) == 130


class Output(io.StringIO):
    """A standard output that notes what is done to it."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal
        self.did: list[str] = []

    def isatty(self) -> bool:
        return self.terminal

    def reconfigure(self, *, errors: str) -> None:
        self.did.append(errors)

    def flush(self) -> None:
        self.did.append("flush")


def test_output_is_escaped_and_flushed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed one is an error of its own, a broken pipe none."""
    out = Output()
    monkeypatch.setattr(cli, "_command", lambda name: lambda options, out: out.write(name))
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main([]) == 0
    assert (out.did, out.getvalue()) == (["backslashreplace", "flush"], "show")
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main([]) == 1
    assert capsys.readouterr().err == "numaprobe: standard output is closed\n"
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main([]) == 1


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor leads nowhere from then on, so that the interpreter's last flush fails no more."""
    did: list[Any] = []

    def broken(options: Any, out: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_command", lambda name: broken)
    monkeypatch.setattr(cli.os, "open", lambda path, flags: did.append((path, flags)) or 77)
    monkeypatch.setattr(cli.os, "dup2", lambda *both: did.append(both))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: 9, isatty=lambda: False))
    assert cli.main(["show"]) == 0
    assert did == [("/dev/null", cli.os.O_WRONLY), (77, 9)]


@pytest.mark.parametrize(
    ("words", "command"),
    [(["--json"], "show"), ([], "show"), (["free"], "free"), (["--version"], None), (["-h"], None), (["--help"], None)],
)
def test_options_alone_are_those_of_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], command: str | None
) -> None:
    """Except for those that ask about the program itself."""
    asked: list[str] = []
    monkeypatch.setattr(cli, "_command", lambda name: lambda options, out: asked.append(name))
    if command is None:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code in (0, None)
    else:
        assert cli.main(words) == 0
    assert asked == ([] if command is None else [command])


NAMES = (
    "show",
    "free",
    "domains",
    "watch",
    "place",
    "pin",
    "record",
    "draw",
    "serve",
    "doctor",
    "diff",
    "traffic",
    "fleet",
    "export",
)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_its_module(name: str) -> None:
    """Imported when it is asked for."""
    assert cli._command(name).__module__ == f"numaprobe.cli.{name}"


@pytest.mark.parametrize(
    ("options", "terminal", "escaped"),
    [
        ({"command": "show"}, True, True), ({"command": "show"}, False, False), ({"command": "watch"}, True, False),
        ({"command": "free", "watch": True}, True, False), ({"command": "free", "watch": False}, True, True),
        ({"command": "place", "format": "text"}, False, True), ({"command": "place", "format": "json"}, False, False),
        ({"command": "place", "format": "json"}, True, True), ({"command": "watch", "format": "text"}, True, False),
    ],
)  # fmt: skip
def test_text_for_people_has_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], terminal: bool, escaped: bool
) -> None:
    """Data is left as it is, and so is what moves the cursor itself."""
    out = Output(terminal=terminal)
    monkeypatch.setattr(sys, "stdout", out)
    assert (cli._output(Namespace(**options)) is not out) is escaped


@pytest.mark.parametrize(
    ("options", "verb"),
    [
        ({}, "read"), ({"listen": "it"}, "listen on"), ({"output": "it"}, "write"), ({"file": "it"}, "write"), ({"textfile": "it"}, "write"),
        ({"program": ["it", "x"]}, "run"), ({"program": ["x", "it"]}, "read"), ({"program": None, "output": "other"}, "read"),
    ],
)  # fmt: skip
def test_what_could_not_be_done_to_a_file_is_said(options: dict[str, Any], verb: str) -> None:
    """By the option that named it."""
    error = OSError(errno.EACCES, "Permission denied", "it")
    assert cli._failed(Namespace(**options), error) == f"cannot {verb} it: Permission denied"
    assert cli._failed(None, error) == "cannot read it: Permission denied"


def test_what_is_missing_is_said_with_the_installer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a line that says what to install is rewritten."""
    monkeypatch.setattr(extras, "with_installer", lambda line: f"[{line}]")
    assert cli._complain("run pip install 'numaprobe[x]'", 2) == 2
    assert cli._complain("run it", 1) == 1
    assert capsys.readouterr().err == "numaprobe: [run pip install 'numaprobe[x]']\nnumaprobe: run it\n"


# --- diff, draw, free, claims, domains, traffic -------------------------------------------------------------------------


def test_hosts_are_compared_with_their_devices_and_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder is a tree, a file a recording, and without a name it is this host."""
    asked: list[Any] = []
    monkeypatch.setattr(diff, "probe", lambda *root, **what: asked.append((root, what)))
    recording = tmp_path / "host.tar"
    recording.write_text("")
    for name in (None, str(tmp_path), str(recording)):
        diff._host(name, "xen")
    more = {"source": "xen", "devices": True, "caches": True}
    assert asked == [((), more), ((str(tmp_path),), more), ((), {**more, "recording": str(recording)})]


def test_a_picture_is_of_the_host_with_caches_and_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests that cannot be read are a remark, unless nobody asked for them."""
    of, asked = host([GIB]), []
    monkeypatch.setattr(draw, "probe", lambda root, **what: asked.append((root, what)) or of)
    guests = Domains([domain("g", 1)], complete=True, notes=())
    monkeypatch.setattr(draw, "domains", lambda found, **what: asked.append((found is of, what)) or guests)
    found = draw.read("r", None, "auto")
    assert (found.host, found.domains, found.remark) == (of, guests, None)
    assert found.uses is not None
    assert asked == [
        ("r", {"recording": None, "source": "auto", "caches": True, "devices": True}),
        (True, {"root": "r", "recording": None, "each_vcpu": False}),
    ]
    alone = draw.read("r", None, "auto", guests=False)
    assert (alone.domains, alone.uses, alone.remark, len(asked)) == (Domains(), None, None, 3)

    def fails(*_: Any, **__: Any) -> Any:
        raise SourceError("proc", 13)

    monkeypatch.setattr(draw, "domains", fails)
    refused = draw.read("r", None, "auto")
    assert (refused.domains, refused.uses) == (Domains(), None)
    assert refused.remark == "guests are not shown: proc: Permission denied"


@pytest.mark.parametrize(
    ("form", "output", "found"),
    [
        (None, None, "text"),
        ("svg", None, "svg"),
        ("text", "x.svg", "text"),
        (None, "a.SVG", "svg"),
        (None, "a.b.html", "html"),
    ],
)
def test_the_form_of_a_picture_is_that_of_its_file(form: str | None, output: str | None, found: str) -> None:
    """Unless an option says it."""
    assert draw._form(Namespace(format=form, output=output)) == found


def test_a_picture_of_another_ending_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a good one is written whole."""
    with pytest.raises(ValueError, match=r"a picture must end in \.svg or \.html, or have a --format: 'a\.png'"):
        draw._form(Namespace(format=None, output="a.png"))
    seen: list[Any] = []
    picture = SimpleNamespace(picture=lambda form, *, width: seen.append((form, width)) or "é")
    monkeypatch.setattr(draw, "read", lambda *_: picture)
    monkeypatch.setattr(draw, "columns", lambda default: default)
    out = io.StringIO()
    plain = {"root": None, "recording": None, "source": "auto"}
    draw.run(Namespace(**plain, format=None, output=str(tmp_path / "a.svg")), out)
    draw.run(Namespace(**plain, format=None, output=None), out)
    assert (tmp_path / "a.svg").read_text("utf-8") == "é"
    assert (out.getvalue(), seen) == ("é", [("svg", None), ("text", 100)])


def test_claims_of_a_host_whose_guests_cannot_be_read_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is known to have ended."""
    guests = Domains([domain("g", 1)])
    monkeypatch.setattr(numaprobe, "probe", lambda: host([GIB]))
    monkeypatch.setattr(numaprobe, "domains", lambda _: guests)
    assert claims._running() is guests

    def fails(_: Any) -> Any:
        raise SourceError("proc", 13)

    monkeypatch.setattr(numaprobe, "domains", fails)
    assert claims._running() == ()


def test_what_is_asked_of_a_process_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the note about it, where there is one; a live host is probed again after its guests."""
    of, asked = host([GIB]), []
    monkeypatch.setattr(domains, "probe", lambda *root, **what: asked.append((root, what)) or of)
    notes = (Note("proc/7/status", "denied"), Note("control group /a", "is of version 1"))
    found = Domains([domain("g", 1, id=5)], complete=True, notes=notes)
    monkeypatch.setattr(domains, "domains", lambda *_, **__: found)
    monkeypatch.setattr(domains, "time", lambda: 9.0)
    seen = domains.observe(None, None, "auto", processes=[5])
    assert (seen.time, seen.host, seen.domains) == (9.0, of, found)
    assert asked == [
        ((None,), {"recording": None, "source": "auto", "available": False}),
        ((), {"source": "auto", "available": False}),
    ]
    assert domains.observe("r", None, "auto").time is None
    assert len(asked) == 3
    for what, text in (
        ({"processes": [6]}, "process 6: no such process, or one without memory of its own"),
        ({"processes": [7]}, "process 7: proc/7/status: denied"),
        ({"groups": ["/a"]}, "control group /a: is of version 1"),
        ({"groups": ["/b"]}, "control group /b: no such group of version 2 with processes in it"),
    ):
        with pytest.raises(SourceUnavailable) as caught:
            domains.observe(None, None, "auto", **what)
        assert str(caught.value) == text


def test_traffic_of_a_live_host_is_what_two_readings_differ_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a recording is between its two, or a sum where it has one."""

    def reading(time: float | None, total: int, earlier: TrafficReading | None = None) -> TrafficReading:
        row = Traffic(group="", cache=0, occupancy=1024, total=total, local=total)
        return TrafficReading(time=time, traffic=(row,), notes=(), earlier=earlier)

    answers = [reading(10.0, 1024), reading(12.0, 5120)]
    slept: list[float] = []
    asked: list[Any] = []
    monkeypatch.setattr(traffic, "traffic", lambda *root, **what: asked.append((root, what)) or answers.pop(0))
    monkeypatch.setattr(traffic, "sleep", slept.append)
    out = io.StringIO()
    options = Namespace(root=None, recording=None, interval=3600.0, json=False)
    traffic.run(options, out)
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["group", "L3", "occupancy", "total/s", "local/s", "remote"],
        ["(default)", "0", "1.0", "KiB", "2.0", "KiB", "2.0", "KiB", "0%"],
    ]  # fmt: skip
    assert (slept, asked) == ([3600.0], [((None,), {"recording": None}), ((), {})])
    answers[:] = [reading(2.0, 5120, reading(0.0, 1024)), reading(None, 5120)]
    for name, shown in (("total/s", "2.0"), ("total", "5.0")):
        out = io.StringIO()
        traffic.run(Namespace(root="r", recording=None, interval=1.0, json=False), out)
        heading, row = (line.split() for line in out.getvalue().splitlines())
        assert (heading[3], row[4]) == (name, shown)
    for interval in (0, -1.0, 3600.1):
        with pytest.raises(ValueError, match="--interval must be above 0 seconds and at most 3600"):
            traffic.run(Namespace(root=None, recording=None, interval=interval, json=False), out)


# --- place, pin, moves --------------------------------------------------------------------------------------------------


def test_guests_are_read_on_a_live_host_or_where_a_name_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that cannot be read are said in the plan, unless one of them was named."""
    asked: list[Any] = []
    found = Domains([domain("g", 1)])
    monkeypatch.setattr(numaprobe, "domains", lambda host, **what: asked.append(what) or found)
    of = host([GIB])

    def guests(needed: bool, **options: Any) -> Any:
        return placing.guests(
            Namespace(**{"root": None, "recording": None, "no_domains": False, **options}), of, needed=needed
        )

    assert guests(False) is found
    assert guests(True) is found
    assert guests(True, root="r") is found
    assert guests(True, recording="f") is found
    assert asked == [{"root": None, "recording": None}] * 2 + [
        {"root": "r", "recording": None},
        {"root": None, "recording": "f"},
    ]
    assert (
        guests(False, root="r")
        == guests(False, recording="f")
        == guests(False, no_domains=True)
        == guests(True, no_domains=True)
        == ()
    )

    def fails(host: Any, **_: Any) -> Any:
        raise SourceError("proc", 13)

    monkeypatch.setattr(numaprobe, "domains", fails)
    refused = guests(False)
    assert (list(refused), refused.complete, refused.notes) == (
        [],
        False,
        (Note("domains", "proc: Permission denied"),),
    )
    with pytest.raises(SourceError):
        guests(True)


def test_claims_of_a_recorded_host_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a live one are the ledger's that is held, or those that all can see."""
    monkeypatch.setattr(placing, "visible_claims", lambda running, folder: ("visible", running, folder))
    options = Namespace(root=None, recording=None, ledger="folder")
    assert placing.claims_of(options, ("g",)) == ("visible", ("g",), "folder")
    held: Any = SimpleNamespace(current=lambda running: ("current", running))
    assert placing.claims_of(options, ("g",), held) == ("current", ("g",))
    for more in ({"root": "r"}, {"recording": "f"}):
        assert placing.claims_of(Namespace(**{"root": None, "recording": None, "ledger": None, **more}), ("g",)) == ()
        with pytest.raises(ValueError, match="--claim is for a live host, not for a recorded one"):
            placing.claim(Namespace(**{"root": None, "recording": None, **more}), ())


def wish(**more: Any) -> Namespace:
    return Namespace(**{"batch": None, "vcpus": 2, "memory": "1G", "name": None, **more})


def test_a_request_is_of_the_command_line_or_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guest of the file sets itself is its own."""
    (one,) = placing.wanted(wish(huge_page="2M", near=[1], pinned=True, max_cells=3, together_with=[]))
    assert (one.vcpus, one.memory, one.huge_page, one.pinned, one.max_cells) == (2, GIB, 2 * MIB, True, 3)
    for more in ({"vcpus": None}, {"memory": None}):
        with pytest.raises(ValueError, match="place takes --vcpus and --memory, or --batch"):
            placing.wanted(wish(**more))
    none = {"vcpus": None, "memory": None}
    for more in ({"vcpus": 1, "memory": None}, {"vcpus": None}, {**none, "name": "x"}):
        with pytest.raises(ValueError, match="place takes --vcpus, --memory and --name, or --batch, not both"):
            placing.wanted(wish(batch="f", **more))
    listed = [
        {"vcpus": 1, "memory": "1G", "name": "a"},
        {"vcpus": 3, "memory": 6 << 20, "pinned": False, "huge_page": None},
    ]
    monkeypatch.setattr(placing, "read_json", lambda name: listed)
    first, second = placing.wanted(wish(batch="f", **none, pinned=True, huge_page="2M"))
    assert (first.vcpus, first.memory, first.name, first.pinned, first.huge_page) == (1, GIB, "a", True, 2 * MIB)
    assert (second.vcpus, second.memory, second.name, second.pinned, second.huge_page) == (
        3,
        6 << 20,
        None,
        False,
        2 * MIB,
    )
    listed[1]["vcpus"] = 0
    for name, shown in (("f", "f"), ("-", "standard input")):
        with pytest.raises(ValueError, match=f"^{shown}"):
            placing.wanted(wish(batch=name, **none))


STEPS = (
    ((Step(what="process", target=None, cpus=(0, 1), cells=None),), ["it: cpus 0-1"]),
    ((Step(what="process", target=None, cpus=(), cells=(1, 0)),), ["it: memory from cells 0-1"]),
    ((Step(what="process", target=None, cpus=(), cells=(1,)),), ["it: memory from cell 1"]),
    ((Step(what="domain", target=2, cpus=(3,), cells=None),), ["it: vcpu 2 to cpus 3"]),
    ((Step(what="process", target=2, cpus=(3,), cells=None),), ["it: thread 2 to cpus 3"]),
)


@pytest.mark.parametrize(("steps", "lines"), STEPS)
def test_steps_of_pinning_are_said(steps: tuple[Step, ...], lines: list[str]) -> None:
    """To what they are done, and what it is."""
    assert list(pin.lines(steps, "it")) == lines


def plan() -> Plan:
    return place(host([GIB]), vcpus=2, memory=MIB, reserve=0)


def pinning(**more: Any) -> Namespace:
    plain = {
        "program": [],
        "pid": None,
        "domain": None,
        "dry_run": False,
        "root": None,
        "recording": None,
        "force": False,
    }
    return Namespace(**{**plain, "plan": None, "vcpus": None, "memory": None, "ledger": None, "name": None, **more})


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was done to processes and domains."""
    found: list[Any] = []
    step = (Step(what="process", target=None, cpus=(0,), cells=None),)
    monkeypatch.setattr(pin, "planned", lambda options: "plan")
    monkeypatch.setattr(pin, "probe", lambda **what: found.append(("probe", what)) or "host")
    monkeypatch.setattr(pin, "domains", lambda host, **what: [domain("g", 1, id=7)])
    monkeypatch.setattr(pin.pin, "find", lambda host, name: ("found", host, name))
    for name in ("domain_steps", "process_steps", "command_steps", "process"):
        monkeypatch.setattr(pin.pin, name, lambda *what, name=name, **more: found.append((name, *what, more)) or step)
    for name in ("domain", "run"):
        monkeypatch.setattr(pin.pin, name, lambda *what, name=name, **more: found.append((name, *what, more)))
    return found


@pytest.mark.parametrize(
    ("options", "calls", "line"),
    [
        (pinning(domain="web"), [("probe", {"source": "xen"}), ("domain_steps", "plan", ("found", "host", "web"), {"force": False}),
                                 ("domain", "plan", "host", "web", {"force": False})], "domain web: cpus 0"),
        (pinning(domain="web", dry_run=True, force=True),
         [("probe", {"source": "xen"}), ("domain_steps", "plan", ("found", "host", "web"), {"force": True})], "domain web: cpus 0"),
        (pinning(pid=7), [("process_steps", "plan", 7, {"force": False}), ("probe", {"source": "linux"}),
                          ("process", "plan", 7, {"force": False})], "process 7: cpus 0"),
        (pinning(pid=1, force=True), [("process_steps", "plan", 1, {"force": True}), ("process", "plan", 1, {"force": True})],
         "process 1: cpus 0"),
        (pinning(pid=8, dry_run=True), [("process_steps", "plan", 8, {"force": True})], "process 8: cpus 0"),
        (pinning(program=["make", "x"], dry_run=True), [("command_steps", "plan", {})], "make: cpus 0"),
        (pinning(program=["make", "x"]), [("run", "plan", ["make", "x"], {}), ("command_steps", "plan", {})], "make: cpus 0"),
    ],
)  # fmt: skip
def test_a_plan_is_carried_out_or_only_shown(done: list[Any], options: Namespace, calls: list[Any], line: str) -> None:
    """On a domain, a process or a command; a process that is no guest by force only."""
    out = io.StringIO()
    pin.run(options, out)
    assert done == calls
    assert out.getvalue() == f"{line}\n"


def test_what_cannot_be_pinned_is_refused(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before or instead of doing anything."""
    for options, text in (
        (pinning(), "pin needs a command after --, --pid or --domain"),
        (pinning(pid=7, domain="web"), "pin needs a command after --, --pid or --domain"),
        (pinning(pid=7, program=["x"]), "pin needs a command after --, --pid or --domain"),
        (pinning(pid=7, root="r"), "a plan for a recorded host cannot be applied here; --dry-run shows it"),
        (pinning(pid=7, recording="r"), "a plan for a recorded host cannot be applied here; --dry-run shows it"),
        (pinning(pid=0), "a process id must be at least 1, not 0"),
    ):
        with pytest.raises(ValueError, match=text):
            pin.run(options, io.StringIO())
    assert done == []
    with pytest.raises(ValueError, match="process 8 does not run a guest; use --force to pin it anyway"):
        pin.run(pinning(pid=8), io.StringIO())

    def missing(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(pin.pin, "run", missing)
    with pytest.raises(FileNotFoundError) as caught:
        pin.run(pinning(program=["nothing"]), io.StringIO())
    assert (caught.value.errno, caught.value.filename) == (2, "nothing")


def test_a_plan_to_pin_is_made_claimed_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command that is started it is claimed, where there is a place for claims."""
    made_plan, asked = plan(), []
    monkeypatch.setattr(pin, "plan_for", lambda options: "plan for")
    monkeypatch.setattr(pin, "wanted", lambda options: ("request",))

    def claim(options: Any, requests: Any) -> Any:
        asked.append((options.claim_pid, options.claim_domain, options.claim_seconds, requests))
        return SimpleNamespace(plans=(made_plan,)), ()

    monkeypatch.setattr(pin, "claim", claim)
    monkeypatch.setattr(pin, "claimable", lambda options: True)
    guest = {"vcpus": 1, "memory": "1G"}
    assert pin.planned(pinning(**guest, program=["x"])) is made_plan
    assert asked == [(pin.os.getpid(), None, pin.SECONDS, ("request",))]
    assert pin.planned(pinning(**guest, program=["x"], dry_run=True)) == "plan for"
    assert pin.planned(pinning(**guest, pid=7)) == "plan for"
    monkeypatch.setattr(pin, "claimable", lambda options: False)
    assert pin.planned(pinning(**guest, program=["x"])) == "plan for"
    for more in ({"vcpus": 1}, {"memory": "1G"}, {}):
        with pytest.raises(ValueError, match="pin takes --vcpus and --memory, or --plan"):
            pin.planned(pinning(**more))
    for more in ({"vcpus": 1}, {"memory": "1G"}):
        with pytest.raises(ValueError, match="pin takes --plan, or --vcpus and --memory, not both"):
            pin.planned(pinning(plan="f", **more))
    monkeypatch.setattr(pin, "read_json", lambda name: {"no": "plan"})
    for name, shown in (("f", "f"), ("-", "standard input")):
        with pytest.raises(ValueError, match=f"^{shown} is not a plan to apply: "):
            pin.planned(pinning(plan=name))


def test_a_place_for_claims_is_a_folder_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is named is taken as it is."""
    assert pin.claimable(pinning(ledger="/nowhere"))
    monkeypatch.setattr(pin, "own_folder", lambda: str(tmp_path / "claims"))
    assert pin.claimable(pinning()) is True
    monkeypatch.setattr(pin, "own_folder", lambda: str(tmp_path / "none" / "claims"))
    assert pin.claimable(pinning()) is False

    def fails() -> str:
        raise SourceError("run", 13)

    monkeypatch.setattr(pin, "own_folder", fails)
    assert pin.claimable(pinning()) is False


def test_one_plan_of_several_is_chosen_by_its_name() -> None:
    """A name has to be there once."""
    plans = [{"name": "a"}, {"name": "b"}, {"name": "b"}, 7]
    assert pin._named(plans, "a") == {"name": "a"}
    assert pin._named(plans[:1], None) == {"name": "a"}
    for name, text in (
        (None, "it has the plans of 4 guests: select one with --name"), ("b", "it has 2 plans for a guest named 'b'"),
        ("c", "it has no plan for a guest named 'c'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            pin._named(plans, name)


MOVING = {"batch": None, "claim": False, "optimal": False, "no_domains": False, "format": "text", "moves": None, "rebalance": False,
          "without": None, "reserve": None, "root": None, "recording": None, "source": "auto", "pool": None}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"batch": "f"}, "are for one guest beside those that run"), ({"claim": True}, "without --claim"),
        ({"optimal": True}, "are for one guest"), ({"no_domains": True}, "are for one guest"),
        ({"format": "xl"}, "--moves, --without and --rebalance are shown as text or as JSON"), ({"moves": 0}, "--moves must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_moves_are_for_one_guest(more: dict[str, Any], text: str) -> None:
    """As text or as JSON."""
    with pytest.raises(ValueError, match=text):
        moves.run(Namespace(**{**MOVING, **more}), io.StringIO())


@pytest.mark.parametrize(("complete", "moved"), [(True, True), (True, False), (False, True), (False, False)])
def test_moves_are_said_before_the_plan(monkeypatch: pytest.MonkeyPatch, complete: bool, moved: bool) -> None:
    """And whether fewer might have been enough."""
    of, asked = host([GIB]), []
    running = Domains([domain("g", 1, id=7)])
    whole: Any = SimpleNamespace(to_dict=lambda: {"p": 1}, render=lambda form: f"plan as {form}\n")
    target: Any = SimpleNamespace(cells=(1,), cpus=(4, 5), memory={1: MIB})
    move: Any = SimpleNamespace(
        name=None, domain=7, before={0: MIB, 2: 0}, plan=target, size=3 * MIB, to_dict=lambda: {"m": 1}
    )
    monkeypatch.setattr(moves, "wanted", lambda options: (SimpleNamespace(near=None),))
    monkeypatch.setattr(moves, "probe", lambda root, **what: asked.append(what) or of)
    monkeypatch.setattr(moves, "domains", lambda *_, **__: running)
    monkeypatch.setattr(moves, "immovable", lambda *_, **__: {"x": "y"})
    monkeypatch.setattr(moves, "claims_of", lambda *_: ("claims",))

    def make_room(*what: Any, **more: Any) -> Any:
        asked.append(more)
        return SimpleNamespace(plan=whole, moves=(move,) if moved else (), complete=complete)

    monkeypatch.setattr(moves, "make_room", make_room)
    out = io.StringIO()
    moves.run(Namespace(**{**MOVING, "moves": 2, "reserve": "1M"}), out)
    lines = ["move domain 7 from cell 0 to cell 1: 3 MiB to copy\n  cpus 4-5, memory of cells 1\n"] if moved else []
    lines += [] if complete else ["  not every move was tried: fewer may be enough\n"]
    assert out.getvalue() == "".join(lines) + ("\n" if lines else "") + "plan as text\n"
    assert asked == [
        {"recording": None, "source": "auto", "devices": False, "allowed": True},
        {"domains": running, "moves": 2, "without": (), "reserve": MIB, "pool": None, "claims": ("claims",), "fixed": {"x": "y"},
         "most_rejected": 16},
    ]  # fmt: skip
    out = io.StringIO()
    moves.run(Namespace(**{**MOVING, "without": ["g"], "format": "json"}), out)
    assert out.getvalue() == ('{"p": 1, "moves": [{"m": 1}]}\n' if moved else '{"p": 1, "moves": []}\n')
    assert (asked[-1]["moves"], asked[-1]["without"], asked[-1]["reserve"]) == (0, ["g"], None)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"watch": True, "purpose": "me"}, "--for cannot be combined with --watch"), ({"interval": 1.0}, "--interval and --count require --watch"),
     ({"count": 1}, "--interval and --count require --watch")],
)  # fmt: skip
def test_free_memory_is_watched_or_read_once(options: dict[str, Any], text: str) -> None:
    """Options of one are not for the other."""
    plain = {"watch": False, "purpose": None, "interval": None, "count": None}
    with pytest.raises(ValueError, match=text):
        free.run(Namespace(**{**plain, **options}), io.StringIO())


def test_free_memory_is_of_the_moment_unless_it_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it can be used for is read only where that was asked."""
    monkeypatch.setattr(free, "time", lambda: 9.0)
    assert free._read_at(Namespace(root=None, recording=None)) == 9.0
    assert free._read_at(Namespace(root="r", recording=None)) is None
    assert free._read_at(Namespace(root=None, recording="f")) is None
    asked: list[Any] = []
    monkeypatch.setattr(free, "probe", lambda root, **what: asked.append(what["usable"]) or host([GIB]))
    plain = {
        "watch": False,
        "interval": None,
        "count": None,
        "root": None,
        "recording": None,
        "source": "auto",
        "cell": None,
    }
    for purpose in (None, "me"):
        out = io.StringIO()
        free.run(argparse.Namespace(**plain, purpose=purpose, json=False), out)
        assert ("for this process" in out.getvalue()) is (purpose == "me")
    assert asked == [False, True]
    assert made(Traffic, group="a").group == "a"
