"""``python -m benchmarks.sampling``: the cost of sampling every node's memory, next to plain C, libnuma and psutil.

Everything is measured in one run and by turns; C peers time themselves. Quote ratios. In a tree of files on a tmpfs no
kernel formats text, so that a read costs a tenth of a real one: those tables show growth, not what a machine would.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from numaprobe import Sampler

from . import report, trees
from .discovery import Contender, by_turns, timed
from .peers import Missing, Peer, build

RESULTS = Path(__file__).parent / "sampling.md"
SHAPES = (trees.Shape(16, 64), trees.Shape(64, 128))
PROCESSES = (("numactl", "-H"), ("numastat", "-m"), ("lscpu",), ("lstopo-no-graphics",), ("virsh", "freecell", "--all"))

SERVERS = {
    "a scrape of node_exporter, `meminfo_numa` alone": (
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.meminfo_numa",
        "--web.disable-exporter-metrics",
        "--web.listen-address={address}",
    ),
}


def python_pread(root: Path) -> Callable[[], object]:
    """What a careful person writes without an extension: descriptors kept, two fields sliced out."""
    directory = root / "sys/devices/system/node"
    files = [os.open(path / "meminfo", os.O_RDONLY) for path in directory.glob("node[0-9]*")]

    def once() -> object:
        found = []
        for file in files:
            text = os.pread(file, 4096, 0)
            total = text.index(b"MemTotal:") + 9
            free = text.index(b"MemFree:", total) + 8
            found.append((int(text[total : text.index(b"k", total)]), int(text[free : text.index(b"k", free)])))
        return found

    return once


def libnuma_ctypes() -> Callable[[], object]:
    name = ctypes.util.find_library("numa")
    if name is None:
        raise Missing("libnuma through ctypes: no libnuma")
    library = ctypes.CDLL(name)
    if library.numa_available() < 0:
        raise Missing("libnuma through ctypes: the kernel has no nodes")
    size = library.numa_node_size64
    size.restype = ctypes.c_longlong
    size.argtypes = (ctypes.c_int, ctypes.POINTER(ctypes.c_longlong))
    nodes = range(library.numa_max_node() + 1)
    free = ctypes.c_longlong()
    return lambda: [(size(node, ctypes.byref(free)), free.value) for node in nodes]


def psutil_whole() -> Callable[[], object]:
    try:
        import psutil
    except ImportError:
        raise Missing("psutil: not installed") from None
    return psutil.virtual_memory


def process(command: tuple[str, ...]) -> Callable[[], object]:
    if shutil.which(command[0]) is None:
        raise Missing(f"{' '.join(command)}: not installed")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Missing(f"{' '.join(command)}: fails here")
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


@contextmanager
def endpoint(command: tuple[str, ...]) -> Iterator[Callable[[], object]]:
    """A program that serves metrics, given an address to listen at: one scrape over a connection that stays open."""
    path = shutil.which(command[0])
    if path is None:
        raise Missing(f"{command[0]}: not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = [word.format(address=address) for word in command[1:]]
    served = subprocess.Popen([path, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = HTTPConnection(address)
        for left in reversed(range(100)):
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                if not left or served.poll() is not None:
                    raise Missing(f"{command[0]}: does not listen") from None
                time.sleep(0.05)

        def scrape() -> object:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{command[0]}: status {answer.status}")
            return text

        yield scrape
        connection.close()
    finally:
        served.terminate()
        served.wait()


class Programs:
    """Peers in C, compiled when they are not already in a directory; what is missing is noted."""

    def __init__(self, built: Path, notes: list[str]) -> None:
        self._built = built
        self._notes = notes

    def add(self, contenders: list[Contender], name: str, make: Callable[[], Callable[[int], list[int]]]) -> None:
        try:
            contenders.append(Contender(name, make()))
        except Missing as missing:
            note = f"Left out: {missing}."
            if note not in self._notes:
                self._notes.append(note)

    def peer(self, name: str, *words: str | Path, library: str | None = None) -> Callable[[int], list[int]]:
        program = self._built / name
        if not program.exists():
            program = build(name, self._built, *([library] if library else []))
        return Peer(program, *words).rounds


def contenders(programs: Programs, root: Path | None, sampler: Sampler) -> list[Contender]:
    """The floor first; what knows the live host only is left out for a tree."""
    found: list[Contender] = []
    add, where = programs.add, root or Path("/")
    add(found, "C floor: pread of kept `meminfo`, total and free", lambda: programs.peer("sampling", where, "meminfo"))
    add(found, "C: pread alone", lambda: programs.peer("sampling", where, "read"))
    add(found, "C: `/proc/buddyinfo`, added up", lambda: programs.peer("sampling", where, "buddyinfo"))
    found += [
        Contender("`sampler.sample()`", timed(sampler.sample)),
        Contender("`sampler.sample().cells`", timed(lambda: sampler.sample().cells)),
        Contender("`sampler.free()`", timed(sampler.free)),
        Contender("`sampler.free(exact=True)`", timed(lambda: sampler.free(exact=True))),
        Contender("`sampler.sample(huge_pages=True)`", timed(lambda: sampler.sample(huge_pages=True))),
        Contender("`sampler.sample(available=True)`", timed(lambda: sampler.sample(available=True))),
        Contender("pure Python: `os.pread` of kept `meminfo`", timed(python_pread(where))),
    ]
    if root is None:
        found += [
            Contender("`sampler.sample(counters=True)`", timed(lambda: sampler.sample(counters=True))),
            Contender("`sampler.sample(vmstat=...)`", timed(lambda: sampler.sample(vmstat=("nr_dirty", "nr_written")))),
        ]
        add(found, "libnuma in C: `numa_node_size64`", lambda: programs.peer("libnuma_memory", library="numa"))
        add(found, "libnuma through ctypes", lambda: timed(libnuma_ctypes()))
        add(found, "psutil: `virtual_memory`, whole machine", lambda: timed(psutil_whole()))
    return found


def processes(programs: Programs, sampler: Sampler, until: ExitStack) -> list[Contender]:
    """What runs outside of this process; ``until`` ends what has to be running while it is measured."""
    found = [Contender("`sampler.sample()`", timed(sampler.sample))]
    for name, command in SERVERS.items():
        programs.add(found, name, partial(lambda words: timed(until.enter_context(endpoint(words))), command))
    for words in PROCESSES:
        programs.add(found, f"`{' '.join(words)}`", partial(lambda words: timed(process(words)), words))
    return found


def tree(programs: Programs, scratch: Path, shape: trees.Shape, turns: int) -> list[report.Result]:
    root = scratch / str(shape.nodes)
    trees.build(root, shape)
    blocks = "".join(f"{count:7}" for count in (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 508))
    lines = [f"Node {node}, zone {name:>8} {blocks} \n" for node in range(shape.nodes) for name in ("Normal",)]
    (root / "proc/buddyinfo").write_text("".join(lines))
    try:
        with Sampler(root) as sampler:
            if len(sampler.shape.cells) != shape.nodes:
                raise RuntimeError(f"{len(sampler.shape.cells)} cells in a tree of {shape.nodes}")
            return by_turns(contenders(programs, root, sampler), turns, 50)
    finally:
        shutil.rmtree(root)


def document(sections: list[str], notes: list[str]) -> str:
    head = [
        "# What a sample costs",
        "",
        f"Made by `python -m benchmarks.sampling` on {date.today().isoformat()}: {report.machine()}.",
        "One run, by turns; ratios are to the first row of each table. A read of a file in a tree costs a tenth of one",
        "that the kernel has to format, so those tables show growth only. A sample costs 0.4 µs on top of the reads",
        "(a call of Python and one of C, one object, a lock, two clocks), and 0.04 µs for each node, whose counts of",
        "huge pages it has and the floor does not. On a tree of 16 nodes the call is 7 % of the reads. On 16 nodes",
        "whose files are the kernel's own it is too little to be measured: see the guests of the lab.",
        *notes,
    ]
    return "\n".join(head) + "\n\n" + "\n".join(sections)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help="turns that each contender gets (default: %(default)s)")
    parser.add_argument(
        "--tmpfs", type=Path, default=Path("/dev/shm"), help="where trees are made (default: %(default)s)"
    )
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", help="peers compiled before, for a machine without compiler"
    )
    parser.add_argument("--live-only", action="store_true", help="without trees")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the table (default: %(default)s)")
    arguments = parser.parse_args()
    notes: list[str] = []
    sections = []
    with tempfile.TemporaryDirectory() as scratch_built, tempfile.TemporaryDirectory(dir=arguments.tmpfs) as scratch:
        programs = Programs(arguments.peers or Path(scratch_built), notes)
        with Sampler(source="linux") as sampler:
            nodes = len(sampler.shape.cells)
            title = f"This machine, {nodes} node{'s' if nodes > 1 else ''}"
            sections.append(report.section(title, by_turns(contenders(programs, None, sampler), arguments.turns, 100)))
            title = "This machine, compared with whole processes"
            with ExitStack() as until:
                found = processes(programs, sampler, until)
                sections.append(report.section(title, by_turns(found, arguments.turns, 2)))
        for shape in () if arguments.live_only else SHAPES:
            title = f"A tree of {shape.nodes} nodes"
            sections.append(report.section(title, tree(programs, Path(scratch), shape, arguments.turns)))
    text = document(sections, notes)
    arguments.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
