"""``/sys/devices/system/cpu``: which cpus there are, and what kind they are; see ``topology`` for what they share.

Sources: Documentation/admin-guide/cputopology.rst, Documentation/ABI/testing/sysfs-devices-system-cpu of Linux.
"""

from __future__ import annotations

from . import text
from .facts import CpuFacts
from .source import CPU
from .topology import BOOK, CORE, DIE, DRAWER, Topology

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

# Every hybrid processor so far has atom cores, so the first file's absence answers for the others.
KINDS = (("atom", "sys/devices/cpu_atom/cpus"), ("core", "sys/devices/cpu_core/cpus"),
         ("lowpower", "sys/devices/cpu_lowpower/cpus"))  # fmt: skip


def collect(source: Source) -> CpuFacts:
    """Facts of all present cpus."""
    names = ("online", "present", "possible", "isolated", "nohz_full", "smt/active")
    contents = source.read(names, CPU)
    lists = [
        None if content is None else text.ids(f"{CPU}/{name}", content)
        for name, content in zip(names[:5], contents[:5], strict=True)
    ]
    online, present, possible, isolated, nohz_full = lists
    if online is None or present is None:
        online, present = _from_directories(source, online, present)
    one_thread = contents[5] is not None and contents[5].strip() == b"0"
    topology = Topology(source, online, one_thread)
    packages, dies, cores = topology.packages(), topology.ids(DIE), topology.ids(CORE)
    return CpuFacts(
        present=tuple(sorted({*present, *online})),
        online=online,
        possible=possible,
        isolated=isolated,
        nohz_full=nohz_full,
        package=packages,
        die=dies,
        cluster=topology.clusters(),
        core=cores,
        book=topology.ids(BOOK),
        drawer=topology.ids(DRAWER),
        siblings=topology.siblings,
        capacity=topology.capacity,
        kinds=_kinds(source),
    )


def _from_directories(
    source: Source, online: tuple[int, ...] | None, present: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Online and present cpus where the kernel (before 2.6.26) or the recording has no such lists."""
    names = source.names(CPU, "cpu") or []
    found = tuple(sorted(n for n in (text.suffix_number(name, "cpu") for name in names) if n is not None))
    if online is None:
        # The boot cpu often has no such file: it cannot be taken offline, so it is online.
        states = source.read([f"cpu{cpu}/online" for cpu in found], CPU)
        online = tuple(cpu for cpu, state in zip(found, states, strict=True) if state is None or state.strip() != b"0")
    return online, found if present is None else present


def _kinds(source: Source) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Cpus by the kind of the PMU that counts on them: Intel's hybrid processors (Linux 5.13)."""
    first = source.one(KINDS[0][1])
    if first is None:
        return ()
    contents = [first, *source.read([path for _, path in KINDS[1:]])]
    return tuple(
        (kind, text.ids(path, content))
        for (kind, path), content in zip(KINDS, contents, strict=True)
        if content is not None
    )
