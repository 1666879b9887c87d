"""A real libvirtd with an emulated guest: its states, configured memory and vcpus, after all that may happen to one.

What numaprobe reports equals what virsh reports, or is unknown; and what it exports for libvirt is what virsh has.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from shlex import quote

import pytest

from . import collect, packages
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import THREADS, TWO_ASYMMETRIC, Machine

HOST = Machine(
    "libvirt",
    "a libvirtd whose guest is paused, saved, restored, and given memory and a vcpu",
    # A processor with three levels of caches.
    Layout((Node(1024, ("0",)), Node(768, ("1",))), TWO_ASYMMETRIC, sockets=2, cpu=THREADS),
    seconds=500,
    more_work=4,
)
DOMAIN = """<domain type='qemu'>
  <name>vm1</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <maxMemory slots='2' unit='MiB'>512</maxMemory>
  <memory unit='MiB'>128</memory>
  <vcpu current='1'>3</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <cpu><numa><cell id='0' cpus='0-2' memory='128' unit='MiB'/></numa></cpu>
  <devices>
    <emulator>%s</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DIMM = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"
CONFIGURATION = """security_driver = "none"
user = "root"
group = "root"
remember_owner = 0
namespaces = []
stdio_handler = "file"
"""
# What is done, and then looked at.
STEPS = {
    "started-paused": "start vm1 --paused",
    "resumed": "resume vm1",
    "suspended": "suspend vm1",
    "resumed-again": "resume vm1",
    "more-memory": "attach-device vm1 /run/dimm.xml --live",
    "more-vcpus": "setvcpus vm1 2 --live",
    "saved": "managedsave vm1",
    "restored": "start vm1",
    "suspended-after-it": "suspend vm1",
    "resumed-after-it": "resume vm1",
    "saved-paused": "managedsave vm1 --paused",
    "restored-paused": "start vm1",
}
GONE = ("saved", "saved-paused")
# virsh's word, and numaprobe's.
STATES = {"running": "running", "paused": "paused"}


def script() -> str:
    """What to run as root, with ``OUT`` set."""
    tree = packages.libvirtd(HOST.suite)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    lines = [
        "cd /",
        collect._KEEP,
        collect._numaprobe(),
        "mount -t tmpfs run /run",
        "mkdir -p /run/lock /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt/qemu",
        "ip link set lo up",
        # The package's own user, which libvirtd looks for whatever is configured.
        "echo libvirt-qemu:x:64055:64055::/:/bin/false >>/etc/passwd",
        "printf '%s:x:%s:\\n' libvirt-qemu 64055 kvm 64056 >>/etc/group",
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        "for name in share lib; do",
        f"    [ -e /usr/$name/libvirt ] || ln -s {quote(str(tree))}/usr/$name/libvirt /usr/$name/libvirt",
        "done",
        f"export LIBVIRT_DRIVER_DIR={quote(str(libraries / 'libvirt/connection-driver'))}",
        f"cat >/etc/libvirt/qemu.conf <<'END'\n{CONFIGURATION}END",
        f"cat >/run/vm1.xml <<'END'\n{DOMAIN % packages.tool('qemu-system-x86_64')}END",
        f"cat >/run/dimm.xml <<'END'\n{DIMM}\nEND",
        f'with_libraries() {{ LD_LIBRARY_PATH={quote(str(libraries))} "$@"; }}',
        f'virsh() {{ with_libraries {quote(str(tree / "usr/bin/virsh"))} -c qemu:///system "$@"; }}',
        f'with_libraries {quote(str(tree / "usr/sbin/libvirtd"))} >"$OUT/libvirtd" 2>&1 </dev/null &',
        "left=100; while [ ! -S /run/libvirt/libvirt-sock ] && [ $left -gt 0 ]; do sleep 0.3; left=$((left - 1)); done",
        "keep capabilities virsh capabilities",
        "keep export numaprobe export libvirt",
        "keep caches sh -c 'grep -s . /sys/devices/system/cpu/cpu*/cache/index*/level'",
        "keep define virsh define /run/vm1.xml",
        "look() { # NAME",
        '    keep "$1.state" virsh domstate vm1',
        '    keep "$1.info" virsh dominfo vm1',
        '    keep "$1.domains" numaprobe domains --json',
        "}",
    ]
    for name, words in STEPS.items():
        lines += [f"keep {name} virsh {words}", f"look {name}"]
    lines += ["keep user unprivileged domains --json", "keep destroy virsh destroy vm1"]
    return "\n".join(lines)


BOOTS = (Boot(HOST, script),)


@pytest.fixture
def machine() -> Machine:
    """The one machine of this module."""
    return HOST


def told(result: Result, step: str) -> dict[str, str]:
    """What virsh has in ``dominfo``."""
    return dict(line.split(":", 1) for line in result.printed(f"{step}.info").splitlines() if ":" in line)


@pytest.mark.parametrize("step", STEPS)
def test_every_figure_is_virshs_or_unknown(result: Result, step: str) -> None:
    """State, memory with what was plugged in, and vcpus; as root, who may read libvirt's records, none is unknown."""
    result.printed(step)
    document = result.json(f"{step}.domains")
    state = result.printed(f"{step}.state").strip()
    if step in GONE:
        assert (state, document["domains"]) == ("shut off", [])
        return
    (guest,) = document["domains"]
    assert (document["complete"], document["notes"]) == (True, [])
    info = told(result, step)
    assert (guest["kind"], guest["name"]) == ("qemu", "vm1")
    assert guest["state"] == STATES[state]
    assert guest["maximum"] == int(info["Max memory"].split()[0]) << 10
    assert guest["vcpus"] == int(info["CPU(s)"])


def test_the_steps_did_what_they_say(result: Result) -> None:
    """Otherwise the comparisons above would be about a guest that never changed."""
    assert [told(result, step)["Max memory"].split()[0] for step in ("resumed", "more-memory", "restored")] == [
        str(128 << 10), str(256 << 10), str(256 << 10)
    ]  # fmt: skip
    assert [int(told(result, step)["CPU(s)"]) for step in ("more-memory", "more-vcpus", "restored")] == [1, 2, 2]
    states = [result.printed(f"{step}.state").strip() for step in ("suspended", "restored", "restored-paused")]
    assert states == ["paused", "running", "paused"]


def host_of(result: Result, name: str) -> ElementTree.Element:
    """The host of a document of capabilities."""
    found = ElementTree.fromstring(result.printed(name)).find("host")
    assert found is not None
    return found


def test_banks_of_caches_are_virshs(result: Result) -> None:
    """Every attribute of each cache from the third level on, one for each of the two packages."""
    theirs, ours = (
        [bank.attrib for bank in host_of(result, name).iterfind("cache/bank")] for name in ("capabilities", "export")
    )
    assert ours == theirs
    assert [(bank["level"], bank["type"], bank["cpus"]) for bank in ours] == [("3", "both", "0"), ("3", "both", "1")]


def test_cells_are_virshs(result: Result) -> None:
    """Memory, pages, distances, and each cpu with its place, as libvirt reads them on the same machine."""
    theirs, ours = (
        [
            [(part.tag, part.attrib, (part.text or "").strip()) for part in cell.iter()]
            for cell in host_of(result, name).iterfind("topology/cells/cell")
        ]
        for name in ("capabilities", "export")
    )
    assert len(ours) == 2
    assert ours == theirs


def test_a_user_is_told_nothing_wrong(result: Result) -> None:
    """Without libvirt's records the guest is reported as paused, which it is, or its state as unknown."""
    document = result.json("user")
    assert {guest["state"] for guest in document["domains"]} <= {"paused", None}
    assert {guest["maximum"] for guest in document["domains"]} <= {256 << 20, None}
