"""Debug key ``u``: Xen prints where every page of every domain is, on its console.

It is the only way that every Xen since 3.3 has, and it was made for developers. Xen walks each domain's list of pages
without a pause, holding the domain's lock and delaying all other sysctl callers: 10 to 100 ns per page, so seconds per
hundred GiB, and after five seconds a watchdog may take the host down. So it is only used on request, and not on a host
whose largest domain would take long.

The text is that of ``dump_numa`` in Xen's xen/arch/x86/numa.c, since 4.18 xen/common/numa.c.
"""

from __future__ import annotations

import re

from ...errors import FactError
from ...named import namedtuple
from .. import abi
from ..calls import issue
from . import abi as domain_abi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..sysctl import Sysctl

WHERE = "sysctl debug_keys u"
KEY = b"u"
# Xen's console ring has 16 KiB unless conring_size on its command line says otherwise.
_FIRST_READ = 64 << 10
_MAX_READ = 16 << 20

_HEADING = re.compile(r"'u' pressed -> dumping numa info \((?:now-0x[0-9A-Fa-f]+:[0-9A-Fa-f]+|now = [0-9]+)\)")
# "idx0 -> NODE0 ..." up to 4.7; no free before 4.2.
_NODE = re.compile(r"(?:idx[0-9]+ -> )?NODE([0-9]+) start->[0-9]+ size->[0-9]+(?: free->[0-9]+)?")
_SECTION = "Memory location of each domain:"
# "Domain 0 (total: 1):" up to 4.17, then "d0 (total: 1):".
_DOMAIN = re.compile(r"(?:Domain |d)([0-9]+) \(total: ([0-9]+)\):")
_PAGES = re.compile(r" +Node ([0-9]+): ([0-9]+)")
# What console_timestamps puts behind the prefix: "[1970-01-01 00:00:00]", "[   39.954803]", "[000000012d1a]".
_LINE = re.compile(r"\(XEN\) (?:\[[^\]]*\] )?(.*)")


class Located(namedtuple("Located", "total pages")):
    """A domain's pages as the key counts them: all of them, and by node."""

    __slots__ = ()
    total: int
    pages: dict[int, int]


def press(sysctl: Sysctl) -> str:
    """Press the key and give what Xen then printed. ``FactError`` if the console's ring was too small for it."""
    before, _ = _read(sysctl, None)
    payload = domain_abi.DEBUG_KEYS.pack(0, len(KEY))
    op = abi.OPERATION_HEADER.pack(abi.SYSCTL_DEBUG_KEYS, sysctl.version) + payload
    issue(
        sysctl.calls,
        abi.SYSCTL,
        abi.SYSCTL_DEBUG_KEYS,
        op.ljust(abi.SYSCTL_BYTES, b"\0"),
        ((domain_abi.DEBUG_KEYS_HANDLE_AT, KEY),),
    )
    after, printed = _read(sysctl, before)
    # Xen skips what the ring has lost, so the text is then shorter than the advance of the index.
    if (after - len(printed)) & abi.ALL_ONES_32 != before:
        raise FactError(WHERE, reason="the console's ring is too small for the answer (conring_size= makes it larger)")
    return printed.decode("ascii", "replace")


def _read(sysctl: Sysctl, start: int | None) -> tuple[int, bytes]:
    """The current index of the console, and its text since ``start``, or all of it."""
    room = _FIRST_READ
    while True:
        payload = domain_abi.READCONSOLE.pack(0, start is not None, start or 0, 0, room)
        op = abi.OPERATION_HEADER.pack(abi.SYSCTL_READCONSOLE, sysctl.version) + payload
        buffers = ((domain_abi.READCONSOLE_HANDLE_AT, bytes(room)),)
        reply, (text,) = issue(
            sysctl.calls, abi.SYSCTL, abi.SYSCTL_READCONSOLE, op.ljust(abi.SYSCTL_BYTES, b"\0"), buffers
        )[1:]
        _, _, index, _, count = domain_abi.READCONSOLE.unpack_from(reply, domain_abi.READCONSOLE_AT)
        if count > room:
            raise FactError("sysctl readconsole", str(count), "more text than there was room for")
        if count < room or room >= _MAX_READ:
            return index, text[:count]
        room *= 4


def parse(text: str) -> dict[int, Located]:
    """Every domain's pages by node, from what the key prints; ``FactError`` for a text that is not whole.

    Other lines may stand between, since Xen and its guests print when they like.
    """
    nodes: set[int] = set()
    found: dict[int, Located] = {}
    heading = section = False
    current: Located | None = None
    for line in _lines(text):
        if _HEADING.fullmatch(line):
            heading, section, current = True, False, None
            nodes, found = set(), {}
        elif not heading:
            continue
        elif line == _SECTION:
            section = True
        elif not section:
            if node := _NODE.fullmatch(line):
                nodes.add(int(node[1]))
        elif domain := _DOMAIN.fullmatch(line):
            current = found[int(domain[1])] = Located(int(domain[2]), {})
        elif (pages := _PAGES.fullmatch(line)) and current is not None:
            if int(pages[1]) in current.pages:
                raise FactError(WHERE, line, "a node is reported twice")
            current.pages[int(pages[1])] = int(pages[2])
    if not heading or not section or not nodes or not found:
        raise FactError(WHERE, text[-60:], "the answer is not on the console")
    for number, located in found.items():
        if set(located.pages) != nodes or sum(located.pages.values()) > located.total:
            raise FactError(WHERE, f"domain {number}", "the answer is incomplete")
    return found


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\r", "").split("\n"):
        if matched := _LINE.fullmatch(line):
            yield matched[1]
