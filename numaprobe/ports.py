"""The seam between sources and everything above them: one protocol for files, one for hypercalls.

A live machine, a recorded tree, an archive, a transcript and a recorder are interchangeable below it, so everything
above runs the same code for all of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from ._fast import Seen, SeenCall, Zone

    class Reader(Protocol):
        """Files below one root directory. Paths are relative to it: ``sys/devices/system/node/online``."""

        def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
            """Contents by position; an ``int`` is the errno of a file that could not be read."""

        def listdir(self, path: str, prefix: str = "") -> list[str] | int:
            """Sorted names in a directory that begin with ``prefix``, or an errno."""

        def readlink(self, path: str) -> str | int:
            """Target of a symbolic link, or an errno (EINVAL for what is no link). The last link is not followed."""

    class FileReader(Reader, Protocol):
        """A reader over files, which answers some questions with less data; callers must work without it too."""

        def head(self, path: str, size: int) -> bytes | int:
            """The first bytes of a file, or an errno."""

        def absent(self, paths: Sequence[str], base: str = "") -> list[int]:
            """For each path 0 if there is something, or else an errno."""

        def zones(self, path: str) -> list[Zone] | int:
            """Zones of ``/proc/zoneinfo``, read in pieces, or an errno. Raises ``ValueError`` for other text."""

        def cpu_groups(
            self, base: str, online: tuple[int, ...], members: str | None, numbers: tuple[str, ...]
        ) -> tuple[dict[int, tuple[int, ...]], list[dict[int, int | None]]] | None:
            """Each cpu's group, and numbers of its first cpu, by cpu; None where anything is unusual."""

        def watch(self, seen: Seen | None) -> None:
            """Keep all that is read from now on; None ends it."""

        def unchanged(self, seen: Seen) -> bool:
            """Whether all that was seen is so still: everything is read again."""

    class Hypercalls(Protocol):
        """Who makes a hypercall: the running hypervisor, a transcript, a test's own."""

        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            """Make one hypercall; its return value, the operation as Xen left it, and the buffers as Xen left them.

            ``op`` is the whole operation with every handle zero, or empty where the hypercall takes no pointer. Each
            of ``buffers`` is the offset of its 8-byte handle in ``op``, and what it holds before the call. Replies
            are as long as what was given, with the handles zero again. Raises ``OSError`` with Xen's errno.
            """

    class BatchHypercalls(Hypercalls, Protocol):
        """A port that makes many hypercalls of one kind at once; callers must work without it too."""

        def call_each(self, number: int, command: int, ops: Sequence[bytes]) -> list[bytes | int]:
            """Make the hypercall once for each operation; none of them takes a buffer.

            The operations as Xen left them, or Xen's errno, by position.
            """

        def unchanged(self, seen: Sequence[SeenCall]) -> bool:
            """Whether each call gives what it gave."""

    class PageCalls(Protocol):
        """Who reports on single pages of a process: the running kernel, or a test's own."""

        def nodes(self, process: int, addresses: Sequence[int]) -> list[int] | int:
            """The node of the page at each address, or a negative errno of that page; or the errno of the call."""

        def entries(self, process: int, addresses: Sequence[int]) -> list[int] | int:
            """The entry of ``/proc/PID/pagemap`` for the page at each address, or an errno."""
