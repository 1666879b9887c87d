"""What a request may say, and what is refused before any host is looked at."""

from __future__ import annotations

import pytest

from numaprobe import Request
from numaprobe.model.devices import pci_address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("0000:3b:00.0", "0000:3b:00.0"),
        ("3b:00.0", "0000:3b:00.0"),
        ("00:03.0", "0000:00:03.0"),
        ("3B:1F.7", "0000:3b:1f.7"),
        ("00000000:3B:00.0", "0000:3b:00.0"),
        ("10000:01:00.0", "10000:01:00.0"),
        ("00010000:E1:00.0", "10000:e1:00.0"),
        ("pci_0000_3b_00_0", "0000:3b:00.0"),
    ],
)
def test_a_pci_address_is_understood_in_every_usual_form(written: str, address: str) -> None:
    """As lspci, sysfs, nvidia-smi and libvirt write it."""
    assert pci_address(written) == address
    assert Request(1, 4096, near=written).near == (address,)


@pytest.mark.parametrize("other", ["eth0", "nvme0n1", "3b:00", "3b:00.8", "3b:20.0", "zz:00.0", "1:2:3:4.0", "", "."])
def test_what_is_no_pci_address_is_not_taken_for_one(other: str) -> None:
    """It may still be the name of a device."""
    assert pci_address(other) is None


def test_near_takes_several_devices_and_cells_once_each() -> None:
    """They stay in the order given, and the same address in two forms is one."""
    assert Request(1, 4096, near=["3B:00.0", 1, "0000:3b:00.0", "eth0"]).near == ("0000:3b:00.0", 1, "eth0")


def test_cores_and_smt_isolate_are_the_same() -> None:
    """Both spellings give equal requests, and each vcpu its own CPUs."""
    assert Request(2, 4096, cores=True) == Request(2, 4096, smt="isolate")
    assert Request(2, 4096, smt="isolate").exclusive == 2
    assert Request(2, 4096, smt="require").pinned


def test_a_request_may_pin_some_of_its_vcpus() -> None:
    """All of them is the same as pinned."""
    assert Request(4, 4096, pinned_vcpus=[1, 0]).exclusive == 2
    assert not Request(4, 4096, pinned_vcpus=[0, 1]).dedicated
    assert Request(2, 4096, pinned_vcpus=[0, 1]) == Request(2, 4096, pinned=True)


@pytest.mark.parametrize(
    "wishes",
    [
        {"smt": "maybe"},
        {"smt": "share", "cores": True},
        {"pinned_vcpus": [4]},
        {"pinned_vcpus": [0], "pinned": True},
        {"emulator": 0},
        {"kinds": "ram"},
        {"near": -1},
    ],
)
def test_wishes_that_contradict_each_other_are_refused(wishes: dict[str, object]) -> None:
    """As values that make no sense on any host."""
    with pytest.raises(ValueError, match=r"must|cannot|not"):
        Request(4, 4096, **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize("wishes", [{"pinned_vcpus": 1}, {"pinned_vcpus": "01"}, {"near": [""]}, {"fewest": 1}])
def test_wishes_of_the_wrong_type_are_refused(wishes: dict[str, object]) -> None:
    """A number where a list belongs, and the like."""
    with pytest.raises(TypeError):
        Request(4, 4096, **wishes)  # type: ignore[arg-type]
