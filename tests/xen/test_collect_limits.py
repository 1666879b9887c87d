"""Facts of a hypervisor at their limits: the last address, the last CPU, and each note to the letter."""

from __future__ import annotations

import errno
from struct import pack_into

import pytest
from fake_xen import GIB, PLATFORM, SRAT, SYSCTL, FakeCpu, FakeFiles, FakeNode, FakePool, FakeXen, two_node_pc

from numaprobe.errors import FactError, RecordingError, SourceDenied, SourceError, SourceUnavailable
from numaprobe.xen import calls
from numaprobe.xen.collect import collect
from numaprobe.xen.detect import domain_kind
from numaprobe.xen.facts import CpuInfo, PciDevice, XenFacts, XenVersion

CPUPOOL, NUMAINFO = 18, 17


def facts_of(xen: FakeXen, *addresses: str) -> XenFacts:
    return collect(xen, SRAT, addresses)


@pytest.mark.parametrize(
    ("address", "device"),
    [
        ("0000:00:00.0", (0, 0, 0)),
        ("ffff:ff:1f.7", (0xFFFF, 0xFF, 0xFF)),
        ("12ab:34:15.3", (0x12AB, 0x34, 0xAB)),
        ("0001:02:03.4", (1, 2, 0x1C)),
        ("0000:00:20.0", None),
        ("0000:00:00.8", None),
        ("0000:00:00.g", None),
        ("0000:0 :00.0", None),
        ("0000:+1:00.0", None),
        ("0000-00:00.0", None),
        ("0000:00-00.0", None),
        ("0000:00:00:0", None),
        ("0000:00:00.00", None),
        ("000:00:00.0", None),
    ],
)
def test_a_device_has_a_segment_a_bus_a_slot_and_a_function(address: str, device: tuple[int, int, int] | None) -> None:
    """Of 16, 8, 5 and 3 bits; any other name is not one that Xen is queried for."""
    xen = two_node_pc("4.17", pci={} if device is None else {device: 1})
    assert facts_of(xen, address).pci_devices == (
        PciDevice(address, None if device is None else 1, device is not None),
    )
    assert ((SYSCTL, 22) in xen.made) is (device is not None)


def test_each_device_has_its_own_answer() -> None:
    """Those that are not queried stand between the others."""
    xen = two_node_pc("4.17", pci={(0, 0, 8): 1, (0, 0, 16): None})
    found = facts_of(xen, "0000:00:01.0", "10000:00:01.0", "0000:00:02.0", "0000:00:03.0").pci_devices
    assert found == (
        PciDevice("0000:00:01.0", 1, True),
        PciDevice("10000:00:01.0", None, False),
        PciDevice("0000:00:02.0", None, True),
        PciDevice("0000:00:03.0", None, False),
    )


def test_a_machine_that_keeps_changing_is_queried_four_times() -> None:
    """Then the note says what cannot be relied on."""

    def flip(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, NUMAINFO):
            xen.cpus[7].online = not xen.cpus[7].online

    xen = two_node_pc("4.17", before=flip)
    text = "CPUs, nodes or memory kept being added or removed while they were queried"
    assert ("sysctl physinfo", text) in facts_of(xen).notes
    assert xen.made.count((SYSCTL, NUMAINFO)) == 4


@pytest.mark.parametrize("what", ["nr_cpus", "max_cpu_id", "nr_nodes", "max_node_id", "total_pages"])
def test_a_change_of_the_machine_is_seen_in_each_of_its_figures(what: str) -> None:
    """Everything is then queried again, once."""
    turns: list[int] = []

    def change(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, NUMAINFO) and not turns:
            turns.append(1)
            xen.max_cpu_id += what == "max_cpu_id"
            xen.max_node_id += what == "max_node_id"
            xen.total_pages += what == "total_pages"
            if what == "nr_cpus":
                xen.cpus[8] = FakeCpu(4, 1, 1, 8)
            if what == "nr_nodes":
                xen.nodes[2] = FakeNode(GIB, 0)

    xen = two_node_pc("4.17", before=change)
    facts_of(xen)
    assert xen.made.count((SYSCTL, NUMAINFO)) == 2


@pytest.mark.parametrize("what", ["free_pages", "outstanding_pages"])
def test_memory_that_is_allocated_is_no_change_of_the_machine(what: str) -> None:
    """It goes on all the time."""

    def change(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, NUMAINFO):
            setattr(xen, what, getattr(xen, what) - 1)

    xen = two_node_pc("4.17", before=change)
    assert facts_of(xen).notes == ()
    assert xen.made.count((SYSCTL, NUMAINFO)) == 1


def test_a_node_that_is_counted_and_not_listed_is_noted() -> None:
    """The counts of physinfo and numainfo contradict each other."""

    class Counting(FakeXen):
        def _physinfo(self, op: bytearray, held: dict[int, bytearray]) -> None:
            super()._physinfo(op, held)
            pack_into("<I", op, 8 + 16, 3)

    found = facts_of(Counting(**vars(two_node_pc("4.17"))))
    assert found.notes == (("sysctl numainfo", "2 nodes where physinfo has 3"),)


@pytest.mark.parametrize("refused", ["get_cpuinfo", "pools", "free CPUs"])
def test_cpus_that_are_online_are_found_in_three_ways(refused: str) -> None:
    """By their ids, by the pools with those in none, or by the list; none of them is made of half a way."""

    class Refusing(FakeXen):
        def _cpupool(self, op: bytearray, held: dict[int, bytearray]) -> None:
            if (refused == "free CPUs") is (op[8] == 7) and refused != "get_cpuinfo":
                raise OSError(errno.EACCES, "")
            super()._cpupool(op, held)

    xen = Refusing(**vars(two_node_pc("4.17", deny={(PLATFORM, 55): errno.EACCES})))
    xen.cpus[7].online = False
    xen.pools = {0: FakePool(6, 1, (0, 1, 2)), 1: FakePool(6, 0, (3, 4))}
    xen.free_cpus = (5, 6)
    found = facts_of(xen)
    # The list has the CPU that is offline as well, so that it does not say which are online.
    assert found.online_cpus == (frozenset(range(7)) if refused == "get_cpuinfo" else None)
    text = "7 CPUs are online, but 8 were found: it is unknown which are online"
    assert (("sysctl physinfo", text) in found.notes) is (refused != "get_cpuinfo")


def test_nothing_is_asked_of_cpus_beyond_the_last_possible() -> None:
    """What a newer hypervisor says of them is not believed."""
    xen = two_node_pc("4.17", max_cpu_id=6)
    xen.cpus[7].online = False
    assert facts_of(xen).cpuinfo == (*(CpuInfo(True, cpu, cpu) for cpu in range(7)), None)
    assert xen.made.count((PLATFORM, 55)) == 7


def test_of_a_machine_with_one_cpu_one_is_asked() -> None:
    """The first answer says how many there are."""
    xen = two_node_pc("4.17", cpus={0: FakeCpu(0, 0, 0, 9)}, max_cpu_id=0, pools={}, free_cpus=(0,))
    assert facts_of(xen).cpuinfo == (CpuInfo(True, 9, 0),)
    assert xen.made.count((PLATFORM, 55)) == 1


def test_an_error_of_the_map_is_noted_after_four_sizes() -> None:
    """128 entries, and four times as many each time, up to 8192."""
    sizes: list[tuple[int, int]] = []

    class Measured(FakeXen):
        def _memory_map(self, op: bytearray, held: dict[int, bytearray]) -> None:
            sizes.append((int.from_bytes(op[:4], "little"), len(held[8])))
            raise OSError(errno.EINVAL, "")

    xen = Measured(**vars(two_node_pc("4.17")))
    assert facts_of(xen).notes == (("memory_op machine_memory_map", "Invalid argument"),)
    assert sizes == [(128, 2560), (512, 10240), (2048, 40960), (8192, 163840)]


class Canned:
    """A port with one answer to everything."""

    def __init__(self, result: int, reply: bytes, outs: tuple[bytes, ...] = ()) -> None:
        self.answer = result, reply, outs

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """The answer."""
        return self.answer


@pytest.mark.parametrize(
    ("reply", "outs", "buffers", "whole"),
    [
        (b"abcd", (), (), True),
        (b"abc", (), (), False),
        (b"abcde", (), (), False),
        (b"abcd", (b"12",), ((0, b"xy"),), True),
        (b"abc", (b"12",), ((0, b"xy"),), False),
        (b"abcd", (b"1",), ((0, b"xy"),), False),
        (b"abcd", (), ((0, b"xy"),), False),
        (b"abcd", (b"12",), (), False),
        (b"abcd", (b"12", b""), ((0, b"xy"),), False),
    ],
)
def test_a_reply_is_as_long_as_the_request(
    reply: bytes, outs: tuple[bytes, ...], buffers: tuple[tuple[int, bytes], ...], whole: bool
) -> None:
    """The operation and each of its buffers."""
    port = Canned(5, reply, outs)
    if whole:
        assert calls.issue(port, SYSCTL, 3, b"wxyz", buffers) == (5, reply, outs)
        return
    with pytest.raises(FactError) as caught:
        calls.issue(port, SYSCTL, 3, b"wxyz", buffers)
    assert str(caught.value) == "sysctl physinfo: the reply and the request differ in length"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.EPERM, SourceDenied, "w: Operation not permitted: refused by a filter of the control domain's kernel"),
        (errno.EACCES, SourceDenied, "w: Permission denied: refused by Xen's security policy (XSM, FLASK)"),
        (errno.ENOSYS, SourceUnavailable, "w: Function not implemented"),
        (errno.EOPNOTSUPP, SourceUnavailable, "w: Operation not supported"),
        (errno.EINVAL, SourceError, "w: Invalid argument"),
        (None, SourceError, "w: cannot be queried"),
    ],
)
def test_a_refusal_has_the_class_and_the_words_of_who_refused(
    code: int | None, kind: type[SourceError], text: str
) -> None:
    """A caller's own words stand in place of those."""
    error = calls.source_error("w", code)
    assert (type(error), str(error), error.errno) == (kind, text, code)
    assert str(calls.source_error("w", code, "why")) == "w: why"


@pytest.mark.parametrize(("number", "version"), [(1, (0, 1)), (0x00040011, (4, 17)), (0x7FFF0000, (0x7FFF, 0))])
def test_the_release_is_two_halves_of_a_word(number: int, version: tuple[int, int]) -> None:
    """The upper 16 bits are the major number."""

    class Answering(FakeXen):
        def _version(self, command: int, op: bytearray) -> int:
            return number if command == 0 else super()._version(command, op)

    found = calls.version(Answering(strings={}))
    assert found == XenVersion(*version, extra="", capabilities="", changeset="", commandline="")


@pytest.mark.parametrize("number", [0, -1])
def test_a_release_that_is_no_number_is_refused(number: int) -> None:
    """Without it nothing else is decoded."""
    with pytest.raises(FactError) as caught:
        calls.version(Canned(number, b""))
    assert str(caught.value) == f"xen_version version: not a version: '{number}'"


def test_an_error_without_a_number_is_noted_as_one() -> None:
    """Of a string of Xen's, which is then unknown."""

    def fail(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (17, 4):
            raise OSError
        if (number, command) == (17, 3):
            raise SourceError("port")

    notes: list[tuple[str, str]] = []
    found = calls.version(two_node_pc("4.17", before=fail), notes)
    assert (found.capabilities, found.changeset, found.extra) == (None, None, ".5")
    assert notes == [("xen_version capabilities", "cannot be queried"), ("xen_version changeset", "cannot be queried")]


class Recorded:
    """Answers each of some calls, and then has none."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """The request itself, or an error."""
        if not self.answers:
            raise RecordingError("the recording has no answer")
        code = self.answers.pop(0)
        if code:
            raise OSError(code, "")
        return 0, op, ()


def test_a_recording_that_ends_with_a_refusal_refuses_the_rest() -> None:
    """Earlier versions ended at the first one."""
    found = calls.issue_each(Recorded(None, errno.EBUSY), SYSCTL, 9, [b"a", b"b", b"c", b"d"])
    assert found[0] == b"a"
    assert [str(error) for error in found[1:]] == ["sysctl availheap: Device or resource busy"] * 3


@pytest.mark.parametrize("answers", [(), (None,)])
def test_a_recording_that_ends_without_one_is_damaged(answers: tuple[int | None, ...]) -> None:
    """Nothing says what the hypervisor would have answered."""
    with pytest.raises(RecordingError, match="the recording has no answer"):
        calls.issue_each(Recorded(*answers), SYSCTL, 9, [b"a", b"b"])


@pytest.mark.parametrize(("codes", "whole"), [((16,) * 3, True), ((16,) * 4, False), ((16, 5), False), ((5,), False)])
def test_a_busy_cpu_is_asked_three_more_times(codes: tuple[int, ...], whole: bool) -> None:
    """Another error is final at once."""
    left = list(codes)

    def busy(xen: FakeXen, number: int, command: int) -> None:
        if number == PLATFORM and left:
            raise OSError(left.pop(0), "")

    xen = two_node_pc("4.17", before=busy)
    if whole:
        assert len(calls.cpuinfo(xen, 16)) == 8
        return
    with pytest.raises(SourceError) as caught:
        calls.cpuinfo(xen, 16)
    assert (caught.value.errno, left) == (codes[-1], [])


@pytest.mark.parametrize(
    ("features", "kind"),
    [
        (b"800\n", "control"), (b"00000800\n", "control"), (b"7ff\n", "guest"), (b"f7ff\n", "guest"),
        (b"1000\n", "guest"), (b"ffffffff\n", "control"), (b"\n", "guest"),
    ],
)  # fmt: skip
def test_the_twelfth_feature_makes_a_control_domain(features: bytes, kind: str) -> None:
    """XENFEAT_dom0, in hexadecimal digits."""
    files = {"sys/hypervisor/type": b"xen\n", "sys/hypervisor/properties/features": features}
    assert domain_kind(FakeFiles(files)) == kind  # type: ignore[arg-type]


def test_an_error_of_a_file_names_it_and_what_to_do() -> None:
    """Whether this is the control domain cannot be guessed."""
    files = {"sys/hypervisor/type": b"xen\n", "sys/hypervisor/start_flags/privileged": errno.EIO}
    with pytest.raises(SourceError) as caught:
        domain_kind(FakeFiles(files))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "sys/hypervisor/start_flags/privileged: Input/output error, so it is unknown whether this is Xen's control "
        "domain (--source linux or xen)"
    )
    assert caught.value.errno == errno.EIO


def test_the_map_of_one_entry_less_than_the_room_is_whole() -> None:
    """A count that is more than there was room for is broken."""

    class Counting(FakeXen):
        def _memory_map(self, op: bytearray, held: dict[int, bytearray]) -> None:
            pack_into("<I", op, 0, self.total_pages)

    assert len(calls.memory_map(Counting(total_pages=128))) == 128
    with pytest.raises(FactError) as caught:
        calls.memory_map(Counting(total_pages=129))
    assert str(caught.value) == "memory_op machine_memory_map: more entries than there was room for: '129'"
