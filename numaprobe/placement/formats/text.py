"""A plan for people."""

from __future__ import annotations

from ...wording import cells, count, id_list, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """Cells, cpus and memory, then the reasons, then what was not chosen."""
    request = plan.request
    label = f"{request.name}: " if request.name else ""
    lines = [f"{label}{cells(plan.cells)} for {count(request.vcpus, 'vcpu')} and {size(request.memory)}"]
    pages = f" in huge pages of {size(request.huge_page)}" if request.huge_page else ""
    lines += [f"  memory   {size(got)}{pages} of cell {cell}" for cell, got in plan.memory.items()]
    pinned = [one for one in plan.vcpus if one.pinned]
    lines += [
        f"  vcpu {one.vcpu:<3} on {'cpu' if len(one.cpus) == 1 else 'cpus'} {id_list(one.cpus)}" for one in pinned
    ]
    floating: dict[tuple[int, ...], list[int]] = {}
    for one in plan.vcpus:
        if not one.pinned:
            floating.setdefault(one.cpus, []).append(one.vcpu)
    for cpus, vcpus in floating.items():
        # Vcpus that are divided among cells keep to those of their own.
        others = f" by {'vcpu' if len(vcpus) == 1 else 'vcpus'} {id_list(vcpus)}" if pinned or len(floating) > 1 else ""
        lines.append(f"  cpus     {id_list(cpus)}, shared{others}")
    if plan.emulator:
        lines.append(f"  emulator on {'cpu' if len(plan.emulator) == 1 else 'cpus'} {id_list(plan.emulator)}")
    for inner in plan.guest_cells:
        row = "" if inner.distances is None else "; distances " + " ".join(str(cost) for _, cost in inner.distances)
        lines.append(
            f"  guest cell {inner.id} on cell {inner.cell}: vcpus {id_list(inner.vcpus)}, {size(inner.memory)}{row}"
        )
    if plan.distance is not None:
        lines.append(f"  an access costs {plan.distance:.4g} on average")
    lines += ["because", *(f"  {reason}" for reason in plan.reasons)]
    for advice in plan.repin:
        who = advice.name or f"domain {advice.domain}"
        lines.append(f"  pin {who} to cpus {id_list(advice.cpus)}: it floats on CPUs of this plan")
    if plan.rejected:
        lines += ["not chosen", *(f"  {cells(other.cells)}: {other.reason}" for other in plan.rejected)]
    return "\n".join(lines) + "\n"
