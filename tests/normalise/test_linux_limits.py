"""Figures of Linux at the edge of what can be: taken there, and noted beyond."""

from __future__ import annotations

import pytest
from collected import host, texts
from trees import NODE, Machine, machine, meminfo

SIZE = "hugepages/hugepages-2048kB"
SYSTEM = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


def pages(**counts: int) -> Machine:
    """The counts of a node of 16 MiB."""
    tree = machine({0: [0]}, memory_kb=16 << 10)
    tree[SYSTEM] = "0\n"
    return tree | {f"{NODE}/node0/{SIZE}/{name}_hugepages": f"{count}\n" for name, count in counts.items()}


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"nr": 8, "free": 8, "surplus": 8}, (8, 8, 8)),
        ({"nr": 4, "free": 4, "surplus": 0}, (4, 4, 0)),
        ({"nr": 4, "free": 5, "surplus": 1}, (4, None, 1)),
        ({"nr": 4, "free": 0, "surplus": 5}, (4, 0, None)),
        ({"nr": 9, "free": 1, "surplus": 0}, (None, 1, 0)),
        ({"free": 100, "surplus": 7}, (None, 100, 7)),
    ],
)
def test_a_part_of_the_huge_pages_is_no_larger_than_the_whole(
    counts: dict[str, int], found: tuple[int | None, ...]
) -> None:
    """Nor the whole than the memory; a part of an unknown whole is taken."""
    model = host(pages(**counts))
    (row,) = model.cells[0].huge_pages
    assert (row.total, row.free, row.surplus) == found
    assert len([note for note in model.notes if "hugepages" in note.where]) == (None in found and "nr" in counts)


@pytest.mark.parametrize(("over", "noted"), [(0, False), (1, True)])
def test_the_nodes_add_up_to_the_machine_but_for_what_a_balloon_moves_meanwhile(over: int, noted: bool) -> None:
    """16 MiB in either direction are tolerated, and one kB more is noted."""
    tree = machine({0: [0], 1: [1]}, memory_kb=1 << 20)
    for sign in (1, -1):
        tree["proc/meminfo"] = meminfo(None, (2 << 20) + sign * ((16 << 10) + over), 1 << 20)
        assert ("that of the nodes together" in texts(host(tree))) == noted


INDEXING = ("direct", "indexed", "custom", None)
POLICY = ("write-back", "write-through", "other", None)


@pytest.mark.parametrize("code", range(4))
def test_codes_of_memory_side_caches_are_words(code: int) -> None:
    """Those of include/linux/node.h, and unknown for others."""
    cache = f"{NODE}/node0/memory_side_cache/index1"
    values = {"size": 1 << 20, "line_size": 64, "indexing": code, "write_policy": code, "address_mode": code}
    tree = machine({0: [0]}) | {f"{cache}/{name}": f"{value}\n" for name, value in values.items()}
    (found,) = host(tree).cells[0].side_caches
    assert (found.indexing, found.write_policy) == (INDEXING[code], POLICY[code])
    assert found.address_mode == ("extended-linear" if code == 1 else None)
