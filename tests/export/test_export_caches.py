"""Caches in the formats of other programs."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import pytest
from hosts import GIB, host

from numaprobe import Cache, Host, export
from numaprobe.cli.show import caches as shown


def with_caches(*caches: Cache, **wishes: int) -> Host:
    """Two cells of four cpus, cores of two threads."""
    plain = host([GIB, GIB], cpus=4, **wishes)  # type: ignore[arg-type]
    cpus = tuple(cpu._replace(package=cpu.cell, core=cpu.id // 2) for cpu in plain.cpus)
    return plain._replace(cpus=cpus, caches=caches)


def unified(level: int, *cpus: int, size: int | None = 8 << 20, number: int | None = 0) -> Cache:
    return Cache(level=level, type="unified", size=size, id=number, cpus=cpus)


def path_to(topology: str, kind: str, cpus: str) -> list[str | None]:
    """Types of the objects from the machine down to the one of a kind with these cpus."""

    def walk(element: ElementTree.Element, above: list[str | None]) -> list[str | None]:
        here = [*above, element.get("type")]
        if element.get("type") == kind and element.get("cpuset") == cpus:
            return here
        return next((found for child in element.findall("object") if (found := walk(child, here))), [])

    root = ElementTree.fromstring(topology).find("object")
    assert root is not None
    return walk(root, [])


def test_hwloc_nests_a_cache_between_package_and_core() -> None:
    """The tree's order is the order of inclusion: L3 of four CPUs, then L2 of two."""
    known = with_caches(unified(3, 0, 1, 2, 3), unified(2, 0, 1))
    assert path_to(export.hwloc(known), "Core", "0x00000003") == ["Machine", "Package", "L3Cache", "L2Cache", "Core"]


def test_hwloc_puts_instruction_caches_inside_those_of_data() -> None:
    """Both have the same CPUs, so only hwloc's own convention decides which is outside."""
    data = Cache(level=1, type="data", size=32768, id=0, cpus=(0, 1))
    known = with_caches(data, data._replace(type="instruction"))
    assert path_to(export.hwloc(known), "Core", "0x00000003")[-3:] == ["L1Cache", "L1iCache", "Core"]


def test_hwloc_keeps_a_core_whose_threads_have_caches_of_their_own() -> None:
    """Some hypervisors present such guests, and a core that cannot nest must not be lost."""
    known = with_caches(*(unified(1, cpu) for cpu in range(8)))
    assert path_to(export.hwloc(known), "L1Cache", "0x00000001")[-2:] == ["Core", "L1Cache"]


@pytest.mark.parametrize("crossing", [(1, 2), (3, 4)])
def test_hwloc_gets_no_cache_that_crosses_a_core_or_a_cell(crossing: tuple[int, int]) -> None:
    """One inconsistent cache would break the nesting, so it alone is left out."""
    assert "L2Cache" not in export.hwloc(with_caches(unified(2, *crossing), unified(3, 0, 1, 2, 3)))


def test_hwloc_has_the_line_and_the_ways_of_a_cache() -> None:
    """In hwloc's format 0 stands for what is unknown."""
    text = export.hwloc(with_caches(unified(3, 0, 1, 2, 3)._replace(line_size=64, ways=16), unified(3, 4, 5, 6, 7)))
    assert 'cache_linesize="64" cache_associativity="16"' in text
    assert 'cache_linesize="0" cache_associativity="0"' in text


def test_hwloc_hangs_a_cell_on_the_cache_that_has_its_cpus() -> None:
    """Two cells in one package, each behind a cache of its own, need no group objects."""
    known = with_caches(unified(3, 0, 1, 2, 3), unified(3, 4, 5, 6, 7))
    known = known._replace(cpus=tuple(cpu._replace(package=0) for cpu in known.cpus))
    text = export.hwloc(known)
    assert "Group" not in text
    assert path_to(text, "NUMANode", "0x0000000f") == ["Machine", "Package", "L3Cache", "NUMANode"]


def test_libvirt_has_the_banks_from_level_3_on() -> None:
    """One without an id is left out: the schema has no word for it."""
    known = with_caches(
        unified(2, 0, 1),
        unified(3, 0, 1, 2, 3, size=1536 << 10, number=7),
        unified(3, 4, 5, number=None),
        unified(3, 6, 7, size=None),
    )
    assert [line.strip() for line in export.libvirt(known).splitlines() if "bank" in line] == [
        "<bank id='7' level='3' type='both' size='1536' unit='KiB' cpus='0-3'/>"
    ]
    assert "<cache>" not in export.libvirt(with_caches(unified(2, 0, 1)))


def test_lscpu_has_a_column_for_each_kind_and_nothing_where_there_is_none() -> None:
    """Caches are numbered by the kernel's ids where it gives them, otherwise in the order of CPUs."""
    instruction = Cache(level=1, type="instruction", size=None, id=None, cpus=(0, 1))
    known = with_caches(instruction, instruction._replace(cpus=(2, 3)), unified(3, 0, 1, 2, 3, number=9))
    lines = export.lscpu(known).splitlines()
    assert lines[1] == "# CPU,Core,Socket,Node,,L1i,L3"
    assert [line.split(",")[4:] for line in lines[2:7:2]] == [["", "0", "9"], ["", "1", "9"], ["", "", ""]]


def test_show_counts_caches_by_kind_and_size() -> None:
    """Hybrid processors have L2 caches of two sizes on one line; an unknown size is a dash."""
    known = with_caches(unified(2, 0, 1, size=1280 << 10), unified(2, 2, 3, size=2 << 20), unified(3, 0, size=None))
    assert shown(known) == ["      caches: L2 1 x 1.2 MiB + 1 x 2 MiB · L3 1 x -"]
    assert shown(host([GIB])) == []


def test_a_host_keeps_its_caches_in_json() -> None:
    """The document has null where caches were not requested and not an empty list."""
    known = with_caches(unified(3, 0, 1))
    geometry = {"line_size": None, "ways": None, "sets": None}
    cache = {"level": 3, "type": "unified", "size": 8 << 20, "id": 0, "cpus": [0, 1], **geometry}
    assert known.to_dict()["caches"] == [cache]
    assert host([GIB]).to_dict()["caches"] is None
    assert io.StringIO(export.json(known)).read().count('"caches"') == 1
