"""The JSON document of a host, as built-in types."""

from __future__ import annotations

from ..version import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Cell, Device, Host, Memory
    from .usable import Usable


def _devices(devices: tuple[Device, ...]) -> list[dict[str, Any]]:
    from .devices import names_document

    return [{**device._asdict(), "names": names_document(device.names)} for device in devices]


def host_document(host: Host) -> dict[str, Any]:
    """The document of ``numaprobe show --json`` and ``numaprobe export json`` (``schemas/show.json``)."""
    return {
        "schema": SCHEMA,
        "source": host.source,
        "hypervisor": None if host.hypervisor is None else host.hypervisor._asdict(),
        "machine": host.machine,
        "cells": [_cell(host, cell) for cell in host.cells],
        "cpus": [{**cpu._asdict(), "siblings": as_list(cpu.siblings)} for cpu in host.cpus],
        "possible_cells": as_list(host.possible_cells),
        "possible_cpus": as_list(host.possible_cpus),
        "caches": None
        if host.caches is None
        else [{**cache._asdict(), "cpus": list(cache.cpus)} for cache in host.caches],
        "devices": None if host.devices is None else _devices(host.devices),
        "allowed": None
        if host.allowed is None
        else {
            "cpus": as_list(host.allowed.cpus),
            "cells": as_list(host.allowed.cells),
            "quota": host.allowed.quota,
            "where": list(host.allowed.where),
            "memory": host.allowed.memory,
            "policy": host.allowed.policy,
            "policy_cells": as_list(host.allowed.policy_cells),
            "partitioned": as_list(host.allowed.partitioned),
        },
        "notes": [note._asdict() for note in host.notes],
    }


def as_list(ids: tuple[int, ...] | None) -> list[int] | None:
    """Ids as JSON has them; None stays None."""
    return None if ids is None else list(ids)


def _cell(host: Host, cell: Cell) -> dict[str, Any]:
    document = {
        **cell._asdict(),
        "cpus": as_list(cell.cpus),
        "memory": memory_document(host, cell.memory),
        "huge_pages": [pages._asdict() for pages in cell.huge_pages],
        "distances": None if cell.distances is None else {str(other): cost for other, cost in cell.distances},
        "accesses": [{**access._asdict(), "initiators": list(access.initiators)} for access in cell.accesses],
        "side_caches": [cache._asdict() for cache in cell.side_caches],
    }
    # Only where they were requested.
    del document["usable"], document["failures"], document["blocks"]
    if cell.usable is not None:
        document["usable"] = usable_document(cell.usable)
    if cell.failures is not None:
        document["failures"] = cell.failures._asdict()
    if cell.blocks is not None:
        document["blocks"] = cell.blocks._asdict()
    return document


def usable_document(usable: Usable) -> dict[str, Any]:
    """What a cell's memory can be used for, as JSON has it."""
    return {**usable._asdict(), "pages": [pages._asdict() for pages in usable.pages]}


def memory_document(host: Host, memory: Memory) -> dict[str, Any]:
    """Span, claims and the part below 4 GiB are figures of a hypervisor; a Linux host has none, known or unknown."""
    document = memory._asdict()
    if host.hypervisor is None:
        del document["span"], document["free_below_4g"], document["claimed"]
    return document
