"""A plan as commands of virsh(1) for a guest of libvirt that runs already.

``numatune`` also moves the memory that the guest has, as far as the kernel can: the control group's
``cpuset.memory_migrate`` (v1) or its ``cpuset.mems`` (v2).
"""

from __future__ import annotations

import shlex

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One command a line. Raises ``ValueError`` for a plan of a guest without a name."""
    name = plan.request.name
    if name is None:
        raise ValueError("the format virsh needs the name of the guest (--name)")
    target = ["--domain", name, "--live"]
    lines = [
        ["virsh", "vcpupin", *target, "--vcpu", str(one.vcpu), "--cpulist", id_list(one.cpus)] for one in plan.vcpus
    ]
    lines.append(["virsh", "emulatorpin", *target, "--cpulist", id_list(plan.emulator or plan.cpus)])
    if plan.bind:
        lines.append(["virsh", "numatune", *target, "--nodeset", id_list(plan.memory)])
    return "".join(shlex.join(line) + "\n" for line in lines)
