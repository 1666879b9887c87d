"""Checks a document from outside against one of the package's JSON Schemas.

The part of draft 2020-12 that the schemas use, and stricter in two things: 1.0 is not an integer, and an object's key
may stand only once (the reader of the file sees to that). ``jsonschema`` is what the tests compare it with.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
SHOWN = 40


@cache
def schema(name: str) -> dict[str, Any]:
    """A schema of the package by its name, such as ``place``."""
    text = (files("numaprobe") / "schemas" / f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def check(name: str, document: object) -> None:
    """Raise ``ValueError`` with the first fault of a document: its place, its text, and what belongs there."""
    root = schema(name)
    for fault in _faults(root, root, document, ""):
        raise ValueError(fault)


def _faults(root: dict[str, Any], part: dict[str, Any], value: object, where: str) -> Iterator[str]:
    """Sentences, the first fault first; generated, so that a long document is read no further than to the first."""
    here = where or "the document"
    if "$ref" in part:
        yield from _faults(root, root["$defs"][part["$ref"].rpartition("/")[2]], value, where)
    if "oneOf" in part and sum(not any(_faults(root, one, value, where)) for one in part["oneOf"]) != 1:
        yield f"{here} is not one of the forms allowed: {_shown(value)}"
    if "const" in part and (value != part["const"] or type(value) is not type(part["const"])):
        yield f"{here} must be {json.dumps(part['const'])}, not {_shown(value)}"
    if "type" in part:
        names = [part["type"]] if isinstance(part["type"], str) else part["type"]
        if not any(_is(value, name) for name in names):
            yield f"{here} must be {' or '.join(names)}, not {_shown(value)}"
            return
    if isinstance(value, dict):
        yield from _object_faults(root, part, value, where)
    elif isinstance(value, list):
        yield from _list_faults(root, part, value, where)
    elif isinstance(value, str):
        if len(value) < part.get("minLength", 0):
            yield f"{here} must not be empty"
        if len(value) > part.get("maxLength", len(value)):
            yield f"{here} must be at most {part['maxLength']} characters long, not {len(value)}"
        if "pattern" in part and not re.search(part["pattern"], value):
            yield f"{here} has the wrong form: {_shown(value)}"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < part.get("minimum", value):
            yield f"{here} must be at least {part['minimum']}, not {_shown(value)}"
        if value > part.get("maximum", value):
            yield f"{here} must be at most {part['maximum']}, not {_shown(value)}"


def _object_faults(root: dict[str, Any], part: dict[str, Any], value: dict[str, object], where: str) -> Iterator[str]:
    for key in part.get("required", ()):
        if key not in value:
            yield f"{where or 'the document'} has no {key!r}"
    known = part.get("properties", {})
    other = part.get("additionalProperties", True)
    for key, inside in value.items():
        place = f"{where}.{_key(key)}" if where else _key(key)
        if "propertyNames" in part:
            yield from _faults(root, part["propertyNames"], key, f"the key {_shown(key)} of {where or 'the document'}")
        if key in known:
            yield from _faults(root, known[key], inside, place)
        elif other is False:
            yield f"{where or 'the document'} must not have {_shown(key)}"
        elif other is not True:
            yield from _faults(root, other, inside, place)


def _list_faults(root: dict[str, Any], part: dict[str, Any], value: list[object], where: str) -> Iterator[str]:
    here = where or "the document"
    if len(value) < part.get("minItems", 0):
        yield f"{here} must have at least {part['minItems']} items, not {len(value)}"
    if len(value) > part.get("maxItems", len(value)):
        yield f"{here} must have at most {part['maxItems']} items, not {len(value)}"
    if "items" in part:
        for number, item in enumerate(value):
            yield from _faults(root, part["items"], item, f"{where}[{number}]")
    # After the items: what is not of its type may not be comparable.
    if part.get("uniqueItems") and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield f"{here} has an item twice"


def _is(value: object, name: str) -> bool:
    # To Python a bool is an int.
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _key(key: str) -> str:
    return key if key.isidentifier() else _shown(key)


def _shown(value: object) -> str:
    """A value in JSON's words, short."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
