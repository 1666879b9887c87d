"""Waiting for what happens in its own time, without saying how long that is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(answer: Callable[[], T], met: Callable[[T], object] = bool, *, seconds: float = 60) -> T:
    """The first answer that meets the condition; the last one if none does in time, for an assertion to show."""
    end = time.monotonic() + seconds
    while True:
        found = answer()
        if met(found) or time.monotonic() > end:
            return found
        time.sleep(0.001)
