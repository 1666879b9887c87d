"""Devices and the node each is near: PCI, and the DAX and CXL devices that are on no PCI bus.

Sources: ``/sys/bus/{pci,dax,cxl}/devices`` (Documentation/ABI/testing/sysfs-bus-{pci,dax,cxl} of Linux).
"""

from __future__ import annotations

from ..errors import FactError
from . import text
from .device_names import names_of
from .facts import DeviceFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

DEVICES = "sys/bus/pci/devices"
ATTRIBUTES = ("numa_node", "class", "vendor", "device")
# Buses whose devices have a node of their own, and how their names begin.
OTHERS = (("dax", "dax"), ("cxl", "mem"))
BRIDGE = 0x0604
# A host with hundreds of virtual functions on each of its cards has a few thousand.
MAX_DEVICES = 1 << 14


def collect(source: Source, *, several: bool = False) -> tuple[DeviceFacts, ...] | None:
    """Every device by address, PCI first; None where the kernel has none of the buses.

    Four files a PCI device, in one batch; a directory for those that may have a name in a class. ``several`` says that
    the host has several nodes: what else indicates the node of such a device is then read too.
    """
    addresses = source.names(DEVICES)
    if addresses is not None and len(addresses) > MAX_DEVICES:
        source.misread(FactError(DEVICES, f"{len(addresses)} devices", "more than can be read"))
        addresses = None
    others = _others(source)
    if addresses is None:
        return others or None
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
                names=names_of(source, f"{DEVICES}/{address}", class_code, vendor),
            )
        )
    if several and any(device.node is None for device in found):
        found = _otherwise(source, found)
    named = {name for device in found for _, name in device.names}
    return (*found, *(device for device in others if device.address not in named))


def _otherwise(source: Source, devices: list[DeviceFacts]) -> list[DeviceFacts]:
    """Local cpus and bridge of the devices whose node the kernel does not know."""
    without = [device.address for device in devices if device.node is None]
    contents = source.read([f"{address}/local_cpulist" for address in without], DEVICES)
    local = {
        address: source.parsed(_local, f"{DEVICES}/{address}/local_cpulist", content)
        for address, content in zip(without, contents, strict=True)
    }
    bridge_of = {}
    known = {device.address for device in devices}
    for device in devices:
        if device.class_code is not None and device.class_code >> 8 == BRIDGE:
            for name in source.names(f"{DEVICES}/{device.address}") or ():
                if name in known:
                    bridge_of[name] = device.address
    return [
        device
        if device.node is not None
        else device._replace(local_cpus=local.get(device.address), bridge=bridge_of.get(device.address))
        for device in devices
    ]


def _others(source: Source) -> tuple[DeviceFacts, ...]:
    found = []
    for bus, prefix in OTHERS:
        directory = f"sys/bus/{bus}/devices"
        names = source.names(directory, prefix) or []
        contents = source.read([f"{name}/numa_node" for name in names], directory)
        for name, content in zip(names, contents, strict=True):
            node = source.parsed(text.identity, f"{directory}/{name}/numa_node", content)
            found.append(DeviceFacts(address=name, node=node, names=((bus, name),)))
    return tuple(found)


def _local(where: str, content: bytes) -> tuple[int, ...]:
    found = text.ids(where, content)
    # Without a node the kernel has all online CPUs, or those of the bus.
    if not found:
        raise FactError(where, content, "no CPUs")
    return found


def _code(where: str, content: bytes) -> int:
    digits = content.strip(b"\0 \n").removeprefix(b"0x")
    if not 0 < len(digits) <= 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise FactError(where, content, "not a hexadecimal number")
    return int(digits, 16)
