"""Each file of a rich machine is spoiled in turn: the host is never lost, the oddity is noted, nothing impossible is told.

Only the list of online cpus is worth an error, and only if nothing else says it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich import rich
from trees import NODE, Shelf

from numaprobe import Host
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux

FILES = sorted(path for path, content in rich().items() if content)
JUNK = {"junk": "#!?\n", "empty": "", "minus one": "-1\n", "all ones": "18446744073709551615\n"}
# -1 is how the kernel says that there is no such id, and a limit that is none.
MINUS_ONE = ("_id", "numa_node", "target_node", "physical_package_id", "numa_status")
BYTES = 1 << 56


def figures(value: object) -> Iterator[int]:
    """Every number in a host."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from figures(item)


def is_possible(found: Host) -> bool:
    """No figure is negative or larger than its whole."""
    for cell in found.cells:
        memory = cell.memory
        for part in (memory.free, memory.available):
            if part is not None and memory.total is not None and part > memory.total:
                return False
        for pages in cell.huge_pages:
            for part in (pages.free, pages.surplus):
                if part is not None and pages.total is not None and part > pages.total:
                    return False
    return all(0 <= figure < BYTES for figure in figures(tuple(found)))


@pytest.mark.parametrize("kind", JUNK)
@pytest.mark.parametrize("path", FILES)
def test_one_spoiled_file_costs_its_figure_and_leaves_a_note(path: str, kind: str) -> None:
    """Every file of the machine that is read, with junk, nothing, -1 and 2^64-1 in it."""
    whole = from_linux(linux.collect(Shelf(rich()), devices=True, allowed=True))
    shelf = Shelf({**rich(), path: JUNK[kind]})
    found = from_linux(linux.collect(shelf, devices=True, allowed=True))
    assert [cell.id for cell in found.cells] == [cell.id for cell in whole.cells]
    assert [cell.cpus for cell in found.cells] == [cell.cpus for cell in whole.cells]
    assert [(cpu.id, cpu.online) for cpu in found.cpus] == [(cpu.id, cpu.online) for cpu in whole.cpus]
    assert is_possible(found)
    if path not in shelf.opened:
        assert found == whole
    elif not (kind == "minus one" and path.endswith(MINUS_ONE)):
        assert found.notes


def test_the_machine_is_rich() -> None:
    """At least 50 kinds of files are read, each of which is spoiled."""
    kinds = {"".join("N" if c.isdigit() else c for c in path) for path in FILES}
    assert len(kinds) >= 50
    assert f"{NODE}/node0/meminfo" in FILES
