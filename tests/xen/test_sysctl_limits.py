"""Lists of sysctl at their limits: what room is requested, when again with more, and when no more."""

from __future__ import annotations

from struct import pack, pack_into

import pytest
from fake_xen import MIB, SYSCTL, VERSIONS, FakeCpu, FakeNode, FakePool, FakeXen, two_node_pc

from numaprobe.errors import FactError, SourceError
from numaprobe.xen import physinfo, sysctl
from numaprobe.xen.facts import CpuPool
from numaprobe.xen.sysctl import Sysctl

CPUTOPO, NUMAINFO, CPUPOOL, PCITOPO = 16, 17, 18, 22


class Measured:
    """A port that remembers the word that each operation requests, and the bytes of its buffers."""

    def __init__(self, xen: FakeXen) -> None:
        self.xen = xen
        self.asked: list[tuple[int, ...]] = []

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Answers as the hypervisor does."""
        self.asked.append((int.from_bytes(op[8:12], "little"), *(len(given) for _, given in buffers)))
        return self.xen.call(number, command, op, buffers)


def machine(release: str, cpus: int = 8, nodes: int = 2) -> tuple[Sysctl, Measured]:
    xen = two_node_pc(release, cpus={cpu: FakeCpu(cpu, 0, 0, cpu) for cpu in range(cpus)}, max_cpu_id=cpus - 1)
    xen.distances = {}
    xen.nodes = {node: FakeNode(node * MIB, 0) for node in range(nodes)}
    port = Measured(xen)
    return Sysctl(port, VERSIONS[release][0]), port


@pytest.mark.parametrize(
    ("release", "expected", "asked"),
    [
        ("4.17", 20, [(21, 252)]),
        ("4.17", 19, [(20, 240), (40, 480)]),
        ("4.17", 18, [(19, 228), (38, 456)]),
        ("4.17", 4, [(5, 60), (10, 120), (20, 240), (40, 480)]),
        ("4.5", 20, [(20, 84, 84, 84)]),
        ("4.5", 19, [(19, 80, 80, 80)]),
        ("4.5", 18, [(18, 76, 76, 76), (20, 84, 84, 84)]),
        ("4.5", 0, [(0, 4, 4, 4), (20, 84, 84, 84)]),
    ],
)
def test_cpus_are_requested_with_room_and_again_with_more(
    release: str, expected: int, asked: list[tuple[int, ...]]
) -> None:
    """Twenty CPUs: a full list of rows may be a cut one; arrays say how long they would be."""
    made, port = machine(release, cpus=20)
    assert [row.core for row in made.cpu_topology(expected)] == list(range(20))
    assert port.asked == asked


@pytest.mark.parametrize(
    ("release", "expected", "asked"),
    [
        ("4.17", 7, [(11, 176, 484)]),
        ("4.17", 6, [(10, 160, 400), (20, 320, 1600)]),
        ("4.17", 5, [(9, 144, 324), (18, 288, 1296)]),
        ("4.5", 7, [(10, 88, 88, 484)]),
        ("4.5", 6, [(9, 80, 80, 400)]),
        ("4.5", 5, [(8, 72, 72, 324), (13, 112, 112, 784)]),
    ],
)
def test_nodes_are_requested_with_room_for_four_more(release: str, expected: int, asked: list[tuple[int, ...]]) -> None:
    """Ten nodes, as a recording has them: another length would be another request."""
    made, port = machine(release, nodes=10)
    nodes, distances = made.numainfo(expected)
    assert [node and node.memsize for node in nodes] == [node * MIB for node in range(10)]
    assert distances == tuple(tuple(10 if to == node else 20 for to in range(10)) for node in range(10))
    assert port.asked == asked


@pytest.mark.parametrize(
    ("count", "capacity", "outcome"),
    [
        (8, 8, 16),
        (9, 8, "w: more entries than the 8 there was room for: '9'"),
        (100, 100, 200),
        (101, 101, "w: more entries than any machine has: '101'"),
    ],
)
def test_more_room_is_requested_up_to_what_any_machine_has(count: int, capacity: int, outcome: int | str) -> None:
    """Twice as much each time, while it is no more than that."""
    if isinstance(outcome, int):
        assert sysctl._more("w", count, capacity, 100) == outcome
        return
    with pytest.raises(FactError) as caught:
        sysctl._more("w", count, capacity, 100)
    assert str(caught.value) == outcome


def test_the_last_index_of_an_array_is_one_that_a_machine_may_have() -> None:
    """65535 for a CPU and 255 for a node; one more is broken."""
    assert sysctl._counted("w", bytes(8) + pack("<I", 99), 100) == 100
    with pytest.raises(FactError) as caught:
        sysctl._counted("w", bytes(8) + pack("<I", 100), 100)
    assert str(caught.value) == "w: an index higher than any machine has: '100'"


@pytest.mark.parametrize(("cpus", "size"), [(1, 1), (8, 1), (9, 2), (16, 2), (63, 8), (64, 8), (65, 9)])
def test_the_bitmap_of_a_cpupool_has_a_bit_for_every_possible_cpu(cpus: int, size: int) -> None:
    """In whole bytes."""
    made, port = machine("4.17", cpus=cpus)
    port.xen.pools = {0: FakePool(6, 3, (cpus - 1,))}
    assert made.cpupools(cpus) == (CpuPool(0, 6, 3, (cpus - 1,)),)
    assert {asked[1] for asked in port.asked} == {size}
    port.xen.pools, port.xen.free_cpus = {}, (cpus - 1,)
    assert made.free_cpus(cpus) == (cpus - 1,)


@pytest.mark.parametrize("ids", [(0, 1), (5,), (0xFFFFFFFE, 0xFFFFFFFF), (0xFFFFFFFE,), (0, 0xFFFFFFFF), ()])
def test_every_cpupool_is_found_by_its_number(ids: tuple[int, ...]) -> None:
    """Up to the largest of 32 bits, behind which nothing is requested."""
    made, port = machine("4.17", cpus=4)
    port.xen.pools = {number: FakePool(6, 1, ()) for number in ids}
    assert tuple(pool.id for pool in made.cpupools(4)) == ids
    assert len(port.asked) == len(ids) + (0xFFFFFFFF not in ids)


@pytest.mark.parametrize(("pools", "ends"), [(6, True), (7, False)])
def test_a_list_of_cpupools_ends(pools: int, ends: bool) -> None:
    """A host of four CPUs has six at most: those of each CPU, and two that are empty."""
    made, port = machine("4.17", cpus=4)
    port.xen.pools = {number: FakePool(6, 1, ()) for number in range(pools)}
    if ends:
        assert len(made.cpupools(4)) == pools
        return
    with pytest.raises(FactError) as caught:
        made.cpupools(4)
    assert str(caught.value) == "sysctl cpupool_op: the list of pools does not end: '6'"


def test_a_cpupool_before_the_one_that_was_requested_is_refused() -> None:
    """A hypervisor that answers with the first each time would be asked for ever."""

    class Repeating(FakeXen):
        def _cpupool(self, op: bytearray, held: dict[int, bytearray]) -> None:
            pack_into("<I", op, 12, 0)

    port = Repeating(**vars(two_node_pc("4.17")))
    with pytest.raises(FactError) as caught:
        Sysctl(port, 0x15).cpupools(4)
    assert str(caught.value) == "sysctl cpupool_op: the list of pools does not end: '0'"
    assert port.made == [(SYSCTL, CPUPOOL)] * 2


def test_any_other_error_than_the_end_of_the_list_is_one() -> None:
    """The end is said with ENOENT."""
    made, port = machine("4.17")
    port.xen.deny = {(SYSCTL, CPUPOOL): 5}
    with pytest.raises(SourceError) as caught:
        made.cpupools(4)
    assert caught.value.errno == 5


@pytest.mark.parametrize(("done", "text"), [(0, "of 2 devices this many were done: '0'"), (3, "of 2 devices this many were done: '3'")])  # fmt: skip
def test_devices_are_answered_one_at_least_and_no_more_than_were_requested(done: int, text: str) -> None:
    """Xen reports how many it did."""

    class Counting(FakeXen):
        def _pci(self, op: bytearray, held: dict[int, bytearray]) -> None:
            pack_into("<I", op, 8, done)

    with pytest.raises(FactError) as caught:
        Sysctl(Counting(**vars(two_node_pc("4.17"))), 0x15).pci_nodes([(0, 0, 8), (0, 0, 16)])
    assert str(caught.value) == f"sysctl pcitopoinfo: {text}"


@pytest.mark.parametrize(
    ("version", "word", "names"),
    [
        (0x12, 0, ()),
        (0x12, 0b1, ("hvm",)),
        (0x12, 0b111111, ("hvm", "pv", "directio", "hap", "shadow", "iommu_hap_pt_share")),
        (0x12, 1 << 20 | 1, ("hvm", "bit 20")),
        (0x11, 0b11, ("hvm", "hvm_directio")),
        (0x11, 0b111, ("hvm", "hvm_directio", "bit 2")),
        (0x11, 0b110, ("hvm_directio", "bit 2")),
    ],
)
def test_a_capability_without_a_name_has_its_number(version: int, word: int, names: tuple[str, ...]) -> None:
    """Later releases add some."""
    assert physinfo.capability_names(word, version) == names


@pytest.mark.parametrize(
    ("at", "form", "value", "text"),
    [
        (8, "<I", 0, "0 cpus, the last possible 15"),
        (8, "<I", 17, "17 cpus, the last possible 15"),
        (12, "<I", 65536, "8 cpus, the last possible 65536"),
        (16, "<I", 0, "0 nodes, the last possible 63"),
        (16, "<I", 65, "65 nodes, the last possible 63"),
        (20, "<I", 256, "2 nodes, the last possible 256"),
        (24, "<I", 999, "999 kHz"),
        (24, "<I", 100_000_001, "100000001 kHz"),
        (40, "<Q", 0, "0 pages, 300 free, 0 being scrubbed, 0 claimed"),
        (48, "<Q", 1001, "1000 pages, 1001 free, 0 being scrubbed, 0 claimed"),
        (56, "<Q", 1001, "1000 pages, 300 free, 1001 being scrubbed, 0 claimed"),
        (64, "<Q", 1001, "1000 pages, 300 free, 0 being scrubbed, 1001 claimed"),
        (72, "<Q", 998, "1000 pages up to frame 998"),
        (72, "<Q", 1 << 40, "1000 pages up to frame 1099511627776"),
        (36, "<I", 1, "padding 0x1"),
    ],
)
def test_what_is_not_plausible_is_quoted(at: int, form: str, value: int, text: str) -> None:
    """One past each limit, with the figures that it is about."""
    made = bytearray(136)
    pack_into("<7I", made, 8, 2, 4, 8, 15, 2, 63, 2_400_000)
    pack_into("<5Q", made, 8 + 40, 1000, 300, 0, 0, 999)
    physinfo.decode(bytes(made), 0x15)
    pack_into(form, made, 8 + at, value)
    with pytest.raises(FactError) as caught:
        physinfo.decode(bytes(made), 0x15)
    assert str(caught.value) == f"sysctl physinfo: not plausible in interface version 0x15: '{text}'"


def test_no_claims_are_reported_by_a_release_that_does_not_count_them() -> None:
    """Xen 4.2 and older."""
    made = bytearray(136)
    pack_into("<7I", made, 8, 2, 4, 8, 15, 2, 63, 2_400_000)
    pack_into("<3Q", made, 8 + 32, 1000, 1001, 0)
    with pytest.raises(FactError, match="1000 pages, 1001 free, 0 being scrubbed, 0 claimed"):
        physinfo.decode(bytes(made), 0x09)
