"""What the command line of a program that runs a guest says of the guest.

QEMU's qemu(1), cloud-hypervisor's docs/memory.md and docs/cpu.md, Firecracker's docs/getting-started.md, crosvm's book.
A word that is not understood is passed over: the program took it, so it has a meaning that is not needed here.
"""

from __future__ import annotations

from collections import namedtuple
from functools import lru_cache

from ...errors import FactError
from .. import text
from .facts import CommandLine, GuestNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNITS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
MIB = 20
# Debian and its children still start QEMU as kvm, Red Hat as qemu-kvm.
QEMU = ("qemu-kvm", "kvm")
OTHERS = ("cloud-hypervisor", "firecracker", "crosvm")


def program_of(cmdline: bytes) -> str | None:
    """Which program that runs guests this is, by the name it was started under; None for any other."""
    name = cmdline.partition(b"\0")[0].rpartition(b"/")[2]
    if name.startswith(b"qemu-system-"):
        return "qemu"
    decoded = name.decode("ascii", "replace")
    return "qemu" if decoded in QEMU else decoded if decoded in OTHERS else None


@lru_cache(maxsize=512)
def parse(cmdline: bytes) -> CommandLine | None:
    """The guest that ``/proc/PID/cmdline`` describes; None if that is no program that runs guests."""
    program = program_of(cmdline)
    if program is None:
        return None
    words = cmdline.rstrip(b"\0").decode("utf-8", "replace").split("\0")[1:]
    return _qemu(words) if program == "qemu" else _other(program, words)


def size(written: str, shift: int = 0) -> int | None:
    """Bytes of ``96``, ``512M`` or ``1.5G``; a bare number is in units of 1 << ``shift``. None if it is no size."""
    number = written.strip().lower()
    if number[-2:-1].isalpha() and number.endswith("b"):
        number = number[:-1]
    if number.endswith("i"):
        number = number[:-1]
    if number[-1:] in UNITS and not number.startswith("0x"):
        number, shift = number[:-1], UNITS[number[-1]]
    try:
        if number.startswith("0x"):
            return int(number, 16)
        return int(number) << shift if number.isdigit() else int(float(number) * (1 << shift))
    except (ValueError, OverflowError):
        return None


def pairs(option: str, first: str = "") -> list[tuple[str, str]]:
    """``key=value,flag``; the first part alone is the value of ``first``. A comma in a value is written twice."""
    found = []
    for position, part in enumerate(option.replace(",,", "\0").split(",")):
        key, equal, value = part.replace("\0", ",").partition("=")
        found.append((key, value) if equal else (first, key) if first and not position else (key, "on"))
    return found


def _options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Options of QEMU with the word behind them; one or two dashes are the same."""
    before = None
    for word in words:
        if before is not None:
            yield before, word
            before = None
        if word.startswith("-") and len(word) > 1:
            before = word.lstrip("-")
    if before is not None:
        yield before, ""


class _Backend(namedtuple("_Backend", "size nodes path")):
    __slots__ = ()
    size: int | None
    nodes: tuple[int, ...] | None
    path: str | None


def _qemu(words: list[str]) -> CommandLine:
    name = uuid = memory = vcpus = maximum = None
    starts_paused = False
    paths: list[str] = []
    backends: dict[str, _Backend] = {}
    nodes: list[list[tuple[str, str]]] = []
    main = None
    for option, value in _options(words):
        if option == "name":
            name = dict(pairs(value, "guest")).get("guest", name)
        elif option == "uuid":
            uuid = value.lower()
        elif option == "m":
            memory = size(dict(pairs(value, "size")).get("size", ""), MIB)
        elif option == "smp":
            given = dict(pairs(value, "cpus"))
            vcpus = _count(given.get("cpus")) or vcpus
            maximum = _count(given.get("maxcpus"))
        elif option == "S":
            starts_paused = True
        elif option == "mem-path":
            paths.append(value)
        elif option in ("machine", "M"):
            main = dict(pairs(value, "type")).get("memory-backend", main)
        elif option == "object":
            backends.update(_backend(value))
        elif option == "numa" and value.startswith("node"):
            nodes.append(pairs(value))
    paths += [backend.path for backend in backends.values() if backend.path]
    guest_nodes = tuple([_guest_node(position, given, backends) for position, given in enumerate(nodes)])
    bound = [node.nodes for node in guest_nodes] or ([backends[main].nodes] if main in backends else [])
    return CommandLine(
        "qemu",
        name,
        uuid,
        memory,
        vcpus,
        maximum or vcpus,
        starts_paused,
        guest_nodes or None,
        None if not bound or None in bound else tuple(sorted({n for part in bound for n in part or ()})),
        tuple(paths),
    )


def _count(written: str | None) -> int | None:
    return int(written) if written is not None and written.isascii() and written.isdigit() else None


def _backend(value: str) -> dict[str, _Backend]:
    """One ``-object`` if it is memory: in QEMU's own form, or in JSON (QEMU 6.0), which libvirt writes."""
    if value.startswith("{"):
        from json import loads

        try:
            given = loads(value)
        except ValueError:
            return {}
        if not isinstance(given, dict):
            return {}
        kind, nodes = str(given.get("qom-type", "")), given.get("host-nodes") or ()
        ids = [node for node in nodes if isinstance(node, int)] if isinstance(nodes, (list, tuple)) else []
    else:
        parts = pairs(value, "qom-type")
        given, kind = dict(parts), parts[0][1]
        ids = [node for key, ranges in parts if key == "host-nodes" for node in _ids(ranges) or ()]
    if not kind.startswith("memory-backend-"):
        return {}
    # Only this policy keeps memory on its nodes; preferred and interleave fall back to others.
    bound = tuple(sorted(set(ids))) if given.get("policy") == "bind" and ids else None
    path = given.get("mem-path")
    return {str(given.get("id", "")): _Backend(size(str(given.get("size", ""))), bound, str(path) if path else None)}


def _guest_node(position: int, given: list[tuple[str, str]], backends: dict[str, _Backend]) -> GuestNode:
    words = dict(given)
    number = _count(words.get("nodeid"))
    vcpus = [cpu for key, ranges in given if key == "cpus" for cpu in _ids(ranges) or ()]
    backend = backends.get(words.get("memdev", ""), _Backend(size(words.get("mem", ""), MIB), None, None))
    return GuestNode(
        position if number is None else number,
        backend.size,
        tuple(sorted(vcpus)) if "cpus" in words else None,
        backend.nodes,
    )


def _ids(written: str) -> tuple[int, ...] | None:
    try:
        return text.ids("", written.encode())
    except FactError:
        return None


def _other(program: str, words: list[str]) -> CommandLine:
    """cloud-hypervisor, Firecracker (whose guest is described over a socket) and crosvm."""
    options: dict[str, str] = {}
    for position, word in enumerate(words):
        if word.startswith("--"):
            key, equal, value = word[2:].partition("=")
            options[key] = value if equal else words[position + 1] if position + 1 < len(words) else ""
    cpus = dict(pairs(options.get("cpus", ""), "boot" if program == "cloud-hypervisor" else "num-cores"))
    memory = dict(pairs(options.get("memory" if program == "cloud-hypervisor" else "mem", ""), "size"))
    vcpus = _count(cpus.get("boot", cpus.get("num-cores")))
    name = options.get("id") if program == "firecracker" else options.get("name")
    return CommandLine(
        program,
        name,
        None,
        size(memory.get("size", ""), 0 if program == "cloud-hypervisor" else MIB),
        vcpus,
        _count(cpus.get("max")) or vcpus,
        False,
        None,
        None,
        (memory["file"],) if "file" in memory else (),
    )


def written(line: CommandLine) -> bytes:
    """A command line that says the same to ``parse``, but for ``memory_paths``, and nothing else."""
    if line.program == "qemu":
        words = ["qemu-system-guest", *_written_qemu(line)]
    else:
        boot = "boot" if line.program == "cloud-hypervisor" else "num-cores"
        counts = [(boot, line.vcpus), ("max", line.vcpus_maximum)]
        words = [line.program]
        words += ["--id" if line.program == "firecracker" else "--name", line.name] if line.name is not None else []
        words += ["--cpus", ",".join(f"{key}={count}" for key, count in counts if count is not None)]
        if line.memory is not None:
            words += ["--memory" if line.program == "cloud-hypervisor" else "--mem", f"size={line.memory}b"]
    return "".join(word + "\0" for word in words).encode("utf-8", "surrogateescape")


def _written_qemu(line: CommandLine) -> list[str]:
    words = []
    if line.name is not None:
        words += ["-name", f"guest={line.name.replace(',', ',,')}"]
    if line.uuid is not None:
        words += ["-uuid", line.uuid]
    if line.memory is not None:
        words += ["-m", f"size={line.memory}b"]
    counts = [("cpus", line.vcpus), ("maxcpus", line.vcpus_maximum)]
    smp = ",".join(f"{key}={count}" for key, count in counts if count is not None)
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
