"""The JSON documents of numaprobe, as built-in types; ``schemas/`` holds the JSON Schema of each."""

from __future__ import annotations

from ..version import SCHEMA
from .host import total
from .host_document import as_list, memory_document, usable_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .domains import CellUse, Domain
    from .host import Cell, Host, HugePages


def free_document(host: Host, time: float | None, only: int | None = None) -> dict[str, Any]:
    """The document of ``numaprobe free --json`` (``schemas/free.json``).

    ``time`` is in seconds since 1970, None for a recorded host; ``only`` keeps one cell. A total is
    None as soon as one of its parts is unknown.
    """
    cells = [cell for cell in host.cells if only is None or cell.id == only]
    return {
        "schema": SCHEMA,
        "source": host.source,
        "time": time,
        "cells": [
            {
                "id": cell.id,
                "memory": {**memory_document(host, cell.memory), "allocated": cell.memory.allocated},
                "huge_pages": [pages._asdict() for pages in cell.huge_pages],
                **({} if cell.usable is None else {"usable": usable_document(cell.usable)}),
            }
            for cell in cells
        ],
        "total": {
            "memory": {
                name: total(getattr(cell.memory, name) for cell in cells)
                for name in ("total", "free", "available", "allocated")
            },
            "huge_pages": _huge_page_totals(cells),
        },
    }


def domains_document(
    host: Host, domains: Iterable[Domain], uses: Iterable[CellUse], time: float | None
) -> dict[str, Any]:
    """The document of ``numaprobe domains --json`` (``schemas/domains.json``); ``time`` as in ``free_document``."""
    from .domains import Domains

    known = domains if isinstance(domains, Domains) else Domains(domains)
    return {
        "schema": SCHEMA,
        "source": host.source,
        "time": time,
        "complete": known.complete,
        "notes": [note._asdict() for note in known.notes],
        "domains": [_domain(domain) for domain in known],
        "cells": [
            {
                "id": use.id,
                "total": use.total,
                "free": use.free,
                "allocated": use.allocated,
                "pooled": use.pooled,
                "domains": [{"id": domain, "memory": size} for domain, size in use.domains],
                "host": use.host,
                "unattributed": use.unattributed,
            }
            for use in uses
        ],
    }


def _domain(domain: Domain) -> dict[str, Any]:
    known = domain._asdict()
    # Only where it was requested.
    remote, sample = known.pop("remote"), known.pop("sample")
    return {
        **known,
        **({} if remote is None else {"remote": [share._asdict() for share in remote]}),
        **({} if sample is None else {"sample": {**sample._asdict(), "margins": _by_cell(sample.margins)}}),
        "each_vcpu": None
        if domain.each_vcpu is None
        else [{**v._asdict(), "cpus": as_list(v.cpus), "soft_cpus": as_list(v.soft_cpus)} for v in domain.each_vcpu],
        "cells": None if domain.cells is None else _by_cell(domain.cells),
        "affinity": {"cpus": as_list(domain.affinity.cpus), "cells": as_list(domain.affinity.cells)},
        "guest_cells": None
        if domain.guest_cells is None
        else [{**c._asdict(), "vcpus": as_list(c.vcpus), "cells": as_list(c.cells)} for c in domain.guest_cells],
    }


def _by_cell(pairs: Iterable[tuple[int, int]]) -> dict[str, int]:
    return {str(cell): size for cell, size in pairs}


def _huge_page_totals(cells: list[Cell]) -> list[dict[str, Any]]:
    by_size: dict[int, list[HugePages]] = {}
    for cell in cells:
        for pages in cell.huge_pages:
            by_size.setdefault(pages.size, []).append(pages)
    return [
        {"size": size, **{name: total(getattr(p, name) for p in pages) for name in ("total", "free", "surplus")}}
        for size, pages in sorted(by_size.items())
    ]
