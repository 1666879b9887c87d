"""The values: immutable, comparable, picklable, found by id."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from types import ModuleType
from typing import Any

import pytest
import schemas
from hypothesis import given
from hypothesis import strategies as st

import numaprobe
from numaprobe import errors
from numaprobe.linux import facts
from numaprobe.model import host as model
from numaprobe.model.documents import free_document
from numaprobe.model.host import (
    Access,
    Allowed,
    Cell,
    Cpu,
    Device,
    Host,
    HugePages,
    Hypervisor,
    Memory,
    Note,
    SideCache,
    total,
)


def named_tuples(module: ModuleType) -> list[type[Any]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, tuple) and value.__module__ == module.__name__
    ]


CLASSES = named_tuples(model) + named_tuples(facts)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_field_is_annotated_in_order_and_nothing_else_is(kind: type[Any]) -> None:
    """The factory reads annotations, so a field out of order would swap values silently."""
    assert tuple(inspect.get_annotations(kind)) == kind._fields
    assert kind.__slots__ == ()
    assert not hasattr(kind._make([None] * len(kind._fields)), "__dict__")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_value_says_what_it_is(kind: type[Any]) -> None:
    """Values have a docstring written by hand, a readable repr, and no assignment to fields, known or new."""
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    value = kind._make(range(len(kind._fields)))
    assert repr(value).startswith(f"{kind.__name__}({kind._fields[0]}=0")
    with pytest.raises(AttributeError):
        setattr(value, kind._fields[0], 1)
    with pytest.raises(AttributeError):
        value.something_else = 1
    with pytest.raises(TypeError):
        kind(*range(len(kind._fields) + 1))


def test_every_class_is_found() -> None:
    """Guards the tests above, which would pass on an empty list of classes."""
    assert {kind.__name__ for kind in CLASSES} >= {
        "Host",
        "Cell",
        "Cpu",
        "Memory",
        "LinuxFacts",
        "NodeFacts",
        "CpuFacts",
    }


def test_the_public_names_are_sorted_and_there() -> None:
    """Names resolve lazily, so a wrong entry would not fail on import but at a user's first use."""
    assert list(numaprobe.__all__) == sorted(numaprobe.__all__)
    assert all(hasattr(numaprobe, name) for name in numaprobe.__all__)
    assert {kind.__name__ for kind in named_tuples(model)} <= set(numaprobe.__all__)


# --- any host --------------------------------------------------------------------------------------------------

ids = st.integers(0, 5000)
size = st.none() | st.integers(0, 2**60)
text = st.text(max_size=12)
optional_id = st.none() | ids
some_ids = st.sets(ids, max_size=5).map(lambda found: tuple(sorted(found)))


def of(kind: type[Any], /, **fields: Any) -> Any:
    return st.fixed_dictionaries(fields).map(lambda found: kind(**found))


memory = of(
    Memory,
    total=size,
    free=size,
    available=size,
    span=size,
    free_below_4g=size,
    total_from=st.none() | text,
    free_from=st.none() | text,
    available_from=st.none() | text,
)
huge_pages = of(HugePages, size=st.integers(1, 2**40), total=size, free=size, surplus=size)
access = of(
    Access,
    level=st.sampled_from([0, 1]),
    initiators=some_ids,
    read_latency=size,
    write_latency=size,
    read_bandwidth=size,
    write_bandwidth=size,
)
side_cache = of(
    SideCache,
    level=st.integers(0, 3),
    size=size,
    line_size=size,
    indexing=st.sampled_from([None, "direct", "indexed", "custom"]),
    write_policy=st.sampled_from([None, "write-back", "write-through", "other"]),
)


def cells(cell_ids: tuple[int, ...]) -> Any:
    def cell(cell_id: int) -> Any:
        row = st.tuples(*(st.tuples(st.just(other), st.none() | st.integers(0, 255)) for other in cell_ids))
        return of(
            Cell,
            id=st.just(cell_id),
            cpus=st.none() | some_ids,
            memory=memory,
            huge_pages=st.lists(huge_pages, max_size=2).map(tuple),
            distances=st.none() | row,
            accesses=st.lists(access, max_size=2).map(tuple),
            tier=optional_id,
            side_caches=st.lists(side_cache, max_size=2).map(tuple),
            kind=st.sampled_from([None, "gpu", "cxl", "dax"]),
            stand_in=st.booleans(),
            interleave_weight=st.none() | st.integers(1, 255),
        )

    return st.tuples(*map(cell, cell_ids))


def cpu(cpu_id: int) -> Any:
    unsure = st.sampled_from([None, True, False])
    siblings = some_ids.map(lambda found: tuple(sorted({cpu_id, *found})))
    return of(
        Cpu,
        id=st.just(cpu_id),
        online=st.booleans(),
        cell=optional_id,
        package=optional_id,
        die=optional_id,
        cluster=optional_id,
        core=optional_id,
        siblings=st.none() | siblings,
        kind=st.sampled_from([None, "core", "atom", "capacity-512"]),
        isolated=unsure,
        nohz_full=unsure,
        book=optional_id,
        drawer=optional_id,
        capacity=optional_id,
        pool=optional_id,
    )


xen = of(
    Hypervisor,
    name=st.just("xen"),
    version=text,
    scheduler=st.none() | text,
    commandline=st.none() | text,
    claimed=size,
)
note = of(Note, where=text, text=text)
device = of(Device, address=text, cell=optional_id, class_code=optional_id, vendor=optional_id, device=optional_id)
allowed = of(
    Allowed,
    cpus=st.none() | some_ids,
    cells=st.none() | some_ids,
    quota=st.none() | st.floats(0, 1000),
    where=st.just(("x",)),
)
hosts = st.tuples(
    some_ids.flatmap(cells), some_ids.flatmap(lambda found: st.tuples(*map(cpu, found))), st.none() | xen
).flatmap(
    lambda parts: of(
        Host,
        source=st.just("linux" if parts[2] is None else "xen"),
        hypervisor=st.just(parts[2]),
        cells=st.just(parts[0]),
        cpus=st.just(parts[1]),
        notes=st.lists(note, max_size=2).map(tuple),
        possible_cells=st.none() | some_ids,
        possible_cpus=st.none() | some_ids,
        devices=st.none() | st.lists(device, max_size=2).map(tuple),
        allowed=st.none() | allowed,
    )
)


@given(hosts)
def test_a_host_can_be_compared_hashed_pickled_and_copied(host: Host) -> None:
    """Programs cache hosts and send them between processes, with old pickle protocols as well."""
    for twin in (pickle.loads(pickle.dumps(host)), copy.deepcopy(host), Host(*host)):
        assert twin == host
        assert hash(twin) == hash(host)
        assert type(twin) is Host
    assert type(pickle.loads(pickle.dumps(host, 2))) is Host
    assert {host: 1}[copy.deepcopy(host)] == 1
    assert host._replace(source="other") != host


@given(hosts)
def test_everything_is_found_by_its_id_and_nothing_else_is(host: Host) -> None:
    """Lookups return the very object, and a negative id must not count from the end as an index would."""
    for cell in host.cells:
        assert host.cell(cell.id) is cell
        for other in host.cells:
            assert host.distance(cell.id, other.id) == (
                None if cell.distances is None else dict(cell.distances)[other.id]
            )
    for cpu_ in host.cpus:
        assert host.cpu(cpu_.id) is cpu_
    for wrong in (-1, 5001, 10**9):
        for look_up in (host.cell, host.cpu, lambda wrong: host.distance(wrong, wrong)):
            with pytest.raises(KeyError, match=str(wrong)):
                look_up(wrong)
        for cell in host.cells:
            with pytest.raises(KeyError):
                host.distance(cell.id, wrong)


@given(hosts)
def test_the_documents_of_any_host_are_of_their_schemas(host: Host) -> None:
    """The published schemas judge documents of generated hosts, with every field present or None."""
    document = host.to_dict()
    schemas.check("show", document)
    schemas.check("free", free_document(host, 1.5))
    assert json.loads(json.dumps(document)) == document, "built-in types only"
    assert ("span" in str(document["cells"])) == (host.hypervisor is not None and bool(host.cells))


@given(hosts)
def test_sums_are_known_where_every_part_is(host: Host) -> None:
    """A total that skipped unknown cells would look like a smaller host."""
    found = free_document(host, None)["total"]["memory"]
    for name in ("total", "free", "available", "allocated"):
        parts = [getattr(cell.memory, name) for cell in host.cells]
        assert found[name] == (None if not parts or None in parts else sum(parts))
    assert total([]) is None
    assert total([0, 0]) == 0
    assert total([1, None]) is None


@given(size, size)
def test_allocated_is_total_less_free_or_unknown(whole: int | None, free: int | None) -> None:
    """An unknown operand makes the difference unknown and never equal to the other one."""
    found = Memory(whole, free, None, None, None, None, None, None).allocated
    assert found == (None if whole is None or free is None else whole - free)


# --- errors ----------------------------------------------------------------------------------------------------

ERRORS = [
    errors.NumaprobeError("x"),
    errors.SourceError("sys/x", 13),
    errors.SourceError("sys/x"),
    errors.SourceUnavailable("/none", 2),
    errors.SourceUnavailable("xen", None, "not running under Xen"),
    errors.SourceDenied("/dev/xen/privcmd", 13),
    errors.SourceDenied("/dev/xen/privcmd", 1, "only root may"),
    errors.InterfaceMismatch("sysctl", 13, None, (21, 20)),
    errors.FactError("sys/x", b"\xff\x1b[31m\n", "not a list"),
    errors.FactError("sys/x", "y" * 500),
    errors.FactError("sys/x\x1b\n", reason="none"),
    errors.RecordingError("x.tar: damaged"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_survives_pickling_and_is_one_printable_line(error: Exception) -> None:
    """Errors cross process pools; foreign text in them must not control a terminal."""
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
    assert str(error).isprintable()
    assert isinstance(error, numaprobe.NumaprobeError)


def test_errors_are_the_built_in_ones_too() -> None:
    """Callers may catch PermissionError or ValueError without importing numaprobe's names."""
    denied = errors.SourceDenied("/x", 13)
    assert isinstance(denied, PermissionError)
    assert (denied.where, denied.errno, str(denied)) == ("/x", 13, "/x: Permission denied")
    assert isinstance(errors.FactError("x"), ValueError)
    assert not isinstance(errors.RecordingError("x"), (ValueError, OSError))


def test_the_tree_of_errors_is_the_documented_one() -> None:
    """Programs catch by base class, so moving one error would break their handlers."""
    assert errors.SourceUnavailable.__bases__ == (errors.SourceError,)
    assert errors.InterfaceMismatch.__bases__ == (errors.SourceError,)
    assert {errors.SourceError, errors.FactError, errors.RecordingError, errors.DoesNotFit} <= set(
        errors.NumaprobeError.__subclasses__()
    )


def test_a_fact_error_shows_little_of_a_long_text_at_once() -> None:
    """A file of 50 MB of NULs is quoted by its start, without a copy of the rest."""
    error = errors.FactError("sys/x", b"\0" * 50_000_000 + b"x" * 1000)
    assert len(str(error)) < 150


# --- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["", "Linux", "hwloc", None, 3])
def test_another_source_is_a_value_error(source: Any) -> None:
    """The message lists the three that exist, and letter case counts."""
    with pytest.raises(ValueError, match="auto, linux, xen"):
        numaprobe.probe(source=source)


def test_a_root_and_a_recording_at_once_are_a_value_error(tmp_path: Any) -> None:
    """Neither may win silently, since the caller would not know which host was read."""
    with pytest.raises(ValueError, match="cannot be combined"):
        numaprobe.probe(tmp_path, recording=tmp_path / "x.tar")


def test_distances_are_found_by_id_and_not_by_position() -> None:
    """Ids may be sparse: the second entry is not that of cell 1."""
    cell = numaprobe.Cell(id=3, distances=((0, 21), (3, 10), (8, None)))
    assert [cell.distance_to(other) for other in (0, 3, 8)] == [21, 10, None]
    with pytest.raises(KeyError, match="no distance to cell 1"):
        cell.distance_to(1)
    assert numaprobe.Cell(id=3).distance_to(1) is None
