"""Memory blocks, settings and counters of resctrl: the last value of each, and one beyond."""

from __future__ import annotations

import pytest
from trees import NODE, Machine, Shelf

from numaprobe.linux import memory_state, policy, resctrl
from numaprobe.linux.source import Source

BLOCKS = "sys/devices/system/memory"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ("8000000\n", 1 << 27), ("1\n", 1), ("f" * 14 + "\n", (1 << 56) - 1), ("f" * 15 + "\n", None), ("0\n", None),
        ("\n", None), ("8000000G\n", None), ("0x8\n", None), ("8000000\n\0", 1 << 27), ("FF\n", None),
    ],
)  # fmt: skip
def test_a_block_has_a_size_in_hexadecimal_digits(content: str, size: int | None) -> None:
    """Of up to 14, and never 0."""
    source = Source(Shelf({f"{BLOCKS}/block_size_bytes": content}))
    assert memory_state.block_size(source) == size
    quoted = content.strip("\n\0")
    said = "not a size in hexadecimal digits" + (f": '{quoted}'" if quoted else "")
    assert source.notes == ([] if size else [(f"{BLOCKS}/block_size_bytes", said)])


def test_a_node_with_more_blocks_than_are_read_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """65,536 are 8 TiB in blocks of 128 MiB: each costs two files."""
    assert memory_state.MAX_BLOCKS == 65536
    tree: Machine = {
        f"{NODE}/node{node}/memory{number}": None for node, many in ((0, 3), (1, 2)) for number in range(many)
    }
    tree |= {f"{BLOCKS}/memory{number}/state": "offline\n" for number in range(3)}
    monkeypatch.setattr(memory_state, "MAX_BLOCKS", 2)
    source = Source(Shelf(tree))
    found = memory_state.blocks(source, (0, 1))
    assert found == {1: memory_state.BlockFacts(size=None, total=2, online=0, movable=0)}
    assert source.notes == [("node0", "has 3 memory blocks, too many to read each of them")]


@pytest.mark.parametrize(("most", "found"), [(2, (1,)), (1, None)])
def test_blocks_that_are_offline_are_looked_for_up_to_a_number(
    most: int, found: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4,096; on a host with more it is unknown."""
    assert policy.MAX_BLOCKS == 4096
    monkeypatch.setattr(policy, "MAX_BLOCKS", most)
    tree: Machine = {f"{BLOCKS}/memory0/state": "online\n", f"{BLOCKS}/memory1/state": "offline\n"}
    assert policy.collect(Source(Shelf(tree))).offline_blocks == found
    assert policy.collect(Source(Shelf({}))).offline_blocks is None
    assert policy.collect(Source(Shelf({f"{BLOCKS}/probe": "", BLOCKS: None}))).offline_blocks is None


@pytest.mark.parametrize(
    ("path", "field", "most"),
    [
        ("proc/sys/kernel/numa_balancing", "numa_balancing", 4),
        ("proc/sys/vm/zone_reclaim_mode", "zone_reclaim_mode", 2147483647),
        ("sys/kernel/mm/ksm/run", "ksm_run", 7),
        ("sys/kernel/mm/ksm/merge_across_nodes", "ksm_merge_across_nodes", 1),
    ],
)
def test_a_setting_has_no_value_that_the_kernel_does_not(path: str, field: str, most: int) -> None:
    """From 0 to the largest that it takes."""
    for value, taken in ((0, True), (most, True), (most + 1, False), (-1, False)):
        source = Source(Shelf({path: f"{value}\n"}))
        assert getattr(policy.collect(source), field) == (value if taken else None)
        assert source.notes == ([] if taken else [(path, f"not a value that the kernel has: '{value}'")])


@pytest.mark.parametrize(("word", "told"), [("true\n", True), ("false\n", False), ("on\n", None)])
def test_demotion_is_a_word(word: str, told: bool | None) -> None:
    """Any other is noted."""
    source = Source(Shelf({"sys/kernel/mm/numa/demotion_enabled": word}))
    assert policy.collect(source).demotion is told
    assert bool(source.notes) is (told is None)


@pytest.mark.parametrize(
    ("name", "value", "told", "note"),
    [
        ("llc_occupancy", "1099511627775", (1099511627775, None, None), None),
        ("llc_occupancy", "1099511627776", (None,) * 3, "more than a cache has: '1099511627776'"),
        ("llc_occupancy", "-1", (None,) * 3, "not a count of bytes: '-1'"),
        ("mbm_total_bytes", "0", (None, 0, None), None),
        ("mbm_total_bytes", "18446744073709551614", (None, 18446744073709551614, None), None),
        ("mbm_total_bytes", "18446744073709551615", (None,) * 3, "not a count of bytes: '18446744073709551615'"),
        ("mbm_local_bytes", "Error", (None,) * 3, "the hardware has no count: 'Error'"),
        ("mbm_local_bytes", "1099511627776", (None, None, 1099511627776), None),
    ],
)
def test_a_counter_is_a_number_of_bytes(name: str, value: str, told: tuple[int | None, ...], note: str | None) -> None:
    """All ones are what hardware has for none; a cache has less than a tebibyte."""
    path = f"sys/fs/resctrl/mon_data/mon_L3_07/{name}"
    source = Source(Shelf({path: f"{value}\n"}))
    (found,) = resctrl.collect(source) or ()
    assert (found.group, found.cache, found.node) == ("", 7, None)
    assert (found.occupancy, found.total, found.local) == told
    assert source.notes == ([] if note is None else [(path, note)])


def test_directories_without_a_number_are_no_caches() -> None:
    """And nodes are in the order of their numbers, whatever the order of their names."""
    data = "sys/fs/resctrl/mon_data"
    names = ("mon_L3_0x", "mon_L3_", "mon_L3_1234567890", "mon_L3_123456789", "mon_L3_00/mon_sub_L3_100",
             "mon_L3_00/mon_sub_L3_11", "mon_L3_00/mon_sub_L3_x", "mon_L3_00/mon_sub_L3_02")  # fmt: skip
    source = Source(Shelf({f"{data}/{name}/llc_occupancy": f"{number}\n" for number, name in enumerate(names)}))
    found = resctrl.collect(source) or ()
    assert [(one.cache, one.node, one.occupancy) for one in found] == [
        (0, 2, 7),
        (0, 11, 5),
        (0, 100, 4),
        (123456789, None, 3),
    ]


def test_resctrl_is_there_where_it_has_data_or_information() -> None:
    """A mounted file system without caches has no rows, and one that is not mounted is None."""
    assert resctrl.collect(Source(Shelf({}))) is None
    assert resctrl.collect(Source(Shelf({"sys/fs/resctrl": None}))) is None
    assert resctrl.collect(Source(Shelf({"sys/fs/resctrl/info/L3/x": "1\n"}))) == ()
    assert resctrl.collect(Source(Shelf({"sys/fs/resctrl/mon_data": None}))) == ()


def test_groups_are_counted_up_to_what_hardware_has() -> None:
    """4,096, the default group among them, and a note says how many there are."""
    tree: Machine = {"sys/fs/resctrl/info": None}
    for number in range(4095):
        tree[f"sys/fs/resctrl/mon_groups/g{number}/mon_data/mon_L3_00"] = None
    source = Source(Shelf(tree))
    assert len(resctrl.collect(source) or ()) == 4095
    assert source.notes == []
    tree["sys/fs/resctrl/mon_groups/h/mon_data/mon_L3_00"] = None
    source = Source(Shelf(tree))
    assert len(resctrl.collect(source) or ()) == 4095
    assert source.notes == [("sys/fs/resctrl", "has 4097 groups; the first 4096 of them are counted")]
