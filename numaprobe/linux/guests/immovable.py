"""Memory of a process that the kernel does not migrate: what a device accesses (VFIO), and guest_memfd.

Pages that vfio or iommufd map for a device are pinned for as long as they are mapped, and the file of a guest_memfd has
no operation to migrate its pages. Both show in the descriptors of the process.
"""

from __future__ import annotations

import os
from errno import EINVAL

from .files import GONE, numbers
from .guest_memfd import LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...ports import Reader

# The device itself, the file of its IOMMU group, and that of the device where iommufd is used (Linux 6.6).
DEVICE = "anon_inode:[vfio-device]"
FOLDER = "/dev/vfio/"
MAPPED = "its memory cannot be moved: a device accesses it (VFIO)"
PRIVATE = "its memory cannot be moved: it is private to the guest (guest_memfd)"


def immovable(reader: Reader, process: int) -> str | None:
    """Why the memory of a process cannot be moved; None where nothing shows that it cannot."""
    names = reader.listdir(f"proc/{process}/fd")
    if isinstance(names, int):
        if names in GONE:
            # The process has ended, or it was recorded without its descriptors.
            if isinstance(reader.listdir(f"proc/{process}"), int):
                return None
            return f"whether its memory can be moved is not known: /proc/{process}/fd is not in the recording"
        reason = os.strerror(names)
        return f"whether its memory can be moved is not known: /proc/{process}/fd cannot be listed ({reason})"
    links = [reader.readlink(f"proc/{process}/fd/{number}") for number in numbers(names)]
    if any(isinstance(link, str) and is_of_vfio(link) for link in links):
        return MAPPED
    if LINK in links:
        return PRIVATE
    # A descriptor may be closed while it is looked at.
    denied = next((link for link in links if isinstance(link, int) and link not in (*GONE, EINVAL)), None)
    if denied is not None:
        reason = os.strerror(denied)
        return f"whether its memory can be moved is not known: /proc/{process}/fd cannot be read ({reason})"
    return None


def is_of_vfio(link: str) -> bool:
    """Whether a descriptor lets a device access the memory of its process."""
    return link == DEVICE or link.startswith(FOLDER)
