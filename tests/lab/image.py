"""The initial RAM disk: busybox and the few modules that let a guest use this machine's own root file system.

The guest mounts the host's ``/`` read-only over 9p under a tmpfs overlay, so that it has the same Python, virtual
environment and built extension under the same paths, and no disk image is ever built. A second 9p share carries the
script in and the results out.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
from pathlib import Path

from .packages import Kernel, tool

LINUX_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
XEN_MODULES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xenfs")
SHARE = "/lab"  # in the guest
# On the kernel's command line: this machine's own systemd is init, and runs the script.
SYSTEMD = "systemd.unit=lab.service"
# Left out: what would set up disks and devices, or tidy up files, of the machine whose root file system this is.
_UNWANTED = "udevd udev-trigger tmpfiles-setup tmpfiles-setup-dev journal-flush sysusers random-seed"

_INIT = f"""#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /lower /rw /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose hostroot /lower
mount -t tmpfs -o mode=755 rw /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /root
for place in proc sys dev; do mount -o move "/$place" "/root/$place"; done
mkdir -p /root/dev/pts /root/dev/shm /root{SHARE}
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t tmpfs -o mode=755 run /root/run
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none share /root{SHARE}
if [ -e /root/proc/xen ]; then mount -t xenfs xenfs /root/proc/xen; fi
case $(cat /root/proc/cmdline) in *{SYSTEMD}*)
    # With these, systemd takes the machine for a container, and its own words for the kernel's command line.
    rm -f /root/.dockerenv /root/run/.containerenv
    mkdir -p /root/run/systemd/system
    for unit in {_UNWANTED}; do ln -s /dev/null "/root/run/systemd/system/systemd-$unit.service"; done
    printf '%s\\n' '[Unit]' 'DefaultDependencies=no' 'After=basic.target' 'Wants=basic.target' \\
        'SuccessAction=poweroff-force' 'FailureAction=poweroff-force' '[Service]' 'Type=oneshot' \\
        'ExecStart=/bin/sh -c "/bin/sh {SHARE}/script >{SHARE}/stdout 2>{SHARE}/stderr; echo $$? >{SHARE}/status; sync"' \\
        >/root/run/systemd/system/lab.service
    exec switch_root /root /lib/systemd/systemd
esac
chroot /root /bin/sh {SHARE}/script >/root{SHARE}/stdout 2>/root{SHARE}/stderr </root/dev/null
echo $? >/root{SHARE}/status
sync
poweroff -f
"""


def modules(kernel: Kernel, names: tuple[str, ...]) -> list[Path]:
    """The modules and what they depend on, in the order they are to be inserted."""
    order: list[Path] = []
    for name in names:
        run = subprocess.run(
            [tool("modprobe"), "-d", kernel.root, "-S", kernel.version, "--show-depends", name],
            capture_output=True,
            text=True,
            check=True,
        )
        for line in run.stdout.splitlines():
            verb, _, path = line.partition(" ")
            module = Path(path.strip())
            if verb == "insmod" and module not in order:
                order.append(module)
    return order


def write(target: Path, kernel: Kernel, names: tuple[str, ...]) -> Path:
    """An initial RAM disk that starts a guest of this kernel; busybox must be the static one."""
    files: dict[str, tuple[int, bytes]] = {
        "bin": (0o040755, b""),
        "modules": (0o040755, b""),
        "init": (0o100755, _INIT.encode()),
        "bin/busybox": (0o100755, Path(tool("busybox")).read_bytes()),
    }
    order = []
    for path in modules(kernel, names):
        data = path.read_bytes()
        name = path.name.removesuffix(".xz")
        files[f"modules/{name}"] = (0o100644, lzma.decompress(data) if path.suffix == ".xz" else data)
        order.append(name)
    files["modules/order"] = (0o100644, "".join(f"{name}\n" for name in order).encode())
    target.write_bytes(gzip.compress(_archive(files), compresslevel=1))
    return target


def _archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive in the "newc" form (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    for inode, (name, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], start=1):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)
