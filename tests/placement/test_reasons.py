"""The sentences of a plan and of a refusal, to the letter, and where each of them begins and ends to be true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from capacities import UNIT, room, stock

from numaprobe import Request
from numaprobe.placement import reasons
from numaprobe.placement.allocate import Share
from numaprobe.placement.candidates import Candidates
from numaprobe.placement.plan import Repin
from numaprobe.placement.rooms import HostCapacity

THREADS = [(0, 1), (2, 3), (4, 5), (6, 7)]


def field(
    cells: Sequence[tuple[int, int]],
    vcpus: int,
    memory: int,
    costs: Sequence[Sequence[int]] | None = None,
    /,
    *,
    xen: bool = False,
    **asked: Any,
) -> Candidates:
    """Of a request of so many MiB on cells of so many MiB and CPUs each."""
    return Candidates(stock(cells, costs, xen=xen), Request(vcpus, memory * UNIT, **asked))


@pytest.mark.parametrize(
    ("cells", "asked", "missing"),
    [
        ([(4, 4)], {}, None),
        ([(3, 4)], {}, "1 MiB"),
        ([(4, 3)], {}, "1 CPU"),
        ([(1, 1)], {}, "3 MiB and 3 CPUs"),
        ([(9, 1)], {}, "3 CPUs"),
        ([(1, 9)], {}, "3 MiB"),
        ([(4, 2)], {"cores": True}, "2 free cores"),
        ([(4, 3)], {"smt": "avoid"}, "1 free core"),
        ([(4, 3)], {"smt": "share"}, "1 CPU"),
        ([(4, 4)], {"emulator": 1}, "1 CPU"),
        # Equal shares of two vcpus and 2 MiB: what the cells are missing of each, the largest against the largest.
        ([(2, 2), (2, 2)], {"cells": 2}, None),
        ([(1, 3), (4, 1)], {"cells": 2}, "1 MiB and 1 CPU"),
        ([(1, 1), (0, 1)], {"cells": 2}, "3 MiB and 2 CPUs"),
        ([(9, 1), (1, 9)], {"cells": 2}, "1 MiB and 1 CPU"),
        ([(4, 1), (4, 3)], {"cells": 2}, "1 CPU"),
    ],
)
def test_what_a_set_is_missing(cells: list[tuple[int, int]], asked: dict[str, Any], missing: str | None) -> None:
    """Of 4 vcpus and 4 MiB: nothing at the limit, one of each below, and nothing back for what is in excess."""
    one = field(cells, 4, 4, **asked)
    assert reasons.shortage(one, range(len(cells))) == missing
    assert one.fits(range(len(cells))) is (missing is None)


def test_huge_pages_that_are_missing_have_their_size() -> None:
    """Two pages of 1 MiB of three."""
    capacity = stock([(9, 4)])
    capacity.rooms[0].pages = {UNIT: 1}
    one = Candidates(capacity, Request(1, 3 * UNIT, huge_page=UNIT))
    assert reasons.shortage(one, (0,)) == "2 MiB in huge pages of 1 MiB"


def test_shares_that_no_cells_hold_together_although_they_have_enough_of_each() -> None:
    """The larger share needs both of its halves on one cell."""
    one = field([(2, 1), (1, 2)], 3, 3, cells=2)
    assert one.shares == [(2, 2 * UNIT), (1, UNIT)]
    assert reasons.shortage(one, (0, 1)) == "equal shares: its free memory and CPUs cannot be split that evenly"


@pytest.mark.parametrize(
    ("cells", "asked", "expected"),
    [
        ([(3, 4)], {}, ["cell 0 is missing 1 MiB"]),
        ([(3, 4), (3, 3)], {"max_cells": 1}, ["cell 0 is missing 1 MiB"]),
        ([(3, 3), (3, 4)], {"max_cells": 1}, ["cell 1 is missing 1 MiB"]),
        ([(1, 4), (2, 3)], {}, ["cells 0-1 together are missing 1 MiB", "cell 0 alone is missing 3 MiB"]),
        ([(2, 0), (1, 1), (0, 1)], {}, ["cells 1-2 together are missing 3 MiB and 2 CPUs", "cell 1 alone is missing 3 MiB and 3 CPUs"]),
        ([(1, 1), (1, 2), (1, 1)], {"max_cells": 2}, ["cells 0-1 together are missing 2 MiB and 1 CPU", "cell 1 alone is missing 3 MiB and 2 CPUs"]),
        ([(2, 2), (1, 2)], {"cells": 2}, ["cells 0-1 are missing 1 MiB"]),
        ([(3, 1), (1, 4)], {"max_cells": 1}, ["cell 1 is missing 3 MiB"]),
        ([(1, 3), (3, 2)], {"max_cells": 1}, ["cell 1 is missing 1 MiB and 2 CPUs"]),
        ([(0, 4), (1, 1), (1, 2)], {"max_cells": 2}, ["cells 0,2 together are missing 3 MiB", "cell 0 alone is missing 4 MiB"]),
        ([(2, 2)], {"cells": 2}, ["2 cells are needed, and only 1 may be used"]),
        ([(2, 2), (2, 1), (1, 1)], {"cells": 2}, ["cells 0-1 are missing 1 CPU"]),
        ([(9, 9), (9, 9)], {"max_cells": 2}, ["no 2 of the cells hold it together"]),
    ],
)  # fmt: skip
def test_a_refusal_begins_with_the_nearest_miss(
    cells: list[tuple[int, int]], asked: dict[str, Any], expected: list[str]
) -> None:
    """Of 4 vcpus and 4 MiB; the last is of a search that ended before it found the set."""
    one = field(cells, 4, 4, **asked)
    left_out = [f"cell {cell} {why}" for cell, why in one.out.items()]
    assert list(reasons.does_not_fit(one).reasons) == expected + left_out


def test_a_refusal_lists_what_was_not_counted_in_the_order_of_cells() -> None:
    """First why all or none may be used, then each cell that was left out, then the notes of the others and the host."""
    capacity = stock([(1, 1), (1, 1), (1, 1)])
    capacity.homes = {"a": (2, 1)}
    capacity.rooms[0].notes.append("2 CPUs are offline")
    capacity.notes.append("claimed")
    one = Candidates(capacity, Request(1, 2 * UNIT, away_from="a"))
    assert reasons.does_not_fit(one).reasons == (
        "cell 0 is missing 1 MiB",
        "cell 1 a is there",
        "cell 2 a is there",
        "cell 0: 2 CPUs are offline",
        "claimed",
    )
    capacity.homes = {"a": None}
    one = Candidates(capacity, Request(1, 2 * UNIT, away_from="a"))
    assert reasons.does_not_fit(one).reasons[:2] == ("no cell may be used", "cell 0 a may be there, as anywhere")
    capacity.quota = 0.5
    one = Candidates(capacity, Request(2, UNIT))
    assert reasons.does_not_fit(one).reasons[:2] == (one.blocked, "cell 0: 2 CPUs are offline")


@pytest.mark.parametrize(
    ("pinnable", "vfio", "said"),
    [(UNIT - 1, True, "1024.0 KiB"), (UNIT, True, None), (0, True, "0 B"), (-5, True, "0 B"), (None, True, None), (0, False, None)],
)  # fmt: skip
def test_memory_that_may_not_be_pinned_is_a_reason_where_it_matters(
    pinnable: int | None, vfio: bool, said: str | None
) -> None:
    """Only for a guest with a device, and only where it is less than the cell has."""
    capacity = stock([(1, 1)])
    capacity.rooms[0].pinnable = pinnable
    found = reasons.does_not_fit(Candidates(capacity, Request(2, 4 * UNIT, vfio=vfio))).reasons
    expected = [] if said is None else [f"cell 0: {said} of its memory may be pinned (outside ZONE_MOVABLE)"]
    assert list(found[1:]) == expected


@pytest.mark.parametrize("smt", [None, "share", "avoid", "isolate", "require"])
def test_unknown_cores_are_a_reason_where_cores_are_requested(smt: str | None) -> None:
    """Threads are threads whoever shares a core."""
    capacity = stock([(1, 1)])
    capacity.rooms[0].cores_known = False
    found = reasons.does_not_fit(Candidates(capacity, Request(2, 4 * UNIT, smt=smt))).reasons
    said = "cell 0: which of its CPUs share a core is unknown" in found
    assert said is (smt in ("avoid", "isolate", "require"))


@pytest.mark.parametrize(
    ("reserve", "asked", "said"),
    [
        (2, {}, "; 2 MiB there is kept back as reserve"),
        (3, {}, "; 3 MiB there is kept back as reserve"),
        (1, {}, ""),
        (2, {"vcpus": 5, "memory": 2 * UNIT}, ""),
        (2, {"vcpus": 5, "memory": 2 * UNIT + 4096}, "; 2 MiB there is kept back as reserve"),
        (2, {"huge_page": UNIT}, ""),
    ],
)
def test_the_reserve_is_named_where_the_guest_would_have_fitted_into_it(
    reserve: int, asked: dict[str, Any], said: str
) -> None:
    """2 MiB are missing: the reserve has as much, more, or less."""
    capacity = stock([(2, 4)])
    capacity.rooms[0].reserve = reserve * UNIT
    one = Candidates(capacity, Request(**{"vcpus": 4, "memory": 4 * UNIT, **asked}))
    assert reasons.does_not_fit(one).reasons[0].partition(";")[1:] == (said[:1], said[1:])


def test_the_reserve_of_several_cells_is_their_sum() -> None:
    """Together 1 MiB is missing, and alone 3 of which the reserve has 1."""
    capacity = stock([(2, 4), (1, 4), (1, 1)])
    for one in capacity.rooms.values():
        one.reserve = UNIT // 2
    found = reasons.does_not_fit(Candidates(capacity, Request(4, 4 * UNIT, max_cells=2))).reasons
    assert found == (
        "cells 0-1 together are missing 1 MiB; 1 MiB there are kept back as reserve",
        "cell 0 alone is missing 2 MiB",
    )


def against(one: Candidates, chosen: tuple[int, ...], most: int = 99) -> list[tuple[tuple[int, ...], str]]:
    return [(tuple(cells), reason) for cells, reason in reasons.rejected(one, chosen, most)]


def test_other_sets_are_listed_in_the_order_of_size_and_ids_up_to_a_maximum() -> None:
    """First the cells that were left out, each with its reason."""
    capacity = stock([(2, 2), (2, 2), (1, 2), (2, 2)])
    capacity.homes = {"a": (3,)}
    one = Candidates(capacity, Request(2, 2 * UNIT, away_from="a"))
    listed = [
        ((3,), "a is there"),
        ((1,), "as good, with higher ids"),
        ((2,), "is missing 1 MiB"),
    ]
    for most in range(4):
        assert against(one, (0,), most) == listed[:most]
    assert against(one, (0,), 4) == listed


def test_of_pairs_the_single_cells_come_first_and_the_chosen_one_is_left_out() -> None:
    """A pair that costs more is told apart from one that costs the same."""
    costs = [[10, 12, 20], [12, 10, 20], [20, 20, 10]]
    one = field([(2, 4), (2, 4), (2, 4)], 4, 4, costs)
    assert against(one, (0, 1)) == [
        ((0,), "is missing 2 MiB"),
        ((1,), "is missing 2 MiB"),
        ((2,), "is missing 2 MiB"),
        ((0, 2), "an access costs 15, not 11"),
        ((1, 2), "an access costs 15, not 11"),
    ]
    assert against(one, (0, 2))[3:] == [((0, 1), "as good"), ((1, 2), "as good, with higher ids")]
    one = field([(1, 4), (3, 4), (1, 4)], 4, 4, costs)
    assert against(one, (0, 1))[-1] == ((1, 2), "an access costs 12.5, not 10.5")
    assert against(one, (0, 1))[-2] == ((0, 2), "are missing 2 MiB")


@pytest.mark.parametrize(
    ("lends", "last", "memory", "reason"),
    [
        (False, False, 9, "has no usable CPUs: outside pool 0"),
        (True, True, 9, "has no usable CPUs: outside pool 0"),
        (True, False, 9, "its CPUs are counted in another cell"),
        (True, False, 4, "its CPUs are counted in another cell"),
        (True, False, 3, "is missing 1 MiB"),
    ],
)
def test_a_cell_without_cpus_is_rejected_for_that_or_for_its_memory(
    lends: bool, last: bool, memory: int, reason: str
) -> None:
    """A cell that lends its memory could have taken the guest with the CPUs that are counted elsewhere."""
    capacity = stock([(4, 4), (memory, 0)])
    capacity.ordinary = False
    other = capacity.rooms[1]
    other.lends, other.lends_last = lends, last
    other.notes.append("outside pool 0")
    one = Candidates(capacity, Request(4, 4 * UNIT))
    assert against(one, (0,)) == [((1,), reason)]


def test_what_is_farther_from_a_device_is_rejected_for_that() -> None:
    """By the worst distance of the nearest cell of each set, and all names that were given."""
    costs = [[10, 20, 30], [20, 10, 30], [30, 30, 10]]
    one = field([(4, 4)] * 3, 4, 4, costs, near=0)
    assert against(one, (0,)) == [((1,), "farther from cell 0: 20, not 10"), ((2,), "farther from cell 0: 30, not 10")]
    one.stock.devices = {"eth0": 1}
    one = Candidates(one.stock, Request(4, 4 * UNIT, near=(0, "eth0")))
    assert against(one, (1,)) == [((0,), "as good"), ((2,), "farther from cell 0 and eth0: 30, not 20")]


def test_with_the_fewest_cells_the_mean_of_their_distances_is_the_reason() -> None:
    """Where an access costs the same, because the memory of one cell is enough, they may still be farther apart."""
    costs = [[10, 12, 30], [12, 10, 30], [12, 30, 10]]
    one = field([(3, 4), (1, 4), (1, 4)], 4, 4, costs, fewest=True)
    assert against(one, (0, 1))[3:] == [
        ((0, 2), "an access costs 11.5, not 10.5"),
        ((1, 2), "are missing 2 MiB"),
    ]
    costs = [[10, 12, 12], [12, 10, 30], [14, 30, 10]]
    one = field([(3, 4), (1, 4), (1, 4)], 4, 4, costs, fewest=True)
    assert against(one, (0, 1))[3] == ((0, 2), "13 apart on average, not 12")
    assert against(one, (0, 2))[3] == ((0, 1), "as good")
    alike = field([(3, 4), (1, 4), (1, 4)], 4, 4, fewest=True)
    assert against(alike, (0, 1))[3] == ((0, 2), "as good, with higher ids")
    assert against(field([(4, 4), (4, 4)], 4, 4, fewest=True), (0,)) == [((1,), "as good, with higher ids")]
    one = field([(3, 4), (1, 4), (1, 4)], 4, 4, costs)
    assert against(one, (0, 1))[3] == ((0, 2), "as good, with higher ids")


def cores_of(*cells: tuple[int, list[tuple[int, ...]]], costs: list[list[int]] | None = None) -> HostCapacity:
    rooms, first = {}, 0
    for number, (memory, cores) in enumerate(cells):
        rooms[number] = room(number, memory, [tuple(cpu + first for cpu in core) for core in cores])
        first += sum(map(len, cores))
    n = range(len(cells))
    return HostCapacity(rooms, {i: {j: costs[i][j] if costs else 10 if i == j else 12 for j in n} for i in n})


def test_cells_that_were_chosen_for_their_cores() -> None:
    """One cell has threads for all vcpus but not the cores, and a pair that is as good has higher ids."""
    capacity = cores_of((9, THREADS), (9, THREADS), (9, THREADS))
    capacity.rooms[1].load = 1.5
    one = Candidates(capacity, Request(6, 4 * UNIT))
    assert against(one, (0, 2)) == [
        ((0,), "has 4 free cores for 6 vcpus"),
        ((1,), "has 2 free cores for 6 vcpus"),
        ((2,), "has 4 free cores for 6 vcpus"),
        ((0, 1), "as good"),
        ((1, 2), "as good, with higher ids"),
    ]
    parts = [Share(cell=0, vcpus=3, memory=2 * UNIT), Share(cell=2, vcpus=3, memory=2 * UNIT)]
    assert reasons.reasons_for(one, (0, 2), parts, ()) == (
        "6 vcpus on 8 free cores of cells 0,2; one cell has 4 at most",
        "they are 12 apart on average and 12 at worst",
    )
    assert (
        reasons.reasons_for(one, (0, 1), parts, ())[0] == "6 vcpus on 6 free cores of cells 0-1; one cell has 4 at most"
    )


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0, "its CPUs would be in several caches"),
        (1, "running guests that float would have to give way"),
        (2, "more vcpus would share a core"),
        (3, "more vcpus float there"),
    ],
)
def test_each_place_of_a_rank_has_its_sentence(place: int, reason: str) -> None:
    """The first that differs decides, whatever follows."""
    one = field([(1, 1)], 1, 1)
    mine = (False, False, False, 0.0, 1.0, (0,))
    theirs = (*mine[:place], True, *mine[place + 1 : 4], 0.0, (1,))
    assert reasons._ranked(one, theirs, mine) == reason


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("pack", "more would be left on it: the fullest is filled first, which keeps room for large guests"),
        ("balance", "its memory or its CPUs would be more in demand"),
        ("spread", "it is fuller"),
    ],
)
def test_each_policy_has_its_sentence(policy: str, reason: str) -> None:
    """The second but last place of a rank is the policy's, the last one the ids."""
    one = field([(1, 1)], 1, 1, policy=policy)
    mine = (False, False, False, 0.0, 1.0, (1,))
    assert reasons._ranked(one, (*mine[:4], 2.0, (0,)), mine) == reason
    assert reasons._ranked(one, (*mine[:5], (2,)), mine) == "as good, with higher ids"
    assert reasons._ranked(one, (*mine[:5], (0,)), mine) == "as good"


def said(
    one: Candidates, chosen: tuple[int, ...], parts: Sequence[tuple[int, int, int]] = (), **more: Any
) -> list[str]:
    shares = [Share(cell=cell, vcpus=vcpus, memory=memory * UNIT) for cell, vcpus, memory in parts]
    return list(reasons.reasons_for(one, chosen, shares, more.get("repin", ())))


@pytest.mark.parametrize(
    ("asked", "chosen", "expected"),
    [
        ({}, (0,), ["cell 0 is large enough on its own: 4 MiB and 4 CPUs available"]),
        ({}, (1, 2), [
            "cells 1-2: where an access costs least; 6 MiB and 8 CPUs available",
            "they are 20 apart on average and 20 at worst",
        ]),
        ({"fewest": True}, (0, 1, 2), [
            "cells 0-2: the fewest that hold it; 10 MiB and 12 CPUs available",
            "they are 20 apart on average and 20 at worst",
        ]),
        ({"cells": 2}, (0, 2), [
            "cells 0,2: 2 cells with an equal share each; 7 MiB and 8 CPUs available",
            "they are 20 apart on average and 20 at worst",
        ]),
        ({"cells": 1}, (0,), ["cell 0 is large enough on its own: 4 MiB and 4 CPUs available"]),
        ({"cores": True}, (0,), ["cell 0 is large enough on its own: 4 MiB and 4 whole cores available"]),
        ({"smt": "avoid"}, (0,), ["cell 0 is large enough on its own: 4 MiB and 4 whole cores available"]),
        ({"smt": "share", "vcpus": 1}, (0,), ["cell 0 is large enough on its own: 4 MiB and 4 CPUs available"]),
    ],
)  # fmt: skip
def test_a_plan_says_what_it_is(asked: dict[str, Any], chosen: tuple[int, ...], expected: list[str]) -> None:
    """Cells of 4 and 3 MiB with four CPUs each, of one thread each."""
    assert said(field([(4, 4), (3, 4), (3, 4)], asked.pop("vcpus", 4), 4, **asked), chosen) == expected


def test_distances_are_a_mean_of_both_ways_and_the_worst() -> None:
    """Where some are unknown they are not said, and that is said where there is more than one cell."""
    one = field([(3, 4), (3, 4)], 4, 4, [[10, 12], [15, 10]])
    assert said(one, (0, 1))[1:] == ["they are 13.5 apart on average and 15 at worst"]
    assert said(one, (0,))[1:] == []
    one.stock.known_distances = False
    unknown = ["not all distances are known; those that are not rank last"]
    assert (said(one, (0, 1))[1:], said(one, (0,))[1:]) == (unknown, unknown)
    single = field([(4, 4)], 4, 4)
    single.stock.known_distances = False
    assert said(single, (0,))[1:] == []


def test_a_plan_says_how_far_it_is_from_what_was_named() -> None:
    """The nearest cell counts, and what has no known cell was not considered."""
    one = field([(2, 4), (2, 4)], 4, 4, near=1)
    assert said(one, (0, 1))[-1] == "cell 1 is 10 away"
    assert said(one, (0,))[-1] == "cell 1 is 20 away"
    both = field([(4, 4), (2, 4)], 4, 4, near=(0, 1))
    assert said(both, (0,))[-1] == "cell 0 and cell 1 is 20 away"
    one.stock.devices = {"eth0": None}
    one = Candidates(one.stock, Request(4, 4 * UNIT, near="eth0"))
    assert said(one, (0,))[-1] == "the cell of eth0 is not known, so it was not considered"


def test_cells_that_give_memory_alone_are_named() -> None:
    """One is ``cell``, several are ``cells``."""
    one = field([(3, 4), (3, 4), (3, 4)], 4, 8)
    assert said(one, (0, 1), [(0, 4, 3), (1, 0, 3)])[-1] == "cell 1: memory alone"
    assert said(one, (0, 1, 2), [(0, 4, 3), (1, 0, 3), (2, 0, 2)])[-1] == "cells 1-2: memory alone"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a"], "a floats on CPUs that are taken: re-pin to the rest"),
        ([None], "7 floats on CPUs that are taken: re-pin to the rest"),
        (["a", "b", "c"], "a, b, c float on CPUs that are taken: re-pin to the rest"),
        (["a", "b", "c", "d"], "a, b, c and 1 more float on CPUs that are taken: re-pin to the rest"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more float on CPUs that are taken: re-pin to the rest"),
    ],
)
def test_guests_to_re_pin_are_named(names: list[str | None], sentence: str) -> None:
    """At most three, and the notes of the host follow."""
    one = field([(4, 4)], 4, 4)
    one.stock.notes.append("claimed")
    repin = [Repin(domain=7, name=name, vcpus=None, cpus=(1,)) for name in names]
    assert said(one, (0,), repin=repin)[1:] == [sentence, "claimed"]


@pytest.mark.parametrize(
    ("vcpus", "load", "sentence"),
    [
        (4, 0.0, None),
        (5, 0.0, "5 vcpus on 4 free cores, so some share a core"),
        (4, 0.5, "4 vcpus on 3 free cores, so some share a core"),
        (1, 3.0, None),
        (1, 4.0, "1 vcpu on 0 free cores, so some share a core"),
        (2, 9.0, "2 vcpus on 0 free cores, so some share a core"),
        (2, 3.0, "2 vcpus on 1 free core, so some share a core"),
    ],
)
def test_vcpus_that_share_a_core_are_said_to(vcpus: int, load: float, sentence: str | None) -> None:
    """A cell of four cores with two threads each, on which so many vcpus float."""
    capacity = cores_of((9, THREADS))
    capacity.rooms[0].load = load
    one = Candidates(capacity, Request(vcpus, 4 * UNIT))
    assert said(one, (0,))[1:] == ([] if sentence is None else [sentence])
    assert said(Candidates(capacity, Request(vcpus, 4 * UNIT, smt="share")), (0,))[1:] == []
    assert said(Candidates(capacity, Request(vcpus, 4 * UNIT, cells=1)), (0,))[1:] == []


def test_cores_of_one_thread_are_shared_by_nobody() -> None:
    """However much floats there; a core whose other thread is taken is not whole."""
    capacity = cores_of((9, [(0,), (1,)]))
    capacity.rooms[0].load = 2.0
    assert said(Candidates(capacity, Request(2, UNIT)), (0,))[1:] == []
    capacity.rooms[0].cores[1].whole = False
    assert said(Candidates(capacity, Request(2, UNIT)), (0,))[1:] == ["2 vcpus on 0 free cores, so some share a core"]


@pytest.mark.parametrize(("vcpus", "sentences"), [(1, 0), (2, 1)])
def test_unknown_cores_may_be_shared_by_two(vcpus: int, sentences: int) -> None:
    """One vcpu has nobody to share with."""
    capacity = cores_of((9, [(0,), (1,), (2,), (3,)]))
    capacity.rooms[0].settle([])
    capacity.rooms[0] = room(0, 9, [(0,), (1,), (2,), (3,)], broken=range(4))
    capacity.rooms[0].cores_known = False
    text = "which CPUs share a core is unknown, so some vcpus may share one"
    assert said(Candidates(capacity, Request(vcpus, UNIT)), (0,))[1:] == [text] * sentences


def test_the_nearest_pair_with_enough_cores_is_named() -> None:
    """Cell 2 is nearer than cell 1 and has too few, cell 3 has enough and is farther than both."""
    costs = [[10, 30, 20, 40], [30, 10, 40, 40], [20, 40, 10, 40], [40, 40, 40, 10]]
    capacity = cores_of((9, THREADS), (9, THREADS), (9, THREADS[:1]), (9, THREADS), costs=costs)
    start = "6 vcpus on 4 free cores, so some share a core"
    assert said(Candidates(capacity, Request(6, UNIT)), (0,))[1:] == [f"{start}; cells 0-1 have 8, 30 apart"]
    assert said(Candidates(capacity, Request(6, UNIT)), (3,))[1:] == [f"{start}; cells 0,3 have 8, 40 apart"]
    assert said(Candidates(capacity, Request(5, UNIT)), (0,))[1:] == [
        "5 vcpus on 4 free cores, so some share a core; cells 0,2 have 5, 20 apart"
    ]
    assert said(Candidates(cores_of((9, THREADS)), Request(6, UNIT)), (0,))[1:] == [start]


@pytest.mark.parametrize(
    ("parts", "reserves", "asked", "sentence"),
    [
        ([(0, 2, 6), (1, 2, 2)], (1, 2), {}, "2 MiB more of cell 1, its reserve"),
        ([(0, 2, 2), (1, 2, 6)], (1, 2), {}, "1 MiB more of cell 0, its reserve"),
        ([(0, 2, 6), (1, 2, 2)], (1, 0), {}, None),
        ([(0, 2, 4), (1, 2, 4)], (1, 2), {}, None),
        ([(0, 4, 8)], (1, 2), {}, None),
        ([(0, 2, 8), (1, 2, 0)], (1, 2), {}, None),
        ([(0, 2, 6), (1, 2, 2)], (1, 2), {"huge_page": UNIT}, None),
        ([(0, 2, 4), (1, 2, 4)], (1, 2), {"cells": 2}, None),
        ([(0, 2, 6), (1, 2, 2)], (1, 2), {"cells": 2}, None),
        ([(0, 2, 6), (1, 2, 2)], (1, 2), {"xen": False}, None),
    ],
)
def test_xen_may_take_more_of_the_cell_that_gives_least(
    parts: list[tuple[int, int, int]], reserves: tuple[int, int], asked: dict[str, Any], sentence: str | None
) -> None:
    """It deals out evenly, and does not know of the reserve."""
    one = field([(8, 4), (8, 4)], 4, 8, **{"xen": True, **asked})
    for number, reserve in enumerate(reserves):
        one.stock.rooms[number].reserve = reserve * UNIT
    shares = [Share(cell=cell, vcpus=vcpus, memory=memory * UNIT) for cell, vcpus, memory in parts]
    expected = [f"Xen deals memory out evenly until a cell is empty, so it may take up to {sentence}"]
    assert reasons._uneven(one, shares) == ([] if sentence is None else expected)


@pytest.mark.parametrize(("difference", "count"), [(4096, 0), (8192, 1)])
def test_one_granule_is_no_uneven_share(difference: int, count: int) -> None:
    """Of an odd number of pages one cell has one more."""
    one = field([(8, 4), (8, 4)], 4, 8, xen=True)
    one.stock.rooms[1].reserve = UNIT
    shares = [Share(cell=0, vcpus=2, memory=UNIT + difference), Share(cell=1, vcpus=2, memory=UNIT)]
    assert len(reasons._uneven(one, shares)) == count


@pytest.mark.parametrize(
    ("asked", "said_so"), [({}, True), ({"xen": False}, False), ({"cells": 2}, False), ({"huge_page": UNIT}, False)]
)
def test_xen_empties_the_cells_of_its_pool_before_it_takes_memory_from_others(
    asked: dict[str, Any], said_so: bool
) -> None:
    """The reserves of the cells with CPUs are summed, and those of the lender are its own."""
    one = field([(4, 2), (4, 2), (4, 0)], 4, 8, **{"xen": True, "memory_only": True, **asked})
    for number, reserve in enumerate((1, 2, 4)):
        one.stock.rooms[number].reserve = reserve * UNIT
    shares = [Share(cell=cell, vcpus=2 - cell // 2 * 2, memory=3 * UNIT) for cell in range(3)]
    expected = [
        "Xen empties cells 0-1 before it takes memory from other cells, which it chooses itself, so it may take up to"
        " 3 MiB more of cells 0-1, the reserve"
    ]
    assert reasons._uneven(one, shares) == (expected if said_so else [])
