"""Plans on real machines: guests built from what numaprobe writes are where it said."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import FOUR_ASYMMETRIC, TWO_ASYMMETRIC, XEN, Machine

LINUX = Machine(
    "placing",
    "four nodes to place on",
    Layout(tuple(Node(size, (str(i),)) for i, size in enumerate((640, 448, 448, 512))), FOUR_ASYMMETRIC, sockets=4),
)

ON_LINUX = """
guest="--vcpus 1 --memory 96M --no-domains --policy spread"
keep plan numaprobe place $guest --format json
# Kept: with the guest in it, its cell would no longer be the emptiest.
numaprobe place $guest --pinned --format json >/tmp/plan.json
$(numaprobe place $guest --format numactl) cat /proc/self/numa_maps >"$OUT/under-numactl"
keep pinned numaprobe pin $guest -- sh -c 'cat /proc/self/numa_maps; grep Cpus_allowed_list /proc/self/status'
emulator() { # NAME OPTIONS
    local name=$1
    shift
    # The process itself, not a shell that waits for it.
    eval "exec qemu-system-x86_64 -name guest=$name,debug-threads=on -accel tcg -S -display none -nodefaults $*" \\
        >"$OUT/$name.qemu" 2>&1 &
    echo $! >"$OUT/$name.pid"
    # It may still be filling its memory: two looks at what is bound have to be alike.
    local before=none now
    for _ in $(seq 120); do
        now=$(grep -s bind /proc/$!/numa_maps) || now=
        [ -z "$now" ] || [ "$now" != "$before" ] || break
        before=$now
        sleep 2
    done
    cat /proc/$!/numa_maps >"$OUT/$name.maps"
}
emulator one "$(numaprobe place $guest --format qemu)"
keep pin-pid numaprobe pin --plan /tmp/plan.json --pid "$(cat "$OUT/one.pid")"
for thread in /proc/$(cat "$OUT/one.pid")/task/*; do
    echo "$(cat $thread/comm):$(grep Cpus_allowed_list $thread/status)"
done >"$OUT/threads"
kill "$(cat "$OUT/one.pid")"
cells="--vcpus 2 --memory 128M --no-domains --guest-cells 2"
keep plan-cells numaprobe place $cells --format json
emulator two "$(numaprobe place $cells --format qemu)"
kill "$(cat "$OUT/two.pid")"
CLAIMED
winner=$(cat /tmp/winner)
emulator $winner "$(numaprobe place --vcpus 1 --memory 64M --no-domains --format qemu)"
keep redeemed numaprobe place $wanted --json
keep claims-redeemed numaprobe place --claims --json
kill "$(cat "$OUT/$winner.pid")"
"""

CLAIMED = """
# More than half of the CPUs each: there is one slot for two.
wanted="--vcpus MOST --pinned --smt share --memory 64M"
for n in 1 2; do
    (
        status=0
        numaprobe place $wanted --no-domains --name slot$n --claim --json >"$OUT/slot$n" 2>"$OUT/slot$n.stderr" || status=$?
        echo $status >"$OUT/slot$n.status"
        [ $status = 0 ] && echo slot$n >/tmp/winner
    ) &
    slots="${slots:-} $!"
done
wait $slots || true
keep claims numaprobe place --claims --json
keep refused numaprobe place $wanted --no-domains --json
"""

ON_XEN = """
CLAIMED
keep released numaprobe place --release 1
keep after-release numaprobe place $wanted --no-domains --json
mkdir -p /run/xen /run/lock /run/xenstored /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen
keep xenstored toolstack xenstored
keep xen-init-dom0 toolstack xen-init-dom0
toolstack xenconsoled
guest="--vcpus 2 --memory 200M --no-domains"
keep plan numaprobe place $guest --name d1 --format json
{ printf 'kernel="%s"\\ntype="pv"\\n' KERNEL; numaprobe place $guest --name d1 --format xl; } >/tmp/d1.cfg
keep create toolstack xl create -p /tmp/d1.cfg
keep vcpus toolstack xl vcpu-list d1
keep list toolstack xl list -n
keep keys toolstack xl debug-keys u
sleep 1
keep dmesg toolstack xl dmesg
domid=$(toolstack xl domid d1)
keep plan-pinned numaprobe place $guest --pinned --policy spread --format json
numaprobe place $guest --pinned --policy spread --format json >/tmp/plan.json
keep dry numaprobe pin --plan /tmp/plan.json --domain $domid --dry-run
keep vcpus-dry toolstack xl vcpu-list d1
keep pin numaprobe pin --plan /tmp/plan.json --domain $domid
keep vcpus-pinned toolstack xl vcpu-list d1
keep list-pinned toolstack xl list -n
keep dom0 numaprobe pin --plan /tmp/plan.json --domain 0 --dry-run
"""


def script(machine: Machine) -> str:
    """The collecting script's helpers, then what is done here."""
    whole = collect.script(replace(machine, before=""))
    helpers = whole.split("\nkeep ", 1)[0]
    claimed = CLAIMED.replace("MOST", str(machine.layout.cpus // 2 + 1))
    if machine.xen is None:
        return helpers + ON_LINUX.replace("CLAIMED", claimed)
    kernel = packages.kernel(machine.suite)
    return helpers + ON_XEN.replace("KERNEL", str(kernel.image)).replace("CLAIMED", claimed)


HYPERVISORS = [
    replace(machine, name=f"{machine.name}-placing", layout=replace(machine.layout, more=()))
    for machine in XEN
    if machine.name.endswith("two-nodes-hole")
]
assert all(machine.layout.distances == TWO_ASYMMETRIC for machine in HYPERVISORS)

on_linux = pytest.mark.parametrize("machine", [LINUX], ids=["linux"])
on_xen = pytest.mark.parametrize("machine", HYPERVISORS, ids=[machine.name for machine in HYPERVISORS])


BOOTS = [Boot(machine, partial(script, machine)) for machine in (LINUX, *HYPERVISORS)]


def bound(maps: str) -> set[str]:
    """The nodes that memory is bound to, by numa_maps."""
    return set(re.findall(r"bind:([\d,-]+)", maps))


def pages(maps: str, policy: str) -> dict[int, int]:
    """Pages by node of the mappings with a policy."""
    out: dict[int, int] = {}
    for line in maps.splitlines():
        if f" {policy} " in line:
            for node, count in re.findall(r" N(\d+)=(\d+)", line):
                out[int(node)] = out.get(int(node), 0) + int(count)
    return out


@on_linux
def test_numactl_binds_where_planned(result: Result) -> None:
    """The oracle is /proc/PID/numa_maps of the command."""
    assert bound(result.text("under-numactl")) == {str(result.json("plan")["cells"][0])}


@on_linux
def test_a_command_is_run_where_planned(result: Result) -> None:
    """The kernel shows the planned memory policy and affinity for it."""
    plan, text = result.json("plan"), result.printed("pinned")
    assert bound(text) == {str(plan["cells"][0])}
    assert f"Cpus_allowed_list:\t{plan['cpus'][0]}\n" in text


@on_linux
def test_the_memory_of_qemu_is_where_planned(result: Result) -> None:
    """All of its 96 MiB are on the planned node."""
    cell = result.json("plan")["cells"][0]
    assert pages(result.text("one.maps"), f"bind:{cell}") == {cell: 96 << 8}


@on_linux
def test_the_vcpu_of_qemu_is_pinned_by_the_name_of_its_thread(result: Result) -> None:
    """All other threads get the CPUs of the plan."""
    assert result.printed("pin-pid")
    cpu = result.json("plan")["cpus"][0]
    threads = result.text("threads").splitlines()
    assert any(line.startswith("CPU 0/TCG:") for line in threads)
    assert {line.rpartition("\t")[2] for line in threads} == {str(cpu)}


@on_linux
def test_cells_of_a_guest_are_on_their_nodes(result: Result) -> None:
    """Each guest cell's memory is on the host node it was planned for."""
    maps = result.text("two.maps")
    for one in result.json("plan-cells")["guest_cells"]:
        assert pages(maps, f"bind:{one['cell']}") == {one["cell"]: one["memory"] >> 12}


def affinities(listing: str) -> list[str]:
    """Hard affinity of each vcpu of ``xl vcpu-list``."""
    return [line.split("/")[0].split()[-1] for line in listing.splitlines()[1:]]


def folded(cpus: list[int]) -> str:
    return str(cpus[0]) if len(cpus) == 1 else f"{cpus[0]}-{cpus[-1]}"


@on_xen
def test_a_guest_that_xl_builds_has_the_planned_affinities(result: Result) -> None:
    """The oracles are xl vcpu-list, and xl list -n for nodes."""
    assert result.printed("create") is not None
    plan = result.json("plan")
    assert affinities(result.printed("vcpus")) == [folded(one["cpus"]) for one in plan["vcpus"]]
    (line,) = [line for line in result.printed("list").splitlines() if line.startswith("d1 ")]
    assert line.split()[-1] == folded(plan["cells"])


@on_xen
def test_its_memory_is_on_the_planned_nodes(result: Result) -> None:
    """The oracle is Xen's debug key u, which counts every page."""
    text = result.printed("dmesg")
    # "Domain 1" until Xen 4.17, "d1" in 4.20.
    last = re.split(r"(?:Domain |d)1 \(total", text)[-1]
    held = {int(node): int(count) for node, count in re.findall(r"Node (\d+): (\d+)", last)}
    (cell,) = result.json("plan")["cells"]
    assert held[cell] >= (200 << 8) - 512
    assert all(count == 0 for node, count in held.items() if node != cell)


@on_xen
def test_a_paused_guest_is_pinned_and_not_by_a_dry_run(result: Result) -> None:
    """Before and after, xl vcpu-list and xl list -n are compared."""
    plan = result.json("plan-pinned")
    assert "vcpu 0 to cpus" in result.printed("dry")
    assert affinities(result.printed("vcpus-dry")) == affinities(result.printed("vcpus"))
    assert result.printed("pin") == result.printed("dry")
    assert affinities(result.printed("vcpus-pinned")) == [folded(one["cpus"]) for one in plan["vcpus"]]
    (line,) = [line for line in result.printed("list-pinned").splitlines() if line.startswith("d1 ")]
    assert line.split()[-1] == folded(plan["cells"])


@on_xen
def test_the_control_domain_is_left_alone(result: Result) -> None:
    """Even a dry run refuses it."""
    assert result.text("dom0.status") == "2\n"
    assert "domain 0 is the control domain" in result.text("dom0.stderr")


on_each = pytest.mark.parametrize("machine", [LINUX, *HYPERVISORS], ids=["linux", *[one.name for one in HYPERVISORS]])


@on_each
def test_of_two_placers_at_once_one_claims_the_slot(result: Result) -> None:
    """The other is refused, as is any later one; the list of claims names the holder."""
    assert sorted(result.text(f"slot{n}.status") for n in (1, 2)) == ["0\n", "3\n"]
    (claim,) = result.json("claims")
    assert result.text(f"{claim['name']}.status") == "0\n"
    assert claim["cpus"] == result.json(claim["name"])["cpus"]
    assert result.text("refused.status") == "3\n"


@on_linux
def test_a_guest_that_runs_redeems_its_claim(result: Result) -> None:
    """From then on the guest itself is counted, and the claim no longer is."""
    assert result.text("redeemed.status") == "0\n"
    assert result.json("claims-redeemed") == []


@on_xen
def test_a_claim_that_is_released_is_room_again(result: Result) -> None:
    """The next placer gets it at once."""
    assert result.text("released.status") == "0\n"
    assert result.text("after-release.status") == "0\n"
