"""Sizes as people write them."""

from __future__ import annotations

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50}


def parse(text: str) -> int:
    """Bytes of ``512M``, ``8G``, ``8Gi``, ``8GiB``, ``1.5G`` or a bare number; units are binary.

    Raises ``ValueError`` for another text.
    """
    number = text.strip()
    unit = number.lstrip("0123456789.")
    number = number[: len(number) - len(unit)]
    letter = unit.strip().upper()
    for ending in ("IB", "B", "I"):
        if letter.endswith(ending):
            letter = letter[: -len(ending)]
            break
    whole, dot, part = number.partition(".")
    if letter not in _UNITS or not whole.isascii() or not whole.isdigit() or (dot and not part.isdigit()):
        raise ValueError(f"not a size: {text!r} (such as 512M, 8G or 8GiB)")
    if len(number) > 30 or unit.strip().upper() in ("IB", "I"):
        raise ValueError(f"not a size: {text!r} (such as 512M, 8G or 8GiB)")
    scaled: int = int(whole + part) << _UNITS[letter]
    places: int = 10 ** len(part)
    value, rest = divmod(scaled, places)
    if rest:
        raise ValueError(f"not a whole number of bytes: {text!r}")
    return value
