"""What the ledger has of a host's cells, in as few requests as it allows, all of one moment."""

from __future__ import annotations

from ...named import namedtuple
from .errors import Conflict, Unheard
from .tree import MEMORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

    from .client import Client

# From so many cells on, one request for the traits and sums of all costs less than one for each.
TOGETHER = 3


class CellState(namedtuple("CellState", "generation inventories traits held")):
    """A cell as the ledger has it.

    ``inventories`` are Placement's, by class. ``held`` has for each consumer its resources and generation.
    """

    __slots__ = ()
    generation: int
    inventories: dict[str, dict[str, Any]]
    traits: frozenset[str]
    held: dict[str, tuple[dict[str, int], int]]


NEW = CellState(generation=0, inventories={}, traits=frozenset(), held={})


class Remembered:
    """What was read of a host's providers, by uuid, for the next publication by the same program.

    Placement counts a generation for each change of a provider, its traits and what is held of it: while that is the
    same, so is everything else.
    """

    def __init__(self) -> None:
        self.cells: dict[str, CellState] = {}
        # Of the root: its generation and traits.
        self.root: tuple[int, frozenset[str]] | None = None


class ProviderReader:
    """The cells of one host. ``present`` are its providers in the ledger; ``guests`` may hold something there."""

    def __init__(
        self,
        client: Client,
        root: str,
        present: Mapping[str, Mapping[str, Any]],
        guests: Collection[str],
        memory: Remembered,
    ) -> None:
        self.root_traits: tuple[int, frozenset[str]] | None = memory.root
        self._client, self._guests, self._memory = client, guests, memory
        self._generations = {uuid: int(one["generation"]) for uuid, one in present.items()}
        if self.root_traits is not None and self.root_traits[0] != self._generations.get(root):
            self.root_traits = None
        self._root = root

    def cells(self, wanted: Iterable[str]) -> dict[str, CellState]:
        """The cells with these uuids. Raises ``Conflict`` if one changed while they were read."""
        out, unknown = {}, []
        for uuid in wanted:
            known = self._memory.cells.get(uuid)
            if known is not None and known.generation == self._generations[uuid]:
                out[uuid] = known
            else:
                unknown.append(uuid)
        summaries = self._summaries() if len(unknown) >= TOGETHER else {}
        together = [uuid for uuid in unknown if uuid in summaries]
        out |= {uuid: self.cell(uuid) for uuid in unknown if uuid not in summaries}
        # After the summaries: a generation that is the same now was the same then.
        inventories = {uuid: self._inventories(uuid) for uuid in together}
        used = {uuid: _used(summaries[uuid]) for uuid in together}
        held = self._held(used)
        for uuid in together:
            traits = frozenset(summaries[uuid]["traits"])
            out[uuid] = CellState(
                generation=self._generations[uuid], inventories=inventories[uuid], traits=traits, held=held[uuid]
            )
        self._memory.cells = dict(out)
        return out

    def cell(self, uuid: str) -> CellState:
        """One cell, in three requests. Raises ``Conflict`` if it changed while it was read."""
        inventories = self._inventories(uuid)
        traits = frozenset(self._client.read(f"/resource_providers/{uuid}/traits").body["traits"])
        # The last of the three: what changed in between makes each write a conflict.
        held = self._allocations(uuid)
        return CellState(generation=self._generations[uuid], inventories=inventories, traits=traits, held=held)

    def _summaries(self) -> dict[str, Any]:
        """Traits and sums of all providers of the host; none if it has no memory left, by which it is found."""
        try:
            found = self._client.read(f"/allocation_candidates?resources1={MEMORY}:1&in_tree1={self._root}&limit=1")
        except Unheard:
            return {}
        summaries: dict[str, Any] = found.body["provider_summaries"]
        if self._root in summaries and self.root_traits is None:
            # Its generation was read before, so a write that is based on it fails if it changed.
            self.root_traits = self._generations[self._root], frozenset(summaries[self._root]["traits"])
        return summaries

    def _held(self, used: Mapping[str, dict[str, int]]) -> dict[str, dict[str, tuple[dict[str, int], int]]]:
        """Who holds something of cells whose sums are known: by guest, if those are fewer and make up the sums."""
        out: dict[str, dict[str, tuple[dict[str, int], int]]] = {uuid: {} for uuid in used}
        missing = {uuid for uuid, sums in used.items() if sums}
        if len(self._guests) < len(missing):
            for consumer in self._guests:
                found = self._client.read(f"/allocations/{consumer}").body
                for uuid, one in found["allocations"].items():
                    if uuid in out:
                        self._same(uuid, one["generation"])
                        out[uuid][consumer] = one["resources"], found["consumer_generation"]
            missing = {uuid for uuid in missing if _sums(out[uuid]) != used[uuid]}
        for uuid in sorted(missing):
            out[uuid] = self._allocations(uuid)
        return out

    def _inventories(self, uuid: str) -> dict[str, dict[str, Any]]:
        found = self._client.read(f"/resource_providers/{uuid}/inventories").body
        self._same(uuid, found["resource_provider_generation"])
        inventories: dict[str, dict[str, Any]] = found["inventories"]
        return inventories

    def _allocations(self, uuid: str) -> dict[str, tuple[dict[str, int], int]]:
        found = self._client.read(f"/resource_providers/{uuid}/allocations").body
        self._same(uuid, found["resource_provider_generation"])
        return {name: (one["resources"], one["consumer_generation"]) for name, one in found["allocations"].items()}

    def _same(self, uuid: str, generation: int) -> None:
        if generation != self._generations[uuid]:
            raise Conflict(f"provider {uuid} changed while it was read")


def _used(summary: Mapping[str, Any]) -> dict[str, int]:
    return {name: one["used"] for name, one in summary["resources"].items() if one["used"]}


def _sums(held: Mapping[str, tuple[Mapping[str, int], int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for resources, _ in held.values():
        for name, amount in resources.items():
            out[name] = out.get(name, 0) + amount
    return out
