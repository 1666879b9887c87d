"""numainfo asked again and again in C: figures by cell, what is noticed, threads and forks, against the shim."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

import fake_xen
import pytest
from fake_xen import GIB, MIB, FakeXen, two_node_pc
from hypothesis import given
from hypothesis import strategies as st
from privcmd import Run

from numaprobe._fast import MeminfoTable, NodeRows
from numaprobe.sampling.xen import words_of_shape
from numaprobe.xen.sysctl import Sysctl

ABSENT = 0xFFFFFFFF
ALL_ONES = (1 << 64) - 1

# Two nodes, of which the second is cell 7; every look is due unless ``every`` is set.
SETTING_UP = """
from numaprobe import _fast
from numaprobe._fast import MeminfoTable, NodeRows, Numainfo

def sysctl(command, *words):
    return pack(f"<II{len(words)}I", command, 0x15, *words).ljust(136, b"\\0")

def asking(xen, every=0, cpus=8, rows=None, capacity=6):
    rows = rows or NodeRows((0, 7), (0, 1), (1 << 30, 2 << 30))
    wanted, mask = (pack("<16xI", word).ljust(136, b"\\0") for word in (cpus, 0xFFFFFFFF))
    return Numainfo(xen, rows, sysctl(17, capacity), sysctl(3), wanted, mask, every)

FREE = {0: 1 << 29, 7: 1 << 28}
CHANGED = (_fast.CHANGED, -1, 0)

def why(found):
    return (found.reason, found.position, found.error)

def figures(found):
    return [row[:2] for row in found.rows()]
"""


def test_free_bytes_are_by_cell_and_figures_in_the_order_of_cells(run: Run) -> None:
    """A cell's number is not its row's; figures are the span and what of it is free."""
    run(
        SETTING_UP
        + """
source = asking(Privcmd())
assert source.free() == FREE
found = source.read(MeminfoTable, "origin")
assert type(found) is MeminfoTable and found.origin == "origin"
assert found.rows() == [(1 << 30, 1 << 29, None, None, None), (2 << 30, 1 << 28, None, None, None)]
"""
    )


def test_it_says_the_same_as_the_call_that_python_decodes(run: Run) -> None:
    """The path in C and the one through the port decode their replies by the same rows."""
    run(
        SETTING_UP
        + """
xen = Privcmd()
rows = NodeRows((1, 0), (1, 0), (1 << 30, 2 << 30))
_, _, (answer, _) = numainfo(xen, 6)
source = asking(xen, rows=rows)
assert source.free() == rows.free(answer)
assert source.read(MeminfoTable, None).rows() == rows.figures(answer).rows()
"""
    )


def test_a_sample_is_dated_before_it_is_asked_for(run: Run) -> None:
    """Both clocks are Python's, and they are read before the hypercall is made."""
    run(
        SETTING_UP
        + """
import time
source = asking(Privcmd(), every=1 << 40)
for _ in range(3):
    before = time.monotonic_ns()
    wall = time.time_ns()
    found = source.read(MeminfoTable, None)
    assert before <= found.monotonic <= time.monotonic_ns()
    assert abs(found.wall - wall) < 10_000_000
"""
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [("SHIM_NODES", 1), ("SHIM_NODES", 3), ("SHIM_SPAN", 3 << 30), ("SHIM_SPAN", ABSENT)],
    ids=["a node fewer", "a node more", "another span", "a node absent"],
)
def test_nodes_and_memory_that_come_or_go_give_no_figures(run: Run, setting: str, value: int) -> None:
    """The reply to numainfo itself shows the change at once, in both forms of the query."""
    run(
        SETTING_UP
        + f"""
source = asking(Privcmd(), every=1 << 60)
assert len(source.read(MeminfoTable, None).rows()) == 2
os.environ["{setting}"] = "{value}"
assert why(source.free()) == CHANGED
assert why(source.read(MeminfoTable, None)) == CHANGED
del os.environ["{setting}"]
assert source.free() == FREE
"""
    )


def test_a_cpu_that_goes_is_seen_by_the_next_sample_when_a_look_is_due(run: Run) -> None:
    """Only physinfo counts CPUs; free() reports none of them and therefore never queries it."""
    run(
        SETTING_UP
        + """
source = asking(Privcmd())
assert figures(source.read(MeminfoTable, None)) == figures(source.read(MeminfoTable, None))
os.environ["SHIM_CPUS"] = "7"
assert why(source.read(MeminfoTable, None)) == CHANGED
assert source.free() == FREE
"""
    )


def test_physinfo_is_looked_at_for_the_first_sample_and_then_once_in_a_while(run: Run) -> None:
    """A shape may be older than its first sample; further samples without pause cost one hypercall each."""
    run(
        SETTING_UP
        + """
import time
os.environ["SHIM_CPUS"] = "7"
assert why(asking(Privcmd(), every=1 << 60).read(MeminfoTable, None)) == CHANGED
source = asking(Privcmd(), cpus=7, every=100_000_000)
source.read(MeminfoTable, None)
os.environ["SHIM_CPUS"] = "6"
assert figures(source.read(MeminfoTable, None))
end = time.monotonic() + 20
while isinstance(found := source.read(MeminfoTable, None), MeminfoTable) and time.monotonic() < end:
    pass
assert why(found) == CHANGED
"""
    )


@pytest.mark.parametrize("code", [1, 13, 38, 110])
def test_what_xen_refused_is_told_with_its_errno(run: Run, code: int) -> None:
    """It is also reported which of the two hypercalls was refused."""
    run(
        SETTING_UP
        + f"""
xen = Privcmd()
often, seldom = asking(xen), asking(xen, every=1 << 60)
seldom.read(MeminfoTable, None)
os.environ["SHIM_ERRNO"] = "{code}"
assert why(often.read(MeminfoTable, None)) == (_fast.UNREADABLE, 1, {code})
assert why(seldom.read(MeminfoTable, None)) == why(often.free()) == (_fast.UNREADABLE, 0, {code})
"""
    )


def test_a_passing_fault_is_tried_again(run: Run, request: pytest.FixtureRequest) -> None:
    """As for any call, only pages that the kernel may take away for a moment are worth another attempt."""
    if "locked" in request.node.callspec.id:
        run(SETTING_UP + "assert asking(Privcmd()).free() == FREE", SHIM_FAULTS=3)
    else:
        run(SETTING_UP + "assert asking(Privcmd()).free().error == errno.EFAULT", SHIM_FAULTS=1)


def test_threads_share_it_and_its_port(run: Run) -> None:
    """Calls take turns on the port's pages, whoever makes them; a slow one does not stop Python."""
    run(
        SETTING_UP
        + """
import time
xen = Privcmd()
source, other = asking(xen), asking(xen, rows=NodeRows((3,), (1,), (1 << 30, 2 << 30)))
failed = []

def ask():
    try:
        for _ in range(15):
            assert source.free() == FREE
            assert figures(source.read(MeminfoTable, None))[1] == (2 << 30, 1 << 28)
            assert other.free() == {3: 1 << 28}
            assert changeset(xen) == str(os.getpid())
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
turns = 0
while any(thread.is_alive() for thread in threads):
    turns += 1
    time.sleep(0)
assert failed == []
assert turns > 100, turns
""",
        SHIM_SLEEP_US=2000,
    )


def test_a_forked_child_goes_on_with_pages_of_its_own(run: Run) -> None:
    """It may do so even if another thread of the parent was in the middle of a call."""
    run(
        SETTING_UP
        + """
import time
source = asking(Privcmd())
thread = threading.Thread(target=source.free)
thread.start()
wait_for_a_call()
child = os.fork()
if child == 0:
    ok = source.free() == FREE and len(source.read(MeminfoTable, None).rows()) == 2
    os._exit(0 if ok else 1)
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert source.free() == FREE
""",
        SHIM_SLEEP_US=100000,
    )


def test_after_close_there_is_no_call(run: Run) -> None:
    """The descriptor's number may be another file's by then."""
    run(
        SETTING_UP
        + """
xen = Privcmd()
source = asking(xen)
source.free()
xen.close()
for ask in (source.free, lambda: source.read(MeminfoTable, None)):
    assert "closed" in str(raises(ValueError, ask))
"""
    )


def test_many_nodes_need_more_pages_than_are_mapped_at_first(run: Run) -> None:
    """Room is requested with every call, and 65 cells are more than fit on the stack."""
    run(
        SETTING_UP
        + """
few = NodeRows((0, 7), (0, 1), (1 << 30, 2 << 30))
source = asking(Privcmd(), rows=few, capacity=100_000)
assert source.free() == FREE
assert figures(source.read(MeminfoTable, None))
many = NodeRows(tuple(range(65)), (1,) * 65, (1 << 30, 2 << 30))
assert asking(Privcmd(), rows=many).free() == dict.fromkeys(range(65), 1 << 28)
"""
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "sysctl(17, 1), sysctl(3), bytes(136), bytes(136)",  # room for one row of two
        "sysctl(17, 0xFFFFFFFF), sysctl(3), bytes(136), bytes(136)",
        "sysctl(3, 6), sysctl(3), bytes(136), bytes(136)",
        "sysctl(17, 6), sysctl(7), bytes(136), bytes(136)",  # debug_keys
        "sysctl(17, 6, 0, 4096), sysctl(3), bytes(136), bytes(136)",  # a pointer of the caller's own
        "sysctl(17, 6, 0, 0, 0, 4096), sysctl(3), bytes(136), bytes(136)",  # for the distances
        "sysctl(17, 6)[:-1], sysctl(3), bytes(136), bytes(136)",
        "sysctl(17, 6), sysctl(3), bytes(135), bytes(136)",
        "sysctl(17, 6), sysctl(3), bytes(136), bytes(137)",
    ],
)
def test_nothing_but_numainfo_and_physinfo_is_taken(run: Run, arguments: str) -> None:
    """Nor is anything that would make Xen write outside the port's pages."""
    code = f"raises(ValueError, Numainfo, Privcmd(), NodeRows((0,), (0,), (1, 2)), {arguments}, 0)"
    run(SETTING_UP + code, SHIM_ERRNO=5)


# --- without a device ---------------------------------------------------------------------------------------------

words = st.integers(0, ALL_ONES)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=20), st.data())
def test_any_rows_are_taken_by_cell(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    """Rows packed by hand are the oracle; all ones mean that a size is unknown."""
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True))
    cells = tuple(100 + at for at in chosen)
    spans = tuple(span for span, _ in rows)
    content = b"".join(pack("<QQ", *row) for row in rows) + b"beyond"
    nodes = NodeRows(cells, tuple(chosen), spans)
    assert nodes.free(content) == {
        100 + at: None if free > span else free for at in chosen for span, free in [rows[at]]
    }
    found = nodes.figures(content, MeminfoTable, None, 5, 6)
    assert found is not None
    assert (found.wall, found.monotonic) == (5, 6)
    known = [tuple(None if word == ALL_ONES else word for word in rows[at]) for at in chosen]
    assert [row[:2] for row in found.rows()] == known
    changed = data.draw(st.integers(0, len(rows) - 1))
    other = (*spans[:changed], spans[changed] ^ 1, *spans[changed + 1 :])
    assert NodeRows(cells, tuple(chosen), other).figures(content, MeminfoTable) is None
    assert NodeRows(cells, tuple(chosen), other).free(content) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: NodeRows((0, 1), (0,), (1, 2)),
        lambda: NodeRows((0,), (2,), (1, 2)),
        lambda: NodeRows((0,), (-1,), (1, 2)),
        lambda: NodeRows((0,), (0,), (1, 2)).figures(bytes(31), MeminfoTable),
        lambda: NodeRows((0,), (0,), (1, 2)).free(bytes(31)),
    ],
)
def test_rows_that_are_not_there_are_refused(make: Callable[[], object]) -> None:
    """Rows past the array, negative ones and a reply one byte short would make C read beyond its buffer."""
    with pytest.raises(ValueError):
        make()


def physinfo(xen: FakeXen) -> bytes:
    op = pack("<II", 3, xen.versions[0]).ljust(136, b"\0")
    return xen.call(35, 3, op)[1]


def agrees(reply: bytes, wanted: bytes, mask: bytes) -> bool:
    return all((found ^ want) & bits == 0 for found, want, bits in zip(reply, wanted, mask, strict=True))


@pytest.mark.parametrize("release", list(fake_xen.VERSIONS))
def test_what_is_compared_of_physinfo_is_where_that_release_has_it(release: str) -> None:
    """CPUs, nodes and all pages make the shape and free pages do not; the fake hypervisor's offsets are its own."""
    xen = two_node_pc(release)
    version = xen.versions[0]
    wanted, mask = words_of_shape(Sysctl(xen, version).physinfo(), version)
    assert agrees(physinfo(xen), wanted, mask)
    xen.free_pages -= 1
    xen.nodes[0].memfree = MIB
    assert agrees(physinfo(xen), wanted, mask)
    for change in ("total_pages", "max_cpu_id", "max_node_id"):
        other = two_node_pc(release)
        setattr(other, change, getattr(other, change) + 1)
        assert not agrees(physinfo(other), wanted, mask), change
    xen.cpus[7].online = False
    assert not agrees(physinfo(xen), wanted, mask)
    fewer = two_node_pc(release)
    fewer.nodes[9] = fake_xen.FakeNode(GIB, GIB)
    assert not agrees(physinfo(fewer), wanted, mask)
