"""numaprobe: a host's NUMA cells, their cpus, memory and distances, on Linux and under Xen, in one model."""

from __future__ import annotations

try:
    from ._fast import Files as _Files  # noqa: F401
except ModuleNotFoundError:
    raise ImportError(
        "numaprobe's extension is not built for this Python: run `pip install -e .` in the checkout"
    ) from None

from .errors import (
    DoesNotFit,
    FactError,
    InterfaceMismatch,
    NumaprobeError,
    RecordingError,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from .model.host import Access, Allowed, Cache, Cell, Cpu, Device, Host, HugePages, Hypervisor, Memory, Note, SideCache
from .probing.host import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    from .doctor import diagnose
    from .doctor.finding import Diagnosis, Finding
    from .model.difference import Change, diff
    from .model.domains import Affinity, CellUse, Domain, Domains, GuestCell, PlacementSample, RemoteShare, Vcpu
    from .model.traffic import Traffic, TrafficReading
    from .model.usable import MemoryBlocks, MemoryFailures, Usable, UsablePages
    from .placement import Plan, PlannedCell, PlannedVcpu, Rejected, Repin, Request, place, place_all
    from .placement.batch import Batch
    from .placement.claims import Claim
    from .placement.ledger import Ledger, visible_claims
    from .placement.moves import Move, Rearrangement, make_room
    from .placement.rebalance import Advice, rebalance
    from .probing.domains import immovable
    from .probing.traffic import traffic
    from .sampling.sample import Sample
    from .sampling.sampler import Sampler
    from .version import VERSION as __version__


def record(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recording: str | os.PathLike[str] | None = None,
    source: str = "auto",
    allowed: bool = False,
    domains: bool = False,
    anonymous: bool = False,
    traffic: float | None = None,
) -> None:
    """Write a recording of this host, or of a recorded one, to a tar archive; see ``docs/recordings.md``.

    The suffix selects the compression: ``.tar.gz``, ``.tgz``, ``.tar.xz``, ``.tar.bz2``, ``.tar``. The file is written
    whole or not at all. ``root``, ``recording`` and ``source`` are as for ``probe``; in a Xen control domain the
    hypervisor's answers are recorded as well as the domain's own files. ``allowed`` adds what this process may use; the
    file then contains the names of its control groups. ``domains`` adds the guests, under their own names and uuids or,
    if ``anonymous``, under replacements. ``traffic`` adds two readings of resctrl that many seconds apart. Raises what
    ``probe`` raises, ``OSError`` if the file cannot be written, and ``ValueError`` for another suffix.
    """
    from .recording.writing import record as write

    write(
        path,
        root=root,
        recording=recording,
        source=source,
        allowed=allowed,
        domains=domains,
        anonymous=anonymous,
        traffic=traffic,
    )


def domains(
    host: Host,
    *,
    root: str | os.PathLike[str] | None = None,
    recording: str | os.PathLike[str] | None = None,
    processes: Sequence[int] = (),
    groups: Sequence[str] = (),
    each_vcpu: bool = True,
    debug_key: bool = False,
    debug_key_limit: int = 32 << 30,
    remote: bool = False,
    sampled: int | None = None,
) -> Domains:
    """The domains of a host by id: how much memory each holds, on which cells, and how that is known.

    The result is a tuple of ``Domain`` with two attributes. ``complete`` is False if processes or figures could not be
    seen (``/proc`` hides other users' processes or shows another pid namespace, a file could not be read, sizes do not
    add up); ``notes`` say which.

    ``host`` is what ``probe`` returned; pass the same ``root`` and ``recording``. Its ``source`` decides what is
    queried: the hypervisor, or the kernel for processes that run guests. On Linux ``processes`` (by id) and ``groups``
    (control groups, by path) are reported instead, whether or not they are guests. ``each_vcpu`` queries every vcpu, at
    the cost of a few files or hypercalls each; without it less is known of affinities and states. ``remote`` adds how
    much of each domain's memory accesses leave the cell of the vcpu, by each source, and costs one file per vcpu on
    Linux (35 µs) and nothing under Xen; it needs ``each_vcpu``.

    ``sampled`` is for guests too large to walk: what would be counted page by page is estimated from this many pages of
    each guest, drawn at random (1,024 of them take under a millisecond and leave a margin of 3.1 % of the guest, at a
    confidence of 95 %). ``how`` is then ``sampled``, and ``sample`` has the margins; a guest that its control group
    counts stays ``exact``.

    ``debug_key`` lets Xen's debug key ``u`` report where memory is, if nothing better does. **Xen then walks every
    page of every domain without a pause, for up to a second per 32 GiB, and delays other control operations. If that
    takes long, a watchdog may take the host down.** It is refused if a domain is larger than ``debug_key_limit`` bytes.

    A domain that ends during the call is left out, and so is a process or group that does not exist. Raises what
    ``probe`` raises; ``SourceError`` if ``/proc`` cannot be listed; ``SourceUnavailable`` for a debug key that is
    refused or not available; ``ValueError`` for processes or groups of a Xen host, or a debug key on another host, or
    for sampling under Xen, of a tree or recording, or of fewer than 64 pages.

    Linux: ``/proc``, control groups, ``/run/libvirt/qemu``. Xen: sysctl getdomaininfolist, domctl, and xenstored's
    socket for names.
    """
    from .probing.domains import collect

    return collect(
        host,
        root=root,
        recording=recording,
        processes=processes,
        groups=groups,
        each_vcpu=each_vcpu,
        debug_key=debug_key,
        debug_key_limit=debug_key_limit,
        remote=remote,
        sampled=sampled,
    )


def account(host: Host, domains: Sequence[Domain], *, complete: bool | None = None) -> tuple[CellUse, ...]:
    """Who holds the memory of each cell of a host, in bytes: free, each domain's, and the rest; see ``CellUse``.

    ``domains`` should be of the same moment as the host: a rest below zero is None. ``complete`` says that these are
    all domains, so that the rest is the host's own; the default None uses ``domains.complete``, or True for a plain
    tuple. If they are not complete, ``host`` is None and the rest is unattributed.
    """
    from .normalise.domains import account as sum_up

    return sum_up(host, domains, complete=complete)


# Rarely used names are imported on first access, so that ``import numaprobe`` stays cheap.
_LATE = {
    "rebalance": "placement.rebalance",
    "make_room": "placement.moves",
    "immovable": "probing.domains",
    "Rearrangement": "placement.moves",
    "Move": "placement.moves",
    "visible_claims": "placement.ledger",
    "Ledger": "placement.ledger",
    "Claim": "placement.claims",
    "Advice": "placement.rebalance",
    "Affinity": "model.domains",
    "Batch": "placement.batch",
    "CellUse": "model.domains",
    "Change": "model.difference",
    "Diagnosis": "doctor.finding",
    "Domain": "model.domains",
    "Domains": "model.domains",
    "Finding": "doctor.finding",
    "GuestCell": "model.domains",
    "Plan": "placement",
    "PlacementSample": "model.domains",
    "PlannedCell": "placement",
    "PlannedVcpu": "placement",
    "Rejected": "placement",
    "RemoteShare": "model.domains",
    "Repin": "placement",
    "Request": "placement",
    "Sample": "sampling.sample",
    "Sampler": "sampling.sampler",
    "MemoryBlocks": "model.usable",
    "MemoryFailures": "model.usable",
    "Usable": "model.usable",
    "UsablePages": "model.usable",
    "Traffic": "model.traffic",
    "TrafficReading": "model.traffic",
    "traffic": "probing.traffic",
    "Vcpu": "model.domains",
    "diagnose": "doctor",
    "diff": "model.difference",
    "place": "placement",
    "place_all": "placement",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from .version import VERSION

        return VERSION
    if name in ("export", "pin"):
        return import_module(f".{name}", __name__)
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Access",
    "Advice",
    "Affinity",
    "Allowed",
    "Batch",
    "Cache",
    "Cell",
    "CellUse",
    "Change",
    "Claim",
    "Cpu",
    "Device",
    "Diagnosis",
    "DoesNotFit",
    "Domain",
    "Domains",
    "FactError",
    "Finding",
    "GuestCell",
    "Host",
    "HugePages",
    "Hypervisor",
    "InterfaceMismatch",
    "Ledger",
    "Memory",
    "MemoryBlocks",
    "MemoryFailures",
    "Move",
    "Note",
    "NumaprobeError",
    "PlacementSample",
    "Plan",
    "PlannedCell",
    "PlannedVcpu",
    "Rearrangement",
    "RecordingError",
    "Rejected",
    "RemoteShare",
    "Repin",
    "Request",
    "Sample",
    "Sampler",
    "SideCache",
    "SourceDenied",
    "SourceError",
    "SourceUnavailable",
    "Traffic",
    "TrafficReading",
    "Usable",
    "UsablePages",
    "Vcpu",
    "__version__",
    "account",
    "diagnose",
    "diff",
    "domains",
    "export",
    "immovable",
    "make_room",
    "place",
    "place_all",
    "probe",
    "rebalance",
    "record",
    "traffic",
    "visible_claims",
]
