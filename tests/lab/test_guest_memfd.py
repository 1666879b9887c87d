"""Memory of confidential guests on a real machine of two nodes: KVM under pure emulation, and control groups v2."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

import pytest

from . import collect, packages
from .guest import Lab, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine

MIB = 1 << 20
PARTS = {0: 160, 1: 96}
HOST = Machine(
    "guest-memfd",
    "guest_memfd on two nodes, in a control group of its own and in everybody's",
    Layout((Node(896, ("0",)), Node(640, ("1",))), TWO_ASYMMETRIC, sockets=2, cpu="EPYC,+svm,+npt"),
    suite="trixie",
    seconds=300,
)


def script() -> str:
    """What to run as root, with ``OUT`` set."""
    kernel = packages.kernel(HOST.suite)
    program = Path(__file__).with_name("inside_guest_memfd.py")
    parts = " ".join(f"{node}={mib}" for node, mib in PARTS.items())
    modprobe = f"{quote(packages.tool('modprobe'))} -d {quote(str(kernel.root))} -S {kernel.version}"
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            f"keep modules {modprobe} -a ccp kvm kvm-amd",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            "echo +memory >/sys/fs/cgroup/cgroup.subtree_control",
            "mkdir /sys/fs/cgroup/vm",
            "look() { # NAME GROUP",
            '    mkfifo "/run/$1"',
            f'    {quote(sys.executable)} {quote(str(program))} "$2" {parts} <"/run/$1" >"$OUT/$1.ready" 2>&1 &',
            '    exec 7>"/run/$1"',
            "    left=100",
            '    while [ ! -s "$OUT/$1.ready" ] && [ $left -gt 0 ]; do sleep 0.3; left=$((left - 1)); done',
            '    keep "$1" numaprobe domains --json',
            '    cat /proc/meminfo >"$OUT/$1.meminfo"',
            '    cat "$2/memory.numa_stat" >"$OUT/$1.numa_stat"',
            "    exec 7>&-",
            "    wait",
            "}",
            "look own /sys/fs/cgroup/vm",
            "look shared /sys/fs/cgroup",
        ]
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One machine, which runs the guest twice."""
    lines = packages.missing({HOST.suite}, set())
    if lines:
        pytest.fail("the lab is not whole:\n" + "\n".join(lines), pytrace=False)
    return Lab(tmp_path_factory.mktemp("lab")).boot(HOST, script())


def test_a_group_of_its_own_has_it_by_cell(result: Result) -> None:
    """The figures are exact and include the few MiB of the program itself."""
    assert result.text("own.ready") == "ready\n"
    document = result.json("own")
    (guest,) = document["domains"]
    assert (guest["how"], guest["unplaced"], document["complete"]) == ("exact", 0, True)
    for node, mib in PARTS.items():
        assert mib * MIB <= guest["cells"][str(node)] < (mib + 24) * MIB


def test_without_one_it_is_nobodys_and_not_the_hosts(result: Result) -> None:
    """Neither its amount nor its place is known, so the host's own memory is unknown too."""
    assert result.text("shared.ready") == "ready\n"
    document = result.json("shared")
    (guest,) = document["domains"]
    assert (guest["how"], guest["cells"], document["complete"]) == ("unknown", None, False)
    for cell in document["cells"]:
        assert cell["host"] is None
        assert cell["unattributed"] >= PARTS[cell["id"]] * MIB
