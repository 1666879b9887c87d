"""Limits of a figure: within what a machine can have, and a part no larger than its whole.

An impossible figure is None and noted, so that none is a fact that contradicts another one.
"""

from __future__ import annotations

from ..model.host import Note

# Physical addresses have 56 bits at most on the architectures that Linux runs on (RISC-V's Sv57).
MAX_BYTES = 1 << 56
MAX_WORD = (1 << 32) - 1
# Distances are bytes of ACPI's SLIT or of the device tree; 255 is out of reach.
MAX_COST = 255


def within(value: int | None, most: int, where: str, notes: list[Note], unit: str = "") -> int | None:
    """A figure from 0 to ``most``; another one is None and noted."""
    if value is None or 0 <= value <= most:
        return value
    notes.append(Note(where, f"impossible: {value}{unit} where at most {most}{unit} are possible"))
    return None


def kb(value: int | None, whole: int | None, where: str, notes: list[Note]) -> int | None:
    """Kilobytes as bytes; ``whole``, in bytes, is what they are a part of."""
    most = MAX_BYTES if whole is None else whole
    value = within(value, most >> 10, where, notes, " kB")
    return None if value is None else value << 10
