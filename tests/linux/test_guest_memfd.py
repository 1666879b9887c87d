"""Memory of confidential guests: in no numa_maps and no resident size, and yet never counted for the host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EACCES
from pathlib import Path

import pytest
from processes import GROUP, MIB, PRIVATE, RESIDENT_KB, found_on, group, machine, process
from trees import Link, Machine, Shelf, plant

import numaprobe
from numaprobe.linux.collect import collect as collect_host
from numaprobe.normalise.domains import account
from numaprobe.normalise.linux import from_linux

FD = {"proc/500/fd/7": Link("anon_inode:[kvm-gmem]"), "proc/500/fd/0": Link("/dev/null")}
FIGURES = {
    "anon": f"N0=0 N1={RESIDENT_KB << 10}",
    "file": f"N0={68 * MIB} N1={99 * MIB}",
    "shmem": "N0=0 N1=0",
    "active_file": f"N0={3 * MIB} N1={1 * MIB}",
    "inactive_file": f"N0={1 * MIB} N1={2 * MIB}",
    "unevictable": f"N0={64 * MIB - 65536} N1={95 * MIB}",
}


def confidential(*more: Machine, cgroup: str = "/machine.slice/vm1.scope") -> Machine:
    return machine(process(500, cgroup=cgroup), FD, *more)


def test_a_group_of_its_own_counts_it_by_cell() -> None:
    """File pages that are on no list of the page cache, checked against what can never be swapped."""
    found = found_on(confidential(group(**FIGURES)))
    assert found[0].cells == ((0, 64 * MIB), (1, 96 * MIB + (RESIDENT_KB << 10)))
    assert (found[0].how, found[0].unplaced, found.complete) == ("exact", 0, True)


@pytest.mark.parametrize(
    "change",
    [
        {f"{GROUP}/cgroup.procs": "500\n501\n"},
        group(**{**FIGURES, "unevictable": "N0=0 N1=0"}),
        group(**{**FIGURES, "file": "N0=0 N1=0", "active_file": "N0=0 N1=0", "inactive_file": "N0=0 N1=0"}),
        {f"{GROUP}/memory.numa_stat": None},
    ],
    ids=["not alone", "figures that contradict each other", "charged elsewhere", "no controller"],
)
def test_without_one_its_place_is_unknown_and_it_is_not_the_hosts(change: Machine) -> None:
    """The rest of the guest's memory is not called exact either."""
    tree = confidential(group(**FIGURES)) | change
    tree = {path: content for path, content in tree.items() if content is not None}
    found = found_on(tree)
    assert (found[0].how, found[0].cells, found[0].memory, found.complete) == ("unknown", None, None, False)
    for use in account(from_linux(collect_host(Shelf(tree))), found):
        assert (use.host, use.unattributed) == (None, use.total - use.free)


def test_a_group_of_version_1_counts_it_too() -> None:
    """As unevictable, in pages; the rest is in the maps."""
    directory = "sys/fs/cgroup/memory/vm1"
    tree = confidential(cgroup="/")
    tree["proc/self/mountinfo"] = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    tree["proc/500/cgroup"] = "4:memory:/vm1\n0::/\n"
    tree |= {
        f"{directory}/cgroup.procs": "500\n",
        f"{directory}/memory.numa_stat": "total=9 N0=9 N1=0\nunevictable=40960 N0=16384 N1=24576\n",
        f"{directory}/memory.stat": f"cache {160 * MIB}\nshmem 0\nactive_file 0\ninactive_file 4096\n",
    }
    found = found_on(tree)
    assert found[0].cells == ((0, PRIVATE[0] + 64 * MIB), (1, PRIVATE[1] + 96 * MIB))
    assert (found[0].how, found.complete) == ("exact", True)
    tree[f"{directory}/memory.stat"] = "cache 0\nshmem 0\nactive_file 0\ninactive_file 0\n"
    assert found_on(tree)[0].how == "unknown"


@pytest.mark.parametrize("anonymous", [False, True])
def test_a_recording_keeps_the_group_of_version_1(tmp_path: Path, anonymous: bool) -> None:
    """Its hierarchy, the process's group in it, and the figures; other controllers' are left out."""
    directory = "sys/fs/cgroup/memory/vm1"
    tree = confidential(cgroup="/")
    tree["proc/self/mountinfo"] = (
        "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    tree["proc/500/cgroup"] = "5:cpu:/secret\n4:memory:/vm1\n0::/\n"
    tree |= {
        f"{directory}/cgroup.procs": "500\n",
        f"{directory}/memory.numa_stat": "total=9 N0=9 N1=0\nunevictable=40960 N0=16384 N1=24576\n",
        f"{directory}/memory.stat": f"cache {160 * MIB}\nshmem 0\nactive_file 0\ninactive_file 4096\n",
    }
    root, name = plant(tmp_path / "root", tree), tmp_path / "host.tar"
    numaprobe.record(name, root=root, domains=True, anonymous=anonymous)
    expected = numaprobe.domains(numaprobe.probe(root), root=root)
    found = numaprobe.domains(numaprobe.probe(recording=name), recording=name)
    assert found[0].how == expected[0].how == "exact"
    assert found[0].cells == expected[0].cells == ((0, PRIVATE[0] + 64 * MIB), (1, PRIVATE[1] + 96 * MIB))
    assert b"secret" not in name.read_bytes()
    assert (b"vm1" in name.read_bytes()) is not anonymous


@pytest.mark.parametrize(("mib", "how"), [(160, "exact"), (200, "unknown")])
def test_a_process_that_was_moved_to_its_group_may_have_left_some_elsewhere(mib: int, how: str) -> None:
    """Memory stays charged to the previous group, unless the new one has all that the machine has."""
    tree = confidential(group(**{**FIGURES, "anon": "N0=0 N1=0"}))
    tree["proc/meminfo"] = f"MemTotal: 9 kB\nUnevictable: {mib << 10} kB\nMlocked: 0 kB\n"
    (guest,) = found_on(tree)
    assert guest.how == how
    if how == "exact":
        assert guest.cells == ((0, PRIVATE[0] + 64 * MIB), (1, PRIVATE[1] + 96 * MIB))


def test_descriptors_are_looked_at_only_where_there_may_be_some() -> None:
    """Such memory is unevictable without being locked, and without any on the host no descriptor is read."""
    tree = confidential(cgroup="/")
    # Counters of each CPU's own are added in batches: less than a MiB may be nothing, more may not.
    tree["proc/meminfo"] = "MemTotal: 9 kB\nUnevictable: 5000 kB\nMlocked: 4900 kB\n"
    assert found_on(tree)[0].how == "exact"
    tree["proc/meminfo"] = "MemTotal: 9 kB\nUnevictable: 6500 kB\nMlocked: 4900 kB\n"
    assert found_on(tree)[0].how == "unknown"
    tree["proc/meminfo"] = "MemTotal: 9 kB\nUnevictable: 500000 kB\nMlocked: 4900 kB\n"
    assert found_on(tree)[0].how == "unknown"


def test_descriptors_that_may_not_be_looked_at_leave_a_doubt() -> None:
    """Only the group can dispel it: without unexplained pages there is no such memory."""
    plain = {**FIGURES, "file": f"N0={4 * MIB} N1={3 * MIB}"}
    found = found_on(confidential(group(**plain)), {"proc/500/fd": EACCES})
    assert (found[0].how, found.complete) == ("exact", True)
    found = found_on(confidential(group(**FIGURES)), {"proc/500/fd": EACCES})
    assert (found[0].how, found.complete) == ("unknown", False)


PROGRAM = """
import ctypes, fcntl, os, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
size = 64 << 20
machine = fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), 0xAE01, 0)
memory = fcntl.ioctl(machine, 0xC040AED4, bytearray(struct.pack("<QQ6Q", size, 0, *[0] * 6)))
if libc.fallocate(memory, 1, 0, size):
    sys.exit(os.strerror(ctypes.get_errno()))
def vcpu():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as file:
        file.write("fc_vcpu 0")
    print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=vcpu, daemon=True).start()
sys.stdin.read()
"""


@contextmanager
def guest(before: Sequence[str] = ()) -> Iterator[int]:
    """A process with 64 MiB of it; skips where this machine's KVM makes none."""
    run = subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdin is not None
    assert run.stdout is not None
    assert run.stderr is not None
    try:
        if not run.stdout.readline():
            pytest.skip(f"no guest_memfd here: {run.stderr.read().decode().splitlines()[-1:]}")
        yield run.pid
    finally:
        run.stdin.close()
        run.wait()
        run.stdout.close()
        run.stderr.close()


@pytest.mark.skipif(not os.access("/dev/kvm", os.W_OK), reason="no /dev/kvm here")
def test_this_machines_kvm_makes_memory_that_is_not_the_hosts() -> None:
    """The running kernel is tried: without a group of the guest's own its amount is unknown and nothing exact."""
    host = numaprobe.probe(source="linux", available=False)
    with guest() as pid:
        found = numaprobe.domains(host)
        (domain,) = [domain for domain in found if domain.id == pid]
        assert (domain.kind, domain.how, found.complete) == ("firecracker", "unknown", False)
        assert {use.host for use in numaprobe.account(host, found)} == {None}


MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(not os.access("/dev/kvm", os.W_OK), reason="no /dev/kvm here")
@pytest.mark.skipif(not os.access(MEMORY / "memory.numa_stat", os.W_OK | os.F_OK), reason="no control groups v1")
def test_this_machines_groups_of_version_1_count_it() -> None:
    """The figure is 64 MiB and what the program itself holds."""
    directory = MEMORY / f"numaprobe-test-{os.getpid()}"
    directory.mkdir()
    try:
        with guest(["sh", "-c", f'echo $$ >{directory}/cgroup.procs && exec "$@"', "sh"]) as pid:
            (domain,) = [d for d in numaprobe.domains(numaprobe.probe(source="linux")) if d.id == pid]
            assert domain.how == "exact"
            assert domain.memory is not None
            assert 64 * MIB <= domain.memory < 100 * MIB
    finally:
        directory.rmdir()
