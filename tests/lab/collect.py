"""The script a guest runs: every witness and every view of numaprobe's, each into a file of its own.

``NAME`` holds what a command printed, ``NAME.status`` its exit status and, if it said anything, ``NAME.stderr`` that.
All of it is taken in one quiet boot, and what is compared to the page is taken in one breath.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from shlex import quote

from . import packages
from .machines import Machine

_KEEP = """
keep() { # NAME COMMAND ...
    local name=$1 status=0
    shift
    "$@" >"$OUT/$name" 2>"$OUT/$name.stderr" || status=$?
    echo $status >"$OUT/$name.status"
    [ -s "$OUT/$name.stderr" ] || rm "$OUT/$name.stderr"
}
values() { # FILE ...: PATH:LINE of each that is there, by one process
    grep -sH "" "$@" || true
}
"""

_WITNESSES = """
keep numactl numactl -H
keep lscpu lscpu
keep lscpu-p lscpu -a -p=CPU,CORE,SOCKET,NODE,ONLINE
keep lstopo lstopo-no-graphics --of xml
keep free-b free -b
keep huge values /sys/devices/system/node/node*/hugepages/*/*_hugepages
keep siblings values /sys/devices/system/cpu/cpu*/topology/thread_siblings_list
keep distances values /sys/devices/system/node/node*/distance
keep nodes values /sys/devices/system/node/online /sys/devices/system/node/possible
keep hmat values /sys/devices/system/node/node*/access*/initiators/*_* /sys/devices/system/node/node*/memory_side_cache/index*/*
keep initiators sh -c 'ls -d /sys/devices/system/node/node*/access*/initiators/node*'
keep tiers values /sys/devices/virtual/memory_tiering/memory_tier*/nodelist
keep isolated values /sys/devices/system/cpu/isolated /sys/devices/system/cpu/nohz_full
keep pci values /sys/bus/pci/devices/*/numa_node
keep kernel uname -r
"""

_PROBES = """
keep show numaprobe show --json
keep show-user unprivileged show --json
keep record numaprobe record "$OUT/host.tar.gz"
"""

_QUIET = """
keep inside inside
keep free numaprobe free --json
"""

_DAEMONS = """
mkdir -p /run/xen /run/lock /run/xenstored /var/run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen
keep xl-dmesg-boot toolstack xl dmesg
keep xenstored toolstack xenstored
keep xen-init-dom0 toolstack xen-init-dom0
"""

# Free memory is compared to the page, so these follow each other with nothing between.
_XEN = """
keep free-cells numaprobe free --json
keep xl-info-n toolstack xl info -n
keep keys toolstack xl debug-keys u
sleep 1
keep xl-dmesg toolstack xl dmesg
keep show-linux numaprobe show --json --source linux
keep numactl numactl -H
keep lscpu-p lscpu -a -p=CPU,CORE,SOCKET,NODE,ONLINE
keep lscpu lscpu
keep free-b free -b
"""

_EXPORTS = """
keep export-hwloc numaprobe export hwloc
keep export-libvirt numaprobe export libvirt
keep export-libvirt-11 numaprobe export libvirt --libvirt-version 11
keep lstopo-machine env HWLOC_XMLFILE="$OUT/export-hwloc" lstopo-no-graphics --of xml
keep lstopo-dom0 lstopo-no-graphics --of xml
"""


def script(machine: Machine) -> str:
    """What to run on the machine, as root, with ``OUT`` set."""
    lines = ["cd /", _KEEP, _numaprobe()]
    if machine.xen is None:
        return "\n".join([*lines, _WITNESSES, _PROBES, _QUIET])
    # The bare dom0 comes first: numaprobe needs none of the daemons that xl waits for.
    return "\n".join(
        [*lines, _toolstack(packages.xen(machine.suite)), _PROBES, _DAEMONS, _XEN, _EXPORTS if machine.exports else ""]
    )


def _numaprobe() -> str:
    """Shell functions that run this process's own Python, with its own numaprobe, as root and as nobody."""
    python = Path(sys.executable)
    found = importlib.util.find_spec("numaprobe")
    places = [python.parent, python.resolve().parent, Path(sys.prefix), Path(sys.base_prefix)]
    path = [place for place in (os.environ.get("PYTHONPATH"),) if place]
    if found is not None and found.origin is not None:
        package = Path(found.origin).resolve().parent
        places.append(package)
        path.insert(0, str(package.parent))
    # Only in the guest's overlay: a home folder may be closed to the user that stands for everyone.
    doors = sorted({str(parent) for place in places for parent in (place, *place.parents)})
    user = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    return f"""
export PYTHONPATH={quote(os.pathsep.join(path))} HOME=/root LC_ALL=C.UTF-8
export PATH={quote(os.environ.get("PATH", ""))}:/usr/sbin:/usr/bin:/sbin:/bin
chmod a+rx {" ".join(map(quote, doors))}
numaprobe() {{ {quote(str(python))} -m numaprobe "$@"; }}
inside() {{ {quote(str(python))} {quote(str(Path(__file__).with_name("inside.py")))}; }}
unprivileged() {{ {user} {quote(str(python))} -m numaprobe "$@"; }}
"""


def _toolstack(xen: packages.Xen) -> str:
    """A shell function that runs a program of this Xen release on the loader and libraries of its own suite."""
    libraries = xen.root / "usr/lib/x86_64-linux-gnu"
    return f"""
toolstack() {{
    local program=$1
    shift
    {quote(str(libraries / "ld-linux-x86-64.so.2"))} --library-path {quote(str(libraries))} \\
        {quote(str(xen.programs))}/"$program" "$@"
}}
"""
