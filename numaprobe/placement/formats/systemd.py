"""A plan as a drop-in for a systemd unit (systemd.resource-control(5); AllowedMemoryNodes since systemd 244)."""

from __future__ import annotations

from ...wording import ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """A ``[Service]`` section."""
    return f"[Service]\nAllowedCPUs={ids(plan.cpus)}\nAllowedMemoryNodes={ids(plan.memory)}\n"
