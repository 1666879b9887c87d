"""Domains at their limits: the list's last numbers, counts that change meanwhile, and what the console says."""

from __future__ import annotations

import errno
from struct import pack_into

import pytest
from fake_domains import FakeDomain, FakeDomains, two_node_domains
from fake_xen import DOMCTL, MEMORY, SYSCTL, FakePool, FakeXen

from numaprobe.errors import FactError, SourceError
from numaprobe.probing.domains import ask_xen
from numaprobe.xen.domains import debug_key
from numaprobe.xen.domains.debug_key import Located
from numaprobe.xen.domains.facts import DomainFacts, VnodeFacts
from numaprobe.xen.sysctl import Sysctl

LIST, NUMA_OP, VNUMA = (SYSCTL, 6), (DOMCTL, 1101), (MEMORY, 26)


def facts(xen: FakeDomains) -> dict[int, DomainFacts]:
    found = ask_xen(xen).domains
    assert len({row.id for row in found}) == len(found)
    return {row.id: row for row in found}


@pytest.mark.parametrize(
    ("ids", "lists"),
    [
        (range(127), 1),
        (range(128), 2),
        (range(0, 3 * 129, 3), 2),
        (range(256), 3),
        (range(0x7FF0 - 128, 0x7FF0), 1),
        (range(0x7FF0 - 127, 0x7FF0), 1),
    ],
)
def test_the_list_has_each_domain_once(ids: range, lists: int) -> None:
    """128 at a time, and nothing is requested behind the last number that a domain may have."""
    xen = two_node_domains("4.17", domains={number: FakeDomain({0: 1}) for number in ids})
    xen.domains[0] = FakeDomain({0: 1})
    if ids[0]:
        xen.hidden = (0,)
    xen.pools = {}
    found = ask_xen(xen, each_vcpu=False)
    assert [row.id for row in found.domains] == list(ids)
    assert xen.made.count(LIST) == lists


@pytest.mark.parametrize(("number", "taken"), [(0x7FEF, True), (0x7FF0, False)])
def test_the_numbers_from_7ff0_on_are_no_domains(number: int, taken: bool) -> None:
    """Xen's own, such as that of the idle domain, are not in the list."""
    xen = two_node_domains("4.17")
    xen.domains[number] = FakeDomain({0: 1})
    if taken:
        assert number in facts(xen)
        return
    with pytest.raises(FactError) as caught:
        facts(xen)
    assert str(caught.value) == "sysctl getdomaininfolist: domains out of order in rows of 112 bytes: '32752'"


@pytest.mark.parametrize("count", [2, 4, 129])
def test_a_count_that_is_not_the_number_of_rows_is_refused(count: int) -> None:
    """Fewer than are written, or more than there was room for; with more than are written a row is no row."""

    class Counting(FakeDomains):
        def _list(self, op: bytearray, held: dict[int, bytearray]) -> None:
            super()._list(op, held)
            pack_into("<I", op, 24, count)

    xen = two_node_domains("4.17")
    xen.__class__ = Counting
    with pytest.raises(FactError) as caught:
        facts(xen)
    text = {4: "domains out of order in rows of 112 bytes: '61166'"}.get(count, f"rows are not of 112 bytes: '{count}'")
    assert str(caught.value) == f"sysctl getdomaininfolist: {text}"


def test_a_domain_that_is_gone_is_found_out_where_it_has_no_affinity_to_nodes() -> None:
    """Before 4.3 another operation of domctl says so."""

    def destroy(xen: FakeDomains, number: int, command: int) -> None:
        if (number, command) == (DOMCTL, 14):
            xen.domains.pop(1, None)

    xen = two_node_domains("4.2", before=destroy)
    assert list(facts(xen)) == [0, 7]


@pytest.mark.parametrize(
    ("then", "again", "pages"),
    [
        (30_500, 30_500, {0: 10_500, 1: 20_000}),
        (29_500, 29_500, {0: 9_500, 1: 20_000}),
        (30_500, 31_000, {0: 10_500, 1: 20_000}),
        (29_500, 29_000, {0: 9_500, 1: 20_000}),
        (30_500, 30_499, None),
        (29_500, 29_501, None),
        (30_500, 30_000, None),
        (30_500, None, None),
    ],
)
def test_pages_that_change_while_they_are_counted_lie_between_two_lists(
    then: int, again: int | None, pages: dict[int, int] | None
) -> None:
    """30,000 in the first list, so many when they are counted, and so many in the list after that."""
    turns: list[tuple[int, int]] = []

    def change(xen: FakeDomains, number: int, command: int) -> None:
        if (number, command) == NUMA_OP:
            turns.append(NUMA_OP)
            xen.domains[7].pages = {0: then - 20_000, 1: 20_000}
        elif (number, command) == LIST and turns:
            if again is None:
                xen.hidden = (7,)
            else:
                xen.domains[7].pages = {0: again - 20_000, 1: 20_000}

    xen = two_node_domains("4.17", counts=True, before=change)
    del xen.domains[1]
    xen.domains[0].pages = {}
    found = next(row for row in ask_xen(xen).domains if row.id == 7)
    assert (found.tot_pages, found.node_pages) == (30_000, pages)


def test_a_domain_without_vcpus_is_asked_for_none() -> None:
    """Neither for vcpus nor for virtual nodes."""
    xen = two_node_domains("4.17", domains={0: FakeDomain({0: 1})})
    assert facts(xen)[0].vcpus == ()
    assert {(DOMCTL, 14), (DOMCTL, 25), VNUMA}.isdisjoint(xen.made)


@pytest.mark.parametrize(
    ("vnodes", "placed", "ranges", "refused"),
    [(64, 2, 128, False), (65, 2, 1, True), (1, 3, 1, True), (1, 2, 129, True), (1, 2, 1, False)],
)
def test_virtual_nodes_are_no_more_than_there_was_room_for(
    vnodes: int, placed: int, ranges: int, refused: bool
) -> None:
    """64 nodes, 128 ranges of memory, and as many vcpus as the domain has."""

    class Many(FakeDomains):
        def _vnuma(self, op: bytearray, held: dict[int, bytearray]) -> None:
            for number in range(min(ranges, 128)):
                pack_into("<QQII", held[32], 24 * number, 0, 1 << 20, 0, number % min(vnodes, 64))
            pack_into("<III", op, 4, vnodes, placed, ranges)

    xen = two_node_domains("4.17", domains={0: FakeDomain({0: 1}, vcpus=((0,), (1,)))})
    xen.__class__ = Many
    if refused:
        with pytest.raises(FactError) as caught:
            facts(xen)
        assert str(caught.value) == f"memory_op get_vnumainfo: more than there was room for: '{vnodes}'"
        return
    size = (1 << 20) * (ranges // vnodes)
    first, *others = facts(xen)[0].vnodes or ()
    assert first == VnodeFacts(0, size, (0, 1))
    assert others == [VnodeFacts(node, size, ()) for node in range(1, vnodes)]


@pytest.mark.parametrize(
    ("call", "code"), [(VNUMA, errno.EIO), ((DOMCTL, 14), errno.EIO), ((DOMCTL, 69), errno.EIO), ((DOMCTL, 25), errno.EIO)]
)  # fmt: skip
def test_an_error_of_xen_itself_is_one(call: tuple[int, int], code: int) -> None:
    """It is neither absence nor a refusal."""
    with pytest.raises(SourceError) as caught:
        facts(two_node_domains("4.17", deny={call: code}))
    assert caught.value.errno == code


@pytest.mark.parametrize(
    ("listed", "after", "complete", "lists"),
    [((0, 1, 7), (0, 1, 7), True, 1), ((0, 1), (0, 1), False, 3), ((0, 1), (0, 1, 7), True, 2)],
)
def test_a_list_is_read_again_twice_before_it_is_called_incomplete(
    listed: tuple[int, ...], after: tuple[int, ...], complete: bool, lists: int
) -> None:
    """As many as the cpupools count are all of them."""

    def show(xen: FakeDomains, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, 18):
            xen.hidden = tuple({0, 1, 7} - set(after))

    pools = {0: FakePool(6, 1, tuple(range(8))), 1: FakePool(6, 2, ())}
    xen = two_node_domains("4.17", pools=pools, hidden=tuple({0, 1, 7} - set(listed)), before=show)
    found = ask_xen(xen)
    assert (found.complete, xen.made.count(LIST)) == (complete, lists)
    text = "lists 2 domains where the cpupools have 3: its security policy (XSM, FLASK) hides the others"
    assert [tuple(note) for note in found.notes] == ([] if complete else [("sysctl getdomaininfolist", text)])


@pytest.mark.parametrize(("own", "complete"), [(65_526, True), (65_527, True), (65_528, False)])
def test_what_xen_has_for_itself_is_a_sixteenth_of_the_memory_at_most(own: int, complete: bool) -> None:
    """Of 1,048,447 pages 65,527; where the cpupools cannot be counted, one more is taken for a hidden domain's."""
    xen = two_node_domains("4.17", deny={(SYSCTL, 18): errno.EACCES}, outstanding_pages=0)
    xen.free_pages = 1_048_447 - 231_200 - own
    found = ask_xen(xen)
    assert found.complete is complete
    text = "65528 of 1048447 pages are allocated and of no domain in the list, which may be hidden"
    assert [tuple(note) for note in found.notes] == ([] if complete else [("sysctl getdomaininfolist", text)])


@pytest.mark.parametrize(("pools", "complete"), [(True, True), (False, False)])
def test_where_neither_pools_nor_pages_can_be_counted_it_is_unknown_whether_domains_are_hidden(
    pools: bool, complete: bool
) -> None:
    """The second physinfo, which has all pages, is broken."""

    def spoil(xen: FakeDomains, number: int, command: int) -> None:
        if (number, command) == LIST:
            xen.free_pages = xen.total_pages + 1

    xen = two_node_domains("4.17", deny={} if pools else {(SYSCTL, 18): errno.EACCES}, before=spoil)
    xen.pools = {0: FakePool(6, 3, tuple(range(8)))}
    found = ask_xen(xen)
    assert found.complete is complete
    text = (
        "whether all domains are listed is unknown: sysctl physinfo: not plausible in interface version 0x15: "
        "'1048447 pages, 1048448 free, 0 being scrubbed, 512 claimed'"
    )
    assert [tuple(note) for note in found.notes] == ([] if complete else [("sysctl getdomaininfolist", text)])


def lines(*rows: str) -> str:
    return "".join(f"(XEN) {row}\n" for row in rows)


HEADING = "'u' pressed -> dumping numa info (now = 31585)"
NODES = ("NODE0 start->0 size->9 free->1", "NODE1 start->9 size->9 free->1")
SECTION = "Memory location of each domain:"
FIRST = ("d0 (total: 7):", "    Node 0: 3", "    Node 1: 4")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (lines(HEADING, *NODES, SECTION, *FIRST), {0: Located(7, {0: 3, 1: 4})}),
        (lines(HEADING, *NODES, SECTION, "d0 (total: 8):", *FIRST[1:]), {0: Located(8, {0: 3, 1: 4})}),
        # Pressed twice, or by somebody else before; the last answer counts.
        (lines(HEADING, "NODE5 start->0 size->9", SECTION, "d3 (total: 1):", "    Node 5: 1", HEADING, *NODES, SECTION, *FIRST),
         {0: Located(7, {0: 3, 1: 4})}),
        # What looks like a part of the answer before it, or in another part of it.
        (lines(SECTION, *FIRST, *NODES, HEADING, *NODES, "    Node 0: 9", SECTION, "    Node 1: 9", *FIRST),
         {0: Located(7, {0: 3, 1: 4})}),
    ],
)  # fmt: skip
def test_the_answer_on_the_console_is_the_last_one(text: str, found: dict[int, Located]) -> None:
    """Its heading, its nodes, its section of domains, in this order."""
    assert debug_key.parse(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the answer is not on the console"),
        (lines(HEADING), "the answer is not on the console"),
        (lines(*NODES, SECTION, *FIRST), "the answer is not on the console"),
        (lines(HEADING, SECTION, *FIRST), "the answer is not on the console"),
        (lines(HEADING, *NODES, *FIRST), "the answer is not on the console"),
        (lines(HEADING, *NODES, SECTION), "the answer is not on the console"),
        (lines(HEADING, *NODES, SECTION, *FIRST, HEADING), "the answer is not on the console"),
        (lines(HEADING, *NODES, SECTION, *FIRST, HEADING, *NODES), "the answer is not on the console"),
        (lines(HEADING, *NODES, SECTION, *FIRST, "    Node 1: 4"), "a node is reported twice: 'Node 1: 4'"),
        (lines(HEADING, *NODES, SECTION, *FIRST[:2]), "the answer is incomplete: 'domain 0'"),
        (lines(HEADING, *NODES, SECTION, *FIRST, "    Node 2: 0"), "the answer is incomplete: 'domain 0'"),
        (lines(HEADING, *NODES, SECTION, "d0 (total: 6):", *FIRST[1:]), "the answer is incomplete: 'domain 0'"),
        (lines(HEADING, *NODES, SECTION, *FIRST, "d12 (total: 0):"), "the answer is incomplete: 'domain 12'"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(text: str, said: str) -> None:
    """A domain with fewer pages than the total is one that has some in no node; more cannot be."""
    with pytest.raises(FactError) as caught:
        debug_key.parse(text)
    assert str(caught.value).startswith(f"sysctl debug_keys u: {said}")


def test_what_is_on_the_console_in_place_of_the_answer_is_quoted() -> None:
    """The last 60 characters of it."""
    with pytest.raises(FactError) as caught:
        debug_key.parse("-" * 50 + "0123456789" + "+" * 50)
    assert caught.value.text == "0123456789" + "+" * 50


@pytest.mark.parametrize(
    ("before", "reads"),
    [(60_000, [65536] * 2), (65_535, [65536] * 2), (65_536, [65536, 262144, 65536]), (262_144, [65536, 262144, 1048576, 65536])],
)  # fmt: skip
def test_the_console_is_read_with_more_room_until_all_of_it_is_there(before: int, reads: list[int]) -> None:
    """Four times as much each time; the answer to the key alone is read from where the console was."""
    rooms: list[int] = []

    class Measured(FakeDomains):
        def _console(self, op: bytearray, held: dict[int, bytearray]) -> None:
            rooms.append(len(held[16]))
            super()._console(op, held)

    xen = two_node_domains("4.17", ring="x" * before, ring_size=1 << 24)
    xen.__class__ = Measured
    assert ask_xen(xen, debug_key=True).located is not None
    assert rooms == reads


def test_the_console_is_read_with_16_mib_at_most() -> None:
    """A longer one is taken as it is, and the index says what is missing."""
    rooms: list[int] = []

    class Endless(FakeXen):
        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            room = len(buffers[0][1])
            rooms.append(room)
            reply = bytearray(op)
            pack_into("<I", reply, 24, room)
            return 0, bytes(reply), (bytes(room),)

    index, text = debug_key._read(Sysctl(Endless(), 0x15), None)
    assert rooms == [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24]
    assert (index, len(text)) == (0, 1 << 24)
