"""What the guests of a host hold in the ledger, by cell: no server is needed to say it."""

from __future__ import annotations

import pytest
from fleets import guest, guests, two_cells
from hosts import GIB, MIB, host, made
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import Affinity, Domain, GuestCell, Host
from numaprobe.contrib.openstack import Member
from numaprobe.contrib.openstack.guests import Held, held_by_guests
from numaprobe.contrib.openstack.tree import tree_of


def held(*domains: Domain, on: Host | None = None) -> Held:
    member = Member("a", two_cells() if on is None else on, guests(*domains))
    return held_by_guests(member, tree_of(member), known={})


def memory(*domains: Domain, on: Host | None = None) -> tuple[dict[int, int], dict[int, int]]:
    """MiB that one guest holds by cell, and MiB that are kept back by cell."""
    found = held(*domains, on=on)
    amounts = found.holdings[0].amounts if found.holdings else {}
    return {cell: one["MEMORY_MB"] for cell, one in amounts.items() if "MEMORY_MB" in one}, {
        cell: size for cell, size in found.kept.items() if size
    }


def test_memory_is_held_where_it_is_and_what_is_not_touched_is_kept_back_everywhere() -> None:
    """The rest of an unbound guest may be allocated on any cell, rounded up to whole MiB."""
    web = guest("web", {0: 1 * GIB, 1: 2 * GIB}, maximum=4 * GIB)
    assert memory(web) == ({0: 1024, 1: 2048}, {0: 1024, 1: 1024})
    assert memory(web._replace(maximum=3 * GIB)) == ({0: 1024, 1: 2048}, {})
    assert memory(web._replace(maximum=3 * GIB + 1)) == ({0: 1024, 1: 2048}, {0: 1, 1: 1}), "a whole MiB"
    assert memory(web._replace(maximum=None)) == ({0: 1024, 1: 2048}, {})
    assert held(web._replace(maximum=None)).notes == ()
    assert held(web).notes == ("guest web: 1 GiB may be on any of cells 0-1; kept back in each",)


def test_a_bound_guest_has_all_of_it_on_its_cell() -> None:
    """Known by cell or not, and whatever else the binding names."""
    web = guest("web", {0: 0, 1: 1 * GIB}, maximum=4 * GIB, bound=[1])
    assert memory(web) == ({1: 4096}, {})
    assert memory(web._replace(cells=None)) == ({1: 4096}, {})
    assert memory(web._replace(maximum=GIB + 1)) == ({1: 1025}, {})
    assert memory(web._replace(affinity=Affinity(None, (1, 9)))) == ({1: 4096}, {}), "the host has no cell 9"
    assert memory(web._replace(affinity=Affinity(None, (9,)))) == ({1: 1024}, {0: 3072, 1: 3072})


@pytest.mark.parametrize("kind", ["pv", "hvm"])
def test_a_domain_of_xen_holds_what_it_has_and_what_it_was_promised(kind: str) -> None:
    """Its maximum is a limit to balloon up to."""
    db = guest("db", {0: 1 * GIB, 1: 0}, maximum=8 * GIB)._replace(kind=kind)
    assert memory(db) == ({0: 1024}, {})
    assert memory(db._replace(claimed=512 * MIB)) == ({0: 1024}, {0: 512, 1: 512})


def test_a_guest_of_unknown_memory_keeps_everything_back() -> None:
    """The worst case is all of each cell, or the known size in each of them."""
    web = guest("web", None)._replace(memory=None, maximum=None)
    assert memory(web) == ({}, {0: 16384, 1: 16384})
    assert "its memory is unknown" in held(web).notes[0]
    assert memory(web._replace(maximum=GIB)) == ({}, {0: 1024, 1: 1024})
    assert memory(web._replace(memory=GIB)) == ({}, {0: 1024, 1: 1024})


def cells_of(*where: tuple[int, int]) -> tuple[GuestCell, ...]:
    return tuple(made(GuestCell, id=number, memory=size, cells=(cell,)) for number, (cell, size) in enumerate(where))


def test_guest_cells_on_one_cell_each_say_where_its_memory_belongs() -> None:
    """Though not all of it is touched yet; with more than they have the rest may be anywhere."""
    web = guest("web", {0: GIB, 1: 0}, maximum=3 * GIB)._replace(guest_cells=cells_of((0, GIB), (1, 2 * GIB)))
    assert memory(web) == ({0: 1024, 1: 2048}, {})
    assert memory(web._replace(guest_cells=cells_of((1, GIB), (1, 2 * GIB)))) == ({1: 3072}, {})
    assert memory(web._replace(maximum=4 * GIB)) == ({0: 1024, 1: 2048}, {0: 1024, 1: 1024})
    elsewhere = web._replace(guest_cells=cells_of((0, GIB), (9, 2 * GIB)))
    assert memory(elsewhere) == ({0: 1024}, {0: 2048, 1: 2048}), "the host has no cell 9"
    only = web._replace(maximum=GIB, guest_cells=cells_of((0, GIB)))
    assert memory(only) == ({0: 1024}, {})


def vcpus(*domains: Domain, on: Host | None = None) -> dict[int, int]:
    found = held(*domains, on=on)
    return {cell: one["VCPU"] for cell, one in found.holdings[0].amounts.items() if "VCPU" in one}


def test_vcpus_count_where_they_may_run() -> None:
    """By each vcpu's own CPUs, else by the guest's, else anywhere; CPUs that are not usable do not count."""
    web = guest("web", {0: GIB, 1: 0}, vcpus=[[0], [8], [9]])
    assert vcpus(web) == {0: 1, 1: 2}
    assert vcpus(web._replace(each_vcpu=None)) == {0: 1, 1: 2}
    assert vcpus(web._replace(each_vcpu=None, affinity=Affinity(None, None), vcpus=4)) == {0: 2, 1: 2}
    assert vcpus(guest("web", {0: GIB}, vcpus=[[0, 8]] * 3)) == {0: 2, 1: 1}, "the lower cell has the odd one"
    assert vcpus(guest("web", {0: GIB}, vcpus=[[0, 1, 8]] * 3)) == {0: 2, 1: 1}
    assert vcpus(guest("web", {0: GIB}, vcpus=[[0, 8]]), on=host([16 * GIB] * 2, isolated=[0])) == {1: 1}
    silent = web.each_vcpu[0]._replace(cpus=None)  # type: ignore[index]
    assert vcpus(web._replace(each_vcpu=(silent,), affinity=Affinity((8, 9), None))) == {1: 1}


def test_vcpus_that_are_offline_do_not_count() -> None:
    """A guest started with room for hotplug runs on fewer CPUs than its maximum."""
    web = guest("web", {0: GIB, 1: 0}, vcpus=[[0], [8]])
    each = tuple(one._replace(online=one.id == 0) for one in web.each_vcpu or ())
    assert vcpus(web._replace(each_vcpu=each)) == {0: 1}


def test_an_unknown_number_of_vcpus_is_said_and_none_is_counted() -> None:
    """A guess would refuse guests for which there is room, so a note replaces it."""
    web = guest("web", {0: GIB, 1: 0})._replace(vcpus=None, each_vcpu=None)
    assert vcpus(web) == {}
    assert any("how many vcpus it has is unknown" in note for note in held(web).notes)


@pytest.mark.parametrize("kind", ["pv", "hvm"])
def test_the_control_domain_runs_on_the_hosts_own_account_unless_it_was_given_cpus(kind: str) -> None:
    """Its vcpus float over the whole host by default; dom0_vcpus_pin or an affinity counts."""
    dom0 = guest("Domain-0", {0: GIB, 1: 0}, vcpus=[range(16)] * 4, number=0)._replace(kind=kind)
    assert vcpus(dom0) == {}
    assert vcpus(dom0._replace(id=1)) == {0: 2, 1: 2}
    assert vcpus(guest("Domain-0", {0: GIB}, vcpus=[range(8)] * 4, number=0)._replace(kind=kind)) == {0: 4}


@given(
    st.lists(st.sets(st.integers(0, 15), min_size=1), min_size=1, max_size=8),
    st.sets(st.integers(0, 15), max_size=4),
)
def test_no_vcpu_is_lost_or_counted_twice(sets: list[set[int]], isolated: set[int]) -> None:
    """And no cell has more than could run there at once."""
    machine = host([16 * GIB] * 2, isolated=sorted(isolated))
    found = vcpus(guest("web", {0: GIB}, vcpus=[sorted(cpus) for cpus in sets]), on=machine)
    assert sum(found.values()) == len(sets)
    for cell, inside in ((0, set(range(8)) - isolated), (1, set(range(8, 16)) - isolated)):
        able = [cpus for cpus in sets if cpus & inside or not cpus - isolated]
        assert found.get(cell, 0) <= len(able)
        usable = [cpus - isolated or set(range(16)) - isolated for cpus in sets]
        share = sum(len(cpus & inside) / len(cpus) for cpus in usable)
        assert abs(found.get(cell, 0) - share) < 1
