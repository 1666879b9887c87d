"""Exclusive CPUs are nobody else's: not another guest's of the batch, and not a running guest's that floats."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hosts import GIB, domain, host, made
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Allowed, DoesNotFit, Host, Plan, Request, place, place_all
from numaprobe.placement.documents import read_plan


def placed(machine: Host, *requests: Request, **more: Any) -> list[Plan]:
    return [plan for plan in place_all(machine, requests, **more).plans if plan is not None]


def overlaps(plans: list[Plan]) -> int:
    """How many CPUs of one guest alone another guest may run on."""
    count = 0
    for one in plans:
        alone = set(one.exclusive_cpus)
        for other in plans:
            if other is not one:
                count += len(alone.intersection(other.cpus))
    return count


def test_a_floating_guest_keeps_off_the_cpus_of_a_pinned_one_of_its_batch() -> None:
    """One cell, two cores: each guest gets one of them."""
    machine = host([16 * GIB], cpus=4)
    floating, pinned = placed(machine, Request(2, GIB), Request(2, GIB, pinned=True))
    assert set(floating.cpus).isdisjoint(pinned.cpus)
    assert len(floating.cpus) == 2
    assert all(one.cpus == floating.cpus for one in floating.vcpus)


def test_a_batch_that_would_leave_a_floating_guest_no_cpus_is_refused() -> None:
    """The order of the guests in the batch makes no difference."""
    machine = host([16 * GIB], cpus=4)
    for order in ((Request(2, GIB), Request(3, GIB, pinned=True)), (Request(3, GIB, pinned=True), Request(2, GIB))):
        with pytest.raises(DoesNotFit, match="missing 1 CPU"):
            place_all(machine, order)


floating_requests = st.fixed_dictionaries(
    {
        "vcpus": st.integers(4, 6),
        "memory": st.integers(1, 12).map(lambda n: n * GIB),
        "smt": st.sampled_from((None, "share", "avoid")),
        "pinned_vcpus": st.sampled_from(((), (), (0,), (0, 3))),
        "emulator": st.sampled_from((None, None, 1)),
        "policy": st.sampled_from(("pack", "spread")),
    }
)
pinned_requests = st.fixed_dictionaries(
    {
        "vcpus": st.integers(1, 4),
        "memory": st.integers(1, 12).map(lambda n: n * GIB),
        "smt": st.sampled_from((None, "avoid", "isolate", "require")),
        "pinned": st.just(value=True),
    }
)
mixed_requests = st.lists((floating_requests | pinned_requests).map(lambda one: Request(**one)), min_size=2, max_size=7)


@given(st.lists(st.integers(4, 24), min_size=1, max_size=3), mixed_requests)
def test_nobody_runs_on_cpus_that_a_guest_of_the_batch_has_alone(free: list[int], requests: list[Request]) -> None:
    """Mixed batches of pinned, partly pinned and floating guests, with emulators; each gets as many CPUs as vcpus."""
    plans = placed(host([size * GIB for size in free], cpus=12), *requests, partial=True)
    assert overlaps(plans) == 0
    for plan in plans:
        for one in plan.vcpus:
            assert one.cpus
        floating = {cpu for one in plan.vcpus if not one.pinned for cpu in one.cpus}
        assert len(floating) >= sum(not one.pinned for one in plan.vcpus)
        assert len(plan.exclusive_cpus) >= plan.request.exclusive + plan.request.emulator_cpus


def test_pinned_vcpus_go_to_the_cell_where_nobody_floats() -> None:
    """Sixteen vcpus float on cell 0; cell 1 is empty and has more memory left, which pack would avoid."""
    busy = domain("busy", 16, cpus=tuple(range(16)))
    machine = host([8 * GIB, 16 * GIB], cpus=16)
    plan = place(machine, vcpus=4, memory=GIB, pinned=True, domains=[busy])
    assert (plan.cells, plan.repin) == ((1,), ())


def test_running_guests_that_float_on_cpus_taken_are_named_with_cpus_to_move_to() -> None:
    """Those are the rest of their affinity; a guest that floats elsewhere is not named."""
    web = domain("web", 2, cpus=tuple(range(8)), id=7)
    far = domain("far", 2, cpus=tuple(range(8, 16)), id=8)
    plan = place(host([16 * GIB, GIB]), vcpus=4, memory=8 * GIB, pinned=True, domains=[web, far])
    (advice,) = plan.repin
    assert (advice.domain, advice.name, advice.vcpus) == (7, "web", None)
    assert set(advice.cpus) == set(range(8)) - set(plan.cpus)
    assert any("web floats on CPUs that are taken" in reason for reason in plan.reasons)


def test_pinned_vcpus_take_cores_on_which_nobody_floats_first() -> None:
    """The guest on CPUs 0 to 3 can stay where it is."""
    web = domain("web", 2, cpus=(0, 1, 2, 3))
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, domains=[web])
    assert (plan.cpus, plan.repin) == ((4, 5, 6, 7), ())


def test_running_guests_that_float_keep_at_least_one_cpu() -> None:
    """Eight vcpus cannot have all eight CPUs for themselves while somebody else runs."""
    with pytest.raises(DoesNotFit, match=r"no CPU would remain for running guests that float \(web\)"):
        place(host([16 * GIB]), vcpus=8, memory=GIB, pinned=True, domains=[domain("web", 1)])
    assert place(host([16 * GIB]), vcpus=7, memory=GIB, pinned=True, domains=[domain("web", 1)]).repin


def test_a_floating_guest_on_the_last_free_core_is_not_pinned_to_it() -> None:
    """Its set is small because no more was left, so another may float there too."""
    machine = host([16 * GIB])
    pinned = domain("pinned", 6, pinned=[(cpu,) for cpu in range(6)], id=1)
    first = place(machine, vcpus=2, memory=GIB, domains=[pinned])
    assert first.cpus == (6, 7)
    floating = domain("first", 2, pinned=[one.cpus for one in first.vcpus], id=2)
    assert place(machine, vcpus=2, memory=GIB, domains=[pinned, floating]).cpus == (6, 7)
    with pytest.raises(DoesNotFit, match="held by pinned"):
        place(machine, vcpus=3, memory=GIB, domains=[pinned, floating])


def test_vcpus_on_cores_of_their_own_hold_them() -> None:
    """Each vcpu has another core's threads, which is how a pinned guest looks and no accident."""
    own = domain("own", 2, pinned=[(0, 1), (2, 3)])
    assert place(host([16 * GIB]), vcpus=2, memory=GIB, domains=[own]).cpus == (4, 5, 6, 7)


def test_what_a_plan_pins_is_held_even_where_nothing_else_shows_it() -> None:
    """One vcpu on one core looks like a vcpu that floats there."""
    machine = host([16 * GIB])
    plan = place(machine, vcpus=1, memory=GIB, cores=True, name="rt")
    assert plan.cpus == (0, 1)
    running = domain("rt", 1, pinned=[(0, 1)])
    after = place(machine, vcpus=2, memory=GIB, domains=[running], plans=[plan])
    assert after.cpus == tuple(range(2, 8))


def test_some_vcpus_are_pinned_and_the_others_float() -> None:
    """They float on the CPUs that remain of the same cell."""
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned_vcpus=[0, 2])
    assert [(one.cpus, one.pinned) for one in plan.vcpus] == [
        ((0,), True),
        ((2, 3, 4, 5, 6, 7), False),
        ((1,), True),
        ((2, 3, 4, 5, 6, 7), False),
    ]
    assert plan.exclusive_cpus == (0, 1)


def test_the_emulator_gets_cpus_of_its_own() -> None:
    """Both pinned and floating vcpus keep off them."""
    plan = place(host([16 * GIB]), vcpus=5, memory=GIB, pinned=True, emulator=2)
    assert len(plan.emulator) == 2
    assert set(plan.emulator).isdisjoint(cpu for one in plan.vcpus for cpu in one.cpus)
    assert set(plan.emulator) <= set(plan.cpus)
    plan = place(host([16 * GIB]), vcpus=6, memory=GIB, emulator=2)
    assert len(plan.vcpus[0].cpus) == 6
    with pytest.raises(DoesNotFit, match="missing 1 CPU"):
        place(host([16 * GIB]), vcpus=7, memory=GIB, pinned=True, emulator=2)


def test_the_emulator_shares_cpus_that_are_named() -> None:
    """Pinned vcpus are kept off them, and they have to exist."""
    plan = place(host([16 * GIB]), vcpus=4, memory=GIB, pinned=True, emulator=[0, 1])
    assert (plan.emulator, [one.cpus for one in plan.vcpus]) == ((0, 1), [(2,), (3,), (4,), (5,)])
    with pytest.raises(ValueError, match="CPU 99 is not available"):
        place(host([16 * GIB]), vcpus=4, memory=GIB, emulator=[99])


def test_guests_of_other_pools_do_not_weigh() -> None:
    """They cannot run on the CPUs of this pool."""
    pools = {**dict.fromkeys(range(8), 0), **dict.fromkeys(range(8, 16), 0), **dict.fromkeys(range(16, 24), 1)}
    machine = host([8 * GIB, 12 * GIB, 16 * GIB], source="xen", pools=pools)
    other = domain("other", 8, pool=1, kind="hvm")
    plan = place(machine, vcpus=8, memory=GIB, pinned=True, max_cells=1, domains=[other])
    assert plan.repin == ()


def test_what_this_process_may_use_does_not_bind_a_guest_that_another_program_starts() -> None:
    """With ignore_allowed the host counts; otherwise the caller's cpuset and quota do."""
    allowed = made(Allowed, cpus=(1, 8), cells=(0,), quota=1.5, where=())
    machine = host([16 * GIB, 16 * GIB], allowed=allowed)
    with pytest.raises(DoesNotFit, match=r"quota of 1\.5"):
        place(machine, vcpus=4, memory=GIB)
    assert place(machine, vcpus=4, memory=GIB, ignore_allowed=True).cpus == tuple(range(8))
    assert place(machine, vcpus=1, memory=GIB).cpus == (1,)


def test_cpus_of_a_partition_are_given_to_nobody_outside_of_it() -> None:
    """A guest of libvirtd is in another group: the kernel would cut them from its affinity, and refuse them alone."""
    inside = made(Allowed, cpus=(0, 1), cells=(0,), where=(), partitioned=(0, 1))
    machine = host([4 * GIB], cpus=4, threads=1, allowed=inside)
    assert place(machine, vcpus=2, memory=GIB).cpus == (0, 1), "this process is in the partition itself"
    assert place(machine, vcpus=2, memory=GIB, ignore_allowed=True).cpus == (2, 3)
    with pytest.raises(DoesNotFit) as refused:
        place(machine, vcpus=3, memory=GIB, ignore_allowed=True, pinned=True)
    assert "kept by a partition of cpusets" in str(refused.value.reasons)


def test_a_cell_never_gives_more_than_it_has() -> None:
    """Even if the kernel calls more available than the cell's total, the total is the limit."""
    machine = host([4 * GIB])
    cells = tuple(cell._replace(memory=cell.memory._replace(available=1 << 62)) for cell in machine.cells)
    with pytest.raises(DoesNotFit):
        place(machine._replace(cells=cells), vcpus=1, memory=100 * GIB)


def test_the_reserve_is_named_where_it_is_what_is_missing() -> None:
    """It is not named where memory would be short without it."""
    with pytest.raises(DoesNotFit, match="missing 128 MiB; 128 MiB there is kept back as reserve"):
        place(host([8 * GIB]), vcpus=1, memory=8 * GIB)
    with pytest.raises(DoesNotFit) as caught:
        place(host([8 * GIB]), vcpus=1, memory=16 * GIB)
    assert "reserve" not in str(caught.value)


def test_a_cell_without_usable_cpus_says_why() -> None:
    """The reason names who holds them, or that they are isolated."""
    held = domain("db", 8, pinned=[(cpu,) for cpu in range(8)])
    with pytest.raises(DoesNotFit, match="cell 0 has no usable CPUs: 8 CPUs are held by db"):
        place(host([16 * GIB]), vcpus=1, memory=GIB, domains=[held])


def test_the_emulator_may_be_on_another_cell_than_most_vcpus() -> None:
    """Four vcpus and an emulator on cells with one and four CPUs left: three of them on the larger."""
    machine = host([4 * GIB, 8 * GIB], cpus=4, threads=1, isolated=(0, 1, 2))
    plan = place(machine, vcpus=4, memory=2 * GIB, pinned=True, emulator=1)
    assert len(plan.exclusive_cpus) == 5
    assert len(plan.emulator) == 1


any_wishes = st.fixed_dictionaries(
    {"vcpus": st.integers(1, 10), "memory": st.integers(1, 60).map(lambda n: n * GIB // 2 + 4096)},
    optional={
        "smt": st.sampled_from(("share", "avoid", "isolate", "require")),
        "pinned_vcpus": st.sampled_from(((0,), (0, 2))),
        "emulator": st.sampled_from((1, 2, (0, 1))),
        "fewest": st.booleans(),
        "near": st.sampled_from((0, (0, 1))),
        "max_cells": st.integers(1, 3),
        "cells": st.integers(1, 3),
        "guest_cells": st.integers(1, 3),
        "policy": st.sampled_from(("pack", "balance", "spread")),
    },
)


@given(
    st.lists(st.integers(1, 16), min_size=2, max_size=11),
    st.sampled_from((1, 2, 4)),
    st.sampled_from(("linux", "xen")),
    st.sets(st.integers(2, 90), max_size=60),
    any_wishes,
)
def test_every_combination_of_wishes_gives_a_plan_that_is_sound_or_none(
    free: list[int], threads: int, source: str, isolated: set[int], asked: dict[str, Any]
) -> None:
    """All memory is given, each pinned vcpu has CPUs to itself, and the others as many as they are."""
    machine = host([size * GIB for size in free], cpus=8, threads=threads, source=source, isolated=sorted(isolated))
    try:
        request = Request(**asked)
    except ValueError:
        return
    try:
        plan = place(machine, **asked)
    except DoesNotFit:
        return
    assert sum(plan.memory.values()) == request.memory
    assert [one.vcpu for one in plan.vcpus] == list(range(request.vcpus))
    alone = [cpu for one in plan.vcpus if one.pinned for cpu in one.cpus]
    if request.emulator_cpus:
        assert len(plan.emulator) == request.emulator
        alone += plan.emulator
    assert len(alone) == len(set(alone))
    assert sum(one.pinned for one in plan.vcpus) == request.exclusive
    floating = {cpu for one in plan.vcpus if not one.pinned for cpu in one.cpus}
    assert floating.isdisjoint(alone)
    assert len(floating) >= request.vcpus - request.exclusive
    if request.max_cells is not None:
        assert len(plan.cells) <= request.max_cells
    assert place(machine, **asked) == plan


def test_a_divided_guest_on_the_last_core_of_a_cell_is_not_pinned_to_it() -> None:
    """Its vcpus keep to the cell they are counted on, unless only one core is left there: then all float on all."""
    machine = host([4 * GIB, 4 * GIB])
    apart = place(machine, vcpus=12, memory=6 * GIB, reserve=0)
    assert {vcpu.cpus for vcpu in apart.vcpus} == {tuple(range(8)), tuple(range(8, 16))}
    held = domain("held", 6, pinned=[(cpu,) for cpu in range(6)], id=1)
    plan = place(machine, vcpus=9, memory=6 * GIB, domains=[held], reserve=0)
    assert {vcpu.cpus for vcpu in plan.vcpus} == {(6, 7, *range(8, 16))}
    running = domain("floats", 9, pinned=[vcpu.cpus for vcpu in plan.vcpus], id=2)
    assert place(machine, vcpus=2, memory=GIB, pinned=True, domains=[held, running], reserve=0)


@pytest.mark.parametrize("emulator", [None, 1, (0, 1)])
def test_a_plan_that_was_kept_as_json_says_which_cpus_are_exclusive(emulator: int | tuple[int, ...] | None) -> None:
    """The emulator's own too, and not those that it shares with others."""
    plan = place(host([8 * GIB]), vcpus=3, memory=GIB, pinned_vcpus=[0], emulator=emulator)
    again = read_plan(json.loads(plan.render("json")))
    assert again.exclusive_cpus == plan.exclusive_cpus
    assert again.emulator == plan.emulator
