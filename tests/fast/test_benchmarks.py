"""The benchmarks follow the product: a name that moved is found here and not on the day of the next measurement."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["discovery", "imports", "sampling", "xen", "lab_sampling"])
def test_a_benchmark_can_be_imported(module: str) -> None:
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    code = f"import benchmarks.{module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
