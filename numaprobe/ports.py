"""The protocol that every source of files follows; the one for hypercalls is in ``xen.calls``.

A live machine, a recorded tree, an archive and a recorder are interchangeable below it, so that everything above runs
the same code for all of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Reader(Protocol):
        """Files below one root directory. Paths are relative to it: ``sys/devices/system/node/online``."""

        def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
            """Contents by position; an ``int`` is the errno of a file that could not be read."""

        def listdir(self, path: str, prefix: str = "") -> list[str] | int:
            """Sorted names in a directory that begin with ``prefix``, or an errno."""
