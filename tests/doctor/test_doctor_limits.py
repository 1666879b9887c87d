"""The doctor's limits at their last value, and each finding's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host, made
from trees import Shelf

from numaprobe import Cpu, Device, Domain, Host, HugePages, Note
from numaprobe.doctor import _firmware_cells, _without_node, document, guests, hardware, settings
from numaprobe.doctor.finding import Diagnosis, Finding, Patient
from numaprobe.linux.policy import PolicyFacts
from numaprobe.model.usable import MemoryFailures

Check = Callable[[Patient], Iterator[Finding]]


def found(check: Check, of: Host, *domains: Domain, policy: PolicyFacts | None = None, **more: Any) -> list[Finding]:
    return list(check(Patient(host=of, domains=tuple(domains), policy=policy, **more)))


def guest(
    *cells: tuple[int, int], memory: int = 1000 * MIB, how: str = "exact", vcpus: int = 2, **known: Any
) -> Domain:
    return domain("g", vcpus, cells=tuple(cells), memory=memory, how=how, **known)


TWO = host([4 * GIB, 4 * GIB], cpus=4)


@pytest.mark.parametrize(
    ("stray", "split", "far"), [(0, False, False), (50, False, False), (51, True, True), (500, True, True)]
)
def test_a_twentieth_of_a_guest_on_another_cell_is_no_finding(stray: int, split: bool, far: bool) -> None:
    """It is page tables and devices; a byte more would be a part of the guest."""
    one = guest((0, (1000 - stray) * MIB), (1, stray * MIB))
    assert bool(found(guests.split, TWO, one)) is split
    here = one._replace(affinity=one.affinity._replace(cpus=(0, 1)))
    assert bool(found(guests.remote, TWO, here)) is far
    bound = one._replace(affinity=one.affinity._replace(cells=(0,)))
    assert bool(found(guests.unmet_policy, TWO, bound)) is far


@pytest.mark.parametrize(
    ("one", "hurts"),
    [
        (guest((0, 500 * MIB), (1, 500 * MIB)), True),
        (guest((0, 500 * MIB), (1, 500 * MIB), how="deduced"), True),
        (guest((0, 500 * MIB), (1, 500 * MIB), how="debug-key"), True),
        (guest((0, 500 * MIB), (1, 500 * MIB), how="sampled"), False),
        (guest((0, 500 * MIB), (1, 500 * MIB), vcpus=4), True),
        (guest((0, 500 * MIB), (1, 500 * MIB), vcpus=5), False),
        (guest((0, 500 * MIB), (1, 500 * MIB), guest_cells=(1, 2)), False),
        (guest((0, 500 * MIB), (1, 500 * MIB), guest_cells=(1,)), True),
        (guest((0, 500 * MIB), (1, 500 * MIB))._replace(vcpus=None), False),
        (guest((0, 500 * MIB), (1, 500 * MIB))._replace(cells=None), False),
        (guest((0, 500 * MIB), (1, 500 * MIB))._replace(memory=None), False),
        (guest((0, 3 * GIB), (1, 2 * GIB), memory=5 * GIB), True),
    ],
)
def test_a_guest_that_would_fit_in_one_cell_is_found(one: Domain, hurts: bool) -> None:
    """As far as it is known where it is, what it has, and that it does not see the cells."""
    assert bool(found(guests.split, TWO, one)) is hurts


def test_a_guest_fits_where_its_own_memory_makes_room() -> None:
    """To the last byte; available memory counts before free memory."""
    one = guest((0, 500 * MIB), (1, 500 * MIB))
    for room, hurts in ((500 * MIB, True), (500 * MIB - 1, False)):
        cells = (cell(0, 9 * GIB, (0, 1), available=room), cell(1, 0, (4, 5)))
        assert bool(found(guests.split, TWO._replace(cells=cells), one)) is hurts
        cells = (cell(0, room, (0, 1), available=None), cell(1, None, (4, 5)))
        assert bool(found(guests.split, TWO._replace(cells=cells), one)) is hurts
    (finding,) = found(guests.split, TWO, one)
    assert finding == Finding(
        id="guest-across-cells", severity="warning", what="domain g is spread over cells 0-1 and would fit in cell 0",
        evidence=(("domain g, cell 0", "500 MiB"), ("domain g, cell 1", "500 MiB")),
        cost="part of its memory is remote to each of its vcpus, and the guest cannot see which",
        remedy="place it again (numaprobe place, numaprobe pin)",
    )  # fmt: skip


def test_remote_memory_of_a_guest_matters_where_other_cpus_could_be_near() -> None:
    """A cell without CPUs is remote to all; CPUs of unknown cell say nothing."""
    one = guest((0, 400 * MIB), (1, 600 * MIB))
    here = one._replace(affinity=one.affinity._replace(cpus=(0, 1)))
    (finding,) = found(guests.remote, TWO, here)
    assert finding.what == "domain g runs on cell 0 only and has memory on cell 1"
    assert finding.evidence == (("domain g, cell 1", "600 MiB"),)
    assert (finding.id, finding.severity) == ("guest-remote-memory", "warning")
    without = TWO._replace(cells=(TWO.cells[0], TWO.cells[1]._replace(cpus=())))
    assert not found(guests.remote, without, here)
    lost = TWO._replace(cpus=tuple(cpu._replace(cell=None) for cpu in TWO.cpus))
    assert not found(guests.remote, lost, here)
    for other in (one, here._replace(how="sampled"), here._replace(cells=None), here._replace(memory=0)):
        assert not found(guests.remote, TWO, other)


def test_memory_outside_of_a_binding_is_found_where_it_was_counted() -> None:
    """An estimate is no evidence."""
    one = guest((0, 400 * MIB), (1, 600 * MIB))
    bound = one._replace(affinity=one.affinity._replace(cells=(0,)))
    (finding,) = found(guests.unmet_policy, TWO, bound)
    assert finding.what == "domain g is bound to the memory of cell 0 and has some on cell 1"
    assert finding.evidence == (("domain g, cell 1", "600 MiB"),)
    for other in (one, bound._replace(how="deduced"), bound._replace(cells=None), bound._replace(memory=None)):
        assert not found(guests.unmet_policy, TWO, other)


@pytest.mark.parametrize(
    ("cpus", "hurts"), [((0, 1), True), ((1, 2), True), ((1,), False), ((2, 3), False), (None, False)]
)
def test_a_vcpu_that_floats_over_an_isolated_cpu_is_found(cpus: tuple[int, ...] | None, hurts: bool) -> None:
    """One that is pinned to it is what isolation is for."""
    alone = host([GIB], isolated=[1])
    one = domain("g", 1, pinned=[cpus] * 9)
    results = found(guests.isolated, alone, one)
    assert bool(results) is hurts
    assert not found(guests.isolated, host([GIB]), one)
    if hurts:
        assert results[0].evidence[0] == ("domain g, vcpu 0", "0-1" if cpus == (0, 1) else "1-2")
        assert len(results[0].evidence) == 8
        assert results[0].what == "vcpus of domain g may run on several CPUs, isolated ones among them"


# --- hardware --------------------------------------------------------------------------------------------------------


def sized(*totals: int | None, cpus: Sequence[int] = (0, 1)) -> Host:
    cells = tuple(
        cell(n, 0, cpus)._replace(memory=TWO.cells[0].memory._replace(total=size)) for n, size in enumerate(totals)
    )
    return TWO._replace(cells=cells)


@pytest.mark.parametrize(
    ("totals", "hurts"),
    [((4 * GIB, GIB), False), ((4 * GIB, GIB - 1), True), ((4 * GIB, 0), False), ((4 * GIB, None), False), ((GIB,), False)],
)  # fmt: skip
def test_a_cell_with_less_than_a_quarter_is_uneven(totals: tuple[int | None, ...], hurts: bool) -> None:
    """A quarter is not; a cell without memory is another finding."""
    results = found(hardware.uneven_memory, sized(*totals))
    assert bool(results) is hurts
    if hurts:
        assert (results[0].id, results[0].severity) == ("memory-uneven", "info")
        assert results[0].what == "cell 1: less than a quarter of the memory of the largest cell"
        assert results[0].evidence == (("cell 0", "4 GiB"), ("cell 1", "1024.0 MiB"))
    assert not found(hardware.uneven_memory, sized(*totals, cpus=()))


def test_cpus_without_memory_of_their_own_are_found() -> None:
    """Unknown is not 0, and a cell without CPUs needs none."""
    (finding,) = found(hardware.memory_less_cell, sized(0, None, GIB))
    assert finding.what == "cell 0 has 2 CPUs and no memory"
    assert finding.evidence == (("memory", "0"),)
    named = sized(0)
    named = named._replace(
        cells=(named.cells[0]._replace(memory=named.cells[0].memory._replace(total_from="meminfo")),)
    )
    assert found(hardware.memory_less_cell, named)[0].evidence == (("meminfo", "0"),)
    assert not found(hardware.memory_less_cell, sized(0, cpus=()))


def test_cpus_without_a_cell_are_found_where_there_are_two() -> None:
    """The notes that claim them are the evidence, else the first sixteen numbers."""
    lost = TWO._replace(cpus=tuple(cpu._replace(cell=None) for cpu in TWO.cpus), notes=())
    (finding,) = found(hardware.contested_cpus, lost)
    assert finding.what == "8 online CPUs in no cell, or in more than one"
    assert finding.evidence == (("cpus", "0,1,2,3,4,5,6,7"),)
    noted = lost._replace(notes=(Note("cpulist", "cpu 1 is claimed by both"), Note("x", "another")))
    assert found(hardware.contested_cpus, noted)[0].evidence == (("cpulist", "cpu 1 is claimed by both"),)
    many = host([GIB, GIB], cpus=20)
    many = many._replace(cpus=tuple(cpu._replace(cell=None) for cpu in many.cpus))
    assert found(hardware.contested_cpus, many)[0].evidence == (("cpus", ",".join(map(str, range(16)))),)
    one = host([GIB])
    assert not found(hardware.contested_cpus, one._replace(cpus=tuple(cpu._replace(cell=None) for cpu in one.cpus)))
    offline = TWO._replace(cpus=tuple(cpu._replace(cell=None, online=False) for cpu in TWO.cpus))
    assert not found(hardware.contested_cpus, offline)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([[10, 11], [11, 10]], []), ([[10, 10], [11, 10]], [("distance 0 to 1", "10")]),
        ([[11, 20], [20, 9]], [("distance 0 to 0", "11"), ("distance 1 to 1", "9")]), ([[None, None], [None, None]], []),
    ],
)  # fmt: skip
def test_distances_that_cannot_be_are_found(rows: list[list[Any]], wrong: list[tuple[str, str]]) -> None:
    """Local memory costs 10, everything else more."""
    of = host([GIB, GIB], distances=dict(enumerate(rows)))
    results = found(hardware.distances, of)
    assert [finding.evidence for finding in results] == ([tuple(wrong)] if wrong else [])
    if wrong:
        xen = host([GIB, GIB], distances=dict(enumerate(rows)), source="xen")
        assert found(hardware.distances, xen)[0].evidence[0][0].startswith("sysctl numainfo ")


def test_at_most_eight_impossible_distances_are_shown() -> None:
    """They are all alike."""
    of = host([GIB] * 4, distances={n: [9] * 4 for n in range(4)})
    assert len(found(hardware.distances, of)[0].evidence) == 8


@pytest.mark.parametrize(
    ("inside", "across", "far", "hurts"),
    [(12, 21, 21, False), (21, 21, 21, True), (21, 20, 31, True), (16, 16, 22, False), (16, 16, 16, True)],
)
def test_cells_of_one_package_are_nearer_than_those_of_two(inside: int, across: int, far: int, hurts: bool) -> None:
    """Unless the nearest of two packages are linked as directly, as on AMD's Opteron 6000."""
    rows = [[10, inside, across, far], [inside, 10, far, across], [across, far, 10, inside], [far, across, inside, 10]]
    of = host([GIB] * 4, cpus=1, threads=1, distances=dict(enumerate(rows)))
    of = of._replace(cpus=tuple(cpu._replace(package=cpu.id // 2) for cpu in of.cpus))
    results = found(hardware.distances, of)
    assert bool(results) is hurts
    if hurts:
        assert results[0].id == "distances-ignore-packages"
        nearest = str(min(across, far))
        assert results[0].evidence == (("distance, in a package", str(inside)), ("distance, between packages", nearest))


@pytest.mark.parametrize(
    ("code", "hurts"),
    [(0x020000, True), (0x120000, True), (0x010400, True), (0x010700, True), (0x010802, True), (0x030200, True),
     (0x010600, False), (0x030000, False), (0x060400, False), (0x01FFFF, False), (None, False)],
)  # fmt: skip
def test_devices_for_which_the_cell_matters(code: int | None, hurts: bool) -> None:
    """Network, accelerators, RAID, SAS, NVMe and 3D controllers."""
    of = TWO._replace(devices=(Device("0000:01:00.0", None, class_code=code, names=(("net", "eth0"),)),))
    results = found(hardware.devices, of)
    assert bool(results) is hurts
    if hurts:
        assert results[0].what == "the cell of 1 device is not known"
        assert results[0].evidence == (("0000:01:00.0 eth0", "no cell in numa_node"),)
        assert results[0].remedy.endswith(", or write the cell to numa_node")
        xen = of._replace(source="xen")
        assert found(hardware.devices, xen)[0].evidence[0][1] == "no cell in sysctl pcitopoinfo"
        assert found(hardware.devices, xen)[0].remedy == "update the firmware (ACPI _PXM of the root bridge)"
        assert not found(hardware.devices, of._replace(cells=of.cells[:1]))
        assert not found(hardware.devices, of._replace(devices=(of.devices[0]._replace(cell=0),)))  # type: ignore[index]


def test_at_most_sixteen_lost_devices_are_shown() -> None:
    """Their number is that of all."""
    lost = tuple(Device(f"0000:{number:02x}:00.0", None, class_code=0x020000) for number in range(17))
    (finding,) = found(hardware.devices, TWO._replace(devices=lost))
    assert finding.what == "the cell of 17 devices is not known"
    assert len(finding.evidence) == 16


def packages(count: int, *, stand_in: bool = False, **known: Any) -> Host:
    of = host([GIB], cpus=4)
    cpus = tuple(cpu._replace(package=cpu.id % count) for cpu in of.cpus)
    return of._replace(cpus=cpus, cells=(of.cells[0]._replace(stand_in=stand_in),), **known)


def test_a_kernel_without_numa_on_several_packages_is_found() -> None:
    """Not on Arm and RISC-V, where clusters are packages, and not where memory is unknown."""
    (finding,) = found(hardware.no_numa, packages(2, stand_in=True))
    assert finding.what == "2 packages, and a kernel without NUMA"
    assert found(hardware.no_numa, packages(2, stand_in=True, machine="x86_64"))
    for machine in ("aarch64", "armv7l", "riscv64"):
        assert not found(hardware.no_numa, packages(2, stand_in=True, machine=machine))
    assert not found(hardware.no_numa, packages(1, stand_in=True))
    assert not found(hardware.no_numa, packages(2))
    assert not found(hardware.no_numa, packages(2, stand_in=True, source="xen"))
    unknown = packages(2, stand_in=True)
    cells = (unknown.cells[0]._replace(memory=unknown.cells[0].memory._replace(total=None)),)
    assert not found(hardware.no_numa, unknown._replace(cells=cells))


@pytest.mark.parametrize(("cells", "hurts"), [(None, False), (1, False), (2, True)])
def test_cells_that_only_the_firmware_has_are_found(cells: int | None, hurts: bool) -> None:
    """Where there are several packages and one cell."""
    results = found(hardware.hidden_cells, packages(2), firmware_cells=cells)
    assert bool(results) is hurts
    assert not found(hardware.hidden_cells, packages(1), firmware_cells=cells)
    assert not found(hardware.hidden_cells, packages(2, stand_in=True), firmware_cells=cells)
    assert not found(hardware.hidden_cells, TWO, firmware_cells=cells)
    if hurts:
        finding = results[0]
        assert finding.what == "the firmware's table has 2 cells with memory, and the kernel shows one"
        assert finding.evidence[1] == ("sys/devices/system/node", "1")
        assert finding.remedy.endswith("in dmesg")
        (finding,) = found(hardware.hidden_cells, packages(2, source="xen"), firmware_cells=cells)
        assert finding.what == "the firmware's table has 2 cells with memory, and Xen shows one"
        assert finding.evidence[1] == ("sysctl numainfo", "1")
        assert finding.remedy.endswith("in xl dmesg")


def test_offline_memory_is_said_with_its_size_and_eight_blocks() -> None:
    """The size only where that of a block is known."""
    facts = PolicyFacts(block_size=128 * MIB, offline_blocks=tuple(range(9)))
    (finding,) = found(hardware.offline_memory, TWO, policy=facts)
    assert finding.what == "9 memory blocks offline (1.1 GiB)"
    assert finding.evidence[0] == ("sys/devices/system/memory/memory0/state", "offline")
    assert len(finding.evidence) == 8
    (finding,) = found(hardware.offline_memory, TWO, policy=facts._replace(block_size=None, offline_blocks=(7,)))
    assert finding.what == "1 memory block offline"
    for policy in (None, facts._replace(offline_blocks=()), facts._replace(offline_blocks=None)):
        assert not found(hardware.offline_memory, TWO, policy=policy)


def test_failed_pages_are_said_by_what_became_of_them() -> None:
    """Counts of 0 are left out."""
    failures = made(MemoryFailures, total=1, recovered=1, failed=0)
    of = TWO._replace(cells=(TWO.cells[0]._replace(failures=failures), TWO.cells[1]))
    (finding,) = found(hardware.failed_memory, of)
    assert finding.what == "cell 0 has 1 page with an uncorrected memory error"
    assert finding.evidence == (("node0/memory_failure/total", "1"), ("node0/memory_failure/recovered", "1"))


def test_memory_that_xen_leaves_without_a_node_is_said_in_eight_ranges() -> None:
    """With the release, so that the reader knows what to update."""
    ranges = tuple((number << 30, (number << 30) + 4096, 1) for number in range(9))
    (finding,) = found(hardware.memory_without_node, host([GIB], source="xen"), without_node=ranges)
    assert finding.what == "Xen 4.20.0 leaves 36 KiB of the firmware's ranges without a node"
    assert finding.evidence[1] == ("sys/firmware/acpi/tables/SRAT, cell 1", "0x40000000 to 0x40001000")
    assert len(finding.evidence) == 8
    assert not found(hardware.memory_without_node, host([GIB], source="xen"))


@pytest.mark.parametrize(("errno", "said"), [(2, False), (20, False), (13, True)])
def test_a_firmware_table_that_cannot_be_read_is_skipped_and_said(errno: int, said: bool) -> None:
    """One that is not there is nobody's fault, unless Xen's own fault depends on it."""
    path = "sys/firmware/acpi/tables/SRAT"
    skipped: list[tuple[str, str]] = []
    assert _firmware_cells(Shelf({}, {path: errno}), TWO, skipped) is None
    text = "cannot be read: whether the firmware has more cells is unknown"
    assert skipped == ([(path, text)] if said else [])
    skipped.clear()
    assert _without_node(Shelf({}, {path: errno}), "4.19.0", skipped) == ()
    assert skipped == [(path, "cannot be read: whether Xen leaves memory without a node is unknown")]
    assert _without_node(Shelf({}, {path: errno}), "4.10.0", skipped[:]) == ()


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory", "hurts"), [(GIB, True), (GIB - 1, False), (None, False)])
def test_balancing_matters_to_pinned_guests_of_a_gibibyte(memory: int | None, hurts: bool) -> None:
    """Smaller ones are scanned in no time."""
    one = domain("g", 1, cpus=(0, 1), memory=memory)
    on = PolicyFacts(numa_balancing=1, balanced=(5, None, 7))
    results = found(settings.balancing, TWO, one, policy=on)
    assert bool(results) is hurts
    tiers = TWO._replace(cells=(TWO.cells[0]._replace(tier=4), TWO.cells[1]._replace(tier=5)))
    bound = one._replace(affinity=one.affinity._replace(cells=(0,)))
    slower = found(settings.demotion, tiers, bound, policy=PolicyFacts(demotion=True))
    assert bool(slower) is hurts
    if hurts:
        assert results[0].evidence == (
            ("proc/sys/kernel/numa_balancing", "1"), ("proc/vmstat numa_hint_faults", "5"),
            ("proc/vmstat numa_pages_migrated", "7"), ("domain g", "1 GiB"),
        )  # fmt: skip
        assert slower[0].evidence == (
            ("sys/kernel/mm/numa/demotion_enabled", "true"), ("cell 0, memory tier", "4"), ("cell 1, memory tier", "5"),
            ("domain g", "1 GiB"),
        )  # fmt: skip
        floating = one._replace(affinity=one.affinity._replace(cpus=(0, 4)))
        assert not found(settings.balancing, TWO, floating, policy=on)
        assert not found(settings.balancing, host([GIB]), one, policy=on)
        assert not found(settings.balancing, TWO, one, policy=on._replace(numa_balancing=0))
        below = bound._replace(affinity=one.affinity._replace(cells=(0, 1)))
        assert not found(settings.demotion, tiers, below, policy=PolicyFacts(demotion=True))
        assert not found(settings.demotion, TWO, bound, policy=PolicyFacts(demotion=True))
        assert not found(settings.demotion, tiers, bound, policy=PolicyFacts(demotion=False))


@pytest.mark.parametrize(("mode", "hurts"), [(None, False), (0, False), (1, True), (4, True)])
def test_zone_reclaim_is_said_with_its_mode(mode: int | None, hurts: bool) -> None:
    """On a host of several cells with CPUs."""
    results = found(settings.zone_reclaim, TWO, policy=PolicyFacts(zone_reclaim_mode=mode))
    assert [finding.evidence for finding in results] == (
        [(("proc/sys/vm/zone_reclaim_mode", str(mode)),)] if hurts else []
    )
    assert not found(settings.zone_reclaim, host([GIB]), policy=PolicyFacts(zone_reclaim_mode=mode))


@pytest.mark.parametrize(
    ("run", "merge", "hurts"), [(1, 1, True), (2, 1, False), (0, 1, False), (1, 0, False), (None, 1, False)]
)
def test_merging_between_cells_is_found_while_it_runs(run: int | None, merge: int, hurts: bool) -> None:
    """2 undoes what was merged."""
    facts = PolicyFacts(ksm_run=run, ksm_merge_across_nodes=merge)
    assert bool(found(settings.same_page_merging, TWO, policy=facts)) is hurts
    assert not found(settings.same_page_merging, host([GIB]), policy=facts)


def test_huge_pages_away_from_cpus_are_worse_than_those_on_one_cell() -> None:
    """Each size by itself."""

    def of(*totals: int, cpuless: Sequence[int] = ()) -> Host:
        base = host([GIB] * len(totals), cpuless=cpuless)
        return base._replace(cells=tuple(
            one._replace(huge_pages=(HugePages(2 * MIB, total, total, 0), HugePages(GIB, 0, 0, 0)))
            for one, total in zip(base.cells, totals, strict=True)
        ))  # fmt: skip

    assert [finding.id for finding in found(settings.huge_pages, of(8, 8))] == []
    (finding,) = found(settings.huge_pages, of(0, 8))
    assert (finding.id, finding.severity) == ("huge-pages-on-one-cell", "info")
    assert finding.what == "all huge pages of 2 MiB are on cell 1"
    assert finding.evidence == (("cell 1, pages of 2 MiB", "8"),)
    assert not found(settings.huge_pages, of(8))
    (finding,) = found(settings.huge_pages, of(8, 8, cpuless=[1]))
    assert (finding.id, finding.severity) == ("huge-pages-without-cpus", "warning")
    assert finding.what == "huge pages of 2 MiB are on cell 1, without CPUs"


@pytest.mark.parametrize(
    ("low", "high", "hurts"),
    [(19, 251, True), (20, 251, False), (19, 250, False), (0, 1000, True), (None, 1000, False)],
)
def test_a_cell_is_full_below_two_percent_while_another_has_a_quarter(low: int | None, high: int, hurts: bool) -> None:
    """In thousandths of the memory of each."""
    cells = tuple(cell(n, 0, (n,), total=1000, available=left) for n, left in enumerate((low, high)))
    results = found(settings.full_cell, TWO._replace(cells=cells))
    assert bool(results) is hurts
    if hurts and low == 19:
        assert results[0].evidence == (("cell 0, available", "1.9%"), ("cell 1, available", "25.1%"))
        assert results[0].what == "cell 0: almost no memory available, while other cells have room"


def test_a_domain_is_named_by_its_name_or_number() -> None:
    """CPUs of unknown cell make its cells unknown."""
    one = domain("g", 1, cpus=(0, 4))
    assert settings.name(one) == "domain g"
    assert settings.name(one._replace(name=None, id=7)) == "domain 7"
    patient = Patient(host=TWO, domains=(), policy=None)
    assert settings.cells_of(patient, one) == {0, 1}
    assert settings.cells_of(patient, one._replace(affinity=one.affinity._replace(cpus=None))) is None
    assert settings.cells_of(patient, one._replace(affinity=one.affinity._replace(cpus=(0, 99)))) is None


def test_a_diagnosis_as_a_document_has_pairs_with_names() -> None:
    """Evidence and what was skipped."""
    finding = Finding("i", "info", "w", (("a", "1"),), "c", "r")
    assert document(Diagnosis((finding,), (("guests", "why"),))) == {
        "schema": "numaprobe/1",
        "findings": [
            {
                "id": "i",
                "severity": "info",
                "what": "w",
                "evidence": [{"where": "a", "value": "1"}],
                "cost": "c",
                "remedy": "r",
            }
        ],
        "skipped": [{"what": "guests", "why": "why"}],
    }


def test_cpus_are_those_of_the_model() -> None:
    """A package of offline CPUs does not count."""
    offline = packages(2)
    cpus = tuple(cpu._replace(online=cpu.package == 0) for cpu in offline.cpus)
    assert not hardware.might_hide_cells(offline._replace(cpus=cpus))
    assert hardware.might_hide_cells(offline)
    assert isinstance(offline.cpus[0], Cpu)
