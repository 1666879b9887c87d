"""A plan as a drop-in for a systemd unit (systemd.resource-control(5); AllowedMemoryNodes since systemd 244)."""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """A ``[Service]`` section; without the nodes on a host of one cell."""
    memory = f"AllowedMemoryNodes={id_list(plan.memory)}\n" if plan.bind else ""
    return f"[Service]\nAllowedCPUs={id_list(plan.cpus)}\n{memory}"
