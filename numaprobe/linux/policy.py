"""What the kernel does with memory on its own, and memory that it does not use: read for the doctor only.

Sources: Documentation/admin-guide/sysctl/{kernel,vm}.rst and Documentation/admin-guide/mm/{ksm,memory-hotplug}.rst of
Linux.
"""

from __future__ import annotations

from ..named import namedtuple
from . import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

BALANCING = "proc/sys/kernel/numa_balancing"
RECLAIM = "proc/sys/vm/zone_reclaim_mode"
KSM = "sys/kernel/mm/ksm"
BLOCKS = "sys/devices/system/memory"
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
    """Five files, and one for each memory block."""
    paths = (BALANCING, RECLAIM, f"{KSM}/run", f"{KSM}/merge_across_nodes")
    balancing, reclaim, run, merge = (
        None if content is None else text.number(path, content)
        for path, content in zip(paths, source.read(paths), strict=True)
    )
    size = source.one(f"{BLOCKS}/block_size_bytes")
    return PolicyFacts(
        numa_balancing=balancing,
        zone_reclaim_mode=reclaim,
        ksm_run=run,
        ksm_merge_across_nodes=merge,
        block_size=None if size is None else _hexadecimal(size),
        offline_blocks=_offline(source),
    )


def _hexadecimal(content: bytes) -> int | None:
    digits = content.strip(b"\0 \n")
    return int(digits, 16) if digits and not digits.strip(b"0123456789abcdef") else None


def _offline(source: Source) -> tuple[int, ...] | None:
    names = source.names(BLOCKS, "memory")
    if names is None:
        return None
    blocks = text.suffix_numbers(names, "memory")
    if not blocks or len(blocks) > MAX_BLOCKS:
        return None
    states = source.read([f"memory{block}/state" for block in blocks], BLOCKS)
    return tuple(
        sorted(block for block, state in zip(blocks, states, strict=True) if state and state.strip() == b"offline")
    )
