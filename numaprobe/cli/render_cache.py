"""Renderings of the metrics, shared by requests that arrive at nearly the same time."""

from __future__ import annotations

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # The body of a format.
    Render = Callable[[str], bytes]

# Seconds for which a rendering is given to others.
MAX_AGE = 0.1


class RenderCache:
    """The last rendering of each format, plain and compressed.

    The keys are the formats that were negotiated, of which there are few, and never what a client wrote: otherwise each
    client could have a rendering of its own. ``render`` is called in a thread, one call at a time.
    """

    def __init__(self, render: Render, max_age: float = MAX_AGE) -> None:
        self._render = render
        self._max_age = max_age
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="numaprobe-render")
        self._kept: dict[tuple[str, bool], tuple[float, asyncio.Task[bytes]]] = {}

    async def body(self, form: str, *, compressed: bool = False) -> bytes:
        """The metrics in a format. Raises what ``render`` raises."""
        now = monotonic()
        began, task = self._kept.get((form, compressed), (0.0, None))
        if task is None or (task.done() and now - began > self._max_age):
            task = asyncio.create_task(self._compressed(form) if compressed else self._plain(form))
            task.add_done_callback(_retrieved)
            self._kept[form, compressed] = (now, task)
        # A client that disconnects must not take the rendering from the others.
        return await asyncio.shield(task)

    async def _plain(self, form: str) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, form)

    async def _compressed(self, form: str) -> bytes:
        plain = await self.body(form)
        return await asyncio.get_running_loop().run_in_executor(self._thread, gzip.compress, plain, 6)

    def close(self) -> None:
        """Drop what waits for the thread; a rendering that has begun is finished."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        for _, task in self._kept.values():
            task.cancel()


def _retrieved(task: asyncio.Task[bytes]) -> None:
    """Take the error of a rendering that nobody waits for any more: asyncio would print it."""
    if not task.cancelled():
        task.exception()
