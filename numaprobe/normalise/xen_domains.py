"""Xen's facts about domains to ``Domain``."""

from __future__ import annotations

from ..model.domains import Affinity, Domain, Domains, GuestCell, Vcpu
from ..model.host import Note
from .domains import on_cells, only_online, together
from .possible import MAX_BYTES, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.host import Cell, Host
    from ..xen.domains.facts import DomainFacts, VcpuFacts

# Xen counts pages of this size on every architecture that it runs on (XEN_PAGE_SIZE of its public headers).
PAGE = 4096
# Xen's SHUTDOWN_ codes (public/sched.h) that are states of their own.
SHUTDOWN_STATES = {2: "suspended", 3: "crashed"}
UNLIMITED_PAGES = 0xFFFFFFFF


def from_domains(
    facts: Sequence[DomainFacts],
    host: Host,
    names: Mapping[int, str] | None = None,
    located: Mapping[int, Mapping[int, int]] | None = None,
    notes: Sequence[tuple[str, str]] = (),
    *,
    complete: bool = True,
) -> Domains:
    """Domains of a Xen host. ``names`` are by number; ``located`` is what the debug key printed, pages by node."""
    pools: dict[int, set[int]] = {}
    for cpu in host.cpus:
        if cpu.pool is not None:
            pools.setdefault(cpu.pool, set()).add(cpu.id)
    doubts: list[Note] = []
    whole = _whole(host)
    known = [_possible_pages(domain, (located or {}).get(domain.id), host, whole, doubts) for domain in facts]
    return Domains(
        [
            _from_domain(domain, host, names or {}, where, pools.get(domain.cpupool), size)
            for domain, where, size in known
        ],
        complete=complete and not doubts,
        notes=[*[Note(where=where, text=text) for where, text in notes], *doubts],
    )


def _whole(host: Host) -> int:
    """Bytes that all domains together have at most."""
    sizes = [cell.memory.span if cell.memory.total is None else cell.memory.total for cell in host.cells]
    return MAX_BYTES if None in sizes else sum([size or 0 for size in sizes])


def _possible_pages(
    domain: DomainFacts, located: Mapping[int, int] | None, host: Host, whole: int, doubts: list[Note]
) -> tuple[DomainFacts, Mapping[int, int] | None, int | None]:
    """A domain with what it holds by node, and its bytes, as far as they can be: None and noted where they cannot."""
    size = within(domain.tot_pages * PAGE, whole, f"domctl getdomaininfo domain {domain.id}: memory", doubts)
    totals = {cell.id: cell.memory.span if cell.memory.total is None else cell.memory.total for cell in host.cells}
    for where, pages in (("domctl numa_op", domain.node_pages), ("sysctl debug_keys u", located)):
        for node, number in (pages or {}).items():
            most = totals.get(node, 0)
            if (
                within(number * PAGE, MAX_BYTES if most is None else most, f"{where} domain {domain.id}", doubts)
                is None
            ):
                domain, located = domain._replace(node_pages=None), None
                break
    return domain, located, size


def _from_domain(
    domain: DomainFacts,
    host: Host,
    names: Mapping[int, str],
    located: Mapping[int, int] | None,
    pool: set[int] | None,
    memory: int | None,
) -> Domain:
    placed, how, how_from = _placed(domain, host, located, memory)
    vcpus = None
    if domain.vcpus is not None:
        vcpus = tuple([_from_vcpu(vcpu, host, pool) for vcpu in domain.vcpus])
    here = [cell.id for cell in host.cells]
    affinity = domain.node_affinity
    unplaced = memory
    if memory is not None and placed is not None:
        # Counted a moment later than the list, which the domain may have grown in.
        memory = max(memory, sum(placed.values()))
        unplaced = memory - sum(placed.values())
    return Domain(
        id=domain.id,
        kind="hvm" if domain.flags & 0x2 else "pv",
        name=names.get(domain.id),
        uuid=_uuid(domain.handle),
        state=_xen_state(domain.flags),
        vcpus=domain.online_vcpus,
        vcpus_maximum=0 if domain.max_vcpu_id is None else domain.max_vcpu_id + 1,
        each_vcpu=vcpus,
        memory=memory,
        maximum=None if domain.max_pages >= UNLIMITED_PAGES else domain.max_pages * PAGE,
        claimed=None if domain.outstanding_pages is None else domain.outstanding_pages * PAGE,
        shared=domain.shr_pages * PAGE,
        paged=None if domain.paged_pages is None else domain.paged_pages * PAGE,
        cells=None if placed is None else on_cells(placed, host),
        unplaced=unplaced,
        how=how,
        how_from=how_from,
        affinity=Affinity(
            cpus=None if vcpus is None else together([vcpu for vcpu in vcpus if vcpu.online]),
            cells=tuple([node for node in affinity or () if node in here]) or None,
        ),
        pool=domain.cpupool,
        guest_cells=None
        if domain.vnodes is None
        else tuple([GuestCell(id=node.id, memory=node.size, vcpus=node.vcpus) for node in domain.vnodes]),
    )


def _from_vcpu(vcpu: VcpuFacts, host: Host, pool: set[int] | None) -> Vcpu:
    """Xen's masks are the requested ones; a vcpu runs on those CPUs of its cpupool (None where pools are unknown)."""
    hard, soft = (
        cpus if cpus is None or pool is None else tuple([cpu for cpu in cpus if cpu in pool])
        for cpus in (only_online(vcpu.hard, host), only_online(vcpu.soft, host))
    )
    return Vcpu(id=vcpu.id, online=vcpu.online, cpu=vcpu.cpu, cpus=hard, soft_cpus=soft)


def _uuid(handle: bytes) -> str | None:
    """None for the zeros that the control domain has."""
    if not any(handle):
        return None
    digits = handle.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _xen_state(flags: int) -> str:
    """Whether a vcpu of a domain that may run happens to run or to wait is not a state of the domain."""
    if flags & 0x1:
        return "dying"
    if flags & 0x4:
        return SHUTDOWN_STATES.get(flags >> 16 & 0xFF, "shutdown")
    return "paused" if flags & 0x8 else "running"


def _placed(
    domain: DomainFacts, host: Host, located: Mapping[int, int] | None, memory: int | None
) -> tuple[dict[int, int] | None, str, str | None]:
    """Bytes by cell, how that is known, and from where."""
    if domain.node_pages is not None:
        return {node: pages * PAGE for node, pages in domain.node_pages.items()}, "exact", "domctl numa_op"
    deduced = None if memory is None else deduce(memory, host.cells)
    if deduced is not None:
        return deduced, "deduced", "numainfo and getdomaininfolist"
    if located is not None:
        return {node: pages * PAGE for node, pages in located.items()}, "debug-key", "sysctl debug_keys u"
    return None, "unknown", None


def deduce(memory: int, cells: Sequence[Cell]) -> dict[int, int] | None:
    """Bytes by cell where only one way of placing ``memory`` is possible, else None.

    A cell can hold at most what is allocated of it, and a domain's memory is somewhere: with ``a`` allocated of a cell
    and ``b`` of all others together, between ``memory - b`` and ``min(a, memory)`` of it are on the cell. Only where
    both are the same for every cell is the placement known. What other domains have does not narrow this: theirs, and
    what the hypervisor keeps for itself, may be on any cell.
    """
    most = []
    for cell in cells:
        total = cell.memory.total
        # Less is usable than the cell's addresses span, so that the span is a bound as well.
        bound = total if total is not None else cell.memory.span
        if bound is None or cell.memory.free is None:
            most.append(memory)
        else:
            most.append(min(memory, max(0, bound - cell.memory.free)))
    everything = sum(most)
    if everything < memory:
        return None  # read at different moments: nothing follows
    found = {}
    for cell, upper in zip(cells, most, strict=True):
        if max(0, memory - (everything - upper)) != upper:
            return None
        found[cell.id] = upper
    return found
