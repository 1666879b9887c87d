"""Programs on a terminal of their own: a pseudo-terminal, and pyte for what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from types import TracebackType

import pytest

pyte = pytest.importorskip("pyte", reason="pyte (PyPI) emulates the terminals")

PATIENCE = 10.0


class Terminal:
    """``numaprobe`` with these words on a terminal of a size; ``written`` is all that it wrote."""

    def __init__(self, *words: object, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self.process, self._end = pty.fork()
        if self.process == 0:
            # A shell starts background jobs with the signal ignored, and this may be one of their children.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.alarm(120)
            for name in ("LINES", "COLUMNS", "NO_COLOR"):
                os.environ.pop(name, None)
            os.environ.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment})
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execv(sys.executable, [sys.executable, "-m", "numaprobe", *map(str, words)])
        self.modes = termios.tcgetattr(self._end)[3]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            self.status()
        os.close(self._end)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as a window that is dragged does."""
        self._screen.resize(lines, columns)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def text(self) -> list[str]:
        """The lines of the screen without trailing blanks."""
        return [line.rstrip() for line in self._screen.display]

    def colours(self) -> set[str]:
        """The colours of characters on the screen."""
        return {one.fg for row in self._screen.buffer.values() for one in row.values()} | {"default"}

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """The screen once it is as described; an assertion with the last screen if it never is."""
        end = time.monotonic() + PATIENCE
        while not (seen(self.text()) and self._settled() and seen(self.text())):
            assert time.monotonic() < end, "\n".join(self.text())
            if not self._read(0.2) and self.process == 0:
                raise AssertionError("\n".join(["ended:", *self.text()]))
        return self.text()

    def _settled(self) -> bool:
        """Whether all that was being written is on the screen: a terminal may get a screen in several pieces."""
        for _ in range(50):
            if not self._read(0.08):
                break
        return True

    def _read(self, seconds: float) -> bool:
        if not select.select([self._end], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._end, 65536)
        except OSError:
            data = b""
        if not data:
            time.sleep(0.05)
            return False
        self.written += data
        self._stream.feed(data)
        return True

    def is_sane(self) -> bool:
        """Whether the terminal echoes and edits lines, as a shell expects."""
        modes: int = termios.tcgetattr(self._end)[3]
        return bool(modes & termios.ECHO) and bool(modes & termios.ICANON)

    def signal(self, number: int) -> None:
        os.kill(self.process, number)

    def status(self) -> int:
        """The exit status, once it ends."""
        end = time.monotonic() + PATIENCE
        while True:
            self._read(0.05)
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.process = 0
                while self._read(0.1):
                    pass
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, "\n".join(self.text())
