"""Brings the ledger to what a host is: only differences are written, each against the generation that was read."""

from __future__ import annotations

from ...errors import printable
from ...named import namedtuple
from .errors import Conflict, FleetError, NotThere
from .guests import consumer_of, held_by_guests
from .reading import NEW, ProviderReader, Remembered
from .tree import MEMORY, OURS, PREFIX, SEEN, STALE, VCPU, Inventory, tree_of
from .writes import Writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .client import Client
    from .guests import Holding
    from .members import Member
    from .reading import CellState
    from .tree import CellProvider, Tree

TRIES = 8
# Types of consumers: of a guest that was seen running, and of one that was promised room.
GUEST, CLAIM = "NUMAPROBE_GUEST", "NUMAPROBE_CLAIM"
PROJECT = "numaprobe"
# What the ledger says of a consumer that is on no host's cells any more.
MANAGED = (OURS, "CUSTOM_MEMORY_", "CUSTOM_CPU_RATIO_", "HW_NUMA_ROOT")


class Report(namedtuple("Report", "name requests writes guests notes")):
    """What publishing a host took and did: requests, those of them that wrote, guests held, and what to know."""

    __slots__ = ()
    name: str
    requests: int
    writes: int
    guests: int
    notes: tuple[str, ...]


def publish(
    client: Client,
    member: Member,
    *,
    reserve: int | None = None,
    cpu_ratio: float = 1.0,
    cpu_class: str = VCPU,
    memory: Remembered | None = None,
) -> Report:
    """Bring the ledger to what this host is and what its guests hold; ends a stale mark.

    ``reserve``, ``cpu_ratio`` and ``cpu_class`` are those of ``tree_of``. A program that publishes the host again and
    again keeps a ``memory``: what did not change since is then not read. If somebody else writes at the same time, the
    ledger is read again, a few times. Raises ``FleetError`` for providers under this host's name or uuid that numaprobe
    did not make, which are left alone, and for a server that refuses.
    """
    tree = tree_of(member, reserve=reserve, cpu_ratio=cpu_ratio, cpu_class=cpu_class)
    began = client.requests
    elsewhere: set[str] = set()
    memory = Remembered() if memory is None else memory
    writes = 0
    for turn in range(TRIES):
        attempt = _Attempt(client, member, tree, elsewhere, memory)
        try:
            attempt.run()
        except Conflict:
            writes += attempt.writes
            if turn == TRIES - 1:
                raise
            continue
        break
    return Report(
        name=member.name,
        requests=client.requests - began,
        writes=writes + attempt.writes,
        guests=attempt.guests,
        notes=tuple(attempt.notes),
    )


class _Attempt:
    """One reading of a host's part of the ledger, and the writes that follow from it."""

    def __init__(self, client: Client, member: Member, tree: Tree, elsewhere: set[str], memory: Remembered) -> None:
        self.guests = 0
        self.notes = list(tree.notes)
        self._client, self._member, self._tree, self._elsewhere = client, member, tree, elsewhere
        self._memory = memory
        self._cells: dict[str, CellState] = {}
        self._write = Writes(client)

    @property
    def writes(self) -> int:
        """Requests that wrote."""
        return self._write.count

    def run(self) -> None:
        """Write what differs. Raises ``Conflict`` if something changed in the meantime."""
        tree = self._tree
        present = providers(self._client, tree.uuid)
        gone = self._owned(present)
        guests = [consumer_of(one, tree.uuid) for one in self._member.guests or ()]
        reading = ProviderReader(self._client, tree.uuid, present, guests, self._memory)
        self._cells = reading.cells([cell.uuid for cell in tree.cells if cell.uuid in present])
        if tree.uuid not in present:
            self._create(tree.uuid, tree.name, None)
            reading.root_traits = 0, frozenset()
        self._mark(reading.root_traits)
        for cell in tree.cells:
            if cell.uuid not in present:
                self._create(cell.uuid, cell.name, tree.uuid)
                self._cells[cell.uuid] = NEW
        self._hold()
        for uuid in gone:
            self._remove(uuid, present[uuid], reading)

    def _owned(self, present: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Check whose the providers are; return ours for cells that the host does not have any more."""
        tree = self._tree
        wanted = {tree.uuid: tree.name, **{cell.uuid: cell.name for cell in tree.cells}}
        gone = []
        for uuid, found in present.items():
            name = str(found.get("name"))
            if uuid in wanted:
                parent = None if uuid == tree.uuid else tree.uuid
                if name != wanted[uuid] or found.get("parent_provider_uuid") != parent:
                    raise FleetError(
                        f"{self._member.name}: provider {uuid} is called '{printable(name)}' or is not where it "
                        "belongs; another program made or moved it, and nothing was written"
                    )
            elif name.startswith(f"{tree.name}:cell") and found.get("parent_provider_uuid") == tree.uuid:
                gone.append(uuid)
            else:
                self.notes.append(
                    f"provider '{printable(name)}' below this host belongs to another program and is left alone"
                )
        return gone

    def _create(self, uuid: str, name: str, parent: str | None) -> None:
        try:
            self._write.count += 1
            self._client.create("/resource_providers", {"uuid": uuid, "name": name, "parent_provider_uuid": parent})
        except Conflict as error:
            if error.code == "placement.duplicate_name" and "name" in str(error):
                found = self._client.read(f"/resource_providers?name={_quoted(name)}").body["resource_providers"]
                if any(one["uuid"] != uuid for one in found):
                    raise FleetError(
                        f"{self._member.name}: the ledger has a provider '{name}' that another program made "
                        f"({found[0]['uuid']}); it is left alone"
                    ) from None
            raise

    def _mark(self, known: tuple[int, frozenset[str]] | None) -> None:
        """The root is ours, seen now, and not stale; its generation and traits are read where they are not known."""
        path = f"/resource_providers/{self._tree.uuid}/traits"
        if known is None:
            found = self._client.read(path).body
            known = found["resource_provider_generation"], frozenset(found["traits"])
        generation, present = known
        wanted = (present - {STALE} | {OURS}) ^ {SEEN}
        self._memory.root = None
        self._memory.root = self._write.traits(path, wanted, generation, known=present), wanted

    def _hold(self) -> None:
        """The cells' inventories, and the guests' allocations in them."""
        tree, member = self._tree, self._member
        numbers = {cell.uuid: cell.id for cell in tree.cells}
        known: dict[str, dict[int, dict[str, int]]] = {}
        for uuid, cell in self._cells.items():
            for consumer, (resources, _) in cell.held.items():
                known.setdefault(consumer, {})[numbers[uuid]] = resources
        for domain in member.guests or ():
            if domain.uuid and consumer_of(domain, tree.uuid, (domain.uuid,)) in known:
                # It was held elsewhere when it was first seen here.
                self._elsewhere.add(domain.uuid)
        held = held_by_guests(member, tree, known=known, elsewhere=self._elsewhere)
        running = {one.consumer: one for one in held.holdings}
        self.notes += held.notes
        others = {consumer: cells for consumer, cells in known.items() if consumer not in running}
        ended = self._ended(others) if member.guests is not None else []
        if ended:
            for consumer in ended:
                self._client.delete(f"/allocations/{consumer}")
                self._write.count += 1
            raise _again()
        # Inventories first: a guest needs the room that it has. What is below use is accepted by the server.
        room: dict[int, dict[str, int]] = {}
        for provider in tree.cells:
            wanted = self._inventories(provider, held.kept.get(provider.id, 0), running)
            self._write_cell(provider, wanted)
            room[provider.id] = {name: one.capacity for name, one in wanted.items()}
        for cells in others.values():
            for number, resources in cells.items():
                for name, amount in resources.items():
                    room[number][name] = room[number].get(name, 0) - amount
        for number, left in room.items():
            for name, amount in left.items():
                if amount < 0:
                    self.notes.append(f"cell {number}: claims exceed its {name} by {-amount}")
        self._allocate(held.holdings, known, room)
        self.guests = len(running)

    def _ended(self, others: Mapping[str, object]) -> list[str]:
        """Consumers that were seen as guests here and do not run any more; only if all guests could be seen."""
        guests = self._member.guests
        if guests is None or not guests.complete:
            if others:
                self.notes.append("not all of its guests could be seen, so none is assumed to have ended")
            return []
        return [one for one in others if self._client.read(f"/allocations/{one}").body.get("consumer_type") == GUEST]

    def _inventories(self, provider: CellProvider, kept: int, running: Mapping[str, Holding]) -> dict[str, Inventory]:
        """What a cell offers, less what is kept back for guests whose place is unknown, and huge pages in use."""
        out = dict(provider.inventories)
        memory = out.get(MEMORY)
        if kept and memory is not None:
            out[MEMORY] = memory._replace(reserved=min(memory.total, memory.reserved + kept))
        for name, busy in provider.busy.items():
            one = out[name]
            theirs = sum(holding.amounts.get(provider.id, {}).get(name, 0) for holding in running.values())
            out[name] = one._replace(reserved=min(one.total, -(-max(0, busy - theirs) // one.step) * one.step))
        return out

    def _write_cell(self, provider: CellProvider, wanted: dict[str, Inventory]) -> None:
        cell = self._cells[provider.uuid]
        generation = cell.generation
        base = f"/resource_providers/{provider.uuid}"
        documents = {name: one.document() for name, one in wanted.items()}
        used: dict[str, int] = {}
        for resources, _ in cell.held.values():
            for name, amount in resources.items():
                used[name] = used.get(name, 0) + amount
        for name in sorted(set(used) - set(wanted)):
            # The server keeps a class that is in use; nothing more of it is given.
            documents[name] = {**_known(cell.inventories[name]), "reserved": cell.inventories[name]["total"]}
            self.notes.append(f"cell {provider.id}: has no {name} any more, of which {used[name]} are in use")
        for name, amount in used.items():
            if name in wanted and amount > wanted[name].capacity:
                offered = wanted[name].capacity
                self.notes.append(f"cell {provider.id}: {amount} of {name} are in use or claimed; it offers {offered}")
        # Traits first: they answer with the new generation, which writing many inventories at once does not.
        foreign = frozenset(trait for trait in cell.traits if not trait.startswith(MANAGED))
        traits = provider.traits | foreign
        if traits != cell.traits:
            generation = self._write.traits(f"{base}/traits", traits, generation, cell.traits)
        if documents != {name: _known(one) for name, one in cell.inventories.items()}:
            body = {"resource_provider_generation": generation, "inventories": documents}
            if cell.held:
                self._write.inventories(f"{base}/inventories", body)
            else:
                self._write.pending[provider.uuid] = body

    def _allocate(self, holdings: Iterable[Holding], known: Mapping[str, Any], room: dict[int, dict[str, int]]) -> None:
        uuids = {cell.id: cell.uuid for cell in self._tree.cells}
        generations = {
            consumer: generation for cell in self._cells.values() for consumer, (_, generation) in cell.held.items()
        }
        bodies: dict[str, dict[str, Any]] = {}
        over: dict[tuple[int, str], int] = {}
        for one in sorted(holdings, key=lambda one: one.consumer):
            wanted: dict[int, dict[str, int]] = {}
            for number, resources in one.amounts.items():
                for name, amount in resources.items():
                    left = max(0, room[number].get(name, 0))
                    given = min(amount, left)
                    if given < amount:
                        over[number, name] = over.get((number, name), 0) + amount - given
                    if given:
                        room[number][name] = left - given
                        wanted.setdefault(number, {})[name] = given
            before = known.get(one.consumer)
            # A second generation is a publisher's: a claim is written once.
            if wanted == (before or {}) and (before is None or generations[one.consumer] > 1):
                continue
            bodies[one.consumer] = {
                "allocations": {uuids[number]: {"resources": resources} for number, resources in wanted.items()},
                "consumer_generation": generations.get(one.consumer),
                "project_id": PROJECT,
                "user_id": PROJECT,
                "consumer_type": GUEST,
            }
        for (number, name), amount in sorted(over.items()):
            self.notes.append(f"cell {number}: its guests hold {amount} more of {name} than it offers; it is full")
        if bodies or self._write.pending:
            self._post(bodies)

    def _post(self, bodies: dict[str, dict[str, Any]]) -> None:
        """All guests at once, twice: the second time marks those that are new as ours by their generation."""
        fresh = any(body["consumer_generation"] is None for body in bodies.values())
        try:
            if not self._write.together(bodies) and bodies:
                self._write.count += 1
                self._client.create("/allocations", bodies)
        except Conflict as error:
            self._find_elsewhere(bodies, error)
            raise
        if fresh:
            again = {
                consumer: {**body, "consumer_generation": 1}
                for consumer, body in bodies.items()
                if body["consumer_generation"] is None and body["allocations"]
            }
            self._write.count += 1
            self._client.create("/allocations", again)

    def _find_elsewhere(self, bodies: Mapping[str, Mapping[str, Any]], error: Conflict) -> None:
        """A guest that another host holds gets a consumer of its own here."""
        before = len(self._elsewhere)
        for consumer, body in bodies.items():
            if (
                body["consumer_generation"] is None
                and self._client.read(f"/allocations/{consumer}").body["allocations"]
            ):
                self._elsewhere.add(consumer)
        if error.code != "placement.concurrent_update" and len(self._elsewhere) == before:
            raise FleetError(f"{self._member.name}: {error}") from None

    def _remove(self, uuid: str, found: Mapping[str, Any], reading: ProviderReader) -> None:
        """A cell that the host does not have any more: deleted, or closed while something is held there."""
        try:
            self._write.count += 1
            self._client.delete(f"/resource_providers/{uuid}")
        except NotThere:
            return
        except Conflict:
            cell = reading.cell(uuid)
            shut = {name: {**_known(one), "reserved": one["total"]} for name, one in cell.inventories.items()}
            if shut != {name: _known(one) for name, one in cell.inventories.items()}:
                body = {"resource_provider_generation": cell.generation, "inventories": shut}
                self._write.inventories(f"/resource_providers/{uuid}/inventories", body)
            self.notes.append(
                f"{found['name'].removeprefix(PREFIX)} no longer exists but is still held by "
                f"{', '.join(sorted(cell.held))}; it offers nothing"
            )


def providers(client: Client, root: str) -> dict[str, dict[str, Any]]:
    """All providers of a tree by uuid; none if there is no such tree."""
    found = client.read(f"/resource_providers?in_tree={root}").body["resource_providers"]
    return {one["uuid"]: one for one in found}


def _known(inventory: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inventory[name] for name in Inventory(total=1, reserved=0, ratio=1.0, step=1).document()}


def _again() -> Conflict:
    return Conflict("guests that ended were released; the rest is read again")


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


__all__ = ["CLAIM", "GUEST", "Report", "consumer_of", "providers", "publish"]
