"""What one spoiled or unreadable file of a guest changes, to the letter.

``tests/linux/guests.txt`` has it. ``pytest tests/linux/test_guests_kept.py --rewrite`` writes it anew; read the difference
before you commit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EACCES, EIO
from pathlib import Path
from typing import Any

import pytest
from kept import agrees, differences, guests_of
from processes import GROUP, QEMU, found_on, group, machine, process
from trees import Machine

from numaprobe.errors import NumaprobeError

KEPT = Path(__file__).parent / "guests.txt"
TEXTS = ("#!?\n", "", "18446744073709551615\n", "0\n", "0-9\n")
SECOND = QEMU.replace("vm1", "web").replace("AAAA", "BBBB")


def two_guests() -> Machine:
    """One in a control group of its own with a second process, one in none, and a process that is no guest."""
    return machine(
        process(500, cgroup="/machine.slice/vm1.scope"),
        process(600, cmdline=SECOND, vcpus=(("CPU 0/KVM", "S", 9, "2"), ("CPU 1/KVM", "R", 9, "3")), guest_ticks=5),
        process(700, cmdline="/usr/bin/sleep\x0060\0", vcpus=(), cgroup="/machine.slice/vm1.scope"),
        group(GROUP, "500\n700\n", anon="N0=1658880 N1=103149568"),
    )


def document(tree: Machine, errors: dict[str, int] | None = None) -> dict[str, Any]:
    try:
        found = found_on(tree, errors)
    except NumaprobeError as error:
        return {"error": f"{type(error).__name__}: {error}", "notes": []}
    return {
        "domains": guests_of(found),
        "complete": found.complete,
        "notes": [note._asdict() for note in found.notes],
    }


def told_of(whole: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [found["error"]] if "error" in found else list(differences(whole, found, 4))


def told() -> Iterator[str]:
    tree = two_guests()
    whole = document(tree)
    own = [path for path in sorted(tree) if path.startswith(("proc/500", "proc/600/", "proc/700", GROUP, "proc/self"))]
    for path in own:
        for text in TEXTS:
            yield f"{path} {text!r}"
            for change in told_of(whole, document({**tree, path: text})):
                yield f"  {change}"
        for error in (EACCES, EIO):
            yield f"{path} errno {error}"
            for change in told_of(whole, document(tree, {path: error})):
                yield f"  {change}"
        yield f"{path} gone"
        for change in told_of(whole, document({name: text for name, text in tree.items() if name != path})):
            yield f"  {change}"


def test_a_spoiled_file_of_a_guest_changes_what_it_did(pytestconfig: pytest.Config) -> None:
    """Each file of two guests with text that makes no sense, none, a figure too large, an error, and without it."""
    agrees(KEPT, told(), pytestconfig)
