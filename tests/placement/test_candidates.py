"""What each cell can give a request, and which cells may take part, at every limit."""

from __future__ import annotations

from typing import Any

import pytest
from capacities import UNIT, room, stock

from numaprobe import Request
from numaprobe.placement.candidates import (
    Candidates,
    allowed_cells,
    assign_shares,
    emulator_at,
    fitting_sets,
    shares,
    siblings,
    units,
)
from numaprobe.placement.guests import Floater
from numaprobe.placement.rooms import HostCapacity

MIB = 1 << 20
PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7)]


def host_of(*rooms: Any) -> HostCapacity:
    """Cells 0, 1, ... as given, 10 to itself and 20 to others."""
    n = range(len(rooms))
    return HostCapacity(dict(enumerate(rooms)), {i: {j: 10 if i == j else 20 for j in n} for i in n})


def cell(number: int = 0, *, kept: int = 0, memory: int = 8, **known: Any) -> Any:
    one = room(number, memory, known.pop("cores", PAIRS), **known)
    one.kept = kept
    return one


@pytest.mark.parametrize(
    ("asked", "more", "kept", "cpus"),
    [
        # Guests that float have all threads, and with them an emulator's own that leaves as many as must remain.
        ({}, 0, 8, 8),
        ({}, 2, 6, 6),
        ({}, 2, 7, 0),
        ({}, 9, 0, 0),
        ({"smt": "avoid"}, 0, 0, 4),
        ({"smt": "avoid"}, 5, 0, 3),
        # Guests with CPUs of their own leave as many as must remain.
        ({"pinned": True}, 0, 0, 8),
        ({"pinned": True}, 1, 2, 5),
        ({"pinned": True}, 0, 7, 1),
        ({"pinned": True}, 0, 8, 0),
        ({"pinned": True}, 0, 9, 0),
        ({"pinned": True, "smt": "avoid"}, 0, 5, 3),
        ({"pinned": True, "smt": "avoid"}, 0, 9, 0),
        ({"cores": True}, 0, 0, 4),
        ({"cores": True}, 0, 1, 3),
        ({"cores": True}, 0, 6, 1),
        ({"cores": True}, 0, 7, 0),
        ({"cores": True}, 0, 9, 0),
        ({"smt": "require"}, 0, 0, 8),
        ({"smt": "require"}, 0, 3, 5),
        ({"smt": "require"}, 0, 9, 0),
    ],
)
def test_the_vcpus_that_a_cell_can_run(asked: dict[str, Any], more: int, kept: int, cpus: int) -> None:
    """A cell of four cores of two threads, of which so many threads remain for others."""
    request = Request(1, 4096, **asked)
    assert units(cell(kept=kept), request, more) == cpus
    if request.exclusive:
        assert units(cell(), request, more, kept=kept) == cpus
        assert units(cell(kept=kept), request, more, kept=max(0, kept - 1)) == cpus


def test_whole_cores_of_several_sizes_are_given_away_from_the_largest() -> None:
    """Of four, two and one thread seven are needed for all three, and one that is not whole counts for none."""
    mixed = cell(cores=[(0,), (1, 2), (3, 4, 5, 6), (7,)], broken=[3])
    request = Request(1, 4096, cores=True)
    assert [units(mixed, request, 0, kept=8 - left) for left in range(9)] == [0, 0, 0, 0, 1, 1, 2, 3, 3]
    assert units(cell(cores=[(0,)], broken=[0]), request, 0) == 0
    assert [units(cell(cores=[(0, 1)]), request, 0, kept=kept) for kept in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("sizes", "found"),
    [([], []), ([1, 1], []), ([2], [(2, 1)]), ([4, 2, 2, 1], [(4, 1), (3, 1), (2, 3)])],
)
def test_siblings_are_counted_by_how_many_are_available(sizes: list[int], found: list[tuple[int, int]]) -> None:
    """From two, because one thread has no sibling, the largest number first."""
    at = [sum(sizes[:i]) for i in range(len(sizes))]
    cores = [tuple(range(first, first + size)) for first, size in zip(at, sizes, strict=True)]
    assert siblings(cell(cores=cores)) == found
    request = Request(1, 4096, smt="require")
    assert units(cell(cores=cores), request, 0) == max([each * number for each, number in found], default=0)


@pytest.mark.parametrize(
    ("asked", "cpus", "hosting"),
    [
        ({}, [8, 8], [8, 8]),
        ({"pinned": True}, [5, 0], [5, 0]),
        ({"emulator": 2}, [8, 8], [6, 0]),
        ({"smt": "avoid"}, [4, 4], [4, 4]),
        ({"smt": "avoid", "emulator": 5}, [4, 4], [3, 0]),
        ({"smt": "require"}, [5, 0], [5, 0]),
        ({"cores": True}, [2, 0], [2, 0]),
        ({"pinned": True, "emulator": 2}, [5, 0], [3, 0]),
        # Named CPUs that others use too: they are no vcpu's own, but floating vcpus may run on them.
        ({"emulator": (0, 4)}, [8, 8], [8, 8]),
        ({"pinned": True, "emulator": (0, 4)}, [3, 0], [3, 0]),
    ],
)
def test_cpus_and_those_beside_the_emulator_are_counted_apart(
    asked: dict[str, Any], cpus: list[int], hosting: list[int]
) -> None:
    """Two cells of eight CPUs, of which three and nine have to remain for guests that were placed before."""
    second = cell(1, kept=9, cores=[(8 + a, 8 + b) for a, b in PAIRS])
    field = Candidates(host_of(cell(kept=3), second), Request(1, 4096, **asked))
    assert (field.cpus, field.hosting) == (cpus, hosting)


@pytest.mark.parametrize(("kept", "cpus"), [(0, 8), (4, 6), (5, 3)])
def test_a_mixed_guest_fits_on_a_cell_that_has_its_own_cpus_and_one_for_each_floating_vcpu(
    kept: int, cpus: int
) -> None:
    """Four pinned and two floating vcpus on eight CPUs: what others need may be the same CPUs, up to four of them."""
    field = Candidates(host_of(cell(kept=kept)), Request(6, 4096, pinned_vcpus=range(4)))
    assert field.cpus == field.hosting == [cpus]


@pytest.mark.parametrize(("pinned", "fits"), [(6, True), (7, False)])
def test_floating_vcpus_of_a_mixed_guest_keep_as_many_cpus_as_they_are(pinned: int, fits: bool) -> None:
    """Two vcpus float, so that six of eight CPUs are the most that others of the guest can have alone."""
    field = Candidates(host_of(cell()), Request(pinned + 2, 4096, pinned_vcpus=range(pinned)))
    assert (field.cpus[0] >= pinned + 2) is fits


@pytest.mark.parametrize(
    ("memory", "pinnable", "given"),
    [(100 * MIB, None, 100), (101 * MIB, None, 100), (100 * MIB, 50 * MIB, 50), (100 * MIB, -1, 0), (-1, None, 0)],
)
def test_memory_that_may_be_pinned_is_given_in_whole_granules(memory: int, pinnable: int | None, given: int) -> None:
    """Of 2 MiB from 64 MiB on; never less than nothing, where the reserve is larger than the rest."""
    one = cell()
    one.memory, one.pinnable = memory, pinnable
    assert Candidates(host_of(one), Request(1, 64 * MIB, vfio=True)).memory == [given * MIB]


def test_memory_of_others_need_not_be_one_that_may_be_pinned() -> None:
    """Huge pages count as they are, since the pool holds them."""
    one = cell()
    one.memory, one.pinnable, one.pages = 101 * MIB, 0, {2 * MIB: 7}
    assert Candidates(host_of(one), Request(1, 64 * MIB)).memory == [100 * MIB]
    assert Candidates(host_of(one), Request(1, 64 * MIB - 1)).memory == [101 * MIB]
    assert Candidates(host_of(one), Request(1, 2 * MIB, huge_page=2 * MIB, vfio=True)).memory == [14 * MIB]


@pytest.mark.parametrize(("load", "cores"), [(0.0, 4), (0.5, 3), (1.0, 3), (4.0, 0), (4.5, 0), (9.0, 0)])
def test_counted_in_cores_a_cell_has_those_on_which_nobody_runs(load: float, cores: int) -> None:
    """A fraction of a floating vcpu occupies a whole core."""
    one = cell()
    one.load = load
    view = Candidates(host_of(one), Request(1, 4096)).counting_cores()
    assert (view.cpus, view.hosting) == ([cores], [cores])
    own = Candidates(host_of(one), Request(1, 4096, emulator=6)).counting_cores()
    assert (own.cpus, own.hosting) == ([cores], [min(2, cores)])


@pytest.mark.parametrize(
    ("memory", "need"), [(4096, 4096), (4097, 8192), (64 * MIB, 64 * MIB), (64 * MIB + 1, 66 * MIB)]
)
def test_what_is_needed_is_a_whole_number_of_granules(memory: int, need: int) -> None:
    """Rounded up, since a part of a page is a page."""
    assert Candidates(host_of(cell()), Request(1, memory)).need == need


def test_both_memory_and_cpus_have_to_suffice() -> None:
    """Of the set together, at the limit and below it, and of the cells that may take part alone."""
    capacity = stock([(2, 2), (2, 1), (1, 2)], [[10, 12, 14], [21, 10, 23], [31, 32, 10]])
    field = Candidates(capacity, Request(3, 4 * UNIT))
    assert [field.fits(chosen) for chosen in ((0,), (0, 1), (0, 2), (1, 2), (0, 1, 2))] == [
        False,
        True,
        False,
        False,
        True,
    ]
    capacity.homes = {"a": (1,)}
    field = Candidates(capacity, Request(3, 4 * UNIT, away_from="a"))
    assert (field.ids, field.costs) == ([0, 2], [(10, 14), (31, 10)])
    field = Candidates(capacity, Request(3, 4 * UNIT, together_with="a"))
    assert (field.ids, field.costs, field.cpus) == ([1], [(10,)], [1])


def test_the_view_in_cores_is_made_once() -> None:
    """And is of the same cells and request."""
    field = Candidates(host_of(cell()), Request(1, 4096))
    view = field.counting_cores()
    assert field.counting_cores() is view
    assert (view.ids, view.memory, view.request) == (field.ids, field.memory, field.request)


def test_what_is_blocked_fits_nowhere() -> None:
    """Even on a cell that has everything."""
    capacity = host_of(cell())
    assert Candidates(capacity, Request(3, 4096)).fits((0,)) is True
    capacity.quota = 2.5
    assert Candidates(capacity, Request(3, 4096)).fits((0,)) is True
    capacity.quota = 2.0
    field = Candidates(capacity, Request(3, 4096))
    assert field.fits((0,)) is False
    assert field.blocked == "3 vcpus are more than this process's CPU quota of 2 (ignore_allowed disregards it)"


def floater(number: int, name: str | None) -> Floater:
    return Floater(domain=number, name=name, vcpus=None, cpus=None, count=1)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["b"], "b"),
        (["c", "b", None], "7, b, c"),
        (["c", "b", "a", "b"], "a, b, c"),
        (["d", "c", "b", "a"], "a, b, c and 1 more"),
        (["e", "d", "c", "b", "a"], "a, b, c and 2 more"),
    ],
)
def test_guests_that_float_keep_a_cpu_and_are_named(names: list[str | None], shown: str) -> None:
    """At most three names, in order, and how many more; a guest without a name is its number."""
    capacity = host_of(cell())
    capacity.floaters = [floater(7, name) for name in names]
    blocked = Candidates(capacity, Request(8, 4096, pinned=True)).blocked
    assert blocked == f"no CPU would remain for running guests that float ({shown})"


@pytest.mark.parametrize(
    ("asked", "blocked"),
    [
        ({"vcpus": 9}, False),
        ({"vcpus": 7, "pinned": True}, False),
        ({"vcpus": 8, "pinned": True}, True),
        ({"vcpus": 6, "pinned": True, "emulator": 1}, False),
        ({"vcpus": 7, "pinned": True, "emulator": 1}, True),
        ({"vcpus": 1, "pinned": True, "emulator": 1}, False),
        ({"vcpus": 1, "emulator": 7}, False),
        ({"vcpus": 1, "emulator": 8}, True),
        ({"vcpus": 8, "pinned_vcpus": [0]}, False),
        # Cores of four, two, one and one threads, the largest first; a broken one is none.
        ({"vcpus": 2, "cores": True, "broken": [3]}, False),
        ({"vcpus": 3, "cores": True, "broken": [3]}, False),
        ({"vcpus": 3, "cores": True, "emulator": 1, "broken": [3]}, True),
        ({"vcpus": 2, "cores": True, "emulator": 2, "broken": [3]}, True),
        ({"vcpus": 2, "cores": True, "emulator": 1, "broken": [3]}, False),
        ({"vcpus": 4, "cores": True}, True),
    ],
)
def test_a_guest_may_not_take_the_last_cpu_from_those_that_float(asked: dict[str, Any], blocked: bool) -> None:
    """Of eight CPUs one has to remain, threads that stay idle beside a vcpu included."""
    cores = [(0,), (1, 2), (3, 4, 5, 6), (7,)]
    capacity = host_of(cell(cores=cores, broken=asked.pop("broken", ())))
    request = Request(memory=4096, **asked)
    assert Candidates(capacity, request).blocked is None
    capacity.floaters = [floater(1, "a")]
    assert (Candidates(capacity, request).blocked is not None) is blocked
    nothing = host_of(cell(cores=[]))
    nothing.floaters = capacity.floaters
    assert Candidates(nothing, request).blocked is None, "there is no CPU to lose"
    single = host_of(cell(cores=[(0,)]))
    single.floaters = capacity.floaters
    assert (Candidates(single, Request(1, 4096, pinned=True)).blocked is None) is False


def test_cpus_of_the_emulator_have_to_be_available() -> None:
    """The first that is not is named."""
    with pytest.raises(ValueError, match=r"^emulator: CPU 8 is not available on this host$"):
        Candidates(host_of(cell()), Request(1, 4096, emulator=(7, 8, 9)))


@pytest.mark.parametrize(
    ("known", "asked", "why"),
    [
        ({"cores": []}, {}, "has no usable CPUs"),
        ({"cores": [], "notes": ["a", "b"]}, {}, "has no usable CPUs: a; b"),
        ({"cores": []}, {"memory_only": True}, None),
        ({"cores": [], "kind": "cxl"}, {"kinds": "cxl"}, None),
        ({"cores": [], "kind": "cxl"}, {"kinds": "dax"}, "has no usable CPUs"),
        ({"cores": [], "lends": True}, {}, None),
        ({"cores": [], "kind": "gpu", "group": 2}, {"memory_only": True}, "is memory of a GPU, which is used only if"),
        ({"cores": [], "kind": "gpu", "group": 2}, {"kinds": "gpu"}, None),
        ({"kind": "gpu", "group": 0}, {}, None),
        ({"kind": "gpu", "group": 1}, {}, "is memory of a GPU, which is used only if kinds names gpu"),
    ],
)
def test_cells_that_may_not_take_part_and_why(known: dict[str, Any], asked: dict[str, Any], why: str | None) -> None:
    """A cell without CPUs is used only where that is asked for, and a GPU's only where it is named."""
    one = cell(1, cores=known.pop("cores", [(9,)]))
    for name, value in known.items():
        setattr(one, name, value)
    field = Candidates(host_of(cell(), one), Request(1, 4096, **asked))
    assert field.ids == ([0] if why else [0, 1])
    assert list(field.out) == ([1] if why else [])
    assert field.out.get(1, "").startswith(why or "")


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ({"vcpus": 4, "memory": 8 * 4096, "cells": 2}, [(2, 16384), (2, 16384)]),
        ({"vcpus": 2, "memory": 5 * 4096, "cells": 2}, [(1, 12288), (1, 8192)]),
        ({"vcpus": 2, "memory": 5 * 4096 + 1, "cells": 2}, [(1, 12288), (1, 12288)]),
        ({"vcpus": 3, "memory": 6 * 4096, "cells": 2}, [(2, 16384), (1, 8192)]),
        ({"vcpus": 3, "memory": 2 * 4096, "cells": 2}, [(2, 4096), (1, 4096)]),
        ({"vcpus": 5, "memory": 10 * 4096, "guest_cells": 3}, [(2, 16384), (2, 16384), (1, 8192)]),
        ({"vcpus": 2, "memory": 3 << 30, "cells": 2, "huge_page": 1 << 30}, [(1, 2 << 30), (1, 1 << 30)]),
        ({"vcpus": 1, "memory": 7 * 4096, "cells": 1}, [(1, 28672)]),
        ({"vcpus": 7, "memory": 14 * 4096, "cells": 3}, [(3, 24576), (2, 16384), (2, 16384)]),
        ({"vcpus": 33, "memory": 64 * MIB, "cells": 32}, [(2, 2 * MIB), *[(1, 2 * MIB)] * 31]),
    ],
)
def test_equal_shares_differ_by_one_vcpu_and_have_memory_in_proportion(
    asked: dict[str, Any], parts: list[tuple[int, int]]
) -> None:
    """The largest first, each of at least one granule and one vcpu."""
    request = Request(**asked)
    assert shares(request, len(parts)) == parts


@pytest.mark.parametrize(("cells", "pages"), [(32, {512}), (33, {496, 497})])
def test_shares_are_finer_than_2_mib_only_where_there_are_too_few(cells: int, pages: set[int]) -> None:
    """64 MiB have 32 granules of 2 MiB, and 33 cells cannot have one each."""
    parts = shares(Request(cells, 64 * MIB, cells=cells), cells)
    assert len(parts) == cells
    assert sum(size for _, size in parts) == 64 * MIB
    assert {size // 4096 for _, size in parts} == pages


def test_shares_are_dealt_to_the_ablest_cells_first() -> None:
    """Three vcpus and three granules on two cells: the larger share needs two of each."""
    capacity = stock([(1, 1), (2, 2), (2, 1)])
    field = Candidates(capacity, Request(3, 3 * UNIT, cells=2))
    assert field.shares == [(2, 2 * UNIT), (1, UNIT)]
    assert field.first_part == [1, 0, 1]
    assert assign_shares(field, (0, 1)) == [1, 0]
    assert assign_shares(field, (1, 2)) == [1, 2]
    assert assign_shares(field, (0, 2)) is None
    assert assign_shares(field, (1,)) is None
    assert list(fitting_sets(field, 1, 3)) == [(0, 1), (1, 2)]


def test_one_of_the_cells_of_equal_shares_has_room_for_the_emulator() -> None:
    """The first that has, in the order of the shares; without one they do not fit."""
    request = Request(3, 3 * UNIT, cells=2, emulator=1)
    field = Candidates(stock([(2, 2), (1, 2)]), request)
    assert (assign_shares(field, (0, 1)), emulator_at(field, [0, 1])) == ([0, 1], 1)
    field = Candidates(stock([(2, 3), (1, 2)]), request)
    assert emulator_at(field, [0, 1]) == 0
    field = Candidates(stock([(2, 2), (1, 1)]), request)
    assert (assign_shares(field, (0, 1)), emulator_at(field, [0, 1])) == (None, None)


def test_sets_that_fit_are_listed_from_the_smallest_and_up_to_the_maximum() -> None:
    """Two cells of three hold it, and so do all three unless that is too many."""
    cells = [(2, 2), (2, 2), (1, 2)]
    field = Candidates(stock(cells), Request(4, 3 * UNIT))
    assert list(fitting_sets(field, 1, 3)) == [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert list(fitting_sets(field, 3, 3)) == [(0, 1, 2)]
    assert list(fitting_sets(field, 1, 2)) == [(0, 1), (0, 2), (1, 2)]
    field = Candidates(stock(cells), Request(4, 3 * UNIT, max_cells=2))
    assert list(fitting_sets(field, 1, 3)) == [(0, 1), (0, 2), (1, 2)]


def test_an_emulator_costs_a_set_the_cpus_of_the_cell_that_loses_least() -> None:
    """Cells that cannot run it do not count, and a set of only such runs nothing."""
    field = Candidates(stock([(1, 4), (1, 2), (1, 3)]), Request(1, UNIT, emulator=2))
    assert (field.cpus, field.hosting) == ([4, 2, 3], [2, 0, 1])
    assert [field.runs(chosen) for chosen in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2))] == [2, 0, 1, 4, 3, 7]
    assert Candidates(stock([(1, 4), (1, 2)]), Request(1, UNIT)).runs((0, 1)) == 6


def test_cells_of_other_domains_are_avoided_or_the_only_ones() -> None:
    """A domain that may be anywhere keeps all away, one of the batch that is not placed yet keeps none."""
    capacity = stock([(1, 1)] * 3)
    capacity.homes = {"a": (0,), "b": (1, 2), "any": None, "later": ()}

    def found(**asked: Any) -> tuple[set[int] | None, dict[int, str]]:
        out: dict[int, str] = {}
        return allowed_cells(capacity, Request(1, 4096, **asked), out), out

    assert found() == (None, {})
    assert found(away_from="a") == ({1, 2}, {0: "a is there"})
    assert found(away_from="any") == (set(), dict.fromkeys(range(3), "any may be there, as anywhere"))
    assert found(together_with="b") == ({1, 2}, {0: "b is not there"})
    assert found(together_with=["later"]) == ({0, 1, 2}, {})
    assert found(together_with=["any"]) == ({0, 1, 2}, {})
    assert found(away_from=["a", "b"]) == (set(), {0: "a is there", 1: "b is there", 2: "b is there"})
    with pytest.raises(ValueError, match=r"^there is no domain 'c'$"):
        found(away_from="c")


def test_nearness_is_the_worst_distance_and_then_the_sum() -> None:
    """Of what has a known cell; None where none has."""
    capacity = stock([(1, 1)] * 3, [[10, 15, 20], [15, 10, 30], [20, 30, 10]])
    capacity.devices = {"eth0": 1, "eth1": None, "eth2": 9}

    def near(*wanted: str | int) -> Any:
        return Candidates(capacity, Request(1, 4096, near=wanted)).near

    assert near(0) == [(10, 10), (15, 15), (20, 20)]
    assert near(0, "eth0") == [(15, 25), (15, 25), (30, 50)]
    assert near("eth0", "eth1", "eth2") == [(15, 15), (10, 10), (30, 30)]
    assert near("eth1") is near("eth2") is near() is None
    for wanted, text in (
        (3, "near cell 3: the host has no cell 3"),
        ("eth3", "near eth3: the host has no such device"),
    ):
        with pytest.raises(ValueError, match=f"^{text}$"):
            near(wanted)
    capacity.devices = None
    with pytest.raises(
        ValueError, match=r"^near eth0: the host was read without its devices, which probe\(devices=True\)"
    ):
        near("eth0")
