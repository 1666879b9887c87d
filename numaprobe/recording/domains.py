"""What a recording keeps of domains: only what numaprobe understands of them, under other names on request.

Command lines and the names of files and control groups reveal much about a host and whose guests it runs. So a
recording has domains only on request, and only what is needed of a process: its command line is rewritten from what was
understood of it, a mapped file is only marked as memory or not, and of the mounts only control groups' are kept.
"""

from __future__ import annotations

from ..errors import FactError
from ..linux.cgroups import mounts, mounts_in
from ..linux.guests import collect as guests
from ..linux.guests import command_line, guest_memfd, hint_faults, libvirt, numa_maps, recorded, threads
from ..linux.guests.holding import MEMORY_FILE_SYSTEMS
from ..linux.guests.immovable import DEVICE, immovable, is_of_vfio
from ..linux.source import Source
from ..xen import abi
from ..xen.domains import abi as domain_abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..linux.cgroups import Mount
    from ..linux.guests.facts import CommandLine, Found
    from ..ports import Hypercalls
    from ..sources.recorder import RecordingReader

MOUNTINFO = "proc/self/mountinfo"
HUGE_PAGES = "sys/kernel/mm/hugepages"
STATUS = (
    *(
        b"State:",
        b"PPid:",
        b"VmRSS:",
        b"Rss",
        b"HugetlbPages:",
        b"VmLck:",
        b"Cpus_allowed_list:",
        b"Mems_allowed_list:",
    ),
    threads.SWITCHES,
)


def add_guests(recorder: RecordingReader, seen: RecordingReader, *, anonymous: bool) -> None:
    """Look at the guests of a Linux host through ``seen``, and put into ``recorder`` what is kept of that."""
    found = guests.collect(seen, faults=True)
    keep = Redactor(seen, found, anonymous=anonymous)
    for guest in keep.guests:
        # Looks at the descriptors, of which only those are kept that keep memory where it is.
        immovable(seen, guest)
        folder = f"proc/{guest}/fd"
        denied = next((errno for path, errno in seen.errors.items() if path.startswith(f"{folder}/")), None)
        if denied is not None:
            recorder.errors[folder] = denied
        elif folder in seen.directories:
            recorder.directories.add(folder)
    for path, content in seen.files.items():
        kept = keep.file(path, content)
        if kept is not None:
            recorder.files.setdefault(*kept)
    for path, errno in seen.errors.items():
        if keep.guest_of(path) is not None:
            recorder.errors[path] = errno
    for path, target in seen.links.items():
        if keep.guest_of(path) is not None:
            if target == guest_memfd.LINK:
                recorder.links[path] = target
            elif is_of_vfio(target):
                recorder.links[path] = DEVICE  # which group or device it is, is nobody's business
    # Names of guests and groups are in the notes on their own files.
    notes = [note for note in found.notes if not anonymous or note[0].split("/")[0] == "proc"]
    recorder.files[guests.LOOK] = recorded.written(found._replace(notes=tuple(notes)))
    recorder.directories |= {path for path in seen.directories if path.startswith(HUGE_PAGES)}


class Redactor:
    """Decides what of a guest is kept, and under which names."""

    def __init__(self, seen: RecordingReader, found: Found, *, anonymous: bool) -> None:
        self._anonymous = anonymous
        self._aliases: dict[str, str] = {}
        self._lines: Mapping[int | str, CommandLine] = {
            guest.id: guest.line for guest in found.guests if guest.line is not None
        }
        # A vcpu that waits in a futex, and did not in a second look, is not at rest.
        self._rested = {guest.id for guest in found.guests if guest.rested}
        source = Source(seen)
        # Of version 1 only the memory controller's hierarchy, which counts guest_memfd.
        self._groups = [
            mount
            for mount in mounts(source, ("cgroup2", "cgroup"))
            if mount.kind == "cgroup2" or "memory" in mount.options
        ]
        self._places = {
            pid: tuple([mount.point for mount in (*mounts(source, MEMORY_FILE_SYSTEMS), *_own_mounts(seen, pid))])
            for pid in self._lines
        }

    @property
    def guests(self) -> list[int]:
        """The guests that are processes."""
        return [guest for guest in self._lines if isinstance(guest, int)]

    def guest_of(self, path: str) -> int | None:
        """The process that a file is of, if that is a guest."""
        parts = path.split("/")
        pid = int(parts[1]) if parts[0] == "proc" and len(parts) > 2 and _is_number(parts[1]) else None
        return pid if pid in self._lines else None

    def file(self, path: str, content: bytes) -> tuple[str, bytes] | None:
        """The name and the content under which a file is kept; None for one that is not."""
        if path == MOUNTINFO:
            return path, self._mounts(content)
        for mount in self._groups:
            point = mount.point.strip("/")
            if path.startswith(point + "/"):
                *groups, name = path[len(point) + 1 :].split("/")
                return "/".join([point, *map(self._group, groups), name]), content
        if path.startswith(libvirt.DIRECTORY + "/"):
            return self._record(content)
        pid = self.guest_of(path)
        if pid is not None:
            if path.endswith("/mountinfo"):
                return None  # it says which mapped files are memory, which the kept numa_maps says itself
            return path, self._of_process(path, content, self._lines[pid], pid)
        return (path, content) if path.startswith(HUGE_PAGES) else None

    def _record(self, content: bytes) -> tuple[str, bytes] | None:
        """The record that libvirt has of a guest, rewritten."""
        try:
            taken = libvirt.parse(content)
        except ValueError:
            return None
        if taken is None or taken[0] not in self._lines:
            return None
        pid, record = taken
        if self._anonymous:
            record = record._replace(
                name=None if record.name is None else f"guest-{pid}",
                uuid=None if record.uuid is None else _anonymous_uuid(pid),
            )
        return f"{libvirt.DIRECTORY}/{pid}.xml", libvirt.written(pid, record)

    def _alias(self, name: str, kind: str) -> str:
        return self._aliases.setdefault(name, f"{kind}-{len(self._aliases) + 1}")

    def _group(self, name: str) -> str:
        return self._alias(name, "group") if self._anonymous else name

    def _mounts(self, content: bytes) -> bytes:
        kept = []
        for line in content.split(b"\n"):
            before, _, after = line.partition(b" - ")
            words = before.split()
            kind, *others = after.split() or [b""]
            is_memory = kind == b"cgroup" and bool(others) and b"memory" in others[-1].split(b",")
            if (kind == b"cgroup2" or is_memory) and len(words) >= 5:
                # The groups' own paths are kept as they are below the mount.
                of = b"cgroup cgroup rw,memory" if is_memory else b"cgroup2 cgroup2 rw"
                kept.append(b" ".join([*words[:3], b"/", words[4]]) + b" rw - " + of + b"\n")
        # A table that names no mount at all is a broken one.
        return b"".join(kept) or b"1 1 0:1 / / rw - rootfs rootfs rw\n"

    def _of_process(self, path: str, content: bytes, line: CommandLine, pid: int) -> bytes:
        name = path.rpartition("/")[2]
        if name == "cmdline":
            if self._anonymous:
                uuid = None if line.uuid is None else _anonymous_uuid(pid)
                line = line._replace(name=None if line.name is None else f"guest-{pid}", uuid=uuid)
            return command_line.written(line)
        if name == "comm":
            return content if threads.vcpu_of(content.strip()) is not None else b"thread\n"
        if name == "stat":
            before, _, rest = content.rpartition(b")")
            number, _, own = before.partition(b" (")
            return number + b" (" + (own if threads.vcpu_of(own) is not None else b"thread") + b")" + rest
        if name == "wchan":
            return content if pid in self._rested or not content.startswith(b"futex") else b"0"
        if name == "status":
            kept = [row for row in content.split(b"\n") if row.startswith(STATUS)]
            return b"\n".join([b"Name:\tthread", *kept, b""])
        if name == "sched":
            return b"".join([row + b"\n" for row in content.split(b"\n") if row.startswith(hint_faults.LINE)])
        if name == "cgroup":
            return self._own_group(content)
        if name == "numa_maps":
            return self._maps(content, (*self._places[pid], *line.memory_paths))
        if name == "maps":
            return b"".join([b" ".join(row.split()[:5]) + b"\n" for row in content.split(b"\n") if row])
        return content

    def _own_group(self, content: bytes) -> bytes:
        kept = []
        for row in content.decode("utf-8", "replace").splitlines():
            number, _, rest = row.partition(":")
            controllers, colon, path = rest.partition(":")
            if not colon or (controllers and "memory" not in controllers.split(",")):
                continue
            for mount in self._groups:
                inside = path == mount.root or path.startswith(mount.root + "/")
                if mount.root != "/" and inside and (mount.kind == "cgroup2") == (not controllers):
                    path = path[len(mount.root) :]
            parts = [part if part == ".." else self._group(part) for part in path.split("/") if part]
            kept.append(f"{number}:{'memory' if controllers else ''}:/{'/'.join(parts)}\n")
        return "".join(kept).encode()

    def _maps(self, content: bytes, places: tuple[str, ...]) -> bytes:
        """Lines with the name of a file only as far as it says whether that is memory."""
        rows = []
        for row in content.split(b"\n"):
            words = row.split(b" ")
            for position, word in enumerate(words):
                if word.startswith(b"file="):
                    memory = numa_maps.is_memory(word[5:], places) or b"huge" in words
                    alias = self._alias(word.decode("utf-8", "surrogateescape"), "memory")
                    words[position] = b"file=/memfd:" + alias.encode() if memory else b"file=/file"
            if b"file=/file" not in words or any(word.startswith(b"anon=") for word in words):
                rows.append(b" ".join(words))
        return b"\n".join(rows)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _anonymous_uuid(pid: int) -> str:
    return f"00000000-0000-0000-0000-{pid:012}"


def _own_mounts(seen: RecordingReader, pid: int | str) -> list[Mount]:
    """The memory file systems of a process's own mount namespace, where they were needed."""
    try:
        return mounts_in(seen.files[f"proc/{pid}/mountinfo"], MEMORY_FILE_SYSTEMS)
    except (KeyError, FactError):
        # It was not needed, or the look that is recorded has a note on it.
        return []


class WithoutHandles:
    """Passes hypercalls on, and takes the handles, which are the uuids, out of the rows of getdomaininfolist."""

    def __init__(self, port: Hypercalls) -> None:
        self._port = port
        self._arm = False
        self._layout: domain_abi.RowLayout | None = None

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Make one hypercall through the other port."""
        result, reply, outs = self._port.call(number, command, op, buffers)
        if (number, command) == (abi.XEN_VERSION, abi.VERSION_CAPABILITIES):
            self._arm = b"x86" not in reply
        elif (number, command) == (abi.DOMCTL, abi.DOMCTL_GETDOMAININFO):
            # Answered, so that this is the version that is spoken: rows are laid out as it says.
            self._layout = domain_abi.row_layout(abi.OPERATION_HEADER.unpack_from(op)[1])
        elif (number, command) == (abi.SYSCTL, abi.SYSCTL_GETDOMAININFOLIST):
            outs = (self._without_handles(outs[0], domain_abi.LIST.unpack_from(reply, domain_abi.LIST_AT)[3]),)
        return result, reply, outs

    def _without_handles(self, rows: bytes, count: int) -> bytes:
        if self._layout is None:
            return bytes(len(rows))  # nobody can read them without the version either
        stride = self._layout.size_arm if self._arm else self._layout.size
        made = bytearray(rows)
        for position in range(count):
            at = position * stride
            handle = at + self._layout.row.size - domain_abi.HANDLE_FROM_END
            if any(made[handle : handle + 16]):
                made[handle : handle + 16] = made[at : at + 2].rjust(16, b"\0")
        return bytes(made)
