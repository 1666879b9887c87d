"""What a publication reads and writes, request by request, with a scripted ledger instead of a server."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import guest, guests
from hosts import GIB, MIB, host

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import Domains, Host
from numaprobe.contrib.openstack import Member
from numaprobe.contrib.openstack.errors import Conflict, FleetError, NotThere
from numaprobe.contrib.openstack.publish import publish
from numaprobe.contrib.openstack.tree import Inventory, cell_uuid, part_of, root_uuid

ROOT = root_uuid("a")
CELL = cell_uuid(ROOT, 0)
OTHER = cell_uuid(ROOT, 1)
NUMA = "HW_NUMA_ROOT"
PART = f"CUSTOM_NUMAPROBE_PART_{part_of(ROOT)}"


def short(path: str) -> str:
    for uuid, name in ((ROOT, "ROOT"), (CELL, "CELL"), (OTHER, "OTHER")):
        path = path.replace(uuid, name)
    return path.replace("/resource_providers", "")


class Ledger:
    """A ledger of one host with one cell: providers by uuid, and what was written to it in short lines."""

    def __init__(self) -> None:
        self.may_reshape, self.requests = True, 0
        self.providers: dict[str, dict[str, Any]] = {}
        self.traits: dict[str, list[str]] = {}
        self.inventories: dict[str, dict[str, Any]] = {}
        self.held: dict[str, dict[str, Any]] = {}
        self.consumers: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, list[Exception]] = {}
        self.sent: list[str] = []
        self.bodies: list[Any] = []
        self.generations: dict[tuple[str, str], int] = {}

    def add(self, uuid: str, name: str, parent: str | None, traits: tuple[str, ...], **inventories: Inventory) -> None:
        self.providers[uuid] = {"uuid": uuid, "name": name, "parent_provider_uuid": parent, "generation": 7}
        self.traits[uuid] = list(traits)
        self.inventories[uuid] = {
            key: one.document() | {"resource_provider_generation": 7} for key, one in inventories.items()
        }
        self.held[uuid] = {}

    def __getattr__(self, verb: str) -> Any:
        names = {"put": "PUT", "create": "POST", "delete": "DELETE"}
        if verb not in names:
            raise AttributeError(verb)
        return lambda path, body=None: self.write(names[verb], path, body)

    def read(self, path: str) -> Any:
        self.requests += 1
        parts = path.strip("/").split("/")
        if path.startswith("/resource_providers?in_tree="):
            return SimpleNamespace(body={"resource_providers": list(self.providers.values())})
        if path.startswith("/resource_providers?name="):
            return SimpleNamespace(body={"resource_providers": [{"uuid": "theirs"}]})
        if parts[0] == "allocations":
            found = self.consumers.get(parts[1], {"allocations": {}})
            return SimpleNamespace(body=found)
        generation = {
            "resource_provider_generation": self.generations.get(
                (parts[1], parts[2]), self.providers[parts[1]]["generation"]
            )
        }
        kinds = {"traits": self.traits, "inventories": self.inventories, "allocations": self.held}
        return SimpleNamespace(body={**generation, parts[2]: kinds[parts[2]][parts[1]]})

    def write(self, verb: str, path: str, body: Any) -> Any:
        self.requests += 1
        line = f"{verb} {short(path)}"
        self.sent.append(line)
        self.bodies.append(body)
        if self.errors.get(line):
            raise self.errors[line].pop(0)
        return SimpleNamespace(body={"resource_provider_generation": 8})


VCPUS, MEMORY = Inventory(2, 0, 1.0, 1), Inventory(8192, 0, 1.0, 1)
SEEN = ("CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_SEEN")


def machine() -> Host:
    return host([8 * GIB], cpus=2)


def ledger() -> Any:
    """With the host as it is, published before."""
    one = Ledger()
    one.add(ROOT, "numaprobe:a", None, SEEN)
    one.add(CELL, "numaprobe:a:cell0", ROOT, (PART, NUMA), VCPU=VCPUS, MEMORY_MB=MEMORY)
    return one


def published(client: Any, *running: Any, on: Host | None = None, known: Domains | None = None, **how: Any) -> Any:
    member = Member("a", on or machine(), guests(*running) if known is None else known)
    return publish(client, member, **{"reserve": 0, **how})


def body_of(client: Any, line: str) -> Any:
    return client.bodies[client.sent.index(line)]


def test_an_unchanged_host_is_marked_and_nothing_else() -> None:
    """The mark that was there goes, and the next time it comes again."""
    client = ledger()
    client.requests = 100
    found = published(client)
    assert client.sent == ["PUT /ROOT/traits"]
    assert client.bodies == [{"traits": ["CUSTOM_NUMAPROBE"], "resource_provider_generation": 7}]
    assert found._asdict() == {"name": "a", "requests": 6, "writes": 1, "guests": 0, "notes": ()}
    client.traits[ROOT] = ["CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_STALE", "CUSTOM_RACK_7"]
    published(client)
    assert client.bodies[1]["traits"] == ["CUSTOM_NUMAPROBE", "CUSTOM_NUMAPROBE_SEEN", "CUSTOM_RACK_7"]


def test_a_new_host_is_made_with_its_cells() -> None:
    """Root, mark, cell, traits, inventories; the generations are those of new providers."""
    client: Any = Ledger()
    found = published(client)
    assert client.sent == ["POST ", "PUT /ROOT/traits", "POST ", "PUT /CELL/traits", "PUT /CELL/inventories"]
    assert client.bodies[:4] == [
        {"uuid": ROOT, "name": "numaprobe:a", "parent_provider_uuid": None},
        {"traits": list(SEEN), "resource_provider_generation": 0},
        {"uuid": CELL, "name": "numaprobe:a:cell0", "parent_provider_uuid": ROOT},
        {"traits": [PART, NUMA], "resource_provider_generation": 0},
    ]
    documents = {"VCPU": VCPUS.document(), "MEMORY_MB": MEMORY.document()}
    assert client.bodies[4] == {"resource_provider_generation": 8, "inventories": documents}
    assert (found.requests, found.writes) == (6, 5)


def test_only_what_differs_is_written() -> None:
    """Traits that an operator added stay, ours that are no more go."""
    client = ledger()
    client.traits[CELL] = [NUMA, "CUSTOM_MEMORY_KIND_CXL", "CUSTOM_CPU_RATIO_150", "CUSTOM_FAST", "CUSTOM_NUMAPROBE_X"]
    published(client)
    assert client.sent == ["PUT /ROOT/traits", "PUT /CELL/traits"]
    assert client.bodies[1] == {"traits": ["CUSTOM_FAST", PART, NUMA], "resource_provider_generation": 7}
    client = ledger()
    client.inventories[CELL]["VCPU"]["total"] = 3
    published(client)
    assert client.sent == ["PUT /ROOT/traits", "PUT /CELL/inventories"]
    assert client.bodies[1]["resource_provider_generation"] == 7


@pytest.mark.parametrize("fault", ["name", "parent", "root's parent"])
def test_a_provider_that_another_program_made_or_moved_is_left_alone(fault: str) -> None:
    """Nothing is written."""
    client = ledger()
    uuid = ROOT if fault == "root's parent" else CELL
    client.providers[uuid].update({"name": "theirs"} if fault == "name" else {"parent_provider_uuid": "theirs"})
    with pytest.raises(FleetError, match="another program made or moved it, and nothing was written"):
        published(client)
    assert client.sent == []


def test_providers_below_a_host_that_are_not_ours_are_said_and_stay() -> None:
    """Whatever their name is: a cell of ours is directly below its host."""
    client = ledger()
    client.add("gpu", "gpu0", ROOT, ())
    client.add("nested", "numaprobe:a:cell9", CELL, ())
    assert published(client).notes == (
        "provider 'gpu0' below this host belongs to another program and is left alone",
        "provider 'numaprobe:a:cell9' below this host belongs to another program and is left alone",
    )
    assert client.sent == ["PUT /ROOT/traits"]


def test_a_cell_that_is_gone_is_deleted_or_closed() -> None:
    """While something is held there it offers nothing; what is closed already is not written again."""
    client = ledger()
    client.add(OTHER, "numaprobe:a:cell1", ROOT, (), VCPU=VCPUS)
    assert published(client).writes == 2
    assert client.sent == ["PUT /ROOT/traits", "DELETE /OTHER"]
    client.errors["DELETE /OTHER"] = [NotThere("gone")]
    assert published(client).notes == ()
    client.held[OTHER] = {
        "c2": {"resources": {}, "consumer_generation": 1},
        "c1": {"resources": {}, "consumer_generation": 1},
    }
    for reserved, writes in ((0, 3), (2, 2)):
        client.sent.clear()
        client.bodies.clear()
        client.inventories[OTHER]["VCPU"]["reserved"] = reserved
        client.errors["DELETE /OTHER"] = [Conflict("in use")]
        found = published(client)
        assert found.notes == ("a:cell1 no longer exists but is still held by c1, c2; it offers nothing",)
        assert found.writes == writes
        assert client.sent[2:] == ["PUT /OTHER/inventories"] * (writes - 2)
    client.inventories[OTHER]["VCPU"]["reserved"] = 0
    client.errors["DELETE /OTHER"] = [Conflict("in use")]
    published(client)
    shut = {"VCPU": {**VCPUS.document(), "reserved": 2}}
    assert client.bodies[-1] == {"resource_provider_generation": 7, "inventories": shut}


@pytest.mark.parametrize(
    ("code", "text", "kind", "message"),
    [
        ("placement.duplicate_name", "name is taken", FleetError, "a: the ledger has a provider 'numaprobe:a' that another program made (theirs); it is left alone"),
        ("placement.duplicate_name", "uuid is taken", Conflict, "uuid is taken"),
        ("placement.undefined_code", "name is taken", Conflict, "name is taken"),
    ],
)  # fmt: skip
def test_a_name_that_another_program_has_is_an_error(code: str, text: str, kind: type[Exception], message: str) -> None:
    """Another conflict is somebody who publishes the same host, which is tried eight times."""
    client: Any = Ledger()
    client.errors["POST "] = [Conflict(text, code) for _ in range(20)]
    with pytest.raises(FleetError, match=f"^{re.escape(message)}$") as error:
        published(client)
    assert type(error.value) is kind
    assert len(client.sent) == (1 if kind is FleetError else 8)


@pytest.mark.parametrize("part", ["inventories", "allocations"])
def test_what_changed_while_it_was_read_is_read_again(part: str) -> None:
    """The three answers about a cell have to be of one generation."""
    client = ledger()
    client.generations[CELL, part] = 8
    with pytest.raises(Conflict, match=f"provider {CELL} changed while it was read"):
        published(client)
    assert client.sent == []


def test_writes_of_tries_that_met_a_conflict_are_counted() -> None:
    """And those of the one that did not."""
    client = ledger()
    client.errors["PUT /ROOT/traits"] = [Conflict("changed")] * 2
    assert published(client).writes == 3


WEB = guest("web", {0: GIB}, vcpus=[[0], [1]])
HELD = {"VCPU": 2, "MEMORY_MB": 1024}


def hold(
    client: Any, consumer: str, resources: dict[str, int], *, generation: int = 2, kind: str = "NUMAPROBE_GUEST"
) -> None:
    client.held[CELL][consumer] = {"resources": resources, "consumer_generation": generation}
    client.consumers[consumer] = {"consumer_type": kind, "allocations": {CELL: {}}}


def consumer(resources: dict[str, int], generation: int | None) -> dict[str, Any]:
    return {
        "allocations": {CELL: {"resources": resources}} if resources else {},
        "consumer_generation": generation,
        "project_id": "numaprobe",
        "user_id": "numaprobe",
        "consumer_type": "NUMAPROBE_GUEST",
    }


def test_a_new_guest_is_written_twice_so_that_its_generation_is_a_publisher_s() -> None:
    """A claim is written once."""
    client = ledger()
    found = published(client, WEB)
    assert client.sent[1:] == ["POST /allocations", "POST /allocations"]
    assert client.bodies[1:] == [{WEB.uuid: consumer(HELD, None)}, {WEB.uuid: consumer(HELD, 1)}]
    assert (found.writes, found.guests) == (3, 1)


@pytest.mark.parametrize(
    ("resources", "generation", "written"),
    [(HELD, 2, False), (HELD, 1, True), ({"VCPU": 2, "MEMORY_MB": 512}, 2, True)],
)
def test_a_guest_is_written_where_it_holds_something_else_or_was_claimed(
    resources: dict[str, int], generation: int, written: bool
) -> None:
    """With the generation that was read, and once."""
    client = ledger()
    hold(client, WEB.uuid or "", resources, generation=generation)
    published(client, WEB)
    assert client.sent[1:] == ["POST /allocations"] * written
    assert client.bodies[1:] == [{WEB.uuid: consumer(HELD, generation)}] * written


def test_guests_that_ended_are_released_and_the_rest_is_read_again() -> None:
    """Claims and what other programs allocated stay."""
    client = ledger()
    hold(client, "ended", {"VCPU": 1})
    hold(client, "claim", {"VCPU": 1}, kind="NUMAPROBE_CLAIM")
    client.errors["DELETE /allocations/ended"] = []
    removed = client.write

    def write(verb: str, path: str, body: Any) -> Any:
        if verb == "DELETE":
            client.held[CELL].pop(path.rpartition("/")[2])
            client.providers[CELL]["generation"] += 1
        return removed(verb, path, body)

    client.write = write
    found = published(client)
    assert client.sent == ["PUT /ROOT/traits", "DELETE /allocations/ended", "PUT /ROOT/traits"]
    assert (found.writes, found.guests) == (3, 0)
    hold(client, "ended", {"VCPU": 1})
    note = "not all of its guests could be seen, so none is assumed to have ended"
    assert published(client, known=Domains((), complete=False)).notes == (note,)
    client.held[CELL].clear()
    assert published(client, known=Domains((), complete=False)).notes == ()


def test_what_claims_leave_of_a_cell_is_what_its_guests_get() -> None:
    """What is more is said, of claims and of guests, and nobody gets less than nothing."""
    client = ledger()
    hold(client, "claim", {"VCPU": 1, "MEMORY_MB": 8000}, kind="NUMAPROBE_CLAIM")
    found = published(client, WEB)
    assert client.bodies[1] == {WEB.uuid: consumer({"VCPU": 1, "MEMORY_MB": 192}, None)}
    assert found.notes == (
        "cell 0: its guests hold 832 more of MEMORY_MB than it offers; it is full",
        "cell 0: its guests hold 1 more of VCPU than it offers; it is full",
    )
    client = ledger()
    hold(client, "claim", {"VCPU": 3, "MEMORY_MB": 8192}, kind="NUMAPROBE_CLAIM")
    found = published(client, WEB)
    assert client.sent == ["PUT /ROOT/traits"], "a guest that gets nothing is none of the ledger"
    assert found.notes[:2] == (
        "cell 0: 3 of VCPU are in use or claimed; it offers 2",
        "cell 0: claims exceed its VCPU by 1",
    )


def test_a_guest_that_another_host_holds_gets_a_consumer_of_its_own() -> None:
    """As while it is moved: the server says that its generation is not the first."""
    client = ledger()
    client.consumers[WEB.uuid or ""] = {"allocations": {"elsewhere": {}}}
    client.errors["POST /allocations"] = [Conflict("generation", "placement.undefined_code")]
    found = published(client, WEB)
    (own,) = client.bodies[client.sent.index("POST /allocations", 2)]
    assert own != WEB.uuid
    assert found.notes == (f"guest web: another host holds its uuid; held here as {own}",)
    # The next time it is known by that.
    client = ledger()
    hold(client, own, HELD)
    assert published(client, WEB).notes == found.notes
    assert client.sent == ["PUT /ROOT/traits"]


@pytest.mark.parametrize(("code", "tries"), [("placement.undefined_code", 1), ("placement.concurrent_update", 8)])
def test_a_conflict_that_nobody_explains_is_tried_again_or_an_error(code: str, tries: int) -> None:
    """Somebody wrote at the same time, or the server refuses for a reason of its own."""
    client = ledger()
    client.errors["POST /allocations"] = [Conflict("refused", code)] * 8
    with pytest.raises(FleetError, match="refused") as error:
        published(client, WEB)
    assert client.sent.count("POST /allocations") == tries
    assert str(error.value) == ("a: refused" if tries == 1 else "refused")


def test_a_class_that_is_gone_and_still_in_use_is_closed() -> None:
    """The server keeps it, and nothing more of it is given."""
    client = ledger()
    pages = Inventory(64, 0, 1.0, 2)
    client.inventories[CELL]["CUSTOM_HUGEPAGES_2048K_MB"] = pages.document()
    hold(client, "claim", {"CUSTOM_HUGEPAGES_2048K_MB": 6}, kind="NUMAPROBE_CLAIM")
    hold(client, "other", {"CUSTOM_HUGEPAGES_2048K_MB": 4}, kind="NUMAPROBE_CLAIM")
    found = published(client)
    assert body_of(client, "PUT /CELL/inventories")["inventories"]["CUSTOM_HUGEPAGES_2048K_MB"] == {
        **pages.document(), "reserved": 64,
    }  # fmt: skip
    assert found.notes[0] == "cell 0: has no CUSTOM_HUGEPAGES_2048K_MB any more, of which 10 are in use"


@pytest.mark.parametrize(
    ("free", "held", "reserved"), [(32, 0, 0), (22, 0, 20), (22, 8, 12), (22, 20, 0), (22, 30, 0), (0, 0, 64)]
)
def test_huge_pages_in_use_are_kept_back_less_what_guests_of_the_ledger_hold(
    free: int, held: int, reserved: int
) -> None:
    """In whole pages of 2 MiB; whoever has the others, guests cannot get them."""
    on = host([8 * GIB], cpus=2, pages={0: {2 * MIB: 32}})
    on = on._replace(
        cells=tuple(one._replace(huge_pages=tuple(p._replace(free=free) for p in one.huge_pages)) for one in on.cells)
    )
    client = ledger()
    running = []
    if held:
        web = guest("web", {0: held * MIB}, vcpus=[[0]])
        hold(client, web.uuid or "", {"VCPU": 1, "CUSTOM_HUGEPAGES_2048K_MB": held})
        running.append(web)
    published(client, *running, on=on)
    documents = body_of(client, "PUT /CELL/inventories")["inventories"]
    assert documents["CUSTOM_HUGEPAGES_2048K_MB"] == Inventory(64, reserved, 1.0, 2).document()
    assert documents["MEMORY_MB"]["total"] == 8192 - 64


def test_memory_that_may_be_anywhere_is_kept_back() -> None:
    """Up to all that the cell has."""
    client = ledger()
    web = guest("web", {0: GIB}, maximum=3 * GIB, vcpus=[[0]])
    two = host([8 * GIB, 8 * GIB], cpus=2)
    published(client, web, on=two)
    assert body_of(client, "POST /reshaper")["inventories"][CELL]["inventories"]["MEMORY_MB"]["reserved"] == 2048
    client = ledger()
    published(client, web._replace(maximum=30 * GIB), on=two)
    assert body_of(client, "POST /reshaper")["inventories"][CELL]["inventories"]["MEMORY_MB"]["reserved"] == 8192
