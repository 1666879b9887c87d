"""Scanners and readers when memory runs out at any allocation: an error, and every reference dropped once."""

from __future__ import annotations

import subprocess
import sys

import pytest

_testcapi = pytest.importorskip("_testcapi", reason="this Python has no _testcapi, which makes allocations fail")

CODE = """
import _testcapi, sys
from numaprobe import _fast
from numaprobe._fast import MeminfoTable as Table

# Ids and counts above 256 are objects of their own, which a reference dropped twice frees.
MAPS = b"7f00 default file=/x anon=1 N0=1000 N1=2000 kernelpagesize_kB=4\\n7f01 default anon=3000 N2=3000 kernelpagesize_kB=4\\n"
MEMINFO = b"Node 0 MemTotal: 5000 kB\\nNode 0 MemFree: 4000 kB\\n"
ZONES = b"Node 0, zone Normal\\n  low 1000\\n  high 2000\\n  managed 3000\\n  protection: (4000, 5000)\\n"
BUDDY = b"Node 1000, zone Normal 1000 2000\\n"
calls = [
    lambda: _fast.words(b"one 1000\\ntwo 2000\\n", (b"one", b"two", b"none")),
    lambda: _fast.numa_maps(MAPS),
    lambda: _fast.ids(b"1000-1003,2000"),
    lambda: _fast.mask(b"ffffffff,00000000,00000000,00000000,00000000,00000000,00000000,00000000,00000000"),
    lambda: _fast.integers(b"1000 2000 3000"),
    lambda: _fast.fields(b"A: 1000\\nB: 2000\\n", (b"A", b"B")),
    lambda: _fast.zones(ZONES),
    lambda: _fast.buddy_pages(BUDDY),
    lambda: _fast.meminfo_figures([MEMINFO, 2], Table).rows(),
    lambda: _fast.Files("/").read(["proc/version", "no/such"]),
    lambda: _fast.Files("/").listdir("proc/self"),
]
for call in calls:
    wanted = call()
    failed = 0
    for start in range(120):
        for stop in (start + 1, 0):
            try:
                _testcapi.set_nomemory(start, stop)
                call()
            except MemoryError:
                failed += 1
            finally:
                _testcapi.remove_mem_hooks()
            # One that was freed twice stands twice among those that are given out next.
            assert len({id(fresh) for fresh in [[] for _ in range(100)]}) == 100
            assert len({id(fresh) for fresh in [(start, i) for i in range(100)]}) == 100
    assert failed, call
    assert repr(call()) == repr(wanted)
"""


def test_no_allocation_that_fails_is_more_than_an_error() -> None:
    """A reference dropped twice would crash the interpreter, or leave somebody else's number in a result."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CODE], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
