"""A host that guests come to and leave: what it has, who holds what, and what an access costs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numaprobe
from numaprobe.model.host import Cell, Cpu, Host, Hypervisor, Memory

T = TypeVar("T")
GIB = 1 << 30
THREADS = 2


@dataclass(frozen=True)
class Guest:
    """One arrival. ``cells`` are the guest's own NUMA cells; one where it has none."""

    number: int
    vcpus: int
    memory: int
    arrives: float
    leaves: float
    cells: int = 1


@dataclass
class Held:
    """What an accepted guest holds. ``own_cells``: it sees its nodes as NUMA cells, and keeps to them by itself."""

    guest: Guest
    nodes: tuple[int, ...]
    memory: dict[int, int]
    vcpus: dict[int, float]
    own_cells: bool = False


@dataclass
class World:
    """Nodes of one size; ids count from 0."""

    distances: tuple[tuple[int, ...], ...]
    memory: int = 64 * GIB
    cpus: int = 32
    free: list[int] = field(default_factory=list)
    held: dict[int, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.free = [self.memory] * self.nodes

    @property
    def nodes(self) -> int:
        return len(self.distances)

    def load(self) -> list[float]:
        """Floating vcpus per node, each counted once."""
        out = [0.0] * self.nodes
        for one in self.held.values():
            for node, vcpus in one.vcpus.items():
                out[node] += vcpus
        return out

    def accept(
        self, guest: Guest, nodes: Sequence[int], memory: dict[int, int] | None = None, *, own_cells: bool = False
    ) -> Held:
        """Take a guest in: Xen's allocator deals memory out evenly over the nodes, and goes on where some is left."""
        memory = self.stripe(nodes, guest.memory) if memory is None else memory
        for node, size in memory.items():
            assert 0 <= size <= self.free[node], "an algorithm took what is not there"
            self.free[node] -= size
        vcpus = {node: guest.vcpus / len(nodes) for node in nodes}
        self.held[guest.number] = one = Held(guest, tuple(nodes), memory, vcpus, own_cells)
        return one

    def stripe(self, nodes: Sequence[int], size: int) -> dict[int, int]:
        out = {}
        order = sorted(nodes, key=lambda node: self.free[node])
        for number, node in enumerate(order):
            out[node] = min(self.free[node], -(-size // (len(order) - number)))
            size -= out[node]
        assert size == 0, "an algorithm took nodes that are too small"
        return out

    def leave(self, number: int) -> None:
        for node, size in self.held.pop(number).memory.items():
            self.free[node] += size

    def cost(self, one: Held) -> float:
        """Expected distance of an access: every vcpu to every byte alike, guest cells each to their own."""
        if one.own_cells:
            return sum(self.distances[node][node] for node in one.nodes) / len(one.nodes)
        total = sum(one.memory.values()) * one.guest.vcpus
        pairs = ((v * m, self.distances[a][b]) for a, v in one.vcpus.items() for b, m in one.memory.items())
        return sum(weight * cost for weight, cost in pairs) / total

    def sharing(self) -> float:
        """The part of all vcpus that has to share a core, were all to run."""
        load = self.load()
        beyond = sum(max(0.0, vcpus - self.cpus / THREADS) for vcpus in load)
        return beyond / sum(load) if sum(load) else 0.0

    def fragmentation(self) -> float:
        """How much of the free memory lies outside the node that has most of it, beyond an even share of one."""
        total = sum(self.free)
        return 1 - max(self.free) / min(total, self.memory) if total else 0.0

    def host(self) -> Host:
        """The world of the moment as numaprobe sees it."""
        cells = tuple(
            made(
                Cell,
                id=node,
                cpus=tuple(range(node * self.cpus, (node + 1) * self.cpus)),
                memory=made(Memory, total=self.memory, free=self.free[node], available=self.free[node]),
                huge_pages=(),
                distances=tuple(enumerate(self.distances[node])),
            )
            for node in range(self.nodes)
        )
        cpus = tuple(self._cpu(number) for number in range(self.nodes * self.cpus))
        hypervisor = made(Hypervisor, name="xen", version="4.20.0", claimed=0)
        return made(Host, source="xen", hypervisor=hypervisor, cells=cells, cpus=cpus, notes=())

    def _cpu(self, number: int) -> Cpu:
        first = number // THREADS * THREADS
        siblings = tuple(range(first, first + THREADS))
        return made(Cpu, id=number, online=True, cell=number // self.cpus, core=first, siblings=siblings)

    def domains(self) -> tuple[numaprobe.Domain, ...]:
        out = []
        for one in self.held.values():
            cpus = tuple(cpu for node in one.nodes for cpu in range(node * self.cpus, (node + 1) * self.cpus))
            affinity = numaprobe.Affinity(cpus, one.nodes)
            n, guest = one.guest.number + 1, one.guest
            out.append(
                made(
                    numaprobe.Domain,
                    id=n,
                    kind="hvm",
                    name=f"g{n}",
                    vcpus=guest.vcpus,
                    memory=guest.memory,
                    cells=tuple(sorted(one.memory.items())),
                    how="exact",
                    affinity=affinity,
                )
            )
        return tuple(out)


def made(kind: type[T], /, **known: object) -> T:
    """A value of the model with the fields that are known, the others None."""
    return kind._make(known.get(name) for name in kind._fields)  # type: ignore[attr-defined,no-any-return]
