"""numaprobe's metrics in a program with a registry of prometheus_client.

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

# Label sets kept for the next scrape; their number is bounded because domains are added and removed.
MAX_LABELS = 50_000


class NumaCollector(Collector):
    """A collector of every metric in ``docs/metrics.md``, for ``REGISTRY.register``.

    The arguments are those of ``Observer``. A scrape reads the memory of the cells and takes everything else from a
    daemon thread, which starts with the first scrape. A scrape never raises: ``numaprobe_up`` and
    ``numaprobe_scrape_errors_total`` report what failed, and ``error`` why. Safe to share between threads and to use
    in forked children.
    """

    def __init__(self, root: Any = None, **options: Any) -> None:
        self._observer = Observer(root, **options)
        self._labels: Labels = {}
        self._topology: tuple[Rows, list[Family]] = ({}, [])
        self.error: Exception | None = None

    def describe(self) -> list[Family]:
        """Return nothing, so that registering the collector does not trigger a collection."""
        return []

    def collect(self) -> list[Family]:
        """The families with at least one sample, in the order of ``METRICS``."""
        from ..metrics.prometheus import families

        reading = self._observer.reading()
        self.error = reading.error
        rows, made = self._topology
        if rows is not reading.topology:
            # Labels of removed cells and domains are dropped together with their topology.
            self._labels = {}
            made = families(reading.topology)
            self._topology = (reading.topology, made)
        if sum(map(len, self._labels.values())) > MAX_LABELS:
            self._labels = {}
        return made + families(reading.rows, self._labels)

    def close(self) -> None:
        """Close all files and end the thread; later scrapes report ``numaprobe_up`` 0."""
        self._observer.close()
