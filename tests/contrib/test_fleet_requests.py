"""The requests that numaprobe makes of a ledger, in their order, and what follows from each answer: no server runs."""

from __future__ import annotations

import math
import random
import re
import time
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import guests
from hosts import GIB, MIB, host

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import DoesNotFit, Request
from numaprobe.contrib.openstack import Member, claims, hosts, overview
from numaprobe.contrib.openstack.choose import Choice, Chosen, choose, known
from numaprobe.contrib.openstack.claims import Claimer, Released, oversold, release, release_stale
from numaprobe.contrib.openstack.client import Client, _age, _failure, _number, _short
from numaprobe.contrib.openstack.errors import Conflict, FleetError, Forbidden, NotThere, Unheard
from numaprobe.contrib.openstack.hosts import Seen, published, set_aside, unpublish
from numaprobe.contrib.openstack.overview import Overview, Shape
from numaprobe.contrib.openstack.room import CellRoom
from numaprobe.contrib.openstack.tree import root_uuid
from numaprobe.contrib.openstack.writes import Writes

ROOT = "/resource_providers"
OWN = "11111111-1111-1111-1111-111111111111"


class Ledger:
    """Answers by method and path, one after the other and the last one again; an error is raised. ``sent`` is kept."""

    may_reshape = True

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.sent: list[Any] = []
        self.requests = 0

    def on(self, line: str, *answers: Any) -> Ledger:
        self.answers[line] = list(answers)
        return self

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        line = f"{method} {path}"
        self.sent.append((line, body) if method in ("PUT", "POST") else line)
        self.requests += 1
        waiting = self.answers.get(line, [{}])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, SimpleNamespace) else SimpleNamespace(body=answer, age=None)

    def read(self, path: str) -> Any:
        return self._send("GET", path)

    def put(self, path: str, body: Any) -> Any:
        return self._send("PUT", path, body)

    def create(self, path: str, body: Any) -> Any:
        return self._send("POST", path, body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)


def ledger() -> Any:
    return Ledger()


def listed(*rows: tuple[str, str]) -> dict[str, Any]:
    return {"resource_providers": [{"uuid": uuid_, "name": name} for uuid_, name in rows]}


# --- hosts --------------------------------------------------------------------------------------------------------


def test_the_published_hosts_are_those_with_our_name() -> None:
    """A provider that another program marked is none; a ledger that knows no such trait has no host."""
    path = f"GET {ROOT}?required=CUSTOM_NUMAPROBE"
    client = ledger().on(path, listed(("u1", "numaprobe:a"), ("u2", "b")))
    assert published(client) == {"a": "u1"}
    assert client.sent == [path]
    assert published(ledger().on(path, Unheard("no trait"))) == {}


@pytest.mark.parametrize(
    ("age", "traits", "stale"),
    [
        (60.0, ["CUSTOM_NUMAPROBE"], True),
        (59.0, ["CUSTOM_NUMAPROBE"], False),
        (None, ["CUSTOM_NUMAPROBE"], False),
        (5.0, ["CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_STALE"], True),
        (99.0, ["CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_STALE"], True),
    ],
)
def test_hosts_that_nobody_saw_for_so_long_are_marked(age: float | None, traits: list[str], stale: bool) -> None:
    """Once; a host whose age is unknown is left alone."""
    found = {"traits": traits, "resource_provider_generation": 4}
    client = (
        ledger()
        .on(f"GET {ROOT}?required=CUSTOM_NUMAPROBE", listed(("u1", "numaprobe:a")))
        .on(f"GET {ROOT}/u1", SimpleNamespace(body={}, age=age))
        .on(f"GET {ROOT}/u1/traits", found)
    )
    assert set_aside(client, older_than=60.0) == (Seen("a", age, stale),)
    written = [one for one in client.sent if isinstance(one, tuple)]
    marked = {**found, "traits": ["CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_STALE"]}
    assert written == ([(f"PUT {ROOT}/u1/traits", marked)] if stale and len(traits) == 1 else [])


def test_a_host_that_is_published_at_this_moment_is_not_stale() -> None:
    """The write meets another one, and its age is 0; hosts are listed by name."""
    client = (
        ledger()
        .on(f"GET {ROOT}?required=CUSTOM_NUMAPROBE", listed(("u2", "numaprobe:b"), ("u1", "numaprobe:a")))
        .on(f"GET {ROOT}/u1", SimpleNamespace(body={}, age=99.0))
        .on(f"GET {ROOT}/u1/traits", {"traits": []})
        .on(f"PUT {ROOT}/u1/traits", Conflict("changed"))
        .on(f"GET {ROOT}/u2", SimpleNamespace(body={}, age=1.0))
        .on(f"GET {ROOT}/u2/traits", {"traits": []})
    )
    assert set_aside(client, older_than=60.0) == (Seen("a", 0.0, False), Seen("b", 1.0, False))


def below(name: str, *cells: str) -> tuple[Any, str]:
    root = root_uuid(name)
    rows = [(root, f"numaprobe:{name}"), *[(cell, f"numaprobe:{name}:{cell}") for cell in cells]]
    client = ledger().on(f"GET {ROOT}?in_tree={root}", listed(*rows))
    for uuid_, _ in rows:
        client.on(f"GET {ROOT}/{uuid_}/allocations", {"allocations": {}})
    return client, root


def test_unpublishing_deletes_guests_then_cells_then_the_host() -> None:
    """A provider that has children cannot be deleted."""
    client, root = below("a", "cell0", "cell1")
    client.on(f"GET {ROOT}/cell1/allocations", {"allocations": {"g2": {}, "g1": {}}})
    client.on("GET /allocations/g1", {"consumer_type": "NUMAPROBE_GUEST"})
    client.on("GET /allocations/g2", {"consumer_type": "NUMAPROBE_GUEST"})
    assert unpublish(client, "a") == 3
    assert [one for one in client.sent if one.startswith("DELETE")] == [
        "DELETE /allocations/g1",
        "DELETE /allocations/g2",
        f"DELETE {ROOT}/cell0",
        f"DELETE {ROOT}/cell1",
        f"DELETE {ROOT}/{root}",
    ]


@pytest.mark.parametrize("fault", ["absent", "renamed", "foreign", "claim"])
def test_a_host_is_not_unpublished_where_something_is_another_s(fault: str) -> None:
    """Nothing is deleted then."""
    client, root = below("a", "cell0")
    text = "a is not published"
    if fault == "absent":
        client.on(f"GET {ROOT}?in_tree={root}", listed())
    elif fault == "renamed":
        client.on(f"GET {ROOT}?in_tree={root}", listed((root, "other")))
        text = f"provider {root} is not the one that numaprobe made for a, and is left alone"
    elif fault == "foreign":
        client.on(f"GET {ROOT}?in_tree={root}", listed((root, "numaprobe:a"), ("x", "gpu")))
        text = "a: provider 'gpu' below it is another program's; nothing was removed"
    else:
        client.on(f"GET {ROOT}/cell0/allocations", {"allocations": {"c": {}}})
        client.on("GET /allocations/c", {"consumer_type": "NUMAPROBE_CLAIM"})
        text = "a: c (NUMAPROBE_CLAIM) is held there; release it first. Nothing was removed"
    with pytest.raises(FleetError, match=f"^{re.escape(text)}$"):
        unpublish(client, "a")
    assert not [one for one in client.sent if one.startswith("DELETE")]


def test_the_fleet_is_read_in_three_requests() -> None:
    """Of an empty ledger in two: there are no cells to name."""
    client = (
        ledger()
        .on(f"GET {ROOT}?required=CUSTOM_NUMAPROBE", listed(("r", "numaprobe:a")))
        .on(f"GET {ROOT}?required=HW_NUMA_ROOT", listed(("c3", "numaprobe:a:cell3"), ("n", "nova:cell0"), ("x", "numaprobe:a:cellx")))
        .on("GET /allocation_candidates?resources1=MEMORY_MB:1&root_required=CUSTOM_NUMAPROBE,!CUSTOM_NUMAPROBE_STALE", {"provider_summaries": {}})
    )  # fmt: skip
    assert overview(client) == Overview({"a": "r"}, {"c3": 3}, {})
    assert len(client.sent) == 3
    client.on(f"GET {ROOT}?required=CUSTOM_NUMAPROBE", listed())
    assert overview(client) == Overview({}, {}, {})
    assert len(client.sent) == 5


def test_a_fleet_is_a_document() -> None:
    """By name of the host and id of the cell; a host that is full or set aside has null, an unnamed cell is left out."""
    one, two = CellRoom({"VCPU": 4, "MEMORY_MB": 8}, {"VCPU": 1, "MEMORY_MB": 2}, 1.0), CellRoom({"VCPU": 1}, {}, 1.0)
    found = Overview(
        {"b": "rb", "a": "ra", "c": "rc"}, {"u0": 0, "u1": 1}, {"rb": {"u1": one, "u0": two}, "ra": {"x": one}}
    )
    assert found.document([Shape(1, 4 * MIB), Shape(2, MIB)]) == {
        "schema": "numaprobe/1",
        "hosts": [
            {"name": "a", "cells": []},
            {"name": "b", "cells": [
                {"cell": 0, "capacity": {"VCPU": 1}, "used": {}},
                {"cell": 1, "capacity": {"VCPU": 4, "MEMORY_MB": 8}, "used": {"VCPU": 1, "MEMORY_MB": 2}},
            ]},
            {"name": "c", "cells": None},
        ],
        "shapes": [
            {"vcpus": 1, "memory": 4 * MIB, "huge_page": None, "pinned": False, "fits": 2, "stranded": 4 * MIB},
            {"vcpus": 2, "memory": MIB, "huge_page": None, "pinned": False, "fits": 2, "stranded": 10 * MIB},
        ],
    }  # fmt: skip


# --- claims -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No test waits; how long each pause would have been at most."""
    found: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda least, most: found.append(most) or least)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    return found


class Fleet:
    """One host ``a`` of one cell with four CPUs and 8 GiB, and a ledger of it."""

    def __init__(self) -> None:
        self.known = known([Member("a", host([8 * GIB], cpus=4), guests())])
        self.cell = self.known[0].cells[0]
        self.client: Any = ledger()
        self.offer()
        self.client.on(f"PUT /allocations/{OWN}", {})

    def offer(self, vcpus: int = 4, memory: int = 8192, used: int = 0) -> None:
        resources = {"VCPU": {"capacity": vcpus, "used": used}, "MEMORY_MB": {"capacity": memory, "used": 0}}
        one = {"root_provider_uuid": self.known[0].root, "parent_provider_uuid": self.known[0].root}
        summaries = {self.cell: {**one, "resources": resources, "traits": []}}
        path = (
            "GET /allocation_candidates?resources1=MEMORY_MB:1&root_required=CUSTOM_NUMAPROBE,!CUSTOM_NUMAPROBE_STALE"
        )
        self.client.on(path, {"provider_summaries": summaries})
        self.usages({"VCPU": 2, "MEMORY_MB": 1024})
        self.inventories()

    def usages(self, *answers: dict[str, int]) -> None:
        self.client.on(f"GET {ROOT}/{self.cell}/usages", *[{"usages": one} for one in answers])

    def inventories(self, vcpus: int = 4) -> None:
        document = {"total": vcpus + 1, "reserved": 1, "allocation_ratio": 1.0}
        memory = {"total": 8192, "reserved": 0, "allocation_ratio": 1.0}
        self.client.on(f"GET {ROOT}/{self.cell}/inventories", {"inventories": {"VCPU": document, "MEMORY_MB": memory}})

    def lines(self) -> list[str]:
        """What was sent, in short."""
        words = [one[0] if isinstance(one, tuple) else one for one in self.client.sent]
        self.client.sent.clear()
        return [
            line.replace(self.cell, "CELL").replace(ROOT, "").partition("?")[0].replace(OWN, "OWN") for line in words
        ]


SMALL = Request(2, GIB)
READ, PUT, USED, OFFERED, BACK = (
    "GET /allocation_candidates", "PUT /allocations/OWN", "GET /CELL/usages", "GET /CELL/inventories", "DELETE /allocations/OWN",
)  # fmt: skip


def test_a_claim_is_written_and_then_checked() -> None:
    """What is held afterwards is at most what is offered; the body is one consumer of ours."""
    fleet = Fleet()
    fleet.usages({"VCPU": 4, "MEMORY_MB": 1024})
    claimer = Claimer(fleet.client, fleet.known)
    found = claimer.claim(SMALL, consumer=OWN)
    assert (found.consumer, found.given_back, found.choice.name) == (OWN, 0, "a")
    assert fleet.client.sent[1] == (
        f"PUT /allocations/{OWN}",
        {
            "allocations": {fleet.cell: {"resources": {"VCPU": 2, "MEMORY_MB": 1024}}},
            "consumer_generation": None,
            "project_id": "numaprobe",
            "user_id": "numaprobe",
            "consumer_type": "NUMAPROBE_CLAIM",
        },
    )
    assert fleet.lines() == [READ, PUT, USED]
    # Of what is remembered the claim is taken off, so a second one reads the ledger before it is refused.
    fleet.offer(used=4)
    with pytest.raises(DoesNotFit):
        claimer.claim(SMALL, consumer=OWN)
    assert fleet.lines() == [READ]


def test_a_remembered_room_is_checked_against_what_is_offered_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """For ten seconds; the room is read again after that."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fleet = Fleet()
    claimer = Claimer(fleet.client, fleet.known)
    for seconds, lines in ((100.0, [READ, PUT, USED]), (109.9, [PUT, USED, OFFERED]), (110.0, [READ, PUT, USED])):
        now[0] = seconds
        claimer.claim(SMALL, consumer=OWN)
        assert fleet.lines() == lines
    now[0] = 111.0
    fleet.inventories(vcpus=1)
    # Six tries of what was remembered, then the ledger is read again, whose answer is believed.
    assert claimer.claim(SMALL, consumer=OWN).given_back == 6
    assert fleet.lines() == [*[PUT, USED, OFFERED, BACK] * 6, READ, PUT, USED]


def test_a_claim_that_was_let_through_above_the_offer_is_given_back(paused: list[float]) -> None:
    """Six times on one host, with pauses that grow; then the ledger is read again."""
    fleet = Fleet()
    fleet.usages({"VCPU": 5}, {"MEMORY_MB": 8193}, {"CUSTOM_X": 1}, {"VCPU": 4, "MEMORY_MB": 8192})
    found = Claimer(fleet.client, fleet.known).claim(SMALL, consumer=OWN)
    assert found.given_back == 3
    assert fleet.lines() == [READ, *[PUT, USED, BACK] * 3, PUT, USED]
    assert paused == [0.02, 0.04, 0.08]
    paused.clear()
    fleet.usages({"VCPU": 5})
    with pytest.raises(DoesNotFit, match="others were faster on every host with room, 12 times over"):
        Claimer(fleet.client, fleet.known).claim(SMALL, consumer=OWN)
    assert fleet.lines() == [READ, *[PUT, USED, BACK] * 6] * 12
    tries = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64]
    assert paused == [one for turn in range(12) for one in (*tries, tries[min(turn, 5)])]


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (Conflict("full", "placement.undefined_code"), [READ, PUT, READ, PUT, USED]),
        (Conflict("changed", "placement.concurrent_update"), [READ, PUT, PUT, USED]),
    ],
)
def test_a_conflict_is_tried_again_there_or_elsewhere(error: Conflict, lines: list[str]) -> None:
    """A host that was full is passed over; one that changed is tried at once."""
    fleet = Fleet()
    fleet.client.on(f"PUT /allocations/{OWN}", error, {})
    assert Claimer(fleet.client, fleet.known).claim(SMALL, consumer=OWN).given_back == 0
    assert fleet.lines() == lines


def test_a_consumer_that_holds_something_cannot_claim() -> None:
    """The server says that its generation is not the first."""
    fleet = Fleet()
    fleet.client.on(f"PUT /allocations/{OWN}", Conflict("Consumer generation conflict", "c"))
    with pytest.raises(FleetError, match=rf"^{OWN} already holds something \(fleet release releases it\)$"):
        Claimer(fleet.client, fleet.known).claim(SMALL, consumer=OWN)


def test_a_claim_needs_a_uuid_a_host_and_room() -> None:
    """Each refusal has its sentence; without a uuid the guest gets one."""
    fleet = Fleet()
    with pytest.raises(ValueError, match=rf"^not a uuid: '{'x' * 60}'$"):
        Claimer(fleet.client, fleet.known).claim(SMALL, consumer="x" * 61)
    with pytest.raises(DoesNotFit, match=r"^the fleet has no host$"):
        Claimer(fleet.client, []).claim(SMALL)
    with pytest.raises(DoesNotFit, match=r"^a: "):
        Claimer(fleet.client, fleet.known).claim(Request(5, GIB, pinned=True))
    assert uuid.UUID(Claimer(fleet.client, fleet.known).claim(SMALL).consumer).version == 4
    many = known([Member(f"h{i}", host([GIB]), guests()) for i in range(9)])
    with pytest.raises(DoesNotFit) as error:
        Claimer(fleet.client, many).claim(SMALL)
    assert error.value.reasons == tuple(
        f"h{i}: has nothing left, is set aside as stale, or was not published" for i in range(8)
    )


def test_two_hosts_of_one_name_are_a_usage_error() -> None:
    """The first that stands twice is named."""
    one = Member("a", host([GIB]), guests())
    with pytest.raises(ValueError, match=r"^two hosts are named b$"):
        known([one, one._replace(name="b"), one._replace(name="b")])
    assert [found.member.name for found in known([one, one._replace(name="b")])] == ["a", "b"]
    assert choose([], {}, SMALL) == Chosen((), {})


def test_by_how_much_a_cell_is_oversold() -> None:
    """What is offered is the total without the reserve, times the ratio; a class that is not offered is oversold too."""
    fleet = Fleet()
    fleet.usages({"VCPU": 6, "MEMORY_MB": 8192, "CUSTOM_X": 1})
    assert oversold(fleet.client, fleet.cell) == {"VCPU": 2, "CUSTOM_X": 1}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, f"{OWN} holds nothing"),
        ({"allocations": {}}, f"{OWN} holds nothing"),
        (
            {"allocations": {"x": {}}, "consumer_type": "NUMAPROBE_GUEST"},
            f"{OWN} is a guest that was seen running: publishing its host after it has ended releases it",
        ),
        (
            {"allocations": {"x": {}}, "consumer_type": "INSTANCE"},
            f"{OWN} is another program's (INSTANCE) and is left alone",
        ),
    ],
)
def test_only_claims_of_ours_are_released(body: dict[str, Any], text: str) -> None:
    """Nothing is deleted otherwise."""
    client = ledger().on(f"GET /allocations/{OWN}", body)
    with pytest.raises(FleetError, match=f"^{re.escape(text)}$"):
        release(client, OWN.upper())
    assert len(client.sent) == 1
    client.on(f"GET /allocations/{OWN}", {"allocations": {"x": {}}, "consumer_type": "NUMAPROBE_CLAIM"})
    release(client, OWN)
    assert client.sent[-1] == f"DELETE /allocations/{OWN}"
    release(client.on(f"DELETE /allocations/{OWN}", NotThere("gone")), OWN)


def test_stale_claims_are_given_back_with_where_they_were() -> None:
    """Of the age or older; guests, what has no age and what somebody else released are left out."""
    client, root = below("a", "cell0", "cell1")
    client.on(f"GET {ROOT}/{root}/allocations", {"allocations": {"never": {}}})
    client.on(
        f"GET {ROOT}/cell0/allocations", {"allocations": dict.fromkeys(("old", "new", "guest", "ageless", "gone"))}
    )
    client.on(f"GET {ROOT}/cell1/allocations", {"allocations": {"old": {}}})
    for name, age in (("old", 60.0), ("new", 59.0), ("ageless", None), ("gone", 61.0), ("guest", 99.0)):
        kind = "NUMAPROBE_GUEST" if name == "guest" else "NUMAPROBE_CLAIM"
        client.on(f"GET /allocations/{name}", SimpleNamespace(body={"consumer_type": kind}, age=age))
    client.on("DELETE /allocations/gone", NotThere("gone"))
    expected = (Released("old", 60.0, ("a:cell0", "a:cell1")),)
    assert release_stale(client, older_than=60.0, hosts=["a"]) == expected
    assert [one for one in client.sent if one.startswith("DELETE")] == [
        "DELETE /allocations/gone",
        "DELETE /allocations/old",
    ]
    client.on(f"GET {ROOT}?required=CUSTOM_NUMAPROBE", listed((root, "numaprobe:a")))
    assert release_stale(client, older_than=60.0) == expected


def test_pauses_grow_to_a_limit(paused: list[float]) -> None:
    """So that two who met do not meet again at once, and nobody waits for seconds."""
    for turn in range(8):
        claims._pause(turn)
    assert paused == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 0.64, 0.64]
    assert not math.isinf(claims.MAX_AGE)


def test_allocations_are_by_uuid_in_the_order_of_cells() -> None:
    """As Placement takes them."""
    one = known([Member("a", host([GIB, GIB]), guests())])[0]
    choice = Choice(one, None, {1: {"VCPU": 1}, 0: {"VCPU": 2}}, {})
    assert list(choice.allocations().items()) == [
        (one.cells[0], {"resources": {"VCPU": 2}}),
        (one.cells[1], {"resources": {"VCPU": 1}}),
    ]


# --- writes -------------------------------------------------------------------------------------------------------


def test_traits_that_the_ledger_does_not_have_are_created_first() -> None:
    """STALE before all others, standard traits never, and none that the provider had before."""
    path, body = f"{ROOT}/u/traits", {"traits": ["CUSTOM_A", "CUSTOM_B", "HW_X"], "resource_provider_generation": 3}
    answer = {"resource_provider_generation": 4}
    client = ledger().on(f"PUT {path}", answer)
    one = Writes(client)
    assert one.traits(path, {"HW_X", "CUSTOM_B", "CUSTOM_A"}, 3, frozenset()) == 4
    assert (one.count, client.sent) == (1, [(f"PUT {path}", body)])
    client = ledger().on(f"PUT {path}", Unheard("no trait"), answer)
    one = Writes(client)
    assert one.traits(path, {"HW_X", "CUSTOM_B", "CUSTOM_A"}, 3, frozenset({"CUSTOM_B"})) == 4
    assert one.count == 4
    assert client.sent == [
        (f"PUT {path}", body),
        ("PUT /traits/CUSTOM_NUMAPROBE_STALE", None),
        ("PUT /traits/CUSTOM_A", None),
        (f"PUT {path}", body),
    ]


def test_classes_that_the_ledger_does_not_have_are_created_first() -> None:
    """Of our own names only."""
    body = {"inventories": {"VCPU": {}, "CUSTOM_B": {}, "CUSTOM_A": {}}}
    client = ledger().on("PUT /x", Unheard("no resource class"), {})
    one = Writes(client)
    one.inventories("/x", body)
    assert one.count == 4
    assert client.sent == [
        ("PUT /x", body),
        ("PUT /resource_classes/CUSTOM_A", None),
        ("PUT /resource_classes/CUSTOM_B", None),
        ("PUT /x", body),
    ]


@pytest.mark.parametrize(
    ("pending", "allocations", "may", "error", "sent", "done"),
    [
        ({}, {}, True, None, [], False),
        ({}, {"g": {}}, True, None, [], False),
        ({"u": {}}, {}, True, None, [f"PUT {ROOT}/u/inventories"], False),
        ({"u": {}}, {"g": {}}, True, None, ["POST /reshaper"], True),
        ({"u": {}, "v": {}}, {}, True, None, ["POST /reshaper"], False),
        ({"u": {}, "v": {}}, {}, False, None, [f"PUT {ROOT}/u/inventories", f"PUT {ROOT}/v/inventories"], False),
        (
            {"u": {}, "v": {}},
            {"g": {}},
            True,
            Forbidden("not yours"),
            ["POST /reshaper", f"PUT {ROOT}/u/inventories", f"PUT {ROOT}/v/inventories"],
            False,
        ),
    ],
)
def test_what_is_pending_is_written_together_where_that_is_one_request_less(
    pending: dict[str, Any],
    allocations: dict[str, Any],
    may: bool,
    error: Exception | None,
    sent: list[str],
    done: bool,
) -> None:
    """A server that forbids it is asked once, and one inventory alone is written as itself."""
    bodies = {name: {"inventories": {}} for name in pending}
    client = ledger().on("POST /reshaper", error or {})
    client.may_reshape = may
    one = Writes(client)
    one.pending = dict(bodies)
    assert one.together(allocations) is done
    assert [line for line, _ in client.sent] == sent
    assert (one.count, one.pending) == (len(sent), {})
    assert client.may_reshape is (may and error is None)
    if sent[:1] == ["POST /reshaper"]:
        assert client.sent[0][1] == {"inventories": bodies, "allocations": allocations}


# --- the client ---------------------------------------------------------------------------------------------------


class Adapter:
    """As keystoneauth1's: one answer to whatever is requested."""

    endpoint_override: str | None = "http://placement"

    def __init__(self, body: Any, *, status: int = 200, content: bytes = b"{}", headers: Any = None) -> None:
        def json() -> Any:
            if isinstance(body, ValueError):
                raise body
            return body

        self.asked: list[Any] = []
        self.answer = SimpleNamespace(
            status_code=status,
            content=content,
            json=json,
            headers=headers or {},
            url="http://placement/x",
            reason="Odd",
        )

    def request(self, path: str, method: str, **known: Any) -> Any:
        self.asked.append((method, path, known))
        return self.answer


def test_each_request_is_counted_and_has_the_microversion() -> None:
    """A body only where there is one, and errors are found by the status."""
    adapter = Adapter({"a": 1})
    client = Client(adapter)
    assert client.read("/r").body == {"a": 1}
    client.put("/p", {"b": 2})
    client.create("/c", [])
    client.delete("/d")
    plain = {"raise_exc": False, "microversion": "1.38"}
    assert adapter.asked == [
        ("GET", "/r", plain),
        ("PUT", "/p", {**plain, "json": {"b": 2}}),
        ("POST", "/c", {**plain, "json": []}),
        ("DELETE", "/d", plain),
    ]
    assert (client.requests, client.may_reshape) == (4, True)
    assert Client(Adapter(None, content=b"")).read("/r").body is None
    assert Client(Adapter({}, status=399)).read("/r").status == 399
    with pytest.raises(FleetError, match=r"^GET http://placement/r: 400: Odd$"):
        Client(Adapter({}, status=400)).read("/r")
    with pytest.raises(FleetError, match=r"^http://placement/x does not answer as Placement does: no JSON$"):
        Client(Adapter(ValueError("no"))).read("/r")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"versions": [{"max_version": "1.38"}]}, None),
        ({"versions": [{"max_version": "1.100"}]}, None),
        ({"versions": [{"max_version": "2.0"}]}, None),
        ({"versions": [{"max_version": "1.37"}]}, "has microversions up to 1.37; 1.38 is needed (Placement 6.0.0, Xena)"),
        ({"versions": [{"max_version": "1.x"}]}, "has microversions up to 1.x; 1.38 is needed (Placement 6.0.0, Xena)"),
        ({"versions": [{"max_version": "1"}]}, "does not answer as Placement does: {'versions': [{'max_version': '1'}]}"),
        ({"versions": [{"max_version": "1.2.3"}]}, "does not answer as Placement does: {'versions': [{'max_version': '1.2.3'}]}"),
        ({"versions": [{"max_version": 1.38}]}, "does not answer as Placement does: {'versions': [{'max_version': 1.38}]}"),
        ({"versions": [7]}, "does not answer as Placement does: {'versions': [7]}"),
        ({"versions": []}, "does not answer as Placement does: {'versions': []}"),
        ({"versions": {}}, "does not answer as Placement does: {'versions': {}}"),
        ([1], "does not answer as Placement does: [1]"),
        ("x" * 81, f"does not answer as Placement does: {'x' * 80}"),
    ],
)  # fmt: skip
def test_a_server_is_placement_of_a_version_that_is_new_enough(body: Any, text: str | None) -> None:
    """Asked once, without a microversion, and quoted where it is another program."""
    adapter = Adapter(body)
    if text is None:
        Client(adapter).check()
    else:
        with pytest.raises(FleetError, match=f"^{re.escape(f'http://placement {text}')}$"):
            Client(adapter).check()
    assert adapter.asked == [("GET", "/", {"raise_exc": False, "microversion": None})]
    if text is not None and "up to" in text:
        adapter.endpoint_override = None
        with pytest.raises(FleetError, match=r"^the Placement service of this cloud has microversions"):
            Client(adapter).check()


def test_a_user_that_may_not_is_told() -> None:
    """A kind of its own, because publishing goes on without."""
    answer = SimpleNamespace(status_code=403, reason="Forbidden", json=lambda: {"errors": [{"detail": "no"}]})
    found = _failure("POST", "http://p", "/reshaper", answer)
    assert (type(found), str(found)) == (Forbidden, "POST http://p/reshaper: 403: no")
    conflict = Conflict("text", "code")
    assert conflict.__reduce__() == (Conflict, ("text", "code"))


@pytest.mark.parametrize(("length", "shown"), [(200, 200), (201, 200)])
def test_words_of_a_server_are_cut_at_200_characters(length: int, shown: int) -> None:
    """With dots where something is missing."""
    text = _short("x" * length)
    assert (len(text), text.endswith("...")) == (shown, length > 200)
    assert _number("1.38") == (1, 38)
    assert _age({"date": "Thu, 01 Jan 1970 00:01:00 GMT", "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 60.0
    assert _age({"date": "Thu, 01 Jan 1970 00:01:00 GMT"}) is None
    assert hosts.Seen("a", None, False).age is None
