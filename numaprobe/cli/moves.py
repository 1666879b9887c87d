"""``numaprobe place --moves``, ``--without`` and ``--rebalance``: what to move of the guests that run."""

from __future__ import annotations

from .. import domains, immovable, make_room, probe, rebalance
from ..wording import cells, id_list, size
from .placing import claims_of, wanted
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from .. import Advice, Domain, Host, Move


def run(options: argparse.Namespace, out: TextIO) -> None:
    if options.batch is not None or options.claim or options.optimal or options.no_domains:
        raise ValueError("--moves, --without and --rebalance are for one guest beside those that run, without --claim")
    if options.format not in ("text", "json"):
        raise ValueError("--moves, --without and --rebalance are shown as text or as JSON")
    if options.moves is not None and options.moves < 1:
        raise ValueError(f"--moves must be at least 1, not {options.moves}")
    reserve = None if options.reserve is None else parse(options.reserve)
    requests = () if options.rebalance else wanted(options)
    near = any(request.near for request in requests)
    host = probe(options.root, recording=options.recording, source=options.source, devices=near, allowed=True)
    running = domains(host, root=options.root, recording=options.recording)
    fixed = immovable(running, root=options.root, recording=options.recording)
    if options.rebalance:
        _rebalance(options, host, running, reserve, fixed, out)
        return
    found = make_room(
        host,
        requests[0],
        domains=running,
        moves=options.moves or 0,
        without=options.without or (),
        reserve=reserve,
        pool=options.pool,
        claims=claims_of(options, running),
        fixed=fixed,
        most_rejected=16,
    )
    if options.format == "json":
        import json

        out.write(json.dumps({**found.plan.to_dict(), "moves": [move.to_dict() for move in found.moves]}) + "\n")
        return
    lines = [line for move in found.moves for line in _move(move)]
    if not found.complete:
        lines.append("  not every move was tried: fewer may be enough")
    out.write("".join(f"{line}\n" for line in lines) + ("\n" if lines else "") + found.plan.render("text"))


def _move(move: Move) -> Iterator[str]:
    who = move.name or f"domain {move.domain}"
    before = [cell for cell, held in move.before.items() if held]
    yield f"move {who} from {cells(before)} to {cells(move.plan.cells)}: {size(move.size)} to copy"
    yield f"  cpus {id_list(move.plan.cpus)}, memory of cells {id_list(move.plan.memory)}"


def _rebalance(
    options: argparse.Namespace,
    host: Host,
    running: tuple[Domain, ...],
    reserve: int | None,
    still: Mapping[int | str, str],
    out: TextIO,
) -> None:
    advice, fixed = rebalance(host, running, reserve=reserve, pool=options.pool, fixed=still)
    names = {one.id: one.name or f"domain {one.id}" for one in running}
    if options.format == "json":
        import json

        rows = [{"domain": number, "name": names[number], "reason": why} for number, why in fixed]
        out.write(json.dumps({"moves": [one.to_dict() for one in advice], "fixed": rows}) + "\n")
        return
    lines = [line for one in advice for line in _advice(one, names[one.domain])]
    lines += [f"{names[number]} stays: {why}" for number, why in fixed]
    out.write("".join(f"{line}\n" for line in lines) or "no guests\n")


def _advice(one: Advice, name: str) -> Iterator[str]:
    what = (
        f"move {name} to {cells(one.plan.cells)}" if one.price else f"pin {name} to the CPUs of {cells(one.plan.cells)}"
    )
    yield f"{what}: an access costs {one.after:.4g} instead of {one.now:.4g}, {size(one.price)} to copy"
    yield f"  cpus {id_list(one.plan.cpus)}, memory of cells {id_list(one.plan.memory)}"
