"""Checks of how the kernel is configured."""

from __future__ import annotations

from ..linux.policy import BALANCED, BALANCING, DEMOTION, KSM, RECLAIM, VMSTAT
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
    """Cells of the CPUs that a domain may run on; None where that is unknown."""
    if domain.affinity.cpus is None:
        return None
    of = {cpu.id: cpu.cell for cpu in patient.host.cpus}
    found = {of.get(cpu) for cpu in domain.affinity.cpus}
    return None if None in found else {cell for cell in found if cell is not None}


def is_large(domain: Domain) -> bool:
    """Whether a domain is known to have so much memory that scanning or moving it takes time."""
    return domain.memory is not None and domain.memory >= LARGE


def name(domain: Domain) -> str:
    """A domain as evidence names it."""
    return f"domain {domain.name if domain.name is not None else domain.id}"


def balancing(patient: Patient) -> Iterator[Finding]:
    """Automatic balancing of memory that is bound already."""
    policy = patient.policy
    if policy is None or not policy.numa_balancing or not _several(patient):
        return
    bound = [
        domain for domain in patient.domains or () if is_large(domain) and len(cells_of(patient, domain) or ()) == 1
    ]
    if bound:
        yield Finding(
            id="balancing-of-pinned-guests",
            severity="warning",
            what="automatic NUMA balancing is on, and large guests are pinned to one cell already",
            evidence=(
                (BALANCING, str(policy.numa_balancing)),
                *(
                    (f"{VMSTAT} {counter}", str(value))
                    for counter, value in zip(BALANCED, policy.balanced or (), strict=False)
                    if value is not None
                ),
                *((name(domain), size(domain.memory or 0)) for domain in bound),
            ),
            cost="page faults and scans that cannot improve anything, felt as jitter in the guests",
            remedy="write 0 to /proc/sys/kernel/numa_balancing, or bind the guests' memory so that it is not scanned",
        )


def demotion(patient: Patient) -> Iterator[Finding]:
    """Memory that is bound to a fast tier, and moved to a slower one all the same."""
    policy = patient.policy
    tiers = {cell.id: cell.tier for cell in patient.host.cells if cell.tier is not None}
    if policy is None or not policy.demotion or len(set(tiers.values())) < 2:
        return
    slowest = max(tiers.values())
    bound = [
        domain
        for domain in patient.domains or ()
        if is_large(domain)
        and domain.affinity.cells
        and all(tiers.get(cell, slowest) < slowest for cell in domain.affinity.cells)
    ]
    if bound:
        yield Finding(
            id="demotion-of-bound-guests",
            severity="warning",
            what="demotion is on, and large guests are bound to cells of a fast memory tier",
            evidence=(
                (DEMOTION, "true"),
                *((f"cell {cell}, memory tier", str(tier)) for cell, tier in tiers.items()),
                *((name(domain), size(domain.memory or 0)) for domain in bound),
            ),
            cost="when a fast cell is full, their memory is moved to a slower one in spite of the binding",
            remedy="write false to /sys/kernel/mm/numa/demotion_enabled, or use huge pages or locked memory for them",
        )


def zone_reclaim(patient: Patient) -> Iterator[Finding]:
    """Reclaiming near memory before far memory is used."""
    policy = patient.policy
    if policy is not None and policy.zone_reclaim_mode and _several(patient):
        yield Finding(
            id="zone-reclaim",
            severity="warning",
            what="memory of a cell is reclaimed before another cell's free memory is used",
            evidence=((RECLAIM, str(policy.zone_reclaim_mode)),),
            cost="stalls and a smaller page cache while other cells have free memory",
            remedy="write 0 to /proc/sys/vm/zone_reclaim_mode",
        )


def same_page_merging(patient: Patient) -> Iterator[Finding]:
    """Pages of guests merged between cells."""
    policy = patient.policy
    if policy is not None and policy.ksm_run == 1 and policy.ksm_merge_across_nodes == 1 and _several(patient):
        yield Finding(
            id="ksm-across-cells",
            severity="warning",
            what="kernel same-page merging joins pages of different cells",
            evidence=((f"{KSM}/run", "1"), (f"{KSM}/merge_across_nodes", "1")),
            cost="guests pinned to a cell read memory of another",
            remedy="write 2 to run, 0 to merge_across_nodes and 1 to run, all in /sys/kernel/mm/ksm",
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
            where = cells(sorted(without_cpus.intersection(found)))
            yield Finding(
                id="huge-pages-without-cpus",
                severity="warning",
                what=f"huge pages of {size(page)} are on {where}, without CPUs",
                evidence=evidence,
                cost="every guest in them has remote memory",
                remedy="write the counts to nodeN/hugepages of cells with CPUs",
            )
        elif len(with_cpus) > 1 and len(found) == 1:
            yield Finding(
                id="huge-pages-on-one-cell",
                severity="info",
                what=f"all huge pages of {size(page)} are on {cells(found)}",
                evidence=evidence,
                cost="guests on other cells get remote huge pages or none",
                remedy="write the counts to nodeN/hugepages of each cell, unless this is wanted",
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
            id="cell-full",
            severity="warning",
            what=f"{cells(full)}: almost no memory available, while other cells have room",
            evidence=tuple((f"cell {cell}, available", f"{share:.1%}") for cell, share in shares.items()),
            cost="new memory of tasks there is remote, bound memory fails",
            remedy="move a guest (numaprobe place, numaprobe pin)",
        )


CHECKS = (balancing, demotion, zone_reclaim, same_page_merging, huge_pages, full_cell)
