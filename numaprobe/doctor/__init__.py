"""What hurts on a host, with evidence and remedy; nothing is changed.

Each check is a function over a ``Patient`` in ``hardware``, ``settings`` or ``guests``. What is unknown is no finding.
"""

from __future__ import annotations

from ..errors import NumaprobeError
from . import guests, hardware, settings
from .finding import SEVERITIES, Diagnosis, Finding, Patient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..ports import Reader
    from ..sources.opening import Path

CHECKS = (*hardware.CHECKS, *settings.CHECKS, *guests.CHECKS)


def diagnose(root: Path | None = None, *, recording: Path | None = None, source: str = "auto") -> Diagnosis:
    """What hurts here, or on a recorded host: findings, warnings first, and what could not be examined.

    ``root``, ``recording`` and ``source`` are as for ``probe``. Guests that cannot be read are skipped and said so.
    Reads the host with its devices, the guests, and the kernel's settings; raises what ``probe`` raises.
    """
    from ..linux.policy import collect
    from ..linux.source import Source
    from ..probing.domains import collect as collect_domains
    from ..probing.host import probe
    from ..sources.opening import open_source

    host = probe(root, recording=recording, source=source, devices=True, memory_state=True)
    skipped = []
    domains = policy = None
    try:
        found = collect_domains(
            host,
            root=root,
            recording=recording,
            processes=(),
            groups=(),
            each_vcpu=True,
            debug_key=False,
            debug_key_limit=0,
        )
        domains = tuple(found)
    except NumaprobeError as error:
        skipped.append(("guests", str(error)))
    if host.source == "linux":
        with open_source(root, recording) as reader:
            policy_source = Source(reader)
            policy = collect(policy_source)
            skipped += policy_source.notes
    without_node: tuple[tuple[int, int, int], ...] = ()
    if host.hypervisor is not None and host.hypervisor.version is not None:
        with open_source(root, recording) as reader:
            without_node = _without_node(reader, host.hypervisor.version, skipped)
    patient = Patient(host=host, domains=domains, policy=policy, without_node=without_node)
    return Diagnosis(examine(patient), tuple(skipped))


def _without_node(reader: Reader, version: str, skipped: list[tuple[str, str]]) -> tuple[tuple[int, int, int], ...]:
    """Memory that this release of Xen leaves without a node, by the firmware's table."""
    from ..errors import FactError
    from ..xen import srat, unaligned

    if not unaligned.is_affected(version):
        return ()
    table = reader.read((srat.PATH,))[0]
    if isinstance(table, int):
        skipped.append((srat.PATH, "cannot be read: whether Xen leaves memory without a node is unknown"))
        return ()
    try:
        return unaligned.without_node(srat.parse(table).ranges)
    except FactError as error:
        skipped.append((srat.PATH, str(error)))
        return ()


def examine(patient: Patient) -> tuple[Finding, ...]:
    """The findings of all checks, warnings first."""
    found = [finding for check in CHECKS for finding in check(patient)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The document of ``numaprobe doctor --json`` (``schemas/doctor.json``)."""
    return {
        "schema": "numaprobe/1",
        "findings": [
            {**finding._asdict(), "evidence": [{"where": where, "value": value} for where, value in finding.evidence]}
            for finding in diagnosis.findings
        ],
        "skipped": [{"what": what, "why": why} for what, why in diagnosis.skipped],
    }
