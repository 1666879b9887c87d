"""Pictures of hosts that have every rare thing, to the letter, and the limits at which their layout changes.

``pytest tests/drawing/test_pictures_kept.py --rewrite`` writes ``tests/drawing/kept`` anew; look at the pictures and at
the difference before you commit it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host, made

from numaprobe import Cache, CellUse, Cpu, Device, Host, HugePages, Memory, Note, SideCache
from numaprobe.drawing import draw, svg, text
from numaprobe.drawing.scene import Core, Scene
from numaprobe.drawing.style import CSS, guest_class

KEPT = Path(__file__).parent / "kept"


def rich() -> dict[str, Any]:
    """Four cells with guests, kinds of memory, devices, caches, and CPUs of every state."""
    cpus = [
        made(Cpu, id=i, online=True, cell=0, package=0, die=i // 4, core=i // 2, siblings=(i - i % 2, i - i % 2 + 1))
        for i in range(8)
    ]
    cpus[2] = cpus[2]._replace(isolated=True, kind="performance")
    cpus += [
        made(Cpu, id=8, online=True, cell=1, kind="efficiency"),
        made(Cpu, id=9, online=None, cell=1),
        made(Cpu, id=10, online=False),
        made(Cpu, id=11, online=True, isolated=True, package=3),
    ]
    first = cell(0, GIB, range(8), {0: 10, 1: 21, 5: 255, 7: None}, total=4 * GIB)
    cells = (
        first._replace(
            kind="DRAM", tier=1, stand_in=True,
            side_caches=(SideCache(level=1, size=GIB), SideCache(level=2, size=None)),
            huge_pages=(HugePages(2 * MIB, 8, 3, 0), HugePages(GIB, 1, None, 0), HugePages(64 << 10, 0, 0, 0)),
        ),
        cell(1, None, (8, 9), {0: 31, 1: 10, 5: 40, 7: 9}, total=2 * GIB)._replace(tier=2),
        cell(5, 0, (), {0: 255, 1: 40, 5: 10, 7: 1}, total=0),
        cell(7, 2 * GIB, (), None, total=2 * GIB)._replace(cpus=None, kind="CXL"),
    )  # fmt: skip
    found = host([GIB])._replace(
        cells=cells,
        cpus=tuple(cpus),
        caches=(
            Cache(level=3, type="unified", size=MIB, id=0, cpus=(0, 1, 2, 3)),
            Cache(level=3, type="unified", size=MIB, id=1, cpus=(4, 5, 6, 7)),
            Cache(level=2, type="unified", size=MIB, id=0, cpus=(0, 1)),
        ),
        devices=(
            Device("0000:00:01.0", 0, names=(("net", "eth0"), ("net", "e<&>\x1b"))),
            Device("0000:00:02.0", 5, names=(("nvme", "nvme0"),)),
            Device("0000:00:03.0", None, names=(("nvme", "nvme9"),)),
        ),
    )
    guests = [domain("large", 1)._replace(id=1), domain("", 1)._replace(id=22), domain("web<1>", 1)._replace(id=3)]
    uses = [
        CellUse(0, 4 * GIB, GIB, 256 * MIB, ((3, 512 * MIB), (1, GIB), (22, 512 * MIB)), 128 * MIB, 384 * MIB),
        CellUse(7, 2 * GIB, GIB, 0, ((3, MIB), (22, 2 * MIB)), None, GIB - 3 * MIB),
    ]
    cells = (*cells[:3], cells[3]._replace(memory=cells[3].memory._replace(free=GIB)))
    return {"host": found._replace(cells=cells), "domains": guests, "uses": uses}


def small(count: int, *, cpus: int = 4) -> dict[str, Any]:
    """So many cells, each of which is at another distance from the one after it; and a remark."""
    costs = {
        start: [10 if start == end else 11 + (start + 2 * end) % 9 for end in range(count)] for start in range(count)
    }
    found = host([GIB] * count, cpus=cpus, threads=1, distances=costs, offline=[1, *range(4, 66)], isolated=[2])
    lost = [Device(f"0000:00:{number:02x}.0", None, names=(("net", f"eth{number}"),)) for number in range(40)]
    found = found._replace(devices=tuple(lost))
    return {"host": found, "remark": "guests are not shown: " + "why " * 60}


def crowd() -> dict[str, Any]:
    """Eighteen guests in one cell with 150 cores, so that colours and letters are used again and the legend wraps."""
    guests = [domain(f"guest-{number}" * (1 + number % 3), 1)._replace(id=number) for number in range(28)]
    held = tuple((number, (40 - number) * MIB) for number in range(28))
    rest = GIB - sum(size for _, size in held)
    found = host([GIB], cpus=300, threads=2)
    cells = (found.cells[0]._replace(memory=found.cells[0].memory._replace(free=rest - 5 * MIB)),)
    use = CellUse(0, GIB, rest - 5 * MIB, 0, held, None, 0)
    return {"host": found._replace(cells=cells), "domains": guests, "uses": [use], "remark": "a remark"}


def unknown() -> dict[str, Any]:
    """Nothing is known of either cell but that it is there, and no distance between them."""
    cells = tuple(
        made(type(one), id=one.id, memory=made(Memory), huge_pages=(), accesses=(), side_caches=(), distances=((0, None), (1, None)))
        for one in host([GIB, GIB]).cells
    )  # fmt: skip
    return {"host": host([GIB])._replace(cells=cells, cpus=(), notes=(Note("a<b", "c&d"),))}


SCENES = {
    "rich-1200": (rich(), 1200), "rich-640": (rich(), 640), "ten-640": (small(10), 640), "nine-656": (small(9), 656),
    "seventeen-900": (small(17), 900), "seventeen-1200": (small(17, cpus=20), 1200), "forty-640": (small(40), 640),
    "crowd-640": (crowd(), 640), "unknown-700": (unknown(), 700), "one-640": (small(1, cpus=70), 640),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_picture_is_what_was_looked_at_before(name: str, request: pytest.FixtureRequest) -> None:
    """Every position and size counts, because a shape that moves may hide another one."""
    scene, width = SCENES[name]
    lines = draw(**scene, width=width).replace(CSS, "CSS")
    columns = max(40, width // 10)
    # Of a large matrix the first rows are enough.
    heats = [line for line in lines.split("\n") if 'class="heat' in line or 'class="cost' in line]
    lines = "\n".join(line for line in lines.split("\n") if line not in set(heats[100:]) - set(heats[-4:]))
    found = f"{lines}\n{draw(**scene, width=columns, form='text')}"
    expectation = KEPT / f"{name}.txt"
    if request.config.getoption("--rewrite"):
        expectation.parent.mkdir(parents=True, exist_ok=True)
        expectation.write_text(found, "utf-8")
    assert found == expectation.read_text("utf-8")


def test_pictures_have_a_width_of_their_own_where_none_is_given() -> None:
    """1200 pixels, 100 columns; the least are 640 and 40."""
    found = host([GIB])
    assert 'viewBox="0 0 1200 ' in draw(found)
    assert 'viewBox="0 0 1200 ' in draw(found, form="html")
    assert len(draw(found, form="text").partition("\n")[0]) == 100
    assert 'viewBox="0 0 640 ' in draw(found, width=640)
    assert len(draw(found, form="text", width=40).partition("\n")[0]) == 40
    for form, width, words in (("svg", 639, "640 pixels wide, not 639"), ("text", 39, "40 columns wide, not 39")):
        with pytest.raises(ValueError, match=f"a picture must be at least {words}"):
            draw(found, form=form, width=width)
    with pytest.raises(ValueError, match="a picture's format must be one of svg, html, text, not 'png'"):
        draw(found, form="png")


def test_a_page_is_drawn_anew_after_so_many_seconds() -> None:
    """By its script in milliseconds, else by the browser in seconds; without being told to it stays."""
    page = draw(host([GIB]), form="html", reload_after=7)
    assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in page
    assert "}, 7000);" in page
    assert '<p id="stale" hidden></p>' in page
    still = draw(host([GIB]), form="html")
    assert "refresh" not in still
    assert "<script>" not in still
    assert "<ul>" not in still
    noted = draw(unknown()["host"], form="html")
    assert "<ul><li><code>a&lt;b</code> c&amp;d</li></ul></main></body></html>\n" in noted
    assert '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">' in noted


@pytest.mark.parametrize(
    ("cells", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (16, 4), (17, 8), (64, 8)]
)
def test_more_cells_have_smaller_cards(cells: int, columns: int) -> None:
    """The last number of cells for each number of cards in a row."""
    assert svg.columns_for(cells) == columns


@pytest.mark.parametrize(
    ("words", "room", "shown"),
    [("abcdef", 36, "abcdef"), ("abcdefg", 36, "abcde…"), ("abcdef", 35.9, "abcd…"), ("ab", 6, "…"), ("ab", 0, "…"), ("", 0, "")],
)  # fmt: skip
def test_text_is_cut_where_there_is_no_room(words: str, room: float, shown: str) -> None:
    """A character of size 10 is 6 wide."""
    assert svg.fitting(words, room, 10) == shown


@pytest.mark.parametrize(
    ("cores", "threads", "width", "side"),
    [
        (10, 1, 60, 20), (10, 1, 59, 14), (10, 1, 45, 14), (10, 1, 44, 10), (10, 1, 35, 10), (10, 1, 34, 7), (8, 1, 22, 7),
        (8, 1, 21, 5), (5, 2, 57, 20), (5, 2, 56, 14), (1, 1, 6, 20), (1000, 2, 100, 5),
    ],
)  # fmt: skip
def test_squares_are_as_large_as_four_rows_allow(cores: int, threads: int, width: int, side: int) -> None:
    """Each takes a pixel more than its side, and each core three."""
    cpus = tuple(made(Cpu, id=number, online=True) for number in range(threads))
    assert svg._side([Core(threads=cpus, cache=None)] * cores, width) == side


@pytest.mark.parametrize(
    ("cost", "low", "high", "step"), [(10, 10, 10, 0), (10, 10, 50, 0), (14, 10, 50, 0), (16, 10, 50, 1), (25, 10, 50, 2),
                                      (36, 10, 50, 3), (44, 10, 50, 3), (46, 10, 50, 4), (50, 10, 50, 4)],
)  # fmt: skip
def test_distances_have_five_steps(cost: int, low: int, high: int, step: int) -> None:
    """From the least to the greatest."""
    assert svg._heat(cost, low, high) == step


@pytest.mark.parametrize(
    ("known", "kind", "words"),
    [
        ({"online": True}, "cpu", "cpu 4"),
        ({"online": True, "isolated": True}, "cpu isolated", "cpu 4 · isolated"),
        ({"online": False}, "cpu offline", "cpu 4 · offline"),
        ({"online": None}, "cpu unknown", "cpu 4 · online or not is unknown"),
        ({"online": True, "package": 0, "die": 1, "core": 2, "kind": "x"}, "cpu", "cpu 4 · package 0 · die 1 · core 2 · x"),
    ],
)  # fmt: skip
def test_a_cpu_is_said_in_full(known: dict[str, Any], kind: str, words: str) -> None:
    """A core of several threads has them too."""
    cpu = made(Cpu, id=4, **known)
    assert svg._kind(cpu) == kind
    assert svg._words(cpu, Core(threads=(cpu,), cache=None)) == words
    both = svg._words(cpu, Core(threads=(cpu, cpu._replace(id=5)), cache=None))
    assert "threads 4-5" in both


def test_colours_of_guests_are_used_again_after_sixteen() -> None:
    """Eight hues, each in two strengths."""
    assert [guest_class(number) for number in (0, 15, 16, 31, 32)] == [
        "guest0",
        "guest15",
        "guest0",
        "guest15",
        "guest0",
    ]
    assert CSS.count(";opacity:.55}") == 8


def test_a_host_is_one_line() -> None:
    """A total is known if that of every cell is; Xen has its release."""
    assert svg.headline(Scene(host([GIB, GIB]))) == "linux · 2 cells · 16 cpus · 2.0 GiB"
    assert svg.headline(Scene(host([GIB], source="xen", cpus=1, threads=1))) == "xen 4.20.0 · 1 cell · 1 cpu · 1.0 GiB"
    assert svg.headline(Scene(unknown()["host"])) == "linux · 2 cells · cpus unknown · -"


def test_a_box_has_no_negative_width_and_a_title_only_where_there_is_one() -> None:
    """Browsers refuse a rectangle below 0."""
    assert svg.box(1, 2, -3, 4, "k") == '<rect x="1.0" y="2.0" width="0.0" height="4.0" class="k"></rect>'
    assert svg.box(1, 2, 3, 4, "k", "a<b").endswith('class="k"><title>a&lt;b</title></rect>')


def test_lines_of_a_legend_are_filled_to_the_last_column() -> None:
    """Three blanks part the words; a longer word is cut."""
    assert text._wrapped(["a" * 20, "b" * 17], 40) == ["a" * 20 + "   " + "b" * 17]
    assert text._wrapped(["a" * 20, "b" * 18], 40) == ["a" * 20, "b" * 18]
    assert text._wrapped(["a" * 41], 40) == ["a" * 37 + "..."]
    assert text._cut("a" * 40, 40) == "a" * 40


def test_parts_without_bytes_are_not_drawn() -> None:
    """All free, none free, and what contradicts itself."""
    whole = host([GIB]).cells[0]
    scene = Scene(host([GIB]))
    assert [(part.kind, part.bytes) for part in scene.parts(whole) or ()] == [("free", GIB)]
    full = whole._replace(memory=whole.memory._replace(free=0))
    assert [(part.kind, part.bytes, part.label) for part in scene.parts(full) or ()] == [("used", GIB, "in use")]
    for field in ("total", "free"):
        assert scene.parts(whole._replace(memory=whole.memory._replace(**{field: None}))) is None


def test_the_parts_of_a_cell_have_their_own_words_and_order() -> None:
    """Guests by what they hold on the whole host, then the host, what may be either's, huge pages, and free memory."""
    scene = Scene(**rich())
    found = [(part.kind, part.bytes // MIB, part.label, part.colour) for part in scene.parts(scene.host.cells[0]) or ()]
    assert found == [
        ("guest", 1024, "large", 0), ("guest", 512, "22", 1), ("guest", 512, "web<1>", 2),
        ("host", 128, "the host's own", None), ("used", 256, "in use", None),
        ("unattributed", 384, "the host's or a guest's", None), ("pooled", 256, "huge pages, reserved and unused", None),
        ("free", 1024, "free", None),
    ]  # fmt: skip
    assert (scene.colours, scene.scale) == (["large", "22", "web<1>"], 4 * GIB)
    assert scene.held == [GIB, 514 * MIB, 513 * MIB]
    assert scene.guests_of(scene.host.cells[0]) == [("large", GIB), ("web<1>", 512 * MIB), ("22", 512 * MIB)]
    assert scene.guests_of(scene.host.cells[1]) == []
    assert Scene(Host("linux", None, (), (), ())).scale == 0


def test_cores_are_parted_by_the_last_level_cache_of_several() -> None:
    """A cache of one core alone parts nothing; CPUs without one come last."""
    scene = Scene(**rich())
    cores = scene.cores(scene.host.cells[0]) or []
    assert [(core.threads[0].id, len(core.threads), core.cache) for core in cores] == [
        (0, 2, 0),
        (2, 2, 0),
        (4, 2, 1),
        (6, 2, 1),
    ]
    assert [core.threads[0].id for core in scene.elsewhere()] == [10, 11]
    assert scene.cores(scene.host.cells[3]) is None
    own = host([GIB], cpus=4, threads=2)._replace(
        caches=(Cache(3, "unified", MIB, 0, (0, 1)), Cache(3, "unified", MIB, 1, (2, 3)))
    )
    assert [core.cache for core in Scene(own).cores(own.cells[0]) or ()] == [None, None]
    late = host([GIB], cpus=6)._replace(caches=(Cache(3, "unified", MIB, 0, (2, 3, 4)),))
    assert [(core.threads[0].id, core.cache) for core in Scene(late).cores(late.cells[0]) or ()] == [
        (2, 0), (4, 0), (0, None),
    ]  # fmt: skip
    mixed = own._replace(caches=(Cache(3, "unified", MIB, 7, (2, 3)), Cache(3, "unified", MIB, 8, (0, 1, 2))))
    assert [(core.threads[0].id, core.cache) for core in Scene(mixed).cores(mixed.cells[0]) or ()] == [
        (0, 1),
        (2, 1),
    ]
