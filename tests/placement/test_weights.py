"""What running guests weigh, what limits no plan can better, and which CPUs a guest gets: each rule at its boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from capacities import UNIT, room, stock
from hosts import GIB, MIB, domain, host, made

from numaprobe import Affinity, Domain, Request, Vcpu
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.capacity import capacity_of
from numaprobe.placement.guests import Floater, cpus_by_guest, floating, label
from numaprobe.placement.limits import Limits, most_guests
from numaprobe.placement.outcome import Outcome, positions
from numaprobe.placement.pinning import dedicate, spare
from numaprobe.placement.rooms import MAX_TABLES, CellCapacity, Table

# --- floating vcpus -----------------------------------------------------------------------------------------------


def vcpu(number: int, *cpus: int, online: bool | None = True) -> Vcpu:
    return made(Vcpu, id=number, online=online, cpus=cpus or None)


def of(*vcpus: Vcpu, cpus: tuple[int, ...] | None = None, count: int | None = None) -> Domain:
    return made(
        Domain,
        id=7,
        kind="qemu",
        name="g",
        how="unknown",
        vcpus=count,
        each_vcpu=vcpus or None,
        affinity=Affinity(cpus),
    )


def floater(vcpus: tuple[int, ...] | None, cpus: tuple[int, ...] | None, count: int) -> Floater:
    return Floater(domain=7, name="g", vcpus=vcpus, cpus=cpus, count=count)


@pytest.mark.parametrize(
    ("guest", "found"),
    [
        (of(), []),
        (of(count=0), []),
        (of(count=1), [floater(None, None, 1)]),
        (of(count=3, cpus=(1, 2)), [floater(None, (1, 2), 3)]),
        (of(vcpu(0), vcpu(1)), [floater(None, None, 2)]),
        (of(vcpu(0), vcpu(1), cpus=(4, 5)), [floater(None, (4, 5), 2)]),
        (of(vcpu(0, 1, 2), vcpu(1, 1, 2)), [floater(None, (1, 2), 2)]),
        (of(vcpu(0, 1, 2), vcpu(1)), [floater((0,), (1, 2), 1), floater((1,), None, 1)]),
        (of(vcpu(0, 9), vcpu(1, 1, 2)), [floater((1,), (1, 2), 1)]),
        (of(vcpu(0, 9), vcpu(1, 8, 9)), []),
        (of(vcpu(0, 1, 9)), [floater(None, (1, 9), 1)]),
        (of(vcpu(0, 1), vcpu(1, 1, online=False)), [floater(None, (1,), 1)]),
        (of(vcpu(0, 1), vcpu(1, 1, online=None)), [floater(None, (1,), 2)]),
        (of(vcpu(0, 9), vcpu(1, 9), vcpu(2, 1)), [floater((2,), (1,), 1)]),
    ],
)
def test_vcpus_that_float_are_counted_by_the_cpus_they_may_run_on(guest: Domain, found: list[Floater]) -> None:
    """CPUs 8 and 9 are held; a guest of which all float alike is named as a whole, and offline vcpus are nowhere."""
    assert floating(guest, {8: "a", 9: "a"}) == found


def test_a_cpu_has_the_first_of_the_guests_that_hold_it() -> None:
    """By name, or by kind and number where it has none."""
    machine = host([GIB])
    first, second = domain("a", 1, pinned=[(3,)]), domain(None, 1, id=9, pinned=[(3,)])  # type: ignore[arg-type]
    assert cpus_by_guest(machine, [first, second, domain("b", 2, pinned=[(4,), (5,)])]) == {3: "a", 4: "b", 5: "b"}
    assert (label(first), label(second)) == ("a", "qemu 9")


def weights(*guests: Domain, machine: Any = None, **known: Any) -> tuple[list[float], list[list[float]], list[Floater]]:
    """The loads of two cells of four CPUs, those of their cores, and who floats."""
    found = capacity_of(host([GIB, GIB], cpus=4) if machine is None else machine, domains=guests, **known)
    rooms = found.rooms.values()
    return [one.load for one in rooms], [[core.load for core in one.cores] for one in rooms], found.floaters


def test_floating_vcpus_weigh_on_the_cpus_where_they_may_run() -> None:
    """On all alike no core is marked; on some each of their cores is, by its CPUs."""
    assert weights(of(count=4)) == ([2.0, 2.0], [[0.0, 0.0], [0.0, 0.0]], [floater(None, None, 4)])
    everywhere = tuple(range(8))
    assert weights(of(count=4, cpus=everywhere))[:2] == ([2.0, 2.0], [[0.0, 0.0], [0.0, 0.0]])
    assert weights(of(count=6, cpus=(0, 1, 4))) == (
        [4.0, 2.0],
        [[4.0, 0.0], [2.0, 0.0]],
        [floater(None, (0, 1, 4), 6)],
    )
    assert weights(of(count=1, cpus=(0, 99)))[:2] == ([1.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])
    assert weights(of(count=1, cpus=(99,))) == ([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]], [])
    both = weights(of(count=4, cpus=everywhere), of(count=2, cpus=(0,)), of(count=2))
    assert both[:2] == ([5.0, 3.0], [[2.0, 0.0], [0.0, 0.0]])


def test_a_guest_that_is_at_home_somewhere_floats_there() -> None:
    """On the CPUs of the cells that its memory is on, unless its CPUs are known."""
    guest = of(count=4)._replace(cells=((0, 0), (1, GIB)), unplaced=0, memory=GIB)
    assert weights(guest) == ([0.0, 4.0], [[0.0, 0.0], [2.0, 2.0]], [floater(None, (4, 5, 6, 7), 4)])
    assert weights(guest._replace(affinity=Affinity((0,))))[0] == [4.0, 0.0]
    found = capacity_of(host([GIB, GIB], cpus=4), domains=[guest])
    assert found.homes == {"g": (1,), "7": (1,)}
    assert capacity_of(host([GIB, GIB]), domains=[guest._replace(name=None)]).homes == {"7": (1,)}


@pytest.mark.parametrize(("pool", "load"), [(0, 1.0), (1, 0.0), (None, 1.0)])
def test_guests_of_other_pools_do_not_weigh_here(pool: int | None, load: float) -> None:
    """They still have a home; a guest whose pool is unknown may run here."""
    machine = host([GIB], cpus=4, source="xen", pools=dict.fromkeys(range(4), 0))
    guest = of(count=1)._replace(kind="hvm", pool=pool)
    assert weights(guest, machine=machine)[0] == [load]
    assert weights(guest._replace(pool=5), machine=host([GIB], cpus=4))[0] == [1.0], "on Linux there are none"
    assert capacity_of(machine, domains=[guest]).homes == {"g": None, "7": None}


@pytest.mark.parametrize(("maximum", "kept"), [(5, 0), (4, 0), (6, 1), (7, 1), (8, 2), (99, 10)])
def test_what_a_guest_may_still_take_is_kept_back_on_each_of_its_cells(maximum: int, kept: int) -> None:
    """Rounded up, and no more than a cell has; a cell without any memory is none of its cells."""
    machine = host([10, 10, 0])
    guest = of(count=1)._replace(memory=5, maximum=maximum)
    found = capacity_of(machine, reserve=0, domains=[guest])
    assert [one.memory for one in found.rooms.values()] == [10 - kept, 10 - kept, 0]


# --- limits -------------------------------------------------------------------------------------------------------


def outcome(costs: dict[int, float], *left_out: int) -> Outcome:
    return Outcome([], {**dict.fromkeys(costs, (0,)), **dict.fromkeys(left_out)}, costs)


@pytest.mark.parametrize(
    ("bound", "costs", "total", "found", "reached", "least"),
    [
        (2, [10, 10], 0.0, outcome({0: 10, 1: 10}), True, 20),
        (2, [10, 10], 0.0, outcome({0: 10, 1: 10.5}), False, 20),
        (2, [10, 10], 20.5, outcome({0: 10, 1: 10.5}), True, 20.5),
        (2, [10, 10], 20.4, outcome({0: 10, 1: 10.5}), False, 20.4),
        (2, [10, 10], 0.0, outcome({0: 10}, 1), False, 10),
        (1, [10, 10], 0.0, outcome({0: 10}, 1), True, 10),
        (1, [12, 10], 0.0, outcome({0: 12}, 1), False, 12),
        (1, [12, 10], 0.0, outcome({1: 10}, 0), True, 10),
        (2, [10, None, 11], 0.0, outcome({0: 10, 2: 11}, 1), True, 21),
        (0, [None], 0.0, outcome({}, 0), True, 0),
    ],
)
def test_an_outcome_is_the_best_where_no_limit_leaves_room(
    bound: int, costs: list[float | None], total: float, found: Outcome, reached: bool, least: float
) -> None:
    """As many guests as can be placed, at the cost of the cheapest of that number, or at what was proven."""
    limits = Limits(bound, costs, total)
    assert (limits.reached(found), limits.least(found)) == (reached, least)


@pytest.mark.parametrize(
    ("guests", "possible", "most"),
    [
        ([(1, 4)] * 3, [True] * 3, 2),
        ([(1, 4)] * 3, [True, False, False], 1),
        ([(1, 3)] * 3, [True] * 3, 2),
        ([(1, 2)] * 5, [True] * 5, 4),
        ([(1, 1), (1, 9)], [True] * 2, 1),
        ([], [], 0),
    ],
)
def test_memory_limits_how_many_guests_any_plan_can_place(
    guests: list[tuple[int, int]], possible: list[bool], most: int
) -> None:
    """Of two cells of 4 MiB with 4 CPUs each: the smallest that the whole host holds."""
    capacity = stock([(4, 4), (4, 4)])
    requests = [Request(vcpus, memory * UNIT) for vcpus, memory in guests]
    assert most_guests(capacity, requests, possible) == most


@pytest.mark.parametrize(
    ("asked", "number", "most"),
    [
        ({"pinned": True, "vcpus": 3}, 4, 2),
        ({"pinned": True, "vcpus": 2}, 5, 4),
        ({"vcpus": 9}, 5, 5),
        ({"max_cells": 1, "memory": 3}, 3, 2),
        ({"cells": 1, "memory": 3}, 3, 2),
        ({"cells": 1, "memory": 2}, 5, 4),
        ({"memory": 3}, 3, 2),
        ({"memory": 8}, 1, 1),
        ({"max_cells": 1, "memory": 5}, 2, 0),
    ],
)
def test_cpus_and_cells_limit_them_as_well(asked: dict[str, Any], number: int, most: int) -> None:
    """A guest that stays on one cell needs the room there, and vcpus that float need no CPU of their own."""
    capacity = stock([(4, 4), (4, 4)])
    known = {**asked, "memory": asked.get("memory", 1) * UNIT, "vcpus": asked.get("vcpus", 1)}
    assert most_guests(capacity, [Request(**known)] * number, [True] * number) == most


def test_memory_and_cpus_limit_them_together() -> None:
    """Two guests with half of the memory and two with half of the CPUs: either mixture alone would allow four."""
    capacity = stock([(8, 8)])
    wide, deep = Request(5, UNIT, pinned=True), Request(1, 5 * UNIT)
    assert most_guests(capacity, [wide, deep], [True] * 2) == 2
    assert most_guests(capacity, [wide, wide, deep, deep], [True] * 4) == 2


def test_each_size_of_huge_pages_is_a_whole_of_its_own() -> None:
    """Ordinary memory is not used up by pages of the pool, and pages that are not there hold nothing."""
    capacity = stock([(2, 4)])
    capacity.rooms[0].pages = {2 * MIB: 2}
    pages, plain = Request(1, 2 * MIB, huge_page=2 * MIB), Request(1, UNIT)
    assert most_guests(capacity, [pages] * 3, [True] * 3) == 2
    assert most_guests(capacity, [pages, pages, plain, plain], [True] * 4) == 4
    assert most_guests(capacity, [Request(1, 4096, huge_page=4096)] * 2, [True] * 2) == 0


def test_positions_of_cells_that_hold_a_request() -> None:
    """None for a cell that may not take part, and for cells that do not hold it."""
    field = Candidates(stock([(1, 1), (2, 2), (1, 1)]), Request(2, 2 * UNIT))
    assert positions(field, (1,)) == (1,)
    assert positions(field, (0, 2)) == (0, 2)
    assert positions(field, (0,)) is None
    assert positions(field, (1, 9)) is None


# --- which CPUs ---------------------------------------------------------------------------------------------------

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7)]


def given(
    cores: Sequence[Sequence[int]],
    vcpus: int,
    *,
    by_core: bool = False,
    policy: str = "pack",
    smt: str | None = None,
    **known: Any,
) -> list[tuple[int, ...]]:
    request = Request(max(1, vcpus), 4096, policy=policy, smt=smt, pinned=smt != "isolate")
    return list(dedicate(room(0, 1, cores, **known), request, vcpus, by_core=by_core))


def ones(*cpus: int) -> list[tuple[int, ...]]:
    return [(cpu,) for cpu in cpus]


@pytest.mark.parametrize(
    ("vcpus", "how", "expected"),
    [
        (0, {}, []),
        (1, {}, ones(0)),
        (3, {}, ones(0, 1, 2)),
        (8, {}, ones(*range(8))),
        (3, {"policy": "spread"}, ones(0, 2, 4)),
        (5, {"policy": "spread"}, ones(0, 1, 2, 4, 6)),
        (3, {"by_core": True}, ones(0, 2, 4)),
        (3, {"smt": "avoid"}, ones(0, 2, 4)),
        (2, {"smt": "isolate"}, [(0, 1), (2, 3)]),
        (3, {"smt": "require"}, ones(0, 1, 2)),
    ],
)
def test_a_guest_fills_its_own_cores_unless_it_asks_for_others(
    vcpus: int, how: dict[str, Any], expected: list[tuple[int, ...]]
) -> None:
    """Four cores of two threads in one cache."""
    assert given(PAIRS, vcpus, **how) == expected


@pytest.mark.parametrize(
    ("vcpus", "how", "expected"),
    [
        # A core with running guests comes after those without, a broken one after all whole ones.
        (2, {"loads": [1.0, 0, 0, 0]}, ones(2, 3)),
        (7, {"loads": [1.0, 0, 0, 0]}, ones(0, 1, 2, 3, 4, 5, 6)),
        (6, {"loads": [1.0, 0, 0, 0]}, ones(2, 3, 4, 5, 6, 7)),
        (2, {"broken": [0]}, ones(2, 3)),
        (7, {"broken": [0]}, ones(0, 2, 3, 4, 5, 6, 7)),
        (2, {"smt": "isolate", "broken": [0]}, [(2, 3), (4, 5)]),
        (2, {"smt": "isolate", "loads": [0, 1.0, 0, 0]}, [(0, 1), (4, 5)]),
        # All in the cache that has room for them and least left then; most, to spread.
        (2, {"groups": [("x",), ("x",), ("x",), ("y",)]}, ones(6, 7)),
        (2, {"groups": [("x",), ("x",), ("x",), ("y",)], "policy": "spread"}, ones(0, 2)),
        (3, {"groups": [("x",), ("x",), ("x",), ("y",)]}, ones(0, 1, 2)),
        (2, {"groups": [("x",), ("x",), ("y",), ("y",)]}, ones(0, 1)),
        (7, {"groups": [("x",), ("x",), ("x",), ("y",)]}, ones(0, 1, 2, 3, 4, 5, 6)),
        # More than one cache: those with most room, and the last one that need only hold the rest.
        (5, {"groups": [("y",), ("x",), ("x",), ("z",)]}, ones(0, 2, 3, 4, 5)),
        (6, {"groups": [("y",), ("x",), ("x",), ("z",)]}, ones(0, 1, 2, 3, 4, 5)),
        # An unknown cache is no cache that has room.
        (2, {"groups": [(None,), ("x",), ("x",), ("x",)]}, ones(0, 1)),
        # The narrowest level that has room.
        (2, {"groups": [(1, "x"), (1, "x"), (2, "x"), (3, "y")]}, ones(4, 5)),
        (4, {"groups": [(1, "x"), (2, "x"), (3, "y"), (3, "y")]}, ones(4, 5, 6, 7)),
    ],
)
def test_cpus_are_of_one_cache_and_of_cores_that_nobody_is_on(
    vcpus: int, how: dict[str, Any], expected: list[tuple[int, ...]]
) -> None:
    """Whole cores without guests, then whole ones, then the others."""
    assert given(PAIRS, vcpus, **how) == expected


@pytest.mark.parametrize(
    ("cores", "vcpus", "expected"),
    [
        ([(0, 1), (2,), (3, 4)], 3, ones(0, 1, 2)),
        ([(0, 1), (2, 3), (4,)], 3, ones(0, 1, 4)),
        ([(0, 1, 2), (3, 4)], 2, ones(3, 4)),
        ([(0, 1, 2), (3, 4)], 1, ones(0)),
        ([(0, 1, 2), (3,), (4,)], 4, ones(0, 1, 2, 3)),
    ],
)
def test_the_last_core_is_one_that_ends_the_request(
    cores: list[tuple[int, ...]], vcpus: int, expected: list[tuple[int, ...]]
) -> None:
    """Before one that it would break."""
    assert given(cores, vcpus) == expected


@pytest.mark.parametrize(
    ("vcpus", "expected"),
    [(2, ones(0, 1)), (4, ones(0, 1, 2, 3)), (5, ones(0, 1, 3, 4, 6)), (6, ones(0, 1, 3, 4, 6, 7))],
)
def test_siblings_are_as_many_of_each_core_as_there_are_enough_of(vcpus: int, expected: list[tuple[int, ...]]) -> None:
    """Cores of three, three, two and one threads: three of each for one core, two of each for more."""
    cores = [(0, 1, 2), (3, 4, 5), (6, 7), (8,)]
    if vcpus in (2, 4):
        assert given(cores, vcpus, smt="require") == ones(*range(vcpus))
    else:
        assert len(given(cores, vcpus, smt="require")) == vcpus
    assert (8,) not in given(cores, 6, smt="require")


@pytest.mark.parametrize(
    ("number", "taken", "known", "expected"),
    [
        (1, [(0,)], {}, (1,)),
        (2, [(0,)], {}, (1, 2)),
        (1, [(0,), (1,)], {}, (2,)),
        (1, [], {}, (0,)),
        (0, [(0,)], {}, ()),
        # A core that is broken already, then the cache of the vcpus.
        (1, [(0,), (1,)], {"broken": [3]}, (6,)),
        (1, [(0,), (1,)], {"groups": [("x",), ("y",), ("x",), ("y",)]}, (4,)),
        (1, [(0,), (1,)], {"groups": [("x",), ("y",), ("x",), ("y",)], "broken": [3]}, (4,)),
        (3, [(2,)], {"groups": [("x",), ("y",), ("x",), ("y",)]}, (3, 6, 7)),
    ],
)
def test_an_emulator_s_cpus_are_beside_its_vcpus(
    number: int, taken: list[tuple[int, ...]], known: dict[str, Any], expected: tuple[int, ...]
) -> None:
    """Threads of the same core first, so that no other core is broken."""
    assert spare(room(0, 1, PAIRS, **known), number, taken) == expected


# --- rooms --------------------------------------------------------------------------------------------------------


def test_what_is_held_breaks_its_cores() -> None:
    """The rest of a core keeps its part of the load; a core that is taken whole is gone."""
    one = room(0, 1, [(0, 1), (2, 3), (4, 5, 6)], loads=[2.0, 0.0, 3.0])
    one.hold([1, 2, 3, 4, 99])
    assert [(core.threads, core.whole, core.load) for core in one.cores] == [((0,), False, 1.0), ((5, 6), False, 2.0)]
    assert (one.cpus, one.full_cpus, one.idle, one.clean) == (3, 7, 0, 0)
    other = room(0, 1, [(0, 1), (2, 3, 4)], broken=[0])
    assert (other.cpus, other.idle, other.clean) == (5, 1, 3)
    copied = other.copy()
    copied.hold([2])
    assert (other.cpus, copied.cpus, other.idle, copied.idle) == (5, 4, 1, 0)


def test_the_widest_cache_has_the_most_free_threads_and_whole_cores() -> None:
    """The last level that divides the cell counts; one that all share does not."""
    groups = [("a", 1), ("a", 1), ("b", 1), ("b", 1)]
    one = room(0, 1, [(0, 1), (2, 3), (4,), (5,)], groups=groups)
    assert one.widest() == (4, 2)
    assert one.widest() is one.widest()
    one.hold([0])
    assert one.widest() == (3, 2)
    assert room(0, 1, PAIRS).widest() == (8, 4)
    assert room(0, 1, PAIRS, groups=[("a", 1), ("b", 2), ("b", 2), ("b", 2)], broken=[1]).widest() == (6, 2)
    assert room(0, 1, []).widest() == (0, 0)


@pytest.mark.parametrize(
    ("page", "vfio", "left"),
    [(None, False, (70, 50, 5)), (None, True, (70, 20, 5)), (10, True, (100, 50, 2))],
)
def test_memory_is_taken_from_what_it_is_of(page: int | None, vfio: bool, left: tuple[int, int, int]) -> None:
    """Of a guest with a device also from what may be pinned, and huge pages only from the pool."""
    one = CellCapacity(0)
    one.memory, one.pinnable, one.pages = 100, 50, {10: 5}
    one.take(30, page, vfio=vfio)
    assert (one.memory, one.pinnable, one.pages[10]) == left
    assert (one.bytes(None), one.bytes(10), one.bytes(20)) == (left[0], left[2] * 10, 0)
    assert one.for_vfio() == min(left[:2])
    one.pinnable = None
    one.take(1, None, vfio=True)
    assert one.for_vfio() == one.memory == left[0] - 1


def test_tables_of_costs_are_kept_for_so_many_sets_of_cells() -> None:
    """Then all are made anew, so that a batch with many wishes does not keep them all."""
    capacity = stock([(1, 1)] * 9, [[10 if i == j else 20 + i for j in range(9)] for i in range(9)])
    assert MAX_TABLES == 64
    first = capacity.table([0, 1])
    assert capacity.table([0, 1]) is first
    assert first.costs == [(10, 20), (21, 10)]
    assert capacity.table([3]).costs == [(10,)]
    others = [(i, j) for i in range(9) for j in range(9) if i != j and (i, j) != (0, 1)]
    for i, j in others[:62]:
        capacity.table([i, j])
    assert capacity.table([0, 1]) is first
    capacity.table([0, 1, 2])
    assert len(capacity.tables) == 1
    assert capacity.copy().tables is capacity.tables


def test_a_table_knows_who_is_near_to_whom() -> None:
    """By what an access from the centre costs, then by id; 0 where there is no other."""
    table = Table([(10, 30, 20, 20), (5, 10, 50, 50), (40, 40, 10, 12), (40, 40, 40, 10)])
    assert table.nearest == 5
    assert (table.order(0), table.order(2)) == ([2, 3, 1], [3, 0, 1])
    assert list(table.around(0)) == [(20, [2, 3]), (30, [1])]
    assert list(table.around(3)) == [(40, [0, 1, 2])]
    assert (Table([(10,)]).nearest, list(Table([(10,)]).around(0))) == (0, [])
