"""Parsers of what the witnesses print: independent of numaprobe, so that it can be compared with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

Distances = dict[tuple[int, int], int]  # from, to


@dataclass(frozen=True)
class Numactl:
    """``numactl -H``: cpus and MiB of each node, and the distances."""

    cpus: dict[int, list[int]]
    size: dict[int, int]
    free: dict[int, int]
    distances: Distances


def numactl(text: str) -> Numactl:
    fields: dict[str, dict[int, str]] = {"cpus": {}, "size": {}, "free": {}}
    distances: Distances = {}
    columns: list[int] = []
    for line in text.splitlines():
        if found := re.fullmatch(r"node (\d+) (cpus|size|free):(.*)", line):
            fields[found[2]][int(found[1])] = found[3]
        elif line.startswith("node ") and not line.startswith("node distances"):
            columns = [int(word) for word in line.split()[1:]]
        elif found := re.fullmatch(r" *(\d+): ([\d ]+)", line):
            values = [int(word) for word in found[2].split()]
            distances.update({(int(found[1]), to): value for to, value in zip(columns, values, strict=True)})
    cpus = {node: [int(word) for word in words.split()] for node, words in fields["cpus"].items()}
    mib = {
        name: {node: int(words.removesuffix(" MB")) for node, words in fields[name].items()}
        for name in ("size", "free")
    }
    return Numactl(cpus, mib["size"], mib["free"], distances)


@dataclass(frozen=True)
class LscpuRow:
    """A row of ``lscpu -p``; its core and socket are lscpu's own counting, not the kernel's ids."""

    core: int | None
    socket: int | None
    node: int | None
    online: bool


def lscpu(text: str) -> dict[int, LscpuRow]:
    """The rows of ``lscpu -a -p=CPU,CORE,SOCKET,NODE,ONLINE`` by cpu."""
    rows = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            cpu, core, socket, node, online = line.split(",")
            core_id, socket_id, node_id = (int(word) if word else None for word in (core, socket, node))
            rows[int(cpu)] = LscpuRow(core_id, socket_id, node_id, online == "Y")
    return rows


@dataclass(frozen=True)
class Lstopo:
    """``lstopo --of xml``: bytes of each node, the online threads of each core, and the caches before memory."""

    memory: dict[int, int]
    cores: list[list[int]]
    side_caches: dict[int, list[int]]  # bytes, by node


def lstopo(text: str) -> Lstopo:
    root = ElementTree.fromstring(text)
    memory = {}
    for node in root.iterfind(".//object[@type='NUMANode']"):
        memory[int(node.attrib["os_index"])] = int(node.get("local_memory", 0))
    cores = [
        sorted(int(thread.attrib["os_index"]) for thread in core.iterfind(".//object[@type='PU']"))
        for core in root.iterfind(".//object[@type='Core']")
    ]
    caches: dict[int, list[int]] = {}
    for cache in root.iterfind(".//object[@type='MemCache']"):
        for node in cache.iterfind(".//object[@type='NUMANode']"):
            caches.setdefault(int(node.attrib["os_index"]), []).append(int(cache.attrib["cache_size"]))
    return Lstopo(memory, sorted(cores), caches)


def values(text: str) -> dict[str, str]:
    """The files that the script's ``values`` printed: the line of each by its path, which may have colons itself."""
    lines = (line.rpartition(":") for line in text.splitlines())
    return {path: value.strip() for path, _, value in lines}


def cpu_list(text: str) -> list[int]:
    """``0-3,5`` as numbers."""
    cpus: list[int] = []
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus
