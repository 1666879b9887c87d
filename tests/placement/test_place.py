"""What a plan is: which cells, cpus and bytes a guest gets, and what it is told where it gets none."""

from __future__ import annotations

import pickle
import time

import pytest
from hosts import GIB, MIB, domain, host, made

import numaprobe
from numaprobe import Allowed, Device, DoesNotFit, Domains, Host, Note, Request, place, place_all


def test_one_cell_is_enough() -> None:
    """A guest that fits in one cell gets all of it there, on any of the cell's cpus."""
    plan = place(host([16 * GIB, 16 * GIB]), vcpus=4, memory=8 * GIB)
    assert (plan.cells, plan.memory, plan.cpus) == ((0,), {0: 8 * GIB}, tuple(range(8)))
    assert [one.cpus for one in plan.vcpus] == [tuple(range(8))] * 4
    assert plan.distance == 10.0


def test_ids_are_labels() -> None:
    """Cells 3 and 40 are reported by their own ids and not as 0 and 1."""
    plan = place(host({3: GIB, 40: 16 * GIB}), vcpus=4, memory=8 * GIB)
    assert (plan.cells, plan.memory, plan.cpus) == ((40,), {40: 8 * GIB}, tuple(range(8, 16)))


def test_fewest_cells_come_before_everything_else() -> None:
    """One full cell is taken rather than two empty ones."""
    plan = place(host([9 * GIB, 6 * GIB, 6 * GIB]), vcpus=8, memory=8 * GIB, policy="spread")
    assert plan.cells == (0,)


def test_of_two_cells_the_nearest_pair_is_taken() -> None:
    """Distances decide between sets of the same number, both ways together."""
    far = {0: [10, 40, 20, 30], 1: [40, 10, 35, 21], 2: [20, 35, 10, 33], 3: [30, 12, 33, 10]}
    plan = place(host([8 * GIB] * 4, distances=far), vcpus=4, memory=12 * GIB)
    assert plan.cells == (1, 3), "1 to 3 is 21 and 3 to 1 is 12; 0 and 2 are 20 apart both ways"


def test_a_pair_with_the_least_worst_distance_wins_among_equal_means() -> None:
    """20 both ways is better than 10 and 30."""
    rows = {0: [10, 11, 50, 50], 1: [29, 10, 50, 50], 2: [50, 50, 10, 20], 3: [50, 50, 20, 10]}
    assert place(host([8 * GIB] * 4, distances=rows), vcpus=4, memory=12 * GIB, fewest=True).cells == (2, 3)


def test_three_neighbours_may_be_nearer_than_two_that_are_far_apart() -> None:
    """Cells 0 to 2 are 12 apart; cells 0 and 3, which would do, are 50."""
    rows = {a: [10 if a == b else 12 if 3 not in (a, b) else 50 for b in range(4)] for a in range(4)}
    machine = host([5 * GIB, 3 * GIB, 3 * GIB, 6 * GIB], distances=rows)
    assert place(machine, vcpus=1, memory=9 * GIB, fewest=True).cells == (0, 3)
    plan = place(machine, vcpus=1, memory=9 * GIB)
    assert plan.cells == (0, 1, 2)
    assert plan == place(machine, vcpus=1, memory=9 * GIB, nearest=True)._replace(request=plan.request)
    assert any(cells == (0, 3) and "an access costs" in reason for cells, reason in plan.rejected)
    assert place(machine, vcpus=1, memory=4 * GIB, nearest=True).cells == (0,)


def test_what_is_missing_is_said_of_all_cells_together_and_of_the_best_alone() -> None:
    """The two figures show whether spreading the guest or freeing one cell would help."""
    with pytest.raises(DoesNotFit) as error:
        place(host([GIB, GIB, GIB]), vcpus=1, memory=5 * GIB, reserve=0)
    assert error.value.reasons == ("cells 0-2 together are missing 2 GiB", "cell 0 alone is missing 4 GiB")


def test_memory_that_does_not_fit_in_the_centre_goes_to_the_nearest_cell() -> None:
    """Linux fills the cell that the cpus are on; the rest is as little as can be."""
    plan = place(host([10 * GIB, 10 * GIB]), vcpus=4, memory=12 * GIB, reserve=0)
    assert plan.memory == {0: 10 * GIB, 1: 2 * GIB}
    assert plan.memory_only == (1,)
    assert plan.cpus == tuple(range(8))
    assert plan.distance == pytest.approx((10 * 10 + 2 * 20) / 12)


def test_xen_deals_memory_out_evenly_and_vcpus_may_run_on_all_of_it() -> None:
    """Its allocator takes memory in turn from every node of the affinity."""
    plan = place(host([10 * GIB, 10 * GIB], source="xen"), vcpus=4, memory=12 * GIB, reserve=0)
    assert plan.memory == {0: 6 * GIB, 1: 6 * GIB}
    assert plan.cpus == tuple(range(16))
    assert plan.distance == 15.0


def test_memory_adds_up_to_what_was_asked_for() -> None:
    """The sum is right to the byte, even where that is no whole number of pages."""
    size = 12 * GIB + 12345
    assert sum(place(host([10 * GIB] * 2), vcpus=4, memory=size).memory.values()) == size


def test_a_reserve_is_kept_back_in_each_cell() -> None:
    """A 64th of the cell, or what is said."""
    machine = host([8 * GIB, 8 * GIB])
    assert place(machine, vcpus=1, memory=8 * GIB).cells == (0, 1)
    assert place(machine, vcpus=1, memory=8 * GIB, reserve=0).cells == (0,)
    with pytest.raises(DoesNotFit):
        place(machine, vcpus=1, memory=8 * GIB, reserve=5 * GIB)


def test_claims_are_kept_back_in_every_cell() -> None:
    """Xen does not say where a claim will be served, so it may be here."""
    machine = host([8 * GIB, 8 * GIB], source="xen", claimed=2 * GIB, available=None)
    with pytest.raises(DoesNotFit):
        place(machine, vcpus=1, memory=7 * GIB, max_cells=1, reserve=0)
    plan = place(machine, vcpus=1, memory=6 * GIB, max_cells=1, reserve=0)
    assert any("claimed" in reason for reason in plan.reasons)


def test_available_counts_on_linux_and_not_what_is_merely_free() -> None:
    """The page cache can be reclaimed for a guest."""
    machine = host([8 * GIB], available=6 * GIB)
    machine = machine._replace(
        cells=tuple(cell._replace(memory=cell.memory._replace(free=2 * GIB)) for cell in machine.cells)
    )
    assert place(machine, vcpus=1, memory=5 * GIB).memory == {0: 5 * GIB}


def test_unknown_memory_is_none_to_give() -> None:
    """A cell whose free memory nobody knows gets no guest, and the reason says so."""
    with pytest.raises(DoesNotFit, match="its free memory is unknown"):
        place(host({0: None}), vcpus=1, memory=GIB)


def test_huge_pages_come_from_their_own_pool() -> None:
    """Only pages of the requested size count, however much other memory is free."""
    machine = host([16 * GIB, 16 * GIB], pages={0: {2 * MIB: 100}, 1: {2 * MIB: 2048}})
    plan = place(machine, vcpus=1, memory=4 * GIB, huge_page=2 * MIB)
    assert plan.memory == {1: 4 * GIB}
    with pytest.raises(DoesNotFit, match="huge pages of 2 MiB"):
        place(machine, vcpus=1, memory=8 * GIB, huge_page=2 * MIB)


@pytest.mark.parametrize("kind", ["offline", "isolated"])
def test_cpus_that_are_not_there_for_guests_are_not_used(kind: str) -> None:
    """Offline and isolated CPUs are neither counted nor named in a plan."""
    machine = host([16 * GIB, 16 * GIB], **{kind: (0, 1, 2, 3, 4, 5)})  # type: ignore[arg-type]
    plan = place(machine, vcpus=4, memory=GIB)
    assert plan.cells == (1,)
    with pytest.raises(DoesNotFit, match=f"6 CPUs are {kind}"):
        place(machine, vcpus=14, memory=GIB)


def test_unknown_online_is_not_online() -> None:
    """The state may be unknown while CPUs are being added or removed."""
    machine = host([16 * GIB])
    cpus = tuple(cpu._replace(online=None) if cpu.id < 6 else cpu for cpu in machine.cpus)
    assert place(machine._replace(cpus=cpus), vcpus=2, memory=GIB).cpus == (6, 7)


def test_a_cpu_that_is_in_no_cell_is_not_used() -> None:
    """Its memory would be remote on an unknown path; such CPUs occur if no node's list can be read."""
    machine = host([16 * GIB])
    lost = machine._replace(
        cpus=tuple(cpu._replace(cell=None) for cpu in machine.cpus), cells=(machine.cells[0]._replace(cpus=None),)
    )
    with pytest.raises(DoesNotFit, match="8 CPUs are not in exactly one cell"):
        place(lost, vcpus=1, memory=GIB)


def test_cpus_of_other_pools_are_not_used() -> None:
    """The lowest pool is used unless another is named, and CPUs in none never are."""
    pools = {**dict.fromkeys(range(4), 0), **dict.fromkeys(range(4, 8), 1), **dict.fromkeys(range(8, 12), 0)}
    machine = host([16 * GIB, 16 * GIB], source="xen", pools=pools)
    assert place(machine, vcpus=2, memory=GIB).cpus == (0, 1, 2, 3)
    assert place(machine, vcpus=2, memory=GIB, pool=1).cpus == (4, 5, 6, 7)
    with pytest.raises(ValueError, match="no cpupool 7"):
        place(machine, vcpus=2, memory=GIB, pool=7)


def in_every_cell(machine: Host) -> tuple[Host, tuple[int, ...]]:
    """The host with all of its CPUs listed by each cell, and their ids."""
    every = tuple(cpu.id for cpu in machine.cpus)
    cpus = tuple(cpu._replace(cell=None) for cpu in machine.cpus)
    return machine._replace(cpus=cpus, cells=tuple(cell._replace(cpus=every) for cell in machine.cells)), every


def test_cpus_that_every_cell_lists_reach_the_memory_of_them_all() -> None:
    """As with ``numa=fake``, and where firmware gives every cpu to every node."""
    machine = host([4 * GIB, 4 * GIB], distances={0: (10, 10), 1: (10, 10)})
    fake, every = in_every_cell(machine)
    small = place(fake, vcpus=16, memory=GIB)
    assert (small.cells, small.cpus, small.memory) == ((0,), every, {0: GIB})
    assert "CPUs 0-15 are in cells 0-1 alike, and counted once" in small.reasons
    assert small.rejected[0].reason == "its CPUs are counted in another cell"
    large = place(fake, vcpus=2, memory=6 * GIB)
    assert (large.cells, large.cpus, sum(large.memory.values())) == ((0, 1), every, 6 * GIB)
    assert set(large.memory) == {0, 1}
    with pytest.raises(DoesNotFit, match="missing 1 CPU"):
        place(fake, vcpus=17, memory=GIB)


def test_cpus_that_every_cell_lists_are_counted_where_the_guest_fits() -> None:
    """They are local to the memory of each of these cells, so a guest that fits only the second is not divided."""
    machine = host([4 * GIB, 8 * GIB], distances={0: (10, 10), 1: (10, 10)})
    fake, every = in_every_cell(machine)
    plan = place(fake, vcpus=16, memory=6 * GIB)
    assert (plan.cells, plan.cpus, plan.memory) == ((1,), every, {1: 6 * GIB})
    assert plan.rejected[0].reason.startswith("is missing 2")
    assert place(fake, vcpus=2, memory=GIB, near=(1,)).cells == (0,), "both are as near to cell 1"
    both = place_all(
        fake,
        [
            Request(vcpus=2, memory=3 * GIB, name="a"),
            Request(vcpus=2, memory=3 * GIB, name="b", away_from=("a",)),
            Request(vcpus=2, memory=4 * GIB, together_with=("b",)),
        ],
    )
    cells = [plan.cells for plan in both.plans if plan is not None]
    assert sorted(cells[:2]) == [(0,), (1,)]
    assert cells[2] == cells[1] == (1,)


def test_guests_that_were_not_seen_are_mentioned() -> None:
    """CPUs that they hold may be in the plan, which whoever starts the guest must know."""
    hidden = Domains(complete=False, notes=[Note("proc", "hidepid=2 hides processes")])
    plan = place(host([16 * GIB]), vcpus=2, memory=GIB, domains=hidden)
    assert any("could not all be seen (proc: hidepid=2 hides processes)" in reason for reason in plan.reasons)
    assert not any("seen" in reason for reason in place(host([16 * GIB]), vcpus=2, memory=GIB).reasons)


def test_unknown_cores_are_not_called_taken() -> None:
    """Where nothing says which CPUs share a core, a plan says that, and not that no core is free."""
    machine = host([16 * GIB])
    unknown = machine._replace(cpus=tuple(cpu._replace(siblings=None) for cpu in machine.cpus))
    plan = place(unknown, vcpus=2, memory=GIB)
    assert "which CPUs share a core is unknown, so some vcpus may share one" in plan.reasons
    assert not any("free core" in reason for reason in plan.reasons)
    with pytest.raises(DoesNotFit, match="cell 0: which of its CPUs share a core is unknown"):
        place(unknown, vcpus=2, memory=GIB, cores=True)


def test_a_guest_of_a_pool_gets_memory_of_other_cells_when_its_own_are_empty() -> None:
    """Xen's affinity only prefers nodes: it empties those of the pool, the reserve included."""
    pools = {**dict.fromkeys(range(8), 0), **dict.fromkeys(range(8, 16), 1)}
    machine = host([16 * GIB, 8 * GIB], source="xen", pools=pools)
    plan = place(machine, vcpus=2, memory=12 * GIB, pool=1, reserve=GIB)
    assert (plan.cells, plan.cpus, plan.memory) == ((0, 1), tuple(range(8, 16)), {0: 5 * GIB, 1: 7 * GIB})
    assert plan.memory_only == (0,)
    assert any("Xen empties cell 1 before it takes memory from other cells" in reason for reason in plan.reasons)
    assert 'pool = "1"' in plan.render("xl", pool=1)
    with pytest.raises(ValueError, match="unless guest cells or a pool"):
        plan.render("xl")
    assert place(machine, vcpus=2, memory=4 * GIB, pool=1).cells == (1,)
    with pytest.raises(DoesNotFit, match="missing 1 CPU"):
        place(machine, vcpus=9, memory=GIB, pool=1)


def test_what_the_process_may_not_use_is_not_used() -> None:
    """Its cpuset restricts both CPUs and memory."""
    allowed = made(Allowed, cpus=(1, 8, 9, 10, 11), cells=(0,), where=())
    plan = place(host([16 * GIB, 16 * GIB], allowed=allowed), vcpus=1, memory=GIB)
    assert (plan.cpus, plan.memory) == ((1,), {0: GIB})


def test_memory_only_cells_are_used_if_asked() -> None:
    """The second cell has memory and no CPUs, as a CXL expander has."""
    machine = host([2 * GIB, 16 * GIB], cpuless=(1,))
    with pytest.raises(DoesNotFit, match="cell 1 has no usable CPUs"):
        place(machine, vcpus=2, memory=8 * GIB)
    plan = place(machine, vcpus=2, memory=8 * GIB, memory_only=True, reserve=0)
    assert plan.memory == {0: 2 * GIB, 1: 6 * GIB}
    assert set(plan.cpus) <= set(range(8))


def test_a_cell_without_memory_still_lends_its_cpus() -> None:
    """An empty memory channel is no reason to leave cpus idle."""
    plan = place(host([16 * GIB, 0]), vcpus=12, memory=GIB)
    assert (plan.cells, plan.memory, len(plan.cpus)) == ((0, 1), {0: GIB}, 16)


def test_pinned_vcpus_get_a_cpu_each_and_fill_their_own_cores() -> None:
    """The next guest then finds whole cores."""
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True)
    assert [one.cpus for one in plan.vcpus] == [(0,), (1,), (2,), (3,)]


def test_pinned_vcpus_are_spread_over_cores_by_that_policy() -> None:
    """One thread of each core is used."""
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, policy="spread")
    assert [one.cpus for one in plan.vcpus] == [(0,), (2,), (4,), (6,)]


def test_whole_cores_are_whole() -> None:
    """A vcpu gets both threads; a core of which one is isolated is none."""
    plan = place(host([16 * GIB], isolated=(2,)), vcpus=3, memory=GIB, cores=True)
    assert [one.cpus for one in plan.vcpus] == [(0, 1), (4, 5), (6, 7)]
    with pytest.raises(DoesNotFit, match="is missing 1 free core"):
        place(host([16 * GIB], isolated=(2,)), vcpus=4, memory=GIB, cores=True)


def test_cpus_that_are_left_out_are_counted_by_reason() -> None:
    """Whoever sees 16 CPUs in the table has to learn why 17 vcpus do not even get those."""
    with pytest.raises(DoesNotFit) as caught:
        place(host([16 * GIB, 16 * GIB], isolated=(2, 3), offline=(9,)), vcpus=17, memory=GIB)
    assert {"cell 0: 2 CPUs are isolated", "cell 1: 1 CPU is offline"} <= set(caught.value.reasons)


def test_nobody_is_put_beside_another_guest_while_cores_are_free() -> None:
    """Cpus 0 and 2 are taken, so their siblings come last."""
    other = domain("other", 2, pinned=[(0,), (2,)])
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, domains=[other])
    assert plan.cpus == (4, 5, 6, 7)
    plan = place(host([16 * GIB]), vcpus=5, memory=GIB, pinned=True, domains=[other])
    assert plan.cpus == (1, 4, 5, 6, 7)


def test_a_cell_whose_cores_are_busy_is_passed_over() -> None:
    """Floating vcpus weigh by their affinity, each once."""
    busy = domain("busy", 4, cpus=tuple(range(8)))
    assert place(host([8 * GIB, 16 * GIB]), vcpus=2, memory=GIB, domains=[busy]).cells == (1,)


def test_a_floating_vcpu_counts_its_share_once() -> None:
    """Eight vcpus over both cells are four on each, so one more fits on neither's four cores and both are alike."""
    everywhere = domain("everywhere", 6)
    machine = host([16 * GIB, 16 * GIB])
    plan = place(machine, vcpus=1, memory=GIB, domains=[everywhere], policy="balance")
    assert plan.cells == (0,)
    assert {one.reason for one in plan.rejected} == {"as good, with higher ids"}


def test_memory_that_a_guest_has_not_touched_yet_is_kept_back() -> None:
    """A QEMU guest configured with 10 GiB that holds 1 GiB may take the rest at any moment."""
    lazy = domain("lazy", 1, memory=GIB, maximum=10 * GIB, on=(0,))
    plan = place(host([16 * GIB, 15 * GIB]), vcpus=1, memory=8 * GIB, domains=[lazy])
    assert plan.cells == (1,)


def test_away_from_and_together_with() -> None:
    """Domains are given by name, and where their memory is counts."""
    other = domain("db", 2, cells=((0, GIB), (1, 0)), unplaced=0)
    machine = host([16 * GIB, 16 * GIB])
    assert place(machine, vcpus=1, memory=GIB, domains=[other], away_from="db").cells == (1,)
    assert place(machine, vcpus=1, memory=GIB, domains=[other], together_with=["db"]).cells == (0,)
    with pytest.raises(ValueError, match="no domain 'web'"):
        place(machine, vcpus=1, memory=GIB, domains=[other], away_from="web")


def test_away_from_a_domain_that_may_be_anywhere_is_nowhere() -> None:
    """Its place is unknown, so no cell can be shown to be away from it."""
    with pytest.raises(DoesNotFit, match="db may be there"):
        place(host([16 * GIB]), vcpus=1, memory=GIB, domains=[domain("db", 1)], away_from="db")


def test_near_a_device() -> None:
    """The nearest cell with room; one that is far has to do if no other has it."""
    device = Device("0000:3b:00.0", 2, None, None, None)
    lost = Device("0000:3c:00.0", None, None, None, None)
    rows = {0: [10, 20, 30], 1: [20, 10, 15], 2: [30, 15, 10]}
    machine = host([16 * GIB, 16 * GIB, 2 * GIB], distances=rows, devices=[device, lost])
    assert place(machine, vcpus=1, memory=GIB, near="0000:3b:00.0").cells == (2,)
    assert place(machine, vcpus=1, memory=4 * GIB, near="0000:3b:00.0").cells == (1,)
    assert any("not known" in reason for reason in place(machine, vcpus=1, memory=GIB, near="0000:3c:00.0").reasons)
    with pytest.raises(ValueError, match="no such device"):
        place(machine, vcpus=1, memory=GIB, near="0000:00:00.0")
    with pytest.raises(ValueError, match="without its devices"):
        place(host([GIB]), vcpus=1, memory=MIB, near="0000:00:00.0")


def test_exactly_so_many_cells_share_equally() -> None:
    """Two cells are used on request although one would do."""
    plan = place(host([16 * GIB] * 4), vcpus=8, memory=8 * GIB, cells=2)
    assert plan.memory == {0: 4 * GIB, 1: 4 * GIB}


def test_at_most_so_many_cells() -> None:
    """The refusal gives the nearest miss within that number."""
    with pytest.raises(DoesNotFit) as caught:
        place(host([8 * GIB, 16 * GIB]), vcpus=1, memory=16 * GIB + 512 * MIB, max_cells=1, reserve=0)
    assert caught.value.reasons[0] == "cell 1 is missing 512 MiB"


def test_cells_of_the_guest_have_their_vcpus_memory_and_distances() -> None:
    """Three vcpus on two cells: two and one, memory in that proportion."""
    rows = {0: [10, 17], 1: [21, 10]}
    plan = place(host([16 * GIB] * 2, distances=rows), vcpus=3, memory=6 * GIB, guest_cells=2)
    assert [tuple(one) for one in plan.guest_cells] == [
        (0, 0, (0, 1), 4 * GIB, ((0, 10), (1, 17))),
        (1, 1, (2,), 2 * GIB, ((0, 21), (1, 10))),
    ]
    assert [one.cpus for one in plan.vcpus] == [tuple(range(8))] * 2 + [tuple(range(8, 16))]


def test_the_larger_guest_cell_goes_where_it_fits() -> None:
    """The first host cell is the smaller one, so an assignment in order would fail."""
    plan = place(host([3 * GIB, 16 * GIB]), vcpus=3, memory=6 * GIB, guest_cells=2)
    assert [(one.cell, len(one.vcpus)) for one in plan.guest_cells] == [(0, 1), (1, 2)]


def test_every_set_that_was_not_chosen_has_its_reason() -> None:
    """The list of reasons has a maximum length."""
    plan = place(host([4 * GIB] * 8), vcpus=1, memory=6 * GIB)
    assert len(plan.rejected) == 16
    assert plan.rejected[0] == ((0,), "is missing 2.1 GiB")
    assert place(host([4 * GIB] * 8), vcpus=1, memory=6 * GIB, most_rejected=0).rejected == ()


def test_policies_differ_between_cells_that_are_alike() -> None:
    """Pack takes the fullest, the others the emptiest."""
    machine = host([16 * GIB, 12 * GIB, 14 * GIB], source="xen")
    cells = [cell._replace(memory=cell.memory._replace(total=16 * GIB)) for cell in machine.cells]
    machine = machine._replace(cells=tuple(cells))
    chosen = {
        policy: place(machine, vcpus=1, memory=GIB, policy=policy).cells for policy in ("pack", "balance", "spread")
    }
    assert chosen == {"pack": (1,), "balance": (0,), "spread": (0,)}


def test_distances_that_are_not_told_come_last() -> None:
    """The plan states that its distances are unknown."""
    machine = host([8 * GIB, 8 * GIB])
    bare = machine._replace(cells=tuple(cell._replace(distances=None) for cell in machine.cells))
    plan = place(bare, vcpus=1, memory=12 * GIB)
    assert plan.distance is None
    assert any("not all distances are known" in reason for reason in plan.reasons)


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"vcpus": 0}, "vcpus must be from 1"),
        ({"vcpus": 10**6}, "vcpus must be from 1"),
        ({"memory": 0}, "memory must be from 4096"),
        ({"memory": 1 << 62}, "memory must be from 4096"),
        ({"huge_page": 3 * MIB}, "power of two"),
        ({"huge_page": 2 * MIB, "memory": 3 * MIB}, "whole number of huge pages"),
        ({"cells": 2, "guest_cells": 3, "vcpus": 4}, "3 guest cells"),
        ({"cells": 3, "max_cells": 2, "vcpus": 4}, "more than the 2 allowed"),
        ({"guest_cells": 2}, "2 cells need at least 2 vcpus, not 1"),
        ({"policy": "lucky"}, "policy must be one of"),
        ({"reserve": -1}, "reserve must be at least 0"),
    ],
)
def test_nonsense_is_refused(wishes: dict[str, object], complaint: str) -> None:
    """A usage error is not the same as a guest that does not fit."""
    with pytest.raises(ValueError, match=complaint):
        place(host([GIB]), **{"vcpus": 1, "memory": MIB, **wishes})  # type: ignore[arg-type]


@pytest.mark.parametrize("wishes", [{"vcpus": 1.5}, {"memory": "8G"}, {"vcpus": True}, {"pinned": 1}, {"name": ""}])
def test_what_is_of_the_wrong_type_is_refused(wishes: dict[str, object]) -> None:
    """Numbers are whole, and sizes are bytes."""
    with pytest.raises(TypeError):
        place(host([GIB]), **{"vcpus": 1, "memory": MIB, **wishes})  # type: ignore[arg-type]


def test_a_plan_is_a_value() -> None:
    """It compares, and survives pickling with its request."""
    plan = place(host([16 * GIB] * 2), vcpus=3, memory=6 * GIB, guest_cells=2, name="g")
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan == place(host([16 * GIB] * 2), vcpus=3, memory=6 * GIB, guest_cells=2, name="g")


def test_a_host_without_cells_holds_nothing() -> None:
    """Any request is refused as not fitting."""
    with pytest.raises(DoesNotFit, match="no cell may be used"):
        place(made(Host, source="linux", cells=(), cpus=(), notes=()), vcpus=1, memory=MIB)


def test_sixty_four_cells_do_not_explode() -> None:
    """Sets are grown, not enumerated; the bound is generous because machines differ."""
    n = 64
    rows = {a: [10 if a == b else 11 + min((a - b) % n, (b - a) % n) for b in range(n)] for a in range(n)}
    machine = host([8 * GIB] * n, distances=rows)
    start = time.perf_counter()
    plan = place(machine, vcpus=16, memory=60 * GIB)
    assert time.perf_counter() - start < 1.0
    assert len(plan.cells) == 8
    assert plan.cells == tuple(range(8)), "neighbours on the ring"


def test_the_public_names_are_there() -> None:
    """They are found in numaprobe and in numaprobe.placement."""
    assert numaprobe.place is place
    assert numaprobe.Plan is type(place(host([GIB]), vcpus=1, memory=MIB))
