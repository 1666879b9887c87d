"""Facts to a host: the figures of available memory by hand, distances by column, cpus that are claimed twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import Allowed, Host
from numaprobe.linux.facts import AllowedFacts, CpuFacts, HugePageFacts, LinuxFacts, MeminfoFacts, NodeFacts, ZoneFacts
from numaprobe.normalise.linux import from_linux
from numaprobe.normalise.xen import _numbered
from numaprobe.xen.facts import CpuInfo, CpuTopology


def cpus(*online: int, present: Sequence[int] = ()) -> CpuFacts:
    return CpuFacts(
        present=tuple(present) or online,
        online=online,
        possible=None,
        isolated=None,
        nohz_full=None,
        package={},
        die={},
        cluster={},
        core={},
        book={},
        drawer={},
        siblings={},
        capacity={},
        kinds=(),
    )


def node(node_id: int, cpu_ids: tuple[int, ...] | None = (), **more: object) -> NodeFacts:
    fields: dict[str, object] = {"meminfo": None, "distance": None, "huge_pages": (), "accesses": (), "side_caches": ()}
    return NodeFacts(node_id, cpu_ids, **{**fields, **more})


def facts(*nodes: NodeFacts, **more: object) -> LinuxFacts:
    fields: dict[str, object] = {
        "numa": bool(nodes),
        "nodes_online": tuple(n.id for n in nodes),
        "nodes_possible": None,
        "has_cpu": None,
        "has_memory": None,
        "cpus": cpus(0),
        "meminfo": None,
        "huge_pages": (),
        "zones": None,
        "tiers": {},
        "kinds": {},
        "devices": None,
        "allowed": None,
        "notes": (),
    }
    return LinuxFacts(nodes=nodes, **{**fields, **more})


def info(total: int, free: int, active: int = 0, inactive: int = 0, reclaimable: int = 0) -> MeminfoFacts:
    return MeminfoFacts(total, free, active, inactive, reclaimable, None)


# --- available -------------------------------------------------------------------------------------------------


def test_available_memory_by_hand() -> None:
    """Node 0 of a 4 GiB machine with pages of 4 kB, by the kernel's formula for MemAvailable on paper."""
    # Free is 1,000,000 kB. Kept back: DMA 102 + 3870 = 3972 pages, more than its 3840 managed ones, so 3840; DMA32
    # 400 + 1923 = 2323; Normal 600. 6763 pages are 27,052 kB. The low watermarks are 85 + 333 + 500 = 918 pages,
    # 3672 kB. Of 300,000 kB of file pages all but 3672 count, of 5000 kB of slab, whose half is less, 2500.
    # 1,000,000 - 27,052 + 296,328 + 2500 = 1,271,776 kB.
    zones = (
        ZoneFacts(0, "DMA", 85, 102, 3840, (0, 1947, 3870, 3870)),
        ZoneFacts(0, "DMA32", 333, 400, 498_432, (0, 0, 1923, 1923)),
        ZoneFacts(0, "Normal", 500, 600, 492_304, (0, 0, 0, 0)),
        ZoneFacts(0, "Movable", 0, 0, 0, (0, 0, 0, 0)),
        ZoneFacts(0, "Device", None, None, None, ()),
        ZoneFacts(1, "Normal", 10**9, 10**9, 10**9, (0,)),
    )
    total = 4 * (3840 + 498_432 + 492_304)
    memory = (
        from_linux(facts(node(0, meminfo=info(total, 1_000_000, 200_000, 100_000, 5000)), zones=zones)).cell(0).memory
    )
    assert memory.available == 1_271_776 << 10
    assert (memory.total, memory.free) == (total << 10, 1_000_000 << 10)
    assert (memory.total_from, memory.free_from) == ("meminfo MemTotal", "meminfo MemFree")
    assert memory.available_from == "meminfo and zoneinfo"
    assert memory.allocated == (total - 1_000_000) << 10


@pytest.mark.parametrize("page_kb", [4, 16, 64])
@pytest.mark.parametrize("drift", [0.9, 1.0, 1.1])
def test_the_size_of_a_page_is_deduced_even_if_the_figures_are_of_two_moments(page_kb: int, drift: float) -> None:
    """A recording does not say it; zoneinfo's pages and meminfo's kB may drift apart by a tenth meanwhile."""
    managed = 100_000
    zones = (ZoneFacts(0, "Normal", 10, 20, managed, (0,)),)
    total = int(managed * page_kb * drift)
    found = from_linux(facts(node(0, meminfo=info(total, 50_000)), zones=zones)).cell(0).memory.available
    assert found == (50_000 - 20 * page_kb) << 10


def available(memory: MeminfoFacts, *zones: ZoneFacts) -> int | None:
    return from_linux(facts(node(0, meminfo=memory), zones=zones)).cell(0).memory.available


def test_available_memory_is_unknown_without_one_of_its_counters() -> None:
    """Leaving a term out of the formula would give a number that looks right."""
    zone = ZoneFacts(0, "Normal", 10, 20, 25_000, (0,))
    assert available(info(100_000, 50_000), zone) is not None
    for missing in ("free_kb", "active_file_kb", "inactive_file_kb", "reclaimable_kb"):
        assert available(info(100_000, 50_000)._replace(**{missing: None}), zone) is None
    assert available(info(100_000, 50_000)) is None, "no zones of this node"
    assert available(info(100_000, 50_000), zone._replace(managed_pages=None)) is None, "Linux before 3.9"
    assert available(info(100_000, 50_000), zone._replace(managed_pages=3)) is None, "no size of a page fits"
    assert from_linux(facts(node(0, meminfo=info(100_000, 50_000)))).cell(0).memory.available is None, "no zoneinfo"


def test_available_memory_is_never_negative_and_0_where_there_is_none() -> None:
    """A full node below its watermark, and one without memory, have a true 0."""
    assert available(info(100_000, 10), ZoneFacts(0, "Normal", 10, 20_000, 25_000, (0,))) == 0
    assert available(info(0, 0)) == 0


@given(
    st.integers(1, 10**9),
    st.floats(0, 1),
    st.integers(0, 10**8),
    st.integers(0, 10**8),
    st.integers(0, 10**8),
    st.sampled_from([4, 16, 64]),
    st.integers(0, 10**5),
    st.integers(0, 10**5),
)
def test_available_memory_lies_between_nothing_and_all_that_could_be_reclaimed(
    managed: int, share: float, active: int, inactive: int, slab: int, page_kb: int, low: int, high: int
) -> None:
    """For any figures; None only where the parts are more than the whole."""
    free = int(managed * page_kb * share)
    found = available(
        info(managed * page_kb, free, active, inactive, slab), ZoneFacts(0, "Normal", low, high, managed, (0,))
    )
    if found is None:
        assert free + active + inactive + slab > managed * page_kb, "parts that are more than their whole"
        return
    assert 0 <= found <= (free + active + inactive + slab) << 10
    assert found >= (free - min(high, managed) * page_kb) << 10


def test_the_whole_machines_memory_is_the_kernels_own_figure() -> None:
    """Without nodes MemAvailable is about the one cell, so nothing is computed."""
    found = from_linux(
        facts(numa=False, meminfo=MeminfoFacts(4100, 50, 1, 1, 1, 70), huge_pages=(HugePageFacts(2048, 1, 0, 0),))
    )
    assert found.cells[0].memory[:3] == (4100 << 10, 50 << 10, 70 << 10)
    assert found.cells[0].huge_pages == ((2 << 20, 1, 0, 0),)
    assert from_linux(facts(numa=False)).cells[0].memory == (None,) * 9


# --- distances -------------------------------------------------------------------------------------------------


def costs(*nodes: NodeFacts, online: tuple[int, ...] | None) -> list[object]:
    return [cell.distances for cell in from_linux(facts(*nodes, nodes_online=online)).cells]


def test_columns_follow_the_nodes_in_order() -> None:
    """A row has no labels: its second column is node 8 and not node 1."""
    found = costs(
        node(0, distance=(10, 20, 30)),
        node(8, distance=(21, 10, 31)),
        node(250, distance=(32, 22, 10)),
        online=(0, 8, 250),
    )
    assert found == [((0, 10), (8, 20), (250, 30)), ((0, 21), (8, 10), (250, 31)), ((0, 32), (8, 22), (250, 10))]


def test_columns_follow_the_nodes_that_are_there_if_the_list_is_of_another_machine() -> None:
    """Two columns and two directories agree, and the list of three is wrong."""
    assert costs(node(4, distance=(10, 20)), node(5, distance=(20, 10)), online=(0, 1, 2)) == [
        ((4, 10), (5, 20)),
        ((4, 20), (5, 10)),
    ]


def test_columns_follow_the_list_where_only_that_has_their_number() -> None:
    """One directory is left of three, so the list alone can label the columns."""
    assert costs(node(4, distance=(10, 20, 30)), online=(4, 6, 9)) == [((4, 10), (6, 20), (9, 30))]


@pytest.mark.parametrize("row", [(10,), (10, 20, 30), (10, 20, 30, 40, 50)])
def test_a_row_that_fits_neither_is_unknown_and_quoted(row: tuple[int, ...]) -> None:
    """Cutting or padding it would attribute costs to the wrong cells."""
    found = from_linux(facts(node(0), node(1, distance=row), nodes_online=(0, 1)))
    assert found.cell(1).distances is None
    text = f"has {len(row)} columns for 2 nodes: '{' '.join(map(str, row))}'"
    assert [tuple(note) for note in found.notes if "distance" in note.where] == [("node1/distance", text)]


def test_a_row_that_fits_is_not_asked_of_the_other_nodes() -> None:
    """Node 1 has no row, and node 0's is valid nevertheless."""
    assert costs(node(0, distance=(10, 20)), node(1), online=None) == [((0, 10), (1, 20)), None]


# --- cpus ------------------------------------------------------------------------------------------------------


def cell_of(found: Host) -> dict[int, int | None]:
    return {cpu.id: cpu.cell for cpu in found.cpus}


def test_a_cpu_that_two_nodes_claim_is_in_neither_and_the_others_keep_their_cell() -> None:
    """One contradiction is noted once and does not spread to CPUs 0 and 2."""
    found = from_linux(facts(node(0, (0, 1)), node(1, (1, 2)), node(2, (1,)), cpus=cpus(0, 1, 2)))
    assert cell_of(found) == {0: 0, 1: None, 2: 1}
    assert [note.text for note in found.notes] == ["is missing: the cell's memory is unknown"] * 3 + [
        "1 cpus are claimed by more than one node; their cell is unknown"
    ]


def test_a_cells_cpus_are_the_online_ones() -> None:
    """Some kernels list offline CPUs in cpulist too, on which nothing can run."""
    found = from_linux(facts(node(0, (0, 1, 2, 3)), cpus=cpus(0, 2, present=range(5))))
    assert found.cell(0).cpus == (0, 2)
    assert cell_of(found) == {0: 0, 1: 0, 2: 0, 3: 0, 4: None}
    assert [cpu.online for cpu in found.cpus] == [True, False, True, False, False]


def test_what_a_process_may_use_is_cut_with_what_there_is() -> None:
    """Masks of the kernel reach far past the host; an empty answer means no limit known."""
    found = from_linux(facts(node(0), node(4), cpus=cpus(0, 1), allowed=AllowedFacts((1, 2, 3), (4, 5), 1.5, ("x",))))
    assert found.allowed == Allowed(cpus=(1,), cells=(4,), quota=1.5, where=("x",))
    assert from_linux(facts(node(0), allowed=AllowedFacts(None, None, None, ()))).allowed == Allowed()


def test_notes_keep_their_order_and_the_collectors_come_first() -> None:
    """Two probes of an unchanged host have to be equal, notes included."""
    found = from_linux(facts(node(0, None), notes=(("a", "first"), ("b", "second"))))
    assert [note.where for note in found.notes] == ["a", "b", "node0/cpulist", "node0/meminfo"]


def test_rows_of_nothing_but_zeros_number_no_cores() -> None:
    """Xen on Arm reports core 0, socket 0 for every CPU; with APIC ids as a check, zeros are numbers."""
    rows = {cpu: CpuTopology(core=0, socket=0, node=0) for cpu in range(4)}
    assert not _numbered(rows, None)
    assert not _numbered(rows, (CpuInfo(online=True, apic_id=None, acpi_id=None),) * 4)
    assert _numbered(rows, tuple(CpuInfo(online=True, apic_id=cpu, acpi_id=None) for cpu in range(4)))
    assert _numbered({**rows, 4: CpuTopology(core=1, socket=0, node=0)}, None)
    assert _numbered({0: rows[0]}, None)
