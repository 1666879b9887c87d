"""What samplers of Linux and of Xen do alike: how often they try again, and what makes a shape another one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trees
from fake_xen import GIB, MIB, two_node_pc, two_node_srat
from trees import CPU, NODE, Shelf

from numaprobe import SourceDenied, SourceError, _fast
from numaprobe.sampling.engine import Engine, Snapshot, next_shape, unreadable
from numaprobe.sampling.linux import LinuxSampler
from numaprobe.sampling.linux_files import deduced_page_size, default_huge_page_size
from numaprobe.sampling.sample import Origin, Sample, made
from numaprobe.sampling.values import CellSample, Collected, Shape
from numaprobe.sampling.xen import XenSampler

KB = 1024
SHAPE = Shape(number=1, cells=(3,), since=(1,), cpus=(0,), totals=(GIB,))
FOUND = made(Origin("linux", SHAPE), 1, 1, Collected(cells=(CellSample(3, GIB, MIB),)))


class Trying(Engine):
    """A source whose shape changes so often; with ``cheap`` its free memory can be read alone."""

    def __init__(self, misses: int, *, cheap: bool = True, reason: int = _fast.CHANGED) -> None:
        self.misses, self.cheap, self.reason = misses, cheap, reason
        self.opened = self.asked = self.asked_free = 0
        super().__init__()

    def _opened(self, before: Any) -> Snapshot:
        self.opened += 1
        return Snapshot(FOUND.origin, self._ask, self._free if self.cheap else None)

    def _ask(self) -> Any:
        self.asked += 1
        self.misses -= 1
        return FOUND if self.misses < 0 else _fast.Missed(self.reason, 0, 5, table=FOUND)

    def _free(self) -> Any:
        self.asked_free += 1
        self.misses -= 1
        return {3: 7} if self.misses < 0 else _fast.Missed(_fast.CHANGED)

    def _failure(self, snapshot: Any, missed: Any) -> Exception:
        return SourceError("it", missed.error, "gave up")

    def detailed(self, **_: Any) -> Sample:
        return FOUND

    def sampled(self) -> Sample:
        snapshot = self.snapshot
        return self.retried(snapshot, snapshot.ask())

    def free(self) -> Any:
        snapshot = self.snapshot
        return self.retried_free(snapshot, snapshot.free())


@pytest.mark.parametrize("misses", range(9))
def test_a_host_that_changes_is_tried_up_to_eight_times_again(misses: int) -> None:
    """Each try opens a new snapshot, and the answer to the last one counts."""
    engine = Trying(misses)
    assert engine.sampled() is FOUND
    assert (engine.opened, engine.asked) == (1 + misses, 1 + misses)


def test_a_host_that_changes_nine_times_is_an_error() -> None:
    """It ends with the last miss, and does not go on for ever."""
    engine = Trying(9)
    with pytest.raises(SourceError, match="gave up") as caught:
        engine.sampled()
    assert caught.value.errno == 5
    assert (engine.opened, engine.asked) == (9, 9)


def test_new_totals_are_another_shape_where_the_source_says_nothing_else() -> None:
    """A source that never reports them is asked again, and not given a sample of the old shape."""
    engine = Trying(2, reason=_fast.RESIZED)
    assert engine.sampled() is FOUND
    assert (engine.opened, engine.asked) == (1, 3)


@pytest.mark.parametrize("misses", [0, 1, 3, 8])
def test_free_memory_is_read_alone_again_after_each_change(misses: int) -> None:
    """The dearer whole sample is not needed for it."""
    engine = Trying(misses)
    assert engine.free() == {3: 7}
    assert (engine.opened, engine.asked, engine.asked_free) == (1 + misses, 0, 1 + misses)


@pytest.mark.parametrize("misses", [9, 12])
def test_free_memory_is_of_a_whole_sample_after_nine_changes(misses: int) -> None:
    """The whole sample has tries of its own."""
    engine = Trying(misses)
    assert engine.free() == {3: MIB}
    assert (engine.asked_free, engine.asked) == (9, misses - 8)


def test_free_memory_without_a_cheaper_source_is_of_a_whole_sample() -> None:
    """One sample when nothing changes; after a change those of ``retried``."""
    engine = Trying(0, cheap=False)
    assert not engine.snapshot.has_free
    assert engine.free() == {3: MIB}
    assert (engine.opened, engine.asked) == (1, 1)
    engine = Trying(2, cheap=False)
    assert engine.free() == {3: MIB}
    assert (engine.opened, engine.asked) == (2, 3)


def test_a_snapshot_is_replaced_once_however_many_threads_miss() -> None:
    """The second thread takes what the first one opened."""
    engine = Trying(0)
    first = engine.snapshot
    second = engine._renewed(first)
    assert second is not first
    assert engine._renewed(first) is second
    assert engine.opened == 2


def test_a_source_is_closed_while_nobody_opens_it() -> None:
    """The lock is held during both; afterwards the shape is still known and every question is refused."""
    engine = Trying(0)
    held = []
    engine.close(lambda: held.append(engine._lock().locked()))
    assert held == [True]
    assert not engine._lock().locked()
    assert engine.snapshot.origin is FOUND.origin
    assert engine.snapshot.has_free
    for ask in (engine.sampled, engine.free, engine.exact_free):
        with pytest.raises(ValueError, match="the sampler is closed"):
            ask()


@pytest.mark.parametrize(("errno", "kind"), [(1, SourceDenied), (13, SourceDenied), (2, SourceError), (5, SourceError)])
def test_a_file_that_may_not_be_read_is_denied_and_another_one_unreadable(errno: int, kind: type[Exception]) -> None:
    """EPERM and EACCES can be helped by other rights; nothing else can."""
    error = unreadable("proc/meminfo", errno)
    assert type(error) is kind
    assert (error.errno, "proc/meminfo" in str(error)) == (errno, True)


def shape(cells: tuple[int, ...], since: tuple[int, ...] = (), **more: Any) -> Shape:
    return Shape(
        number=more.pop("number", 1), cells=cells, since=since, cpus=more.pop("cpus", (0,)), totals=(GIB,) * len(cells)
    )


def test_the_first_shape_has_number_one_and_all_cells_since_then() -> None:
    """Numbers count what a sampler saw, from 1."""
    found = next_shape(None, shape((0, 5)))
    assert found == shape((0, 5), (1, 1), number=1)


def test_a_shape_that_changed_has_the_next_number_and_new_cells_have_it_too() -> None:
    """A cell that stayed keeps the number in which it was added, one that was added again does not."""
    before = shape((0, 5, 7), (1, 2, 4), number=4)
    assert next_shape(before, shape((0, 3, 5))) == shape((0, 3, 5), (1, 5, 2), number=5)
    assert next_shape(before, shape((0, 5, 7)), [True, False, True]) == shape((0, 5, 7), (1, 5, 4), number=5)
    assert next_shape(before, shape((0, 5, 7), cpus=(0, 1))).number == 5
    assert next_shape(before, shape((0, 5, 7))) is before


# --- free memory of Linux, cheaper ----------------------------------------------------------------------------------


def machine(total_kb: int, free_kb: int, blocks: int, *, managed: int | None = None) -> trees.Machine:
    """One node, of whose free pages ``buddyinfo`` has so many."""
    tree = trees.machine({0: [0]})
    tree[f"{NODE}/node0/meminfo"] = trees.meminfo(0, total_kb, free_kb)
    tree["proc/buddyinfo"] = f"Node 0, zone   Normal {blocks:6}\n"
    pages = total_kb // 4 if managed is None else managed
    tree["proc/zoneinfo"] = f"Node 0, zone   Normal\n  pages free {free_kb // 4}\n        managed  {pages}\n"
    return tree


def opened(tree: trees.Machine) -> LinuxSampler:
    return LinuxSampler(Shelf(tree), None, live=False, timed=True)


@pytest.mark.parametrize(
    ("total_mb", "apart_kb", "near"),
    [
        (64, 32 * 1024, True), (64, 32 * 1024 + 4, False), (64, -32 * 1024, True), (64, -32 * 1024 - 4, False),
        (512, 32 * 1024, True), (512, 32 * 1024 + 4, False),
        (1024, 64 * 1024, True), (1024, 64 * 1024 + 4, False), (1024, -64 * 1024, True), (1024, -64 * 1024 - 4, False),
    ],
)  # fmt: skip
def test_buddyinfo_may_differ_by_32_mib_or_a_sixteenth_of_the_node(total_mb: int, apart_kb: int, near: bool) -> None:
    """Counters of each CPU lag behind; what is further away is of something else."""
    free_kb = total_mb * 1024 // 2
    engine = opened(machine(total_mb * 1024, free_kb, (free_kb + apart_kb) // 4))
    assert engine.snapshot.has_free is near
    if near:
        assert engine.snapshot.free() == {0: (free_kb + apart_kb) * KB}


@pytest.mark.parametrize(("over", "used"), [(0, True), (1, False)])
def test_no_more_can_be_free_than_there_is(over: int, used: bool) -> None:
    """All of a node free is possible, a page more is not."""
    engine = opened(machine(8192, 8192, 2048 + over))
    assert engine.snapshot.has_free is used


def test_more_free_than_there_is_makes_the_host_be_opened_again() -> None:
    """Memory may have been added; the figure is then of a whole sample."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    assert engine.snapshot.free() == {0: 4096 * KB}
    shelf.files["proc/buddyinfo"] = b"Node 0, zone   Normal 2049\n"
    missed = engine.snapshot.free()
    assert missed.reason == _fast.CHANGED
    snapshot = engine.snapshot
    assert engine.retried_free(snapshot, missed) == {0: 4096 * KB}
    assert engine.snapshot is not snapshot


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"Node 0, zone Normal x\n", _fast.NOT_LISTED), (b"Node 1, zone Normal 1\n", _fast.CHANGED), (None, _fast.UNREADABLE)],
)  # fmt: skip
def test_buddyinfo_that_breaks_later_is_a_whole_sample(content: bytes | None, reason: int) -> None:
    """What is wrong with it is known by name, and free memory is known all the same."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    if content is None:
        shelf.errors["proc/buddyinfo"] = 5
    else:
        shelf.files["proc/buddyinfo"] = content
    missed = engine.snapshot.free()
    assert missed.reason == reason
    if content is None:
        assert (missed.position, missed.error) == (-1, 5)
    assert engine.retried_free(engine.snapshot, missed) == {0: 4096 * KB}


@pytest.mark.parametrize(
    ("total_kb", "managed", "size_kb"),
    [
        (8192, 2048, 4), (8192, 128, 64), (8192, 512, 16), (8192, 32, 256), (8192, 0, None), (8192, 16, None),
        (8192, 1536, 4), (8192, 2560, 4), (8192, 1535, None), (8192, 2561, None),
    ],
)  # fmt: skip
def test_the_page_size_of_another_machine_is_deduced_from_its_zones(
    total_kb: int, managed: int, size_kb: int | None
) -> None:
    """All memory over all managed pages, up to a quarter away, because the two are of two moments."""
    tree = machine(total_kb, 0, 0, managed=managed)
    found = deduced_page_size(Shelf(tree), shape((0,))._replace(totals=(total_kb * KB,)))
    assert found == (None if size_kb is None else size_kb * KB)


def test_the_page_size_is_unknown_without_zones() -> None:
    """A missing or broken table is noted elsewhere, and free memory is read without it."""
    for tree in ({}, {"proc/zoneinfo": "Node x, zone\n"}):
        assert deduced_page_size(Shelf(tree), shape((0,))) is None


@pytest.mark.parametrize(
    ("text", "sizes", "found"),
    [
        ("Hugepagesize: 1024 kB\n", (2048,), 1024), ("", (2048,), 2048), ("", (2048, 1048576), None), ("", (), None),
        (None, (64,), 64),
    ],
)  # fmt: skip
def test_the_default_size_of_huge_pages_is_the_kernels_or_the_only_one(
    text: str | None, sizes: tuple[int, ...], found: int | None
) -> None:
    """Of two sizes neither is the default for certain."""
    from numaprobe.linux.source import Source

    tree: trees.Machine = {f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages": "0\n" for size in sizes}
    if text is not None:
        tree["proc/meminfo"] = text
    assert default_huge_page_size(Source(Shelf(tree))) == (None if found is None else found * KB)


def test_a_host_that_grew_is_asked_for_free_memory_by_its_new_size() -> None:
    """What was the limit for buddyinfo is the new total."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    shelf.files[f"{NODE}/node0/meminfo"] = trees.meminfo(0, 8196, 4096).encode()
    sample = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert (sample.shape.number, sample.cells[0].total) == (2, 8196 * KB)
    assert engine.snapshot.has_free
    again = engine.retried(engine.snapshot, engine.snapshot.ask())
    assert again.shape.number == 2


def test_two_threads_that_see_one_growth_count_it_once() -> None:
    """The second one finds the new shape made."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    shelf.files[f"{NODE}/node0/meminfo"] = trees.meminfo(0, 8196, 4096).encode()
    old = engine.snapshot
    missed = old.ask(), old.ask()
    found = [engine.retried(old, one) for one in missed]
    assert [sample.shape.number for sample in found] == [2, 2]
    assert found[0].origin is found[1].origin
    assert [sample is one.table for sample, one in zip(found, missed, strict=True)] == [True, True], (
        "none is read again"
    )


def test_growth_that_is_seen_after_closing_is_refused() -> None:
    """A closed sampler gives no sample, also to a thread that had read one."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    shelf.files[f"{NODE}/node0/meminfo"] = trees.meminfo(0, 8196, 4096).encode()
    old = engine.snapshot
    missed = old.ask()
    engine.close(lambda: None)
    with pytest.raises(ValueError, match="the sampler is closed"):
        engine.retried(old, missed)
    with pytest.raises(ValueError, match="the sampler is closed"):
        engine.detailed(huge_pages=True, available=False, counters=False, vmstat=())


def test_growth_that_is_seen_after_the_files_were_replaced_is_asked_for_anew() -> None:
    """The old files may be of a node that was removed."""
    shelf = Shelf(machine(8192, 4096, 1024))
    engine = LinuxSampler(shelf, None, live=False, timed=True)
    shelf.files[f"{NODE}/node0/meminfo"] = trees.meminfo(0, 8196, 4096).encode()
    old = engine.snapshot
    missed = old.ask()
    new = engine._renewed(old)
    sample = engine.retried(old, missed)
    assert sample is not missed.table
    assert (sample.origin is new.origin, sample.shape.number) == (True, 2)


def test_an_online_list_that_names_no_cpu_is_noted() -> None:
    """At least the CPU that reads it is running."""
    tree = machine(8192, 4096, 1024) | {f"{CPU}/online": "\n"}
    sample = opened(tree).snapshot.ask()
    assert sample.shape.cpus is None
    assert [(note.where, note.text) for note in sample.notes] == [
        ("online", "names no CPU, although at least one is running")
    ]


@pytest.mark.parametrize(
    ("tree", "there"),
    [
        ({"proc/meminfo": "MemTotal: 9 kB\nMemFree: 1 kB\n"}, True),
        ({"proc/version": "Linux\n"}, False),
    ],
)
def test_a_tree_with_a_meminfo_is_a_machine(tree: trees.Machine, there: bool) -> None:
    """Without nodes and CPUs the memory is that of one cell; without any of them it is no machine."""
    if there:
        assert opened(tree).exact_free() == {0: KB}
    else:
        with pytest.raises(SourceError, match="no node and no cpu was found"):
            opened(tree)


@pytest.mark.parametrize(("total", "free"), [("8192 kB", "? kB"), ("? kB", "? kB"), ("? kB", "4096 kB")])
def test_free_memory_that_meminfo_does_not_have_is_not_taken_from_elsewhere(total: str, free: str) -> None:
    """What cannot be compared is not used, whatever it says."""
    tree = machine(8192, 4096, 0)
    tree[f"{NODE}/node0/meminfo"] = f"Node 0 MemTotal: {total}\nNode 0 MemFree: {free}\n"
    engine = opened(tree)
    assert not engine.snapshot.has_free
    assert engine.exact_free() == {0: 4096 * KB if free == "4096 kB" else None}


def test_the_page_size_of_the_running_kernel_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zones say 4 kB here, and the C library 64 kB."""
    monkeypatch.setattr("os.sysconf", lambda _: 64 * KB)
    tree = trees.machine({0: [0], 5: [1]})
    for node in (0, 5):
        tree[f"{NODE}/node{node}/meminfo"] = trees.meminfo(node, 8192, 4096)
    tree["proc/buddyinfo"] = "".join(f"Node {node}, zone   Normal {64:6}\n" for node in (0, 5))
    tree["proc/zoneinfo"] = "".join(f"Node {n}, zone Normal\n  pages free 1\n managed 2048\n" for n in (0, 5))
    for live, free in ((True, 4096), (False, 256)):
        engine = LinuxSampler(Shelf(tree), None, live=live, timed=True)
        assert engine.snapshot.has_free
        assert engine.snapshot.free() == {0: free * KB, 5: free * KB}


# --- Xen ---------------------------------------------------------------------------------------------------------

FILES = Shelf({"sys/firmware/acpi/tables/SRAT": two_node_srat()})


def xen_sample(engine: XenSampler) -> Sample:
    snapshot = engine.snapshot
    return engine.retried(snapshot, snapshot.ask())


def test_figures_of_xen_are_said_with_their_source() -> None:
    """The totals are those of the boot's memory map, free and available numainfo's."""
    sample = xen_sample(XenSampler(two_node_pc(), FILES, timed=True))
    assert (sample.figures_from.free, sample.figures_from.available) == (
        "numainfo memfree", "numainfo memfree less claims",
    )  # fmt: skip
    assert [(cell.huge_pages, cell.counters, cell.vmstat, cell.meminfo) for cell in sample.cells] == [
        ((), None, None, None),
    ] * 2


def test_more_free_than_a_node_of_xens_has_is_unknown_and_noted() -> None:
    """The other node keeps its figure, and the last possible value is all of the node."""
    xen = two_node_pc()
    engine = XenSampler(xen, FILES, timed=True)
    total = 393184 * 4096
    xen.nodes[1].memfree = total
    assert [cell.free for cell in xen_sample(engine).cells] == [GIB, total]
    xen.nodes[1].memfree = total + 1
    sample = xen_sample(engine)
    assert [(cell.id, cell.total, cell.free) for cell in sample.cells] == [(0, 655263 * 4096, GIB), (1, total, None)]
    assert [(note.where, note.text) for note in sample.notes] == [
        ("sysctl numainfo node 1", f"{total + 1} bytes free are more than all {total}")
    ]


def test_a_hypervisor_that_does_not_stop_changing_is_an_error() -> None:
    """It is the source that failed, and the text says why."""
    engine = XenSampler(two_node_pc(), FILES, timed=True)
    failure = engine._failure(engine.snapshot, _fast.Missed(_fast.CHANGED))
    assert isinstance(failure, SourceError)
    assert str(failure).endswith("nodes, CPUs or memory kept being added or removed while they were read")
    for position, name in enumerate(("sysctl numainfo", "sysctl physinfo")):
        denied = engine._failure(engine.snapshot, _fast.Missed(_fast.UNREADABLE, position, 1))
        assert isinstance(denied, SourceDenied)
        assert name in str(denied)
    assert not engine._worth_another_try(_fast.Missed(_fast.UNREADABLE, 0, 1))
    assert engine._worth_another_try(_fast.Missed(_fast.CHANGED))


def test_locks_are_one_for_each_process() -> None:
    """Two threads of one process take the same."""
    engine = Trying(0)
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(engine._lock()))
    thread.start()
    thread.join()
    assert seen == [engine._lock()]
