"""What a ``Sampler`` gives: the memory of every cell at one moment, and what changed between two moments.

Sizes are in bytes, counters as the kernel has them, None is unknown and 0 is a fact, as in ``numaprobe.model``.
"""

from __future__ import annotations

from errno import EBADMSG

from .._fast import NO_TOTAL, MeminfoTable, meminfo_figures
from ..errors import printable
from ..model.host import HugePages, Note
from .values import CellSample, Collected, FiguresFrom, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .._fast import Missed
    from .rates import Rates

# 2**63 bytes in kB: more is a counter that wrapped.
MAX_KB = 1 << 53
NODE = "sys/devices/system/node/"


class Origin:
    """What the samples of one shape have in common.

    ``paths`` are the files of the figures, by position. ``default_size`` is that of huge pages, None if unknown;
    ``without_memory`` are cells known to have none. ``notes`` and ``errors`` are those from opening the files.
    ``no_pages`` are huge pages of other sizes than the default, of which every cell has none.
    """

    __slots__ = (
        "default_size",
        "errors",
        "figures_from",
        "no_pages",
        "notes",
        "paths",
        "shape",
        "source",
        "without_memory",
    )

    def __init__(
        self,
        source: str,
        shape: Shape,
        *,
        figures_from: FiguresFrom = FiguresFrom(),  # noqa: B008 (a value)
        paths: tuple[str, ...] = (),
        default_size: int | None = None,
        without_memory: frozenset[int] = frozenset(),
        notes: tuple[Note, ...] = (),
        errors: tuple[tuple[str, int], ...] = (),
        no_pages: tuple[HugePages, ...] = (),
    ) -> None:
        self.source = source
        self.shape = shape
        self.figures_from = figures_from
        self.paths = paths
        self.default_size = default_size
        self.without_memory = without_memory
        self.notes = notes
        self.errors = errors
        self.no_pages = no_pages

    def with_no_pages(self, no_pages: tuple[HugePages, ...]) -> Origin:
        """The same for samples with the huge pages of every size."""
        found = self.with_shape(self.shape)
        found.no_pages = no_pages
        return found

    def with_shape(self, shape: Shape) -> Origin:
        """The same for another shape."""
        return Origin(
            self.source,
            shape,
            figures_from=self.figures_from,
            paths=self.paths,
            default_size=self.default_size,
            without_memory=self.without_memory,
            notes=self.notes,
            errors=self.errors,
        )

    def collected(self, sample: Sample) -> Collected:
        """Built on first access, so that taking a sample costs little more than its system calls."""
        notes = list(self.notes)
        errors = list(self.errors)
        for missed in sample.faults or ():
            path = self.paths[missed.position]
            notes.append(fault_note(path, missed))
            errors.append((path, EBADMSG))
        cells = []
        for position, (cell, (total_kb, free_kb, pages, unused, surplus)) in enumerate(
            zip(self.shape.cells, sample.rows(), strict=True)
        ):
            total = None if total_kb is None else total_kb << 10
            free = None if free_kb is None else free_kb << 10
            if total_kb is None and cell in self.without_memory:
                total = free = 0
            else:
                if free_kb is not None and free_kb > (MAX_KB if total_kb is None else total_kb):
                    notes.append(self._note(position, f"MemFree {free_kb} kB is more than MemTotal {total_kb} kB"))
                    free = None
                if total_kb is not None and total_kb > MAX_KB:
                    notes.append(self._note(position, f"MemTotal {total_kb} kB is not a possible size of memory"))
                    total = free = None
            huge_pages = self._default_pages(position, pages, unused, surplus, notes)
            if self.no_pages:
                huge_pages = tuple(sorted((*(huge_pages or ()), *self.no_pages)))
            cells.append(CellSample._make((cell, total, free, huge_pages, None, None, None, None)))
        return Collected(cells=tuple(cells), notes=tuple(notes), errors=tuple(errors))

    def _note(self, position: int, text: str) -> Note:
        return Note(self.paths[position].removeprefix(NODE) if self.paths else "meminfo", text)

    def _default_pages(
        self, position: int, total: int | None, free: int | None, surplus: int | None, notes: list[Note]
    ) -> tuple[HugePages, ...] | None:
        if total is None and free is None:
            return ()
        if self.default_size is None:
            return None
        if total and (free or surplus):
            where = self.paths[position] if self.paths else "meminfo"
            return (
                checked_pages(where, HugePages(size=self.default_size, total=total, free=free, surplus=surplus), notes),
            )
        if free or surplus:
            notes.append(self._note(position, f"HugePages_Free {free} is more than HugePages_Total {total}"))
            free = surplus = None
        return (HugePages._make((self.default_size, total, free, surplus)),)


def checked_pages(where: str, pages: HugePages, notes: list[Note]) -> HugePages:
    """Huge pages without the counts that contradict their total, which are noted."""
    if pages.total is None:
        return pages
    for name in ("free", "surplus"):
        count = getattr(pages, name)
        if count is not None and not 0 <= count <= pages.total:
            text = f"{count} {name} huge pages of {pages.size} bytes are more than all {pages.total}"
            notes.append(Note(where.removeprefix(NODE), text))
            pages = pages._replace(**{name: None})
    return pages


def fault_text(missed: Missed) -> str:
    """What is wrong with a meminfo."""
    return "has no MemTotal" if missed.reason == NO_TOTAL else "has a line without a number"


def fault_note(path: str, missed: Missed) -> Note:
    """The note about a meminfo in which a figure is missing, quoting its text."""
    return Note(path.removeprefix(NODE), f"{fault_text(missed)}: '{printable(missed.text)}'")


class Sample(MeminfoTable):
    """Memory of every cell at one moment; see ``Sampler.sample``. Compares and pickles as a value.

    ``later - earlier`` gives ``Rates``; both must be from the same sampler.
    """

    __slots__ = ()

    @property
    def source(self) -> str:
        """``linux`` or ``xen``."""
        source: str = self.origin.source
        return source

    @property
    def shape(self) -> Shape:
        """The cells, online CPUs and totals that the figures belong to."""
        shape: Shape = self.origin.shape
        return shape

    @property
    def time(self) -> float | None:
        """Start of the sample, in seconds since 1970; None for a recording."""
        return None if self.wall < 0 else self.wall / 1e9

    @property
    def figures_from(self) -> FiguresFrom:
        """The sources of total, free and available."""
        known: FiguresFrom = self.origin.figures_from
        return known

    def _collected(self) -> Collected:
        found: Collected | None = self.derived
        if found is None:
            found = self.derived = self.origin.collected(self)
        return found

    @property
    def cells(self) -> tuple[CellSample, ...]:
        """A ``CellSample`` for each cell, in id order."""
        return self._collected().cells

    @property
    def notes(self) -> tuple[Note, ...]:
        """One note for each figure that is None because it is broken or exceeds its own whole."""
        return self._collected().notes

    @property
    def errors(self) -> tuple[tuple[str, int], ...]:
        """Files that exist but could not be read, as pairs of path and errno; their figures are None.

        EBADMSG means that the file was read but does not contain the figure that it should.
        """
        return self._collected().errors

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
        return self.source, self.wall, self.monotonic, self.shape, self._collected()

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Sample) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.source, self.wall, self.monotonic, self.shape))

    def __repr__(self) -> str:
        return f"<Sample of {self.source} at {self.time}, shape {self.shape.number}: {self.cells}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.source, self.shape, self.figures_from, self.wall, self.monotonic, self._collected())


def _unpickled(
    source: str, shape: Shape, figures_from: FiguresFrom, wall: int, monotonic: int, collected: Collected
) -> Sample:
    return made(Origin(source, shape, figures_from=figures_from), wall, monotonic, collected)


class Closed:
    """In place of a snapshot once the sampler is closed; ``origin`` is that of its last shape."""

    has_free = True

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def ask(self) -> NoReturn:
        raise ValueError("the sampler is closed")

    def free(self) -> NoReturn:
        raise ValueError("the sampler is closed")


def made(origin: Origin, wall: int, monotonic: int, collected: Collected) -> Sample:
    """A sample whose cells are known already."""
    sample: Sample = meminfo_figures([], Sample, origin, wall, monotonic)
    sample.derived = collected
    return sample
