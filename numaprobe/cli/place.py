"""``numaprobe place``: where a guest should run, and why."""

from __future__ import annotations

from .. import DoesNotFit, Request, place_all, probe
from ..model.host import SCHEMA
from .input_file import read_json
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, TextIO

    from .. import Host, Plan

# Fields of a request that come as sizes.
SIZES = ("memory", "huge_page")


def run(options: argparse.Namespace, out: TextIO) -> None:
    requests = wanted(options)
    try:
        plans = solved(options, requests)
    except DoesNotFit as error:
        if options.format == "json":
            import json

            document = {"schema": SCHEMA, "fits": False, "name": requests[0].name if len(requests) == 1 else None}
            empty: dict[str, Any] = {
                "cells": [],
                "cpus": [],
                "vcpus": [],
                "memory": {},
                "guest_cells": [],
                "rejected": [],
            }
            out.write(json.dumps({**document, **empty, "reasons": list(error.reasons)}) + "\n")
        raise
    if options.batch is not None and options.format == "json":
        import json

        out.write(json.dumps([plan.to_dict() for plan in plans]) + "\n")
        return
    texts = [plan.render(options.format) for plan in plans]
    # Formats of many lines are parted by an empty one.
    out.write(("\n" if options.format in ("text", "xl", "libvirt", "systemd") else "").join(texts))


def solved(options: argparse.Namespace, requests: Sequence[Request]) -> list[Plan]:
    """The plans for all requests; raises ``DoesNotFit``."""
    near = any(asked.near for asked in requests)
    host = probe(options.root, recording=options.recording, source=options.source, devices=near, allowed=True)
    names = any(asked.away_from or asked.together_with for asked in requests)
    try:
        batch = place_all(
            host,
            requests,
            reserve=None if options.reserve is None else parse(options.reserve),
            domains=_domains(options, host, needed=names),
            pool=options.pool,
            optimal=getattr(options, "optimal", False),
        )
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    return [plan for plan in batch.plans if plan is not None]


def _domains(options: argparse.Namespace, host: Host, *, needed: bool) -> Sequence[Any]:
    """Who runs there already: asked of a live host, or where a wish names a domain.

    What cannot be read has no weight then; a name that is not found is complained of.
    """
    from .. import NumaprobeError, domains

    live = options.root is None and options.recording is None
    if not (live or needed) or options.no_domains:
        return ()
    try:
        found: Sequence[Any] = domains(host, root=options.root, recording=options.recording)
    except NumaprobeError:
        if needed:
            raise
        return ()
    return found


def wanted(options: argparse.Namespace) -> tuple[Request, ...]:
    """The requests of the command line, or of the file that it names. Raises ``ValueError``."""
    if options.batch is None:
        if options.vcpus is None or options.memory is None:
            raise ValueError("place takes --vcpus and --memory, or --batch")
        return (_request({name: getattr(options, name, None) for name in Request._fields}),)
    if options.vcpus is not None or options.memory is not None:
        raise ValueError("place takes --vcpus and --memory, or --batch, not both")
    listed = read_json(options.batch)
    check_batch(options.batch, listed)
    requests = []
    for number, one in enumerate(listed, 1):
        try:
            requests.append(_request(one))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{options.batch}: request {number}: {error}") from None
    return tuple(requests)


def check_batch(name: str, listed: object) -> None:
    """Raise ``ValueError`` for a document that is not of ``schemas/batch.json``."""
    from ..placement.schema_check import check

    try:
        check("batch", listed)
    except ValueError as error:
        raise ValueError(f"{name} is not a list of requests: {error}") from None


def _request(fields: dict[str, Any]) -> Request:
    given = {name: value for name, value in fields.items() if value is not None}
    for name in SIZES:
        if isinstance(given.get(name), str):
            given[name] = parse(given[name])
    return Request(**given)
