"""The doctor: each check finds its fault on a planted machine, and nothing on one without it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import trees
from commands import Plant
from fake_xen import fake_srat
from hosts import GIB, domain, host, made
from schemas import check as valid
from trees import CPU, NODE, Machine, machine, meminfo

import numaprobe
from numaprobe import cli
from numaprobe.doctor import CHECKS, _firmware_cells, _without_node, document, examine
from numaprobe.doctor.finding import Patient
from numaprobe.doctor.hardware import devices
from numaprobe.linux.policy import PolicyFacts
from numaprobe.xen import srat

FIXTURES = Path(__file__).parents[1] / "fixtures"
TWO = machine({0: [0, 1], 1: [2, 3]})
PCI = "sys/bus/pci/devices/0000:3b:00.0"

# One tree for each check that a tree can show; the same machine without the change has no finding.
FAULTS: dict[str, Mapping[str, trees.Content]] = {
    "cell-without-memory": {f"{NODE}/node1/meminfo": meminfo(1, 0, 0)},
    "memory-uneven": {f"{NODE}/node1/meminfo": meminfo(1, 1 << 19, 1 << 18)},
    "cpus-without-cell": {f"{NODE}/node1/cpulist": "0-3\n"},
    "distances-impossible": {f"{NODE}/node0/distance": "10 10\n"},
    "device-without-cell": {f"{PCI}/numa_node": "-1\n", f"{PCI}/class": "0x020000\n", f"{PCI}/net/eth0": None},
    "memory-failed": {f"{NODE}/node1/memory_failure/total": "3\n", f"{NODE}/node1/memory_failure/recovered": "2\n"},
    "memory-offline": {
        "sys/devices/system/memory/block_size_bytes": "80000000\n",
        "sys/devices/system/memory/memory7/state": "offline\n",
        "sys/devices/system/memory/memory8/state": "online\n",
    },
    "zone-reclaim": {"proc/sys/vm/zone_reclaim_mode": "1\n"},
    "ksm-across-cells": {"sys/kernel/mm/ksm/run": "1\n", "sys/kernel/mm/ksm/merge_across_nodes": "1\n"},
    "huge-pages-on-one-cell": {
        f"{NODE}/node{cell}/hugepages/hugepages-2048kB/nr_hugepages": f"{8 * cell}\n" for cell in (0, 1)
    },
}


def ids(diagnosis: numaprobe.Diagnosis) -> list[str]:
    return [finding.id for finding in diagnosis.findings]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(fault: str, plant: Plant) -> None:
    """Each known fault is the only one on an otherwise good machine, so no check may answer for another."""
    assert ids(numaprobe.diagnose(plant({**TWO, **FAULTS[fault]}))) == [fault]


# One process that is no guest, so that the list of guests is complete and empty.
WITHOUT_GUESTS: Machine = {
    "proc/1/stat": f"1 (init) S 0 1 1 0 -1 {'0 ' * 44}\n",
    "proc/1/cmdline": "/sbin/init\0",
    "proc/self/mountinfo": "20 1 0:20 / /proc rw - proc proc rw\n",
}


def test_a_good_machine_has_no_finding(plant: Plant) -> None:
    """Every file that the checks read is there with its right value, so silence means that each was examined."""
    good: Machine = (
        TWO
        | WITHOUT_GUESTS
        | {
            "proc/sys/vm/zone_reclaim_mode": "0\n",
            "proc/sys/kernel/numa_balancing": "1\n",
            "sys/kernel/mm/ksm/run": "1\n",
            "sys/kernel/mm/ksm/merge_across_nodes": "0\n",
            "sys/devices/system/memory/block_size_bytes": "80000000\n",
            "sys/devices/system/memory/memory8/state": "online\n",
            f"{PCI}/numa_node": "1\n",
            f"{PCI}/class": "0x020000\n",
            **{f"{NODE}/node{cell}/hugepages/hugepages-2048kB/nr_hugepages": "8\n" for cell in (0, 1)},
        }
    )
    assert numaprobe.diagnose(plant(good)) == ((), ())


def test_a_machine_of_one_cell_has_nothing_that_needs_two(plant: Plant) -> None:
    """Those settings harm only where memory can be remote."""
    tree = machine({0: range(4)}) | FAULTS["zone-reclaim"] | FAULTS["ksm-across-cells"] | FAULTS["device-without-cell"]
    assert ids(numaprobe.diagnose(plant(tree))) == []


def test_sub_numa_cells_as_far_as_other_packages_are_found(plant: Plant) -> None:
    """The firmware forgot that two cells are one package; with the right matrix there is nothing."""
    cells = {cell: [2 * cell, 2 * cell + 1] for cell in range(4)}
    flat = machine(cells)
    for cpu in range(8):
        flat[f"{CPU}/cpu{cpu}/topology/physical_package_id"] = f"{cpu // 4}\n"
        flat[f"{CPU}/cpu{cpu}/topology/package_cpus_list"] = "0-3\n" if cpu < 4 else "4-7\n"
    assert ids(numaprobe.diagnose(plant(flat))) == ["distances-ignore-packages"]
    rows = ["10 12 21 21", "12 10 21 21", "21 21 10 12", "21 21 12 10"]
    assert (
        ids(numaprobe.diagnose(plant(flat | {f"{NODE}/node{i}/distance": f"{r}\n" for i, r in enumerate(rows)}))) == []
    )


def test_packages_whose_nearest_cells_are_linked_directly_are_no_finding(plant: Plant) -> None:
    """On AMD's Opteron 6000 the other cell of the package costs 16, as does one cell of each other package."""
    cells = {cell: [2 * cell, 2 * cell + 1] for cell in range(4)}
    rows = {0: [10, 16, 16, 22], 1: [16, 10, 22, 16], 2: [16, 22, 10, 16], 3: [22, 16, 16, 10]}
    tree = machine(cells, distances=rows)
    for cpu in range(8):
        tree[f"{CPU}/cpu{cpu}/topology/physical_package_id"] = f"{cpu // 4}\n"
        tree[f"{CPU}/cpu{cpu}/topology/package_cpus_list"] = "0-3\n" if cpu < 4 else "4-7\n"
    assert ids(numaprobe.diagnose(plant(tree))) == []
    nearer = {**rows, 0: [10, 16, 12, 22]}
    tree |= {f"{NODE}/node{i}/distance": " ".join(map(str, row)) + "\n" for i, row in nearer.items()}
    assert ids(numaprobe.diagnose(plant(tree))) == ["distances-ignore-packages"]


SRAT = "sys/firmware/acpi/tables/SRAT"


def one_node() -> Machine:
    """Two packages in one node, as numa=off leaves them."""
    tree = {path: content for path, content in TWO.items() if not path.startswith(NODE)}
    return {**{path: content for path, content in machine({0: [0, 1, 2, 3]}).items() if path.startswith(NODE)}, **tree}


@pytest.mark.parametrize(
    ("domains", "files", "expected"),
    [
        ((0, 1), {}, ["firmware-cells-not-used"]),
        ((0, 0), {}, []),
        # A control domain's own view says nothing of the machine's cells.
        ((0, 1), {"sys/hypervisor/type": "xen\n"}, []),
        ((0, 1), {"sys/hypervisor/type": "kvm\n"}, ["firmware-cells-not-used"]),
    ],
)
def test_cells_of_the_firmware_that_the_kernel_does_not_show(
    domains: tuple[int, int], files: Machine, expected: list[str], plant: Plant
) -> None:
    """With numa=off Linux has one node with all the memory; the table still has them all."""
    tree = {**one_node(), **files}
    tree[SRAT] = fake_srat([(0, 0)], [(domains[0], 0, GIB), (domains[1], GIB, GIB)])
    assert ids(numaprobe.diagnose(plant(tree), source="linux")) == expected


def test_one_package_is_not_suspected_of_more_cells(plant: Plant) -> None:
    """The table is not even read: on most machines with one package and one cell nothing is hidden."""
    tree = {**machine({0: [0, 1]}), **WITHOUT_GUESTS, SRAT: b"broken"}
    assert numaprobe.diagnose(plant(tree)) == numaprobe.Diagnosis((), ())


def test_guests_that_could_not_all_be_seen_are_said_to_be_skipped(plant: Plant) -> None:
    """No finding about guests is no sign that none is hurt where their list is not complete."""
    found = numaprobe.diagnose(plant(machine({0: [0, 1]})))
    assert found.skipped == (("guests that could not all be seen", "proc: shows no process"),)


def test_a_broken_table_is_said_to_be_skipped(plant: Plant) -> None:
    """A guess from a part of it would be a false alarm."""
    found = numaprobe.diagnose(plant({**one_node(), **WITHOUT_GUESTS, SRAT: b"SRAT and no more"}))
    assert (ids(found), [where for where, _ in found.skipped]) == ([], [SRAT])


def test_several_packages_on_a_kernel_without_nodes_are_found(plant: Plant) -> None:
    """Two sockets and no node: NUMA is off in the kernel or its command line."""
    tree = {path: content for path, content in TWO.items() if not path.startswith(NODE)}
    tree.pop("proc/meminfo", None)
    assert ids(numaprobe.diagnose(plant(tree))) == [], "a recording without memory may be without its nodes too"
    tree["proc/meminfo"] = meminfo(None, 1 << 20, 1 << 19)
    assert ids(numaprobe.diagnose(plant(tree))) == ["kernel-without-numa"]
    tree[SRAT] = fake_srat([(0, 0)], [(0, 0, GIB), (1, GIB, GIB)])
    assert ids(numaprobe.diagnose(plant(tree))) == ["kernel-without-numa"], "one cause is one finding"


@pytest.mark.parametrize("machine", ["aarch64", "armv7l", "riscv64"])
def test_clusters_of_one_chip_are_not_taken_for_packages(machine: str) -> None:
    """Without ACPI the kernels of these architectures report clusters as packages."""
    found = host([GIB])
    cpus = tuple(cpu._replace(package=cpu.id) for cpu in found.cpus)
    cells = tuple(cell._replace(stand_in=True) for cell in found.cells)
    clusters = found._replace(source="linux", cpus=cpus, cells=cells)
    other = examine(Patient(clusters._replace(machine="x86_64"), None, None))
    assert [finding.id for finding in other] == ["kernel-without-numa"]
    assert examine(Patient(clusters._replace(machine=machine), None, None)) == ()


def test_a_device_without_a_cell_is_shown_by_address_and_name(plant: Plant) -> None:
    """The address is for the firmware's setup, the name for the person."""
    (finding,) = numaprobe.diagnose(plant({**TWO, **FAULTS["device-without-cell"]})).findings
    assert finding.evidence == (("0000:3b:00.0 eth0", "no cell in numa_node"),)


def test_huge_pages_on_memory_without_cpus_are_found(plant: Plant) -> None:
    """An even distribution by the kernel puts a third of the pages where every access is remote."""
    tree = machine({0: [0], 1: [1], 2: []})
    for cell in range(3):
        tree[f"{NODE}/node{cell}/hugepages/hugepages-2048kB/nr_hugepages"] = "4\n"
    assert ids(numaprobe.diagnose(plant(tree))) == ["huge-pages-without-cpus"]


def test_huge_pages_on_the_only_cell_with_cpus_are_where_they_should_be(plant: Plant) -> None:
    """The uneven counts that elsewhere are a fault are right here."""
    tree = machine({0: [0, 1], 1: []})
    tree[f"{NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages"] = "4\n"
    assert ids(numaprobe.diagnose(plant(tree))) == []


def patient(*domains: numaprobe.Domain, free: tuple[int, int] = (4 * GIB, 4 * GIB), **known: object) -> Patient:
    policy = known.pop("policy", PolicyFacts(numa_balancing=0))
    tiers: tuple[int | None, ...] = known.pop("tiers", (None, None))  # type: ignore[assignment]
    made = host(dict(enumerate(free)), **known)  # type: ignore[arg-type]
    made = made._replace(cells=tuple(c._replace(tier=t) for c, t in zip(made.cells, tiers, strict=True)))
    return Patient(made, domains, policy)  # type: ignore[arg-type]


def guest(first: int, second: int, **known: object) -> numaprobe.Domain:
    """A guest with so many GiB on each of two cells."""
    return domain(
        "vm", 2, memory=(first + second) * GIB, cells=((0, first * GIB), (1, second * GIB)), how="exact", **known
    )


@pytest.mark.parametrize(
    ("sick", "healthy", "finding"),
    [
        (patient(guest(1, 1)), patient(guest(2, 0)), "guest-across-cells"),
        (patient(guest(1, 1)), patient(guest(3, 3), free=(GIB, GIB)), "guest-across-cells"),
        (patient(guest(1, 1)), patient(guest(1, 1)._replace(how="unknown")), "guest-across-cells"),
        (
            patient(guest(0, 2, cpus=(0, 1, 2, 3))),
            patient(guest(2, 0, cpus=(0, 1, 2, 3))),
            "guest-remote-memory",
        ),
        (patient(guest(0, 2, on=(0,))), patient(guest(2, 0, on=(0,))), "guest-policy-not-met"),
        (
            patient(guest(2, 0, cpus=(0, 1)), policy=PolicyFacts(numa_balancing=1)),
            patient(guest(2, 0, cpus=tuple(range(16))), policy=PolicyFacts(numa_balancing=1)),
            "balancing-of-pinned-guests",
        ),
        *(
            (
                patient(guest(2, 0, on=(0,)), policy=PolicyFacts(demotion=True), tiers=(1, 4)),
                patient(guest(2, 0, on=cells), policy=PolicyFacts(demotion=demotion), tiers=tiers),
                "demotion-of-bound-guests",
            )
            for cells, demotion, tiers in (
                ((0,), False, (1, 4)),
                ((0,), True, (4, 4)),
                ((0, 1), True, (1, 4)),
                ((0,), True, (None, 4)),
            )
        ),
        (
            patient(guest(2, 0, pinned=[(0, 1), (0, 1)]), isolated=(0, 1)),
            patient(guest(2, 0, pinned=[(0,), (1,)]), isolated=(0, 1)),
            "guest-floats-on-isolated-cpus",
        ),
        (
            patient(
                free=(0, 8 * GIB),
            ),
            patient(free=(2 * GIB, 8 * GIB)),
            "cell-full",
        ),
    ],
)
def test_guests_and_full_cells(sick: Patient, healthy: Patient, finding: str) -> None:
    """Each check of guests gets a host that has the fault and one that has not."""
    total = {0: 8 * GIB, 1: 8 * GIB}
    sick, healthy = (
        p._replace(
            host=p.host._replace(
                cells=tuple(c._replace(memory=c.memory._replace(total=total[c.id])) for c in p.host.cells)
            )
        )
        for p in (sick, healthy)
    )
    assert [found.id for found in examine(sick)] == [finding]
    assert [found.id for found in examine(healthy)] == []


def test_guests_that_cannot_be_read_are_said_to_be_skipped() -> None:
    """A recording of Xen without domains: the machine is examined all the same."""
    found = numaprobe.diagnose(recording=FIXTURES / "xen-4.17-memory-less-node" / "host.tar.gz")
    assert ids(found) == ["cell-without-memory"]
    assert [what for what, _ in found.skipped] == ["guests"]


# Real kernels under emulation and machines made by hand: what is found on each is true of it.
ARGUED = {
    "fake-contested": {"cpus-without-cell"},
    # Of guests of 32 to 64 MiB, what QEMU itself takes elsewhere is more than a twentieth.
    "guests-and-devices": {"guest-policy-not-met", "huge-pages-on-one-cell"},
    "huge-pages-one-node": {"huge-pages-on-one-cell", "memory-uneven"},
    "memory-less-node": {"cell-without-memory"},
    # numa=fake claims every cpu for every node, and makes all distances 10.
    "numa-fake": {"cpus-without-cell", "distances-impossible"},
    **{f"xen-{release}-memory-less-node": {"cell-without-memory"} for release in ("4.14", "4.17", "4.20")},
}


@pytest.mark.parametrize("machine_name", sorted(path.parent.name for path in FIXTURES.glob("*/host.tar.gz")))
def test_no_false_alarm_on_the_fixtures(machine_name: str) -> None:
    """Every recorded machine; findings on them are listed with the argument for each."""
    found = numaprobe.diagnose(recording=FIXTURES / machine_name / "host.tar.gz")
    assert set(ids(found)) == ARGUED.get(machine_name, set())


def test_every_finding_has_evidence_cost_and_remedy(plant: Plant) -> None:
    """A finding without them could not be acted on; the JSON document is of its schema."""
    everything = dict(TWO)
    for fault in FAULTS.values():
        everything.update(fault)
    found = numaprobe.diagnose(plant(everything))
    assert len(found.findings) > 5
    for finding in found.findings:
        assert all((finding.evidence, finding.cost, finding.remedy))
        assert finding.severity in ("warning", "info")
    assert [f.severity for f in found.findings] == sorted((f.severity for f in found.findings), reverse=True)
    valid("doctor", document(found))


def test_each_check_is_described() -> None:
    """The documentation has the id of each check and no other."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    checks = page.partition("## On recorded machines")[0]
    described = {line.split("`")[1] for line in checks.splitlines() if line.startswith("| `")}
    package = Path(numaprobe.__file__).parent / "doctor"
    texts = [path.read_text() for path in package.glob("*.py")]
    used = {found for text in texts for found in re.findall(r'yield Finding\(\s*id="([^"]+)"', text)}
    assert described == used
    assert len(CHECKS) <= len(used)


def test_a_recording_has_what_the_doctor_reads(plant: Plant, tmp_path: Path) -> None:
    """Support staff diagnose from recordings, so nothing that a check reads may be left out."""
    tree = {**TWO, **FAULTS["zone-reclaim"], **FAULTS["memory-offline"], **FAULTS["device-without-cell"]}
    root = plant(tree)
    numaprobe.record(tmp_path / "host.tar.gz", root=root)
    assert numaprobe.diagnose(recording=tmp_path / "host.tar.gz") == numaprobe.diagnose(root)


def test_the_command_prints_findings_or_that_there_are_none(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding is an answer and no failure, so the status is 0; the JSON is of its schema."""
    root = plant({**TWO, **FAULTS["zone-reclaim"]})
    assert cli.main(["doctor", "--root", str(root)]) == 0
    text = capsys.readouterr().out
    assert "[zone-reclaim]" in text
    assert "proc/sys/vm/zone_reclaim_mode: 1" in text
    assert "remedy: write 0" in text
    assert cli.main(["doctor", "--json", "--root", str(root)]) == 0
    valid("doctor", json.load(io.StringIO(capsys.readouterr().out)))


def test_a_guest_that_just_fits_on_a_cell_could_be_there() -> None:
    """Its memory there counts as free for it; neither a byte nor a CPU may be missing."""
    for free, vcpus, found in ((GIB, 8, True), (GIB - 1, 8, False), (GIB, 9, False)):
        one = guest(1, 1)._replace(vcpus=vcpus)
        made = patient(one, free=(free, 0))
        assert ("guest-across-cells" in [finding.id for finding in examine(made)]) == found


def test_less_than_a_twentieth_elsewhere_is_no_finding() -> None:
    """Page tables, devices and the like."""
    for elsewhere, found in ((GIB, []), (GIB + 1, ["guest-across-cells"])):
        one = guest(0, 0)._replace(memory=20 * GIB, cells=((0, 20 * GIB - elsewhere), (1, elsewhere)))
        assert [finding.id for finding in examine(patient(one, free=(20 * GIB, 20 * GIB)))] == found


def test_the_evidence_of_balancing_has_the_guests_with_their_sizes() -> None:
    """Whoever reads it can see which bound guest pays for the kernel's scanning."""
    policy = PolicyFacts(numa_balancing=1, balanced=(9, 4, None))
    (finding,) = examine(patient(guest(2, 0, cpus=(0, 1)), policy=policy))
    assert finding.evidence[1:] == (
        ("proc/vmstat numa_hint_faults", "9"),
        ("proc/vmstat numa_hint_faults_local", "4"),
        ("domain vm", "2 GiB"),
    )


def test_the_cell_matters_for_fast_devices() -> None:
    """Of PCI's classes: network (02), accelerators (12), RAID, SAS and NVMe controllers, 3D controllers."""
    fast = {*range(0x0200, 0x0300), *range(0x1200, 0x1300), 0x0104, 0x0107, 0x0108, 0x0302}
    found = set()
    for code in range(0x1400):
        lost = made(numaprobe.Device, address="0000:3b:00.0", class_code=code << 8, names=())
        if list(devices(Patient(host([GIB, GIB], devices=[lost]), None, None))):
            found.add(code)
    assert found == fast


def test_a_table_that_is_broken_is_skipped_and_said() -> None:
    """It is read for a Xen that leaves memory without a node, and for cells that the kernel does not show."""
    shelf = trees.Shelf({srat.PATH: "SRAT"})
    skipped: list[tuple[str, str]] = []
    assert _without_node(shelf, "4.17.5", skipped) == ()
    assert _firmware_cells(shelf, host([GIB]), skipped) is None
    assert [where for where, _ in skipped] == [srat.PATH] * 2
    assert _without_node(shelf, "4.10.0", []) == ()


def test_cells_of_the_firmware_are_counted_once_and_only_those_with_memory() -> None:
    """Two ranges of one domain are one cell; the control domain's own view of the table is another machine's."""
    table = fake_srat([(0, 0), (1, 1), (2, 2)], [(0, 0, 1 << 30), (0, 4 << 30, 1 << 30), (1, 1 << 30, 1 << 30)])
    shelf = trees.Shelf({srat.PATH: table})
    assert _firmware_cells(shelf, host([GIB]), []) == 2
    dom0 = trees.Shelf({srat.PATH: table, "sys/hypervisor/type": "xen\n"})
    assert _firmware_cells(dom0, host([GIB]), []) is None
    assert _firmware_cells(trees.Shelf({}), host([GIB]), []) is None
