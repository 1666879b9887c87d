"""A recorded tree: a directory with ``sys/`` and ``proc/`` in it, read as a live root is, but never left."""

from __future__ import annotations

import os
from errno import EINVAL, ENOSYS, EPERM

from .._fast import Files, Seen
from .symlinks import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._fast import Zone


class Tree:
    """``Reader`` over a directory that somebody else made. Raises ``OSError`` if it cannot be opened.

    The kernel keeps every look-up inside (openat2). Where it cannot (before Linux 5.6, or behind an old seccomp
    filter) links are resolved here first; that is as safe as long as nobody changes the tree at the same time.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._files = Files(root, contained=True)
        self._resolves = self._files.absent((".",))[0] in (ENOSYS, EPERM)
        self._known: dict[str, str] = {}
        if self._resolves:
            self._files.close()
            self._files = Files(root, regular=True)

    @property
    def files(self) -> Files | None:
        """What can be held open below this tree; None where links are resolved here, and nothing can be."""
        return None if self._resolves else self._files

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        if not self._resolves:
            return self._files.read(paths, base)
        return [self._read_resolved(f"{base}/{path}") for path in paths]

    def _read_resolved(self, path: str) -> bytes | int:
        found = resolve(path, self._target_of, self._known)
        if isinstance(found, int):
            return found
        return self._files.read((found,))[0] if found else EINVAL

    def head(self, path: str, size: int) -> bytes | int:
        """The first bytes of a file, as ``Files.head``."""
        if not self._resolves:
            return self._files.head(path, size)
        content = self.read((path,))[0]
        return content if isinstance(content, int) else content[:size]

    def absent(self, paths: Sequence[str], base: str = "") -> list[int]:
        """As ``Files.absent``; 0 for all where links are resolved here, so that each is looked at."""
        return [0] * len(paths) if self._resolves else self._files.absent(paths, base)

    def zones(self, path: str) -> list[Zone] | int:
        """As ``Files.zones``; ENOSYS where links are resolved here."""
        return ENOSYS if self._resolves else self._files.zones(path)

    def cpu_groups(
        self, base: str, online: tuple[int, ...], members: str | None, numbers: tuple[str, ...]
    ) -> tuple[dict[int, tuple[int, ...]], list[dict[int, int | None]]] | None:
        """As ``Files.cpu_groups``; None where links are resolved here."""
        return None if self._resolves else self._files.cpu_groups(base, online, members, numbers)

    def watch(self, seen: Seen | None) -> None:
        """As ``Files.watch``; what is read where links are resolved here is not kept."""
        if self._resolves:
            if seen is not None:
                seen.odd = True
        else:
            self._files.watch(seen)

    def unchanged(self, seen: Seen) -> bool:
        """As ``Files.unchanged``."""
        return not self._resolves and self._files.unchanged(seen)

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        if not self._resolves:
            return self._files.listdir(path, prefix)
        found = resolve(path, self._target_of, self._known)
        return found if isinstance(found, int) else self._files.listdir(found, prefix)

    def readlink(self, path: str) -> str | int:
        # The directory's links are resolved here in either case: readlinkat(2) has no flag that keeps it inside.
        directory, _, name = path.rpartition("/")
        found = resolve(directory, self._target_of, self._known)
        return found if isinstance(found, int) else self._files.readlink(f"{found}/{name}" if found else name)

    def _target_of(self, path: str) -> str | None:
        target = self._files.readlink(path)
        return target if isinstance(target, str) else None

    def close(self) -> None:
        self._files.close()
