"""QEMU's command line, qemu(1): what it specifies about the guest. StratoVirt takes the same options.

A word that is not understood is passed over: the program took it, so it has a meaning that is not needed here.
"""

from __future__ import annotations

from math import prod

from ...named import namedtuple
from .facts import CommandLine, GuestNode
from .options import MIB, count, ids, pairs, size, total

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# Devices that are memory of the guest beyond -m; the names of virtio-mem end in its bus.
MEMORY_DEVICES = ("pc-dimm", "nvdimm", "virtio-mem", "virtio-pmem")
LEVELS = ("drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads")


class Backend(namedtuple("Backend", "size nodes path", defaults=(None, None, None))):
    """A memory backend: bytes, the nodes that it is bound to, and the file that it maps."""

    __slots__ = ()
    size: int | None
    nodes: tuple[int, ...] | None
    path: str | None


class _Given:
    """What was read of a command line so far."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.uuid: str | None = None
        self.memory: dict[str, str] = {}
        self.smp: dict[str, str] = {}
        self.main: str | None = None
        self.starts_paused = False
        self.elsewhere = False  # -readconfig: the rest is in a file
        self.paths: list[str] = []
        self.backends: dict[str, Backend] = {}
        self.nodes: list[list[tuple[str, str]]] = []
        self.devices: list[str] = []

    def take(self, option: str, value: str) -> None:
        """Understand one option."""
        if option == "name":
            self.name = dict(pairs(value, "guest")).get("guest", self.name)
        elif option == "uuid":
            self.uuid = value.lower()
        elif option == "m":
            self.memory = dict(pairs(value, "size"))
        elif option == "smp":
            self.smp |= dict(pairs(value, "cpus"))
        elif option == "S":
            self.starts_paused = True
        elif option == "mem-path":
            self.paths.append(value)
        elif option in ("machine", "M"):
            self.main = dict(pairs(value, "type")).get("memory-backend", self.main)
        elif option == "object":
            self.backends |= _backend(value)
        elif option == "numa" and value.startswith("node"):
            self.nodes.append(pairs(value))
        elif option == "device":
            self._take_device(value)
        elif option == "readconfig":
            self.elsewhere = True

    def _take_device(self, value: str) -> None:
        given = _json(value) if value.startswith("{") else dict(pairs(value, "driver"))
        if str(given.get("driver", "")).startswith(MEMORY_DEVICES):
            self.devices.append(str(given.get("memdev", "")))

    def configured(self) -> int | None:
        """Bytes of all memory; None where devices may have been added that the command line does not name."""
        base = size(self.memory.get("size", ""), MIB)
        if base is None or self.elsewhere:
            return None
        devices = [self.backends.get(device, Backend()).size for device in self.devices]
        found = total([base, *devices])
        limit = size(self.memory["maxmem"], MIB) if "maxmem" in self.memory else found
        return None if found is None or limit is None or limit > found else found

    def vcpus(self) -> tuple[int | None, int | None]:
        """Vcpus at the start, and how many there may be (machine_parse_smp_config of hw/core/machine-smp.c)."""
        at_start, maximum = count(self.smp.get("cpus")), count(self.smp.get("maxcpus"))
        levels = [count(self.smp[level]) for level in LEVELS if level in self.smp]
        # 0 stands for what QEMU computes.
        known = [number for number in levels if number]
        maximum = maximum or at_start or (prod(known) if known and None not in levels else None)
        return at_start or maximum, maximum


def parse(program: str, words: Iterable[str]) -> CommandLine:
    """The guest that QEMU, or a program that takes its options, was started for."""
    given = _Given()
    for option, value in _options(words):
        given.take(option, value)
    understood = all(count(number) is not None for node in given.nodes for key, number in node if key == "nodeid")
    nodes = given.nodes if understood else []
    guest_nodes = tuple([_guest_node(position, node, given.backends) for position, node in enumerate(nodes)])
    bound = [node.nodes for node in guest_nodes]
    if not bound and given.main in given.backends:
        bound = [given.backends[given.main].nodes]
    vcpus, maximum = given.vcpus()
    return CommandLine(
        program=program,
        name=given.name,
        uuid=given.uuid,
        memory=given.configured(),
        vcpus=vcpus,
        vcpus_maximum=maximum,
        starts_paused=given.starts_paused,
        guest_nodes=guest_nodes or None,
        nodes=None if not bound or None in bound else tuple(sorted({n for part in bound for n in part or ()})),
        memory_paths=(*given.paths, *(backend.path for backend in given.backends.values() if backend.path)),
    )


def _options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Options with the word behind them; one or two dashes are the same."""
    before = None
    for word in words:
        if before is not None:
            yield before, word
            before = None
        if word.startswith("-") and len(word) > 1:
            before = word.lstrip("-")
    if before is not None:
        yield before, ""


def _json(value: str) -> dict[str, Any]:
    from json import loads

    try:
        given = loads(value)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _backend(value: str) -> dict[str, Backend]:
    """One ``-object`` if it is memory: in QEMU's own form, or in JSON (QEMU 6.0), which libvirt writes."""
    given: dict[str, Any]
    if value.startswith("{"):
        given = _json(value)
        kind, nodes = str(given.get("qom-type", "")), given.get("host-nodes") or ()
        bound = list(nodes) if isinstance(nodes, (list, tuple)) and all(map(_is_node, nodes)) else []
    else:
        parts = pairs(value, "qom-type")
        given, kind = dict(parts), parts[0][1]
        bound = _all_ids(parts, "host-nodes") or []
    if not kind.startswith("memory-backend-"):
        return {}
    path = given.get("mem-path")
    return {
        str(given.get("id", "")): Backend(
            size=size(str(given.get("size", ""))),
            # Only this policy keeps memory on its nodes; preferred and interleave fall back to others.
            nodes=tuple(sorted(set(bound))) if given.get("policy") == "bind" and bound else None,
            path=str(path) if path else None,
        )
    }


def _is_node(value: object) -> bool:
    return type(value) is int and value >= 0


def _all_ids(given: Iterable[tuple[str, str]], name: str) -> list[int] | None:
    """The ids of every list under this name; None if one of the lists is not understood."""
    lists = [ids(ranges) for key, ranges in given if key == name]
    return None if None in lists else [number for one in lists for number in one or ()]


def _guest_node(position: int, given: list[tuple[str, str]], backends: dict[str, Backend]) -> GuestNode:
    words = dict(given)
    number = count(words.get("nodeid"))
    vcpus = _all_ids(given, "cpus")
    backend = backends.get(words.get("memdev", ""), Backend(size=size(words.get("mem", ""), MIB)))
    return GuestNode(
        id=position if number is None else number,
        memory=backend.size,
        vcpus=tuple(sorted(vcpus)) if "cpus" in words and vcpus is not None else None,
        nodes=backend.nodes,
    )


def written(line: CommandLine) -> list[str]:
    """Options from which ``parse`` understands the same, but for ``memory_paths``."""
    words = []
    if line.name is not None:
        words += ["-name", f"guest={line.name.replace(',', ',,')}"]
    if line.uuid is not None:
        words += ["-uuid", line.uuid]
    if line.memory is not None:
        words += ["-m", f"size={line.memory}b"]
    counts = [("cpus", line.vcpus), ("maxcpus", line.vcpus_maximum)]
    smp = ",".join(f"{key}={number}" for key, number in counts if number is not None)
    words += ["-smp", smp] if smp else []
    for node in line.guest_nodes or ():
        cpus = "".join(f",cpus={cpu}" for cpu in node.vcpus or ())
        words += [*_object(f"n{node.id}", node.memory, node.nodes)]
        words += ["-numa", f"node,nodeid={node.id}{cpus},memdev=n{node.id}"]
    if line.guest_nodes is None and line.nodes is not None:
        words += [*_object("m", None, line.nodes), "-machine", "none,memory-backend=m"]
    return words + (["-S"] if line.starts_paused else [])


def _object(name: str, memory: int | None, nodes: tuple[int, ...] | None) -> list[str]:
    words = f"memory-backend-ram,id={name}" + ("" if memory is None else f",size={memory}")
    if nodes is not None:
        words += "".join(f",host-nodes={node}" for node in nodes) + ",policy=bind"
    return ["-object", words]
