"""Feeds mutated input of one kind for some time; prints JSON of what happened, or the first thing that must not.

    fuzzer.py KIND SECONDS SEED [NUMBER]        with NUMBER only that input, as a failure names it

Memory is bounded by RLIMIT_AS and time by an alarm for each input.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "faults"), str(HERE)]

import answers  # noqa: E402
import mutate  # noqa: E402
import trees  # noqa: E402

import numaprobe  # noqa: E402
from numaprobe import NumaprobeError  # noqa: E402
from numaprobe.cli import main as command_line  # noqa: E402

MIB = 1 << 20
MEMORY = 400 * MIB
TOO_LONG = 5
SHARED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
FIXTURES = HERE.parent / "fixtures"
Try = Callable[[random.Random], str]


class TooLong(BaseException):
    """Not caught by anything that catches errors."""


def rich() -> dict[str, bytes | None]:
    """The machine of tests/faults, without its links."""
    return {
        path: content.encode() if isinstance(content, str) else content
        for path, content in answers.machine().items()
        if not isinstance(content, trees.Link)
    }


def whole(host: numaprobe.Host, **where: Any) -> None:
    """Everything that is made of a host, and what must be so of any."""
    ids = [cell.id for cell in host.cells]
    assert ids == sorted(set(ids)), ids
    for cell in host.cells:
        for figure in (cell.memory.total, cell.memory.free, cell.memory.available):
            assert figure is None or 0 <= figure < 1 << 63, cell
    assert all(note.text.isprintable() for note in host.notes), host.notes
    json.dumps(host.to_dict(), allow_nan=False)
    hash(host)
    found = numaprobe.domains(host, **where)
    uses = numaprobe.account(host, found)
    assert len(uses) == len(host.cells)
    with contextlib.suppress(numaprobe.DoesNotFit):
        plan = numaprobe.place(host, vcpus=2, memory=MIB)
        assert set(plan.cells) <= set(ids), plan


def parsers() -> Try:
    from numaprobe.linux import text
    from numaprobe.linux.guests import command_line as guest
    from numaprobe.linux.guests import numa_maps

    base = rich()
    where = "sys/some/file"
    takes: tuple[Callable[[bytes], object], ...] = (
        lambda content: text.ids(where, content),
        lambda content: text.mask(where, content),
        lambda content: text.number(where, content),
        lambda content: text.numbers(where, content),
        lambda content: text.fields(where, content, (b"MemTotal", b"MemFree")),
        lambda content: text.zones(where, content),
        lambda content: numa_maps.parse(where, content),
        guest.parse,
    )
    files = [content for content in base.values() if content]

    def one(source: random.Random) -> str:
        content = mutate.mutated(source, source.choice(files))
        take = source.choice(takes)
        take(content)
        return "value"

    return one


def in_memory() -> Try:
    """Trees that never touch a disk: thousands a second."""
    from numaprobe.linux.collect import collect
    from numaprobe.linux.guests.collect import collect as collect_guests
    from numaprobe.normalise.domains import from_guests
    from numaprobe.normalise.linux import from_linux

    base = rich()

    def one(source: random.Random) -> str:
        shelf = trees.Shelf(mutate.spoiled(source, base))
        host = from_linux(collect(shelf, devices=True, allowed=True))
        for cell in host.cells:
            total, unused = cell.memory.total, cell.memory.free
            assert unused is None or total is None or 0 <= unused <= total, cell.memory
        assert all(note.text.isprintable() for note in host.notes), host.notes
        json.dumps(host.to_dict(), allow_nan=False)
        numaprobe.account(host, from_guests(collect_guests(shelf), host))
        return "host"

    return one


def directories() -> Try:
    base = rich()

    def one(source: random.Random) -> str:
        with tempfile.TemporaryDirectory(dir=SHARED) as folder:
            root = trees.plant(Path(folder) / "root", mutate.spoiled(source, base))
            whole(numaprobe.probe(root, devices=True, allowed=True), root=root)
            with numaprobe.Sampler(root) as sampler:
                sampler.sample(huge_pages=True, available=True, counters=True)
        return "host"

    return one


def archives() -> Try:
    folder = tempfile.mkdtemp()
    base = rich()
    plain = trees.pack(base)
    packed = [path.read_bytes() for path in sorted(FIXTURES.glob("*/host.tar.gz")) if path.stat().st_size < 60_000]

    def one(source: random.Random) -> str:
        how = source.randrange(4)
        if how == 0:  # compressed bytes
            content = mutate.mutated(source, source.choice(packed))
        elif how == 1:  # headers and contents of members
            content = mutate.mutated(source, plain if source.randrange(2) else gzip.decompress(source.choice(packed)))
        else:  # contents alone
            content = trees.pack(mutate.spoiled(source, base))
        path = Path(folder) / "host.tar.gz"
        path.write_bytes(content)
        whole(numaprobe.probe(recording=path, devices=True), recording=path)
        return "host"

    return one


def spoiled_call(source: random.Random, line: bytes) -> bytes:
    """Another result, another reply, or any bytes in place of a call's line."""
    try:
        call = json.loads(line)
    except ValueError:
        call = None
    # The line may have been spoiled before.
    known = {"reply": str, "result": int, "outs": list}
    if not isinstance(call, dict) or not all(isinstance(call.get(name), kind) for name, kind in known.items()):
        return mutate.mutated(source, line)
    if source.randrange(4) == 0 or not call["reply"] or not all(isinstance(out, str) for out in call["outs"]):
        return mutate.mutated(source, line)
    how = source.randrange(3)
    if how == 0:
        call["result"] = source.choice((0, 1, -1, -22, -38, 255, 1 << 31, call["result"] + 1))
        return json.dumps(call).encode()
    reply = call["reply"].split() if how == 1 or not call["outs"] else call["outs"][0].split()
    if reply:  # words of hexadecimal bytes, "00*16" for sixteen of them
        at = source.randrange(len(reply))
        word = reply[at].partition("*")[0]
        reply[at] = reply[at].replace(word, "".join(source.choice("0123456789abcdef") for _ in word), 1)
    if how == 1 or not call["outs"]:
        call["reply"] = " ".join(reply)
    else:
        call["outs"][0] = " ".join(reply)
    return json.dumps(call).encode()


def transcripts() -> Try:
    """The hypervisor's answers as recordings hold them, spoiled word by word."""
    import tarfile

    folder = Path(tempfile.mkdtemp())
    kept = []
    for path in sorted(FIXTURES.glob("*xen*/host.tar.gz")):
        with tarfile.open(path) as tar:
            members = [(member, tar.extractfile(member)) for member in tar.getmembers()]
            kept.append([(member, file.read() if file else b"") for member, file in members])

    def one(source: random.Random) -> str:
        out = folder / "host.tar"
        with tarfile.open(out, "w") as tar:
            for member, bytes_kept in source.choice(kept):
                content = bytes_kept
                if member.name.endswith("transcript.jsonl"):
                    lines = content.split(b"\n")
                    for _ in range(source.choice((1, 1, 3))):
                        at = source.randrange(1, len(lines))
                        lines[at] = spoiled_call(source, lines[at])
                    content = b"\n".join(lines)
                copy = tarfile.TarInfo(member.name)
                copy.type, copy.linkname, copy.size = member.type, member.linkname, len(content)
                tar.addfile(copy, io.BytesIO(content))
        whole(numaprobe.probe(recording=out), recording=out)
        return "host"

    return one


def commands() -> Try:
    """Plans and batches that come as files, through the command line."""
    folder = Path(tempfile.mkdtemp())
    root = trees.plant(folder / "root", answers.machine())
    plan = numaprobe.place(numaprobe.probe(root), vcpus=2, memory=64 * MIB, name="vm", pinned=True)
    texts = {
        "pin": json.dumps(plan.to_dict()).encode(),
        "place": json.dumps(
            [{"name": "a", "vcpus": 2, "memory": "64M"}, {"name": "b", "vcpus": 1, "memory": 1}]
        ).encode(),
    }

    def one(source: random.Random) -> str:
        what = source.choice(sorted(texts))
        path = folder / "given.json"
        path.write_bytes(mutate.mutated(source, texts[what]))
        words = {
            "pin": ["pin", "--dry-run", "--root", root, "--plan", path, "--", "true"],
            "place": ["place", "--root", root, "--batch", path],
        }[what]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = command_line([str(word) for word in words])
        assert status in (0, 1, 2, 3), status
        assert "Traceback" not in err.getvalue(), err.getvalue()
        assert status in (0, 3) or len(err.getvalue().splitlines()) == 1, err.getvalue()
        return f"status {status}"

    return one


KINDS: dict[str, Callable[[], Try]] = {
    "parsers": parsers,
    "trees in memory": in_memory,
    "trees": directories,
    "archives": archives,
    "transcripts": transcripts,
    "commands": commands,
}


def too_long(*_: object) -> None:
    raise TooLong(f"not done after {TOO_LONG} s of a cpu")


def main(kind: str, seconds: str, seed: str, number: str | None = None) -> dict[str, Any]:
    one = KINDS[kind]()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # whose shadow is larger than any limit
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGPROF, too_long)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest = 0.0
    numbers = iter([int(number)]) if number is not None else iter(range(1 << 60))
    end = time.monotonic() + float(seconds)
    for i in numbers:
        begin = time.monotonic()
        if (begin > end and i > 20) or len(failures) > 20:
            break
        signal.setitimer(signal.ITIMER_PROF, TOO_LONG)  # of a cpu, since the machine may be busy; and of the clock
        signal.alarm(20 * TOO_LONG)
        try:
            outcome = one(random.Random(f"{seed} {kind} {i}"))
        except NumaprobeError as error:
            outcome = type(error).__name__
            line = str(error)
            if len(line.splitlines()) != 1 or len(line) > 1000:
                failures.append(f"{i}: not one short line: {line[:300]!r}")
        except (Exception, TooLong) as error:
            outcome = f"! {type(error).__name__}"
            failures.append(f"{i}: {''.join(traceback.format_exception(error)[-3:])}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
        outcomes[outcome] += 1
        slowest = max(slowest, time.monotonic() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"outcomes": outcomes, "failures": failures, "slowest_s": round(slowest, 2), "peak_mib": peak}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
