"""Available memory of one node: the kernel's formula for the whole machine, on the node's own counters."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.facts import MeminfoFacts, ZoneFacts


def available_memory(info: MeminfoFacts, zones: list[ZoneFacts]) -> int | None:
    """Bytes available without swapping: si_mem_available of Linux's mm/show_mem.c, applied to one node's counters.

    Free pages, less what every zone keeps back, plus the file pages and reclaimable slab less the part that the
    system needs to keep working (half of each, at most the low watermarks). None if a counter is missing.
    """
    if info.total_kb == 0:
        return 0
    kept = None if info.total_kb is None else kept_back(info.total_kb, zones)
    return available_above(kept, info.free_kb, info.active_file_kb, info.inactive_file_kb, info.reclaimable_kb)


class KeptBack(namedtuple("KeptBack", "reserve_kb low_kb")):
    """What the zones of a node keep back in all, and their low watermarks."""

    __slots__ = ()
    reserve_kb: int
    low_kb: int


def kept_back(total_kb: int, zones: list[ZoneFacts]) -> KeptBack | None:
    """The same for as long as total and zones are; None if they do not fit together."""
    managed = low = reserve = 0
    for zone in zones:
        if not zone.managed_pages:
            continue
        if zone.low_pages is None or zone.high_pages is None:
            # A table that is not whole: what this zone keeps back would count as available.
            return None
        managed += zone.managed_pages
        low += zone.low_pages
        # calculate_totalreserve_pages of mm/page_alloc.c: what is kept from lower allocations, and the high mark.
        reserve += min(zone.managed_pages, zone.high_pages + max(zone.protection_pages, default=0))
    size_kb = page_kb(total_kb, managed)
    return None if size_kb is None else KeptBack(reserve_kb=reserve * size_kb, low_kb=low * size_kb)


def available_above(
    kept: KeptBack | None, free: int | None, active: int | None, inactive: int | None, reclaimable: int | None
) -> int | None:
    """Bytes that are available above what is kept back; the counters are in kB."""
    if kept is None or free is None or active is None or inactive is None or reclaimable is None:
        return None
    reserve, low = kept.reserve_kb, kept.low_kb
    cache = active + inactive
    available_kb: int = free - reserve + cache - min(cache // 2, low) + reclaimable - min(reclaimable // 2, low)
    available: int = max(0, available_kb) << 10
    return available


def page_kb(total_kb: int, managed_pages: int) -> int | None:
    """Size of a base page in kB, from MemTotal being the sum of the zones' managed pages.

    The figures are read at two moments, so the nearest power of two is taken, and None if none is near.
    """
    if managed_pages <= 0:
        return None
    for size_kb in (4, 8, 16, 32, 64, 128, 256):
        if abs(managed_pages * size_kb - total_kb) * 4 <= total_kb:
            return size_kb
    return None
