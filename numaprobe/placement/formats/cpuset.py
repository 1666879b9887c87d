"""The cpus of a plan in list format, as ``taskset -c`` and a cgroup's ``cpuset.cpus`` take them."""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line: ``4-7``."""
    return id_list(plan.cpus) + "\n"
