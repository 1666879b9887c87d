"""What commands write for people, line by line: rare branches, limits and unknown figures."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host, made

from numaprobe import (
    Access,
    Allowed,
    Cache,
    CellUse,
    Cpu,
    Domain,
    Domains,
    Host,
    Hypervisor,
    Note,
    RemoteShare,
    SideCache,
    Traffic,
)  # fmt: skip
from numaprobe.cli import (
    claims,
    diff,
    distances,
    domains,
    layout,
    memory_table,
    place,
    progress,
    show,
    traffic,
    usable_table,
    usage,
)
from numaprobe.cli.screen import Screen
from numaprobe.cli.sizes import parse
from numaprobe.model.difference import Change
from numaprobe.model.domains import PlacementSample
from numaprobe.model.usable import MemoryBlocks, MemoryFailures, Usable, UsablePages
from numaprobe.placement.batch import Batch
from numaprobe.placement.claims import Claim
from numaprobe.wording import amount, count, id_list, size

# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1048524, "1023.9 KiB"), (1048525, "1.0 MiB"),
        (3 << 29, "1.5 GiB"), (1 << 40, "1.0 TiB"), (1 << 50, "1.0 PiB"), (1 << 60, "1.0 EiB"), (5 << 70, "5120.0 EiB"),
        (-2048, "-2.0 KiB"),
    ],
)  # fmt: skip
def test_an_amount_has_the_unit_in_which_it_is_below_1024(value: int | None, shown: str) -> None:
    """Rounded to one decimal, so that 1023.95 is already the next unit."""
    assert amount(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1025, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 20, "1 MiB"),
        ((1 << 30) - 1, "1024.0 MiB"), (1 << 30, "1 GiB"), (1 << 40, "1 TiB"), (2048 << 40, "2048 TiB"),
    ],
)  # fmt: skip
def test_a_size_is_exact_where_that_is_short(value: int, shown: str) -> None:
    """A whole number of its unit has no decimal."""
    assert size(value) == shown


def test_counts_and_ids_are_words() -> None:
    """One, several, none and unknown."""
    assert [count(1, "cpu"), count(0, "cpu"), count(2, "box"), count(1, "box")] == [
        "1 cpu",
        "0 cpus",
        "2 boxes",
        "1 box",
    ]
    assert [id_list([3, 1, 2, 8]), id_list([]), id_list(None), id_list([4, 6])] == ["1-3,8", "", "-", "4,6"]
    assert [layout.id_words(()), layout.id_words(None), layout.id_words([5])] == ["none", "-", "5"]


def test_a_table_is_as_wide_as_its_widest_words() -> None:
    """To the right, and to the left where that is said; no blanks at the end."""
    assert layout.table([["a", "bb", "c"], ["aaa", "b", ""]], left=(1,)) == ["  a  bb  c", "aaa  b"]
    assert layout.table([["a", "b"]], gap="|") == ["a|b"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512M", 512 << 20), ("8G", 8 << 30), ("8Gi", 8 << 30), ("8GiB", 8 << 30), ("8GB", 8 << 30), ("8 g", 8 << 30),
        ("1.5G", 3 << 29), ("0.5k", 512), ("7", 7), ("7B", 7), ("1T", 1 << 40), ("1P", 1 << 50), ("0", 0),
        ("9" * 30, int("9" * 30)),
    ],
)  # fmt: skip
def test_a_size_may_be_written_in_many_ways(text: str, value: int) -> None:
    """Units are binary, and a part of one is a whole number of bytes."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a size"), ("G", "not a size"), ("1X", "not a size"), ("1.G", "not a size"), (".5G", "not a size"),
        ("1.2.3", "not a size"), ("1iB", "not a size"), ("1I", "not a size"), ("²", "not a size"), ("-1", "not a size"),
        ("9" * 31, "not a size"), ("0.3K", "not a whole number of bytes"), ("1.5", "not a whole number of bytes"),
    ],
)  # fmt: skip
def test_another_text_is_no_size(text: str, said: str) -> None:
    """The message quotes it and has examples."""
    with pytest.raises(ValueError, match=f"^{said}: '{text}'") as caught:
        parse(text)
    assert ("(such as 512M, 8G or 8GiB)" in str(caught.value)) is (said == "not a size")


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("argument --moves: invalid int value: 'x'", "--moves must be a whole number, not 'x'"),
        ("argument --seconds: invalid float value: 'x'", "--seconds must be a number, not 'x'"),
        ("argument --it: invalid thing value: 'x'", "--it must be thing, not 'x'"),
        ("argument --format: invalid choice: 'x' (choose from 'a', 'b')", "--format must be one of a, b, not 'x'"),
        ("argument COMMAND: invalid choice: 'shw' (choose from show, free)", "there is no command 'shw'; did you mean show?"),
        ("argument ACTION: invalid choice: 'zzz' (choose from a, b)", "there is no action 'zzz'; actions: a, b"),
        ("argument --for: expected one argument", "--for needs a value"),
        ("argument --for: expected at least one argument", "--for needs a value"),
        ("argument --a: not allowed with argument --b", "--b and --a cannot be combined"),
        ("the following arguments are required: ACTION", "ACTION is missing"),
        ("the following arguments are required: A, B", "A, B are missing"),
        ("one of the arguments --a --b is required", "one of --a, --b is missing"),
        ("unrecognized arguments: word", "unexpected argument: word"),
        ("unrecognized arguments: --jsn", "unknown option: --jsn; did you mean --json?"),
        ("unrecognized arguments: --jsn=7 more", "unknown option: --jsn=7; did you mean --json?"),
        ("unrecognized arguments: --zzz", "unknown option: --zzz"),
        ("unrecognized arguments: --x --y", "unknown options: --x, --y"),
        ("ambiguous option: --c could match --cell, --count", "--c is ambiguous: --cell, --count"),
        ("something else", "something else"),
    ],
)  # fmt: skip
def test_what_argparse_complains_about_is_a_sentence(message: str, sentence: str) -> None:
    """With the offending text, and what was possibly meant."""
    assert usage.plainly(message, ["--json", "--cell"]) == sentence


def test_a_screen_escapes_all_but_the_ends_of_lines() -> None:
    """A name that somebody chose must not move the cursor."""
    out = io.StringIO()
    screen = Screen(out)
    assert screen.write("a\x1b[2J\nb") == 7
    assert out.getvalue() == "a\\x1b[2J\nb"
    assert screen.getvalue() == out.getvalue()


# --- show -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "width", "shown"),
    [
        ((0, 4, 8, 12), 9, "0,4,8,12"), ((0, 4, 8, 12), 8, "0,4,8,12"), ((0, 4, 8, 12), 7, "0-12:4"),
        ((1, 3, 5, 7, 9), 5, "1-9:2"), ((0, 4, 9, 13), 7, "0,4,..."), ((0, 40, 90, 130), 10, "0,40,..."),
        (None, 1, "-"), ((), 4, "none"),
    ],
)  # fmt: skip
def test_a_list_of_cpus_is_folded_or_cut(ids: tuple[int, ...] | None, width: int, shown: str) -> None:
    """Dealt out in turn it has a step, as taskset writes it."""
    assert show._cpu_list(ids, width) == shown


def cpu(number: int, **known: Any) -> Cpu:
    return made(Cpu, id=number, **{"online": True, "cell": 0, **known})


def with_cpus(*cpus: Cpu, **known: Any) -> Host:
    return host([GIB], cpus=4)._replace(cpus=cpus, **known)


@pytest.mark.parametrize(
    ("cpus", "line"),
    [
        ([cpu(0), cpu(1)], "cpus  0-1"),
        ([cpu(0, package=0), cpu(1, package=1)], "cpus  0-1 · 2 packages"),
        ([cpu(0, package=0, die=0), cpu(1, package=0, die=1)], "cpus  0-1 · 1 package · 2 dies"),
        ([cpu(0, package=0, die=0), cpu(1, package=1, die=0)], "cpus  0-1 · 2 packages"),
        ([cpu(0, siblings=(0, 1)), cpu(1, siblings=(0, 1))], "cpus  0-1 · 1 core · 2 threads a core"),
        ([cpu(0, siblings=(0,)), cpu(1, siblings=(1,))], "cpus  0-1 · 2 cores · 1 thread a core"),
        ([cpu(0, siblings=(0,)), cpu(1, siblings=(1, 2)), cpu(2, siblings=(1, 2))],
         "cpus  0-2 · 2 cores · 1 to 2 threads a core"),
        ([cpu(0, siblings=(0,)), cpu(1)], "cpus  0-1"),
        ([cpu(0, package=0), cpu(1)], "cpus  0-1"),
    ],
)  # fmt: skip
def test_the_line_of_cpus_has_what_is_known_of_all(cpus: list[Cpu], line: str) -> None:
    """A count of packages or cores that leaves one out would be wrong."""
    assert show.cpus(with_cpus(*cpus))[0] == line


def test_cpus_of_a_special_state_have_lines_of_their_own() -> None:
    """In the order of what matters most to placement."""
    cells = (cell(0, GIB, (0, 1, 2, 9)),)
    found = with_cpus(
        cpu(0, isolated=True, kind="performance"), cpu(1, nohz_full=True, kind="efficiency"), cpu(2, kind="performance"),
        cpu(3, online=False, isolated=True), cpu(4, online=None), cpu(8, cell=None), cpu(9, cell=None),
        cells=cells, caches=(Cache(1, "data", 32 << 10, 0, (0,)), Cache(1, "data", 32 << 10, 1, (1,)),
                             Cache(1, "instruction", None, 0, (0,)), Cache(2, "unified", MIB, 0, (0,)),
                             Cache(2, "unified", 2 * MIB, 1, (1,))),
    )  # fmt: skip
    assert show.cpus(found) == [
        "cpus  0-2,8-9", "      offline: 3", "      isolated: 0", "      nohz_full: 1", "      in several cells: 9",
        "      in no cell: 8", "      performance: 0,2", "      efficiency: 1",
        "      caches: L1d 2 x 32 KiB · L1i 1 x - · L2 1 x 1 MiB + 1 x 2 MiB",
    ]  # fmt: skip
    unsure = found._replace(cells=(cells[0]._replace(cpus=None),))
    assert "      of unknown cell: 8-9" in show.cpus(unsure)
    assert show.cpus(with_cpus(cpu(0, online=False))) == []


def test_the_headline_says_what_is_known() -> None:
    """Available memory only where it differs from what is free."""
    assert show.headline(host([GIB, GIB], cpus=2)) == "linux · 2 cells · 4 cpus · 2.0 GiB (2.0 GiB free)"
    more = host([GIB], cpus=1, threads=1, available=2 * GIB)
    assert show.headline(more) == "linux · 1 cell · 1 cpu · 1.0 GiB (1.0 GiB free, 2.0 GiB available)"
    xen = host([GIB], source="xen")
    assert show.headline(xen).startswith("xen 4.20.0 · 1 cell · 8 cpus · 1.0 GiB")
    unknown = host([GIB])._replace(cells=(cell(0, None, ()),), cpus=())
    assert show.headline(unknown) == "linux · 1 cell · cpus unknown · memory unknown"


def test_notes_are_shown_up_to_twenty() -> None:
    """The document has all."""
    noted = host([GIB])._replace(notes=tuple(Note("w", f"t{number}") for number in range(22)))
    assert show.notes(noted)[0] == "notes"
    assert show.notes(noted)[20:] == ["  w: t19", "  and 2 more (--json has all)"]
    assert len(show.notes(noted._replace(notes=noted.notes[:20]))) == 21
    assert show.notes(noted._replace(notes=noted.notes[:21]))[-1] == "  and 1 more (--json has all)"
    assert show.notes(host([GIB])) == []


def test_memory_that_is_promised_is_said_by_cell_where_that_is_known() -> None:
    """With one cell there is nothing to part."""

    def of(cells: int, *each: int | None) -> list[str]:
        found = host([GIB] * cells, source="xen", claimed=3 * MIB)
        return show.claims(found._replace(cells=tuple(
            one._replace(memory=one.memory._replace(claimed=value)) for one, value in zip(found.cells, each, strict=True)
        )))  # fmt: skip

    text = "promised to domains and not yet taken: 3.0 MiB of what is free"
    assert of(1, 3 * MIB) == [text]
    assert of(2, MIB, 2 * MIB) == [f"{text} (1.0 MiB on cell 0, 2.0 MiB on cell 1)"]
    assert of(2, 0, 3 * MIB) == [f"{text} (3.0 MiB on cell 1)"]
    assert of(2, None, None) == [text]
    assert show.claims(host([GIB], source="xen", claimed=0)) == []
    assert show.claims(host([GIB])) == []
    assert isinstance(host([GIB], source="xen").hypervisor, Hypervisor)


def test_what_a_process_may_use_is_said_where_it_is_less() -> None:
    """All CPUs and cells are no restriction."""
    found = host([GIB, GIB], cpus=2)

    def of(**known: Any) -> list[str]:
        return show.allowed(found._replace(allowed=made(Allowed, **known)))

    assert of(cpus=(0, 1, 2, 3), cells=(0, 1)) == []
    assert of(cpus=(0, 1), cells=(0,), quota=1.5) == [
        "allowed to this process: cpus 0-1, cells 0, the time of 1.5 cpus"
    ]
    assert of(quota=2.0, partitioned=(3,)) == [
        "allowed to this process: the time of 2 cpus", "reserved by cpuset partitions: cpus 3",
    ]  # fmt: skip
    assert of(partitioned=()) == []
    assert show.allowed(found) == []


def test_kinds_of_memory_share_a_line_where_they_are_alike() -> None:
    """A tier says something only where there are two."""
    fast = (Access(level=1, initiators=(0,), read_latency=80, read_bandwidth=100 << 30),)
    base = host([GIB] * 3)
    cells = tuple(one._replace(kind="DRAM", tier=4, accesses=fast) for one in base.cells)
    assert show.memory_kinds(base._replace(cells=cells)) == [
        "cells 0-2: DRAM memory · read from cell 0 at 80 ns, 100.0 GiB/s"
    ]
    cache = (SideCache(level=1, size=GIB),)
    cells = (cells[0], cells[1]._replace(tier=5, accesses=(Access(level=1, initiators=(0,)),), side_caches=cache),
             cells[2]._replace(kind=None, tier=None, accesses=(Access(level=1, initiators=(0, 1), read_latency=9), *fast)))  # fmt: skip
    assert show.memory_kinds(base._replace(cells=cells)) == [
        "cell 0: DRAM memory · tier 4 · read from cell 0 at 80 ns, 100.0 GiB/s",
        "cell 1: DRAM memory · tier 5 · level 1 memory-side cache of 1.0 GiB",
        "cell 2: read from cell 0-1 at 9 ns",
    ]
    assert show.memory_kinds(base) == []


def test_states_of_memory_are_said_by_cell() -> None:
    """Blocks and failed pages, each where it is known."""
    base = host([GIB] * 4)
    cells = (
        base.cells[0]._replace(blocks=made(MemoryBlocks, size=128 * MIB, total=8, online=7, movable=1)),
        base.cells[1]._replace(blocks=made(MemoryBlocks, total=1), failures=made(MemoryFailures, total=2)),
        base.cells[2]._replace(failures=made(MemoryFailures)),
        base.cells[3]._replace(failures=made(MemoryFailures, total=0)),
    )
    assert show.memory_states(base._replace(cells=cells)) == [
        "cell 0: 8 memory blocks of 128.0 MiB, 7 online, 1 movable",
        "cell 1: 1 memory block, 2 pages with memory errors",
        "cell 3: 0 pages with memory errors",
    ]


def test_columns_of_cells_are_left_out_where_no_cell_has_a_value() -> None:
    """Span, available memory, packages and huge pages."""
    plain = host([GIB, GIB], cpus=2)
    assert show.cells(plain, 100) == [
        "cell  cpus    total     free", "   0  0-1   1.0 GiB  1.0 GiB", "   1  2-3   1.0 GiB  1.0 GiB",
    ]  # fmt: skip
    first = plain.cells[0]._replace(memory=plain.cells[0].memory._replace(span=2 * GIB, available=3 * GIB))
    full = host([GIB, GIB], cpus=2, pages={0: {2 * MIB: 3}, 1: {GIB: 0}})
    cells = (first._replace(huge_pages=full.cells[0].huge_pages), full.cells[1])
    cpus = tuple(one._replace(package=one.id % 2 if one.cell == 0 else None) for one in full.cpus)
    assert show.cells(full._replace(cells=cells, cpus=cpus), 100) == [
        "cell  cpus  package    total     span     free  available  2M pages free",
        "   0  0-1       0-1  1.0 GiB  2.0 GiB  1.0 GiB    3.0 GiB         3 of 3",
        "   1  2-3         -  1.0 GiB        -  1.0 GiB    1.0 GiB              -",
    ]
    lines = show.lines(plain._replace(notes=(Note("a", "b"),)), 100)
    assert lines[:2] == [show.headline(plain), ""]
    assert lines[-3:] == ["", "notes", "  a: b"]


# --- tables of memory ---------------------------------------------------------------------------------------------------


def test_memory_by_cell_has_a_sum_where_there_are_several() -> None:
    """A sum with an unknown part is unknown."""
    found = host({0: GIB, 1: 2 * GIB}, pages={0: {2 * MIB: 5}})
    assert memory_table.lines(found) == [
        "cell    total     free  available  allocated  2M pages free",
        "   0  1.0 GiB  1.0 GiB    1.0 GiB        0 B         5 of 5",
        "   1  2.0 GiB  2.0 GiB    2.0 GiB        0 B              -",
        " all  3.0 GiB  3.0 GiB    3.0 GiB        0 B",
    ]
    assert memory_table.lines(found, 1) == [
        "cell    total     free  available  allocated", "   1  2.0 GiB  2.0 GiB    2.0 GiB        0 B",
    ]  # fmt: skip
    without = host({0: GIB, 1: None}, available=None)
    assert memory_table.lines(without) == [
        "cell    total     free  allocated", "   0  1.0 GiB  1.0 GiB        0 B", "   1        -        -          -",
        " all        -        -          -",
    ]  # fmt: skip
    memory_table.check_cell(1, (0, 1))
    memory_table.check_cell(None, ())
    with pytest.raises(ValueError, match="there is no cell 2; the cells of this host are 0, 1"):
        memory_table.check_cell(2, (0, 1))


def test_what_memory_can_be_used_for_is_a_row_for_each_cell() -> None:
    """Without a figure there is a dash, also for how it is known."""
    usable = made(Usable, ordinary=MIB, ordinary_from="zones", me=2 * MIB,
                  pages=(made(UsablePages, size=2 * MIB, pool=1, now=0, how="buddyinfo"),))  # fmt: skip
    base = host({0: GIB, 1: GIB})
    found = base._replace(cells=(base.cells[0]._replace(usable=usable), base.cells[1]))
    assert usable_table.lines(found, "ordinary") == [
        "cell    total     free  for ordinary memory  how", "   0  1.0 GiB  1.0 GiB              1.0 MiB  zones",
        "   1  1.0 GiB  1.0 GiB                    -  -",
    ]  # fmt: skip
    assert usable_table.lines(found, "me", 0)[1].split()[-3:] == ["2.0", "MiB", "-"]
    assert "for pinned memory" in usable_table.lines(found, "pinned")[0]
    assert usable_table.lines(found, 2 * MIB) == [
        "cell  2M pages in the pool  more now  more at most  how",
        "   0                     1         0             -  buddyinfo", "   1                     -         -             -  -",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"no huge pages of 1G on this host \(sizes: 2M\)"):
        usable_table.lines(found, GIB)
    with pytest.raises(ValueError, match=r"\(sizes: none\)"):
        usable_table.lines(base, GIB)
    assert [usable_table.checked_purpose(text) for text in ("me", "2M")] == ["me", 2 * MIB]
    with pytest.raises(
        ValueError, match=r"--for is ordinary, pinned, me or the size of a huge page \(2M, 1G\), not 'x'"
    ):
        usable_table.checked_purpose("x")


# --- distances ----------------------------------------------------------------------------------------------------------


def far(rows: list[list[Any]], width: int) -> list[str]:
    return distances.distances(host([GIB] * len(rows), distances=dict(enumerate(rows))), width)


def test_distances_are_a_matrix_as_long_as_it_fits() -> None:
    """To the last column; then groups of cells that are alike, then the nearest of each."""
    rows = [[10, 12, 21, 21], [12, 10, 21, 21], [21, 21, 10, 12], [21, 21, 12, 10]]
    whole = ["distances   0   1   2   3", "        0  10  12  21  21", "        1  12  10  21  21",
             "        2  21  21  10  12", "        3  21  21  12  10"]  # fmt: skip
    assert far(rows, 25) == whole
    alike = [[10, *[20] * 9] if n == 0 else [20] * n + [10] + [20] * (9 - n) for n in range(10)]
    note = "(cells alike share a row; a column is named by its first cell)"
    assert far(alike, 28) == ["distances   0  to each other", "      0-9  10             20", note]
    assert far(alike, 27)[:2] == ["distances", "     0  20 to 1-9"]
    assert far(rows, 24) == ["distances", "     0  12 to 1, at most 21", "     1  12 to 0, at most 21",
                             "     2  12 to 3, at most 21", "     3  12 to 2, at most 21"]  # fmt: skip


def test_distances_that_are_unknown_have_a_dash_or_no_line() -> None:
    """One cell has none, and so has a source without them."""
    assert far([[10]], 100) == []
    assert far([[10, None], [20, 10]], 100) == ["distances   0   1", "        0  10   -", "        1  20  10"]
    assert far([[10, None], [20, 10]], 5) == ["distances", "     1  20 to 0"]
    none = host([GIB, GIB])
    assert distances.distances(none._replace(cells=tuple(one._replace(distances=None) for one in none.cells)), 99) == []


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([[10, 20, 20], [20, 10, 20], [20, 20, 10]], [[0, 1, 2]]),
        ([[10, 20, 20], [21, 10, 20], [20, 20, 10]], [[0], [1], [2]]),
        ([[10, 20, 30], [20, 10, 30], [30, 30, 10]], [[0, 1], [2]]),
        ([[10, 20, 30], [20, 11, 30], [30, 30, 10]], [[0], [1], [2]]),
        ([[10, 20, 30], [20, 10, 31], [30, 30, 10]], [[0], [1], [2]]),
        ([[10, 20, 30], [20, 10, 30], [30, 31, 10]], [[0], [1], [2]]),
        ([[10, 12, 20, 20], [12, 10, 20, 20], [20, 20, 10, 20], [20, 20, 20, 10]], [[0, 1], [2, 3]]),
    ],
)
def test_cells_that_cannot_be_distinguished_are_one_group(rows: list[list[int]], groups: list[list[int]]) -> None:
    """Equally far from each other both ways, from and to every other, and with the same distance to themselves."""
    costs: Any = {start: dict(enumerate(row)) for start, row in enumerate(rows)}
    assert distances._groups(costs) == groups


# --- domains ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "."), (1, "1B"), (1023, "1023B"), (1024, "1K"), (1536, "1.5K"), (512 * MIB, "512M"), (3 << 29, "1.5G"),
     (int(10.25 * GIB), "10G"), (int(99.5 * GIB), "100G"), (1000 * MIB, "1000M"), (1 << 60, "1E")],
)  # fmt: skip
def test_bytes_of_a_wide_table_have_three_characters(value: int | None, shown: str) -> None:
    """A dot is 0, a dash unknown."""
    assert domains.short(value) == shown


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [("0123456789", 10, "0123456789"), ("0123456789a", 10, "0123...89a"), ("0123456789abcdef", 12, "01234...cdef")],
)
def test_a_long_name_is_cut_in_its_middle(text: str, length: int, shown: str) -> None:
    """Names often differ in their ends."""
    assert domains._cut(text, length) == shown


def listing(
    *found: Domain, complete: bool = True, notes: tuple[Note, ...] = (), source: str = "linux", **use: Any
) -> list[str]:
    of = host([GIB, GIB], source=source)
    uses = [
        CellUse(n, **{"total": GIB, "free": MIB, "pooled": 0, "domains": (), "host": 0, "unattributed": 0, **use})
        for n in (0, 1)
    ]
    return domains.lines(of, Domains(found, complete=complete, notes=notes), uses, 200)


def test_a_list_of_domains_has_rows_for_what_is_left() -> None:
    """The host's own, what may be either's, huge pages, and all of each cell."""
    one = domain("web", 2, id=7, state="running", memory=3 * MIB, cells=((1, 3 * MIB),), cpus=(0, 1), how="exact")
    found = listing(one, host=2 * MIB, unattributed=MIB, pooled=4 * MIB)
    assert (found[0], found[1]) == ("1 domain on 2 cells", "")
    assert [line.split() for line in found[2:9]] == [
        ["id", "name", "state", "vcpus", "memory", "cell", "0", "1", "cpus", "how"],
        ["7", "web", "running", "2", "3M", ".", "3M", "0-1", "exact"],
        ["free", "2M", "1M", "1M"], ["free", "huge", "pages", "8M", "4M", "4M"], ["host", "itself", "4M", "2M", "2M"],
        ["unattributed", "2M", "1M", "1M"], ["total", "2G", "1G", "1G"],
    ]  # fmt: skip
    assert [line.split()[0] for line in listing(one)[3:]] == ["7", "free", "host", "total"]
    assert ["xen", "itself", ".", ".", "."] in [line.split() for line in listing(one, source="xen")]
    assert [line.split()[:2] for line in listing(one, complete=False, host=None, unattributed=MIB)[4:8]] == [
        ["free", "2M"], ["host", "itself"], ["unattributed", "2M"], ["total", "2G"],
    ]  # fmt: skip


def test_what_a_list_cannot_say_is_said_below() -> None:
    """Why it is incomplete, and what its words mean."""
    hidden = (Note("proc", "hides processes"), Note("b", "c"), Note("d", "e"))
    one = domain("web", 2, memory=MIB)
    start = "incomplete: there may be more than is shown"
    assert listing(complete=False)[-1] == start
    assert listing(complete=False, notes=hidden[:1])[-1] == f"{start}: proc: hides processes"
    assert listing(complete=False, notes=hidden[:2])[-1] == f"{start}: proc: hides processes (and 1 more note: --json)"
    assert listing(complete=False, notes=hidden)[-1] == f"{start}: proc: hides processes (and 2 more notes: --json)"
    assert listing(one)[-1] == "unknown: only root may see where another user's memory is"
    text = "; --debug-key can report it, at a cost (--help)"
    assert listing(one, source="xen")[-1] == f"unknown: this Xen reports no domain's memory by cell{text}"
    denied = (Note("x", "y"), Note("domctl 1", "denied"))
    assert listing(one, source="xen", notes=denied)[-1] == f"unknown: domctl 1: denied{text}"
    sampled = one._replace(how="sampled", sample=made(PlacementSample, margins=((0, MIB // 4), (1, MIB // 2))))
    assert (
        listing(sampled)[-1] == "sampled: an estimate, within the margin (of the domain's memory) on each cell at 95 %"
    )
    assert domains.how_words(sampled) == "sampled +-50.0%"
    assert domains.how_words(sampled._replace(memory=0)) == "sampled"
    assert domains.how_words(one) == "unknown"


def test_remote_accesses_are_said_by_source() -> None:
    """Those that say nothing have a line with the reason below the table."""

    def share(source: str, value: float | None, how: str | None = None) -> RemoteShare:
        return made(RemoteShare, source=source, share=value, how_from=how)

    one = domain("a", 1, how="exact", remote=(share("hint faults", 0.25), share("counters", 0.5)))
    other = domain("b", 1, how="exact", remote=(share("hint faults", None, "no faults"), share("x", None)))
    found = listing(one, other, other)
    assert found[2].split()[-1] == "remote"
    assert found[3].endswith("25% by hint faults, 50% by counters")
    assert found[4].split()[-1] == "-"
    assert found[-3:] == ["remote by hint faults, 2 domains: no faults", "", "remote by x, 2 domains: unknown"]
    assert "remote" not in listing(domain("a", 1, how="exact"))[2]


@pytest.mark.parametrize(
    ("known", "shown"),
    [({"name": "x" * 16}, "x" * 16), ({"name": "x" * 17}, "x" * 7 + "..." + "x" * 6), ({"name": None, "kind": "process"}, "process"),
     ({"name": None, "kind": "group"}, "group"), ({"name": None, "id": 0}, "dom0"), ({"name": None, "id": 3}, "-")],
)  # fmt: skip
def test_a_domain_without_a_name_is_said_by_what_it_is(known: dict[str, Any], shown: str) -> None:
    """The control domain has its usual name."""
    assert domains._name(domain("", 1)._replace(**known)) == shown


def test_a_wide_table_is_parted_by_cells() -> None:
    """As few parts as fit, each with the domain's own columns."""
    of = host([GIB] * 6)
    uses = [CellUse(n, GIB, MIB, 0, (), 0, 0) for n in range(6)]
    found = Domains([domain("web", 2, memory=MIB, how="exact")], complete=True, notes=())
    whole = domains._fitting(of, found, uses, 200)
    assert len(whole) == 1
    width = max(map(len, whole[0]))
    assert domains._fitting(of, found, uses, width) == whole
    assert [part[0].count("cell") for part in domains._fitting(of, found, uses, width - 1)] == [1, 1]
    assert len(domains._fitting(of, found, uses, 1)) == 6


# --- other commands -----------------------------------------------------------------------------------------------------


def test_changes_of_many_cells_share_a_line() -> None:
    """Ids are folded; yes, no, none and unknown are words."""

    def change(what: str, field: str, before: Any, after: Any, kind: str = "changed") -> Change:
        return made(Change, kind=kind, what=what, field=field, before=before, after=after)

    assert diff.lines((
        change("cell 0", "cpus", [0, 1], [0, 1, 2]), change("cell 1", "cpus", [0, 1], [0, 1, 2]),
        change("cpu 3", "isolated", True, False), change("host", "notes", [], None), change("host", "x", ["a"], 1.5),
        change("cpu 9", "", None, None, "added"), change("device eth0", "", None, None, "removed"),
    )) == [
        "cells 0-1 cpus: 0-1 -> 0-2", "cpu 3 isolated: yes -> no", "host notes: none -> -", "host x: ['a'] -> 1.5",
        "added: cpu 9", "removed: device eth0",
    ]  # fmt: skip
    assert diff.lines(()) == ["no difference"]


@pytest.mark.parametrize(
    ("known", "who", "rest"),
    [
        ({"name": "web"}, "web", ""), ({"domain": 7}, "domain 7", ""), ({}, "a guest without a name", ""),
        ({"domain": 0}, "domain 0", ""), ({"cpus": (2, 3)}, "a guest without a name", ", cpus 2-3 alone"),
        ({"floating": 2}, "a guest without a name", ", 2 vcpus on cells 0-1"),
    ],
)  # fmt: skip
def test_a_claim_is_said_in_one_line(known: dict[str, Any], who: str, rest: str) -> None:
    """For whom, of what, and how long it holds."""
    plain = {
        "id": 4,
        "name": None,
        "memory": {0: MIB, 1: GIB},
        "cpus": (),
        "floating": 0,
        "cells": (0, 1),
        "expires": 30.4,
    }
    claim = made(Claim, **{**plain, **known})
    text = f"claim 4: {who}: 1 MiB of cell 0, 1 GiB of cell 1{rest}; for 20 s"
    assert list(claims.lines(claim, 10.0)) == [text]
    assert list(claims.lines(claim._replace(pid=9), 10.0)) == [f"{text} or until process 9 ends"]


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        ({"optimal": True}, ["proven: no plan places more of them, or as many at a lower cost of an access"]),
        ({}, []),
        ({"bound": 3, "cost": 20.0, "least_cost": 20.0}, ["no plan places more than 3"]),
        ({"bound": 2, "cost": 20.0, "least_cost": 20.0}, ["proven: no plan places more of them"]),
        ({"bound": 2, "cost": 20.0, "least_cost": 19.9999995}, ["proven: no plan places more of them"]),
        ({"bound": 2, "cost": 25.0, "least_cost": 20.0}, [
            "proven: no plan places more of them",
            "an access costs these guests 12.5 on average (10: local); no plan reaches less than 10 (20.0% less at most)",
        ]),
        ({"bound": 2, "cost": 25.0, "least_cost": None}, []), ({"bound": 2, "cost": None, "least_cost": 1.0}, []),
    ],
)  # fmt: skip
def test_a_batch_is_compared_with_what_was_proven(known: dict[str, Any], lines: list[str]) -> None:
    """Two of three guests have a place here."""
    batch = made(Batch, plans=("a", "b", None), missed=((2, ("full",)),), **{"optimal": False, **known})
    assert place.summary(batch) == "\n".join(["2 of 3 guests placed", *lines]) + "\n"
    whole = made(Batch, plans=("a", "b"), missed=(), optimal=False, bound=2, cost=20.0, least_cost=20.0)
    assert place.summary(whole) == "2 of 2 guests placed\n"


def test_guests_that_are_left_out_are_named_up_to_ten() -> None:
    """Without a name they have their number in the file."""

    def left(number: int) -> str:
        requests: Any = [made(Batch)] * 12
        requests = [type("R", (), {"name": "web" if i == 0 else None}) for i in range(12)]
        return place._left_out(made(Batch, missed=tuple((i, ()) for i in range(number))), requests)

    assert left(2) == "web, guest 2"
    assert left(10) == "web, " + ", ".join(f"guest {i}" for i in range(2, 11))
    assert left(11) == left(10) + " and 1 more"


def test_notes_about_traffic_are_counted() -> None:
    """The reasons are in the document."""
    assert traffic._notes([]) == []
    assert traffic._notes(["a", "b"]) == ["", "2 figures are unknown: --json has the reasons"]
    assert traffic.lines([Traffic(group="a", cache=3, occupancy=1536.9, total=4096, local=1024)], rates=True)[1].split() == [
        "a", "3", "1.5", "KiB", "4.0", "KiB", "1.0", "KiB", "75%",
    ]  # fmt: skip


def test_groups_of_traffic_stand_to_the_left_and_figures_to_the_right() -> None:
    """As words and numbers do."""
    rows = [Traffic(group="a-long-name", cache=10, occupancy=0), Traffic(group="b", cache=1)]
    assert [line[:17] for line in traffic.lines(rows, rates=False)] == [
        "group        L3  ",
        "a-long-name  10  ",
        "b             1  ",
    ]


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


class Rung:
    """An event that happens after so many waits."""

    def __init__(self, waits: int) -> None:
        self.waits, self.seen = waits, []

    def wait(self, seconds: float) -> bool:
        self.seen.append(seconds)
        self.waits -= 1
        return self.waits < 0

    seen: list[float]


@pytest.mark.parametrize(
    ("waits", "text"),
    [(0, ""), (1, "\r\x1b[Kplacing: 2 s\r\x1b[K"), (2, "\r\x1b[Kplacing: 2 s\r\x1b[Kplacing: 3 s\r\x1b[K")],
)
def test_what_takes_longer_than_a_second_has_a_line(monkeypatch: pytest.MonkeyPatch, waits: int, text: str) -> None:
    """It is drawn anew each second and cleared in the end."""
    out = Terminal()
    times = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    rung: Any = Rung(waits)
    progress._tick("placing", rung)
    assert out.getvalue() == text
    assert rung.seen == [1.0] * (waits + 1)


def test_a_line_of_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends with the block."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress.progress("it") as _:
        pass
    one = progress.progress("it")
    one.__enter__()
    assert one._ticker is None
    monkeypatch.setattr("sys.stderr", None)
    one.__enter__()
    assert one._ticker is None
    monkeypatch.setattr("sys.stderr", Terminal())
    one.__enter__()
    ticker = one._ticker
    assert ticker is not None
    assert ticker.daemon
    one.__exit__(None, None, None)
    assert not ticker.is_alive()
    assert time.monotonic() > 0
