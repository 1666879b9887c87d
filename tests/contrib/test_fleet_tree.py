"""What a host is in the ledger, and what the ledger's figures leave of it: no server is needed to say it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from fleets import guest, guests, two_cells
from hosts import GIB, MIB, domain, host, made

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import Domains, Host, HugePages, Memory, Request
from numaprobe.contrib.openstack import Member, Shape
from numaprobe.contrib.openstack.guests import consumer_of, held_by_guests
from numaprobe.contrib.openstack.room import ANSWERS, CellRoom, Known, cpus_left, read_room, room_for
from numaprobe.contrib.openstack.tree import (
    Inventory,
    Tree,
    cell_uuid,
    huge_class,
    provider_name,
    root_uuid,
    tree_of,
)

SPACE = uuid.UUID("6f2a8a54-3a0c-5b4e-9b1e-5a8f0f0c7d11")


def cells(machine: Host, **known: Any) -> Host:
    return machine._replace(cells=tuple(one._replace(**known) for one in machine.cells))


def tree(machine: Host, running: Domains | None = Domains(()), **how: Any) -> Tree:  # noqa: B008
    return tree_of(Member("a", machine, running), **how)


def memory(machine: Host, running: Domains | None = Domains(()), **how: Any) -> tuple[int, int] | None:  # noqa: B008
    """Total and reserve of cell 0, in MiB."""
    found = tree(machine, running, **how).cells[0].inventories.get("MEMORY_MB")
    return None if found is None else (found.total, found.reserved)


def test_uuids_and_names_follow_from_the_name_of_the_host() -> None:
    """They are the same in every version, so that a host finds what it published before."""
    root = root_uuid("a")
    assert root == str(uuid.uuid5(SPACE, "a"))
    assert cell_uuid(root, 3) == str(uuid.uuid5(uuid.UUID(root), "cell:3"))
    assert (provider_name("a"), provider_name("a", 0), provider_name("a", 3)) == (
        "numaprobe:a",
        "numaprobe:a:cell0",
        "numaprobe:a:cell3",
    )
    found = tree(host({3: GIB}))
    assert (found.uuid, found.name, found.notes) == (root, "numaprobe:a", ())
    assert [(one.id, one.uuid, one.name) for one in found.cells] == [(3, cell_uuid(root, 3), "numaprobe:a:cell3")]


@pytest.mark.parametrize(
    ("inventory", "capacity", "most"),
    [
        (Inventory(10, 0, 1.0, 1), 10, 10),
        (Inventory(10, 3, 1.0, 1), 7, 10),
        (Inventory(10, 3, 1.5, 1), 10, 15),
        (Inventory(10, 10, 1.0, 16), 0, 16),
        (Inventory(5, 0, 1.5, 1), 7, 7),
    ],
)
def test_an_inventory_offers_its_total_less_the_reserve_times_its_ratio(
    inventory: Inventory, capacity: int, most: int
) -> None:
    """The largest amount of one guest is of the whole, because a reserve may be given back."""
    assert inventory.capacity == capacity
    assert inventory.document() == {
        "total": inventory.total,
        "reserved": inventory.reserved,
        "min_unit": inventory.step,
        "max_unit": most,
        "step_size": inventory.step,
        "allocation_ratio": inventory.ratio,
    }


@pytest.mark.parametrize(
    ("total", "reserve", "found"),
    [
        (16 * GIB, None, (16384, 256)),
        (16 * GIB, 0, (16384, 0)),
        (16 * GIB, 1, (16384, 1)),
        (16 * GIB, MIB, (16384, 1)),
        (16 * GIB, MIB + 1, (16384, 2)),
        (MIB, 0, (1, 0)),
        (MIB, 5 * MIB, (1, 1)),
        (2 * MIB - 1, 0, (1, 0)),
        (MIB - 1, 0, None),
        (0, 0, None),
    ],
)
def test_memory_is_offered_in_whole_mib_and_its_reserve_rounded_up(
    total: int, reserve: int | None, found: tuple[int, int] | None
) -> None:
    """Less than one is not offered, and no more is kept back than there is."""
    assert memory(host([total]), reserve=reserve) == found


@pytest.mark.parametrize(
    ("figures", "reserve", "kept"),
    [
        ({"available": 90 * MIB, "free": 20 * MIB}, 0, 10),
        ({"available": 90 * MIB}, 15 * MIB, 15),
        ({"free": 20 * MIB}, 0, 80),
        ({"available": 0, "free": 20 * MIB}, 0, 100),
        ({}, 0, 100),
        ({"available": 120 * MIB}, 1, 1),
    ],
)
def test_memory_in_use_is_kept_back_where_guests_are_unknown(figures: dict[str, int], reserve: int, kept: int) -> None:
    """It may be a guest's; all of it where nothing says how much is free."""
    machine = cells(host([1]), memory=made(Memory, total=100 * MIB, **figures))
    assert memory(machine, None, reserve=reserve) == (100, kept)
    assert memory(machine, reserve=reserve) == (100, -(-reserve // MIB))
    assert tree(machine, None).notes == (
        "its guests are unknown: memory in use is kept back, CPUs are offered as if none were used",
    )


def test_unknown_memory_is_not_offered() -> None:
    """The note has the cell, and its CPUs are offered."""
    found = tree(cells(host([1], cpus=2), memory=Memory()))
    assert found.notes == ("cell 0: its memory is unknown, and not offered",)
    assert found.cells[0].inventories == {"VCPU": Inventory(2, 0, 1.0, 1)}


@pytest.mark.parametrize(
    ("pages", "small", "offered", "busy", "note"),
    [
        (HugePages(2 * MIB, 10, 10, 0), 80, {"CUSTOM_HUGEPAGES_2048K_MB": Inventory(20, 0, 1.0, 2)}, 0, None),
        (HugePages(2 * MIB, 10, 7, 0), 80, {"CUSTOM_HUGEPAGES_2048K_MB": Inventory(20, 0, 1.0, 2)}, 6, None),
        (HugePages(2 * MIB, 10, 11, 0), 80, {"CUSTOM_HUGEPAGES_2048K_MB": Inventory(20, 0, 1.0, 2)}, 0, None),
        (
            HugePages(2 * MIB, 10, None, 0),
            80,
            {"CUSTOM_HUGEPAGES_2048K_MB": Inventory(20, 0, 1.0, 2)},
            20,
            "cell 0: its free huge pages of 2 MiB are unknown, and none is offered",
        ),
        (HugePages(2 * MIB, 0, 0, 0), 100, {}, None, None),
        # 64 KiB pages: a MiB at a time, and what does not fill one is not offered.
        (HugePages(64 << 10, 15, 15, 0), 99, {}, None, None),
        (HugePages(64 << 10, 16, 16, 0), 99, {"CUSTOM_HUGEPAGES_64K_MB": Inventory(1, 0, 1.0, 1)}, 0, None),
        (HugePages(64 << 10, 40, 31, 0), 97, {"CUSTOM_HUGEPAGES_64K_MB": Inventory(2, 0, 1.0, 1)}, 1, None),
    ],
)
def test_huge_pages_are_a_class_with_the_page_as_step(
    pages: HugePages, small: int, offered: dict[str, Inventory], busy: int | None, note: str | None
) -> None:
    """What is in use is counted, whoever has it, and ordinary memory is what is not set aside for them."""
    found = tree(cells(host([100 * MIB]), huge_pages=(pages,)), reserve=0)
    known = dict(found.cells[0].inventories)
    assert (known.pop("MEMORY_MB").total, known.pop("VCPU").total) == (small, 8)
    assert known == offered
    assert found.cells[0].busy == ({} if busy is None else dict.fromkeys(offered, busy))
    assert found.notes == (() if note is None else (note,))


def test_an_unknown_number_of_huge_pages_leaves_the_size_of_ordinary_memory_unknown() -> None:
    """Neither is offered, nor the pages of another size."""
    machine = cells(host([100 * MIB]), huge_pages=(HugePages(2 * MIB, 4, 4, 0), HugePages(GIB, None, 1, 0)))
    found = tree(machine)
    assert set(found.cells[0].inventories) == {"VCPU"}
    assert found.cells[0].busy == {}
    assert found.notes == ("cell 0: its number of huge pages of 1 GiB is unknown, and no memory is offered",)


@pytest.mark.parametrize(
    ("known", "how", "traits"),
    [
        ({}, {}, set()),
        ({"cpus": ()}, {}, {"CUSTOM_MEMORY_ONLY"}),
        ({"kind": "cxl"}, {}, {"CUSTOM_MEMORY_KIND_CXL"}),
        ({"tier": 0}, {}, {"CUSTOM_MEMORY_TIER_0"}),
        ({"tier": 4}, {}, {"CUSTOM_MEMORY_TIER_4"}),
        ({}, {"cpu_ratio": 1.5}, {"CUSTOM_CPU_RATIO_150"}),
        ({}, {"cpu_ratio": 16.0}, {"CUSTOM_CPU_RATIO_1600"}),
        ({}, {"cpu_ratio": 1.5, "cpu_class": "PCPU"}, set()),
    ],
)
def test_a_cell_has_traits_that_say_what_it_is(known: dict[str, Any], how: dict[str, Any], traits: set[str]) -> None:
    """As well as that of a NUMA node, which every cell has."""
    found = tree(cells(host([GIB]), **known), **how).cells[0]
    assert found.traits == {"HW_NUMA_ROOT", "CUSTOM_NUMAPROBE_PART_6", *traits}
    assert set(found.inventories) == {"MEMORY_MB", how.get("cpu_class", "VCPU")}


def test_cpus_that_guests_may_get_are_offered() -> None:
    """Online and not isolated, and under Xen of the lowest pool; none of a cell whose CPUs are unknown."""

    def offered(machine: Host, **how: Any) -> list[Inventory | None]:
        return [one.inventories.get("VCPU") for one in tree(machine, **how).cells]

    assert offered(host([GIB, GIB], isolated=[0], offline=[9, 10])) == [
        Inventory(7, 0, 1.0, 1),
        Inventory(6, 0, 1.0, 1),
    ]
    pools = {cpu: 2 if cpu < 3 else 1 if cpu < 12 else None for cpu in range(16)}
    assert offered(host([GIB, GIB], source="xen", pools=pools)) == [Inventory(5, 0, 1.0, 1), Inventory(4, 0, 1.0, 1)]
    assert offered(host([GIB, GIB], pools=pools), cpu_ratio=2.0) == [Inventory(8, 0, 2.0, 1)] * 2
    assert offered(host([GIB], source="xen")) == [Inventory(8, 0, 1.0, 1)]
    lost = host([GIB])._replace(cpus=tuple(cpu._replace(cell=None) for cpu in host([GIB]).cpus))
    found = tree(cells(lost, cpus=None), cpu_ratio=2.0)
    assert set(found.cells[0].inventories) == {"MEMORY_MB"}
    assert found.notes == ("cell 0: its CPUs are unknown, and not offered",)
    assert found.cells[0].traits == {"HW_NUMA_ROOT", "CUSTOM_NUMAPROBE_PART_6"}


OWN = "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize(
    ("known", "elsewhere", "word"),
    [
        ({"uuid": OWN}, (), None),
        ({"uuid": OWN}, (OWN,), OWN),
        ({"uuid": None}, (), "web"),
        ({"uuid": "00000000-0000-0000-0000-000000000000"}, (), "web"),
        ({"uuid": "none"}, (), "web"),
        ({"uuid": None, "name": None}, (), "7"),
    ],
)
def test_a_guest_without_a_uuid_of_its_own_here_gets_one(
    known: dict[str, Any], elsewhere: Sequence[str], word: str | None
) -> None:
    """It follows from the host and the guest, so that the next publication finds it again."""
    root = root_uuid("a")
    found = consumer_of(guest("web", {0: GIB})._replace(**known), root, elsewhere)
    assert found == (OWN if word is None else str(uuid.uuid5(uuid.UUID(root), f"guest:{word}")))


def test_a_guest_that_was_claimed_in_huge_pages_still_has_those() -> None:
    """No source reports them; vcpus of its claim are no pages."""
    web = guest("web", {0: GIB + 1, 1: GIB}, vcpus=[[0]])
    member = Member("a", two_cells(), guests(web))
    known = {web.uuid or "": {0: {"VCPU": 1, "PCPU": 1, "MEMORY_MB": 5, "CUSTOM_HUGEPAGES_2048K_MB": 1024}}}
    found = held_by_guests(member, tree_of(member), known=known)
    assert [one.amounts for one in found.holdings] == [
        {0: {"CUSTOM_HUGEPAGES_2048K_MB": 1025, "VCPU": 1}, 1: {"MEMORY_MB": 1024}}
    ]
    assert (found.holdings[0].name, found.holdings[0].consumer) == ("web", web.uuid)
    pinned = held_by_guests(member, tree_of(member, cpu_class="PCPU"), known={})
    assert pinned.holdings[0].amounts == {0: {"MEMORY_MB": 1025, "PCPU": 1}, 1: {"MEMORY_MB": 1024}}
    moving = held_by_guests(member, tree_of(member), known={}, elsewhere=[web.uuid or ""])
    assert moving.notes == (f"guest web: another host holds its uuid; held here as {moving.holdings[0].consumer}",)


def test_a_guest_that_holds_nothing_is_none_of_the_ledger() -> None:
    """A domain that is being built, for example."""
    new = domain("new", 0, memory=0, maximum=None, cells=((0, 0), (1, 0)))
    member = Member("a", two_cells(), guests(new))
    assert held_by_guests(member, tree_of(member), known={}) == ((), {0: 0, 1: 0}, ())


def room(**classes: int | tuple[int, int]) -> CellRoom:
    capacity = {name: one[0] if isinstance(one, tuple) else one for name, one in classes.items()}
    used = {name: one[1] for name, one in classes.items() if isinstance(one, tuple)}
    return CellRoom(capacity, used, 2.0)


def test_what_is_left_of_a_class() -> None:
    """Never less than nothing, and nothing of a class that is not offered."""
    one = room(VCPU=(10, 4), MEMORY_MB=(10, 11), PCPU=3)
    assert [one.left(name) for name in ("VCPU", "MEMORY_MB", "PCPU", "CUSTOM_X")] == [6, 0, 3, 0]


@pytest.mark.parametrize(
    ("one", "floating", "pinned"),
    [
        (room(VCPU=(10, 3)), 7, 3),
        (room(VCPU=(10, 4)), 6, 3),
        (room(PCPU=(8, 3)), 0, 5),
        (room(VCPU=(10, 3), PCPU=(8, 8)), 7, 0),
    ],
)
def test_pinned_guests_take_whole_cpus(one: CellRoom, floating: int, pinned: int) -> None:
    """Of a cell on whose CPUs two vcpus float each; those for pinned guests only are not divided."""
    assert (cpus_left(one, pinned=False), cpus_left(one, pinned=True)) == (floating, pinned)


@pytest.mark.parametrize(
    ("shape", "fits", "stranded"),
    [
        (Shape(2, 4 * MIB), 3, 8),
        (Shape(3, 4 * MIB), 2, 12),
        (Shape(1, 7 * MIB), 2, 6),
        (Shape(1, 21 * MIB), 0, 20),
        (Shape(8, MIB), 0, 20),
        (Shape(1, 4 * MIB, pinned=True), 3, 8),
        (Shape(2, 4 * MIB, pinned=True), 1, 16),
        (Shape(1, 4 * MIB, huge_page=2 * MIB), 2, 0),
        (Shape(1, 6 * MIB, huge_page=2 * MIB), 1, 2),
        (Shape(1, GIB, huge_page=GIB), 0, 0),
    ],
)
def test_how_many_guests_of_a_shape_fit_and_what_none_of_them_can_use(shape: Shape, fits: int, stranded: int) -> None:
    """Of seven CPUs for floating vcpus, three whole ones, 20 MiB and 8 in huge pages."""
    one = room(VCPU=(10, 3), MEMORY_MB=(24, 4), CUSTOM_HUGEPAGES_2048K_MB=8)
    assert (shape.fits(one), shape.stranded(one)) == (fits, stranded * MIB)


class Scripted:
    """A ledger that has one answer, and keeps what it was asked."""

    def __init__(self, body: Any) -> None:
        self.body, self.asked = body, []  # type: ignore[var-annotated]

    def read(self, path: str) -> Any:
        self.asked.append(path)
        return self


def test_the_room_of_a_fleet_is_one_request() -> None:
    """Cells below their own root alone; a ratio that is no trait is 1."""
    summaries = {
        "root": {"root_provider_uuid": "root", "parent_provider_uuid": None, "resources": {}, "traits": []},
        "cell": {
            "root_provider_uuid": "root",
            "parent_provider_uuid": "root",
            "resources": {"VCPU": {"capacity": 8, "used": 3}, "MEMORY_MB": {"capacity": 5, "used": 0}},
            "traits": ["HW_NUMA_ROOT", "CUSTOM_CPU_RATIO_150"],
        },
        "other": {
            "root_provider_uuid": "root",
            "parent_provider_uuid": "root",
            "resources": {"VCPU": {"capacity": 1, "used": 1}},
            "traits": [],
        },
        "nested": {"root_provider_uuid": "root", "parent_provider_uuid": "cell", "resources": {}, "traits": []},
    }
    ledger: Any = Scripted({"provider_summaries": summaries})
    assert read_room(ledger) == {
        "root": {
            "cell": CellRoom({"VCPU": 8, "MEMORY_MB": 5}, {"VCPU": 3, "MEMORY_MB": 0}, 1.5),
            "other": CellRoom({"VCPU": 1}, {"VCPU": 1}, 1.0),
        }
    }
    ledger.asked.clear()
    read_room(ledger, "VCPU", 3, stale=True)
    room_for(ledger, Request(1, GIB))
    room_for(ledger, Request(1, GIB, huge_page=2 * MIB))
    room_for(ledger, Request(1, GIB, huge_page=64 << 10))
    start, ours = "/allocation_candidates?resources1=", "CUSTOM_NUMAPROBE,!CUSTOM_NUMAPROBE_STALE"
    assert ledger.asked == [
        f"{start}VCPU:3&root_required=CUSTOM_NUMAPROBE",
        f"{start}MEMORY_MB:1&root_required={ours}",
        f"{start}CUSTOM_HUGEPAGES_2048K_MB:2&root_required={ours}",
        f"{start}CUSTOM_HUGEPAGES_64K_MB:1&root_required={ours}",
    ]
    assert huge_class(GIB) == "CUSTOM_HUGEPAGES_1048576K_MB"


def known_of(machine: Host, *running: Any) -> Known:
    return Known(Member("a", machine, guests(*running)))


def cut(one: Known, request: Request, **by_cell: CellRoom) -> Host:
    return one.cut({one.cells[int(name[1:])]: room for name, room in by_cell.items()}, request)


def test_a_host_is_cut_down_to_what_the_ledger_has_left() -> None:
    """Free memory and pages of each cell, and as many CPUs, those that guests hold for themselves last."""
    machine = host([8 * GIB, 8 * GIB], cpus=4, source="xen", claimed=5, pages={0: {2 * MIB: 9}, 1: {2 * MIB: 9}})
    one = known_of(machine, guest("db", {0: GIB}, vcpus=[[0]]))
    left = room(VCPU=(4, 1), MEMORY_MB=(100, 40), CUSTOM_HUGEPAGES_2048K_MB=(18, 4))
    found = cut(one, Request(1, GIB), c0=left)
    assert [(cell.memory.free, cell.memory.available) for cell in found.cells] == [(60 * MIB, 60 * MIB), (0, 0)]
    assert [cell.huge_pages[0].free for cell in found.cells] == [7, 0]
    assert [cpu.id for cpu in found.cpus] == [1, 2, 3]
    assert (found.allowed, found.hypervisor and found.hypervisor.claimed) == (None, 0)
    pinned = cut(one, Request(1, GIB, pinned=True), c0=left)
    assert [cpu.id for cpu in pinned.cpus] == [1]
    assert cut(known_of(host([GIB])), Request(1, GIB), c0=left).hypervisor is None


def test_a_host_is_cut_once_for_the_same_room() -> None:
    """As long as neither what is left nor whether CPUs are pinned is another."""
    one = known_of(host([8 * GIB], cpus=4))
    first = cut(one, Request(1, GIB), c0=room(VCPU=4))
    assert cut(one, Request(2, 2 * GIB), c0=room(VCPU=4)) is first
    assert cut(one, Request(1, GIB), c0=room(VCPU=(4, 1))) is not first
    assert cut(one, Request(1, GIB, pinned=True), c0=room(VCPU=(4, 1))).cpus == first.cpus[:1]


def test_cpus_are_offered_with_their_cores_together_and_held_ones_last() -> None:
    """Not those of other pools, isolated ones, or of no cell."""
    machine = host([GIB], cpus=8, isolated=[6])
    machine = machine._replace(cpus=tuple(cpu._replace(cell=None) if cpu.id == 7 else cpu for cpu in machine.cpus))
    machine = machine._replace(
        cpus=tuple(
            cpu._replace(siblings={1: (1, 4), 4: (1, 4), 5: None}.get(cpu.id, (cpu.id,))) for cpu in machine.cpus
        )
    )
    assert known_of(machine).order == {0: [0, 1, 4, 2, 3, 5]}
    assert known_of(machine, guest("db", {0: GIB}, vcpus=[[1]])).order == {0: [0, 4, 2, 3, 5, 1]}
    xen = host([GIB], cpus=4, source="xen", pools={0: 1, 1: 0, 2: 0, 3: None})
    assert known_of(xen).order == {0: [1, 2]}
    assert known_of(host([GIB], cpus=2, pools={0: 1, 1: 0})).order == {0: [0, 1]}


def test_answers_are_remembered_for_so_many_requests() -> None:
    """The one that was asked for last is forgotten last, and another room or fleet is another question."""
    one = known_of(host([GIB]))
    asked: list[int] = []

    def find(_one: object, _room: object, request: Request, _fleet: object) -> int:
        asked.append(request.vcpus)
        return request.vcpus

    def answer(vcpus: int, fleet: Any = "fleet", **left: Any) -> int:
        return one.answer(Request(vcpus, GIB), {"cell": room(**left)}, fleet, find)

    assert ANSWERS == 16
    for vcpus in [*range(1, 17), 1, 17, 1]:
        assert answer(vcpus) == vcpus
    assert asked == list(range(1, 18)), "the second and the third time 1 was remembered"
    assert answer(2) == 2
    assert asked[17:] == [2], "it was the oldest when 17 came"
    answer(2, fleet="other")
    answer(2, fleet="other", VCPU=1)
    answer(2, fleet="other", VCPU=(1, 1))
    answer(2, fleet="other", VCPU=(1, 1))
    assert asked[18:] == [2, 2, 2]
