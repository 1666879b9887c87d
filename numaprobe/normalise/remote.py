"""How much of a domain's memory accesses leave the cell of the vcpu, as far as anything says: never exactly."""

from __future__ import annotations

from ..linux.guests.hint_faults import BALANCING
from ..model.domains import RemoteShare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..linux.guests.facts import ThreadFacts
    from ..model.domains import Domain, Vcpu
    from ..model.host import Host

# A share of memory without a known cell that does not change the answer much.
MAX_UNPLACED = 0.05
KNOWN = ("exact", "deduced", "debug-key", "sampled")
HINT_FAULTS = "hint faults"
RUN_TIME = "run time"
SAMPLES = "vcpu samples"


def of_guest(
    domain: Domain, threads: Sequence[ThreadFacts] | None, host: Host, balancing: int | None
) -> tuple[RemoteShare, ...]:
    """The remote share of a guest of Linux, by each source."""
    weights = [max(thread.guest_time or 0, thread.run_time) for thread in threads or ()]
    return (_faults(domain, threads, host, balancing), _by_place(domain, host, weights, RUN_TIME))


def of_domain(domain: Domain, host: Host) -> tuple[RemoteShare, ...]:
    """The remote share of a domain under Xen, by where its vcpus are at this moment."""
    return (_by_place(domain, host, [], SAMPLES),)


def _unknown(source: str, why: str) -> RemoteShare:
    return RemoteShare(source=source, share=None, how="unknown", how_from=why)


def _faults(domain: Domain, threads: Sequence[ThreadFacts] | None, host: Host, balancing: int | None) -> RemoteShare:
    if balancing == 0:
        return _unknown(HINT_FAULTS, f"off: {BALANCING} is 0")
    if balancing is None:
        return _unknown(HINT_FAULTS, f"no {BALANCING}")
    places = _places(domain.each_vcpu, host)
    if threads is None or places is None or len(places) != len(threads):
        return _unknown(HINT_FAULTS, "the cells of its vcpus are unknown")
    faults = remote = 0
    for thread, place in zip(threads, places, strict=True):
        for node, number in (thread.faults or {}).items():
            faults += number
            remote += number if node != place else 0
    if not faults:
        where = f"proc/{domain.id}/task/*/sched"
        return _unknown(HINT_FAULTS, f"no faults in {where}: not there, memory that is bound, or not scanned yet")
    where = f"proc/{domain.id}/task/*/sched: {faults} faults"
    return RemoteShare(
        source=HINT_FAULTS,
        share=remote / faults,
        how="sampled",
        how_from=where,
    )


def _by_place(domain: Domain, host: Host, weights: Sequence[int], source: str) -> RemoteShare:
    """The share if each vcpu reaches all of the memory alike, weighted by how long each has run."""
    held = domain.cells
    placed = sum([size for _, size in held or ()])
    if held is None or not placed or domain.how not in KNOWN:
        return _unknown(source, "the cells of its memory are unknown")
    if domain.unplaced is None or domain.unplaced > MAX_UNPLACED * (placed + domain.unplaced):
        return _unknown(source, "the cells of a part of its memory are unknown")
    places = _places(domain.each_vcpu, host)
    if not places:
        return _unknown(source, "the cells of its vcpus are unknown")
    if len(weights) != len(places) or not any(weights):
        weights = [1] * len(places)
    sizes = dict(held)
    local = sum([weight * sizes.get(place, 0) for weight, place in zip(weights, places, strict=True)])
    return RemoteShare(
        source=source,
        share=1 - local / (sum(weights) * placed),
        how="estimated",
        how_from="memory by cell and vcpus by cell",
    )


def _places(vcpus: Sequence[Vcpu] | None, host: Host) -> list[int] | None:
    """The cell of each online vcpu: the one it is bound to, else that of the cpu it ran on last; None if unknown."""
    cell_of = {cpu.id: cpu.cell for cpu in host.cpus}
    found = []
    for vcpu in vcpus or ():
        if vcpu.online is False:
            continue
        bound = {cell_of.get(cpu) for cpu in vcpu.cpus or ()}
        place = next(iter(bound)) if len(bound) == 1 else None if vcpu.cpu is None else cell_of.get(vcpu.cpu)
        if place is None:
            return None
        found.append(place)
    return found or None
