"""Rows from columns: tuples of any type, without a call for each."""

from __future__ import annotations

import gc
import pickle

import pytest

from numaprobe import _fast
from numaprobe.model.host import Cpu, Note


def test_a_row_has_a_value_of_each_column() -> None:
    """A column is a dict by key, a tuple by position, or one value for every row."""
    keys = (7, 3)
    assert _fast.rows(Note, keys, ({3: "c", 7: "g"}, ("first", "second"))) == [Note("g", "first"), Note("c", "second")]
    assert _fast.rows(tuple, keys, ({7: 1}, {}, None, [2])) == [(1, None, None, [2]), (None, None, None, [2])]
    assert _fast.rows(Note, (), ({}, {})) == []


def test_rows_are_ordinary_values() -> None:
    """They are made in C without calling the class, and must not differ from those of its constructor."""
    (row,) = _fast.rows(Note, (1,), ("where", "text"))
    assert isinstance(row, Note)
    assert row.where == "where"
    assert row._replace(text="other") == Note("where", "other")
    assert pickle.loads(pickle.dumps(row)) == row
    assert hash(row) == hash(Note("where", "text"))


def test_the_garbage_collector_does_not_look_at_rows() -> None:
    """Thousands of CPUs would slow down every collection of the program; tuples of atoms cannot form cycles."""
    rows = _fast.rows(Cpu, (1, 2), (((0, 1), (2, 3)),) + (None,) * 14)
    assert not any(gc.is_tracked(row) for row in rows)
    assert gc.is_tracked(Cpu(1))


def test_what_makes_no_rows_is_refused() -> None:
    """A class that is no tuple, or a column of another length, would corrupt memory in C."""
    with pytest.raises(TypeError):
        _fast.rows(int, (1,), ())
    with pytest.raises(ValueError, match="1 values for 2 rows"):
        _fast.rows(tuple, (1, 2), ((5,),))
