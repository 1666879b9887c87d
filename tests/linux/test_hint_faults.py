"""Hint faults of vcpu threads, as ``/proc/PID/task/TID/sched`` has them."""

from __future__ import annotations

import pytest

from numaprobe import FactError
from numaprobe.linux.guests.hint_faults import parse

SCHED = b"""CPU 0/KVM (4711, #threads: 4)
-------------------------------------------------------------------
se.exec_start                                :      13375012.155044
mm->numa_scan_seq                            :                    7
numa_pages_migrated                          :                    0
total_numa_faults                            :                  110
current_node=1, numa_group_id=0
numa_faults node=0 task_private=100 task_shared=3 group_private=0 group_shared=0
numa_faults node=12 task_private=0 task_shared=7 group_private=0 group_shared=0
"""


def test_faults_are_those_of_the_task_by_the_node_of_the_memory() -> None:
    """They show where automatic NUMA balancing saw a vcpu use memory, so a group's faults must not be mixed in."""
    assert parse("sched", SCHED) == {0: 103, 12: 7}


def test_a_kernel_or_a_thread_without_them_has_none() -> None:
    """Without CONFIG_NUMA_BALANCING, or before the first scan, the count is unknown and not 0."""
    assert parse("sched", b"CPU 0/KVM (4711, #threads: 4)\ncurrent_node=1, numa_group_id=0\n") is None


@pytest.mark.parametrize(
    "line", [b"numa_faults node=x task_private=1 task_shared=2", b"numa_faults node=1 task_private=1"]
)
def test_a_line_that_is_not_understood_is_an_error_that_quotes_it(line: bytes) -> None:
    """A node that is no number, or a line with half of its counts, would otherwise be attributed to some other node."""
    with pytest.raises(FactError, match="not a node and its faults"):
        parse("sched", line + b"\n")
