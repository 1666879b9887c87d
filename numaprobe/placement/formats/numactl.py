"""The start of a command line under ``numactl`` (numactl(8)); the program to run follows."""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line: ``numactl --membind=1 --physcpubind=4-7 --``."""
    return f"numactl --membind={id_list(plan.memory)} --physcpubind={id_list(plan.cpus)} --\n"
