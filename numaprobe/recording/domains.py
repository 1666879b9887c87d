"""What a recording keeps of domains: what numaprobe understands of them and no more, under other names if wanted.

Command lines, names of files and of control groups say much of a host and of whose guests it runs. So a recording has
domains only if that is asked for, and of a process only what is needed: its command line is written anew from what was
understood of it, a mapped file is memory or it is not, and of mounted file systems only the control groups' is kept.
"""

from __future__ import annotations

from ..linux.cgroups import mounts
from ..linux.guests import collect as guests
from ..linux.guests import command_line, numa_maps, threads
from ..linux.source import Source
from ..xen import abi
from ..xen.domains import abi as domain_abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..linux.guests.facts import CommandLine
    from ..ports import Hypercalls
    from ..sources.recorder import RecordingReader

MOUNTINFO = "proc/self/mountinfo"
HUGE_PAGES = "sys/kernel/mm/hugepages"
STATUS = (b"State:", b"PPid:", b"VmRSS:", b"Rss", b"HugetlbPages:", b"Cpus_allowed_list:", b"Mems_allowed_list:")


def add_guests(recorder: RecordingReader, seen: RecordingReader, *, anonymous: bool) -> None:
    """Look at the guests of a Linux host through ``seen``, and put into ``recorder`` what is kept of that."""
    keep = Redactor(seen, anonymous=anonymous)
    for path, content in seen.files.items():
        kept = keep.file(path, content)
        if kept is not None:
            recorder.files.setdefault(*kept)
    for path, errno in seen.errors.items():
        if keep.guest_of(path) is not None:
            recorder.errors[path] = errno
    recorder.directories |= {path for path in seen.directories if path.startswith(HUGE_PAGES)}


class Redactor:
    """Decides what of a guest is kept, and under which names."""

    def __init__(self, seen: RecordingReader, *, anonymous: bool) -> None:
        self._anonymous = anonymous
        self._aliases: dict[str, str] = {}
        self._lines: Mapping[int | str, CommandLine] = {
            guest.id: guest.line for guest in guests.collect(seen) if guest.line is not None
        }
        source = Source(seen)
        self._groups = mounts(source, ("cgroup2",))
        self._places = tuple([mount.point for mount in mounts(source, guests.MEMORY_FILE_SYSTEMS)])

    def guest_of(self, path: str) -> int | None:
        """The process that a file is of, if that is a guest."""
        parts = path.split("/")
        pid = int(parts[1]) if parts[0] == "proc" and len(parts) > 2 and parts[1].isdigit() else None
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
        pid = self.guest_of(path)
        if pid is not None:
            return path, self._of_process(path, content, self._lines[pid], pid)
        return (path, content) if path.startswith(HUGE_PAGES) else None

    def _alias(self, name: str, kind: str) -> str:
        return self._aliases.setdefault(name, f"{kind}-{len(self._aliases) + 1}")

    def _group(self, name: str) -> str:
        return self._alias(name, "group") if self._anonymous else name

    def _mounts(self, content: bytes) -> bytes:
        kept = []
        for line in content.split(b"\n"):
            before, _, after = line.partition(b" - ")
            words = before.split()
            if after.split()[:1] == [b"cgroup2"] and len(words) >= 5:
                # The groups' own paths are kept as they are below the mount.
                kept.append(b" ".join([*words[:3], b"/", words[4]]) + b" rw - cgroup2 cgroup2 rw\n")
        return b"".join(kept)

    def _of_process(self, path: str, content: bytes, line: CommandLine, pid: int) -> bytes:
        name = path.rpartition("/")[2]
        if name == "cmdline":
            if self._anonymous:
                uuid = None if line.uuid is None else f"00000000-0000-0000-0000-{pid:012}"
                line = line._replace(name=None if line.name is None else f"guest-{pid}", uuid=uuid)
            return command_line.written(line)
        if name == "comm":
            return content if threads.vcpu_of(content.strip()) is not None else b"thread\n"
        if name == "stat":
            return content.partition(b" ")[0] + b" (thread)" + content.rpartition(b")")[2]
        if name == "status":
            kept = [row for row in content.split(b"\n") if row.startswith(STATUS)]
            return b"\n".join([b"Name:\tthread", *kept, b""])
        if name == "cgroup":
            return self._own_group(content)
        if name == "numa_maps":
            return self._maps(content, (*self._places, *line.memory_paths))
        if name == "maps":
            return b"".join([b" ".join(row.split()[:5]) + b"\n" for row in content.split(b"\n") if row])
        return content

    def _own_group(self, content: bytes) -> bytes:
        for row in content.decode("utf-8", "replace").splitlines():
            if row.startswith("0::"):
                path = row[3:]
                for mount in self._groups:
                    if mount.root != "/" and (path == mount.root or path.startswith(mount.root + "/")):
                        path = path[len(mount.root) :]
                parts = [part if part == ".." else self._group(part) for part in path.split("/") if part]
                return f"0::/{'/'.join(parts)}\n".encode()
        return b""

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
