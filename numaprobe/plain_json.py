"""JSON that somebody else wrote: of bounded size in the file and in memory, and nothing but plain JSON."""

from __future__ import annotations

import json
import math
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# 512 floating vcpus on 1,024 cpus take 3 MiB.
MAX_BYTES = 16 << 20
# An empty list is two bytes in a file and 72 in memory: these many, and values between commas, take 100 MiB.
MAX_CONTAINERS = 500_000
MAX_VALUES = 2_000_000


def content_of(path: str) -> bytes:
    """At most 16 MiB of a regular file. Raises ``ValueError`` for another one, and for what cannot be read."""
    try:
        # Opening a pipe would wait for a writer, and a device need not end.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(f"{path} is not a regular file")
        with open(fd, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)
    return bounded(path, content)


def bounded(shown: str, content: bytes) -> bytes:
    """The content, unless it is larger than 16 MiB."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{shown} is larger than {MAX_BYTES >> 20} MiB")
    return content


def parse(content: bytes) -> Any:
    """The document. Raises ``ValueError`` with the reason for what is not JSON, or more of it than is read."""
    containers = content.count(b"[") + content.count(b"{")
    if containers > MAX_CONTAINERS or content.count(b",") > MAX_VALUES:
        raise ValueError(f"has more than {MAX_CONTAINERS} lists and objects, or {MAX_VALUES} values")
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once
        )
    except RecursionError:
        raise ValueError("is not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        # Python's limit on the digits of an integer names functions of Python.
        digits = str(error).startswith("Exceeds the limit")
        raise ValueError(f"is not JSON: {'a number of thousands of digits' if digits else error}") from None


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
