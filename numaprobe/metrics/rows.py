"""From hosts, samples and domains to the rows of the table; what is unknown has no row."""

from __future__ import annotations

from ..errors import printable
from ..version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..model.domains import Domain
    from ..model.host import Host, HugePages
    from . import Rows

    Row = tuple[tuple[str, ...], float]

# Cells above which distances, which grow with the square, are left out unless they are asked for.
MAX_CELLS_WITH_DISTANCES = 64
DOMAINS_LIMIT = 100
MAX_NAME = 200

_COUNTERS = tuple(
    f"numaprobe_numa_{name}_pages_total" for name in ("hit", "miss", "foreign", "interleave", "local", "other")
)


def _known(rows: Iterable[tuple[tuple[str, ...], float | None]]) -> list[Row]:
    return [(labels, value) for labels, value in rows if value is not None]


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _add(rows: Rows, found: dict[str, list[Row]]) -> Rows:
    rows.update({name: values for name, values in found.items() if values})
    return rows


def topology_rows(host: Host, *, distances: bool | None = None, cpu_info: bool = False) -> Rows:
    """What only changes with the shape of the host. ``distances`` None gives those of up to 64 cells."""
    if distances is None:
        distances = len(host.cells) <= MAX_CELLS_WITH_DISTANCES
    name, version = (None, None) if host.hypervisor is None else host.hypervisor[:2]
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
    """What Xen has promised, of the whole host."""
    claimed = None if host.hypervisor is None else host.hypervisor.claimed
    return {} if claimed is None else {"numaprobe_memory_claimed_bytes": [((), claimed)]}


def memory_rows(cells: Sequence[tuple[int, int | None, int | None]]) -> Rows:
    """Memory of each cell, from its id and its total and free bytes."""
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
    """Available memory, from ids and bytes."""
    return _add({}, {"numaprobe_memory_available_bytes": _known(((str(cell),), value) for cell, value in cells)})


def huge_page_rows(cells: Iterable[tuple[int, Sequence[HugePages]]]) -> Rows:
    """Bytes in huge pages, from ids and the pages of each size."""
    pages = [((str(cell), str(each[0])), each) for cell, sizes in cells for each in sizes]
    return _add(
        {},
        {
            f"numaprobe_huge_pages_{name}_bytes": [
                (label, each[0] * count) for label, each in pages if (count := each[at]) is not None
            ]
            for at, name in enumerate(("total", "free", "surplus"), 1)
        },
    )


def counter_rows(cells: Iterable[tuple[int, tuple[int | None, ...] | None]]) -> Rows:
    """``numastat``, from ids and ``Counters``."""
    there = [((str(cell),), counters) for cell, counters in cells if counters is not None]
    return _add(
        {},
        {
            name: [(label, value) for label, counters in there if (value := counters[at]) is not None]
            for at, name in enumerate(_COUNTERS)
        },
    )


def domain_rows(domains: Sequence[Domain], limit: int = DOMAINS_LIMIT) -> Rows:
    """Memory of the domains with the lowest ids, at most so many; the others are counted."""
    kept = [((str(domain.id), _name(domain.name)), domain) for domain in domains[:limit]]
    found: dict[str, list[Row]] = {
        "numaprobe_domains": [((), len(domains))],
        "numaprobe_omitted_domains": [((), len(domains) - len(kept))],
        "numaprobe_domain_memory_bytes": [
            ((*label, str(cell)), value) for label, domain in kept for cell, value in domain.cells or ()
        ],
        "numaprobe_domain_unplaced_memory_bytes": _known((label, domain.unplaced) for label, domain in kept),
        "numaprobe_domain_claimed_memory_bytes": _known((label, domain.claimed) for label, domain in kept),
        "numaprobe_domain_vcpus": _known((label, domain.vcpus) for label, domain in kept),
    }
    return _add({}, found)


def host_rows(host: Host, *, distances: bool | None = None, cpu_info: bool = False) -> Rows:
    """Everything that a host by itself tells."""
    rows = topology_rows(host, distances=distances, cpu_info=cpu_info)
    rows |= memory_rows([(cell.id, cell.memory.total, cell.memory.free) for cell in host.cells])
    rows |= available_rows((cell.id, cell.memory.available) for cell in host.cells)
    rows |= huge_page_rows((cell.id, cell.huge_pages) for cell in host.cells)
    return rows | claimed_rows(host)


def _name(name: str | None) -> str:
    """A guest's name is its owner's word: without what no format carries, and not longer than a label should be."""
    return printable(name or "")[:MAX_NAME]
