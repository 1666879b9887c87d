"""Failed pages and memory blocks of each node, and initiators that are no cpus."""

from __future__ import annotations

import json

import pytest
from commands import Plant, run
from rich import rich
from schemas import check
from trees import NODE, Machine, Shelf, machine

from numaprobe import Host, MemoryBlocks, MemoryFailures
from numaprobe.linux.collect import collect
from numaprobe.normalise.linux import from_linux

BLOCKS = "sys/devices/system/memory"


def host(tree: Machine) -> Host:
    return from_linux(collect(Shelf({**machine({0: [0], 1: [1]}), **tree}), memory_state=True))


def blocks(node: int, *states: tuple[str, str]) -> Machine:
    tree: Machine = {f"{BLOCKS}/block_size_bytes": "8000000\n"}
    for number, (state, zones) in enumerate(states, 10 * node):
        tree[f"{NODE}/node{node}/memory{number}/state"] = f"{state}\n"
        tree[f"{BLOCKS}/memory{number}/state"] = f"{state}\n"
        tree[f"{BLOCKS}/memory{number}/valid_zones"] = f"{zones}\n"
    return tree


def test_blocks_are_counted_by_their_state_and_zone() -> None:
    """For a block that is offline, valid_zones lists the zones it could join."""
    found = host(
        blocks(1, ("online", "Normal"), ("online", "Movable"), ("online", "DMA32"), ("offline", "Movable Normal"))
    )
    assert found.cell(1).blocks == MemoryBlocks(size=128 << 20, total=4, online=3, movable=1)
    assert found.cell(0).blocks is None


def test_a_state_that_cannot_be_read_leaves_the_count_alone() -> None:
    """How many blocks there are is known; how many of them are online would be too low."""
    tree = blocks(1, ("online", "Normal"), ("online", "Movable"))
    del tree[f"{BLOCKS}/memory11/state"]
    assert host(tree).cell(1).blocks == MemoryBlocks(size=128 << 20, total=2)


def test_failed_pages_are_those_of_the_kernel() -> None:
    """Uncorrectable errors since Linux 6.3; a node without the directory has None and not 0 errors."""
    tree: Machine = {f"{NODE}/node0/memory_failure/{name}": f"{n}\n" for name, n in (("total", 4), ("failed", 1))}
    assert host(tree).cell(0).failures == MemoryFailures(total=4, failed=1)
    assert host(tree).cell(1).failures is None


def test_a_part_above_its_whole_is_noted_and_unknown() -> None:
    """5 failed of 4 in all: the total is kept, and the part is not trusted."""
    tree: Machine = {f"{NODE}/node0/memory_failure/{name}": f"{n}\n" for name, n in (("total", 4), ("failed", 5))}
    found = host(tree)
    assert found.cell(0).failures == MemoryFailures(total=4)
    assert any("memory_failure/failed" in note.where for note in found.notes)


def test_they_are_read_only_on_request() -> None:
    """A large host has thousands of blocks, each a file, which a plain probe must not pay for."""
    shelf = Shelf({**machine({0: [0]}), **blocks(0, ("online", "Normal"))})
    (cell,) = from_linux(collect(shelf)).cells
    assert (cell.failures, cell.blocks, cell.generic_initiator) == (None, None, None)
    assert not [path for path in shelf.opened if "memory_failure" in path or BLOCKS in path or "generic" in path]


def test_the_screen_and_the_document_have_them(plant: Plant) -> None:
    """End to end on a host with every field, down to CXL's extended-linear cache; without the option none is shown."""
    root = plant(rich())
    shown = run("show", "--memory-state", "--root", root).stdout
    assert "cell 1: 2 memory blocks of 2.0 GiB, 2 online, 1 movable, 9 pages with memory errors" in shown
    document = json.loads(run("show", "--memory-state", "--json", "--root", root).stdout)
    check("show", document)
    assert document["cells"][1]["failures"]["recovered"] == 5
    assert [cell["generic_initiator"] for cell in document["cells"]] == [False, True, True]
    assert document["cells"][2]["side_caches"][0]["address_mode"] == "extended-linear"
    assert "blocks" not in json.loads(run("show", "--json", "--root", root).stdout)["cells"][1]


@pytest.mark.parametrize("text", ["", "\n", "-1", "0 bytes", "f" * 15])
@pytest.mark.parametrize("name", ["block_size_bytes", "memory10/state", "memory10/valid_zones"])
def test_a_broken_file_of_a_block_is_no_count_of_blocks(name: str, text: str) -> None:
    """A block whose state is junk is neither online nor offline."""
    whole = host(blocks(1, ("online", "Movable"))).cell(1).blocks
    assert whole is not None
    found = host({**blocks(1, ("online", "Movable")), f"{BLOCKS}/{name}": text})
    lost = {"block_size_bytes": {"size": None}, "memory10/valid_zones": {"movable": None}}
    assert found.cell(1).blocks == whole._replace(**lost.get(name, {"online": None, "movable": None}))
    assert [note.where for note in found.notes] == [f"{BLOCKS}/{name}"]


def test_no_more_pages_fail_than_there_are() -> None:
    """A count of 2^40 pages exceeds the node's memory, so it is unknown and quoted."""
    found = host({f"{NODE}/node0/memory_failure/total": f"{1 << 40}\n"})
    assert found.cell(0).failures == MemoryFailures()
    assert any("impossible" in note.text for note in found.notes)
