"""A line that shows that something is still being computed, on a terminal only."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Event, Thread

# What takes less than this is not worth a line.
DELAY = 1.0
CLEAR = "\r\033[K"


def progress(what: str) -> Progress:
    """Show ``what`` and the seconds so far on standard error while a block runs; the line is gone afterwards."""
    return Progress(what)


class Progress:
    """What ``progress`` returns."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._ticker: Thread | None = None

    def __enter__(self) -> None:
        if sys.stderr is None or not sys.stderr.isatty():
            return
        # Threads are an import that most commands do without.
        from threading import Event, Thread

        self._done = Event()
        self._ticker = Thread(target=_tick, args=(self._what, self._done), daemon=True)
        self._ticker.start()

    def __exit__(self, *exception: object) -> None:
        if self._ticker is not None:
            self._done.set()
            self._ticker.join()


def _tick(what: str, done: Event) -> None:
    start = time.monotonic()
    shown = False
    while not done.wait(DELAY):
        shown = True
        sys.stderr.write(f"{CLEAR}{what}: {time.monotonic() - start:.0f} s")
        sys.stderr.flush()
    if shown:
        sys.stderr.write(CLEAR)
        sys.stderr.flush()
