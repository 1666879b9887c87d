"""Files that are written whole or not at all, and never through something that another user planted."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numaprobe import atomic_file
from numaprobe.atomic_file import replace
from numaprobe.cli import main

FIXTURE = Path(__file__).parent / "fixtures" / "two-nodes-threads" / "host.tar.gz"


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With O_TMPFILE, and as on a file system that does not have it."""
    if request.param == "named":
        real = os.open

        def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, *more, **options)

        monkeypatch.setattr(os, "open", refuse)
    return str(request.param)


def write(target: object, content: bytes = b"new", **options: Any) -> None:
    with replace(str(target), **options) as file:
        file.write(content)


@pytest.fixture
def signals() -> Iterator[None]:
    """Handlers that a command installs are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "command",
    [
        ("export", "json", "--recording", FIXTURE, "-o"),
        ("record", "--recording", FIXTURE),
        ("serve", "--recording", FIXTURE, "--count", "1", "--textfile"),
    ],
    ids=["export", "record", "serve"],
)
@pytest.mark.usefixtures("signals")
def test_no_command_writes_through_a_link_that_was_planted_under_its_temporary_name(
    command: tuple[object, ...], tmp_path: Path
) -> None:
    """Whoever may write to the directory can guess names made from the process's number."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    directory = tmp_path / "shared"
    directory.mkdir()
    target = directory / "out.tar.gz"
    (directory / f"out.tar.gz.{os.getpid()}.part").symlink_to(victim)
    assert main([*map(str, command), str(target)]) == 0
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert target.is_file()
    assert not target.is_symlink()


def test_a_link_with_the_name_itself_is_replaced_and_not_followed(way: str, tmp_path: Path) -> None:
    """In a shared directory root would otherwise overwrite a file of the attacker's choice."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "target"
    target.symlink_to(victim)
    write(target)
    assert (victim.read_text(), target.read_text()) == ("precious", "new")
    assert not target.is_symlink()


def test_a_link_to_a_device_is_replaced_and_not_followed(way: str, tmp_path: Path) -> None:
    """Only a device that was named directly is written to."""
    target = tmp_path / "target"
    target.symlink_to("/dev/full")
    write(target)
    assert target.read_text() == "new"


def test_nothing_but_the_file_is_left(way: str, tmp_path: Path) -> None:
    """Collectors of textfiles read everything in the directory, including left-over temporaries."""
    write(tmp_path / "target")
    assert os.listdir(tmp_path) == ["target"]


def test_an_error_leaves_the_old_file_and_nothing_else(way: str, tmp_path: Path) -> None:
    """The error is the writer's own, after part of the content was written."""
    target = tmp_path / "target"
    target.write_text("old")
    with pytest.raises(RuntimeError), replace(str(target)) as file:  # noqa: PT012  # it raises once it has written
        file.write(b"new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["target"]


def test_an_error_at_the_end_leaves_nothing_and_names_the_file(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk may show only at fsync, when all writes have succeeded."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    target = tmp_path / "target"
    with pytest.raises(OSError, match="No space left") as caught:
        write(target)
    assert caught.value.filename == str(target)
    assert os.listdir(tmp_path) == []


def test_a_process_that_is_killed_leaves_nothing_where_files_may_be_unnamed(tmp_path: Path) -> None:
    """O_TMPFILE has no name until it is complete, so SIGKILL cannot leave one."""
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system has no files without a name")
    program = (
        "import os, sys\nfrom numaprobe.atomic_file import replace\n"
        "with replace(sys.argv[1]) as file:\n    file.write(b'x'); file.flush(); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "target")], check=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_the_mode_of_an_existing_file_is_kept(way: str, mode: int, tmp_path: Path) -> None:
    """The administrator's chmod outlasts the next write, whatever mode the caller requests."""
    target = tmp_path / "target"
    target.write_text("old")
    target.chmod(mode)
    write(target, mode=0o666)
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.parametrize(("mode", "found"), [(None, 0o640), (0o644, 0o644)])
def test_a_new_file_has_the_mode_that_was_requested_or_the_umasks(
    way: str, mode: int | None, found: int, tmp_path: Path
) -> None:
    """The temporary is private at first, which must not show in the result."""
    before = os.umask(0o027)
    try:
        write(tmp_path / "target", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another group")
def test_the_group_of_an_existing_file_is_kept(way: str, tmp_path: Path) -> None:
    """A monitoring group that may read the file must not lose it at the next update."""
    target = tmp_path / "target"
    target.write_text("old")
    os.chown(target, -1, 12345)
    write(target)
    assert target.stat().st_gid == 12345


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    """Opening it would wait for a reader."""
    target = tmp_path / "target"
    os.mkfifo(target)
    with pytest.raises(OSError, match="is a FIFO") as caught:
        write(target)
    assert caught.value.filename == str(target)
    assert stat.S_ISFIFO(target.stat().st_mode)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """Each spelling of a directory, before anything is created in it."""
    for name in (str(tmp_path), f"{tmp_path}/", ".", "/"):
        with pytest.raises(IsADirectoryError):
            write(name)


def test_a_character_device_is_written_to() -> None:
    """Renaming over /dev/null would destroy it; /dev/full stands for a device that fails."""
    write("/dev/null")
    with pytest.raises(OSError, match="No space left") as caught:
        write("/dev/full")
    assert caught.value.filename == "/dev/full"


def test_the_processes_own_descriptors_are_written_to(tmp_path: Path) -> None:
    """/dev/stdout is a link to procfs, and an open file must be appended to and not replaced."""
    reading, writing = os.pipe()
    for name in (f"/dev/fd/{writing}", f"/proc/self/fd/{writing}"):
        write(name, b"piped")
        assert os.read(reading, 10) == b"piped"
    os.close(reading)
    os.close(writing)
    for name in ("stdout", "stderr"):
        program = (
            f"from numaprobe.atomic_file import replace\nwith replace('/dev/{name}') as file: file.write(b'shown')"
        )
        with open(tmp_path / name, "wb") as out:
            out.write(b"before ")
            out.flush()
            subprocess.run([sys.executable, "-c", program], check=True, **{name: out})  # type: ignore[call-overload]
        assert (tmp_path / name).read_text() == "before shown"


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """The path in the error is the whole target and not the temporary's."""
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "no" / "target")
    assert caught.value.filename == str(tmp_path / "no" / "target")


def test_a_directory_that_is_exchanged_meanwhile_does_not_change_where_it_is_written(way: str, tmp_path: Path) -> None:
    """The directory is held open, so a swap for a link cannot redirect the rename."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with replace(str(first / "target")) as file:
        file.write(b"new")
        first.rename(tmp_path / "moved")
        first.symlink_to(second)
    assert (tmp_path / "moved" / "target").read_text() == "new"
    assert os.listdir(second) == []


def test_a_name_that_is_taken_is_not_used(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random name that exists is never written to, whoever made it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = iter([".numaprobe-1", ".numaprobe-1", ".numaprobe-2"])
    monkeypatch.setattr(atomic_file, "_random_name", lambda: next(names))
    (tmp_path / ".numaprobe-1").symlink_to(victim)
    write(tmp_path / "target")
    assert victim.read_text() == "precious"
    assert (tmp_path / "target").read_text() == "new"
