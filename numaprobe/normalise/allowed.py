"""What this process may use, restricted to the cells and cpus that exist."""

from __future__ import annotations

from ..model.host import Allowed, Note
from ..wording import id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.facts import AllowedFacts
    from ..linux.usable import UsableFacts
    from ..model.host import Cell


def allowed_of(
    facts: AllowedFacts,
    usable: UsableFacts | None,
    online: frozenset[int],
    cells: tuple[Cell, ...],
    notes: list[Note],
) -> Allowed:
    """Cut with what there is: where nothing limits a process, its masks name every id that may ever be added."""
    nodes = None if facts.nodes is None else tuple([cell.id for cell in cells if cell.id in facts.nodes])
    if nodes == () and facts.nodes:
        text = f"the memory of this process is on nodes {id_list(facts.nodes)}, of which none exists"
        notes.append(Note(" ".join(facts.where[:1]) or "Mems_allowed_list", text))
        nodes = None
    return Allowed(
        cpus=None if facts.cpus is None else tuple(cpu for cpu in facts.cpus if cpu in online),
        cells=nodes,
        quota=facts.quota,
        where=facts.where,
        memory=None if usable is None else usable.room,
        policy=None if usable is None else usable.policy,
        policy_cells=None if usable is None else usable.policy_nodes,
        partitioned=None if facts.unpartitioned is None else tuple(sorted(online.difference(facts.unpartitioned))),
    )
