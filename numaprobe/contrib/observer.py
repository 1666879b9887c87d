"""What every agent's module is made of: the figures of a host now, at a bounded cost and without an error.

The memory of the cells is read when it is asked for. What is slower (available memory, huge pages of other sizes, the
host, its domains) is read by a thread, and its last answer is given with its age.
"""

from __future__ import annotations

import os
import threading
from collections import namedtuple
from time import monotonic, perf_counter

import numaprobe

from ..metrics.rows import DOMAINS_LIMIT, counter_rows, huge_page_rows, memory_rows
from .refresher import OLDEST, PART, Asked, Refresher, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..metrics import Rows
    from ..sampling.sample import Sample
    from ..sampling.values import Shape
    from .refresher import Answer, Key, Path


# What a child has of the process that forked it. It must not be thrown away either: that wakes a thread which is not
# there, under a lock which that thread may have held.
_PARENTS: list[_Here] = []


class Reading(namedtuple("Reading", "rows topology began error")):
    """Figures of one moment: ``rows`` that change, and those of the ``topology``, which stay the same object.

    ``began`` is the monotonic time when it was begun, ``error`` why there is no memory in it, or None.
    """

    __slots__ = ()
    rows: Rows
    topology: Rows
    began: float
    error: Exception | None


class Observer:
    """Reads one host for an agent, from any of its threads.

    ``root``, ``recording`` and ``source`` are as for ``numaprobe.probe``. ``domains`` are the guests, at most
    ``domains_limit`` of them, those with the lowest ids. ``counters`` are those of numastat. ``distances`` None gives
    those of hosts of up to 64 cells; ``cpu_info`` adds a metric for each cpu. ``interval`` is the seconds between two
    readings in the background. The first reading waits for those, at most ``patience`` seconds. ``moment`` is how old
    a reading may be to be given again, in seconds; those who ask at once share one in any case.

    Nothing is opened, and no thread is started, before the first reading; a child that was forked begins anew with its
    first. Raises ``ValueError`` for a bad argument; ``reading`` raises nothing.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        recording: Path | None = None,
        source: str = "auto",
        domains: bool = True,
        domains_limit: int = DOMAINS_LIMIT,
        counters: bool = True,
        distances: bool | None = None,
        cpu_info: bool = False,
        interval: float = 15.0,
        patience: float = 0.5,
        moment: float = 0.0,
    ) -> None:
        if root is not None and recording is not None:
            raise ValueError("either a root or a recording can be probed, not both")
        if source not in ("auto", "linux", "xen"):
            raise ValueError(f"a source is one of auto, linux, xen, not {source!r}")
        if not 0 < interval <= threading.TIMEOUT_MAX:
            raise ValueError(f"an interval is a number of seconds above 0, not {interval!r}")
        if domains_limit < 0:
            raise ValueError(f"a limit of domains is at least 0, not {domains_limit!r}")
        if not 0 <= patience <= threading.TIMEOUT_MAX or not moment >= 0:
            raise ValueError("patience and moment are seconds, at least 0")
        self._asked = Asked(
            root, recording, source, domains, domains_limit, counters, distances, cpu_info, float(interval)
        )
        self._patience = patience
        self._moment = moment
        self._here: _Here | None = None
        self._closed = False

    def reading(self) -> Reading:
        """The figures now. A failure is one of them: ``up`` is then 0 and ``error`` says why."""
        arrived = monotonic()
        here = self._here
        # A lock may have been held, and threads do not go along, when this process was forked.
        if here is None or here.process != os.getpid():
            if here is not None:
                _PARENTS.append(here)
            here = self._here = _Here(self._asked)
        with here.lock:
            last = here.last
            if last is None or last.began < arrived - self._moment or self._closed:
                here.last = last = here.read(self._patience, closed=self._closed)
            return last

    def close(self) -> None:
        """Close what is held open and end the thread; harmless when done twice. A reading then says so."""
        self._closed = True
        here = self._here
        if here is not None and here.process == os.getpid():
            with here.lock:
                here.close()


class _Here:
    """What one process has of an observer."""

    def __init__(self, asked: Asked) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.last: Reading | None = None
        self._asked = asked
        self._refresher = Refresher(asked)
        self._started = False
        self._sampler: numaprobe.Sampler | None = None
        self._failures = 0
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
        # Whatever it is: an agent's scrape has other figures to give.
        except Exception as failure:
            error = failure
            self._failures += 1
        else:
            topology = self._background(rows, key_of(sample.shape))
        self._of_itself(rows, error)
        rows["numaprobe_scrape_duration_seconds"] = [((), perf_counter() - start)]
        return Reading(rows, topology, began, error)

    def _sample(self) -> Sample:
        asked = self._asked
        if self._sampler is None:
            self._sampler = numaprobe.Sampler(asked.root, recording=asked.recording, source=asked.source)
        try:
            sample = self._sampler.sample(counters=asked.counters)
        except Exception:
            # What it holds open may be what fails: the next time finds what is there then.
            self._sampler.close()
            self._sampler = None
            raise
        self._compare(self._sampler, sample.shape)
        return sample

    def _compare(self, sampler: numaprobe.Sampler, shape: Shape) -> None:
        """Count changes of the shape; answers from before one of cells or cpus are not given any more."""
        if self._shape is not None and self._shape[1] is not shape:
            before, known = self._shape
            same = before is sampler
            self._changes += shape.number - known.number if same else shape[1:] != known[1:]
            if not same or (shape.cells, shape.since, shape.cpus) != (known.cells, known.since, known.cpus):
                self._changed_at = monotonic()
                self._refresher.hurry()
        self._shape = (sampler, shape)

    def _memory(self, sample: Sample) -> Rows:
        cells = sample.cells
        rows = memory_rows([cell[:3] for cell in cells])
        rows |= huge_page_rows((cell.id, cell.huge_pages or ()) for cell in cells)
        if self._asked.counters:
            rows |= counter_rows((cell.id, cell.counters) for cell in cells)
        return rows

    def _background(self, rows: Rows, key: Key) -> Rows:
        """Adds the last answers that are of this shape of the host; gives its topology."""
        answers = self._refresher.answers
        details, host, domains = (self._fresh(answers.get(part)) for part in ("details", "host", "domains"))
        if details is not None and details.key == key:
            for name, values in details.rows.items():
                rows[name] = _merged(rows.get(name), values)
        if domains is not None:
            rows.update(domains.rows)
        return {} if host is None or host.key != key else host.rows

    def _fresh(self, answer: Answer | None) -> Answer | None:
        if answer is None or answer.at < self._changed_at:
            return None
        oldest = OLDEST * max(self._asked.interval, PART * answer.seconds)
        return answer if monotonic() - answer.at <= oldest else None

    def _of_itself(self, rows: Rows, error: Exception | None) -> None:
        refresher = self._refresher
        now = monotonic()
        answers = sorted(dict(refresher.answers).items())
        errors = {"memory": self._failures, **refresher.errors}
        rows["numaprobe_up"] = [((), 0 if error else 1)]
        rows["numaprobe_shape_changes_total"] = [((), self._changes)]
        rows["numaprobe_scrape_errors_total"] = [((part,), count) for part, count in errors.items()]
        if answers:
            rows["numaprobe_refresh_age_seconds"] = [((part,), now - answer.at) for part, answer in answers]
            rows["numaprobe_refresh_duration_seconds"] = [((part,), answer.seconds) for part, answer in answers]


def _merged(now: list[Any] | None, before: list[Any]) -> list[Any]:
    """Rows of before, less those that there are of now."""
    if not now:
        return before
    there = {labels for labels, _ in now}
    return sorted(now + [row for row in before if row[0] not in there], key=_numbers)


def _numbers(row: tuple[tuple[str, ...], float]) -> tuple[int, ...]:
    return tuple(map(int, row[0]))
