"""Checks of what the kernel was told to do."""

from __future__ import annotations

from ..linux.policy import BALANCING, KSM, RECLAIM
from ..wording import cells, size
from .finding import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model.domains import Domain
    from .finding import Patient

LARGE = 1 << 30


def _several(patient: Patient) -> bool:
    return sum(bool(cell.cpus) for cell in patient.host.cells) > 1


def cells_of(patient: Patient, domain: Domain) -> set[int] | None:
    """Cells of the cpus that a domain may run on; None where that is unknown."""
    if domain.affinity.cpus is None:
        return None
    of = {cpu.id: cpu.cell for cpu in patient.host.cpus}
    found = {of.get(cpu) for cpu in domain.affinity.cpus}
    return None if None in found else {cell for cell in found if cell is not None}


def name(domain: Domain) -> str:
    """A domain as evidence names it."""
    return f"domain {domain.name if domain.name is not None else domain.id}"


def balancing(patient: Patient) -> Iterator[Finding]:
    """Automatic balancing of memory that is bound already."""
    policy = patient.policy
    if policy is None or not policy.numa_balancing or not _several(patient):
        return
    bound = [
        domain
        for domain in patient.domains or ()
        if (domain.memory or 0) >= LARGE and len(cells_of(patient, domain) or ()) == 1
    ]
    if bound:
        yield Finding(
            "balancing-of-pinned-guests",
            "warning",
            "automatic NUMA balancing is on, and large guests are pinned to one cell already",
            ((BALANCING, str(policy.numa_balancing)), *((name(domain), size(domain.memory or 0)) for domain in bound)),
            "page faults and scans that cannot improve anything, felt as jitter in the guests",
            "write 0 to /proc/sys/kernel/numa_balancing, or bind the guests' memory so that it is not scanned",
        )


def zone_reclaim(patient: Patient) -> Iterator[Finding]:
    """Reclaiming near memory before far memory is used."""
    policy = patient.policy
    if policy is not None and policy.zone_reclaim_mode and _several(patient):
        yield Finding(
            "zone-reclaim",
            "warning",
            "memory of a cell is reclaimed before another cell's free memory is used",
            ((RECLAIM, str(policy.zone_reclaim_mode)),),
            "stalls and a smaller page cache while other cells have free memory",
            "write 0 to /proc/sys/vm/zone_reclaim_mode",
        )


def same_page_merging(patient: Patient) -> Iterator[Finding]:
    """Pages of guests merged between cells."""
    policy = patient.policy
    if policy is not None and policy.ksm_run == 1 and policy.ksm_merge_across_nodes == 1 and _several(patient):
        yield Finding(
            "ksm-across-cells",
            "warning",
            "kernel same-page merging joins pages of different cells",
            ((f"{KSM}/run", "1"), (f"{KSM}/merge_across_nodes", "1")),
            "guests pinned to a cell read memory of another",
            "write 2 to run, 0 to merge_across_nodes and 1 to run, all in /sys/kernel/mm/ksm",
        )


def huge_pages(patient: Patient) -> Iterator[Finding]:
    """Huge pages where no cpu is near, or on one cell of several."""
    host = patient.host
    with_cpus = [cell.id for cell in host.cells if cell.cpus]
    without_cpus = {cell.id for cell in host.cells if cell.cpus == ()}
    totals: dict[int, dict[int, int]] = {}
    for cell in host.cells:
        for pages in cell.huge_pages:
            if pages.total:
                totals.setdefault(pages.size, {})[cell.id] = pages.total
    for page, found in totals.items():
        evidence = tuple((f"cell {cell}, pages of {size(page)}", str(number)) for cell, number in found.items())
        if without_cpus.intersection(found):
            yield Finding(
                "huge-pages-without-cpus",
                "warning",
                f"huge pages of {size(page)} are on {cells(sorted(without_cpus.intersection(found)))}, without cpus",
                evidence,
                "every guest in them has remote memory",
                "write the counts to nodeN/hugepages of cells with cpus",
            )
        elif len(with_cpus) > 1 and len(found) == 1:
            yield Finding(
                "huge-pages-on-one-cell",
                "info",
                f"all huge pages of {size(page)} are on {cells(found)}",
                evidence,
                "guests on other cells get remote huge pages or none",
                "write the counts to nodeN/hugepages of each cell, unless this is wanted",
            )


def full_cell(patient: Patient) -> Iterator[Finding]:
    """One cell full while another has room."""
    shares = {
        cell.id: cell.memory.available / cell.memory.total
        for cell in patient.host.cells
        if cell.cpus and cell.memory.total and cell.memory.available is not None
    }
    full = [cell for cell, share in shares.items() if share < 0.02]
    if full and any(share > 0.25 for share in shares.values()):
        yield Finding(
            "cell-full",
            "warning",
            f"{cells(full)}: nearly no memory available, while other cells have room",
            tuple((f"cell {cell}, available", f"{share:.1%}") for cell, share in shares.items()),
            "new memory of tasks there is remote, bound memory fails",
            "move a guest (numaprobe place, numaprobe pin)",
        )


CHECKS = (balancing, zone_reclaim, same_page_merging, huge_pages, full_cell)
