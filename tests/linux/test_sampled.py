"""A guest's placement from a random sample of its pages, and what is said where the sample does not show it."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
from collections.abc import Callable, Sequence
from errno import EACCES, EFAULT, ENOENT, EPERM, ESRCH
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import GROUP, MIB, found_on, group, machine, process
from trees import Machine, Shelf

import numaprobe
from numaprobe.errors import FactError
from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests import sampled
from numaprobe.linux.guests.facts import SampledPart
from numaprobe.linux.guests.sampled import IS_FILE, Sampling
from numaprobe.model.documents import domains_document
from numaprobe.normalise.domains import account
from numaprobe.normalise.linux import from_linux
from numaprobe.normalise.sampled import half_width, margins
from numaprobe.sources.pages import RunningPages

PAGE = 4096
RAM = 0x7F0000000000
FILE = 0x7E0000000000


class Pages:
    """Pages by a rule: the node at an address, a negative errno, or the errno of the whole call."""

    def __init__(self, rule: Callable[[int], int], copies: bool = True, refusal: int = 0) -> None:
        self.rule = rule
        self.copies = copies
        self.refusal = refusal
        self.looked_at = 0

    def nodes(self, process: int, addresses: Sequence[int]) -> list[int] | int:
        self.looked_at += len(addresses)
        return self.refusal or [self.rule(address) for address in addresses]

    def entries(self, process: int, addresses: Sequence[int]) -> list[int] | int:
        return [0 if self.copies else IS_FILE] * len(addresses)


def sampling(pages: Pages, *, number: int = 1024, seed: int = 7) -> Sampling:
    return Sampling(pages=number, calls=pages, page_size=PAGE, draw=random.Random(seed).randrange)


def mapping(start: int, size: int, name: str = "", access: str = "rw-p", inode: int = 0) -> str:
    return f"{start:x}-{start + size:x} {access} 00000000 00:01 {inode}{' ' * 20}{name}\n"


def guest(
    maps: str, *, anonymous: int = 0, shared: int = 0, huge: int = 0, pid: int = 500, cgroup: str = "/"
) -> Machine:
    made = process(
        pid, maps="", anonymous_kb=anonymous >> 10, shared_kb=shared >> 10, huge_kb=huge >> 10, cgroup=cgroup
    )
    del made[f"proc/{pid}/numa_maps"]
    return made | {f"proc/{pid}/maps": maps, f"proc/{pid}/mountinfo": "1 1 0:1 / / rw - rootfs rootfs rw\n"}


def quarter_on_1(address: int) -> int:
    """Every fourth page, so that neighbours are on different nodes."""
    return 1 if address // PAGE % 4 == 0 else 0


def test_bytes_by_cell_are_estimated_within_the_margin_that_is_stated() -> None:
    """A quarter of the pages is planted on cell 1, and the bytes of all cells still add up to the guest's."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 30))
    (one,) = found_on(tree, sampling=sampling(Pages(quarter_on_1)))
    assert (one.how, one.how_from) == ("sampled", "move_pages and proc/500/maps")
    assert one.memory == 1 << 30
    assert one.unplaced == 0
    assert one.sample is not None
    assert one.cells is not None
    assert one.sample.confidence == 0.95
    assert one.sample.pages >= 1024
    for cell, true in ((0, 3 << 28), (1, 1 << 28)):
        margin = dict(one.sample.margins)[cell]
        assert abs(one.on(cell) - true) <= margin  # type: ignore[operator]
        assert 0.02 * (1 << 30) < margin < 0.032 * (1 << 30)
    assert sum(size for _, size in one.cells) == one.memory


def test_nineteen_of_twenty_samples_are_within_their_margin() -> None:
    """The confidence of 0.95 is tried on 200 samples of which the truth is known."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 30))
    within = 0
    for seed in range(200):
        (one,) = found_on(tree, sampling=sampling(Pages(quarter_on_1), number=256, seed=seed))
        assert one.sample is not None
        assert one.cells is not None
        within += abs(dict(one.cells)[1] - (1 << 28)) <= dict(one.sample.margins)[1]
    # 190 are expected; fewer than 180 would be a chance of one in thousands.
    assert within >= 180


def test_pages_that_are_not_present_are_not_counted() -> None:
    """Three quarters of the mapping were never touched; what was is on cell 1."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 28))
    (one,) = found_on(tree, sampling=sampling(Pages(lambda a: 1 if a < RAM + (1 << 28) else -ENOENT)))
    assert one.cells == ((0, 0), (1, 1 << 28))
    assert one.sample is not None
    assert one.sample.pages >= 1024


def test_zero_pages_have_no_node() -> None:
    """The kernel answers EFAULT for memory that was read and never written, which takes no room."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 29))
    (one,) = found_on(tree, sampling=sampling(Pages(lambda a: 0 if a // PAGE % 2 else -EFAULT)))
    assert one.on(0) == 1 << 29


def test_addresses_that_are_only_reserved_are_not_looked_at() -> None:
    """QEMU and sanitizers reserve terabytes without access, among which a sample would find nothing."""
    maps = mapping(RAM, 1 << 26) + mapping(RAM + (1 << 30), 1 << 40, access="---p")
    pages = Pages(lambda a: 0)
    (one,) = found_on(machine(guest(maps, anonymous=1 << 26)), sampling=sampling(pages))
    assert one.on(0) == 1 << 26
    assert pages.looked_at < 2000


def test_a_file_s_own_pages_are_not_the_guest_s_and_its_copies_are() -> None:
    """Page cache of a mapped snapshot belongs to the host; a page written to is anonymous and the guest's."""
    maps = mapping(RAM, 1 << 26) + mapping(FILE, 1 << 26, "/var/lib/vm/snapshot", inode=77)
    tree = machine(guest(maps, anonymous=1 << 26))
    on = Pages(lambda a: 1 if a >= RAM else 0, copies=False)
    assert found_on(tree, sampling=sampling(on))[0].cells == ((0, 0), (1, 1 << 26))
    tree = machine(guest(maps, anonymous=1 << 27))
    (one,) = found_on(tree, sampling=sampling(Pages(lambda a: 1 if a >= RAM else 0)))
    assert one.cells is not None
    assert abs(dict(one.cells)[0] - (1 << 26)) < 1 << 23


def test_kinds_are_sampled_apart_each_with_the_size_that_the_kernel_has_of_it() -> None:
    """A heap of a few MiB next to huge pages of a GiB: its place does not depend on how much the other has."""
    maps = mapping(RAM, 1 << 30, "/anon_hugepage (deleted)", inode=5) + mapping(FILE, 1 << 25, "[heap]")
    tree = machine(guest(maps, anonymous=1 << 25, huge=1 << 30))
    (one,) = found_on(tree, sampling=sampling(Pages(lambda a: 0 if a >= RAM else 1)))
    assert one.cells == ((0, 1 << 30), (1, 1 << 25))


@pytest.mark.parametrize("name", ["/memfd:ram (deleted)", "/dev/shm/my ram", "/dev/zero (deleted)"])
def test_shared_memory_is_known_by_its_file_as_in_numa_maps(name: str) -> None:
    """The names of memfd, /dev/shm and shared anonymous memory, with a space in one of them."""
    tree = machine(guest(mapping(RAM, 1 << 28, name, "rw-s", inode=9), shared=1 << 28))
    (one,) = found_on(tree, sampling=sampling(Pages(lambda a: 1)))
    assert one.cells == ((0, 0), (1, 1 << 28))


def test_memory_that_two_guests_share_is_counted_once() -> None:
    """The sum over guests must not exceed the host's memory, so the second has it as shared."""
    maps = mapping(RAM, 1 << 28, "/memfd:ram (deleted)", "rw-s", inode=9)
    tree = machine(guest(maps, shared=1 << 28), guest(maps, shared=1 << 28, pid=600))
    first, second = found_on(tree, sampling=sampling(Pages(lambda a: 1)))
    assert (first.on(1), second.on(1), second.shared) == (1 << 28, 0, 1 << 28)


def test_a_guest_that_its_control_group_counts_stays_exact() -> None:
    """A free exact figure is better than an estimate, and no page is looked at."""
    tree = machine(guest(mapping(RAM, 1 << 26), anonymous=1 << 26, cgroup="/machine.slice/vm1.scope"))
    tree |= group(anon=f"N0={1 << 26} N1=0")
    pages = Pages(lambda a: 1)
    (one,) = found_on(tree, sampling=sampling(pages))
    assert (one.how, one.how_from, one.sample) == ("exact", f"{GROUP}/memory.numa_stat", None)
    assert pages.looked_at == 0


@pytest.mark.parametrize("errno", [EPERM, EACCES])
def test_a_refusal_leaves_the_place_unknown_and_is_noted(errno: int) -> None:
    """As without CAP_SYS_PTRACE: the size is known, the place is not, and the list says that it is incomplete."""
    found = found_on(
        machine(guest(mapping(RAM, 1 << 28), anonymous=1 << 28)), sampling=sampling(Pages(int, refusal=errno))
    )
    assert (found[0].how, found[0].cells, found[0].unplaced) == ("unknown", None, 1 << 28)
    assert not found.complete
    assert ("proc/500/move_pages", f"move_pages is refused: {os.strerror(errno)}") in [tuple(n) for n in found.notes]


def test_a_process_that_ends_meanwhile_is_no_fault_of_the_sample() -> None:
    """Guests stop at any time, and one that is gone holds nothing."""
    found = found_on(
        machine(guest(mapping(RAM, 1 << 28), anonymous=1 << 28)), sampling=sampling(Pages(int, refusal=ESRCH))
    )
    assert found.complete


def test_memory_that_the_sample_does_not_find_is_unplaced_and_noted() -> None:
    """The kernel counts 1 GiB, and of the mappings only 256 MiB are present to the call."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 30))
    found = found_on(tree, sampling=sampling(Pages(lambda a: 0 if a < RAM + (1 << 28) else -ENOENT)))
    (one,) = found
    assert one.memory == 1 << 30
    assert one.unplaced is not None
    assert abs(one.unplaced - (3 << 28)) < 1 << 25
    assert not found.complete
    assert "less than status has" in found.notes[0].text


def test_a_kind_of_which_next_to_nothing_is_found_is_unplaced() -> None:
    """A few pages found would place 256 MiB by chance."""
    tree = machine(guest(mapping(RAM, 1 << 30), anonymous=1 << 28))
    found = found_on(tree, sampling=sampling(Pages(lambda a: -ENOENT)))
    assert (found[0].how, found[0].cells, found[0].unplaced, found.complete) == ("unknown", None, 1 << 28, False)


def test_a_kernel_without_sizes_by_kind_cannot_be_sampled() -> None:
    """Shares need a whole to be multiplied with, which RssAnon and its like give since Linux 4.5."""
    made = guest(mapping(RAM, 1 << 26), anonymous=1 << 26)
    status = made["proc/500/status"]
    assert isinstance(status, str)
    made["proc/500/status"] = "".join(line for line in status.splitlines(True) if "Rss" not in line or "VmRSS" in line)
    found = found_on(machine(made), sampling=sampling(Pages(lambda a: 0)))
    assert found[0].how == "unknown"
    assert "Linux 4.5" in found.notes[0].text


def test_maps_that_are_broken_are_noted_with_the_line() -> None:
    """An end below its start would make a negative size to draw from."""
    found = found_on(machine(guest("7f00 rw-p\n", anonymous=1 << 26)), sampling=sampling(Pages(lambda a: 0)))
    assert found[0].how == "unknown"
    assert "7f00 rw-p" in found.notes[0].text
    with pytest.raises(FactError, match="not a mapping"):
        sampled.mappings("maps", b"2000-1000 rw-p 00000000 00:00 0 \n")


def test_what_is_left_of_a_cell_next_to_an_estimate_is_nobody_s_for_sure() -> None:
    """The rest of a cell after an estimate carries its error, so it is called unattributed."""
    tree = machine(guest(mapping(RAM, 1 << 28), anonymous=1 << 28))
    shelf = Shelf(tree)
    host = from_linux(collect_host(shelf))
    found = found_on(tree, sampling=sampling(Pages(quarter_on_1)))
    for use in account(host, found):
        assert use.host is None
        assert use.unattributed is not None
        assert use.total == (use.free or 0) + use.pooled + sum(size for _, size in use.domains) + use.unattributed
    (document,) = domains_document(host, found, account(host, found), None)["domains"]
    assert document["how"] == "sampled"
    assert set(document["sample"]["margins"]) == {"0", "1"}


@given(st.integers(1, 4000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_margin_is_never_nothing_and_never_more_than_all(pages: tuple[int, int]) -> None:
    """Even a sample that finds all pages on one cell is uncertain, and the margin is symmetric."""
    width = half_width(*pages)
    assert 0 < width <= 1
    assert width == pytest.approx(half_width(pages[1] - pages[0], pages[1]))


def test_the_margin_of_1024_pages_is_3_1_points_at_worst() -> None:
    """The figures that the documentation promises."""
    assert half_width(512, 1024) == pytest.approx(0.0306, abs=0.0001)
    assert half_width(0, 1024) == pytest.approx(0.0037, abs=0.0001)


def test_margins_of_kinds_add_up_as_independent_errors_do() -> None:
    """Two equal parts have the margin of one times the root of 2, and not times 2."""
    host = from_linux(collect_host(Shelf(machine())))
    part = SampledPart(size=100 * MIB, pages={0: 500, 1: 500}, drawn=1000)
    one, two = margins([part], host), margins([part, part], host)
    assert two.pages == 2000
    assert dict(two.margins)[0] == pytest.approx(dict(one.margins)[0] * 2**0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "words"), [({"sampled": 63}, "at least 64"), ({"root": "/", "sampled": 1024}, "running")]
)
def test_a_tree_or_a_handful_of_pages_is_no_sample(options: dict[str, object], words: str) -> None:
    """Files cannot say where a page is, and below 64 pages the margin is meaningless."""
    host = numaprobe.probe(source="linux", available=False)
    with pytest.raises(ValueError, match=words):
        numaprobe.domains(host, **options)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="this kernel has no NUMA")
def test_this_process_has_on_its_cells_what_numa_maps_counts() -> None:
    """The kernel's own count of this process is the oracle, at twice the margin."""
    size = 64 * MIB
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size // 2, PAGE):
        memory[at] = 1
    host = numaprobe.probe(source="linux", available=False)
    (counted,) = numaprobe.domains(host, processes=[os.getpid()])
    (found,) = numaprobe.domains(host, processes=[os.getpid()], sampled=1024)
    if found.how == "exact":
        pytest.skip("the control group of this process counts its memory")
    assert found.sample is not None
    assert found.cells is not None
    assert counted.cells is not None
    for cell, number in found.cells:
        # Twice the margin: once in ten thousand samples by chance; and what this test itself takes in between.
        assert abs(number - dict(counted.cells)[cell]) <= 2 * dict(found.sample.margins)[cell] + 16 * MIB
    memory.close()


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="this kernel has no NUMA")
def test_the_kernel_tells_a_page_that_is_there_from_one_that_is_not() -> None:
    """The real calls on a page that was touched, one that was not, and a process that does not exist."""
    memory = mmap.mmap(-1, 2 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    memory[0] = 1
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    pages = RunningPages()
    nodes = pages.nodes(os.getpid(), [start, start + PAGE, 0])
    assert isinstance(nodes, list)
    assert nodes[0] >= 0
    assert nodes[1] < 0
    assert nodes[2] < 0
    entries = pages.entries(os.getpid(), [start, start + PAGE])
    assert isinstance(entries, list)
    assert entries[0] >> 63
    assert not entries[1] >> 63
    assert not entries[0] & IS_FILE
    assert pages.nodes(1 << 22, [start]) == ESRCH
    assert pages.entries(1 << 22, [start]) == ENOENT
    assert pages.nodes(os.getpid(), []) == []
