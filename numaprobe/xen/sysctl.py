"""The sysctl hypercalls, one method each: encode, call, decode in the layout of the negotiated version.

Lists are requested with room to spare: since 4.6 Xen truncates one that does not fit without reporting it, and the
machine may grow between a count and the list. Arrays are passed to Xen filled with its own sentinel, all ones, so that
an entry that it did not write reads as absent.
"""

from __future__ import annotations

from errno import ENOENT
from functools import lru_cache
from struct import unpack

from ..errors import FactError, SourceError
from . import abi, physinfo
from .calls import issue, issue_each
from .facts import CpuPool, CpuTopology, HeapFree, NodeMemory, PhysInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ports import Hypercalls

# "There is none", in words of which there may be thousands.
_NONE = abi.ALL_ONES_32


class Sysctl:
    """The sysctl hypercall in one interface version, as found by :func:`numaprobe.xen.versions.negotiate`.

    Every method raises ``SourceError`` or one of its subclasses with Xen's errno, and ``FactError`` for a broken or
    impossible reply.
    """

    __slots__ = ("calls", "version")

    def __init__(self, calls: Hypercalls, version: int) -> None:
        self.calls = calls
        self.version = version

    def _query(
        self, command: int, payload: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[bytes, tuple[bytes, ...]]:
        return issue(self.calls, abi.SYSCTL, command, _operation(command, self.version, payload), buffers)[1:]

    def physinfo(self) -> PhysInfo:
        """``sysctl physinfo``, refused with ``FactError`` where no machine could look like that."""
        reply, _ = self._query(abi.SYSCTL_PHYSINFO, b"")
        return physinfo.decode(reply, self.version)

    def cpu_topology(self, expected: int) -> tuple[CpuTopology, ...]:
        """``sysctl cputopoinfo`` of every cpu, by cpu number; ``expected`` is a guess at how many there are."""
        if self.version < abi.ROWS_SINCE:
            return self._topology_arrays(expected)
        where = "sysctl cputopoinfo"
        capacity = expected + 1
        while True:
            buffers = ((abi.ROWS_HANDLE_AT, b"\xff" * (capacity * abi.CPUTOPO_ROW.size)),)
            reply, (rows,) = self._query(abi.SYSCTL_CPUTOPOINFO, abi.WORD.pack(capacity), buffers)
            count = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
            # Xen cuts a list that does not fit without a word, so a full one may be a cut one.
            if count < capacity:
                break
            capacity = _more(where, count, capacity, abi.MAX_CPUS)
        return _topology(rows[: count * abi.CPUTOPO_ROW.size])

    def _topology_arrays(self, expected: int) -> tuple[CpuTopology, ...]:
        capacity = expected + 1
        while True:
            absent = b"\xff" * (capacity * abi.WORD.size)
            buffers = tuple([(at, absent) for at in abi.ARRAYS_AT])
            reply, outs = self._query(abi.SYSCTL_CPUTOPOINFO, abi.WORD.pack(capacity - 1), buffers)
            count = _counted("sysctl cputopoinfo", reply, abi.MAX_CPUS)
            if count <= capacity:
                break
            capacity = count + 1
        columns = [unpack(f"<{capacity}I", out)[:count] for out in outs]
        rows = zip(*columns, strict=True)
        return tuple([CpuTopology._make([None if word == _NONE else word for word in row]) for row in rows])

    def numainfo(self, expected: int) -> tuple[tuple[NodeMemory | None, ...], tuple[tuple[int | None, ...], ...]]:
        """``sysctl numainfo``: memory of each node, and the distances between them, by node number."""
        if self.version < abi.ROWS_SINCE:
            return self._numainfo_arrays(expected)
        where = "sysctl numainfo"
        # Node numbers may have gaps, so that the last is often more than the number of nodes.
        capacity = expected + 4
        while True:
            buffers = (
                (abi.ROWS_HANDLE_AT, b"\xff" * (capacity * abi.MEMINFO_ROW.size)),
                (abi.DISTANCE_HANDLE_AT, b"\xff" * (capacity * capacity * abi.WORD.size)),
            )
            reply, (rows, flat) = self._query(abi.SYSCTL_NUMAINFO, abi.WORD.pack(capacity), buffers)
            count = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
            if count < capacity:
                break
            capacity = _more(where, count, capacity, abi.MAX_NODES)
        rows = rows[: count * abi.MEMINFO_ROW.size]
        nodes = [_node(size, free, absent=False) for size, free in abi.MEMINFO_ROW.iter_unpack(rows)]
        return tuple(nodes), _square(flat, count)

    def _numainfo_arrays(
        self, expected: int
    ) -> tuple[tuple[NodeMemory | None, ...], tuple[tuple[int | None, ...], ...]]:
        capacity = expected + 4
        while True:
            sizes = b"\xff" * (capacity * 8)
            buffers = tuple(zip(abi.ARRAYS_AT, (sizes, sizes, b"\xff" * (capacity * capacity * 4)), strict=True))
            reply, outs = self._query(abi.SYSCTL_NUMAINFO, abi.WORD.pack(capacity - 1), buffers)
            count = _counted("sysctl numainfo", reply, abi.MAX_NODES)
            if count <= capacity:
                break
            capacity = count + 4
        memsize, memfree = (unpack(f"<{capacity}Q", out)[:count] for out in outs[:2])
        distances = _square(outs[2], count)
        # Before 4.6 an absent node has sizes 0, as has a node without memory; only the distances distinguish them.
        nodes = [
            _node(size, free, absent=size == 0 and all(way is None for way in distances[node]))
            for node, (size, free) in enumerate(zip(memsize, memfree, strict=True))
        ]
        return tuple(nodes), distances

    def heap_free(self, nodes: Sequence[int | None]) -> list[HeapFree]:
        """``sysctl availheap``: free bytes of each node, or of all nodes for None, and those of them below 4 GiB.

        Xen answers 0 for a node that does not exist.
        """
        ops = [op for at in nodes for op in _heap_operations(self.version, at)]
        free: list[int] = []
        for answer in issue_each(self.calls, abi.SYSCTL, abi.SYSCTL_AVAILHEAP, ops):
            if isinstance(answer, SourceError):
                raise answer
            free.append(abi.AVAILHEAP.unpack_from(answer, abi.AVAILHEAP_AT)[3])
        return [HeapFree(*pair) for pair in zip(free[::2], free[1::2], strict=True)]

    def pci_nodes(self, devices: Sequence[tuple[int, int, int]]) -> list[int]:
        """``sysctl pcitopoinfo`` of (segment, bus, devfn): node, or one of the sentinels, in the order requested."""
        nodes: list[int] = []
        while len(nodes) < len(devices):
            rest = devices[len(nodes) :]
            queried = b"".join([abi.PCI_DEV.pack(*device) for device in rest])
            buffers = ((abi.PCI_DEVS_AT, queried), (abi.PCI_NODES_AT, b"\xff" * (4 * len(rest))))
            reply, (_, answers) = self._query(abi.SYSCTL_PCITOPOINFO, abi.WORD.pack(len(rest)), buffers)
            # Xen may stop early after 64 devices when it has something else to do.
            done = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
            if not 0 < done <= len(rest):
                raise FactError("sysctl pcitopoinfo", str(done), f"of {len(rest)} devices this many were done")
            nodes += unpack(f"<{done}I", answers[: 4 * done])
        return nodes

    def cpupools(self, cpus: int) -> tuple[CpuPool, ...]:
        """``sysctl cpupool_op`` INFO of every pool; ``cpus`` is ``max_cpu_id`` + 1."""
        pools: list[CpuPool] = []
        wanted = 0
        while True:
            try:
                pool = self._cpupool(abi.CPUPOOL_INFO, wanted, cpus)
            except SourceError as error:
                if error.errno == ENOENT:
                    return tuple(pools)
                raise
            if pool.id < wanted or len(pools) > cpus + 1:
                raise FactError("sysctl cpupool_op", str(pool.id), "the list of pools does not end")
            pools.append(pool)
            wanted = pool.id + 1
            if wanted > abi.ALL_ONES_32:
                return tuple(pools)

    def free_cpus(self, cpus: int) -> tuple[int, ...]:
        """``sysctl cpupool_op`` FREEINFO: online cpus in no pool."""
        return self._cpupool(abi.CPUPOOL_FREEINFO, 0, cpus).cpus

    def _cpupool(self, operation: int, pool: int, cpus: int) -> CpuPool:
        # Xen 4.21 and later spoils a bitmap that is narrower than its own, so the width is that of every possible cpu.
        payload, buffers = _pool_question(operation, pool, cpus)
        reply, (bitmap,) = self._query(abi.SYSCTL_CPUPOOL, payload, buffers)
        _, found, scheduler, _, _, domains, _, _ = abi.CPUPOOL.unpack_from(reply, abi.CPUPOOL_AT)
        return CpuPool(id=found, scheduler=scheduler, domains=domains, cpus=bits(bitmap, cpus))

    def scheduler(self) -> int:
        """``sysctl sched_id``: the number of the default scheduler; names are in ``abi.SCHEDULERS``."""
        reply, _ = self._query(abi.SYSCTL_SCHED_ID, b"")
        number: int = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
        return number


@lru_cache(maxsize=1024)
def _operation(command: int, version: int, payload: bytes) -> bytes:
    """A whole operation; most of them are the same in every probe."""
    return (abi.OPERATION_HEADER.pack(command, version) + payload).ljust(abi.SYSCTL_BYTES, b"\0")


@lru_cache(maxsize=512)
def _heap_operations(version: int, node: int | None) -> tuple[bytes, ...]:
    """For any address, and for those that fit in 32 bits."""
    payloads = [abi.AVAILHEAP.pack(0, width, -1 if node is None else node, 0) for width in (0, 32)]
    return tuple([_operation(abi.SYSCTL_AVAILHEAP, version, payload) for payload in payloads])


@lru_cache(maxsize=64)
def _pool_question(operation: int, pool: int, cpus: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]]:
    payload = abi.CPUPOOL.pack(operation, pool, 0, 0, 0, 0, 0, cpus)
    return payload, ((abi.CPUPOOL_BITMAP_AT, bytes((cpus + 7) // 8)),)


# These are the same in every probe but for a machine that was changed, and are decoded once.


@lru_cache(maxsize=2)
def _topology(rows: bytes) -> tuple[CpuTopology, ...]:
    found = abi.CPUTOPO_ROW.iter_unpack(rows)
    return tuple([CpuTopology._make([None if word == _NONE else word for word in row]) for row in found])


@lru_cache(maxsize=64)
def bits(bitmap: bytes, width: int) -> tuple[int, ...]:
    """The numbers of the bits that are set below ``width``, lowest first."""
    return tuple([bit for bit in range(width) if bitmap[bit >> 3] >> (bit & 7) & 1])


def _more(where: str, count: int, capacity: int, most: int) -> int:
    if count > capacity:
        raise FactError(where, str(count), f"more entries than the {capacity} there was room for")
    if capacity > most:
        raise FactError(where, str(count), "more entries than any machine has")
    return capacity * 2


def _counted(where: str, reply: bytes, most: int) -> int:
    last: int = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
    if last >= most:
        raise FactError(where, str(last), "an index higher than any machine has")
    return last + 1


def _node(memsize: int, memfree: int, *, absent: bool) -> NodeMemory | None:
    # A 32-bit all-ones in a 64-bit field is how 4.6 and later say that a node is not there; no size in pages is that.
    if absent or memsize in (abi.ALL_ONES_32, abi.ALL_ONES_64):
        return None
    return NodeMemory(memsize, memfree)


@lru_cache(maxsize=2)
def _square(flat: bytes, count: int) -> tuple[tuple[int | None, ...], ...]:
    words = unpack(f"<{count * count}I", flat[: count * count * 4])
    ways = tuple([None if word == _NONE else word for word in words])
    return tuple([ways[row * count : (row + 1) * count] for row in range(count)])
