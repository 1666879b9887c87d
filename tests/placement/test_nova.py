"""Nova's own code and numaprobe agree on which guests fit, and nova's accounting takes every plan.

Nova never divides a guest among cells, so a guest has one cell or NUMA cells of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hosts import GIB, MIB, domain, host

from numaprobe import DoesNotFit, Domain, Host, Plan, place

pytestmark = pytest.mark.nova

REQUESTS = 3000
# numaprobe's name for each of nova's thread policies of dedicated CPUs.
SMT = {None: "share", "prefer": "share", "isolate": "isolate", "require": "require"}
JUDGE = Path(__file__).parent.parent / "support" / "nova_accounting.py"


def machine(dice: random.Random) -> tuple[Host, tuple[Domain, ...], list[dict[str, Any]]]:
    """A host with guests that hold some CPUs, for numaprobe and for nova."""
    ids = sorted(dice.sample(range(10), dice.choice((1, 2, 2, 3, 4))))
    threads, cpus = dice.choice((1, 2, 2, 4)), dice.choice((4, 8, 12))
    sizes = {number: dice.randrange(2, 17) * GIB for number in ids}
    used = {number: dice.randrange(0, sizes[number] // GIB) * GIB for number in ids}
    ours = host({number: sizes[number] - used[number] for number in ids}, cpus=cpus, threads=threads)
    held = sorted(cpu.id for cpu in ours.cpus if dice.random() < dice.choice((0.1, 0.3, 0.6)))
    running = (domain("held", len(held), pinned=[(cpu,) for cpu in held]),) if held else ()
    theirs = [
        {
            "id": cell.id,
            "cpus": list(cell.cpus or ()),
            "cores": sorted({cpu.siblings for cpu in ours.cpus if cpu.cell == cell.id and cpu.siblings}),
            "memory": sizes[cell.id] // MIB,
            "memory_used": used[cell.id] // MIB,
            "pinned": [cpu for cpu in held if cpu in (cell.cpus or ())],
        }
        for cell in ours.cells
    ]
    return ours, running, theirs


def guest(dice: random.Random) -> dict[str, Any]:
    """A guest in nova's terms."""
    number = dice.choice((1, 1, 1, 2, 3))
    each, memory = dice.randrange(1, 9), dice.randrange(1, 25) * 512
    dedicated = dice.random() < 0.8
    threads = dice.choice((None, "prefer", "isolate", "require")) if dedicated else None
    return {
        "dedicated": dedicated,
        "threads": threads,
        # The vcpus that float although others are pinned, nova's policy mixed; its isolate is not for those.
        "floating": dice.randrange(1, each) if number == 1 and each > 1 and threads is None and dedicated else 0,
        # Nova's emulator threads share the guest's or the host's shared CPUs, or get a CPU in the guest's first cell.
        "emulator": dice.choice((None, "share", "isolate")) if dedicated else None,
        "cells": [
            {"id": cell, "vcpus": list(range(cell * each, (cell + 1) * each)), "memory": memory}
            for cell in range(number)
        ],
    }


def planned(ours: Host, running: tuple[Domain, ...], wanted: dict[str, Any]) -> Plan | None:
    cells = wanted["cells"]
    wishes: dict[str, Any] = {"guest_cells": len(cells)} if len(cells) > 1 else {"max_cells": 1}
    if wanted["dedicated"]:
        wishes["smt"] = SMT[wanted["threads"]]
        wishes["pinned"] = wishes["smt"] == "share" and not wanted["floating"]
        if wanted["floating"]:
            wishes["pinned_vcpus"] = cells[0]["vcpus"][: -wanted["floating"]]
        wishes["emulator"] = 1 if wanted["emulator"] == "isolate" else None
    try:
        return place(
            ours,
            vcpus=sum(len(cell["vcpus"]) for cell in cells),
            memory=sum(cell["memory"] for cell in cells) * MIB,
            domains=running,
            reserve=0,
            most_rejected=0,
            **wishes,
        )
    except DoesNotFit:
        return None


def as_nova_has_it(ours: Host, plan: Plan, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The plan as an instance's NUMA cells. Nova pins a vcpu of a whole core to one thread and keeps the others.

    With thread policy isolate it does so with the emulator's CPU too when it accounts, though not when it fits: a CPU of
    a core that somebody else is on, as numaprobe gives it, is not told to it.
    """
    dedicated = wanted["dedicated"]
    rows = plan.guest_cells or [None]
    out = []
    for row in rows:
        vcpus = [vcpu for vcpu in plan.vcpus if row is None or vcpu.vcpu in row.vcpus]
        out.append(
            {
                "id": plan.cells[0] if row is None else row.cell,
                "vcpus": [vcpu.vcpu for vcpu in vcpus],
                "memory": plan.request.memory // MIB if row is None else row.memory // MIB,
                "pins": {vcpu.vcpu: vcpu.cpus[0] for vcpu in vcpus if vcpu.pinned} if dedicated else {},
                "reserved": [
                    cpu
                    for cpu in plan.emulator
                    if wanted["threads"] != "isolate"
                    and ours.cpu(cpu).cell == (plan.cells[0] if row is None else row.cell)
                ],
            }
        )
    return out


def test_nova_finds_a_place_where_numaprobe_does_and_its_accounting_takes_the_plan(
    pytestconfig: pytest.Config,
) -> None:
    """Each of its four thread policies and three emulator policies, on hosts where others hold CPUs and memory."""
    python = pytestconfig.getoption("nova")
    if python is None:
        pytest.fail(
            "pytest -m nova --nova PYTHON: a Python that has nova 34 (python3 -m venv DIR; DIR/bin/pip install nova)"
        )
    dice = random.Random(34)
    cases = []
    for _ in range(REQUESTS):
        ours, running, theirs = machine(dice)
        wanted = guest(dice)
        plan = planned(ours, running, wanted)
        cases.append(
            {
                "host": theirs,
                "guest": wanted,
                "plan": None if plan is None else as_nova_has_it(ours, plan, wanted),
            }
        )
    answer = subprocess.run(
        [python, str(JUDGE)], input=json.dumps(cases), capture_output=True, text=True, timeout=600, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    verdicts = json.loads(answer.stdout)
    assert len(verdicts) == REQUESTS
    wrong = [
        (case, verdict)
        for case, verdict in zip(cases, verdicts, strict=True)
        if verdict != [case["plan"] is not None, None]
        # Nova's dedicated and shared CPUs are different ones, so that it may find room for both where CPUs are for either.
        and not (case["guest"]["floating"] and case["plan"] is None)
    ]
    assert not wrong, f"{len(wrong)} of {REQUESTS}: {json.dumps(wrong[0])}"
    fitting = sum(case["plan"] is not None for case in cases)
    assert REQUESTS / 5 < fitting < REQUESTS * 4 / 5, "both verdicts are common"
