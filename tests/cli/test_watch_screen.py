"""``numaprobe watch`` as a person sees it on terminals of several sizes, and what its keys do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trees
from terminals import Terminal

Plant = Callable[[Mapping[str, trees.Content]], Path]

UP, DOWN, RIGHT, LEFT, PAGE_DOWN, PAGE_UP, HOME, END = (
    f"\x1bO{end}" if len(end) == 1 else f"\x1b[{end}" for end in ("A", "B", "C", "D", "6~", "5~", "H", "F")
)
NUMASTAT = "sys/devices/system/node/node{}/numastat"


def numastat(local: int, other: int) -> str:
    return f"numa_hit {local}\nnuma_miss {other}\nnuma_foreign 0\ninterleave_hit 0\nlocal_node {local}\nother_node {other}\n"


@pytest.fixture
def root(plant: Plant) -> Path:
    tree = trees.machine({0: [0], 3: [1]}, memory_kb=2 << 20)
    return plant({**tree, NUMASTAT.format(0): numastat(0, 0), NUMASTAT.format(3): numastat(0, 0)})


@pytest.fixture
def many(plant: Plant) -> Path:
    return plant(trees.machine({cell: [cell] for cell in range(64)}))


def watch(root: Path, *words: str, columns: int = 80, lines: int = 24, **environment: str) -> Terminal:
    return Terminal("watch", "--root", root, "--interval", "0.1", *words, columns=columns, lines=lines, **environment)


def has(*words: str) -> Callable[[list[str]], bool]:
    return lambda screen: all(any(word in line for line in screen) for word in words)


def rows(screen: list[str]) -> list[str]:
    """The ids of the cells in the order of the screen."""
    return [line.split()[0] for line in screen if line.split() and line.split()[0].isdigit() and "1 cells" not in line]


def test_cells_are_bars_with_their_figures(root: Path) -> None:
    """The screen is read back by a terminal emulator: half of the memory is free, so half of the bar is dots."""
    with watch(root) as terminal:
        screen = terminal.until(has("q quit"))
        assert "2 cells · 2.0 GiB of 4.0 GiB free" in screen[0]
        (cell,) = [line for line in screen if line.startswith("   3")]
        assert "1.0 GiB  2.0 GiB" in cell
        bar = cell[cell.index("[") + 1 : cell.index("]")]
        assert bar == bar.count("#") * "#" + bar.count(".") * "."
        assert abs(bar.count("#") - bar.count(".")) <= 1
        assert has("# in use   . free")(screen)
        terminal.press("q")
        assert terminal.status() == 0


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("\x03", 0)])
def test_q_and_ctrl_c_end_it_and_leave_the_terminal_sane(root: Path, key: str, status: int) -> None:
    """The alternate screen is left, so the previous screen is seen again, and lines are edited and echoed."""
    with watch(root) as terminal:
        terminal.until(has("q quit"))
        assert not terminal.is_sane()
        terminal.press(key)
        assert terminal.status() == status
        assert terminal.is_sane()
        assert b"\x1b[?1049h" in terminal.written
        assert b"\x1b[?1049l" in terminal.written.partition(b"\x1b[?1049h")[2]
        assert b"Traceback" not in terminal.written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_it_would_any_program_but_the_terminal_is_restored(root: Path, number: int) -> None:
    """A supervisor sees death by signal, and the user's shell is not left in raw mode."""
    with watch(root) as terminal:
        terminal.until(has("q quit"))
        terminal.signal(number)
        assert terminal.status() == -number
        assert terminal.is_sane()
        assert b"\x1b[?1049l" in terminal.written


def test_it_ends_after_count_updates(root: Path) -> None:
    """For scripts and demonstrations: the screen works without a key being pressed."""
    with watch(root, "--count", "3") as terminal:
        assert terminal.status() == 0
        assert b"1 cells" in terminal.written


def test_free_watch_is_the_same_screen(root: Path) -> None:
    """With --cell 3 it shows just this cell's row."""
    with Terminal("free", "--watch", "--root", root, "--cell", "3") as terminal:
        screen = terminal.until(has("q quit", "1 cells"))
        assert rows(screen) == ["3"]


def test_64_cells_are_scrolled_by_row_and_by_page(many: Path) -> None:
    """The sum, the heading and the position stay on the screen."""
    with watch(many, lines=20) as terminal:
        screen = terminal.until(has(" of 64"))
        page = len(rows(screen))
        assert rows(screen) == [str(cell) for cell in range(page)]
        for key, first in ((DOWN, 1), (UP, 0), (PAGE_DOWN, page - 1), (PAGE_UP, 0), (END, 64 - page), (HOME, 0)):
            terminal.press(key)
            screen = terminal.until(has(f"{first + 1}-{first + page} of 64"))
            assert rows(screen) == [str(cell) for cell in range(first, first + page)]
            assert has("cell  memory", " all ")(screen)


def test_rows_are_sorted_and_reversed(plant: Plant) -> None:
    """Three cells of different free memory in an order that is neither by id nor its reverse."""
    tree = dict(trees.machine({0: [0], 1: [1], 2: [2]}, memory_kb=3 << 20))
    for cell, free in ((0, 2), (1, 3), (2, 1)):
        path = f"sys/devices/system/node/node{cell}/meminfo"
        text = str(tree[path])
        before = next(line for line in text.splitlines() if "MemFree" in line)
        tree[path] = text.replace(before, f"Node {cell} MemFree: {free << 20} kB")
    with watch(plant(tree)) as terminal:
        terminal.until(lambda screen: rows(screen) == ["0", "1", "2"])
        terminal.press("s")
        screen = terminal.until(lambda screen: rows(screen) == ["1", "0", "2"])
        assert has("sorted by free, largest first")(screen)
        terminal.press("r")
        terminal.until(lambda screen: rows(screen) == ["2", "0", "1"])


def test_rates_show_the_remote_share(root: Path) -> None:
    """Rates are pages of numastat per second; without allocations the share is unknown, not 0."""
    with watch(root) as terminal:
        terminal.press("3")
        terminal.until(has("remote", "local/s"))
        # Pages have to be allocated all the time, because an interval without any has no share. Each text is as long
        # as the one before, so that one write replaces it: a file that is cut first may be read while it is empty.
        file = os.open(root / NUMASTAT.format(0), os.O_WRONLY)
        for total in range(100_000, 110_000, 100):
            os.pwrite(file, numastat(3 * total, total).encode(), 0)
            screen = [line.split()[:2] for line in terminal.text()]
            if ["0", "25%"] in screen and ["3", "-"] in screen:
                os.close(file)
                return
            terminal._read(0.1)
        raise AssertionError("\n".join(terminal.text()))


def test_guests_are_read_when_their_view_is_chosen(root: Path) -> None:
    """Reading guests can take long, so the first view does without."""
    with watch(root) as terminal:
        terminal.until(has("q quit"))
        terminal.press("2")
        screen = terminal.until(has("id  name"))
        assert has("unattributed", "total", "4G")(screen)


def test_help_lists_the_keys_and_any_key_ends_it(root: Path) -> None:
    """Users try any key to leave a help screen, so that it must not act as well."""
    with watch(root) as terminal:
        terminal.press("?")
        terminal.until(has("quit (also Ctrl-C)", "PgUp PgDn", "reverse the order"))
        terminal.press("x")
        terminal.until(has("# in use"))


def test_space_stops_and_goes_on(root: Path) -> None:
    """Frozen figures stay while keys still work, longer than the interval."""
    with watch(root) as terminal:
        terminal.press(" ")
        first = terminal.until(has("stopped (Space)"))[0]
        time.sleep(1.2)
        terminal.press(DOWN)
        terminal._read(0.3)
        assert terminal.text()[0] == first
        terminal.press(" ")
        terminal.until(lambda screen: screen[0] != first)


def test_a_window_that_changes_its_size_is_drawn_anew(many: Path) -> None:
    """SIGWINCH to larger and to tiny; the position line shows how many rows fit."""
    with watch(many) as terminal:
        terminal.until(has("1-16 of 64"))
        terminal.resize(120, 50)
        screen = terminal.until(has("1-42 of 64"))
        assert max(map(len, screen)) > 80
        terminal.resize(34, 9)
        screen = terminal.until(lambda screen: len(rows(screen)) >= 3 and has(" of 64")(screen))
        assert all(len(line) <= 34 for line in screen)


@pytest.mark.parametrize(("columns", "lines"), [(20, 5), (80, 24), (200, 60)])
def test_no_word_is_cut_at_any_size(many: Path, columns: int, lines: int) -> None:
    """Every word of a narrow screen is one of a wide one."""
    with watch(many, columns=250, lines=100) as wide:
        whole = wide.until(lambda screen: has("q quit", " all ")(screen) and len(rows(screen)) == 64)
        known = {word for line in whole for word in line.split()} | {"2.0", "1.0"}
    with watch(many, columns=columns, lines=lines) as terminal:
        screen = terminal.until(has(" of 64"))
        for word in " ".join(screen).split():
            assert word in known or word[0] in "[#.]" or word[0].isdigit() or ":" in word, (word, screen)
        assert rows(screen)


def test_colours_unless_no_color_is_set(root: Path) -> None:
    """NO_COLOR is a convention of many programs; the emulator counts the colours it was sent."""
    with watch(root) as terminal:
        terminal.until(has("q quit"))
        assert len(terminal.colours()) > 2
    with watch(root, NO_COLOR="1") as terminal:
        terminal.until(has("q quit"))
        assert terminal.colours() == {"default"}


@pytest.mark.parametrize("term", ["vt100", "linux", "xterm", "screen", "tmux-256color"])
def test_many_kinds_of_terminal(root: Path, term: str) -> None:
    """Their terminfo entries differ in what curses may use, down to a VT100."""
    with watch(root, TERM=term) as terminal:
        screen = terminal.until(has("q quit"))
        assert rows(screen) == ["0", "3"]
        terminal.press("q")
        assert terminal.status() == 0


def test_a_dumb_terminal_gets_lines(root: Path) -> None:
    """As inside Emacs or a CI log, where cursor movements would be rubbish."""
    with Terminal("watch", "--root", root, "--count", "1", TERM="dumb") as terminal:
        assert terminal.status() == 0
        assert b"\x1b" not in terminal.written
        assert b"cell 0  total 2.0 GiB" in terminal.written


def test_an_unknown_terminal_gets_lines(root: Path) -> None:
    """Terminfo has no such entry, as over ssh from a newer terminal, and curses raises."""
    with watch(root, "--count", "1", TERM="unheard-of") as terminal:
        assert terminal.status() == 0
        assert b"cell 3  total 2.0 GiB" in terminal.written
        assert b"\x1b" not in terminal.written


def test_a_host_that_cannot_be_read_is_one_line_and_no_screen(tmp_path: Path) -> None:
    """The error comes before the alternate screen, which would hide it at exit."""
    with watch(tmp_path / "absent") as terminal:
        assert terminal.status() == 1
        assert terminal.written.startswith(b"numaprobe: ")
        assert b"\x1b" not in terminal.written


@pytest.mark.servers
def test_in_tmux(many: Path) -> None:
    """A real terminal program has its own idea of keys and of a window's size."""
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("no tmux here (Debian's tmux): tests/lab/install installs it")
    server = [tmux, "-L", f"numaprobe-{many.parent.name}"]

    def do(*words: str) -> str:
        return subprocess.run([*server, *words], capture_output=True, text=True, check=True, timeout=30).stdout

    def until(word: str) -> str:
        for _ in range(100):
            if word in (screen := do("capture-pane", "-p")):
                return screen
            time.sleep(0.1)
        raise AssertionError(screen)

    command = f"{sys.executable} -m numaprobe watch --root {many}; cat"
    do("-f", "/dev/null", "new-session", "-d", "-x", "90", "-y", "25", command)
    try:
        until("1-17 of 64")
        do("send-keys", "NPage")
        until("17-33 of 64")
        do("resize-window", "-x", "60", "-y", "12")
        assert max(map(len, until("of 64").splitlines())) <= 60
        do("send-keys", "3")
        until("remote")
    finally:
        do("kill-server")
