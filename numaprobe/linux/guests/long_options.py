"""Command lines of cloud-hypervisor (docs/memory.md, docs/cpu.md), Firecracker and crosvm: ``--option value ...``.

Firecracker's guest is described over a socket, so that only its name is in the command line.
"""

from __future__ import annotations

from ...named import namedtuple
from .facts import CommandLine, GuestNode
from .options import MIB, count, ids, pairs, size, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Zone(namedtuple("Zone", "size node path", defaults=(None, None, None))):
    """A memory zone of cloud-hypervisor: bytes, the host's node that it is bound to, and the file that it maps."""

    __slots__ = ()
    size: int | None
    node: int | None
    path: str | None


def parse(program: str, words: Sequence[str]) -> CommandLine:
    """The guest that one of these programs was started for."""
    options = _options(words)
    if program == "cloud-hypervisor":
        return _cloud_hypervisor(options)
    cpus = dict(pairs(_first(options, "cpus"), "num-cores"))
    memory = dict(pairs(_first(options, "mem"), "size"))
    vcpus = count(cpus.get("num-cores"))
    return CommandLine(
        program=program,
        name=_first(options, "id" if program == "firecracker" else "name") or None,
        memory=size(memory.get("size", ""), MIB),
        vcpus=vcpus,
        vcpus_maximum=count(cpus.get("max")) or vcpus,
    )


def _options(words: Sequence[str]) -> dict[str, list[str]]:
    """The words behind each option, up to the next one."""
    options: dict[str, list[str]] = {}
    current: list[str] = []
    for word in words:
        if word.startswith("--"):
            key, equal, value = word[2:].partition("=")
            current = options.setdefault(key, [])
            current += [value] if equal else []
        else:
            current.append(word)
    return options


def _first(options: dict[str, list[str]], name: str) -> str:
    return next(iter(options.get(name, ())), "")


def _cloud_hypervisor(options: dict[str, list[str]]) -> CommandLine:
    cpus = dict(pairs(_first(options, "cpus"), "boot"))
    memory = dict(pairs(_first(options, "memory"), "size"))
    given = [dict(pairs(word)) for word in options.get("memory-zone", ())]
    zones = {zone.get("id", ""): _zone(zone) for zone in given}
    base = size(memory.get("size", ""))
    # What virtio-mem may add is the guest's to take at any time.
    more = [size(words["hotplug_size"]) for words in (memory, *given) if "hotplug_size" in words]
    numa = [dict(pairs(word)) for word in options.get("numa", ())]
    understood = all(count(words.get("guest_numa_id", "0")) is not None for words in numa)
    guest_nodes = tuple([_guest_node(words, zones) for words in numa]) if understood else ()
    vcpus = count(cpus.get("boot"))
    uuid = dict(pairs(_first(options, "platform"))).get("uuid")
    return CommandLine(
        program="cloud-hypervisor",
        name=_first(options, "name") or None,
        uuid=None if uuid is None else uuid.lower(),
        memory=total([base, *(zone.size for zone in zones.values()), *more]),
        vcpus=vcpus,
        vcpus_maximum=count(cpus.get("max")) or vcpus,
        guest_nodes=guest_nodes or None,
        nodes=None if base else _bound(list(zones.values())),
        memory_paths=tuple([path for path in (memory.get("file"), *(zone.path for zone in zones.values())) if path]),
    )


def _zone(given: dict[str, str]) -> Zone:
    return Zone(size=size(given.get("size", "")), node=count(given.get("host_numa_node")), path=given.get("file"))


def _bound(zones: list[Zone]) -> tuple[int, ...] | None:
    """The nodes that all of the zones are bound to."""
    nodes = {zone.node for zone in zones if zone.node is not None}
    return tuple(sorted(nodes)) if zones and all(zone.node is not None for zone in zones) else None


def _guest_node(given: dict[str, str], zones: dict[str, Zone]) -> GuestNode:
    here = [zones.get(name, Zone()) for name in given.get("memory_zones", "").split(",") if name]
    return GuestNode(
        id=count(given.get("guest_numa_id")) or 0,
        memory=total([zone.size for zone in here]),
        vcpus=ids(given["cpus"]) if "cpus" in given else None,
        nodes=_bound(here),
    )


def written(line: CommandLine) -> list[str]:
    """Options from which ``parse`` understands the same, but for ``memory_paths``."""
    if line.program != "cloud-hypervisor":
        words = [] if line.name is None else ["--id" if line.program == "firecracker" else "--name", line.name]
        words += ["--cpus", _cpus("num-cores", line)]
        return words + ([] if line.memory is None else ["--mem", f"size={line.memory}b"])
    words = [] if line.name is None else ["--name", line.name]
    words += [] if line.uuid is None else ["--platform", f"uuid={line.uuid}"]
    words += ["--cpus", _cpus("boot", line)]
    zones: list[str] = []
    nodes: list[str] = []
    for node in line.guest_nodes or ():
        names = _write_zones(zones, f"n{node.id}-", node.memory, node.nodes)
        cpus = "" if node.vcpus is None else f",cpus=[{','.join(map(str, node.vcpus))}]"
        nodes.append(f"guest_numa_id={node.id}{cpus},memory_zones=[{','.join(names)}]")
    rest = None if line.memory is None else line.memory - sum(node.memory or 0 for node in line.guest_nodes or ())
    if line.guest_nodes is None and line.nodes is not None:
        _write_zones(zones, "z", line.memory, line.nodes)
        rest = None if line.memory is None else 0
    words += [] if rest is None else ["--memory", f"size={rest}b"]
    words += ["--memory-zone", *zones] if zones else []
    return words + (["--numa", *nodes] if nodes else [])


def _cpus(first: str, line: CommandLine) -> str:
    counts = [(first, line.vcpus), ("max", line.vcpus_maximum)]
    return ",".join(f"{key}={number}" for key, number in counts if number is not None)


def _write_zones(zones: list[str], prefix: str, memory: int | None, nodes: tuple[int, ...] | None) -> list[str]:
    """One zone for each node, the first with all of the memory; their names."""
    names = []
    for position, node in enumerate(nodes or (None,)):
        names.append(f"{prefix}{position}")
        amount = "" if memory is None else f",size={0 if position else memory}b"
        zones.append(f"id={names[-1]}{amount}" + ("" if node is None else f",host_numa_node={node}"))
    return names
