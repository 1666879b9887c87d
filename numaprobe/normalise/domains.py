"""Facts about domains to ``Domain``, and domains to who has the memory of each cell: the only place that interprets."""

from __future__ import annotations

from ..model.domains import Affinity, CellUse, Domain, GuestCell, Vcpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..linux.guests.facts import CommandLine, GuestFacts, ThreadFacts
    from ..model.host import Cell, Host
    from ..xen.domains.facts import DomainFacts

# Xen counts pages of this size on every architecture that it runs on (XEN_PAGE_SIZE of its public headers).
PAGE = 4096
# Xen's SHUTDOWN_ codes (public/sched.h) that are states of their own.
SHUTDOWN_STATES = {2: "suspended", 3: "crashed"}
UNLIMITED_PAGES = 0xFFFFFFFF


def from_guests(facts: Sequence[GuestFacts], host: Host) -> tuple[Domain, ...]:
    """Guests, processes and control groups of a Linux host."""
    with_memory = [cell.id for cell in host.cells if cell.memory.total != 0]
    return tuple(_from_guest(guest, host, with_memory) for guest in facts)


def _from_guest(guest: GuestFacts, host: Host, with_memory: Sequence[int]) -> Domain:
    line = guest.line
    held, unplaced, how, how_from = guest.held, guest.unplaced, "exact", guest.held_from
    if held is None and guest.resident is not None and len(with_memory) == 1:
        held, unplaced, how = {with_memory[0]: guest.resident}, 0, "deduced"
    elif held is not None and unplaced and len(with_memory) == 1:
        held, unplaced = {**held, with_memory[0]: held.get(with_memory[0], 0) + unplaced}, 0
    cells = None if held is None else _on_cells(held, host)
    memory = guest.resident if held is None else sum(held.values()) + unplaced
    vcpus = None if guest.threads is None else tuple(_from_thread(thread, host) for thread in guest.threads)
    return Domain(
        guest.id,
        "group" if isinstance(guest.id, str) else "process" if line is None else line.program,
        None if line is None else line.name,
        None if line is None else line.uuid,
        _linux_state(guest),
        len(vcpus) if vcpus is not None else None if line is None else line.vcpus,
        None if line is None else line.vcpus_maximum,
        vcpus,
        memory,
        None if line is None else line.memory,
        None,
        guest.shared,
        None,
        cells,
        memory if held is None else unplaced,
        "unknown" if held is None else how,
        how_from if held is not None or guest.resident is not None else None,
        _linux_affinity(guest, vcpus, host),
        None,
        None if line is None else _guest_cells(line),
    )


def _on_cells(held: Mapping[int, int], host: Host) -> tuple[tuple[int, int], ...]:
    """Every cell of the host, and any other that has come since it was read."""
    return tuple([(cell, held.get(cell, 0)) for cell in sorted({*held, *(cell.id for cell in host.cells)})])


def _linux_state(guest: GuestFacts) -> str | None:
    """Running, paused or stopped, as far as the kernel can tell.

    A vcpu under KVM that is at rest waits in kvm, and one that its program holds back waits for the program, in a
    futex; under QEMU's own emulation both wait in a futex. One that never ran since QEMU was started with -S is held
    back whatever runs it.
    """
    if guest.state is None:
        return None
    if guest.state in "Tt":
        return "stopped"
    if guest.line is None:
        return "running"
    threads = guest.threads
    if threads is None:
        return None
    if any(thread.state == "R" for thread in threads):
        return "running"
    if guest.line.starts_paused and all(thread.run_time == 0 for thread in threads):
        return "paused"
    if all(thread.accelerated and thread.asleep_in is not None for thread in threads):
        held_back = all((thread.asleep_in or "").startswith("futex") for thread in threads)
        return "paused" if held_back else "running"
    return None


def _from_thread(thread: ThreadFacts, host: Host) -> Vcpu:
    return Vcpu(thread.vcpu, True, thread.cpu, _online(thread.cpus, host), None, thread.id)


def _online(cpus: Sequence[int] | None, host: Host) -> tuple[int, ...] | None:
    """Cut with the online cpus: where nothing limits a thread its mask names every cpu that may ever come to be."""
    if cpus is None:
        return None
    online = {cpu.id for cpu in host.cpus if cpu.online is not False}
    return tuple([cpu for cpu in cpus if cpu in online])


def _linux_affinity(guest: GuestFacts, vcpus: Sequence[Vcpu] | None, host: Host) -> Affinity:
    bound = None if guest.line is None else guest.line.nodes
    nodes = guest.nodes if bound is None else bound
    here = {cell.id for cell in host.cells}
    return Affinity(
        _online(guest.cpus, host) if vcpus is None else _together(vcpus),
        None if nodes is None else tuple([node for node in nodes if node in here]),
    )


def _together(vcpus: Sequence[Vcpu]) -> tuple[int, ...] | None:
    if not vcpus or any(vcpu.cpus is None for vcpu in vcpus):
        return None
    return tuple(sorted({cpu for vcpu in vcpus for cpu in vcpu.cpus or ()}))


def _guest_cells(line: CommandLine) -> tuple[GuestCell, ...] | None:
    if line.guest_nodes is None:
        return None
    return tuple(GuestCell(node.id, node.memory, node.vcpus, node.nodes) for node in line.guest_nodes)


def from_domains(
    facts: Sequence[DomainFacts],
    host: Host,
    names: Mapping[int, str] | None = None,
    located: Mapping[int, Mapping[int, int]] | None = None,
) -> tuple[Domain, ...]:
    """Domains of a Xen host. ``names`` are by number; ``located`` is what the debug key said, pages by node."""
    return tuple(_from_domain(domain, host, names or {}, (located or {}).get(domain.id)) for domain in facts)


def _from_domain(
    domain: DomainFacts, host: Host, names: Mapping[int, str], located: Mapping[int, int] | None
) -> Domain:
    memory = domain.tot_pages * PAGE
    placed, how, how_from = _placed(domain, host, located)
    vcpus = None
    if domain.vcpus is not None:
        vcpus = tuple(
            Vcpu(vcpu.id, vcpu.online, vcpu.cpu, _online(vcpu.hard, host), _online(vcpu.soft, host), None)
            for vcpu in domain.vcpus
        )
    here = [cell.id for cell in host.cells]
    affinity = domain.node_affinity
    unplaced = memory if placed is None else memory - sum(placed.values())
    if unplaced < 0:
        # Counted a moment later than the list, which the domain grew in.
        memory, unplaced = memory - unplaced, 0
    return Domain(
        domain.id,
        "hvm" if domain.flags & 0x2 else "pv",
        names.get(domain.id),
        _uuid(domain.handle),
        _xen_state(domain.flags),
        domain.online_vcpus,
        0 if domain.max_vcpu_id is None else domain.max_vcpu_id + 1,
        vcpus,
        memory,
        None if domain.max_pages >= UNLIMITED_PAGES else domain.max_pages * PAGE,
        None if domain.outstanding_pages is None else domain.outstanding_pages * PAGE,
        domain.shr_pages * PAGE,
        None if domain.paged_pages is None else domain.paged_pages * PAGE,
        None if placed is None else _on_cells(placed, host),
        unplaced,
        how,
        how_from,
        Affinity(
            None if vcpus is None else _together([vcpu for vcpu in vcpus if vcpu.online]),
            None if affinity is None else tuple([node for node in affinity if node in here]),
        ),
        domain.cpupool,
        None
        if domain.vnodes is None
        else tuple(GuestCell(node.id, node.size, node.vcpus, None) for node in domain.vnodes),
    )


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
    domain: DomainFacts, host: Host, located: Mapping[int, int] | None
) -> tuple[dict[int, int] | None, str, str | None]:
    """Bytes by cell, how that is known, and from where."""
    if domain.node_pages is not None:
        return {node: pages * PAGE for node, pages in domain.node_pages.items()}, "exact", "domctl numa_op"
    deduced = deduce(domain.tot_pages * PAGE, host.cells)
    if deduced is not None:
        return deduced, "deduced", "numainfo and getdomaininfolist"
    if located is not None:
        return {node: pages * PAGE for node, pages in located.items()}, "debug-key", "sysctl debug_keys u"
    return None, "unknown", None


def deduce(memory: int, cells: Sequence[Cell]) -> dict[int, int] | None:
    """Bytes by cell where only one way of placing ``memory`` is possible, else None.

    A cell can hold at most what is allocated of it, and a domain's memory is somewhere: with ``a`` allocated of a cell
    and ``b`` of all others together, between ``memory - b`` and ``min(a, memory)`` of it are on the cell. Only where
    both are the same for every cell is the placement known. What other domains have says no more: theirs, and what
    the hypervisor keeps for itself, may be on any cell, so that every placement within these bounds leaves them a way.
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


def account(host: Host, domains: Sequence[Domain], *, complete: bool = True) -> tuple[CellUse, ...]:
    """Who has the memory of each cell; see ``numaprobe.account``."""
    unplaced: int | None = 0 if complete else None
    for domain in domains:
        unplaced = None if unplaced is None or domain.unplaced is None else unplaced + domain.unplaced
    return tuple(_use(cell, domains, unplaced) for cell in host.cells)


def _use(cell: Cell, domains: Sequence[Domain], unplaced: int | None) -> CellUse:
    there = []
    for domain in domains:
        size = dict(domain.cells or ()).get(cell.id, 0)
        if size:
            there.append((domain.id, size))
    pooled = sum(pages.size * pages.free for pages in cell.huge_pages if pages.free is not None)
    total, free = cell.memory.total, cell.memory.free
    rest = None if total is None or free is None else total - free - pooled - sum(size for _, size in there)
    if rest is None or rest < 0:
        return CellUse(cell.id, total, free, pooled, tuple(there), None, None)
    # What has no known place may all be here or not at all.
    either = rest if unplaced is None else min(rest, unplaced)
    return CellUse(cell.id, total, free, pooled, tuple(there), rest - either, either)
