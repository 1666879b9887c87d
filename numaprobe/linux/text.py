"""Kernel text to values, with the name of the file in every complaint.

Each function takes where the text is from and the text, and raises ``FactError`` if it is not of the form that the
kernel documents. Trailing white space and NUL bytes never matter.
"""

from __future__ import annotations

from .. import _fast
from ..errors import FactError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


def ids(where: str, content: bytes) -> tuple[int, ...]:
    """Ids in list format (``0-3,8``), ascending; see Linux's Documentation/admin-guide/cputopology.rst."""
    try:
        return _fast.ids(content)
    except ValueError as error:
        # Linux prints "(null)" for a cpu list that was never allocated (nohz_full before 4.17).
        if content.strip() == b"(null)":
            return ()
        raise FactError(where, content, str(error)) from None


# A list that was written into one page (of 4 KiB or 64 KiB) is cut at its end, with a newline or without: Linux before
# 5.15, where 75bd50fa841d ("drivers/base/node.c: use bin_attribute to break the size limitation of cpumap ABI") is.
_CUT = frozenset((*range(4094, 4097), *range(65534, 65537)))


def id_list(where: str, content: bytes) -> tuple[int, ...]:
    """Ids of a whole file in list format, which the kernel ends with a newline even if it is empty.

    A file of 0 bytes, and one that fills a page, is a broken copy and not a list; some recorders leave the newline out
    of a short one.
    """
    size = len(content)
    if 0 < size < 4094:
        try:
            return _fast.ids(content)
        except ValueError:
            return ids(where, content)
    if size in _CUT:
        size = len(content.rstrip(b"\0"))
        if size in _CUT and (content[size - 1 : size] != b"\n" or size in (4094, 65534)):
            raise FactError(where, content[size - 40 : size], f"a list cut after {size} bytes")
    if not size:
        raise FactError(where, reason="is empty (0 bytes), which is not a list")
    return ids(where, content)


def mask(where: str, content: bytes) -> tuple[int, ...]:
    """Ids in mask format (``ff,00000001``: hexadecimal words of 32 bits, the highest first), ascending."""
    try:
        return _fast.mask(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


# The kernel keeps ids in 32 bits, and some hypervisors show an unknown one unsigned; a larger number is not one.
MAX_INT = (1 << 32) - 1


def identity(where: str, content: bytes) -> int | None:
    """An id; None for -1, the kernel's word for none."""
    value = number(where, content)
    if not -1 <= value <= MAX_INT:
        raise FactError(where, content, "not an id")
    return None if value < 0 else value


def capacity(where: str, content: bytes) -> int:
    """The capacity of a cpu, which is never 0."""
    value = number(where, content)
    if not 1 <= value <= MAX_INT:
        raise FactError(where, content, "not a capacity")
    return value


def number(where: str, content: bytes) -> int:
    """One decimal number."""
    try:
        return _fast.integer(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def word(where: str, content: bytes, *, known: Collection[str], what: str) -> str:
    """One of the words that the kernel has for something."""
    found = content.strip(b"\0 \n").decode("ascii", "replace")
    if found not in known:
        raise FactError(where, content, f"not {what}")
    return found


MAX_ROW = 1 << 16
# Of a number of 64 bits.
MAX_WORD_DIGITS = 20
# Eight (MAX_NR_ZONES of Linux's include/linux/mmzone.h is smaller) on each of 1,024 nodes.
MAX_ZONES = 1 << 13


def numbers(where: str, content: bytes) -> tuple[int, ...]:
    """Decimal numbers between white space, as a row of distances has them; no row is longer than 64 kB."""
    if len(content) > MAX_ROW:
        raise FactError(where, content, f"a row of {len(content)} bytes")
    try:
        return _fast.integers(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def fields(where: str, content: bytes, names: tuple[bytes, ...]) -> tuple[int | None, ...]:
    """Values of ``Name: number`` lines by the position of the name; None for a missing name."""
    try:
        return _fast.fields(content, names)
    except ValueError as error:
        raise _in_table(where, content, error, lambda line: _fast.fields(line, names)) from None


def words(where: str, content: bytes, names: tuple[bytes, ...]) -> tuple[int | None, ...]:
    """Values of ``name number`` lines by the position of the name; None for a missing name."""
    try:
        return _fast.words(content, names)
    except ValueError as error:
        raise _in_table(where, content, error, lambda line: _fast.words(line, names)) from None


def zones(where: str, content: bytes) -> list[_fast.Zone]:
    """Zones of ``/proc/zoneinfo``; see ``numaprobe._fast.zones``."""
    try:
        return _fast.zones(content)
    except ValueError as error:
        raise _in_table(where, content, error, _fast.zones) from None


def meminfo(content: bytes) -> tuple[tuple[tuple[str, int], ...], bytes | None]:
    """Every size of ``/proc/meminfo`` or of a node, in bytes, by the kernel's name; and the first broken line.

    Counts of pages, which have no unit, are left out.
    """
    found = []
    odd = None
    for line in content.split(b"\n"):
        name, colon, rest = line.partition(b":")
        words = rest.split()
        # MemTotal, of a node "Node 0 MemTotal".
        label = name.split()[-1:]
        if len(words) == 2 and words[1] == b"kB" and label and words[0].isdigit() and len(words[0]) < 16:
            found.append((label[0].decode("ascii", "replace"), int(words[0]) << 10))
        elif line.strip() and not (colon and len(words) == 1 and words[0].isdigit()):
            odd = line if odd is None else odd
    return tuple(found), odd


def vmstat(content: bytes) -> tuple[tuple[tuple[str, int], ...], bytes | None]:
    """Every field of ``nodeN/vmstat`` or ``/proc/vmstat``, by the kernel's name; and the first broken line."""
    found = []
    odd = None
    for line in content.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and len(words[1]) <= MAX_WORD_DIGITS:
            found.append((words[0].decode("ascii", "replace"), int(words[1])))
        elif words and odd is None:
            odd = line
    return tuple(found), odd


def numa_maps(where: str, content: bytes) -> tuple[tuple[tuple[int, int], ...], list[_fast.FileMapping]]:
    """Anonymous memory of a process by node, and its mappings of files; see ``numaprobe._fast.numa_maps``."""
    try:
        return _fast.numa_maps(content)
    except ValueError as error:
        raise _in_table(where, content, error, _fast.numa_maps) from None


def _in_table(where: str, content: bytes, error: ValueError, scan: Callable[[bytes], object]) -> FactError:
    """The error with the first line that the scanner refuses on its own as its text.

    A table may be bad in the last of millions of lines: halves are scanned until the line is among few.
    """
    start, end = 0, len(content)
    while end - start > MAX_ROW:
        middle = content.find(b"\n", (start + end) // 2, end - 1) + 1
        if not middle:
            break
        try:
            scan(content[start:middle])
        except ValueError:
            end = middle
        else:
            start = middle
    for line in content[start : min(end, start + 2 * MAX_ROW)].split(b"\n"):
        try:
            scan(line)
        except ValueError:
            return FactError(where, line, str(error))
    return FactError(where, content[start : start + MAX_ROW], str(error))


def suffix_number(name: str, prefix: str, suffix: str = "") -> int | None:
    """The number N in a name of the form prefix N suffix (``node12``, ``hugepages-2048kB``), or None."""
    found = _fast.suffix_numbers((name,), prefix, suffix)
    return found[0] if found else None


def suffix_numbers(names: Iterable[str], prefix: str, suffix: str = "") -> list[int]:
    """The numbers of those names that have one, ascending."""
    return _fast.suffix_numbers(names, prefix, suffix)
