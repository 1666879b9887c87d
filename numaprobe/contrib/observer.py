"""The core of every agent's module: a host's current figures, at a bounded cost and without raising.

The memory of the cells is read on request. Whatever is slower to read (available memory, huge pages of the other sizes,
the topology, the domains) is read by a background thread; its last answer is reported together with its age.
"""

from __future__ import annotations

import os
import threading
from time import monotonic, perf_counter

import numaprobe

from ..metrics.rows import DOMAINS_LIMIT, counter_rows, huge_page_rows, meminfo_rows, memory_rows, vmstat_rows
from ..named import namedtuple
from .refresher import Options, Refresher, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..metrics import Rows
    from ..sampling.sample import Sample
    from ..sampling.values import Counters, Shape
    from .refresher import Answer, Key, Path


# State that a forked child inherits from its parent. It must stay alive: collecting it would wake a thread that does
# not exist in the child, under a lock which that thread may have held.
_INHERITED: list[_ProcessState] = []


class Reading(namedtuple("Reading", "rows topology began error")):
    """One reading: ``rows`` that change, and those of the ``topology``, the same object until the topology changes.

    ``began`` is the monotonic time in seconds at which the reading began; ``error`` says why it contains no memory
    figures, and is None if it does.
    """

    __slots__ = ()
    rows: Rows
    topology: Rows
    began: float
    error: Exception | None


class Observer:
    """Reads one host for an agent; may be shared by its threads.

    ``root``, ``recording`` and ``source`` are the arguments of ``numaprobe.probe``. ``domains`` includes the guests, at
    most ``domains_limit`` of them (those with the lowest ids); ``sampled`` is as for ``numaprobe.domains``.
    ``counters`` includes the counters of numastat. ``distances`` None includes distances on hosts with at most 64
    cells; ``cpu_info`` adds a metric per CPU, ``meminfo`` and ``vmstat`` every field of the nodes' files of these
    names, ``usable`` what can be allocated of each cell and ``traffic`` the counters of resctrl. ``interval`` is the
    time between two background readings, in seconds. The first reading waits for the background thread for at most
    ``patience`` seconds. ``max_age`` is how old a reading may be, in seconds, to be returned again; concurrent callers
    share one in any case.

    Nothing is opened and no thread is started before the first reading; a forked child starts afresh with its own
    first reading. Raises ``ValueError`` for a bad argument; ``reading`` never raises.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        recording: Path | None = None,
        source: str = "auto",
        domains: bool = True,
        domains_limit: int = DOMAINS_LIMIT,
        sampled: int | None = None,
        counters: bool = True,
        distances: bool | None = None,
        cpu_info: bool = False,
        meminfo: bool = False,
        vmstat: bool = False,
        usable: bool = False,
        traffic: bool = False,
        interval: float = 15.0,
        patience: float = 0.5,
        max_age: float = 0.0,
    ) -> None:
        if root is not None and recording is not None:
            raise ValueError("root and recording cannot be combined")
        if source not in ("auto", "linux", "xen"):
            raise ValueError(f"source must be auto, linux or xen, not {source!r}")
        if not 0 < interval <= threading.TIMEOUT_MAX:
            raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
        if domains_limit < 0:
            raise ValueError(f"domains_limit must be at least 0, not {domains_limit!r}")
        if not 0 <= patience <= threading.TIMEOUT_MAX or not max_age >= 0:
            raise ValueError("patience and max_age are seconds and must be at least 0")
        self._options = Options(
            root=root,
            recording=recording,
            source=source,
            domains=domains,
            domains_limit=domains_limit,
            sampled=sampled,
            counters=counters,
            distances=distances,
            cpu_info=cpu_info,
            meminfo=meminfo,
            vmstat=vmstat,
            usable=usable,
            traffic=traffic,
            interval=float(interval),
        )
        self._patience = patience
        self._max_age = max_age
        self._state: _ProcessState | None = None
        self._closed = False

    def reading(self) -> Reading:
        """Return the current figures. A failure is one of them: ``up`` is then 0 and ``error`` says why."""
        arrived = monotonic()
        state = self._state
        # A fork copies locks in whatever state they are, and no threads.
        if state is None or state.process != os.getpid():
            if state is not None:
                _INHERITED.append(state)
            state = self._state = _ProcessState(self._options)
        with state.lock:
            last = state.last
            if last is None or last.began < arrived - self._max_age or self._closed:
                state.last = last = state.read(self._patience, closed=self._closed)
            return last

    def close(self) -> None:
        """Close all files and end the thread; may be called twice. Later readings report that it is closed."""
        self._closed = True
        state = self._state
        if state is not None and state.process == os.getpid():
            with state.lock:
                state.close()


class _ProcessState:
    """The part of an observer that belongs to one process."""

    def __init__(self, options: Options) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.last: Reading | None = None
        self._options = options
        self._refresher = Refresher(options)
        self._started = False
        self._sampler: numaprobe.Sampler | None = None
        self._failures = 0
        self._notes = 0
        self._counters_lost = 0
        self._have_counters = False
        self._changes = 0
        self._changed_at = float("-inf")
        self._shape: tuple[numaprobe.Sampler, Shape] | None = None

    def close(self) -> None:
        self._refresher.stop()
        if self._sampler is not None:
            self._sampler.close()

    def read(self, patience: float, *, closed: bool) -> Reading:
        began, start = monotonic(), perf_counter()
        if not self._started and not closed:
            self._started = True
            self._refresher.start()
            self._refresher.ready.wait(patience)
        error: Exception | None = None
        rows: Rows = {}
        topology: Rows = {}
        try:
            if closed:
                raise ValueError("the observer is closed")
            sample = self._sample()
            rows = self._memory(sample)
            # The other figures are good; what could not be read is missing among them, and counted.
            self._failures += bool(sample.errors)
            self._notes = len(sample.notes)
        # Of any kind: the agent's scrape has other figures to report.
        except Exception as failure:
            error = failure
            self._failures += 1
        else:
            topology = self._background(rows, key_of(sample.shape))
        self._add_own_metrics(rows, error)
        rows["numaprobe_scrape_duration_seconds"] = [((), perf_counter() - start)]
        return Reading(rows=rows, topology=topology, began=began, error=error)

    def _sample(self) -> Sample:
        options = self._options
        if self._sampler is None:
            self._sampler = numaprobe.Sampler(options.root, recording=options.recording, source=options.source)
        try:
            sample = self._sampler.sample(counters=options.counters, vmstat=options.vmstat, meminfo=options.meminfo)
        except Exception:
            # An open file may be the cause: the next reading opens everything again.
            self._sampler.close()
            self._sampler = None
            raise
        self._compare(self._sampler, sample.shape)
        return sample

    def _compare(self, sampler: numaprobe.Sampler, shape: Shape) -> None:
        """Count changes of the shape; answers from before a change of cells or CPUs are not reported any more."""
        before, known = self._shape or (None, shape)
        if known is not shape:
            same = before is sampler
            self._changes += shape.number - known.number if same else shape._replace(number=known.number) != known
            if not same or (shape.cells, shape.since, shape.cpus) != (known.cells, known.since, known.cpus):
                self._changed_at = monotonic()
                self._refresher.hurry()
        self._shape = (sampler, shape)

    def _memory(self, sample: Sample) -> Rows:
        cells = sample.cells
        rows = memory_rows([(cell.id, cell.total, cell.free) for cell in cells])
        rows |= huge_page_rows((cell.id, cell.huge_pages or ()) for cell in cells)
        if self._options.counters:
            rows |= counter_rows((cell.id, cell.counters) for cell in cells)
            self._count_lost([cell.counters for cell in cells])
        if self._options.meminfo:
            rows |= meminfo_rows((cell.id, cell.meminfo) for cell in cells)
        if self._options.vmstat:
            rows |= vmstat_rows((cell.id, cell.vmstat) for cell in cells)
        return rows

    def _count_lost(self, counters: list[Counters | None]) -> None:
        """A kernel has numastat for every node or for none: if only some cells have it, or had it, reading failed."""
        known = [one is not None and any(value is not None for value in one) for one in counters]
        self._have_counters = self._have_counters or any(known)
        if self._have_counters and not all(known):
            self._counters_lost += 1

    def _background(self, rows: Rows, key: Key) -> Rows:
        """Add the background thread's last answers about this shape of the host; return its topology."""
        answers = self._refresher.answers
        details, host = (self._fresh(answers.get(part)) for part in ("details", "host"))
        if details is not None and details.key == key:
            for name, values in details.rows.items():
                rows[name] = _merged(rows.get(name), values)
        for part in ("domains", "usable", "traffic"):
            answer = self._fresh(answers.get(part))
            if answer is not None:
                rows.update(answer.rows)
        return {} if host is None or host.key != key else host.rows

    def _fresh(self, answer: Answer | None) -> Answer | None:
        if answer is None or answer.at < self._changed_at:
            return None
        return answer if monotonic() - answer.at <= self._refresher.limit(answer) else None

    def _add_own_metrics(self, rows: Rows, error: Exception | None) -> None:
        refresher = self._refresher
        now = monotonic()
        answers = sorted(dict(refresher.answers).items())
        errors = {"memory": self._failures}
        if self._options.counters:
            errors["counters"] = self._counters_lost
        errors |= refresher.errors
        # Only of what was read: where everything failed there is nothing to have notes on.
        notes = {**({} if error else {"memory": self._notes}), **refresher.notes}
        if notes:
            rows["numaprobe_notes"] = [((part,), count) for part, count in notes.items()]
        rows["numaprobe_up"] = [((), 0 if error else 1)]
        rows["numaprobe_shape_changes_total"] = [((), self._changes)]
        rows["numaprobe_scrape_errors_total"] = [((part,), count) for part, count in errors.items()]
        if answers:
            rows["numaprobe_refresh_age_seconds"] = [((part,), now - answer.at) for part, answer in answers]
            rows["numaprobe_refresh_duration_seconds"] = [((part,), answer.seconds) for part, answer in answers]


def _merged(now: list[Any] | None, before: list[Any]) -> list[Any]:
    """The rows of ``now``, and those of ``before`` for other labels."""
    if not now:
        return before
    present = {labels for labels, _ in now}
    return sorted(now + [(labels, value) for labels, value in before if labels not in present], key=_numbers)


def _numbers(row: tuple[tuple[str, ...], float]) -> tuple[int, ...]:
    labels, _ = row
    return tuple(map(int, labels))
