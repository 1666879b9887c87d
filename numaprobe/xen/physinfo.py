"""``sysctl physinfo``: its four layouts, and whether a reply can be one.

The interface version is Xen's only word about the layout, and vendors and unreleased trees have been known to change
the one without the other. A wrong layout shows in physinfo before anything else, so that every reply is judged.
"""

from __future__ import annotations

from functools import lru_cache

from ..errors import FactError
from . import abi
from .facts import PhysInfo

# In kHz. Arm reports its timer's frequency here, so the least is low.
_SLOWEST, _FASTEST = 1_000, 100_000_000
# Physical addresses have 52 bits at most, on x86 and on Arm.
_MAX_FRAMES = 1 << 40


def decode(reply: bytes, sysctl_version: int) -> PhysInfo:
    """The facts in a whole sysctl reply; raises ``FactError`` for figures that no machine could have."""
    at = abi.physinfo_layout(sysctl_version)
    words = at.layout.unpack_from(reply)
    threads, cores, nr_cpus, max_cpu_id, nr_nodes, max_node_id, khz = words[:7]
    total, free, scrub = words[at.pages : at.pages + 3]
    info = PhysInfo(
        threads_per_core=threads,
        cores_per_socket=cores,
        nr_cpus=nr_cpus,
        max_cpu_id=max_cpu_id,
        nr_nodes=nr_nodes,
        max_node_id=max_node_id,
        cpu_khz=khz,
        capabilities=capability_names(words[at.capabilities], sysctl_version),
        total_pages=total,
        free_pages=free,
        scrub_pages=scrub,
        outstanding_pages=None if at.outstanding is None else words[at.outstanding],
        max_mfn=None if at.max_mfn is None else words[at.max_mfn],
    )
    reason = _implausible(info, 0 if at.pad is None else words[at.pad])
    if reason:
        raise FactError("sysctl physinfo", reason, f"not plausible in interface version {sysctl_version:#x}")
    return info


@lru_cache(maxsize=2)
def capability_names(word: int, sysctl_version: int) -> tuple[str, ...]:
    """The names of the bits that are set; 4.12 renumbered them. A bit without a name is ``bit N``."""
    names = abi.PHYSCAPS if sysctl_version >= abi.CAPABILITIES_RENUMBERED else abi.PHYSCAPS_OLD
    return tuple(
        [names[bit] if bit < len(names) else f"bit {bit}" for bit in range(word.bit_length()) if word >> bit & 1]
    )


def _implausible(info: PhysInfo, pad: int) -> str | None:
    total = info.total_pages
    if not 1 <= info.nr_cpus <= info.max_cpu_id + 1 <= abi.MAX_CPUS:
        return f"{info.nr_cpus} cpus, the last possible {info.max_cpu_id}"
    if not 1 <= info.nr_nodes <= info.max_node_id + 1 <= abi.MAX_NODES:
        return f"{info.nr_nodes} nodes, the last possible {info.max_node_id}"
    if not _SLOWEST <= info.cpu_khz <= _FASTEST:
        return f"{info.cpu_khz} kHz"
    if total < 1 or max(info.free_pages, info.scrub_pages, info.outstanding_pages or 0) > total:
        return (
            f"{total} pages, {info.free_pages} free, {info.scrub_pages} being scrubbed, "
            f"{info.outstanding_pages or 0} claimed"
        )
    if not total <= (total if info.max_mfn is None else info.max_mfn + 1) <= _MAX_FRAMES:
        return f"{total} pages up to frame {info.max_mfn}"
    if pad:
        return f"padding {pad:#x}"
    return None
