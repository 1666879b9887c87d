"""``numaprobe place --claim``, ``--claims`` and ``--release``: room promised to guests that are being started."""

from __future__ import annotations

import time

from ..placement.claims import claim_document
from ..placement.ledger import Ledger, visible_claims
from ..wording import cells, count, id_list, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from .. import Domain
    from ..placement.claims import Claim


def show(options: argparse.Namespace, out: TextIO) -> None:
    """List the claims that hold, or give one back."""
    if options.root is not None or options.recording is not None:
        raise ValueError("--claims and --release are for a live host, not for a recorded one")
    if options.release is not None:
        with Ledger(options.ledger) as ledger:
            ledger.release(options.release)
        return
    found = visible_claims(_running(), folder=options.ledger)
    if options.format == "json":
        import json

        out.write(json.dumps([claim_document(claim) for claim in found]) + "\n")
        return
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    out.write("".join(f"{line}\n" for claim in found for line in lines(claim, now)) or "no claims\n")


def _running() -> Sequence[Domain]:
    """The guests that run: a claim ends when its guest does. None of them if they cannot be read."""
    from .. import NumaprobeError, domains, probe

    try:
        return domains(probe())
    except NumaprobeError:
        return ()


def lines(claim: Claim, now: float) -> Iterator[str]:
    """A claim for people."""
    who = claim.name or (f"domain {claim.domain}" if claim.domain is not None else "a guest without a name")
    memory = ", ".join(f"{size(part)} of cell {cell}" for cell, part in claim.memory.items())
    own = f", cpus {id_list(claim.cpus)} alone" if claim.cpus else ""
    floating = f", {count(claim.floating, 'vcpu')} on {cells(claim.cells)}" if claim.floating else ""
    with_process = f" or until process {claim.pid} ends" if claim.pid is not None else ""
    yield f"claim {claim.id}: {who}: {memory}{own}{floating}; for {claim.expires - now:.0f} s{with_process}"
