"""numaprobe: a host's NUMA cells, their cpus, memory and distances, on Linux and under Xen, in one model."""

from __future__ import annotations

from .errors import (
    DoesNotFit,
    FactError,
    InterfaceMismatch,
    NumaprobeError,
    RecordingError,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from .model import (
    Access,
    Allowed,
    Cell,
    Cpu,
    Device,
    Host,
    HugePages,
    Hypervisor,
    Memory,
    Note,
    SideCache,
)
from .probe import probe
from .version import VERSION as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


def record(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recording: str | os.PathLike[str] | None = None,
    source: str = "auto",
    allowed: bool = False,
) -> None:
    """Write a recording of this host, or of a recorded one, to a tar archive; see ``docs/recordings.md``.

    The end of the name says the compression: ``.tar.gz``, ``.tgz``, ``.tar.xz``, ``.tar.bz2``, ``.tar``. The file
    appears whole or not at all. ``root``, ``recording`` and ``source`` are as for ``probe``; in a Xen control domain
    the hypervisor's answers are recorded beside the domain's own files. ``allowed`` adds what this process may use;
    the names of its control groups are then in the file. Raises what ``probe`` raises, ``OSError`` if the file cannot
    be written, and ``ValueError`` for another ending.
    """
    from .recorder import record as write

    write(path, root=root, recording=recording, source=source, allowed=allowed)


__all__ = [
    "Access",
    "Allowed",
    "Cell",
    "Cpu",
    "Device",
    "DoesNotFit",
    "FactError",
    "Host",
    "HugePages",
    "Hypervisor",
    "InterfaceMismatch",
    "Memory",
    "Note",
    "NumaprobeError",
    "RecordingError",
    "SideCache",
    "SourceDenied",
    "SourceError",
    "SourceUnavailable",
    "__version__",
    "probe",
    "record",
]
