"""Where `tests/lab/install` has put the kernels, hypervisors and toolstacks, and what is not there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "modprobe": "kmod",
    "numactl": "numactl",
    "lstopo-no-graphics": "hwloc-nox",
    "lscpu": "util-linux",
    "setpriv": "util-linux",
}
# sbin is no part of every user's PATH
_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class Missing(Exception):
    """A part of the lab is not installed; the text says which, and how to get it."""


@dataclass(frozen=True)
class Kernel:
    """One suite's Linux: the image QEMU loads and the tree its modules are found in."""

    version: str
    image: Path
    root: Path


@dataclass(frozen=True)
class Xen:
    """One suite's Xen: the unpacked hypervisor and the tree that holds the toolstack of the same release."""

    version: str
    image: Path
    root: Path

    @property
    def programs(self) -> Path:
        return self.root / "usr/lib" / f"xen-{self.version}" / "bin"


def cache() -> Path:
    return Path(os.environ.get("NUMAPROBE_LAB") or Path.home() / ".cache/numaprobe-lab")


def kernel(suite: str) -> Kernel:
    root = cache() / suite / "linux"
    images = sorted(root.glob("boot/vmlinuz-*"))
    if len(images) != 1:
        raise Missing(f"no Linux of {suite} in {root}: run tests/lab/install linux")
    return Kernel(images[0].name.removeprefix("vmlinuz-"), images[0], root)


def xen(suite: str) -> Xen:
    root = cache() / suite / "xen"
    version = root / "version"
    if not version.is_file():
        raise Missing(f"no Xen of {suite} in {root}: run tests/lab/install xen")
    return Xen(version.read_text().strip(), root / "xen.elf", root)


def device_model(suite: str) -> tuple[Path, Path]:
    """The tree of libraries and the program that is the device model of an HVM guest."""
    root = cache() / suite / "device-model"
    programs = [*root.glob("usr/libexec/xen-qemu-system-i386")]
    if not programs:
        raise Missing(f"no device model of {suite} in {root}: run tests/lab/install xen")
    return root, programs[0]


def libvirtd(suite: str) -> Path:
    """The tree with a libvirtd, its driver for QEMU, virsh, and their libraries."""
    root = cache() / suite / "libvirtd"
    if not (root / "usr/sbin/libvirtd").is_file():
        raise Missing(f"no libvirtd of {suite} in {root}: run tests/lab/install libvirt")
    return root


def tool(name: str) -> str:
    """The absolute path of a program of this machine."""
    path = shutil.which(name, path=_SEARCH)
    if path is None:
        raise Missing(f"no {name} (Debian's {TOOLS.get(name, name)}): run tests/lab/install")
    return path


def missing(linux: set[str], hypervisors: set[str]) -> list[str]:
    """One line for each part that is not there, of those that the given suites need."""
    lines: list[str] = []
    for name in TOOLS:
        try:
            tool(name)
        except Missing as error:
            lines.append(str(error))
    for suite in sorted(linux):
        try:
            kernel(suite)
        except Missing as error:
            lines.append(str(error))
    for suite in sorted(hypervisors):
        try:
            xen(suite)
        except Missing as error:
            lines.append(str(error))
    return lines
