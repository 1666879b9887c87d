"""What is kept between probes of one hypervisor: never anything that it answers otherwise by now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from numaprobe.errors import NumaprobeError, RecordingError
from numaprobe.sources.opening import TRANSCRIPT, open_source
from numaprobe.sources.transcript import Transcript
from numaprobe.xen import abi, kept
from numaprobe.xen.collect import collect

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDINGS = sorted(FIXTURES.glob("xen-*/host.tar.gz"))
CPUS_AND_NODES = FIXTURES / "xen-4.17-two-nodes-hole/host.tar.gz"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins with nothing kept, and leaves nothing to the others."""
    kept.forget()
    yield
    kept.forget()


class Running:
    """A hypervisor that answers from a transcript, some calls otherwise, and can be asked as the running one can."""

    def __init__(self, text: str) -> None:
        self._port = Transcript(text)
        self.other: dict[tuple[Any, ...], Any] = {}
        self.made: list[tuple[Any, ...]] = []
        self.one_by_one: list[tuple[Any, ...]] = []

    def _answer(self, request: tuple[Any, ...]) -> Any:
        self.made.append(request)
        answer = self.other[request] if request in self.other else self._port.call(*request)
        if isinstance(answer, int):
            raise OSError(answer, "refused")
        return answer

    def call(self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()) -> Any:
        self.one_by_one.append((number, command))
        return self._answer((number, command, op, buffers))

    def call_each(self, number: int, command: int, ops: Sequence[bytes]) -> list[bytes | int]:
        answers: list[bytes | int] = []
        for op in ops:
            try:
                answers.append(self._answer((number, command, op, ()))[1])
            except OSError as error:
                answers.append(error.errno or 0)
        return answers

    def unchanged(self, seen: Sequence[tuple[Any, ...]]) -> bool:
        for *request, expected in seen:
            try:
                found = self._answer(tuple(request))
            except OSError as error:
                found = error.errno
            if found != expected:
                return False
        return True


def running(recording: Path) -> tuple[Running, Any]:
    reader = open_source(None, recording).__enter__()
    content = reader.read((TRANSCRIPT,))[0]
    assert isinstance(content, bytes)
    return Running(content.decode()), reader


def answer(port: Running, reader: Any) -> object:
    try:
        return collect(port, reader)
    except NumaprobeError as error:
        return str(error)


def anew(port: Running, reader: Any) -> object:
    """The same of a process in which nothing was probed before."""
    kept.forget()
    return answer(port, reader)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.parent.name)
def test_a_hypervisor_that_has_not_changed_gives_the_same_facts(recording: Path) -> None:
    """Every recorded one, read three times in one process; the recording without what can be kept is the oracle."""
    port, reader = running(recording)
    first = collect(port, reader)
    assert collect(port, reader) == first == collect(port, reader)
    port.unchanged = None  # type: ignore[method-assign, assignment]
    content = reader.read((TRANSCRIPT,))[0]
    assert first == collect(Transcript(content.decode()), reader)


def altered(answer: Any) -> list[Any]:
    """Other answers to the same call: refused, a bit set or cleared where there is something, and another result."""
    if isinstance(answer, int):
        return []
    result, reply, outs = answer
    found: list[Any] = [1, (result + 1, reply, outs)]
    for place in (16, 20, 24, 40):
        if place < len(reply):
            found.append((result, reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :], outs))
    for i, out in enumerate(outs):
        for place in (0, 4, 9, len(out) // 2):
            if place < len(out):
                other = out[:place] + bytes([out[place] ^ 1]) + out[place + 1 :]
                found.append((result, reply, (*outs[:i], other, *outs[i + 1 :])))
    return found


def test_a_change_of_any_answer_is_seen_by_the_next_probe() -> None:
    """Each call of a probe in turn is answered otherwise; a process that has kept nothing is the oracle."""
    port, reader = running(CPUS_AND_NODES)
    first = answer(port, reader)
    requests = list(dict.fromkeys(port.made))
    seen = 0
    for request in requests:
        try:
            usual = port._port.call(*request)
        except (OSError, RecordingError) as error:
            usual = getattr(error, "errno", None) or 0
        for other in altered(usual):
            assert answer(port, reader) == first
            port.other = {request: other}
            found = answer(port, reader)
            assert found == anew(port, reader), (request[:2], other)
            seen += found != first
            port.other = {}
    assert seen > 2 * len(requests)


def test_a_table_that_what_is_free_contradicts_is_refused_by_a_later_probe_too() -> None:
    """More free memory than firmware's table gives a node: the same note as in a process that has kept nothing."""
    port, reader = running(CPUS_AND_NODES)
    first = collect(port, reader)
    assert first.present_pages is not None
    request = next(request for request in port.made if request[:2] == (abi.SYSCTL, abi.SYSCTL_NUMAINFO))
    result, reply, (rows, ways) = port._port.call(*request)
    size, _ = abi.MEMINFO_ROW.unpack_from(rows)
    crowded = abi.MEMINFO_ROW.pack(size, size) + rows[abi.MEMINFO_ROW.size :]
    port.other = {request: (result, reply, (crowded, ways))}
    found = collect(port, reader)
    assert found.present_pages is None
    assert "more free memory than the table" in str(found.notes)
    assert found == anew(port, reader)


def test_calls_whose_answers_stand_are_not_made_one_by_one() -> None:
    """The second probe makes as many hypercalls, and few of them from Python."""
    port, reader = running(CPUS_AND_NODES)
    refused: dict[tuple[int, int], int] = {}
    collect(port, reader, refused=refused)
    first, single = len(port.made), len(port.one_by_one)
    port.made.clear()
    port.one_by_one.clear()
    collect(port, reader, refused=refused)
    assert first - 2 <= len(port.made) <= first
    assert len(port.one_by_one) == 2 < single
    assert {command for _, command in port.one_by_one} == {abi.SYSCTL_PHYSINFO, abi.SYSCTL_NUMAINFO}


def test_a_hypervisor_that_withholds_something_says_so_each_time() -> None:
    """What left a note is not kept, or the second probe would not have it."""
    port, reader = running(CPUS_AND_NODES)
    request = next(request for request in _requests(port, reader) if request[:2] == (abi.SYSCTL, abi.SYSCTL_SCHED_ID))
    port.other = {request: 13}
    first = anew(port, reader)
    assert "sysctl sched_id" in str(first)
    assert answer(port, reader) == first


def _requests(port: Running, reader: Any) -> list[tuple[Any, ...]]:
    answer(port, reader)
    return port.made
