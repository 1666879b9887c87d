"""Mutated input of every kind: only typed errors in one line, in bounded memory and time, and no impossible figure.

``--fuzz-seconds`` is the time for each kind, ``--fuzz-seed`` chooses another series. A failure names the number of its
input: ``python tests/fuzz/fuzzer.py KIND 60 SEED NUMBER`` makes it again.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import mutate
import pytest

HERE = Path(__file__).parent
KINDS = ("parsers", "trees in memory", "trees", "archives", "transcripts", "commands")

# What is known to be wrong, by kind and what is printed of it. It is to be mended and the line removed.
KNOWN: dict[str, tuple[str, ...]] = {}


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_input_gives_an_answer_or_a_typed_error(kind: str, request: pytest.FixtureRequest) -> None:
    """A child process with limits on memory and time; a crash of the C code ends it, which is seen here."""
    seconds, seed = request.config.getoption("fuzz_seconds"), request.config.getoption("fuzz_seed")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "fuzzer.py", kind, str(seconds), str(seed)],
        capture_output=True, text=True, timeout=60 + 3 * seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert sum(found["outcomes"].values()) > 0, found
    known = KNOWN.get(kind, ())
    new = [text for text in found["failures"] if not any(re.search(pattern, text) for pattern in known)]
    assert new == [], f"seed {seed}: {found['outcomes']}"


def test_the_same_seed_makes_the_same_mutations() -> None:
    """Otherwise no failure could be reproduced."""
    first, again = (
        [mutate.mutated(random.Random(f"7 {i}"), b"Node 0 MemTotal: 12 kB\n") for i in range(50)] for _ in "ab"
    )
    assert first == again
    assert len(set(first)) > 30
