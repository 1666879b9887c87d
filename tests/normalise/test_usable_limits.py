"""What memory can be used for, worked out by hand from the figures of two zones, and at each limit."""

from __future__ import annotations

from typing import Any

import pytest

from numaprobe import Cell, HugePages, Memory, Note, Usable, UsablePages
from numaprobe.linux.facts import AllowedFacts, LinuxFacts, MeminfoFacts
from numaprobe.linux.usable import UsableFacts, ZoneRoom
from numaprobe.normalise.usable import above_min, usable_of, with_usable

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
NONE = ZoneRoom(node=0, name="DMA32", free_pages=0, min_pages=0, managed_pages=0, protection_pages=(0, 0, 0, 0))
NORMAL = ZoneRoom(
    node=0, name="Normal", free_pages=30000, min_pages=100, managed_pages=131072, protection_pages=(0, 0, 4096, 8),
    active_file_pages=1000, inactive_file_pages=500, cma_pages=50, listed_pages=7,
)  # fmt: skip
MOVABLE = ZoneRoom(
    node=0, name="Movable", free_pages=50000, min_pages=60, managed_pages=131072, protection_pages=(0, 0, 0, 0),
    active_file_pages=3000, inactive_file_pages=2000, cma_pages=0, listed_pages=3,
)  # fmt: skip
DEVICE = NONE._replace(name="Device")
ZONES = (NONE, NORMAL, MOVABLE, DEVICE)
INFO = MeminfoFacts(total_kb=1 << 20, free_kb=320000, active_file_kb=40000, inactive_file_kb=20000, reclaimable_kb=3000)
BLOCKS = {(0, "Normal"): (5, 0, 3), (0, "Movable"): (1, 2, 4)}
ALLOWED = AllowedFacts(cpus=None, nodes=None, quota=None, where=())
# 25,811 and 49,943 free pages, 59,360 kB of the page cache, 2,360 kB of slab.
ORDINARY = 364736 * KIB
# 29,857 free pages, 5,600 kB of the page cache, 2,600 kB of slab.
PINNED = 127628 * KIB


def of(
    *zones: ZoneRoom, info: MeminfoFacts | None = INFO, total: int | None = GIB, pages: tuple[HugePages, ...] = (), **facts: Any
) -> Usable:  # fmt: skip
    allowed = facts.pop("allowed", ALLOWED)
    found = UsableFacts(**{"zones": zones or ZONES, "policy": "default", **facts})
    return usable_of(0, found, info=info, total=total, huge_pages=pages, allowed=allowed)


def test_what_both_zones_have_is_what_a_formula_gives() -> None:
    """The figures stand above; zones of other nodes have no part in it."""
    found = of(*ZONES, NORMAL._replace(node=1))
    assert found == Usable(
        ordinary=ORDINARY,
        pinned=PINNED,
        me=ORDINARY,
        pages=(),
        ordinary_from="zoneinfo and meminfo",
        pinned_from="zoneinfo without ZONE_MOVABLE, and meminfo",
        me_from="cpuset, memory policy and control groups",
    )


@pytest.mark.parametrize(
    ("normal", "movable", "ordinary", "pinned"),
    [
        # Each figure of a zone, one page more.
        ({"free_pages": 30001}, {}, 4, 4),
        ({"listed_pages": 8}, {}, 4, 4),
        ({"cma_pages": 51}, {}, 0, -4),
        ({"protection_pages": (0, 0, 4097, 8)}, {}, -4, 0),
        ({"protection_pages": (0, 0, 4096, 4097)}, {}, -4, 0),
        ({"protection_pages": (0, 1, 4096, 8)}, {}, 0, -4),
        # A page more above the minimum, and a page of it less of the cache and of the slab.
        ({"min_pages": 101}, {}, -12, -12),
        ({"active_file_pages": 1001}, {}, 0, 4),
        ({"inactive_file_pages": 501}, {}, 0, 4),
        ({}, {"free_pages": 50001}, 4, 0),
        ({}, {"listed_pages": 4}, 4, 0),
        ({}, {"min_pages": 61}, -12, 0),
        ({}, {"active_file_pages": 3001, "inactive_file_pages": 2001, "cma_pages": 9}, 0, 0),
        # Below its minimum a zone has nothing, and not less than that.
        ({}, {"free_pages": 57}, -49943 * 4, 0),
        ({}, {"free_pages": 0}, -49943 * 4, 0),
        ({"cma_pages": None}, {}, 0, 200),
        ({}, {"protection_pages": ()}, 0, 0),
        # Without a minimum 60 pages more, and as much more of the cache and of the slab.
        ({}, {"min_pages": 0}, 720, 0),
    ],
)
def test_each_figure_of_a_zone_counts_as_the_kernel_has_it(
    normal: dict[str, Any], movable: dict[str, Any], ordinary: int, pinned: int
) -> None:
    """The difference to the figures above is in kB."""
    found = of(NONE, NORMAL._replace(**normal), MOVABLE._replace(**movable), DEVICE)
    assert (found.ordinary, found.pinned) == (ORDINARY + ordinary * KIB, PINNED + pinned * KIB)


@pytest.mark.parametrize(
    ("info", "ordinary", "pinned"),
    [
        ({"active_file_kb": 40001}, 1, 0),
        ({"inactive_file_kb": 20001}, 1, 0),
        ({"reclaimable_kb": 3001}, 1, 1),
        # Half of what is less than twice the minimum of the zones.
        ({"reclaimable_kb": 1280}, -1720, -1720),
        ({"reclaimable_kb": 1278}, -1721, -1722),
        ({"reclaimable_kb": 800}, -1960, -2200),
        ({"reclaimable_kb": 798}, -1961, -2201),
        ({"active_file_kb": 1200, "inactive_file_kb": 0}, -58760, 0),
    ],
)
def test_each_figure_of_meminfo_counts_as_the_kernel_has_it(info: dict[str, Any], ordinary: int, pinned: int) -> None:
    """The page cache of pinned memory is that of its own zones."""
    found = of(info=INFO._replace(**info))
    assert (found.ordinary, found.pinned) == (ORDINARY + ordinary * KIB, PINNED + pinned * KIB)


def test_without_a_movable_zone_all_of_the_cache_counts_for_pinned_memory() -> None:
    """It is then meminfo's, as for ordinary memory; protection is that of the last zone."""
    zone = NORMAL._replace(managed_pages=262144)
    found = of(NONE, zone)
    # 25,811 free pages, 59,600 and 2,600 kB; 50 pages fewer that are in contiguous areas.
    assert (found.ordinary, found.pinned) == (165444 * KIB, 165244 * KIB)


def test_protection_is_that_of_the_last_zone_where_some_zones_are_not_listed() -> None:
    """Which column is ZONE_MOVABLE's is then unknown."""
    found = of(NORMAL, MOVABLE)
    assert (found.ordinary, found.pinned) == (ORDINARY, PINNED - 4096 * 4 * KIB)


@pytest.mark.parametrize("what", ["free_pages", "min_pages"])
def test_a_zone_whose_figures_are_unknown_has_no_known_part(what: str) -> None:
    """Of the movable zone they do not matter for pinned memory."""
    found = of(NONE, NORMAL, MOVABLE._replace(**{what: None}), DEVICE)
    assert (found.ordinary, found.pinned) == (None, PINNED)
    assert (found.ordinary_from, found.me, found.me_from) == (None, None, None)
    found = of(NONE, NORMAL._replace(**{what: None}), MOVABLE, DEVICE)
    assert (found.ordinary, found.pinned, found.pinned_from) == (None, None, None)
    assert above_min(NORMAL._replace(**{what: None}), ZONES, pinned=False) is None


@pytest.mark.parametrize("what", ["active_file_pages", "inactive_file_pages"])
def test_without_the_file_pages_of_a_zone_pinned_memory_is_unknown(what: str) -> None:
    """Kernels before 4.8 do not count them; of the movable zone they do not matter."""
    found = of(NONE, NORMAL._replace(**{what: None}), MOVABLE, DEVICE)
    assert (found.ordinary, found.pinned) == (ORDINARY, None)
    found = of(NONE, NORMAL, MOVABLE._replace(**{what: None}), DEVICE)
    assert (found.ordinary, found.pinned) == (ORDINARY, PINNED)


@pytest.mark.parametrize("what", ["active_file_kb", "inactive_file_kb", "reclaimable_kb"])
def test_without_a_figure_of_meminfo_what_counts_it_is_unknown(what: str) -> None:
    """Pinned memory counts the slab alone."""
    found = of(info=INFO._replace(**{what: None}))
    assert (found.ordinary, found.pinned) == (None, None if what == "reclaimable_kb" else PINNED)


@pytest.mark.parametrize("missing", [{"info": None}, {"total": None}, {"zones": None}, {"total": 1 << 40}])
def test_without_zones_or_a_size_that_fits_them_nothing_is_known(missing: dict[str, Any]) -> None:
    """The size of a page follows from both."""
    assert of(**missing) == Usable()


def test_no_more_is_usable_than_there_is() -> None:
    """The figures are of several moments."""
    found = of(NORMAL._replace(managed_pages=131072), info=INFO._replace(active_file_kb=1 << 20), total=GIB // 2)
    assert (found.ordinary, found.pinned) == (GIB // 2, GIB // 2)


def test_a_cell_without_memory_has_none_of_any_kind() -> None:
    """Which is known, and no page is looked for in it."""
    assert of(total=0, pages=(HugePages(2 * MIB, 0, 0, 0),)) == Usable(
        ordinary=0, pinned=0, me=0, ordinary_from="no memory", pinned_from="no memory", me_from="no memory"
    )


@pytest.mark.parametrize(
    ("facts", "me", "me_from"),
    [
        ({}, ORDINARY, "cpuset, memory policy and control groups"),
        ({"allowed": None}, None, None),
        ({"policy": None}, None, None),
        ({"room_known": False}, None, None),
        ({"room_known": False, "room": 5, "room_from": "f"}, None, None),
        ({"room": ORDINARY, "room_from": "f"}, ORDINARY, "cpuset, memory policy and control groups"),
        ({"room": ORDINARY - 1, "room_from": "f"}, ORDINARY - 1, "limit of f"),
        ({"room": 0, "room_from": "f"}, 0, "limit of f"),
        ({"allowed": ALLOWED._replace(nodes=(0, 1))}, ORDINARY, "cpuset, memory policy and control groups"),
        ({"allowed": ALLOWED._replace(nodes=(1,))}, 0, "not in the cpuset"),
        ({"allowed": ALLOWED._replace(nodes=(1,)), "room_known": False}, 0, "not in the cpuset"),
        ({"policy": "bind", "policy_nodes": (0,)}, ORDINARY, "cpuset, memory policy and control groups"),
        ({"policy": "bind", "policy_nodes": (1,)}, 0, "not in the memory policy (bind)"),
        ({"policy": "bind", "policy_nodes": None}, ORDINARY, "cpuset, memory policy and control groups"),
        ({"policy": "interleave", "policy_nodes": (1,)}, ORDINARY, "cpuset, memory policy and control groups"),
    ],
)
def test_what_this_process_may_use_is_limited_by_the_first_that_does(
    facts: dict[str, Any], me: int | None, me_from: str | None
) -> None:
    """Cpuset, policy, control groups, in this order; None where one of them is unknown."""
    found = of(**facts)
    assert (found.me, found.me_from) == (me, me_from)


def page(size: int, free: int | None = 5) -> HugePages:
    return HugePages(size=size, total=8, free=free, surplus=0)


BOTH = "free_hugepages and resv_hugepages"


@pytest.mark.parametrize(
    ("pages", "facts", "wanted"),
    [
        (page(8192), {"reserved": {8: 2}, "blocks": BLOCKS}, (3, 16, 45592, f"{BOTH}, buddyinfo, zoneinfo and meminfo")),
        (page(8192), {"reserved": {8: 5}}, (0, None, 45592, f"{BOTH}, zoneinfo and meminfo")),
        (page(8192), {"reserved": {8: 6}}, (0, None, 45592, f"{BOTH}, zoneinfo and meminfo")),
        (page(8192), {"reserved": {4: 2}}, (None, None, 45592, "zoneinfo and meminfo")),
        (page(8192, None), {"reserved": {8: 2}}, (None, None, 45592, "zoneinfo and meminfo")),
        (page(16384), {"blocks": BLOCKS}, (None, 7, 22796, "buddyinfo, zoneinfo and meminfo")),
        (page(32768), {"blocks": {**BLOCKS, (0, "Movable"): (1, 2, 1)}}, (None, None, 11398, "zoneinfo and meminfo")),
        (page(32768), {"blocks": {(0, "Normal"): (9, 9, 1), (0, "Movable"): (9, 9, 1)}},
         (None, 0, 11398, "buddyinfo, zoneinfo and meminfo")),
        (page(32768), {"blocks": {(0, "Normal"): (9, 9, 1), (0, "Movable"): (9, 9, 1, 3)}},
         (None, 3, 11398, "buddyinfo, zoneinfo and meminfo")),
        (page(8192), {"blocks": {(0, "Normal"): (5, 0, 3)}}, (None, None, 45592, "zoneinfo and meminfo")),
        (page(GIB), {"reserved": {1 << 20: 0}}, (5, 0, 0, f"{BOTH}, zoneinfo and meminfo")),
        (page(GIB), {"blocks": {(0, "Normal"): (0, 0, 1 << 20), (0, "Movable"): (0, 0, 0)}},
         (None, 0, 0, "zoneinfo and meminfo")),
        (page(8192), {"info": None, "blocks": BLOCKS, "reserved": {8: 1}}, (4, 16, None, f"{BOTH}, buddyinfo")),
        (page(8192), {"total": None, "reserved": {8: 1}, "blocks": BLOCKS}, (4, None, None, BOTH)),
    ],
)  # fmt: skip
def test_huge_pages_are_in_the_pool_now_and_at_most(
    pages: HugePages, facts: dict[str, Any], wanted: tuple[int | None, int | None, int | None, str | None]
) -> None:
    """Pages of two, four and eight base pages; a block that is larger gives several."""
    (found,) = of(pages=(pages,), **facts).pages
    pool, now, at_most, how = wanted
    assert found == UsablePages(size=pages.size, pool=pool, now=now, at_most=at_most, how=how)


@pytest.mark.parametrize(("free", "now"), [(106, 1), (107, 1), (108, 2), (109, 2), (99, 0)])
def test_blocks_below_the_minimum_are_not_given(free: int, now: int) -> None:
    """Of three blocks of two pages only those that are above it."""
    zone = NORMAL._replace(free_pages=free, listed_pages=0, protection_pages=(4,), managed_pages=262144)
    (found,) = of(zone, pages=(page(8192),), blocks={(0, "Normal"): (0, 3)}).pages
    assert found.now == now


@pytest.mark.parametrize("at_most", [0, 1, 2])
def test_no_more_pages_are_there_now_than_memory_gives(at_most: int) -> None:
    """Blocks are counted at another moment than pages."""
    zone = ZoneRoom(node=0, name="Normal", free_pages=8, min_pages=0, managed_pages=8)
    info = MeminfoFacts(total_kb=32, active_file_kb=0, inactive_file_kb=0, reclaimable_kb=0)
    found = usable_of(
        0,
        UsableFacts(zones=(zone._replace(free_pages=2 * at_most + 1),), blocks={(0, "Normal"): (0, 9)}),
        info=info,
        total=32 * KIB,
        huge_pages=(page(8192),),
        allowed=None,
    ).pages[0]
    assert (found.now, found.at_most) == (at_most, at_most)


def cells(*totals: int | None) -> tuple[Cell, ...]:
    return tuple(
        Cell(id=number, memory=Memory(), huge_pages=(HugePages(2 * MIB, total, total, 0),))
        for number, total in enumerate(totals)
    )


@pytest.mark.parametrize(
    ("totals", "reserved", "most"),
    [
        ((3, 4), 7, None),
        ((3, 4), 8, 7),
        ((3, None), 8, None),
        ((None, 3), 8, None),
        ((None, None), (1 << 35), None),
        ((None, 4), (1 << 35) + 1, 1 << 35),
        ((), 1 << 35, None),
        ((), (1 << 35) + 1, 1 << 35),
    ],
)
def test_no_more_huge_pages_are_promised_than_there_are(
    totals: tuple[int | None, ...], reserved: int, most: int | None
) -> None:
    """In all cells; where the pages of one are unknown, no more than addresses reach."""
    notes: list[Note] = []
    known = cells(*totals) or (Cell(id=0, memory=Memory(), huge_pages=(HugePages(GIB, 1, 1, 0),)),)
    facts = LinuxFacts._make([() if name == "nodes" else None for name in LinuxFacts._fields])
    with_usable(known, facts, UsableFacts(reserved={2048: reserved}), notes)
    where = "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"
    text = f"impossible: {reserved} where at most {most} are possible"
    assert notes == ([] if most is None else [Note(where, text)])
