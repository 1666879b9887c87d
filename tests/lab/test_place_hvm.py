"""Guests with hardware support under real Xen, from what numaprobe writes: HVM with cells of its own, and PVH.

The processor that QEMU emulates has AMD's virtualisation with nested paging, so that Xen runs such guests inside it.
They stay paused: what is asked is where their memory and vcpus are.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import Future
from shlex import quote
from typing import Any

import pytest

import numaprobe

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine
from .test_domains_xen import ids, located

SUITE = "bookworm"
MIB = 1 << 20
HOST = Machine(
    "xen-4.17-hvm",
    "a processor with nested virtualisation: Xen can run HVM and PVH guests",
    Layout((Node(2560, ("0-1",)), Node(1536, ("2-3",))), TWO_ASYMMETRIC, 2, 2, cpu="qemu64,+npt,+nrip-save"),
    SUITE,
    xen="numa=on",
    dom0_mib=768,
)

MADE = """
mkdir -p /run/xen /run/lock /run/xenstored /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen
keep xenstored toolstack xenstored
keep xen-init-dom0 toolstack xen-init-dom0
toolstack xenconsoled
cells="--vcpus 3 --memory 256M --no-domains --guest-cells 2 --name cells"
keep plan-cells numaprobe place $cells --format json
{ cat /run/hvm.cfg; numaprobe place $cells --format xl; } >/run/cells.cfg
plain="--vcpus 2 --memory 200M --max-cells 1 --name plain"
keep create-cells toolstack xl create -p /run/cells.cfg
numaprobe place $plain --format json >/run/plan-plain
cp /run/plan-plain "$OUT/plan-plain"
{ cat /run/pvh.cfg; numaprobe place $plain --format xl; } >/run/plain.cfg
keep create-plain toolstack xl create -p /run/plain.cfg
keep xl-info toolstack xl info
keep xl-vcpu-list toolstack xl vcpu-list
keep xl-list-n toolstack xl list -n
keep domains numaprobe domains --json
keep domains-key numaprobe domains --json --debug-key
keep keys toolstack xl debug-keys u
sleep 1
keep xl-dmesg toolstack xl dmesg
keep recorded numaprobe record --domains "$OUT/host.tar.gz"
BUSYBOX ip link set lo up
numaprobe serve --listen 127.0.0.1:9975 2>"$OUT/serve.stderr" &
# Emulated, Python takes its time to start.
for _ in $(seq 60); do grep -q metrics "$OUT/serve.stderr" && break; sleep 1; done
keep scrape-first BUSYBOX wget -q -O - http://127.0.0.1:9975/metrics
sleep 20
keep scrape BUSYBOX wget -q -O - http://127.0.0.1:9975/metrics
keep free numaprobe free --json
# The shell's child: numaprobe is a function of the shell.
kill -TERM $(cat /proc/$!/task/$!/children)
wait $!
echo $? >"$OUT/serve.status"
"""


def script() -> str:
    """What to run as root, with ``OUT`` set."""
    xen = packages.xen(SUITE)
    root, program = packages.device_model(SUITE)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    (loader,) = xen.root.glob("usr/lib/xen-*/boot/hvmloader")
    kernel = packages.kernel(SUITE).image
    hvm = (
        f'type = "hvm"\nfirmware_override = "{loader}"\ndevice_model_version = "qemu-xen"\n'
        'device_model_override = "/run/device-model"\nvga = "none"\nvnc = 0\nserial = "none"\n'
    )
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            collect._toolstack(xen),
            # xl starts it by itself: on the loader and libraries of its own suite, as the toolstack is.
            "cat >/run/device-model <<'END'\n#!/bin/sh",
            f"exec {quote(str(libraries / 'ld-linux-x86-64.so.2'))} --library-path {quote(str(libraries))} "
            f'{quote(str(program))} -L {quote(str(root / "usr/share/qemu"))} "$@"\nEND\nchmod +x /run/device-model',
            f"cat >/run/hvm.cfg <<'END'\n{hvm}END",
            f'cat >/run/pvh.cfg <<\'END\'\ntype = "pvh"\nkernel = "{kernel}"\nEND',
            MADE.replace("BUSYBOX", quote(packages.tool("busybox"))),
        ]
    )


BOOTS = [Boot(HOST, script)]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    """A control domain with a paused HVM and a paused PVH guest."""
    return boots[HOST.name].result()


def domain(result: Result, name: str, listing: str = "domains") -> dict[str, Any]:
    (found,) = [one for one in result.json(listing)["domains"] if one["name"] == name]
    return found


def plan(result: Result, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.text(f"plan-{name}"))
    return found


def affinities(result: Result, name: str) -> list[set[int]]:
    """Hard affinity of each vcpu by xl."""
    every = set(range(HOST.layout.cpus))
    rows = [line.split() for line in result.printed("xl-vcpu-list").splitlines()[1:]]
    return [ids("".join(row[6:]).split("/")[0], every) for row in rows if row[0] == name]


def test_the_hypervisor_runs_such_guests(result: Result) -> None:
    """Hardware-assisted paging is there and both guests were built, so what follows tests them."""
    assert re.search(r"virt_caps *: pv hvm hap", result.printed("xl-info"))
    for name in ("cells", "plain"):
        result.printed(f"create-{name}")


@pytest.mark.parametrize("name", ["cells", "plain"])
def test_vcpus_have_the_planned_affinities(result: Result, name: str) -> None:
    """The oracle is xl vcpu-list, and numaprobe's own list agrees with it."""
    planned = [set(one["cpus"]) for one in plan(result, name)["vcpus"]]
    assert affinities(result, name) == planned
    assert [set(one["cpus"]) for one in domain(result, name)["each_vcpu"]] == planned


@pytest.mark.parametrize("name", ["cells", "plain"])
def test_memory_is_on_the_planned_nodes(result: Result, name: str) -> None:
    """The oracle is Xen's debug key u, except for the few pages of firmware and devices."""
    held = located(result)[domain(result, name)["id"]]
    planned = plan(result, name)["memory"]
    assert all(abs(held.get(cell, 0) - planned.get(cell, 0)) < 2 * MIB for cell in held.keys() | planned.keys())
    assert domain(result, name, "domains-key")["cells"] == held


def test_xen_knows_the_cells_of_the_guest(result: Result) -> None:
    """Their memory and vcpus are those of the plan."""
    planned = plan(result, "cells")["guest_cells"]
    assert len(planned) == 2
    found = domain(result, "cells")["guest_cells"]
    assert [(one["id"], one["memory"], one["vcpus"]) for one in found] == [
        (one["id"], one["memory"], one["vcpus"]) for one in planned
    ]
    assert domain(result, "plain")["guest_cells"] is None


def test_guests_with_hardware_support_are_told_from_those_without(result: Result) -> None:
    """PVH is a kind of HVM to Xen."""
    kinds = {one["name"]: (one["kind"], one["state"]) for one in result.json("domains")["domains"]}
    assert kinds == {"Domain-0": ("pv", "running"), "cells": ("hvm", "paused"), "plain": ("hvm", "paused")}


def test_a_recording_of_it_answers_as_the_machine_did(result: Result) -> None:
    """It includes kinds, guest cells and affinities."""
    recording = result.out / "host.tar.gz"
    found = {one.name: one for one in numaprobe.domains(numaprobe.probe(recording=recording), recording=recording)}
    for name in ("cells", "plain"):
        live = domain(result, name)
        one = found[name]
        assert (one.kind, one.memory, one.affinity.cpus) == (
            live["kind"],
            live["memory"],
            tuple(live["affinity"]["cpus"]),
        )
        assert [part.memory for part in one.guest_cells or ()] == [part["memory"] for part in live["guest_cells"] or ()]


def metrics(text: str) -> dict[tuple[str, str], float]:
    """Values by the name of the metric and its labels as they are written."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line).groups()  # type: ignore[union-attr]
            found[name, labels or ""] = float(value)
    return found


def test_serve_tells_of_the_machine_and_its_guests_in_a_control_domain(result: Result) -> None:
    """Cells are queried at each scrape and guests by a thread in between; SIGTERM ends it cleanly."""
    first, later = metrics(result.printed("scrape-first")), metrics(result.printed("scrape"))
    for cell in result.json("free")["cells"]:
        label = f'{{node="{cell["id"]}"}}'
        for scraped in (first, later):
            assert scraped["numaprobe_memory_total_bytes", label] == cell["memory"]["total"]
            assert abs(scraped["numaprobe_memory_free_bytes", label] - cell["memory"]["free"]) < 8 * MIB
    assert later["numaprobe_up", ""] == 1
    assert later["numaprobe_domains", ""] == 3
    for name in ("cells", "plain"):
        one = domain(result, name)
        label = f'{{domain="{one["id"]}",name="{name}"}}'
        assert later["numaprobe_domain_unplaced_memory_bytes", label] == one["memory"]
    assert result.text("serve.status") == "0\n"
