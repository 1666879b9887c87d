"""Control domains with paused guests beside them, and the script that makes and looks at them."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from . import collect, packages
from .layout import Layout, Node
from .machines import RELEASES, TWO_ASYMMETRIC, Machine

# Not a power of two, and not alike, so that a figure cannot be taken for another.
GUESTS = {"first": (200, 2, "4-5"), "second": (136, 3, None)}  # MiB, vcpus, cpus

_TWO = Layout((Node(2560, ("0-3",)), Node(1536, ("4-7",))), TWO_ASYMMETRIC, 2, 4)
HOSTS = (
    *(
        Machine(
            f"guests-xen-{release}",
            f"Xen {release}: two paused guests and the control domain on two nodes",
            _TWO,
            suite,
            xen="numa=on",
            dom0_mib=768,
            seconds=400,
        )
        for release, suite in RELEASES.items()
    ),
    Machine(
        "guests-xen-one-node",
        "a single node leaves a guest no other place",
        Layout((Node(2048, ("0-3",)),), cores=4),
        xen="numa=on",
        dom0_mib=768,
        seconds=400,
    ),
)

_LOOK = """
keep domains numaprobe domains --json
keep domains-key numaprobe domains --json --debug-key
keep domains-limit numaprobe domains --debug-key --debug-key-limit 100M
keep domains-text numaprobe domains
keep free-cells numaprobe free --json
keep xl-list-n toolstack xl list -n
keep xl-list-v toolstack xl list -v
keep xl-vcpu-list toolstack xl vcpu-list
keep keys toolstack xl debug-keys u
sleep 1
keep xl-dmesg toolstack xl dmesg
keep cost inside_domains
keep recorded numaprobe record --domains "$OUT/host.tar.gz"
keep anonymous numaprobe record --domains --anonymous "$OUT/anonymous.tar.gz"
"""


def inside() -> str:
    """A shell function that runs the module beside this one in the guest."""
    module = Path(__file__).with_name("inside_domains.py")
    return f'inside_domains() {{ {quote(sys.executable)} {quote(str(module))} "$@"; }}'


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set."""
    kernel = packages.kernel(machine.suite)
    made = []
    for name, (mib, vcpus, wanted) in GUESTS.items():
        cpus = wanted if wanted is None or machine.layout.cpus == 8 else "2-3"
        lines = [f'name="{name}"', f'kernel="{kernel.image}"', f"memory={mib}", f"vcpus={vcpus}"]
        lines += [f'cpus="{cpus}"'] if cpus else []
        made += [f"cat >/run/{name}.cfg <<'END'", *lines, "END"]
        made += [f"keep create-{name} toolstack xl create -p /run/{name}.cfg"]
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            collect._toolstack(packages.xen(machine.suite)),
            inside(),
            collect._DAEMONS,
            "keep xenconsoled toolstack xenconsoled",
            *made,
            "sleep 2",
            _LOOK,
        ]
    )
