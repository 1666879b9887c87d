"""Boots a machine under QEMU, runs one shell script on it as root, and brings back what the script wrote."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from . import image, layout, packages
from .machines import FOLDER, Machine

_LAST_LINES = 40
# The time-stamp counter is the one clock read without QEMU's global lock: 64 cpus boot twice as fast with it.
# Emulated, the timer's check fails now and then on a busy host, and the kernel panics over it.
_CLOCK = "tsc=reliable lpj=16000000 no_timer_check"
# A guest that never came to its script says nothing of numaprobe: emulation on a busy host is not always kind.
_BOOTS = 2


class BootFailed(Exception):
    """The guest did not come to the end of its script; the text ends with the last lines of its console."""


@dataclass(frozen=True)
class Result:
    """What a guest left: the exit status of the script, what it printed, and the files it wrote to ``$OUT``."""

    machine: Machine
    status: int
    stdout: str
    stderr: str
    console: str
    out: Path

    def text(self, name: str) -> str:
        return (self.out / name).read_text()

    def printed(self, name: str) -> str:
        """What a command of the collecting script printed, if it succeeded."""
        status = int(self.text(f"{name}.status"))
        complaint = self.out / f"{name}.stderr"
        assert status == 0, f"{name} ended with {status}: {complaint.read_text() if complaint.exists() else ''}"
        return self.text(name)

    def json(self, name: str) -> Any:
        return json.loads(self.printed(name))


class Boot(NamedTuple):
    """A machine, and what makes the script that it runs; the script is made when its parts are known to be there."""

    machine: Machine
    script: Callable[[], str]


class Spent(NamedTuple):
    """Seconds that a machine took: of the clock, and of a cpu, which a busy host does not change much."""

    clock: float
    cpu: float


class Lab:
    """The folder a run works in. Images are made once for each kernel; machines may be booted from many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: dict[tuple[str, tuple[str, ...]], Path] = {}
        self._lock = threading.Lock()
        self.spent: dict[str, Spent] = {}

    def boot(self, machine: Machine, script: str) -> Result:
        """Runs the script with ``OUT`` naming its folder for results. Raises BootFailed, packages.Missing."""
        for turn in range(1, _BOOTS):
            try:
                return self._boot(machine, script, self._folder / f"{machine.name}-{turn}")
            except BootFailed as failed:
                warnings.warn(f"booted once more: {failed}", stacklevel=2)
        return self._boot(machine, script, self._folder / f"{machine.name}-{_BOOTS}")

    def _boot(self, machine: Machine, script: str, folder: Path) -> Result:
        share = folder / "share"
        out = share / "out"
        out.mkdir(parents=True)
        (share / "script").write_text(f"export OUT={image.SHARE}/out\n{machine.before}\n{script}")
        command = [packages.tool("qemu-system-x86_64"), *layout.arguments(machine.layout, machine.chipset)]
        command = [word.replace(FOLDER, str(folder)) for word in command]
        command += self._kernel(machine)
        command += [
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-fsdev",
            "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-fsdev",
            f"local,id=share,path={share},security_model=none",
            # On a bus by name: left alone, QEMU plugs them into whatever bridge a layout adds.
            "-device",
            f"virtio-9p-pci,fsdev=root,mount_tag=hostroot,bus={machine.bus}",
            "-device",
            f"virtio-9p-pci,fsdev=share,mount_tag=share,bus={machine.bus}",
        ]
        log = folder / "console"
        (folder / "command").write_text("\n".join(command))
        began, cpu = time.monotonic(), 0.0
        with log.open("wb") as console:
            qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
            try:
                while qemu.poll() is None:
                    cpu = _cpu_seconds(qemu.pid) or cpu
                    if time.monotonic() - began > machine.seconds:
                        raise subprocess.TimeoutExpired(command, machine.seconds)
                    time.sleep(0.2)
                ending = f"QEMU ended with status {qemu.returncode}"
            except subprocess.TimeoutExpired:
                ending = f"not done after {machine.seconds} s"
            finally:
                if qemu.poll() is None:
                    qemu.kill()
                    qemu.wait()
        self.spent[machine.name] = Spent(time.monotonic() - began, cpu)
        text = log.read_text(errors="replace")
        status = share / "status"
        if not status.is_file():
            last = "\n".join(text.splitlines()[-_LAST_LINES:])
            raise BootFailed(f"{machine.name}: {ending}; its console ends:\n{last}")
        return Result(
            machine,
            int(status.read_text()),
            (share / "stdout").read_text(errors="replace"),
            (share / "stderr").read_text(errors="replace"),
            text,
            out,
        )

    def _kernel(self, machine: Machine) -> list[str]:
        kernel = packages.kernel(machine.suite)
        if machine.xen is None:
            line = f"console=ttyS0 quiet panic=5 {_CLOCK} {machine.options}"
            disk = self._image(kernel, image.LINUX_MODULES + machine.modules)
            return ["-kernel", str(kernel.image), "-initrd", str(disk), "-append", line.strip()]
        disk = self._image(kernel, image.LINUX_MODULES + image.XEN_MODULES)
        # A comma ends the command line of a multiboot module unless it is doubled.
        dom0 = f"console=hvc0 quiet panic=5 {machine.options}".strip().replace(",", ",,")
        line = (
            "console=com1 com1=115200,8n1 loglvl=info conring_size=128k noreboot "
            f"dom0_mem={machine.dom0_mib}M,max:{machine.dom0_mib}M dom0_max_vcpus=2 {machine.xen}"
        )
        hypervisor = packages.xen(machine.suite).image
        return ["-kernel", str(hypervisor), "-append", line.strip(), "-initrd", f"{kernel.image} {dom0},{disk}"]

    def _image(self, kernel: packages.Kernel, modules: tuple[str, ...]) -> Path:
        with self._lock:
            key = (kernel.version, modules)
            if key not in self._images:
                target = self._folder / f"image-{len(self._images)}.gz"
                self._images[key] = image.write(target, kernel, modules)
            return self._images[key]


def _cpu_seconds(pid: int) -> float:
    """What a process has used so far; 0 if it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
