"""Guests on Linux: how they are found, what is counted as theirs, and what is said when it cannot be known."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from errno import EACCES, EOPNOTSUPP
from pathlib import Path

import pytest
import trees
from processes import GROUP, MIB, PRIVATE, RESIDENT_KB, UNPLACED, found_on, group, machine, process
from trees import Machine, Shelf

import numaprobe
from numaprobe.errors import FactError
from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests import command_line, numa_maps, threads
from numaprobe.linux.guests.collect import collect
from numaprobe.linux.guests.facts import Found
from numaprobe.linux.text import numa_maps as scan
from numaprobe.model.domains import Affinity, GuestCell
from numaprobe.normalise.domains import account
from numaprobe.normalise.linux import from_linux


def test_a_guest_is_what_its_command_line_and_its_maps_say() -> None:
    """Program files are not its memory, and a page without a node is counted apart."""
    (guest,) = found_on(machine(process(500)))
    assert (guest.id, guest.kind, guest.name) == (500, "qemu", "vm1")
    assert guest.uuid == "aaaaaaaa-0000-1111-2222-333333333333"
    assert guest.cells == tuple(PRIVATE.items())
    assert (guest.unplaced, guest.memory) == (UNPLACED, sum(PRIVATE.values()) + UNPLACED)
    assert (guest.how, guest.how_from) == ("exact", "proc/500/numa_maps")
    assert (guest.maximum, guest.vcpus, guest.vcpus_maximum) == (96 * MIB, 2, 4)
    assert guest.affinity == Affinity((0, 1, 2, 3), (1,))
    assert (guest.claimed, guest.paged, guest.pool) == (None, None, None)


def test_a_group_of_its_own_tells_the_same_as_the_maps_for_less() -> None:
    """The kernel keeps a group's figures up to date, and neither way counts page cache."""
    anonymous = f"N0={405 * 4096} N1={25183 * 4096 + UNPLACED}"
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=anonymous, shmem="N0=0 N1=8192"))
    (guest,) = found_on(tree)
    assert guest.cells == ((0, 405 * 4096), (1, 25183 * 4096 + UNPLACED + 8192))
    assert (guest.how, guest.how_from, guest.unplaced) == ("exact", f"{GROUP}/memory.numa_stat", 0)


def test_a_group_above_that_holds_only_the_guest_will_do() -> None:
    """Libvirt puts the process below the group that has the memory controller."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope/libvirt/emulator"))
    tree |= group(pids="", anon=f"N0={25591 * 4096}")
    tree[f"{GROUP}/cgroup.stat"] = "nr_descendants 3\n"
    tree[f"{GROUP}/libvirt/cgroup.procs"] = "500\n"
    tree[f"{GROUP}/libvirt/cgroup.stat"] = "nr_descendants 2\n"
    for name in ("emulator", "vcpu0"):
        tree[f"{GROUP}/libvirt/{name}/cgroup.stat"] = "nr_descendants 0\n"
    assert found_on(tree)[0].how_from == f"{GROUP}/memory.numa_stat"


@pytest.mark.parametrize("name", ["cgroup.procs", "memory.numa_stat"])
def test_a_broken_file_of_a_group_costs_the_group_and_not_the_guests(name: str) -> None:
    """The maps are read instead, and a note quotes what is not understood."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=f"N0={25591 * 4096}"))
    assert found_on(tree)[0].how_from == f"{GROUP}/memory.numa_stat"
    tree[f"{GROUP}/{name}"] = "anon N0=?\n"
    found = found_on(tree)
    assert (found[0].how, found[0].how_from, found[0].cells) == ("exact", "proc/500/numa_maps", tuple(PRIVATE.items()))
    assert any(name in note.where and "'" in note.text for note in found.notes)


def test_a_group_of_more_processes_than_a_row_has_is_read() -> None:
    """Ten thousand processes in one group are more than 64 kB of numbers."""
    numbers = "".join(f"{number}\n" for number in range(100_000, 112_000))
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=f"N0={25591 * 4096}"))
    tree[f"{GROUP}/cgroup.procs"] = numbers
    assert found_on(tree)[0].how_from == "proc/500/numa_maps", "the group is not the guest's alone"


@pytest.mark.parametrize(
    "change",
    [
        {f"{GROUP}/cgroup.procs": "500\n501\n"},
        {
            f"{GROUP}/cgroup.stat": "nr_descendants 1\n",
            f"{GROUP}/helper/cgroup.procs": "7\n",
            f"{GROUP}/helper/cgroup.stat": "nr_descendants 0\n",
        },
        {f"{GROUP}/cgroup.stat": "nr_descendants 1\n"},
        {f"{GROUP}/memory.numa_stat": "anon N0=104857600 N1=209715200\nshmem N0=0\n"},
        {f"{GROUP}/memory.numa_stat": "anon N0=0\nshmem N0=0\n"},
        {f"{GROUP}/memory.numa_stat": None},
    ],
    ids=["another process", "a helper below", "a hidden group", "charges of others", "moved in later", "no controller"],
)
def test_a_group_that_is_not_the_guests_alone_is_not_used(change: Machine) -> None:
    """Its maps are exact whatever the group includes."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group(anon=f"N1={25591 * 4096}")) | change
    (guest,) = found_on({path: content for path, content in tree.items() if content is not None})
    assert (guest.how_from, guest.cells) == ("proc/500/numa_maps", tuple(PRIVATE.items()))


def test_huge_pages_are_taken_from_their_own_controller() -> None:
    """They are not in memory.numa_stat; without their own file the maps are read."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope", huge_kb=16384), group(anon=f"N1={25591 * 4096}"))
    assert found_on(tree)[0].how_from == "proc/500/numa_maps"
    tree[f"{GROUP}/hugetlb.2MB.numa_stat"] = "total=16777216 N0=4194304 N1=12582912\n"
    (guest,) = found_on(tree)
    assert guest.cells == ((0, 4 * MIB), (1, 12 * MIB + 25591 * 4096))


def test_huge_pages_of_every_size_are_counted_by_their_size() -> None:
    """Counts in numa_maps are in units of the mapping's own page size."""
    maps = (
        "7f0000000000 bind:0 file=/dev/hugepages/vm1 huge dirty=12 N0=12 kernelpagesize_kB=2048\n"
        "7f8000000000 bind:1 file=/anon_hugepage\\040(deleted) huge anon=1 dirty=1 N1=1 kernelpagesize_kB=1048576\n"
    )
    (guest,) = found_on(machine(process(500, maps=maps)))
    assert guest.cells == ((0, 24 * MIB), (1, 1024 * MIB))


def test_files_in_memory_are_memory_and_other_files_are_not() -> None:
    """memfd, tmpfs wherever it is mounted, and the files that the command line names for memory."""
    line = "qemu-kvm\0-object\0memory-backend-file,id=m,size=1M,mem-path=/var/lib/ram,share=on\0"
    files = (
        "/memfd:ram\\040(deleted)",
        "/dev/shm/ram",
        "/run/my\\040place/ram",
        "/var/lib/ram",
        "/var/lib/other",
        "/run/other",
    )
    maps = "".join(
        f"7f{position}000000000 default file={file} mapped=1 N{position % 2}=1 kernelpagesize_kB=4\n"
        for position, file in enumerate(files)
    )
    (guest,) = found_on(machine(process(500, cmdline=line, maps=maps)))
    assert guest.cells == ((0, 2 * 4096), (1, 2 * 4096))


def shared(pages: int) -> str:
    return f"7f0000000000 default file=/memfd:ram\\040(deleted) dirty={pages} N0={pages} kernelpagesize_kB=4\n"


def where(inode: int, offset: int = 0) -> str:
    return f"7f0000000000-7f0000010000 rw-s {offset:08x} 00:01 {inode}       /memfd:ram (deleted)\n"


def test_shared_memory_is_counted_once_for_the_process_that_has_most_of_it() -> None:
    """The other process reports how much is counted elsewhere."""
    tree = machine(process(500, maps=shared(5)), process(600, maps=shared(9)))
    tree |= {"proc/500/maps": where(77), "proc/600/maps": where(77)}
    small, large = found_on(tree)
    assert (small.cells, small.shared) == (((0, 0), (1, 0)), 5 * 4096)
    assert (large.cells, large.shared) == (((0, 9 * 4096), (1, 0)), 0)


@pytest.mark.parametrize("maps", [(where(77), where(78)), (where(77), where(77, 0x10000))], ids=["inode", "offset"])
def test_shared_memory_of_one_name_is_not_one_by_that(maps: tuple[str, str]) -> None:
    """Every memfd of QEMU has the same name, and two mappings may show different parts of one."""
    tree = machine(process(500, maps=shared(5)), process(600, maps=shared(9)))
    tree |= {"proc/500/maps": maps[0], "proc/600/maps": maps[1]}
    assert [guest.memory for guest in found_on(tree)] == [5 * 4096, 9 * 4096]


def test_what_may_not_be_read_is_unknown() -> None:
    """On a host of two cells the size alone says nothing about the place."""
    (guest,) = found_on(machine(process(500)), {"proc/500/numa_maps": EACCES})
    assert (guest.cells, guest.how) == (None, "unknown")
    assert guest.unplaced == guest.memory == RESIDENT_KB << 10


def test_on_a_single_cell_there_is_no_other_place() -> None:
    """The placement is deduced from the sizes in status, which everybody may read."""
    tree = machine(process(500)) | trees.machine({0: (0, 1, 2, 3)})
    tree = {path: content for path, content in tree.items() if "node1" not in path}
    (guest,) = found_on(tree, {"proc/500/numa_maps": EACCES})
    assert (guest.cells, guest.how, guest.unplaced) == (((0, RESIDENT_KB << 10),), "deduced", 0)


def test_other_processes_are_not_guests() -> None:
    """A command line that merely mentions a known program is not one."""
    lines = ("/bin/sh\0-c\0qemu-system-x86_64\0", "", "qemu-img\0convert\0", "/usr/bin/qemu-kvm\0-m\x001G\0")
    unnamed = (("worker", "S", 1, "0-3"),)
    tree = machine(*(process(500 + 10 * at, cmdline=line, vcpus=unnamed) for at, line in enumerate(lines)))
    assert [guest.id for guest in found_on(tree)] == [530]


def test_a_child_that_runs_a_guests_devices_is_no_guest() -> None:
    """Devices run in children of crosvm, with its command line and its memory."""
    line = "crosvm\0run\0--mem\x00512\0--name\0c1\0"
    tree = machine(process(500, cmdline=line), process(600, cmdline=line, parent=500))
    (guest,) = found_on(tree)
    assert (guest.id, guest.kind, guest.name, guest.maximum) == (500, "crosvm", "c1", 512 * MIB)


def test_a_process_that_is_ending_is_left_out() -> None:
    """It holds no memory any more, and status has no sizes of it."""
    tree = machine(process(500), process(600))
    tree["proc/600/status"] = "Name:\tqemu\nState:\tR (running)\nPid:\t600\n"
    assert [guest.id for guest in found_on(tree)] == [500]


class _Changing(Shelf):
    """A machine on which something happens when a file is read for the n-th time."""

    def __init__(self, tree: Machine, path: str, times: int, change: Machine) -> None:
        super().__init__(tree)
        self._path, self._left, self._change = path, times, change

    def _read(self, path: str) -> bytes | int:
        content = super()._read(path)
        if path == self._path:
            self._left -= 1
            if self._left == 0:
                for name, text in self._change.items():
                    self.files.pop(name, None)
                    if isinstance(text, str):
                        self.files[name] = text.encode()
        return content


@pytest.mark.parametrize(
    "change",
    [
        {"proc/500/stat": None, "proc/500/status": None},
        {"proc/500/stat": str(process(500)["proc/500/stat"]).replace(" 1000 1 1 ", " 1000 0 0 ")},
        {"proc/500/stat": process(500, began=2000)["proc/500/stat"]},
    ],
    ids=["gone", "a zombie", "another process of that number"],
)
def test_a_guest_that_goes_while_it_is_looked_at_is_left_out(change: Machine) -> None:
    """What was read of it may be of a process that was giving its memory up."""
    tree = machine(process(500))
    shelf = _Changing(tree, "proc/500/numa_maps", 1, change)
    assert collect(shelf) == Found(guests=())


@pytest.mark.parametrize(
    ("kind", "state", "vcpus", "expected"),
    [
        ("KVM", "T", ("S", 9, "kvm_vcpu_block"), "stopped"),
        ("KVM", "S", ("R", 9, "0"), "running"),
        ("KVM", "S", ("R", 0, "0"), None),
        ("KVM", "S", ("S", 9, "kvm_vcpu_block"), "running"),
        ("KVM", "S", ("S", 9, "futex_wait_queue"), "paused"),
        ("KVM", "S", ("S", 9, "0"), None),
        ("KVM", "S", ("S", 0, "0"), None),
        ("KVM", "S", ("S", 0, "futex_wait_queue"), "paused"),
        ("TCG", "S", ("S", 0, "futex_wait_queue"), None),
        ("TCG", "S", ("S", 9, "futex_wait_queue"), None),
        ("TCG", "S", ("R", 9, "0"), None),
    ],
)
def test_the_state_is_what_the_kernel_can_tell(
    kind: str, state: str, vcpus: tuple[str, int, str], expected: str | None
) -> None:
    """An emulated guest at rest and a paused one wait alike, and a thread runs before its guest does: nothing is said."""
    letter, ticks, asleep = vcpus
    guest_ticks = ticks if kind == "KVM" else 0
    tree = machine(process(500, state=state, guest_ticks=guest_ticks, vcpus=((f"CPU 0/{kind}", letter, ticks, "0-1"),)))
    tree["proc/500/task/501/wchan"] = asleep
    (guest,) = found_on(tree)
    assert guest.state == expected
    assert guest.affinity.cpus == (0, 1)
    assert guest.each_vcpu is not None
    assert (guest.each_vcpu[0].id, guest.each_vcpu[0].thread, guest.each_vcpu[0].cpu) == (0, 501, 2)


def test_threads_without_names_leave_the_vcpus_to_the_command_line() -> None:
    """QEMU names its threads only with debug-threads=on."""
    (guest,) = found_on(machine(process(500, vcpus=(("qemu-system-x86", "S", 1, "0-3"),))))
    assert (guest.vcpus, guest.vcpus_maximum, guest.each_vcpu, guest.state) == (None, 4, None, None)
    (fixed,) = found_on(machine(process(500, cmdline="kvm\0-smp\x002\0", vcpus=(("kvm", "S", 1, "0-3"),))))
    assert fixed.vcpus == 2
    assert guest.affinity.cpus == (0, 1, 2, 3)


def test_any_process_can_be_asked_for_by_its_number() -> None:
    """The answer equals that of the full list, and a number that is no process is left out."""
    tree = machine(process(500), process(600, cmdline="postgres\0", vcpus=()))
    (found,) = found_on(tree, processes=(600, 601))
    assert (found.id, found.kind, found.name, found.vcpus) == (600, "process", None, None)
    assert (found.cells, found.state) == (tuple(PRIVATE.items()), "running")


def test_a_threaded_group_that_refuses_its_list_is_no_failure() -> None:
    """As libvirt's for the emulator and each vcpu; the processes are in the list of the group above."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope/libvirt/emulator"))
    tree[f"{GROUP}/libvirt/emulator/cgroup.procs"] = EOPNOTSUPP
    tree[f"{GROUP}/libvirt/emulator/cgroup.stat"] = "nr_descendants 0\n"
    found = found_on(tree)
    assert (len(found), found.complete, found.notes) == (1, True, ())


@pytest.mark.parametrize("name", ["machine.slice/vm1.scope", "/machine.slice/vm1.scope", "/" + GROUP])
def test_any_group_can_be_asked_for_by_its_path(name: str) -> None:
    """The path may be whole or start below the mount point."""
    tree = machine(group(anon="N0=4096 N1=8192", shmem="N0=4096 N1=0"))
    (found,) = found_on(tree, processes=(), groups=(name,))
    assert (found.id, found.kind, found.how) == (name, "group", "exact")
    assert (found.cells, found.memory) == (((0, 8192), (1, 8192)), 16384)


def test_a_group_without_the_memory_controller_is_the_sum_of_its_processes() -> None:
    """Each of them is counted by its maps."""
    tree = machine(
        process(500),
        process(600),
        {f"{GROUP}/cgroup.procs": "500\n600\n", f"{GROUP}/cgroup.stat": "nr_descendants 0\n"},
    )
    (found,) = found_on(tree, processes=(), groups=("machine.slice/vm1.scope",))
    assert found.cells == tuple((node, 2 * size) for node, size in PRIVATE.items())
    assert found.unplaced == 2 * UNPLACED


@pytest.mark.parametrize("name", ["nothing/here", "../../proc/1", "a/../b", ""])
def test_a_group_that_is_not_there_is_left_out(name: str) -> None:
    """A path that climbs to a parent does not lead out of the mount either."""
    assert found_on(machine(group()), processes=(), groups=(name,)) == ()


def test_a_group_of_version_1_is_named_as_one() -> None:
    """It exists and cannot be counted, which a note says, whereas a path without a group gets none."""
    tree = machine(
        {
            "proc/self/mountinfo": "1 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup none rw,cpu\n"
            "2 1 0:2 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n",
            "sys/fs/cgroup/cpu/vm1/cgroup.procs": "500\n",
            "sys/fs/cgroup/memory/vm1/cgroup.procs": "500\n",
        }
    )
    facts = collect(Shelf(tree), processes=(), groups=("/vm1", "/other"))
    assert facts.guests == ()
    assert facts.notes == (
        (
            "control group /vm1",
            "is a group of version 1 (sys/fs/cgroup/memory/vm1), and only those of version 2 are supported",
        ),
    )


def test_every_cells_columns_add_up_to_its_total() -> None:
    """Free huge pages belong to nobody; a page without a node may be on either cell."""
    tree = machine(process(500))
    for node in (0, 1):
        for name, count in (("nr", 3), ("free", 2), ("surplus", 0)):
            tree[f"{trees.NODE}/node{node}/hugepages/hugepages-2048kB/{name}_hugepages"] = f"{count}\n"
    host = from_linux(collect_host(Shelf(tree)))
    for use in account(host, found_on(tree)):
        assert (use.pooled, use.unattributed, use.domains) == (4 * MIB, UNPLACED, ((500, PRIVATE[use.id]),))
        assert use.host is not None
        assert use.free + use.pooled + PRIVATE[use.id] + use.host + UNPLACED == use.total
    assert account(host, (), complete=False)[0].host is None


def test_what_is_free_of_a_pool_is_not_the_hosts_own_where_that_is_unknown() -> None:
    """A pool of which the free pages cannot be read leaves open whose the rest is."""
    tree = machine(process(500)) | {f"{trees.NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages": "8\n"}
    broken = tree | {f"{trees.NODE}/node0/hugepages/hugepages-2048kB/free_hugepages": "junk\n"}
    host = from_linux(collect_host(Shelf(broken)))
    first, second = account(host, found_on(broken))
    assert first.host is None
    assert first.unattributed is not None
    assert second.host is not None


def test_the_command_line_of_libvirt_is_understood() -> None:
    """Objects are JSON there, and the guest has cells of its own."""
    words = (
        "/usr/bin/qemu-system-x86_64", "-name", "guest=a,,b,debug-threads=on", "-S", "-machine", "pc-q35-7.2,usb=off",
        "-m", "size=2097152k,slots=16,maxmem=8388608k", "-smp", "4,maxcpus=8,sockets=2,cores=4,threads=1",
        "-object", '{"qom-type":"memory-backend-ram","id":"ram-node0","size":1073741824,"host-nodes":[0],"policy":"bind"}',
        "-numa", "node,nodeid=0,cpus=0-1,cpus=4-5,memdev=ram-node0",
        "-object", '{"qom-type":"memory-backend-memfd","id":"ram-node1","size":1073741824,"host-nodes":[2,3],"policy":"bind"}',
        "-numa", "node,nodeid=1,cpus=2-3,memdev=ram-node1",
        "-object", '{"qom-type":"rng-random","id":"rng0"}', "-object", "{broken", "-numa", "dist,src=0,dst=1,val=20",
    )  # fmt: skip
    line = command_line.parse("\0".join(words).encode() + b"\0")
    assert line is not None
    assert (line.name, line.vcpus, line.vcpus_maximum, line.starts_paused) == ("a,b", 4, 8, True)
    assert line.memory is None, "DIMMs may have been added in its slots"
    assert line.nodes == (0, 2, 3)
    tree = machine(process(500, cmdline="\0".join(words)))
    assert found_on(tree)[0].guest_cells == (
        GuestCell(0, 1 << 30, (0, 1, 4, 5), (0,)),
        GuestCell(1, 1 << 30, (2, 3), (2, 3)),
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cloud-hypervisor --cpus boot=4,max=8 --memory size=4G", ("cloud-hypervisor", None, 4 << 30, 4, 8)),
        ("/usr/bin/firecracker --id=f1 --api-sock /run/f", ("firecracker", "f1", None, None, None)),
        ("crosvm run --cpus 2 --mem 1024 --name c", ("crosvm", "c", 1 << 30, 2, 2)),
        ("qemu-kvm -m 1.5G -smp cpus=3 -name n", ("qemu", "n", 3 << 29, 3, 3)),
        ("kvm -m 512 -m", ("qemu", None, None, None, None)),
    ],
)
def test_every_programs_command_line_is_understood(words: str, expected: tuple[object, ...]) -> None:
    """Sizes and counts of QEMU, Cloud Hypervisor, crosvm and others; what is not given is None."""
    line = command_line.parse("\0".join(words.split()).encode())
    assert line is not None
    assert (line.program, line.name, line.memory, line.vcpus, line.vcpus_maximum) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"CPU 3/KVM", (3, True)),
        (b"CPU 12/TCG", (12, False)),
        (b"fc_vcpu 1", (1, True)),
        (b"vcpu7", (7, True)),
        (b"crosvm_vcpu2", (2, True)),
        (b"CPU 3", None),
        (b"worker", None),
        (b"vcpu", None),
        (b"ALL CPUs/TCG", None),
    ],
)
def test_threads_of_vcpus_are_known_by_their_names(name: bytes, expected: tuple[int, bool] | None) -> None:
    """Each program has its own pattern of names."""
    assert threads.vcpu_of(name) == expected


@pytest.mark.parametrize(
    "line",
    [
        "zz default N0=1 kernelpagesize_kB=4",
        "7f00 default N0=1",
        "7f00 default N0=x kernelpagesize_kB=4",
        "7f00 default N0= kernelpagesize_kB=4",
        "7f00 default N1024=1 kernelpagesize_kB=4",
        "7f00 default N0=99999999999999 kernelpagesize_kB=4",
        "11112222333344445 default N0=1 kernelpagesize_kB=4",
    ],
)
def test_maps_that_make_no_sense_are_refused(line: str) -> None:
    """The error names the file."""
    with pytest.raises(FactError, match="proc/5/numa_maps"):
        numa_maps.parse("proc/5/numa_maps", line.encode())


def test_policies_with_blanks_and_files_with_signs_do_not_confuse_the_maps() -> None:
    """The kernel escapes blanks and equals signs of a file's name in octal."""
    text = (
        b"7f00 prefer (many):0-1 anon=1 N5=1 kernelpagesize_kB=64\n"
        b"8f00 weighted interleave:0-1 file=/dev/shm/N0\\0751\\040x mapped=2 N1=2 kernelpagesize_kB=4\n\n"
    )
    assert scan("", text) == (((5, 64),), [(0x8F00, b"/dev/shm/N0\\0751\\040x", False, 4, 0, ((1, 2),))])
    assert scan("", b"") == ((), [])


def stand_in() -> subprocess.Popen[bytes]:
    """A process under the name of QEMU, with 4 MiB."""
    code = (
        "import threading, time; kept = bytearray(b'x' * (4 << 20));"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start();"
        "print(flush=True); time.sleep(60)"
    )
    # The name is what it is started under; python finds its own files by the real one.
    run = subprocess.Popen(
        ["qemu-system-test", "-I", "-S", "-c", code, "-name", "guest=stand-in"],
        executable=sys.executable,
        stdout=subprocess.PIPE,
    )
    assert run.stdout is not None
    run.stdout.readline()
    return run


@pytest.mark.crowds
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's proc")
def test_guests_of_this_machine_may_be_killed_at_any_moment() -> None:
    """A hundred looks while guests start and die: no error, and no row without memory."""
    host = numaprobe.probe(source="linux", available=False)
    running = [stand_in() for _ in range(4)]
    mine = {run.pid for run in running}
    chance = random.Random(5)
    kills = 0
    try:
        for _ in range(100):
            if chance.random() < 0.3:
                run = running.pop(chance.randrange(len(running)))
                run.send_signal(signal.SIGKILL)
                if chance.random() < 0.5:
                    run.wait()
                    mine.discard(run.pid)
                kills += 1
                running.append(stand_in())
                mine.add(running[-1].pid)
            found = {domain.id: domain for domain in numaprobe.domains(host) if domain.id in mine}
            assert {run.pid for run in running} <= set(found)
            for domain in found.values():
                assert domain.memory is not None
                assert domain.memory >= 4 << 20
    finally:
        for run in running:
            run.kill()
            run.wait()
            assert run.stdout is not None
            run.stdout.close()
    assert kills > 20
    assert {run.pid for run in running}.isdisjoint(domain.id for domain in numaprobe.domains(host))
