"""Machines recorded from real kernels and hypervisors, each with the model that numaprobe makes of it.

``pytest tests/recording/test_golden.py --rewrite`` writes the expectations anew; read the difference before you commit it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import numaprobe

FIXTURES = Path(__file__).parents[1] / "fixtures"
MACHINES = sorted(path.parent.name for path in FIXTURES.glob("*/host.tar.gz"))


def written(document: dict[str, object]) -> str:
    """JSON with a line for each cell, cpu, device and note, so that a difference shows what changed."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n  ".join(json.dumps(row) for row in value)
            parts.append(f"{json.dumps(key)}: [\n  {rows}\n ]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{" + ",\n ".join(parts) + "}\n"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_recorded_machine_gives_the_expected_model(machine: str, request: pytest.FixtureRequest) -> None:
    """The whole document of the recording equals the committed one."""
    folder = FIXTURES / machine
    host = numaprobe.probe(recording=folder / "host.tar.gz", devices=True, caches=True)
    expectation = folder / "expected.json"
    if request.config.getoption("--rewrite"):
        expectation.write_text(written(host.to_dict()))
    assert json.loads(expectation.read_text()) == json.loads(json.dumps(host.to_dict()))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_fixture_says_why_it_is_there(machine: str) -> None:
    """A fixture without a reason is noise."""
    assert len((FIXTURES / machine / "why.txt").read_text().split()) > 3


def test_there_are_fixtures() -> None:
    """At least ten machines of real kernels, or the tests above check nothing."""
    assert len([machine for machine in MACHINES if not machine.startswith("fake-")]) >= 10
