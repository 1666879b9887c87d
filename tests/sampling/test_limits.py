"""Limits of figures and rates at their last value, and how long what was read is kept."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trees
from fake_xen import GIB, MIB, FakeNode, two_node_pc, two_node_srat
from trees import CPU, NODE, Shelf

from numaprobe import FactError, SourceDenied, SourceError, _fast
from numaprobe.model.host import HugePages, Note
from numaprobe.sampling.linux import LinuxSampler
from numaprobe.sampling.rates import is_level
from numaprobe.sampling.sample import Origin, Sample, checked_pages, made
from numaprobe.sampling.values import CellSample, Collected, Counters, FiguresFrom, Shape
from numaprobe.sampling.watermarks import Watermarks
from numaprobe.sampling.xen import XenSampler

Plant = Callable[[Mapping[str, trees.Content]], Path]
KB = 1024
SECOND = 1_000_000_000


# --- figures of meminfo ---------------------------------------------------------------------------------------------


def of_text(*texts: str, **origin: Any) -> Sample:
    """A sample of cells 0, 1, ... from the text of each one's meminfo."""
    shape = Shape(number=1, cells=tuple(range(len(texts))), since=(1,) * len(texts), totals=(None,) * len(texts))
    paths = tuple(f"{NODE}/node{node}/meminfo" for node in range(len(texts)))
    made_of = Origin("linux", shape, paths=paths, **origin)
    return _fast.meminfo_figures([text.encode() for text in texts], Sample, made_of)


@pytest.mark.parametrize(
    ("total_kb", "free_kb", "total", "free", "text"),
    [
        (1 << 53, 0, 1 << 63, 0, None),
        ((1 << 53) + 1, 0, None, None, "MemTotal 9007199254740993 kB is not a possible size of memory"),
        (10, 10, 10 * KB, 10 * KB, None),
        (10, 11, 10 * KB, None, "MemFree 11 kB is more than MemTotal 10 kB"),
        (0, 0, 0, 0, None),
        (0, 1, 0, None, "MemFree 1 kB is more than MemTotal 0 kB"),
    ],
)
def test_sizes_of_a_cell_at_their_limit(
    total_kb: int, free_kb: int, total: int | None, free: int | None, text: str | None
) -> None:
    """2**63 bytes are more than any machine has, and free memory is at most all of it."""
    sample = of_text(f"MemTotal: {total_kb} kB\nMemFree: {free_kb} kB\n")
    assert (sample.cells[0].total, sample.cells[0].free) == (total, free)
    assert sample.notes == (() if text is None else (Note("node0/meminfo", text),))


@pytest.mark.parametrize(("free_kb", "free"), [(1 << 53, 1 << 63), ((1 << 53) + 1, None)])
def test_free_memory_without_a_total_at_its_limit(free_kb: int, free: int | None) -> None:
    """Where the total is missing any possible size of memory may be free."""
    sample = of_text(f"MemFree: {free_kb} kB\n")
    assert (sample.cells[0].total, sample.cells[0].free) == (None, free)
    assert sample.errors == ((f"{NODE}/node0/meminfo", 74),)
    said = [note.text for note in sample.notes]
    assert said[0] == f"has no MemTotal: 'MemFree: {free_kb} kB'"
    assert said[1:] == ([] if free is not None else [f"MemFree {free_kb} kB is more than MemTotal None kB"])


PAGES = "MemTotal: 9 kB\nMemFree: 1 kB\nHugePages_Total: {}\nHugePages_Free: {}\nHugePages_Surp: {}\n"


@pytest.mark.parametrize(
    ("counts", "pages", "texts"),
    [
        ((4, 4, 4), (4, 4, 4), []),
        ((4, 0, 0), (4, 0, 0), []),
        ((4, 5, 0), (4, None, 0), ["5 free huge pages of 2097152 bytes are more than all 4"]),
        ((4, 0, 5), (4, 0, None), ["5 surplus huge pages of 2097152 bytes are more than all 4"]),
        ((0, 0, 0), (0, 0, 0), []),
        ((0, 1, 0), (0, None, None), ["HugePages_Free 1 is more than HugePages_Total 0"]),
        ((0, 0, 1), (0, None, None), ["HugePages_Free 0 is more than HugePages_Total 0"]),
    ],
)
def test_counts_of_huge_pages_at_their_limit(
    counts: tuple[int, int, int], pages: tuple[int | None, ...], texts: list[str]
) -> None:
    """Free and surplus pages are at most all pages; what contradicts that is None and noted."""
    sample = of_text(PAGES.format(*counts), default_size=2 * MIB)
    assert sample.cells[0].huge_pages == (HugePages(2 * MIB, *pages),)
    assert sample.notes == tuple(Note("node0/meminfo", text) for text in texts)


def test_huge_pages_without_a_size_or_without_a_count() -> None:
    """A kernel without huge pages prints none, which is not the same as a size that is unknown."""
    assert of_text("MemTotal: 9 kB\nMemFree: 1 kB\n", default_size=2 * MIB).cells[0].huge_pages == ()
    assert of_text("MemTotal: 9 kB\nMemFree: 1 kB\n").cells[0].huge_pages == ()
    assert of_text(PAGES.format(4, 3, 2)).cells[0].huge_pages is None
    only_free = "MemTotal: 9 kB\nMemFree: 1 kB\nHugePages_Free: 3\n"
    assert of_text(only_free).cells[0].huge_pages is None


def test_huge_pages_of_other_sizes_stand_in_the_order_of_their_size() -> None:
    """Those of which every cell has none are added to each cell."""
    none = (HugePages(GIB, 0, 0, 0), HugePages(64 * KB, 0, 0, 0))
    sample = of_text(PAGES.format(4, 3, 2), "MemTotal: 9 kB\nMemFree: 1 kB\n", default_size=2 * MIB, no_pages=none)
    assert sample.cells[0].huge_pages == (none[1], HugePages(2 * MIB, 4, 3, 2), none[0])
    assert sample.cells[1].huge_pages == (none[1], none[0])


@pytest.mark.parametrize(
    ("counts", "kept", "named"),
    [
        ((3, 3, 0), (3, 3, 0), []), ((3, 4, 3), (3, None, 3), ["free"]), ((3, -1, 4), (3, None, None), ["free", "surplus"]),
        ((None, 9, 9), (None, 9, 9), []), ((3, None, None), (3, None, None), []), ((0, 0, 1), (0, 0, None), ["surplus"]),
    ],
)  # fmt: skip
def test_counts_beyond_their_total_are_dropped_one_by_one(
    counts: tuple[Any, ...], kept: tuple[Any, ...], named: list[str]
) -> None:
    """The note names the directory below that of the nodes."""
    notes: list[Note] = []
    assert checked_pages(f"{NODE}/node3/hugepages", HugePages(64, *counts), notes) == HugePages(64, *kept)
    assert [(note.where, note.text.split()[1]) for note in notes] == [("node3/hugepages", name) for name in named]


def test_a_cell_that_is_known_to_have_no_memory_has_zero_bytes() -> None:
    """Only where meminfo does not say otherwise."""
    sample = of_text("", "MemTotal: 9 kB\nMemFree: 1 kB\n", without_memory=frozenset({0, 1}))
    assert [(cell.total, cell.free) for cell in sample.cells] == [(0, 0), (9 * KB, KB)]


def test_notes_and_errors_of_the_opening_are_in_each_sample() -> None:
    """They come first, as they are about the files themselves."""
    first = Note("online", "broken")
    sample = of_text("x", notes=(first,), errors=(("a", 5),))
    assert sample.notes[0] is first
    assert sample.errors == (("a", 5), (f"{NODE}/node0/meminfo", 74))


def test_a_note_about_a_figure_without_a_file_names_meminfo() -> None:
    """As of a table that was not read from a path."""
    shape = Shape(number=1, cells=(0,), since=(1,))
    sample = _fast.meminfo_figures([b"MemTotal: 1 kB\nMemFree: 2 kB\n"], Sample, Origin("linux", shape))
    assert [note.where for note in sample.notes] == ["meminfo"]
    text = PAGES.format(4, 5, 0).encode()
    sample = _fast.meminfo_figures([text], Sample, Origin("linux", shape, default_size=2 * MIB))
    assert [note.where for note in sample.notes] == ["meminfo"]


def test_an_origin_for_another_shape_is_otherwise_the_same() -> None:
    """What the files are and what was wrong with them does not change with the totals."""
    shape = Shape(number=1, cells=(0,), since=(1,))
    values = {
        "figures_from": FiguresFrom("a", "b", "c"),
        "paths": ("p",),
        "default_size": 7,
        "without_memory": frozenset({0}),
        "notes": (Note("w", "t"),),
        "errors": (("p", 5),),
    }
    first = Origin("linux", shape, **values, no_pages=(HugePages(1, 0, 0, 0),))  # type: ignore[arg-type]
    for other, wanted in ((first.with_shape(shape._replace(number=2)), 2), (first.with_no_pages(()), 1)):
        assert (other.source, other.shape.number, other.no_pages) == ("linux", wanted, ())
        assert {name: getattr(other, name) for name in values} == values


@pytest.mark.parametrize(("wall", "time"), [(-1, None), (0, 0.0), (1_500_000_000, 1.5)])
def test_the_time_of_a_sample_is_in_seconds(wall: int, time: float | None) -> None:
    """None is for a recording; the very first second of 1970 is a time."""
    sample = at(1, CellSample(3, GIB, MIB))
    again = made(sample.origin, wall, 7, Collected())
    assert (again.time, again.wall, again.monotonic) == (time, wall, 7)


def test_samples_are_equal_by_all_that_they_hold() -> None:
    """Source, both clocks, shape and figures; anything else is no sample."""
    sample = at(1, CellSample(3, GIB, MIB))
    same = made(sample.origin, sample.wall, sample.monotonic, Collected(cells=sample.cells))
    assert sample == same
    assert hash(sample) == hash(same)
    others = [
        made(sample.origin, sample.wall + 1, sample.monotonic, Collected(cells=sample.cells)),
        made(sample.origin, sample.wall, sample.monotonic + 1, Collected(cells=sample.cells)),
        made(sample.origin, sample.wall, sample.monotonic, Collected()),
        made(Origin("xen", sample.shape), sample.wall, sample.monotonic, Collected(cells=sample.cells)),
        made(Origin("linux", sample.shape._replace(number=9)), sample.wall, sample.monotonic, sample._collected()),
    ]
    for other in others:
        assert sample != other
    assert sample != 1
    again = pickle.loads(pickle.dumps(sample))
    assert (again.source, again.shape, again.figures_from) == (sample.source, sample.shape, sample.figures_from)
    assert repr(sample) == f"<Sample of linux at 1.0, shape 1: {sample.cells}>"


@pytest.mark.parametrize(("total", "free", "used"), [(9, 4, 5), (9, None, None), (None, 4, None), (4, 4, 0)])
def test_used_memory_is_known_where_both_parts_are(total: int | None, free: int | None, used: int | None) -> None:
    """It is the difference, and 0 is one."""
    assert CellSample(0, total, free).used == used


def test_free_bytes_by_cell_are_those_of_the_cells() -> None:
    """An unknown figure stays None."""
    sample = at(1, CellSample(3, GIB, MIB), CellSample(5, GIB, None))
    assert sample.free_by_cell() == {3: MIB, 5: None}
    assert (sample.free(3), sample.free(5), sample.cell(5).id) == (MIB, None, 5)


# --- rates -----------------------------------------------------------------------------------------------------------


def at(seconds: float, *cells: CellSample, since: tuple[int, ...] = ()) -> Sample:
    ids = tuple(cell.id for cell in cells)
    shape = Shape(max(since, default=1), ids, since or (1,) * len(ids), None, tuple(cell.total for cell in cells))
    return made(Origin("linux", shape), int(seconds * SECOND), int(seconds * SECOND), Collected(cells=cells))


def counted(hit: int | None) -> CellSample:
    return CellSample(0, 1000, 0, (), None, Counters(hit, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("before", "after", "rate"),
    [
        (5, 5, 0.0), (0, 1 << 60, float((1 << 60) // 2)), ((1 << 64) - 1, 1, 1.0),
        ((1 << 64) - (1 << 47), (1 << 47) - 1, ((1 << 48) - 1) / 2), ((1 << 64) - (1 << 47), 1 << 47, None), (5, 4, None),
        (None, 4, None), (4, None, None),
    ],
)  # fmt: skip
def test_a_counter_wrapped_if_it_moved_by_less_than_48_bits(before: Any, after: Any, rate: float | None) -> None:
    """Otherwise it restarted, which is noted with both values; an unknown one is no fault."""
    rates = at(3, counted(after)) - at(1, counted(before))
    assert rates.cells[0].counters == Counters(rate, 0, 0, 0, 0, 0)
    restarted = rate is None and None not in (before, after)
    text = f"hit restarted: {after} after {before}"
    assert rates.notes == ((Note("cell 0", text),) if restarted else ())


def test_counters_and_fields_that_only_one_sample_has_have_no_rate() -> None:
    """What was not requested both times cannot be subtracted."""
    plain = CellSample(0, 1000, 0)
    more = plain._replace(counters=Counters(1, 1, 1, 1, 1, 1), vmstat=(("pgfault", 1),))
    for first, second in ((plain, more), (more, plain), (plain, plain)):
        (cell,) = (at(2, second) - at(1, first)).cells
        assert (cell.counters, cell.vmstat) == (None, None)
    (cell,) = (at(2, more) - at(1, more)).cells
    assert (cell.counters, cell.vmstat) == (Counters(0, 0, 0, 0, 0, 0), (("pgfault", 0.0),))


@pytest.mark.parametrize(
    ("before", "after", "change"), [((9, 4), (8, 1), (-1, -3, 2)), ((9, None), (8, 1), (-1, None, None)),
                                    ((None, 4), (8, 1), (None, -3, None)), ((9, 4), (8, None), (-1, None, None))],
)  # fmt: skip
def test_memory_changes_by_a_difference_where_both_are_known(before: Any, after: Any, change: Any) -> None:
    """Total, free and used each by itself."""
    (cell,) = (at(2, CellSample(0, *after)) - at(1, CellSample(0, *before))).cells
    assert (cell.total, cell.free, cell.used) == change


@pytest.mark.parametrize("name", ["nr_free_pages", "nr_dirty", "workingset_nodes", "nr_zone_active_anon"])
def test_levels_of_vmstat_rise_and_fall(name: str) -> None:
    """Their change is a difference; an unknown one has none."""
    assert is_level(name)


@pytest.mark.parametrize(
    "name",
    [
        "nr_vmscan_write", "nr_vmscan_immediate_reclaim", "nr_dirtied", "nr_written", "nr_throttled_written",
        "nr_foll_pin_acquired", "nr_foll_pin_released", "pgfault", "workingset_refault_anon", "numa_hit",
    ],
)  # fmt: skip
def test_events_of_vmstat_only_rise(name: str) -> None:
    """Some of them begin as levels do."""
    assert not is_level(name)


def test_a_level_that_is_unknown_in_one_sample_has_no_rate() -> None:
    """A level may be 0, and None is not."""
    values = (("nr_dirty", None), ("nr_mapped", 4))
    one, other = (CellSample(0, 9, 0)._replace(vmstat=found) for found in (values, (("nr_dirty", 4), ("nr_mapped", 0))))
    assert (at(3, other) - at(1, one)).cells[0].vmstat == (("nr_dirty", None), ("nr_mapped", -2.0))
    assert (at(3, one) - at(1, other)).cells[0].vmstat == (("nr_dirty", None), ("nr_mapped", 2.0))


def test_two_samples_of_one_moment_have_no_rate() -> None:
    """The same sample twice divides by zero; a nanosecond apart is a rate."""
    sample = at(1, counted(1))
    with pytest.raises(ValueError, match="subtract the earlier sample from the later one"):
        sample - sample
    later = made(sample.origin, sample.wall, sample.monotonic + 1, Collected(cells=sample.cells))
    assert (later - sample).seconds == 1e-9


def test_a_sample_of_a_recording_has_no_rate_on_either_side() -> None:
    """Its clocks are -1; the first nanosecond after the boot is a time."""
    sample = at(1, counted(1))
    recorded = made(sample.origin, -1, -1, Collected(cells=sample.cells))
    for pair in ((sample, recorded), (recorded, sample)):
        with pytest.raises(ValueError, match="a sample of a recording has no time, so there is no rate"):
            pair[0] - pair[1]
    boot = made(sample.origin, 0, 0, Collected(cells=sample.cells))
    assert (sample - boot).seconds == 1


def test_rates_of_a_cell_are_found_by_its_id() -> None:
    """The position in the host does not matter."""
    rates = at(2, CellSample(0, 9, 1), CellSample(7, 9, 3)) - at(1, CellSample(0, 9, 0), CellSample(7, 9, 0))
    assert [rates.cell(number).free for number in (0, 7)] == [1, 3]
    with pytest.raises(KeyError, match="no cell 1 in both samples"):
        rates.cell(1)


# --- watermarks ------------------------------------------------------------------------------------------------------

VM = "proc/sys/vm"


def settings() -> trees.Machine:
    return {
        f"{VM}/min_free_kbytes": "1000\n", f"{VM}/watermark_scale_factor": "10\n",
        f"{VM}/lowmem_reserve_ratio": "256\n", "proc/zoneinfo": zoneinfo(),
    }  # fmt: skip


def zoneinfo(boost: str = "        boost    0\n") -> str:
    return (
        f"Node 0, zone   Normal\n  pages free 9\n{boost}        low      1\n        high     2\n        managed 2000\n"
    )


class Counting(Shelf):
    """Counts how often zoneinfo is read."""

    @property
    def zones_read(self) -> int:
        return self.opened.count("proc/zoneinfo")


def kept(plant: Plant, tree: trees.Machine, *, may_keep: bool = True) -> tuple[Watermarks, Counting]:
    shelf = Counting(tree)
    return Watermarks(shelf, _fast.Files(plant(tree)), may_keep=may_keep), shelf


@pytest.mark.parametrize(("age", "times"), [(0, 1), (10 * SECOND - 1, 1), (10 * SECOND, 2)])
def test_watermarks_are_kept_for_ten_seconds(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, age: int, times: int
) -> None:
    """A boost that begins in between shows in no setting."""
    now = [77 * SECOND]
    monkeypatch.setattr("numaprobe.sampling.watermarks.time.monotonic_ns", lambda: now[0])
    marks, shelf = kept(plant, settings())
    first = marks.kept_back((0,), (8000,))
    now[0] += age
    assert marks.kept_back((0,), (8000,)) == first
    assert shelf.zones_read == times


@pytest.mark.parametrize(
    ("changed", "times"),
    [
        ({}, 1),
        ({f"{VM}/watermark_scale_factor": None}, 2),
        ({"proc/zoneinfo": zoneinfo("        boost    1\n")}, 2),
        ({"proc/zoneinfo": zoneinfo("        boost    0\n        boost    5\n")}, 2),
        ({"proc/zoneinfo": zoneinfo("")}, 1),
        ({"proc/zoneinfo": zoneinfo(""), f"{VM}/watermark_boost_factor": "0\n"}, 1),
        ({"proc/zoneinfo": zoneinfo(""), f"{VM}/watermark_boost_factor": "1\n"}, 2),
        ({"proc/zoneinfo": zoneinfo(""), f"{VM}/watermark_boost_factor": None}, 2),
    ],
)
def test_watermarks_are_kept_only_where_nothing_hidden_changes_them(
    plant: Plant, changed: Mapping[str, str | None], times: int
) -> None:
    """A setting that cannot be read (here a directory) may change unseen, and so may a boost."""
    marks, shelf = kept(plant, settings() | dict(changed))
    for _ in range(2):
        assert isinstance(marks.kept_back((0,), (8000,)), list)
    assert shelf.zones_read == times


def test_a_setting_that_the_kernel_does_not_have_changes_nothing(plant: Plant) -> None:
    """Linux before 4.6 has no scale factor."""
    tree = settings()
    del tree[f"{VM}/watermark_scale_factor"]
    marks, shelf = kept(plant, tree)
    for _ in range(2):
        marks.kept_back((0,), (8000,))
    assert shelf.zones_read == 1


def test_watermarks_are_read_each_time_where_they_may_not_be_kept(plant: Plant) -> None:
    """A tree's files change without anything that shows it; so do those whose totals changed."""
    marks, shelf = kept(plant, settings(), may_keep=False)
    for _ in range(2):
        marks.kept_back((0,), (8000,))
    assert shelf.zones_read == 2
    marks, shelf = kept(plant, settings())
    marks.kept_back((0,), (8000,))
    marks.forget()
    marks.kept_back((0,), (8000,))
    assert shelf.zones_read == 2


def test_a_node_without_a_total_keeps_back_what_is_unknown(plant: Plant) -> None:
    """The others are known, and a table without a zone is broken."""
    for may_keep in (True, False):
        marks, shelf = kept(plant, settings(), may_keep=may_keep)
        found = marks.kept_back((0, 1), (8000, None))
        assert isinstance(found, list)
        assert (found[0] is not None, found[1]) == (True, None)
        shelf.files["proc/zoneinfo"] = b""
        marks.forget()
        with pytest.raises(FactError, match="contains no zone"):
            marks.kept_back((0,), (8000,))
        shelf.errors["proc/zoneinfo"] = 13
        assert marks.kept_back((0,), (8000,)) == 13


# --- opening ---------------------------------------------------------------------------------------------------------


class Often(Shelf):
    """Fails so often to read one path or to list it."""

    def __init__(self, tree: trees.Machine, path: str, errno: int, times: int) -> None:
        super().__init__(tree)
        self.path, self.errno, self.times = path, errno, times

    def _fails(self, path: str) -> bool:
        if path != self.path or not self.times:
            return False
        self.times -= 1
        return True

    def _read(self, path: str) -> bytes | int:
        return self.errno if self._fails(path) else super()._read(path)

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        return self.errno if self._fails(path) else super().listdir(path, prefix)


def two_nodes() -> trees.Machine:
    tree = trees.machine({0: [0], 5: [1]})
    for node in (0, 5):
        tree[f"{NODE}/node{node}/meminfo"] = trees.meminfo(node, 8000, 1000)
    return tree


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("errno", [5, 13])
def test_a_list_that_cannot_be_read_is_tried_twice_and_then_said(live: bool, errno: int) -> None:
    """Its errno and its path are in each sample, once, and the figures are there."""
    shelf = Shelf(two_nodes(), {f"{CPU}/online": errno})
    sample = LinuxSampler(shelf, None, live=live, timed=True).snapshot.ask()
    assert sample.errors == ((f"{CPU}/online", errno),)
    assert [note.where for note in sample.notes] == ["online"]
    assert [cell.free for cell in sample.cells] == [1000 * KB] * 2
    assert shelf.opened.count("proc/meminfo") == 2


@pytest.mark.parametrize("path", [f"{CPU}/online", f"{NODE}/node5/meminfo"])
def test_what_is_not_there_is_neither_tried_again_nor_said(path: str) -> None:
    """A tree may lack it, and then nothing is gained by a second look."""
    tree = two_nodes()
    del tree[path]
    shelf = Shelf(tree)
    sample = LinuxSampler(shelf, None, live=False, timed=True).snapshot.ask()
    assert (sample.errors, sample.notes) == ((), ())
    assert shelf.opened.count("proc/meminfo") == 1


@pytest.mark.parametrize("live", [True, False])
def test_one_denied_node_of_two_costs_its_own_figures(live: bool) -> None:
    """All denied is an error with the first one's path and errno."""
    denied = {f"{NODE}/node5/meminfo": 13}
    sample = LinuxSampler(Shelf(two_nodes(), denied), None, live=live, timed=True).snapshot.ask()
    assert [cell.free for cell in sample.cells] == [1000 * KB, None]
    assert sample.errors == ((f"{NODE}/node5/meminfo", 13),)
    assert [note.where for note in sample.notes] == ["node5/meminfo"]
    denied = {f"{NODE}/node0/meminfo": 13, f"{NODE}/node5/meminfo": 5}
    with pytest.raises(SourceDenied, match="node0/meminfo") as caught:
        LinuxSampler(Shelf(two_nodes(), denied), None, live=False, timed=True)
    assert caught.value.errno == 13


@pytest.mark.parametrize(("reason", "position", "text"), [
    (_fast.CHANGED, 0, "nodes or CPUs kept being added or removed while they were read"),
    (_fast.UNREADABLE, -1, "nodes or CPUs kept being added or removed while they were read"),
    (_fast.UNREADABLE, 0, f"{NODE}/node0/meminfo"), (_fast.UNREADABLE, 1, f"{NODE}/node5/meminfo"),
])  # fmt: skip
def test_the_error_of_a_sampler_names_the_file_that_it_could_not_read(reason: int, position: int, text: str) -> None:
    """Where none is to blame it is the host's change."""
    engine = LinuxSampler(Shelf(two_nodes()), None, live=False, timed=True)
    error = engine._failure(engine.snapshot, _fast.Missed(reason, position, 5))
    assert isinstance(error, SourceError)
    assert text in str(error)
    assert (error.errno == 5) is (str(error).find("meminfo") >= 0)


def test_everything_is_read_for_a_recorder() -> None:
    """A recording has what any sample of it will ask for."""
    tree = two_nodes()
    for node in (0, 5):
        tree[f"{NODE}/node{node}/numastat"] = "numa_hit 1\n"
        tree[f"{NODE}/node{node}/vmstat"] = "nr_free_pages 1\n"
        tree[f"{NODE}/node{node}/hugepages/hugepages-2048kB/nr_hugepages"] = "0\n"
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"] = "0\n"
    tree["proc/zoneinfo"] = "".join(f"Node {n}, zone Normal\n  pages free 250\n managed 2000\n" for n in (0, 5))
    tree["proc/buddyinfo"] = "Node 0, zone   Normal 250\nNode 5, zone   Normal 250\n"
    shelf = Shelf(tree)
    engine = LinuxSampler(shelf, None, live=False, timed=False)
    assert engine.snapshot.has_free
    shelf.opened.clear()
    engine.take_all()
    wanted = {f"{NODE}/node{n}/{name}" for n in (0, 5) for name in ("meminfo", "numastat", "vmstat")}
    wanted |= {f"{NODE}/node{n}/hugepages/hugepages-2048kB/nr_hugepages" for n in (0, 5)}
    wanted |= {"proc/zoneinfo", "proc/buddyinfo"}
    assert wanted <= set(shelf.opened)


def test_files_that_could_not_be_read_are_opened_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each sample, because that costs as much as the first opening."""
    now = [77 * SECOND]
    monkeypatch.setattr("numaprobe.sampling.linux_files.time.monotonic_ns", lambda: now[0])
    engine = LinuxSampler(Shelf(two_nodes(), {f"{CPU}/online": 13}), None, live=False, timed=True)
    now[0] += SECOND - 1
    assert isinstance(engine.snapshot.ask(), Sample)
    now[0] += 1
    assert engine.snapshot.ask().reason == _fast.CHANGED


def test_the_clocks_of_a_sample_are_those_of_its_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording has none."""
    monkeypatch.setattr("numaprobe.sampling.linux_files.time.monotonic_ns", lambda: 7)
    monkeypatch.setattr("numaprobe.sampling.linux_files.time.time_ns", lambda: 9)
    for timed, wanted in ((True, (9, 7)), (False, (-1, -1))):
        sample = LinuxSampler(Shelf(two_nodes()), None, live=False, timed=timed).snapshot.ask()
        assert (sample.wall, sample.monotonic) == wanted


# --- Xen ---------------------------------------------------------------------------------------------------------

FILES = Shelf({"sys/firmware/acpi/tables/SRAT": two_node_srat()})
NUMAINFO, PHYSINFO = (35, 17), (35, 3)


def test_xen_is_asked_for_physinfo_every_ten_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs as much as a sample, and it alone shows that a CPU was added."""
    now = [77 * SECOND]
    monkeypatch.setattr("numaprobe.sampling.xen.time.monotonic_ns", lambda: now[0])
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    for later, asked in ((0, False), (9_999_999, False), (1, True), (9_999_999, False), (1, True)):
        now[0] += later
        xen.made.clear()
        sample = engine.snapshot.ask()
        assert sample.monotonic == now[0]
        assert xen.made == ([PHYSINFO, NUMAINFO] if asked else [NUMAINFO])


@pytest.mark.parametrize("name", ["total_pages", "max_node_id"])
def test_what_physinfo_counts_makes_xen_be_asked_anew(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """More pages or node numbers are another shape of the host."""
    now = [77 * SECOND]
    monkeypatch.setattr("numaprobe.sampling.xen.time.monotonic_ns", lambda: now[0])
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    setattr(xen, name, getattr(xen, name) + 1)
    assert isinstance(engine.snapshot.ask(), Sample)
    now[0] += 10_000_000
    assert engine.snapshot.ask().reason == _fast.CHANGED


def test_a_recorded_hypervisor_has_no_time() -> None:
    """There a sample's clocks are -1."""
    sample = XenSampler(two_node_pc(), FILES, timed=False).snapshot.ask()
    assert (sample.wall, sample.monotonic, sample.time) == (-1, -1, None)


def test_nodes_that_were_added_make_free_memory_of_xen_be_read_anew() -> None:
    """Also where only free memory is asked for."""
    for release in ("4.5", "4.17"):
        xen = two_node_pc(release)
        engine = XenSampler(xen, FILES, timed=True)
        xen.nodes[5] = FakeNode(GIB, MIB)
        for ask in (engine.snapshot.ask, engine.snapshot.free):
            assert ask().reason == _fast.CHANGED
        assert engine.retried_free(engine.snapshot, engine.snapshot.free()) == {0: GIB, 1: GIB + MIB, 5: MIB}


def test_claims_of_each_node_are_taken_from_what_is_free() -> None:
    """A XenServer's hypervisor counts them by node; a row that makes no sense is noted and leaves it unknown."""
    xen = two_node_pc("4.21")
    xen.outstanding_pages = 3
    xen.claims = {0: (655200 * 4096, GIB, 3 * 4096), 1: (393247 * 4096, GIB + MIB, 0)}
    engine = XenSampler(xen, FILES, timed=False)
    ask: dict[str, Any] = {"huge_pages": False, "counters": False, "vmstat": ()}
    assert [cell.available for cell in engine.detailed(available=False, **ask).cells] == [None, None]
    sample = engine.detailed(available=True, **ask)
    assert [cell.available for cell in sample.cells] == [GIB - 3 * 4096, GIB + MIB]
    assert (sample.notes, sample.errors) == ((), ())
    assert [(cell.total, cell.free) for cell in sample.cells] == [(655263 * 4096, GIB), (393184 * 4096, GIB + MIB)]
    xen.nodes[1].memfree = 393247 * 4096 + 1
    sample = engine.detailed(available=True, **ask)
    assert [cell.available for cell in sample.cells] == [None, None]
    assert [note.where for note in sample.notes] == ["sysctl numainfo node 1", "sysctl numa_meminfo"]
    assert sample.notes[1].text == f"free memory of node 1 that is not numainfo's, {393247 * 4096 + 1}: {GIB + MIB}"


def test_a_sampler_of_xen_closes_its_shape() -> None:
    """The first shape has number 1 and the totals of the memory map."""
    engine = XenSampler(two_node_pc(), FILES, timed=True)
    assert engine.snapshot.origin.shape == Shape(
        number=1, cells=(0, 1), since=(1, 1), cpus=tuple(range(8)), totals=(655263 * 4096, 393184 * 4096)
    )


def test_free_memory_of_a_node_without_a_total_is_at_most_its_span() -> None:
    """The span has holes, so that it is no total, and yet nothing more can be free."""
    xen = two_node_pc()
    engine = XenSampler(xen, Shelf({}), timed=True)
    assert xen_cells(engine) == [(0, None, GIB), (1, None, GIB + MIB)]
    xen.nodes[1].memfree = 2560 * MIB
    assert xen_cells(engine) == [(0, None, GIB), (1, None, 2560 * MIB)]
    xen.nodes[1].memfree += 1
    assert xen_cells(engine) == [(0, None, GIB), (1, None, None)]


def xen_cells(engine: XenSampler) -> list[tuple[int, int | None, int | None]]:
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    return [(cell.id, cell.total, cell.free) for cell in sample.cells]
