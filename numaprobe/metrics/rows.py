"""Hosts, samples and domains as rows of the table of metrics. An unknown figure has no row."""

from __future__ import annotations

from ..errors import printable
from ..model.pinned import cores_of, held_cpus
from ..sampling.rates import is_level
from ..version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model.domains import Domain
    from ..model.host import Host, HugePages
    from ..model.traffic import Traffic
    from ..sampling.values import Counters
    from . import Rows

    Row = tuple[tuple[str, ...], float]

# Above this number of cells distances, whose number grows quadratically, are omitted unless requested.
MAX_CELLS_WITH_DISTANCES = 64
DOMAINS_LIMIT = 100
MAX_NAME = 200

_COUNTERS = {
    name: f"numaprobe_numa_{name}_pages_total" for name in ("hit", "miss", "foreign", "interleave", "local", "other")
}
_HUGE_PAGES = {name: f"numaprobe_huge_pages_{name}_bytes" for name in ("total", "free", "surplus")}


def _known(rows: Iterable[tuple[tuple[str, ...], float | None]]) -> list[Row]:
    return [(labels, value) for labels, value in rows if value is not None]


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _add(rows: Rows, found: dict[str, list[Row]]) -> Rows:
    rows.update({name: values for name, values in found.items() if values})
    return rows


def topology_rows(host: Host, *, distances: bool | None = None, cpu_info: bool = False) -> Rows:
    """Rows that change only with the shape of the host. ``distances`` None includes them up to 64 cells."""
    if distances is None:
        distances = len(host.cells) <= MAX_CELLS_WITH_DISTANCES
    name, version = (None, None) if host.hypervisor is None else (host.hypervisor.name, host.hypervisor.version)
    cells = host.cells
    found: dict[str, list[Row]] = {
        "numaprobe_host_info": [((host.source, _word(name), _word(version), VERSION), 1)],
        "numaprobe_node_info": [((str(cell.id), _word(cell.kind), _word(cell.tier)), 1) for cell in cells],
        "numaprobe_cpus": [((str(cell.id),), len(cell.cpus)) for cell in cells if cell.cpus is not None],
    }
    if cpu_info:
        found["numaprobe_cpu_info"] = [
            (tuple(map(_word, (cpu.id, cpu.cell, cpu.package, cpu.die, cpu.core))), 1)
            for cpu in host.cpus
            if cpu.online is not False
        ]
    if distances:
        found["numaprobe_distance"] = _known(
            ((str(cell.id), str(to)), cost) for cell in cells for to, cost in cell.distances or ()
        )
    return _add({}, found)


def claimed_rows(host: Host) -> Rows:
    """Memory that Xen has promised and not yet allocated, of the whole host, and of each cell where that is known."""
    claimed = None if host.hypervisor is None else host.hypervisor.claimed
    return _add(
        {},
        {
            "numaprobe_memory_claimed_bytes": _known([((), claimed)]),
            "numaprobe_node_claimed_memory_bytes": _known(
                ((str(cell.id),), cell.memory.claimed) for cell in host.cells
            ),
        },
    )


def memory_rows(cells: Sequence[tuple[int, int | None, int | None]]) -> Rows:
    """Memory of each cell, from its id, total and free bytes."""
    labels = [(str(cell),) for cell, _, _ in cells]
    paired = list(zip(labels, cells, strict=True))
    return _add(
        {},
        {
            "numaprobe_memory_total_bytes": [(label, total) for label, (_, total, _) in paired if total is not None],
            "numaprobe_memory_free_bytes": [(label, free) for label, (_, _, free) in paired if free is not None],
            "numaprobe_memory_used_bytes": [
                (label, total - free) for label, (_, total, free) in paired if total is not None and free is not None
            ],
        },
    )


def available_rows(cells: Iterable[tuple[int, int | None]]) -> Rows:
    """Available memory of each cell, from ids and bytes."""
    return _add({}, {"numaprobe_memory_available_bytes": _known(((str(cell),), value) for cell, value in cells)})


def huge_page_rows(cells: Iterable[tuple[int, Sequence[HugePages]]]) -> Rows:
    """Bytes in huge pages, from ids and the pages of each size."""
    sized = [((str(cell), str(pages.size)), pages) for cell, sizes in cells for pages in sizes]
    return _add(
        {},
        {
            metric: [
                (label, pages.size * number) for label, pages in sized if (number := getattr(pages, name)) is not None
            ]
            for name, metric in _HUGE_PAGES.items()
        },
    )


def counter_rows(cells: Iterable[tuple[int, Counters | None]]) -> Rows:
    """The counters of ``numastat``, from ids and ``Counters``."""
    known = [((str(cell),), counters) for cell, counters in cells if counters is not None]
    return _add(
        {},
        {
            metric: [(label, value) for label, counters in known if (value := getattr(counters, name)) is not None]
            for name, metric in _COUNTERS.items()
        },
    )


def meminfo_rows(cells: Iterable[tuple[int, Sequence[tuple[str, int]] | None]]) -> Rows:
    """Every field of the cells' meminfo, from ids and pairs of name and bytes."""
    rows: list[Row] = [((str(cell), field), value) for cell, fields in cells for field, value in fields or ()]
    return _add({}, {"numaprobe_meminfo_bytes": rows})


def vmstat_rows(cells: Iterable[tuple[int, Sequence[tuple[str, int | None]] | None]]) -> Rows:
    """Every field of the cells' vmstat, from ids and pairs of name and value, apart by what they are."""
    known = [(str(cell), field, value) for cell, fields in cells for field, value in fields or () if value is not None]
    return _add(
        {},
        {
            "numaprobe_vmstat_level": [((cell, field), value) for cell, field, value in known if is_level(field)],
            "numaprobe_vmstat_events_total": [
                ((cell, field), value) for cell, field, value in known if not is_level(field)
            ],
        },
    )


def usable_rows(host: Host) -> Rows:
    """What can be allocated of each cell now, of a host that was probed with ``usable``."""
    known = [(str(cell.id), cell.usable) for cell in host.cells if cell.usable is not None]
    purposes = _known(
        ((cell, purpose), getattr(usable, purpose)) for cell, usable in known for purpose in ("ordinary", "pinned")
    )
    pages: list[Row] = [
        ((cell, str(one.size)), one.size * one.now)
        for cell, usable in known
        for one in usable.pages
        if one.now is not None
    ]
    return _add({}, {"numaprobe_memory_usable_bytes": purposes, "numaprobe_huge_pages_allocatable_bytes": pages})


def traffic_rows(traffic: Sequence[Traffic], limit: int = DOMAINS_LIMIT) -> Rows:
    """Counters of resctrl; of at most ``limit`` groups, those with the first names."""
    groups = frozenset(sorted({one.group for one in traffic})[:limit])
    kept = [((_name(one.group), str(one.cache), _word(one.cell)), one) for one in traffic if one.group in groups]
    return _add(
        {},
        {
            "numaprobe_traffic_bytes_total": _known((label, one.total) for label, one in kept),
            "numaprobe_traffic_local_bytes_total": _known((label, one.local) for label, one in kept),
            "numaprobe_cache_occupancy_bytes": _known((label, one.occupancy) for label, one in kept),
        },
    )


def domain_rows(domains: Sequence[Domain], limit: int = DOMAINS_LIMIT, *, host: Host | None = None) -> Rows:
    """Memory of at most ``limit`` domains, those with the lowest ids; the others are counted.

    With ``host`` also the CPUs that each has for itself, where its vcpus are known.
    """
    kept = [((str(domain.id), _name(domain.name)), domain) for domain in domains[:limit]]
    # Of domains(); a plain list does not say.
    complete: bool | None = getattr(domains, "complete", None)
    found: dict[str, list[Row]] = {
        "numaprobe_domains": [((), len(domains))],
        "numaprobe_domains_complete": _known([((), None if complete is None else int(complete))]),
        "numaprobe_omitted_domains": [((), len(domains) - len(kept))],
        "numaprobe_domain_memory_bytes": [
            ((*label, str(cell)), value) for label, domain in kept for cell, value in domain.cells or ()
        ],
        "numaprobe_domain_memory_margin_bytes": [
            ((*label, str(cell)), value)
            for label, domain in kept
            if domain.sample is not None
            for cell, value in domain.sample.margins
        ],
        "numaprobe_domain_unplaced_memory_bytes": _known((label, domain.unplaced) for label, domain in kept),
        "numaprobe_domain_claimed_memory_bytes": _known((label, domain.claimed) for label, domain in kept),
        "numaprobe_domain_configured_memory_bytes": _known((label, domain.maximum) for label, domain in kept),
        "numaprobe_domain_vcpus": _known((label, domain.vcpus) for label, domain in kept),
        "numaprobe_domain_pinned_cpus": [] if host is None else _pinned_rows(kept, host),
        "numaprobe_domain_remote_ratio": [
            ((*label, share.source), share.share)
            for label, domain in kept
            for share in domain.remote or ()
            if share.share is not None
        ],
        "numaprobe_domain_info": [((*label, _name(domain.uuid), domain.kind), 1) for label, domain in kept],
    }
    return _add({}, found)


def _pinned_rows(kept: Sequence[tuple[tuple[str, str], Domain]], host: Host) -> list[Row]:
    """CPUs of each cell that a domain has for itself; no row where its vcpus are unknown."""
    core_of, several = cores_of(host)
    cells = {cpu: cell.id for cell in host.cells for cpu in cell.cpus or ()}
    rows: list[Row] = []
    for label, domain in kept:
        each = domain.each_vcpu
        if each is None or any(vcpu.cpus is None for vcpu in each if vcpu.online is not False):
            continue
        counts = dict.fromkeys([cell.id for cell in host.cells if cell.cpus], 0)
        for cpu in held_cpus(domain, core_of, several):
            if cpu in cells:
                counts[cells[cpu]] += 1
        rows += [((*label, str(cell)), number) for cell, number in counts.items()]
    return rows


def host_rows(host: Host, *, distances: bool | None = None, cpu_info: bool = False) -> Rows:
    """Every metric that a host alone gives, without counters and domains."""
    rows = topology_rows(host, distances=distances, cpu_info=cpu_info)
    rows |= memory_rows([(cell.id, cell.memory.total, cell.memory.free) for cell in host.cells])
    rows |= available_rows((cell.id, cell.memory.available) for cell in host.cells)
    rows |= huge_page_rows((cell.id, cell.huge_pages) for cell in host.cells)
    return rows | claimed_rows(host)


def _name(name: str | None) -> str:
    """A guest's name is chosen by its owner: control characters are escaped, and its length is bounded."""
    return printable(name or "")[:MAX_NAME]
