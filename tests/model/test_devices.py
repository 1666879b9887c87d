"""Names of devices: each part of a PCI address at its limits, and what finds a device."""

from __future__ import annotations

import pytest
from hosts import host, made

from numaprobe import Device
from numaprobe.model.devices import names_document, pci_address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("ffffffff:00:00.0", "ffffffff:00:00.0"),
        ("fffffffff:00:00.0", None),
        ("0000:ff:00.0", "0000:ff:00.0"),
        ("0000:fff:00.0", None),
        ("0000:00:1f.7", "0000:00:1f.7"),
        ("0000:00:20.7", None),
        ("0000:00:01f.7", None),
        ("0000:00:1f.8", None),
        ("0000:00:1f.07", None),
        ("1:2:3.4", "0001:02:03.4"),
        (":00:1f.7", None),
        ("0000::1f.7", None),
        ("0000:00:.7", None),
        ("0000:00:1f.", None),
        ("pci_1234_56_07_1", "1234:56:07.1"),
        ("pci_56_07_1", "0000:56:07.1"),
        ("pci_56_07", None),
    ],
)
def test_each_part_of_an_address_has_its_digits_and_its_limit(written: str, address: str | None) -> None:
    """Domains have up to 32 bits, buses 8, slots 5 and functions 3, in hexadecimal."""
    assert pci_address(written) == address


def test_a_device_is_found_by_its_address_in_any_form_or_by_a_name() -> None:
    """Two devices, so that the first one is not taken for whatever is wanted."""
    first = made(Device, address="0000:3b:00.0", names=(("net", "eth0"), ("infiniband", "mlx5_0")))
    second = made(Device, address="0000:5e:00.1", names=(("nvme", "nvme0"),))
    machine = host([1], devices=[first, second])
    assert [machine.device(name) for name in ("3B:00.0", "eth0", "mlx5_0")] == [first] * 3
    assert [machine.device(name) for name in ("pci_0000_5e_00_1", "nvme0")] == [second] * 2
    with pytest.raises(KeyError, match="no device 'eth1'"):
        machine.device("eth1")
    with pytest.raises(KeyError, match=r"no device 'eth0': the host was probed without devices=True"):
        host([1]).device("eth0")


def test_names_are_listed_by_class_in_their_order() -> None:
    """A device with two ports has two names of one class."""
    names = (("net", "eth0"), ("nvme", "nvme0"), ("net", "eth1"))
    assert names_document(names) == {"net": ["eth0", "eth1"], "nvme": ["nvme0"]}
    assert names_document(()) == {}
