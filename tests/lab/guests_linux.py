"""A machine of four nodes with real QEMU guests on it, and the script that starts and looks at them."""

from __future__ import annotations

from dataclasses import replace
from shlex import quote

from . import collect, packages
from .guests_xen import inside
from .layout import Layout, Node
from .machines import FOUR_ASYMMETRIC, Machine

HOST = Machine(
    "guests-linux",
    "QEMU guests bound to a node, interleaved, on huge pages, and stopped",
    Layout((Node(1024, ("0",)), Node(512, ("1",)), Node(512, ("2",)), Node(512, ("3",))), FOUR_ASYMMETRIC, sockets=4),
    before="echo 24 >/sys/devices/system/node/node2/hugepages/hugepages-2048kB/nr_hugepages",
    seconds=500,
)


def _bridge(number: int, node: int, device: str) -> tuple[str, ...]:
    """QEMU's arguments for a device behind a host bridge of a node."""
    words = (
        f"pxb-pcie,id=bridge{number},bus_nr={32 * number},bus=pcie.0,numa_node={node}",
        f"pcie-root-port,id=port{number},bus=bridge{number},chassis={number},slot={number}",
        f"{device},bus=port{number}",
    )
    return tuple(word for argument in words for word in ("-device", argument))


# The same with a network card and a disk, for the pages and pictures of the documentation.
RECORDED = replace(
    HOST,
    name="guests-and-devices",
    why="QEMU guests bound to a node, interleaved, on huge pages, and stopped; a network card and a disk of two nodes",
    layout=replace(
        HOST.layout,
        more=(
            *("-drive", "if=none,id=disk,format=raw,file=null-co://"),
            *_bridge(1, 0, "virtio-net-pci"),
            *_bridge(2, 2, "nvme,drive=disk,serial=1"),
        ),
    ),
    modules=("virtio_net", "nvme"),
)

# name: MiB, and the memory backend
GUESTS = {
    "bound": (96, "memory-backend-ram,id=m0,size=96M,host-nodes=1,policy=bind,prealloc=on"),
    "spread": (64, "memory-backend-ram,id=m0,size=64M,host-nodes=0-3,policy=interleave,prealloc=on"),
    "huge": (32, "memory-backend-memfd,id=m0,size=32M,hugetlb=on,hugetlbsize=2M,host-nodes=2,policy=bind,prealloc=on"),
    "halted": (48, "memory-backend-ram,id=m0,size=48M,host-nodes=3,policy=bind,prealloc=on"),
    "shared": (40, "memory-backend-memfd,id=m0,size=40M,share=on,host-nodes=0,policy=bind,prealloc=on"),
}

_START = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "+memory +hugetlb" >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/vms
echo "+memory +hugetlb" >/sys/fs/cgroup/vms/cgroup.subtree_control
start() { # NAME MIB BACKEND
    mkdir "/sys/fs/cgroup/vms/$1"
    sh -c 'echo $$ >"/sys/fs/cgroup/vms/$0/cgroup.procs"; exec "$@"' "$1" \\
        "$QEMU" -name "guest=$1,debug-threads=on" -uuid 11111111-2222-3333-4444-555555555555 -accel tcg -S -m "$2" \\
        -smp 2 -display none -nodefaults -machine pc,memory-backend=m0 -object "$3" \\
        -qmp "unix:/run/$1.sock,server=on,wait=off" >"$OUT/$1.log" 2>&1 </dev/null &
    echo $! >"/run/$1.pid"
    # The socket is made when the memory is.
    local left=200
    while [ ! -S "/run/$1.sock" ] && [ $left -gt 0 ]; do sleep 0.3; left=$((left - 1)); done
    cp "/run/$1.pid" "$OUT/$1.pid"
}
look() { # NAME OF THE LOOK
    for pid in /run/*.pid; do
        name=${pid##*/}
        name=${name%.pid}
        cat "/proc/$(cat "$pid")/numa_maps" >"$OUT/$name.maps-$1"
    done
}
"""

# What is compared was looked at one after the other: emulators that still start, on a busy machine, are waited for.
_SETTLED = """
before=
alike=0
for _ in $(seq 120); do
    now=$(cat /sys/fs/cgroup/vms/*/memory.current)
    if [ "$now" = "$before" ]; then alike=$((alike + 1)); else alike=0; fi
    [ $alike -lt 4 ] || break
    before=$now
    sleep 1
done
"""

_LOOK = """
kill -STOP $(cat /run/halted.pid)
look before
keep by-group numaprobe domains --json
look after
keep by-group-text numaprobe domains
keep group-alone numaprobe domains --json --cgroup vms/bound --cgroup vms
for name in bound spread huge halted shared; do keep "$name.numastat" numastat -p "$(cat /run/$name.pid)"; done
keep cost inside_domains
keep unprivileged unprivileged domains --json
keep recorded numaprobe record --domains "$OUT/host.tar.gz"
keep by-group-later numaprobe domains --json
umount -l /sys/fs/cgroup
look middle
keep by-maps numaprobe domains --json
look last
keep sampled numaprobe domains --json --sampled
keep sampled-unprivileged unprivileged domains --json --sampled
keep free numaprobe free --json
"""


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set."""
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            inside(),
            f"QEMU={quote(packages.tool('qemu-system-x86_64'))}",
            _START,
            *(f"start {name} {mib} {quote(backend)}" for name, (mib, backend) in GUESTS.items()),
            _SETTLED,
            _LOOK,
        ]
    )
