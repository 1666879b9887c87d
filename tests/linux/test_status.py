"""The status of a process: what makes one that has no memory, and what no kernel writes."""

from __future__ import annotations

import pytest

from numaprobe.errors import FactError
from numaprobe.linux.guests.status import MAX_KB, parse

STATE = b"Name:\tx\nState:\tS (sleeping)\n"


def status(**kb: int) -> bytes:
    return STATE + b"".join(f"{name}:\t{value} kB\n".encode() for name, value in kb.items())


def test_a_process_without_any_memory_of_its_own_has_no_status() -> None:
    """A kernel thread has neither line; kernels before 4.5 have VmRSS only."""
    assert parse("proc/5/status", STATE) is None
    old = parse("proc/5/status", status(VmRSS=8))
    assert old is not None
    assert old.resident is not None
    new = parse("proc/5/status", status(VmRSS=8, RssAnon=4, RssShmem=0))
    assert new is not None
    assert new.anonymous == 4096


def test_a_status_without_a_state_is_none() -> None:
    """A file that was cut off in its first line."""
    with pytest.raises(FactError, match="has no state"):
        parse("proc/5/status", b"Name:\tx\n")


@pytest.mark.parametrize("name", ["RssAnon", "RssShmem", "HugetlbPages", "VmLck", "VmRSS"])
def test_memory_has_a_limit_and_the_line_is_quoted(name: str) -> None:
    """The largest figure is taken, one more is quoted."""
    whole = {"VmRSS": 8, "RssAnon": 4, "RssShmem": 0}
    assert parse("proc/5/status", status(**{**whole, name: MAX_KB})) is not None
    with pytest.raises(FactError, match=f"more memory than can be: '{name}:"):
        parse("proc/5/status", status(**{**whole, name: MAX_KB + 1}))
