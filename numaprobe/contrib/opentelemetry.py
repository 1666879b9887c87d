"""numaprobe's metrics as observable instruments of an OpenTelemetry meter.

from opentelemetry.metrics import get_meter
from numaprobe.contrib.opentelemetry import instrument
observer = instrument(get_meter("numaprobe"))
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

from ..metrics import METRICS
from .observer import Observer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from opentelemetry.metrics import CallbackOptions, Meter

    from ..metrics import Metric
    from .observer import Reading

try:
    from opentelemetry.metrics import Observation
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "numaprobe.contrib.opentelemetry needs opentelemetry-api: pip install 'numaprobe[opentelemetry]'"
    ) from error

# Seconds after which the instruments of one collection are no longer given the same reading.
COLLECTION_SECONDS = 1.0


def instrument(meter: Meter, root: Any = None, **options: Any) -> Observer:
    """Make an observable gauge or counter of ``meter`` for each metric in ``docs/metrics.md``.

    The other arguments are those of ``Observer``, which is given back so that it can be closed. All instruments of one
    collection share one reading. Nothing is read before the first.
    """
    observer = Observer(root, **options)
    shared = _Shared(observer)
    for metric in METRICS:
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(metric.dotted, callbacks=[_callback(metric, shared)], unit=metric.ucum, description=metric.help)
    return observer


class _Shared:
    """A reading for one collection, which asks each instrument once: whoever asks again begins the next one."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = Lock()
        self._last: Reading | None = None
        self._given: set[str] = set()

    def reading(self, name: str) -> Reading:
        with self._lock:
            last = self._last
            if last is None or name in self._given or monotonic() - last.began > COLLECTION_SECONDS:
                self._last = last = self._observer.reading()
                self._given.clear()
            self._given.add(name)
            return last


def _callback(metric: Metric, shared: _Shared) -> Callable[[CallbackOptions], Iterable[Observation]]:
    names = metric.labels

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        reading = shared.reading(metric.name)
        rows = reading.rows.get(metric.name) or reading.topology.get(metric.name) or ()
        # An empty label is none for Prometheus; an attribute would be there, and empty.
        return [
            Observation(value, {name: word for name, word in zip(names, values, strict=True) if word})
            for values, value in rows
        ]

    return observe
