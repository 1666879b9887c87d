"""Asking a hypervisor: the facts of every release, what may be missing, and what must not be believed."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_xen import GIB, MIB, SRAT, VERSIONS, FakeCpu, FakeFiles, FakeNode, FakePool, FakeXen, two_node_pc

import numaprobe
from numaprobe.errors import SourceDenied, SourceError
from numaprobe.normalise.xen import from_xen
from numaprobe.xen import abi, refused
from numaprobe.xen.collect import collect
from numaprobe.xen.detect import domain_kind
from numaprobe.xen.facts import CpuInfo, CpuPool, CpuTopology, HeapFree, NodeMemory, PciDevice, XenFacts
from numaprobe.xen.sysctl import Sysctl

SYSCTL, DOMCTL, PLATFORM, MEMORY, VERSION = 35, 36, 7, 12, 17
PHYSINFO, AVAILHEAP, CPUTOPO, NUMAINFO, CPUPOOL, PCITOPO = 3, 9, 16, 17, 18, 22


def facts_of(xen: FakeXen, reader: FakeFiles = SRAT, pci: Sequence[str] = ()) -> XenFacts:
    """Facts of a hand-made hypervisor."""
    return collect(xen, reader, pci)


@pytest.mark.parametrize("release", VERSIONS)
def test_every_release_tells_the_same_machine(release: str) -> None:
    """Four physinfo layouts and two of topology are one set of facts."""
    xen = two_node_pc(release, pci={(0, 0, 8): 1, (0, 0, 9): None})
    facts = facts_of(xen, pci=["0000:00:01.0", "0000:00:01.1", "0000:7f:00.0"])
    assert facts.sysctl_version == VERSIONS[release][0]
    info = facts.physinfo
    assert (info.nr_cpus, info.nr_nodes, info.max_cpu_id, info.max_node_id, info.cpu_khz) == (8, 2, 15, 63, 2_400_000)
    assert (info.total_pages, info.free_pages, info.scrub_pages) == (1048447, (2 * GIB + MIB) >> 12, 0)
    assert info.outstanding_pages == (None if release in {"4.1", "4.2"} else 512)
    old_names = VERSIONS[release][0] < 0x12
    assert info.capabilities == (("hvm", "hvm_directio") if old_names else ("hvm", "pv"))
    assert facts.cpus == tuple(CpuTopology(cpu % 4, cpu // 4, cpu // 4) for cpu in range(8))
    assert facts.cpuinfo == tuple(CpuInfo(True, cpu, cpu) for cpu in range(8))
    assert facts.online_cpus == frozenset(range(8))
    assert facts.nodes == (NodeMemory(2560 * MIB, GIB), NodeMemory(2560 * MIB, GIB + MIB))
    assert facts.distances == ((10, 21), (31, 10))
    assert facts.heap == (HeapFree(GIB, GIB), HeapFree(GIB + MIB, 256 * MIB))
    assert facts.heap_total == HeapFree(2 * GIB + MIB, GIB + 256 * MIB)
    assert facts.present_pages == (655263, 393184)
    assert facts.cpupools == (CpuPool(0, 6, 1, tuple(range(8))),)
    assert (facts.free_cpus, facts.scheduler) == ((), "credit2")
    if VERSIONS[release][0] < 0x0C:
        assert facts.pci_devices is None
    else:
        assert facts.pci_devices == (
            PciDevice("0000:00:01.0", 1, True),
            PciDevice("0000:00:01.1", None, True),
            PciDevice("0000:7f:00.0", None, False),
        )
    assert facts.notes == ()


@pytest.mark.parametrize("command", [CPUTOPO, NUMAINFO])
def test_without_topology_or_nodes_there_are_no_facts(command: int) -> None:
    """The error names the hypercall."""
    with pytest.raises(SourceError, match=f"{abi.call_name(SYSCTL, command)}: {os.strerror(errno.ENOMEM)}"):
        facts_of(two_node_pc(deny={(SYSCTL, command): errno.ENOMEM}))


@pytest.mark.parametrize(
    ("denied", "fields"),
    [
        ((SYSCTL, AVAILHEAP), ("heap", "heap_total")),
        ((SYSCTL, CPUPOOL), ("cpupools", "free_cpus")),
        ((SYSCTL, PCITOPO), ("pci_devices",)),
        ((SYSCTL, 4), ("scheduler",)),
        ((PLATFORM, 55), ("cpuinfo",)),
        ((MEMORY, 10), ("memory_map", "present_pages")),
    ],
)
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.EPERM, "Operation not permitted: refused by a filter of the control domain's kernel"),
        (errno.EACCES, "Permission denied: refused by Xen's security policy (XSM, FLASK)"),
        (errno.ENOSYS, "this Xen does not have it"),
        (errno.EOPNOTSUPP, "this Xen does not have it"),
    ],
)
def test_what_may_be_missing_is_none_and_noted(
    denied: tuple[int, int], fields: tuple[str, ...], code: int, text: str
) -> None:
    """A filter, a policy or a build option takes one thing away and leaves the others."""
    whole = facts_of(two_node_pc(), pci=["0000:00:01.0"])
    facts = facts_of(two_node_pc(deny={denied: code}), pci=["0000:00:01.0"])
    assert facts == whole._replace(**dict.fromkeys(fields), notes=((abi.call_name(*denied), text),))


def test_what_another_architecture_never_has_is_not_noted() -> None:
    """On Arm there is no machine memory map and there are no APIC ids; one node has all memory all the same."""
    deny = {(PLATFORM, 55): errno.ENOSYS, (MEMORY, 10): errno.ENOSYS, (SYSCTL, PCITOPO): errno.ENOSYS}
    xen = two_node_pc(deny=deny, strings={3: b"xen-3.0-aarch64 xen-3.0-armv7l "}, nodes={0: FakeNode(5 * GIB, GIB)})
    facts = facts_of(xen, FakeFiles(), ["0000:00:01.0"])
    assert (facts.cpuinfo, facts.memory_map, facts.pci_devices, facts.notes) == (None, None, None, ())
    assert facts.online_cpus == frozenset(range(8))
    assert facts.present_pages == (1048447,)


def test_a_single_node_has_all_memory_whatever_it_spans() -> None:
    """With numa=off there is one node, with the holes in its span, and the table is not needed."""
    xen = two_node_pc(nodes={0: FakeNode(5 * GIB, 2 * GIB + MIB)}, cpus={0: FakeCpu(0, 0, 0, 0)}, pools={})
    xen.free_cpus = (0,)
    facts = facts_of(xen, FakeFiles())
    assert facts.present_pages == (1048447,)
    assert facts.notes == ()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (errno.ENOENT, "true memory of the nodes is unknown: No such file or directory"),
        (errno.EACCES, "true memory of the nodes is unknown: Permission denied"),
        (b"SRAT", "true memory of the nodes is unknown: only 4 bytes"),
    ],
)
def test_without_the_table_true_memory_is_unknown_and_noted(table: bytes | int, said: str) -> None:
    """A PVH control domain has no SRAT; other users may not read it."""
    path = "sys/firmware/acpi/tables/SRAT"
    facts = facts_of(two_node_pc(), FakeFiles({path: table}))
    assert facts.present_pages is None
    assert facts.notes == ((path, said),)


def test_nodes_that_are_not_the_tables_leave_true_memory_unknown() -> None:
    """With numa=fake the spans are made up."""
    nodes = {node: FakeNode(1280 * MIB, 100 * MIB) for node in range(4)}
    facts = facts_of(two_node_pc(nodes=nodes))
    assert facts.present_pages is None
    assert "Xen has nodes [0, 1, 2, 3] and the table [0, 1]" in facts.notes[0][1]


@pytest.mark.parametrize("release", ["4.5", "4.9", "4.12", "4.21"])
def test_offline_cpus_are_told_from_online_ones(release: str) -> None:
    """Topology lists them since 4.12 and gave empty rows before; get_cpuinfo knows them in all releases."""
    xen = two_node_pc(release)
    for cpu in (0, 5, 7):
        xen.cpus[cpu].online = False
    xen.pools[0] = FakePool(6, 1, (1, 2, 3, 4))
    xen.free_cpus = (6,)
    facts = facts_of(xen)
    assert facts.online_cpus == frozenset({1, 2, 3, 4, 6})
    assert facts.cpuinfo is not None
    assert [cpu for cpu, info in enumerate(facts.cpuinfo) if info and not info.online] == [0, 5, 7]
    listed = release in {"4.12", "4.21"}
    assert len(facts.cpus) == (8 if listed else 7)
    assert facts.cpus[5] == (CpuTopology(1, 1, 1) if listed else CpuTopology(None, None, None))
    assert facts.notes == ()
    xen.deny = {(PLATFORM, 55): errno.EPERM}
    assert facts_of(xen).online_cpus == frozenset({1, 2, 3, 4, 6})
    xen.deny[SYSCTL, CPUPOOL] = errno.EPERM
    assert facts_of(xen).online_cpus == (None if listed else frozenset({1, 2, 3, 4, 6}))


@pytest.mark.parametrize("release", ["4.5", "4.17"])
def test_sparse_numbers_and_absent_nodes_stay_as_they_are(release: str) -> None:
    """Ids are labels: gaps are None, and a node without memory is not an absent one."""
    xen = two_node_pc(
        release,
        cpus={0: FakeCpu(0, 0, 1, 0), 2: FakeCpu(4, 0, 1, 8), 15: FakeCpu(0, 1, 60, 32)},
        nodes={1: FakeNode(2 * GIB, GIB), 3: FakeNode(0, 0), 60: FakeNode(GIB, MIB)},
        distances={(1, 60): 99},
        pools={3: FakePool(5, 2, (0, 2)), 7: FakePool(9, 0, ())},
        free_cpus=(15,),
        free_pages=100,
    )
    facts = facts_of(xen)
    assert len(facts.cpus) == 16
    assert facts.cpus[1] == CpuTopology(None, None, None)
    assert facts.cpus[15] == CpuTopology(0, 1, 60)
    assert facts.online_cpus == frozenset({0, 2, 15})
    assert {node: memory for node, memory in enumerate(facts.nodes) if memory} == {
        1: NodeMemory(2 * GIB, GIB), 3: NodeMemory(0, 0), 60: NodeMemory(GIB, MIB)
    }  # fmt: skip
    assert len(facts.nodes) == len(facts.distances) == 61
    assert (facts.distances[1][60], facts.distances[60][1], facts.distances[1][2]) == (99, 20, None)
    assert facts.heap is not None
    assert facts.heap[0] is None
    assert facts.heap[60] == HeapFree(MIB, 0)
    assert facts.cpupools == (CpuPool(3, 5, 2, (0, 2)), CpuPool(7, 9, 0, ()))
    assert facts.free_cpus == (15,)
    assert facts.present_pages is None


@pytest.mark.parametrize("release", ["4.5", "4.6", "4.21"])
def test_a_list_that_is_longer_than_expected_is_asked_for_again(release: str) -> None:
    """Since 4.6 Xen cuts it silently."""
    xen = two_node_pc(release, cpus={cpu: FakeCpu(cpu, 0, 0, cpu) for cpu in range(300)}, max_cpu_id=299)
    xen.nodes = {node: FakeNode(node * MIB, 0) for node in range(64)}
    sysctl = Sysctl(xen, VERSIONS[release][0])
    assert [row.core for row in sysctl.cpu_topology(1)] == list(range(300))
    nodes, distances = sysctl.numainfo(1)
    assert [node and node.memsize for node in nodes] == [node * MIB for node in range(64)]
    assert [len(row) for row in distances] == [64] * 64


@pytest.mark.parametrize("release", ["4.5", "4.17"])
def test_a_machine_that_grows_while_it_is_asked_is_asked_again(release: str) -> None:
    """CPUs and a node are added between physinfo and the lists, and all facts must be of one machine."""

    def grow(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, NUMAINFO) and 2 not in xen.nodes:
            xen.nodes[2] = FakeNode(GIB, GIB)
            xen.cpus.update({cpu: FakeCpu(cpu, 2, 2, cpu) for cpu in range(8, 12)})
            xen.total_pages += GIB >> 12

    facts = facts_of(two_node_pc(release, before=grow))
    assert (facts.physinfo.nr_cpus, len(facts.cpus), facts.physinfo.nr_nodes, len(facts.nodes)) == (12, 12, 3, 3)
    assert facts.online_cpus == frozenset(range(12))
    # The memory map is that of boot, so what was plugged in is of no known node.
    assert facts.present_pages is None


def test_a_machine_that_never_stops_changing_is_noted() -> None:
    """The number of tries is bounded."""

    def flip(xen: FakeXen, number: int, command: int) -> None:
        if (number, command) == (SYSCTL, NUMAINFO):
            xen.cpus[7].online = not xen.cpus[7].online

    xen = two_node_pc(before=flip)
    where = [where for where, _ in facts_of(xen).notes]
    assert "sysctl physinfo" in where
    assert len(xen.made) < 100


def test_pci_devices_are_asked_for_until_all_are_answered() -> None:
    """Xen may stop early when it has other work, and the rest is requested in further calls."""
    devices = {(1, bus, slot << 3): bus % 2 for bus in range(10) for slot in range(20)}
    xen = two_node_pc(pci=devices, pci_stops_after=64)
    addresses = [f"0001:{bus:02x}:{slot:02x}.0" for bus in range(10) for slot in range(20)]
    facts = facts_of(xen, pci=addresses)
    assert facts.pci_devices == tuple(PciDevice(name, int(name[5:7], 16) % 2, True) for name in addresses)
    assert xen.made.count((SYSCTL, PCITOPO)) == 4


def test_a_xen_that_answers_no_device_does_not_loop() -> None:
    """No progress is an error, which costs the devices and nothing else."""
    facts = facts_of(two_node_pc(pci_stops_after=0), pci=["0000:00:01.0"])
    assert facts.pci_devices is None
    assert facts.notes == (("sysctl pcitopoinfo", "of 1 devices this many were done: 0"),)


@pytest.mark.parametrize(
    "address", ["10000:00:01.0", "0000:00:20.0", "0000:00:01.8", "0000:00", "pci", "", "0000:-1:01.0", "0000:100:1.0"]
)
def test_addresses_that_xen_cannot_know_are_not_asked_for(address: str) -> None:
    """Linux numbers segments behind some controllers beyond what hardware has."""
    xen = two_node_pc()
    assert facts_of(xen, pci=[address]).pci_devices == (PciDevice(address, None, False),)
    assert (SYSCTL, PCITOPO) not in xen.made


def test_a_long_memory_map_is_asked_for_with_more_room() -> None:
    """Xen refuses a buffer that is too small with EINVAL and does not say how much it needs."""
    xen = two_node_pc()
    xen.e820 += [((1 << 40) + index * 8192, 4096, 2) for index in range(700)]
    facts = facts_of(xen)
    assert facts.memory_map is not None
    assert len(facts.memory_map) == 707
    xen.deny = {(MEMORY, 10): errno.EINVAL}
    assert facts_of(xen).notes == (("memory_op machine_memory_map", "Invalid argument"),)


def test_a_busy_hypervisor_is_asked_again_a_few_times() -> None:
    """get_cpuinfo says EBUSY while a cpu is being plugged."""
    turns: list[int] = []

    def busy(xen: FakeXen, number: int, command: int) -> None:
        if number == PLATFORM:
            turns.append(len(turns))
            xen.deny = {(PLATFORM, 55): errno.EBUSY} if len(turns) < 3 else {}

    assert facts_of(two_node_pc(before=busy)).notes == ()
    always = two_node_pc(deny={(PLATFORM, 55): errno.EBUSY})
    assert facts_of(always).notes == (("platform_op get_cpuinfo", "Device or resource busy"),)


@pytest.mark.parametrize("which", [1, 3, 4, 9])
def test_a_string_that_is_withheld_is_noted_with_who_withholds_it(which: int) -> None:
    """A policy hands out a word in its place, a kernel's filter an error; a Xen without it says so."""
    name = {1: "extraversion", 3: "capabilities", 4: "changeset", 9: "commandline"}[which]
    denied = two_node_pc()
    denied.strings = {**denied.strings, which: b"<denied>"}
    text = "refused by Xen's security policy (XSM, FLASK)"
    assert facts_of(denied).notes == ((f"xen_version {name}", f"'<denied>': {text}"),)
    filtered = facts_of(two_node_pc(deny={(VERSION, which): errno.EPERM}))
    text = "Operation not permitted: refused by a filter of the control domain's kernel"
    assert filtered.notes == ((f"xen_version {name}", text),)
    assert facts_of(two_node_pc(deny={(VERSION, which): errno.ENOSYS})).notes == ()


@pytest.mark.parametrize("command", [CPUTOPO, NUMAINFO])
def test_a_list_without_which_there_is_nothing_says_who_refused_it(command: int) -> None:
    """It must not claim that this Xen does not have it."""
    with pytest.raises(SourceDenied, match="refused by a filter of the control domain's kernel"):
        facts_of(two_node_pc(deny={(SYSCTL, command): errno.EPERM}))


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"sys/hypervisor/type": b"z/VM\n"}, None),
        ({"sys/hypervisor/type": b"xen\n"}, "guest"),
        ({"sys/hypervisor/type": b"xen\n", "sys/hypervisor/properties/features": b"000228f0\n"}, "control"),
        ({"sys/hypervisor/type": b"xen\n", "sys/hypervisor/properties/features": b"000220f0\n"}, "guest"),
        ({"sys/hypervisor/type": b"xen\n", "sys/hypervisor/properties/features": b"<denied>\n"}, "guest"),
        ({"sys/hypervisor/type": b"xen\n", "sys/hypervisor/start_flags/privileged": b"1\n"}, "control"),
        ({"sys/hypervisor/type": b"xen\n", "sys/hypervisor/start_flags/privileged": b"0\n"}, "guest"),
        ({"sys/hypervisor/type": b"xen\n", "proc/xen/capabilities": b"control_d\n"}, "control"),
        ({"sys/hypervisor/type": b"xen\n", "proc/xen/capabilities": b""}, "guest"),
        ({"sys/hypervisor/type": errno.EACCES, "proc/xen/capabilities": b"control_d\n"}, None),
    ],
)
def test_files_alone_tell_what_kind_of_domain_this_is(files: dict[str, bytes | int], kind: str | None) -> None:
    """No device is opened to find out."""
    assert domain_kind(FakeFiles(files)) == kind


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM])
@pytest.mark.parametrize(
    "files",
    [("sys/hypervisor/type",), ("sys/hypervisor/properties/features",), ("proc/xen/capabilities",)],
)
def test_what_cannot_be_read_makes_no_guest_of_a_control_domain(files: tuple[str, ...], number: int) -> None:
    """A control domain's own view would be taken for the machine."""
    known: dict[str, bytes | int] = {"sys/hypervisor/type": b"xen\n"}
    with pytest.raises(SourceError, match="--source linux or xen"):
        domain_kind(FakeFiles(known | dict.fromkeys(files, number)))
    known["sys/hypervisor/start_flags/privileged"] = b"1\n"
    if files != ("sys/hypervisor/type",):
        assert domain_kind(FakeFiles(known | dict.fromkeys(files, number))) == "control"


@pytest.mark.parametrize(
    ("field", "where"),
    [
        ("present_pages", "sys/firmware/acpi/tables/SRAT memory of node 1"),
        ("heap", "sysctl availheap node 1 below 4 GiB"),
    ],
)
def test_a_part_of_a_nodes_memory_is_no_larger_than_its_whole(field: str, where: str) -> None:
    """Usable memory fits in the span, and what is free below 4 GiB in what is free and in 4 GiB."""
    found = collect(two_node_pc(), SRAT, [])
    assert from_xen(found).notes == ()
    huge: object = 1 << 30 if field == "present_pages" else HeapFree(GIB, 1 << 40)
    host = from_xen(found._replace(**{field: (getattr(found, field)[0], huge)}))
    memory = host.cells[1].memory
    assert (memory.total if field == "present_pages" else memory.free_below_4g) is None
    assert [note.where for note in host.notes] == [where]


def test_more_free_memory_than_a_node_spans_is_no_fact() -> None:
    """A wrapped counter would be room to place guests in; the figure is unknown, and quoted."""
    found = collect(two_node_pc(), FakeFiles(), [])
    first, *others = found.nodes
    assert first is not None
    wrapped = found._replace(nodes=(first._replace(memfree=(1 << 64) - 4096), *others))
    host, good = from_xen(wrapped), from_xen(found)
    memory = host.cells[0].memory
    assert (memory.free, memory.available, memory.free_from) == (None, None, None)
    assert memory.span == good.cells[0].memory.span
    assert host.cells[1:] == good.cells[1:]
    assert [note.where for note in host.notes if note not in good.notes] == ["sysctl numainfo node 0 memfree"]


def test_what_is_wrong_with_many_cpus_is_said_once() -> None:
    """A note for each of hundreds of cpus would hide the others."""
    facts = facts_of(two_node_pc())
    rows = tuple([row._replace(node=5) if row.node == 1 else row for row in facts.cpus])
    ids = [None if one is None else one._replace(apic_id=64 * cpu) for cpu, one in enumerate(facts.cpuinfo or ())]
    joined = tuple([row._replace(core=cpu // 2) for cpu, row in enumerate(rows)])
    texts = [note.text for note in from_xen(facts._replace(cpus=joined, cpuinfo=tuple(ids))).notes]
    assert [text for text in texts if "node 5" in text] == ["on node 5, which numainfo does not have: cpu 4-7"]
    apart = [text for text in texts if "APIC" in text]
    assert len(apart) == len({row.socket for row in joined})
    assert apart[0].startswith("cpus of different APIC cores are given as one core in socket 0: core 0-")


def test_what_a_recorded_hypervisor_refused_is_not_kept_for_the_running_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation that Xen refuses is requested once by a process, of the running Xen only."""
    monkeypatch.setattr(refused, "LIVE", {})
    recording = Path(__file__).parents[1] / "fixtures" / "xen-4.17-two-nodes-hole" / "host.tar.gz"
    assert numaprobe.probe(recording=recording).hypervisor is not None
    assert refused.LIVE == {}


def test_a_distance_that_none_can_be_is_unknown() -> None:
    """Xen copies the SLIT, whose entries are bytes."""
    xen = two_node_pc()
    xen.distances[0, 1] = 100_000
    found = from_xen(facts_of(xen))
    assert dict(found.cells[0].distances or ()) == {0: 10, 1: None}
    assert any("100000" in note.text for note in found.notes)
