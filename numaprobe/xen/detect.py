"""Whether this Linux runs under Xen, and as what; from files alone.

Opening privcmd to find out would be wrong: in a guest whose kernel has the fix for XSA-482 the open waits until
xenstored answers, which may be never.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from ..ports import Reader

# XENFEAT_dom0 of Xen's public/features.h: this is the domain that owns the hardware.
_DOM0 = 1 << 11

_FILES = (
    "sys/hypervisor/properties/features",
    "sys/hypervisor/start_flags/privileged",
    "proc/xen/capabilities",
)


def domain_kind(reader: Reader) -> Literal["control", "guest"] | None:
    """``control`` in a domain that may query the hypervisor, ``guest`` in any other, None where there is no Xen.

    Sources: ``/sys/hypervisor/type`` and ``properties/features`` (Documentation/ABI/stable/sysfs-hypervisor-xen of
    Linux), ``start_flags/privileged`` (Linux 6.3 and later), ``/proc/xen/capabilities`` where xenfs is mounted. Any
    one that says so makes a control domain: hardware domain and control domain may be two.
    """
    # The directory may be there without Xen; on s390 it belongs to another hypervisor.
    (kind,) = reader.read(("sys/hypervisor/type",))
    if not isinstance(kind, bytes) or kind.strip() != b"xen":
        return None
    return "control" if _controls(reader.read(_FILES)) else "guest"


def _controls(contents: Sequence[bytes | int]) -> bool:
    features, privileged, capabilities = (content if isinstance(content, bytes) else b"" for content in contents)
    try:
        dom0 = bool(int(features.strip(), 16) & _DOM0)
    except ValueError:  # absent before Linux 2.6.30, or withheld by a security policy
        dom0 = False
    return dom0 or privileged.strip() == b"1" or b"control_d" in capabilities.split()
