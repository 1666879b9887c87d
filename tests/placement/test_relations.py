"""Guests of one batch that belong together or keep away, outcomes, and what the exact optimum makes of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from capacities import UNIT, stock

from numaprobe import Request
from numaprobe.placement import optimal, outcome, refining, relations, schema_check
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.limits import Limits
from numaprobe.placement.outcome import Outcome


def guest(name: str | None = None, vcpus: int = 1, memory: int = 1, **asked: Any) -> Request:
    return Request(vcpus, memory * UNIT, name=name, **asked)


def test_wishes_are_mutual_within_a_batch() -> None:
    """A name of a guest that runs already is nobody's of the batch; the names of the batch are known from then on."""
    capacity = stock([(1, 1)])
    capacity.homes = {"old": (0,)}
    found = relations.related(
        capacity,
        (guest("a", away_from=["b", "old"]), guest("b"), guest("c", together_with="a"), guest(None, away_from="a")),
    )
    assert [(one.away_from, one.together_with) for one in found] == [
        (("b", "old"), ("c",)), (("a",), ()), ((), ("a",)), (("a",), ()),
    ]  # fmt: skip
    assert capacity.homes == {"old": (0,), "a": (), "b": (), "c": ()}
    with pytest.raises(ValueError, match=r"^two guests of the batch have the name 'a'$"):
        relations.related(capacity, (guest("a"), guest(), guest("a")))


def test_pairs_and_groups_are_by_position() -> None:
    """Each pair once, whoever names the other; a group is all that hang together."""
    batch = [guest("a", together_with=["b", "a", "x"]), guest("b", together_with="a"), guest(), guest("c", together_with="b"),
             guest("d", away_from="a"), guest("e", together_with="f"), guest("f")]  # fmt: skip
    assert relations.pairs(batch, "together_with") == [(0, 1), (1, 3), (5, 6)]
    assert relations.pairs(batch, "away_from") == [(0, 4)]
    assert relations.groups(batch) == {0: (0, 1, 3), 1: (0, 1, 3), 3: (0, 1, 3), 5: (5, 6), 6: (5, 6)}


def test_a_group_is_placed_on_cells_that_hold_all_of_it_the_largest_first() -> None:
    """One cell where one is enough; what is left does not change where none is."""
    batch = [guest("a", 1, 2), guest("b", 1, 3), guest("c", 3, 3)]
    capacity = stock([(4, 8), (9, 8)])
    capacity.homes = {"a": (), "b": (), "c": ()}
    found = relations.place_group(capacity, batch, (0, 1, 2))
    assert found is not None
    left, placed = found
    assert placed == [(2, (1,), 10.0), (1, (1,), 10.0), (0, (1,), 10.0)]
    assert [one.memory for one in left.rooms.values()] == [4 * UNIT, UNIT]
    assert [one.memory for one in capacity.rooms.values()] == [4 * UNIT, 9 * UNIT]
    assert left.homes == {"a": (1,), "b": (1,), "c": (1,)}
    assert relations.place_group(stock([(4, 8)]), [guest(None, 1, 3), guest(None, 1, 3)], (0, 1)) is None


def test_sets_that_may_hold_a_group() -> None:
    """The best for a guest of their size, then every cell by what it has left; only those for different pages."""
    capacity = stock([(4, 4), (3, 4), (4, 4)])
    assert relations._homes(capacity, [guest("a", 1, 3), guest("b", 1, 3)], {"a", "b"}) == [(0, 1), (1,), (0,), (2,)]
    pinned = [guest("a", 3, 1, pinned=True), guest("b", 3, 1, pinned=True)]
    assert relations._homes(capacity, pinned, {"a", "b"})[0] == (0, 1)
    floating = [guest("a", 3, 1), guest("b", 3, 1)]
    assert relations._homes(capacity, floating, {"a", "b"})[0] == (1,), "vcpus that float share the CPUs"
    both = [guest("a", 3, 1, pinned=True), guest("b", 2, 1)]
    assert relations._homes(capacity, both, {"a", "b"})[0] == (0, 1), "five CPUs"
    few = [guest("a", 1, 3, max_cells=1), guest("b", 1, 3)]
    assert relations._homes(capacity, few, {"a", "b"}) == [(1,), (0,), (2,)]
    near = [guest("a", 1, 3, near=1), guest("b", 1, 3)]
    assert 1 in relations._homes(capacity, near, {"a", "b"})[0]
    capacity.homes = {"x": (0,), "a": (), "b": ()}
    away = [guest("a", 1, 3, away_from="x", together_with="b"), guest("b", 1, 3, together_with="a")]
    assert relations._homes(capacity, away, {"a", "b"})[0] == (1, 2)
    pages = [guest("a"), guest("b", huge_page=UNIT)]
    assert relations._homes(capacity, pages, {"a", "b"}) == [(1,), (0,), (2,)]


def test_guests_are_placed_one_after_another() -> None:
    """One that does not fit is left out; the policy replaces the default and no other."""
    batch = [guest("a", 1, 3), guest("b", 1, 9), guest("c", 1, 2)]
    found = outcome.run(stock([(4, 4), (3, 4)]), batch, [1, 0, 2], None)
    assert (found.order, found.sets, found.costs) == ([1, 0, 2], {1: None, 0: (1,), 2: (0,)}, {0: 10.0, 2: 10.0})
    assert (found.left_out, found.cost, found.rank) == (1, 20.0, (1, 20.0))
    spread = outcome.run(stock([(4, 4), (3, 4)]), batch, [0, 1, 2], "spread")
    assert spread.sets[0] == (0,)
    kept = [batch[0]._replace(policy="balance")]
    assert (
        outcome.run(stock([(4, 8), (3, 4)]), kept, [0], "spread").sets
        == outcome.run(stock([(4, 8), (3, 4)]), kept, [0], None).sets
    )


def test_cells_that_were_given_are_used_where_they_hold_the_guest() -> None:
    """Those of them that have something of it are named."""
    batch = [guest("a", 1, 3), guest("b", 1, 3)]
    capacity = stock([(4, 4), (4, 4)])
    assert outcome.run(capacity, batch, [0, 1], None, {0: (1,)}).sets == {0: (1,), 1: (0,)}
    assert outcome.run(capacity, batch, [0, 1], None, {0: (0, 1), 1: (0,)}).sets == {0: (0,), 1: None}
    assert outcome.run(capacity, batch, [0], None, {0: (7,)}).sets == {0: None}


def test_guests_that_belong_together_are_placed_with_the_first_of_them() -> None:
    """And where no cells hold them all, one by one."""
    batch = [guest("a", 1, 2, together_with="b"), guest("c", 1, 3), guest("b", 1, 2, together_with="a")]
    capacity = stock([(4, 4), (4, 4)])
    capacity.homes = {"a": (), "b": (), "c": ()}
    found = outcome.run(capacity, batch, [0, 1, 2], None)
    assert (found.order, found.sets) == ([0, 2, 1], {0: (0,), 2: (0,), 1: (1,)})


def test_other_cells_are_offered_to_one_guest_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 200 sets, none farther from what it is near to than need be, as long as there are tries."""
    field = Candidates(stock([(4, 4), (4, 4), (1, 4)]), guest("a", 1, 3))
    assert refining._offered(field)[:3] == [(0,), (1,), (0, 1)]
    near = Candidates(stock([(4, 4), (4, 4), (1, 4)]), guest("a", 1, 3, near=1))
    assert refining._offered(near) == [(1,)]
    monkeypatch.setattr(refining, "MAX_OFFERED", 2)
    assert refining._offered(field) == [(0,), (1,)]
    assert refining._offered(Candidates(stock([(1, 1)]), guest("a", 1, 3, near=0))) == []


def test_an_outcome_is_refined_until_nothing_is_better_or_no_try_is_left() -> None:
    """The small guest has the only cell that the large one fits on."""
    capacity = stock([(4, 4), (2, 4)], [[10, 20], [20, 11]])
    batch = [guest("a", 1, 2), guest("b", 1, 4)]
    fields = [Candidates(capacity, one) for one in batch]
    bad = outcome.run(capacity, batch, [0, 1], None)
    assert bad.left_out == 1 or bad.cost > 21
    assert refining.refined(capacity, batch, fields, bad, lambda: False) is bad
    best = refining.refined(capacity, batch, fields, bad, lambda: True)
    assert best.sets == {0: (1,), 1: (0,)}
    assert best.rank == (0, 21.0)


def test_guests_are_tried_in_three_orders() -> None:
    """Those on fewer cells first, then by memory either way; groups stay together, the one on most cells first."""
    batch = [
        guest("a", 1, 5),
        guest("b", 1, 2),
        guest("c", 1, 9, together_with="d"),
        guest("d", 1, 1, together_with="c"),
    ]
    sets: dict[int, tuple[int, ...] | None] = {0: (0,), 1: (1, 2), 2: (0,), 3: (0, 1)}
    assert list(optimal._orders(batch, sets)) == [[0, 1, 3, 2], [0, 1, 3, 2], [0, 3, 2, 1]]
    assert next(optimal._orders(batch[:2], {0: (0,), 1: None})) == [1, 0]
    assert list(optimal._orders(batch[:2], {0: (0,), 1: (1,)})) == [[0, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("dual", "left_out", "bound", "total"),
    [
        (None, 0, 2, 0.0),
        (20.0 - 2 * 765, 0, 2, 20.0),
        (30.5 - 2 * 765, 0, 2, 30.5),
        (30.5 - 2 * 765, 1, 2, 0.0),
        (10.0 - 765, 1, 1, 10.0),
        (10.0 - 765, 0, 1, 0.0),
        (10.0 - 3 * 765, 0, 2, 10.0 - 765),
    ],
)
def test_what_the_program_proves_is_a_bound_and_a_cost(
    dual: float | None, left_out: int, bound: int, total: float
) -> None:
    """Leaving one of two guests out costs 765; no plan places more than the bound, nor costs less than the rest."""

    class Program:
        out = 765.0

    before = Limits(2, [10.0, 10.0])
    found = Outcome([], {0: (0,), 1: None if left_out else (1,)}, {0: 10.0})
    limits = optimal._proven(Program(), [guest(), guest()], found, before, dual)  # type: ignore[arg-type]
    assert (limits.bound, limits.costs, limits.total) == (bound, [10.0, 10.0], pytest.approx(total))
    assert (limits is before) is (dual is None)


def test_a_solution_of_the_program_is_taken_where_it_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one the known outcome stays."""
    pytest.importorskip("scipy", reason="needs numaprobe[optimal]")
    capacity = stock([(4, 4), (2, 4)], [[10, 20], [20, 11]])
    batch = [guest("a", 1, 2), guest("b", 1, 4)]
    bad = outcome.run(capacity, batch, [0, 1], None)
    answers: list[Any] = [({0: (1,), 1: (0,)}, None), (None, None)]

    class Program:
        fields: tuple[Candidates, ...] = ()
        out = 765.0

        def __init__(self, *_: object) -> None:
            pass

        def solve(self, seconds: float) -> Any:
            assert seconds == 5.0
            return answers.pop(0)

    monkeypatch.setattr(optimal, "Program", Program)
    monkeypatch.setattr(optimal, "refined", lambda _stock, _requests, _fields, known, _more: known)
    limits = Limits(2, [10.0, 10.0])
    found, proven = optimal.improve(capacity, batch, bad, limits, 5.0)
    assert (found.sets, found.rank, proven) == ({0: (1,), 1: (0,)}, (0, 21.0), limits)
    assert optimal.improve(capacity, batch, bad, limits, 5.0)[0] is bad


# --- schemas ------------------------------------------------------------------------------------------------------

SCHEMA = {
    "$defs": {"id": {"type": "integer", "minimum": 0, "maximum": 9}},
    "type": "object",
    "required": ["a"],
    "additionalProperties": False,
    "properties": {
        "a": {"$ref": "#/$defs/id"},
        "b": {"type": ["string", "null"], "minLength": 1, "maxLength": 3, "pattern": "^[x-z]*$"},
        "c": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True, "items": {"$ref": "#/$defs/id"}},
        "d": {"oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]},
        "e": {"const": 1},
        "f": {"type": "object", "propertyNames": {"pattern": "^[0-9]$"}, "additionalProperties": {"type": "boolean"}},
        "g": {"type": "number", "minimum": 0.5},
        "h": {},
    },
}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"a": 0, "b": "xyz", "c": [0, 9], "d": "s", "e": 1, "f": {"0": True}, "g": 0.5, "h": [{}]}, None),
        ({"a": 9, "b": None, "d": 1.5, "f": {}}, None),
        ({"a": 1, "d": True}, "d is not one of the forms allowed: true"),
        ({"a": 1, "d": 1}, "d is not one of the forms allowed: 1"),
        ([], "the document must be object, not a list"),
        ({}, "the document has no 'a'"),
        ({"a": -1}, "a must be at least 0, not -1"),
        ({"a": 10}, "a must be at most 9, not 10"),
        ({"a": 1.0}, "a must be integer, not 1.0"),
        ({"a": True}, "a must be integer, not true"),
        ({"a": {}}, "a must be integer, not an object"),
        ({"a": "x" * 38}, f'a must be integer, not "{"x" * 38}"'),
        ({"a": "x" * 39}, f'a must be integer, not "{"x" * 36}...'),
        ({"a": 1, "b": ""}, "b must not be empty"),
        ({"a": 1, "b": "xxxx"}, "b must be at most 3 characters long, not 4"),
        ({"a": 1, "b": "a"}, 'b has the wrong form: "a"'),
        ({"a": 1, "b": 7}, "b must be string or null, not 7"),
        ({"a": 1, "c": []}, "c must have at least 1 items, not 0"),
        ({"a": 1, "c": [1, 2, 3]}, "c must have at most 2 items, not 3"),
        ({"a": 1, "c": [1, 1]}, "c has an item twice"),
        ({"a": 1, "c": [1, 10]}, "c[1] must be at most 9, not 10"),
        ({"a": 1, "e": 2}, "e must be 1, not 2"),
        ({"a": 1, "e": True}, "e must be 1, not true"),
        ({"a": 1, "f": {"x": True}}, 'the key "x" of f has the wrong form: "x"'),
        ({"a": 1, "f": {"0": 1}}, 'f."0" must be boolean, not 1'),
        ({"a": 1, "g": 0.4}, "g must be at least 0.5, not 0.4"),
        ({"a": 1, "g": True}, "g must be number, not true"),
        ({"a": 1, "x y": 1}, 'the document must not have "x y"'),
    ],
)
def test_the_first_fault_of_a_document_is_said(
    monkeypatch: pytest.MonkeyPatch, document: object, text: str | None
) -> None:
    """Its place, what belongs there, and what stands there, cut at 40 characters."""
    monkeypatch.setattr(schema_check, "schema", {"made": SCHEMA}.__getitem__)
    if text is None:
        schema_check.check("made", document)
        return
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        schema_check.check("made", document)
