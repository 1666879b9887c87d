"""What README.md and the pages of docs/ contain that is made and not typed; ``cog`` calls this (``nox -s docs``)."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
from pathlib import Path

import numaprobe
from numaprobe.cli import main

ROOT = Path(__file__).parent.parent
WIDTH = "100"


def command(line: str, recording: str | None = None) -> str:
    """A command as a reader would type it, and what it prints on a recorded machine of ``tests/fixtures``."""
    words = line.split()[1:]
    if recording is not None:
        words += ["--recording", str(ROOT / "tests" / "fixtures" / recording / "host.tar.gz")]
    out, err = io.StringIO(), io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    if err.getvalue() or status:
        raise SystemExit(f"{line}: status {status}: {err.getvalue()}")
    return f"```console\n$ {line}\n{out.getvalue().rstrip()}\n```"


def screen(recording: str, columns: int = 96, lines: int = 9) -> str:
    """``numaprobe watch`` on a terminal of this size, showing a recorded machine."""
    from numaprobe.cli.live.compose import compose
    from numaprobe.cli.live.readings import Reading
    from numaprobe.cli.live.state import State
    from numaprobe.cli.sampled import host_of

    path = ROOT / "tests" / "fixtures" / recording / "host.tar.gz"
    with numaprobe.Sampler(recording=path) as sampler:
        sample = sampler.sample(huge_pages=True, available=True, counters=True)
    drawn = compose(Reading(sample=sample, host=host_of(sample)), State(), columns, lines, interval=1.0)
    rows = ["".join(span.text for span in line).rstrip() for line in drawn]
    return "\n".join(["```console", "$ numaprobe watch", *rows, "```"])


def api(*names: str) -> str:
    """The public names with their signatures and docstrings, in the order given."""
    return "\n\n".join(_entry(name) for name in names)


def _entry(name: str) -> str:
    value = getattr(numaprobe, name)
    lines = [f"### {name}", ""]
    if inspect.isclass(value):
        lines += _class(name, value)
    else:
        lines += ["```python", f"numaprobe.{name}{_signature(value)}", "```", "", _text(value)]
    return "\n".join(lines).rstrip()


def _class(name: str, value: type) -> list[str]:
    lines = []
    fields = getattr(value, "_fields", None)
    if fields is not None:
        types = {**value.__annotations__}
        lines += [
            "```python",
            f"class {name}:",
            *(f"    {one}: {types.get(one, 'object')}" for one in fields),
            "```",
            "",
        ]
    elif issubclass(value, Exception):
        lines += [f"Base: {', '.join(f'`{base.__name__}`' for base in value.__bases__)}.", ""]
    elif "__init__" in vars(value):
        lines += ["```python", f"numaprobe.{name}{_signature(value)}", "```", ""]
    lines += [_text(value), ""]
    for attribute, member in vars(value).items():
        if attribute.startswith("_") or attribute in (fields or ()):
            continue
        if isinstance(member, property):
            lines += [f"`.{attribute}`: {_text(member)}", ""]
        elif inspect.isfunction(member) and member.__doc__:
            shown = str(_signature(member)).replace("(self, ", "(").replace("(self)", "()")
            lines += [f"`.{attribute}{shown}`: {_text(member)}", ""]
    return lines


def _signature(value: object) -> str:
    # Annotations are strings here, defaults are not: only the former lose their quotes.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(value)))  # type: ignore[arg-type]


def _text(value: object) -> str:
    text = inspect.getdoc(value)
    if not text:
        raise SystemExit(f"{value!r} has no docstring")
    return text
