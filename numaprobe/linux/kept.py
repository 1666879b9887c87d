"""A cache, in this process, of the values parsed from files that have not changed since.

The files are read again each time and compared with what they held, byte by byte: what changes, by hotplug or by an
administrator, is seen at once. Only what Python makes of them is not made again. What was noted, unreadable or broken
is not kept.
"""

from __future__ import annotations

from .._fast import Seen
from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .source import Source

    T = TypeVar("T")


class _Kept(namedtuple("_Kept", "of seen value count lists")):
    """``of`` is what else the value depends on; ``count`` and ``lists`` are what a ``Source`` counted and parsed."""

    __slots__ = ()
    of: object
    seen: Seen
    value: object
    count: int
    lists: dict[bytes, tuple[int, ...]]


# The latest of each kind, and those that one host was last made of. Threads replace each whole.
_kept: dict[str, _Kept] = {}
_agreed: list[list[object]] = [[]]


def forget() -> None:
    """Make everything anew, as the first time."""
    _kept.clear()
    _agreed[0] = []


def kept(source: Source, kind: str, of: object, make: Callable[[], T], moving: tuple[str, ...] = ()) -> T:
    """What ``make`` gives, or gave the last time for files that hold the same now and for an equal ``of``.

    ``make`` must depend on nothing else but what it reads of the source. Files whose names are ``moving`` are not
    compared: what it gives of those is out of date the next time.
    """
    reader = source.reader
    watch = getattr(reader, "watch", None)
    if watch is None:
        return make()
    known = _kept.get(kind)
    if known is not None and known.of == of and reader.unchanged(known.seen):  # type: ignore[attr-defined]
        source.count += known.count
        source.lists.update(known.lists)
        source.used.append(known)
        return known.value  # type: ignore[return-value]
    noted, count = source.noted, source.count
    seen = Seen(moving)
    watch(seen)
    try:
        value = make()
    finally:
        watch(None)
    if source.noted == noted and not seen.odd:
        seen.trim()
        lists = dict(source.lists)
        _kept[kind] = made = _Kept(of=of, seen=seen, value=value, count=source.count - count, lists=lists)
        source.used.append(made)
    return value


def agree(source: Source) -> None:
    """Mark all values kept for a host as being of one moment."""
    _agreed[0] = source.used


def agreed(source: Source) -> bool:
    """Whether this host used exactly the values kept for the previous one, without a note: nothing has changed."""
    used = source.used
    return bool(used) and not source.notes and list(map(id, used)) == list(map(id, _agreed[0]))
