"""A plan in the words of other programs: one module per format, each with ``render(plan)``."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan

FORMATS = ("text", "json", "cpuset", "nodeset", "xl", "libvirt", "qemu", "numactl", "systemd")


def render(plan: Plan, name: str) -> str:
    """A plan in one of ``FORMATS``, ending with a newline.

    Raises ``ValueError`` for another name, and for a plan that the format cannot express.
    """
    if name not in FORMATS:
        raise ValueError(f"a format is one of {', '.join(FORMATS)}, not {name!r}")
    text: str = import_module(f".{name}", __name__).render(plan)
    return text
