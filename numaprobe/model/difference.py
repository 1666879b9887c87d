"""What changed between two hosts: recordings of one machine at two moments, or of two machines.

Compared are facts that last: cells, cpus, total memory, distances, caches, devices. Memory that is free or can be
allocated now, and what the calling process may use, always differ and are left out.
"""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .host import Host

# What two moments always differ in, or one process from another.
FLEETING = frozenset(
    ("free", "available", "free_below_4g", "free_from", "available_from", "claimed", "allowed", "usable")
)
# Lists of the document whose members are identified by a field, and what a member is called.
MEMBERS = {
    "cells": ("cell", "id"),
    "cpus": ("cpu", "id"),
    "devices": ("device", "address"),
    "huge_pages": ("huge pages of", "size"),
    "accesses": ("access", "level"),
    "side_caches": ("side cache", "level"),
}


class Change(namedtuple("Change", "what kind field before after")):
    """One difference.

    ``what`` is the thing: ``host``, ``cell 1``, ``cpu 5``, ``device 0000:3b:00.0``, ``L3 unified cache of cpus 0-7``,
    ``note``. ``kind`` is ``added``, ``removed`` or ``changed``; only of the last ``field`` says which
    (``memory total``), ``before`` and ``after`` the values as in ``Host.to_dict()``, None for unknown.
    """

    __slots__ = ()
    what: str
    kind: str
    field: str | None
    before: Any
    after: Any


def diff(before: Host, after: Host) -> tuple[Change, ...]:
    """What was added, removed or changed from one host to the other, in the order of the JSON document.

    A list that only one of the two has, as devices that were not requested, is one change and not one for each member.
    """
    return tuple(_dictionaries("host", (), _keyed(before), _keyed(after)))


def _keyed(host: Host) -> dict[str, Any]:
    document = host.to_dict()
    del document["schema"]
    return document


def _dictionaries(what: str, path: tuple[str, ...], old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        if name not in FLEETING and (name in old) + (name in new) == 2:
            yield from _values(what, (*path, name), old[name], new[name])
        elif name not in FLEETING:
            yield Change(
                what=what, kind="changed", field=" ".join((*path, name)), before=old.get(name), after=new.get(name)
            )


def _values(what: str, path: tuple[str, ...], old: Any, new: Any) -> Iterator[Change]:
    name = path[-1]
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _dictionaries(what, path, old, new)
    elif isinstance(old, list) and isinstance(new, list) and all(isinstance(item, dict) for item in (*old, *new)):
        yield from _members(what, name, old, new)
    else:
        old, new = (
            f"{len(value)} {name}" if isinstance(value, list) and value and isinstance(value[0], dict) else value
            for value in (old, new)
        )
        yield Change(what=what, kind="changed", field=" ".join(path), before=old, after=new)


def _members(what: str, name: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[Change]:
    mine, theirs = ({_title(what, name, member): member for member in members} for members in (old, new))
    for title in {**mine, **theirs}:
        if title not in theirs:
            yield Change(what=title, kind="removed", field=None, before=None, after=None)
        elif title not in mine:
            yield Change(what=title, kind="added", field=None, before=None, after=None)
        else:
            yield from _dictionaries(title, (), mine[title], theirs[title])


def _title(what: str, name: str, member: dict[str, Any]) -> str:
    """How a member is named; within a cell after the cell."""
    if name == "notes":
        return f"note {member['where']}: {member['text']}"
    if name == "caches":
        from ..wording import id_list

        return f"L{member['level']} {member['type'] or 'unknown'} cache of cpus {id_list(member['cpus'])}"
    word, key = MEMBERS[name]
    title = f"{word} {member[key]}"
    return title if what == "host" else f"{what} {title}"
