"""Hosts and guests from the documents that ``numaprobe show --json`` and ``numaprobe domains --json`` write."""

from __future__ import annotations

from numaprobe import (
    Access,
    Affinity,
    Cell,
    Cpu,
    Device,
    Domain,
    Domains,
    GuestCell,
    Host,
    HugePages,
    Hypervisor,
    Memory,
    Note,
    SideCache,
    Vcpu,
)

from ...placement.schema_check import check
from ...version import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


def host_of(document: object) -> Host:
    """The host of a document of ``numaprobe show --json``.

    Properties that this version does not know are ignored, as the schema allows them to be added. Raises ``ValueError``
    for a document that is not one, and for one of another schema.
    """
    _check("show", document)
    assert isinstance(document, dict)
    try:
        return _value(
            Host,
            document,
            hypervisor=_or_none(lambda one: _value(Hypervisor, one)),
            cells=_each(_cell),
            cpus=_each(lambda one: _value(Cpu, one, siblings=_ids)),
            notes=_each(lambda one: _value(Note, one)),
            possible_cells=_ids,
            possible_cpus=_ids,
            devices=_or_none(_each(lambda one: _value(Device, one, names=_pairs))),
            # What the process that wrote the document was allowed to use does not bind a guest.
            allowed=lambda _: None,
            caches=lambda _: None,
        )
    except (TypeError, KeyError, AttributeError, LookupError) as error:
        raise ValueError(f"not a document of numaprobe show --json: {error!r}") from None


def guests_of(document: object) -> Domains | None:
    """The guests of the document in ``domains``, None without one. Raises ``ValueError`` as ``host_of`` does."""
    listed = document.get("domains") if isinstance(document, dict) else None
    if listed is None:
        return None
    _check("domains", listed)
    assert isinstance(listed, dict)
    try:
        return Domains(
            [_domain(one) for one in listed["domains"]],
            complete=listed["complete"],
            notes=[_value(Note, one) for one in listed["notes"]],
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"domains: not a document of numaprobe domains --json: {error!r}") from None


def _check(name: str, document: object) -> None:
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, str) and schema.startswith("numaprobe/") and schema != SCHEMA:
        raise ValueError(f"its schema is {schema[:40]!r}, and this numaprobe reads {SCHEMA}")
    check(name, document)


def _cell(document: Any) -> Cell:
    return _value(
        Cell,
        document,
        cpus=_ids,
        memory=lambda one: _value(Memory, one),
        huge_pages=_each(lambda one: _value(HugePages, one)),
        distances=_or_none(_pairs_by_id),
        accesses=_each(lambda one: _value(Access, one, initiators=tuple)),
        side_caches=_each(lambda one: _value(SideCache, one)),
    )


def _domain(document: Any) -> Domain:
    return _value(
        Domain,
        document,
        each_vcpu=_or_none(_each(lambda one: _value(Vcpu, one, cpus=_ids, soft_cpus=_ids))),
        cells=_or_none(_pairs_by_id),
        affinity=lambda one: _value(Affinity, one, cpus=_ids, cells=_ids),
        guest_cells=_or_none(_each(lambda one: _value(GuestCell, one, vcpus=_ids, cells=_ids))),
    )


def _value(kind: Callable[..., T], document: Any, **parts: Callable[[Any], Any]) -> T:
    """A value of the model from an object with its fields, some of which are values themselves."""
    fields = kind._fields  # type: ignore[attr-defined]
    return kind(
        **{name: parts[name](one) if name in parts else one for name, one in document.items() if name in fields}
    )


def _or_none(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda one: None if one is None else make(one)


def _each(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda many: tuple(make(one) for one in many)


_ids = _or_none(tuple)


def _pairs(by_class: Any) -> tuple[tuple[str, str], ...]:
    return tuple((kind, name) for kind, names in by_class.items() for name in names)


def _pairs_by_id(table: Any) -> tuple[tuple[int, Any], ...]:
    return tuple(sorted((int(key), value) for key, value in table.items()))


__all__ = ["guests_of", "host_of"]
