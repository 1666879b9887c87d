"""Values of four and more fields are built by name, and read by name: a type checker never finds two that are swapped."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numaprobe

PACKAGE = Path(numaprobe.__file__).parent


@cache
def trees() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
    }


def fields_of(node: ast.AST) -> int | None:
    """How many fields a class definition over ``namedtuple`` has; None for another node."""
    if not isinstance(node, ast.ClassDef):
        return None
    for base in node.bases:
        if isinstance(base, ast.Call) and getattr(base.func, "id", "") == "namedtuple":
            names = base.args[1]
            if isinstance(names, ast.Constant) and isinstance(names.value, str):
                return len(names.value.split())
    return None


def by_position(tree: ast.AST, known: dict[str, int]) -> Iterator[str]:
    """Calls of a value's type with four or more arguments that have no name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            bare = [one for one in node.args if not isinstance(one, ast.Starred)]
            if known.get(name, 0) >= 4 and len(bare) >= 4:
                yield f"{node.lineno}: {name}"


def known_values() -> dict[str, int]:
    found = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            count = fields_of(node)
            if count is not None and isinstance(node, ast.ClassDef):
                found[node.name] = count
    return found


def test_values_of_four_and_more_fields_are_built_by_keyword() -> None:
    """Where thousands are made ``_make`` takes columns, and that is no call of the type."""
    known = known_values()
    assert {"Host", "Cell", "Memory", "Domain", "Plan", "LinuxFacts", "XenFacts"} <= set(known)
    wrong = [f"{name}:{where}" for name, tree in trees().items() for where in by_position(tree, known)]
    assert wrong == []


def test_the_rule_itself_sees_a_value_built_by_position() -> None:
    """A check that cannot fail would be none."""
    assert list(
        by_position(ast.parse("Memory(1, 2, 3, 4)\nMemory(total=1)\nNote(1, 2)"), {"Memory": 8, "Note": 2})
    ) == ["1: Memory"]
