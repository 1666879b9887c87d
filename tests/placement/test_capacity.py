"""What a host has left: each reason to count a CPU or a byte out, and each limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host, made

import numaprobe
from numaprobe import Allowed, Cache, Domains, Host, HugePages, Memory, Note, place
from numaprobe.model.usable import Usable, UsablePages
from numaprobe.placement.capacity import capacity_of, default_reserve


def changed(machine: Host, number: int, **known: Any) -> Host:
    """A host of which one CPU is otherwise."""
    return machine._replace(cpus=tuple(cpu._replace(**known) if cpu.id == number else cpu for cpu in machine.cpus))


def with_cells(machine: Host, **known: Any) -> Host:
    return machine._replace(cells=tuple(one._replace(**known) for one in machine.cells))


@pytest.mark.parametrize(
    ("memory", "kept"),
    [
        ({"total": 64 * GIB}, 512 * MIB),
        ({"total": 32 * GIB}, 512 * MIB),
        ({"total": 32 * GIB - 64}, 512 * MIB - 1),
        ({"total": 6400}, 100),
        ({"total": 6463}, 100),
        ({"span": 6400}, 100),
        ({"free": 6400}, 100),
        ({"total": 6400, "span": 12800, "free": 64}, 100),
        ({"total": 0, "span": 6400}, 100),
        ({}, 0),
    ],
)
def test_a_64th_of_a_cell_is_kept_back_and_at_most_512_mib(memory: dict[str, int], kept: int) -> None:
    """Of what it has, else of what its addresses span, else of what is free."""
    assert default_reserve(cell(0, 0, ())._replace(memory=made(Memory, **memory))) == kept


@pytest.mark.parametrize(
    ("memory", "reserve", "room", "full", "reserved"),
    [
        ({"total": 100, "free": 90, "available": 80}, 10, 70, 90, 10),
        ({"total": 100, "free": 90, "available": 80}, 0, 80, 100, 0),
        ({"total": 100, "free": 90, "available": 80}, 80, 0, 20, 80),
        ({"total": 100, "free": 90, "available": 80}, 81, 0, 19, 80),
        ({"total": 100, "free": 90, "available": 120}, 10, 90, 90, 10),
        ({"total": 100, "free": 90}, 10, 80, 90, 10),
        ({"total": 100, "free": 90, "claimed": 20}, 10, 60, 90, 10),
        ({"total": 100, "free": 90, "claimed": 95}, 10, 0, 90, 0),
        ({"span": 70, "free": 90}, 10, 60, 60, 10),
        ({"free": 90}, 10, 80, 80, 10),
        ({"total": 100, "free": 90, "available": 0}, 10, 0, 90, 0),
    ],
)
def test_memory_is_what_is_available_less_the_reserve_and_never_more_than_there_is(
    memory: dict[str, int], reserve: int, room: int, full: int, reserved: int
) -> None:
    """Or, where that is not known, what is free and not claimed."""
    machine = with_cells(host([1]), memory=made(Memory, **memory))
    found = capacity_of(machine, reserve=reserve).rooms[0]
    assert (found.memory, found.full_memory, found.reserve, found.notes) == (room, full, reserved, [])


def test_unknown_memory_is_none_to_give_and_said() -> None:
    """The size of the cell is still known."""
    found = capacity_of(with_cells(host([1]), memory=made(Memory, total=100)), reserve=10).rooms[0]
    assert (found.memory, found.full_memory, found.reserve) == (0, 90, 0)
    assert found.notes == ["its free memory is unknown"]
    found = capacity_of(with_cells(host([1]), memory=made(Memory)), reserve=0).rooms[0]
    assert (found.memory, found.full_memory, found.reserve) == (0, 0, 0)


@pytest.mark.parametrize(
    ("claimed", "by_cell", "available", "room", "noted"),
    [
        (None, None, None, 90, False),
        (0, None, None, 90, False),
        (30, None, None, 60, True),
        (30, 20, None, 60, True),
        (30, 30, None, 60, False),
        (30, 31, None, 59, False),
        (30, None, 80, 80, False),
    ],
)
def test_claims_that_xen_does_not_give_by_cell_are_kept_back_in_every_cell(
    claimed: int | None, by_cell: int | None, available: int | None, room: int, noted: bool
) -> None:
    """What is claimed on this cell and what may be; a source that counts what is available has done so."""
    machine = host([1], source="xen", claimed=claimed)
    machine = with_cells(machine, memory=made(Memory, total=100, free=90, available=available, claimed=by_cell))
    found = capacity_of(machine, reserve=0)
    assert found.rooms[0].memory == room
    loose = (claimed or 0) - (by_cell or 0)
    assert found.notes == ([f"{loose} B claimed by other domains are kept back in every cell"] if noted else [])


@pytest.mark.parametrize(
    ("usable", "pinnable", "noted"),
    [
        (None, None, False),
        (Usable(pinned=50), 40, False),
        (Usable(pinned=10), 0, False),
        (Usable(pinned=9), 0, False),
        (Usable(pinned=None), 0, True),
    ],
)
def test_memory_that_may_be_pinned_is_less_the_reserve(
    usable: Usable | None, pinnable: int | None, noted: bool
) -> None:
    """None where nobody looked, and nothing, with a note, where that could not be found out."""
    found = capacity_of(with_cells(host([100]), usable=usable), reserve=10).rooms[0]
    assert found.pinnable == pinnable
    assert found.notes == ["how much of its memory may be pinned is unknown"] * noted


@pytest.mark.parametrize(
    ("total", "free", "pool", "given"),
    [
        (8, 5, None, 5),
        (3, 5, None, 3),
        (None, 5, None, 5),
        (0, 5, None, 0),
        (8, None, None, 0),
        (8, 0, None, 0),
        (8, 5, 2, 2),
        (8, 5, 7, 5),
        (8, 5, 0, 0),
    ],
)
def test_huge_pages_are_the_free_ones_that_no_mapping_has_reserved(
    total: int | None, free: int | None, pool: int | None, given: int
) -> None:
    """Never more than there are; of another size in ``usable`` nothing follows."""
    pages = (HugePages(2 * MIB, total, free, 0),)
    known = Usable(pages=(UsablePages(2 * MIB, pool=pool), UsablePages(GIB, pool=9)))
    found = capacity_of(with_cells(host([100]), huge_pages=pages, usable=known), reserve=0).rooms[0]
    assert found.pages == {2 * MIB: given}


def ones(machine: Host, **known: Any) -> tuple[list[tuple[int, ...]], list[str]]:
    """The threads of each core of cell 0, and the notes."""
    room = capacity_of(machine, **known).rooms[0]
    return [core.threads for core in room.cores], room.notes


def test_each_reason_to_leave_out_a_cpu_is_counted_and_said() -> None:
    """Eight CPUs, one for each reason; the first that applies is the reason."""
    machine = host([GIB, GIB], source="linux", isolated=[1, 2], offline=[2], allowed=Allowed(cpus=(0, 1, 2, 4, 5, 8)))
    assert ones(machine) == (
        [(0,), (4, 5)],
        ["1 CPU is isolated", "1 CPU is offline", "3 CPUs are not allowed to this process"],
    )
    assert ones(machine, ignore_allowed=True)[1] == ["1 CPU is isolated", "1 CPU is offline"]
    parted = machine._replace(allowed=Allowed(cpus=(0,), partitioned=(6, 7)))
    assert ones(parted, ignore_allowed=True) == (
        [(0,), (3,), (4, 5)],
        ["1 CPU is isolated", "1 CPU is offline", "2 CPUs are kept by a partition of cpusets"],
    )
    guest = domain("g", 1, pinned=[(5,)])
    assert ones(machine, domains=[guest]) == (
        [(0,), (4,)],
        ["1 CPU is isolated", "1 CPU is offline", "3 CPUs are not allowed to this process", "1 CPU is held by g"],
    )
    plan = place(host([GIB, GIB]), vcpus=2, memory=MIB, pinned=True)
    held = plan._replace(vcpus=tuple(one._replace(cpus=(4 + one.vcpu,)) for one in plan.vcpus))
    assert ones(machine, plans=[held])[1][-1] == "2 CPUs are held by a plan"
    named = held._replace(request=plan.request._replace(name="web"))
    assert ones(machine, plans=[named])[1][-1] == "2 CPUs are held by web"


def test_a_cpu_that_may_be_online_is_not_used() -> None:
    """Where the answers of a hypervisor contradict each other."""
    assert ones(changed(host([GIB], cpus=2), 1, online=None)) == ([(0,)], ["1 CPU is offline"])


def test_cpus_of_no_cell_are_counted_on_the_host() -> None:
    """Only those that run: an offline CPU has no cell on most machines."""
    machine = with_cells(host([GIB], cpus=4), cpus=(2, 3))
    machine = changed(changed(machine, 0, cell=None), 1, cell=None, online=False)
    assert capacity_of(machine).notes == ["1 CPU is not in exactly one cell and not used"]
    assert capacity_of(changed(machine, 1, cell=9, online=True)).notes == [
        "2 CPUs are not in exactly one cell and not used"
    ]
    assert capacity_of(host([GIB])).notes == []


def test_a_core_is_whole_only_if_all_its_threads_are_there_to_give() -> None:
    """With unknown siblings each CPU is a core by itself, and none is known to be whole."""
    machine = changed(changed(host([GIB], cpus=4), 3, isolated=True), 0, isolated=None)
    room = capacity_of(machine).rooms[0]
    assert [(core.threads, core.whole) for core in room.cores] == [((0, 1), True), ((2,), False)]
    assert (room.cores_known, room.cpus, room.full_cpus, room.idle, room.clean, room.online) == (True, 3, 3, 1, 2, 4)
    room = capacity_of(changed(machine, 1, siblings=None)).rooms[0]
    assert [(core.threads, core.whole) for core in room.cores] == [((0,), False), ((1,), False), ((2,), False)]
    assert room.cores_known is False


def test_cores_are_grouped_by_cluster_and_by_cache_or_die() -> None:
    """The last cache that is not for instructions alone; ids of dies and clusters count within their package."""
    machine = host([GIB], cpus=8)
    for number, known in enumerate(
        ({"package": 0, "die": 0, "cluster": 3}, {"package": 1, "die": 0}, {"package": 1, "cluster": 3})
    ):
        machine = changed(changed(machine, 2 * number, **known), 2 * number + 1, **known)
    groups = [core.groups for core in capacity_of(machine).rooms[0].cores]
    assert groups == [((0, 0, 3), (0, 0)), (None, (1, 0)), ((1, None, 3), None), (None, None)]
    caches = [
        made(Cache, level=level, type=kind, cpus=cpus)
        for level, kind, cpus in (
            (3, "unified", (0, 1, 2, 3)),
            (1, "data", (0, 1)),
            (2, None, (4, 5)),
            (3, "instruction", (4, 5, 6, 7)),
        )
    ]
    groups = [core.groups for core in capacity_of(machine._replace(caches=tuple(caches))).rooms[0].cores]
    assert [wide for _, wide in groups] == [(0, 1, 2, 3), (0, 1, 2, 3), (4, 5), None]


def pooled(*pools: int | None, source: str = "xen") -> Host:
    """Cells of two CPUs each, in these pools."""
    return host([GIB] * len(pools), cpus=2, source=source, pools={i: pools[i // 2] for i in range(2 * len(pools))})


@pytest.mark.parametrize(
    ("machine", "pool", "cpus"),
    [
        (pooled(0, 1), None, [2, 0]),
        (pooled(2, 1), None, [0, 2]),
        (pooled(0, 1), 1, [0, 2]),
        (pooled(0, None), None, [2, 0]),
        (pooled(None, None), None, [2, 2]),
        (pooled(0, 1, source="linux"), None, [2, 2]),
    ],
)
def test_cpus_of_the_lowest_pool_or_of_the_one_that_was_asked_for(
    machine: Host, pool: int | None, cpus: list[int]
) -> None:
    """On Linux there are no pools."""
    rooms = capacity_of(machine, pool=pool).rooms
    assert [room.cpus for room in rooms.values()] == cpus


@pytest.mark.parametrize("machine", [pooled(0, 1), pooled(None, None), host([GIB])])
def test_a_pool_that_is_not_there_is_a_usage_error(machine: Host) -> None:
    """On any host, because no CPU is in it."""
    with pytest.raises(ValueError, match=r"^there is no cpupool 7$"):
        capacity_of(machine, pool=7)


def test_a_cell_whose_cpus_are_all_of_other_pools_lends_its_memory_last() -> None:
    """Offline CPUs do not matter; one that is isolated may still be the guest's."""
    stock = capacity_of(pooled(0, 1))
    rooms = stock.rooms
    assert [(room.lends, room.lends_last, room.group) for room in rooms.values()] == [
        (False, False, 0),
        (True, True, 1),
    ]
    assert rooms[1].notes == ["2 CPUs are outside pool 0"]
    assert capacity_of(changed(pooled(0, 1), 3, online=False)).rooms[1].lends_last
    isolated = capacity_of(changed(pooled(0, 1), 3, isolated=True)).rooms[1]
    assert (isolated.lends, isolated.lends_last) == (False, False)
    half = capacity_of(changed(pooled(0, 1), 3, pool=0)).rooms[1]
    assert (half.lends, half.lends_last, half.cpus) == (False, False, 1)


def test_memory_that_is_not_allowed_is_none_to_give() -> None:
    """The cell's CPUs may be allowed even so."""
    rooms = capacity_of(host([GIB, GIB], allowed=Allowed(cells=(1,))), reserve=0).rooms
    assert [(room.memory, room.cpus) for room in rooms.values()] == [(0, 8), (GIB, 8)]
    assert [room.notes for room in rooms.values()] == [["its memory is not allowed to this process"], []]
    rooms = capacity_of(host([GIB, GIB], allowed=Allowed(cells=(1,))), reserve=0, ignore_allowed=True).rooms
    assert [room.memory for room in rooms.values()] == [GIB, GIB]


@pytest.mark.parametrize(("quota", "ignore", "kept"), [(1.5, False, 1.5), (1.5, True, None), (None, False, None)])
def test_a_quota_is_known_unless_it_is_disregarded(quota: float | None, ignore: bool, kept: float | None) -> None:
    """In CPUs."""
    assert capacity_of(host([GIB], allowed=Allowed(quota=quota)), ignore_allowed=ignore).quota == kept
    assert capacity_of(host([GIB])).quota is None


@pytest.mark.parametrize(
    ("cells", "stand_in", "bind"), [([GIB], False, False), ([GIB, GIB], False, True), ([GIB, GIB], True, False)]
)
def test_memory_is_bound_where_there_are_cells_to_choose_from(cells: Sequence[int], stand_in: bool, bind: bool) -> None:
    """No program accepts the id of the cell that stands for a whole machine."""
    assert capacity_of(with_cells(host(cells), stand_in=stand_in)).bind is bind


def test_a_device_is_near_its_own_cell_else_near_the_one_with_cpus() -> None:
    """By its address and by each of its names."""
    devices = [
        made(numaprobe.Device, address="a", cell=0, cpu_cell=1, names=(("net", "eth0"), ("net", "eth1"))),
        made(numaprobe.Device, address="b", cpu_cell=1, names=()),
        made(numaprobe.Device, address="c", names=()),
    ]
    assert capacity_of(host([GIB], devices=devices)).devices == {"eth0": 0, "eth1": 0, "a": 0, "b": 1, "c": None}
    assert capacity_of(host([GIB])).devices is None


@pytest.mark.parametrize(
    ("known", "notes"),
    [
        (Domains(()), []),
        (
            Domains((), complete=False),
            ["running guests could not all be seen: what they hold beyond their memory in use is unknown"],
        ),
        (
            Domains((), complete=False, notes=[Note("/proc/7", "unreadable"), Note("/proc/8", "gone")]),
            [
                "running guests could not all be seen (/proc/7: unreadable): what they hold beyond their memory in use"
                " is unknown"
            ],
        ),
    ],
)
def test_guests_that_could_not_be_seen_are_said_with_the_first_reason(known: Domains, notes: list[str]) -> None:
    """A list that is complete needs no sentence."""
    assert capacity_of(host([GIB]), domains=known).notes == notes


@pytest.mark.parametrize(
    ("machine", "ordinary"),
    [
        (host([GIB, GIB]), True),
        (host([GIB, GIB], cpuless=[1]), False),
        (with_cells(host([GIB]), kind="cxl"), False),
    ],
)
def test_a_host_is_ordinary_where_every_cell_has_cpus_and_plain_memory(machine: Host, ordinary: bool) -> None:
    """Which is what saves looking at each cell."""
    assert capacity_of(machine).ordinary is ordinary


def test_the_source_says_how_memory_is_dealt_out() -> None:
    """Under Xen a guest's memory is taken from all of its nodes alike."""
    assert [capacity_of(host([GIB], source=source)).striped for source in ("linux", "xen")] == [False, True]
    known = capacity_of(host([GIB, GIB], distances={0: [10, 21], 1: [31, 10]}))
    assert (known.costs, known.known_distances) == ({0: {0: 10, 1: 21}, 1: {0: 31, 1: 10}}, True)
