"""``probe()``: the only opener of live sources."""

from __future__ import annotations

from . import linux
from ._fast import Files
from .build import from_linux
from .errors import SourceDenied, SourceUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Protocol

    from .model import Host
    from .ports import Reader

    class ClosableReader(Reader, Protocol):
        """A reader that holds something open."""

        def close(self) -> None: ...

    Path = str | os.PathLike[str]

SOURCES = ("auto", "linux", "xen")


def open_reader(root: Path | None, recording: Path | None) -> ClosableReader:
    """The reader for a live host, a recorded tree or a recording; the caller closes it.

    Raises ``SourceUnavailable`` or ``SourceDenied`` for a root that cannot be opened, ``RecordingError`` for a bad
    recording, ``ValueError`` for both at once.
    """
    if recording is not None:
        if root is not None:
            raise ValueError("either a root or a recording can be probed, not both")
        from .archive import Archive

        return Archive(recording)
    try:
        if root is None:
            return Files("/")
        from .tree import Tree

        return Tree(root)
    except PermissionError as error:
        raise SourceDenied(str(root), error.errno) from None
    except OSError as error:
        raise SourceUnavailable(str(root or "/"), error.errno) from None


def probe(
    root: Path | None = None,
    *,
    recording: Path | None = None,
    source: str = "auto",
    available: bool = True,
    devices: bool = False,
    allowed: bool = False,
) -> Host:
    """The host: this one, or a recorded one.

    ``root`` is a directory with a recorded ``sys/`` and ``proc/``; ``recording`` a file that ``record`` wrote, or a
    tar archive of such a directory from another tool. ``source`` is ``linux`` (the kernel's own view), ``xen`` (the
    hypervisor's) or ``auto``: the hypervisor's in a Xen control domain, else the kernel's.

    ``available`` reads what available memory is computed from, which costs the kernel most on large machines;
    ``devices`` adds PCI devices, ``allowed`` what this process may use.

    Raises ``SourceUnavailable`` (nothing there), ``SourceDenied`` (not privileged), ``FactError`` (an answer that
    makes no sense), ``RecordingError`` (a bad recording) and ``ValueError`` (a bad argument).
    """
    if source not in SOURCES:
        raise ValueError(f"a source is one of {', '.join(SOURCES)}, not {source!r}")
    reader = open_reader(root, recording)
    try:
        return from_linux(linux.collect(reader, available=available, devices=devices, allowed=allowed))
    finally:
        reader.close()
