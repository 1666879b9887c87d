"""TLS and basic authentication, from the web configuration file that Prometheus's exporters share.

The format is that of docs/web-configuration.md in https://github.com/prometheus/exporter-toolkit, version 0.14.
What Python's ssl cannot do is refused, never ignored.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any

# Passwords are checked one at a time, each takes some 50 ms of a CPU; when so many wait, others are refused.
MAX_CHECKS = 16
# Correct passwords that need not be checked again.
MAX_REMEMBERED = 100
# What an unknown user's password is compared with, so that the time does not reveal who exists ("fakepassword").
NOBODY = b"$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"


class WebConfig:
    """How to serve: ``tls`` or None for plain HTTP, ``users`` with their bcrypt hashes, additional ``headers``."""

    __slots__ = ("headers", "sans", "tls", "users", "verifies_clients")

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        users: dict[str, bytes] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        sans: frozenset[str] = frozenset(),
        verifies_clients: bool = False,
    ) -> None:
        self.tls = tls
        self.users = users or {}
        self.headers = headers
        self.sans = sans
        self.verifies_clients = verifies_clients

    def client_allowed(self, certificate: Any) -> bool:
        """Whether a client's verified certificate has one of the names that are allowed, if these are listed."""
        if not self.sans:
            return True
        return any(value in self.sans for _kind, value in (certificate or {}).get("subjectAltName", ()))


class Authenticator:
    """Checks passwords in a thread; those found correct are remembered, by a keyed digest."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="numaprobe-password")
        self._key = os.urandom(32)
        self._remembered: dict[bytes, None] = {}
        self._waiting = 0

    async def allows(self, users: dict[str, bytes], header: str) -> bool | None:
        """Whether an ``Authorization`` header is that of a user; None if too many wait to be checked."""
        user, password = _credentials(header)
        if user is None:
            return False
        hashed = users.get(user, NOBODY)
        digest = hmac.digest(self._key, b"\0".join((user.encode(), hashed, password)), hashlib.sha256)
        if digest in self._remembered:
            return True
        if self._waiting >= MAX_CHECKS:
            return None
        self._waiting += 1
        try:
            matches = await asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, hashed)
        finally:
            self._waiting -= 1
        if not matches or user not in users:
            return False
        while len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = None
        return True

    def close(self) -> None:
        """Drop what waits for the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _credentials(header: str) -> tuple[str | None, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, b""
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode() if colon else None), password
    except (binascii.Error, ValueError):
        return None, b""


def _matches(password: bytes, hashed: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        # A password of more than 72 bytes, which no hash is of.
        return False
