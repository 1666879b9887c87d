"""A plan from chosen cells, part by part, and as each program takes it: to the letter, at the limits of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from capacities import UNIT, stock
from hosts import GIB, MIB, host

from numaprobe import Plan, Request, place
from numaprobe.placement.allocate import Share, cpus_of, split, take
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.documents import read_plan
from numaprobe.placement.guests import Floater
from numaprobe.placement.plan import PlannedCell, PlannedVcpu, Rejected, Repin
from numaprobe.placement.planning import explained, without
from numaprobe.placement.rooms import LENT, HostCapacity
from numaprobe.placement.shared_cpus import settle_cpus, settle_cpus_at


def vcpus(*cpus: Sequence[int], pinned: Sequence[int] = ()) -> tuple[PlannedVcpu, ...]:
    return tuple(PlannedVcpu(i, tuple(one), i in pinned) for i, one in enumerate(cpus))


def plan_of(
    cells: Sequence[tuple[int, int]], chosen: tuple[int, ...], *, xen: bool = False, prepare: Any = None, **asked: Any
) -> Plan:
    """Of cells of so many MiB and CPUs each, of one thread."""
    capacity = stock(cells, xen=xen)
    if prepare is not None:
        prepare(capacity)
    return explained(Candidates(capacity, Request(**asked)), chosen, 0)


@pytest.mark.parametrize(
    ("chosen", "xen", "asked", "found"),
    [
        ((0,), False, {"vcpus": 2, "memory": UNIT}, [(0, 1, 2, 3)] * 2),
        ((0, 1), False, {"vcpus": 6, "memory": 4 * UNIT}, [*[(0, 1, 2, 3)] * 4, *[(4, 5, 6, 7)] * 2]),
        ((0, 1), True, {"vcpus": 6, "memory": 4 * UNIT}, [tuple(range(8))] * 6),
        ((0, 1), True, {"vcpus": 6, "memory": 4 * UNIT, "guest_cells": 2}, [*[(0, 1, 2, 3)] * 3, *[(4, 5, 6, 7)] * 3]),
        ((0,), False, {"vcpus": 2, "memory": UNIT, "pinned": True}, [(0,), (1,)]),
        ((0,), False, {"vcpus": 3, "memory": UNIT, "pinned_vcpus": [1]}, [(1, 2, 3), (0,), (1, 2, 3)]),
        ((0,), False, {"vcpus": 2, "memory": UNIT, "emulator": 1}, [(1, 2, 3)] * 2),
    ],
)
def test_where_each_vcpu_may_run(
    chosen: tuple[int, ...], xen: bool, asked: dict[str, Any], found: list[tuple[int, ...]]
) -> None:
    """On all CPUs of its cell that nobody has alone; under Xen, where memory follows them, on those of all cells."""
    plan = plan_of([(4, 4), (4, 4)], chosen, xen=xen, **asked)
    assert [one.cpus for one in plan.vcpus] == found
    assert [one.pinned for one in plan.vcpus] == [len(one) == 1 for one in found]
    assert plan.cpus == tuple(sorted({cpu for one in found for cpu in one} | set(plan.emulator)))
    assert plan.emulator == ((0,) if "emulator" in asked else ())


def test_vcpus_do_not_float_on_one_core_alone() -> None:
    """That would look like a pin, so they float on the other cells of the plan as well."""

    def taken(capacity: HostCapacity) -> None:
        capacity.rooms[0].hold([0, 1, 2])

    asked = {"vcpus": 5, "memory": 5 * UNIT}
    plan = plan_of([(4, 4), (4, 4)], (0, 1), prepare=taken, **asked)
    assert {one.cpus for one in plan.vcpus} == {(3, 4, 5, 6, 7)}
    less = plan_of([(4, 4), (4, 4)], (0, 1), prepare=lambda one: one.rooms[0].hold([0, 1]), vcpus=6, memory=5 * UNIT)
    assert [one.cpus for one in less.vcpus] == [*[(2, 3)] * 2, *[(4, 5, 6, 7)] * 4]


@pytest.mark.parametrize(
    ("cells", "chosen", "xen", "asked", "memory", "alone", "distance"),
    [
        ([(4, 4)], (0,), False, {"vcpus": 2, "memory": 3 * UNIT}, {0: 3}, (), 10.0),
        ([(4, 4), (4, 0)], (0, 1), False, {"vcpus": 2, "memory": 6 * UNIT, "memory_only": True}, {0: 4, 1: 2}, (1,), 80 / 6),
        ([(4, 4), (4, 4)], (0, 1), False, {"vcpus": 2, "memory": 6 * UNIT}, {0: 4, 1: 2}, (1,), 80 / 6),
        ([(4, 4), (4, 4)], (0, 1), True, {"vcpus": 2, "memory": 6 * UNIT}, {0: 3, 1: 3}, (), 15.0),
        ([(4, 4), (4, 4)], (0, 1), True, {"vcpus": 2, "memory": 6 * UNIT, "pinned": True}, {0: 3, 1: 3}, (), 15.0),
        ([(4, 4), (4, 4)], (0, 1), True, {"vcpus": 1, "memory": 6 * UNIT, "pinned": True}, {0: 3, 1: 3}, (0,), 15.0),
    ],
)  # fmt: skip
def test_where_the_memory_is_and_what_an_access_costs(
    cells: list[tuple[int, int]],
    chosen: tuple[int, ...],
    xen: bool,
    asked: dict[str, Any],
    memory: dict[int, int],
    alone: tuple[int, ...],
    distance: float,
) -> None:
    """Cells whose CPUs no vcpu may run on give memory alone."""
    plan = plan_of(cells, chosen, xen=xen, **asked)
    assert plan.memory == {one: size * UNIT for one, size in memory.items()}
    assert (plan.memory_only, plan.cells) == (alone, tuple(memory))
    assert plan.distance == pytest.approx(distance)
    assert plan.bind is True

    def unknown(capacity: HostCapacity) -> None:
        capacity.known_distances = capacity.bind = False

    other = plan_of(cells, chosen, xen=xen, prepare=unknown, **asked)
    assert (other.distance, other.bind) == (None, False)


def test_guest_cells_have_their_vcpus_in_a_row_and_the_distances_of_the_host() -> None:
    """Costs of accesses may be others; None where not all distances are known."""
    capacity = stock([(4, 4), (4, 4)], [[10, 21], [31, 10]])
    capacity.distances = {0: {0: 11, 1: 12}, 1: {0: 13, 1: 14}}
    field = Candidates(capacity, Request(3, 3 * UNIT, guest_cells=2))
    assert explained(field, (0, 1), 0).guest_cells == (
        PlannedCell(0, 0, (0, 1), 2 * UNIT, ((0, 11), (1, 12))),
        PlannedCell(1, 1, (2,), UNIT, ((0, 13), (1, 14))),
    )
    capacity.known_distances = False
    assert [one.distances for one in explained(field, (0, 1), 0).guest_cells] == [None, None]
    assert explained(Candidates(capacity, Request(3, 3 * UNIT)), (0,), 0).guest_cells == ()


def test_the_last_cell_gets_what_does_not_fill_a_granule() -> None:
    """And the sum is what was requested, to the byte."""
    field = Candidates(stock([(4, 4), (4, 4)]), Request(2, 6 * UNIT + 1))
    assert [(one.cell, one.memory) for one in split(field, (0, 1))] == [(0, 4 * UNIT), (1, 2 * UNIT + 1)]
    even = Candidates(stock([(4, 4), (4, 0)], xen=True), Request(2, 3 * UNIT - 1, memory_only=True))
    assert [(one.cell, one.memory) for one in split(even, (0,))] == [(0, 3 * UNIT - 1)]


def test_what_a_plan_takes_is_gone_and_its_name_is_known() -> None:
    """Whole granules, CPUs of its own, and the weight of what floats."""
    capacity = stock([(4, 4), (4, 4)])
    parts = [
        Share(cell=0, vcpus=3, memory=UNIT + 1, cpus=((0,), (), ()), emulator=(3,)),
        Share(cell=1, vcpus=0, memory=UNIT),
    ]
    take(capacity, Request(3, 2 * UNIT + 1, name="g"), parts)
    first, second = capacity.rooms.values()
    assert (first.memory, second.memory) == (3 * UNIT - 4096, 3 * UNIT)
    assert (cpus_of(capacity, 0), cpus_of(capacity, 1)) == ((1, 2), (4, 5, 6, 7))
    assert (first.load, first.kept, second.load, second.kept) == (2, 2, 0, 0)
    assert capacity.homes == {"g": (0, 1)}
    take(capacity, Request(1, UNIT), [Share(cell=0, vcpus=1, memory=UNIT)])
    assert (first.load, first.kept, capacity.homes) == (3, 2, {"g": (0, 1)})


def floater(cpus: tuple[int, ...] | None, name: str = "f") -> Floater:
    return Floater(domain=7, name=name, vcpus=(1,), cpus=cpus, count=1)


@pytest.mark.parametrize(
    ("floats", "advice"),
    [
        (None, (2, 3, 4, 5, 6, 7)),
        ((0, 2), (2,)),
        ((2, 3), None),
        ((0, 1), (2, 3)),
        ((0, 5), (5,)),
    ],
)
def test_running_guests_are_advised_to_the_rest_of_their_cpus(
    floats: tuple[int, ...] | None, advice: tuple[int, ...] | None
) -> None:
    """Or of their cells, where none of their own is left; who floats elsewhere is not named."""

    def prepare(capacity: HostCapacity) -> None:
        capacity.floaters = [floater(floats)]

    plan = plan_of([(4, 4), (4, 4)], (0,), prepare=prepare, vcpus=2, memory=UNIT, pinned=True)
    assert plan.repin == (() if advice is None else (Repin(domain=7, name="f", vcpus=(1,), cpus=advice),))
    assert plan_of([(4, 4), (4, 4)], (0,), prepare=prepare, vcpus=2, memory=UNIT).repin == ()


def test_guests_of_a_cell_that_is_full_are_advised_to_any_other() -> None:
    """A CPU that is no longer there is in no cell."""

    def prepare(capacity: HostCapacity) -> None:
        capacity.floaters = [floater((0, 1, 99))]

    plan = plan_of([(4, 2), (4, 2)], (0,), prepare=prepare, vcpus=2, memory=UNIT, pinned=True)
    assert [one.cpus for one in plan.repin] == [(2, 3)]


def test_a_plan_keeps_off_cpus_that_others_got_later() -> None:
    """Its own stay, and a plan that they do not touch is the same object."""
    plan = place(host([GIB], cpus=8), vcpus=3, memory=MIB, pinned_vcpus=[0])
    found = without(plan, [0, 2, 3])
    assert [one.cpus for one in found.vcpus] == [(0,), (1, 4, 5, 6, 7), (1, 4, 5, 6, 7)]
    assert found.cpus == (0, 1, 4, 5, 6, 7)
    assert without(plan, [0, 99]) is plan


# --- CPUs that several cells list ---------------------------------------------------------------------------------


def shared(memory: Sequence[int]) -> HostCapacity:
    """Cells of so many MiB that share the CPUs of the first."""
    capacity = stock([(size, 2 if number == 0 else 0) for number, size in enumerate(memory)])
    capacity.sharing = [tuple(range(len(memory)))]
    for number in range(1, len(memory)):
        capacity.rooms[number].lends = True
        capacity.rooms[number].notes.append(LENT)
    return capacity


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ({"memory": 2}, 2),
        ({"memory": 3}, 1),
        ({"memory": 4}, 0),
        ({"memory": 5}, 0),
        ({"memory": 2, "policy": "spread"}, 0),
        ({"memory": 2, "near": 1}, 1),
        ({"memory": 2, "away_from": "a"}, 1),
        ({"memory": 2, "away_from": "all"}, 0),
        ({"memory": 2, "together_with": "a"}, 2),
    ],
)
def test_shared_cpus_count_in_the_cell_whose_memory_suits_the_request(asked: dict[str, Any], at: int) -> None:
    """Of 4, 3 and 2 MiB: large enough, then by the policy; else the largest."""
    capacity = shared([4, 3, 2])
    capacity.homes = {"a": (2,), "all": None}
    settle_cpus(capacity, Request(1, asked.pop("memory") * UNIT, **asked))
    assert [one.cpus for one in capacity.rooms.values()] == [2 if number == at else 0 for number in range(3)]
    assert [one.notes == [LENT] for one in capacity.rooms.values()] == [number != at for number in range(3)]
    assert [one.lends for one in capacity.rooms.values()] == [number != at for number in range(3)]


def test_shared_cpus_count_in_the_cell_that_a_plan_has() -> None:
    """The first of them, unless the one that they are in is among them; other cells do not matter."""
    for cells, at in (((1, 2), 1), ((2, 0), 0), ((7,), 0), ((), 0)):
        capacity = shared([4, 3, 2])
        settle_cpus_at(capacity, cells)
        assert [one.cpus for one in capacity.rooms.values()] == [2 if number == at else 0 for number in range(3)]
    pinnable = shared([4, 3, 2])
    pinnable.rooms[0].pinnable = pinnable.rooms[1].pinnable = UNIT
    settle_cpus(pinnable, Request(1, 2 * UNIT, vfio=True))
    assert pinnable.rooms[2].cpus == 2
    plain = stock([(4, 2)])
    settle_cpus(plain, Request(1, UNIT))
    assert plain.rooms[0].cpus == 2


# --- formats ------------------------------------------------------------------------------------------------------


def made(**known: Any) -> Plan:
    """A plan of two vcpus on two cells of an odd size; what is said replaces its fields."""
    asked = known.pop("asked", {})
    request = Request(**{"vcpus": 2, "memory": 3 * MIB, "name": "g", **asked})
    plan = Plan(
        request=request,
        cells=(0, 1),
        cpus=(0, 1, 4, 5),
        vcpus=vcpus((0, 1), (4, 5)),
        memory={0: 2 * MIB, 1: MIB},
        memory_only=(),
        distance=12.5,
        reasons=("r",),
    )
    return plan._replace(**known)


INNER = (PlannedCell(0, 3, (0,), MIB + 1, ((0, 10), (1, 300))), PlannedCell(1, 4, (1,), MIB - 1, ((0, 5), (1, 17))))
BARE = tuple(one._replace(distances=None) for one in INNER)


@pytest.mark.parametrize(
    ("plan", "lines"),
    [
        (made(), [
            "g: cells 0-1 for 2 vcpus and 3 MiB", "  memory   2 MiB of cell 0", "  memory   1 MiB of cell 1",
            "  cpus     0-1, shared by vcpu 0", "  cpus     4-5, shared by vcpu 1",
            "  an access costs 12.5 on average", "because", "  r",
        ]),
        (made(vcpus=vcpus((0,), (4,), pinned=(0, 1)), emulator=(1,), distance=None, asked={"name": None}), [
            "cells 0-1 for 2 vcpus and 3 MiB", "  memory   2 MiB of cell 0", "  memory   1 MiB of cell 1",
            "  vcpu 0   on cpu 0", "  vcpu 1   on cpu 4", "  emulator on cpu 1", "because", "  r",
        ]),
        (made(vcpus=vcpus((0, 1), (4, 5), pinned=(0,)), emulator=(2, 3), memory={0: 3 * MIB}, distance=None), [
            "g: cells 0-1 for 2 vcpus and 3 MiB", "  memory   3 MiB of cell 0", "  vcpu 0   on cpus 0-1",
            "  cpus     4-5, shared by vcpu 1", "  emulator on cpus 2-3", "because", "  r",
        ]),
        (made(cells=(0,), vcpus=vcpus((0, 1), (0, 1)), memory={0: 4 * MIB}, distance=None, reasons=(), asked={"memory": 4 * MIB, "huge_page": 2 * MIB}), [
            "g: cell 0 for 2 vcpus and 4 MiB", "  memory   4 MiB in huge pages of 2 MiB of cell 0", "  cpus     0-1, shared", "because",
        ]),
        (made(guest_cells=(INNER[0], BARE[1]), vcpus=vcpus((0, 1), (0, 1), (4,)), distance=None, memory={}), [
            "g: cells 0-1 for 2 vcpus and 3 MiB", "  cpus     0-1, shared by vcpus 0-1", "  cpus     4, shared by vcpu 2",
            "  guest cell 0 on cell 3: vcpus 0, 1.0 MiB; distances 10 300", "  guest cell 1 on cell 4: vcpus 1, 1024.0 KiB", "because", "  r",
        ]),
        (made(memory={}, vcpus=(), distance=None, reasons=(), repin=(Repin(7, "db", None, (2, 3)), Repin(8, None, (1,), (3,))), rejected=(Rejected((2,), "why"), Rejected((2, 3), "so"))), [
            "g: cells 0-1 for 2 vcpus and 3 MiB", "because",
            "  pin db to cpus 2-3: it floats on CPUs of this plan", "  pin domain 8 to cpus 3: it floats on CPUs of this plan",
            "not chosen", "  cell 2: why", "  cells 2-3: so",
        ]),
    ],
)  # fmt: skip
def test_the_text_for_people(plan: Plan, lines: list[str]) -> None:
    """Each line where there is something to say, with one or several of it."""
    assert plan.render("text") == "".join(f"{line}\n" for line in lines)


def element(plan: Plan, start: str) -> list[str]:
    return [line.strip() for line in plan.render("libvirt").splitlines() if line.strip().startswith(start)]


def test_libvirt_gets_sizes_in_kib_and_distances_that_it_takes() -> None:
    """Rounded up, 10 for a cell itself and from 11 to 255 for others; a cell without distances is one element."""
    plan = made(guest_cells=(INNER[0], BARE[1]))
    assert element(plan, "<memory unit") == ["<memory unit='KiB'>2049</memory>"]
    assert element(plan, "<cell ") == [
        "<cell id='0' cpus='0' memory='1025' unit='KiB'>",
        "<cell id='1' cpus='1' memory='1024' unit='KiB'/>",
    ]
    assert element(plan, "<sibling") == ["<sibling id='0' value='10'/>", "<sibling id='1' value='255'/>"]
    assert element(made(guest_cells=(INNER[1],)), "<sibling") == [
        "<sibling id='0' value='11'/>",
        "<sibling id='1' value='10'/>",
    ]
    assert element(made(asked={"memory": MIB + 1}), "<memory unit") == ["<memory unit='KiB'>1025</memory>"]
    assert element(plan, "<memory mode") == ["<memory mode='strict' nodeset='0-1'/>"]
    assert element(plan, "<memnode") == [
        "<memnode cellid='0' mode='strict' nodeset='3'/>",
        "<memnode cellid='1' mode='strict' nodeset='4'/>",
    ]
    assert element(made(bind=False), "<memory mode") == []
    assert element(made(), "<emulatorpin") == ["<emulatorpin cpuset='0-1,4-5'/>"]
    assert element(made(emulator=(6,)), "<emulatorpin") == ["<emulatorpin cpuset='6'/>"]
    pages = {"memory": 4 * MIB, "huge_page": 2 * MIB}
    assert element(made(asked=pages), "<hugepages") == ["<hugepages><page size='2048' unit='KiB'/></hugepages>"]
    assert element(made(asked=pages, guest_cells=INNER), "<hugepages") == [
        "<hugepages><page size='2048' unit='KiB' nodeset='0-1'/></hugepages>"
    ]


@pytest.mark.parametrize(
    ("name", "plan", "text"),
    [
        ("qemu", made(), "-smp 2 -m size=3072k -object memory-backend-ram,id=m0,size=3072k,host-nodes=0-1,policy=bind,prealloc=on -machine memory-backend=m0"),
        ("qemu", made(bind=False, asked={"memory": MIB + 1}), "-smp 2 -m size=1025k -object memory-backend-ram,id=m0,size=1025k,prealloc=on -machine memory-backend=m0"),
        ("qemu", made(memory={0: 1, 2: 1}, asked={"memory": 4 * MIB, "huge_page": 2 * MIB}), "-smp 2 -m size=4096k -object memory-backend-memfd,hugetlb=on,hugetlbsize=2048k,id=m0,size=4096k,host-nodes=0,host-nodes=2,policy=bind,prealloc=on -machine memory-backend=m0"),
        ("qemu", made(guest_cells=INNER), "-smp 2 -m size=3072k -object memory-backend-ram,id=m0,size=1025k,host-nodes=3,policy=bind,prealloc=on -numa node,nodeid=0,cpus=0,memdev=m0"
            " -object memory-backend-ram,id=m1,size=1024k,host-nodes=4,policy=bind,prealloc=on -numa node,nodeid=1,cpus=1,memdev=m1 -numa dist,src=0,dst=1,val=254 -numa dist,src=1,dst=0,val=11"),
        ("qemu", made(guest_cells=BARE[:1], bind=False), "-smp 2 -m size=3072k -object memory-backend-ram,id=m0,size=1025k,prealloc=on -numa node,nodeid=0,cpus=0,memdev=m0"),
        ("cloud-hypervisor", made(), "--cpus 'boot=2,affinity=[0@[0-1],1@[4-5]]' --memory size=0 --memory-zone id=m0,size=2048K,host_numa_node=0 id=m1,size=1024K,host_numa_node=1"),
        ("cloud-hypervisor", made(bind=False, asked={"memory": MIB + 1}), "--cpus 'boot=2,affinity=[0@[0-1],1@[4-5]]' --memory size=1028K"),
        ("cloud-hypervisor", made(memory={1: 4 * MIB}, asked={"memory": 4 * MIB, "huge_page": 2 * MIB}), "--cpus 'boot=2,affinity=[0@[0-1],1@[4-5]]' --memory size=0 --memory-zone id=m0,size=4096K,host_numa_node=1,hugepages=on,hugepage_size=2048K"),
        ("cloud-hypervisor", made(guest_cells=INNER), "--cpus 'boot=2,affinity=[0@[0-1],1@[4-5]]' --memory size=0 --memory-zone id=m0,size=1028K,host_numa_node=3 id=m1,size=1024K,host_numa_node=4"
            " --numa 'guest_numa_id=0,cpus=[0],distances=[1@254],memory_zones=[m0]' 'guest_numa_id=1,cpus=[1],distances=[0@11],memory_zones=[m1]'"),
        ("cloud-hypervisor", made(guest_cells=BARE[:1], bind=False), "--cpus 'boot=2,affinity=[0@[0-1],1@[4-5]]' --memory size=0 --memory-zone id=m0,size=1028K --numa 'guest_numa_id=0,cpus=[0],memory_zones=[m0]'"),
        ("numactl", made(), "numactl --membind=0-1 --physcpubind=0-1,4-5 --"),
        ("numactl", made(bind=False), "taskset -c 0-1,4-5"),
        ("cpuset", made(), "0-1,4-5"),
        ("nodeset", made(memory={3: 1, 1: 1}), "1,3"),
        ("xl", made(), 'name = "g"\nvcpus = 2\nmemory = 3\ncpus = ["0-1", "4-5"]'),
        ("xl", made(asked={"memory": MIB + 1, "name": None}), 'vcpus = 2\nmemory = 2\ncpus = ["0-1", "4-5"]'),
        ("xl", made(guest_cells=INNER), 'name = "g"\nvcpus = 2\nmemory = 3\nmaxmem = 3\ncpus = ["0-1", "4-5"]\nvnuma = [\n'
            '  [ "pnode=3", "size=2", "vcpus=0", "vdistances=10,300" ],\n  [ "pnode=4", "size=1", "vcpus=1", "vdistances=5,17" ],\n]'),
        ("virsh", made(emulator=(6,)), "virsh vcpupin --domain g --live --vcpu 0 --cpulist 0-1\nvirsh vcpupin --domain g --live --vcpu 1 --cpulist 4-5\n"
            "virsh emulatorpin --domain g --live --cpulist 6\nvirsh numatune --domain g --live --nodeset 0-1"),
        ("virsh", made(bind=False), "virsh vcpupin --domain g --live --vcpu 0 --cpulist 0-1\nvirsh vcpupin --domain g --live --vcpu 1 --cpulist 4-5\n"
            "virsh emulatorpin --domain g --live --cpulist 0-1,4-5"),
    ],
)  # fmt: skip
def test_a_plan_for_each_program(name: str, plan: Plan, text: str) -> None:
    """To the letter: what a shell or a configuration takes."""
    assert plan.render(name) == text + "\n"


def test_xl_has_soft_affinity_and_pools_on_request() -> None:
    """Memory of a cell without vcpus can be named only by guest cells, or comes with a pool."""
    assert (
        made().render("xl", soft=True, pool=0)
        == 'name = "g"\nvcpus = 2\nmemory = 3\npool = "0"\ncpus_soft = ["0-1", "4-5"]\n'
    )
    with pytest.raises(ValueError, match="pinned vcpus cannot have soft affinity"):
        made(vcpus=vcpus((0,), (4,), pinned=(0,))).render("xl", soft=True)
    lone = made(memory_only=(1,))
    with pytest.raises(ValueError, match=r"^xl cannot take memory from cell 1, where no vcpu runs, unless"):
        lone.render("xl")
    assert lone.render("xl", pool=2).splitlines()[3] == 'pool = "2"'
    with pytest.raises(ValueError, match="xl needs the distances between guest cells"):
        made(guest_cells=BARE).render("xl")
    for name in ('a"b', "a\\b", "a\nb"):
        with pytest.raises(ValueError, match="xl cannot express the name"):
            made(asked={"name": name}).render("xl")
    with pytest.raises(ValueError, match="the format virsh needs the name of the guest"):
        made(asked={"name": None}).render("virsh")


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        made(repin=(Repin(7, "db", None, (2, 3)), Repin("g", None, (1,), (3,)))),
        made(guest_cells=INNER, asked={"guest_cells": 2}),
        made(guest_cells=BARE, asked={"guest_cells": 2}, distance=None),
        made(vcpus=vcpus((0,), (4,), pinned=(0, 1)), asked={"pinned": True}),
        made(vcpus=vcpus((0, 1), (4, 5), pinned=(0, 1)), asked={"cores": True}),
        made(vcpus=vcpus((0,), (4, 5), pinned=(0,)), asked={"pinned_vcpus": [0]}, emulator=(1,)),
        made(emulator=(1,), asked={"emulator": 1}, bind=False, memory_only=(1,)),
        made(asked={"name": None, "emulator": [1]}, emulator=(1,)),
    ],
)
def test_a_plan_that_was_written_is_read_as_it_was(plan: Plan) -> None:
    """Rejected sets and a few wishes are not kept."""
    found = read_plan(plan.to_dict())
    request = plan.request
    assert found._replace(request=request) == plan
    for name in ("vcpus", "memory", "name", "huge_page", "pinned", "cores", "guest_cells", "pinned_vcpus", "exclusive"):
        assert getattr(found.request, name) == getattr(request, name), name
    assert found.request.emulator_cpus == request.emulator_cpus
    assert found.exclusive_cpus == plan.exclusive_cpus


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"fits": False}, "the plan says that the guest does not fit"),
        ({"vcpus": [{"vcpu": 1, "cpus": [0]}]}, "the vcpus must be numbered from 0, each once and in order"),
        ({"vcpus": [{"vcpu": 0, "cpus": []}]}, "vcpu 0 has no cpus"),
        ({"vcpus": [{"vcpu": 0, "cpus": [9, 0, 8]}]}, "vcpu 0 has cpu 8, which is not in cpus"),
        ({"memory": {"7": 1, "0": 4096, "5": 1}}, "memory names cell 5, which is not in cells"),
        ({"memory": {"0": 4095}}, "not a valid guest: memory must be from 4096 to"),
    ],
)
def test_parts_of_a_document_that_contradict_each_other(changed: dict[str, Any], text: str) -> None:
    """What no schema can express."""
    with pytest.raises(ValueError, match=f"^{text}"):
        read_plan({**made().to_dict(), **changed})


def test_exclusive_cpus_are_those_of_pinned_vcpus_and_of_an_emulator_of_its_own() -> None:
    """Ascending, and not those that an emulator shares."""
    assert made(vcpus=vcpus((5,), (1, 0), pinned=(0, 1))).exclusive_cpus == (0, 1, 5)
    assert made(emulator=(7,), asked={"emulator": 1}).exclusive_cpus == (7,)
    assert made(emulator=(7,), asked={"emulator": [7]}).exclusive_cpus == ()
