"""Pictures of hosts: one scale, every part of every cell, nothing unknown drawn as empty, no text outside its card."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
from hosts import GIB, MIB, cell, domain, host
from hypothesis import given
from hypothesis import strategies as st

import numaprobe
from numaprobe import CellUse, Device, Host
from numaprobe.cli import main
from numaprobe.drawing import draw
from numaprobe.drawing.scene import Scene
from numaprobe.drawing.svg import CHARACTER

FIXTURES = Path(__file__).parents[1] / "fixtures"
MACHINES = sorted(path.parent.name for path in FIXTURES.glob("*/host.tar.gz"))
SVG = "{http://www.w3.org/2000/svg}"


def recorded(name: str) -> Host:
    return numaprobe.probe(recording=FIXTURES / name / "host.tar.gz", caches=True, devices=True)


def use(number: int, total: int, free: int, *domains: tuple[int, int], host: int | None = None) -> CellUse:
    rest = total - free - sum(size for _, size in domains) - (host or 0)
    return CellUse(number, total, free, 0, tuple(domains), host, rest)


def with_memory(*memory: tuple[int | None, int | None]) -> Host:
    found = host([GIB] * len(memory))
    cells = [
        one._replace(memory=one.memory._replace(total=total, free=free))
        for one, (total, free) in zip(found.cells, memory, strict=True)
    ]
    return found._replace(cells=tuple(cells), caches=None, notes=())


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6
    )
)
def test_the_parts_of_a_bar_add_up_to_the_total(figures: list[tuple[int, int, int, int]]) -> None:
    """The parts are the guests', the host's own, what may be either's, and free memory."""
    memory = [(sum(parts) * MIB, parts[0] * MIB) for parts in figures]
    found = with_memory(*memory)
    uses = [
        use(number, total, free, (7, parts[1] * MIB), host=parts[2] * MIB)
        for number, ((total, free), parts) in enumerate(zip(memory, figures, strict=True))
    ]
    scene = Scene(found, (), uses)
    for one, (total, _) in zip(found.cells, memory, strict=True):
        assert sum(part.bytes for part in scene.parts(one) or ()) == total


def test_what_is_not_known_is_a_question_mark_and_not_an_empty_bar() -> None:
    """Total or free memory may be unknown, which must not look like 0."""
    found = with_memory((GIB, None), (None, None), (0, 0), (GIB, GIB))
    lines = draw(found, form="text").splitlines()
    bars = {line.split()[1]: line.split()[2] for line in lines if line.startswith("cell")}
    assert bars["0"] == bars["1"] == "?"
    assert set(bars["3"]) == {"."}
    assert bars["2"] == "0"
    assert "? unknown" in lines[-1]
    assert draw(found).count('class="unknown"') == 2 + 1


def test_all_bars_have_one_scale() -> None:
    """A cell of half the memory has half the length, so cells can be compared by eye."""
    svg = ElementTree.fromstring(draw(with_memory((2 * GIB, GIB), (GIB, GIB))))
    wide = [float(box.attrib["width"]) for box in svg.iter(f"{SVG}rect") if box.get("class") == "outline"]
    assert wide[0] == pytest.approx(2 * wide[1], abs=0.2)
    first, second = draw(with_memory((2 * GIB, GIB), (GIB, GIB)), form="text").splitlines()[0:3:2]
    assert len(first.split()[2]) == pytest.approx(2 * len(second.split()[2]), abs=1)


def test_a_guest_has_one_colour_on_every_cell_and_its_name_once_in_the_legend() -> None:
    """The largest guests come first, and a hostile name cannot break out of its text element."""
    found = with_memory((4 * GIB, GIB), (4 * GIB, GIB))
    guests = [domain("small<&>\x1b", 1)._replace(id=1), domain("large", 1)._replace(id=2)]
    uses = [use(0, 4 * GIB, GIB, (1, MIB), (2, GIB)), use(1, 4 * GIB, GIB, (1, MIB), (2, GIB))]
    svg = draw(found, domains=guests, uses=uses)
    assert svg.count('class="part guest0"') == svg.count('class="part guest1"') == 2 + 1
    assert "small&lt;&amp;&gt;\\x1b" in svg
    assert "\x1b" not in svg
    text = draw(found, domains=guests, uses=uses, form="text")
    assert "a large 2.0 GiB   b small<&>\\x1b 2.0 MiB" in text
    assert "guests: large 1.0 GiB, small&lt;&amp;&gt;\\x1b 1.0 MiB" in svg


@pytest.mark.parametrize("width", [640, 1200])
@pytest.mark.parametrize("name", MACHINES)
def test_no_text_leaves_the_picture_or_meets_another(name: str, width: int) -> None:
    """Every recorded machine is drawn; all characters have one width, so this can be computed without a browser."""
    svg = ElementTree.fromstring(draw(recorded(name), width=width))
    rows: dict[float, list[tuple[float, float, str]]] = {}
    for one in svg.iter(f"{SVG}text"):
        size, words = float(one.attrib["font-size"]), one.text or ""
        long = len(words) * size * CHARACTER
        x = float(one.attrib["x"])
        kinds = one.attrib["class"].split()
        left = x - long if one.get("text-anchor") == "end" else x
        if {"id", "label", "cost"} & set(kinds):
            left = x - long / 2
        assert left >= 0, words
        assert left + long <= width, words
        rows.setdefault(float(one.attrib["y"]), []).append((left, left + long, words))
    for row in rows.values():
        row.sort()
        assert [(a[2], b[2]) for a, b in pairwise(row) if a[1] > b[0] + 0.5] == []


@pytest.mark.parametrize("name", MACHINES)
def test_every_recorded_machine_has_a_picture_of_all_its_cells_and_cpus(name: str) -> None:
    """Each form is tried, and the HTML page refers to nothing outside itself."""
    found = recorded(name)
    svg = ElementTree.fromstring(draw(found))
    titles = [title.text or "" for title in svg.iter(f"{SVG}title")]
    drawn = {int(match[1]) for title in titles if (match := re.match(r"cpu (\d+)", title))}
    assert drawn == {cpu.id for cpu in found.cpus}
    for one in found.cells:
        assert f"cell {one.id}" in {text.text for text in svg.iter(f"{SVG}text")}
    page = draw(found, form="html")
    assert not re.search(r"(?:src|href)\s*=|@import|url\((?!#)|<script", page)
    assert all(len(line) <= 60 for line in draw(found, form="text", width=60).splitlines())


def test_devices_are_named_on_the_card_of_their_cell() -> None:
    """Those of an unknown cell are listed below the cards."""
    found = host([GIB, GIB])._replace(caches=None, notes=())
    devices = (
        Device(address="0000:00:03.0", cell=1, names=(("net", "eth0"), ("infiniband", "mlx5_0"))),
        Device(address="0000:00:04.0", cell=None, names=(("nvme", "nvme0"),)),
    )
    svg = draw(found._replace(devices=devices))
    assert svg.count(">devices: eth0, mlx5_0</text>") == 1
    assert ">devices whose cell is unknown: nvme0</text>" in svg
    lines = draw(found._replace(devices=devices), form="text").splitlines()
    assert [line.split() for line in lines if "eth0" in line] == [["devices", "eth0,", "mlx5_0"]]


def test_asymmetric_distances_are_seen() -> None:
    """Each direction has a square of its own, whose tooltip gives the distance back."""
    svg = draw(recorded("two-nodes-threads"))
    assert "cell 0 to cell 1: 21 (back: 31)" in svg
    assert "cell 1 to cell 0: 31 (back: 21)" in svg


@pytest.mark.parametrize("name", ["offline-cpus", "isolated-cpus"])
def test_offline_and_isolated_cpus_are_told_apart(name: str) -> None:
    """Each kind has a class of its own in the picture, once for a CPU and once for the legend."""
    kind = name.partition("-")[0]
    assert draw(recorded(name)).count(f'class="cpu {kind}"') >= 2


@pytest.mark.parametrize("count", [1, 4, 9, 16, 64])
def test_up_to_64_cells_stay_within_a_screen_wide(count: int) -> None:
    """Cards shrink instead of running off the right edge."""
    svg = draw(host([GIB] * count, cpus=2)._replace(caches=None, notes=()))
    assert svg.count('class="card"') == count


def test_the_command_writes_what_the_file_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ending selects SVG or HTML, and without a file there are bars in the terminal."""
    recording = ["--recording", str(FIXTURES / "two-nodes-threads" / "host.tar.gz")]
    for ending, start in ((".svg", "<svg "), (".html", "<!doctype html>")):
        assert main(["draw", *recording, "-o", str(tmp_path / f"host{ending}")]) == 0
        assert (tmp_path / f"host{ending}").read_text("utf-8").startswith(start)
    assert main(["draw", *recording]) == 0
    assert capsys.readouterr().out.startswith("cell 0  ")
    assert main(["draw", *recording, "-o", str(tmp_path / "host.png")]) == 2
    assert "must end in .svg or .html" in capsys.readouterr().err


def test_a_host_whose_guests_cannot_be_queried_is_drawn_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The picture states that guests are missing and why."""
    recording = FIXTURES / "xen-4.17-two-nodes-hole" / "host.tar.gz"
    assert main(["draw", "--recording", str(recording)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("guests are not shown: ")


@pytest.mark.parametrize(("form", "width"), [("png", None), ("svg", 100), ("text", 20)])
def test_other_forms_and_widths_are_refused(form: str, width: int | None) -> None:
    """A ValueError about the picture is raised before anything is drawn."""
    with pytest.raises(ValueError, match="picture"):
        draw(recorded("one-node"), form=form, width=width)


def test_a_cell_without_a_known_cpu_list_says_so() -> None:
    """An empty row would look like a cell without CPUs."""
    found = host([GIB, GIB])._replace(caches=None, notes=())
    changed = found._replace(cells=(found.cells[0]._replace(cpus=None), cell(1, GIB, [])))
    svg = draw(changed)
    assert "cpus ?" in svg
    assert "no cpus" in svg


def test_the_pictures_of_the_readme_are_of_this_code() -> None:
    """They are generated again and compared, and each one that the README shows is valid SVG."""
    root = FIXTURES.parents[1]
    command = [sys.executable, str(root / "docs" / "pictures.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert (run.returncode, run.stderr) == (0, "")
    for name in re.findall(r"\((docs/pictures/[^)]*)\)", (root / "README.md").read_text("utf-8")):
        assert ElementTree.parse(root / name).getroot().tag == f"{SVG}svg"


def test_the_legend_names_only_what_is_in_the_picture() -> None:
    """A free host needs one entry; more would explain colours that nobody sees."""
    picture = draw(host([4 * GIB] * 2), form="svg")
    assert ">free</text>" in picture
    for absent in ("the host's own", "in use", "the host's or a guest's", "huge pages, unused"):
        assert f">{absent}</text>" not in picture
