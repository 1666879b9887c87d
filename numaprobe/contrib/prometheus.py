"""numaprobe's metrics in a program that has a registry of prometheus_client.

from prometheus_client import REGISTRY
from numaprobe.contrib.prometheus import NumaCollector
REGISTRY.register(NumaCollector())
"""

from __future__ import annotations

from .observer import Observer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prometheus_client.metrics_core import Metric as Family

    from ..metrics import Rows
    from ..metrics.prometheus import Labels

try:
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "numaprobe.contrib.prometheus needs prometheus-client: pip install 'numaprobe[prometheus]'"
    ) from error

# Sets of labels that are kept for the next scrape; domains come and go.
MAX_LABELS = 50_000


class NumaCollector(Collector):
    """A collector of every metric in ``docs/metrics.md``, for ``REGISTRY.register``.

    The arguments are those of ``Observer``. A scrape reads the memory of the cells and takes the rest from a daemon
    thread, which begins with the first scrape. It never raises: ``numaprobe_up`` and ``numaprobe_scrape_errors_total``
    tell what failed, and ``error`` why. To be shared by threads, and to be used in a child that was forked.
    """

    def __init__(self, root: Any = None, **options: Any) -> None:
        self._observer = Observer(root, **options)
        self._labels: Labels = {}
        self._topology: tuple[Rows, list[Family]] = ({}, [])
        self.error: Exception | None = None

    def describe(self) -> list[Family]:
        """Nothing: a registry that is told no names does not collect when the collector is registered."""
        return []

    def collect(self) -> list[Family]:
        """The families that there are figures for, in the order of the table."""
        from ..metrics.prometheus import families

        reading = self._observer.reading()
        self.error = reading.error
        rows, made = self._topology
        if rows is not reading.topology:
            # Labels of cells and domains that have gone go with the shape that they were of.
            self._labels = {}
            made = families(reading.topology)
            self._topology = (reading.topology, made)
        if sum(map(len, self._labels.values())) > MAX_LABELS:
            self._labels = {}
        return made + families(reading.rows, self._labels)

    def close(self) -> None:
        """Close what is held open; a scrape then gives ``numaprobe_up`` 0."""
        self._observer.close()
