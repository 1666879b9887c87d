"""The table of metrics: every renderer is made from it, and ``docs/metrics.md`` lists it.

Names are Prometheus's: base units, ``_total`` at the end of counters only, ``node`` for a cell's id. ``dotted`` is the
same metric for OpenTelemetry; its usual translation to Prometheus gives ``name`` again.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # By metric, values by the values of its labels; a metric without any is not there.
    Rows = dict[str, list[tuple[tuple[str, ...], float]]]

PREFIX = "numaprobe_"
PARTS = ("memory", "details", "host", "domains")


class Metric(namedtuple("Metric", "name kind unit help labels dotted ucum")):
    """One metric.

    ``kind`` is ``gauge``, ``counter`` or ``info`` (always 1, for its labels). ``unit`` is ``bytes``, ``seconds``,
    ``pages`` or nothing, ``ucum`` the same for OpenTelemetry. ``labels`` are names, and for OpenTelemetry attributes.
    """

    __slots__ = ()
    name: str
    kind: str
    unit: str
    help: str
    labels: tuple[str, ...]
    dotted: str
    ucum: str

    @property
    def short(self) -> str:
        """The name without the prefix that all have."""
        return self.name.removeprefix(PREFIX)

    @property
    def family(self) -> str:
        """The name as OpenMetrics gives it to the family: without what its kind adds."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return self.name.removesuffix(suffix)


UCUM = {"bytes": "By", "seconds": "s", "pages": "{page}"}


def _gauge(name: str, help_: str, labels: Sequence[str], dotted: str, ucum: str = "") -> Metric:
    unit = next((unit for unit in ("bytes", "seconds") if name.endswith(f"_{unit}")), "")
    return Metric(PREFIX + name, "gauge", unit, help_, tuple(labels), f"numaprobe.{dotted}", UCUM.get(unit, ucum))


def _counter(name: str, help_: str, labels: Sequence[str], dotted: str, ucum: str = "") -> Metric:
    unit = "pages" if name.endswith("_pages_total") else ""
    return Metric(PREFIX + name, "counter", unit, help_, tuple(labels), f"numaprobe.{dotted}", UCUM.get(unit, ucum))


def _info(name: str, help_: str, labels: Sequence[str], dotted: str) -> Metric:
    return Metric(PREFIX + name, "info", "", help_, tuple(labels), f"numaprobe.{dotted}", "")


_NODE = ("node",)
_PAGES = ("node", "size")
_DOMAIN = ("domain", "name")

METRICS: tuple[Metric, ...] = (
    _gauge("up", "Whether the memory of the cells could be read: 1 or 0.", (), "up"),
    _gauge(
        "scrape_duration_seconds",
        "Time that numaprobe took for these figures, without what renders and sends them.",
        (),
        "scrape.duration",
    ),
    _counter(
        "scrape_errors_total", "Readings that failed, by what was read.", ("part",), "scrape.errors", ucum="{error}"
    ),
    _gauge(
        "refresh_age_seconds",
        "Age of the figures that are read in the background, by what they are of.",
        ("part",),
        "refresh.age",
    ),
    _gauge(
        "refresh_duration_seconds",
        "Time that the last reading in the background took.",
        ("part",),
        "refresh.duration",
    ),
    _counter(
        "shape_changes_total",
        "Changes of the cells, their online cpus or their total memory since numaprobe began to look.",
        (),
        "shape.changes",
        ucum="{change}",
    ),
    _info(
        "host_info",
        "Who was asked: the source, the hypervisor and its version, and the version of numaprobe.",
        ("source", "hypervisor", "hypervisor_version", "version"),
        "host_info",
    ),
    _info(
        "node_info",
        "A cell, the kind of its memory (gpu, cxl, dax) and its memory tier, where the kernel tells them.",
        ("node", "kind", "tier"),
        "node_info",
    ),
    _info(
        "cpu_info",
        "A cpu, the cell that it is in, and its package, die and core by the source's own ids.",
        ("cpu", "node", "package", "die", "core"),
        "cpu_info",
    ),
    _gauge("cpus", "Online cpus of the cell.", _NODE, "cpus", "{cpu}"),
    _gauge(
        "distance",
        "Cost for the cpus of a cell (node) to reach the memory of another (to): 10 is local.",
        ("node", "to"),
        "distance",
        "{cost}",
    ),
    _gauge("memory_total_bytes", "Usable memory of the cell.", _NODE, "memory.total"),
    _gauge("memory_free_bytes", "Memory that the allocator has free in the cell.", _NODE, "memory.free"),
    _gauge("memory_used_bytes", "Memory of the cell that is not free: total less free.", _NODE, "memory.used"),
    _gauge(
        "memory_available_bytes",
        "Memory of the cell that could be had without swapping.",
        _NODE,
        "memory.available",
    ),
    _gauge(
        "memory_claimed_bytes",
        "Memory that Xen has promised to domains and they have not taken, on whichever cell.",
        (),
        "memory.claimed",
    ),
    _gauge(
        "huge_pages_total_bytes",
        "Memory of the cell in huge pages of a size (bytes), surplus ones included.",
        _PAGES,
        "huge_pages.total",
    ),
    _gauge("huge_pages_free_bytes", "Memory in huge pages that nobody has taken.", _PAGES, "huge_pages.free"),
    _gauge(
        "huge_pages_surplus_bytes",
        "Memory in huge pages beyond the number that was set.",
        _PAGES,
        "huge_pages.surplus",
    ),
    _counter("numa_hit_pages_total", "Pages allocated on the cell as intended.", _NODE, "numa.hit_pages"),
    _counter(
        "numa_miss_pages_total", "Pages allocated on the cell though another was wanted.", _NODE, "numa.miss_pages"
    ),
    _counter(
        "numa_foreign_pages_total",
        "Pages allocated on another cell though this one was wanted.",
        _NODE,
        "numa.foreign_pages",
    ),
    _counter(
        "numa_interleave_pages_total",
        "Pages allocated on the cell by interleaving, as intended.",
        _NODE,
        "numa.interleave_pages",
    ),
    _counter(
        "numa_local_pages_total",
        "Pages allocated on the cell by processes that ran on it.",
        _NODE,
        "numa.local_pages",
    ),
    _counter(
        "numa_other_pages_total",
        "Pages allocated on the cell by processes that ran on another.",
        _NODE,
        "numa.other_pages",
    ),
    _gauge("domains", "Domains (guests) of the host.", (), "domains", "{domain}"),
    _gauge(
        "omitted_domains", "Domains beyond the limit, of which no figure is given.", (), "omitted_domains", "{domain}"
    ),
    _gauge(
        "domain_memory_bytes",
        "Memory that a domain holds on the cell, where that is known.",
        ("domain", "name", "node"),
        "domain.memory",
    ),
    _gauge(
        "domain_unplaced_memory_bytes",
        "Memory that a domain holds and of which nothing tells the cell.",
        _DOMAIN,
        "domain.unplaced_memory",
    ),
    _gauge(
        "domain_claimed_memory_bytes",
        "Memory that Xen has promised a domain beyond what it holds.",
        _DOMAIN,
        "domain.claimed_memory",
    ),
    _gauge("domain_vcpus", "Online vcpus of a domain.", _DOMAIN, "domain.vcpus", "{cpu}"),
)

BY_NAME = {metric.name: metric for metric in METRICS}
