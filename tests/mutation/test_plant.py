"""The planter of faults itself."""

from __future__ import annotations

import ast
import random

from .plant import faults, planted

SOURCE = '''
TYPE_CHECKING = False
if TYPE_CHECKING:
    x: int = 3 < 4


def f(a: int = 1) -> int:
    """No place for 1 + 1."""
    if a < 2 and a:
        return a + 1
    print(a)
    return None
'''


def test_every_kind_of_place_is_found_once() -> None:
    """None of them in annotations, docstrings, or what only a type checker reads."""
    found = sorted(fault.what for fault in faults(ast.parse(SOURCE)))
    assert found == [
        "1 -> 2", "1 -> 2", "2 -> 3", "Add -> Sub", "And -> Or", "Lt -> LtE", "condition turned",
        "not called: print(a)", "result dropped",
    ]  # fmt: skip


def test_a_planted_fault_changes_one_thing_and_the_seed_says_which() -> None:
    """A surviving fault can be planted again for study, and its source still compiles."""
    first, again = (planted(SOURCE, random.Random(3)) for _ in "ab")
    assert first is not None
    assert again is not None
    assert first[1] == again[1] != ast.unparse(ast.parse(SOURCE)) + "\n"
    compile(first[1], "x", "exec")
