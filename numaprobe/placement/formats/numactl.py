"""The start of a command line under ``numactl`` (numactl(8)); the program to run follows.

On a host of one cell it is ``taskset`` (taskset(1)): there is no memory to bind, and numactl gives up on a kernel
without NUMA.
"""

from __future__ import annotations

from ...wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line: ``numactl --membind=1 --physcpubind=4-7 --``."""
    if not plan.bind:
        return f"taskset -c {id_list(plan.cpus)}\n"
    return f"numactl --membind={id_list(plan.memory)} --physcpubind={id_list(plan.cpus)} --\n"
