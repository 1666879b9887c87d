"""A reader that keeps the difference between absent, unreadable and read.

Absent is ordinary: kernels and architectures differ. Unreadable is odd, and is noted once with the system's word for
it. What is read must then make sense, which is for the parsers to insist on.
"""

from __future__ import annotations

import os
from errno import ENODATA, ENOENT, ENOTDIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports import Reader

NODE = "sys/devices/system/node"
CPU = "sys/devices/system/cpu"


class Source:
    """Reads through a ``Reader`` port and gathers notes, pairs of path and text."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.notes: list[tuple[str, str]] = []

    def note(self, where: str, text: str) -> None:
        """Keep a note; the two directories that nearly every path begins with are left out of it."""
        for directory in (NODE, CPU):
            where = where.removeprefix(directory + "/")
        self.notes.append((where, text))

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | None]:
        """Contents by position; None for a file that is absent, or unreadable (which is noted)."""
        contents = self.reader.read(paths, base)
        out: list[bytes | None] = contents  # type: ignore[assignment]
        for i, content in enumerate(contents):
            if type(content) is int:
                if content not in (ENOENT, ENOTDIR):
                    self.unreadable(base, paths[i], content)
                out[i] = None
            # Some recorders copy a file by its size, which in sysfs is a whole page, and get NUL bytes for content.
            elif content[:1] == b"\0" and not content.strip(b"\0"):  # type: ignore[index,union-attr]
                self.unreadable(base, paths[i], ENODATA)
                out[i] = None
        return out

    def one(self, path: str, base: str = "") -> bytes | None:
        """Content of one file, or None as for ``read``."""
        return self.read((path,), base)[0]

    def names(self, path: str, prefix: str = "") -> list[str] | None:
        """Names in a directory; None if it is absent, or unreadable (which is noted)."""
        names = self.reader.listdir(path, prefix)
        if isinstance(names, int):
            if names not in (ENOENT, ENOTDIR):
                self.unreadable("", path, names)
            return None
        return names

    def unreadable(self, base: str, path: str, errno: int) -> None:
        reason = "holds only NUL bytes" if errno == ENODATA else os.strerror(errno)
        self.note(f"{base}/{path}" if base else path, f"cannot be read: {reason}")
