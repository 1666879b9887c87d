"""Opening what is probed: the only module that opens live sources, and decides which one is queried."""

from __future__ import annotations

import os
from errno import ENOENT, ENOTDIR

from ..errors import RecordingError, SourceDenied, SourceUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from ..ports import Hypercalls, Reader

    class ClosableReader(Reader, Protocol):
        """A reader that holds something open."""

        def close(self) -> None: ...

    Path = str | os.PathLike[str]

SOURCES = ("auto", "linux", "xen")
TRANSCRIPT = "xen/transcript.jsonl"
HYPERVISOR = "sys/hypervisor/type"
PRIVCMD = "/dev/xen/privcmd"


class _Opened:
    """Something that is closed at the end of a ``with`` block; contextlib's decorator would cost an import."""

    def __init__(self, value: Any, close: Callable[[], None]) -> None:
        self._value = value
        self._close = close

    def __enter__(self) -> Any:
        return self._value

    def __exit__(self, *exception: object) -> None:
        self._close()


def open_source(root: Path | None, recording: Path | None) -> AbstractContextManager[Reader]:
    """The reader for a live host, a recorded tree or a recording.

    Raises ``SourceUnavailable`` or ``SourceDenied`` for a root that cannot be opened, ``RecordingError`` for a bad
    recording, ``ValueError`` for both at once.
    """
    if recording is not None and root is None and (kept := _kept.get(os.fspath(recording))) is not None:
        return _Opened(kept, _nothing_to_close)
    reader = _open(root, recording)
    return _Opened(reader, reader.close)


# Recordings that are unpacked at the moment, by the name they were opened with.
_kept: dict[str, ClosableReader] = {}


class kept_open:  # noqa: N801 (a context manager reads as a verb)
    """Unpack a recording once for everything that is read from it in a ``with`` block; None is no recording."""

    def __init__(self, recording: Path | None) -> None:
        self._name = None if recording is None else os.fspath(recording)

    def __enter__(self) -> None:
        if self._name is None or self._name in _kept:
            self._name = None
        else:
            _kept[self._name] = _open(None, self._name)

    def __exit__(self, *exception: object) -> None:
        if self._name is not None:
            _kept.pop(self._name).close()


def _open(root: Path | None, recording: Path | None) -> ClosableReader:
    if recording is not None:
        if root is not None:
            raise ValueError("root and recording cannot be combined")
        from .archive import Archive

        return Archive(recording)
    try:
        if root is None:
            from .._fast import Files

            return Files("/")
        from .tree import Tree

        return Tree(root)
    except PermissionError as error:
        raise SourceDenied(str(root), error.errno) from None
    except OSError as error:
        raise SourceUnavailable("/" if root is None else str(root), error.errno) from None


def choose_source(reader: Reader, source: str, *, live: bool) -> str:
    """``linux`` or ``xen``: the hypervisor in its control domain, or the requested source.

    A recording of a control domain without the hypervisor's answers has only the domain's own view. Raises
    ``SourceUnavailable`` if Xen is requested where it cannot answer, ``ValueError`` for an unknown source.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, not {source!r}")
    if source == "linux":
        return source
    kind = _known_kind(reader) if live else _domain_kind(reader)
    can_ask = kind == "control" and (live or not isinstance(reader.read((TRANSCRIPT,))[0], int))
    if source == "xen" and not can_ask:
        if kind == "control":
            raise RecordingError("the recording has no hypercalls: record it in the control domain, as root")
        reason = "a Xen guest cannot make these hypercalls" if kind == "guest" else "not running under Xen"
        raise SourceUnavailable("xen", None, reason)
    return "xen" if can_ask else "linux"


# Whether the running kernel is the one of a control domain, which it stays until the next boot.
_controls: list[bool] = [False]


def _known_kind(reader: Reader) -> str | None:
    from .._fast import Files

    if type(reader) is not Files:
        return _domain_kind(reader)
    if _controls[0]:
        return "control"
    kind = _domain_kind(reader)
    _controls[0] = kind == "control"
    return kind


def _domain_kind(reader: Reader) -> str | None:
    # Without the directory there is no Xen to be detected, and nothing to be imported for it.
    if reader.read((HYPERVISOR,))[0] in (ENOENT, ENOTDIR):
        return None
    from ..xen.detect import domain_kind

    return domain_kind(reader)


def hypercalls(reader: Reader, *, live: bool, debug_key: bool = False) -> AbstractContextManager[Hypercalls]:
    """The port to the running hypervisor, or to the recorded one; ``debug_key`` lets the debug key ``u`` through.

    Raises ``SourceDenied`` or ``SourceUnavailable`` if the device cannot be opened, ``RecordingError`` for a damaged
    transcript.
    """
    if not live:
        from .transcript import Transcript

        content = reader.read((TRANSCRIPT,))[0]
        if isinstance(content, int):
            raise RecordingError("the recording has no hypercalls: record it in the control domain, as root")
        return _Opened(Transcript(content.decode("utf-8", "replace")), _nothing_to_close)
    from .._fast import Privcmd

    try:
        device = Privcmd(debug_key=debug_key)
    except PermissionError as error:
        raise SourceDenied(PRIVCMD, error.errno, "only root may make hypercalls") from None
    except OSError as error:
        raise SourceUnavailable(error.filename or PRIVCMD, error.errno) from None
    return _Opened(device, device.close)


def _nothing_to_close() -> None:
    """A transcript is read whole."""
