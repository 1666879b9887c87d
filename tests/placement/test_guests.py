"""Where running guests are taken to be, and what they may still take."""

from __future__ import annotations

import pytest
from hosts import GIB, domain, host

from numaprobe import Domain
from numaprobe.placement.capacity import capacity_of
from numaprobe.placement.guests import home

MACHINE = host([16 * GIB] * 3)


@pytest.mark.parametrize(
    ("guest", "cells"),
    [
        (domain("g", 1, cells=((0, GIB), (1, 0)), unplaced=0), (0,)),
        (domain("g", 1, cells=((0, GIB), (1, 1)), unplaced=0), (0, 1)),
        (domain("g", 1, cells=((0, GIB),), unplaced=1), None),
        (domain("g", 1, cells=((0, GIB),), unplaced=1, on=(1,)), (1,)),
        (domain("g", 1, cells=((0, 0),), unplaced=0, on=(2,)), (2,)),
        (domain("g", 1, on=(0, 1)), (0, 1)),
        (domain("g", 1, on=(0, 1, 2)), None),
        (domain("g", 1, cpus=(0, 8)), (0, 1)),
        (domain("g", 1, cpus=(23,)), (2,)),
        (domain("g", 1, cpus=(0, 8, 16)), None),
        (domain("g", 1, on=(0, 1, 2), cpus=(0,)), (0,)),
        (domain("g", 1), None),
    ],
)
def test_a_guest_is_where_its_memory_is_else_where_it_is_bound_else_where_it_runs(
    guest: Domain, cells: tuple[int, ...] | None
) -> None:
    """None: it may be anywhere."""
    assert home(guest, MACHINE) == cells


def test_cpus_of_no_cell_say_nothing_of_where_a_guest_is() -> None:
    """Of its two CPUs one has an unknown cell, so only the other's is taken as its home."""
    lost = MACHINE._replace(cpus=tuple(cpu._replace(cell=None) if cpu.id == 0 else cpu for cpu in MACHINE.cpus))
    assert home(domain("g", 1, cpus=(0, 8)), lost) == (1,)


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ({"memory": GIB, "maximum": GIB}, [16, 16, 16]),
        ({"memory": GIB, "maximum": 4 * GIB}, [15, 15, 15]),
        ({"memory": GIB, "maximum": 4 * GIB, "on": (1,)}, [16, 13, 16]),
        ({"memory": GIB, "maximum": 5 * GIB, "on": (1, 2)}, [16, 14, 14]),
        ({"memory": GIB, "maximum": 40 * GIB, "on": (1,)}, [16, 0, 16]),
        ({"memory": None, "maximum": 4 * GIB}, [16, 16, 16]),
        ({"memory": GIB, "maximum": None}, [16, 16, 16]),
        ({"memory": GIB, "maximum": 4 * GIB, "kind": "hvm"}, [16, 16, 16]),
        ({"memory": GIB, "maximum": 4 * GIB, "kind": "process"}, [16, 16, 16]),
    ],
)
def test_what_a_guest_has_not_touched_yet_is_kept_back_where_it_may_do_so(
    known: dict[str, object], left: list[int]
) -> None:
    """Under Xen a domain has its memory from the start; a process is promised nothing."""
    found = capacity_of(MACHINE, reserve=0, domains=[domain("g", 1, **known)])
    assert [room.memory for room in found.rooms.values()] == [size * GIB for size in left]
