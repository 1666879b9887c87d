"""What the command line of a program that runs a guest specifies about the guest."""

from __future__ import annotations

from . import long_options, qemu
from .facts import CommandLine

# Distributions and releases add to the names of their programs: qemu-kvm-ev, cloud-hypervisor-static,
# firecracker-v1.7.0-x86_64. The kernel keeps the first 15 bytes of a name.
FAMILIES = (
    (b"qemu-system", "qemu"),
    (b"qemu-kvm", "qemu"),
    (b"firecracker", "firecracker"),
    (b"cloud-hyperviso", "cloud-hypervisor"),
    (b"crosvm", "crosvm"),
    (b"stratovirt", "stratovirt"),
)
# Debian and its children still start QEMU as kvm; kvmtool is lkvm.
EXACTLY = {b"kvm": "qemu", b"lkvm": "vmm"}
# Firecracker's jailer takes any file whose name contains this.
WITHIN = b"firecracker"
OTHERS = (b"firecracker-containerd", b"firecracker-ctr", b"firecracker-con")


def family(name: bytes) -> str | None:
    """The family of programs that run guests to which a program of this name belongs; None for any other."""
    if name in EXACTLY:
        return EXACTLY[name]
    if name.startswith(OTHERS):
        return None
    found = next((program for start, program in FAMILIES if name.startswith(start)), None)
    return found or ("firecracker" if WITHIN in name else None)


def program_of(cmdline: bytes) -> str | None:
    """The family of a program by the name it was started under."""
    return family(cmdline.partition(b"\0")[0].rpartition(b"/")[2])


def parse(cmdline: bytes, program: str | None = None) -> CommandLine | None:
    """The guest that ``/proc/PID/cmdline`` describes; None if that is no program that runs guests.

    ``program`` is the family if that is known by other means than the name.
    """
    program = program or program_of(cmdline)
    if program is None:
        return None
    words = cmdline.rstrip(b"\0").decode("utf-8", "replace").split("\0")[1:]
    if program in ("qemu", "stratovirt"):
        return qemu.parse(program, words)
    return CommandLine(program=program) if program == "vmm" else long_options.parse(program, words)


def written(line: CommandLine) -> bytes:
    """A command line that ``parse`` reads the same, except for ``memory_paths``, and that contains nothing else."""
    if line.program in ("qemu", "stratovirt"):
        words = ["qemu-system-guest" if line.program == "qemu" else line.program, *qemu.written(line)]
    else:
        words = [line.program, *([] if line.program == "vmm" else long_options.written(line))]
    return "".join(word + "\0" for word in words).encode("utf-8", "surrogateescape")
