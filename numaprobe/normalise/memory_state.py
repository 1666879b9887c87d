"""Failed pages and memory blocks of each cell, each part checked against its whole."""

from __future__ import annotations

from ..model.usable import MemoryBlocks, MemoryFailures
from .possible import MAX_BYTES, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.facts import LinuxFacts
    from ..linux.memory_state import BlockFacts, FailureFacts
    from ..model.host import Cell, Note

# The smallest page of any architecture. A page fails once, and then is not used again.
PAGE = 4096
MAX_PAGES = MAX_BYTES // PAGE


def with_memory_state(cells: tuple[Cell, ...], facts: LinuxFacts, notes: list[Note]) -> tuple[Cell, ...]:
    """The cells with their failed pages and their blocks."""
    return tuple(
        [
            cell._replace(
                failures=_failures(cell, (facts.failures or {}).get(cell.id), notes),
                blocks=_blocks((facts.blocks or {}).get(cell.id)),
            )
            for cell in cells
        ]
    )


def _failures(cell: Cell, facts: FailureFacts | None, notes: list[Note]) -> MemoryFailures | None:
    if facts is None:
        return None
    where = f"node{cell.id}/memory_failure"
    pages = MAX_PAGES if cell.memory.total is None else cell.memory.total // PAGE
    total = within(facts.total, pages, f"{where}/total", notes)
    most = MAX_PAGES if total is None else total
    parts = facts._asdict()
    del parts["total"]
    checked = {name: within(value, most, f"{where}/{name}", notes) for name, value in parts.items()}
    return MemoryFailures(total=total, **checked)


def _blocks(facts: BlockFacts | None) -> MemoryBlocks | None:
    if facts is None:
        return None
    return MemoryBlocks(size=facts.size, total=facts.total, online=facts.online, movable=facts.movable)
