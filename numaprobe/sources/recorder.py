"""A reader that keeps its queries and their answers, for a recording."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOTDIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports import Reader


class RecordingReader:
    """``Reader`` that forwards to another one and keeps the answers."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.files: dict[str, bytes] = {}
        self.directories: set[str] = set()
        self.links: dict[str, str] = {}
        self.errors: dict[str, int] = {}

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        contents = self.reader.read(paths, base)
        for path, content in zip(paths, contents, strict=True):
            self._keep(f"{base}/{path}" if base else path, content)
        return contents

    def _keep(self, path: str, content: bytes | int) -> None:
        if isinstance(content, bytes):
            self.files[path] = content
        elif content not in (ENOENT, ENOTDIR):
            self.errors[path] = content

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        names = self.reader.listdir(path, prefix)
        if isinstance(names, int):
            if names not in (ENOENT, ENOTDIR):
                self.errors[path] = names
        else:
            self.directories.add(path)
            self.directories.update(f"{path}/{name}" for name in names if not _has_mac_address(name))
        return names

    def readlink(self, path: str) -> str | int:
        target = self.reader.readlink(path)
        if isinstance(target, str):
            self.links[path] = target
        elif target not in (ENOENT, ENOTDIR, EINVAL):
            self.errors[path] = target
        return target

    def empty_directories(self) -> list[str]:
        """Listed names below which nothing was read; they would otherwise be missing from a replayed listing."""
        parents = set()
        for path in self.files:
            while (path := path.rpartition("/")[0]) and path not in parents:
                parents.add(path)
        return sorted(d for d in self.directories if d not in parents and d not in self.files and d not in self.links)


def _has_mac_address(name: str) -> bool:
    """Whether a network interface is named after its MAC address, as systemd's naming policies do (``enx...``)."""
    return len(name) == 15 and name[2] == "x" and not set(name[3:]) - set("0123456789abcdef")
