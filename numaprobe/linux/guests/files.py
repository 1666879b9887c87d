"""Files of processes, and an account of those that could not be read.

A process that ends takes its files with it: ENOENT and ESRCH are ordinary. Every other error hides something, so it
is kept, unless the process turns out to have ended.
"""

from __future__ import annotations

import os
from errno import ENOENT, ENOTDIR, ESRCH

from ...errors import FactError
from ...named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from ...ports import Reader

    T = TypeVar("T")

GONE = (ENOENT, ESRCH, ENOTDIR)
MAX_NAMED = 4


class Failure(namedtuple("Failure", "process name reason")):
    """What could not be read or understood of a process."""

    __slots__ = ()
    process: int
    name: str
    reason: str


def numbers(names: Iterable[str]) -> list[int]:
    """Process or thread ids among the names of a directory, ascending."""
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


class ProcessFiles:
    """Reads ``/proc/PID`` through a ``Reader`` port; ``failures`` is the account."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.failures: list[Failure] = []
        self._failed: set[tuple[int, str]] = set()

    def each(self, processes: Sequence[int], names: Sequence[str]) -> list[list[bytes | None]]:
        """The same files of many processes, read in one call; None for one that is absent or unreadable."""
        contents = self.reader.read([f"{process}/{name}" for process in processes for name in names], "proc")
        known: list[bytes | None] = []
        for position, content in enumerate(contents):
            if isinstance(content, int):
                process, name = processes[position // len(names)], names[position % len(names)]
                self.failed(process, name, content)
                known.append(None)
            else:
                known.append(content)
        return [known[at : at + len(names)] for at in range(0, len(known), len(names))]

    def one(self, process: int, name: str) -> bytes | None:
        """One file of one process."""
        return self.each((process,), (name,))[0][0]

    def names(self, process: int, directory: str) -> list[str] | None:
        """Names in a directory of a process; None as for files."""
        names = self.reader.listdir(f"proc/{process}/{directory}")
        if isinstance(names, int):
            self.failed(process, directory, names)
            return None
        return names

    def failed(self, process: int, name: str, errno: int) -> None:
        """Keep an error, unless it is that of a process that has ended."""
        if errno not in GONE:
            self.broken(process, name, f"cannot be read: {os.strerror(errno)}")

    def broken(self, process: int, name: str, reason: str) -> None:
        """Keep the failure of a file that was read and is broken."""
        self.failures.append(Failure(process, name, reason))
        self._failed.add((process, name))

    def understood(self, process: int, name: str, content: bytes | None, parse: Callable[[str, bytes], T]) -> T | None:
        """What a parser makes of a file; None, and the failure is kept, if the file is broken."""
        if content is None:
            return None
        try:
            return parse(f"proc/{process}/{name}", content)
        except FactError as error:
            self.broken(process, name, error.reason + (f": '{error.text}'" if error.text else ""))
            return None

    def has_failed(self, process: int, name: str) -> bool:
        """Whether a file of a process is on the account."""
        return (process, name) in self._failed

    def forget(self, processes: Iterable[int]) -> None:
        """Take processes off the account: they have ended."""
        ended = frozenset(processes)
        self.failures = [failure for failure in self.failures if failure.process not in ended]
        self._failed = {(failure.process, failure.name) for failure in self.failures}

    def forget_ended(self) -> None:
        """Drop the failures of every process that has ended or is a zombie."""
        failing = sorted({failure.process for failure in self.failures})
        contents = self.reader.read(
            [f"{process}/{name}" for process in failing for name in ("stat", "cmdline")], "proc"
        )
        self.forget(
            process
            for process, content, line in zip(failing, contents[::2], contents[1::2], strict=True)
            # In a tree a process may be without a stat and there all the same.
            if (content in GONE and line in GONE)
            or (isinstance(content, bytes) and b")" in content and content.rpartition(b")")[2].split()[:1] in _ENDED)
        )

    def notes(self) -> tuple[tuple[str, str], ...]:
        """The account in words: a line for each file and reason, however many processes it is about."""
        # As a set that keeps the order: there may be as many as processes.
        found: dict[tuple[str, str], dict[int, None]] = {}
        for failure in self.failures:
            name = "task/*/" + failure.name.rpartition("/")[2] if failure.name.startswith("task/") else failure.name
            found.setdefault((name, failure.reason), {})[failure.process] = None
        return tuple([note(*key, list(processes)) for key, processes in found.items()])


_ENDED = ([b"Z"], [b"X"], [b"x"])


def note(name: str, reason: str, processes: list[int]) -> tuple[str, str]:
    """A note on one file, or the whole directory, of some processes."""
    if len(processes) == 1:
        return f"proc/{processes[0]}/{name}".rstrip("/"), reason
    named = ", ".join(map(str, processes[:MAX_NAMED]))
    more = f" and {len(processes) - MAX_NAMED} more" if len(processes) > MAX_NAMED else ""
    return f"proc/*/{name}".rstrip("/"), f"{reason} (processes {named}{more})"
