"""Requests to OpenStack Placement over a keystoneauth1 adapter: counted, and with typed errors of one line."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from ...errors import printable
from .errors import Conflict, FleetError, Forbidden, NotThere, Unheard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from keystoneauth1 import exceptions
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "numaprobe.contrib.openstack needs keystoneauth1: pip install 'numaprobe[openstack]'"
    ) from error

# The first with consumer types, which tell a claim from a guest that was seen running (Placement 6.0.0, Xena).
MICROVERSION = "1.38"
SHOWN = 200
_ERRNO = re.compile(r"\[Errno -?[0-9]+\] ([^\"'()\[\]]+)")


class Answer:
    """What the server answered: ``body`` is JSON or None, ``age`` the seconds since what was read was last written."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.body: Any = None
        if response.content:
            try:
                self.body = response.json()
            except ValueError:
                raise FleetError(f"{response.url} does not answer as Placement does: no JSON") from None
        self.age = _age(response.headers)


class Client:
    """A ledger. ``adapter`` is a keystoneauth1 ``Adapter`` for the service type ``placement``.

    ``requests`` counts the requests that were sent. One client is for one thread. Raises ``FleetError`` for a server
    that cannot be reached, is not Placement, or does not have the microversion that is needed.
    """

    def __init__(self, adapter: Any) -> None:
        self.requests = 0
        # Until the server refuses it: writing the inventories of many cells in one request.
        self.may_reshape = True
        self._adapter = adapter

    def check(self) -> None:
        """Raise ``FleetError`` unless this is Placement with the microversion that is needed."""
        answer = self._send("GET", "/", microversion=None)
        versions = answer.body.get("versions") if isinstance(answer.body, dict) else None
        known = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
        newest = known.get("max_version")
        if not isinstance(newest, str) or newest.count(".") != 1:
            raise FleetError(f"{self._where()} does not answer as Placement does: {printable(str(answer.body)[:80])}")
        if _number(newest) < _number(MICROVERSION):
            raise FleetError(
                f"{self._where()} has microversions up to {newest}; {MICROVERSION} is needed (Placement 6.0.0, Xena)"
            )

    def read(self, path: str) -> Answer:
        """GET."""
        return self._send("GET", path)

    def put(self, path: str, body: object) -> Answer:
        """PUT."""
        return self._send("PUT", path, body)

    def create(self, path: str, body: object) -> Answer:
        """POST."""
        return self._send("POST", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._send("DELETE", path)

    def _where(self) -> str:
        return str(self._adapter.endpoint_override or "the Placement service of this cloud")

    def _send(self, method: str, path: str, body: object = None, microversion: str | None = MICROVERSION) -> Answer:
        more: dict[str, Any] = {} if body is None else {"json": body}
        self.requests += 1
        try:
            response = self._adapter.request(path, method, raise_exc=False, microversion=microversion, **more)
        except exceptions.ClientException as error:
            raise FleetError(f"{self._where()} cannot be queried: {_cause(str(error))}") from None
        if response.status_code >= 400:
            raise _failure(method, self._where(), path, response)
        return Answer(response)


def _failure(method: str, where: str, path: str, response: Any) -> FleetError:
    status = response.status_code
    detail, code = response.reason or "", None
    try:
        error = response.json()["errors"][0]
        detail, code = str(error["detail"]), error.get("code")
    except (ValueError, LookupError, TypeError):
        pass
    text = f"{method} {where}{path}: {status}: {_short(detail)}"
    if status == 409:
        return Conflict(text, code)
    if status == 400 and ("No such trait" in detail or "resource class" in detail.lower()):
        return Unheard(text)
    if status == 403:
        return Forbidden(text)
    if status == 404 and code is not None:
        return NotThere(text)
    if status == 406:
        return FleetError(
            f"{where} does not have microversion {MICROVERSION} (Placement 6.0.0, Xena): {_short(detail)}"
        )
    return FleetError(text)


def _age(headers: Any) -> float | None:
    """Seconds between two times of the server's clock; None if it did not give both."""
    try:
        now, then = (parsedate_to_datetime(headers[name]) for name in ("date", "last-modified"))
    except (KeyError, ValueError, TypeError):
        return None
    return (now - then).total_seconds()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _cause(text: str) -> str:
    """The system's error, without the names of the libraries' classes that pass it on."""
    found = _ERRNO.search(text)
    return found[1].strip() if found else _short(text)


def _short(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
