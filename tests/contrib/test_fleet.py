"""A fleet in the real Placement: what is published, where a guest goes, and who holds what."""

from __future__ import annotations

import uuid

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

from fleets import guest, guests, two_cells
from hosts import GIB, MIB, host

from numaprobe import DoesNotFit, Host, Request
from numaprobe.contrib.openstack import (
    Claimer,
    Client,
    FleetError,
    Member,
    Shape,
    choose,
    claim,
    known,
    overview,
    publish,
    published,
    read_room,
    release,
    release_stale,
    set_aside,
    unpublish,
)
from numaprobe.contrib.openstack.claims import oversold
from numaprobe.contrib.openstack.client import Answer
from numaprobe.contrib.openstack.publish import providers
from numaprobe.contrib.openstack.tree import STALE, cell_uuid, root_uuid

pytestmark = pytest.mark.ledger
SMALL = Request(2, 1 * GIB)


def member(name: str, host: Host | None = None, *running: object, complete: bool = True) -> Member:
    return Member(name, two_cells() if host is None else host, guests(*running, complete=complete))  # type: ignore[arg-type]


def cell(name: str, number: int) -> str:
    return f"/resource_providers/{cell_uuid(root_uuid(name), number)}"


def inventories(ledger: Client, name: str, number: int) -> dict[str, tuple[int, int]]:
    """Total and reserve by class."""
    found = ledger.read(f"{cell(name, number)}/inventories").body["inventories"]
    return {key: (one["total"], one["reserved"]) for key, one in found.items()}


def used(ledger: Client, name: str, number: int) -> dict[str, int]:
    found: dict[str, int] = ledger.read(f"{cell(name, number)}/usages").body["usages"]
    return found


# --- the tree -----------------------------------------------------------------------------------------------------


def test_a_host_is_a_root_without_inventory_and_a_child_for_each_cell(ledger: Client, prefix: str) -> None:
    """Placement then allocates per cell; a 64th of memory is reserved, and CPUs are not."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    found = providers(ledger, root_uuid(name))
    assert {one["name"] for one in found.values()} == {
        f"numaprobe:{name}",
        f"numaprobe:{name}:cell0",
        f"numaprobe:{name}:cell1",
    }
    assert ledger.read(f"/resource_providers/{root_uuid(name)}/inventories").body["inventories"] == {}
    # A 64th is kept back.
    assert inventories(ledger, name, 0) == {"VCPU": (8, 0), "MEMORY_MB": (16384, 256)}


def test_memory_in_huge_pages_is_a_class_of_its_own_with_the_page_as_its_step(ledger: Client, prefix: str) -> None:
    """Pages set aside are not ordinary memory, and a guest of half a page cannot exist."""
    name = f"{prefix}a"
    publish(ledger, member(name, two_cells(pages={0: {2 * MIB: 1024, GIB: 4}}), guest("g", {0: 0, 1: 0})))
    assert inventories(ledger, name, 0) == {
        "VCPU": (8, 0),
        "MEMORY_MB": (10240, 256),
        "CUSTOM_HUGEPAGES_2048K_MB": (2048, 0),
        "CUSTOM_HUGEPAGES_1048576K_MB": (4096, 0),
    }
    found = ledger.read(f"{cell(name, 0)}/inventories").body["inventories"]
    assert found["CUSTOM_HUGEPAGES_1048576K_MB"]["step_size"] == 1024


def test_a_cell_without_cpus_has_memory_only_and_a_trait_that_says_so(ledger: Client, prefix: str) -> None:
    """As with a CXL expander: an inventory of 0 VCPU is not allowed in Placement."""
    name = f"{prefix}a"
    publish(ledger, member(name, two_cells(cpuless=[1])))
    assert set(inventories(ledger, name, 1)) == {"MEMORY_MB"}
    assert "CUSTOM_MEMORY_ONLY" in ledger.read(f"{cell(name, 1)}/traits").body["traits"]


def test_unknown_memory_is_not_offered_and_said(ledger: Client, prefix: str) -> None:
    """Offering 0 or a guess would both be false; the CPUs of the cell are still offered."""
    name = f"{prefix}a"
    report = publish(ledger, member(name, host({0: None, 1: 16 * GIB})))
    assert set(inventories(ledger, name, 0)) == {"VCPU"}
    assert "cell 0: its memory is unknown, and not offered" in report.notes


def test_where_guests_are_unknown_the_memory_in_use_is_kept_back_and_said(ledger: Client, prefix: str) -> None:
    """Without a list of guests, what is not available may be theirs, and must not be given away twice."""
    name = f"{prefix}a"
    busy = two_cells(available=4 * GIB)
    report = publish(ledger, Member(name, busy, None))
    assert inventories(ledger, name, 0)["MEMORY_MB"] == (16384, 12288)
    assert any("guests are unknown" in note for note in report.notes)


def test_an_unchanged_host_is_read_and_one_mark_is_written(ledger: Client, prefix: str) -> None:
    """Many agents publish all the time, so requests are counted: three, and two for each of the three providers."""
    one = member(f"{prefix}a", None, guest("web", {0: 4 * GIB, 1: 0}, vcpus=[[0, 1]] * 2))
    publish(ledger, one)
    report = publish(ledger, one)
    assert report.writes == 1
    assert report.requests == 3 + 3 * 2


def test_a_change_is_one_write_more(ledger: Client, prefix: str) -> None:
    """A larger cell changes its inventory alone, and the rest of the tree is not rewritten."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    report = publish(ledger, member(name, host([16 * GIB, 32 * GIB])))
    assert report.writes == 2
    assert inventories(ledger, name, 1)["MEMORY_MB"] == (32768, 512)


def test_a_cell_that_is_gone_is_removed_and_one_that_is_held_is_closed_and_said(ledger: Client, prefix: str) -> None:
    """Placement cannot delete a provider in use, so all of it is reserved until the claim is released."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    held = claim(ledger, known([member(name)]), Request(2, GIB, near=1))
    smaller = member(name, host([16 * GIB]))
    report = publish(ledger, smaller)
    assert any("cell1 no longer exists but is still held" in note and held.consumer in note for note in report.notes)
    assert inventories(ledger, name, 1)["MEMORY_MB"] == (16384, 16384)
    release(ledger, held.consumer)
    publish(ledger, smaller)
    assert cell_uuid(root_uuid(name), 1) not in providers(ledger, root_uuid(name))


def test_a_trait_that_an_operator_added_stays(ledger: Client, prefix: str) -> None:
    """Traits are replaced as a whole by the API, which would lose those of other people."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    ledger.put("/traits/CUSTOM_RACK_7", None)
    found = ledger.read(f"{cell(name, 0)}/traits").body
    ledger.put(f"{cell(name, 0)}/traits", {**found, "traits": [*found["traits"], "CUSTOM_RACK_7"]})
    report = publish(ledger, member(name))
    assert report.writes == 1
    assert "CUSTOM_RACK_7" in ledger.read(f"{cell(name, 0)}/traits").body["traits"]


def test_inventory_below_what_is_held_is_published_and_said(ledger: Client, prefix: str) -> None:
    """Placement accepts such an inventory silently, so only the note reports the overcommitment."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    claim(ledger, known([member(name)]), Request(2, 12 * GIB, near=0))
    report = publish(ledger, member(name, host([8 * GIB, 16 * GIB])))
    assert "cell 0: 12288 of MEMORY_MB are in use or claimed; it offers 8064" in report.notes


# --- other programs' -----------------------------------------------------------------------------------------------


def test_a_root_that_another_program_made_is_left_alone(ledger: Client, prefix: str) -> None:
    """The uuid derives from the name and is taken by a provider that is not ours, so nothing is written."""
    name = f"{prefix}a"
    ledger.create("/resource_providers", {"uuid": root_uuid(name), "name": f"{prefix}compute"})
    with pytest.raises(FleetError, match="another program made or moved it, and nothing was written"):
        publish(ledger, member(name))
    assert len(providers(ledger, root_uuid(name))) == 1


def test_a_name_that_another_program_uses_is_left_alone(ledger: Client, prefix: str) -> None:
    """Names are unique in Placement, so the first write is refused, and nothing is left half done."""
    name = f"{prefix}a"
    ledger.create("/resource_providers", {"uuid": str(uuid.uuid4()), "name": f"numaprobe:{name}"})
    with pytest.raises(FleetError, match="another program made"):
        publish(ledger, member(name))
    assert providers(ledger, root_uuid(name)) == {}


def test_a_provider_that_another_program_put_below_a_host_stays(ledger: Client, prefix: str) -> None:
    """An FPGA's agent nests its own below ours; neither publishing nor unpublishing may remove it."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    other = str(uuid.uuid4())
    ledger.create(
        "/resource_providers", {"uuid": other, "name": f"{prefix}fpga", "parent_provider_uuid": root_uuid(name)}
    )
    report = publish(ledger, member(name))
    assert any("belongs to another program and is left alone" in note for note in report.notes)
    with pytest.raises(FleetError, match="another program's; nothing was removed"):
        unpublish(ledger, name)
    assert len(providers(ledger, root_uuid(name))) == 4


# --- guests --------------------------------------------------------------------------------------------------------


def test_a_guest_holds_what_it_is_configured_with_on_the_cell_that_it_is_bound_to(ledger: Client, prefix: str) -> None:
    """It uses 1 GiB now and may grow to its 6, which therefore must not be given to others."""
    name = f"{prefix}a"
    web = guest(f"{prefix}web", {0: 1 * GIB, 1: 0}, maximum=6 * GIB, vcpus=[[0, 1, 2, 3]] * 4, bound=[0])
    report = publish(ledger, member(name, None, web))
    assert report.guests == 1
    assert used(ledger, name, 0) == {"MEMORY_MB": 6144, "VCPU": 4}
    held = ledger.read(f"/allocations/{web.uuid}").body
    assert held["consumer_type"] == "NUMAPROBE_GUEST"


def test_memory_that_may_be_anywhere_is_kept_back_in_every_cell_and_said(ledger: Client, prefix: str) -> None:
    """An unbound guest can grow by 2 GiB on either cell, so each holds them back."""
    name = f"{prefix}a"
    report = publish(ledger, member(name, None, guest(f"{prefix}web", {0: 1 * GIB, 1: 0}, maximum=3 * GIB)))
    assert inventories(ledger, name, 0)["MEMORY_MB"] == (16384, 256 + 2048)
    assert inventories(ledger, name, 1)["MEMORY_MB"] == (16384, 256 + 2048)
    assert any("2 GiB may be on any of cells 0-1; kept back in each" in note for note in report.notes)


def test_a_guest_of_unknown_memory_keeps_all_of_its_cells_back_and_is_said(ledger: Client, prefix: str) -> None:
    """The worst case is assumed, and only for the cell to which it is bound."""
    name = f"{prefix}a"
    web = guest(f"{prefix}web", {0: 1 * GIB, 1: 0}, bound=[1])._replace(memory=None, maximum=None, cells=None)
    report = publish(ledger, member(name, None, web))
    assert any("its memory is unknown, and all memory of cell 1 is kept back" in note for note in report.notes)
    assert inventories(ledger, name, 0)["MEMORY_MB"] == (16384, 256)


def test_a_guest_that_ended_is_released(ledger: Client, prefix: str) -> None:
    """The host is the truth: what no longer runs there holds nothing in the ledger."""
    name = f"{prefix}a"
    publish(ledger, member(name, None, guest(f"{prefix}web", {0: 1 * GIB, 1: 0})))
    publish(ledger, member(name))
    assert used(ledger, name, 0) == {"MEMORY_MB": 0, "VCPU": 0}


def test_no_guest_is_taken_for_ended_where_not_all_could_be_seen(ledger: Client, prefix: str) -> None:
    """Without root some processes are hidden, and releasing their memory would oversell it."""
    name = f"{prefix}a"
    publish(ledger, member(name, None, guest(f"{prefix}web", {0: 1 * GIB, 1: 0})))
    report = publish(ledger, member(name, complete=False))
    assert used(ledger, name, 0)["MEMORY_MB"] == 1024
    assert "not all of its guests could be seen, so none is assumed to have ended" in report.notes


def test_guests_that_hold_more_than_there_is_fill_the_cell_and_are_said(ledger: Client, prefix: str) -> None:
    """Ballooned or overcommitted hosts exist; Placement would refuse the allocation, and the cell would look empty."""
    name = f"{prefix}a"
    report = publish(
        ledger, member(name, None, guest(f"{prefix}web", {0: 15 * GIB, 1: 0}, maximum=20 * GIB, bound=[0]))
    )
    assert used(ledger, name, 0)["MEMORY_MB"] == 16384 - 256
    assert "cell 0: its guests hold 4352 more of MEMORY_MB than it offers; it is full" in report.notes


def test_a_guest_that_is_being_moved_is_held_on_both_hosts(ledger: Client, prefix: str) -> None:
    """Each host writes only its own allocation, under the guest's uuid or under one derived from it."""
    web = guest(f"{prefix}web", {0: 1 * GIB, 1: 0})
    first, second = member(f"{prefix}a", None, web), member(f"{prefix}b", None, web)
    for one in (first, second):
        publish(ledger, one)
    for one in (first, second):
        assert publish(ledger, one).writes == 1
        assert used(ledger, one.name, 0)["MEMORY_MB"] == 1024


def test_the_vcpus_of_a_floating_guest_count_where_they_may_run(ledger: Client, prefix: str) -> None:
    """Six vcpus on two cells count as three in each."""
    name = f"{prefix}a"
    publish(ledger, member(name, None, guest(f"{prefix}web", {0: GIB, 1: GIB}, vcpus=[range(16)] * 6)))
    assert (used(ledger, name, 0)["VCPU"], used(ledger, name, 1)["VCPU"]) == (3, 3)


# --- choosing -----------------------------------------------------------------------------------------------------


def test_a_guest_goes_where_it_fits_and_the_large_host_is_kept_for_large_guests(ledger: Client, prefix: str) -> None:
    """Best fit by the ledger, on one cell of the small host; what several cells cost is in test_fleet_ranking.py."""
    small, large = member(f"{prefix}small", host([4 * GIB, 4 * GIB], cpus=4)), member(f"{prefix}large")
    for one in (small, large):
        publish(ledger, one)
    chosen = choose(known([large, small]), read_room(ledger), Request(4, 3 * GIB))
    assert [one.name for one in chosen.choices] == [small.name, large.name]
    assert chosen.choices[0].amounts == {0: {"MEMORY_MB": 3072, "VCPU": 4}}


def test_a_host_without_room_is_refused_with_the_reason(ledger: Client, prefix: str) -> None:
    """Each host has its own sentence, so that an operator sees what is short."""
    one, other = member(f"{prefix}a"), member(f"{prefix}b")
    publish(ledger, one)
    chosen = choose(known([one, other]), read_room(ledger), Request(17, GIB))
    assert chosen.refusals == {
        one.name: "16 CPUs are left",
        other.name: "has nothing left, is set aside as stale, or was not published",
    }


def test_a_pinned_guest_takes_whole_cpus_of_an_overcommitted_cell(ledger: Client, prefix: str) -> None:
    """At a ratio of 2 a physical CPU counts as two, so 6 pinned vcpus use 12."""
    one = member(f"{prefix}a", host([16 * GIB]))
    publish(ledger, one, cpu_ratio=2.0)
    fleet = known([one])
    assert claim(ledger, fleet, Request(6, GIB, pinned=True)).choice.amounts[0]["VCPU"] == 12
    assert claim(ledger, fleet, Request(4, GIB)).choice.amounts[0]["VCPU"] == 4
    with pytest.raises(DoesNotFit):
        claim(ledger, fleet, Request(1, GIB, pinned=True))


def test_dedicated_cpus_are_for_pinned_guests_only(ledger: Client, prefix: str) -> None:
    """The class PCPU is OpenStack's name for them, and others find no CPUs at all."""
    one = member(f"{prefix}a")
    publish(ledger, one, cpu_class="PCPU")
    with pytest.raises(DoesNotFit, match="0 CPUs are left"):
        claim(ledger, known([one]), Request(2, GIB))
    assert claim(ledger, known([one]), Request(2, GIB, pinned=True)).choice.amounts[0]["PCPU"] == 2


def test_a_guest_in_huge_pages_takes_those(ledger: Client, prefix: str) -> None:
    """Its 3 GiB come from the pages, and MEMORY_MB of the cell stays for others."""
    one = member(f"{prefix}a", two_cells(pages={1: {GIB: 4}}))
    publish(ledger, one)
    found = claim(ledger, known([one]), Request(2, 3 * GIB, huge_page=GIB))
    assert found.choice.amounts == {1: {"CUSTOM_HUGEPAGES_1048576K_MB": 3072, "VCPU": 2}}


# --- claims -------------------------------------------------------------------------------------------------------


def test_claims_fill_a_fleet_exactly(ledger: Client, prefix: str) -> None:
    """Eight claims of four vcpus fit 32, and the ninth is refused, so nothing is lost to rounding."""
    fleet = known([member(f"{prefix}a"), member(f"{prefix}b")])
    for one in fleet:
        publish(ledger, one.member)
    for _ in range(8):
        claim(ledger, fleet, Request(4, GIB))
    with pytest.raises(DoesNotFit, match="CPUs are left"):
        claim(ledger, fleet, Request(1, GIB))
    assert [used(ledger, one.member.name, number)["VCPU"] for one in fleet for number in (0, 1)] == [8, 8, 8, 8]


class Oversells(Client):
    """A ledger in which somebody else's claim gets in at the same moment as ours, as under Placement's own retry."""

    def __init__(self, ledger: Client, rival: str, provider: str) -> None:
        super().__init__(ledger._adapter)
        self.rival, self.provider, self.left = rival, provider, 1

    def put(self, path: str, body: object):  # type: ignore[no-untyped-def]
        answer = super().put(path, body)
        if path.startswith("/allocations/") and self.left:
            self.left -= 1
            found = self.read(f"/resource_providers/{self.provider}/inventories").body
            wide = {name: {**one, "allocation_ratio": 2.0} for name, one in found["inventories"].items()}
            super().put(f"/resource_providers/{self.provider}/inventories", {**found, "inventories": wide})
            super().put(
                f"/allocations/{self.rival}",
                {
                    "allocations": {self.provider: {"resources": {"VCPU": 8}}},
                    "consumer_generation": None,
                    "project_id": "p",
                    "user_id": "u",
                    "consumer_type": "NUMAPROBE_CLAIM",
                },
            )
            now = self.read(f"/resource_providers/{self.provider}/inventories").body
            super().put(
                f"/resource_providers/{self.provider}/inventories", {**now, "inventories": found["inventories"]}
            )
        return answer


def test_a_claim_that_the_server_let_through_above_the_inventory_is_given_back(ledger: Client, prefix: str) -> None:
    """A rival is planted to force the server's race; the claim moves to the other host."""
    one, other = member(f"{prefix}a", host([16 * GIB])), member(f"{prefix}b", host([32 * GIB]))
    for each in (one, other):
        publish(ledger, each)
    provider = cell_uuid(root_uuid(one.name), 0)
    rival = str(uuid.uuid4())
    found = claim(Oversells(ledger, rival, provider), known([one, other]), Request(4, GIB))
    assert found.given_back == 1
    assert found.choice.name == other.name
    assert oversold(ledger, provider) == {}
    assert used(ledger, one.name, 0) == {"MEMORY_MB": 0, "VCPU": 8}
    release(ledger, rival)


def test_claims_in_a_row_read_the_ledger_once_and_keep_count(ledger: Client, prefix: str) -> None:
    """A batch of claims on a large fleet must not read all hosts for each; requests are counted."""
    members = [member(f"{prefix}{letter}", host([8 * GIB, 8 * GIB], cpus=4)) for letter in "abc"]
    for one in members:
        publish(ledger, one)
    claimer = Claimer(ledger, known(members))
    first = claimer.claim(Request(4, GIB))
    before = ledger.requests
    rest = [claimer.claim(Request(4, GIB)) for _ in range(5)]
    # A write, what is held now, and what is offered now.
    assert ledger.requests - before == 5 * 3
    where = [(one.choice.name, *one.choice.plan.cells) for one in [first, *rest]]
    assert len(set(where)) == 6
    with pytest.raises(DoesNotFit):
        claimer.claim(Request(4, GIB))
    for one in [first, *rest]:
        release(ledger, one.consumer)


def test_a_remembered_ledger_that_is_wrong_costs_a_reading_and_no_refusal(ledger: Client, prefix: str) -> None:
    """Two claimers remember different states: each finds the room that the other left or released."""
    members = [member(f"{prefix}{letter}", host([8 * GIB], cpus=4)) for letter in "ab"]
    for one in members:
        publish(ledger, one)
    mine, theirs = Claimer(ledger, known(members)), Claimer(ledger, known(members))
    first = mine.claim(Request(4, GIB))
    second = theirs.claim(Request(4, GIB))
    assert {first.choice.name, second.choice.name} == {one.name for one in members}
    # What mine remembers as left is not, and what it remembers as held is not held any more.
    release(ledger, first.consumer)
    third = mine.claim(Request(4, GIB))
    assert third.choice.name == first.choice.name
    for consumer in (second.consumer, third.consumer):
        release(ledger, consumer)


def test_a_cell_that_offers_less_than_was_remembered_is_not_oversold(ledger: Client, prefix: str) -> None:
    """The server loses half of the cell's CPUs at the moment of the claim, which then moves to the other host."""
    one, other = member(f"{prefix}a", host([8 * GIB], cpus=4)), member(f"{prefix}b", host([32 * GIB], cpus=4))
    for each in (one, other):
        publish(ledger, each)
    provider = cell_uuid(root_uuid(one.name), 0)

    class Shrinks(Client):
        """A server that lets a claim through and loses half of the cell's CPUs in the same moment."""

        def __init__(self) -> None:
            super().__init__(ledger._adapter)

        def put(self, path: str, body: object) -> Answer:
            answer = super().put(path, body)
            if path.startswith("/allocations/") and provider in body["allocations"]:  # type: ignore[index]
                found = self.read(f"/resource_providers/{provider}/inventories").body
                found["inventories"]["VCPU"]["total"] = 2
                super().put(f"/resource_providers/{provider}/inventories", found)
            return answer

    claimer = Claimer(Shrinks(), known([one, other]))
    claimer._room(Request(3, GIB), again=True)
    claimed = claimer.claim(Request(3, GIB))
    assert (claimed.choice.name, claimed.given_back) == (other.name, 1)
    assert oversold(ledger, provider) == {}
    release(ledger, claimed.consumer)


def test_a_claim_becomes_a_guest_when_it_is_seen_running(ledger: Client, prefix: str) -> None:
    """From then on the host's own report decides, and a release by hand would contradict it."""
    name = f"{prefix}a"
    web = guest(f"{prefix}web", {0: 2 * GIB, 1: 0}, vcpus=[[0, 1]] * 2, bound=[0])
    publish(ledger, member(name))
    claim(ledger, known([member(name)]), Request(2, 2 * GIB, near=0), consumer=web.uuid)
    publish(ledger, member(name, None, web))
    assert ledger.read(f"/allocations/{web.uuid}").body["consumer_type"] == "NUMAPROBE_GUEST"
    with pytest.raises(FleetError, match="seen running"):
        release(ledger, str(web.uuid))
    publish(ledger, member(name))
    assert used(ledger, name, 0)["MEMORY_MB"] == 0


def test_a_uuid_that_holds_something_already_cannot_claim_again(ledger: Client, prefix: str) -> None:
    """A retried command must not double the claim or replace it silently."""
    one = member(f"{prefix}a")
    publish(ledger, one)
    found = claim(ledger, known([one]), SMALL)
    with pytest.raises(FleetError, match="already holds something"):
        claim(ledger, known([one]), SMALL, consumer=found.consumer)
    release(ledger, found.consumer)
    with pytest.raises(FleetError, match="holds nothing"):
        release(ledger, found.consumer)


def test_what_another_program_allocated_is_not_released(ledger: Client, prefix: str) -> None:
    """An allocation of type INSTANCE is nova's, and survives release and publication."""
    one = member(f"{prefix}a")
    publish(ledger, one)
    other = str(uuid.uuid4())
    body = {"allocations": {cell_uuid(root_uuid(one.name), 0): {"resources": {"VCPU": 1}}}, "consumer_generation": None}
    ledger.put(f"/allocations/{other}", {**body, "project_id": "p", "user_id": "u", "consumer_type": "INSTANCE"})
    with pytest.raises(FleetError, match="another program's"):
        release(ledger, other)
    publish(ledger, one)
    assert used(ledger, one.name, 0)["VCPU"] == 1


def test_stale_claims_are_those_that_never_became_guests(ledger: Client, prefix: str) -> None:
    """A start that failed leaves a claim behind, whose age decides; running guests are never touched."""
    name = f"{prefix}a"
    web = guest(f"{prefix}web", {0: 2 * GIB, 1: 0})
    publish(ledger, member(name, None, web))
    found = claim(ledger, known([member(name)]), SMALL)
    assert release_stale(ledger, older_than=3600, hosts=[name]) == ()
    (released,) = release_stale(ledger, older_than=0, hosts=[name])
    assert released.consumer == found.consumer
    assert used(ledger, name, 0)["MEMORY_MB"] == 2048


# --- hosts as a whole ---------------------------------------------------------------------------------------------


def test_a_host_that_nobody_published_for_a_while_is_set_aside_until_it_is_published(
    ledger: Client, prefix: str
) -> None:
    """A dead host takes no claims, by a trait that its next publication removes."""
    one = member(f"{prefix}a")
    publish(ledger, one)
    assert {seen.name: seen.stale for seen in set_aside(ledger, older_than=3600)}[one.name] is False
    assert {seen.name: seen.stale for seen in set_aside(ledger, older_than=0)}[one.name] is True
    with pytest.raises(DoesNotFit, match="stale"):
        claim(ledger, known([one]), SMALL)
    publish(ledger, one)
    assert STALE not in ledger.read(f"/resource_providers/{root_uuid(one.name)}/traits").body["traits"]
    claim(ledger, known([one]), SMALL)


def test_each_publication_is_a_sign_of_life(ledger: Client, prefix: str) -> None:
    """Placement stores no time for unchanged providers, so the generation is made to grow."""
    one = member(f"{prefix}a")
    publish(ledger, one)
    before = ledger.read(f"/resource_providers/{root_uuid(one.name)}").body["generation"]
    publish(ledger, one)
    assert ledger.read(f"/resource_providers/{root_uuid(one.name)}").body["generation"] > before


def test_unpublishing_removes_a_host_and_its_guests_but_not_a_claim(ledger: Client, prefix: str) -> None:
    """A claim is a promise to somebody, who has to release it before the host can go."""
    one = member(f"{prefix}a", None, guest(f"{prefix}web", {0: GIB, 1: 0}))
    publish(ledger, one)
    found = claim(ledger, known([one]), SMALL)
    with pytest.raises(FleetError, match="release it first"):
        unpublish(ledger, one.name)
    release(ledger, found.consumer)
    assert unpublish(ledger, one.name) == 3
    assert one.name not in published(ledger)
    with pytest.raises(FleetError, match="is not published"):
        unpublish(ledger, one.name)


def test_room_by_shape_counts_guests_and_what_none_of_them_can_use(ledger: Client, prefix: str) -> None:
    """Free memory without CPUs is stranded; both figures are worked out by hand from the two cells."""
    one = member(f"{prefix}a", host([16 * GIB, 4 * GIB]), guest(f"{prefix}web", {0: 0, 1: 0}, vcpus=[range(4)] * 4))
    publish(ledger, one)
    room = read_room(ledger)[root_uuid(one.name)]
    shape = Shape(4, 2 * GIB)
    # Cell 0 has 4 of 8 CPUs left and so takes one; cell 1 has 8 CPUs, and memory for one.
    assert sum(shape.fits(cell) for cell in room.values()) == 2
    assert sum(shape.stranded(cell) for cell in room.values()) == (16128 - 2048 + 4032 - 2048) * MIB
    hosts = {one["name"]: one for one in overview(ledger).document([shape])["hosts"]}
    assert [cell["cell"] for cell in hosts[one.name]["cells"]] == [0, 1]


def test_huge_pages_that_are_gone_and_still_held_are_closed_and_said(ledger: Client, prefix: str) -> None:
    """The server keeps a class that is in use."""
    name = f"{prefix}a"
    publish(ledger, member(name, two_cells(pages={0: {GIB: 4}})))
    claim(ledger, known([member(name, two_cells(pages={0: {GIB: 4}}))]), Request(2, 3 * GIB, huge_page=GIB))
    report = publish(ledger, member(name))
    assert "cell 0: has no CUSTOM_HUGEPAGES_1048576K_MB any more, of which 3072 are in use" in report.notes
    assert inventories(ledger, name, 0)["CUSTOM_HUGEPAGES_1048576K_MB"] == (4096, 4096)


def test_what_claims_take_above_a_cell_is_said(ledger: Client, prefix: str) -> None:
    """A claim of 12 GiB and a guest of 10 GiB are more than the cell's 16, and the ledger shows a full cell."""
    name = f"{prefix}a"
    publish(ledger, member(name))
    claim(ledger, known([member(name)]), Request(2, 12 * GIB, near=0))
    web = guest(f"{prefix}web", {0: 10 * GIB, 1: 0}, bound=[0])
    report = publish(ledger, member(name, None, web))
    assert "cell 0: its guests hold 6400 more of MEMORY_MB than it offers; it is full" in report.notes
    assert used(ledger, name, 0)["MEMORY_MB"] == 16384 - 256


def test_eight_hosts_without_room_are_named(ledger: Client, prefix: str) -> None:
    """Nine hosts refuse, and a message for a person must not grow with the fleet."""
    fleet = known([member(f"{prefix}{number}", host([GIB], cpus=1)) for number in range(9)])
    for one in fleet:
        publish(ledger, one.member)
    with pytest.raises(DoesNotFit) as caught:
        claim(ledger, fleet, Request(1, 64 * GIB))
    assert len(caught.value.reasons) == 8
    assert all("of MEMORY_MB are left" in reason for reason in caught.value.reasons)
