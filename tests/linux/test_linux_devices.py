"""Devices of a Linux tree: their names, the cell of each, and how that is known."""

from __future__ import annotations

import pytest
from collected import host
from trees import NODE, Machine, machine

import numaprobe
from numaprobe import Device

PCI = "sys/bus/pci/devices"
TWO = machine({0: [0, 1], 1: [2, 3]})


def pci(address: str, node: int | None, class_code: str = "0x020000", *inside: str, **files: str) -> Machine:
    """A device with directories inside."""
    tree: Machine = {f"{PCI}/{address}/{path}": None for path in inside}
    tree[f"{PCI}/{address}/class"] = f"{class_code}\n"
    if node is not None:
        tree[f"{PCI}/{address}/numa_node"] = f"{node}\n"
    return tree | {f"{PCI}/{address}/{name}": content for name, content in files.items()}


def only(tree: Machine) -> Device:
    devices = host(tree, devices=True).devices
    assert devices is not None
    return devices[0]


def test_a_node_that_is_not_online_is_noted_once_for_all_its_devices() -> None:
    """Its memory may have been removed; the kernel still names it."""
    tree = pci("0000:00:01.0", 5) | pci("0000:00:02.0", 5) | pci("0000:00:03.0", 0)
    found = host(TWO | tree, devices=True)
    assert [device.cell for device in found.devices or ()] == [5, 5, 0]
    assert [device.cpu_cell for device in found.devices or ()][:2] == [None, None]
    where = "sys/bus/*/devices/*/numa_node"
    texts = [note.text for note in found.notes if note.where == where]
    assert texts == ["node 5 of 0000:00:01.0 and 1 more is not online"]


@pytest.mark.parametrize(
    ("class_code", "inside", "names"),
    [
        ("0x020000", ["net/eth0"], [("net", "eth0")]),
        ("0x020700", ["net/ib0", "infiniband/mlx5_0"], [("net", "ib0"), ("infiniband", "mlx5_0")]),
        ("0x010802", ["nvme/nvme0/nvme0n1", "nvme/nvme0/hwmon1"], [("nvme", "nvme0"), ("block", "nvme0n1")]),
        ("0x010802", ["nvme/nvme0/nvme0c0n1"], [("nvme", "nvme0")]),
        ("0x030000", ["drm/card0/card0-DP-1", "drm/renderD128"], [("drm", "card0"), ("drm", "renderD128")]),
        ("0x120000", ["accel/accel0"], [("accel", "accel0")]),
        ("0x050210", ["mem0"], [("cxl", "mem0")]),
        ("0x020000", ["virtio0/net/eth1"], [("net", "eth1")]),
        ("0x010000", ["virtio3/block/vda"], [("block", "vda")]),
        ("0x060400", ["net/never"], []),
    ],
)
def test_a_device_has_the_names_of_the_classes_it_is_in(
    class_code: str, inside: list[str], names: list[tuple[str, str]]
) -> None:
    """Connectors of a card and paths of a namespace are no names; bridges are not looked into."""
    found = only(TWO | pci("0000:00:03.0", 1, class_code, *inside))
    assert list(found.names) == names


def test_dax_and_cxl_devices_stand_behind_those_of_pci() -> None:
    """A memory device that is also a PCI device is listed once."""
    tree = TWO | pci("0000:00:03.0", 0, "0x050210", "mem0")
    tree |= {"sys/bus/cxl/devices/mem0/numa_node": "0\n", "sys/bus/cxl/devices/mem1/numa_node": "1\n"}
    tree |= {"sys/bus/dax/devices/dax0.0/numa_node": "-1\n", "sys/bus/cxl/devices/decoder0.0": None}
    devices = host(tree, devices=True).devices
    assert devices is not None
    assert [(d.address, d.cell) for d in devices] == [("0000:00:03.0", 0), ("dax0.0", None), ("mem1", 1)]


def test_a_cell_is_known_from_the_kernels_node() -> None:
    """The first and surest of several ways, named in cell_from so that a reader can judge it."""
    found = only(TWO | pci("0000:00:03.0", 1))
    assert (found.cell, found.cell_from) == (1, "numa_node")
    assert (found.cpu_cell, found.cpu_cell_from) == (1, "own cell")


@pytest.mark.parametrize(("local", "cell"), [("2-3\n", 1), ("2\n", 1), ("0-3\n", None), ("\n", None)])
def test_local_cpus_of_one_cell_alone_say_where_a_device_without_a_node_is(local: str, cell: int | None) -> None:
    """The kernel lists all cpus where it knows nothing."""
    found = only(TWO | pci("0000:00:03.0", -1, local_cpulist=local))
    assert (found.cell, found.cell_from) == (cell, None if cell is None else "local_cpulist")


def test_a_device_without_a_node_has_that_of_the_bridge_above() -> None:
    """The search goes on through a bridge that has none itself."""
    tree = (
        TWO | pci("0000:00:01.0", 1, "0x060400", "0000:01:00.0") | pci("0000:01:00.0", -1, "0x060400", "0000:02:00.0")
    )
    devices = host(tree | pci("0000:02:00.0", -1), devices=True).devices
    assert devices is not None
    assert [(d.cell, d.cell_from) for d in devices] == [(1, "numa_node"), *2 * [(1, "bridge 0000:00:01.0")]]


def test_bridges_that_contain_each_other_end() -> None:
    """A tree made by hand may have such links, and the search must not loop."""
    tree = (
        TWO | pci("0000:00:01.0", -1, "0x060400", "0000:01:00.0") | pci("0000:01:00.0", -1, "0x060400", "0000:00:01.0")
    )
    assert only(tree).cell is None


THREE = machine({0: [0], 1: [1], 2: []}, distances={0: (10, 20, 40), 1: (20, 10, 30), 2: (40, 30, 10)})


def test_memory_without_cpus_has_the_cell_with_the_least_distance_for_its_cpus() -> None:
    """The device is a GPU whose own cell is its memory."""
    found = only(THREE | pci("0000:00:03.0", 2, "0x030200"))
    assert (found.cell, found.cpu_cell, found.cpu_cell_from) == (2, 1, "distances")


def test_firmwares_initiators_come_before_distances() -> None:
    """By distance node 1 would win; HMAT says which node really reaches the memory best."""
    tree = THREE | {f"{NODE}/node2/access1/initiators/node0": None}
    found = only(tree | pci("0000:00:03.0", 2))
    assert (found.cpu_cell, found.cpu_cell_from) == (0, "access1 initiators")


def test_two_cells_that_are_equally_near_are_none() -> None:
    """The lower id would be a guess."""
    tree = machine({0: [0], 1: [1], 2: []}, distances={0: (10, 20, 30), 1: (20, 10, 30), 2: (30, 30, 10)})
    found = only(tree | pci("0000:00:03.0", 2))
    assert (found.cpu_cell, found.cpu_cell_from) == (None, None)


def test_the_only_cell_with_cpus_is_near_to_all() -> None:
    """Even a device without a node has an answer for its CPUs when there is just one to choose."""
    found = only(machine({0: [0, 1], 1: []}) | pci("0000:00:03.0", -1))
    assert (found.cell, found.cpu_cell, found.cpu_cell_from) == (None, 0, "only cell with cpus")


@pytest.mark.parametrize("name", ["eth0", "0000:3b:00.0", "3b:00.0", "00000000:3B:00.0", "pci_0000_3b_00_0"])
def test_a_device_is_found_by_name_and_by_every_form_of_its_address(name: str) -> None:
    """Users paste what lspci, nvidia-smi, libvirt or ip printed, and place accepts each of them for near."""
    known = host(TWO | pci("0000:3b:00.0", 1, "0x020000", "net/eth0"), devices=True)
    assert known.device(name).cell == 1
    plan = numaprobe.place(known, vcpus=1, memory=64 << 20, near=name)
    assert plan.cells == (1,)


def test_a_device_that_is_not_there_is_a_key_error() -> None:
    """If devices were never requested, the message says to request them instead of denying the device."""
    with pytest.raises(KeyError, match="no device 'eth9'"):
        host(TWO, devices=True).device("eth9")
    with pytest.raises(KeyError, match="devices=True"):
        host(TWO).device("eth0")


def test_json_has_names_by_class() -> None:
    """One adapter can be two network interfaces and an RDMA device, and scripts look it up by any."""
    known = host(TWO | pci("0000:3b:00.0", 1, "0x020700", "net/ib0", "net/ib1", "infiniband/mlx5_0"), devices=True)
    assert known.to_dict()["devices"][0]["names"] == {"net": ["ib0", "ib1"], "infiniband": ["mlx5_0"]}


def test_local_cpus_say_nothing_where_one_cell_alone_has_cpus() -> None:
    """The list of all CPUs is then that of one cell: the device may be next to the other one."""
    found = only(machine({0: [0, 1], 1: []}) | pci("0000:00:03.0", -1, local_cpulist="0-1\n"))
    assert (found.cell, found.cell_from) == (None, None)
