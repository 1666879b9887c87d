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
    "sys/kernel/mm/numa/demotion_enabled": "true\n",
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
            "demotion",
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
    assert tuple(collect(source)) == (1, 0, 1, 1, 128 << 20, (1,), True, None)
    assert not source.notes


@pytest.mark.parametrize("text", ["#!?\n", "", "-1\n", "18446744073709551615\n"])
@pytest.mark.parametrize("path", TREE)
def test_a_broken_setting_is_unknown_and_noted(path: str, text: str) -> None:
    """The others stay: numaprobe doctor goes on."""
    source = Source(Shelf({**TREE, path: text}))
    found, whole = collect(source)._asdict(), collect(Source(Shelf(TREE)))._asdict()
    assert found == {**whole, FIELDS[path]: None}
    assert path.removeprefix("sys/devices/system/cpu/") in [where for where, _ in source.notes]


VMSTAT = "nr_free_pages 5\nnuma_hint_faults 90\nnuma_hint_faults_local 60\nnuma_pages_migrated 4\n"


@pytest.mark.parametrize(
    ("balancing", "text", "counts"),
    [
        ("1\n", VMSTAT, (90, 60, 4)),
        ("1\n", "nr_free_pages 5\n", (None, None, None)),
        ("0\n", VMSTAT, None),
        ("1\n", "numa_hint_faults x\n", None),
    ],
)
def test_what_balancing_has_done_is_counted_where_it_is_on(
    balancing: str, text: str, counts: tuple[int | None, ...] | None
) -> None:
    """A kernel without balancing has no such counters, and those of one that was switched off say nothing of now."""
    source = Source(Shelf({**TREE, "proc/sys/kernel/numa_balancing": balancing, "proc/vmstat": text}))
    assert collect(source).balanced == counts
    assert [where for where, _ in source.notes] == (["proc/vmstat"] if "x" in text.split() else [])
