"""What running guests hold: CPUs of their own, weight on those they float on, and memory not touched yet."""

from __future__ import annotations

from ..model.pinned import cores_of, held_cpus
from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.domains import Domain
    from ..model.host import Host
    from .rooms import HostCapacity


class Floater(namedtuple("Floater", "domain name vcpus cpus count")):
    """Vcpus of a running guest that float: the CPUs they may run on (None: any), and how many vcpus that are."""

    __slots__ = ()
    domain: int | str
    name: str | None
    vcpus: tuple[int, ...] | None
    cpus: tuple[int, ...] | None
    count: int


def label(domain: Domain) -> str:
    """The name of a guest, or its kind and number."""
    return domain.name or f"{domain.kind} {domain.id}"


def cpus_by_guest(host: Host, domains: Sequence[Domain]) -> dict[int, str]:
    """Who holds each CPU that a running guest has for itself."""
    core_of, several = cores_of(host)
    out: dict[int, str] = {}
    for domain in domains:
        for number in sorted(held_cpus(domain, core_of, several)):
            out.setdefault(number, label(domain))
    return out


def floating(domain: Domain, held: Mapping[int, str]) -> list[Floater]:
    """The vcpus of a guest that float, by the CPUs that they may run on."""
    affinity = domain.affinity.cpus
    if not domain.each_vcpu:
        count = domain.vcpus or 0
        one = Floater(domain=domain.id, name=domain.name, vcpus=None, cpus=affinity, count=count)
        return [one] if count else []
    by_cpus: dict[tuple[int, ...] | None, list[int]] = {}
    pinned = 0
    for vcpu in domain.each_vcpu:
        if vcpu.cpus and all(cpu in held for cpu in vcpu.cpus):
            pinned += 1
        elif vcpu.online is not False:
            by_cpus.setdefault(vcpu.cpus or affinity, []).append(vcpu.id)
    every = len(by_cpus) == 1 and not pinned
    return [
        Floater(domain=domain.id, name=domain.name, vcpus=None if every else tuple(ids), cpus=cpus, count=len(ids))
        for cpus, ids in by_cpus.items()
    ]


def weigh(
    stock: HostCapacity, host: Host, domains: Sequence[Domain], pool: int | None, held: Mapping[int, str]
) -> None:
    """Add what running guests weigh to a host's capacity: names, untouched memory, floating vcpus, each once."""
    usable = {cpu: (room, core) for room in stock.rooms.values() for core in room.cores for cpu in core.threads}
    weights: dict[tuple[int, ...], float] = {}
    for domain in domains:
        homes = home(domain, host)
        if domain.name is not None:
            stock.homes[domain.name] = homes
        stock.homes[str(domain.id)] = homes
        _promise(stock, domain, homes)
        if pool is not None and domain.pool is not None and domain.pool != pool:
            continue
        for one in floating(domain, held):
            cpus = one.cpus
            if cpus is None and homes is not None:
                cpus = tuple(cpu for cpu, (room, _) in usable.items() if room.id in homes)
            key = tuple(usable) if cpus is None else tuple(cpu for cpu in cpus if cpu in usable)
            if key:
                weights[key] = weights.get(key, 0.0) + one.count
                stock.floaters.append(one._replace(cpus=None if cpus is None else key))
    everything = len(usable)
    for key, count in weights.items():
        each = count / len(key)
        if len(key) == everything:
            for room in stock.rooms.values():
                room.load += each * room.cpus
            continue
        for cpu in key:
            room, core = usable[cpu]
            room.load += each
            core.load += each


def home(domain: Domain, host: Host) -> tuple[int, ...] | None:
    """The cells that a domain has memory or CPUs on, None if that may be any."""
    if domain.cells is not None and not domain.unplaced:
        found = tuple(cell for cell, size in domain.cells if size)
        if found:
            return found
    if domain.affinity.cells is not None and len(domain.affinity.cells) < len(host.cells):
        return tuple(domain.affinity.cells)
    if domain.affinity.cpus is not None:
        inside = set(domain.affinity.cpus)
        cells = tuple(sorted({cpu.cell for cpu in host.cpus if cpu.id in inside and cpu.cell is not None}))
        if len(cells) < len(host.cells):
            return cells
    return None


def _promise(stock: HostCapacity, domain: Domain, homes: tuple[int, ...] | None) -> None:
    """Keep back what a guest on Linux is configured with and has not touched yet: it may do so at any moment.

    Under Xen a domain has its memory from the start, and ``maximum`` is a limit to balloon up to.
    """
    if domain.kind in ("pv", "hvm", "process", "group") or domain.maximum is None or domain.memory is None:
        return
    rooms = [room for room in stock.rooms.values() if room.full_memory and (homes is None or room.id in homes)]
    missing = domain.maximum - domain.memory
    if missing <= 0 or not rooms:
        return
    for room in rooms:
        room.memory = max(0, room.memory - -(-missing // len(rooms)))
