"""JSON that somebody else wrote: a file of bounded size, and nothing but plain JSON."""

from __future__ import annotations

import json
import math
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# 512 floating vcpus on 1,024 cpus take 3 MiB.
MAX_BYTES = 16 << 20


def read_json(path: str) -> Any:
    """The document of a file, ``-`` for standard input.

    Raises ``ValueError`` for what cannot be opened, is not a regular file, is larger than 16 MiB, or is not JSON.
    """
    shown = "standard input" if path == "-" else path
    content = sys.stdin.buffer.read(MAX_BYTES + 1) if path == "-" else _content(path)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{shown} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once
        )
    except RecursionError:
        raise ValueError(f"{shown} is not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{shown} is not JSON: {error}") from None


def _content(path: str) -> bytes:
    try:
        # Opening a pipe would wait for a writer, and a device need not end.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(f"{path} is not a regular file (- reads standard input)")
        with open(fd, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} occurs twice in an object")
    return found
