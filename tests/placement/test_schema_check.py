"""Documents from outside are held against the published schemas, as jsonschema would, and a little more strictly."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hosts import GIB, host
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from numaprobe import Request, place
from numaprobe.placement import schema_check
from numaprobe.placement.documents import read_plan

KEYWORDS = {
    "type",
    "const",
    "required",
    "properties",
    "additionalProperties",
    "propertyNames",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "oneOf",
    "$ref",
}
FOR_PEOPLE = {"$schema", "$defs", "title", "description"}
NAMES = ("place", "batch")


def schema(name: str) -> Any:
    return json.loads((files("numaprobe") / "schemas" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_use_no_keyword_that_is_not_checked(name: str) -> None:
    """A word that nobody reads would be a rule that does not hold."""

    def words(part: Any) -> set[str]:
        found = set(part)
        inside = [*part.get("properties", {}).values(), *part.get("$defs", {}).values(), *part.get("oneOf", ())]
        inside += [part[key] for key in ("items", "propertyNames", "additionalProperties") if key in part]
        for one in inside:
            if isinstance(one, dict):
                found |= words(one)
        return found

    Draft202012Validator.check_schema(schema(name))
    assert words(schema(name)) <= KEYWORDS | FOR_PEOPLE


def test_a_batch_knows_every_word_of_a_request() -> None:
    """A wish that is added to one is added to the other."""
    assert set(schema("batch")["items"]["properties"]) == set(Request._fields)


scraps = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 70),
    st.floats(allow_nan=False).filter(lambda value: not value.is_integer()),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text("01a", max_size=2), st.integers(0, 9), max_size=2),
)


def good(name: str) -> Any:
    if name == "batch":
        return [{"vcpus": 2, "memory": "4G", "away_from": ["a"], "near": None}, {"vcpus": 1, "memory": 4096}]
    plan = place(host([4 * GIB, 4 * GIB]), vcpus=4, memory=GIB, guest_cells=2, pinned=True, name="g")
    return json.loads(plan.render("json"))


def places(document: Any) -> list[tuple[Any, Any]]:
    """Everything that can be replaced, as container and key."""
    found: list[tuple[Any, Any]] = []
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(inside):
        found.append((document, key))
        if isinstance(value, (dict, list)):
            found += places(value)
    return found


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_the_verdict_is_that_of_jsonschema(name: str, data: st.DataObject) -> None:
    """For documents with one to three things replaced, removed or added."""
    document = good(name)
    for _ in range(data.draw(st.integers(0, 3))):
        spots = places(document)
        if not spots:
            break
        container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        what = data.draw(st.sampled_from(("replace", "remove", "add")))
        if what == "remove":
            del container[key]
        elif what == "add" and isinstance(container, dict):
            container[data.draw(st.sampled_from(("x", "cells", "7", "01")))] = data.draw(scraps)
        else:
            container[key] = data.draw(scraps)
    judged = Draft202012Validator(schema(name)).is_valid(document)
    try:
        schema_check.check(name, document)
    except ValueError:
        assert not judged
    else:
        assert judged


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"fits": "no"}, 'fits must be boolean, not "no"'),
        ({"fits": False}, "does not fit"),
        ({"cpus": [1.9]}, r"cpus\[0\] must be integer, not 1.9"),
        ({"cpus": [1.0]}, r"cpus\[0\] must be integer, not 1.0"),
        ({"cpus": [1 << 31]}, "cpus.*at most 65535"),
        ({"memory": {str(1 << 40): 4096}}, "key.*wrong form"),
        ({"memory": {"0": True}}, "memory.*integer"),
        ({"cells": [0, 0]}, "cells has an item twice"),
        ({"vcpus": [{"vcpu": 0, "cpus": [99]}]}, "cpu 99, which is not in cpus"),
        ({"vcpus": [{"vcpu": 1, "cpus": [0]}]}, "numbered from 0"),
        ({"vcpus": [{"vcpu": 0, "cpus": []}]}, "has no cpus"),
        ({"vcpus": []}, "vcpus"),
        ({"memory": {"5": 4096}}, "cell 5, which is not in cells"),
        ({"schema": "numaprobe/2"}, "schema must be"),
    ],
)
def test_a_plan_that_is_none_says_where(changed: dict[str, object], complaint: str) -> None:
    """The message is one sentence that has the path in the document and the offending text."""
    document = json.loads(place(host([4 * GIB, 4 * GIB]), vcpus=1, memory=GIB).render("json"))
    with pytest.raises(ValueError, match=complaint) as caught:
        read_plan({**document, **changed})
    assert "\n" not in str(caught.value)


def test_a_plan_that_was_written_is_read_again() -> None:
    """Cells, cpus, vcpus, memory, guest cells: all that pinning and the formats need."""
    for wishes in ({}, {"pinned": True}, {"cores": True}, {"guest_cells": 2}):
        plan = place(host([4 * GIB, 4 * GIB]), vcpus=4, memory=6 * GIB, name="g", **wishes)  # type: ignore[arg-type]
        again = read_plan(json.loads(plan.render("json")))
        for part in ("cells", "cpus", "vcpus", "memory", "memory_only", "guest_cells", "distance", "bind"):
            assert getattr(again, part) == getattr(plan, part), part
        assert again.request.dedicated == plan.request.dedicated
