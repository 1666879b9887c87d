"""Facts about guests on Linux to ``Domain``, and domains to who has the memory of each cell; see ``xen_domains``."""

from __future__ import annotations

from ..linux.guests.facts import Found
from ..model.domains import Affinity, CellUse, Domain, Domains, GuestCell, Vcpu
from ..model.host import Note
from ..wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..linux.guests.facts import CommandLine, GuestFacts, ThreadFacts
    from ..model.host import Cell, Host

# virDomainState of libvirt; one that is shutting down still runs.
LIBVIRT_STATES = {
    "running": "running",
    "blocked": "running",
    "paused": "paused",
    "shutdown": "running",
    "crashed": "crashed",
    "pmsuspended": "suspended",
}


def from_guests(found: Found, host: Host, *, remote: bool = False) -> Domains:
    """Guests, processes and control groups of a Linux host; ``remote`` adds how much of their accesses are remote."""
    with_memory = [cell.id for cell in host.cells if cell.memory.total != 0]
    notes = [Note(where=where, text=text) for where, text in found.notes]
    doubts: list[Note] = []
    domains = [_from_guest(guest, host, with_memory, notes, doubts) for guest in found.guests]
    if remote:
        from .remote import of_guest

        domains = [
            domain._replace(remote=of_guest(domain, guest.threads, host, found.balancing))
            for domain, guest in zip(domains, found.guests, strict=True)
        ]
    return Domains(domains, complete=found.complete and not doubts, notes=[*notes, *doubts])


def _from_guest(
    guest: GuestFacts, host: Host, with_memory: Sequence[int], notes: list[Note], doubts: list[Note]
) -> Domain:
    line, record = guest.line, guest.record
    # Where even the amount of a part is unknown, the rest is not what the guest holds.
    held, unplaced, how = guest.held if guest.unplaced is not None else None, guest.unplaced, "exact"
    if held is not None and unplaced is not None:
        held, unplaced = _possible(guest, held, unplaced, host, doubts)
    if held is None and unplaced is not None and len(with_memory) == 1:
        held, unplaced, how = {with_memory[0]: unplaced}, 0, "deduced"
    elif held is not None and unplaced and len(with_memory) == 1:
        held, unplaced = {**held, with_memory[0]: held.get(with_memory[0], 0) + unplaced}, 0
    sample = None
    if guest.sampled and held is not None:
        from .sampled import margins

        how, sample = "sampled", margins(guest.sampled, host)
    memory = None if unplaced is None else unplaced + sum((held or {}).values())
    threads = guest.threads
    vcpus = None if threads is None else tuple([_from_thread(guest, thread, host, notes) for thread in threads])
    current, maximum = _vcpu_counts(guest, vcpus)
    return Domain(
        id=guest.id,
        kind="group" if isinstance(guest.id, str) else "process" if line is None else line.program,
        name=_first(line and line.name, record and record.name),
        uuid=_first(line and line.uuid, record and record.uuid),
        state=_linux_state(guest),
        vcpus=current,
        vcpus_maximum=maximum,
        each_vcpu=vcpus,
        memory=memory,
        maximum=_first(record and record.memory, line and line.memory),
        claimed=None,
        shared=guest.shared,
        paged=None,
        cells=None if held is None else on_cells(held, host),
        unplaced=unplaced,
        how="unknown" if held is None else how,
        how_from=guest.held_from if held is not None or guest.resident is not None else None,
        affinity=_linux_affinity(guest, vcpus, host, notes),
        guest_cells=None if line is None else _guest_cells(line),
        sample=sample,
    )


def _possible(
    guest: GuestFacts, held: Mapping[int, int], unplaced: int, host: Host, doubts: list[Note]
) -> tuple[dict[int, int] | None, int]:
    """What a guest holds by cell, where that can be; memory on a cell that does not exist is unplaced.

    Pages that are merged (KSM) are counted once for each mapping, so that one guest may seem to hold more than a cell.
    """
    totals = {cell.id: cell.memory.total for cell in host.cells}
    where = guest.held_from or f"proc/{guest.id}"
    lost = {cell: size for cell, size in held.items() if size and cell not in totals}
    if lost:
        doubts.append(Note(where, f"has memory on nodes {id_list(lost)}, which do not exist"))
    for cell, size in held.items():
        most = totals.get(cell)
        if most is not None and size > most:
            text = f"{size >> 10} kB on node {cell}, which has {most >> 10} kB: merged pages (KSM) count several times"
            doubts.append(Note(where, text))
            return None, unplaced + sum(held.values())
    return {cell: size for cell, size in held.items() if cell not in lost}, unplaced + sum(lost.values())


def _first(*values: Any) -> Any:
    """The first that is known."""
    return next((value for value in values if value is not None), None)


def _vcpu_counts(guest: GuestFacts, vcpus: Sequence[Vcpu] | None) -> tuple[int | None, int | None]:
    """Present and maximum vcpus. The command line gives the first only if none can be added later."""
    line, record = guest.line, guest.record
    maximum = _first(record and record.vcpus_maximum, line and line.vcpus_maximum)
    if vcpus is not None:
        return len(vcpus), maximum
    if record is not None and record.vcpus is not None:
        return record.vcpus, maximum
    fixed = line is not None and line.vcpus == line.vcpus_maximum
    return (line.vcpus if line is not None and fixed else None), maximum


def on_cells(held: Mapping[int, int], host: Host) -> tuple[tuple[int, int], ...]:
    """Every cell of the host, and any other that was added since it was read."""
    return tuple([(cell, held.get(cell, 0)) for cell in sorted({*held, *(cell.id for cell in host.cells)})])


def _linux_state(guest: GuestFacts) -> str | None:
    """Running, paused or stopped, as far as libvirt or the kernel knows.

    A vcpu under KVM that is idle waits in kvm, and one that its program holds back waits for the program, in a futex;
    so does one for moments while another thread has QEMU's lock, so that a second look has to find it unmoved. Under
    QEMU's own emulation both wait in a futex. Run time says nothing: it is counted in ticks of 10 ms.
    """
    if guest.state is None:
        return None
    if guest.state in "Tt":
        return "stopped"
    if guest.line is None:
        return "running"
    if guest.record is not None:
        return LIBVIRT_STATES.get(guest.record.state)
    threads = guest.threads
    if threads is None:
        return None
    # A thread runs for a moment before its guest does.
    if any(thread.state == "R" and (thread.guest_time or not guest.line.starts_paused) for thread in threads):
        return "running"
    if not all(thread.accelerated and thread.asleep_in is not None for thread in threads):
        return None
    in_futex = [(thread.asleep_in or "").startswith("futex") for thread in threads]
    if not all(in_futex):
        return "running"
    return "paused" if guest.rested else None


def _from_thread(guest: GuestFacts, thread: ThreadFacts, host: Host, notes: list[Note]) -> Vcpu:
    where = f"proc/{guest.id}/task/{thread.id}/status"
    cpus = _allowed(where, thread.cpus, host, notes, last=thread.cpu)
    return Vcpu(id=thread.vcpu, online=True, cpu=thread.cpu, cpus=cpus, thread=thread.id)


def _allowed(
    where: str, cpus: Sequence[int] | None, host: Host, notes: list[Note], last: int | None = None
) -> tuple[int, ...] | None:
    """The cpus that a thread may use, as the kernel has them, without those that are offline.

    The list of online cpus may be another file system's word (lxcfs): where it contradicts the kernel's, in that none
    of the cpus would be online or not the one that the thread ran on, it is not used.
    """
    if cpus == ():
        notes.append(Note(where=where, text="allows no cpu, although every thread may use one"))
        return None
    found = only_online(cpus, host)
    if cpus and found is not None and (not found or (last in cpus and last not in found)):
        shown = id_list([cpu.id for cpu in host.cpus if cpu.online is not False])
        notes.append(Note(where=where, text=f"allows cpus {id_list(cpus)}, which the online ones ({shown}) contradict"))
        return tuple(cpus)
    return found


def only_online(cpus: Sequence[int] | None, host: Host) -> tuple[int, ...] | None:
    """Only the online cpus: where nothing limits a thread its mask names every cpu that there may ever be."""
    if cpus is None:
        return None
    online = {cpu.id for cpu in host.cpus if cpu.online is not False}
    return tuple([cpu for cpu in cpus if cpu in online])


def _linux_affinity(guest: GuestFacts, vcpus: Sequence[Vcpu] | None, host: Host, notes: list[Note]) -> Affinity:
    bound = None if guest.line is None else guest.line.nodes
    nodes = guest.nodes if bound is None else bound
    here = {cell.id for cell in host.cells}
    return Affinity(
        cpus=_allowed(f"proc/{guest.id}/status", guest.cpus, host, notes) if vcpus is None else together(vcpus),
        cells=tuple([node for node in nodes or () if node in here]) or None,
    )


def together(vcpus: Sequence[Vcpu]) -> tuple[int, ...] | None:
    """The cpus that one vcpu or another may use; None if that of one is unknown."""
    if not vcpus or any(vcpu.cpus is None for vcpu in vcpus):
        return None
    return tuple(sorted({cpu for vcpu in vcpus for cpu in vcpu.cpus or ()}))


def _guest_cells(line: CommandLine) -> tuple[GuestCell, ...] | None:
    if line.guest_nodes is None:
        return None
    return tuple(
        [GuestCell(id=node.id, memory=node.memory, vcpus=node.vcpus, cells=node.nodes) for node in line.guest_nodes]
    )


def account(host: Host, domains: Sequence[Domain], *, complete: bool | None = None) -> tuple[CellUse, ...]:
    """Who has the memory of each cell; see ``numaprobe.account``."""
    if complete is None:
        complete = not isinstance(domains, Domains) or domains.complete
    sizes = [domain.unplaced for domain in domains]
    unplaced = None if not complete or None in sizes else sum(size or 0 for size in sizes)
    # What is left beside an estimate is one too, and nobody's for sure.
    exact = complete and not any(domain.how == "sampled" for domain in domains)
    return tuple([_use(cell, domains, unplaced if exact else None, exact=exact) for cell in host.cells])


def _use(cell: Cell, domains: Sequence[Domain], unplaced: int | None, *, exact: bool) -> CellUse:
    there = []
    for domain in domains:
        size = dict(domain.cells or ()).get(cell.id, 0)
        if size:
            there.append((domain.id, size))
    pooled = sum(pages.size * pages.free for pages in cell.huge_pages if pages.free is not None)
    # What is free of a pool is not the host's own memory.
    exact = exact and all(pages.free is not None or pages.total == 0 for pages in cell.huge_pages)
    unplaced = unplaced if exact else None
    total, free = cell.memory.total, cell.memory.free
    known = CellUse(id=cell.id, total=total, free=free, pooled=pooled, domains=tuple(there))
    rest = None if total is None or free is None else total - free - pooled - sum(size for _, size in there)
    if rest is None or rest < 0:
        return known
    # What has no known place may all be here or not at all.
    either = rest if unplaced is None else min(rest, unplaced)
    return known._replace(host=rest - either if exact else None, unattributed=either)
