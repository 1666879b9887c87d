"""numaprobe inside real control domains, beside the xl of the same release and the layout given to QEMU."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from . import collect, witness
from .guest import Boot, Result
from .machines import XEN, Machine
from .witness_xen import MIB, PAGE, XlInfo, debug_key, memory_map, ranges, usable, xl_info


def on(machines: list[Machine]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", machines, ids=[machine.name for machine in machines])


# Nodes that the command line invents are in no table of the firmware's.
INVENTED = [machine for machine in XEN if "numa=fake" in str(machine.xen)]
BOOTS = [Boot(machine, partial(collect.script, machine)) for machine in XEN]
everywhere = on(list(XEN))
where_firmware_tells = on([machine for machine in XEN if machine not in INVENTED])
where_nodes_are_invented = on(INVENTED)


def cells(result: Result) -> dict[int, dict[str, Any]]:
    return {cell["id"]: cell for cell in result.json("show")["cells"]}


def xl(result: Result) -> XlInfo:
    return xl_info(result.printed("xl-info-n"))


@everywhere
def test_a_bare_control_domain_is_enough(result: Result) -> None:
    """Nothing of the toolstack ran yet when the hypervisor was queried, and it gave its release."""
    host = result.json("show")
    assert (host["source"], host["hypervisor"]["name"]) == ("xen", "xen")
    assert host["hypervisor"]["version"] == xl(result).words["xen_version"]


@everywhere
def test_cpus_are_those_of_xl(result: Result) -> None:
    """Core, package and cell of every cpu that xl lists, and the number of those online."""
    cpus = {cpu["id"]: cpu for cpu in result.json("show")["cpus"]}
    info = xl(result)
    actual = {number: (cpu["core"], cpu["package"], cpu["cell"]) for number, cpu in cpus.items()}
    assert {number: actual[number] for number in info.cpus} == info.cpus
    assert sum(cpu["online"] for cpu in cpus.values()) == int(info.words["nr_cpus"])


@everywhere
def test_cells_have_the_online_cpus_of_their_node(result: Result) -> None:
    """A cell's cpus are those whose own cell it is, less the offline ones."""
    cpus = result.json("show")["cpus"]
    for number, cell in cells(result).items():
        assert cell["cpus"] == [cpu["id"] for cpu in cpus if cpu["online"] and cpu["cell"] == number], f"cell {number}"


@everywhere
def test_cells_and_distances_are_those_of_xl(result: Result) -> None:
    """A cell for each node, and every distance in xl's direction."""
    expected = {
        (source, target): value
        for source, node in xl(result).nodes.items()
        for target, value in enumerate(node.distances)
    }
    actual = {(a, int(b)): value for a, cell in cells(result).items() for b, value in cell["distances"].items()}
    assert actual == expected


@everywhere
def test_spans_are_what_xl_calls_memory(result: Result) -> None:
    """The memsize of xl is the span of a node's addresses, in whole MiB; the debug key gives it in pages."""
    spans = {number: cell["memory"]["span"] for number, cell in cells(result).items()}
    assert {number: span // MIB for number, span in spans.items()} == {
        number: node.memsize for number, node in xl(result).nodes.items()
    }
    keys = debug_key(result.printed("xl-dmesg"))
    assert spans == {number: node.size * PAGE for number, node in keys.items()}


@everywhere
def test_free_memory_is_xens_to_the_page(result: Result) -> None:
    """Taken in one breath with xl, which gives MiB, and with the debug key, which gives pages."""
    free = {cell["id"]: cell["memory"]["free"] for cell in result.json("free-cells")["cells"]}
    assert {number: size // MIB for number, size in free.items()} == {
        number: node.memfree for number, node in xl(result).nodes.items()
    }
    keys = debug_key(result.printed("xl-dmesg"))
    assert free == {number: node.free * PAGE for number, node in keys.items()}


@where_firmware_tells
def test_memory_is_the_layouts_to_the_page(result: Result) -> None:
    """The ranges QEMU gave each node, cut with the machine's memory map: what xl's span is not."""
    memory = memory_map(result.printed("xl-dmesg-boot"))
    parts = ranges(result.machine)
    if "numa=off" in str(result.machine.xen):
        parts = {0: [part for node in parts.values() for part in node]}
    expected = {number: usable(part, memory) for number, part in parts.items()}
    assert {number: cell["memory"]["total"] for number, cell in cells(result).items()} == expected


@where_firmware_tells
def test_memory_adds_up_to_xls(result: Result) -> None:
    """The sum of all cells equals xl's total, in whole MiB."""
    total = sum(cell["memory"]["total"] for cell in cells(result).values())
    assert total // MIB == int(xl(result).words["total_memory"])


@where_nodes_are_invented
def test_memory_of_invented_nodes_is_unknown_and_noted(result: Result) -> None:
    """No table says how much memory such a node has; its span and what is free are known all the same."""
    host = result.json("show")
    assert [cell["memory"]["total"] for cell in host["cells"]] == [None] * len(host["cells"])
    assert any("memory" in note["text"] or "SRAT" in note["text"] for note in host["notes"]), host["notes"]


@everywhere
def test_devices_are_on_the_nodes_xl_says(result: Result) -> None:
    """Every device Xen knows a node of, and no other."""
    devices = {device["address"]: device["cell"] for device in result.json("show")["devices"]}
    assert {address: cell for address, cell in devices.items() if cell is not None} == xl(result).devices


@everywhere
def test_the_control_domains_own_view_is_another_host(result: Result) -> None:
    """With --source linux the host is what dom0's Linux sees, as numactl and lscpu do there."""
    host = result.json("show-linux")
    assert (host["source"], host["hypervisor"]) == ("linux", None)
    seen = witness.numactl(result.printed("numactl"))
    assert {cell["id"]: cell["cpus"] for cell in host["cells"]} == seen.cpus
    assert {cell["id"]: cell["memory"]["total"] // MIB for cell in host["cells"]} == seen.size
    rows = witness.lscpu(result.printed("lscpu-p"))
    assert {cpu["id"]: cpu["online"] for cpu in host["cpus"]} == {n: row.online for n, row in rows.items()}


@everywhere
def test_only_root_may_ask(result: Result) -> None:
    """Anyone else gets status 1 and one line."""
    lines = result.text("show-user.stderr").splitlines()
    assert (result.text("show-user.status").strip(), result.text("show-user"), len(lines)) == ("1", "", 1)
    assert lines[0].startswith("numaprobe: ")


@everywhere
def test_a_recording_answers_as_the_machine_did(result: Result) -> None:
    """The hypercalls recorded in the guest are answered here, and give the same host; only counters may move."""
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
