"""The set of cells that is chosen is the cheapest there is, compared with every other way by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import pytest
from hosts import GIB, MIB, host, made
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Access, DoesNotFit, Host, Plan, place
from numaprobe.placement.capacity import default_reserve

GRANULE = 2 * MIB


@st.composite
def machines(draw: st.DrawFn, source: str) -> Host:
    """Two to five cells of one thread a core, so that threads and cores are the same."""
    count = draw(st.integers(2, 5))
    rows = {
        i: [10 if i == j else draw(st.sampled_from((11, 12, 16, 20, 21, 32))) for j in range(count)]
        for i in range(count)
    }
    cpus = draw(st.integers(2, 6))
    offline = draw(st.sets(st.integers(0, count * cpus - 1), max_size=count * cpus - 1))
    free = [draw(st.integers(0, 12)) * GIB // 2 for _ in range(count)]
    return host(free, cpus=cpus, threads=1, distances=rows, source=source, offline=sorted(offline))


guests = st.fixed_dictionaries(
    {
        "vcpus": st.integers(1, 14),
        "memory": st.integers(1, 80).map(lambda n: n * GIB // 4),
        "policy": st.sampled_from(("pack", "balance", "spread")),
        "pinned": st.booleans(),
    }
)


def attempt(machine: Host, asked: dict[str, Any]) -> Plan | None:
    try:
        return place(machine, **asked)
    except DoesNotFit:
        return None


def available(machine: Host) -> tuple[dict[int, int], dict[int, int]]:
    """Memory in whole granules, and CPUs, of the cells that have CPUs."""
    cpus = {cell.id: len(cell.cpus or ()) for cell in machine.cells}
    memory = {
        cell.id: max(0, (cell.memory.available or 0) - default_reserve(cell)) // GRANULE * GRANULE
        for cell in machine.cells
        if cpus[cell.id]
    }
    return memory, {cell: cpus[cell] for cell in memory}


def corners(limits: dict[int, int], need: int) -> Iterator[dict[int, int]]:
    """Every way to fill cells one after another until the need is met."""
    for order in permutations(limits):
        left, out = need, {}
        for cell in order:
            got = min(left, limits[cell])
            if got:
                out[cell] = got
                left -= got
        if not left:
            yield out


def cost(machine: Host, vcpus: dict[int, int], memory: dict[int, int]) -> float:
    total = sum(v * m * (machine.distance(a, b) or 0) for a, v in vcpus.items() for b, m in memory.items())
    return total / (sum(vcpus.values()) * sum(memory.values()))


@given(machines("linux"), guests)
def test_on_linux_no_way_to_fill_cells_is_cheaper(machine: Host, asked: dict[str, Any]) -> None:
    """All orders of filling cells with vcpus and memory are tried; of equal cost, the fewest cells must win."""
    plan = attempt(machine, asked)
    memory, cpus = available(machine)
    need = -(-asked["memory"] // GRANULE) * GRANULE
    single = [cell for cell in memory if memory[cell] >= need and cpus[cell] >= asked["vcpus"]]
    spreads = {tuple(sorted(one.items())) for one in corners(cpus, asked["vcpus"])}
    fillings = {tuple(sorted(one.items())) for one in corners(memory, need)}
    ways = [(cost(machine, dict(v), dict(m)), len({cell for cell, _ in v + m})) for v in spreads for m in fillings]
    assert (plan is None) == (not ways)
    if plan is None or plan.distance is None:
        return
    if single:
        assert len(plan.cells) == 1
        return
    least = min(price for price, _ in ways)
    assert plan.distance == pytest.approx(least, rel=1e-3), "the last granule may be partly used"
    exact = -(-asked["memory"] // GRANULE) * GRANULE == asked["memory"]
    if exact:
        assert plan.distance == pytest.approx(least)
        assert len(plan.cells) == min(size for price, size in ways if price == pytest.approx(least))


@given(machines("xen"), guests)
def test_under_xen_no_set_is_cheaper_by_the_measure_of_its_own_plan(machine: Host, asked: dict[str, Any]) -> None:
    """Each set of cells is tried on a host that has no others."""
    plan = attempt(machine, asked)
    if plan is None or plan.distance is None or len(plan.cells) == 1:
        return
    for size in range(2, len(machine.cells) + 1):
        for cells in combinations([cell.id for cell in machine.cells], size):
            fewer = machine._replace(
                cells=tuple(cell for cell in machine.cells if cell.id in cells),
                cpus=tuple(cpu for cpu in machine.cpus if cpu.cell in cells),
            )
            other = attempt(fewer, asked)
            if other is not None and other.distance is not None:
                assert plan.distance <= other.distance * (1 + 1e-12)


def test_under_xen_of_equally_cheap_sets_an_even_one_is_taken() -> None:
    """Xen empties a cell that a plan leaves its reserve, so an even plan is the one that it carries out."""
    machine = host([8 * GIB, 6 * GIB, 7 * GIB], source="xen")
    plan = place(machine, vcpus=2, memory=12 * GIB)
    assert plan.memory == {0: 6 * GIB, 2: 6 * GIB}
    plan = place(host([8 * GIB, 6 * GIB], source="xen"), vcpus=2, memory=12 * GIB)
    assert any("Xen deals memory out evenly until a cell is empty" in reason for reason in plan.reasons)


def test_the_nearest_pair_is_not_taken_where_another_serves_more_accesses_locally() -> None:
    """Half of the accesses of one pair are remote, and one in sixteen of the other."""
    rows = {0: [10, 20, 21, 21], 1: [20, 10, 21, 21], 2: [21, 21, 10, 21], 3: [21, 21, 21, 10]}
    machine = host([8 * GIB, 8 * GIB, 15 * GIB, 2 * GIB], distances=rows)
    plan = place(machine, vcpus=4, memory=16 * GIB - 512 * MIB, reserve=0)
    assert plan.memory == {2: 15 * GIB, 3: 512 * MIB}
    assert plan.distance == pytest.approx((15 * 10 + 0.5 * 21) / 15.5)


def test_latency_that_firmware_reports_decides_where_distances_do_not() -> None:
    """Two memories at distance 20, one of them twice as slow as the other."""
    machine = host([4 * GIB, 8 * GIB, 8 * GIB], cpuless=(1, 2))
    slow = {0: 80, 1: 320, 2: 160}
    cells = tuple(
        cell._replace(accesses=(made(Access, level=1, initiators=(0,), read_latency=slow[cell.id]),))
        for cell in machine.cells
    )
    plan = place(machine._replace(cells=cells), vcpus=2, memory=8 * GIB, memory_only=True, reserve=0)
    assert plan.memory == {0: 4 * GIB, 2: 4 * GIB}
    assert plan.distance == 15.0


def test_ordinary_memory_is_taken_before_cxl_and_gpu_memory_only_if_it_is_named() -> None:
    """The kind decides, even though these have the smaller distances here."""
    rows = {0: [10, 32, 14, 12], 1: [32, 10, 40, 40], 2: [14, 40, 10, 16], 3: [12, 40, 16, 10]}
    machine = host([4 * GIB, 4 * GIB, 16 * GIB, 32 * GIB], distances=rows, cpuless=(2, 3))
    kinds = {2: "cxl", 3: "gpu"}
    machine = machine._replace(cells=tuple(cell._replace(kind=kinds.get(cell.id)) for cell in machine.cells))
    wishes: dict[str, Any] = {"vcpus": 2, "memory_only": True, "reserve": 0}
    assert place(machine, memory=8 * GIB, **wishes).memory == {0: 4 * GIB, 1: 4 * GIB}
    assert place(machine, memory=9 * GIB, **wishes).memory == {0: 4 * GIB, 2: 5 * GIB}
    with pytest.raises(DoesNotFit, match="cell 3 is memory of a GPU"):
        place(machine, memory=40 * GIB, **wishes)
    assert place(machine, memory=40 * GIB, kinds="gpu", **wishes).memory[3]


def test_a_slower_tier_is_taken_last() -> None:
    """Where nothing marks the kind of memory."""
    machine = host(
        [4 * GIB, 4 * GIB, 16 * GIB], cpuless=(2,), distances={0: [10, 21, 11], 1: [21, 10, 11], 2: [11] * 3}
    )
    machine = machine._replace(cells=tuple(cell._replace(tier=4 + (cell.id == 2)) for cell in machine.cells))
    assert place(machine, vcpus=2, memory=8 * GIB, memory_only=True, reserve=0).cells == (0, 1)


def test_twenty_cells_hold_unequal_shares() -> None:
    """Beyond sixteen cells, too, where the ablest cells are not the nearest."""
    machine = host([2 * GIB if i % 5 else 12 * GIB for i in range(20)])
    plan = place(machine, vcpus=7, memory=14 * GIB, guest_cells=4, reserve=0)
    assert sorted(plan.memory.values()) == sorted([4 * GIB, 4 * GIB, 4 * GIB, 2 * GIB])


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=17, max_size=22), st.integers(2, 7), st.data()
)
def test_shares_are_dealt_out_beyond_sixteen_cells_wherever_they_can_be(
    cells: list[tuple[int, int]], parts: int, data: st.DataObject
) -> None:
    """It follows the rule of matching: as many cells for each share as there are shares of its size or more."""
    vcpus = data.draw(st.integers(parts, parts * 6))
    machine = host([memory * GIB for memory, _ in cells], cpus=8)
    isolated = {8 * i + k for i, (_, number) in enumerate(cells) for k in range(number, 8)}
    machine = machine._replace(cpus=tuple(cpu._replace(isolated=cpu.id in isolated) for cpu in machine.cpus))
    memory = vcpus * GIB
    few, more = divmod(vcpus, parts)
    shares = [few + 1] * more + [few] * (parts - more)
    rooms = sorted([min(memory, number) for memory, number in cells], reverse=True)
    feasible = all(room >= share for room, share in zip(rooms, shares, strict=False))
    plan = attempt(machine, {"vcpus": vcpus, "memory": memory, "guest_cells": parts, "reserve": 0})
    assert (plan is not None) == feasible


@pytest.mark.parametrize("source", ["linux", "xen"])
@given(data=st.data())
def test_the_cost_follows_from_where_the_plan_lets_vcpus_run_and_puts_memory(source: str, data: st.DataObject) -> None:
    """Every vcpu is on each of its CPUs equally often, and reaches every byte alike."""
    machine = data.draw(machines(source))
    plan = attempt(machine, data.draw(guests))
    if plan is None or plan.distance is None:
        return
    cell_of = {cpu.id: cpu.cell for cpu in machine.cpus}
    total = 0.0
    for vcpu in plan.vcpus:
        for cpu in vcpu.cpus:
            start = cell_of[cpu]
            assert start is not None
            accesses = sum(size * (machine.distance(start, cell) or 0) for cell, size in plan.memory.items())
            total += accesses / len(vcpu.cpus)
    assert plan.distance == pytest.approx(total / (len(plan.vcpus) * sum(plan.memory.values())))
