"""Files that somebody else wrote are read with a bound and refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import complaint

from numaprobe.plain_json import MAX_BYTES, MAX_CONTAINERS

COMMANDS = (("pin", "--plan", "{}", "--dry-run", "--", "true"), ("place", "--batch", "{}"))


@pytest.mark.parametrize("words", COMMANDS, ids=("plan", "batch"))
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'[{"vcpus": 1e400, "memory": 4096}]',
        b'[{"vcpus": NaN, "memory": 4096}]',
        b'[{"vcpus": 1.9, "memory": 4096}]',
        b'[{"vcpus": 1, "vcpus": 2, "memory": 4096}]',
        b"[" + b"9" * 5000 + b"]",
        b"\xff\xfe[]",
        b'"\\ud800"',
        b"",
        b"{}",
        b"null",
    ],
    ids=range(12),
)
def test_what_is_no_plan_and_no_batch_is_refused_in_one_line(
    tmp_path: Path, words: tuple[str, ...], content: bytes
) -> None:
    """As a usage error, with the name of the file."""
    file = tmp_path / "input.json"
    file.write_bytes(content)
    assert "input.json" in complaint(2, *(word.format(file) for word in words))


@pytest.mark.parametrize("words", COMMANDS, ids=("plan", "batch"))
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A pipe blocks, a device never ends, a folder cannot be read."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        assert "not a regular file" in complaint(2, *(word.format(path) for word in words))


@pytest.mark.parametrize("words", COMMANDS, ids=("plan", "batch"))
def test_a_file_has_a_largest_size(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A sparse one of a terabyte takes no memory."""
    file = tmp_path / "input.json"
    with open(file, "wb") as out:
        out.truncate(1 << 40)
    assert f"{MAX_BYTES >> 20} MiB" in complaint(2, *(word.format(file) for word in words))


@pytest.mark.parametrize("words", COMMANDS, ids=("plan", "batch"))
@pytest.mark.parametrize("one", [b"[]", b"{}", b'{"a":1}'])
def test_many_small_things_are_not_made(tmp_path: Path, words: tuple[str, ...], one: bytes) -> None:
    """Two bytes of a file become 72 of memory, so what is built is bounded before it is."""
    file = tmp_path / "input.json"
    file.write_bytes(b"[" + (one + b",") * MAX_CONTAINERS + one + b"]")
    said = complaint(2, *(word.format(file) for word in words))
    assert f"has more than {MAX_CONTAINERS} lists and objects" in said
