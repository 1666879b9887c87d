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

# Instruments queried within this many seconds share one reading.
COLLECTION_SECONDS = 1.0


def instrument(meter: Meter, root: Any = None, **options: Any) -> Observer:
    """Create an observable gauge or counter of ``meter`` for each metric in ``docs/metrics.md``.

    The other arguments are those of ``Observer``, which is returned so that it can be closed. All instruments of one
    collection share one reading. Nothing is read before the first collection.
    """
    observer = Observer(root, **options)
    shared = _Shared(observer)
    for metric in METRICS:
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(metric.dotted, callbacks=[_callback(metric, shared)], unit=metric.ucum, description=metric.help)
    return observer


class _Shared:
    """One reading per collection. A collection queries each instrument once: the second query starts the next one."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = Lock()
        self._last: Reading | None = None
        self._served: set[str] = set()

    def reading(self, name: str) -> Reading:
        with self._lock:
            last = self._last
            if last is None or name in self._served or monotonic() - last.began > COLLECTION_SECONDS:
                self._last = last = self._observer.reading()
                self._served.clear()
            self._served.add(name)
            return last


def _callback(metric: Metric, shared: _Shared) -> Callable[[CallbackOptions], Iterable[Observation]]:
    names = metric.labels

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        reading = shared.reading(metric.name)
        rows = reading.rows.get(metric.name) or reading.topology.get(metric.name) or ()
        # Prometheus treats an empty label as absent; an empty attribute would be present.
        return [
            Observation(value, {name: word for name, word in zip(names, values, strict=True) if word})
            for values, value in rows
        ]

    return observe
