"""A plan as options of cloud-hypervisor (its docs/cpu.md and docs/memory.md): vcpus pinned, memory zones bound.

Several zones are values of one ``--memory-zone``: given twice, releases since 30 refuse the option.
"""

from __future__ import annotations

import shlex

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line of options, quoted for a shell."""
    request = plan.request
    pins = ",".join(f"{one.vcpu}@[{id_list(one.cpus)}]" for one in plan.vcpus)
    options = ["--cpus", f"boot={request.vcpus},affinity=[{pins}]"]
    pages = f",hugepages=on,hugepage_size={request.huge_page // 1024}K" if request.huge_page else ""
    if not plan.bind and not plan.guest_cells:
        options += ["--memory", f"size={_kib(request.memory)}{pages}"]
        return shlex.join(options) + "\n"
    given = [(one.cell, one.memory) for one in plan.guest_cells] or list(plan.memory.items())
    options += ["--memory", "size=0", "--memory-zone"]
    for number, (cell, size) in enumerate(given):
        node = f",host_numa_node={cell}" if plan.bind else ""
        options.append(f"id=m{number},size={_kib(size)}{node}{pages}")
    if plan.guest_cells:
        options.append("--numa")
    for one in plan.guest_cells:
        words = [f"guest_numa_id={one.id}", f"cpus=[{id_list(one.vcpus)}]"]
        others = [f"{other}@{min(254, max(11, cost))}" for other, cost in one.distances or () if other != one.id]
        if others:
            words.append(f"distances=[{','.join(others)}]")
        options.append(",".join([*words, f"memory_zones=[m{one.id}]"]))
    return shlex.join(options) + "\n"


def _kib(size: int) -> str:
    return f"{-(-size // 4096) * 4}K"
