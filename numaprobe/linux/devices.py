"""PCI devices and the node each is near: ``/sys/bus/pci/devices`` (Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

from ..errors import FactError
from . import text
from .facts import DeviceFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

DEVICES = "sys/bus/pci/devices"
ATTRIBUTES = ("numa_node", "class", "vendor", "device")


def collect(source: Source) -> tuple[DeviceFacts, ...] | None:
    """Every PCI device by address; None where the kernel has no PCI bus. Four files a device, in one batch."""
    addresses = source.names(DEVICES)
    if addresses is None:
        return None
    contents = source.read([f"{address}/{name}" for address in addresses for name in ATTRIBUTES], DEVICES)
    found = []
    for i, address in enumerate(addresses):
        node_text, *codes = contents[i * 4 : i * 4 + 4]
        class_code, vendor, device = (
            source.parsed(_code, f"{DEVICES}/{address}/{name}", content)
            for name, content in zip(ATTRIBUTES[1:], codes, strict=True)
        )
        found.append(
            DeviceFacts(
                address=address,
                node=source.parsed(text.identity, f"{DEVICES}/{address}/numa_node", node_text),
                class_code=class_code,
                vendor=vendor,
                device=device,
            )
        )
    return tuple(found)


def _code(where: str, content: bytes) -> int:
    digits = content.strip(b"\0 \n").removeprefix(b"0x")
    if not 0 < len(digits) <= 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise FactError(where, content, "not a hexadecimal number")
    return int(digits, 16)
