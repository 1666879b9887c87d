"""A reader that keeps four things apart: absent, unreadable, broken, and read.

Absent is ordinary, because kernels and architectures differ: None, and silent. Unreadable (denied, failed) and broken
(read, and not a whole answer) are None and leave a note that quotes the system's word or the text.
"""

from __future__ import annotations

import os
from errno import EACCES, ENODATA, ENODEV, ENOENT, ENOTDIR, ENXIO, EPERM

from .._fast import odd
from ..errors import FactError, SourceDenied, SourceError
from . import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from .._fast import Zone
    from ..ports import Reader

    T = TypeVar("T")

NODE = "sys/devices/system/node"
CPU = "sys/devices/system/cpu"
# The last two: an attribute whose device is being removed (kernfs_get_active of Linux's fs/kernfs).
ABSENT = frozenset((ENOENT, ENOTDIR, ENODEV, ENXIO))
# Ids in all lists together. A machine of 8192 cpus has a tenth of this; what is read of it is small, but 400 lists of
# 0-65535, which take 6 kB of an archive, would take a gigabyte.
MAX_IDS = 2_000_000
# Names that begin alike in one directory, such as hugepages-2048kB or index0; of cpus and blocks of memory there are
# many.
MAX_NAMES = 1 << 10
NUMEROUS = frozenset(("", "cpu", "memory"))
# A tree of junk has a note for every file; this many are enough to see that.
MAX_NOTES = 256


class Source:
    """Reads through a ``Reader`` port and gathers notes, pairs of path and text, and what could not be read."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.notes: list[tuple[str, str]] = []
        self.failed: dict[str, int] = {}
        self.broken: dict[str, FactError] = {}
        # How often something was noted, even what stands there already.
        self.noted = 0
        # What was kept of an earlier host, or is for a later one; see ``kept``.
        self.used: list[object] = []
        self.count = 0
        # Lists by their text: most of those of one machine are alike.
        self.lists: dict[bytes, tuple[int, ...]] = {}

    def note(self, where: str, words: str) -> None:
        """Keep a note; the two directories that nearly every path begins with are left out of it."""
        self.noted += 1
        for directory in (NODE, CPU):
            where = where.removeprefix(directory + "/")
        if (where, words) in self.notes:
            return
        if len(self.notes) < MAX_NOTES:
            self.notes.append((where, words))
        elif len(self.notes) == MAX_NOTES:
            self.notes.append(("sys", "further oddities are not listed"))

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | None]:
        """Contents by position; None for a file that is absent, or unreadable (which is noted)."""
        contents = self.reader.read(paths, base)
        out: list[bytes | None] = contents  # type: ignore[assignment]
        for i in odd(contents):
            content = contents[i]
            if type(content) is int:
                if content not in ABSENT:
                    self.unreadable(base, paths[i], content)
                out[i] = None
            # Some recorders copy a file by its size, which in sysfs is a whole page, and get NUL bytes for content.
            elif content and not content.strip(b"\0"):  # type: ignore[union-attr]
                self.unreadable(base, paths[i], ENODATA)
                out[i] = None
        return out

    def one(self, path: str, base: str = "") -> bytes | None:
        """Content of one file, or None as for ``read``."""
        return self.read((path,), base)[0]

    def zones_in_pieces(self, path: str) -> list[Zone] | None:
        """Zones of ``/proc/zoneinfo``, which may have tens of megabytes, where a reader scans it piece by piece.

        None where it does not, and for anything but zones: the file is then to be read whole, for a note to quote it.
        """
        scan = getattr(self.reader, "zones", None)
        try:
            found = None if scan is None else scan(path)
        except ValueError:
            return None
        return None if isinstance(found, int) else found

    def perhaps(self, paths: Sequence[str], base: str) -> set[str]:
        """Those of the directories that are not absent, or all of them from a reader that cannot look before it reads.

        On most machines none is there, and each would be a failed listing.
        """
        look = getattr(self.reader, "absent", None)
        if look is None:
            return set(paths)
        return {path for path, errno in zip(paths, look(paths, base), strict=True) if errno not in ABSENT}

    def names(self, path: str, prefix: str = "") -> list[str] | None:
        """Names in a directory; None if it is absent, or unreadable (which is noted)."""
        names = self.reader.listdir(path, prefix)
        if isinstance(names, int):
            if names not in ABSENT:
                self.unreadable("", path, names)
            return None
        if len(names) > MAX_NAMES and prefix not in NUMEROUS:
            self.misread(FactError(path, f"{len(names)} names such as {names[0]}", "more than any kernel has"))
            return None
        return names

    def unreadable(self, base: str, path: str, errno: int) -> None:
        """Note a file or directory that exists but could not be read."""
        where = f"{base}/{path}" if base else path
        self.failed[where] = errno
        self.note(where, f"cannot be read: {'holds only NUL bytes' if errno == ENODATA else os.strerror(errno)}")

    def parsed(self, parse: Callable[[str, bytes], T], where: str, content: bytes | None) -> T | None:
        """What a file says; None where there is no content, or where it is broken (which is noted).

        Raises ``FactError`` for more ids, in all that was parsed, than any machine has.
        """
        if content is None:
            return None
        try:
            found = parse(where, content)
        except FactError as error:
            self.misread(error)
            return None
        if isinstance(found, tuple):
            self._count(found, where, content)
        return found

    def _count(self, found: tuple[object, ...], where: str, content: bytes) -> None:
        self.count += len(found)
        if self.count > MAX_IDS:
            raise FactError(where, content, "names more than any machine has")

    def ids(self, where: str, content: bytes | None) -> tuple[int, ...] | None:
        """What a file in list format says; see ``parsed``."""
        if content is None:
            return None
        found = self.lists.get(content)
        if found is None:
            found = self.parsed(text.id_list, where, content)
            if found is not None:
                self.lists[content] = found
        else:
            self._count(found, where, content)
        return found

    def misread(self, error: FactError) -> None:
        """Note a file that was read and is not a whole answer."""
        self.broken[error.where] = error
        self.note(error.where, f"{error.reason}: '{error.text}'" if error.text else error.reason)

    def failure(self, path: str) -> SourceError | FactError | None:
        """The error for a file, or the first below a directory, that was unreadable or broken; None if none was."""
        for where, errno in self.failed.items():
            if where == path or where.startswith(f"{path}/"):
                return source_error(where, errno)
        for where, error in self.broken.items():
            if where == path or where.startswith(f"{path}/"):
                return error
        return None


def source_error(where: str, errno: int) -> SourceError:
    """The error for a file or directory that cannot be read, by the system's error number."""
    if errno == ENODATA:
        return SourceError(where, errno, "holds only NUL bytes")
    return SourceDenied(where, errno) if errno in (EACCES, EPERM) else SourceError(where, errno)
