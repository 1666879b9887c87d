"""The port through which hypercalls are made, and those of them that have no interface version to negotiate.

Everything here and in :mod:`numaprobe.xen.sysctl` receives the port and opens nothing. The calls depend only on the
arguments, so that a transcript can answer instead; recordings therefore rely on the requested capacities too.
"""

from __future__ import annotations

from errno import EACCES, EBUSY, EINVAL, ENOSYS, EOPNOTSUPP, EPERM
from functools import lru_cache
from os import strerror

from ..errors import FactError, RecordingError, SourceDenied, SourceError, SourceUnavailable
from . import abi
from .facts import CpuInfo, MapEntry, XenVersion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..ports import Hypercalls

# How often get_cpuinfo is tried again while a cpu is being plugged.
_BUSY_TRIES = 3


# Who refuses a domain that other privileged calls are answered for. Xen's own rule for them (XSM_PRIV) is the same for
# all, so that EPERM is not Xen's word; its policies answer EACCES (avc_has_perm of Xen's xen/xsm/flask/avc.c).
REFUSED_BY = {
    EPERM: "refused by a filter of the control domain's kernel",
    EACCES: "refused by Xen's security policy (XSM, FLASK)",
}


def source_error(where: str, errno: int | None, reason: str | None = None) -> SourceError:
    """The error for a hypercall that was refused with ``errno``, saying who refused it."""
    if errno in (EPERM, EACCES):
        return SourceDenied(where, errno, reason or f"{strerror(errno)}: {REFUSED_BY[errno]}")
    if errno in (ENOSYS, EOPNOTSUPP):
        return SourceUnavailable(where, errno, reason)
    return SourceError(where, errno, reason)


def reason_of(error: SourceError) -> str:
    """What a note says of an error: its own words, or the system's for its number."""
    return error.reason or (strerror(error.errno) if error.errno else "cannot be queried")


def issue(
    calls: Hypercalls, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
) -> tuple[int, bytes, tuple[bytes, ...]]:
    """Make one hypercall; errors name it, and a reply that is not as long as the request is a ``FactError``."""
    try:
        answer = calls.call(number, command, op, buffers)
    except SourceError:
        raise
    except OSError as error:
        raise source_error(abi.call_name(number, command), error.errno) from error
    outs = answer[2]
    if len(answer[1]) != len(op) or ((buffers or outs) and [*map(len, outs)] != [len(given) for _, given in buffers]):
        raise FactError(abi.call_name(number, command), reason="the reply and the request differ in length")
    return answer


def issue_each(calls: Hypercalls, number: int, command: int, ops: Sequence[bytes]) -> list[bytes | SourceError]:
    """Make one hypercall without buffers for each operation, at once where the port can: replies or errors."""
    each: Callable[[int, int, Sequence[bytes]], list[bytes | int]] | None = getattr(calls, "call_each", None)
    if each is not None:
        return [
            source_error(abi.call_name(number, command), answer) if isinstance(answer, int) else answer
            for answer in each(number, command, ops)
        ]
    answers: list[bytes | SourceError] = []
    for op in ops:
        try:
            answers.append(issue(calls, number, command, op)[1])
        except SourceError as error:
            answers.append(error)
        except RecordingError:
            # A recording may have been made by a version that ended at the first refusal.
            if not (answers and isinstance(answers[-1], SourceError)):
                raise
            answers.append(answers[-1])
    return answers


def version(calls: Hypercalls, notes: list[tuple[str, str]] | None = None) -> XenVersion:
    """``xen_version``: the release, and the strings that its security policy lets out; ``notes`` gets the others."""
    number, _, _ = issue(calls, abi.XEN_VERSION, abi.VERSION_NUMBER, b"")
    if number <= 0:
        raise FactError("xen_version version", str(number), "not a version")
    extra, capabilities, changeset, commandline = (
        _version_text(calls, which, [] if notes is None else notes)
        for which in (abi.VERSION_EXTRA, abi.VERSION_CAPABILITIES, abi.VERSION_CHANGESET, abi.VERSION_COMMANDLINE)
    )
    return XenVersion(
        major=number >> 16,
        minor=number & 0xFFFF,
        extra=extra,
        capabilities=capabilities,
        changeset=changeset,
        commandline=commandline,
    )


def _version_text(calls: Hypercalls, which: int, notes: list[tuple[str, str]]) -> str | None:
    try:
        _, reply, _ = issue(calls, abi.XEN_VERSION, which, bytes(abi.VERSION_BYTES[which]))
    except SourceUnavailable:
        return None
    except SourceError as error:
        notes.append((abi.call_name(abi.XEN_VERSION, which), reason_of(error)))
        return None
    text = reply.partition(b"\0")[0].decode("utf-8", "backslashreplace").strip()
    # XSM hands out this word in place of a string (XENVER_* under a policy, Xen 4.6 and later).
    if text == "<denied>":
        notes.append((abi.call_name(abi.XEN_VERSION, which), f"'{text}': {REFUSED_BY[EACCES]}"))
        return None
    return text


def memory_map(calls: Hypercalls) -> tuple[MapEntry, ...]:
    """``memory_op machine_memory_map``: the machine's memory map (control domain only)."""
    where = "memory_op machine_memory_map"
    capacity = 128
    while True:
        op = abi.MEMORY_MAP.pack(capacity, 0)
        buffers = ((abi.MEMORY_MAP_HANDLE_AT, bytes(capacity * abi.E820_ENTRY.size)),)
        try:
            _, reply, (entries,) = issue(calls, abi.MEMORY_OP, abi.MEMORY_MACHINE_MEMORY_MAP, op, buffers)
        except SourceError as error:
            # Xen does not say how much would be enough; it refuses a buffer that is only just too small as well.
            if error.errno != EINVAL or capacity >= abi.MAX_MAP_ENTRIES:
                raise
            capacity *= 4
            continue
        count = abi.MEMORY_MAP.unpack(reply)[0]
        if count > capacity:
            raise FactError(where, str(count), "more entries than there was room for")
        return _map_entries(entries[: count * abi.E820_ENTRY.size])


@lru_cache(maxsize=2)
def _map_entries(rows: bytes) -> tuple[MapEntry, ...]:
    """The entries, decoded once: the map is of the boot."""
    return tuple(map(MapEntry._make, abi.E820_ENTRY.iter_unpack(rows)))


def cpuinfo(calls: Hypercalls, possible: int) -> tuple[CpuInfo | None, ...]:
    """``platform_op get_cpuinfo`` (x86 only) by cpu number, up to the last present one; None for one that is not.

    ``possible`` is ``max_cpu_id`` + 1, beyond which nothing is queried.
    """
    found: list[CpuInfo | None] = []
    last = 0
    # The first answer says how many there are.
    while len(found) <= last:
        ops = list(map(_cpuinfo_operation, range(len(found), last + 1)))
        for op, answer in zip(ops, issue_each(calls, abi.PLATFORM_OP, abi.PLATFORM_GET_CPUINFO, ops), strict=True):
            if len(found) > last:
                break
            reply = _while_busy(calls, op, answer) if isinstance(answer, SourceError) else answer
            last, info = _cpuinfo(reply)
            if last >= possible:
                last = possible - 1
            found.append(info)
    return tuple(found)


@lru_cache(maxsize=1 << 12)
def _cpuinfo_operation(cpu: int) -> bytes:
    header = abi.OPERATION_HEADER.pack(abi.PLATFORM_GET_CPUINFO, abi.PLATFORM_VERSION)
    return (header + abi.WORD.pack(cpu)).ljust(abi.PLATFORM_BYTES, b"\0")


@lru_cache(maxsize=1 << 12)
def _cpuinfo(reply: bytes) -> tuple[int, CpuInfo | None]:
    """The last cpu, and this one; as many are kept as a large machine has, for most are the same in every probe."""
    _, last, flags, apic_id, acpi_id = abi.PCPUINFO.unpack_from(reply, abi.PCPUINFO_AT)
    if flags & abi.PCPU_NOT_PRESENT:
        return last, None
    return last, CpuInfo(bool(flags & abi.PCPU_ONLINE), known(apic_id), known(acpi_id))


def _while_busy(calls: Hypercalls, op: bytes, error: SourceError) -> bytes:
    for _ in range(_BUSY_TRIES):
        if error.errno != EBUSY:
            break
        try:
            return issue(calls, abi.PLATFORM_OP, abi.PLATFORM_GET_CPUINFO, op)[1]
        except SourceError as again:
            error = again
    raise error


def known(word: int) -> int | None:
    """A 32-bit word of Xen's, or None for all ones, which says that there is none."""
    return None if word == abi.ALL_ONES_32 else word
