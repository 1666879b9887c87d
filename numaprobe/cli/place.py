"""``numaprobe place``: where a guest should run, and why."""

from __future__ import annotations

import sys

from .. import DoesNotFit, Request, place_all, probe
from ..model.host import SCHEMA
from ..wording import count
from .input_file import read_json
from .progress import progress
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, TextIO

    from .. import Batch, Host, Plan

# Fields of a request that are sizes.
SIZES = ("memory", "huge_page")
# Formats of several lines, with an empty one between two plans.
LONG = ("text", "xl", "libvirt", "virsh", "systemd")
SECONDS = 30.0


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.batch is None and (options.partial or options.optimal):
        raise ValueError("--partial and --optimal are for --batch")
    if options.soft and options.format != "xl":
        raise ValueError("--soft is for --format xl")
    if options.seconds is not None and not options.optimal:
        raise ValueError("--seconds is for --optimal")
    requests = wanted(options)
    try:
        batch = solved(options, requests)
    except DoesNotFit as error:
        if options.format == "json":
            name = requests[0].name if len(requests) == 1 else None
            _write_json(out, _refusal(name, error.reasons))
        raise
    plans = [plan for plan in batch.plans if plan is not None]
    if options.format == "json":
        if options.batch is None:
            _write_json(out, plans[0].to_dict())
        else:
            _write_json(out, _documents(batch, requests))
    else:
        texts = [plan.render(options.format, soft=options.soft, pool=options.pool) for plan in plans]
        if options.format == "text" and options.batch is not None:
            texts.append(summary(batch))
        out.write(("\n" if options.format in LONG else "").join(texts))
    if batch.missed and not plans:
        raise DoesNotFit("no guest of the batch fits", *batch.missed[0][1])
    if batch.missed and options.format != "json" and sys.stderr is not None:
        sys.stderr.write(f"numaprobe: {count(len(batch.missed), 'guest')} left out: {_left_out(batch, requests)}\n")


def summary(batch: Batch) -> str:
    """How good a batch is, beside what is proven to be the best possible."""
    placed = len(batch.plans) - len(batch.missed)
    lines = [f"{placed} of {count(len(batch.plans), 'guest')} placed"]
    if batch.optimal:
        lines.append("proven: no plan places more of them, or places as many nearer together")
    elif batch.bound is not None and batch.cost is not None and batch.least_cost is not None:
        if batch.bound > placed:
            lines.append(f"no plan places more than {batch.bound}")
        elif batch.missed:
            lines.append("proven: no plan places more of them")
        if batch.cost > batch.least_cost + 1e-6:
            gap = batch.cost / (batch.least_cost or 1.0) - 1
            lines.append(
                f"the mean distances of these guests add up to {batch.cost:.5g}; no plan has less than "
                f"{batch.least_cost:.5g} ({gap:.1%} less at most)"
            )
    return "\n".join(lines) + "\n"


def _left_out(batch: Batch, requests: Sequence[Request]) -> str:
    words = [requests[i].name or f"guest {i + 1}" for i, _ in batch.missed]
    return ", ".join(words[:10]) + (f" and {len(words) - 10} more" if len(words) > 10 else "")


def _documents(batch: Batch, requests: Sequence[Request]) -> list[dict[str, Any]]:
    """A document for each guest in the order of the requests, each with what is known of the whole batch."""
    reasons = dict(batch.missed)
    whole = {
        "guests": len(batch.plans),
        "placed": len(batch.plans) - len(batch.missed),
        "bound": batch.bound,
        "cost": batch.cost,
        "least_cost": batch.least_cost,
        "optimal": batch.optimal,
    }
    return [
        {**(_refusal(requests[i].name, reasons[i]) if plan is None else plan.to_dict()), "batch": whole}
        for i, plan in enumerate(batch.plans)
    ]


def _refusal(name: str | None, reasons: Sequence[str]) -> dict[str, Any]:
    """The document for a guest that does not fit."""
    return {
        "schema": SCHEMA,
        "fits": False,
        "name": name,
        "cells": [],
        "cpus": [],
        "vcpus": [],
        "memory": {},
        "guest_cells": [],
        "reasons": list(reasons),
        "rejected": [],
    }


def _write_json(out: TextIO, document: object) -> None:
    import json

    out.write(json.dumps(document) + "\n")


def plan_for(options: argparse.Namespace) -> Plan:
    """The plan for the one guest of the command line. Raises ``DoesNotFit``."""
    (plan,) = solved(options, wanted(options)).plans
    assert plan is not None, "a guest that does not fit is an error"
    return plan


def solved(options: argparse.Namespace, requests: Sequence[Request]) -> Batch:
    """The plans for all requests; raises ``DoesNotFit`` unless a part will do."""
    near = any(asked.near for asked in requests)
    # Which CPUs share a cache matters only to guests that get some of their own.
    caches = any(asked.exclusive for asked in requests)
    host = probe(
        options.root, recording=options.recording, source=options.source, devices=near, allowed=True, caches=caches
    )
    names = any(asked.away_from or asked.together_with for asked in requests)
    try:
        with progress("placing" if len(requests) == 1 else f"placing {len(requests)} guests"):
            return place_all(
                host,
                requests,
                reserve=None if options.reserve is None else parse(options.reserve),
                domains=guests(options, host, needed=names),
                pool=options.pool,
                partial=options.partial,
                optimal=options.optimal,
                seconds=SECONDS if options.seconds is None else options.seconds,
            )
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None


def guests(options: argparse.Namespace, host: Host, *, needed: bool) -> Sequence[Any]:
    """The guests that already run: of a live host, or where a wish names one.

    Those that cannot be read are not counted then; a name that is not found is reported.
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
    """The requests of the command line, or of the file that it names. Raises ``ValueError``.

    For the guests of a file the options of the command line are what each has unless it says otherwise.
    """
    told = {name: value for name in Request._fields if (value := getattr(options, name, None)) not in (None, False, [])}
    if options.batch is None:
        if options.vcpus is None or options.memory is None:
            raise ValueError("place takes --vcpus and --memory, or --batch")
        return (_request(told),)
    if options.vcpus is not None or options.memory is not None or options.name is not None:
        raise ValueError("place takes --vcpus, --memory and --name, or --batch, not both")
    listed = read_json(options.batch)
    shown = "standard input" if options.batch == "-" else options.batch
    _check_batch(shown, listed)
    requests = []
    for number, one in enumerate(listed, 1):
        try:
            requests.append(_request({**told, **{name: value for name, value in one.items() if value is not None}}))
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
