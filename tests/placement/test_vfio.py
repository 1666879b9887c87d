"""Guests with a device that is passed through: all their memory is pinned, and none of it may be in ZONE_MOVABLE."""

from __future__ import annotations

import pytest
from commands import Plant, run
from hosts import GIB, MIB, host
from rich import rich

from numaprobe import DoesNotFit, Host, HugePages, Request, Usable, UsablePages, place, place_all


def with_pinned(*sizes: int | None) -> Host:
    """Cells with 16 GiB free each, and so much of it outside ZONE_MOVABLE."""
    machine = host([16 * GIB] * len(sizes))
    cells = zip(machine.cells, sizes, strict=True)
    return machine._replace(cells=tuple(c._replace(usable=Usable(ordinary=16 * GIB, pinned=size)) for c, size in cells))


def test_it_goes_where_enough_memory_may_be_pinned() -> None:
    """Both cells have room, but most of the first is ZONE_MOVABLE, where a device's DMA pages may not stay."""
    machine = with_pinned(4 * GIB, 12 * GIB)
    assert place(machine, vcpus=2, memory=8 * GIB).cells == (0,)
    assert place(machine, vcpus=2, memory=8 * GIB, vfio=True).cells == (1,)


def test_what_one_such_guest_has_pinned_another_cannot() -> None:
    """The others take movable memory first, so that both kinds fit in one cell."""
    machine = with_pinned(9 * GIB)
    wanted = [Request(vcpus=1, memory=8 * GIB, vfio=True), Request(vcpus=1, memory=7 * GIB)]
    assert [plan.cells for plan in place_all(machine, wanted).plans if plan] == [(0,), (0,)]
    with pytest.raises(DoesNotFit):
        place_all(machine, [Request(vcpus=1, memory=7 * GIB, vfio=True)] * 2)


@pytest.mark.parametrize("optimal", [False, True])
def test_a_batch_never_pins_more_than_a_cell_has(optimal: bool) -> None:
    """By the search and by the solver: guests of 4 GiB fit two in 9 and one in 5, and the fourth is left out."""
    if optimal:
        pytest.importorskip("scipy")
    machine = with_pinned(9 * GIB, 5 * GIB)
    wanted = [Request(vcpus=1, memory=4 * GIB, vfio=True, max_cells=1)] * 4
    found = place_all(machine, wanted, partial=True, optimal=optimal, reserve=0)
    pinned = {0: 0, 1: 0}
    for plan in found.plans:
        for cell, size in plan.memory.items() if plan else ():
            pinned[cell] += size
    assert pinned == {0: 8 * GIB, 1: 4 * GIB}


def test_a_refusal_says_how_much_may_be_pinned() -> None:
    """Plenty of memory is free, so the reason has to name the zone that is in the way."""
    with pytest.raises(DoesNotFit) as refused:
        place(with_pinned(4 * GIB), vcpus=1, memory=8 * GIB, vfio=True)
    assert any("may be pinned (outside ZONE_MOVABLE)" in reason for reason in refused.value.reasons)


def test_unknown_is_not_enough() -> None:
    """Probed and unreadable is a refusal; not probed at all leaves placement as it was before the option."""
    with pytest.raises(DoesNotFit) as refused:
        place(with_pinned(None), vcpus=1, memory=GIB, vfio=True)
    assert any("unknown" in reason for reason in refused.value.reasons)
    # A host that was probed without it is as it was: nobody has looked.
    assert place(host([16 * GIB]), vcpus=1, memory=GIB, vfio=True).cells == (0,)


def test_huge_pages_that_are_reserved_are_not_free() -> None:
    """60 pages are free and 40 of them promised to mappings that have not touched them yet."""
    (cell,) = host([16 * GIB]).cells
    pages = HugePages(2 * MIB, 100, 60, 0)
    usable = Usable(ordinary=16 * GIB, pinned=16 * GIB, pages=(UsablePages(size=2 * MIB, pool=20),))
    machine = host([16 * GIB])._replace(cells=(cell._replace(huge_pages=(pages,), usable=usable),))
    assert place(machine, vcpus=1, memory=40 * MIB, huge_page=2 * MIB).cells == (0,)
    with pytest.raises(DoesNotFit):
        place(machine, vcpus=1, memory=42 * MIB, huge_page=2 * MIB)


def test_the_command_line_looks_where_it_matters(plant: Plant) -> None:
    """One tree with Normal zones and one with Movable ones; --vfio itself makes the probe read zoneinfo."""
    words = ("place", "--vcpus", "2", "--memory", "1G", "--json", "--ignore-allowed", "--root", plant(rich()))
    assert run(*words, "--vfio").returncode == run(*words).returncode == 0
    tree = rich()
    tree["proc/zoneinfo"] = str(tree["proc/zoneinfo"]).replace("Normal", "Movable")
    root = plant(tree)
    assert run(*words[:-1], root).returncode == 0
    refused = run(*words[:-1], root, "--vfio")
    assert refused.returncode == 3
    assert "may be pinned" in refused.stdout
