"""Who holds the memory of a host: from the source to ``Domain`` values."""

from __future__ import annotations

from ..errors import FactError, SourceError, SourceUnavailable
from ..named import namedtuple
from ..normalise import domains as normalise
from ..normalise import xen_domains
from ..sources.opening import hypercalls, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..linux.guests.sampled import Sampling
    from ..model.domains import Domain, Domains
    from ..model.host import Host
    from ..ports import Hypercalls, Reader
    from ..sources.opening import Path
    from ..xen.domains.facts import DomainFacts

# Where recordings keep the names from xenstored: JSON, names by number.
NAMES = "xen/names.json"
# Xen's debug key takes up to 100 ns a page without a pause, so under a second for a domain of this size.
DEBUG_KEY_LIMIT = 32 << 30
# Fewer pages leave a margin of more than an eighth of the guest.
MIN_SAMPLE = 64


def collect(
    host: Host,
    *,
    root: Path | None,
    recording: Path | None,
    processes: Sequence[int],
    groups: Sequence[str],
    each_vcpu: bool,
    debug_key: bool,
    debug_key_limit: int,
    remote: bool = False,
    sampled: int | None = None,
) -> Domains:
    """The domains of a host; see ``numaprobe.domains``."""
    live = root is None and recording is None
    if host.source == "linux" and debug_key:
        raise ValueError("the debug key is Xen's: this host was not probed with source xen")
    if host.source == "xen" and (processes or groups):
        raise ValueError("processes and control groups are Linux's: this host was not probed with source linux")
    if sampled is not None and (host.source == "xen" or not live):
        raise ValueError("only running processes of Linux can be sampled: not a Xen host, a tree or a recording")
    if sampled is not None and sampled < MIN_SAMPLE:
        raise ValueError(f"a sample takes at least {MIN_SAMPLE} pages of each guest, not {sampled}")
    with open_source(root, recording) as reader:
        if host.source == "linux":
            from ..linux.guests.collect import collect

            sampling = None if sampled is None else _sampling(reader, sampled)
            chosen = tuple(processes) if processes or groups else None
            facts = collect(
                reader, processes=chosen, groups=groups, each_vcpu=each_vcpu, faults=remote, sampling=sampling
            )
            return normalise.from_guests(facts, host, remote=remote)
        from ..xen.refused import LIVE

        with hypercalls(reader, live=live, debug_key=debug_key) as port:
            found = ask_xen(
                port,
                each_vcpu=each_vcpu,
                debug_key=debug_key,
                debug_key_limit=debug_key_limit,
                refused=LIVE if live else None,
            )
        notes = [*found.notes]
        names = names_of(reader, found.domains, live=live, notes=notes)
        domains = xen_domains.from_domains(found.domains, host, names, found.located, notes, complete=found.complete)
        return _with_remote(domains, host) if remote else domains


def _sampling(reader: Reader, pages: int) -> Sampling:
    """How processes are sampled. ``SourceUnavailable`` if ``/proc`` and system calls number them differently."""
    import os
    from random import Random

    from ..linux.guests.sampled import CALL, Sampling
    from ..sources.pages import RunningPages

    if reader.readlink("proc/self") != str(os.getpid()):
        raise SourceUnavailable(CALL, None, "/proc is of another pid namespace than this process")
    calls = RunningPages()
    return Sampling(pages=pages, calls=calls, page_size=calls.page_size, draw=Random().randrange)  # noqa: S311 (no secret)


def _with_remote(domains: Domains, host: Host) -> Domains:
    from ..model.domains import Domains
    from ..normalise.remote import of_domain

    return Domains(
        [domain._replace(remote=of_domain(domain, host)) for domain in domains],
        complete=domains.complete,
        notes=domains.notes,
    )


def immovable(
    domains: Sequence[Domain], *, root: Path | None = None, recording: Path | None = None
) -> dict[int | str, str]:
    """Why the memory of guests cannot be moved while they run, by domain id; movable guests are left out.

    On Linux, from the descriptors of a process: memory that a device accesses (VFIO) or that is private to the guest
    (guest_memfd), or descriptors that this process may not read. ``root`` and ``recording`` are those of
    :func:`numaprobe.probe`; for a guest that was recorded without its descriptors the reason is that this is unknown.
    Xen domains are left out: Xen cannot move the memory of any running domain.
    """
    from ..linux.guests.immovable import immovable as why_not

    processes = [one.id for one in domains if one.kind not in ("pv", "hvm", "group") and isinstance(one.id, int)]
    if not processes:
        return {}
    with open_source(root, recording) as reader:
        return {number: reason for number in processes if (reason := why_not(reader, number)) is not None}


class XenAnswer(namedtuple("XenAnswer", "domains located notes complete", defaults=(None, (), True))):
    """What the hypervisor reports about its domains, and each one's pages by node if the debug key was sent.

    ``complete`` is False if Xen counts domains or pages that are in none of ``domains``.
    """

    __slots__ = ()
    domains: tuple[DomainFacts, ...]
    located: dict[int, dict[int, int]] | None
    notes: tuple[tuple[str, str], ...]
    complete: bool


def ask_xen(
    port: Hypercalls,
    *,
    each_vcpu: bool = True,
    debug_key: bool = False,
    debug_key_limit: int = DEBUG_KEY_LIMIT,
    refused: dict[tuple[int, int], int] | None = None,
) -> XenAnswer:
    """Query the domains; ``refused`` holds the operations that this hypervisor has refused, and is updated."""
    from ..xen import calls, versions
    from ..xen.domains.collect import Domains as XenDomains
    from ..xen.domains.unlisted import unlisted

    version = calls.version(port)
    sysctl, info, _ = versions.negotiate(port, version)
    domctl, _ = versions.negotiate_domctl(port, version)
    arm = version.capabilities is not None and "x86" not in version.capabilities
    queried = XenDomains(sysctl, domctl, info, arm=arm, refused=refused)
    if not debug_key:
        facts = queried.collect(each_vcpu=each_vcpu)
        hidden = unlisted(sysctl, info, queried, facts)
        return XenAnswer(domains=facts, notes=(*queried.notes, *hidden), complete=not hidden)
    from ..xen.domains import debug_key as debugkey

    before = {row.id: row.tot_pages * xen_domains.PAGE for row in queried.rows()}
    largest = max(before.values(), default=0)
    if largest > debug_key_limit:
        reason = f"refused: a domain has {largest >> 20} MiB, and {debug_key_limit >> 20} MiB is the limit"
        raise SourceUnavailable(debugkey.WHERE, None, reason)
    try:
        located = debugkey.parse(debugkey.press(sysctl))
    except SourceError as error:
        raise SourceUnavailable(debugkey.WHERE, error.errno, error.reason) from error
    found = queried.collect(each_vcpu=each_vcpu)
    for row in found:
        # There before the key was pressed and after it: it was there when Xen printed.
        if row.id in before and row.id not in located:
            raise FactError(debugkey.WHERE, f"domain {row.id}", "the answer is incomplete")
    pages = {number: here.pages for number, here in located.items()}
    hidden = unlisted(sysctl, info, queried, found)
    notes = (*queried.notes, *hidden)
    return XenAnswer(domains=found, located=pages, notes=notes, complete=not hidden)


def names_of(
    reader: Reader, found: Sequence[DomainFacts], *, live: bool, notes: list[tuple[str, str]] | None = None
) -> Mapping[int, str]:
    """Names by domain id: from xenstored if it answers at once, or from a recording; ``notes`` gets what failed."""
    if live:
        from ..sources.xenstore import names

        return names([domain.id for domain in found], notes=notes)
    content = reader.read((NAMES,))[0]
    if not isinstance(content, bytes):
        return {}
    from ..plain_json import parse

    try:
        known = parse(content)
        return {int(number): str(name) for number, name in known.items()}
    except (ValueError, AttributeError):
        from ..errors import RecordingError

        raise RecordingError(f"{NAMES} in the recording is damaged") from None
