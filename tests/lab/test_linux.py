"""numaprobe inside real Linux guests, beside numactl, lscpu, lstopo and the kernel's own files there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from . import collect, witness
from .guest import Boot, Result
from .machines import LINUX

BOOTS = [Boot(machine, partial(collect.script, machine)) for machine in LINUX]
pytestmark = pytest.mark.parametrize("machine", LINUX, ids=lambda machine: machine.name)

MIB = 1 << 20
SLACK = 2 * MIB


def cells(result: Result) -> dict[int, dict[str, Any]]:
    return {cell["id"]: cell for cell in result.json("show")["cells"]}


def test_cells_and_their_cpus_are_those_of_numactl(result: Result) -> None:
    """A cell for every online node, sparse ids kept, with the online cpus the kernel lists for it."""
    expected = witness.numactl(result.printed("numactl")).cpus
    actual = {number: cell["cpus"] for number, cell in cells(result).items()}
    assert actual == expected


def test_memory_totals_are_those_of_lstopo(result: Result) -> None:
    """Bytes of every cell that hwloc keeps; it drops nodes whose cpus another node claims too."""
    expected = witness.lstopo(result.printed("lstopo")).memory
    found = cells(result)
    assert {number: found[number]["memory"]["total"] for number in expected} == expected


def test_memory_totals_are_those_of_numactl(result: Result) -> None:
    """MiB of every cell, those without memory and those that hwloc drops among them."""
    actual = {number: cell["memory"]["total"] // MIB for number, cell in cells(result).items()}
    assert actual == witness.numactl(result.printed("numactl")).size


def test_free_memory_is_the_kernels_of_that_moment(result: Result) -> None:
    """It lies between the node's counters just before and just after, but for pages that CPUs keep in their lists."""
    seen = result.json("inside")
    for cell in seen["host"]["cells"]:
        moments = [seen[when][str(cell["id"])] for when in ("before", "after")]
        assert min(moments) - SLACK <= cell["memory"]["free"] <= max(moments) + SLACK, f"cell {cell['id']}"


def test_free_says_what_show_says(result: Result) -> None:
    """The same cells, totals and sizes of huge pages from ``free`` as from ``show``."""
    free = {cell["id"]: cell for cell in result.json("free")["cells"]}
    found = cells(result)
    assert {number: cell["memory"]["total"] for number, cell in free.items()} == {
        number: cell["memory"]["total"] for number, cell in found.items()
    }
    assert {number: cell["huge_pages"] for number, cell in free.items()} == {
        number: cell["huge_pages"] for number, cell in found.items()
    }


def test_distances_go_from_the_row_to_the_column(result: Result) -> None:
    """Every pair of cells, in the direction numactl prints it."""
    actual = {(a, int(b)): value for a, cell in cells(result).items() for b, value in cell["distances"].items()}
    assert actual == witness.numactl(result.printed("numactl")).distances


def test_cpus_are_those_of_lscpu(result: Result) -> None:
    """Present cpus, offline ones too, each with its cell."""
    rows = witness.lscpu(result.printed("lscpu-p"))
    cpus = {cpu["id"]: cpu for cpu in result.json("show")["cpus"]}
    assert {number: cpu["online"] for number, cpu in cpus.items()} == {n: row.online for n, row in rows.items()}
    shared = sum(len(cell["cpus"]) for cell in cells(result).values()) > len(cpus)
    if not shared:  # a cpu that several nodes claim has no one cell to compare
        online = {number for number, row in rows.items() if row.online}
        assert {number: cpus[number]["cell"] for number in online} == {number: rows[number].node for number in online}


def test_packages_and_cores_part_the_cpus_as_lscpu_does(result: Result) -> None:
    """Packages and cores are lscpu's own counting, so the groups are compared and not the numbers."""
    rows = {number: row for number, row in witness.lscpu(result.printed("lscpu-p")).items() if row.online}
    cpus = {cpu["id"]: cpu for cpu in result.json("show")["cpus"] if cpu["online"]}
    packages = {frozenset(n for n, row in rows.items() if row.socket == one.socket) for one in rows.values()}
    cores = {frozenset(n for n, row in rows.items() if row.core == one.core) for one in rows.values()}
    assert {
        frozenset(n for n, cpu in cpus.items() if cpu["package"] == one["package"]) for one in cpus.values()
    } == packages
    assert {frozenset(cpu["siblings"]) for cpu in cpus.values()} == cores


def test_siblings_are_the_kernels(result: Result) -> None:
    """The online threads of each online cpu's core, as the kernel and as lstopo have them."""
    files = witness.values(result.printed("siblings"))
    expected = {
        int(found[1]): witness.cpu_list(line)
        for path, line in files.items()
        if (found := re.search(r"/cpu(\d+)/", path))
    }
    cpus = [cpu for cpu in result.json("show")["cpus"] if cpu["online"]]
    assert {cpu["id"]: cpu["siblings"] for cpu in cpus} == expected
    assert sorted({tuple(cpu["siblings"]) for cpu in cpus}) == [
        tuple(core) for core in witness.lstopo(result.printed("lstopo")).cores
    ]


def test_huge_pages_are_the_kernels(result: Result) -> None:
    """Total, free and surplus of every size on every cell."""
    expected: dict[tuple[int, int], dict[str, int]] = {}
    for path, line in witness.values(result.printed("huge")).items():
        found = re.search(r"/node(\d+)/hugepages/hugepages-(\d+)kB/(nr|free|surplus)_hugepages$", path)
        if found:
            key = int(found[1]), int(found[2]) * 1024
            expected.setdefault(key, {})["total" if found[3] == "nr" else found[3]] = int(line)
    actual = {
        (number, pages["size"]): {name: pages[name] for name in ("total", "free", "surplus")}
        for number, cell in cells(result).items()
        for pages in cell["huge_pages"]
    }
    assert actual == expected


def test_available_memory_adds_up_to_the_kernels(result: Result) -> None:
    """The sum is within 2 % of MemAvailable, read just before and just after."""
    seen = result.json("inside")
    kernel = [seen[when]["available"] for when in ("before", "after")]
    total = sum(cell["memory"]["available"] for cell in seen["host"]["cells"])
    assert min(kernel) * 0.98 <= total <= max(kernel) * 1.02


def test_distant_memory_is_what_hmat_says(result: Result) -> None:
    """Initiators, nanoseconds and bytes a second of every access class, from the kernel's own files."""
    initiators: dict[tuple[int, int], dict[str, Any]] = {}
    for line in result.text("initiators").splitlines():
        found = re.search(r"/node(\d+)/access(\d+)/initiators/node(\d+)$", line)
        if found:
            key = int(found[1]), int(found[2])
            initiators.setdefault(key, {"initiators": []})["initiators"].append(int(found[3]))
    for path, value in witness.values(result.printed("hmat")).items():
        found = re.search(r"/node(\d+)/access(\d+)/initiators/((read|write)_(latency|bandwidth))$", path)
        if found and int(value):
            scale = MIB if found[5] == "bandwidth" else 1
            initiators[int(found[1]), int(found[2])][found[3]] = int(value) * scale
    actual = {
        (number, access["level"]): {
            name: value for name, value in access.items() if value is not None and name != "level"
        }
        for number, cell in cells(result).items()
        for access in cell["accesses"]
    }
    assert actual == {key: {**value, "initiators": sorted(value["initiators"])} for key, value in initiators.items()}


def test_caches_before_memory_are_those_of_lstopo(result: Result) -> None:
    """Bytes of every memory-side cache, on the cell it stands before."""
    expected = witness.lstopo(result.printed("lstopo")).side_caches
    found = {number: [cache["size"] for cache in cell["side_caches"]] for number, cell in cells(result).items()}
    assert {number: sizes for number, sizes in found.items() if sizes} == expected


def test_tiers_are_the_kernels(result: Result) -> None:
    """The memory tier of every cell, where the kernel is new enough to have tiers."""
    expected = {
        node: int(found[1])
        for path, line in witness.values(result.printed("tiers")).items()
        if (found := re.search(r"/memory_tier(\d+)/", path))
        for node in witness.cpu_list(line)
    }
    actual = {number: cell["tier"] for number, cell in cells(result).items() if cell["tier"] is not None}
    assert actual == expected


def test_devices_are_on_the_kernels_nodes(result: Result) -> None:
    """Every PCI device, with the node the kernel has for it or none."""
    expected = {
        path.split("/")[-2]: None if line == "-1" else int(line)
        for path, line in witness.values(result.printed("pci")).items()
    }
    assert {device["address"]: device["cell"] for device in result.json("show")["devices"]} == expected


def test_isolated_cpus_are_the_kernels(result: Result) -> None:
    """Those of the kernel's own lists, of which the one of tickless cpus may be absent or read ``(null)``."""
    files = witness.values(result.printed("isolated"))
    cpus = result.json("show")["cpus"]
    for name in ("isolated", "nohz_full"):
        line = files.get(f"/sys/devices/system/cpu/{name}", "")
        expected = [] if line == "(null)" else witness.cpu_list(line)
        assert [cpu["id"] for cpu in cpus if cpu[name]] == expected, name


def test_anyone_sees_the_same_host(result: Result) -> None:
    """A user without privileges gets the same cells, cpus and notes; only counters may move."""

    def still(name: str) -> Any:
        host = result.json(name)
        for cell in host["cells"]:
            del cell["memory"]["free"], cell["memory"]["available"]
        return host["cells"], host["cpus"], host["notes"]

    assert still("show-user") == still("show")


def test_a_recording_answers_as_the_machine_did(result: Result) -> None:
    """What was recorded in the guest is read here and is the same host; only counters may move."""
    result.printed("record")
    run = subprocess.run(
        [sys.executable, "-m", "numaprobe", "show", "--json", "--recording", result.out / "host.tar.gz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    live, replayed = result.json("show"), json.loads(run.stdout)
    for host in (live, replayed):
        for cell in host["cells"]:
            del cell["memory"]["free"], cell["memory"]["available"]
    assert (replayed["cells"], replayed["cpus"]) == (live["cells"], live["cpus"])
