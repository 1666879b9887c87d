"""Runs in a control domain: claims memory for a domain as its builder does, and says what a placer sees of it.

``inside_claim.py DOMAIN MIB``: as much more than the domain has. Prints JSON.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import sys

import numaprobe
from numaprobe import DoesNotFit

MIB = 1 << 20
# xen/include/public: __HYPERVISOR_memory_op, XENMEM_claim_pages; Linux: IOCTL_PRIVCMD_HYPERCALL.
MEMORY_OP, CLAIM_PAGES = 12, 24
HYPERCALL = 0x305000


class Reservation(ctypes.Structure):
    _fields_ = (
        ("extent_start", ctypes.c_uint64),
        ("nr_extents", ctypes.c_uint64),
        ("extent_order", ctypes.c_uint32),
        ("mem_flags", ctypes.c_uint32),
        ("domid", ctypes.c_uint16),
    )


class Call(ctypes.Structure):
    _fields_ = (("op", ctypes.c_uint64), ("arg", ctypes.c_uint64 * 5))


def claim(domain: int, pages: int) -> None:
    """So many pages in all; 0 gives back what was claimed and not taken."""
    wanted = Reservation(nr_extents=pages, domid=domain)
    call = Call(op=MEMORY_OP)
    call.arg[0], call.arg[1] = CLAIM_PAGES, ctypes.addressof(wanted)
    with open("/dev/xen/privcmd", "r+b", buffering=0) as file:
        fcntl.ioctl(file, HYPERCALL, call)


def main(domain: int, mib: int) -> None:
    host = numaprobe.probe()
    before = host.hypervisor.claimed  # type: ignore[union-attr]
    cell = max((one for one in host.cells if one.cpus), key=lambda one: one.memory.free or 0)
    # All but half of what will be claimed of the emptiest cell.
    size = (cell.memory.free or 0) // MIB * MIB - (before or 0) - mib * MIB // 2

    def fits() -> bool:
        try:
            numaprobe.place(numaprobe.probe(), vcpus=1, memory=size, max_cells=1, reserve=0)
        except DoesNotFit:
            return False
        return True

    (found,) = [one for one in numaprobe.domains(host) if one.id == domain]
    held = found.memory or 0
    answers = {"before": before, "fits_before": fits()}
    claim(domain, held // 4096 + mib * 256)
    answers["during"] = numaprobe.probe().hypervisor.claimed  # type: ignore[union-attr]
    (found,) = [one for one in numaprobe.domains(numaprobe.probe()) if one.id == domain]
    answers["by_domain"] = found.claimed
    answers["fits_during"] = fits()
    claim(domain, 0)
    answers["after"] = numaprobe.probe().hypervisor.claimed  # type: ignore[union-attr]
    answers["fits_after"] = fits()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
