"""``numaprobe pin``: run a command under a plan, or move a process or a paused domain."""

from __future__ import annotations

import os

from .. import Plan, domains, pin, probe
from ..errors import SourceError
from ..placement.documents import read_plan
from ..placement.ledger import SECONDS, own_folder
from .input_file import read_json
from .layout import id_words
from .placing import claim, plan_for, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    if sum((bool(options.program), options.pid is not None, options.domain is not None)) != 1:
        raise ValueError("pin needs a command after --, --pid or --domain")
    if not options.dry_run and (options.root is not None or options.recording is not None):
        raise ValueError("a plan for a recorded host cannot be applied here; --dry-run shows it")
    plan = planned(options)
    if options.domain is not None:
        host = probe(source="xen")
        steps = pin.domain_steps(plan, pin.find(host, options.domain), force=options.force)
        what = f"domain {options.domain}"
        if not options.dry_run:
            pin.domain(plan, host, options.domain, force=options.force)
    elif options.pid is not None:
        what = f"process {options.pid}"
        if options.pid < 1:
            raise ValueError(f"a process id must be at least 1, not {options.pid}")
        steps = pin.process_steps(plan, options.pid, force=options.force or options.dry_run)
        if not options.dry_run:
            if not options.force:
                _guest(options.pid)
            steps = pin.process(plan, options.pid, force=options.force)
    else:
        if not options.dry_run:
            out.flush()
            try:
                pin.run(plan, options.program)
            except FileNotFoundError as error:
                raise FileNotFoundError(error.errno, error.strerror, options.program[0]) from None
        what, steps = options.program[0], pin.command_steps(plan)
    out.write("".join(f"{line}\n" for line in lines(steps, what)))


def lines(steps: Sequence[pin.Step], what: str) -> Iterator[str]:
    """The steps for people; ``what`` names what they are done to."""
    for step in steps:
        if step.cells is not None:
            yield f"{what}: memory from {'cell' if len(step.cells) == 1 else 'cells'} {id_words(sorted(step.cells))}"
        elif step.target is None:
            yield f"{what}: cpus {id_words(step.cpus)}"
        else:
            unit = "vcpu" if step.what == "domain" else "thread"
            yield f"{what}: {unit} {step.target} to cpus {id_words(step.cpus)}"


def planned(options: argparse.Namespace) -> Plan:
    """The plan of a file, or one for the guest of the command line."""
    if options.plan is None:
        if options.vcpus is None or options.memory is None:
            raise ValueError("pin takes --vcpus and --memory, or --plan")
        if options.program and not options.dry_run and claimable(options):
            # The command keeps this process's number, so the claim ends with it or when its memory is seen.
            options.claim_pid, options.claim_domain, options.claim_seconds = os.getpid(), None, SECONDS
            (plan,) = claim(options, wanted(options))[0].plans
            assert plan is not None, "a guest that does not fit is an error"
            return plan
        return plan_for(options)
    if options.vcpus is not None or options.memory is not None:
        raise ValueError("pin takes --plan, or --vcpus and --memory, not both")
    document = read_json(options.plan)
    shown = "standard input" if options.plan == "-" else options.plan
    try:
        return read_plan(_named(document, options.name) if isinstance(document, list) else document)
    except ValueError as error:
        raise ValueError(f"{shown} is not a plan to apply: {error}") from None


def claimable(options: argparse.Namespace) -> bool:
    """Whether this user has a place for claims on this host."""
    if options.ledger is not None:
        return True
    try:
        folder = own_folder()
    except SourceError:
        return False
    return os.access(os.path.dirname(folder), os.W_OK)


def _named(documents: list[object], name: str | None) -> object:
    """The plan of one guest of a batch."""
    if name is None:
        if len(documents) == 1:
            return documents[0]
        raise ValueError(f"it has the plans of {len(documents)} guests: select one with --name")
    found = [one for one in documents if isinstance(one, dict) and one.get("name") == name]
    if len(found) != 1:
        raise ValueError(f"it has {len(found) or 'no'} plan{'' if len(found) < 2 else 's'} for a guest named {name!r}")
    return found[0]


def _guest(pid: int) -> None:
    """Raise ``ValueError`` for a process that runs no guest: pinned by a slip, it would take much down with it."""
    if pid not in {one.id for one in domains(probe(source="linux"), each_vcpu=False)}:
        raise ValueError(f"process {pid} does not run a guest; use --force to pin it anyway")
