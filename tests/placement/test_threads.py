"""What counts as a CPU: threads, cores, or cores that nobody else may use."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hosts import GIB, domain, host
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Cache, DoesNotFit, Host, place

CLUSTERS = {0: [10, 11, 20, 20], 1: [11, 10, 20, 20], 2: [20, 20, 10, 11], 3: [20, 20, 11, 10]}


def test_a_guest_gets_a_core_for_each_vcpu_where_the_next_cluster_has_them() -> None:
    """Six vcpus, four cores a cell, and cells 1.1 times as far as local: two of them, and the plan says so."""
    plan = place(host([16 * GIB] * 4, distances=CLUSTERS), vcpus=6, memory=GIB)
    assert plan.cells == (0, 1)
    assert "6 vcpus on 8 free cores of cells 0-1; one cell has 4 at most" in plan.reasons
    assert plan.distance == pytest.approx((4 * 10 + 2 * 11) / 6)


def test_a_guest_shares_cores_rather_than_reach_far() -> None:
    """The plan states where a core for each vcpu would have been."""
    plan = place(host([16 * GIB] * 2), vcpus=6, memory=GIB)
    assert plan.cells == (0,)
    assert "6 vcpus on 4 free cores, so some share a core; cells 0-1 have 8, 20 apart" in plan.reasons


def test_cells_are_close_together_only_if_they_are_both_ways() -> None:
    """Nearly local from 0 to 1, and four times as far back."""
    plan = place(host([16 * GIB] * 2, distances={0: [10, 11], 1: [40, 10]}), vcpus=6, memory=GIB)
    assert plan.cells == (0,)


def test_threads_count_if_the_guest_shares() -> None:
    """Six vcpus on the eight threads of one cell."""
    assert place(host([16 * GIB] * 4, distances=CLUSTERS), vcpus=6, memory=GIB, smt="share").cells == (0,)


def test_avoid_counts_cores_and_leaves_their_siblings_to_others() -> None:
    """One thread of each core; the others can still be used."""
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, smt="avoid")
    assert plan.cpus == (0, 2, 4, 6)
    with pytest.raises(DoesNotFit, match="missing 1 free core"):
        place(host([16 * GIB]), vcpus=5, memory=GIB, smt="avoid")
    running = domain("first", 4, pinned=[one.cpus for one in plan.vcpus])
    assert place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, smt="share", domains=[running]).cpus == (
        1,
        3,
        5,
        7,
    )
    with pytest.raises(DoesNotFit):
        place(host([16 * GIB]), vcpus=1, memory=GIB, pinned=True, smt="avoid", domains=[running])


def test_require_takes_threads_of_cores_that_have_two() -> None:
    """As nova does; a lone thread is not used."""
    lone = domain("lone", 1, pinned=[(0,)])
    plan = place(host([16 * GIB]), vcpus=6, memory=GIB, smt="require", domains=[lone])
    assert plan.cpus == (2, 3, 4, 5, 6, 7)
    with pytest.raises(DoesNotFit):
        place(host([16 * GIB]), vcpus=7, memory=GIB, smt="require", domains=[lone])
    with pytest.raises(DoesNotFit):
        place(host([16 * GIB], threads=1), vcpus=2, memory=GIB, smt="require")


def test_require_takes_the_same_number_of_threads_of_each_core() -> None:
    """Cores of four have three, two and two threads left: six vcpus get pairs, and seven do not fit."""
    machine = host([16 * GIB], cpus=12, threads=4, isolated=(0, 4, 5, 8, 9))
    plan = place(machine, vcpus=6, memory=GIB, smt="require")
    assert [sum(cpu // 4 == core for cpu in plan.cpus) for core in range(3)] == [2, 2, 2]
    with pytest.raises(DoesNotFit):
        place(machine, vcpus=7, memory=GIB, smt="require")


def clustered(cpus: int, per_cache: int, threads: int, taken: Sequence[int]) -> Host:
    machine = host([64 * GIB], cpus=cpus, threads=threads, isolated=taken)
    return machine._replace(cpus=tuple(cpu._replace(die=0, cluster=cpu.id // per_cache) for cpu in machine.cpus))


@given(st.integers(1, 8), st.sets(st.integers(0, 31)), st.sampled_from(("pack", "spread")), st.sampled_from((1, 2)))
def test_pinned_vcpus_share_a_cache_wherever_one_has_room(
    vcpus: int, taken: set[int], policy: str, threads: int
) -> None:
    """Odd numbers too, whatever is left of each cache."""
    machine = clustered(32, 8, threads, sorted(taken))
    free = [sum(cpu not in taken for cpu in range(8 * i, 8 * i + 8)) for i in range(4)]
    if sum(free) < vcpus:
        return
    plan = place(machine, vcpus=vcpus, memory=GIB, pinned=True, policy=policy)
    caches = {cpu // 8 for cpu in plan.cpus}
    assert (len(caches) == 1) == (max(free) >= vcpus)


def test_the_last_level_cache_decides_where_caches_are_known() -> None:
    """Three vcpus, and two caches of four CPUs each; the first has two left."""
    machine = host([64 * GIB], threads=1, isolated=(0, 1))
    caches = tuple(
        Cache(level=level, type="unified", size=None, id=None, cpus=tuple(range(first, first + each)))
        for level, each in ((1, 1), (2, 1), (3, 4))
        for first in range(0, 8, each)
    )
    assert place(machine, vcpus=3, memory=GIB, pinned=True).cpus == (2, 3, 4)
    assert place(machine._replace(caches=caches), vcpus=3, memory=GIB, pinned=True).cpus == (4, 5, 6)


def test_of_two_cells_the_one_with_room_in_a_cache_is_taken() -> None:
    """Cell 0 is fuller, but its free CPUs are in several caches."""
    machine = host([32 * GIB, 64 * GIB], cpus=16, isolated=(0, 1, 4, 5, 8, 9, 12, 13))
    machine = machine._replace(cpus=tuple(cpu._replace(die=0, cluster=cpu.id // 4) for cpu in machine.cpus))
    assert place(machine, vcpus=3, memory=GIB, pinned=True).cells == (1,)
    assert place(machine, vcpus=2, memory=GIB, pinned=True).cells == (0,)


def test_several_devices_are_near_by_the_farthest_and_then_by_the_sum() -> None:
    """Cells themselves may be named."""
    rows = {0: [10, 20, 30], 1: [20, 10, 21], 2: [30, 21, 10]}
    machine = host([16 * GIB] * 3, distances=rows)
    assert place(machine, vcpus=1, memory=GIB, near=[0, 2]).cells == (1,)
    assert place(machine, vcpus=1, memory=GIB, near=2).cells == (2,)
    with pytest.raises(ValueError, match="no cell 9"):
        place(machine, vcpus=1, memory=GIB, near=9)


def test_threads_of_whole_cores_share_a_cache_where_a_cell_has_one_with_room() -> None:
    """One core is left in each cache of cell 0, and two in one of cell 1."""
    machine = host([4 * GIB, 4 * GIB], cpus=8)
    caches = tuple(
        Cache(level=3, type="unified", size=None, id=None, cpus=tuple(range(first, first + 4)))
        for first in range(0, 16, 4)
    )
    held = domain("held", 6, pinned=[(0,), (1,), (4,), (5,), (8,), (9,)])
    plan = place(machine._replace(caches=caches), vcpus=3, memory=GIB, smt="require", domains=[held])
    assert set(plan.cpus) < {12, 13, 14, 15}


def test_a_cell_with_a_core_for_each_vcpu_comes_before_several() -> None:
    """Cell 0 would be taken for its threads, and cells 0 and 1 together for their cores; cell 2 has all of them."""
    rows = {0: [10, 11, 20], 1: [11, 10, 20], 2: [20, 20, 10]}
    machine = host([2 * GIB, 2 * GIB, 4 * GIB], cpus=8, distances=rows)
    held = domain("held", 2, pinned=[(0,), (8,)])
    for pinned in (False, True):
        assert place(machine, vcpus=4, memory=GIB, pinned=pinned, domains=[held], reserve=0).cells == (2,)


def test_vcpus_on_several_cells_for_their_cores_get_a_core_each() -> None:
    """Neither of the two cells could hold the guest, and a third one could by its threads."""
    rows = {0: [10, 12, 20], 1: [12, 10, 20], 2: [20, 20, 10]}
    machine = host([3 * GIB, 3 * GIB, 8 * GIB], cpus=8, distances=rows)
    plan = place(machine, vcpus=6, memory=4 * GIB, pinned=True, reserve=0)
    assert plan.cells == (0, 1)
    assert len({cpu // 2 for cpu in plan.cpus}) == 6


def test_cells_that_are_near_are_found_among_others_that_are_not_near_to_each_other() -> None:
    """Cell 1 is nearer to cell 0 than to cell 2, which has the cores."""
    rows = {0: [10, 11, 20], 1: [11, 10, 12], 2: [20, 12, 10]}
    held = domain("held", 3, pinned=[(0,), (2,), (4,)])
    machine = host([GIB, 4 * GIB, GIB], cpus=8, distances=rows)
    plan = place(machine, vcpus=7, memory=2 * GIB, domains=[held], reserve=0)
    assert plan.cells == (1, 2)


def test_a_vcpu_on_the_thread_of_a_core_that_others_use_is_said_to_share_it() -> None:
    """No whole core is left on the only cell."""
    held = domain("held", 4, pinned=[(0,), (2,), (4,), (6,)])
    plan = place(host([4 * GIB]), vcpus=1, memory=GIB, domains=[held], reserve=0)
    assert any("share a core" in reason for reason in plan.reasons)
