"""What a process holds on each node, from a random sample of its pages instead of all of them.

``/proc/PID/maps`` lists the mappings without a look at a page, ``/proc/PID/status`` has the resident bytes of each
kind, and move_pages(2) without nodes reports where single pages are. Every page of a kind is equally likely to be
drawn, and pages that are not present are drawn again, so that the nodes found are in the same proportion as all of that
kind.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from errno import ENOENT, ESRCH

from ...errors import FactError
from ...named import namedtuple
from .facts import SampledPart
from .numa_maps import Maps, Shared, is_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...ports import PageCalls
    from .status import Status

CALL = "move_pages"
# A kind of which fewer pages are found is not placed: its margin would be most of it.
MIN_FOUND = 16
# Pages that are drawn for each page that is wanted, before a sparsely filled mapping is given up.
MAX_DRAWS = 32
BATCH = 4096
# Set for a page of a file or of shared memory, and not for a private copy of one
# (Documentation/admin-guide/mm/pagemap.rst; since Linux 3.5).
IS_FILE = 1 << 61
# Beyond chance: as many standard errors as a sample may miss of what is resident.
ERRORS = 5
# hugetlb's own names for mappings of no file.
HUGE_NAMES = (b"/anon_hugepage",)


class Sampling(namedtuple("Sampling", "pages calls page_size draw")):
    """How many pages of each guest are looked at, by which calls, the size of a page, and a source of chance.

    ``draw`` gives a whole number below its argument, each equally likely.
    """

    __slots__ = ()
    pages: int
    calls: PageCalls
    page_size: int
    draw: Callable[[int], int]


class Mapping(namedtuple("Mapping", "start end file private")):
    """A mapping that may hold memory: its addresses, its file as numa_maps writes it or nothing, and its sharing."""

    __slots__ = ()
    start: int
    end: int
    file: bytes
    private: bool


class Sampled(namedtuple("Sampled", "maps parts missing")):
    """An estimate in the form of the maps themselves, what each part of it rests on, and what was not found.

    ``missing`` are the bytes that status has and the sample cannot place.
    """

    __slots__ = ()
    maps: Maps
    parts: tuple[SampledPart, ...]
    missing: int


class CallError(Exception):
    """A call that was refused as a whole: its name and errno."""

    def __init__(self, call: str, errno: int) -> None:
        super().__init__(call, errno)
        self.call = call
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.call} is refused: {os.strerror(self.errno)}"


def mappings(where: str, content: bytes) -> list[Mapping]:
    """The mappings of ``/proc/PID/maps`` that the process may use; FactError for broken text."""
    found = []
    for line in content.split(b"\n"):
        if not line:
            continue
        words = line.split(None, 5)
        try:
            start, end = (int(word, 16) for word in words[0].split(b"-"))
            access, inode = words[1], int(words[4])
        except (ValueError, IndexError):
            raise FactError(where, line, "not a mapping") from None
        if len(access) != 4 or start >= end:
            raise FactError(where, line, "not a mapping")
        name = words[5] if len(words) == 6 else b""
        # Reserved addresses, without a page of their own, and the kernel's own pages ([vdso] and the like).
        if access.startswith(b"---") or name.startswith(b"[v"):
            continue
        if inode == 0 and not name.startswith(b"/"):
            name = b""
        found.append(Mapping(start=start, end=end, file=_written(name), private=access[3:] == b"p"))
    return found


def _written(name: bytes) -> bytes:
    """A name of maps, where only the line feed is a number, as numa_maps writes it."""
    for character in b"\t= ":
        name = name.replace(bytes([character]), b"\\%03o" % character)
    return name


def sample(
    sampling: Sampling,
    process: int,
    found: Sequence[Mapping],
    status: Status,
    *,
    places: tuple[str, ...],
    huge_places: tuple[str, ...],
    slack: int,
) -> Sampled:
    """The estimate for one process.

    ``places`` are where files are memory, ``huge_places`` those of them that are of hugetlb; ``slack`` is by how much
    the kernel's sizes may lag. Raises ``CallError``.
    """
    anonymous, in_files = [], []
    for mapping in found:
        if not mapping.file:
            anonymous.append((mapping, False))
        elif mapping.file.startswith(HUGE_NAMES) or is_memory(mapping.file, huge_places):
            in_files.append((mapping, False))
        elif is_memory(mapping.file, places):
            in_files.append((mapping, False)) if not mapping.private else anonymous.append((mapping, True))
        elif mapping.private:
            anonymous.append((mapping, True))
    sizes = status.anonymous, status.shared + status.huge
    kinds = [
        _Kind(sampling, process, kept, size, _share(sampling.pages, size, sum(sizes)))
        for kept, size in zip((anonymous, in_files), sizes, strict=True)
    ]
    for kind in kinds:
        kind.look(slack)
    private, shared = kinds
    maps = Maps(
        private=private.by_node(),
        unplaced=sum(kind.missing for kind in kinds),
        shared=tuple(shared.by_mapping()),
        page_kb=sampling.page_size >> 10,
    )
    # What lags anyway is not worth a note.
    missing = sum(kind.missing for kind in kinds if kind.missing > slack)
    return Sampled(maps=maps, parts=tuple(kind.part() for kind in kinds if kind.placed), missing=missing)


def _share(pages: int, size: int, total: int) -> int:
    """Pages for one kind, by its part of all; enough for the smaller kind to be placed at all."""
    return 0 if size <= 0 or total <= 0 else max(MIN_FOUND * 4, -(-pages * size // total))


class _Kind:
    """One kind of memory of a process, in its mappings; ``look`` first, then the rest."""

    def __init__(
        self, sampling: Sampling, process: int, kept: Sequence[tuple[Mapping, bool]], size: int, wanted: int
    ) -> None:
        self.sampling = sampling
        self.process = process
        self.kept = kept
        self.size = max(size, 0)
        self.wanted = wanted
        self.found: dict[tuple[int, int], int] = {}  # pages by mapping and node
        self.drawn = 0
        self.missing = 0
        # Pages before the end of each mapping.
        self.ends: list[int] = []
        total = 0
        for mapping, _ in kept:
            total += (mapping.end - mapping.start) // sampling.page_size
            self.ends.append(total)
        self.pages = total

    @property
    def count(self) -> int:
        """Pages that were found present."""
        return sum(self.found.values())

    @property
    def placed(self) -> int:
        """Bytes that the estimate places."""
        return self.size - self.missing

    def look(self, slack: int) -> None:
        """Draw pages until enough were present, and compare with the size that is known."""
        limit = self.wanted * MAX_DRAWS
        while self.pages and self.count < self.wanted and self.drawn < limit:
            lacking = self.wanted - self.count
            hits = self.count / self.drawn if self.drawn else 1
            batch = int(lacking / hits * 1.1) + 1 if hits else lacking * 4
            self._batch(min(batch, BATCH, limit - self.drawn))
        if self.count < MIN_FOUND:
            self.missing = self.size
            return
        present = self.count / self.drawn
        width = self.pages * self.sampling.page_size
        error = width * (present * (1 - present) / self.drawn) ** 0.5
        missing = int(self.size - present * width)
        if missing > ERRORS * error + slack + self.size // 64:
            self.missing = missing

    def _batch(self, number: int) -> None:
        chosen = []
        for _ in range(number):
            page = self.sampling.draw(self.pages)
            at = bisect_right(self.ends, page)
            before = self.ends[at - 1] if at else 0
            chosen.append((at, self.kept[at][0].start + (page - before) * self.sampling.page_size))
        self.drawn += number
        nodes = self.sampling.calls.nodes(self.process, [address for _, address in chosen])
        if isinstance(nodes, int):
            raise CallError(CALL, nodes)
        present = [(at, address, node) for (at, address), node in zip(chosen, nodes, strict=True) if node >= 0]
        doubtful = [address for at, address, _ in present if self.kept[at][1]]
        files = self._of_files(doubtful)
        for at, address, node in present:
            if self.kept[at][1] and address in files:
                continue
            self.found[at, node] = self.found.get((at, node), 0) + 1

    def _of_files(self, addresses: Sequence[int]) -> set[int]:
        """Those of the addresses whose page is a file's own, and no private copy of it."""
        if not addresses:
            return set()
        entries = self.sampling.calls.entries(self.process, addresses)
        if isinstance(entries, int):
            raise CallError("pagemap", entries)
        return {address for address, entry in zip(addresses, entries, strict=True) if entry & IS_FILE}

    def _bytes(self) -> dict[tuple[int, int], int]:
        """Bytes by mapping and node, which add up to what is placed."""
        count = self.count if self.placed else 0
        if not count:
            return {}
        out = {key: self.placed * pages // count for key, pages in self.found.items()}
        largest = max(out, key=lambda key: (out[key], key))
        out[largest] += self.placed - sum(out.values())
        return out

    def by_node(self) -> dict[int, int]:
        """Bytes by node."""
        out: dict[int, int] = {}
        for (_, node), size in self._bytes().items():
            out[node] = out.get(node, 0) + size
        return out

    def by_mapping(self) -> list[Shared]:
        """Each mapping of which a page was found, with bytes by node."""
        nodes: dict[int, dict[int, int]] = {}
        for (at, node), size in self._bytes().items():
            nodes.setdefault(at, {})[node] = size
        return [
            Shared(
                address=self.kept[at][0].start,
                file=self.kept[at][0].file.decode("utf-8", "surrogateescape"),
                nodes=sizes,
                huge=False,
            )
            for at, sizes in sorted(nodes.items())
        ]

    def part(self) -> SampledPart:
        """What the estimate rests on."""
        pages: dict[int, int] = {}
        for (_, node), number in self.found.items():
            pages[node] = pages.get(node, 0) + number
        return SampledPart(size=self.placed, pages=pages, drawn=self.drawn)


def has_ended(error: CallError) -> bool:
    """Whether the process is not there any more, or has given up its memory."""
    return error.errno in (ESRCH, ENOENT)
