"""What ``numaprobe show`` says of CPUs that have no one cell: in none, in several, or not known."""

from __future__ import annotations

from errno import EACCES

from trees import NODE, Machine, Shelf, machine

from numaprobe.cli.show import cells, cpus
from numaprobe.linux.collect import collect
from numaprobe.normalise.linux import from_linux


def lines(tree: Machine, errors: dict[str, int] | None = None) -> str:
    host = from_linux(collect(Shelf({**machine({0: [0, 1], 1: [2, 3]}), **tree}, errors)))
    return "\n".join((*cells(host, 80), *cpus(host)))


def test_cpus_that_no_node_lists() -> None:
    """CPU 3 is online, and neither node's cpulist has it, so no memory is local to it."""
    assert "in no cell: 3\n" in lines({f"{NODE}/node1/cpulist": "2\n"}) + "\n"


def test_cpus_that_several_nodes_list() -> None:
    """With numa=fake each emulated node has all of them."""
    found = lines({f"{NODE}/node{node}/cpulist": "0-3\n" for node in (0, 1)})
    assert "in several cells: 0-3" in found
    assert "no cell" not in found


def test_cpus_of_a_cell_whose_list_is_denied_are_not_without_one() -> None:
    """EACCES leaves two CPUs over that must belong to some cell, which is another thing than none."""
    found = lines({}, {f"{NODE}/node1/cpulist": EACCES})
    assert "of unknown cell: 2-3" in found
    assert "no cell" not in found
    assert "none" not in found
