"""What is shown is read in a thread, so that keys are obeyed while a host of many guests is read."""

from __future__ import annotations

import time
from threading import Event, Thread

from ...errors import NumaprobeError
from ...named import namedtuple
from .. import domains
from ..sampled import host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ... import Host, Sample, Sampler
    from ...sampling.rates import Rates


class Reading(namedtuple("Reading", "sample host rates without_rates guests error", defaults=(None, "", None, None))):
    """A moment of a host.

    ``rates`` are those since the reading before; without them ``without_rates`` says why. ``guests`` are None unless
    that view is shown. ``error`` is why this moment could not be read; the rest is then that of the one before.
    """

    __slots__ = ()
    sample: Sample
    host: Host
    rates: Rates | None
    without_rates: str
    guests: domains.Observed | None
    error: str | None


class Reader:
    """Reads a host every ``interval`` seconds, ``count`` times if that is given, in a thread.

    ``latest`` is the last reading; ``wake`` is called after each. ``view`` and ``stopped`` may be changed at any time;
    call ``again`` to have the change obeyed at once. ``guests`` are arguments of ``numaprobe.domains``. ``ended`` is
    set after the last reading.
    """

    def __init__(
        self,
        sampler: Sampler,
        host: tuple[str | None, str | None, str],
        *,
        interval: float,
        count: int | None,
        view: str,
        guests: dict[str, Any] | None = None,
        wake: Callable[[], None],
    ) -> None:
        self._sampler = sampler
        self._host = host
        self._guests = guests or {}
        self._interval = interval
        self._left = count
        self._wake = wake
        self._again = Event()
        self._closed = False
        self._thread = Thread(target=self._run, name="numaprobe-watch", daemon=True)
        self.view = view
        self.stopped = False
        self.ended = False
        # In the caller's thread: a host that cannot be read at the start is the caller's error.
        self.latest = self._read(None)

    def start(self) -> None:
        self._thread.start()

    def again(self) -> None:
        """Read now, and not only when it is time."""
        self._again.set()

    def close(self) -> None:
        """End the thread; a reading that has begun is not waited for longer than a moment."""
        self._closed = True
        self._again.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        due = time.monotonic() + self._interval
        while self._more():
            early = self._again.wait(max(0.0, due - time.monotonic()))
            self._again.clear()
            if self._closed:
                return
            if not early:
                due = max(due + self._interval, time.monotonic())
            if self.stopped:
                continue
            try:
                self.latest = self._read(self.latest, counts=not early)
            except (NumaprobeError, OSError) as error:
                self.latest = self.latest._replace(error=str(error))
            self._wake()
        self.ended = True
        self._wake()

    def _more(self) -> bool:
        return self._left is None or self._left > 0

    def _read(self, before: Reading | None, *, counts: bool = True) -> Reading:
        if counts and self._left is not None:
            self._left -= 1
        sample = self._sampler.sample(huge_pages=True, available=True, counters=True)
        rates, why = None, "rates need a second reading"
        if before is not None:
            try:
                rates = sample - before.sample
            except ValueError as error:
                why = str(error)
        guests = None
        if self.view == "guests":
            guests = domains.observe(*self._host, **self._guests)
        return Reading(sample=sample, host=host_of(sample), rates=rates, without_rates=why, guests=guests)
