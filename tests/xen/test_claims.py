"""Claims by node (numa_meminfo of XenServer and XCP-ng): when they are read, when believed, and what follows."""

from __future__ import annotations

import errno

import pytest
from fake_xen import GIB, MIB, PC_TOTAL_PAGES, SRAT, SYSCTL, VERSIONS, FakeFiles, FakeNode, FakeXen, two_node_pc

from numaprobe import DoesNotFit, place
from numaprobe.metrics.rows import host_rows
from numaprobe.normalise.xen import from_xen
from numaprobe.sampling.xen import XenSampler
from numaprobe.sources.transcript import RecordingHypercalls, Transcript
from numaprobe.xen.collect import collect
from numaprobe.xen.facts import NodeClaims

MEMINFO = (SYSCTL, 1117)
TOTAL = PC_TOTAL_PAGES << 12
SIZES = {0: 2560 * MIB - 640 * 1024, 1: TOTAL - 2560 * MIB + 640 * 1024}
FREE = {0: GIB, 1: GIB + MIB}


def xenserver(claimed: tuple[int, int] = (64 * MIB, 0), *, host: int | None = None, **changes: object) -> FakeXen:
    """Two nodes with so many bytes claimed on each, and in the whole host, or their sum."""
    rows = {node: (SIZES[node], FREE[node], claimed[node]) for node in (0, 1)}
    pages = (sum(claimed) if host is None else host) >> 12
    return two_node_pc("4.21", **{"claims": rows, "outstanding_pages": pages, **changes})


def test_claims_are_those_of_each_cell() -> None:
    """Free memory is numainfo's; what is available is less by what is claimed on this cell alone."""
    facts = collect(xenserver(), SRAT)
    assert facts.claims == (NodeClaims(SIZES[0], GIB, 64 * MIB), NodeClaims(SIZES[1], GIB + MIB, 0))
    host = from_xen(facts)
    first, second = (cell.memory for cell in host.cells)
    assert (first.claimed, first.available) == (64 * MIB, GIB - 64 * MIB)
    assert (second.claimed, second.available) == (0, GIB + MIB)
    assert first.available_from == "numainfo memfree less numa_meminfo claimed"
    assert host.hypervisor is not None
    assert host.hypervisor.claimed == 64 * MIB
    assert host.notes == ()


def test_a_plan_counts_the_claims_of_its_own_cell() -> None:
    """Without them all claims are kept back in every cell."""
    known, unknown = (from_xen(collect(xen, SRAT)) for xen in (xenserver((GIB, 0)), xenserver((GIB, 0), claims=None)))
    assert place(known, vcpus=1, memory=GIB, reserve=0).cells == (1,)
    with pytest.raises(DoesNotFit, match="1 GiB claimed by other domains are kept back in every cell"):
        place(unknown, vcpus=1, memory=GIB, reserve=0)


def test_claims_of_a_cell_are_a_metric_of_it() -> None:
    """Where Xen does not say on which node they are, there is the figure of the whole host alone."""
    known, unknown = (from_xen(collect(xen, SRAT)) for xen in (xenserver((GIB, 0)), xenserver((GIB, 0), claims=None)))
    name = "numaprobe_node_claimed_memory_bytes"
    assert host_rows(known)[name] == [(("0",), GIB), (("1",), 0)]
    assert name not in host_rows(unknown)
    assert host_rows(unknown)["numaprobe_memory_claimed_bytes"] == [((), GIB)]


def test_claims_on_no_node_in_particular_are_kept_back_everywhere() -> None:
    """They may be served by any; what is available of a cell is then unknown, and a plan assumes the worst."""
    host = from_xen(collect(xenserver((64 * MIB, 0), host=128 * MIB), SRAT))
    assert [cell.memory.claimed for cell in host.cells] == [64 * MIB, 0]
    assert [cell.memory.available for cell in host.cells] == [None, None]
    place(host, vcpus=1, memory=GIB - 64 * MIB, reserve=0, cells=1)
    with pytest.raises(DoesNotFit):
        place(host, vcpus=1, memory=GIB + 2 * MIB - 64 * MIB, reserve=0, cells=1)


def test_sizes_are_the_memory_of_the_cells_where_no_table_has_it() -> None:
    """As in a PVH control domain, which gets no SRAT: nothing is then missing, and nothing is noted."""
    host = from_xen(collect(xenserver(), FakeFiles()))
    assert [cell.memory.total for cell in host.cells] == list(SIZES.values())
    assert {cell.memory.total_from for cell in host.cells} == {"numa_meminfo size"}
    assert host.notes == ()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ({0: (SIZES[0] - 4096, FREE[0], 0), 1: (SIZES[1], FREE[1], 0)}, f"{SIZES[0] + SIZES[1] - 4096}"),
        ({0: (SIZES[0] - 4096, FREE[0], 0), 1: (SIZES[1], FREE[1], 0)}, f"all of the memory, {TOTAL} bytes"),
        ({0: (SIZES[0], FREE[0] - 4096, 0), 1: (SIZES[1], FREE[1], 0)}, "free memory of node 0 that is not numainfo's"),
        ({0: (SIZES[0], FREE[0], 4096), 1: (SIZES[1], FREE[1], 64 * MIB)}, "more is claimed than in the whole host"),
        ({0: (TOTAL, FREE[0], 0)}, "not the number of nodes"),
        ({0: (TOTAL, FREE[0], 0), 1: (0xFFFFFFFF, 0, 0)}, "has other nodes than numainfo"),
        ({0: (SIZES[0], FREE[0], 0), 1: (SIZES[1], FREE[1], 0), 2: (0, 0, 0)}, "not the number of nodes"),
    ],
)
def test_an_answer_that_contradicts_the_others_is_not_believed(rows: dict[int, tuple[int, int, int]], why: str) -> None:
    """The number belongs to no interface version: another hypervisor may have something else there."""
    facts = collect(xenserver((64 * MIB, 0), claims=rows), SRAT)
    assert facts.claims is None
    assert [where for where, _ in facts.notes] == ["sysctl numa_meminfo"]
    assert why in facts.notes[0][1]
    host = from_xen(facts)
    assert [cell.memory.claimed for cell in host.cells] == [None, None]
    assert [cell.memory.available for cell in host.cells] == [None, None]


def test_memory_that_is_allocated_meanwhile_is_no_contradiction() -> None:
    """Its free memory lies between what numainfo has before and after."""

    def take(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == MEMINFO and xen.claims is not None:
            xen.nodes[0] = FakeNode(2560 * MIB, GIB - 8 * MIB, GIB)
            xen.claims = {**xen.claims, 0: (SIZES[0], GIB - 4 * MIB, 0)}

    facts = collect(xenserver((0, 0), before=take), SRAT)
    assert facts.claims is not None
    assert facts.notes == ()


@pytest.mark.parametrize(
    ("reported", "later", "believed"),
    [
        (GIB - 8 * MIB, GIB - 8 * MIB, True),
        (GIB - 8 * MIB - 4096, GIB - 8 * MIB, False),
        (GIB + 8 * MIB, GIB + 8 * MIB, True),
        (GIB + 8 * MIB + 4096, GIB + 8 * MIB, False),
        (GIB - 4096, None, False),
    ],
)
def test_free_memory_is_believed_up_to_what_numainfo_has_later(
    reported: int, later: int | None, believed: bool
) -> None:
    """At the later figure itself, and not a page beyond; a node that is gone by then has no later figure."""

    def change(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == MEMINFO:
            xen.claims = {0: (SIZES[0], FREE[0], 0), 1: (SIZES[1], reported + MIB, 0)}
            if later is None:
                del xen.nodes[1]
            else:
                xen.nodes[1] = FakeNode(2560 * MIB, later + MIB, GIB)

    facts = collect(xenserver((0, 0), before=change), SRAT)
    assert (facts.claims is not None) is believed
    figure = FREE[1] if later is None else later + MIB
    text = f"free memory of node 1 that is not numainfo's, {figure}: {reported + MIB}"
    assert [note for where, note in facts.notes if where == "sysctl numa_meminfo"] == ([] if believed else [text])


@pytest.mark.parametrize(
    ("claimed", "at_first", "later", "queries"),
    [(8192, 8192, 8192, 0), (8192, 4096, 8192, 1), (4096, 0, 4096, 1), (4096, 0, 0, 1), (8192, 4096, 4096, 1)],
)
def test_claims_are_at_most_those_of_the_whole_host(claimed: int, at_first: int, later: int, queries: int) -> None:
    """Those are queried again only if they are less, for they may have grown meanwhile."""

    def change(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == MEMINFO:
            xen.outstanding_pages = later >> 12

    xen = xenserver((claimed, 0), host=at_first, before=change)
    facts = collect(xen, SRAT)
    assert (facts.claims is not None) is (claimed <= later)
    assert xen.made[xen.made.index(MEMINFO) :].count((SYSCTL, 3)) == queries
    text = f"more is claimed than in the whole host, {later} bytes: {claimed}"
    assert facts.notes == (() if claimed <= later else (("sysctl numa_meminfo", text),))


def test_a_node_that_is_absent_has_no_claims() -> None:
    """Its row says so in either word, as numainfo's does, and the others are believed."""
    for word in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        xen = xenserver((0, 4096))
        xen.nodes[2] = xen.nodes.pop(1)
        assert xen.claims is not None
        xen.claims = {0: xen.claims[0], 1: (word, 0, 0), 2: xen.claims[1]}
        rows = collect(xen, SRAT).claims
        assert rows == (NodeClaims(SIZES[0], GIB, 0), None, NodeClaims(SIZES[1], GIB + MIB, 4096))


def test_claims_are_requested_with_room_for_four_more_nodes() -> None:
    """A recording answers only a request of the same length."""
    asked: list[tuple[int, int]] = []

    class Measured(FakeXen):
        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            if (number, command) == MEMINFO:
                asked.append((int.from_bytes(op[8:12], "little"), len(buffers[0][1])))
                assert set(buffers[0][1]) == {0xFF}
            return super().call(number, command, op, buffers)

    assert collect(Measured(**vars(xenserver())), SRAT).claims is not None
    assert asked == [(6, 6 * 24)]


def test_an_error_without_a_number_is_not_taken_for_an_absent_operation() -> None:
    """It is noted, as a refusal by a policy is."""

    def fail(_: FakeXen, number: int, command: int) -> None:
        if (number, command) == MEMINFO:
            raise OSError

    facts = collect(xenserver(before=fail), SRAT)
    assert facts.claims is None
    assert facts.notes == (("sysctl numa_meminfo", "cannot be queried"),)


@pytest.mark.parametrize("release", [release for release in VERSIONS if VERSIONS[release][0] >= 0x15])
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM])
def test_an_ordinary_xen_is_asked_once_and_nothing_is_said(release: str, code: int) -> None:
    """FLASK refuses an operation that it does not know with EPERM, and prints a line on the console each time."""
    xen = two_node_pc(release, deny={MEMINFO: code})
    refused: dict[tuple[int, int], int] = {}
    for _ in range(3):
        facts = collect(xen, SRAT, refused=refused)
        assert (facts.claims, facts.notes) == (None, ())
    assert xen.made.count(MEMINFO) == 1


@pytest.mark.parametrize("release", [release for release in VERSIONS if VERSIONS[release][0] < 0x15])
def test_an_older_xen_is_not_asked(release: str) -> None:
    """No vendor used that number there."""
    xen = two_node_pc(release)
    collect(xen, SRAT)
    assert MEMINFO not in xen.made


def test_a_policy_that_knows_it_and_refuses_is_noted_each_time_and_asked_once() -> None:
    """Then there are claims by node, and they are withheld."""
    xen = xenserver(deny={MEMINFO: errno.EACCES})
    refused: dict[tuple[int, int], int] = {}
    text = "Permission denied: refused by Xen's security policy (XSM, FLASK)"
    for _ in range(2):
        assert collect(xen, SRAT, refused=refused).notes == (("sysctl numa_meminfo", text),)
    assert xen.made.count(MEMINFO) == 1


def test_a_recording_answers_alike_and_an_older_one_has_no_claims() -> None:
    """A transcript made before the operation was known has no answer to it, which is no damage."""
    recorder = RecordingHypercalls(xenserver())
    made = collect(recorder, SRAT)
    text = recorder.text()
    assert collect(Transcript(text), SRAT) == made
    older = "".join(line + "\n" for line in text.splitlines() if '"command": 1117' not in line)
    assert older != text
    assert collect(Transcript(older), SRAT) == made._replace(claims=None)


def test_a_sample_has_what_is_available_of_each_cell() -> None:
    """Claims are read anew with it; where they no longer agree, it is unknown and noted."""
    xen = xenserver((64 * MIB, 0))
    sampler = XenSampler(xen, SRAT, timed=False)
    sample = sampler.detailed(huge_pages=False, available=True, counters=False, vmstat=())
    assert [cell.available for cell in sample.cells] == [GIB - 64 * MIB, GIB + MIB]
    xen.claims = {0: (SIZES[0], FREE[0], 0), 1: (SIZES[1], FREE[1], 128 * MIB)}
    xen.outstanding_pages = 128 * MIB >> 12
    sample = sampler.detailed(huge_pages=False, available=True, counters=False, vmstat=())
    assert [cell.available for cell in sample.cells] == [GIB, GIB + MIB - 128 * MIB]
    xen.claims = {0: (SIZES[0], FREE[0], 0), 1: (SIZES[1] - 4096, FREE[1], 128 * MIB)}
    sample = sampler.detailed(huge_pages=False, available=True, counters=False, vmstat=())
    assert [cell.available for cell in sample.cells] == [None, None]
    assert [note.where for note in sample.notes] == ["sysctl numa_meminfo"]
