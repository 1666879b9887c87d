"""Writing a file so that a reader sees the old content or the new one, never a part, and no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

NEW_FILE_MODE = 0o666
# Links that the kernel and the shell keep to this process's own open files; they are written to, not replaced.
STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
# Attempts at a name that does not exist yet, each out of 2 ** 64.
MAX_TRIES = 100


@contextmanager
def replace(name: str, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of ``name`` when the block ends, and vanishes if the block raises.

    The content is written to a file without a name (``O_TMPFILE``), or with a random one where the file system has no
    such files, in the directory of ``name``. It is synced to disk before it is renamed. An existing file keeps its mode
    and group; a new one gets ``mode``, by default what the umask allows. A symbolic link is replaced, never followed.
    A character device is written to, as are ``/dev/stdout``, ``/dev/stderr`` and ``/dev/fd/N``. Raises ``OSError`` with
    ``name`` as its file name; also for a directory, a block device, a FIFO or a socket.
    """
    stream = _stream(name)
    if stream is not None:
        with _naming(name), os.fdopen(stream, "wb") as file:
            yield file
        return
    directory, base = os.path.split(name)
    with _naming(name):
        # Everything below is relative to this descriptor, so nobody can exchange the directory.
        parent = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _replacing(parent, base, mode) as file:
                yield file
        finally:
            os.close(parent)


def _stream(name: str) -> int | None:
    """A copy of the descriptor that ``name`` stands for, or a character device opened; None for a file to replace."""
    number = STREAMS.get(name)
    for prefix in DESCRIPTORS:
        digits = name.removeprefix(prefix)
        if digits != name and digits.isascii() and digits.isdigit() and len(digits) < 10:
            number = int(digits)
    with _naming(name):
        if number is not None:
            return os.dup(number)
        try:
            kind = os.lstat(name).st_mode
        except FileNotFoundError:
            return None
        if not stat.S_ISCHR(kind):
            return None
        # A serial line without a carrier would block the opening.
        device = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISCHR(os.fstat(device).st_mode):
            os.close(device)
            raise OSError(errno.EAGAIN, "changed while it was opened")
        os.set_blocking(device, True)
        return device


@contextmanager
def _replacing(parent: int, base: str, mode: int | None) -> Iterator[IO[bytes]]:
    before = _replaceable(parent, base)
    wanted = before.st_mode & 0o777 if before is not None else mode
    descriptor, temporary = _create(parent, NEW_FILE_MODE if wanted is None else wanted)
    try:
        # The descriptor outlives the file, which a caller may close.
        with open(descriptor, "wb", closefd=False) as file:
            yield file
        if before is not None:
            # Only root and the group's members may; for others it is their own group.
            with suppress(OSError):
                os.fchown(descriptor, -1, before.st_gid)
        if wanted is not None:
            os.fchmod(descriptor, wanted)
        os.fsync(descriptor)
        if temporary is None:
            temporary = _link(parent, descriptor)
        os.rename(temporary, base, src_dir_fd=parent, dst_dir_fd=parent)
        temporary = None
    finally:
        os.close(descriptor)
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
    _sync(parent)


def _replaceable(parent: int, base: str) -> os.stat_result | None:
    """The regular file to replace; None where there is none, or a link."""
    if base in ("", ".", ".."):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        found = os.stat(base, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found.st_mode):
        return found
    if stat.S_ISLNK(found.st_mode):
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a block device"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "not a regular file")
    raise OSError(errno.EINVAL, f"is {kind}; only a regular file can be replaced")


def _create(parent: int, mode: int) -> tuple[int, str | None]:
    """A new file, open for writing: without a name where that works, else with the name that is returned."""
    with suppress(OSError):
        descriptor = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=parent)
        # Without /proc it could never get its name.
        if os.path.exists(f"/proc/self/fd/{descriptor}"):
            return descriptor, None
        os.close(descriptor)
    for _ in range(MAX_TRIES):
        name = _random_name()
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
        with suppress(FileExistsError):
            return os.open(name, flags, mode, dir_fd=parent), name
    raise FileExistsError(errno.EEXIST, "no free name for a temporary file")


def _link(parent: int, descriptor: int) -> str:
    """Give a file without a name a random one: linkat(2) cannot replace a file, rename(2) can."""
    for _ in range(MAX_TRIES):
        name = _random_name()
        with suppress(FileExistsError):
            os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=parent, follow_symlinks=True)
            return name
    raise FileExistsError(errno.EEXIST, "no free name for a temporary file")


def _random_name() -> str:
    return f".numaprobe-{os.urandom(8).hex()}"


def _sync(parent: int) -> None:
    """Make the rename durable; a file system that cannot sync a directory has done what it can."""
    with suppress(OSError):
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of the file itself name what was requested, not a temporary name or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and not _is_ours(error.filename, name)):
            raise
        raise type(error)(error.errno, error.strerror, name) from None


def _is_ours(filename: object, name: str) -> bool:
    if not isinstance(filename, str):
        return False
    directory, base = os.path.split(name)
    return filename in (".", base, directory or ".") or filename.startswith((".numaprobe-", "/proc/self/fd/"))
