"""Pages that failed and memory blocks, by node: read on request.

Documentation/ABI/testing/sysfs-memory-page-offline and sysfs-devices-memory, Documentation/admin-guide/mm/
memory-hotplug.rst of Linux. ``nodeN/memory_failure`` is there since Linux 6.3.
"""

from __future__ import annotations

from functools import partial

from ..errors import FactError
from ..named import namedtuple
from . import text
from .source import NODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .source import Source

BLOCKS = "sys/devices/system/memory"
FAILURES = ("total", "recovered", "ignored", "failed", "delayed")
# memory_block_state and show_valid_zones of Linux's drivers/base/memory.c; zone names of mm/mmzone.c.
_STATE = partial(text.word, known=("online", "offline", "going-offline"), what="a state of a memory block")
ZONES = frozenset((b"DMA", b"DMA32", b"Normal", b"HighMem", b"Movable", b"Device", b"none"))
# As large as a physical address can be.
MAX_DIGITS = 14
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
    size = block_size(source)
    found = {}
    for node in nodes:
        names = source.names(f"{NODE}/node{node}", "memory") or []
        numbers = text.suffix_numbers(names, "memory")
        if not numbers:
            continue
        if len(numbers) > MAX_BLOCKS:
            source.note(f"{NODE}/node{node}", f"has {len(numbers)} memory blocks, too many to read each of them")
            continue
        of_blocks = states(source, numbers)
        if None in of_blocks:
            found[node] = BlockFacts(size=size, total=len(numbers))
            continue
        online = [number for number, state in zip(numbers, of_blocks, strict=True) if state == "online"]
        paths = [f"memory{number}/valid_zones" for number in online]
        zones = [
            source.parsed(_zone, f"{BLOCKS}/{path}", content)
            for path, content in zip(paths, source.read(paths, BLOCKS) if paths else (), strict=True)
        ]
        # Of a block that is online the only zone is the one it is in.
        movable = None if None in zones else zones.count("Movable")
        found[node] = BlockFacts(size=size, total=len(numbers), online=len(online), movable=movable)
    return found


def block_size(source: Source) -> int | None:
    """Bytes of a memory block."""
    path = f"{BLOCKS}/block_size_bytes"
    return source.parsed(_hexadecimal, path, source.one(path))


def states(source: Source, blocks: Sequence[int]) -> list[str | None]:
    """The states of memory blocks; None for one that is missing or broken."""
    paths = [f"memory{block}/state" for block in blocks]
    return [
        source.parsed(_STATE, f"{BLOCKS}/{path}", content)
        for path, content in zip(paths, source.read(paths, BLOCKS), strict=True)
    ]


def _zone(where: str, content: bytes) -> str:
    words = content.split()
    if not words or words[0] not in ZONES:
        raise FactError(where, content, "not a zone")
    return words[0].decode("ascii")


def _hexadecimal(where: str, content: bytes) -> int:
    digits = content.strip(b"\0 \n")
    if not 0 < len(digits) <= MAX_DIGITS or digits.strip(b"0123456789abcdef") or not int(digits, 16):
        raise FactError(where, content, "not a size in hexadecimal digits")
    return int(digits, 16)
