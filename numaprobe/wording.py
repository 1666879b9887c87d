"""How sizes and sets of ids are written in reasons and formats."""

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


def ids(numbers: Iterable[int]) -> str:
    """Ids in list format, ``0-3,8``; the empty string for none."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def count(number: int, word: str) -> str:
    """``1 cpu``, ``2 cpus``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def cells(numbers: Iterable[int]) -> str:
    """``cell 1``, ``cells 0-1``."""
    known = tuple(numbers)
    return f"cell {ids(known)}" if len(known) == 1 else f"cells {ids(known)}"
