"""A batch with an exclusive and a mixed guest on real machines: every thread and vcpu runs where the plan says."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote

import pytest

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, XEN, Machine
from .test_place import affinities

LINUX = Machine(
    "exclusive",
    "two nodes for an exclusive and a mixed guest",
    Layout((Node(704, ("0-3",)), Node(448, ("4-7",))), TWO_ASYMMETRIC, 2, 4),
    seconds=600,
)
XEN_MACHINES = [
    replace(
        machine,
        name=machine.name.replace("two-nodes-hole", "exclusive"),
        layout=replace(machine.layout, more=()),
        seconds=900,
    )
    for machine in XEN
    if machine.name.endswith("-two-nodes-hole")
]

ALONE = {"name": "alone", "vcpus": 2, "memory": "96M", "pinned": True}
MIXED = {"name": "mixed", "vcpus": 3, "memory": "128M", "pinned_vcpus": [0]}
CLAIMED_MIB = 64

ON_LINUX = f"""
cat >/tmp/guests.json <<'END'
{json.dumps([ALONE, {**MIXED, "emulator": 1}])}
END
keep batch numaprobe place --batch /tmp/guests.json --no-domains --json
cp "$OUT/batch" /tmp/batch.json
start() {{ # NAME VCPUS MIB
    node=$(PYTHON -c 'import json,sys; print(*[p["cells"][0] for p in json.load(open("/tmp/batch.json")) if p["name"] == sys.argv[1]])' $1)
    "QEMU" -name guest=$1,debug-threads=on -accel tcg -S -display none -nodefaults -m $3 -smp $2 \\
        -machine pc,memory-backend=m0 -object memory-backend-ram,id=m0,size=${{3}}M,host-nodes=$node,policy=bind,prealloc=on \\
        >"$OUT/$1.qemu" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 100); do [ "$(cat /proc/$pid/task/*/comm | grep -c '^CPU ')" = $2 ] && break; sleep 1; done
    keep pin-$1 numaprobe pin --plan /tmp/batch.json --name $1 --pid $pid
    for thread in /proc/$pid/task/*; do
        echo "$(cat $thread/comm):$(grep Cpus_allowed_list $thread/status)"
    done >"$OUT/$1.threads"
    cat /proc/$pid/numa_maps >"$OUT/$1.maps"
}}
start alone 2 96
start mixed 3 128
keep domains numaprobe domains --json
keep third numaprobe place --vcpus 1 --pinned --memory 16M --json
"""

ON_XEN = f"""
mkdir -p /run/xen /run/lock /run/xenstored /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen
keep xenstored toolstack xenstored
keep xen-init-dom0 toolstack xen-init-dom0
toolstack xenconsoled
cat >/tmp/guests.json <<'END'
{json.dumps([ALONE, MIXED])}
END
keep batch numaprobe place --batch /tmp/guests.json --no-domains --json
numaprobe place --batch /tmp/guests.json --no-domains --format xl >/tmp/both
for name in alone mixed; do
    {{ printf 'kernel="KERNEL"\\ntype="pv"\\n'; awk -v RS= "/name = \\"$name\\"/" /tmp/both; }} >/tmp/$name.cfg
    keep create-$name toolstack xl create -p /tmp/$name.cfg
    keep vcpus-$name toolstack xl vcpu-list $name
    toolstack xl domid $name >"$OUT/$name.domid"
done
keep keys toolstack xl debug-keys u
sleep 1
keep dmesg toolstack xl dmesg
keep domains numaprobe domains --json
keep third numaprobe place --vcpus 1 --pinned --memory 16M --json
# A domain cannot claim more than it may have.
keep mem-max toolstack xl mem-max alone 256
keep claimed PYTHON INSIDE "$(cat "$OUT/alone.domid")" {CLAIMED_MIB}
"""


def script(machine: Machine) -> str:
    """The collecting script's helpers, then what is done here."""
    helpers = collect.script(replace(machine, before="")).split("\nkeep ", 1)[0]
    python = quote(sys.executable)
    if machine.xen is None:
        tool = packages.tool("qemu-system-x86_64")
        return helpers + ON_LINUX.replace("PYTHON", python).replace('"QEMU"', quote(str(tool)))
    inside = quote(str(Path(__file__).with_name("inside_claim.py")))
    kernel = str(packages.kernel(machine.suite).image)
    return helpers + ON_XEN.replace("PYTHON", python).replace("INSIDE", inside).replace("KERNEL", kernel)


BOOTS = [Boot(machine, partial(script, machine)) for machine in (LINUX, *XEN_MACHINES)]

on_linux = pytest.mark.parametrize("machine", [LINUX], ids=["linux"])
on_xen = pytest.mark.parametrize("machine", XEN_MACHINES, ids=[machine.name for machine in XEN_MACHINES])
on_each = pytest.mark.parametrize("machine", [LINUX, *XEN_MACHINES], ids=["linux", *[m.name for m in XEN_MACHINES]])


def plans(result: Result) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in result.json("batch")}


def listed(text: str) -> set[int]:
    """CPUs of a list such as ``0-2,5``."""
    out: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def threads(result: Result, name: str) -> list[tuple[str, set[int]]]:
    """Threads of QEMU by name, and the CPUs that the kernel lets them use."""
    lines = result.text(f"{name}.threads").splitlines()
    return [(line.partition(":Cpus_allowed_list")[0], listed(line.rpartition("\t")[2])) for line in lines]


def exclusive(plan: dict[str, object]) -> set[int]:
    """CPUs that the plan gives to one vcpu or to the emulator alone."""
    pinned = set(plan["pinned_vcpus"])  # type: ignore[call-overload]
    vcpus = {cpu for one in plan["vcpus"] if one["vcpu"] in pinned for cpu in one["cpus"]}  # type: ignore[attr-defined]
    return vcpus | set(plan["emulator"])  # type: ignore[call-overload]


@on_each
def test_no_exclusive_cpu_is_planned_twice(result: Result) -> None:
    """The plans of the batch are compared with each other before the guests are."""
    alone, mixed = plans(result)["alone"], plans(result)["mixed"]
    assert len(exclusive(alone)) == 2
    assert not exclusive(alone) & set(mixed["cpus"])  # type: ignore[call-overload]
    assert not exclusive(mixed) & set(alone["cpus"])  # type: ignore[call-overload]


@on_linux
@pytest.mark.parametrize("name", ["alone", "mixed"])
def test_each_vcpu_thread_may_run_where_planned_and_nowhere_else(result: Result, name: str) -> None:
    """The oracle is Cpus_allowed of each of QEMU's threads, in the kernel's words."""
    assert result.printed(f"pin-{name}")
    found = {int(re.findall(r"\d+", comm)[0]): cpus for comm, cpus in threads(result, name) if comm.startswith("CPU ")}
    planned = {one["vcpu"]: set(one["cpus"]) for one in plans(result)[name]["vcpus"]}  # type: ignore[attr-defined]
    assert found == planned


@on_linux
def test_the_emulators_threads_have_the_cpu_that_was_planned_for_them(result: Result) -> None:
    """All threads of QEMU that are no vcpu have one CPU, which no vcpu has."""
    own = set(plans(result)["mixed"]["emulator"])  # type: ignore[call-overload]
    assert len(own) == 1
    others = [cpus for comm, cpus in threads(result, "mixed") if not comm.startswith("CPU ")]
    assert others
    assert all(cpus == own for cpus in others)


@on_linux
def test_nobody_else_may_run_on_an_exclusive_cpu(result: Result) -> None:
    """The oracle is Cpus_allowed_list of every thread of the other guest."""
    for name, other in (("alone", "mixed"), ("mixed", "alone")):
        mine = exclusive(plans(result)[name])
        assert all(not cpus & mine for _, cpus in threads(result, other))


@on_linux
@pytest.mark.parametrize("name", ["alone", "mixed"])
def test_memory_is_on_the_planned_node(result: Result, name: str) -> None:
    """The kernel's numa_maps of the guest have the binding and no other."""
    (cell,) = plans(result)[name]["cells"]  # type: ignore[attr-defined]
    assert re.findall(r"bind:([\d,-]+)", result.text(f"{name}.maps")) == [str(cell)]


@on_xen
@pytest.mark.parametrize("name", ["alone", "mixed"])
def test_each_vcpu_has_the_planned_affinity_in_xen(result: Result, name: str) -> None:
    """The oracle is xl vcpu-list, inside the control domain."""
    assert result.printed(f"create-{name}") is not None
    found = [listed(text) for text in affinities(result.printed(f"vcpus-{name}"))]
    assert found == [set(one["cpus"]) for one in plans(result)[name]["vcpus"]]  # type: ignore[attr-defined]


@on_xen
@pytest.mark.parametrize("name", ["alone", "mixed"])
def test_memory_is_on_the_planned_node_by_debug_key_u(result: Result, name: str) -> None:
    """Xen itself counts the domain's pages, less at most 512 that its building took."""
    plan, number = plans(result)[name], result.text(f"{name}.domid").strip()
    last = re.split(rf"(?:Domain |d){number} \(total", result.printed("dmesg"))[-1]
    last = re.split(r"(?:Domain |d)\d+ \(total", last)[0]
    held = {int(node): int(count) for node, count in re.findall(r"Node (\d+): (\d+)", last)}
    (cell,) = plan["cells"]  # type: ignore[attr-defined]
    assert held[cell] >= (plan["memory"][str(cell)] >> 12) - 512  # type: ignore[index]
    assert all(count == 0 for node, count in held.items() if node != cell)


@on_each
def test_the_next_pinned_guest_gets_none_of_their_cpus(result: Result) -> None:
    """Seen as running, not from their plans."""
    assert [one["name"] for one in result.json("domains")["domains"] if one["name"] in ("alone", "mixed")]
    pinned = {
        cpu
        for plan in plans(result).values()
        for one in plan["vcpus"]  # type: ignore[attr-defined]
        if one["vcpu"] in plan["pinned_vcpus"]  # type: ignore[operator]
        for cpu in one["cpus"]
    }
    assert not set(result.json("third")["cpus"]) & pinned


@on_xen
def test_what_xen_has_promised_to_a_guest_being_built_is_offered_to_nobody(result: Result) -> None:
    """A claim by XENMEM_claim_pages, as libxl makes it: seen in the host, in the domain, and by ``place``."""
    found = result.json("claimed")
    assert found["during"] - found["before"] == CLAIMED_MIB << 20
    assert found["by_domain"] == CLAIMED_MIB << 20
    assert found["after"] == found["before"]
    assert [found[f"fits_{when}"] for when in ("before", "during", "after")] == [True, False, True]
