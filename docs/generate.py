"""What README.md and the pages of docs/ contain that is made and not typed; ``cog`` calls this (``nox -s docs``)."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import numaprobe
from numaprobe.cli import main

ROOT = Path(__file__).parent.parent
WIDTH = "100"


def machine(name: str) -> str:
    """The recording of a machine of ``tests/fixtures``."""
    return str(ROOT / "tests" / "fixtures" / name / "host.tar.gz")


def command(line: str, recording: str | None = None, *, files: Mapping[str, str] | None = None, most: int = 0) -> str:
    """A command as a reader would type it, and what it prints on a recorded machine of ``tests/fixtures``.

    ``files`` are words of the line that stand for machines. Of more lines than ``most`` the rest is ``...``.
    """
    words = [machine(files[word]) if files and word in files else word for word in shlex.split(line)[1:]]
    if recording is not None:
        words[1:1] = ["--recording", machine(recording)]
    return console(line, printed(words), most)


def console(line: str, text: str, most: int = 0) -> str:
    """A block with a command and its output."""
    lines = text.rstrip().splitlines()
    if most and len(lines) > most:
        lines[most:] = ["..."]
    return "\n".join(["```console", f"$ {line}", *lines, "```"])


def printed(words: Sequence[str]) -> str:
    """What ``numaprobe`` prints on a screen of ``WIDTH`` columns; nothing but success is taken."""
    out, err = io.StringIO(), io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(words))
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    if err.getvalue() or status:
        raise SystemExit(f"{words}: status {status}: {err.getvalue()}")
    return out.getvalue()


def recorded(recording: str) -> str:
    """``numaprobe record`` of a recorded machine, and what is in the archive."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "host.tar.gz"
        printed(["record", "--recording", machine(recording), str(path)])
        with tarfile.open(path) as archive:
            names = archive.getnames()
            manifest = archive.extractfile("numaprobe.json")
            assert manifest is not None
            text = manifest.read().decode()
    listing = "\n".join([*names[:4], "...", *names[-2:]])
    return "\n".join(
        [
            "```console",
            "$ numaprobe record host.tar.gz",
            "$ tar -tzf host.tar.gz",
            listing,
            "$ tar -xzOf host.tar.gz numaprobe.json",
            text.rstrip(),
            "```",
        ]
    )


def scraped(recording: str, *names: str) -> str:
    """``numaprobe serve`` of a recorded machine, started and scraped; the lines of these metrics."""
    command = [sys.executable, "-m", "numaprobe", "serve", "--recording", machine(recording), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stderr is not None
        said = server.stderr.readline().rstrip()
        found = re.search(r"http://\S+:(\d+)\S*", said)
        try:
            if found is None:
                raise SystemExit(f"serve: {said}")
            text = urllib.request.urlopen(found[0], timeout=60).read().decode()
        finally:
            server.terminate()
    shown = [line for line in text.splitlines() if line.startswith(names)]
    return "\n".join(
        [
            "```console",
            "$ numaprobe serve &",
            said.replace(f":{found[1]}", ":9975"),
            f"$ curl -s http://127.0.0.1:9975/metrics | grep -E '^({'|'.join(names)})'",
            *shown,
            "```",
        ]
    )


def file(path: str, language: str) -> str:
    """A file of the project."""
    return f"```{language}\n{(ROOT / path).read_text('utf-8').rstrip()}\n```"


def counted() -> str:
    """``numaprobe traffic`` of two caches with a group for one guest."""
    counters = {
        "mon_data/mon_L3_00": (6291456, 81604378624, 79456894976),
        "mon_data/mon_L3_01": (9437184, 42949672960, 30064771072),
        "mon_groups/db/mon_data/mon_L3_00": (2097152, 21474836480, 21367462298),
        "mon_groups/db/mon_data/mon_L3_01": (262144, 1073741824, 107374182),
    }
    with tempfile.TemporaryDirectory() as folder:
        for place, values in counters.items():
            directory = Path(folder) / "sys/fs/resctrl" / place
            directory.mkdir(parents=True)
            for name, value in zip(("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"), values):
                (directory / name).write_text(f"{value}\n", "utf-8")
        return console("numaprobe traffic --root tree", printed(["traffic", "--root", folder]))


def tried() -> str:
    """``numaprobe fleet try``, with a stand-in for the folder that it makes."""
    text = printed(["fleet", "try"])
    return console("numaprobe fleet try", re.sub(r"(/\S*/numaprobe-fleet)-\w+", "/tmp/numaprobe-fleet-x", text))


def screen(recording: str, columns: int = 96, lines: int = 9) -> str:
    """``numaprobe watch`` on a terminal of this size, showing a recorded machine."""
    from numaprobe.cli.live.compose import compose
    from numaprobe.cli.live.readings import Reading
    from numaprobe.cli.live.state import State
    from numaprobe.cli.sampled import host_of

    with numaprobe.Sampler(recording=machine(recording)) as sampler:
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
