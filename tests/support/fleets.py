"""Hosts of a fleet with guests, as values."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hosts import GIB, host, made

from numaprobe import Affinity, Domain, Domains, Host, Vcpu


def guest(
    name: str,
    cells: Mapping[int, int] | None,
    *,
    maximum: int | None = None,
    vcpus: Sequence[Sequence[int]] = (),
    bound: Sequence[int] | None = None,
    unplaced: int = 0,
    number: int = 7,
) -> Domain:
    """A guest of QEMU that holds so many bytes of each cell, with vcpus that may run on those CPUs each."""
    held = sum((cells or {}).values()) + unplaced
    return made(
        Domain,
        id=number,
        kind="qemu",
        name=name,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        state="running",
        vcpus=len(vcpus),
        each_vcpu=tuple(made(Vcpu, id=i, online=True, cpus=tuple(cpus)) for i, cpus in enumerate(vcpus)),
        memory=held,
        maximum=held if maximum is None else maximum,
        cells=None if cells is None else tuple(sorted(cells.items())),
        unplaced=unplaced,
        how="exact" if cells is not None else "unknown",
        affinity=Affinity(tuple(sorted({cpu for cpus in vcpus for cpu in cpus})) or None, bound and tuple(bound)),
    )


def two_cells(**more: Any) -> Host:
    """Two cells of 16 GiB and 8 CPUs each."""
    return host([16 * GIB, 16 * GIB], **more)


def guests(*domains: Domain, complete: bool = True) -> Domains:
    return Domains(domains, complete=complete)
