"""What holds for every host and every request."""

from __future__ import annotations

from typing import Any

from hosts import GIB, domain, host
from hypothesis import given
from hypothesis import strategies as st

import numaprobe
from numaprobe import DoesNotFit, Host, Plan, place, place_all
from numaprobe.placement.capacity import default_reserve


@st.composite
def machines(draw: st.DrawFn) -> Host:
    ids = sorted(draw(st.sets(st.integers(0, 90), min_size=1, max_size=5)))
    free = {i: draw(st.integers(0, 40)) * GIB // 4 for i in ids}
    cpus = draw(st.integers(1, 8))
    count = len(ids) * cpus
    rows = {i: [10 if i == j else draw(st.integers(11, 60)) for j in ids] for i in ids}
    some = st.sets(st.integers(0, count - 1), max_size=count)
    return host(
        free,
        cpus=cpus,
        threads=draw(st.sampled_from((1, 2, 4))),
        distances=rows,
        source=draw(st.sampled_from(("linux", "xen"))),
        claimed=draw(st.sampled_from((0, GIB))),
        offline=sorted(draw(some)),
        isolated=sorted(draw(some)),
        available=draw(st.sampled_from((-1, None))),
        cpuless=ids[1:2] if draw(st.booleans()) else (),
    )


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    out: dict[str, Any] = {"vcpus": draw(st.integers(1, 20)), "memory": draw(st.integers(1, 80)) * GIB // 4 + 4096}
    out["policy"] = draw(st.sampled_from(("pack", "balance", "spread")))
    for name in ("pinned", "cores", "memory_only", "fewest"):
        out[name] = draw(st.booleans())
    if not out["cores"]:
        out["smt"] = draw(st.sampled_from((None, None, "share", "avoid", "require")))
    out["emulator"] = draw(st.sampled_from((None, None, 1)))
    parts = draw(st.sampled_from((None, None, "cells", "guest_cells", "max_cells")))
    if parts is not None:
        out[parts] = draw(st.integers(1, min(4, out["vcpus"])))
    return out


def usable(machine: Host) -> dict[int, int]:
    claimed = machine.hypervisor.claimed or 0 if machine.hypervisor else 0
    out = {}
    for cell in machine.cells:
        size = cell.memory.available
        if size is None:
            size = (cell.memory.free or 0) - claimed
        out[cell.id] = size - default_reserve(cell)
    return out


def attempt(machine: Host, asked: dict[str, Any], **more: Any) -> Plan | None:
    try:
        return place(machine, **asked, **more)
    except DoesNotFit:
        return None


@given(machines(), wishes())
def test_no_plan_exceeds_a_cell_or_uses_what_it_must_not(machine: Host, asked: dict[str, Any]) -> None:
    """Memory within what is free less reserve and claims; cpus online, not isolated, of the plan's cells."""
    plan = attempt(machine, asked)
    if plan is None:
        return
    room = usable(machine)
    assert all(0 < size <= room[cell] for cell, size in plan.memory.items())
    assert sum(plan.memory.values()) == asked["memory"]
    assert set(plan.memory) <= set(plan.cells)
    assert len(plan.vcpus) == asked["vcpus"]
    for number in plan.cpus:
        cpu = machine.cpu(number)
        assert cpu.online is True
        assert not cpu.isolated
        assert cpu.cell in plan.cells
    assert all(one.cpus for one in plan.vcpus)
    if asked["pinned"] or asked["cores"]:
        each = [cpu for one in plan.vcpus for cpu in one.cpus]
        assert len(each) == len(set(each)), "no cpu twice"
    else:
        assert len(plan.cpus) >= asked["vcpus"] or plan.memory_only
    if asked["cores"]:
        for one in plan.vcpus:
            assert machine.cpu(one.cpus[0]).siblings == one.cpus


@given(machines(), wishes())
def test_what_fits_in_one_cell_is_not_split(machine: Host, asked: dict[str, Any]) -> None:
    """Splitting happens only on request."""
    plan = attempt(machine, asked)
    if plan is None or len(plan.cells) == 1 or "cells" in asked or "guest_cells" in asked:
        return
    assert attempt(machine, {**asked, "max_cells": 1}) is None


@given(machines(), wishes(), st.data())
def test_removing_a_domain_never_takes_the_room_away(machine: Host, asked: dict[str, Any], data: st.DataObject) -> None:
    """What fits with the domain there also fits without it."""
    cpus = [cpu.id for cpu in machine.cpus]
    others = []
    for number in range(data.draw(st.integers(1, 3))):
        vcpus = data.draw(st.integers(1, 4))
        where = data.draw(st.none() | st.lists(st.sampled_from(cpus), min_size=1, unique=True) if cpus else st.none())
        pinned = [(data.draw(st.sampled_from(cpus)),)] * vcpus if cpus and data.draw(st.booleans()) else None
        size = data.draw(st.integers(0, 8)) * GIB
        known = {"memory": size, "maximum": size + data.draw(st.integers(0, 8)) * GIB}
        others.append(domain(f"d{number}", vcpus, cpus=where and tuple(where), pinned=pinned, id=number, **known))
    if attempt(machine, asked, domains=others) is None:
        return
    others.pop(data.draw(st.integers(0, len(others) - 1)))
    assert attempt(machine, asked, domains=others) is not None


@given(machines(), wishes())
def test_the_same_input_gives_the_same_plan(machine: Host, asked: dict[str, Any]) -> None:
    """Nothing depends on time or on the order of a set."""
    assert attempt(machine, asked) == attempt(machine, asked)


@given(machines(), st.lists(wishes(), min_size=1, max_size=6))
def test_a_batch_never_exceeds_a_cell(machine: Host, listed: list[dict[str, Any]]) -> None:
    """All plans together, and no cpu is given to two guests alone; the same again gives the same."""
    requests = [numaprobe.Request(**asked) for asked in listed]
    batch = place_all(machine, requests, partial=True)
    taken: dict[int, int] = {}
    alone: list[int] = []
    for plan, asked in zip(batch.plans, requests, strict=True):
        if plan is None:
            continue
        assert plan.request.vcpus == asked.vcpus
        for cell, size in plan.memory.items():
            taken[cell] = taken.get(cell, 0) + size
        if asked.dedicated:
            alone += plan.cpus
    assert all(size <= usable(machine)[cell] for cell, size in taken.items())
    assert len(alone) == len(set(alone))
    assert {i for i, plan in enumerate(batch.plans) if plan is None} == {i for i, _ in batch.missed}
    assert place_all(machine, requests, partial=True) == batch
