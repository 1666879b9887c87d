"""What a publication reads: few requests, and never an old answer. On the real Placement."""

from __future__ import annotations

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

from fleets import guest, guests
from hosts import GIB, host

from numaprobe import Domain, Request
from numaprobe.contrib.openstack import Client, Conflict, Member, claim, known, publish, release
from numaprobe.contrib.openstack.publish import providers
from numaprobe.contrib.openstack.reading import ProviderReader, Remembered
from numaprobe.contrib.openstack.tree import cell_uuid, root_uuid

CELLS = 8


def eight(name: str, *running: Domain) -> Member:
    """Eight cells of 4 GiB and two CPUs each."""
    return Member(name, host([4 * GIB] * CELLS, cpus=2), guests(*running))


def running(name: str, cell: int, size: int = GIB) -> Domain:
    return guest(name, {i: size if i == cell else 0 for i in range(CELLS)}, vcpus=[[2 * cell]], bound=[cell])


def cell(name: str, number: int) -> str:
    return f"/resource_providers/{cell_uuid(root_uuid(name), number)}"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_unchanged_host_of_many_cells_costs_one_request_for_each(ledger: Client, prefix: str, count: int) -> None:
    """And three for the host, and one for each guest: traits and sums of all its cells are read in one."""
    name = f"{prefix}a"
    one = eight(name, *[running(f"{prefix}{i}", i) for i in range(count)])
    publish(ledger, one)
    report = publish(ledger, one)
    assert (report.writes, report.requests) == (1, 3 + CELLS + (count if count < 3 else 3))


def test_a_host_whose_memory_is_all_held_is_read_cell_by_cell(ledger: Client, prefix: str) -> None:
    """The one request finds hosts by the memory that is left; without any it has nothing to say, and that is no fault."""
    one = eight(f"{prefix}a", *[running(f"{prefix}{i}", i, 4 * GIB) for i in range(CELLS)])
    publish(ledger, one)
    report = publish(ledger, one)
    assert (report.writes, report.requests) == (1, 4 + 3 * CELLS)


def test_a_guest_that_ended_and_a_claim_of_others_are_found_where_sums_differ(ledger: Client, prefix: str) -> None:
    """The guests that still run do not make up what is held, so the cells' own lists are read."""
    name = f"{prefix}a"
    stays, ends = running(f"{prefix}stays", 0), running(f"{prefix}ends", 1)
    publish(ledger, eight(name, stays, ends))
    held = claim(ledger, known([eight(name)]), Request(1, 3 * GIB, near=2))
    publish(ledger, eight(name, stays))
    used = [ledger.read(f"{cell(name, number)}/usages").body["usages"]["MEMORY_MB"] for number in range(3)]
    assert used == [1024, 0, 3072]
    release(ledger, held.consumer)


def test_a_trait_that_somebody_removed_is_set_again(ledger: Client, prefix: str) -> None:
    """Traits are read together with those of the other cells, and compared one by one."""
    name = f"{prefix}a"
    publish(ledger, eight(name))
    found = ledger.read(f"{cell(name, 5)}/traits").body
    ledger.put(f"{cell(name, 5)}/traits", {**found, "traits": []})
    assert publish(ledger, eight(name)).writes == 2
    assert ledger.read(f"{cell(name, 5)}/traits").body["traits"] == ["HW_NUMA_ROOT"]


def test_who_remembers_reads_an_unchanged_host_in_one_request(ledger: Client, prefix: str) -> None:
    """An agent publishes at each interval; the generations of the providers say that nothing else changed."""
    name, memory = f"{prefix}a", Remembered()
    one = eight(name, running(f"{prefix}g", 0))
    for _ in range(2):
        publish(ledger, one, memory=memory)
    report = publish(ledger, one, memory=memory)
    assert (report.writes, report.requests) == (1, 2)


def test_who_remembers_reads_again_what_others_changed(ledger: Client, prefix: str) -> None:
    """A claim, an inventory that was tampered with, and a guest that ended must not be hidden by what was remembered."""
    name, memory = f"{prefix}a", Remembered()
    stays, ends = running(f"{prefix}stays", 0), running(f"{prefix}ends", 1)
    for _ in range(2):
        publish(ledger, eight(name, stays, ends), memory=memory)
    held = claim(ledger, known([eight(name)]), Request(1, GIB, near=2))
    found = ledger.read(f"{cell(name, 3)}/inventories").body
    del found["inventories"]["VCPU"]
    ledger.put(f"{cell(name, 3)}/inventories", found)
    publish(ledger, eight(name, stays), memory=memory)
    used = [ledger.read(f"{cell(name, number)}/usages").body["usages"]["VCPU"] for number in range(4)]
    assert used == [1, 0, 1, 0]
    assert "VCPU" in ledger.read(f"{cell(name, 3)}/inventories").body["inventories"]
    release(ledger, held.consumer)


@pytest.mark.parametrize("cells", [2, CELLS])
def test_a_cell_that_changes_while_it_is_read_is_a_conflict(ledger: Client, prefix: str, cells: int) -> None:
    """Parts of two moments are never put together: the publication starts anew."""
    name = f"{prefix}a"
    one = Member(name, host([4 * GIB] * cells, cpus=2), guests())
    publish(ledger, one)
    present = providers(ledger, root_uuid(name))
    held = claim(ledger, known([one]), Request(1, GIB, near=1))
    with pytest.raises(Conflict, match="changed while it was read"):
        ProviderReader(ledger, root_uuid(name), present, [], Remembered()).cells(set(present) - {root_uuid(name)})
    release(ledger, held.consumer)
