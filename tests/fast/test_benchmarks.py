"""The benchmarks follow the product: a name that moved is found here and not on the day of the next measurement."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module", ["discovery", "domains", "imports", "instructions", "lab_sampling", "options", "sampling", "start", "xen"]
)
def test_a_benchmark_can_be_imported(module: str) -> None:
    """Benchmarks use inner names and run rarely, so each is imported in a process of its own."""
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    code = f"import benchmarks.{module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_floor_of_a_hypervisor_makes_the_calls_of_a_probe_and_of_a_sample() -> None:
    """They are listed while numaprobe makes them, on a recorded machine as in the control domain."""
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    code = """
from pathlib import Path
from benchmarks.xen import calls_of
from numaprobe.sources.opening import TRANSCRIPT, open_source
from numaprobe.sources.transcript import Transcript
with open_source(None, Path("tests/fixtures/xen-4.17-two-nodes-hole/host.tar.gz")) as reader:
    sample, probe = calls_of(Transcript(reader.read((TRANSCRIPT,))[0].decode()), reader)
assert [line.split()[:2] for line in sample] == [["35", "17"]], sample
assert len(probe) == 28, len(probe)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
