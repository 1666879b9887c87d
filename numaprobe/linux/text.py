"""Kernel text to values, with the name of the file in every complaint.

Each function takes where the text is from and the text, and raises ``FactError`` if it is not of the form that the
kernel documents. Trailing white space and NUL bytes never matter.
"""

from __future__ import annotations

from .. import _fast
from ..errors import FactError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def ids(where: str, content: bytes) -> tuple[int, ...]:
    """Ids in list format (``0-3,8``), ascending; see Linux's Documentation/admin-guide/cputopology.rst."""
    # Linux prints "(null)" for a cpu list that was never allocated (nohz_full before 4.17).
    if content.strip() == b"(null)":
        return ()
    try:
        return _fast.ids(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def mask(where: str, content: bytes) -> tuple[int, ...]:
    """Ids in mask format (``ff,00000001``: hexadecimal words of 32 bits, the highest first), ascending."""
    try:
        return _fast.mask(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def number(where: str, content: bytes) -> int:
    """One decimal number."""
    try:
        return _fast.integer(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def numbers(where: str, content: bytes) -> tuple[int, ...]:
    """Decimal numbers between white space."""
    try:
        return _fast.integers(content)
    except ValueError as error:
        raise FactError(where, content, str(error)) from None


def fields(where: str, content: bytes, names: tuple[bytes, ...]) -> tuple[int | None, ...]:
    """Values of ``Name: number`` lines by the position of the name; None for a name that is not there."""
    try:
        return _fast.fields(content, names)
    except ValueError as error:
        raise _in_table(where, content, error, lambda line: _fast.fields(line, names)) from None


def zones(where: str, content: bytes) -> list[_fast.Zone]:
    """Zones of ``/proc/zoneinfo``; see ``numaprobe._fast.zones``."""
    try:
        return _fast.zones(content)
    except ValueError as error:
        raise _in_table(where, content, error, _fast.zones) from None


def numa_maps(where: str, content: bytes) -> tuple[tuple[tuple[int, int], ...], list[_fast.FileMapping]]:
    """Anonymous memory of a process by node, and its mappings of files; see ``numaprobe._fast.numa_maps``."""
    try:
        return _fast.numa_maps(content)
    except ValueError as error:
        raise _in_table(where, content, error, _fast.numa_maps) from None


def _in_table(where: str, content: bytes, error: ValueError, scan: Callable[[bytes], object]) -> FactError:
    """The error with the first line that the scanner refuses on its own as its text."""
    for line in content.split(b"\n"):
        try:
            scan(line)
        except ValueError:
            return FactError(where, line, str(error))
    return FactError(where, content, str(error))


def suffix_number(name: str, prefix: str, suffix: str = "") -> int | None:
    """The number N in a name of the form prefix N suffix (``node12``, ``hugepages-2048kB``), or None."""
    if not (name.startswith(prefix) and name.endswith(suffix)):
        return None
    digits = name[len(prefix) : len(name) - len(suffix)]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10) or (digits[0] == "0" and len(digits) > 1):
        return None
    return int(digits)
