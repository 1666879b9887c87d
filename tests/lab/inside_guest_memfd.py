"""Runs in a guest with KVM: a process that has guest_memfd on two nodes, and one thread named as a vcpu.

    inside_guest_memfd.py GROUP NODE=MIB ...

It joins the control group first, then binds and takes each part, says so on its output, and waits for its input to end.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
import threading
from pathlib import Path

KVM_CREATE_VM = 0xAE01
KVM_CREATE_GUEST_MEMFD = 0xC040AED4
SYS_SET_MEMPOLICY = 238  # x86-64
MPOL_BIND = 2
FALLOC_FL_KEEP_SIZE = 1


def vcpu() -> None:
    """A thread with the name that Firecracker gives to one."""
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("fc_vcpu 0")
    threading.Event().wait()


def main(group: str, parts: list[str]) -> None:
    """Take the memory, and keep it."""
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    machine = fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), KVM_CREATE_VM, 0)
    for part in parts:
        node, mib = map(int, part.split("="))
        mask = ctypes.c_ulong(1 << node)
        if libc.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask), 64):
            raise OSError(ctypes.get_errno(), "set_mempolicy")
        request = bytearray(struct.pack("<QQ6Q", mib << 20, 0, *[0] * 6))
        memory = fcntl.ioctl(machine, KVM_CREATE_GUEST_MEMFD, request)
        if libc.fallocate(memory, FALLOC_FL_KEEP_SIZE, 0, mib << 20):
            raise OSError(ctypes.get_errno(), "fallocate")
    threading.Thread(target=vcpu, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
