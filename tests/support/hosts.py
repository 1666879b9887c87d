"""Hosts as values, for what is decided about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numaprobe
from numaprobe import Allowed, Cell, Cpu, Host, HugePages, Hypervisor, Memory

T = TypeVar("T")
GIB = 1 << 30
MIB = 1 << 20


def made(kind: type[T], /, **known: object) -> T:
    """A value of the model with the fields that are known, the others None."""
    unknown = set(known) - set(kind._fields)  # type: ignore[attr-defined]
    assert not unknown, f"{kind.__name__} has no {unknown}"
    value: T = kind._make(known.get(name) for name in kind._fields)  # type: ignore[attr-defined]
    return value


def cell(
    number: int,
    free: int | None,
    cpus: Sequence[int],
    distances: Mapping[int, int | None] | None = None,
    *,
    total: int | None = None,
    available: int | None = -1,
    pages: Mapping[int, int] | None = None,
) -> Cell:
    """A cell with so many bytes free, and as many available unless that is said."""
    return made(
        Cell,
        id=number,
        cpus=tuple(cpus),
        memory=made(
            Memory,
            total=total if total is not None else free,
            free=free,
            available=free if available == -1 else available,
        ),
        huge_pages=tuple(HugePages(size, count, count, 0) for size, count in (pages or {}).items()),
        distances=None if distances is None else tuple(sorted(distances.items())),
        accesses=(),
        side_caches=(),
    )


def host(
    free: Mapping[int, int | None] | Sequence[int],
    *,
    cpus: int = 8,
    threads: int = 2,
    distances: Mapping[int, Sequence[int]] | None = None,
    source: str = "linux",
    claimed: int | None = None,
    offline: Sequence[int] = (),
    isolated: Sequence[int] = (),
    pools: Mapping[int, int | None] | None = None,
    allowed: Allowed | None = None,
    devices: Sequence[numaprobe.Device] | None = None,
    cpuless: Sequence[int] = (),
    pages: Mapping[int, Mapping[int, int]] | None = None,
    available: int | None = -1,
) -> Host:
    """Cells with so many bytes free and so many cpus each, cores of adjoining cpus; 10 to itself and 20 to others."""
    sizes = dict(enumerate(free)) if not isinstance(free, Mapping) else dict(free)
    all_cpus = []
    members: dict[int, list[int]] = {number: [] for number in sizes}
    next_id = 0
    for number in sizes:
        if number in cpuless:
            continue
        mine = range(next_id, next_id + cpus)
        next_id += cpus
        for i in mine:
            first = i - (i - mine[0]) % threads
            siblings = tuple(s for s in range(first, min(first + threads, mine[-1] + 1)) if s not in offline)
            online = i not in offline
            if online:
                members[number].append(i)
            all_cpus.append(
                made(
                    Cpu,
                    id=i,
                    online=online,
                    cell=number,
                    siblings=siblings if online else None,
                    isolated=i in isolated,
                    pool=None if pools is None else pools.get(i),
                )
            )
    rows = {
        number: dict(zip(sizes, distances[number], strict=True))
        if distances is not None
        else {other: 10 if other == number else 20 for other in sizes}
        for number in sizes
    }
    cells = tuple(
        cell(number, size, members[number], rows[number], pages=(pages or {}).get(number), available=available)
        for number, size in sizes.items()
    )
    hypervisor = made(Hypervisor, name="xen", version="4.20.0", claimed=claimed) if source == "xen" else None
    return made(
        Host,
        source=source,
        hypervisor=hypervisor,
        cells=cells,
        cpus=tuple(all_cpus),
        notes=(),
        devices=None if devices is None else tuple(devices),
        allowed=allowed,
    )


def domain(name: str, vcpus: int, **known: Any) -> numaprobe.Domain:
    """A domain that may be anywhere, unless it is said where."""
    affinity = numaprobe.Affinity(known.pop("cpus", None), known.pop("on", None))
    each = known.pop("pinned", None)
    each_vcpu = None
    if each is not None:
        each_vcpu = tuple(made(numaprobe.Vcpu, id=i, online=True, cpus=cpus) for i, cpus in enumerate(each))
    known = {"id": 1, "kind": "qemu", "how": "unknown", **known}
    return made(numaprobe.Domain, name=name, vcpus=vcpus, affinity=affinity, each_vcpu=each_vcpu, **known)
