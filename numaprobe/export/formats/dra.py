"""A host as ResourceSlices of Kubernetes' Dynamic Resource Allocation, ``resource.k8s.io/v1``.

Cells and PCI devices are devices with the standard attributes ``resource.kubernetes.io/numaNode`` (KEP-6072) and
``resource.kubernetes.io/pciBusID``. JSON, which kubectl takes as it takes YAML.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...model.host import Cell, Device, Host

NUMA_NODE, PCI_BUS_ID = "resource.kubernetes.io/numaNode", "resource.kubernetes.io/pciBusID"
# Its owner is whoever deploys it: a driver's name should end with a domain of his.
DRIVER = "numaprobe"
# Of a ResourceSlice (ResourceSliceMaxDevices of the API).
MAX_DEVICES = 128
# Base classes of PCI that somebody gives to a pod: storage, network, display, processors, accelerators.
CLASSES = (0x01, 0x02, 0x03, 0x0B, 0x12)


def render(host: Host, *, name: str | None = None, driver: str = DRIVER, numa_list: bool = False) -> str:
    """The slices of one pool: a ResourceSlice, or a List of them if there are more devices than one takes.

    ``name`` is the Kubernetes node's and that of the pool; left out if None: ``kubectl`` then refuses it. ``numa_list``
    makes ``numaNode`` a list: the own node, then those of the same package at the least distance (feature gate
    DRAListTypeAttributes). Raises ``ValueError`` for a hypervisor's own cells, which no kubelet sees.
    """
    if host.hypervisor is not None:
        raise ValueError("a kubelet sees the nodes of its kernel, not those of the hypervisor (--source linux)")
    nodes = {cell.id: _nodes(host, cell, numa_list=numa_list) for cell in host.cells if not cell.stand_in}
    devices = [_cell(host, cell, nodes) for cell in host.cells]
    devices += [_device(device, nodes) for device in host.devices or () if _is_given(device)]
    parts = [devices[i : i + MAX_DEVICES] for i in range(0, len(devices), MAX_DEVICES)] or [[]]
    slices = [_slice(name, driver, number, len(parts), part) for number, part in enumerate(parts)]
    whole = slices[0] if len(slices) == 1 else {"apiVersion": "v1", "kind": "List", "items": slices}
    return json.dumps(whole, indent=1) + "\n"


def _slice(name: str | None, driver: str, number: int, count: int, devices: list[dict[str, Any]]) -> dict[str, Any]:
    pool = {} if name is None else {"name": name}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {} if name is None else {"name": f"{name}-{driver}-{number}"},
        "spec": {
            "driver": driver,
            **({} if name is None else {"nodeName": name}),
            "pool": {**pool, "generation": 1, "resourceSliceCount": count},
            "devices": devices,
        },
    }


def _cell(host: Host, cell: Cell, nodes: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """A cell's CPUs and memory; memory of a GPU is near the cell with CPUs that is nearest to it."""
    home: int | None = cell.id
    if cell.kind == "gpu" and not cell.cpus:
        home = _nearest(host, cell)
    capacity = {}
    if cell.cpus:
        capacity["cpus"] = {"value": str(len(cell.cpus))}
    if cell.memory.total:
        capacity["memory"] = {"value": str(cell.memory.total)}
    attributes = dict(_numa(home, nodes))
    if cell.kind is not None:
        attributes["kind"] = {"string": cell.kind}
    return {"name": f"cell-{cell.id}", "attributes": attributes, **({"capacity": capacity} if capacity else {})}


def _device(device: Device, nodes: dict[int, dict[str, Any]]) -> dict[str, Any]:
    home = device.cpu_cell if device.cpu_cell is not None else device.cell
    attributes = dict(_numa(home, nodes))
    if _is_pci(device):
        attributes[PCI_BUS_ID] = {"string": device.address}
    for kind, name in device.names:
        attributes.setdefault(kind, {"string": name})
    return {"name": f"device-{device.address.replace(':', '-').replace('.', '-')}", "attributes": attributes}


def _numa(cell: int | None, nodes: dict[int, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The attribute; a device without a node must not have it."""
    if cell is not None and cell in nodes:
        yield NUMA_NODE, nodes[cell]


def _is_given(device: Device) -> bool:
    return bool(device.names) or (device.class_code is not None and device.class_code >> 16 in CLASSES)


def _is_pci(device: Device) -> bool:
    return device.address.count(":") == 2


def _nodes(host: Host, cell: Cell, *, numa_list: bool) -> dict[str, Any]:
    """The value of the attribute for a cell."""
    if not numa_list:
        return {"int": cell.id}
    packages = _packages(host, cell)
    costs = dict(cell.distances or ())
    near = [
        (cost, other.id)
        for other in host.cells
        if other.id != cell.id and packages & _packages(host, other) and (cost := costs.get(other.id)) is not None
    ]
    least = min(near, default=(0, 0))[0]
    return {"ints": [cell.id, *[other for cost, other in sorted(near) if cost == least]]}


def _packages(host: Host, cell: Cell) -> set[int]:
    return {cpu.package for cpu in host.cpus if cpu.cell == cell.id and cpu.package is not None}


def _nearest(host: Host, cell: Cell) -> int | None:
    """The cell with CPUs at the least distance; None where nothing says, and where two are equally near."""
    costs = dict(cell.distances or ())
    found = sorted((cost, one.id) for one in host.cells if one.cpus and (cost := costs.get(one.id)) is not None)
    if not found or (len(found) > 1 and found[0][0] == found[1][0]):
        return None
    return found[0][1]
