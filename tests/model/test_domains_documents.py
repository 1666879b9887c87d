"""Domains as documents and as a table: JSON, its schema, the documentation, and what a person reads."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import pack, unpack

import pytest
import trees
from fake_domains import FakeDomain, FakeDomains, two_node_domains
from fake_xen import SRAT
from processes import machine, process
from schemas import check
from trees import Shelf

import numaprobe
from numaprobe.cli import main
from numaprobe.cli.domains import lines, short
from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests.collect import collect
from numaprobe.model import domains as domain_model
from numaprobe.model.documents import domains_document
from numaprobe.model.domains import CellUse, Domain
from numaprobe.model.host import Host
from numaprobe.normalise.domains import account, from_guests
from numaprobe.normalise.linux import from_linux
from numaprobe.normalise.xen import from_xen
from numaprobe.normalise.xen_domains import from_domains
from numaprobe.probing.domains import ask_xen
from numaprobe.sources.xenstore import names
from numaprobe.xen.collect import collect as collect_xen

MIB = 1 << 20


def xen_answer(
    xen: FakeDomains, told: dict[int, str] | None = None
) -> tuple[Host, tuple[Domain, ...], tuple[CellUse, ...]]:
    host = from_xen(collect_xen(xen, SRAT))
    found = from_domains(ask_xen(xen)[0], host, told)
    return host, found, account(host, found)


def test_the_documents_follow_their_schema() -> None:
    """Documents of both sources, with every field that may be unknown set to None."""
    for counts in (True, False):
        check("domains", domains_document(*xen_answer(two_node_domains("4.20", counts=counts), {1: "a"}), 1.5))
    shelf = Shelf(machine(process(500), process(600, cmdline="qemu-kvm\0-numa\0node\0", vcpus=(("kvm", "S", 0, "0"),))))
    host = from_linux(collect_host(shelf))
    found = from_guests(collect(shelf), host)
    document = domains_document(host, found, account(host, found), None)
    check("domains", document)
    assert [domain["guest_cells"] is None for domain in document["domains"]] == [True, False]


def test_the_document_has_what_other_programs_rely_on() -> None:
    """Names and shapes that must not change are written out by hand."""
    document = domains_document(*xen_answer(two_node_domains("4.20", counts=True), {1: "alice"}), None)
    assert (document["schema"], document["source"]) == ("numaprobe/1", "xen")
    guest = document["domains"][1]
    keys = ("id", "name", "state", "vcpus", "memory", "cells", "how", "affinity")
    assert {key: guest[key] for key in keys} == {
        "id": 1,
        "name": "alice",
        "state": "paused",
        "vcpus": 2,
        "memory": 51_200 * 4096,
        "cells": {"0": 0, "1": 51_200 * 4096},
        "how": "exact",
        "affinity": {"cpus": [4, 5], "cells": [1]},
    }


def test_domains_md_has_every_field_and_no_other() -> None:
    """A field without a source in the documentation is a figure that nobody can check."""
    page = (Path(__file__).parents[2] / "docs" / "domains.md").read_text()
    documented: dict[str, set[str]] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| `") and heading in vars(domain_model):
            documented.setdefault(heading, set()).add(line.split("`")[1])
    types = {
        name: set(value._fields)
        for name, value in vars(domain_model).items()
        if hasattr(value, "_fields") and value.__module__ == domain_model.__name__
    }
    assert documented == types


def test_forty_domains_on_eight_cells_fit_a_terminal() -> None:
    """A wide terminal has one row for each; a narrow one shows the cells in parts."""
    xen = two_node_domains("4.20", counts=True)
    for node in range(2, 8):
        xen.nodes[node] = xen.nodes[0]
    pages = {node: 300_000 + 111 * node for node in range(8)}
    xen.domains = {number: FakeDomain(dict(pages), vcpus=((0, 1),) * 16, nodes=(0,)) for number in range(40)}
    host, found, uses = xen_answer(xen, {number: f"a-virtual-machine-of-somebody-{number}" for number in range(1, 40)})
    text = lines(host, found, uses, 112)
    assert len(text) <= 50
    assert max(map(len, text)) <= 112
    assert all(any(line.split()[1].endswith(f"-{number}") for line in text if "..." in line) for number in range(1, 40))
    narrow = lines(host, found, uses, 80)
    assert max(map(len, narrow)) <= 80
    assert sum(line.startswith("39 ") for line in narrow) > 1, "in parts, each with every domain"


def test_a_name_cannot_move_the_terminals_cursor() -> None:
    """The guest's administrator chooses it, and may be anybody."""
    text = "\n".join(lines(*xen_answer(two_node_domains(), {1: "a\x1b[2Jb\nc"}), 100))
    assert "\x1b" not in text
    assert "a\\x1b[2Jb\\nc" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "."), (4096, "4K"), (512 * MIB, "512M"), (1536 * MIB, "1.5G"), (64 << 30, "64G"), (5, "5B")],
)
def test_sizes_are_short_in_the_table(value: int | None, text: str) -> None:
    """A size of 0 and an unknown one have different signs."""
    assert short(value) == text


def test_the_command_prints_guests_of_a_recorded_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same guests as a table and as JSON."""
    root = trees.plant(tmp_path / "root", machine(process(500)))
    assert main(["domains", "--root", str(root)]) == 0
    assert "vm1" in capsys.readouterr().out
    assert main(["domains", "--json", "--root", str(root), "--pid", "500"]) == 0
    document = json.loads(capsys.readouterr().out)
    check("domains", document)
    assert [domain["id"] for domain in document["domains"]] == [500]
    assert document["cells"][0]["host"] is None, "other guests were not asked for"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--pid", "999999"], "process 999999: no such process"), (["--cgroup", "/nope"], "control group /nope: no such")],
)
def test_what_was_asked_for_and_is_not_there_is_status_one(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names it, instead of an empty table."""
    root = trees.plant(tmp_path / "root", machine(process(500)))
    assert main(["domains", "--root", str(root), *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"numaprobe: {said}")


@pytest.mark.parametrize("words", [["--debug-key"], ["--debug-key-limit", "x"]])
def test_wrong_use_is_status_two(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The debug key, for example, exists only under Xen."""
    root = trees.plant(tmp_path / "root", machine())
    assert main(["domains", "--root", str(root), *words]) == 2
    assert capsys.readouterr().err.startswith("numaprobe: ")


def test_a_xen_host_has_no_processes_to_ask_for() -> None:
    """Processes belong to the control domain, which is another host."""
    host = xen_answer(two_node_domains())[0]
    with pytest.raises(ValueError, match="Linux"):
        numaprobe.domains(host, processes=(1,))


@contextmanager
def xenstored(folder: Path, answers: dict[str, bytes], *, silent: bool = False, cut: bool = False) -> Iterator[str]:
    """A daemon that answers XS_READ; in small parts, as a stream may."""
    path = str(folder / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while header := connection.recv(16):
                kind, request, _, length = unpack("<IIII", header)
                asked = connection.recv(length)[:-1].decode()
                assert kind == 2
                if silent:
                    continue
                value = answers.get(asked)
                refusal = b"ENOENT\0" if value is None else value if value.endswith(b"\0") else None
                body = refusal or value or b""
                reply: bytes = pack("<IIII", 2 if refusal is None else 16, request, 0, len(body)) + body
                for part in (reply[:7], reply[7:20], reply[20:][: 2 if cut else None]):
                    connection.sendall(part)
                    time.sleep(0.001)
                if cut:
                    break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    listening.close()


def test_names_come_from_xenstored(tmp_path: Path) -> None:
    """A domain that has none there is left out of the names."""
    with xenstored(tmp_path, {"/local/domain/0/name": b"Domain-0", "/local/domain/7/name": b"seven"}) as path:
        assert names([0, 3, 7], (path,)) == {0: "Domain-0", 7: "seven"}


def test_a_refusal_of_xenstored_is_not_a_domain_without_a_name(tmp_path: Path) -> None:
    """EACCES for one of them is noted, and the others are named."""
    answers = {
        "/local/domain/0/name": b"Domain-0",
        "/local/domain/3/name": b"EACCES\0",
        "/local/domain/7/name": b"seven",
    }
    notes: list[tuple[str, str]] = []
    with xenstored(tmp_path, answers) as path:
        assert names([0, 3, 7], (path,), notes=notes) == {0: "Domain-0", 7: "seven"}
    assert notes == [(path, "the name of domain 3 is unknown: EACCES")]


def test_a_daemon_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """A short wait for each of a hundred domains would add up, so one unanswered query ends it."""
    start = time.monotonic()
    notes: list[tuple[str, str]] = []
    with xenstored(tmp_path, {}, silent=True) as path:
        assert names(range(100), (path,), notes=notes) == {}
    assert time.monotonic() - start < 1
    assert notes == [(path, "some names are unknown: no answer in time")]


def test_a_daemon_that_goes_away_has_told_what_it_told(tmp_path: Path) -> None:
    """The connection is cut within an answer, and a part of a name is none."""
    with xenstored(tmp_path, {"/local/domain/0/name": b"Domain-0"}, cut=True) as path:
        assert names([0, 1], (path,)) == {}


@pytest.mark.parametrize(
    "answer",
    [
        pack("<IIII", 2, 0, 0, 2**32 - 1),
        pack("<IIII", 2, 7, 0, 4) + b"name",
        pack("<IIII", 2, 0, 0, 4097) + b"x" * 4097,
        b"\xff" * (1 << 20),
    ],
    ids=["a length of 4 GiB", "of another request", "longer than any", "a megabyte of junk"],
)
def test_a_daemon_that_answers_nonsense_is_noted(answer: bytes, tmp_path: Path) -> None:
    """Nothing of what it says is kept, and no more is read than an answer can have."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        notes: list[tuple[str, str]] = []
        assert names([0, 1], (path,), notes=notes) == {}
        assert notes == [(path, "some names are unknown: an answer to another request")]
        thread.join(5)


def test_without_a_daemon_there_are_no_names(tmp_path: Path) -> None:
    """No socket, one that nobody listens at, and one that is no socket."""
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    (tmp_path / "file").touch()
    paths = [str(tmp_path / name) for name in ("absent", "dead", "file")]
    notes: list[tuple[str, str]] = []
    assert names([0], tuple(paths), notes=notes) == {}
    assert notes == [(paths[1], "names are unknown: Connection refused")]
    notes.clear()
    assert names([0], (paths[0],), notes=notes) == {}
    assert notes == [], "a host without the daemon has no names, and nothing to be noted"
    assert os.path.exists(paths[1])


def test_a_xenstored_that_answers_byte_by_byte_is_not_waited_for(tmp_path: Path) -> None:
    """An answer that drips must not hold its reader for longer than one that never comes."""
    import socket
    import threading
    import time

    path = str(tmp_path / "drip")
    done = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"\x02")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        start = time.monotonic()
        assert names(range(100), (path,)) == {}
        assert time.monotonic() - start < 3
        done.set()
        thread.join()
