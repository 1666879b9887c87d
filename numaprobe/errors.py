"""Everything numaprobe raises on purpose, as one tree.

Each error says in one sentence what was queried and what the answer was; the parts are attributes, so that a program
never has to parse the sentence. Bad arguments raise the built-in ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations

import os


def printable(text: str | bytes) -> str:
    """Text of unknown origin with everything that would move a terminal's cursor written out."""
    shown = text.decode("ascii", "backslashreplace") if isinstance(text, bytes) else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class NumaprobeError(Exception):
    """Base of all errors that numaprobe raises on purpose."""


class SourceError(NumaprobeError):
    """A source could not be queried.

    ``where`` is the path or the hypercall; ``errno`` is the system's or the hypervisor's error number, None where there
    is none.
    """

    where: str
    errno: int | None

    def __init__(self, where: str, errno: int | None = None, reason: str | None = None) -> None:
        text = reason or (os.strerror(errno) if errno is not None else "cannot be queried")
        super().__init__(f"{where}: {text}")
        self.where = where
        self.errno = errno
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.errno, self.reason)


class SourceUnavailable(SourceError):
    """The source does not exist: no such root, no hypervisor, a hypercall that the hypervisor does not have."""


class SourceDenied(SourceError, PermissionError):
    """The caller is not permitted to query the source; it is a ``PermissionError`` too."""


class InterfaceMismatch(SourceError):
    """The hypervisor refused every known interface version; ``tried`` lists them in the order they were tried."""

    tried: tuple[int, ...]

    def __init__(
        self, where: str, errno: int | None = None, reason: str | None = None, tried: tuple[int, ...] = ()
    ) -> None:
        super().__init__(where, errno, reason)
        self.tried = tuple(tried)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.errno, self.reason, self.tried)


class FactError(NumaprobeError, ValueError):
    """A source answered, but the answer is broken or impossible; it is a ``ValueError`` too.

    ``where`` is the path or the hypercall, ``text`` the offending part of the answer, shortened and printable.
    """

    where: str
    text: str

    def __init__(self, where: str, text: str | bytes = "", reason: str = "not understood") -> None:
        # Cut first: the offending text may be a whole file.
        shown = printable(text[:240].strip())
        self.where = printable(where)
        self.text = shown if len(shown) <= 60 else shown[:57] + "..."
        self.reason = reason
        super().__init__(f"{self.where}: {reason}" + (f": '{self.text}'" if self.text else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.text, self.reason)


class RecordingError(NumaprobeError):
    """A recording is damaged or too large, or does not contain what was requested."""


class DoesNotFit(NumaprobeError):
    """No plan exists; ``reasons`` says why, the nearest miss first."""

    reasons: tuple[str, ...]

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons) or "does not fit"
