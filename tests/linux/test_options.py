"""Values in the command lines of QEMU and cloud-hypervisor."""

from __future__ import annotations

import pytest

from numaprobe.linux.guests.options import MIB, size


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("0", 0),
        ("96", 96),
        ("96b", 96),
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("512MB", 512 << 20),
        ("512MiB", 512 << 20),
        ("5KB", 5 << 10),
        ("1k", 1 << 10),
        (" 1.5G ", 3 << 29),
        ("2T", 2 << 40),
        ("1P", 1 << 50),
        ("64P", 1 << 56),
        ("72057594037927936", 1 << 56),
        ("72057594037927937", None),
        ("1E", None),
        ("0x10", 16),
        ("0xb", 11),
        ("0x1e", 30),
        ("", None),
        ("M", None),
        ("b", None),
        ("x", None),
        ("-1", None),
        ("1.5.5G", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_a_size_has_a_unit_or_is_in_bytes(written: str, found: int | None) -> None:
    """As QEMU's qemu_strtosz reads it, and with the words of other programs."""
    assert size(written) == found


@pytest.mark.parametrize(("written", "found"), [("96", 96 << 20), ("1.5", 3 << 19), ("1G", 1 << 30), ("4k", 4096)])
def test_a_bare_number_is_in_the_units_of_its_option(written: str, found: int) -> None:
    """QEMU's -m counts in MiB, also in fractions, and a suffix overrides it."""
    assert size(written, MIB) == found
