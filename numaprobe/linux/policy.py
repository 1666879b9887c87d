"""What the kernel does with memory on its own, and memory that it does not use: read for the doctor only.

Sources: Documentation/admin-guide/sysctl/{kernel,vm}.rst and Documentation/admin-guide/mm/{ksm,memory-hotplug}.rst of
Linux.
"""

from __future__ import annotations

from functools import partial

from ..errors import FactError
from ..named import namedtuple
from . import text
from .memory_state import block_size, states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

BALANCING = "proc/sys/kernel/numa_balancing"
RECLAIM = "proc/sys/vm/zone_reclaim_mode"
KSM = "sys/kernel/mm/ksm"
BLOCKS = "sys/devices/system/memory"
# The largest value of each: what the kernel takes for it (kernel/sched/core.c, int of mm/vmscan.c), the flags of KSM
# (KSM_RUN_OFFLINE and below, mm/ksm.c), and a switch.
SETTINGS = ((BALANCING, 4), (RECLAIM, (1 << 31) - 1), (f"{KSM}/run", 7), (f"{KSM}/merge_across_nodes", 1))
# As many states of blocks as are read: 8 TiB in blocks of 2 GiB, half a TiB in those of 128 MiB.
MAX_BLOCKS = 4096


class PolicyFacts(
    namedtuple(
        "PolicyFacts",
        "numa_balancing zone_reclaim_mode ksm_run ksm_merge_across_nodes block_size offline_blocks",
        defaults=(None, None, None, None, None, None),
    )
):
    """Numbers as the kernel has them; None for what it does not have, and what cannot be read.

    ``block_size`` is the bytes of a memory block, ``offline_blocks`` the numbers of those that are offline; None on a
    host with too many blocks to look at each.
    """

    __slots__ = ()
    numa_balancing: int | None
    zone_reclaim_mode: int | None
    ksm_run: int | None
    ksm_merge_across_nodes: int | None
    block_size: int | None
    offline_blocks: tuple[int, ...] | None


def collect(source: Source) -> PolicyFacts:
    """Five files, and one for each memory block; what is broken is None and noted."""
    contents = source.read([path for path, _ in SETTINGS])
    balancing, reclaim, run, merge = (
        source.parsed(partial(_setting, most), path, content)
        for (path, most), content in zip(SETTINGS, contents, strict=True)
    )
    return PolicyFacts(
        numa_balancing=balancing,
        zone_reclaim_mode=reclaim,
        ksm_run=run,
        ksm_merge_across_nodes=merge,
        block_size=block_size(source),
        offline_blocks=_offline(source),
    )


def _setting(most: int, where: str, content: bytes) -> int:
    value = text.number(where, content)
    if not 0 <= value <= most:
        raise FactError(where, content, "not a value that the kernel has")
    return value


def _offline(source: Source) -> tuple[int, ...] | None:
    names = source.names(BLOCKS, "memory")
    if names is None:
        return None
    blocks = text.suffix_numbers(names, "memory")
    if not blocks or len(blocks) > MAX_BLOCKS:
        return None
    found = states(source, blocks)
    if None in found:
        return None
    return tuple(sorted(block for block, state in zip(blocks, found, strict=True) if state == "offline"))
