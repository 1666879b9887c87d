"""What a recording keeps of guests, file by file and to the letter, with their names and without.

``tests/recording/kept/`` has it. ``pytest tests/recording/test_recorded_kept.py --rewrite`` writes it anew; read the
difference before you commit it: whatever is added there leaves the host.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trees
from kept import agrees
from processes import GROUP, QEMU, group, machine, process

import numaprobe

KEPT = Path(__file__).parent / "kept"
MAPS = """\
7f0000000000 bind:1 anon=24576 dirty=24576 active=0 N1=24576 kernelpagesize_kB=4
7f1000000000 default file=/opt/private/lib.so anon=3 dirty=3 mapped=10 N0=6 N1=4 kernelpagesize_kB=4
7f3000000000 default file=/dev/shm/private dirty=9 N0=9 kernelpagesize_kB=4
7f4000000000 default file=/memfd:private\\040(deleted) huge dirty=2 N1=2 kernelpagesize_kB=2048
7f5000000000 default heap anon=5 N0=5 kernelpagesize_kB=4
"""


LIBVIRT = """<domstatus state='running' reason='booted' pid='{pid}'><domain type='kvm' id='3'><name>private</name>
<uuid>cccccccc-0000-1111-2222-333333333333</uuid><memory unit='KiB'>98304</memory><vcpu current='2'>4</vcpu>
<devices><disk><source file='/srv/private.img'/></disk></devices></domain></domstatus>
"""


def two_guests() -> trees.Machine:
    """One in a control group, one that maps files of every kind and whose threads are named as KVM's, and another."""
    second = QEMU.replace("vm1", "web,front").replace("AAAA", "BBBB") + "-drive\0file=/srv/private.img\0"
    threads = (("CPU 0/KVM", "S", 9, "2"), ("CPU 1/KVM", "R", 9, "3"), ("worker", "S", 1, "0-3"))
    return machine(
        process(500, cgroup="/machine.slice/vm1.scope"),
        process(600, cmdline=second, maps=MAPS, vcpus=threads, cgroup="/private.slice", guest_ticks=7, huge_kb=4096),
        process(700, cmdline="/usr/bin/sleep\x0060\0", vcpus=(), cgroup="/machine.slice/vm1.scope"),
        group(GROUP, "500\n700\n", anon="N0=1658880 N1=103149568"),
        {f"run/libvirt/qemu/{name}.xml": LIBVIRT.format(pid=pid) for name, pid in (("vm1", 500), ("other", 700))},
    )


def told(recording: Path) -> Iterator[str]:
    with tarfile.open(recording) as tar:
        for member in sorted(tar, key=lambda member: member.name):
            if (
                "proc/" in member.name
                or "cgroup" in member.name
                or "libvirt" in member.name
                or "sys/" not in member.name
            ):
                yield f"{member.name} {member.linkname}".rstrip()
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None and not member.name.endswith(".json"):
                    yield from (f"  {line!r}" for line in content.read().splitlines())


@pytest.mark.parametrize("anonymous", [False, True], ids=["named", "anonymous"])
def test_a_recording_keeps_what_it_did(anonymous: bool, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Each file of two guests; nothing of the process that is none."""
    root = trees.plant(tmp_path / "root", two_guests())
    target = tmp_path / "host.tar"
    numaprobe.record(target, root=root, domains=True, anonymous=anonymous)
    agrees(KEPT / f"{'anonymous' if anonymous else 'named'}.txt", told(target), pytestconfig)
