"""The rows of ``numaprobe traffic``: cells where some have them, and a share only where both counters are sane."""

from __future__ import annotations

import pytest

from numaprobe import Traffic
from numaprobe.cli.traffic import lines


def row(**known: object) -> Traffic:
    return Traffic(**{"group": "", "cache": 0, **known})  # type: ignore[arg-type]


def test_a_column_of_cells_has_a_dash_where_a_row_has_none() -> None:
    """With sub-NUMA clustering a cache has parts; figures of the whole one have no cell."""
    found = lines([row(cell=1, occupancy=4096), row(group="web")], rates=True)
    assert [line.split() for line in found] == [
        ["group", "L3", "cell", "occupancy", "total/s", "local/s", "remote"],
        ["(default)", "0", "1", "4.0", "KiB", "-", "-", "-"],
        ["web", "0", "-", "-", "-", "-", "-"],
    ]
    assert "cell" not in lines([row()], rates=False)[0]
    assert "total/s" not in lines([row()], rates=False)[0]


@pytest.mark.parametrize(
    ("total", "local", "shown"),
    [
        (100, 75, "25%"),
        (100, 100, "0%"),
        (100, 101, "-"),
        (100, 0, "100%"),
        (0, 0, "-"),
        (None, 1, "-"),
        (1, None, "-"),
    ],
)
def test_the_remote_part_is_what_is_not_local(total: float | None, local: float | None, shown: str) -> None:
    """The counters are read one after the other, so that local may be above total for a moment."""
    assert lines([row(total=total, local=local)], rates=False)[1].split()[-1] == shown
