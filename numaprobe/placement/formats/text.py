"""A plan for people."""

from __future__ import annotations

from ...wording import cells, count, id_list, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """Cells, cpus and memory, then the reasons, then what was not chosen."""
    asked = plan.request
    label = f"{asked.name}: " if asked.name else ""
    lines = [f"{label}{cells(plan.cells)} for {count(asked.vcpus, 'vcpu')} and {size(asked.memory)}"]
    pages = f" in huge pages of {size(asked.huge_page)}" if asked.huge_page else ""
    lines += [f"  memory   {size(got)}{pages} of cell {cell}" for cell, got in plan.memory.items()]
    if asked.dedicated:
        lines += [
            f"  vcpu {one.vcpu:<3} on {'cpu' if len(one.cpus) == 1 else 'cpus'} {id_list(one.cpus)}"
            for one in plan.vcpus
        ]
    else:
        lines.append(f"  cpus     {id_list(plan.cpus)}, shared")
    for one in plan.guest_cells:
        row = "" if one.distances is None else "; distances " + " ".join(str(cost) for _, cost in one.distances)
        lines.append(f"  guest cell {one.id} on cell {one.cell}: vcpus {id_list(one.vcpus)}, {size(one.memory)}{row}")
    if plan.distance is not None:
        lines.append(f"  an access costs {plan.distance:.4g} on average")
    lines += ["because", *(f"  {reason}" for reason in plan.reasons)]
    if plan.rejected:
        lines += ["not chosen", *(f"  {cells(one.cells)}: {one.reason}" for one in plan.rejected)]
    return "\n".join(lines) + "\n"
