"""Domains where something is hidden, fails or does not add up: never taken for nothing, and said."""

from __future__ import annotations

import pickle
import time
from errno import EACCES, EIO, EMFILE, ENOENT, ENOMEM, EPERM, ESRCH

import pytest
from processes import GROUP, MIB, PRIVATE, RESIDENT_KB, UNPLACED, found_on, group, machine, process
from trees import Link, Machine, Shelf

import numaprobe
from numaprobe.errors import SourceDenied, SourceError
from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests import command_line, libvirt
from numaprobe.linux.guests.collect import collect
from numaprobe.model.domains import Domains
from numaprobe.normalise.domains import account
from numaprobe.normalise.linux import from_linux

HIDDEN = "20 1 0:5 / /proc rw - proc proc rw,"
KTHREADD = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 2 0 0 18446744073709551615 0 0 0\n"


def reader(capabilities: int = 0, **more: str) -> Machine:
    """A process that looks, as a live /proc has it."""
    status = f"Name:\tx\nState:\tR\nPid:\t900\nGid:\t7\t7\t7\t7\nCapEff:\t{capabilities:016x}\nGroups:\t8 9\n"
    return {"proc/self/status": status, "proc/2/stat": KTHREADD, **process(900, cmdline="me\0", vcpus=()), **more}


def test_all_well_is_complete() -> None:
    """A live /proc that includes the kernel's threads, and no read that failed."""
    found = found_on(machine(process(500), reader()))
    assert (found.complete, found.notes) == (True, ())


def test_completeness_survives_a_pickle() -> None:
    """It is an attribute of the list and has to travel with the domains."""
    found = found_on(machine(process(500)), {"proc/500/numa_maps": EACCES})
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.complete, again.notes) == (found, False, found.notes)
    assert isinstance(found, tuple)


@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2", "hidepid=invisible", "hidepid=ptraceable", "subset=pid"])
def test_a_proc_that_hides_processes_is_not_all_of_them(option: str) -> None:
    """A mount with hidepid does, unless this process is exempt by a capability or by the mount's group."""
    tree = machine(process(500), reader())
    tree["proc/self/mountinfo"] = f"{tree['proc/self/mountinfo']}{HIDDEN}{option}\n"
    found = found_on(tree)
    assert not found.complete
    assert option in found.notes[0].text
    assert found_on(tree | reader(1 << 19)).complete
    tree["proc/self/mountinfo"] = f"{tree['proc/self/mountinfo']}".replace(option, f"{option},gid=9")
    assert found_on(tree).complete


def test_mounts_that_cannot_be_read_may_hide_processes() -> None:
    """The option hidepid stands in mountinfo alone, so without it the list may be incomplete."""
    found = found_on(machine(process(500), reader()), {"proc/self/mountinfo": EIO})
    assert not found.complete
    assert any("hidden is unknown" in note.text for note in found.notes)


def test_a_status_that_is_cut_between_its_sizes_is_broken() -> None:
    """The kernel writes RssAnon, RssFile and RssShmem together: without the last, shared memory is not zero."""
    tree = machine(process(500), reader())
    tree["proc/500/status"] = str(tree["proc/500/status"]).partition("RssShmem")[0]
    found = found_on(tree)
    assert not found.complete
    assert any("not RssShmem" in note.text for note in found.notes)


def test_a_pid_namespace_that_is_not_the_hosts_is_not_all_of_them() -> None:
    """Only the host's has the kernel's own threads in it."""
    tree = machine(process(500), reader())
    del tree["proc/2/stat"]
    found = found_on(tree)
    assert not found.complete
    assert "pid namespace" in found.notes[0].text
    assert not found_on(tree | process(2, cmdline="init\0", vcpus=())).complete


def test_without_any_process_nothing_is_known_of_guests() -> None:
    """A recording that was made without them must not report a host without guests."""
    found = found_on(machine())
    assert (found, found.complete) == ((), False)


@pytest.mark.parametrize(("errno", "kind"), [(EACCES, SourceDenied), (EIO, SourceError), (EMFILE, SourceError)])
def test_a_proc_that_cannot_be_listed_is_an_error(errno: int, kind: type[Exception]) -> None:
    """An empty list would be a host without guests."""
    with pytest.raises(kind, match="/proc"):
        found_on(machine(process(500)), {"proc": errno})


@pytest.mark.parametrize("errno", [EACCES, EPERM, EIO, ENOMEM, EMFILE])
@pytest.mark.parametrize(
    "name", ["stat", "cmdline", "status", "cgroup", "numa_maps", "task", "task/501/stat", "task/502/status"]
)
def test_a_file_that_fails_is_never_a_guest_less_or_memory_less(name: str, errno: int) -> None:
    """The answer is incomplete and names the file, and the host's own memory is unknown."""
    tree = machine(process(500), process(600))
    well = found_on(tree)
    found = found_on(tree, {f"proc/500/{name}": errno})
    assert not found.complete
    assert any(note.where.startswith(f"proc/500/{name.partition('/')[0]}") for note in found.notes)
    host = from_linux(collect_host(Shelf(tree)))
    assert {use.host for use in account(host, found)} == {None}
    assert account(host, found)[0].unattributed is not None
    by_id = {domain.id: domain for domain in found}
    assert by_id[600] == well[1]
    guest = by_id.get(500, well[0])
    for field in ("vcpus", "each_vcpu", "memory", "cells", "name", "kind"):
        assert getattr(guest, field) in (None, getattr(well[0], field)), field


@pytest.mark.parametrize("errno", [ENOENT, ESRCH])
def test_a_process_that_ends_is_left_out_without_a_word(errno: int) -> None:
    """Its files vanish in the midst of reading, which is no fault of the host."""
    files = ("stat", "cmdline", "status", "cgroup", "numa_maps", "task")
    found = found_on(machine(process(500), process(600)), {f"proc/600/{name}": errno for name in files})
    assert ([domain.id for domain in found], found.complete, found.notes) == ([500], True, ())


@pytest.mark.parametrize(("name", "text"), [("stat", "junk"), ("status", "junk"), ("numa_maps", "zz N0=1\n")])
def test_a_file_that_makes_no_sense_costs_itself_and_not_the_others(name: str, text: str) -> None:
    """A note quotes it, and the guest's other figures stay."""
    found = found_on(machine(process(500), process(600)) | {f"proc/500/{name}": text})
    assert not found.complete
    assert any(note.where == f"proc/500/{name}" for note in found.notes)
    assert [domain.id for domain in found][-1] == 600


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cgroup", "junk\n"),
        ("cgroup", ""),
        ("cgroup", "0::\n"),
        ("cmdline", ""),
        ("cmdline", "junk\n"),
        ("task/501/status", "junk\n"),
        ("task/501/status", ""),
        ("task/501/wchan", "#!?\n"),
        ("stat", "x\n"),
        ("stat", "500 (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 -3 0 1000 1 1\n"),
        ("stat", "500 (qemu) -1 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 1000 1 1\n"),
        ("numa_maps", "7f0000000000 default anon=2 Nx=2 kernelpagesize_kB=4\n"),
        ("numa_maps", "7f0000000000 default anon=x N0=2 kernelpagesize_kB=4\n"),
        ("numa_maps", "7f0000000000 default anon=9 N0=2 kernelpagesize_kB=4\n"),
        ("numa_maps", "7f0000000000 default anon=2 N0=2 kernelpagesize_kB=99999999\n"),
        ("status", "Name:\tq\nState:\tS\nVmRSS:\t1 kB\nRssAnon:\t1 kB\nRssShmem: 1"),
    ],
)
def test_every_file_of_a_guest_that_makes_no_sense_is_noted(name: str, text: str) -> None:
    """No figure is taken from it, and none that it was needed for is called exact and complete."""
    found = found_on(machine(process(500, cgroup="/vm"), process(600)) | {f"proc/500/{name}": text})
    assert not found.complete
    (note,) = [note for note in found.notes if note.where.startswith("proc/500/")]
    assert text.strip()[-4:] in note.text or text[:4].strip() in note.text
    assert found[-1] == found_on(machine(process(600)))[0]


def test_words_of_another_program_are_a_command_line_as_well() -> None:
    """Whatever runs a guest in itself is called what it likes: its threads say what it is."""
    found = found_on(
        machine(process(500, cmdline="/usr/bin/python3\0launch.py\0one\0", vcpus=[("fc_vcpu 0", "S", 9, "0")]))
    )
    assert found.complete
    assert [domain.kind for domain in found] == ["firecracker"]


@pytest.mark.parametrize("name", ["stat", "cmdline", "task/501/stat", "task/501/status"])
def test_a_file_that_only_is_missing_is_no_end_of_a_process(name: str) -> None:
    """A process or thread that ends takes all of its files with it; a copy may lack one."""
    tree = machine(process(500), process(600))
    del tree[f"proc/500/{name}"]
    found = found_on(tree)
    assert not found.complete
    assert [(note.where, note.text) for note in found.notes] == [(f"proc/500/{name}".replace("501", "*"), "is missing")]
    assert [domain.vcpus for domain in found if domain.id == 500] in ([], [2 if name == "cmdline" else None])


def test_a_guest_that_is_swapped_out_has_not_ended() -> None:
    """It has no resident page, but still its addresses, which a process that ends has given up first."""
    tree = machine(process(500))
    tree["proc/500/stat"] = str(tree["proc/500/stat"]).replace(" 1000 1 1 ", " 1000 1 0 ")
    assert found_on(tree) == found_on(machine(process(500)))


@pytest.mark.parametrize(
    "text", ["", "junk\n", HIDDEN + "x\n30 20 0:26 / /sys/fs/cgroup rw - cgr", "30 / - proc proc rw\n"]
)
def test_a_broken_table_of_mounts_leaves_open_who_is_hidden(text: str) -> None:
    """A process that can read it has at least the mount that it reads it from."""
    tree = machine(process(500), reader()) | {"proc/self/mountinfo": text}
    found = found_on(tree)
    assert not found.complete
    assert any(note.where == "proc/self/mountinfo" for note in found.notes)


@pytest.mark.parametrize("text", ["", "junk\n", "anon\nfile\nshmem\n", "file N0=1 N1=1\nshmem N0=0 N1=0\n"])
def test_a_group_whose_figures_are_broken_does_not_hold_nothing(text: str) -> None:
    """0 bytes, exactly, was the answer for a group that was asked for; its processes tell what it holds."""
    name = "/machine.slice/vm1.scope"
    tree = machine(process(500, cgroup=name), group()) | {f"{GROUP}/memory.numa_stat": text}
    (found,) = asked = found_on(tree, groups=[name])
    assert dict(found.cells or ()) == PRIVATE
    assert [note.where for note in asked.notes] == [f"{GROUP}/memory.numa_stat"]
    assert [note.where for note in found_on(tree).notes] == [f"{GROUP}/memory.numa_stat"]


@pytest.mark.parametrize("errno", [EACCES, EIO])
@pytest.mark.parametrize("name", ["cgroup.procs", "cgroup.stat"])
def test_members_of_a_group_that_cannot_be_read_are_noted(name: str, errno: int) -> None:
    """Whether a guest is alone in its group is then unknown, and its maps are counted instead."""
    tree = machine(process(500, cgroup="/machine.slice/vm1.scope"), group())
    found = found_on(tree, {f"{GROUP}/{name}": errno})
    assert (found[0].how_from, dict(found[0].cells or ())) == ("proc/500/numa_maps", PRIVATE)
    assert [note.where for note in found.notes] == [f"{GROUP}/{name}"]


def test_many_failures_of_a_kind_are_one_note() -> None:
    """An ordinary user cannot read numa_maps of others, and one line for all is enough."""
    pids = range(500, 700, 10)
    found = found_on(machine(*map(process, pids)), {f"proc/{pid}/numa_maps": EACCES for pid in pids})
    (note,) = found.notes
    assert note.where == "proc/*/numa_maps"
    assert "Permission denied (processes 500, 510, 520, 530 and 16 more)" in note.text


SHARED = "7f0000000000 default file=/mnt/ram/guest dirty=16384 N0=16384 kernelpagesize_kB=4\n"


def test_a_tmpfs_of_the_guests_own_mounts_is_memory() -> None:
    """Its own mountinfo names it; without that its pages are known to be on no cell."""
    tree = machine(process(500, maps=SHARED, shared_kb=64 << 10))
    tree["proc/500/mountinfo"] = "40 20 0:40 / /mnt/ram rw - tmpfs tmpfs rw\n"
    found = found_on(tree)
    assert (found[0].cells, found[0].unplaced, found.complete) == (((0, 64 * MIB), (1, 0)), 0, True)
    for errors in ({"proc/500/mountinfo": EACCES}, {"proc/500/mountinfo": ENOENT}):
        found = found_on(tree, errors)
        assert (found[0].cells, found[0].unplaced, found[0].memory) == (((0, 0), (1, 0)), 64 * MIB, 64 * MIB)
        assert not found.complete


def test_mounts_that_cannot_be_read_leave_memory_without_a_cell() -> None:
    """The sum is checked against the sizes in status."""
    maps = SHARED.replace("/mnt/ram", "/dev/shm")
    tree = machine(process(500, maps=maps, shared_kb=64 << 10))
    assert found_on(tree)[0].unplaced == 0
    found = found_on(tree, {"proc/self/mountinfo": EMFILE})
    assert (found[0].unplaced, found.complete) == (64 * MIB, False)


def test_maps_that_show_less_than_the_process_has_are_not_all_of_it() -> None:
    """The difference to the sizes in status is unplaced memory."""
    found = found_on(machine(process(500, anonymous_kb=RESIDENT_KB + (100 << 10))))
    assert found[0].cells == tuple(PRIVATE.items())
    assert found[0].unplaced == UNPLACED + 100 * MIB
    assert not found.complete


def test_a_process_that_gives_memory_back_meanwhile_is_not_odd() -> None:
    """Before anything is noted the sizes are read again."""
    more = process(500, anonymous_kb=RESIDENT_KB + (100 << 10))["proc/500/status"]

    class Shrinking(Shelf):
        def _read(self, path: str) -> bytes | int:
            content = super()._read(path)
            if path == "proc/500/numa_maps":
                self.files["proc/500/status"] = str(process(500)["proc/500/status"]).encode()
            return content

    shelf = Shrinking(machine(process(500)) | {"proc/500/status": more})
    assert collect(shelf).complete


UNNAMED = (("worker", "S", 1, "0-3"),)
FIRECRACKER = (("fc_vcpu 0", "S", 1, "0-3"),)


@pytest.mark.parametrize(
    ("line", "vcpus", "kind"),
    [
        ("/firecracker-v1.7.0-x86_64\0--id\0f\0", FIRECRACKER, "firecracker"),
        ("/usr/bin/cloud-hypervisor-static\0", (("vcpu0", "S", 1, "0-3"),), "cloud-hypervisor"),
        ("/usr/bin/qemu-kvm-ev\0", UNNAMED, "qemu"),
        ("/usr/bin/stratovirt\0", (("CPU 0/KVM", "S", 1, "0-3"),), "stratovirt"),
        ("/srv/jail/a-copy\0", FIRECRACKER, "firecracker"),
        ("python3\0wrapper\0", (("CPU 0/KVM", "S", 1, "0-3"),), "qemu"),
        ("/firecracker\0", UNNAMED, None),
        ("firecracker-containerd\0", UNNAMED, None),
        ("postgres\0", UNNAMED, None),
    ],
)
def test_a_guest_is_known_by_its_vcpus_whatever_its_program_is_called(
    line: str, vcpus: tuple[tuple[str, str, int, str], ...], kind: str | None
) -> None:
    """A known program without vcpus runs no guest, except QEMU, which need not name its threads."""
    found = found_on(machine(process(500, cmdline=line, vcpus=vcpus)))
    assert [domain.kind for domain in found] == ([] if kind is None else [kind])


def test_vcpus_that_have_run_make_a_guest_of_any_program() -> None:
    """The kernel counts their time, which no name can feign."""
    tree = machine(process(500, cmdline="anything\0", vcpus=UNNAMED))
    tree["proc/500/stat"] = str(tree["proc/500/stat"]).replace("2 0 0 0 0 0\n", "2 0 0 0 77 0\n")
    assert [domain.kind for domain in found_on(tree)] == ["vmm"]


def test_the_name_of_a_known_program_does_not_make_a_guest() -> None:
    """Anybody may start a program under that name; only a vcpu has a thread of its own."""
    assert found_on(machine(process(500, cmdline="qemu-kvm\0-m\x001G\0", vcpus=()))) == ()
    found = found_on(machine(process(500, cmdline="qemu-kvm\0", vcpus=UNNAMED)))
    assert [note.where for note in found.notes] == ["proc/500"]
    assert "by its name alone" in found.notes[0].text


def test_kvm_knows_its_machines_better_than_anybody() -> None:
    """Its list has the threads that made them, and those whose processes are hidden."""
    tree = machine(process(500, cmdline="anything\0", vcpus=UNNAMED))
    tree |= {"sys/kernel/debug/kvm/501-12": None, "proc/501/status": "Name:\tx\nTgid:\t500\nPid:\t501\n"}
    assert [domain.kind for domain in found_on(tree)] == ["vmm"]
    found = found_on(tree | {"sys/kernel/debug/kvm/77-3": None})
    assert not found.complete
    assert found.notes[0].where == "proc/77"


def test_a_machine_among_the_descriptors_will_do_where_threads_were_not_recorded() -> None:
    """A copy of a few files may have only fd, whose kvm-vm link proves a guest."""
    tree = {path: content for path, content in process(500, cmdline="x\0").items() if "/task/" not in path}
    assert found_on(machine(tree)) == ()
    found = found_on(machine(tree, {"proc/500/fd/9": Link("anon_inode:kvm-vm")}))
    assert [domain.kind for domain in found] == ["vmm"]


def test_names_in_proc_that_are_no_numbers_are_no_processes() -> None:
    """Digits of other scripts, which Python takes for numbers, are not process ids."""
    assert [domain.id for domain in found_on(machine(process(500)) | {"proc/\u00b2/stat": "x"})] == [500]


def test_only_the_stat_is_read_of_what_cannot_be_a_guest() -> None:
    """Kernel threads and programs of one thread are most of a host's processes."""
    shelf = Shelf(machine(process(600, cmdline="sh\0", vcpus=()), reader()))
    collect(shelf)
    assert {path for path in shelf.opened if path.startswith(("proc/600/", "proc/2/"))} == {
        "proc/600/stat",
        "proc/2/stat",
        "proc/2/task/2/children",
    }


def test_nothing_is_read_of_the_kernels_own_threads() -> None:
    """Where the kernel lists the children of kthreadd (CONFIG_PROC_CHILDREN); of a process 2 that is another's, all is."""
    tree = machine(process(500), {"proc/7/stat": KTHREADD.replace("2 (", "7 (")}, reader())
    shelf = Shelf(tree | {"proc/2/task/2/children": "7 "})
    assert [guest.id for guest in collect(shelf).guests] == [500]
    assert "proc/7/stat" not in shelf.opened
    cut = Shelf(tree | {"proc/2/task/2/children": "7 50"})
    assert [guest.id for guest in collect(cut).guests] == [500]
    other = tree | process(2, cmdline="init\0", vcpus=()) | {"proc/2/task/2/children": "500 "}
    assert [guest.id for guest in collect(Shelf(other)).guests] == [500]


@pytest.mark.parametrize("text", ["7 500x ", "x", "", "500"])
def test_a_broken_list_of_kernel_threads_hides_no_guest(text: str) -> None:
    """Every process is looked at then, as where the kernel has no such list."""
    tree = machine(process(500), reader()) | {"proc/2/task/2/children": text}
    assert [guest.id for guest in collect(Shelf(tree)).guests] == [500]


def test_an_affinity_that_a_virtualised_list_of_cpus_contradicts_stands() -> None:
    """A container's list of online cpus may be another file system's word; the kernel's own is in status."""
    tree = machine(process(500, vcpus=(("CPU 0/KVM", "S", 1, "4-7"),)))
    found = found_on(tree)
    assert found[0].affinity.cpus == (4, 5, 6, 7)
    assert "4-7" in found.notes[0].text


RECORD = """<!--
WARNING: THIS IS AN AUTO-GENERATED FILE.
-->
<domstatus state='{state}' reason='booted' pid='{pid}'>
  <vcpus><vcpu id='0' pid='501'/></vcpus>
  <domain type='kvm' id='1'>
    <name>vm1</name><uuid>aaaaaaaa-0000-1111-2222-333333333333</uuid>
    <maxMemory slots='16' unit='KiB'>8388608</maxMemory>
    <memory unit='KiB'>3145728</memory><currentMemory unit='KiB'>2097152</currentMemory>
    <vcpu placement='static' current='3'>4</vcpu>
    <devices><memory model='dimm'><target><size unit='KiB'>1048576</size></target></memory></devices>
  </domain>
</domstatus>
"""


def with_record(state: str = "running", pid: int = 500) -> Machine:
    line = "qemu-kvm\0-name\0vm1\0-S\0-uuid\0AAAAAAAA-0000-1111-2222-333333333333\0-m\0size=2G,slots=16,maxmem=8G\0"
    tree = machine(process(500, cmdline=line, vcpus=UNNAMED))
    return tree | {"run/libvirt/qemu/vm1.xml": RECORD.format(state=state, pid=pid)}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", "running"),
        ("paused", "paused"),
        ("pmsuspended", "suspended"),
        ("shutdown", "running"),
        ("nostate", None),
    ],
)
def test_libvirt_knows_the_state_and_what_was_added(state: str, expected: str | None) -> None:
    """Its record of a guest has memory and vcpus as they are now, after hotplug."""
    (guest,) = found_on(with_record(state))
    assert (guest.state, guest.maximum, guest.vcpus, guest.vcpus_maximum) == (expected, 3 << 30, 3, 4)


def test_a_record_of_another_process_is_not_used() -> None:
    """Memory is then unknown, since DIMMs may have been added."""
    (guest,) = found_on(with_record(pid=501))
    assert (guest.state, guest.maximum, guest.vcpus) == (None, None, None)
    other = with_record()
    other["run/libvirt/qemu/vm1.xml"] = str(other["run/libvirt/qemu/vm1.xml"]).replace(
        "<uuid>aaaaaaaa", "<uuid>bbbbbbbb"
    )
    assert found_on(other)[0].maximum is None


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><domstatus state="running" pid="500"/>',
        "<a>" * 100,
        "<domstatus state='running'",
        "",
        "x" * (libvirt.MAX_BYTES + 1),
    ],
    ids=["entities", "depth", "cut", "empty", "size"],
)
def test_a_record_that_is_broken_is_noted(text: str) -> None:
    """Everything that does not come from it is still reported."""
    found = found_on(with_record() | {"run/libvirt/qemu/vm1.xml": text})
    assert found[0].state is None
    assert found.notes[-1].where == "run/libvirt/qemu/vm1.xml"


@pytest.mark.parametrize(
    ("words", "memory", "vcpus", "maximum"),
    [
        ("qemu-kvm -m 1G -smp sockets=1,cores=18,threads=2", 1 << 30, 36, 36),
        ("qemu-kvm -m 1G -smp maxcpus=8", 1 << 30, 8, 8),
        ("qemu-kvm -m 2G,slots=4,maxmem=8G -smp 2", None, 2, 2),
        ("qemu-kvm -m 2G,maxmem=2G", 2 << 30, None, None),
        ("qemu-kvm -m 1G -object memory-backend-ram,id=d,size=2G -device pc-dimm,memdev=d", 3 << 30, None, None),
        ("qemu-kvm -m 1G -object memory-backend-file,id=d,size=2G,mem-path=/x -device nvdimm,memdev=d", 3 << 30, None, None),
        ("qemu-kvm -m 1G -device virtio-mem-pci,memdev=gone", None, None, None),
        ('qemu-kvm -m 1G -object {"qom-type":"memory-backend-ram","id":"d","size":1024} -device {"driver":"virtio-mem-pci","memdev":"d"}', (1 << 30) + 1024, None, None),
        ("qemu-kvm -m 1G -readconfig /etc/qemu.conf", None, None, None),
        ("cloud-hypervisor --memory size=0 --memory-zone id=a,size=1G,host_numa_node=1 id=b,size=2G", 3 << 30, None, None),
        ("cloud-hypervisor --cpus boot=2,max=4 --memory size=1G,hotplug_method=virtio-mem,hotplug_size=3G", 4 << 30, 2, 4),
        ("cloud-hypervisor --memory-zone id=a,size=1G", None, None, None),
        ("cloud-hypervisor --api-socket /x", None, None, None),
    ],
)  # fmt: skip
def test_configured_memory_is_all_of_it_or_unknown(
    words: str, memory: int | None, vcpus: int | None, maximum: int | None
) -> None:
    """A 0, or a figure without what may be added, would let a placer give the rest away."""
    line = command_line.parse("\0".join(words.split()).encode())
    assert line is not None
    assert (line.memory, line.vcpus, line.vcpus_maximum) == (memory, vcpus, maximum)
    assert command_line.parse(command_line.written(line)) == line._replace(memory_paths=())


def test_cells_of_cloud_hypervisors_guests_are_its_memory_zones() -> None:
    """Each has the host nodes that it is bound to."""
    words = "cloud-hypervisor --memory size=0 --memory-zone id=a,size=1G,host_numa_node=1 id=b,size=2G,host_numa_node=0"
    words += " --numa guest_numa_id=0,cpus=[0,2-3],memory_zones=[a,b] guest_numa_id=1,cpus=1,memory_zones=b"
    line = command_line.parse("\0".join(words.split()).encode())
    assert line is not None
    assert line.nodes == (0, 1)
    assert line.guest_nodes is not None
    assert [tuple(node) for node in line.guest_nodes] == [(0, 3 << 30, (0, 2, 3), (0, 1)), (1, 2 << 30, (1,), (0,))]


def test_a_vcpu_that_waits_for_a_lock_for_a_moment_is_not_paused() -> None:
    """Both wait in a futex; the one that is paused has not moved at a second look."""
    tree = machine(process(500, vcpus=(("CPU 0/KVM", "S", 9, "0-3"),)))
    tree["proc/500/task/501/status"] = "Name:\tx\nCpus_allowed_list:\t0-3\nvoluntary_ctxt_switches:\t5\n"
    assert found_on(tree)[0].state == "paused"

    class Moving(Shelf):
        def _read(self, path: str) -> bytes | int:
            content = super()._read(path)
            if path == "proc/500/task/501/status":
                self.files[path] = self.files[path].replace(b"\t5\n", b"\t6\n")
            return content

    (facts,) = collect(Moving(tree)).guests
    assert not facts.rested


def test_account_takes_the_domains_word_for_it() -> None:
    """Whether all guests are seen is part of the list, unless the caller overrides it."""
    host = from_linux(collect_host(Shelf(machine())))
    whole, part = Domains(), Domains(complete=False)
    assert account(host, whole)[0].host == account(host, ())[0].host == account(host, part, complete=True)[0].host
    for use in (account(host, part)[0], account(host, whole, complete=False)[0]):
        assert use.host is None
        assert use.unattributed == use.total - use.free


def test_a_recording_remembers_what_could_not_be_seen(tmp_path: object) -> None:
    """Processes that it leaves out leave no other trace."""
    import trees

    for hidden in (False, True):
        tree = machine(process(500), reader(), group())
        if hidden:
            tree["proc/self/mountinfo"] = f"{tree['proc/self/mountinfo']}{HIDDEN}hidepid=2\n"
        root = trees.plant(tmp_path / str(hidden), tree)  # type: ignore[operator]
        target = tmp_path / f"{hidden}.tar"  # type: ignore[operator]
        numaprobe.record(target, root=root, domains=True)
        found = numaprobe.domains(numaprobe.probe(recording=target), recording=target)
        assert found.complete is not hidden
        assert ("hidepid=2" in str(found.notes)) is hidden


# --- what cannot be ------------------------------------------------------------------------------------------------


def test_a_process_that_runs_and_has_no_status_is_not_gone() -> None:
    """A recorder may leave the file out: its guest is still a guest, and what it holds beyond its maps is unknown."""
    tree = machine(process(500))
    del tree["proc/500/status"]
    found = found_on(tree)
    assert [one.id for one in found] == [500]
    assert not found.complete
    assert [tuple(note) for note in found.notes] == [("proc/500/status", "is missing")]


@pytest.mark.parametrize("kb", [2**64 // 1024 - 1, 2**47])
def test_more_resident_memory_than_addresses_is_no_fact(kb: int) -> None:
    """A wrapped counter of a patched kernel."""
    found = found_on(machine(process(500, anonymous_kb=kb)))
    assert not found.complete
    assert any("more memory than can be" in note.text and str(kb) in note.text for note in found.notes)
    assert (found[0].memory or 0) < 1 << 30


def test_memory_on_a_node_that_does_not_exist_is_unplaced() -> None:
    """It would be counted as the host's own: no cell of the host has it."""
    maps = "7f0000000000 bind:1 anon=25591 dirty=2 N77=25591 kernelpagesize_kB=4\n"
    found = found_on(machine(process(500, maps=maps)))
    assert found[0].cells == ((0, 0), (1, 0))
    assert found[0].unplaced == 25591 * 4096
    assert not found.complete
    assert "nodes 77, which do not exist" in found.notes[0].text


def test_a_guest_with_more_on_a_cell_than_it_has_is_not_exact() -> None:
    """Merged pages count once for each mapping, so where its memory is cannot be told."""
    maps = "7f0000000000 bind:1 anon=25000000 N1=25000000 kernelpagesize_kB=4\n"
    found = found_on(machine(process(500, maps=maps, anonymous_kb=100000000)))
    assert (found[0].cells, found[0].how, found[0].unplaced) == (None, "unknown", 25000000 * 4096)
    assert not found.complete


def test_a_vcpu_that_may_run_nowhere_is_a_contradiction() -> None:
    """Every thread has a CPU: an empty list is a broken copy."""
    vcpus = (("CPU 0/KVM", "S", 0, ""), ("CPU 1/KVM", "S", 0, "0-3"))
    found = found_on(machine(process(500, vcpus=vcpus)))
    assert found[0].each_vcpu is not None
    assert found[0].each_vcpu[0].cpus is None
    assert found[0].affinity.cpus is None
    assert any("allows no cpu" in note.text for note in found.notes)


@pytest.mark.parametrize("options", ["-m 0", "-m 16E", "-m 99999999999P", "-m 1e400", f"-m {'9' * 5000}"])
def test_memory_that_no_guest_can_have_is_unknown(options: str) -> None:
    """QEMU takes 0 for its own default, which depends on the machine."""
    words = f"qemu-system-x86_64 -name a {options} -smp {'9' * 5000}".replace(" ", "\0") + "\0"
    found = found_on(machine(process(500, cmdline=words)))
    assert found[0].maximum is None
    assert found[0].vcpus_maximum is None


def test_thousands_of_broken_processes_take_no_longer_each_than_one() -> None:
    """Looking each up among the failures of all others took 12 seconds for 60,000."""
    tree = machine()
    tree |= {f"proc/{pid}/stat": "1 (a) S 1\n" for pid in range(1, 20_001)}
    start = time.monotonic()
    found = found_on(tree)
    assert time.monotonic() - start < 5
    assert len(found.notes) == 1
    assert "and 19996 more" in found.notes[0].text
