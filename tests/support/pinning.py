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
    return plan._replace(cpus=HERE[:1], vcpus=vcpus, bind=True)


def policies() -> bool:
    """Whether this kernel has memory policies and lets us set them."""
    try:
        _fast.set_mempolicy(0, ())
    except OSError:
        return False
    return os.path.isdir("/sys/devices/system/node/node0")


class Recorder:
    """Answers the version questions of one release, and keeps what it is told."""

    def __init__(self, domctl: int, errno: int | None = None) -> None:
        self.domctl = domctl
        self.errno = errno
        self.told: list[tuple[int, bytes, tuple[tuple[int, bytes], ...]]] = []

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        if number == 17:
            return (4 << 16 | 17 if command == 0 else 0), op, ()
        if int.from_bytes(op[4:8], "little") != self.domctl:
            raise OSError(13, "version")
        if command in (9, 68):
            if self.errno is not None:
                raise OSError(self.errno, "no")
            self.told.append((command, op, buffers))
        return 0, op, tuple(content for _, content in buffers)
