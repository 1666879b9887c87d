"""Small faults in Python source: one at a place that a seed chooses."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Div: ast.Mult,
}  # fmt: skip


class Fault(NamedTuple):
    """One change of a syntax tree: where it is, what it is, and what makes it."""

    line: int
    what: str
    plant: Callable[[], None]


def _setter(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def _of_expression(node: ast.AST) -> Iterator[Fault]:
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare):
        for number, op in enumerate(node.ops):
            other = COMPARED[type(op)]
            ops = [*node.ops[:number], other(), *node.ops[number + 1 :]]
            yield Fault(line, f"{type(op).__name__} -> {other.__name__}", _setter(node, "ops", ops))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in COMPUTED:
        found = COMPUTED[type(node.op)]
        text = isinstance(node, ast.BinOp) and any(isinstance(x, ast.JoinedStr) for x in (node.left, node.right))
        if not text:
            yield Fault(line, f"{type(node.op).__name__} -> {found.__name__}", _setter(node, "op", found()))
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield Fault(line, f"{type(node.op).__name__} -> {swapped.__name__}", _setter(node, "op", swapped()))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield Fault(line, f"{node.value} -> {not node.value}", _setter(node, "value", not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield Fault(line, f"{node.value} -> {node.value + 1}", _setter(node, "value", node.value + 1))


def _of_statement(node: ast.AST) -> Iterator[Fault]:
    line = getattr(node, "lineno", 0)
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield Fault(line, "condition turned", _setter(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield Fault(line, "result dropped", _setter(node, "value", ast.Constant(None)))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield Fault(line, f"not called: {ast.unparse(node.value)[:40]}", _setter(node, "value", ast.Constant(None)))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Without annotations, and without what only a type checker reads."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "keywords") and not isinstance(node, ast.Call):
            continue
        for child in value if isinstance(value, list) else [value]:
            # What only a type checker reads, and an argument that only finds other faults.
            if isinstance(child, (ast.If, ast.Assign)) and ast.unparse(child).startswith(
                ("if TYPE_CHECK", "TYPE_CHECK")
            ):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue
            if isinstance(child, ast.AST):
                yield child


def faults(tree: ast.AST) -> Iterator[Fault]:
    """Every fault that can be planted in a tree; planting changes the tree."""
    for node in _children(tree):
        yield from _of_expression(node)
        yield from _of_statement(node)
        yield from faults(node)


def planted(source: str, choice: random.Random) -> tuple[Fault, str] | None:
    """A fault, and the source with it; None for a module that has no place for one."""
    tree = ast.parse(source)
    found = list(faults(tree))
    if not found:
        return None
    fault = choice.choice(found)
    fault.plant()
    return fault, ast.unparse(ast.fix_missing_locations(tree)) + "\n"
