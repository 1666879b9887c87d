"""What was made of a hypervisor's answers that have not changed since, kept in this process.

The hypercalls are made again each time and their answers compared, byte by byte; only what Python makes of them is not
made again. What changes all the time, memory, is never kept, and nothing is of a hypervisor that left a note.
"""

from __future__ import annotations

from ..named import namedtuple
from . import abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ports import BatchHypercalls
    from .facts import CpuInfo, CpuPool, CpuTopology, MapEntry, XenVersion

    Buffers = tuple[tuple[int, bytes], ...]
    Answer = tuple[int, bytes, tuple[bytes, ...]]
    Call = tuple[int, int, bytes, Buffers, Answer | int]

_MOVING = frozenset(
    (
        abi.SYSCTL_PHYSINFO,
        abi.SYSCTL_NUMAINFO,
        abi.SYSCTL_NUMA_MEMINFO,
        abi.SYSCTL_AVAILHEAP,
        abi.SYSCTL_PCITOPOINFO,
    )
)


class Fixed(namedtuple("Fixed", "version sysctl_version shape cpus cpuinfo pools free_cpus scheduler memory_map")):
    """What a hypervisor reports of itself and its machine, but for memory; ``shape`` is how large the machine is."""

    __slots__ = ()
    version: XenVersion
    sysctl_version: int
    shape: tuple[int, ...]
    cpus: tuple[CpuTopology, ...]
    cpuinfo: tuple[CpuInfo | None, ...] | None
    pools: tuple[CpuPool, ...] | None
    free_cpus: tuple[int, ...] | None
    scheduler: int | None
    memory_map: tuple[MapEntry, ...] | None


# The latest, and the calls that it was made of. Threads replace it whole.
_kept: list[tuple[list[Call], Fixed] | None] = [None]


# The pages of each node that firmware's table gives, and what else they depend on.
_pages: list[tuple[object, tuple[int | None, ...]] | None] = [None]


def forget() -> None:
    """Make everything anew, as the first time."""
    _kept[0] = _pages[0] = None


def pages(of: object, make: Callable[[], tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """What ``make`` gives, or gave the last time for an equal ``of``, which is all that it depends on."""
    latest = _pages[0]
    if latest is None or latest[0] != of:
        _pages[0] = latest = (of, make())
    return latest[1]


def keep(port: Watched, fixed: Fixed) -> None:
    """Keep what was made of the calls of a port."""
    _kept[0] = (port.seen, fixed)


def known(port: BatchHypercalls) -> Fixed | None:
    """What was kept, if the hypervisor says the same again."""
    latest = _kept[0]
    return latest[1] if latest is not None and port.unchanged(latest[0]) else None


class Watched:
    """A port that passes on to another one, and keeps each call whose answer does not change all the time."""

    def __init__(self, port: BatchHypercalls) -> None:
        self._port = port
        self.seen: list[Call] = []

    def call(self, number: int, command: int, op: bytes, buffers: Buffers = ()) -> tuple[int, bytes, tuple[bytes, ...]]:
        try:
            answer = self._port.call(number, command, op, buffers)
        except OSError as error:
            self._keep(number, command, op, buffers, error.errno or 0)
            raise
        self._keep(number, command, op, buffers, answer)
        return answer

    def call_each(self, number: int, command: int, ops: Sequence[bytes]) -> list[bytes | int]:
        answers = self._port.call_each(number, command, ops)
        for op, answer in zip(ops, answers, strict=True):
            # What returns no more than that it succeeded can be made at once.
            self._keep(number, command, op, (), answer if isinstance(answer, int) else (0, answer, ()))
        return answers

    def _keep(self, number: int, command: int, op: bytes, buffers: Buffers, answer: Answer | int) -> None:
        if number != abi.SYSCTL or command not in _MOVING:
            self.seen.append((number, command, op, buffers, answer))

    def unchanged(self, seen: Sequence[Call]) -> bool:
        return self._port.unchanged(seen)
