"""The kernel's own settings, as the doctor reads them: what is broken costs that setting alone."""

from __future__ import annotations

import pytest
from trees import Machine, Shelf

from numaprobe.linux.policy import collect
from numaprobe.linux.source import Source

BLOCKS = "sys/devices/system/memory"
TREE: Machine = {
    "proc/sys/kernel/numa_balancing": "1\n",
    "proc/sys/vm/zone_reclaim_mode": "0\n",
    "sys/kernel/mm/ksm/run": "1\n",
    "sys/kernel/mm/ksm/merge_across_nodes": "1\n",
    f"{BLOCKS}/block_size_bytes": "8000000\n",
    f"{BLOCKS}/memory0/state": "online\n",
    f"{BLOCKS}/memory1/state": "offline\n",
}
FIELDS = dict(
    zip(
        TREE,
        (
            "numa_balancing",
            "zone_reclaim_mode",
            "ksm_run",
            "ksm_merge_across_nodes",
            "block_size",
            "offline_blocks",
            "offline_blocks",
        ),
        strict=True,
    )
)


def test_settings_are_those_of_the_kernel() -> None:
    """Each file has its own form: decimal switches, a hexadecimal block size, and a word for each block."""
    source = Source(Shelf(TREE))
    assert tuple(collect(source)) == (1, 0, 1, 1, 128 << 20, (1,))
    assert not source.notes


@pytest.mark.parametrize("text", ["#!?\n", "", "-1\n", "18446744073709551615\n"])
@pytest.mark.parametrize("path", TREE)
def test_a_broken_setting_is_unknown_and_noted(path: str, text: str) -> None:
    """The others stay: numaprobe doctor goes on."""
    source = Source(Shelf({**TREE, path: text}))
    found, whole = collect(source)._asdict(), collect(Source(Shelf(TREE)))._asdict()
    assert found == {**whole, FIELDS[path]: None}
    assert path.removeprefix("sys/devices/system/cpu/") in [where for where, _ in source.notes]
