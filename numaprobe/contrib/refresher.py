"""A daemon thread that periodically reads what is too slow for a scrape, and keeps the last answers."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from time import monotonic

import numaprobe

from ..metrics.rows import (
    available_rows,
    claimed_rows,
    domain_rows,
    huge_page_rows,
    topology_rows,
    traffic_rows,
    usable_rows,
)
from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ..metrics import Rows
    from ..sampling.values import Shape

    Path = str | os.PathLike[str]
    Key = tuple[tuple[int, ...], tuple[int, ...] | None]

# A slow reading is made less often, so that it uses at most this share of a CPU.
MAX_CPU_SHARE = 0.1
# Answers older than this many intervals are not reported any more.
MAX_AGE_INTERVALS = 5


class Options(
    namedtuple(
        "Options",
        "root recording source domains domains_limit sampled counters distances cpu_info meminfo vmstat usable"
        " traffic interval",
    )
):
    """Which host to read, and what to report; the fields are the arguments of ``Observer``."""

    __slots__ = ()
    root: Path | None
    recording: Path | None
    source: str
    domains: bool
    domains_limit: int
    sampled: int | None
    counters: bool
    distances: bool | None
    cpu_info: bool
    meminfo: bool
    vmstat: bool
    usable: bool
    traffic: bool
    interval: float


class Answer(namedtuple("Answer", "rows key at seconds")):
    """``rows``, the ``key`` of their shape, when they were requested (``at``, monotonic), the ``seconds`` it took."""

    __slots__ = ()
    rows: Rows
    key: Key
    at: float
    seconds: float


def key_of(shape: Shape) -> Key:
    """The part of a shape that identifies a host across samplers: its cells and CPUs, not its amount of memory."""
    return shape.cells, shape.cpus


class Refresher:
    """Answers by part: ``details``, ``host``, ``domains``, ``usable``, ``traffic``. Nothing is read before ``start``.

    The thread ends with ``stop``, or when the refresher is garbage-collected.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.answers: dict[str, Answer] = {}
        # Parts that are read on request; not their methods, which would keep this object alive.
        optional = {"domains": options.domains, "usable": options.usable, "traffic": options.traffic}
        self._optional = [part for part, wanted in optional.items() if wanted]
        self.errors = {"details": 0, "host": 0, **dict.fromkeys(self._optional, 0)}
        # What the last answers say that they could not read or make sense of, in lines.
        self.notes: dict[str, int] = {}
        # Set once everything has been requested, with or without success.
        self.ready = threading.Event()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._changed = False
        # When each part is to be read again (monotonic), and the seconds of the longest turn, for which others wait.
        self._due: dict[str, float] = {}
        self.slowest = 0.0
        self._host: numaprobe.Host | None = None

    def start(self) -> None:
        wake = self._wake
        # The thread must not keep its own refresher alive.
        refresher = weakref.ref(self, lambda _: wake.set())
        thread = threading.Thread(target=_run, args=(refresher, wake, self._stopped), name="numaprobe", daemon=True)
        thread.start()

    def stop(self) -> None:
        """End the thread after its current reading, without waiting for it."""
        self._stopped.set()
        self._wake.set()

    def hurry(self) -> None:
        """Read everything again now, because the host has changed."""
        self._changed = True
        self._wake.set()

    def turn(self) -> float:
        """Read whatever is due, everything if the host has changed; return the seconds until something is due again.

        Each part has its own pace: guests whose memory takes a minute to walk do not make available memory old.
        """
        began = monotonic()
        changed, self._changed = self._changed, False
        reads = {"domains": self._domains, "usable": self._usable, "traffic": self._traffic}
        for part in ("cells", *self._optional):
            start = monotonic()
            if self._stopped.is_set() or (start < self._due.get(part, start) and not changed):
                continue
            if part == "cells":
                key = self._tried("details", self._details)
                self._tried("host", partial(self._topology, key, changed=changed))
            else:
                self._tried(part, reads[part])
            took = monotonic() - start
            self._due[part] = monotonic() + max(self.options.interval, (1 / MAX_CPU_SHARE - 1) * took)
        self.ready.set()
        now = monotonic()
        self.slowest = max(self.slowest, now - began)
        return max(0.0, min(self._due.values(), default=now + self.options.interval) - now)

    def limit(self, answer: Answer) -> float:
        """The age in seconds above which an answer is not reported: it should have been replaced several times."""
        return MAX_AGE_INTERVALS * max(self.options.interval, answer.seconds / MAX_CPU_SHARE) + self.slowest

    def _tried(self, part: str, read: Callable[[], tuple[Rows, Key]]) -> Key | None:
        at = monotonic()
        try:
            rows, key = read()
        # Of any kind: it is counted, the last answer ages, and the next turn tries again.
        except Exception:
            self.errors[part] += 1
            return None
        self.answers[part] = Answer(rows=rows, key=key, at=at, seconds=monotonic() - at)
        return key

    def _details(self) -> tuple[Rows, Key]:
        """Available memory and huge pages of all sizes, through a separate sampler so that no scrape waits for it.

        It is closed afterwards, since it keeps six files open per cell.
        """
        options = self.options
        with numaprobe.Sampler(options.root, recording=options.recording, source=options.source) as sampler:
            sample = sampler.sample(huge_pages=True, available=True)
        self.notes["details"] = len(sample.notes)
        rows = available_rows((cell.id, cell.available) for cell in sample.cells)
        rows |= huge_page_rows((cell.id, cell.huge_pages or ()) for cell in sample.cells)
        return rows, key_of(sample.shape)

    def _topology(self, key: Key | None, *, changed: bool) -> tuple[Rows, Key]:
        """Probe the host again if it changed, and under Xen always, where it also reports the claimed memory."""
        options, last = self.options, self.answers.get("host")
        if last is not None and last.key == key and not changed and self._host and self._host.source == "linux":
            return last.rows, last.key
        if key is None:
            with numaprobe.Sampler(options.root, recording=options.recording, source=options.source) as sampler:
                key = key_of(sampler.shape)
        host = numaprobe.probe(options.root, recording=options.recording, source=options.source, available=False)
        if tuple([cell.id for cell in host.cells]) != key[0]:
            raise numaprobe.SourceError("cells", None, "nodes were added or removed while the host was read")
        self._host = host
        self.notes["host"] = len(host.notes)
        rows = topology_rows(host, distances=options.distances, cpu_info=options.cpu_info) | claimed_rows(host)
        # Equal rows stay the same object, so that whatever was rendered from them can be kept.
        return (last.rows if last is not None and last.rows == rows else rows), key

    def _domains(self) -> tuple[Rows, Key]:
        if self._host is None:
            raise numaprobe.SourceUnavailable("domains", None, "the host could not be read")
        options = self.options
        found = numaprobe.domains(
            self._host, root=options.root, recording=options.recording, remote=True, sampled=options.sampled
        )
        self.notes["domains"] = len(found.notes)
        # A recording without processes does not mean that there are no guests.
        recorded = options.root is not None or options.recording is not None
        rows = {} if recorded and not found else domain_rows(found, options.domains_limit, host=self._host)
        return rows, ((), None)

    def _usable(self) -> tuple[Rows, Key]:
        options = self.options
        host = numaprobe.probe(
            options.root, recording=options.recording, source=options.source, available=False, usable=True
        )
        return usable_rows(host), ((), None)

    def _traffic(self) -> tuple[Rows, Key]:
        found = numaprobe.traffic(self.options.root, recording=self.options.recording)
        self.notes["traffic"] = len(found.notes)
        return traffic_rows(found.traffic, self.options.domains_limit), ((), None)


def _run(reference: weakref.ref[Refresher], wake: threading.Event, stopped: threading.Event) -> None:
    pause = 0.0
    while True:
        wake.wait(pause)
        wake.clear()
        refresher = reference()
        if refresher is None or stopped.is_set():
            return
        pause = refresher.turn()
        del refresher
