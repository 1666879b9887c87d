"""Hypercalls written down, read back, and refused where they were not recorded."""

from __future__ import annotations

import errno
import json
from contextlib import suppress

import pytest
from fake_xen import SRAT, VERSIONS, FakeXen, two_node_pc
from hypothesis import given
from hypothesis import strategies as st

from numaprobe.errors import NumaprobeError, RecordingError
from numaprobe.sources import transcript
from numaprobe.sources.transcript import RecordingHypercalls, Transcript
from numaprobe.xen.collect import collect

PCI = ["0000:00:01.0"]


def recorded(xen: FakeXen) -> str:
    """The transcript of a whole collection."""
    recorder = RecordingHypercalls(xen)
    collect(recorder, SRAT, PCI)
    return recorder.text()


@pytest.mark.parametrize("release", VERSIONS)
def test_a_replay_gives_the_facts_of_the_machine(release: str) -> None:
    """Recorded and live replies are decoded by the same code."""
    xen = two_node_pc(release, deny={(35, 4): errno.EPERM})
    assert collect(Transcript(recorded(xen)), SRAT, PCI) == collect(xen, SRAT, PCI)


def test_a_replay_is_written_down_as_it_was() -> None:
    """Recording a replay gives the same text."""
    text = recorded(two_node_pc())
    again = RecordingHypercalls(Transcript(text))
    collect(again, SRAT, PCI)
    assert again.text() == text


def test_a_person_can_read_what_was_asked() -> None:
    """A line has the name of its hypercall, and no address."""
    lines = [json.loads(line) for line in recorded(two_node_pc()).splitlines()]
    assert lines[0] == {"numaprobe-transcript": 1}
    assert lines[1]["call"] == "xen_version version"
    numainfo = next(line for line in lines if line.get("call") == "sysctl numainfo")
    assert numainfo["op"] == "110000001500000006 00*127"
    assert numainfo["buffers"] == [[16, "ff*96"], [24, "ff*144"]]
    assert numainfo["reply"] == "110000001500000002 00*127"
    assert numainfo["outs"][1] == "0a000000150000001f0000000a000000 ff*128"


def test_answers_come_in_the_order_recorded_and_the_last_one_stays() -> None:
    """A sampler may therefore query a recording for ever."""
    xen = two_node_pc()
    recorder = RecordingHypercalls(xen)
    ask = (35, 9, bytes.fromhex("0900000015000000 0000000000000000 ffffffff").ljust(136, b"\0"))
    first = recorder.call(*ask)
    xen.nodes[0].memfree += 4096
    second = recorder.call(*ask)
    assert first != second
    replay = Transcript(recorder.text())
    assert [replay.call(*ask) for _ in range(4)] == [first, second, second, second]


def test_refusals_are_recorded_with_their_errno() -> None:
    """A replay raises what the hypervisor raised."""
    recorder = RecordingHypercalls(two_node_pc())
    wrong = (35, 3, bytes.fromhex("0300000099").ljust(136, b"\0"))
    with pytest.raises(PermissionError):
        recorder.call(*wrong)
    with pytest.raises(PermissionError) as caught:
        Transcript(recorder.text()).call(*wrong)
    assert caught.value.errno == errno.EACCES


def test_a_call_that_was_not_recorded_is_refused_by_name() -> None:
    """It may never have been made, or with other arguments."""
    replay = Transcript(recorded(two_node_pc()))
    with pytest.raises(RecordingError, match=r"^the recording does not contain a domctl getdomaininfo call"):
        replay.call(36, 5, bytes(144))
    with pytest.raises(RecordingError, match=r"^the recording does not contain this sysctl numainfo call"):
        replay.call(35, 17, bytes(136))


GOOD = '{"numaprobe-transcript": 1}\n'
LINE = {
    "call": "", "number": 35, "command": 4, "op": "04 00*135", "buffers": [], "result": 0, "reply": "00*136", "outs": []
}  # fmt: skip


def line(**changes: object) -> str:
    """A transcript of one line, with some of its values changed; None takes one away."""
    changed = {name: value for name, value in {**LINE, **changes}.items() if value is not None}
    return GOOD + json.dumps(changed) + "\n"


def test_the_line_that_is_spoiled_below_is_sound() -> None:
    """Each of the next test's cases differs from this in one thing."""
    assert Transcript(line()).call(35, 4, b"\x04".ljust(136, b"\0")) == (0, bytes(136), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "{}",
        "[]",
        "nonsense",
        '{"numaprobe-transcript": 2}',
        GOOD + "{",
        GOOD + "[]",
        GOOD + "{}",
        GOOD + "[" * 100_000,
        line(op=None),
        line(op=5),
        line(op="0"),
        line(op="zz"),
        line(op="04 00*-1"),
        line(op="04 *135"),
        line(op="04 0000*135"),
        line(op="04 00*99999999999999999999"),
        line(op="00*999999999"),
        line(buffers=5),
        line(buffers=[[16]]),
        line(buffers=[[16, "00*8"]]),
        line(number="35"),
        line(number=True),
        line(number=1 << 70),
        line(errno=0),
        line(errno=-1),
        line(errno=5000),
        line(result=None),
        line(result="0"),
        line(reply="00*135"),
        line(outs=["00"]),
        line(outs=None),
    ],
)
def test_a_damaged_transcript_is_one_clear_error(text: str) -> None:
    """Whatever is wrong with it, nothing else escapes."""
    with pytest.raises(RecordingError, match=r"^(a |not a |the )transcript"):
        Transcript(text)


def test_lists_that_no_call_has_are_not_made() -> None:
    """Two bytes of a line become 72 of memory."""
    header = recorded(two_node_pc()).partition("\n")[0]
    for many in ("[" + "[]," * 100_000 + "[]]", '{"outs":[' + "0," * 100_000 + "0]}"):
        with pytest.raises(RecordingError, match="more lists than a hypercall has"):
            Transcript(f"{header}\n{many}\n")


def test_few_characters_cannot_ask_for_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of all runs is bounded, and so is the text."""
    bomb = GOOD + (json.dumps({**LINE, "op": "00*16000000", "reply": "00*16000000"}) + "\n") * 9
    with pytest.raises(RecordingError, match="too many bytes"):
        Transcript(bomb)
    monkeypatch.setattr(transcript, "MAX_TEXT", 100)
    with pytest.raises(RecordingError, match="too large: "):
        Transcript(line())


@given(st.binary(max_size=80), st.sampled_from([b"", b"\0", b"\xff"]), st.integers(0, 40))
def test_any_bytes_come_back_as_they_were(head: bytes, end: bytes, run: int) -> None:
    """Hypothesis makes them short or long, with a run of equal bytes at the end or without."""
    content = head + end * run

    class Echo:
        def call(
            self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
        ) -> tuple[int, bytes, tuple[bytes, ...]]:
            return 7, op, tuple(given for _, given in buffers)

    recorder = RecordingHypercalls(Echo())
    asked = (1, 2, content, ((8, content),))
    answer = recorder.call(*asked)
    assert Transcript(recorder.text()).call(*asked) == answer == (7, content, (content,))


@given(st.data())
def test_a_transcript_with_a_spoiled_line_is_an_error_or_a_machine(data: st.DataObject) -> None:
    """Characters changed, cut or doubled: a typed error, or facts."""
    text = TEXT
    at = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(at, min(len(text), at + 40)))
    put = data.draw(st.text('0123456789abcdef*"[]{},: -\n', max_size=20))
    with suppress(NumaprobeError):
        collect(Transcript(text[:at] + put + text[end:]), SRAT, PCI)


TEXT = recorded(two_node_pc())
