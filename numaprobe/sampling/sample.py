"""What a ``Sampler`` gives: the memory of every cell at one moment, and what changed between two moments.

Sizes are in bytes, counters as the kernel has them, None is unknown and 0 is a fact, as in ``numaprobe.model``.
"""

from __future__ import annotations

from .._fast import Figures, meminfo_figures
from ..model.host import HugePages
from .values import CellSample, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .rates import Rates


class Origin:
    """What the samples of one shape have in common.

    ``how`` is how total, free and available are known. ``default_size`` is that of huge pages, None if unknown;
    ``without_memory`` are cells known to have none.
    """

    __slots__ = ("default_size", "how", "shape", "source", "without_memory")

    def __init__(
        self,
        source: str,
        shape: Shape,
        how: tuple[str | None, str | None, str | None] = (None, None, None),
        default_size: int | None = None,
        without_memory: frozenset[int] = frozenset(),
    ) -> None:
        self.source = source
        self.shape = shape
        self.how = how
        self.default_size = default_size
        self.without_memory = without_memory

    def cells(self, sample: Sample) -> tuple[CellSample, ...]:
        """Made when first looked at, so that taking a sample costs little more than its system calls."""
        return tuple(
            [
                CellSample(
                    cell,
                    *self._memory(cell, total, free),
                    _default_pages(self.default_size, pages, unused, surplus),
                    None,
                    None,
                    None,
                )
                for cell, (total, free, pages, unused, surplus) in zip(self.shape.cells, sample.rows(), strict=True)
            ]
        )

    def _memory(self, cell: int, total_kb: int | None, free_kb: int | None) -> tuple[int | None, int | None]:
        if total_kb is None and cell in self.without_memory:
            return 0, 0
        return None if total_kb is None else total_kb << 10, None if free_kb is None else free_kb << 10


def _default_pages(
    size: int | None, total: int | None, free: int | None, surplus: int | None
) -> tuple[HugePages, ...] | None:
    if total is None and free is None:
        return ()
    if size is None:
        return None
    return (HugePages(size, total, free, surplus),)


class Sample(Figures):
    """Memory of every cell at one moment; see ``Sampler.sample``. Compares and pickles as a value.

    ``later - earlier`` gives ``Rates``; both must be of one sampler.
    """

    __slots__ = ()

    @property
    def source(self) -> str:
        """``linux`` or ``xen``."""
        source: str = self.origin.source
        return source

    @property
    def shape(self) -> Shape:
        """Which cells and cpus the figures are of."""
        shape: Shape = self.origin.shape
        return shape

    @property
    def time(self) -> float | None:
        """When the sample was begun, in seconds since 1970; None for a recording."""
        return None if self.wall < 0 else self.wall / 1e9

    @property
    def cells(self) -> tuple[CellSample, ...]:
        """A ``CellSample`` for each cell, in id order."""
        if type(self.derived) is not tuple:
            self.derived = self.origin.cells(self)
        cells: tuple[CellSample, ...] = self.derived
        return cells

    def cell(self, cell_id: int) -> CellSample:
        """The cell with this id. Raises ``KeyError`` if there is none."""
        try:
            return self.cells[self.shape.cells.index(cell_id)]
        except ValueError:
            raise KeyError(f"no cell {cell_id}") from None

    def free(self, cell_id: int) -> int | None:
        """Free bytes of the cell with this id, None if unknown. Raises ``KeyError`` if there is no such cell."""
        return self.cell(cell_id).free

    def free_by_cell(self) -> dict[int, int | None]:
        """Free bytes by cell id, as ``Sampler.free`` gives them."""
        return {cell.id: cell.free for cell in self.cells}

    def __sub__(self, earlier: Sample) -> Rates:
        if not isinstance(earlier, Sample):
            return NotImplemented
        from .rates import between

        return between(earlier, self)

    def _value(self) -> tuple[Any, ...]:
        return self.source, self.wall, self.monotonic, self.shape, self.cells

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Sample) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.source, self.wall, self.monotonic, self.shape))

    def __repr__(self) -> str:
        return f"<Sample of {self.source} at {self.time}, shape {self.shape.number}: {self.cells}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return made, (Origin(self.source, self.shape, self.origin.how), self.wall, self.monotonic, self.cells)


class Closed:
    """In place of what a sampler asks once it is closed; ``origin`` is that of its last shape."""

    has_free = True

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def ask(self) -> NoReturn:
        raise ValueError("the sampler is closed")

    def free(self) -> NoReturn:
        raise ValueError("the sampler is closed")


def made(origin: Origin, wall: int, monotonic: int, cells: object) -> Sample:
    """A sample whose cells are there already, or are made of ``cells`` by its origin when first looked at."""
    sample: Sample = meminfo_figures([], Sample, origin, wall, monotonic)
    sample.derived = cells
    return sample
