"""Hypercalls written down, and answered again from what was written.

A transcript is text, one JSON object per line, so that people can read the queries and the hypervisor's answers. Bytes
are hexadecimal, with a run of one byte at the end written as ``00*96``. Handles are zero: a transcript contains no
address. A repeated query gets the answers in the order in which they were recorded, and then the last one every time. A
query that was not recorded is refused by name.
"""

from __future__ import annotations

from os import strerror

from ..errors import RecordingError
from ..xen.abi import call_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ports import Hypercalls

    Buffers = tuple[tuple[int, bytes], ...]
    Answer = tuple[int, bytes, tuple[bytes, ...]]
    Request = tuple[int, int, bytes, Buffers]

VERSION = 1

# A machine of 16383 cpus and 64 nodes needs less than a hundredth of this.
MAX_TEXT = 64 << 20
MAX_BYTES = 16 << 20
MAX_SUM = 64 << 20
# What a line costs as well as its bytes: the objects that hold them.
LINE_BYTES = 800

_SHORTEST_RUN = 4


class RecordingHypercalls:
    """Passes hypercalls on to another port and writes down each of them with its result or errno."""

    def __init__(self, port: Hypercalls) -> None:
        self.port = port
        self._lines: list[dict[str, object]] = []

    def call(self, number: int, command: int, op: bytes, buffers: Buffers = ()) -> Answer:
        """Make one hypercall through the other port."""
        line: dict[str, object] = {
            "call": call_name(number, command),
            "number": number,
            "command": command,
            "op": _written(op),
            "buffers": [[offset, _written(given)] for offset, given in buffers],
        }
        try:
            answer = self.port.call(number, command, op, buffers)
        except OSError as error:
            self._lines.append({**line, "errno": error.errno})
            raise
        result, reply, outs = answer
        self._lines.append(
            {**line, "result": result, "reply": _written(reply), "outs": [_written(out) for out in outs]}
        )
        return answer

    def text(self) -> str:
        """The transcript so far."""
        from json import dumps

        lines: list[dict[str, object]] = [{"numaprobe-transcript": VERSION}, *self._lines]
        return "".join([dumps(line) + "\n" for line in lines])


# A call has fewer buffers; an empty list is two bytes in a file, and 72 in memory.
MAX_LISTS = 10_000


class Transcript:
    """Answers hypercalls from a transcript's text; ``RecordingError`` where that is damaged or too large."""

    def __init__(self, text: str) -> None:
        self._answers: dict[Request, list[Answer | int]] = {}
        self._asked: dict[Request, int] = {}
        _load(text, self._answers)

    def call(self, number: int, command: int, op: bytes, buffers: Buffers = ()) -> Answer:
        """The next recorded answer to exactly this question; ``RecordingError`` where there is none."""
        request = (number, command, op, buffers)
        answers = self._answers.get(request)
        if answers is None:
            name = call_name(number, command)
            known = any(other[:2] == request[:2] for other in self._answers)
            raise RecordingError(
                f"the recording does not contain {'this' if known else 'a'} {name} call: record the host again, with "
                "--domains for its guests"
            )
        turn = self._asked.get(request, 0)
        self._asked[request] = turn + 1
        answer = answers[min(turn, len(answers) - 1)]
        if isinstance(answer, int):
            raise OSError(answer, strerror(answer))
        return answer


def _load(text: str, answers: dict[Request, list[Answer | int]]) -> None:
    from json import loads

    if len(text) > MAX_TEXT:
        raise RecordingError(f"the transcript is too large: {len(text)} characters")
    room = _Room()
    number = 0
    try:
        for number, raw in enumerate(_lines(text), 1):
            if raw.count("[") + raw.count("{") > MAX_LISTS or raw.count(",") > MAX_LISTS:
                raise ValueError("more lists than a hypercall has")
            line = loads(raw)
            if number == 1:
                _check_header(line)
                continue
            request, answer = _parsed(line, room)
            answers.setdefault(request, []).append(answer)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordingError(f"the transcript is damaged in line {number}: {error!r:.200}") from error
    if not number:
        raise RecordingError("the transcript is empty")


def _lines(text: str) -> Iterable[str]:
    """The lines one after the other, not all at once."""
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield text[at:end]
        at = end + 1


def _check_header(line: object) -> None:
    if not isinstance(line, dict) or "numaprobe-transcript" not in line:
        raise RecordingError("not a transcript of hypercalls")
    if line["numaprobe-transcript"] != VERSION:
        raise RecordingError(f"a transcript of version {line['numaprobe-transcript']!r:.20}; {VERSION} can be read")


def _parsed(line: dict[str, object], room: _Room) -> tuple[Request, Answer | int]:
    room.take(LINE_BYTES)
    op = room.read(line["op"])
    buffers = tuple([(_number(offset), room.read(given)) for offset, given in _items(line["buffers"], 2)])
    request = (_number(line["number"]), _number(line["command"]), op, buffers)
    if "errno" in line:
        errno = _number(line["errno"])
        if not 0 < errno < 4096:  # the kernel's MAX_ERRNO
            raise ValueError("not an error number")
        return request, errno
    reply = room.read(line["reply"])
    outs = tuple([room.read(out) for (out,) in _items([[out] for out in _list(line["outs"])], 1)])
    if len(reply) != len(op) or [len(out) for out in outs] != [len(given) for _, given in buffers]:
        raise ValueError("an answer that differs in length from the question")
    return request, (_number(line["result"]), reply, outs)


def _number(value: object) -> int:
    if type(value) is not int or abs(value) >> 63:
        raise ValueError("not a number")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _items(value: object, length: int) -> Iterable[list[object]]:
    for item in _list(value):
        if len(_list(item)) != length:
            raise ValueError("a list of another length")
        yield _list(item)


def _written(content: bytes) -> str:
    end = content[-1:]
    head = content.rstrip(end) if end else content
    run = len(content) - len(head)
    if run < _SHORTEST_RUN:
        return content.hex()
    return f"{head.hex()} {end.hex()}*{run}".strip()


class _Room:
    """Reads bytes back, within bounds: a short line may stand for many bytes."""

    def __init__(self) -> None:
        self._left = MAX_SUM

    def take(self, size: int) -> None:
        """Count what else is kept."""
        self._left -= size
        if self._left < 0:
            raise ValueError("too many lines")

    def read(self, written: object) -> bytes:
        if not isinstance(written, str):
            raise TypeError("not bytes in hexadecimal")
        head, star, count = written.partition("*")
        body, _, end = head.rpartition(" ") if star else (head, "", "")
        run = int(count) if star else 0
        size = len(body) // 2 + run
        self._left -= max(size, 0)
        if run < 0 or size > MAX_BYTES or self._left < 0:
            raise ValueError("too many bytes")
        last = bytes.fromhex(end)
        if star and len(last) != 1:
            raise ValueError("not a run of one byte")
        return bytes.fromhex(body) + last * run
