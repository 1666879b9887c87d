"""The input and the result of a check: ``Patient`` and ``Finding``."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.policy import PolicyFacts
    from ..model.domains import Domain
    from ..model.host import Host

SEVERITIES = ("warning", "info")


class Finding(namedtuple("Finding", "id severity what evidence cost remedy")):
    """Something that hurts.

    ``id`` names the check and stays the same between releases; ``severity`` is ``warning`` or ``info`` (worth knowing,
    and possibly wanted). ``what`` is one sentence. ``evidence`` are pairs of a file, hypercall or domain and its value.
    ``cost`` says what it costs, ``remedy`` what to do.
    """

    __slots__ = ()
    id: str
    severity: str
    what: str
    evidence: tuple[tuple[str, str], ...]
    cost: str
    remedy: str


class Diagnosis(namedtuple("Diagnosis", "findings skipped")):
    """Findings, warnings first, and what could not be examined: pairs of what and why."""

    __slots__ = ()
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...]


class Patient(namedtuple("Patient", "host domains policy without_node firmware_cells", defaults=((), None))):
    """What checks look at; ``domains`` is None where they could not be read, ``policy`` on Xen.

    ``without_node`` is memory that this release of Xen leaves without a node: start, end and node of each range.
    ``firmware_cells`` is how many domains with memory the firmware's table has, read only where there is one cell.
    """

    __slots__ = ()
    host: Host
    domains: tuple[Domain, ...] | None
    policy: PolicyFacts | None
    without_node: tuple[tuple[int, int, int], ...]
    firmware_cells: int | None
