"""What several export formats share: base page sizes, and which CPUs are online."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.host import Cpu, Host

# Bytes of a base page, for machines (``uname -m``) whose kernels can be built with one size only; arm64, ppc64, ia64,
# mips and loongarch64 are built with several.
BASE_PAGE = {
    **dict.fromkeys(("x86_64", "i386", "i486", "i586", "i686", "s390", "s390x", "riscv32", "riscv64"), 4096),
    **dict.fromkeys(("alpha", "sparc64"), 8192),
}


def online(host: Host) -> tuple[Cpu, ...]:
    """Cpus in use: all but those known to be offline."""
    return tuple(cpu for cpu in host.cpus if cpu.online is not False)


def cores(cpus: Iterable[Cpu]) -> list[list[Cpu]]:
    """The threads of each core, of those of ``cpus`` that agree with each other about it."""
    by_siblings: dict[tuple[int, ...], list[Cpu]] = {}
    for cpu in cpus:
        if cpu.siblings is not None:
            by_siblings.setdefault(cpu.siblings, []).append(cpu)
    return [members for siblings, members in by_siblings.items() if [cpu.id for cpu in members] == sorted(siblings)]
