"""Whoever knows only ``numactl -H`` finds what it says on the first screen, on every recorded machine. Boots nothing."""

from __future__ import annotations

import io
import re
import tarfile
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from numaprobe.cli import main

from .witness import Numactl, numactl

FIXTURES = Path(__file__).parents[1] / "fixtures"
MIB = {"B": 1 / (1 << 20), "KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
# In a control domain of Xen numactl reports the domain's own view.
MACHINES = sorted(path.parents[1].name for path in FIXTURES.glob("*/witness/numactl-H.txt"))
NODES = "sys/devices/system/node"


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    """A recorded machine on which numactl ran too."""
    return str(request.param)


@pytest.fixture
def screen(machine: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``numaprobe`` prints, as wide as its lists are long."""
    monkeypatch.setenv("COLUMNS", "400")
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["--recording", str(FIXTURES / machine / "host.tar.gz"), "--source", "linux"]) == 0
    return out.getvalue()


@pytest.fixture
def witness(machine: str) -> Numactl:
    """What ``numactl -H`` printed there."""
    return numactl((FIXTURES / machine / "witness/numactl-H.txt").read_text())


def ids(text: str) -> list[int]:
    """``0-3,8``, or ``.`` for none."""
    found: list[int] = []
    for part in re.findall(r"\d+(?:-\d+)?", text):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def table(screen: str, heading: str) -> list[dict[str, str]]:
    """The rows below a heading, up to an empty line; columns are two spaces and more apart."""
    lines = screen[screen.index(f"\n{heading}") + 1 :].partition("\n\n")[0].splitlines()
    names = re.split(r"  +", lines[0].strip())
    return [dict(zip(names, re.split(r"  +", line.strip()), strict=True)) for line in lines[1:]]


def mib(shown: str) -> tuple[float, float]:
    """MiB, and by how many the shown figure may be off: half of its last digit."""
    number, unit = shown.split()
    return float(number) * MIB[unit], 0.05 * MIB[unit]


def freed(machine: str, node: int) -> float | None:
    """MemFree of a node in MiB, as the kernel had it in the recording: numactl ran at another moment."""
    with tarfile.open(FIXTURES / machine / "host.tar.gz") as archive:
        member = archive.extractfile(f"{NODES}/node{node}/meminfo")
        assert member is not None
        (number,) = re.findall(rb"MemFree:\s+(\d+) kB", member.read())
    return int(number) / 1024


def test_the_nodes_with_their_cpus(screen: str, witness: Numactl) -> None:
    """``available: 2 nodes (0-1)`` and ``node 0 cpus:``."""
    rows = {int(row["cell"]): ids(row["cpus"]) for row in table(screen, "cell")}
    assert rows == witness.cpus
    assert re.search(rf"· {len(rows)} cells?\b", screen.splitlines()[0])


def test_their_sizes_and_what_is_free(screen: str, witness: Numactl, machine: str) -> None:
    """``node 0 size:`` and ``node 0 free:``; numactl cuts to whole MiB, and its MB are MiB."""
    for row in table(screen, "cell"):
        node = int(row["cell"])
        size, off = mib(row["total"])
        assert witness.size[node] - off <= size <= witness.size[node] + 1 + off
        free, off = mib(row["free"])
        expected = freed(machine, node)
        assert expected is not None
        assert abs(free - expected) <= off + 1e-9


def test_the_distances(screen: str, witness: Numactl) -> None:
    """``node distances:``; a machine of one node has only that to itself, which is not shown."""
    if len(witness.cpus) == 1:
        assert list(witness.distances.values()) == [10]
        assert "distances" not in screen
        return
    rows = table(screen, "distances")
    found = {(int(row["distances"]), int(to)): int(row[to]) for row in rows for to in row if to != "distances"}
    assert found == witness.distances
