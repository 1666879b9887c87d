"""What a probe of a hypervisor costs in Python: calls counted on recorded transcripts, where no clock is needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import numaprobe
from numaprobe.named import FEW
from numaprobe.normalise.xen import from_xen
from numaprobe.sources.opening import TRANSCRIPT, open_source
from numaprobe.sources.transcript import Transcript
from numaprobe.xen import kept
from numaprobe.xen.collect import collect

FIXTURES = Path(__file__).parents[1] / "fixtures"
PACKAGE = str(Path(numaprobe.__file__).parent) + os.sep
WARM = FEW + 1
# Where the recorded answers are looked up, in place of the hypercall.
SOURCES = f"{PACKAGE}sources{os.sep}"


class Batches:
    """A port that can make calls at once, as the running hypervisor's can, over one that cannot."""

    def __init__(self, port: Transcript) -> None:
        self.call = port.call
        self.sizes: list[int] = []

    def call_each(self, number: int, command: int, ops: list[bytes]) -> list[bytes | int]:
        self.sizes.append(len(ops))
        answers: list[bytes | int] = []
        for op in ops:
            try:
                answers.append(self.call(number, command, op)[1])
            except OSError as error:
                answers.append(error.errno or 0)
        return answers


class Comparing(Batches):
    """A port that compares answers with what they were, as the running hypervisor's does."""

    def unchanged(self, seen: list[tuple[Any, ...]]) -> bool:
        for number, command, op, buffers, answer in seen:
            try:
                found: Any = self.call(number, command, op, buffers)
            except OSError as error:
                found = error.errno
            if found != answer:
                return False
        return True


def calls_of(name: str, kind: type[Batches] = Batches) -> tuple[int, int, int]:
    """Calls of functions of numaprobe, calls that these make of built-in ones, and hypercalls."""
    kept.forget()
    with open_source(None, FIXTURES / name / "host.tar.gz") as reader:
        content = reader.read((TRANSCRIPT,))[0]
        assert isinstance(content, bytes)
        port = kind(Transcript(content.decode()))
        refused: dict[tuple[int, int], int] = {}
        # Constructors of named tuples are compiled once several values were built.
        for _ in range(WARM):
            from_xen(collect(port, reader, refused=refused))
        counts = {"call": 0, "c_call": 0, "hypercall": 0}

        def count(frame: FrameType, event: str, _: Any) -> None:
            file = frame.f_code.co_filename
            if event == "call" and file.startswith(SOURCES) and frame.f_code.co_name == "call":
                counts["hypercall"] += 1
            elif event in counts and file.startswith(PACKAGE) and not file.startswith(SOURCES):
                counts[event] += 1

        sys.setprofile(count)
        try:
            from_xen(collect(port, reader, refused=refused))
        finally:
            sys.setprofile(None)
    return counts["call"], counts["c_call"], counts["hypercall"]


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.20"])
@pytest.mark.parametrize("machine", ["one-node", "two-nodes-hole", "four-nodes-memory-only", "numa-fake"])
def test_a_probe_makes_no_more_calls_than_it_did(release: str, machine: str) -> None:
    """A regression shows here without a hypervisor: today there are 6 to 9 calls for each hypercall."""
    calls, built_in, hypercalls = calls_of(f"xen-{release}-{machine}")
    assert 20 < hypercalls <= 30
    assert calls <= 9 * hypercalls
    assert built_in <= 9 * hypercalls


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.20"])
@pytest.mark.parametrize("machine", ["one-node", "two-nodes-hole", "four-nodes-memory-only", "numa-fake"])
def test_a_probe_of_a_hypervisor_that_has_not_changed_makes_fewer(release: str, machine: str) -> None:
    """What stands is compared and not decoded; today there are 3 to 6 calls for each hypercall."""
    calls, built_in, hypercalls = calls_of(f"xen-{release}-{machine}", Comparing)
    assert 20 < hypercalls <= 30
    assert calls <= 6.5 * hypercalls
    assert built_in <= 6 * hypercalls


@pytest.mark.parametrize("recording", sorted(FIXTURES.glob("xen-*/host.tar.gz")), ids=lambda path: path.parent.name)
def test_calls_made_at_once_and_one_by_one_give_the_same_facts(recording: Path) -> None:
    """Queries per CPU and per node are one batch where the port can make one."""
    with open_source(None, recording) as reader:
        content = reader.read((TRANSCRIPT,))[0]
        assert isinstance(content, bytes)
        port = Batches(Transcript(content.decode()))
        facts = collect(port, reader)
        assert facts == collect(Transcript(content.decode()), reader)
    present = sum(node is not None for node in facts.nodes)
    if facts.heap is not None:
        assert 2 * present + 2 in port.sizes
    if facts.cpuinfo is not None:
        assert sum(port.sizes) >= len(facts.cpuinfo) + 2 * present
