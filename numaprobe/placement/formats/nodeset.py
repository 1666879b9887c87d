"""The cells that give memory, in list format, as ``numad -w`` prints them and ``cpuset.mems`` takes them."""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line: ``1``."""
    return id_list(plan.memory) + "\n"
