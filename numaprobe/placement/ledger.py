"""A file of claims that placers share: what one of them was promised is not offered to the next.

The file is in ``/run/numaprobe`` for root, and in ``$XDG_RUNTIME_DIR/numaprobe`` for others; everybody sees root's as
well as their own. Whoever changes it holds a lock, reads the host under it, and replaces the file whole, so a placer
that is killed leaves the previous file. Time is counted since boot (``CLOCK_BOOTTIME``), because the clock may be set.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from ..errors import SourceDenied, SourceError, SourceUnavailable
from ..plain_json import parse
from .claims import Claim, claim_document, read_claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ..model.domains import Domain
    from .plan import Plan

ROOT_FOLDER = "/run/numaprobe"
FILE = "claims.json"
LOCK = "claims.lock"
NEW = "claims.new"
# Of a guest that nobody starts.
SECONDS = 300.0
PATIENCE = 60.0
MAX_BYTES = 16 << 20
MAX_CLAIMS = 10_000  # as many as a batch has guests


def own_folder() -> str:
    """Directory of this user's ledger. Raises ``SourceUnavailable`` for a user without a runtime directory."""
    if os.geteuid() == 0:
        return ROOT_FOLDER
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or not os.path.isabs(runtime):
        raise SourceUnavailable("XDG_RUNTIME_DIR", None, "not set, so there is no place for claims (root has /run)")
    return str(Path(runtime) / "numaprobe")


def visible_claims(domains: Sequence[Domain] = (), folder: str | None = None) -> tuple[Claim, ...]:
    """Claims that are valid now, read without a lock: those in ``folder``, or root's and this user's.

    ``domains`` are the running guests: what they have taken is no longer claimed. Raises ``SourceError`` for a ledger
    that cannot be read; one that does not exist has no claims.
    """
    folders = [folder] if folder is not None else [ROOT_FOLDER]
    if folder is None and os.geteuid() != 0 and os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(own_folder())
    found: list[Claim] = []
    for one in folders:
        try:
            fd = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SourceError(one, error.errno) from None
        try:
            found += _read(fd, one)
        finally:
            os.close(fd)
    return _holding(found, domains)


class Ledger:
    """The ledger, locked for the duration of the ``with`` block: probe the host in it, place, and ``add`` the plans.

    ``folder`` replaces the user's own directory. Raises ``SourceUnavailable`` if there is no directory or another
    placer has held the lock for a minute, ``SourceDenied`` for a directory that others can write to, and
    ``SourceError`` for a ledger that cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = own_folder() if folder is None else os.fspath(folder)
        self._fd = self._lock = -1
        self._claims: list[Claim] = []

    def __enter__(self) -> Ledger:
        self._fd = _open_folder(self.folder)
        try:
            self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
            self._wait()
            self._claims = _read(self._fd, self.folder)
        except OSError as error:
            self._close()
            raise SourceError(f"{self.folder}/{LOCK}", error.errno) from None
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def current(self, domains: Sequence[Domain] = ()) -> tuple[Claim, ...]:
        """Valid claims, less what the running guests have taken; expired claims are removed."""
        mine = _holding(self._claims, domains)
        kept = {claim.id for claim in mine}
        self._claims = [claim for claim in self._claims if claim.id in kept]
        if self.folder == ROOT_FOLDER or os.geteuid() == 0:
            return mine
        return (*mine, *visible_claims(domains, ROOT_FOLDER))

    def add(
        self, plans: Sequence[Plan], *, pid: int | None = None, domain: int | None = None, seconds: float = SECONDS
    ) -> tuple[Claim, ...]:
        """Claim what plans take, for so many seconds or until the guest runs; the file is written at once.

        ``pid`` is a process with which the claims end, ``domain`` the number of a Xen domain that is being built.
        Raises ``SourceUnavailable`` where there would be more than 10,000 claims.
        """
        start = None if pid is None else _start(pid)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        first = max([claim.id for claim in self._claims], default=0) + 1
        new = [
            Claim.of(plan, id=number, pid=pid, start=start, domain=domain, expires=now + seconds)
            for number, plan in enumerate(plans, first)
        ]
        if len(self._claims) + len(new) > MAX_CLAIMS:
            raise SourceUnavailable(f"{self.folder}/{FILE}", None, f"would hold more than {MAX_CLAIMS} claims")
        self._claims += new
        self._write()
        return tuple(new)

    def release(self, number: int) -> None:
        """Release a claim. Raises ``ValueError`` if there is none with that number."""
        left = [claim for claim in self._claims if claim.id != number]
        if len(left) == len(self._claims):
            raise ValueError(f"there is no claim {number}")
        self._claims = left
        self._write()

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    text = f"another placer has held the lock for {PATIENCE:.0f} seconds"
                    raise SourceUnavailable(f"{self.folder}/{LOCK}", None, text) from None
                time.sleep(0.002)

    def _write(self) -> None:
        content = json.dumps([claim_document(claim) for claim in self._claims]).encode()
        try:
            with suppress(FileNotFoundError):
                os.unlink(NEW, dir_fd=self._fd)  # of a placer that was killed
            fd = os.open(
                NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=self._fd
            )
            with open(fd, "wb") as file:
                os.fchmod(fd, 0o644)
                file.write(content)
                file.flush()
                os.fsync(fd)
            os.rename(NEW, FILE, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            raise SourceError(f"{self.folder}/{FILE}", error.errno) from None

    def _close(self) -> None:
        for fd in (self._lock, self._fd):
            if fd >= 0:
                os.close(fd)
        self._lock = self._fd = -1


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot (/proc/PID/stat); None for one that has ended.

    Raises ``OSError`` where it cannot be read, which is no sign that the process has ended.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    # A zombie has given everything back.
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else None


def _start(pid: int) -> int:
    """When a process started. Raises ``ProcessLookupError`` without one, and ``SourceError`` if it cannot be read."""
    try:
        start = started(pid)
    except FileNotFoundError:
        start = None
    except OSError as error:
        raise SourceError(f"/proc/{pid}/stat", error.errno) from None
    if start is None:
        raise ProcessLookupError(f"there is no process {pid}")
    return start


def _runs(pid: int, start: int | None) -> bool:
    """Whether the process of a claim has not ended, as far as can be seen: the claim holds where it may still run."""
    try:
        return started(pid) == start
    except OSError:
        pass
    try:
        # Where /proc hides other users' processes (hidepid), or cannot be read, the kernel still tells who exists.
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _holding(claims: Sequence[Claim], domains: Sequence[Domain]) -> tuple[Claim, ...]:
    """Claims that still hold at this moment, less what their guests have taken."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    alive = [claim for claim in claims if now < claim.expires and (claim.pid is None or _runs(claim.pid, claim.start))]
    return tuple([left for claim in alive if (left := claim.less(domains)) is not None])


def _open_folder(folder: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, 0o755)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError as error:
        raise SourceDenied(folder, error.errno) from None
    except OSError as error:
        raise SourceError(folder, error.errno) from None
    state = os.fstat(fd)
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(fd)
        raise SourceDenied(folder, None, "others can write to it; claims need a folder of this user alone (mode 0755)")
    return fd


def _read(folder_fd: int, folder: str) -> list[Claim]:
    where = f"{folder}/{FILE}"
    try:
        fd = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(where, error.errno) from None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SourceError(where, None, "is not a regular file")
        content = file.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB")
        claims = parse(content)
        if isinstance(claims, list) and len(claims) > MAX_CLAIMS:
            raise ValueError(f"has {len(claims)} claims, more than {MAX_CLAIMS}")
        return [read_claim(one) for one in claims]
    except (ValueError, TypeError, KeyError) as error:
        text = f"is not a ledger of claims ({error}); remove it if no guest is being started"
        raise SourceError(where, None, text) from None
