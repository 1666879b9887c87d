"""A recorded machine in a tar archive, held in memory: numaprobe's own, or another tool's tree of sys/ and proc/.

Archives are not trusted. Nothing is written to disk, no path or link leads out of the archive, and counts and sizes are
bounded while it is read, so that neither a decompression bomb nor a loop of links is accepted.
"""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL, EISDIR, ENOENT, ENOTDIR

from ..errors import RecordingError
from .symlinks import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from tarfile import TarFile, TarInfo
    from typing import Any


MANIFEST = "numaprobe.json"
MANIFEST_SCHEMA = "numaprobe-recording/1"

# A machine of 4096 cpus has some 200,000 files in a full copy of sys/devices/system, few of them above a page.
MAX_MEMBERS = 1_000_000
MAX_FILE = 64 << 20
MAX_KEPT = 128 << 20
# What a member costs as well as its bytes and its name: the objects that hold them.
MEMBER_BYTES = 256
MAX_UNPACKED = 4 << 30
# Names of a full copy have some 70 bytes each. What is beyond the 100 that a header has room for costs tarfile another
# header and a string in several places, and is rare: sysfs has it for devices behind bridges.
MAX_NAMES = 32 << 20
SHORT_NAME = 100
LONG_WEIGHT = 12
# Members that are no files of a kernel, in an archive of another tool: a large sosreport has some ten thousands.
MAX_OTHERS = 100_000
KERNEL = ("/sys/", "/proc/", "/xen/", "/linux/")
# In one directory: 8 TiB of memory in blocks of 128 MiB.
MAX_CHILDREN = 1 << 16
# PATH_MAX; and three times the depth of the deepest PCI device behind bridges.
MAX_PATH = 4096
MAX_DEPTH = 64


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
        self._kept = self._names = self._others = 0
        self._load()
        self._root = self._find_root()
        self.manifest = self._manifest()
        self._errors: dict[str, int] = self.manifest["errors"] if self.manifest else {}

    def _load(self) -> None:
        import tarfile

        from .tar_headers import Bounded, damage, header_of_one_archive, unpacked

        try:
            # Not blocking: a FIFO in place of a file is refused here instead of being waited for.
            descriptor = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise RecordingError(f"{self.name}: cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise RecordingError(
                f"{self.name}: not a file; a directory with sys/ and proc/ is read with --root (root= in Python)"
            )
        with open(descriptor, "rb") as file:
            try:
                with unpacked(file) as whole:
                    stream: Any = Bounded(whole, os.fstat(descriptor).st_size)
                    # A stream never seeks, so an archive cannot make the reader loop.
                    with tarfile.open(fileobj=stream, mode="r|", tarinfo=header_of_one_archive()) as tar:
                        self._take_members(tar)
                    self._take_the_rest(stream)
            except ModuleNotFoundError as error:
                raise RecordingError(
                    f"{self.name}: this Python was built without {error.name}; pack the archive with gzip instead"
                ) from None
            except damage() as error:
                raise RecordingError(f"{self.name}: not a tar archive, or a damaged one: {error}") from None

    def _take_the_rest(self, stream: Any) -> None:
        """Read on to the end, where compression keeps its check sum."""
        left = MAX_UNPACKED
        while piece := stream.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise RecordingError(f"{self.name}: too large to be the recording of a machine")

    def _take_members(self, tar: TarFile) -> None:
        members = unpacked = 0
        for member in tar:
            # tarfile would keep every one of them.
            tar.members.clear()  # type: ignore[attr-defined]
            members += 1
            unpacked += member.size
            if members > MAX_MEMBERS or unpacked > MAX_UNPACKED:
                raise RecordingError(f"{self.name}: too large to be the recording of a machine")
            self._add_member(tar, member)
        if members == 0:
            raise RecordingError(f"{self.name}: an empty archive")

    def _add_member(self, tar: TarFile, member: TarInfo) -> None:
        path, link = member.name, member.linkname
        if len(path) > MAX_PATH or len(link) > MAX_PATH:
            raise RecordingError(f"{self.name}: path too long")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise RecordingError(f"{self.name}: a path that leads out of the archive: {path!r}")
        if len(parts) > MAX_DEPTH or link.count("/") > MAX_DEPTH:
            raise RecordingError(f"{self.name}: path too deep")
        path = "/".join(parts)
        if not path:
            return
        size = len(path) + len(link)
        if not (path.isascii() and link.isascii()):
            size = len((path + link).encode("utf-8", "surrogateescape"))
        self._reserve(size + MEMBER_BYTES)
        self._names += size if size <= SHORT_NAME else size + LONG_WEIGHT * (size - SHORT_NAME)
        if self._names > MAX_NAMES:
            raise RecordingError(f"{self.name}: the names in it are too long to be those of a machine's files")
        whole = "/" + path
        if not any(directory in whole for directory in KERNEL):
            self._others += 1
            if self._others > MAX_OTHERS:
                raise RecordingError(
                    f"{self.name}: more than {MAX_OTHERS} files in it belong to no machine's sys or proc"
                )
        if member.isreg():
            if member.size <= MAX_FILE:
                self._reserve(member.size)
                self._files[path] = self._content(tar, member)
            else:
                self._files[path] = EFBIG
        elif member.issym():
            self._links[path] = member.linkname
        elif member.islnk():
            # A hard link names another member from the archive's own root, as an absolute link would.
            self._links[path] = "//" + member.linkname
        elif member.isdir():
            self._children.setdefault(path, set())
        else:
            return
        self._add_to_directory(path)

    def _content(self, tar: TarFile, member: TarInfo) -> bytes:
        if not member.size:
            return b""
        stream = tar.extractfile(member)
        content = b"" if stream is None else stream.read()
        if len(content) != member.size:
            raise RecordingError(f"{self.name}: cut short in {member.name!r}")
        return content

    def _reserve(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_KEPT:
            raise RecordingError(f"{self.name}: too large to be the recording of a machine")

    def _add_to_directory(self, path: str) -> None:
        while path:
            directory, _, name = path.rpartition("/")
            if directory not in self._children:
                self._reserve(len(directory))
            names = self._children.setdefault(directory, set())
            if name in names:
                return
            names.add(name)
            if len(names) > MAX_CHILDREN:
                raise RecordingError(f"{self.name}: {directory!r:.60} has more entries than any directory of a machine")
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
            raise RecordingError(f"{self.name}: contains no sys/devices/system, so it is not a recording of a machine")
        depth = min(root.count("/") + bool(root) for root in found)
        shallowest = [root for root in found if root.count("/") + bool(root) == depth]
        if len(shallowest) > 1:
            names = ", ".join(repr(root) for root in sorted(shallowest)[:4])
            raise RecordingError(f"{self.name}: holds {len(shallowest)} machines: {names}")
        return shallowest[0]

    def _manifest(self) -> dict[str, Any] | None:
        content = self.read((MANIFEST,))[0]
        if isinstance(content, int):
            return None
        from ..plain_json import parse

        try:
            manifest = parse(content)
            errors = manifest["errors"]
            known = manifest["schema"] == MANIFEST_SCHEMA
            # 4095 is Linux's MAX_ERRNO.
            well_formed = type(manifest["files"]) is int and all(
                isinstance(path, str) and type(errno) is int and 0 < errno < 4096 for path, errno in errors.items()
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise RecordingError(f"{self.name}: {MANIFEST} in it is damaged") from None
        if not known:
            raise RecordingError(f"{self.name}: unknown format of recording: {str(manifest['schema'])[:40]!r}")
        if not well_formed:
            raise RecordingError(f"{self.name}: {MANIFEST} in it is damaged")
        files = len(self._files) - 1
        if files != manifest["files"]:
            raise RecordingError(f"{self.name}: {MANIFEST} promises {manifest['files']} files, there are {files}")
        return dict(manifest)

    def _resolve(self, path: str) -> str | int:
        return resolve(path, self._target_of, self._known)

    def _below_root(self, path: str) -> str:
        return f"{self._root}/{path}" if self._root else path

    def _target_of(self, path: str) -> str | None:
        """A link's target. Links are the machine's: an absolute one begins at the machine's root."""
        target = self._links.get(path)
        if target is None or target.startswith("//"):
            return target
        return "/" + self._below_root(target) if target.startswith("/") else target

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        return [self._read(f"{base}/{path}" if base else path) for path in paths]

    def _read(self, path: str) -> bytes | int:
        found = self._resolve(self._below_root(path))
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
        found = self._resolve(self._below_root(path))
        if isinstance(found, int):
            return found
        names = self._children.get(found)
        # A directory that could not be listed is in the recording by its name, which the one above has.
        if not names and self._errors.get(path, EISDIR) != EISDIR:
            return self._errors[path]
        if names is None:
            return ENOTDIR if found in self._files else self._errors.get(path, self._missing(found))
        return sorted(name for name in names if name.startswith(prefix))

    def readlink(self, path: str) -> str | int:
        directory, _, name = path.rpartition("/")
        found = self._resolve(self._below_root(directory))
        if isinstance(found, int):
            return found
        place = f"{found}/{name}" if found else name
        target = self._links.get(place)
        if target is not None and not target.startswith("//"):
            return target
        there = place in self._files or place in self._children
        return EINVAL if there else self._errors.get(path, ENOENT)

    def close(self) -> None:
        """Nothing is held open; here because every reader has it."""
