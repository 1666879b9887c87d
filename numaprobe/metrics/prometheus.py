"""The table in the words of prometheus_client, which renders and negotiates every exposition format."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from . import METRICS, Metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from . import Rows

    # Sets of labels by the names of the labels.
    Labels = dict[tuple[str, ...], "_Sets"]


def families(rows: Rows, labels: Labels | None = None) -> list[Family]:
    """A family for each metric that has rows, in the order of the table.

    ``labels`` are sets of labels made before, which may be shared: a large host has the same few again and again.
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
    """Sets of labels of the same names, by their values; made when they are first wanted."""

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __missing__(self, values: tuple[str, ...]) -> dict[str, str]:
        labels = self[values] = dict(zip(self.names, values, strict=True))
        return labels


class Figures:
    """Stands in for a registry: what is collected was read already."""

    def __init__(self, found: list[Family]) -> None:
        self._found = found

    def collect(self) -> list[Family]:
        return self._found
