"""How sizes and ids are written."""

from __future__ import annotations

import pytest

from numaprobe import wording


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1 << 10, "1 KiB"),
        (3 << 9, "1.5 KiB"),
        (1 << 20, "1 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 40, "1 TiB"),
        (5 << 49, "2560 TiB"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_it_fills(size: int, written: str) -> None:
    """Powers of 1024 with at most one decimal; TiB is the last unit, also beyond."""
    assert wording.size(size) == written
