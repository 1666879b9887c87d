"""Docstrings of tests: one sentence each, which adds to the name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODULES = sorted(TESTS.rglob("test_*.py"))
WORD = re.compile(r"[a-z0-9]+")


def fault(test: ast.FunctionDef) -> str | None:
    """What is wrong with the docstring of a test, or None."""
    text = ast.get_docstring(test)
    if not text:
        return "has no docstring"
    if "\n\n" in text:
        return "has more than one paragraph"
    if not text.endswith("."):
        return "does not end with a full stop"
    if re.search(r"[.!?]['\")]*\s", text):
        return "has more than one sentence"
    if set(WORD.findall(text.lower())) <= set(WORD.findall(test.name)):
        return "says no more than the name"
    return None


def faults(source: str) -> dict[str, str]:
    """By name of the test."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    found = {test.name: fault(test) for test in functions if test.name.startswith("test_")}
    return {name: text for name, text in found.items() if text is not None}


def test_every_test_has_one_sentence() -> None:
    """D103 of ruff would also demand one of every helper in these modules, so the tests are checked here."""
    assert len(MODULES) > 100
    found = {path: faults(path.read_text("utf-8")) for path in MODULES}
    assert [
        f"{path.relative_to(TESTS)}: {name} {text}" for path, by in found.items() for name, text in by.items()
    ] == []


@pytest.mark.parametrize(
    ("docstring", "complaint"),
    [
        ("", "no docstring"),
        ('"""Zero. And one."""', "more than one sentence"),
        ('"""Zero!  And one."""', "more than one sentence"),
        ('"""Zero.\n\n    And one.\n    """', "more than one paragraph"),
        ('"""Zero"""', "full stop"),
        ('"""A node is read."""', "no more than the name"),
    ],
)
def test_the_rule_itself_sees_each_fault(docstring: str, complaint: str) -> None:
    """A check that cannot fail would be none."""
    (found,) = faults(f"def test_a_node_is_read():\n    {docstring}\n    assert True\n").values()
    assert complaint in found


def test_a_sentence_may_have_figures_and_names_with_full_stops() -> None:
    """Releases, file names and decimal fractions have them, and a line may end within the sentence."""
    assert faults('def test_x():\n    """Since 2.6.26, see a.py: 0.5 of it;\n    it goes on here."""\n') == {}
