"""Claims: what one placer was promised is not offered to the next, and nothing is kept for ever."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
import schemas
from hosts import GIB, MIB, domain, host

from numaprobe import DoesNotFit, Request, SourceDenied, SourceError, SourceUnavailable, place, place_all
from numaprobe.cli import main
from numaprobe.cli.claims import lines as claim_lines
from numaprobe.placement import ledger as ledgers
from numaprobe.placement.capacity import capacity_of
from numaprobe.placement.claims import Claim, claim_document, hold, read_claim
from numaprobe.placement.ledger import Ledger, visible_claims


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def test_a_claim_is_taken_away_from_what_is_left(folder: Path) -> None:
    """It holds memory, CPUs for one guest alone, and the name."""
    machine = host([8 * GIB, 8 * GIB])
    with Ledger(folder) as ledger:
        first = place(machine, vcpus=2, memory=5 * GIB, pinned=True, name="a", claims=ledger.current())
        ledger.add([first])
    second = place(machine, vcpus=2, memory=5 * GIB, claims=visible_claims(folder=str(folder)))
    assert (first.cells, second.cells) == ((0,), (1,))
    near = place(machine, vcpus=6, memory=GIB, cells=1, together_with="a", claims=visible_claims(folder=str(folder)))
    assert near.cells == (0,)
    assert set(near.cpus).isdisjoint(first.cpus)
    batch = place_all(
        machine, [Request(1, 5 * GIB), Request(1, 5 * GIB)], partial=True, claims=visible_claims(folder=str(folder))
    )
    assert batch.bound is not None
    assert len(batch.missed) == 0 or batch.bound < 2


def test_huge_pages_are_claimed_as_pages(folder: Path) -> None:
    """Ordinary memory of the cell is not reduced by them."""
    machine = host([8 * GIB], pages={0: {2 * MIB: 512}})
    with Ledger(folder) as ledger:
        ledger.add([place(machine, vcpus=1, memory=768 * MIB, huge_page=2 * MIB)])
        claims = ledger.current()
    with pytest.raises(DoesNotFit):
        place(machine, vcpus=1, memory=512 * MIB, huge_page=2 * MIB, claims=claims)
    assert place(machine, vcpus=1, memory=7 * GIB, claims=claims)


def test_a_claim_ends_with_its_time_its_process_and_its_guest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever is first; a process is identified by its start time too, since numbers are used again."""
    plan = place(host([8 * GIB]), vcpus=1, memory=GIB, name="g")
    with subprocess.Popen(["sleep", "60"]) as child, Ledger(folder) as ledger:
        ledger.add([plan], seconds=1)
        ledger.add([plan], pid=child.pid)
        ledger.add([plan])
        assert [claim.id for claim in ledger.current()] == [1, 2, 3]
        clock = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda kind: clock(kind) + 2)
        assert [claim.id for claim in ledger.current()] == [2, 3]
        assert ledger.current([domain("g", 1, memory=100 * MIB)]) == ()
        child.kill()
        child.wait()
        assert ledger.current() == ()
    again = Claim.of(plan, id=1, pid=os.getpid(), start=1, expires=1e12)
    assert ledgers._holding([again], ()) == ()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_a_process_that_cannot_be_read_keeps_its_claim(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that ran out for a moment, or /proc with hidepid, does not say that a guest has ended."""
    plan = place(host([8 * GIB]), vcpus=1, memory=GIB, name="g")

    def failing(pid: int) -> int | None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ledgers, "started", failing)
    claim = Claim.of(plan, id=1, pid=os.getpid(), start=1, expires=1e12)
    assert ledgers._holding([claim], ()) == (claim,)
    gone = claim._replace(pid=2**22 + 1)
    assert ledgers._holding([gone], ()) == (), "the kernel knows no such process, whatever /proc shows"


def test_xen_builds_a_guest_bit_by_bit() -> None:
    """What the guest holds already is no longer claimed."""
    plan = place(host([8 * GIB]), vcpus=1, memory=4 * GIB, name="g")
    claim = Claim.of(plan, id=1, domain=7, expires=1e12)
    assert claim.less([domain("other", 1, id=3, kind="hvm", memory=GIB)]) == claim
    half = claim.less([domain("x", 1, id=7, kind="hvm", memory=GIB)])
    assert half is not None
    assert half.memory == {0: 3 * GIB}
    assert claim.less([domain("g", 1, id=9, kind="pv", memory=4 * GIB - 8 * MIB)]) is None


def test_a_claim_is_given_back_by_its_number(folder: Path) -> None:
    """Any other number is an error and releases nothing."""
    plan = place(host([8 * GIB]), vcpus=1, memory=GIB)
    with Ledger(folder) as ledger:
        ledger.add([plan, plan])
        ledger.release(1)
        with pytest.raises(ValueError, match="no claim 1"):
            ledger.release(1)
    assert [claim.id for claim in visible_claims(folder=str(folder))] == [2]


def test_the_ledger_is_a_file_of_one_user(folder: Path, tmp_path: Path) -> None:
    """Readable by all, written by its owner, through no link."""
    with Ledger(folder) as ledger:
        ledger.add([place(host([8 * GIB]), vcpus=1, memory=GIB)])
    assert stat.S_IMODE((folder / "claims.json").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "claims.lock").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["claims.json", "claims.lock"]
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(SourceDenied, match="others can write"), Ledger(open_to_all):
        pass
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(SourceError), Ledger(link):
        pass
    target = tmp_path / "target"
    target.write_text("keep")
    (folder / "claims.json").unlink()
    (folder / "claims.json").symlink_to(target)
    with pytest.raises(SourceError), Ledger(folder):
        pass
    (folder / "claims.json").unlink()
    (folder / "claims.new").symlink_to(target)
    with Ledger(folder) as ledger:
        ledger.add([place(host([8 * GIB]), vcpus=1, memory=GIB)])
    assert target.read_text() == "keep"


CLAIM = (
    '[{"id": 1, "name": null, "vcpus": 1, "memory": {"0": 4096}, "huge_page": null, "cpus": [], "cells": [0],'
    ' "floating": 1, "pid": null, "start": null, "domain": null, "expires": %s}]'
)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        '[{"id": 1}]',
        "[" * 100_000,
        '{"a": 1}',
        CLAIM % "NaN",
        CLAIM % "1e999",
        "[" + "{}," * 10**6 + "1]",
    ],
)
def test_a_damaged_ledger_is_no_empty_one(folder: Path, content: str) -> None:
    """An empty one would promise the same memory again."""
    folder.mkdir()
    (folder / "claims.json").write_text(content)
    with pytest.raises(SourceError, match="not a ledger"), Ledger(folder):
        pass


def test_a_ledger_of_more_claims_than_a_batch_has_is_refused_at_once(folder: Path) -> None:
    """20,000 took more than a second to read, under a lock that others wait for."""
    folder.mkdir()
    (folder / "claims.json").write_text(json.dumps([1] * (ledgers.MAX_CLAIMS + 1)))
    with pytest.raises(SourceError, match="has 10001 claims, more than 10000"), Ledger(folder):
        pass


def test_no_more_claims_are_added_than_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next placer could not read the ledger."""
    monkeypatch.setattr(ledgers, "MAX_CLAIMS", 1)
    plan = place(host([8 * GIB, 8 * GIB]), vcpus=1, memory=MIB)
    with Ledger(folder) as ledger:
        ledger.add([plan])
        with pytest.raises(SourceUnavailable, match="more than 1 claims"):
            ledger.add([plan])
    with Ledger(folder) as ledger:
        assert len(ledger.current()) == 1


def test_who_waits_too_long_says_for_whom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the ledger's lock is bounded, and the error says that another placer has it."""
    monkeypatch.setattr(ledgers, "PATIENCE", 0.02)
    with Ledger(folder), pytest.raises(SourceUnavailable, match="another placer"), Ledger(folder):
        pass


def test_without_a_place_there_is_no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has /run and others their runtime directory; without that variable the error names it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert ledgers.own_folder() == "/run/user/1000/numaprobe"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(SourceUnavailable, match="XDG_RUNTIME_DIR"):
        ledgers.own_folder()


def test_a_claim_is_of_its_schema() -> None:
    """It is read back as it was written."""
    plan = place(host([8 * GIB, 8 * GIB]), vcpus=4, memory=GIB, pinned=True, guest_cells=2, name="g")
    claim = Claim.of(plan, id=1, pid=2, start=3, domain=None, expires=4.5)
    schemas.check("claim", claim_document(claim))
    assert read_claim(json.loads(json.dumps(claim_document(claim)))) == claim


def test_vcpus_of_a_claim_that_float_are_shared_out_among_its_cells() -> None:
    """Their CPUs are not fixed, so each of the two cells carries half of the load."""
    machine = host([8 * GIB] * 2)
    claim = Claim.of(place(machine, vcpus=4, memory=10 * GIB, cells=2), id=1, expires=90.0)
    stock = capacity_of(machine)
    hold(stock, [claim])
    assert [room.load for room in stock.rooms.values()] == [2, 2]


def test_a_claim_without_a_name_is_known_by_its_domain() -> None:
    """An unnamed guest gets its domain id as soon as it runs, which the list of claims then shows."""
    plan = place(host([8 * GIB]), vcpus=1, memory=GIB)
    claim = Claim.of(plan, id=4, expires=90.0)
    (line,) = claim_lines(claim, 30.0)
    assert line == "claim 4: a guest without a name: 1 GiB of cell 0, 1 vcpu on cell 0; for 60 s"
    (line,) = claim_lines(claim._replace(domain=7), 30.0)
    assert line.startswith("claim 4: domain 7: ")


def test_each_guest_of_a_batch_has_the_number_of_its_own_claim(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest that is left out has none."""
    guests = [{"name": "a", "vcpus": 1, "memory": "64M"}, {"name": "b", "vcpus": 1, "memory": "9000T"},
              {"name": "c", "vcpus": 1, "memory": "32M"}]  # fmt: skip
    (tmp_path / "batch.json").write_text(json.dumps(guests))
    words = ["place", "--batch", str(tmp_path / "batch.json"), "--no-domains", "--ledger", str(folder), "--partial"]
    assert main([*words, "--claim", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one.get("claim") for one in found] == [1, None, 2]


def test_claims_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two placers at once, one slot: the second is refused; the list names the first, and gives it back."""
    words = ["--ledger", str(folder)]
    guest = ["place", "--vcpus", "1", "--memory", "64M", "--no-domains", *words]
    assert main([*guest, "--name", "web", "--claim", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    schemas.check("place", document)
    assert document["claim"] == 1
    assert main(["place", "--claims", *words]) == 0
    out = capsys.readouterr().out
    assert "web" in out
    assert "64 MiB" in out
    assert main(["place", "--claims", "--json", *words]) == 0
    for claim in json.loads(capsys.readouterr().out):
        schemas.check("claim", claim)
    assert main(["place", "--release", "1", *words]) == 0
    assert main(["place", "--release", "1", *words]) == 2
    assert "no claim 1" in capsys.readouterr().err
    assert main([*guest, "--claim", "--root", "/"]) == 2
    assert main(["place", "--claims", *words]) == 0
    assert capsys.readouterr().out == "no claims\n"


def test_a_user_sees_roots_claims_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has only its own, wherever it keeps them, and so has whoever uses root's folder."""
    machine = host([8 * GIB, 8 * GIB])
    roots = str(tmp_path / "root")
    for where in (roots, str(folder)):
        with Ledger(where) as ledger:
            ledger.add([place(machine, vcpus=2, memory=GIB, name=os.path.basename(where))])
    monkeypatch.setattr(ledgers, "ROOT_FOLDER", roots)

    def names(where: str, user: int) -> list[str | None]:
        monkeypatch.setattr(ledgers.os, "geteuid", lambda: user)
        with Ledger(where) as ledger:
            return [claim.name for claim in ledger.current()]

    monkeypatch.setattr(ledgers, "_open_folder", lambda name: os.open(name, os.O_RDONLY | os.O_DIRECTORY))
    assert names(str(folder), 0) == ["ledger"]
    assert names(roots, 0) == ["root"]
    assert names(str(folder), 1000) == ["ledger", "root"]
    assert names(roots, 1000) == ["root"]
