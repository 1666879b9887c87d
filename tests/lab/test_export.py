"""Exports made in real control domains: what hwloc shows there with one and without, and libvirt's schemas here."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path

import pytest

from . import collect
from .guest import Boot, Result
from .machines import XEN
from .packages import cache
from .witness import numactl
from .witness_xen import xl_info

MACHINES = [machine for machine in XEN if machine.exports]
assert len(MACHINES) == 6
BOOTS = [Boot(machine, partial(collect.script, machine)) for machine in MACHINES]
everywhere = pytest.mark.parametrize("machine", MACHINES, ids=[machine.name for machine in MACHINES])
SCHEMA = "usr/share/libvirt/schemas/capability.rng"
SCHEMAS = {"export-libvirt": Path("/", SCHEMA), "export-libvirt-11": cache() / "trixie" / "libvirt" / SCHEMA}


def numbers(text: str, kind: str) -> list[int]:
    """The numbers of all objects of one type that lstopo shows."""
    found = ElementTree.fromstring(text).iter("object")
    return sorted(int(o.get("os_index", -1)) for o in found if o.get("type") == kind)


@everywhere
def test_hwloc_sees_the_machine_through_the_export(result: Result) -> None:
    """The nodes and cpus that xl lists, with nothing said on standard error."""
    shown, info = result.printed("lstopo-machine"), xl_info(result.printed("xl-info-n"))
    assert numbers(shown, "NUMANode") == sorted(info.nodes)
    online = [cpu["id"] for cpu in result.json("show")["cpus"] if cpu["online"]]
    assert numbers(shown, "PU") == online
    assert not (result.out / "lstopo-machine.stderr").exists()


@everywhere
def test_hwloc_has_the_memory_and_distances_of_the_hypervisor(result: Result) -> None:
    """Bytes of each cell, 0 where they are unknown, and the matrix of xl's."""
    shown = ElementTree.fromstring(result.printed("lstopo-machine"))
    memory = {
        int(o.get("os_index", -1)): int(o.get("local_memory", 0))
        for o in shown.iter("object")
        if o.get("type") == "NUMANode"
    }
    assert memory == {cell["id"]: cell["memory"]["total"] or 0 for cell in result.json("show")["cells"]}
    nodes = xl_info(result.printed("xl-info-n")).nodes
    values = "".join(part.text or "" for part in shown.iter("u64values")).split()
    expected = [cost for _, node in sorted(nodes.items()) for cost in node.distances]
    assert [int(value) for value in values] == (expected if len(nodes) > 1 else [])


@everywhere
def test_without_it_hwloc_sees_the_control_domain(result: Result) -> None:
    """The same view as numactl has there, which is why the export is needed."""
    assert numbers(result.printed("lstopo-dom0"), "NUMANode") == sorted(numactl(result.printed("numactl")).cpus)


@pytest.mark.parametrize("name", SCHEMAS)
@everywhere
def test_libvirts_schemas_take_the_export(result: Result, name: str) -> None:
    """Made inside a control domain and judged outside, by xmllint with the schema of each version."""
    assert SCHEMAS[name].exists(), "the lab is not whole: run tests/lab/install"
    result.printed(name)
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", SCHEMAS[name], result.out / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@everywhere
def test_the_export_is_that_of_the_recording(result: Result) -> None:
    """The recording made in the control domain is exported here to the same bytes; memory in use is in neither."""
    done = subprocess.run(
        [sys.executable, "-m", "numaprobe", "export", "hwloc", "--recording", result.out / "host.tar.gz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == result.printed("export-hwloc")
