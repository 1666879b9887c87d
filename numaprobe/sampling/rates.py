"""What changed between two samples of one sampler."""

from __future__ import annotations

from ..model.host import Note
from ..named import namedtuple
from .values import CellSample, Counters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sample import Sample

# vmstat_text of Linux's mm/vmstat.c: what begins with nr_ or workingset_nodes is a level that rises and falls, except
# these, which count.
COUNTING = frozenset(
    (
        "nr_vmscan_write",
        "nr_vmscan_immediate_reclaim",
        "nr_dirtied",
        "nr_written",
        "nr_throttled_written",
        "nr_foll_pin_acquired",
        "nr_foll_pin_released",
    )
)
LEVELS = frozenset(("workingset_nodes",))

# Counters have 64 bits. A smaller value means that the counter wrapped if the change modulo 2**64 is below this;
# otherwise it restarted: writing to vm.numa_stat clears them all, and a node that is added again starts at 0.
WORD = 1 << 64
MAX_CHANGE = 1 << 48


class CellRates(namedtuple("CellRates", "id total free used counters vmstat")):
    """Change of one cell between two samples.

    ``total``, ``free`` and ``used`` are differences in bytes, None if either is unknown. ``counters`` are ``Counters``
    per second, None if not in both samples. ``vmstat`` are pairs of name and change per second, negative for a level
    that falls. A counter that restarted in between is None.
    """

    __slots__ = ()
    id: int
    total: int | None
    free: int | None
    used: int | None
    counters: Counters | None
    vmstat: tuple[tuple[str, float | None], ...] | None


class Rates(namedtuple("Rates", "seconds cells notes")):
    """Change between two samples that are ``seconds`` apart by the monotonic clock.

    ``cells`` are those present throughout; ``notes`` name the others, and counters that restarted.
    """

    __slots__ = ()
    seconds: float
    cells: tuple[CellRates, ...]
    notes: tuple[Note, ...]

    def cell(self, cell_id: int) -> CellRates:
        """The cell with this id. Raises ``KeyError`` if it was not present throughout."""
        for cell in self.cells:
            if cell.id == cell_id:
                return cell
        raise KeyError(f"no cell {cell_id} in both samples")


def between(earlier: Sample, later: Sample) -> Rates:
    """``later - earlier``. Raises ``ValueError`` for two sources, a wrong order, and recordings, which have no time."""
    if earlier.source != later.source:
        raise ValueError(f"samples of two sources: {earlier.source} and {later.source}")
    if earlier.monotonic < 0 or later.monotonic < 0:
        raise ValueError("a sample of a recording has no time, so there is no rate")
    seconds = (later.monotonic - earlier.monotonic) / 1e9
    if seconds <= 0:
        raise ValueError("subtract the earlier sample from the later one")
    before = {cell.id: (cell, since) for cell, since in zip(earlier.cells, earlier.shape.since, strict=True)}
    notes: list[Note] = []
    cells = []
    for cell, since in zip(later.cells, later.shape.since, strict=True):
        old, old_since = before.pop(cell.id, (None, 0))
        if old is None:
            notes.append(Note(f"cell {cell.id}", "added in between"))
        elif since != old_since:
            notes.append(Note(f"cell {cell.id}", "removed and added again in between"))
        else:
            cells.append(_cell(old, cell, seconds, notes))
    notes += [Note(f"cell {cell_id}", "removed in between") for cell_id in before]
    return Rates(seconds, tuple(cells), tuple(notes))


def _cell(old: CellSample, new: CellSample, seconds: float, notes: list[Note]) -> CellRates:
    counters = vmstat = None
    if old.counters is not None and new.counters is not None:
        counters = Counters._make(
            _rate(new.id, name, before, after, seconds, notes)
            for name, before, after in zip(Counters._fields, old.counters, new.counters, strict=True)
        )
    if old.vmstat is not None and new.vmstat is not None:
        known = dict(old.vmstat)
        vmstat = tuple(
            (name, _vmstat_rate(new.id, name, known[name], after, seconds, notes))
            for name, after in new.vmstat
            if name in known
        )
    return CellRates(
        id=new.id,
        total=_difference(old.total, new.total),
        free=_difference(old.free, new.free),
        used=_difference(old.used, new.used),
        counters=counters,
        vmstat=vmstat,
    )


def is_level(name: str) -> bool:
    """Whether a field of vmstat rises and falls; the others count events."""
    return name in LEVELS or (name.startswith("nr_") and name not in COUNTING)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _vmstat_rate(
    cell_id: int, name: str, before: int | None, after: int | None, seconds: float, notes: list[Note]
) -> float | None:
    if is_level(name):
        change = _difference(before, after)
        return None if change is None else change / seconds
    return _rate(cell_id, name, before, after, seconds, notes)


def _rate(
    cell_id: int, name: str, before: int | None, after: int | None, seconds: float, notes: list[Note]
) -> float | None:
    if before is None or after is None:
        return None
    change = after - before
    if change < 0:
        change += WORD
        if change >= MAX_CHANGE:
            notes.append(Note(f"cell {cell_id}", f"{name} restarted: {after} after {before}"))
            return None
    return change / seconds
