"""A host as libvirt's capabilities (https://libvirt.org/formatcaps.html), what ``virsh capabilities`` prints.

libvirt's schemas are of two kinds: that of 9.0 has no ``cluster_id``, that of 11.3 requires it with every
``socket_id``.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from ...wording import id_list
from ..cores import BASE_PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...model.host import Cell, Cpu, Host, SideCache

VERSIONS = (9, 11)
# The most pages that libvirt's schema takes: 16 TiB of base ones.
UNSIGNED_INT = 0xFFFFFFFF
# numaDistanceValue of libvirt's basictypes.rng.
DISTANCES = range(10, 256)
# What virCapabilitiesGetNodeCache makes of the kernel's enum cache_indexing and enum cache_write_policy.
ASSOCIATIVITY = {"direct": "direct", "indexed": "full", "custom": "none"}
POLICY = {"write-back": "writeback", "write-through": "writethrough", "other": "none"}
# virCacheType; libvirt's order of the attributes.
CACHE_TYPES: dict[str | None, str] = {"unified": "both", "instruction": "code", "data": "data"}
# The kernel's words for machines that libvirt has one word for (virArchFromHost).
ARCH = {"i386": "i686", "i486": "i686", "i586": "i686", "amd64": "x86_64"}


def render(host: Host, *, version: int = 9, arch: str | None = None) -> str:
    """The ``capabilities`` element with host cpu and topology; ``arch`` as in ``uname -m``.

    Raises ``ValueError`` for a version other than 9 and 11.
    """
    if version not in VERSIONS:
        raise ValueError(f"libvirt's schema is that of version 9 or 11, not {version!r}")
    arch = host.machine if arch is None else arch
    lines = ["<capabilities>", "  <host>"]
    if arch is not None:
        lines += ["    <cpu>", f"      <arch>{escape(ARCH.get(arch, arch))}</arch>", "    </cpu>"]
    if host.cells:
        lines += ["    <topology>", f"      <cells num='{len(host.cells)}'>"]
        for cell in host.cells:
            lines += _cell(host, cell, version, None if arch is None else BASE_PAGE.get(arch))
        lines += ["      </cells>", *_interconnects(host), "    </topology>"]
    lines += _banks(host)
    return "\n".join([*lines, "  </host>", "</capabilities>"]) + "\n"


def _cell(host: Host, cell: Cell, version: int, base_page: int | None) -> Iterator[str]:
    yield f"        <cell id='{cell.id}'>"
    if cell.memory.total:
        yield f"          <memory unit='KiB'>{cell.memory.total // 1024}</memory>"
    for size, count in _pages(cell, base_page):
        if count > UNSIGNED_INT:
            continue
        yield f"          <pages unit='KiB' size='{size // 1024}'>{count}</pages>"
    distances = [(other, cost) for other, cost in cell.distances or () if cost in DISTANCES]
    if distances:
        yield "          <distances>"
        for other, cost in distances:
            yield f"            <sibling id='{other}' value='{cost}'/>"
        yield "          </distances>"
    for cache in cell.side_caches:
        yield from _cache(cache)
    if cell.cpus is not None:
        known = {cpu.id: cpu for cpu in host.cpus}
        yield f"          <cpus num='{len(cell.cpus)}'>"
        for cpu in cell.cpus:
            yield f"            <cpu id='{cpu}'{_where(known.get(cpu), version)}/>"
        yield "          </cpus>"
    yield "        </cell>"


def _pages(cell: Cell, base_page: int | None) -> Iterator[tuple[int, int]]:
    """Pages by size; the base ones are what huge pages leave of the memory (virNumaGetPages counts so)."""
    huge = [(pages.size, pages.total) for pages in cell.huge_pages]
    if base_page is not None and cell.memory.total is not None and all(count is not None for _, count in huge):
        rest = cell.memory.total - sum(size * count for size, count in huge if count is not None)
        if rest >= 0:
            yield base_page, rest // base_page
    for size, count in huge:
        if count is not None:
            yield size, count


def _cache(cache: SideCache) -> Iterator[str]:
    """One that is known in full: the schema has no word for what is not."""
    associativity, policy = ASSOCIATIVITY.get(str(cache.indexing)), POLICY.get(str(cache.write_policy))
    if None in (associativity, policy, cache.size, cache.line_size):
        return
    assert cache.size is not None
    yield f"          <cache level='{cache.level}' associativity='{associativity}' policy='{policy}'>"
    yield f"            <size value='{cache.size // 1024}' unit='KiB'/>"
    yield f"            <line value='{cache.line_size}' unit='B'/>"
    yield "          </cache>"


def _banks(host: Host) -> list[str]:
    """Caches from level 3 on, which libvirt counts (virCapabilitiesInitCaches); the schema wants an id and a size."""
    banks = [
        f"      <bank id='{cache.id}' level='{cache.level}' type='{CACHE_TYPES[cache.type]}' "
        f"{_bank_size(cache.size)} cpus='{id_list(cache.cpus)}'/>"
        for cache in host.caches or ()
        if cache.level >= 3 and cache.id is not None and cache.size is not None and cache.type in CACHE_TYPES
    ]
    return ["    <cache>", *banks, "    </cache>"] if banks else []


def _bank_size(size: int) -> str:
    """In MiB where that is whole, else in KiB, as virFormatIntPretty has it."""
    return f"size='{size >> 20}' unit='MiB'" if size % (1 << 20) == 0 else f"size='{size >> 10}' unit='KiB'"


def _where(cpu: Cpu | None, version: int) -> str:
    """All of a cpu's place or nothing; libvirt itself gives number 0 where a machine has no dies or clusters."""
    if cpu is None or cpu.package is None or cpu.core is None or cpu.siblings is None:
        return ""
    cluster = f" cluster_id='{cpu.cluster or 0}'" if version >= 11 else ""
    return (
        f" socket_id='{cpu.package}' die_id='{cpu.die or 0}'{cluster} core_id='{cpu.core}'"
        f" siblings='{id_list(cpu.siblings)}'"
    )


def _interconnects(host: Host) -> list[str]:
    """What HMAT says, of initiators with cpus (the kernel's ``access1``, as libvirt takes it), else of any."""
    latencies: list[str] = []
    bandwidths: list[str] = []
    written: set[tuple[int, int]] = set()
    for cell in host.cells:
        for access in sorted(cell.accesses, key=lambda access: -access.level):
            for initiator in access.initiators:
                if (initiator, cell.id) in written:
                    continue
                written.add((initiator, cell.id))
                way = f"initiator='{initiator}' target='{cell.id}'"
                for kind in ("read", "write"):
                    latency, bandwidth = getattr(access, f"{kind}_latency"), getattr(access, f"{kind}_bandwidth")
                    if latency is not None:
                        latencies.append(f"        <latency {way} type='{kind}' value='{latency}'/>")
                    if bandwidth is not None:
                        bandwidths.append(
                            f"        <bandwidth {way} type='{kind}' value='{bandwidth // 1024}' unit='KiB'/>"
                        )
    rows = latencies + bandwidths
    return ["      <interconnects>", *rows, "      </interconnects>"] if rows else []
