"""``/sys/devices/system/cpu``: which cpus there are, and what kind they are; see ``topology`` for what they share.

Sources: Documentation/admin-guide/cputopology.rst, Documentation/ABI/testing/sysfs-devices-system-cpu of Linux.
"""

from __future__ import annotations

from ..errors import FactError
from ..wording import id_list
from . import text
from .facts import CpuFacts
from .source import CPU, NODE
from .topology import BOOK, CORE, DIE, DRAWER, Topology

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .source import Source

LISTS = ("online", "present", "possible", "isolated", "nohz_full")
# Cpus that are isolated at run time; only the root group has it. Linux 6.8, 877c737db935 ("cgroup/cpuset: Expose
# cpuset.cpus.isolated").
ISOLATED = "sys/fs/cgroup/cpuset.cpus.isolated"
# Every hybrid processor so far has atom cores, so the first file's absence answers for the others.
KINDS = (("atom", "sys/devices/cpu_atom/cpus"), ("core", "sys/devices/cpu_core/cpus"),
         ("lowpower", "sys/devices/cpu_lowpower/cpus"))  # fmt: skip

# Twice the largest NR_CPUS in the Kconfig of any architecture of Linux.
MAX_CPUS = 1 << 14


def collect(source: Source, own: tuple[int, ...] = ()) -> CpuFacts:
    """Facts of all present cpus; ``own`` are those that this process may use, by the kernel's own word."""
    *lists, active = source.read((*LISTS, "smt/active"), CPU)
    online, present, possible, isolated, nohz_full = (
        source.ids(f"{CPU}/{name}", content) for name, content in zip(LISTS, lists, strict=True)
    )
    if online == ():
        source.misread(FactError(f"{CPU}/online", reason="names no CPU, although at least one is running"))
    elif online and (hidden := _hidden(source, set(own).intersection(present or own).difference(online))):
        why = f"lists {id_list(online)}, and cpus {id_list(hidden)} are online: not the kernel's list"
        source.misread(FactError(f"{CPU}/online", reason=why))
        online = None
    if not online or present is None:
        online, present = _from_directories(source, online or None, present)
    if max(len(online), len(present)) > MAX_CPUS:
        raise FactError(f"{CPU}/present", f"{max(len(online), len(present))} cpus", "more than any kernel has")
    if present is not None and not set(online).issubset(present):
        missing = id_list(set(online).difference(present))
        source.note(f"{CPU}/present", f"does not list the online cpus {missing}")
    one_thread = source.parsed(_flag, f"{CPU}/smt/active", active) is False
    topology = Topology(source, online, one_thread)
    at_run_time = source.ids(ISOLATED, source.one(ISOLATED)) if online else None
    packages, dies, cores = topology.packages(), topology.ids(DIE), topology.ids(CORE)
    return CpuFacts(
        present=tuple(sorted({*present, *online})),
        online=online,
        possible=possible,
        isolated=isolated if at_run_time is None else tuple(sorted({*(isolated or ()), *at_run_time})),
        isolated_are_all=isolated is not None and source.failure(ISOLATED) is None,
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


def _hidden(source: Source, cpus: set[int]) -> list[int]:
    """Those of some cpus that are online although the list, which lxcfs and others replace, does not say so.

    Where the cpu itself does not say (the boot cpu has no such file), it is online if it has a topology, which the
    kernel removes from one that is taken offline (topology_remove_dev of drivers/base/topology.c).
    """
    if not cpus:
        return []
    names = [f"cpu{cpu}/{name}" for cpu in sorted(cpus) for name in ("online", "topology/core_id")]
    contents = source.read(names, CPU)
    states = zip(sorted(cpus), contents[::2], contents[1::2], strict=True)
    return [cpu for cpu, state, core in states if (core is not None if state is None else state.strip() == b"1")]


def _from_directories(
    source: Source, online: tuple[int, ...] | None, present: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Online and present cpus where the kernel (before 2.6.26) or the recording has no such lists."""
    names = source.names(CPU, "cpu") or []
    found = tuple(text.suffix_numbers(names, "cpu"))
    if not found and source.failure(f"{CPU}/online"):
        found = _from_nodes(source)
    if online is None:
        # The boot cpu often has no such file: it cannot be taken offline, so it is online.
        paths = [f"cpu{cpu}/online" for cpu in found]
        states = [
            source.parsed(_flag, f"{CPU}/{path}", state)
            for path, state in zip(paths, source.read(paths, CPU), strict=True)
        ]
        online = tuple(cpu for cpu, state in zip(found, states, strict=True) if state is not False)
    return online, found if present is None else present


def _from_nodes(source: Source) -> tuple[int, ...]:
    """Cpus that the nodes list, which are online ones on all but the oldest kernels."""
    names = [name for name in source.names(NODE, "node") or () if text.suffix_number(name, "node") is not None]
    paths = [f"{NODE}/{name}/cpulist" for name in names]
    lists = [source.ids(path, content) for path, content in zip(paths, source.read(paths), strict=True)]
    for path in paths:
        if error := source.failure(path):
            # Its cpus would be missing from those of the machine, which no other file lists.
            raise error
    return tuple(sorted({cpu for cpus in lists for cpu in cpus or ()}))


def _flag(where: str, content: bytes) -> bool:
    value = text.number(where, content)
    if value not in (0, 1):
        raise FactError(where, content, "neither 0 nor 1")
    return value == 1


def _kinds(source: Source) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Cpus by the kind of the PMU that counts on them: Intel's hybrid processors (Linux 5.13)."""
    first = source.one(KINDS[0][1])
    if first is None:
        return ()
    contents = [first, *source.read([path for _, path in KINDS[1:]])]
    found = [
        (kind, cpus)
        for (kind, path), content in zip(KINDS, contents, strict=True)
        if (cpus := source.ids(path, content)) is not None
    ]
    counted: set[int] = set()
    several: set[int] = set()
    for _, cpus in found:
        several |= counted.intersection(cpus)
        counted.update(cpus)
    if several:
        source.note("sys/devices/cpu_*/cpus", f"cpus of more than one kind, which is unknown: {id_list(several)}")
    return tuple([(kind, tuple([cpu for cpu in cpus if cpu not in several])) for kind, cpus in found])
