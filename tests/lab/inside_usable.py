"""Runs in a guest: what numaprobe calls usable, and how much can really be taken until the kernel refuses.

    inside_usable.py ordinary|secret|pinned|me|2M|pool NODE

The taking is done by a child, which the kernel kills when the memory bound to the node is used up; what it had touched
until then is counted in memory that both share.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import resource
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numaprobe

SYS_SET_MEMPOLICY = 238  # x86-64
SYS_IO_URING_SETUP = 425
SYS_IO_URING_REGISTER = 427
SYS_MEMFD_SECRET = 447
# linux/io_uring.h
IORING_REGISTER_BUFFERS2 = 15
IORING_REGISTER_BUFFERS_UPDATE = 16
IORING_RSRC_REGISTER_SPARSE = 1
MPOL_BIND = 2
MADV_HUGEPAGE = 14
MADV_NOHUGEPAGE = 15
MAP_HUGETLB = 0x40000
PAGE = 4096
HUGE = 2 << 20
STEP = 256  # pages of 4 KiB between two counts
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def bind(node: int) -> None:
    mask = ctypes.c_ulong(1 << node)
    if LIBC.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask), 64):
        raise OSError(ctypes.get_errno(), "set_mempolicy")


def area(size: int, flags: int = 0) -> int | None:
    """Private memory that nobody has touched; None where the kernel refuses it."""
    found = LIBC.mmap(None, size, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags, -1, 0)
    return None if found in (None, ctypes.c_void_p(-1).value) else found


def grown(node: int) -> int:
    """Bytes of a node in anonymous memory, page tables and slab: copies of the child's own pages and what each map costs."""
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    found = dict(re.findall(r"Node \d+ (\w+): *(\d+) kB", text))
    return sum(int(found[name]) for name in ("AnonPages", "PageTables", "SUnreclaim")) << 10


def listed(node: int) -> int:
    """Bytes on the CPUs' own lists of free pages, of the zones of a node that pinned memory may be in."""
    pages = 0
    for zone in Path("/proc/zoneinfo").read_text().split("\nNode "):
        if zone.removeprefix("Node ").startswith(f"{node}, ") and "Movable" not in zone.partition("\n")[0]:
            pages += sum(map(int, re.findall(r"\bcount: +(\d+)", zone)))
    return pages * PAGE


def small_pages(node: int, size: int) -> Iterator[int]:
    """Touch page after page; the kernel ends this process."""
    start = area(size)
    assert start is not None
    LIBC.madvise(start, size, MADV_NOHUGEPAGE)
    for offset in range(0, size, PAGE):
        ctypes.memset(start + offset, 1, 1)
        if offset // PAGE % STEP == 0:
            yield grown(node)


def secret_pages(node: int, size: int) -> Iterator[int]:
    """Touch pages of memfd_secret(2), ordinary pages of a user that the kernel cannot move: never in ZONE_MOVABLE."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    file = LIBC.syscall(SYS_MEMFD_SECRET, 0)
    if file < 0:
        raise OSError(ctypes.get_errno(), "memfd_secret")
    os.ftruncate(file, size)
    start = LIBC.mmap(None, size, 3, mmap.MAP_SHARED, file, 0)
    if start in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    for offset in range(0, size, PAGE):
        ctypes.memset(start + offset, 1, 1)
        if offset // PAGE % STEP == 0:
            yield offset + PAGE + grown(node)


def registered_buffers(node: int, size: int) -> Iterator[int]:
    """Pin touched memory for long, as VFIO does, by io_uring's registered buffers (FOLL_LONGTERM of pin_user_pages).

    The kernel moves each page out of ZONE_MOVABLE, wherever the cpuset lets it; the memory policy is not asked.
    """
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ring = LIBC.syscall(SYS_IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    step = STEP * PAGE
    count = size // step
    # struct io_uring_rsrc_register: nr, flags, resv2, data, tags.
    empty = struct.pack("<IIQQQ", count, IORING_RSRC_REGISTER_SPARSE, 0, 0, 0)
    if LIBC.syscall(SYS_IO_URING_REGISTER, ring, IORING_REGISTER_BUFFERS2, empty, len(empty)) < 0:
        raise OSError(ctypes.get_errno(), "IORING_REGISTER_BUFFERS2")
    start = area(size)
    assert start is not None
    LIBC.madvise(start, size, MADV_NOHUGEPAGE)
    for number in range(count):
        iovec = ctypes.create_string_buffer(struct.pack("<QQ", start + number * step, step), 16)
        # struct io_uring_rsrc_update2: offset, resv, data, tags, nr, resv2.
        update = struct.pack("<IIQQII", number, 0, ctypes.addressof(iovec), 0, 1, 0)
        if LIBC.syscall(SYS_IO_URING_REGISTER, ring, IORING_REGISTER_BUFFERS_UPDATE, update, len(update)) < 0:
            return
        yield grown(node)


def huge_pages(node: int, size: int) -> Iterator[int]:
    """Touch one huge page after another: without defragmentation it is huge only while there is a free block."""
    raw = area(size + HUGE)
    assert raw is not None
    start = -(-raw // HUGE) * HUGE
    LIBC.madvise(start, size, MADV_HUGEPAGE)
    for offset in range(0, size, HUGE):
        ctypes.memset(start + offset, 1, 1)
        yield anonymous_huge()


def from_pool(node: int, size: int) -> Iterator[int]:
    for offset in range(0, size, HUGE):
        start = area(HUGE, MAP_HUGETLB)
        if start is None:
            return
        ctypes.memset(start, 1, 1)
        yield offset + HUGE


TAKE = {
    "ordinary": small_pages,
    "me": small_pages,
    "secret": secret_pages,
    "pinned": registered_buffers,
    "2M": huge_pages,
    "pool": from_pool,
}
# What is compared with another figure than that of its own name.
FIGURES = {"secret": "pinned"}
# Where what the CPUs keep on lists of their own is looked at before the kernel refuses.
LISTED = ("secret", "pinned")


def anonymous_huge() -> int:
    """Bytes of the machine in transparent huge pages."""
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("AnonHugePages:")]
    return int(line.split()[1]) << 10


def main(purpose: str, node: int) -> None:
    if purpose == "me":
        bind(node)  # of this process too: that is what it can get
    numaprobe.probe(source="linux", usable=True)  # what is loaded once is loaded now
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
    time.sleep(2)  # maps and processes of before are freed in the background
    count = mmap.mmap(-1, PAGE)
    before = {"2M": anonymous_huge, "pool": int}.get(purpose, lambda: grown(node))()
    cell = numaprobe.probe(source="linux", usable=True).cell(node)
    usable = cell.usable
    assert usable is not None
    (pages,) = [one for one in usable.pages if one.size == HUGE]
    wanted = {"2M": (pages.now or 0) * HUGE, "pool": (pages.pool or 0) * HUGE}.get(purpose)
    wanted = getattr(usable, FIGURES.get(purpose, purpose)) if wanted is None else wanted
    child = os.fork()
    if child == 0:
        Path("/proc/self/oom_score_adj").write_text("1000\n")
        bind(node)
        size = wanted + wanted // 8 + (32 << 20)
        for taken in TAKE[purpose](node, -(-size // HUGE) * HUGE):
            count[:8] = struct.pack("<Q", taken)
            if purpose in LISTED and taken - before > wanted * 0.85:
                count[8:16] = struct.pack("<Q", listed(node))
        # What was left when the kernel refused.
        Path(os.environ["OUT"], f"{purpose}.left").write_text(Path("/proc/zoneinfo").read_text())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    taken, on_lists = struct.unpack("<QQ", count[:16])
    found = {
        "usable": wanted,
        "taken": taken - before,
        "listed": on_lists,
        "status": status,
        "free": cell.memory.free,
        "cell": str(usable),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
