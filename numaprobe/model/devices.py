"""How devices are named: one parser of PCI addresses, and a lookup by address or name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Device


def pci_address(text: str) -> str | None:
    """A PCI address as sysfs writes it, ``0000:3b:00.0``, from any usual form; None for another text.

    The domain may be missing (lspci) or have eight digits (nvidia-smi), digits may be upper case, and the parts may be
    joined as in libvirt's ``pci_0000_3b_00_0``.
    """
    if text.startswith("pci_"):
        parts = text[4:].split("_")
    else:
        head, dot, function = text.rpartition(".")
        parts = [*head.split(":"), function] if dot else []
    if len(parts) == 3:
        parts.insert(0, "0")
    if len(parts) != 4:
        return None
    values = []
    for part, most in zip(parts, (8, 2, 2, 1), strict=True):
        if not 0 < len(part) <= most or not set(part.lower()) <= set("0123456789abcdef"):
            return None
        values.append(int(part, 16))
    domain, bus, slot, function_number = values
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function_number:x}" if slot < 32 and function_number < 8 else None


def find(devices: tuple[Device, ...] | None, name: str) -> Device:
    """The device with this address, in any usual form, or name. Raises ``KeyError`` if there is none."""
    if devices is None:
        raise KeyError(f"no device {name!r}: the host was probed without devices=True")
    wanted = pci_address(name) or name
    for device in devices:
        if device.address == wanted or any(known == name for _, known in device.names):
            return device
    raise KeyError(f"no device {name!r}")


def names_document(names: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Names by their class."""
    found: dict[str, list[str]] = {}
    for kind, name in names:
        found.setdefault(kind, []).append(name)
    return found
