"""The plain options of ``show``, ``free`` and ``domains`` without argparse, whose import costs more than the answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# With a value, by command; what is not listed here is left to argparse, abbreviations and errors too.
HOST = ("root", "recording", "source")
VALUES = {"show": HOST, "free": (*HOST, "cell"), "domains": HOST}
SOURCES = ("auto", "linux", "xen")


class UsageError(Exception):
    """The command line cannot be understood; the text is the line for standard error."""


class PlainOptions:
    """What argparse would give for the same words."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.root: str | None = None
        self.recording: str | None = None
        self.source = "auto"
        self.json = False
        self.cell: int | None = None
        self.purpose: str | None = None
        self.memory_state = False
        self.watch = False
        self.interval: float | None = None
        self.count: int | None = None
        self.pid: list[int] = []
        self.cgroup: list[str] = []
        self.remote = False
        self.sampled: int | None = None
        self.debug_key = False
        self.debug_key_limit = "32G"


def plain_options(words: Sequence[str]) -> Any:
    """The options of a command line that has plain ones only; None for any other."""
    names = VALUES.get(words[0])
    if names is None:
        return None
    options = PlainOptions(words[0])
    rest = iter(words[1:])
    for word in rest:
        if word == "--json":
            options.json = True
            continue
        name, equals, value = word.partition("=")
        name = name[2:] if name.startswith("--") else ""
        if name not in names:
            return None
        if not equals:
            value = next(rest, "")
        if not value or value.startswith("-"):
            return None
        if name == "cell":
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                return None
            options.cell = int(value)
        elif name == "source" and value not in SOURCES:
            return None
        else:
            setattr(options, name, value)
    if options.root is not None and options.recording is not None:
        return None
    return options
