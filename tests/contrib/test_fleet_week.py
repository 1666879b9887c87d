"""The model of Placement in the benchmark of replayed weeks, against the real service."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]


def test_the_model_of_placement_has_the_candidates_of_the_service() -> None:
    """Guests come and go in both, and each time both offer the same cells; else the comparison would be of nothing real."""
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    # In a process of its own: this one may have another embedded ledger.
    words = ["--compare", "--hosts", "8", "--guests", "150", "--seeds", "1-1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet_week", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    found = re.search(
        r"(\d+) guests placed, (\d+) refused, (\d+) released; (\d+) candidates, (\d+) differ", done.stdout
    )
    assert found, done.stderr
    placed, refused, released, offered, differ = map(int, found.groups())
    assert differ == 0
    assert min(placed, refused, released) >= 20, "the week has all three kinds of events"
    assert offered > placed, "there was a choice"
