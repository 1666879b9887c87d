"""Checks a document against its JSON Schema, which has to know every property of it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


@cache
def schema(name: str) -> Any:
    """A schema of the package: ``show`` or ``free``."""
    found = json.loads((files("numaprobe") / "schemas" / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(found)
    return found


@cache
def _closed(name: str) -> Draft202012Validator:
    """The schema with every open object closed: a document may grow, and its schema has to grow with it."""

    def close(part: Any) -> Any:
        if isinstance(part, list):
            return [close(item) for item in part]
        if not isinstance(part, dict):
            return part
        closed = {key: close(value) for key, value in part.items() if key not in ("allOf", "if", "then", "else")}
        if "properties" in part and "additionalProperties" not in part:
            closed["additionalProperties"] = False
        return closed

    return Draft202012Validator(close(schema(name)))


def check(name: str, document: Any) -> None:
    """Fail with the first thing that is wrong with a document."""
    document = json.loads(json.dumps(document, allow_nan=False))
    for validator in (Draft202012Validator(schema(name)), _closed(name)):
        for error in validator.iter_errors(document):
            raise AssertionError(f"{error.json_path}: {error.message[:300]}")
