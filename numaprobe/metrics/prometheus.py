"""The table as metric families of prometheus_client, which renders and negotiates every exposition format."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from . import METRICS, Metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from . import Rows

    # Label sets by the names of the labels.
    Labels = dict[tuple[str, ...], "_Sets"]


def families(rows: Rows, labels: Labels | None = None) -> list[Family]:
    """A family for each metric with rows, in the order of ``METRICS``.

    ``labels`` are label sets of earlier calls to reuse: a large host repeats the same few many times.
    """
    known: Labels = {} if labels is None else labels
    return [_family(metric, rows[metric.name], known) for metric in METRICS if metric.name in rows]


def _family(metric: Metric, rows: Iterable[tuple[tuple[str, ...], float]], known: Labels) -> Family:
    family = Family(metric.family, metric.help, metric.kind, metric.unit)
    name = metric.name
    labels = known.get(metric.labels)
    if labels is None:
        labels = known[metric.labels] = _Sets(metric.labels)
    family.samples = [Sample(name, labels[values], value) for values, value in rows]
    return family


class _Sets(dict[tuple[str, ...], dict[str, str]]):
    """Label sets with the same names, by their values; created on first use."""

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __missing__(self, values: tuple[str, ...]) -> dict[str, str]:
        labels = self[values] = dict(zip(self.names, values, strict=True))
        return labels


class Collected:
    """Families that were already collected, in the place of a registry."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[Family]:
        return self._families
