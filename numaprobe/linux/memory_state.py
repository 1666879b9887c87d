"""Pages that failed and memory blocks, by node: read on request.

Documentation/ABI/testing/sysfs-memory-page-offline and sysfs-devices-memory, Documentation/admin-guide/mm/
memory-hotplug.rst of Linux. ``nodeN/memory_failure`` is there since Linux 6.3.
"""

from __future__ import annotations

from ..named import namedtuple
from . import text
from .source import NODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .source import Source

BLOCKS = "sys/devices/system/memory"
FAILURES = ("total", "recovered", "ignored", "failed", "delayed")
# 8 TiB in blocks of 128 MiB: each costs two files.
MAX_BLOCKS = 65536


class FailureFacts(
    namedtuple("FailureFacts", "total recovered ignored failed delayed", defaults=(None, None, None, None, None))
):
    """``nodeN/memory_failure``: pages with an uncorrected error, and what became of them."""

    __slots__ = ()
    total: int | None
    recovered: int | None
    ignored: int | None
    failed: int | None
    delayed: int | None


class BlockFacts(namedtuple("BlockFacts", "size total online movable", defaults=(None, None, None, None))):
    """The memory blocks of a node: bytes of one, how many, how many online, and how many of those in ZONE_MOVABLE."""

    __slots__ = ()
    size: int | None
    total: int | None
    online: int | None
    movable: int | None


def failures(source: Source, nodes: Sequence[int]) -> dict[int, FailureFacts]:
    """Five files for each node; a node of a kernel without them is left out."""
    found = {}
    paths = [f"node{node}/memory_failure/{name}" for node in nodes for name in FAILURES]
    contents = source.read(paths, NODE) if paths else []
    for position, node in enumerate(nodes):
        start = position * len(FAILURES)
        values = {
            name: source.parsed(text.number, f"{NODE}/node{node}/memory_failure/{name}", content)
            for name, content in zip(FAILURES, contents[start : start + len(FAILURES)], strict=True)
        }
        if any(value is not None for value in values.values()):
            found[node] = FailureFacts(**values)
    return found


def blocks(source: Source, nodes: Sequence[int]) -> dict[int, BlockFacts]:
    """A directory for each node, and two files for each block; nothing where there are none, or too many."""
    content = source.one(f"{BLOCKS}/block_size_bytes")
    size = source.parsed(_hexadecimal, f"{BLOCKS}/block_size_bytes", content)
    found = {}
    for node in nodes:
        names = source.names(f"{NODE}/node{node}", "memory") or []
        numbers = text.suffix_numbers(names, "memory")
        if not numbers or len(numbers) > MAX_BLOCKS:
            continue
        states = source.read([f"memory{number}/state" for number in numbers], BLOCKS)
        if None in states:
            found[node] = BlockFacts(size=size, total=len(numbers))
            continue
        online = [n for n, state in zip(numbers, states, strict=True) if state and state.strip() == b"online"]
        zones = source.read([f"memory{number}/valid_zones" for number in online], BLOCKS) if online else []
        # Of a block that is online the only zone is the one it is in.
        movable = None if None in zones else sum([(zone or b"").split()[:1] == [b"Movable"] for zone in zones])
        found[node] = BlockFacts(size=size, total=len(numbers), online=len(online), movable=movable)
    return found


def _hexadecimal(where: str, content: bytes) -> int:
    from ..errors import FactError

    digits = content.strip(b"\0 \n")
    if not digits or digits.strip(b"0123456789abcdef"):
        raise FactError(where, content, "not a size in hexadecimal digits")
    return int(digits, 16)
