"""What a cell's memory can be used for, from its zones, its free blocks, and the limits of this process."""

from __future__ import annotations

from ..model.usable import Usable, UsablePages
from .available import page_kb
from .possible import MAX_BYTES, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..linux.facts import AllowedFacts, LinuxFacts, MeminfoFacts
    from ..linux.usable import UsableFacts, ZoneRoom
    from ..model.host import Cell, HugePages, Memory, Note

MOVABLE = "Movable"
ORDINARY = "zoneinfo and meminfo"
PINNED = "zoneinfo without ZONE_MOVABLE, and meminfo"


def with_usable(cells: tuple[Cell, ...], facts: LinuxFacts, usable: UsableFacts, notes: list[Note]) -> tuple[Cell, ...]:
    """The cells with what their free memory can be used for."""
    infos = {node.id: node.meminfo for node in facts.nodes}
    usable = usable._replace(reserved=_reserved(cells, usable.reserved or {}, notes))
    return tuple(
        [
            cell._replace(
                usable=usable_of(
                    cell.id,
                    usable,
                    info=facts.meminfo if cell.stand_in else infos.get(cell.id),
                    total=cell.memory.total,
                    huge_pages=cell.huge_pages,
                    allowed=facts.allowed,
                )
            )
            for cell in cells
        ]
    )


def _reserved(cells: tuple[Cell, ...], counts: dict[int, int], notes: list[Note]) -> dict[int, int]:
    """Huge pages that are promised, by size in kB: no more than there are (gather_surplus_pages)."""
    totals: dict[int, int | None] = {}
    for cell in cells:
        for pages in cell.huge_pages:
            before = totals.get(pages.size >> 10, 0)
            totals[pages.size >> 10] = None if before is None or pages.total is None else before + pages.total
    found = {}
    for size, count in counts.items():
        most = totals.get(size)
        where = f"sys/kernel/mm/hugepages/hugepages-{size}kB/resv_hugepages"
        checked = within(count, (MAX_BYTES >> 10) // size if most is None else most, where, notes)
        if checked is not None:
            found[size] = checked
    return found


def usable_of(
    node: int,
    facts: UsableFacts,
    *,
    info: MeminfoFacts | None,
    total: int | None,
    huge_pages: Sequence[HugePages],
    allowed: AllowedFacts | None,
) -> Usable:
    """What one node's memory can be used for. ``total`` is its checked size in bytes."""
    if total == 0:
        return Usable(
            ordinary=0, pinned=0, me=0, ordinary_from="no memory", pinned_from="no memory", me_from="no memory"
        )
    own = [zone for zone in facts.zones or () if zone.node == node]
    size_kb = None if total is None else page_kb(total >> 10, sum([zone.managed_pages or 0 for zone in own]))
    ordinary = pinned = None
    if total is not None and size_kb is not None and info is not None:
        ordinary = _bytes(own, info, size_kb, total, pinned=False)
        pinned = _bytes(own, info, size_kb, total, pinned=True)
    me, me_from = _for_me(node, ordinary, facts, allowed)
    return Usable(
        ordinary=ordinary,
        pinned=pinned,
        me=me,
        pages=tuple([_pages(pages, own, facts, size_kb, ordinary) for pages in huge_pages]),
        ordinary_from=None if ordinary is None else ORDINARY,
        pinned_from=None if pinned is None else PINNED,
        me_from=me_from,
    )


def above_min(zone: ZoneRoom, zones: Sequence[ZoneRoom], *, pinned: bool) -> int | None:
    """Free pages of a zone above what the kernel refuses to give (__zone_watermark_ok of Linux's mm/page_alloc.c).

    Protection is by the highest zone that an allocation may use: the last for ordinary memory, and the one before
    ZONE_MOVABLE for pinned memory.
    """
    if zone.free_pages is None or zone.min_pages is None:
        return None
    protection = zone.protection_pages
    names = [one.name for one in zones]
    # A column for each zone that the kernel is built with; kernels that leave out empty zones show fewer of them.
    if pinned and MOVABLE in names and len(names) == len(protection):
        protection = protection[: names.index(MOVABLE)]
    free = zone.free_pages + zone.listed_pages - ((zone.cma_pages or 0) if pinned else 0)
    return max(0, free - zone.min_pages - max(protection, default=0))


def _bytes(zones: Sequence[ZoneRoom], info: MeminfoFacts, size_kb: int, total: int, *, pinned: bool) -> int | None:
    chosen = [zone for zone in zones if zone.managed_pages and not (pinned and zone.name == MOVABLE)]
    every = [zone for zone in zones if zone.managed_pages]
    free = [above_min(zone, zones, pinned=pinned) for zone in chosen]
    if None in free:
        return None
    if len(chosen) < len(every):
        files = [(zone.active_file_pages, zone.inactive_file_pages) for zone in chosen]
        if any(None in pair for pair in files):
            return None
        cache_kb: int | None = sum([(a or 0) + (b or 0) for a, b in files]) * size_kb
    elif info.active_file_kb is None or info.inactive_file_kb is None:
        cache_kb = None
    else:
        cache_kb = info.active_file_kb + info.inactive_file_kb
    if cache_kb is None or info.reclaimable_kb is None:
        return None
    # As the kernel's own estimate has it (si_mem_available of mm/show_mem.c): some of the cache is always in use.
    low_kb = sum([zone.min_pages or 0 for zone in chosen]) * size_kb
    given = sum([cache - min(cache // 2, low_kb) for cache in (cache_kb, info.reclaimable_kb)])
    found = (sum([pages or 0 for pages in free]) * size_kb + given) << 10
    return min(found, total)


def _for_me(
    node: int, ordinary: int | None, facts: UsableFacts, allowed: AllowedFacts | None
) -> tuple[int | None, str | None]:
    """The part for this process, and what limits it; None where its cpuset or its policy is unknown."""
    if ordinary is None or allowed is None or facts.policy is None:
        return None, None
    if allowed.nodes is not None and node not in allowed.nodes:
        return 0, "not in the cpuset"
    # Other policies prefer nodes, and fall back to the others.
    if facts.policy.startswith("bind") and facts.policy_nodes is not None and node not in facts.policy_nodes:
        return 0, "not in the memory policy (bind)"
    if not facts.room_known:
        return None, None
    if facts.room is not None and facts.room < ordinary:
        return facts.room, f"limit of {facts.room_from}"
    return ordinary, "cpuset, memory policy and control groups"


def _pages(
    pages: HugePages, zones: Sequence[ZoneRoom], facts: UsableFacts, size_kb: int | None, ordinary: int | None
) -> UsablePages:
    reserved = (facts.reserved or {}).get(pages.size >> 10)
    # Reservations are of the whole host: in the worst case all of them are to be met here.
    pool = None if pages.free is None or reserved is None else max(0, pages.free - reserved)
    how = ["free_hugepages and resv_hugepages"] if pool is not None else []
    now = None
    if size_kb is not None and facts.blocks is not None:
        order = (pages.size >> 10) // size_kb
        now = _blocks(zones, facts.blocks, order.bit_length() - 1)
        how += ["buddyinfo"] if now is not None else []
    at_most = None if ordinary is None else ordinary // pages.size
    how += [ORDINARY] if at_most is not None else []
    if at_most == 0 and now is None:
        now = 0
    return UsablePages(
        size=pages.size,
        pool=pool,
        now=now if now is None or at_most is None else min(now, at_most),
        at_most=at_most,
        how=", ".join(how) or None,
    )


def _blocks(zones: Sequence[ZoneRoom], blocks: dict[tuple[int, str], tuple[int, ...]], order: int) -> int | None:
    """Blocks of an order that the zones can give.

    Of an order above the largest that the kernel keeps, as of 1 GiB: 0 where a zone's largest blocks together are
    smaller than one, None where they are not, because nothing says which of them are neighbours.
    """
    count = 0
    for zone in zones:
        if not zone.managed_pages:
            continue
        free = blocks.get((zone.node, zone.name))
        above = above_min(zone, zones, pinned=False)
        if free is None or above is None:
            return None
        if order >= len(free):
            if free[-1] << len(free) - 1 >> order:
                return None
            continue
        count += min(sum([number << larger for larger, number in enumerate(free[order:])]), above >> order)
    return count


def usable_of_xen(memory: Memory) -> Usable:
    """Xen moves no memory of guests, so that any of it may be pinned; it does not report its superpages."""
    free, how = memory.available, memory.available_from
    return Usable(ordinary=free, pinned=free, ordinary_from=how, pinned_from=how)
