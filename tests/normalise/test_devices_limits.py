"""The cell of a device: by its node, its CPUs, the bridges above it, and which cell with CPUs is nearest."""

from __future__ import annotations

import pytest

from numaprobe import Access, Cell, Memory
from numaprobe.linux.facts import DeviceFacts
from numaprobe.normalise.devices import _cells, _Nearest


def cell(number: int, cpus: tuple[int, ...] | None, distances: dict[int, int] | None = None, **more: object) -> Cell:
    rows = None if distances is None else tuple(distances.items())
    return Cell(id=number, cpus=cpus, memory=Memory(), distances=rows, **more)  # type: ignore[arg-type]


def device(address: str, node: int | None = None, **more: object) -> DeviceFacts:
    return DeviceFacts(address=address, node=node, **more)  # type: ignore[arg-type]


TWO = (cell(0, (0, 1)), cell(1, (2, 3)))


@pytest.mark.parametrize(
    ("rows", "cells", "told"),
    [
        ([device("a", 1), device("b")], TWO, {"a": (1, "numa_node")}),
        ([device("a", local_cpus=(2,))], TWO, {"a": (1, "local_cpulist")}),
        ([device("a", local_cpus=(2, 3, 9))], TWO, {"a": (1, "local_cpulist")}),
        ([device("a", local_cpus=(0, 2))], TWO, {}),
        ([device("a", local_cpus=(9,))], TWO, {}),
        ([device("a", 0, local_cpus=(2,))], TWO, {"a": (0, "numa_node")}),
        ([device("a", local_cpus=(0,))], TWO[:1], {}),
        ([device("a", local_cpus=(0,))], (TWO[0], cell(1, ())), {}),
        ([device("a", local_cpus=(0,))], (TWO[0], cell(1, None)), {}),
        ([device("b", 1), device("a", bridge="b")], TWO, {"b": (1, "numa_node"), "a": (1, "bridge b")}),
        ([device("b", 0), device("a", bridge="b")], TWO, {"b": (0, "numa_node"), "a": (0, "bridge b")}),
        ([device("a", bridge="b"), device("b", bridge="c"), device("c", 1)], TWO,
         {"c": (1, "numa_node"), "a": (1, "bridge c"), "b": (1, "bridge c")}),
        ([device("a", bridge="b"), device("b", bridge="a")], TWO, {}),
        ([device("a", bridge="x")], TWO, {}),
        ([device("a", 0, bridge="b"), device("b", 1)], TWO, {"a": (0, "numa_node"), "b": (1, "numa_node")}),
    ],
)  # fmt: skip
def test_the_cell_of_a_device_is_known_in_three_ways(
    rows: list[DeviceFacts], cells: tuple[Cell, ...], told: dict[str, tuple[int, str]]
) -> None:
    """By the first that says one; bridges that contain each other say none."""
    assert _cells(tuple(rows), cells) == told


def reached(level: int, *initiators: int) -> Access:
    return Access(level=level, initiators=initiators)


FAR = {0: 10, 1: 20, 2: 30}


@pytest.mark.parametrize(
    ("cells", "of", "told"),
    [
        (TWO, 0, (0, "own cell")),
        ((TWO[0], cell(1, ())), 1, (0, "only cell with cpus")),
        ((TWO[0], cell(1, ())), None, (0, "only cell with cpus")),
        ((TWO[0], cell(1, ())), 7, (0, "only cell with cpus")),
        ((TWO[0], cell(1, None)), 1, (None, None)),
        ((*TWO, cell(2, ())), None, (None, None)),
        ((*TWO, cell(2, ())), 7, (None, None)),
        ((*TWO, cell(2, ())), 2, (None, None)),
        ((cell(0, (0,), FAR), cell(1, (1,), {**FAR, 2: 29}), cell(2, ())), 2, (1, "distances")),
        ((cell(0, (0,), {**FAR, 2: 28}), cell(1, (1,), {**FAR, 2: 29}), cell(2, ())), 2, (0, "distances")),
        ((cell(0, (0,), FAR), cell(1, (1,), FAR), cell(2, ())), 2, (None, None)),
        ((cell(0, (0,), FAR), cell(1, (1,), {0: 10}), cell(2, ())), 2, (None, None)),
        ((*TWO, cell(2, (), accesses=(reached(0, 0, 1), reached(1, 1)))), 2, (1, "access1 initiators")),
        ((*TWO, cell(2, (), accesses=(reached(0, 0), reached(1, 0, 1)))), 2, (0, "access0 initiators")),
        ((*TWO, cell(2, (), accesses=(reached(0, 0, 2), reached(1, 2)))), 2, (0, "access0 initiators")),
        ((*TWO, cell(2, (), accesses=(reached(0, 0), reached(1, 1)))), 2, (1, "access1 initiators")),
        ((cell(0, ()),), 0, (None, None)),
    ],
)
def test_the_nearest_cell_with_cpus_is_one_or_none(
    cells: tuple[Cell, ...], of: int | None, told: tuple[int | None, str | None]
) -> None:
    """By what the firmware says of access, the higher class first, and then by distance; of two alike neither."""
    assert _Nearest(cells).to(of) == told
