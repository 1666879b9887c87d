"""Standard output for people: names that guests' owners chose must not control the terminal."""

from __future__ import annotations

from ..errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class Screen:
    """A text stream that escapes control characters other than the end of a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write text; return its length, as ``TextIO.write`` does."""
        self._out.write("\n".join(printable(line) for line in text.split("\n")))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)
