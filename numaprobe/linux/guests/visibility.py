"""Whether every process of the host can be seen: how ``/proc`` is mounted, and whose processes it shows.

proc(5) of the mount options hidepid, gid and subset; pid_namespaces(7); capabilities(7).
"""

from __future__ import annotations

from ...errors import FactError
from ..cgroups import MOUNTINFO, OLDER_MOUNTS, mounts
from . import threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..cgroups import Mount
    from ..source import Source

STATUS = "proc/self/status"
MAX_STATUS = 1 << 16  # the kernel's has a tenth of that
# Linux's include/uapi/linux/capability.h
CAP_SYS_PTRACE = 19


def obstacles(source: Source, processes: Collection[int]) -> list[tuple[str, str]]:
    """Notes, pairs of path and text, on what hides processes from this one; none if nothing is known to."""
    content = source.one(STATUS)
    if content is not None and len(content) > MAX_STATUS:
        source.misread(FactError(STATUS, content[:60], f"a table of {len(content)} bytes"))
        content = None
    own = _values(content or b"")
    found = []
    for mount in mounts(source, ("proc",)):
        hiding = sorted(option for option in mount.options if _hides(option))
        if hiding and mount.point.rstrip("/").endswith("/proc") and not _exempt(mount, own):
            found.append(
                (mount.point.strip("/"), f"mounted with {', '.join(hiding)}: other users' processes are hidden")
            )
    # A recorded tree has no process that reads it, and need not have the kernel's threads or its mounts.
    for path in (MOUNTINFO, *OLDER_MOUNTS, STATUS):
        if path in source.failed or path in source.broken:
            found.append((path, "cannot be read: whether other users' processes are hidden is unknown"))
    pid = own.get(b"Pid", [b""])[0]
    if not found and pid.isdigit() and int(pid) in processes and not _has_kernel_threads(source, processes):
        found.append(("proc", "shows a pid namespace that is not the host's: processes outside of it are hidden"))
    if not processes:
        found.append(("proc", "shows no process"))
    return found


def _values(status: bytes) -> dict[bytes, list[bytes]]:
    found = {}
    for name in (b"Pid", b"Gid", b"Groups", b"CapEff"):
        at = status.find(b"\n" + name + b":")
        if at >= 0 and (words := status[at + len(name) + 2 :].partition(b"\n")[0].split()):
            found[name] = words
    return found


def _hides(option: str) -> bool:
    name, _, value = option.partition("=")
    return (name == "hidepid" and value not in ("0", "off")) or (name == "subset" and value == "pid")


def _exempt(mount: Mount, own: dict[bytes, list[bytes]]) -> bool:
    """Whether a process of these capabilities and groups sees everything (has_pid_permissions in fs/proc/base.c)."""
    try:
        if int(own.get(b"CapEff", [b"0"])[0], 16) >> CAP_SYS_PTRACE & 1:
            return True
    except ValueError:
        return False
    groups = {group.decode("ascii", "replace") for name in (b"Gid", b"Groups") for group in own.get(name, ())}
    return any(option.startswith("gid=") and option[4:] in groups for option in mount.options)


def _has_kernel_threads(source: Source, processes: Collection[int]) -> bool:
    if threads.KTHREADD not in processes:
        return False
    content = source.reader.read((f"{threads.KTHREADD}/stat",), "proc")[0]
    # One that cannot be read is on the account of processes already.
    return isinstance(content, int) or threads.is_kernel_thread(content)
