"""``/proc/PID/status``: how much a process holds by kind, and what it may use (proc(5))."""

from __future__ import annotations

from ...errors import FactError
from ...named import namedtuple
from .. import text

# As many bytes as physical addresses have, in kB.
MAX_KB = 1 << 46

FIELDS = (b"RssAnon", b"RssShmem", b"HugetlbPages", b"PPid", b"VmLck", b"VmRSS")
SIZES = (b"Rss", b"Vm", b"Huge")


class Status(namedtuple("Status", "state parent anonymous shared huge locked by_kind cpus nodes")):
    """The kernel's letter, the parent, resident bytes by kind, locked bytes, and what the process may use.

    Before Linux 4.5 there is one figure for all kinds, those of files too: ``by_kind`` is False, and ``anonymous`` it.
    """

    __slots__ = ()
    state: str
    parent: int
    anonymous: int
    shared: int
    huge: int
    locked: int
    by_kind: bool
    cpus: tuple[int, ...] | None
    nodes: tuple[int, ...] | None

    @property
    def resident(self) -> int:
        """Bytes of all kinds."""
        return self.anonymous + self.shared + self.huge


def parse(where: str, content: bytes) -> Status | None:
    """None for a process that has no memory of its own: a kernel thread, or one that is ending.

    Raises ``FactError`` for what is no status.
    """
    last = content[content.rfind(b"\n") + 1 :]
    # A unit ends each of them.
    if last.startswith(SIZES) and not last.endswith(b" kB"):
        raise FactError(where, last, "is cut in this line")
    anonymous, shared, huge, parent, locked, resident = text.fields(where, content, FIELDS)
    letter = _value(content, b"State:")
    if not letter:
        raise FactError(where, content[:60], "has no state")
    if anonymous is None and resident is None:
        return None
    if anonymous is not None and shared is None:
        raise FactError(where, content[:60], "has RssAnon but not RssShmem; the kernel writes both")
    if max(anonymous or 0, shared or 0, huge or 0, locked or 0, resident or 0) > MAX_KB:
        line = next(line for line in content.splitlines() if line.startswith(FIELDS) and len(line) > 20)
        raise FactError(where, line, "more memory than can be")
    lists = [
        None if (value := _value(content, name)) is None else text.ids(where, value)
        for name in (b"Cpus_allowed_list:", b"Mems_allowed_list:")
    ]
    return Status(
        state=letter[:1].decode("ascii", "replace"),
        parent=parent or 0,
        anonymous=((resident if anonymous is None else anonymous) or 0) << 10,
        shared=((anonymous is not None and shared) or 0) << 10,
        huge=(huge or 0) << 10,
        locked=(locked or 0) << 10,
        by_kind=anonymous is not None,
        cpus=lists[0],
        nodes=lists[1],
    )


def _value(content: bytes, name: bytes) -> bytes | None:
    start = content.find(b"\n" + name)
    return None if start < 0 else content[start + 1 + len(name) :].partition(b"\n")[0].strip()
