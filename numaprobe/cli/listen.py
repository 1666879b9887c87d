"""Addresses to listen on: ``ADDR:PORT`` and ``[ADDR6]:PORT``."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Resolved = tuple[
        socket.AddressFamily, socket.SocketKind, int, "tuple[str, int] | tuple[str, int, int, int]"
    ]  # fmt: skip

# Connections that the kernel queues until they are accepted.
BACKLOG = 1024


def listening(address: str) -> socket.socket:
    """A socket listening on ``ADDR:PORT`` or ``[ADDR6]:PORT``; port 0 picks a free one.

    Raises ``ValueError`` for any other form, and ``OSError`` with the address as its file name if it is not available.
    """
    host, port = parsed(address)
    errors: list[OSError] = []
    for family, kind, protocol, where in _resolved(address, host, port):
        found = None
        try:
            found = socket.socket(family, kind, protocol)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(where)
            found.listen(BACKLOG)
        except OSError as error:
            if found is not None:
                found.close()
            errors.append(error)
        else:
            return found
    raise OSError(errors[0].errno, errors[0].strerror, address)


def parsed(address: str) -> tuple[str, int]:
    """Host and port of ``ADDR:PORT``, without the brackets of IPv6. Raises ``ValueError``."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    well_formed = bool(colon and bare) and (":" in bare) == bracketed and not set("[]") & set(bare)
    if not well_formed or not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535 and len(port) <= 5):
        raise ValueError(f"the address to listen on must be ADDR:PORT or [ADDR6]:PORT, not {address!r}")
    return bare, int(port)


def _resolved(address: str, host: str, port: int) -> Iterator[Resolved]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise OSError(None, reason, address) from None
    for family, kind, protocol, _, where in found:
        yield family, kind, protocol, where  # type: ignore[misc]


def name_of(found: socket.socket) -> str:
    """``ADDR:PORT`` of a listening socket."""
    host, port = found.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(found: socket.socket) -> bool:
    """Whether only processes on this host can reach a listening socket."""
    host = str(found.getsockname()[0]).partition("%")[0]
    bare = host.removeprefix("::ffff:")
    return host == "::1" or bare.startswith("127.")
