"""A claim alone reads a part of a large fleet, and all of it only where that part has no room."""

from __future__ import annotations

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

from fleets import guests
from hosts import GIB, host

from numaprobe import DoesNotFit, Request
from numaprobe.contrib.openstack import Client, Known, Member, claim, claims, known, publish, read_room, release
from numaprobe.contrib.openstack.tree import PARTS, part_of, root_uuid


@pytest.fixture
def fleet(ledger: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> list[Known]:
    """Two hosts of different parts, in a fleet that counts as large; the first part is always tried first."""
    names = [f"{prefix}{number}" for number in range(40)]
    first = next(name for name in names if part_of(root_uuid(name)) == 0)
    other = next(name for name in names if part_of(root_uuid(name)) == 1)
    members = [Member(first, host([4 * GIB], cpus=2), guests()), Member(other, host([16 * GIB], cpus=8), guests())]
    for one in members:
        publish(ledger, one)
    monkeypatch.setattr(claims, "DIVIDED", 2)
    monkeypatch.setattr("random.randrange", lambda _parts: 0)
    return known(members)


def test_a_part_is_read_alone(ledger: Client, fleet: list[Known]) -> None:
    """Cells have the trait of their host's part, by which the service leaves out the others before it looks at them."""
    found = [read_room(ledger, part=part) for part in range(PARTS)]
    assert [[one.root in room for room in found].index(True) for one in fleet] == [0, 1]
    assert sum(len(room) for room in found) == len(read_room(ledger))


def test_a_claim_takes_the_best_host_of_a_part(ledger: Client, fleet: list[Known]) -> None:
    """It costs as many requests as one that reads all hosts: the answer is smaller."""
    before = ledger.requests
    held = claim(ledger, fleet, Request(1, GIB))
    assert held.choice.name == fleet[0].member.name
    assert ledger.requests - before == 3
    release(ledger, held.consumer)


def test_where_a_part_has_no_room_all_hosts_are_read(ledger: Client, fleet: list[Known]) -> None:
    """Whoever refused a guest here would refuse it while the fleet has room."""
    held = claim(ledger, fleet, Request(8, GIB))
    assert held.choice.name == fleet[1].member.name
    release(ledger, held.consumer)
    with pytest.raises(DoesNotFit, match="CPUs are left"):
        claim(ledger, fleet, Request(9, GIB))


def test_a_host_without_a_part_in_the_ledger_is_found_too(ledger: Client, fleet: list[Known]) -> None:
    """As an earlier version published it: the part seems to have no room, so all hosts are read."""
    for uuid in fleet[0].cells.values():
        found = ledger.read(f"/resource_providers/{uuid}/traits").body
        ledger.put(f"/resource_providers/{uuid}/traits", {**found, "traits": ["HW_NUMA_ROOT"]})
    held = claim(ledger, fleet[:1] * 2, Request(2, GIB))
    assert held.choice.name == fleet[0].member.name
    release(ledger, held.consumer)


def test_the_nearest_of_all_hosts_is_claimed(ledger: Client, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the cheapest access gets that of the fleet, and not that of an eighth."""
    names = [f"{prefix}{number}" for number in range(40)]
    first, other = (next(name for name in names if part_of(root_uuid(name)) == part) for part in (0, 1))
    divided = Member(first, host([2 * GIB, 2 * GIB], cpus=2, distances={0: [10, 20], 1: [20, 10]}), guests())
    members = [divided, Member(other, host([16 * GIB], cpus=8), guests())]
    for one in members:
        publish(ledger, one)
    monkeypatch.setattr(claims, "DIVIDED", 2)
    monkeypatch.setattr("random.randrange", lambda _parts: 0)
    fleet = known(members)
    for nearest, name in ((False, first), (True, other)):
        held = claim(ledger, fleet, Request(1, 3 * GIB, nearest=nearest))
        assert held.choice.name == name
        release(ledger, held.consumer)
