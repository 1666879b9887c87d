"""JSON from a file or from standard input."""

from __future__ import annotations

import sys

from ..plain_json import MAX_BYTES, bounded, content_of, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_json(path: str) -> Any:
    """The document of a file, ``-`` for standard input.

    Raises ``ValueError`` for what cannot be opened, is not a regular file, is too large, or is not JSON.
    """
    shown = "standard input" if path == "-" else path
    content = bounded(shown, sys.stdin.buffer.read(MAX_BYTES + 1)) if path == "-" else content_of(path)
    try:
        return parse(content)
    except ValueError as error:
        raise ValueError(f"{shown} {error}") from None
