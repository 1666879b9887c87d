"""``numaprobe export`` and ``doctor``: what is asked of the host for each format, and what is written."""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, host, made

from numaprobe import Cache, Cpu, export
from numaprobe.cli import doctor, input_file, record
from numaprobe.cli import export as command
from numaprobe.cli.parser import parsed
from numaprobe.doctor.finding import Diagnosis, Finding


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How the host was probed, and what it was rendered with."""
    found: list[Any] = []
    monkeypatch.setattr(command, "probe", lambda root, **what: found.append((root, what)) or "host")
    monkeypatch.setattr(
        command.export, "render", lambda of, form, **given: found.append((of, form, given)) or f"é {form}\n"
    )
    return found


def options(*words: str) -> Namespace:
    return parsed(["export", *words])


@pytest.mark.parametrize(
    ("form", "devices", "allowed", "caches"),
    [("json", True, True, True), ("dra", True, False, False), ("libvirt", False, False, True), ("hwloc", False, False, True), ("lscpu", False, False, True),
     ("slurm", False, False, False), ("nrt", False, False, False)],
)  # fmt: skip
def test_a_host_is_read_as_far_as_its_format_needs(
    asked: list[Any], form: str, devices: bool, allowed: bool, caches: bool
) -> None:
    """Devices and caches cost files."""
    out = io.StringIO()
    command.run(options(form, "--recording", "r"), out)
    assert asked == [
        (None, {"recording": "r", "source": "auto", "devices": devices, "allowed": allowed, "caches": caches}), ("host", form, {}),
    ]  # fmt: skip
    assert out.getvalue() == f"é {form}\n"


@pytest.mark.parametrize(
    ("words", "given"),
    [(["nrt"], {"name": "this"}), (["slurm"], {"name": "this"}), (["dra"], {"name": "this"}), (["nrt", "--name", "n"], {"name": "n"}), (["nrt", "--root", "r"], {}),
     (["nrt", "--recording", "r"], {}), (["libvirt"], {}), (["libvirt", "--libvirt-version", "11", "--arch", "a"], {"version": 11, "arch": "a"}),
     (["dra", "--driver", "d", "--numa-list", "--name", "n"], {"driver": "d", "numa_list": True, "name": "n"})],
)  # fmt: skip
def test_a_live_host_has_its_name_where_a_format_has_one(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, words: list[str], given: dict[str, Any]
) -> None:
    """A recorded one has none."""
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="this"))
    command.run(options(*words), io.StringIO())
    assert asked[1][2] == given


@pytest.mark.parametrize(
    ("words", "text"),
    [(["json", "--name", "n"], "--name has no effect on json"), (["nrt", "--libvirt-version", "9"], "--libvirt-version has no effect on nrt"),
     (["slurm", "--arch", "a"], "--arch has no effect on slurm"), (["hwloc", "--numa-list"], "--numa-list has no effect on hwloc")],
)  # fmt: skip
def test_an_option_of_another_format_is_refused(asked: list[Any], words: list[str], text: str) -> None:
    """Before the host is read."""
    with pytest.raises(ValueError, match=text):
        command.run(options(*words), io.StringIO())
    assert asked == []


def test_a_document_is_written_to_a_file_in_utf8(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what is missing for a format is said."""
    out = io.StringIO()
    command.run(options("json", "-o", str(tmp_path / "x")), out)
    assert ((tmp_path / "x").read_bytes(), out.getvalue()) == ("é json\n".encode(), "")

    def missing(*_: Any, **__: Any) -> str:
        raise ModuleNotFoundError("needs prometheus-client")

    monkeypatch.setattr(command.export, "render", missing)
    with pytest.raises(ValueError, match=r"^needs prometheus-client$"):
        command.run(options("prometheus"), out)


def test_a_diagnosis_is_said_finding_by_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what could not be examined at its end."""
    one = Finding(id="x", severity="warning", what="w\x1b", evidence=(("a", "1"), ("b", "2")), cost="c", remedy="r")
    for findings, skipped, text in (
        ((one,), (("guests", "why"),), "warning: w\\x1b [x]\n    a: 1\n    b: 2\n  cost: c\n  remedy: r\n\nnot examined: guests: why\n"),
        ((one,), (), "warning: w\\x1b [x]\n    a: 1\n    b: 2\n  cost: c\n  remedy: r\n"), ((), (), "nothing found\n"),
        ((), (("guests", "why"),), "nothing found\nnot examined: guests: why\n"),
    ):  # fmt: skip
        found = Diagnosis(findings, skipped)
        monkeypatch.setattr(doctor, "diagnose", lambda root, found=found, **_: found)
        out = io.StringIO()
        doctor.run(Namespace(root=None, recording=None, source="auto", json=False), out)
        assert out.getvalue() == text


def test_a_recording_is_made_as_the_options_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is passed on under its own name."""
    seen: list[Any] = []
    monkeypatch.setattr(record, "record", lambda name, **what: seen.append((name, what)))
    record.run(parsed(["record", "f.tar", "--domains", "--traffic", "2"]), io.StringIO())
    record.run(parsed(["record", "f.tar", "--allowed", "--anonymous", "--root", "r", "--source", "xen"]), io.StringIO())
    plain = {
        "root": None,
        "recording": None,
        "source": "auto",
        "allowed": False,
        "domains": False,
        "anonymous": False,
        "traffic": None,
    }
    assert seen == [
        ("f.tar", {**plain, "domains": True, "traffic": 2.0}), ("f.tar", {**plain, "allowed": True, "anonymous": True, "root": "r", "source": "xen"}),
    ]  # fmt: skip


def test_a_document_of_standard_input_is_bounded_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And named so in its errors."""

    def given(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    given(b"[1]")
    assert input_file.read_json("-") == [1]
    given(b"[1")
    with pytest.raises(ValueError, match=r"^standard input is not JSON: "):
        input_file.read_json("-")
    given(b" " * ((16 << 20) + 1))
    with pytest.raises(ValueError, match=r"^standard input is larger than 16 MiB$"):
        input_file.read_json("-")
    (tmp_path / "x").write_bytes(b"{}")
    assert input_file.read_json(str(tmp_path / "x")) == {}


def test_the_columns_of_lscpu_are_counted_from_0() -> None:
    """Sockets by their book; a cache without a number of its own by the order of its kind."""
    cpus = (made(Cpu, id=0, online=True, cell=7, package=0, book=1, siblings=(0,)), made(Cpu, id=1, online=None, package=0, book=2, siblings=(1,)),
            made(Cpu, id=2, online=True), made(Cpu, id=3, online=False, cell=7))  # fmt: skip
    of = host([GIB])._replace(cpus=cpus, caches=(
        Cache(1, "data", 1, None, (0,)), Cache(1, "data", 1, None, (1, 2)), Cache(2, "unified", 1, 9, (0, 1)), Cache(1, "instruction", 1, 4, (2,)),
    ))  # fmt: skip
    assert export.lscpu(of).splitlines()[1:] == [
        "# CPU,Core,Socket,Node,,L1d,L2,L1i", "0,0,0,7,,0,9,", "1,1,1,,,1,9,", "2,,,,,1,,4",
    ]  # fmt: skip
    assert export.lscpu(of._replace(caches=None)).splitlines()[1:3] == ["# CPU,Core,Socket,Node", "0,0,0,7"]


@pytest.mark.parametrize(
    ("cpus", "words"),
    [
        ([(0, 0, (0, 1)), (1, 0, (0, 1)), (2, 1, (2, 3)), (3, 1, (2, 3))], "CPUs=4 Boards=1 SocketsPerBoard=2 CoresPerSocket=1 ThreadsPerCore=2"),
        ([(0, 0, (0,)), (1, 0, (1,)), (2, 1, (2,))], "CPUs=3 Boards=1"), ([(0, None, (0,)), (1, None, (1,))], "CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1"),
        ([(0, 0, None), (1, 0, (1,))], "CPUs=2 Boards=1"), ([(0, 0, (0,)), (1, 1, (1,)), (2, 2, (2,))], "CPUs=3 Boards=1 SocketsPerBoard=3 CoresPerSocket=1 ThreadsPerCore=1"),
    ],
)  # fmt: skip
def test_slurms_line_has_sockets_and_cores_whose_product_is_right(cpus: list[Any], words: str) -> None:
    """And memory in MiB, rounded down, where that of each cell is known."""
    found = tuple(
        made(Cpu, id=number, online=True, package=package, siblings=siblings) for number, package, siblings in cpus
    )
    of = host([GIB, (1 << 20) - 1])._replace(cpus=found)
    assert export.slurm(of) == f"NodeName=DEFAULT {words} RealMemory=1024\n"
    unknown = host({0: GIB, 1: None})._replace(cpus=found)
    assert export.slurm(unknown, name="n1.a-b_c") == f"NodeName=n1.a-b_c {words}\n"
    for name in ("", "a b", "é", "a/b"):
        with pytest.raises(ValueError, match="a node's name has letters, digits, dots and dashes, not"):
            export.slurm(of, name=name)
