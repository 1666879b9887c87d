"""What is read of a host's cells in the ledger, and what need not be read again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe.contrib.openstack.errors import Conflict, Unheard
from numaprobe.contrib.openstack.reading import NEW, CellState, ProviderReader, Remembered

SUMMARIES = "/allocation_candidates?resources1=MEMORY_MB:1&in_tree1=root&limit=1"


class Ledger:
    """Cells of generation 3 with a few vcpus held of each, by guest; what was asked is kept in short words."""

    def __init__(self, held: dict[str, dict[str, int]]) -> None:
        self.held, self.asked = held, []  # type: ignore[var-annotated]
        self.summaries: Any = None
        self.generations: dict[str, int] = {}

    def read(self, path: str) -> Any:
        if path == SUMMARIES:
            self.asked.append("summaries")
            if isinstance(self.summaries, Exception):
                raise self.summaries
            sums = {uuid: sum(held.values()) for uuid, held in self.held.items()}
            found = {
                uuid: {"traits": [f"T{uuid}"], "resources": {"VCPU": {"used": used}, "MEMORY_MB": {"used": 0}}}
                for uuid, used in sums.items()
            }
            found["root"] = {"traits": ["TROOT"], "resources": {}}
            for uuid in self.summaries or ():
                del found[uuid]
            return SimpleNamespace(body={"provider_summaries": found})
        head, uuid, *what = path.strip("/").split("/")
        self.asked.append(f"{what[0] if what else 'guest'} {uuid}")
        if head == "allocations":
            where = {cell: held[uuid] for cell, held in self.held.items() if uuid in held}
            found = {
                cell: {"generation": self.generations.get(cell, 3), "resources": {"VCPU": n}}
                for cell, n in where.items()
            }
            return SimpleNamespace(body={"allocations": found, "consumer_generation": 9})
        bodies = {
            "inventories": {"VCPU": {"total": 8}},
            "traits": [f"T{uuid}"],
            "allocations": {
                name: {"resources": {"VCPU": n}, "consumer_generation": 9} for name, n in self.held[uuid].items()
            },
        }
        return SimpleNamespace(
            body={
                what[0]: bodies[what[0]],
                "resource_provider_generation": self.generations.get(f"{what[0]} {uuid}", 3),
            }
        )


def reader(client: Any, *guests: str, memory: Remembered | None = None, root: int = 3) -> ProviderReader:
    present = {"root": {"generation": root}, **{uuid: {"generation": 3} for uuid in client.held}}
    return ProviderReader(client, "root", present, guests, memory or Remembered())


def state(uuid: str, **held: int) -> CellState:
    return CellState(
        3, {"VCPU": {"total": 8}}, frozenset({f"T{uuid}"}), {name: ({"VCPU": n}, 9) for name, n in held.items()}
    )


def test_one_or_two_cells_are_read_one_by_one() -> None:
    """Three requests each, and the traits of the root are not known then."""
    client = Ledger({"a": {"g": 2}, "b": {}})
    one = reader(client)
    assert one.cells(["a", "b"]) == {"a": state("a", g=2), "b": state("b")}
    assert client.asked == [f"{what} {uuid}" for uuid in "ab" for what in ("inventories", "traits", "allocations")]
    assert one.root_traits is None


def test_from_three_cells_on_traits_and_sums_are_read_together() -> None:
    """Who holds something is read of cells of which something is held; by cell where guests are no fewer."""
    client = Ledger({"a": {"g": 2}, "b": {}, "c": {"h": 1, "i": 1}})
    one = reader(client, "g", "h")
    assert one.cells(["a", "b", "c"]) == {"a": state("a", g=2), "b": state("b"), "c": state("c", h=1, i=1)}
    assert client.asked == ["summaries", *[f"inventories {uuid}" for uuid in "abc"], "allocations a", "allocations c"]
    assert one.root_traits == (3, frozenset({"TROOT"}))


def test_guests_are_asked_where_they_are_fewer_and_hold_all_there_is() -> None:
    """A cell of which others hold something as well is read itself."""
    client = Ledger({"a": {"g": 2}, "b": {"g": 1}, "c": {"g": 3, "x": 1}})
    assert reader(client, "g").cells("abc") == {"a": state("a", g=2), "b": state("b", g=1), "c": state("c", g=3, x=1)}
    assert client.asked[4:] == ["guest g", "allocations c"]
    client = Ledger({"a": {"g": 2}, "b": {"g": 1}, "c": {}, "d": {"g": 1}})
    assert reader(client, "g").cells("abc")["b"] == state("b", g=1)
    assert client.asked[4:] == ["guest g"], "what it holds of a cell that is not asked for does not matter"


@pytest.mark.parametrize("summaries", [Unheard("no class"), ["b"], ["root"]])
def test_cells_that_are_not_among_the_sums_are_read_one_by_one(summaries: Any) -> None:
    """A host without memory left is not found by it, and a ledger may not know the class at all."""
    client = Ledger({"a": {}, "b": {"g": 1}, "c": {}})
    client.summaries = summaries
    one = reader(client)
    assert one.cells("abc") == {"a": state("a"), "b": state("b", g=1), "c": state("c")}
    assert ("traits b" in client.asked) is (summaries != ["root"])
    assert ("traits a" in client.asked) is isinstance(summaries, Unheard)
    assert one.root_traits == ((3, frozenset({"TROOT"})) if summaries == ["b"] else None)


@pytest.mark.parametrize("what", ["inventories a", "allocations a"])
@pytest.mark.parametrize("cells", ["a", "abc"])
def test_a_cell_that_changed_meanwhile_is_a_conflict(what: str, cells: str) -> None:
    """Each answer has the generation of the cell."""
    client = Ledger({uuid: {"g": 1} for uuid in "abc"})
    client.generations[what] = 4
    with pytest.raises(Conflict, match=r"^provider a changed while it was read$"):
        reader(client).cells(cells)


def test_a_guest_s_answer_of_another_generation_is_a_conflict() -> None:
    """It has that of each cell on which the guest holds something."""
    client = Ledger({uuid: {"g": 1} for uuid in "abc"})
    client.generations["b"] = 4
    with pytest.raises(Conflict, match=r"^provider b changed while it was read$"):
        reader(client, "g").cells("abc")


def test_what_has_the_same_generation_is_not_read_again() -> None:
    """Nor is the root; what a cell that is new holds is nothing."""
    client = Ledger({"a": {"g": 2}, "b": {}})
    memory = Remembered()
    assert (memory.cells, memory.root) == ({}, None)
    found = reader(client, memory=memory).cells("ab")
    assert memory.cells == found
    client.asked.clear()
    memory.root = 3, frozenset({"x"})
    one = reader(client, memory=memory)
    assert one.cells("ab") == found
    assert (client.asked, one.root_traits) == ([], (3, frozenset({"x"})))
    assert reader(client, memory=memory, root=4).root_traits is None
    memory.cells["a"] = found["a"]._replace(generation=2)
    reader(client, memory=memory).cells("ab")
    assert client.asked == ["inventories a", "traits a", "allocations a"]
    assert CellState(0, {}, frozenset(), {}) == NEW
    known = Ledger({"a": {}, "b": {}, "c": {}})
    memory.cells, memory.root = {}, (3, frozenset({"x"}))
    one = reader(known, memory=memory)
    one.cells("abc")
    assert one.root_traits == (3, frozenset({"x"})), "what is remembered of the root is kept"
