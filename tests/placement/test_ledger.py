"""The file of claims, call by call: how it is opened, waited for, written, read and closed."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, domain, host

from numaprobe import SourceDenied, SourceError, SourceUnavailable, place
from numaprobe.placement import ledger as ledgers
from numaprobe.placement.capacity import capacity_of
from numaprobe.placement.claims import Claim, claim_document, hold
from numaprobe.placement.ledger import Ledger, visible_claims

PLAN = place(host([8 * GIB]), vcpus=1, memory=GIB, name="g")
SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | SAFE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def claim(number: int = 1, **known: Any) -> Claim:
    return Claim.of(PLAN, id=number, expires=1e12)._replace(**known)


def kept(folder: Path, *claims: Claim) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "claims.json").write_text(json.dumps([claim_document(one) for one in claims]))
    return folder


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("user", "runtime", "folder"),
    [
        (0, None, "/run/numaprobe"),
        (0, "/run/user/0", "/run/numaprobe"),
        (1, "/run/user/1", "/run/user/1/numaprobe"),
        (1, "run", None),
        (1, "", None),
        (1, None, None),
    ],
)
def test_root_has_run_and_others_their_runtime_directory(
    monkeypatch: pytest.MonkeyPatch, user: int, runtime: str | None, folder: str | None
) -> None:
    """A relative one is none, because it would be another one in each working directory."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    if folder is not None:
        assert ledgers.own_folder() == Ledger().folder == folder
        return
    with pytest.raises(SourceUnavailable, match=r"^XDG_RUNTIME_DIR: not set, so there is no place for claims"):
        ledgers.own_folder()


@pytest.mark.parametrize(
    ("user", "runtime", "seen"),
    [(0, True, ["root"]), (1, True, ["root", "own"]), (1, False, ["root"])],
)
def test_everybody_sees_root_s_claims_and_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, runtime: bool, seen: list[str]
) -> None:
    """Or those of the one folder that was named; the folder is opened through no link, and closed."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(ledgers, "ROOT_FOLDER", str(kept(tmp_path / "root", claim(name="root"))))
    own = kept(tmp_path / "numaprobe", claim(name="own"))
    if runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    flags: list[int] = []
    opened = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flag, *more, **known: flags.append(flag) or opened(path, flag, *more, **known)
    )
    before = descriptors()
    assert [one.name for one in visible_claims()] == seen
    assert flags == [FOLDER, os.O_RDONLY | os.O_NONBLOCK | SAFE] * len(seen)
    assert descriptors() == before
    assert [one.name for one in visible_claims(folder=str(own))] == ["own"]
    assert visible_claims(folder=str(tmp_path / "none")) == ()
    (own / "claims.json").unlink()
    assert visible_claims(folder=str(own)) == ()
    (tmp_path / "file").touch()
    with pytest.raises(SourceError) as error:
        visible_claims(folder=str(tmp_path / "file"))
    assert (error.value.errno, str(tmp_path / "file") in str(error.value)) == (errno.ENOTDIR, True)
    assert visible_claims([domain("own", 1, memory=1)], str(kept(own, claim(name="own")))) == ()


def test_files_are_opened_so_that_nobody_can_lead_them_elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Relative to the folder, through no link, not inherited, and the new one only if it does not exist."""
    calls: list[tuple[object, ...]] = []
    opened, made, forced = os.open, os.mkdir, os.fsync

    def open_(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        calls.append((os.path.basename(path), flags, mode, dir_fd is None))
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "mkdir", lambda path, mode: calls.append(("mkdir", mode)) or made(path, mode))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append(("fsync", os.fstat(fd).st_size > 100)) or forced(fd))
    before = descriptors()
    old = os.umask(0o077)
    try:
        with Ledger(folder) as one:
            assert len(descriptors()) == len(before) + 2
            one.add([PLAN])
    finally:
        os.umask(old)
    assert descriptors() == before
    assert calls == [
        ("mkdir", 0o755),
        ("ledger", FOLDER, 0o777, True),
        ("claims.lock", os.O_RDWR | os.O_CREAT | SAFE, 0o600, False),
        ("claims.json", os.O_RDONLY | os.O_NONBLOCK | SAFE, 0o777, False),
        ("claims.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE, 0o644, False),
        ("fsync", True),
    ]
    assert stat.S_IMODE((folder / "claims.json").stat().st_mode) == 0o644, "whatever the umask is, others read it"


@pytest.mark.parametrize("fault", ["lock", "content"])
def test_a_ledger_that_cannot_be_entered_is_closed(folder: Path, fault: str) -> None:
    """Nothing stays open or locked, and the error has the file."""
    folder.mkdir()
    broken = folder / ("claims.lock" if fault == "lock" else "claims.json")
    if fault == "lock":
        broken.mkdir()
    else:
        broken.write_text("{")
    before = descriptors()
    with pytest.raises(SourceError, match=broken.name) as error, Ledger(folder):
        pass
    assert error.value.errno == (errno.EISDIR if fault == "lock" else None)
    assert descriptors() == before


def test_a_closed_ledger_closes_nothing_twice(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The numbers may be another file's by then."""
    one = Ledger(folder)
    with one:
        pass
    before = descriptors()
    one._close()
    assert (one._fd, one._lock, descriptors()) == (-1, -1, before)
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    one._lock, one._fd = 0, 7
    one._close()
    assert closed == [0, 7], "0 is a descriptor too, where standard input is closed"
    assert Ledger(folder)._claims == []


def test_the_lock_is_waited_for_in_short_steps_and_for_a_minute(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """It is tried without blocking, and once more when the minute is over."""
    now, slept, tries = [1000.0], [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += 20.0

    def flock(_fd: int, how: int) -> None:
        tries.append(how)
        raise BlockingIOError

    monkeypatch.setattr(ledgers, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(fcntl, "flock", flock)
    text = "claims.lock: another placer has held the lock for 60 seconds"
    with pytest.raises(SourceUnavailable, match=f"{text}$"), Ledger(folder):
        pass
    assert slept == [0.002] * 4, "at 1060 it is tried again, and given up at 1080"
    assert tries == [fcntl.LOCK_EX | fcntl.LOCK_NB] * 5


@pytest.mark.parametrize(("mode", "allowed"), [(0o755, True), (0o700, True), (0o775, False), (0o757, False)])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int, allowed: bool) -> None:
    """A group or all others: any of them could replace the file."""
    folder.mkdir()
    folder.chmod(mode)
    before = descriptors()
    if allowed:
        with Ledger(folder):
            pass
    else:
        with (
            pytest.raises(SourceDenied, match="others can write to it; claims need a folder of this user alone"),
            Ledger(folder),
        ):
            pass
    assert descriptors() == before


def test_a_folder_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Its owner could replace the file as well."""
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(SourceDenied, match="others can write"), Ledger(folder):
        pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [(PermissionError(errno.EACCES, "no"), SourceDenied), (OSError(errno.EROFS, "no"), SourceError)],
)
def test_a_folder_that_cannot_be_made_is_an_error_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, folder: Path, error: OSError, kind: type[SourceError]
) -> None:
    """With the number of the error."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "mkdir", fails)
    with pytest.raises(kind, match=str(folder)) as caught, Ledger(folder):
        pass
    assert (type(caught.value), caught.value.errno) == (kind, error.errno)


def test_a_ledger_that_cannot_be_written_is_an_error_with_its_file(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The disk is full, for example; the previous file stays."""
    with Ledger(folder) as one:
        one.add([PLAN])

        def full(_fd: int) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(SourceError, match=f"{folder}/claims.json") as caught:
            one.add([PLAN])
        assert caught.value.errno == errno.ENOSPC
    assert [found.id for found in visible_claims(folder=str(folder))] == [1]


def test_a_ledger_is_a_regular_file_of_bounded_size(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """16 MiB; a pipe is not waited for."""
    assert ledgers.MAX_BYTES == 16777216
    content = kept(folder, claim()).joinpath("claims.json").stat().st_size
    monkeypatch.setattr(ledgers, "MAX_BYTES", content)
    assert len(visible_claims(folder=str(folder))) == 1
    monkeypatch.setattr(ledgers, "MAX_BYTES", content - 1)
    text = r"is not a ledger of claims \(is larger than 0 MiB\); remove it if no guest is being started$"
    with pytest.raises(SourceError, match=text):
        visible_claims(folder=str(folder))
    (folder / "claims.json").unlink()
    os.mkfifo(folder / "claims.json")
    with pytest.raises(SourceError, match="is not a regular file"):
        visible_claims(folder=str(folder))
    (folder / "claims.json").unlink()
    (folder / "claims.json").symlink_to("elsewhere")
    with pytest.raises(SourceError) as caught:
        visible_claims(folder=str(folder))
    assert caught.value.errno == errno.ELOOP


def stat_line(start: int | str = 777, state: str = "S", fields: int = 52) -> bytes:
    """As /proc/PID/stat: the state is field 3, the start of the process field 22."""
    rest = [state, *["0"] * 18, str(start), *["0"] * 30][: fields - 2]
    return f"9 (a) b) {' '.join(rest)}".encode()


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (stat_line(), 777),
        (stat_line(fields=22), 777),
        (stat_line(fields=21), None),
        (stat_line(state="Z"), None),
        (stat_line(state="X"), None),
        (stat_line(state="R"), 777),
        (b"", None),
    ],
)
def test_a_process_is_known_by_when_it_started(
    monkeypatch: pytest.MonkeyPatch, content: bytes, start: int | None
) -> None:
    """Field 22 of its stat; a zombie has given everything back."""
    monkeypatch.setattr(ledgers, "open", lambda path, _mode: {"/proc/9/stat": io.BytesIO(content)}[path], raising=False)
    assert ledgers.started(9) == start


def failing(error: OSError | None, start: int | None = None) -> Callable[[int], int | None]:
    def started(_pid: int) -> int | None:
        if error is not None:
            raise error
        return start

    return started


def test_a_claim_for_a_process_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ended meanwhile, and one that cannot be read, are two things."""
    monkeypatch.setattr(ledgers, "started", failing(None, 7))
    assert ledgers._start(9) == 7
    for error in (None, FileNotFoundError()):
        monkeypatch.setattr(ledgers, "started", failing(error))
        with pytest.raises(ProcessLookupError, match=r"^there is no process 9$"):
            ledgers._start(9)
    monkeypatch.setattr(ledgers, "started", failing(OSError(errno.EMFILE, "no")))
    with pytest.raises(SourceError, match="/proc/9/stat") as caught:
        ledgers._start(9)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize(
    ("started", "killed", "runs"),
    [
        (failing(None, 7), None, True),
        (failing(None, 8), None, False),
        (failing(None, None), None, False),
        (failing(OSError(errno.EMFILE, "no")), None, True),
        (failing(FileNotFoundError()), ProcessLookupError(), False),
        (failing(FileNotFoundError()), PermissionError(), True),
    ],
)
def test_the_process_of_a_claim_runs_unless_it_is_seen_to_have_ended(
    monkeypatch: pytest.MonkeyPatch, started: Any, killed: OSError | None, runs: bool
) -> None:
    """Its number may be another process's by now, and /proc may hide it."""
    asked: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        asked.append((pid, number))
        if killed is not None:
            raise killed

    monkeypatch.setattr(ledgers, "started", started)
    monkeypatch.setattr(os, "kill", kill)
    assert ledgers._runs(9, 7) is runs
    assert asked in ([], [(9, 0)])
    assert len(ledgers._holding([claim(pid=9, start=7)], ())) == runs
    assert len(ledgers._holding([claim()], ())) == 1


def test_a_claim_ends_at_its_second_since_boot(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The clock of the wall may be set; five minutes unless it is said."""
    now = [100.0]
    monkeypatch.setattr(time, "clock_gettime", lambda clock: {time.CLOCK_BOOTTIME: now[0]}[clock])
    with Ledger(folder) as one:
        (first,) = one.add([PLAN])
        second, third = one.add([PLAN, PLAN], seconds=1.5, domain=4)
        assert (first.expires, second.expires, third.expires) == (400.0, 101.5, 101.5)
        assert [found.id for found in (first, second, third)] == [1, 2, 3]
        assert (first.pid, first.start, first.domain, second.domain) == (None, None, None, 4)
        now[0] = 101.49
        assert [found.id for found in one.current()] == [1, 2, 3]
        now[0] = 101.5
        assert [found.id for found in one.current()] == [1]
        assert [found.id for found in one.add([PLAN])] == [2], "the numbers of those that ended are used again"
        one.release(2)
        assert [found.id for found in visible_claims(folder=str(folder))] == [1]
        with pytest.raises(ValueError, match=r"^there is no claim 2$"):
            one.release(2)


def test_others_see_the_claims_of_root_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> None:
    """Root's own ledger has them already."""
    root = kept(tmp_path / "root", claim(name="root"))
    monkeypatch.setattr(ledgers, "ROOT_FOLDER", str(root))
    kept(folder, claim(name="own"))

    def seen(where: Path, user: int) -> list[str | None]:
        with Ledger(where) as one, monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: user)
            return [found.name for found in one.current()]

    assert seen(folder, 1000) == ["own", "root"]
    assert seen(folder, 0) == ["own"]
    assert seen(root, 1000) == ["root"]


@pytest.mark.parametrize(
    ("has", "left"),
    [(0, 64), (None, 64), (31, 33), (32, 32), (61, 3), (62, None), (63, None), (64, None), (70, None)],
)
def test_a_claim_of_a_xen_domain_ends_with_the_last_32nd(has: int | None, left: int | None) -> None:
    """Page tables and video memory are taken from what Xen reports as the domain's own."""
    one = claim(domain=7)._replace(memory={0: 32 * GIB, 1: 32 * GIB})
    found = one.less([domain("x", 1, id=7, kind="hvm", memory=None if has is None else has * GIB)])
    assert (found and found.memory) == (None if left is None else {0: left * GIB // 2, 1: left * GIB // 2})


@pytest.mark.parametrize(
    ("known", "ends"),
    [
        ({"name": "g", "id": 3}, True),
        ({"name": "x", "id": 3}, False),
        ({"name": None, "id": 3}, False),
        ({"name": "x", "id": 9}, True),
        ({"name": "x", "id": 8}, True),
    ],
)
def test_a_claim_ends_with_its_guest_by_name_process_or_number(known: dict[str, Any], ends: bool) -> None:
    """On Linux what is seen is counted as configured; a guest without a name is not the one without a name."""
    guest = domain(known["name"], 1, id=known["id"], memory=1)
    assert (claim(pid=9, domain=8).less([domain("other", 1, id=2), guest]) is None) is ends
    assert claim(name=None).less([domain(None, 1, id=2)]) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("page", "claimed", "left"),
    [(None, 3, 5), (None, 8, 0), (None, 9, 0), (1, 3, 5), (1, 9, 0), (2, 3, 8)],
)
def test_claims_are_taken_from_what_is_left_and_never_more(page: int | None, claimed: int, left: int) -> None:
    """In pages of their size, rounded up; a page that the cell does not have takes nothing, as does another cell."""
    stock = capacity_of(host([8], cpus=4, pages={0: {1: 8}}), reserve=0)
    one = claim()._replace(memory={0: claimed, 7: 5}, huge_page=page, cells=(0, 7), cpus=(0, 99), floating=3)
    hold(stock, [one])
    room = stock.rooms[0]
    assert (room.memory if page is None else room.pages[1]) == left
    assert (room.cpus, room.load, room.kept, stock.homes) == (3, 3.0, 3, {"g": (0, 7)})
    assert stock.notes == ["1 claim of guests being started kept back"]


def test_floating_vcpus_of_a_claim_are_shared_out_among_cells_with_cpus() -> None:
    """Rounded up for what has to remain; a claim without a name is nobody's home, and the first of a name counts."""
    stock = capacity_of(host([8, 8, 8], cpus=4, cpuless=[2], pages={0: {4: 2}}), reserve=0)
    stock.homes["g"] = (2,)
    one = claim()._replace(memory={0: 5}, huge_page=4, cells=(0, 1, 2), floating=3)
    hold(stock, [one, one._replace(name=None, floating=2)])
    assert [room.load for room in stock.rooms.values()] == [2.5, 2.5, 0.0]
    assert [room.kept for room in stock.rooms.values()] == [2, 2, 0]
    assert stock.rooms[0].pages == {4: 0}
    assert stock.homes == {"g": (2,)}
    assert stock.notes == ["2 claims of guests being started kept back"]
    untouched = capacity_of(host([8]), reserve=0)
    hold(untouched, [])
    assert untouched.notes == []
