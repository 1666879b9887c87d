"""What came of placing a batch in one order."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


class Outcome:
    """One way to place a batch: positions of cells per guest, None for one that is left out."""

    __slots__ = ("cost", "order", "sets")

    def __init__(self, order: list[int], sets: dict[int, tuple[int, ...] | None], cost: float) -> None:
        self.order = order
        self.sets = sets
        self.cost = cost

    @property
    def rank(self) -> tuple[int, float]:
        """Smaller is better: guests left out, then the sum of mean distances, as for every set of cells."""
        return sum(chosen is None for chosen in self.sets.values()), self.cost
