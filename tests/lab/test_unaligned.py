"""A firmware's table that Xen 4.17 maps wrongly: the end of a range of node 0 is left without a node.

Node 0 ends half a MiB above 1 GiB, where memory below 4 GiB ends; the other nodes begin on whole GiB, so that Xen maps
memory in chunks of 1 GiB, and the range, which begins at 1 MiB, is stepped through from there.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

import numaprobe

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import RELEASES, Machine

LOW = (1 << 30) + (512 << 10)


def machine(release: str, low: int) -> Machine:
    """Three nodes, of which the first has ``low`` bytes, all that there is below 4 GiB."""
    nodes = (Node(low / (1 << 20), ("0-1",)), Node(1024, ("2-3",)), Node(512, ("4-5",)))
    kind = "odd" if low % (1 << 30) else "even"
    return Machine(
        f"xen-{release}-{kind}-ranges",
        f"Xen {release}: a range that ends {'within' if kind == 'odd' else 'with'} a chunk",
        Layout(nodes, sockets=3, cores=2, more=("-machine", f"max-ram-below-4g={low}")),
        RELEASES[release],
        xen="numa=on",
        dom0_mib=640,
    )


ODD, EVEN = machine("4.17", LOW), machine("4.17", 1 << 30)


def script() -> str:
    """What to run as root, with ``OUT`` set."""
    lines = [
        "cd /",
        collect._KEEP,
        collect._numaprobe(),
        "keep doctor numaprobe doctor --json",
        "keep show numaprobe show --json",
        'keep record numaprobe record "$OUT/host.tar.gz"',
        collect._toolstack(packages.xen(ODD.suite)),
        collect._DAEMONS,
        "keep info toolstack xl info -n",
        "keep keys toolstack xl debug-keys u",
        "sleep 1",
        "keep dmesg toolstack xl dmesg",
    ]
    return "\n".join(lines)


BOOTS = [Boot(ODD, script), Boot(EVEN, script)]
FINDING = "xen-memory-without-node"


def test_memory_that_xen_leaves_without_a_node_is_found(boots: dict[str, Future[Result]]) -> None:
    """By the table that QEMU wrote and the release that runs; a recording says the same elsewhere."""
    result = boots[ODD.name].result()
    (finding,) = [one for one in result.json("doctor")["findings"] if one["id"] == FINDING]
    assert [(one["where"], one["value"]) for one in finding["evidence"]] == [
        ("sys/firmware/acpi/tables/SRAT, cell 0", f"{1 << 30:#x} to {LOW:#x}")
    ]
    found = numaprobe.diagnose(recording=result.out / "host.tar.gz").findings
    assert FINDING in [one.id for one in found]


def test_ranges_that_end_with_a_chunk_are_no_finding(boots: dict[str, Future[Result]]) -> None:
    """The same machine with half a MiB less."""
    document = boots[EVEN.name].result().json("doctor")
    assert FINDING not in [one["id"] for one in document["findings"]]


@pytest.mark.parametrize("which", [ODD, EVEN], ids=lambda which: which.name)
def test_what_is_said_of_the_cells_holds(boots: dict[str, Future[Result]], which: Machine) -> None:
    """Three cells; where Xen's own figures contradict the table, totals are unknown and not wrong."""
    cells = boots[which.name].result().json("show")["cells"]
    assert [cell["id"] for cell in cells] == [0, 1, 2]
    for cell, node in zip(cells, which.layout.nodes, strict=True):
        total = cell["memory"]["total"]
        assert total is None or total <= node.mib * (1 << 20)
