"""The architecture of a Linux host, in the words of ``uname -m``."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader

MANIFEST = "numaprobe.json"
CPUINFO = "proc/cpuinfo"
# Bytes in which the first cpu's part ends.
ENOUGH = 4096


def machine(reader: Reader, *, live: bool) -> str | None:
    """The running kernel's own name for it, or what a recording reports; None where nothing does."""
    if live:
        return os.uname().machine
    (manifest,) = reader.read((MANIFEST,))
    if isinstance(manifest, bytes):
        from ..plain_json import parse

        try:
            word = parse(manifest).get("machine")
        except (ValueError, AttributeError):
            word = None
        if isinstance(word, str):
            return word
    from ..linux.cpuinfo import of_cpuinfo

    head = getattr(reader, "head", None)
    if head is not None:
        # Most kernels say it of the first cpu already; of thousands there may be megabytes.
        first = head(CPUINFO, ENOUGH)
        if not isinstance(first, int) and b"\n\n" in first:
            found = of_cpuinfo(first.partition(b"\n\n")[0].decode("ascii", "replace"))
            if found is not None:
                return found
    (cpuinfo,) = reader.read((CPUINFO,))
    return None if isinstance(cpuinfo, int) else of_cpuinfo(cpuinfo.decode("ascii", "replace"))
