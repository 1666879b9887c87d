"""What changes something: affinities, memory policies, and the two hypercalls for them. Only ``pin`` imports this.

Everything that was set is read back: the kernel and Xen leave out cpus and nodes without an error.
"""

from __future__ import annotations

import errno
import os
from struct import Struct

from .. import _fast
from ..errors import SourceDenied, SourceError, SourceUnavailable
from ..wording import id_list
from ..xen import abi, calls, versions
from ..xen.domains import abi as domain_abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..ports import Hypercalls

# linux/mempolicy.h
BIND = 2
# The numbers of public/domctl.h; setnodeaffinity is there since Xen 4.3.
SETVCPUAFFINITY = 9
SETNODEAFFINITY = 68
HARD = 1
# Command, version, domain, then the payload at byte 16.
HEADER = Struct("<IIH6x")


def thread_cpus(thread: int, cpus: Iterable[int]) -> None:
    """Let a thread, by its id, 0 for the calling one, run on these cpus only (sched_setaffinity).

    Raises ``ProcessLookupError`` for a thread that has ended, ``SourceDenied`` where the kernel does not permit it, and
    ``SourceError`` where it refuses the cpus, or leaves some of them out without saying so: those that are offline, or
    outside the thread's cpuset.
    """
    wanted = frozenset(cpus)
    whose = f"thread {thread}" if thread else "this process"
    where = f"sched_setaffinity of {whose}"
    try:
        os.sched_setaffinity(thread, wanted)
        got = os.sched_getaffinity(thread)
    except ProcessLookupError:
        raise
    except PermissionError as error:
        raise SourceDenied(
            where, error.errno, f"not permitted; changing {whose} takes its owner, root or CAP_SYS_NICE"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise SourceUnavailable(where, error.errno, "this kernel does not have the call (ENOSYS)") from None
        text = f"none of cpus {id_list(wanted)} is online and allowed here, or {whose} may not be moved"
        raise SourceError(where, error.errno, text) from None
    if got != wanted:
        left_out = id_list(wanted - got, none="none")
        text = f"the kernel took cpus {id_list(got)} and left out {left_out}, not online or not allowed for {whose}"
        raise SourceError(where, None, text)


def own_memory(nodes: Iterable[int]) -> None:
    """Bind the calling thread's memory to these nodes (set_mempolicy).

    Raises ``SourceDenied`` where that is not permitted, ``SourceUnavailable`` on a kernel without NUMA, and
    ``SourceError`` for nodes that the kernel refuses or leaves out; ``ValueError`` for one that no kernel has.
    """
    wanted = tuple(sorted(nodes))
    where = "set_mempolicy"
    try:
        _fast.set_mempolicy(BIND, wanted)
        _, got = _fast.get_mempolicy()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            text = (
                "binding memory is not permitted; a container's seccomp profile denies it without CAP_SYS_NICE "
                "(docker run --cap-add SYS_NICE)"
            )
            raise SourceDenied(where, error.errno, text) from None
        if error.errno == errno.ENOSYS:
            raise SourceUnavailable(where, error.errno, "this kernel has no NUMA memory policies (ENOSYS)") from None
        text = f"the kernel refuses nodes {id_list(wanted)}: absent, without memory, or not in this process's cpuset"
        raise SourceError(where, error.errno, text) from None
    if got != wanted:
        left_out = id_list(set(wanted) - set(got), none="none")
        raise SourceError(where, None, f"the kernel took nodes {id_list(got, none='none')} and left out {left_out}")


def xen_domain(domain: int, vcpus: Sequence[tuple[int, Sequence[int]]], nodes: Sequence[int]) -> None:
    """Set hard affinities of a Xen domain's vcpus, pairs (vcpu, cpus), and the nodes its memory is taken from.

    Raises ``SourceDenied``, ``SourceUnavailable`` and other ``SourceError`` as Xen refuses.
    """
    try:
        port = _fast.AffinityCalls()
    except PermissionError as error:
        raise SourceDenied("privcmd", error.errno, "only root may change a domain") from None
    except OSError as error:
        raise SourceUnavailable(error.filename or "privcmd", error.errno) from None
    with port:
        set_xen(port, domain, vcpus, nodes)


def set_xen(port: Hypercalls, domain: int, vcpus: Sequence[tuple[int, Sequence[int]]], nodes: Sequence[int]) -> None:
    """As :func:`xen_domain`, through a port that is given."""
    version, _ = versions.negotiate_domctl(port, calls.version(port))
    for vcpu, cpus in vcpus:
        bitmap = _bitmap(cpus)
        payload = domain_abi.VCPU_AND_FLAGS.pack(vcpu, HARD if version >= domain_abi.SOFT_AFFINITY_SINCE else 0)
        payload += domain_abi.BITMAP.pack(0, len(bitmap) * 8)
        got = _call(port, SETVCPUAFFINITY, version, domain, payload, ((domain_abi.HARD_HANDLE_AT, bitmap),))
        # Since 4.5 the effective affinity is written back: without the cpus outside the domain's pool.
        if version >= domain_abi.SOFT_AFFINITY_SINCE and got and got[0] != bitmap:
            taken = [cpu for cpu in range(len(got[0]) * 8) if got[0][cpu // 8] >> cpu % 8 & 1]
            text = (
                f"Xen took cpus {id_list(taken, none='none')} of {id_list(cpus)} for vcpu {vcpu}: "
                "the others are offline or outside the domain's cpupool"
            )
            raise SourceError(f"domctl setvcpuaffinity of domain {domain}", None, text)
    bitmap = _bitmap(nodes)
    payload = domain_abi.BITMAP.pack(0, len(bitmap) * 8)
    _call(port, SETNODEAFFINITY, version, domain, payload, ((domain_abi.NODE_AFFINITY_HANDLE_AT, bitmap),))


def _call(
    port: Hypercalls, command: int, version: int, domain: int, payload: bytes, buffers: tuple[tuple[int, bytes], ...]
) -> tuple[bytes, ...]:
    where = f"domctl {'setvcpuaffinity' if command == SETVCPUAFFINITY else 'setnodeaffinity'} of domain {domain}"
    op = (HEADER.pack(command, version, domain) + payload).ljust(abi.DOMCTL_BYTES, b"\0")
    try:
        _, _, contents = port.call(abi.DOMCTL, command, op, buffers)
    except OSError as error:
        raise calls.source_error(where, error.errno) from error
    return contents


def _bitmap(numbers: Iterable[int]) -> bytes:
    """Bits in Xen's order, in whole words of 64, to which Xen pads what it writes back."""
    value = sum({1 << number for number in numbers})
    return value.to_bytes((value.bit_length() + 63) // 64 * 8 or 8, "little")
