"""Values in command lines: sizes, counts, lists of ids, and ``key=value`` pairs."""

from __future__ import annotations

from ...errors import FactError
from .. import text

UNITS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
MIB = 20
# As physical addresses have bits at most, and far more vcpus than any program can run.
MAX_BYTES = 1 << 56
MAX_COUNT = 1 << 20


def size(written: str, shift: int = 0) -> int | None:
    """Bytes of ``96``, ``512M`` or ``1.5G``; a bare number is in units of 1 << ``shift``. None for anything else."""
    number = written.strip().lower()
    # Of hexadecimal digits "b" and "e" are no units.
    if not number.startswith("0x"):
        if number[-2:-1].isalpha() and number.endswith("b"):
            number = number[:-1]
        if number.endswith("i"):
            number = number[:-1]
        if number[-1:] in UNITS:
            number, shift = number[:-1], UNITS[number[-1]]
    try:
        if number.startswith("0x"):
            found = int(number, 16)
        else:
            found = int(number) << shift if number.isdigit() else int(float(number) * (1 << shift))
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= MAX_BYTES else None


def pairs(option: str, first: str = "") -> list[tuple[str, str]]:
    """``key=value,flag``; the first part alone is the value of ``first``.

    A comma in a value is written twice (QEMU), or the value is in brackets (cloud-hypervisor), which are left out.
    """
    found = []
    for position, part in enumerate(_parts(option.replace(",,", "\0"))):
        key, equal, value = part.replace("\0", ",").partition("=")
        if value.startswith("[") and value.endswith("]"):
            value = value[1:-1]
        found.append((key, value) if equal else (first, key) if first and not position else (key, "on"))
    return found


def _parts(option: str) -> list[str]:
    """Split at the commas that are not between brackets."""
    if "[" not in option:
        return option.split(",")
    found = [""]
    depth = 0
    for character in option:
        depth += (character == "[") - (character == "]")
        if character == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += character
    return found


def count(written: str | None) -> int | None:
    """A whole number; None for anything else, and for more than there can be."""
    if written is None or not (written.isascii() and written.isdigit()) or len(written) > 30:
        return None
    found = int(written)
    return found if found <= MAX_COUNT else None


def ids(written: str) -> tuple[int, ...] | None:
    """Ids in list format; None for anything else."""
    try:
        return text.ids("", written.encode())
    except FactError:
        return None


def total(sizes: list[int | None]) -> int | None:
    """The sum; None if one is unknown or there are none, or if it is 0: programs then use a default."""
    known = [one for one in sizes if one is not None]
    return (sum(known) or None) if known and len(known) == len(sizes) else None
