"""Small machines as dictionaries of path and text, and readers over them.

A value is a file's text or bytes, None for an empty directory, or a ``Link`` with the target of a symbolic link.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from errno import EINVAL, EISDIR, ENOENT, ENOTDIR
from pathlib import Path

NODE = "sys/devices/system/node"
CPU = "sys/devices/system/cpu"


class Link(str):
    """Target of a symbolic link."""

    __slots__ = ()


Content = str | bytes | None
Machine = dict[str, Content]


def fold(ids: Sequence[int]) -> str:
    """Ids in list format, one range or number each, with the newline that the kernel ends with."""
    out: list[list[int]] = []
    for number in sorted(ids):
        if out and number == out[-1][1] + 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out) + "\n"


def mask(ids: Sequence[int]) -> str:
    """Ids in mask format: words of 32 bits, the highest first."""
    value = sum(1 << number for number in ids)
    words: list[str] = []
    while value or not words:
        words.append(f"{value & 0xFFFFFFFF:08x}")
        value >>= 32
    return ",".join(reversed(words)) + "\n"


def meminfo(node: int | None, total_kb: int, free_kb: int, **more_kb: int) -> str:
    """``meminfo`` of a node, or of the machine for None; further fields by keyword, ``Active_file`` for Active(file)."""
    start = "" if node is None else f"Node {node} "
    lines = [f"{start}MemTotal:  {total_kb:9} kB", f"{start}MemFree:   {free_kb:9} kB"]
    for name, value in more_kb.items():
        lines.append(f"{start}{name.replace('_file', '(file)')}:   {value:9} kB")
    lines.append(f"{start}HugePages_Total:     0")
    return "\n".join(lines) + "\n"


def machine(
    cells: Mapping[int, Sequence[int]],
    *,
    threads: int = 1,
    distances: Mapping[int, Sequence[int]] | None = None,
    memory_kb: int = 4 << 20,
) -> Machine:
    """A modern kernel's tree: ids of cells and their cpus, a package per cell, cores of that many adjoining cpus."""
    cpus = sorted(cpu for members in cells.values() for cpu in members)
    tree: Machine = {
        f"{CPU}/online": fold(cpus),
        f"{CPU}/present": fold(cpus),
        f"{CPU}/possible": fold(cpus),
        f"{CPU}/isolated": "\n",
        f"{NODE}/online": fold(list(cells)),
        f"{NODE}/possible": fold(list(cells)),
    }
    for position, (cell, members) in enumerate(cells.items()):
        tree[f"{NODE}/node{cell}/cpulist"] = fold(members) if members else "\n"
        tree[f"{NODE}/node{cell}/meminfo"] = meminfo(cell, memory_kb, memory_kb // 2)
        row = distances[cell] if distances else [10 if other == cell else 20 for other in cells]
        tree[f"{NODE}/node{cell}/distance"] = " ".join(map(str, row)) + "\n"
        for i, cpu in enumerate(members):
            topology = f"{CPU}/cpu{cpu}/topology"
            core = i // threads
            tree[f"{topology}/physical_package_id"] = f"{position}\n"
            tree[f"{topology}/package_cpus_list"] = fold(members)
            tree[f"{topology}/core_id"] = f"{core}\n"
            tree[f"{topology}/core_cpus_list"] = fold(members[core * threads : (core + 1) * threads])
    return tree


def plant(root: Path, tree: Mapping[str, Content]) -> Path:
    """Write a machine below a directory, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    for path, content in tree.items():
        target = root / path
        if not os.path.realpath(target.parent).startswith(os.path.realpath(root)):
            raise ValueError(f"{path} would be written outside, through a link")
        if content is None:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            target.symlink_to(content)
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def pack(
    tree: Mapping[str, Content],
    *,
    prefix: str = "",
    kind: int = tarfile.GNU_FORMAT,
    members: Sequence[tuple[tarfile.TarInfo, bytes]] = (),
) -> bytes:
    """A plain tar archive of a machine, with members of any kind behind it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for path, content in tree.items():
            member = tarfile.TarInfo(prefix + path)
            data = b""
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, Link):
                member.type = tarfile.SYMTYPE
                member.linkname = str(content)
            else:
                data = content.encode() if isinstance(content, str) else content
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


class Shelf:
    """``Reader`` over a machine in memory; a path in ``errors`` gives its errno. Links are not followed."""

    def __init__(self, tree: Mapping[str, Content], errors: Mapping[str, int] | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.directories: dict[str, set[str]] = {"": set()}
        self.links: dict[str, str] = {}
        self.errors = dict(errors or {})
        self.opened: list[str] = []
        for path, content in tree.items():
            if isinstance(content, Link):
                self.links[path] = str(content)
            elif content is None:
                self.directories.setdefault(path, set())
            else:
                self.files[path] = content.encode() if isinstance(content, str) else content
            rest = path
            while rest:
                rest, _, name = rest.rpartition("/")
                self.directories.setdefault(rest, set()).add(name)

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        return [self._read(os.path.normpath(f"{base}/{path}" if base else path)) for path in paths]

    def _read(self, path: str) -> bytes | int:
        self.opened.append(path)
        if path in self.errors:
            return self.errors[path]
        if path in self.files:
            return self.files[path]
        return EISDIR if path in self.directories else ENOENT

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        if path in self.errors:
            return self.errors[path]
        if path in self.files:
            return ENOTDIR
        if path not in self.directories:
            return ENOENT
        return sorted(name for name in self.directories[path] if name.startswith(prefix))

    def readlink(self, path: str) -> str | int:
        if path in self.errors:
            return self.errors[path]
        there = path in self.files or path in self.directories
        return self.links.get(path, EINVAL if there else ENOENT)
