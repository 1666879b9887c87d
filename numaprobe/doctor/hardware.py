"""Checks of the machine and its firmware."""

from __future__ import annotations

from ..wording import cells, count, size
from .finding import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model.host import Host
    from .finding import Patient

# Classes of PCI for which the cell matters: network, accelerators; RAID, SAS and NVMe; 3D controllers, which GPUs for
# computing are. Chipsets' disk controllers and consoles' displays are slow enough for any cell.
FAST = (0x02, 0x12)
FAST_STORAGE = (0x0104, 0x0107, 0x0108, 0x0302)


def memory_less_cell(patient: Patient) -> Iterator[Finding]:
    """Cpus without memory of their own."""
    for cell in patient.host.cells:
        if cell.cpus and cell.memory.total == 0:
            yield Finding(
                id="cell-without-memory",
                severity="warning",
                what=f"cell {cell.id} has {count(len(cell.cpus), 'CPU')} and no memory",
                evidence=((cell.memory.total_from or "memory", "0"),),
                cost="every access of its CPUs goes to another cell",
                remedy="populate its memory slots, or do not run guests on its CPUs",
            )


def uneven_memory(patient: Patient) -> Iterator[Finding]:
    """Cells with CPUs that have much less memory than others."""
    sizes = {c.id: c.memory.total for c in patient.host.cells if c.cpus and c.memory.total}
    if len(sizes) < 2:
        return
    largest = max(sizes.values())
    small = {cell: amount for cell, amount in sizes.items() if amount * 4 < largest}
    if small:
        yield Finding(
            id="memory-uneven",
            severity="info",
            what=f"{cells(small)}: less than a quarter of the memory of the largest cell",
            evidence=tuple((f"cell {cell}", size(amount)) for cell, amount in sizes.items()),
            cost="large guests on their CPUs get remote memory",
            remedy="spread the memory modules evenly",
        )


def contested_cpus(patient: Patient) -> Iterator[Finding]:
    """CPUs that firmware gives to several cells, or to none."""
    several = len([cell for cell in patient.host.cells if cell.cpus]) > 1
    without = [cpu.id for cpu in patient.host.cpus if cpu.online and cpu.cell is None]
    if several and without:
        yield Finding(
            id="cpus-without-cell",
            severity="warning",
            what=f"{count(len(without), 'online CPU')} in no cell, or in more than one",
            evidence=tuple((note.where, note.text) for note in patient.host.notes if "claimed" in note.text)
            or (("cpus", ",".join(map(str, without[:16]))),),
            cost="nothing can be placed near to them",
            remedy="update the firmware (its ACPI SRAT contradicts itself), or boot without numa=fake",
        )


def distances(patient: Patient) -> Iterator[Finding]:
    """A matrix that says nothing, or what cannot be."""
    host = patient.host
    ids = [cell.id for cell in host.cells]
    if len(ids) < 2:
        return
    costs = {(a, b): host.distance(a, b) for a in ids for b in ids}
    known = {pair: cost for pair, cost in costs.items() if cost is not None}
    where = "distance" if host.source == "linux" else "sysctl numainfo"
    if not known:
        return
    wrong = [(a, b) for (a, b), cost in known.items() if (cost != 10 if a == b else cost <= 10)]
    if wrong:
        yield Finding(
            id="distances-impossible",
            severity="warning",
            what="by the distances, remote memory is as near as local memory",
            evidence=tuple((f"{where} {a} to {b}", str(known[a, b])) for a, b in wrong[:8]),
            cost="the kernel and placement cannot distinguish near memory from far memory",
            remedy="update the firmware, or correct the distances it reports (ACPI SLIT; on POWER, the device tree)",
        )
        return
    packages: dict[int, set[int | None]] = {}
    for cpu in host.cpus:
        if cpu.online and cpu.cell is not None:
            packages.setdefault(cpu.cell, set()).add(cpu.package)
    of = {cell: next(iter(found)) for cell, found in packages.items() if len(found) == 1 and None not in found}
    inside = [cost for (a, b), cost in known.items() if a != b and a in of and of.get(a) == of.get(b)]
    across = [cost for (a, b), cost in known.items() if a in of and b in of and of[a] != of[b]]
    # Not where the nearest cells of two packages are linked as directly as those of one, as on AMD's Opteron 6000.
    if inside and across and (min(across) < max(inside) or max(across) <= min(inside)):
        yield Finding(
            id="distances-ignore-packages",
            severity="warning",
            what="cells of one package are no nearer to each other than cells of different packages",
            evidence=((f"{where}, in a package", str(max(inside))), (f"{where}, between packages", str(min(across)))),
            cost="a guest that needs two cells may be spread over two packages",
            remedy="update the firmware; with sub-NUMA clustering its ACPI SLIT should put the packages farther apart",
        )


def devices(patient: Patient) -> Iterator[Finding]:
    """Fast devices whose cell nothing says."""
    host = patient.host
    if len([cell for cell in host.cells if cell.cpus]) < 2:
        return
    lost = [
        device
        for device in host.devices or ()
        if device.cell is None
        and device.class_code is not None
        and (device.class_code >> 16 in FAST or device.class_code >> 8 in FAST_STORAGE)
    ]
    where = "numa_node" if host.source == "linux" else "sysctl pcitopoinfo"
    if lost:
        yield Finding(
            id="device-without-cell",
            severity="warning",
            what=f"the cell of {count(len(lost), 'device')} is not known",
            evidence=tuple(
                (" ".join((device.address, *(name for _, name in device.names))), f"no cell in {where}")
                for device in lost[:16]
            ),
            cost="interrupts, buffers and guests of these devices are placed anywhere",
            remedy="update the firmware (ACPI _PXM of the root bridge)"
            + (", or write the cell to numa_node" if host.source == "linux" else ""),
        )


def no_numa(patient: Patient) -> Iterator[Finding]:
    """A kernel without NUMA on a machine of several packages."""
    host = patient.host
    # Recorded Arm machines have the clusters of one chip as packages.
    if (host.machine or "").startswith(("aarch64", "arm", "riscv")):
        return
    packages = {cpu.package for cpu in host.cpus if cpu.online and cpu.package is not None}
    if host.source != "linux" or len(packages) < 2 or len(host.cells) != 1:
        return
    # A recording without memory may be without its nodes too.
    if host.cells[0].stand_in and host.cells[0].memory.total is not None:
        yield Finding(
            id="kernel-without-numa",
            severity="warning",
            what=f"{count(len(packages), 'package')}, and a kernel without NUMA",
            evidence=(("sys/devices/system/node", "not there"),),
            cost="memory is placed without regard to the packages",
            remedy="boot a kernel with CONFIG_NUMA and without numa=off",
        )


def might_hide_cells(host: Host) -> bool:
    """One cell and several packages: with one package, one cell is what most machines have.

    A kernel without nodes is another finding.
    """
    packages = {cpu.package for cpu in host.cpus if cpu.online and cpu.package is not None}
    return len(packages) > 1 and len(host.cells) == 1 and not host.cells[0].stand_in


def hidden_cells(patient: Patient) -> Iterator[Finding]:
    """Cells that the firmware has, and the kernel or Xen does not show."""
    if (patient.firmware_cells or 0) < 2 or not might_hide_cells(patient.host):
        return
    xen = patient.host.source == "xen"
    yield Finding(
        id="firmware-cells-not-used",
        severity="warning",
        what=f"the firmware's table has {patient.firmware_cells} cells with memory, and "
        + ("Xen" if xen else "the kernel")
        + " shows one",
        evidence=(
            ("sys/firmware/acpi/tables/SRAT", f"{patient.firmware_cells} domains with memory"),
            ("sysctl numainfo" if xen else "sys/devices/system/node", "1"),
        ),
        cost="memory is placed without regard to the cells",
        remedy="boot without numa=off; if it was booted so, look for what was wrong with SRAT in "
        + ("xl dmesg" if xen else "dmesg"),
    )


def offline_memory(patient: Patient) -> Iterator[Finding]:
    """Memory that is there and not used."""
    policy = patient.policy
    if policy is None or not policy.offline_blocks:
        return
    amount = None if policy.block_size is None else size(policy.block_size * len(policy.offline_blocks))
    yield Finding(
        id="memory-offline",
        severity="warning",
        what=f"{count(len(policy.offline_blocks), 'memory block')} offline" + (f" ({amount})" if amount else ""),
        evidence=tuple((f"sys/devices/system/memory/memory{n}/state", "offline") for n in policy.offline_blocks[:8]),
        cost="the memory cannot be used",
        remedy="daxctl online-memory, or write online or online_movable to the state files",
    )


def failed_memory(patient: Patient) -> Iterator[Finding]:
    """Pages with an uncorrected error."""
    for cell in patient.host.cells:
        failures = cell.failures
        if failures is None or not failures.total:
            continue
        parts = [(name, value) for name, value in failures._asdict().items() if value]
        yield Finding(
            id="memory-failed",
            severity="warning",
            what=f"cell {cell.id} has {count(failures.total, 'page')} with an uncorrected memory error",
            evidence=tuple((f"node{cell.id}/memory_failure/{name}", str(value)) for name, value in parts),
            cost="guests that use such a page are ended, and more pages often follow",
            remedy="find the module (rasdaemon, ipmitool sel list), move the cell's guests away and replace it",
        )


def memory_without_node(patient: Patient) -> Iterator[Finding]:
    """Memory that a fault of Xen leaves in no node."""
    from ..xen.unaligned import COMMIT

    version = patient.host.hypervisor and patient.host.hypervisor.version
    if patient.without_node:
        amount = sum([end - start for start, end, _ in patient.without_node])
        yield Finding(
            id="xen-memory-without-node",
            severity="warning",
            what=f"Xen {version} leaves {size(amount)} of the firmware's ranges without a node",
            evidence=tuple(
                (f"sys/firmware/acpi/tables/SRAT, cell {node}", f"{start:#x} to {end:#x}")
                for start, end, node in patient.without_node[:8]
            ),
            cost="Xen takes that memory for another node's, or fails on it",
            remedy=f"update Xen to 4.20.4, 4.21.2 or 4.22 (commit {COMMIT}), or ask the vendor whether it has the fix",
        )


CHECKS = (
    no_numa,
    hidden_cells,
    memory_without_node,
    failed_memory,
    memory_less_cell,
    uneven_memory,
    contested_cpus,
    distances,
    devices,
    offline_memory,
)
