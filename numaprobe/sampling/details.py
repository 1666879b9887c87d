"""The figures of a sample that cost more than ``meminfo``: available memory, huge pages of every size, counters."""

from __future__ import annotations

from errno import EBADMSG, ENOENT, ENOTDIR

from .. import _fast
from ..errors import FactError, printable
from ..linux import text
from ..linux.nodes import COUNTS, HUGE_PAGES, huge_page_sizes
from ..linux.source import NODE, Source
from ..model.host import HugePages, Note
from ..normalise.available import available_above
from ..normalise.possible import MAX_BYTES, within
from .linux_files import MEMINFO, ZONEINFO
from .sample import NODE as NODE_PREFIX
from .sample import Sample, checked_pages, made
from .values import Collected, Counters
from .watermarks import Watermarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._fast import Files, OpenFiles
    from ..ports import Reader
    from .sample import Origin
    from .values import CellSample

# The kernel's counters are signed, and it prints 0 for what is below (node_page_state_pages of mm/vmstat.c).
MAX_COUNT = (1 << 63) - 1
NUMASTAT = (b"numa_hit", b"numa_miss", b"numa_foreign", b"interleave_hit", b"local_node", b"other_node")


class Details:
    """The further files of one shape, opened when first requested and then kept; one thread at a time reads them.
    ``is_machine`` says that the only cell has all of the machine's memory.
    """

    def __init__(
        self,
        reader: Reader,
        files: Files | None,
        origin: Origin,
        sizes: list[int],
        *,
        numa: bool,
        live: bool,
        is_machine: bool,
    ) -> None:
        self._reader = reader
        self._files = files
        self._ids = origin.shape.cells
        self._paths = origin.paths
        self._default_size = origin.default_size
        self._default_kb = None if origin.default_size is None else origin.default_size >> 10
        self._numa = numa
        self._live = live
        self._is_machine = is_machine
        self._sizes = sizes
        self._kept: dict[str, OpenFiles] = {}
        self._meminfo: OpenFiles | None = None
        self._watermarks = Watermarks(reader, files, may_keep=live)
        self._huge_paths: list[str] | None = None
        # Read already for this very sample.
        self._counted: list[bytes | int] | None = None
        self._plain: Origin | None = None
        self._with_none: Origin | None = None
        self._no_pages = {size: HugePages(size=size << 10, total=0, free=0, surplus=0) for size in sizes}
        self._notes: list[Note] = []
        self._errors: list[tuple[str, int]] = []

    def forget(self) -> None:
        """Memory was added or removed: what was computed from the totals does not hold any more."""
        self._watermarks.forget()
        self._is_machine = False

    def _read(self, what: str, paths: Sequence[str]) -> list[bytes | int]:
        if self._files is None or not self._numa:
            contents = self._reader.read(paths)
        else:
            kept = self._kept.get(what)
            if kept is None:
                kept = self._kept.setdefault(what, self._files.keep(paths))
            contents = kept.read()
        if int in map(type, contents):
            # What this kernel does not have, or what is yet to be: directories are there before their files are.
            self._kept.pop(what, None)
            for path, content in zip(paths, contents, strict=True):
                if isinstance(content, int) and content not in (ENOENT, ENOTDIR):
                    self._add_error(path, content)
        return contents

    def _add_error(self, path: str, errno: int) -> None:
        source = Source(self._reader)
        source.unreadable("", path, errno)
        self._errors.append((path, errno))
        self._notes += [Note(where, problem) for where, problem in source.notes]

    def added(
        self,
        sample: Sample,
        *,
        huge_pages: bool,
        available: bool,
        counters: bool,
        vmstat: Sequence[str] | bool,
        meminfo: bool,
    ) -> tuple[Sample, bool]:
        """The sample with what was requested, and whether every file was there."""
        self._notes, self._errors, self._counted = [], [], None
        if huge_pages and not (available or counters or vmstat or meminfo):
            quickly = self._without_other_pages(sample)
            if quickly is not None:
                return quickly, True
        complete = True
        fields: list[tuple[tuple[str, int], ...] | None] = []
        if meminfo:
            sample, fields, complete = self._fields(sample, available=available)
        figures = sample
        known: list[int | None] | None = None
        if available and (self._is_machine or not self._numa):
            figures, known = self._of_machine(sample)
        elif available:
            known = self._available(sample)
        cells: list[CellSample] = list(figures.cells)
        if known is not None:
            cells = [cell._replace(available=value) for cell, value in zip(cells, known, strict=True)]
        if huge_pages:
            pages, whole = self._huge_pages(cells)
            complete = complete and whole
            cells = [cell._replace(huge_pages=found) for cell, found in zip(cells, pages, strict=True)]
        if counters:
            rows, whole = self._words("numastat", NUMASTAT)
            complete = complete and whole
            cells = [
                cell._replace(counters=None if row is None else Counters._make(row))
                for cell, row in zip(cells, rows, strict=True)
            ]
        if vmstat:
            pairs, whole = self._vmstat() if vmstat is True else self._named_vmstat(vmstat or ())
            complete = complete and whole
            cells = [cell._replace(vmstat=found) for cell, found in zip(cells, pairs, strict=True)]
        if fields:
            cells = [cell._replace(meminfo=found) for cell, found in zip(cells, fields, strict=True)]
        collected = Collected(
            cells=tuple(cells),
            notes=figures.notes + tuple(self._notes),
            errors=figures.errors + tuple(self._errors),
        )
        return made(sample.origin, sample.wall, sample.monotonic, collected), complete

    def _fields(
        self, sample: Sample, *, available: bool
    ) -> tuple[Sample, list[tuple[tuple[str, int], ...] | None], bool]:
        """The sample made anew of the files that all of its fields are taken from, so that they are of one moment."""
        contents = self._read("meminfo", self._paths)
        fields = []
        for path, content in zip(self._paths, contents, strict=True):
            found, odd = ((), None) if isinstance(content, int) else text.meminfo(content)
            where = path.removeprefix(NODE_PREFIX)
            if odd is not None:
                self._notes.append(Note(where, f"not a size in kB: '{printable(odd)}'"))
            # Every size of a node is a part of its memory; of a machine some are of addresses, as VmallocTotal is.
            whole = (dict(found).get("MemTotal") if self._numa else None) or MAX_BYTES
            kept = [
                (name, size) for name, size in found if within(size, whole, f"{where} {name}", self._notes) is not None
            ]
            fields.append(None if isinstance(content, int) else tuple(kept))
        if int in map(type, contents):
            return sample, fields, False
        read = _fast.meminfo_figures(contents, Sample, sample.origin, sample.wall, sample.monotonic, available)
        return read, fields, True

    def _of_machine(self, sample: Sample) -> tuple[Sample, list[int | None]]:
        """The kernel's own figure, with the others of the same moment."""
        if self._files is None or not self._live:
            (content,) = self._reader.read((MEMINFO,))
        else:
            if self._meminfo is None:
                self._meminfo = self._files.keep((MEMINFO,))
            (content,) = self._meminfo.read()
        if isinstance(content, int):
            self._meminfo = None
            self._add_error(MEMINFO, content)
            return sample, [None]
        try:
            (available_kb,) = text.fields(MEMINFO, content, (b"MemAvailable",))
        except ValueError as error:
            self._add_note(MEMINFO, error)
            available_kb = None
        figures = _fast.meminfo_figures([content], Sample, sample.origin)
        return figures, [None if available_kb is None else available_kb << 10]

    def _available(self, sample: Sample) -> list[int | None]:
        totals = [total for total, *_ in sample.rows()]
        try:
            kept = self._watermarks.kept_back(self._ids, totals)
        except ValueError as error:
            self._add_note(ZONEINFO, error)
            return [None] * len(totals)
        if isinstance(kept, int):
            if kept not in (ENOENT, ENOTDIR):
                self._add_error(ZONEINFO, kept)
            return [None] * len(totals)
        return [
            0 if total == 0 else available_above(of_node, None if cell.free is None else cell.free >> 10, *caches)
            for total, of_node, cell, caches in zip(totals, kept, sample.cells, sample.cache_rows() or (), strict=True)
        ]

    def _huge_pages(self, cells: list[CellSample]) -> tuple[list[tuple[HugePages, ...]], bool]:
        default_kb = self._default_kb
        is_whole = self._live and self._numa and all(cell.huge_pages for cell in cells)
        if is_whole and default_kb is not None and default_kb in self._sizes:
            return self._other_huge_pages(cells, default_kb)
        directories = [f"{NODE}/node{node}/hugepages" for node in self._ids] if self._numa else [HUGE_PAGES]
        # Recorded trees may have only the nodes' own directories of sizes.
        sizes = [self._sizes or huge_page_sizes(Source(self._reader), directory) for directory in directories]
        paths = [
            f"{directory}/hugepages-{size}kB/{name}"
            for directory, there in zip(directories, sizes, strict=True)
            for size in there
            for name in COUNTS
        ]
        contents = self._read("huge pages", paths)
        rest = zip(paths, contents, strict=True)
        found = []
        for directory, there in zip(directories, sizes, strict=True):
            counted = []
            for size in there:
                counts = [self._count(*next(rest)) for _ in COUNTS]
                if counts != [None, None, None]:
                    counted.append(self._pages(directory, size, *counts))
            found.append(tuple(counted))
        return found, int not in map(type, contents)

    def _without_other_pages(self, sample: Sample) -> Sample | None:
        """The sample itself, whose cells are built on first access; None where there are huge pages of another size.

        None too where meminfo does not have those of the default size.
        """
        if not (self._live and self._numa) or self._default_kb not in self._sizes:
            return None
        for _, _, total, free, _ in sample.rows():
            if total is None or free is None:
                return None
        paths = self._other_paths()
        contents = self._read("huge pages", paths) if paths else []
        if contents.count(b"0\n") != len(contents):
            self._counted = contents
            return None
        if sample.origin is not self._plain:
            self._plain = sample.origin
            none = [pages for pages in self._no_pages.values() if pages.size != self._default_size]
            self._with_none = sample.origin.with_no_pages(tuple(none))
        sample.origin = self._with_none
        return sample

    def _other_paths(self) -> list[str]:
        if self._huge_paths is None:
            self._huge_paths = [
                f"{NODE}/node{node}/hugepages/hugepages-{size}kB/{COUNTS[0]}"
                for node in self._ids
                for size in self._sizes
                if size != self._default_kb
            ]
        return self._huge_paths

    def _other_huge_pages(self, cells: list[CellSample], default_kb: int) -> tuple[list[tuple[HugePages, ...]], bool]:
        """Those of the default size are in meminfo; where there are none of another, none are free and none surplus."""
        others = [size for size in self._sizes if size != default_kb]
        contents, self._counted = self._counted, None
        if contents is None:
            contents = self._read("huge pages", self._other_paths()) if others else []
        before = sum([size < default_kb for size in others])
        found = []
        for i, cell in enumerate(cells):
            counted = []
            for size, total in zip(others, contents[i * len(others) : (i + 1) * len(others)], strict=True):
                if total == b"0\n":
                    counted.append(self._no_pages[size])
                elif isinstance(total, bytes):
                    directory = f"{NODE}/node{cell.id}/hugepages"
                    paths = [f"{directory}/hugepages-{size}kB/{name}" for name in COUNTS]
                    parts = [total, *self._reader.read(paths[1:])]
                    counts = [self._count(path, content) for path, content in zip(paths, parts, strict=True)]
                    counted.append(self._pages(directory, size, *counts))
            counted[before:before] = cell.huge_pages or ()
            found.append(tuple(counted))
        return found, int not in map(type, contents)

    def _count(self, path: str, content: bytes | int) -> int | None:
        try:
            return None if isinstance(content, int) else text.number(path, content)
        except ValueError as error:
            self._add_note(path, error)
            return None

    def _pages(
        self, directory: str, size_kb: int, total: int | None, free: int | None, surplus: int | None
    ) -> HugePages:
        pages = HugePages(size=size_kb << 10, total=total, free=free, surplus=surplus)
        return checked_pages(directory, pages, self._notes)

    def _add_note(self, path: str, error: ValueError) -> None:
        self._notes.append(Note(path.removeprefix(NODE_PREFIX), str(error).removeprefix(f"{path}: ")))

    def _vmstat(self) -> tuple[list[tuple[tuple[str, int | None], ...] | None], bool]:
        """Every field that the kernel has."""
        paths = self._tables("vmstat")
        contents = self._read("vmstat", paths)
        pairs: list[tuple[tuple[str, int | None], ...] | None] = []
        for path, content in zip(paths, contents, strict=True):
            found, odd = (None, None) if isinstance(content, int) else text.vmstat(content)
            if odd is not None:
                where = path.removeprefix(NODE_PREFIX)
                self._notes.append(Note(where, f"not a name and a number: '{printable(odd)}'"))
            known = [
                (field, value)
                for field, value in found or ()
                if within(value, MAX_COUNT, f"{path.removeprefix(NODE_PREFIX)} {field}", self._notes) is not None
            ]
            pairs.append(None if found is None else tuple(known))
        return pairs, int not in map(type, contents)

    def _named_vmstat(self, names: Sequence[str]) -> tuple[list[tuple[tuple[str, int | None], ...] | None], bool]:
        rows, whole = self._words("vmstat", tuple([name.encode() for name in names]))
        return [None if row is None else tuple(zip(names, row, strict=True)) for row in rows], whole

    def _tables(self, name: str) -> list[str]:
        """``nodeN/name`` of each node; where the kernel has no nodes ``/proc/name``."""
        return [f"{NODE}/node{node}/{name}" for node in self._ids] if self._numa else [f"proc/{name}"]

    def _words(self, name: str, names: tuple[bytes, ...]) -> tuple[list[tuple[int | None, ...] | None], bool]:
        """Values of ``nodeN/name``, by node; where the kernel has no nodes, of ``/proc/name``."""
        paths = self._tables(name)
        contents = self._read(name, paths)
        rows: list[tuple[int | None, ...] | None] = []
        for path, content in zip(paths, contents, strict=True):
            row = None
            try:
                row = None if isinstance(content, int) else text.words(path, content, names)
                if row is not None and name == "numastat" and None in row:
                    raise FactError(path, content, "is not whole")  # type: ignore[arg-type]
            except ValueError as error:
                self._add_note(path, error)
                self._errors.append((path, EBADMSG))
            rows.append(row)
        return rows, not any(isinstance(content, int) for content in contents)
