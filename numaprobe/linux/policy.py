"""What the kernel does with memory on its own, and memory that it does not use: read for the doctor only.

Sources: Documentation/admin-guide/sysctl/{kernel,vm}.rst, Documentation/admin-guide/mm/{ksm,memory-hotplug}.rst and
Documentation/ABI/testing/sysfs-kernel-mm-numa of Linux; balancing's counters are those of vmstat_text of mm/vmstat.c.
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
DEMOTION = "sys/kernel/mm/numa/demotion_enabled"
VMSTAT = "proc/vmstat"
# What automatic balancing has done since boot, on the whole host.
BALANCED = ("numa_hint_faults", "numa_hint_faults_local", "numa_pages_migrated")
_SWITCH = partial(text.word, known=("true", "false"), what="a switch")
BLOCKS = "sys/devices/system/memory"
# The largest value of each: what the kernel takes for it (kernel/sched/core.c, int of mm/vmscan.c), the flags of KSM
# (KSM_RUN_OFFLINE and below, mm/ksm.c), and a switch.
SETTINGS = ((BALANCING, 4), (RECLAIM, (1 << 31) - 1), (f"{KSM}/run", 7), (f"{KSM}/merge_across_nodes", 1))
# As many states of blocks as are read: 8 TiB in blocks of 2 GiB, half a TiB in those of 128 MiB.
MAX_BLOCKS = 4096


class PolicyFacts(
    namedtuple(
        "PolicyFacts",
        "numa_balancing zone_reclaim_mode ksm_run ksm_merge_across_nodes block_size offline_blocks demotion balanced",
        defaults=(None, None, None, None, None, None, None, None),
    )
):
    """Numbers as the kernel has them; None for what it does not have, and what cannot be read.

    ``block_size`` is the bytes of a memory block, ``offline_blocks`` the numbers of those that are offline; None on a
    host with too many blocks to look at each. ``balanced`` are the counts of ``BALANCED``, read only where balancing is
    on.
    """

    __slots__ = ()
    numa_balancing: int | None
    zone_reclaim_mode: int | None
    ksm_run: int | None
    ksm_merge_across_nodes: int | None
    block_size: int | None
    offline_blocks: tuple[int, ...] | None
    demotion: bool | None
    balanced: tuple[int | None, ...] | None


def collect(source: Source) -> PolicyFacts:
    """Six files, one more where balancing is on, and one for each memory block; what is broken is None and noted."""
    contents = source.read([path for path, _ in SETTINGS])
    balancing, reclaim, run, merge = (
        source.parsed(partial(_setting, most), path, content)
        for (path, most), content in zip(SETTINGS, contents, strict=True)
    )
    demotion = source.parsed(_SWITCH, DEMOTION, source.one(DEMOTION))
    counted = partial(text.words, names=tuple([name.encode() for name in BALANCED]))
    return PolicyFacts(
        numa_balancing=balancing,
        zone_reclaim_mode=reclaim,
        ksm_run=run,
        ksm_merge_across_nodes=merge,
        block_size=block_size(source),
        offline_blocks=_offline(source),
        demotion=None if demotion is None else demotion == "true",
        balanced=source.parsed(counted, VMSTAT, source.one(VMSTAT)) if balancing else None,
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
