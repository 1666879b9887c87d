"""A plan as elements of libvirt's domain XML (https://libvirt.org/formatdomain.html), to be put into a <domain>.

On a host of one cell there is no ``numatune``, which libvirt refuses on a kernel without NUMA.
"""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """``memory``, ``memoryBacking``, ``vcpu``, ``cputune``, ``numatune`` and, for guest cells, ``cpu``."""
    request = plan.request
    kib = sum(_kib(one.memory) for one in plan.guest_cells) or _kib(request.memory)
    lines = [f"<memory unit='KiB'>{kib}</memory>"]
    if request.huge_page:
        nodes = f" nodeset='{id_list(one.id for one in plan.guest_cells)}'" if plan.guest_cells else ""
        page = f"<page size='{request.huge_page // 1024}' unit='KiB'{nodes}/>"
        lines += ["<memoryBacking>", f"  <hugepages>{page}</hugepages>", "</memoryBacking>"]
    lines.append(f"<vcpu placement='static' cpuset='{id_list(plan.cpus)}'>{request.vcpus}</vcpu>")
    lines.append("<cputune>")
    lines += [f"  <vcpupin vcpu='{one.vcpu}' cpuset='{id_list(one.cpus)}'/>" for one in plan.vcpus]
    lines += [f"  <emulatorpin cpuset='{id_list(plan.emulator or plan.cpus)}'/>", "</cputune>"]
    if plan.bind:
        lines += ["<numatune>", f"  <memory mode='strict' nodeset='{id_list(plan.memory)}'/>"]
        lines += [f"  <memnode cellid='{one.id}' mode='strict' nodeset='{one.cell}'/>" for one in plan.guest_cells]
        lines.append("</numatune>")
    if plan.guest_cells:
        lines += ["<cpu>", "  <numa>"]
        for one in plan.guest_cells:
            head = f"    <cell id='{one.id}' cpus='{id_list(one.vcpus)}' memory='{_kib(one.memory)}' unit='KiB'"
            if one.distances is None:
                lines.append(head + "/>")
                continue
            lines += [head + ">", "      <distances>"]
            # libvirt refuses another value than 10 for a cell itself (virDomainNumaDefNodeDistanceParseXML).
            for other, cost in one.distances:
                lines.append(
                    f"        <sibling id='{other}' value='{10 if other == one.id else max(11, min(255, cost))}'/>"
                )
            lines += ["      </distances>", "    </cell>"]
        lines += ["  </numa>", "</cpu>"]
    return "\n".join(lines) + "\n"


def _kib(size: int) -> int:
    return -(-size // 1024)
