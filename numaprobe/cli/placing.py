"""From the options of ``place`` and ``pin`` to requests, the guests that run, and plans."""

from __future__ import annotations

from .. import Ledger, Request, place_all, probe, visible_claims
from ..sources.opening import kept_open
from .input_file import read_json
from .progress import progress
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from .. import Batch, Claim, Host, Plan

# Fields of a request that are sizes.
SIZES = ("memory", "huge_page")
SECONDS = 30.0


def claim(options: argparse.Namespace, requests: Sequence[Request]) -> tuple[Batch, tuple[Claim, ...]]:
    """The plans for all requests and claims for them: the host is read under the lock, so no claim is missed."""
    if options.root is not None or options.recording is not None:
        raise ValueError("--claim is for a live host, not for a recorded one")
    with Ledger(options.ledger) as ledger:
        batch = solved(options, requests, ledger)
        plans = [plan for plan in batch.plans if plan is not None]
        seconds, pid, domain = options.claim_seconds, options.claim_pid, options.claim_domain
        return batch, ledger.add(plans, pid=pid, domain=domain, seconds=seconds)


def plan_for(options: argparse.Namespace) -> Plan:
    """The plan for the one guest of the command line. Raises ``DoesNotFit``."""
    (plan,) = solved(options, wanted(options)).plans
    assert plan is not None, "a guest that does not fit is an error"
    return plan


def solved(options: argparse.Namespace, requests: Sequence[Request], ledger: Ledger | None = None) -> Batch:
    """The plans for all requests; raises ``DoesNotFit`` unless a part will do.

    What others have claimed on a live host is not offered: as ``ledger`` has it, which is locked, or as all see it.
    """
    with kept_open(options.recording if options.root is None else None):
        return _solved(options, requests, ledger)


def _solved(options: argparse.Namespace, requests: Sequence[Request], ledger: Ledger | None) -> Batch:
    near = any(request.near for request in requests)
    # Which CPUs share a cache matters only to guests that get some of their own.
    caches = any(request.exclusive for request in requests)
    host = probe(
        options.root,
        recording=options.recording,
        source=options.source,
        devices=near,
        allowed=True,
        caches=caches,
        # What may be pinned, and huge pages that are free and not reserved.
        usable=any(request.vfio or request.huge_page for request in requests),
    )
    names = any(request.away_from or request.together_with for request in requests)
    running = guests(options, host, needed=names)
    try:
        with progress("placing" if len(requests) == 1 else f"placing {len(requests)} guests"):
            return place_all(
                host,
                requests,
                reserve=None if options.reserve is None else parse(options.reserve),
                domains=running,
                claims=claims_of(options, running, ledger),
                pool=options.pool,
                ignore_allowed=options.ignore_allowed,
                partial=options.partial,
                optimal=options.optimal,
                seconds=SECONDS if options.seconds is None else options.seconds,
            )
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None


def claims_of(options: argparse.Namespace, running: Sequence[Any], ledger: Ledger | None = None) -> Sequence[Claim]:
    """The claims that hold on a live host."""
    if ledger is not None:
        return ledger.current(running)
    if options.root is not None or options.recording is not None:
        return ()
    return visible_claims(running, options.ledger)


def guests(options: argparse.Namespace, host: Host, *, needed: bool) -> Sequence[Any]:
    """The running guests: of a live host, or if an option names one.

    Guests that cannot be read are not counted, which the plan says; a name that is not found is reported.
    """
    from .. import Domains, Note, NumaprobeError, domains

    live = options.root is None and options.recording is None
    if not (live or needed) or options.no_domains:
        return ()
    try:
        found: Sequence[Any] = domains(host, root=options.root, recording=options.recording)
    except NumaprobeError as error:
        if needed:
            raise
        return Domains(complete=False, notes=[Note("domains", str(error))])
    return found


def wanted(options: argparse.Namespace) -> tuple[Request, ...]:
    """The requests of the command line, or of the file that it names. Raises ``ValueError``.

    For the guests of a file, options of the command line apply to each guest that does not set them itself.
    """
    given = {name: getattr(options, name, None) for name in Request._fields}
    # Not 0, which is False's equal: that is for the request to refuse.
    given = {name: value for name, value in given.items() if value is not None and value is not False and value != []}
    if options.batch is None:
        if options.vcpus is None or options.memory is None:
            raise ValueError("place takes --vcpus and --memory, or --batch")
        return (_request(given),)
    if options.vcpus is not None or options.memory is not None or options.name is not None:
        raise ValueError("place takes --vcpus, --memory and --name, or --batch, not both")
    listed = read_json(options.batch)
    shown = "standard input" if options.batch == "-" else options.batch
    _check_batch(shown, listed)
    requests = []
    for number, one in enumerate(listed, 1):
        try:
            requests.append(_request({**given, **{name: value for name, value in one.items() if value is not None}}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{shown}: request {number}: {error}") from None
    return tuple(requests)


def _check_batch(name: str, listed: object) -> None:
    """Raise ``ValueError`` for a document that is not of ``schemas/batch.json``."""
    from ..placement.schema_check import check

    try:
        check("batch", listed)
    except ValueError as error:
        raise ValueError(f"{name} is not a list of requests: {error}") from None


def _request(fields: dict[str, Any]) -> Request:
    given = dict(fields)
    for name in SIZES:
        if isinstance(given.get(name), str):
            given[name] = parse(given[name])
    try:
        return Request(**given)
    except TypeError as error:
        raise ValueError(str(error)) from None
