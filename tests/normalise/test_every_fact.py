"""A fact that is read, kept, documented and then forgotten on the way is noticed: a rich machine fills every field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich import rich
from trees import Shelf

from numaprobe import Traffic, TrafficReading
from numaprobe.linux import collect as linux
from numaprobe.linux.facts import LinuxFacts
from numaprobe.linux.resctrl import collect
from numaprobe.linux.source import Source
from numaprobe.normalise.linux import from_linux

FIELDS = Path(__file__).parents[2] / "docs" / "fields.md"
# What contradicts the rest of a rich machine: it has nodes, and each of them says itself what it has.
FACTS_ELSEWHERE = {"LinuxFacts.huge_pages", "LinuxFacts.has_cpu", "LinuxFacts.has_memory"}
FIELDS_ELSEWHERE = {"Host.machine", "Host.notes", "Cell.stand_in", "TrafficReading.notes"}


def rich_facts() -> LinuxFacts:
    return linux.collect(Shelf(rich()), devices=True, allowed=True, caches=True, usable=True, memory_state=True)


def reading() -> TrafficReading:
    """One of every counter of resctrl, by sub-NUMA cell and in a group."""
    base = "sys/fs/resctrl/mon_groups/vm1/mon_data/mon_L3_00/mon_sub_L3_01"
    names = ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes")
    source = Source(Shelf({f"{base}/{name}": "1\n" for name in names}))
    rows = collect(source)
    assert rows is not None
    found = TrafficReading(time=1, traffic=tuple([Traffic._make(row) for row in rows]), notes=())
    return found._replace(earlier=found._replace(time=0))


def values(value: object) -> Iterator[tuple[str, object]]:
    """Every field of every named tuple in a value, as ``Type.field``, with what it holds."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        for name, held in zip(value._fields, value, strict=True):
            yield f"{type(value).__name__}.{name}", held
            yield from values(held)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from values(item)


def filled(value: object) -> set[str]:
    return {name for name, held in values(value) if held is not None and held not in ((), {})}


def documented() -> set[str]:
    """Fields that ``fields.md`` gives a Linux source for."""
    heading = ""
    found = set()
    for line in FIELDS.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| `"):
            cells = line.split("|")
            if cells[2].strip() not in ("-", "true for the one cell of a kernel without `node` directory"):
                found.add(f"{heading}.{line.split('`')[1]}")
    return found


def test_every_documented_field_of_linux_is_filled_by_a_rich_machine() -> None:
    """A field that normalising forgets to set is None on every machine; this one has everything."""
    known = filled(from_linux(rich_facts())) | filled(reading())
    missing = documented() - known - FIELDS_ELSEWHERE
    assert {name for name in missing if not name.startswith(("Note.", "Hypervisor."))} == set()


def test_every_fact_of_linux_is_filled_by_a_rich_machine() -> None:
    """A fact that the reader forgets to set is None on every machine."""
    facts = rich_facts()
    missing = {name for name, _ in values(facts)} - filled(facts) - FACTS_ELSEWHERE
    assert missing == {"LinuxFacts.notes"}


def test_a_rich_machine_has_nothing_odd() -> None:
    """What follows spoils one file at a time, which must be the only thing that is noted."""
    assert from_linux(rich_facts()).notes == ()


@pytest.mark.parametrize("name", sorted(FACTS_ELSEWHERE))
def test_what_a_rich_machine_cannot_have_exists(name: str) -> None:
    """An exception for a field that was renamed would hide one that is forgotten."""
    kind, _, field = name.partition(".")
    assert kind == "LinuxFacts"
    assert field in LinuxFacts._fields
