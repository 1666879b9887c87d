"""Exports of hosts that nobody has seen: what has to hold whatever the source said."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hosts import made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judges import program, relax_ng, said

from numaprobe import Cell, Cpu, Host, HugePages, Memory, SideCache, export

ids = st.integers(0, 70)
maybe = st.none() | st.integers(0, 3)


@st.composite
def hosts(draw: st.DrawFn, cpus_at_least: int = 1) -> Host:
    """Sparse ids, cells that overlap, are empty or unknown, packages that cross them, cpus offline or nowhere."""
    numbers = sorted(draw(st.sets(ids, min_size=cpus_at_least, max_size=10)))
    cell_ids = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=4)))
    offline = draw(st.sets(st.sampled_from(numbers), max_size=len(numbers) - 1)) if len(numbers) > 1 else set()
    online = [number for number in numbers if number not in offline]
    cells = []
    for number in cell_ids:
        members = draw(st.none() | st.sets(st.sampled_from(online))) if online else draw(st.sampled_from((None, ())))
        row = draw(st.none() | st.tuples(*(st.none() | st.integers(0, 300) for _ in cell_ids)))
        size = draw(st.none() | st.integers(0, 1 << 50))
        pages = draw(st.none() | st.integers(0, 1 << 20))
        cells.append(
            made(
                Cell,
                id=number,
                cpus=None if members is None else tuple(sorted(members)),
                memory=made(Memory, total=size, free=size),
                huge_pages=(HugePages(2 << 20, pages, pages, None),),
                distances=None if row is None else tuple(zip(cell_ids, row, strict=True)),
                accesses=(),
                side_caches=draw(st.just(()) | st.just((SideCache(1, 4096, 64, "direct", "write-back"),))),
            )
        )
    claims = {n: [cell.id for cell in cells if n in (cell.cpus or ())] for n in numbers}
    cpus = []
    for number in numbers:
        siblings = draw(st.none() | st.sets(st.sampled_from(online), max_size=2)) if online else None
        cpus.append(
            made(
                Cpu,
                id=number,
                online=number not in offline,
                cell=draw(st.none() | st.sampled_from(cell_ids))
                if number in offline
                else claims[number][0]
                if len(claims[number]) == 1
                else None,
                package=draw(maybe),
                die=draw(maybe),
                cluster=draw(maybe),
                core=draw(maybe),
                siblings=None if siblings is None or number in offline else tuple(sorted(siblings | {number})),
                kind=draw(st.sampled_from((None, "core", "atom"))),
            )
        )
    return made(Host, source="linux", cells=tuple(cells), cpus=tuple(cpus), notes=(), machine="x86_64")


def bits(text: str | None) -> int:
    """A bitmap as hwloc writes it."""
    value = 0
    for word in (text or "0x0").split(","):
        value = value << 32 | int(word or "0", 16)
    return value


# What an object of a kind is never inside of.
NEVER_IN = {
    "Package": {"Package", "Die", "Core"},
    "Die": {"Die", "Core"},
    "Group": {"Core"},
    "Core": {"Core"},
    "Machine": {"Machine"},
}


def check(element: ElementTree.Element, seen: list[tuple[str, str | None]], around: tuple[str, ...] = ()) -> None:
    kind = element.get("type", "")
    assert NEVER_IN.get(kind, set()).isdisjoint(around), f"{kind} in {around}"
    cpus, whole = bits(element.get("cpuset")), bits(element.get("complete_cpuset"))
    assert cpus & ~whole == 0
    children = element.findall("object")
    memory = ("NUMANode", "MemCache")
    normal = [child for child in children if child.get("type") not in memory]
    together = everyone = 0
    firsts = [bits(child.get("complete_cpuset")) & -bits(child.get("complete_cpuset")) for child in normal]
    assert firsts == sorted(firsts)
    for child in normal:
        assert bits(child.get("complete_cpuset")) & everyone == 0, "nor an offline one"
        everyone |= bits(child.get("complete_cpuset"))
        assert bits(child.get("cpuset")) & together == 0, "children have no cpu in common"
        together |= bits(child.get("cpuset"))
        assert bits(child.get("complete_cpuset")) & ~whole == 0
        assert bits(child.get("nodeset")) & ~bits(element.get("nodeset")) == 0
    if element.get("type") not in ("PU", *memory):
        assert together == cpus, "children have all cpus"
    for child in children:
        if child.get("type") in memory:
            assert child.get("cpuset") == element.get("cpuset")
        check(child, seen, (*around, kind))
    seen.append((element.get("type", ""), element.get("os_index")))


@settings(max_examples=60)
@given(hosts())
def test_hwlocs_objects_nest_and_nothing_is_lost(host: Host) -> None:
    """Children share no cpu and have all of their parent's; every cell and every online cpu is there once."""
    root = ElementTree.fromstring(export.hwloc(host)).find("object")
    assert root is not None
    seen: list[tuple[str, str | None]] = []
    check(root, seen)
    assert sorted(int(n or -1) for kind, n in seen if kind == "NUMANode") == [cell.id for cell in host.cells]
    assert sorted(int(n or -1) for kind, n in seen if kind == "PU") == [cpu.id for cpu in host.cpus if cpu.online]


@settings(max_examples=40)
@given(hosts())
def test_a_cell_is_local_to_its_own_cpus(host: Host) -> None:
    """The object that memory hangs on has every cpu of the cell."""
    root = ElementTree.fromstring(export.hwloc(host))
    for node in root.iter("object"):
        if node.get("type") == "NUMANode":
            cell = host.cell(int(node.get("os_index", -1)))
            assert sum(1 << cpu for cpu in cell.cpus or ()) & ~bits(node.get("cpuset")) == 0


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.large_base_example])
@given(st.lists(hosts(), min_size=12, max_size=12))
def test_libvirts_schema_takes_any_host(tmp_path: Path, batch: list[Host]) -> None:
    """The judge is xmllint with libvirt's RELAX NG schema, on hosts that hypothesis makes up."""
    texts = {str(number): export.libvirt(host) for number, host in enumerate(batch)}
    assert relax_ng(9, tmp_path, texts) == set()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hosts())
def test_hwloc_reads_any_host_without_a_word(tmp_path: Path, host: Host) -> None:
    """The judge is lstopo in verbose mode with its consistency checks on: status 0 and an empty stderr."""
    lstopo = program("lstopo-no-graphics", "hwloc-nox")
    (tmp_path / "x.xml").write_text(export.hwloc(host))
    loud = {"HWLOC_XML_VERBOSE": "1", "HWLOC_DEBUG_CHECK": "1", "LC_ALL": "C"}
    done = said(lstopo, "-i", tmp_path / "x.xml", "--of", "console", env=loud)
    assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=50)
@given(hosts(cpus_at_least=0))
def test_the_others_write_any_host(host: Host) -> None:
    """JSON can be read back, lscpu has a line for each CPU, and a host without CPUs is refused in words."""
    zones = json.loads(export.nrt(host))["zones"]
    assert [zone["name"] for zone in zones] == [f"node-{cell.id}" for cell in host.cells]
    rows = [line for line in export.lscpu(host).splitlines() if not line.startswith("#")]
    assert [int(row.split(",")[0]) for row in rows] == [cpu.id for cpu in host.cpus if cpu.online]
    if rows:
        assert export.slurm(host).startswith(f"NodeName=DEFAULT CPUs={len(rows)} ")
    else:
        with pytest.raises(ValueError, match="CPUs are unknown"):
            export.slurm(host)
