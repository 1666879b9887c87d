"""A daemon thread that reads what is too slow for a scrape, again and again, and keeps the last answers."""

from __future__ import annotations

import threading
import weakref
from collections import namedtuple
from time import monotonic

import numaprobe

from ..metrics.rows import available_rows, claimed_rows, domain_rows, huge_page_rows, topology_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ..metrics import Rows
    from ..sampling.values import Shape

    Path = str | os.PathLike[str]
    Key = tuple[tuple[int, ...], tuple[int, ...] | None]

# A reading that takes long is made less often: it may have this part of a cpu.
PART = 10
# Answers older than so many intervals are not given any more.
OLDEST = 5


class Asked(namedtuple("Asked", "root recording source domains domains_limit counters distances cpu_info interval")):
    """Which host, and what of it; see ``Observer``."""

    __slots__ = ()
    root: Path | None
    recording: Path | None
    source: str
    domains: bool
    domains_limit: int
    counters: bool
    distances: bool | None
    cpu_info: bool
    interval: float


class Answer(namedtuple("Answer", "rows key at seconds")):
    """Rows, the key of the shape that they are of, when they were asked for (monotonic), and how long that took."""

    __slots__ = ()
    rows: Rows
    key: Key
    at: float
    seconds: float


def key_of(shape: Shape) -> Key:
    """What of a shape makes a host another one, for one sampler as for another; memory that grows does not."""
    return shape.cells, shape.cpus


class Refresher:
    """Answers by part: ``details``, ``host``, ``domains``. Nothing is read before ``start``.

    The thread ends with ``stop``, or when nobody has the refresher any more.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answers: dict[str, Answer] = {}
        self.errors = {"details": 0, "host": 0, **({"domains": 0} if asked.domains else {})}
        # The host and its details were asked for once, whatever came of it.
        self.ready = threading.Event()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._changed = False
        self._host: numaprobe.Host | None = None

    def start(self) -> None:
        wake = self._wake
        # It must not be kept alive by its own thread.
        here = weakref.ref(self, lambda _: wake.set())
        thread = threading.Thread(target=_run, args=(here, wake, self._stopped), name="numaprobe", daemon=True)
        thread.start()

    def stop(self) -> None:
        """The thread ends with what it is doing; nothing is waited for."""
        self._stopped.set()
        self._wake.set()

    def hurry(self) -> None:
        """Ask for everything at once, because the host has changed."""
        self._changed = True
        self._wake.set()

    def turn(self) -> float:
        """Ask for everything once; seconds until the next time."""
        began = monotonic()
        changed, self._changed = self._changed, False
        key = self._tried("details", self._details)
        self._tried("host", lambda: self._topology(key, changed=changed))
        self.ready.set()
        if self.asked.domains and not self._stopped.is_set():
            self._tried("domains", self._domains)
        return max(self.asked.interval, (PART - 1) * (monotonic() - began))

    def _tried(self, part: str, read: Callable[[], tuple[Rows, Key]]) -> Key | None:
        at = monotonic()
        try:
            rows, key = read()
        # Whatever it is: it is counted, the last answer grows old, and the next turn tries again.
        except Exception:
            self.errors[part] += 1
            return None
        self.answers[part] = Answer(rows, key, at, monotonic() - at)
        return key

    def _details(self) -> tuple[Rows, Key]:
        """Available memory and huge pages of all sizes, by a sampler of its own: a scrape must not wait for it.

        It is closed again, since it holds six files open for each cell.
        """
        asked = self.asked
        with numaprobe.Sampler(asked.root, recording=asked.recording, source=asked.source) as sampler:
            sample = sampler.sample(huge_pages=True, available=True)
        rows = available_rows((cell.id, cell.available) for cell in sample.cells)
        rows |= huge_page_rows((cell.id, cell.huge_pages or ()) for cell in sample.cells)
        return rows, key_of(sample.shape)

    def _topology(self, key: Key | None, *, changed: bool) -> tuple[Rows, Key]:
        """The host anew where it changed, and under Xen always: it says what is claimed."""
        asked, last = self.asked, self.answers.get("host")
        if last is not None and last.key == key and not changed and self._host and self._host.source == "linux":
            return last.rows, last.key
        if key is None:
            with numaprobe.Sampler(asked.root, recording=asked.recording, source=asked.source) as sampler:
                key = key_of(sampler.shape)
        host = numaprobe.probe(asked.root, recording=asked.recording, source=asked.source, available=False)
        if tuple([cell.id for cell in host.cells]) != key[0]:
            raise numaprobe.SourceError("cells", None, "came or went while the host was read")
        self._host = host
        rows = topology_rows(host, distances=asked.distances, cpu_info=asked.cpu_info) | claimed_rows(host)
        # The same rows are the same object, so that what was made of them need not be made again.
        return (last.rows if last is not None and last.rows == rows else rows), key

    def _domains(self) -> tuple[Rows, Key]:
        if self._host is None:
            raise numaprobe.SourceUnavailable("domains", None, "the host could not be read")
        asked = self.asked
        found = numaprobe.domains(self._host, root=asked.root, recording=asked.recording, each_vcpu=False)
        # A recording may have been made without its processes, and then does not say that there are no guests.
        recorded = asked.root is not None or asked.recording is not None
        return ({} if recorded and not found else domain_rows(found, asked.domains_limit)), ((), None)


def _run(here: weakref.ref[Refresher], wake: threading.Event, stopped: threading.Event) -> None:
    pause = 0.0
    while True:
        wake.wait(pause)
        wake.clear()
        refresher = here()
        if refresher is None or stopped.is_set():
            return
        pause = refresher.turn()
        del refresher
