"""What a probe of a hypervisor costs in Python: calls counted on recorded transcripts, where no clock is needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import numaprobe
from numaprobe.normalise.xen import from_xen
from numaprobe.sources.opening import TRANSCRIPT, open_source
from numaprobe.sources.transcript import Transcript
from numaprobe.xen.collect import collect

FIXTURES = Path(__file__).parents[1] / "fixtures"
PACKAGE = str(Path(numaprobe.__file__).parent) + os.sep
# Where the recorded answers are looked up, in place of the hypercall.
SOURCES = f"{PACKAGE}sources{os.sep}"


def calls_of(name: str) -> tuple[int, int, int]:
    """Calls of functions of numaprobe, calls that these make of built-in ones, and hypercalls."""
    with open_source(None, FIXTURES / name / "host.tar.gz") as reader:
        content = reader.read((TRANSCRIPT,))[0]
        assert isinstance(content, bytes)
        port = Transcript(content.decode())
        from_xen(collect(port, reader))
        counts = {"call": 0, "c_call": 0, "hypercall": 0}

        def count(frame: FrameType, event: str, _: Any) -> None:
            file = frame.f_code.co_filename
            if event == "call" and file.startswith(SOURCES) and frame.f_code.co_name == "call":
                counts["hypercall"] += 1
            elif event in counts and file.startswith(PACKAGE) and not file.startswith(SOURCES):
                counts[event] += 1

        sys.setprofile(count)
        try:
            from_xen(collect(port, reader))
        finally:
            sys.setprofile(None)
    return counts["call"], counts["c_call"], counts["hypercall"]


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.20"])
@pytest.mark.parametrize("machine", ["one-node", "two-nodes-hole", "four-nodes-memory-only", "numa-fake"])
def test_a_probe_makes_no_more_calls_than_it_did(release: str, machine: str) -> None:
    """A regression shows here without a hypervisor: today there are 11 to 13 calls for each hypercall."""
    calls, built_in, hypercalls = calls_of(f"xen-{release}-{machine}")
    assert 20 < hypercalls <= 30
    assert calls <= 14 * hypercalls
    assert built_in <= 16 * hypercalls
