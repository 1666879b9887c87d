"""Layouts of Xen's replies, against bytes written out by hand from the public headers."""

from __future__ import annotations

from struct import pack, pack_into

import pytest

from numaprobe.errors import FactError
from numaprobe.xen import abi, physinfo
from numaprobe.xen.calls import cpuinfo, memory_map, version
from numaprobe.xen.domains import abi as domain_abi
from numaprobe.xen.facts import CpuInfo, CpuPool, CpuTopology, MapEntry, NodeMemory
from numaprobe.xen.sysctl import Sysctl, bits

NO_32 = 0xFFFFFFFF


class Canned:
    """A port with one answer: words at offsets of the operation, bytes at the start of each buffer."""

    def __init__(self, words: dict[int, int], *outs: bytes, result: int = 0) -> None:
        self.words = words
        self.outs = outs
        self.result = result
        self.asked: list[tuple[int, int, bytes, tuple[tuple[int, bytes], ...]]] = []

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Answer, and remember the question."""
        self.asked.append((number, command, op, buffers))
        reply = bytearray(op)
        for at, word in self.words.items():
            pack_into("<I", reply, at, word)
        outs = tuple(out + given[len(out) :] for out, (_, given) in zip(self.outs, buffers, strict=True))
        return self.result, bytes(reply), outs


def reply_of_physinfo(at: dict[int, tuple[str, int]]) -> bytes:
    """A whole sysctl reply with values at offsets of physinfo itself."""
    reply = bytearray(136)
    pack_into("<7I", reply, 8, 2, 4, 8, 15, 2, 63, 2_400_000)
    for offset, (form, value) in at.items():
        pack_into(form, reply, 8 + offset, value)
    return bytes(reply)


@pytest.mark.parametrize(
    ("sysctl", "at", "outstanding", "max_mfn"),
    [
        (0x09, {32: ("<Q", 1000), 40: ("<Q", 300), 48: ("<Q", 0), 56: ("<Q", 1 << 60), 88: ("<I", 1)}, None, None),
        (0x0B, {32: ("<Q", 1000), 40: ("<Q", 300), 56: ("<Q", 7), 64: ("<Q", 1 << 60), 96: ("<I", 1)}, 7, None),
        (0x10, {28: ("<I", 1), 32: ("<Q", 1000), 40: ("<Q", 300), 56: ("<Q", 7), 64: ("<Q", 1234)}, 7, 1234),
        (0x15, {28: ("<I", 1), 40: ("<Q", 1000), 48: ("<Q", 300), 64: ("<Q", 7), 72: ("<Q", 1234)}, 7, 1234),
        (0x17, {28: ("<I", 1), 40: ("<Q", 1000), 48: ("<Q", 300), 64: ("<Q", 7), 72: ("<Q", 1234)}, 7, 1234),
    ],
    ids=["4.2", "4.5", "4.10", "4.17", "later"],
)
def test_physinfo_is_read_where_its_version_has_it(
    sysctl: int, at: dict[int, tuple[str, int]], outstanding: int | None, max_mfn: int | None
) -> None:
    """Claims were added in 4.3 and max_mfn in 4.10; before that they are unknown."""
    info = physinfo.decode(reply_of_physinfo(at), sysctl)
    assert info == (2, 4, 8, 15, 2, 63, 2_400_000, ("hvm",), 1000, 300, 0, outstanding, max_mfn)


@pytest.mark.parametrize(
    ("sysctl", "word", "names"),
    [
        (0x11, 0b11, ("hvm", "hvm_directio")),
        (0x12, 0b111, ("hvm", "pv", "directio")),
        (0x15, 0x3FF, abi.PHYSCAPS),
        (0x16, 1 << 31 | 1, ("hvm", "bit 31")),
        (0x16, 0, ()),
    ],
)
def test_capabilities_were_numbered_anew_in_4_12(sysctl: int, word: int, names: tuple[str, ...]) -> None:
    """Bit 1 was direct I/O before and PV guests after."""
    assert physinfo.capability_names(word, sysctl) == names


GOOD = {40: ("<Q", 1000), 48: ("<Q", 300), 72: ("<Q", 1234)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({8: ("<I", 0)}, "0 cpus"),
        ({8: ("<I", 17)}, "17 cpus"),
        ({12: ("<I", 1 << 20)}, "8 cpus, the last possible 1048576"),
        ({16: ("<I", 0)}, "0 nodes"),
        ({16: ("<I", 65)}, "65 nodes"),
        ({20: ("<I", NO_32)}, "2 nodes"),
        ({24: ("<I", 0)}, "0 kHz"),
        ({40: ("<Q", 0)}, "0 pages"),
        ({48: ("<Q", 1001)}, "1001 free"),
        ({56: ("<Q", 1001)}, "1001 being scrubbed"),
        ({64: ("<Q", 1001)}, "1001 claimed"),
        ({72: ("<Q", 900)}, "1000 pages up to frame 900"),
        ({72: ("<Q", 1 << 41)}, "up to frame"),
        ({36: ("<I", 1)}, "padding 0x1"),
    ],
)
def test_physinfo_that_no_machine_has_is_refused(change: dict[int, tuple[str, int]], said: str) -> None:
    """A layout that is not the version's own shows in at least one of these."""
    with pytest.raises(FactError, match=said):
        physinfo.decode(reply_of_physinfo({**GOOD, **change}), 0x15)
    assert physinfo.decode(reply_of_physinfo(GOOD), 0x15).total_pages == 1000


@pytest.mark.parametrize(
    ("written_as", "read_as"), [(0x14, 0x15), (0x15, 0x14), (0x0F, 0x10), (0x10, 0x0F), (0x09, 0x15), (0x15, 0x09)]
)
def test_physinfo_in_a_neighbours_layout_is_refused(written_as: int, read_as: int) -> None:
    """A fork that moved fields without a new version is noticed on a machine like any other."""
    pages, rest = (1_048_447, 500_000, 0), (512, 1_310_720)
    at = {
        0x15: {28: ("<I", 0x7F), 40: ("<5Q", 0)},
        0x14: {28: ("<I", 0x7F), 32: ("<5Q", 0)},
        0x10: {28: ("<I", 0x3), 32: ("<5Q", 0)},
        0x0F: {32: ("<4Q", 0), 64: ("<I", 0x178BFBFF), 68: ("<I", 0x2C100800), 96: ("<I", 3)},
        0x09: {32: ("<3Q", 0), 56: ("<I", 0x178BFBFF), 60: ("<I", 0x2C100800), 88: ("<I", 3)},
    }[written_as]
    reply = bytearray(reply_of_physinfo({offset: made for offset, made in at.items() if made[0] == "<I"}))
    for offset, (form, _) in at.items():
        if form != "<I":
            pack_into(form, reply, 8 + offset, *(*pages, *rest)[: int(form[1])])
    with pytest.raises(FactError, match="not plausible in interface version"):
        physinfo.decode(bytes(reply), read_as)


def test_cpu_rows_are_core_socket_node_and_all_ones_is_nothing() -> None:
    """Since 4.6: twelve bytes a cpu, behind the handle at 16."""
    port = Canned({8: 3}, pack("<9I", 1, 2, 3, NO_32, NO_32, NO_32, 4, 5, NO_32))
    assert Sysctl(port, 0x15).cpu_topology(4) == (
        CpuTopology(1, 2, 3),
        CpuTopology(None, None, None),
        CpuTopology(4, 5, None),
    )
    ((number, command, op, buffers),) = port.asked
    assert (number, command, op) == (35, 16, pack("<III", 16, 0x15, 5).ljust(136, b"\0"))
    assert buffers == ((16, b"\xff" * 60),)


def test_cpu_arrays_have_a_last_index_and_three_handles() -> None:
    """Until 4.5 cores, sockets and nodes are three arrays."""
    port = Canned({8: 1}, pack("<2I", 1, NO_32), pack("<2I", 3, NO_32), pack("<2I", 5, NO_32))
    assert Sysctl(port, 0x0B).cpu_topology(4) == (CpuTopology(1, 3, 5), CpuTopology(None, None, None))
    ((_, _, op, buffers),) = port.asked
    assert op == pack("<III", 16, 0x0B, 4).ljust(136, b"\0")
    assert buffers == ((16, b"\xff" * 20), (24, b"\xff" * 20), (32, b"\xff" * 20))


def test_numa_rows_have_a_stride_of_the_returned_count() -> None:
    """Since 4.6; an absent node has all ones in 32 bits of its 64, or in all of them."""
    ways = pack("<9I", 10, NO_32, 21, NO_32, NO_32, NO_32, 31, NO_32, 10)
    port = Canned({8: 3}, pack("<6Q", 5, 4, NO_32, NO_32, 7, 0), ways)
    assert Sysctl(port, 0x16).numainfo(2) == (
        (NodeMemory(5, 4), None, NodeMemory(7, 0)),
        ((10, None, 21), (None, None, None), (31, None, 10)),
    )
    ((_, _, _, buffers),) = port.asked
    assert [(at, len(given)) for at, given in buffers] == [(16, 96), (24, 144)]


def test_numa_arrays_tell_an_absent_node_from_one_without_memory() -> None:
    """Until 4.5 both have size 0, and only the absent one has no distance to any node."""
    ways = pack("<9I", 10, NO_32, 21, NO_32, NO_32, NO_32, 31, NO_32, 10)
    port = Canned({8: 2}, pack("<3Q", 5, 0, 0), pack("<3Q", 4, 0, 0), ways)
    assert Sysctl(port, 0x09).numainfo(2) == (
        (NodeMemory(5, 4), None, NodeMemory(0, 0)),
        ((10, None, 21), (None, None, None), (31, None, 10)),
    )
    ((_, _, op, buffers),) = port.asked
    assert op == pack("<III", 17, 0x09, 5).ljust(136, b"\0")
    assert [(at, len(given)) for at, given in buffers] == [(16, 48), (24, 48), (32, 144)]


@pytest.mark.parametrize("sysctl", [0x09, 0x15])
@pytest.mark.parametrize("count", [1000, 0x7FFFFFFF, NO_32])
def test_an_absurd_count_is_refused(sysctl: int, count: int) -> None:
    """No count makes the reader take memory or time without end."""
    outs = (b"", b"", b"") if sysctl < 0x0C else (b"", b"")
    with pytest.raises(FactError, match="sysctl numainfo"):
        Sysctl(Canned({8: count}, *outs), sysctl).numainfo(2)
    with pytest.raises(FactError, match="sysctl cputopoinfo"):
        Sysctl(Canned({8: max(count, 1 << 17)}, *outs[: 3 if sysctl < 0x0C else 1]), sysctl).cpu_topology(2)


def test_availheap_asks_a_width_and_a_node() -> None:
    """-1 is every node, and 32 bits are the first 4 GiB."""
    port = Canned({24: 4096, 28: 1})
    assert Sysctl(port, 0x15).heap_free((None,)) == [(4096 + (1 << 32), 4096 + (1 << 32))]
    assert [op for _, _, op, _ in port.asked] == [
        pack("<IIIIi", 9, 0x15, 0, 0, -1).ljust(136, b"\0"),
        pack("<IIIIi", 9, 0x15, 0, 32, -1).ljust(136, b"\0"),
    ]


def test_a_cpupool_is_read_with_a_bitmap_as_wide_as_every_possible_cpu() -> None:
    """Id, scheduler and domains at 12, 16 and 28; the bitmap behind 32 and its width at 40."""
    port = Canned({12: 3, 16: 6, 28: 2}, b"\x05\x80")
    assert Sysctl(port, 0x15)._cpupool(3, 1, 16) == CpuPool(3, 6, 2, (0, 2, 15))
    ((_, _, op, buffers),) = port.asked
    assert op == pack("<IIIIIIIIQI", 18, 0x15, 3, 1, 0, 0, 0, 0, 0, 16).ljust(136, b"\0")
    assert buffers == ((32, bytes(2)),)


def test_bits_beyond_the_width_do_not_count() -> None:
    """Xen writes whole bytes, whose last bits mean nothing."""
    assert bits(b"\xff\xff", 11) == tuple(range(11))


def test_pci_devices_are_packed_and_answered_in_order() -> None:
    """Segment, bus and devfn in four bytes; the nodes behind the handle at 24."""
    port = Canned({8: 2}, b"", pack("<2I", 1, 0xFFFFFFFE))
    assert Sysctl(port, 0x15).pci_nodes([(1, 2, 3), (0xFFFF, 0xFF, 0xFF)]) == [1, 0xFFFFFFFE]
    ((_, _, op, buffers),) = port.asked
    assert op == pack("<III", 22, 0x15, 2).ljust(136, b"\0")
    assert buffers == ((16, bytes.fromhex("01000203ffffffff")), (24, b"\xff" * 8))


def test_cpuinfo_tells_online_offline_and_absent_apart() -> None:
    """Flags at 16: 1 is online, 2 is not present, 0 is present and offline."""

    class ThreeCpus(Canned):
        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            cpu = op[8]
            self.words = {12: 2, 16: (1, 2, 0)[cpu], 20: (6, NO_32, NO_32)[cpu], 24: (0, NO_32, 9)[cpu]}
            return super().call(number, command, op, buffers)

    port = ThreeCpus({})
    assert cpuinfo(port, 16) == (CpuInfo(True, 6, 0), None, CpuInfo(False, None, 9))
    assert port.asked[2] == (7, 55, pack("<III", 55, 0x03000001, 2).ljust(136, b"\0"), ())


def test_the_memory_map_has_packed_entries_of_twenty_bytes() -> None:
    """The handle of memory_op is at 8, and the operation has 16 bytes."""
    port = Canned({0: 2}, pack("<QQIQQI", 0, 4096, 1, 1 << 40, 8192, 2))
    assert memory_map(port) == (MapEntry(0, 4096, 1), MapEntry(1 << 40, 8192, 2))
    assert port.asked == [(12, 10, pack("<IIQ", 128, 0, 0), ((8, bytes(2560)),))]


def test_the_version_is_in_the_return_value_and_strings_end_at_a_nul() -> None:
    """What a security policy withholds reads as nothing."""

    class Strings(Canned):
        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            if command == 4:
                raise PermissionError(1, "denied")
            text = {1: b".7-rc\0junk", 3: b"xen-3.0-x86_64 \0", 9: b"<denied>"}.get(command, b"")
            return 4 << 16 | 17, text.ljust(len(op), b"\0")[: len(op)], ()

    found = version(Strings({}))
    assert found == (4, 17, ".7-rc", "xen-3.0-x86_64", None, None)
    assert str(found) == "4.17.7-rc"


def test_every_command_has_the_name_that_errors_use() -> None:
    """A number that is not known has a name too."""
    assert abi.call_name(35, 17) == "sysctl numainfo"
    assert abi.call_name(35, 22) == "sysctl pcitopoinfo"
    assert abi.call_name(7, 55) == "platform_op get_cpuinfo"
    assert abi.call_name(35, 99) == "sysctl command 99"
    assert abi.call_name(99, 1) == "hypercall 99 command 1"


def test_releases_are_in_order_and_their_versions_never_fall() -> None:
    """The table has no gap between the oldest and the newest release or version, and agrees with its bounds."""
    releases = list(abi.RELEASES)
    assert releases == [(4, minor) for minor in range(1, 24)]
    sysctls = [release.sysctl for release in abi.RELEASES.values()]
    domctls = [domctl for release in abi.RELEASES.values() for domctl in sorted(release.domctl)]
    assert sysctls == sorted(sysctls)
    assert domctls == sorted(domctls)
    assert set(sysctls) == set(range(abi.OLDEST_SYSCTL, abi.NEWEST_SYSCTL + 1))
    assert set(domctls) == set(range(abi.OLDEST_DOMCTL, abi.NEWEST_DOMCTL + 1))
    assert (sysctls[0], sysctls[-1]) == (abi.OLDEST_SYSCTL, abi.NEWEST_SYSCTL)
    assert (domctls[0], domctls[-1]) == (abi.OLDEST_DOMCTL, abi.NEWEST_DOMCTL)


@pytest.mark.parametrize(
    "change",
    [
        {8: ("<I", 1), 12: ("<I", 0)},
        {8: ("<I", 16)},
        {16: ("<I", 1), 20: ("<I", 0)},
        {16: ("<I", 64)},
        {24: ("<I", 1_000)},
        {24: ("<I", 100_000_000)},
        {40: ("<Q", 1), 48: ("<Q", 0), 72: ("<Q", 0)},
        {48: ("<Q", 1000)},
        {56: ("<Q", 1000)},
        {64: ("<Q", 1000)},
        {72: ("<Q", 999)},
        {72: ("<Q", (1 << 40) - 1)},
    ],
)
def test_physinfo_of_the_smallest_and_the_largest_machine_is_taken(change: dict[int, tuple[str, int]]) -> None:
    """Each figure at the edge of what is plausible."""
    assert physinfo.decode(reply_of_physinfo({**GOOD, **change}), 0x15).threads_per_core == 2


@pytest.mark.parametrize(("version", "at"), [(0x08, 28), (0x0A, 28), (0x0F, 28), (0x15, 36)])
def test_padding_of_each_layout_is_zero(version: int, at: int) -> None:
    """A vendor's extra field would show there first, so its layout is not guessed."""
    pages = 40 if version >= 0x15 else 32
    figures = {pages: ("<Q", 1000), pages + 8: ("<Q", 300)} | ({72: ("<Q", 1234)} if version >= 0x15 else {})
    assert physinfo.decode(reply_of_physinfo(figures), version).free_pages == 300
    with pytest.raises(FactError, match="padding 0x7"):
        physinfo.decode(reply_of_physinfo({**figures, at: ("<I", 7)}), version)


# XEN_SYSCTL_INTERFACE_VERSION and XEN_DOMCTL_INTERFACE_VERSION of each release's public headers.
INTERFACES = """
4.1: 8 7        4.2: 9 8       4.3: 10 9      4.4: 10 9      4.5: 11 10     4.6: 12 11
4.7: 13 11      4.8: 14 12     4.9: 15 13     4.10: 16 15,14 4.11: 17 16    4.12: 18 17
4.13: 18 18     4.14: 19 18    4.15: 19 19    4.16: 20 20    4.17: 21 21    4.18: 21 22
4.19: 21 23     4.20: 21 23    4.21: 22 23    4.22: 22 24    4.23: 22 24
"""


def test_each_release_has_the_interface_versions_of_its_headers() -> None:
    """They are written out a second time from each release's headers, so that a slip in the table shows."""
    found = {}
    words = INTERFACES.split()
    for release, sysctl, domctl in zip(words[::3], words[1::3], words[2::3], strict=True):
        major, minor = release.rstrip(":").split(".")
        found[int(major), int(minor)] = (int(sysctl), tuple(map(int, domctl.split(","))))
    assert {release: tuple(one) for release, one in abi.RELEASES.items()} == found


# Numbers of Xen's public headers (xen.h, sysctl.h, domctl.h, memory.h, platform.h, version.h, sched.h), and XenServer's.
NUMBERS = {
    "PLATFORM_OP": 7, "MEMORY_OP": 12, "XEN_VERSION": 17, "SYSCTL": 35, "DOMCTL": 36,
    "SYSCTL_BYTES": 136, "DOMCTL_BYTES": 144, "PLATFORM_BYTES": 136,
    "SYSCTL_READCONSOLE": 1, "SYSCTL_PHYSINFO": 3, "SYSCTL_SCHED_ID": 4, "SYSCTL_GETDOMAININFOLIST": 6,
    "SYSCTL_DEBUG_KEYS": 7, "SYSCTL_AVAILHEAP": 9, "SYSCTL_CPUTOPOINFO": 16, "SYSCTL_NUMAINFO": 17,
    "SYSCTL_CPUPOOL": 18, "SYSCTL_PCITOPOINFO": 22, "SYSCTL_NUMA_MEMINFO": 1117, "CPUPOOL_INFO": 3, "CPUPOOL_FREEINFO": 7,
    "DOMCTL_GETDOMAININFO": 5, "DOMCTL_GETVCPUINFO": 14, "DOMCTL_GETVCPUAFFINITY": 25, "DOMCTL_GETNODEAFFINITY": 69,
    "DOMCTL_NUMA_OP": 1101, "PLATFORM_VERSION": 0x03000001, "PLATFORM_GET_CPUINFO": 55, "MEMORY_MACHINE_MEMORY_MAP": 10,
    "MEMORY_GET_VNUMAINFO": 26, "VERSION_NUMBER": 0, "VERSION_EXTRA": 1, "VERSION_CAPABILITIES": 3,
    "VERSION_CHANGESET": 4, "VERSION_COMMANDLINE": 9, "ALL_ONES_32": 0xFFFFFFFF, "PCI_DEVICE_UNKNOWN": 0xFFFFFFFE,
    "PCPU_ONLINE": 1, "PCPU_NOT_PRESENT": 2, "E820_RAM": 1, "PAGE": 4096, "CAPABILITIES_RENUMBERED": 18, "ROWS_SINCE": 12,
}  # fmt: skip
DOMAIN_NUMBERS = {
    "FIRST_RESERVED": 0x7FF0,
    "HARD_AND_SOFT": 3, "SOFT_AFFINITY_SINCE": 10, "NODE_AFFINITY_SINCE": 9, "NUMA_OP_GET_NODE_PAGES": 0,
}  # fmt: skip


def test_numbers_are_those_of_the_public_headers() -> None:
    """A wrong command number could do something else to a hypervisor than read."""
    assert {name: getattr(abi, name) for name in NUMBERS} == NUMBERS
    assert {name: getattr(domain_abi, name) for name in DOMAIN_NUMBERS} == DOMAIN_NUMBERS


@pytest.mark.parametrize(
    "change",
    [
        {8: ("<I", 1)},
        {8: ("<I", 16)},
        {12: ("<I", abi.MAX_CPUS - 1)},
        {16: ("<I", 1)},
        {16: ("<I", 64)},
        {20: ("<I", abi.MAX_NODES - 1)},
        {48: ("<Q", 1000)},
        {56: ("<Q", 1000)},
        {64: ("<Q", 1000)},
        {72: ("<Q", 1000)},
    ],
)
def test_physinfo_at_its_limits_is_taken(change: dict[int, tuple[str, int]]) -> None:
    """All CPUs online, one node, all memory free, scrubbed or claimed: each is a real machine's."""
    assert physinfo.decode(reply_of_physinfo({**GOOD, **change}), 0x15).total_pages == 1000
