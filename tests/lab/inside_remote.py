"""Runs in a guest: a process that looks like a guest with one vcpu, which reaches the same memory again and again.

    inside_remote.py MIB NODE FILE

Its memory is bound to a node in a way that lets NUMA balancing look at it and not move it. The vcpu's thread runs on the
cpu whose number FILE has.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from pathlib import Path

SYS_SET_MEMPOLICY = 238  # x86-64
MPOL_BIND_AND_BALANCE = 2 | 1 << 13  # MPOL_BIND | MPOL_F_NUMA_BALANCING
LIBC = ctypes.CDLL(None, use_errno=True)


def bind(node: int) -> None:
    mask = ctypes.c_ulong(1 << node)
    if LIBC.syscall(SYS_SET_MEMPOLICY, MPOL_BIND_AND_BALANCE, ctypes.byref(mask), 64):
        raise OSError(ctypes.get_errno(), "set_mempolicy")


def vcpu(memory: mmap.mmap, node: int, where: Path) -> None:
    bind(node)
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("fc_vcpu 0")
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    last = ""
    while True:
        cpu = where.read_text().strip()
        if cpu != last:
            os.sched_setaffinity(0, {int(cpu)})
            last = cpu
        ctypes.memset(start, 1, len(memory))


def main(mib: int, node: int, where: Path) -> None:
    bind(node)
    Path("/proc/self/comm").write_text("firecracker")
    memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    vcpu_thread = threading.Thread(target=vcpu, args=(memory, node, where), daemon=True)
    vcpu_thread.start()
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
