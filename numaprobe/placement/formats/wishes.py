"""What a format cannot express: a plan that needs it is refused, so that nothing is dropped silently."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..plan import Plan

# What a plan may have, by the word for it.
WISHES: dict[str, Callable[[Plan], bool]] = {
    "huge pages": lambda plan: plan.request.huge_page is not None,
    "pinned vcpus": lambda plan: any(one.pinned for one in plan.vcpus),
    "guest cells": lambda plan: bool(plan.guest_cells),
    "CPUs for the emulator": lambda plan: bool(plan.emulator),
}
ALL = tuple(WISHES)
# cpuset and nodeset are lists of ids, which hold for a guest as a whole whatever is done inside it.
CANNOT: dict[str, tuple[str, ...]] = {
    "cpuset": ("huge pages", "guest cells", "CPUs for the emulator"),
    "nodeset": ("guest cells",),
    "xl": ("huge pages", "CPUs for the emulator"),
    "virsh": ("huge pages", "guest cells"),
    "qemu": ("pinned vcpus", "CPUs for the emulator"),
    "cloud-hypervisor": ("CPUs for the emulator",),
    "numactl": ALL,
    "systemd": ALL,
}
# Where a wish can be expressed instead.
REMEDY = {
    "qemu": "start QEMU with the options of a plan without them and apply this one with numaprobe pin",
    "virsh": "libvirt reads them only when a guest starts: use the format libvirt",
    "xl": "Xen has none of its own for them",
}


def refuse(plan: Plan, name: str, cannot: Iterable[str]) -> None:
    """Raise ``ValueError`` for the first part of a plan that a format cannot express."""
    for wish in cannot:
        if WISHES[wish](plan):
            remedy = REMEDY.get(name, "use text, json, libvirt or another format that can")
            raise ValueError(f"the format {name} cannot express {wish}; {remedy}")
