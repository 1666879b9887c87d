"""Which CPUs a running guest has for its vcpus alone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .domains import Domain
    from .host import Host


def held_cpus(domain: Domain, core_of: Mapping[int, tuple[int, ...] | None], several: Mapping[int, int]) -> set[int]:
    """CPUs that a guest has for its vcpus alone.

    A vcpu holds one CPU that was chosen among several of its cell, or one core of several that differs from the cores
    of the guest's other vcpus there. A set that is small because no more was available is no pin: the vcpus of a
    floating guest have the same one.
    """
    each = [vcpu.cpus for vcpu in domain.each_vcpu or () if vcpu.cpus]
    held: set[int] = set()
    cores: list[tuple[int, ...]] = []
    for cpus in each:
        choice = several.get(cpus[0])
        if choice is not None and choice <= len(cpus):
            continue
        if len(cpus) == 1:
            held.add(cpus[0])
        elif set(cpus) <= set(core_of.get(cpus[0]) or ()):
            cores.append(cpus)
    if len(cores) > 1 and len({cpu for cpus in cores for cpu in cpus}) == sum(map(len, cores)):
        held.update(cpu for cpus in cores for cpu in cpus)
    return held


def cores_of(host: Host) -> tuple[dict[int, tuple[int, ...] | None], dict[int, int]]:
    """For each CPU its core's threads, and how many online CPUs its cell has to choose from."""
    inside: dict[int | None, int] = {}
    for cpu in host.cpus:
        if cpu.online is True:
            inside[cpu.cell] = inside.get(cpu.cell, 0) + 1
    several = {cpu.id: inside.get(cpu.cell, 0) for cpu in host.cpus}
    return {cpu.id: cpu.siblings for cpu in host.cpus}, several
