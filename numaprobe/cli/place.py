"""``numaprobe place``: where a guest should run, and why."""

from __future__ import annotations

import sys

from .. import DoesNotFit
from ..version import SCHEMA
from ..wording import count
from .placing import claim, solved, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, TextIO

    from .. import Batch, Claim, Request

# Formats of several lines, with an empty one between two plans.
LONG = ("text", "xl", "libvirt", "virsh", "systemd")


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.claims or options.release is not None:
        from .claims import show

        show(options, out)
        return
    if options.rebalance or options.moves is not None or options.without:
        from .moves import run as move

        move(options, out)
        return
    claimed: tuple[Claim, ...] = ()
    if not options.claim and (options.claim_pid is not None or options.claim_domain is not None):
        raise ValueError("--claim-pid and --claim-domain require --claim")
    if options.batch is None and (options.partial or options.optimal):
        raise ValueError("--partial and --optimal require --batch")
    if options.soft and options.format != "xl":
        raise ValueError("--soft requires --format xl")
    if options.seconds is not None and not options.optimal:
        raise ValueError("--seconds requires --optimal")
    requests = wanted(options)
    try:
        if options.claim:
            batch, claimed = claim(options, requests)
        else:
            batch = solved(options, requests)
    except DoesNotFit as error:
        if options.format == "json":
            name = requests[0].name if len(requests) == 1 else None
            _write_json(out, _refusal(name, error.reasons))
        raise
    plans = [plan for plan in batch.plans if plan is not None]
    numbers = dict(zip([i for i, plan in enumerate(batch.plans) if plan is not None], claimed, strict=False))
    if options.format == "json":
        if options.batch is None:
            _write_json(out, {**plans[0].to_dict(), **({"claim": claimed[0].id} if claimed else {})})
        else:
            documents = _documents(batch, requests)
            for i, one in numbers.items():
                documents[i]["claim"] = one.id
            _write_json(out, documents)
    else:
        texts = [plan.render(options.format, soft=options.soft, pool=options.pool) for plan in plans]
        if options.format == "text" and options.batch is not None:
            texts.append(summary(batch))
        out.write(("\n" if options.format in LONG else "").join(texts))
    if claimed and options.format != "json" and sys.stderr is not None:
        ids = ", ".join([str(one.id) for one in claimed])
        sys.stderr.write(f"numaprobe: claimed for {options.claim_seconds:.0f} s (place --release {ids})\n")
    if batch.missed and not plans:
        raise DoesNotFit("no guest of the batch fits", *batch.missed[0][1])
    if batch.missed and options.format != "json" and sys.stderr is not None:
        sys.stderr.write(f"numaprobe: {count(len(batch.missed), 'guest')} left out: {_left_out(batch, requests)}\n")


def summary(batch: Batch) -> str:
    """How good a batch is, compared with the proven bound."""
    placed = len(batch.plans) - len(batch.missed)
    lines = [f"{placed} of {count(len(batch.plans), 'guest')} placed"]
    if batch.optimal:
        lines.append("proven: no plan places more of them, or as many at a lower cost of an access")
    elif batch.bound is not None and batch.cost is not None and batch.least_cost is not None:
        if batch.bound > placed:
            lines.append(f"no plan places more than {batch.bound}")
        elif batch.missed:
            lines.append("proven: no plan places more of them")
        if batch.cost > batch.least_cost + 1e-6:
            gap = 1 - batch.least_cost / batch.cost
            lines.append(
                f"an access costs these guests {batch.cost / placed:.4g} on average (10: local); no plan reaches less "
                f"than {batch.least_cost / placed:.4g} ({gap:.1%} less at most)"
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
