"""Checks of where guests are."""

from __future__ import annotations

from ..wording import cells, id_list, size
from .finding import Finding
from .settings import cells_of, name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Patient

# Less than a twentieth of a guest on another cell is page tables, devices and the like.
STRAY = 0.05
KNOWN = ("exact", "deduced", "debug-key")


def split(patient: Patient) -> Iterator[Finding]:
    """Guests over several cells that would fit in one."""
    rooms = {
        cell.id: (len(cell.cpus), cell.memory.available if cell.memory.available is not None else cell.memory.free)
        for cell in patient.host.cells
        if cell.cpus
    }
    for domain in patient.domains or ():
        if domain.cells is None or not domain.memory or domain.vcpus is None or domain.how not in KNOWN:
            continue
        held = {cell: amount for cell, amount in domain.cells if amount > STRAY * domain.memory}
        if len(held) < 2 or len(domain.guest_cells or ()) > 1:
            continue
        homes = [
            cell
            for cell, (cpus, room) in rooms.items()
            if room is not None and domain.vcpus <= cpus and domain.memory <= room + dict(domain.cells).get(cell, 0)
        ]
        if homes:
            yield Finding(
                id="guest-across-cells",
                severity="warning",
                what=f"{name(domain)} is spread over {cells(held)} and would fit in {cells(homes[:1])}",
                evidence=tuple((f"{name(domain)}, cell {cell}", size(amount)) for cell, amount in held.items()),
                cost="part of its memory is remote to each of its vcpus, and the guest cannot see which",
                remedy="place it again (numaprobe place, numaprobe pin)",
            )


def remote(patient: Patient) -> Iterator[Finding]:
    """Guests that run on one cell with their memory on another."""
    for domain in patient.domains or ():
        run = cells_of(patient, domain)
        if not run or domain.cells is None or not domain.memory or domain.how not in KNOWN:
            continue
        far = {cell: amount for cell, amount in domain.cells if cell not in run and amount > STRAY * domain.memory}
        if far and {cell.id for cell in patient.host.cells if cell.cpus} - run:
            yield Finding(
                id="guest-remote-memory",
                severity="warning",
                what=f"{name(domain)} runs on {cells(sorted(run))} only and has memory on {cells(far)}",
                evidence=tuple((f"{name(domain)}, cell {cell}", size(amount)) for cell, amount in far.items()),
                cost="that memory is remote to all of its vcpus",
                remedy="move the memory (numaprobe pin, migratepages), or the vcpus",
            )


def unmet_policy(patient: Patient) -> Iterator[Finding]:
    """Memory outside of the cells that it is meant for."""
    for domain in patient.domains or ():
        wanted = domain.affinity.cells
        if not wanted or domain.cells is None or not domain.memory or domain.how != "exact":
            continue
        outside = {c: amount for c, amount in domain.cells if c not in wanted and amount > STRAY * domain.memory}
        if outside:
            yield Finding(
                id="guest-policy-not-met",
                severity="warning",
                what=f"{name(domain)} is bound to the memory of {cells(wanted)} and has some on {cells(outside)}",
                evidence=tuple((f"{name(domain)}, cell {cell}", size(amount)) for cell, amount in outside.items()),
                cost="the binding was made after the memory was used, or did not fit",
                remedy="move the memory (migratepages), or restart the guest",
            )


def isolated(patient: Patient) -> Iterator[Finding]:
    """Guests that float on CPUs that the kernel does not balance."""
    alone = {cpu.id for cpu in patient.host.cpus if cpu.isolated}
    if not alone:
        return
    for domain in patient.domains or ():
        floating = [
            vcpu
            for vcpu in domain.each_vcpu or ()
            if vcpu.cpus is not None and len(vcpu.cpus) > 1 and alone.intersection(vcpu.cpus)
        ]
        if floating:
            yield Finding(
                id="guest-floats-on-isolated-cpus",
                severity="warning",
                what=f"vcpus of {name(domain)} may run on several CPUs, isolated ones among them",
                evidence=tuple((f"{name(domain)}, vcpu {vcpu.id}", id_list(vcpu.cpus)) for vcpu in floating[:8]),
                cost="the kernel does not move tasks between isolated CPUs: vcpus pile up on one",
                remedy="pin each vcpu to one CPU, or keep the guest off the isolated CPUs",
            )


CHECKS = (split, remote, unmet_policy, isolated)
