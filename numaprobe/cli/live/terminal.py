"""The screen and the keys, by the standard library's curses.

Signals and the reader's thread wake one ``poll`` through a pipe, so that nothing is polled.
"""

from __future__ import annotations

import curses
import locale
import os
import select
import signal
import sys
from contextlib import suppress

from .compose import compose
from .readings import Reader
from .spans import width_of
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Any

    from ... import Sampler
    from .spans import Span

NAMES = {
    "\t": "Tab",
    " ": "Space",
    curses.KEY_UP: "Up",
    curses.KEY_DOWN: "Down",
    curses.KEY_LEFT: "Left",
    curses.KEY_RIGHT: "Right",
    curses.KEY_PPAGE: "PageUp",
    curses.KEY_NPAGE: "PageDown",
    curses.KEY_HOME: "Home",
    curses.KEY_END: "End",
    curses.KEY_F1: "F1",
    curses.KEY_F10: "q",
}
# Milliseconds that the rest of a key's sequence may take after its first byte, an escape.
ESCAPE_DELAY = 50
COLOURS = {
    "used": curses.COLOR_BLUE,
    "pooled": curses.COLOR_MAGENTA,
    "reclaimable": curses.COLOR_YELLOW,
    "free": curses.COLOR_GREEN,
    "heading": curses.COLOR_CYAN,
    "error": curses.COLOR_RED,
}


def can_draw() -> bool:
    """Whether this terminal is known to curses and can move its cursor."""
    try:
        curses.setupterm()
    except curses.error:
        return False
    return bool(curses.tigetstr("cup"))


def run(
    sampler: Sampler,
    host: tuple[str | None, str | None, str],
    *,
    interval: float,
    count: int | None,
    view: str,
    only: int | None,
    guests: dict[str, Any] | None = None,
) -> None:
    """Show a host until q or Ctrl-C, or for ``count`` readings; ``host`` is its root, recording and source,
    ``guests`` arguments of ``numaprobe.domains``.

    The terminal is restored whatever ends it, SIGTERM and SIGHUP included, which then end the process as they would
    have. Raises what the first reading raises; the error of a later one is shown, and the host read again.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wake() -> None:
        # A full pipe wakes as well.
        with suppress(BlockingIOError):
            os.write(writing, b"\0")

    reader = Reader(sampler, host, interval=interval, count=count, view=view, guests=guests, wake=wake)
    ended_by: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended_by.append(number)

    handlers = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
    try:
        with _Screen() as screen:
            reader.start()
            _loop(screen, reader, State(view), reading, ended_by, interval=interval, only=only)
    finally:
        reader.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
    if ended_by:
        signal.signal(ended_by[0], signal.SIG_DFL)
        os.kill(os.getpid(), ended_by[0])


def _loop(
    screen: _Screen, reader: Reader, state: State, pipe: int, ended_by: list[int], *, interval: float, only: int | None
) -> None:
    shown = reader.latest
    waiting = select.poll()
    waiting.register(sys.stdin, select.POLLIN)
    waiting.register(pipe, select.POLLIN)
    while not (state.ended or ended_by):
        if not state.stopped:
            shown = reader.latest
        height, width = screen.size()
        screen.draw(compose(shown, state, width, height, interval=interval, only=only))
        if reader.ended:
            return
        events = dict(waiting.poll())
        if pipe in events:
            os.read(pipe, 4096)
        if events.get(sys.stdin.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            # The terminal has gone without a signal.
            return
        for key in screen.pressed():
            state.key(key)
        if (reader.view, reader.stopped) != (state.view, state.stopped):
            # Only guests have to be read anew for their view.
            early = state.view == "guests" or reader.stopped
            reader.view, reader.stopped = state.view, state.stopped
            if early:
                reader.again()


class _Screen:
    """The terminal in curses' full-screen mode."""

    def __enter__(self) -> _Screen:
        locale.setlocale(locale.LC_ALL, "")
        self._encoding = locale.nl_langinfo(locale.CODESET)
        if hasattr(curses, "set_escdelay"):
            curses.set_escdelay(ESCAPE_DELAY)
        self._window = curses.initscr()
        try:
            curses.noecho()
            curses.cbreak()
            self._window.keypad(True)
            self._window.nodelay(True)
            self._styles = self._made_styles()
            self._hide_cursor()
        except BaseException:
            curses.endwin()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._window.keypad(False)
        curses.nocbreak()
        curses.echo()
        curses.endwin()

    def _hide_cursor(self) -> None:
        try:
            curses.curs_set(0)
        except curses.error:
            return

    def _made_styles(self) -> dict[str, int]:
        """Attributes by the names of styles; NO_COLOR (https://no-color.org) leaves out the colours alone."""
        styles = {"": curses.A_NORMAL, "head": curses.A_BOLD, "chosen": curses.A_REVERSE, "quiet": curses.A_NORMAL}
        styles |= {"heading": curses.A_UNDERLINE, "error": curses.A_BOLD}
        if os.environ.get("NO_COLOR") or not curses.has_colors():
            return styles
        curses.start_color()
        curses.use_default_colors()
        for pair, (name, colour) in enumerate(COLOURS.items(), start=1):
            curses.init_pair(pair, colour, -1)
            styles[name] = styles.get(name, curses.A_NORMAL) | curses.color_pair(pair)
        return styles

    def size(self) -> tuple[int, int]:
        """Lines and columns now; the window follows."""
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        columns, lines = max(columns, 1), max(lines, 1)
        if (lines, columns) != self._window.getmaxyx():
            curses.resizeterm(lines, columns)
            self._window.clear()
        return lines, columns

    def draw(self, lines: Sequence[Sequence[Span]]) -> None:
        self._window.erase()
        for y, line in enumerate(lines):
            x = 0
            for span in line:
                text = span.text.encode(self._encoding, "replace").decode(self._encoding)
                # Writing to the last column of the last line succeeds and fails to move the cursor on.
                with suppress(curses.error):
                    self._window.addstr(y, x, text, self._styles.get(span.style, curses.A_NORMAL))
                x += width_of(text)
        self._window.refresh()

    def pressed(self) -> list[str]:
        """The names of the keys that have been pressed."""
        found: list[str] = []
        while True:
            try:
                key = self._window.get_wch()
            except curses.error:
                return found
            found.append(NAMES.get(key, key if isinstance(key, str) else ""))
