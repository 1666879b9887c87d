"""What to move so that a guest fits: the fewest guests, then the fewest bytes, each move possible in its turn."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemas
import trees
from hosts import GIB, domain, host
from hypothesis import given, settings
from hypothesis import strategies as st

from numaprobe import DoesNotFit, Domain, Host, Request, immovable, make_room, place, rebalance
from numaprobe.cli import main
from numaprobe.cli import moves as command
from numaprobe.placement.moves import obstacle


def machine(free: list[int]) -> Host:
    """Cells of 64 GiB with so many GiB free."""
    found = host([size * GIB for size in free], cpus=16)
    cells = [cell._replace(memory=cell.memory._replace(total=64 * GIB)) for cell in found.cells]
    return found._replace(cells=tuple(cells))


def guest(number: int, cell: int, size: int, cells: int, **known: Any) -> Domain:
    """One on a cell of its own, of whole GiB."""
    memory = tuple((other, size * GIB if other == cell else 0) for other in range(cells))
    known = {"id": number, "memory": size * GIB, "maximum": size * GIB, "cells": memory, "unplaced": 0, **known}
    return domain(f"g{number}", 1, **known)


def test_one_guest_moves_so_that_another_fits() -> None:
    """The smallest guest that is enough moves to a cell where it fits."""
    guests = [guest(1, 0, 6, 2), guest(2, 1, 3, 2), guest(3, 1, 2, 2)]
    wanted = Request(vcpus=1, memory=6 * GIB, max_cells=1)
    with pytest.raises(DoesNotFit):
        place(machine([4, 4]), vcpus=1, memory=6 * GIB, max_cells=1, domains=guests, reserve=0)
    found = make_room(machine([4, 4]), wanted, domains=guests, reserve=0)
    assert [(move.name, move.plan.cells, move.size) for move in found.moves] == [("g3", (0,), 2 * GIB)]
    assert (found.plan.cells, found.size, found.complete) == ((1,), 2 * GIB, True)


def test_what_fits_needs_no_move() -> None:
    """The answer is the plan that place gives."""
    found = make_room(machine([4, 4]), Request(vcpus=1, memory=GIB), domains=[guest(1, 0, 2, 2)], reserve=0)
    assert found.moves == ()
    assert found.plan.cells == (0,)


def test_a_guest_that_will_be_gone_gives_its_room() -> None:
    """It is given by name or id, and a name that nobody has is an error."""
    guests = [guest(1, 0, 6, 2)]
    for name in ("g1", "1"):
        found = make_room(
            machine([2, 3]),
            Request(vcpus=1, memory=8 * GIB, max_cells=1),
            domains=guests,
            moves=0,
            without=name,
            reserve=0,
        )
        assert found.plan.cells == (0,)
    with pytest.raises(ValueError, match="no domain 'x'"):
        make_room(machine([2]), Request(vcpus=1, memory=GIB), domains=guests, without="x")


def test_moves_that_do_not_help_are_said() -> None:
    """The refusal first says what is missing and then that no move helps."""
    with pytest.raises(DoesNotFit, match=r"is missing .*; .*no 2 moves of other guests would help"):
        make_room(
            machine([2, 2]),
            Request(vcpus=1, memory=9 * GIB, max_cells=1),
            domains=[guest(1, 0, 3, 2)],
            moves=2,
            reserve=0,
        )


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"cells": None}, "the location of its memory is unknown"),
        ({"unplaced": GIB}, "the location of its memory is unknown"),
        ({"id": 0, "kind": "pv"}, "the control domain"),
        ({"memory": None}, "not known"),
    ],
)
def test_a_guest_that_cannot_be_moved_says_why(known: dict[str, Any], why: str) -> None:
    """It stays where it is, and the plan has the reason."""
    one = guest(1, 0, 2, 2)._replace(**known)
    assert why in (obstacle(one) or "")
    found = make_room(machine([4, 4]), Request(vcpus=1, memory=GIB), domains=[one], reserve=0)
    assert [number for number, _ in found.fixed] == [one.id]


def brute_force(free: list[int], sizes: list[tuple[int, int]], wanted: int, most: int) -> tuple[int, int] | None:
    """Guests and GiB to move at least, by every order of every few guests to every cell; None if nothing helps."""
    best: tuple[int, int] | None = None
    for number in range(most + 1):
        for order in itertools.permutations(range(len(sizes)), number):
            for targets in itertools.product(range(len(free)), repeat=number):
                left = list(free)
                for one, target in zip(order, targets, strict=True):
                    cell, size = sizes[one]
                    if target == cell or left[target] < size:
                        break
                    left[target] -= size
                    left[cell] += size
                else:
                    moved = sum(sizes[one][1] for one in order)
                    if max(left) >= wanted and (best is None or (number, moved) < best):
                        best = number, moved
        if best is not None:
            return best
    return best


@given(
    free=st.lists(st.integers(0, 5), min_size=2, max_size=3),
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=4),
    wanted=st.integers(1, 9),
    most=st.integers(0, 2),
)
@settings(max_examples=120)
def test_the_moves_are_those_of_brute_force(
    free: list[int], sizes: list[tuple[int, int]], wanted: int, most: int
) -> None:
    """As many guests and bytes are moved, and every step has room when it is made."""
    sizes = [(cell % len(free), size) for cell, size in sizes]
    guests = [guest(number, cell, size, len(free)) for number, (cell, size) in enumerate(sizes, 1)]
    expected = brute_force(free, sizes, wanted, most)
    try:
        found = make_room(
            machine(free), Request(vcpus=1, memory=wanted * GIB, max_cells=1), domains=guests, moves=most, reserve=0
        )
    except DoesNotFit:
        assert expected is None
        return
    assert (len(found.moves), found.size // GIB) == expected
    left = list(free)
    for move in found.moves:
        cell, size = sizes[int(move.domain) - 1]
        (target,) = move.plan.cells
        assert left[target] >= size
        left[target] -= size
        left[cell] += size
    assert left[found.plan.cells[0]] >= wanted


def test_a_guest_far_from_its_memory_is_brought_to_it() -> None:
    """Moving its CPUs copies nothing, and is advised under Xen too."""
    far = guest(1, 0, 2, 2, cpus=tuple(range(16, 32)))
    near = guest(2, 1, 2, 2, cpus=tuple(range(16, 32)))
    xen = guest(3, 0, 1, 2, cpus=tuple(range(16, 32)), kind="hvm")
    advice, fixed = rebalance(machine([4, 4]), [far, near, xen], reserve=0)
    assert [(one.domain, one.now, one.after, one.price, one.plan.cells) for one in advice] == [
        (1, 20, 10, 0, (0,)),
        (3, 20, 10, 0, (0,)),
    ]
    assert advice[0].gain == 2 * GIB
    assert dict(fixed) == {2: "no move gains more than it costs"}
    json.dumps(advice[0].to_dict())


def test_memory_that_cannot_be_moved_stays() -> None:
    """A device accesses it, it is private to the guest, or Xen has it; a guest without such is moved."""
    apart = host([4 * GIB, 4 * GIB], cpus=16, distances={0: [10, 40], 1: [40, 10]})
    scattered = {
        number: guest(number, 0, 2, 2, kind=kind)._replace(cells=((0, 3 * GIB // 2), (1, GIB // 2)))
        for number, kind in ((1, "qemu"), (2, "qemu"), (3, "hvm"))
    }
    advice, fixed = rebalance(apart, list(scattered.values()), fixed={2: "a device accesses it"}, reserve=0)
    assert [(one.domain, one.price) for one in advice] == [(1, GIB // 2)]
    assert dict(fixed)[2] == "a device accesses it"
    assert "Xen cannot do so while a domain runs" in dict(fixed)[3]
    tight = machine([4, 4])
    guests = [guest(1, 0, 6, 2), guest(3, 1, 2, 2)]
    wanted = Request(vcpus=1, memory=6 * GIB, max_cells=1)
    assert make_room(tight, wanted, domains=guests, reserve=0).moves[0].domain == 3
    with pytest.raises(DoesNotFit):
        make_room(tight, wanted, domains=guests, fixed={3: "a device accesses it"}, reserve=0)


def test_descriptors_of_a_guest_tell_whether_its_memory_can_be_moved(
    plant: Callable[[Mapping[str, trees.Content]], Path],
) -> None:
    """A device of VFIO, by its group or by itself; guest_memfd; neither; ended; descriptors that were not recorded."""
    link = trees.Link
    root = plant(
        {
            "proc/11/fd/7": link("/dev/vfio/42"),
            "proc/12/fd/7": link("anon_inode:[vfio-device]"),
            "proc/13/fd/7": link("anon_inode:[kvm-gmem]"),
            "proc/14/fd/7": link("/dev/kvm"),
            "proc/16/stat": "",
        }
    )
    guests = [guest(number, 0, 1, 2) for number in (11, 12, 13, 14, 15, 16)]
    found = immovable([*guests, guest(17, 0, 1, 2, kind="hvm")], root=root)
    assert {number: reason.rpartition(" ")[2] for number, reason in found.items()} == {
        11: "(VFIO)",
        12: "(VFIO)",
        13: "(guest_memfd)",
        16: "recording",
    }


def test_a_move_that_costs_more_than_it_gains_is_not_advised() -> None:
    """Half of the memory on each of two cells that are hardly farther apart."""
    close = host([8 * GIB, 8 * GIB], cpus=16, distances={0: [10, 11], 1: [11, 10]})
    split = guest(1, 0, 2, 2)._replace(cells=((0, GIB), (1, GIB)))
    advice, fixed = rebalance(close, [split], reserve=0)
    assert advice == ()
    assert fixed == ((1, "no move gains more than it costs"),)


def test_moves_on_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What to move first, then the plan; as JSON the plan with its moves; the price of what is only advice."""
    guests = (guest(1, 0, 6, 2, cpus=tuple(range(16, 32))), guest(3, 1, 2, 2))
    monkeypatch.setattr(command, "probe", lambda *_, **__: machine([4, 4]))
    monkeypatch.setattr(command, "domains", lambda *_, **__: guests)
    monkeypatch.setattr(command, "immovable", lambda *_, **__: {})
    wanted = ["place", "--vcpus", "1", "--memory", "6G", "--max-cells", "1", "--reserve", "0"]
    assert main([*wanted, "--moves", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("move g3 from cell 1 to cell 0: 2 GiB to copy\n  cpus ")
    assert "\n\ncell 1 for 1 vcpu and 6 GiB\n" in out
    assert main([*wanted, "--moves", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    schemas.check("place", document)
    assert [move["name"] for move in document["moves"]] == ["g3"]
    assert main([*wanted, "--without", "g1"]) == 0
    assert "move" not in capsys.readouterr().out.splitlines()[0]
    assert main([*wanted[:3], "--memory", "20G", "--moves", "2"]) == 3
    assert "no 2 moves of other guests would help" in capsys.readouterr().err
    assert main(["place", "--rebalance", "--reserve", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pin g1 to the CPUs of cell 0: an access costs 10 instead of 20, 0 B to copy"
    assert any("g3" in line for line in lines[2:])
    assert main(["place", "--rebalance", "--json"]) == 0
    assert 1 in [one["domain"] for one in json.loads(capsys.readouterr().out)["moves"]]
    assert main([*wanted, "--moves", "1", "--format", "xl"]) == 2
    assert main([*wanted, "--moves", "1", "--claim"]) == 2


def test_moves_of_a_recorded_host_are_documents() -> None:
    """The plan has what to move first, in the schema's words."""
    found = make_room(
        machine([4, 4]),
        Request(vcpus=1, memory=6 * GIB, max_cells=1),
        domains=[guest(1, 0, 6, 2), guest(3, 1, 2, 2)],
        reserve=0,
    )
    schemas.check("place", {**found.plan.to_dict(), "moves": [move.to_dict() for move in found.moves]})
