"""What a value of the model needs, and what the fields that a source lacks are."""

from __future__ import annotations

from typing import Any

import pytest
from hosts import cell, host, made

import numaprobe
from numaprobe import Affinity, Cache, CellUse, Domain, Domains, Memory, Note
from numaprobe.model import domains, traffic, usable
from numaprobe.model import host as model
from numaprobe.model.documents import domains_document, free_document
from numaprobe.model.host_document import usable_document
from numaprobe.model.traffic import Traffic, TrafficReading, traffic_document
from numaprobe.model.usable import Usable, UsablePages

# The fields that have to be given, and those that are not None where they are left out.
NEEDED: dict[str, tuple[str, dict[str, Any]]] = {
    "Note": ("where text", {}),
    "Memory": ("", {}),
    "HugePages": ("size", {}),
    "Access": ("level initiators", {}),
    "SideCache": ("level", {}),
    "Cache": ("level type size id cpus", {}),
    "Device": ("address", {"names": ()}),
    "Cell": (
        "id",
        {"memory": (None,) * 9, "huge_pages": (), "accesses": (), "side_caches": (), "stand_in": False},
    ),
    "Cpu": ("id", {}),
    "Hypervisor": ("name version", {}),
    "Allowed": ("", {"where": ()}),
    "Host": ("source hypervisor cells cpus", {"notes": ()}),
    "Affinity": ("", {}),
    "Vcpu": ("id", {}),
    "GuestCell": ("id", {}),
    "RemoteShare": ("source", {"how": "unknown"}),
    "PlacementSample": ("pages confidence margins", {}),
    "Domain": ("id kind", {"how": "unknown", "affinity": (None, None)}),
    "CellUse": ("id", {"pooled": 0, "domains": ()}),
    "UsablePages": ("size", {}),
    "Usable": ("", {"pages": ()}),
    "MemoryFailures": ("", {}),
    "MemoryBlocks": ("", {}),
    "Traffic": ("group cache", {}),
    "TrafficReading": ("time", {"traffic": (), "notes": ()}),
}
KINDS: dict[str, Any] = {
    kind.__name__: kind
    for module in (model, domains, usable, traffic)
    for kind in vars(module).values()
    if isinstance(kind, type) and hasattr(kind, "_fields") and kind.__module__ == module.__name__
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_left_out_is_unknown_or_empty(name: str) -> None:
    """The table is the promise to who builds values: a field may be added behind, and none may become required."""
    kind, (needed, known) = KINDS[name], NEEDED[name]
    value = kind(*range(len(needed.split())))
    for place, field in enumerate(kind._fields):
        expected = place if field in needed.split() else known.get(field)
        assert getattr(value, field) == expected, field
    if needed:
        with pytest.raises(TypeError):
            kind(*range(len(needed.split()) - 1))


@pytest.mark.parametrize("values", [(None, 3), (3, None), (None, None), (5, 3), (3, 3)])
def test_memory_in_use_is_known_where_both_figures_are(values: tuple[int | None, int | None]) -> None:
    """Of a cell, and of a cell with what domains hold of it."""
    whole, free = values
    expected = None if whole is None or free is None else whole - free
    assert Memory(total=whole, free=free).allocated == expected
    assert CellUse(1, total=whole, free=free).allocated == expected


def test_a_list_of_domains_is_complete_unless_it_is_said_not_to_be() -> None:
    """The document has the flag and the notes of the tuple, and a plain list is all there are."""
    machine, note = host([1]), Note("/proc/7", "unreadable")
    guest = Domain(7, "qemu")
    assert (Domains([guest]).complete, Domains([guest]).notes) == (True, ())
    part = Domains([guest], complete=False, notes=[note])
    assert (part, part.complete, part.notes) == ((guest,), False, (note,))
    documents = [domains_document(machine, known, (), None) for known in ([guest], part)]
    assert [(one["complete"], one["notes"], len(one["domains"])) for one in documents] == [
        (True, [], 1),
        (False, [{"where": "/proc/7", "text": "unreadable"}], 1),
    ]


def test_a_domain_has_its_bytes_by_cell() -> None:
    """None where its placement is unknown, an error for a cell that the host does not have."""
    guest = Domain(7, "qemu", cells=((0, 5), (3, 0)), affinity=Affinity((1,), None))
    assert (guest.on(0), guest.on(3), Domain(7, "qemu").on(1)) == (5, 0, None)
    with pytest.raises(KeyError, match="no cell 1"):
        guest.on(1)


def test_the_last_level_cache_is_the_last_that_is_not_for_instructions() -> None:
    """Caches are listed by level, and the ones of other CPUs are passed over."""
    caches = [
        made(Cache, level=level, type=kind, cpus=cpus)
        for level, kind, cpus in (
            (1, "data", (0,)),
            (1, "data", (1,)),
            (1, "instruction", (0,)),
            (2, None, (0, 1)),
            (3, "instruction", (0, 1, 2)),
        )
    ]
    machine = host([1], cpus=4)._replace(caches=tuple(caches))
    assert machine.last_level_cache(0) == machine.last_level_cache(1) == caches[3]
    assert machine.last_level_cache(2) is None
    assert machine._replace(caches=tuple(caches[:3])).last_level_cache(0) == caches[0]
    with pytest.raises(KeyError, match="no cpu 4"):
        machine.last_level_cache(4)


def test_what_memory_can_be_used_for_is_in_the_documents_where_it_was_requested() -> None:
    """With its huge pages by field; a cell that was not asked has no such key."""
    known = Usable(ordinary=5, pages=(UsablePages(2 << 20, pool=1),))
    document = {
        "ordinary": 5,
        "pinned": None,
        "me": None,
        "pages": [{"size": 2 << 20, "pool": 1, "now": None, "at_most": None, "how": None}],
        "ordinary_from": None,
        "pinned_from": None,
        "me_from": None,
    }
    assert usable_document(known) == document
    one, other = cell(0, 8, ())._replace(usable=known), cell(1, 8, ())
    machine = host([8])._replace(cells=(one, other))
    for cells in (machine.to_dict()["cells"], free_document(machine, None)["cells"]):
        assert (cells[0]["usable"], "usable" in cells[1]) == (document, False)


def reading(time: float | None, *rows: Traffic) -> TrafficReading:
    return TrafficReading(time, rows)


def test_rates_of_traffic_are_of_what_is_in_both_readings() -> None:
    """A counter that went back is unknown, one that stood still is 0, and the occupancy is the later one."""
    before = reading(10.0, Traffic("a", 0, None, 7, 100, 50), Traffic("b", 0, None, 7, 100, 100))
    after = reading(
        14.0, Traffic("a", 0, None, 9, 500, 50), Traffic("b", 0, None, 9, 99, None), Traffic("a", 1, None, 9, 5, 5)
    )
    assert after.since(before) == (Traffic("a", 0, None, 9, 100.0, 0.0), Traffic("b", 0, None, 9, None, None))


@pytest.mark.parametrize(("before", "after"), [(None, 1.0), (1.0, None), (1.0, 1.0), (2.0, 1.0)])
def test_rates_need_two_moments_in_order(before: float | None, after: float | None) -> None:
    """The same moment twice would divide by zero."""
    with pytest.raises(ValueError, match="two readings with a time"):
        reading(after).since(reading(before))


def test_traffic_is_a_document_of_its_rows_and_notes() -> None:
    """To the letter, with the seconds that the rates are of."""
    rows, notes = (Traffic("a", 1, 2, 3, 4.0, 5.0),), (Note("mon_data", "unreadable"),)
    assert traffic_document(rows, 0.5, notes) == {
        "schema": "numaprobe/1",
        "seconds": 0.5,
        "traffic": [{"group": "a", "cache": 1, "cell": 2, "occupancy": 3, "total": 4.0, "local": 5.0}],
        "notes": [{"where": "mon_data", "text": "unreadable"}],
    }


def test_the_values_are_the_public_ones() -> None:
    """Guards the table above against a class that is no longer found."""
    assert set(NEEDED) == set(KINDS)
    assert numaprobe.Cell is KINDS["Cell"]
