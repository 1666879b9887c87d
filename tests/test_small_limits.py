"""The top-level modules at their limits: documents that somebody else wrote, errors, and files that are replaced."""

from __future__ import annotations

import errno
import os
import pickle
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import numaprobe
from numaprobe import atomic_file, plain_json
from numaprobe.errors import (
    DoesNotFit,
    FactError,
    InterfaceMismatch,
    NumaprobeError,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    printable,
)  # fmt: skip

# --- documents ----------------------------------------------------------------------------------------------------------


def test_a_document_is_of_16_mib_at_most(tmp_path: Path) -> None:
    """The last byte counts; what is larger is not read whole."""
    path = tmp_path / "x.json"
    path.write_bytes(b"[]")
    os.truncate(path, 16 << 20)
    assert len(plain_json.content_of(str(path))) == 16 << 20
    os.truncate(path, (16 << 20) + 1)
    with pytest.raises(ValueError, match=r"x\.json is larger than 16 MiB"):
        plain_json.content_of(str(path))
    assert plain_json.bounded("it", bytes(16 << 20)) == bytes(16 << 20)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """A pipe would wait for its writer; descriptors are closed whatever it was."""
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for name, text in (
        ("pipe", "is not a regular file"),
        ("none", "cannot be read: No such file or directory"),
        (".", "is not a regular file"),
    ):
        with pytest.raises(ValueError, match=text):
            plain_json.content_of(str(tmp_path / name))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("containers", "good"), [(500_000, True), (500_001, False)])
def test_a_document_has_so_many_lists_and_objects(containers: int, good: bool) -> None:
    """Counted in its text, brackets in strings too."""
    text = b'"' + b"[" * (containers // 2) + b"{" * (containers - containers // 2) + b'"'
    if good:
        assert len(plain_json.parse(text)) == containers
    else:
        with pytest.raises(ValueError, match="has more than 500000 lists and objects, or 2000000 values"):
            plain_json.parse(text)


@pytest.mark.parametrize(("commas", "good"), [(2_000_000, True), (2_000_001, False)])
def test_a_document_has_so_many_values(commas: int, good: bool) -> None:
    """Counted by the commas between them."""
    text = b'"' + b"," * commas + b'"'
    if good:
        assert len(plain_json.parse(text)) == commas
    else:
        with pytest.raises(ValueError, match="has more than"):
            plain_json.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"NaN", "is not JSON: NaN is not a number"), (b"-Infinity", "is not JSON: -Infinity is not a number"),
        (b"1e999", "is not JSON: 1e999 is too large a number"), (b"1" * 30 + b"e999", f"is not JSON: {'1' * 20} is too large a number"),
        (b'{"a":1,"b":2,"b":3}', "is not JSON: the key 'b' occurs twice in an object"), (b'{"%s":1,"%s":2}' % (b"k" * 50, b"k" * 50), f"the key '{'k' * 40}' occurs"),
        (b"1" * 5000, "is not JSON: a number of thousands of digits"), (b"[" * 100_000, "is not JSON that can be read: nested too deeply"),
        (b"\xff", "is not JSON: "), (b"", "is not JSON: "),
    ],
)  # fmt: skip
def test_what_is_no_plain_json_is_said(text: bytes, said: str) -> None:
    """With the offending part, shortened."""
    with pytest.raises(ValueError) as caught:
        plain_json.parse(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_plain_json_is_its_values() -> None:
    """Numbers, words, lists and objects."""
    assert plain_json.parse(b'{"a": [1, 2.5, null, true], "b": {"a": "x"}}') == {
        "a": [1, 2.5, None, True],
        "b": {"a": "x"},
    }


# --- errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SourceError("it"), "it: cannot be queried"), (SourceError("it", 13), "it: Permission denied"), (SourceError("it", 13, "why"), "it: why"),
        (SourceError("it", 0), "it: Success"), (SourceUnavailable("it", 2), "it: No such file or directory"), (SourceDenied("it", 1), "it: Operation not permitted"),
        (InterfaceMismatch("it", 13, None, (3, 4)), "it: Permission denied"), (DoesNotFit("a", "b"), None), (FactError("it", b"x\x1b", "is odd"), None),
    ],
)  # fmt: skip
def test_an_error_is_a_sentence_with_its_parts(error: NumaprobeError, text: str | None) -> None:
    """And is the same after it was pickled."""
    if text is not None:
        assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x" * 60, "x" * 60), ("x" * 61, "x" * 57 + "..."), (" " * 239 + "ab", "a"), (" " * 240 + "ab", ""), (b"\xff\n", "\\xff"), ("\x1b" * 15, "\\x1b" * 15),
     ("\x1b" * 16, ("\\x1b" * 16)[:57] + "...")],
)  # fmt: skip
def test_a_broken_fact_quotes_at_most_sixty_characters(text: str | bytes, shown: str) -> None:
    """Of the first 240, as they are printed; without any there are no quotes."""
    error = FactError("where\n", text, "is odd")
    assert (error.where, error.text, error.reason) == ("where\\n", shown, "is odd")
    assert str(error) == "where\\n: is odd" + (f": '{shown}'" if shown else "")
    assert str(FactError("w")) == "w: not understood"
    assert isinstance(error, ValueError)
    assert str(DoesNotFit()) == "does not fit"
    assert str(DoesNotFit("a", "b")) == "a; b"


def test_what_moves_a_cursor_is_written_out() -> None:
    """Bytes of any kind are text."""
    assert printable("a\x1b\nb\u202e") == "a\\x1b\\nb\\u202e"
    assert printable(b"a\xff\x00") == "a\\xff\\x00"


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    [("/dev/stdout", 1), ("/dev/stderr", 2), ("/dev/fd/7", 7), ("/proc/self/fd/123456789", 123456789), ("/dev/fd/1234567890", None), ("/dev/fd/x", None),
     ("/dev/fd/²", None), ("/dev/fd/", None)],
)  # fmt: skip
def test_descriptors_have_names(monkeypatch: pytest.MonkeyPatch, name: str, number: int | None) -> None:
    """A copy of theirs is written to; other names are files."""
    monkeypatch.setattr(atomic_file.os, "dup", lambda found: ("copy", found))
    monkeypatch.setattr(atomic_file.os, "lstat", lambda _: SimpleNamespace(st_mode=stat.S_IFREG))
    assert atomic_file._stream(name) == (None if number is None else ("copy", number))


def test_a_device_that_is_exchanged_while_it_is_opened_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And its descriptor closed."""
    (tmp_path / "x").write_bytes(b"")
    monkeypatch.setattr(atomic_file.os, "lstat", lambda _: SimpleNamespace(st_mode=stat.S_IFCHR))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="changed while it was opened") as caught:
        atomic_file._stream(str(tmp_path / "x"))
    assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, str(tmp_path / "x"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_device_is_opened_without_waiting_and_written_to_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A serial line without a carrier would block the opening."""
    did: list[Any] = []
    real = os.open
    monkeypatch.setattr(atomic_file.os, "open", lambda path, flags: did.append(flags) or real(path, flags))
    device = atomic_file._stream("/dev/null")
    assert device is not None
    wanted = os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    assert did == [wanted]
    assert os.get_blocking(device)
    os.close(device)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (stat.S_IFIFO, "is a FIFO"),
        (stat.S_IFSOCK, "is a socket"),
        (stat.S_IFBLK, "is a block device"),
        (0, "is not a regular file"),
    ],
)
def test_what_cannot_be_replaced_is_said(monkeypatch: pytest.MonkeyPatch, kind: int, said: str) -> None:
    """With its kind."""
    monkeypatch.setattr(atomic_file.os, "stat", lambda *_, **__: SimpleNamespace(st_mode=kind))
    with pytest.raises(OSError, match=said) as caught:
        atomic_file._replaceable(0, "x")
    assert caught.value.errno == errno.EINVAL
    monkeypatch.setattr(atomic_file.os, "stat", lambda *_, **__: SimpleNamespace(st_mode=stat.S_IFLNK))
    assert atomic_file._replaceable(0, "x") is None
    monkeypatch.setattr(atomic_file.os, "stat", lambda *_, **__: SimpleNamespace(st_mode=stat.S_IFDIR))
    for base in ("x", "", ".", ".."):
        with pytest.raises(IsADirectoryError) as folder:
            atomic_file._replaceable(0, base)
        assert folder.value.errno == errno.EISDIR


def test_a_file_without_a_name_needs_proc_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else one with a random name is made at once, and the other closed."""
    parent = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        before = len(os.listdir("/proc/self/fd"))
        monkeypatch.setattr(atomic_file.os.path, "exists", lambda _: False)
        descriptor, name = atomic_file._create(parent, 0o640)
        assert name is not None
        assert name.startswith(".numaprobe-")
        assert len(name) == len(".numaprobe-") + 16
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
        assert len(os.listdir("/proc/self/fd")) == before + 1
        os.close(descriptor)
    finally:
        os.close(parent)


@pytest.mark.parametrize(("taken", "found"), [(99, True), (100, False)])
def test_a_hundred_names_are_tried(monkeypatch: pytest.MonkeyPatch, taken: int, found: bool) -> None:
    """Of 2**64 none is taken a hundred times but by intent."""
    left = [taken]

    def refuse(*_: Any, **__: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise FileExistsError(errno.EEXIST, "taken")
        return 7

    monkeypatch.setattr(atomic_file.os, "link", refuse)
    if found:
        assert atomic_file._link(3, 4).startswith(".numaprobe-")
    else:
        with pytest.raises(FileExistsError, match="no free name for a temporary file"):
            atomic_file._link(3, 4)
    left[0] = taken
    monkeypatch.setattr(
        atomic_file.os,
        "open",
        lambda path, flags, *_, **__: refuse() if path != "." else (_ for _ in ()).throw(OSError(95, "no")),
    )
    if found:
        assert atomic_file._create(3, 0o600)[0] == 7
    else:
        with pytest.raises(FileExistsError, match="no free name for a temporary file"):
            atomic_file._create(3, 0o600)


@pytest.mark.parametrize("existing", [True, False])
def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, existing: bool
) -> None:
    """Its mode is that of the one before, and so is its group where that may be."""
    path = tmp_path / "x"
    if existing:
        path.write_bytes(b"old")
        path.chmod(0o604)
    did: list[Any] = []
    fsync, rename, fchmod, fchown = os.fsync, os.rename, os.fchmod, os.fchown

    def kind(descriptor: int) -> str:
        return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"

    monkeypatch.setattr(atomic_file.os, "fsync", lambda one: did.append(f"sync {kind(one)}") or fsync(one))
    monkeypatch.setattr(atomic_file.os, "rename", lambda *a, **b: did.append("rename") or rename(*a, **b))
    monkeypatch.setattr(atomic_file.os, "fchmod", lambda one, mode: did.append(("mode", mode)) or fchmod(one, mode))
    monkeypatch.setattr(
        atomic_file.os,
        "fchown",
        lambda one, owner, group: did.append(("group", owner, group)) or fchown(one, owner, group),
    )
    before = len(os.listdir("/proc/self/fd"))
    with atomic_file.replace(str(path), mode=0o640) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == (0o604 if existing else 0o640)
    owned = [("group", -1, path.stat().st_gid)] if existing else []
    assert did == [*owned, ("mode", 0o604 if existing else 0o640), "sync file", "rename", "sync folder"]
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("filename", "number", "renamed"),
    [(None, 5, True), (".", 5, True), ("x", 5, True), ("/a", 5, True), (".numaprobe-1", 5, True), ("/proc/self/fd/7", 5, True), ("other", 5, False),
     (None, None, False), (7, 5, False)],
)  # fmt: skip
def test_an_error_names_the_file_that_was_asked_for(filename: Any, number: int | None, renamed: bool) -> None:
    """One about another file is left as it is."""
    error = OSError("odd") if number is None else OSError(number, "bad", filename)
    with pytest.raises(OSError, match="odd" if number is None else "bad") as caught, atomic_file._naming("/a/x"):
        raise error
    assert (caught.value.filename == "/a/x") is renamed
    assert (caught.value is error) is not renamed
    if renamed:
        assert caught.value.errno == number


# --- the package --------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_no_other() -> None:
    """Those that are imported late too."""
    for name in numaprobe.__all__:
        assert getattr(numaprobe, name) is not None
    assert set(numaprobe.__all__) <= set(dir(numaprobe))
    with pytest.raises(AttributeError, match="no_such_name"):
        numaprobe.no_such_name  # noqa: B018
