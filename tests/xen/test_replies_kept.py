"""What one spoiled reply of a hypervisor changes, to the letter: an errno, or a word that is as large as can be.

``tests/xen/replies.txt`` has it. ``pytest tests/xen/test_replies_kept.py --rewrite`` writes it anew; read the difference
before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_domains import FakeDomains, two_node_domains
from fake_xen import SRAT
from kept import agrees, differences, guests_of

from numaprobe.errors import NumaprobeError
from numaprobe.normalise.xen import from_xen
from numaprobe.normalise.xen_domains import from_domains
from numaprobe.probing.domains import ask_xen
from numaprobe.xen.collect import collect

KEPT = Path(__file__).parent / "replies.txt"


class Spoiling:
    """Answers as another hypervisor does, the call with this number excepted."""

    def __init__(self, xen: FakeDomains, at: int, word: int | None, value: int) -> None:
        self.xen, self.at, self.word, self.value = xen, at, word, value
        self.calls: list[tuple[int, int]] = []

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        self.calls.append((number, command))
        spoiled = len(self.calls) - 1 == self.at
        if spoiled and self.word is None:
            raise OSError(self.value, os.strerror(self.value))
        result, reply, outs = self.xen.call(number, command, op, buffers)
        assert len(self.calls) < 3000
        if spoiled and self.word is not None and self.word >= 0:
            changed = bytearray(reply)
            changed[4 * self.word : 4 * self.word + 4] = self.value.to_bytes(4, "little")
            reply = bytes(changed[: len(reply)])
        elif spoiled and self.word is not None:
            outs = tuple(self.value.to_bytes(4, "little") + out[4:] for out in outs)
        return result, reply, outs


def document(xen: Spoiling) -> dict[str, Any]:
    try:
        facts = collect(xen, SRAT, ["0000:00:01.0", "0000:00:02.0"])
        host = from_xen(facts)
        answer = ask_xen(xen)
        domains = from_domains(answer.domains, host, {}, answer.located)
    except NumaprobeError as error:
        return {"error": f"{type(error).__name__}: {error}", "notes": []}
    notes = [*host.notes, *answer.notes, *getattr(domains, "notes", ())]
    return {
        **host.to_dict(),
        "domains": guests_of(domains),
        "complete": answer.complete,
        "notes": [note._asdict() if hasattr(note, "_asdict") else dict(zip(("where", "text"), note)) for note in notes],
    }


def told(release: str) -> Iterator[str]:
    def spoiled(at: int, word: int | None, value: int) -> tuple[Spoiling, dict[str, Any]]:
        xen = Spoiling(two_node_domains(release), at, word, value)
        return xen, document(xen)

    before, whole = spoiled(-1, None, 0)
    kinds: dict[tuple[int, int], int] = {}
    for at, call in enumerate(before.calls):
        # Calls of one kind are alike.
        kinds[call] = kinds.get(call, 0) + 1
        if kinds[call] > 1:
            continue
        ways = [
            (None, 1),
            (None, 22),
            (None, 38),
            (-1, 0xFFFFFFFF),
            (-1, 7),
            *((word, 0xFFFFFFFF) for word in range(2, 16)),
        ]
        for word, value in ways:
            found = spoiled(at, word, value)[1]
            lines = [found["error"]] if "error" in found else list(differences(whole, found, 3))
            if lines:
                what = f"errno {value}" if word is None else f"buffers {value:#x}" if word < 0 else f"word {word}"
                yield f"{release} call {at} {call} {what}"
                yield from (f"  {line}" for line in lines)


def test_a_spoiled_reply_changes_what_it_did(pytestconfig: pytest.Config) -> None:
    """Each word of each kind of reply, of an old release and a new one."""
    agrees(KEPT, (line for release in ("4.2", "4.21") for line in told(release)), pytestconfig)
