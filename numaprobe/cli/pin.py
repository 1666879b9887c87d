"""``numaprobe pin``: run a command under a plan, or move a process or a paused domain."""

from __future__ import annotations

import json

from .. import Plan, PlannedVcpu, Request, pin, probe
from .layout import id_words
from .place import solved, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    if sum((bool(options.program), options.pid is not None, options.domain is not None)) != 1:
        raise ValueError("pin takes one of a command after --, --pid and --domain")
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
        steps = pin.process_steps(plan, options.pid)
        if not options.dry_run:
            steps = pin.process(plan, options.pid)
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
            yield f"{what}: memory from cells {id_words(sorted(step.cells))}"
        elif step.target is None:
            yield f"{what}: cpus {id_words(step.cpus)}"
        else:
            unit = "vcpu" if step.what == "domain" else "thread"
            yield f"{what}: {unit} {step.target} to cpus {id_words(step.cpus)}"


def planned(options: argparse.Namespace) -> Plan:
    """The plan of a file, or one for the guest of the command line."""
    options.batch, options.optimal = None, False
    if options.plan is None:
        return solved(options, wanted(options))[0]
    if options.vcpus is not None or options.memory is not None:
        raise ValueError("pin takes --plan, or --vcpus and --memory, not both")
    with open(options.plan, encoding="utf-8") as file:
        try:
            told = json.load(file)
            if not told["fits"]:
                raise ValueError("it says that nothing fits")
            vcpus = tuple(PlannedVcpu(int(one["vcpu"]), tuple(map(int, one["cpus"]))) for one in told["vcpus"])
            memory = {int(cell): int(size) for cell, size in told["memory"].items()}
            asked = Request(len(vcpus), sum(memory.values()), pinned=bool(told["pinned"]))
            cells, cpus = tuple(map(int, told["cells"])), tuple(map(int, told["cpus"]))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{options.plan} is not a plan: {error!r}") from None
    return Plan(asked, cells, cpus, vcpus, memory, (), (), None, (), ())
