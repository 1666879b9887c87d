"""Names of Xen's domains, from xenstored's socket: a client that reads and never waits for long.

Nothing else that numaprobe says of domains needs a daemon, so that no socket means no names, without a word; no
permission, or no whole answer at once, means unknown names and a note. The protocol is that of Xen's
docs/misc/xenstore.txt and public/io/xs_wire.h.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from socket import socket

SOCKETS = ("/run/xenstored/socket", "/var/run/xenstored/socket")
# In seconds: for one answer, after which no other is requested, and for all of them.
PATIENCE = 0.1
MAX_TIME = 1.0
_HEADER = Struct("<IIII")  # type, request, transaction, length
_READ = 2
_MAX_PAYLOAD = 4096  # XENSTORE_PAYLOAD_MAX


def names(
    domains: Iterable[int],
    sockets: tuple[str, ...] = SOCKETS,
    patience: float = PATIENCE,
    notes: list[tuple[str, str]] | None = None,
) -> dict[int, str]:
    """Names by domain of those that xenstored answers for, each within ``patience`` seconds.

    ``notes`` gets the socket and the reason why other names are unknown.
    """
    from socket import AF_UNIX, SOCK_STREAM, socket
    from time import monotonic

    from ..errors import printable

    end = monotonic() + MAX_TIME
    found: dict[int, str] = {}
    failures: list[tuple[str, str]] = []
    for path in sockets:
        with socket(AF_UNIX, SOCK_STREAM) as connection:
            connection.settimeout(patience)
            try:
                connection.connect(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                failures.append((path, f"names are unknown: {error.strerror or 'no answer in time'}"))
                continue
            failures = []
            try:
                for number in domains:
                    if monotonic() > end:
                        raise ValueError("no answer in time")
                    name = _read(connection, number, f"/local/domain/{number}/name", min(end, monotonic() + patience))
                    if isinstance(name, str):
                        found[number] = name
                    elif name is not None:
                        failures.append((path, f"the name of domain {number} is unknown: {printable(name[:20])}"))
            except (OSError, ValueError) as error:
                # The names received until then are kept.
                reason = (error.strerror if isinstance(error, OSError) else str(error)) or "no answer in time"
                failures = [(path, f"some names are unknown: {reason}")]
            break
    if notes is not None:
        notes += failures[:1]
    return found


def _read(connection: socket, request: int, path: str, end: float) -> str | bytes | None:
    """One value; None if there is none, and as bytes the reason for any other refusal.

    ``ValueError`` for an answer to something else, or not whole at ``end``.
    """
    content = path.encode() + b"\0"
    connection.sendall(_HEADER.pack(_READ, request, 0, len(content)) + content)
    kind, answered, _, length = _HEADER.unpack(_exactly(connection, _HEADER.size, end))
    if answered != request or length > _MAX_PAYLOAD:
        raise ValueError("an answer to another request")
    value = _exactly(connection, length, end)
    if kind == _READ:
        return value.decode("utf-8", "replace")
    # A domain that has ended, or has no name yet.
    return None if (reason := value.rstrip(b"\0")) == b"ENOENT" else reason or b"no reason given"


def _exactly(connection: socket, length: int, end: float) -> bytes:
    """So many bytes, however slowly they arrive, by a moment of the monotonic clock."""
    from time import monotonic

    content = b""
    while len(content) < length:
        left = end - monotonic()
        if left <= 0:
            raise ValueError("no answer in time")
        connection.settimeout(left)
        more = connection.recv(length - len(content))
        if not more:
            raise ValueError("the connection ended")
        content += more
    return content
