"""What a recording keeps about the list of guests when it was made: whether it was complete, and its notes."""

from __future__ import annotations

from ...errors import FactError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .facts import Found


# Thousands of notes, which are of kinds and not of processes.
MAX_LOOK = 1 << 20


def written(found: Found) -> bytes:
    """Whether the look was complete, and its notes, as JSON."""
    import json

    return json.dumps({"complete": found.complete, "notes": found.notes}).encode() + b"\n"


def parse(where: str, content: bytes) -> tuple[bool, list[tuple[str, str]]]:
    """The same from a recording; raises ``FactError`` if it is broken."""
    import json

    if len(content) > MAX_LOOK:
        raise FactError(where, content[:60], f"has {len(content)} bytes")
    try:
        given = json.loads(content)
        complete, notes = given["complete"], [(path, text) for path, text in given["notes"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise FactError(where, content, "damaged") from None
    if not isinstance(complete, bool) or not all(isinstance(word, str) for note in notes for word in note):
        raise FactError(where, content, "damaged")
    return complete, notes
