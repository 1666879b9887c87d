"""The hardware of a guest as a value, and the QEMU arguments that make it so."""

from __future__ import annotations

from dataclasses import dataclass

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Node:
    """One ACPI proximity domain. Linux numbers its nodes anew: those with cpus come first."""

    mib: float = 0  # none: a node without memory
    cpus: tuple[str, ...] = ()  # "0-3"; none: a node of memory only
    initiator: int | None = None  # HMAT: the node whose cpus are nearest


@dataclass(frozen=True)
class Cache:
    """A memory-side cache of a node, as HMAT tells it."""

    node: int
    size_kib: int
    line: int = 64


@dataclass(frozen=True)
class Path:
    """What HMAT says of the way from an initiator's cpus to a target's memory."""

    initiator: int
    target: int
    latency_ns: int
    bandwidth_mib: int  # a second


@dataclass(frozen=True)
class Layout:
    """A machine: nodes, the distances between them by source row and destination column, and its cpus."""

    nodes: tuple[Node, ...]
    distances: Matrix | None = None  # QEMU's own: 10 and 20
    sockets: int = 1
    cores: int = 1
    threads: int = 1
    present: int | None = None  # fewer cpus than there is room for
    cpu: str = "qemu64,-svm"
    paths: tuple[Path, ...] = ()
    caches: tuple[Cache, ...] = ()
    more: tuple[str, ...] = ()  # arguments of QEMU as they are

    @property
    def cpus(self) -> int:
        return self.sockets * self.cores * self.threads

    @property
    def mib(self) -> float:
        return sum(node.mib for node in self.nodes)


def arguments(layout: Layout, chipset: str) -> list[str]:
    """QEMU's arguments for the hardware alone: neither what is booted on it nor its console."""
    hmat = bool(layout.paths or layout.caches)
    present = layout.present or layout.cpus
    smp = f"{present},maxcpus={layout.cpus},sockets={layout.sockets},cores={layout.cores},threads={layout.threads}"
    args = [
        "-accel",
        "tcg,thread=single",
        "-machine",
        chipset + (",hmat=on" if hmat else ""),
        "-cpu",
        layout.cpu,
        "-smp",
        smp,
    ]
    if "-m" not in layout.more:
        args += ["-m", f"{layout.mib}M"]
    for number, node in enumerate(layout.nodes):
        about = [f"node,nodeid={number}"]
        if node.mib:
            args += ["-object", f"memory-backend-ram,id=ram{number},size={node.mib}M"]
            about.append(f"memdev=ram{number}")
        about += [f"cpus={cpus}" for cpus in node.cpus]
        if node.initiator is not None:
            about.append(f"initiator={node.initiator}")
        args += ["-numa", ",".join(about)]
    for source, row in enumerate(layout.distances or ()):
        for target, value in enumerate(row):
            if source != target:
                args += ["-numa", f"dist,src={source},dst={target},val={value}"]
    for path in layout.paths:
        about_path = f"hmat-lb,initiator={path.initiator},target={path.target},hierarchy=memory,data-type=access-"
        args += ["-numa", f"{about_path}latency,latency={path.latency_ns}"]
        args += ["-numa", f"{about_path}bandwidth,bandwidth={path.bandwidth_mib}M"]
    for cache in layout.caches:
        args += [
            "-numa",
            f"hmat-cache,node-id={cache.node},size={cache.size_kib}K,level=1,associativity=direct,"
            f"policy=write-back,line={cache.line}",
        ]
    return args + list(layout.more)
