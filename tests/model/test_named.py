"""Named tuples that are compiled when first built: in all else those of ``collections``."""

from __future__ import annotations

import collections
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import numaprobe
from numaprobe.model.host import HugePages, Note
from numaprobe.named import namedtuple


class Ours(namedtuple("Ours", "first second third", defaults=(2, None))):
    __slots__ = ()


Theirs: Any = collections.namedtuple("Theirs", "first second third", defaults=(2, None))


def test_values_are_built_as_by_collections() -> None:
    """The standard library's namedtuple is the oracle, for construction, matching, repr, signature and pickling."""
    for make in (Ours, Theirs) * 6:
        assert make(1) == make(first=1) == make(1, second=2) == (1, 2, None)
        assert make(1, 5)._replace(third=7) == make._make([1, 5, 7]) == (1, 5, 7)
        assert make(1)._asdict() == {"first": 1, "second": 2, "third": None}
        assert (make._fields, make._field_defaults) == (("first", "second", "third"), {"second": 2, "third": None})
        match make(4):
            case make(first, second):
                assert (first, second) == (4, 2)
    assert repr(Ours(1)) == "Ours(first=1, second=2, third=None)"
    assert inspect.signature(Ours) == inspect.signature(Theirs)
    assert pickle.loads(pickle.dumps(Ours(1))) == Ours(1)
    assert type(pickle.loads(pickle.dumps(Note("a", "b")))) is Note


@pytest.mark.parametrize(
    ("arguments", "keywords"), [((), {}), ((1, 2, 3, 4), {}), ((1,), {"first": 1}), ((1,), {"fourth": 1})]
)
def test_values_that_cannot_be_built_are_a_type_error(arguments: tuple[int, ...], keywords: dict[str, int]) -> None:
    """Compiling late must not let wrong arguments through on the first call."""
    for _ in range(20):
        with pytest.raises(TypeError):
            Ours(*arguments, **keywords)
    with pytest.raises(TypeError):
        Ours._make([1])
    with pytest.raises((TypeError, ValueError)):
        Ours(1)._replace(fourth=1)


def test_a_class_of_one_field_and_a_subclass_build_their_own() -> None:
    """One field is the case where a tuple needs its comma; a subclass must not become its base."""

    class One(namedtuple("One", "only")):
        __slots__ = ()

    class More(One):
        __slots__ = ()

    class Doubled(namedtuple("Doubled", "only other", defaults=(3,))):
        __slots__ = ()

        def __new__(cls, only: int) -> Any:
            return super().__new__(cls, only * 2)

    assert One(1) == (1,)
    assert type(More(2)) is More
    assert repr(More(2)) == "More(only=2)"
    assert type(One(1)) is One
    for _ in range(20):
        assert repr(Doubled(2)) == "Doubled(only=4, other=3)"
        assert type(Doubled(2)._replace(other=1)) is Doubled
    assert isinstance(HugePages(size=1), HugePages)
    assert not hasattr(HugePages(1), "__dict__")


def test_an_import_compiles_no_constructor_and_imports_no_collections() -> None:
    """These two were half of the time that import numaprobe took."""
    place = str(Path(numaprobe.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {place!r}); import numaprobe; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    found = done.stdout.split()
    assert not {"collections", "contextlib", "functools", "bisect", "operator"}.intersection(found)
    assert "numaprobe.model.host" in found


def test_completion_finds_the_names_that_are_imported_late() -> None:
    """A shell or an editor calls dir(), which by default misses names behind __getattr__."""
    assert set(numaprobe.__all__) <= set(dir(numaprobe))
    assert {"Sampler", "place", "export", "__version__"} <= set(dir(numaprobe))
