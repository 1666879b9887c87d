"""From a machine in memory to the host that is made of it, and ways to look at one."""

from __future__ import annotations

from collections.abc import Mapping

from trees import Content, Machine, Shelf

from numaprobe import Host
from numaprobe.linux import collect as linux
from numaprobe.normalise.linux import from_linux


def host(tree: Mapping[str, Content], errors: Mapping[str, int] | None = None, **asked: bool) -> Host:
    return from_linux(linux.collect(Shelf(tree, errors), **asked))


def column(of: Host, field: str) -> dict[int, object]:
    return {cpu.id: getattr(cpu, field) for cpu in of.cpus}


def without(tree: Machine, *endings: str) -> Machine:
    return {path: content for path, content in tree.items() if not path.endswith(endings)}


def renamed(tree: Machine, old: str, new: str) -> Machine:
    return {path.replace(old, new): content for path, content in tree.items()}


def texts(of: Host) -> str:
    return "\n".join(f"{note.where}: {note.text}" for note in of.notes)


def ids_of(content: Content) -> list[int]:
    out: list[int] = []
    for part in str(content).strip().split(","):
        first, _, last = part.partition("-")
        out.extend(range(int(first), int(last or first) + 1))
    return out
