"""The table of metrics. Every renderer is built from it, and ``docs/metrics.md`` lists it.

Names follow Prometheus: base units, the suffix ``_total`` on counters only, ``node`` for a cell's id. ``dotted`` is the
name of the same metric in OpenTelemetry, whose standard translation to Prometheus yields ``name``.
"""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # By metric name: label values and value of each sample. A metric without samples has no entry.
    Rows = dict[str, list[tuple[tuple[str, ...], float]]]

PREFIX = "numaprobe_"
PARTS = ("memory", "counters", "details", "host", "domains", "usable", "traffic")


class Metric(namedtuple("Metric", "name kind unit help labels dotted ucum")):
    """One metric.

    ``kind`` is ``gauge``, ``counter`` or ``info`` (always 1; its labels are the information). ``unit`` is ``bytes``,
    ``seconds``, ``pages`` or empty, ``ucum`` the same for OpenTelemetry. ``labels`` are the names of the labels, in
    OpenTelemetry of the attributes.
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
        """The name without the common prefix."""
        return self.name.removeprefix(PREFIX)

    @property
    def family(self) -> str:
        """The name of the family in OpenMetrics: without the suffix of its kind."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return self.name.removesuffix(suffix)


UCUM = {"bytes": "By", "seconds": "s", "pages": "{page}"}


def _metric(
    name: str, *, kind: str, help_: str, labels: Sequence[str], dotted: str, unit: str = "", ucum: str = ""
) -> Metric:
    return Metric(
        name=PREFIX + name,
        kind=kind,
        unit=unit,
        help=help_,
        labels=tuple(labels),
        dotted=f"numaprobe.{dotted}",
        ucum=UCUM.get(unit, ucum),
    )


def _gauge(name: str, help_: str, labels: Sequence[str], dotted: str, ucum: str = "") -> Metric:
    unit = next((unit for unit in ("bytes", "seconds") if name.endswith(f"_{unit}")), "")
    return _metric(name, kind="gauge", unit=unit, help_=help_, labels=labels, dotted=dotted, ucum=ucum)


def _counter(name: str, help_: str, labels: Sequence[str], dotted: str, ucum: str = "") -> Metric:
    unit = next((unit for unit in ("pages", "bytes") if name.endswith(f"_{unit}_total")), "")
    return _metric(name, kind="counter", unit=unit, help_=help_, labels=labels, dotted=dotted, ucum=ucum)


def _info(name: str, help_: str, labels: Sequence[str], dotted: str) -> Metric:
    return _metric(name, kind="info", help_=help_, labels=labels, dotted=dotted)


_NODE = ("node",)
_PAGES = ("node", "size")
_DOMAIN = ("domain", "name")
_TRAFFIC = ("group", "cache", "node")

METRICS: tuple[Metric, ...] = (
    _gauge("up", "Whether the memory of the cells could be read: 1 or 0.", (), "up"),
    _gauge(
        "scrape_duration_seconds",
        "Time taken to read these figures, without rendering and sending them.",
        (),
        "scrape.duration",
    ),
    _counter("scrape_errors_total", "Failed readings, by what was read.", ("part",), "scrape.errors", ucum="{error}"),
    _gauge(
        "notes",
        "Lines about what could not be read or made no sense, by what was read; figures may be missing.",
        ("part",),
        "notes",
        "{note}",
    ),
    _gauge(
        "refresh_age_seconds",
        "Age of the figures that are read in the background, by what was read.",
        ("part",),
        "refresh.age",
    ),
    _gauge(
        "refresh_duration_seconds",
        "Duration of the last background reading, by what was read.",
        ("part",),
        "refresh.duration",
    ),
    _counter(
        "textfile_errors_total",
        "Files of serve --textfile that could not be written.",
        (),
        "textfile.errors",
        ucum="{error}",
    ),
    _counter(
        "shape_changes_total",
        "Changes of the cells, their online CPUs or their total memory since numaprobe started.",
        (),
        "shape.changes",
        ucum="{change}",
    ),
    _info(
        "host_info",
        "The source of the figures, the hypervisor and its version, and the version of numaprobe.",
        ("source", "hypervisor", "hypervisor_version", "version"),
        "host_info",
    ),
    _info(
        "node_info",
        "A cell, the kind of its memory (gpu, cxl, dax) and its memory tier, where the kernel reports them.",
        ("node", "kind", "tier"),
        "node_info",
    ),
    _info(
        "cpu_info",
        "A CPU, its cell, and its package, die and core by the source's own ids.",
        ("cpu", "node", "package", "die", "core"),
        "cpu_info",
    ),
    _gauge("cpus", "Online CPUs of the cell.", _NODE, "cpus", "{cpu}"),
    _gauge(
        "distance",
        "Cost for the CPUs of a cell (node) to access the memory of another (to): 10 is local.",
        ("node", "to"),
        "distance",
        "{cost}",
    ),
    _gauge("memory_total_bytes", "Usable memory of the cell.", _NODE, "memory.total"),
    _gauge("memory_free_bytes", "Memory of the cell that the page allocator has free.", _NODE, "memory.free"),
    _gauge("memory_used_bytes", "Memory of the cell that is not free: total minus free.", _NODE, "memory.used"),
    _gauge(
        "memory_available_bytes",
        "Memory of the cell available to new allocations without swapping.",
        _NODE,
        "memory.available",
    ),
    _gauge(
        "memory_claimed_bytes",
        "Memory that Xen has promised to domains and not yet allocated, on any cell.",
        (),
        "memory.claimed",
    ),
    _gauge(
        "node_claimed_memory_bytes",
        "Memory of the cell that Xen has promised to domains and not yet allocated, where Xen reports it by cell.",
        _NODE,
        "node.claimed_memory",
    ),
    _gauge(
        "huge_pages_total_bytes",
        "Memory of the cell in huge pages of a size (bytes), including surplus pages.",
        _PAGES,
        "huge_pages.total",
    ),
    _gauge(
        "huge_pages_free_bytes", "Memory of the cell in unused huge pages of a size (bytes).", _PAGES, "huge_pages.free"
    ),
    _gauge(
        "huge_pages_surplus_bytes",
        "Memory of the cell in huge pages of a size (bytes) above the configured number.",
        _PAGES,
        "huge_pages.surplus",
    ),
    _counter("numa_hit_pages_total", "Pages allocated on the cell as intended.", _NODE, "numa.hit_pages"),
    _counter(
        "numa_miss_pages_total", "Pages allocated on the cell although another was preferred.", _NODE, "numa.miss_pages"
    ),
    _counter(
        "numa_foreign_pages_total",
        "Pages allocated on another cell although this one was preferred.",
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
        "Pages allocated on the cell by processes running on it.",
        _NODE,
        "numa.local_pages",
    ),
    _counter(
        "numa_other_pages_total",
        "Pages allocated on the cell by processes running on another.",
        _NODE,
        "numa.other_pages",
    ),
    _gauge(
        "meminfo_bytes",
        "A field of the node's meminfo, under the kernel's name.",
        ("node", "field"),
        "meminfo",
    ),
    _gauge(
        "vmstat_level",
        "A field of the node's vmstat that rises and falls, under the kernel's name and in its unit, mostly pages.",
        ("node", "field"),
        "vmstat.level",
    ),
    _counter(
        "vmstat_events_total",
        "A field of the node's vmstat that counts events, under the kernel's name.",
        ("node", "field"),
        "vmstat.events",
        ucum="{event}",
    ),
    _gauge(
        "memory_usable_bytes",
        "Memory of the cell that can be allocated now, for ordinary use or to stay pinned (VFIO, RDMA).",
        ("node", "purpose"),
        "memory.usable",
    ),
    _gauge(
        "huge_pages_allocatable_bytes",
        "Memory in free blocks from which huge pages can be made now, besides those of the pool.",
        _PAGES,
        "huge_pages.allocatable",
    ),
    _counter(
        "traffic_bytes_total",
        "Bytes that a group's CPUs have read and written through the last-level cache, in any memory.",
        _TRAFFIC,
        "traffic",
    ),
    _counter(
        "traffic_local_bytes_total",
        "The part of traffic_bytes_total in the memory of the cache's own cell.",
        _TRAFFIC,
        "traffic.local",
    ),
    _gauge("cache_occupancy_bytes", "Bytes of the last-level cache that a group fills.", _TRAFFIC, "cache.occupancy"),
    _gauge("domains", "Domains (guests) of the host.", (), "domains", "{domain}"),
    _gauge(
        "domains_complete",
        "1 if every domain and figure could be seen, 0 if there may be more.",
        (),
        "domains_complete",
    ),
    _gauge(
        "omitted_domains",
        "Domains beyond the limit, for which no figures are reported.",
        (),
        "omitted_domains",
        "{domain}",
    ),
    _gauge(
        "domain_memory_bytes",
        "Memory of a domain on the cell, where that is known.",
        ("domain", "name", "node"),
        "domain.memory",
    ),
    _gauge(
        "domain_memory_margin_bytes",
        "How far domain_memory_bytes may be off where it is estimated by sampling, at a confidence of 95 %.",
        ("domain", "name", "node"),
        "domain.memory_margin",
    ),
    _gauge(
        "domain_unplaced_memory_bytes",
        "Memory of a domain whose cell is unknown.",
        _DOMAIN,
        "domain.unplaced_memory",
    ),
    _gauge(
        "domain_claimed_memory_bytes",
        "Memory that Xen has promised to a domain beyond what it holds.",
        _DOMAIN,
        "domain.claimed_memory",
    ),
    _gauge(
        "domain_configured_memory_bytes",
        "Memory that a domain is configured with and may hold, whether it has touched it or not.",
        _DOMAIN,
        "domain.configured_memory",
    ),
    _gauge("domain_vcpus", "Online vcpus of a domain.", _DOMAIN, "domain.vcpus", "{cpu}"),
    _gauge(
        "domain_pinned_cpus",
        "CPUs of the cell that a domain has for its vcpus alone.",
        ("domain", "name", "node"),
        "domain.pinned_cpus",
        "{cpu}",
    ),
    _gauge(
        "domain_remote_ratio",
        "Part of a domain's memory accesses that leave the cell of the vcpu, from 0 to 1, as a source samples it.",
        ("domain", "name", "source"),
        "domain.remote_ratio",
    ),
    _info(
        "domain_info",
        "A domain, its kind and its uuid, which stays the same when it is started again.",
        ("domain", "name", "uuid", "kind"),
        "domain_info",
    ),
)

BY_NAME = {metric.name: metric for metric in METRICS}
