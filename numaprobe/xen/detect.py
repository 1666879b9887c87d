"""Whether this Linux runs under Xen, and as what; from files alone.

Opening privcmd to find out would be wrong: in a guest whose kernel has the fix for XSA-482 the open waits until
xenstored answers, which may be never.
"""

from __future__ import annotations

from errno import EACCES, EISDIR, ENODEV, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM
from os import strerror

from ..errors import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from ..ports import Reader

# XENFEAT_dom0 of Xen's public/features.h: this is the domain that owns the hardware.
_DOM0 = 1 << 11

# Of a file that the kernel or its policy does not have.
_ABSENT = (ENOENT, ENOTDIR, EISDIR, ENODEV, EOPNOTSUPP)
_TYPE = "sys/hypervisor/type"
_FILES = (
    "sys/hypervisor/properties/features",
    "sys/hypervisor/start_flags/privileged",
    "proc/xen/capabilities",
)


def domain_kind(reader: Reader) -> Literal["control", "guest"] | None:
    """``control`` in a domain that may query the hypervisor, ``guest`` in any other, None where there is no Xen.

    Sources: ``/sys/hypervisor/type`` and ``properties/features`` (Documentation/ABI/stable/sysfs-hypervisor-xen of
    Linux), ``start_flags/privileged`` (Linux 6.3 and later), ``/proc/xen/capabilities`` where xenfs is mounted. Any
    one that says so makes a control domain: hardware domain and control domain may be two. Raises ``SourceError`` if
    the type cannot be read, or none says so and one cannot be read: a control domain's own view is not the machine.
    """
    # The directory may be there without Xen; on s390 it belongs to another hypervisor.
    (kind,) = reader.read((_TYPE,))
    if isinstance(kind, int):
        # Where nothing of /sys may be read, the files of Linux say so themselves.
        if kind not in (EACCES, EPERM):
            _check(_TYPE, kind)
        return None
    if kind.strip() != b"xen":
        return None
    contents = reader.read(_FILES)
    if _controls(contents):
        return "control"
    for path, content in zip(_FILES, contents, strict=True):
        if isinstance(content, int):
            _check(path, content)
    return "guest"


def _check(path: str, errno: int) -> None:
    if errno not in _ABSENT:
        reason = f"{strerror(errno)}, so it is unknown whether this is Xen's control domain (--source linux or xen)"
        raise SourceError(path, errno, reason)


def _controls(contents: Sequence[bytes | int]) -> bool:
    features, privileged, capabilities = (content if isinstance(content, bytes) else b"" for content in contents)
    try:
        dom0 = bool(int(features.strip(), 16) & _DOM0)
    except ValueError:  # absent before Linux 2.6.30, or withheld by a security policy
        dom0 = False
    return dom0 or privileged.strip() == b"1" or b"control_d" in capabilities.split()
