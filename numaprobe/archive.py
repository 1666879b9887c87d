"""A recorded machine in a tar archive, held in memory: numaprobe's own, or another tool's tree of sys/ and proc/.

Archives come from strangers. Nothing is written to disk, no path or link leads out of the archive, and counts and
sizes are bounded while it is read, so that neither a bomb nor a loop can be one.
"""

from __future__ import annotations

import os
from errno import EFBIG, EISDIR, ENOENT, ENOTDIR

from .errors import RecordingError
from .links import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from tarfile import TarFile, TarInfo
    from typing import Any

MANIFEST = "numaprobe.json"
MANIFEST_SCHEMA = "numaprobe-recording/1"

# A machine of 4096 cpus has some 200,000 files in a full copy of sys/devices/system, few of them above a page.
MOST_MEMBERS = 1_000_000
LARGEST_FILE = 64 << 20
MOST_KEPT = 512 << 20
MOST_UNPACKED = 4 << 30


class Archive:
    """``Reader`` over a tar archive, plain or compressed with gzip, bzip2 or xz.

    ``manifest`` is the recording's own account of itself, None for an archive of another tool. Raises
    ``RecordingError`` for what is no archive, is cut short, is too large, or holds no machine or several.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._files: dict[str, bytes | int] = {}
        self._links: dict[str, str] = {}
        self._children: dict[str, set[str]] = {"": set()}
        self._known: dict[str, str] = {}
        self._load()
        self._root = self._find_root()
        self.manifest = self._manifest()
        self._errors: dict[str, int] = self.manifest["errors"] if self.manifest else {}

    def _load(self) -> None:
        import lzma
        import tarfile
        import zlib

        try:
            # A stream never seeks, so an archive cannot make the reader go round in circles.
            with tarfile.open(self.name, "r|*") as tar:
                self._take_members(tar)
        except OSError as error:
            if error.errno is None:
                raise RecordingError(f"{self.name}: a damaged archive: {error}") from None
            raise RecordingError(f"{self.name}: {error.strerror}") from None
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
            raise RecordingError(f"{self.name}: not a tar archive, or a damaged one: {error}") from None

    def _take_members(self, tar: TarFile) -> None:
        members = kept = unpacked = 0
        for member in tar:
            members += 1
            unpacked += member.size
            if members > MOST_MEMBERS or unpacked > MOST_UNPACKED:
                raise RecordingError(f"{self.name}: too large to be the recording of a machine")
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise RecordingError(f"{self.name}: a path that leads out of the archive: {member.name!r}")
            if not parts:
                continue
            path = "/".join(parts)
            if member.isreg():
                if member.size > LARGEST_FILE:
                    self._add(path, EFBIG)
                    continue
                kept += member.size
                if kept > MOST_KEPT:
                    raise RecordingError(f"{self.name}: too large to be the recording of a machine")
                self._add(path, self._content(tar, member))
            elif member.issym():
                self._links[path] = member.linkname
                self._add_to_directory(path)
            elif member.islnk():
                # A hard link names another member from the archive's own root, as an absolute link would.
                self._links[path] = "//" + member.linkname
                self._add_to_directory(path)
            elif member.isdir():
                self._children.setdefault(path, set())
                self._add_to_directory(path)
        # tarfile takes an archive that ends between two members for a whole one; a whole one ends in zeros.
        if members == 0:
            raise RecordingError(f"{self.name}: an empty archive")

    def _content(self, tar: TarFile, member: TarInfo) -> bytes:
        stream = tar.extractfile(member)
        content = b"" if stream is None else stream.read()
        if len(content) != member.size:
            raise RecordingError(f"{self.name}: cut short in {member.name!r}")
        return content

    def _add(self, path: str, content: bytes | int) -> None:
        self._files[path] = content
        self._add_to_directory(path)

    def _add_to_directory(self, path: str) -> None:
        while path:
            directory, _, name = path.rpartition("/")
            names = self._children.setdefault(directory, set())
            if name in names:
                return
            names.add(name)
            path = directory

    def _find_root(self) -> str:
        """The shallowest directory that has the kernel's cpu or node directory below it."""
        found: dict[str, None] = {}
        for tail in ("sys/devices/system/node", "sys/devices/system/cpu", "sys/devices/system"):
            for directory in self._children:
                if directory == tail or directory.endswith("/" + tail):
                    found[directory[: len(directory) - len(tail)].strip("/")] = None
            if found:
                break
        if not found:
            raise RecordingError(f"{self.name}: holds no sys/devices/system, so no machine")
        depth = min(root.count("/") + bool(root) for root in found)
        shallowest = [root for root in found if root.count("/") + bool(root) == depth]
        if len(shallowest) > 1:
            raise RecordingError(f"{self.name}: holds {len(shallowest)} machines: {', '.join(sorted(shallowest)[:4])}")
        return shallowest[0]

    def _manifest(self) -> dict[str, Any] | None:
        content = self.read((MANIFEST,))[0]
        if isinstance(content, int):
            return None
        import json

        try:
            manifest = json.loads(content)
            errors = manifest["errors"]
            known = manifest["schema"] == MANIFEST_SCHEMA
            well_formed = isinstance(manifest["files"], int) and all(
                isinstance(path, str) and isinstance(errno, int) and errno > 0 for path, errno in errors.items()
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise RecordingError(f"{self.name}: {MANIFEST} in it is damaged") from None
        if not known:
            raise RecordingError(f"{self.name}: a recording of the unknown form {str(manifest['schema'])[:40]!r}")
        files = len(self._files) - 1
        if not well_formed or files != manifest["files"]:
            raise RecordingError(f"{self.name}: {MANIFEST} promises {manifest['files']!r} files, there are {files}")
        return dict(manifest)

    def _resolve(self, path: str) -> str | int:
        return resolve(path, self._target_of, self._known)

    def _inside(self, path: str) -> str:
        return f"{self._root}/{path}" if self._root else path

    def _target_of(self, path: str) -> str | None:
        """A link's target. Links are the machine's: an absolute one begins at the machine's root."""
        target = self._links.get(path)
        if target is None or target.startswith("//"):
            return target
        return "/" + self._inside(target) if target.startswith("/") else target

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        return [self._read(f"{base}/{path}" if base else path) for path in paths]

    def _read(self, path: str) -> bytes | int:
        found = self._resolve(self._inside(path))
        if isinstance(found, int):
            return found
        content = self._files.get(found)
        if content is not None:
            return content
        return self._errors.get(path, self._missing(found)) if path != MANIFEST else self._missing(found)

    def _missing(self, path: str) -> int:
        if path in self._children:
            return EISDIR
        while path:
            path = path.rpartition("/")[0]
            if path in self._files:
                return ENOTDIR
        return ENOENT

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        found = self._resolve(self._inside(path))
        if isinstance(found, int):
            return found
        names = self._children.get(found)
        if names is None:
            return ENOTDIR if found in self._files else self._errors.get(path, self._missing(found))
        return sorted(name for name in names if name.startswith(prefix))

    def close(self) -> None:
        """Nothing is held open; here because every reader has it."""
