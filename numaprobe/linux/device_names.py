"""Names that the kernel's classes have for a PCI device: ``eth0``, ``mlx5_0``, ``nvme0``, ``card0``, ``accel0``.

They are directories below the device, a directory for each class, so that no link has to be followed back.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

CLASSES = ("net", "infiniband", "nvme", "drm", "accel")
# Base classes of PCI whose devices may have such a name: storage, network, display, memory (CXL), accelerators.
BASE = frozenset((0x01, 0x02, 0x03, 0x05, 0x12))
INFINIBAND = 0x0C06
# Red Hat's: virtio devices of any class.
VIRTIO = 0x1AF4


def names_of(source: Source, where: str, class_code: int | None, vendor: int | None) -> tuple[tuple[str, str], ...]:
    """Pairs of class and name; empty where there are none, and for bridges and the like, which are not looked at."""
    named = class_code is not None and (class_code >> 16 in BASE or class_code >> 8 == INFINIBAND)
    if not named and vendor != VIRTIO:
        return ()
    inside = source.names(where) or ()
    found = []
    for kind in CLASSES:
        if kind in inside:
            found += _class(source, f"{where}/{kind}", kind)
    for name in inside:
        if name.startswith("virtio") and name[6:].isdigit():
            for kind in ("net", "block"):
                found += _class(source, f"{where}/{name}/{kind}", kind)
        elif name.startswith("mem") and name[3:].isdigit():
            found.append(("cxl", name))
    return tuple(found)


def _class(source: Source, where: str, kind: str) -> list[tuple[str, str]]:
    found = []
    for name in source.names(where) or ():
        # What a display's card is connected to is named after it.
        if kind == "drm" and "-" in name:
            continue
        found.append((kind, name))
        if kind == "nvme":
            # Namespaces; those with a c are paths of one that is elsewhere (nvme-multipath).
            spaces = source.names(f"{where}/{name}", f"{name}n") or ()
            found += [("block", space) for space in spaces]
    return found
