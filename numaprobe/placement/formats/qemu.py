"""A plan as options of QEMU (qemu(1)): sizes and guest cells, with the memory bound to the host's nodes.

QEMU cannot place its own vcpus, so a plan that pins them is refused; ``numaprobe pin`` moves their threads. On a host
of one cell no memory is bound.
"""

from __future__ import annotations

import shlex

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line of options, quoted for a shell."""
    request = plan.request
    options = ["-smp", str(request.vcpus), "-m", f"size={-(-request.memory // 1024)}k"]
    if not plan.guest_cells:
        options += ["-object", _memory("m0", request.memory, plan.memory if plan.bind else (), request.huge_page)]
        # Since QEMU 5.0; the machine's own name for its memory until then was -numa node,memdev=.
        options += ["-machine", "memory-backend=m0"]
        return shlex.join(options) + "\n"
    for one in plan.guest_cells:
        options += ["-object", _memory(f"m{one.id}", one.memory, (one.cell,) if plan.bind else (), request.huge_page)]
        runs = "".join(f",cpus={run}" for run in id_list(one.vcpus).split(","))
        options += ["-numa", f"node,nodeid={one.id}{runs},memdev=m{one.id}"]
    # QEMU wants 10 for a node itself, and for two nodes something between 10 and 255 (hw/core/numa.c).
    for one in plan.guest_cells:
        for other, cost in one.distances or ():
            if other != one.id:
                options += ["-numa", f"dist,src={one.id},dst={other},val={min(254, max(11, cost))}"]
    return shlex.join(options) + "\n"


def _memory(name: str, size: int, cells: Iterable[int], huge_page: int | None) -> str:
    kind = f"memory-backend-memfd,hugetlb=on,hugetlbsize={huge_page // 1024}k" if huge_page else "memory-backend-ram"
    # A list is spelled host-nodes=0-1,host-nodes=4: the comma parts options.
    nodes = "".join(f",host-nodes={run}" for run in id_list(cells).split(",") if run)
    bound = f"{nodes},policy=bind" if nodes else ""
    return f"{kind},id={name},size={-(-size // 1024)}k{bound},prealloc=on"
