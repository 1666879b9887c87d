"""What changes something: affinities, memory policies, and the two hypercalls for them. Only ``pin`` comes here."""

from __future__ import annotations

import os
from struct import Struct

from .. import _fast
from ..errors import SourceDenied, SourceUnavailable
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


def own_cpus(cpus: Iterable[int]) -> None:
    """Let the calling thread run on these cpus only (sched_setaffinity). Raises ``OSError``."""
    thread_cpus(0, cpus)


def thread_cpus(thread: int, cpus: Iterable[int]) -> None:
    """Let a thread, by its id, run on these cpus only (sched_setaffinity). Raises ``OSError``."""
    os.sched_setaffinity(thread, cpus)


def own_memory(nodes: Iterable[int]) -> None:
    """Bind the calling thread's memory to these nodes (set_mempolicy). Raises ``OSError``."""
    _fast.set_mempolicy(BIND, tuple(nodes))


def xen_domain(domain: int, vcpus: Sequence[tuple[int, Sequence[int]]], nodes: Sequence[int]) -> None:
    """Set hard affinities of a Xen domain's vcpus, pairs (vcpu, cpus), and the nodes its memory is taken from.

    Raises ``SourceDenied``, ``SourceUnavailable`` and other ``SourceError`` as Xen refuses.
    """
    try:
        port = _fast.AffinityCalls()
    except PermissionError as error:
        raise SourceDenied("privcmd", error.errno, "only root may tell the hypervisor") from None
    except OSError as error:
        raise SourceUnavailable(error.filename or "privcmd", error.errno) from None
    with port:
        tell_xen(port, domain, vcpus, nodes)


def tell_xen(port: Hypercalls, domain: int, vcpus: Sequence[tuple[int, Sequence[int]]], nodes: Sequence[int]) -> None:
    """As :func:`xen_domain`, through a port that is given."""
    version, _ = versions.negotiate_domctl(port, calls.version(port))
    for vcpu, cpus in vcpus:
        bitmap = _bitmap(cpus)
        payload = domain_abi.VCPU_AND_FLAGS.pack(vcpu, HARD if version >= domain_abi.SOFT_AFFINITY_SINCE else 0)
        payload += domain_abi.BITMAP.pack(0, len(bitmap) * 8)
        _tell(port, SETVCPUAFFINITY, version, domain, payload, ((domain_abi.HARD_HANDLE_AT, bitmap),))
    bitmap = _bitmap(nodes)
    payload = domain_abi.BITMAP.pack(0, len(bitmap) * 8)
    _tell(port, SETNODEAFFINITY, version, domain, payload, ((domain_abi.NODE_AFFINITY_HANDLE_AT, bitmap),))


def _tell(
    port: Hypercalls, command: int, version: int, domain: int, payload: bytes, buffers: tuple[tuple[int, bytes], ...]
) -> None:
    where = f"domctl {'setvcpuaffinity' if command == SETVCPUAFFINITY else 'setnodeaffinity'} of domain {domain}"
    op = (HEADER.pack(command, version, domain) + payload).ljust(abi.DOMCTL_BYTES, b"\0")
    try:
        port.call(abi.DOMCTL, command, op, buffers)
    except OSError as error:
        raise calls.source_error(where, error.errno) from error


def _bitmap(numbers: Iterable[int]) -> bytes:
    """Bits in Xen's order, in whole words of 64, to which Xen pads what it writes back."""
    value = sum({1 << number for number in numbers})
    return value.to_bytes((value.bit_length() + 63) // 64 * 8 or 8, "little")
