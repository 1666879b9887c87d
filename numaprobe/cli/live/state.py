"""What the keys have chosen, and what they choose next."""

from __future__ import annotations

VIEWS = ("cells", "guests", "rates")
# By view: what its rows can be sorted by, the first one at the start; those of sizes and rates begin with the largest.
SORTS = {
    "cells": ("cell", "free", "available", "allocated"),
    "guests": ("memory", "id", "name"),
    "rates": ("cell", "other", "remote", "miss"),
}
KEYS = (
    ("q", "quit (also Ctrl-C)"),
    ("1 2 3", "cells, guests, rates"),
    ("Tab", "the next view"),
    ("Up Down", "scroll by a row"),
    ("PgUp PgDn", "scroll by a page"),
    ("Home End", "first and last row"),
    ("Left Right", "scroll the cells of guests"),
    ("s", "sort by the next column"),
    ("r", "reverse the order"),
    ("Space", "pause and resume"),
    ("?", "these keys"),
)


class State:
    """One user's choices; ``key`` changes them.

    ``top`` is the first row shown, ``left`` the first cell shown of the guests. Both are brought back into range by
    ``terminal``, which knows the number of rows and the height of the screen (``page`` rows).
    """

    def __init__(self, view: str = "cells") -> None:
        self.view = view
        self.top = self.left = 0
        self.page = 1
        self.help = self.stopped = self.ended = False
        self._sorts = dict.fromkeys(VIEWS, 0)
        self._reversed = dict.fromkeys(VIEWS, False)

    @property
    def sort(self) -> str:
        """The column that the rows of this view are sorted by."""
        return SORTS[self.view][self._sorts[self.view]]

    @property
    def descending(self) -> bool:
        """Whether the largest is first: so it is for sizes and rates unless reversed."""
        return (self.sort not in ("cell", "id", "name")) != self._reversed[self.view]

    def key(self, name: str) -> None:
        """Obey a key; one without a meaning ends the help and does nothing else."""
        helping, self.help = self.help, False
        if name in ("q", "Q"):
            self.ended = True
        elif name in ("?", "h", "F1"):
            self.help = not helping
        elif name in ("1", "2", "3"):
            self._go(VIEWS[int(name) - 1])
        elif name == "Tab":
            self._go(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])
        elif name == "s":
            self._sorts[self.view] = (self._sorts[self.view] + 1) % len(SORTS[self.view])
        elif name == "r":
            self._reversed[self.view] = not self._reversed[self.view]
        elif name == "Space":
            self.stopped = not self.stopped
        elif name in ("Left", "Right"):
            self.left = max(self.left + (1 if name == "Right" else -1), 0)
        else:
            self._scroll(name)

    def _go(self, view: str) -> None:
        if view != self.view:
            self.view, self.top, self.left = view, 0, 0

    def _scroll(self, name: str) -> None:
        steps = {"Up": -1, "Down": 1, "k": -1, "j": 1, "PageUp": -self.page, "PageDown": self.page}
        if name == "Home":
            self.top = 0
        elif name == "End":
            self.top = 1 << 30
        else:
            self.top = max(self.top + steps.get(name, 0), 0)
