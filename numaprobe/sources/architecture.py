"""The architecture of a Linux host, in the words of ``uname -m``."""

from __future__ import annotations

import os

from ..linux.cpuinfo import of_cpuinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader

MANIFEST = "numaprobe.json"
CPUINFO = "proc/cpuinfo"


def machine(reader: Reader, *, live: bool) -> str | None:
    """The running kernel's word, or what a recording tells of it; None where nothing does."""
    if live:
        return os.uname().machine
    manifest, cpuinfo = reader.read((MANIFEST, CPUINFO))
    if isinstance(manifest, bytes):
        import json

        try:
            told = json.loads(manifest).get("machine")
        except (ValueError, AttributeError):
            told = None
        if isinstance(told, str):
            return told
    return None if isinstance(cpuinfo, int) else of_cpuinfo(cpuinfo.decode("ascii", "replace"))
