"""Which CPUs of a cell a guest gets for itself."""

from __future__ import annotations

from collections.abc import Sequence

from capacities import UNIT, room
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Request
from numaprobe.placement.pinning import dedicate, spare
from numaprobe.placement.rooms import CellCapacity


def cell(*sizes: Sequence[int], broken: Sequence[int] = (), loads: Sequence[float] | None = None) -> CellCapacity:
    """A cell whose caches each have cores with so many threads; CPUs are numbered as they come."""
    cores, groups, first = [], [], 0
    for cache, threads in enumerate(sizes):
        for number in threads:
            cores.append(tuple(range(first, first + number)))
            groups.append((None, cache))
            first += number
    return room(0, 64, cores, groups=groups, broken=broken, loads=loads)


def given_to(where: CellCapacity, vcpus: int, *, by_core: bool = False, **asked: object) -> list[int]:
    request = Request(vcpus, 4 * UNIT, **{"pinned": True, **asked})  # type: ignore[arg-type]
    return sorted(cpu for cpus in dedicate(where, request, vcpus, by_core=by_core) for cpu in cpus)


def test_no_vcpus_get_no_cpus() -> None:
    """A cell of a divided guest may hold memory alone."""
    assert dedicate(cell([1]), Request(1, 4 * UNIT, pinned=True), 0) == ()


def test_the_cache_with_the_least_room_that_holds_all_is_taken_or_the_most_to_spread() -> None:
    """CPUs 0 to 3, 4 and 5, 6 to 8; of equal caches the first."""
    three = cell([1] * 4, [1] * 2, [1] * 3)
    assert given_to(three, 2) == [4, 5]
    assert given_to(three, 3) == [6, 7, 8]
    assert given_to(three, 2, policy="spread") == [0, 1]
    assert given_to(cell([1] * 2, [1] * 2), 2) == [0, 1]
    assert given_to(cell([1] * 2, [1] * 2), 2, policy="spread") == [0, 1]


def test_where_no_cache_holds_all_the_largest_are_filled_and_the_last_just_holds_the_rest() -> None:
    """Four CPUs of the first, and of the others the pair, not three or one."""
    four = cell([1] * 4, [1] * 3, [1] * 2, [1])
    assert given_to(four, 6) == [0, 1, 2, 3, 7, 8]
    assert given_to(four, 5) == [0, 1, 2, 3, 9]
    assert given_to(four, 7) == [0, 1, 2, 3, 4, 5, 6]
    assert given_to(four, 10) == list(range(10))


def test_cores_on_which_nobody_floats_are_first_and_broken_ones_last() -> None:
    """A broken core has a thread that somebody else owns."""
    loaded = cell([2, 2, 2], loads=[1.0, 0.0, 0.0])
    assert given_to(loaded, 4) == [2, 3, 4, 5]
    assert given_to(loaded, 5) == [0, 1, 2, 3, 4]
    broken = cell([2, 2, 2], broken=[0])
    assert given_to(broken, 4) == [2, 3, 4, 5]
    assert given_to(broken, 6) == [0, 1, 2, 3, 4, 5]
    two = cell([1] * 2, [1] * 2, loads=[1.0, 0.0, 0.0, 0.0])
    assert given_to(two, 2) == [2, 3], "the cache where two are quiet"
    assert given_to(two, 3) == [1, 2, 3]


def test_an_odd_guest_ends_on_a_core_that_it_fills() -> None:
    """So that no core is broken where one has just as many threads as are left."""
    assert given_to(cell([2, 2, 1]), 3) == [0, 1, 4]
    assert given_to(cell([2, 2, 2]), 3) == [0, 1, 2]
    assert given_to(cell([4, 2, 1]), 3) == [0, 1, 2]
    assert given_to(cell([4, 3, 1]), 3) == [4, 5, 6]


def test_a_thread_of_each_core_is_taken_to_spread_to_avoid_and_by_core() -> None:
    """Second threads follow where the cores are too few."""
    pairs = cell([2, 2, 2, 2])
    for asked in ({"policy": "spread"}, {"smt": "avoid"}, {"by_core": True}):
        assert given_to(pairs, 3, **asked) == [0, 2, 4]  # type: ignore[arg-type]
    assert given_to(pairs, 6, policy="spread") == [0, 1, 2, 3, 4, 6], "then second threads"
    assert given_to(cell([2, 1, 3]), 5, policy="spread") == [0, 1, 2, 3, 4]


def test_isolate_gives_whole_cores_and_require_as_many_threads_of_each() -> None:
    """These are nova's words for what may run on the sibling thread."""
    request = Request(2, 4 * UNIT, smt="isolate")
    assert dedicate(cell([2, 2, 2], broken=[0]), request, 2) == ((2, 3), (4, 5))
    assert given_to(cell([2, 1, 2]), 4, smt="require") == [0, 1, 3, 4]
    assert given_to(cell([4, 4, 2]), 8, smt="require") == list(range(8))
    assert given_to(cell([4, 2, 2]), 6, smt="require") == [0, 1, 4, 5, 6, 7]
    assert given_to(cell([3, 3]), 3, smt="require") == [0, 1, 2]
    assert given_to(cell([2, 2, 2], broken=[0]), 4, smt="require") == [2, 3, 4, 5]


def test_an_emulators_cpus_share_a_cache_with_its_vcpus_and_break_no_other_core() -> None:
    """It is the second thread of a core that is already broken, where there is one."""
    two = cell([2, 2], [2, 2])
    assert spare(two, 1, [(4,)]) == (5,)
    assert spare(two, 2, [(4,)]) == (5, 6)
    assert spare(two, 1, [(4,), (5,)]) == (6,)
    assert spare(two, 3, [(4,), (5,)]) == (0, 6, 7)
    assert spare(two, 1, []) == (0,)
    assert spare(cell([2, 2], broken=[1]), 1, []) == (2,)


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(1, 12),
    st.sets(st.integers(0, 15), max_size=4),
    st.sampled_from((None, "share", "avoid")),
    st.sampled_from(("pack", "spread")),
)
def test_each_vcpu_has_a_cpu_in_as_few_caches_as_hold_them(
    sizes: list[list[int]], vcpus: int, broken: set[int], smt: str | None, policy: str
) -> None:
    """One wherever one has room; never a CPU twice."""
    where = cell(*sizes, broken=sorted(broken))
    if vcpus > (where.idle if smt == "avoid" else where.cpus):
        return
    found = given_to(where, vcpus, smt=smt, policy=policy)
    assert len(set(found)) == len(found) == vcpus
    cache_of = {cpu: core.groups[-1] for core in where.cores for cpu in core.threads}
    room_in: dict[object, int] = {}
    for core in where.cores:
        number = int(core.whole) if smt == "avoid" else len(core.threads)
        room_in[core.groups[-1]] = room_in.get(core.groups[-1], 0) + number
    caches = {cache_of[cpu] for cpu in found}
    if len(sizes) > 1 and max(room_in.values()) >= vcpus:
        assert len(caches) == 1
