"""How sizes, counts and sets of ids are written for people and in formats."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(value: int) -> str:
    """Bytes in a unit that they fill, exact where that is short: ``512 MiB``, ``1.5 GiB``."""
    for unit, name in _UNITS:
        if value >= unit:
            whole, rest = divmod(value, unit)
            return f"{whole} {name}" if rest == 0 else f"{value / unit:.1f} {name}"
    return f"{value} B"


def amount(value: int | None) -> str:
    """Bytes with one decimal in a unit that suits them, ``1.5 GiB``; ``-`` for unknown."""
    if value is None:
        return "-"
    number, unit = float(value), 0
    names = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    while abs(number) >= 1023.95 and unit < len(names) - 1:
        number /= 1024
        unit += 1
    return f"{value} B" if unit == 0 else f"{number:.1f} {names[unit]}"


def id_list(numbers: Iterable[int] | None, *, none: str = "", unknown: str = "-") -> str:
    """Ids in the kernel's list format, ``0-3,8``; ``none`` for no ids, ``unknown`` for None."""
    if numbers is None:
        return unknown
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or none


def count(number: int, word: str) -> str:
    """``1 cpu``, ``2 cpus``, ``2 boxes``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}{'es' if word.endswith('x') else 's'}"


def cells(numbers: Iterable[int]) -> str:
    """``cell 1``, ``cells 0-1``."""
    known = tuple(numbers)
    return f"cell {id_list(known)}" if len(known) == 1 else f"cells {id_list(known)}"
