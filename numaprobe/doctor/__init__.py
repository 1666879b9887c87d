"""What costs performance on a host, with evidence and remedy; nothing is changed.

Each check is a function over a ``Patient`` in ``hardware``, ``settings`` or ``guests``. What is unknown is no finding.
"""

from __future__ import annotations

from ..errors import NumaprobeError
from . import guests, hardware, settings
from .finding import SEVERITIES, Diagnosis, Finding, Patient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model.host import Host
    from ..ports import Reader
    from ..sources.opening import Path

CHECKS = (*hardware.CHECKS, *settings.CHECKS, *guests.CHECKS)


def diagnose(root: Path | None = None, *, recording: Path | None = None, source: str = "auto") -> Diagnosis:
    """Findings about this host or a recorded one, warnings first, and what could not be examined.

    ``root``, ``recording`` and ``source`` are as for ``probe``. If guests cannot be read, ``skipped`` says why. Reads
    the host with its devices, the guests, and the kernel's settings; raises what ``probe`` raises.
    """
    from ..sources.opening import kept_open

    with kept_open(recording if root is None else None):
        return _diagnosed(root, recording, source)


def _diagnosed(root: Path | None, recording: Path | None, source: str) -> Diagnosis:
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
        if not found.complete:
            why = "; ".join([f"{note.where}: {note.text}" for note in found.notes[:1]])
            skipped.append(("guests that could not all be seen", why or "the list is not complete"))
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
    firmware_cells = None
    if hardware.might_hide_cells(host):
        with open_source(root, recording) as reader:
            firmware_cells = _firmware_cells(reader, host, skipped)
    patient = Patient(
        host=host, domains=domains, policy=policy, without_node=without_node, firmware_cells=firmware_cells
    )
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


def _firmware_cells(reader: Reader, host: Host, skipped: list[tuple[str, str]]) -> int | None:
    """Domains with memory in the firmware's table; None where it is absent, and in a control domain's own view."""
    from errno import ENOENT, ENOTDIR

    from ..errors import FactError
    from ..xen import srat

    table, kind = reader.read((srat.PATH, "sys/hypervisor/type"))
    if host.source == "linux" and isinstance(kind, bytes) and kind.strip() == b"xen":
        return None
    if isinstance(table, int):
        if table not in (ENOENT, ENOTDIR):
            skipped.append((srat.PATH, "cannot be read: whether the firmware has more cells is unknown"))
        return None
    try:
        return len({part.node for part in srat.parse(table).ranges if not part.hot_pluggable})
    except FactError as error:
        skipped.append((srat.PATH, str(error)))
        return None


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
