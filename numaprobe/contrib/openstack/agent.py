"""Publishes a host from a thread of its own: on an interval, when cells or CPUs change, and later after a failure."""

from __future__ import annotations

import random
import threading
from time import monotonic

import numaprobe

from ...errors import NumaprobeError
from .publish import publish
from .reading import Remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .client import Client
    from .members import Member
    from .publish import Report

INTERVAL = 60.0
# How often the shape of the host is looked at; that reads two short files.
LOOK_SECONDS = 2.0
MAX_BACKOFF = 3600.0


class Agent:
    """Publishes a host until it is closed.

    ``connect`` makes the client, ``member`` reads the host; both are called in the agent's thread only, so that nobody
    else waits for the ledger. ``interval`` is in seconds. After a failure it is doubled, up to an hour, and the client
    is made anew. ``shape`` returns something that differs when cells or CPUs do. ``say`` is called with a line when
    publishing begins to fail, and when it works again. Further keywords are those of ``publish``.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        member: Callable[[], Member],
        *,
        interval: float = INTERVAL,
        shape: Callable[[], object] | None = None,
        say: Callable[[str], None] = lambda _line: None,
        **how: Any,
    ) -> None:
        if not 0 < interval <= threading.TIMEOUT_MAX:
            raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
        self.published = self.failures = 0
        self.report: Report | None = None
        self.error: Exception | None = None
        self._connect, self._member, self._shape, self._log, self._how = connect, member, shape, say, how
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numaprobe-fleet", daemon=True)

    def start(self) -> Agent:
        """Start the thread; return at once."""
        self._thread.start()
        return self

    def close(self, patience: float = 1.0) -> None:
        """End the thread; a request that is under way is waited for this many seconds at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _run(self) -> None:
        client: Client | None = None
        memory = Remembered()
        pause = self._interval
        seen = self._look()
        while not self._stop.is_set():
            try:
                if client is None:
                    client = self._connect()
                    client.check()
                self.report = publish(client, self._member(), memory=memory, **self._how)
            # Whatever it is: an agent that ends would leave its host to be set aside.
            except Exception as error:
                client, memory = None, Remembered()
                if self.error is None:
                    self._log(f"cannot publish: {error}; trying again at growing intervals")
                self.error = error
                self.failures += 1
                # Many agents lose the same ledger at the same moment, and should not come back at the same one.
                pause = min(MAX_BACKOFF, pause * 2) * random.uniform(0.75, 1.0)  # noqa: S311  # not a secret
            else:
                if self.error is not None:
                    self._log("published again")
                self.error = None
                self.published += 1
                pause = self._interval
            seen = self._wait(pause, seen)

    def _wait(self, seconds: float, seen: object) -> object:
        """Wait, for a change of the shape at most; return the shape. After a failure a change makes no haste."""
        due = monotonic() + seconds
        while not self._stop.is_set() and (left := due - monotonic()) > 0:
            self._stop.wait(min(left, LOOK_SECONDS))
            now = self._look()
            if now != seen and self.error is None:
                return now
        return seen

    def _look(self) -> object:
        if self._shape is None:
            return None
        try:
            return self._shape()
        except (NumaprobeError, OSError):
            return None


class LiveShape:
    """The shape of a host, as cheaply as it can be known: for ``Agent``."""

    def __init__(self, root: str | None = None, *, recording: str | None = None, source: str = "auto") -> None:
        self._where: dict[str, Any] = {"root": root, "recording": recording, "source": source}
        self._sampler: numaprobe.Sampler | None = None

    def __call__(self) -> object:
        """Something that differs when cells or CPUs do. Raises what ``Sampler`` raises."""
        try:
            if self._sampler is None:
                self._sampler = numaprobe.Sampler(**self._where)
            shape = self._sampler.sample().shape
        except Exception:
            if self._sampler is not None:
                self._sampler.close()
            self._sampler = None
            raise
        return shape.cells, shape.cpus
