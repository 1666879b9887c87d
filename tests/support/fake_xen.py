"""A hypervisor made by hand: answers hypercalls as a given release of Xen would, layouts and bad habits included.

Every offset below is written out as a number, counted from the start of the operation, and none is taken from the
package, so that a mistake there cannot cancel itself out here. ``cpus`` and ``nodes`` are by number and may have
gaps; a machine may change while it is asked (``before`` runs ahead of each call).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack, pack_into, unpack_from

SYSCTL, DOMCTL, PLATFORM, MEMORY, VERSION = 35, 36, 7, 12, 17
NO_32 = 0xFFFFFFFF

# release: sysctl and domctl version
VERSIONS = {
    "4.1": (0x08, 0x07),
    "4.2": (0x09, 0x08),
    "4.3": (0x0A, 0x09),
    "4.5": (0x0B, 0x0A),
    "4.6": (0x0C, 0x0B),
    "4.9": (0x0F, 0x0D),
    "4.10.0": (0x10, 0x0E),
    "4.10.1": (0x10, 0x0F),
    "4.11": (0x11, 0x10),
    "4.12": (0x12, 0x11),
    "4.14": (0x13, 0x12),
    "4.16": (0x14, 0x14),
    "4.17": (0x15, 0x15),
    "4.20": (0x15, 0x17),
    "4.21": (0x16, 0x17),
    "4.23": (0x16, 0x18),
}


@dataclass
class FakeCpu:
    """A present cpu of the machine."""

    core: int
    socket: int
    node: int
    apic_id: int
    online: bool = True


@dataclass
class FakeNode:
    """An online node: the span of its addresses and what is free, in bytes."""

    memsize: int
    memfree: int
    free_below_4g: int = 0


@dataclass
class FakePool:
    """A cpu pool."""

    scheduler: int
    domains: int
    cpus: tuple[int, ...]


@dataclass
class FakeXen:
    """See the module's text; ``deny`` maps (hypercall, command) to an errno."""

    release: str = "4.17"
    cpus: dict[int, FakeCpu] = field(default_factory=dict)
    nodes: dict[int, FakeNode] = field(default_factory=dict)
    distances: dict[tuple[int, int], int] = field(default_factory=dict)
    total_pages: int = 0
    free_pages: int = 0
    outstanding_pages: int = 0
    e820: list[tuple[int, int, int]] = field(default_factory=list)
    pools: dict[int, FakePool] = field(default_factory=dict)
    free_cpus: tuple[int, ...] = ()
    pci: dict[tuple[int, int, int], int | None] = field(default_factory=dict)
    strings: dict[int, bytes] = field(default_factory=dict)
    sysctl_version: int | None = None
    max_cpu_id: int = 15
    max_node_id: int = 63
    capabilities: int = 0b11
    pci_stops_after: int = 1 << 30
    claims: dict[int, tuple[int, int, int]] | None = None  # a XenServer's: size, free and claimed of each node
    deny: dict[tuple[int, int], int] = field(default_factory=dict)
    before: Callable[[FakeXen, int, int], None] | None = None
    made: list[tuple[int, int]] = field(default_factory=list)

    @property
    def versions(self) -> tuple[int, int]:
        """The sysctl and domctl versions this hypervisor takes."""
        sysctl, domctl = VERSIONS[self.release]
        return self.sysctl_version or sysctl, domctl

    @property
    def layout(self) -> int:
        """The sysctl version that the structures follow."""
        return VERSIONS[self.release][0]

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Answer one hypercall; a handle at an offset where this release has none is a fault."""
        self.made.append((number, command))
        if self.before:
            self.before(self, number, command)
        assert all(op[at : at + 8] == bytes(8) for at, _ in buffers), "a handle that is not zero"
        reply = bytearray(op)
        held = {at: bytearray(given) for at, given in buffers}
        expected_size = {SYSCTL: 136, DOMCTL: 144, PLATFORM: 136}.get(number)
        if expected_size is not None:
            assert len(op) == expected_size
            assert unpack_from("<I", op, 0)[0] == command
            version = unpack_from("<I", op, 4)[0]
            if version != {SYSCTL: self.versions[0], DOMCTL: self.versions[1], PLATFORM: 0x03000001}[number]:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if (number, command) in self.deny:
            code = self.deny[number, command]
            raise OSError(code, os.strerror(code))
        result = self._answer(number, command, reply, held)
        return result, bytes(reply), tuple(bytes(held[at]) for at, _ in buffers)

    def _answer(self, number: int, command: int, op: bytearray, held: dict[int, bytearray]) -> int:
        if number == VERSION:
            return self._version(command, op)
        handlers: dict[tuple[int, int], Callable[[bytearray, dict[int, bytearray]], None]] = {
            (SYSCTL, 3): self._physinfo,
            (SYSCTL, 4): self._sched_id,
            (SYSCTL, 9): self._availheap,
            (SYSCTL, 16): self._rows_of_cpus if self.layout >= 0x0C else self._arrays_of_cpus,
            (SYSCTL, 17): self._rows_of_nodes if self.layout >= 0x0C else self._arrays_of_nodes,
            (SYSCTL, 18): self._cpupool,
            (DOMCTL, 5): self._domain,
            (PLATFORM, 55): self._cpuinfo,
            (MEMORY, 10): self._memory_map,
        }
        if self.layout >= 0x0C:
            handlers[SYSCTL, 22] = self._pci
        if self.claims is not None:
            handlers[SYSCTL, 1117] = self._claims
        handler = handlers.get((number, command))
        if handler is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        handler(op, held)
        return 0

    def _claims(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16}
        assert self.claims is not None
        count = max(self.claims) + 1
        for node in range(min(count, unpack_from("<I", op, 8)[0])):
            pack_into("<QQQ", held[16], 24 * node, *self.claims.get(node, (NO_32, NO_32, 0)))
        pack_into("<I", op, 8, count)

    def _version(self, command: int, op: bytearray) -> int:
        if command == 0:
            major, minor = self.release.split(".")[:2]
            return int(major) << 16 | int(minor)
        text = self.strings.get(command, b"")
        op[: len(text) + 1] = text + b"\0"
        return 0

    def _online(self) -> list[int]:
        return [cpu for cpu, made in sorted(self.cpus.items()) if made.online]

    def _physinfo(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert not held
        common = (2, 4, len(self._online()), self.max_cpu_id, len(self.nodes), self.max_node_id, 2_400_000)
        pack_into("<7I", op, 8, *common)
        pages = (self.total_pages, self.free_pages, 0)
        if self.layout >= 0x15:
            pack_into("<I", op, 8 + 28, self.capabilities)
            pack_into("<5Q", op, 8 + 40, *pages, self.outstanding_pages, self.total_pages + 4096)
            pack_into("<I", op, 8 + 80, 0x178BFBFF)
        elif self.layout >= 0x10:
            pack_into("<I", op, 8 + 28, self.capabilities)
            pack_into("<5Q", op, 8 + 32, *pages, self.outstanding_pages, self.total_pages + 4096)
            pack_into("<I", op, 8 + 72, 0x178BFBFF)
        elif self.layout >= 0x0A:
            pack_into("<4Q", op, 8 + 32, *pages, self.outstanding_pages)
            pack_into("<I", op, 8 + 64, 0x178BFBFF)
            pack_into("<I", op, 8 + 96, self.capabilities)
        else:
            pack_into("<3Q", op, 8 + 32, *pages)
            pack_into("<I", op, 8 + 56, 0x178BFBFF)
            pack_into("<I", op, 8 + 88, self.capabilities)

    def _sched_id(self, op: bytearray, held: dict[int, bytearray]) -> None:
        pack_into("<I", op, 8, 6)

    def _availheap(self, op: bytearray, held: dict[int, bytearray]) -> None:
        least, most, node = unpack_from("<IIi", op, 8)
        assert least == 0
        assert most in (0, 32)
        asked = self.nodes.values() if node == -1 else [self.nodes[node]] if node in self.nodes else []
        pack_into("<Q", op, 24, sum(one.free_below_4g if most else one.memfree for one in asked))

    def _cpu_row(self, cpu: int) -> tuple[int, int, int]:
        made = self.cpus.get(cpu)
        # Before 4.12 an offline cpu is as good as absent.
        if made is None or (self.layout < 0x12 and not made.online):
            return NO_32, NO_32, NO_32
        return made.core, made.socket, made.node

    def _cpu_count(self) -> int:
        return max(self.cpus if self.layout >= 0x12 else self._online()) + 1

    def _rows_of_cpus(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) <= {16}
        count = self._cpu_count()
        if 16 in held:
            count = min(count, unpack_from("<I", op, 8)[0])
            for cpu in range(count):
                pack_into("<III", held[16], 12 * cpu, *self._cpu_row(cpu))
        pack_into("<I", op, 8, count)

    def _arrays_of_cpus(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16, 24, 32}
        last = self._cpu_count() - 1
        for cpu in range(min(last, unpack_from("<I", op, 8)[0]) + 1):
            for at, word in zip((16, 24, 32), self._cpu_row(cpu), strict=True):
                pack_into("<I", held[at], 4 * cpu, word)
        pack_into("<I", op, 8, last)

    def _distance(self, here: int, there: int) -> int:
        if here not in self.nodes or there not in self.nodes:
            return NO_32
        return self.distances.get((here, there), 10 if here == there else 20)

    def _rows_of_nodes(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) <= {16, 24}
        count = max(self.nodes) + 1
        if held:
            count = min(count, unpack_from("<I", op, 8)[0])
        for node in range(count):
            made = self.nodes.get(node)
            if 16 in held:
                sizes = (made.memsize, made.memfree) if made else (NO_32, NO_32)
                pack_into("<QQ", held[16], 16 * node, *sizes)
            for other in range(count if 24 in held else 0):
                pack_into("<I", held[24], 4 * (node * count + other), self._distance(node, other))
        pack_into("<I", op, 8, count)

    def _arrays_of_nodes(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16, 24, 32}
        last = max(self.nodes)
        count = min(last, unpack_from("<I", op, 8)[0]) + 1
        for node in range(count):
            made = self.nodes.get(node)
            pack_into("<Q", held[16], 8 * node, made.memsize if made else 0)
            pack_into("<Q", held[24], 8 * node, made.memfree if made else 0)
            for other in range(count):
                pack_into("<I", held[32], 4 * (node * count + other), self._distance(node, other))
        pack_into("<I", op, 8, last)

    def _bitmap(self, bitmap: bytearray, width: int, cpus: tuple[int, ...]) -> None:
        value = sum(1 << cpu for cpu in cpus)
        own = (self.max_cpu_id + 8) // 8
        whole = value.to_bytes(own, "little")
        wide = (width + 7) // 8
        bitmap[:wide] = whole.ljust(wide, b"\0")[:wide]
        if self.layout >= 0x16 and wide < own:  # the regression of 4.21: the last byte written is Xen's own last
            bitmap[wide - 1] = whole[-1]

    def _cpupool(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {32}
        what, asked = unpack_from("<II", op, 8)
        width = unpack_from("<I", op, 40)[0]
        if what == 7:
            self._bitmap(held[32], width, self.free_cpus)
            return
        assert what == 3, "only INFO and FREEINFO read"
        found = min((pool for pool in self.pools if pool >= asked), default=None)
        if found is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        pool = self.pools[found]
        pack_into("<II", op, 12, found, pool.scheduler)
        pack_into("<I", op, 28, pool.domains)
        self._bitmap(held[32], width, pool.cpus)

    def _pci(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16, 24}
        done = min(unpack_from("<I", op, 8)[0], self.pci_stops_after)
        for index in range(done):
            device = unpack_from("<HBB", held[16], 4 * index)
            node = self.pci.get(device, 0xFFFFFFFE)
            pack_into("<I", held[24], 4 * index, NO_32 if node is None else node)
        pack_into("<I", op, 8, done)

    def _domain(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert not held
        pack_into("<H", op, 16, 0)

    def _cpuinfo(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert not held
        cpu = unpack_from("<I", op, 8)[0]
        made = self.cpus.get(cpu)
        words = (2, NO_32, NO_32) if made is None else (int(made.online), made.apic_id, cpu)
        pack_into("<4I", op, 12, max(self.cpus), *words)

    def _memory_map(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert len(op) == 16
        assert set(held) <= {8}
        if 8 in held and unpack_from("<I", op, 0)[0] < len(self.e820) + 1:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        for index, (address, size, kind) in enumerate(self.e820 if 8 in held else ()):
            pack_into("<QQI", held[8], 20 * index, address, size, kind)
        pack_into("<I", op, 0, len(self.e820))


def fake_srat(
    cpus: list[tuple[int, int]],
    memory: list[tuple[int, int, int]],
    *,
    x2apic: bool = False,
    hot_pluggable: tuple[int, ...] = (),
    disabled: tuple[int, ...] = (),
    revision: int = 3,
) -> bytes:
    """An SRAT of (domain, APIC id) and (domain, base, length); the last two name memory entries by position."""
    body = b""
    for domain, apic_id in cpus:
        if x2apic:
            body += pack("<BBHIIIII", 2, 24, 0, domain, apic_id, 1, 0, 0)
        else:
            high = (domain >> 8).to_bytes(3, "little")
            body += pack("<BBBBIB3sI", 0, 16, domain & 0xFF, apic_id, 1, 0, high, 0)
    for index, (domain, base, length) in enumerate(memory):
        flags = (index not in disabled) | (index in hot_pluggable) << 1
        body += pack("<BBIHQQIIQ", 1, 40, domain, 0, base, length, 0, flags, 0)
    table = bytearray(pack("<4sIBB6s8sI4sIIQ", b"SRAT", 48 + len(body), revision, 0, b"", b"", 1, b"", 1, 1, 0) + body)
    table[9] = -sum(table) & 0xFF
    return bytes(table)


GIB, MIB = 1 << 30, 1 << 20

# The memory of a PC with 4 GiB in two nodes of 2560 and 1536 MiB: the second one's span has the hole below 4 GiB.
PC_E820 = [
    (0, 0x9FC00, 1),
    (0x9FC00, 0x400, 2),
    (0xF0000, 0x10000, 2),
    (0x100000, 3 * GIB - 0x100000 - 0x20000, 1),
    (3 * GIB - 0x20000, 0x20000, 2),
    (0xFEFFC000, 0x4000, 2),
    (4 * GIB, 1 * GIB, 1),
]
PC_MEMORY = [(0, 0, 0xA0000), (0, 0x100000, 2560 * MIB - 0x100000), (1, 2560 * MIB, 512 * MIB), (1, 4 * GIB, GIB)]
PC_TOTAL_PAGES = (0x9FC00 >> 12) + ((3 * GIB - 0x120000) >> 12) + (GIB >> 12)


def two_node_pc(release: str = "4.17", **changes: object) -> FakeXen:
    """Eight cpus and 4 GiB in two nodes, as an emulated PC shows them to Xen."""
    cpus = {cpu: FakeCpu(cpu % 4, cpu // 4, cpu // 4, cpu) for cpu in range(8)}
    made = FakeXen(
        release,
        cpus=cpus,
        nodes={0: FakeNode(2560 * MIB, GIB, GIB), 1: FakeNode(2560 * MIB, GIB + MIB, 256 * MIB)},
        distances={(0, 0): 10, (0, 1): 21, (1, 0): 31, (1, 1): 10},
        total_pages=PC_TOTAL_PAGES,
        free_pages=(2 * GIB + MIB) >> 12,
        outstanding_pages=512,
        e820=list(PC_E820),
        pools={0: FakePool(6, 1, tuple(range(8)))},
        strings={1: b".5", 3: b"xen-3.0-x86_64 hvm-3.0-x86_64 ", 4: b"", 9: b"placeholder dom0_mem=768M"},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def two_node_srat() -> bytes:
    """The table that goes with :func:`two_node_pc`."""
    return fake_srat([(cpu // 4, cpu) for cpu in range(8)], PC_MEMORY)


class FakeFiles:
    """A reader that has a few files."""

    def __init__(self, files: dict[str, bytes | int] | None = None) -> None:
        self.files = files or {}

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        """Contents, or an errno."""
        assert not base
        return [self.files.get(path, errno.ENOENT) for path in paths]

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        """No directory is there."""
        return errno.ENOENT


SRAT = FakeFiles({"sys/firmware/acpi/tables/SRAT": two_node_srat()})
