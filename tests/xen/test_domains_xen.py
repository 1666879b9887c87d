"""Domains of a hypervisor: every release's rows, what may be missing, and what is said of their placement."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import pytest
from fake_domains import FakeDomain, FakeDomains, two_node_domains
from fake_xen import DOMCTL, MEMORY, MIB, SRAT, SYSCTL, VERSIONS, FakeNode, FakePool, FakeXen
from hypothesis import given
from hypothesis import strategies as st

from numaprobe.errors import FactError, SourceDenied, SourceUnavailable
from numaprobe.model.domains import Affinity, Domain, Domains, GuestCell, Vcpu
from numaprobe.model.host import Cell, Host, Memory
from numaprobe.normalise.domains import account
from numaprobe.normalise.xen import from_xen
from numaprobe.normalise.xen_domains import PAGE, deduce, from_domains
from numaprobe.probing.domains import ask_xen
from numaprobe.sources.transcript import RecordingHypercalls, Transcript
from numaprobe.xen.collect import collect
from numaprobe.xen.domains import debug_key as debugkey

CPUPOOL = 18


def host_of(xen: FakeDomains) -> Host:
    return from_xen(collect(xen, SRAT))


def domains_of(xen: FakeDomains, names: Mapping[int, str] | None = None, **options: bool | int) -> dict[object, Domain]:
    """The domains of a hand-made hypervisor by id."""
    host = host_of(xen)
    answer = ask_xen(xen, **options)  # type: ignore[arg-type]
    return {domain.id: domain for domain in from_domains(answer.domains, host, names, answer.located)}


@pytest.mark.parametrize("release", VERSIONS)
def test_every_release_tells_the_same_domains(release: str) -> None:
    """Five layouts of a row and two of an affinity are one set of domains; older ones have fewer figures."""
    old = VERSIONS[release][1]
    found = domains_of(two_node_domains(release), {1: "alice"})
    assert list(found) == [0, 1, 7]
    guest = found[1]
    assert (guest.kind, guest.name, guest.uuid) == ("hvm", "alice", "00010203-0405-0607-0809-0a0b0c0d0e0f")
    assert (guest.state, guest.vcpus, guest.vcpus_maximum, guest.pool) == ("paused", 2, 2, 0)
    assert (guest.memory, guest.maximum) == (51_200 * PAGE, 52_000 * PAGE)
    assert guest.claimed == (None if old < 0x09 else 512 * PAGE)
    assert guest.affinity == Affinity((4, 5), (1,) if old >= 0x09 else None)
    soft = tuple(range(8)) if old >= 0x0A else None
    assert guest.each_vcpu == tuple(Vcpu(vcpu, True, 4, (4, 5), soft, None) for vcpu in range(2))
    other = found[7]
    assert (other.kind, other.state, other.shared) == ("pv", "running", 3 * PAGE)
    assert other.paged == (None if old < 0x08 else 5 * PAGE)
    expected = (GuestCell(0, 64 * MIB, (0, 1), None), GuestCell(1, 32 * MIB, (2,), None)) if old >= 0x0A else None
    assert other.guest_cells == expected
    control = found[0]
    assert (control.maximum, control.uuid, control.name) == (None, None, None)


def test_without_a_hypercall_for_it_the_placement_on_two_cells_is_unknown() -> None:
    """Affinity is an intent, and no estimate is made of it."""
    for domain in domains_of(two_node_domains()).values():
        assert (domain.cells, domain.how, domain.how_from) == (None, "unknown", None)
        assert domain.unplaced == domain.memory


def test_a_hypervisor_that_counts_pages_by_node_is_believed() -> None:
    """XenServer has numa_op 1101 in the same interface version as everybody else."""
    found = domains_of(two_node_domains("4.20", counts=True))
    assert found[7].cells == ((0, 10_000 * PAGE), (1, 20_000 * PAGE))
    assert (found[7].how, found[7].how_from, found[7].unplaced) == ("exact", "domctl numa_op", 0)
    assert found[1].on(0) == 0


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL])
def test_a_hypervisor_without_numa_op_is_asked_for_it_once(code: int) -> None:
    """Its absence has many errnos and is no error."""
    xen = two_node_domains(deny={(DOMCTL, 1101): code})
    assert {domain.how for domain in domains_of(xen).values()} == {"unknown"}
    assert xen.made.count((DOMCTL, 1101)) == 1


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_refusal_is_kept_for_the_next_look_and_told_from_absence(code: int) -> None:
    """Under FLASK each one is a line on Xen's console; and a filter's is not the hypervisor's answer."""
    xen = two_node_domains(deny={(DOMCTL, 1101): code})
    refused: dict[tuple[int, int], int] = {}
    for _ in range(3):
        answer = ask_xen(xen, refused=refused)
        found = from_domains(answer.domains, host_of(xen), notes=answer.notes)
        assert [note.where for note in found.notes] == ([] if code == errno.ENOSYS else ["domctl numa_op"])
        assert found.complete
    assert xen.made.count((DOMCTL, 1101)) == 1


@pytest.mark.parametrize("command", [14, 25])
def test_a_domain_whose_online_vcpus_cannot_be_queried_is_not_one_without_vcpus(command: int) -> None:
    """EINVAL is also the answer for a number without a vcpu, but Xen counts those that are online."""
    xen = two_node_domains(deny={(DOMCTL, command): errno.EINVAL})
    found = looked(xen)
    assert {domain.each_vcpu for domain in found} == {None}
    assert any("counts as online" in note.text for note in found.notes)


def looked(xen: FakeDomains) -> Domains:
    answer = ask_xen(xen)
    return from_domains(answer.domains, host_of(xen), notes=answer.notes, complete=answer.complete)


def test_a_domain_that_a_policy_leaves_out_of_the_list_makes_it_incomplete() -> None:
    """Its pool counts it all the same; what it holds is then not the host's."""
    xen = two_node_domains(pools={0: FakePool(6, 2, tuple(range(8))), 1: FakePool(6, 1, ())})
    assert looked(xen).complete
    xen.hidden = (7,)
    found = looked(xen)
    assert (len(found), found.complete) == (2, False)
    text = "lists 2 domains where the cpupools have 3: its security policy (XSM, FLASK) hides the others"
    assert [tuple(note) for note in found.notes] == [("sysctl getdomaininfolist", text)]
    assert {use.host for use in account(host_of(xen), found)} == {None}


def test_a_domain_that_is_created_meanwhile_is_not_hidden() -> None:
    """The list is read again before it is called incomplete."""

    def create(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, CPUPOOL) and isinstance(xen, FakeDomains):
            xen.hidden = ()

    xen = two_node_domains(pools={0: FakePool(6, 3, tuple(range(8)))}, hidden=(7,), before=create)
    assert looked(xen).complete


@pytest.mark.parametrize(("pages", "complete"), [(150_000, True), (400_000, False)])
def test_where_pools_are_not_counted_pages_that_are_nobodys_tell(pages: int, complete: bool) -> None:
    """Xen needs a few percent of the memory itself; beyond, a domain may be hidden."""
    xen = two_node_domains(deny={(SYSCTL, CPUPOOL): errno.EACCES})
    held = sum(domain.total for domain in xen.domains.values())
    xen.free_pages = xen.total_pages - held - (pages - 150_000) - 10_000
    found = looked(xen)
    assert found.complete is complete
    assert [note.where for note in found.notes] == ([] if complete else ["sysctl getdomaininfolist"])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ((DOMCTL, 14), "domctl getvcpuinfo"),
        ((DOMCTL, 25), "domctl getvcpuaffinity"),
        ((DOMCTL, 69), "domctl getnodeaffinity"),
        ((MEMORY, 26), "memory_op get_vnumainfo"),
    ],
)
@pytest.mark.parametrize(
    ("code", "who"),
    [
        (errno.EPERM, "Operation not permitted: refused by a filter of the control domain's kernel"),
        (errno.EACCES, "Permission denied: refused by Xen's security policy (XSM, FLASK)"),
        (errno.ENOSYS, None),
    ],
)
def test_what_is_refused_is_noted_with_who_refused_it(
    call: tuple[int, int], name: str, code: int, who: str | None
) -> None:
    """One note covers all domains; an operation that this Xen does not have is no refusal."""
    xen = two_node_domains(deny={call: code})
    if who is None and call[1] in (14, 25):
        return
    notes = [tuple(note) for note in looked(xen).notes]
    assert notes == ([] if who is None else [(name, f"{who}, for domain 0-1,7")])


def test_an_affinity_ends_at_the_domains_cpupool() -> None:
    """The mask that was set may name cpus of other pools, on which nothing of the domain ever runs."""
    xen = two_node_domains()
    host = host_of(xen)
    cpus = tuple([cpu._replace(pool=1 if cpu.id == 5 else 0) for cpu in host.cpus])
    domains = from_domains(ask_xen(xen).domains, host._replace(cpus=cpus))
    guest = next(domain for domain in domains if domain.id == 1)
    assert guest.affinity.cpus == (4,)
    assert guest.each_vcpu is not None
    assert guest.each_vcpu[0].soft_cpus == (0, 1, 2, 3, 4, 6, 7)


def test_vcpus_that_xen_withholds_are_unknown_and_not_none_at_all() -> None:
    """Their number is in the list of domains all the same."""
    guest = domains_of(two_node_domains(deny={(DOMCTL, 14): errno.EPERM}))[1]
    assert (guest.each_vcpu, guest.vcpus, guest.affinity.cpus) == (None, 2, None)


def test_a_count_by_node_that_is_not_the_domains_is_not_believed() -> None:
    """A vendor's operation of the same number may be another one."""

    class Liar(FakeDomains):
        def _node_pages(self, op: bytearray, held: dict[int, bytearray]) -> None:
            held[32][:] = b"\x01" * len(held[32])

    xen = two_node_domains("4.20", counts=True)
    xen.__class__ = Liar
    assert {domain.how for domain in domains_of(xen).values()} == {"unknown"}


def test_a_single_cell_leaves_no_other_place() -> None:
    """The placement is deduced, since nothing counted it."""
    xen = two_node_domains()
    del xen.nodes[1]
    xen.cpus = {cpu: made for cpu, made in xen.cpus.items() if made.node == 0}
    found = domains_of(xen)
    assert found[1].cells == ((0, 51_200 * PAGE),)
    assert (found[1].how, found[1].unplaced) == ("deduced", 0)


def test_a_cell_with_nothing_allocated_holds_nothing() -> None:
    """All of a domain is then on the other one."""
    xen = two_node_domains()
    xen.nodes[0] = FakeNode(2560 * MIB, 655263 * PAGE)  # as much as there is: see fake_xen
    xen.domains = {0: FakeDomain(), 5: FakeDomain({1: 300}, vcpus=((0,),))}
    assert domains_of(xen)[5].cells == ((0, 0), (1, 300 * PAGE))


@given(st.data())
def test_what_is_deduced_is_always_where_the_memory_is(data: st.DataObject) -> None:
    """Any number of domains on any cells are tried, with what the hypervisor keeps for itself."""
    cells = data.draw(st.integers(1, 4), "cells")
    amount = st.integers(0, 5)
    placed = data.draw(st.lists(st.lists(amount, min_size=cells, max_size=cells), min_size=1, max_size=4), "domains")
    own = data.draw(st.lists(amount, min_size=cells, max_size=cells), "hypervisor")
    free = data.draw(st.lists(amount, min_size=cells, max_size=cells), "free")
    known = data.draw(st.lists(st.booleans(), min_size=cells, max_size=cells), "totals known")
    made = []
    for cell in range(cells):
        total = sum(domain[cell] for domain in placed) + own[cell] + free[cell]
        memory = Memory(total if known[cell] else None, free[cell], None, total + own[cell], None, None, None, None)
        made.append(Cell(3 * cell, (), memory, (), None, (), (), None, None))
    for domain in placed:
        found = deduce(sum(domain), made)
        if found is not None:
            assert found == {3 * cell: size for cell, size in enumerate(domain)}


def test_a_cell_of_which_a_figure_is_unknown_may_hold_all_of_it() -> None:
    """Without free memory, or without both total and span, nothing bounds what is on it."""
    full = Cell(id=1, memory=Memory(total=100, free=100))
    for memory in (Memory(total=100), Memory(free=5)):
        assert deduce(10, [Cell(id=0, memory=memory), full]) == {0: 10, 1: 0}
        assert deduce(10, [Cell(id=0, memory=memory), Cell(id=1, memory=Memory(total=100, free=90))]) is None


@given(st.lists(st.integers(0, 4), min_size=2, max_size=3), st.integers(0, 9))
def test_what_could_be_in_two_places_is_not_deduced(allocated: list[int], memory: int) -> None:
    """Every way of placing a domain within what is allocated is tried: only a single one is an answer."""
    cells = [
        Cell(cell, (), Memory(size, 0, None, None, None, None, None, None), (), None, (), (), None, None)
        for cell, size in enumerate(allocated)
    ]

    def ways(left: int, room: list[int]) -> list[list[int]]:
        if not room:
            return [[]] if left == 0 else []
        return [[size, *rest] for size in range(min(left, room[0]) + 1) for rest in ways(left - size, room[1:])]

    possible = ways(memory, allocated)
    found = deduce(memory, cells)
    assert found == (dict(enumerate(possible[0])) if len(possible) == 1 else None)


@pytest.mark.parametrize("release", VERSIONS)
def test_the_debug_key_tells_every_page_in_every_releases_words(release: str) -> None:
    """Xen changed the text of its answer three times."""
    found = domains_of(two_node_domains(release), debug_key=True)
    assert found[0].cells == ((0, 100_000 * PAGE), (1, 50_000 * PAGE))
    assert found[7].cells == ((0, 10_000 * PAGE), (1, 20_000 * PAGE))
    assert {(domain.how, domain.unplaced) for domain in found.values()} == {("debug-key", 0)}


def test_the_debug_key_is_pressed_only_when_asked_for() -> None:
    """Its answer may hold the host up."""
    xen = two_node_domains()
    domains_of(xen)
    assert {(SYSCTL, 1), (SYSCTL, 7)}.isdisjoint(xen.made)


def test_the_debug_key_is_not_pressed_for_a_large_domain() -> None:
    """The limit is on the largest domain, whose pages Xen walks without a pause."""
    xen = two_node_domains()
    with pytest.raises(SourceUnavailable, match="refused: a domain has 585 MiB"):
        domains_of(xen, debug_key=True, debug_key_limit=512 * MIB)
    assert (SYSCTL, 7) not in xen.made


def test_a_console_that_has_lost_the_beginning_of_the_answer_is_an_error() -> None:
    """The ring is overwritten when the answer is longer than it."""
    xen = two_node_domains(ring_size=200)
    with pytest.raises(FactError, match="ring is too small"):
        domains_of(xen, debug_key=True)


def test_a_long_console_is_read_to_its_end() -> None:
    """The answer is after everything that was there before."""
    xen = two_node_domains(ring="(XEN) old\n" * 30_000, ring_size=1 << 20)
    assert domains_of(xen, debug_key=True)[1].on(1) == 51_200 * PAGE


def test_other_lines_and_times_between_the_answers_do_not_matter() -> None:
    """Guests print when they like, and so does Xen."""
    text = two_node_domains().printed()
    noisy = "".join(
        line.replace("(XEN) ", "(XEN) [   39.954803] ") + "(d7) Domain 1 (total: 5):\r\n    Node 0: 5\n"
        for line in text.splitlines(keepends=True)
    )
    assert debugkey.parse(noisy) == debugkey.parse(text)


@pytest.mark.parametrize("cut", [1, 3, 5, 8, 9])
def test_an_answer_without_its_end_is_an_error(cut: int) -> None:
    """A domain without all its nodes would be short of memory."""
    lines = two_node_domains("4.9", domains={0: FakeDomain({0: 5, 1: 6})}).printed().splitlines(keepends=True)
    with pytest.raises(FactError):
        debugkey.parse("".join(lines[:-cut]))


def test_an_answer_without_one_of_the_domains_is_an_error() -> None:
    """The list of domains says which ones must be in it."""

    class Short(FakeDomains):
        def printed(self) -> str:
            return super().printed().partition("(XEN) Domain 7")[0]

    xen = two_node_domains()
    xen.__class__ = Short
    with pytest.raises(FactError, match="incomplete"):
        domains_of(xen, debug_key=True)


def test_rows_of_another_size_than_thought_are_an_error() -> None:
    """A vendor's row that is longer, or shorter, than the version's."""
    for stride in (104, 120):
        with pytest.raises(FactError, match=r"rows (are not )?of 112 bytes"):
            domains_of(two_node_domains("4.17", stride=stride))


def test_more_domains_than_fit_in_one_answer_are_asked_for_in_parts() -> None:
    """The next part starts after the last domain of the previous one."""
    xen = two_node_domains()
    xen.domains = {3 * number: FakeDomain({0: number}, vcpus=((0,),)) for number in range(300)}
    assert list(domains_of(xen, each_vcpu=False)) == sorted(xen.domains)
    assert xen.made.count((SYSCTL, 6)) == 3


def test_a_domain_that_goes_away_meanwhile_is_left_out() -> None:
    """It was in the list and is not known any more."""

    def destroy(xen: FakeDomains, number: int, command: int) -> None:
        if (number, command) == (DOMCTL, 14):
            xen.domains.pop(1, None)

    found = domains_of(two_node_domains(before=destroy))
    assert list(found) == [0, 7]


def test_a_domain_without_vcpus_has_none() -> None:
    """One that is being built has memory before it has vcpus."""
    xen = two_node_domains()
    xen.domains[9] = FakeDomain({0: 7})
    found = domains_of(xen)[9]
    assert (found.vcpus, found.vcpus_maximum, found.each_vcpu, found.affinity.cpus) == (0, 0, (), None)


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        (0x20, "running"),
        (0x10, "running"),
        (0x8 | 0x10, "paused"),
        (0x4 | 0x8 | 3 << 16, "crashed"),
        (0x4 | 2 << 16, "suspended"),
        (0x4 | 0 << 16, "shutdown"),
        (0x1 | 0x4 | 3 << 16, "dying"),
    ],
)
def test_the_state_is_the_last_that_a_domain_came_to(flags: int, state: str) -> None:
    """Dying outranks shutdown, which outranks pause; whether a vcpu runs just now is no state."""
    xen = two_node_domains()
    xen.domains[7].flags = flags
    assert domains_of(xen, each_vcpu=False)[7].state == state


def test_a_list_that_is_refused_is_an_error_that_names_it() -> None:
    """Without the list no domain is known at all."""
    with pytest.raises(SourceDenied, match="sysctl getdomaininfolist"):
        domains_of(two_node_domains(deny={(SYSCTL, 6): errno.EPERM}))


def test_affinities_that_are_withheld_are_unknown() -> None:
    """A security policy may deny the one and not the other."""
    denied = {(DOMCTL, 69): errno.EACCES, (DOMCTL, 25): errno.EACCES, (MEMORY, 26): errno.EPERM}
    assert domains_of(two_node_domains(deny=denied))[1].affinity == Affinity(None, None)


def test_a_transcript_answers_for_the_domains_too() -> None:
    """A replay of what was recorded gives the same domains, including the debug key's answer."""
    xen = two_node_domains()
    recorder = RecordingHypercalls(xen)
    live = ask_xen(recorder, debug_key=True)
    assert ask_xen(Transcript(recorder.text()), debug_key=True) == live


@pytest.mark.parametrize("counts", [True, False])
def test_every_cells_columns_add_up_to_its_total(counts: bool) -> None:
    """Memory that cannot be attributed has a column of its own."""
    xen = two_node_domains("4.20", counts=counts)
    host = host_of(xen)
    found = tuple(domains_of(xen).values())
    for use in account(host, found):
        assert use.total == host.cell(use.id).memory.total
        assert use.host is not None
        assert use.unattributed is not None
        assert use.free + use.pooled + sum(size for _, size in use.domains) + use.host + use.unattributed == use.total
        assert (use.unattributed == 0) == counts
        assert [number for number, _ in use.domains] == (
            [0, 7] if use.id == 0 and counts else [0, 1, 7] if counts else []
        )


def test_figures_that_contradict_each_other_are_not_added_up() -> None:
    """A guest may have grown since the host was read."""
    xen = two_node_domains("4.20", counts=True)
    host = host_of(xen)
    xen.domains[1].pages = {1: 1200 * MIB // PAGE}
    use = account(host, tuple(domains_of(xen).values()))[1]
    assert (use.host, use.unattributed) == (None, None)


# --- what cannot be ------------------------------------------------------------------------------------------------


def test_more_pages_than_the_machine_has_are_no_fact() -> None:
    """A domain's memory, on all nodes and on each, is a part of the machine's."""
    xen = two_node_domains("4.20", counts=True)
    xen.domains[7].pages = {0: 2**40, 1: 5}
    found = domains_of(xen)[7]
    assert (found.memory, found.cells, found.how, found.unplaced) == (None, None, "unknown", None)


def test_pages_on_a_node_that_is_too_small_are_placed_nowhere() -> None:
    """The sum can be, and what the counters of the nodes say cannot."""
    xen = two_node_domains("4.20", counts=True)
    xen.domains[7].pages = {1: 2048 * MIB // PAGE}
    found = domains_of(xen)[7]
    assert (found.memory, found.cells) == (2048 * MIB, None)


def test_nodes_of_an_affinity_that_do_not_exist_are_not_none_at_all() -> None:
    """No domain prefers no node: what is left of such a mask is unknown."""
    xen = two_node_domains("4.20", counts=True)
    xen.domains[7].nodes = (5,)
    assert domains_of(xen)[7].affinity.cells is None
