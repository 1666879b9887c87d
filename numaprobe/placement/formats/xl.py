"""A plan as lines of a Xen guest's configuration (xl.cfg(5)).

A list of ``cpus`` turns libxl's own placement off, which a string has not done since Xen 4.12 (commit 2347a9b639);
Xen derives from it the nodes that memory is taken from. ``vnuma`` names the node of each virtual one, and is for HVM
guests alone: PV has none, and the libxl of 4.17 and 4.20 gives up over the ACPI tables of a PVH guest with it
(``xc_domain_getvnuma``: no buffer space).
"""

from __future__ import annotations

from ...wording import cells, id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan

MIB = 1 << 20


def render(plan: Plan, *, soft: bool = False, pool: int | None = None) -> str:
    """Lines to append to a configuration.

    ``soft`` writes ``cpus_soft``, the CPUs that vcpus prefer, and leaves them free to run elsewhere; ``pool`` is the
    number of the cpupool to start in.
    Raises ``ValueError`` for memory of a cell without vcpus, which only ``vnuma`` could name; not with ``pool``, whose
    guests Xen serves from other cells when the pool's own are empty.
    """
    request = plan.request
    lines = [f'name = "{_quoted(request.name)}"'] if request.name else []
    sizes = [-(-one.memory // MIB) for one in plan.guest_cells]
    memory = sum(sizes) if sizes else -(-request.memory // MIB)
    lines += [f"vcpus = {request.vcpus}", f"memory = {memory}"]
    if plan.guest_cells:
        lines.append(f"maxmem = {memory}")
    if pool is not None:
        lines.append(f'pool = "{pool}"')
    if soft and any(one.pinned for one in plan.vcpus):
        raise ValueError("pinned vcpus cannot have soft affinity: others may then run on their CPUs")
    lines.append(f"cpus{'_soft' if soft else ''} = [" + ", ".join(f'"{id_list(one.cpus)}"' for one in plan.vcpus) + "]")
    if plan.guest_cells:
        lines.append("vnuma = [")
        for one, size in zip(plan.guest_cells, sizes, strict=True):
            costs = [str(cost) for _, cost in one.distances or ()]
            if not costs:
                raise ValueError("xl needs the distances between guest cells, and the host reports none")
            lines.append(
                f'  [ "pnode={one.cell}", "size={size}", "vcpus={id_list(one.vcpus)}",'
                f' "vdistances={",".join(costs)}" ],'
            )
        lines.append("]")
    elif plan.memory_only and pool is None:
        where = cells(plan.memory_only)
        raise ValueError(
            f"xl cannot take memory from {where}, where no vcpu runs, unless guest cells or a pool are requested"
        )
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    """A name as a string of xl.cfg, which has no way to write these."""
    if any(c in '"\\' or not c.isprintable() for c in name):
        raise ValueError(f"xl cannot express the name {name!r}")
    return name
