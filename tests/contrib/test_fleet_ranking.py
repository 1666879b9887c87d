"""Which host is best: the price of an access against what other guests lose. Without a ledger."""

from __future__ import annotations

import pytest

pytest.importorskip("keystoneauth1")

from fleets import guests
from hosts import GIB, host

from numaprobe import Host, Request
from numaprobe.contrib.openstack import Member, choose, known
from numaprobe.contrib.openstack.room import CellRoom, Room
from numaprobe.contrib.openstack.tree import tree_of


def fleet(**hosts: Host) -> list[Member]:
    return [Member(name, one, guests()) for name, one in hosts.items()]


def room(members: list[Member], used: dict[str, dict[int, dict[str, int]]] | None = None) -> Room:
    """What a ledger would have of them; ``used`` by name and cell."""
    out: Room = {}
    for one in members:
        tree = tree_of(one, reserve=0)
        out[tree.uuid] = {
            cell.uuid: CellRoom(
                {name: what.capacity for name, what in cell.inventories.items()},
                dict((used or {}).get(one.name, {}).get(cell.id, {})),
                1.0,
            )
            for cell in tree.cells
        }
    return out


def order(
    members: list[Member], request: Request, used: dict[str, dict[int, dict[str, int]]] | None = None
) -> list[str]:
    return [one.name for one in choose(known(members), room(members, used), request).choices]


def small(far: int) -> Host:
    return host([4 * GIB, 4 * GIB], cpus=4, distances={0: [10, far], 1: [far, 10]})


def large() -> Host:
    return host([16 * GIB, 16 * GIB], cpus=16)


def test_the_smallest_host_that_is_large_enough_is_filled() -> None:
    """Best fit: a guest that fits anywhere leaves the large host to those that fit nowhere else."""
    assert order(fleet(large=large(), small=small(20)), Request(2, 2 * GIB)) == ["small", "large"]


@pytest.mark.parametrize(("far", "first"), [(11, "small"), (13, "small"), (200, "large")])
def test_two_near_cells_of_a_small_host_are_better_than_one_cell_of_the_only_large_host(far: int, first: str) -> None:
    """An access that is a little dearer costs less than the room which only one host has; not if nearest."""
    members = fleet(large=large(), **{f"small{i}" if i else "small": small(far) for i in range(5)})
    assert order(members, Request(4, 6 * GIB))[0] == first
    assert order(members, Request(4, 6 * GIB, nearest=True))[0] == "large"


def test_a_host_is_chosen_where_cpus_and_memory_are_left_evenly() -> None:
    """A guest with much memory goes where CPUs are short, so that neither is stranded without the other."""
    members = fleet(a=large(), b=large())
    used = {"b": {0: {"VCPU": 10, "MEMORY_MB": 2048}, 1: {"VCPU": 10, "MEMORY_MB": 2048}}}
    assert order(members, Request(2, 8 * GIB), used)[0] == "b"


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are really looked at, by name, as they are."""
    from numaprobe.contrib.openstack.room import Known

    names: list[str] = []
    cut = Known.cut

    def counted(self: Known, *words: object) -> Host:
        names.append(self.member.name)
        return cut(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Known, "cut", counted)
    return names


def test_alternating_guests_are_answered_from_memory(planned: list[str]) -> None:
    """Only a host that changed is looked at again, for each of several shapes in turn."""
    members = fleet(a=large(), b=small(20))
    ready, left = known(members), room(members)
    shapes = Request(2, GIB), Request(4, 2 * GIB)
    for request in shapes * 2:
        choose(ready, left, request)
    assert sorted(planned) == ["a", "a", "b", "b"]
    planned.clear()
    next(iter(left[ready[1].root].values())).used["VCPU"] = 1
    for request in shapes:
        choose(ready, left, request)
    assert planned == ["b", "b"]


def test_hosts_that_are_alike_are_planned_once_and_each_has_its_own_answer(planned: list[str]) -> None:
    """A thousand hosts are a few models; one of which something else is left, or with other distances, is not alike."""
    members = fleet(
        a=large(), b=large(), c=large(), far=host([16 * GIB] * 2, cpus=16, distances={0: [10, 31], 1: [31, 10]})
    )
    ready = known(members)
    held = {"c": {1: {"VCPU": 3, "MEMORY_MB": 1024}}}
    found = choose(ready, room(members, held), Request(2, GIB))
    assert sorted(planned) == ["a", "c", "far"]
    assert sorted(one.name for one in found.choices) == ["a", "b", "c", "far"]
    for one in found.choices:
        assert set(one.allocations()) <= set(one.known.cells.values())
        alone = choose(known([one.known.member]), room(members, held), Request(2, GIB)).choices[0]
        assert (alone.plan, alone.amounts) == (one.plan, one.amounts)
