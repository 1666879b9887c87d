"""Which CPUs a guest holds for its vcpus alone, at every boundary of the rule."""

from __future__ import annotations

import pytest
from hosts import domain, host

from numaprobe.model.pinned import cores_of, held_cpus

# CPUs 0 to 7 are four cores of two threads, CPU 8 has a core that is not known.
CORES = {**{cpu: (cpu - cpu % 2, cpu - cpu % 2 + 1) for cpu in range(8)}, 8: None}


@pytest.mark.parametrize(
    ("vcpus", "choice", "held"),
    [
        # One CPU of several is held, the only one there is not.
        ([(3,)], 2, {3}),
        ([(3,)], 1, set()),
        ([(3,)], 0, set()),
        ([(3,)], None, {3}),
        ([(3,), None, ()], 2, {3}),
        # One core each is held from two vcpus, of more CPUs than the core has.
        ([(0, 1), (2, 3)], 3, {0, 1, 2, 3}),
        ([(0, 1), (2, 3)], 2, set()),
        ([(0, 1), (2, 3)], None, {0, 1, 2, 3}),
        ([(0, 1)], 8, set()),
        # Vcpus that share a core float on it.
        ([(0, 1), (0, 1)], 8, set()),
        ([(0, 1), (2, 3), (2, 3)], 8, set()),
        # Not a core: CPUs of two, or of an unknown one.
        ([(1, 2), (3, 4)], 8, set()),
        ([(8, 7), (0, 1)], 8, set()),
        # Both kinds in one guest.
        ([(0, 1), (2, 3), (6,)], 8, {0, 1, 2, 3, 6}),
        ([(0, 1), (6,)], 8, {6}),
    ],
)
def test_a_vcpu_holds_what_was_chosen_among_several(
    vcpus: list[tuple[int, ...] | None], choice: int | None, held: set[int]
) -> None:
    """``choice`` is how many CPUs each cell has; None is a CPU of which that is not known, which may be one of many."""
    guest = domain("g", len(vcpus), pinned=vcpus)
    assert held_cpus(guest, CORES, {} if choice is None else dict.fromkeys(range(9), choice)) == held


def test_a_guest_without_a_list_of_vcpus_holds_nothing() -> None:
    """Its affinity as a whole says nothing about one vcpu."""
    assert held_cpus(domain("g", 4, cpus=(0,)), CORES, {}) == set()


def test_only_the_online_cpus_of_a_cell_are_a_choice() -> None:
    """An offline CPU has its cell's number too, and its own siblings as the source gives them."""
    core_of, several = cores_of(host([1, 1], cpus=2, offline=[1]))
    assert core_of == {0: (0,), 1: None, 2: (2, 3), 3: (2, 3)}
    assert several == {0: 1, 1: 1, 2: 2, 3: 2}
