"""A plan in the words of other programs: one module per format, each with ``render(plan)``."""

from __future__ import annotations

from importlib import import_module

from .wishes import CANNOT, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan

FORMATS = (
    "text",
    "json",
    "cpuset",
    "nodeset",
    "xl",
    "libvirt",
    "virsh",
    "qemu",
    "cloud-hypervisor",
    "numactl",
    "systemd",
)


def render(plan: Plan, name: str, *, soft: bool = False, pool: int | None = None) -> str:
    """A plan in one of ``FORMATS``, ending with a newline.

    ``soft`` and ``pool`` are for ``xl``: CPUs that the vcpus prefer instead of those they must run on, and the cpupool.
    Raises ``ValueError`` for another name, for an option that the format does not have, and for a plan that has what
    the format cannot express.
    """
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {name!r}")
    refuse(plan, name, CANNOT.get(name, ()))
    module = import_module(f".{name.replace('-', '_')}", __name__)
    if name == "xl":
        text: str = module.render(plan, soft=soft, pool=pool)
        return text
    if soft:
        raise ValueError(f"soft affinity is for the format xl, not {name}")
    plain: str = module.render(plan)
    return plain
