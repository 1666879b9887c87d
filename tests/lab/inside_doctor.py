"""Runs in a guest: what makes the doctor find something, and lasts until standard input ends.

inside_doctor.py guest MIB CPUS      a process that looks like a guest, with memory by the policy it was started with
inside_doctor.py fill NODE           memory of a node until less than a hundredth of it is available
inside_doctor.py poison NODE         an uncorrected memory error, simulated by the kernel; ends at once
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from pathlib import Path

import numaprobe

SYS_SET_MEMPOLICY = 238  # x86-64
MPOL_BIND = 2
MADV_HWPOISON = 100
MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def bind(node: int) -> None:
    mask = ctypes.c_ulong(1 << node)
    if LIBC.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask), 64):
        raise OSError(ctypes.get_errno(), "set_mempolicy")


def touched(size: int) -> tuple[mmap.mmap, int]:
    """Private memory that is there, and its address."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.memset(start, 1, size)
    return memory, start


def guest(mib: int, cpus: set[int]) -> None:
    """Its memory is touched by all its threads together, before they are sent to their cpus."""
    Path("/proc/self/comm").write_text("firecracker")
    ended = threading.Event()

    def vcpu() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("fc_vcpu 0")
        os.sched_setaffinity(0, cpus)
        ended.wait()

    kept = touched(mib * MIB)
    thread = threading.Thread(target=vcpu, daemon=True)
    thread.start()
    os.sched_setaffinity(0, cpus)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    del kept
    ended.set()


def fill(node: int) -> None:
    """A MiB at a time, as numaprobe says what is left."""
    bind(node)
    kept = []
    with numaprobe.Sampler() as sampler:
        while True:
            (cell,) = [one for one in sampler.sample(available=True).cells if one.id == node]
            assert cell.total is not None
            assert cell.available is not None
            if cell.available < cell.total // 100:
                break
            kept.append(touched(MIB))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


def poison(node: int) -> None:
    """The page is not touched any more, so that this process lives."""
    bind(node)
    _, start = touched(mmap.PAGESIZE)
    if LIBC.madvise(start, mmap.PAGESIZE, MADV_HWPOISON):
        raise OSError(ctypes.get_errno(), "madvise")
    os._exit(0)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "guest":
        guest(int(words[0]), {int(word) for word in words[1].split(",")})
    elif what == "fill":
        fill(int(words[0]))
    else:
        poison(int(words[0]))
