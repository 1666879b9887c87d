"""Domains that Xen has and does not list: its policy (FLASK) leaves out of the list those that may not be seen.

getdomaininfolist skips a domain for which ``xsm_getdomaininfo`` refuses (do_sysctl of Xen's xen/common/sysctl.c). The
cpupools count theirs all the same, and every domain is in one.
"""

from __future__ import annotations

from ...errors import FactError, NumaprobeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..facts import PhysInfo
    from ..sysctl import Sysctl
    from .collect import Domains
    from .facts import DomainFacts

WHERE = "sysctl getdomaininfolist"
HIDDEN = "its security policy (XSM, FLASK) hides the others"
# Where pools cannot be counted: what Xen has for itself (the frame table, its heap, guests' page tables) is less than
# this part of all memory.
OWN_PART = 16


def unlisted(sysctl: Sysctl, info: PhysInfo, queried: Domains, found: Sequence[DomainFacts]) -> list[tuple[str, str]]:
    """What shows that domains are missing from a list, or that its pages cannot be; empty for a list that is whole."""
    missing = _by_pools(sysctl, info, queried, found)
    return missing if missing else _by_pages(sysctl, found, counted=missing is not None)


def _by_pools(
    sysctl: Sysctl, info: PhysInfo, queried: Domains, found: Sequence[DomainFacts]
) -> list[tuple[str, str]] | None:
    """Compared with the pools' counts; None where these are not available."""
    listed = len(found)
    for _ in range(2):
        try:
            counted = sum(pool.domains for pool in sysctl.cpupools(info.max_cpu_id + 1))
        except NumaprobeError:
            return None
        if listed >= counted:
            return []
        # One may have been created since; one that is being destroyed is still counted for a moment.
        listed = len(queried.rows())
    return [(WHERE, f"lists {listed} domains where the cpupools have {counted}: {HIDDEN}")] if listed < counted else []


def _by_pages(sysctl: Sysctl, found: Sequence[DomainFacts], *, counted: bool) -> list[tuple[str, str]]:
    try:
        info = sysctl.physinfo()
    except FactError as error:
        return [] if counted else [(WHERE, f"whether all domains are listed is unknown: {error}")]
    held = sum(row.tot_pages for row in found)
    rest = info.total_pages - info.free_pages - held
    if not counted and rest > info.total_pages // OWN_PART:
        text = f"{rest} of {info.total_pages} pages are allocated and of no domain in the list, which may be hidden"
        return [(WHERE, text)]
    return []
