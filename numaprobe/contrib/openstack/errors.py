"""What can go wrong between numaprobe and a ledger, as part of numaprobe's one tree of errors."""

from __future__ import annotations

from ...errors import NumaprobeError


class FleetError(NumaprobeError):
    """The ledger could not be reached, refused a request, or holds something that is not ours to change."""


class Conflict(FleetError):
    """Somebody changed what a request was based on, or took the room that it asks for: read again, then retry.

    ``code`` is Placement's, such as ``placement.concurrent_update``; None where it gave none.
    """

    code: str | None

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.code)


class Forbidden(FleetError):
    """The ledger does not let this user do that."""


class NotThere(FleetError):
    """The ledger has no such provider or consumer."""


class Unheard(FleetError):
    """A request names a trait or a resource class that the ledger does not have (yet)."""
