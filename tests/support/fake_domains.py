"""A hand-made hypervisor with domains: rows of every release, affinities, virtual nodes, and the debug key's text.

As in ``fake_xen`` every offset is a number of its own, counted from the start of the operation or of a row.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from struct import pack_into, unpack_from

from fake_xen import DOMCTL, MEMORY, SYSCTL, VERSIONS, FakeXen, two_node_pc

# release: bytes from row to row
STRIDES = {"4.1": 80, "4.2": 88, "4.3": 96, "4.5": 96, "4.6": 96, "4.9": 96, "4.10.0": 96} | dict.fromkeys(
    ("4.10.1", "4.11", "4.12", "4.14"), 104
)


@dataclass
class FakeDomain:
    """A domain: pages by node, and what Xen says of it."""

    pages: dict[int, int] = field(default_factory=dict)
    flags: int = 0x20
    max_pages: int = 0xFFFFFFFF
    outstanding: int = 0
    shared: int = 0
    paged: int = 0
    vcpus: tuple[tuple[int, ...], ...] = ()  # hard affinity of each
    handle: bytes = bytes(16)
    pool: int = 0
    nodes: tuple[int, ...] = (0, 1)
    vnodes: tuple[tuple[int, tuple[int, ...]], ...] | None = None  # bytes and vcpus of each

    @property
    def total(self) -> int:
        return sum(self.pages.values())


@dataclass
class FakeDomains(FakeXen):
    """See the module's text. ``counts`` makes it a XenServer, which counts pages by node."""

    domains: dict[int, FakeDomain] = field(default_factory=dict)
    stride: int | None = None
    counts: bool = False
    hidden: tuple[int, ...] = ()  # that a policy leaves out of the list
    ring: str = "(XEN) *** Serial input to DOM0 ***\n"
    ring_size: int = 1 << 14
    console_index: int | None = None

    def _answer(self, number: int, command: int, op: bytearray, held: dict[int, bytearray]) -> int:
        handlers = {
            (SYSCTL, 6): self._list,
            (SYSCTL, 1): self._console,
            (SYSCTL, 7): self._debug_key,
            (DOMCTL, 5): self._known,
            (DOMCTL, 14): self._vcpu,
            (DOMCTL, 25): self._affinity,
            (MEMORY, 26): self._vnuma,
        }
        if self.versions[1] >= 0x09:
            handlers[DOMCTL, 69] = self._node_affinity
        if self.counts:
            handlers[DOMCTL, 1101] = self._node_pages
        handler = handlers.get((number, command))
        if handler is None:
            return super()._answer(number, command, op, held)
        handler(op, held)
        return 0

    def _row(self, number: int, domain: FakeDomain, row: bytearray, at: int) -> None:
        version = self.versions[1]
        pack_into("<H", row, at, number)
        pack_into("<IQQ", row, at + 4, domain.flags, domain.total, domain.max_pages)
        if version >= 0x09:
            words, next_at = (domain.outstanding, domain.shared, domain.paged), 48
        elif version >= 0x08:
            words, next_at = (domain.shared, domain.paged), 40
        else:
            words, next_at = (domain.shared,), 32
        pack_into(f"<{len(words)}Q", row, at + 24, *words)
        last = len(domain.vcpus) - 1 if domain.vcpus else 0xFFFFFFFF
        pack_into("<QQIII", row, at + next_at, 0x1234, 99, len(domain.vcpus), last, 7)
        row[at + next_at + 28 : at + next_at + 44] = domain.handle
        pack_into("<I", row, at + next_at + 44, domain.pool)

    def _list(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16}
        first, most = unpack_from("<H2xI", op, 8)
        stride = self.stride or STRIDES.get(self.release, 112)
        found = [number for number in sorted(self.domains) if number >= first and number not in self.hidden][:most]
        for position, number in enumerate(found):
            at = position * stride
            held[16][at : at + stride] = bytes(stride)
            self._row(number, self.domains[number], held[16], at)
        pack_into("<I", op, 24, len(found))

    def _of(self, op: bytearray) -> FakeDomain:
        number = unpack_from("<H", op, 8)[0]
        if number not in self.domains:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return self.domains[number]

    def _known(self, op: bytearray, held: dict[int, bytearray]) -> None:
        self._of(op)

    def _vcpu_of(self, op: bytearray) -> tuple[FakeDomain, int]:
        domain, vcpu = self._of(op), unpack_from("<I", op, 16)[0]
        if vcpu >= len(domain.vcpus):
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return domain, vcpu

    def _vcpu(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert not held
        domain, vcpu = self._vcpu_of(op)
        pack_into("<BBB", op, 20, 1, not vcpu, 0)
        pack_into("<QI", op, 24, 12345, domain.vcpus[vcpu][0])

    def _affinity(self, op: bytearray, held: dict[int, bytearray]) -> None:
        domain, vcpu = self._vcpu_of(op)
        if self.versions[1] < 0x0A:
            assert set(held) == {24}
        else:
            assert set(held) == {24, 40}
            assert unpack_from("<I", op, 20)[0] == 3
            self._bitmap(held[40], unpack_from("<I", op, 48)[0], tuple(range(self.max_cpu_id + 1)))
        self._bitmap(held[24], unpack_from("<I", op, 32)[0], domain.vcpus[vcpu])

    def _node_affinity(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16}
        nodes, width = self._of(op).nodes, unpack_from("<I", op, 24)[0]
        held[16][:] = sum(1 << node for node in nodes).to_bytes(len(held[16]), "little")
        assert width == self.max_node_id + 1

    def _node_pages(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {32}
        assert unpack_from("<I", op, 16)[0] == 0, "only GET_NODE_PAGES reads"
        for node in range(unpack_from("<I", op, 24)[0]):
            pack_into("<Q", held[32], 8 * node, self._of(op).pages.get(node, 0))

    def _vnuma(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert len(op) == 40
        assert set(held) == {16, 24, 32}
        number = unpack_from("<H", op, 0)[0]
        vnodes = self.domains[number].vnodes if number in self.domains else None
        if vnodes is None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        start = 0
        for node, (size, vcpus) in enumerate(vnodes):
            pack_into("<QQII", held[32], 24 * node, start, start + size, 0, node)
            start += size
            for vcpu in vcpus:
                pack_into("<I", held[24], 4 * vcpu, node)
        pack_into("<III", op, 4, len(vnodes), sum(len(vcpus) for _, vcpus in vnodes), len(vnodes))

    def _console(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert set(held) == {16}
        clear, incremental, start = unpack_from("<BB2xI", op, 8)
        assert clear == 0
        end = len(self.ring)
        kept = max(0, end - self.ring_size)
        start = max(start, kept) if incremental else kept
        text = self.ring[start:end].encode()[: len(held[16])]
        held[16][: len(text)] = text
        pack_into("<I", op, 12, start + len(text))
        pack_into("<I", op, 24, len(text))

    def _debug_key(self, op: bytearray, held: dict[int, bytearray]) -> None:
        assert held == {8: bytearray(b"u")}
        assert unpack_from("<I", op, 16)[0] == 1
        self.ring += self.printed()

    def printed(self) -> str:
        """What the key prints in this release."""
        version = VERSIONS[self.release]
        old, middle, new = version < (0x08, 0x08), version < (0x0E, 0x0C), version >= (0x15, 0x16)
        lines = ["'u' pressed -> dumping numa info (" + ("now-0x7:5C2A01D3)" if version[0] < 0x12 else "now = 31585)")]
        for position, (node, made) in enumerate(self.nodes.items()):
            line = f"NODE{node} start->0 size->{made.memsize >> 12}"
            lines.append(
                (f"idx{position} -> " if middle else "") + line + ("" if old else f" free->{made.memfree >> 12}")
            )
            if middle:
                lines.append(f"phys_to_nid(0000000000001000) -> {node} should be {node}")
        lines += ["CPU0...3 -> NODE0", "CPU4...7 -> NODE1", "Memory location of each domain:"]
        for number, domain in self.domains.items():
            lines.append(f"d{number} (total: {domain.total}):" if new else f"Domain {number} (total: {domain.total}):")
            lines += [f"    Node {node}: {domain.pages.get(node, 0)}" for node in self.nodes]
            if domain.vnodes:
                lines += [f"     {len(domain.vnodes)} vnodes, 2 vcpus, guest physical layout:"]
                lines += [f"         {node}: pnode  {node}, vcpus 0" for node in range(len(domain.vnodes))]
                lines += ["           0000000000000000 - 0000000010000000"]
        return "".join(f"(XEN) {line}\n" for line in lines)


def two_node_domains(release: str = "4.17", **changes: object) -> FakeDomains:
    """``fake_xen.two_node_pc`` with the control domain, a paused guest on one node and a running one on both."""
    made = FakeDomains(**{name: getattr(two_node_pc(release), name) for name in FakeXen.__dataclass_fields__})
    made.domains = {
        0: FakeDomain({0: 100_000, 1: 50_000}, vcpus=((0, 1, 2, 3, 4, 5, 6, 7),) * 2),
        1: FakeDomain(
            {1: 51_200},
            flags=0x2 | 0x8 | 0xFF << 16,
            max_pages=52_000,
            outstanding=512,
            vcpus=((4, 5), (4, 5)),
            handle=bytes(range(16)),
            nodes=(1,),
        ),
        7: FakeDomain(
            {0: 10_000, 1: 20_000},
            flags=0x10,
            max_pages=30_000,
            shared=3,
            paged=5,
            vcpus=((0, 4), (1, 5), (2, 6)),
            handle=b"\xab" * 16,
            vnodes=((64 << 20, (0, 1)), (32 << 20, (2,))),
        ),
    }
    for name, value in changes.items():
        setattr(made, name, value)
    return made
