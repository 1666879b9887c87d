"""A plan that can be applied on any machine, and what this kernel lets a test do."""

from __future__ import annotations

import os

from hosts import GIB, MIB, host

from numaprobe import Plan, _fast, place

HERE = tuple(sorted(os.sched_getaffinity(0)))


def plan_here(**wishes: object) -> Plan:
    """A plan whose cpus and cell are there on any machine."""
    plan = place(host([4 * GIB], cpus=1, threads=1), vcpus=1, memory=MIB, **wishes)  # type: ignore[arg-type]
    vcpus = tuple(one._replace(cpus=HERE[:1]) for one in plan.vcpus)
    return plan._replace(cpus=HERE[:1], vcpus=vcpus)


def policies() -> bool:
    """Whether this kernel has memory policies and lets us set them."""
    try:
        _fast.set_mempolicy(0, ())
    except OSError:
        return False
    return os.path.isdir("/sys/devices/system/node/node0")
