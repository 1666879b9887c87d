"""A line that shows that something is still being computed, on a terminal only."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What takes less than this is not worth a line.
DELAY = 1.0
CLEAR = "\r\033[K"


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show ``what`` and the seconds so far on standard error while the block runs; the line is gone afterwards."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = Event()
    ticker = Thread(target=_tick, args=(what, done), daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()


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
