"""Moves and advice at their limits: who may be moved, how much moves, and when it is worth it."""

from __future__ import annotations

from typing import Any

import pytest
from hosts import GIB, cell, domain, host, made

from numaprobe import DoesNotFit, Domain, Host, Memory, Request, Vcpu, make_room, place, rebalance
from numaprobe.placement import moves
from numaprobe.placement.moves import Move, Rearrangement, memory_back, moved_bytes, obstacle, request_of
from numaprobe.placement.rebalance import Advice, _running, access_cost


def guest(**known: Any) -> Domain:
    return domain("g", 1, **{"memory": GIB, "maximum": GIB, "cells": ((0, GIB), (1, 0)), "unplaced": 0, **known})


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, None),
        ({"id": 0}, None),
        ({"id": 0, "kind": "pv"}, "the control domain"),
        ({"id": 0, "kind": "hvm"}, "the control domain"),
        ({"id": 1, "kind": "hvm"}, None),
        ({"cells": None}, "the location of its memory is unknown"),
        ({"unplaced": 1}, "the location of its memory is unknown"),
        ({"unplaced": None}, None),
        ({"memory": None}, "its vcpus or its memory are not known"),
        ({"memory": 0}, "its vcpus or its memory are not known"),
        ({"memory": 4095}, "its vcpus or its memory are not known"),
        ({"memory": 4096}, None),
        ({"vcpus": None}, "its vcpus or its memory are not known"),
        ({"vcpus": 0}, "its vcpus or its memory are not known"),
    ],
)
def test_why_a_guest_cannot_be_moved(known: dict[str, Any], why: str | None) -> None:
    """None where nothing speaks against it."""
    assert obstacle(guest()._replace(**known)) == why


@pytest.mark.parametrize(
    ("known", "memory"),
    [
        ({}, GIB),
        ({"maximum": 2 * GIB}, 2 * GIB),
        ({"maximum": GIB // 2}, GIB),
        ({"maximum": None}, GIB),
        ({"memory": GIB + 4095}, GIB),
        ({"memory": GIB + 4096}, GIB + 4096),
        *[({"maximum": 2 * GIB, "kind": kind}, GIB) for kind in ("pv", "hvm", "process", "group")],
    ],
)
def test_a_running_guest_as_a_request_has_what_it_may_take(known: dict[str, Any], memory: int) -> None:
    """On Linux what it is configured with, in whole pages; a limit to balloon up to is none."""
    assert request_of(guest(**known)) == Request(1, memory, name="g", smt="share")


@pytest.mark.parametrize(
    ("cpus", "pinned"),
    [([(1,), (2,)], True), ([(1,), (1, 2)], False), ([(1,), None], False), ([], False), (None, False)],
)
def test_it_is_pinned_where_each_vcpu_has_one_cpu(cpus: list[Any] | None, pinned: bool) -> None:
    """Unknown CPUs are none that are known."""
    each = None if cpus is None else tuple(made(Vcpu, id=i, cpus=one) for i, one in enumerate(cpus))
    assert request_of(guest()._replace(vcpus=2, each_vcpu=each)).pinned is pinned
    assert request_of(guest()._replace(vcpus=None)).vcpus == 1


@pytest.mark.parametrize(("target", "moved"), [({0: GIB}, 3), ({1: 4}, 5), ({0: 5, 1: 3}, 0), ({0: 4}, 4), ({7: 9}, 8)])
def test_what_leaves_its_cell_is_moved(target: dict[int, int], moved: int) -> None:
    """What is more there than before moves no byte."""
    plan = place(host([GIB]), vcpus=1, memory=4096)._replace(memory=target)
    assert moved_bytes(guest(cells=((0, 5), (1, 3))), plan) == moved
    assert moved_bytes(guest(cells=None), plan) == 0


def test_the_memory_of_guests_that_are_away_is_free() -> None:
    """Twice where two of them have some; unknown figures stay unknown, and other cells as they are."""
    machine = host([1])._replace(
        cells=(cell(0, 10, (), available=12), cell(1, 10, ()), cell(2, 10, ())._replace(memory=Memory()))
    )
    away = [guest(cells=((0, 3), (2, 1))), guest(cells=((0, 4), (1, 0))), guest(cells=None)]
    found = memory_back(machine, away)
    assert [(one.memory.free, one.memory.available) for one in found.cells] == [(17, 19), (10, 10), (None, None)]
    assert found.cells[1] is machine.cells[1]


def machine(free: list[int], **known: Any) -> Host:
    found = host([size * GIB for size in free], cpus=16, **known)
    return found._replace(cells=tuple(one._replace(memory=one.memory._replace(total=64 * GIB)) for one in found.cells))


def on(number: int, where: int, size: int, **known: Any) -> Domain:
    held = tuple((other, size * GIB if other == where else 0) for other in range(2))
    return domain(
        f"g{number}",
        1,
        **{"id": number, "memory": size * GIB, "maximum": size * GIB, "cells": held, "unplaced": 0, **known},
    )


WANTED = Request(vcpus=1, memory=6 * GIB, max_cells=1)


@pytest.mark.parametrize(
    ("most", "sentence"),
    [(0, None), (1, "no 1 move of other guests would help"), (2, "no 2 moves of other guests would help")],
)
def test_moves_that_would_not_help_are_said_with_their_number(most: int, sentence: str | None) -> None:
    """After what is missing without them."""
    with pytest.raises(DoesNotFit) as error:
        make_room(machine([1, 1]), WANTED, domains=[on(1, 0, 2)], moves=most, reserve=0)
    assert error.value.reasons[1:] == (() if sentence is None else (sentence,))
    assert error.value.args == error.value.reasons


@pytest.mark.parametrize(("tries", "complete"), [(5, False), (6, True), (50_000, True)])
def test_a_search_that_was_given_up_is_not_complete(
    monkeypatch: pytest.MonkeyPatch, tries: int, complete: bool
) -> None:
    """Two guests are tried, the second with one place, and then another that is as cheap."""
    monkeypatch.setattr(moves, "MAX_TRIES", tries)
    guests = [on(1, 1, 2), on(2, 1, 3), on(3, 1, 4)]
    found = make_room(machine([4, 4]), WANTED, domains=guests, reserve=0)
    assert [(move.domain, move.size) for move in found.moves] == [(1, 2 * GIB)]
    assert found.complete is complete
    monkeypatch.setattr(moves, "MAX_TRIES", 0)
    with pytest.raises(DoesNotFit) as error:
        make_room(machine([1, 1]), WANTED, domains=guests, reserve=0)
    assert error.value.reasons[-1] == "none of those tried of the 1 move of other guests would help"


def test_a_move_is_a_document_of_built_in_types() -> None:
    """As in the schema; a rearrangement's size is the sum of its moves."""
    guests = [on(1, 1, 2)]
    found = make_room(machine([4, 4]), WANTED, domains=guests, reserve=0)
    (one,) = found.moves
    assert one.to_dict() == {
        "domain": 1, "name": "g1", "before": {"0": 0, "1": 2 * GIB}, "bytes": 2 * GIB, "plan": one.plan.to_dict(),
    }  # fmt: skip
    assert (one.plan.memory, found.plan.memory, found.size) == ({0: 2 * GIB}, {1: 6 * GIB}, 2 * GIB)
    twice = Rearrangement(plan=found.plan, moves=(one, one), fixed=(), complete=True)
    assert twice.size == 4 * GIB
    assert Move(*one) == one


def test_no_more_guests_are_moved_than_is_said() -> None:
    """One unless it is said, and the reason that a guest is fixed is the host's or the caller's."""
    guests = [on(1, 1, 2), on(2, 1, 2)]
    wanted = Request(vcpus=1, memory=8 * GIB, max_cells=1)
    with pytest.raises(DoesNotFit):
        make_room(machine([4, 4]), wanted, domains=guests, reserve=0)
    found = make_room(machine([4, 4]), wanted, domains=guests, moves=2, reserve=0)
    assert [move.domain for move in found.moves] == [1, 2]
    held = [*guests, on(3, 0, 1, unplaced=1)]
    found = make_room(machine([9, 4]), wanted, domains=held, fixed={1: "a device accesses it", 3: "x"}, reserve=0)
    assert found.fixed == ((1, "a device accesses it"), (3, "the location of its memory is unknown"))
    with pytest.raises(ValueError, match=r"^there is no domain 'g9'$"):
        make_room(machine([4, 4]), wanted, domains=guests, without="g9", reserve=0)


# --- advice -------------------------------------------------------------------------------------------------------

PRICES = {0: {0: 10, 1: 20}, 1: {0: 30, 1: 12}}


@pytest.mark.parametrize(
    ("memory", "vcpus", "cost"),
    [
        ({0: 4}, {0: 1.0}, 10.0),
        ({0: 1, 1: 3}, {0: 1.0}, 17.5),
        ({0: 1, 1: 3}, {0: 1.0, 1: 3.0}, (1 * 10 + 3 * 20 + 3 * 30 + 9 * 12) / 16),
        ({2: 1}, {0: 1.0}, None),
        ({0: 1}, {2: 1.0}, None),
        ({}, {0: 1.0}, None),
        ({0: 1}, {}, None),
    ],
)
def test_the_mean_cost_of_an_access(memory: dict[int, int], vcpus: dict[int, float], cost: float | None) -> None:
    """Every vcpu reaches every byte alike; None of nothing, and of a cell that has no price."""
    assert access_cost(PRICES, memory, vcpus) == cost


@pytest.mark.parametrize(
    ("known", "running"),
    [
        ({"pinned": [(0,), (8, 9)]}, {0: 1.0, 1: 1.0}),
        ({"pinned": [(0, 1, 8)]}, {0: 2 / 3, 1: 1 / 3}),
        ({"pinned": [(0, 99)]}, {0: 1.0}),
        ({"cpus": (8,)}, {1: 1.0}),
        ({}, {0: 0.5, 1: 0.5}),
        ({"pinned": [None, (8,)]}, {1: 1.0}),
        ({"cpus": (99,)}, {}),
    ],
)
def test_where_the_vcpus_of_a_guest_run(known: dict[str, Any], running: dict[int, float]) -> None:
    """Each spread evenly over the CPUs that it may run on, those that are offline or of no cell left out."""
    assert _running(host([1, 1]), domain("g", 2, **known)) == pytest.approx(running)
    offline = host([1, 1], offline=[8])
    assert _running(offline, domain("g", 1, cpus=(0, 8))) == {0: 1.0}


FAR = tuple(range(16, 32))


@pytest.mark.parametrize(("far", "advised"), [(40, 1), (11, 1), (10, 0)])
def test_a_move_has_to_make_an_access_cheaper(far: int, advised: int) -> None:
    """A guest that runs where its memory is not: bringing its CPUs there costs nothing."""
    apart = machine([4, 4], distances={0: [10, far], 1: [far, 10]})
    advice, fixed = rebalance(apart, [on(1, 0, 2, cpus=FAR)], reserve=0)
    assert [(one.domain, one.now, one.after, one.price) for one in advice] == [(1, far, 10, 0)] * advised
    assert fixed == (() if advised else ((1, "no move gains more than it costs"),))
    if advised:
        assert advice[0].gain == int(2 * GIB * (far / 10 - 1))
        assert advice[0].to_dict() == {**advice[0]._asdict(), "plan": advice[0].plan.to_dict()}


def test_differences_within_the_noise_of_a_distance_table_are_none() -> None:
    """An access at 1000 that would cost 981 stays, one that would cost 980 is advised."""
    for near, advised in ((981, 0), (980, 1)):
        rows = {0: [near, 1000], 1: [1000, 1000]}
        apart = machine([4, 4], distances=rows)
        assert len(rebalance(apart, [on(1, 0, 2, cpus=FAR)], reserve=0)[0]) == advised


def test_at_most_so_many_moves_are_advised_the_most_useful_first() -> None:
    """Sixteen unless it is said; who is left has the reason."""
    guests = [on(number, 0, size, cpus=FAR) for number, size in ((1, 1), (2, 3), (3, 2))]
    for most in range(4):
        advice, fixed = rebalance(machine([9, 9]), guests, most=most, reserve=0)
        assert [one.domain for one in advice] == [2, 3, 1][:most]
        assert len(fixed) == 3 - most
    many = [on(number, 0, 1, cpus=FAR) for number in range(1, 19)]
    assert len(rebalance(machine([9, 9]), many, reserve=0)[0]) == 16


def test_memory_is_moved_where_that_gains_more_than_its_bytes() -> None:
    """Not that of a guest of Xen or of one that the caller says is fixed; unknown distances advise nothing."""
    apart = machine([4, 4], distances={0: [10, 90], 1: [90, 10]})
    split = on(1, 0, 2)._replace(cells=((0, GIB + GIB // 2), (1, GIB // 2)))
    advice, _ = rebalance(apart, [split], reserve=0)
    assert [(one.price, one.plan.cells, one.after) for one in advice] == [(GIB // 2, (0,), 10.0)]
    assert isinstance(advice[0], Advice)
    assert rebalance(apart, [split], fixed={1: "pinned"}, reserve=0) == ((), ((1, "pinned"),))
    xen = "its memory cannot be moved: Xen cannot do so while a domain runs. Migrate it to this host, or restart it"
    assert rebalance(apart, [split._replace(kind="hvm")], reserve=0) == ((), ((1, xen),))
    assert rebalance(apart, [split._replace(unplaced=1)], reserve=0)[1] == (
        (1, "the location of its memory is unknown"),
    )
    blind = apart._replace(cells=tuple(one._replace(distances=None) for one in apart.cells))
    assert rebalance(blind, [split], reserve=0) == ((), ((1, "no move gains more than it costs"),))
